//! The one way from an attestation as served to an attestation that is authentic.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sigstore::bundle::Error as BundleError;
use sigstore::crypto::Error as CryptoError;
use sigstore::types::bundle::{KindVersion, TransparencyLogEntry, VerificationMaterialContent};
use sigstore::types::{
    ArtifactDigest, Bundle, DerPublicKey, DsseEnvelope, HashAlgorithm, Sha256Hash, SignatureContent, pae,
};
use sigstore::{
    CertificateError, Error as SigstoreError, PublicKeyVerificationPolicy, TimestampError, TransparencyLogError,
    VerificationPolicy, VerificationResult,
};
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;

use super::certificate::CertificateIdentity;
use super::publisher::DeclaredPublisher;
use super::statement::{PredicateType, Statement, Subjects};
use super::trust::{NpmKey, NpmKeyUsage, TrustMaterial};
use crate::package::{Digest, DigestAlgorithm};

/// The payload type of in-toto statements in DSSE envelopes.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The bundle formats that are understood.
const MEDIA_TYPES: &[&str] = &[
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
];

/// The attribute of a distinguished name that names an organisation (RFC 5280, appendix A.1).
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// The organisation of GitHub's own certificate authority.
const GITHUB: &[u8] = b"GitHub, Inc.";

/// How far a log's clock may be ahead of this one's: a look begins before the answers come, and clocks differ.
const TOLERATED_SKEW: SignedDuration = SignedDuration::from_mins(10);

/// The kinds of log entries that are understood.
const ENTRY_KINDS: &[(&str, &str)] = &[
    ("hashedrekord", "0.0.1"),
    ("hashedrekord", "0.0.2"),
    ("dsse", "0.0.1"),
    ("intoto", "0.0.2"),
];

/// Which evidence a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedPart {
    /// Signature, certificate, key or signed time.
    Signature,
    /// The transparency log entry.
    Log,
}

/// Why an attestation is not authentic, or why that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It uses a format, an entry kind or an algorithm that this version does not know. Never taken for tampering.
    #[error("{0}")]
    Unsupported(String),
    /// It is signed by a key, an authority or a log that the trust material does not have, and the material cannot tell a
    /// foreign one from a new one.
    #[error("{0}")]
    UnknownSigner(String),
    /// No trusted party says when it was signed.
    #[error("{0}")]
    NoTrustedTime(String),
    /// It is not what it must be.
    #[error("{detail}")]
    Forged {
        /// Which evidence is refused.
        part: RefusedPart,
        /// One sentence for people.
        detail: String,
    },
}

fn forged(part: RefusedPart, detail: impl Into<String>) -> Refusal {
    Refusal::Forged {
        part,
        detail: detail.into(),
    }
}

/// Whose Sigstore instance may have signed. Where it is not the public-good one alone, the certificate's issuer tells which
/// rules hold; a bundle that fails under one is never tried under the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// The public-good instance.
    PublicGood,
    /// That, or GitHub's own, whose certificates are in no public log: a timestamp authority of its own says when it signed.
    GitHubToo,
}

/// An attestation as it was served. Nothing in it is to be believed.
#[derive(Clone, Debug)]
pub struct UnverifiedAttestation {
    /// The predicate type by which the server labels it, which no signature covers; `None` where the server gives no label.
    pub declared_predicate_type: Option<String>,
    /// The publisher that the server names beside it, which no signature covers.
    pub declared_publisher: Option<DeclaredPublisher>,
    /// How many subjects its statement may have.
    subjects: Subjects,
    /// Who may have issued its certificate.
    instances: Instances,
    /// Until when its signer's word counted, if it does no more.
    until: Option<Timestamp>,
    /// The Sigstore bundle, as JSON text.
    bundle: Box<RawValue>,
    /// SHA-256 of that text.
    digest: Digest,
}

#[derive(Deserialize)]
struct PayloadHead {
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

impl UnverifiedAttestation {
    /// An attestation of one subject, with its label, signed in the public-good instance.
    pub fn new(declared_predicate_type: String, bundle: Box<RawValue>) -> Self {
        Self {
            declared_predicate_type: Some(declared_predicate_type),
            ..Self::unlabelled(bundle)
        }
    }

