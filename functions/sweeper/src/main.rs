//! Hekate.
fn main() {}
