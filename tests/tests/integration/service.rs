//! The service on its real store: what is watched, swept, handed in and announced.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hekate::adapters::embedded::EmbeddedDynamoDb;
use hekate::adapters::emf::Unmeasured;
use hekate::adapters::judges::FixedJudge;
use hekate::check::CheckId;
use hekate::ecosystem::Upstreams;
use hekate::package::{Coordinate, Ecosystem, PackageName, PackageVersion};
use hekate::ports::{
    Announce, Announcement, ChangeStore as _, ChangesAfter, QueueFault, ScheduleStore as _, Target, Task,
    VerdictStore as _, WatchStore as _, WorkItem, WorkQueue, WorkReason,
};
use hekate::service::{Freshness, Service, Signing, Swept, Worked};
use hekate::verdict::Status;
use hekate_tests::path::no_address;
use jiff::{SignedDuration, Timestamp};
use testbed::{
    Answer, BASE_TIME, Formula, PypiFile, PypiRelease, Releasable, Release, Scenario, Served, World, moment,
};
use url::Url;

use crate::shape::{judge, over_http};

mod network;
mod signing;
mod sizes;

/// Keeps what is handed over.
#[derive(Default)]
struct Collected {
    items: Mutex<Vec<WorkItem>>,
    is_full: Mutex<bool>,
}

#[async_trait]
impl WorkQueue for Collected {
    async fn send(&self, items: &[WorkItem]) -> Result<(), QueueFault> {
        if *self.is_full.lock().unwrap() && !items.is_empty() {
            return Err(QueueFault::Rejected {
                sent: items.len(),
                rejected: items.len(),
                detail: "out of order".to_owned(),
            });
        }
        self.items.lock().unwrap().extend(items.iter().cloned());
        Ok(())
    }
}

/// Keeps what is announced, unless it is deaf.
#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<Announcement>>,
    is_deaf: Mutex<bool>,
}

#[async_trait]
impl Announce for Listener {
    async fn announce(&self, announcements: &[Announcement]) -> Vec<String> {
        if *self.is_deaf.lock().unwrap() {
            return Vec::new();
        }
        self.heard.lock().unwrap().extend(announcements.iter().cloned());
        announcements
            .iter()
            .map(|announcement| announcement.id.clone())
            .collect()
    }
}

struct Deployment {
    served: Served,
    embedded: EmbeddedDynamoDb,
    service: Service,
    queue: Arc<Collected>,
    listener: Arc<Listener>,
}

impl Deployment {
    async fn of(scenario: Scenario) -> Self {
        let served = scenario.serve().await.unwrap();
        let embedded = EmbeddedDynamoDb::start(None).await.unwrap();
        let (queue, listener) = (Arc::new(Collected::default()), Arc::new(Listener::default()));
        let url = |text: String| Url::parse(&text).unwrap();
        let service = Service {
            fetch: Arc::new(over_http()),
            store: Arc::new(embedded.store()),
            queue: queue.clone(),
            announcer: listener.clone(),
            judges: Arc::new(FixedJudge(Arc::new(judge()))),
            upstreams: Upstreams {
                npm: url(served.npm_url()),
                npm_feed: Some(url(served.npm_feed_url())),
                homebrew: url(served.homebrew_url()),
                pypi: url(served.pypi_url()),
                pypi_files: url(served.pypi_url()),
                pypi_feed: Some(url(format!("{}/pypi", served.pypi_url()))),
                github: url(served.github_url()),
                ..no_address()
            },
            meter: Arc::new(Unmeasured),
            signing: Signing::default(),
            peers: Arc::new([]),
            holder: "test".to_owned(),
            until: None,
        };
        Self {
            served,
            embedded,
            service,
            queue,
            listener,
        }
    }

    fn publish(&self, release: &impl Releasable) {
        self.served.scenario().publish(release);
    }

    fn take(&self) -> Vec<WorkItem> {
        std::mem::take(&mut *self.queue.items.lock().unwrap())
    }

    /// Works until nothing is left, and returns what was worked on.
    async fn work(&self, now: Timestamp) -> Vec<String> {
        let mut done = Vec::new();
        loop {
            let items = self.take();
            if items.is_empty() {
                return done;
            }
            for item in items {
                let worked = self.service.work(&item, now).await;
                assert!(!matches!(worked, Worked::TryAgain(_)), "{}: {worked:?}", item.package);
                done.push(item.package.to_string());
            }
        }
    }

    async fn status(&self, purl: &str) -> Option<Status> {
        let verdict = self.embedded.store().current(&version(purl)).await.unwrap();
        verdict.map(|verdict| verdict.status)
    }

    async fn sweep(&self, now: Timestamp) -> hekate::service::Swept {
        self.service.sweep(now).await.unwrap()
    }
}

fn version(purl: &str) -> PackageVersion {
    purl.parse().unwrap()
}

fn name(purl: &str) -> PackageName {
    purl.parse().unwrap()
}

fn at(text: &str) -> Release {
    Release::honest("@acme/widget", text)
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// So many days after the base time.
fn day(days: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24 * days)
}

const WIDGET: &str = "pkg:npm/%40acme/widget";

#[tokio::test]
async fn a_watched_package_is_looked_at_at_once_and_whenever_the_feed_names_it() {
    let deployment = Deployment::of(
        Scenario::new()
            .release(at("1.0.0").at(day(-40)))
            .release(at("1.1.0").at(day(-30))),
    )
    .await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    // The first sweep notes where the feed ends, and finds the entry due.
    let swept = deployment.sweep(day(0)).await;
    assert_eq!((swept.tasks, swept.troubles.len()), (1, 0));
    assert_eq!(deployment.work(day(0)).await, [WIDGET, "pkg:npm/%40acme/widget@1.1.0"]);
    assert_eq!(
        deployment.status("pkg:npm/%40acme/widget@1.1.0").await,
        Some(Status::Verified)
    );
    assert_eq!(deployment.status("pkg:npm/%40acme/widget@1.0.0").await, None);

    // Nothing happens until something is published.
    let later = day(0) + minutes(5);
    let swept = deployment.sweep(later).await;
    assert_eq!((swept.tasks, swept.feeds[0].watched), (0, 0));
    deployment.publish(&at("1.2.0").at(later));
    deployment.publish(&Release::honest("somebody-else", "1.0.0").at(later));
    let swept = deployment.sweep(later + minutes(1)).await;
    assert_eq!(swept.feeds[0].watched, 1);
    let worked = deployment.work(later + minutes(1)).await;
    assert_eq!(worked, [WIDGET, "pkg:npm/%40acme/widget@1.2.0"]);
    assert_eq!(
        deployment.status("pkg:npm/%40acme/widget@1.2.0").await,
        Some(Status::Verified)
    );
    assert_eq!(deployment.sweep(later + minutes(2)).await.feeds[0].watched, 0);
}

