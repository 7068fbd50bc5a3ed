//! The same of what the store does in several requests, for whoever finds it half done: what was there before is there at every
//! moment, and who does it again comes to the same end as if nothing had happened.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use hekate::adapters::dynamodb::DynamoDbStore;
use hekate::dossier::{Answer, Body, Kept as KeptBody, Observation, Response, Subject};
use hekate::package::Digest;
use hekate::ports::{StoreFault, TraceKey, TrustStore as _, VerdictStore as _};
use hekate_tests::cloud::{Cloud, Kept, Met, TABLE, Trouble};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{OF_PARTS, TROUBLES, begin};

/// Something that a store does.
trait Work {
    /// Does it.
    async fn work(&self, store: &DynamoDbStore) -> Result<(), StoreFault>;

    /// Holds what can be read at any moment to what was there before.
    async fn look(&self, store: &DynamoDbStore);

    /// What can be read of it in the end.
    async fn read(&self, store: &DynamoDbStore) -> Value;
}

/// Everything that is kept in the end: what can be read, and every row but what is large, of which nothing may be left behind
/// that is referred to by nobody.
async fn state(work: &impl Work, cloud: &Arc<Cloud>) -> Value {
    let rows: BTreeSet<String> = cloud
        .rows()
        .unwrap()
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row["pk"]["S"].as_str().unwrap(),
                row["sk"]["S"].as_str().unwrap()
            )
        })
        .filter(|row| !row.starts_with("TEXT#"))
        .collect();
    json!({ "read": work.read(&cloud.store()).await, "rows": rows })
}

/// Troubles every request of some work in every way.
async fn outlives_whatever_happens(before: &Kept, work: &impl Work, at_least: u64) {
    let undisturbed = Cloud::from_kept(before).unwrap();
    let (done, met) = undisturbed.live(None, work.work(&undisturbed.store())).await;
    done.unwrap().unwrap();
    assert!(met.requests >= at_least, "{} requests", met.requests);
    let end = state(work, &undisturbed).await;
    let mut points = 0;
    for (fate, extent) in TROUBLES {
        for at in 0.. {
            let trouble = Trouble { at, fate, extent };
            let met = ends_the_same(before, work, trouble, &end).await;
            assert_eq!(met.troubled > 0, met.requests > at, "{trouble:?}");
            if met.troubled == 0 {
                break;
            }
            points += 1;
        }
    }
    for (fate, extent) in OF_PARTS {
        for at in &met.of_parts {
            let trouble = Trouble { at: *at, fate, extent };
            assert!(ends_the_same(before, work, trouble, &end).await.troubled > 0);
            points += 1;
        }
    }
    println!("{} requests, troubled {points} times", met.requests);
    assert!(points >= 6 * at_least, "{points}");
}

async fn ends_the_same(before: &Kept, work: &impl Work, trouble: Trouble, end: &Value) -> Met {
    let cloud = Cloud::from_kept(before).unwrap();
    let (done, met) = cloud.live(Some(trouble), work.work(&cloud.store())).await;
    work.look(&cloud.store()).await;
    // What it says it has done is done; otherwise somebody else does it. Whoever does it twice changes nothing.
    let is_done = matches!(done, Some(Ok(())));
    for times in usize::from(!is_done)..2 {
        if times > 0 {
            work.work(&cloud.store()).await.unwrap();
        }
        let state = state(work, &cloud).await;
        assert_eq!(&state, end, "{trouble:?}: {state:#} instead of {end:#}");
    }
    met
}

/// Signed files, as they are kept for other processes.
struct Trust {
    earlier: Vec<u8>,
    later: Vec<u8>,
}

impl Trust {
    fn at(later: bool) -> Timestamp {
        begin() + SignedDuration::from_hours(i64::from(later))
    }
}

impl Work for Trust {
    async fn work(&self, store: &DynamoDbStore) -> Result<(), StoreFault> {
        store.keep_trust(&self.later, Self::at(true)).await
    }

