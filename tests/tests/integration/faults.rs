//! What AWS does to functions: one that is killed between any two requests, throttled, answered with a fault or not at all, and
//! messages that come again. Whatever it was, once time has passed and the message or the sweep has come again, everything is as
//! it would have been.
//!
//! For each piece of work every request that it makes is counted and troubled, one after the other, until the work makes no
//! further one: the number is nowhere written down. Trouble is made between the SDK and AWS (`hekate_tests::cloud`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use hekate::adapters::pem::PemSigner;
use hekate::entrypoints::api::{Api, router};
use hekate::package::{PackageName, PackageVersion};
use hekate::ports::{
    Announce, Announcement, BatchStore as _, ChangeStore as _, Judges, ScheduleStore as _, Sign, Target, Task,
    TraceKey, VerdictStore as _, WatchStore as _, WorkItem, WorkReason,
};
use hekate::service::Service;
use hekate_tests::cloud::{Cloud, Extent, Fate, Heard, Kept, Met, Trouble};
use hekate_tests::deployment::{Deployment, clock, shared_judge};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::year::queue::Queue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::keys::P256Key;
use testbed::{BASE_TIME, Release, Scenario};
use tower::ServiceExt as _;

mod store;

/// Every trouble that one request may meet, and what it may be the beginning of.
const TROUBLES: [(Fate, Extent); 6] = [
    (Fate::KilledBefore, Extent::Attempt),
    (Fate::KilledAfter, Extent::Attempt),
    (Fate::Refused, Extent::Attempt),
    (Fate::Refused, Extent::Onward),
    (Fate::Unheard, Extent::Attempt),
    (Fate::Unheard, Extent::Request),
];

/// The same for requests that consist of several things.
const OF_PARTS: [(Fate, Extent); 2] = [(Fate::Half, Extent::Attempt), (Fate::Half, Extent::Onward)];

const WIDGET: &str = "pkg:npm/%40acme/widget";
/// A run of which nothing is kept.
const ANOTHER_RUN: u64 = 1;
const BATCH: &str = "0123456789abcdef0123456789abcdef";

fn version(purl: &str) -> PackageVersion {
    purl.parse().unwrap()
}

fn name(purl: &str) -> PackageName {
    purl.parse().unwrap()
}

fn at(text: &str, days: i64) -> Release {
    Release::honest("@acme/widget", text).at(day(days))
}

fn widget(text: &str) -> PackageVersion {
    version(&format!("{WIDGET}@{text}"))
}

/// So many days after the base time.
fn day(days: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24 * days)
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// When the work that is troubled begins.
fn begin() -> Timestamp {
    day(0)
}

/// Hears nothing, so that what is announced stays owed.
struct Deaf;

#[async_trait]
impl Announce for Deaf {
    async fn announce(&self, _: &[Announcement]) -> Vec<String> {
        Vec::new()
    }
}

impl Kick {
    /// After how many minutes everything is delivered that is visible, and whether there is a sweep before: long enough for what a
    /// dead worker holds to expire, for messages to come back, and for what a dead sweep has claimed to be due again.
    fn afterwards(&self) -> &'static [(i64, bool)] {
        match self {
            Self::Messages(_) => &[(1, false), (12, false), (24, true), (36, false)],
            Self::Caller(_) | Self::Asked(_) => &[(1, false), (12, true), (80, true)],
            Self::Minute => &[(1, false), (16, true), (63, true), (124, true)],
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Messages(items) => {
                let messages: Vec<String> = items
                    .iter()
                    .map(|item| format!("{:?} {}", item.reason, item.package))
                    .collect();
                messages.join(", ")
            }
            Self::Caller(packages) => format!("a batch of {}", packages.len()),
            Self::Minute => "a sweep".to_owned(),
            Self::Asked(asked) => format!("{} {}", asked.method, asked.path),
        }
    }
}

/// What makes a function work.
#[derive(Clone, Debug)]
enum Kick {
    /// Messages of one event.
    Messages(Vec<WorkItem>),
    /// A minute that has passed.
    Minute,
    /// A caller who hands in a batch, and does so again if there is no answer and no batch.
    Caller(Vec<PackageVersion>),
    /// Somebody who asks the API, and does so again later if the answer is that there was trouble, or none.
    Asked(Asked),
}

