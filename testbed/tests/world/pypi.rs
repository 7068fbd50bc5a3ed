//! PyPI: the shapes of its documents, the files behind them, what its attestations are worth, and how all of it is bent.

use crate::verifier;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::{DeflateDecoder, GzDecoder};
use serde_json::{Value, json};
use sigstore::{VerificationPolicy, types::Bundle};
use std::io::Read as _;
use testbed::{
    Answer, BASE_TIME, Build, Party, PypiFile, PypiPredicate, PypiPublisher, PypiRelease, Reply, Request, Scenario,
    Universe, Uploader, World,
    github::Run,
    moment,
    pypi::{self, INTEGRITY_JSON, SIMPLE_JSON},
};

const WHEEL: &str = "acme_widget-1.2.3-py3-none-any.whl";
const SDIST: &str = "acme_widget-1.2.3.tar.gz";

fn widget() -> PypiRelease {
    PypiRelease::honest("Acme.Widget", "1.2.3")
}

fn build() -> Build {
    Build::for_project("acme-widget", "1.2.3")
}

fn simple_reply(scenario: &Scenario, path: &str) -> Reply {
    scenario.pypi_reply(&Request {
        accept: Some(SIMPLE_JSON.to_owned()),
        ..Request::get(path)
    })
}

fn simple(scenario: &Scenario) -> Value {
    let reply = simple_reply(scenario, "/simple/acme-widget/");
    assert_eq!(reply.status, 200);
    reply.as_json().unwrap()
}

fn listing(scenario: &Scenario, filename: &str) -> Value {
    let document = simple(scenario);
    let files = document["files"].as_array().unwrap();
    files.iter().find(|file| file["filename"] == filename).unwrap().clone()
}

