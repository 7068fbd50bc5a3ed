//! Checks: each answers one question about a dossier with one finding.
//!
//! The ids are stable: alerts, dashboards and other verifiers name them.

mod artifact;
mod attestation;
mod correlate;
mod history;
mod identity;
mod learn;
mod log;
mod novelty;
mod publishing;
mod registry;
mod run;
mod source;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::availability::{Unavailable, UnavailableReason};
use crate::package::Digest;

pub use correlate::{Evidence, correlate};
pub use learn::past_release;
pub use registry::is_signed_by_registry;

/// Declares the closed set of checks with its stable spelling, family and severity, so that none can be forgotten.
macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $family:ident, $severity:ident;)+) => {
        /// A check. The set is closed: adding one breaks every place that decides.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum CheckId {
            $($(#[$doc])* #[serde(rename = $id)] $variant,)+
        }

        impl CheckId {
            /// Every check, in the order in which verdicts list them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// The family that it belongs to.
            pub fn family(self) -> Family {
                match self { $(Self::$variant => Family::$family,)+ }
            }

            /// How much a `fail` of it weighs.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }
        }
    };
}

checks! {
    /// Does the version exist now?
    ArtExists = "art.exists", Artifact, Info;
    /// Do the served bytes hash to what the registry's metadata says?
    ArtTarballIntegrity = "art.tarball_integrity", Artifact, Critical;
    /// Does the manifest inside the artifact name this package and version?
    ArtTarballManifest = "art.tarball_manifest", Artifact, High;
    /// Is the registry's signature over name, version and integrity valid?
    RegSignature = "reg.signature", Registry, Critical;
    /// Is the integrity in the metadata the one that was first seen?
    RegIntegrityStable = "reg.integrity_stable", Registry, Critical;
    /// How was the version published: by token, by a trusted publisher, or staged?
    RegPublishMode = "reg.publish_mode", Registry, Info;
    /// Does the registry serve attestations?
    AttPresent = "att.present", Attestation, Info;
    /// Was at least one provenance and one publish attestation verified?
    AttNonempty = "att.nonempty", Attestation, High;
    /// Is there exactly one of each, or do duplicates agree?
    AttUnique = "att.unique", Attestation, Medium;
    /// Is the publish attestation signed by the registry's key, valid at the logged time?
    AttPublishSig = "att.publish_sig", Attestation, Critical;
    /// Is the provenance signed by a certificate of the trusted authority?
    AttProvenanceSig = "att.provenance_sig", Attestation, Critical;
    /// Do provenance, publish attestation and served bytes agree on the digest?
    AttSubjectDigest = "att.subject_digest", Attestation, Critical;
    /// Do the attestations name this package and version?
    AttSubjectName = "att.subject_name", Attestation, Critical;
    /// Are predicate type and build type known?
    AttPredicateKnown = "att.predicate_known", Attestation, Low;
    /// Does the statement say what the certificate says?
    AttStmtVsCert = "att.stmt_vs_cert", Attestation, High;
    /// Does the log entry's proof or promise verify, for this very envelope?
    LogInclusion = "log.inclusion", Log, Critical;
    /// Do signing, logging and publication follow each other?
    LogTimeOrder = "log.time_order", Log, Medium;
    /// Did GitHub Actions' token issuer vouch for the signer?
    IdIssuer = "id.issuer", Identity, High;
    /// Is the certificate's source repository the one that the package names?
    IdSourceRepo = "id.source_repo", Identity, High;
    /// Does the repository's name belong to the owner that it belonged to?
    IdOwnerId = "id.owner_id", Identity, High;
    /// Were earlier releases built from this repository?
    IdRepoChanged = "id.repo_changed", Identity, High;
    /// Did this workflow make earlier releases?
    IdWorkflowChanged = "id.workflow_changed", Identity, Medium;
    /// Did a runner hosted by the forge sign?
    IdRunnerEnv = "id.runner_env", Identity, Medium;
    /// Which workflow signed: the triggered one, or a reusable one pinned by digest?
    IdSignerWorkflow = "id.signer_workflow", Identity, Low;
    /// Did this event trigger releases of the package before?
    IdTriggerNovel = "id.trigger_novel", Identity, High;
    /// Were releases of the package built from refs of this kind before?
    IdRefNovel = "id.ref_novel", Identity, High;
    /// Was what everybody gets by default built from a branch of prereleases or features?
    IdRefDisttagMismatch = "id.ref_disttag_mismatch", Identity, High;
    /// Is the deployment environment named that releases of the package had before?
    IdEnvironmentMissing = "id.environment_missing", Identity, Medium;
    /// Has the release the attestations that its release line had?
    HistDowngrade = "hist.downgrade", History, High;
    /// Has the release the attestations that other release lines have?
    HistDowngradeCrossline = "hist.downgrade_crossline", History, Medium;
    /// Was the version published in no less guarded a way than those before it?
    HistPublishModeChanged = "hist.publish_mode_changed", History, Medium;
    /// Did the account that published the version publish earlier ones?
    HistPublisherChanged = "hist.publisher_changed", History, Medium;
    /// Were no more versions published at once than is usual?
    HistBurst = "hist.burst", History, Medium;
    /// Does the run that the certificate names exist?
    RunExists = "run.exists", Run, High;
    /// Is a run that was seen before gone?
    RunDisappeared = "run.disappeared", Run, Medium;
    /// Does the run say what the certificate says?
    RunMatchesCert = "run.matches_cert", Run, Critical;
    /// Did the run succeed?
    RunConclusion = "run.conclusion", Run, High;
    /// Did a step that publishes succeed?
    RunPublishStep = "run.publish_step", Run, High;
    /// Was that step running when the provenance was signed?
    RunSigningStep = "run.signing_step", Run, High;
    /// Is the attempt one that the run had?
    RunAttemptSane = "run.attempt_sane", Run, Low;
    /// Is the actor known?
    RunActor = "run.actor", Run, Low;
    /// Did the run's head come from the repository itself?
    RunForkHead = "run.fork_head", Run, High;
    /// Was the deployment environment's gate passed?
    RunEnvironmentGate = "run.environment_gate", Run, Low;
    /// What became of the source repository?
    SrcRepoState = "src.repo_state", Source, Medium;
    /// Does the commit exist in the repository?
    SrcCommitExists = "src.commit_exists", Source, High;
    /// Is the commit on a branch or tag of the repository?
    SrcCommitReachable = "src.commit_reachable", Source, High;
    /// Does the ref still exist?
    SrcRefExists = "src.ref_exists", Source, Low;
    /// Does a tag for this version resolve to the commit?
    SrcTagMatchesVersion = "src.tag_matches_version", Source, Medium;
    /// Does the registry's `gitHead` name the commit?
    SrcGitHeadMatches = "src.git_head_matches", Source, Low;
    /// Is the commit signed, where the project signs?
    SrcCommitSignature = "src.commit_signature", Source, Medium;
    /// Do author and committer fit together?
    SrcAuthorCommitterSpoof = "src.author_committer_spoof", Source, Medium;
    /// Did the commit come through a pull request, where the project uses them?
    SrcPrAssociated = "src.pr_associated", Source, Low;
    /// Was a workflow changed minutes before publication?
    SrcCommitToPublishAge = "src.commit_to_publish_age", Source, Medium;
    /// Does the manifest at the commit say this version?
    SrcVersionInCommit = "src.version_in_commit", Source, Low;
}