#[tokio::test]
async fn a_package_that_is_not_watched_any_more_is_left_alone() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-1)))).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    assert!(store.unwatch(&name(WIDGET)).await.unwrap());
    assert_eq!(deployment.work(day(0)).await, [WIDGET]);
    assert_eq!(deployment.sweep(day(2)).await.tasks, 0);
    assert_eq!(deployment.status("pkg:npm/%40acme/widget@1.0.0").await, None);
}

#[tokio::test]
async fn a_new_version_is_looked_at_again_after_ten_minutes_an_hour_a_day_and_a_week_and_then_monthly() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-30)))).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let published = day(1);
    deployment.publish(&at("1.1.0").at(published));
    let mut looked = Vec::new();
    let purl = "pkg:npm/%40acme/widget@1.1.0";
    let mut now = published;
    while now < published + SignedDuration::from_hours(24 * 80) {
        deployment.sweep(now).await;
        if deployment.work(now).await.iter().any(|worked| worked == purl) {
            looked.push(now.duration_since(published).as_mins());
        }
        let step = if now < published + SignedDuration::from_hours(2) {
            1
        } else {
            60
        };
        now += minutes(step);
    }
    let expected: [std::ops::RangeInclusive<i64>; 7] = [
        0..=1,
        9..=17,
        59..=75,
        24 * 60..=25 * 60 + 10,
        7 * 24 * 60..=7 * 24 * 60 + 130,
        35 * 24 * 60..=40 * 24 * 60,
        63 * 24 * 60..=75 * 24 * 60,
    ];
    assert_eq!(looked.len(), expected.len(), "{looked:?}");
    for (minute, expected) in looked.iter().zip(expected) {
        assert!(expected.contains(minute), "{looked:?}");
    }
}

#[tokio::test]
async fn what_is_due_is_handed_over_by_one_of_two_sweeps() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-1)))).await;
    deployment.embedded.store().watch(&name(WIDGET), day(0)).await.unwrap();
    let (one, other) = tokio::join!(deployment.service.sweep(day(0)), deployment.service.sweep(day(0)));
    assert_eq!(one.unwrap().tasks + other.unwrap().tasks, 1);
    assert_eq!(deployment.take().len(), 1);
    // What was lost with its message is due again.
    assert_eq!(deployment.sweep(day(0) + minutes(10)).await.tasks, 0);
    assert_eq!(deployment.sweep(day(0) + minutes(16)).await.tasks, 1);
}

#[tokio::test]
async fn a_page_of_the_feed_that_could_not_be_queued_is_read_again() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let before = store.cursor("npm").await.unwrap();
    deployment.publish(&at("1.1.0").at(day(0)));
    *deployment.queue.is_full.lock().unwrap() = true;
    let swept = deployment.sweep(day(0) + minutes(1)).await;
    assert_eq!(swept.troubles.len(), 1, "{swept:?}");
    let is_read = |ecosystem| swept.feeds.iter().any(|feed| feed.ecosystem == ecosystem);
    assert!(!is_read(Ecosystem::Npm) && is_read(Ecosystem::PyPi), "{swept:?}");
    assert_eq!(store.cursor("npm").await.unwrap(), before);
    *deployment.queue.is_full.lock().unwrap() = false;
    assert_eq!(deployment.sweep(day(0) + minutes(2)).await.feeds[0].watched, 1);
    assert!(store.cursor("npm").await.unwrap() > before);
}

#[tokio::test]
async fn trouble_of_the_feed_keeps_nothing_else_from_being_swept() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    deployment.embedded.store().watch(&name(WIDGET), day(0)).await.unwrap();
    for answer in [
        Answer::Status(500, None),
        Answer::Status(404, None),
        Answer::Html200,
        Answer::Truncated,
        Answer::Body {
            status: 200,
            content_type: "application/json".to_owned(),
            bytes: br#"{"results":"many","last_seq":"7"}"#.to_vec(),
        },
    ] {
        deployment.served.scenario().npm().answer_feed(answer);
        let now = day(0) + minutes(20);
        let swept = deployment.sweep(now).await;
        assert_eq!(swept.troubles.len(), 1, "{swept:?}");
    }
    assert_eq!(deployment.take().len(), 1);
}

#[tokio::test]
async fn a_version_that_is_gone_keeps_its_verdict_marked_and_is_not_due_any_more() {
    let deployment = Deployment::of(
        Scenario::new()
            .release(at("1.0.0").at(day(-40)))
            .release(at("1.1.0").at(day(0))),
    )
    .await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let purl = "pkg:npm/%40acme/widget@1.1.0";
    assert_eq!(deployment.status(purl).await, Some(Status::Verified));
    deployment.served.scenario().npm().unpublish("@acme/widget", "1.1.0");
    deployment.sweep(day(0) + minutes(2)).await;
    let worked = deployment.work(day(0) + minutes(2)).await;
    // The version that is installed by default now is looked at, too.
    assert_eq!(worked, [WIDGET, "pkg:npm/%40acme/widget@1.0.0", purl]);
    let verdict = store.current(&version(purl)).await.unwrap().unwrap();
    assert_eq!(
        (verdict.status, verdict.removed_at),
        (Status::Verified, Some(day(0) + minutes(2)))
    );
    assert!(store.dossier(&verdict.dossier).await.unwrap().is_some());
    // Who asks is told the same, without a 404 and without an end of looks.
    let coordinate: Coordinate = purl.parse().unwrap();
    let asked = deployment.service.verdict(&coordinate, true, day(3)).await.unwrap();
    assert_eq!(asked.verdict.removed_at, Some(day(0) + minutes(2)));
    for hour in 1..48 {
        deployment.sweep(day(0) + minutes(60 * hour)).await;
        let worked = deployment.work(day(0) + minutes(60 * hour)).await;
        assert!(!worked.iter().any(|worked| worked == purl), "hour {hour}");
    }
}

