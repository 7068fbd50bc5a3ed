//! The verification summary: what a verdict amounts to, in the words of others, to be signed.
//!
//! It is an in-toto statement of type v1 (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>) with the
//! predicate of SLSA's verification summary (<https://slsa.dev/spec/v1.2/verification_summary>), in a DSSE envelope
//! (<https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md>). It is a function of the verdict alone and says nothing
//! that the verdict does not say, so that there is nothing to keep of it but the signature.
//!
//! What other verifiers compare is the verdict itself, in an envelope of the same kind ([`Payload::verdict`]).
//!
//! It does not protect from a verifier that is wrong or taken over: it proves who has said it, and of which bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sigstore::types::{DsseEnvelope, DsseSignature, KeyId, PayloadBytes, SignatureBytes, pae};
use thiserror::Error;

use crate::check::CheckId;
use crate::package::{Digest, PackageVersion};
use crate::verdict::{Artifact, Questions, Status, Verdict};

mod key;

pub use key::{KeyError, PublicKey};

/// The payload type of an envelope with an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The payload type of an envelope with a verdict.
pub const VERDICT_TYPE: &str = "application/vnd.hekate.verdict+json";
/// The type of the statement.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/verification_summary/v1";

/// Why there is no summary of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoSummary {
    /// The verdict is `indeterminate`.
    #[error(
        "{0} is not decided, and a summary can only say that it passed or that it failed; ask again after the next look"
    )]
    Undecided(PackageVersion),
    /// The verdict is `unattested`.
    #[error("{0} has no attestation and none was expected: there is nothing that could pass or fail")]
    Unattested(PackageVersion),
    /// The bytes that it would be about were not seen.
    #[error("not every file of {0} was seen, and a summary is about bytes")]
    Unseen(PackageVersion),
}

/// What a status is in a summary: its result, and the levels that were verified, or why it is neither of two results.
///
/// - `verified` and `attested` are `PASSED`, each with a property of Hekate's own. No level of SLSA's build track is claimed, which
///   has a word of its own: which one a build service reaches is an assessment of that service, and no check makes it.
/// - `mismatch`, `suspicious` and `downgraded` are `FAILED`.
/// - `unattested` is neither: most packages are, nothing is wrong with them, and nothing was there to pass. A version that was
///   attested before and is not any more is `downgraded`, so that who kept a summary that passed gets one that does not.
/// - `indeterminate` is neither. A signature lasts, and the trouble of a registry or a network at one moment must not be kept as
///   an accusation, nor as a pass.
fn outcome(verdict: &Verdict) -> Result<(&'static str, &'static [&'static str]), NoSummary> {
    match verdict.status {
        Status::Verified => Ok(("PASSED", &["SLSA_BUILD_LEVEL_UNEVALUATED", "HEKATE_VERIFIED"])),
        Status::Attested => Ok(("PASSED", &["SLSA_BUILD_LEVEL_UNEVALUATED", "HEKATE_ATTESTED"])),
        Status::Mismatch | Status::Suspicious | Status::Downgraded => Ok(("FAILED", &["FAILED"])),
        Status::Unattested => Err(NoSummary::Unattested(verdict.package.clone())),
        Status::Indeterminate => Err(NoSummary::Undecided(verdict.package.clone())),
    }
}

/// A resource of in-toto, by what it is called and its digests.
#[derive(Serialize)]
struct Resource<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    digest: BTreeMap<&'static str, String>,
}

impl<'a> Resource<'a> {
    fn of_artifact(artifact: &'a Artifact) -> Self {
        Self {
            name: Some(&artifact.name),
            uri: None,
            digest: BTreeMap::from([("sha256", artifact.sha256.clone()), ("sha512", artifact.sha512.clone())]),
        }
    }

    fn of_digest(name: Option<&'a str>, uri: Option<String>, digest: &Digest) -> Self {
        Self {
            name,
            uri,
            digest: BTreeMap::from([(digest.algorithm().name(), digest.to_hex())]),
        }
    }
}

