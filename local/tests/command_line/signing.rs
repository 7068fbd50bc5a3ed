//! `hekate verify --format vsa`, and what `hekate serve` signs.

use serde_json::Value;
use sigstore::crypto::{SigningScheme, verify_signature};
use sigstore::types::{DerPublicKey, DsseEnvelope};
use testbed::keys::P256Key;

use crate::serve::Server;
use crate::{Bed, Ran, run};

const HONEST: &str = "npm:@acme/widget@1.2.3";
const PURGED: &str = "npm:goggles@1.0.5";
const UNATTESTED: &str = "npm:left-out@1.3.0";
const MISMATCH: &str = "npm:one-byte-off@1.0.0";
const INDETERMINATE: &str = "npm:@acme/unlucky@1.0.0";

/// A supply chain, and a key that signs.
struct Signing {
    bed: Bed,
    key: P256Key,
}

impl Signing {
    async fn demo() -> Self {
        let (bed, key) = (Bed::demo().await, P256Key::generate());
        std::fs::write(bed.path("key.pem"), key.pkcs8_pem()).unwrap();
        Self { bed, key }
    }

    fn hekate(&self) -> std::process::Command {
        let mut command = self.bed.hekate();
        command.env("HEKATE_SIGNING_KEY", self.bed.path("key.pem"));
        command
    }

    fn verify(&self, packages: &[&str]) -> Ran {
        run(self.hekate().arg("verify").args(packages).args(["--format", "vsa"]))
    }

