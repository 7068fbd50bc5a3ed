//! The store against a DynamoDB, and against one that answers as a test wants.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob as Binary;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::*;
use crate::adapters::conformance::wire::{Call, Reply, Wire};
use crate::adapters::conformance::{
    at, dossier, noise, package, release, run, seen, verdict, verdict_store_conformance,
};
use crate::adapters::embedded::{EmbeddedDynamoDb, TABLE, config, plain_http};
use crate::dossier::Subject;
use crate::verdict::Status;

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

verdict_store_conformance!(Fixture::new);

const PKG: &str = "PKG#pkg:npm/%40scope/name@1.0.0";

fn sample(seconds: i64) -> (Verdict, Dossier) {
    let dossier = dossier(&package("1.0.0"), seconds, b"[]");
    (verdict(&dossier, Status::Verified, &[], seconds), dossier)
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
    store.record(&first, &evidence, None).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["GetItem", "BatchWriteItem", "TransactWriteItems"]);
    let written = |call: &Call| call.input["RequestItems"][TABLE].as_array().unwrap().len();
    assert_eq!(written(&calls[1]), 4, "the dossier and its three different bodies");

    let (second, evidence) = sample(10);
    store.record(&second, &evidence, None).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(
        operations,
        ["GetItem", "BatchWriteItem", "UpdateItem"],
        "nothing changed"
    );
    assert_eq!(written(&calls[1]), 1, "the bodies are there already");

    store.record(&second, &evidence, None).await.unwrap();
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "UpdateItem"],
        "the dossier is there already"
    );

    let dossier = dossier(&package("1.0.0"), 20, b"[]");
    store
        .record(&verdict(&dossier, Status::Indeterminate, &[], 20), &dossier, None)
        .await
        .unwrap();
    assert_eq!(wire.take_operations(), ["GetItem", "BatchWriteItem", "UpdateItem"]);

    store.current(&first.package).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem"]);
    store.memory(&first.package).await.unwrap();
    let calls = wire.take_calls();
    let operations: BTreeSet<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!((calls.len(), operations), (2, BTreeSet::from(["GetItem", "Query"])));
    assert!(calls.iter().all(|call| call.input["ConsistentRead"] == true));
    store.acquire_lease(&first.package, "one", at(0), at(60)).await.unwrap();
    store.release_lease(&first.package, "one").await.unwrap();
    assert_eq!(wire.take_operations(), ["PutItem", "DeleteItem"]);
    store.history(&first.package, 10).await.unwrap();
    assert_eq!(wire.take_operations(), ["Query"]);
    store.dossier(&first.dossier).await.unwrap();
    assert_eq!(wire.take_operations(), ["BatchGetItem", "BatchGetItem"]);
    store.due(at(0), 10).await.unwrap();
    assert_eq!(wire.take_operations(), ["Query"; 8]);
}

#[tokio::test]
async fn a_look_takes_one_read_and_two_writes() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    store.remember(&run(), &[seen(0, 200)], at(0)).await.unwrap();
    let calls = wire.take_calls();
    let sort_keys: Vec<&str> = calls[1..]
        .iter()
        .map(|call| call.input["Item"]["sk"]["S"].as_str().unwrap())
        .collect();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["GetItem", "PutItem", "PutItem"]);
    assert_eq!(calls[0].input["ConsistentRead"], true);
    assert!(sort_keys[0].starts_with("LOOK#2026-11-22T10:00:00.000000000Z#"));
    assert_eq!(
        sort_keys[1], "KEPT",
        "the look is appended before anything is made of it"
    );

    store.remember(&run(), &[seen(0, 200)], at(0)).await.unwrap();
    store.remember(&run(), &[seen(10, 404)], at(10)).await.unwrap();
    let unchanged = ["GetItem", "PutItem", "GetItem", "PutItem"];
    assert_eq!(wire.take_operations(), unchanged, "what is kept stays as it is");
    store.remember(&run(), &[], at(20)).await.unwrap();
    assert_eq!(wire.take_operations(), [""; 0]);
    store.recall(&run()).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem"]);
}

