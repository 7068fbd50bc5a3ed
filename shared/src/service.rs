//! The service: what is remembered, the path, what is recorded. The three functions and the command line are thin hosts of
//! it, and differ only in where the coordinate comes from and where the verdict goes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use crate::check::{Finding, Outcome, UnknownReason};
use crate::dossier::{Dossier, Observation};
use crate::ecosystem::{self, Look, LookFault, Resolved, Upstreams};
use crate::forge::github::{self, Destination};
use crate::package::{Coordinate, PackageVersion, Selector};
use crate::ports::{
    FaultSide, Fetch, Judges, Memory, QueueFault, Recorded, StoreFault, VerdictStore, WorkItem, WorkQueue, WorkReason,
};
use crate::verdict::{Status, Verdict};
use crate::verifier::{Case, Judge, Judgement, first_seen};

/// For how long one look holds the right to a version. Longer than any look lasts, so that only a dead worker's lease
/// expires.
const LEASE: SignedDuration = SignedDuration::from_secs(120);
/// How often and how long a caller waits for the look of somebody else.
const WAIT_STEP: Duration = Duration::from_millis(250);
const WAIT_STEPS: u32 = 40;
/// After how many seconds a caller is asked to come back, where nobody else says.
const RETRY_AFTER: u64 = 10;
/// How many due versions one sweep hands over.
const SWEEP_LIMIT: usize = 500;

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
    /// Somebody else has been looking at the version for too long to wait.
    #[error("{0} is being verified by somebody else; ask again in a moment")]
    Busy(PackageVersion),
}

impl ServiceFault {
    /// Whose doing it is.
    pub fn side(&self) -> FaultSide {
        match self {
            Self::Look(fault) => fault.side(),
            Self::Store(_) | Self::Queue(_) | Self::Busy(_) => FaultSide::Ours,
        }
    }

    /// The stable code by which callers tell faults apart.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Look(LookFault::NotFound(_)) => "not_found",
            Self::Look(LookFault::Upstream { .. }) => "upstream_unavailable",
            Self::Store(_) => "store_unavailable",
            Self::Queue(_) => "queue_unavailable",
            Self::Busy(_) => "busy",
        }
    }

    /// After how many seconds to ask again, for faults that pass.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Look(LookFault::NotFound(_)) => None,
            Self::Look(LookFault::Upstream { retry_after, .. }) => Some(retry_after.unwrap_or(RETRY_AFTER)),
            Self::Store(_) | Self::Queue(_) | Self::Busy(_) => Some(RETRY_AFTER),
        }
    }
}

/// What became of one message of the queue.
#[derive(Debug)]
pub enum Worked {
    /// There is a verdict, and nothing more to do now.
    Done(Box<Verdict>),
    /// It can never succeed; retrying would not change that.
    Hopeless(ServiceFault),
    /// It might succeed later: the message goes back to the queue. A verdict that says so may have been recorded.
    TryAgain(String),
}

/// A verdict, with what was looked at for it.
#[derive(Debug)]
pub struct Looked {
    /// The verdict that is now current.
    pub verdict: Verdict,
    /// Everything that it is a function of. `None` if it was remembered rather than made.
    pub case: Option<Box<Case>>,
}

/// What a deployment is made of.
pub struct Service {
    /// Asks upstreams.
    pub fetch: Arc<dyn Fetch>,
    /// Remembers.
    pub store: Arc<dyn VerdictStore>,
    /// Hands work over.
    pub queue: Arc<dyn WorkQueue>,
    /// Judges.
    pub judges: Arc<dyn Judges>,
    /// Base URLs of everybody who is asked.
    pub upstreams: Upstreams,
    /// By which name this process holds leases.
    pub holder: String,
}

