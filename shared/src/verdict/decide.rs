//! The stage that turns findings into a verdict.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::fold::{Judged, artifact_names, merged, worst_answer};
use super::{
    Artifact, Build, JudgedArtifact, Questions, SCHEMA, Status, TrustIdentity, Verdict, VerifierIdentity, YesNoUnknown,
};
use crate::attestation::{LogEvidence, WorkflowRef};
use crate::authenticate::Authenticated;
use crate::check::{CheckId, Family, Finding, Outcome, Severity, Shade, UnknownReason};
use crate::dossier::Dossier;
use crate::package::Digest;
use crate::policy::{CHECK_SET, Policy};
use crate::ports::Memory;

/// What must have passed before anything is `attested`.
const REQUIRED_FOR_ATTESTED: &[CheckId] = &[
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

/// What must have passed besides before anything is `verified`.
const REQUIRED_FOR_VERIFIED: &[CheckId] = &[
    CheckId::RunExists,
    CheckId::RunMatchesCert,
    CheckId::RunConclusion,
    CheckId::RunPublishStep,
    CheckId::RunSigningStep,
    CheckId::SrcCommitExists,
];

/// Everything that a verdict is made of besides its findings.
pub struct Inputs<'a> {
    /// What was observed.
    pub dossier: &'a Dossier,
    /// What is remembered of the version.
    pub memory: &'a Memory,
    /// The policy.
    pub policy: &'a Policy,
    /// Which trust material was used.
    pub trust: &'a TrustIdentity,
    /// Who decides.
    pub verifier: &'a VerifierIdentity,
    /// The time.
    pub now: Timestamp,
}

/// A status with the checks that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The status.
    pub status: Status,
    /// The checks, in their order.
    pub decided_by: Vec<CheckId>,
}

impl Decision {
    /// The worst status that the findings support, and the checks that make it so. Where a version has several artifacts, each
    /// is decided on its own findings, and the worst of them stands: none hides behind another.
    pub fn from_findings(findings: &[Finding]) -> Self {
        let names = artifact_names(findings);
        if names.is_empty() {
            return Self::of_artifact(findings);
        }
        let of_each = names.into_iter().map(|name| {
            let about_it: Vec<Finding> = findings
                .iter()
                .filter(|finding| finding.is_about(name))
                .cloned()
                .collect();
            Self::of_artifact(&about_it)
        });
        Self::worst(of_each).unwrap_or_else(|| Self::of_artifact(findings))
    }

    /// The worst of several, decided by every check that decides any like it.
    pub fn worst(decisions: impl IntoIterator<Item = Self>) -> Option<Self> {
        decisions
            .into_iter()
            .reduce(|one, other| match one.status.cmp(&other.status) {
                std::cmp::Ordering::Less => one,
                std::cmp::Ordering::Greater => other,
                std::cmp::Ordering::Equal => {
                    let both: BTreeSet<CheckId> = one.decided_by.into_iter().chain(other.decided_by).collect();
                    Self {
                        status: one.status,
                        decided_by: both.into_iter().collect(),
                    }
                }
            })
    }

