//! Reading the answers about a formula out of a dossier: a release for each bottle.

use std::collections::BTreeSet;

use url::Url;

use super::formula::{Bottle, Formula};
use super::rules::is_merged_into;
use super::{BACKFILL, BACKFILLED_UNTIL, CORE, LATEST, REGISTRY};
use crate::attestation::{PredicateType, UnverifiedAttestation};
use crate::availability::{Availability, UnavailableReason};
use crate::dossier::{Dossier, Observation, Subject};
use crate::ecosystem::answer::{self, digested, document, response, unavailable};
use crate::ecosystem::{ExpectedSubject, Metadata, Release, Terms};
use crate::forge::github::attestations as store;
use crate::package::{Digest, DigestAlgorithm, PackageName};

/// What Homebrew's workflows attest: how a bottle was built.
const EVALUATED: &[PredicateType] = &[PredicateType::SlsaProvenanceV1, PredicateType::SlsaProvenanceV02];

/// By which name a dossier holds what the backfill's store has of a bottle.
pub(super) fn backfill(filename: &str) -> String {
    let (owner, name) = BACKFILL;
    format!("{filename} in {owner}/{name}")
}

/// The formula that an observation holds.
pub(super) fn formula(name: &PackageName, observation: &Observation) -> Availability<Formula> {
    document(
        observation,
        |bytes| Formula::parse(name, bytes),
        "a formula of this name",
    )
}

/// The bottles that a dossier is about: those of the version, or the one that is asked about. None where the formula could not
/// be read, or is at another version.
pub(super) fn bottles(dossier: &Dossier) -> Vec<Bottle> {
    let observation = dossier.observation(Subject::PackageIndex);
    let found = observation.map(|observation| formula(dossier.package.name(), observation));
    let Some(Availability::Present(formula)) = found else {
        return Vec::new();
    };
    bottles_of(dossier, &formula)
}

fn bottles_of(dossier: &Dossier, formula: &Formula) -> Vec<Bottle> {
    if formula.version().as_deref() != Some(dossier.package.version()) {
        return Vec::new();
    }
    let mut bottles = formula.bottles().unwrap_or_default();
    if let Some(wanted) = dossier.package.file() {
        bottles.retain(|bottle| bottle.filename == wanted);
    }
    bottles.sort_by(|one, other| one.filename.cmp(&other.filename));
    bottles
}

/// Reads a dossier of a version, or of one bottle of it.
pub(super) fn read(dossier: &Dossier) -> Vec<Release> {
    let observation = dossier.observation(Subject::PackageIndex);
    let found = match observation {
        Some(observation) => formula(dossier.package.name(), observation),
        None => Availability::Unavailable(unavailable(
            "Homebrew",
            UnavailableReason::Unreachable,
            "nothing was asked",
        )),
    };
    let formula = match found {
        Availability::Present(formula) => formula,
        Availability::Absent { because } => return vec![unread(dossier, Availability::Absent { because })],
        Availability::Unavailable(trouble) => return vec![unread(dossier, Availability::Unavailable(trouble))],
    };
    let bottles = bottles_of(dossier, &formula);
    if bottles.is_empty() {
        let because = format!("the formula has no bottle of {}", dossier.package);
        return vec![unread(dossier, Availability::Absent { because })];
    }
    let evidence = answer::digest_of_answer(observation);
    let release = |bottle: &Bottle| release(dossier, bottle, &evidence);
    bottles.iter().map(release).collect()
}

/// A version of which the formula says nothing that could be read.
fn unread(dossier: &Dossier, metadata: Availability<Metadata>) -> Release {
    answer::unread(
        dossier,
        "Homebrew",
        "formula",
        metadata,
        terms(Signed::InCore, Vec::new(), false),
    )
}

/// Whose attestations a bottle has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    /// Those of the formulae's own repository, or none.
    InCore,
    /// Those of the backfill alone.
    Later,
}

/// What attestations have to say: one of the formulae's repository names the bottle, and one of the backfill the bottle after
/// the hash of its address.
fn terms(signed: Signed, names: Vec<String>, is_for_all: bool) -> Terms {
    let is_same: fn(&str, &str) -> bool = if is_for_all && signed == Signed::InCore {
        is_merged_into
    } else {
        |subject, name| subject == name
    };
    Terms {
        evaluates: EVALUATED,
        binds_repository: true,
        names_publishers: false,
        registry_signs: false,
        countersigned_by: None,
        subject: ExpectedSubject::File { names, is_same },
        digest: DigestAlgorithm::Sha256,
        digest_place: "formula sha256",
        accounts_sign: false,
    }
}

