//! What every adapter of a port has to do: one function for each fact, which each adapter's tests run.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::check::{CheckId, Finding, Outcome, UnknownReason};
use crate::dossier::{Answer, ArchiveMember, Body, Dossier, Kept, Observation, Response, Subject, keep};
use crate::history::{self, PastRelease};
use crate::package::{Digest, DigestAlgorithm, PackageVersion};
use crate::ports::{FirstSeen, Memory, Recorded, TraceKey, VerdictStore, WorkItem, WorkQueue, WorkReason};
use crate::verdict::{Status, Verdict};

/// Runs every fact about a [`VerdictStore`] as a test of its own. `$fixture` is an async function; whatever it returns
/// lives as long as the test, and its `store` is tested.
macro_rules! verdict_store_conformance {
    ($fixture:path) => {
        crate::adapters::conformance::verdict_store_conformance! { $fixture =>
            nothing_is_known_of_a_version_that_was_never_recorded
            a_recorded_verdict_is_current
            a_verdict_never_overwrites_a_newer_one
            a_verdict_that_comes_late_is_still_in_the_history
            a_late_change_makes_the_current_verdict_a_change
            the_same_verdict_can_be_recorded_twice
            indeterminate_never_replaces_a_settled_verdict
            silence_never_replaces_what_was_told
            indeterminate_still_schedules_the_next_look
            a_settled_verdict_replaces_an_indeterminate_one
            only_changes_are_appended_to_the_history
            the_history_is_newest_first_and_limited
            what_was_seen_first_is_never_changed
            of_concurrent_verdicts_the_newest_stays
            versions_do_not_see_each_other
            a_dossier_comes_back_whole
            a_dossier_of_two_megabytes_comes_back_whole
            a_dossier_is_kept_even_if_its_verdict_is_not
            earlier_dossiers_stay
            an_unknown_dossier_is_none
            a_verdict_of_any_length_comes_back_whole
            two_workers_cannot_hold_the_same_lease
            a_lease_is_not_given_to_its_holder_twice
            an_expired_item_that_is_still_served_is_ignored
            only_the_holder_releases_a_lease
            a_released_lease_can_be_taken
            what_is_due_comes_most_overdue_first
            what_is_looked_at_is_no_longer_due
            nothing_is_recalled_of_a_run_that_was_never_seen
            a_run_seen_is_recalled
            a_later_absence_does_not_replace_what_was_seen
            a_later_success_replaces_what_was_seen
            the_looks_of_two_workers_are_both_kept
            the_same_look_twice_changes_nothing
            runs_attempts_and_commits_do_not_see_each_other
            what_was_seen_comes_back_whole_at_any_length
            a_remembered_release_is_in_the_memory_of_every_version
            of_many_releases_the_newest_are_remembered
            the_last_word_on_a_release_stays
            of_concurrent_words_on_a_release_one_stays
            packages_do_not_see_each_others_releases
            what_is_remembered_never_expires
        }
    };
    ($fixture:path => $($fact:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $fact() {
                let fixture = $fixture().await;
                crate::adapters::conformance::$fact(fixture.store()).await;
            }
        )+
    };
}
pub(crate) use verdict_store_conformance;

/// A version to test with.
pub(crate) fn package(version: &str) -> PackageVersion {
    format!("pkg:npm/%40scope/name@{version}").parse().unwrap()
}

/// An instant, so many seconds after the first one of the tests.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// A verdict as it would be decided at `at(seconds)` on this dossier.
pub(crate) fn verdict(dossier: &Dossier, status: Status, decided_by: &[&str], seconds: i64) -> Verdict {
    serde_json::from_value(json!({
        "schema": crate::verdict::SCHEMA,
        "package": dossier.package,
        "status": status,
        "questions": { "registryOnly": "no", "logOnly": "no", "mismatch": "unknown", "decidedBy": {} },
        "findings": [],
        "decidedBy": decided_by,
        "coverage": { "run": 13.0 / 14.0, "source": 1.0 / 3.0 },
        "checkedAt": at(seconds),
        "validUntil": at(seconds + 600),
        "nextLookAt": at(seconds + 600),
        "checkSet": "2026.11",
        "policy": Digest::sha256_of(b"policy"),
        "trust": {
            "trustedRoot": Digest::sha256_of(b"root"),
            "npmKeys": Digest::sha256_of(b"keys"),
            "origin": "test",
        },
        "dossier": dossier.digest(),
        "verifier": { "id": "test", "version": "0" },
    }))
    .unwrap()
}

fn response(body: &[u8], kept: Kept) -> Answer {
    answered(200, body, kept)
}

fn answered(status: u16, body: &[u8], kept: Kept) -> Answer {
    Answer::Answered(Response {
        status,
        content_type: Some("application/json".to_owned()),
        etag: None,
        size: body.len().try_into().unwrap(),
        sha256: Digest::sha256_of(body),
        kept,
        redirects: 0,
    })
}

