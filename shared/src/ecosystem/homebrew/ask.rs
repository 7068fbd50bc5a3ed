//! Asking Homebrew: the formula, then each of its bottles in the container registry, and its attestations in GitHub's store.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::join;

use super::formula::{Bottle, Formula, excerpt};
use super::read;
use super::{BACKFILL, CORE};
use crate::attestation::RepositoryUri;
use crate::availability::Availability;
use crate::dossier::{Dossier, Observation, Subject};
use crate::ecosystem::answer::{Ask, path_on, retry_after};
use crate::ecosystem::{Look, LookFault, Resolved};
use crate::forge::github::attestations as store;
use crate::package::{Coordinate, PackageName, PackageVersion, Selector};
use crate::ports::{Keep, Request};

/// The largest formula that is read, in bytes. Real ones have some tens of kilobytes.
const FORMULA_LIMIT: u64 = 4 << 20;
/// The largest bottle that is hashed, in bytes.
const BOTTLE_LIMIT: u64 = 4 << 30;
/// How many bottles are asked about at once: no more questions are on their way to GitHub than its reserve allows for.
const AT_ONCE: usize = 4;

/// Finds the version that is meant, with the formula that says so. Only the present version is served.
pub(super) async fn resolve(coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
    let (name, selector) = (&coordinate.name, &coordinate.selector);
    let request = formula_ask(name, look).request(look.at)?;
    let observed = look.fetch.fetch(request).await;
    let formula = match read::formula(name, &observed) {
        Availability::Present(formula) => formula,
        Availability::Absent { .. } => return Err(LookFault::NotFound(no_such_formula(coordinate))),
        Availability::Unavailable(trouble) => return undecided(coordinate, observed, &trouble.detail),
    };
    let Some(version) = formula.version() else {
        return Err(LookFault::NotFound(format!("{name} has no released version")));
    };
    if let Selector::Version(wanted) = selector
        && *wanted != version
    {
        let detail = format!("{name} is at {version}, and Homebrew serves no other version of it: not {wanted}");
        return Err(LookFault::NotFound(detail));
    }
    let bottles = formula.bottles().unwrap_or_default();
    if bottles.is_empty() {
        let detail = format!("{name} {version} has no bottle: whoever installs it builds it");
        return Err(LookFault::NotFound(detail));
    }
    if let Some(file) = &coordinate.file
        && bottles.iter().all(|bottle| bottle.filename != *file)
    {
        let names: Vec<&str> = bottles.iter().map(|bottle| bottle.filename.as_str()).collect();
        let detail = format!("{name} {version} has no bottle {file}; it has {}", names.join(", "));
        return Err(LookFault::NotFound(detail));
    }
    let exact = Coordinate {
        selector: Selector::Version(version),
        ..coordinate.clone()
    };
    let package = PackageVersion::new(name.clone(), exact.selector.as_str())
        .and_then(|_valid| PackageVersion::try_from(exact))
        .map_err(|source| LookFault::Upstream {
            detail: format!("the formula names a version that is none: {source}"),
            retry_after: None,
        })?;
    Ok(Resolved {
        package,
        observations: vec![observed],
    })
}

/// What to say of a name that the formula API does not know.
fn no_such_formula(coordinate: &Coordinate) -> String {
    let name = &coordinate.name;
    match &coordinate.selector {
        Selector::Version(version) => format!(
            "Homebrew has no formula {name}; the formula {name}@{version}, if that is meant, is written \
             brew:{name}@{version}@latest"
        ),
        Selector::Tag(_) => format!("Homebrew has no formula {name}"),
    }
}

/// Without a formula an exact version still gets a verdict, which says that nothing could be decided; the latest is none.
fn undecided(coordinate: &Coordinate, observed: Observation, detail: &str) -> Result<Resolved, LookFault> {
    match PackageVersion::try_from(coordinate.clone()) {
        Ok(package) => Ok(Resolved {
            package,
            observations: vec![observed],
        }),
        Err(_tag) => Err(LookFault::Upstream {
            detail: format!(
                "which version of {} is the latest could not be asked: {detail}",
                coordinate.name
            ),
            retry_after: retry_after(&observed),
        }),
    }
}

