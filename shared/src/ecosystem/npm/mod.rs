//! npm: <https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md>, with attestations as
//! <https://github.com/npm/attestation> defines them.

mod ask;
mod packument;
mod read;
mod watch;

pub use ask::{collect, look_back, resolve};
pub(super) use packument::evenly_by;
pub use read::read;
pub use watch::{feed_end, feed_page, versions};

/// The `registry` that npm's own publish attestations name. It identifies npm, whatever mirror serves the attestation, so
/// it is a constant of the protocol and no address that is ever asked.
const REGISTRY_IDENTITY: &str = "https://registry.npmjs.org";