impl Service {
    /// The verdict on a coordinate: remembered if one is current and `fresh` is not asked for, made otherwise.
    pub async fn verdict(&self, coordinate: &Coordinate, fresh: bool, now: Timestamp) -> Result<Looked, ServiceFault> {
        match &coordinate.selector {
            Selector::Version(version) => {
                let package = PackageVersion::new(coordinate.name.clone(), version)
                    .map_err(|source| LookFault::NotFound(source.to_string()))?;
                self.of_version(&package, None, fresh, now).await
            }
            Selector::Tag(_) => {
                let look = Look {
                    fetch: &*self.fetch,
                    upstreams: &self.upstreams,
                    at: now,
                    previous: None,
                };
                let resolved = ecosystem::resolve(coordinate, &look).await?;
                let package = resolved.package.clone();
                self.of_version(&package, Some(resolved), fresh, now).await
            }
        }
    }

    async fn of_version(
        &self,
        package: &PackageVersion,
        resolved: Option<Resolved>,
        fresh: bool,
        now: Timestamp,
    ) -> Result<Looked, ServiceFault> {
        let current = self.store.current(package).await?;
        if let Some(verdict) = current.clone().filter(|verdict| !fresh && verdict.valid_until > now) {
            return Ok(Looked { verdict, case: None });
        }
        // A name of its own for each look, so that none gives back what another holds.
        let holder = format!("{}-{:016x}", self.holder, fastrand::u64(..));
        let until = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        if !self.store.acquire_lease(package, &holder, now, until).await? {
            return self.wait_for_somebody_else(package, current).await;
        }
        // A look that ended between the question above and the lease has answered it.
        let latest = self.store.current(package).await?;
        if let Some(verdict) = latest.clone().filter(|latest| is_newer(latest, current.as_ref())) {
            self.give_back(package, &holder).await;
            return Ok(Looked { verdict, case: None });
        }
        let looked = self.look(package, resolved, current, now).await;
        self.give_back(package, &holder).await;
        looked
    }

    async fn look(
        &self,
        package: &PackageVersion,
        resolved: Option<Resolved>,
        current: Option<Verdict>,
        now: Timestamp,
    ) -> Result<Looked, ServiceFault> {
        let memory = self.store.memory(package).await?;
        let earlier = match &current {
            Some(verdict) => self.store.dossier(&verdict.dossier).await?,
            None => None,
        };
        let look = Look {
            fetch: &*self.fetch,
            upstreams: &self.upstreams,
            at: now,
            previous: earlier.as_ref(),
        };
        let resolved = match resolved {
            Some(resolved) => resolved,
            None => ecosystem::resolve(&Coordinate::from(package.clone()), &look).await?,
        };
        let dossier = ecosystem::collect(resolved, &look).await;
        let judge = self.judges.judge(now).await;
        let authenticated = judge.authenticate(&dossier, now);
        let destination = Destination::of(&authenticated).ok();
        let dossier = match &destination {
            Some(destination) => github::trace(dossier, destination, self.recall(destination).await?, &look).await,
            None => dossier,
        };
        let judgement = judge.conclude(&authenticated, &dossier, &memory, now);
        // What was seen is kept before the verdict that rests on it.
        if let Some(destination) = &destination {
            for (key, seen) in github::to_remember(destination, &dossier.observations, now) {
                self.store.remember(&key, &seen, now).await?;
            }
        }
        self.conclude(&judge, judgement, dossier, memory, now).await
    }

    /// What earlier looks, at whatever version, saw of the run and the commit.
    async fn recall(&self, destination: &Destination) -> Result<Vec<Observation>, ServiceFault> {
        let mut remembered = Vec::new();
        for key in [destination.run_key(), destination.commit_key()].into_iter().flatten() {
            remembered.extend(self.store.recall(&key).await?);
        }
        Ok(remembered)
    }

