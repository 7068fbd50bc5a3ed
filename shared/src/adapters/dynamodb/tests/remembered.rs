//! How runs, releases and timelines are kept.

use super::*;
use crate::adapters::conformance::releases_in_memory;
use crate::history::{LIMIT, PastRelease};

#[tokio::test]
async fn the_first_look_at_a_run_takes_one_read_and_one_write() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    store.remember(&run(), &[seen(0, 200)], at(0), false).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["GetItem", "PutItem"]);
    assert_eq!(calls[0].input["ConsistentRead"], true);
    assert_eq!(calls[1].input["Item"]["sk"]["S"], "KEPT");

    store.remember(&run(), &[seen(0, 200)], at(0), false).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem"], "it is known");
    store.remember(&run(), &[seen(10, 404)], at(10), false).await.unwrap();
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "PutItem"],
        "the look is appended, and what is kept stays as it is"
    );
    store.remember(&run(), &[seen(20, 200)], at(20), false).await.unwrap();
    let calls = wire.take_calls();
    let sort_keys: Vec<&str> = calls[1..]
        .iter()
        .map(|call| call.input["Item"]["sk"]["S"].as_str().unwrap())
        .collect();
    assert!(
        sort_keys[0].starts_with("LOOK#2026-11-22T10:00:00.000000000Z#"),
        "what was kept is appended before another takes its place: {sort_keys:?}"
    );
    assert_eq!(sort_keys[1..], ["KEPT"]);
    store.remember(&run(), &[], at(30), false).await.unwrap();
    assert_eq!(wire.take_operations(), [""; 0]);
    store.recall(&run()).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem"]);
}

#[tokio::test]
async fn the_first_look_at_a_run_and_its_commit_takes_one_write() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    assert_eq!(store.recall(&build()).await.unwrap(), []);
    assert_eq!(wire.take_operations(), ["Query", "GetItem"]);
    let look = [seen(0, 200), of(Subject::Commit, seen(0, 200))];
    store.remember(&build(), &look, at(0), true).await.unwrap();
    let calls = wire.take_calls();
    let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["PutItem"]);
    assert_eq!(calls[0].input["Item"]["pk"]["S"], "TRACE#COMMIT#12#ab34");
    assert_eq!(calls[0].input["Item"]["sk"]["S"], "KEPT#3#1");
    assert_eq!(store.recall(&build()).await.unwrap(), look);
}

/// What earlier versions kept of a run and of its commit, each in a row of its own.
async fn kept_apart(fixture: &Fixture, run: &[Observation], commit: &[Observation]) {
    for (key, seen) in [(conformance::run(), run), (build(), commit)] {
        let seen = rows::PackedText::of_json(&seen, &rows::SEEN_TEXT).unwrap();
        fixture.put(rows::trace_item(&key, "KEPT", &seen)).await;
    }
}

#[tokio::test]
async fn what_was_kept_of_a_run_and_of_its_commit_apart_is_found_and_not_erased() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (first, jobs) = (seen(0, 200), of(Subject::Jobs(1), seen(0, 200)));
    let (commit, tags) = (of(Subject::Commit, seen(0, 200)), of(Subject::Tags, seen(0, 200)));
    kept_apart(
        &fixture,
        &[first.clone(), jobs.clone()],
        &[commit.clone(), tags.clone()],
    )
    .await;
    let before = [first.clone(), jobs.clone(), commit.clone(), tags.clone()];
    assert_eq!(store.recall(&build()).await.unwrap(), before);
    let another = build_of("12", 4, 1, "ab34");
    assert_eq!(store.recall(&another).await.unwrap(), before[2..]);

    let later = [seen(10, 404), of(Subject::Tags, seen(10, 200))];
    for is_first in [false, true] {
        store.remember(&build(), &later, at(10), is_first).await.unwrap();
        let [_, tags] = later.clone();
        assert_eq!(store.recall(&another).await.unwrap(), [commit.clone(), tags.clone()]);
        let kept = [first.clone(), jobs.clone(), commit.clone(), tags];
        assert_eq!(store.recall(&build()).await.unwrap(), kept);
    }
}