/// What the API is asked.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    path: String,
    body: Value,
    /// What an answer comes to, whether it is the first or, after one that nobody heard, another.
    says: fn(u16, &Value) -> Value,
}

impl Asked {
    fn new(method: Method, path: &str, says: fn(u16, &Value) -> Value) -> Self {
        Self {
            method,
            path: path.to_owned(),
            body: Value::Null,
            says,
        }
    }

    /// What is answered; `None` if that is trouble.
    async fn answer(&self, service: &Service) -> Option<(u16, Value)> {
        let api = Api {
            service: Arc::new(service.clone()),
            clock,
            fresh_after: minutes(10),
        };
        let request = Request::builder().method(&self.method).uri(&self.path);
        let request = request.body(Body::from(self.body.to_string())).unwrap();
        let (parts, body) = router(api).oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let status = parts.status.as_u16();
        assert!(status < 500 || status == 503, "{status}");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        (status < 500).then_some((status, body))
    }
}

/// A piece of work, with everything as it is before.
struct Piece {
    scenario: Arc<Scenario>,
    judges: Arc<dyn Judges>,
    kept: Kept,
    kick: Kick,
    versions: Vec<PackageVersion>,
    signer: Option<Arc<dyn Sign>>,
    /// Whether the versions of batches have a queue of their own.
    is_apart: bool,
    /// Fewer points than this are no test of it.
    at_least: u64,
}

/// What led to a piece of work.
struct Before {
    scenario: Arc<Scenario>,
    judges: Arc<dyn Judges>,
    deployment: Deployment,
}

impl Before {
    async fn of(releases: impl IntoIterator<Item = Release>) -> Self {
        let scenario = Arc::new(releases.into_iter().fold(Scenario::new(), Scenario::release));
        let judges = shared_judge().unwrap();
        let cloud = Cloud::start(0.0).await.unwrap();
        let deployment = deployment(cloud, &scenario, &judges);
        Self {
            scenario,
            judges,
            deployment,
        }
    }

    /// Puts a package on the watch list that was looked for new versions a moment ago.
    async fn watch(&self, purl: &str, seen_until: Timestamp, next_look_at: Timestamp) {
        let store = self.deployment.cloud.store();
        let entry = store.watch(&name(purl), day(-40)).await.unwrap();
        assert!(store.handed_over(&entry, Some(seen_until), next_look_at).await.unwrap());
    }

    async fn look(&self, package: &PackageVersion, at: Timestamp) {
        self.deployment.set_now(at);
        let coordinate = package.clone().into();
        self.deployment.service.verdict(&coordinate, false, at).await.unwrap();
    }

    /// The piece of work that begins now.
    fn then(self, kick: Kick, versions: &[PackageVersion], at_least: u64) -> Piece {
        Piece {
            kept: self.deployment.cloud.keep().unwrap(),
            scenario: self.scenario,
            judges: self.judges,
            kick,
            versions: versions.to_vec(),
            signer: None,
            is_apart: false,
            at_least,
        }
    }
}

fn deployment(cloud: Arc<Cloud>, scenario: &Arc<Scenario>, judges: &Arc<dyn Judges>) -> Deployment {
    let fetch = ScenarioFetch::new(Arc::clone(scenario)).with_token("token");
    Deployment::new(cloud, Arc::new(fetch), Arc::clone(judges)).unwrap()
}

/// What one run came to.
struct Run {
    /// What the requests of the troubled work met.
    met: Met,
    /// How everything is in the end.
    state: Value,
}

impl Piece {
    /// The same where verdicts are signed.
    fn signing(self) -> Self {
        let signer = PemSigner::new(&P256Key::generate().pkcs8_pem()).unwrap();
        Self {
            signer: Some(Arc::new(signer)),
            ..self
        }
    }

    /// The same with a queue of their own for the versions of batches.
    fn apart(self) -> Self {
        Self { is_apart: true, ..self }
    }

    fn deployment(&self) -> Deployment {
        let mut deployment = deployment(Cloud::from_kept(&self.kept).unwrap(), &self.scenario, &self.judges);
        deployment.service.signing.signer.clone_from(&self.signer);
        if self.is_apart {
            deployment.with_batches_apart()
        } else {
            deployment
        }
    }

