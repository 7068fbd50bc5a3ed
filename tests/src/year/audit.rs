//! The end of the year: everything that is stored, against everything that was.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use hekate::package::{Ecosystem, PackageName, PackageVersion};
use hekate::ports::Store;
use hekate::verdict::{Status, Verdict};
use jiff::{SignedDuration, Timestamp};

use super::ledger::Ledger;
use super::oracle::{Oracle, is_better};
use super::population::{Act, Attack, Planned};
use super::weather::Affected;
use super::world::Earth;
use super::{MINUTE, Plan};

/// How many changes of one version are read.
const HISTORY: usize = 200;
/// For how many minutes a version must have been served, by a registry and to a deployment in order, to be looked at.
const LOOKED_AT_WITHIN: usize = 60;
/// How long before the end a change may be owed still.
const OWED: SignedDuration = SignedDuration::from_mins(15);

/// What was found of one kind of attack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// How many there were.
    pub planted: usize,
    /// How many were told.
    pub found: usize,
    /// Those that were not, and what was said of them.
    pub missed: Vec<String>,
    /// How long each took to be told, from when it was done.
    pub latencies: Vec<SignedDuration>,
}

/// What the audit found.
#[derive(Debug, Default)]
pub struct Audit {
    /// The attacks.
    pub attacks: BTreeMap<Attack, Planted>,
    /// How many releases of honest people, and of others, have which verdict in the end.
    pub statuses: BTreeMap<(bool, Status), usize>,
    /// How many versions in the year were taken back before anybody could look at them.
    pub gone: usize,
    /// Versions without a settled verdict.
    pub undecided: Vec<String>,
    /// Verdicts that are better than what the evidence allows.
    pub too_good: Vec<String>,
    /// Honest releases that are accused without an explanation.
    pub wronged: Vec<String>,
    /// Honest releases that are suspicious or downgraded, by what explains it.
    pub explained: BTreeMap<(Status, String), usize>,
    /// How many changes there are in the histories.
    pub changes: usize,
    /// Changes that nobody heard of, and that are not owed either.
    pub lost: Vec<String>,
    /// Changes of the last minutes that are owed still.
    pub owed: usize,
    /// How many announcements were heard, repetitions included.
    pub heard: usize,
    /// How many of them repeat another.
    pub repeated: usize,
    /// How many announcements no history knows of.
    pub unfounded: Vec<String>,
    /// How many versions have a verdict that says they were taken back.
    pub marked: usize,
    /// Versions that were taken back long ago and whose verdict does not say so.
    pub unmarked: Vec<String>,
    /// The book of the year.
    pub ledger: Ledger,
}

/// Reads everything that is stored of every release.
pub async fn audit(plan: &Plan, earth: &Earth, store: &dyn Store) -> Result<Audit> {
    let mut audit = Audit::default();
    let population = &earth.population;
    let ledger = std::mem::take(&mut *earth.ledger());
    let oracle = Oracle::new(population, &ledger);
    let mut heard_of = BTreeMap::new();
    for heard in ledger.heard.values() {
        let change = &heard.announcement.change;
        heard_of.insert((change.package.to_purl(), change.checked_at), change.dossier.clone());
        audit.heard += usize::try_from(heard.times).unwrap_or_default();
        audit.repeated += usize::try_from(heard.times).unwrap_or_default().saturating_sub(1);
    }
    let mut known = BTreeSet::new();
    for release in &population.releases {
        let name = PackageName::new(Ecosystem::Npm, population.name(release))?;
        let package = PackageVersion::new(name, &release.version)?;
        let current = store.current(&package).await?;
        let history = store.history(&package, None, HISTORY).await?;
        audit.look_at(plan, earth, &oracle, release, current.as_ref(), &history);
        let purl = package.to_purl();
        for verdict in &history {
            audit.changes += 1;
            let change = (purl.clone(), verdict.checked_at);
            let is_heard = heard_of.get(&change) == Some(&verdict.dossier);
            if !is_heard && !ledger.late.contains(&change) {
                let is_owed = ledger.owed.values().any(|since| *since == verdict.checked_at);
                if is_owed && verdict.checked_at > plan.end() - OWED {
                    audit.owed += 1;
                } else {
                    audit
                        .lost
                        .push(format!("{purl} {} at {}", verdict.status, verdict.checked_at));
                }
            }
            known.insert(change);
        }
    }
    for change in heard_of.keys().filter(|change| !known.contains(*change)) {
        audit.unfounded.push(format!("{} at {}", change.0, change.1));
    }
    audit.ledger = ledger;
    Ok(audit)
}

