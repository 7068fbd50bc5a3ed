//! Reading npm's answers out of a dossier.

use base64::Engine as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::REGISTRY_IDENTITY;
use super::packument::Packument;
use crate::attestation::{PredicateType, UnverifiedAttestation};
use crate::availability::{Availability, UnavailableReason};
use crate::dossier::{ArchiveMember, Body, Dossier, Observation, Subject};
use crate::ecosystem::answer::{archive, digest_of_answer, document, response, unavailable};
use crate::ecosystem::{
    Described, Downloaded, ExpectedSubject, InnerManifest, Metadata, OtherVersion, PublishMode, RegistrySignature,
    Release, Terms,
};
use crate::package::{Digest, DigestAlgorithm, Integrity, PackageName};

/// The most attestations that are evaluated of one version. Real answers have two.
const ATTESTATION_LIMIT: usize = 64;

/// What npm serves: a provenance of the build, and a publish attestation of the registry.
const EVALUATED: &[PredicateType] = &[
    PredicateType::SlsaProvenanceV02,
    PredicateType::SlsaProvenanceV1,
    PredicateType::NpmPublishV01,
];

/// Reads a dossier of an npm version.
pub(super) fn read(dossier: &Dossier) -> Release {
    let metadata = metadata(dossier);
    let attestations = attestations(dossier, &metadata);
    let answered = dossier.observation(Subject::Attestations).and_then(response);
    Release {
        package: dossier.package.clone(),
        about: String::new(),
        attestations,
        served_nothing: None,
        attestations_evidence: answered.map(|response| response.sha256.clone()),
        artifact: artifact(dossier),
        metadata,
        terms: Terms {
            evaluates: EVALUATED,
            binds_repository: true,
            names_publishers: true,
            registry_signs: true,
            countersigned_by: Some(REGISTRY_IDENTITY),
            subject: ExpectedSubject::Purl,
            digest: DigestAlgorithm::Sha512,
            digest_place: "metadata dist.integrity",
            accounts_sign: false,
        },
    }
}

/// The packument that an observation holds.
pub(super) fn packument(name: &PackageName, observation: &Observation) -> Availability<Packument> {
    document(
        observation,
        |bytes| Packument::parse(name, bytes),
        "a packument of this package",
    )
}

/// The version manifest that an observation holds.
pub(super) fn version_manifest(name: &PackageName, observation: &Observation) -> Availability<Value> {
    let parse = |bytes: &[u8]| {
        let manifest: Value = serde_json::from_slice(bytes).ok()?;
        (manifest.get("name").and_then(Value::as_str) == Some(name.as_str())).then_some(manifest)
    };
    document(observation, parse, "a version manifest of this package")
}

/// The manifest of the dossier's version, from whichever document has it.
pub(super) fn manifest(dossier: &Dossier) -> Option<Value> {
    let name = dossier.package.name();
    let version = dossier.package.version();
    if let Some(observation) = dossier.observation(Subject::VersionManifest) {
        return version_manifest(name, observation)
            .present()
            .filter(|manifest| manifest.get("version").and_then(Value::as_str) == Some(version))
            .cloned();
    }
    packument(name, dossier.observation(Subject::Packument)?)
        .present()?
        .manifest(version)
}

/// Whether the bytes of the first download have another digest than the metadata says.
pub(super) fn artifact_contradicts_metadata(dossier: &Dossier) -> bool {
    let Availability::Present(metadata) = metadata(dossier) else {
        return false;
    };
    let Some(Availability::Present(artifact)) = dossier.observation(Subject::Artifact).map(downloaded) else {
        return false;
    };
    metadata
        .declared_digest
        .as_ref()
        .or(metadata.declared_sha1.as_ref())
        .is_some_and(|declared| !artifact.has_digest(declared))
}

