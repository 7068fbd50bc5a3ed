//! What a verifier says of a version, as far as it is compared.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sigstore::types::{DsseEnvelope, DsseSignature, KeyId};

use super::Peer;
use crate::availability::UnavailableReason;
use crate::check::CheckId;
use crate::dossier::{Answer, Body, Kept, Observation};
use crate::package::{Digest, PackageVersion};
use crate::summary::{PublicKey, VERDICT_TYPE};
use crate::verdict::{Artifact, Build, SCHEMA, Status, VerifierIdentity};

/// By how much a peer's clock may be ahead.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);

/// The most bytes of what the report repeats of a verdict: the name and the version of who says it, the set of checks, and the digest
/// of the policy.
const NAME: usize = 512;

/// A verdict, as far as it is compared. Verdicts of other versions of Hekate are read, too: what they say besides, and checks that
/// this version does not know, are passed over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "wire::Verdict")]
pub struct Testimony {
    /// The version that it is about.
    pub package: PackageVersion,
    /// The status.
    pub status: Status,
    /// The build, if a provenance was authenticated: of the one file, or of one of several.
    pub build: Option<Build>,
    /// When the evidence was looked at.
    pub checked_at: Timestamp,
    /// Since when the registry does not serve the version any more.
    pub removed_at: Option<Timestamp>,
    /// The set of checks.
    pub check_set: String,
    /// Digest of the policy.
    pub policy: String,
    /// Who says it.
    pub verifier: VerifierIdentity,
    trust: Trust,
    files: BTreeMap<String, Seen>,
    lists_files: bool,
    answers: BTreeMap<CheckId, Answers>,
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

/// What was seen of a file of the version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// SHA-512 of its bytes in hexadecimal, if they were seen.
    pub sha512: Option<String>,
    /// The run that its certificate names, where a version may have several files.
    pub run: Option<String>,
    /// When its provenance was signed, where that is told of each file. It follows from what was seen, and is no part of the digest.
    #[serde(skip)]
    pub signed_at: Option<Timestamp>,
}

/// What a check came to, as far as it is told apart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Told {
    /// It was answered as it should be.
    Pass,
    /// It was answered as it must not be.
    Fail,
    /// It was answered in an unusual way.
    Warn,
    /// The question does not arise: there is nothing that it could be asked of.
    NotApplicable,
    /// It was not answered, or in a way that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Told {
    /// The stable spelling of an answer; `None` if there was none.
    pub fn answer(self) -> Option<&'static str> {
        match self {
            Self::Pass => Some("pass"),
            Self::Fail => Some("fail"),
            Self::Warn => Some("warn"),
            Self::NotApplicable | Self::Unknown => None,
        }
    }
}

/// What a check came to: of each file by its name, and of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answers {
    of: BTreeMap<String, Told>,
    others: Option<Told>,
}

impl Testimony {
    /// What was seen of each file, by its name.
    pub fn files(&self) -> &BTreeMap<String, Seen> {
        &self.files
    }

    /// Whether the version may have several files: then all of them are named, and not only those whose bytes were seen.
    pub fn lists_files(&self) -> bool {
        self.lists_files
    }

    /// The only file, where a version has but one and its bytes were seen. What it is called is up to whoever serves it.
    pub fn only_file(&self) -> Option<&Seen> {
        self.files.values().next().filter(|_seen| !self.lists_files)
    }

    /// What a check came to, of a file or of the only one.
    pub fn told(&self, check: CheckId, file: Option<&str>) -> Told {
        let Some(answers) = self.answers.get(&check) else {
            return Told::Unknown;
        };
        let of_file = file.and_then(|file| answers.of.get(file));
        of_file.copied().or(answers.others).unwrap_or(Told::Unknown)
    }

    /// When the provenance of a file was signed, or that of the only one, where it is told.
    pub fn signed_at(&self, file: Option<&str>) -> Option<Timestamp> {
        match file {
            Some(file) => self.files.get(file)?.signed_at,
            None => self.build.as_ref()?.signed_at,
        }
    }