#[tokio::test]
async fn of_a_commit_with_many_runs_each_finds_its_own_and_what_the_first_saw() {
    let fixture = Fixture::new().await;
    let of_run = |number: u64| build_of("12", number, 1, "ab34");
    let (first, commit) = (seen(0, 200), of(Subject::Commit, seen(0, 200)));
    let look = [first.clone(), commit.clone()];
    fixture.store.remember(&of_run(100), &look, at(0), true).await.unwrap();
    let (store, wire) = fixture.wired(|_, _| None);
    for (number, seconds) in (101..180).zip(1..) {
        let own = seen(seconds, 200);
        store
            .remember(&of_run(number), std::slice::from_ref(&own), at(seconds), false)
            .await
            .unwrap();
        wire.take_calls();
        assert_eq!(store.recall(&of_run(number)).await.unwrap(), [own, commit.clone()]);
        assert!(wire.take_calls().len() <= 3);
    }
}

#[tokio::test]
async fn what_an_earlier_version_adds_beside_this_one_is_found() {
    let fixture = Fixture::new().await;
    let (first, jobs) = (seen(0, 200), of(Subject::Jobs(1), seen(0, 200)));
    fixture
        .store
        .remember(&build(), std::slice::from_ref(&first), at(0), true)
        .await
        .unwrap();
    kept_apart(&fixture, std::slice::from_ref(&jobs), &[]).await;
    // Copies that are asked for less than the latest have not heard of it yet.
    let (store, _) = fixture.wired(|call, _| {
        let is_stale = match call.operation.as_str() {
            "GetItem" => call.input["ConsistentRead"] != true,
            "BatchGetItem" => call.input["RequestItems"][TABLE]["ConsistentRead"] != true,
            _ => false,
        };
        is_stale.then(|| (200, json!({ "Responses": { TABLE: [] }, "UnprocessedKeys": {} })))
    });
    assert_eq!(store.recall(&build()).await.unwrap(), [first, jobs]);
}

/// A look at the commit through so many runs, none of which saw it.
async fn crowd(store: &DynamoDbStore, runs: std::ops::Range<u64>) {
    for number in runs {
        let look = [seen(5, 200), of(Subject::Commit, seen(5, 404))];
        let key = build_of("12", number, 1, "ab34");
        store.remember(&key, &look, at(5), false).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_known_of_a_commit_with_many_runs_is_written_once_to_its_own_row() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let (commit, tags) = (of(Subject::Commit, seen(0, 200)), of(Subject::Tags, seen(0, 200)));
    let look = [seen(0, 200), commit.clone(), tags.clone()];
    store
        .remember(&build_of("12", 200, 1, "ab34"), &look, at(0), true)
        .await
        .unwrap();
    let another = build_of("12", 201, 1, "ab34");
    let of_commit = [commit.clone(), tags.clone()];

    crowd(&fixture.store, 100..130).await;
    wire.take_calls();
    assert_eq!(store.recall(&another).await.unwrap(), of_commit);
    assert_eq!(wire.take_operations(), ["Query", "GetItem"], "31 rows");
    crowd(&fixture.store, 130..131).await;
    assert_eq!(store.recall(&another).await.unwrap(), of_commit);
    let calls = wire.take_calls();
    assert_eq!(calls.len(), 3);
    assert_eq!(calls[2].input["ConditionExpression"], "attribute_not_exists(pk)");
    // As an earlier version keeps it.
    let row = fixture.row("TRACE#COMMIT#12#ab34", "KEPT").await;
    let mut attributes: Vec<&str> = row.keys().map(String::as_str).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["pk", "revision", "schema", "seen", "seen_size", "sk"]);
    rows::check_schema(&row).unwrap();
    let kept = rows::stored_text(&row, &rows::SEEN_TEXT).unwrap();
    let kept: Vec<Observation> = serde_json::from_slice(&store.text(&kept).await.unwrap()).unwrap();
    assert_eq!(kept, of_commit);

    // What tells nothing new is not written again.
    assert_eq!(store.recall(&another).await.unwrap(), of_commit);
    assert_eq!(wire.take_operations(), ["Query", "GetItem"]);
    let absent = [seen(10, 200), of(Subject::Commit, seen(10, 404))];
    store.remember(&another, &absent, at(10), false).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem", "PutItem", "GetItem"]);
    // A later answer of the same kind is left to whoever recalls it.
    let absent = [seen(20, 200), of(Subject::Commit, seen(20, 404))];
    store.remember(&another, &absent, at(20), false).await.unwrap();
    assert_eq!(wire.take_operations(), ["GetItem", "PutItem", "PutItem"]);
    let present = [seen(30, 200), of(Subject::Commit, seen(30, 200))];
    store.remember(&another, &present, at(30), false).await.unwrap();
    let calls = wire.take_calls();
    let last = calls.last().unwrap();
    assert_eq!(last.input["Item"]["sk"]["S"], "KEPT");
    assert_eq!(last.input["ConditionExpression"], "#revision = :revision");
}

