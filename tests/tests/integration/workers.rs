//! The functions' entry points on the service's real store: what ends in time, what is told of what cannot be worked on, and
//! what log and metrics say.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode};
use hekate::adapters::announcements::LogAnnouncer;
use hekate::adapters::embedded::EmbeddedDynamoDb;
use hekate::adapters::emf::EmfMeter;
use hekate::adapters::http::HttpFetch;
use hekate::adapters::judges::FixedJudge;
use hekate::adapters::pem::PemSigner;
use hekate::dossier::{Answer, Observation, Subject};
use hekate::ecosystem::Upstreams;
use hekate::entrypoints::api::{Api, router};
use hekate::entrypoints::sweep::SweepFault;
use hekate::entrypoints::{Deadline, batch, of_invocation, sweep};
use hekate::network::{Peer, PeerAgreement, Report};
use hekate::package::PackageVersion;
use hekate::ports::{
    BatchStore as _, Fetch, Judges, Progress, QueueFault, Request, Target, VerdictStore as _, WatchStore as _,
    WorkItem, WorkQueue, WorkReason,
};
use hekate::service::{Service, ServiceFault, Signing, Until};
use hekate::summary::PublicKey;
use hekate::verdict::Status;
use hekate::verifier::Judge;
use hekate::wiring;
use hekate_tests::path::no_address;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::keys::P256Key;
use testbed::{BASE_TIME, Release, Scenario, Served};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::time::Instant;
use tower::ServiceExt as _;
use url::Url;

use crate::shape::{judge, over_http};

/// How an upstream is bent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bend {
    /// It never answers.
    Hang,
    /// Its answer makes whoever asked panic.
    Panic,
}

/// A rule by which requests are bent.
type Rule = dyn Fn(&Request) -> Option<Bend> + Send + Sync;

/// Asks over HTTP, unless a rule says otherwise.
struct Bent {
    http: HttpFetch,
    rule: Mutex<Arc<Rule>>,
}

#[async_trait]
impl Fetch for Bent {
    async fn fetch(&self, request: Request) -> Observation {
        let rule = Arc::clone(&self.rule.lock().unwrap());
        match rule(&request) {
            Some(Bend::Hang) => pending().await,
            Some(Bend::Panic) => panic!("{} cannot be read", request.url.path()),
            None => self.http.fetch(request).await,
        }
    }
}

/// Takes everything, and hands nothing on.
struct Accepting;

#[async_trait]
impl WorkQueue for Accepting {
    async fn send(&self, _items: &[WorkItem]) -> Result<(), QueueFault> {
        Ok(())
    }
}

/// A judge that is never found.
struct Missing;

