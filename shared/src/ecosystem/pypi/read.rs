//! Reading PyPI's answers out of a dossier: a release for each file of the version.

use super::document::parse;
use super::excerpt::surroundings;
use super::filename::{Kind, is_same_distribution};
use super::index::{Index, IndexFile, IndexedVersion, ProvenanceLink};
use super::metadata::{self, CoreMetadata};
use super::provenance::{self, Provenance};
use crate::attestation::{PredicateType, RepositoryUri, UnverifiedAttestation};
use crate::availability::{Availability, UnavailableReason};
use crate::dossier::{ArchiveMember, Body, Dossier, Observation, Subject};
use crate::ecosystem::answer::{self, Archive, archive, document, response, unavailable};
use crate::ecosystem::{Described, Downloaded, ExpectedSubject, InnerManifest, Metadata, OtherVersion, Release, Terms};
use crate::package::{Digest, DigestAlgorithm, PackageName};

/// What PyPI serves: what a trusted publisher signed as it uploaded, and provenances of the build. Certificates sign both.
const EVALUATED: &[PredicateType] = &[PredicateType::PypiPublishV1, PredicateType::SlsaProvenanceV1];

/// The index that an observation holds.
pub(super) fn index(name: &PackageName, observation: &Observation) -> Availability<Index> {
    let parse = |bytes: &[u8]| parse(bytes).filter(|index| index.is_of(name.as_str()));
    document(observation, parse, "an index of this project")
}

/// The index of a dossier, if it could be read.
pub(super) fn index_of(dossier: &Dossier) -> Option<Index> {
    let observation = dossier.observation(Subject::PackageIndex)?;
    index(dossier.package.name(), observation).present().cloned()
}

/// The files that a dossier is about, in the order of their names: those of the version, or the one that is asked about.
pub(super) fn files<'a>(dossier: &Dossier, index: &'a Index) -> Vec<&'a IndexFile> {
    let mut files = index.files_of(dossier.package.version());
    if let Some(wanted) = dossier.package.file() {
        files.retain(|file| file.filename == wanted);
    }
    files.sort_by(|one, other| one.filename.cmp(&other.filename));
    files.dedup_by(|one, other| one.filename == other.filename);
    files
}

/// Whether the bytes that were downloaded of a file have another digest than the index says.
pub(super) fn contradicts(file: &IndexFile, downloaded: &Observation) -> bool {
    match archive(downloaded) {
        Ok(found) => file
            .sha256
            .as_ref()
            .is_some_and(|declared| *declared != found.response.sha256),
        Err(_trouble) => false,
    }
}

/// Reads a dossier of a version, or of one file of it.
pub(super) fn read(dossier: &Dossier) -> Vec<Release> {
    let observation = dossier.observation(Subject::PackageIndex);
    let found = match observation {
        Some(observation) => index(dossier.package.name(), observation),
        None => Availability::Unavailable(unavailable("PyPI", UnavailableReason::Unreachable, "nothing was asked")),
    };
    let index = match found {
        Availability::Present(index) => index,
        Availability::Absent { because } => return vec![unread(dossier, Availability::Absent { because })],
        Availability::Unavailable(trouble) => return vec![unread(dossier, Availability::Unavailable(trouble))],
    };
    let files = files(dossier, &index);
    if files.is_empty() {
        let because = format!("the index has no file of {}", dossier.package);
        return vec![unread(dossier, Availability::Absent { because })];
    }
    let evidence = answer::digest_of_answer(observation);
    let around = Around::of(&index, dossier.package.version());
    files
        .into_iter()
        .map(|file| release(dossier, file, &around, &evidence))
        .collect()
}

/// A version of which the index says nothing that could be read.
fn unread(dossier: &Dossier, metadata: Availability<Metadata>) -> Release {
    answer::unread(dossier, "PyPI", "index", metadata, terms(Vec::new()))
}

fn terms(names: Vec<String>) -> Terms {
    Terms {
        evaluates: EVALUATED,
        binds_repository: false,
        names_publishers: false,
        registry_signs: false,
        countersigned_by: None,
        subject: ExpectedSubject::File {
            names,
            is_same: is_same_distribution,
        },
        digest: DigestAlgorithm::Sha256,
        digest_place: "index hashes.sha256",
        accounts_sign: true,
    }
}

