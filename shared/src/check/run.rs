//! The family `run`: did the build run really happen, and did it end well?
//!
//! What GitHub shows of a run is compared with what the certificate says of it. A run that GitHub does not show is never
//! proof by itself: retention is as short as a day, and clean-up jobs delete runs by age or conclusion.

use jiff::{SignedDuration, Timestamp};

use super::correlate::{Evidence, not_run};
use super::publishing::{State, Steps};
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::attestation::RunInvocation;
use crate::availability::Availability;
use crate::forge::github::wire;
use crate::forge::github::{NoDestination, Seen, Sight, Trace};

/// A run that is missing this soon after it signed was not purged: the shortest retention is a day.
const SURELY_RETAINED: SignedDuration = SignedDuration::from_hours(1);
/// An attempt that begins this long after the first one is worth knowing about.
const LATE_ATTEMPT: SignedDuration = SignedDuration::from_hours(72);
/// In how many earlier releases a step has to have signed before its name counts as the package's habit.
const HABIT: usize = 2;

impl Evidence<'_> {
    /// Where the certificate leads on the forge, or the finding that there is nothing to follow.
    pub(super) fn traced(&self, check: CheckId) -> Result<&Trace, Finding> {
        self.examination(check)?;
        let unsupported = |why: &str| Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), why);
        self.trace.as_ref().map_err(|reason| match reason {
            NoDestination::NothingAuthentic => not_run(check, "no provenance was authenticated"),
            NoDestination::ElsewhereBuilt => unsupported("builds elsewhere than on GitHub Actions are not correlated"),
            NoDestination::NoRun => unsupported("the certificate names no run, as those of early 2023 do not"),
        })
    }

    /// Whether some authentic provenance leads to another run, or another attempt, than the one that was looked at.
    pub(super) fn names_several_runs(&self) -> bool {
        let (Some(examination), Ok(trace)) = (self.authenticated.examination.present(), self.trace) else {
            return false;
        };
        let leads_there = |uri: Option<&str>| {
            uri.and_then(RunInvocation::parse).is_some_and(|invocation| {
                invocation.run == trace.destination.run && invocation.attempt == trace.destination.attempt
            })
        };
        !examination
            .authentic_provenances()
            .iter()
            .all(|provenance| leads_there(provenance.certificate.run_invocation_uri.as_deref()))
    }

    /// Names of steps in which earlier releases of the package were signed.
    pub(super) fn step_habit(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .history()
            .filter_map(|release| release.run_publish_step.as_deref())
            .collect();
        names.sort_unstable();
        names
            .chunk_by(|one, other| one == other)
            .filter(|same| same.len() >= HABIT)
            .filter_map(|same| same.first().copied())
            .collect()
    }
}

/// The run, or the finding that nothing can be said of it.
pub(super) fn sighted(check: CheckId, trace: &Trace) -> Result<(&Sight, &Seen<wire::Run>), Finding> {
    let sight = trace.run.as_ref().ok_or_else(|| not_looked_at(check))?;
    match (sight, sight.run()) {
        (_, Some(run)) => Ok((sight, run)),
        (Sight::Unavailable(trouble), None) => Err(Finding::unavailable(check, trouble)),
        (Sight::Missing { .. } | Sight::Live(_) | Sight::Snapshot { .. }, None) => Err(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            "GitHub does not have the run, and nobody here saw it before",
        )),
    }
}

/// Several runs made the files of a version, and the questions of one look did not reach this one: a later look asks.
fn not_looked_at(check: CheckId) -> Finding {
    let summary = "the build run was not looked at yet, to stay within the questions of one look";
    Finding::new(check, Outcome::Unknown(UnknownReason::Pending), summary)
}

/// A pass, by what GitHub shows or by what it showed.
pub(super) fn pass(sight: &Sight) -> Outcome {
    Outcome::Pass((!sight.is_live()).then_some(Shade::Snapshot))
}

/// Says, in a finding that rests on a snapshot, that it does and since when.
pub(super) fn sourced(finding: Finding, sight: &Sight) -> Finding {
    match sight {
        Sight::Live(seen) => finding.citing([seen.evidence.clone()]),
        Sight::Snapshot { seen, .. } => finding
            .observing("the run as it was seen", seen.at.to_string())
            .citing([seen.evidence.clone()]),
        Sight::Missing { .. } | Sight::Unavailable(_) => finding,
    }
}

