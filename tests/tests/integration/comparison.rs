//! Cases for the comparison with another verifier: written into the folder that a variable names, with what is said of each
//! here. `tests/compare/with_pypi_attestations.py` reads them.

use std::path::Path;
use std::sync::Arc;

use hekate::ports::Memory;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, decide, look, no_address};
use serde_json::{Value, json};
use testbed::{
    Build, PypiFile, PypiPredicate, PypiPublished, PypiPublisher, PypiRelease, Scenario, World, github::Run,
};

use crate::corpus::corpus;
use crate::pypi_corpus::recordings;
use crate::shape::{judge, now};

/// The variable that names the folder.
const VARIABLE: &str = "HEKATE_COMPARISON";

/// A release of one wheel.
fn wheel() -> PypiRelease {
    PypiRelease::honest("acme-widget", "1.2.3").only_wheels()
}

fn bent(bend: impl Fn(PypiFile) -> PypiFile) -> PypiRelease {
    wheel().files(bend)
}

fn named(repository: &str, workflow: &str, environment: Option<&str>) -> PypiPublisher {
    PypiPublisher::GitHub {
        repository: repository.to_owned(),
        workflow: workflow.to_owned(),
        environment: environment.map(str::to_owned),
    }
}

fn published_by(publisher: &PypiPublisher) -> PypiRelease {
    bent(|file| file.publisher_named(publisher.clone()))
}

fn stated(edit: fn(&mut Value)) -> PypiRelease {
    wheel().statement(edit)
}

fn provided(edit: fn(&mut Value)) -> PypiRelease {
    bent(|file| file.provenance(edit))
}

/// Everything that is generated, honest first.
fn generated() -> Vec<(&'static str, PypiRelease)> {
    let google = "build@acme.iam.gserviceaccount.com";
    let (repository, workflow) = ("acme-widget-py/acme-widget", "publish.yml");
    vec![
        ("honest", wheel()),
        (
            "honest, an empty object as predicate",
            bent(|file| file.predicates([PypiPredicate::PublishEmpty])),
        ),
        (
            "honest, SLSA provenance",
            bent(|file| file.predicates([PypiPredicate::Slsa])),
        ),
        (
            "honest, both",
            bent(|file| file.predicates([PypiPredicate::Publish, PypiPredicate::Slsa])),
        ),
        (
            "honest, with a deployment environment",
            wheel().build(|build| build.environment = Some("pypi".to_owned())),
        ),
        ("honest, built on GitLab", wheel().build(Build::on_gitlab)),
        (
            "honest, published by a service account",
            wheel().by_service_account(google),
        ),
        (
            "honest, wheel and source distribution",
            PypiRelease::honest("acme-widget", "1.2.3"),
        ),
        (
            "honest, tags in another order in the subject",
            PypiRelease::honest("acme-widget", "1.2.3")
                .only_wheels()
                .files(|_| PypiFile::wheel("py2.py3-none-any").subject_named("acme_widget-1.2.3-py3.py2-none-any.whl")),
        ),
        ("no provenance", wheel().unattested()),
        ("no bundles", bent(PypiFile::empty_bundles)),
        ("a bundle without attestations", bent(PypiFile::empty_attestations)),
        (
            "no bundles, beside an attested file",
            PypiRelease::honest("acme-widget", "1.2.3").wheels(PypiFile::empty_bundles),
        ),
        (
            "no provenance, beside an attested file",
            PypiRelease::honest("acme-widget", "1.2.3").wheels(PypiFile::unattested),
        ),
        ("an empty object", provided(|provenance| *provenance = json!({}))),
        (
            "bundles that are null",
            provided(|provenance| provenance["attestation_bundles"] = Value::Null),
        ),
        (
            "an object of version 2",
            provided(|provenance| provenance["version"] = json!(2)),
        ),
        ("a draft without an envelope", bent(PypiFile::as_draft)),
        ("other bytes by one", bent(PypiFile::swapped_by_one_byte)),
        ("a statement about other bytes", bent(PypiFile::other_digest)),
        (
            "a statement about another version",
            bent(|file| file.subject_named("acme_widget-1.2.4-py3-none-any.whl")),
        ),
        (
            "a statement about another project",
            bent(|file| file.subject_named("other-1.2.3-py3-none-any.whl")),
        ),
        (
            "a statement about another kind of file",
            bent(|file| file.subject_named("acme_widget-1.2.3.tar.gz")),
        ),
        (
            "a statement about nothing",
            stated(|statement| statement["subject"] = json!([])),
        ),
        (
            "a statement about two files",
            stated(|statement| {
                let again = statement["subject"][0].clone();
                statement["subject"].as_array_mut().unwrap().push(again);
            }),
        ),
        (
            "a statement without a digest",
            stated(|statement| statement["subject"][0]["digest"] = json!({})),
        ),
        (
            "a statement of another kind",
            stated(|statement| statement["predicateType"] = json!("https://example.com/x/v1")),
        ),
        (
            "another repository as publisher",
            published_by(&named("mallory/widget", workflow, None)),
        ),
        (
            "another workflow as publisher",
            published_by(&named(repository, "other.yml", None)),
        ),
        (
            "an environment as publisher that no certificate names",
            published_by(&named(repository, workflow, Some("pypi"))),
        ),
        (
            "another environment in the certificate than the publisher's",
            published_by(&named(repository, workflow, Some("pypi")))
                .build(|build| build.environment = Some("testing".to_owned())),
        ),
        (
            "a service account as publisher",
            published_by(&PypiPublisher::Google {
                email: google.to_owned(),
            }),
        ),
        (
            "a publisher of a kind to come",
            published_by(&PypiPublisher::Other(json!({"kind": "Moon"}))),
        ),
        ("a forged certificate", wheel().forged_by(&World::foreign())),
        (
            "a signature of another attestation",
            bent(|file| {
                file.attestation(|attestation| {
                    attestation["envelope"]["signature"] =
                        json!("MEUCIQDx0000000000000000000000000000000000000000000000000000");
                })
            }),
        ),
        (
            "no log entry",
            bent(|file| {
                file.attestation(|attestation| {
                    attestation["verification_material"]["transparency_entries"] = json!([]);
                })
            }),
        ),
        (
            "metadata of another project in the file",
            bent(|file| file.metadata(|metadata| "other".clone_into(&mut metadata.name))),
        ),
        (
            "signed by a run that failed before it published",
            wheel().run(|run: &mut Run| run.skip_publish_and_sign_in("Run pytest")),
        ),
        (
            "signed by a run that GitHub has purged",
            wheel().run(|run: &mut Run| run.purged = true),
        ),
    ]
}

