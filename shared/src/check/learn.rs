//! What a release proves about itself, for the checks of later ones.

use super::correlate::Evidence;
use super::publishing::signing_step_name;
use super::{Family, Finding, Outcome, Severity};
use crate::attestation::WorkflowRef;
use crate::availability::Availability;
use crate::forge::github::Trace;
use crate::history::PastRelease;
use crate::package::names_version;
use crate::verdict::{Status, Verdict};

/// What is to be remembered of a release with an authentic certificate, once there is a settled verdict on it.
pub fn past_release(verdict: &Verdict, evidence: &Evidence<'_>) -> Option<PastRelease> {
    if !verdict.status.is_settled() {
        return None;
    }
    let certificate = evidence.certificate()?;
    let trace = evidence.trace.as_ref().ok();
    let destination = trace.map(|trace| &trace.destination);
    let commit = trace
        .and_then(|trace| trace.commit.as_ref())
        .and_then(Availability::present);
    let pulls = trace.and_then(Trace::came_through_a_pull_request);
    let tags = trace
        .and_then(|trace| trace.tags.as_ref())
        .and_then(Availability::present);
    let (name, version) = (verdict.package.name(), verdict.package.version());
    let named: Vec<&str> = tags
        .iter()
        .flat_map(|tags| &tags.value)
        .filter(|tag| names_version(&tag.name, name, version))
        .map(|tag| tag.commit.sha.as_str())
        .collect();
    let built = certificate.source_repository_digest.as_deref();
    let actor = trace
        .and_then(|trace| trace.run.as_ref()?.run())
        .and_then(|run| run.value.triggering_actor.as_ref().or(run.value.actor.as_ref()))
        .and_then(|actor| actor.login.clone());
    Some(PastRelease {
        version: verdict.package.version().to_owned(),
        accepted: is_accepted(verdict),
        published_at: destination.map_or(certificate.not_before, |destination| destination.published_at),
        repository_id: certificate.source_repository_identifier.clone(),
        owner_id: certificate.source_repository_owner_identifier.clone(),
        workflow: certificate
            .build_config_uri
            .as_deref()
            .and_then(WorkflowRef::parse)
            .map(|workflow| workflow.path),
        r#ref: certificate.source_repository_ref.clone(),
        trigger: certificate.build_trigger.clone(),
        environment: certificate.deployment_environment.clone(),
        runner: certificate.runner_environment.clone(),
        signer: certificate.signer().map(str::to_owned),
        run_actor: actor,
        run_publish_step: trace.and_then(signing_step_name),
        commit_verified: commit
            .and_then(|commit| commit.value.commit.verification.as_ref())
            .map(|verification| verification.verified),
        commit_through_pull_request: pulls,
        tagged: (!named.is_empty()).then(|| named.iter().any(|commit| Some(*commit) == built)),
    })
}

/// A release is learnt from if it is `verified`; or `attested` with nothing left to ask, and released in no new way.
fn is_accepted(verdict: &Verdict) -> bool {
    let open = |finding: &Finding| match (finding.check.family(), finding.outcome) {
        (Family::Run | Family::Source, Outcome::Unknown(reason)) => reason.may_pass(),
        (_, _) => false,
    };
    let novel = |finding: &Finding| match (finding.check.family(), finding.outcome) {
        (Family::Identity, Outcome::Warn(shade)) => !shade.is_some_and(super::Shade::is_harmless),
        (_, _) => false,
    };
    match verdict.status {
        Status::Verified => true,
        Status::Attested => !verdict
            .findings
            .iter()
            .filter(|finding| finding.check.severity() >= Severity::Medium)
            .any(|finding| open(finding) || novel(finding)),
        Status::Mismatch | Status::Suspicious | Status::Downgraded | Status::Indeterminate | Status::Unattested => {
            false
        }
    }
}
