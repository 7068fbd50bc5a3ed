//! Asking npm: resolve a coordinate, then collect what is served of the version.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{join, join_all};
use serde_json::Value;

use super::packument::{Packument, excerpt, without_proofs};
use super::read;
use crate::availability::Availability;
use crate::dossier::{Answer, Body, Dossier, Kept, Observation, Response, Subject};
use crate::ecosystem::answer::{Ask, path_on, retry_after};
use crate::ecosystem::{Look, LookFault, Resolved};
use crate::package::{Coordinate, PackageName, PackageVersion, Selector};
use crate::ports::{Keep, Request};

/// The largest packument that is read, in bytes. The largest public ones have some tens of megabytes.
pub(super) const PACKUMENT_LIMIT: u64 = 64 << 20;
/// The largest version manifest or attestation list that is read, in bytes. Real lists have 15 kilobytes.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// The largest tarball that is hashed, in bytes.
const TARBALL_LIMIT: u64 = 512 << 20;

pub(super) const JSON: &str = "application/json";

/// Finds the version that is meant, with the observations that say so.
///
/// The packument alone tells an unpublished version from one that never was. Where a registry answers 404 to it, the
/// version's own manifest is asked for: some mirrors serve nothing else.
pub(super) async fn resolve(coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
    let (name, selector) = (&coordinate.name, &coordinate.selector);
    let observed = look.fetch.fetch(packument_request(look, name, selector)?).await;
    match read::packument(name, &observed) {
        Availability::Present(packument) => {
            let version = packument.resolve(selector).ok_or_else(|| no_such_tag(coordinate))?;
            if packument.versions.contains_key(version) {
                Ok(Resolved {
                    package: package_version(name, version)?,
                    observations: vec![observed],
                })
            } else if packument.time.contains_key(version) {
                Err(LookFault::NotFound(format!("{name} {version} was unpublished")))
            } else {
                Err(LookFault::NotFound(format!("{name} has no version {version}")))
            }
        }
        Availability::Absent { .. } => resolve_by_manifest(coordinate, look, observed).await,
        Availability::Unavailable(trouble) => undecided(coordinate, vec![observed], &trouble.detail),
    }
}

fn packument_request(look: &Look<'_>, name: &PackageName, selector: &Selector) -> Result<Request, LookFault> {
    let keep = {
        let (name, selector) = (name.clone(), selector.clone());
        Keep::Excerpt(Arc::new(move |bytes: &[u8]| excerpt(&name, &selector, bytes)))
    };
    request(
        look,
        Subject::Packument,
        &package_path(name),
        JSON,
        keep,
        PACKUMENT_LIMIT,
    )
}

async fn resolve_by_manifest(
    coordinate: &Coordinate,
    look: &Look<'_>,
    packument: Observation,
) -> Result<Resolved, LookFault> {
    let (name, selector) = (&coordinate.name, &coordinate.selector);
    let path = format!("{}/{}", package_path(name), percent_encode(selector.as_str()));
    let observed = look
        .fetch
        .fetch(request(
            look,
            Subject::VersionManifest,
            &path,
            JSON,
            Keep::Whole,
            DOCUMENT_LIMIT,
        )?)
        .await;
    match read::version_manifest(name, &observed) {
        Availability::Present(manifest) => {
            let version = manifest.get("version").and_then(Value::as_str).unwrap_or_default();
            let package = package_version(name, version)?;
            match selector {
                Selector::Version(wanted) if wanted != version => {
                    Err(LookFault::NotFound(format!("{name} has no version {wanted}")))
                }
                Selector::Version(_) | Selector::Tag(_) => Ok(Resolved {
                    package,
                    observations: vec![packument, observed],
                }),
            }
        }
        Availability::Absent { .. } => Err(LookFault::NotFound(format!(
            "{name} {} is not on the registry",
            selector.as_str()
        ))),
        Availability::Unavailable(trouble) => undecided(coordinate, vec![packument, observed], &trouble.detail),
    }
}