#[tokio::test]
async fn every_look_is_appended() {
    let fixture = Fixture::new().await;
    let looks = async || {
        let query = fixture.server.client().query().table_name(TABLE);
        let output = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :look)")
            .expression_attribute_values(":pk", rows::text("TRACE#RUN#12#3#1"))
            .expression_attribute_values(":look", rows::text("LOOK#"))
            .send()
            .await
            .unwrap();
        output.count()
    };
    let other = Observation {
        subject: Subject::Approvals,
        ..seen(0, 200)
    };
    for (expected, observations, seconds) in [
        (1, vec![seen(0, 200), other.clone()], 0),
        (1, vec![other, seen(0, 200)], 0),
        (2, vec![seen(10, 404)], 10),
        (3, vec![seen(20, 404)], 20),
        (4, vec![seen(20, 500)], 20),
    ] {
        fixture
            .store
            .remember(&run(), &observations, at(seconds))
            .await
            .unwrap();
        assert_eq!(looks().await, expected);
    }
}

#[tokio::test]
async fn a_look_that_was_overtaken_is_merged_again() {
    let fixture = Fixture::new().await;
    let (first, second) = (
        seen(0, 200),
        Observation {
            subject: Subject::Jobs(1),
            ..seen(10, 200)
        },
    );
    fixture
        .store
        .remember(&run(), std::slice::from_ref(&first), at(0))
        .await
        .unwrap();
    // The first read is answered with nothing, as if the other look were kept right after it.
    let (store, wire) =
        fixture.wired(|call, before| (call.operation == "GetItem" && before == 0).then(|| (200, json!({}))));
    store
        .remember(&run(), std::slice::from_ref(&second), at(10))
        .await
        .unwrap();
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "PutItem", "PutItem", "GetItem", "PutItem"],
        "the look is appended once"
    );
    assert_eq!(fixture.store.recall(&run()).await.unwrap(), [first, second]);
}

#[tokio::test(start_paused = true)]
async fn what_changes_at_every_attempt_is_a_fault() {
    let wire = Wire::new(None, |call, _| match call.operation.as_str() {
        "GetItem" => Some((200, json!({}))),
        "PutItem" if call.input["ConditionExpression"].is_null() => Some((200, json!({}))),
        "PutItem" => Some(fault("ConditionalCheckFailedException")),
        _ => Some(fault_with(
            "TransactionCanceledException",
            json!({ "CancellationReasons": [{ "Code": "ConditionalCheckFailed" }, { "Code": "None" }] }),
        )),
    });
    let client = Client::from_conf(config(([127, 0, 0, 1], 1).into()).http_client(wire.clone()).build());
    let store = DynamoDbStore::new(client, TABLE);
    assert!(matches!(
        store.remember(&run(), &[seen(0, 200)], at(0)).await,
        Err(StoreFault::Unreachable(_))
    ));
    assert_eq!(wire.take_operations().len(), 19, "nine attempts, and one look");
    assert!(matches!(
        store.remember_release(&package("1.0.0"), &release("1.0.0", 0)).await,
        Err(StoreFault::Unreachable(_))
    ));
    assert_eq!(wire.take_operations().len(), 18, "nine attempts");
}

#[tokio::test]
async fn a_release_takes_one_read_and_one_write() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let package = package("1.0.0");
    for (release, operations) in [
        (release("1.0.0", 0), &["GetItem", "TransactWriteItems"][..]),
        (release("1.0.0", 0), &["GetItem"]),
        (release("1.0.0", 10), &["GetItem", "TransactWriteItems"]),
    ] {
        store.remember_release(&package, &release).await.unwrap();
        assert_eq!(wire.take_operations(), operations);
    }
    let query = fixture.server.client().query().table_name(TABLE);
    let rows = query
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", rows::text("NAME#pkg:npm/%40scope/name"))
        .send()
        .await
        .unwrap();
    assert_eq!(rows.count(), 2, "the release, and where it is");
}

