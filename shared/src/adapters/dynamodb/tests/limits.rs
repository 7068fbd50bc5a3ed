//! Rows near the 400 KB that DynamoDB takes, and values beyond: nothing that grows with what others publish is lost or refused.

use std::collections::BTreeMap;

use super::*;
use crate::adapters::conformance::releases_in_memory;
use crate::check::{CheckId, Finding, Outcome};
use crate::dossier::{Body, Kept};
use crate::package::PackageVersion;
use crate::ports::{Change, Progress};
use blobs::PART;
use rows::{
    BODIES, FIRST_SEEN_JSON, JSON_LIMIT, PackedJson, PackedText, SEEN_TEXT, TRUST_TEXT, TextAttributes, VERDICT_TEXT,
};

/// The most bytes of a row (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const ROW: usize = 400 * 1024;

/// The bytes of a row, by the rule of
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>: names and values in UTF-8,
/// numbers by their digits.
fn size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| {
            let number = |text: &String| text.len() / 2 + 2;
            name.len()
                + value
                    .as_s()
                    .map(String::len)
                    .or_else(|_| value.as_n().map(number))
                    .or_else(|_| value.as_b().map(|bytes| bytes.as_ref().len()))
                    .or_else(|_| value.as_ss().map(|texts| texts.iter().map(String::len).sum()))
                    .unwrap()
        })
        .sum()
}

/// Noise that compresses to exactly so many bytes.
fn compressing_to(length: usize) -> Vec<u8> {
    (0..64)
        .map(|overhead| noise(length - overhead))
        .find(|bytes| packing::pack(bytes).unwrap().len() == length)
        .unwrap()
}

fn is_here(bytes: &[u8], attributes: &'static TextAttributes) -> bool {
    PackedText::of_bytes(bytes, attributes).unwrap().elsewhere().is_none()
}

/// What was seen first of files that make a JSON of so many bytes.
fn first_seen_of(length: usize) -> FirstSeen {
    let mut seen = FirstSeen {
        integrity: Digest::sha256_of(b"files"),
        at: at(0),
        artifacts: BTreeMap::new(),
        signed: true,
    };
    let json = |seen: &FirstSeen| serde_json::to_string(seen).unwrap().len();
    let mut number = 0;
    while json(&seen) + 400 < length {
        let name = format!("name-1.0.0-{number:04}-{}.whl", "x".repeat(150));
        seen.artifacts.insert(name, Digest::sha256_of(b"file"));
        number += 1;
    }
    seen.artifacts.insert(String::from("z"), Digest::sha256_of(b"file"));
    let missing = length - json(&seen);
    seen.artifacts.remove("z");
    seen.artifacts
        .insert("z".repeat(1 + missing), Digest::sha256_of(b"file"));
    assert_eq!(json(&seen), length);
    seen
}

/// A dossier of so many different bodies.
fn dossier_of(bodies: usize, seconds: i64) -> Dossier {
    let mut dossier = dossier(&package("1.0.0"), seconds, b"[]");
    for number in 0..bodies {
        let body = format!("{{\"body\":{number:5000}}}").into_bytes();
        dossier.observe(Observation {
            subject: Subject::Attestations,
            about: format!("file-{number}"),
            url: format!("https://registry.example/{number}"),
            at: at(seconds),
            answer: crate::dossier::Answer::Answered(crate::dossier::Response {
                status: 200,
                content_type: None,
                etag: None,
                last_modified: None,
                size: body.len().try_into().unwrap(),
                sha256: Digest::sha256_of(&body),
                redirects: 0,
                kept: Kept::Whole { body: Body(body) },
            }),
        });
    }
    dossier
}

/// A verdict whose text compresses to no less than so many bytes, and to little more.
fn verdict_of(dossier: &Dossier, status: Status, seconds: i64, length: usize) -> Verdict {
    let with = |noisy: usize| {
        let mut long = verdict(dossier, status, &[], seconds);
        let summary = hex::encode(noise(noisy));
        long.findings
            .push(Finding::new(CheckId::RunConclusion, Outcome::Pass(None), summary));
        long
    };
    let packed = |noisy: usize| packing::pack(&serde_json::to_vec(&with(noisy)).unwrap()).unwrap().len();
    // Hexadecimal digits of noise compress to a little more than half.
    let (mut from, mut to) = (length / 2, length);
    while to - from > 16 {
        let middle = usize::midpoint(from, to);
        if packed(middle) < length {
            from = middle;
        } else {
            to = middle;
        }
    }
    with(to)
}

