//! The store against a DynamoDB, and against one that answers as a test wants.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob as Binary;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::*;
use crate::adapters::conformance;
use crate::adapters::conformance::wire::{Call, Reply, Wire, wire_item};
use crate::adapters::conformance::{
    at, build, build_of, dossier, noise, of, package, release, run, seen, store_conformance, verdict,
};
use crate::adapters::embedded::{EmbeddedDynamoDb, TABLE, config, plain_http};
use crate::dossier::{Dossier, Observation, Subject};
use crate::ports::{
    Batch, BatchItem, BatchStore as _, ChangeStore as _, ChangesAfter, Due, FirstSeen, Progress, Recorded,
    ScheduleStore as _, Sibling, SignatureStore as _, Task, TrustStore as _, VerdictStore as _, VerdictText,
    WatchStore as _,
};
use crate::verdict::{Status, Verdict};

mod consistency;
mod limits;
mod lists;
mod outbox;
mod remembered;
mod schemas;

#[test]
fn whether_a_version_was_removed_is_not_for_the_recorded_text_to_say() {
    let verdict = verdict(&dossier(&package("1.0.0"), 0, b"[]"), Status::Verified, &[], 0);
    let marked = |removed_at| Verdict {
        removed_at,
        ..verdict.clone()
    };
    for recorded in [None, Some(at(30))] {
        for mark in [None, Some(at(60))] {
            let json = serde_json::to_vec(&marked(recorded)).unwrap();
            let text = VerdictText::recorded(json, mark).unwrap();
            assert_eq!(text.verdict().unwrap(), marked(mark));
            assert_eq!(text.into_json(), serde_json::to_string(&marked(mark)).unwrap());
        }
    }
}

#[test]
fn what_is_no_verdict_is_corrupt() {
    let head = |schema: &str| json!({ "schema": schema, "validUntil": at(0) }).to_string();
    for text in [
        &b""[..],
        b"{}",
        b"[]",
        b"\xff",
        br#"{"validUntil":"soon"}"#,
        br#"{"validUntil":"2026-11-22T00:00:00Z"}"#,
        head("another").as_bytes(),
    ] {
        let fault = VerdictText::recorded(text.to_vec(), None).unwrap_err();
        assert!(matches!(fault, StoreFault::Corrupt(_)), "{fault}");
    }
    let text = VerdictText::recorded(head(crate::verdict::SCHEMA).into_bytes(), None).unwrap();
    assert!(matches!(text.verdict(), Err(StoreFault::Corrupt(_))));
}

/// A server and a store in it.
struct Fixture {
    store: DynamoDbStore,
    server: EmbeddedDynamoDb,
}

impl Fixture {
    async fn new() -> Self {
        let server = EmbeddedDynamoDb::start(None).await.unwrap();
        Self {
            store: server.store(),
            server,
        }
    }

    fn store(&self) -> &DynamoDbStore {
        &self.store
    }

    /// The same store, through a wire that counts requests and answers some of them.
    fn wired(&self, script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static) -> (DynamoDbStore, Wire) {
        let wire = Wire::new(Some(plain_http()), script);
        let client = Client::from_conf(config(self.server.address()).http_client(wire.clone()).build());
        (DynamoDbStore::new(client, TABLE), wire)
    }

    async fn row(&self, pk: &str, sk: &str) -> Item {
        let request = self.server.client().get_item().table_name(TABLE);
        request
            .key("pk", rows::text(pk))
            .key("sk", rows::text(sk))
            .send()
            .await
            .unwrap()
            .item
            .unwrap()
    }

    /// Every row of the table.
    async fn all(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let request = self.server.client().scan().table_name(TABLE);
            let output = request.set_exclusive_start_key(start).send().await.unwrap();
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }

    async fn delete(&self, pk: &str, sk: &str) {
        let request = self.server.client().delete_item().table_name(TABLE);
        request
            .key("pk", rows::text(pk))
            .key("sk", rows::text(sk))
            .send()
            .await
            .unwrap();
    }