#[derive(Serialize)]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Resource<'a>>,
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    verifier: Verifier<'a>,
    time_verified: Timestamp,
    resource_uri: String,
    policy: Resource<'a>,
    input_attestations: [Resource<'a>; 1],
    verification_result: &'static str,
    verified_levels: &'static [&'static str],
    // A field that the predicate does not define is named by a URI, and passed over by those who do not know it.
    #[serde(rename = "urn:hekate:summary:1")]
    own: Own<'a>,
}

#[derive(Serialize)]
struct Verifier<'a> {
    id: &'a str,
    version: BTreeMap<&'static str, &'a str>,
}

/// What Hekate says besides. All of it is copied from the verdict, which `verdict` names by the digest of its JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Own<'a> {
    status: Status,
    decided_by: &'a [CheckId],
    questions: &'a Questions,
    check_set: &'a str,
    valid_until: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_at: Option<Timestamp>,
    verdict: Resource<'a>,
}

/// The statement on a verdict, as the bytes that an envelope carries.
///
/// - The subjects are the files that the verdict is about, under their names: all of them if it passes.
/// - `resourceUri` is the purl, `timeVerified` when the evidence was looked at.
/// - `inputAttestations` is to name everything that was used. That is the dossier, whose digest is made of the digests of every
///   document that was read.
/// - The digest of the verdict is that of the bytes which the API serves as the verdict.
fn statement(verdict: &Verdict) -> Result<Vec<u8>, NoSummary> {
    let (result, levels) = outcome(verdict)?;
    let statement = Statement {
        kind: STATEMENT_TYPE,
        subject: subjects(verdict).ok_or_else(|| NoSummary::Unseen(verdict.package.clone()))?,
        predicate_type: PREDICATE_TYPE,
        predicate: Predicate {
            verifier: Verifier {
                id: &verdict.verifier.id,
                version: BTreeMap::from([("hekate", verdict.verifier.version.as_str())]),
            },
            time_verified: verdict.checked_at,
            resource_uri: verdict.package.to_purl(),
            policy: Resource::of_digest(
                None,
                Some(format!("urn:hekate:policy:{}", verdict.check_set)),
                &verdict.policy,
            ),
            input_attestations: [Resource::of_digest(Some("dossier"), None, &verdict.dossier)],
            verification_result: result,
            verified_levels: levels,
            own: Own {
                status: verdict.status,
                decided_by: &verdict.decided_by,
                questions: &verdict.questions,
                check_set: &verdict.check_set,
                valid_until: verdict.valid_until,
                removed_at: verdict.removed_at,
                verdict: Resource::of_digest(Some("verdict"), None, &Digest::sha256_of(&json(verdict))),
            },
        },
    };
    Ok(json(&statement))
}

/// The files that a summary is about; `None` if none was seen, or not every one of a version that passes.
fn subjects(verdict: &Verdict) -> Option<Vec<Resource<'_>>> {
    let seen: Vec<Option<&Artifact>> = if verdict.artifacts.is_empty() {
        vec![verdict.artifact.as_ref()]
    } else {
        verdict
            .artifacts
            .iter()
            .map(|judged| judged.artifact.as_ref())
            .collect()
    };
    let passes = matches!(verdict.status, Status::Verified | Status::Attested);
    if passes && seen.iter().any(Option::is_none) {
        return None;
    }
    let subjects: Vec<Resource<'_>> = seen.into_iter().flatten().map(Resource::of_artifact).collect();
    (!subjects.is_empty()).then_some(subjects)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Serialising to memory fails only for maps with keys that are not strings, and neither a verdict nor a statement has one.
    serde_json::to_vec(value).unwrap_or_default()
}