fn metadata(dossier: &Dossier) -> Availability<Metadata> {
    let name = dossier.package.name();
    let version = dossier.package.version();
    let packument_observed = dossier.observation(Subject::Packument);
    let manifest_observed = dossier.observation(Subject::VersionManifest);
    let Some(observation) = manifest_observed.or(packument_observed) else {
        return Availability::Unavailable(unavailable("npm", UnavailableReason::Unreachable, "nothing was asked"));
    };
    let found = if manifest_observed.is_some() {
        version_manifest(name, observation).map(|manifest| (Some(manifest), None))
    } else {
        packument(name, observation).map(|packument| (packument.manifest(version), Some(packument)))
    };
    let (manifest, packument) = match found {
        Availability::Present((Some(manifest), packument)) => (manifest, packument),
        Availability::Present((None, _)) => {
            return Availability::Absent {
                because: format!("the packument has no version {version}"),
            };
        }
        Availability::Absent { because } => return Availability::Absent { because },
        Availability::Unavailable(trouble) => return Availability::Unavailable(trouble),
    };
    let others = |list: fn(&'_ Packument, &str) -> Vec<OtherVersion>| {
        packument
            .as_ref()
            .map(|packument| list(packument, version))
            .unwrap_or_default()
    };
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
    let integrity = text("/dist/integrity");
    let strongest = integrity.and_then(|text| text.parse::<Integrity>().ok()?.strongest().cloned());
    let shasum = text("/dist/shasum").and_then(|digits| Digest::from_hex(DigestAlgorithm::Sha1, digits).ok());
    let (declared_digest, weak) = match strongest {
        Some(digest) if digest.algorithm().is_collision_resistant() => (Some(digest), None),
        other => (None, other),
    };
    Availability::Present(Metadata {
        declared_digest,
        declared_sha1: weak.or(shasum),
        signed_text: integrity.map(|integrity| format!("{name}@{version}:{integrity}")),
        is_stripped: signatures(&manifest).is_empty(),
        signatures: signatures(&manifest),
        announces_attestations: announces_attestations(&manifest),
        published_at: packument.as_ref().and_then(|packument| packument.published_at(version)),
        publish_mode: publish_mode(&manifest),
        publisher: publisher(&manifest),
        tags: packument
            .as_ref()
            .map(|packument| tags(packument, version))
            .unwrap_or_default(),
        declared_repository: repository_text(manifest.get("repository")),
        declared_commit: text("/gitHead").map(str::to_owned),
        earlier: others(earlier),
        soon_after: others(soon_after),
        evidence: digest_of_answer(Some(observation)),
    })
}

fn signatures(manifest: &Value) -> Vec<RegistrySignature> {
    let list = manifest.pointer("/dist/signatures").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|item| {
            let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
            RegistrySignature {
                key_id: text("keyid").to_owned(),
                signature: base64::engine::general_purpose::STANDARD.decode(text("sig")).ok(),
            }
        })
        .collect()
}

pub(super) fn announces_attestations(manifest: &Value) -> bool {
    manifest
        .pointer("/dist/attestations")
        .is_some_and(|value| !value.is_null())
}

/// The versions that were published before this one, with what the registry says of some of them.
fn earlier(packument: &Packument, version: &str) -> Vec<OtherVersion> {
    let described = packument.described(version);
    let other = |(published_at, candidate): (Timestamp, &str)| OtherVersion {
        version: candidate.to_owned(),
        published_at,
        described: Some(candidate)
            .filter(|candidate| described.contains(candidate))
            .and_then(|candidate| packument.manifest(candidate))
            .map(|manifest| Described {
                publish_mode: publish_mode(&manifest),
                publisher: publisher(&manifest),
                announces_attestations: announces_attestations(&manifest),
            }),
    };
    packument.earlier(version).into_iter().map(other).collect()
}

fn soon_after(packument: &Packument, version: &str) -> Vec<OtherVersion> {
    let other = |(published_at, candidate): (Timestamp, &str)| OtherVersion {
        version: candidate.to_owned(),
        published_at,
        described: None,
    };
    packument.soon_after(version).into_iter().map(other).collect()
}

fn tags(packument: &Packument, version: &str) -> Vec<String> {
    let of_version = packument.dist_tags.iter().filter(|(_tag, target)| *target == version);
    of_version.map(|(tag, _target)| tag.clone()).collect()
}

/// The account that published, if it is somebody's: all builds of one service publish as one account.
fn publisher(manifest: &Value) -> Option<String> {
    let user = manifest.get("_npmUser")?;
    let name = user.get("name")?.as_str()?;
    let is_a_service = user.get("trustedPublisher").is_some() || matches!(name, "GitHub Actions" | "GitLab CI/CD");
    (!is_a_service).then(|| name.to_owned())
}

/// `_npmUser.approver` marks staged publishing, `_npmUser.trustedPublisher` a trusted publisher; both unsigned.
fn publish_mode(manifest: &Value) -> Option<PublishMode> {
    let user = manifest.get("_npmUser")?.as_object()?;
    let approved = user
        .get("approver")
        .or_else(|| manifest.get("approver"))
        .is_some_and(Value::is_object);
    let publisher = user
        .get("trustedPublisher")
        .and_then(|publisher| publisher.get("id"))
        .and_then(Value::as_str);
    Some(match (approved, publisher) {
        (true, _) => PublishMode::Staged,
        (false, Some(id)) => PublishMode::TrustedPublisher(id.to_owned()),
        (false, None) => PublishMode::Token,
    })
}

/// `repository` is a text or an object with a `url`.
fn repository_text(value: Option<&Value>) -> Option<String> {
    let value = value?;
    value
        .as_str()
        .or_else(|| value.get("url").and_then(Value::as_str))
        .map(str::to_owned)
}