fn release(dossier: &Dossier, bottle: &Bottle, evidence: &Digest) -> Release {
    let part = dossier.part(&bottle.filename);
    let (signed, attestations, list) = attestations(dossier, &part, bottle);
    let (owner, name) = match signed {
        Signed::InCore => CORE,
        Signed::Later => BACKFILL,
    };
    let subjects = match signed {
        Signed::InCore => vec![bottle.filename.clone()],
        Signed::Later => later_names(bottle),
    };
    let downloaded = part
        .observation(Subject::ArtifactAgain)
        .or_else(|| part.observation(Subject::Artifact));
    let artifact = match downloaded {
        Some(observation) => digested(observation, &bottle.filename),
        None => Availability::Unavailable(unavailable(
            &bottle.url,
            UnavailableReason::Malformed,
            "the formula gives no address at which the bottle could be asked for",
        )),
    };
    Release {
        package: dossier.package.clone(),
        about: bottle.filename.clone(),
        metadata: Availability::Present(Metadata {
            declared_digest: Some(bottle.digest.clone()),
            declared_sha1: None,
            signed_text: None,
            signatures: Vec::new(),
            is_stripped: false,
            announces_attestations: false,
            // The formula API tells neither when nor how a version came about.
            published_at: None,
            publish_mode: None,
            publisher: None,
            tags: vec![LATEST.to_owned()],
            declared_repository: Some(format!("{owner}/{name}")),
            declared_commit: None,
            earlier: Vec::new(),
            soon_after: Vec::new(),
            evidence: evidence.clone(),
        }),
        attestations,
        served_nothing: None,
        attestations_evidence: list,
        artifact,
        terms: terms(signed, subjects, bottle.is_for_all),
    }
}

/// The names under which the backfill attests a bottle: its file name after the hash of its address. Whoever mirrors the
/// formula API may have put its own host before the address, and the backfill has seen the registry's.
fn later_names(bottle: &Bottle) -> Vec<String> {
    let served = Some(bottle.url.clone());
    let on_the_registry = Url::parse(&bottle.url)
        .ok()
        .and_then(|url| Some(format!("{REGISTRY}{}", &url.path().get(url.path().find("/v2/")?..)?)));
    let addresses: BTreeSet<String> = served.into_iter().chain(on_the_registry).collect();
    let name = |address: String| {
        format!(
            "{}--{}",
            Digest::sha256_of(address.as_bytes()).to_hex(),
            bottle.filename
        )
    };
    addresses.into_iter().map(name).collect()
}

/// The attestations of a bottle. There are none only where neither store has any.
fn attestations(
    dossier: &Dossier,
    part: &Dossier,
    bottle: &Bottle,
) -> (Signed, Availability<Vec<UnverifiedAttestation>>, Option<Digest>) {
    let evidence = |part: &Dossier| {
        let list = part.observation(Subject::StoredAttestations).and_then(response);
        list.map(|list| list.sha256.clone())
    };
    let about_it = |found: Vec<UnverifiedAttestation>| -> Vec<UnverifiedAttestation> {
        let about_it = |one: UnverifiedAttestation| one.about_one_of_many(bottle.digest.clone());
        found.into_iter().map(about_it).collect()
    };
    let because = match store::read(part) {
        Availability::Absent { because } => because,
        found @ (Availability::Present(_) | Availability::Unavailable(_)) => {
            return (Signed::InCore, found.map(about_it), evidence(part));
        }
    };
    let part = dossier.part(&backfill(&bottle.filename));
    let in_time = |found: Vec<UnverifiedAttestation>| -> Vec<UnverifiedAttestation> {
        let in_time = |one: UnverifiedAttestation| one.signed_until(BACKFILLED_UNTIL);
        about_it(found).into_iter().map(in_time).collect()
    };
    match store::read(&part) {
        Availability::Absent { .. } => {
            let because = format!("{because}, and neither has that of the earlier bottles");
            (Signed::InCore, Availability::Absent { because }, evidence(&part))
        }
        found @ (Availability::Present(_) | Availability::Unavailable(_)) => {
            (Signed::Later, found.map(in_time), evidence(&part))
        }
    }
}
