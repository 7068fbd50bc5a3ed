//! The path from a coordinate to a verdict, over recorded and over generated supply chains.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and shows its table"
)]

#[macro_use]
mod shape;

mod attestations;
mod calls;
mod catalogue;
mod comparison;
mod corpus;
mod defects;
mod deliveries;
mod faults;
mod forge;
mod forge_theorems;
mod history;
mod homebrew;
mod pypi;
mod pypi_cases;
mod pypi_corpus;
mod pypi_looks;
mod pypi_theorems;
mod record;
mod refusals;
mod released;
mod service;
mod stored;
mod tampering;
mod theorems;
mod units;
mod workers;
mod wrong_answers;
mod year;
