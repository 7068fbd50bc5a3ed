//! Rows of other times: those that were written once stay readable, and those of a newer version are left as they are.

use super::*;
use crate::adapters::conformance::releases_in_memory;
use crate::adapters::conformance::wire::{item_of, wire_item};
use crate::history::PastRelease;
use crate::ports::TraceKey;

/// Every kind of row as schema 1 has it, written once and for all. What is changed of the rows must go on reading these.
const SCHEMA_1: &str = include_str!("schema-1.json");

/// The same of schema 2, which compresses with a dictionary, folds base64, leaves small bodies with their dossier, writes the
/// row of a history or a look only when another takes its place, and keeps releases with their version, what was read
/// from the registry's list in one row, and what was seen of a run with what was seen of its commit.
const SCHEMA_2: &str = include_str!("schema-2.json");

fn seen_first() -> FirstSeen {
    FirstSeen {
        integrity: Digest::sha512_of(b"tarball"),
        at: at(0),
        artifacts: [("name.whl".to_owned(), Digest::sha256_of(b"wheel"))].into(),
        signed: true,
    }
}

fn sibling() -> Sibling {
    Sibling {
        package: package("1.0.0"),
        published_at: at(0),
    }
}

fn noted() -> BatchItem {
    BatchItem {
        package: package("1.0.0"),
        progress: Progress::Done {
            status: Status::Mismatch,
            decided_by: Vec::new(),
            checked_at: at(0),
        },
    }
}

/// What was read from the registry's list.
fn filled() -> PastRelease {
    release("0.9.0", -10)
}

/// A run of which the commit is named.
fn built() -> TraceKey {
    build_of("12", 4, 1, "ab34")
}

/// What was seen first of it and of its commit.
fn seen_of_build() -> [Observation; 2] {
    [seen(0, 200), of(Subject::Commit, seen(0, 200))]
}

/// A body that no row takes whole.
fn long() -> Vec<u8> {
    vec![b' '; 400_000]
}

/// Writes a row of every kind.
async fn write(store: &DynamoDbStore) {
    let evidence = dossier(&package("1.0.0"), 0, &long());
    let first = verdict(&evidence, Status::Verified, &[], 0);
    store
        .record(&first, &evidence, Some(&seen_first()), false)
        .await
        .unwrap();
    let evidence = dossier(&package("1.0.0"), 10, b"[]");
    let second = verdict(&evidence, Status::Mismatch, &["run.conclusion"], 10);
    store.record(&second, &evidence, None, false).await.unwrap();
    store
        .acquire_lease(&package("1.0.0"), "one", None, false, at(0), at(60))
        .await
        .unwrap();
    store.remember(&run(), &[seen(0, 200)], at(0), false).await.unwrap();
    store.remember(&run(), &[seen(10, 404)], at(10), false).await.unwrap();
    store.remember(&built(), &seen_of_build(), at(0), true).await.unwrap();
    store.remember(&built(), &[seen(10, 404)], at(10), false).await.unwrap();
    let released = release("1.0.0", 0);
    store.remember_release(&package("1.0.0"), &released).await.unwrap();
    store.fill_timeline(package("1.0.0").name(), &[filled()]).await.unwrap();
    store.remember_publication("alice", &sibling()).await.unwrap();
    store.watch(package("1.0.0").name(), at(0)).await.unwrap();
    let packages = [package("1.0.0")];
    store
        .create_batch(&conformance::batch("b1", 1), &packages, at(0))
        .await
        .unwrap();
    store.note_progress("b1", &[noted()], at(0)).await.unwrap();
    assert!(store.advance_cursor("npm", None, 7).await.unwrap());
    store.keep_trust(b"files", at(0)).await.unwrap();
}

