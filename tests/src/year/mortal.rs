//! The ports as one worker has them: watched, sometimes out of order, and ended in the middle when the worker is killed.

use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hekate::dossier::{Dossier, Observation};
use hekate::history::PastRelease;
use hekate::package::{Digest, Ecosystem, PackageName, PackageVersion};
use hekate::ports::{
    Announce, Announcement, Batch, BatchItem, BatchStore, ChangeStore, Changes, ChangesAfter, Due, Fetch, FirstSeen,
    Past, QueueFault, Recorded, Request, ScheduleStore, Sibling, SignatureStore, Store, StoreFault, Task, TraceKey,
    VerdictStore, VerdictText, WatchStore, Watched, WorkItem, WorkQueue,
};
use hekate::verdict::Verdict;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::chance::Chance;
use super::queue::Queue;
use super::table::pass;
use super::weather::Affected;
use super::world::Earth;

/// How often a single call of the store or the queue fails by itself, before it happens and after.
const FAULTS: f64 = 0.000_3;
/// How often announcements are not taken, or taken and not confirmed.
const UNHEARD: f64 = 0.02;

/// When a worker is killed: at which of its calls, and how far that call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// After how many other calls, from 0.
    pub after: u64,
    /// What becomes of the call whose answer nobody hears.
    pub last: LastCall,
}

/// How far the last call of a worker comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastCall {
    /// It does not happen.
    Unmade,
    /// It is given up after so many turns: of what a call does in several steps, the first are done.
    GivenUp(u64),
    /// It happens.
    Made,
}

/// What all workers have in common.
pub struct Surroundings {
    /// The world.
    pub earth: Arc<Earth>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Asks upstreams.
    pub fetch: Arc<dyn Fetch>,
    /// The queue.
    pub queue: Mutex<Queue>,
}

/// One worker's ports.
pub struct Mortal {
    surroundings: Arc<Surroundings>,
    number: usize,
    state: Mutex<State>,
    dead: AtomicBool,
    died: Notify,
    calls: AtomicU64,
}

#[derive(Clone, Debug)]
struct State {
    now: Timestamp,
    chance: Chance,
    death: Option<Death>,
}

impl Mortal {
    /// The ports of a worker of this number.
    pub fn new(surroundings: Arc<Surroundings>, number: usize) -> Self {
        Self {
            surroundings,
            number,
            state: Mutex::new(State {
                now: Timestamp::MIN,
                chance: Chance::new(0),
                death: None,
            }),
            dead: AtomicBool::new(false),
            died: Notify::new(),
            calls: AtomicU64::new(0),
        }
    }

    /// Does something at a time, and may be killed meanwhile; then nothing comes of it.
    pub async fn live<T>(
        &self,
        now: Timestamp,
        chance: Chance,
        death: Option<Death>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        *self.lock() = State { now, chance, death };
        self.dead.store(false, Ordering::SeqCst);
        self.calls.store(0, Ordering::SeqCst);
        let died = self.died.notified();
        let outcome = tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = died => None,
        };
        let mut ledger = self.surroundings.earth.ledger();
        ledger.stopped(self.number);
        ledger.kills += u64::from(outcome.is_none());
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Makes a call, unless the worker is killed before or after it.
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        if self.dead.load(Ordering::SeqCst) {
            return pending().await;
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let death = self.lock().death;
        let Some(death) = death.filter(|death| death.after == number) else {
            return call.await;
        };
        self.dead.store(true, Ordering::SeqCst);
        match death.last {
            LastCall::Unmade => {}
            LastCall::GivenUp(turns) => {
                tokio::select! {
                    biased;
                    () = pass(turns) => {}
                    _unheard = call => {}
                }
            }
            LastCall::Made => {
                call.await;
            }
        }
        self.died.notify_one();
        pending().await
    }

    /// Makes a call of the store, which may be out of order.
    async fn of_store<T>(&self, call: impl Future<Output = Result<T, StoreFault>>) -> Result<T, StoreFault> {
        let earth = &self.surroundings.earth;
        let fault = || StoreFault::Unreachable("out of order".into());
        self.call(async {
            earth.ledger().store_calls += 1;
            if earth.weather.outage(Affected::Store, self.now()).is_some() {
                return Err(fault());
            }
            let draw = self.draw();
            if draw < FAULTS {
                earth.ledger().faults += 1;
                return Err(fault());
            }
            let answer = call.await;
            if draw > 1.0 - FAULTS {
                earth.ledger().faults += 1;
                return Err(fault());
            }
            answer
        })
        .await
    }