impl fmt::Display for CheckId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A group of checks that read the same kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Family {
    /// The served bytes.
    Artifact,
    /// The registry's metadata.
    Registry,
    /// The attestations.
    Attestation,
    /// The transparency log.
    Log,
    /// The signing certificate.
    Identity,
    /// The package's earlier releases.
    History,
    /// The build run.
    Run,
    /// The source.
    Source,
}

impl Family {
    /// Every family, in the order of the checks.
    pub const ALL: &[Self] = &[
        Self::Artifact,
        Self::Registry,
        Self::Attestation,
        Self::Log,
        Self::Identity,
        Self::History,
        Self::Run,
        Self::Source,
    ];

    /// The stable spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Registry => "registry",
            Self::Attestation => "attestation",
            Self::Log => "log",
            Self::Identity => "identity",
            Self::History => "history",
            Self::Run => "run",
            Self::Source => "source",
        }
    }
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Recorded, never decisive.
    Info,
    /// Worth knowing.
    Low,
    /// Two of these from different families are suspicious.
    Medium,
    /// One failure is suspicious.
    High,
    /// One failure is a mismatch.
    Critical,
}

/// Why a check could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnknownReason {
    /// The upstream did not answer.
    Unreachable,
    /// The upstream asked to come back later.
    RateLimited,
    /// The upstream does not keep it any more.
    NotRetained,
    /// The upstream hides it.
    Private,
    /// A mirror removed it.
    Stripped,
    /// It uses something that this verifier does not know.
    Unsupported,
    /// It has not happened yet.
    Pending,
    /// The answer is not of the documented shape.
    Malformed,
    /// The check did not run.
    NotRun,
}