#[tokio::test]
async fn the_versions_of_a_package_that_is_gone_are_marked_at_once() {
    let releases = [
        at("1.0.0").at(day(-40)),
        at("1.1.0").at(day(-1)),
        at("1.2.0").at(day(0)),
    ];
    let deployment = Deployment::of(releases.into_iter().fold(Scenario::new(), Scenario::release)).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    assert!(deployment.served.scenario().npm().unpublish_package("@acme/widget"));
    let later = day(0) + minutes(5);
    deployment.sweep(later).await;
    let worked = deployment.work(later).await;
    assert_eq!(worked.len(), 3, "{worked:?}");
    for text in ["1.1.0", "1.2.0"] {
        let verdict = store
            .current(&version(&format!("{WIDGET}@{text}")))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (verdict.status, verdict.removed_at),
            (Status::Verified, Some(later)),
            "{text}"
        );
        assert!(store.dossier(&verdict.dossier).await.unwrap().is_some());
    }
    // What is marked is left alone.
    deployment.sweep(day(2)).await;
    assert_eq!(deployment.work(day(2)).await, [WIDGET]);
}

#[tokio::test]
async fn a_version_that_never_was_has_no_verdict() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let item = WorkItem::new(
        Target::Version(version("pkg:npm/%40acme/widget@9.9.9")),
        WorkReason::Sweep,
        day(0),
    );
    assert!(matches!(
        deployment.service.work(&item, day(0)).await,
        Worked::Hopeless(_)
    ));
}

#[tokio::test]
async fn a_change_is_announced_once_it_is_recorded_and_again_until_it_is_heard() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    *deployment.listener.is_deaf.lock().unwrap() = true;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    let now = day(1);
    deployment.service.verdict(&coordinate, false, now).await.unwrap();
    let store = deployment.embedded.store();
    assert_eq!(store.owed(now + minutes(10), 10).await.unwrap().len(), 1);
    assert_eq!(deployment.sweep(now + minutes(10)).await.announced, 0);
    *deployment.listener.is_deaf.lock().unwrap() = false;
    // A sweep leaves what is new to the worker that made it.
    assert_eq!(deployment.sweep(now + minutes(1)).await.announced, 0);
    assert_eq!(deployment.sweep(now + minutes(10)).await.announced, 1);
    assert_eq!(deployment.sweep(now + minutes(11)).await.announced, 0);
    let heard = deployment.listener.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (heard[0].change.status, heard[0].change.previous_status),
        (Status::Verified, None)
    );
    // A second look that finds the same announces nothing.
    deployment
        .service
        .verdict(&coordinate, true, now + minutes(30))
        .await
        .unwrap();
    assert_eq!(deployment.listener.heard.lock().unwrap().len(), 1);
    let changes = store.changes(&ChangesAfter::Instant(day(0)), day(2), 10).await.unwrap();
    assert_eq!(changes.changes.len(), 1);
}

#[tokio::test]
async fn a_batch_is_worked_on_to_its_end_and_counts_what_came_of_it() {
    let scenario = Scenario::new()
        .release(at("1.0.0"))
        .release(Release::honest("plain", "1.0.0").unattested());
    let deployment = Deployment::of(scenario).await;
    let packages = [
        "pkg:npm/%40acme/widget@1.0.0",
        "pkg:npm/nowhere@1.0.0",
        "pkg:npm/plain@1.0.0",
    ]
    .map(version);
    let id = "0123456789abcdef0123456789abcdef".to_owned();
    let batch = deployment
        .service
        .create_batch(id.clone(), &packages, day(1))
        .await
        .unwrap();
    assert_eq!(batch.total, 3);
    let state = deployment.service.batch(&id, None, 10, day(1)).await.unwrap().unwrap();
    assert_eq!((state.done, state.counts.get("pending")), (false, Some(&3)));
    deployment.work(day(1)).await;
    let state = deployment.service.batch(&id, None, 2, day(1)).await.unwrap().unwrap();
    let counts: Vec<(&str, usize)> = state
        .counts
        .iter()
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(counts, [("failed", 1), ("unattested", 1), ("verified", 1)]);
    assert!(state.done);
    assert_eq!((state.packages.len(), state.next.as_ref()), (2, Some(&packages[1])));
    let rest = deployment
        .service
        .batch(&id, state.next.as_ref(), 2, day(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((rest.packages.len(), rest.next), (1, None));
    assert!(deployment.service.batch(&id, None, 2, day(60)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_batch_whose_messages_were_lost_is_handed_over_by_the_sweep() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    *deployment.queue.is_full.lock().unwrap() = true;
    let packages = [version("pkg:npm/%40acme/widget@1.0.0")];
    let id = "0123456789abcdef0123456789abcdef".to_owned();
    deployment
        .service
        .create_batch(id.clone(), &packages, day(1))
        .await
        .unwrap();
    *deployment.queue.is_full.lock().unwrap() = false;
    assert_eq!(deployment.sweep(day(1) + minutes(3)).await.tasks, 1);
    deployment.work(day(1) + minutes(3)).await;
    assert!(
        deployment
            .service
            .batch(&id, None, 1, day(1))
            .await
            .unwrap()
            .unwrap()
            .done
    );
    // A batch that is done is found done once, and never due again.
    let later = day(1) + minutes(70);
    deployment.sweep(later).await;
    assert!(deployment.take().iter().all(|item| item.batch.is_none()));
    let due = deployment.embedded.store().due(day(90), 10).await.unwrap();
    assert!(!due.iter().any(|due| matches!(due.task, Task::Batch(_))), "{due:?}");
}

#[tokio::test]
async fn a_version_in_two_batches_is_looked_at_once() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let packages = [version("pkg:npm/%40acme/widget@1.0.0")];
    for id in ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"] {
        deployment
            .service
            .create_batch(id.to_owned(), &packages, day(1))
            .await
            .unwrap();
    }
    deployment.served.forget_requests();
    deployment.work(day(1)).await;
    let asked = deployment.served.npm_paths();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert_eq!(asked.len(), distinct.len(), "{asked:?}");
}

#[tokio::test]
async fn a_message_that_is_delivered_twice_is_looked_at_once() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    deployment.service.verdict(&coordinate, false, day(1)).await.unwrap();
    let item = WorkItem::new(
        Target::Version(version("pkg:npm/%40acme/widget@1.0.0")),
        WorkReason::Recheck,
        day(2),
    );
    deployment.served.forget_requests();
    deployment.service.work(&item, day(2)).await;
    let once = deployment.served.requests().len();
    assert!(once > 0);
    deployment.service.work(&item, day(2) + minutes(1)).await;
    assert_eq!(deployment.served.requests().len(), once);
}

#[tokio::test]
async fn whoever_makes_a_verdict_announces_it() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    deployment.service.verdict(&coordinate, false, day(1)).await.unwrap();
    assert_eq!(deployment.listener.heard.lock().unwrap().len(), 1);
    let owed = deployment.embedded.store().owed(day(2), 10).await.unwrap();
    assert_eq!(owed, []);
}

