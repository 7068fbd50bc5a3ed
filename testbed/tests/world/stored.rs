//! GitHub's attestation store, the files that it attests, and GitHub's own instance of Sigstore.

use crate::{parse, verifier};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sigstore::{VerificationPolicy, VerificationResult, Verifier, trust_root::TrustedRoot};
use testbed::{
    Attesting, BASE_TIME, EmbeddedSct, ReleasedFile, Reply, Scenario, World,
    github::{RELEASE, Snappy},
    moment,
};

const NAME: &str = "tool-linux-amd64.tar.gz";

fn tool() -> ReleasedFile {
    ReleasedFile::honest("acme/tool", "v1.2.3", NAME)
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest(&SHA256, bytes)))
}

/// The digest of the first file.
fn subject(file: &ReleasedFile) -> String {
    sha256(&file.publish(&World::shared()).files[0].1)
}

fn listed(scenario: &Scenario, path: &str) -> Vec<Value> {
    let reply = scenario.github_response(path);
    assert_eq!(reply.status, 200, "{path}");
    reply.as_json().unwrap()["attestations"].as_array().unwrap().clone()
}

fn of_tool(file: &ReleasedFile) -> Vec<Value> {
    let scenario = Scenario::new().release(file.clone());
    listed(&scenario, &format!("/repos/acme/tool/attestations/{}", subject(file)))
}

/// The bundles that a release leaves in the store for its first file.
fn bundles(file: &ReleasedFile) -> Vec<Value> {
    let published = file.publish(&World::shared());
    let digest = sha256(&published.files[0].1);
    let stored = published.stored.into_iter().filter(|stored| stored.digest == digest);
    stored.map(|stored| stored.bundle).collect()
}

