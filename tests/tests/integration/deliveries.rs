//! Messages as SQS delivers them, through the entry point of the batch verifier: twice, late, in another order, and a thousand of
//! them while some upstreams fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hekate::availability::UnavailableReason;
use hekate::dossier::{Answer, Observation, Subject};
use hekate::package::PackageVersion;
use hekate::ports::{
    BatchStore as _, Fetch, Progress, Request, ScheduleStore as _, Target, VerdictStore as _, WatchStore as _,
    WorkItem, WorkReason,
};
use hekate::verdict::Status;
use hekate_tests::cloud::Cloud;
use hekate_tests::deployment::{Deployment, clock, shared_judge};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::year::queue::{DUPLICATED, RECEIVES, VISIBILITY};
use jiff::{SignedDuration, Timestamp};
use testbed::{BASE_TIME, Release, Scenario};
use tokio::sync::Notify;

const WIDGET: &str = "pkg:npm/%40acme/widget@1.0.0";

fn version(purl: &str) -> PackageVersion {
    purl.parse().unwrap()
}

fn day(days: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24 * days)
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn message(package: &PackageVersion, reason: WorkReason, at: Timestamp) -> WorkItem {
    WorkItem::new(Target::Version(package.clone()), reason, at)
}

/// Upstreams that are counted, can be held up once, and fail for some packages until a time.
struct Upstreams {
    scenario: ScenarioFetch,
    asked: Mutex<Vec<String>>,
    holds: AtomicBool,
    held: Notify,
    open: Notify,
    fail_until: BTreeMap<String, Timestamp>,
}

impl Upstreams {
    fn of(scenario: &Arc<Scenario>) -> Self {
        Self {
            scenario: ScenarioFetch::new(Arc::clone(scenario)).with_token("token"),
            asked: Mutex::default(),
            holds: AtomicBool::new(false),
            held: Notify::new(),
            open: Notify::new(),
            fail_until: BTreeMap::new(),
        }
    }

    /// What npm was asked.
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|url| url.contains("//npm.")).cloned().collect()
    }

    fn is_failing(&self, request: &Request) -> bool {
        let name = request.url.path().split('/').nth(1).unwrap_or_default();
        self.fail_until.get(name).is_some_and(|until| clock() < *until)
    }
}

#[async_trait]
impl Fetch for Upstreams {
    async fn fetch(&self, request: Request) -> Observation {
        self.asked.lock().unwrap().push(request.url.to_string());
        if self.is_failing(&request) {
            return Observation {
                subject: request.subject,
                about: String::new(),
                url: request.url.to_string(),
                at: request.at,
                answer: Answer::Unanswered {
                    reason: UnavailableReason::Unreachable,
                    detail: "out of order".to_owned(),
                    retry_after: None,
                },
            };
        }
        let is_artifact = request.subject == Subject::Artifact;
        let observed = self.scenario.fetch(request).await;
        // Its bytes have been read, and what comes after it takes long.
        if is_artifact && self.holds.swap(false, Ordering::SeqCst) {
            self.held.notify_one();
            self.open.notified().await;
        }
        observed
    }
}

async fn deployment(upstreams: &Arc<Upstreams>, duplicated: f64) -> Arc<Deployment> {
    let cloud = Cloud::start(duplicated).await.unwrap();
    Arc::new(Deployment::new(cloud, upstreams.clone(), shared_judge().unwrap()).unwrap())
}

async fn with_widget() -> (Arc<Scenario>, Arc<Upstreams>, Arc<Deployment>) {
    let release = Release::honest("@acme/widget", "1.0.0").at(day(-30));
    let scenario = Arc::new(Scenario::new().release(release));
    let upstreams = Arc::new(Upstreams::of(&scenario));
    let deployment = deployment(&upstreams, 0.0).await;
    (scenario, upstreams, deployment)
}