#[tokio::test]
async fn a_message_of_the_feed_that_was_lost_is_made_up_for() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    deployment.embedded.store().watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    deployment.publish(&at("1.1.0").at(day(0) + minutes(30)));
    deployment.sweep(day(0) + minutes(31)).await;
    assert_eq!(deployment.take().len(), 1);
    deployment.sweep(day(0) + minutes(42)).await;
    let worked = deployment.work(day(0) + minutes(42)).await;
    assert_eq!(worked, [WIDGET, "pkg:npm/%40acme/widget@1.1.0"]);
}

#[tokio::test]
async fn no_flood_of_versions_hides_one() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    deployment.embedded.store().watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let published = day(0) + minutes(30);
    deployment.publish(&at("1.1.0").at(published));
    for number in 0..220 {
        let junk = at(&format!("1.1.1-junk.{number}")).unattested();
        deployment.publish(&junk.at(published + SignedDuration::from_secs(1 + number)));
    }
    let mut found = BTreeSet::new();
    for minute in [40, 51, 62] {
        deployment.sweep(day(0) + minutes(minute)).await;
        let items = deployment.take();
        let packages = items.iter().filter(|item| matches!(item.package, Target::Package(_)));
        for item in packages {
            deployment.service.work(item, day(0) + minutes(minute)).await;
        }
        // Of the versions only those that matter here are looked at: looking at all takes long.
        for item in deployment.take() {
            let purl = item.package.to_string();
            if !purl.contains("junk") || purl.ends_with("junk.219") {
                deployment.service.work(&item, day(0) + minutes(minute)).await;
            }
            found.insert(purl);
        }
    }
    assert_eq!(
        deployment.status("pkg:npm/%40acme/widget@1.1.0").await,
        Some(Status::Verified)
    );
    assert!(found.contains("pkg:npm/%40acme/widget@1.1.0"));
}

#[tokio::test]
async fn a_version_that_is_served_again_is_looked_at_again() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(0)))).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let purl = "pkg:npm/%40acme/widget@1.0.0";
    store.mark_removed(&version(purl), day(0) + minutes(5)).await.unwrap();
    assert_eq!(
        store.current(&version(purl)).await.unwrap().unwrap().removed_at,
        Some(day(0) + minutes(5))
    );
    deployment.sweep(day(1) + minutes(5)).await;
    deployment.work(day(1) + minutes(5)).await;
    let verdict = store.current(&version(purl)).await.unwrap().unwrap();
    assert_eq!((verdict.removed_at, verdict.status), (None, Status::Verified));
    assert!(verdict.next_look_at.is_some());
}

#[tokio::test]
async fn a_version_with_a_verdict_is_looked_after_once_its_package_is_watched() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    let asked = deployment.service.verdict(&coordinate, false, day(0)).await.unwrap();
    assert_eq!(asked.verdict.next_look_at, None);
    deployment.embedded.store().watch(&name(WIDGET), day(3)).await.unwrap();
    deployment.sweep(day(3)).await;
    deployment.work(day(3)).await;
    let current = deployment
        .embedded
        .store()
        .current(&version("pkg:npm/%40acme/widget@1.0.0"))
        .await
        .unwrap();
    assert!(current.unwrap().next_look_at.unwrap() > day(3) + SignedDuration::from_hours(24 * 20));
}

#[tokio::test]
async fn an_outage_makes_no_messages_beside_the_schedule() {
    let deployment = Deployment::of(
        Scenario::new()
            .release(at("1.0.0").at(day(0)))
            .npm_answer(Answer::Status(503, None)),
    )
    .await;
    let item = WorkItem::new(
        Target::Version(version("pkg:npm/%40acme/widget@1.0.0")),
        WorkReason::Sweep,
        day(0),
    );
    let Worked::Done(verdict) = deployment.service.work(&item, day(0)).await else {
        panic!("the message came back");
    };
    assert_eq!(verdict.status, Status::Indeterminate);
    assert!(verdict.next_look_at.is_some());
}

/// The deployment with a registry that does not answer; its feed still does.
fn nowhere() -> Url {
    Url::parse("http://127.0.0.1:1/").unwrap()
}

#[tokio::test]
async fn an_outage_of_the_registry_costs_a_watched_package_one_message_an_hour_and_no_version() {
    let mut deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    deployment.embedded.store().watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let registry = std::mem::replace(&mut deployment.service.upstreams.npm, nowhere());
    let begin = day(1);
    deployment.publish(&at("1.1.0").at(begin));
    let mut messages = Vec::new();
    for minute in (0..12 * 60).step_by(5) {
        deployment.sweep(begin + minutes(minute)).await;
        // None of them comes back, which is what `work` says.
        messages.extend(deployment.work(begin + minutes(minute)).await);
    }
    assert!(messages.iter().all(|message| message == WIDGET), "{messages:?}");
    assert!((12..=20).contains(&messages.len()), "{} messages", messages.len());
    deployment.service.upstreams.npm = registry;
    let mut minute = 12 * 60;
    while deployment.status("pkg:npm/%40acme/widget@1.1.0").await.is_none() {
        assert!(
            minute <= 13 * 60 + 5,
            "an hour after the outage the version is not looked at"
        );
        deployment.sweep(begin + minutes(minute)).await;
        deployment.work(begin + minutes(minute)).await;
        minute += 5;
    }
}

