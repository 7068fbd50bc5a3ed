//! The service: what is remembered, the path, what is recorded. The three functions and the command line are thin hosts of
//! it, and differ only in where the coordinate comes from and where the verdict goes.

mod asking;
mod attest;
mod batches;
mod network;
mod sweep;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::authenticate::AuthenticatedRelease;
use crate::check::{Finding, Outcome, UnknownReason};
use crate::dossier::Dossier;
use crate::ecosystem::{self, Look, LookFault, Resolved, Upstreams};
use crate::forge::github::{self, Destination};
use crate::history::{BURST, PastRelease, SETTLED, SIBLINGS};
use crate::network::Peer;
use crate::package::{Coordinate, PackageVersion, Selector};
use crate::ports::{
    Announce, Announcement, FaultSide, Fetch, Judges, Measurement, Memory, Meter, QueueFault, Recorded, Sibling,
    SignFault, Store, StoreFault, VerdictText, WorkQueue, WorkReason,
};
use crate::summary::NoSummary;
use crate::verdict::{Status, Verdict};
use crate::verifier::{Case, Judge, Judgement, first_seen, publisher, supplement};

use asking::Asking;
pub use asking::Until;
pub use attest::{PublishedKey, Signing};
pub use batches::{BATCH_LIMIT, BatchState};
pub use sweep::{Read, Swept};
pub use work::{Note, Worked};

/// For how long one look holds the right to a version. Longer than any look lasts, so that only a dead worker's lease
/// expires while it matters: one that was killed, or whose host ended without letting it finish. It is over before a queue
/// delivers the message of that worker again.
const LEASE: SignedDuration = SignedDuration::from_secs(120);
/// How often and how long a caller waits for the look of somebody else.
const WAIT_STEP: Duration = Duration::from_millis(250);
const WAIT_STEPS: u32 = 40;
/// After how many seconds a caller is asked to come back, where nobody else says.
pub(crate) const RETRY_AFTER: u64 = 10;

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum ServiceFault {
    /// The registry gave no version to judge.
    #[error(transparent)]
    Look(#[from] LookFault),
    /// The store is in trouble.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The queue is in trouble.
    #[error(transparent)]
    Queue(#[from] QueueFault),
    /// What is asked for is not signed.
    #[error(transparent)]
    NoSummary(#[from] NoSummary),
    /// There is nothing to sign with.
    #[error("this verifier signs nothing: it has no key, which HEKATE_SIGNING_KEY would name")]
    NoKey,
    /// There is nobody to compare with.
    #[error("this verifier has no peers, which HEKATE_PEERS would name")]
    NoPeers,
    /// The signing key is in trouble.
    #[error(transparent)]
    Sign(#[from] SignFault),
    /// Somebody else has been looking at the version for too long to wait.
    #[error("{0} is being verified by somebody else; ask again in a moment")]
    Busy(PackageVersion),
    /// There was no time left to record what a look has found.
    #[error("{0} could not be verified in the time that was left; ask again in a moment")]
    OutOfTime(PackageVersion),
}

impl ServiceFault {
    /// Whose doing it is.
    pub fn side(&self) -> FaultSide {
        match self {
            Self::Look(fault) => fault.side(),
            Self::Sign(fault) => fault.side(),
            Self::NoSummary(_) | Self::NoKey | Self::NoPeers => FaultSide::Caller,
            Self::Store(_) | Self::Queue(_) | Self::Busy(_) | Self::OutOfTime(_) => FaultSide::Ours,
        }
    }

    /// The stable code by which callers tell faults apart.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Look(LookFault::NotFound(_)) => "not_found",
            Self::Look(LookFault::Upstream { .. }) => "upstream_unavailable",
            Self::Store(_) => "store_unavailable",
            Self::Queue(_) => "queue_unavailable",
            Self::NoSummary(_) => "no_summary",
            Self::NoKey => "no_signing_key",
            Self::NoPeers => "no_peers",
            Self::Sign(_) => "signing_unavailable",
            Self::Busy(_) => "busy",
            Self::OutOfTime(_) => "out_of_time",
        }
    }

    /// After how many seconds to ask again, for faults that pass.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Look(LookFault::NotFound(_)) | Self::NoSummary(_) | Self::NoKey | Self::NoPeers => None,
            Self::Look(LookFault::Upstream { retry_after, .. }) => Some(retry_after.unwrap_or(RETRY_AFTER)),
            Self::Store(_) | Self::Queue(_) | Self::Sign(_) | Self::Busy(_) | Self::OutOfTime(_) => Some(RETRY_AFTER),
        }
    }
}

