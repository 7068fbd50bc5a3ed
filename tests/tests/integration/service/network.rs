//! What peers say of a version, over HTTP, each on its own store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hekate::adapters::http::{HttpFetch, HttpFetchConfig, Upstream};
use hekate::adapters::judges::FixedJudge;
use hekate::adapters::pem::PemSigner;
use hekate::entrypoints::Deadline;
use hekate::entrypoints::api::{Api, router};
use hekate::network::Peer;
use hekate::ports::{Measurement, Meter, Sign, SignFault};
use hekate::service::{Signing, Until};
use hekate::summary::PublicKey;
use hekate_tests::deployment::{clock, set_clock};
use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore::crypto::{SigningScheme, verify_signature};
use sigstore::types::{DerPublicKey, DsseEnvelope};
use testbed::keys::P256Key;
use testbed::{Answer, Formula, PypiFile, PypiRelease, Release, Scenario};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tower::ServiceExt as _;
use url::Url;

use super::{Deployment, at, day, minutes};
use crate::shape::judge;

const PURL: &str = "pkg:npm/%40acme/widget@1.0.0";
const PATH: &str = "npm/@acme/widget/1.0.0";

/// Keeps what is measured of comparisons.
#[derive(Default)]
struct Compared(Mutex<Vec<&'static str>>);

impl Meter for Compared {
    fn measure_all(&self, measurements: &[Measurement], _at: Timestamp) {
        for measurement in measurements {
            if let Measurement::Comparison(agreement) = measurement {
                self.0.lock().unwrap().push(agreement.as_str());
            }
        }
    }
}

/// A key that never signs, and may not even say which it is.
struct Hanging(Option<PublicKey>);

#[async_trait]
impl Sign for Hanging {
    async fn public_key(&self) -> Result<PublicKey, SignFault> {
        match &self.0 {
            Some(key) => Ok(key.clone()),
            None => std::future::pending().await,
        }
    }

    async fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignFault> {
        std::future::pending().await
    }
}

/// A verifier that others can ask.
struct Verifier {
    deployment: Deployment,
    key: P256Key,
    compared: Arc<Compared>,
}

impl Verifier {
    async fn of(scenario: Scenario) -> Self {
        let mut deployment = Deployment::of(scenario).await;
        let (key, compared) = (P256Key::generate(), Arc::new(Compared::default()));
        deployment.service.signing.signer = Some(Arc::new(PemSigner::new(&key.pkcs8_pem()).unwrap()));
        deployment.service.meter = compared.clone();
        deployment.service.fetch = Arc::new(patient(Vec::new()));
        Self {
            deployment,
            key,
            compared,
        }
    }

    /// One that is shown what this one is shown, with a store and a key of its own.
    async fn beside(&self) -> Self {
        let mut other = Self::of(Scenario::new()).await;
        other.deployment.service.upstreams = self.deployment.service.upstreams.clone();
        other
    }

    /// A release as the registry shows it to this one.
    async fn shown(release: Release) -> Self {
        Self::of(Scenario::new().release(release.at(day(-1)))).await
    }

    fn judging(mut self, edit: impl FnOnce(&mut hekate::verifier::Judge)) -> Self {
        let mut judge = judge();
        edit(&mut judge);
        self.deployment.service.judges = Arc::new(FixedJudge(Arc::new(judge)));
        self
    }

    fn api(&self) -> Router {
        router(Api {
            service: Arc::new(self.deployment.service.clone()),
            clock,
            fresh_after: minutes(10),
        })
    }

    /// Serves its API as it is now.
    async fn listen(&self) -> Peer {
        Peer {
            url: serve(self.api()).await,
            keys: vec![PublicKey::from_der(self.key.spki()).unwrap()],
        }
    }

    async fn look(&self, now: Timestamp) {
        set_clock(now);
        let (status, body) = self.get(&format!("/v1/verdicts/{PATH}?fresh=true")).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// What it answers to somebody who can wait so long.
    async fn get_within(&self, path: &str, time: Duration) -> (u16, Value) {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Deadline::after(time));
        self.answer(request).await
    }

    async fn answer(&self, request: Request) -> (u16, Value) {
        let (parts, body) = self.api().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    /// What it reports of its peers.
    async fn report(&mut self, peers: Vec<Peer>, now: Timestamp) -> Value {
        set_clock(now);
        self.deployment.service.peers = peers.into();
        let (status, report) = self.get(&format!("/v1/network/{PATH}")).await;
        assert_eq!(status, 200, "{report}");
        assert_eq!(
            (&report["check"], &report["severity"], &report["package"]),
            (&json!("peer.agree"), &json!("high"), &json!(PURL))
        );
        report
    }
}

/// One that gives this answer to everything.
async fn answering(answer: Value, keys: Vec<PublicKey>) -> Peer {
    let router = Router::new().fallback(move || {
        let answer = answer.to_string();
        async move { ([("content-type", "application/json")], answer).into_response() }
    });
    Peer {
        url: serve(router).await,
        keys,
    }
}

/// Serves on the loopback interface until the test ends.
async fn serve(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    Url::parse(&url).unwrap()
}

fn patient(upstreams: Vec<Upstream>) -> HttpFetch {
    let mut config = HttpFetchConfig::new("hekate-tests");
    config.use_proxies = false;
    config.read_timeout = Duration::from_secs(10);
    config.backoff_base = Duration::from_millis(1);
    config.attempts = 2;
    config.upstreams = upstreams;
    HttpFetch::new(config).unwrap()
}

/// Of each peer, how what it says compares with what the verifier says, and that or why it was not heard.
fn answers(report: &Value) -> Vec<(&str, &str)> {
    let peers = report["peers"].as_array().unwrap().iter();
    peers
        .map(|peer| {
            let said = peer["says"]["status"].as_str().or(peer["unheard"]["reason"].as_str());
            (peer["agreement"].as_str().unwrap(), said.unwrap())
        })
        .collect()
}

/// What an envelope says, by a verifier that is not the product's.
fn proved(envelope: &Value, key: &P256Key) -> Value {
    let envelope: DsseEnvelope = serde_json::from_value(envelope.clone()).unwrap();
    assert_eq!(envelope.payload_type, "application/vnd.hekate.verdict+json");
    let key = DerPublicKey::from_bytes(key.spki());
    let scheme = SigningScheme::EcdsaP256Sha256;
    verify_signature(&key, &envelope.pae(), &envelope.signature.sig, scheme).unwrap();
    serde_json::from_slice(envelope.payload.as_bytes()).unwrap()
}

fn differences(report: &Value) -> Vec<&str> {
    let differences = report["peers"][0]["differences"].as_array().unwrap();
    differences
        .iter()
        .map(|difference| difference["what"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn peers_that_are_shown_the_same_agree_and_prove_what_they_said() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let (one, other) = (ours.beside().await, ours.beside().await);
    let nobody = Peer {
        url: Url::parse("http://127.0.0.1:9/").unwrap(),
        ..ours.listen().await
    };
    one.look(day(0)).await;
    // The other one has not seen the version yet, and this one neither.
    let peers = vec![one.listen().await, other.listen().await, nobody];
    let report = ours.report(peers, day(0) + minutes(30)).await;
    assert_eq!(
        answers(&report),
        [("agree", "verified"), ("agree", "verified"), ("unknown", "unreachable")]
    );
    assert_eq!((&report["result"], &report["agreeing"]), (&json!("agree"), &json!(2)));
    assert_eq!(report["summary"], "2 of 3 peers report verified for the same evidence");
    assert!(report["envelope"].is_null(), "nothing is to be proved");
    assert_eq!(report["ours"]["evidence"], report["peers"][0]["says"]["evidence"]);
    assert_eq!(*ours.compared.0.lock().unwrap(), ["agree"]);

    let said = proved(&report["peers"][0]["envelope"], &one.key);
    assert_eq!(said, one.get(&format!("/v1/verdicts/{PATH}")).await.1);
}

#[tokio::test]
async fn other_bytes_are_a_split_view() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let same = ours.beside().await;
    let other = Verifier::shown(at("1.0.0").tarball_swapped_by_one_byte()).await;
    let peers = vec![other.listen().await, same.listen().await];
    let report = ours.report(peers, day(0)).await;
    assert_eq!(answers(&report), [("split_view", "mismatch"), ("agree", "verified")]);
    assert!(differences(&report).contains(&"file.sha512"), "{report}");
    // Whoever agrees does not outvote it.
    assert_eq!(
        (&report["result"], &report["agreeing"]),
        (&json!("split_view"), &json!(1))
    );
    assert_eq!(*ours.compared.0.lock().unwrap(), ["split_view"]);
}

/// Whichever of the two was shown other bytes, and however equal these are by now.
#[tokio::test]
async fn other_bytes_stay_a_split_view_when_everybody_is_shown_the_same_again() {
    for is_ours in [false, true] {
        let honest = Verifier::shown(at("1.0.0")).await;
        let mut swapped = Verifier::shown(at("1.0.0").tarball_swapped_by_one_byte()).await;
        let stripped = Verifier::shown(at("1.0.0").unattested()).await;
        let same = if is_ours {
            swapped.beside().await
        } else {
            honest.beside().await
        };
        let looked = day(0) + minutes(90);
        for verifier in [&honest, &swapped, &stripped, &same] {
            verifier.look(day(0)).await;
            verifier.look(looked).await;
        }
        swapped.deployment.service.upstreams = honest.deployment.service.upstreams.clone();
        let (mut ours, peer, said) = if is_ours {
            (swapped, honest, "verified")
        } else {
            (honest, swapped, "mismatch")
        };
        // Another one that differs is no reason to look again either.
        let peers = vec![peer.listen().await, same.listen().await, stripped.listen().await];
        let report = ours.report(peers, looked + minutes(15)).await;
        assert_eq!(answers(&report)[0], ("split_view", said));
        assert!(differences(&report).contains(&"file.sha512"), "{report}");
        assert_eq!(report["result"], "split_view");
        assert_eq!(report["peers"][1]["agreement"], "agree", "{report}");
        assert_eq!(*ours.compared.0.lock().unwrap(), ["split_view"]);
        // Both words of that moment can be proved.
        let ours = proved(&report["envelope"], &ours.key);
        let theirs = proved(&report["peers"][0]["envelope"], &peer.key);
        for word in [&ours, &theirs] {
            assert_eq!(word["checkedAt"], json!(looked));
        }
        assert_ne!(ours["artifact"]["sha512"], theirs["artifact"]["sha512"]);
    }
}

/// A peer that saw no bytes at first sees those that this verifier did not see before.
#[tokio::test]
async fn what_a_second_look_shows_does_not_take_back_what_was_seen_before() {
    let mut ours = Verifier::shown(at("1.0.0").tarball_swapped_by_one_byte()).await;
    let silent = Verifier::shown(at("1.0.0").tarball_answer(Answer::Status(503, None))).await;
    let mut honest = Verifier::shown(at("1.0.0")).await;
    honest.deployment.service.signing = silent.deployment.service.signing.clone();
    let looked = day(0) + minutes(90);
    for verifier in [&ours, &silent] {
        verifier.look(day(0)).await;
        verifier.look(looked).await;
    }
    let before = silent.get(&format!("/v1/verdicts/{PATH}/signed")).await.1;
    ours.deployment.service.upstreams = honest.deployment.service.upstreams.clone();
    let api = honest.api();
    let changing = Router::new().fallback(move |request: Request| {
        let (api, before) = (api.clone(), before.to_string());
        async move {
            if request.uri().query().is_some_and(|query| query.contains("fresh=true")) {
                api.oneshot(request).await.unwrap()
            } else {
                before.into_response()
            }
        }
    });
    let peers = vec![Peer {
        url: serve(changing).await,
        ..silent.listen().await
    }];
    let report = ours.report(peers, looked + minutes(15)).await;
    assert_eq!(answers(&report), [("split_view", "verified")], "{report}");
    assert_eq!(report["ours"]["checkedAt"], json!(looked));
    assert_eq!(proved(&report["envelope"], &ours.key)["status"], "mismatch");
}

#[tokio::test]
async fn an_attestation_that_one_of_two_is_not_shown_is_a_split_view() {
    let stripped = || Verifier::shown(at("1.0.0").unattested());
    let attested = || Verifier::shown(at("1.0.0"));
    // Whichever of the two has looked first, and whether or not they look again.
    for (mut ours, peer, said) in [
        (attested().await, stripped().await, "unattested"),
        (stripped().await, attested().await, "verified"),
    ] {
        ours.look(day(0)).await;
        peer.look(day(0) + minutes(1)).await;
        let peers = vec![peer.listen().await];
        for now in [day(0) + minutes(2), day(0) + minutes(40), day(1)] {
            let report = ours.report(peers.clone(), now).await;
            assert_eq!(answers(&report), [("split_view", said)]);
            assert!(differences(&report).contains(&"build"), "{report}");
            // Both words can be proved.
            for (envelope, key) in [
                (&report["envelope"], &ours.key),
                (&report["peers"][0]["envelope"], &peer.key),
            ] {
                let proved = proved(envelope, key);
                assert_eq!(proved["package"], PURL);
            }
        }
    }
}

#[tokio::test]
async fn two_who_are_told_nothing_do_not_agree() {
    let mut ours = Verifier::shown(at("1.0.0").tarball_answer(Answer::Status(503, None))).await;
    let peer = ours.beside().await;
    let peers = vec![peer.listen().await];
    let report = ours.report(peers, day(0)).await;
    assert_eq!(answers(&report), [("skew", "indeterminate")]);
    assert_eq!((&report["result"], &report["agreeing"]), (&json!("skew"), &json!(0)));
}

/// Silence of an upstream, whichever it is, makes two who are shown the same no enemies.
#[tokio::test]
async fn silence_of_an_upstream_is_no_other_view() {
    type Silenced = (&'static str, fn(Release) -> Release);
    let silenced: [Silenced; 4] = [
        ("attestations", |release| {
            release.attestation_answer(Answer::Status(503, None))
        }),
        ("packument", |release| {
            release.packument_answer(Answer::Status(503, None))
        }),
        ("tarball", |release| release.tarball_answer(Answer::Status(503, None))),
        ("manifest", |release| release.manifest_answer(Answer::Status(503, None))),
    ];
    for (what, silence) in silenced {
        let ours = Verifier::shown(at("1.0.0")).await;
        ours.look(day(0)).await;
        let honest = ours
            .deployment
            .served
            .scenario()
            .npm_release("@acme/widget", "1.0.0")
            .unwrap();
        let mut other = Verifier::shown(silence(at("1.0.0").attestations_of(&honest))).await;
        let peers = vec![ours.listen().await];
        let report = other.report(peers, day(0)).await;
        assert_ne!(report["result"], "split_view", "{what}: {report}");
        assert_ne!(report["result"], "unknown", "{what}: {report}");
    }
}

#[tokio::test]
async fn what_differs_by_the_time_of_two_looks_is_looked_at_again() {
    let mut ours = Verifier::shown(at("1.0.0").attestation_answer(Answer::Status(503, None))).await;
    let peer = Verifier::shown(at("1.0.0")).await;
    ours.look(day(0)).await;
    peer.look(day(0)).await;
    // Both have just looked, and one of them could not.
    let peers = vec![peer.listen().await];
    let report = ours.report(peers.clone(), day(0) + minutes(5)).await;
    assert_eq!(answers(&report), [("skew", "verified")]);
    assert_eq!(
        (&report["result"], &report["ours"]["status"]),
        (&json!("skew"), &json!("indeterminate"))
    );
    // The registry answers again.
    ours.deployment.service.upstreams = peer.deployment.service.upstreams.clone();
    let now = day(0) + minutes(15);
    let report = ours.report(peers, now).await;
    assert_eq!(answers(&report), [("agree", "verified")]);
    for said in [&report["ours"], &report["peers"][0]["says"]] {
        assert_eq!(said["checkedAt"], json!(now), "both looked again");
    }
    assert_eq!(*ours.compared.0.lock().unwrap(), ["skew", "agree"]);
}

/// An attestation that nobody but a third verifier was shown in time, and then everybody, or everybody but this one.
#[tokio::test]
async fn who_agreed_is_asked_again_when_this_verifier_looks_again() {
    let stripped = || Verifier::shown(at("1.0.0").unattested());
    for silence in [false, true] {
        let (mut ours, third) = (stripped().await, Verifier::shown(at("1.0.0")).await);
        let mut agreeing = ours.beside().await;
        let looked = day(0) + minutes(90);
        for verifier in [&ours, &agreeing, &third] {
            verifier.look(day(0)).await;
            verifier.look(looked).await;
        }
        agreeing.deployment.service.upstreams = third.deployment.service.upstreams.clone();
        let silent = Verifier::shown(at("1.0.0").attestation_answer(Answer::Status(503, None))).await;
        let next = if silence { &silent } else { &third };
        ours.deployment.service.upstreams = next.deployment.service.upstreams.clone();
        let peers = vec![third.listen().await, agreeing.listen().await];
        let now = looked + minutes(15);
        let report = ours.report(peers, now).await;
        if silence {
            // Nothing came of its own look: what agreed with the former one is not put against it.
            assert_eq!(answers(&report)[1], ("agree", "unattested"), "{report}");
        } else {
            assert_eq!(answers(&report), [("agree", "verified"), ("agree", "verified")]);
            assert_eq!(report["peers"][1]["says"]["checkedAt"], json!(now));
        }
    }
}

/// The look is made, and its answer does not come through: whoever asks for it again gets what it came to.
#[tokio::test]
async fn a_second_look_whose_answer_is_lost_is_asked_for_again() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let mut peer = Verifier::shown(at("1.0.0").unattested()).await;
    let looked = day(0) + minutes(90);
    for verifier in [&ours, &peer] {
        verifier.look(day(0)).await;
        verifier.look(looked).await;
    }
    peer.deployment.service.upstreams = ours.deployment.service.upstreams.clone();
    let (api, asked) = (peer.api(), Arc::new(Mutex::new(0)));
    let counted = asked.clone();
    let losing = Router::new().fallback(move |request: Request| {
        let is_fresh = request.uri().query().is_some_and(|query| query.contains("fresh=true"));
        let (api, asked) = (api.clone(), counted.clone());
        async move {
            let response = api.oneshot(request).await.unwrap();
            let is_lost = is_fresh && {
                let mut asked = asked.lock().unwrap();
                *asked += 1;
                *asked == 1
            };
            if is_lost {
                StatusCode::GATEWAY_TIMEOUT.into_response()
            } else {
                response
            }
        }
    });
    let peers = vec![Peer {
        url: serve(losing).await,
        ..peer.listen().await
    }];
    let now = looked + minutes(15);
    let report = ours.report(peers, now).await;
    assert_eq!(answers(&report), [("agree", "verified")], "{report}");
    assert_eq!(report["peers"][0]["says"]["checkedAt"], json!(now));
    assert_eq!(*asked.lock().unwrap(), 2);
}

/// Nobody signs what an envelope says of its key.
#[tokio::test]
async fn a_key_is_named_by_this_verifier_and_not_by_the_envelope() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let peer = ours.beside().await;
    set_clock(day(0));
    let mut envelope = peer.get(&format!("/v1/verdicts/{PATH}/signed")).await.1;
    envelope["signatures"][0]["keyid"] = json!("x".repeat(1_000_000));
    let peers = vec![answering(envelope, peer.listen().await.keys).await];
    let report = ours.report(peers, day(0)).await;
    assert_eq!(answers(&report), [("agree", "verified")]);
    let answer = &report["peers"][0];
    assert_eq!(answer["envelope"]["signatures"][0]["keyid"], answer["keyId"]);
    proved(&answer["envelope"], &peer.key);
    assert!(report.to_string().len() < 100_000);
}

#[tokio::test]
async fn versions_of_several_files_are_compared_file_by_file() {
    let project = || PypiRelease::honest("acme-widget", "1.2.3");
    let shown = |release: PypiRelease| Verifier::of(Scenario::new().release(release));
    let ours = shown(project()).await;
    for (other, result, what) in [
        (ours.beside().await, "agree", ""),
        (
            shown(project().wheels(PypiFile::unattested)).await,
            "split_view",
            "file.run",
        ),
        (
            shown(project().wheels(PypiFile::swapped_by_one_byte)).await,
            "split_view",
            "file.sha512",
        ),
    ] {
        set_clock(day(1));
        let mut service = ours.deployment.service.clone();
        service.peers = vec![other.listen().await].into();
        let coordinate = "pkg:pypi/acme-widget@1.2.3".parse().unwrap();
        let report = service
            .compare_with_peers(&coordinate, minutes(10), day(1))
            .await
            .unwrap();
        let report = serde_json::to_value(report).unwrap();
        assert_eq!(report["result"], result, "{report}");
        assert!(what.is_empty() || differences(&report).contains(&what), "{report}");
    }
    let mut bottles = Verifier::of(Scenario::new().release(Formula::honest("wget", "1.25.0"))).await;
    let registry = Url::parse(&bottles.deployment.served.bottles_url()).unwrap();
    bottles.deployment.service.upstreams.bottles = registry.clone();
    let mut other = bottles.beside().await;
    for verifier in [&mut bottles, &mut other] {
        let upstream = Upstream::bottles(registry.clone(), None);
        verifier.deployment.service.fetch = Arc::new(patient(vec![upstream]));
    }
    let mut service = bottles.deployment.service.clone();
    service.peers = vec![other.listen().await].into();
    let report = service
        .compare_with_peers(&"pkg:brew/wget@1.25.0".parse().unwrap(), minutes(10), day(1))
        .await
        .unwrap();
    assert_eq!((report.agreeing, report.peers.len()), (1, 1), "{:?}", report.ours);
}

#[tokio::test]
async fn who_judges_otherwise_has_no_other_view() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let older = ours.beside().await.judging(|judge| {
        judge.verifier.version = "0.0.1".to_owned();
        judge.trust =
            hekate_tests::path::trust_in(&testbed::World::foreign(), hekate::attestation::TrustOrigin::Files).unwrap();
    });
    let peers = vec![older.listen().await];
    let report = ours.report(peers, day(0)).await;
    assert_eq!(answers(&report), [("skew", "mismatch")]);
    assert_eq!(report["result"], "skew");
}

#[tokio::test]
async fn nobody_is_believed_without_a_key_that_is_known_of_them() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let peer = ours.beside().await;
    let known = peer.listen().await;
    let stranger = Peer {
        keys: vec![PublicKey::from_der(P256Key::generate().spki()).unwrap()],
        ..known.clone()
    };
    // Signed by a key that is known, about another version.
    let about_another = peer.get("/v1/verdicts/npm/left/1.0.0/signed").await;
    assert_eq!(about_another.0, 404, "{about_another:?}");
    ours.deployment.publish(&Release::honest("left", "1.0.0").at(day(-1)));
    set_clock(day(0));
    let (status, elsewhere) = peer.get("/v1/verdicts/npm/left/1.0.0/signed").await;
    assert_eq!(status, 200, "{elsewhere}");
    // A summary is signed by that key, too, and is no verdict.
    let (_, summary) = peer.get("/v1/verdicts/npm/left/1.0.0/attestation").await;
    let (_, bare) = peer.get(&format!("/v1/verdicts/{PATH}")).await;
    let mut tampered = peer.get(&format!("/v1/verdicts/{PATH}/signed")).await.1;
    tampered["payload"] = elsewhere["payload"].clone();
    let answering = |answer| answering(answer, known.keys.clone());
    let mut keyless = ours.beside().await;
    keyless.deployment.service.signing = Signing::default();
    let mut own = ours.beside().await;
    own.deployment.service.signing = ours.deployment.service.signing.clone();
    let peers = vec![
        stranger,
        answering(elsewhere).await,
        answering(tampered).await,
        answering(summary).await,
        answering(bare).await,
        answering(json!("<html>")).await,
        keyless.listen().await,
        Peer {
            keys: vec![PublicKey::from_der(ours.key.spki()).unwrap()],
            ..own.listen().await
        },
    ];
    let report = ours.report(peers, day(0)).await;
    let reasons: Vec<&str> = answers(&report).iter().map(|(_, reason)| *reason).collect();
    assert_eq!(
        reasons,
        [
            "notAuthentic",
            "notAuthentic",
            "notAuthentic",
            "unsupported",
            "malformed",
            "malformed",
            "noVerdict",
            "own"
        ]
    );
    assert_eq!((&report["result"], &report["agreeing"]), (&json!("unknown"), &json!(0)));
    assert_eq!(report["summary"], "none of 8 peers was heard");
    // One that changes its key is known by both.
    let mut changing = known.clone();
    changing
        .keys
        .insert(0, PublicKey::from_der(P256Key::generate().spki()).unwrap());
    assert_eq!(ours.report(vec![changing], day(0)).await["result"], "agree");
}

