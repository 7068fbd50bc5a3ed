//! The family `run`: which step published, and was it the one that signed?

use jiff::{SignedDuration, Timestamp};

use super::correlate::Evidence;
use super::run::{attempt, jobs, pass, sighted, sourced, unfinished};
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::attestation::{RepositoryUri, WorkflowRef};
use crate::availability::Availability;
use crate::forge::github::steps::{Place, Publishing, StepKind, places};
use crate::forge::github::{Trace, wire};
use crate::history::ESTABLISHED;

/// GitHub's times have a resolution of one second, and its clocks are its own.
const STEP_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// What became of publishing, as far as the steps tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A step that publishes ended well.
    Published,
    /// It ran, and the signature was made in it, but it failed: as when a later package of several was refused.
    FailedAfterSigning,
    /// It has not ended.
    Pending,
    /// It was skipped, or ended before it signed.
    DidNotPublish,
    /// Steps that only say that they publish did not.
    SaidOnly,
    /// No step is recognised as one that publishes.
    Unrecognised,
}

/// The steps of a run, with those that publish.
pub(super) struct Steps<'a> {
    places: Vec<Place<'a>>,
    publishing: Publishing<'a>,
    signed_at: Timestamp,
    /// Whether the run has ended, so that a step without an end never gets one.
    over: bool,
}

impl<'a> Steps<'a> {
    pub(super) fn new(trace: &'a Trace, jobs: &'a [wire::Job], habit: &[&str]) -> Self {
        let places = places(jobs);
        let registry = trace.destination.package.ecosystem().registry();
        let run = trace.run.as_ref().and_then(crate::forge::github::Sight::run);
        Self {
            publishing: Publishing::of(&places, habit, registry.attesting_publishes()),
            places,
            signed_at: trace.destination.signed_at,
            over: run.is_some_and(|run| run.value.status == "completed"),
        }
    }

    fn was_running(&self, place: &Place<'_>) -> bool {
        place.was_running_at(self.signed_at, STEP_TOLERANCE)
    }

    fn running(&self) -> Vec<Place<'a>> {
        let running = |place: &Place<'a>| self.was_running(place);
        self.places.iter().copied().filter(running).collect()
    }

    /// The steps that stand for publishing: those that are known to; where none is, those that say so.
    fn relevant(&self) -> &[Place<'a>] {
        let Publishing { known, said } = &self.publishing;
        if known.is_empty() { said } else { known }
    }

    /// Whether a step that says that it publishes signed and ended well, where those that are known to publish did not: a
    /// canary beside a release that was skipped, or a name that was chosen to look like one.
    fn signed_in_one_that_says_so(&self) -> bool {
        let Publishing { known, said } = &self.publishing;
        !known.is_empty()
            && said
                .iter()
                .any(|place| place.conclusion() == Some("success") && self.was_running(place))
    }

    pub(super) fn state(&self) -> State {
        let relevant = self.relevant();
        let any = |wanted: &dyn Fn(&Place<'_>) -> bool| relevant.iter().any(wanted);
        if relevant.is_empty() {
            State::Unrecognised
        } else if any(&|place| place.conclusion() == Some("success")) {
            State::Published
        } else if !self.over && any(&|place| place.conclusion().is_none()) {
            State::Pending
        } else if any(&|place| self.was_running(place)) {
            State::FailedAfterSigning
        } else if self.publishing.known.is_empty() || self.signed_in_one_that_says_so() {
            State::SaidOnly
        } else {
            State::DidNotPublish
        }
    }

    /// Whether the signature was made in a step that ended well and that may publish for all that its name says.
    pub(super) fn signed_in_an_ordinary_step(&self) -> bool {
        self.running().iter().any(|place| {
            let kind = place.step.map(|step| StepKind::of(&step.name));
            place.conclusion() == Some("success") && matches!(kind, Some(StepKind::Other | StepKind::SaysPublish))
        })
    }

    fn have_times(&self) -> bool {
        let timed = |place: &Place<'_>| place.step.is_some_and(|step| step.started_at.is_some());
        self.places.iter().any(timed)
    }
}