/// What was asked of GitHub, or the finding that it was not asked or has no answer.
pub(super) fn replied<'a, T>(
    check: CheckId,
    reply: Option<&'a Availability<Seen<T>>>,
    what: &str,
) -> Result<Option<&'a Seen<T>>, Finding> {
    match reply {
        None => Err(not_run(
            check,
            &format!("{what}: not asked, to stay within the questions of one look"),
        )),
        Some(Availability::Present(seen)) => Ok(Some(seen)),
        Some(Availability::Absent { .. }) => Ok(None),
        Some(Availability::Unavailable(trouble)) => Err(Finding::unavailable(check, trouble)),
    }
}

macro_rules! attempt {
    ($question:expr) => {
        match $question {
            Ok(answer) => answer,
            Err(finding) => return finding,
        }
    };
}
pub(super) use attempt;

/// Passes if GitHub shows the run and attempt of the certificate, or showed them.
///
/// A 404 is a failure only if GitHub first gave it within an hour after the signature, for a public repository; a
/// warning only if older successful runs of the same workflow are still there; otherwise the run was purged.
pub(super) fn exists(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunExists;
    let trace = attempt!(evidence.traced(check));
    let Some(sight) = &trace.run else {
        return not_looked_at(check);
    };
    let destination = &trace.destination;
    let named = format!(
        "{}/actions/runs/{}/attempts/{}",
        destination.repository, destination.run, destination.attempt
    );
    let finding = |outcome, summary: String| {
        Finding::new(check, outcome, summary).observing("certificate 1.21 run", named.clone())
    };
    match sight {
        Sight::Live(_) => sourced(finding(pass(sight), "GitHub shows the run".to_owned()), sight),
        Sight::Snapshot { seen, now } => {
            let why = now
                .as_ref()
                .map_or("GitHub does not have it any more".to_owned(), |trouble| {
                    trouble.detail.clone()
                });
            let summary = format!("the run was seen at {}; now: {why}", seen.at);
            sourced(finding(pass(sight), summary), sight)
        }
        Sight::Unavailable(trouble) => Finding::unavailable(check, trouble).observing("certificate 1.21 run", named),
        Sight::Missing { first } => missing(trace, *first, finding),
    }
}

fn missing(trace: &Trace, first: Timestamp, finding: impl Fn(Outcome, String) -> Finding) -> Finding {
    let visible = match &trace.repository {
        Some(Availability::Present(repository)) if repository.value.private != Some(true) => true,
        Some(Availability::Present(_) | Availability::Absent { .. }) => {
            let summary = "the repository is private, or gone: GitHub does not tell which";
            return finding(Outcome::Unknown(UnknownReason::Private), summary.to_owned());
        }
        Some(Availability::Unavailable(_)) | None => false,
    };
    let age = first.duration_since(trace.destination.signed_at);
    let older = matches!(&trace.older_runs, Some(Availability::Present(older)) if older.value.total_count > 0);
    let (outcome, summary) = if visible && age < SURELY_RETAINED && age > -SURELY_RETAINED {
        (
            Outcome::Fail(None),
            "GitHub did not have the run when it was first asked, within an hour after the run signed".to_owned(),
        )
    } else if visible && older {
        (
            Outcome::Warn(Some(Shade::Missing)),
            "GitHub does not have the run, while older successful runs of its workflow are still there".to_owned(),
        )
    } else {
        (
            Outcome::Unknown(UnknownReason::NotRetained),
            "GitHub does not have the run, and nobody here saw it before: it was most likely purged".to_owned(),
        )
    };
    finding(outcome, summary)
        .observing("GitHub first answered that there is none", first.to_string())
        .observing("signed", trace.destination.signed_at.to_string())
}

/// Warns if a run that was seen before is gone, while older runs of its workflow are still there.
pub(super) fn disappeared(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunDisappeared;
    let trace = attempt!(evidence.traced(check));
    let Some(sight) = &trace.run else {
        return not_looked_at(check);
    };
    let Sight::Snapshot { seen, now: None } = sight else {
        return Finding::new(
            check,
            Outcome::NotApplicable(None),
            "no run that was seen before is gone",
        );
    };
    let older = attempt!(replied(check, trace.older_runs.as_ref(), "older runs of the workflow"));
    let purged = older.is_none_or(|older| older.value.total_count == 0);
    let (outcome, summary) = if purged {
        (
            Outcome::Unknown(UnknownReason::NotRetained),
            "the run is gone, and so are older runs of its workflow",
        )
    } else {
        (
            Outcome::Warn(None),
            "the run is gone, while older runs of its workflow are still there",
        )
    };
    Finding::new(check, outcome, summary).observing("the run as it was seen", seen.at.to_string())
}

