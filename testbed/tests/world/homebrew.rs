//! Homebrew: the formula API, the registry of bottles, and what attests these in GitHub's store.

use crate::{parse, verifier};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sigstore::{VerificationPolicy, VerificationResult};
use testbed::{
    Answer, BASE_TIME, Bottle, Formula, FormulaPublished, Party, Reply, Request, Scenario, Universe, World,
    github::Run,
    homebrew::{ANONYMOUS, BACKFILL, CORE, ROOT_URL},
    moment,
};

fn wget() -> Formula {
    Formula::honest("wget", "1.25.0")
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

fn document(scenario: &Scenario) -> Value {
    let reply = scenario.homebrew_response("/api/formula/wget.json");
    assert_eq!(reply.status, 200);
    reply.as_json().unwrap()
}

fn published(scenario: &Scenario) -> FormulaPublished {
    FormulaPublished::clone(scenario.homebrew().published("wget").unwrap())
}

fn bottle(scenario: &Scenario, path: &str) -> Reply {
    let request = Request {
        authorization: Some(ANONYMOUS.to_owned()),
        ..Request::get(path)
    };
    scenario.reply(Party::Bottles, &request)
}

/// The bundles that a repository's store has for the bottle of a tag.
fn bundles(scenario: &Scenario, repository: &str, tag: &str) -> Vec<Value> {
    let published = published(scenario);
    let bottle = published.bottles.iter().find(|bottle| bottle.tag == tag).unwrap();
    let path = format!("/repos/{repository}/attestations/sha256:{}", bottle.sha256);
    let list = scenario.github_response(&path).as_json().unwrap();
    let items = list["attestations"].as_array().into_iter().flatten();
    let fetch = |item: &Value| {
        let url = item["bundle_url"].as_str().unwrap().strip_prefix("/github").unwrap();
        let reply = scenario.github_response(url);
        // The block's tag and length, and then literals: no bundle here is longer than one.
        let bytes = reply.bytes().unwrap();
        let begin = bytes.iter().position(|byte| *byte == b'{').unwrap();
        serde_json::from_slice(&bytes[begin..]).unwrap()
    };
    items.map(fetch).collect()
}

fn statement(bundle: &Value) -> Value {
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

fn names(bundle: &Value) -> Vec<String> {
    let statement = statement(bundle);
    let subjects = statement["subject"].as_array().unwrap().iter();
    subjects
        .map(|subject| subject["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The verifier's opinion on a bundle and the bytes that the registry serves for a tag.
fn check(scenario: &Scenario, tag: &str, bundle: &Value) -> Result<VerificationResult, String> {
    let published = published(scenario);
    let served = published.bottles.iter().find(|bottle| bottle.tag == tag).unwrap();
    let bytes = bottle(scenario, served.path()).bytes().unwrap().to_vec();
    verifier(scenario.world())
        .verify(bytes.as_slice(), &parse(bundle)?, &VerificationPolicy::any_identity())
        .map_err(|error| error.to_string())
}

#[test]
fn a_formula_is_told_with_its_bottles() {
    let scenario = Scenario::new().release(wget().version_scheme(1));
    let document = document(&scenario);
    for (member, value) in [
        ("name", json!("wget")),
        ("full_name", json!("wget")),
        ("tap", json!("homebrew/core")),
        ("revision", json!(0)),
        ("version_scheme", json!(1)),
        ("versions", json!({"stable": "1.25.0", "head": null, "bottle": true})),
        ("ruby_source_path", json!("Formula/w/wget.rb")),
        ("generated_date", json!("2026-11-02")),
    ] {
        assert_eq!(document[member], value, "{member}");
    }
    assert!(document["urls"]["stable"]["url"].is_string());
    assert_eq!(document["urls"]["stable"]["checksum"].as_str().unwrap().len(), 64);
    let stable = &document["bottle"]["stable"];
    assert_eq!((&stable["rebuild"], &stable["root_url"]), (&json!(0), &json!(ROOT_URL)));
    let files = stable["files"].as_object().unwrap();
    assert_eq!(files.len(), 4);
    let file = &files["arm64_sequoia"];
    let digest = file["sha256"].as_str().unwrap();
    assert_eq!(file["url"], format!("{ROOT_URL}/wget/blobs/sha256:{digest}"));
    assert_eq!(file["cellar"], ":any");
    let source = format!(
        "/repos/{CORE}/contents/Formula/w/wget.rb?ref={}",
        document["tap_git_head"].as_str().unwrap()
    );
    let source = scenario.github_reply(&Request {
        accept: Some("application/vnd.github.raw+json".to_owned()),
        ..Request::get(&source)
    });
    assert_eq!(
        document["ruby_source_checksum"]["sha256"],
        sha256(source.bytes().unwrap())
    );
}

#[test]
fn the_api_answers_conditionally_by_tag_and_by_time() {
    let scenario = Scenario::new().release(wget());
    for path in ["/api/formula.json", "/api/formula/wget.json"] {
        let reply = scenario.homebrew_response(path);
        assert_eq!(reply.header("last-modified"), Some("Mon, 02 Nov 2026 10:14:00 GMT"));
        let status = |tag: Option<&str>, since: Option<&str>| {
            let request = Request {
                if_none_match: tag.map(str::to_owned),
                if_modified_since: since.map(str::to_owned),
                ..Request::get(path)
            };
            scenario.reply(Party::Homebrew, &request).status
        };
        let same = reply.header("last-modified");
        assert_eq!(status(reply.header("etag"), None), 304, "{path}");
        assert_eq!(status(None, same), 304);
        assert_eq!(status(None, Some("Mon, 02 Nov 2026 10:13:59 GMT")), 200);
        assert_eq!(status(Some("\"other\""), same), 200, "the tag decides");
    }
    assert_eq!(scenario.homebrew_response("/api/formula/curl.json").status, 404);
    assert_eq!(scenario.homebrew_response("/api/cask.json").status, 404);
}

#[test]
fn the_list_has_the_last_version_of_every_formula() {
    let scenario = Scenario::new()
        .release(wget())
        .release(Formula::honest("python@3.14", "3.14.1").later(jiff::SignedDuration::from_hours(1)))
        .release(wget().revision(2).later(jiff::SignedDuration::from_hours(2)));
    let list = scenario.homebrew_response("/api/formula.json");
    assert_eq!(list.header("last-modified"), Some("Mon, 02 Nov 2026 12:14:00 GMT"));
    let list = list.as_json().unwrap();
    let told: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["name"], &item["revision"]))
        .collect();
    assert_eq!(told, [(&json!("python@3.14"), &json!(0)), (&json!("wget"), &json!(2))]);
    let url = list[0]["bottle"]["stable"]["files"]["sonoma"]["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{ROOT_URL}/python/3.14/blobs/sha256:")),
        "{url}"
    );
    assert_eq!(
        bottle(&scenario, url.strip_prefix("https://ghcr.io").unwrap()).status,
        200
    );
    assert!(scenario.homebrew().withdraw("wget"));
    assert_eq!(document(&scenario)["revision"], 0);
    let runs = &scenario.github().repository(CORE).unwrap().runs.len();
    assert_eq!(*runs, 3, "one for each publication, in one repository");
}

#[test]
fn bottles_are_given_to_those_who_show_the_anonymous_token() {
    let scenario = Scenario::new().release(wget());
    let served = &published(&scenario).bottles[0];
    let refused = scenario.reply(Party::Bottles, &Request::get(served.path()));
    assert_eq!(refused.status, 401);
    assert!(
        refused
            .header("www-authenticate")
            .unwrap()
            .contains("repository:homebrew/core/wget:pull")
    );
    assert_eq!(refused.as_json().unwrap()["errors"][0]["code"], "UNAUTHORIZED");
    let reply = bottle(&scenario, served.path());
    assert_eq!(reply.status, 200);
    assert_eq!(sha256(reply.bytes().unwrap()), served.sha256);
    let mut archive = tar::Archive::new(GzDecoder::new(reply.bytes().unwrap()));
    let mut paths = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(paths.next().as_deref(), Some("wget/1.25.0/INSTALL_RECEIPT.json"));
    for path in [
        "/v2/homebrew/core/wget/blobs/sha256:00".to_owned(),
        served.path().replace("/wget/", "/curl/"),
        "/v2/other/core/wget/blobs/sha256:00".to_owned(),
    ] {
        assert_eq!(bottle(&scenario, &path).status, 404, "{path}");
    }
}

#[test]
fn the_registry_can_send_its_clients_on() {
    let scenario = Scenario::new().release(wget());
    let served = published(&scenario).bottles[0].clone();
    scenario.homebrew().bottles_redirected = true;
    let moved = bottle(&scenario, served.path());
    assert_eq!(moved.status, 307);
    let location = moved
        .header("location")
        .unwrap()
        .strip_prefix("/bottles")
        .unwrap()
        .to_owned();
    let reply = scenario.reply(Party::Bottles, &Request::get(&location));
    assert_eq!(reply.bytes(), Some(served.bytes.as_slice()));
}

#[test]
fn names_of_bottles_tell_revision_and_rebuild() {
    assert_eq!(wget().bottle_name("sonoma"), "wget--1.25.0.sonoma.bottle.tar.gz");
    let rebuilt = wget().revision(2).rebuild(1);
    assert_eq!(rebuilt.bottle_name("sonoma"), "wget--1.25.0_2.sonoma.bottle.1.tar.gz");
    let scenario = Scenario::new().release(rebuilt);
    let told = document(&scenario);
    assert_eq!(
        (&told["revision"], &told["bottle"]["stable"]["rebuild"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(told["versions"]["stable"], "1.25.0");
    let [bundle] = bundles(&scenario, CORE, "sonoma").try_into().unwrap();
    assert!(names(&bundle).contains(&"wget--1.25.0_2.sonoma.bottle.1.tar.gz".to_owned()));
}

#[test]
fn one_statement_attests_all_bottles_and_verifies_with_each() {
    let scenario = Scenario::new().release(wget());
    for tag in ["arm64_tahoe", "arm64_sequoia", "sonoma", "x86_64_linux"] {
        let [bundle] = bundles(&scenario, CORE, tag).try_into().unwrap();
        let expected = wget().bottle_name(tag);
        assert_eq!(names(&bundle).len(), 4);
        assert!(names(&bundle).contains(&expected), "{expected}");
        let result = check(&scenario, tag, &bundle).unwrap();
        assert!(result.tlog_verified() && result.sct_verified());
        assert_eq!(
            result.identity().unwrap().as_str(),
            "https://github.com/Homebrew/homebrew-core/.github/workflows/publish-commit-bottles.yml@refs/heads/main"
        );
        let claims = &result.certificate().unwrap().ci_claims;
        assert_eq!(
            claims.source_repository_uri.as_deref(),
            Some("https://github.com/Homebrew/homebrew-core")
        );
    }
    let separate = Scenario::new().release(wget().separately().workflow("dispatch-build-bottle.yml"));
    let [bundle] = bundles(&separate, CORE, "sonoma").try_into().unwrap();
    assert_eq!(names(&bundle), [wget().bottle_name("sonoma")]);
    let signer = &statement(&bundle)["predicate"]["runDetails"]["builder"]["id"];
    assert!(
        signer
            .as_str()
            .unwrap()
            .ends_with("/dispatch-build-bottle.yml@refs/heads/main")
    );
}

#[test]
fn a_bottle_for_all_systems_is_attested_under_the_names_of_others() {
    let scenario = Scenario::new().release(wget().for_all_systems());
    let files = &document(&scenario)["bottle"]["stable"]["files"];
    assert_eq!(files.as_object().unwrap().keys().collect::<Vec<_>>(), ["all"]);
    let [bundle] = bundles(&scenario, CORE, "all").try_into().unwrap();
    assert_eq!(
        names(&bundle),
        [wget().bottle_name("arm64_sequoia"), wget().bottle_name("x86_64_linux")]
    );
    assert!(check(&scenario, "all", &bundle).is_ok());
}

#[test]
fn backfilled_bottles_are_attested_elsewhere_and_before_the_cutoff() {
    let scenario = Scenario::new().release(wget().backfilled());
    assert!(bundles(&scenario, CORE, "sonoma").is_empty());
    let [bundle] = bundles(&scenario, BACKFILL, "sonoma").try_into().unwrap();
    let url = published(&scenario)
        .bottles
        .iter()
        .find(|bottle| bottle.tag == "sonoma")
        .unwrap()
        .url
        .clone();
    let expected = format!("{}--{}", sha256(url.as_bytes()), wget().bottle_name("sonoma"));
    assert_eq!(names(&bundle), [expected]);
    let result = check(&scenario, "sonoma", &bundle).unwrap();
    assert!(result.integrated_time().unwrap() < moment("2024-03-14T00:00:00Z"));
    let identity = format!("https://github.com/{BACKFILL}/.github/workflows/backfill_signatures.yml@refs/heads/main");
    assert_eq!(result.identity().unwrap().as_str(), identity);
    let late = wget().backfilled_as(|attesting| attesting.at(moment("2024-06-01T00:00:00Z")));
    let late = Scenario::new().release(late);
    let [bundle] = bundles(&late, BACKFILL, "sonoma").try_into().unwrap();
    let result = check(&late, "sonoma", &bundle).unwrap();
    assert_eq!(result.integrated_time(), Some(moment("2024-06-01T00:00:00Z")));
}

#[test]
fn what_is_bent_is_noticed() {
    let swapped = Scenario::new().release(wget().bottle("sonoma", Bottle::swapped_by_one_byte));
    let [bundle] = bundles(&swapped, CORE, "sonoma").try_into().unwrap();
    assert!(check(&swapped, "sonoma", &bundle).is_err());
    assert!(check(&swapped, "arm64_tahoe", &bundle).is_ok());
    let missing = Scenario::new().release(wget().bottle("sonoma", Bottle::unattested));
    assert!(bundles(&missing, CORE, "sonoma").is_empty());
    assert_eq!(names(&bundles(&missing, CORE, "arm64_tahoe")[0]).len(), 3);
    assert!(bundles(&Scenario::new().release(wget().unattested()), CORE, "sonoma").is_empty());
    let foreign = World::foreign();
    let forged = wget()
        .attesting(move |attesting| attesting.sealing(move |sealing| sealing.parties = testbed::Parties::of(&foreign)));
    let forged = Scenario::new().release(forged);
    assert!(check(&forged, "sonoma", &bundles(&forged, CORE, "sonoma")[0]).is_err());
    let renamed = wget().attesting(|attesting| {
        attesting.statement(|statement| statement["subject"][2]["name"] = json!("curl--8.sonoma.bottle.tar.gz"))
    });
    let renamed = Scenario::new().release(renamed);
    assert!(names(&bundles(&renamed, CORE, "sonoma")[0]).contains(&"curl--8.sonoma.bottle.tar.gz".to_owned()));
    let listed = wget()
        .bottle("sonoma", |bottle| {
            bottle.listing(|listing| listing["sha256"] = json!("00"))
        })
        .document(|document| document["tap"] = json!("mallory/tap"));
    let told = document(&Scenario::new().release(listed));
    assert_eq!(told["bottle"]["stable"]["files"]["sonoma"]["sha256"], "00");
    assert_eq!(told["tap"], "mallory/tap");
    let scenario = Scenario::new().release(wget());
    assert!(
        scenario
            .homebrew()
            .replace_bottle("wget", "sonoma", |bytes| bytes.push(0))
    );
    assert!(check(&scenario, "sonoma", &bundles(&scenario, CORE, "sonoma")[0]).is_err());
}

#[test]
fn the_run_that_attested_the_bottles_signs_before_it_uploads() {
    let mut path = String::new();
    let formula = wget().build(|build| path = format!("/repos/{CORE}/actions/runs/{}", build.run_id));
    let scenario = Scenario::new().release(formula.clone());
    let run = scenario.github_response(&path).as_json().unwrap();
    assert_eq!(
        (&run["event"], &run["head_branch"]),
        (&json!("workflow_dispatch"), &json!("main"))
    );
    let jobs = scenario.github_response(&format!("{path}/jobs")).as_json().unwrap();
    let steps = jobs["jobs"][0]["steps"].as_array().unwrap();
    let position = |name: &str| steps.iter().position(|step| step["name"] == name).unwrap();
    let attest = position("Generate build provenance");
    assert!(attest < position("Upload bottles to GitHub Packages"));
    assert!(moment(steps[attest]["started_at"].as_str().unwrap()) < BASE_TIME);
    let failed = Scenario::new().release(formula.run(Run::fail_after_publish));
    let run = failed.github_response(&path).as_json().unwrap();
    assert_eq!(run["conclusion"], "failure");
}

#[test]
fn homebrew_fails_where_it_is_told_to() {
    let formula = wget()
        .answer(Answer::FailTimes(1, 503))
        .bottle("sonoma", |bottle| bottle.answer(Answer::Status(429, Some(5))));
    let scenario = Scenario::new().release(formula);
    assert_eq!(scenario.homebrew_response("/api/formula/wget.json").status, 503);
    assert_eq!(scenario.homebrew_response("/api/formula/wget.json").status, 200);
    let status = |tag: &str| {
        let published = published(&scenario);
        let served = published.bottles.iter().find(|bottle| bottle.tag == tag).unwrap();
        bottle(&scenario, served.path()).status
    };
    assert_eq!((status("sonoma"), status("arm64_tahoe")), (429, 200));
    scenario.homebrew().answer = Answer::Html200;
    assert!(scenario.homebrew_response("/api/formula.json").as_json().is_none());
    scenario.homebrew().bottles_answer = Answer::Status(500, None);
    assert_eq!(status("arm64_tahoe"), 500);
}

#[tokio::test]
async fn homebrew_is_served_at_two_addresses() {
    let scenario = Scenario::new().release(wget());
    let served_bottle = published(&scenario).bottles[0].clone();
    scenario.homebrew().bottles_redirected = true;
    let served = scenario.serve().await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/api/formula/wget.json", served.homebrew_url());
    let answer = client.get(&url).send().await.unwrap();
    let modified = answer.headers()["last-modified"].clone();
    let again = client
        .get(&url)
        .header("if-modified-since", modified)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status().as_u16(), 304);
    let url = format!("{}{}", served.bottles_url(), served_bottle.path());
    assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 401);
    let bytes = client
        .get(&url)
        .header("authorization", ANONYMOUS)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(bytes, served_bottle.bytes);
    assert_eq!(served.paths(Party::Homebrew).len(), 2);
}

#[test]
fn a_universe_has_homebrew_and_released_files_too() {
    let world = World::shared();
    let mut universe = Universe::in_world(&world);
    let formula = wget().publish(&world);
    let digest = formula.bottles[0].sha256.clone();
    universe.publish_in_homebrew(formula);
    let path = format!("/repos/{CORE}/attestations/sha256:{digest}");
    let list = universe.github_reply(&Request::get(&path)).as_json().unwrap();
    let url = list["attestations"][0]["bundle_url"]
        .as_str()
        .unwrap()
        .strip_prefix("/github")
        .unwrap();
    assert_eq!(universe.github_reply(&Request::get(url)).status, 200);
    assert_eq!(
        universe.homebrew_reply(&Request::get("/api/formula/wget.json")).status,
        200
    );
    assert_eq!(
        universe
            .bottles_reply(&Request::get("/v2/homebrew/core/wget/blobs/sha256:0"))
            .status,
        401
    );
    let file = testbed::ReleasedFile::honest("acme/tool", "v1", "tool.tar.gz").publish(&world);
    universe.publish_files(&file);
    let path = format!("/repos/acme/tool/attestations/{}", file.stored[0].digest);
    assert_eq!(universe.github_reply(&Request::get(&path)).status, 200);
    assert!(universe.homebrew().withdraw("wget"));
}
