//! The registry's documents.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::{Answer, Body, Publisher, Release, Request, Scenario, World, moment};

fn manifest(scenario: &Scenario, path: &str) -> Value {
    scenario.npm_response(path).as_json().unwrap()
}

/// Whether the registry signature of `manifest` verifies with the key of the scenario's world that it names.
fn registry_signature_verifies(world: &World, manifest: &Value) -> bool {
    let signature = &manifest["dist"]["signatures"][0];
    let keys = world.npm_keys();
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["keyId"] == signature["keyid"]);
    let Some(key) = key else { return false };
    let spki = STANDARD.decode(key["publicKey"]["rawBytes"].as_str().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let signed = format!(
        "{}@{}:{}",
        text(&manifest["name"]),
        text(&manifest["version"]),
        text(&manifest["dist"]["integrity"])
    );
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &spki[spki.len() - 65..])
        .verify(signed.as_bytes(), &STANDARD.decode(text(&signature["sig"])).unwrap())
        .is_ok()
}

#[test]
fn the_registry_signs_name_version_and_integrity() {
    let scenario = Scenario::new()
        .release(Release::honest("@acme/widget", "1.2.3"))
        .release(Release::honest_of_2023("goggles", "1.0.5"))
        .release(Release::honest("forged", "1.0.0").registry_signature_by(&World::foreign()));
    let signed = |path| registry_signature_verifies(scenario.world(), &manifest(&scenario, path));
    assert!(signed("/@acme%2fwidget/1.2.3"));
    assert!(signed("/goggles/1.0.5"));
    assert!(!signed("/forged/1.0.0"));
}

#[test]
fn the_key_of_the_time_signs() {
    let world = World::shared();
    let key_of = |release: Release| release.publish(&world).manifest["dist"]["signatures"][0]["keyid"].clone();
    assert_eq!(
        key_of(Release::honest("a", "1.0.0")),
        world.current_registry_key.key_id()
    );
    assert_eq!(
        key_of(Release::honest_of_2023("a", "1.0.0")),
        world.expired_registry_key.key_id()
    );
}

#[test]
fn the_packument_tells_tags_times_and_publishers() {
    let scenario = Scenario::new()
        .release(Release::honest("widget", "1.0.0").unattested())
        .release(Release::honest("widget", "1.1.0").later(SignedDuration::from_hours(24)))
        .release(
            Release::honest("widget", "2.0.0-rc.1")
                .later(SignedDuration::from_hours(48))
                .tag("next"),
        )
        .release(
            Release::honest("widget", "1.1.1")
                .later(SignedDuration::from_hours(72))
                .unpublished(),
        );
    let packument = manifest(&scenario, "/widget");
    assert_eq!(packument["dist-tags"], json!({"latest": "1.1.0", "next": "2.0.0-rc.1"}));
    assert_eq!(packument["time"]["1.1.0"], "2026-11-03T10:00:03.000Z");
    assert_eq!(packument["time"]["1.1.1"], "2026-11-05T10:00:03.000Z");
    assert_eq!(packument["versions"]["1.1.1"], Value::Null);
    assert_eq!(
        packument["versions"]["1.1.0"]["_npmUser"]["trustedPublisher"]["id"],
        "github"
    );
    assert_eq!(
        packument["versions"]["1.0.0"]["_npmUser"]["trustedPublisher"],
        Value::Null
    );
    assert_eq!(packument["versions"]["1.0.0"]["dist"]["attestations"], Value::Null);
    assert_eq!(manifest(&scenario, "/widget/next")["version"], "2.0.0-rc.1");
    assert_eq!(scenario.npm_response("/widget/1.1.1").status, 404);
}

#[test]
fn the_abbreviated_packument_has_no_times_and_no_publishers() {
    let scenario = Scenario::new().release(Release::honest("widget", "1.0.0"));
    let accept = Some("application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*".to_owned());
    let reply = scenario.npm_reply(&Request {
        accept,
        ..Request::get("/widget")
    });
    let packument = reply.as_json().unwrap();
    assert_eq!(packument["time"], Value::Null);
    assert_eq!(packument["versions"]["1.0.0"]["_npmUser"], Value::Null);
    assert!(packument["versions"]["1.0.0"]["dist"]["integrity"].is_string());
}

#[test]
fn a_scoped_name_is_found_encoded_or_not() {
    let scenario = Scenario::new().release(Release::honest("@acme/widget", "1.2.3"));
    for path in [
        "/@acme%2fwidget",
        "/@acme%2Fwidget",
        "/@acme/widget",
        "/@acme%2fwidget/1.2.3",
        "/@acme/widget/latest",
        "/-/npm/v1/attestations/@acme%2fwidget@1.2.3",
        "/-/npm/v1/attestations/@acme/widget@1.2.3",
        "/-/npm/v1/attestations/%40acme%2fwidget@1.2.3",
        "/@acme/widget/-/widget-1.2.3.tgz",
        "/-/npm/v1/keys",
    ] {
        assert_eq!(scenario.npm_response(path).status, 200, "{path}");
    }
    for path in [
        "/@acme/other",
        "/@acme/widget/9.9.9",
        "/-/npm/v1/attestations/@acme/widget@9.9.9",
        "/",
        "//",
    ] {
        assert_eq!(scenario.npm_response(path).status, 404, "{path}");
    }
}

