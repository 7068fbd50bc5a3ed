//! A file of a release, as it was built, attested and uploaded, or as somebody bent it.

use super::{CoreMetadata, PypiPublisher};
use crate::{
    Answer, Build, Claims, archive,
    edit::{Edit, Edits},
    encoding::sha256,
    sealing::{Bends, Sealing},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// What an attestation of a file states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PypiPredicate {
    /// That it was published: `publish/v1`, whose predicate is `null`.
    Publish,
    /// The same with an empty object as the predicate.
    PublishEmpty,
    /// How it was built: SLSA provenance v1.
    Slsa,
}

/// The kind of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A source distribution.
    Sdist,
    /// A wheel for this tag.
    Wheel(String),
}

/// What the index lists of a file's provenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Its address, if there is one.
    AsMade,
    /// `null`, although it is there.
    Stripped,
    /// An address where nothing is.
    Announced,
}

/// A file of a [`super::PypiRelease`]. Made honest, then bent by small methods.
#[derive(Clone)]
pub struct PypiFile {
    pub(super) kind: Kind,
    pub(super) name: Option<String>,
    pub(super) predicates: Vec<PypiPredicate>,
    pub(super) signed_at: Option<Timestamp>,
    pub(super) uploaded_at: Option<Timestamp>,
    pub(super) publisher: Option<PypiPublisher>,
    pub(super) link: Link,
    pub(super) build: Option<Edit<Build>>,
    pub(super) metadata: Edits<CoreMetadata>,
    /// Whether core metadata is packed into it, as everything newer does.
    pub(super) has_metadata: bool,
    pub(super) bends: Bends,
    pub(super) provenance: Edits<Value>,
    pub(super) listing: Edits<Value>,
    pub(super) bytes: Edits<Vec<u8>>,
    pub(super) answers: Answers,
}

/// How PyPI answers for the resources of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) integrity: Answer,
    pub(super) bytes: Answer,
}

impl fmt::Debug for PypiFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PypiFile")
            .field("kind", &self.kind)
            .field("predicates", &self.predicates)
            .finish_non_exhaustive()
    }
}

impl PypiFile {
    /// The source distribution, with a publish attestation.
    pub fn sdist() -> Self {
        Self::of(Kind::Sdist)
    }

    /// A wheel for `tag`, such as `py3-none-any`, with a publish attestation.
    pub fn wheel(tag: &str) -> Self {
        Self::of(Kind::Wheel(tag.to_owned()))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            predicates: vec![PypiPredicate::Publish],
            signed_at: None,
            uploaded_at: None,
            publisher: None,
            link: Link::AsMade,
            build: None,
            metadata: Vec::new(),
            has_metadata: true,
            bends: Bends::default(),
            provenance: Vec::new(),
            listing: Vec::new(),
            bytes: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// A source distribution packed without core metadata, as those of long ago are. A wheel has it all the same.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        self.has_metadata = false;
        self
    }

    /// Whether it is a source distribution.
    pub fn is_sdist(&self) -> bool {
        self.kind == Kind::Sdist
    }

    /// Its name, instead of the one that follows from the project, the version and its kind.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// What its attestations state, one for each item, all of one publisher.
    #[must_use]
    pub fn predicates(mut self, predicates: impl IntoIterator<Item = PypiPredicate>) -> Self {
        self.predicates = predicates.into_iter().collect();
        self
    }

    /// Without attestations, as an upload with a token is.
    #[must_use]
    pub fn unattested(self) -> Self {
        self.predicates([])
    }

    /// When its attestations are logged, instead of one second after those of the file before it.
    #[must_use]
    pub fn signed_at(mut self, at: Timestamp) -> Self {
        self.signed_at = Some(at);
        self
    }

    /// When it was uploaded, instead of four seconds after its attestations were logged.
    #[must_use]
    pub fn uploaded_at(mut self, at: Timestamp) -> Self {
        self.uploaded_at = Some(at);
        self
    }

    /// Lets another build make and sign it than the rest of the release.
    #[must_use]
    pub fn build(mut self, edit: impl Fn(&mut Build) + Send + Sync + 'static) -> Self {
        self.build = Some(Arc::new(edit));
        self
    }

