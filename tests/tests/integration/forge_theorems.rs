//! What holds of every dossier and the forge: no silence verifies or accuses, no order matters, and what was seen counts as
//! much as what is shown.

use hekate::availability::UnavailableReason;
use hekate::check::{CheckId, Family, Outcome, Shade};
use hekate::dossier::{Answer, Body, Dossier, Kept, Observation, Response, Subject};
use hekate::package::Digest;
use hekate::verdict::{Status, Verdict};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, no_address};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::shape::outcome_of;
use crate::theorems::{cases, runs, shapes, shuffled, silence};

/// Every question to the forge that dossiers hold, but for further pages of jobs.
const SUBJECTS: [Subject; 13] = [
    Subject::Run,
    Subject::RunSnapshot,
    Subject::RunFirstMissed,
    Subject::OlderRuns,
    Subject::Jobs(1),
    Subject::Approvals,
    Subject::Repository,
    Subject::Commit,
    Subject::OnDefaultBranch,
    Subject::OnRef,
    Subject::Tags,
    Subject::PullRequests,
    Subject::ManifestAtCommit,
];

/// Why a forge does not answer for now.
const REASONS: [UnavailableReason; 3] = [
    UnavailableReason::Unreachable,
    UnavailableReason::RateLimited,
    UnavailableReason::Malformed,
];
/// Why it will not answer later, either.
const REFUSALS: [UnavailableReason; 3] = [
    UnavailableReason::Private,
    UnavailableReason::TooLarge,
    UnavailableReason::Unsupported,
];

fn is_accusation(status: Status) -> bool {
    match status {
        Status::Mismatch | Status::Suspicious | Status::Downgraded => true,
        Status::Indeterminate | Status::Unattested | Status::Attested | Status::Verified => false,
    }
}

/// What silence may make of a verdict: it hides what was wrong, and proves nothing.
fn is_allowed(before: Status, after: Status) -> bool {
    let accuses_nobody_new = !is_accusation(after) || is_accusation(before);
    let verifies_nothing_new = after != Status::Verified || before == Status::Verified;
    let keeps_the_registrys_part = before != Status::Verified || after == Status::Verified || after == Status::Attested;
    accuses_nobody_new && verifies_nothing_new && keeps_the_registrys_part
}

/// The observations of these subjects, in a dossier in which GitHub did not answer them.
fn silenced(dossier: &Dossier, is_silent: impl Fn(Subject) -> bool, answer: &Answer) -> Dossier {
    let mut dossier = dossier.clone();
    for observation in &mut dossier.observations {
        let was_answered = matches!(observation.answer, Answer::Answered(_));
        if was_answered && is_silent(observation.subject) {
            observation.answer = answer.clone();
        }
    }
    dossier
}

fn again(judged: &Judged, dossier: Dossier) -> Verdict {
    let mut case = judged.case.clone();
    case.dossier = dossier;
    case.replay().unwrap()
}

/// Whether what was seen of the run stands in for silence about it: then the verdict is the one of that time.
fn is_answered_by_a_snapshot(dossier: &Dossier, is_silent: impl Fn(Subject) -> bool) -> bool {
    is_silent(Subject::Run) && dossier.observation(Subject::RunSnapshot).is_some()
}

/// Every verdict that becomes what it must not become if one question is not answered for one of these reasons.
fn changed_by_silence(reasons: &[UnavailableReason], is_allowed: fn(Status, Status) -> bool) -> Vec<String> {
    let mut changed = Vec::new();
    for (name, judged) in cases() {
        let before = judged.verdict.status;
        for subject in SUBJECTS {
            let dossier = &judged.case.dossier;
            let is_silent = |asked| asked == subject;
            if dossier.observation(subject).is_none() || is_answered_by_a_snapshot(dossier, is_silent) {
                continue;
            }
            for reason in reasons {
                let after = again(judged, silenced(dossier, is_silent, &silence(*reason))).status;
                if !is_allowed(before, after) {
                    changed.push(format!(
                        "{name} without {subject:?} for {reason:?}: {before} became {after}"
                    ));
                }
            }
        }
    }
    changed
}

