//! How runs, releases and timelines are kept.

use super::*;
use crate::history::{LIMIT, PastRelease};

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
    let history = store.memory(&package("1.0.0"), None).await.unwrap().history;
    assert_eq!(history.len(), crate::history::LIMIT);
    let calls = wire.take_calls();
    let queries: Vec<&Call> = calls.iter().filter(|call| call.operation == "Query").collect();
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0].input["ConsistentRead"], true);
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
            corrupt(fixture.store.memory(&package, None).await);
        } else {
            corrupt(fixture.store.remember_release(&package, &release("1.0.0", 5)).await);
        }
        fixture.put(before).await;
    }
    assert_eq!(fixture.store.recall(&run()).await.unwrap(), [seen(0, 200)]);
}

/// Writes releases as [`DynamoDbStore::remember_release`] does, but many at once.
async fn enter(store: &DynamoDbStore, releases: &[PastRelease]) {
    let name = package("1.0.0").name().clone();
    let items = releases
        .iter()
        .map(|release| {
            let packed = rows::PackedJson::of(release, &rows::RELEASE_JSON).unwrap();
            let sort_key = keys::release_key(release.published_at, &release.version);
            rows::release_item(&name, &sort_key, &packed)
        })
        .collect();
    store.bulk.write(items, 4).await.unwrap();
}

#[tokio::test]
async fn the_search_for_the_last_stable_releases_ends() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let canary = |number| release(&format!("2.0.0-canary.{number}"), number);
    let mut releases: Vec<PastRelease> = (1..=1100).map(canary).collect();
    releases.push(release("1.0.0", 0));
    enter(&fixture.store, &releases).await;
    let queried = || {
        let calls = wire.take_calls();
        let queries: Vec<Call> = calls.into_iter().filter(|call| call.operation == "Query").collect();
        assert!(queries.iter().all(|call| call.input["ConsistentRead"] == true));
        queries
            .iter()
            .map(|call| call.input["Limit"].as_i64().unwrap())
            .sum::<i64>()
    };
    let history = store.memory(&package("1.0.0"), None).await.unwrap().history;
    assert_eq!(history.len(), LIMIT, "the only stable one is too far back");
    assert_eq!(queried(), 1024);
    // Up to its own time there are fewer.
    let history = store.memory(&package("1.0.0"), Some(at(500))).await.unwrap().history;
    assert_eq!(history.len(), LIMIT + 1);
    assert_eq!(queried(), 512, "and one page is not enough");
}

#[tokio::test]
async fn the_search_ends_where_enough_of_the_kind_were_found() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let releases: Vec<PastRelease> = (0..600)
        .map(|number| {
            let suffix = if number % 2 == 0 { "" } else { "-rc.1" };
            release(&format!("1.{number}.0{suffix}"), number)
        })
        .collect();
    enter(&fixture.store, &releases).await;
    let history = store.memory(&package("1.0.0"), None).await.unwrap().history;
    let expected: Vec<PastRelease> = releases.into_iter().rev().take(2 * LIMIT).collect();
    assert_eq!(history, expected);
    let operations = wire.take_operations();
    assert_eq!(operations.iter().filter(|operation| *operation == "Query").count(), 1);
}

#[tokio::test]
async fn a_timeline_that_was_filled_half_is_filled_by_the_next_attempt() {
    let fixture = Fixture::new().await;
    let name = package("1.0.0").name().clone();
    let releases: Vec<PastRelease> = (0..20)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    let (store, _) = fixture.wired(|call, before| {
        (call.operation == "TransactWriteItems" && before == 9).then(|| fault("AccessDeniedException"))
    });
    assert!(matches!(
        store.fill_timeline(&name, &releases).await,
        Err(StoreFault::Unreachable(_))
    ));
    // What was entered stays, and the second attempt enters the rest.
    fixture.store.fill_timeline(&name, &releases).await.unwrap();
    let history = fixture.store.memory(&package("1.0.0"), None).await.unwrap().history;
    assert_eq!(history, releases.into_iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_release_in_conflict_with_another_write_is_entered_again() {
    let fixture = Fixture::new().await;
    for code in ["TransactionConflict", "ThrottlingError"] {
        let (store, wire) = fixture.wired(move |call, before| {
            (call.operation == "TransactWriteItems" && before == 0).then(|| {
                let reasons = json!({ "CancellationReasons": [{ "Code": code }, { "Code": "None" }] });
                fault_with("TransactionCanceledException", reasons)
            })
        });
        let name = format!("pkg:npm/{}", code.to_lowercase()).parse().unwrap();
        store.fill_timeline(&name, &[release("1.0.0", 0)]).await.unwrap();
        assert_eq!(
            wire.take_operations(),
            ["TransactWriteItems", "GetItem", "TransactWriteItems"]
        );
    }
}

#[tokio::test]
async fn what_a_publisher_released_is_read_strongly_consistently() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let sibling = Sibling {
        package: package("1.0.0"),
        published_at: at(0),
    };
    store.remember_publication("alice", &sibling).await.unwrap();
    assert_eq!(store.published_by("alice", at(0), 10).await.unwrap(), [sibling]);
    let calls = wire.take_calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].input["ConsistentRead"], true);
}
