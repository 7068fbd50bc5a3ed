//! What the path asks of the world. Adapters answer; the core knows only these traits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::check::CheckId;
use crate::dossier::{Dossier, Observation, Subject};
use crate::history::PastRelease;
use crate::network::PeerAgreement;
use crate::package::{Digest, Ecosystem, PackageName, PackageVersion};
use crate::verdict::{Questions, SCHEMA, Status, Verdict, VerifierIdentity};
use crate::verifier::Judge;

mod sign;

pub use sign::{Sign, SignFault, SignatureStore};

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
    /// Digests of a Python distribution, and the bytes of its core metadata: `PKG-INFO` in the top folder of a source
    /// distribution, `METADATA` in the `.dist-info` folder of a wheel. A gzipped tar archive is streamed; a zip archive, which
    /// can only be read from its end, is held in memory up to a limit, and beyond it only digested.
    Distribution,
    /// Digests of the body, whatever it is; it is streamed, and nothing of it is kept.
    Digests,
}

/// How many redirects are followed where requests are not counted.
pub const REDIRECTS: u8 = 5;

/// What a question consists of that is more than a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// One question to an upstream: a GET, or a POST that asks.
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
    /// Whether only what has changed since then is wanted. Nothing is answered with a 304 and no body.
    pub modified_since: Option<Timestamp>,
    /// What is sent with it; a GET if that is nothing. Only a question that changes nothing may be sent so.
    pub post: Option<Post>,
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
        /// What is owed to everybody who listens, if it changed anything.
        announcement: Option<Box<Announcement>>,
    },
    /// A newer verdict, or a settled one that an indeterminate one must not replace, stays current.
    KeptExisting {
        /// The verdict that stays.
        current: Box<Verdict>,
    },
}

/// What the store remembers of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// As in [`Memory::history`].
    pub history: Vec<PastRelease>,
    /// As in [`Memory::watched`].
    pub watched: bool,
    /// Whether the package was met: where not, nothing is remembered of releases until then.
    pub met: bool,
}

/// What is remembered of a package version from earlier looks: an input of the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The SHA-512 that the registry's metadata named when this version was first seen, and when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<FirstSeen>,
    /// Releases of the package that were published until this one was, newest first; of stable and of prereleases at most
    /// [`history::LIMIT`](crate::history::LIMIT) accepted ones each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastRelease>,
    /// Whether some of the releases before the first that was looked at could not be asked about: what is not in
    /// [`history`](Self::history) is not known then, rather than new. Not kept: it is about this look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history_has_gaps: bool,
    /// What else the same publisher released lately, newest first, at most [`history::SIBLINGS`](crate::history::SIBLINGS);
    /// where there are so many, as many from before the last day besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Sibling>,
    /// Whether the package is on the watch list, so that its versions are looked at for as long as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watched: bool,
}

/// A release by the same publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sibling {
    /// The version.
    pub package: PackageVersion,
    /// When it was published.
    pub published_at: Timestamp,
}

/// A change of a verdict: another status, or other deciding checks, than the verdict before. A first verdict is one if it
/// tells of something, or if its version is looked at again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The version.
    pub package: PackageVersion,
    /// The status now.
    pub status: Status,
    /// The checks that decided it.
    pub decided_by: Vec<CheckId>,
    /// The status before; `None` for a first verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_status: Option<Status>,
    /// The checks that decided it before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previously_decided_by: Vec<CheckId>,
    /// The three questions, as answered now.
    pub questions: Questions,
    /// When the verdict was made.
    pub checked_at: Timestamp,
    /// Digest of the dossier that it rests on.
    pub dossier: Digest,
    /// Who decided.
    pub verifier: VerifierIdentity,
}

/// A change that is owed to whoever listens until its delivery is noted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// Its name: the same change has the same, so that a listener can tell a repetition.
    pub id: String,
    /// What changed.
    pub change: Change,
}

/// The first sight of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstSeen {
    /// The strongest digest in the registry's metadata at that time; or, where the registry had not signed that, in the first
    /// metadata that it had signed. Of several files, the digest of the list of them.
    pub integrity: Digest,
    /// When the version was first seen.
    pub at: Timestamp,
    /// Where a version may have several files, the digest of each as it was first seen. Files are added, and none is changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, Digest>,
    /// Whether the registry's signature over this digest was valid, or the registry signs nothing. What anybody between the
    /// registry and here can have written accuses nobody.
    #[serde(default)]
    pub signed: bool,
}

