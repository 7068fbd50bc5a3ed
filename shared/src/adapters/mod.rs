//! The ports' implementations for the real world.

pub mod announcements;
pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod emf;
pub mod eventbridge;
pub mod http;
pub mod in_process;
pub mod judges;
pub mod kms;
pub mod pem;
pub mod secrets;
pub mod sqs;
pub mod tuf;

#[cfg(test)]
#[cfg_attr(
    not(feature = "embedded"),
    expect(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "the only adapter of the store runs against the embedded server"
    )
)]
mod conformance;