    async fn put(&self, item: Item) {
        self.server
            .client()
            .put_item()
            .table_name(TABLE)
            .set_item(Some(item))
            .send()
            .await
            .unwrap();
    }

    /// Changes attributes of a row behind the store's back.
    async fn tamper(&self, pk: &str, sk: &str, change: impl FnOnce(&mut Item)) {
        let mut item = self.row(pk, sk).await;
        change(&mut item);
        self.put(item).await;
    }
}

store_conformance!(Fixture::new);

const PKG: &str = "PKG#pkg:npm/%40scope/name@1.0.0";

fn sample(seconds: i64) -> (Verdict, Dossier) {
    let dossier = dossier(&package("1.0.0"), seconds, &large());
    (verdict(&dossier, Status::Verified, &[], seconds), dossier)
}

/// A verdict that is another than that of [`sample`].
fn changed(seconds: i64) -> (Verdict, Dossier) {
    let (_, dossier) = sample(seconds);
    (
        verdict(&dossier, Status::Mismatch, &["run.conclusion"], seconds),
        dossier,
    )
}

/// A body that has a row of its own.
fn large() -> Vec<u8> {
    noise(5_000)
}

fn fault(kind: &str) -> Reply {
    fault_with(kind, json!({}))
}

/// A fault with members of its own besides type and message.
fn fault_with(kind: &str, mut body: Value) -> Reply {
    body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{kind}").into();
    body["message"] = kind.into();
    (400, body)
}

fn corrupt<T: std::fmt::Debug>(result: Result<T, StoreFault>) -> String {
    match result.unwrap_err() {
        StoreFault::Corrupt(detail) => detail,
        StoreFault::Unreachable(source) => panic!("not corrupt, but unreachable: {source}"),
    }
}

#[tokio::test]
async fn a_verdict_takes_one_read_and_two_writes() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);

    let (first, evidence) = sample(0);
    store.record(&first, &evidence, None, false).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["GetItem", "BatchWriteItem", "TransactWriteItems"]);
    let written = |call: &Call| call.input["RequestItems"][TABLE].as_array().unwrap().len();
    assert_eq!(written(&calls[1]), 2, "the dossier and its large body");

    let (second, evidence) = sample(10);
    store.record(&second, &evidence, None, false).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(
        operations,
        ["GetItem", "BatchWriteItem", "PutItem", "UpdateItem"],
        "the first goes into the history before another takes its place"
    );
    assert_eq!(written(&calls[1]), 1, "the body is there already");

    store.record(&second, &evidence, None, false).await.unwrap();
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "UpdateItem"],
        "the dossier is there already"
    );

    let dossier = dossier(&package("1.0.0"), 20, b"[]");
    store
        .record(
            &verdict(&dossier, Status::Indeterminate, &[], 20),
            &dossier,
            None,
            false,
        )
        .await
        .unwrap();
    assert_eq!(wire.take_operations(), ["GetItem", "BatchWriteItem", "UpdateItem"]);

    // Of a version that is not looked at again everything is in one row; whoever holds the lease knows that there is no verdict.
    let evidence = conformance::dossier(&package("2.0.0"), 30, &[b' '; 10_000]);
    let calm = Verdict {
        next_look_at: None,
        ..verdict(&evidence, Status::Verified, &[], 30)
    };
    store.record(&calm, &evidence, None, true).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["BatchWriteItem", "UpdateItem"]);
    assert_eq!(written(&calls[0]), 1);
    assert_eq!(store.dossier(&calm.dossier).await.unwrap(), Some(evidence.clone()));
    wire.take_calls();
    // Where that is not so any more, nothing is lost.
    let later = verdict(&evidence, Status::Mismatch, &["run.conclusion"], 40);
    let recorded = store.record(&later, &evidence, None, true).await.unwrap();
    assert!(matches!(recorded, Recorded::Current { previous: Some(previous), .. } if *previous == calm));
    assert_eq!(
        wire.take_operations(),
        [
            "BatchWriteItem",
            "TransactWriteItems",
            "GetItem",
            "PutItem",
            "TransactWriteItems"
        ]
    );

    store.current(&first.package).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem"]);
    store.past(&first.package, None).await.unwrap();
    let calls = wire.take_calls();
    let operations: BTreeSet<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(
        (calls.len(), operations),
        (3, BTreeSet::from(["BatchGetItem", "GetItem", "Query"]))
    );
    store
        .acquire_lease(&first.package, "one", None, false, at(0), at(60))
        .await
        .unwrap();
    store.release_lease(&first.package, "one").await.unwrap();
    assert_eq!(wire.take_operations(), ["PutItem", "DeleteItem"]);
    store.history(&first.package, None, 10).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem", "Query"]);
    store.dossier(&first.dossier).await.unwrap();
    assert_eq!(wire.take_operations(), ["BatchGetItem", "BatchGetItem"]);
    store.due(at(0), 10).await.unwrap();
    assert_eq!(wire.take_operations(), ["Query"; 8]);
}