/// The path of an address that a document names, whatever its host.
fn path(address: &Value) -> String {
    let address = address.as_str().unwrap();
    let (_, rest) = address.split_once("://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

fn bytes(scenario: &Scenario, filename: &str) -> Vec<u8> {
    let reply = scenario.pypi_response(&path(&listing(scenario, filename)["url"]));
    assert_eq!(reply.status, 200);
    reply.bytes().unwrap().to_vec()
}

fn integrity(scenario: &Scenario, filename: &str) -> Reply {
    scenario.pypi_response(&format!("/integrity/acme-widget/1.2.3/{filename}/provenance"))
}

fn provenance(scenario: &Scenario, filename: &str) -> Value {
    let reply = integrity(scenario, filename);
    assert_eq!(reply.status, 200);
    reply.as_json().unwrap()
}

fn attestations(provenance: &Value) -> &Vec<Value> {
    provenance["attestation_bundles"][0]["attestations"].as_array().unwrap()
}

fn statement(attestation: &Value) -> Value {
    let statement = attestation["envelope"]["statement"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(statement).unwrap()).unwrap()
}

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

/// The content of a file in a zip archive, found by the archive's directory.
fn unzipped(archive: &[u8], path: &str) -> Option<String> {
    let number = |at: usize, width: usize| {
        let bytes = archive[at..at + width].iter().rev();
        bytes.fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let end = archive.len() - 22;
    let mut entry = number(end + 16, 4);
    for _ in 0..number(end + 10, 2) {
        let name = &archive[entry + 46..entry + 46 + number(entry + 28, 2)];
        if name == path.as_bytes() {
            let local = number(entry + 42, 4);
            let begin = local + 30 + number(local + 26, 2) + number(local + 28, 2);
            let compressed = &archive[begin..begin + number(entry + 20, 4)];
            let mut content = String::new();
            DeflateDecoder::new(compressed).read_to_string(&mut content).unwrap();
            assert_eq!(content.len(), number(entry + 24, 4));
            let mut checksum = flate2::Crc::new();
            checksum.update(content.as_bytes());
            assert_eq!(checksum.sum() as usize, number(entry + 16, 4));
            return Some(content);
        }
        entry += 46 + number(entry + 28, 2) + number(entry + 30, 2) + number(entry + 32, 2);
    }
    None
}

fn untarred(archive: &[u8], path: &str) -> Option<String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut entry = entries.find(|entry| entry.path().unwrap().to_str() == Some(path))?;
    let mut content = String::new();
    entry.read_to_string(&mut content).unwrap();
    Some(content)
}

#[test]
fn a_project_is_listed_with_its_files() {
    let scenario = Scenario::new().release(widget());
    let reply = simple_reply(&scenario, "/simple/acme-widget/");
    let serial = scenario.pypi().serial();
    assert_eq!(reply.header("content-type"), Some(SIMPLE_JSON));
    assert_eq!(reply.header("x-pypi-last-serial"), Some(serial.to_string().as_str()));
    let document = reply.as_json().unwrap();
    assert_eq!(document["meta"], json!({"_last-serial": serial, "api-version": "1.4"}));
    assert_eq!(document["name"], "acme-widget");
    assert_eq!(document["versions"], json!(["1.2.3"]));
    assert_eq!(document["project-status"]["status"], "active");
    let wheel = listing(&scenario, WHEEL);
    assert_eq!(wheel["requires-python"], ">=3.10");
    assert_eq!(wheel["upload-time"], "2026-11-02T10:00:04.217000Z");
    assert_eq!(wheel["yanked"], false);
    assert_eq!(wheel["size"], bytes(&scenario, WHEEL).len());
    assert_eq!(
        path(&wheel["provenance"]),
        format!("/integrity/acme-widget/1.2.3/{WHEEL}/provenance")
    );
    assert_eq!(listing(&scenario, SDIST)["core-metadata"], false);
    let metadata = scenario.pypi_response(&format!("{}.metadata", path(&wheel["url"])));
    assert!(
        metadata
            .bytes()
            .unwrap()
            .starts_with(b"Metadata-Version: 2.4\nName: Acme.Widget\n")
    );
}

#[test]
fn the_digest_of_a_file_is_that_of_its_bytes() {
    use aws_lc_rs::digest::{SHA256, digest};
    let scenario = Scenario::new().release(widget());
    for name in [WHEEL, SDIST] {
        let digest = hex::encode(digest(&SHA256, &bytes(&scenario, name)));
        assert_eq!(listing(&scenario, name)["hashes"], json!({"sha256": digest}));
    }
}

#[test]
fn distributions_say_what_they_are() {
    let release = widget().metadata(|metadata| {
        metadata.home_page = Some("https://widget.example".to_owned());
    });
    let scenario = Scenario::new().release(release);
    let wheel = bytes(&scenario, WHEEL);
    let metadata = unzipped(&wheel, "acme_widget-1.2.3.dist-info/METADATA").unwrap();
    let info = untarred(&bytes(&scenario, SDIST), "acme_widget-1.2.3/PKG-INFO").unwrap();
    assert_eq!(metadata, info);
    for line in [
        "Name: Acme.Widget\n",
        "Version: 1.2.3\n",
        "Home-page: https://widget.example\n",
        "Project-URL: Repository, https://github.com/acme-widget-py/acme-widget\n",
        "Requires-Python: >=3.10\n",
    ] {
        assert!(info.contains(line), "{line}");
    }
    let record = unzipped(&wheel, "acme_widget-1.2.3.dist-info/RECORD").unwrap();
    assert!(record.contains("acme_widget-1.2.3.dist-info/METADATA,sha256=") && record.contains("RECORD,,"));
    let info = scenario.pypi_response("/pypi/acme-widget/json").as_json().unwrap();
    assert_eq!(info["info"]["home_page"], "https://widget.example");
}

#[test]
fn the_simple_index_redirects_to_normalised_names_and_answers_conditionally() {
    let scenario = Scenario::new().release(widget());
    for path in ["/simple/Acme.Widget/", "/simple/acme_widget/", "/simple/acme-widget"] {
        let reply = simple_reply(&scenario, path);
        assert_eq!(reply.status, 301, "{path}");
        assert_eq!(reply.header("location"), Some("/pypi/simple/acme-widget/"));
    }
    let json = scenario.pypi_response("/pypi/Acme.Widget/1.2.3/json");
    assert_eq!(json.header("location"), Some("/pypi/pypi/acme-widget/1.2.3/json"));
    for path in ["/simple/acme-widget/", "/simple/"] {
        let etag = simple_reply(&scenario, path).header("etag").unwrap().to_owned();
        let again = |etag: &str| {
            let request = Request {
                accept: Some(SIMPLE_JSON.to_owned()),
                if_none_match: Some(etag.to_owned()),
                ..Request::get(path)
            };
            scenario.pypi_reply(&request).status
        };
        assert_eq!((again(&etag), again("\"other\"")), (304, 200), "{path}");
    }
    let missing = simple_reply(&scenario, "/simple/nothing/");
    assert_eq!(
        (missing.status, missing.header("content-type")),
        (404, Some("text/plain"))
    );
}

#[test]
fn who_does_not_ask_for_json_gets_pages() {
    let scenario = Scenario::new().release(widget());
    for (path, link) in [
        ("/simple/", "<a href=\"/simple/acme-widget/\">Acme.Widget</a>"),
        ("/simple/acme-widget/", "#sha256="),
    ] {
        let reply = scenario.pypi_response(path);
        assert_eq!(reply.header("content-type"), Some("text/html"));
        assert!(String::from_utf8_lossy(reply.bytes().unwrap()).contains(link), "{path}");
    }
}

#[test]
fn the_root_tells_the_last_change_of_every_project() {
    let scenario = Scenario::new()
        .release(widget())
        .release(PypiRelease::honest("other", "0.1"));
    let root = || simple_reply(&scenario, "/simple/").as_json().unwrap();
    let serial = |name: &str| {
        let root = root();
        let projects = root["projects"].as_array().unwrap();
        let project = projects.iter().find(|project| project["name"] == name).unwrap();
        project["_last-serial"].as_u64().unwrap()
    };
    let first = serial("Acme.Widget");
    assert_eq!(serial("other"), first + 3, "a release and two files");
    assert_eq!(root()["meta"]["_last-serial"], serial("other"));
    scenario.publish(&PypiRelease::honest("Acme.Widget", "1.2.4").only_sdist());
    assert_eq!(serial("Acme.Widget"), first + 5);
    assert!(scenario.pypi().yank("acme_widget", "1.2.4", "broken"));
    assert_eq!(serial("Acme.Widget"), first + 6);
    assert_eq!(simple(&scenario)["files"][2]["yanked"], "broken");
}

#[test]
fn versions_and_files_are_in_the_order_of_versions() {
    let mut scenario = Scenario::new();
    for version in ["1.10", "1.9", "2.0rc1"] {
        scenario = scenario.release(PypiRelease::honest("Acme.Widget", version));
    }
    assert_eq!(simple(&scenario)["versions"], json!(["1.9", "1.10", "2.0rc1"]));
    let latest = || scenario.pypi_response("/pypi/acme-widget/json").as_json().unwrap()["info"]["version"].clone();
    assert_eq!(latest(), "1.10");
    scenario.pypi().yank("acme-widget", "1.10", "");
    assert_eq!(latest(), "1.9");
}

#[test]
fn the_json_api_tells_of_the_latest_release_or_of_one() {
    let scenario = Scenario::new().release(widget().yanked("a mistake"));
    let project = scenario.pypi_response("/pypi/acme-widget/json");
    let serial = scenario.pypi().serial();
    assert_eq!(project.header("x-pypi-last-serial"), Some(serial.to_string().as_str()));
    let project = project.as_json().unwrap();
    assert_eq!(project["info"]["name"], "Acme.Widget");
    assert_eq!(project["info"]["yanked_reason"], "a mistake");
    assert_eq!(
        project["info"]["project_urls"],
        json!({"Repository": "https://github.com/acme-widget-py/acme-widget"})
    );
    assert_eq!(project["last_serial"], serial);
    assert_eq!(
        project["ownership"]["roles"],
        json!([{"role": "Owner", "user": "alice"}])
    );
    assert_eq!(project["urls"], project["releases"]["1.2.3"]);
    assert_eq!(project["urls"][1]["packagetype"], "sdist");
    assert_eq!(
        project["urls"][0]["digests"]["sha256"],
        listing(&scenario, WHEEL)["hashes"]["sha256"]
    );
    let release = scenario
        .pypi_response("/pypi/acme-widget/1.2.3/json")
        .as_json()
        .unwrap();
    assert_eq!(
        (&release["urls"], &release["releases"]),
        (&project["urls"], &Value::Null)
    );
    let missing = scenario.pypi_response("/pypi/acme-widget/9/json");
    assert_eq!(
        (missing.status, missing.as_json()),
        (404, Some(json!({"message": "Not Found"})))
    );
}

#[test]
fn a_provenance_object_names_the_publisher_and_holds_an_attestation() {
    let scenario = Scenario::new().release(widget().build(|build| build.environment = Some("pypi".to_owned())));
    let reply = integrity(&scenario, SDIST);
    assert_eq!(reply.header("content-type"), Some(INTEGRITY_JSON));
    assert_eq!(reply.header("cache-control"), Some("max-age=600, public"));
    let provenance = reply.as_json().unwrap();
    assert_eq!(provenance["version"], 1);
    assert_eq!(
        provenance["attestation_bundles"][0]["publisher"],
        json!({
            "kind": "GitHub",
            "repository": "acme-widget-py/acme-widget",
            "workflow": "publish.yml",
            "environment": "pypi",
            "claims": null,
        })
    );
    let [attestation] = attestations(&provenance).as_slice() else {
        panic!("one attestation")
    };
    assert_eq!(attestation["version"], 1);
    let entries = &attestation["verification_material"]["transparency_entries"];
    assert_eq!(entries[0]["kindVersion"], json!({"kind": "dsse", "version": "0.0.1"}));
    assert_eq!(
        statement(attestation),
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": SDIST, "digest": listing(&scenario, SDIST)["hashes"]}],
            "predicateType": pypi::PUBLISH,
            "predicate": null,
        })
    );
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
fn the_integrity_api_answers_in_the_order_of_the_index() {
    let scenario = Scenario::new().release(widget().sdist(PypiFile::unattested));
    let asked = |filename: &str, accept: &str| {
        let reply = scenario.pypi_reply(&Request {
            accept: Some(accept.to_owned()),
            ..Request::get(&format!("/integrity/acme-widget/1.2.3/{filename}/provenance"))
        });
        (reply.status, reply.as_json().unwrap_or_default()["message"].clone())
    };
    let none = json!(format!("No provenance available for {SDIST}"));
    assert_eq!(asked(SDIST, INTEGRITY_JSON), (404, none));
    assert_eq!(listing(&scenario, SDIST)["provenance"], Value::Null);
    assert_eq!(asked("nothing.whl", "text/html").0, 404);
    assert_eq!(asked(WHEEL, "text/html"), (406, json!("Request not acceptable")));
    for accept in ["application/json", "*/*", "text/html, application/*;q=0.5"] {
        assert_eq!(asked(WHEEL, accept).0, 200, "{accept}");
    }
    scenario.pypi().attestations_disabled = true;
    for name in [WHEEL, SDIST] {
        assert_eq!(
            asked(name, INTEGRITY_JSON),
            (403, json!("Attestations temporarily disabled"))
        );
    }
    assert_eq!(asked(WHEEL, "text/html").0, 406);
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

fn run(scenario: &Scenario, build: &Build) -> Value {
    let path = format!("/repos/{}/actions/runs/{}", build.repository, build.run_id);
    scenario.github_response(&path).as_json().unwrap()
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

#[test]
fn what_is_removed_is_gone() {
    let scenario = Scenario::new()
        .release(widget())
        .release(PypiRelease::honest("other", "1"));
    assert!(scenario.pypi().remove_file("acme-widget", "1.2.3", SDIST));
    assert!(!scenario.pypi().remove_file("acme-widget", "1.2.3", SDIST));
    assert_eq!(integrity(&scenario, SDIST).status, 404);
    assert_eq!(simple(&scenario)["files"].as_array().unwrap().len(), 1);
    assert!(scenario.pypi().remove("acme-widget", "1.2.3"));
    assert_eq!(simple(&scenario)["versions"], json!([]));
    assert_eq!(scenario.pypi_response("/pypi/acme-widget/json").status, 404);
    assert!(scenario.pypi().quarantine("other"));
    let other = simple_reply(&scenario, "/simple/other/").as_json().unwrap();
    assert_eq!(
        (&other["files"], &other["project-status"]["status"]),
        (&json!([]), &json!("quarantined"))
    );
    assert!(scenario.pypi().remove_project("acme-widget"));
    assert_eq!(simple_reply(&scenario, "/simple/acme-widget/").status, 404);
}

#[test]
fn pypi_fails_where_it_is_told_to() {
    let release = widget()
        .simple_answer(Answer::FailTimes(1, 503))
        .sdist(|file| file.integrity_answer(Answer::Status(429, Some(9))))
        .wheels(|file| file.bytes_answer(Answer::Truncated))
        .json_answer(Answer::Html200);
    let scenario = Scenario::new().release(release);
    assert_eq!(simple_reply(&scenario, "/simple/acme-widget/").status, 503);
    assert_eq!(integrity(&scenario, SDIST).header("retry-after"), Some("9"));
    assert_eq!(integrity(&scenario, WHEEL).status, 200);
    let wheel = scenario.pypi_response(&path(&listing(&scenario, WHEEL)["url"]));
    assert!(matches!(wheel.body, testbed::Body::Truncated { .. }));
    assert!(scenario.pypi_response("/pypi/acme-widget/json").as_json().is_none());
    scenario.pypi().answer = Answer::Status(503, None);
    assert_eq!(simple_reply(&scenario, "/simple/").status, 503);
}

#[tokio::test]
async fn pypi_is_served_beside_the_others() {
    let scenario = Scenario::new().release(widget());
    let expected = provenance(&scenario, SDIST);
    let served = scenario.serve().await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/integrity/acme-widget/1.2.3/{SDIST}/provenance", served.pypi_url());
    let answer = client.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), expected);
    let url = format!("{}/simple/Acme_Widget/", served.pypi_url());
    let redirected = client.get(url).header("accept", SIMPLE_JSON).send().await.unwrap();
    assert_eq!(redirected.status().as_u16(), 200);
    assert!(redirected.headers().contains_key("x-pypi-last-serial"));
    assert_eq!(served.paths(Party::Pypi).len(), 3);
}

#[test]
fn a_universe_has_pypi_too() {
    let world = World::shared();
    let mut universe = Universe::in_world(&world);
    universe.publish_on_pypi(widget().publish(&world));
    let build = build();
    let run = format!("/repos/{}/actions/runs/{}", build.repository, build.run_id);
    assert_eq!(universe.github_reply(&Request::get(&run)).status, 200);
    assert_eq!(universe.pypi_reply(&Request::get("/pypi/acme-widget/json")).status, 200);
    assert!(universe.pypi().yank("acme-widget", "1.2.3", ""));
}
