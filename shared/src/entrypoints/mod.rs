//! What each function does with its events, free of the host that receives them.

pub mod api;
pub mod batch;
mod deadline;
pub mod sweep;

pub use deadline::Deadline;