#[tokio::test(start_paused = true)]
async fn what_changes_at_every_attempt_is_a_fault() {
    let wire = Wire::new(None, |call, _| match call.operation.as_str() {
        "GetItem" => Some((200, json!({}))),
        "BatchGetItem" => Some((200, json!({ "Responses": { TABLE: [] }, "UnprocessedKeys": {} }))),
        "PutItem" => Some(fault("ConditionalCheckFailedException")),
        _ => Some(fault_with(
            "TransactionCanceledException",
            json!({ "CancellationReasons": [{ "Code": "ConditionalCheckFailed" }, { "Code": "None" }] }),
        )),
    });
    let client = Client::from_conf(config(([127, 0, 0, 1], 1).into()).http_client(wire.clone()).build());
    let store = DynamoDbStore::new(client, TABLE);
    assert!(matches!(
        store.remember(&run(), &[seen(0, 200)], at(0), false).await,
        Err(StoreFault::Unreachable(_))
    ));
    assert_eq!(wire.take_operations().len(), 18, "nine attempts");
    assert!(matches!(
        store.remember_release(&package("1.0.0"), &release("1.0.0", 0)).await,
        Err(StoreFault::Unreachable(_))
    ));
    assert_eq!(wire.take_operations().len(), 18, "nine attempts");
}

#[tokio::test]
async fn evidence_is_written_before_the_verdict() {
    let fixture = Fixture::new().await;
    let (store, _) =
        fixture.wired(|call, _| (call.operation == "TransactWriteItems").then(|| fault("AccessDeniedException")));
    let (verdict, evidence) = sample(0);
    assert!(matches!(
        store.record(&verdict, &evidence, None, false).await,
        Err(StoreFault::Unreachable(_))
    ));
    assert_eq!(fixture.store.dossier(&verdict.dossier).await.unwrap(), Some(evidence));
    assert_eq!(fixture.store.current(&verdict.package).await.unwrap(), None);
}

#[tokio::test]
async fn an_unprocessed_item_is_written_again() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|call, before| {
        (call.operation == "BatchWriteItem" && before < 2)
            .then(|| (200, json!({ "UnprocessedItems": call.input["RequestItems"] })))
    });
    let (verdict, evidence) = sample(0);
    store.record(&verdict, &evidence, None, false).await.unwrap();
    let operations = wire.take_operations();
    assert_eq!(
        operations
            .iter()
            .filter(|operation| *operation == "BatchWriteItem")
            .count(),
        3
    );
    assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(evidence));
}

