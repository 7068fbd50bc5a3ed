//! Facts about leases.

use std::sync::Arc;

use super::{at, package};
use crate::ports::Store;

pub(crate) async fn two_workers_cannot_hold_the_same_lease(store: &(impl Store + Clone + 'static)) {
    for round in 0..5 {
        let barrier = Arc::new(tokio::sync::Barrier::new(12));
        let workers: Vec<_> = (0..12)
            .map(|worker| {
                let (store, barrier) = (store.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    let holder = format!("worker {worker}");
                    store
                        .acquire_lease(
                            &package("1.0.0"),
                            &holder,
                            None,
                            false,
                            at(round * 100),
                            at(round * 100 + 60),
                        )
                        .await
                })
            })
            .collect();
        let mut holders = 0;
        for worker in workers {
            holders += usize::from(worker.await.unwrap().unwrap());
        }
        assert_eq!(holders, 1);
    }
}

/// A request whose answer was lost is repeated.
pub(crate) async fn a_lease_is_given_again_to_its_holder_alone(store: &impl Store) {
    let package = package("1.0.0");
    for (holder, seconds, is_given) in [
        ("one", 0, true),
        ("one", 0, true),
        ("two", 1, false),
        ("one", 30, true),
        ("two", 89, false),
        ("two", 90, true),
        ("one", 91, false),
    ] {
        let taken = store.acquire_lease(&package, holder, None, false, at(seconds), at(seconds + 60));
        assert_eq!(taken.await.unwrap(), is_given, "{holder} at {seconds}");
    }
}

pub(crate) async fn an_expired_item_that_is_still_served_is_ignored(store: &impl Store) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", None, false, at(0), at(60))
            .await
            .unwrap()
    );
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "two", None, false, at(59), at(120))
            .await
            .unwrap()
    );
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "two", None, false, at(60), at(120))
            .await
            .unwrap()
    );
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "one", None, false, at(61), at(121))
            .await
            .unwrap()
    );
}

pub(crate) async fn only_the_holder_releases_a_lease(store: &impl Store) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", None, false, at(0), at(60))
            .await
            .unwrap()
    );
    store.release_lease(&package("1.0.0"), "two").await.unwrap();
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "two", None, false, at(1), at(61))
            .await
            .unwrap()
    );
    store.release_lease(&package("2.0.0"), "two").await.unwrap();
}

pub(crate) async fn a_released_lease_can_be_taken(store: &impl Store) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", None, false, at(0), at(60))
            .await
            .unwrap()
    );
    store.release_lease(&package("1.0.0"), "one").await.unwrap();
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "two", None, false, at(1), at(61))
            .await
            .unwrap()
    );
}

pub(crate) async fn a_lease_ends_with_a_look_that_is_recorded_after_it_was_taken(store: &impl Store) {
    let taken = async |holder: &str, after: Option<i64>, now: i64| {
        store
            .acquire_lease(&package("1.0.0"), holder, after.map(at), false, at(now), at(now + 60))
            .await
            .unwrap()
    };
    assert!(taken("one", None, 0).await);
    assert!(!taken("two", None, 1).await, "nobody knows of a look");
    assert!(taken("two", Some(0), 2).await, "that of the first one is recorded");
    assert!(!taken("one", None, 3).await, "who knows less");
    assert!(!taken("one", Some(0), 3).await, "who knows the same");
    assert!(taken("one", Some(2), 3).await);
    let lasting = async |holder: &str, after: i64, now: i64| {
        let after = Some(at(after));
        store
            .acquire_lease(&package("2.0.0"), holder, after, true, at(now), at(now + 60))
            .await
            .unwrap()
    };
    assert!(lasting("three", 0, 0).await);
    assert!(!lasting("four", 1, 2).await, "it outlasts the looks that are recorded");
    store.release_lease(&package("2.0.0"), "three").await.unwrap();
    assert!(lasting("four", 1, 3).await);
    assert!(lasting("five", 1, 63).await, "it expires all the same");
    // Whoever has lost it does not take it from another.
    store.release_lease(&package("1.0.0"), "two").await.unwrap();
    assert!(!taken("two", Some(2), 4).await);
}