    /// Does the work in trouble, and what comes afterwards without.
    async fn run(&self, trouble: Option<Trouble>) -> Run {
        let deployment = self.deployment();
        deployment.set_now(begin());
        let mut answers = Vec::new();
        let met = match &self.kick {
            Kick::Messages(items) => {
                deployment.send(items, begin()).unwrap();
                let delivered = deployment.deliver(begin(), trouble).await.unwrap().unwrap();
                assert_eq!(delivered.messages, items.len());
                // One attempt that is refused is nobody's business but the client's.
                if trouble.is_none_or(|trouble| (trouble.fate, trouble.extent) == (Fate::Refused, Extent::Attempt)) {
                    assert_eq!(delivered.returned, 0, "{trouble:?}");
                }
                delivered.met
            }
            Kick::Minute => {
                let sweep = deployment.service.sweep(begin());
                let (_, met) = deployment.cloud.live(trouble, sweep).await;
                self.nothing_was_passed_over(&deployment).await;
                met
            }
            Kick::Caller(packages) => {
                let create = deployment.service.create_batch(BATCH.to_owned(), packages, begin());
                let (_, met) = deployment.cloud.live(trouble, create).await;
                if deployment.cloud.store().batch(BATCH, begin()).await.unwrap().is_none() {
                    let again = deployment.service.create_batch(BATCH.to_owned(), packages, begin());
                    again.await.unwrap();
                }
                met
            }
            Kick::Asked(asked) => {
                let answer = asked.answer(&deployment.service);
                let (answer, met) = deployment.cloud.live(trouble, answer).await;
                answers.extend(answer.flatten());
                met
            }
        };
        self.everything_is_in_its_queue(&deployment);
        for (minute, is_swept) in self.kick.afterwards() {
            let now = begin() + minutes(*minute);
            deployment.set_now(now);
            if *is_swept {
                let swept = deployment.service.sweep(now).await.unwrap();
                assert_eq!(swept.troubles, [""; 0]);
            }
            if let Kick::Asked(asked) = &self.kick
                && answers.is_empty()
            {
                answers.extend(asked.answer(&deployment.service).await);
            }
            deployment.deliver_all(now).await.unwrap();
        }
        let mut state = self.state(&deployment).await;
        if let Kick::Asked(asked) = &self.kick {
            let (status, body) = answers.first().expect("there is an answer in the end");
            state["answer"] = (asked.says)(*status, body);
            if self.signer.is_some() {
                // Whoever asks later gets what was handed out before, signature and all.
                let (_, again) = asked.answer(&deployment.service).await.unwrap();
                assert_eq!(&again, body);
            }
        }
        Run { met, state }
    }

    /// Versions of batches wait apart where they have a queue of their own, and nothing else does.
    fn everything_is_in_its_queue(&self, deployment: &Deployment) {
        let of_batches = |queue: &Mutex<Queue>| {
            let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let items = queue.bodies().map(|body| WorkItem::from_json(body).unwrap());
            items.map(|item| item.reason == WorkReason::Batch).collect::<Vec<_>>()
        };
        assert!(
            of_batches(&deployment.cloud.batches)
                .iter()
                .all(|is_of_batch| *is_of_batch)
        );
        if self.is_apart {
            assert!(
                of_batches(&deployment.cloud.queue)
                    .iter()
                    .all(|is_of_batch| !is_of_batch)
            );
        }
    }

    /// The feed is not noted as read beyond what it named of the packages that are watched and was queued.
    async fn nothing_was_passed_over(&self, deployment: &Deployment) {
        let before = Cloud::from_kept(&self.kept)
            .unwrap()
            .store()
            .cursor("npm")
            .await
            .unwrap();
        let now = deployment.cloud.store().cursor("npm").await.unwrap();
        let queue = deployment.cloud.queue.lock().unwrap();
        let is_queued = queue.bodies().any(|body| body.contains(&format!("\"{WIDGET}\"")));
        assert!(
            now == before || is_queued,
            "the feed was read from {before:?} to {now:?}"
        );
    }

