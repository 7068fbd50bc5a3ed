//! What PyPI's attestations are worth, how they and the files are bent, and the runs that made them.

use crate::{
    pypi::{SDIST, WHEEL, attestations, build, bytes, integrity, listing, provenance, statement, unzipped, widget},
    verifier,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sigstore::{VerificationPolicy, types::Bundle};
use testbed::{
    BASE_TIME, Build, PypiFile, PypiPredicate, PypiPublisher, PypiRelease, Scenario, Uploader, World, github::Run,
    moment,
};

/// The bundle that holds what an attestation object holds.
fn bundle(attestation: &Value) -> Bundle {
    let material = &attestation["verification_material"];
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": material["certificate"]},
            "tlogEntries": material["transparency_entries"],
        },
        "dsseEnvelope": {
            "payload": attestation["envelope"]["statement"],
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": attestation["envelope"]["signature"]}],
        },
    });
    Bundle::from_json(&bundle.to_string()).unwrap()
}

/// The verifier's opinion on every attestation of a file, with the bytes that are served.
fn check(release: PypiRelease, filename: &str) -> Result<Vec<sigstore::VerificationResult>, String> {
    let scenario = Scenario::new().release(release);
    let (bytes, provenance) = (bytes(&scenario, filename), provenance(&scenario, filename));
    let verifier = verifier(scenario.world());
    let verify = |attestation| {
        let policy = VerificationPolicy::any_identity();
        let result = verifier.verify(&bytes, &bundle(attestation), &policy);
        result.map_err(|error| error.to_string())
    };
    attestations(&provenance).iter().map(verify).collect()
}

fn run(scenario: &Scenario, build: &Build) -> Value {
    let path = format!("/repos/{}/actions/runs/{}", build.repository, build.run_id);
    scenario.github_response(&path).as_json().unwrap()
}

#[test]
fn every_kind_of_attestation_verifies() {
    for predicates in [
        vec![PypiPredicate::Publish],
        vec![PypiPredicate::PublishEmpty],
        vec![PypiPredicate::Publish, PypiPredicate::Slsa],
    ] {
        let release = widget().files(|file| file.predicates(predicates.clone()));
        for name in [WHEEL, SDIST] {
            let results = check(release.clone(), name).unwrap();
            assert_eq!(results.len(), predicates.len());
            let complete = |result: &sigstore::VerificationResult| result.tlog_verified() && result.sct_verified();
            assert!(results.iter().all(complete), "{predicates:?}");
        }
    }
}

#[test]
fn a_slsa_attestation_names_the_workflow_as_the_builder() {
    let scenario = Scenario::new().release(widget().files(|file| file.predicates([PypiPredicate::Slsa])));
    let provenance = provenance(&scenario, WHEEL);
    let predicate = &statement(&attestations(&provenance)[0])["predicate"];
    let definition = &predicate["buildDefinition"];
    assert_eq!(
        definition["buildType"],
        "https://actions.github.io/buildtypes/workflow/v1"
    );
    assert_eq!(
        definition["internalParameters"]["github"]["runner_environment"],
        "github-hosted"
    );
    assert_eq!(predicate["runDetails"]["builder"]["id"], build().signer_uri());
}

#[test]
fn publishers_are_of_every_kind() {
    let block = |release: PypiRelease| {
        let scenario = Scenario::new().release(release);
        provenance(&scenario, SDIST)["attestation_bundles"][0]["publisher"].clone()
    };
    let gitlab = block(widget().build(Build::on_gitlab));
    assert_eq!(
        (&gitlab["kind"], &gitlab["workflow_filepath"]),
        (&json!("GitLab"), &json!(".gitlab-ci.yml"))
    );
    let google = widget().by_service_account("ci@project.iam.gserviceaccount.com");
    assert_eq!(block(google.clone())["email"], "ci@project.iam.gserviceaccount.com");
    let results = check(google, SDIST).unwrap();
    assert_eq!(
        results[0].identity().unwrap().as_str(),
        "ci@project.iam.gserviceaccount.com"
    );
    let other = PypiPublisher::Other(json!({"kind": "CircleCI", "project_id": "1"}));
    let release = widget().files(move |file| file.publisher_named(other.clone()));
    assert_eq!(block(release)["kind"], "CircleCI");
}

#[test]
fn what_is_stripped_or_missing_is_so_in_one_place_only() {
    let stripped = Scenario::new().release(widget().sdist(PypiFile::link_stripped));
    assert_eq!(listing(&stripped, SDIST)["provenance"], Value::Null);
    assert_eq!(integrity(&stripped, SDIST).status, 200);
    let missing = Scenario::new().release(widget().sdist(PypiFile::provenance_missing));
    assert!(listing(&missing, SDIST)["provenance"].is_string());
    assert_eq!(integrity(&missing, SDIST).status, 404);
    assert_eq!(integrity(&missing, WHEEL).status, 200, "the other file is honest");
}

#[test]
fn bends_of_the_statement_are_signed() {
    let digest = Scenario::new().release(widget().sdist(PypiFile::other_digest));
    let served = listing(&digest, SDIST)["hashes"].clone();
    let signed = statement(&attestations(&provenance(&digest, SDIST))[0]);
    assert_ne!(signed["subject"][0]["digest"], served);
    assert!(check(widget().sdist(PypiFile::other_digest), SDIST).is_err());
    let renamed = widget().sdist(|file| file.subject_named("other-1.2.3.tar.gz"));
    let scenario = Scenario::new().release(renamed.clone());
    let signed = statement(&attestations(&provenance(&scenario, SDIST))[0]);
    assert_eq!(signed["subject"][0]["name"], "other-1.2.3.tar.gz");
    assert!(check(renamed, SDIST).is_ok(), "names are not the verifier's matter");
}