#[tokio::test]
async fn of_two_who_write_the_row_of_a_commit_neither_loses_what_the_other_saw() {
    let fixture = Fixture::new().await;
    let (commit, tags) = (of(Subject::Commit, seen(0, 200)), of(Subject::Tags, seen(0, 200)));
    crowd(&fixture.store, 100..140).await;
    let key = build_of("12", 200, 1, "ab34");
    fixture
        .store
        .remember(&key, std::slice::from_ref(&tags), at(0), false)
        .await
        .unwrap();
    // The rows are answered without that of the commit, as if an earlier version wrote it right after.
    let query = fixture.server.client().query().table_name(TABLE);
    let query = query.key_condition_expression("pk = :pk");
    let output = query
        .expression_attribute_values(":pk", rows::text("TRACE#COMMIT#12#ab34"))
        .send()
        .await
        .unwrap();
    let items: Vec<Value> = output.items().iter().map(wire_item).collect();
    let look = rows::PackedText::of_json(&[&commit], &rows::SEEN_TEXT).unwrap();
    let mut item = rows::trace_item(&key, "KEPT", &look);
    item.insert("looked_at".to_owned(), rows::text(keys::instant(at(0))));
    fixture.put(item).await;
    let (store, wire) = fixture.wired(move |call, _| {
        (call.operation == "Query").then(|| (200, json!({ "Items": items, "Count": items.len() })))
    });
    store.recall(&key).await.unwrap();
    assert_eq!(
        wire.take_operations(),
        ["Query", "GetItem", "PutItem", "GetItem", "PutItem", "PutItem"]
    );
    let another = build_of("12", 300, 1, "ab34");
    assert_eq!(fixture.store.recall(&another).await.unwrap(), [commit, tags]);
    let row = fixture.row("TRACE#COMMIT#12#ab34", "KEPT").await;
    assert!(!row.contains_key("looked_at"));
    // The look that was all of the row stays.
    let digest = look.digest().to_hex();
    let sort_key = format!("LOOK#2026-11-22T10:00:00.000000000Z#{digest}");
    fixture.row("TRACE#COMMIT#12#ab34", &sort_key).await;
}