impl FirstSeen {
    /// What was seen at `at` of the files of a version: by name, where it may have several, and by the empty name otherwise.
    /// `None` if that is nothing.
    pub fn of(mut declared: BTreeMap<String, Digest>, at: Timestamp, signed: bool) -> Option<Self> {
        if declared.is_empty() {
            return None;
        }
        let integrity = declared.remove("").unwrap_or_else(|| {
            let line = |(name, digest): (&String, &Digest)| format!("{digest} {name}\n");
            let lines: String = declared.iter().map(line).collect();
            Digest::sha256_of(lines.as_bytes())
        });
        Some(Self {
            integrity,
            at,
            artifacts: declared,
            signed,
        })
    }

    /// The digest of a file as it was first seen; the empty name is that of the only one.
    pub fn digest_of(&self, artifact: &str) -> Option<&Digest> {
        if artifact.is_empty() {
            Some(&self.integrity)
        } else {
            self.artifacts.get(artifact)
        }
    }

    /// What stays, given what is kept: the first sight, or the first that the registry signed, with the time of the first; and
    /// files that were added since.
    #[must_use]
    pub fn after(self, kept: Option<&Self>) -> Self {
        let Some(kept) = kept else { return self };
        let mut artifacts = self.artifacts.clone();
        artifacts.extend(kept.artifacts.clone());
        let stays = if self.signed && !kept.signed {
            self
        } else {
            kept.clone()
        };
        Self {
            at: kept.at,
            artifacts,
            ..stays
        }
    }
}

/// What of a forge is remembered, whichever package version asked about it first: one attempt of one workflow run, and the commit
/// that it was of. A commit may have any number of runs, and an attempt is of one commit, which all of its certificates name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceKey {
    /// The forge's id of the repository.
    pub repository: String,
    /// Id of the run.
    pub run: u64,
    /// Number of the attempt, from 1.
    pub attempt: u64,
    /// The commit, in hexadecimal, if the certificate names one.
    pub commit: Option<String>,
}

/// A verdict in JSON, read no further than to tell that it is one and whether it may still be served. What is asked for most often, what is remembered
/// and valid, is answered as it was recorded, with the severities that the checks had then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictText {
    json: String,
    head: VerdictHead,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerdictHead {
    schema: String,
    valid_until: Timestamp,
    removed_at: Option<Timestamp>,
}

impl VerdictText {
    /// The verdict that was recorded as this JSON, with the mark of a version that the registry does not serve any more: it is put on
    /// a verdict later, so that what was recorded does not tell of it.
    pub fn recorded(json: Vec<u8>, removed_at: Option<Timestamp>) -> Result<Self, StoreFault> {
        let json = String::from_utf8(json).map_err(corrupt_verdict)?;
        let head = serde_json::from_str(&json).map_err(corrupt_verdict)?;
        let text = Self { json, head };
        if text.head.schema == SCHEMA && text.head.removed_at == removed_at {
            return Ok(text);
        }
        Self::of(&Verdict {
            removed_at,
            ..text.verdict()?
        })
    }

    /// The text of a verdict.
    pub fn of(verdict: &Verdict) -> Result<Self, StoreFault> {
        Ok(Self {
            json: serde_json::to_string(verdict).map_err(corrupt_verdict)?,
            head: VerdictHead {
                schema: verdict.schema.clone(),
                valid_until: verdict.valid_until,
                removed_at: verdict.removed_at,
            },
        })
    }

    /// Until when the verdict may be served without looking again.
    pub fn valid_until(&self) -> Timestamp {
        self.head.valid_until
    }

    /// The JSON.
    pub fn into_json(self) -> String {
        self.json
    }

    /// All of the verdict.
    pub fn verdict(&self) -> Result<Verdict, StoreFault> {
        serde_json::from_str(&self.json).map_err(corrupt_verdict)
    }
}

fn corrupt_verdict(source: impl fmt::Display) -> StoreFault {
    StoreFault::Corrupt(format!("a verdict: {source}"))
}

