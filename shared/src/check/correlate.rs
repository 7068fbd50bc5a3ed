//! The stage that puts every check's question to the evidence.

use super::{CheckId, Finding, Outcome, Shade, UnknownReason, artifact, attestation, identity, log, registry};
use crate::attestation::{Refusal, RefusedPart, TrustMaterial};
use crate::authenticate::{Authenticated, Examination, Examined, Provenance};
use crate::availability::Availability;
use crate::policy::Policy;
use crate::ports::Memory;

/// What the checks read.
pub struct Evidence<'a> {
    /// The release with its examined attestations.
    pub authenticated: &'a Authenticated,
    /// What is remembered of the version.
    pub memory: &'a Memory,
    /// The policy.
    pub policy: &'a Policy,
    /// The trust material.
    pub trust: &'a TrustMaterial,
}

/// Runs every check: one finding each, in the order of [`CheckId::ALL`].
pub fn correlate(evidence: &Evidence<'_>) -> Vec<Finding> {
    CheckId::ALL.iter().map(|&check| run(check, evidence)).collect()
}

fn run(check: CheckId, evidence: &Evidence<'_>) -> Finding {
    match check {
        CheckId::ArtExists => artifact::exists(evidence),
        CheckId::ArtTarballIntegrity => artifact::tarball_integrity(evidence),
        CheckId::ArtTarballManifest => artifact::tarball_manifest(evidence),
        CheckId::RegSignature => registry::signature(evidence),
        CheckId::RegIntegrityStable => registry::integrity_stable(evidence),
        CheckId::RegPublishMode => registry::publish_mode(evidence),
        CheckId::AttPresent => attestation::present(evidence),
        CheckId::AttNonempty => attestation::nonempty(evidence),
        CheckId::AttUnique => attestation::unique(evidence),
        CheckId::AttPublishSig => attestation::publish_sig(evidence),
        CheckId::AttProvenanceSig => attestation::provenance_sig(evidence),
        CheckId::AttSubjectDigest => attestation::subject_digest(evidence),
        CheckId::AttSubjectName => attestation::subject_name(evidence),
        CheckId::AttPredicateKnown => attestation::predicate_known(evidence),
        CheckId::AttStmtVsCert => attestation::statement_against_certificate(evidence),
        CheckId::LogInclusion => log::inclusion(evidence),
        CheckId::LogTimeOrder => log::time_order(evidence),
        CheckId::IdIssuer => identity::issuer(evidence),
        CheckId::IdSourceRepo => identity::source_repo(evidence),
        CheckId::IdRunnerEnv => identity::runner_env(evidence),
        CheckId::IdSignerWorkflow => identity::signer_workflow(evidence),
        CheckId::RunExists
        | CheckId::RunDisappeared
        | CheckId::RunMatchesCert
        | CheckId::RunConclusion
        | CheckId::RunPublishStep
        | CheckId::RunSigningStep
        | CheckId::RunAttemptSane
        | CheckId::RunActor
        | CheckId::RunForkHead
        | CheckId::RunEnvironmentGate => not_run(check, "the build run was not looked at"),
        CheckId::SrcRepoState
        | CheckId::SrcCommitExists
        | CheckId::SrcCommitReachable
        | CheckId::SrcRefExists
        | CheckId::SrcTagMatchesVersion
        | CheckId::SrcGitHeadMatches
        | CheckId::SrcCommitSignature
        | CheckId::SrcAuthorCommitterSpoof
        | CheckId::SrcPrAssociated
        | CheckId::SrcCommitToPublishAge
        | CheckId::SrcVersionInCommit => not_run(check, "the source was not looked at"),
    }
}

/// The question was not asked.
pub(super) fn not_run(check: CheckId, why: &str) -> Finding {
    Finding::new(check, Outcome::Unknown(UnknownReason::NotRun), why)
}

impl Evidence<'_> {
    /// The examined attestations, or the finding that their absence or unavailability amounts to.
    pub(super) fn examination(&self, check: CheckId) -> Result<&Examination, Finding> {
        match &self.authenticated.examination {
            Availability::Present(examination) => Ok(examination),
            Availability::Absent { because } => Err(Finding::new(
                check,
                Outcome::NotApplicable(Some(Shade::Absent)),
                because.clone(),
            )),
            Availability::Unavailable(trouble) => Err(Finding::unavailable(check, trouble)),
        }
    }

    /// Asks the question of every authentic provenance; the worst answer stands.
    pub(super) fn of_each_provenance(&self, check: CheckId, ask: impl Fn(&Provenance<'_>) -> Finding) -> Finding {
        let examination = match self.examination(check) {
            Ok(examination) => examination,
            Err(finding) => return finding,
        };
        let findings = examination.authentic_provenances().into_iter().map(|provenance| {
            let bundle = provenance.attestation.bundle.clone();
            ask(&provenance).citing([bundle])
        });
        worst(findings).unwrap_or_else(|| not_run(check, "no provenance was authenticated"))
    }
}

/// What a refusal means for the check of a part: a refusal of another part leaves this one unexamined.
pub(super) fn refusal(check: CheckId, part: RefusedPart, examined: &Examined, refusal: &Refusal) -> Finding {
    let finding = match refusal {
        Refusal::Forged { part: refused, detail } if *refused == part => {
            Finding::new(check, Outcome::Fail(None), format!("refused: {detail}"))
        }
        Refusal::Forged { detail, .. } => not_run(
            check,
            &format!("not examined, since another part was refused: {detail}"),
        ),
        Refusal::Unsupported(detail) | Refusal::UnknownSigner(detail) | Refusal::NoTrustedTime(detail) => {
            Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), detail.clone())
        }
    };
    finding.citing([examined.bundle.clone()])
}

/// The worst of several findings of one check. All of them were made; the values of the worst are shown, with the
/// evidence of all.
pub(super) fn worst(findings: impl IntoIterator<Item = Finding>) -> Option<Finding> {
    let rank = |finding: &Finding| match finding.outcome {
        Outcome::Fail(_) => 4,
        Outcome::Unknown(_) => 3,
        Outcome::Warn(_) => 2,
        Outcome::Pass(_) => 1,
        Outcome::NotApplicable(_) => 0,
    };
    findings.into_iter().reduce(|one, other| {
        let (worse, better) = if rank(&other) > rank(&one) {
            (other, one)
        } else {
            (one, other)
        };
        worse.citing(better.evidence)
    })
}
