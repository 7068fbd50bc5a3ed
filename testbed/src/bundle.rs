//! Sigstore bundles, from v0.1 to v0.3, with entries of both generations of the log.

use crate::{
    World,
    encoding::{base64, insert, pem, sha256},
    keys::P256Key,
    timestamp::TimestampAuthority,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The payload type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// How a bundle carries its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// `x509CertificateChain` with leaf, intermediate and root.
    FullChain,
    /// `x509CertificateChain` with the leaf only.
    LeafInChain,
    /// `certificate`.
    Certificate,
}

/// The kind of a log entry, and with it the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEntryKind {
    /// Rekor v1, `intoto` 0.0.2.
    Intoto,
    /// Rekor v1, `dsse` 0.0.1.
    Dsse,
    /// Rekor v2, `hashedrekord` 0.0.2 over the pre-authentication encoding.
    RekorV2,
    /// None: nothing was logged.
    Unlogged,
}

/// What a Rekor v1 entry carries as evidence. Rekor v2 knows proofs only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The signed entry timestamp.
    Promise,
    /// The inclusion proof with a checkpoint.
    Proof,
    /// The promise and the proof.
    Both,
}

/// The encoding of an ECDSA signature in an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// ASN.1 DER.
    Der,
    /// IEEE P1363: r and s, 32 bytes each.
    P1363,
}

/// The shape of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The media type, which says the version.
    pub media_type: String,
    /// How the certificate is carried; bundles of a managed key have none.
    pub material: Material,
    /// What was logged.
    pub entry: LogEntryKind,
    /// What the log gave for it.
    pub evidence: Evidence,
    /// Whether the signature carries an RFC 3161 timestamp.
    pub timestamped: bool,
}

impl Format {
    /// v0.1 of early 2023: a whole chain, `intoto` 0.0.2, and only the promise.
    pub fn v01() -> Self {
        Self {
            media_type: "application/vnd.dev.sigstore.bundle+json;version=0.1".to_owned(),
            material: Material::FullChain,
            entry: LogEntryKind::Intoto,
            evidence: Evidence::Promise,
            timestamped: false,
        }
    }

    /// v0.2 of 2024: a chain of one, `intoto` 0.0.2, promise and proof.
    pub fn v02_intoto() -> Self {
        Self {
            media_type: "application/vnd.dev.sigstore.bundle+json;version=0.2".to_owned(),
            material: Material::LeafInChain,
            entry: LogEntryKind::Intoto,
            evidence: Evidence::Both,
            timestamped: false,
        }
    }

    /// v0.2 with `dsse` 0.0.1, as publish attestations are since 2025.
    pub fn v02() -> Self {
        Self {
            entry: LogEntryKind::Dsse,
            ..Self::v02_intoto()
        }
    }

    /// v0.3 of 2026: a single certificate, `dsse` 0.0.1, promise and proof.
    pub fn v03() -> Self {
        Self {
            media_type: "application/vnd.dev.sigstore.bundle.v0.3+json".to_owned(),
            material: Material::Certificate,
            entry: LogEntryKind::Dsse,
            evidence: Evidence::Both,
            timestamped: false,
        }
    }

    /// v0.3 with an entry of Rekor v2, and a timestamp in place of the integrated time.
    pub fn rekor_v2() -> Self {
        Self {
            entry: LogEntryKind::RekorV2,
            evidence: Evidence::Proof,
            timestamped: true,
            ..Self::v03()
        }
    }

    /// v0.3 of GitHub's own instance: a timestamp, and no entry of any log.
    pub fn github() -> Self {
        Self {
            entry: LogEntryKind::Unlogged,
            timestamped: true,
            ..Self::v03()
        }
    }
}

/// Who signs an envelope.
pub(crate) enum Signer<'a> {
    /// The holder of a short-lived certificate.
    Certificate {
        key: &'a P256Key,
        certificate: &'a [u8],
        authorities: [&'a [u8]; 2],
    },
    /// The holder of a long-lived key, which the bundle names by a hint.
    ManagedKey { key: &'a P256Key, hint: &'a str },
}

impl Signer<'_> {
    fn key(&self) -> &P256Key {
        match self {
            Self::Certificate { key, .. } | Self::ManagedKey { key, .. } => key,
        }
    }

    /// The public half as Rekor v1 records it: base64 over PEM.
    fn verifier(&self) -> String {
        base64(match self {
            Self::Certificate { certificate, .. } => pem("CERTIFICATE", certificate),
            Self::ManagedKey { key, .. } => pem("PUBLIC KEY", key.spki()),
        })
    }
}

/// How a statement is sealed into a bundle.
pub(crate) struct Seal<'a> {
    pub(crate) signer: Signer<'a>,
    /// The signature's `keyid`; without one, there is no such member.
    pub(crate) keyid: Option<&'a str>,
    pub(crate) encoding: SignatureEncoding,
    pub(crate) format: &'a Format,
    pub(crate) log: &'a World,
    pub(crate) timestamp_authority: &'a TimestampAuthority,
    pub(crate) at: Timestamp,
}