/// Keeps verdicts, their history and their evidence.
#[async_trait]
pub trait VerdictStore: Send + Sync {
    /// When the version was last looked at, whatever came of it: a look may leave the earlier verdict, which does not say so.
    /// `None` if there is no verdict.
    async fn last_look(&self, package: &PackageVersion) -> Result<Option<Timestamp>, StoreFault>;

    /// The current verdict of a version, as it was recorded.
    async fn current_text(&self, package: &PackageVersion) -> Result<Option<VerdictText>, StoreFault>;

    /// The current verdict of a version.
    async fn current(&self, package: &PackageVersion) -> Result<Option<Verdict>, StoreFault> {
        let text = self.current_text(package).await?;
        text.map(|text| text.verdict()).transpose()
    }

    /// What was seen first of a version; `None` if there is no verdict, or its registry names no digest.
    async fn first_seen(&self, package: &PackageVersion) -> Result<Option<FirstSeen>, StoreFault>;

    /// What is remembered of the package of a version, of releases until `until` where that is known.
    async fn past(&self, package: &PackageVersion, until: Option<Timestamp>) -> Result<Past, StoreFault>;

    /// Notes that the registry does not serve the version any more, as of `at`. Its verdict stays current, marked, is not
    /// due any more, and is returned; `None` if there is none. The first mark stays, until a verdict of a later look takes its
    /// place; a verdict of a later look than `at` stays without one.
    async fn mark_removed(&self, package: &PackageVersion, at: Timestamp) -> Result<Option<Verdict>, StoreFault>;

    /// Records a verdict with its dossier.
    ///
    /// A verdict never replaces a newer one, `indeterminate` never replaces a settled one, and `attested` none that tells of
    /// something by a check that now has no answer; either way the dossier is
    /// kept, a change of status or of the deciding checks is appended to the history, and of what is handed over as
    /// `first_seen` [what stays](FirstSeen::after) is kept. What becomes current and changes something is owed to the listeners
    /// from the same instant: there is no moment at which the one is written and the other is not.
    ///
    /// `is_first` says that whoever holds the lease found no verdict: it spares a read, and decides nothing. From when a verdict
    /// is recorded the lease on its version has [ended](Self::acquire_lease).
    async fn record(
        &self,
        verdict: &Verdict,
        dossier: &Dossier,
        first_seen: Option<&FirstSeen>,
        is_first: bool,
    ) -> Result<Recorded, StoreFault>;

    /// The verdicts of a version at each change of its status or deciding checks, of those not later than `until`, newest first, at
    /// most `limit`.
    async fn history(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Verdict>, StoreFault>;

    /// The dossier with this digest, with its bodies.
    async fn dossier(&self, digest: &Digest) -> Result<Option<Dossier>, StoreFault>;

    /// What is kept of a run and of its commit: [`keep`](crate::dossier::keep) of every look that was handed over. What is
    /// [of the commit](crate::dossier::Scope) is found through whichever of its runs it was seen, however many it has, where no more
    /// than thirty that were never seen are looked at at once; what is of a run, through that one alone.
    async fn recall(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault>;

    /// Keeps what a look at `at` saw of a run and of its commit. What is kept never expires, no later absence replaces it, and
    /// each look is appended to those before. Handing the same look over twice changes nothing. Whoever looks has
    /// [recalled](Self::recall) before what there was: that makes sure of what was seen of a commit with many runs.
    ///
    /// `is_first` says that nothing was [recalled](Self::recall): it spares a read, and decides nothing.
    async fn remember(
        &self,
        key: &TraceKey,
        seen: &[Observation],
        at: Timestamp,
        is_first: bool,
    ) -> Result<(), StoreFault>;

    /// Keeps what a release proved, as part of the package's [`Past`]; the last word on a version stays.
    async fn remember_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault>;

    /// Keeps what the first look at a package, and at this version, taught of its releases: of its own, if anything, and what was
    /// read from the registry's list of versions. False if there was such a look before, and nothing is kept then.
    async fn meet(
        &self,
        package: &PackageVersion,
        own: Option<&PastRelease>,
        listed: &[PastRelease],
    ) -> Result<bool, StoreFault>;

    /// What is remembered of these versions of a package, in any order, however many came after them.
    async fn releases(&self, name: &PackageName, versions: &[String]) -> Result<Vec<PastRelease>, StoreFault>;

    /// The versions of a package of which something is remembered, the latest to be published first, at most `limit`.
    async fn remembered(&self, name: &PackageName, limit: usize) -> Result<Vec<String>, StoreFault>;

    /// Enters releases that were read from the registry's list of versions, none over what is remembered: a word of one's own
    /// counts beside them.
    async fn fill_timeline(&self, name: &PackageName, releases: &[PastRelease]) -> Result<(), StoreFault>;

    /// Notes that a publisher, named by an opaque text, released a version. Noting it again changes nothing.
    async fn remember_publication(&self, publisher: &str, sibling: &Sibling) -> Result<(), StoreFault>;

    /// What a publisher released until `until`, newest first, at most `limit`.
    async fn published_by(&self, publisher: &str, until: Timestamp, limit: usize) -> Result<Vec<Sibling>, StoreFault>;

    /// Takes the right to verify a version until `until`; false where somebody else holds it. `now` decides expiry.
    ///
    /// `after` is when the [last look](Self::last_look) was that whoever asks knows of. A lease ends with the first look that is
    /// recorded after it was taken: whoever knows of a later look than its holder did, takes it over. So a look that is
    /// recorded need not give it back, unless it `outlasts_looks`: then it ends when it is given back, or expires.
    async fn acquire_lease(
        &self,
        package: &PackageVersion,
        holder: &str,
        after: Option<Timestamp>,
        outlasts_looks: bool,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreFault>;

    /// Gives the right back, if `holder` still has it.
    async fn release_lease(&self, package: &PackageVersion, holder: &str) -> Result<(), StoreFault>;
}

/// Something that is to be done at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Look at a version again.
    Version(PackageVersion),
    /// Look for new versions of a watched package.
    Package(PackageName),
    /// Hand over what of a batch has no verdict yet.
    Batch(String),
}

/// A task whose time has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Due {
    /// What is to be done.
    pub task: Task,
    /// Since when.
    pub since: Timestamp,
}

/// Keeps what is to be done when, and how far a feed was read.
#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// What is due at `now`, the most overdue first, at most `limit`.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreFault>;