/// How the commit of a run is to be compared with the certificate's, by the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadCommit {
    /// The run's head is the commit that was built.
    Same,
    /// As a rule; what differs is reported and proves nothing.
    AsARule,
    /// The run's head may be another commit than the one that was built.
    Another,
}

/// GitHub's `head_sha` is the commit of the event, the certificate's the commit that was checked out: they part where
/// an event runs on the default branch for something that happened elsewhere
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>).
fn head_commit(event: Option<&str>) -> HeadCommit {
    match event {
        Some("push" | "release" | "schedule" | "create") => HeadCommit::Same,
        Some("workflow_dispatch") => HeadCommit::AsARule,
        Some(_) | None => HeadCommit::Another,
    }
}

/// Compares the run with the certificate: repository id, run, attempt, workflow path, event, and the commit as far as the
/// event lets it be compared.
pub(super) fn matches_certificate(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunMatchesCert;
    let trace = attempt!(evidence.traced(check));
    let (sight, seen) = attempt!(sighted(check, trace));
    let run = &seen.value;
    let certificate_event = evidence
        .certificate()
        .and_then(|certificate| certificate.build_trigger.clone());
    let destination = &trace.destination;
    let path = run
        .path
        .as_deref()
        .map(|path| path.split('@').next().unwrap_or(path).to_owned());
    let id = |id: u64| id.to_string();
    let rows: [(&str, &str, Option<String>, Option<String>); 4] = [
        (
            "certificate 1.15 repository id",
            "run repository.id",
            destination.repository_id.map(id),
            run.repository.as_ref().map(|repository| id(repository.id.0)),
        ),
        (
            "certificate 1.18 workflow path",
            "run path",
            destination.workflow.clone(),
            path,
        ),
        (
            "certificate 1.20 trigger",
            "run event",
            certificate_event.clone(),
            run.event.clone(),
        ),
        (
            "certificate 1.13 commit",
            "run head_sha",
            destination.commit.clone(),
            run.head_sha.clone(),
        ),
    ];
    let mut finding = Finding::new(check, pass(sight), "the run is the one that the certificate describes");
    let mut compared = 0;
    for (place, other_place, fact, shown) in rows {
        let (Some(fact), Some(shown)) = (fact, shown) else {
            continue;
        };
        compared += 1;
        finding = finding
            .observing(place, fact.clone())
            .observing(other_place, shown.clone());
        if fact.eq_ignore_ascii_case(&shown) {
            continue;
        }
        let weight = if place == "certificate 1.13 commit" {
            head_commit(certificate_event.as_deref())
        } else {
            HeadCommit::Same
        };
        match weight {
            HeadCommit::Same => {
                finding.outcome = Outcome::Fail(None);
                finding.summary = format!("{other_place} contradicts {place}");
            }
            HeadCommit::AsARule if !finding.outcome.is_fail() => {
                finding.outcome = Outcome::Warn(None);
                finding.summary = format!("{other_place} differs from {place}, as it may for this event");
            }
            HeadCommit::AsARule | HeadCommit::Another => {}
        }
    }
    if compared == 0 {
        finding.outcome = Outcome::Unknown(UnknownReason::Malformed);
        "GitHub's answer names nothing that could be compared".clone_into(&mut finding.summary);
    }
    sourced(finding, sight)
}

/// Why a run that had not ended when it was seen cannot be judged to its end; `None` of one that had.
pub(super) fn unfinished(sight: &Sight, seen: &Seen<wire::Run>) -> Option<Outcome> {
    if seen.value.status == "completed" {
        return None;
    }
    Some(Outcome::Unknown(match sight {
        Sight::Snapshot { now: Some(trouble), .. } => trouble.reason.into(),
        Sight::Snapshot { now: None, .. } => UnknownReason::NotRetained,
        Sight::Live(_) | Sight::Missing { .. } | Sight::Unavailable(_) => UnknownReason::Pending,
    }))
}

