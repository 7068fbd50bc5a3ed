//! Registries: how each is asked, and how its answers read in the terms that the checks use.
//!
//! An ecosystem is one module with one implementation of [`Registry`], and one line in the list below. The checks know none
//! of them; they see a [`Release`] for each artifact.

mod answer;
pub mod github;
mod homebrew;
pub mod npm;
pub mod pypi;
mod release;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use thiserror::Error;
use url::Url;

use crate::dossier::{Dossier, Observation};
use crate::history::{Channel, Line};
use crate::package::{Coordinate, PackageName, PackageVersion, Selector};
use crate::ports::{FaultSide, Fetch};

pub use release::{
    Described, Downloaded, ExpectedSubject, InnerManifest, Metadata, OtherVersion, PublishMode, RegistrySignature,
    Release, Terms,
};

/// Declares the closed set of ecosystems.
macro_rules! ecosystems {
    ($($(#[$doc:meta])* $variant:ident = $registry:expr;)+) => {
        /// A package registry that Hekate knows how to ask.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Ecosystem {
            $($(#[$doc])* $variant,)+
        }

        impl Ecosystem {
            /// Every ecosystem.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// How it is asked and read.
            pub fn registry(self) -> &'static dyn Registry {
                match self { $(Self::$variant => &$registry,)+ }
            }
        }
    };
}

ecosystems! {
    /// npm.
    Npm = npm::Npm;
    /// PyPI.
    PyPi = pypi::PyPi;
    /// Homebrew.
    Homebrew = homebrew::Homebrew;
    /// Files that somebody released on GitHub, each by its digest.
    GitHub = github::GitHub;
}

impl Ecosystem {
    /// The purl type (<https://github.com/package-url/purl-spec>), which is also the path segment of the HTTP API.
    pub fn purl_type(self) -> &'static str {
        self.registry().purl_type()
    }

    /// What it is called, for people.
    pub fn title(self) -> &'static str {
        self.registry().title()
    }

    /// The ecosystem of a purl type, in any case.
    pub fn from_purl_type(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|ecosystem| ecosystem.purl_type().eq_ignore_ascii_case(text))
    }

    /// The purl types of all ecosystems, for people.
    pub fn names() -> String {
        let types: Vec<&str> = Self::ALL.iter().map(|ecosystem| ecosystem.purl_type()).collect();
        types.join(", ")
    }

    /// The release line that a version is on; `None` if it is no version.
    pub fn line(self, version: &str) -> Option<Line> {
        self.registry().line(version)
    }

    /// What a version is made for.
    pub fn channel(self, version: &str) -> Channel {
        self.registry().channel(version)
    }
}

impl serde::Serialize for Ecosystem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.purl_type())
    }
}

/// What an ecosystem is: its rules for names and versions, how its registry is asked, and how a dossier of its answers reads.
///
/// Everything but the asking is a pure function. A rule that is broken is said in words that complete "it …".
#[async_trait]
pub trait Registry: Send + Sync {
    /// The purl type (<https://github.com/package-url/purl-spec>).
    fn purl_type(&self) -> &'static str;

    /// What it is called, for people.
    fn title(&self) -> &'static str;

    /// Whether a version may have several files, each of them judged for itself.
    fn has_files(&self) -> bool;

    /// The one spelling of a package's name, or the rule that the name breaks.
    fn name(&self, text: &str) -> Result<String, &'static str>;

    /// What stands for a version: an exact one in its one spelling, or a tag that leads to one.
    fn selector(&self, text: &str) -> Result<Selector, &'static str>;

    /// Whether the version in an artifact's own manifest is the one that was asked for.
    fn is_same_version(&self, inner: &str, requested: &str) -> bool;

    /// The release line that a version is on; `None` if it is no version.
    fn line(&self, version: &str) -> Option<Line>;

    /// What a version is made for.
    fn channel(&self, version: &str) -> Channel;

    /// The file in a source repository that names the package and its version, in the package's folder; `None` where there is
    /// none that is usual.
    fn manifest(&self) -> Option<&'static str>;

    /// Whether what is served holds a manifest of its own, by which it names package and version.
    fn has_inner_manifest(&self) -> bool {
        true
    }

    /// Whether a version is one of its source repository, which may have a tag for it.
    fn is_versioned_by_its_source(&self) -> bool {
        true
    }

    /// Whether somebody serves the bytes. Where nobody does, whoever asks brings them, and nobody looks again by himself.
    fn is_served(&self) -> bool {
        true
    }

    /// Whether a file is published with its attestations and keeps them. Where they lie in a store of somebody else's, they come
    /// and go, and what was read of it may stand for a while.
    fn keeps_attestations(&self) -> bool {
        true
    }

    /// Whether a workflow's step that attests is one that publishes, since nothing is published that was not attested there.
    fn attesting_publishes(&self) -> bool;

