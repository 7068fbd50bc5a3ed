//! From findings to a verdict.

/// placeholder
pub struct Decision;
/// placeholder
pub struct Inputs;
/// placeholder
pub fn decide() {}