    /// Everything that an operator gets, but for when it was.
    async fn state(&self, deployment: &Deployment) -> Value {
        let (store, end) = (deployment.cloud.store(), begin() + minutes(130));
        let mut verdicts = BTreeMap::new();
        for package in &self.versions {
            let current = store.current(package).await.unwrap();
            let history = store.history(package, None, 100).await.unwrap();
            let dossiers: BTreeSet<_> = history.iter().chain(&current).map(|verdict| &verdict.dossier).collect();
            for digest in dossiers {
                let dossier = store.dossier(digest).await.unwrap();
                assert!(dossier.is_some(), "the evidence of {package} is lost");
            }
            let memory = store.past(package, None).await.unwrap();
            let first_seen = store.first_seen(package).await.unwrap();
            let releases: Vec<Value> = memory
                .history
                .iter()
                .map(|past| {
                    json!([
                        past.version,
                        past.accepted,
                        past.refused,
                        past.attested,
                        past.run_publish_step
                    ])
                })
                .collect();
            let said = |verdict: &hekate::verdict::Verdict| json!([verdict.status, verdict.decided_by]);
            let verdict = json!({
                "current": current.as_ref().map(said),
                "removed": current.as_ref().is_some_and(|verdict| verdict.removed_at.is_some()),
                "hasNextLook": current.as_ref().is_some_and(|verdict| verdict.next_look_at.is_some()),
                "history": history.iter().map(said).collect::<Vec<_>>(),
                "firstSeen": first_seen.map(|seen| (seen.integrity.to_string(), seen.signed)),
                "releases": releases,
                "watched": memory.watched,
            });
            verdicts.insert(package.to_purl(), verdict);
        }
        // Each change once, however often it was told.
        let heard: BTreeSet<Heard> = deployment.cloud.heard().into_iter().collect();
        let mut told: Vec<_> = heard.into_iter().map(|heard| (heard.package, heard.change)).collect();
        told.sort();
        let batch = deployment.service.batch(BATCH, None, 100, end).await.unwrap();
        let due = store.due(end + minutes(60 * 24 * 365), 1000).await.unwrap();
        let owed = store.owed(end, 100).await.unwrap().len();
        let cursor = store.cursor("npm").await.unwrap();
        let recalled = recalled(&deployment.cloud).await;
        let queues = [&deployment.cloud.queue, &deployment.cloud.batches].map(|queue| queue.lock().unwrap());
        json!({
            "verdicts": verdicts,
            "told": told,
            "owed": owed,
            "batch": batch.map(|batch| (batch.done, batch.counts)),
            "cursor": cursor,
            "due": due.iter().map(|due| due.task.clone()).map(name_of).collect::<BTreeSet<_>>(),
            "overdue": due.iter().filter(|due| due.since < begin()).count(),
            "queued": queues.iter().map(|queue| queue.len()).sum::<usize>(),
            "dead": queues.iter().flat_map(|queue| &queue.dead).collect::<Vec<_>>(),
            "recalled": recalled,
            "rows": census(&deployment.cloud),
        })
    }

    /// Troubles every request in every way.
    async fn ends_the_same_whatever_happens(&self) {
        let undisturbed = self.run(None).await;
        let requests = undisturbed.met.requests;
        assert!(requests >= self.at_least, "{requests} requests");
        let mut points = BTreeMap::new();
        for (fate, extent) in TROUBLES {
            for at in 0.. {
                let trouble = Trouble { at, fate, extent };
                // The work has made no request of this number.
                if !self.is_the_same_after(trouble, &undisturbed).await {
                    break;
                }
                *points.entry(format!("{fate:?}")).or_insert(0) += 1;
            }
        }
        for (fate, extent) in OF_PARTS {
            for at in &undisturbed.met.of_parts {
                let trouble = Trouble { at: *at, fate, extent };
                assert!(self.is_the_same_after(trouble, &undisturbed).await, "{trouble:?}");
                *points.entry(format!("{fate:?}")).or_insert(0) += 1;
            }
        }
        println!("{}: {requests} requests, troubled {points:?}", self.kick.name());
        for (fate, times) in [("KilledBefore", 1), ("KilledAfter", 1), ("Refused", 2), ("Unheard", 2)] {
            assert!(points.get(fate) >= Some(&(times * self.at_least)), "{points:?}");
        }
        let halves = undisturbed.met.of_parts.len() * OF_PARTS.len();
        assert_eq!(
            points.get("Half").copied().unwrap_or_default(),
            u64::try_from(halves).unwrap()
        );
        assert!(halves >= 2 || matches!(self.kick, Kick::Asked(_)), "{points:?}");
    }