fn statement(bundle: &Value) -> Value {
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

/// The opinion of a verifier that trusts the public instance.
fn check(file: &ReleasedFile, bundle: &Value) -> Result<VerificationResult, String> {
    let bytes = &file.publish(&World::shared()).files[0].1;
    verifier(&World::shared())
        .verify(bytes.as_slice(), &parse(bundle)?, &VerificationPolicy::any_identity())
        .map_err(|error| error.to_string())
}

/// The opinion of a verifier that trusts GitHub's instance, which logs nothing.
fn check_by_github(world: &World, file: &ReleasedFile, bundle: &Value) -> Result<VerificationResult, String> {
    let root = TrustedRoot::from_json(&world.github_trusted_root_json()).unwrap();
    let policy = VerificationPolicy::any_identity().skip_tlog_unsafe().skip_sct();
    let bytes = &file.publish(world).files[0].1;
    Verifier::new(&root)
        .unwrap()
        .verify(bytes.as_slice(), &parse(bundle)?, &policy)
        .map_err(|error| error.to_string())
}

#[test]
fn a_released_file_is_attested_with_all_that_was_built_with_it() {
    let file = tool().beside("tool-darwin-arm64.tar.gz");
    let [bundle] = bundles(&file).try_into().unwrap();
    let statement = statement(&bundle);
    let names: Vec<_> = statement["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| &subject["name"])
        .collect();
    assert_eq!(names, [NAME, "tool-darwin-arm64.tar.gz"]);
    let predicate = &statement["predicate"];
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(
        predicate["buildDefinition"]["buildType"],
        "https://actions.github.io/buildtypes/workflow/v1"
    );
    assert_eq!(
        predicate["runDetails"]["builder"]["id"],
        "https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/v1.2.3"
    );
    let result = check(&file, &bundle).unwrap();
    assert!(result.tlog_verified() && result.sct_verified());
    assert_eq!(bundle["dsseEnvelope"]["signatures"][0]["keyid"], Value::Null);
    let scenario = Scenario::new().release(file.clone());
    for (name, bytes) in &file.publish(&World::shared()).files {
        let path = format!("/repos/acme/tool/attestations/{}", sha256(bytes));
        assert_eq!(listed(&scenario, &path).len(), 1, "{name}");
    }
}

#[test]
fn the_run_that_built_it_is_on_github() {
    let mut run = String::new();
    let file = tool().build(|build| run = format!("/repos/{}/actions/runs/{}", build.repository, build.run_id));
    let scenario = Scenario::new().release(file);
    let document = scenario.github_response(&run).as_json().unwrap();
    assert_eq!(
        (&document["name"], &document["head_branch"]),
        (&json!("Release"), &json!("v1.2.3"))
    );
    let jobs = scenario.github_response(&format!("{run}/jobs")).as_json().unwrap();
    let steps = jobs["jobs"][0]["steps"].as_array().unwrap();
    let attest = steps
        .iter()
        .find(|step| step["name"] == "Run actions/attest-build-provenance@v3")
        .unwrap();
    assert!(moment(attest["started_at"].as_str().unwrap()) < BASE_TIME);
    assert!(moment(attest["completed_at"].as_str().unwrap()) > BASE_TIME);
}

#[test]
fn the_store_tells_who_attested_and_where_the_bundle_is() {
    let items = of_tool(&tool().immutable());
    let [by_build, by_github] = items.as_slice() else {
        panic!("{items:?}")
    };
    assert_eq!(
        (&by_build["initiator"], &by_github["initiator"]),
        (&json!("user"), &json!("github"))
    );
    assert_eq!(
        (&by_build["bundle"], &by_github["bundle"]),
        (&Value::Null, &Value::Null)
    );
    assert!(by_build["repository_id"].is_u64() && by_build["bundle_url"].is_string());
    let inline = of_tool(&tool().provenance(Attesting::inline));
    assert_eq!(statement(&inline[0]["bundle"])["subject"][0]["name"], NAME);
}

#[test]
fn a_bundle_is_stored_in_every_form() {
    for (snappy, begin) in [
        (Snappy::None, b"{\"".as_slice()),
        (Snappy::Framed, b"\xff\x06\x00\x00sNaPpY"),
        (Snappy::Raw, b""),
    ] {
        let file = tool().provenance(|attesting| attesting.snappy(snappy));
        let scenario = Scenario::new().release(file.clone());
        let items = listed(&scenario, &format!("/repos/acme/tool/attestations/{}", subject(&file)));
        let url = items[0]["bundle_url"]
            .as_str()
            .unwrap()
            .strip_prefix("/github")
            .unwrap();
        let reply: Reply = scenario.github_response(url);
        assert!(reply.bytes().unwrap().starts_with(begin), "{snappy:?}");
        assert_eq!(reply.as_json().is_some(), snappy == Snappy::None);
    }
}

#[test]
fn attestations_are_found_by_repository_and_by_owner() {
    let scenario = Scenario::new().release(tool());
    let digest = subject(&tool());
    for path in [
        format!("/repos/Acme/Tool/attestations/{digest}"),
        format!("/orgs/acme/attestations/{digest}"),
        format!("/users/ACME/attestations/{}", digest.replace(':', "%3A")),
    ] {
        assert_eq!(listed(&scenario, &path).len(), 1, "{path}");
    }
    for path in [
        format!("/orgs/other/attestations/{digest}"),
        "/repos/acme/tool/attestations/sha256:00".to_owned(),
    ] {
        assert!(listed(&scenario, &path).is_empty(), "{path}");
        scenario.github().no_attestations_are_404 = true;
        assert_eq!(scenario.github_response(&path).status, 404);
        scenario.github().no_attestations_are_404 = false;
    }
    assert_eq!(
        scenario
            .github_response(&format!("/teams/acme/attestations/{digest}"))
            .status,
        404
    );
    let hidden = Scenario::new().release(tool().private());
    assert!(listed(&hidden, &format!("/orgs/acme/attestations/{digest}")).is_empty());
}

#[test]
fn lists_are_filtered_by_predicate_and_go_on_behind_a_link() {
    let scenario = Scenario::new().release(tool().immutable());
    for _ in 0..4 {
        scenario.publish(&tool().at(moment("2026-11-03T10:00:00Z")));
    }
    let path = format!("/repos/acme/tool/attestations/{}", subject(&tool()));
    let count = |query: &str| listed(&scenario, &format!("{path}?{query}")).len();
    assert_eq!(
        (
            count(""),
            count("predicate_type=provenance"),
            count("predicate_type=release")
        ),
        (6, 5, 1)
    );
    assert_eq!(count("predicate_type=https%3A%2F%2Fslsa.dev%2Fprovenance%2Fv1"), 5);
    assert_eq!(count("predicate_type=sbom"), 0);
    let relation = |reply: &Reply, relation: &str| {
        let links = reply.header("link")?.split(", ");
        let link = links
            .into_iter()
            .find(|link| link.ends_with(&format!("rel=\"{relation}\"")))?;
        let (url, _) = link.strip_prefix("</github")?.split_once('>')?;
        Some(url.to_owned())
    };
    let urls = |reply: &Reply| {
        let items = reply.as_json().unwrap()["attestations"].as_array().unwrap().clone();
        items
            .into_iter()
            .map(|item| item["bundle_url"].to_string())
            .collect::<Vec<_>>()
    };
    let (mut seen, mut next, mut sizes) = (Vec::new(), Some(format!("{path}?per_page=4")), Vec::new());
    let mut last = None;
    while let Some(path) = next {
        let reply = scenario.github_response(&path);
        sizes.push(urls(&reply).len());
        seen.extend(urls(&reply));
        next = relation(&reply, "next");
        last = relation(&reply, "prev");
    }
    assert_eq!(sizes, [4, 2]);
    seen.dedup();
    assert_eq!(seen.len(), 6);
    assert_eq!(urls(&scenario.github_response(&last.unwrap())), seen[..4]);
}

#[test]
fn githubs_own_instance_certifies_and_stamps_and_logs_nothing() {
    let file = tool().private();
    let [bundle] = bundles(&file).try_into().unwrap();
    let material = &bundle["verificationMaterial"];
    assert_eq!(material["tlogEntries"], Value::Null);
    assert_eq!(
        material["timestampVerificationData"]["rfc3161Timestamps"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let world = World::shared();
    let result = check_by_github(&world, &file, &bundle).unwrap();
    assert_eq!(result.verified_timestamps(), [BASE_TIME]);
    let certificate = result.certificate().unwrap();
    assert_eq!(
        certificate.ci_claims.source_repository_uri.as_deref(),
        Some("https://github.com/acme/tool")
    );
    assert!(
        check(&file, &bundle).is_err(),
        "the public instance knows nothing of it"
    );
    assert!(check_by_github(&World::foreign(), &file, &bundle).is_err());
    let [public] = bundles(&tool()).try_into().unwrap();
    assert!(
        check_by_github(&world, &tool(), &public).is_err(),
        "nor the other way round"
    );
}

#[test]
fn the_instances_can_be_mixed() {
    let world = World::shared();
    let foreign = World::foreign();
    let forged = tool().provenance(|attesting| {
        attesting
            .by_github()
            .sealing(move |sealing| sealing.parties.certificate_authority = foreign.clone())
    });
    assert!(check_by_github(&world, &forged, &bundles(&forged)[0]).is_err());
    let stamped_elsewhere = World::foreign();
    let stamped = tool().provenance(|attesting| {
        attesting
            .by_github()
            .sealing(move |sealing| sealing.parties.timestamp_authority = stamped_elsewhere.clone())
    });
    assert!(check_by_github(&world, &stamped, &bundles(&stamped)[0]).is_err());
    let logged = tool().provenance(|attesting| {
        attesting.sealing(|sealing| {
            sealing.by_github();
            sealing.format = testbed::Format::rekor_v2();
        })
    });
    assert!(bundles(&logged)[0]["verificationMaterial"]["tlogEntries"][0].is_object());
    assert!(
        check(&logged, &bundles(&logged)[0]).is_err(),
        "by an authority of another instance"
    );
    let recorded = tool().provenance(|attesting| {
        attesting
            .by_github()
            .certificate(|claims| claims.sct = EmbeddedSct::Valid)
    });
    assert!(check_by_github(&world, &recorded, &bundles(&recorded)[0]).is_ok());
}

#[test]
fn an_immutable_release_is_attested_by_github() {
    let file = tool().beside("checksums.txt").immutable();
    let bundles = bundles(&file);
    let release = bundles
        .iter()
        .map(statement)
        .find(|statement| statement["predicateType"] == RELEASE)
        .unwrap();
    let commit = &release["subject"][0];
    assert_eq!(
        (&commit["uri"], &commit["name"]),
        (&json!("pkg:github/acme/tool@v1.2.3"), &Value::Null)
    );
    assert_eq!(commit["digest"]["sha1"].as_str().unwrap().len(), 40);
    assert_eq!(release["subject"][2]["name"], "checksums.txt");
    let predicate = &release["predicate"];
    assert_eq!(
        (&predicate["purl"], &predicate["tag"]),
        (&commit["uri"], &json!("v1.2.3"))
    );
    assert_eq!(
        (&predicate["repository"], &predicate["packageId"]),
        (&json!("acme/tool"), &predicate["repositoryId"])
    );
    let result = check_by_github(&World::shared(), &file, &bundles[1]).unwrap();
    assert_eq!(
        result.identity().unwrap().as_str(),
        "https://dotcom.releases.github.com"
    );
    assert_eq!(result.verified_timestamps(), [moment("2026-11-02T10:01:48Z")]);
    assert_eq!(result.certificate().unwrap().ci_claims.source_repository_uri, None);
    let digest = format!("sha1:{}", commit["digest"]["sha1"].as_str().unwrap());
    let scenario = Scenario::new().release(file);
    assert_eq!(
        listed(&scenario, &format!("/repos/acme/tool/attestations/{digest}")).len(),
        1
    );
}

#[test]
fn what_is_bent_is_still_found_under_the_true_digest() {
    let other = tool().provenance(|attesting| {
        attesting.statement(|statement| statement["subject"][0]["digest"]["sha256"] = json!("00".repeat(32)))
    });
    let [bundle] = bundles(&other).try_into().unwrap();
    assert!(check(&other, &bundle).is_err());
    assert_eq!(of_tool(&other).len(), 1);
    let broken = tool().provenance(|attesting| attesting.bundle(|bundle| bundle["dsseEnvelope"] = json!({})));
    assert_eq!(bundles(&broken)[0]["dsseEnvelope"], json!({}));
    assert!(bundles(&tool().unattested()).is_empty());
    let late = tool().provenance(|attesting| attesting.at(moment("2026-11-05T10:00:00Z")));
    let result = check(&late, &bundles(&late)[0]).unwrap();
    assert_eq!(result.integrated_time(), Some(moment("2026-11-05T10:00:00Z")));
}