#[tokio::test]
async fn an_unprocessed_key_is_read_again() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    fixture.store.record(&verdict, &evidence, None, false).await.unwrap();
    let (store, wire) = fixture.wired(|call, before| {
        (call.operation == "BatchGetItem" && before < 2).then(|| {
            (
                200,
                json!({ "Responses": {}, "UnprocessedKeys": call.input["RequestItems"] }),
            )
        })
    });
    assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(evidence));
    assert_eq!(wire.take_operations().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_processed_is_a_fault() {
    let wire = Wire::new(None, |call, _| match call.operation.as_str() {
        "GetItem" => Some((200, json!({}))),
        "BatchWriteItem" => Some((200, json!({ "UnprocessedItems": call.input["RequestItems"] }))),
        _ => None,
    });
    let client = Client::from_conf(config(([127, 0, 0, 1], 1).into()).http_client(wire.clone()).build());
    let (verdict, evidence) = sample(0);
    let started = tokio::time::Instant::now();
    let result = DynamoDbStore::new(client, TABLE)
        .record(&verdict, &evidence, None, false)
        .await;
    assert!(matches!(result, Err(StoreFault::Unreachable(_))));
    assert_eq!(wire.take_operations().len(), 10, "one read, and nine attempts to write");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_throttled_write_is_retried() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|call, before| {
        let kind = match call.operation.as_str() {
            "TransactWriteItems" => "ThrottlingException",
            "BatchWriteItem" => "ProvisionedThroughputExceededException",
            _ => "RequestLimitExceeded",
        };
        (before == 0).then(|| fault(kind))
    });
    let (verdict, evidence) = sample(0);
    store.record(&verdict, &evidence, None, false).await.unwrap();
    assert_eq!(wire.take_operations().len(), 6, "each request twice");
    assert_eq!(store.current(&verdict.package).await.unwrap(), Some(verdict));
}

#[tokio::test]
async fn a_store_that_throttles_for_good_is_unreachable() {
    let fixture = Fixture::new().await;
    let (store, _) = fixture.wired(|_, _| Some(fault("ThrottlingException")));
    assert!(matches!(
        store.current(&package("1.0.0")).await,
        Err(StoreFault::Unreachable(_))
    ));
}

#[tokio::test]
async fn a_transaction_in_conflict_with_another_is_decided_again() {
    let fixture = Fixture::new().await;
    for code in ["TransactionConflict", "ConditionalCheckFailed", "ThrottlingError"] {
        let (store, wire) = fixture.wired(move |call, before| {
            (call.operation == "TransactWriteItems" && before == 0).then(|| {
                let reasons = json!({ "CancellationReasons": [{ "Code": code }, { "Code": "None" }] });
                fault_with("TransactionCanceledException", reasons)
            })
        });
        let dossier = dossier(&package(&format!("1.0.0-{code}")), 0, b"[]");
        store
            .record(&verdict(&dossier, Status::Verified, &[], 0), &dossier, None, false)
            .await
            .unwrap();
        assert_eq!(
            wire.take_operations(),
            [
                "GetItem",
                "BatchWriteItem",
                "TransactWriteItems",
                "GetItem",
                "TransactWriteItems"
            ]
        );
    }
}

#[tokio::test]
async fn a_transaction_that_can_never_succeed_is_not_repeated() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|call, _| {
        (call.operation == "TransactWriteItems").then(|| {
            let reasons = json!({ "CancellationReasons": [{ "Code": "ValidationError" }, { "Code": "None" }] });
            fault_with("TransactionCanceledException", reasons)
        })
    });
    let (verdict, evidence) = sample(0);
    assert!(matches!(
        store.record(&verdict, &evidence, None, false).await,
        Err(StoreFault::Unreachable(_))
    ));
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "BatchWriteItem", "TransactWriteItems"]
    );
}