    /// What an envelope says, by a verifier and a key that are not the product's.
    fn statement(&self, envelope: &str) -> Value {
        let envelope: DsseEnvelope = serde_json::from_str(envelope).unwrap();
        verify_signature(
            &DerPublicKey::from_bytes(self.key.spki()),
            &envelope.pae(),
            &envelope.signature.sig,
            SigningScheme::EcdsaP256Sha256,
        )
        .unwrap();
        serde_json::from_slice(envelope.payload.as_bytes()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_one_signed_line_for_each_verdict_that_is_decided() {
    let signing = Signing::demo().await;
    let ran = signing.verify(&[HONEST, PURGED, INDETERMINATE, UNATTESTED, MISMATCH]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let said: Vec<(String, String, String)> = ran
        .out
        .lines()
        .map(|line| {
            let predicate = signing.statement(line)["predicate"].take();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&predicate["resourceUri"]),
                text(&predicate["verificationResult"]),
                text(&predicate["urn:hekate:summary:1"]["status"]),
            )
        })
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(uri, result, status)| (&**uri, &**result, &**status))
        .collect();
    assert_eq!(
        said,
        [
            ("pkg:npm/%40acme/widget@1.2.3", "PASSED", "verified"),
            ("pkg:npm/goggles@1.0.5", "PASSED", "attested"),
            ("pkg:npm/one-byte-off@1.0.0", "FAILED", "mismatch"),
        ]
    );
    assert!(ran.err.contains("unlucky@1.0.0 is not decided"), "{}", ran.err);
    assert!(ran.err.contains("left-out@1.3.0 has no attestation"), "{}", ran.err);
    // What is remembered is not signed again.
    let first = ran.out.lines().next().unwrap();
    assert_eq!(signing.verify(&[HONEST]).out, format!("{first}\n"));
    assert_eq!(signing.verify(&[INDETERMINATE]).status, 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_that_signs_people_are_told_how_to_make_one() {
    let signing = Signing::demo().await;
    std::fs::write(signing.bed.path("no-key.pem"), "s3cret").unwrap();
    for (key, says) in [
        (None, "HEKATE_SIGNING_KEY"),
        (Some(signing.bed.path("no-key.pem")), "PKCS#8"),
    ] {
        let mut command = signing.bed.hekate();
        command.args(["verify", HONEST, "--format", "vsa"]);
        if let Some(key) = key {
            command.env("HEKATE_SIGNING_KEY", key);
        }
        let ran = run(&mut command);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(
            ran.err.contains(says) && ran.err.contains("openssl genpkey"),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
    for (key, says) in [
        ("nowhere.pem", "cannot be read"),
        ("alias/hekate", "only the functions"),
    ] {
        let ran = run(signing
            .bed
            .hekate()
            .args(["verify", HONEST])
            .env("HEKATE_SIGNING_KEY", key));
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains(says), "{}", ran.err);
    }
    assert_eq!(signing.bed.served.npm_paths(), [""; 0], "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_signs_and_publishes_its_key() {
    let signing = Signing::demo().await;
    let earlier = P256Key::generate();
    let pem = DerPublicKey::from_bytes(earlier.spki());
    let server = Server::of(
        signing
            .hekate()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("HEKATE_EARLIER_KEYS", pem.to_base64()),
    );
    let path = "/v1/verdicts/npm/@acme/widget/1.2.3";
    assert_eq!(
        server.error(&format!("{path}/attestation")).await,
        (404, "not_found".to_owned())
    );
    server.verdict(path).await;
    let (status, envelope) = server.get(&format!("{path}/attestation")).await;
    assert_eq!(status, 200, "{envelope}");
    assert_eq!(server.get(&format!("{path}/attestation")).await.1, envelope);
    let statement = signing.statement(&envelope.to_string());
    assert_eq!(statement["predicate"]["verificationResult"], "PASSED");
    // The command line has the same store and the same key.
    let printed: Value = serde_json::from_str(&signing.verify(&[HONEST]).out).unwrap();
    assert_eq!(printed, envelope);

    let (_, document) = server.get("/.well-known/hekate.json").await;
    let keys = document["keys"].as_array().unwrap();
    let listed: Vec<_> = keys
        .iter()
        .map(|key| {
            let read = DerPublicKey::from_pem(key["publicKey"].as_str().unwrap()).unwrap();
            (read.as_bytes().to_vec(), key["signs"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(
        listed,
        [(signing.key.spki().to_vec(), true), (earlier.spki().to_vec(), false)]
    );
    assert_eq!(envelope["signatures"][0]["keyid"], keys[0]["keyId"]);
    assert_eq!(envelope["signatures"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_compares_what_it_says_with_what_its_peers_say() {
    let peer = Signing::demo().await;
    let other = Server::of(peer.hekate().args(["serve", "--listen", "127.0.0.1:0"]));
    let key = DerPublicKey::from_bytes(peer.key.spki()).to_base64();
    // On the same supply chain, with a store of its own.
    let asking = |peers: String| {
        let mut command = peer.bed.hekate();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("HEKATE_STORE", peer.bed.path("another/store.db"))
            .env("HEKATE_PEERS", peers);
        command
    };
    let asked = Server::of(&mut asking(format!("{}#{key}", other.base)));
    for (path, status) in [
        ("npm/@acme/widget/1.2.3", "verified"),
        ("npm/left-out/1.3.0", "unattested"),
        ("npm/one-byte-off/1.0.0", "mismatch"),
    ] {
        let (code, report) = asked.get(&format!("/v1/network/{path}")).await;
        assert_eq!(code, 200, "{report}");
        assert_eq!(report["result"], "agree", "{report}");
        assert_eq!(report["peers"][0]["says"]["status"], status, "{report}");
        let said = peer.statement(&report["peers"][0]["envelope"].to_string());
        assert_eq!(said, other.verdict(&format!("/v1/verdicts/{path}")).await);
    }
    for (peers, says) in [
        (other.base.clone(), "without a public key"),
        (format!("{}#nonsense", other.base), "whose key"),
    ] {
        let ran = run(&mut asking(peers));
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(
            ran.err.contains("HEKATE_PEERS") && ran.err.contains(says),
            "{}",
            ran.err
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_key_says_so() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let path = "/v1/verdicts/npm/@acme/widget/1.2.3";
    server.verdict(path).await;
    assert_eq!(
        server.error(&format!("{path}/attestation")).await,
        (404, "no_signing_key".to_owned())
    );
    let (_, document) = server.get("/.well-known/hekate.json").await;
    assert_eq!(document["keys"], serde_json::json!([]));
}