/// Writes a case: the files with their provenance objects, the root to judge them by, and what is said of them here.
fn write(folder: &Path, number: usize, name: &str, root: &str, published: &PypiPublished, judged: &Judged) {
    let folder = folder.join(format!("{number:03}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("root.json"), root).unwrap();
    let mut files = Vec::new();
    for file in &published.files {
        std::fs::write(folder.join(&file.filename), &file.bytes).unwrap();
        let provenance = file.provenance.as_ref().map(|provenance| {
            let beside = format!("{}.provenance.json", file.filename);
            std::fs::write(folder.join(&beside), provenance.to_string()).unwrap();
            beside
        });
        files.push(json!({"file": file.filename, "provenance": provenance}));
    }
    let decided_by: Vec<&str> = judged.verdict.decided_by.iter().map(|check| check.as_str()).collect();
    let status = judged.verdict.status.as_str();
    let case = json!({"name": name, "files": files, "status": status, "decidedBy": decided_by});
    std::fs::write(folder.join("case.json"), case.to_string()).unwrap();
}

#[tokio::test]
async fn cases_are_written_for_another_verifier() {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        println!("skipped: {VARIABLE} names no folder");
        return;
    };
    let folder = Path::new(&folder);
    let mut number = 0;
    for (name, release) in generated() {
        let published = release.publish(&World::shared());
        let fetch = ScenarioFetch::new(Arc::new(Scenario::new().published(published.clone())));
        let coordinate = release.purl().parse().unwrap();
        let judge = judge();
        let dossier = look(&judge, &fetch, &no_address(), &coordinate, now()).await.unwrap();
        let judged = decide(&judge, dossier, &Memory::default(), now());
        number += 1;
        write(
            folder,
            number,
            name,
            &World::shared().trusted_root_json(),
            &published,
            &judged,
        );
    }
    let Some(corpus) = corpus() else { return };
    for recorded in recordings().iter().filter(|recorded| recorded.bytes(&corpus).is_some()) {
        let root = String::from_utf8(corpus.read(recorded.root(&corpus)).unwrap()).unwrap();
        let published = recorded.publish(&corpus, |_bytes| {});
        let judged = recorded.judged(&corpus, recorded.root(&corpus), |_bytes| {}).await;
        number += 1;
        write(
            folder,
            number,
            &format!("recorded: {}", recorded.name()),
            &root,
            &published,
            &judged,
        );
    }
}