    /// Puts a task off until `until`, unless it is not due any more since when it was read; then false. Of several who claim
    /// one task one succeeds.
    async fn claim(&self, due: &Due, until: Timestamp) -> Result<bool, StoreFault>;

    /// How far a feed was read; `None` before the first time.
    async fn cursor(&self, feed: &str) -> Result<Option<u64>, StoreFault>;

    /// Notes that a feed was read from `from` to `to`; false if somebody else has moved it since. It never moves back by this.
    async fn advance_cursor(&self, feed: &str, from: Option<u64>, to: u64) -> Result<bool, StoreFault>;

    /// Notes that a feed was numbered anew, and is read from `to` on; false if somebody else has moved the place from `from`.
    async fn reset_cursor(&self, feed: &str, from: u64, to: u64) -> Result<bool, StoreFault>;
}

/// A package on the watch list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// The package, as a purl without version.
    pub package: PackageName,
    /// Since when.
    pub since: Timestamp,
    /// The publication time of the newest version that was handed over; `None` before the first look for versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_until: Option<Timestamp>,
    /// When new versions are looked for next, if the registry's feed does not show any before.
    pub next_look_at: Timestamp,
}

/// Keeps the watch list.
#[async_trait]
pub trait WatchStore: Send + Sync {
    /// Puts a package on the list, due at once; one that is on it stays as it is. Returns its entry.
    async fn watch(&self, name: &PackageName, now: Timestamp) -> Result<Watched, StoreFault>;

    /// Takes a package off the list; false if it was not on it.
    async fn unwatch(&self, name: &PackageName) -> Result<bool, StoreFault>;

    /// The entry of a package.
    async fn watched(&self, name: &PackageName) -> Result<Option<Watched>, StoreFault>;

    /// Which of these packages are on the list; any number of names, in any order.
    async fn watched_among(&self, names: &[PackageName]) -> Result<Vec<PackageName>, StoreFault>;

    /// Whether any package of an ecosystem is on the list.
    async fn watches_any(&self, ecosystem: Ecosystem) -> Result<bool, StoreFault>;

    /// The list in the order of purls, after `after`, at most `limit`.
    async fn watch_list(&self, after: Option<&PackageName>, limit: usize) -> Result<Vec<Watched>, StoreFault>;