impl Seal<'_> {
    /// Signs `payload`, logs the signature, and puts everything into a bundle.
    pub(crate) fn bundle(&self, payload: &[u8]) -> Value {
        let encoded = pre_authentication_encoding(payload);
        let signature = match self.encoding {
            SignatureEncoding::Der => self.signer.key().sign(&encoded),
            SignatureEncoding::P1363 => self.signer.key().sign_p1363(&encoded),
        };
        let mut signed = json!({"sig": base64(&signature)});
        if let Some(keyid) = self.keyid {
            insert(&mut signed, "keyid", json!(keyid));
        }
        let envelope = json!({"payload": base64(payload), "payloadType": IN_TOTO, "signatures": [signed]});
        let stamp = || self.timestamp_authority.stamp(&signature, self.at);
        let stamps: Vec<_> = self
            .format
            .timestamped
            .then(stamp)
            .into_iter()
            .map(|stamp| json!({"signedTimestamp": base64(stamp)}))
            .collect();
        let mut material = json!({"timestampVerificationData": {"rfc3161Timestamps": stamps}});
        if let Some(entry) = self.log_entry(payload, &encoded, &signature, &envelope) {
            insert(&mut material, "tlogEntries", json!([entry]));
        }
        let (name, value) = self.verification_material();
        insert(&mut material, name, value);
        json!({
            "mediaType": self.format.media_type,
            "verificationMaterial": material,
            "dsseEnvelope": envelope,
        })
    }

    fn verification_material(&self) -> (&'static str, Value) {
        let raw = |der: &[u8]| json!({"rawBytes": base64(der)});
        match &self.signer {
            Signer::ManagedKey { hint, .. } => ("publicKey", json!({"hint": hint})),
            Signer::Certificate {
                certificate,
                authorities: [intermediate, root],
                ..
            } => match self.format.material {
                Material::Certificate => ("certificate", raw(certificate)),
                Material::LeafInChain => ("x509CertificateChain", json!({"certificates": [raw(certificate)]})),
                Material::FullChain => (
                    "x509CertificateChain",
                    json!({"certificates": [raw(certificate), raw(intermediate), raw(root)]}),
                ),
            },
        }
    }

    fn log_entry(&self, payload: &[u8], encoded: &[u8], signature: &[u8], envelope: &Value) -> Option<Value> {
        let digest = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex::encode(sha256(bytes))});
        let envelope = envelope.to_string();
        let entry = match self.format.entry {
            LogEntryKind::Unlogged => return None,
            LogEntryKind::Intoto => {
                // The signature is base64 twice over: of the field of the envelope, which is base64 already.
                let mut recorded = json!({"publicKey": self.signer.verifier(), "sig": base64(base64(signature))});
                if let Some(keyid) = self.keyid.filter(|keyid| !keyid.is_empty()) {
                    insert(&mut recorded, "keyid", json!(keyid));
                }
                let body = json!({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": {
                    "envelope": {"payloadType": IN_TOTO, "signatures": [recorded]},
                    "hash": digest(envelope.as_bytes()),
                    "payloadHash": digest(payload),
                }}});
                self.log.rekor_v1.append(
                    "intoto",
                    "0.0.2",
                    &body,
                    self.at,
                    self.format.evidence,
                    &index_keys(payload),
                )
            }
            LogEntryKind::Dsse => {
                let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
                    "envelopeHash": digest(envelope.as_bytes()),
                    "payloadHash": digest(payload),
                    "signatures": [{"signature": base64(signature), "verifier": self.signer.verifier()}],
                }});
                self.log.rekor_v1.append(
                    "dsse",
                    "0.0.1",
                    &body,
                    self.at,
                    self.format.evidence,
                    &index_keys(payload),
                )
            }
            LogEntryKind::RekorV2 => {
                let (name, der) = match &self.signer {
                    Signer::Certificate { certificate, .. } => ("x509Certificate", *certificate),
                    Signer::ManagedKey { key, .. } => ("publicKey", key.spki()),
                };
                let verifier = json!({"keyDetails": "PKIX_ECDSA_P256_SHA_256", name: {"rawBytes": base64(der)}});
                let body = json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": base64(sha256(encoded))},
                    "signature": {"content": base64(signature), "verifier": verifier},
                }}});
                self.log.rekor_v2.append(&body)
            }
        };
        Some(entry)
    }
}

/// What the log's search index finds an in-toto statement by: its own digest and those of its subjects.
fn index_keys(payload: &[u8]) -> Vec<String> {
    let statement: Value = serde_json::from_slice(payload).unwrap_or_default();
    let subjects = statement.get("subject").and_then(Value::as_array).into_iter().flatten();
    let digests = subjects
        .filter_map(|subject| subject.get("digest")?.as_object())
        .flatten();
    let digests = digests.filter_map(|(algorithm, value)| Some(format!("{algorithm}:{}", value.as_str()?)));
    std::iter::once(format!("sha256:{}", hex::encode(sha256(payload))))
        .chain(digests)
        .collect()
}

/// What a DSSE signature is made over: `DSSEv1`, then the length and text of the type and of the payload.
pub(crate) fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}