/// Whether GitHub says that it does not have the run: then it is asked for nothing of it.
fn is_gone(trace: &Trace) -> bool {
    matches!(
        trace.run,
        Some(Sight::Missing { .. } | Sight::Snapshot { now: None, .. })
    )
}

pub(super) fn jobs(check: CheckId, trace: &Trace) -> Result<&Seen<Vec<wire::Job>>, Finding> {
    if trace.jobs.is_none() && is_gone(trace) {
        let summary = "GitHub does not show the run any more, and nobody here saw its jobs before";
        return Err(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            summary,
        ));
    }
    // A run that signed had a job with a step.
    let shown = |jobs: &&Seen<Vec<wire::Job>>| {
        let mut steps = jobs.value.iter().filter_map(|job| job.steps.as_ref());
        steps.any(|steps| !steps.is_empty())
    };
    replied(check, trace.jobs.as_ref(), "the run's jobs")?
        .filter(shown)
        .ok_or_else(|| {
            Finding::new(
                check,
                Outcome::Unknown(UnknownReason::NotRetained),
                "GitHub does not show the run's jobs with their steps",
            )
        })
}

/// Passes if the run ended well.
///
/// A run that failed after its publishing step did its part is only a warning: notifications, later packages of a
/// repository and clean-up fail without any harm. A run whose publishing step never did it and that failed is how a
/// stolen identity token looks.
pub(super) fn conclusion(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunConclusion;
    let trace = attempt!(evidence.traced(check));
    let (sight, seen) = attempt!(sighted(check, trace));
    let run = &seen.value;
    let finding = |outcome, summary: &str| {
        let finding = Finding::new(check, outcome, summary)
            .observing("run status", run.status.clone())
            .observing("run conclusion", run.conclusion.as_deref().unwrap_or("(none)"));
        sourced(finding, sight)
    };
    if let Some(unfinished) = unfinished(sight, seen) {
        return finding(unfinished, "the run had not ended when it was seen last");
    }
    match run.conclusion.as_deref() {
        Some("success") => return finding(pass(sight), "the run succeeded"),
        Some(
            "failure" | "cancelled" | "timed_out" | "startup_failure" | "action_required" | "skipped" | "neutral"
            | "stale",
        ) => {}
        Some(_) | None => {
            let summary = "GitHub names no conclusion that is known";
            return finding(Outcome::Unknown(UnknownReason::Malformed), summary);
        }
    }
    let jobs = match jobs(check, trace) {
        Ok(jobs) => jobs,
        Err(unknown) => {
            return finding(
                unknown.outcome,
                &format!("the run did not succeed; {}", unknown.summary),
            );
        }
    };
    let steps = Steps::new(trace, &jobs.value, &evidence.step_habit());
    let (outcome, summary) = match steps.state() {
        State::Published | State::FailedAfterSigning => (
            Outcome::Warn(Some(Shade::AfterPublish)),
            "the run did not succeed, but its publishing step had done its part",
        ),
        State::DidNotPublish | State::SaidOnly | State::Unrecognised | State::Pending if !trace.all_jobs => (
            Outcome::Unknown(UnknownReason::Pending),
            "the run did not succeed, and not all of its jobs have been read",
        ),
        State::DidNotPublish => (
            Outcome::Fail(None),
            "the run did not succeed, and its publishing step never did its part",
        ),
        State::SaidOnly | State::Unrecognised if steps.signed_in_an_ordinary_step() => (
            Outcome::Warn(Some(Shade::UnknownStep)),
            "the run did not succeed, and which step publishes cannot be told",
        ),
        State::SaidOnly | State::Unrecognised => (
            Outcome::Fail(None),
            "the run did not succeed, and no step of it published",
        ),
        State::Pending => (
            Outcome::Unknown(UnknownReason::Pending),
            "the run did not succeed, and its publishing step has not ended",
        ),
    };
    finding(outcome, summary).citing([jobs.evidence.clone()])
}