/// How recent a verdict has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As remembered, as long as it is valid.
    Remembered,
    /// Of a look that is not longer ago than this.
    Within(SignedDuration),
    /// Of a look that begins now.
    Anew,
}

/// A verdict, with what was looked at for it.
#[derive(Debug)]
pub struct Looked {
    /// The verdict that is now current.
    pub verdict: Verdict,
    /// Everything that it is a function of. `None` if it was remembered rather than made.
    pub case: Option<Box<Case>>,
}

impl Looked {
    fn remembered(verdict: Verdict) -> Self {
        Self { verdict, case: None }
    }
}

/// On whose behalf a look is made.
#[derive(Clone, Copy)]
struct Occasion {
    reason: WorkReason,
    freshness: Freshness,
    now: Timestamp,
}

impl Occasion {
    fn of_the_api(freshness: Freshness, now: Timestamp) -> Self {
        Self {
            reason: WorkReason::Api,
            freshness,
            now,
        }
    }

    /// Whether this verdict is what is asked for, whenever the last look was.
    fn is_content_with(self, text: &VerdictText) -> bool {
        self.freshness == Freshness::Remembered && text.valid_until() > self.now
    }
}

/// What is remembered of a package, and what it was found to lack.
struct Recollection {
    memory: Memory,
    learnt: Learnt,
    /// The versions whose releases are known by now, remembered or learnt.
    known: BTreeSet<String>,
}

/// What a look teaches of earlier releases of the package.
struct Learnt {
    /// Those that were read from the registry's list of versions, since nothing was remembered of them.
    listed: Vec<PastRelease>,
    /// Whether anything was remembered of the package.
    met: bool,
}

/// What there was before a look.
struct Before {
    verdict: Option<Verdict>,
    /// Whether there was no verdict when the lease was taken.
    is_first: bool,
    learnt: Learnt,
}

/// What the making of a verdict took.
struct Effort {
    began: Instant,
    asked: u32,
}

/// What a deployment is made of. It has no state of its own: any number of invocations share one.
#[derive(Clone)]
pub struct Service {
    /// Asks upstreams.
    pub fetch: Arc<dyn Fetch>,
    /// Remembers.
    pub store: Arc<dyn Store>,
    /// Hands work over.
    pub queue: Arc<dyn WorkQueue>,
    /// Tells whoever listens.
    pub announcer: Arc<dyn Announce>,
    /// Judges.
    pub judges: Arc<dyn Judges>,
    /// Base URLs of everybody who is asked.
    pub upstreams: Upstreams,
    /// Keeps count.
    pub meter: Arc<dyn Meter>,
    /// Signs what it says.
    pub signing: Signing,
    /// Other verifiers, whose word is compared with its own.
    pub peers: Arc<[Peer]>,
    /// By which name this process holds leases.
    pub holder: String,
    /// By when whoever asks wants an answer; `None`, whenever it comes.
    pub until: Option<Until>,
}

impl Service {
    /// The same for somebody who can wait so long.
    #[must_use]
    pub fn within(&self, until: Until) -> Self {
        Self {
            until: Some(until),
            ..self.clone()
        }
    }

    /// The verdict on a coordinate: remembered if one is current and `fresh` is not asked for, made otherwise.
    pub async fn verdict(&self, coordinate: &Coordinate, fresh: bool, now: Timestamp) -> Result<Looked, ServiceFault> {
        let freshness = if fresh { Freshness::Anew } else { Freshness::Remembered };
        self.verdict_as_fresh_as(coordinate, freshness, now).await
    }