#[tokio::test]
async fn the_emulation_takes_rows_of_400_kb_and_none_beyond() {
    let fixture = Fixture::new().await;
    let row = |length: usize| {
        let mut item = rows::key("ROW".to_owned(), "ROW");
        let own = size(&item) + "data".len();
        item.insert("data".to_owned(), AttributeValue::B(Binary::new(vec![0; length - own])));
        item
    };
    for (length, is_taken) in [(ROW, true), (ROW + 1, false)] {
        let put = fixture.server.client().put_item().table_name(TABLE);
        assert_eq!(
            put.set_item(Some(row(length))).send().await.is_ok(),
            is_taken,
            "{length}"
        );
    }
}

#[tokio::test]
async fn bodies_of_any_length_come_back_whole_in_as_many_parts_as_they_need() {
    let fixture = Fixture::new().await;
    for (seconds, length, parts) in [
        (0, PART - 1, 1),
        (10, PART, 1),
        (20, PART + 1, 2),
        (30, 2 * PART, 2),
        (40, 5_000_000, 14),
    ] {
        let body = noise(length);
        let dossier = dossier(&package("1.0.0"), seconds, &body);
        let verdict = verdict(&dossier, Status::Verified, &[], seconds);
        fixture.store.record(&verdict, &dossier, None, false).await.unwrap();
        assert!(
            fixture.store.dossier(&verdict.dossier).await.unwrap() == Some(dossier),
            "{length}"
        );
        let key = keys::body_key(&Digest::sha256_of(&body));
        let first = fixture.row(&key, "PART#0000").await;
        assert_eq!(rows::number_of::<usize>(&first, "parts").unwrap(), parts, "{length}");
    }
    assert!(fixture.all().await.iter().all(|item| size(item) <= ROW));
}

#[tokio::test]
async fn what_is_compressed_is_in_its_row_up_to_its_limit_and_elsewhere_beyond() {
    let fixture = Fixture::new().await;
    for attributes in [&VERDICT_TEXT, &SEEN_TEXT, &TRUST_TEXT] {
        for (length, expected) in [
            (attributes.limit - 1, true),
            (attributes.limit, true),
            (attributes.limit + 1, false),
        ] {
            assert_eq!(
                is_here(&compressing_to(length), attributes),
                expected,
                "{}",
                attributes.here
            );
        }
    }
    for (seconds, length) in [
        (0, TRUST_TEXT.limit - 1),
        (1, TRUST_TEXT.limit),
        (2, TRUST_TEXT.limit + 1),
        (3, 3_000_000),
    ] {
        let document = if length < ROW {
            compressing_to(length)
        } else {
            noise(length)
        };
        fixture.store.keep_trust(&document, at(seconds)).await.unwrap();
        assert!(fixture.store.trust().await.unwrap() == Some(document), "{length}");
    }
    for (seconds, length) in [(0, SEEN_TEXT.limit / 2), (10, SEEN_TEXT.limit), (20, 3_000_000)] {
        let seen = Observation {
            url: hex::encode(noise(length)),
            ..seen(seconds, 200)
        };
        for key in [run(), build_of("12", 4, 1, "ab34")] {
            let look = std::slice::from_ref(&seen);
            fixture
                .store
                .remember(&key, look, at(seconds), seconds == 0)
                .await
                .unwrap();
            assert!(fixture.store.recall(&key).await.unwrap().contains(&seen), "{length}");
        }
    }
    assert!(fixture.all().await.iter().all(|item| size(item) <= ROW));
}

