//! What a verifier may say of each release: by who knows what was planned and what upstreams showed, and calls no check.

use std::collections::BTreeMap;

use hekate::verdict::Status;
use jiff::{SignedDuration, Timestamp};

use super::MINUTE;
use super::ledger::Ledger;
use super::population::{Act, Attack, Line, Oddity, Planned, Population};
use super::world::run_id;

/// After how many releases by hand, over how long, a line counts as one that is released by hand.
const HABIT: (usize, SignedDuration) = (5, SignedDuration::from_hours(24 * 30));

/// The oracle.
pub struct Oracle<'a> {
    population: &'a Population,
    ledger: &'a Ledger,
    /// The releases of each line, in their order.
    lines: BTreeMap<(usize, Line), Vec<&'a Planned>>,
}

impl<'a> Oracle<'a> {
    /// Knows everything that was planned, and what is written in the book.
    pub fn new(population: &'a Population, ledger: &'a Ledger) -> Self {
        let mut lines: BTreeMap<(usize, Line), Vec<&Planned>> = BTreeMap::new();
        for release in &population.releases {
            lines.entry((release.package, release.line)).or_default().push(release);
        }
        Self {
            population,
            ledger,
            lines,
        }
    }

    /// The best that may be said of a release by a look at that time.
    pub fn best(&self, release: &Planned, at: Timestamp) -> Status {
        // The world is that of the beginning of the minute.
        let minute = Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap_or(at);
        match release.act {
            Act::Pipeline => self.best_of_a_run(release, at),
            Act::ByHand => Status::Unattested,
            Act::Lapse => self.best_by_hand(release),
            Act::Attack(attack) => match attack {
                Attack::NeverAttested | Attack::TokenOnUnattestedLine => Status::Unattested,
                Attack::Token | Attack::TokenOnOldLine => self.best_by_hand(release),
                Attack::OtherBytes => Status::Mismatch,
                Attack::SwappedTarball if release.done_at() <= minute => Status::Mismatch,
                Attack::SwappedTarball => self.best_of_a_run(release, at),
                Attack::StolenIdentity | Attack::ThrowAwayBranch | Attack::Comment => {
                    let runs_on = release
                        .run_ends_after
                        .is_some_and(|after| minute < release.at + after + MINUTE);
                    // What GitHub does not show cannot accuse.
                    if runs_on || self.ledger.github_was_in_trouble(minute) {
                        Status::Attested
                    } else {
                        Status::Suspicious
                    }
                }
            },
        }
    }

    /// A run that GitHub never showed cannot have been examined.
    fn best_of_a_run(&self, release: &Planned, at: Timestamp) -> Status {
        let run = run_id(release, self.population.name(release));
        match self.ledger.shown_runs.get(&run) {
            Some(shown) if *shown <= at => Status::Verified,
            Some(_) | None => Status::Attested,
        }
    }

    /// Without attestations, on a line that had some: until that is how the line is released.
    fn best_by_hand(&self, release: &Planned) -> Status {
        let line = self
            .lines
            .get(&(release.package, release.line))
            .map_or(&[][..], Vec::as_slice);
        let earlier: Vec<&&Planned> = line.iter().filter(|other| other.at < release.at).collect();
        let lately = earlier.iter().rev().take_while(|other| !other.leaves_a_run());
        let lately: Vec<&&&Planned> = lately.collect();
        let (count, span) = HABIT;
        let is_habit = lately.len() >= count
            && lately
                .last()
                .is_some_and(|first| release.at.duration_since(first.at) >= span);
        let was_attested = earlier.iter().any(|other| other.leaves_a_run());
        if is_habit || !was_attested {
            Status::Unattested
        } else {
            Status::Downgraded
        }
    }

    /// Why a status accuses an honest release, if nothing explains it.
    pub fn accuses_wrongly(&self, release: &Planned, at: Timestamp, status: Status) -> bool {
        let is_honest = match release.act {
            Act::Pipeline | Act::ByHand | Act::Lapse => true,
            Act::Attack(Attack::SwappedTarball) => release.done_at() > at,
            Act::Attack(_) => false,
        };
        let has = |oddity| release.oddities.contains(&oddity);
        is_honest
            && match status {
                Status::Mismatch => true,
                Status::Suspicious => !has(Oddity::Burst) && !has(Oddity::OtherBranch),
                Status::Downgraded => !has(Oddity::Lapse),
                Status::Indeterminate | Status::Unattested | Status::Attested | Status::Verified => false,
            }
    }

    /// Whether a status tells of an attack.
    pub fn tells(attack: Attack, status: Status) -> bool {
        let least = match attack {
            Attack::Token | Attack::TokenOnOldLine | Attack::TokenOnUnattestedLine | Attack::NeverAttested => {
                Status::Downgraded
            }
            Attack::StolenIdentity | Attack::ThrowAwayBranch | Attack::Comment => Status::Suspicious,
            Attack::SwappedTarball | Attack::OtherBytes => Status::Mismatch,
        };
        !is_better(status, least)
    }

    /// For how long a release could be looked at: until it was taken back or the year ended.
    pub fn served_until(&self, release: &Planned, end: Timestamp) -> Timestamp {
        let removed = release.removed_after.map(|after| release.at + after);
        let withdrawn = self.population.withdrawn.iter();
        let withdrawn = withdrawn
            .filter(|(package, _)| *package == release.package)
            .map(|(_, at)| *at);
        removed.into_iter().chain(withdrawn).chain([end]).min().unwrap_or(end)
    }
}

/// Whether a status is better than another. Undecided is neither better nor worse.
pub fn is_better(status: Status, than: Status) -> bool {
    status != Status::Indeterminate && status > than
}
