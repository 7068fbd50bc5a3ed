//! The ports' implementations for the real world.

pub mod dynamodb;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod in_process;
pub mod sqs;

#[cfg(test)]
mod conformance;
