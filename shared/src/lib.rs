//! Hekate answers one question about one version of one package: did the registry publish what the build produced from
//! the source that the build says it used, and did that build really happen?
//!
//! The path is coordinate → resolve → collect → authenticate → trace → correlate → decide → record → announce. Only the
//! stages that fetch touch the world, through the traits in [`ports`].

pub mod attestation;
pub mod authenticate;
pub mod availability;
pub mod check;
pub mod dossier;
pub mod ecosystem;
pub mod forge;
pub mod history;
pub mod network;
pub mod package;
pub mod policy;
pub mod ports;
pub mod summary;
pub mod verdict;
pub mod verifier;

#[cfg(feature = "service")]
pub mod adapters;
#[cfg(feature = "service")]
pub mod config;
#[cfg(feature = "service")]
pub mod entrypoints;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "service")]
pub mod wiring;
