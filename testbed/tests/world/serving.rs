//! The parties on a loopback port.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, StatusCode, header, redirect::Policy};
use sigstore::{crypto::sha256, types::Sha256Hash};
use std::time::Duration;
use testbed::{Answer, Release, Scenario, World};

const ATTESTATIONS: &str = "/-/npm/v1/attestations/widget@1.0.0";

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .user_agent("hekate-test")
        .build()
        .unwrap()
}

fn answering(answer: Answer) -> Scenario {
    Scenario::new().release(Release::honest("widget", "1.0.0").attestation_answer(answer))
}

#[tokio::test]
async fn the_socket_gives_what_the_routing_function_gives() {
    let scenario = Scenario::new().release(Release::honest("@acme/widget", "1.2.3"));
    let path = "/@acme%2fwidget/1.2.3";
    let expected = scenario.npm_response(path).bytes().unwrap().to_vec();
    let served = scenario.serve().await.unwrap();
    let answer = client()
        .get(format!("{}{path}", served.npm_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    let tag = answer.headers()[header::ETAG].clone();
    assert_eq!(answer.bytes().await.unwrap(), expected);

    let again = client()
        .get(format!("{}{path}", served.npm_url()))
        .header(header::IF_NONE_MATCH, &tag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);

    let requests = served.requests();
    assert_eq!(served.npm_paths(), [path, path]);
    assert_eq!(requests[0].header("user-agent"), Some("hekate-test"));
    assert_eq!(requests[0].header("if-none-match"), None);
    assert_eq!(requests[1].header("if-none-match"), Some(tag.to_str().unwrap()));
    served.forget_requests();
    assert!(served.requests().is_empty());
}

#[tokio::test]
async fn servers_fail_in_every_way_they_can() {
    let get = async |answer| {
        let served = answering(answer).serve().await.unwrap();
        let answer = client()
            .get(format!("{}{ATTESTATIONS}", served.npm_url()))
            .send()
            .await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
    };
    let (status, headers, _) = get(Answer::Status(429, Some(17))).await.unwrap();
    assert_eq!(
        (status, headers[header::RETRY_AFTER].as_bytes()),
        (429, b"17".as_slice())
    );

    let (status, headers, _) = get(Answer::Html200).await.unwrap();
    assert_eq!(
        (status, headers[header::CONTENT_TYPE].as_bytes()),
        (200, b"text/html; charset=utf-8".as_slice())
    );

    let (status, _, bytes) = get(Answer::EmptyBody).await.unwrap();
    assert_eq!((status, bytes.len()), (200, 0));

    let (status, headers, _) = get(Answer::RedirectTo("http://127.0.0.1:9/".to_owned())).await.unwrap();
    assert_eq!(
        (status, headers[header::LOCATION].as_bytes()),
        (302, b"http://127.0.0.1:9/".as_slice())
    );

    let body = Answer::Body {
        status: 418,
        content_type: "text/plain".to_owned(),
        bytes: b"tea".to_vec(),
    };
    let (status, _, bytes) = get(body).await.unwrap();
    assert_eq!((status, bytes.as_ref()), (418, b"tea".as_slice()));

    let (_, _, bytes) = get(Answer::Huge(3_000_000)).await.unwrap();
    assert_eq!(bytes.len(), 3_000_000);
    assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());

    assert!(get(Answer::Truncated).await.unwrap_err().is_decode());
    assert!(get(Answer::Reset).await.unwrap_err().is_request());
}

#[tokio::test]
async fn a_connection_hangs_until_the_server_stops() {
    let served = answering(Answer::Hang).serve().await.unwrap();
    let url = format!("{}{ATTESTATIONS}", served.npm_url());
    let patience = client().get(&url).timeout(Duration::from_millis(100)).send().await;
    assert!(patience.unwrap_err().is_timeout());
    let waiting = tokio::spawn(client().get(&url).send());
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(served);
    let _ = tokio::time::timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap();
    assert!(client().get(&url).send().await.is_err());
}

#[tokio::test]
async fn the_logs_are_served_in_both_generations() {
    let scenario = Scenario::new()
        .release(Release::honest("widget", "1.0.0"))
        .release(Release::honest("widget", "1.0.1").rekor_v2());
    let published = scenario.npm_release("widget", "1.0.0").unwrap().clone();
    let entry = &crate::provenance(&published)["verificationMaterial"]["tlogEntries"][0];
    let index = entry["logIndex"].as_str().unwrap().to_owned();
    let logged: u64 = entry["inclusionProof"]["treeSize"].as_str().unwrap().parse().unwrap();
    let served = scenario.serve().await.unwrap();
    let get = async |path: String| {
        let answer = client()
            .get(format!("{}{path}", served.rekor_url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.unwrap()
    };

    let found: serde_json::Value =
        serde_json::from_slice(&get(format!("/api/v1/log/entries?logIndex={index}")).await).unwrap();
    let (_, found) = found.as_object().unwrap().iter().next().unwrap();
    assert_eq!(found["body"], entry["canonicalizedBody"]);

    let info: serde_json::Value = serde_json::from_slice(&get("/api/v1/log".to_owned()).await).unwrap();
    let size = info["treeSize"].as_u64().unwrap();
    let proof: serde_json::Value =
        serde_json::from_slice(&get(format!("/api/v1/log/proof?firstSize={}&lastSize={size}", logged - 1)).await)
            .unwrap();
    assert!(proof["hashes"].as_array().is_some_and(|hashes| !hashes.is_empty()));

    let checkpoint = get("/api/v2/checkpoint".to_owned()).await;
    let checkpoint = std::str::from_utf8(&checkpoint).unwrap();
    let mut lines = checkpoint.lines();
    assert_eq!(lines.next(), Some("log2026-1.rekor.testbed.example"));
    let size: u64 = lines.next().unwrap().parse().unwrap();
    let root = STANDARD.decode(lines.next().unwrap()).unwrap();
    assert_eq!(root.len(), 32);
    let tile = if size >= 256 {
        "000".to_owned()
    } else {
        format!("000.p/{size}")
    };
    assert_eq!(
        get(format!("/api/v2/tile/0/{tile}")).await.len() as u64,
        size.min(256) * 32
    );
    assert!(!get(format!("/api/v2/tile/entries/{tile}")).await.is_empty());
}

#[tokio::test]
async fn the_log_is_searched_by_the_digest_of_the_tarball() {
    let scenario = Scenario::new().release(Release::honest("searched", "1.0.0"));
    let published = scenario.npm_release("searched", "1.0.0").unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &published.tarball);
    let hash = format!("sha512:{}", hex::encode(digest));
    let served = scenario.serve().await.unwrap();
    let search = |hash: &str| {
        let query = serde_json::json!({"hash": hash}).to_string();
        client()
            .post(format!("{}/api/v1/index/retrieve", served.rekor_url()))
            .body(query)
            .send()
    };
    let found = search(&hash).await.unwrap().bytes().await.unwrap();
    let found: Vec<String> = serde_json::from_slice(&found).unwrap();
    assert!(found.len() >= 2);
    for uuid in found {
        let reply = served.scenario().rekor_response(&format!("/api/v1/log/entries/{uuid}"));
        assert!(reply.as_json().unwrap().get(&uuid).is_some());
    }
    let nothing = search("sha512:00").await.unwrap().bytes().await.unwrap();
    assert_eq!(nothing.as_ref(), b"[]");
}

#[test]
fn the_tiles_lead_to_the_root_of_the_checkpoint() {
    let world = World::generate();
    let scenario = Scenario::in_world(&world).release(Release::honest("widget", "1.0.0").rekor_v2());
    let get = |path: &str| {
        scenario
            .rekor_response(&format!("/api/v2/{path}"))
            .bytes()
            .unwrap()
            .to_vec()
    };
    let checkpoint = String::from_utf8(get("checkpoint")).unwrap();
    let lines: Vec<_> = checkpoint.lines().collect();
    let size: usize = lines[1].parse().unwrap();
    let leaves = get(&format!("tile/0/000.p/{size}"));
    let leaves: Vec<_> = leaves
        .chunks(32)
        .map(|hash| Sha256Hash::new(hash.try_into().unwrap()))
        .collect();
    assert_eq!(leaves.len(), size);
    let mut bodies = Vec::new();
    let entries = get(&format!("tile/entries/000.p/{size}"));
    let mut rest = entries.as_slice();
    while let [high, low, tail @ ..] = rest {
        let (body, after) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        bodies.push(body.to_vec());
        rest = after;
    }
    let hashed: Vec<_> = bodies.iter().map(|body| leaf(body)).collect();
    assert_eq!(hashed, leaves);
    assert_eq!(root(&leaves).to_base64(), lines[2]);
}

fn leaf(body: &[u8]) -> Sha256Hash {
    sha256(&[&[0], body].concat())
}

/// RFC 6962, section 2.1.
fn root(leaves: &[Sha256Hash]) -> Sha256Hash {
    if let [only] = leaves {
        return *only;
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    sha256(&[&[1], root(left).as_bytes().as_slice(), root(right).as_bytes()].concat())
}