    /// The same where the server gives no label.
    pub fn unlabelled(bundle: Box<RawValue>) -> Self {
        let digest = Digest::sha256_of(bundle.get().as_bytes());
        Self {
            declared_predicate_type: None,
            declared_publisher: None,
            subjects: Subjects::One,
            instances: Instances::PublicGood,
            until: None,
            bundle,
            digest,
        }
    }

    /// The same with the publisher that the server names.
    #[must_use]
    pub fn published_by(self, publisher: DeclaredPublisher) -> Self {
        Self {
            declared_publisher: Some(publisher),
            ..self
        }
    }

    /// The same as an attestation of any number of subjects, one of them with this digest.
    #[must_use]
    pub fn about_one_of_many(self, digest: Digest) -> Self {
        Self {
            subjects: Subjects::Among(digest),
            ..self
        }
    }

    /// The same, of which GitHub's own instance may have issued the certificate.
    #[must_use]
    pub fn of_github_too(self) -> Self {
        Self {
            instances: Instances::GitHubToo,
            ..self
        }
    }

    /// The same, by a signer whose word counted until a time, and counts for nothing that was signed later.
    #[must_use]
    pub fn signed_until(self, until: Timestamp) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// SHA-256 of the bundle's JSON text, by which findings cite it.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// A bundle that parses, still unverified.
#[derive(Debug)]
struct ParsedBundle {
    bundle: Bundle,
    envelope: DsseEnvelope,
}

impl ParsedBundle {
    /// Whether the certificate says that GitHub's own authority issued it. Whether that is so, the chain tells.
    fn is_of_github(&self) -> bool {
        self.bundle
            .signing_certificate()
            .and_then(|certificate| Certificate::from_der(certificate.as_bytes()).ok())
            .is_some_and(|certificate| {
                let names = certificate.tbs_certificate.issuer.0;
                names
                    .iter()
                    .flat_map(|names| names.0.iter())
                    .any(|name| name.oid == ORGANISATION && name.value.value() == GITHUB)
            })
    }

    /// The hint at the key that signed, where no certificate did.
    fn key_hint(&self) -> Option<&str> {
        if let VerificationMaterialContent::PublicKey(identifier) = &self.bundle.verification_material.content {
            Some(&identifier.hint)
        } else {
            None
        }
    }
}

/// What the transparency log says about an attestation. Nothing of one of GitHub's own instance, which has no public log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEvidence {
    /// The index that the log gave; for Rekor v1 counted over all shards, and covered by the promise alone.
    pub index: String,
    /// Kind and version of the entry.
    pub kind: String,
    /// Whether an inclusion proof with a signed checkpoint was verified.
    pub proof: bool,
    /// Whether an inclusion promise (signed entry timestamp) was verified.
    pub promise: bool,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Whoever the certificate authority vouches for.
    Certificate(Box<CertificateIdentity>),
    /// npm's registry, with this key.
    RegistryKey {
        /// Id of the key.
        key_id: String,
    },
}

/// An attestation whose signature, signer, log entry and time are authentic. Whether its content fits the package is for
/// the checks to find.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifiedAttestation {
    /// What it says.
    pub statement: Statement,
    /// Who signed it.
    pub signer: Signer,
    /// What the log says about it; `None` of one of GitHub's own instance, which has no public log.
    pub log: Option<LogEvidence>,
    /// The earliest time at which a trusted party saw the signature.
    pub signed_at: Timestamp,
    /// SHA-256 of the bundle's JSON text.
    pub bundle: Digest,
    /// The publisher that the server names beside it.
    pub declared_publisher: Option<DeclaredPublisher>,
}

impl TrustMaterial {
    /// Whether an attestation is of a kind that is evaluated: by its label, or by what it says of itself. Looking at both
    /// keeps a server from hiding an attestation behind a label.
    pub fn recognises(attestation: &UnverifiedAttestation) -> PredicateType {
        let label = attestation.declared_predicate_type.as_deref().unwrap_or_default();
        let declared = PredicateType::from_uri(label);
        if !matches!(declared, PredicateType::Unrecognised(_)) {
            return declared;
        }
        parse(attestation)
            .ok()
            .and_then(|parsed| serde_json::from_slice::<PayloadHead>(parsed.envelope.payload.as_bytes()).ok())
            .map_or(declared, |head| PredicateType::from_uri(&head.predicate_type))
    }