    /// The worst status that the findings on one artifact support, and the checks that make it so.
    ///
    /// `verified` and `attested` are produced by passes, never by the absence of failures; whatever fits no other status is
    /// `indeterminate`.
    fn of_artifact(findings: &[Finding]) -> Self {
        let of = |check: CheckId| {
            findings
                .iter()
                .find(|finding| finding.check == check)
                .map(|finding| finding.outcome)
        };
        let decided = |status, decided_by| Self { status, decided_by };

        let failed = |severity: Severity| -> Vec<CheckId> {
            let matching = |finding: &&Finding| finding.outcome.is_fail() && finding.check.severity() == severity;
            findings.iter().filter(matching).map(|finding| finding.check).collect()
        };
        let critical = failed(Severity::Critical);
        if !critical.is_empty() {
            return decided(Status::Mismatch, critical);
        }
        let (lost, high): (Vec<CheckId>, Vec<CheckId>) = failed(Severity::High)
            .into_iter()
            .partition(|&check| check == CheckId::HistDowngrade);
        let warned = weighty_warnings(findings);
        if !high.is_empty() || !warned.is_empty() {
            return decided(Status::Suspicious, if high.is_empty() { warned } else { high });
        }
        let less_guarded = of(CheckId::HistPublishModeChanged) == Some(Outcome::Warn(None));
        let stepped_down = match of(CheckId::HistDowngradeCrossline) {
            // A way of publishing that was given up with the attestations that came with it.
            Some(Outcome::Warn(None)) if less_guarded => {
                vec![CheckId::HistDowngradeCrossline, CheckId::HistPublishModeChanged]
            }
            Some(_) | None => lost,
        };
        if !stepped_down.is_empty() {
            return decided(Status::Downgraded, stepped_down);
        }
        if let Some(Outcome::NotApplicable(Some(Shade::Absent))) = of(CheckId::AttPresent) {
            // What earlier releases carried could not be asked about, and would decide.
            let may_be_told = |check| matches!(of(check), Some(Outcome::Unknown(reason)) if reason.may_pass());
            if may_be_told(CheckId::HistDowngrade) {
                return decided(Status::Indeterminate, vec![CheckId::HistDowngrade]);
            }
            if less_guarded && may_be_told(CheckId::HistDowngradeCrossline) {
                return decided(Status::Indeterminate, vec![CheckId::HistDowngradeCrossline]);
            }
            let signed = of(CheckId::RegSignature).is_some_and(|outcome| {
                outcome.is_pass() || outcome == Outcome::NotApplicable(Some(Shade::NotOfEcosystem))
            });
            return match of(CheckId::ArtTarballIntegrity) {
                // The registry signs a strong digest; versions that are older than those have nothing to sign.
                Some(Outcome::Warn(_)) => decided(Status::Unattested, vec![CheckId::AttPresent]),
                Some(Outcome::Pass(_)) if signed => decided(Status::Unattested, vec![CheckId::AttPresent]),
                // Metadata that the registry did not sign cannot be relied on to announce what there is.
                Some(Outcome::Pass(_)) => decided(Status::Indeterminate, vec![CheckId::RegSignature]),
                Some(Outcome::Unknown(_) | Outcome::Fail(_) | Outcome::NotApplicable(_)) | None => {
                    decided(Status::Indeterminate, vec![CheckId::ArtTarballIntegrity])
                }
            };
        }
        let recognised_elsewhere = matches!(
            of(CheckId::IdIssuer),
            Some(Outcome::Unknown(UnknownReason::Unsupported))
        );
        // Nothing that is served names a repository there: who is expected to have built it is all that ties it to anybody.
        let is_untied = of(CheckId::ArtTarballManifest) == Some(Outcome::NotApplicable(Some(Shade::NotOfEcosystem)));
        let blocking: Vec<CheckId> = REQUIRED_FOR_ATTESTED
            .iter()
            .copied()
            .chain(is_untied.then_some(CheckId::IdSourceRepo))
            .filter(|&check| match of(check) {
                Some(Outcome::Pass(_)) => false,
                // The repository has, or had, the name that is expected.
                Some(Outcome::Warn(Some(Shade::Renamed))) => check != CheckId::IdSourceRepo,
                // No registry of the ecosystem signs; GitHub's own instance has no log, and its rules took the place of one.
                Some(Outcome::NotApplicable(Some(Shade::NotOfEcosystem))) => check != CheckId::AttPublishSig,
                Some(Outcome::NotApplicable(Some(Shade::Timestamped))) => check != CheckId::LogInclusion,
                // A build service that is recognised and not correlated: authentic, and not examined.
                Some(Outcome::Unknown(UnknownReason::Unsupported)) => {
                    let tolerated = matches!(check, CheckId::IdIssuer | CheckId::AttStmtVsCert);
                    !(recognised_elsewhere && tolerated)
                }
                Some(Outcome::Unknown(_) | Outcome::Fail(_) | Outcome::Warn(_) | Outcome::NotApplicable(_)) | None => {
                    true
                }
            })
            .collect();
        if !blocking.is_empty() {
            return decided(Status::Indeterminate, blocking);
        }
        let examined = REQUIRED_FOR_VERIFIED
            .iter()
            .all(|&check| of(check).is_some_and(|outcome| suffices(check, outcome)));
        if examined && !recognised_elsewhere && !findings.iter().any(is_silenced) {
            decided(
                Status::Verified,
                [REQUIRED_FOR_ATTESTED, REQUIRED_FOR_VERIFIED].concat(),
            )
        } else {
            decided(Status::Attested, REQUIRED_FOR_ATTESTED.to_vec())
        }
    }
}

