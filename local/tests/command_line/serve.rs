//! `hekate serve`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::{Bed, hekate};

/// A running server, ended at the end of a test.
pub(crate) struct Server {
    process: Child,
    pub(crate) base: String,
}

impl Server {
    pub(crate) fn start(bed: &Bed) -> Self {
        Self::of(bed.hekate().args(["serve", "--listen", "127.0.0.1:0"]))
    }

    pub(crate) fn of(command: &mut std::process::Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines
            .find_map(|line| line.unwrap().split_once("http://").map(|(_, rest)| rest.to_owned()))
            .unwrap();
        // Whoever writes to a closed pipe fails: the rest has to be read.
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.split(',').next().unwrap();
        Self {
            process,
            base: format!("http://{address}"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = Client::new().get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn verdict(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert_eq!(body["schema"], "urn:hekate:verdict:1");
        body
    }

    pub(crate) async fn error(&self, path: &str) -> (u16, String) {
        let (status, body) = self.get(path).await;
        assert!(body["error"]["message"].is_string(), "{path}: {body}");
        (status.as_u16(), body["error"]["code"].as_str().unwrap().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.process.kill();
        self.process.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_version_gets_its_verdict() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    for path in [
        "/v1/verdicts/npm/@acme/widget/1.2.3",
        "/v1/verdicts/npm/%40acme%2Fwidget/1.2.3",
        "/v1/verdicts/npm/%40acme/widget/1.2.3",
        "/v1/verdicts/npm/@acme/widget/latest",
        "/v1/verdicts?purl=pkg:npm/%2540acme/widget@1.2.3",
        "/v1/verdicts?purl=pkg%3Anpm%2F%2540acme%2Fwidget%401.2.3",
        "/package/@acme/widget",
    ] {
        let verdict = server.verdict(path).await;
        assert_eq!(verdict["package"], "pkg:npm/%40acme/widget@1.2.3", "{path}");
        assert_eq!(verdict["status"], "verified", "{path}");
    }
    assert_eq!(
        server.verdict("/v1/verdicts/npm/one-byte-off/1.0.0").await["status"],
        "mismatch"
    );
    assert_eq!(server.verdict("/package/left-out").await["status"], "unattested");
    for path in ["/", "/openapi.json", "/.well-known/hekate.json"] {
        assert_eq!(server.get(path).await.0, StatusCode::OK, "{path}");
    }
    assert_eq!(
        server.get("/healthz").await,
        (StatusCode::OK, serde_json::json!({"status": "ok"}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_remembered_until_a_fresh_one_is_asked_for() {
    let bed = Bed::demo().await;
    let path = "/v1/verdicts/npm/@acme/widget/1.2.3";
    // Anybody can ask, so that somebody who has asked a moment ago is told the same.
    let server = Server::start(&bed);
    let first = server.verdict(path).await;
    bed.served.forget_requests();
    assert_eq!(server.verdict(path).await, first);
    assert_eq!(server.verdict(&format!("{path}?fresh=true")).await, first);
    assert_eq!(bed.served.npm_paths(), [""; 0]);
    drop(server);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let server = Server::of(bed.hekate().args(serve).env("HEKATE_FRESH_AFTER", "0"));
    assert_eq!(server.verdict(path).await, first);
    let fresh = server.verdict(&format!("{path}?fresh=true")).await;
    assert_ne!(fresh["checkedAt"], first["checkedAt"]);
    assert!(!bed.served.npm_paths().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_and_history_are_served_once_there_are_any() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let path = "/v1/verdicts/npm/@acme/widget/1.2.3";
    assert_eq!(
        server.error(&format!("{path}/dossier")).await,
        (404, "not_found".to_owned())
    );
    assert_eq!(
        server.error(&format!("{path}/history")).await,
        (404, "not_found".to_owned())
    );
    server.verdict(path).await;
    let (status, dossier) = server.get(&format!("{path}/dossier")).await;
    assert_eq!(
        (status, &dossier["schema"]),
        (StatusCode::OK, &Value::from("urn:hekate:dossier:1"))
    );
    let (status, history) = server.get(&format!("{path}/history")).await;
    assert_eq!(
        (status, history["verdicts"].as_array().unwrap().len()),
        (StatusCode::OK, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_told_in_one_envelope() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    for (path, status, code) in [
        ("/v1/verdicts/npm/@acme/widget/9.9.9", 404, "not_found"),
        ("/package/nobody-made-this", 404, "not_found"),
        ("/no/such/route", 404, "not_found"),
        ("/v1/verdicts/npm/left-out/^1.0.0", 400, "bad_package"),
        ("/v1/verdicts/gem/rails/7.0.0", 400, "unsupported_ecosystem"),
        ("/v1/verdicts?purl=nonsense", 400, "bad_package"),
        ("/v1/verdicts", 400, "bad_query"),
        ("/v1/verdicts/npm/left-out/1.3.0?fresh=maybe", 400, "bad_query"),
    ] {
        assert_eq!(server.error(path).await, (status, code.to_owned()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_requests_for_one_version_cause_one_look() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let path = "/v1/verdicts/npm/@acme/widget/1.2.3";
    let verdicts = futures::future::join_all((0..8).map(|_| server.verdict(path))).await;
    let first = &verdicts[0];
    assert!(verdicts.iter().all(|verdict| verdict == first));
    let tarballs = bed
        .served
        .npm_paths()
        .into_iter()
        .filter(|path| path.contains("/-/widget-"))
        .count();
    assert_eq!(tarballs, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_remembers_over_a_restart_and_shares_its_store_with_the_command_line() {
    let bed = Bed::demo().await;
    let first = Server::start(&bed).verdict("/v1/verdicts/npm/left-out/1.3.0").await;
    bed.served.forget_requests();
    let server = Server::start(&bed);
    assert_eq!(server.verdict("/v1/verdicts/npm/left-out/1.3.0").await, first);
    assert_eq!(bed.verify(&["npm:left-out@1.3.0", "--format", "json"]).json(), first);
    assert_eq!(bed.served.npm_paths(), [""; 0]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn it_ends_at_a_signal_without_an_error() {
    let bed = Bed::demo().await;
    for signal in ["-INT", "-TERM"] {
        let mut server = Server::start(&bed);
        server.verdict("/v1/verdicts/npm/left-out/1.3.0").await;
        let id = server.process.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(server.process.wait().unwrap().code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_says_what_to_do() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let taken = server.base.trim_start_matches("http://");
    let ran = crate::run(bed.hekate().args(["serve", "--listen", taken]));
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.err.contains("--listen"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_can_be_left_up() {
    let server = Server::of(hekate().args(["demo", "--serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(
        server.verdict("/v1/verdicts/npm/one-byte-off/1.0.0").await["status"],
        "mismatch"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_handed_in_and_worked_on() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let send = async |body: String| {
        let request = Client::new().post(format!("{}/v1/batches", server.base)).body(body);
        let response = request.send().await.unwrap();
        let (status, location) = (response.status(), response.headers().get("location").cloned());
        (status, location, response.json::<Value>().await.unwrap())
    };
    let list = serde_json::json!({"packages": [
        "pkg:npm/%40acme/widget@1.2.3", "pkg:npm/one-byte-off@1.0.0", "pkg:npm/left-out@9.9.9", "npm:@acme/widget@1.2.3",
    ]});
    let (status, location, created) = send(list.to_string()).await;
    assert_eq!((status, &created["total"]), (StatusCode::ACCEPTED, &Value::from(3)));
    let path = location.unwrap().to_str().unwrap().to_owned();
    assert_eq!(created["url"], Value::from(path.clone()));
    let mut batch = server.get(&path).await.1;
    for _ in 0..100 {
        if batch["done"] == true {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        batch = server.get(&path).await.1;
    }
    assert_eq!(
        batch["counts"],
        serde_json::json!({"verified": 1, "mismatch": 1, "failed": 1}),
        "{batch}"
    );
    let first = server.get(&format!("{path}?limit=1")).await.1;
    assert_eq!(first["packages"].as_array().unwrap().len(), 1);
    let rest = server
        .get(&format!("{path}?limit=5&after={}", first["next"].as_str().unwrap()))
        .await
        .1;
    assert_eq!(rest["packages"].as_array().unwrap().len(), 2, "{rest}");

    let too_many: Vec<String> = (0..10_001).map(|number| format!("npm:a@{number}.0.0")).collect();
    for (body, code) in [
        (String::new(), "bad_list"),
        ("lockfileVersion: '9.0'".to_owned(), "bad_list"),
        (r#"{"packages":["pkg:npm/left-out"]}"#.to_owned(), "bad_list"),
        (r#"{"packages":[]}"#.to_owned(), "empty_list"),
        (serde_json::json!({ "packages": too_many }).to_string(), "list_too_long"),
    ] {
        let (status, _, error) = send(body).await;
        assert_eq!(
            (status.as_u16(), &error["error"]["code"]),
            (400, &Value::from(code)),
            "{error}"
        );
    }
    for path in [
        "/v1/batches/0123456789abcdef0123456789abcdef",
        "/v1/batches/x",
        "/v1/batches/..%2f",
    ] {
        assert_eq!(server.error(path).await.0, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_list_is_kept_by_name() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let send = async |method: reqwest::Method, path: &str| {
        let request = Client::new().request(method, format!("{}{path}", server.base));
        request.send().await.unwrap().status().as_u16()
    };
    let path = "/v1/watch/npm/@acme/widget";
    assert_eq!(server.error(path).await.0, 404);
    assert_eq!(send(reqwest::Method::PUT, path).await, 200);
    let (status, entry) = server.get("/v1/watch/npm/%40acme%2Fwidget").await;
    assert_eq!(
        (status.as_u16(), &entry["package"]),
        (200, &Value::from("pkg:npm/%40acme/widget"))
    );
    let (_, again) = server.get(path).await;
    assert_eq!(again["since"], entry["since"]);
    let (_, list) = server.get("/v1/watch").await;
    assert_eq!(list["packages"].as_array().unwrap().len(), 1);
    assert_eq!(send(reqwest::Method::DELETE, path).await, 204);
    assert_eq!(send(reqwest::Method::DELETE, path).await, 404);
    for (path, code) in [
        ("/v1/watch/gem/rails", "unsupported_ecosystem"),
        ("/v1/watch/npm/.hidden", "bad_package"),
        ("/v1/watch?limit=many", "bad_query"),
        ("/v1/watch?after=nonsense", "bad_query"),
    ] {
        assert_eq!(server.error(path).await, (400, code.to_owned()), "{path}");
    }
    assert_eq!(send(reqwest::Method::PUT, "/v1/watch").await, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dependency_of_a_lockfile_is_watched_at_once() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    let send = async |body: &str| {
        let request = Client::new()
            .post(format!("{}/v1/watch", server.base))
            .body(body.to_owned());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let lockfile = r#"{"lockfileVersion":3,"packages":{"":{"name":"app"},
        "node_modules/a":{"version":"1.0.0"},
        "node_modules/b":{"version":"1.0.0","resolved":"https://registry/b/-/b-1.0.0.tgz"},
        "node_modules/b/node_modules/a":{"version":"2.0.0"},
        "node_modules/elsewhere":{"version":"1.0.0","resolved":"https://host/o/r/tarball/abc"}}}"#;
    let skipped = serde_json::json!([
        {"entry": "node_modules/elsewhere", "because": "it comes from https://host/o/r/tarball/abc"},
    ]);
    for new in [2, 0] {
        let expected = serde_json::json!({"total": 2, "new": new, "skipped": skipped, "unlisted": 0});
        assert_eq!(send(lockfile).await, (200, expected));
    }
    let (status, answer) = send(r#"{"packages": ["npm:b", "pkg:npm/c@1.0.0"]}"#).await;
    assert_eq!((status, &answer["total"], &answer["new"]), (200, &2.into(), &1.into()));
    let (_, list) = server.get("/v1/watch").await;
    let entries = list["packages"].as_array().unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry["package"].as_str().unwrap()).collect();
    assert_eq!(names, ["pkg:npm/a", "pkg:npm/b", "pkg:npm/c"]);
    for (body, code) in [
        ("[", "bad_list"),
        (r#"{"packages": []}"#, "empty_list"),
        (r#"{"packages": ["gem:rails"]}"#, "bad_list"),
    ] {
        let (status, answer) = send(body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &code.into()), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_listed_after_a_while_and_places_are_checked() {
    let bed = Bed::demo().await;
    let server = Server::start(&bed);
    server.verdict("/v1/verdicts/npm/@acme/widget/1.2.3").await;
    let (status, page) = server.get("/v1/changes").await;
    assert_eq!((status, &page["changes"]), (StatusCode::OK, &serde_json::json!([])));
    let next = page["next"].as_str().unwrap();
    let (status, again) = server.get(&format!("/v1/changes?since={next}")).await;
    assert_eq!((status, &again["changes"]), (StatusCode::OK, &serde_json::json!([])));
    assert_eq!(
        server.get("/v1/changes?since=2026-11-22T10:00:00Z&limit=5").await.0,
        200
    );
    for path in [
        "/v1/changes?since=yesterday",
        "/v1/changes?since=2026-11-22T10:00:00Z_nonsense",
        "/v1/changes?limit=-1",
    ] {
        assert_eq!(server.error(path).await, (400, "bad_query".to_owned()), "{path}");
    }
}

/// npm behind a door: whoever asks waits until it is open.
struct Door {
    url: String,
    asked: watch::Receiver<bool>,
    open: watch::Sender<bool>,
}

impl Door {
    async fn before(npm: String) -> Self {
        let (asks, asked) = watch::channel(false);
        let (open, opened) = watch::channel(false);
        let router = Router::new().fallback(move |uri: Uri| {
            let (url, mut opened) = (format!("{}{uri}", npm.trim_end_matches('/')), opened.clone());
            asks.send_replace(true);
            async move {
                opened.wait_for(|is_open| *is_open).await.unwrap();
                let answer = reqwest::get(url).await.unwrap();
                (answer.status(), answer.bytes().await.unwrap())
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, asked, open }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_comes_to_its_end_though_nobody_waits_for_it() {
    let bed = Bed::demo().await;
    let mut door = Door::before(bed.served.npm_url()).await;
    let mut command = bed.hekate();
    command.env("HEKATE_NPM_URL", &door.url);
    let server = Server::of(command.args(["serve", "--listen", "127.0.0.1:0"]));
    let path = "/v1/verdicts/npm/@acme/widget/1.2.3";
    let address = server.base.trim_start_matches("http://");
    let mut caller = TcpStream::connect(address).unwrap();
    write!(caller, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    // It has begun when the registry is asked, and is not over before the server knows that the caller is gone.
    let asked = door.asked.wait_for(|is_asked| *is_asked);
    timeout(Duration::from_secs(20), asked).await.unwrap().unwrap();
    drop(caller);
    sleep(Duration::from_secs(1)).await;
    door.open.send_replace(true);
    let seen = async {
        while server.get(&format!("{path}/history")).await.0 != 200 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.unwrap();
}
