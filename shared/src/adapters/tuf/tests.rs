use std::fs;
use std::io::Write as _;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sigstore_tuf::Error;
use sigstore_tuf::canonical_json::to_canonical_bytes;
use tempfile::TempDir;

use super::*;
use crate::adapters::http::HttpFetchConfig;
use crate::adapters::http::testing::{Server, reply, send};
use crate::package::Digest;
use crate::ports::StoreFault;

const KEYS_TARGET: &str = "npm.example/keys.json";

fn day(number: i64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * number)
}

struct Key {
    id: String,
    pair: Ed25519KeyPair,
}

impl Key {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pair: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn public(&self) -> Value {
        let public = hex::encode(self.pair.public_key().as_ref());
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public } })
    }

    fn sign(&self, signed: &Value) -> Value {
        let signature = self.pair.sign(&to_canonical_bytes(signed).unwrap());
        json!({ "keyid": self.id, "sig": hex::encode(signature) })
    }
}

fn envelope(signed: &Value, keys: &[&Key]) -> Vec<u8> {
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(signed)).collect();
    serde_json::to_vec(&json!({ "signed": signed, "signatures": signatures })).unwrap()
}

fn pinned(bytes: &[u8], version: u64) -> Value {
    json!({ "version": version, "length": bytes.len(), "hashes": { "sha256": Digest::sha256_of(bytes).to_hex() } })
}

fn target(bytes: &[u8]) -> Value {
    json!({ "length": bytes.len(), "hashes": { "sha256": Digest::sha256_of(bytes).to_hex() } })
}

/// What a generated repository says, and with which keys.
struct Publisher {
    root: Key,
    online: Key,
    delegated: Key,
    /// Who signs the delegated role, where that is not whom the delegation names.
    delegated_signer: Option<Key>,
    version: u64,
    timestamp_expires: Timestamp,
    keys: Vec<u8>,
}

impl Publisher {
    fn new() -> Self {
        Self {
            root: Key::new("root"),
            online: Key::new("online"),
            delegated: Key::new("npm"),
            delegated_signer: None,
            version: 1,
            timestamp_expires: day(7),
            keys: br#"{"keys":[]}"#.to_vec(),
        }
    }

    fn root(&self, version: u64, signers: &[&Key]) -> Vec<u8> {
        let by = |key: &Key| json!({ "keyids": [key.id], "threshold": 1 });
        let signed = json!({
            "_type": "root", "spec_version": "1.0.31", "version": version, "expires": day(400), "consistent_snapshot": true,
            "keys": { self.root.id.clone(): self.root.public(), self.online.id.clone(): self.online.public() },
            "roles": {
                "root": by(&self.root), "targets": by(&self.root),
                "snapshot": by(&self.online), "timestamp": by(&self.online),
            },
        });
        envelope(&signed, signers)
    }

    fn files(&self) -> Files {
        let version = self.version;
        let trusted_root = format!("{{\"version\":{version}}}").into_bytes();
        let common = |kind: &str, expires: Timestamp| json!({ "_type": kind, "spec_version": "1.0.31", "version": version, "expires": expires });
        let with = |mut signed: Value, more: Value| {
            let Value::Object(more) = more else { panic!("an object") };
            signed.as_object_mut().unwrap().extend(more);
            signed
        };
        let delegated = with(
            common("targets", day(10)),
            json!({ "targets": { KEYS_TARGET: target(&self.keys) } }),
        );
        let delegated = envelope(&delegated, &[self.delegated_signer.as_ref().unwrap_or(&self.delegated)]);
        let npm = &self.delegated;
        let targets = with(
            common("targets", day(100)),
            json!({
                "targets": { TRUSTED_ROOT_TARGET: target(&trusted_root) },
                "delegations": {
                    "keys": { npm.id.clone(): npm.public() },
                    "roles": [{
                        "name": "npm.example", "keyids": ["npm"], "threshold": 1, "terminating": true,
                        "paths": ["npm.example/*"],
                    }],
                },
            }),
        );
        let targets = envelope(&targets, &[&self.root]);
        let snapshot = with(
            common("snapshot", day(20)),
            json!({ "meta": { "targets.json": pinned(&targets, version), "npm.example.json": pinned(&delegated, version) } }),
        );
        let snapshot = envelope(&snapshot, &[&self.online]);
        let timestamp = with(
            common("timestamp", self.timestamp_expires),
            json!({ "meta": { "snapshot.json": pinned(&snapshot, version) } }),
        );
        let named = |folder: &str, name: &str, bytes: &[u8]| {
            format!("targets/{folder}{}.{name}", Digest::sha256_of(bytes).to_hex())
        };
        Files::from([
            ("timestamp.json".to_owned(), envelope(&timestamp, &[&self.online])),
            (format!("{version}.snapshot.json"), snapshot),
            (format!("{version}.targets.json"), targets),
            (format!("{version}.npm.example.json"), delegated),
            (named("", TRUSTED_ROOT_TARGET, &trusted_root), trusted_root),
            (named("npm.example/", "keys.json", &self.keys), self.keys.clone()),
        ])
    }
}