/// What the index says of other versions.
struct Around {
    earlier: Vec<OtherVersion>,
    soon_after: Vec<OtherVersion>,
}

impl Around {
    fn of(index: &Index, version: &str) -> Self {
        let indexed = index.indexed_versions();
        let around = surroundings(&indexed, version);
        let described = |candidate: &str| {
            let found: &IndexedVersion<'_> = indexed.iter().find(|indexed| indexed.version == candidate)?;
            Some(Described {
                publish_mode: None,
                publisher: None,
                announces_attestations: found.announces_any(),
            })
        };
        let earlier = around.earlier.iter().map(|(published_at, candidate)| OtherVersion {
            version: (*candidate).to_owned(),
            published_at: *published_at,
            described: Some(*candidate)
                .filter(|candidate| around.described.contains(candidate))
                .and_then(described),
        });
        let soon_after = around.soon_after.iter().map(|(published_at, candidate)| OtherVersion {
            version: (*candidate).to_owned(),
            published_at: *published_at,
            described: None,
        });
        Self {
            earlier: earlier.collect(),
            soon_after: soon_after.collect(),
        }
    }
}

fn release(dossier: &Dossier, file: &IndexFile, around: &Around, evidence: &Digest) -> Release {
    let part = dossier.part(&file.filename);
    let served = part.observation(Subject::Attestations);
    let (attestations, served_nothing) = attestations(file, served);
    Release {
        package: dossier.package.clone(),
        about: file.filename.clone(),
        metadata: Availability::Present(Metadata {
            declared_digest: file.sha256.clone(),
            declared_sha1: None,
            signed_text: None,
            signatures: Vec::new(),
            is_stripped: file.provenance == ProvenanceLink::Unsaid,
            announces_attestations: file.provenance == ProvenanceLink::Announced,
            published_at: file.uploaded_at,
            publish_mode: None,
            publisher: None,
            tags: Vec::new(),
            declared_repository: None,
            declared_commit: None,
            earlier: around.earlier.clone(),
            soon_after: around.soon_after.clone(),
            evidence: evidence.clone(),
        }),
        attestations,
        served_nothing,
        attestations_evidence: served.and_then(response).map(|response| response.sha256.clone()),
        artifact: artifact(file, &part),
        terms: terms(vec![file.filename.clone()]),
    }
}

/// What is served as the attestations of a file. These never merge:
///
/// - 200 with attestations;
/// - 200 with an object that has no bundle, or none with an attestation: something is announced, and proves nothing;
/// - 403: PyPI serves no attestations of anybody for now, which says nothing of the file;
/// - 404: none, where the index says so, too. Where the index announces one, it is not there any more; where the index does not
///   say, whoever serves it may have stripped both.
fn attestations(
    file: &IndexFile,
    served: Option<&Observation>,
) -> (Availability<Vec<UnverifiedAttestation>>, Option<&'static str>) {
    let Some(served) = served else {
        let detail = "the provenance of this file was not asked for";
        let trouble = unavailable("PyPI", UnavailableReason::Unsupported, detail);
        return (Availability::Unavailable(trouble), None);
    };
    let trouble = |reason, detail: String| {
        (
            Availability::Unavailable(unavailable(&served.url, reason, detail)),
            None,
        )
    };
    let parse = |bytes: &[u8]| Some(provenance::parse(bytes));
    match document(served, parse, "a provenance object") {
        Availability::Present(Provenance::Listed(listed)) => (Availability::Present(listed), None),
        Availability::Present(Provenance::NoBundles) => (
            Availability::Present(Vec::new()),
            Some("a provenance object without attestation bundles"),
        ),
        Availability::Present(Provenance::NoAttestations) => (
            Availability::Present(Vec::new()),
            Some("attestation bundles without attestations"),
        ),
        Availability::Present(Provenance::Unsupported(version)) => trouble(
            UnavailableReason::Unsupported,
            format!("the provenance object is of version {version}, which is not known"),
        ),
        Availability::Present(Provenance::Malformed(detail)) => trouble(UnavailableReason::Malformed, detail),
        Availability::Absent { because } => match file.provenance {
            ProvenanceLink::None => {
                let because = format!("the index says that this file has no provenance, and {because}");
                (Availability::Absent { because }, None)
            }
            ProvenanceLink::Announced => trouble(
                UnavailableReason::NotRetained,
                "the index announces a provenance that is not served".to_owned(),
            ),
            ProvenanceLink::Unsaid => trouble(
                UnavailableReason::Stripped,
                "there is no provenance here, and the index does not say whether there is any: a mirror that leaves \
                 that out cannot prove that there is none"
                    .to_owned(),
            ),
        },
        Availability::Unavailable(problem) if problem.reason == UnavailableReason::Private => trouble(
            UnavailableReason::Unreachable,
            format!("the index serves no attestations for now: {}", problem.detail),
        ),
        Availability::Unavailable(problem) => (Availability::Unavailable(problem), None),
    }
}