#[tokio::test]
async fn a_verdict_fits_into_its_row_whatever_else_is_in_it() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    // The longest text that the row takes, more bodies than it lists, and the longest list of files that it takes.
    let dossiers = [dossier_of(2000, 0), dossier_of(2000, 10), dossier_of(2000, 20)];
    let longest = verdict_of(&dossiers[0], Status::Verified, 0, VERDICT_TEXT.limit - 200);
    let seen = first_seen_of(JSON_LIMIT);
    store.record(&longest, &dossiers[0], Some(&seen), false).await.unwrap();
    let row = fixture.row(PKG, "VERDICT").await;
    assert!(
        row.contains_key("verdict") && row.contains_key("first_seen"),
        "{:?}",
        row.keys()
    );
    assert!(matches!(&row["bodies"], AttributeValue::Ss(bodies) if bodies.len() == BODIES));
    assert!((ROW / 2..ROW).contains(&size(&row)), "{} bytes", size(&row));
    assert!(store.current(&longest.package).await.unwrap() == Some(longest.clone()));
    assert!(store.dossier(&longest.dossier).await.unwrap().as_ref() == Some(&dossiers[0]));
    // What writes the row again: the same verdict later, a change, and a mark. Files that were added are another list.
    let same = verdict_of(&dossiers[1], Status::Verified, 10, VERDICT_TEXT.limit - 200);
    let added = FirstSeen {
        artifacts: [("added.whl".to_owned(), Digest::sha256_of(b"added"))].into(),
        ..seen.clone()
    };
    store.record(&same, &dossiers[1], Some(&added), false).await.unwrap();
    let memory = store.first_seen(&same.package).await.unwrap().unwrap();
    assert_eq!(memory.artifacts.len(), seen.artifacts.len() + 1);
    assert_eq!(memory.integrity, seen.integrity);
    let row = fixture.row(PKG, "VERDICT").await;
    assert!(row.contains_key("first_seen_blob") && !row.contains_key("first_seen"));
    let change = verdict_of(&dossiers[2], Status::Mismatch, 20, 400_000);
    store.record(&change, &dossiers[2], Some(&added), false).await.unwrap();
    store.mark_removed(&change.package, at(30)).await.unwrap();
    let current = store.current(&change.package).await.unwrap().unwrap();
    assert!(current.removed_at == Some(at(30)) && current.findings == change.findings);
    assert_eq!(store.first_seen(&same.package).await.unwrap(), Some(memory));
    assert!(store.history(&change.package, None, 10).await.unwrap() == [change, longest]);
    assert!(fixture.all().await.iter().all(|item| size(item) <= ROW));
}

#[tokio::test]
async fn what_was_seen_first_of_any_number_of_files_comes_back_whole() {
    for (length, is_here) in [
        (JSON_LIMIT - 1, true),
        (JSON_LIMIT, true),
        (JSON_LIMIT + 1, false),
        (3_000_000, false),
    ] {
        let fixture = Fixture::new().await;
        let (verdict, evidence) = sample(0);
        let seen = first_seen_of(length);
        assert_eq!(
            PackedJson::of(&seen, &FIRST_SEEN_JSON).unwrap().elsewhere().is_none(),
            is_here
        );
        fixture
            .store
            .record(&verdict, &evidence, Some(&seen), false)
            .await
            .unwrap();
        let kept = fixture.store.first_seen(&verdict.package).await.unwrap();
        assert!(kept == Some(seen), "{length}");
        assert!(fixture.all().await.iter().all(|item| size(item) <= ROW));
    }
}