    /// Has new versions of a package looked for by `at` at the latest, whoever writes its entry at the same moment. Nothing
    /// happens to a package that is not on the list, or whose time comes sooner.
    async fn look_by(&self, name: &PackageName, at: Timestamp) -> Result<(), StoreFault>;

    /// Puts a package off that could not be asked about: it is due at `until`, and the entry stays as it is. False if the
    /// entry is no longer as `before` says, or gone.
    async fn put_off(&self, before: &Watched, until: Timestamp) -> Result<bool, StoreFault>;

    /// Notes how far new versions were handed over, and when to look next. False if the entry is no longer as `before`
    /// says, or gone.
    async fn handed_over(
        &self,
        before: &Watched,
        seen_until: Option<Timestamp>,
        next_look_at: Timestamp,
    ) -> Result<bool, StoreFault>;
}

/// A set of versions that was handed in at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// Its name.
    pub id: String,
    /// How many different versions it has.
    pub total: usize,
    /// When it was handed in.
    pub created_at: Timestamp,
    /// Until when it can be asked about.
    pub expires_at: Timestamp,
}

/// How far one version of a batch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Progress {
    /// There is no verdict yet.
    Pending,
    /// There is a verdict.
    #[serde(rename_all = "camelCase")]
    Done {
        /// Its status.
        status: Status,
        /// The checks that decided it.
        decided_by: Vec<CheckId>,
        /// When it was made.
        checked_at: Timestamp,
    },
    /// There never will be one.
    Failed {
        /// The code that the API answers for this version.
        code: String,
        /// One sentence for people.
        message: String,
    },
}

/// One version of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItem {
    /// The version.
    pub package: PackageVersion,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
}

/// Keeps batches.
#[async_trait]
pub trait BatchStore: Send + Sync {
    /// Keeps a batch of these different versions, all pending, due at `due_at`; once it can be read, it is whole.
    async fn create_batch(
        &self,
        batch: &Batch,
        packages: &[PackageVersion],
        due_at: Timestamp,
    ) -> Result<(), StoreFault>;

    /// A batch; `None` if there is none, or it has expired at `now`.
    async fn batch(&self, id: &str, now: Timestamp) -> Result<Option<Batch>, StoreFault>;

    /// The versions of a batch in the order of their purls, after `after`, at most `limit`; none of a batch that has expired at
    /// `now`.
    async fn batch_items(
        &self,
        id: &str,
        after: Option<&PackageVersion>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<BatchItem>, StoreFault>;

    /// Notes at `at` how far these versions are. The last word on each stays, but of two verdicts the later one, and a verdict
    /// whatever failed besides; of a batch or version that is not there nothing is noted.
    async fn note_progress(&self, id: &str, items: &[BatchItem], at: Timestamp) -> Result<(), StoreFault>;

    /// Notes that nothing is left to hand over: the batch is not due any more.
    async fn finish_batch(&self, id: &str) -> Result<(), StoreFault>;
}

/// Keeps what is owed, and what has changed.
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// Announcements of changes until `until` that are still owed, oldest first, at most `limit`.
    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Announcement>, StoreFault>;

    /// Notes that an announcement was delivered.
    async fn delivered(&self, announcement: &Announcement) -> Result<(), StoreFault>;

    /// Changes after `after`, those until `until`, oldest first, at most `limit`, with where to go on from.
    ///
    /// A look takes a while, and its verdict bears the time at which it began: with an `until` that is nearer to the present
    /// than a look may last, what is recorded afterwards is passed over.
    async fn changes(&self, after: &ChangesAfter, until: Timestamp, limit: usize) -> Result<Changes, StoreFault>;
}

/// Where to go on reading changes. Its text is what [`Changes::next`] carries; the order of texts is the order of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangesAfter {
    /// From an instant on.
    Instant(Timestamp),
    /// After one change.
    Change {
        /// When its verdict was made.
        checked_at: Timestamp,
        /// The name of its announcement, which is a digest.
        id: Digest,
    },
}

impl ChangesAfter {
    /// Reads an instant, or the place that an earlier answer gave; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('_') {
            None => text.parse().ok().map(Self::Instant),
            Some((checked_at, id)) => Some(Self::Change {
                checked_at: checked_at.parse().ok()?,
                id: format!("sha256:{id}").parse().ok()?,
            }),
        }
    }
}