/// What is signed: bytes of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The type, by which a signature over one kind of bytes is none over another.
    pub kind: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// The summary of a verdict.
    ///
    /// # Errors
    ///
    /// Why a verdict has none: its status is neither a pass nor a failure, or not every file was seen.
    pub fn summary(verdict: &Verdict) -> Result<Self, NoSummary> {
        Ok(Self {
            kind: PAYLOAD_TYPE,
            bytes: statement(verdict)?,
        })
    }

    /// The verdict itself, as the bytes that the API serves as the verdict. Every verdict can be signed so: nobody could take one
    /// that says it is undecided for a pass.
    pub fn verdict(verdict: &Verdict) -> Self {
        Self {
            kind: VERDICT_TYPE,
            bytes: json(verdict),
        }
    }

    /// The bytes that are signed: DSSE's pre-authentication encoding, which binds the payload to its type.
    pub fn message(&self) -> Vec<u8> {
        pae(self.kind, &self.bytes)
    }

    /// The envelope with the payload and its signature by a key.
    pub fn into_envelope(self, signature: Vec<u8>, key: &PublicKey) -> DsseEnvelope {
        let signature = DsseSignature::new(SignatureBytes::new(signature), KeyId::new(key.id().to_hex()));
        DsseEnvelope::new(self.kind, PayloadBytes::new(self.bytes), signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn verdict(status: Status) -> Verdict {
        let digest = Digest::sha256_of(b"anything");
        serde_json::from_value(json!({
            "schema": crate::verdict::SCHEMA,
            "package": "pkg:npm/%40scope/name@1.2.3",
            "status": status,
            "questions": { "registryOnly": "no", "logOnly": "no", "mismatch": "unknown" },
            "artifact": artifact("name-1.2.3.tgz", 1),
            "findings": [],
            "decidedBy": ["att.subject_digest"],
            "coverage": { "run": 13.0 / 14.0 },
            "checkedAt": "2026-11-22T10:00:00Z",
            "validUntil": "2026-11-23T10:00:00Z",
            "checkSet": "2026.11",
            "policy": Digest::sha256_of(b"policy"),
            "trust": { "trustedRoot": digest, "npmKeys": digest, "origin": "test" },
            "dossier": Digest::sha256_of(b"dossier"),
            "verifier": { "id": "https://verifier.example/", "version": "1.2.3" },
        }))
        .unwrap()
    }

    fn artifact(name: &str, number: u64) -> Value {
        let bytes = number.to_be_bytes();
        json!({
            "name": name,
            "sha512": Digest::sha512_of(&bytes).to_hex(),
            "sha256": Digest::sha256_of(&bytes).to_hex(),
            "size": 8,
        })
    }

    fn read(verdict: &Verdict) -> Value {
        serde_json::from_slice(&statement(verdict).unwrap()).unwrap()
    }

    /// A verdict on files of these names, each seen or not.
    fn of_files(status: Status, files: &[(String, bool)]) -> Verdict {
        let judged: Vec<Value> = files
            .iter()
            .zip(0..)
            .map(|((name, seen), number)| {
                let mut judged = json!({ "name": name, "status": status, "decidedBy": [] });
                if *seen {
                    judged["artifact"] = artifact(name, number);
                }
                judged
            })
            .collect();
        Verdict {
            artifact: None,
            artifacts: serde_json::from_value(Value::from(judged)).unwrap(),
            ..verdict(status)
        }
    }

    #[test]
    fn a_summary_says_what_the_verdict_says_in_the_words_of_slsa() {
        let verdict = verdict(Status::Verified);
        let hex = |bytes: &[u8]| Digest::sha256_of(bytes).to_hex();
        let number = 1_u64.to_be_bytes();
        assert_eq!(
            read(&verdict),
            json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{
                    "name": "name-1.2.3.tgz",
                    "digest": { "sha256": hex(&number), "sha512": Digest::sha512_of(&number).to_hex() },
                }],
                "predicateType": "https://slsa.dev/verification_summary/v1",
                "predicate": {
                    "verifier": { "id": "https://verifier.example/", "version": { "hekate": "1.2.3" } },
                    "timeVerified": "2026-11-22T10:00:00Z",
                    "resourceUri": "pkg:npm/%40scope/name@1.2.3",
                    "policy": { "uri": "urn:hekate:policy:2026.11", "digest": { "sha256": hex(b"policy") } },
                    "inputAttestations": [{ "name": "dossier", "digest": { "sha256": hex(b"dossier") } }],
                    "verificationResult": "PASSED",
                    "verifiedLevels": ["SLSA_BUILD_LEVEL_UNEVALUATED", "HEKATE_VERIFIED"],
                    "urn:hekate:summary:1": {
                        "status": "verified",
                        "decidedBy": ["att.subject_digest"],
                        "questions": { "registryOnly": "no", "logOnly": "no", "mismatch": "unknown" },
                        "checkSet": "2026.11",
                        "validUntil": "2026-11-23T10:00:00Z",
                        "verdict": {
                            "name": "verdict",
                            "digest": { "sha256": hex(&serde_json::to_vec(&verdict).unwrap()) },
                        },
                    },
                },
            })
        );
    }

    #[test]
    fn each_status_has_its_result() {
        for &status in Status::ALL {
            let found = statement(&verdict(status)).map(|bytes| {
                let statement: Value = serde_json::from_slice(&bytes).unwrap();
                let predicate = &statement["predicate"];
                (
                    predicate["verificationResult"].clone(),
                    predicate["verifiedLevels"].clone(),
                )
            });
            let passed = |property| Ok((json!("PASSED"), json!(["SLSA_BUILD_LEVEL_UNEVALUATED", property])));
            let expected = match status {
                Status::Verified => passed("HEKATE_VERIFIED"),
                Status::Attested => passed("HEKATE_ATTESTED"),
                Status::Mismatch | Status::Suspicious | Status::Downgraded => Ok((json!("FAILED"), json!(["FAILED"]))),
                Status::Unattested => Err(NoSummary::Unattested(verdict(status).package)),
                Status::Indeterminate => Err(NoSummary::Undecided(verdict(status).package)),
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_verified_and_attested_passes_and_a_pass_covers_every_file(
            status in proptest::sample::select(Status::ALL),
            seen in proptest::collection::vec(any::<bool>(), 0..6),
            is_removed in any::<bool>(),
        ) {
            let files: Vec<_> = seen.iter().zip(0..).map(|(seen, number)| (format!("file-{number}"), *seen)).collect();
            let verdict = Verdict {
                removed_at: is_removed.then(|| verdict(status).valid_until),
                ..of_files(status, &files)
            };
            if let Ok(bytes) = statement(&verdict) {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let statement: Value = serde_json::from_slice(&bytes).unwrap();
                let subjects = statement["subject"].as_array().unwrap();
                let passed = statement["predicate"]["verificationResult"] == "PASSED";
                prop_assert_eq!(passed, matches!(status, Status::Verified | Status::Attested));
                prop_assert_eq!(passed, text.contains("PASSED"));
                prop_assert_eq!(passed, !text.contains("FAILED"));
                prop_assert_eq!(subjects.len(), seen.iter().filter(|seen| **seen).count());
                prop_assert!(!subjects.is_empty());
                prop_assert!(!passed || seen.iter().all(|seen| *seen));
            } else {
                let passes = matches!(status, Status::Verified | Status::Attested);
                let some = seen.contains(&true);
                let is_neither = matches!(status, Status::Indeterminate | Status::Unattested);
                prop_assert!(is_neither || !some || passes && seen.contains(&false));
            }
        }
    }

    #[test]
    fn a_version_whose_bytes_were_not_seen_has_no_summary() {
        for status in [Status::Verified, Status::Downgraded] {
            let unseen = Verdict {
                artifact: None,
                ..verdict(status)
            };
            assert_eq!(statement(&unseen), Err(NoSummary::Unseen(unseen.package.clone())));
        }
    }

    #[test]
    fn a_verdict_that_is_marked_as_removed_has_another_summary() {
        let verdict = verdict(Status::Attested);
        let removed = Verdict {
            removed_at: Some(verdict.valid_until),
            ..verdict.clone()
        };
        assert_eq!(
            read(&removed)["predicate"]["urn:hekate:summary:1"]["removedAt"],
            "2026-11-23T10:00:00Z"
        );
        assert_ne!(statement(&removed), statement(&verdict));
    }
}
