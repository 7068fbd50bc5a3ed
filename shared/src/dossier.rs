//! Everything that was observed about one version of one package.
//!
//! A verdict is a function of the dossier, so whatever a check reads must be in it: the bytes of every document, and the
//! digests of every artifact. Reading a document's content from anywhere else breaks replay.

use std::borrow::Cow;

use base64::Engine as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::availability::UnavailableReason;
use crate::package::{Digest, PackageVersion};

/// The media type of a dossier, as `schema` carries it.
pub const SCHEMA: &str = "urn:hekate:dossier:1";

/// Which question an observation answers. One dossier holds at most one current observation of each, about each thing that it
/// is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// npm's packument, reduced to what concerns the requested version.
    Packument,
    /// npm's manifest of one version.
    VersionManifest,
    /// npm's attestations of one version.
    Attestations,
    /// The artifact that the registry serves.
    Artifact,
    /// The artifact, asked for again past every cache because the first answer contradicted the metadata.
    ArtifactAgain,
    /// The run attempt that the certificate names, as GitHub shows it now.
    Run,
    /// The same as GitHub showed it last, where it does not any more.
    RunSnapshot,
    /// The first time that GitHub answered that it has no such run attempt.
    RunFirstMissed,
    /// Older runs of the same workflow: what tells a lost run from a purged one.
    OlderRuns,
    /// A page of the run attempt's jobs with their steps, numbered from 1.
    Jobs(u8),
    /// Reviews of the run by a deployment environment's gate.
    Approvals,
    /// The source repository, by its id.
    Repository,
    /// The repository that the package names, where that is not the name in the certificate.
    DeclaredRepository,
    /// The commit that was built.
    Commit,
    /// The commit compared with the tip of the default branch.
    OnDefaultBranch,
    /// The commit compared with the ref that was built.
    OnRef,
    /// The repository's tags.
    Tags,
    /// Pull requests that brought the commit.
    PullRequests,
    /// The package's manifest at the commit.
    ManifestAtCommit,
    /// GitHub's list of the attestations of one artifact.
    StoredAttestations,
    /// A bundle of that list, by its place from 0, where the list does not hold it.
    StoredBundle(u8),
    /// The repository that was asked for attestations, where GitHub answered that it has no such list.
    ListingRepository,
    /// A page of a registry's feed of changes. It belongs to no version, and is in no dossier.
    ChangeFeed,
    /// What another verifier says of a version. It is no evidence about it, and is in no dossier.
    PeerVerdict,
    /// What a registry other than npm says of a package, reduced to what concerns the requested version: PyPI's index of a
    /// project, Homebrew's formula.
    PackageIndex,
}

impl Subject {
    /// Whether it is about the run or the commit, rather than about what is served of a version.
    pub fn is_of_the_trace(self) -> bool {
        match self {
            Self::Packument
            | Self::VersionManifest
            | Self::Attestations
            | Self::Artifact
            | Self::ArtifactAgain
            | Self::ChangeFeed
            | Self::PeerVerdict
            | Self::PackageIndex
            | Self::StoredAttestations
            | Self::StoredBundle(_)
            | Self::ListingRepository => false,
            Self::Run
            | Self::RunSnapshot
            | Self::RunFirstMissed
            | Self::OlderRuns
            | Self::Jobs(_)
            | Self::Approvals
            | Self::Repository
            | Self::DeclaredRepository
            | Self::Commit
            | Self::OnDefaultBranch
            | Self::OnRef
            | Self::Tags
            | Self::PullRequests
            | Self::ManifestAtCommit => true,
        }
    }
}

/// What an answer about a trace is remembered of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The attempt of a run.
    Run,
    /// The commit, through whichever run it was seen.
    Commit,
}