/// Reads what [`write`] wrote.
async fn read(store: &DynamoDbStore, schema: &str) {
    let package = package("1.0.0");
    let current = store.current(&package).await.unwrap().unwrap();
    assert_eq!((current.status, current.checked_at), (Status::Mismatch, at(10)));
    let text = store.current_text(&package).await.unwrap().unwrap();
    assert_eq!(text.into_json(), serde_json::to_string(&current).unwrap());
    assert_eq!(store.last_look(&package).await.unwrap(), Some(at(10)));
    let history = store.history(&package, None, 10).await.unwrap();
    let statuses: Vec<Status> = history.iter().map(|verdict| verdict.status).collect();
    assert_eq!(statuses, [Status::Mismatch, Status::Verified]);
    let evidence = store.dossier(&history[1].dossier).await.unwrap();
    assert!(evidence == Some(dossier(&package, 0, &long())));
    assert!(
        !store
            .acquire_lease(&package, "two", None, false, at(59), at(90))
            .await
            .unwrap()
    );
    assert_eq!(store.recall(&run()).await.unwrap(), [seen(0, 200)]);
    // The same run, by the commit that it was of.
    assert_eq!(store.recall(&build()).await.unwrap()[0], seen(0, 200));
    let of_build = if schema == SCHEMA_1 { &[][..] } else { &seen_of_build() };
    assert_eq!(store.recall(&built()).await.unwrap(), of_build);
    let memory = store.past(&package, None).await.unwrap();
    assert_eq!(store.first_seen(&package).await.unwrap(), Some(seen_first()));
    assert!(memory.watched && memory.met);
    assert_eq!(releases_in_memory(store, &package).await, released(schema));
    let version = ["1.0.0".to_owned()];
    let by_version = store.releases(package.name(), &version).await.unwrap();
    assert_eq!(by_version, [release("1.0.0", 0)]);
    assert_eq!(store.published_by("alice", at(0), 10).await.unwrap(), [sibling()]);
    let entry = store.watched(package.name()).await.unwrap().unwrap();
    assert_eq!((entry.since, entry.seen_until), (at(0), None));
    assert_eq!(
        store.batch("b1", at(0)).await.unwrap(),
        Some(conformance::batch("b1", 1))
    );
    assert_eq!(store.batch_items("b1", None, 10, at(0)).await.unwrap(), [noted()]);
    assert_eq!(store.cursor("npm").await.unwrap(), Some(7));
    assert_eq!(store.trust().await.unwrap(), Some(b"files".to_vec()));
    assert_eq!(store.owed(at(10), 10).await.unwrap().len(), 2);
    let changes = store.changes(&ChangesAfter::Instant(at(0)), at(10), 10).await.unwrap();
    assert_eq!(changes.changes.len(), 2);
    assert_eq!(store.due(at(10_000), 10).await.unwrap().len(), 3);
}

fn rows_of(schema: &str) -> Vec<Item> {
    let rows: Vec<Value> = serde_json::from_str(schema).unwrap();
    rows.iter().map(item_of).collect()
}

fn released(schema: &str) -> Vec<PastRelease> {
    let mut releases = vec![release("1.0.0", 0)];
    releases.extend((schema == SCHEMA_2).then(filled));
    releases
}

#[tokio::test]
async fn rows_of_every_schema_stay_readable() {
    for (number, schema) in [(1, SCHEMA_1), (2, SCHEMA_2)] {
        let fixture = Fixture::new().await;
        for item in rows_of(schema) {
            assert_eq!(item["schema"], rows::number(number));
            fixture.put(item).await;
        }
        read(&fixture.store, schema).await;
    }
}

#[tokio::test]
async fn what_was_kept_of_a_commit_alone_stays_readable() {
    let fixture = Fixture::new().await;
    for item in rows_of(SCHEMA_2) {
        fixture.put(item).await;
    }
    let seen_of_both = [seen(0, 200), of(Subject::Tags, seen(0, 200))];
    let (one, another) = (build_of("12", 3, 1, "cd56"), build_of("12", 3, 2, "cd56"));
    assert_eq!(fixture.store.recall(&one).await.unwrap(), seen_of_both);
    assert_eq!(fixture.store.recall(&another).await.unwrap(), seen_of_both[1..]);
}