#[async_trait]
impl Judges for Missing {
    async fn judge(&self, _now: Timestamp) -> Arc<Judge> {
        pending().await
    }
}

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// The lines, each of which must be an object.
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a line is written whole");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The log's lines of an event.
    fn events(&self, name: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["event"] == name);
        lines
    }

    /// The sum of a metric over all lines, where there are any. Several values of a line are a list.
    fn sum(&self, metric: &str) -> Option<u64> {
        let all = self.lines();
        let values: Vec<u64> = all
            .iter()
            .filter_map(|line| line.get(metric))
            .flat_map(|value| {
                value
                    .as_array()
                    .map_or_else(|| vec![value], |values| values.iter().collect())
            })
            .filter_map(Value::as_u64)
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

struct Deployment {
    served: Served,
    embedded: EmbeddedDynamoDb,
    service: Arc<Service>,
    fetch: Arc<Bent>,
    metrics: Written,
}

impl Deployment {
    async fn of(scenario: Scenario) -> Self {
        let served = scenario.serve().await.unwrap();
        let embedded = EmbeddedDynamoDb::start(None).await.unwrap();
        let url = |text: String| Url::parse(&text).unwrap();
        let fetch = Arc::new(Bent {
            http: over_http(),
            rule: Mutex::new(Arc::new(|_| None)),
        });
        let metrics = Written::default();
        let service = Service {
            fetch: fetch.clone(),
            store: Arc::new(embedded.store()),
            queue: Arc::new(Accepting),
            announcer: Arc::new(LogAnnouncer),
            judges: Arc::new(FixedJudge(Arc::new(judge()))),
            upstreams: Upstreams {
                npm: url(served.npm_url()),
                npm_feed: Some(url(served.npm_feed_url())),
                pypi: url(served.pypi_url()),
                pypi_files: url(served.pypi_url()),
                pypi_feed: Some(url(format!("{}/pypi", served.pypi_url()))),
                github: url(served.github_url()),
                ..no_address()
            },
            meter: Arc::new(EmfMeter::new("stack-Function-1".to_owned(), Box::new(metrics.clone()))),
            signing: Signing::default(),
            peers: Arc::new([]),
            holder: "test".to_owned(),
            until: None,
        };
        Self {
            served,
            embedded,
            service: Arc::new(service),
            fetch,
            metrics,
        }
    }

    /// A deployment with so many widgets, from `@acme/widget-0` on.
    async fn with_widgets(number: usize) -> Self {
        Self::of((0..number).fold(Scenario::new(), |scenario, number| scenario.release(widget(number)))).await
    }

    fn bend(&self, rule: impl Fn(&Request) -> Option<Bend> + Send + Sync + 'static) {
        *self.fetch.rule.lock().unwrap() = Arc::new(rule);
    }

    /// The ids of the messages of an event that go back.
    async fn handle(&self, bodies: &[String], time: Duration) -> Vec<String> {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| {
                json!({
                    "messageId": format!("message-{number}"),
                    "body": body,
                    "attributes": { "ApproximateReceiveCount": "1" },
                })
            })
            .collect();
        let event = serde_json::from_value(json!({ "Records": records })).unwrap();
        let response = batch::handle(&self.service, event, now, Deadline::after(time)).await;
        let failures = response.batch_item_failures.into_iter();
        let mut returned: Vec<String> = failures.map(|failure| failure.item_identifier).collect();
        returned.sort();
        returned
    }

    /// A batch of these packages, and its messages.
    async fn batch(&self, packages: &[PackageVersion]) -> Vec<String> {
        self.service
            .create_batch("batch".to_owned(), packages, now())
            .await
            .unwrap();
        packages
            .iter()
            .map(|package| {
                let item = WorkItem::new(Target::Version(package.clone()), WorkReason::Batch, now());
                body(&WorkItem {
                    batch: Some("batch".to_owned()),
                    ..item
                })
            })
            .collect()
    }

    async fn progress(&self) -> Vec<Progress> {
        let items = self
            .embedded
            .store()
            .batch_items("batch", None, 100, now())
            .await
            .unwrap();
        items.into_iter().map(|item| item.progress).collect()
    }

    /// Whether nobody holds the right to look at a version.
    async fn is_free(&self, package: &PackageVersion) -> bool {
        let until = now() + SignedDuration::from_secs(1);
        let store = self.embedded.store();
        let after = store.last_look(package).await.unwrap();
        let taken = store
            .acquire_lease(package, "somebody", after, false, now(), until)
            .await
            .unwrap();
        store.release_lease(package, "somebody").await.unwrap();
        taken
    }

    async fn status(&self, package: &PackageVersion) -> Option<Status> {
        let verdict = self.embedded.store().current(package).await.unwrap();
        verdict.map(|verdict| verdict.status)
    }

    /// This deployment as somebody's peer, which has a verdict on the first widget.
    async fn as_peer(&self) -> Peer {
        let key = P256Key::generate();
        let mut service = (*self.service).clone();
        service.signing.signer = Some(Arc::new(PemSigner::new(&key.pkcs8_pem()).unwrap()));
        service.verdict(&version(0).into(), false, now()).await.unwrap();
        let api = Api {
            service: Arc::new(service),
            clock: now,
            fresh_after: SignedDuration::from_mins(10),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router(api)).into_future());
        Peer {
            url: Url::parse(&url).unwrap(),
            keys: vec![PublicKey::from_der(key.spki()).unwrap()],
        }
    }

    /// What comes of comparing the first widget with these.
    async fn compare(&self, peers: Vec<Peer>) -> Report {
        let service = Service {
            peers: peers.into(),
            ..(*self.service).clone()
        };
        let fresh_after = SignedDuration::from_mins(10);
        service
            .compare_with_peers(&version(0).into(), fresh_after, now())
            .await
            .unwrap()
    }

    /// What the API answers to `path` within a time.
    async fn get(&self, service: Arc<Service>, path: &str, time: Duration) -> (StatusCode, Option<String>, Value) {
        let api = Api {
            service,
            clock: now,
            fresh_after: SignedDuration::from_mins(10),
        };
        let mut request = HttpRequest::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Deadline::after(time));
        let (parts, body) = router(api).oneshot(request).await.unwrap().into_parts();
        let retry_after = parts.headers.get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts.status, retry_after, serde_json::from_slice(&body).unwrap())
    }
}

/// The time at which everything happens.
fn now() -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24)
}

fn widget(number: usize) -> Release {
    Release::honest(&format!("@acme/widget-{number}"), "1.0.0").at(BASE_TIME)
}

fn version(number: usize) -> PackageVersion {
    format!("pkg:npm/%40acme/widget-{number}@1.0.0").parse().unwrap()
}

fn body(item: &WorkItem) -> String {
    serde_json::to_string(item).unwrap()
}

fn message(number: usize, reason: WorkReason) -> String {
    body(&WorkItem::new(Target::Version(version(number)), reason, now()))
}