/// Collects bytes and attestations of every bottle of a resolved version, or of the one that is meant. Without the formula
/// nothing else is asked for.
///
/// Of each bottle GitHub is asked for one list of attestations, and for a second one where the first is empty; the bundles are
/// elsewhere. What a list held stands for twelve hours, and bundles that were read are not asked for again. A formula has some
/// eight bottles, and none that is read has more than four dozen.
pub(super) async fn collect(resolved: Resolved, look: &Look<'_>) -> Dossier {
    let mut dossier = Dossier::new(resolved.package, resolved.observations);
    let bottles = read::bottles(&dossier);
    let parts: Vec<_> = bottles
        .iter()
        .map(|bottle| collect_bottle(&dossier.package, bottle, look))
        .collect();
    let parts: Vec<Vec<(String, Vec<Observation>)>> = futures::stream::iter(parts).buffered(AT_ONCE).collect().await;
    for (about, part) in parts.into_iter().flatten() {
        dossier.observe_part(&about, part);
    }
    dossier
}

async fn collect_bottle(package: &PackageVersion, bottle: &Bottle, look: &Look<'_>) -> Vec<(String, Vec<Observation>)> {
    let (mut own, attestations) = join(bytes(bottle, look), attestations(package, bottle, look)).await;
    let (stored, backfilled) = attestations;
    own.extend(stored);
    let mut parts = vec![(bottle.filename.clone(), own)];
    parts.extend(backfilled.map(|part| (read::backfill(&bottle.filename), part)));
    parts
}

/// The bytes. A cache on the way may hold other bytes than the registry does: what contradicts the formula is asked for once
/// more, past every cache, before anybody is accused.
async fn bytes(bottle: &Bottle, look: &Look<'_>) -> Vec<Observation> {
    let base = &look.upstreams.bottles;
    let Some(path) = path_on(base, &bottle.url) else {
        return Vec::new();
    };
    let ask = Ask {
        subject: Subject::Artifact,
        base,
        path,
        accept: "*/*",
        keep: Keep::Digests,
        limit: BOTTLE_LIMIT,
        // That the bytes stay the same is what is to be found out.
        previous: None,
    };
    let Ok(request) = ask.request(look.at) else {
        return Vec::new();
    };
    let first = look.fetch.fetch(request.clone()).await;
    let contradicts = first.success().is_some_and(|response| response.sha256 != bottle.digest);
    if !contradicts {
        return vec![first];
    }
    let again = Request {
        subject: Subject::ArtifactAgain,
        uncached: true,
        ..request
    };
    vec![first, look.fetch.fetch(again).await]
}

/// What the store of the formulae's repository has, and where that is nothing, what the backfill's has.
async fn attestations(
    package: &PackageVersion,
    bottle: &Bottle,
    look: &Look<'_>,
) -> (Vec<Observation>, Option<Vec<Observation>>) {
    let stored = ask_store(CORE, &bottle.filename, bottle, look).await;
    let found = store::read(&Dossier::new(package.clone(), stored.clone()));
    let is_absent = matches!(found, Availability::Absent { .. });
    let backfilled = if is_absent {
        Some(ask_store(BACKFILL, &read::backfill(&bottle.filename), bottle, look).await)
    } else {
        None
    };
    (stored, backfilled)
}

async fn ask_store((owner, name): (&str, &str), about: &str, bottle: &Bottle, look: &Look<'_>) -> Vec<Observation> {
    let Some(repository) = RepositoryUri::new(owner, name) else {
        return Vec::new();
    };
    let previous = look.previous.map(|previous| previous.part(about));
    let look = Look {
        previous: previous.as_ref(),
        ..*look
    };
    store::ask(&repository, &bottle.digest, &look).await
}

/// The formula of a name.
pub(super) fn formula_ask<'a>(name: &PackageName, look: &Look<'a>) -> Ask<'a> {
    let keep = {
        let name = name.clone();
        Keep::Excerpt(Arc::new(move |bytes: &[u8]| excerpt(&name, bytes)))
    };
    Ask {
        subject: Subject::PackageIndex,
        base: &look.upstreams.homebrew,
        path: format!("/api/formula/{name}.json"),
        accept: "application/json",
        keep,
        limit: FORMULA_LIMIT,
        previous: look
            .previous
            .and_then(|dossier| dossier.observation(Subject::PackageIndex)),
    }
}

/// The version that a formula is at.
pub(super) fn package_version(name: &PackageName, formula: &Formula) -> Option<PackageVersion> {
    PackageVersion::new(name.clone(), &formula.version()?).ok()
}
