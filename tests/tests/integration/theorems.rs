//! What holds for every dossier: no order, no stranger and no silence makes a verdict better.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::OnceLock;

use hekate::availability::UnavailableReason;
use hekate::check::{CheckId, Family, Finding, Outcome, Severity, Shade, UnknownReason};
use hekate::dossier::{Answer, Body, Dossier, Kept, Subject};
use hekate::verdict::{Decision, Status, Verdict};
use hekate::verifier::Case;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, no_address};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testbed::Release;

use crate::attestations::provenance_of;
use crate::shape::{Expected, Shape};
use crate::{catalogue, forge, history, pypi_cases};

/// Every shape of all catalogues that gets a verdict, made once. Those that change are looked at once, by [`cases`].
pub(crate) fn shapes() -> &'static [(&'static str, Shape)] {
    static SHAPES: OnceLock<Vec<(&'static str, Shape)>> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let mut shapes = catalogue::all();
        shapes.extend(forge::all());
        shapes.extend(history::all());
        shapes.extend(pypi_cases::all());
        shapes.retain(|(_, shape)| matches!(shape.expected, Some(Expected::Status(_))));
        shapes
    })
}

/// What came of each.
pub(crate) fn cases() -> &'static [(&'static str, Judged)] {
    static CASES: OnceLock<Vec<(&'static str, Judged)>> = OnceLock::new();
    CASES.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let judged = |(name, shape): &(&'static str, Shape)| {
            let judged = runtime.block_on(shape.judged_without_sockets());
            (*name, judged.unwrap())
        };
        shapes().iter().map(judged).collect()
    })
}