#[tokio::test(start_paused = true)]
async fn the_same_message_twice_at_once_is_looked_at_once() {
    let (_, upstreams, deployment) = with_widget().await;
    // What is watched is announced, whatever it is.
    let store = deployment.cloud.store();
    store.watch(version(WIDGET).name(), day(0)).await.unwrap();
    let item = message(&version(WIDGET), WorkReason::Sweep, day(0));
    deployment.send(&[item.clone(), item], day(0)).unwrap();
    let delivered = deployment.deliver(day(0), None).await.unwrap().unwrap();
    assert_eq!((delivered.messages, delivered.returned), (2, 0));
    let asked = upstreams.asked();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert!(!asked.is_empty() && asked.len() == distinct.len(), "{asked:?}");
    assert_eq!(store.history(&version(WIDGET), None, 10).await.unwrap().len(), 1);
    assert_eq!(deployment.cloud.heard().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_asked_for_before_the_last_one_is_not_made_again() {
    let (_, upstreams, deployment) = with_widget().await;
    let store = deployment.cloud.store();
    let old = message(&version(WIDGET), WorkReason::Recheck, day(0));
    let new = message(&version(WIDGET), WorkReason::Recheck, day(0) + minutes(30));
    deployment.send(&[new], day(0) + minutes(30)).unwrap();
    deployment.deliver_all(day(0) + minutes(30)).await.unwrap();
    let looked_at = store.last_look(&version(WIDGET)).await.unwrap();
    let asked = upstreams.asked().len();
    assert!(asked > 0);
    deployment.send(&[old.clone(), old], day(0) + minutes(60)).unwrap();
    assert_eq!(deployment.deliver_all(day(0) + minutes(60)).await.unwrap(), 2);
    assert_eq!(upstreams.asked().len(), asked);
    assert_eq!(store.last_look(&version(WIDGET)).await.unwrap(), looked_at);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_outlives_its_lease_replaces_no_newer_verdict() {
    let (scenario, upstreams, deployment) = with_widget().await;
    let store = deployment.cloud.store();
    let package = version(WIDGET);
    // The first worker has read the artifact, and then takes long.
    upstreams.holds.store(true, Ordering::SeqCst);
    deployment
        .send(&[message(&package, WorkReason::Sweep, day(0))], day(0))
        .unwrap();
    let slow = tokio::spawn({
        let deployment = Arc::clone(&deployment);
        async move { deployment.deliver(day(0), None).await.unwrap() }
    });
    upstreams.held.notified().await;
    // What is served is replaced, and another worker finds that the lease has expired.
    assert!(
        scenario
            .npm()
            .replace_tarball("@acme/widget", "1.0.0", |bytes| bytes.push(0))
    );
    let later = day(0) + minutes(8);
    deployment
        .send(&[message(&package, WorkReason::Sweep, later)], later)
        .unwrap();
    // The message of the slow one comes once more, too.
    let delivered = deployment.deliver(later, None).await.unwrap().unwrap();
    assert_eq!((delivered.messages, delivered.returned), (2, 0));
    let current = store.current(&package).await.unwrap().unwrap();
    assert_eq!(current.status, Status::Mismatch);
    upstreams.open.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().returned, 0);
    assert_eq!(store.current(&package).await.unwrap().unwrap(), current);
    // What it found out is not lost, and stands before the newer one.
    let history = store.history(&package, None, 10).await.unwrap();
    let statuses: Vec<Status> = history.iter().map(|verdict| verdict.status).collect();
    assert_eq!(statuses, [Status::Mismatch, Status::Verified]);
    // And it teaches nothing that the newer one refuses.
    let memory = store.past(&package, None).await.unwrap();
    let taught: Vec<(bool, bool)> = memory
        .history
        .iter()
        .map(|past| (past.accepted, past.refused))
        .collect();
    assert_eq!(taught, [(false, true)]);
    let heard: Vec<String> = deployment
        .cloud
        .heard()
        .into_iter()
        .map(|heard| heard.change.1)
        .collect();
    assert_eq!(heard, ["mismatch"]);
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_version_of_which_something_was_told_holds_its_lease_until_it_is_over() {
    let (scenario, upstreams, deployment) = with_widget().await;
    let (store, package) = (deployment.cloud.store(), version(WIDGET));
    let leases = || {
        let rows = deployment.cloud.rows().unwrap();
        rows.iter().filter(|row| row["sk"]["S"] == "LEASE").count()
    };
    for (number, expected) in [(0, Status::Verified), (1, Status::Mismatch)] {
        let now = day(number);
        deployment
            .send(&[message(&package, WorkReason::Recheck, now)], now)
            .unwrap();
        deployment.deliver_all(now).await.unwrap();
        assert_eq!(store.current(&package).await.unwrap().unwrap().status, expected);
        assert_eq!(leases(), 1, "it has ended with the look, and nobody gave it back");
        assert!(
            scenario
                .npm()
                .replace_tarball("@acme/widget", "1.0.0", |bytes| bytes.push(0))
        );
    }
    let now = day(2);
    deployment
        .send(&[message(&package, WorkReason::Recheck, now)], now)
        .unwrap();
    upstreams.holds.store(true, Ordering::SeqCst);
    let looking = tokio::spawn({
        let deployment = Arc::clone(&deployment);
        async move { deployment.deliver(now, None).await }
    });
    upstreams.held.notified().await;
    // Not even whoever knows of a later look.
    let taken = store.acquire_lease(&package, "another", Some(day(3)), false, now, now + minutes(1));
    assert!(!taken.await.unwrap());
    upstreams.open.notify_one();
    assert_eq!(looking.await.unwrap().unwrap().unwrap().returned, 0);
    assert_eq!(leases(), 0, "it was given back");
}

#[tokio::test(start_paused = true)]
async fn a_version_in_two_batches_is_looked_at_once_and_counted_in_both() {
    let (_, upstreams, deployment) = with_widget().await;
    let ids = ["0", "1"].map(|digit| digit.repeat(32));
    let packages = [version(WIDGET), version("pkg:npm/nowhere@1.0.0")];
    deployment.set_now(day(0));
    for id in &ids {
        let created = deployment.service.create_batch(id.clone(), &packages, day(0)).await;
        created.unwrap();
    }
    // SQS delivers all of it once more.
    deployment.deliver_all(day(0)).await.unwrap();
    for id in &ids {
        let items = packages.iter().map(|package| WorkItem {
            batch: Some(id.clone()),
            ..message(package, WorkReason::Batch, day(0))
        });
        deployment
            .send(&items.collect::<Vec<_>>(), day(0) + minutes(7))
            .unwrap();
    }
    assert_eq!(deployment.deliver_all(day(0) + minutes(7)).await.unwrap(), 4);
    let asked: Vec<String> = upstreams
        .asked()
        .into_iter()
        .filter(|url| url.contains("widget"))
        .collect();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert!(!asked.is_empty() && asked.len() == distinct.len(), "{asked:?}");
    for id in &ids {
        let state = deployment.service.batch(id, None, 10, day(1)).await.unwrap().unwrap();
        let counts: Vec<(&str, usize)> = state
            .counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        assert_eq!((state.done, counts), (true, vec![("failed", 1), ("verified", 1)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_has_expired_is_neither_shown_nor_handed_over() {
    let (_, upstreams, deployment) = with_widget().await;
    let id = "0".repeat(32);
    deployment.set_now(day(0));
    let batch = deployment
        .service
        .create_batch(id.clone(), &[version(WIDGET)], day(0))
        .await
        .unwrap();
    // Its message is lost, and the table still serves its rows.
    deployment.cloud.queue.lock().unwrap().clear();
    let later = batch.expires_at + minutes(1);
    assert!(deployment.service.batch(&id, None, 10, later).await.unwrap().is_none());
    let store = deployment.cloud.store();
    assert_eq!(store.batch_items(&id, None, 10, later).await.unwrap(), []);
    deployment.set_now(later);
    deployment.service.sweep(later).await.unwrap();
    assert!(deployment.cloud.queue.lock().unwrap().is_empty());
    assert_eq!(store.due(day(400), 10).await.unwrap(), []);
    assert_eq!(upstreams.asked(), [""; 0]);
}

/// How a message of the thousand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// There is a verdict that stands.
    Verdict,
    /// There can be none: the registry knows no such version.
    NoSuchVersion,
    /// It could not be decided, and the schedule tries again.
    Retry,
    /// It was put aside after its last delivery.
    DeadLetter,
}

/// How many versions there are, and of them: whose upstream fails for a while, for good, and that never were.
const VERSIONS: usize = 250;
const FAIL_FOR_A_WHILE: usize = 10;
const FAIL_FOR_GOOD: usize = 10;
const NEVER_WERE: usize = 5;

#[tokio::test(start_paused = true)]
async fn of_a_thousand_messages_every_one_is_accounted_for_while_upstreams_fail() {
    let name = |number: usize| format!("p{number:03}");
    let versions: Vec<PackageVersion> = (0..VERSIONS)
        .map(|number| version(&format!("pkg:npm/{}@1.0.0", name(number))))
        .collect();
    let there = (NEVER_WERE..VERSIONS).map(|number| Release::honest(&name(number), "1.0.0").at(day(-30)).unattested());
    let scenario = Arc::new(there.fold(Scenario::new(), Scenario::release));
    let mut upstreams = Upstreams::of(&scenario);
    let fail = |from: usize, count: usize, until| (from..from + count).map(move |number| (name(number), until));
    upstreams
        .fail_until
        .extend(fail(NEVER_WERE, FAIL_FOR_A_WHILE, day(0) + minutes(25)));
    let for_good = NEVER_WERE + FAIL_FOR_A_WHILE;
    upstreams
        .fail_until
        .extend(fail(for_good, FAIL_FOR_GOOD, Timestamp::MAX));
    assert_eq!(
        (FAIL_FOR_A_WHILE + FAIL_FOR_GOOD + NEVER_WERE) * 10,
        VERSIONS,
        "one in ten fails"
    );
    let upstreams = Arc::new(upstreams);
    let deployment = deployment(&upstreams, DUPLICATED).await;
    let store = deployment.cloud.store();

    // 1. Every version is in two batches, found by a sweep and asked for by a caller.
    let ids = ["0", "1"].map(|digit| digit.repeat(32));
    deployment.set_now(day(0));
    let mut sent: BTreeMap<String, PackageVersion> = BTreeMap::new();
    for id in &ids {
        deployment
            .service
            .create_batch(id.clone(), &versions, day(0))
            .await
            .unwrap();
        for package in &versions {
            let item = WorkItem {
                batch: Some(id.clone()),
                ..message(package, WorkReason::Batch, day(0))
            };
            sent.insert(serde_json::to_string(&item).unwrap(), package.clone());
        }
    }
    for package in &versions {
        for reason in [WorkReason::Sweep, WorkReason::Api] {
            let item = message(package, reason, day(0));
            deployment.send(std::slice::from_ref(&item), day(0)).unwrap();
            sent.insert(serde_json::to_string(&item).unwrap(), package.clone());
        }
    }
    assert_eq!(sent.len(), 1000);

    // 2. SQS delivers until nothing is left: what comes back is delivered again after ten minutes, and five times at most.
    let mut messages = 0;
    for round in 0..=i64::from(RECEIVES) {
        let round = i32::try_from(round).unwrap();
        messages += deployment
            .deliver_all(day(0) + (VISIBILITY + minutes(7)) * round)
            .await
            .unwrap();
    }
    let dead: BTreeSet<String> = deployment.cloud.queue.lock().unwrap().dead.iter().cloned().collect();
    assert!(deployment.cloud.queue.lock().unwrap().is_empty());
    assert!(messages > 1000 + 4 * dead.len(), "{messages} deliveries");

    // 3. Every message has one end.
    let mut ends: BTreeMap<End, BTreeSet<&String>> = BTreeMap::new();
    for (body, package) in &sent {
        let number: usize = package.name().to_purl().rsplit('p').next().unwrap().parse().unwrap();
        let current = store.current(package).await.unwrap();
        let end = match (&current, dead.contains(body)) {
            (_, true) => End::DeadLetter,
            (Some(verdict), false) if verdict.status.is_settled() => End::Verdict,
            (Some(verdict), false) => {
                assert!(verdict.next_look_at.is_some(), "{package} is not looked at again");
                End::Retry
            }
            (None, false) => End::NoSuchVersion,
        };
        let is_of_batch = body.contains("\"batch\":");
        let expected = match number {
            _ if number < NEVER_WERE => End::NoSuchVersion,
            _ if (for_good..for_good + FAIL_FOR_GOOD).contains(&number) && is_of_batch => End::DeadLetter,
            _ if (for_good..for_good + FAIL_FOR_GOOD).contains(&number) => End::Retry,
            _ => End::Verdict,
        };
        assert_eq!(end, expected, "{body}");
        ends.entry(end).or_default().insert(body);
    }
    let counts: Vec<(End, usize)> = ends.iter().map(|(end, bodies)| (*end, bodies.len())).collect();
    let expected = [
        (End::Verdict, 4 * (VERSIONS - NEVER_WERE - FAIL_FOR_GOOD)),
        (End::NoSuchVersion, 4 * NEVER_WERE),
        (End::Retry, 2 * FAIL_FOR_GOOD),
        (End::DeadLetter, 2 * FAIL_FOR_GOOD),
    ];
    assert_eq!(counts, expected);
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 1000);

    // 4. The batches say the same, and come to an end a day later without their messages.
    let batch = async |now| {
        let mut all = Vec::new();
        for id in &ids {
            let state = deployment.service.batch(id, None, 0, now).await.unwrap().unwrap();
            all.push((state.done, state.counts.into_iter().collect::<Vec<_>>()));
        }
        all
    };
    let counted = |entries: &[(&str, usize)]| -> Vec<(String, usize)> {
        entries
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    let settled = VERSIONS - NEVER_WERE - FAIL_FOR_GOOD;
    let open = counted(&[
        ("failed", NEVER_WERE),
        ("pending", FAIL_FOR_GOOD),
        ("unattested", settled),
    ]);
    assert_eq!(
        batch(day(0) + minutes(120)).await,
        [(false, open.clone()), (false, open)]
    );
    deployment.set_now(day(1));
    deployment.service.sweep(day(1)).await.unwrap();
    deployment.deliver_all(day(1)).await.unwrap();
    let closed = counted(&[
        ("failed", NEVER_WERE),
        ("indeterminate", FAIL_FOR_GOOD),
        ("unattested", settled),
    ]);
    assert_eq!(batch(day(1)).await, [(true, closed.clone()), (true, closed)]);
    let items = store.batch_items(&ids[0], None, VERSIONS, day(1)).await.unwrap();
    assert!(items.iter().all(|item| item.progress != Progress::Pending));
}