impl Scope {
    /// The scope of a question; `None` if its answer is kept with the dossier alone.
    pub fn of(subject: Subject) -> Option<Self> {
        match subject {
            Subject::Run | Subject::RunFirstMissed | Subject::OlderRuns | Subject::Jobs(_) | Subject::Approvals => {
                Some(Self::Run)
            }
            Subject::Repository
            | Subject::Commit
            | Subject::OnDefaultBranch
            | Subject::OnRef
            | Subject::Tags
            | Subject::PullRequests => Some(Self::Commit),
            Subject::Packument
            | Subject::VersionManifest
            | Subject::Attestations
            | Subject::Artifact
            | Subject::ArtifactAgain
            | Subject::RunSnapshot
            | Subject::DeclaredRepository
            | Subject::ManifestAtCommit
            | Subject::StoredAttestations
            | Subject::StoredBundle(_)
            | Subject::ListingRepository
            | Subject::ChangeFeed
            | Subject::PeerVerdict
            | Subject::PackageIndex => None,
        }
    }
}

/// One question to one upstream, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The question.
    pub subject: Subject,
    /// What it was asked about, where a version has several of the kind: the name of a file, or a run attempt. Empty where there
    /// is but one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The URL that was asked, after re-rooting on the configured base.
    pub url: String,
    /// When the look began that this observation belongs to.
    pub at: Timestamp,
    /// What came of it.
    pub answer: Answer,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Answer {
    /// A complete HTTP response, whatever its status.
    Answered(Response),
    /// No complete response. Nothing about the package follows from it.
    #[serde(rename_all = "camelCase")]
    Unanswered {
        /// The class of trouble.
        reason: UnavailableReason,
        /// One sentence for people.
        detail: String,
        /// How long the upstream asked to wait, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
}

/// A complete HTTP response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The status code; a 304 has been replaced by the answer that it confirmed.
    pub status: u16,
    /// `Content-Type`, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `ETag`, as sent, for asking conditionally next time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, of an answer to a question about changes since some time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
    /// Length of the body in bytes, after transfer decoding.
    pub size: u64,
    /// SHA-256 of the body.
    pub sha256: Digest,
    /// What was kept of the body.
    pub kept: Kept,
    /// How many redirects led to it, each a request of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redirects: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// What was kept of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Kept {
    /// All of it.
    Whole {
        /// The bytes.
        body: Body,
    },
    /// A part that a pure function of the body selected; the response's digest and size are of the whole.
    Excerpt {
        /// The selected part, a document of the same shape.
        body: Body,
    },
    /// A gzipped tar archive: its digests, and the one member that checks read.
    #[serde(rename_all = "camelCase")]
    Archive {
        /// SHA-512 of the archive.
        sha512: Digest,
        /// SHA-1 of the archive, for packages that have nothing better.
        sha1: Digest,
        /// The package manifest inside.
        manifest: ArchiveMember,
    },
    /// Digests alone, of a body of any kind.
    Digests {
        /// SHA-512 of the body.
        sha512: Digest,
        /// SHA-1 of it, by which nothing is ever decided where there is anything better.
        sha1: Digest,
    },
    /// Nothing: the status alone is the answer, as for a 404.
    Nothing,
}

/// What was found of the wanted member of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum ArchiveMember {
    /// The member's bytes.
    Found {
        /// The bytes.
        body: Body,
    },
    /// The archive has no such member.
    Missing,
    /// The bytes are no gzip stream at all: an error page, say, and no archive that anybody could install.
    NotAnArchive,
    /// The archive could not be read to its end, or the member exceeds its limit.
    Unreadable {
        /// One sentence for people.
        detail: String,
    },
}

