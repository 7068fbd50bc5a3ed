//! Facts about verdicts, their history, and what becomes of a version that was removed.

use super::{at, dossier, due, package, previous, record, verdict, version};
use crate::check::{CheckId, Finding, Outcome, UnknownReason};
use crate::package::{Digest, PackageVersion};
use crate::ports::{FirstSeen, Past, Recorded, Store};
use crate::verdict::{Status, Verdict};

pub(crate) async fn nothing_is_known_of_a_version_that_was_never_recorded(store: &impl Store) {
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), None);
    assert_eq!(store.past(&package("1.0.0"), None).await.unwrap(), Past::default());
    assert_eq!(store.history(&package("1.0.0"), None, 10).await.unwrap(), []);
    assert_eq!(due(store, at(0)).await, []);
}

pub(crate) async fn a_recorded_verdict_is_current(store: &impl Store) {
    let (first, recorded) = record(store, Status::Verified, &[], 0).await;
    assert_eq!(previous(recorded), None);
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(first.clone()));
    assert_eq!(
        json_of(store, &first.package).await,
        serde_json::to_string(&first).unwrap()
    );

    let (second, recorded) = record(store, Status::Mismatch, &["att.subject_digest"], 60).await;
    assert_eq!(previous(recorded), Some(first));
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(second));
}

/// The current verdict as it is answered.
async fn json_of(store: &impl Store, package: &PackageVersion) -> String {
    let text = store.current_text(package).await.unwrap().unwrap();
    let verdict = text.verdict().unwrap();
    assert_eq!(text.valid_until(), verdict.valid_until);
    text.into_json()
}

pub(crate) async fn a_verdict_never_overwrites_a_newer_one(store: &impl Store) {
    let (newer, _) = record(store, Status::Verified, &[], 60).await;
    let (_, recorded) = record(store, Status::Mismatch, &["run.conclusion"], 59).await;
    assert_eq!(
        recorded,
        Recorded::KeptExisting {
            current: Box::new(newer.clone())
        }
    );
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), Some(newer));
    assert_eq!(due(store, at(659)).await, [], "the newer look has been scheduled");
}

pub(crate) async fn a_verdict_that_comes_late_is_still_in_the_history(store: &impl Store) {
    let (first, _) = record(store, Status::Verified, &[], 0).await;
    let (last, _) = record(store, Status::Attested, &[], 60).await;
    let (late, _) = record(store, Status::Mismatch, &["run.conclusion"], 30).await;
    record(store, Status::Verified, &[], 20).await;
    record(store, Status::Indeterminate, &[], 40).await;
    assert_eq!(
        store.history(&package("1.0.0"), None, 10).await.unwrap(),
        [last, late, first]
    );
}

pub(crate) async fn a_late_change_makes_the_current_verdict_a_change(store: &impl Store) {
    let (first, _) = record(store, Status::Verified, &[], 0).await;
    let (last, _) = record(store, Status::Verified, &[], 60).await;
    let (late, _) = record(store, Status::Mismatch, &["run.conclusion"], 30).await;
    assert_eq!(
        store.history(&package("1.0.0"), None, 10).await.unwrap(),
        [last, late, first]
    );
}

pub(crate) async fn the_same_verdict_can_be_recorded_twice(store: &impl Store) {
    let (first, _) = record(store, Status::Verified, &[], 0).await;
    let (again, recorded) = record(store, Status::Verified, &[], 0).await;
    assert_eq!(first, again);
    assert_eq!(previous(recorded), Some(first.clone()));
    assert_eq!(store.history(&package("1.0.0"), None, 10).await.unwrap(), [first]);
}

pub(crate) async fn indeterminate_never_replaces_a_settled_verdict(store: &impl Store) {
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
        assert_eq!(store.history(&package("1.0.0"), None, 1).await.unwrap(), [settled]);
    }
}

pub(crate) async fn silence_never_replaces_what_was_told(store: &impl Store) {
    let package = package("1.0.0");
    let told_by = CheckId::RunConclusion;
    let looked = |seconds: i64, status, outcome| {
        let dossier = dossier(&package, seconds, b"{}");
        let mut verdict = verdict(&dossier, status, &[told_by.as_str()], seconds);
        verdict.findings.push(Finding::new(told_by, outcome, "a finding"));
        (verdict, dossier)
    };
    let (told, evidence) = looked(0, Status::Suspicious, Outcome::Fail(None));
    store.record(&told, &evidence, None, false).await.unwrap();
    let silent = Outcome::Unknown(UnknownReason::RateLimited);
    let (attested, evidence) = looked(10, Status::Attested, silent);
    store.record(&attested, &evidence, None, false).await.unwrap();
    assert_eq!(store.current(&package).await.unwrap().unwrap(), told);
    // An answer that takes the accusation back does.
    let (cleared, evidence) = looked(20, Status::Attested, Outcome::Pass(None));
    store.record(&cleared, &evidence, None, false).await.unwrap();
    assert_eq!(store.current(&package).await.unwrap().unwrap(), cleared);
}