    async fn look(&self, store: &DynamoDbStore) {
        let found = store.trust().await.unwrap();
        assert!(found.is_some_and(|found| found == self.earlier || found == self.later));
        // Whoever is late takes nobody's later ones away.
        if store.trust().await.unwrap().as_ref() == Some(&self.later) {
            store.keep_trust(&self.earlier, Self::at(false)).await.unwrap();
            assert_eq!(store.trust().await.unwrap().as_ref(), Some(&self.later));
        }
    }

    async fn read(&self, store: &DynamoDbStore) -> Value {
        let found = store.trust().await.unwrap().unwrap();
        json!(Digest::sha256_of(&found))
    }
}

/// Bytes that nothing compresses.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
}

#[tokio::test(start_paused = true)]
async fn trust_material_that_is_kept_outlives_whatever_happens() {
    // In the row itself, and in so many pieces that it is written in several requests.
    for (bytes, at_least) in [(10_000, 1), (900_000, 2)] {
        let work = Trust {
            earlier: noise(1, bytes),
            later: noise(2, bytes),
        };
        let cloud = Cloud::start(0.0).await.unwrap();
        cloud.store().keep_trust(&work.earlier, Trust::at(false)).await.unwrap();
        outlives_whatever_happens(&cloud.keep().unwrap(), &work, at_least).await;
    }
}

/// The run that is looked at, among the last of its commit's by name: its row is not read through others.
const RUN: u64 = 900;
/// A run that nobody has looked at.
const NEW: u64 = 500;
/// More runs than of which rows are read.
const MANY: std::ops::Range<u64> = 100..166;
/// As many as of which rows are folded together.
const SOME: std::ops::Range<u64> = 100..131;

fn key(run: u64) -> TraceKey {
    TraceKey {
        repository: "12".to_owned(),
        run,
        attempt: 1,
        commit: Some("ab34".to_owned()),
    }
}

fn minute(minute: i64) -> Timestamp {
    begin() + SignedDuration::from_mins(minute)
}

/// An answer with this body; with none, a 404.
fn seen(subject: Subject, at: Timestamp, body: &[u8]) -> Observation {
    let body = body.to_vec();
    Observation {
        subject,
        about: String::new(),
        url: "https://forge.example/".to_owned(),
        at,
        answer: Answer::Answered(Response {
            status: if body.is_empty() { 404 } else { 200 },
            content_type: None,
            etag: None,
            last_modified: None,
            size: body.len() as u64,
            sha256: Digest::sha256_of(&body),
            kept: if body.is_empty() {
                KeptBody::Nothing
            } else {
                KeptBody::Whole { body: Body(body) }
            },
            redirects: 0,
        }),
    }
}

/// A look at a run by which the commit was there no more.
fn gone(at: Timestamp) -> Vec<Observation> {
    vec![seen(Subject::Run, at, b"run"), seen(Subject::Commit, at, b"")]
}

/// Where what was seen of a commit stands among what was not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    First,
    OfEarlierVersion,
    Last,
    LastOfEarlierVersion,
}

/// A commit, and the look at [`RUN`] that is made of it.
struct Crowd {
    /// What was seen of the commit before, and through which run.
    before: (u64, Vec<Observation>),
    /// What is seen now; nothing, where it is only recalled for [`NEW`].
    look: Vec<Observation>,
    /// Of which runs everything is read in the end.
    runs: Vec<u64>,
}