/// Whether a request is about a widget.
fn is_about(request: &Request, number: usize) -> bool {
    request.url.path().contains(&format!("widget-{number}"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Has this thread's log written down for as long as the guard lives.
///
/// Whether anybody listens to a line is decided for all threads at once, so that somebody always does: otherwise a test that ends
/// beside this one could silence it.
fn logs() -> (Written, tracing::subscriber::DefaultGuard) {
    static SOMEBODY: std::sync::Once = std::sync::Once::new();
    SOMEBODY.call_once(|| {
        let nowhere = wiring::function_logs(std::io::sink);
        // Another test of this process may have set one.
        let _ = tracing::subscriber::set_global_default(nowhere);
    });
    let written = Written::default();
    let writer = written.clone();
    let logs = wiring::function_logs(move || writer.clone());
    (written, tracing::subscriber::set_default(logs))
}

#[tokio::test]
async fn a_package_that_is_not_finished_in_time_comes_back_with_what_was_found() {
    let deployment = Deployment::with_widgets(2).await;
    let (slow, other) = (version(0), version(1));
    let messages = deployment.batch(&[slow.clone(), other.clone()]).await;
    deployment.bend(|request| (is_about(request, 0) && request.subject == Subject::Attestations).then_some(Bend::Hang));
    // Seven of these seconds are for recording and answering.
    assert_eq!(deployment.handle(&messages, seconds(13)).await, ["message-0"]);
    assert_eq!(deployment.status(&other).await, Some(Status::Verified));

    // What was answered is on record, what was not accuses nobody, and somebody looks again.
    let store = deployment.embedded.store();
    let verdict = store.current(&slow).await.unwrap().unwrap();
    assert_eq!(verdict.status, Status::Indeterminate);
    assert!(verdict.next_look_at.is_some());
    let dossier = store.dossier(&verdict.dossier).await.unwrap().unwrap();
    for subject in [Subject::Packument, Subject::Artifact] {
        assert!(dossier.observation(subject).unwrap().success().is_some(), "{subject:?}");
    }
    let unanswered = &dossier.observation(Subject::Attestations).unwrap().answer;
    assert!(matches!(unanswered, Answer::Unanswered { .. }), "{unanswered:?}");
    assert!(deployment.is_free(&slow).await);
    assert!(deployment.progress().await.contains(&Progress::Pending));
    assert_eq!(deployment.metrics.sum("MessagesReturned"), Some(1));

    // The next delivery goes on from there.
    deployment.bend(|_| None);
    deployment.served.forget_requests();
    assert_eq!(deployment.handle(&messages, seconds(30)).await, [""; 0]);
    assert_eq!(deployment.status(&slow).await, Some(Status::Verified));
    let requests = deployment.served.requests();
    let packument = requests
        .iter()
        .find(|request| request.path == "/@acme%2fwidget-0")
        .unwrap();
    assert!(packument.header("if-none-match").is_some());
    assert!(deployment.progress().await.iter().all(|progress| matches!(
        progress,
        Progress::Done {
            status: Status::Verified,
            ..
        }
    )));
}

#[tokio::test]
async fn what_cannot_be_begun_in_time_goes_back_untouched() {
    let deployment = Deployment::with_widgets(2).await;
    let messages = [
        message(0, WorkReason::Recheck),
        message(1, WorkReason::Batch),
        "{".to_owned(),
    ];
    for time in [seconds(0), seconds(5)] {
        assert_eq!(deployment.handle(&messages, time).await, ["message-0", "message-1"]);
    }
    assert_eq!(deployment.served.requests(), []);
    assert_eq!(deployment.status(&version(0)).await, None);
    assert!(deployment.is_free(&version(0)).await);
}

#[tokio::test]
async fn slow_messages_take_no_time_from_those_behind_them() {
    let deployment = Deployment::with_widgets(7).await;
    let messages: Vec<String> = (0..7).map(|number| message(number, WorkReason::Batch)).collect();
    deployment.bend(|request| (!is_about(request, 5) && !is_about(request, 6)).then_some(Bend::Hang));
    let began = Instant::now();
    let returned = deployment.handle(&messages, seconds(20)).await;
    assert_eq!(
        returned,
        ["message-0", "message-1", "message-2", "message-3", "message-4"]
    );
    assert!(began.elapsed() < seconds(18), "{:?}", began.elapsed());
    for number in [5, 6] {
        assert!(deployment.status(&version(number)).await.is_some(), "{number}");
        assert_ne!(
            deployment.status(&version(number)).await,
            Some(Status::Mismatch),
            "{number}"
        );
    }
    for number in 0..5 {
        assert_eq!(
            deployment.status(&version(number)).await,
            Some(Status::Indeterminate),
            "{number}"
        );
    }
}

#[tokio::test]
async fn a_look_that_cannot_even_be_recorded_gives_its_lease_back() {
    let deployment = Deployment::with_widgets(1).await;
    let service = Service {
        judges: Arc::new(Missing),
        ..(*deployment.service).clone()
    };
    let soon = Instant::now() + Duration::from_millis(300);
    let until = Until {
        asking: soon,
        answering: soon,
    };
    let fault = service
        .within(until)
        .verdict(&version(0).into(), false, now())
        .await
        .unwrap_err();
    assert!(matches!(fault, ServiceFault::OutOfTime(_)), "{fault}");
    assert!(fault.retry_after().is_some());
    assert!(deployment.is_free(&version(0)).await);
    assert_eq!(deployment.status(&version(0)).await, None);
}

#[tokio::test]
async fn the_api_answers_before_its_host_ends_it() {
    let deployment = Deployment::with_widgets(2).await;
    let path = "/v1/verdicts/npm/@acme/widget-0/1.0.0";
    deployment.bend(|request| (request.subject == Subject::Attestations).then_some(Bend::Hang));
    let began = Instant::now();
    let (status, _, verdict) = deployment.get(Arc::clone(&deployment.service), path, seconds(9)).await;
    assert_eq!((status, &verdict["status"]), (StatusCode::OK, &json!("indeterminate")));
    assert!(began.elapsed() < seconds(9));

    // A tag that leads nowhere in time names no version.
    deployment.bend(|_| Some(Bend::Hang));
    let service = Arc::clone(&deployment.service);
    let (status, retry_after, error) = deployment.get(service, "/package/@acme/widget-0", seconds(8)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&error["error"]["code"], retry_after.is_some()),
        (&json!("upstream_unavailable"), true)
    );

    // Where not even that can be recorded, or anything else takes too long, the error says so.
    deployment.bend(|_| None);
    let stuck = Arc::new(Service {
        judges: Arc::new(Missing),
        ..(*deployment.service).clone()
    });
    let verdict = "/v1/verdicts/npm/@acme/widget-1/1.0.0";
    for (path, milliseconds) in [(verdict, 2500), ("/.well-known/hekate.json", 1200)] {
        let (began, time) = (Instant::now(), Duration::from_millis(milliseconds));
        let (status, retry_after, error) = deployment.get(Arc::clone(&stuck), path, time).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {error}");
        assert_eq!(
            (&error["error"]["code"], retry_after.is_some()),
            (&json!("out_of_time"), true),
            "{path}"
        );
        assert!(began.elapsed() < time, "{path}");
    }
    assert!(deployment.is_free(&version(1)).await);
}

#[tokio::test]
async fn what_nobody_can_work_on_is_told_of_counted_and_kept_where_a_newer_version_can_read_it() {
    let deployment = Deployment::with_widgets(1).await;
    let (logs, _guard) = logs();
    let item: Value = serde_json::from_str(&message(0, WorkReason::Sweep)).unwrap();
    let with = |key: &str, value: Value| {
        let mut item = item.clone();
        item[key] = value;
        item.to_string()
    };
    let messages = [
        "not a message".to_owned(),
        with("schema", json!(2)),
        with("schema", json!(0)),
        with("package", json!("pkg:npm/widget@^1")),
        with("reason", json!("boredom")),
        message(0, WorkReason::Sweep),
    ];
    assert_eq!(deployment.handle(&messages, seconds(60)).await, ["message-1"]);
    assert_eq!(deployment.status(&version(0)).await, Some(Status::Verified));
    assert_eq!(deployment.metrics.sum("MessagesPoison"), Some(5));
    let told: BTreeMap<String, (String, bool)> = logs
        .events("message.poison")
        .iter()
        .map(|line| {
            assert_eq!(line["level"], "ERROR");
            assert!(line["error"].is_string() && line["body"].is_string(), "{line}");
            let message = line["spans"][0]["messageId"].as_str().unwrap().to_owned();
            let poison = line["poison"].as_str().unwrap().to_owned();
            (message, (poison, line["returned"].as_bool().unwrap()))
        })
        .collect();
    let malformed = |number: usize| (format!("message-{number}"), ("malformed".to_owned(), false));
    let newer = ("message-1".to_owned(), ("newerSchema".to_owned(), true));
    assert_eq!(
        told,
        [malformed(0), newer, malformed(2), malformed(3), malformed(4)].into()
    );
}

#[tokio::test]
async fn what_can_never_succeed_is_told_of_and_its_batch_does_not_wait() {
    let deployment = Deployment::with_widgets(1).await;
    let (logs, _guard) = logs();
    let messages = deployment.batch(&[version(0), version(7)]).await;
    assert_eq!(deployment.handle(&messages, seconds(60)).await, [""; 0]);
    let failed = deployment.progress().await;
    assert!(
        failed
            .iter()
            .any(|progress| matches!(progress, Progress::Failed { code, .. } if code == "not_found")),
        "{failed:?}"
    );
    let told = logs.events("message.hopeless");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (
            &told[0]["package"],
            &told[0]["code"],
            &told[0]["batch"],
            &told[0]["reason"]
        ),
        (
            &json!(version(7)),
            &json!("not_found"),
            &json!("batch"),
            &json!("batch")
        )
    );
    assert_eq!(deployment.metrics.sum("MessagesHopeless"), Some(1));
    assert_eq!(deployment.metrics.sum("MessagesPoison"), None);
}

#[tokio::test]
async fn a_package_that_makes_the_verifier_panic_takes_no_other_message_with_it() {
    let deployment = Deployment::with_widgets(3).await;
    let (logs, _guard) = logs();
    let messages = deployment.batch(&[version(0), version(1), version(2)]).await;
    deployment.bend(|request| (is_about(request, 1) && request.subject == Subject::Artifact).then_some(Bend::Panic));
    assert_eq!(deployment.handle(&messages, seconds(60)).await, ["message-1"]);
    let progress = deployment.progress().await;
    let is_done = |progress: &Progress| {
        matches!(
            progress,
            Progress::Done {
                status: Status::Verified,
                ..
            }
        )
    };
    assert!(is_done(&progress[0]) && is_done(&progress[2]), "{progress:?}");
    assert!(
        matches!(&progress[1], Progress::Failed { code, .. } if code == "internal"),
        "{progress:?}"
    );
    let told = logs.events("message.poison");
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["poison"], &told[0]["package"]),
        (&json!("panicked"), &json!(version(1)))
    );
    assert!(
        told[0]["error"].as_str().unwrap().ends_with("cannot be read"),
        "{}",
        told[0]
    );

    // Once that is mended, the message that was kept makes the verdict.
    deployment.bend(|_| None);
    let later = now() + SignedDuration::from_mins(10);
    let item = WorkItem::from_json(&messages[1]).unwrap();
    deployment.service.work(&item, later).await;
    assert!(deployment.progress().await.iter().all(is_done));
}