#[tokio::test]
async fn a_package_that_the_feed_names_while_a_worker_writes_its_entry_is_looked_for() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    // A worker has read the entry and the registry's list, and then something is published.
    let now = day(0) + minutes(30);
    let entry = store.watched(&name(WIDGET)).await.unwrap().unwrap();
    deployment.publish(&at("1.1.0").at(now));
    assert_eq!(deployment.sweep(now + minutes(1)).await.feeds[0].watched, 1);
    assert!(!store.handed_over(&entry, entry.seen_until, day(2)).await.unwrap());
    let worked = deployment.work(now + minutes(1)).await;
    assert_eq!(worked, [WIDGET, "pkg:npm/%40acme/widget@1.1.0"]);
    // Where the worker writes before the sweep does, the sweep has the last word.
    let now = day(0) + minutes(60);
    let entry = store.watched(&name(WIDGET)).await.unwrap().unwrap();
    deployment.publish(&at("1.2.0").at(now));
    assert!(store.handed_over(&entry, entry.seen_until, day(2)).await.unwrap());
    deployment.sweep(now + minutes(1)).await;
    let worked = deployment.work(now + minutes(1)).await;
    assert!(
        worked.contains(&"pkg:npm/%40acme/widget@1.2.0".to_owned()),
        "{worked:?}"
    );
}

