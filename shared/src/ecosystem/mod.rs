//! Registries: how each is asked, and how its answers read in the terms that the checks use.
//!
//! An ecosystem is one module with two functions: one that asks and fills a dossier, and one that reads a dossier. The
//! checks know neither; they see a [`Release`].

pub mod npm;
pub mod pypi;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::attestation::UnverifiedAttestation;
use crate::availability::Availability;
use crate::dossier::{Dossier, Observation};
use crate::package::{Coordinate, Digest, Ecosystem, PackageName, PackageVersion};
use crate::ports::{FaultSide, Fetch};

/// How a version was published, as the registry's metadata claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PublishMode {
    /// With somebody's token.
    Token,
    /// By a trusted publisher of this kind, with a short-lived identity token.
    TrustedPublisher(String),
    /// Staged, and approved by a person.
    Staged,
}

impl PublishMode {
    /// How much stands between a thief and the registry: a token, then an identity that lives for minutes, then a person
    /// besides.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Token => 1,
            Self::TrustedPublisher(_) => 2,
            Self::Staged => 3,
        }
    }

    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::TrustedPublisher(_) => "trusted publisher",
            Self::Staged => "staged",
        }
    }
}

/// Another version of the package, as the registry lists it. Claims, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The version.
    pub version: String,
    /// When it was published.
    pub published_at: Timestamp,
    /// What else the registry says; of a bounded number of versions.
    pub described: Option<Described>,
}

/// How another version was published, as the registry describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// How; `None` where the metadata does not say.
    pub publish_mode: Option<PublishMode>,
    /// The account that published; `None` for a build service, whose account is everybody's.
    pub publisher: Option<String>,
    /// Whether it announces attestations.
    pub announces_attestations: bool,
}

/// A signature of the registry over name, version and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySignature {
    /// Id of the key.
    pub key_id: String,
    /// The signature's bytes; `None` if they do not decode.
    pub signature: Option<Vec<u8>>,
}

/// What the registry's metadata says about a version. Claims, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The collision-resistant digest of the artifact.
    pub declared_digest: Option<Digest>,
    /// Its SHA-1, for versions that have nothing better.
    pub declared_sha1: Option<Digest>,
    /// The text that the registry signs, where there is enough metadata for it.
    pub signed_text: Option<String>,
    /// The registry's signatures over that text.
    pub signatures: Vec<RegistrySignature>,
    /// Whether the metadata announces attestations.
    pub announces_attestations: bool,
    /// When the version was published.
    pub published_at: Option<Timestamp>,
    /// How; `None` where the metadata does not say.
    pub publish_mode: Option<PublishMode>,
    /// The account that published; `None` for a build service, whose account is everybody's.
    pub publisher: Option<String>,
    /// The dist-tags that lead to the version now.
    pub tags: Vec<String>,
    /// The repository that the metadata names.
    pub declared_repository: Option<String>,
    /// The commit that the publisher's client noted.
    pub declared_commit: Option<String>,
    /// Versions that were published before this one, newest first; a bounded number of them.
    pub earlier: Vec<OtherVersion>,
    /// Versions that were published within half an hour after this one, oldest first.
    pub soon_after: Vec<OtherVersion>,
    /// Digest of the document.
    pub evidence: Digest,
}

/// The artifact as it was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// File name.
    pub name: String,
    /// SHA-512.
    pub sha512: Digest,
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-1.
    pub sha1: Digest,
    /// Size in bytes.
    pub size: u64,
    /// The package manifest inside.
    pub manifest: Availability<InnerManifest>,
}

impl Downloaded {
    /// Whether these bytes have this digest.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        [&self.sha512, &self.sha256, &self.sha1].contains(&digest)
    }
}

/// The package manifest inside an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerManifest {
    /// Name.
    pub name: Option<String>,
    /// Name under which the manifest asks to be published, where it renames itself.
    pub published_name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Source repository.
    pub repository: Option<String>,
    /// The package's folder in it.
    pub directory: Option<String>,
}

/// What a dossier holds, in the terms that the checks use.
#[derive(Clone, Debug)]
pub struct Release {
    /// The version.
    pub package: PackageVersion,
    /// The registry's metadata.
    pub metadata: Availability<Metadata>,
    /// The attestations, as served.
    pub attestations: Availability<Vec<UnverifiedAttestation>>,
    /// Digest of the attestations' document.
    pub attestations_evidence: Option<Digest>,
    /// The artifact. Where its bytes first contradicted the metadata, the second download.
    pub artifact: Availability<Downloaded>,
    /// The value that a publish attestation's `registry` must have.
    pub registry: &'static str,
}