    /// Verifies signature, signer, log entry and signed time of an attestation.
    ///
    /// What the Sigstore verifier leaves to its caller is done here: choosing npm's key by id and judging its window by the
    /// log's time, `keyid` against `hint`, the label against the signed predicate type, at least one log entry, and IEEE
    /// P1363 signatures. `now` decides whether the material is current, and a log time more than ten minutes
    /// after it is none to rely on; the Sigstore verifier reads the system's clock for the same rule, without a margin.
    pub fn verify(&self, attestation: &UnverifiedAttestation, now: Timestamp) -> Result<VerifiedAttestation, Refusal> {
        let parsed = parse(attestation)?;
        let entries = &parsed.bundle.verification_material.tlog_entries;
        let of_github = entries.is_empty() && attestation.instances == Instances::GitHubToo && parsed.is_of_github();
        if entries.is_empty() && !of_github {
            return Err(forged(RefusedPart::Log, "the bundle has no transparency log entry"));
        }
        // The Sigstore verifier passes over an entry without evidence that travels with one that has it.
        if entries
            .iter()
            .any(|entry| entry.inclusion_proof.is_none() && entry.inclusion_promise.is_none())
        {
            return Err(forged(
                RefusedPart::Log,
                "a log entry has neither an inclusion proof nor a promise",
            ));
        }
        if parsed.envelope.payload_type != IN_TOTO {
            let detail = format!("the payload type {:?} is not known", parsed.envelope.payload_type);
            return Err(self.refuse_content(&parsed, detail));
        }
        let statement = Statement::from_json(parsed.envelope.payload.as_bytes(), &attestation.subjects);
        let (signer, signed_at) = match parsed.key_hint() {
            Some(hint) => (
                Signer::RegistryKey {
                    key_id: hint.to_owned(),
                },
                self.verify_with_npm_key(&parsed, hint, now)?,
            ),
            None => self.verify_with_certificate(&parsed, of_github, now)?,
        };
        let statement = statement.map_err(|source| forged(RefusedPart::Signature, source.to_string()))?;
        // Either the log's clock is wrong or this one is, and nobody here can tell which.
        if signed_at.duration_since(now) > TOLERATED_SKEW {
            return Err(Refusal::NoTrustedTime(format!(
                "it was logged at {signed_at}, and by this machine's clock it is {now}"
            )));
        }
        if let Some(until) = attestation.until.filter(|until| signed_at > *until) {
            let detail = format!("its signer's word counts until {until}, and it was signed at {signed_at}");
            return Err(forged(RefusedPart::Signature, detail));
        }
        let label = attestation.declared_predicate_type.as_deref();
        if let Some(label) = label.filter(|label| statement.predicate_type != PredicateType::from_uri(label)) {
            return Err(forged(
                RefusedPart::Signature,
                format!("it is served as {label:?}, but the signed statement is of another predicate type"),
            ));
        }
        let log = entries.first().map(|entry| LogEvidence {
            index: proved_index(entry),
            kind: format!("{} {}", entry.kind_version.kind(), entry.kind_version.version()),
            proof: entry.inclusion_proof.is_some(),
            promise: entry.inclusion_promise.is_some(),
        });
        Ok(VerifiedAttestation {
            statement,
            signer,
            log,
            signed_at,
            bundle: attestation.digest().clone(),
            declared_publisher: attestation.declared_publisher.clone(),
        })
    }

    fn verify_with_certificate(
        &self,
        parsed: &ParsedBundle,
        of_github: bool,
        now: Timestamp,
    ) -> Result<(Signer, Timestamp), Refusal> {
        // A key id on an envelope that a certificate signs names a key that had no part in it.
        if !parsed.envelope.signature.keyid.as_str().is_empty() {
            return Err(forged(
                RefusedPart::Signature,
                format!(
                    "the envelope names the key {:?}, but a certificate signed it",
                    parsed.envelope.signature.keyid.as_str()
                ),
            ));
        }
        // The identity is not fixed here: which repository and workflow may sign is for the checks to judge.
        let policy = VerificationPolicy::any_identity();
        // GitHub's own certificates are in no public log, and neither is what they sign: its timestamp authority alone says
        // when. Both are left out under GitHub's own root only.
        let (verifier, policy, is_current) = if of_github {
            let verifier = &self.github.verifier;
            (verifier, policy.skip_tlog_unsafe().skip_sct(), self.is_github_current())
        } else {
            (&self.verifier, policy, self.is_current(now))
        };
        let result = verifier
            .verify(self.own_subject(parsed)?, &parsed.bundle, &policy)
            .map_err(|error| self.classify(&error, parsed, is_current, now))?;
        if !(result.certificate_verified() && (of_github || result.sct_verified() && result.tlog_verified())) {
            return Err(forged(RefusedPart::Signature, "the verifier left a part unverified"));
        }
        let certificate = result
            .certificate()
            .map(CertificateIdentity::from_verified)
            .ok_or_else(|| forged(RefusedPart::Signature, "the bundle has no certificate"))?;
        Ok((Signer::Certificate(Box::new(certificate)), earliest_time(&result)?))
    }

