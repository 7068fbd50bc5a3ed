//! What PyPI serves, honest and hostile, and the exact answer to each.

use hekate::check::CheckId::*;
use hekate::check::{Outcome, Shade, UnknownReason};
use hekate::verdict::Status::{Attested, Downgraded, Indeterminate, Mismatch, Suspicious, Unattested, Verified};
use serde_json::json;
use testbed::{
    Answer, Build, PypiFile, PypiPredicate, PypiPublisher, PypiRelease, Scenario, World, github::Run, moment,
    pypi::Uploader,
};

use crate::shape::{Shape, among, on_pypi};

const PASS: Outcome = Outcome::Pass(None);
const FAIL: Outcome = Outcome::Fail(None);
const WARN: Outcome = Outcome::Warn(None);
const VACUOUS: Outcome = Outcome::Fail(Some(Shade::Vacuous));
const LOST: Outcome = Outcome::Fail(Some(Shade::Downgraded));
const NO_ATTESTATION: Outcome = Outcome::NotApplicable(Some(Shade::Absent));
const NO_ATTESTATION_BEFORE: Outcome = Outcome::NotApplicable(Some(Shade::NoHabit));
const NOT_OF_PYPI: Outcome = Outcome::NotApplicable(Some(Shade::NotOfEcosystem));

fn unknown(reason: UnknownReason) -> Outcome {
    Outcome::Unknown(reason)
}

/// An honest release: a wheel and a source distribution, attested in one run.
fn widget() -> PypiRelease {
    PypiRelease::honest("Acme.Widget", "1.2.3")
}

/// The same with every file bent.
fn files(bend: impl Fn(PypiFile) -> PypiFile) -> Shape {
    on_pypi(widget().files(bend))
}

/// One file of the release.
fn one_file(release: PypiRelease, name: &str) -> Shape {
    let purl = format!("{}?file_name={name}", release.purl());
    among(Scenario::new().release(release), &purl)
}

const SDIST: &str = "acme_widget-1.2.3.tar.gz";
const WHEEL: &str = "acme_widget-1.2.3-py3-none-any.whl";

fn publisher(repository: &str, workflow: &str, environment: Option<&str>) -> PypiPublisher {
    PypiPublisher::GitHub {
        repository: repository.to_owned(),
        workflow: workflow.to_owned(),
        environment: environment.map(str::to_owned),
    }
}

fn on_gitlab(repository: &str, workflow_filepath: &str) -> PypiPublisher {
    PypiPublisher::GitLab {
        repository: repository.to_owned(),
        workflow_filepath: workflow_filepath.to_owned(),
        environment: None,
    }
}

/// The file with a provenance that describes a build of GitLab.
fn said_to_be_built_on_gitlab(file: PypiFile) -> PypiFile {
    file.statement(|statement| {
        statement["predicateType"] = json!("https://slsa.dev/provenance/v1");
        statement["predicate"] = json!({
            "buildDefinition": {"buildType": "https://github.com/npm/cli/gitlab/v1alpha1", "externalParameters": {}},
            "runDetails": {"builder": {"id": "https://gitlab.com/acme/widget/-/runners/1"}},
        });
    })
}