/// A dossier of an npm package with every way to keep a body, observed at `at(seconds)`.
pub(crate) fn dossier(package: &PackageVersion, seconds: i64, attestations: &[u8]) -> Dossier {
    let observation = |subject, answer| Observation {
        subject,
        url: format!("https://registry.example/{subject:?}"),
        at: at(seconds),
        answer,
    };
    let packument = br#"{"name":"@scope/name"}"#;
    let tarball = |manifest| Kept::Archive {
        sha512: Digest::sha512_of(b"tarball"),
        sha1: Digest::new(DigestAlgorithm::Sha1, [7; 20]).unwrap(),
        manifest,
    };
    let manifest = || Body(br#"{"name":"@scope/name","version":"1.0.0"}"#.to_vec());
    Dossier::new(
        package.clone(),
        vec![
            observation(
                Subject::Artifact,
                response(b"tarball", tarball(ArchiveMember::Found { body: manifest() })),
            ),
            observation(
                Subject::ArtifactAgain,
                response(b"tarball", tarball(ArchiveMember::Found { body: manifest() })),
            ),
            observation(
                Subject::Packument,
                response(
                    packument,
                    Kept::Excerpt {
                        body: Body(packument.to_vec()),
                    },
                ),
            ),
            observation(
                Subject::Attestations,
                response(
                    attestations,
                    Kept::Whole {
                        body: Body(attestations.to_vec()),
                    },
                ),
            ),
            observation(Subject::VersionManifest, response(b"", Kept::Nothing)),
        ],
    )
}

/// Bytes that zstd cannot make shorter.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}

async fn record(store: &impl VerdictStore, status: Status, decided_by: &[&str], seconds: i64) -> (Verdict, Recorded) {
    let dossier = dossier(&package("1.0.0"), seconds, b"[]");
    let verdict = verdict(&dossier, status, decided_by, seconds);
    let recorded = store.record(&verdict, &dossier, None).await.unwrap();
    (verdict, recorded)
}

pub(crate) async fn nothing_is_known_of_a_version_that_was_never_recorded(store: &impl VerdictStore) {
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), None);
    assert_eq!(store.memory(&package("1.0.0")).await.unwrap(), Memory::default());
    assert_eq!(store.history(&package("1.0.0"), 10).await.unwrap(), []);
    assert_eq!(store.due(at(0), 10).await.unwrap(), []);
}

pub(crate) async fn a_recorded_verdict_is_current(store: &impl VerdictStore) {
    let (first, recorded) = record(store, Status::Verified, &[], 0).await;
    assert_eq!(recorded, Recorded::Current { previous: None });
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(first.clone()));

    let (second, recorded) = record(store, Status::Mismatch, &["att.subject_digest"], 60).await;
    assert_eq!(
        recorded,
        Recorded::Current {
            previous: Some(Box::new(first))
        }
    );
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(second));
}

pub(crate) async fn a_verdict_never_overwrites_a_newer_one(store: &impl VerdictStore) {
    let (newer, _) = record(store, Status::Verified, &[], 60).await;
    let (_, recorded) = record(store, Status::Mismatch, &["run.conclusion"], 59).await;
    assert_eq!(
        recorded,
        Recorded::KeptExisting {
            current: Box::new(newer.clone())
        }
    );
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(newer));
    assert_eq!(
        store.due(at(659), 10).await.unwrap(),
        [],
        "the newer look has been scheduled"
    );
}

pub(crate) async fn a_verdict_that_comes_late_is_still_in_the_history(store: &impl VerdictStore) {
    let (first, _) = record(store, Status::Verified, &[], 0).await;
    let (last, _) = record(store, Status::Attested, &[], 60).await;
    let (late, _) = record(store, Status::Mismatch, &["run.conclusion"], 30).await;
    record(store, Status::Verified, &[], 20).await;
    record(store, Status::Indeterminate, &[], 40).await;
    assert_eq!(store.history(&package("1.0.0"), 10).await.unwrap(), [last, late, first]);
}

pub(crate) async fn a_late_change_makes_the_current_verdict_a_change(store: &impl VerdictStore) {
    let (first, _) = record(store, Status::Verified, &[], 0).await;
    let (last, _) = record(store, Status::Verified, &[], 60).await;
    let (late, _) = record(store, Status::Mismatch, &["run.conclusion"], 30).await;
    assert_eq!(store.history(&package("1.0.0"), 10).await.unwrap(), [last, late, first]);
}

pub(crate) async fn the_same_verdict_can_be_recorded_twice(store: &impl VerdictStore) {
    let (first, _) = record(store, Status::Verified, &[], 0).await;
    let (again, recorded) = record(store, Status::Verified, &[], 0).await;
    assert_eq!(first, again);
    assert_eq!(
        recorded,
        Recorded::Current {
            previous: Some(Box::new(first.clone()))
        }
    );
    assert_eq!(store.history(&package("1.0.0"), 10).await.unwrap(), [first]);
}