#[derive(Deserialize)]
struct AttestationsWire {
    attestations: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttestationWire {
    #[serde(default)]
    predicate_type: String,
    bundle: Box<RawValue>,
}

/// One item of the list. An item of another shape is an attestation of an unknown kind, and spoils no other.
fn attestation(item: Box<RawValue>) -> UnverifiedAttestation {
    match serde_json::from_str::<AttestationWire>(item.get()) {
        Ok(wire) => UnverifiedAttestation::new(wire.predicate_type, wire.bundle),
        Err(_) => UnverifiedAttestation::new(String::new(), item),
    }
}

fn attestations(dossier: &Dossier, metadata: &Availability<Metadata>) -> Availability<Vec<UnverifiedAttestation>> {
    let Some(observation) = dossier.observation(Subject::Attestations) else {
        let detail = "the attestations were not asked for, since the metadata could not be read";
        return Availability::Unavailable(unavailable("npm", UnavailableReason::Unreachable, detail));
    };
    let parse = |bytes: &[u8]| {
        let wire: AttestationsWire = serde_json::from_slice(bytes).ok()?;
        (wire.attestations.len() <= ATTESTATION_LIMIT).then_some(wire.attestations)
    };
    match document(observation, parse, "a list of attestations") {
        Availability::Present(list) => Availability::Present(list.into_iter().map(attestation).collect()),
        Availability::Absent { because } => absence(&because, observation, metadata),
        Availability::Unavailable(trouble) => Availability::Unavailable(trouble),
    }
}

/// A 404 proves absence only beside metadata of the registry itself that announces nothing: a mirror that strips what it
/// does not know strips the registry's signatures as well.
fn absence(
    because: &str,
    observation: &Observation,
    metadata: &Availability<Metadata>,
) -> Availability<Vec<UnverifiedAttestation>> {
    let trouble = |reason, detail: &str| Availability::Unavailable(unavailable(&observation.url, reason, detail));
    match metadata {
        Availability::Present(metadata) if metadata.announces_attestations => trouble(
            UnavailableReason::NotRetained,
            "the metadata announces attestations that the registry does not serve",
        ),
        Availability::Present(metadata) if metadata.is_stripped => trouble(
            UnavailableReason::Stripped,
            "there is no attestation here, and the metadata has lost its registry signatures as well: a mirror that \
             strips them cannot prove that there is none",
        ),
        Availability::Present(_) => Availability::Absent {
            because: format!("the metadata announces no attestation, and {because}"),
        },
        Availability::Absent { .. } | Availability::Unavailable(_) => trouble(
            UnavailableReason::Unreachable,
            "without metadata a 404 proves no absence",
        ),
    }
}

fn artifact(dossier: &Dossier) -> Availability<Downloaded> {
    let chosen = dossier
        .observation(Subject::ArtifactAgain)
        .or_else(|| dossier.observation(Subject::Artifact));
    match chosen {
        Some(observation) => downloaded(observation),
        None => Availability::Unavailable(unavailable(
            "npm",
            UnavailableReason::Unreachable,
            "the artifact was not asked for, since the metadata could not be read",
        )),
    }
}

fn downloaded(observation: &Observation) -> Availability<Downloaded> {
    let trouble = |reason, detail: String| Availability::Unavailable(unavailable(&observation.url, reason, detail));
    let archive = match archive(observation) {
        Ok(archive) => archive,
        Err(problem) => return Availability::Unavailable(problem),
    };
    let response = archive.response;
    let manifest = match archive.member {
        ArchiveMember::NotAnArchive => {
            let kind = response.content_type.as_deref().unwrap_or("no content type");
            let detail = format!("the answer ({} bytes, {kind}) is not a tarball", response.size);
            return trouble(UnavailableReason::Malformed, detail);
        }
        ArchiveMember::Found { body: Body(bytes) } => match serde_json::from_slice::<Value>(strip_bom(bytes)) {
            Ok(value) => Availability::Present(inner_manifest(&value)),
            Err(source) => Availability::Unavailable(unavailable(
                &observation.url,
                UnavailableReason::Malformed,
                format!("package.json inside the tarball is not JSON: {source}"),
            )),
        },
        ArchiveMember::Missing => Availability::Absent {
            because: "the tarball has no package.json".to_owned(),
        },
        ArchiveMember::Unreadable { detail } => Availability::Unavailable(unavailable(
            &observation.url,
            UnavailableReason::Malformed,
            detail.clone(),
        )),
    };
    Availability::Present(Downloaded {
        name: observation.url.rsplit('/').next().unwrap_or_default().to_owned(),
        sha512: archive.sha512.clone(),
        sha256: response.sha256.clone(),
        sha1: archive.sha1.clone(),
        size: response.size,
        manifest,
    })
}

/// npm's own reader strips a byte order mark.
fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn inner_manifest(value: &Value) -> InnerManifest {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    InnerManifest {
        place: "package.json in the tarball",
        name: text("/name"),
        published_name: text("/publishConfig/name"),
        version: text("/version"),
        repository: repository_text(value.get("repository")),
        directory: text("/repository/directory"),
    }
}