#[tokio::test]
async fn what_two_workers_add_to_what_was_seen_first_is_not_lost_to_either() {
    let fixture = Fixture::new().await;
    let seen = |name: &str| FirstSeen {
        integrity: Digest::sha256_of(b"files"),
        at: at(0),
        artifacts: [(name.to_owned(), Digest::sha256_of(name.as_bytes()))].into(),
        signed: true,
    };
    let (verdict, evidence) = sample(0);
    fixture
        .store
        .record(&verdict, &evidence, Some(&seen("a")), false)
        .await
        .unwrap();
    let stale = fixture.row(PKG, "VERDICT").await;
    // Another worker adds a file and leaves the verdict, after the row was read and before it is written.
    let other = dossier(&package("1.0.0"), 10, b"[]");
    let undecided = conformance::verdict(&other, Status::Indeterminate, &[], 10);
    fixture
        .store
        .record(&undecided, &other, Some(&seen("b")), false)
        .await
        .unwrap();
    let (store, _) = fixture.wired(move |call, before| {
        let is_first = call.operation == "GetItem" && before == 0;
        is_first.then(|| (200, json!({ "Item": wire_item(&stale) })))
    });
    let third = dossier(&package("1.0.0"), 20, b"[]");
    let undecided = conformance::verdict(&third, Status::Indeterminate, &[], 20);
    store.record(&undecided, &third, Some(&seen("c")), false).await.unwrap();
    let memory = fixture.store.first_seen(&verdict.package).await.unwrap().unwrap();
    assert_eq!(memory.artifacts.into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_a_release_proved_comes_back_whole_at_any_length() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let with = |version: &str, seconds: i64, length: usize| {
        let mut release = release(version, seconds);
        release.declared_publisher = Some(String::new());
        let own = serde_json::to_string(&release).unwrap().len();
        release.declared_publisher = Some("x".repeat(length - own));
        release
    };
    let releases = [
        with("1.0.0", 0, JSON_LIMIT - 1),
        with("1.1.0", 10, JSON_LIMIT),
        with("1.2.0", 20, JSON_LIMIT + 1),
        with("1.3.0", 30, 3_000_000),
    ];
    let name = package("1.0.0").name().clone();
    store.remember_release(&package("1.0.0"), &releases[0]).await.unwrap();
    store.remember_release(&package("1.2.0"), &releases[2]).await.unwrap();
    store.fill_timeline(&name, &releases).await.unwrap();
    let found = releases_in_memory(store, &package("1.0.0")).await;
    let newest_first: Vec<_> = releases.iter().rev().cloned().collect();
    assert!(found == newest_first);
    let versions: Vec<String> = releases.iter().map(|release| release.version.clone()).collect();
    assert_eq!(store.releases(&name, &versions).await.unwrap().len(), 4);
    assert_eq!(
        store.remembered(&name, 10).await.unwrap(),
        ["1.3.0", "1.2.0", "1.1.0", "1.0.0"]
    );
    // The last word is shorter, and takes the place of the long one.
    store
        .remember_release(&package("1.3.0"), &release("1.3.0", 30))
        .await
        .unwrap();
    assert!(
        releases_in_memory(store, &package("1.0.0"))
            .await
            .contains(&release("1.3.0", 30))
    );
    assert!(fixture.all().await.iter().all(|item| size(item) <= ROW));
}

#[tokio::test]
async fn what_does_not_grow_with_what_others_publish_is_far_from_the_limit() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    // Every check decides, now and before, under the longest name and version.
    let name = format!("%40{}/{}", "n".repeat(106), "m".repeat(106));
    let package: PackageVersion = format!("pkg:npm/{name}@1.0.0-{}", "a".repeat(250)).parse().unwrap();
    let checks: Vec<&str> = CheckId::ALL.iter().map(|check| check.as_str()).collect();
    for (seconds, status) in [(0, Status::Mismatch), (10, Status::Suspicious)] {
        let dossier = dossier(&package, seconds, b"[]");
        let verdict = verdict(&dossier, status, &checks, seconds);
        store.record(&verdict, &dossier, None, false).await.unwrap();
    }
    store.watch(package.name(), at(0)).await.unwrap();
    store
        .create_batch(
            &conformance::batch(&"b".repeat(2000), 1),
            std::slice::from_ref(&package),
            at(0),
        )
        .await
        .unwrap();
    let failed = BatchItem {
        package: package.clone(),
        progress: Progress::Failed {
            code: "not_found".to_owned(),
            message: "ä".repeat(1000),
        },
    };
    store.note_progress(&"b".repeat(2000), &[failed], at(0)).await.unwrap();
    store
        .acquire_lease(&package, &"holder".repeat(20), None, false, at(0), at(60))
        .await
        .unwrap();
    let sibling = Sibling {
        package: package.clone(),
        published_at: at(0),
    };
    store.remember_publication(&"p".repeat(5000), &sibling).await.unwrap();
    assert!(store.advance_cursor("npm", None, u64::MAX).await.unwrap());
    let owed: Vec<Change> = store
        .owed(at(10), 10)
        .await
        .unwrap()
        .into_iter()
        .map(|owed| owed.change)
        .collect();
    assert_eq!(owed.len(), 2);
    assert_eq!(owed[1].previously_decided_by.len(), CheckId::ALL.len());
    for item in fixture.all().await {
        assert!(
            size(&item) < 32 * 1024,
            "{} of {:?} {:?}",
            size(&item),
            item["pk"],
            item["sk"]
        );
    }
}
