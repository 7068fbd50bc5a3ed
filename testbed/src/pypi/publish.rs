//! Making everything that a release on PyPI consists of, in the order in which it happens.

use super::{
    CoreMetadata, PUBLISH, PypiFile, PypiPredicate, PypiPublisher, PypiRelease,
    file::{self, Link},
    release,
};
use crate::{
    Build, Claims, Format, World,
    build::{SLSA_V1, STATEMENT_V1},
    edit::{Edits, apply},
    encoding::sha256,
    github::Origin,
    sealing::Sealing,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::fmt;

/// How long after the logging of its attestations a file is uploaded.
const UPLOAD: SignedDuration = SignedDuration::from_millis(4_217);
/// The issuer of Google's identity tokens.
const GOOGLE: &str = "https://accounts.google.com";

/// A release on PyPI with everything that was made for it.
#[derive(Clone)]
pub struct PypiPublished {
    /// The project's name, as it writes it.
    pub name: String,
    /// The version.
    pub version: String,
    /// What the release says about itself.
    pub metadata: CoreMetadata,
    /// The files that are served.
    pub files: Vec<PypiServed>,
    /// Why it was yanked, if it was.
    pub(super) yanked: Option<String>,
    pub(super) simple: Edits<Value>,
    pub(super) json: Edits<Value>,
    pub(super) answers: release::Answers,
    /// Where it comes from: one origin for each run that made a part of it.
    pub(crate) origins: Vec<Origin>,
}

/// A file as it is served.
#[derive(Clone)]
pub struct PypiServed {
    /// Its name.
    pub filename: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The SHA-256 digest that the index lists, in hexadecimal.
    pub sha256: String,
    /// The provenance object, as the Integrity API has it.
    pub provenance: Option<Value>,
    /// When it was uploaded.
    pub uploaded_at: Timestamp,
    /// Whether it is a source distribution.
    pub(super) is_sdist: bool,
    /// The size that the index lists.
    pub(super) size: usize,
    pub(super) metadata: CoreMetadata,
    pub(super) link: Link,
    pub(super) listing: Edits<Value>,
    pub(super) answers: file::Answers,
}

impl fmt::Debug for PypiPublished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PypiPublished")
            .field("purl", &super::purl(&self.name, &self.version))
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PypiServed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PypiServed")
            .field("filename", &self.filename)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl PypiRelease {
    /// Builds, signs, logs and uploads, in `world`.
    pub fn publish(&self, world: &World) -> PypiPublished {
        let mut metadata = self.honest_metadata();
        apply(&self.metadata, &mut metadata);
        let mut origins = vec![self.origin(&metadata)];
        let mut files = Vec::new();
        for (file, number) in self.files.iter().zip(0..) {
            let signed_at = file.signed_at.unwrap_or(self.at + SignedDuration::from_secs(number));
            let mut build = self.build.clone();
            if let Some(edit) = &file.build {
                edit(&mut build);
            }
            let same = |origin: &&mut Origin| {
                (origin.build.run_id, origin.build.run_attempt) == (build.run_id, build.run_attempt)
            };
            if let Some(origin) = origins.iter_mut().find(same) {
                origin.until = origin.until.max(signed_at);
            } else {
                origins.push(Origin {
                    build: build.clone(),
                    at: signed_at,
                    until: signed_at,
                    ..Origin::unbent(self.origin(&metadata))
                });
            }
            files.push(self.upload(world, file, &build, &metadata, signed_at));
        }
        if self.service_account.is_some() {
            origins.clear();
        }
        PypiPublished {
            name: self.name.clone(),
            version: self.version.clone(),
            metadata,
            files,
            yanked: self.yanked.clone(),
            simple: self.simple.clone(),
            json: self.json.clone(),
            answers: self.answers.clone(),
            origins,
        }
    }

    fn origin(&self, metadata: &CoreMetadata) -> Origin {
        Origin {
            build: self.build.clone(),
            version: self.version.clone(),
            at: self.at,
            until: self.at,
            recipe: self.recipe(metadata),
            run: self.run.clone(),
            commit: self.commit.clone(),
            repository: self.repository.clone(),
            stored: Vec::new(),
        }
    }

    /// Builds, signs and uploads one file.
    fn upload(
        &self,
        world: &World,
        file: &PypiFile,
        build: &Build,
        metadata: &CoreMetadata,
        signed_at: Timestamp,
    ) -> PypiServed {
        let mut metadata = metadata.clone();
        let stem = CoreMetadata {
            name: self.name.clone(),
            version: self.version.clone(),
            ..metadata.clone()
        }
        .stem();
        apply(&file.metadata, &mut metadata);
        let filename = file.name.clone().unwrap_or_else(|| file.kind.file_name(&stem));
        let mut bytes = file.kind.pack(&metadata, &stem, file.has_metadata);
        let digest = hex::encode(sha256(&bytes));
        let size = bytes.len();
        let provenance = (!file.predicates.is_empty() && file.link != Link::Announced).then(|| {
            let attested = Attested {
                release: self,
                file,
                build,
                filename: &filename,
                digest: &digest,
                sealing: Sealing::at(world, Format::v03(), signed_at),
            };
            let predicates = file.predicates.iter();
            let attestations: Vec<_> = predicates.map(|predicate| attested.attest(*predicate)).collect();
            let mut provenance = json!({
                "version": 1,
                "attestation_bundles": [{
                    "publisher": self.publisher(file, build).document(),
                    "attestations": attestations,
                }],
            });
            apply(&file.provenance, &mut provenance);
            provenance
        });
        apply(&file.bytes, &mut bytes);
        PypiServed {
            filename,
            bytes,
            sha256: digest,
            provenance,
            uploaded_at: file.uploaded_at.unwrap_or(signed_at + UPLOAD),
            is_sdist: file.is_sdist(),
            size,
            metadata,
            link: file.link,
            listing: file.listing.clone(),
            answers: file.answers.clone(),
        }
    }

    /// The publisher that the provenance object names.
    fn publisher(&self, file: &PypiFile, build: &Build) -> PypiPublisher {
        match (&file.publisher, &self.service_account) {
            (Some(publisher), _) => publisher.clone(),
            (None, Some(email)) => PypiPublisher::Google { email: email.clone() },
            (None, None) => PypiPublisher::of(build),
        }
    }
}

/// A file with all that attestations state about it.
struct Attested<'a> {
    release: &'a PypiRelease,
    file: &'a PypiFile,
    build: &'a Build,
    filename: &'a str,
    digest: &'a str,
    sealing: Sealing,
}

