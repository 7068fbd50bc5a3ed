//! The passing of the year.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::future::join_all;
use hekate::adapters::emf::Unmeasured;
use hekate::adapters::judges::FixedJudge;
use hekate::attestation::TrustOrigin;
use hekate::ecosystem::Upstreams;
use hekate::package::{Ecosystem, PackageName};
use hekate::ports::{Judges, WorkItem};
use hekate::service::{Service, Signing, Worked};
use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::audit::audit;
use super::chance::Chance;
use super::mortal::{Death, LastCall, Mortal, Surroundings};
use super::queue::{DUPLICATED, Delivery, Queue};
use super::report::{Report, Work};
use super::table::{Table, table};
use super::weather::Affected;
use super::world::Earth;
use super::{HOUR, MINUTE, Plan, SECOND};
use crate::fetch::ScenarioFetch;
use crate::path::{judge, no_address, trust_in};

/// What workers and sweepers work on: one table, one queue, one world.
pub(super) struct Deployment {
    /// What the store is in.
    _table: Table,
    /// What all of them have in common.
    pub(super) surroundings: Arc<Surroundings>,
    judges: Arc<dyn Judges>,
    upstreams: Upstreams,
}

impl Deployment {
    /// An empty table and an empty queue.
    pub(super) async fn start(plan: &Plan, duplicated: f64) -> Result<Self> {
        let table = table(Chance::new(plan.seed).of("table")).await?;
        let earth = Arc::new(Earth::new(plan));
        let trust = trust_in(earth.authorities(), TrustOrigin::Files).context("the keys of the world")?;
        Ok(Self {
            surroundings: Arc::new(Surroundings {
                store: Arc::clone(&table.store) as _,
                fetch: Arc::new(ScenarioFetch::new(Arc::clone(&earth)).with_token("token")),
                queue: Mutex::new(Queue::new(Chance::new(plan.seed).of("queue"), duplicated)),
                earth,
            }),
            _table: table,
            judges: Arc::new(FixedJudge(Arc::new(judge(trust)))),
            upstreams: Upstreams {
                npm_feed: Some(Url::parse("http://feed.npm.testbed.example/")?),
                ..no_address()
            },
        })
    }

    /// A worker or sweeper with ports of its own.
    pub(super) fn hand(&self, number: usize) -> Hand {
        let mortal = Arc::new(Mortal::new(Arc::clone(&self.surroundings), number));
        Hand {
            service: Service {
                fetch: Arc::clone(&mortal) as _,
                store: Arc::clone(&mortal) as _,
                queue: Arc::clone(&mortal) as _,
                announcer: Arc::clone(&mortal) as _,
                judges: Arc::clone(&self.judges),
                upstreams: self.upstreams.clone(),
                meter: Arc::new(Unmeasured),
                signing: Signing::default(),
                peers: Arc::new([]),
                holder: format!("hand-{number}"),
                until: None,
            },
            mortal,
            free_at: Timestamp::MIN,
        }
    }

    /// Puts every package on the watch list.
    pub(super) async fn watch(&self, now: Timestamp) -> Result<()> {
        let earth = &self.surroundings.earth;
        for package in &earth.population.packages {
            let name = PackageName::new(Ecosystem::Npm, &package.name)?;
            self.surroundings.store.watch(&name, now).await?;
            earth.ledger().is_due(&name.to_purl(), Some(now));
        }
        Ok(())
    }
}

/// One logical worker, or one sweeper.
pub(super) struct Hand {
    /// Its ports.
    pub(super) mortal: Arc<Mortal>,
    /// What it does.
    pub(super) service: Service,
    /// From when on it can do something.
    free_at: Timestamp,
}

struct Engine {
    plan: Plan,
    surroundings: Arc<Surroundings>,
    workers: Vec<Hand>,
    sweepers: Vec<Hand>,
    chance: Chance,
    work: Work,
}

