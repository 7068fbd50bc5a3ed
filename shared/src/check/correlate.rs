//! The stage that puts every check's question to the evidence.

use jiff::Timestamp;

use super::{
    CheckId, Family, Finding, Outcome, Shade, UnknownReason, artifact, attestation, history, identity, log, novelty,
    publishing, registry, run, source,
};
use crate::attestation::{CertificateIdentity, Refusal, RefusedPart, TrustMaterial};
use crate::authenticate::{Authenticated, Examination, Examined, Provenance};
use crate::availability::Availability;
use crate::ecosystem::Registry;
use crate::forge::github::{NoDestination, Trace};
use crate::history::{Channel, Line, PastRelease, SETTLED};
use crate::policy::Policy;
use crate::ports::Memory;

/// What the checks read.
pub struct Evidence<'a> {
    /// The artifact with its examined attestations.
    pub authenticated: &'a Authenticated,
    /// The other artifacts of the version.
    pub siblings: &'a [&'a Authenticated],
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
    let mut findings: Vec<Finding> = CheckId::ALL.iter().map(|&check| ask(check, evidence)).collect();
    if evidence.names_several_runs() {
        findings = findings.into_iter().map(withheld).collect();
    }
    novelty::in_company(&mut findings);
    findings
}

/// What a finding about one of several runs amounts to. That nothing is wrong with that one says nothing of the others; what is
/// wrong with it is, whoever adds the provenance of another.
fn withheld(finding: Finding) -> Finding {
    match (finding.check.family(), finding.outcome) {
        (Family::Run | Family::Source, Outcome::Pass(_)) => not_run(
            finding.check,
            "the provenances name several runs, and only one was looked at",
        ),
        (_, _) => finding,
    }
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
        CheckId::IdOwnerId => novelty::owner_id(evidence),
        CheckId::IdRepoChanged => novelty::repo_changed(evidence),
        CheckId::IdWorkflowChanged => novelty::workflow_changed(evidence),
        CheckId::IdTriggerNovel => novelty::trigger_novel(evidence),
        CheckId::IdRefNovel => novelty::ref_novel(evidence),
        CheckId::IdRefDisttagMismatch => novelty::ref_disttag_mismatch(evidence),
        CheckId::IdEnvironmentMissing => novelty::environment_missing(evidence),
        CheckId::HistDowngrade => history::downgrade(evidence),
        CheckId::HistDowngradeCrossline => history::downgrade_crossline(evidence),
        CheckId::HistPublishModeChanged => history::publish_mode_changed(evidence),
        CheckId::HistPublisherChanged => history::publisher_changed(evidence),
        CheckId::HistBurst => history::burst(evidence),
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

    /// The rules of the ecosystem.
    pub(super) fn registry(&self) -> &'static dyn Registry {
        self.authenticated.release.package.ecosystem().registry()
    }

    /// When the version was published, as the registry says.
    pub(super) fn published_at(&self) -> Option<Timestamp> {
        let metadata = self.authenticated.release.metadata.present()?;
        metadata.published_at
    }

    /// Whether not everything is known that could be of releases before the first that was looked at. A registry that lists
    /// no earlier versions leaves nothing to be known.
    pub(super) fn history_has_gaps(&self) -> bool {
        self.memory.history_has_gaps && self.published_at().is_some()
    }

    /// Releases of the package that were published before this one, newest first: accepted or not, attested or not.
    pub(super) fn past(&self) -> Vec<&PastRelease> {
        let release = &self.authenticated.release;
        let published = self.published_at();
        let mut past: Vec<&PastRelease> = self
            .memory
            .history
            .iter()
            .filter(|past| past.version != release.package.version())
            .filter(|past| published.is_none_or(|published| past.published_at <= published))
            .collect();
        past.sort_by(|one, other| (other.published_at, &other.version).cmp(&(one.published_at, &one.version)));
        past
    }

    /// Releases that are attested and were not refused, of every channel, newest first. That they were is a fact, whether or
    /// not there is anything to learn from how they were released; of the last day before this one, those alone count that
    /// somebody has accepted.
    pub(super) fn attested(&self) -> impl Iterator<Item = &PastRelease> {
        let is_old = self.is_old();
        self.past()
            .into_iter()
            .filter(move |past| past.attested && !past.refused && (past.accepted || is_old(past)))
    }

    /// Accepted releases that are attested, of every channel, newest first; those of the last day before this one teach
    /// nothing: the first release of an attack is not yet told when the second comes.
    pub(super) fn identities(&self) -> impl Iterator<Item = &PastRelease> {
        let is_old = self.is_old();
        self.attested().filter(move |past| past.accepted && is_old(past))
    }

    /// Whether a release is older than the last day before this one.
    fn is_old(&self) -> impl Fn(&PastRelease) -> bool + use<> {
        let published = self.published_at();
        move |past| published.is_none_or(|at| at.duration_since(past.published_at) >= SETTLED)
    }

    /// Accepted attested releases of the package that were published before this one, newest first. Prereleases are compared
    /// with prereleases, and others with others: channels have branches, triggers and tags of their own.
    pub(super) fn history(&self) -> impl Iterator<Item = &PastRelease> {
        let is_stable = self.own_channel().is_stable();
        self.identities()
            .filter(move |past| self.channel(&past.version).is_stable() == is_stable)
    }

    /// The same of the version's own channel: prereleases of its name; and releases for everybody, if it is one, or what
    /// everybody gets by default.
    pub(super) fn of_channel(&self) -> impl Iterator<Item = &PastRelease> {
        let release = &self.authenticated.release;
        let tags = release.metadata.present().map(|metadata| &metadata.tags);
        let is_latest = tags.is_some_and(|tags| tags.iter().any(|tag| tag == "latest"));
        let own = self.own_channel();
        self.identities().filter(move |past| {
            let of_past = self.channel(&past.version);
            of_past == own || is_latest && of_past.is_stable()
        })
    }

    /// What a version of the package is made for.
    pub(super) fn channel(&self, version: &str) -> Channel {
        self.authenticated.release.package.ecosystem().channel(version)
    }

    /// What this version is made for.
    pub(super) fn own_channel(&self) -> Channel {
        self.channel(self.authenticated.release.package.version())
    }

    /// The release line that a version of the package is on.
    pub(super) fn line(&self, version: &str) -> Option<Line> {
        self.authenticated.release.package.ecosystem().line(version)
    }

    /// The certificate of the provenance that is traced.
    pub(super) fn certificate(&self) -> Option<&CertificateIdentity> {
        let traced = self.authenticated.examination.present()?.traced()?;
        Some(traced.certificate)
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
        Outcome::Fail(_) => 5,
        // What is not supported may be put up with, elsewhere than on GitHub; what could not be told is not.
        Outcome::Unknown(reason) if reason != UnknownReason::Unsupported => 4,
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