impl UnknownReason {
    /// Whether asking again later may bring an answer.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Unreachable | Self::RateLimited | Self::Malformed | Self::Pending => true,
            Self::NotRetained | Self::Private | Self::Stripped | Self::Unsupported | Self::NotRun => false,
        }
    }
}

impl From<UnavailableReason> for UnknownReason {
    fn from(reason: UnavailableReason) -> Self {
        match reason {
            UnavailableReason::Unreachable => Self::Unreachable,
            UnavailableReason::RateLimited => Self::RateLimited,
            UnavailableReason::NotRetained => Self::NotRetained,
            UnavailableReason::Private => Self::Private,
            UnavailableReason::Stripped => Self::Stripped,
            UnavailableReason::Malformed => Self::Malformed,
            // Too large for this verifier is a format that this verifier does not read; the summary says which.
            UnavailableReason::TooLarge | UnavailableReason::Unsupported => Self::Unsupported,
        }
    }
}

/// The special shade of a result, where its check has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Shade {
    /// Something was served, and nothing in it verified.
    Vacuous,
    /// Only a digest that is not collision resistant could be compared.
    WeakDigest,
    /// Authoritatively absent.
    Absent,
    /// Nothing earlier to compare with.
    FirstSeen,
    /// The caller and the package name no repository.
    NoExpectation,
    /// A runner that the repository's owner controls.
    SelfHosted,
    /// Duplicates that disagree.
    Ambiguous,
    /// Signed before it was published, as staged publishing does.
    Staged,
    /// Published by a token.
    Token,
    /// Published by a trusted publisher.
    TrustedPublisher,
    /// Published in a stage and approved by a person.
    StagedPublish,
    /// Answered by what an earlier look saw of the run.
    Snapshot,
    /// The run failed after its publishing step had done its part.
    AfterPublish,
    /// It cannot be told which step publishes.
    UnknownStep,
    /// The repository has another name by now.
    Renamed,
    /// The repository is read-only by now.
    Archived,
    /// The commit came through a pull request whose branch is gone or was squashed.
    SquashMerged,
    /// The run is not there, while older ones of its workflow are.
    Missing,
    /// The package has no such habit, or none that is known.
    NoHabit,
    /// What earlier releases of the line carried is absent.
    Downgraded,
    /// The package has given the habit up, long ago.
    GivenUp,
    /// Nothing else is unusual.
    Alone,
    /// The ecosystem has no such thing.
    NotOfEcosystem,
    /// A timestamp authority vouches for the time, where the instance has no public log.
    Timestamped,
}