#[tokio::test]
async fn the_log_has_one_line_for_each_verdict_that_is_made_and_none_for_one_that_is_remembered() {
    let deployment = Deployment::with_widgets(1).await;
    let (logs, _guard) = logs();
    // A host has spans of its own.
    let _host = tracing::info_span!("worker", requestId = "another").entered();
    let verdict = {
        let again = body(&WorkItem {
            asked_at: None,
            ..WorkItem::new(Target::Version(version(0)), WorkReason::Recheck, now())
        });
        let work = async {
            let looked = deployment
                .service
                .verdict(&version(0).into(), false, now())
                .await
                .unwrap();
            deployment
                .service
                .verdict(&version(0).into(), false, now())
                .await
                .unwrap();
            assert_eq!(deployment.handle(&[again], seconds(60)).await, [""; 0]);
            looked.verdict
        };
        of_invocation("request", Some("Root=1-2-3"), work).await
    };
    let lines = logs.events("verdict");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let decided_by: Vec<&str> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
    for (line, (reason, fresh, changed)) in lines.iter().zip([("api", false, true), ("recheck", true, false)]) {
        assert_eq!(
            (
                &line["level"],
                &line["message"],
                &line["target"].is_string(),
                &line["timestamp"].is_string()
            ),
            (&json!("INFO"), &json!("verdict"), &true, &true)
        );
        assert_eq!(line["package"], "pkg:npm/%40acme/widget-0@1.0.0");
        assert_eq!(line["ecosystem"], "npm");
        assert_eq!(line["status"], "verified");
        assert_eq!(line["decidedBy"], decided_by.join(","));
        assert_eq!((&line["reason"], &line["fresh"]), (&json!(reason), &json!(fresh)));
        assert_eq!((&line["changed"], &line["stands"]), (&json!(changed), &json!(true)));
        assert!(line["durationMs"].is_u64());
        assert!(line["upstreamRequests"].as_u64().unwrap() >= 3, "{line}");
        assert!(line["dossier"].as_str().unwrap().starts_with("sha256:"));
        assert_eq!(line["verifier"], verdict.verifier.id.as_str());
        // Whose invocation it was.
        assert_eq!(
            (&line["spans"][0]["requestId"], &line["spans"][0]["xrayTraceId"]),
            (&json!("request"), &json!("Root=1-2-3"))
        );
    }
    assert_eq!(lines[0]["dossier"], json!(verdict.dossier));
    assert_eq!(
        (lines[0].get("previous"), &lines[1]["previous"]),
        (None, &json!("verified"))
    );
    assert_eq!(lines[1]["spans"][1]["messageId"], "message-0");
    assert_eq!(
        (
            deployment.metrics.sum("VerdictsMade"),
            deployment.metrics.sum("CachedAnswers")
        ),
        (Some(2), Some(1))
    );
}

