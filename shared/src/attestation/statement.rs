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
    /// PyPI's publish attestation v1 (<https://docs.pypi.org/attestations/publish/v1/>): signed by whoever published.
    PypiPublishV1,
    /// GitHub's attestation of a release v0.2 (<https://in-toto.io/attestation/release/v0.2>): signed by GitHub.
    GitHubReleaseV02,
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
            "https://docs.pypi.org/attestations/publish/v1" => Self::PypiPublishV1,
            "https://in-toto.io/attestation/release/v0.2" => Self::GitHubReleaseV02,
            other => Self::Unrecognised(other.to_owned()),
        }
    }

    /// The URI, as statements carry it.
    pub fn as_uri(&self) -> &str {
        match self {
            Self::SlsaProvenanceV02 => "https://slsa.dev/provenance/v0.2",
            Self::SlsaProvenanceV1 => "https://slsa.dev/provenance/v1",
            Self::NpmPublishV01 => "https://github.com/npm/attestation/tree/main/specs/publish/v0.1",
            Self::PypiPublishV1 => "https://docs.pypi.org/attestations/publish/v1",
            Self::GitHubReleaseV02 => "https://in-toto.io/attestation/release/v0.2",
            Self::Unrecognised(uri) => uri,
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
    /// Not exactly one subject, where one is expected, or none at all.
    #[error("the statement has {0} subjects where exactly one is expected")]
    SubjectCount(usize),
    /// More subjects than are read.
    #[error("the statement has {0} subjects, more than are read")]
    TooManySubjects(usize),
    /// A digest that does not fit its algorithm.
    #[error("the subject's digest is not valid: {0}")]
    Digest(String),
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementSubject {
    /// The name; for npm a purl, otherwise a file's. Empty where the statement gives none.
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

/// How many subjects a statement may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Exactly one.
    One,
    /// Any number: the one with this digest is meant, and the first where none has it.
    Among(Digest),
}

/// The most subjects of a statement that are read.
const SUBJECT_LIMIT: usize = 10_000;

/// An in-toto statement, with that subject of it that is meant.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it is about.
    pub subject: StatementSubject,
    /// By which other names it speaks of the same bytes, where any number of subjects was expected; `None` where one was.
    pub other_names: Option<Vec<String>>,
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
    #[serde(default)]
    name: String,
    digest: BTreeMap<String, String>,
}

impl WireSubject {
    fn read(self) -> Result<StatementSubject, StatementError> {
        let mut digests = Vec::new();
        for (name, digits) in self.digest {
            let algorithm = match name.as_str() {
                "sha256" => DigestAlgorithm::Sha256,
                "sha512" => DigestAlgorithm::Sha512,
                _ => continue,
            };
            let digest =
                Digest::from_hex(algorithm, &digits).map_err(|source| StatementError::Digest(source.to_string()))?;
            digests.push(digest);
        }
        Ok(StatementSubject {
            name: self.name,
            digests,
        })
    }
}

impl Statement {
    /// Parses a DSSE payload. Unknown fields are ignored, as the specification's parsing rules demand; unknown digest
    /// algorithms are left out.
    pub fn from_json(payload: &[u8], subjects: &Subjects) -> Result<Self, StatementError> {
        let wire: Wire =
            serde_json::from_slice(payload).map_err(|source| StatementError::Malformed(source.to_string()))?;
        if !STATEMENT_TYPES.contains(&wire.kind.as_str()) {
            return Err(StatementError::UnknownType(wire.kind));
        }
        let count = wire.subject.len();
        if count > SUBJECT_LIMIT {
            return Err(StatementError::TooManySubjects(count));
        }
        let mut all = wire.subject.into_iter().map(WireSubject::read);
        let first = all.next().ok_or(StatementError::SubjectCount(0))??;
        let (subject, other_names) = match subjects {
            Subjects::One if count > 1 => return Err(StatementError::SubjectCount(count)),
            Subjects::One => (first, None),
            Subjects::Among(wanted) => {
                let rest = all.collect::<Result<Vec<_>, _>>()?;
                let has_it = |subject: &StatementSubject| subject.digest(wanted.algorithm()) == Some(wanted);
                let is_first = has_it(&first);
                let mut having = rest.into_iter().filter(has_it);
                let meant = if is_first { None } else { having.next() };
                let names = having.map(|subject| subject.name).collect();
                (meant.unwrap_or(first), Some(names))
            }
        };
        Ok(Self {
            subject,
            other_names,
            predicate_type: PredicateType::from_uri(&wire.predicate_type),
            predicate: wire.predicate,
        })
    }
}

impl Statement {
    /// Every name by which it speaks of what it is about.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.other_names.iter().flatten();
        std::iter::once(&self.subject.name).chain(others).map(String::as_str)
    }

    /// Whether any number of subjects was expected, as where attestations are found by a digest alone.
    pub fn is_found_by_digest(&self) -> bool {
        self.other_names.is_some()
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
            &Subjects::One,
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
    fn of_many_subjects_the_one_with_the_digest_is_meant() {
        let of = |name: &str, byte: &str| format!(r#"{{"name":"{name}","digest":{{"sha256":"{}"}}}}"#, byte.repeat(32));
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"uri":"pkg:x","digest":{{"sha1":"00"}}}},{},{}],"predicateType":"p","predicate":{{}}}}"#,
            of("a", "aa"),
            of("b", "bb")
        );
        let named = |byte: &str| {
            let wanted = Digest::from_hex(DigestAlgorithm::Sha256, &byte.repeat(32)).unwrap();
            let read = Statement::from_json(text.as_bytes(), &Subjects::Among(wanted));
            read.unwrap().subject.name
        };
        assert_eq!(named("aa"), "a");
        assert_eq!(named("bb"), "b");
        assert_eq!(named("cc"), "");
    }

    #[test]
    fn of_subjects_with_the_same_digest_every_name_is_known() {
        let subject = |name: &str| format!(r#"{{"name":"{name}","digest":{{"sha256":"{}"}}}}"#, "aa".repeat(32));
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{},{}],"predicateType":"p","predicate":{{}}}}"#,
            subject("a"),
            subject("b")
        );
        let wanted = Digest::from_hex(DigestAlgorithm::Sha256, &"aa".repeat(32)).unwrap();
        let read = Statement::from_json(text.as_bytes(), &Subjects::Among(wanted)).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), ["a", "b"]);
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
        let read = Statement::from_json(b"{}", &Subjects::One);
        assert!(matches!(read, Err(StatementError::Malformed(_))));
    }
}
