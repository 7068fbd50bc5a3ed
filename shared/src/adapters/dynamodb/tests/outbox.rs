//! That a change and what is owed for it appear together, and that nobody's writes make another's void.

use std::sync::Arc;

use super::*;
use crate::adapters::conformance::record;

/// What the table has of a verdict, its history, its change and what is owed.
async fn kinds(fixture: &Fixture) -> Vec<String> {
    let mut kinds: Vec<String> = fixture
        .all()
        .await
        .iter()
        .filter_map(|item| {
            let (pk, sk) = (rows::text_of(item, "pk").unwrap(), rows::text_of(item, "sk").unwrap());
            match pk.split('#').next().unwrap() {
                "PKG" => sk.split('#').next().map(str::to_owned),
                kind @ ("OWED" | "CHANGES") => Some(kind.to_owned()),
                _ => None,
            }
        })
        .collect();
    kinds.sort();
    kinds
}

#[tokio::test]
async fn a_change_is_one_transaction_of_three_rows() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    record(&store, Status::Verified, &[], 0).await;
    let calls = wire.take_calls();
    let transaction = calls.last().unwrap();
    assert_eq!(transaction.operation, "TransactWriteItems");
    let items = transaction.input["TransactItems"].as_array().unwrap();
    let keys: Vec<&str> = items
        .iter()
        .map(|item| {
            let put = &item["Put"]["Item"]["pk"]["S"];
            put.as_str()
                .unwrap_or_else(|| item["Update"]["Key"]["pk"]["S"].as_str().unwrap())
                .split('#')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(keys, ["PKG", "OWED", "CHANGES"]);
    assert_eq!(kinds(&fixture).await, ["CHANGES", "OWED", "VERDICT"]);
    record(&store, Status::Verified, &[], 10).await;
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "BatchWriteItem", "PutItem", "UpdateItem"],
        "the first one goes into the history before another takes its place"
    );
    record(&store, Status::Verified, &[], 20).await;
    assert_eq!(wire.take_operations(), ["GetItem", "BatchWriteItem", "UpdateItem"]);
    assert_eq!(kinds(&fixture).await, ["CHANGES", "HISTORY", "OWED", "VERDICT"]);
}

#[tokio::test]
async fn a_first_verdict_that_is_calm_and_not_looked_at_again_is_told_to_nobody_else() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let calm = |(verdict, evidence): (Verdict, Dossier)| {
        let verdict = Verdict {
            next_look_at: None,
            ..verdict
        };
        (verdict, evidence)
    };
    let (verdict, evidence) = calm(sample(0));
    let recorded = store.record(&verdict, &evidence, None, false).await.unwrap();
    assert!(matches!(
        recorded,
        Recorded::Current {
            previous: None,
            announcement: None
        }
    ));
    assert_eq!(wire.take_operations(), ["GetItem", "BatchWriteItem", "UpdateItem"]);
    assert_eq!(kinds(&fixture).await, ["VERDICT"]);
    assert_eq!(
        store.history(&verdict.package, None, 10).await.unwrap(),
        std::slice::from_ref(&verdict)
    );
    // What comes of it later is a change like any other.
    let (later, evidence) = calm(changed(10));
    let recorded = store.record(&later, &evidence, None, false).await.unwrap();
    let Recorded::Current {
        announcement: Some(announcement),
        ..
    } = recorded
    else {
        panic!("{recorded:?}")
    };
    assert_eq!(announcement.change.previous_status, Some(Status::Verified));
    assert_eq!(kinds(&fixture).await, ["CHANGES", "HISTORY", "OWED", "VERDICT"]);
    assert_eq!(store.history(&later.package, None, 10).await.unwrap(), [later, verdict]);

    // One that tells of something is announced at once.
    let fixture = Fixture::new().await;
    let (first, evidence) = calm(changed(0));
    fixture.store.record(&first, &evidence, None, false).await.unwrap();
    assert_eq!(kinds(&fixture).await, ["CHANGES", "OWED", "VERDICT"]);
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_neither_the_change_nor_what_is_owed() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    let (store, _) =
        fixture.wired(|call, _| (call.operation == "TransactWriteItems").then(|| fault("AccessDeniedException")));
    assert!(store.record(&verdict, &evidence, None, false).await.is_err());
    assert_eq!(kinds(&fixture).await, [""; 0]);

    // One that loses against another verdict is decided again, on what that one has changed.
    record(&fixture.store, Status::Verified, &[], -10).await;
    let (store, wire) =
        fixture.wired(|call, before| (call.operation == "GetItem" && before == 0).then(|| (200, json!({}))));
    let recorded = store.record(&verdict, &evidence, None, false).await.unwrap();
    assert!(matches!(
        recorded,
        Recorded::Current {
            previous: Some(_),
            announcement: None
        }
    ));
    assert_eq!(
        wire.take_operations(),
        [
            "GetItem",
            "BatchWriteItem",
            "TransactWriteItems",
            "GetItem",
            "PutItem",
            "UpdateItem"
        ]
    );
    assert_eq!(kinds(&fixture).await, ["CHANGES", "HISTORY", "OWED", "VERDICT"]);
}