#[tokio::test]
async fn the_memory_of_a_package_with_many_versions_takes_one_page() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    for number in 0..100 {
        let version = format!("{number}.0.0");
        store
            .remember_release(&package(&version), &release(&version, number))
            .await
            .unwrap();
    }
    wire.take_calls();
    let history = store.memory(&package("1.0.0")).await.unwrap().history;
    assert_eq!(history.len(), crate::history::LIMIT);
    let calls = wire.take_calls();
    let queries: Vec<&Call> = calls.iter().filter(|call| call.operation == "Query").collect();
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0].input["Limit"], crate::history::LIMIT);
}

#[tokio::test]
async fn a_row_of_a_run_or_a_release_that_cannot_be_read_is_corrupt() {
    let fixture = Fixture::new().await;
    let (trace, name) = ("TRACE#RUN#12#3#1", "NAME#pkg:npm/%40scope/name");
    let release_key = "RELEASE#2026-11-22T10:00:00.000000000Z#1.0.0";
    let package = package("1.0.0");
    fixture.store.remember(&run(), &[seen(0, 200)], at(0)).await.unwrap();
    fixture
        .store
        .remember_release(&package, &release("1.0.0", 0))
        .await
        .unwrap();
    let changes = [
        (trace, "KEPT", "schema", rows::number(2)),
        (
            trace,
            "KEPT",
            "seen",
            AttributeValue::B(Binary::new(b"not zstd".to_vec())),
        ),
        (
            trace,
            "KEPT",
            "seen",
            AttributeValue::B(Binary::new(blobs::compress(b"{}").unwrap())),
        ),
        (trace, "KEPT", "seen_size", rows::text("many")),
        (trace, "KEPT", "seen_blob", rows::text("md5:00")),
        (
            trace,
            "KEPT",
            "seen_blob",
            rows::text(Digest::sha256_of(b"lost").to_string()),
        ),
        (trace, "KEPT", "revision", rows::number(1)),
        (name, release_key, "schema", rows::number(2)),
        (name, release_key, "release", rows::text("{}")),
        (name, "VERSION#1.0.0", "schema", rows::number(2)),
        (name, "VERSION#1.0.0", "place", rows::number(1)),
    ];
    for (pk, sk, attribute, value) in changes {
        let before = fixture.row(pk, sk).await;
        fixture
            .tamper(pk, sk, |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        if pk == trace {
            corrupt(fixture.store.recall(&run()).await);
            corrupt(fixture.store.remember(&run(), &[seen(10, 200)], at(10)).await);
        } else if sk == release_key {
            corrupt(fixture.store.memory(&package).await);
        } else {
            corrupt(fixture.store.remember_release(&package, &release("1.0.0", 5)).await);
        }
        fixture.put(before).await;
    }
    assert_eq!(fixture.store.recall(&run()).await.unwrap(), [seen(0, 200)]);
}

#[tokio::test]
async fn evidence_is_written_before_the_verdict() {
    let fixture = Fixture::new().await;
    let (store, _) =
        fixture.wired(|call, _| (call.operation == "TransactWriteItems").then(|| fault("AccessDeniedException")));
    let (verdict, evidence) = sample(0);
    assert!(matches!(
        store.record(&verdict, &evidence, None).await,
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
    store.record(&verdict, &evidence, None).await.unwrap();
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
    fixture.store.record(&verdict, &evidence, None).await.unwrap();
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
        .record(&verdict, &evidence, None)
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
    store.record(&verdict, &evidence, None).await.unwrap();
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
            .record(&verdict(&dossier, Status::Verified, &[], 0), &dossier, None)
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
        store.record(&verdict, &evidence, None).await,
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
    fixture.store.record(&overtaking, &evidence, None).await.unwrap();
    let (store, _) =
        fixture.wired(|call, before| (call.operation == "GetItem" && before == 0).then(|| (200, json!({}))));
    let recorded = store.record(&overtaken, &dossier, None).await.unwrap();
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
        ("schema", rows::number(2)),
        ("verdict", rows::text("{}")),
        ("verdict", AttributeValue::B(Binary::new(b"not zstd".to_vec()))),
        (
            "verdict",
            AttributeValue::B(Binary::new(blobs::compress(b"{}").unwrap())),
        ),
        ("verdict_size", rows::text("many")),
        ("first_seen", rows::text("yesterday")),
        ("bodies", rows::text("none")),
        ("dossier", rows::text("md5:00")),
    ];
    for (attribute, value) in changes {
        fixture.delete(PKG, "VERDICT").await;
        fixture.store.record(&verdict, &evidence, None).await.unwrap();
        fixture
            .tamper(PKG, "VERDICT", |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        let detail = corrupt(fixture.store.current(&verdict.package).await);
        assert!(detail.contains(attribute) || detail.contains("verdict"), "{detail}");
        corrupt(fixture.store.record(&verdict, &evidence, None).await);
    }
}

#[tokio::test]
async fn evidence_that_was_changed_or_lost_is_corrupt() {
    let fixture = Fixture::new().await;
    let dossier = dossier(&package("1.0.0"), 0, &noise(800_000));
    let verdict = verdict(&dossier, Status::Verified, &[], 0);
    fixture.store.record(&verdict, &dossier, None).await.unwrap();
    let body = rows::body_key(&Digest::sha256_of(&noise(800_000)));
    let outline = rows::dossier_key(&verdict.dossier);
    let data = |bytes: &[u8]| AttributeValue::B(Binary::new(blobs::compress(bytes).unwrap()));

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
    fixture.store.record(&verdict, &evidence, None).await.unwrap();
    let mut stranger = fixture.row(PKG, "VERDICT").await;
    stranger.insert("pk".to_owned(), rows::text("PKG#pkg:unheard-of/name@1.0.0"));
    stranger.insert("due_at".to_owned(), rows::text(rows::instant(at(-100))));
    fixture.put(stranger).await;
    assert_eq!(fixture.store.due(at(600), 1).await.unwrap(), [verdict.package]);
}

#[tokio::test]
async fn creating_the_table_twice_changes_nothing() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    fixture.store.record(&verdict, &evidence, None).await.unwrap();
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
    };
    fixture
        .store
        .record(&verdict, &evidence, Some(&first_seen))
        .await
        .unwrap();
    fixture
        .store
        .acquire_lease(&verdict.package, "one", at(0), at(60))
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
        "bodies checked_at dossier due_at due_shard first_seen pk schema sk status verdict verdict_size"
    );
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
    assert_eq!(attributes(lease), "expires holder pk schema sk until");
    assert_eq!(
        attributes(fixture.row(&format!("DOSSIER#{dossier}"), "PART#0000").await),
        "data parts pk schema size sk"
    );
    let body = Digest::sha256_of(b"[]").to_hex();
    assert_eq!(
        attributes(fixture.row(&format!("BODY#{body}"), "PART#0000").await),
        "data parts pk schema size sk"
    );

    fixture.store.remember(&run(), &[seen(0, 200)], at(0)).await.unwrap();
    fixture
        .store
        .remember_release(&verdict.package, &release("1.0.0", 0))
        .await
        .unwrap();
    let look = Digest::sha256_of(&serde_json::to_vec(&[seen(0, 200)]).unwrap()).to_hex();
    for sk in ["KEPT", &format!("LOOK#2026-11-22T10:00:00.000000000Z#{look}")] {
        assert_eq!(
            attributes(fixture.row("TRACE#RUN#12#3#1", sk).await),
            "pk revision schema seen seen_size sk"
        );
    }
    let name = "NAME#pkg:npm/%40scope/name";
    assert_eq!(
        attributes(fixture.row(name, "RELEASE#2026-11-22T10:00:00.000000000Z#1.0.0").await),
        "pk release schema sk"
    );
    assert_eq!(
        attributes(fixture.row(name, "VERSION#1.0.0").await),
        "pk place revision schema sk"
    );
}