impl fmt::Display for ChangesAfter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With all nine decimals, so that the order of texts is the order of time, and without a character that a query
        // string would have to escape.
        match self {
            Self::Instant(instant) => write!(formatter, "{instant:.9}"),
            Self::Change { checked_at, id } => write!(formatter, "{checked_at:.9}_{}", id.to_hex()),
        }
    }
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// The place after the last of them, or after everything that was looked through. One call looks through a bounded
    /// stretch of time: fewer changes than were asked for, even none, do not mean that this is the end.
    pub next: String,
}

/// Everything that a deployment remembers.
pub trait Store: VerdictStore + ScheduleStore + WatchStore + BatchStore + ChangeStore + SignatureStore {}

impl<T: VerdictStore + ScheduleStore + WatchStore + BatchStore + ChangeStore + SignatureStore> Store for T {}

/// Keeps the signed files from which trust material is made, for every process of a deployment: one that starts has them
/// without asking anybody, also while their source cannot be reached.
///
/// Nothing in them is believed for coming from here. They are verified again from the root that each process starts with,
/// as of the time at which they were fetched.
#[async_trait]
pub trait TrustStore: Send + Sync {
    /// The document that was kept last.
    async fn trust(&self) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Keeps a document of this time, unless there is a younger one.
    async fn keep_trust(&self, document: &[u8], fetched_at: Timestamp) -> Result<(), StoreFault>;
}

/// Tells whoever listens.
#[async_trait]
pub trait Announce: Send + Sync {
    /// Delivers announcements, and returns the ids of those that were accepted. Trouble is logged by the adapter: what is
    /// not accepted stays owed.
    async fn announce(&self, announcements: &[Announcement]) -> Vec<String>;
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

impl WorkReason {
    /// The stable spelling, as a message and the log carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Batch => "batch",
            Self::Sweep => "sweep",
            Self::Recheck => "recheck",
        }
    }
}

/// One message on the work queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkItem {
    /// [`WORK_SCHEMA`].
    pub schema: u32,
    /// What to look at.
    pub package: Target,
    /// Why.
    pub reason: WorkReason,
    /// The batch that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// When it was asked for: a look that began since has done the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
}

/// What a work item is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// One version, a purl with a version.
    Version(PackageVersion),
    /// The new versions of a package, a purl without one.
    Package(PackageName),
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(package) => formatter.write_str(&package.to_purl()),
            Self::Package(name) => formatter.write_str(&name.to_purl()),
        }
    }
}

/// Why a message is not work.
#[derive(Debug, Error)]
pub enum WorkItemError {
    /// Not JSON, or not of the documented shape.
    #[error("the message is not a work item: {0}")]
    Malformed(String),
    /// Written by a newer version, which can read it.
    #[error("the message has schema {0}, and this version reads schema {WORK_SCHEMA}")]
    NewerSchema(u64),
}

impl WorkItem {
    /// A work item of the current schema.
    pub fn new(package: Target, reason: WorkReason, asked_at: Timestamp) -> Self {
        Self {
            schema: WORK_SCHEMA,
            package,
            reason,
            batch: None,
            asked_at: Some(asked_at),
        }
    }

    /// Decodes one message body. Bodies are decoded one by one, so that a malformed one fails alone.
    pub fn from_json(text: &str) -> Result<Self, WorkItemError> {
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|source| WorkItemError::Malformed(source.to_string()))?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema > u64::from(WORK_SCHEMA) => Err(WorkItemError::NewerSchema(schema)),
            Some(schema) if schema < u64::from(WORK_SCHEMA) => {
                Err(WorkItemError::Malformed(format!("there never was a schema {schema}")))
            }
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

/// Why nobody can work on a message as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Poison {
    /// It is no work item.
    Malformed,
    /// A newer version wrote it.
    NewerSchema,
    /// What it is about makes this version panic.
    Panicked,
}

impl Poison {
    /// The stable spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NewerSchema => "newerSchema",
            Self::Panicked => "panicked",
        }
    }
}