#[tokio::test]
async fn the_looks_at_each_run_of_a_commit_can_be_told_from_others() {
    let fixture = Fixture::new().await;
    for (number, attempt) in [(3, 1), (3, 11), (31, 1)] {
        let key = build_of("12", number, attempt, "ab34");
        for seconds in [0, 10] {
            let look = [seen(seconds + i64::try_from(number + attempt).unwrap(), 200)];
            fixture.store.remember(&key, &look, look[0].at, false).await.unwrap();
        }
    }
    for (run, seconds) in [("3#1", 4), ("3#11", 14), ("31#1", 32)] {
        let query = fixture.server.client().query().table_name(TABLE);
        let output = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", rows::text("TRACE#COMMIT#12#ab34"))
            .expression_attribute_values(":sk", rows::text(format!("LOOK#{run}#")))
            .send()
            .await
            .unwrap();
        let [item] = output.items() else {
            panic!("{run}: {:?}", output.items());
        };
        let text = rows::stored_text(item, &rows::SEEN_TEXT).unwrap();
        let look: Vec<Observation> = serde_json::from_slice(&fixture.store.text(&text).await.unwrap()).unwrap();
        assert_eq!(look, [seen(seconds, 200)]);
    }
}

/// Every look at a run: what is kept, where that is one, and those with rows of their own; by what they saw.
async fn looks(fixture: &Fixture) -> Vec<String> {
    let query = fixture.server.client().query().table_name(TABLE);
    let output = query
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", rows::text("TRACE#RUN#12#3#1"))
        .send()
        .await
        .unwrap();
    let mut looks = Vec::new();
    for item in output.items.unwrap() {
        let text = rows::stored_text(&item, &rows::SEEN_TEXT).unwrap();
        let seen: Vec<Observation> = serde_json::from_slice(&fixture.store.text(&text).await.unwrap()).unwrap();
        if rows::text_of(&item, "sk").unwrap() != "KEPT" || item.contains_key("looked_at") {
            let one = |observation: &Observation| {
                let status = observation.success().map_or(0, |success| success.status);
                format!(
                    "{:?}+{} {status}",
                    observation.subject,
                    observation.at.duration_since(at(0)).as_secs()
                )
            };
            looks.push(seen.iter().map(one).collect::<Vec<_>>().join(", "));
        }
    }
    looks.sort();
    looks
}