#[test]
fn the_tarballs_path_is_served_and_its_host_is_another() {
    let scenario = Scenario::new().release(Release::honest("@acme/widget", "1.2.3"));
    let dist = manifest(&scenario, "/@acme/widget/1.2.3")["dist"].clone();
    let path = dist["tarball"]
        .as_str()
        .unwrap()
        .strip_prefix("https://registry.example")
        .unwrap();
    let bytes = scenario.npm_response(path).bytes().unwrap().to_vec();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes);
    assert_eq!(dist["integrity"], format!("sha512-{}", STANDARD.encode(digest)));
    let path = dist["attestations"]["url"]
        .as_str()
        .unwrap()
        .strip_prefix("https://registry.example")
        .unwrap();
    assert_eq!(
        scenario.npm_response(path).as_json().unwrap()["attestations"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn an_unattested_release_has_no_attestations_to_give() {
    let scenario = Scenario::new().release(Release::honest("widget", "1.0.0").unattested());
    assert_eq!(scenario.npm_response("/-/npm/v1/attestations/widget@1.0.0").status, 404);
}

#[test]
fn metadata_attestations_and_packument_can_be_edited_at_will() {
    let scenario = Scenario::new().release(
        Release::honest("widget", "1.0.0")
            .published_by(Publisher::trusted("github").approved_by("bob", "bob@example.com"))
            .metadata(|manifest| manifest["dist"]["signatures"] = json!([]))
            .attestations(|list| list.push(json!({"predicateType": "https://example.com/other"})))
            .packument(|packument| packument["time"] = Value::Null),
    );
    assert_eq!(manifest(&scenario, "/widget/1.0.0")["dist"]["signatures"], json!([]));
    assert_eq!(
        manifest(&scenario, "/widget/1.0.0")["_npmUser"]["approver"]["name"],
        "bob"
    );
    assert_eq!(manifest(&scenario, "/widget")["time"], Value::Null);
    let list = manifest(&scenario, "/-/npm/v1/attestations/widget@1.0.0");
    assert_eq!(list["attestations"].as_array().unwrap().len(), 3);
}

#[test]
fn an_entity_tag_turns_the_same_answer_into_304() {
    let scenario = Scenario::new().release(Release::honest("widget", "1.0.0"));
    for path in ["/widget", "/widget/1.0.0", "/-/npm/v1/attestations/widget@1.0.0"] {
        let tag = scenario.npm_response(path).header("etag").unwrap().to_owned();
        let request = Request {
            if_none_match: Some(tag),
            ..Request::get(path)
        };
        let reply = scenario.npm_reply(&request);
        assert_eq!((reply.status, reply.bytes()), (304, Some([].as_slice())));
    }
}

#[test]
fn a_resource_that_fails_a_few_times_recovers() {
    let scenario =
        Scenario::new().release(Release::honest("widget", "1.0.0").attestation_answer(Answer::FailTimes(2, 503)));
    let statuses: Vec<_> = (0..4)
        .map(|_| scenario.npm_response("/-/npm/v1/attestations/widget@1.0.0").status)
        .collect();
    assert_eq!(statuses, [503, 503, 200, 200]);
    assert_eq!(scenario.npm_response("/widget").status, 200);
}

#[test]
fn a_truncated_answer_is_half_of_the_announced_one() {
    let scenario = Scenario::new().release(Release::honest("widget", "1.0.0").tarball_answer(Answer::Truncated));
    let reply = scenario.npm_response("/widget/-/widget-1.0.0.tgz");
    let Body::Truncated { bytes, announced } = reply.body else {
        unreachable!()
    };
    assert_eq!(bytes.len(), announced / 2);
}

#[test]
fn the_trust_material_is_written_as_three_files() {
    let directory = std::env::temp_dir().join(format!("testbed-trust-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    Scenario::new().write_trust(&directory).unwrap();
    let read = |name| std::fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(read("trusted_root.json"), World::shared().trusted_root_json());
    let of_github: Value = serde_json::from_str(&read("trusted_root.github.json")).unwrap();
    assert_eq!(of_github, World::shared().github_trusted_root());
    assert_eq!(
        of_github["certificateAuthorities"][0]["subject"]["organization"],
        "GitHub, Inc."
    );
    let keys: Value = serde_json::from_str(&read("npm-keys.json")).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 4);
    assert_eq!(keys["keys"][0]["publicKey"]["validFor"]["end"], "2025-01-29T00:00:00Z");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_release_happens_when_it_says() {
    let published = Release::honest("widget", "1.0.0")
        .at(moment("2026-10-01T00:00:00Z"))
        .publish(&World::shared());
    assert_eq!(published.published_at, moment("2026-10-01T00:00:03Z"));
    let staged = Release::honest("widget", "1.0.0").published_at(moment("2026-11-09T00:00:00Z"));
    assert_eq!(
        staged.publish(&World::shared()).published_at,
        moment("2026-11-09T00:00:00Z")
    );
}
