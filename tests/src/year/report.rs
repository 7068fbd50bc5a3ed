//! What came of a year, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hekate::verdict::Status;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Plan;
use super::audit::Audit;
use super::engine::Outcome;
use super::ledger::Upstream;
use super::population::{Act, Attack};
use super::weather::Affected;
use super::world::{Earth, QUOTA};

/// What was done in the year.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Sweeps.
    pub sweeps: u64,
    /// Sweeps in which something went wrong.
    pub troubled_sweeps: u64,
    /// Deliveries of messages.
    pub deliveries: u64,
    /// Messages that the queue delivered twice.
    pub duplicates: u64,
    /// Messages that were put aside.
    pub dead_letters: usize,
    /// Messages that were left in the end.
    pub left: usize,
    /// Deliveries by what became of them.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How far the feed was read.
    pub read_until: Option<u64>,
    /// When the last sweep was.
    pub swept_at: Option<Timestamp>,
}

impl Work {
    /// Counts what became of a delivery.
    pub fn note(&mut self, outcome: &Outcome) {
        let name = match outcome {
            Outcome::Done => "verdict",
            Outcome::HandedOver => "versions handed over",
            Outcome::Hopeless(_) => "hopeless",
            Outcome::Again(_) => "try again",
            Outcome::Killed => "killed",
        };
        *self.outcomes.entry(name).or_default() += 1;
    }
}

/// What came of a year.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    /// Packages, how many of them have a pipeline, releases in the year, and before it.
    sizes: (usize, usize, usize, usize),
    /// Of the releases in the year, those of a pipeline.
    attested: usize,
    outages: Vec<(Affected, usize, SignedDuration)>,
    work: Work,
    /// What the audit found.
    pub audit: Audit,
    making: (Duration, usize),
    simulated: Duration,
    took: Duration,
}

impl Report {
    /// Puts together what is known.
    pub fn new(plan: &Plan, earth: &Earth, work: Work, audit: Audit, simulated: Duration, took: Duration) -> Self {
        let population = &earth.population;
        let in_the_year = || population.releases.iter().filter(|release| release.at >= plan.start());
        let count = in_the_year().count();
        let with_project = population.packages.iter().filter(|package| package.project.is_some());
        let outages = Affected::ALL.iter().map(|&affected| {
            let of_it = earth
                .weather
                .outages
                .iter()
                .filter(|outage| outage.affected == affected);
            (affected, of_it.count(), earth.weather.length(affected))
        });
        Self {
            plan: plan.clone(),
            sizes: (
                population.packages.len(),
                with_project.count(),
                count,
                population.releases.len() - count,
            ),
            attested: in_the_year().filter(|release| release.act == Act::Pipeline).count(),
            outages: outages.collect(),
            work,
            audit,
            making: earth.making(),
            simulated,
            took,
        }
    }

    /// Every bar that was not kept, in words; none if all were.
    pub fn broken_bars(&self) -> Vec<String> {
        let audit = &self.audit;
        let mut broken = Vec::new();
        let mut none = |what: &str, found: &[String]| {
            if !found.is_empty() {
                let shown: Vec<&str> = found.iter().take(20).map(String::as_str).collect();
                broken.push(format!("{} {what}:\n    {}", found.len(), shown.join("\n    ")));
            }
        };
        for (attack, planted) in &audit.attacks {
            if attack.is_tellable() {
                none(&format!("planted and not found ({attack})"), &planted.missed);
            }
        }
        none("versions without a settled verdict", &audit.undecided);
        none("verdicts better than the oracle allows", &audit.too_good);
        none("honest releases accused without an explanation", &audit.wronged);
        none("changes that nobody heard of", &audit.lost);
        none("announcements of changes that no history knows", &audit.unfounded);
        none("versions taken back and not marked", &audit.unmarked);
        none("looks at one version at one time", &audit.ledger.overlaps);
        none("moves of a cursor from elsewhere or back", &audit.ledger.broken_moves());
        let (_, worst) = audit.ledger.requests(Upstream::GitHub);
        if worst > QUOTA {
            broken.push(format!("{worst} requests to GitHub in an hour"));
        }
        let (rekor, _) = audit.ledger.requests(Upstream::Rekor);
        if rekor > 0 {
            broken.push(format!("{rekor} requests to Rekor"));
        }
        for attack in Attack::ALL {
            if !audit.attacks.contains_key(attack) {
                broken.push(format!(
                    "no attack was planted of the kind {attack}: there are too few packages"
                ));
            }
        }
        broken
    }

