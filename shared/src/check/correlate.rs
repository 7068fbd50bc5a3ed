//! The stage that puts every check's question to the evidence.

use super::{
    CheckId, Finding, Outcome, Shade, UnknownReason, artifact, attestation, identity, log, publishing, registry, run,
    source,
};
use crate::attestation::{CertificateIdentity, Issuer, Refusal, RefusedPart, TrustMaterial};
use crate::authenticate::{Authenticated, Examination, Examined, Provenance};
use crate::availability::Availability;
use crate::forge::github::{NoDestination, Trace};
use crate::history::PastRelease;
use crate::policy::Policy;
use crate::ports::Memory;

/// What the checks read.
pub struct Evidence<'a> {
    /// The release with its examined attestations.
    pub authenticated: &'a Authenticated,
    /// What the forge said of the run and the commit, or why there is nothing to ask about.
    pub trace: &'a Result<Trace, NoDestination>,
    /// What is remembered of the version and of the package.
    pub memory: &'a Memory,
    /// The policy.
    pub policy: &'a Policy,
    /// The trust material.
    pub trust: &'a TrustMaterial,
}

/// Runs every check: one finding each, in the order of [`CheckId::ALL`].
pub fn correlate(evidence: &Evidence<'_>) -> Vec<Finding> {
    CheckId::ALL.iter().map(|&check| ask(check, evidence)).collect()
}

fn ask(check: CheckId, evidence: &Evidence<'_>) -> Finding {
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
        CheckId::IdTriggerNovel => identity::trigger_novel(evidence),
        CheckId::IdRefNovel => identity::ref_novel(evidence),
        CheckId::IdEnvironmentMissing => identity::environment_missing(evidence),
        CheckId::RunExists => run::exists(evidence),
        CheckId::RunDisappeared => run::disappeared(evidence),
        CheckId::RunMatchesCert => run::matches_certificate(evidence),
        CheckId::RunConclusion => run::conclusion(evidence),
        CheckId::RunPublishStep => publishing::publish_step(evidence),
        CheckId::RunSigningStep => publishing::signing_step(evidence),
        CheckId::RunAttemptSane => run::attempt_sane(evidence),
        CheckId::RunActor => run::actor(evidence),
        CheckId::RunForkHead => run::fork_head(evidence),
        CheckId::RunEnvironmentGate => run::environment_gate(evidence),
        CheckId::SrcRepoState => source::repo_state(evidence),
        CheckId::SrcCommitExists => source::commit_exists(evidence),
        CheckId::SrcCommitReachable => source::commit_reachable(evidence),
        CheckId::SrcRefExists => source::ref_exists(evidence),
        CheckId::SrcTagMatchesVersion => source::tag_matches_version(evidence),
        CheckId::SrcGitHeadMatches => source::git_head_matches(evidence),
        CheckId::SrcCommitSignature => source::commit_signature(evidence),
        CheckId::SrcAuthorCommitterSpoof => source::author_committer_spoof(evidence),
        CheckId::SrcPrAssociated => source::pr_associated(evidence),
        CheckId::SrcCommitToPublishAge => source::commit_to_publish_age(evidence),
        CheckId::SrcVersionInCommit => source::version_in_commit(evidence),
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

    /// Accepted releases of the package that were published before this one, newest first. Prereleases are compared with
    /// prereleases, and others with others: channels have branches, triggers and tags of their own.
    pub(super) fn history(&self) -> impl Iterator<Item = &PastRelease> {
        let release = &self.authenticated.release;
        let published = release.metadata.present().and_then(|metadata| metadata.published_at);
        self.memory
            .history
            .iter()
            .filter(|past| past.accepted)
            .filter(move |past| past.version.contains('-') == release.package.version().contains('-'))
            .filter(move |past| past.version != release.package.version())
            .filter(move |past| published.is_none_or(|published| past.published_at <= published))
    }

    /// The certificate of the earliest authentic provenance that GitHub Actions made: the one that is traced.
    pub(super) fn certificate(&self) -> Option<&CertificateIdentity> {
        let provenances = self.authenticated.examination.present()?.authentic_provenances();
        provenances
            .iter()
            .find(|provenance| provenance.certificate.issuer == Some(Issuer::GitHubActions))
            .map(|provenance| provenance.certificate)
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
