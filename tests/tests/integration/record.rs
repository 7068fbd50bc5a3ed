//! The record of attacks, controls and ordinary life, walked without sockets: what is said of each, that it replays, and how
//! often GitHub is asked for it.

use std::sync::{Arc, OnceLock};

use hekate::check::{Outcome, Severity};
use hekate::ecosystem::LookFault;
use hekate::forge::github::BUDGET;
use hekate::package::Coordinate;
use hekate::verdict::Status;
use hekate::verifier::Case;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::{SignedDuration, Timestamp};
use testbed::record::{Entry, Look, record};
use testbed::{BASE_TIME, Build, Release, Scenario};

use crate::forge::minutes;
use crate::shape::{judge, listed};

/// One supply chain with what is remembered of it.
pub(crate) struct Walk {
    pub(crate) scenario: Arc<Scenario>,
    recollection: Recollection,
}

impl Walk {
    pub(crate) fn in_scenario(scenario: Scenario) -> Self {
        Self {
            scenario: Arc::new(scenario),
            recollection: Recollection::default(),
        }
    }

    /// Looks, and says how often GitHub was asked for it, redirects included.
    pub(crate) async fn look(&mut self, coordinate: &str, at: Timestamp) -> Result<(Judged, u32), LookFault> {
        let coordinate: Coordinate = coordinate.parse().unwrap();
        self.scenario.github().attempts.clear();
        let fetch = ScenarioFetch::new(Arc::clone(&self.scenario));
        let looked = self
            .recollection
            .look(&judge(), &fetch, &no_address(), &coordinate, at)
            .await?;
        let calls = self.scenario.github().attempts.values().sum();
        Ok((looked, calls))
    }
}

/// What came of an entry.
struct Walked {
    entry: Entry,
    /// What came of each look before the last.
    before: Vec<Status>,
    /// The last look.
    judged: Judged,
    /// How often GitHub was asked for it.
    calls: u32,
    /// The same look by somebody who remembers nothing.
    fresh: Judged,
    /// How often GitHub was asked for that.
    fresh_calls: u32,
    /// How often GitHub was asked for the same look one, two and three minutes later, by each of them.
    repeated_calls: [Vec<u32>; 2],
}

async fn walk(entry: Entry) -> Walked {
    let mut known = Walk::in_scenario((entry.scenario)());
    let mut before = Vec::new();
    for Look { purl, at, .. } in &entry.before {
        let (judged, _calls) = known.look(purl, *at).await.unwrap();
        before.push(judged.verdict.status);
    }
    let mut unknown = Walk::in_scenario((entry.scenario)());
    if let Some(change) = &entry.change {
        change(&mut known.scenario.github());
        change(&mut unknown.scenario.github());
    }
    let Look { purl, at, .. } = &entry.subject;
    let (judged, calls) = known.look(purl, *at).await.unwrap();
    let (fresh, fresh_calls) = unknown.look(purl, *at).await.unwrap();
    let mut repeated_calls = [Vec::new(), Vec::new()];
    for (walk, calls) in [&mut known, &mut unknown].into_iter().zip(&mut repeated_calls) {
        for minutes in 1..=3 {
            let at = *at + SignedDuration::from_mins(minutes);
            calls.push(walk.look(purl, at).await.unwrap().1);
        }
    }
    Walked {
        entry,
        before,
        judged,
        calls,
        fresh,
        fresh_calls,
        repeated_calls,
    }
}

/// Every entry, walked once.
fn walked() -> &'static [Walked] {
    static WALKED: OnceLock<Vec<Walked>> = OnceLock::new();
    WALKED.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        record()
            .into_iter()
            .map(|entry| runtime.block_on(walk(entry)))
            .collect()
    })
}

/// Whether GitHub answers the last look of an entry; what is unanswered is asked several times.
fn is_answered(entry: &Entry) -> bool {
    let silent = [
        "outage",
        "outage-after-a-look",
        "rate-limited",
        "secondary-limit",
        "truncated",
        "half-an-outage",
    ];
    !silent.contains(&entry.name)
}