/// Does something else to the same table, while a request of the store under test is on its way.
fn meanwhile(fixture: &Fixture, act: impl AsyncFnOnce(DynamoDbStore) + Send) {
    let address = fixture.server.address();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = Client::from_conf(config(address).http_client(plain_http()).build());
                act(DynamoDbStore::new(client, TABLE)).await;
            });
        });
    });
}

#[tokio::test]
async fn a_claim_does_not_make_a_verdict_wait_that_is_about_to_be_recorded() {
    let fixture = Arc::new(Fixture::new().await);
    for (status, operation) in [
        (Status::Verified, "UpdateItem"),
        (Status::Mismatch, "TransactWriteItems"),
    ] {
        let first = if operation == "UpdateItem" { 0 } else { 1000 };
        record(&fixture.store, Status::Verified, &[], first).await;
        let shared = Arc::clone(&fixture);
        let (store, wire) = fixture.wired(move |call, before| {
            if call.operation == operation && before == 0 {
                meanwhile(&shared, async |store| {
                    let due = Due {
                        task: conformance::version(),
                        since: at(first + 600),
                    };
                    assert!(store.claim(&due, at(first + 5000)).await.unwrap());
                });
            }
            None
        });
        record(&store, status, &[], first + 700).await;
        let mut operations = wire.take_operations();
        // The first verdict goes into the history before another takes its place.
        operations.retain(|operation| operation != "PutItem");
        assert_eq!(operations, ["GetItem", "BatchWriteItem", operation]);
        let due = fixture.store.due(at(first + 1300), 10).await.unwrap();
        assert_eq!(due[0].since, at(first + 1300), "the verdict says when to look next");
    }
}

#[tokio::test]
async fn a_mark_set_while_an_earlier_look_is_recorded_is_not_lost() {
    let fixture = Arc::new(Fixture::new().await);
    record(&fixture.store, Status::Verified, &[], 0).await;
    let shared = Arc::clone(&fixture);
    let (store, wire) = fixture.wired(move |call, before| {
        if call.operation == "UpdateItem" && before == 0 {
            meanwhile(&shared, async |store| {
                store.mark_removed(&package("1.0.0"), at(60)).await.unwrap();
            });
        }
        None
    });
    record(&store, Status::Verified, &[], 30).await;
    assert_eq!(
        wire.take_operations(),
        [
            "GetItem",
            "BatchWriteItem",
            "PutItem",
            "UpdateItem",
            "GetItem",
            "PutItem",
            "UpdateItem"
        ]
    );
    let current = fixture.store.current(&package("1.0.0")).await.unwrap().unwrap();
    assert_eq!((current.checked_at, current.removed_at), (at(30), Some(at(60))));
}

#[tokio::test]
async fn a_month_of_days_is_looked_through_at_once() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let day = 24 * 60 * 60;
    let after = ChangesAfter::Instant(at(0));
    let changes = store.changes(&after, at(365 * day), 100).await.unwrap();
    assert_eq!(changes.changes, []);
    assert_eq!(changes.next, "2026-12-23T00:00:00.000000000Z");
    let calls = wire.take_calls();
    assert_eq!(calls.len(), 31);
    assert!(calls.iter().all(|call| call.input["ConsistentRead"] == true));
    let changes = store.changes(&after, at(2 * day), 100).await.unwrap();
    assert_eq!(changes.next, "2026-11-24T10:00:00.000000001Z");
    assert_eq!(wire.take_calls().len(), 3);
    store.changes(&after, at(-1), 100).await.unwrap();
    assert_eq!(wire.take_calls().len(), 0);
}

#[tokio::test]
async fn an_announcement_that_cannot_be_read_does_not_stop_the_others() {
    let fixture = Fixture::new().await;
    record(&fixture.store, Status::Verified, &[], 0).await;
    let owed = fixture.store.owed(at(0), 10).await.unwrap();
    let (partition, sort_key) = keys::owed_key(&owed[0]);
    for (change, schema) in [("{}", rows::SCHEMA), ("{}", rows::SCHEMA + 1)] {
        let mut stranger = fixture.row(&partition, &sort_key).await;
        stranger.insert(
            "sk".to_owned(),
            rows::text(format!("2026-01-01T00:00:00.000000000Z#{schema}")),
        );
        stranger.insert("change".to_owned(), rows::text(change));
        stranger.insert("schema".to_owned(), rows::number(schema));
        fixture.put(stranger).await;
    }
    assert_eq!(fixture.store.owed(at(0), 1).await.unwrap(), owed);
}

#[tokio::test]
async fn a_change_that_cannot_be_read_is_corrupt() {
    let fixture = Fixture::new().await;
    record(&fixture.store, Status::Verified, &[], 0).await;
    let (_, sort_key) = keys::owed_key(&fixture.store.owed(at(0), 10).await.unwrap()[0]);
    let day = "CHANGES#2026-11-22";
    for (attribute, value) in [("change", rows::text("{}")), ("schema", rows::number(rows::SCHEMA + 1))] {
        let before = fixture.row(day, &sort_key).await;
        fixture
            .tamper(day, &sort_key, |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        let after = ChangesAfter::Instant(at(0));
        corrupt(fixture.store.changes(&after, at(0), 10).await);
        fixture.put(before).await;
    }
}
