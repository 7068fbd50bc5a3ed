//! A simulated year of a registry: packages that are released honestly and not, upstreams that forget and fail, a queue that
//! repeats itself, and workers that are killed.
//!
//! What is under test is the product's own service on its own store, an emulated DynamoDB. Everything around it is
//! simulated: time, npm with its feed, GitHub with its quota, the queue, who listens, and death. Every signature in it is
//! made and verified. The oracle knows what was planned and what upstreams could show, and shares no code with the checks.
//!
//! A year with the same seed is the same year: what is released, planted, out of order, repeated and killed depends on the
//! seed alone, and so does which of the workers that work at the same moment is first. Only keys are made anew.

#![expect(
    clippy::await_holding_lock,
    reason = "a simulation of one thread of time: nobody else waits for a lock"
)]

pub mod audit;
pub mod chance;
pub mod crowd;
pub mod engine;
pub mod ledger;
pub mod mortal;
pub mod oracle;
mod planner;
pub mod population;
pub mod queue;
pub mod report;
pub mod table;
pub mod weather;
pub mod world;

use jiff::{SignedDuration, Timestamp};

pub use crowd::crowd;
pub use engine::run;
pub use report::Report;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// When every year begins: 2025-11-03T00:00:00Z, a Monday. It ends in the past, because the verifier of signatures reads the
/// clock itself, and refuses log entries from the future.
const START: Timestamp = Timestamp::constant(1_762_128_000, 0);

/// Which year is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Everything depends on it.
    pub seed: u64,
    /// How many packages there are.
    pub packages: usize,
    /// How many releases there are in the year, planted ones included. Some more lie before it.
    pub releases: usize,
    /// How many days the year has, at most 365.
    pub days: i64,
    /// How many attacks are planted; as many as there are packages for.
    pub attacks: usize,
    /// How many workers there are.
    pub workers: usize,
    /// How far apart sweeps are: a minute in the template of a deployment.
    pub sweeps_every: SignedDuration,
    /// How many outages there are: 1 is as many as in [`weather`], 0 none.
    pub outages: f64,
    /// How often the work on a message ends in the death of its worker.
    pub killed: f64,
    /// How often a sweep is killed, and how often two overlap.
    pub sweeps_killed: f64,
    /// How often two sweeps overlap.
    pub sweeps_overlap: f64,
}

impl Plan {
    /// A year of so many packages, releases and days.
    pub fn new(seed: u64, packages: usize, releases: usize, days: i64) -> Self {
        Self {
            seed,
            packages,
            releases,
            days: days.clamp(60, 365),
            attacks: (packages / 30).max(9),
            workers: 10,
            sweeps_every: MINUTE,
            outages: 1.0,
            killed: 0.005,
            sweeps_killed: 0.005,
            sweeps_overlap: 0.02,
        }
    }

    /// When the year begins.
    pub fn start(&self) -> Timestamp {
        START
    }

    /// When it ends.
    pub fn end(&self) -> Timestamp {
        START + self.length()
    }

    /// How long it is.
    pub fn length(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * self.days)
    }
}