#[tokio::test]
async fn a_look_that_leaves_the_earlier_verdict_is_told_of_as_what_it_came_to() {
    let deployment = Deployment::with_widgets(1).await;
    let (logs, _guard) = logs();
    deployment
        .service
        .verdict(&version(0).into(), false, now())
        .await
        .unwrap();
    deployment.bend(|request| (request.subject == Subject::Attestations).then_some(Bend::Hang));
    let soon = Instant::now() + seconds(2);
    let until = Until {
        asking: soon,
        answering: soon + seconds(10),
    };
    let later = now() + SignedDuration::from_hours(1);
    let looked = deployment
        .service
        .within(until)
        .verdict(&version(0).into(), true, later)
        .await;
    assert_eq!(looked.unwrap().verdict.status, Status::Verified);
    let lines = logs.events("verdict");
    let of = |key: &str| &lines[1][key];
    assert_eq!(
        [of("status"), of("stands"), of("changed"), of("previous")],
        [
            &json!("indeterminate"),
            &json!(false),
            &json!(false),
            &json!("verified")
        ]
    );
}

/// Holds every question to a feed back until the others have come, too.
struct Together {
    http: HttpFetch,
    feeds: Barrier,
}

#[async_trait]
impl Fetch for Together {
    async fn fetch(&self, request: Request) -> Observation {
        if request.subject == Subject::ChangeFeed {
            self.feeds.wait().await;
        }
        self.http.fetch(request).await
    }
}