impl Crowd {
    /// What there is before, with these runs by which nothing was there: what was seen before came first, or as a row that an
    /// earlier version wrote, or last.
    async fn kept(&self, runs: std::ops::Range<u64>, order: Order) -> Kept {
        let cloud = Cloud::start(0.0).await.unwrap();
        let store = cloud.store();
        let (run, seen) = &self.before;
        match order {
            Order::First => store.remember(&key(*run), seen, minute(0), true).await.unwrap(),
            Order::OfEarlierVersion => self.keep_alone(&cloud).await,
            Order::Last | Order::LastOfEarlierVersion => {}
        }
        for run in runs {
            let is_first = store.recall(&key(run)).await.unwrap().is_empty();
            let look = gone(minute(1));
            store.remember(&key(run), &look, minute(1), is_first).await.unwrap();
        }
        match order {
            Order::Last => store.remember(&key(*run), seen, minute(2), false).await.unwrap(),
            Order::LastOfEarlierVersion => self.keep_alone(&cloud).await,
            Order::First | Order::OfEarlierVersion => {}
        }
        cloud.keep().unwrap()
    }

    /// Keeps what was seen of the commit in a row of its own, with the look that it is.
    async fn keep_alone(&self, cloud: &Arc<Cloud>) {
        let (run, _) = &self.before;
        let of_commit: Vec<Observation> = self.of_commit().cloned().collect();
        let kept = cloud.store();
        kept.remember(&key(*run), &of_commit, minute(0), true).await.unwrap();
        commit_alone(cloud, *run).await;
    }

    /// What was seen of the commit before.
    fn of_commit(&self) -> impl Iterator<Item = &Observation> {
        let (_, seen) = &self.before;
        seen.iter().filter(|seen| seen.subject != Subject::Run)
    }
}

/// Makes the row of a run that of the commit apart from its runs, as an earlier version wrote it.
async fn commit_alone(cloud: &Arc<Cloud>, run: u64) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let (client, partition) = (cloud.dynamodb(), text("TRACE#COMMIT#12#ab34"));
    let of_run = text(&format!("KEPT#{run}#1"));
    let deleted = client
        .delete_item()
        .table_name(TABLE)
        .key("pk", partition)
        .key("sk", of_run)
        .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
        .send();
    let mut row = deleted.await.unwrap().attributes.unwrap();
    row.insert("sk".to_owned(), text("KEPT"));
    assert!(row.contains_key("looked_at"));
    let put = client.put_item().table_name(TABLE).set_item(Some(row));
    put.send().await.unwrap();
}

impl Work for Crowd {
    /// As the service does it: recalls, and remembers what it has seen.
    async fn work(&self, store: &DynamoDbStore) -> Result<(), StoreFault> {
        if self.look.is_empty() {
            return store.recall(&key(NEW)).await.map(drop);
        }
        let is_first = store.recall(&key(RUN)).await?.is_empty();
        store.remember(&key(RUN), &self.look, minute(10), is_first).await
    }

    async fn look(&self, store: &DynamoDbStore) {
        for run in [NEW, RUN] {
            let found = store.recall(&key(run)).await.unwrap();
            for seen in self.of_commit() {
                let is_there = |found: &Observation| found.subject == seen.subject && found.success().is_some();
                assert!(
                    found.iter().any(is_there),
                    "{:?} is lost for {run}: {found:#?}",
                    seen.subject
                );
            }
        }
    }

    async fn read(&self, store: &DynamoDbStore) -> Value {
        let mut read = Vec::new();
        for run in &self.runs {
            read.push(store.recall(&key(*run)).await.unwrap());
        }
        json!(read)
    }
}