    /// Changes what it says about itself.
    #[must_use]
    pub fn metadata(mut self, edit: impl Fn(&mut CoreMetadata) + Send + Sync + 'static) -> Self {
        self.metadata.push(Arc::new(edit));
        self
    }

    /// Changes what the certificate claims, and nothing else.
    #[must_use]
    pub fn certificate(mut self, edit: impl Fn(&mut Claims) + Send + Sync + 'static) -> Self {
        self.bends.certificate.push(Arc::new(edit));
        self
    }

    /// Changes how its attestations are signed: the parties, the times, the bundle they are taken from.
    #[must_use]
    pub fn sealing(mut self, edit: impl Fn(&mut Sealing) + Send + Sync + 'static) -> Self {
        self.bends.sealing.push(Arc::new(edit));
        self
    }

    /// Changes the statements before they are signed, and nothing else.
    #[must_use]
    pub fn statement(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.statement.push(Arc::new(edit));
        self
    }

    /// Signs a statement about another file's digest.
    #[must_use]
    pub fn other_digest(self) -> Self {
        let digest = hex::encode(sha256(b"another file"));
        self.statement(move |statement| set(statement, "/subject/0/digest/sha256", json!(digest)))
    }

    /// Signs a statement about a file of another name.
    #[must_use]
    pub fn subject_named(self, name: &str) -> Self {
        let name = name.to_owned();
        self.statement(move |statement| set(statement, "/subject/0/name", json!(name)))
    }

    /// Changes each attestation after it was signed.
    #[must_use]
    pub fn attestation(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.signed.push(Arc::new(edit));
        self
    }

    /// Takes the envelope apart again, as drafts of the format had it.
    #[must_use]
    pub fn as_draft(self) -> Self {
        self.attestation(|attestation| {
            let signature = attestation.pointer("/envelope/signature").cloned();
            if let Some(members) = attestation.as_object_mut() {
                members.remove("envelope");
                members.insert("message_signature".to_owned(), signature.unwrap_or_default());
            }
        })
    }

    /// Changes the provenance object.
    #[must_use]
    pub fn provenance(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.provenance.push(Arc::new(edit));
        self
    }

    /// A provenance object without bundles.
    #[must_use]
    pub fn empty_bundles(self) -> Self {
        self.provenance(|provenance| set(provenance, "/attestation_bundles", json!([])))
    }

    /// A provenance object whose only bundle is empty.
    #[must_use]
    pub fn empty_attestations(self) -> Self {
        self.provenance(|provenance| set(provenance, "/attestation_bundles/0/attestations", json!([])))
    }

    /// Names a publisher who is not in the certificate. Nobody signs that block.
    #[must_use]
    pub fn publisher_named(mut self, publisher: PypiPublisher) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Changes what the simple index lists of it.
    #[must_use]
    pub fn listing(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.listing.push(Arc::new(edit));
        self
    }

    /// The index lists no provenance, although the Integrity API has it.
    #[must_use]
    pub fn link_stripped(mut self) -> Self {
        self.link = Link::Stripped;
        self
    }

    /// The index lists a provenance that the Integrity API does not have.
    #[must_use]
    pub fn provenance_missing(mut self) -> Self {
        self.link = Link::Announced;
        self
    }

    /// Changes the bytes that are served, after everything was signed about the honest ones.
    #[must_use]
    pub fn bytes(mut self, edit: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        self.bytes.push(Arc::new(edit));
        self
    }

    /// Serves bytes that differ in exactly one place.
    #[must_use]
    pub fn swapped_by_one_byte(self) -> Self {
        self.bytes(|bytes| archive::swap_one_byte(bytes))
    }

    /// How the Integrity API answers.
    #[must_use]
    pub fn integrity_answer(mut self, answer: Answer) -> Self {
        self.answers.integrity = answer;
        self
    }

    /// How the host of the files answers.
    #[must_use]
    pub fn bytes_answer(mut self, answer: Answer) -> Self {
        self.answers.bytes = answer;
        self
    }
}

/// Sets what is at a pointer, if something is there.
fn set(document: &mut Value, pointer: &str, value: Value) {
    if let Some(member) = document.pointer_mut(pointer) {
        *member = value;
    }
}