pub(crate) async fn indeterminate_still_schedules_the_next_look(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    record(store, Status::Indeterminate, &[], 100).await;
    assert_eq!(due(store, at(600)).await, []);
    assert_eq!(due(store, at(700)).await, [version()]);
}

pub(crate) async fn a_settled_verdict_replaces_an_indeterminate_one(store: &impl Store) {
    let (first, _) = record(store, Status::Indeterminate, &[], 0).await;
    let (second, _) = record(store, Status::Indeterminate, &["run.exists"], 10).await;
    let (third, recorded) = record(store, Status::Unattested, &[], 20).await;
    assert_eq!(previous(recorded), Some(second.clone()));
    assert_eq!(
        store.history(&package("1.0.0"), None, 10).await.unwrap(),
        [third, second, first]
    );
}

pub(crate) async fn only_changes_are_appended_to_the_history(store: &impl Store) {
    let (first, _) = record(store, Status::Suspicious, &["run.actor"], 0).await;
    record(store, Status::Suspicious, &["run.actor"], 10).await;
    let (third, _) = record(store, Status::Suspicious, &["run.actor", "run.fork_head"], 20).await;
    record(store, Status::Suspicious, &["run.actor", "run.fork_head"], 30).await;
    let (fifth, _) = record(store, Status::Verified, &[], 40).await;
    assert_eq!(
        store.history(&package("1.0.0"), None, 10).await.unwrap(),
        [fifth, third, first]
    );
}

pub(crate) async fn the_history_is_newest_first_and_limited(store: &impl Store) {
    let mut recorded = Vec::new();
    for seconds in 0..6 {
        let status = if seconds % 2 == 0 {
            Status::Verified
        } else {
            Status::Attested
        };
        recorded.insert(0, record(store, status, &[], seconds).await.0);
    }
    assert_eq!(store.history(&package("1.0.0"), None, 100).await.unwrap(), recorded);
    assert_eq!(store.history(&package("1.0.0"), None, 2).await.unwrap(), recorded[..2]);
    assert_eq!(store.history(&package("1.0.0"), None, 0).await.unwrap(), []);
    // The current one is not of the past.
    for until in 0..6 {
        let place = recorded.len() - 1 - until;
        let until = Some(at(i64::try_from(until).unwrap()));
        let found = store.history(&package("1.0.0"), until, 2).await.unwrap();
        assert_eq!(found, recorded[place..recorded.len().min(place + 2)]);
    }
    assert_eq!(store.history(&package("1.0.0"), Some(at(-1)), 2).await.unwrap(), []);
}

pub(crate) async fn what_was_seen_first_is_never_changed(store: &impl Store) {
    let seen = |text: &[u8], seconds| FirstSeen {
        integrity: Digest::sha512_of(text),
        at: at(seconds),
        artifacts: std::collections::BTreeMap::new(),
        signed: true,
    };
    let record = async |status, seconds, first_seen: &FirstSeen| {
        let dossier = dossier(&package("1.0.0"), seconds, b"[]");
        store
            .record(
                &verdict(&dossier, status, &[], seconds),
                &dossier,
                Some(first_seen),
                false,
            )
            .await
            .unwrap();
        store.first_seen(&package("1.0.0")).await.unwrap()
    };
    self::record(store, Status::Verified, &[], 0).await;
    assert_eq!(store.first_seen(&package("1.0.0")).await.unwrap(), None);

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
    assert_eq!(store.first_seen(&package("1.0.0")).await.unwrap(), Some(first));
}