    /// The verdict on a coordinate: remembered if it is as fresh as that, made otherwise.
    pub async fn verdict_as_fresh_as(
        &self,
        coordinate: &Coordinate,
        freshness: Freshness,
        now: Timestamp,
    ) -> Result<Looked, ServiceFault> {
        self.verdict_on(coordinate, Occasion::of_the_api(freshness, now)).await
    }

    /// The text of the verdict on a coordinate, as fresh as that: where one that is remembered is enough, what was recorded.
    pub async fn text_as_fresh_as(
        &self,
        coordinate: &Coordinate,
        freshness: Freshness,
        now: Timestamp,
    ) -> Result<VerdictText, ServiceFault> {
        let occasion = Occasion::of_the_api(freshness, now);
        let (package, resolved) = self.named(coordinate, now).await?;
        match self.store.current_text(&package).await? {
            Some(text) if occasion.is_content_with(&text) => {
                self.count_remembered(&package, now);
                Ok(text)
            }
            current => {
                let looked = self.of_version(&package, resolved, current, occasion).await?;
                Ok(VerdictText::of(&looked.verdict)?)
            }
        }
    }

    async fn verdict_on(&self, coordinate: &Coordinate, occasion: Occasion) -> Result<Looked, ServiceFault> {
        let (package, resolved) = self.named(coordinate, occasion.now).await?;
        let current = self.store.current_text(&package).await?;
        self.of_version(&package, resolved, current, occasion).await
    }

    /// The version that a coordinate names. What a tag leads to the registry says, with what else there is of the version.
    async fn named(
        &self,
        coordinate: &Coordinate,
        now: Timestamp,
    ) -> Result<(PackageVersion, Option<Resolved>), ServiceFault> {
        match &coordinate.selector {
            Selector::Version(_) => {
                let package = PackageVersion::try_from(coordinate.clone())
                    .map_err(|source| LookFault::NotFound(source.to_string()))?;
                Ok((package, None))
            }
            Selector::Tag(_) => {
                let asking = Asking::new(&*self.fetch, self.until);
                let resolved = ecosystem::resolve(coordinate, &self.look_at(&asking, now)).await?;
                Ok((resolved.package.clone(), Some(resolved)))
            }
        }
    }

