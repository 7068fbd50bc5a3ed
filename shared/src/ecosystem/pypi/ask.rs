//! Asking PyPI: resolve a coordinate, then collect what is served of each file of the version.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{join, join_all};

use super::document::{MEDIA_TYPE, parse};
use super::excerpt::excerpt;
use super::index::{IndexFile, ProvenanceLink, latest};
use super::{provenance, read, version};
use crate::availability::{Availability, UnavailableReason};
use crate::dossier::{Answer, Body, Dossier, Kept, Observation, Response, Subject};
use crate::ecosystem::answer::{Ask, retry_after};
use crate::ecosystem::{Look, LookFault, Resolved, evenly};
use crate::package::{Coordinate, PackageName, PackageVersion, Selector};
use crate::ports::{Keep, Request};

/// The largest index that is read, in bytes. The largest public ones have some tens of megabytes.
pub(super) const INDEX_LIMIT: u64 = 64 << 20;
/// The largest provenance that is read, in bytes. Real ones have ten kilobytes.
const PROVENANCE_LIMIT: u64 = 4 << 20;
/// The largest file that is hashed, in bytes.
const FILE_LIMIT: u64 = 4 << 30;
/// How many bytes one look downloads at most, beyond the first file. What is left the next look downloads.
const LOOK_LIMIT: u64 = 2 << 30;
/// The most files of a version that are asked about. The largest public ones have some hundreds.
const FILES: usize = 1000;
/// Of how many earlier versions the attestations are asked for at a first look.
const BACK_VERSIONS: usize = 12;

/// Finds the version that is meant, with the index that says so.
///
/// A version has to be spelled as the index spells it: under another spelling of PEP 440 it would be remembered twice.
pub(super) async fn resolve(coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
    let (name, selector) = (&coordinate.name, &coordinate.selector);
    let wanted = match selector {
        Selector::Version(version) => Some(version.clone()),
        Selector::Tag(_) => None,
    };
    let reduce = {
        let wanted = wanted.clone();
        move |bytes: &[u8]| {
            if let Some(version) = &wanted {
                return excerpt(version, bytes);
            }
            let index = parse(bytes)?;
            excerpt(latest(&index).unwrap_or_default(), bytes)
        }
    };
    // What could not be read then is asked for anew: the entity tag may be that of the whole document.
    let previous = look
        .previous
        .and_then(|dossier| dossier.observation(Subject::PackageIndex))
        .filter(|known| read::index(name, known).present().is_some());
    let request = index_ask(name, look, Keep::Excerpt(Arc::new(reduce)), previous).request(look.at)?;
    let observed = look.fetch.fetch(request).await;
    let index = match read::index(name, &observed) {
        Availability::Present(index) => index,
        Availability::Absent { .. } => {
            return Err(LookFault::NotFound(format!("{name} is not on the index")));
        }
        Availability::Unavailable(trouble) => return undecided(coordinate, observed, &trouble.detail),
    };
    if index.status.as_deref() == Some("quarantined") {
        let detail = format!("{name} is in quarantine: PyPI serves none of its files");
        return Err(LookFault::NotFound(detail));
    }
    let version = match &wanted {
        Some(version) => version.as_str(),
        None => latest(&index).ok_or_else(|| LookFault::NotFound(format!("{name} has no files")))?,
    };
    let files = index.files_of(version);
    if files.is_empty() {
        return Err(LookFault::NotFound(format!(
            "{name} has no files of a version {version}"
        )));
    }
    if let Some(spelled) = index.spelling_of(version).filter(|spelled| *spelled != version) {
        let detail = format!("{name} has no version {version}: the index spells it {spelled}");
        return Err(LookFault::NotFound(detail));
    }
    let package = package_version(name, version)?;
    let package = match coordinate.file.as_deref() {
        Some(file) if files.iter().all(|listed| listed.filename != file) => {
            return Err(LookFault::NotFound(format!("{name} {version} has no file {file}")));
        }
        Some(file) => of_file(&package, file)?,
        None => package,
    };
    Ok(Resolved {
        package,
        observations: vec![observed],
    })
}

/// Without an index an exact version still gets a verdict, which says that nothing could be decided; the latest is none.
fn undecided(coordinate: &Coordinate, index: Observation, detail: &str) -> Result<Resolved, LookFault> {
    match PackageVersion::try_from(coordinate.clone()) {
        Ok(package) => Ok(Resolved {
            package,
            observations: vec![index],
        }),
        Err(_tag) => Err(LookFault::Upstream {
            detail: format!(
                "which version of {} is the latest could not be asked: {detail}",
                coordinate.name
            ),
            retry_after: retry_after(&index),
        }),
    }
}