    /// Finds the version that a coordinate means.
    async fn resolve(&self, coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault>;

    /// Collects everything that the registry serves of a resolved version.
    async fn collect(&self, resolved: Resolved, look: &Look<'_>) -> Dossier;

    /// As [`look_back`].
    async fn look_back(&self, dossier: &Dossier, look: &Look<'_>, known: &BTreeSet<String>) -> Vec<Dossier>;

    /// As [`drop_proofs`].
    fn drop_proofs(&self, _dossier: &mut Dossier, _known: &BTreeSet<String>) {}

    /// Asks which versions of a package there are, and which there were.
    async fn versions(&self, name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault>;

    /// Where the registry's feed of changes is, if it is read.
    fn feed(&self, upstreams: &Upstreams) -> Option<Url>;

    /// Whether the feed is a list of everything, which is large, and read only while somebody watches a package of it.
    fn is_feed_a_list(&self) -> bool {
        false
    }

    /// Where a feed ends now: from where to read one that never was read.
    async fn feed_end(&self, feed: &Url, look: &Look<'_>) -> Result<u64, LookFault>;

    /// What changed after a place in a feed, at most `limit` rows of it.
    async fn feed_page(&self, feed: &Url, since: u64, limit: usize, look: &Look<'_>) -> Result<FeedPage, LookFault>;

    /// Reads a dossier: what it holds of each artifact of the version, of one at least.
    fn read(&self, dossier: &Dossier) -> Vec<Release>;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstreams {
    /// npm's public API.
    pub npm: Url,
    /// npm's feed of changes; `None` if it is not read.
    pub npm_feed: Option<Url>,
    /// PyPI's simple index and integrity API.
    pub pypi: Url,
    /// Where PyPI's files are.
    pub pypi_files: Url,
    /// PyPI's journal of changes; `None` if it is not read.
    pub pypi_feed: Option<Url>,
    /// Homebrew's formula API.
    pub homebrew: Url,
    /// The container registry that serves Homebrew's bottles.
    pub bottles: Url,
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

/// The versions of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The version that somebody gets who asks for none.
    pub latest: Option<PackageVersion>,
    /// Every version that ever was, what was published or changed last first.
    pub versions: Vec<ListedVersion>,
}

/// A version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// The version.
    pub package: PackageVersion,
    /// When it was published; where files are added to a version at any time, when the last of them was.
    pub changed_at: Timestamp,
    /// Whether it still is.
    pub is_served: bool,
    /// The names of its files, where a version may have several.
    pub files: Vec<String>,
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

/// Finds the version that a coordinate means.
pub async fn resolve(coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
    coordinate.name.ecosystem().registry().resolve(coordinate, look).await
}

/// Collects everything that the registry serves of a resolved version.
pub async fn collect(resolved: Resolved, look: &Look<'_>) -> Dossier {
    let registry = resolved.package.ecosystem().registry();
    registry.collect(resolved, look).await
}

/// Asks which versions of a package there are, and which there were.
pub async fn versions(name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
    name.ecosystem().registry().versions(name, look).await
}

/// The feeds of changes that are read: whose each is, and where.
pub fn feeds(upstreams: &Upstreams) -> Vec<(Ecosystem, Url)> {
    let feed = |ecosystem: Ecosystem| Some((ecosystem, ecosystem.registry().feed(upstreams)?));
    Ecosystem::ALL.iter().copied().filter_map(feed).collect()
}

/// Looks back: of each of a few earlier versions of which the registry says that they are attested, what it serves as their
/// attestations, in a small dossier of its own. Nothing if the metadata names no earlier versions.
///
/// Which versions these are is a function of the metadata: evenly from every release line, the newest of each, the judged
/// version's own line first. Their artifacts and their runs are not asked for, and nothing of those that are `known`.
pub async fn look_back(dossier: &Dossier, look: &Look<'_>, known: &BTreeSet<String>) -> Vec<Dossier> {
    let registry = dossier.package.ecosystem().registry();
    registry.look_back(dossier, look, known).await
}

/// Leaves out of a dossier what [`look_back`] needed to learn of earlier versions, for those whose releases are `known` by now: no
/// check reads it.
pub fn drop_proofs(dossier: &mut Dossier, known: &BTreeSet<String>) {
    let registry = dossier.package.ecosystem().registry();
    registry.drop_proofs(dossier, known);
}

/// Resolves, then collects.
pub async fn look(coordinate: &Coordinate, look: &Look<'_>) -> Result<Dossier, LookFault> {
    Ok(collect(resolve(coordinate, look).await?, look).await)
}

/// Reads a dossier: what it holds of each artifact of the version, of one at least.
pub fn read(dossier: &Dossier) -> Vec<Release> {
    dossier.package.ecosystem().registry().read(dossier)
}

/// The first `limit` versions of a list: of each line in turn the first that is left, the line of `version` before the others,
/// those in the order in which the list names them.
fn evenly<'a>(
    versions: impl IntoIterator<Item = &'a str>,
    version: &str,
    limit: usize,
    line: impl Fn(&str) -> Option<Line>,
) -> Vec<&'a str> {
    let own = line(version);
    let mut lines: Vec<(Option<Line>, Vec<&str>)> = vec![(own, Vec::new())];
    for candidate in versions {
        let of_candidate = line(candidate);
        match lines.iter_mut().find(|(line, _)| *line == of_candidate) {
            Some((_, members)) => members.push(candidate),
            None => lines.push((of_candidate, vec![candidate])),
        }
    }
    let longest = lines.iter().map(|(_, members)| members.len()).max().unwrap_or_default();
    (0..longest)
        .flat_map(|round| lines.iter().filter_map(move |(_, members)| members.get(round).copied()))
        .take(limit)
        .collect()
}