fn artifact(file: &IndexFile, part: &Dossier) -> Availability<Downloaded> {
    let chosen = part
        .observation(Subject::ArtifactAgain)
        .or_else(|| part.observation(Subject::Artifact));
    let Some(observation) = chosen else {
        let (reason, detail) = match file.path {
            Some(_) => (UnavailableReason::Unsupported, "the file was not asked for"),
            None => (
                UnavailableReason::Malformed,
                "the index gives no address of the file that can be asked",
            ),
        };
        return Availability::Unavailable(unavailable("PyPI", reason, detail));
    };
    let found = match archive(observation) {
        Ok(found) => found,
        Err(trouble) => return Availability::Unavailable(trouble),
    };
    if is_something_else(file, &found) {
        let kind = found.response.content_type.as_deref().unwrap_or("no content type");
        let detail = format!("the answer ({} bytes, {kind}) is no distribution", found.response.size);
        return Availability::Unavailable(unavailable(&observation.url, UnavailableReason::Malformed, detail));
    }
    let unreadable = |detail: &str| unavailable(&observation.url, UnavailableReason::Unsupported, detail);
    let manifest = match found.member {
        ArchiveMember::Found { body: Body(bytes) } => Availability::Present(inner_manifest(&metadata::parse(bytes))),
        ArchiveMember::Missing if is_wheel(file) => Availability::Absent {
            because: "the wheel has no core metadata".to_owned(),
        },
        // Source distributions of old have none, and neither have the dumb binary ones where it is looked for.
        ArchiveMember::Missing => Availability::Unavailable(unreadable("the distribution has no core metadata")),
        // Formats of old, and files that are larger than what is unpacked: their bytes are compared all the same.
        ArchiveMember::NotAnArchive => {
            Availability::Unavailable(unreadable("the distribution is of a format that is not unpacked"))
        }
        ArchiveMember::Unreadable { detail } => Availability::Unavailable(unreadable(detail)),
    };
    Availability::Present(Downloaded {
        name: file.filename.clone(),
        sha512: found.sha512.clone(),
        sha256: found.response.sha256.clone(),
        sha1: found.sha1.clone(),
        size: found.response.size,
        manifest,
    })
}

fn is_wheel(file: &IndexFile) -> bool {
    let kind = file.distribution.as_ref().map(|read| read.kind);
    kind == Some(Kind::Wheel)
}

/// Whether an answer is a page for people, say, in the place of a wheel or a source distribution: neither the file that the index
/// names, nor an archive, which these always are. Nobody could install it, and nobody is accused of it.
fn is_something_else(file: &IndexFile, found: &Archive<'_>) -> bool {
    let is_archive_by_name = file.distribution.as_ref().is_some_and(|read| match read.kind {
        Kind::Wheel | Kind::Sdist => true,
        Kind::Other => false,
    });
    let is_archive = !matches!(found.member, ArchiveMember::NotAnArchive);
    let is_named = file.sha256.as_ref() == Some(&found.response.sha256);
    is_archive_by_name && !is_archive && !is_named
}

/// The core metadata, with the repository if it is one on GitHub: a home page is no repository.
fn inner_manifest(metadata: &CoreMetadata) -> InnerManifest {
    let is_repository = |address: &&String| RepositoryUri::parse(address).is_some();
    InnerManifest {
        place: "core metadata in the distribution",
        name: metadata.name.clone(),
        published_name: None,
        version: metadata.version.clone(),
        repository: metadata.repository.as_ref().filter(is_repository).cloned(),
        directory: None,
    }
}