#[tokio::test]
async fn rows_of_schema_1_are_written_over_by_what_comes_later() {
    let fixture = Fixture::new().await;
    for item in rows_of(SCHEMA_1) {
        fixture.put(item).await;
    }
    let (store, package) = (&fixture.store, package("1.0.0"));
    let evidence = dossier(&package, 100, &long());
    let third = verdict(&evidence, Status::Verified, &[], 100);
    store
        .record(&third, &evidence, Some(&seen_first()), false)
        .await
        .unwrap();
    assert_eq!(store.dossier(&third.dossier).await.unwrap(), Some(evidence));
    let history = store.history(&package, None, 10).await.unwrap();
    let statuses: Vec<Status> = history.iter().map(|verdict| verdict.status).collect();
    assert_eq!(statuses, [Status::Verified, Status::Mismatch, Status::Verified]);
    store.remember(&run(), &[seen(100, 200)], at(100), false).await.unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), [seen(100, 200)]);
    store.note_progress("b1", &[noted()], at(0)).await.unwrap();
    assert_eq!(store.batch_items("b1", None, 10, at(0)).await.unwrap(), [noted()]);
    for release in [release("1.0.0", 0), release("1.0.0", 5)] {
        store.remember_release(&package, &release).await.unwrap();
        assert_eq!(
            releases_in_memory(store, &package).await,
            std::slice::from_ref(&release)
        );
        let by_version = store.releases(package.name(), &["1.0.0".to_owned()]).await.unwrap();
        assert_eq!(by_version, [release]);
    }
}

#[tokio::test]
async fn every_kind_of_row_is_among_those_that_stay_readable() {
    let fixture = Fixture::new().await;
    write(&fixture.store).await;
    read(&fixture.store, SCHEMA_2).await;
    let keys = |items: Vec<Item>| -> BTreeSet<(String, String)> {
        let key = |item: &Item, name: &str| rows::text_of(item, name).unwrap().to_owned();
        items.iter().map(|item| (key(item, "pk"), key(item, "sk"))).collect()
    };
    let (written, recorded) = (keys(fixture.all().await), keys(rows_of(SCHEMA_2)));
    assert!(written.is_subset(&recorded), "{}", print(&fixture.all().await));
    let unwritten = recorded.difference(&written);
    let unwritten: Vec<_> = unwritten.map(|(pk, sk)| (pk.as_str(), sk.as_str())).collect();
    let expected = [
        ("BATCH#b1", "ITEM#pkg:npm/%40scope/name@1.0.0"),
        ("TRACE#COMMIT#12#cd56", "KEPT"),
    ];
    assert_eq!(
        unwritten, expected,
        "not written any more, or of a commit with many runs alone"
    );
    assert!(written.len() > 20);
}