#[tokio::test]
async fn a_write_that_was_overtaken_is_decided_again() {
    let fixture = Fixture::new().await;
    let (overtaking, evidence) = sample(100);
    let dossier = dossier(&package("1.0.0"), 50, b"[]");
    let overtaken = verdict(&dossier, Status::Mismatch, &[], 50);
    // The first read is answered with nothing, as if the other verdict were recorded right after it.
    fixture.store.record(&overtaking, &evidence, None, false).await.unwrap();
    let (store, _) =
        fixture.wired(|call, before| (call.operation == "GetItem" && before == 0).then(|| (200, json!({}))));
    let recorded = store.record(&overtaken, &dossier, None, false).await.unwrap();
    assert_eq!(
        recorded,
        Recorded::KeptExisting {
            current: Box::new(overtaking)
        }
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_corrupt() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    let changes: [(&str, AttributeValue); 8] = [
        ("schema", rows::number(rows::SCHEMA + 1)),
        ("verdict", rows::text("{}")),
        ("verdict", AttributeValue::B(Binary::new(b"not zstd".to_vec()))),
        ("verdict", AttributeValue::B(Binary::new(packing::pack(b"{}").unwrap()))),
        ("verdict_size", rows::text("many")),
        ("first_seen", rows::text("yesterday")),
        ("bodies", rows::text("none")),
        ("dossier", rows::text("md5:00")),
    ];
    for (attribute, value) in changes {
        fixture.delete(PKG, "VERDICT").await;
        fixture.store.record(&verdict, &evidence, None, false).await.unwrap();
        fixture
            .tamper(PKG, "VERDICT", |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        let detail = corrupt(fixture.store.current(&verdict.package).await);
        assert!(detail.contains(attribute) || detail.contains("verdict"), "{detail}");
        corrupt(fixture.store.record(&verdict, &evidence, None, false).await);
    }
}

#[tokio::test]
async fn evidence_that_was_changed_or_lost_is_corrupt() {
    let fixture = Fixture::new().await;
    let dossier = dossier(&package("1.0.0"), 0, &noise(800_000));
    let verdict = verdict(&dossier, Status::Verified, &[], 0);
    fixture.store.record(&verdict, &dossier, None, false).await.unwrap();
    let body = keys::body_key(&Digest::sha256_of(&noise(800_000)));
    let outline = keys::dossier_key(&verdict.dossier);
    let data = |bytes: &[u8]| AttributeValue::B(Binary::new(packing::pack(bytes).unwrap()));

    for (pk, sk) in [(&body, "PART#0000"), (&body, "PART#0002"), (&outline, "PART#0000")] {
        let before = fixture.row(pk, sk).await;
        fixture
            .tamper(pk, sk, |item| {
                item.insert("data".to_owned(), data(b"{}"));
                item.insert("size".to_owned(), rows::number(2));
            })
            .await;
        corrupt(fixture.store.dossier(&verdict.dossier).await);

        fixture.delete(pk, sk).await;
        if pk == &outline {
            assert_eq!(fixture.store.dossier(&verdict.dossier).await.unwrap(), None);
        } else {
            corrupt(fixture.store.dossier(&verdict.dossier).await);
        }
        fixture.put(before).await;
    }
    assert!(
        fixture.store.dossier(&verdict.dossier).await.unwrap() == Some(dossier),
        "the dossier differs"
    );
}

#[tokio::test]
async fn a_row_of_the_index_that_cannot_be_read_does_not_stop_the_others() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    fixture.store.record(&verdict, &evidence, None, false).await.unwrap();
    let mut stranger = fixture.row(PKG, "VERDICT").await;
    stranger.insert("pk".to_owned(), rows::text("PKG#pkg:unheard-of/name@1.0.0"));
    stranger.insert("due_at".to_owned(), rows::text(keys::instant(at(-100))));
    fixture.put(stranger).await;
    assert_eq!(
        conformance::due(&fixture.store, at(600)).await,
        [conformance::version()]
    );
}

#[tokio::test]
async fn creating_the_table_twice_changes_nothing() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    fixture.store.record(&verdict, &evidence, None, false).await.unwrap();
    DynamoDbStore::create_table(&fixture.server.client(), TABLE)
        .await
        .unwrap();
    assert_eq!(fixture.store.current(&verdict.package).await.unwrap(), Some(verdict));
}