/// What a look finds of a commit: small, or too large for a row.
fn found(at: Timestamp, bytes: usize) -> Vec<Observation> {
    vec![
        seen(Subject::Run, at, b"run"),
        seen(Subject::Commit, at, &noise(3, bytes)),
        seen(Subject::Tags, at, b"tags"),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_of_a_commit_that_gets_many_runs_is_recalled_whatever_happens() {
    for (bytes, at_least) in [(100, 3), (380_000, 5)] {
        let crowd = Crowd {
            before: (SOME.end, found(minute(0), bytes)),
            look: Vec::new(),
            runs: vec![NEW, SOME.start, SOME.end],
        };
        let before = crowd.kept(SOME, Order::Last).await;
        outlives_whatever_happens(&before, &crowd, at_least).await;
        // It is in a row of its own by then, which is written once.
        let cloud = Cloud::from_kept(&before).unwrap();
        let mut written = Vec::new();
        for _time in 0..2 {
            cloud.take_spent();
            crowd.work(&cloud.store()).await.unwrap();
            written.push(cloud.take_spent().iter().any(|spent| spent.writes > 0.0));
        }
        assert_eq!(written, [true, false]);
        assert!(cloud.rows().unwrap().iter().any(|row| row["sk"]["S"] == "KEPT"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_version_kept_of_a_commit_with_many_runs_is_recalled_whatever_happens() {
    let crowd = Crowd {
        before: (SOME.end, vec![seen(Subject::Tags, minute(0), b"tags")]),
        look: Vec::new(),
        runs: vec![NEW, SOME.start],
    };
    let before = crowd.kept(SOME, Order::LastOfEarlierVersion).await;
    outlives_whatever_happens(&before, &crowd, 4).await;
    // Its look has a row by then, since what is kept is something else.
    let cloud = Cloud::from_kept(&before).unwrap();
    let looks = || {
        let rows = cloud.rows().unwrap();
        let is_look = |row: &&Value| row["sk"]["S"].as_str().unwrap().starts_with("LOOK#");
        rows.iter().filter(is_look).count()
    };
    assert_eq!(looks(), 0);
    crowd.work(&cloud.store()).await.unwrap();
    assert_eq!(looks(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_one_run_of_very_many_sees_of_a_commit_is_recalled_by_the_others_whatever_happens() {
    let (tags, commit) = (seen(Subject::Tags, minute(0), b"tags"), noise(4, 100));
    let crowd = Crowd {
        // Of the commit only its tags were seen before.
        before: (200, vec![seen(Subject::Run, minute(0), b"run"), tags]),
        look: vec![
            seen(Subject::Run, minute(10), b"run"),
            seen(Subject::Commit, minute(10), &commit),
        ],
        runs: vec![NEW, MANY.start, RUN],
    };
    for order in [Order::First, Order::OfEarlierVersion] {
        let before = crowd.kept(MANY, order).await;
        outlives_whatever_happens(&before, &crowd, 7).await;
        // What it saw is the others'.
        let cloud = Cloud::from_kept(&before).unwrap();
        crowd.work(&cloud.store()).await.unwrap();
        let recalled = cloud.store().recall(&key(NEW)).await.unwrap();
        let of_commit = recalled.iter().find(|seen| seen.subject == Subject::Commit).unwrap();
        assert_eq!(of_commit, &crowd.look[1]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_look_at_a_run_of_very_many_is_kept_once_whatever_happens() {
    // The run was seen before, with its commit; now both are gone, and the tags are there.
    let crowd = Crowd {
        before: (RUN, found(minute(0), 100)),
        look: vec![
            seen(Subject::Run, minute(10), b""),
            seen(Subject::Commit, minute(10), b""),
            seen(Subject::Tags, minute(10), b"other tags"),
            seen(Subject::OnDefaultBranch, minute(10), b"more"),
        ],
        // A newer answer of the same kind is folded in when its run is recalled, which whoever does it twice has done.
        runs: vec![RUN, NEW, MANY.start],
    };
    let before = crowd.kept(MANY, Order::First).await;
    outlives_whatever_happens(&before, &crowd, 8).await;
    let cloud = Cloud::from_kept(&before).unwrap();
    crowd.work(&cloud.store()).await.unwrap();
    let rows = cloud.rows().unwrap();
    let looks = rows
        .iter()
        .filter(|row| row["sk"]["S"].as_str().unwrap().starts_with("LOOK#900#1#"));
    assert_eq!(looks.count(), 2, "the one before and this one");
}