    async fn conclude(
        &self,
        judge: &Judge,
        judgement: Judgement,
        dossier: Dossier,
        memory: Memory,
        now: Timestamp,
    ) -> Result<Looked, ServiceFault> {
        let seen = first_seen(&judgement, &memory, now);
        if let Some(release) = &judgement.release {
            self.store.remember_release(&judgement.verdict.package, release).await?;
        }
        let verdict = judgement.verdict;
        let verdict = match self.store.record(&verdict, &dossier, seen.as_ref()).await? {
            Recorded::Current { previous } => {
                log_verdict(&verdict, previous.as_deref().map(|previous| previous.status));
                verdict
            }
            Recorded::KeptExisting { current } => {
                tracing::info!(
                    package = %verdict.package, status = %current.status, looked = %verdict.status,
                    "the earlier verdict stays"
                );
                *current
            }
        };
        Ok(Looked {
            verdict,
            case: Some(Box::new(Case::new(judge, dossier, memory, now))),
        })
    }

    /// A lease that could not be given back expires; the verdict is recorded either way.
    async fn give_back(&self, package: &PackageVersion, holder: &str) {
        if let Err(fault) = self.store.release_lease(package, holder).await {
            tracing::warn!(package = %package, error = %fault, "the lease was not given back");
        }
    }

    /// Two workers never look at one version at once; who comes second takes what the first finds.
    async fn wait_for_somebody_else(
        &self,
        package: &PackageVersion,
        before: Option<Verdict>,
    ) -> Result<Looked, ServiceFault> {
        for _ in 0..WAIT_STEPS {
            tokio::time::sleep(WAIT_STEP).await;
            let latest = self.store.current(package).await?;
            if let Some(verdict) = latest.filter(|latest| is_newer(latest, before.as_ref())) {
                return Ok(Looked { verdict, case: None });
            }
        }
        Err(ServiceFault::Busy(package.clone()))
    }

    /// A verdict that is remembered as undecided for want of an answer is made again: a message that comes back asks anew.
    async fn verdict_to_act_on(
        &self,
        coordinate: &Coordinate,
        fresh: bool,
        now: Timestamp,
    ) -> Result<Looked, ServiceFault> {
        let looked = self.verdict(coordinate, fresh, now).await?;
        if looked.case.is_none() && awaits_an_upstream(&looked.verdict) {
            return self.verdict(coordinate, true, now).await;
        }
        Ok(looked)
    }

    /// Does the work of one message.
    pub async fn work(&self, item: &WorkItem, now: Timestamp) -> Worked {
        let fresh = match item.reason {
            WorkReason::Sweep | WorkReason::Recheck => true,
            WorkReason::Api | WorkReason::Batch => false,
        };
        match self
            .verdict_to_act_on(&Coordinate::from(item.package.clone()), fresh, now)
            .await
        {
            Ok(looked) if awaits_an_upstream(&looked.verdict) => {
                Worked::TryAgain(format!("{} could not be decided yet", item.package))
            }
            Ok(looked) => Worked::Done(Box::new(looked.verdict)),
            Err(fault) => match fault.side() {
                FaultSide::Caller => Worked::Hopeless(fault),
                FaultSide::Upstream | FaultSide::Ours => Worked::TryAgain(fault.to_string()),
            },
        }
    }

    /// Hands over every version whose next look is due, and returns how many.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, ServiceFault> {
        let due = self.store.due(now, SWEEP_LIMIT).await?;
        let items: Vec<WorkItem> = due
            .into_iter()
            .map(|package| WorkItem::new(package, WorkReason::Recheck))
            .collect();
        self.queue.send(&items).await?;
        Ok(items.len())
    }
}

fn is_newer(latest: &Verdict, before: Option<&Verdict>) -> bool {
    before.is_none_or(|before| latest.checked_at > before.checked_at)
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

/// One line per verdict, with stable field names.
fn log_verdict(verdict: &Verdict, previous: Option<Status>) {
    let decided_by: Vec<&str> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
    tracing::info!(
        package = %verdict.package,
        status = %verdict.status,
        previous = previous.map(Status::as_str),
        decided_by = decided_by.join(","),
        dossier = %verdict.dossier,
        "verdict"
    );
}