pub(crate) async fn indeterminate_never_replaces_a_settled_verdict(store: &impl VerdictStore) {
    for (seconds, settled) in (0..)
        .step_by(100)
        .zip(Status::ALL.iter().filter(|status| status.is_settled()))
    {
        let (settled, _) = record(store, *settled, &[], seconds).await;
        let (_, recorded) = record(store, Status::Indeterminate, &["run.exists"], seconds + 10).await;
        assert_eq!(
            recorded,
            Recorded::KeptExisting {
                current: Box::new(settled.clone())
            }
        );
        assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(settled.clone()));
        assert_eq!(store.history(&package("1.0.0"), 1).await.unwrap(), [settled]);
    }
}

pub(crate) async fn silence_never_replaces_what_was_told(store: &impl VerdictStore) {
    let package = package("1.0.0");
    let told_by = CheckId::RunConclusion;
    let looked = |seconds: i64, status, outcome| {
        let dossier = dossier(&package, seconds, b"{}");
        let mut verdict = verdict(&dossier, status, &[told_by.as_str()], seconds);
        verdict.findings.push(Finding::new(told_by, outcome, "a finding"));
        (verdict, dossier)
    };
    let (told, evidence) = looked(0, Status::Suspicious, Outcome::Fail(None));
    store.record(&told, &evidence, None).await.unwrap();
    let silent = Outcome::Unknown(UnknownReason::RateLimited);
    let (attested, evidence) = looked(10, Status::Attested, silent);
    store.record(&attested, &evidence, None).await.unwrap();
    assert_eq!(store.current(&package).await.unwrap().unwrap(), told);
    // An answer that takes the accusation back does.
    let (cleared, evidence) = looked(20, Status::Attested, Outcome::Pass(None));
    store.record(&cleared, &evidence, None).await.unwrap();
    assert_eq!(store.current(&package).await.unwrap().unwrap(), cleared);
}

pub(crate) async fn indeterminate_still_schedules_the_next_look(store: &impl VerdictStore) {
    record(store, Status::Verified, &[], 0).await;
    record(store, Status::Indeterminate, &[], 100).await;
    assert_eq!(store.due(at(600), 10).await.unwrap(), []);
    assert_eq!(store.due(at(700), 10).await.unwrap(), [package("1.0.0")]);
}

pub(crate) async fn a_settled_verdict_replaces_an_indeterminate_one(store: &impl VerdictStore) {
    let (first, _) = record(store, Status::Indeterminate, &[], 0).await;
    let (second, _) = record(store, Status::Indeterminate, &["run.exists"], 10).await;
    let (third, recorded) = record(store, Status::Unattested, &[], 20).await;
    assert_eq!(
        recorded,
        Recorded::Current {
            previous: Some(Box::new(second.clone()))
        }
    );
    assert_eq!(
        store.history(&package("1.0.0"), 10).await.unwrap(),
        [third, second, first]
    );
}

pub(crate) async fn only_changes_are_appended_to_the_history(store: &impl VerdictStore) {
    let (first, _) = record(store, Status::Suspicious, &["run.actor"], 0).await;
    record(store, Status::Suspicious, &["run.actor"], 10).await;
    let (third, _) = record(store, Status::Suspicious, &["run.actor", "run.fork_head"], 20).await;
    record(store, Status::Suspicious, &["run.actor", "run.fork_head"], 30).await;
    let (fifth, _) = record(store, Status::Verified, &[], 40).await;
    assert_eq!(
        store.history(&package("1.0.0"), 10).await.unwrap(),
        [fifth, third, first]
    );
}

pub(crate) async fn the_history_is_newest_first_and_limited(store: &impl VerdictStore) {
    let mut recorded = Vec::new();
    for seconds in 0..6 {
        let status = if seconds % 2 == 0 {
            Status::Verified
        } else {
            Status::Attested
        };
        recorded.insert(0, record(store, status, &[], seconds).await.0);
    }
    assert_eq!(store.history(&package("1.0.0"), 100).await.unwrap(), recorded);
    assert_eq!(store.history(&package("1.0.0"), 2).await.unwrap(), recorded[..2]);
    assert_eq!(store.history(&package("1.0.0"), 0).await.unwrap(), []);
}

