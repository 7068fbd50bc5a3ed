//! The verdict: what the findings amount to.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::check::Finding;
use crate::package::{Digest, PackageVersion};

mod decide;
mod fold;

pub use decide::{Decision, Inputs, decide};
pub use fold::Judged;

/// The media type of a verdict, as `schema` carries it.
pub const SCHEMA: &str = "urn:hekate:verdict:1";

/// What a verdict says, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// Two authenticated facts contradict each other, or something that must be authentic is forged.
    Mismatch,
    /// Authentic, but not how this package is released.
    Suspicious,
    /// Evidence that this release line used to carry is absent.
    Downgraded,
    /// Could not be decided now.
    Indeterminate,
    /// The registry authoritatively has no attestation, and none was expected.
    Unattested,
    /// Signatures, log, identity and digests verified, but the build run could not be examined.
    Attested,
    /// Every applicable required check passed, the build run included.
    Verified,
}

impl Status {
    /// Every status, worst first.
    pub const ALL: &[Self] = &[
        Self::Mismatch,
        Self::Suspicious,
        Self::Downgraded,
        Self::Indeterminate,
        Self::Unattested,
        Self::Attested,
        Self::Verified,
    ];

    /// The stable spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Suspicious => "suspicious",
            Self::Downgraded => "downgraded",
            Self::Indeterminate => "indeterminate",
            Self::Unattested => "unattested",
            Self::Attested => "attested",
            Self::Verified => "verified",
        }
    }

    /// Whether it says what should keep everybody from using the version.
    pub fn is_told(self) -> bool {
        match self {
            Self::Mismatch | Self::Suspicious | Self::Downgraded => true,
            Self::Indeterminate | Self::Unattested | Self::Attested | Self::Verified => false,
        }
    }

    /// Whether anything was decided. An unsettled verdict never replaces a settled one.
    pub fn is_settled(self) -> bool {
        match self {
            Self::Indeterminate => false,
            Self::Mismatch
            | Self::Suspicious
            | Self::Downgraded
            | Self::Unattested
            | Self::Attested
            | Self::Verified => true,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An answer to one of the three questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum YesNoUnknown {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Cannot be told from the evidence.
    Unknown,
}

/// The three questions, each of which is answered in every verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Questions {
    /// Is it on the registry, but was never built on GitHub Actions?
    pub registry_only: YesNoUnknown,
    /// Is there a record on Sigstore of a pipeline run that GitHub Actions does not have?
    pub log_only: YesNoUnknown,
    /// Did the registry publish something else than GitHub Actions built?
    pub mismatch: YesNoUnknown,
}

/// An artifact that the verdict is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// File name, as the registry names it.
    pub name: String,
    /// SHA-512 of the bytes that were downloaded, in hexadecimal.
    pub sha512: String,
    /// SHA-256 of the same bytes, in hexadecimal.
    pub sha256: String,
    /// Their number.
    pub size: u64,
}

/// One of several files of a version, with what the findings on it amount to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedArtifact {
    /// File name, as the registry names it.
    pub name: String,
    /// What its own findings say.
    pub status: Status,
    /// The checks that decided this.
    pub decided_by: Vec<crate::check::CheckId>,
    /// Its bytes, if they were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// Run invocation URI of the build that its certificate names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The trusted time at which its provenance was signed; `None` in verdicts of before it was told, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
}

/// The build, as the authenticated certificate and log entry describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// Source repository URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The forge's immutable id of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// The forge's immutable id of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Source repository digest: the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Source repository ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Path of the workflow that was triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Build signer URI: the workflow that signed, which differs from the triggered one for reusable workflows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Run invocation URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The event that triggered the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Runner environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Log index of the provenance's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<String>,
    /// The trusted time of signing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
}

/// Which trust material a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustIdentity {
    /// Digest of the Sigstore trusted root.
    pub trusted_root: Digest,
    /// Digest of npm's keys.
    pub npm_keys: Digest,
    /// Digest of the trusted root of GitHub's own instance; `None` in verdicts of before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_root: Option<Digest>,
    /// Where both came from.
    pub origin: String,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifierIdentity {
    /// The verifier's own name, chosen by who deploys it.
    pub id: String,
    /// The version of Hekate.
    pub version: String,
}

/// What Hekate says about one version of one package. Only [`decide`] makes one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Verdict {
    /// The media type: [`SCHEMA`].
    pub schema: String,
    /// The version that it is about.
    pub package: PackageVersion,
    /// What it says.
    pub status: Status,
    /// The three questions.
    pub questions: Questions,
    /// The checks that decided each answer, by the question's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub question_checks: BTreeMap<String, Vec<crate::check::CheckId>>,
    /// The artifact, if there is but one and its bytes were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// What the findings on each file amount to, where a version may have several. The worst of them is the verdict's status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<JudgedArtifact>,
    /// The build, if a provenance was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// The findings, in the order of the checks: one of each for every artifact, and those that say the same of several
    /// artifacts once.
    pub findings: Vec<Finding>,
    /// The checks that decided the status.
    pub decided_by: Vec<crate::check::CheckId>,
    /// Per family, the part of its applicable checks that came to a result: 0 to 1.
    pub coverage: BTreeMap<String, f64>,
    /// When the evidence was looked at.
    pub checked_at: Timestamp,
    /// Until when the verdict may be served without looking again.
    pub valid_until: Timestamp,
    /// When Hekate should look again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_look_at: Option<Timestamp>,
    /// Since when the registry does not serve the version any more. No look decides it, and a later verdict carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
    /// The set of checks that decided: year and month.
    pub check_set: String,
    /// Digest of the policy.
    pub policy: Digest,
    /// The trust material.
    pub trust: TrustIdentity,
    /// Digest of the dossier that the verdict is a function of.
    pub dossier: Digest,
    /// Who decided.
    pub verifier: VerifierIdentity,
}

impl Verdict {
    /// Whether every file that a later verdict speaks of is one that this one judged, by its name and, where both saw them, its
    /// bytes.
    pub fn is_about_all_of(&self, later: &Self) -> bool {
        let judged: BTreeMap<&str, Option<&str>> = self.files().collect();
        later.files().all(|(name, bytes)| {
            judged
                .get(name)
                .is_some_and(|known| known.zip(bytes).is_none_or(|(known, bytes)| known == bytes))
        })
    }

    /// The files that it speaks of: name, and SHA-256 where the bytes were seen.
    fn files(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let only = self
            .artifact
            .iter()
            .map(|file| (file.name.as_str(), Some(file.sha256.as_str())));
        let several = self.artifacts.iter().map(|judged| {
            let bytes = judged.artifact.as_ref().map(|file| file.sha256.as_str());
            (judged.name.as_str(), bytes)
        });
        only.chain(several)
    }
}