/// Passes if a step that publishes succeeded.
///
/// Which step that is: one that runs a known command or action, or in which earlier releases of this package were
/// signed; otherwise one that says that it publishes. Where none is recognised, that is a warning, unless the package
/// always had one before.
pub(super) fn publish_step(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunPublishStep;
    let trace = attempt!(evidence.traced(check));
    let (sight, run) = attempt!(sighted(check, trace));
    let jobs = attempt!(jobs(check, trace));
    let steps = Steps::new(trace, &jobs.value, &evidence.step_habit());
    let learnt = evidence
        .history()
        .filter(|release| release.run_publish_step.is_some())
        .count();
    let state = steps.state();
    let finding = |outcome, summary: &str| {
        let finding = Finding::new(check, outcome, summary).citing([jobs.evidence.clone()]);
        sourced(with_places(finding, "publishing step", steps.relevant()), sight)
    };
    match state {
        State::Published => return finding(pass(sight), "a step that publishes succeeded"),
        State::FailedAfterSigning => {
            let summary = "the step that publishes signed, and failed later";
            return finding(Outcome::Warn(Some(Shade::UnknownStep)), summary);
        }
        State::Pending | State::DidNotPublish | State::SaidOnly | State::Unrecognised => {}
    }
    if let Some(unfinished) = unfinished(sight, run) {
        return finding(unfinished, "no step had published yet when the run was seen last");
    }
    if !trace.all_jobs {
        let summary = "no step that publishes is among the jobs that were read, which are not all of the run's";
        return finding(Outcome::Unknown(UnknownReason::Pending), summary);
    }
    let unknown_step = Outcome::Warn(Some(Shade::UnknownStep));
    match state {
        State::DidNotPublish => finding(
            Outcome::Fail(None),
            "the steps that publish were skipped, or ended without publishing",
        ),
        State::SaidOnly if !steps.signed_in_an_ordinary_step() => finding(
            Outcome::Fail(None),
            "the steps that say that they publish were skipped, or ended without publishing",
        ),
        State::Unrecognised if learnt >= ESTABLISHED && !steps.signed_in_an_ordinary_step() => finding(
            Outcome::Fail(None),
            "earlier releases were published in a step of their own, and this run has none",
        ),
        State::SaidOnly | State::Unrecognised | State::Pending | State::Published | State::FailedAfterSigning => {
            finding(unknown_step, "which step publishes cannot be told from the names")
        }
    }
}