impl Shade {
    /// Whether a warning of this shade is an explained fact of ordinary life: reported, and never weighed.
    pub fn is_harmless(self) -> bool {
        match self {
            // A weak digest is the age of a package, which is no sign of an attack.
            Self::WeakDigest
            | Self::AfterPublish
            | Self::UnknownStep
            | Self::SelfHosted
            | Self::Renamed
            | Self::Archived
            | Self::SquashMerged
            | Self::GivenUp
            | Self::Alone => true,
            Self::Vacuous
            | Self::Absent
            | Self::FirstSeen
            | Self::NoExpectation
            | Self::Ambiguous
            | Self::Staged
            | Self::Token
            | Self::TrustedPublisher
            | Self::StagedPublish
            | Self::Snapshot
            | Self::Missing
            | Self::NoHabit
            | Self::Downgraded
            | Self::NotOfEcosystem
            | Self::Timestamped => false,
        }
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The question was answered as it should be.
    Pass(Option<Shade>),
    /// The question was answered as it must not be; both values are in the finding.
    Fail(Option<Shade>),
    /// Unusual, and no proof of anything.
    Warn(Option<Shade>),
    /// Not answered. Never a pass.
    Unknown(UnknownReason),
    /// The question does not arise.
    NotApplicable(Option<Shade>),
}

impl Outcome {
    /// Whether the question was answered.
    pub fn is_pass(self) -> bool {
        match self {
            Self::Pass(_) => true,
            Self::Fail(_) | Self::Warn(_) | Self::Unknown(_) | Self::NotApplicable(_) => false,
        }
    }

    /// Whether the answer is a refusal.
    pub fn is_fail(self) -> bool {
        match self {
            Self::Fail(_) => true,
            Self::Pass(_) | Self::Warn(_) | Self::Unknown(_) | Self::NotApplicable(_) => false,
        }
    }
}

/// What one check found, with the values that it compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "wire::Finding<'static>")]
pub struct Finding {
    /// The check.
    pub check: CheckId,
    /// What it found.
    pub outcome: Outcome,
    /// One sentence for people.
    pub summary: String,
    /// The compared values, by where each was observed.
    pub observed: BTreeMap<String, String>,
    /// Digests of the documents that were read.
    pub evidence: Vec<Digest>,
    /// The artifacts that it is about, where a version has several and not all of them show the same; otherwise none.
    pub artifacts: Vec<String>,
}

impl Finding {
    /// A finding without observed values.
    pub fn new(check: CheckId, outcome: Outcome, summary: impl Into<String>) -> Self {
        Self {
            check,
            outcome,
            summary: summary.into(),
            observed: BTreeMap::new(),
            evidence: Vec::new(),
            artifacts: Vec::new(),
        }
    }

    /// Whether it is about an artifact.
    pub fn is_about(&self, artifact: &str) -> bool {
        self.artifacts.is_empty() || self.artifacts.iter().any(|named| named == artifact)
    }

    /// The question could not be asked, or its answer not be read.
    pub fn unavailable(check: CheckId, trouble: &Unavailable) -> Self {
        Self::new(check, Outcome::Unknown(trouble.reason.into()), trouble.detail.clone())
            .observing("asked", trouble.source.clone())
    }

    /// Adds an observed value.
    #[must_use]
    pub fn observing(mut self, place: impl Into<String>, value: impl Into<String>) -> Self {
        self.observed.insert(place.into(), value.into());
        self
    }

    /// Adds the digest of a document that was read.
    #[must_use]
    pub fn citing(mut self, evidence: impl IntoIterator<Item = Digest>) -> Self {
        for digest in evidence {
            if !self.evidence.contains(&digest) {
                self.evidence.push(digest);
            }
        }
        self
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::Finding::from(self).serialize(serializer)
    }
}

mod wire {
    //! The JSON form of a finding: the outcome as `result` and `reason`, with family and severity spelled out.

    use std::borrow::Cow;

