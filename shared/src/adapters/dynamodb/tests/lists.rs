//! How the watch list, batches and the schedule are asked and written.

use super::*;
use crate::adapters::conformance::batch;
use crate::adapters::conformance::batches::versions;
use crate::package::PackageName;

fn names(count: usize) -> Vec<PackageName> {
    versions(count).iter().map(|package| package.name().clone()).collect()
}

/// A store on a wire that nothing is forwarded on.
fn unconnected(script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static) -> (DynamoDbStore, Wire) {
    let wire = Wire::new(None, script);
    let client = Client::from_conf(config(([127, 0, 0, 1], 1).into()).http_client(wire.clone()).build());
    (DynamoDbStore::new(client, TABLE), wire)
}

#[tokio::test]
async fn a_hundred_names_are_one_request() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    store.watched_among(&names(250)).await.unwrap();
    let calls = wire.take_calls();
    let mut sizes: Vec<usize> = calls
        .iter()
        .map(|call| call.input["RequestItems"][TABLE]["Keys"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
    assert!(
        calls
            .iter()
            .all(|call| call.input["RequestItems"][TABLE]["ConsistentRead"] == false)
    );
}

#[tokio::test]
async fn names_that_were_left_unprocessed_are_asked_about_again() {
    let fixture = Fixture::new().await;
    let names = names(3);
    for name in &names {
        fixture.store.watch(name, at(0)).await.unwrap();
    }
    let (store, wire) = fixture.wired(|call, before| {
        (call.operation == "BatchGetItem" && before < 2).then(|| {
            (
                200,
                json!({ "Responses": {}, "UnprocessedKeys": call.input["RequestItems"] }),
            )
        })
    });
    assert_eq!(store.watched_among(&names).await.unwrap().len(), 3);
    assert_eq!(wire.take_operations(), ["BatchGetItem"; 3]);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_corrupt_and_is_on_the_list_all_the_same() {
    let fixture = Fixture::new().await;
    let name = package("1.0.0").name().clone();
    let entry = fixture.store.watch(&name, at(0)).await.unwrap();
    let (pk, sk) = keys::watch(&name);
    for (attribute, value) in [
        ("schema", rows::number(rows::SCHEMA + 1)),
        ("since", rows::text("yesterday")),
        ("seen_until", rows::number(1)),
        ("next_look_at", rows::text("")),
    ] {
        let before = fixture.row(&pk, &sk).await;
        fixture
            .tamper(&pk, &sk, |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        corrupt(fixture.store.watched(&name).await);
        corrupt(fixture.store.watch(&name, at(0)).await);
        corrupt(fixture.store.watch_list(None, 10).await);
        let among = fixture.store.watched_among(std::slice::from_ref(&name)).await.unwrap();
        assert_eq!(among, std::slice::from_ref(&name));
        assert!(!fixture.store.handed_over(&entry, Some(at(0)), at(60)).await.unwrap() || attribute == "seen_until");
        fixture.put(before).await;
    }
}

#[tokio::test]
async fn the_head_of_a_batch_is_written_last() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let (many, one) = (versions(10_000), batch("one", 10_000));
    store.create_batch(&one, &many, at(0)).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["BatchWriteItem", "PutItem"]);
    let written = calls[0].input["RequestItems"][TABLE].as_array().unwrap().len();
    assert_eq!(written, 20, "rows of five hundred versions each");
    store.batch_items("one", None, 100, at(0)).await.unwrap();
    let calls = wire.take_calls();
    assert!(calls.iter().all(|call| call.input["ConsistentRead"] == true));

    let (store, _) = fixture.wired(|call, _| (call.operation == "BatchWriteItem").then(|| fault("AccessDenied")));
    assert!(
        store
            .create_batch(&batch("two", 60), &versions(60), at(0))
            .await
            .is_err()
    );
    assert_eq!(fixture.store.batch("two", at(0)).await.unwrap(), None);
    let due = fixture.store.due(at(0), 10).await.unwrap();
    assert_eq!(due.len(), 1, "only the first");
}

#[tokio::test]
async fn versions_that_were_left_unprocessed_are_written_again() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|call, before| {
        (call.operation == "BatchWriteItem" && before < 3)
            .then(|| (200, json!({ "UnprocessedItems": call.input["RequestItems"] })))
    });
    store
        .create_batch(&batch("one", 20), &versions(20), at(0))
        .await
        .unwrap();
    assert_eq!(
        wire.take_operations(),
        [
            "BatchWriteItem",
            "BatchWriteItem",
            "BatchWriteItem",
            "BatchWriteItem",
            "PutItem"
        ]
    );
    assert_eq!(store.batch_items("one", None, 100, at(0)).await.unwrap().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_batch_request_that_is_throttled_as_a_whole_is_sent_again() {
    for kind in [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
    ] {
        // More often than the client itself repeats a request.
        let (store, wire) = unconnected(move |call, before| match call.operation.as_str() {
            "BatchWriteItem" | "BatchGetItem" if before < 5 => Some(fault(kind)),
            "BatchGetItem" => Some((200, json!({ "Responses": {}, "UnprocessedKeys": {} }))),
            _ => Some((200, json!({ "UnprocessedItems": {} }))),
        });
        store.create_batch(&batch("one", 1), &versions(1), at(0)).await.unwrap();
        store.watched_among(&names(1)).await.unwrap();
        let operations = wire.take_operations();
        let count = |name| operations.iter().filter(|operation| *operation == name).count();
        assert_eq!(
            (count("BatchWriteItem"), count("BatchGetItem"), count("PutItem")),
            (6, 6, 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_request_that_is_throttled_for_good_is_a_fault() {
    let (store, _) = unconnected(|_, _| Some(fault("ProvisionedThroughputExceededException")));
    let written = store.create_batch(&batch("one", 1), &versions(1), at(0)).await;
    assert!(matches!(written, Err(StoreFault::Unreachable(_))));
    assert!(store.watched_among(&names(1)).await.is_err());
}

#[tokio::test]
async fn a_row_of_a_batch_or_a_cursor_that_cannot_be_read_is_corrupt() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    store.create_batch(&batch("one", 1), &versions(1), at(0)).await.unwrap();
    assert!(store.advance_cursor("npm", None, 1).await.unwrap());
    let failed = BatchItem {
        package: versions(1).remove(0),
        progress: Progress::Failed {
            code: "not_found".to_owned(),
            message: String::new(),
        },
    };
    let item = keys::item_key(&failed.package.to_purl());
    let expires = conformance::batch("one", 1).expires_at;
    let as_before = [
        ("progress", rows::json(&failed.progress).unwrap()),
        ("expires", rows::expiry(expires)),
    ];
    fixture
        .put(rows::item_with("BATCH#one".to_owned(), &item, as_before))
        .await;
    store
        .note_progress("one", std::slice::from_ref(&failed), at(0))
        .await
        .unwrap();
    let said = serde_json::to_vec(&[&failed]).unwrap();
    let note = keys::note_key(at(0), &Digest::sha256_of(&said));
    let packed = |text: &[u8]| AttributeValue::B(Binary::new(packing::pack(text).unwrap()));
    for (pk, sk, attribute, value) in [
        ("BATCH#one", "HEAD", "schema", rows::number(rows::SCHEMA + 1)),
        ("BATCH#one", "HEAD", "total", rows::number(-1)),
        ("BATCH#one", "HEAD", "created_at", rows::number(1)),
        ("BATCH#one", "HEAD", "expires_at", rows::text("never")),
        ("BATCH#one", item.as_str(), "schema", rows::number(rows::SCHEMA + 1)),
        ("BATCH#one", item.as_str(), "progress", rows::text("{}")),
        ("BATCH#one", item.as_str(), "checked_at", rows::text("never")),
        ("BATCH#one", note.as_str(), "schema", rows::number(rows::SCHEMA + 1)),
        ("BATCH#one", note.as_str(), "noted", packed(b"[1]")),
        ("BATCH#one", note.as_str(), "noted_size", rows::number(1)),
        ("BATCH#one", note.as_str(), "expires", rows::text("never")),
        ("BATCH#one", "LIST#0000", "schema", rows::number(rows::SCHEMA + 1)),
        ("BATCH#one", "LIST#0000", "packages", packed(b"[1]")),
        ("BATCH#one", "LIST#0000", "packages_size", rows::number(1)),
        ("CURSOR#npm", "CURSOR", "schema", rows::number(rows::SCHEMA + 1)),
        ("CURSOR#npm", "CURSOR", "position", rows::text("1")),
    ] {
        let before = fixture.row(pk, sk).await;
        fixture
            .tamper(pk, sk, |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        match sk {
            "HEAD" => drop(corrupt(store.batch("one", at(0)).await)),
            "CURSOR" => drop(corrupt(store.cursor("npm").await)),
            _ => drop(corrupt(store.batch_items("one", None, 10, at(0)).await)),
        }
        fixture.put(before).await;
    }
}

#[tokio::test]
async fn a_row_of_another_schema_is_not_written_over() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let batch = Batch {
        total: 1,
        ..batch("one", 1)
    };
    store.create_batch(&batch, &versions(1), at(0)).await.unwrap();
    assert!(store.advance_cursor("npm", None, 1).await.unwrap());
    let package = versions(1).remove(0);
    let keys = [("BATCH#one", "HEAD"), ("CURSOR#npm", "CURSOR")];
    let mut before = Vec::new();
    for (pk, sk) in keys {
        fixture
            .tamper(pk, sk, |item| {
                item.insert("schema".to_owned(), rows::number(rows::SCHEMA + 1));
            })
            .await;
        before.push(fixture.row(pk, sk).await);
    }
    let item = BatchItem {
        package,
        progress: Progress::Failed {
            code: "not_found".to_owned(),
            message: String::new(),
        },
    };
    corrupt(store.note_progress("one", &[item], at(0)).await);
    store.finish_batch("one").await.unwrap();
    let due = Due {
        task: Task::Batch("one".to_owned()),
        since: at(0),
    };
    assert!(!store.claim(&due, at(60)).await.unwrap());
    assert!(!store.advance_cursor("npm", Some(1), 2).await.unwrap());
    for ((pk, sk), before) in keys.into_iter().zip(before) {
        assert_eq!(fixture.row(pk, sk).await, before);
    }
}