/// A repository that is served, a cache folder, and somebody who asks.
struct Scene {
    publisher: Publisher,
    files: Arc<Mutex<Files>>,
    server: Server,
    folder: TempDir,
    config: TrustConfig,
    http: Arc<HttpFetch>,
}

impl Scene {
    fn new() -> Self {
        let publisher = Publisher::new();
        let files = Arc::new(Mutex::new(publisher.files()));
        let shown = Arc::clone(&files);
        let server = Server::start(move |call, stream| {
            let file = shown
                .lock()
                .unwrap()
                .get(call.path.trim_start_matches("/tuf/"))
                .cloned();
            match file {
                Some(bytes) => send(stream, &reply("200 OK", &[], &bytes)),
                None => send(stream, &reply("404 Not Found", &[], b"")),
            }
        });
        let folder = TempDir::new().unwrap();
        let root = publisher.root(1, &[&publisher.root]);
        let config = TrustConfig {
            cache: Some(folder.path().join("trust")),
            ..TrustConfig::new(server.at("tuf"), root, KEYS_TARGET)
        };
        let http = HttpFetchConfig {
            use_proxies: false,
            attempts: 1,
            ..HttpFetchConfig::new("hekate-test")
        };
        Self {
            publisher,
            files,
            server,
            folder,
            config,
            http: Arc::new(HttpFetch::new(http).unwrap()),
        }
    }

    async fn at(&self, now: Timestamp) -> Result<FetchedTrust, TufFault> {
        refresh_trust(&self.config, &self.http, now).await
    }

    fn serve(&self, files: Files) {
        *self.files.lock().unwrap() = files;
    }

    fn alter(&self, alter: impl Fn(&str, &mut Vec<u8>)) {
        self.files
            .lock()
            .unwrap()
            .iter_mut()
            .for_each(|(name, bytes)| alter(name, bytes));
    }

    fn cache_file(&self) -> PathBuf {
        self.folder.path().join("trust").join(CACHE_FILE)
    }

    fn cached(&self) -> String {
        fs::File::open(self.cache_file())
            .and_then(std::io::read_to_string)
            .unwrap()
    }

    fn alter_cache(&self, from: &str, to: &str) {
        let text = self.cached();
        assert!(text.contains(from), "{text}");
        let mut file = fs::File::create(self.cache_file()).unwrap();
        file.write_all(text.replace(from, to).as_bytes()).unwrap();
    }
}

fn refused(result: Result<FetchedTrust, TufFault>) -> Error {
    match result {
        Err(TufFault::Unavailable(RefreshFault::Refused(error))) => error,
        other => panic!("not refused: {other:?}"),
    }
}

fn because(trust: &FetchedTrust) -> &str {
    match &trust.origin {
        TrustOrigin::LastKnownGood { because } => because,
        TrustOrigin::Repository | TrustOrigin::Cache => panic!("{:?}", trust.origin),
    }
}

#[tokio::test]
async fn both_targets_are_fetched_the_delegated_one_too() {
    let scene = Scene::new();
    let trust = scene.at(day(0)).await.unwrap();
    assert_eq!(
        trust,
        FetchedTrust {
            trusted_root: br#"{"version":1}"#.to_vec(),
            npm_keys: br#"{"keys":[]}"#.to_vec(),
            fetched_at: day(0),
            expires: day(7),
            origin: TrustOrigin::Repository,
        }
    );
}