impl Audit {
    fn look_at(
        &mut self,
        plan: &Plan,
        earth: &Earth,
        oracle: &Oracle<'_>,
        release: &Planned,
        current: Option<&Verdict>,
        history: &[Verdict],
    ) {
        let purl = format!("{}@{}", earth.population.name(release), release.version);
        let in_the_year = release.at >= plan.start();
        let served_until = oracle.served_until(release, plan.end());
        let settled = current.filter(|verdict| verdict.status.is_settled());
        let removed_at = (served_until < plan.end()).then_some(served_until);
        if in_the_year {
            match settled {
                Some(_) => {}
                None if could_be_looked_at(earth, release.at, served_until) => {
                    let status = current.map_or("no verdict", |verdict| verdict.status.as_str());
                    self.undecided.push(format!("{purl} of {}: {status}", release.at));
                }
                None => self.gone += 1,
            }
        }
        let is_attack = matches!(release.act, Act::Attack(_));
        if let Some(verdict) = current {
            *self.statuses.entry((is_attack, verdict.status)).or_default() += 1;
            match removed_at {
                Some(_) if verdict.removed_at.is_some() => self.marked += 1,
                Some(at) if at + SignedDuration::from_hours(24 * 4) < plan.end() => {
                    self.unmarked.push(format!("{purl}, taken back at {at}"));
                }
                Some(_) | None => {}
            }
        }
        for verdict in history.iter().chain(current) {
            let best = oracle.best(release, verdict.checked_at);
            if is_better(verdict.status, best) {
                let said = format!(
                    "{purl} ({:?}) {} at {}",
                    release.act, verdict.status, verdict.checked_at
                );
                self.too_good.push(format!("{said}, at best {best}"));
            }
            if oracle.accuses_wrongly(release, verdict.checked_at, verdict.status) {
                let checks: Vec<&str> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
                let said = format!(
                    "{purl} ({:?}) {} at {}",
                    release.act, verdict.status, verdict.checked_at
                );
                self.wronged.push(format!("{said} by {}", checks.join(", ")));
            }
        }
        self.explain(release, current);
        if let Act::Attack(attack) = release.act {
            self.planted(attack, release, &purl, current, history);
        }
    }

    fn explain(&mut self, release: &Planned, current: Option<&Verdict>) {
        let accused = current.filter(|verdict| {
            matches!(verdict.status, Status::Suspicious | Status::Downgraded) && !matches!(release.act, Act::Attack(_))
        });
        if let Some(verdict) = accused {
            let why: Vec<String> = release.oddities.iter().map(|oddity| format!("{oddity:?}")).collect();
            *self.explained.entry((verdict.status, why.join("+"))).or_default() += 1;
        }
    }

    fn planted(
        &mut self,
        attack: Attack,
        release: &Planned,
        purl: &str,
        current: Option<&Verdict>,
        history: &[Verdict],
    ) {
        let planted = self.attacks.entry(attack).or_default();
        planted.planted += 1;
        let telling = history.iter().filter(|verdict| Oracle::tells(attack, verdict.status));
        let first = telling.map(|verdict| verdict.checked_at).min();
        match (first, current) {
            (Some(at), Some(verdict)) if Oracle::tells(attack, verdict.status) => {
                planted.found += 1;
                planted.latencies.push(at.duration_since(release.done_at()));
            }
            (_, verdict) => {
                let status = verdict.map_or("no verdict", |verdict| verdict.status.as_str());
                planted.missed.push(format!("{purl} of {}: {status}", release.at));
            }
        }
    }
}

/// Whether the registry served a version, and the deployment was in order, for long enough.
fn could_be_looked_at(earth: &Earth, from: Timestamp, until: Timestamp) -> bool {
    let in_order = |at: &Timestamp| {
        earth.weather.upstream_outage(Affected::Npm, *at).is_none()
            && earth.weather.outage(Affected::Store, *at).is_none()
            && earth.weather.outage(Affected::Deployment, *at).is_none()
    };
    let minutes = std::iter::successors(Some(from), |at| Some(*at + MINUTE)).take_while(|at| *at < until);
    minutes.filter(in_order).take(LOOKED_AT_WITHIN).count() >= LOOKED_AT_WITHIN
}