#[tokio::test]
async fn every_look_stays() {
    let fixture = Fixture::new().await;
    let other = Observation {
        subject: Subject::Approvals,
        ..seen(0, 200)
    };
    let first = "Run+0 200, Approvals+0 200";
    for (observations, seconds, expected) in [
        (vec![seen(0, 200), other.clone()], 0, vec![first]),
        (vec![other, seen(0, 200)], 0, vec![first]),
        (vec![seen(10, 404)], 10, vec![first, "Run+10 0"]),
        (vec![seen(20, 200)], 20, vec![first, "Run+10 0", "Run+20 200"]),
        (
            vec![seen(20, 500)],
            20,
            vec![first, "Run+10 0", "Run+20 0", "Run+20 200"],
        ),
    ] {
        let store = &fixture.store;
        store.remember(&run(), &observations, at(seconds), false).await.unwrap();
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        expected.sort();
        assert_eq!(looks(&fixture).await, expected);
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
        .remember(&run(), std::slice::from_ref(&first), at(0), false)
        .await
        .unwrap();
    // The first read is answered with nothing, as if the other look were kept right after it.
    let (store, wire) =
        fixture.wired(|call, before| (call.operation == "GetItem" && before == 0).then(|| (200, json!({}))));
    store
        .remember(&run(), std::slice::from_ref(&second), at(10), false)
        .await
        .unwrap();
    assert_eq!(
        wire.take_operations(),
        ["GetItem", "PutItem", "GetItem", "PutItem", "PutItem", "PutItem"],
        "the look is appended once it is not what is kept, and so is the one that was"
    );
    assert_eq!(fixture.store.recall(&run()).await.unwrap(), [first, second]);
    assert_eq!(looks(&fixture).await.len(), 2);
}

#[tokio::test]
async fn a_release_takes_one_read_and_two_writes() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let package = package("1.0.0");
    for (release, operations) in [
        (release("1.0.0", 0), &["BatchGetItem", "PutItem", "PutItem"][..]),
        (release("1.0.0", 0), &["BatchGetItem", "GetItem"]),
        (refused("1.0.0", 0), &["BatchGetItem", "GetItem", "PutItem", "PutItem"]),
        (release("1.0.0", 10), &["BatchGetItem", "GetItem", "TransactWriteItems"]),
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
    let history = store.past(&package("1.0.0"), None).await.unwrap().history;
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
    fixture
        .store
        .remember(&run(), &[seen(0, 200)], at(0), false)
        .await
        .unwrap();
    fixture
        .store
        .remember_release(&package, &release("1.0.0", 0))
        .await
        .unwrap();
    let changes = [
        (trace, "KEPT", "schema", rows::number(rows::SCHEMA + 1)),
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
            AttributeValue::B(Binary::new(packing::pack(b"{}").unwrap())),
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
        (name, release_key, "schema", rows::number(rows::SCHEMA + 1)),
        (name, release_key, "release", rows::text("{}")),
        (name, "VERSION#1.0.0", "schema", rows::number(rows::SCHEMA + 1)),
        (name, "VERSION#1.0.0", "place", rows::number(1)),
    ];
    for (pk, sk, attribute, value) in changes {
        let before = fixture.row(pk, sk).await;
        fixture
            .tamper(pk, sk, |item| drop(item.insert(attribute.to_owned(), value)))
            .await;
        if pk == trace {
            corrupt(fixture.store.recall(&run()).await);
            corrupt(fixture.store.remember(&run(), &[seen(10, 200)], at(10), false).await);
        } else if sk == release_key {
            corrupt(fixture.store.past(&package, None).await);
        } else {
            corrupt(fixture.store.remember_release(&package, &release("1.0.0", 5)).await);
            if attribute == "schema" {
                corrupt(fixture.store.releases(package.name(), &["1.0.0".to_owned()]).await);
            }
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
            let place = rows::ReleasePlace {
                sort_key: keys::release_key(release.published_at, &release.version),
                revision: packed.digest().to_string(),
            };
            rows::release_item(&name, &place, &packed)
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
    let history = store.past(&package("1.0.0"), None).await.unwrap().history;
    assert_eq!(history.len(), LIMIT, "the only stable one is too far back");
    assert_eq!(queried(), 1024);
    // Up to its own time there are fewer.
    let history = store.past(&package("1.0.0"), Some(at(500))).await.unwrap().history;
    assert_eq!(history.len(), LIMIT + 1);
    assert_eq!(queried(), 512, "and one page is not enough");
}

#[tokio::test]
async fn what_was_read_from_the_registrys_list_counts_no_farther_back_than_what_was_looked_at() {
    let fixture = Fixture::new().await;
    let releases: Vec<PastRelease> = (0..200)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    enter(&fixture.store, &releases).await;
    let filled = [release("0.9.0-rc.1", -10), release("2.0.0-rc.1", 195)];
    let name = package("1.0.0").name().clone();
    fixture.store.fill_timeline(&name, &filled).await.unwrap();
    let history = fixture.store.past(&package("1.0.0"), None).await.unwrap().history;
    let mut expected: Vec<PastRelease> = releases.into_iter().rev().take(LIMIT).collect();
    expected.insert(5, filled[1].clone());
    assert_eq!(history, expected);
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
    let history = store.past(&package("1.0.0"), None).await.unwrap().history;
    let expected: Vec<PastRelease> = releases.into_iter().rev().take(2 * LIMIT).collect();
    assert_eq!(history, expected);
    let operations = wire.take_operations();
    assert_eq!(operations.iter().filter(|operation| *operation == "Query").count(), 1);
}

fn refused(version: &str, seconds: i64) -> PastRelease {
    PastRelease {
        accepted: false,
        refused: true,
        ..release(version, seconds)
    }
}

/// All that is kept of a package, whichever way it is asked for.
async fn everything(store: &DynamoDbStore) -> Vec<PastRelease> {
    let asked = package("9.9.9");
    let history = store.past(&asked, None).await.unwrap().history;
    let versions: Vec<String> = history.iter().map(|release| release.version.clone()).collect();
    let mut by_version = store.releases(asked.name(), &versions).await.unwrap();
    by_version.sort_by_key(|release| std::cmp::Reverse(release.published_at));
    assert_eq!(by_version, history);
    assert_eq!(store.remembered(asked.name(), 1_000).await.unwrap(), versions);
    history
}

#[tokio::test]
async fn what_is_read_from_the_registrys_list_takes_one_row() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let name = package("1.0.0").name().clone();
    let releases: Vec<PastRelease> = (0..20)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    store.fill_timeline(&name, &releases[..12]).await.unwrap();
    assert_eq!(wire.take_operations(), ["BatchGetItem", "PutItem"]);
    store.fill_timeline(&name, &releases[4..12]).await.unwrap();
    assert_eq!(wire.take_operations(), ["BatchGetItem"]);
    // A word of one's own takes the place of what was read, whenever it was published.
    let said = [refused("1.3.0", 3), release("1.5.0", 30)];
    for said in &said {
        store.remember_release(&package(&said.version), said).await.unwrap();
    }
    store.fill_timeline(&name, &releases[8..]).await.unwrap();
    let mut expected = releases.clone();
    expected[3] = said[0].clone();
    expected.remove(5);
    expected.push(said[1].clone());
    expected.reverse();
    assert_eq!(everything(&fixture.store).await, expected);
}

#[tokio::test]
async fn of_two_who_fill_a_timeline_neither_loses_what_the_other_read() {
    let fixture = Fixture::new().await;
    let name = package("1.0.0").name().clone();
    fixture
        .store
        .fill_timeline(&name, &[release("1.0.0", 0)])
        .await
        .unwrap();
    // The first read is answered with nothing, as if the other had filled it right after.
    let (store, wire) = fixture.wired(|call, before| {
        (call.operation == "BatchGetItem" && before == 0)
            .then(|| (200, json!({ "Responses": { TABLE: [] }, "UnprocessedKeys": {} })))
    });
    store.fill_timeline(&name, &[release("2.0.0", 10)]).await.unwrap();
    assert_eq!(
        wire.take_operations(),
        ["BatchGetItem", "PutItem", "BatchGetItem", "PutItem"]
    );
    assert_eq!(
        everything(&fixture.store).await,
        [release("2.0.0", 10), release("1.0.0", 0)]
    );
}

#[tokio::test]
async fn of_what_was_read_from_the_registrys_list_the_latest_stays() {
    let fixture = Fixture::new().await;
    let name = package("1.0.0").name().clone();
    let releases: Vec<PastRelease> = (0..1100)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    fixture.store.fill_timeline(&name, &releases).await.unwrap();
    let versions: Vec<String> = releases.iter().map(|release| release.version.clone()).collect();
    let mut found = fixture.store.releases(&name, &versions).await.unwrap();
    found.sort_by_key(|release| release.published_at);
    assert_eq!(found, releases[1100 - 1024..]);
}

#[tokio::test]
async fn a_version_whose_release_was_not_written_any_more_gets_it_with_the_next_word() {
    let fixture = Fixture::new().await;
    for said in [release("1.0.0", 0), refused("1.0.0", 0)] {
        // The process ends between the two writes.
        let (store, _) = fixture
            .wired(|call, before| (call.operation == "PutItem" && before == 1).then(|| fault("AccessDeniedException")));
        let package = package("1.0.0");
        assert!(store.remember_release(&package, &said).await.is_err());
        assert_ne!(
            releases_in_memory(&fixture.store, &package).await,
            std::slice::from_ref(&said)
        );
        fixture.store.remember_release(&package, &said).await.unwrap();
        assert_eq!(everything(&fixture.store).await, [said]);
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