pub(crate) async fn what_was_seen_first_is_never_changed(store: &impl VerdictStore) {
    let seen = |text: &[u8], seconds| FirstSeen {
        integrity: Digest::sha512_of(text),
        at: at(seconds),
    };
    let record = async |status, seconds, first_seen: &FirstSeen| {
        let dossier = dossier(&package("1.0.0"), seconds, b"[]");
        store
            .record(&verdict(&dossier, status, &[], seconds), &dossier, Some(first_seen))
            .await
            .unwrap();
        store.memory(&package("1.0.0")).await.unwrap().first_seen
    };
    self::record(store, Status::Verified, &[], 0).await;
    assert_eq!(store.memory(&package("1.0.0")).await.unwrap().first_seen, None);

    let first = seen(b"first", 10);
    assert_eq!(
        record(Status::Indeterminate, 10, &first).await.as_ref(),
        Some(&first),
        "even if the verdict is kept"
    );
    assert_eq!(
        record(Status::Mismatch, 20, &seen(b"second", 20)).await.as_ref(),
        Some(&first)
    );
    assert_eq!(
        record(Status::Verified, 5, &seen(b"third", 5)).await.as_ref(),
        Some(&first)
    );
    self::record(store, Status::Verified, &[], 30).await;
    assert_eq!(store.memory(&package("1.0.0")).await.unwrap().first_seen, Some(first));
}

pub(crate) async fn of_concurrent_verdicts_the_newest_stays(store: &(impl VerdictStore + Clone + 'static)) {
    let workers: Vec<_> = [3_i64, 5, 1, 4, 2, 0]
        .into_iter()
        .map(|seconds| {
            let store = store.clone();
            tokio::spawn(async move {
                let decided_by: &[&str] = if seconds % 2 == 0 {
                    &["run.actor"]
                } else {
                    &["run.exists"]
                };
                record(&store, Status::Suspicious, decided_by, seconds).await
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(
        store.current(&package("1.0.0")).await.unwrap().unwrap().checked_at,
        at(5)
    );
    let history = store.history(&package("1.0.0"), 100).await.unwrap();
    assert_eq!(history.first().map(|verdict| verdict.checked_at), Some(at(5)));
}

pub(crate) async fn versions_do_not_see_each_other(store: &impl VerdictStore) {
    record(store, Status::Verified, &[], 0).await;
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", at(0), at(60))
            .await
            .unwrap()
    );
    for other in ["1.0.0-rc.1", "1.0.00", "11.0.0"]
        .into_iter()
        .filter_map(|text| format!("pkg:npm/%40scope/name@{text}").parse::<PackageVersion>().ok())
    {
        assert_eq!(store.current(&other).await.unwrap(), None);
        assert_eq!(store.history(&other, 10).await.unwrap(), []);
        assert!(store.acquire_lease(&other, "two", at(0), at(60)).await.unwrap());
    }
}

pub(crate) async fn a_dossier_comes_back_whole(store: &impl VerdictStore) {
    for (seconds, body) in [
        (0, &b"{\"attestations\":[]}"[..]),
        (10, b""),
        (20, b"\xff\xfe"),
        (30, b"sha256:00"),
    ] {
        let mut dossier = dossier(&package("1.0.0"), seconds, body);
        dossier.observe(Observation {
            subject: Subject::VersionManifest,
            url: "https://registry.example/".to_owned(),
            at: at(seconds),
            answer: Answer::Unanswered {
                reason: crate::availability::UnavailableReason::Unreachable,
                detail: "no connection".to_owned(),
                retry_after: Some(7),
            },
        });
        let verdict = verdict(&dossier, Status::Verified, &[], seconds);
        store.record(&verdict, &dossier, None).await.unwrap();
        assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(dossier));
    }
}

pub(crate) async fn a_dossier_of_two_megabytes_comes_back_whole(store: &impl VerdictStore) {
    let dossier = dossier(&package("1.0.0"), 0, &noise(2 * 1024 * 1024));
    let verdict = verdict(&dossier, Status::Verified, &[], 0);
    store.record(&verdict, &dossier, None).await.unwrap();
    let read = store.dossier(&verdict.dossier).await.unwrap();
    assert!(read == Some(dossier), "the dossier differs");
}

pub(crate) async fn a_dossier_is_kept_even_if_its_verdict_is_not(store: &impl VerdictStore) {
    record(store, Status::Verified, &[], 100).await;
    for (status, seconds) in [(Status::Mismatch, 50), (Status::Indeterminate, 150)] {
        let dossier = dossier(&package("1.0.0"), seconds, b"[1]");
        let verdict = verdict(&dossier, status, &[], seconds);
        let recorded = store.record(&verdict, &dossier, None).await.unwrap();
        assert!(matches!(recorded, Recorded::KeptExisting { .. }));
        assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(dossier));
    }
}

pub(crate) async fn earlier_dossiers_stay(store: &impl VerdictStore) {
    let dossiers: Vec<_> = [(0, b"[1]"), (10, b"[1]"), (20, b"[2]"), (30, b"[1]")]
        .map(|(seconds, body)| (seconds, dossier(&package("1.0.0"), seconds, body)))
        .into();
    for (seconds, dossier) in &dossiers {
        let verdict = verdict(dossier, Status::Verified, &[], *seconds);
        store.record(&verdict, dossier, None).await.unwrap();
    }
    for (_, dossier) in dossiers {
        assert_eq!(store.dossier(&dossier.digest()).await.unwrap(), Some(dossier));
    }
}

pub(crate) async fn an_unknown_dossier_is_none(store: &impl VerdictStore) {
    assert_eq!(store.dossier(&Digest::sha256_of(b"unknown")).await.unwrap(), None);
}

pub(crate) async fn a_verdict_of_any_length_comes_back_whole(store: &impl VerdictStore) {
    let dossier = dossier(&package("1.0.0"), 0, b"[]");
    let mut long = verdict(&dossier, Status::Verified, &[], 0);
    long.verifier.id = hex::encode(noise(700_000));
    store.record(&long, &dossier, None).await.unwrap();
    assert!(
        store.current(&long.package).await.unwrap().as_ref() == Some(&long),
        "the current verdict differs"
    );
    assert!(
        store.history(&long.package, 1).await.unwrap().first() == Some(&long),
        "the history differs"
    );

    let (short, recorded) = record(store, Status::Verified, &[], 10).await;
    assert!(
        recorded
            == Recorded::Current {
                previous: Some(Box::new(long))
            },
        "the previous verdict differs"
    );
    assert_eq!(store.current(&short.package).await.unwrap(), Some(short));
}

pub(crate) async fn two_workers_cannot_hold_the_same_lease(store: &(impl VerdictStore + Clone + 'static)) {
    for round in 0..5 {
        let barrier = Arc::new(tokio::sync::Barrier::new(12));
        let workers: Vec<_> = (0..12)
            .map(|worker| {
                let (store, barrier) = (store.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    let holder = format!("worker {worker}");
                    store
                        .acquire_lease(&package("1.0.0"), &holder, at(round * 100), at(round * 100 + 60))
                        .await
                })
            })
            .collect();
        let mut holders = 0;
        for worker in workers {
            holders += usize::from(worker.await.unwrap().unwrap());
        }
        assert_eq!(holders, 1);
    }
}

pub(crate) async fn a_lease_is_not_given_to_its_holder_twice(store: &impl VerdictStore) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", at(0), at(60))
            .await
            .unwrap()
    );
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "one", at(0), at(60))
            .await
            .unwrap()
    );
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "one", at(59), at(119))
            .await
            .unwrap()
    );
}

