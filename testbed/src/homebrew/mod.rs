//! Homebrew: its formula API and the registry of its bottles.
//!
//! The shapes are those of <https://formulae.brew.sh/docs/api/> and of the OCI distribution specification; what a verifier
//! never reads is left out. What attests bottles is in GitHub's store.

mod formula;
mod party;
mod publish;

pub use formula::{Bottle, Formula};
pub use party::Homebrew;
pub use publish::{BottleServed, FormulaPublished};

/// The path below which the registry of bottles is served.
pub const PREFIX: &str = "/bottles";
/// Where bottles are: a constant of the protocol, because backfilled attestations name a hash of it. It is never asked:
/// only the path of such an address counts.
pub const ROOT_URL: &str = "https://ghcr.io/v2/homebrew/core";
/// What every request for a bottle shows as its authorisation.
pub const ANONYMOUS: &str = "Bearer QQ==";
/// The repository of the formulae, whose workflows attest bottles.
pub const CORE: &str = "Homebrew/homebrew-core";
/// The repository whose workflow attested the bottles of earlier years.
pub const BACKFILL: &str = "trailofbits/homebrew-brew-verify";

/// The name of a formula in the addresses of the registry.
fn image_name(formula: &str) -> String {
    formula.replace('@', "/").replace('+', "x")
}