    fn draw(&self) -> f64 {
        self.lock().chance.part()
    }

    fn store(&self) -> &dyn Store {
        &*self.surroundings.store
    }
}

#[async_trait]
impl Fetch for Mortal {
    async fn fetch(&self, request: Request) -> Observation {
        self.call(self.surroundings.fetch.fetch(request)).await
    }
}

#[async_trait]
impl WorkQueue for Mortal {
    async fn send(&self, items: &[WorkItem]) -> Result<(), QueueFault> {
        if items.is_empty() {
            return Ok(());
        }
        self.call(async {
            let draw = self.draw();
            let sent = items.len();
            // A part of what was handed over arrives even where the rest does not.
            let accepted = if draw < FAULTS { sent / 2 } else { sent };
            let mut queue = self.surroundings.queue.lock().unwrap_or_else(PoisonError::into_inner);
            for item in items.iter().take(accepted) {
                let body = serde_json::to_string(item).map_err(|source| QueueFault::Rejected {
                    sent,
                    rejected: sent,
                    detail: source.to_string(),
                })?;
                queue.send(&body, self.now());
            }
            if !(FAULTS..=1.0 - FAULTS).contains(&draw) {
                self.surroundings.earth.ledger().faults += 1;
                return Err(QueueFault::Rejected {
                    sent,
                    rejected: (sent - accepted).max(1),
                    detail: "out of order".to_owned(),
                });
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Announce for Mortal {
    async fn announce(&self, announcements: &[Announcement]) -> Vec<String> {
        self.call(async {
            let earth = &self.surroundings.earth;
            if earth.weather.outage(Affected::Listeners, self.now()).is_some() {
                return Vec::new();
            }
            let mut confirmed = Vec::new();
            for announcement in announcements {
                let draw = self.draw();
                if draw < UNHEARD {
                    continue;
                }
                earth.ledger().heard(announcement);
                if draw < 1.0 - UNHEARD {
                    confirmed.push(announcement.id.clone());
                }
            }
            confirmed
        })
        .await
    }
}

#[async_trait]
impl VerdictStore for Mortal {
    async fn last_look(&self, package: &PackageVersion) -> Result<Option<Timestamp>, StoreFault> {
        self.of_store(self.store().last_look(package)).await
    }

    async fn current_text(&self, package: &PackageVersion) -> Result<Option<VerdictText>, StoreFault> {
        self.of_store(self.store().current_text(package)).await
    }

    async fn first_seen(&self, package: &PackageVersion) -> Result<Option<FirstSeen>, StoreFault> {
        self.of_store(self.store().first_seen(package)).await
    }

    async fn past(&self, package: &PackageVersion, until: Option<Timestamp>) -> Result<Past, StoreFault> {
        self.of_store(self.store().past(package, until)).await
    }

    async fn mark_removed(&self, package: &PackageVersion, at: Timestamp) -> Result<Option<Verdict>, StoreFault> {
        self.of_store(async {
            let marked = self.store().mark_removed(package, at).await?;
            self.surroundings.earth.ledger().is_due(&package.to_purl(), None);
            Ok(marked)
        })
        .await
    }

    /// What becomes owed is written down even if nobody hears that it was recorded. A look has ended before it is recorded, and
    /// its lease ends with that.
    async fn record(
        &self,
        verdict: &Verdict,
        dossier: &Dossier,
        first_seen: Option<&FirstSeen>,
        is_first: bool,
    ) -> Result<Recorded, StoreFault> {
        let purl = verdict.package.to_purl();
        self.surroundings.earth.ledger().look_ended(&purl, self.number);
        self.of_store(async {
            let recorded = self.store().record(verdict, dossier, first_seen, is_first).await?;
            let mut ledger = self.surroundings.earth.ledger();
            let is_replaced = matches!(recorded, Recorded::Current { .. });
            if is_replaced || verdict.next_look_at.is_some() {
                ledger.is_due(&purl, verdict.next_look_at);
            }
            match &recorded {
                Recorded::Current {
                    announcement: Some(owed),
                    ..
                } => ledger.is_owed(&owed.id, self.now()),
                Recorded::Current { announcement: None, .. } => {}
                Recorded::KeptExisting { .. } => {
                    ledger.late.insert((purl, verdict.checked_at));
                }
            }
            Ok(recorded)
        })
        .await
    }

    async fn history(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Verdict>, StoreFault> {
        self.of_store(self.store().history(package, until, limit)).await
    }

    async fn dossier(&self, digest: &Digest) -> Result<Option<Dossier>, StoreFault> {
        self.of_store(self.store().dossier(digest)).await
    }

    async fn recall(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault> {
        self.of_store(self.store().recall(key)).await
    }

    async fn remember(
        &self,
        key: &TraceKey,
        seen: &[Observation],
        at: Timestamp,
        is_first: bool,
    ) -> Result<(), StoreFault> {
        self.of_store(self.store().remember(key, seen, at, is_first)).await
    }

    async fn remember_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault> {
        self.of_store(self.store().remember_release(package, release)).await
    }

    async fn meet(
        &self,
        package: &PackageVersion,
        own: Option<&PastRelease>,
        listed: &[PastRelease],
    ) -> Result<bool, StoreFault> {
        self.of_store(self.store().meet(package, own, listed)).await
    }

    async fn releases(&self, name: &PackageName, versions: &[String]) -> Result<Vec<PastRelease>, StoreFault> {
        self.of_store(self.store().releases(name, versions)).await
    }

    async fn remembered(&self, name: &PackageName, limit: usize) -> Result<Vec<String>, StoreFault> {
        self.of_store(self.store().remembered(name, limit)).await
    }

    async fn fill_timeline(&self, name: &PackageName, releases: &[PastRelease]) -> Result<(), StoreFault> {
        self.of_store(self.store().fill_timeline(name, releases)).await
    }

    async fn remember_publication(&self, publisher: &str, sibling: &Sibling) -> Result<(), StoreFault> {
        self.of_store(self.store().remember_publication(publisher, sibling))
            .await
    }

    async fn published_by(&self, publisher: &str, until: Timestamp, limit: usize) -> Result<Vec<Sibling>, StoreFault> {
        self.of_store(self.store().published_by(publisher, until, limit)).await
    }

    /// A look begins when the worker hears that the lease is its own.
    async fn acquire_lease(
        &self,
        package: &PackageVersion,
        holder: &str,
        after: Option<Timestamp>,
        outlasts_looks: bool,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreFault> {
        let acquired = self
            .of_store(
                self.store()
                    .acquire_lease(package, holder, after, outlasts_looks, now, until),
            )
            .await?;
        let mut ledger = self.surroundings.earth.ledger();
        if acquired {
            ledger.look_began(&package.to_purl(), self.number, now);
        } else {
            ledger.held += 1;
        }
        Ok(acquired)
    }

    /// A look has ended before the lease is given back.
    async fn release_lease(&self, package: &PackageVersion, holder: &str) -> Result<(), StoreFault> {
        self.surroundings
            .earth
            .ledger()
            .look_ended(&package.to_purl(), self.number);
        self.of_store(self.store().release_lease(package, holder)).await
    }
}

#[async_trait]
impl ScheduleStore for Mortal {
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreFault> {
        self.of_store(self.store().due(now, limit)).await
    }

    async fn claim(&self, due: &Due, until: Timestamp) -> Result<bool, StoreFault> {
        self.of_store(async {
            let claimed = self.store().claim(due, until).await?;
            if claimed {
                let task = match &due.task {
                    Task::Version(package) => package.to_purl(),
                    Task::Package(name) => name.to_purl(),
                    Task::Batch(id) => id.clone(),
                };
                self.surroundings.earth.ledger().is_due(&task, Some(until));
            }
            Ok(claimed)
        })
        .await
    }

    async fn cursor(&self, feed: &str) -> Result<Option<u64>, StoreFault> {
        self.of_store(self.store().cursor(feed)).await
    }

    async fn advance_cursor(&self, feed: &str, from: Option<u64>, to: u64) -> Result<bool, StoreFault> {
        self.of_store(async {
            let moved = self.store().advance_cursor(feed, from, to).await?;
            if moved {
                self.surroundings.earth.ledger().cursor_moved(feed, from, to);
            }
            Ok(moved)
        })
        .await
    }

    async fn reset_cursor(&self, feed: &str, from: u64, to: u64) -> Result<bool, StoreFault> {
        self.of_store(self.store().reset_cursor(feed, from, to)).await
    }
}

#[async_trait]
impl WatchStore for Mortal {
    async fn watch(&self, name: &PackageName, now: Timestamp) -> Result<Watched, StoreFault> {
        self.of_store(self.store().watch(name, now)).await
    }

    async fn unwatch(&self, name: &PackageName) -> Result<bool, StoreFault> {
        self.of_store(self.store().unwatch(name)).await
    }

    async fn watched(&self, name: &PackageName) -> Result<Option<Watched>, StoreFault> {
        self.of_store(self.store().watched(name)).await
    }

    async fn watched_among(&self, names: &[PackageName]) -> Result<Vec<PackageName>, StoreFault> {
        self.of_store(self.store().watched_among(names)).await
    }

    async fn watches_any(&self, ecosystem: Ecosystem) -> Result<bool, StoreFault> {
        self.of_store(self.store().watches_any(ecosystem)).await
    }

    async fn watch_list(&self, after: Option<&PackageName>, limit: usize) -> Result<Vec<Watched>, StoreFault> {
        self.of_store(self.store().watch_list(after, limit)).await
    }

    async fn look_by(&self, name: &PackageName, at: Timestamp) -> Result<(), StoreFault> {
        self.of_store(async {
            self.store().look_by(name, at).await?;
            if let Some(entry) = self.store().watched(name).await? {
                let mut ledger = self.surroundings.earth.ledger();
                ledger.is_due(&name.to_purl(), Some(entry.next_look_at));
            }
            Ok(())
        })
        .await
    }

    async fn put_off(&self, before: &Watched, until: Timestamp) -> Result<bool, StoreFault> {
        self.of_store(async {
            let noted = self.store().put_off(before, until).await?;
            if noted {
                let task = before.package.to_purl();
                self.surroundings.earth.ledger().is_due(&task, Some(until));
            }
            Ok(noted)
        })
        .await
    }

    async fn handed_over(
        &self,
        before: &Watched,
        seen_until: Option<Timestamp>,
        next_look_at: Timestamp,
    ) -> Result<bool, StoreFault> {
        self.of_store(async {
            let noted = self.store().handed_over(before, seen_until, next_look_at).await?;
            if noted {
                let task = before.package.to_purl();
                self.surroundings.earth.ledger().is_due(&task, Some(next_look_at));
            }
            Ok(noted)
        })
        .await
    }
}

#[async_trait]
impl BatchStore for Mortal {
    async fn create_batch(
        &self,
        batch: &Batch,
        packages: &[PackageVersion],
        due_at: Timestamp,
    ) -> Result<(), StoreFault> {
        self.of_store(self.store().create_batch(batch, packages, due_at)).await
    }

    async fn batch(&self, id: &str, now: Timestamp) -> Result<Option<Batch>, StoreFault> {
        self.of_store(self.store().batch(id, now)).await
    }

    async fn batch_items(
        &self,
        id: &str,
        after: Option<&PackageVersion>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<BatchItem>, StoreFault> {
        self.of_store(self.store().batch_items(id, after, limit, now)).await
    }

    async fn note_progress(&self, id: &str, items: &[BatchItem], at: Timestamp) -> Result<(), StoreFault> {
        self.of_store(self.store().note_progress(id, items, at)).await
    }

    async fn finish_batch(&self, id: &str) -> Result<(), StoreFault> {
        self.of_store(self.store().finish_batch(id)).await
    }
}

#[async_trait]
impl ChangeStore for Mortal {
    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Announcement>, StoreFault> {
        self.of_store(self.store().owed(until, limit)).await
    }

    async fn delivered(&self, announcement: &Announcement) -> Result<(), StoreFault> {
        self.of_store(async {
            self.store().delivered(announcement).await?;
            self.surroundings.earth.ledger().is_delivered(&announcement.id);
            Ok(())
        })
        .await
    }

    async fn changes(&self, after: &ChangesAfter, until: Timestamp, limit: usize) -> Result<Changes, StoreFault> {
        self.of_store(self.store().changes(after, until, limit)).await
    }
}

#[async_trait]
impl SignatureStore for Mortal {
    async fn signature(&self, message: &Digest, key: &Digest) -> Result<Option<Vec<u8>>, StoreFault> {
        self.of_store(self.store().signature(message, key)).await
    }

    async fn keep_signature(&self, message: &Digest, key: &Digest, signature: &[u8]) -> Result<Vec<u8>, StoreFault> {
        self.of_store(self.store().keep_signature(message, key, signature))
            .await
    }
}
