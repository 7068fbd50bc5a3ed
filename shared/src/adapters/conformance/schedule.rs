//! Facts about what is due, and about how far feeds were read.

use std::sync::Arc;

use super::{at, batch, concurrently, dossier, due, package, record, verdict, version};
use crate::ports::{Due, Store, Task};
use crate::verdict::Status;

pub(crate) async fn what_is_due_comes_most_overdue_first(store: &impl Store) {
    // Enough versions for every shard of an index, recorded in another order than they are due.
    let mut expected = Vec::new();
    for number in 0..40_i64 {
        let seconds = number * 17 % 40;
        let dossier = dossier(&package(&format!("{seconds}.0.0")), seconds, b"[]");
        store
            .record(
                &verdict(&dossier, Status::Verified, &[], seconds),
                &dossier,
                None,
                false,
            )
            .await
            .unwrap();
        expected.push((seconds, dossier.package));
    }
    expected.sort();
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(_, package)| Task::Version(package))
        .collect();
    assert_eq!(due(store, at(599)).await, []);
    assert_eq!(due(store, at(600)).await, expected[..1]);
    assert_eq!(due(store, at(1000)).await, expected);
    let most_overdue = store.due(at(1000), 7).await.unwrap();
    assert_eq!(
        most_overdue.into_iter().map(|due| due.task).collect::<Vec<_>>(),
        expected[..7]
    );
    assert_eq!(store.due(at(1000), 0).await.unwrap(), []);
}

pub(crate) async fn what_is_looked_at_is_no_longer_due(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    record(store, Status::Verified, &[], 600).await;
    assert_eq!(due(store, at(1199)).await, []);
    assert_eq!(due(store, at(1200)).await, [version()]);

    let dossier = dossier(&package("1.0.0"), 1200, b"[]");
    let mut last = verdict(&dossier, Status::Verified, &[], 1200);
    last.next_look_at = None;
    store.record(&last, &dossier, None, false).await.unwrap();
    assert_eq!(due(store, at(1_000_000)).await, []);
}

/// Makes one task of every kind due, the batch first and the version last.
async fn make_due(store: &impl Store) -> [Due; 3] {
    let package = package("1.0.0");
    let batch = batch("b 1#", 1);
    store
        .create_batch(&batch, std::slice::from_ref(&package), at(580))
        .await
        .unwrap();
    store.watch(package.name(), at(590)).await.unwrap();
    record(store, Status::Verified, &[], 0).await;
    [
        (Task::Batch(batch.id), 580),
        (Task::Package(package.name().clone()), 590),
        (Task::Version(package), 600),
    ]
    .map(|(task, seconds)| Due {
        task,
        since: at(seconds),
    })
}

pub(crate) async fn tasks_of_every_kind_say_since_when_they_are_due(store: &impl Store) {
    let expected = make_due(store).await;
    assert_eq!(store.due(at(579), 10).await.unwrap(), []);
    assert_eq!(store.due(at(599), 10).await.unwrap(), expected[..2]);
    assert_eq!(store.due(at(10_000), 10).await.unwrap(), expected);
}

pub(crate) async fn a_claimed_task_is_due_again_when_the_claim_ends(store: &impl Store) {
    for due in make_due(store).await {
        assert!(store.claim(&due, at(1000)).await.unwrap());
        assert!(
            !store.claim(&due, at(1000)).await.unwrap(),
            "it is not due since then any more"
        );
    }
    assert_eq!(due(store, at(999)).await, []);
    let again = store.due(at(1000), 10).await.unwrap();
    assert_eq!(again.len(), 3);
    for due in again {
        assert_eq!(due.since, at(1000));
        assert!(store.claim(&due, at(2000)).await.unwrap());
    }
    assert_eq!(due(store, at(1999)).await, []);
}

