//! PyPI: the shapes of its documents, the files behind them, and what changes while it is used.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::{DeflateDecoder, GzDecoder};
use serde_json::{Value, json};
use std::io::Read as _;
use testbed::{
    Answer, Build, Party, PypiFile, PypiRelease, Reply, Request, Scenario, Universe, World,
    pypi::{self, INTEGRITY_JSON, SIMPLE_JSON},
};

pub(crate) const WHEEL: &str = "acme_widget-1.2.3-py3-none-any.whl";
pub(crate) const SDIST: &str = "acme_widget-1.2.3.tar.gz";

pub(crate) fn widget() -> PypiRelease {
    PypiRelease::honest("Acme.Widget", "1.2.3")
}

pub(crate) fn build() -> Build {
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

pub(crate) fn listing(scenario: &Scenario, filename: &str) -> Value {
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

pub(crate) fn bytes(scenario: &Scenario, filename: &str) -> Vec<u8> {
    let reply = scenario.pypi_response(&path(&listing(scenario, filename)["url"]));
    assert_eq!(reply.status, 200);
    reply.bytes().unwrap().to_vec()
}

pub(crate) fn integrity(scenario: &Scenario, filename: &str) -> Reply {
    scenario.pypi_response(&format!("/integrity/acme-widget/1.2.3/{filename}/provenance"))
}

pub(crate) fn provenance(scenario: &Scenario, filename: &str) -> Value {
    let reply = integrity(scenario, filename);
    assert_eq!(reply.status, 200);
    reply.as_json().unwrap()
}

pub(crate) fn attestations(provenance: &Value) -> &Vec<Value> {
    provenance["attestation_bundles"][0]["attestations"].as_array().unwrap()
}

pub(crate) fn statement(attestation: &Value) -> Value {
    let statement = attestation["envelope"]["statement"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(statement).unwrap()).unwrap()
}

/// The content of a file in a zip archive, found by the archive's directory.
pub(crate) fn unzipped(archive: &[u8], path: &str) -> Option<String> {
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

#[test]
fn the_feeds_tell_of_the_latest_first() {
    let scenario = Scenario::new()
        .release(widget())
        .release(PypiRelease::honest("other", "0.1").later(jiff::SignedDuration::from_hours(2)))
        .release(PypiRelease::honest("Acme.Widget", "1.2.4").later(jiff::SignedDuration::from_hours(1)));
    let titles = |path: &str| {
        let reply = scenario.pypi_response(path);
        assert_eq!(reply.header("content-type"), Some("text/xml; charset=UTF-8"), "{path}");
        let text = String::from_utf8(reply.bytes().unwrap().to_vec()).unwrap();
        let titles = text
            .split("<title>")
            .skip(2)
            .map(|rest| rest.split('<').next().unwrap().to_owned());
        (titles.collect::<Vec<_>>(), text)
    };
    assert_eq!(
        titles("/rss/updates.xml").0,
        ["other 0.1", "Acme.Widget 1.2.4", "Acme.Widget 1.2.3"]
    );
    assert_eq!(
        titles("/rss/packages.xml").0,
        ["other added to PyPI", "Acme.Widget added to PyPI"]
    );
    let (versions, text) = titles("/rss/project/acme-widget/releases.xml");
    assert_eq!(versions, ["1.2.4", "1.2.3"]);
    assert!(text.contains("/project/acme-widget/1.2.3/</link>"));
    assert!(text.contains("<pubDate>Mon, 02 Nov 2026 10:00:04 GMT</pubDate>"));
    for path in ["/rss/project/nothing/releases.xml", "/rss/other.xml"] {
        assert_eq!(scenario.pypi_response(path).status, 404, "{path}");
    }
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
