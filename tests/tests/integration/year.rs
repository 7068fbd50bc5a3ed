//! A year of a registry in small: see `hekate_tests::year` and the program `year` for a whole one.

use hekate_tests::year::{Plan, Report, crowd, run};
use jiff::SignedDuration;

/// A year in small, of which every bar is kept.
async fn small(seed: u64) -> Report {
    let plan = Plan::new(seed, 24, 240, 75);
    let report = run(&plan, |_day| {}).await.unwrap();
    let broken = report.broken_bars();
    assert!(broken.is_empty(), "{}\n{}", report.table(), broken.join("\n"));
    report
}

#[tokio::test]
async fn every_bar_of_a_year_in_small_is_kept() {
    let report = small(1).await;
    let audit = &report.audit;
    assert!(audit.ledger.kills > 0 && audit.ledger.faults > 0, "{}", report.table());
    assert!(audit.ledger.looks > 600 && audit.changes > 240, "{}", report.table());
    assert!(audit.repeated > 0 && audit.marked > 0, "{}", report.table());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sweepers_and_ten_workers_never_look_at_one_version_at_once_and_lose_nothing() {
    let mut plan = Plan::new(7, 120, 24_000, 60);
    plan.attacks = 9;
    let time = SignedDuration::from_hours(9)..SignedDuration::from_hours(13);
    let crowd = crowd(&plan, 2, 10, time).await.unwrap();
    assert_eq!(crowd.ledger.overlaps, [""; 0]);
    assert_eq!(crowd.ledger.broken_moves(), [""; 0]);
    assert_eq!(crowd.lost, [""; 0]);
    assert_eq!(crowd.read.0, Some(crowd.read.1), "the feed was read to its end");
    assert!(crowd.releases > 100, "{crowd:?}");
    assert!(crowd.ledger.held > 0, "two workers wanted the same version: {crowd:?}");
    assert!(crowd.sweeps > 100, "{}", crowd.sweeps);
}