    /// That everything is as it would have been; false if the work made no such request.
    async fn is_the_same_after(&self, trouble: Trouble, undisturbed: &Run) -> bool {
        let run = self.run(Some(trouble)).await;
        assert_eq!(
            run.state,
            undisturbed.state,
            "{trouble:?} of {}: {:#} instead of {:#}",
            self.kick.name(),
            run.state,
            undisturbed.state
        );
        assert_eq!(run.met.troubled > 0, run.met.requests > trouble.at, "{trouble:?}");
        run.met.troubled > 0
    }
}

fn name_of(task: Task) -> String {
    match task {
        Task::Version(package) => package.to_purl(),
        Task::Package(name) => name.to_purl(),
        Task::Batch(id) => id,
    }
}

/// What another run would find of each commit.
async fn recalled(cloud: &Arc<Cloud>) -> BTreeMap<String, Value> {
    let mut recalled = BTreeMap::new();
    let partitions: BTreeSet<String> = cloud
        .rows()
        .unwrap()
        .iter()
        .map(|row| row["pk"]["S"].as_str().unwrap().to_owned())
        .filter(|partition| partition.starts_with("TRACE#COMMIT#"))
        .collect();
    for partition in partitions {
        let mut parts = partition.split('#').skip(2).map(str::to_owned);
        let key = TraceKey {
            repository: parts.next().unwrap(),
            run: ANOTHER_RUN,
            attempt: 1,
            commit: parts.next(),
        };
        let seen = cloud.store().recall(&key).await.unwrap();
        let said = seen
            .iter()
            .map(|seen| json!([seen.subject, seen.success().map(|response| &response.sha256)]));
        recalled.insert(partition, said.collect());
    }
    recalled
}

/// How many rows there are of each kind, by their keys without times and digests. Evidence that nothing refers to and leases are
/// left behind by the dead, and each look at a run is kept. What is noted of a batch is noted again with a message that comes
/// again; and with which release a package is met depends on which message comes first, so that of releases only that each has
/// both of its rows is compared here.
fn census(cloud: &Cloud) -> BTreeMap<String, usize> {
    let mask = |key: &str| {
        let parts = key.split('#').map(|part| {
            let is_digest = part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_digest || part.parse::<Timestamp>().is_ok() || part.parse::<jiff::civil::Date>().is_ok() {
                "…"
            } else {
                part
            }
        });
        parts.collect::<Vec<_>>().join("#")
    };
    let mut rows = BTreeMap::new();
    let (mut releases, mut versions) = (BTreeSet::new(), BTreeSet::new());
    for row in cloud.rows().unwrap() {
        let (pk, sk) = (row["pk"]["S"].as_str().unwrap(), row["sk"]["S"].as_str().unwrap());
        let kind = pk.split('#').next().unwrap();
        if matches!(kind, "DOSSIER" | "BODY" | "TEXT") || sk == "LEASE" || sk.starts_with("LOOK#") {
            continue;
        }
        if let Some((_at, version)) = sk.strip_prefix("RELEASE#").and_then(|place| place.split_once('#')) {
            releases.insert(format!("{pk} {version}"));
        } else if let Some(version) = sk.strip_prefix("VERSION#") {
            versions.insert(format!("{pk} {version}"));
        } else if sk.starts_with("NOTE#") {
            rows.insert(format!("{} {}", mask(pk), mask(sk)), 1);
        } else {
            *rows.entry(format!("{} {}", mask(pk), mask(sk))).or_insert(0) += 1;
        }
    }
    assert_eq!(releases, versions);
    rows
}

fn message(target: Target, reason: WorkReason) -> WorkItem {
    WorkItem::new(target, reason, begin())
}

