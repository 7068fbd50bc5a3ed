//! What the path asks of the world. Adapters answer; the core knows only these traits.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::dossier::{Dossier, Observation, Subject};
use crate::history::PastRelease;
use crate::package::{Digest, PackageVersion};
use crate::verdict::Verdict;
use crate::verifier::Judge;

/// Whose doing a fault is. The side alone decides the HTTP status and whether a queue delivers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSide {
    /// The caller asked for something that cannot be: 4xx, and no retry.
    Caller,
    /// An upstream is in trouble: 503, and a retry.
    Upstream,
    /// This deployment is in trouble: 500, and a retry.
    Ours,
}

/// Selects a part of a body, a document of the same shape; `None` if the body is no such document.
pub type Select = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// How much of a body is kept, and how it is read.
#[derive(Clone)]
pub enum Keep {
    /// The whole body.
    Whole,
    /// What the function selects of a body that parses; the whole body if it returns `None`, up to 64 KiB of it, so that
    /// the check that finds it malformed has something to show.
    Excerpt(Select),
    /// Digests of a gzipped tar archive, and the bytes of `package.json` in its top folder; the archive itself is streamed
    /// and neither held in memory nor written to disk.
    NpmTarball,
}

/// How many redirects are followed where requests are not counted.
pub const REDIRECTS: u8 = 5;

/// One GET.
#[derive(Clone)]
pub struct Request {
    /// Which question it answers.
    pub subject: Subject,
    /// The URL, built from configuration and validated names alone.
    pub url: Url,
    /// The `Accept` header.
    pub accept: &'static str,
    /// How the body is read.
    pub keep: Keep,
    /// The most bytes read of the body, after transfer decoding; beyond it the answer is `TooLarge`.
    pub limit: u64,
    /// When the look began, stamped on the observation.
    pub at: Timestamp,
    /// The answer to the same question at an earlier look. With its entity tag the request is conditional, and a 304
    /// yields this answer again.
    pub previous: Option<Observation>,
    /// Whether caches on the way must not answer.
    pub uncached: bool,
    /// Whether trouble that may pass is asked about again at once, rather than at the next look.
    pub insist: bool,
    /// How many redirects may be followed. With one more the answer is [`Malformed`](crate::availability::UnavailableReason):
    /// asking again would lead the same way.
    pub redirects: u8,
}

/// Asks an upstream. Trouble is an observation too, so asking never fails.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Sends the request, retrying what is worth retrying, and returns what came of it.
    async fn fetch(&self, request: Request) -> Observation;
}

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreFault {
    /// The store could not be reached or is throttling.
    #[error("the store did not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row that this version cannot read.
    #[error("the store holds a row that cannot be read: {0}")]
    Corrupt(String),
}

/// What became of a verdict handed to the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// It is now the current verdict.
    Current {
        /// The verdict that it replaced.
        previous: Option<Box<Verdict>>,
    },
    /// A newer verdict, or a settled one that an indeterminate one must not replace, stays current.
    KeptExisting {
        /// The verdict that stays.
        current: Box<Verdict>,
    },
}

/// What the store remembers of a package version from earlier looks: an input of the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The SHA-512 that the registry's metadata named when this version was first seen, and when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<FirstSeen>,
    /// Earlier releases of the package, newest first, at most [`history::LIMIT`](crate::history::LIMIT).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastRelease>,
}

/// The first sight of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstSeen {
    /// The strongest digest in the registry's metadata at that time.
    pub integrity: Digest,
    /// When.
    pub at: Timestamp,
}

/// What of a forge is remembered, whichever package version asked about it first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TraceKey {
    /// One attempt of one workflow run.
    Run {
        /// The forge's id of the repository.
        repository: String,
        /// Id of the run.
        run: u64,
        /// Number of the attempt, from 1.
        attempt: u64,
    },
    /// One commit.
    Commit {
        /// The forge's id of the repository.
        repository: String,
        /// The commit, in hexadecimal.
        commit: String,
    },
}

/// Keeps verdicts, their history and their evidence.
#[async_trait]
pub trait VerdictStore: Send + Sync {
    /// The current verdict of a version.
    async fn current(&self, package: &PackageVersion) -> Result<Option<Verdict>, StoreFault>;

    /// What is remembered of a version.
    async fn memory(&self, package: &PackageVersion) -> Result<Memory, StoreFault>;