    fn verify_with_npm_key(&self, parsed: &ParsedBundle, hint: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
        // 1. Hint and key id are not authenticated, so they must at least agree on which key it is.
        let key_id = parsed.envelope.signature.keyid.as_str();
        if key_id != hint {
            return Err(forged(
                RefusedPart::Signature,
                format!("the envelope names the key {key_id:?} and the bundle the key {hint:?}"),
            ));
        }
        let keys: Vec<&NpmKey> = self.npm_keys(hint, NpmKeyUsage::Attestations).collect();
        let Some(key) = keys.first() else {
            return Err(Refusal::UnknownSigner(format!(
                "npm's keys, as far as they are known here, have no {hint:?}"
            )));
        };
        // 2. Signature and log entry.
        let signed_at = self.verify_with_key(parsed, key, now)?;
        // 3. The key's window, at the time that the log vouches for rather than today's.
        if keys.iter().any(|key| key.is_valid_at(signed_at)) {
            Ok(signed_at)
        } else {
            Err(forged(
                RefusedPart::Signature,
                format!("the key {hint:?} was not valid at {signed_at}, when the log saw the signature"),
            ))
        }
    }

    fn verify_with_key(&self, parsed: &ParsedBundle, key: &NpmKey, now: Timestamp) -> Result<Timestamp, Refusal> {
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.spki.clone()));
        match self.verifier.verify(self.own_subject(parsed)?, &parsed.bundle, &policy) {
            Ok(result) if result.tlog_verified() => earliest_time(&result),
            Ok(_) => Err(forged(RefusedPart::Log, "the verifier left the log entry unverified")),
            // The verifier takes DER signatures only. It has verified the log's evidence by the time it looks at the
            // signature, and what it would have done after that is done here.
            Err(SigstoreError::SignatureInvalid(detail)) => {
                let message = pae(&parsed.envelope.payload_type, parsed.envelope.payload.as_bytes());
                let signature = parsed.envelope.signature.sig.as_bytes();
                if !key.verifies_p1363(&message, signature) {
                    return Err(forged(RefusedPart::Signature, detail));
                }
                let entries = &parsed.bundle.verification_material.tlog_entries;
                if !entries
                    .iter()
                    .all(|entry| entry_is_of_envelope(entry, &parsed.envelope))
                {
                    return Err(forged(RefusedPart::Log, "the log entry is of another envelope"));
                }
                entries
                    .iter()
                    .filter(|entry| entry.inclusion_promise.is_some())
                    .filter_map(|entry| entry.integrated_time)
                    .min()
                    .ok_or_else(no_trusted_time)
            }
            Err(error) => Err(self.classify(&error, parsed, self.is_current(now), now)),
        }
    }

    /// The digest of the statement's own subject, to satisfy the verifier's binding to an artifact. Whether that subject is
    /// the package is judged by the checks, on all digests at once, so that a wrong artifact is told from a wrong signature.
    fn own_subject(&self, parsed: &ParsedBundle) -> Result<ArtifactDigest, Refusal> {
        #[derive(Deserialize)]
        struct Head {
            subject: Vec<Subject>,
        }
        #[derive(Deserialize)]
        struct Subject {
            digest: BTreeMap<String, String>,
        }
        let malformed = |detail: &str| forged(RefusedPart::Signature, format!("the payload is no statement: {detail}"));
        let head: Head = serde_json::from_slice(parsed.envelope.payload.as_bytes())
            .map_err(|source| malformed(&source.to_string()))?;
        if head.subject.is_empty() {
            return Err(malformed("it has no subject"));
        }
        for (name, algorithm, kind) in [
            ("sha512", HashAlgorithm::Sha2512, DigestAlgorithm::Sha512),
            ("sha256", HashAlgorithm::Sha2256, DigestAlgorithm::Sha256),
        ] {
            let Some(digits) = head.subject.iter().find_map(|subject| subject.digest.get(name)) else {
                continue;
            };
            let digest = Digest::from_hex(kind, digits).map_err(|source| malformed(&source.to_string()))?;
            return ArtifactDigest::new(algorithm, digest.as_bytes().to_vec())
                .map_err(|source| malformed(&source.to_string()));
        }
        Err(self.refuse_content(parsed, "the statement's subject has no SHA-512 or SHA-256".to_owned()))
    }

    /// Refuses an envelope whose content is not understood. Whether it is forged is judged all the same: a forger must not
    /// be able to choose `unsupported` by what he writes into it.
    fn refuse_content(&self, parsed: &ParsedBundle, detail: String) -> Refusal {
        let message = pae(&parsed.envelope.payload_type, parsed.envelope.payload.as_bytes());
        let signature = parsed.envelope.signature.sig.as_bytes();
        let authentic = match parsed.key_hint() {
            Some(hint) => self
                .npm_keys(hint, NpmKeyUsage::Attestations)
                .any(|key| key.verifies(&message, signature)),
            None => parsed.bundle.signing_certificate().is_some_and(|certificate| {
                sigstore::crypto::parse_certificate_info(certificate).is_ok_and(|info| {
                    sigstore::crypto::verify_signature(
                        &info.public_key,
                        &message,
                        &parsed.envelope.signature.sig,
                        info.key_algorithm.default_signing_scheme(),
                    )
                    .is_ok()
                })
            }),
        };
        if authentic {
            Refusal::Unsupported(detail)
        } else {
            forged(
                RefusedPart::Signature,
                format!("{detail}, and the signature is not its signer's"),
            )
        }
    }

    /// What a refusal of the Sigstore verifier means, by its type; its texts are for people.
    ///
    /// `is_current` is whether the material that refused knows every authority there is.
    fn classify(&self, error: &SigstoreError, parsed: &ParsedBundle, is_current: bool, now: Timestamp) -> Refusal {
        let detail = error.to_string();
        // The verifier refuses an unknown log under whichever step first misses its key, so that is looked up here.
        let entries = &parsed.bundle.verification_material.tlog_entries;
        let of_unknown_log = entries
            .iter()
            .any(|entry| !self.has_log(entry.log_id.key_id.as_bytes()));
        if !is_current && (of_unknown_log || names_an_unknown_party(error)) {
            return Refusal::UnknownSigner(format!("{detail}; the trust material may be out of date"));
        }
        let ahead_of_us = entries
            .iter()
            .any(|entry| entry.integrated_time.is_some_and(|time| time > now));
        if ahead_of_us
            && matches!(
                error,
                SigstoreError::TransparencyLog(TransparencyLogError::IntegratedTime(_))
            )
        {
            return Refusal::NoTrustedTime(detail);
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the enum is open; what a later version adds is refused, never passed"
        )]
        match error {
            SigstoreError::Timestamp(TimestampError::NoVerifiedTimestamp(_)) => Refusal::NoTrustedTime(detail),
            SigstoreError::Bundle(
                BundleError::UnsupportedMediaType(_) | BundleError::UnsupportedVerificationMaterial,
            )
            | SigstoreError::Crypto(CryptoError::UnsupportedAlgorithm(_))
            | SigstoreError::UnsupportedBundle(_)
            | SigstoreError::InvalidTrustRoot(_)
            | SigstoreError::TrustRoot(_)
            | SigstoreError::TrustedCertificate(_) => Refusal::Unsupported(detail),
            SigstoreError::TransparencyLog(_) | SigstoreError::Bundle(_) => forged(RefusedPart::Log, detail),
            // Everything else is about the signature, the certificate, the signed time or the bundle's own consistency.
            _ => forged(RefusedPart::Signature, detail),
        }
    }
}