#[tokio::test(start_paused = true)]
async fn a_first_verdict_outlives_whatever_happens() {
    let before = Before::of([at("1.0.0", -60), at("1.1.0", -50), at("1.2.0", -40)]).await;
    before.watch(WIDGET, day(-1), day(1)).await;
    let item = message(Target::Version(widget("1.2.0")), WorkReason::Sweep);
    let versions = ["1.0.0", "1.1.0", "1.2.0"].map(widget);
    let piece = before.then(Kick::Messages(vec![item]), &versions, 15);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_changes_outlives_whatever_happens() {
    let before = Before::of([at("1.0.0", -60), at("1.1.0", -50), at("1.2.0", -40)]).await;
    before.watch(WIDGET, day(-1), day(1)).await;
    before.look(&widget("1.2.0"), day(-1)).await;
    let is_replaced = before
        .scenario
        .npm()
        .replace_tarball("@acme/widget", "1.2.0", |bytes| bytes.push(0));
    assert!(is_replaced);
    let item = message(Target::Version(widget("1.2.0")), WorkReason::Recheck);
    let versions = ["1.0.0", "1.1.0", "1.2.0"].map(widget);
    let piece = before.then(Kick::Messages(vec![item]), &versions, 15);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_outlives_whatever_happens() {
    let before = Before::of([at("1.0.0", -60), at("1.2.0", -40)]).await;
    before.watch(WIDGET, day(-1), day(1)).await;
    before.look(&widget("1.2.0"), day(-1)).await;
    assert!(before.scenario.npm().unpublish("@acme/widget", "1.2.0"));
    let item = message(Target::Version(widget("1.2.0")), WorkReason::Recheck);
    let piece = before.then(Kick::Messages(vec![item]), &[widget("1.2.0")], 8);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn the_versions_of_a_batch_outlive_whatever_happens() {
    let before = Before::of([at("1.2.0", -40).unattested()]).await;
    let versions = [widget("1.2.0"), version("pkg:npm/nowhere@1.0.0")];
    let (cloud, service) = (&before.deployment.cloud, &before.deployment.service);
    before.deployment.set_now(begin());
    service
        .create_batch(BATCH.to_owned(), &versions, begin())
        .await
        .unwrap();
    // Their first messages are the work that is troubled.
    let items = versions.iter().map(|package| WorkItem {
        batch: Some(BATCH.to_owned()),
        ..message(Target::Version(package.clone()), WorkReason::Batch)
    });
    assert_eq!(cloud.queue.lock().unwrap().len(), versions.len());
    let kick = Kick::Messages(items.collect());
    before.then(kick, &versions, 12).ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_handed_in_outlives_whatever_happens() {
    let plain = |number: u32| {
        Release::honest(&format!("plain-{number}"), "1.0.0")
            .at(day(-30))
            .unattested()
    };
    let before = Before::of((0..12).map(plain)).await;
    let versions: Vec<PackageVersion> = (0..12)
        .map(|number| version(&format!("pkg:npm/plain-{number}@1.0.0")))
        .collect();
    let piece = before.then(Kick::Caller(versions.clone()), &versions, 3);
    let piece = piece.apart();
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn new_versions_that_are_handed_over_outlive_whatever_happens() {
    let before = Before::of([at("1.0.0", -40).unattested()]).await;
    before.watch(WIDGET, day(-20), begin() + minutes(6 * 60)).await;
    before.look(&widget("1.0.0"), day(-30)).await;
    before.scenario.publish(&at("1.1.0", -12).unattested());
    before.scenario.publish(&at("1.2.0", -10).unattested());
    let item = message(Target::Package(name(WIDGET)), WorkReason::Sweep);
    let versions = ["1.0.0", "1.1.0", "1.2.0"].map(widget);
    let piece = before.then(Kick::Messages(vec![item]), &versions, 5);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn a_sweep_outlives_whatever_happens() {
    let plain = |number: u32| {
        Release::honest(&format!("plain-{number}"), "1.0.0")
            .at(day(-30))
            .unattested()
    };
    // What is told of the second is announced although nobody watches it.
    let swapped = plain(2).tarball_swapped_by_one_byte();
    let mut before = Before::of([at("1.0.0", -60).unattested(), plain(1), swapped]).await;
    let deaf: Service = Service {
        announcer: Arc::new(Deaf),
        ..before.deployment.service
    };
    before.deployment.service = deaf;
    // The end of the feed is known, what is published later is named by it.
    before.deployment.service.sweep(day(-2)).await.unwrap();
    before.watch(WIDGET, day(-20), day(1)).await;
    before.watch("pkg:npm/plain-1", day(-20), day(-1)).await;
    before.look(&widget("1.0.0"), day(-40)).await;
    before.look(&version("pkg:npm/plain-2@1.0.0"), day(-2)).await;
    before.scenario.publish(&at("1.1.0", -10).unattested());
    let versions = [
        widget("1.0.0"),
        widget("1.1.0"),
        version("pkg:npm/plain-1@1.0.0"),
        version("pkg:npm/plain-2@1.0.0"),
    ];
    let in_batch = &versions[2..];
    let service = &before.deployment.service;
    before.deployment.set_now(day(-1));
    service.create_batch(BATCH.to_owned(), in_batch, day(-1)).await.unwrap();
    let store = before.deployment.cloud.store();
    let due: BTreeSet<String> = store
        .due(begin(), 10)
        .await
        .unwrap()
        .into_iter()
        .map(|due| name_of(due.task))
        .collect();
    let expected = [
        widget("1.0.0").to_purl(),
        "pkg:npm/plain-1".to_owned(),
        BATCH.to_owned(),
    ];
    assert_eq!(due, expected.into());
    assert_eq!(store.owed(begin(), 10).await.unwrap().len(), 2);
    before
        .then(Kick::Minute, &versions, 35)
        .apart()
        .ends_the_same_whatever_happens()
        .await;
}

/// The verdict that an answer has.
fn verdict_of(status: u16, body: &Value) -> Value {
    json!([status, body["status"], body["decidedBy"]])
}

#[tokio::test(start_paused = true)]
async fn a_look_for_a_caller_outlives_whatever_happens() {
    let before = Before::of([at("1.1.0", -50), at("1.2.0", -40)]).await;
    before.watch(WIDGET, day(-1), day(1)).await;
    let asked = Asked::new(Method::GET, "/v1/verdicts/npm/@acme/widget/1.2.0", verdict_of);
    let versions = ["1.1.0", "1.2.0"].map(widget);
    let piece = before.then(Kick::Asked(asked), &versions, 15);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_signed_outlives_whatever_happens_and_is_signed_once() {
    for what in ["attestation", "signed"] {
        let before = Before::of([at("1.2.0", -40)]).await;
        before.look(&widget("1.2.0"), begin()).await;
        let path = format!("/v1/verdicts/npm/@acme/widget/1.2.0/{what}");
        let asked = Asked::new(Method::GET, &path, |status, body| json!([status, body["payload"]]));
        let piece = before.then(Kick::Asked(asked), &[widget("1.2.0")], 3).signing();
        piece.ends_the_same_whatever_happens().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_put_on_the_watch_list_outlives_whatever_happens() {
    let before = Before::of([at("1.2.0", -40).unattested()]).await;
    let path = "/v1/watch/npm/@acme/widget";
    let asked = Asked::new(Method::PUT, path, |status, body| json!([status, body["package"]]));
    let piece = before.then(Kick::Asked(asked), &[widget("1.2.0")], 1);
    piece.ends_the_same_whatever_happens().await;

    // Nor does asking for it again make a new entry of one that is there.
    let before = Before::of([at("1.2.0", -40).unattested()]).await;
    before.watch(WIDGET, day(-1), day(1)).await;
    let asked = Asked::new(Method::PUT, path, |status, body| json!([status, body]));
    let piece = before.then(Kick::Asked(asked), &[widget("1.2.0")], 2);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_off_the_watch_list_stays_off_whatever_happens() {
    let before = Before::of([at("1.2.0", -40).unattested()]).await;
    before.watch(WIDGET, day(-1), day(1)).await;
    // Whoever asks again, or whose client did, is told that it is not there.
    let says = |status, _: &Value| json!(matches!(status, 204 | 404));
    let asked = Asked::new(Method::DELETE, "/v1/watch/npm/@acme/widget", says);
    let piece = before.then(Kick::Asked(asked), &[widget("1.2.0")], 1);
    piece.ends_the_same_whatever_happens().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_put_on_the_watch_list_outlives_whatever_happens() {
    let plain = |number: u32| {
        Release::honest(&format!("plain-{number}"), "1.0.0")
            .at(day(-30))
            .unattested()
    };
    let before = Before::of((0..6).map(plain)).await;
    before.watch("pkg:npm/plain-2", day(-1), day(1)).await;
    let names: Vec<String> = (0..6).map(|number| format!("pkg:npm/plain-{number}")).collect();
    let asked = Asked {
        body: json!({ "packages": names }),
        ..Asked::new(Method::POST, "/v1/watch", |status, body| json!([status, body["total"]]))
    };
    let versions: Vec<PackageVersion> = (0..6)
        .map(|number| version(&format!("pkg:npm/plain-{number}@1.0.0")))
        .collect();
    let piece = before.then(Kick::Asked(asked), &versions, 7);
    piece.ends_the_same_whatever_happens().await;
}