#[tokio::test]
async fn a_young_cache_is_used_without_asking() {
    let scene = Scene::new();
    let first = scene.at(day(0)).await.unwrap();
    let calls = scene.server.calls();
    let second = scene.at(day(1) - SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!(
        second,
        FetchedTrust {
            origin: TrustOrigin::Cache,
            ..first
        }
    );
    assert_eq!(scene.server.calls(), calls);
}

#[tokio::test]
async fn without_a_cache_every_call_asks() {
    let mut scene = Scene::new();
    scene.config.cache = None;
    scene.at(day(0)).await.unwrap();
    assert_eq!(scene.at(day(0)).await.unwrap().origin, TrustOrigin::Repository);
    assert!(!scene.cache_file().exists());
}

#[tokio::test]
async fn an_older_cache_is_refreshed_and_stays_small() {
    let mut scene = Scene::new();
    scene.at(day(0)).await.unwrap();
    for version in 2..5 {
        scene.publisher.version = version;
        scene.serve(scene.publisher.files());
        let number = i64::try_from(version).unwrap() - 1;
        let trust = scene.at(day(number)).await.unwrap();
        assert_eq!(trust.origin, TrustOrigin::Repository);
        assert_eq!(trust.trusted_root, format!("{{\"version\":{version}}}").into_bytes());
        let wire: CacheWire = serde_json::from_str(&scene.cached()).unwrap();
        assert_eq!((wire.fetched_at, wire.files.len()), (day(number), 6));
    }
}

#[tokio::test]
async fn an_unchanged_repository_makes_the_cache_young_again() {
    let scene = Scene::new();
    scene.at(day(0)).await.unwrap();
    assert_eq!(scene.at(day(2)).await.unwrap().origin, TrustOrigin::Repository);
    let calls = scene.server.calls();
    let trust = scene.at(day(2) + SignedDuration::from_hours(1)).await.unwrap();
    assert_eq!((trust.origin, trust.fetched_at), (TrustOrigin::Cache, day(2)));
    assert_eq!(scene.server.calls(), calls);
}

#[tokio::test]
async fn a_new_root_is_followed_and_remembered() {
    let mut scene = Scene::new();
    scene.at(day(0)).await.unwrap();
    let old = std::mem::replace(&mut scene.publisher.root, Key::new("root-2"));
    scene.publisher.version = 2;
    let mut files = scene.publisher.files();
    files.insert(
        "2.root.json".to_owned(),
        scene.publisher.root(2, &[&old, &scene.publisher.root]),
    );
    scene.serve(files);
    assert_eq!(scene.at(day(1)).await.unwrap().origin, TrustOrigin::Repository);
    assert_eq!(scene.at(day(1)).await.unwrap().origin, TrustOrigin::Cache);
}

#[tokio::test]
async fn a_new_root_without_the_old_ones_signature_is_refused() {
    let mut scene = Scene::new();
    scene.publisher.root = Key::new("root-2");
    let mut files = scene.publisher.files();
    files.insert(
        "2.root.json".to_owned(),
        scene.publisher.root(2, &[&scene.publisher.root]),
    );
    scene.serve(files);
    assert!(matches!(refused(scene.at(day(0)).await), Error::ThresholdNotMet { .. }));
}

#[tokio::test]
async fn an_expired_timestamp_is_refused() {
    let scene = Scene::new();
    let expired = day(7) + SignedDuration::from_secs(1);
    assert!(matches!(refused(scene.at(expired).await), Error::Expired { role, .. } if role == "timestamp"));
}

#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let mut scene = Scene::new();
    scene.publisher.online = Key::new("online");
    scene.serve(scene.publisher.files());
    assert!(matches!(refused(scene.at(day(0)).await), Error::ThresholdNotMet { role, .. } if role == "timestamp"));
}

#[tokio::test]
async fn a_delegated_role_that_its_delegator_does_not_know_is_refused() {
    let mut scene = Scene::new();
    scene.publisher.delegated_signer = Some(Key::new("npm"));
    scene.serve(scene.publisher.files());
    assert!(matches!(refused(scene.at(day(0)).await), Error::ThresholdNotMet { role, .. } if role == "npm.example"));
}

#[tokio::test]
async fn an_altered_target_is_refused() {
    let scene = Scene::new();
    scene.alter(|name, bytes| {
        if name.ends_with(".keys.json") {
            bytes.reverse();
        }
    });
    assert!(matches!(refused(scene.at(day(0)).await), Error::IntegrityMismatch(_)));
}

