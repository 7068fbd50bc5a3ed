//! Many sweepers and workers at once, on threads, on one table: what may go wrong between two of them does so here.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use hekate::package::{Ecosystem, PackageName, PackageVersion};
use hekate::ports::WorkItem;
use hekate::service::Worked;
use jiff::{SignedDuration, Timestamp};

use super::chance::Chance;
use super::engine::{Deployment, Hand};
use super::ledger::Ledger;
use super::queue::Queue;
use super::{MINUTE, Plan, SECOND};

/// How often the queue delivers a message twice: two workers often get the same at the same moment.
const DUPLICATED: f64 = 0.4;
/// How far time moves at once.
const STEP: SignedDuration = SignedDuration::from_secs(30);
/// How much simulated time may pass during one look. Longer ones would outlive their leases, which no look does in truth.
const LONGEST_LOOK: SignedDuration = SignedDuration::from_secs(60);
/// How long everybody waits for each other at most, in real time.
const PATIENCE: Duration = Duration::from_mins(10);

/// What came of it.
#[derive(Debug)]
pub struct Crowd {
    /// How many releases there were while the crowd worked.
    pub releases: usize,
    /// Those without a settled verdict.
    pub lost: Vec<String>,
    /// How far the feed was read, and where it ends.
    pub read: (Option<u64>, u64),
    /// How many sweeps there were.
    pub sweeps: u64,
    /// The book.
    pub ledger: Ledger,
}

/// What the threads share besides the deployment.
struct Shared {
    deployment: Deployment,
    now: AtomicI64,
    stop: AtomicBool,
    sweeps: AtomicU64,
    /// Since when each worker works on something; the largest number while it does not.
    busy_since: Vec<AtomicI64>,
    /// The time up to which each sweeper has swept.
    swept: Vec<AtomicI64>,
}

impl Shared {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.now.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let queue = &self.deployment.surroundings.queue;
        queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets so many sweepers and workers work, without any order between them, on what is released in a time of the first day.
pub async fn crowd(plan: &Plan, sweepers: usize, workers: usize, time: Range<SignedDuration>) -> Result<Crowd> {
    let (begin, end) = (plan.start() + time.start, plan.start() + time.end);
    let deployment = Deployment::start(plan, DUPLICATED).await?;
    deployment.surroundings.earth.advance(begin);
    deployment.watch(begin).await?;
    let idle = |count| (0..count).map(|_| AtomicI64::new(i64::MAX)).collect();
    let hands: Vec<Hand> = (0..workers + sweepers).map(|number| deployment.hand(number)).collect();
    let shared = Arc::new(Shared {
        deployment,
        now: AtomicI64::new(begin.as_second()),
        stop: AtomicBool::new(false),
        sweeps: AtomicU64::new(0),
        busy_since: idle(workers),
        swept: (0..sweepers).map(|_| AtomicI64::new(i64::MIN)).collect(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for (number, hand) in hands.into_iter().enumerate() {
        let shared = Arc::clone(&shared);
        if number < workers {
            tasks.spawn(async move { work(&shared, &hand, number).await });
        } else {
            tasks.spawn(async move { sweep(&shared, &hand, number - workers).await });
        }
    }
    let passed = tokio::time::timeout(PATIENCE, pass(&shared, end)).await;
    shared.stop.store(true, Ordering::SeqCst);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    if passed.is_err() {
        bail!("the work was not done within {PATIENCE:?}");
    }
    conclude(&shared, begin, end).await
}

/// Moves time, but never so far that a look under way would have lasted too long; and stops when all is done.
async fn pass(shared: &Shared, end: Timestamp) {
    let earth = &shared.deployment.surroundings.earth;
    // What is released at the end is looked at afterwards.
    let last = end + MINUTE * 30;
    loop {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = shared.now();
        let busy = shared.busy_since.iter().map(|since| since.load(Ordering::SeqCst)).min();
        let oldest = busy.unwrap_or(i64::MAX);
        let is_swept = shared
            .swept
            .iter()
            .all(|swept| swept.load(Ordering::SeqCst) >= now.as_second());
        let waiting = shared.queue().next_at().is_some_and(|at| at <= now);
        if oldest != i64::MAX && now.as_second() - oldest > (LONGEST_LOOK - STEP).as_secs() || !is_swept {
            continue;
        }
        if now >= last {
            if oldest == i64::MAX && !waiting {
                return;
            }
            continue;
        }
        // Nothing is to be done before the next publication or the next message.
        let soonest = [earth.next_at(), shared.queue().next_at(), earth.ledger().next_due()];
        let soonest = soonest.into_iter().flatten().min().unwrap_or(last);
        let next = if oldest == i64::MAX && !waiting {
            soonest.max(now + STEP).min(last)
        } else {
            now + STEP
        };
        earth.advance(next.min(end));
        shared.now.store(next.as_second(), Ordering::SeqCst);
    }
}

async fn work(shared: &Shared, hand: &Hand, number: usize) {
    let chance = Chance::new(0);
    while !shared.stop.load(Ordering::SeqCst) {
        let now = shared.now();
        if let Some(busy) = shared.busy_since.get(number) {
            busy.store(now.as_second(), Ordering::SeqCst);
        }
        let delivery = shared.queue().receive(now, now + SECOND);
        if let Some(delivery) = delivery
            && let Ok(item) = WorkItem::from_json(&delivery.body)
        {
            let work = hand.service.work(&item, now);
            let worked = hand
                .mortal
                .live(now, chance.of(&format!("{now} {}", delivery.body)), None, work)
                .await;
            match worked {
                Some(Worked::Done(_) | Worked::HandedOver(_) | Worked::Hopeless(_)) => shared.queue().delete(&delivery),
                Some(Worked::TryAgain(_)) | None => {}
            }
            continue;
        }
        if let Some(busy) = shared.busy_since.get(number) {
            busy.store(i64::MAX, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

async fn sweep(shared: &Shared, hand: &Hand, number: usize) {
    let chance = Chance::new(0);
    for attempt in 0_u64.. {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let now = shared.now();
        // Time waits for a sweep without trouble: what failed once at this moment does not fail for ever.
        let luck = chance.of(&format!("{now} {number} {attempt}"));
        let swept = hand.mortal.live(now, luck, None, hand.service.sweep(now));
        if let Some(Ok(swept)) = swept.await
            && swept.troubles.is_empty()
            && let Some(place) = shared.swept.get(number)
        {
            place.store(now.as_second(), Ordering::SeqCst);
        }
        shared.sweeps.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn conclude(shared: &Shared, begin: Timestamp, end: Timestamp) -> Result<Crowd> {
    let surroundings = &shared.deployment.surroundings;
    let earth = &surroundings.earth;
    let mut lost = Vec::new();
    let mut count = 0;
    for release in &earth.population.releases {
        let is_served = release.removed_after.is_none_or(|after| release.at + after > end);
        if release.at < begin || release.at > end || !is_served {
            continue;
        }
        count += 1;
        let name = PackageName::new(Ecosystem::Npm, earth.population.name(release))?;
        let package = PackageVersion::new(name, &release.version)?;
        let verdict = surroundings.store.current(&package).await?;
        if verdict.is_none_or(|verdict| !verdict.status.is_settled()) {
            lost.push(format!("{package} of {}", release.at));
        }
    }
    Ok(Crowd {
        releases: count,
        lost,
        read: (surroundings.store.cursor("npm").await?, earth.feed_end()),
        sweeps: shared.sweeps.load(Ordering::SeqCst),
        ledger: std::mem::take(&mut *earth.ledger()),
    })
}
