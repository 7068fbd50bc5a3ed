//! in-toto statements: which subjects, and what is said of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::package::{Digest, DigestAlgorithm};

/// The statement types that are understood (<https://github.com/in-toto/attestation/tree/main/spec>). npm's registry
/// still writes v0.1.
pub const STATEMENT_TYPES: &[&str] = &["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"];

/// What kind of thing a statement says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PredicateType {
    /// SLSA provenance v0.2 (<https://slsa.dev/provenance/v0.2>).
    SlsaProvenanceV02,
    /// SLSA provenance v1 (<https://slsa.dev/provenance/v1>).
    SlsaProvenanceV1,
    /// npm's publish attestation v0.1 (<https://github.com/npm/attestation/tree/main/specs/publish/v0.1>).
    NpmPublishV01,
    /// Anything else: listed, never evaluated.
    Unrecognised(String),
}

impl PredicateType {
    /// The type that a URI names; compared exactly, as the specification demands.
    pub fn from_uri(uri: &str) -> Self {
        match uri {
            "https://slsa.dev/provenance/v0.2" => Self::SlsaProvenanceV02,
            "https://slsa.dev/provenance/v1" => Self::SlsaProvenanceV1,
            "https://github.com/npm/attestation/tree/main/specs/publish/v0.1" => Self::NpmPublishV01,
            other => Self::Unrecognised(other.to_owned()),
        }
    }

    /// Whether it is a SLSA provenance.
    pub fn is_provenance(&self) -> bool {
        match self {
            Self::SlsaProvenanceV02 | Self::SlsaProvenanceV1 => true,
            Self::NpmPublishV01 | Self::Unrecognised(_) => false,
        }
    }

    /// Whether it is a registry's publish attestation.
    pub fn is_publish(&self) -> bool {
        match self {
            Self::NpmPublishV01 => true,
            Self::SlsaProvenanceV02 | Self::SlsaProvenanceV1 | Self::Unrecognised(_) => false,
        }
    }
}

/// Why a payload is not a statement that can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// Not JSON of the statement's shape.
    #[error("the payload is not an in-toto statement: {0}")]
    Malformed(String),
    /// Another `_type`.
    #[error("the statement type {0:?} is not known")]
    UnknownType(String),
    /// Not exactly one subject.
    #[error("the statement has {0} subjects where exactly one is expected")]
    SubjectCount(usize),
    /// A digest that does not fit its algorithm.
    #[error("the subject's digest is not valid: {0}")]
    Digest(String),
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementSubject {
    /// The name; for npm a purl.
    pub name: String,
    /// The digests of known algorithms.
    pub digests: Vec<Digest>,
}

impl StatementSubject {
    /// The digest of this algorithm.
    pub fn digest(&self, algorithm: DigestAlgorithm) -> Option<&Digest> {
        self.digests.iter().find(|digest| digest.algorithm() == algorithm)
    }
}

/// An in-toto statement about exactly one subject.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is about.
    pub subject: StatementSubject,
    /// What kind of thing it says.
    pub predicate_type: PredicateType,
    /// What it says, as JSON text.
    pub predicate: Box<RawValue>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Box<RawValue>,
}

#[derive(Deserialize)]
struct WireSubject {
    name: String,
    digest: BTreeMap<String, String>,
}

impl Statement {
    /// Parses a DSSE payload. Unknown fields are ignored, as the specification's parsing rules demand; unknown digest
    /// algorithms are left out.
    pub fn from_json(payload: &[u8]) -> Result<Self, StatementError> {
        let wire: Wire =
            serde_json::from_slice(payload).map_err(|source| StatementError::Malformed(source.to_string()))?;
        if !STATEMENT_TYPES.contains(&wire.kind.as_str()) {
            return Err(StatementError::UnknownType(wire.kind));
        }
        let count = wire.subject.len();
        let [subject] =
            <[WireSubject; 1]>::try_from(wire.subject).map_err(|_subjects| StatementError::SubjectCount(count))?;
        let mut digests = Vec::new();
        for (name, digits) in subject.digest {
            let algorithm = match name.as_str() {
                "sha256" => DigestAlgorithm::Sha256,
                "sha512" => DigestAlgorithm::Sha512,
                _ => continue,
            };
            let digest =
                Digest::from_hex(algorithm, &digits).map_err(|source| StatementError::Digest(source.to_string()))?;
            digests.push(digest);
        }
        Ok(Self {
            subject: StatementSubject {
                name: subject.name,
                digests,
            },
            predicate_type: PredicateType::from_uri(&wire.predicate_type),
            predicate: wire.predicate,
        })
    }
}

/// The predicate of npm's publish attestation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PublishPredicate {
    /// Package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// The registry that says it accepted the publication.
    pub registry: String,
}

impl PublishPredicate {
    /// Parses the predicate's JSON text.
    pub fn from_json(predicate: &RawValue) -> Result<Self, StatementError> {
        serde_json::from_str(predicate.get()).map_err(|source| StatementError::Malformed(source.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(kind: &str, subjects: &str) -> Result<Statement, StatementError> {
        Statement::from_json(
            format!(r#"{{"_type":"{kind}","subject":{subjects},"predicateType":"p","predicate":{{}}}}"#).as_bytes(),
        )
    }

    #[test]
    fn a_statement_with_two_subjects_is_refused() {
        let subject = format!(r#"{{"name":"a","digest":{{"sha512":"{}"}}}}"#, "00".repeat(64));
        assert_eq!(
            statement("https://in-toto.io/Statement/v1", &format!("[{subject},{subject}]")).unwrap_err(),
            StatementError::SubjectCount(2)
        );
    }

    #[test]
    fn a_statement_without_subjects_is_refused() {
        assert_eq!(
            statement("https://in-toto.io/Statement/v1", "[]").unwrap_err(),
            StatementError::SubjectCount(0)
        );
    }

    #[test]
    fn a_statement_of_another_type_is_refused() {
        assert_eq!(
            statement("https://in-toto.io/StatementA/v1", "[]").unwrap_err(),
            StatementError::UnknownType("https://in-toto.io/StatementA/v1".to_owned())
        );
    }

    #[test]
    fn a_subject_with_a_short_digest_is_refused() {
        let subjects = r#"[{"name":"a","digest":{"sha512":"00"}}]"#;
        assert!(matches!(
            statement("https://in-toto.io/Statement/v1", subjects),
            Err(StatementError::Digest(_))
        ));
    }

    #[test]
    fn a_payload_that_is_not_a_statement_is_refused() {
        assert!(matches!(Statement::from_json(b"{}"), Err(StatementError::Malformed(_))));
    }
}
