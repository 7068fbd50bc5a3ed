//! The path from a coordinate to a verdict, over recorded and over generated supply chains.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and shows its table"
)]

mod attestations;
mod catalogue;
mod corpus;
mod defects;
mod refusals;
mod shape;
mod tampering;
mod theorems;
