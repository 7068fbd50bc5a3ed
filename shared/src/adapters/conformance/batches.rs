//! Facts about batches.

use super::{at, batch, due};
use crate::package::PackageVersion;
use crate::ports::{BatchItem, Progress, Store, Task};
use crate::verdict::Status;

/// So many versions of different packages, in the order of their purls.
pub(crate) fn versions(count: usize) -> Vec<PackageVersion> {
    let mut versions: Vec<PackageVersion> = (0..count)
        .map(|number| {
            let scope = if number % 3 == 0 { "%40scope/" } else { "" };
            format!("pkg:npm/{scope}p{number}@1.0.{}", number % 7).parse().unwrap()
        })
        .collect();
    versions.sort_by_key(PackageVersion::to_purl);
    versions
}

fn done(status: Status, seconds: i64) -> Progress {
    Progress::Done {
        status,
        decided_by: vec![crate::check::CheckId::RunConclusion],
        checked_at: at(seconds),
    }
}

fn failed() -> Progress {
    Progress::Failed {
        code: "not_found".to_owned(),
        message: "there is no \"such\" version ✓".to_owned(),
    }
}

async fn items(store: &impl Store, id: &str) -> Vec<BatchItem> {
    store.batch_items(id, None, 100_000, at(0)).await.unwrap()
}

pub(crate) async fn a_batch_comes_back_as_it_was_handed_in(store: &impl Store) {
    let batch = batch("one", 30);
    let mut packages = versions(30);
    packages.reverse();
    assert_eq!(store.batch("one", at(0)).await.unwrap(), None);
    store.create_batch(&batch, &packages, at(7)).await.unwrap();
    assert_eq!(store.batch("one", at(0)).await.unwrap(), Some(batch));
    packages.reverse();
    let pending: Vec<BatchItem> = packages
        .into_iter()
        .map(|package| BatchItem {
            package,
            progress: Progress::Pending,
        })
        .collect();
    assert_eq!(items(store, "one").await, pending);
    assert_eq!(due(store, at(6)).await, []);
    assert_eq!(due(store, at(7)).await, [Task::Batch("one".to_owned())]);
}

pub(crate) async fn an_empty_batch_is_one(store: &impl Store) {
    let batch = batch("empty", 0);
    store.create_batch(&batch, &[], at(0)).await.unwrap();
    assert_eq!(store.batch("empty", at(0)).await.unwrap(), Some(batch));
    assert_eq!(items(store, "empty").await, []);
}

