//! Facts about what has changed, and what is owed for it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{at, concurrently, dossier, package, previous, record, verdict};
use crate::check::CheckId;
use crate::ports::{Announcement, Change, Changes, ChangesAfter, Recorded, Store};
use crate::verdict::Status;

/// Longer than any test lasts.
const LATER: i64 = 1_000_000_000;

const DAY: i64 = 24 * 60 * 60;

async fn owed(store: &impl Store) -> Vec<Announcement> {
    store.owed(at(LATER), 1000).await.unwrap()
}

/// Every change since the beginning, read in pages.
async fn changed(store: &impl Store, size: usize) -> Vec<Change> {
    let mut after = ChangesAfter::Instant(at(0));
    let mut changes = Vec::new();
    loop {
        let page = page(store, &after, at(2 * DAY), size).await;
        let next = ChangesAfter::parse(&page.next).unwrap();
        if page.changes.is_empty() && next == after {
            return changes;
        }
        changes.extend(page.changes);
        after = next;
    }
}

async fn page(store: &impl Store, after: &ChangesAfter, until: Timestamp, limit: usize) -> Changes {
    let page = store.changes(after, until, limit).await.unwrap();
    assert!(page.changes.len() <= limit);
    assert!(page.next >= after.to_string(), "{} comes before {after}", page.next);
    page
}

fn announcement(recorded: Recorded) -> Option<Announcement> {
    match recorded {
        Recorded::Current { announcement, .. } => announcement.map(|announcement| *announcement),
        Recorded::KeptExisting { .. } => None,
    }
}

pub(crate) async fn a_first_verdict_is_a_change_that_is_owed(store: &impl Store) {
    assert_eq!(owed(store).await, []);
    assert_eq!(changed(store, 10).await, []);
    let (verdict, recorded) = record(store, Status::Verified, &["run.conclusion"], 0).await;
    let announcement = announcement(recorded).unwrap();
    assert_eq!(
        announcement.change,
        Change {
            package: verdict.package,
            status: Status::Verified,
            decided_by: vec![CheckId::RunConclusion],
            previous_status: None,
            previously_decided_by: Vec::new(),
            questions: verdict.questions,
            checked_at: at(0),
            dossier: verdict.dossier,
            verifier: verdict.verifier,
        }
    );
    assert_eq!(changed(store, 10).await, std::slice::from_ref(&announcement.change));
    assert_eq!(owed(store).await, [announcement]);
}

pub(crate) async fn a_change_tells_what_was_before(store: &impl Store) {
    record(store, Status::Suspicious, &["run.actor"], 0).await;
    let (_, recorded) = record(store, Status::Suspicious, &["run.actor", "run.fork_head"], 10).await;
    let change = announcement(recorded).unwrap().change;
    assert_eq!(change.previous_status, Some(Status::Suspicious));
    assert_eq!(change.previously_decided_by, [CheckId::RunActor]);
    let (_, recorded) = record(store, Status::Verified, &[], 20).await;
    let change = announcement(recorded).unwrap().change;
    assert_eq!(
        (change.status, change.previous_status),
        (Status::Verified, Some(Status::Suspicious))
    );
    assert_eq!(owed(store).await.len(), 3);
    assert_eq!(changed(store, 10).await.len(), 3);
}

pub(crate) async fn what_changes_nothing_owes_nothing(store: &impl Store) {
    let (_, recorded) = record(store, Status::Suspicious, &["run.actor"], 100).await;
    let first = announcement(recorded).unwrap();
    for (status, decided_by, seconds) in [
        (Status::Suspicious, &["run.actor"][..], 100),
        (Status::Suspicious, &["run.actor"], 110),
        (Status::Indeterminate, &["run.exists"], 120),
        (Status::Mismatch, &["run.conclusion"], 50),
    ] {
        let (_, recorded) = record(store, status, decided_by, seconds).await;
        assert_eq!(announcement(recorded), None, "{status} at {seconds}");
    }
    let (_, recorded) = record(store, Status::Suspicious, &["run.actor"], 130).await;
    assert!(previous(recorded).is_some());
    assert_eq!(changed(store, 10).await, std::slice::from_ref(&first.change));
    assert_eq!(owed(store).await, [first]);
}

pub(crate) async fn what_was_delivered_is_not_owed_and_stays_a_change(store: &impl Store) {
    let (_, recorded) = record(store, Status::Verified, &[], 0).await;
    let first = announcement(recorded).unwrap();
    let (_, recorded) = record(store, Status::Mismatch, &["run.conclusion"], 10).await;
    let second = announcement(recorded).unwrap();
    for _ in 0..2 {
        store.delivered(&first).await.unwrap();
        assert_eq!(owed(store).await, std::slice::from_ref(&second));
    }
    store.delivered(&second).await.unwrap();
    assert_eq!(owed(store).await, []);
    assert_eq!(changed(store, 10).await, [first.change, second.change]);
}

/// Changes of `count` packages, one every `step` seconds, recorded in another order than they were made.
async fn many(store: &impl Store, count: i64, step: i64) -> Vec<Announcement> {
    let mut announcements = Vec::new();
    for number in (0..count).map(|number| number * 7 % count) {
        let dossier = dossier(&package(&format!("{number}.0.0")), number * step, b"[]");
        let verdict = verdict(&dossier, Status::Verified, &[], number * step);
        let recorded = store.record(&verdict, &dossier, None, false).await.unwrap();
        announcements.push(announcement(recorded).unwrap());
    }
    announcements.sort_by(|one, other| (one.change.checked_at, &one.id).cmp(&(other.change.checked_at, &other.id)));
    announcements
}

