//! Which reads see every write that was answered before, and which do without at half the price.

use super::*;
use crate::package::{Ecosystem, PackageName};
use crate::ports::TraceKey;

/// How consistent the reads among these calls are, by operation and each once; of a query of the index nothing is asked.
fn reads(calls: &[Call]) -> Vec<(String, Option<bool>)> {
    let consistent = |call: &Call| match call.operation.as_str() {
        "GetItem" | "Query" => Some(call.input["ConsistentRead"].as_bool()),
        "BatchGetItem" => Some(call.input["RequestItems"][TABLE]["ConsistentRead"].as_bool()),
        _ => None,
    };
    let all = calls
        .iter()
        .filter_map(|call| Some((call.operation.clone(), consistent(call)?)));
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

#[tokio::test]
async fn a_read_is_strongly_consistent_where_something_is_decided_on_it_and_nowhere_else() {
    let fixture = Fixture::new().await;
    let (store, wire) = fixture.wired(|_, _| None);
    let (verdict, evidence) = sample(100);
    store.record(&verdict, &evidence, None, false).await.unwrap();
    store
        .remember_release(&package("1.0.0"), &release("1.0.0", 0))
        .await
        .unwrap();
    wire.take_calls();
    let (package, name) = (package("1.0.0"), package("1.0.0").name().clone());
    let names: [PackageName; 1] = [name.clone()];
    let (run, build): (TraceKey, TraceKey) = (run(), build());

    /// Makes a call, and compares what it read.
    macro_rules! reads {
        ($call:expr => $($operation:literal $consistent:expr),+) => {
            assert!($call.await.is_ok(), stringify!($call));
            let expected = vec![$(($operation.to_owned(), $consistent)),+];
            assert_eq!(reads(&wire.take_calls()), expected, stringify!($call));
        };
    }
    let (strong, eventual) = (Some(true), Some(false));
    reads!(store.current(&package) => "GetItem" strong);
    reads!(store.last_look(&package) => "GetItem" strong);
    reads!(store.past(&package, None) => "BatchGetItem" strong, "GetItem" strong, "Query" strong);
    reads!(store.first_seen(&package) => "GetItem" strong);
    reads!(store.history(&package, None, 10) => "GetItem" strong, "Query" strong);
    reads!(store.recall(&run) => "GetItem" strong);
    // An earlier version that runs beside this one may have added to what it keeps of the run.
    reads!(store.recall(&build) => "GetItem" strong, "Query" strong);
    reads!(store.remember(&build, &[seen(0, 200)], at(0), false) => "GetItem" strong);
    reads!(store.releases(&name, &["1.0.0".to_owned()]) => "BatchGetItem" eventual);
    reads!(store.remembered(&name, 10) => "BatchGetItem" eventual, "Query" eventual);
    reads!(store.remember_release(&package, &release("1.0.0", 0)) => "BatchGetItem" strong, "GetItem" strong);
    reads!(store.fill_timeline(&name, &[]) => "BatchGetItem" eventual);
    reads!(store.published_by("alice", at(0), 10) => "Query" strong);
    reads!(store.mark_removed(&package, at(0)) => "GetItem" strong);
    reads!(store.watched(&name) => "GetItem" strong);
    reads!(store.watched_among(&names) => "BatchGetItem" eventual);
    reads!(store.watches_any(Ecosystem::Npm) => "Query" eventual);
    reads!(store.watch_list(None, 10) => "Query" eventual);
    reads!(store.batch("b1", at(0)) => "GetItem" strong);
    reads!(store.batch_items("b1", None, 10, at(0)) => "Query" strong);
    reads!(store.cursor("npm") => "GetItem" strong);
    reads!(store.trust() => "GetItem" strong);
    reads!(store.owed(at(200), 10) => "Query" eventual);
    reads!(store.changes(&ChangesAfter::Instant(at(0)), at(200), 10) => "Query" strong);
    // An index is never strongly consistent.
    reads!(store.due(at(0), 10) => "Query" None);
    // What a slow look found out is compared with what stood at its time.
    let earlier = dossier(&package, 50, b"[]");
    let late = conformance::verdict(&earlier, Status::Mismatch, &[], 50);
    reads!(store.record(&late, &earlier, None, false) => "GetItem" strong, "Query" strong);
    // Evidence never changes: what is found is right, and what is missed is asked for again.
    reads!(store.dossier(&verdict.dossier) => "BatchGetItem" eventual);
    reads!(store.dossier(&Digest::sha256_of(b"unknown")) => "BatchGetItem" eventual, "BatchGetItem" strong);
}

#[tokio::test]
async fn evidence_that_an_eventually_consistent_read_misses_is_found() {
    let fixture = Fixture::new().await;
    let (verdict, evidence) = sample(0);
    fixture.store.record(&verdict, &evidence, None, false).await.unwrap();
    // The copy that is asked has not heard of it yet.
    let (store, wire) = fixture.wired(|call, _| {
        let is_stale = call.input["RequestItems"][TABLE]["ConsistentRead"] == false;
        (call.operation == "BatchGetItem" && is_stale)
            .then(|| (200, json!({ "Responses": { TABLE: [] }, "UnprocessedKeys": {} })))
    });
    assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(evidence));
    assert_eq!(wire.take_operations(), ["BatchGetItem"; 4]);
}
