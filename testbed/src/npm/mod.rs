//! The npm registry: its documents, its tarballs and its endpoints.

pub mod feed;
pub mod registry;
pub mod tarball;

pub use registry::Npm;

use serde_json::Value;

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

/// Sets member `name` of a JSON object, and does nothing to anything else.
pub(crate) fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