pub(crate) async fn of_concurrent_claims_one_succeeds(store: &(impl Store + Clone + 'static)) {
    let tasks = make_due(store).await;
    for due in tasks {
        let due = Arc::new(due);
        let claimed = concurrently(10, |number| {
            let (store, due) = (store.clone(), Arc::clone(&due));
            async move { store.claim(&due, at(1000 + number)).await.unwrap() }
        })
        .await;
        assert_eq!(claimed.iter().filter(|claimed| **claimed).count(), 1, "{due:?}");
    }
}

pub(crate) async fn a_claim_that_puts_nothing_off_fails(store: &impl Store) {
    for due in make_due(store).await {
        assert!(!store.claim(&due, due.since).await.unwrap());
        assert!(!store.claim(&due, at(0)).await.unwrap());
    }
    assert_eq!(due(store, at(600)).await.len(), 3);
}

pub(crate) async fn what_is_done_or_gone_cannot_be_claimed(store: &impl Store) {
    let [batch, watched, version] = make_due(store).await;
    store.finish_batch("b 1#").await.unwrap();
    store.unwatch(package("1.0.0").name()).await.unwrap();
    store.mark_removed(&package("1.0.0"), at(600)).await.unwrap();
    let unheard_of = Due {
        task: Task::Version(package("9.0.0")),
        since: at(600),
    };
    for due in [batch, watched, version, unheard_of] {
        assert!(!store.claim(&due, at(1000)).await.unwrap(), "{due:?}");
    }
    assert_eq!(due(store, at(1_000_000)).await, []);
    assert_eq!(
        store.current(&package("9.0.0")).await.unwrap(),
        None,
        "a claim makes no row"
    );
    assert_eq!(store.watched(package("1.0.0").name()).await.unwrap(), None);
}

pub(crate) async fn a_verdict_recorded_after_a_claim_says_when_to_look_next(store: &impl Store) {
    let [.., version] = make_due(store).await;
    assert!(store.claim(&version, at(5000)).await.unwrap());
    record(store, Status::Verified, &[], 1000).await;
    let tasks = store.due(at(1600), 10).await.unwrap();
    assert_eq!(
        tasks.last(),
        Some(&Due {
            since: at(1600),
            ..version.clone()
        })
    );
    assert!(!store.claim(&version, at(5000)).await.unwrap());
}

pub(crate) async fn a_feed_has_no_cursor_before_it_was_read(store: &impl Store) {
    assert_eq!(store.cursor("npm").await.unwrap(), None);
    assert!(!store.advance_cursor("npm", Some(0), 5).await.unwrap());
    assert_eq!(store.cursor("npm").await.unwrap(), None);
    assert!(store.advance_cursor("npm", None, 0).await.unwrap());
    assert_eq!(store.cursor("npm").await.unwrap(), Some(0));
}

pub(crate) async fn a_cursor_advances_from_where_it_is_and_never_back(store: &impl Store) {
    let large = 1 << 62;
    assert!(store.advance_cursor("npm", None, 10).await.unwrap());
    for (from, to, advances) in [
        (None, 20, false),
        (Some(9), 20, false),
        (Some(10), 9, false),
        (Some(10), 10, true),
        (Some(10), 20, true),
        (Some(10), 30, false),
        (Some(20), large, true),
        (Some(large), 0, false),
    ] {
        let before = store.cursor("npm").await.unwrap().unwrap();
        assert_eq!(
            store.advance_cursor("npm", from, to).await.unwrap(),
            advances,
            "{from:?} {to}"
        );
        let expected = if advances { to } else { before };
        assert_eq!(store.cursor("npm").await.unwrap(), Some(expected));
    }
}

pub(crate) async fn a_cursor_is_reset_from_where_it_is(store: &impl Store) {
    assert!(!store.reset_cursor("npm", 10, 5).await.unwrap());
    assert_eq!(store.cursor("npm").await.unwrap(), None);
    assert!(store.advance_cursor("npm", None, 10).await.unwrap());
    assert!(!store.reset_cursor("npm", 9, 5).await.unwrap());
    assert!(store.reset_cursor("npm", 10, 5).await.unwrap());
    assert!(!store.reset_cursor("npm", 10, 4).await.unwrap());
    assert!(!store.advance_cursor("npm", Some(10), 20).await.unwrap());
    assert_eq!(store.cursor("npm").await.unwrap(), Some(5));
}

pub(crate) async fn of_sweeps_that_read_from_the_same_place_one_advances_the_cursor(
    store: &(impl Store + Clone + 'static),
) {
    for from in [None, Some(1), Some(2)] {
        let advanced = concurrently(10, |_| {
            let store = store.clone();
            async move { store.advance_cursor("npm", from, from.unwrap_or(0) + 1).await.unwrap() }
        })
        .await;
        assert_eq!(advanced.iter().filter(|advanced| **advanced).count(), 1, "{from:?}");
    }
    assert_eq!(store.cursor("npm").await.unwrap(), Some(3));
}

/// Several sweeps read on as far as they get, each in steps of its own: what they read without a gap is the whole feed.
pub(crate) async fn sweeps_that_overlap_lose_nothing_of_a_feed(store: &(impl Store + Clone + 'static)) {
    let read = concurrently(4, |number| {
        let store = store.clone();
        async move {
            let mut read = Vec::new();
            for _ in 0..25 {
                let from = store.cursor("npm").await.unwrap();
                let to = from.unwrap_or(0) + u64::try_from(number).unwrap() + 1;
                if store.advance_cursor("npm", from, to).await.unwrap() {
                    read.push((from.unwrap_or(0), to));
                }
            }
            read
        }
    })
    .await;
    let mut read = read.concat();
    read.sort_unstable();
    let mut position = 0;
    for (from, to) in &read {
        assert_eq!(*from, position, "nothing was read twice or left out");
        position = *to;
    }
    assert!(read.len() >= 25);
    assert_eq!(store.cursor("npm").await.unwrap(), Some(position));
}

pub(crate) async fn feeds_do_not_see_each_other(store: &impl Store) {
    let feeds = ["npm", "NPM", "npm#1", "npm%231", "https://registry.example/_changes"];
    for (position, feed) in (1..).zip(feeds) {
        assert_eq!(store.cursor(feed).await.unwrap(), None);
        assert!(store.advance_cursor(feed, None, position).await.unwrap());
    }
    for (position, feed) in (1..).zip(feeds) {
        assert_eq!(store.cursor(feed).await.unwrap(), Some(position));
    }
}
