//! Attestations as PyPI serves them: that what is read of them verifies as what was signed, and nothing else does.

use hekate::adapters::http::read_core_metadata;
use hekate::attestation::{PredicateType, Refusal, TrustMaterial, TrustOrigin, UnverifiedAttestation};
use hekate::dossier::ArchiveMember;
use hekate::ecosystem::Ecosystem;
use hekate::ecosystem::pypi::filename::{Distribution, is_same_distribution};
use hekate::ecosystem::pypi::metadata;
use hekate::ecosystem::pypi::provenance::{PUBLISH, Provenance, parse};
use hekate::package::DigestAlgorithm;
use hekate_tests::corpus::{Corpus, NPM_KEYS, TRUSTED_ROOT};
use serde_json::{Value, json};
use testbed::bundle::Format;
use testbed::{Release, World};

use crate::attestations::provenance_of;
use crate::corpus::corpus;
use crate::shape::now;

pub(crate) const STAGING: &str = "trust/trusted_root.staging.sigstore-python.json";

/// A bundle of version 0.3 as PEP 740 writes it.
pub(crate) fn attestation_of(bundle: &Value) -> Value {
    json!({
        "version": 1,
        "verification_material": {
            "certificate": bundle["verificationMaterial"]["certificate"]["rawBytes"],
            "transparency_entries": bundle["verificationMaterial"]["tlogEntries"],
        },
        "envelope": {
            "statement": bundle["dsseEnvelope"]["payload"],
            "signature": bundle["dsseEnvelope"]["signatures"][0]["sig"],
        },
    })
}

fn generated() -> Value {
    let item = provenance_of(&Release::honest("a", "1.0.0").bundle_format(Format::v03()));
    attestation_of(&item["bundle"])
}

fn material() -> TrustMaterial {
    let world = World::shared();
    TrustMaterial::new(&world.trusted_root_json(), &world.npm_keys_json(), TrustOrigin::Files).unwrap()
}

fn listed(attestations: &[Value]) -> Vec<UnverifiedAttestation> {
    let publisher = json!({"kind": "GitHub", "repository": "o/r", "workflow": "release.yml"});
    let bundles = json!([{"publisher": publisher, "attestations": attestations}]);
    match parse(
        json!({"version": 1, "attestation_bundles": bundles})
            .to_string()
            .as_bytes(),
    ) {
        Provenance::Listed(listed) => listed,
        other @ (Provenance::NoBundles
        | Provenance::NoAttestations
        | Provenance::Unsupported(_)
        | Provenance::Malformed(_)) => panic!("{other:?}"),
    }
}

fn refusal(attestation: &Value) -> Option<Refusal> {
    let listed = listed(std::slice::from_ref(attestation));
    material().verify(&listed[0], now()).err()
}

/// Every place of a value that can be taken out, as JSON pointers to its parents with the last step.
fn members(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    if let Value::Object(object) = value {
        for (name, member) in object {
            found.push((at.to_owned(), name.clone()));
            members(member, &format!("{at}/{name}"), found);
        }
    }
}

#[test]
fn an_attestation_in_the_form_of_pep_740_verifies_as_the_bundle_that_it_was() {
    let listed = listed(&[generated()]);
    let verified = material().verify(&listed[0], now()).unwrap();
    assert_eq!(verified.statement.predicate_type, PredicateType::SlsaProvenanceV1);
    assert!(verified.log.is_some_and(|log| log.proof && log.promise));
}

#[test]
fn an_attestation_without_one_of_its_parts_never_verifies_and_hides_none_beside_it() {
    let whole = generated();
    let mut places = Vec::new();
    members(&whole, "", &mut places);
    for (parent, name) in places.iter().filter(|(_, name)| name != "version") {
        let mut broken = whole.clone();
        broken
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(name);
        let listed = listed(&[broken, whole.clone()]);
        let refused = material().verify(&listed[0], now()).unwrap_err();
        assert!(
            matches!(refused, Refusal::Forged { .. }),
            "{parent}/{name}: {refused:?}"
        );
        material().verify(&listed[1], now()).unwrap();
    }
}

#[test]
fn what_is_no_attestation_is_refused_and_never_passed_over() {
    for value in [json!(null), json!(7), json!({}), json!([]), json!({"version": 1})] {
        let listed = listed(std::slice::from_ref(&value));
        assert_eq!(listed[0].declared_predicate_type.as_deref(), Some(PUBLISH));
        assert!(matches!(refusal(&value), Some(Refusal::Forged { .. })), "{value}");
    }
}

#[test]
fn an_attestation_of_another_version_is_not_supported() {
    for version in [json!(2), json!("1"), json!(null)] {
        let mut attestation = generated();
        attestation["version"] = version;
        assert!(matches!(refusal(&attestation), Some(Refusal::Unsupported(_))));
    }
}

#[test]
fn an_attestation_with_a_changed_statement_is_forged() {
    let mut attestation = generated();
    let other = provenance_of(&Release::honest("b", "1.0.0").bundle_format(Format::v03()));
    attestation["envelope"]["statement"] = other["bundle"]["dsseEnvelope"]["payload"].clone();
    assert!(matches!(refusal(&attestation), Some(Refusal::Forged { .. })));
}

