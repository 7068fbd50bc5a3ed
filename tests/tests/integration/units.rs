//! What a verdict takes of DynamoDB, within bounds: `hekate_tests::units` counts, and the program `units` prints it.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use hekate_tests::cloud::{Cloud, Spent, TABLE};
use hekate_tests::units::{json, measure, text};

#[tokio::test(start_paused = true)]
async fn a_verdict_takes_no_more_units_than_it_should() {
    let all = measure().await.unwrap();
    println!("{}{}", text(&all), json(&all));
    let of = |work: &str| all.iter().find(|taken| taken.work == work).unwrap();
    let requests = |work: &str| of(work).requests.values().sum::<u64>();

    // One read of one row.
    let remembered = of("a verdict that is remembered");
    assert_eq!(remembered.requests, [("GetItem".to_owned(), 1)].into());
    assert!(remembered.reads <= 4.0 && remembered.writes == 0.0, "{remembered:?}");
    // Of one that is signed the signature is looked for besides, and kept.
    let signed = of("a verdict that is signed");
    let expected = [("GetItem".to_owned(), 2), ("PutItem".to_owned(), 1)];
    assert_eq!(signed.requests, expected.into());
    assert!(signed.reads <= 5.0 && signed.writes <= 1.0, "{signed:?}");
    let before = of("a verdict that was signed before");
    assert_eq!(before.requests, [("GetItem".to_owned(), 2)].into());
    assert!(before.reads <= 5.0 && before.writes == 0.0, "{before:?}");
    // And one note.
    let of_batch = of("a version of a batch alone, remembered");
    let expected = [("GetItem".to_owned(), 2), ("PutItem".to_owned(), 1)];
    assert_eq!(of_batch.requests, expected.into());
    assert!(of_batch.reads <= 4.0 && of_batch.writes <= 1.0, "{of_batch:?}");

    // What is there already is not written again, but for the first verdict's row of the history.
    let (first, again) = (of("a first verdict"), of("another look that changes nothing"));
    assert!(again.writes < first.writes, "{first:?} {again:?}");
    for (work, most_requests, most_reads, most_writes) in BOUNDS {
        let taken = of(work);
        assert!(
            requests(work) <= most_requests && taken.reads <= most_reads && taken.writes <= most_writes,
            "{taken:?}"
        );
    }
}

/// At most so many requests, read units and write units. The proofs of a log to which other tests add differ in length: whatever has an
/// attestation may take a unit more than alone, where ten versions of a batch take 104.
const BOUNDS: [(&str, u64, f64, f64); 8] = [
    ("a first verdict", 19, 11.5, 21.0),
    ("another look that changes nothing", 26, 18.0, 16.0),
    ("another look that changes the verdict", 27, 18.0, 24.0),
    ("a batch of 500 that is handed in", 3, 0.0, 10.0),
    ("a version of a batch alone, first verdict", 17, 10.0, 12.0),
    ("ten versions of a batch, first verdicts", 145, 82.0, 112.0),
    (
        "ten versions of a batch without attestations, first verdicts",
        115,
        62.0,
        62.0,
    ),
    ("a sweep with nothing to do", 35, 20.0, 0.0),
];

/// A row of so many bytes, keys, names and the key of the index included.
fn row(size: usize, sort_key: &str, due_at: Option<&str>) -> Vec<(String, AttributeValue)> {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let mut row = vec![("pk".to_owned(), text("ROW")), ("sk".to_owned(), text(sort_key))];
    if let Some(due_at) = due_at {
        row.push(("due_shard".to_owned(), text("0")));
        row.push(("due_at".to_owned(), text(due_at)));
    }
    let own: usize = row
        .iter()
        .map(|(name, value)| name.len() + value.as_s().unwrap().len())
        .sum();
    let data = vec![7; size - own - "data".len()];
    row.push(("data".to_owned(), AttributeValue::B(Blob::new(data))));
    row
}

#[tokio::test(start_paused = true)]
async fn the_emulation_charges_as_aws_says_it_does() {
    let cloud = Cloud::start(0.0).await.unwrap();
    let client = cloud.dynamodb();
    let spent = || match &cloud.take_spent()[..] {
        [one] => (one.reads, one.writes, one.index_writes),
        other => panic!("{other:?}"),
    };
    // A write takes one unit for each 1 KB, rounded up; a read one for each 4 KB, or half of that.
    for (size, writes, reads) in [(1024, 1.0, 1.0), (1025, 2.0, 1.0), (4096, 4.0, 1.0), (4097, 5.0, 2.0)] {
        let key = size.to_string();
        let put = client
            .put_item()
            .table_name(TABLE)
            .set_item(Some(row(size, &key, None).into_iter().collect()));
        put.send().await.unwrap();
        assert_eq!(spent(), (0.0, writes, 0.0), "{size}");
        for (consistent, share) in [(true, 1.0), (false, 0.5)] {
            let get = client.get_item().table_name(TABLE).consistent_read(consistent);
            let (pk, sk) = (AttributeValue::S("ROW".to_owned()), AttributeValue::S(key.clone()));
            get.key("pk", pk).key("sk", sk).send().await.unwrap();
            assert_eq!(spent(), (reads * share, 0.0, 0.0), "{size}");
        }
    }
    // In a transaction it takes two, and the index takes one of its own, in a transaction or not.
    for (sort_key, due_at, of_index) in [("a", None, 0.0), ("b", Some("1"), 1.0)] {
        let item = Some(row(1025, sort_key, due_at).into_iter().collect());
        let put = Put::builder().table_name(TABLE).set_item(item).build().unwrap();
        let transaction = TransactWriteItem::builder().put(put).build();
        client
            .transact_write_items()
            .transact_items(transaction)
            .send()
            .await
            .unwrap();
        assert_eq!(spent(), (0.0, 4.0 + of_index, of_index), "{sort_key}");
    }
    // A key of the index that changes is removed and written there.
    let put = client.put_item().table_name(TABLE);
    put.set_item(Some(row(1024, "b", Some("2")).into_iter().collect()))
        .send()
        .await
        .unwrap();
    let Spent {
        writes, index_writes, ..
    } = cloud.take_spent().remove(0);
    assert_eq!(
        (writes, index_writes),
        (4.0, 2.0),
        "the larger of the two rows, and two of the index"
    );
}