#[tokio::test]
async fn feeds_are_read_at_the_same_time() {
    let deployment = Deployment::with_widgets(1).await;
    // Each of npm's and PyPI's is asked once where it ends.
    let service = Service {
        fetch: Arc::new(Together {
            http: over_http(),
            feeds: Barrier::new(2),
        }),
        ..(*deployment.service).clone()
    };
    let swept = tokio::time::timeout(seconds(10), service.sweep(now()))
        .await
        .expect("none waits for the other");
    assert_eq!(swept.unwrap().feeds.len(), 2);
}

#[tokio::test]
async fn a_sweep_tells_how_late_what_is_due_is_and_fails_where_a_part_of_it_did() {
    let deployment = Deployment::with_widgets(1).await;
    let (logs, _guard) = logs();
    let store = deployment.embedded.store();
    store.watch(version(0).name(), now()).await.unwrap();
    let later = now() + SignedDuration::from_mins(50);
    let swept = sweep::handle(&deployment.service, later, Deadline::after(seconds(50)))
        .await
        .unwrap();
    assert_eq!(swept.tasks, 1);
    let metrics = &deployment.metrics;
    let sums = ["OldestDueAge", "SweepTasks", "SweepTroubles", "AnnouncementsOwed"].map(|name| metrics.sum(name));
    assert_eq!(sums, [Some(3000), Some(1), Some(0), Some(0)]);
    // With nothing due it says so, and a trouble is an error of the function.
    deployment.bend(|_| Some(Bend::Hang));
    let fault = sweep::handle(&deployment.service, later, Deadline::after(seconds(9)))
        .await
        .unwrap_err();
    assert!(matches!(fault, SweepFault::Parts(_)), "{fault}");
    let sums = ["OldestDueAge", "SweepTasks", "SweepTroubles"].map(|name| metrics.sum(name));
    assert_eq!(sums, [Some(3000), Some(1), Some(2)]);
    let ends: Vec<Value> = logs
        .events("sweep")
        .iter()
        .map(|line| line["troubles"].clone())
        .collect();
    assert_eq!(ends, [json!(0), json!(2)]);
    assert_eq!(logs.events("sweep.trouble").len(), 2);
    // One that hangs altogether ends in time.
    let stuck = Service {
        judges: Arc::new(Missing),
        ..(*deployment.service).clone()
    };
    deployment.bend(|_| None);
    let began = Instant::now();
    let fault = sweep::handle(&stuck, later, Deadline::after(seconds(3)))
        .await
        .unwrap_err();
    assert!(matches!(fault, SweepFault::OutOfTime), "{fault}");
    assert!(began.elapsed() < seconds(3));
}

/// The fields of an event, without those that every line has.
fn fields(line: &Value) -> BTreeSet<&str> {
    let everywhere = ["timestamp", "level", "target", "message", "spans", "event"];
    let all = line.as_object().unwrap().keys().map(String::as_str);
    all.filter(|name| !everywhere.contains(name)).collect()
}