#[test]
fn forged_and_swapped_files_are_noticed() {
    assert!(check(widget().forged_by(&World::foreign()), SDIST).is_err());
    assert!(check(widget().files(PypiFile::swapped_by_one_byte), WHEEL).is_err());
    assert!(check(widget().files(PypiFile::swapped_by_one_byte), SDIST).is_err());
    let swapped = Scenario::new().release(widget().wheels(PypiFile::swapped_by_one_byte));
    assert!(unzipped(&bytes(&swapped, WHEEL), "acme_widget-1.2.3.dist-info/METADATA").is_some());
    let scenario = Scenario::new().release(widget());
    let serial = scenario.pypi().serial();
    assert!(
        scenario
            .pypi()
            .replace_file("acme-widget", WHEEL, |bytes| bytes.push(0))
    );
    assert_ne!(bytes(&scenario, WHEEL).len(), listing(&scenario, WHEEL)["size"]);
    assert_eq!(scenario.pypi().serial(), serial);
}

#[test]
fn provenance_objects_are_bent_in_their_shape() {
    let shape = |change: fn(PypiFile) -> PypiFile| provenance(&Scenario::new().release(widget().sdist(change)), SDIST);
    assert_eq!(shape(PypiFile::empty_bundles)["attestation_bundles"], json!([]));
    assert!(attestations(&shape(PypiFile::empty_attestations)).is_empty());
    let draft = shape(PypiFile::as_draft);
    let draft = &attestations(&draft)[0];
    assert_eq!(draft["envelope"], Value::Null);
    assert!(draft["message_signature"].is_string());
    let named = shape(|file| {
        file.publisher_named(PypiPublisher::GitHub {
            repository: "mallory/widget".to_owned(),
            workflow: "publish.yml".to_owned(),
            environment: None,
        })
    });
    assert_eq!(
        named["attestation_bundles"][0]["publisher"]["repository"],
        "mallory/widget"
    );
    let malformed = shape(|file| {
        file.attestation(|attestation| attestation["verification_material"]["transparency_entries"] = json!([]))
    });
    let malformed = &attestations(&malformed)[0];
    assert_eq!(malformed["verification_material"]["transparency_entries"], json!([]));
}

#[test]
fn all_files_of_a_release_come_from_one_run_that_signs_in_its_publish_step() {
    for (uploader, step) in [
        (Uploader::PypaAction, "Run pypa/gh-action-pypi-publish@release/v1"),
        (Uploader::Twine, "Run twine upload --attestations dist/*"),
        (Uploader::Uv, "Run uv publish"),
    ] {
        let tags = [
            "cp312-cp312-manylinux_2_17_x86_64",
            "cp312-cp312-win_amd64",
            "cp312-cp312-macosx_11_0_arm64",
        ];
        let release = tags
            .into_iter()
            .fold(widget(), |release, tag| release.with(PypiFile::wheel(tag)));
        let late = BASE_TIME + jiff::SignedDuration::from_secs(40);
        let release = release
            .uploaded_with(uploader)
            .with(PypiFile::wheel("py2-none-any").signed_at(late));
        let scenario = Scenario::new().release(release);
        let build = build();
        let path = format!("/repos/{}/actions/runs/{}/jobs", build.repository, build.run_id);
        let jobs = scenario.github_response(&path).as_json().unwrap();
        let steps = jobs["jobs"][0]["steps"].as_array().unwrap();
        let publish = steps.iter().find(|item| item["name"] == step).unwrap();
        let time = |name: &str| moment(publish[name].as_str().unwrap());
        assert!(
            time("started_at") < BASE_TIME && late < time("completed_at"),
            "{publish}"
        );
        assert_eq!(run(&scenario, &build)["head_sha"], build.commit);
        let runs = &scenario.github().repository(&build.repository).unwrap().runs.len();
        assert_eq!(*runs, 1);
    }
}

#[test]
fn a_file_can_come_from_a_run_of_its_own() {
    let release = widget().sdist(|file| file.build(|build| build.run_id = 7));
    let scenario = Scenario::new().release(release);
    assert_eq!(run(&scenario, &build())["conclusion"], "success");
    let own = Build { run_id: 7, ..build() };
    assert_eq!(run(&scenario, &own)["id"], 7);
    let results = check(widget().sdist(|file| file.build(|build| build.run_id = 7)), SDIST).unwrap();
    let claims = &results[0].certificate().unwrap().ci_claims;
    assert_eq!(
        claims.run_invocation_uri.as_deref(),
        Some(own.invocation_uri().as_str())
    );
}

#[test]
fn the_run_of_a_release_is_bent_like_any_other() {
    let scenario = Scenario::new().release(widget().run(Run::fail_after_publish));
    assert_eq!(run(&scenario, &build())["conclusion"], "failure");
    let path = format!(
        "/repos/acme-widget-py/acme-widget/contents/pyproject.toml?ref={}",
        build().commit
    );
    let file = scenario.github_response(&path).as_json().unwrap();
    let content = file["content"].as_str().unwrap().replace('\n', "");
    let content = String::from_utf8(STANDARD.decode(content).unwrap()).unwrap();
    assert!(content.contains("version = \"1.2.3\""));
}
