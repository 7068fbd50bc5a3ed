//! What a release proves about itself, for the checks of later ones.

use super::correlate::Evidence;
use super::publishing::signing_step_name;
use super::{CheckId, Family, Finding, Outcome, Severity};
use crate::attestation::Issuer;
use crate::authenticate::Provenance;
use crate::availability::Availability;
use crate::forge::github::{Trace, wire};
use crate::history::PastRelease;
use crate::package::names_version;
use crate::verdict::{Status, Verdict};

/// What is to be remembered of a release, once there is a settled verdict on it: of one whose certificate is authentic what
/// it proves, and of one that authoritatively has no attestation that it has none. Nothing of one that was refused.
///
/// Of several artifacts the first that proves anything speaks for all. That a version was attested is not unlearnt when it is
/// not any more. One file of a version is no release, and neither is one that nobody serves.
pub fn past_release(verdict: &Verdict, artifacts: &[Evidence<'_>]) -> Option<PastRelease> {
    let is_served = verdict.package.ecosystem().registry().is_served();
    if !verdict.status.is_settled() || verdict.package.file().is_some() || !is_served {
        return None;
    }
    let releases = artifacts.iter().map(|evidence| of_artifact(verdict, evidence));
    let release = releases
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .reduce(|first, other| {
            let published_at = first.published_at.min(other.published_at);
            let in_part = first.in_part || first.attested != other.attested;
            let release = if other.attested && !first.attested {
                other
            } else {
                first
            };
            PastRelease {
                published_at,
                in_part,
                ..release
            }
        })?;
    let is_lost = |known: &PastRelease| {
        known.version == release.version
            && known.attested
            && !known.refused
            && (!release.attested || release.in_part && !known.in_part)
    };
    let mut known = artifacts.iter().flat_map(|evidence| &evidence.memory.history);
    (!known.any(is_lost)).then_some(release)
}

fn of_artifact(verdict: &Verdict, evidence: &Evidence<'_>) -> Option<PastRelease> {
    let metadata = evidence.authenticated.release.metadata.present();
    let published_at = metadata.and_then(|metadata| metadata.published_at);
    let release = |published_at| PastRelease {
        accepted: is_accepted(verdict),
        refused: verdict.status.is_told(),
        declared_publish_mode: metadata.and_then(|metadata| metadata.publish_mode.clone()),
        declared_publisher: metadata.and_then(|metadata| metadata.publisher.clone()),
        ..PastRelease::unattested(verdict.package.version(), published_at)
    };
    let provenances = match &evidence.authenticated.examination {
        Availability::Present(examination) => examination.authentic_provenances(),
        Availability::Absent { .. } => return published_at.map(release),
        Availability::Unavailable(_) => return None,
    };
    let signed_at = provenances.first()?.attestation.signed_at;
    let release = release(published_at.unwrap_or(signed_at));
    let Some(certificate) = evidence.certificate() else {
        // Built elsewhere than on GitHub Actions: attested, with an identity that nothing here is compared with.
        let by_a_service =
            |provenance: &Provenance<'_>| matches!(provenance.certificate.issuer, Some(Issuer::OtherCi(_)));
        return provenances.iter().any(by_a_service).then_some(PastRelease {
            attested: true,
            ..release
        });
    };
    let trace = evidence.trace.as_ref().ok();
    let commit = trace
        .and_then(|trace| trace.commit.as_ref())
        .and_then(Availability::present);
    let pulls = trace.and_then(Trace::came_through_a_pull_request);
    let tags = trace
        .and_then(|trace| trace.tags.as_ref())
        .and_then(Availability::present);
    let (name, version) = (verdict.package.name(), verdict.package.version());
    let named: Vec<&wire::Tag> = tags
        .iter()
        .flat_map(|tags| &tags.value)
        .filter(|tag| names_version(&tag.name, name, version))
        .collect();
    let built = certificate.source_repository_digest.as_deref();
    let actor = trace
        .and_then(|trace| trace.run.as_ref()?.run())
        .and_then(|run| run.value.triggering_actor.as_ref().or(run.value.actor.as_ref()))
        .and_then(|actor| actor.login.clone());
    Some(PastRelease {
        run_actor: actor,
        run_publish_step: trace.and_then(signing_step_name),
        commit_verified: commit
            .and_then(|commit| commit.value.commit.verification.as_ref())
            .map(|verification| verification.verified),
        commit_through_pull_request: pulls,
        tagged: (!named.is_empty()).then(|| named.iter().any(|tag| built.is_some_and(|built| tag.leads_to(built)))),
        ..release.attested_by(certificate)
    })
}

/// A release is learnt from if it is `verified`, and from no repository of somebody new; if it is `attested` with nothing left to
/// ask, and released in no new way; or if it is `unattested`, and nothing in the history speaks against that.
fn is_accepted(verdict: &Verdict) -> bool {
    let open = |finding: &Finding| match (finding.check.family(), finding.outcome) {
        (Family::Run | Family::Source, Outcome::Unknown(reason)) => reason.may_pass(),
        (_, _) => false,
    };
    let novel = |finding: &Finding| match (finding.check.family(), finding.outcome) {
        (Family::Identity, Outcome::Warn(shade)) => !shade.is_some_and(super::Shade::is_harmless),
        (_, _) => false,
    };
    let unlike_before = |finding: &Finding| match (finding.check.family(), finding.outcome) {
        (Family::History, Outcome::Warn(shade)) => !shade.is_some_and(super::Shade::is_harmless),
        (_, _) => false,
    };
    let mut weighty = verdict
        .findings
        .iter()
        .filter(|finding| finding.check.severity() >= Severity::Medium);
    let from_elsewhere = |finding: &Finding| {
        finding.check == CheckId::IdRepoChanged
            && matches!(finding.outcome, Outcome::Warn(shade) if !shade.is_some_and(super::Shade::is_harmless))
    };
    match verdict.status {
        Status::Verified => !weighty.any(from_elsewhere),
        Status::Attested => !weighty.any(|finding| open(finding) || novel(finding)),
        Status::Unattested => !weighty.any(unlike_before),
        Status::Mismatch | Status::Suspicious | Status::Downgraded | Status::Indeterminate => false,
    }
}