/// Whether the refusal may be of an authority or a certificate log that the trust material does not have. The verifier
/// does not tell a certificate timestamp of an unknown log from an invalid one.
fn names_an_unknown_party(error: &SigstoreError) -> bool {
    matches!(
        error,
        SigstoreError::Certificate(
            CertificateError::ChainInvalid(_) | CertificateError::NoValidAuthority { .. } | CertificateError::Sct(_)
        ) | SigstoreError::Timestamp(TimestampError::Invalid(_))
    )
}

fn no_trusted_time() -> Refusal {
    Refusal::NoTrustedTime(
        "no inclusion promise and no timestamp authority says when it was signed; a log's own time without its promise \
         is not signed"
            .to_owned(),
    )
}

fn earliest_time(result: &VerificationResult) -> Result<Timestamp, Refusal> {
    result
        .verified_timestamps()
        .iter()
        .min()
        .copied()
        .ok_or_else(no_trusted_time)
}

/// The index that the log's evidence covers: the promise covers the entry's, a proof only its own.
fn proved_index(entry: &TransparencyLogEntry) -> String {
    let proved = match (&entry.inclusion_promise, &entry.inclusion_proof) {
        (None, Some(proof)) => proof.log_index,
        (Some(_), _) | (None, None) => entry.log_index,
    };
    u64::from(proved).to_string()
}