    /// Digest of what was seen: the bytes of the files and the runs that built them, or of the only one all that certificate and log
    /// entry say of its build. Two who saw the same have the same, whenever they looked and whatever they make of it.
    pub fn evidence(&self) -> Digest {
        let seen = if self.lists_files {
            json!({ "package": self.package, "files": self.files })
        } else {
            json!({ "package": self.package, "file": self.only_file(), "build": self.build })
        };
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

mod wire {
    //! The JSON form of a verdict, as far as it is compared.

    use super::{
        Answers, Artifact, BTreeMap, Build, CheckId, Deserialize, NAME, PackageVersion, SCHEMA, Seen, Status,
        Testimony, Timestamp, Told, Trust, VerifierIdentity,
    };

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Verdict {
        schema: String,
        package: PackageVersion,
        status: Status,
        #[serde(default)]
        artifact: Option<Artifact>,
        #[serde(default)]
        artifacts: Vec<File>,
        #[serde(default)]
        build: Option<Build>,
        findings: Vec<Finding>,
        checked_at: Timestamp,
        #[serde(default)]
        removed_at: Option<Timestamp>,
        check_set: String,
        policy: String,
        trust: Trust,
        verifier: VerifierIdentity,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct File {
        name: String,
        #[serde(default)]
        artifact: Option<Artifact>,
        #[serde(default)]
        run: Option<String>,
        #[serde(default)]
        signed_at: Option<Timestamp>,
    }

    #[derive(Deserialize)]
    struct Finding {
        check: String,
        result: Told,
        #[serde(default)]
        artifacts: Vec<String>,
    }

    impl TryFrom<Verdict> for Testimony {
        type Error = String;

        fn try_from(wire: Verdict) -> Result<Self, String> {
            if wire.schema != SCHEMA {
                return Err("another schema".to_owned());
            }
            let VerifierIdentity { id, version } = &wire.verifier;
            if [id, version, &wire.check_set, &wire.policy]
                .iter()
                .any(|text| text.len() > NAME)
            {
                return Err("a name that is too long".to_owned());
            }
            let only = wire.artifact.map(|artifact| File {
                name: artifact.name.clone(),
                artifact: Some(artifact),
                run: None,
                signed_at: None,
            });
            let lists_files = !wire.artifacts.is_empty();
            let files = only.into_iter().chain(wire.artifacts).map(|file| {
                let seen = Seen {
                    sha512: file.artifact.map(|artifact| artifact.sha512),
                    run: file.run,
                    signed_at: file.signed_at,
                };
                (file.name, seen)
            });
            let mut answers: BTreeMap<CheckId, Answers> = BTreeMap::new();
            for finding in wire.findings {
                let known = CheckId::ALL.iter().find(|check| check.as_str() == finding.check);
                let Some(&check) = known else { continue };
                let of_check = answers.entry(check).or_default();
                if finding.artifacts.is_empty() {
                    of_check.others = Some(finding.result);
                } else {
                    let of = finding.artifacts.into_iter().map(|file| (file, finding.result));
                    of_check.of.extend(of);
                }
            }
            Ok(Self {
                package: wire.package,
                status: wire.status,
                build: wire.build,
                checked_at: wire.checked_at,
                removed_at: wire.removed_at,
                check_set: wire.check_set,
                policy: wire.policy,
                verifier: wire.verifier,
                trust: wire.trust,
                files: files.collect(),
                lists_files,
                answers,
            })
        }
    }
}

/// What a peer said, believed of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// What it says.
    pub testimony: Testimony,
    /// What it signed.
    pub envelope: DsseEnvelope,
    /// By what its key is told from others.
    pub key: Digest,
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
    /// None of its keys signed the answer, or the answer is to another question.
    NotAuthentic,
    /// It signs with a key of this verifier, and is no other one.
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
/// 3. the verdict is about the version that was asked about, and of no look to come.
///
/// What is kept is what was signed, under the id of that key: the `keyid` of an envelope is a hint that nobody signs.
///
/// # Errors
///
/// Why it was not heard.
pub fn hear(peer: &Peer, own: &[PublicKey], package: &PackageVersion, answer: &Observation) -> Result<Heard, Unheard> {
    // 1.
    let envelope: DsseEnvelope = serde_json::from_slice(body_of(answer)?)
        .map_err(|_source| UnheardReason::Malformed.because("the answer is no envelope of DSSE with one signature"))?;
    if envelope.payload_type != VERDICT_TYPE {
        return Err(UnheardReason::Unsupported.because(format!("what is signed is not of the type {VERDICT_TYPE}")));
    }
    // 2.
    let (message, signature) = (envelope.pae(), envelope.signature.sig.as_bytes());
    let signs = |key: &&PublicKey| key.verifies(&message, signature);
    if own.iter().any(|key| signs(&key)) {
        return Err(UnheardReason::Own.because("a key of this verifier signed the answer"));
    }
    let Some(key) = peer.keys.iter().find(signs) else {
        let detail = "none of the keys that HEKATE_PEERS names of it signed the answer";
        return Err(UnheardReason::NotAuthentic.because(detail));
    };
    // 3.
    let testimony: Testimony = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|_source| UnheardReason::Unsupported.because("the verdict is of a form that is not read here"))?;
    if testimony.package != *package {
        return Err(UnheardReason::NotAuthentic.because("the verdict is about another version"));
    }
    if testimony.checked_at.duration_since(answer.at) > CLOCK_SKEW {
        let detail = "the verdict is of a look to come: one of the two clocks is wrong";
        return Err(UnheardReason::Unsupported.because(detail));
    }
    let signature = DsseSignature::new(envelope.signature.sig, KeyId::new(key.id().to_hex()));
    Ok(Heard {
        testimony,
        envelope: DsseEnvelope::new(VERDICT_TYPE, envelope.payload, signature),
        key: key.id().clone(),
    })
}

/// The document that a peer answered with.
fn body_of(answer: &Observation) -> Result<&[u8], Unheard> {
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
    match &response.kept {
        Kept::Whole { body: Body(bytes) } if response.status == 200 => Ok(bytes),
        Kept::Whole { .. } | Kept::Excerpt { .. } | Kept::Archive { .. } | Kept::Digests { .. } | Kept::Nothing => {
            let detail = match response.status {
                404 => "answered 404: it finds no such version, or has no key to sign with".to_owned(),
                other => format!("answered {other}"),
            };
            Err(UnheardReason::NoVerdict.because(detail))
        }
    }
}