#[tokio::test]
async fn the_rows_are_those_that_the_documentation_lists() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    let first_seen = FirstSeen {
        integrity: Digest::sha512_of(b"tarball"),
        at: at(0),
        artifacts: std::collections::BTreeMap::new(),
        signed: true,
    };
    fixture
        .store
        .record(&verdict, &evidence, Some(&first_seen), false)
        .await
        .unwrap();
    fixture
        .store
        .acquire_lease(&verdict.package, "one", None, false, at(0), at(60))
        .await
        .unwrap();
    let attributes = |item: Item| {
        item.into_keys()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let dossier = verdict.dossier.to_hex();
    assert_eq!(
        attributes(fixture.row(PKG, "VERDICT").await),
        "bodies checked_at dossier due_at due_shard first_seen is_change pk schema sk status verdict verdict_size"
    );
    let (changed, evidence) = changed(10);
    fixture.store.record(&changed, &evidence, None, false).await.unwrap();
    assert_eq!(
        attributes(
            fixture
                .row(PKG, &format!("HISTORY#2026-11-22T10:00:00.000000000Z#{dossier}"))
                .await
        ),
        "checked_at dossier pk schema sk status verdict verdict_size"
    );
    let lease = fixture.row(PKG, "LEASE").await;
    assert_eq!(lease["until"], rows::text("2026-11-22T10:01:00.000000000Z"));
    assert_eq!(
        lease["expires"],
        AttributeValue::N((at(60).as_second() + 1).to_string())
    );
    assert_eq!(attributes(lease), "after expires holder pk schema sk until");
    assert_eq!(
        attributes(fixture.row(&format!("DOSSIER#{dossier}"), "PART#0000").await),
        "data parts pk schema size sk"
    );
    let body = Digest::sha256_of(&large()).to_hex();
    assert_eq!(
        attributes(fixture.row(&format!("BODY#{body}"), "PART#0000").await),
        "data parts pk schema size sk"
    );

    let store = &fixture.store;
    store.remember(&run(), &[seen(0, 200)], at(0), false).await.unwrap();
    assert_eq!(
        attributes(fixture.row("TRACE#RUN#12#3#1", "KEPT").await),
        "looked_at pk revision schema seen seen_size sk"
    );
    store.remember(&run(), &[seen(10, 404)], at(10), false).await.unwrap();
    store.remember(&build(), &[seen(0, 200)], at(0), true).await.unwrap();
    assert_eq!(
        attributes(fixture.row("TRACE#COMMIT#12#ab34", "KEPT#3#1").await),
        "looked_at pk revision schema seen seen_size sk"
    );
    let package = &verdict.package;
    store.remember_release(package, &release("1.0.0", 0)).await.unwrap();
    store
        .fill_timeline(package.name(), &[release("0.9.0", -10)])
        .await
        .unwrap();
    let sibling = Sibling {
        package: verdict.package.clone(),
        published_at: at(0),
    };
    store.remember_publication("github:o/r", &sibling).await.unwrap();
    let entry = store.watch(verdict.package.name(), at(0)).await.unwrap();
    assert!(store.handed_over(&entry, Some(at(0)), at(60)).await.unwrap());
    let batch = conformance::batch("b1", 1);
    store
        .create_batch(&batch, std::slice::from_ref(&verdict.package), at(0))
        .await
        .unwrap();
    let done = Progress::Done {
        status: Status::Verified,
        decided_by: Vec::new(),
        checked_at: at(0),
    };
    let item = BatchItem {
        package: verdict.package.clone(),
        progress: done,
    };
    store.note_progress("b1", &[item], at(0)).await.unwrap();
    assert!(store.advance_cursor("npm", None, 1).await.unwrap());
    let (message, key) = (Digest::sha256_of(b"message"), Digest::sha256_of(b"key"));
    store.keep_signature(&message, &key, b"signature").await.unwrap();
    assert_eq!(
        attributes(
            fixture
                .row(&format!("SIGNED#{}", message.to_hex()), &key.to_hex())
                .await
        ),
        "pk schema signature sk"
    );
    let look = Digest::sha256_of(&serde_json::to_vec(&[seen(10, 404)]).unwrap()).to_hex();
    assert_eq!(
        attributes(
            fixture
                .row(
                    "TRACE#RUN#12#3#1",
                    &format!("LOOK#2026-11-22T10:00:10.000000000Z#{look}")
                )
                .await
        ),
        "pk revision schema seen seen_size sk"
    );
    let name = "NAME#pkg:npm/%40scope/name";
    assert_eq!(
        attributes(fixture.row(name, "RELEASE#2026-11-22T10:00:00.000000000Z#1.0.0").await),
        "pk release revision schema sk"
    );
    assert_eq!(
        attributes(fixture.row(name, "VERSION#1.0.0").await),
        "pk place release revision schema sk"
    );
    assert_eq!(
        attributes(fixture.row(name, "FILLED").await),
        "pk releases releases_size revision schema sk"
    );
    let publisher = "PUBLISHER#github%3Ao%2Fr";
    let now = "2026-11-22T10:00:00.000000000Z";
    let sibling = format!("{now}#pkg:npm/%40scope/name@1.0.0");
    assert_eq!(attributes(fixture.row(publisher, &sibling).await), "pk schema sk");
    let (watch, purl) = keys::watch(verdict.package.name());
    assert_eq!(purl, "pkg:npm/%40scope/name");
    assert_eq!(
        attributes(fixture.row(&watch, &purl).await),
        "due_at due_shard next_look_at pk schema seen_until since sk"
    );
    assert_eq!(
        attributes(fixture.row("BATCH#b1", "HEAD").await),
        "created_at due_at due_shard expires expires_at pk schema sk total"
    );
    assert_eq!(
        attributes(fixture.row("BATCH#b1", "LIST#0000").await),
        "expires packages packages_size pk schema sk"
    );
    let noted = fixture.all().await.into_iter();
    let mut noted = noted.filter(|item| rows::text_of(item, "sk").unwrap().starts_with(&format!("NOTE#{now}#")));
    let item = noted.next().unwrap();
    let expires = conformance::batch("b1", 1).expires_at.as_second() + 1;
    assert_eq!(item["expires"], AttributeValue::N(expires.to_string()));
    assert_eq!(attributes(item), "expires noted noted_size pk schema sk");
    assert_eq!(
        attributes(fixture.row("CURSOR#npm", "CURSOR").await),
        "pk position schema sk"
    );
    let id = Digest::sha256_of(format!("pkg:npm/%40scope/name@1.0.0\n{now}\nsha256:{dossier}").as_bytes()).to_hex();
    let (owed, moment) = keys::owed_key(&fixture.store.owed(at(0), 1).await.unwrap()[0]);
    assert_eq!(moment, format!("{now}#{id}"));
    assert_eq!(attributes(fixture.row(&owed, &moment).await), "change pk schema sk");
    assert_eq!(
        attributes(fixture.row("CHANGES#2026-11-22", &moment).await),
        "change pk schema sk"
    );
    store.keep_trust(b"files", at(0)).await.unwrap();
    assert_eq!(
        attributes(fixture.row("TRUST", "TRUST").await),
        "fetched_at files files_size pk schema sk"
    );
    store.mark_removed(&verdict.package, at(10)).await.unwrap();
    assert_eq!(
        attributes(fixture.row(PKG, "VERDICT").await),
        "bodies checked_at dossier first_seen is_change looked_at pk removed_at schema sk status verdict verdict_size"
    );

    let mut partitions = BTreeSet::new();
    for item in fixture.all().await {
        let key = rows::text_of(&item, "pk").unwrap();
        let sort_key = rows::text_of(&item, "sk").unwrap();
        rows::check_schema(&item).unwrap();
        let expires = sort_key == "LEASE" || key.starts_with("BATCH#");
        assert_eq!(item.contains_key("expires"), expires, "{key} {sort_key}");
        partitions.insert(key.split('#').next().unwrap().to_owned());
    }
    let documented = [
        "BATCH",
        "BODY",
        "CHANGES",
        "CURSOR",
        "DOSSIER",
        "NAME",
        "OWED",
        "PKG",
        "PUBLISHER",
        "SIGNED",
        "TRACE",
        "TRUST",
        "WATCH",
    ];
    assert_eq!(partitions.iter().map(String::as_str).collect::<Vec<_>>(), documented);
}