#[tokio::test]
async fn a_peer_that_hangs_holds_nobody_up_for_longer_than_there_is_time() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    ours.look(day(0)).await;
    let peer = ours.beside().await;
    peer.look(day(0)).await;
    let hanging = Peer {
        url: serve(Router::new().fallback(std::future::pending::<&'static str>)).await,
        ..ours.beside().await.listen().await
    };
    let began = Instant::now();
    ours.deployment.service.until = Some(Until {
        asking: began + Duration::from_secs(2),
        answering: began + Duration::from_secs(5),
    });
    let report = ours.report(vec![hanging, peer.listen().await], day(0)).await;
    assert_eq!(answers(&report), [("unknown", "unreachable"), ("agree", "verified")]);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Of these ten seconds three are for asking, and eight for all that comes before the answer.
const TIME: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_peer_that_hangs_leaves_the_api_the_time_for_its_answer() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let peer = ours.beside().await;
    ours.look(day(0)).await;
    peer.look(day(0)).await;
    let hanging = Peer {
        url: serve(Router::new().fallback(std::future::pending::<&'static str>)).await,
        ..ours.beside().await.listen().await
    };
    ours.deployment.service.peers = vec![hanging, peer.listen().await].into();
    let began = Instant::now();
    let (status, report) = ours.get_within(&format!("/v1/network/{PATH}"), TIME).await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(answers(&report), [("unknown", "unreachable"), ("agree", "verified")]);
    assert_eq!((&report["result"], &report["agreeing"]), (&json!("agree"), &json!(1)));
    assert!(began.elapsed() < TIME);
}

#[tokio::test]
async fn a_key_that_hangs_keeps_back_nothing_that_peers_say() {
    let compared = async |names_itself: bool| {
        let mut ours = Verifier::shown(at("1.0.0")).await;
        let peer = Verifier::shown(at("1.0.0").tarball_swapped_by_one_byte()).await;
        ours.look(day(0)).await;
        peer.look(day(0)).await;
        let key = PublicKey::from_der(ours.key.spki()).unwrap();
        ours.deployment.service.signing.signer = Some(Arc::new(Hanging(names_itself.then_some(key))));
        ours.deployment.service.peers = vec![peer.listen().await].into();
        let began = Instant::now();
        let (status, report) = ours.get_within(&format!("/v1/network/{PATH}"), TIME).await;
        assert_eq!(status, 200, "{report}");
        assert!(began.elapsed() < TIME);
        assert_eq!(answers(&report), [("split_view", "mismatch")]);
        assert_eq!(report["result"], "split_view");
        // What the peer says can be proved, and of its own word there is no proof.
        assert_eq!(proved(&report["peers"][0]["envelope"], &peer.key)["package"], PURL);
        assert!(report["envelope"].is_null(), "{report}");
        assert_eq!(*ours.compared.0.lock().unwrap(), ["split_view"]);
    };
    Box::pin(futures::future::join(compared(true), compared(false))).await;
}

#[tokio::test]
async fn every_verdict_is_signed_for_peers_whatever_it_says() {
    let ours = Verifier::of(
        Scenario::new()
            .release(at("1.0.0").at(day(-1)))
            .release(Release::honest("none", "1.0.0").unattested().at(day(-1)))
            .release(
                Release::honest("unlucky", "1.0.0")
                    .attestation_answer(Answer::Status(503, None))
                    .at(day(-1)),
            ),
    )
    .await;
    set_clock(day(0));
    for (path, status) in [
        (PATH, "verified"),
        ("npm/none/1.0.0", "unattested"),
        ("npm/unlucky/1.0.0", "indeterminate"),
    ] {
        let (code, envelope) = ours.get(&format!("/v1/verdicts/{path}/signed")).await;
        assert_eq!(code, 200, "{envelope}");
        let read: DsseEnvelope = serde_json::from_value(envelope.clone()).unwrap();
        let key = DerPublicKey::from_bytes(ours.key.spki());
        verify_signature(&key, &read.pae(), &read.signature.sig, SigningScheme::EcdsaP256Sha256).unwrap();
        let said: Value = serde_json::from_slice(read.payload.as_bytes()).unwrap();
        assert_eq!(said["status"], status);
        assert_eq!(ours.get(&format!("/v1/verdicts/{path}")).await.1, said);
        assert_eq!(ours.get(&format!("/v1/verdicts/{path}/signed")).await.1, envelope);
    }
    for (path, code) in [
        ("/v1/verdicts/npm/nowhere/1.0.0/signed", "not_found"),
        ("/v1/network/npm/none/1.0.0", "no_peers"),
    ] {
        let (status, body) = ours.get(path).await;
        assert_eq!((status, body["error"]["code"].as_str()), (404, Some(code)), "{path}");
    }
    let mut keyless = ours.beside().await;
    keyless.deployment.service.signing = Signing::default();
    let (status, body) = keyless.get("/v1/verdicts/npm/none/1.0.0/signed").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("no_signing_key")));
}

#[tokio::test]
async fn a_route_of_the_network_names_a_version() {
    let mut ours = Verifier::shown(at("1.0.0")).await;
    let peer = ours.beside().await;
    let peers = vec![peer.listen().await];
    let by_version = ours.report(peers, day(0)).await;
    for (path, code) in [
        ("/v1/network/npm/@acme/widget/1.0.0/history", "not_found"),
        ("/v1/network/npm/@acme/widget/9.9.9", "not_found"),
        ("/v1/network/cargo/serde/1.0.0", "unsupported_ecosystem"),
        ("/v1/network/npm/@acme/widget/1.0.0?file_name=a.whl", "bad_package"),
        ("/v1/network/npm/a/^1.0.0", "bad_package"),
        ("/v1/network/npm/@acme/widget/1.0.0?fresh=true", "bad_query"),
    ] {
        let (status, body) = ours.get(path).await;
        assert_eq!(body["error"]["code"], code, "{path}: {status} {body}");
    }
    let (_, by_tag) = ours.get("/v1/network/npm/@acme/widget/latest").await;
    assert_eq!(by_tag, by_version);
}