#[tokio::test]
async fn the_log_has_a_line_for_each_comparison_and_one_for_each_peer_that_was_shown_something_else() {
    let deployment = Deployment::with_widgets(1).await;
    let other = Deployment::of(Scenario::new().release(widget(0).tarball_swapped_by_one_byte())).await;
    let (same, other) = (deployment.as_peer().await, other.as_peer().await);
    let (logs, _guard) = logs();
    deployment.compare(vec![same.clone()]).await;
    assert_eq!(logs.events("peer.splitView"), [Value::Null; 0]);
    let report = deployment.compare(vec![same, other.clone()]).await;

    let compared: Vec<Value> = logs.events("peers.compared");
    let said: Vec<_> = compared
        .iter()
        .map(|line| {
            assert_eq!(
                fields(line),
                ["agreeing", "agreement", "package", "peers"].into(),
                "{line}"
            );
            assert_eq!(line["package"], "pkg:npm/%40acme/widget-0@1.0.0");
            (&line["level"], &line["agreement"], &line["agreeing"], &line["peers"])
        })
        .collect();
    let (info, one, two) = (&json!("INFO"), &json!(1), &json!(2));
    assert_eq!(
        said,
        [
            (info, &json!("agree"), one, one),
            (info, &json!("split_view"), one, two)
        ]
    );

    let split = logs.events("peer.splitView");
    assert_eq!(split.len(), 1, "{split:#?}");
    let (line, says) = (&split[0], report.peers[1].says.as_ref().unwrap());
    let named: Vec<&str> = report.peers[1]
        .differences
        .iter()
        .map(|difference| &*difference.what)
        .collect();
    assert!(named.contains(&"file.sha512"), "{named:?}");
    assert_ne!(report.ours.evidence, says.evidence);
    let expected = json!({
        "package": "pkg:npm/%40acme/widget-0@1.0.0",
        "peer": other.url.as_str(),
        "differences": named.join(","),
        "evidence": report.ours.evidence,
        "checkedAt": report.ours.checked_at,
        "peerEvidence": says.evidence,
        "peerCheckedAt": says.checked_at,
    });
    assert_eq!(line["level"], "WARN");
    let expected = expected.as_object().unwrap();
    for (name, value) in expected {
        assert_eq!(&line[name], value, "{name}");
    }
    assert_eq!(fields(line), expected.keys().map(String::as_str).collect(), "{line}");

    // What an operator is told to ask for is there.
    let runbook = include_str!("../../../docs/runbook.md");
    let query = "filter event = \"peer.splitView\" | fields @timestamp, ";
    let (_, asked) = runbook.split_once(query).unwrap();
    let (asked, _) = asked.split_once(" | ").unwrap();
    for field in asked.split(", ") {
        assert!(expected.contains_key(field), "{field}");
    }
    let documented = include_str!("../../../docs/operations.md");
    for line in [line, &compared[0]] {
        let name = line["event"].as_str().unwrap();
        let row = documented
            .lines()
            .find(|row| row.starts_with(&format!("| `{name}` |")))
            .unwrap();
        for field in fields(line) {
            assert!(row.contains(&format!("`{field}`")), "{field} of {name} is documented");
        }
    }
}

/// The units that CloudWatch knows (API reference, `MetricDatum`).
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

fn is_name(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| (1..=1024).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() || c == ' '))
}

/// A metric: its name, its unit, and the values of one set of its dimensions.
type Metric = (String, String, Vec<(String, String)>);

/// Holds a line to the rules of the embedded metric format, and returns its metrics, once for each set of their dimensions.
fn metrics_of(line: &Value) -> BTreeSet<Metric> {
    let members = line.as_object().unwrap();
    let metadata = members["_aws"].as_object().unwrap();
    assert_eq!(
        metadata["Timestamp"].as_i64(),
        Some(metadata["Timestamp"].as_i64().unwrap()),
        "{line}"
    );
    // Milliseconds: seconds would lie in January 1970.
    let at = Timestamp::from_millisecond(metadata["Timestamp"].as_i64().unwrap()).unwrap();
    assert!(
        at.duration_since(now()).abs() < SignedDuration::from_hours(24),
        "{line}"
    );
    let directives = metadata["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty());
    let mut found = BTreeSet::new();
    for directive in directives {
        assert_eq!(directive["Namespace"], "Hekate");
        let sets = directive["Dimensions"].as_array().unwrap();
        assert!(!sets.is_empty());
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()), "{line}");
        for set in sets {
            let set = set.as_array().unwrap();
            assert!(set.len() <= 30, "{line}");
            let values: Vec<(String, String)> = set
                .iter()
                .map(|name| {
                    assert!(is_name(name), "{line}");
                    let name = name.as_str().unwrap();
                    let value = &members[name];
                    assert!(is_name(value), "the value of a dimension is a text: {line}");
                    (name.to_owned(), value.as_str().unwrap().to_owned())
                })
                .collect();
            for metric in metrics {
                assert!(is_name(&metric["Name"]), "{line}");
                let unit = metric["Unit"].as_str().unwrap();
                assert!(UNITS.contains(&unit), "{line}");
                let name = metric["Name"].as_str().unwrap();
                let value = members[name].as_f64().expect("a metric is a number");
                assert!(value.is_finite() && value.abs() < 2_f64.powi(360), "{line}");
                let is_new = found.insert((name.to_owned(), unit.to_owned(), values.clone()));
                assert!(is_new, "twice: {line}");
            }
        }
    }
    let named: BTreeSet<&str> = found
        .iter()
        .flat_map(|(metric, _, values)| values.iter().map(|(name, _)| name.as_str()).chain([metric.as_str()]))
        .chain(["_aws"])
        .collect();
    let there: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(named, there, "nothing else is in the line");
    found
}