pub(crate) async fn what_the_registry_signed_replaces_what_it_had_not(store: &impl Store) {
    let seen = |text: &[u8], seconds, signed| FirstSeen {
        artifacts: std::collections::BTreeMap::new(),
        integrity: Digest::sha512_of(text),
        at: at(seconds),
        signed,
    };
    let record = async |status, seconds, first_seen: FirstSeen| {
        let dossier = dossier(&package("1.0.0"), seconds, b"[]");
        store
            .record(
                &verdict(&dossier, status, &[], seconds),
                &dossier,
                Some(&first_seen),
                false,
            )
            .await
            .unwrap();
        store.first_seen(&package("1.0.0")).await.unwrap()
    };
    let unsigned = seen(b"unsigned", 0, false);
    assert_eq!(
        record(Status::Verified, 0, unsigned.clone()).await,
        Some(unsigned.clone())
    );
    let other = seen(b"another", 10, false);
    assert_eq!(record(Status::Verified, 10, other).await, Some(unsigned));
    // Even if the verdict is kept; and since when the version is known stays.
    let signed = FirstSeen {
        at: at(0),
        ..seen(b"signed", 20, true)
    };
    assert_eq!(
        record(Status::Indeterminate, 20, seen(b"signed", 20, true)).await,
        Some(signed.clone())
    );
    for signature in [true, false] {
        let later = seen(b"later", 30, signature);
        assert_eq!(record(Status::Mismatch, 30, later).await, Some(signed.clone()));
    }
}

pub(crate) async fn a_look_is_remembered_whatever_came_of_it(store: &impl Store) {
    assert_eq!(store.last_look(&package("1.0.0")).await.unwrap(), None);
    for (status, seconds, last) in [
        (Status::Indeterminate, 0, 0),
        (Status::Verified, 10, 10),
        (Status::Indeterminate, 20, 20),
        // One that comes late.
        (Status::Attested, 15, 20),
        (Status::Suspicious, 30, 30),
    ] {
        let dossier = dossier(&package("1.0.0"), seconds, b"[]");
        let verdict = verdict(&dossier, status, &[], seconds);
        store.record(&verdict, &dossier, None, false).await.unwrap();
        assert_eq!(
            store.last_look(&package("1.0.0")).await.unwrap(),
            Some(at(last)),
            "{status}"
        );
    }
    store.mark_removed(&package("1.0.0"), at(40)).await.unwrap();
    store.mark_removed(&package("1.0.0"), at(50)).await.unwrap();
    assert_eq!(store.last_look(&package("1.0.0")).await.unwrap(), Some(at(50)));
    assert_eq!(store.last_look(&package("2.0.0")).await.unwrap(), None);
}