/// Collects provenance and bytes of every file of a resolved version. Without the index nothing else is asked for.
///
/// Provenance is asked for even where the index says that there is none: only both prove that. A look downloads a bounded
/// number of bytes; of files that an earlier look has downloaded the earlier answer stands in first, and the others are said
/// not to have been asked for yet.
pub(super) async fn collect(resolved: Resolved, look: &Look<'_>) -> Dossier {
    let mut dossier = Dossier::new(resolved.package, resolved.observations);
    let Some(index) = read::index_of(&dossier) else {
        return dossier;
    };
    let files = read::files(&dossier, &index);
    let downloaded = downloads(&files, look);
    let parts = files.iter().take(FILES).map(|file| {
        let is_downloaded = downloaded.contains(file.filename.as_str());
        collect_file(&dossier, file, is_downloaded, look)
    });
    for (file, part) in files.iter().zip(join_all(parts).await) {
        dossier.observe_part(&file.filename, part);
    }
    dossier
}

/// Which files this look downloads, as many as fit into its limit: those that no look has downloaded, or all again once there
/// are none left. What does not arrive in one look, on a slow line, does so in the next ones.
fn downloads<'a>(files: &[&'a IndexFile], look: &Look<'_>) -> BTreeSet<&'a str> {
    let is_new = |file: &&&IndexFile| earlier_bytes(file, look).is_none();
    let any_new = files.iter().any(|file| is_new(&file));
    let mut left = LOOK_LIMIT;
    let mut chosen = BTreeSet::new();
    for file in files.iter().filter(|file| !any_new || is_new(file)) {
        let size = file.size.unwrap_or(0);
        if chosen.is_empty() || size <= left {
            left = left.saturating_sub(size);
            chosen.insert(file.filename.as_str());
        }
    }
    chosen
}

/// What an earlier look downloaded of a file: what contradicts the index stands in for nothing, and is asked for again.
fn earlier_bytes(file: &IndexFile, look: &Look<'_>) -> Option<Observation> {
    let part = look.previous?.part(&file.filename);
    [Subject::ArtifactAgain, Subject::Artifact]
        .into_iter()
        .find_map(|subject| {
            part.observation(subject)
                .filter(|known| known.success().is_some() && !read::contradicts(file, known))
                .cloned()
        })
        .map(|known| Observation {
            subject: Subject::Artifact,
            ..known
        })
}

async fn collect_file(dossier: &Dossier, file: &IndexFile, is_downloaded: bool, look: &Look<'_>) -> Vec<Observation> {
    let part = look.previous.map(|previous| previous.part(&file.filename));
    let known = part
        .as_ref()
        .and_then(|part| part.observation(Subject::Attestations))
        .filter(|known| is_readable(known));
    let attestations = provenance_ask(&dossier.package, file, look, known).observe(look);
    if !is_downloaded {
        let bytes = earlier_bytes(file, look).unwrap_or_else(|| not_yet(file, look));
        return attestations.await.into_iter().chain([bytes]).collect();
    }
    let bytes = async {
        let Ok(request) = file_request(file, Subject::Artifact, look) else {
            return Vec::new();
        };
        let first = look.fetch.fetch(request.clone()).await;
        // A cache on the way may hold other bytes than the registry does: what contradicts the index is asked for once more,
        // past every cache, before anybody is accused.
        if !read::contradicts(file, &first) {
            return vec![first];
        }
        let again = Request {
            subject: Subject::ArtifactAgain,
            uncached: true,
            ..request
        };
        vec![first, look.fetch.fetch(again).await]
    };
    let (attestations, bytes) = join(attestations, bytes).await;
    attestations.into_iter().chain(bytes).collect()
}

/// Whether an answer of the integrity API could be read. One that could not is asked for anew: the entity tag may be that of
/// the whole object.
fn is_readable(known: &Observation) -> bool {
    let Some(response) = known.success() else { return false };
    match &response.kept {
        Kept::Whole { body: Body(bytes) } => !matches!(provenance::parse(bytes), provenance::Provenance::Malformed(_)),
        Kept::Excerpt { .. } | Kept::Archive { .. } | Kept::Digests { .. } | Kept::Nothing => false,
    }
}