/// Shows places with how each ended; of many the first few.
fn with_places(finding: Finding, what: &str, places: &[Place<'_>]) -> Finding {
    places.iter().take(4).fold(finding, |finding, place| {
        finding.observing(
            format!("{what} {:?}", place.name()),
            place.conclusion().unwrap_or("(without an end)"),
        )
    })
}

/// Passes if a step that publishes was under way when the provenance was signed, by the log's or a timestamp authority's
/// clock.
///
/// A signature in a step that checks out, installs or tests, or outside of every step, was made by something else than
/// the publishing step; so was one beside a publishing step that did its part at another time.
pub(super) fn signing_step(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RunSigningStep;
    let trace = attempt!(evidence.traced(check));
    let (sight, run) = attempt!(sighted(check, trace));
    let jobs = attempt!(jobs(check, trace));
    let steps = Steps::new(trace, &jobs.value, &evidence.step_habit());
    let running = steps.running();
    let relevant = steps.relevant();
    let took_part = |place: &Place<'_>| relevant.contains(place);
    let only_preparing = running.iter().all(|place| {
        place
            .step
            .is_none_or(|step| StepKind::of(&step.name) == StepKind::NeverPublishes)
    });
    // What had ended by the signature is not changed by what the run still does.
    let settled = !running.is_empty() && running.iter().all(|place| place.conclusion().is_some());
    let unfinished = unfinished(sight, run).filter(|_| !settled);
    let self_hosted = evidence
        .certificate()
        .is_some_and(|certificate| certificate.runner_environment.as_deref() == Some("self-hosted"));
    let (outcome, summary) = if !steps.have_times() {
        (
            Outcome::Unknown(UnknownReason::NotRetained),
            "GitHub shows no times of the run's steps",
        )
    } else if running.iter().any(took_part) {
        (pass(sight), "signed while a step that publishes was under way")
    } else if let Some(unfinished) = unfinished {
        (
            unfinished,
            "no step that publishes was seen under way when the provenance was signed",
        )
    } else if !trace.all_jobs {
        (
            Outcome::Unknown(UnknownReason::Pending),
            "no step that publishes is among the jobs that were read, which are not all of the run's",
        )
    } else if signed_by_a_generator(evidence) {
        (
            Outcome::Warn(Some(Shade::UnknownStep)),
            "a generator of provenance signed, in a job of its own",
        )
    } else if running.is_empty() && self_hosted {
        (
            Outcome::Warn(None),
            "signed while no step was under way, by the clock of the project's own runner",
        )
    } else if running.is_empty() {
        (Outcome::Fail(None), "signed while no step of the run was under way")
    } else if only_preparing && steps.state() == State::Unrecognised && running.iter().any(is_a_script) {
        // A script is named by its first line, and nothing else of the run publishes by its name.
        (
            Outcome::Warn(Some(Shade::UnknownStep)),
            "signed in a script whose first line does not say whether it publishes",
        )
    } else if only_preparing {
        (
            Outcome::Fail(None),
            "signed in a step that prepares, tests or cleans up",
        )
    } else {
        match steps.state() {
            State::DidNotPublish => (
                Outcome::Fail(None),
                "signed in another step than those that publish, which did not",
            ),
            State::Published | State::FailedAfterSigning => (
                Outcome::Warn(None),
                "signed in another step than the one that published",
            ),
            State::SaidOnly | State::Unrecognised | State::Pending => (
                Outcome::Warn(Some(Shade::UnknownStep)),
                "signed in a step whose name does not say whether it publishes",
            ),
        }
    };
    let finding = Finding::new(check, outcome, summary)
        .observing("signed", steps.signed_at.to_string())
        .citing([jobs.evidence.clone()]);
    sourced(with_places(finding, "step under way", &running), sight)
}

/// Whether a step runs a script of the workflow, rather than an action or what the runner does by itself.
fn is_a_script(place: &Place<'_>) -> bool {
    place.step.is_some_and(|step| {
        let command = step.name.strip_prefix("Run ");
        command.is_some_and(|command| !command.split_whitespace().next().is_some_and(|word| word.contains('@')))
    })
}

/// Whether the SLSA project's generator signed: it does so in a job of its own, before the package is published. Any other
/// reusable workflow publishes where it signs.
fn signed_by_a_generator(evidence: &Evidence<'_>) -> bool {
    let signer = evidence
        .certificate()
        .and_then(|certificate| WorkflowRef::parse(certificate.signer()?));
    let generator = RepositoryUri::new("slsa-framework", "slsa-github-generator");
    signer.is_some_and(|signer| Some(signer.repository) == generator)
}

/// The step that was under way when the provenance was signed, in a run that ended well: what later releases learn from.
///
/// Where steps of the run are known to publish, only one of them is learnt; otherwise the only one that may have.
pub(super) fn signing_step_name(trace: &Trace) -> Option<String> {
    let run = trace.run.as_ref()?.run()?;
    if run.value.conclusion.as_deref() != Some("success") {
        return None;
    }
    let Some(Availability::Present(jobs)) = &trace.jobs else {
        return None;
    };
    let steps = Steps::new(trace, &jobs.value, &[]);
    let relevant = steps.relevant();
    let may_publish = |place: &Place<'_>| {
        place
            .step
            .is_some_and(|step| StepKind::of(&step.name) != StepKind::NeverPublishes)
    };
    let mut candidates = steps.running().into_iter().filter(|place| {
        if steps.publishing.known.is_empty() {
            may_publish(place)
        } else {
            relevant.contains(place)
        }
    });
    let first = candidates.next()?;
    let alone = candidates.next().is_none();
    (alone || relevant.contains(&first)).then(|| first.step.map(|step| step.name.clone()))?
}