pub(crate) async fn a_batch_that_can_be_read_is_whole(store: &(impl Store + Clone + 'static)) {
    let batch = batch("large", 2500);
    let packages = versions(2500);
    let creating = {
        let (store, batch, packages) = (store.clone(), batch.clone(), packages.clone());
        tokio::spawn(async move { store.create_batch(&batch, &packages, at(0)).await })
    };
    loop {
        if let Some(found) = store.batch("large", at(0)).await.unwrap() {
            assert_eq!(found, batch);
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let found: Vec<PackageVersion> = items(store, "large")
        .await
        .into_iter()
        .map(|item| item.package)
        .collect();
    assert!(found == packages, "{} of {} versions", found.len(), packages.len());
    creating.await.unwrap().unwrap();
}

pub(crate) async fn a_batch_is_read_in_pages(store: &impl Store) {
    let packages = versions(60);
    store.create_batch(&batch("one", 60), &packages, at(0)).await.unwrap();
    for size in [1, 7, 60, 1000] {
        let mut read: Vec<PackageVersion> = Vec::new();
        loop {
            let page = store.batch_items("one", read.last(), size, at(0)).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= size);
            read.extend(page.into_iter().map(|item| item.package));
        }
        assert_eq!(read, packages, "pages of {size}");
    }
    assert_eq!(store.batch_items("one", None, 0, at(0)).await.unwrap(), []);
    let between: PackageVersion = "pkg:npm/p10@0.0.0".parse().unwrap();
    let after = store.batch_items("one", Some(&between), 1, at(0)).await.unwrap();
    assert!(after[0].package.to_purl() > between.to_purl(), "{after:?}");
}

pub(crate) async fn a_batch_is_gone_when_it_expires(store: &impl Store) {
    let mut batch = batch("one", 1);
    batch.expires_at = at(100);
    store.create_batch(&batch, &versions(1), at(0)).await.unwrap();
    assert_eq!(store.batch("one", at(99)).await.unwrap(), Some(batch));
    assert_eq!(store.batch("one", at(100)).await.unwrap(), None);
    // The table serves what has expired for days.
    for (seconds, count) in [(99, 1), (101, 0), (200_000, 0)] {
        let items = store.batch_items("one", None, 10, at(seconds)).await.unwrap();
        assert_eq!(items.len(), count, "{seconds} s");
    }
}

pub(crate) async fn progress_is_noted(store: &impl Store) {
    let packages = versions(3);
    store.create_batch(&batch("one", 3), &packages, at(0)).await.unwrap();
    let expected: Vec<BatchItem> = packages
        .into_iter()
        .zip([done(Status::Verified, 5), Progress::Pending, failed()])
        .map(|(package, progress)| BatchItem { package, progress })
        .collect();
    for _ in 0..2 {
        store.note_progress("one", &expected, at(0)).await.unwrap();
        assert_eq!(items(store, "one").await, expected);
    }
    for item in &expected {
        store
            .note_progress("one", std::slice::from_ref(item), at(1))
            .await
            .unwrap();
    }
    assert_eq!(items(store, "one").await, expected);
}

pub(crate) async fn the_last_word_on_a_version_of_a_batch_stays(store: &impl Store) {
    store.create_batch(&batch("one", 1), &versions(1), at(0)).await.unwrap();
    let package = versions(1).remove(0);
    let words = [
        (failed(), failed()),
        (Progress::Pending, failed()),
        (done(Status::Verified, 10), done(Status::Verified, 10)),
        (Progress::Pending, done(Status::Verified, 10)),
        (done(Status::Mismatch, 20), done(Status::Mismatch, 20)),
        // A worker that comes late with an older verdict.
        (done(Status::Verified, 10), done(Status::Mismatch, 20)),
        // So is one that found nothing before.
        (failed(), done(Status::Mismatch, 20)),
    ];
    for (seconds, (word, expected)) in (0..).zip(words) {
        let package = package.clone();
        let item = BatchItem {
            package: package.clone(),
            progress: word,
        };
        store.note_progress("one", &[item], at(seconds)).await.unwrap();
        let expected = BatchItem {
            package,
            progress: expected,
        };
        assert_eq!(items(store, "one").await, [expected]);
    }
}

pub(crate) async fn nothing_is_noted_of_what_is_not_there(store: &impl Store) {
    let packages = versions(2);
    store
        .create_batch(&batch("one", 1), &packages[..1], at(0))
        .await
        .unwrap();
    let before = items(store, "one").await;
    for progress in [Progress::Pending, done(Status::Verified, 5), failed()] {
        for id in ["one", "two"] {
            let item = BatchItem {
                package: packages[1].clone(),
                progress: progress.clone(),
            };
            store.note_progress(id, &[item], at(0)).await.unwrap();
        }
    }
    assert_eq!(items(store, "one").await, before);
    assert_eq!(items(store, "two").await, []);
    assert_eq!(store.batch("two", at(0)).await.unwrap(), None);
}

pub(crate) async fn a_finished_batch_is_not_due_any_more(store: &impl Store) {
    let batch = batch("one", 1);
    store.create_batch(&batch, &versions(1), at(0)).await.unwrap();
    for _ in 0..2 {
        store.finish_batch("one").await.unwrap();
        assert_eq!(due(store, at(1_000_000)).await, []);
        assert_eq!(store.batch("one", at(0)).await.unwrap().as_ref(), Some(&batch));
    }
    store.finish_batch("two").await.unwrap();
    assert_eq!(store.batch("two", at(0)).await.unwrap(), None);
}

pub(crate) async fn batches_do_not_see_each_other(store: &impl Store) {
    let ids = ["1", "1#", "1%23", "11", "ITEM#", "HEAD"];
    let packages = versions(ids.len());
    for (id, package) in ids.into_iter().zip(&packages) {
        store
            .create_batch(&batch(id, 1), std::slice::from_ref(package), at(0))
            .await
            .unwrap();
    }
    for (id, package) in ids.into_iter().zip(&packages) {
        assert_eq!(store.batch(id, at(0)).await.unwrap(), Some(batch(id, 1)));
        let item = BatchItem {
            package: package.clone(),
            progress: failed(),
        };
        assert!(
            items(store, id)
                .await
                .iter()
                .all(|item| item.progress == Progress::Pending)
        );
        store
            .note_progress(id, std::slice::from_ref(&item), at(0))
            .await
            .unwrap();
        assert_eq!(items(store, id).await, [item]);
    }
}