/// Without metadata an exact version still gets a verdict, which says that nothing could be decided; a tag names nothing.
fn undecided(coordinate: &Coordinate, observations: Vec<Observation>, detail: &str) -> Result<Resolved, LookFault> {
    match &coordinate.selector {
        Selector::Version(version) => Ok(Resolved {
            package: package_version(&coordinate.name, version)?,
            observations,
        }),
        Selector::Tag(tag) => Err(LookFault::Upstream {
            detail: format!(
                "which version {:?} of {} is could not be asked: {detail}",
                tag, coordinate.name
            ),
            retry_after: observations.iter().find_map(retry_after),
        }),
    }
}

/// Looks back at a dozen of the earlier versions that announce attestations, as far as they are not known. One that was known once,
/// so that what proves it was not [kept](drop_proofs), is looked up in the registry's list anew.
pub(super) async fn look_back(dossier: &Dossier, look: &Look<'_>, known: &BTreeSet<String>) -> Vec<Dossier> {
    let (name, version) = (dossier.package.name(), dossier.package.version());
    let observed = dossier.observation(Subject::Packument);
    let Some((observed, packument)) =
        observed.and_then(|observed| Some((observed, Packument::parse(name, document(observed)?)?)))
    else {
        return Vec::new();
    };
    let look = &Look {
        previous: None,
        ..*look
    };
    let mut back = packument.back(version);
    back.retain(|version| !known.contains(*version));
    let anew = if back.iter().all(|version| packument.proves(version)) {
        None
    } else {
        let selector = Selector::Version(version.to_owned());
        observe(look, packument_request(look, name, &selector)).await
    };
    let observed = anew
        .as_ref()
        .filter(|anew| document(anew).is_some())
        .unwrap_or(observed);
    let unknown = back.into_iter();
    let dossiers = unknown.map(|version| async move {
        let package = PackageVersion::new(name.clone(), version).ok()?;
        let packument = about(observed, &package)?;
        let request = attestations_request(look, &package);
        let observations = [Some(packument), observe(look, request).await];
        Some(Dossier::new(package, observations.into_iter().flatten().collect()))
    });
    join_all(dossiers).await.into_iter().flatten().collect()
}

/// Leaves out what proves the releases of earlier versions that are known.
pub(super) fn drop_proofs(dossier: &mut Dossier, known: &BTreeSet<String>) {
    let package = &dossier.package;
    for observation in &mut dossier.observations {
        if observation.subject == Subject::Packument
            && let Answer::Answered(response) = &mut observation.answer
            && let Kept::Excerpt { body } = &mut response.kept
            && let Some(bytes) = without_proofs(package.name(), package.version(), known, &body.0)
        {
            body.0 = bytes;
        }
    }
}

/// The document of an answer that said what was asked for.
fn document(observation: &Observation) -> Option<&[u8]> {
    observation.success()?.kept.document()
}

/// What a packument says of another version than the one that it was asked for.
fn about(packument: &Observation, package: &PackageVersion) -> Option<Observation> {
    let response = packument.success()?;
    let selector = Selector::Version(package.version().to_owned());
    let body = Body(excerpt(package.name(), &selector, document(packument)?)?);
    Some(Observation {
        answer: Answer::Answered(Response {
            kept: Kept::Excerpt { body },
            ..response.clone()
        }),
        ..packument.clone()
    })
}

