//! What a verifier says of a version, as far as it is compared.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sigstore::types::DsseEnvelope;

use super::Peer;
use crate::availability::UnavailableReason;
use crate::check::Outcome;
use crate::dossier::{Answer, Body, Kept, Observation};
use crate::package::{Digest, PackageVersion};
use crate::summary::{PublicKey, VERDICT_TYPE};
use crate::verdict::{Artifact, Build, SCHEMA, Status, Verdict, VerifierIdentity};

/// A verdict, as far as it is compared. Those of other versions of Hekate are read, too: what they say besides is passed over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Testimony {
    schema: String,
    /// The version that it is about.
    pub package: PackageVersion,
    /// The status.
    pub status: Status,
    #[serde(default)]
    artifact: Option<Artifact>,
    #[serde(default)]
    artifacts: Vec<File>,
    /// The build, if a provenance was authenticated.
    #[serde(default)]
    pub build: Option<Build>,
    /// The findings.
    pub findings: Vec<Told>,
    /// When the evidence was looked at.
    pub checked_at: Timestamp,
    /// The set of checks.
    pub check_set: String,
    /// Digest of the policy.
    pub policy: String,
    trust: Trust,
    /// Who says it.
    pub verifier: VerifierIdentity,
}

/// The digests of the trust material. Where it came from decides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trust {
    trusted_root: String,
    npm_keys: String,
    #[serde(default)]
    github_root: Option<String>,
}

/// One of several files of a version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct File {
    name: String,
    #[serde(default)]
    artifact: Option<Artifact>,
    #[serde(default)]
    run: Option<String>,
}

/// A finding, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// The check, by its stable spelling.
    pub check: String,
    /// What it found, by its stable spelling.
    pub result: String,
    /// The files that it is about; none: all of them.
    #[serde(default)]
    pub artifacts: Vec<String>,
}

/// What was seen of a file of the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Seen<'a> {
    /// SHA-512 of its bytes in hexadecimal, if they were seen.
    pub sha512: Option<&'a str>,
    /// The run that its certificate names, where a version may have several files.
    pub run: Option<&'a str>,
}

impl Testimony {
    /// What was seen of each file, by its name.
    pub fn files(&self) -> BTreeMap<&str, Seen<'_>> {
        let only = self.artifact.iter().map(|artifact| {
            let seen = Seen {
                sha512: Some(&artifact.sha512),
                run: None,
            };
            (artifact.name.as_str(), seen)
        });
        let several = self.artifacts.iter().map(|file| {
            let seen = Seen {
                sha512: file.artifact.as_ref().map(|artifact| artifact.sha512.as_str()),
                run: file.run.as_deref(),
            };
            (file.name.as_str(), seen)
        });
        only.chain(several).collect()
    }

    /// Whether it names every file that the version had, and not only one whose bytes were seen.
    pub fn names_every_file(&self) -> bool {
        !self.artifacts.is_empty()
    }

    /// Digest of what was seen: the files with their bytes, and what certificate and log entry say of the build. Two who saw the
    /// same have the same, whenever they looked and whatever they make of it.
    pub fn evidence(&self) -> Digest {
        let seen = json!({ "package": self.package, "files": self.files(), "build": self.build });
        Digest::sha256_of(seen.to_string().as_bytes())
    }

    /// Whether both judge by the same rules: the version of Hekate, its checks, the policy, and the trust material.
    pub fn judges_like(&self, other: &Self) -> bool {
        self.verifier.version == other.verifier.version
            && self.check_set == other.check_set
            && self.policy == other.policy
            && self.trust == other.trust
    }
}

impl From<&Verdict> for Testimony {
    fn from(verdict: &Verdict) -> Self {
        let told = |outcome| match outcome {
            Outcome::Pass(_) => "pass",
            Outcome::Fail(_) => "fail",
            Outcome::Warn(_) => "warn",
            Outcome::Unknown(_) => "unknown",
            Outcome::NotApplicable(_) => "notApplicable",
        };
        Self {
            schema: verdict.schema.clone(),
            package: verdict.package.clone(),
            status: verdict.status,
            artifact: verdict.artifact.clone(),
            artifacts: verdict
                .artifacts
                .iter()
                .map(|judged| File {
                    name: judged.name.clone(),
                    artifact: judged.artifact.clone(),
                    run: judged.run.clone(),
                })
                .collect(),
            build: verdict.build.clone(),
            findings: verdict
                .findings
                .iter()
                .map(|finding| Told {
                    check: finding.check.to_string(),
                    result: told(finding.outcome).to_owned(),
                    artifacts: finding.artifacts.clone(),
                })
                .collect(),
            checked_at: verdict.checked_at,
            check_set: verdict.check_set.clone(),
            policy: verdict.policy.to_string(),
            trust: Trust {
                trusted_root: verdict.trust.trusted_root.to_string(),
                npm_keys: verdict.trust.npm_keys.to_string(),
                github_root: verdict.trust.github_root.as_ref().map(ToString::to_string),
            },
            verifier: verdict.verifier.clone(),
        }
    }
}