/// Whether a Rekor v1 entry was made for this envelope: its payload hash, and its signature.
///
/// `dsse` 0.0.1 carries the signature in base64, `intoto` 0.0.2 the base64 text in base64 again.
fn entry_is_of_envelope(entry: &TransparencyLogEntry, envelope: &DsseEnvelope) -> bool {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let Ok(body) = serde_json::from_slice::<Value>(entry.canonicalized_body.as_bytes()) else {
        return false;
    };
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let signature = engine.encode(envelope.signature.sig.as_bytes());
    let (payload_hash, logged_signature, expected) = if entry.kind_version == KindVersion::DsseV001 {
        (
            text("/spec/payloadHash/value"),
            text("/spec/signatures/0/signature"),
            signature,
        )
    } else if entry.kind_version == KindVersion::IntotoV002 {
        let again = engine.encode(signature);
        (
            text("/spec/content/payloadHash/value"),
            text("/spec/content/envelope/signatures/0/sig"),
            again,
        )
    } else {
        // hashedrekord hashes the pre-authentication encoding, and is logged with a key of its own.
        return false;
    };
    let payload = sigstore::crypto::sha256(envelope.payload.as_bytes());
    Sha256Hash::from_hex(payload_hash).is_ok_and(|hash| hash == payload) && logged_signature == expected
}

/// Parses a bundle. What is of a known format and does not parse cannot be authentic; what is of another format may be.
fn parse(attestation: &UnverifiedAttestation) -> Result<ParsedBundle, Refusal> {
    let text = attestation.bundle.get();
    let bundle = Bundle::from_json(text).map_err(|source| explain_unparsable(text, &source.to_string()))?;
    // The library takes a missing media type for the oldest format; nothing that npm serves lacks it.
    let has_media_type = text.contains("\"mediaType\"");
    let SignatureContent::DsseEnvelope(envelope) = bundle.content.clone() else {
        return Err(Refusal::Unsupported(
            "the bundle signs something else than a DSSE envelope".to_owned(),
        ));
    };
    if has_media_type {
        Ok(ParsedBundle { bundle, envelope })
    } else {
        Err(Refusal::Unsupported(
            "the bundle does not say which format it has".to_owned(),
        ))
    }
}

fn explain_unparsable(text: &str, error: &str) -> Refusal {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return forged(RefusedPart::Signature, format!("the bundle does not parse: {error}"));
    };
    let Some(media_type) = value.get("mediaType").and_then(Value::as_str) else {
        return Refusal::Unsupported("the bundle does not say which format it has".to_owned());
    };
    if !MEDIA_TYPES.contains(&media_type) {
        return Refusal::Unsupported(format!("the bundle format {media_type:?} is not known"));
    }
    let entries = value
        .pointer("/verificationMaterial/tlogEntries")
        .and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let part = |pointer| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, version) = (part("/kindVersion/kind"), part("/kindVersion/version"));
        if !kind.is_empty() && !ENTRY_KINDS.contains(&(kind, version)) {
            return Refusal::Unsupported(format!("log entries of kind {kind:?} {version:?} are not known"));
        }
    }
    forged(RefusedPart::Signature, format!("the bundle does not parse: {error}"))
}