/// Lets a year pass, and reports on it. `tell` hears of each day that has passed.
///
/// # Panics
///
/// In a runtime with several threads: its clock cannot stand still.
pub async fn run(plan: &Plan, mut tell: impl FnMut(&str)) -> Result<Report> {
    let begin = Instant::now();
    let deployment = Deployment::start(plan, DUPLICATED).await?;
    let (earth, surroundings) = (
        Arc::clone(&deployment.surroundings.earth),
        Arc::clone(&deployment.surroundings),
    );
    earth.advance(plan.start());
    let hand = |number| deployment.hand(number);
    let mut engine = Engine {
        workers: (0..plan.workers).map(hand).collect(),
        sweepers: (plan.workers..plan.workers + 2).map(hand).collect(),
        chance: Chance::new(plan.seed).of("engine"),
        work: Work::default(),
        plan: plan.clone(),
        surroundings: Arc::clone(&surroundings),
    };
    deployment.watch(plan.start()).await?;
    tokio::time::pause();
    engine.pass(begin, &mut tell).await?;
    tokio::time::resume();
    let simulated = begin.elapsed();
    let queue = surroundings.queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut work = engine.work;
    work.deliveries = queue.deliveries;
    work.duplicates = queue.duplicates;
    work.dead_letters = queue.dead.len();
    work.left = queue.len();
    drop(queue);
    let audited = audit(plan, &earth, &*surroundings.store).await?;
    Ok(Report::new(plan, &earth, work, audited, simulated, begin.elapsed()))
}

impl Engine {
    /// From minute to minute, but not through those in which nothing can happen.
    async fn pass(&mut self, begin: Instant, tell: &mut impl FnMut(&str)) -> Result<()> {
        let earth = Arc::clone(&self.surroundings.earth);
        let mut minute = self.plan.start();
        let mut day = 0;
        while minute < self.plan.end() {
            earth.advance(minute);
            if earth.weather.outage(Affected::Deployment, minute).is_none() {
                let is_wanted = earth.ledger().next_due().is_some_and(|at| at <= minute) || self.is_news(minute);
                if is_wanted && self.next_sweep() <= minute {
                    self.sweep(minute).await;
                }
                self.deliver(minute).await?;
            }
            let passed = minute.duration_since(self.plan.start()).as_hours() / 24;
            if passed > day {
                day = passed;
                let looks = earth.ledger().looks;
                let seconds = begin.elapsed().as_secs();
                tell(&format!("day {day} of {}, {looks} looks, {seconds} s", self.plan.days));
            }
            minute = self.next_minute(minute);
        }
        Ok(())
    }

    /// Whether the feed has something that was not read: the sweep after any publication, and after any outage.
    fn is_news(&self, minute: Timestamp) -> bool {
        let earth = &self.surroundings.earth;
        let feed = earth.feed_end();
        self.work.read_until != Some(feed) || self.work.swept_at.is_none_or(|at| at + HOUR <= minute)
    }

    /// The first minute in which there may be a sweep again.
    fn next_sweep(&self) -> Timestamp {
        self.work
            .swept_at
            .map_or(self.plan.start(), |swept_at| swept_at + self.plan.sweeps_every)
    }

    /// The next minute in which something happens, is to be swept or delivered, breaks or works again.
    fn next_minute(&self, minute: Timestamp) -> Timestamp {
        let earth = &self.surroundings.earth;
        let next = minute + MINUTE;
        let queued = self
            .surroundings
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next_at();
        let happens = [
            earth.next_at(),
            earth.ledger().next_due().map(|due| due.max(self.next_sweep())),
            // What is published is read by the next sweep.
            (!self.is_read()).then(|| self.next_sweep()),
            queued,
            earth.weather.border_after(minute),
            // The sweep of the hour.
            Some(minute + HOUR),
        ];
        let soonest = happens.into_iter().flatten().min().unwrap_or(next);
        if soonest <= next {
            return next;
        }
        // The first whole minute at which it has happened; a message is delivered in the minute in which it is visible.
        let minutes = soonest.duration_since(minute).as_secs().div_euclid(60);
        minute + SignedDuration::from_mins(minutes.max(1))
    }

    fn is_read(&self) -> bool {
        self.work.read_until == Some(self.surroundings.earth.feed_end())
    }

    /// One sweep; at times two that overlap, at times one that is killed.
    async fn sweep(&mut self, minute: Timestamp) {
        let earth = Arc::clone(&self.surroundings.earth);
        let mut chance = self.chance.of(&format!("sweep {minute}"));
        let both = chance.happens(self.plan.sweeps_overlap);
        let sweeps = self.sweepers.iter().take(if both { 2 } else { 1 }).map(|hand| {
            let death = chance
                .happens(self.plan.sweeps_killed)
                .then(|| a_death(&mut chance, 40));
            let chance = chance.of(&hand.service.holder);
            hand.mortal.live(minute, chance, death, hand.service.sweep(minute))
        });
        let feed = earth.feed_end();
        for swept in join_all(sweeps.collect::<Vec<_>>()).await {
            self.work.sweeps += 1;
            self.work.swept_at = Some(minute);
            match swept {
                Some(Ok(swept)) => {
                    let read_until = swept.feeds.iter().map(|feed| feed.until).max();
                    self.work.troubled_sweeps += u64::from(!swept.troubles.is_empty());
                    if swept.troubles.is_empty() && read_until.is_some_and(|until| until >= feed) {
                        self.work.read_until = Some(feed);
                    }
                }
                Some(Err(_)) => self.work.troubled_sweeps += 1,
                None => {}
            }
        }
    }