/// Why a peer was not heard. Nothing follows from it about the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unheard {
    /// The class.
    pub reason: UnheardReason,
    /// One sentence for people.
    pub detail: String,
}

/// The classes of reasons for which a peer was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UnheardReason {
    /// It did not answer.
    Unreachable,
    /// It asked to come back later.
    RateLimited,
    /// It answered that it has no verdict, or signs none.
    NoVerdict,
    /// Its answer is no signed verdict.
    Malformed,
    /// It answered with something that this version of Hekate does not read.
    Unsupported,
    /// None of its keys signed the answer.
    NotAuthentic,
    /// It signs with the key of this verifier, and is no other one.
    Own,
}

impl UnheardReason {
    fn because(self, detail: impl Into<String>) -> Unheard {
        Unheard {
            reason: self,
            detail: detail.into(),
        }
    }
}

/// What a peer says of a version, by its answer:
///
/// 1. the answer is an envelope of DSSE with a verdict;
/// 2. one of the peer's keys signed it, and none of this verifier's `own`;
/// 3. the verdict is about the version that was asked about.
///
/// # Errors
///
/// Why it was not heard.
pub fn hear(
    peer: &Peer,
    own: &[PublicKey],
    package: &PackageVersion,
    answer: &Observation,
) -> Result<(Testimony, DsseEnvelope), Unheard> {
    // 1.
    let response = match &answer.answer {
        Answer::Answered(response) => response,
        Answer::Unanswered { reason, detail, .. } => {
            let class = match reason {
                UnavailableReason::RateLimited => UnheardReason::RateLimited,
                UnavailableReason::Malformed => UnheardReason::Malformed,
                UnavailableReason::TooLarge | UnavailableReason::Unsupported => UnheardReason::Unsupported,
                UnavailableReason::Unreachable
                | UnavailableReason::NotRetained
                | UnavailableReason::Private
                | UnavailableReason::Stripped => UnheardReason::Unreachable,
            };
            return Err(class.because(detail.clone()));
        }
    };
    let body = match &response.kept {
        Kept::Whole { body: Body(bytes) } if response.status == 200 => bytes,
        Kept::Whole { .. } | Kept::Excerpt { .. } | Kept::Archive { .. } | Kept::Digests { .. } | Kept::Nothing => {
            let detail = match response.status {
                404 => "answered 404: it knows no such version, or has no key to sign with".to_owned(),
                other => format!("answered {other}"),
            };
            return Err(UnheardReason::NoVerdict.because(detail));
        }
    };
    let envelope: DsseEnvelope = serde_json::from_slice(body)
        .map_err(|source| UnheardReason::Malformed.because(format!("no envelope of DSSE: {source}")))?;
    if envelope.payload_type != VERDICT_TYPE {
        let detail = format!(
            "signed something of the type {:?}, and no verdict",
            envelope.payload_type
        );
        return Err(UnheardReason::Unsupported.because(detail));
    }
    // 2.
    let (message, signature) = (envelope.pae(), envelope.signature.sig.as_bytes());
    let signed_by = |keys: &[PublicKey]| keys.iter().any(|key| key.verifies(&message, signature));
    if signed_by(own) {
        return Err(UnheardReason::Own.because("signs with the key of this verifier"));
    }
    if !signed_by(&peer.keys) {
        return Err(
            UnheardReason::NotAuthentic.because("none of the keys that HEKATE_PEERS names of it signed the answer")
        );
    }
    // 3.
    let testimony: Testimony = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|source| UnheardReason::Unsupported.because(format!("no verdict that can be read: {source}")))?;
    if testimony.schema != SCHEMA {
        return Err(UnheardReason::Unsupported.because(format!("a verdict of the schema {:?}", testimony.schema)));
    }
    if testimony.package != *package {
        return Err(UnheardReason::NotAuthentic.because(format!("speaks of {}", testimony.package)));
    }
    Ok((testimony, envelope))
}