#[tokio::test]
async fn a_repository_that_goes_back_is_refused() {
    let mut scene = Scene::new();
    let old = scene.publisher.files();
    scene.publisher.version = 2;
    scene.serve(scene.publisher.files());
    scene.at(day(0)).await.unwrap();
    scene.serve(old);
    let trust = scene.at(day(2)).await.unwrap();
    assert!(because(&trust).contains("rollback"), "{}", because(&trust));
    assert_eq!(trust.trusted_root, br#"{"version":2}"#);
}

#[tokio::test]
async fn the_last_known_good_is_used_while_the_repository_is_unreachable() {
    let scene = Scene::new();
    let first = scene.at(day(0)).await.unwrap();
    scene.serve(Files::new());
    // The timestamp has expired on the last of these days.
    for number in [1, 3, 7] {
        let trust = scene.at(day(number)).await.unwrap();
        assert!(
            because(&trust).contains("timestamp.json not found"),
            "{}",
            because(&trust)
        );
        assert_eq!(
            FetchedTrust {
                origin: TrustOrigin::Repository,
                ..trust
            },
            first
        );
    }
}

#[tokio::test]
async fn what_is_cached_is_not_used_beyond_its_greatest_age() {
    let scene = Scene::new();
    scene.at(day(0)).await.unwrap();
    scene.serve(Files::new());
    let fault = scene.at(day(7) + SignedDuration::from_secs(1)).await.unwrap_err();
    assert!(
        matches!(fault, TufFault::TooOld { fetched_at, .. } if fetched_at == day(0)),
        "{fault:?}"
    );
}

#[tokio::test]
async fn a_repository_that_hangs_ends_within_the_budget() {
    let mut scene = Scene::new();
    let hanging = Server::start(|_call, _stream| std::thread::sleep(Duration::from_secs(2)));
    scene.config.repository = hanging.url.clone();
    scene.config.budget = Duration::from_millis(100);
    let fault = scene.at(day(0)).await.unwrap_err();
    assert!(
        matches!(fault, TufFault::Unavailable(RefreshFault::TimedOut(_))),
        "{fault:?}"
    );
}

#[tokio::test]
async fn metadata_beyond_its_limit_is_refused() {
    let scene = Scene::new();
    scene.alter(|name, bytes| {
        if name == "timestamp.json" {
            bytes.resize(20_000, b' ');
        }
    });
    assert!(chain(&refused(scene.at(day(0)).await)).contains("larger than 16384 bytes"));
}

#[tokio::test]
async fn a_cache_that_was_tampered_with_is_not_used() {
    let cases = [
        // Another target, other metadata, another shape, no JSON at all.
        (r#"{\"version\":1}"#, r#"{\"version\":9}"#),
        (r#"\"expires\":\"20"#, r#"\"expires\":\"21"#),
        (CACHE_SCHEMA, "urn:hekate:trust-cache:9"),
        ("{", "<"),
        // Younger than it is: the metadata had expired by then.
        ("2026-11-22T10:00:00Z", "2026-11-30T10:00:00Z"),
        // From the future.
        ("2026-11-22T10:00:00Z", "2027-11-22T10:00:00Z"),
    ];
    for (from, to) in cases {
        let scene = Scene::new();
        scene.at(day(0)).await.unwrap();
        scene.alter_cache(from, to);
        scene.serve(Files::new());
        refused(scene.at(day(9)).await);
    }
}

#[tokio::test]
async fn a_cache_under_another_root_is_not_used() {
    let mut scene = Scene::new();
    scene.at(day(0)).await.unwrap();
    let other = Publisher::new();
    scene.config.root = other.root(1, &[&other.root]);
    assert!(matches!(refused(scene.at(day(0)).await), Error::ThresholdNotMet { .. }));
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_costs_nothing_else() {
    let mut scene = Scene::new();
    let file = scene.folder.path().join("file");
    fs::File::create(&file).unwrap();
    scene.config.cache = Some(file.join("below"));
    assert_eq!(scene.at(day(0)).await.unwrap().origin, TrustOrigin::Repository);
}

#[tokio::test]
async fn a_root_that_does_not_sign_itself_is_a_fault() {
    let mut scene = Scene::new();
    scene.config.root = scene.publisher.root(1, &[&scene.publisher.online]);
    assert!(matches!(scene.at(day(0)).await, Err(TufFault::Root(_))));
}

#[tokio::test]
async fn a_name_that_leads_out_of_the_repository_is_not_asked_for() {
    let scene = Scene::new();
    let repository = Asked {
        http: Arc::clone(&scene.http),
        base: base(&scene.config.repository),
        now: day(0),
        fetched: Arc::default(),
    };
    for name in ["../other.json", "//127.0.0.1:1/x", "http://127.0.0.1:1/x", "/x"] {
        assert!(repository.fetch_metadata(name, 10).await.is_err(), "{name}");
    }
    assert_eq!(scene.server.calls(), 0);
}

/// What the processes of a deployment leave to each other.
#[derive(Default)]
struct Left(Mutex<Option<(Timestamp, Vec<u8>)>>);

#[async_trait::async_trait]
impl TrustStore for Left {
    async fn trust(&self) -> Result<Option<Vec<u8>>, StoreFault> {
        Ok(self.0.lock().unwrap().clone().map(|(_at, document)| document))
    }

    async fn keep_trust(&self, document: &[u8], fetched_at: Timestamp) -> Result<(), StoreFault> {
        *self.0.lock().unwrap() = Some((fetched_at, document.to_vec()));
        Ok(())
    }
}

/// A process of a deployment, which has just started.
fn process(scene: &Scene, left: &Arc<Left>, folder: &str) -> TrustConfig {
    TrustConfig {
        cache: Some(scene.folder.path().join(folder)),
        shared: Some(left.clone()),
        ..scene.config.clone()
    }
}

#[tokio::test]
async fn what_one_process_has_refreshed_another_one_has_without_asking() {
    let scene = Scene::new();
    let left = Arc::new(Left::default());
    let sweeper = process(&scene, &left, "sweeper");
    let worker = process(&scene, &left, "worker");
    refresh_trust(&sweeper, &scene.http, day(0)).await.unwrap();
    let calls = scene.server.calls();
    let trust = refresh_trust(&worker, &scene.http, day(0)).await.unwrap();
    assert_eq!((trust.origin, trust.fetched_at), (TrustOrigin::Cache, day(0)));
    assert_eq!(scene.server.calls(), calls);
    // One that starts during an outage has the last known good.
    scene.serve(Files::new());
    let trust = refresh_trust(&worker, &scene.http, day(3)).await.unwrap();
    assert!(
        because(&trust).contains("timestamp.json not found"),
        "{}",
        because(&trust)
    );
    assert_eq!(trust.fetched_at, day(0));
}

#[tokio::test]
async fn of_its_own_and_what_another_process_left_a_process_takes_the_younger() {
    let mut scene = Scene::new();
    let left = Arc::new(Left::default());
    let sweeper = process(&scene, &left, "sweeper");
    let worker = process(&scene, &left, "worker");
    refresh_trust(&worker, &scene.http, day(0)).await.unwrap();
    scene.publisher.version = 2;
    scene.serve(scene.publisher.files());
    refresh_trust(&sweeper, &scene.http, day(2)).await.unwrap();
    scene.serve(Files::new());
    let trust = refresh_trust(&worker, &scene.http, day(2)).await.unwrap();
    assert_eq!((trust.origin, trust.fetched_at), (TrustOrigin::Cache, day(2)));
    assert_eq!(trust.trusted_root, br#"{"version":2}"#);
}

#[tokio::test]
async fn what_somebody_else_left_is_worth_nothing() {
    let scene = Scene::new();
    let left = Arc::new(Left::default());
    refresh_trust(&process(&scene, &left, "sweeper"), &scene.http, day(0))
        .await
        .unwrap();
    let (at, document) = left.0.lock().unwrap().clone().unwrap();
    scene.serve(Files::new());
    let text = String::from_utf8(document).unwrap();
    let forged = [
        text.replace(CACHE_SCHEMA, "urn:hekate:trust-cache:9"),
        text.replace("2026-11-22T10:00:00Z", "2026-11-30T10:00:00Z"),
        String::new(),
    ];
    for forged in forged {
        assert_ne!(forged, text);
        *left.0.lock().unwrap() = Some((at, forged.into_bytes()));
        let fault = refresh_trust(&process(&scene, &left, "worker"), &scene.http, day(9)).await;
        refused(fault);
    }
}