#[test]
fn every_entry_gets_the_verdicts_that_it_expects() {
    let mut surprises = Vec::new();
    for walked in walked() {
        let Walked { entry, judged, .. } = walked;
        let expected: Vec<_> = entry.before.iter().map(|look| look.expected).collect();
        let before: Vec<_> = walked.before.iter().map(|status| status.as_str()).collect();
        let is_a_sign = |finding: &&hekate::check::Finding| {
            finding.check.severity() >= Severity::Medium
                && match finding.outcome {
                    Outcome::Fail(_) => true,
                    Outcome::Warn(shade) => !shade.is_some_and(hekate::check::Shade::is_harmless),
                    Outcome::Pass(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => false,
                }
        };
        let findings = judged.verdict.findings.iter().filter(is_a_sign);
        let signs: Vec<_> = findings.map(|finding| finding.check.as_str()).collect();
        let status = judged.verdict.status.as_str();
        if (&before, status, signs.as_slice()) != (&expected, entry.subject.expected, entry.signs) {
            surprises.push(format!(
                "{}: {before:?}, {status}, {signs:?}\n{}",
                entry.name,
                listed(judged)
            ));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn every_entry_replays_from_its_json_to_the_same_verdict() {
    for walked in walked() {
        for judged in [&walked.judged, &walked.fresh] {
            let text = serde_json::to_string(&judged.case).unwrap();
            let case: Case = serde_json::from_str(&text).unwrap();
            assert_eq!(case, judged.case, "{}", walked.entry.name);
            assert_eq!(case.replay().unwrap(), judged.verdict, "{}", walked.entry.name);
        }
    }
}

#[test]
fn no_look_asks_github_more_often_than_the_budget_says() {
    for walked in walked().iter().filter(|walked| is_answered(&walked.entry)) {
        let name = walked.entry.name;
        println!(
            "{name:32} {} calls, {} by somebody who remembers nothing, {:?} when they look again",
            walked.calls, walked.fresh_calls, walked.repeated_calls
        );
        for calls in [walked.calls, walked.fresh_calls] {
            assert!(calls as usize <= BUDGET, "{name}: {calls}");
        }
    }
    assert_eq!(BUDGET, 8);
}

/// Entries of which one look leaves something unasked: the questions after the eighth request, and the last of a thousand jobs.
const READ_ON: &[&str] = &[
    "miasma",
    "snapshot-branch",
    "snapshot-branch-at-once",
    "asyncapi",
    "latest-from-next",
    "renamed-repository",
    "transferred-repository",
    "squash-merged",
    "maintenance-branch",
    "prerelease-channel",
    "deployment-environment",
    "thousand-jobs",
];

/// Entries of which the files come from two runs. Each is asked for.
const OF_TWO_RUNS: &[&str] = &["python-late-wheel"];

#[test]
fn a_repeated_look_asks_github_once() {
    for walked in walked().iter().filter(|walked| is_answered(&walked.entry)) {
        let name = walked.entry.name;
        for (first, repeated) in [walked.calls, walked.fresh_calls].iter().zip(&walked.repeated_calls) {
            let is_of_two_runs = OF_TWO_RUNS.contains(&name);
            let once = u32::from(*first > 0) * if is_of_two_runs { 2 } else { 1 };
            assert_eq!(repeated.last(), Some(&once), "{name}: {repeated:?}");
            let at_once = repeated.iter().all(|calls| *calls == once);
            assert!(
                is_of_two_runs || at_once != READ_ON.contains(&name),
                "{name}: {repeated:?}"
            );
            assert!(
                repeated.iter().all(|calls| *calls as usize <= BUDGET),
                "{name}: {repeated:?}"
            );
        }
    }
}

/// Entries of which somebody who looks for the first time says something else, with what that verifier lacks.
const ONLY_REMEMBERED: &[(&str, Status, &str)] = &[
    (
        "immobiliarelabs",
        Status::Verified,
        "whether commits were signed is no part of a certificate",
    ),
    (
        "keyv",
        Status::Verified,
        "what else a publisher released is known only of versions that were looked at",
    ),
    (
        "deleted-later",
        Status::Attested,
        "a run that was seen when it was there is kept",
    ),
    ("purged-after-a-look", Status::Attested, "the same"),
    ("deleted-run", Status::Attested, "the same"),
    ("outage-after-a-look", Status::Attested, "the same"),
    (
        "thousand-jobs",
        Status::Attested,
        "jobs that an earlier look read are kept",
    ),
    (
        "python-late-wheel",
        Status::Attested,
        "one look follows one run of those that the files come from",
    ),
    (
        "own-script-learnt",
        Status::Attested,
        "in which step a release was signed is no part of a certificate",
    ),
];

#[test]
fn whoever_looks_for_the_first_time_says_the_same_from_the_registrys_own_list() {
    let mut different = Vec::new();
    for walked in walked() {
        let (name, known, fresh) = (
            walked.entry.name,
            walked.judged.verdict.status,
            walked.fresh.verdict.status,
        );
        let expected = ONLY_REMEMBERED.iter().find(|(entry, ..)| *entry == name);
        if fresh != expected.map_or(known, |(_, status, _)| *status) {
            different.push(format!("{name}: {known} and {fresh}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    for (name, status, lacks) in ONLY_REMEMBERED {
        let walked = walked().iter().find(|walked| walked.entry.name == *name).unwrap();
        assert_ne!(walked.judged.verdict.status, *status, "{name}: {lacks}");
    }
}

#[tokio::test]
async fn a_release_that_was_verified_costs_one_call_from_then_on() {
    let mut walk = Walk::in_scenario(Scenario::new().release(Release::honest("@acme/widget", "1.2.3")));
    let (first, calls) = walk.look("npm:@acme/widget@1.2.3", minutes(61)).await.unwrap();
    assert_eq!(first.verdict.status, Status::Verified);
    assert!(calls <= 8, "{calls}");
    for hours in [2, 24, 24 * 30] {
        let at = BASE_TIME + SignedDuration::from_hours(hours);
        let (again, calls) = walk.look("npm:@acme/widget@1.2.3", at).await.unwrap();
        assert_eq!(
            (again.verdict.status, calls),
            (Status::Verified, 1),
            "after {hours} hours"
        );
    }
}

#[tokio::test]
async fn the_second_package_of_a_run_costs_three_calls_at_most() {
    let parts = (0..3).map(|index| {
        Release::honest(&format!("@acme/part-{index}"), "4.0.0")
            .at(BASE_TIME + SignedDuration::from_secs(2 * index))
            .build(|build| *build = Build::for_package("@acme/parts", "4.0.0"))
    });
    let mut walk = Walk::in_scenario(parts.fold(Scenario::new(), Scenario::release));
    let (first, calls) = walk.look("npm:@acme/part-0@4.0.0", minutes(120)).await.unwrap();
    assert_eq!(first.verdict.status, Status::Verified, "{}", listed(&first));
    assert!(calls <= 8, "{calls}");
    for part in ["npm:@acme/part-1@4.0.0", "npm:@acme/part-2@4.0.0"] {
        let (next, calls) = walk.look(part, minutes(121)).await.unwrap();
        println!("{part}: {calls} calls");
        assert_eq!(next.verdict.status, Status::Verified, "{part}: {}", listed(&next));
        assert!((1..=3).contains(&calls), "{part}: {calls}");
    }
}