/// A file that this look did not download, and no earlier one.
fn not_yet(file: &IndexFile, look: &Look<'_>) -> Observation {
    Observation {
        subject: Subject::Artifact,
        about: String::new(),
        url: file.path.clone().unwrap_or_default(),
        at: look.at,
        answer: Answer::Unanswered {
            reason: UnavailableReason::Unreachable,
            detail: format!(
                "one look downloads {} GiB at most: a later look downloads this file",
                LOOK_LIMIT >> 30
            ),
            retry_after: None,
        },
    }
}

/// Looks back at a dozen of the earlier versions of which a file announces a provenance, as far as they are not known: of
/// each at one file that stands for all.
pub(super) async fn look_back(dossier: &Dossier, look: &Look<'_>, known: &BTreeSet<String>) -> Vec<Dossier> {
    let releases = read::read(dossier);
    let (Some(index), Some(metadata)) = (
        dossier.observation(Subject::PackageIndex),
        releases.iter().find_map(|release| release.metadata.present()),
    ) else {
        return Vec::new();
    };
    let (name, own) = (dossier.package.name(), dossier.package.version());
    let attested = metadata
        .earlier
        .iter()
        .filter(|other| other.described.as_ref().is_some_and(|told| told.announces_attestations))
        .map(|other| other.version.as_str());
    let back = evenly(attested, own, BACK_VERSIONS, version::line);
    let unknown = back.into_iter().filter(|version| !known.contains(*version));
    let dossiers = unknown.map(|version| async move {
        let package = package_version(name, version).ok()?;
        let index = about(index, version)?;
        let mut back = Dossier::new(package, vec![index]);
        let listed = read::index_of(&back)?;
        let file = read::files(&back, &listed)
            .into_iter()
            .find(|file| file.provenance == ProvenanceLink::Announced)?;
        let attestations = provenance_ask(&back.package, file, look, None).observe(look).await;
        back.observe_part(&file.filename, attestations.into_iter().collect());
        Some(back)
    });
    join_all(dossiers).await.into_iter().flatten().collect()
}

/// What an index says of another version than the one that it was asked for.
fn about(index: &Observation, version: &str) -> Option<Observation> {
    let response = index.success()?;
    let body = Body(excerpt(version, response.kept.document()?)?);
    Some(Observation {
        answer: Answer::Answered(Response {
            kept: Kept::Excerpt { body },
            ..response.clone()
        }),
        ..index.clone()
    })
}

/// The index of a project. PyPI redirects other spellings of the name, which are not asked.
pub(super) fn index_ask<'a>(
    name: &PackageName,
    look: &Look<'a>,
    keep: Keep,
    previous: Option<&'a Observation>,
) -> Ask<'a> {
    Ask {
        subject: Subject::PackageIndex,
        base: &look.upstreams.pypi,
        path: format!("/simple/{name}/"),
        accept: MEDIA_TYPE,
        keep,
        limit: INDEX_LIMIT,
        previous,
    }
}

fn provenance_ask<'a>(
    package: &PackageVersion,
    file: &IndexFile,
    look: &Look<'a>,
    previous: Option<&'a Observation>,
) -> Ask<'a> {
    Ask {
        subject: Subject::Attestations,
        base: &look.upstreams.pypi,
        path: provenance::path(package.name().as_str(), package.version(), &file.filename),
        accept: provenance::MEDIA_TYPE,
        keep: Keep::Whole,
        limit: PROVENANCE_LIMIT,
        previous,
    }
}

fn file_request(file: &IndexFile, subject: Subject, look: &Look<'_>) -> Result<Request, LookFault> {
    let path = file
        .path
        .clone()
        .ok_or_else(|| LookFault::NotFound("the index gives no address".to_owned()))?;
    let ask = Ask {
        subject,
        base: &look.upstreams.pypi_files,
        path,
        accept: "*/*",
        keep: Keep::Distribution,
        limit: FILE_LIMIT,
        previous: None,
    };
    ask.request(look.at)
}

fn package_version(name: &PackageName, version: &str) -> Result<PackageVersion, LookFault> {
    PackageVersion::new(name.clone(), version).map_err(|source| LookFault::Upstream {
        detail: format!("the index names a version that is none: {source}"),
        retry_after: None,
    })
}

fn of_file(package: &PackageVersion, file: &str) -> Result<PackageVersion, LookFault> {
    let coordinate = Coordinate::from(package.clone()).of_file(file);
    coordinate
        .and_then(PackageVersion::try_from)
        .map_err(|source| LookFault::NotFound(source.to_string()))
}