pub(crate) async fn of_concurrent_verdicts_the_newest_stays(store: &(impl Store + Clone + 'static)) {
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
    let history = store.history(&package("1.0.0"), None, 100).await.unwrap();
    assert_eq!(history.first().map(|verdict| verdict.checked_at), Some(at(5)));
}

pub(crate) async fn versions_do_not_see_each_other(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    assert!(
        store
            .acquire_lease(&package("1.0.0"), "one", None, false, at(0), at(60))
            .await
            .unwrap()
    );
    for other in ["1.0.0-rc.1", "1.0.00", "11.0.0"]
        .into_iter()
        .filter_map(|text| format!("pkg:npm/%40scope/name@{text}").parse::<PackageVersion>().ok())
    {
        assert_eq!(store.current(&other).await.unwrap(), None);
        assert_eq!(store.history(&other, None, 10).await.unwrap(), []);
        assert!(
            store
                .acquire_lease(&other, "two", None, false, at(0), at(60))
                .await
                .unwrap()
        );
    }
}

pub(crate) async fn a_removed_version_keeps_its_verdict_marked(store: &impl Store) {
    let (verdict, _) = record(store, Status::Verified, &[], 0).await;
    let marked = Verdict {
        removed_at: Some(at(60)),
        ..verdict.clone()
    };
    let answer = store.mark_removed(&verdict.package, at(60)).await.unwrap();
    assert_eq!(answer.as_ref(), Some(&marked));
    assert_eq!(
        json_of(store, &verdict.package).await,
        serde_json::to_string(&marked).unwrap()
    );
    assert_eq!(store.current(&verdict.package).await.unwrap(), Some(marked));
    assert!(store.dossier(&verdict.dossier).await.unwrap().is_some());
    assert_eq!(store.history(&verdict.package, None, 10).await.unwrap(), [verdict]);
}

pub(crate) async fn a_removed_version_is_not_due(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    assert_eq!(due(store, at(600)).await, [version()]);
    store.mark_removed(&package("1.0.0"), at(600)).await.unwrap();
    assert_eq!(due(store, at(1_000_000)).await, []);
}

pub(crate) async fn the_first_mark_of_a_removal_stays(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    for seconds in [60, 120, 30] {
        let answer = store.mark_removed(&package("1.0.0"), at(seconds)).await.unwrap();
        assert_eq!(answer.unwrap().removed_at, Some(at(60)));
    }
    let current = store.current(&package("1.0.0")).await.unwrap().unwrap();
    assert_eq!(current.removed_at, Some(at(60)));
}

pub(crate) async fn a_version_without_a_verdict_is_not_marked(store: &impl Store) {
    assert_eq!(store.mark_removed(&package("1.0.0"), at(0)).await.unwrap(), None);
    assert_eq!(store.current(&package("1.0.0")).await.unwrap(), None);
}

pub(crate) async fn a_verdict_of_a_later_look_carries_no_mark(store: &impl Store) {
    for (seconds, status) in [(0, Status::Verified), (100, Status::Verified), (200, Status::Mismatch)] {
        let (verdict, recorded) = record(store, status, &[], seconds).await;
        if seconds > 0 {
            let previous = previous(recorded).unwrap();
            assert_eq!(previous.removed_at, Some(at(seconds - 50)), "the one before had it");
        }
        assert_eq!(store.current(&verdict.package).await.unwrap(), Some(verdict.clone()));
        assert_eq!(due(store, at(seconds + 600)).await, [version()]);
        store.mark_removed(&verdict.package, at(seconds + 50)).await.unwrap();
    }
    let history = store.history(&package("1.0.0"), None, 10).await.unwrap();
    assert!(history.iter().all(|verdict| verdict.removed_at.is_none()));
}

pub(crate) async fn a_mark_outlasts_a_look_that_began_before_it(store: &impl Store) {
    record(store, Status::Verified, &[], 10).await;
    store.mark_removed(&package("1.0.0"), at(60)).await.unwrap();
    for (seconds, status) in [
        (5, Status::Mismatch),
        (20, Status::Verified),
        (30, Status::Attested),
        (40, Status::Indeterminate),
    ] {
        record(store, status, &[], seconds).await;
        let current = store.current(&package("1.0.0")).await.unwrap().unwrap();
        assert_eq!(current.removed_at, Some(at(60)), "{status}");
        assert_eq!(due(store, at(1_000_000)).await, [], "{status}");
    }
    let current = store.current(&package("1.0.0")).await.unwrap().unwrap();
    assert_eq!(current.status, Status::Attested, "what they say is kept");
}

/// A registry that does not answer does not serve the version again.
pub(crate) async fn silence_takes_no_mark_away(store: &impl Store) {
    record(store, Status::Verified, &[], 0).await;
    store.mark_removed(&package("1.0.0"), at(60)).await.unwrap();
    let (_, recorded) = record(store, Status::Indeterminate, &["art.exists"], 100).await;
    let Recorded::KeptExisting { current } = recorded else {
        panic!("the settled verdict stays")
    };
    assert_eq!(current.removed_at, Some(at(60)));
    assert_eq!(due(store, at(700)).await, [version()], "and is looked for again");
}

pub(crate) async fn a_verdict_of_a_later_look_is_not_marked(store: &impl Store) {
    let (verdict, _) = record(store, Status::Verified, &[], 100).await;
    let answer = store.mark_removed(&verdict.package, at(99)).await.unwrap();
    assert_eq!(answer.as_ref(), Some(&verdict));
    assert_eq!(store.current(&verdict.package).await.unwrap(), Some(verdict));
    assert_eq!(due(store, at(700)).await, [version()]);
}

pub(crate) async fn of_a_mark_and_concurrent_looks_before_it_the_mark_stays(store: &(impl Store + Clone + 'static)) {
    record(store, Status::Verified, &[], 0).await;
    let recording: Vec<_> = (1..6_i64)
        .map(|seconds| {
            let store = store.clone();
            let status = if seconds % 2 == 0 {
                Status::Verified
            } else {
                Status::Attested
            };
            tokio::spawn(async move { record(&store, status, &[], seconds).await })
        })
        .collect();
    let marking = {
        let store = store.clone();
        tokio::spawn(async move { store.mark_removed(&package("1.0.0"), at(60)).await })
    };
    for recording in recording {
        recording.await.unwrap();
    }
    assert_eq!(marking.await.unwrap().unwrap().unwrap().removed_at, Some(at(60)));
    let current = store.current(&package("1.0.0")).await.unwrap().unwrap();
    assert_eq!((current.checked_at, current.removed_at), (at(5), Some(at(60))));
    assert_eq!(due(store, at(1_000_000)).await, []);
}