    /// The table, for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        // Writing to memory does not fail.
        let _ = self.write_table(&mut out);
        out
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        let Plan { seed, days, .. } = &self.plan;
        let (packages, with_project, releases, before) = self.sizes;
        let audit = &self.audit;
        let minutes = self.plan.sweeps_every.as_mins();
        writeln!(
            out,
            "simulated year: seed {seed}, {days} days, a sweep every {minutes} min at most"
        )?;
        writeln!(
            out,
            "  {packages} packages ({with_project} with a pipeline), {releases} releases ({} attested), {before} before",
            self.attested
        )?;
        writeln!(
            out,
            "\n{:<44} {:>7} {:>6} {:>6} {:>10} {:>10}",
            "attacks", "planted", "found", "missed", "median", "max"
        )?;
        for (attack, planted) in &audit.attacks {
            let (median, max) = latencies(&planted.latencies);
            let missed = if attack.is_tellable() {
                planted.missed.len().to_string()
            } else {
                "untold".to_owned()
            };
            writeln!(
                out,
                "  {:<42} {:>7} {:>6} {missed:>6} {median:>10} {max:>10}",
                attack.as_str(),
                planted.planted,
                planted.found
            )?;
        }
        writeln!(
            out,
            "\n{:<44} {:>10} {:>10}",
            "verdicts in the end", "honest", "planted"
        )?;
        for status in Status::ALL {
            let of = |planted| audit.statuses.get(&(planted, *status)).copied().unwrap_or_default();
            writeln!(out, "  {:<42} {:>10} {:>10}", status.as_str(), of(false), of(true))?;
        }
        for ((status, why), count) in &audit.explained {
            writeln!(out, "  honest and {status}, by {why}: {count}")?;
        }
        let line = |out: &mut String, what: &str, count: String| writeln!(out, "  {what:<42} {count:>10}");
        line(out, "taken back before anybody could look", audit.gone.to_string())?;
        line(out, "without a settled verdict", audit.undecided.len().to_string())?;
        line(out, "better than the oracle allows", audit.too_good.len().to_string())?;
        line(
            out,
            "honest, accused without explanation",
            audit.wronged.len().to_string(),
        )?;
        line(out, "marked as taken back", audit.marked.to_string())?;
        writeln!(out, "\nannouncements")?;
        line(out, "changes", audit.changes.to_string())?;
        line(out, "heard", audit.heard.to_string())?;
        line(out, "lost", audit.lost.len().to_string())?;
        line(out, "of the last minutes, owed", audit.owed.to_string())?;
        line(out, "repeated", audit.repeated.to_string())?;
        writeln!(
            out,
            "\n{:<44} {:>10} {:>10} {:>8}",
            "requests", "total", "worst hour", "quota"
        )?;
        for &upstream in Upstream::ALL {
            let (total, worst) = audit.ledger.requests(upstream);
            let quota = if upstream == Upstream::GitHub {
                QUOTA.to_string()
            } else {
                "-".to_owned()
            };
            writeln!(out, "  {:<42} {total:>10} {worst:>10} {quota:>8}", upstream.as_str())?;
        }
        line(
            out,
            "of GitHub's, free: nothing had changed",
            audit.ledger.free.to_string(),
        )?;
        line(
            out,
            "of GitHub's, refused for want of quota",
            audit.ledger.refused.to_string(),
        )?;
        writeln!(out, "\nwork")?;
        line(out, "looks", audit.ledger.looks.to_string())?;
        line(out, "leases that somebody else held", audit.ledger.held.to_string())?;
        line(
            out,
            "two looks at one version at once",
            audit.ledger.overlaps.len().to_string(),
        )?;
        line(out, "sweeps", self.work.sweeps.to_string())?;
        line(out, "sweeps with trouble", self.work.troubled_sweeps.to_string())?;
        line(out, "deliveries", self.work.deliveries.to_string())?;
        for (outcome, count) in &self.work.outcomes {
            line(out, &format!("  {outcome}"), count.to_string())?;
        }
        line(out, "messages delivered twice", self.work.duplicates.to_string())?;
        line(
            out,
            "messages put aside (dead letters)",
            self.work.dead_letters.to_string(),
        )?;
        line(out, "messages left", self.work.left.to_string())?;
        line(out, "workers and sweeps killed", audit.ledger.kills.to_string())?;
        line(out, "calls of the store", audit.ledger.store_calls.to_string())?;
        line(out, "faults of store and queue", audit.ledger.faults.to_string())?;
        writeln!(out, "\noutages")?;
        for (affected, count, length) in &self.outages {
            line(out, affected.as_str(), format!("{count}, {} h", length.as_hours()))?;
        }
        let (making, made) = self.making;
        writeln!(out, "\nreal time")?;
        line(out, "all", format!("{:.0} s", self.took.as_secs_f64()))?;
        line(
            out,
            "looks a second",
            format!("{:.1}", rate(audit.ledger.looks, self.simulated)),
        )?;
        line(
            out,
            "releases made a second",
            format!("{:.0}", rate(made as u64, making)),
        )
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let audit = &self.audit;
        let (packages, with_project, releases, before) = self.sizes;
        let attacks: Vec<Value> = audit
            .attacks
            .iter()
            .map(|(attack, planted)| {
                let mut seconds: Vec<i64> = planted.latencies.iter().map(SignedDuration::as_secs).collect();
                seconds.sort_unstable();
                json!({
                    "kind": attack.as_str(),
                    "tellable": attack.is_tellable(),
                    "planted": planted.planted,
                    "found": planted.found,
                    "missed": planted.missed,
                    "latencySeconds": {"median": seconds.get(seconds.len() / 2), "max": seconds.last()},
                })
            })
            .collect();
        let statuses = |planted| -> BTreeMap<&str, usize> {
            let of = |status: &Status| audit.statuses.get(&(planted, *status)).copied().unwrap_or_default();
            Status::ALL.iter().map(|status| (status.as_str(), of(status))).collect()
        };
        let requests: BTreeMap<&str, Value> = Upstream::ALL
            .iter()
            .map(|&upstream| {
                let (total, worst) = audit.ledger.requests(upstream);
                let quota = (upstream == Upstream::GitHub).then_some(QUOTA);
                (
                    upstream.as_str(),
                    json!({"total": total, "worstHour": worst, "quota": quota}),
                )
            })
            .collect();
        let explained: Vec<Value> = audit
            .explained
            .iter()
            .map(|((status, why), count)| json!({"status": status.as_str(), "why": why, "count": count}))
            .collect();
        json!({
            "seed": self.plan.seed,
            "days": self.plan.days,
            "sweepsEveryMinutes": self.plan.sweeps_every.as_mins(),
            "packages": packages,
            "packagesWithPipeline": with_project,
            "releases": releases,
            "releasesBefore": before,
            "attested": self.attested,
            "attacks": attacks,
            "verdicts": {"honest": statuses(false), "planted": statuses(true)},
            "explained": explained,
            "takenBackUnseen": audit.gone,
            "unsettled": audit.undecided,
            "tooGood": audit.too_good,
            "wronged": audit.wronged,
            "announcements": {
                "changes": audit.changes,
                "heard": audit.heard,
                "lost": audit.lost,
                "owed": audit.owed,
                "repeated": audit.repeated,
            },
            "requests": requests,
            "looks": audit.ledger.looks,
            "overlaps": audit.ledger.overlaps,
            "sweeps": self.work.sweeps,
            "deliveries": self.work.deliveries,
            "outcomes": self.work.outcomes,
            "duplicates": self.work.duplicates,
            "deadLetters": self.work.dead_letters,
            "kills": audit.ledger.kills,
            "storeCalls": audit.ledger.store_calls,
            "faults": audit.ledger.faults,
            "seconds": self.took.as_secs_f64(),
            "brokenBars": self.broken_bars(),
        })
    }
}

/// Median and maximum.
fn latencies(of: &[SignedDuration]) -> (String, String) {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    let shown = |duration: Option<&SignedDuration>| duration.map_or_else(|| "-".to_owned(), |duration| span(*duration));
    (shown(sorted.get(sorted.len() / 2)), shown(sorted.last()))
}

/// A duration in its largest units.
fn span(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    match minutes {
        0 => format!("{} s", duration.as_secs()),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate, shown with one digit")]
fn rate(count: u64, in_time: Duration) -> f64 {
    count as f64 / in_time.as_secs_f64().max(1e-9)
}