    use super::{BTreeMap, CheckId, Deserialize, Digest, Family, Outcome, Serialize, Severity, Shade, UnknownReason};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Result {
        Pass,
        Fail,
        Warn,
        Unknown,
        NotApplicable,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Reason {
        Unknown(UnknownReason),
        Shade(Shade),
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Finding<'a> {
        check: CheckId,
        family: Family,
        result: Result,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        severity: Severity,
        summary: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        observed: Cow<'a, BTreeMap<String, String>>,
        #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
        evidence: Cow<'a, [Digest]>,
        #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
        artifacts: Cow<'a, [String]>,
    }

    impl<'a> From<&'a super::Finding> for Finding<'a> {
        fn from(finding: &'a super::Finding) -> Self {
            let (result, reason) = match finding.outcome {
                Outcome::Pass(shade) => (Result::Pass, shade.map(Reason::Shade)),
                Outcome::Fail(shade) => (Result::Fail, shade.map(Reason::Shade)),
                Outcome::Warn(shade) => (Result::Warn, shade.map(Reason::Shade)),
                Outcome::Unknown(reason) => (Result::Unknown, Some(Reason::Unknown(reason))),
                Outcome::NotApplicable(shade) => (Result::NotApplicable, shade.map(Reason::Shade)),
            };
            Self {
                check: finding.check,
                family: finding.check.family(),
                result,
                reason,
                severity: finding.check.severity(),
                summary: Cow::Borrowed(&finding.summary),
                observed: Cow::Borrowed(&finding.observed),
                evidence: Cow::Borrowed(&finding.evidence),
                artifacts: Cow::Borrowed(&finding.artifacts),
            }
        }
    }

    impl TryFrom<Finding<'_>> for super::Finding {
        type Error = String;

        fn try_from(wire: Finding<'_>) -> std::result::Result<Self, String> {
            let outcome = match (wire.result, wire.reason) {
                (Result::Pass, None) => Outcome::Pass(None),
                (Result::Pass, Some(Reason::Shade(shade))) => Outcome::Pass(Some(shade)),
                (Result::Fail, None) => Outcome::Fail(None),
                (Result::Fail, Some(Reason::Shade(shade))) => Outcome::Fail(Some(shade)),
                (Result::Warn, None) => Outcome::Warn(None),
                (Result::Warn, Some(Reason::Shade(shade))) => Outcome::Warn(Some(shade)),
                (Result::NotApplicable, None) => Outcome::NotApplicable(None),
                (Result::NotApplicable, Some(Reason::Shade(shade))) => Outcome::NotApplicable(Some(shade)),
                (Result::Unknown, Some(Reason::Unknown(reason))) => Outcome::Unknown(reason),
                (Result::Unknown, None | Some(Reason::Shade(_))) => {
                    return Err(format!("the unknown result of {} has no reason", wire.check));
                }
                (Result::Pass | Result::Fail | Result::Warn | Result::NotApplicable, Some(Reason::Unknown(_))) => {
                    return Err(format!(
                        "the result of {} has a reason that only an unknown result has",
                        wire.check
                    ));
                }
            };
            Ok(Self {
                check: wire.check,
                outcome,
                summary: wire.summary.into_owned(),
                observed: wire.observed.into_owned(),
                evidence: wire.evidence.into_owned(),
                artifacts: wire.artifacts.into_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_round_trips_through_its_json_form() {
        for outcome in [
            Outcome::Pass(None),
            Outcome::Fail(Some(Shade::Vacuous)),
            Outcome::Warn(Some(Shade::WeakDigest)),
            Outcome::Unknown(UnknownReason::NotRun),
            Outcome::NotApplicable(Some(Shade::Absent)),
        ] {
            let finding = Finding::new(CheckId::AttNonempty, outcome, "s").observing("here", "x");
            let text = serde_json::to_string(&finding).unwrap();
            assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding, "{text}");
        }
    }

    #[test]
    fn an_unknown_result_without_a_reason_is_refused() {
        let text =
            r#"{"check":"att.present","family":"attestation","result":"unknown","severity":"info","summary":""}"#;
        assert!(serde_json::from_str::<Finding>(text).is_err());
    }

    #[test]
    fn every_check_is_listed_once_and_spelled_in_its_family() {
        for (index, check) in CheckId::ALL.iter().enumerate() {
            assert_eq!(CheckId::ALL.iter().position(|other| other == check), Some(index));
            assert!(check.as_str().contains('.'));
        }
    }
}