#[test]
fn silence_about_one_question_to_the_forge_neither_verifies_nor_accuses() {
    let changed = changed_by_silence(&REASONS, is_allowed);
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn refusal_of_one_question_to_the_forge_neither_verifies_nor_accuses() {
    let is_allowed = |before, after| match (is_accusation(before), is_accusation(after)) {
        (true, false) => after != Status::Verified,
        (false, true) => false,
        (_, _) => true,
    };
    let changed = changed_by_silence(&REFUSALS, is_allowed);
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

proptest! {
    #![proptest_config(runs(256))]

    #[test]
    fn silence_about_any_questions_to_the_forge_neither_verifies_nor_accuses(
        shape in any::<Index>(),
        silent in 1_usize..(1 << SUBJECTS.len()),
        reason in proptest::sample::select(&REASONS[..]),
    ) {
        let (name, judged) = shape.get(cases());
        let is_silent = |asked| SUBJECTS.iter().position(|subject| *subject == asked).is_some_and(|index| silent & (1 << index) != 0);
        prop_assume!(!is_answered_by_a_snapshot(&judged.case.dossier, is_silent));
        let dossier = silenced(&judged.case.dossier, is_silent, &silence(reason));
        let (before, after) = (judged.verdict.status, again(judged, dossier).status);
        prop_assert!(is_allowed(before, after), "{} without {:b}: {} became {}", name, silent, before, after);
    }

    #[test]
    fn the_order_of_jobs_and_steps_changes_no_outcome(shape in any::<Index>(), seed in any::<u64>()) {
        let (name, judged) = shape.get(cases());
        let mut dossier = judged.case.dossier.clone();
        for observation in &mut dossier.observations {
            if let Subject::Jobs(_) = observation.subject {
                shuffle_jobs(observation, seed);
            }
        }
        shuffled(&mut dossier.observations, seed);
        prop_assert_eq!(outcomes(&again(judged, dossier)), outcomes(&judged.verdict), "{}", name);
    }
}

proptest! {
    #![proptest_config(runs(64))]

    /// A question that is not answered on the wire may leave others unasked, too.
    #[test]
    fn silence_of_the_forge_on_the_wire_neither_verifies_nor_accuses(
        shape in any::<Index>(),
        silent in 1_usize..(1 << SUBJECTS.len()),
        reason in proptest::sample::select(&REASONS[..]),
    ) {
        let (name, judged) = shape.get(cases());
        let (_, shape) = shape.get(shapes());
        prop_assume!(!shape.changes() && !EXCUSED.contains(name));
        let mut fetch = ScenarioFetch::new(shape.scenario());
        for (index, subject) in SUBJECTS.iter().enumerate() {
            if silent & (1 << index) != 0 {
                fetch = fetch.silencing(*subject, reason);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if let Ok(now) = runtime.block_on(shape.judged(&shape.scenario(), &fetch, &no_address())) {
            let (before, after) = (judged.verdict.status, now.verdict.status);
            prop_assert!(is_allowed(before, after), "{} without {:b}: {} became {}", name, silent, before, after);
        }
    }
}

/// Shapes of which another test says what silence makes of them.
const EXCUSED: [&str; 2] = [
    "a_repository_that_has_since_taken_the_name_in_the_manifest",
    "another_repository",
];

/// Reorders the jobs of a page and the steps of each.
fn shuffle_jobs(observation: &mut Observation, seed: u64) {
    let Answer::Answered(response) = &mut observation.answer else {
        return;
    };
    let Kept::Excerpt { body: Body(bytes) } = &mut response.kept else {
        return;
    };
    let Ok(mut page) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    let Some(jobs) = page.get_mut("jobs").and_then(Value::as_array_mut) else {
        return;
    };
    for job in &mut *jobs {
        if let Some(steps) = job.get_mut("steps").and_then(Value::as_array_mut) {
            shuffled(steps, seed);
        }
    }
    shuffled(jobs, seed);
    *bytes = page.to_string().into_bytes();
}

fn outcomes(verdict: &Verdict) -> (Status, Vec<(CheckId, Outcome)>) {
    let outcomes = verdict.findings.iter().map(|finding| (finding.check, finding.outcome));
    (verdict.status, outcomes.collect())
}

#[test]
fn without_what_a_required_check_needs_nothing_is_verified() {
    let needed: [&[Subject]; 3] = [
        &[Subject::Run, Subject::RunSnapshot],
        &[Subject::Jobs(1)],
        &[Subject::Commit],
    ];
    let mut tried = 0;
    for (name, judged) in cases() {
        if judged.verdict.status != Status::Verified {
            continue;
        }
        for subjects in needed {
            let mut dossier = judged.case.dossier.clone();
            dossier
                .observations
                .retain(|observation| !subjects.contains(&observation.subject));
            let status = again(judged, dossier).status;
            assert_eq!(status, Status::Attested, "{name} without {subjects:?}");
            tried += 1;
        }
        let mut dossier = judged.case.dossier.clone();
        dossier
            .observations
            .retain(|observation| !observation.subject.is_of_the_trace());
        assert_ne!(
            again(judged, dossier).status,
            Status::Verified,
            "{name} without the forge"
        );
    }
    assert!(tried > 100, "{tried}");
}

/// GitHub says that it has no such run, and what it showed of it before is kept.
fn with_a_snapshot(dossier: &Dossier) -> Option<Dossier> {
    let mut dossier = dossier.clone();
    let shown = dossier.observation(Subject::Run)?.clone();
    let run: Value = match &shown.success()?.kept {
        Kept::Excerpt { body: Body(bytes) } => serde_json::from_slice(bytes).ok()?,
        Kept::Whole { .. } | Kept::Archive { .. } | Kept::Digests { .. } | Kept::Nothing => return None,
    };
    if run["status"] != json!("completed") {
        return None;
    }
    let gone = Response {
        status: 404,
        content_type: None,
        etag: None,
        size: 0,
        sha256: Digest::sha256_of(b""),
        kept: Kept::Nothing,
        redirects: 0,
        last_modified: None,
    };
    let missed = Observation {
        answer: Answer::Answered(gone),
        ..shown.clone()
    };
    dossier.observe(missed.clone());
    dossier.observe(Observation {
        subject: Subject::RunFirstMissed,
        ..missed
    });
    dossier.observe(Observation {
        subject: Subject::RunSnapshot,
        ..shown
    });
    Some(dossier)
}

#[test]
fn what_was_seen_of_a_run_counts_as_much_as_what_is_shown() {
    let mut tried = 0;
    for (name, judged) in cases() {
        if outcome_of(judged, CheckId::RunExists) != Outcome::Pass(None) {
            continue;
        }
        let Some(dossier) = with_a_snapshot(&judged.case.dossier) else {
            continue;
        };
        let now = Judged {
            verdict: again(judged, dossier),
            case: judged.case.clone(),
        };
        for &check in CheckId::ALL {
            let (before, after) = (outcome_of(judged, check), outcome_of(&now, check));
            let by_the_snapshot = match before {
                Outcome::Pass(None) if check.family() == Family::Run => Outcome::Pass(Some(Shade::Snapshot)),
                Outcome::Pass(_)
                | Outcome::Fail(_)
                | Outcome::Warn(_)
                | Outcome::Unknown(_)
                | Outcome::NotApplicable(_) => before,
            };
            let is_about_now = matches!(check, CheckId::RunExists | CheckId::RunDisappeared);
            assert!(
                is_about_now || after == before || after == by_the_snapshot,
                "{name}: {check}: {before:?}, {after:?}"
            );
        }
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}