pub(crate) async fn an_expired_item_that_is_still_served_is_ignored(store: &impl VerdictStore) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", at(0), at(60))
            .await
            .unwrap()
    );
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "two", at(59), at(120))
            .await
            .unwrap()
    );
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "two", at(60), at(120))
            .await
            .unwrap()
    );
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "one", at(61), at(121))
            .await
            .unwrap()
    );
}

pub(crate) async fn only_the_holder_releases_a_lease(store: &impl VerdictStore) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", at(0), at(60))
            .await
            .unwrap()
    );
    store.release_lease(&package("1.0.0"), "two").await.unwrap();
    assert!(
        !store
            .acquire_lease(&package("1.0.0"), "two", at(1), at(61))
            .await
            .unwrap()
    );
    store.release_lease(&package("2.0.0"), "two").await.unwrap();
}

pub(crate) async fn a_released_lease_can_be_taken(store: &impl VerdictStore) {
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", at(0), at(60))
            .await
            .unwrap()
    );
    store.release_lease(&package("1.0.0"), "one").await.unwrap();
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "two", at(1), at(61))
            .await
            .unwrap()
    );
}

pub(crate) async fn what_is_due_comes_most_overdue_first(store: &impl VerdictStore) {
    // Enough versions for every shard of an index, recorded in another order than they are due.
    let mut expected = Vec::new();
    for number in 0..40_i64 {
        let seconds = number * 17 % 40;
        let dossier = dossier(&package(&format!("{seconds}.0.0")), seconds, b"[]");
        store
            .record(&verdict(&dossier, Status::Verified, &[], seconds), &dossier, None)
            .await
            .unwrap();
        expected.push((seconds, dossier.package));
    }
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, package)| package).collect();
    assert_eq!(store.due(at(599), 100).await.unwrap(), []);
    assert_eq!(store.due(at(600), 100).await.unwrap(), expected[..1]);
    assert_eq!(store.due(at(1000), 100).await.unwrap(), expected);
    assert_eq!(store.due(at(1000), 7).await.unwrap(), expected[..7]);
    assert_eq!(store.due(at(1000), 0).await.unwrap(), []);
}

pub(crate) async fn what_is_looked_at_is_no_longer_due(store: &impl VerdictStore) {
    record(store, Status::Verified, &[], 0).await;
    record(store, Status::Verified, &[], 600).await;
    assert_eq!(store.due(at(1199), 10).await.unwrap(), []);
    assert_eq!(store.due(at(1200), 10).await.unwrap(), [package("1.0.0")]);

    let dossier = dossier(&package("1.0.0"), 1200, b"[]");
    let mut last = verdict(&dossier, Status::Verified, &[], 1200);
    last.next_look_at = None;
    store.record(&last, &dossier, None).await.unwrap();
    assert_eq!(store.due(at(1_000_000), 10).await.unwrap(), []);
}