/// Whether a result is enough for `verified`: a pass, or the harmless warning that the check's own guard knows.
fn suffices(check: CheckId, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Pass(_) => true,
        Outcome::Warn(Some(Shade::AfterPublish)) => check == CheckId::RunConclusion,
        Outcome::Warn(Some(Shade::UnknownStep)) => check == CheckId::RunSigningStep,
        Outcome::Warn(_) | Outcome::Fail(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => false,
    }
}

/// Whether a weighty question about the run or the source got no answer. What was to be warned of there may be hidden by
/// whoever can keep the forge silent, so that it stands in the way of `verified`.
fn is_silenced(finding: &Finding) -> bool {
    let about_the_build = match finding.check.family() {
        Family::Run | Family::Source => true,
        // Two names are one repository, or not, by what the forge says; and what is new is told by earlier releases, which
        // may not have been told of. To whom the repository belongs by now is nothing that weighs.
        Family::Identity => !matches!(finding.check, CheckId::IdIssuer | CheckId::IdOwnerId),
        Family::Artifact | Family::Registry | Family::Attestation | Family::Log | Family::History => false,
    };
    let Outcome::Unknown(reason) = finding.outcome else {
        return false;
    };
    let stands = match reason {
        UnknownReason::Unreachable
        | UnknownReason::RateLimited
        | UnknownReason::Malformed
        | UnknownReason::Pending
        | UnknownReason::Unsupported => true,
        // What is gone or hidden by now says nothing of a release whose run and commit were seen before.
        UnknownReason::Private | UnknownReason::NotRetained => {
            !matches!(finding.check, CheckId::RunDisappeared | CheckId::SrcRepoState)
        }
        UnknownReason::Stripped | UnknownReason::NotRun => false,
    };
    about_the_build && finding.check.severity() >= Severity::Medium && stands
}

/// Warnings of at least medium weight, if they come from two families or more.
fn weighty_warnings(findings: &[Finding]) -> Vec<CheckId> {
    let warned: Vec<CheckId> = findings
        .iter()
        .filter(|finding| matches!(finding.outcome, Outcome::Warn(_)) && finding.check.severity() >= Severity::Medium)
        .filter(|finding| !matches!(finding.outcome, Outcome::Warn(Some(shade)) if shade.is_harmless()))
        .map(|finding| finding.check)
        .collect();
    let families: BTreeSet<Family> = warned.iter().map(|check| check.family()).collect();
    if families.len() > 1 { warned } else { Vec::new() }
}

