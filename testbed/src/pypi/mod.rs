//! PyPI: its simple index, its JSON API, its Integrity API, its feeds, its journal and the files.
//!
//! The shapes are those of PEP 691, 700, 714, 740 and 792 and of <https://docs.pypi.org/api/>; what a verifier never reads is
//! left out.

mod documents;
mod feeds;
mod file;
mod journal;
mod metadata;
mod party;
mod publish;
mod release;
mod version;

pub use file::{PypiFile, PypiPredicate};
pub use metadata::CoreMetadata;
pub use party::Pypi;
pub use publish::{PypiPublished, PypiServed};
pub use release::{PypiPublisher, PypiRelease, Uploader};

/// The path below which the party is served.
pub const PREFIX: &str = "/pypi";
/// The host that documents of the index name. It is never served: only the path of such an address counts.
pub const INDEX_HOST: &str = "https://index.example";
/// The host of the files. It is never served either: in the test bed the files are below the index's own address.
pub const FILES_HOST: &str = "https://files.example";
/// The predicate type of PyPI's publish attestation: a constant of the protocol.
pub const PUBLISH: &str = "https://docs.pypi.org/attestations/publish/v1";
/// The media type of the simple index in JSON.
pub const SIMPLE_JSON: &str = "application/vnd.pypi.simple.v1+json";
/// The media type of the Integrity API.
pub const INTEGRITY_JSON: &str = "application/vnd.pypi.integrity.v1+json";

/// The normalised name of a project: lower case, and every run of `-`, `_` and `.` is one `-` (PEP 503).
pub fn normalize(name: &str) -> String {
    joined(name, '-')
}

/// The package URL.
pub fn purl(name: &str, version: &str) -> String {
    let version = version.replace('+', "%2B").replace('!', "%21");
    format!("pkg:pypi/{}@{version}", normalize(name))
}

/// The name as it stands in file names.
fn escaped(name: &str) -> String {
    joined(name, '_')
}

/// Lower case, with every run of separators replaced.
fn joined(name: &str, separator: char) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    let parts: Vec<_> = parts.map(str::to_lowercase).collect();
    parts.join(&separator.to_string())
}