/// Collects attestations and tarball of a resolved version. Without its metadata nothing else is asked for: neither answer
/// could be judged.
pub(super) async fn collect(resolved: Resolved, look: &Look<'_>) -> Dossier {
    let package = resolved.package.clone();
    let mut dossier = Dossier::new(resolved.package, resolved.observations);
    let Some(manifest) = read::manifest(&dossier) else {
        return dossier;
    };
    let attestations = observe(look, attestations_request(look, &package));
    let tarball = observe(look, artifact_request(look, Subject::Artifact, &package, &manifest));
    let (attestations, tarball) = join(attestations, tarball).await;
    for observation in [attestations, tarball].into_iter().flatten() {
        dossier.observe(observation);
    }
    // A cache on the way may hold other bytes than the registry does: what contradicts the metadata is asked for once
    // more, past every cache, before anybody is accused.
    if read::artifact_contradicts_metadata(&dossier) {
        let again = artifact_request(look, Subject::ArtifactAgain, &package, &manifest).map(|request| Request {
            uncached: true,
            previous: None,
            ..request
        });
        if let Some(observation) = observe(look, again).await {
            dossier.observe(observation);
        }
    }
    dossier
}

/// Every URL here is built from a validated name and a configured base, so that a request fails to build only if the base
/// itself cannot carry a path, which configuration refuses.
async fn observe(look: &Look<'_>, request: Result<Request, LookFault>) -> Option<Observation> {
    match request {
        Ok(request) => Some(look.fetch.fetch(request).await),
        Err(_unbuildable) => None,
    }
}

fn attestations_request(look: &Look<'_>, package: &PackageVersion) -> Result<Request, LookFault> {
    let path = format!(
        "/-/npm/v1/attestations/{}@{}",
        encoded_name(package.name()),
        percent_encode(package.version())
    );
    request(look, Subject::Attestations, &path, JSON, Keep::Whole, DOCUMENT_LIMIT)
}

fn artifact_request(
    look: &Look<'_>,
    subject: Subject,
    package: &PackageVersion,
    manifest: &Value,
) -> Result<Request, LookFault> {
    let path = manifest
        .pointer("/dist/tarball")
        .and_then(Value::as_str)
        .and_then(|declared| path_on(&look.upstreams.npm, declared))
        .unwrap_or_else(|| conventional_tarball_path(package));
    request(look, subject, &path, "*/*", Keep::NpmTarball, TARBALL_LIMIT)
}

fn conventional_tarball_path(package: &PackageVersion) -> String {
    let (_scope, bare) = package.name().scope_and_name();
    format!("/{}/-/{bare}-{}.tgz", package.name(), percent_encode(package.version()))
}

pub(super) fn package_path(name: &PackageName) -> String {
    format!("/{}", encoded_name(name))
}

/// `@scope/name` is one path segment, with the slash encoded in lower case as npm's own clients do.
fn encoded_name(name: &PackageName) -> String {
    name.as_str().replace('/', "%2f")
}

/// A version or tag has URL-safe characters and, for build metadata, a plus.
fn percent_encode(text: &str) -> String {
    text.replace('+', "%2B")
}

pub(super) fn request(
    look: &Look<'_>,
    subject: Subject,
    path: &str,
    accept: &'static str,
    keep: Keep,
    limit: u64,
) -> Result<Request, LookFault> {
    // Documents are asked for conditionally. Artifacts are hashed anew at every look: that their bytes stay the same is
    // what is to be found out.
    let is_document = matches!(
        subject,
        Subject::Packument | Subject::VersionManifest | Subject::Attestations
    );
    let previous = look.previous.filter(|_| is_document);
    let ask = Ask {
        subject,
        base: &look.upstreams.npm,
        path: path.to_owned(),
        accept,
        keep,
        limit,
        previous: previous.and_then(|dossier| dossier.observation(subject)),
    };
    ask.request(look.at)
}

fn package_version(name: &PackageName, version: &str) -> Result<PackageVersion, LookFault> {
    PackageVersion::new(name.clone(), version).map_err(|source| LookFault::Upstream {
        detail: format!("the registry names a version that is none: {source}"),
        retry_after: None,
    })
}

fn no_such_tag(coordinate: &Coordinate) -> LookFault {
    LookFault::NotFound(format!(
        "{} has no dist-tag {:?}",
        coordinate.name,
        coordinate.selector.as_str()
    ))
}