#[tokio::test]
async fn of_two_versions_the_one_that_the_list_shows_later_waits_for_ten_minutes() {
    let mut deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    deployment.embedded.store().watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let now = day(0) + minutes(30);
    deployment.publish(&at("1.1.0").at(now));
    deployment.sweep(now).await;
    assert_eq!(deployment.work(now).await, [WIDGET, "pkg:npm/%40acme/widget@1.1.0"]);
    // The feed has told of both, and is not to tell again.
    deployment.publish(&at("1.1.1").at(now));
    deployment.service.upstreams.npm_feed = None;
    let later = now + minutes(10);
    deployment.sweep(later).await;
    let worked = deployment.work(later).await;
    assert!(
        worked.contains(&"pkg:npm/%40acme/widget@1.1.1".to_owned()),
        "{worked:?}"
    );
    // And that was that, until the next day.
    for hour in 1..20 {
        deployment.sweep(later + minutes(60 * hour)).await;
        let worked = deployment.work(later + minutes(60 * hour)).await;
        assert!(!worked.contains(&WIDGET.to_owned()), "hour {hour}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_look_is_answered_when_it_ends_whatever_came_of_it() {
    let mut deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    let first = deployment.service.verdict(&coordinate, false, day(1)).await.unwrap();
    deployment.service.upstreams.npm = nowhere();
    let service = &deployment.service;
    let begin = std::time::Instant::now();
    // The look ends undecided, and leaves the earlier verdict.
    let answers = futures::future::join_all((0..5).map(|_| service.verdict(&coordinate, true, day(3)))).await;
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap().verdict, first.verdict);
    }
    let looks = answers.iter().filter(|answer| answer.as_ref().unwrap().case.is_some());
    assert_eq!(looks.count(), 1);
    assert!(
        begin.elapsed() < std::time::Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn whoever_waits_for_a_look_that_finds_nothing_looks_and_finds_nothing() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let coordinate: Coordinate = "npm:@acme/widget@9.9.9".parse().unwrap();
    let service = &deployment.service;
    let begin = std::time::Instant::now();
    let answers = futures::future::join_all((0..3).map(|_| service.verdict(&coordinate, false, day(1)))).await;
    for answer in answers {
        assert_eq!(answer.unwrap_err().code(), "not_found");
    }
    assert!(
        begin.elapsed() < std::time::Duration::from_secs(6),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_look_that_decided_nothing_is_not_repeated_for_ten_minutes() {
    let mut deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    let first = deployment.service.verdict(&coordinate, false, day(1)).await.unwrap();
    let registry = std::mem::replace(&mut deployment.service.upstreams.npm, nowhere());
    let later = day(30);
    assert!(first.verdict.valid_until < later);
    for (minute, is_looked_at) in [(0, true), (5, false), (9, false), (10, true), (11, false)] {
        let asked = deployment
            .service
            .verdict(&coordinate, false, later + minutes(minute))
            .await
            .unwrap();
        assert_eq!(asked.verdict, first.verdict, "minute {minute}");
        assert_eq!(asked.case.is_some(), is_looked_at, "minute {minute}");
    }
    // Whoever has to know looks at once.
    deployment.service.upstreams.npm = registry;
    let asked = deployment
        .service
        .verdict(&coordinate, true, later + minutes(12))
        .await
        .unwrap();
    assert_eq!(asked.verdict.checked_at, later + minutes(12));
}

#[tokio::test]
async fn a_fresh_verdict_is_made_if_the_last_look_is_long_enough_ago() {
    let mut deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    let within = Freshness::Within(minutes(10));
    let looks = async |deployment: &Deployment, now| {
        let looked = deployment.service.verdict_as_fresh_as(&coordinate, within, now).await;
        looked.unwrap().case.is_some()
    };
    assert!(looks(&deployment, day(1)).await, "nothing is remembered");
    assert!(!looks(&deployment, day(1) + minutes(9)).await);
    assert!(looks(&deployment, day(1) + minutes(10)).await);
    assert!(!looks(&deployment, day(1) + minutes(19)).await);
    // A clock that is behind makes nothing younger.
    assert!(!looks(&deployment, day(1)).await);
    // A look that leaves the earlier verdict is one, too.
    deployment.service.upstreams.npm = nowhere();
    assert!(looks(&deployment, day(2)).await);
    assert!(!looks(&deployment, day(2) + minutes(9)).await);
    assert!(looks(&deployment, day(2) + minutes(10)).await);
}

#[tokio::test]
async fn what_a_mirror_said_first_accuses_nobody_later() {
    let mirrored = at("1.0.0").metadata(|manifest| {
        let dist = manifest["dist"].as_object_mut().unwrap();
        dist["integrity"] = serde_json::json!(format!("sha512-{}==", "A".repeat(86)));
        dist.remove("signatures");
    });
    let mut deployment = Deployment::of(Scenario::new().release(mirrored)).await;
    let honest = Scenario::new().release(at("1.0.0")).serve().await.unwrap();
    let coordinate: Coordinate = "npm:@acme/widget@1.0.0".parse().unwrap();
    let first = deployment.service.verdict(&coordinate, false, day(1)).await.unwrap();
    assert_eq!(first.verdict.status, Status::Mismatch);
    deployment.service.upstreams.npm = Url::parse(&honest.npm_url()).unwrap();
    let second = deployment.service.verdict(&coordinate, true, day(2)).await.unwrap();
    assert_eq!(second.verdict.status, Status::Verified);
    // From now on the integrity that the registry has signed is the one that was first seen.
    let (store, package) = (deployment.embedded.store(), version("pkg:npm/%40acme/widget@1.0.0"));
    let seen = store.first_seen(&package).await.unwrap().unwrap();
    assert_eq!((seen.signed, seen.at), (true, day(1)));
    deployment.service.upstreams.npm = Url::parse(&deployment.served.npm_url()).unwrap();
    let third = deployment.service.verdict(&coordinate, true, day(3)).await.unwrap();
    let stable = |finding: &&hekate::check::Finding| finding.check == CheckId::RegIntegrityStable;
    let finding = third.verdict.findings.iter().find(stable).unwrap();
    assert!(finding.outcome.is_fail(), "{finding:?}");
}

#[tokio::test]
async fn attestations_that_are_refused_for_good_are_asked_for_once() {
    let scenario = Scenario::new()
        .release(at("0.9.0").at(day(-60)).forged_by(&World::foreign()))
        .release(at("1.0.0").at(day(-50)).certificate_by(&World::foreign()))
        .release(at("1.1.0").at(day(-40)))
        .release(at("1.2.0").at(day(-30)))
        .release(at("1.3.0").at(day(-20)));
    let deployment = Deployment::of(scenario).await;
    for (days, text) in [(-29, "1.2.0"), (-19, "1.3.0")] {
        let coordinate: Coordinate = format!("npm:@acme/widget@{text}").parse().unwrap();
        let looked = deployment.service.verdict(&coordinate, false, day(days)).await.unwrap();
        assert_eq!(looked.verdict.status, Status::Verified);
    }
    let paths = deployment.served.npm_paths();
    let asked = |text: &str| {
        let ending = format!("/attestations/@acme%2fwidget@{text}");
        paths.iter().filter(|path| path.ends_with(&ending)).count()
    };
    assert_eq!((asked("1.0.0"), asked("1.1.0")), (1, 1), "{paths:?}");
    // Under a digest that the registry has not signed nothing is refused for good.
    assert_eq!(asked("0.9.0"), 2, "{paths:?}");
    // It is known to have been refused, and teaches nothing.
    let (store, package) = (deployment.embedded.store(), version("pkg:npm/%40acme/widget@1.3.0"));
    let history = store.past(&package, None).await.unwrap().history;
    let forged = history.iter().find(|past| past.version == "1.0.0").unwrap();
    assert!(forged.refused && !forged.accepted && !forged.attested);
}

#[tokio::test]
async fn a_feed_that_is_numbered_anew_is_read_from_its_end() {
    let deployment = Deployment::of(Scenario::new().release(at("1.0.0").at(day(-40)))).await;
    let store = deployment.embedded.store();
    store.watch(&name(WIDGET), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    deployment.work(day(0)).await;
    let end = store.cursor("npm").await.unwrap().unwrap();
    assert!(store.advance_cursor("npm", Some(end), end + 1_000_000).await.unwrap());
    let swept = deployment.sweep(day(0) + minutes(1)).await;
    assert_eq!((swept.feeds[0].until, swept.troubles.len()), (end, 0));
    assert_eq!(store.cursor("npm").await.unwrap(), Some(end));
    deployment.publish(&at("1.1.0").at(day(0) + minutes(2)));
    assert_eq!(deployment.sweep(day(0) + minutes(2)).await.feeds[0].watched, 1);
}

#[tokio::test]
async fn a_long_watch_list_is_handed_over_in_portions_each_package_once() {
    let deployment = Deployment::of(Scenario::new()).await;
    let store = deployment.embedded.store();
    for number in 0..1_200 {
        store.watch(&name(&format!("pkg:npm/p{number}")), day(0)).await.unwrap();
    }
    let mut tasks = Vec::new();
    for minute in 0..4 {
        tasks.push(deployment.sweep(day(0) + minutes(minute)).await.tasks);
    }
    assert_eq!(tasks, [500, 500, 200, 0]);
    let items = deployment.take();
    let distinct: BTreeSet<String> = items.iter().map(|item| item.package.to_string()).collect();
    assert_eq!((items.len(), distinct.len()), (1_200, 1_200));
}

#[tokio::test]
async fn a_sweep_hands_over_ten_thousand_versions_of_batches_and_then_the_next() {
    let deployment = Deployment::of(Scenario::new()).await;
    *deployment.queue.is_full.lock().unwrap() = true;
    let large: Vec<PackageVersion> = (0..10_000)
        .map(|number| version(&format!("pkg:npm/p{number}@1.0.0")))
        .collect();
    let ids = ["0".repeat(32), "1".repeat(32)];
    for (id, packages) in ids.iter().zip([&large[..], &large[..1]]) {
        let batch = deployment
            .service
            .create_batch(id.clone(), packages, day(1))
            .await
            .unwrap();
        assert_eq!(batch.total, packages.len());
    }
    *deployment.queue.is_full.lock().unwrap() = false;
    for (minute, id, versions) in [(3, &ids[0], 10_000), (4, &ids[1], 1)] {
        assert_eq!(deployment.sweep(day(1) + minutes(minute)).await.tasks, 1);
        let items = deployment.take();
        assert_eq!(items.len(), versions);
        assert!(items.iter().all(|item| item.batch.as_ref() == Some(id)));
    }
    let state = deployment
        .service
        .batch(&ids[0], None, 10, day(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((state.done, state.counts.get("pending")), (false, Some(&10_000)));
}

#[tokio::test]
async fn a_batch_takes_after_a_day_what_could_not_be_decided() {
    let mut deployment = Deployment::of(Scenario::new().release(at("1.0.0"))).await;
    deployment.service.upstreams.npm = nowhere();
    let packages = [version("pkg:npm/%40acme/widget@1.0.0")];
    let id = "0123456789abcdef0123456789abcdef".to_owned();
    deployment
        .service
        .create_batch(id.clone(), &packages, day(1))
        .await
        .unwrap();
    let items = deployment.take();
    let hours = |hours: i64| day(1) + minutes(60 * hours);
    for hour in [0, 1, 23] {
        let worked = deployment.service.work(&items[0], hours(hour)).await;
        assert!(matches!(worked, Worked::TryAgain(_)), "hour {hour}: {worked:?}");
    }
    let worked = deployment.service.work(&items[0], hours(24)).await;
    assert!(matches!(worked, Worked::Done(_)), "{worked:?}");
    let state = deployment
        .service
        .batch(&id, None, 10, hours(24))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((state.done, state.counts.get("indeterminate")), (true, Some(&1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_of_formulae_is_read_while_one_is_watched_and_hands_it_over_when_it_has_changed() {
    let deployment = Deployment::of(Scenario::new().release(Formula::honest("wget", "1.25.0"))).await;
    let lists = || {
        let requests = deployment.served.requests();
        requests
            .iter()
            .filter(|request| request.path == "/api/formula.json")
            .count()
    };
    let brew = |swept: &Swept| swept.feeds.iter().any(|read| read.ecosystem == Ecosystem::Homebrew);
    let at = |text: &str| moment(&format!("2026-11-02T{text}:00Z"));
    // 1. Nobody watches a formula.
    let swept = deployment.service.sweep(at("11:00")).await.unwrap();
    assert!(!brew(&swept) && lists() == 0);
    // 2. Somebody does: the list is read from now on.
    let name = "pkg:brew/wget".parse().unwrap();
    deployment.service.store.watch(&name, at("11:00")).await.unwrap();
    assert!(brew(&deployment.service.sweep(at("11:01")).await.unwrap()));
    deployment.take();
    deployment.service.sweep(at("11:02")).await.unwrap();
    assert_eq!((lists(), deployment.take().len()), (1, 0));
    // 3. It has changed, and a cache on the way still shows the list of before.
    let scenario = deployment.served.scenario();
    deployment.service.sweep(at("11:30")).await.unwrap();
    deployment.take();
    // The list tells of it a quarter of an hour later.
    scenario.publish(&Formula::honest("wget", "1.26.0").at(at("11:10")));
    let swept = deployment.service.sweep(at("11:31")).await.unwrap();
    assert_eq!(swept.troubles, Vec::<String>::new());
    let read = swept
        .feeds
        .iter()
        .find(|read| read.ecosystem == Ecosystem::Homebrew)
        .unwrap();
    assert_eq!(read.watched, 1, "{swept:?}");
    // It is handed over as what has changed, beside what is due: nobody has worked on the message of before.
    let handed: BTreeSet<String> = deployment.take().iter().map(|item| item.package.to_string()).collect();
    assert_eq!(handed, ["pkg:brew/wget".to_owned()].into());
    // 4. And has not since.
    let swept = deployment.service.sweep(at("11:40")).await.unwrap();
    let read = swept
        .feeds
        .iter()
        .find(|read| read.ecosystem == Ecosystem::Homebrew)
        .unwrap();
    assert_eq!(read.watched, 0, "{swept:?}");
}

const PROJECT: &str = "pkg:pypi/acme-widget";

fn on_pypi(version: &str, at: Timestamp) -> PypiRelease {
    PypiRelease::honest("Acme.Widget", version).at(at)
}

/// A watched project on PyPI, of which the versions of forty and of thirty days ago are there and the second was looked at.
async fn watching_pypi() -> Deployment {
    let deployment = Deployment::of(
        Scenario::new()
            .release(on_pypi("1.0.0", day(-40)))
            .release(on_pypi("1.1.0", day(-30))),
    )
    .await;
    deployment.embedded.store().watch(&name(PROJECT), day(0)).await.unwrap();
    deployment.sweep(day(0)).await;
    assert_eq!(deployment.work(day(0)).await, [PROJECT, "pkg:pypi/acme-widget@1.1.0"]);
    assert_eq!(
        deployment.status("pkg:pypi/acme-widget@1.1.0").await,
        Some(Status::Verified)
    );
    deployment
}

/// The packages that PyPI's journal named to a sweep.
async fn swept_on_pypi(deployment: &Deployment, now: Timestamp) -> usize {
    let swept = deployment.sweep(now).await;
    assert!(swept.troubles.is_empty(), "{swept:?}");
    let feed = swept.feeds.iter().find(|feed| feed.ecosystem == Ecosystem::PyPi);
    feed.unwrap().watched
}

#[tokio::test]
async fn what_pypis_journal_names_is_looked_at_and_told() {
    let deployment = watching_pypi().await;
    let (new, lost) = ("pkg:pypi/acme-widget@1.2.0", "pkg:pypi/acme-widget@1.2.1");

    // Of others nothing is looked at.
    let now = day(0) + minutes(5);
    deployment.publish(&PypiRelease::honest("somebody-else", "1.0").at(now));
    assert_eq!(swept_on_pypi(&deployment, now + minutes(1)).await, 0);

    // A new version, and then one with a stolen token.
    deployment.publish(&on_pypi("1.2.0", now));
    assert_eq!(swept_on_pypi(&deployment, now + minutes(2)).await, 1);
    assert_eq!(deployment.work(now + minutes(2)).await, [PROJECT, new]);
    assert_eq!(deployment.status(new).await, Some(Status::Verified));
    let later = now + minutes(20);
    deployment.publish(&on_pypi("1.2.1", later).unattested());
    swept_on_pypi(&deployment, later + minutes(1)).await;
    assert!(deployment.work(later + minutes(1)).await.contains(&lost.to_owned()));
    assert_eq!(deployment.status(lost).await, Some(Status::Downgraded));
    let heard = deployment.listener.heard.lock().unwrap().clone();
    let told: Vec<(String, Status)> = heard
        .iter()
        .map(|announcement| (announcement.change.package.to_purl(), announcement.change.status))
        .collect();
    let expected = [
        ("pkg:pypi/acme-widget@1.1.0", Status::Verified),
        (new, Status::Verified),
        (lost, Status::Downgraded),
    ];
    assert_eq!(told, expected.map(|(purl, status)| (purl.to_owned(), status)));
}

#[tokio::test]
async fn a_file_that_is_added_later_to_a_version_with_a_verdict_is_news() {
    let deployment = watching_pypi().await;
    let purl = "pkg:pypi/acme-widget@1.1.0";
    let now = day(0) + minutes(5);
    let by_hand = |_wheel| PypiFile::wheel("cp312-cp312-win_amd64").unattested();
    let added = on_pypi("1.1.0", now).only_wheels().wheels(by_hand);
    deployment.publish(&added);
    assert_eq!(swept_on_pypi(&deployment, now + minutes(1)).await, 1);
    assert_eq!(deployment.work(now + minutes(1)).await, [PROJECT, purl]);
    assert_eq!(deployment.status(purl).await, Some(Status::Downgraded));
    let verdict = deployment
        .embedded
        .store()
        .current(&version(purl))
        .await
        .unwrap()
        .unwrap();
    let told: Vec<(&str, Status)> = verdict
        .artifacts
        .iter()
        .map(|file| (file.name.as_str(), file.status))
        .collect();
    let expected = [
        ("acme_widget-1.1.0-cp312-cp312-win_amd64.whl", Status::Downgraded),
        ("acme_widget-1.1.0-py3-none-any.whl", Status::Verified),
        ("acme_widget-1.1.0.tar.gz", Status::Verified),
    ];
    assert_eq!(told, expected);
    let last = deployment.listener.heard.lock().unwrap().last().unwrap().change.clone();
    assert_eq!(
        (last.status, last.previous_status),
        (Status::Downgraded, Some(Status::Verified))
    );
    // Nothing is handed over again for what is known by now.
    assert_eq!(swept_on_pypi(&deployment, now + minutes(2)).await, 0);
    deployment.served.scenario().pypi().yank("acme-widget", "1.0.0", "old");
    assert_eq!(swept_on_pypi(&deployment, now + minutes(3)).await, 1);
    assert_eq!(deployment.work(now + minutes(3)).await, [PROJECT]);

    // The file is taken back, and so is what was said of it.
    let file = "acme_widget-1.1.0-cp312-cp312-win_amd64.whl";
    assert!(
        deployment
            .served
            .scenario()
            .pypi()
            .remove_file("acme-widget", "1.1.0", file)
    );
    assert_eq!(swept_on_pypi(&deployment, now + minutes(4)).await, 1);
    assert_eq!(deployment.work(now + minutes(4)).await, [PROJECT, purl]);
    assert_eq!(deployment.status(purl).await, Some(Status::Verified));
}

#[tokio::test]
async fn what_passed_is_not_said_any_more_of_files_that_nobody_judged() {
    let deployment = watching_pypi().await;
    let purl = "pkg:pypi/acme-widget@1.1.0";
    let now = day(0) + minutes(5);
    let silent = |_wheel| PypiFile::wheel("cp312-cp312-win_amd64").integrity_answer(Answer::Status(503, None));
    deployment.publish(&on_pypi("1.1.0", now).only_wheels().wheels(silent));
    assert_eq!(swept_on_pypi(&deployment, now + minutes(1)).await, 1);
    assert_eq!(deployment.work(now + minutes(1)).await, [PROJECT, purl]);
    assert_eq!(deployment.status(purl).await, Some(Status::Indeterminate));
}

#[tokio::test]
async fn a_yanked_version_keeps_its_verdict_and_a_removed_one_is_found_gone() {
    let deployment = watching_pypi().await;
    let (old, new) = ("pkg:pypi/acme-widget@1.0.0", "pkg:pypi/acme-widget@1.1.0");
    let now = day(0) + minutes(5);
    // The version that is installed by default now is looked at.
    assert!(
        deployment
            .served
            .scenario()
            .pypi()
            .yank("acme-widget", "1.1.0", "broken")
    );
    assert_eq!(swept_on_pypi(&deployment, now).await, 1);
    assert_eq!(deployment.work(now).await, [PROJECT, old]);
    assert_eq!(deployment.status(new).await, Some(Status::Verified));

    assert!(deployment.served.scenario().pypi().remove("acme-widget", "1.1.0"));
    let now = now + minutes(1);
    assert_eq!(swept_on_pypi(&deployment, now).await, 1);
    // PyPI keeps no list of what there was, and this verifier remembers what there was.
    assert_eq!(deployment.work(now).await, [PROJECT, new]);
    let verdict = deployment
        .embedded
        .store()
        .current(&version(new))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((verdict.status, verdict.removed_at), (Status::Verified, Some(now)));
}

#[tokio::test]
async fn trouble_of_pypis_journal_keeps_nothing_else_from_being_swept() {
    let deployment = watching_pypi().await;
    deployment.publish(&on_pypi("1.2.0", day(1)));
    let before = deployment.embedded.store().cursor("pypi").await.unwrap();
    for answer in [
        Answer::Status(500, None),
        Answer::Html200,
        Answer::Truncated,
        Answer::EmptyBody,
    ] {
        deployment.served.scenario().pypi().answer = answer;
        let swept = deployment.sweep(day(1)).await;
        assert_eq!((swept.troubles.len(), swept.feeds.len()), (1, 1), "{swept:?}");
    }
    assert_eq!(deployment.embedded.store().cursor("pypi").await.unwrap(), before);
    deployment.served.scenario().pypi().answer = Answer::Normal;
    deployment.take();
    assert_eq!(swept_on_pypi(&deployment, day(1) + minutes(1)).await, 1);
}