/// An attempt of a run.
pub(crate) fn run() -> TraceKey {
    run_of("12", 3, 1)
}

fn run_of(repository: &str, run: u64, attempt: u64) -> TraceKey {
    TraceKey::Run {
        repository: repository.to_owned(),
        run,
        attempt,
    }
}

fn commit_of(repository: &str, commit: &str) -> TraceKey {
    TraceKey::Commit {
        repository: repository.to_owned(),
        commit: commit.to_owned(),
    }
}

/// What a forge answered about a run at `at(seconds)`.
pub(crate) fn seen(seconds: i64, status: u16) -> Observation {
    let body = format!("{{\"seen\":{seconds}}}").into_bytes();
    let kept = match status {
        200 => Kept::Whole {
            body: Body(body.clone()),
        },
        _ => Kept::Nothing,
    };
    Observation {
        subject: Subject::Run,
        url: "https://forge.example/run".to_owned(),
        at: at(seconds),
        answer: answered(status, &body, kept),
    }
}

fn of(subject: Subject, observation: Observation) -> Observation {
    Observation { subject, ..observation }
}

/// A release of `@scope/name`, published at `at(seconds)`.
pub(crate) fn release(version: &str, seconds: i64) -> PastRelease {
    serde_json::from_value(json!({
        "version": version,
        "accepted": true,
        "publishedAt": at(seconds),
        "repositoryId": "12",
        "trigger": "release",
    }))
    .unwrap()
}

pub(crate) async fn nothing_is_recalled_of_a_run_that_was_never_seen(store: &impl VerdictStore) {
    assert_eq!(store.recall(&run()).await.unwrap(), []);
    store.remember(&run(), &[], at(0)).await.unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), []);
}

pub(crate) async fn a_run_seen_is_recalled(store: &impl VerdictStore) {
    for (key, seconds) in [(run(), 0), (commit_of("12", "ab34"), 10)] {
        let look = [
            of(Subject::Run, seen(seconds, 200)),
            of(Subject::Jobs(1), seen(seconds, 404)),
            of(
                Subject::Jobs(2),
                Observation {
                    answer: Answer::Unanswered {
                        reason: crate::availability::UnavailableReason::RateLimited,
                        detail: "later".to_owned(),
                        retry_after: Some(60),
                    },
                    ..seen(seconds, 200)
                },
            ),
        ];
        store.remember(&key, &look, at(seconds)).await.unwrap();
        assert_eq!(store.recall(&key).await.unwrap(), look);
    }
}

pub(crate) async fn a_later_absence_does_not_replace_what_was_seen(store: &impl VerdictStore) {
    let first = [seen(0, 200), of(Subject::Approvals, seen(0, 404))];
    store.remember(&run(), &first, at(0)).await.unwrap();
    let later = [seen(10, 404), of(Subject::Approvals, seen(10, 500))];
    store.remember(&run(), &later, at(10)).await.unwrap();
    let [success, _] = first;
    let [_, latest] = later;
    assert_eq!(store.recall(&run()).await.unwrap(), [success, latest]);
}

pub(crate) async fn a_later_success_replaces_what_was_seen(store: &impl VerdictStore) {
    for (seconds, expected) in [(10, 10), (20, 20), (5, 20)] {
        store
            .remember(&run(), &[seen(seconds, 200)], at(seconds))
            .await
            .unwrap();
        assert_eq!(store.recall(&run()).await.unwrap(), [seen(expected, 200)]);
    }
}