/// Bounded runs: `PROPTEST_CASES` overrides the number.
pub(crate) fn runs(cases: u32) -> ProptestConfig {
    let from_environment = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: from_environment.unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// How good a verdict is for whoever wants to install the package.
fn rank(status: Status) -> u8 {
    match status {
        Status::Verified => 3,
        Status::Attested => 2,
        Status::Unattested => 1,
        Status::Mismatch | Status::Suspicious | Status::Downgraded | Status::Indeterminate => 0,
    }
}

/// An order that a seed gives.
pub(crate) fn shuffled<T>(items: &mut [T], seed: u64) {
    let mut keyed: Vec<usize> = (0..items.len()).collect();
    keyed.sort_by_cached_key(|index| {
        let mut hasher = DefaultHasher::new();
        (seed, index).hash(&mut hasher);
        hasher.finish()
    });
    for (place, from) in keyed.into_iter().enumerate() {
        items.swap(place, from);
    }
}

/// The items of the served list of attestations, byte for byte, where there is one.
fn served_items(dossier: &Dossier) -> Option<Vec<Box<RawValue>>> {
    let Answer::Answered(response) = &dossier.observation(Subject::Attestations)?.answer else {
        return None;
    };
    let Kept::Whole { body: Body(bytes) } = &response.kept else {
        return None;
    };
    let list: std::collections::BTreeMap<String, Vec<Box<RawValue>>> = serde_json::from_slice(bytes).ok()?;
    list.get("attestations").cloned()
}

/// Serves other items; the digests of the response stay, so that citations can be compared.
pub(crate) fn serve_items(dossier: &mut Dossier, items: &[Box<RawValue>]) {
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    let text = format!("{{\"attestations\":[{}]}}", items.join(","));
    for observation in &mut dossier.observations {
        if let (Subject::Attestations, Answer::Answered(response)) = (observation.subject, &mut observation.answer) {
            response.kept = Kept::Whole {
                body: Body(text.clone().into_bytes()),
            };
        }
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

/// A verdict without the digest of its dossier, in which the order of observations has no part but that of a list has.
pub(crate) fn comparable(mut verdict: Verdict) -> Verdict {
    verdict.dossier = hekate::package::Digest::sha256_of(b"");
    verdict
}

/// What the findings say, without listings and citations.
pub(crate) fn said(verdict: &Verdict) -> Vec<Finding> {
    let mut findings = verdict.findings.clone();
    for finding in &mut findings {
        finding.evidence.clear();
        finding.observed.remove("predicate types that are not evaluated");
    }
    findings
}

/// Attestations of kinds that are not evaluated: nothing, nonsense, and one that is authentic.
fn strangers() -> &'static [Value] {
    static STRANGERS: OnceLock<Vec<Value>> = OnceLock::new();
    STRANGERS.get_or_init(|| {
        let review = Release::honest("@acme/widget", "1.2.3")
            .statement(|statement| statement["predicateType"] = json!("https://example.com/review/v1"));
        vec![
            json!({"predicateType": "https://example.com/review/v1", "bundle": {}}),
            json!({"predicateType": "https://example.com/review/v1", "bundle": null}),
            json!({"predicateType": "", "bundle": "text"}),
            json!({"bundle": {"mediaType": "application/vnd.dev.sigstore.bundle.v9+json"}}),
            json!({"predicateType": "https://slsa.dev/provenance/v1.1", "bundle": [1, 2, 3]}),
            provenance_of(&review),
        ]
    })
}

pub(crate) const REASONS: [UnavailableReason; 8] = [
    UnavailableReason::Unreachable,
    UnavailableReason::RateLimited,
    UnavailableReason::NotRetained,
    UnavailableReason::Private,
    UnavailableReason::Stripped,
    UnavailableReason::Malformed,
    UnavailableReason::TooLarge,
    UnavailableReason::Unsupported,
];

const SUBJECTS: [Subject; 6] = [
    Subject::PackageIndex,
    Subject::Packument,
    Subject::VersionManifest,
    Subject::Attestations,
    Subject::Artifact,
    Subject::ArtifactAgain,
];

pub(crate) fn silence(reason: UnavailableReason) -> Answer {
    Answer::Unanswered {
        reason,
        detail: "silence".to_owned(),
        retry_after: None,
    }
}

#[test]
fn the_catalogue_has_shapes_of_every_status_that_is_given() {
    let statuses: std::collections::BTreeSet<_> = cases().iter().map(|(_, judged)| judged.verdict.status).collect();
    let expected = [
        Status::Mismatch,
        Status::Suspicious,
        Status::Downgraded,
        Status::Indeterminate,
        Status::Unattested,
        Status::Attested,
        Status::Verified,
    ];
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_case_replays_from_its_json_to_the_same_verdict() {
    for (name, judged) in cases() {
        let text = serde_json::to_string(&judged.case).unwrap();
        let case: Case = serde_json::from_str(&text).unwrap();
        assert_eq!(case, judged.case, "{name}");
        let replayed = serde_json::to_string(&case.replay().unwrap()).unwrap();
        assert_eq!(replayed, serde_json::to_string(&judged.verdict).unwrap(), "{name}");
        let read: Verdict = serde_json::from_str(&replayed).unwrap();
        assert_eq!(read, judged.verdict, "{name}");
    }
}

#[test]
fn an_unrecognised_attestation_changes_nothing() {
    let mut tried = 0;
    for (name, judged) in cases() {
        let Some(items) = served_items(&judged.case.dossier).filter(|items| items.len() < 60) else {
            continue;
        };
        for stranger in strangers() {
            for first in [true, false] {
                let mut case = judged.case.clone();
                let mut items = items.clone();
                items.insert(if first { 0 } else { items.len() }, raw(stranger));
                serve_items(&mut case.dossier, &items);
                let verdict = case.replay().unwrap();
                assert_eq!(verdict.status, judged.verdict.status, "{name}: {stranger}");
                assert_eq!(verdict.decided_by, judged.verdict.decided_by, "{name}: {stranger}");
                assert_eq!(said(&verdict), said(&judged.verdict), "{name}: {stranger}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

proptest! {
    #![proptest_config(runs(64))]

    #[test]
    fn any_order_of_evidence_gives_the_same_verdict(shape in any::<Index>(), seed in any::<u64>()) {
        let (name, judged) = shape.get(cases());
        let mut case = judged.case.clone();
        // Every attestation twice, so that there is an order to change.
        let mut reference = judged.verdict.clone();
        if let Some(mut items) = served_items(&case.dossier) {
            if items.len() < 20 {
                items.extend(items.clone());
            }
            serve_items(&mut case.dossier, &items);
            reference = case.replay().unwrap();
            shuffled(&mut items, seed);
            serve_items(&mut case.dossier, &items);
        }
        shuffled(&mut case.dossier.observations, seed);
        prop_assert_eq!(comparable(case.replay().unwrap()), comparable(reference), "{}", name);
    }

    #[test]
    fn the_order_of_observations_is_no_part_of_a_dossiers_digest(shape in any::<Index>(), seed in any::<u64>()) {
        let (_, judged) = shape.get(cases());
        let mut dossier = judged.case.dossier.clone();
        shuffled(&mut dossier.observations, seed);
        prop_assert_eq!(dossier.digest(), judged.case.dossier.digest());
    }

    #[test]
    fn silence_in_a_dossier_never_makes_a_verdict_better(
        shape in any::<Index>(),
        silenced in 1_usize..(1 << SUBJECTS.len()),
        reason in proptest::sample::select(&REASONS[..]),
    ) {
        let (name, judged) = shape.get(cases());
        let mut case = judged.case.clone();
        for (index, subject) in SUBJECTS.iter().enumerate() {
            for observation in &mut case.dossier.observations {
                if silenced & (1 << index) != 0 && observation.subject == *subject {
                    observation.answer = silence(reason);
                }
            }
        }
        let status = case.replay().unwrap().status;
        prop_assert!(rank(status) <= rank(judged.verdict.status), "{}: {} became {}", name, judged.verdict.status, status);
    }

    #[test]
    fn silence_on_the_wire_never_makes_a_verdict_better(
        shape in any::<Index>(),
        silenced in 1_usize..(1 << SUBJECTS.len()),
        reason in proptest::sample::select(&REASONS[..]),
    ) {
        let (name, judged) = shape.get(cases());
        let (_, shape) = shape.get(shapes());
        prop_assume!(!shape.changes());
        let mut fetch = ScenarioFetch::new(shape.scenario());
        for (index, subject) in SUBJECTS.iter().enumerate() {
            if silenced & (1 << index) != 0 {
                fetch = fetch.silencing(*subject, reason);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if let Ok(now) = runtime.block_on(shape.judged(&shape.scenario(), &fetch, &no_address())) {
            let status = now.verdict.status;
            prop_assert!(rank(status) <= rank(judged.verdict.status), "{}: {}", name, status);
        }
    }
}

/// The checks without which nothing is attested, as the document of statuses lists them.
const FOR_ATTESTED: [CheckId; 9] = [
    CheckId::ArtTarballIntegrity,
    CheckId::AttNonempty,
    CheckId::AttPublishSig,
    CheckId::AttProvenanceSig,
    CheckId::AttSubjectDigest,
    CheckId::AttSubjectName,
    CheckId::AttStmtVsCert,
    CheckId::LogInclusion,
    CheckId::IdIssuer,
];

/// The checks without which nothing is verified.
const FOR_VERIFIED: [CheckId; 6] = [
    CheckId::RunExists,
    CheckId::RunMatchesCert,
    CheckId::RunConclusion,
    CheckId::RunPublishStep,
    CheckId::RunSigningStep,
    CheckId::SrcCommitExists,
];

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let shade = || {
        proptest::option::of(proptest::sample::select(vec![
            Shade::Absent,
            Shade::Vacuous,
            Shade::WeakDigest,
            Shade::Snapshot,
            Shade::AfterPublish,
            Shade::UnknownStep,
            Shade::Missing,
            Shade::GivenUp,
        ]))
    };
    let reason = proptest::sample::select(vec![
        UnknownReason::NotRun,
        UnknownReason::Unsupported,
        UnknownReason::Unreachable,
        UnknownReason::RateLimited,
        UnknownReason::Malformed,
        UnknownReason::NotRetained,
        UnknownReason::Pending,
        UnknownReason::Private,
        UnknownReason::Stripped,
    ]);
    prop_oneof![
        shade().prop_map(Outcome::Pass),
        shade().prop_map(Outcome::Fail),
        shade().prop_map(Outcome::Warn),
        reason.prop_map(Outcome::Unknown),
        shade().prop_map(Outcome::NotApplicable),
    ]
}

/// Findings that are all passes but for a few, in any order, some of them left out.
fn any_findings() -> impl Strategy<Value = Vec<Finding>> {
    let changes = proptest::collection::vec((any::<Index>(), proptest::option::of(any_outcome())), 0..6);
    let order = Just(CheckId::ALL.to_vec()).prop_shuffle();
    (order, changes).prop_map(|(order, changes)| {
        let mut outcomes: Vec<_> = order.iter().map(|check| (*check, Some(Outcome::Pass(None)))).collect();
        for (index, change) in changes {
            index.get_mut(&mut outcomes).1 = change;
        }
        let finding = |(check, outcome): (CheckId, Option<Outcome>)| Some(Finding::new(check, outcome?, ""));
        outcomes.into_iter().filter_map(finding).collect()
    })
}

proptest! {
    #![proptest_config(runs(4096))]

    #[test]
    fn nothing_is_verified_or_attested_without_every_required_pass(findings in any_findings()) {
        let of = |check: CheckId| {
            findings.iter().find(|finding| finding.check == check).map(|finding| finding.outcome)
        };
        let passed = |check: &CheckId| of(*check).is_some_and(Outcome::is_pass);
        let failed = |severity| {
            findings.iter().any(|finding| finding.outcome.is_fail() && finding.check.severity() == severity)
        };
        let unsupported = |check| of(check) == Some(Outcome::Unknown(UnknownReason::Unsupported));
        let Decision { status, decided_by } = Decision::from_findings(&findings);
        // The harmless warning that the guard of a required check knows.
        let excused_for_verified = |check: &CheckId| {
            let harmless = [
                (CheckId::RunConclusion, Shade::AfterPublish),
                (CheckId::RunSigningStep, Shade::UnknownStep),
            ];
            harmless.iter().any(|(known, shade)| known == check && of(*check) == Some(Outcome::Warn(Some(*shade))))
        };
        // A weighty question about the build that somebody was kept from answering for now.
        let is_silenced = |finding: &Finding| {
            matches!(finding.check.family(), Family::Run | Family::Source)
                && finding.check.severity() >= Severity::Medium
                && [UnknownReason::Unreachable, UnknownReason::RateLimited, UnknownReason::Malformed]
                    .iter()
                    .any(|reason| finding.outcome == Outcome::Unknown(*reason))
        };
        // A build service that is recognised and not correlated.
        let elsewhere = unsupported(CheckId::IdIssuer);
        let excused = |check: &CheckId| {
            elsewhere && matches!(check, CheckId::IdIssuer | CheckId::AttStmtVsCert) && unsupported(*check)
        };
        match status {
            Status::Verified => {
                prop_assert!(FOR_ATTESTED.iter().all(passed));
                prop_assert!(FOR_VERIFIED.iter().all(|check| passed(check) || excused_for_verified(check)));
                prop_assert!(!findings.iter().any(is_silenced));
            }
            Status::Attested => {
                prop_assert!(FOR_ATTESTED.iter().all(|check| passed(check) || excused(check)));
            }
            Status::Mismatch => prop_assert!(failed(Severity::Critical)),
            Status::Unattested => {
                prop_assert_eq!(of(CheckId::AttPresent), Some(Outcome::NotApplicable(Some(Shade::Absent))));
            }
            Status::Suspicious => prop_assert!(!failed(Severity::Critical)),
            Status::Downgraded | Status::Indeterminate => {}
        }
        prop_assert_eq!(status == Status::Mismatch, failed(Severity::Critical));
        // What was lost weighs high, and is a status of its own.
        let is_high = |finding: &Finding| {
            finding.outcome.is_fail()
                && finding.check.severity() == Severity::High
                && finding.check != CheckId::HistDowngrade
        };
        if findings.iter().any(is_high) && !failed(Severity::Critical) {
            prop_assert_eq!(status, Status::Suspicious);
        }
        if of(CheckId::HistDowngrade).is_some_and(Outcome::is_fail) {
            prop_assert!([Status::Mismatch, Status::Suspicious, Status::Downgraded].contains(&status), "{}", status);
        }
        if status == Status::Downgraded {
            let stepped_down = [CheckId::HistDowngradeCrossline, CheckId::HistPublishModeChanged]
                .iter()
                .all(|check| of(*check) == Some(Outcome::Warn(None)));
            prop_assert!(stepped_down || of(CheckId::HistDowngrade).is_some_and(Outcome::is_fail));
        }
        prop_assert!(!decided_by.is_empty());
    }
}

#[test]
fn all_passes_are_verified_and_all_without_the_run_are_attested() {
    let findings = |leave_out: &[CheckId]| -> Vec<Finding> {
        let kept = CheckId::ALL.iter().filter(|check| !leave_out.contains(check));
        kept.map(|check| Finding::new(*check, Outcome::Pass(None), ""))
            .collect()
    };
    assert_eq!(Decision::from_findings(&findings(&[])).status, Status::Verified);
    assert_eq!(
        Decision::from_findings(&findings(&FOR_VERIFIED)).status,
        Status::Attested
    );
    for check in FOR_VERIFIED {
        assert_eq!(
            Decision::from_findings(&findings(&[check])).status,
            Status::Attested,
            "{check}"
        );
    }
    for check in FOR_ATTESTED {
        assert_eq!(
            Decision::from_findings(&findings(&[check])).status,
            Status::Indeterminate,
            "{check}"
        );
    }
    assert_eq!(Decision::from_findings(&[]).status, Status::Indeterminate);
}

#[test]
fn a_harmless_warning_is_enough_where_its_own_check_knows_it_and_nowhere_else() {
    let with = |changed: CheckId, outcome: Outcome| {
        let outcome = |check| if check == changed { outcome } else { Outcome::Pass(None) };
        let findings: Vec<_> = CheckId::ALL
            .iter()
            .map(|check| Finding::new(*check, outcome(*check), ""))
            .collect();
        Decision::from_findings(&findings).status
    };
    for check in FOR_VERIFIED {
        for shade in [
            Shade::AfterPublish,
            Shade::UnknownStep,
            Shade::SquashMerged,
            Shade::Missing,
        ] {
            let is_known = matches!(
                (check, shade),
                (CheckId::RunConclusion, Shade::AfterPublish) | (CheckId::RunSigningStep, Shade::UnknownStep)
            );
            let expected = if is_known { Status::Verified } else { Status::Attested };
            assert_eq!(with(check, Outcome::Warn(Some(shade))), expected, "{check} {shade:?}");
        }
        assert_eq!(
            with(check, Outcome::Pass(Some(Shade::Snapshot))),
            Status::Verified,
            "{check}"
        );
        assert_eq!(with(check, Outcome::Warn(None)), Status::Attested, "{check}");
    }
}
