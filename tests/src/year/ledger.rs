//! What is written down while the year passes: what upstreams were asked, who looked at what, what was announced.

use std::collections::{BTreeMap, BTreeSet};

use hekate::ports::Announcement;
use jiff::Timestamp;

use super::MINUTE;

/// Whom Hekate asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Upstream {
    /// npm.
    Npm,
    /// npm's feed of changes.
    NpmFeed,
    /// GitHub.
    GitHub,
    /// The signature log.
    Rekor,
}

impl Upstream {
    /// Every upstream.
    pub const ALL: &[Self] = &[Self::Npm, Self::NpmFeed, Self::GitHub, Self::Rekor];

    /// What the report calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::NpmFeed => "npm's feed",
            Self::GitHub => "GitHub",
            Self::Rekor => "Rekor",
        }
    }
}

/// An announcement that somebody heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// What it said.
    pub announcement: Announcement,
    /// How often.
    pub times: u32,
}

/// The book.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Requests by upstream and hour.
    requests: BTreeMap<Upstream, BTreeMap<i64, u64>>,
    /// Requests that GitHub refused for want of quota.
    pub refused: u64,
    /// Requests that GitHub answered for free, because nothing had changed.
    pub free: u64,
    /// The minutes in which GitHub did not answer a request properly.
    github_troubles: BTreeSet<Timestamp>,
    /// When GitHub first showed each run.
    pub shown_runs: BTreeMap<u64, Timestamp>,
    /// Which workers look at what now.
    looking: BTreeMap<String, Vec<usize>>,
    /// Two looks at one version at one time.
    pub overlaps: Vec<String>,
    /// How many looks there were.
    pub looks: u64,
    /// How many looks found that somebody else held the lease.
    pub held: u64,
    /// Every announcement that was heard, by its id.
    pub heard: BTreeMap<String, Heard>,
    /// Announcements that are owed, and since when.
    pub owed: BTreeMap<String, Timestamp>,
    /// Verdicts that came after newer ones: they are in the history, and are no change.
    pub late: BTreeSet<(String, Timestamp)>,
    /// Every move of a cursor, from where to where.
    moves: BTreeMap<String, Vec<(Option<u64>, u64)>>,
    /// When each task is due, as far as the store was told.
    due: BTreeMap<String, Timestamp>,
    /// The same in the order of time.
    line: BTreeSet<(Timestamp, String)>,
    /// How often a worker or a sweep was killed.
    pub kills: u64,
    /// How often the store or the queue failed by itself.
    pub faults: u64,
    /// How often the store was called.
    pub store_calls: u64,
}

impl Ledger {
    /// Counts a request.
    pub fn asked(&mut self, upstream: Upstream, at: Timestamp) {
        let hours = self.requests.entry(upstream).or_default();
        *hours.entry(at.as_second().div_euclid(3600)).or_default() += 1;
    }

    /// How many requests there were, and how many in the worst hour.
    pub fn requests(&self, upstream: Upstream) -> (u64, u64) {
        let hours = self.requests.get(&upstream);
        let counts = || hours.into_iter().flat_map(BTreeMap::values).copied();
        (counts().sum(), counts().max().unwrap_or_default())
    }

    /// GitHub did not answer properly.
    pub fn github_is_in_trouble(&mut self, minute: Timestamp) {
        self.github_troubles.insert(minute);
    }

    /// Whether GitHub did not answer a request of that minute properly.
    pub fn github_was_in_trouble(&self, minute: Timestamp) -> bool {
        self.github_troubles.contains(&minute)
    }

    /// Somebody got the lease on a version.
    pub fn look_began(&mut self, purl: &str, worker: usize, now: Timestamp) {
        self.looks += 1;
        let looking = self.looking.entry(purl.to_owned()).or_default();
        if !looking.is_empty() {
            self.overlaps.push(format!("{purl} at {now}"));
        }
        looking.push(worker);
    }

    /// A worker is about to record what it looked at, or to give the lease back.
    pub fn look_ended(&mut self, purl: &str, worker: usize) {
        if let Some(looking) = self.looking.get_mut(purl) {
            looking.retain(|who| *who != worker);
            if looking.is_empty() {
                self.looking.remove(purl);
            }
        }
    }

    /// A worker does nothing any more.
    pub fn stopped(&mut self, worker: usize) {
        self.looking.retain(|_purl, looking| {
            looking.retain(|who| *who != worker);
            !looking.is_empty()
        });
    }

    /// A cursor was moved.
    pub fn cursor_moved(&mut self, feed: &str, from: Option<u64>, to: u64) {
        self.moves.entry(feed.to_owned()).or_default().push((from, to));
    }

    /// Moves that do not begin where another ended, or that go back: two sweeps moved one cursor, or one was lost.
    pub fn broken_moves(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (feed, moves) in &self.moves {
            let mut moves = moves.clone();
            moves.sort_unstable();
            let mut place = None;
            for (from, to) in moves {
                if from != place || from.is_some_and(|from| from > to) {
                    broken.push(format!("{feed}: from {from:?} to {to} after {place:?}"));
                }
                place = Some(to);
            }
        }
        broken
    }

    /// Somebody heard an announcement.
    pub fn heard(&mut self, announcement: &Announcement) {
        let heard = self.heard.entry(announcement.id.clone()).or_insert_with(|| Heard {
            announcement: announcement.clone(),
            times: 0,
        });
        heard.times += 1;
    }

    /// A task is due at that time, or not any more.
    pub fn is_due(&mut self, task: &str, at: Option<Timestamp>) {
        if let Some(before) = self.due.remove(task) {
            self.line.remove(&(before, task.to_owned()));
        }
        if let Some(at) = at {
            self.due.insert(task.to_owned(), at);
            self.line.insert((at, task.to_owned()));
        }
    }

    /// An announcement is owed. A sweep leaves it to the worker for a while.
    pub fn is_owed(&mut self, id: &str, since: Timestamp) {
        self.owed.insert(id.to_owned(), since);
        self.is_due(id, Some(since + MINUTE * 3));
    }

    /// An announcement was delivered, and that was noted.
    pub fn is_delivered(&mut self, id: &str) {
        self.owed.remove(id);
        self.is_due(id, None);
    }

    /// When something has to be swept next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.line.first().map(|(at, _task)| *at)
    }
}
