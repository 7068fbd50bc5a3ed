//! The ports' implementations for the real world.

pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod http;
pub mod in_process;
pub mod judges;
pub mod sqs;
pub mod tuf;

#[cfg(test)]
mod conformance;
