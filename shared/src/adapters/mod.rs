//! The ports' implementations for the real world.

pub mod http;
pub mod judges;
pub mod tuf;
