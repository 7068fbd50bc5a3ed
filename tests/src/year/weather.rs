//! What is out of order when.

use jiff::{SignedDuration, Timestamp};

use super::chance::Chance;
use super::{DAY, HOUR, MINUTE, Plan};

/// What an outage takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Affected {
    /// npm and its feed.
    Npm,
    /// GitHub.
    GitHub,
    /// The signature log, which no verification asks.
    Rekor,
    /// Everybody who is asked.
    Upstreams,
    /// The store: the queue goes on delivering.
    Store,
    /// Whoever listens to announcements.
    Listeners,
    /// The deployment: nothing is swept, delivered or worked on.
    Deployment,
}

impl Affected {
    /// Every part.
    pub const ALL: &[Self] = &[
        Self::Npm,
        Self::GitHub,
        Self::Rekor,
        Self::Upstreams,
        Self::Store,
        Self::Listeners,
        Self::Deployment,
    ];

    /// What the report calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::GitHub => "GitHub",
            Self::Rekor => "Rekor",
            Self::Upstreams => "every upstream",
            Self::Store => "the store",
            Self::Listeners => "the listeners",
            Self::Deployment => "the deployment",
        }
    }

    /// How many short and long outages a year has.
    fn rate(self) -> (i64, i64) {
        match self {
            Self::Npm => (10, 2),
            Self::GitHub => (14, 3),
            Self::Rekor => (8, 2),
            Self::Store | Self::Listeners => (4, 1),
            Self::Upstreams | Self::Deployment => (3, 1),
        }
    }
}

/// How an upstream is out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It answers 503.
    Unavailable,
    /// It answers nothing.
    Silent,
    /// It asks to slow down.
    TooMany,
    /// It shows a page of HTML.
    Challenge,
}

/// One outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// What it takes away.
    pub affected: Affected,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// How.
    pub manner: Manner,
}

/// Every outage of the year.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The outages.
    pub outages: Vec<Outage>,
}

impl Weather {
    /// Plans them.
    pub fn plan(plan: &Plan) -> Self {
        let mut outages = Vec::new();
        let manners = [Manner::Unavailable, Manner::Silent, Manner::TooMany, Manner::Challenge];
        for &affected in Affected::ALL {
            let mut chance = Chance::new(plan.seed).of("weather").of(affected.as_str());
            let (short, long) = affected.rate();
            let lengths = std::iter::repeat_n((MINUTE * 20, HOUR * 5), part_of_a_year(plan, short))
                .chain(std::iter::repeat_n((HOUR * 8, HOUR * 30), part_of_a_year(plan, long)));
            for (shortest, longest) in lengths {
                let from = plan.start() + chance.duration(DAY, plan.length() - DAY * 4);
                outages.push(Outage {
                    affected,
                    from,
                    until: from + chance.duration(shortest, longest),
                    manner: chance.pick(&manners).copied().unwrap_or(Manner::Unavailable),
                });
            }
        }
        outages.sort_by_key(|outage| outage.from);
        Self { outages }
    }

    /// How something is out of order at a time, if it is.
    pub fn outage(&self, of: Affected, at: Timestamp) -> Option<Manner> {
        let found = self
            .outages
            .iter()
            .find(|outage| outage.affected == of && outage.covers(at));
        found.map(|outage| outage.manner)
    }

    /// How an upstream is out of order at a time, alone or with all others.
    pub fn upstream_outage(&self, of: Affected, at: Timestamp) -> Option<Manner> {
        self.outage(of, at).or_else(|| self.outage(Affected::Upstreams, at))
    }

    /// The first beginning or end of an outage after a time.
    pub fn border_after(&self, at: Timestamp) -> Option<Timestamp> {
        let borders = self.outages.iter().flat_map(|outage| [outage.from, outage.until]);
        borders.filter(|border| *border > at).min()
    }

    /// How long something was out of order in all.
    pub fn length(&self, of: Affected) -> SignedDuration {
        let lengths = self.outages.iter().filter(|outage| outage.affected == of);
        lengths.map(|outage| outage.until.duration_since(outage.from)).sum()
    }
}

/// How many there are in the time of the plan of what a year has so many of.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small numbers"
)]
fn part_of_a_year(plan: &Plan, count: i64) -> usize {
    (count as f64 * plan.days as f64 / 365.0 * plan.outages).round() as usize
}

impl Outage {
    fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}
