//! The npm registry: its documents, its tarballs and its endpoints.

pub mod feed;
pub mod registry;
pub mod tarball;

pub use registry::Npm;

/// The registry's address as publish attestations state it: a constant of the protocol.
pub const REGISTRY: &str = "https://registry.npmjs.org";
/// The host that metadata names. It is never served: only the path of such an address counts.
pub const METADATA_HOST: &str = "https://registry.example";

/// The package URL: the `@` of a scope is percent-encoded, its slash is not.
pub fn purl(name: &str, version: &str) -> String {
    let version = version.replace('+', "%2B");
    match name.strip_prefix('@') {
        Some(scoped) => format!("pkg:npm/%40{scoped}@{version}"),
        None => format!("pkg:npm/{name}@{version}"),
    }
}

/// The name as one path segment.
pub(crate) fn path_segment(name: &str) -> String {
    name.replace('/', "%2f")
}