shapes! {
    // Honest.
    wheel_and_sdist => on_pypi(widget()).is(Verified).finds(ArtExists, PASS).finds(ArtTarballIntegrity, PASS)
        .finds(ArtTarballManifest, PASS).finds(RegSignature, NOT_OF_PYPI).finds(RegPublishMode, NOT_OF_PYPI)
        .finds(AttPresent, PASS).finds(AttNonempty, PASS).finds(AttUnique, PASS).finds(AttPublishSig, NOT_OF_PYPI)
        .finds(AttProvenanceSig, PASS).finds(AttSubjectDigest, PASS).finds(AttSubjectName, PASS)
        .finds(AttPredicateKnown, PASS).finds(AttStmtVsCert, PASS).finds(LogInclusion, PASS).finds(IdIssuer, PASS)
        .finds(IdSourceRepo, PASS).finds(RunExists, PASS).finds(RunMatchesCert, PASS).finds(RunConclusion, PASS)
        .finds(RunPublishStep, PASS).finds(RunSigningStep, PASS).finds(SrcCommitExists, PASS)
        .finds(SrcTagMatchesVersion, PASS);
    a_name_in_another_spelling => among(Scenario::new().release(widget()), "pypi:ACME_widget@1.2.3").is(Verified);
    the_latest_version => among(Scenario::new().release(widget()), "pkg:pypi/acme-widget").is(Verified);
    the_wheel_alone => one_file(widget(), WHEEL).is(Verified);
    the_sdist_alone => one_file(widget(), SDIST).is(Verified);
    with_an_empty_predicate => files(|file| file.predicates([PypiPredicate::PublishEmpty])).is(Verified);
    with_a_provenance => files(|file| file.predicates([PypiPredicate::Slsa])).is(Verified).finds(AttStmtVsCert, PASS);
    with_both => files(|file| file.predicates([PypiPredicate::Publish, PypiPredicate::Slsa])).is(Verified)
        .finds(AttUnique, PASS);
    uploaded_with_twine => on_pypi(widget().uploaded_with(Uploader::Twine)).is(Verified);
    uploaded_with_uv => on_pypi(widget().uploaded_with(Uploader::Uv)).is(Verified);
    from_an_environment => on_pypi(widget().build(|build| build.environment = Some("pypi".to_owned()))).is(Verified);
    yanked => on_pypi(widget().yanked("broken")).is(Verified);
    a_link_that_the_index_forgot => files(PypiFile::link_stripped).is(Verified);

    // Without attestations.
    without_any => on_pypi(widget().unattested()).is(Unattested).finds(AttPresent, NO_ATTESTATION);
    a_wheel_without_one_beside_attested_files => on_pypi(widget().wheels(PypiFile::unattested)).is(Downgraded)
        .decided_by(&[HistDowngrade]).finds(HistDowngrade, LOST).finds(AttNonempty, PASS).finds(AttNonempty, NO_ATTESTATION);
    a_wheel_that_was_added_by_hand => on_pypi(widget().with(
        PypiFile::wheel("cp312-cp312-win_amd64").unattested().uploaded_at(moment("2026-11-09T10:00:00Z"))
    )).is(Downgraded).decided_by(&[HistDowngrade]);
    // It says nothing of files that are older than attestations.
    a_wheel_that_was_attested_days_later => on_pypi(widget().unattested().with(
        PypiFile::wheel("cp314-cp314-win_amd64").signed_at(moment("2026-11-09T10:00:00Z"))
    )).is(Unattested).finds(HistDowngrade, NO_ATTESTATION_BEFORE);
    an_attested_file_of_a_release_with_another_that_is_not => one_file(widget().wheels(PypiFile::unattested), SDIST)
        .is(Verified);

    // Four kinds of nothing, none of which attests.
    an_object_without_bundles => files(PypiFile::empty_bundles).is(Suspicious).finds(AttNonempty, VACUOUS);
    bundles_without_attestations => files(PypiFile::empty_attestations).is(Suspicious).finds(AttNonempty, VACUOUS);
    attestations_that_are_switched_off => files(|file| file.integrity_answer(Answer::Status(403, None))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    a_provenance_that_is_announced_and_not_there => files(PypiFile::provenance_missing).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::NotRetained));
    one_empty_object_beside_an_attested_file => on_pypi(widget().wheels(PypiFile::empty_bundles)).is(Suspicious)
        .finds(AttNonempty, VACUOUS).finds(AttNonempty, PASS);
    a_mirror_that_does_not_say_whether_there_is_one => files(|file| file.unattested().listing(|listing| {
        listing.as_object_mut().unwrap().remove("provenance");
    })).is(Indeterminate).finds(AttPresent, unknown(UnknownReason::Stripped));

    // Trouble.
    an_index_that_is_down => on_pypi(widget().simple_answer(Answer::Status(503, None))).is(Indeterminate);
    an_integrity_api_that_is_down => files(|file| file.integrity_answer(Answer::Status(502, None))).is(Indeterminate);
    a_file_that_is_not_there => files(|file| file.bytes_answer(Answer::Status(404, None))).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::NotRetained));
    a_file_that_is_html => files(|file| file.bytes_answer(Answer::Html200)).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Malformed));

    // Other bytes, other names, other signers.
    other_bytes_than_the_index_names => files(PypiFile::swapped_by_one_byte).is(Mismatch).finds(ArtTarballIntegrity, FAIL);
    one_file_of_two_with_other_bytes => on_pypi(widget().wheels(PypiFile::swapped_by_one_byte)).is(Mismatch)
        .finds(ArtTarballIntegrity, FAIL).finds(ArtTarballIntegrity, PASS);
    an_attestation_of_other_bytes => files(PypiFile::other_digest).is(Mismatch).finds(AttSubjectDigest, FAIL);
    an_attestation_of_another_file => files(|file| file.subject_named("acme_widget-1.2.4.tar.gz")).is(Mismatch)
        .finds(AttSubjectName, FAIL);
    an_attestation_of_another_project => files(|file| file.subject_named("other-1.2.3.tar.gz")).is(Mismatch)
        .finds(AttSubjectName, FAIL);
    a_forged_certificate => on_pypi(widget().forged_by(&World::foreign())).is(Mismatch).finds(LogInclusion, FAIL);
    a_draft_without_an_envelope => files(PypiFile::as_draft).is(Mismatch).finds(AttProvenanceSig, FAIL);
    a_publisher_of_another_repository => files(|file| {
        file.publisher_named(publisher("mallory/widget", "publish.yml", None))
    }).is(Suspicious).finds(AttStmtVsCert, FAIL);
    a_publisher_with_another_workflow => files(|file| {
        file.publisher_named(publisher("acme-widget-py/acme-widget", "other.yml", None))
    }).is(Suspicious).finds(AttStmtVsCert, FAIL);
    a_publisher_with_another_environment => on_pypi(
        widget().build(|build| build.environment = Some("testing".to_owned())).files(|file| {
            file.publisher_named(publisher("acme-widget-py/acme-widget", "publish.yml", Some("pypi")))
        })
    ).is(Suspicious).finds(AttStmtVsCert, FAIL);
    a_publisher_elsewhere_than_the_certificate => files(|file| {
        file.publisher_named(PypiPublisher::Google { email: "build@acme.iam.gserviceaccount.com".to_owned() })
    }).is(Suspicious).finds(AttStmtVsCert, FAIL);
    metadata_of_another_project_inside => files(|file| file.metadata(|metadata| "other".clone_into(&mut metadata.name)))
        .is(Suspicious).finds(ArtTarballManifest, FAIL);
    metadata_that_names_another_repository => on_pypi(widget().metadata(|metadata| {
        metadata.project_urls = vec![("Source".to_owned(), "https://github.com/acme/elsewhere".to_owned())];
    })).finds(IdSourceRepo, WARN).is(Verified);

    // Other publishers.
    built_on_gitlab => on_pypi(widget().build(Build::on_gitlab)).is(Attested)
        .finds(IdIssuer, unknown(UnknownReason::Unsupported)).finds(AttStmtVsCert, unknown(UnknownReason::Unsupported));
    published_by_a_service_account => on_pypi(widget().by_service_account("build@acme.iam.gserviceaccount.com"))
        .is(Attested).finds(IdIssuer, unknown(UnknownReason::Unsupported));
    a_publisher_of_a_kind_that_nobody_knows => files(|file| {
        file.publisher_named(PypiPublisher::Other(json!({"kind": "Moon", "base": "1"})))
    }).is(Indeterminate).finds(AttStmtVsCert, unknown(UnknownReason::Unsupported));

    an_unknown_publisher_elsewhere_than_on_github => on_pypi(widget().build(Build::on_gitlab).files(|file| {
        file.publisher_named(PypiPublisher::Other(json!({"kind": "Moon", "base": "1"})))
    })).is(Indeterminate).finds(AttStmtVsCert, unknown(UnknownReason::Malformed));
    no_publisher_elsewhere_than_on_github => on_pypi(widget().build(Build::on_gitlab).files(|file| {
        file.publisher_named(PypiPublisher::Other(json!(null)))
    })).is(Indeterminate).finds(AttStmtVsCert, unknown(UnknownReason::Malformed));
    no_publisher_and_a_statement_of_a_build_elsewhere => on_pypi(widget().build(Build::on_gitlab).files(|file| {
        said_to_be_built_on_gitlab(file.publisher_named(PypiPublisher::Other(json!(null))))
    })).is(Indeterminate).finds(AttStmtVsCert, unknown(UnknownReason::Malformed));
    a_statement_of_a_build_on_gitlab => on_pypi(
        widget().build(Build::on_gitlab).files(said_to_be_built_on_gitlab)
    ).is(Attested).finds(AttStmtVsCert, unknown(UnknownReason::Unsupported));
    no_publisher_of_an_account => on_pypi(widget().by_service_account("build@acme.iam.gserviceaccount.com").files(|file| {
        file.publisher_named(PypiPublisher::Other(json!(null)))
    })).is(Indeterminate).finds(AttStmtVsCert, unknown(UnknownReason::Malformed));
    another_account_than_the_publisher => on_pypi(
        widget().by_service_account("build@acme.iam.gserviceaccount.com").files(|file| {
            file.publisher_named(PypiPublisher::Google { email: "build@mallory.iam.gserviceaccount.com".to_owned() })
        })
    ).is(Suspicious).finds(AttStmtVsCert, FAIL);
    another_project_on_gitlab_than_the_publisher => on_pypi(widget().build(Build::on_gitlab).files(|file| {
        file.publisher_named(on_gitlab("mallory/widget", ".gitlab-ci.yml"))
    })).is(Suspicious).finds(AttStmtVsCert, FAIL);
    another_pipeline_on_gitlab_than_the_publisher => on_pypi(widget().build(Build::on_gitlab).files(|file| {
        file.publisher_named(on_gitlab("acme-widget-py/acme-widget", "other.yml"))
    })).is(Suspicious).finds(AttStmtVsCert, FAIL);
    an_sdist_of_before_there_was_metadata => on_pypi(widget().only_sdist().sdist(PypiFile::without_metadata)).is(Verified)
        .finds(ArtTarballManifest, unknown(UnknownReason::Unsupported)).finds(ArtTarballIntegrity, PASS);

    // Runs.
    a_run_that_failed_before_it_published => on_pypi(widget().run(|run| run.skip_publish_and_sign_in("Run pytest")))
        .is(Suspicious).finds(RunPublishStep, FAIL);
    a_run_that_failed_afterwards => on_pypi(widget().run(Run::fail_after_publish)).is(Verified);
    files_of_two_runs => on_pypi(widget().with(
        PypiFile::wheel("cp312-cp312-win_amd64").build(|build| build.run_id += 1)
    )).is(Attested).finds(RunExists, PASS).finds(RunExists, unknown(UnknownReason::Pending));
    files_of_two_runs_looked_at_again => on_pypi(widget().with(
        PypiFile::wheel("cp312-cp312-win_amd64").build(|build| build.run_id += 1)
    )).seen_at(moment("2026-11-02T10:10:00Z")).seen_at(moment("2026-11-02T10:20:00Z")).is(Verified).finds(RunExists, PASS);

    // What is not there.
    a_project_that_is_not_there => among(Scenario::new().release(widget()), "pypi:other@1.0").not_found("not on the index");
    a_version_that_is_not_there => among(Scenario::new().release(widget()), "pypi:acme-widget@1.2.4")
        .not_found("no files of a version");
    a_version_in_another_spelling => among(Scenario::new().release(widget()), "pypi:acme-widget@1.2.3.0")
        .not_found("the index spells it 1.2.3");
    a_file_of_another_version => one_file(widget(), "acme_widget-1.2.4.tar.gz").not_found("has no file");
}