    /// Delivers what is visible within the minute to whoever is free, and works on it.
    async fn deliver(&mut self, minute: Timestamp) -> Result<()> {
        let end = minute + MINUTE;
        loop {
            let mut assigned: Vec<Vec<(Delivery, Timestamp, Option<Death>)>> = vec![Vec::new(); self.workers.len()];
            let mut any = false;
            while let Some((number, free_at)) = self.free_worker(minute) {
                let mut queue = self.surroundings.queue.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(delivery) = queue.receive(free_at, end) else {
                    break;
                };
                drop(queue);
                any = true;
                let mut chance = self.chance.of(&format!("{} {}", delivery.at, delivery.body));
                let death = chance.happens(self.plan.killed).then(|| a_death(&mut chance, 30));
                let begin = delivery.at;
                let takes = if death.is_some() {
                    MINUTE
                } else {
                    chance.duration(SECOND, SECOND * 5)
                };
                if let Some(worker) = self.workers.get_mut(number) {
                    worker.free_at = begin + takes;
                }
                if let Some(assigned) = assigned.get_mut(number) {
                    assigned.push((delivery, begin, death));
                }
            }
            if !any {
                return Ok(());
            }
            let works = self
                .workers
                .iter()
                .zip(assigned)
                .map(|(hand, deliveries)| self.work_off(hand, deliveries));
            let done = join_all(works.collect::<Vec<_>>()).await;
            for (delivery, outcome) in done.into_iter().flatten() {
                self.work.note(&outcome);
                match outcome {
                    Outcome::Done | Outcome::HandedOver | Outcome::Hopeless(_) => {
                        let mut queue = self.surroundings.queue.lock().unwrap_or_else(PoisonError::into_inner);
                        queue.delete(&delivery);
                    }
                    Outcome::Again(_) | Outcome::Killed => {}
                }
            }
        }
    }

    /// Who can do something first, and from when on in this minute.
    fn free_worker(&self, minute: Timestamp) -> Option<(usize, Timestamp)> {
        let workers = self.workers.iter().enumerate();
        let (number, worker) = workers.min_by_key(|(number, worker)| (worker.free_at, *number))?;
        (worker.free_at < minute + MINUTE).then(|| (number, worker.free_at.max(minute)))
    }

    /// What one worker does about what it was given, one after the other.
    async fn work_off(
        &self,
        hand: &Hand,
        deliveries: Vec<(Delivery, Timestamp, Option<Death>)>,
    ) -> Vec<(Delivery, Outcome)> {
        let mut done = Vec::new();
        for (delivery, now, death) in deliveries {
            let outcome = match WorkItem::from_json(&delivery.body) {
                Ok(item) => {
                    let chance = self.chance.of(&format!("work {now} {}", delivery.body));
                    let work = hand.service.work(&item, now);
                    hand.mortal.live(now, chance, death, work).await.into()
                }
                Err(error) => Outcome::Hopeless(error.to_string()),
            };
            done.push((delivery, outcome));
        }
        done
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a verdict.
    Done,
    /// New versions were handed over.
    HandedOver,
    /// It can never succeed.
    Hopeless(String),
    /// It comes back.
    Again(String),
    /// The worker was killed.
    Killed,
}

impl From<Option<Worked>> for Outcome {
    fn from(worked: Option<Worked>) -> Self {
        match worked {
            Some(Worked::Done(_)) => Self::Done,
            Some(Worked::HandedOver(_)) => Self::HandedOver,
            Some(Worked::Hopeless(fault)) => Self::Hopeless(fault.to_string()),
            Some(Worked::TryAgain(why)) => Self::Again(why),
            None => Self::Killed,
        }
    }
}

fn a_death(chance: &mut Chance, calls: i64) -> Death {
    Death {
        after: chance.between(0, calls).unsigned_abs(),
        last: match chance.between(0, 2) {
            0 => LastCall::Unmade,
            1 => LastCall::GivenUp(chance.between(1, 12).unsigned_abs()),
            _ => LastCall::Made,
        },
    }
}