pub(crate) async fn what_is_owed_comes_oldest_first_and_limited(store: &impl Store) {
    let announcements = many(store, 30, 1).await;
    assert_eq!(owed(store).await, announcements);
    assert_eq!(store.owed(at(LATER), 7).await.unwrap(), announcements[..7]);
    assert_eq!(store.owed(at(LATER), 0).await.unwrap(), []);
    assert_eq!(
        store.owed(at(9), 1000).await.unwrap(),
        announcements[..10],
        "the instant itself included"
    );
    assert_eq!(store.owed(at(-1), 1000).await.unwrap(), []);
}

pub(crate) async fn every_change_has_a_name_of_its_own(store: &impl Store) {
    let mut announcements = many(store, 5, 0).await;
    for seconds in 1..5 {
        let status = if seconds % 2 == 0 {
            Status::Verified
        } else {
            Status::Attested
        };
        let (_, recorded) = record(store, status, &[], seconds).await;
        announcements.push(announcement(recorded).unwrap());
    }
    let ids: BTreeSet<&str> = announcements
        .iter()
        .map(|announcement| announcement.id.as_str())
        .collect();
    assert_eq!(ids.len(), announcements.len());
    assert!(ids.iter().all(|id| id.len() == 64));
    let kept = owed(store).await;
    assert!(kept.iter().all(|announcement| announcements.contains(announcement)));
}

pub(crate) async fn changes_are_read_in_pages_each_once(store: &impl Store) {
    // Over more than one day, three of them at the same instant.
    let mut expected = many(store, 27, 4000).await;
    for number in [100, 101] {
        let dossier = dossier(&package(&format!("{number}.0.0")), 4000, b"[]");
        let verdict = verdict(&dossier, Status::Verified, &[], 4000);
        expected.push(announcement(store.record(&verdict, &dossier, None, false).await.unwrap()).unwrap());
    }
    expected.sort_by(|one, other| (one.change.checked_at, &one.id).cmp(&(other.change.checked_at, &other.id)));
    let expected: Vec<Change> = expected.into_iter().map(|announcement| announcement.change).collect();
    for size in [1, 2, 7, 29, 1000] {
        assert_eq!(changed(store, size).await, expected, "pages of {size}");
    }
}

pub(crate) async fn changes_begin_and_end_where_they_are_asked_to(store: &impl Store) {
    let announcements = many(store, 10, 10).await;
    let seconds = async |after: &ChangesAfter, until| {
        let page = page(store, after, until, 100).await;
        let made = page.changes.iter().map(|change| change.checked_at).collect::<Vec<_>>();
        (made, page.next)
    };
    let from = ChangesAfter::Instant(at(20));
    assert_eq!(seconds(&from, at(40)).await.0, [at(20), at(30), at(40)]);
    let (made, next) = seconds(&from, at(39)).await;
    assert_eq!(made, [at(20), at(30)]);
    let after = ChangesAfter::parse(&next).unwrap();
    assert_eq!(seconds(&after, at(50)).await.0, [at(40), at(50)]);
    let after = ChangesAfter::Change {
        checked_at: at(70),
        id: format!("sha256:{}", announcements[7].id).parse().unwrap(),
    };
    assert_eq!(seconds(&after, at(LATER)).await.0, [at(80), at(90)]);
    // Nothing moves where nothing is asked for.
    for after in [&from, &after] {
        assert_eq!(seconds(after, at(10)).await, (Vec::new(), after.to_string()));
        let page = page(store, after, at(LATER), 0).await;
        assert_eq!((page.changes, page.next), (Vec::new(), after.to_string()));
    }
}

pub(crate) async fn a_quiet_year_is_walked_through_in_few_steps(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    record(store, Status::Attested, &[], 400 * DAY + 5).await;
    let mut after = ChangesAfter::Instant(at(-400 * DAY));
    let mut made = Vec::new();
    for _ in 0..30 {
        let page = page(store, &after, at(400 * DAY + 60), 100).await;
        made.extend(page.changes.into_iter().map(|change| change.checked_at));
        after = ChangesAfter::parse(&page.next).unwrap();
    }
    assert_eq!(made, [at(0), at(400 * DAY + 5)]);
    let end = at(400 * DAY + 60) + jiff::SignedDuration::from_nanos(1);
    assert_eq!(after, ChangesAfter::Instant(end));
}

pub(crate) async fn of_concurrent_verdicts_what_is_owed_is_what_changed(store: &(impl Store + Clone + 'static)) {
    let recorded = concurrently(10, |number| {
        let store = store.clone();
        async move {
            let status = if number % 2 == 0 {
                Status::Verified
            } else {
                Status::Attested
            };
            announcement(record(&store, status, &[], number).await.1)
        }
    })
    .await;
    let mut announced: Vec<Announcement> = recorded.into_iter().flatten().collect();
    announced.sort_by_key(|announcement| announcement.change.checked_at);
    assert!(!announced.is_empty());
    assert_eq!(owed(store).await, announced);
    let changes: Vec<Change> = announced.into_iter().map(|announcement| announcement.change).collect();
    assert_eq!(changed(store, 100).await, changes);
    // Each follows on the one before.
    for pair in changes.windows(2) {
        assert_eq!(pair[1].previous_status, Some(pair[0].status));
    }
}