/// Something that is counted or measured while a deployment works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// A look made a verdict, whether that is now current or left the earlier one.
    Verdict {
        /// Of a version of this ecosystem.
        ecosystem: Ecosystem,
        /// The status.
        status: Status,
        /// How long the look took.
        took: Duration,
        /// How many requests upstreams answered or left unanswered for it, redirects included and repetitions not.
        asked: u32,
    },
    /// A verdict that was remembered, or that somebody else has just made, answered.
    CachedAnswer {
        /// Of a version of this ecosystem.
        ecosystem: Ecosystem,
    },
    /// So many messages of one event go back to the queue.
    MessagesReturned(usize),
    /// A message asks for what can never be, such as a version that does not exist, and was taken off the queue.
    MessageHopeless,
    /// A message that nobody can work on.
    MessagePoison(Poison),
    /// A sweep came to its end.
    Sweep {
        /// How many due tasks it handed over.
        tasks: usize,
        /// How many of its parts failed.
        troubles: usize,
    },
    /// By how much the most overdue task was late when a sweep looked; nothing is due: zero.
    OldestDue(SignedDuration),
    /// What peers say of a version was compared with our own word.
    Comparison(PeerAgreement),
    /// Announcements were handed to whoever listens.
    Announcements {
        /// How many were accepted, and noted as such.
        delivered: usize,
        /// How many are still owed.
        owed: usize,
    },
}

/// Keeps count of what a deployment does.
pub trait Meter: Send + Sync {
    /// Takes a measurement down.
    fn measure(&self, measurement: &Measurement, at: Timestamp) {
        self.measure_all(std::slice::from_ref(measurement), at);
    }

    /// Takes measurements down that come together. It never fails and never waits: work goes on whether or not anybody counts.
    fn measure_all(&self, measurements: &[Measurement], at: Timestamp);
}

/// Gives the judge of the moment: trust material is refreshed while a process lives.
#[async_trait]
pub trait Judges: Send + Sync {
    /// The judge to use at `now`.
    async fn judge(&self, now: Timestamp) -> Arc<Judge>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_the_changes_is_read_as_it_was_written() {
        let checked_at: Timestamp = "2026-11-22T10:00:00.5Z".parse().unwrap();
        let id = Digest::sha256_of(b"a change");
        let change = ChangesAfter::Change {
            checked_at,
            id: id.clone(),
        };
        for (place, text) in [
            (
                ChangesAfter::Instant(checked_at),
                "2026-11-22T10:00:00.500000000Z".to_owned(),
            ),
            (change, format!("2026-11-22T10:00:00.500000000Z_{}", id.to_hex())),
        ] {
            assert_eq!(place.to_string(), text);
            assert_eq!(ChangesAfter::parse(&text), Some(place));
            assert!(
                text.chars()
                    .all(|character| character.is_ascii_alphanumeric() || "-.:_".contains(character)),
                "a query string carries it as it is"
            );
        }
        let instant = ChangesAfter::parse("2026-11-22T12:00:00.5+02:00");
        assert_eq!(
            instant,
            Some(ChangesAfter::Instant(checked_at)),
            "callers write instants as they like"
        );
    }

    #[test]
    fn what_is_no_place_among_the_changes_is_refused() {
        let digest = Digest::sha256_of(b"a change").to_hex();
        let instant = "2026-11-22T10:00:00Z";
        for text in [
            "",
            "_",
            "yesterday",
            "1",
            "2026-11-22",
            "2026-11-22T10:00:00",
            &digest,
            &format!("_{digest}"),
            &format!("{instant}_"),
            &format!("{instant}_{}", &digest[1..]),
            &format!("{instant}_{digest}_"),
            &format!("{instant}_{}", "x".repeat(64)),
            &format!("{instant}_sha256:{digest}"),
            &format!("yesterday_{digest}"),
        ] {
            assert_eq!(ChangesAfter::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_order_of_places_is_the_order_of_their_texts() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let change = |text, id: &[u8]| ChangesAfter::Change {
            checked_at: at(text),
            id: Digest::sha256_of(id),
        };
        let places = [
            ChangesAfter::Instant(at("2026-11-22T09:59:59.9Z")),
            change("2026-11-22T09:59:59.9Z", b"a"),
            ChangesAfter::Instant(at("2026-11-22T10:00:00Z")),
            change("2026-11-22T10:00:00Z", b"b"),
            ChangesAfter::Instant(at("2026-11-22T10:00:00.000000001Z")),
            change("2026-11-23T10:00:00Z", b"c"),
        ];
        assert!(places.map(|place| place.to_string()).is_sorted());
    }
}