/// One look at a version: whom to ask, and when the look began.
pub struct Look<'a> {
    /// Who asks.
    pub fetch: &'a dyn Fetch,
    /// Base URLs of everybody who is asked.
    pub upstreams: &'a Upstreams,
    /// When the look began.
    pub at: Timestamp,
    /// The dossier of an earlier look at the same version, for conditional requests.
    pub previous: Option<&'a Dossier>,
}

/// Base URLs of everybody who is asked.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// npm's public API.
    pub npm: Url,
    /// npm's feed of changes; `None` if it is not read.
    pub npm_feed: Option<Url>,
    /// GitHub's REST API.
    pub github: Url,
}

/// Why a look gave no dossier.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookFault {
    /// The registry knows no such package or version.
    #[error("{0}")]
    NotFound(String),
    /// The registry did not say which version is meant, so that there is nothing to give a verdict on.
    #[error("{detail}")]
    Upstream {
        /// One sentence for people.
        detail: String,
        /// How long to wait before asking again, in seconds, if the registry said so.
        retry_after: Option<u64>,
    },
}

impl LookFault {
    /// Whose doing it is.
    pub fn side(&self) -> FaultSide {
        match self {
            Self::NotFound(_) => FaultSide::Caller,
            Self::Upstream { .. } => FaultSide::Upstream,
        }
    }
}

/// A coordinate that the registry has resolved, with what it said about the version.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The version that is meant.
    pub package: PackageVersion,
    /// The metadata as observed.
    pub observations: Vec<Observation>,
}

/// Finds the version that a coordinate means.
pub async fn resolve(coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
    match coordinate.name.ecosystem() {
        Ecosystem::Npm => npm::resolve(coordinate, look).await,
    }
}

/// Collects everything that the registry serves of a resolved version.
pub async fn collect(resolved: Resolved, look: &Look<'_>) -> Dossier {
    match resolved.package.ecosystem() {
        Ecosystem::Npm => npm::collect(resolved, look).await,
    }
}

/// The versions of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The version that somebody gets who asks for none.
    pub latest: Option<PackageVersion>,
    /// Every version that ever was, newest first.
    pub versions: Vec<ListedVersion>,
}

/// A version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// The version.
    pub package: PackageVersion,
    /// When it was published.
    pub published_at: Timestamp,
    /// Whether it still is.
    pub is_served: bool,
}

/// Asks which versions of a package there are, and which there were.
pub async fn versions(name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
    match name.ecosystem() {
        Ecosystem::Npm => npm::versions(name, look).await,
    }
}

/// A page of a registry's feed of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The packages that changed, each once.
    pub names: Vec<PackageName>,
    /// How many rows the page had.
    pub rows: usize,
    /// Up to where it was read.
    pub until: u64,
}

/// The feeds of changes that are read: the name under which the place in each is kept, and where it is.
pub fn feeds(upstreams: &Upstreams) -> Vec<(Ecosystem, Url)> {
    let npm = upstreams.npm_feed.clone().map(|url| (Ecosystem::Npm, url));
    npm.into_iter().collect()
}

/// Where a feed ends now: from where to read one that never was read.
pub async fn feed_end(ecosystem: Ecosystem, feed: &Url, look: &Look<'_>) -> Result<u64, LookFault> {
    match ecosystem {
        Ecosystem::Npm => npm::feed_end(feed, look).await,
    }
}

/// What changed after a place in a feed, at most `limit` rows of it.
pub async fn feed_page(
    ecosystem: Ecosystem,
    feed: &Url,
    since: u64,
    limit: usize,
    look: &Look<'_>,
) -> Result<FeedPage, LookFault> {
    match ecosystem {
        Ecosystem::Npm => npm::feed_page(feed, since, limit, look).await,
    }
}

/// Looks back: of each of a few earlier versions of which the registry says that they are attested, what it serves as their
/// attestations, in a small dossier of its own. Nothing if the metadata names no earlier versions.
///
/// Which versions these are is a function of the metadata: evenly from every release line, the newest of each, the judged
/// version's own line first. Their artifacts and their runs are not asked for, and nothing of those that are `known`.
pub async fn look_back(dossier: &Dossier, look: &Look<'_>, known: &BTreeSet<String>) -> Vec<Dossier> {
    match dossier.package.ecosystem() {
        Ecosystem::Npm => npm::look_back(dossier, look, known).await,
    }
}

/// Resolves, then collects.
pub async fn look(coordinate: &Coordinate, look: &Look<'_>) -> Result<Dossier, LookFault> {
    Ok(collect(resolve(coordinate, look).await?, look).await)
}

/// Reads a dossier.
pub fn read(dossier: &Dossier) -> Release {
    match dossier.package.ecosystem() {
        Ecosystem::Npm => npm::read(dossier),
    }
}