/// Warns if the attempt began long after the run was created.
pub(super) fn attempt_sane(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunAttemptSane;
    let trace = attempt!(evidence.traced(check));
    let (sight, seen) = attempt!(sighted(check, trace));
    let run = &seen.value;
    let attempt = trace.destination.attempt;
    let (Some(created), Some(started)) = (run.created_at, run.run_started_at) else {
        let summary = "GitHub does not say when the attempt began";
        return sourced(
            Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary),
            sight,
        );
    };
    let late = attempt > 1 && started.duration_since(created) > LATE_ATTEMPT;
    let (outcome, summary) = if late {
        (Outcome::Warn(None), "the attempt began days after the run was created")
    } else {
        (pass(sight), "the attempt is one that the run had, and began soon")
    };
    let finding = Finding::new(check, outcome, summary)
        .observing("certificate 1.21 attempt", attempt.to_string())
        .observing("run created_at", created.to_string())
        .observing("run run_started_at", started.to_string());
    sourced(finding, sight)
}

/// Passes if the actor released before, or is a bot.
pub(super) fn actor(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunActor;
    let trace = attempt!(evidence.traced(check));
    let (sight, seen) = attempt!(sighted(check, trace));
    let actors = [&seen.value.triggering_actor, &seen.value.actor];
    let Some(actor) = actors.into_iter().flatten().next() else {
        let summary = "GitHub does not name an actor";
        return sourced(
            Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary),
            sight,
        );
    };
    let login = actor.login.as_deref().unwrap_or("(none)");
    let bot = actor.kind.as_deref() == Some("Bot") || login.ends_with("[bot]");
    let past: Vec<&str> = evidence
        .history()
        .filter_map(|release| release.run_actor.as_deref())
        .collect();
    let (outcome, summary) = if bot {
        (pass(sight), "a bot started the run")
    } else if past.contains(&login) {
        (pass(sight), "who started the run started earlier releases")
    } else if past.is_empty() {
        (
            Outcome::NotApplicable(Some(Shade::FirstSeen)),
            "no earlier release is known to compare with",
        )
    } else {
        (
            Outcome::Warn(None),
            "who started the run started none of the earlier releases",
        )
    };
    sourced(
        Finding::new(check, outcome, summary).observing("run actor", login),
        sight,
    )
}

/// Passes if the run's code came from the repository itself and not from a fork.
pub(super) fn fork_head(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunForkHead;
    let trace = attempt!(evidence.traced(check));
    let (sight, seen) = attempt!(sighted(check, trace));
    let Some(repository) = &seen.value.repository else {
        let summary = "GitHub does not name the run's repository";
        return sourced(
            Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary),
            sight,
        );
    };
    let finding = match &seen.value.head_repository {
        Some(head) if head.id == repository.id => {
            Finding::new(check, pass(sight), "the run's code came from the repository itself")
        }
        Some(head) => Finding::new(check, Outcome::Fail(None), "the run's code came from a fork")
            .observing("run head_repository", format!("{} ({})", head.full_name, head.id.0)),
        None => Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            "the repository that the run's code came from is not named: it may be a fork that is gone",
        ),
    };
    let named = format!("{} ({})", repository.full_name, repository.id.0);
    sourced(finding.observing("run repository", named), sight)
}

/// Passes if a review is recorded of the deployment environment that the certificate names.
pub(super) fn environment_gate(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunEnvironmentGate;
    let trace = attempt!(evidence.traced(check));
    let Some(environment) = trace.destination.environment.as_deref() else {
        return Finding::new(
            check,
            Outcome::NotApplicable(None),
            "the certificate names no deployment environment",
        );
    };
    if trace.approvals.is_none() && is_gone(trace) {
        return not_run(
            check,
            "reviews of the deployment: not asked for, since GitHub does not show the run",
        );
    }
    let approvals = attempt!(replied(check, trace.approvals.as_ref(), "reviews of the deployment"));
    let approved = approvals.is_some_and(|approvals| {
        approvals.value.iter().any(|approval| {
            approval.state == "approved"
                && approval
                    .environments
                    .iter()
                    .any(|reviewed| reviewed.name.eq_ignore_ascii_case(environment))
        })
    });
    let (outcome, summary) = if approved {
        (Outcome::Pass(None), "a person approved the deployment")
    } else {
        (
            Outcome::Warn(None),
            "no approval of the deployment is recorded; the environment may ask for none",
        )
    };
    Finding::new(check, outcome, summary)
        .observing("certificate 1.23 environment", environment)
        .citing(approvals.map(|approvals| approvals.evidence.clone()))
}