pub(crate) async fn the_looks_of_two_workers_are_both_kept(store: &(impl VerdictStore + Clone + 'static)) {
    let looks: Vec<(i64, Vec<Observation>)> = (0..6_u8)
        .map(|number| {
            let seconds = i64::from(number);
            (
                seconds,
                vec![seen(seconds, 200), of(Subject::Jobs(number), seen(seconds, 200))],
            )
        })
        .collect();
    let workers: Vec<_> = looks
        .iter()
        .cloned()
        .map(|(seconds, look)| {
            let store = store.clone();
            tokio::spawn(async move { store.remember(&run(), &look, at(seconds)).await })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    let expected = looks.iter().fold(Vec::new(), |earlier, (_, look)| keep(earlier, look));
    assert_eq!(expected.len(), 7);
    assert_eq!(store.recall(&run()).await.unwrap(), expected);
}

pub(crate) async fn the_same_look_twice_changes_nothing(store: &impl VerdictStore) {
    let (first, later) = ([seen(0, 200)], [seen(10, 404), of(Subject::OlderRuns, seen(10, 200))]);
    store.remember(&run(), &first, at(0)).await.unwrap();
    store.remember(&run(), &later, at(10)).await.unwrap();
    let recalled = store.recall(&run()).await.unwrap();
    store.remember(&run(), &first, at(0)).await.unwrap();
    store.remember(&run(), &later, at(10)).await.unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), recalled);
}

pub(crate) async fn runs_attempts_and_commits_do_not_see_each_other(store: &impl VerdictStore) {
    let keys = [
        run_of("12", 3, 1),
        run_of("12", 3, 2),
        run_of("12", 31, 1),
        run_of("1", 23, 1),
        run_of("12#3", 1, 1),
        run_of("12%233", 1, 1),
        commit_of("12", "3"),
        commit_of("12", "3#1"),
        commit_of("12#3", "1"),
        commit_of("", "#"),
    ];
    for (seconds, key) in (0..).zip(&keys) {
        assert_eq!(store.recall(key).await.unwrap(), [], "{key:?}");
        store.remember(key, &[seen(seconds, 200)], at(seconds)).await.unwrap();
    }
    for (seconds, key) in (0..).zip(&keys) {
        assert_eq!(store.recall(key).await.unwrap(), [seen(seconds, 200)], "{key:?}");
    }
}

pub(crate) async fn what_was_seen_comes_back_whole_at_any_length(store: &impl VerdictStore) {
    let with_body = |subject, seconds, length| {
        let body = noise(length);
        Observation {
            answer: response(
                &body,
                Kept::Whole {
                    body: Body(body.clone()),
                },
            ),
            ..of(subject, seen(seconds, 200))
        }
    };
    let mut expected = Vec::new();
    for (number, length) in (1..).zip([0, 1_000, 300_000, 1_500_000, 10]) {
        let seconds = i64::from(number);
        let look = [with_body(Subject::Jobs(number), seconds, length), seen(seconds, 200)];
        store.remember(&run(), &look, at(seconds)).await.unwrap();
        expected = keep(expected, &look);
        assert!(store.recall(&run()).await.unwrap() == expected, "{length} bytes differ");
    }
    // And short again.
    for number in 1..=5 {
        let look = [with_body(Subject::Jobs(number), 10, 1)];
        store.remember(&run(), &look, at(10)).await.unwrap();
        expected = keep(expected, &look);
    }
    assert_eq!(store.recall(&run()).await.unwrap(), expected);
}

pub(crate) async fn a_remembered_release_is_in_the_memory_of_every_version(store: &impl VerdictStore) {
    let releases = [release("1.0.0", 0), release("1.1.0", 10)];
    for release in &releases {
        store
            .remember_release(&package(&release.version), release)
            .await
            .unwrap();
    }
    let [older, newer] = releases;
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        assert_eq!(
            store.memory(&package(version)).await.unwrap().history,
            [newer.clone(), older.clone()]
        );
    }
}

pub(crate) async fn of_many_releases_the_newest_are_remembered(store: &impl VerdictStore) {
    let count = history::LIMIT + 6;
    let release_of = |number: usize| release(&format!("{number}.0.0"), i64::try_from(number).unwrap());
    for number in (0..count).map(|number| number * 31 % count) {
        let release = release_of(number);
        store
            .remember_release(&package(&release.version), &release)
            .await
            .unwrap();
    }
    let expected: Vec<PastRelease> = (0..count).rev().take(history::LIMIT).map(release_of).collect();
    assert_eq!(store.memory(&package("1.0.0")).await.unwrap().history, expected);
}

pub(crate) async fn the_last_word_on_a_release_stays(store: &impl VerdictStore) {
    let other = release("2.0.0", 15);
    store.remember_release(&package("2.0.0"), &other).await.unwrap();
    let words = [
        release("1.0.0", 10),
        PastRelease {
            tagged: Some(true),
            ..release("1.0.0", 10)
        },
        release("1.0.0", 20),
        release("1.0.0", 5),
        release("1.0.0", 5),
    ];
    for word in words {
        store.remember_release(&package("1.0.0"), &word).await.unwrap();
        let mut expected = vec![other.clone(), word];
        expected.sort_by_key(|release| std::cmp::Reverse(release.published_at));
        assert_eq!(store.memory(&package("1.0.0")).await.unwrap().history, expected);
    }
}