#[tokio::test]
async fn every_metric_is_a_line_of_the_embedded_metric_format_with_bounded_dimensions() {
    let deployment = Deployment::with_widgets(2).await;
    deployment.bend(|request| (is_about(request, 1) && request.subject == Subject::Artifact).then_some(Bend::Panic));
    let messages = [
        message(0, WorkReason::Batch),
        message(1, WorkReason::Sweep),
        message(0, WorkReason::Api),
        message(5, WorkReason::Sweep),
        "{}".to_owned(),
        json!({ "schema": 9 }).to_string(),
    ];
    assert_eq!(
        deployment.handle(&messages, seconds(60)).await,
        ["message-1", "message-5"]
    );
    deployment
        .service
        .verdict(&version(0).into(), false, now())
        .await
        .unwrap();
    sweep::handle(&deployment.service, now(), Deadline::after(seconds(50)))
        .await
        .unwrap();

    let other = Deployment::of(Scenario::new().release(widget(0).tarball_swapped_by_one_byte())).await;
    let (same, other) = (deployment.as_peer().await, other.as_peer().await);
    for (peers, result) in [
        (vec![same], PeerAgreement::Agree),
        (vec![other], PeerAgreement::SplitView),
    ] {
        assert_eq!(deployment.compare(peers).await.result, result);
    }

    let lines = deployment.metrics.lines();
    let found: BTreeSet<Metric> = lines.iter().flat_map(metrics_of).collect();
    // Of each metric its unit and the dimensions by which it is there besides the function.
    let all: [(&str, &str, &[&str]); 14] = [
        ("AnnouncementsDelivered", "Count", &[]),
        ("AnnouncementsOwed", "Count", &[]),
        ("CachedAnswers", "Count", &["Ecosystem"]),
        ("MessagesHopeless", "Count", &[]),
        ("MessagesPoison", "Count", &["Reason"]),
        ("MessagesReturned", "Count", &[]),
        ("OldestDueAge", "Seconds", &[]),
        ("PeerComparisons", "Count", &["Agreement"]),
        ("SplitViews", "Count", &[]),
        ("SweepTasks", "Count", &[]),
        ("SweepTroubles", "Count", &[]),
        ("UpstreamRequests", "Count", &["Ecosystem"]),
        ("VerdictDuration", "Milliseconds", &["Ecosystem"]),
        ("VerdictsMade", "Count", &["Ecosystem", "Status"]),
    ];
    // Each is there under the function alone, which is what the alarms of the template ask for. Nothing of what a registry or a
    // caller writes is a dimension.
    let expected: BTreeSet<(&str, &str, Vec<&str>)> = all
        .iter()
        .flat_map(|(name, unit, by)| {
            let with: Vec<&str> = ["Function"].into_iter().chain(by.iter().copied()).collect();
            [(*name, *unit, vec!["Function"]), (*name, *unit, with)]
        })
        .collect();
    let named: BTreeSet<(&str, &str, Vec<&str>)> = found
        .iter()
        .map(|(name, unit, values)| {
            (
                &**name,
                &**unit,
                values.iter().map(|(dimension, _)| &**dimension).collect(),
            )
        })
        .collect();
    assert_eq!(named, expected);
    for (name, value) in found.iter().flat_map(|(_, _, values)| values) {
        assert!(name != "Function" || value == "stack-Function-1", "{value}");
        assert!(!value.contains("widget"), "{value}");
    }
    // Every comparison is counted by what came of it, and what the alarm waits for by itself.
    let compared: BTreeSet<&str> = found
        .iter()
        .filter(|(name, ..)| name == "PeerComparisons")
        .filter_map(|(_, _, values)| values.iter().find(|(dimension, _)| dimension == "Agreement"))
        .map(|(_, agreement)| &**agreement)
        .collect();
    assert_eq!(compared, ["agree", "split_view"].into());
    let sums = ["PeerComparisons", "SplitViews"].map(|name| deployment.metrics.sum(name));
    assert_eq!(sums, [Some(2), Some(1)]);

    let documented = include_str!("../../../docs/operations.md");
    for (name, ..) in all {
        assert!(documented.contains(&format!("`{name}`")), "{name} is documented");
    }
    // An alarm on a metric that nobody writes is never raised.
    let template = include_str!("../../../template.yaml");
    let watched: BTreeSet<&str> = template
        .split("Namespace: Hekate\n")
        .skip(1)
        .map(|alarm| {
            alarm
                .lines()
                .next()
                .unwrap()
                .trim()
                .strip_prefix("MetricName: ")
                .unwrap()
        })
        .collect();
    assert_eq!(watched, ["MessagesPoison", "OldestDueAge", "SplitViews"].into());
    for name in watched {
        assert!(all.iter().any(|(known, ..)| *known == name), "{name}");
    }
}