/// The bytes of a document. Its JSON form is the text itself where the bytes are UTF-8, and base64 otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BodyWire<'a> {
    Text(Cow<'a, str>),
    Base64(Cow<'a, str>),
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => BodyWire::Text(text.into()),
            Err(_) => BodyWire::Base64(base64::engine::general_purpose::STANDARD.encode(&self.0).into()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BodyWire::deserialize(deserializer)? {
            BodyWire::Text(text) => Ok(Self(text.into_owned().into_bytes())),
            BodyWire::Base64(text) => base64::engine::general_purpose::STANDARD
                .decode(text.as_bytes())
                .map(Self)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// Everything that was observed about one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dossier {
    /// The media type: [`SCHEMA`].
    pub schema: String,
    /// The version that the observations concern.
    pub package: PackageVersion,
    /// The observations; their order carries no meaning.
    pub observations: Vec<Observation>,
}

impl Observation {
    /// The response, if it says what was asked for: a status from 200 to 299.
    pub fn success(&self) -> Option<&Response> {
        match &self.answer {
            Answer::Answered(response) if (200..300).contains(&response.status) => Some(response),
            Answer::Answered(_) | Answer::Unanswered { .. } => None,
        }
    }
}

impl Kept {
    /// The document, whole or as its excerpt; `None` of what is kept otherwise.
    pub fn document(&self) -> Option<&[u8]> {
        match self {
            Self::Whole { body: Body(bytes) } | Self::Excerpt { body: Body(bytes) } => Some(bytes),
            Self::Archive { .. } | Self::Digests { .. } | Self::Nothing => None,
        }
    }
}

/// What is to be kept of several looks at the same questions: of each question the latest answer that said what was asked
/// for, and only where there never was one, the latest of the others. So a later absence never erases what was seen.
pub fn keep(earlier: Vec<Observation>, seen: &[Observation]) -> Vec<Observation> {
    let mut kept = earlier;
    for new in seen {
        match kept.iter_mut().find(|old| old.subject == new.subject) {
            Some(old) if new.success().is_some() && old.success().is_none() => *old = new.clone(),
            Some(old) if new.success().is_some() == old.success().is_some() && new.at >= old.at => *old = new.clone(),
            Some(_better) => {}
            None => kept.push(new.clone()),
        }
    }
    kept.sort_by_key(|observation| observation.subject);
    kept
}

impl Dossier {
    /// A dossier of these observations.
    pub fn new(package: PackageVersion, observations: Vec<Observation>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            package,
            observations,
        }
    }

    /// The observation that answers `subject`, where a version has but one thing of the kind.
    pub fn observation(&self, subject: Subject) -> Option<&Observation> {
        self.observations
            .iter()
            .find(|observation| observation.subject == subject && observation.about.is_empty())
    }

    /// What was observed about one of several things, as a dossier about that thing alone.
    #[must_use]
    pub fn part(&self, about: &str) -> Self {
        let of_part = self
            .observations
            .iter()
            .filter(|observation| observation.about == about);
        let alone = of_part.map(|observation| Observation {
            about: String::new(),
            ..observation.clone()
        });
        Self::new(self.package.clone(), alone.collect())
    }

    /// Adds what was observed about one of several things.
    pub fn observe_part(&mut self, about: &str, part: Vec<Observation>) {
        for observation in part {
            self.observe(Observation {
                about: about.to_owned(),
                ..observation
            });
        }
    }

    /// Adds an observation. What was observed for the same question before is replaced: it stays in the dossier of the
    /// earlier look, which the store keeps.
    pub fn observe(&mut self, observation: Observation) {
        self.observations
            .retain(|earlier| earlier.subject != observation.subject || earlier.about != observation.about);
        self.observations.push(observation);
    }

    /// SHA-256 of the dossier's content: of its JSON form with the observations in the order of their questions.
    pub fn digest(&self) -> Digest {
        #[derive(Serialize)]
        struct Ordered<'a> {
            schema: &'a str,
            package: &'a PackageVersion,
            observations: Vec<&'a Observation>,
        }
        let mut observations: Vec<&Observation> = self.observations.iter().collect();
        observations.sort_by_key(|observation| (observation.subject, &observation.about));
        let ordered = Ordered {
            schema: &self.schema,
            package: &self.package,
            observations,
        };
        // Serialising to memory fails only for maps with keys that are not strings, and a dossier has no maps.
        Digest::sha256_of(&serde_json::to_vec(&ordered).unwrap_or_default())
    }
}