pub(crate) async fn of_concurrent_words_on_a_release_one_stays(store: &(impl VerdictStore + Clone + 'static)) {
    let workers: Vec<_> = (0..6)
        .map(|seconds| {
            let store = store.clone();
            let word = release("1.0.0", seconds);
            tokio::spawn(async move { store.remember_release(&package("1.0.0"), &word).await })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    assert_eq!(store.memory(&package("1.0.0")).await.unwrap().history.len(), 1);
}

pub(crate) async fn packages_do_not_see_each_others_releases(store: &impl VerdictStore) {
    store
        .remember_release(&package("1.0.0"), &release("1.0.0", 0))
        .await
        .unwrap();
    for other in [
        "pkg:npm/name@1.0.0",
        "pkg:npm/%40scope/names@1.0.0",
        "pkg:npm/%40scope/nam@1.0.0",
    ] {
        assert_eq!(store.memory(&other.parse().unwrap()).await.unwrap(), Memory::default());
    }
}

/// Whether a row expires shows in time alone; what can be shown is that an instant long past is no reason to forget.
pub(crate) async fn what_is_remembered_never_expires(store: &impl VerdictStore) {
    let long_ago = -100 * 365 * 24 * 60 * 60;
    store
        .remember(&run(), &[seen(long_ago, 200)], at(long_ago))
        .await
        .unwrap();
    store
        .remember_release(&package("1.0.0"), &release("1.0.0", long_ago))
        .await
        .unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), [seen(long_ago, 200)]);
    assert_eq!(
        store.memory(&package("1.0.0")).await.unwrap().history,
        [release("1.0.0", long_ago)]
    );
}

/// So many different work items.
pub(crate) fn work(count: usize) -> Vec<WorkItem> {
    (0..count)
        .map(|number| WorkItem {
            batch: (number % 2 == 0).then(|| format!("batch \"{number}\" ✓")),
            ..WorkItem::new(package(&format!("{number}.0.0")), WorkReason::Batch)
        })
        .collect()
}

/// `received` returns what the other end got, once `queue` is dropped.
pub(crate) async fn every_item_is_handed_over_whole(
    queue: impl WorkQueue,
    received: impl AsyncFnOnce() -> Vec<WorkItem>,
) {
    let items = work(123);
    queue.send(&items[..1]).await.unwrap();
    queue.send(&items[1..]).await.unwrap();
    drop(queue);
    let received = received().await;
    assert_eq!(received.len(), items.len());
    let purls = |items: &[WorkItem]| items.iter().map(|item| format!("{item:?}")).collect::<BTreeSet<_>>();
    assert_eq!(purls(&received), purls(&items));
}

/// `received` returns what the other end got, once `queue` is dropped.
pub(crate) async fn nothing_to_send_is_no_fault(queue: impl WorkQueue, received: impl AsyncFnOnce() -> Vec<WorkItem>) {
    queue.send(&[]).await.unwrap();
    drop(queue);
    assert_eq!(received().await, []);
}

/// An AWS service whose answers a test writes: an HTTP client that counts requests, answers some of them itself, and
/// forwards the others.
pub(crate) mod wire {
    use std::fmt;
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use serde_json::Value;

    /// A request: the operation and its input.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Call {
        pub(crate) operation: String,
        pub(crate) input: Value,
    }

    /// Status and body of an answer.
    pub(crate) type Reply = (u16, Value);

    type Script = dyn Fn(&Call, usize) -> Option<Reply> + Send + Sync;

    #[derive(Clone)]
    pub(crate) struct Wire {
        script: Arc<Script>,
        onward: Option<SharedHttpClient>,
        calls: Arc<Mutex<Vec<Call>>>,
    }

    impl fmt::Debug for Wire {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("Wire")
        }
    }

    impl Wire {
        /// `script` gets each request and how many requests of the same operation came before it.
        pub(crate) fn new(
            onward: Option<SharedHttpClient>,
            script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static,
        ) -> Self {
            Self {
                script: Arc::new(script),
                onward,
                calls: Arc::default(),
            }
        }

        /// What was asked since the last time that this was asked.
        pub(crate) fn take_calls(&self) -> Vec<Call> {
            std::mem::take(&mut *self.calls.lock().unwrap())
        }

        /// The operations of [`take_calls`](Self::take_calls).
        pub(crate) fn take_operations(&self) -> Vec<String> {
            self.take_calls().into_iter().map(|call| call.operation).collect()
        }

        fn answer(&self, request: &HttpRequest) -> Option<Reply> {
            let target = request.headers().get("x-amz-target").unwrap();
            let call = Call {
                operation: target.rsplit('.').next().unwrap().to_owned(),
                input: serde_json::from_slice(request.body().bytes().unwrap()).unwrap(),
            };
            let mut calls = self.calls.lock().unwrap();
            let before = calls
                .iter()
                .filter(|earlier| earlier.operation == call.operation)
                .count();
            calls.push(call.clone());
            (self.script)(&call, before)
        }
    }

    impl HttpClient for Wire {
        fn http_connector(
            &self,
            settings: &HttpConnectorSettings,
            components: &RuntimeComponents,
        ) -> SharedHttpConnector {
            let onward = self
                .onward
                .as_ref()
                .map(|onward| onward.http_connector(settings, components));
            SharedHttpConnector::new(Connector {
                wire: self.clone(),
                onward,
            })
        }
    }

    #[derive(Debug)]
    struct Connector {
        wire: Wire,
        onward: Option<SharedHttpConnector>,
    }

    impl HttpConnector for Connector {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            match (self.wire.answer(&request), &self.onward) {
                (Some((status, body)), _) => HttpConnectorFuture::ready(Ok(HttpResponse::new(
                    StatusCode::try_from(status).unwrap(),
                    SdkBody::from(body.to_string()),
                ))),
                (None, Some(onward)) => onward.call(request),
                (None, None) => panic!("the script has no answer to a request"),
            }
        }
    }
}