    /// A look that knows of no earlier one.
    fn look_at<'a>(&'a self, asking: &'a Asking<'_>, now: Timestamp) -> Look<'a> {
        Look {
            fetch: asking,
            upstreams: &self.upstreams,
            at: now,
            previous: None,
        }
    }

    /// What answers without a look of its own.
    fn remembered(&self, verdict: Verdict, now: Timestamp) -> Looked {
        self.count_remembered(&verdict.package, now);
        Looked::remembered(verdict)
    }

    fn count_remembered(&self, package: &PackageVersion, now: Timestamp) {
        let ecosystem = package.ecosystem();
        self.meter.measure(&Measurement::CachedAnswer { ecosystem }, now);
    }

    /// 1. What is remembered is enough if it is fresh enough.
    /// 2. Otherwise one of those who ask looks, while it holds the lease.
    /// 3. The others take what it finds, and look themselves if it ends without finding anything.
    async fn of_version(
        &self,
        package: &PackageVersion,
        resolved: Option<Resolved>,
        current: Option<VerdictText>,
        occasion: Occasion,
    ) -> Result<Looked, ServiceFault> {
        let Occasion { freshness, now, .. } = occasion;
        // 1.
        let is_enough = current.as_ref().is_some_and(|text| occasion.is_content_with(text));
        let current = current.map(|text| text.verdict()).transpose()?;
        if is_enough && let Some(verdict) = current {
            return Ok(self.remembered(verdict, now));
        }
        let mut looked_at = None;
        if let Some(verdict) = &current {
            let latest = self.store.last_look(package).await?.unwrap_or(verdict.checked_at);
            if self.is_enough(verdict, latest, freshness, now).await {
                return Ok(self.remembered(verdict.clone(), now));
            }
            looked_at = Some(latest);
        }
        // 2. A name of its own for each look, so that none gives back what another holds.
        let holder = format!("{}-{:016x}", self.holder, fastrand::u64(..));
        let until = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        let mut waited = 0;
        // Where a verdict tells of something, what the look teaches may be settled only after it is recorded, as long as nobody
        // else looks.
        let outlasts_looks = current.as_ref().is_some_and(|verdict| verdict.status.is_told());
        while !self
            .store
            .acquire_lease(package, &holder, looked_at, outlasts_looks, now, until)
            .await?
        {
            // 3.
            if waited == WAIT_STEPS {
                return Err(ServiceFault::Busy(package.clone()));
            }
            waited += 1;
            tokio::time::sleep(WAIT_STEP).await;
            if let Some(verdict) = self.found_since(package, looked_at).await? {
                return Ok(self.remembered(verdict, now));
            }
        }
        // A look that ended between the question above and the lease has answered it.
        let looked = match self.found_since(package, looked_at).await {
            Ok(Some(verdict)) => Ok(self.remembered(verdict, now)),
            Ok(None) => {
                let is_first = looked_at.is_none();
                let look = Box::pin(self.look(package, resolved, current, is_first, occasion));
                match self.until {
                    Some(until) => timeout_at(until.answering, look)
                        .await
                        .unwrap_or_else(|_elapsed| Err(ServiceFault::OutOfTime(package.clone()))),
                    None => look.await,
                }
            }
            Err(fault) => Err(fault.into()),
        };
        // The lease has ended with a look that was recorded, unless that was no later than the one before.
        let is_recorded = looked.as_ref().is_ok_and(|looked| looked.case.is_some());
        if !is_recorded || outlasts_looks || looked_at.is_some_and(|before| before >= now) {
            self.give_back(package, &holder).await;
        }
        looked
    }

    /// Whether the last look is recent enough for what is remembered to stand. A look that left a verdict which is not valid
    /// any more has decided nothing, and is repeated no sooner than one that made an undecided verdict.
    async fn is_enough(&self, verdict: &Verdict, looked_at: Timestamp, freshness: Freshness, now: Timestamp) -> bool {
        let age = match freshness {
            Freshness::Remembered if looked_at > verdict.checked_at => {
                let policy = &self.judges.judge(now).await.policy;
                SignedDuration::from_secs(i64::from(policy.undecided_for))
            }
            Freshness::Within(age) => age,
            Freshness::Remembered | Freshness::Anew => return false,
        };
        now.duration_since(looked_at) < age
    }

    /// The current verdict, if there was a look after the one at `before`: whether that made it or left it.
    async fn found_since(
        &self,
        package: &PackageVersion,
        before: Option<Timestamp>,
    ) -> Result<Option<Verdict>, StoreFault> {
        let latest = self.store.last_look(package).await?;
        match latest.filter(|latest| before.is_none_or(|before| *latest > before)) {
            Some(_) => self.store.current(package).await,
            None => Ok(None),
        }
    }

    async fn look(
        &self,
        package: &PackageVersion,
        resolved: Option<Resolved>,
        current: Option<Verdict>,
        is_first: bool,
        occasion: Occasion,
    ) -> Result<Looked, ServiceFault> {
        let (began, now) = (Instant::now(), occasion.now);
        let asking = Asking::new(&*self.fetch, self.until);
        let earlier = match &current {
            Some(verdict) => self.earlier_dossier(verdict).await?,
            None => None,
        };
        let look = Look {
            previous: earlier.as_ref(),
            ..self.look_at(&asking, now)
        };
        // What a tag led to was asked for by then.
        let before: usize = resolved.iter().map(|resolved| resolved.observations.len()).sum();
        let resolved = match resolved {
            Some(resolved) => resolved,
            None => match ecosystem::resolve(&Coordinate::from(package.clone()), &look).await {
                Ok(resolved) => resolved,
                Err(fault) => return self.gone(package, fault, now).await,
            },
        };
        let mut dossier = ecosystem::collect(resolved, &look).await;
        let judge = self.judges.judge(now).await;
        let authenticated = judge.authenticate(&dossier, now);
        let mut recollection = self.recollect(&judge, &authenticated, &dossier, &look).await?;
        if !is_first {
            recollection.memory.first_seen = self.store.first_seen(package).await?;
        }
        let destinations = Destination::all_of(&authenticated);
        let mut left = github::BUDGET;
        // What is learnt is remembered before the dossier is kept.
        ecosystem::drop_proofs(&mut dossier, &recollection.known);
        let mut new = BTreeSet::new();
        for destination in &destinations {
            let mut known = Vec::new();
            if let Some(key) = destination.trace_key() {
                known = self.store.recall(&key).await?;
                if known.is_empty() {
                    new.insert(key);
                }
            }
            dossier = github::trace(dossier, destination, known, &look, &mut left).await;
        }
        let judgement = judge.conclude(&authenticated, &dossier, &recollection.memory, now);
        // What was seen is kept before the verdict that rests on it.
        for destination in &destinations {
            if let Some(key) = destination.trace_key() {
                let seen = github::to_remember(destination, &dossier, now);
                self.store.remember(&key, &seen, now, new.contains(&key)).await?;
            }
        }
        let effort = Effort {
            began,
            asked: asking.asked().saturating_add(u32::try_from(before).unwrap_or(u32::MAX)),
        };
        let Recollection { memory, learnt, .. } = recollection;
        let before = Before {
            verdict: current,
            is_first,
            learnt,
        };
        let case = Case::new(&judge, dossier, memory, now);
        self.conclude(judgement, case, &before, occasion, &effort).await
    }

    /// The dossier of the current verdict, for conditional questions and for what need not be asked again. Without it everything
    /// is asked anew, so that one that cannot be read keeps nobody from a verdict.
    async fn earlier_dossier(&self, verdict: &Verdict) -> Result<Option<Dossier>, StoreFault> {
        match self.store.dossier(&verdict.dossier).await {
            Err(StoreFault::Corrupt(detail)) => {
                tracing::error!(package = %verdict.package, detail, "an earlier dossier cannot be read");
                Ok(None)
            }
            read => read,
        }
    }

    /// A version that the registry does not know any more keeps its verdict, marked; one that was never looked at has none.
    async fn gone(&self, package: &PackageVersion, fault: LookFault, now: Timestamp) -> Result<Looked, ServiceFault> {
        // What nobody serves is not gone where it is not at hand.
        if !package.ecosystem().registry().is_served() {
            return Err(fault.into());
        }
        match (fault.side(), self.store.current(package).await?) {
            (FaultSide::Caller, Some(_)) => {}
            (FaultSide::Caller | FaultSide::Upstream | FaultSide::Ours, _) => return Err(fault.into()),
        }
        let marked = self.store.mark_removed(package, now).await?;
        let verdict = marked.ok_or(fault)?;
        tracing::info!(
            event = "version.removed", package = %package, status = %verdict.status,
            "the registry does not serve the version any more"
        );
        Ok(Looked::remembered(verdict))
    }

    /// What is remembered of the package of a version and of its publisher:
    ///
    /// 1. the releases until this one was published;
    /// 2. of the versions that the registry describes, those that are not among these: old lines of a package that is released
    ///    often;
    /// 3. of those that nobody has looked at, what the registry serves of them now, which is to be remembered, too;
    /// 4. what else the publisher released until half an hour later.
    async fn recollect(
        &self,
        judge: &Judge,
        authenticated: &AuthenticatedRelease,
        dossier: &Dossier,
        look: &Look<'_>,
    ) -> Result<Recollection, ServiceFault> {
        let package = &dossier.package;
        let metadata = authenticated.metadata();
        let published_at = authenticated.published_at();
        // 1.
        let past = self.store.past(package, published_at).await?;
        let mut memory = Memory {
            history: past.history,
            watched: past.watched,
            ..Memory::default()
        };
        let mut known: BTreeSet<String> = memory.history.iter().map(|past| past.version.clone()).collect();
        let described = metadata.into_iter().flat_map(|metadata| &metadata.earlier);
        let described = described.filter(|other| other.described.is_some());
        let mut unknown: Vec<String> = described.map(|other| other.version.clone()).collect();
        unknown.retain(|version| !known.contains(version));
        // 2.
        let mut found = Vec::new();
        if past.met && !unknown.is_empty() {
            found = self.store.releases(package.name(), &unknown).await?;
            known.extend(found.iter().map(|past| past.version.clone()));
            unknown.retain(|version| !known.contains(version));
        }
        // 3. Where the registry's signature is stripped or wrong, so may be what is said of attestations: nothing is learnt there.
        let is_signed = judge.is_vouched_for(authenticated);
        let mut is_complete = unknown.is_empty() || is_signed;
        let mut listed = Vec::new();
        if !unknown.is_empty() && is_signed {
            let back = ecosystem::look_back(dossier, look, &known).await;
            let (mut releases, answered) = judge.timeline(authenticated, &back, look.at);
            releases.retain(|release| !known.contains(&release.version));
            found.extend(releases.iter().cloned());
            listed = releases;
            is_complete = answered;
        }
        known.extend(found.iter().map(|past| past.version.clone()));
        supplement(&mut memory, found, is_complete);
        // 4.
        if let (Some(publisher), Some(published_at)) = (publisher(authenticated), published_at) {
            let until = published_at.checked_add(BURST).unwrap_or(Timestamp::MAX);
            memory.siblings = self.store.published_by(&publisher, until, SIBLINGS).await?;
            // However many there are at once, what the publisher does otherwise is to be seen, too.
            if memory.siblings.len() == SIBLINGS {
                let before = published_at.checked_sub(SETTLED).unwrap_or(Timestamp::MIN);
                let usual = self.store.published_by(&publisher, before, SIBLINGS).await?;
                let new = usual.into_iter().filter(|sibling| !memory.siblings.contains(sibling));
                let new: Vec<Sibling> = new.collect();
                memory.siblings.extend(new);
            }
            let sibling = Sibling {
                package: package.clone(),
                published_at,
            };
            self.store.remember_publication(&publisher, &sibling).await?;
        }
        let learnt = Learnt { listed, met: past.met };
        Ok(Recollection { memory, learnt, known })
    }

    /// Remembers what a look taught of the releases of a package: what was read from the registry's list of versions, and what
    /// the release itself proved, if that is certain yet.
    async fn remember_releases(
        &self,
        package: &PackageVersion,
        own: Option<&PastRelease>,
        before: &Before,
    ) -> Result<(), StoreFault> {
        let Learnt { listed, met } = &before.learnt;
        if before.is_first && !met && self.store.meet(package, own, listed).await? {
            return Ok(());
        }
        if !listed.is_empty() {
            self.store.fill_timeline(package.name(), listed).await?;
        }
        match own {
            Some(release) => self.store.remember_release(package, release).await,
            None => Ok(()),
        }
    }

    /// Records what a look came to, and what it teaches:
    ///
    /// 1. what was read of earlier releases, and what this one proved, is remembered before the verdict that rests on it: a process
    ///    that dies between the two looks again, while one that died after the verdict would find that there is one, and the
    ///    release would stay forgotten;
    /// 2. the verdict is recorded, and told;
    /// 3. where another verdict stands than the one that was made, what that teaches, or what was known, is remembered instead.
    ///
    /// Where the verdict before tells of something and this one does not, which of the two stands is the store's to say, and
    /// nothing is remembered before that: what was refused is not taken back by a look that is not recorded.
    async fn conclude(
        &self,
        judgement: Judgement,
        case: Case,
        before: &Before,
        occasion: Occasion,
        effort: &Effort,
    ) -> Result<Looked, ServiceFault> {
        let (memory, now) = (&case.memory, occasion.now);
        let seen = first_seen(&judgement, memory, now);
        let Judgement { verdict, release, .. } = judgement;
        let taught = |verdict: &Verdict| release.clone().and_then(|release| teaching(release, verdict, memory));
        // 1.
        let was_told = before.verdict.as_ref().is_some_and(|before| before.status.is_told());
        let expected = taught(&verdict).filter(|_| verdict.status.is_told() || !was_told);
        self.remember_releases(&verdict.package, expected.as_ref(), before)
            .await?;
        // 2.
        let recorded = self
            .store
            .record(&verdict, &case.dossier, seen.as_ref(), before.is_first)
            .await?;
        self.report(&verdict, &recorded, occasion, effort);
        let verdict = match recorded {
            Recorded::Current { announcement, .. } => {
                if let Some(announcement) = announcement {
                    let delivered = self.announce(&[*announcement]).await;
                    let owed = 1 - delivered;
                    self.meter.measure(&Measurement::Announcements { delivered, owed }, now);
                }
                verdict
            }
            Recorded::KeptExisting { current } => *current,
        };
        // 3.
        let known = memory
            .history
            .iter()
            .find(|past| past.version == verdict.package.version());
        let stands = taught(&verdict).or_else(|| expected.as_ref().and(known).cloned());
        if let Some(release) = stands.filter(|release| expected.as_ref() != Some(release)) {
            self.store.remember_release(&verdict.package, &release).await?;
        }
        Ok(Looked {
            verdict,
            case: Some(Box::new(case)),
        })
    }

    /// One line of the log and one measurement for each verdict that was made. docs/operations.md has the names of the fields,
    /// which others rely on.
    fn report(&self, verdict: &Verdict, recorded: &Recorded, occasion: Occasion, effort: &Effort) {
        let (before, stands, changed) = match recorded {
            Recorded::Current { previous, announcement } => (previous.as_deref(), true, announcement.is_some()),
            Recorded::KeptExisting { current } => (Some(&**current), false, false),
        };
        let took = effort.began.elapsed();
        let ecosystem = verdict.package.ecosystem();
        let decided_by: Vec<&str> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
        tracing::info!(
            event = "verdict",
            package = %verdict.package,
            ecosystem = ecosystem.purl_type(),
            status = %verdict.status,
            decidedBy = decided_by.join(","),
            reason = occasion.reason.as_str(),
            durationMs = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            upstreamRequests = effort.asked,
            fresh = occasion.freshness != Freshness::Remembered,
            changed,
            stands,
            previous = before.map(|before| before.status.as_str()),
            dossier = %verdict.dossier,
            verifier = verdict.verifier.id,
            "verdict"
        );
        let made = Measurement::Verdict {
            ecosystem,
            status: verdict.status,
            took,
            asked: effort.asked,
        };
        self.meter.measure(&made, occasion.now);
    }

    /// Tells whoever listens, and returns how many were told. What is not delivered, or not noted as such, stays owed, and a
    /// sweep delivers it: a listener may be told twice, and is told once at least.
    async fn announce(&self, announcements: &[Announcement]) -> usize {
        let accepted = self.announcer.announce(announcements).await;
        let mut told = 0;
        for announcement in announcements.iter().filter(|owed| accepted.contains(&owed.id)) {
            match self.store.delivered(announcement).await {
                Ok(()) => told += 1,
                Err(fault) => {
                    tracing::warn!(package = %announcement.change.package, error = %fault, "a delivery was not noted");
                }
            }
        }
        told
    }

    /// A lease that could not be given back expires; the verdict is recorded either way.
    async fn give_back(&self, package: &PackageVersion, holder: &str) {
        if let Err(fault) = self.store.release_lease(package, holder).await {
            tracing::warn!(package = %package, error = %fault, "the lease was not given back");
        }
    }
}

/// What is remembered of a release, given the verdict that stands. What a kept verdict refuses teaches nothing, whatever the
/// last look came to; and for want of an answer nothing is unlearnt.
fn teaching(release: PastRelease, verdict: &Verdict, memory: &Memory) -> Option<PastRelease> {
    let refused = verdict.status.is_told();
    let known = memory.history.iter().find(|past| past.version == release.version);
    let unlearns = known.is_some_and(|known| known.accepted && !release.accepted && !refused);
    let release = PastRelease {
        accepted: release.accepted && !refused,
        refused,
        ..release
    };
    (!unlearns).then_some(release)
}

/// Whether a verdict is undecided because somebody did not answer, so that asking again soon may decide it.
fn awaits_an_upstream(verdict: &Verdict) -> bool {
    let silent = |finding: &Finding| {
        matches!(
            finding.outcome,
            Outcome::Unknown(UnknownReason::Unreachable | UnknownReason::RateLimited | UnknownReason::Pending)
        )
    };
    verdict.status == Status::Indeterminate
        && verdict
            .findings
            .iter()
            .any(|finding| verdict.decided_by.contains(&finding.check) && silent(finding))
}