/// Every recorded attestation, with the file that it was recorded for.
fn recorded(corpus: &Corpus) -> Vec<(String, Value)> {
    let mut recorded = Vec::new();
    for row in corpus.below("pypi/", &["pypi-attestation"]) {
        recorded.push((row.path.clone(), corpus.json(&row.path).unwrap()));
    }
    for row in corpus.below("pypi/", &["pypi-provenance"]) {
        let document = corpus.json(&row.path).unwrap();
        let Provenance::Listed(listed) = parse(&corpus.read(&row.path).unwrap()) else {
            panic!("{} lists nothing", row.path)
        };
        let bundles = document["attestation_bundles"].as_array().unwrap();
        let attestations: Vec<&Value> = bundles
            .iter()
            .flat_map(|bundle| bundle["attestations"].as_array().unwrap())
            .collect();
        assert_eq!(listed.len(), attestations.len(), "{}", row.path);
        recorded.extend(attestations.into_iter().map(|value| (row.path.clone(), value.clone())));
    }
    recorded
}

#[test]
fn every_recorded_attestation_verifies_but_the_drafts_from_before_the_format_was_final() {
    let Some(corpus) = corpus() else { return };
    let recorded = recorded(&corpus);
    assert!(recorded.len() >= 10, "only {} attestations", recorded.len());
    let keys = String::from_utf8(corpus.read(NPM_KEYS).unwrap()).unwrap();
    let trust = |root| {
        let root = String::from_utf8(corpus.read(root).unwrap()).unwrap();
        TrustMaterial::new(&root, &keys, TrustOrigin::Files).unwrap()
    };
    let (public, staging) = (trust(TRUSTED_ROOT), trust(STAGING));
    let (mut authentic, mut drafts) = (0, 0);
    for (path, value) in &recorded {
        let listed = listed(std::slice::from_ref(value));
        let attestation = &listed[0];
        // Some were made against Sigstore's staging instance, whose log has another name.
        let is_staged = value.to_string().contains("sigstage");
        let (material, foreign) = if is_staged {
            (&staging, &public)
        } else {
            (&public, &staging)
        };
        assert!(
            foreign.verify(attestation, now()).is_err(),
            "{path} with foreign material"
        );
        match material.verify(attestation, now()) {
            Ok(verified) => {
                assert!(value.get("envelope").is_some(), "{path} is a draft");
                assert_eq!(
                    verified.statement.predicate_type,
                    PredicateType::PypiPublishV1,
                    "{path}"
                );
                assert!(verified.statement.subject.digest(DigestAlgorithm::Sha256).is_some());
                authentic += 1;
            }
            Err(refused) => {
                assert!(value.get("envelope").is_none(), "{path}: {refused:?}");
                assert!(matches!(refused, Refusal::Forged { .. }), "{path}: {refused:?}");
                drafts += 1;
            }
        }
    }
    println!("{authentic} authentic, {drafts} drafts refused");
    assert!(authentic > 0 && drafts > 0);
}

#[test]
fn every_recorded_attestation_names_the_file_that_it_was_made_for() {
    let Some(corpus) = corpus() else { return };
    let keys = String::from_utf8(corpus.read(NPM_KEYS).unwrap()).unwrap();
    let mut written_otherwise = 0;
    for (path, value) in recorded(&corpus)
        .iter()
        .filter(|(_, value)| value.get("envelope").is_some())
    {
        let root = if value.to_string().contains("sigstage") {
            STAGING
        } else {
            TRUSTED_ROOT
        };
        let root = String::from_utf8(corpus.read(root).unwrap()).unwrap();
        let material = TrustMaterial::new(&root, &keys, TrustOrigin::Files).unwrap();
        let listed = listed(std::slice::from_ref(value));
        let subject = material.verify(&listed[0], now()).unwrap().statement.subject;
        let recorded_as = path.rsplit('/').next().unwrap().trim_start_matches("history-");
        let filename = [".publish.attestation.json", ".attestation.json", ".provenance.json"]
            .iter()
            .find_map(|ending| recorded_as.strip_suffix(ending))
            .unwrap_or_else(|| panic!("{path} does not say what it was recorded for"));
        // Another may be recorded under the name of a page.
        if Distribution::parse(filename).is_some() {
            assert!(
                is_same_distribution(filename, &subject.name),
                "{filename} {}",
                subject.name
            );
            written_otherwise += usize::from(filename != subject.name);
        }
    }
    assert!(
        written_otherwise > 0,
        "some subject is written in another way than its file"
    );
}

#[test]
fn every_recorded_distribution_has_metadata_that_names_it_as_its_file_does() {
    let Some(corpus) = corpus() else { return };
    let registry = Ecosystem::PyPi.registry();
    let mut read = 0;
    for row in corpus.below("pypi/", &["pypi-dist"]) {
        let filename = row.path.rsplit('/').next().unwrap();
        let named = Distribution::parse(filename).unwrap();
        let bytes = corpus.read(&row.path).unwrap();
        let ArchiveMember::Found { body } = read_core_metadata(bytes.as_slice()) else {
            panic!("{filename} has no metadata")
        };
        let metadata = metadata::parse(&body.0);
        assert_eq!(
            metadata.name.and_then(|name| registry.name(&name).ok()),
            Some(named.project),
            "{filename}"
        );
        assert!(
            registry.is_same_version(&metadata.version.unwrap(), &named.version),
            "{filename}"
        );
        read += 1;
    }
    assert!(read > 0);
}