/// Makes the verdict that the findings on the artifacts of a version amount to; there is one artifact at least.
pub fn decide(judged: &[Judged<'_>], inputs: &Inputs<'_>) -> Verdict {
    let decisions: Vec<Decision> = judged
        .iter()
        .map(|artifact| Decision::of_artifact(&artifact.findings))
        .collect();
    let Decision { status, decided_by } =
        Decision::worst(decisions.iter().cloned()).unwrap_or_else(|| Decision::of_artifact(&[]));
    let (questions, question_checks) = answer_all(judged, &decisions);
    let findings = merged(judged);
    let undecided_for = SignedDuration::from_secs(i64::from(inputs.policy.undecided_for));
    let settled_for = SignedDuration::from_secs(i64::from(inputs.policy.settled_for));
    let later = |wait| inputs.now.checked_add(wait).unwrap_or(Timestamp::MAX);
    let next_look_at = if !inputs.dossier.package.ecosystem().registry().is_served() {
        None
    } else if status.is_settled() {
        let unfinished = judged.iter().zip(&decisions);
        let unfinished =
            unfinished.filter_map(|(artifact, decision)| unfinished_of(&artifact.findings, decision.status));
        next_look(unfinished.collect(), judged, inputs)
    } else {
        next_attempt(&findings, &decided_by, judged, inputs)
    };
    let valid_for = if status.is_settled() {
        settled_for
    } else {
        undecided_for
    };
    let valid_until = next_look_at.unwrap_or(Timestamp::MAX).min(later(valid_for));
    let has_files = judged.iter().any(|artifact| !artifact.about().is_empty());
    let artifacts = judged.iter().zip(decisions).filter(|_| has_files);
    Verdict {
        schema: SCHEMA.to_owned(),
        package: inputs.dossier.package.clone(),
        status,
        questions,
        question_checks,
        artifact: judged
            .first()
            .filter(|_| !has_files)
            .and_then(|only| artifact(only.authenticated)),
        artifacts: artifacts
            .map(|(artifact, decision)| judged_artifact(artifact, decision))
            .collect(),
        build: judged.iter().find_map(|artifact| build(artifact.authenticated)),
        coverage: coverage(&findings),
        findings,
        decided_by,
        checked_at: inputs.now,
        valid_until,
        next_look_at,
        removed_at: None,
        check_set: CHECK_SET.to_owned(),
        policy: inputs.policy.digest(),
        trust: inputs.trust.clone(),
        dossier: inputs.dossier.digest(),
        verifier: inputs.verifier.clone(),
    }
}

fn judged_artifact(judged: &Judged<'_>, decision: Decision) -> JudgedArtifact {
    let Build { run, signed_at, .. } = build(judged.authenticated).unwrap_or_default();
    JudgedArtifact {
        name: judged.about().to_owned(),
        status: decision.status,
        decided_by: decision.decided_by,
        artifact: artifact(judged.authenticated),
        run,
        signed_at,
    }
}

/// After what time since a version was first seen it is looked at again: a run can still finish, fail or be deleted.
const LOOKS: [SignedDuration; 4] = [
    SignedDuration::from_mins(10),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(7 * 24),
];

/// A workflow run ends after 35 days at the latest, waits for approval included
/// (<https://docs.github.com/en/actions/reference/limits>).
const LONGEST_RUN: SignedDuration = SignedDuration::from_hours(36 * 24);

/// For how long after its publication a version is looked at again, whatever is said of it.
const YOUNG: SignedDuration = SignedDuration::from_hours(7 * 24);

/// After what time a version of a watched package is looked at again, when there is no other reason left to.
const MONTHLY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When to look at a settled version again: the soonest of
///
/// 1. the times after the first look, for a version that was published within the last week: its run can still fail or be
///    deleted, and its attestations can vanish;
/// 2. when what is unfinished may be told;
/// 3. and, if neither is left and the package is watched, a month from now.
fn next_look(unfinished: Vec<Outcome>, judged: &[Judged<'_>], inputs: &Inputs<'_>) -> Option<Timestamp> {
    let since = inputs.memory.first_seen.as_ref().map_or(inputs.now, |first| first.at);
    let age = inputs.now.duration_since(since);
    let soonest = SignedDuration::from_secs(i64::from(inputs.policy.undecided_for));
    let scheduled = LOOKS
        .into_iter()
        .find(|look| *look > age)
        .map(|look| (look - age).max(soonest));
    // A file may be added to a version at any time.
    let published_at = judged.iter().filter_map(Judged::published_at).max();
    // Not every registry tells when: then it is young since it was seen.
    let is_served = inputs.dossier.package.ecosystem().registry().is_served();
    let is_young = is_served && inputs.now.duration_since(published_at.unwrap_or(since)) < YOUNG;
    // 1.
    let while_young = scheduled.filter(|_| is_young);
    // 2.
    let rest_of = |outcome| match (scheduled, outcome) {
        (Some(scheduled), _) => Some(scheduled),
        // After the last of these an outage is still worth a look a day, and an unfinished run one a week for as long as a run
        // can last.
        (None, Outcome::Unknown(UnknownReason::Pending)) if age < LONGEST_RUN => {
            Some(SignedDuration::from_hours(7 * 24))
        }
        (None, Outcome::Unknown(UnknownReason::Pending) | Outcome::Fail(_)) => None,
        (None, _) => Some(SignedDuration::from_hours(24)),
    };
    let unfinished = unfinished.into_iter().filter_map(rest_of).min();
    let soonest = [while_young, unfinished].into_iter().flatten().min();
    // 3.
    let rest = match soonest {
        Some(rest) => rest + jitter(inputs.dossier, SignedDuration::from_mins(5)),
        None if inputs.memory.watched => {
            let spread = SignedDuration::from_hours(48);
            MONTHLY - spread / 2 + jitter(inputs.dossier, spread)
        }
        None => return None,
    };
    inputs.now.checked_add(rest).ok()
}

/// How long an undecided version of a package that is not watched is tried again.
const TRIED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When to look at an undecided version again: after ten minutes, and then each time after half as long again as it has been
/// tried, at most a day. What cannot be told for a reason that stays, and what has been tried for a month, is left to whoever
/// asks; a watched package is never given up.
fn next_attempt(
    findings: &[Finding],
    decided_by: &[CheckId],
    judged: &[Judged<'_>],
    inputs: &Inputs<'_>,
) -> Option<Timestamp> {
    let soonest = SignedDuration::from_secs(i64::from(inputs.policy.undecided_for));
    let longest = SignedDuration::from_hours(24);
    // While the metadata could never be read it is not known since when; then once an hour.
    let is_described = judged.iter().any(Judged::is_described);
    let tried = match &inputs.memory.first_seen {
        Some(first) => Some(inputs.now.duration_since(first.at)),
        None => is_described.then_some(SignedDuration::ZERO),
    };
    let may_pass = |finding: &Finding| matches!(finding.outcome, Outcome::Unknown(reason) if reason.may_pass());
    let waits = findings
        .iter()
        .any(|finding| decided_by.contains(&finding.check) && may_pass(finding));
    let given_up = !waits || tried.is_some_and(|tried| tried > TRIED);
    let rest = match tried {
        _ if given_up && !inputs.memory.watched => return None,
        _ if given_up => longest,
        Some(tried) => (tried / 2).clamp(soonest, longest.max(soonest)),
        None => SignedDuration::from_hours(1),
    };
    let rest = rest + jitter(inputs.dossier, SignedDuration::from_mins(5));
    inputs.now.checked_add(rest).ok()
}

/// What may be told later of a settled version: what stands between `attested` and `verified` because the run has not ended or
/// somebody did not answer, or the run that GitHub did not show, and may have been slow to.
fn unfinished_of(findings: &[Finding], status: Status) -> Option<Outcome> {
    let may_be_told_later =
        |finding: &&Finding| matches!(finding.outcome, Outcome::Unknown(reason) if reason.may_pass());
    let missing = |finding: &&Finding| finding.check == CheckId::RunExists && finding.outcome.is_fail();
    let waiting = match status {
        Status::Attested => findings
            .iter()
            .filter(|finding| REQUIRED_FOR_VERIFIED.contains(&finding.check) || is_silenced(finding))
            .find(may_be_told_later)?,
        Status::Suspicious => findings.iter().find(missing)?,
        Status::Mismatch | Status::Downgraded | Status::Indeterminate | Status::Unattested | Status::Verified => {
            return None;
        }
    };
    Some(waiting.outcome)
}

/// A part of a span, by the package: versions that one outage left unexamined, or that were found at once, do not come back
/// at once.
fn jitter(dossier: &Dossier, span: SignedDuration) -> SignedDuration {
    let hash = Digest::sha256_of(dossier.package.to_purl().as_bytes());
    let [first, second] = [0, 1].map(|index| hash.as_bytes().get(index).copied().unwrap_or_default());
    let part = i64::from(u16::from_be_bytes([first, second]));
    SignedDuration::from_secs(span.as_secs() * part / i64::from(u16::MAX))
}

/// The names of the three questions.
const QUESTIONS: [&str; 3] = ["registryOnly", "logOnly", "mismatch"];

/// Answers the three questions of all artifacts: yes if it is so of any, no if it is so of none, each with the checks that
/// decided it.
fn answer_all(judged: &[Judged<'_>], decisions: &[Decision]) -> (Questions, BTreeMap<String, Vec<CheckId>>) {
    let answers: Vec<_> = judged
        .iter()
        .zip(decisions)
        .map(|(artifact, decision)| answer_questions(&artifact.findings, decision.status, &decision.decided_by))
        .collect();
    let folded = |of: fn(&Questions) -> YesNoUnknown| worst_answer(answers.iter().map(|(questions, _)| of(questions)));
    let questions = Questions {
        registry_only: folded(|questions| questions.registry_only),
        log_only: folded(|questions| questions.log_only),
        mismatch: folded(|questions| questions.mismatch),
    };
    let mut checks = BTreeMap::new();
    for name in QUESTIONS {
        let answer = |questions: &Questions| match name {
            "registryOnly" => questions.registry_only,
            "logOnly" => questions.log_only,
            _ => questions.mismatch,
        };
        let decisive: BTreeSet<CheckId> = answers
            .iter()
            .filter(|(of_artifact, _)| answer(of_artifact) == answer(&questions))
            .filter_map(|(_, checks)| checks.get(name))
            .flatten()
            .copied()
            .collect();
        checks.insert(name.to_owned(), decisive.into_iter().collect());
    }
    (questions, checks)
}

/// Answers the three questions of one artifact, each with the checks that decided it.
fn answer_questions(
    findings: &[Finding],
    status: Status,
    decided_by: &[CheckId],
) -> (Questions, BTreeMap<String, Vec<CheckId>>) {
    use YesNoUnknown::{No, Unknown, Yes};
    let of = |check: CheckId| {
        findings
            .iter()
            .find(|finding| finding.check == check)
            .map(|finding| finding.outcome)
    };
    let passed = |check| of(check).is_some_and(Outcome::is_pass);
    let failed = |check| of(check).is_some_and(Outcome::is_fail);

    // 1. A certificate is issued to a running job only: an authentic one proves a build on GitHub Actions.
    let proof_of_build = [
        CheckId::AttProvenanceSig,
        CheckId::LogInclusion,
        CheckId::IdIssuer,
        CheckId::AttSubjectDigest,
    ];
    let timestamped = of(CheckId::LogInclusion) == Some(Outcome::NotApplicable(Some(Shade::Timestamped)));
    let is_proved = |check| passed(check) || check == CheckId::LogInclusion && timestamped;
    let registry_only = if status == Status::Downgraded {
        Yes
    } else if proof_of_build.into_iter().all(is_proved) {
        No
    } else {
        Unknown
    };
    let registry_only_by = match registry_only {
        Yes => [&[CheckId::AttPresent], decided_by].concat(),
        No => proof_of_build.to_vec(),
        Unknown => vec![CheckId::AttPresent, CheckId::IdIssuer],
    };

    // 2. Only the run itself tells.
    let log_only = if failed(CheckId::RunExists) {
        Yes
    } else if passed(CheckId::RunExists) {
        No
    } else {
        Unknown
    };

    // 3. Bytes against what was attested of them.
    let published = of(CheckId::AttPublishSig)
        .is_some_and(|outcome| outcome.is_pass() || outcome == Outcome::NotApplicable(Some(Shade::NotOfEcosystem)));
    let about_bytes = [
        CheckId::ArtTarballIntegrity,
        CheckId::AttSubjectDigest,
        CheckId::AttSubjectName,
    ];
    let about_the_run = [
        CheckId::RunMatchesCert,
        CheckId::RunConclusion,
        CheckId::RunPublishStep,
        CheckId::RunSigningStep,
    ];
    let mismatch_by: Vec<CheckId> = about_bytes.into_iter().filter(|&check| failed(check)).collect();
    let not_by_the_run: Vec<CheckId> = about_the_run.into_iter().filter(|&check| failed(check)).collect();
    let (mismatch, mismatch_by) = if !mismatch_by.is_empty() {
        (Yes, mismatch_by)
    } else if !not_by_the_run.is_empty() {
        // A job of the run signed these bytes, but the run did not publish: what it built cannot be told.
        (Unknown, not_by_the_run)
    } else if about_bytes.into_iter().all(passed) && passed(CheckId::AttProvenanceSig) && published {
        (No, about_bytes.to_vec())
    } else {
        (Unknown, about_bytes.to_vec())
    };

    let checks = BTreeMap::from([
        ("registryOnly".to_owned(), registry_only_by),
        ("logOnly".to_owned(), vec![CheckId::RunExists]),
        ("mismatch".to_owned(), mismatch_by),
    ]);
    (
        Questions {
            registry_only,
            log_only,
            mismatch,
        },
        checks,
    )
}

/// Per family, the part of its applicable checks that came to a result.
fn coverage(findings: &[Finding]) -> BTreeMap<String, f64> {
    Family::ALL
        .iter()
        .filter_map(|&family| {
            let applicable: Vec<&Finding> = findings
                .iter()
                .filter(|finding| finding.check.family() == family)
                .filter(|finding| !matches!(finding.outcome, Outcome::NotApplicable(_)))
                .collect();
            let answered = applicable
                .iter()
                .filter(|finding| !matches!(finding.outcome, Outcome::Unknown(_)))
                .count();
            let share = f64::from(u32::try_from(answered).ok()?) / f64::from(u32::try_from(applicable.len()).ok()?);
            share
                .is_finite()
                .then(|| (family.as_str().to_owned(), (share * 100.0).round() / 100.0))
        })
        .collect()
}

fn artifact(authenticated: &Authenticated) -> Option<Artifact> {
    let downloaded = authenticated.release.artifact.present()?;
    Some(Artifact {
        name: downloaded.name.clone(),
        sha512: downloaded.sha512.to_hex(),
        sha256: downloaded.sha256.to_hex(),
        size: downloaded.size,
    })
}

fn build(authenticated: &Authenticated) -> Option<Build> {
    let provenances = authenticated.examination.present()?.authentic_provenances();
    let provenance = provenances.first()?;
    let certificate = provenance.certificate;
    let config = certificate.build_config_uri.as_deref().or(certificate.signer());
    let log = provenance.attestation.log.as_ref();
    Some(Build {
        repository: certificate.source_repository_uri.clone(),
        repository_id: certificate.source_repository_identifier.clone(),
        owner_id: certificate.source_repository_owner_identifier.clone(),
        commit: certificate.source_repository_digest.clone(),
        r#ref: certificate.source_repository_ref.clone(),
        workflow: config.map(|uri| WorkflowRef::parse(uri).map_or_else(|| uri.to_owned(), |workflow| workflow.path)),
        signer: certificate.signer().map(str::to_owned),
        run: certificate.run_invocation_uri.clone(),
        trigger: certificate.build_trigger.clone(),
        runner: certificate.runner_environment.clone(),
        log_index: log.map(|LogEvidence { index, .. }| index.clone()),
        signed_at: Some(provenance.attestation.signed_at),
    })
}