    /// Records a verdict with its dossier.
    ///
    /// A verdict never replaces a newer one, `indeterminate` never replaces a settled one, and `attested` none that tells of
    /// something by a check that now has no answer; either way the dossier is
    /// kept, a change of status or of the deciding checks is appended to the history, and `first_seen` is set once and
    /// never changed.
    async fn record(
        &self,
        verdict: &Verdict,
        dossier: &Dossier,
        first_seen: Option<&FirstSeen>,
    ) -> Result<Recorded, StoreFault>;

    /// The verdicts of a version at each change of its status or deciding checks, newest first, at most `limit`.
    async fn history(&self, package: &PackageVersion, limit: usize) -> Result<Vec<Verdict>, StoreFault>;

    /// The dossier with this digest, with its bodies.
    async fn dossier(&self, digest: &Digest) -> Result<Option<Dossier>, StoreFault>;

    /// What is kept of a run or a commit: [`keep`](crate::dossier::keep) of every look that was handed over.
    async fn recall(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault>;

    /// Keeps what a look at `at` saw of a run or a commit. What is kept never expires, no later absence replaces it, and
    /// each look is appended to those before. Handing the same look over twice changes nothing.
    async fn remember(&self, key: &TraceKey, seen: &[Observation], at: Timestamp) -> Result<(), StoreFault>;

    /// Keeps what a release proved, as part of the package's [`Memory`]; the last word on a version stays.
    async fn remember_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault>;

    /// Takes the right to verify a version until `until`; false where somebody else holds it. `now` decides expiry.
    async fn acquire_lease(
        &self,
        package: &PackageVersion,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreFault>;

    /// Gives the right back, if `holder` still has it.
    async fn release_lease(&self, package: &PackageVersion, holder: &str) -> Result<(), StoreFault>;

    /// The versions whose next look is due at `now`, the most overdue first, at most `limit`.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<PackageVersion>, StoreFault>;
}

/// The schema number of a work item.
pub const WORK_SCHEMA: u32 = 1;

/// Why a version is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkReason {
    /// A caller of the API asked.
    Api,
    /// It is part of a batch.
    Batch,
    /// A sweep found it.
    Sweep,
    /// Its next look is due.
    Recheck,
}

/// One message on the work queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkItem {
    /// [`WORK_SCHEMA`].
    pub schema: u32,
    /// The version to look at.
    pub package: PackageVersion,
    /// Why.
    pub reason: WorkReason,
    /// The batch that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
}

/// Why a message is not work.
#[derive(Debug, Error)]
pub enum WorkItemError {
    /// Not JSON, or not of the documented shape.
    #[error("the message is not a work item: {0}")]
    Malformed(String),
    /// Written by a newer version.
    #[error("the message has schema {0}, and this version reads schema {WORK_SCHEMA}")]
    Schema(u64),
}

impl WorkItem {
    /// A work item of the current schema.
    pub fn new(package: PackageVersion, reason: WorkReason) -> Self {
        Self {
            schema: WORK_SCHEMA,
            package,
            reason,
            batch: None,
        }
    }

    /// Decodes one message body. Bodies are decoded one by one, so that a malformed one fails alone.
    pub fn from_json(text: &str) -> Result<Self, WorkItemError> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|source| WorkItemError::Malformed(source.to_string()))?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema != u64::from(WORK_SCHEMA) => Err(WorkItemError::Schema(schema)),
            Some(_) => serde_json::from_value(value).map_err(|source| WorkItemError::Malformed(source.to_string())),
            None => Err(WorkItemError::Malformed("`schema` is missing".to_owned())),
        }
    }
}

/// Why work could not be handed over.
#[derive(Debug, Error)]
pub enum QueueFault {
    /// The queue could not be reached, or refused messages after every retry.
    #[error("{rejected} of {sent} messages were not accepted by the queue: {detail}")]
    Rejected {
        /// How many messages were handed over.
        sent: usize,
        /// How many of them were not accepted.
        rejected: usize,
        /// One sentence for people.
        detail: String,
    },
}

/// Hands work to whoever verifies.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Queues all items; what was accepted before a fault stays queued, which at-least-once delivery allows.
    async fn send(&self, items: &[WorkItem]) -> Result<(), QueueFault>;
}

/// Gives the judge of the moment: trust material is refreshed while a process lives.
#[async_trait]
pub trait Judges: Send + Sync {
    /// The judge to use at `now`.
    async fn judge(&self, now: Timestamp) -> Arc<Judge>;
}