/// The rows as the file has them: what a new kind of row adds to it.
fn print(items: &[Item]) -> String {
    let mut lines: Vec<String> = items.iter().map(|item| wire_item(item).to_string()).collect();
    lines.sort();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[tokio::test]
async fn what_a_later_version_adds_to_a_row_of_this_schema_is_passed_over() {
    let fixture = Fixture::new().await;
    for mut item in rows_of(SCHEMA_2) {
        item.insert("added".to_owned(), rows::text("later"));
        fixture.put(item).await;
    }
    read(&fixture.store, SCHEMA_2).await;
}

#[tokio::test]
async fn a_row_of_a_newer_schema_is_a_clear_fault_and_is_left_as_it_is() {
    let fixture = Fixture::new().await;
    write(&fixture.store).await;
    let mut before = Vec::new();
    for mut item in fixture.all().await {
        item.insert("schema".to_owned(), rows::number(rows::SCHEMA + 1));
        fixture.put(item.clone()).await;
        before.push(item);
    }
    let store = &fixture.store;
    let (package, name) = (package("1.0.0"), package("1.0.0").name().clone());
    let evidence = dossier(&package, 20, b"[]");
    let later = verdict(&evidence, Status::Verified, &[], 20);
    let details = [
        corrupt(store.current(&package).await),
        corrupt(store.record(&later, &evidence, None, false).await),
        corrupt(store.mark_removed(&package, at(20)).await),
        corrupt(store.past(&package, None).await),
        corrupt(store.first_seen(&package).await),
        corrupt(store.history(&package, None, 10).await),
        corrupt(store.recall(&run()).await),
        corrupt(store.remember(&run(), &[seen(20, 200)], at(20), false).await),
        corrupt(store.recall(&built()).await),
        corrupt(store.recall(&build()).await),
        corrupt(store.remember(&built(), &[seen(20, 200)], at(20), true).await),
        corrupt(store.remember_release(&package, &release("1.0.0", 5)).await),
        corrupt(store.releases(&name, &["1.0.0".to_owned()]).await),
        corrupt(store.published_by("alice", at(20), 10).await),
        corrupt(store.watch(&name, at(20)).await),
        corrupt(store.batch("b1", at(20)).await),
        corrupt(store.batch_items("b1", None, 10, at(20)).await),
        corrupt(store.note_progress("b1", &[noted()], at(0)).await),
        corrupt(store.cursor("npm").await),
        corrupt(store.trust().await),
        corrupt(store.changes(&ChangesAfter::Instant(at(0)), at(20), 10).await),
    ];
    for detail in details {
        assert!(detail.contains("written by a newer version"), "{detail}");
    }
    store.keep_trust(b"later", at(20)).await.unwrap();
    store.finish_batch("b1").await.unwrap();
    store.look_by(&name, at(-10)).await.unwrap();
    assert!(!store.advance_cursor("npm", Some(7), 8).await.unwrap());
    assert!(!store.reset_cursor("npm", 7, 1).await.unwrap());
    for due in store.due(at(10_000), 10).await.unwrap() {
        assert!(!store.claim(&due, at(20_000)).await.unwrap(), "{due:?}");
    }
    for item in before {
        let (pk, sk) = (rows::text_of(&item, "pk").unwrap(), rows::text_of(&item, "sk").unwrap());
        assert_eq!(fixture.row(pk, sk).await, item);
    }
}

#[tokio::test]
async fn a_row_of_a_newer_schema_without_a_revision_is_not_written_over() {
    let fixture = Fixture::new().await;
    write(&fixture.store).await;
    let mut before = Vec::new();
    for mut item in fixture.all().await {
        let (pk, sk) = (rows::text_of(&item, "pk").unwrap(), rows::text_of(&item, "sk").unwrap());
        // Looks, and what else follows from its keys, are never asked for a revision.
        let is_conditional = ["KEPT", "RELEASE#", "FILLED"].iter().any(|kind| sk.starts_with(kind));
        if !is_conditional || !item.contains_key("revision") {
            // The row of the version would give the release away.
            if sk.starts_with("VERSION#") {
                fixture.delete(pk, sk).await;
            }
            continue;
        }
        item.remove("revision");
        item.insert("schema".to_owned(), rows::number(rows::SCHEMA + 1));
        fixture.put(item.clone()).await;
        before.push(item);
    }
    assert_eq!(
        before.len(),
        4,
        "a run, one of a commit, a release, and those that were met"
    );
    let store = &fixture.store;
    let package = package("1.0.0");
    for is_first in [false, true] {
        for key in [run(), built()] {
            let look = [seen(20, 200), of(Subject::Commit, seen(20, 200))];
            corrupt(store.remember(&key, &look, at(20), is_first).await);
        }
    }
    assert!(!store.meet(&package, None, &[filled()]).await.unwrap());
    corrupt(store.remember_release(&package, &release("1.0.0", 0)).await);
    // Where the row of those that were met is missed, that of the release is.
    let met = before.iter().find(|item| item["sk"] == rows::text("FILLED")).unwrap();
    fixture.delete(rows::text_of(met, "pk").unwrap(), "FILLED").await;
    corrupt(store.remember_release(&package, &release("1.0.0", 0)).await);
    fixture.put(met.clone()).await;
    for item in before {
        let (pk, sk) = (rows::text_of(&item, "pk").unwrap(), rows::text_of(&item, "sk").unwrap());
        assert_eq!(fixture.row(pk, sk).await, item);
    }
}