impl Attested<'_> {
    /// One attestation, in PyPI's shape.
    fn attest(&self, predicate: PypiPredicate) -> Value {
        let (predicate_type, predicate) = match predicate {
            PypiPredicate::Publish => (PUBLISH, Value::Null),
            PypiPredicate::PublishEmpty => (PUBLISH, json!({})),
            PypiPredicate::Slsa => (SLSA_V1, self.build.slsa_of_actions()),
        };
        let mut statement = json!({
            "_type": STATEMENT_V1,
            "subject": [{"name": self.filename, "digest": {"sha256": self.digest}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        });
        let claims = match &self.release.service_account {
            Some(email) => Claims::of_person(email, GOOGLE),
            None => Claims::of(self.build),
        };
        let bends = self.release.bends.and(&self.file.bends);
        let mut attestation = in_pypis_shape(&bends.seal(self.sealing.clone(), claims, &mut statement));
        apply(&bends.signed, &mut attestation);
        attestation
    }
}

/// The attestation object that holds what a bundle holds (PEP 740).
fn in_pypis_shape(bundle: &Value) -> Value {
    let part = |pointer| bundle.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "version": 1,
        "verification_material": {
            "certificate": part("/verificationMaterial/certificate/rawBytes"),
            "transparency_entries": part("/verificationMaterial/tlogEntries"),
        },
        "envelope": {
            "statement": part("/dsseEnvelope/payload"),
            "signature": part("/dsseEnvelope/signatures/0/sig"),
        },
    })
}
