//! Facts about what is remembered of runs and commits.

use super::{at, commit_of, noise, of, response, run, run_of, seen};
use crate::dossier::{Answer, Body, Kept, Observation, Subject, keep};
use crate::ports::Store;

pub(crate) async fn nothing_is_recalled_of_a_run_that_was_never_seen(store: &impl Store) {
    assert_eq!(store.recall(&run()).await.unwrap(), []);
    store.remember(&run(), &[], at(0), false).await.unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), []);
}

pub(crate) async fn a_run_seen_is_recalled(store: &impl Store) {
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
        store.remember(&key, &look, at(seconds), false).await.unwrap();
        assert_eq!(store.recall(&key).await.unwrap(), look);
    }
}

pub(crate) async fn a_later_absence_does_not_replace_what_was_seen(store: &impl Store) {
    let first = [seen(0, 200), of(Subject::Approvals, seen(0, 404))];
    store.remember(&run(), &first, at(0), false).await.unwrap();
    let later = [seen(10, 404), of(Subject::Approvals, seen(10, 500))];
    store.remember(&run(), &later, at(10), false).await.unwrap();
    let [success, _] = first;
    let [_, latest] = later;
    assert_eq!(store.recall(&run()).await.unwrap(), [success, latest]);
}

pub(crate) async fn a_later_success_replaces_what_was_seen(store: &impl Store) {
    for (seconds, expected) in [(10, 10), (20, 20), (5, 20)] {
        store
            .remember(&run(), &[seen(seconds, 200)], at(seconds), false)
            .await
            .unwrap();
        assert_eq!(store.recall(&run()).await.unwrap(), [seen(expected, 200)]);
    }
}

pub(crate) async fn the_looks_of_two_workers_are_both_kept(store: &(impl Store + Clone + 'static)) {
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
            tokio::spawn(async move { store.remember(&run(), &look, at(seconds), false).await })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    let expected = looks.iter().fold(Vec::new(), |earlier, (_, look)| keep(earlier, look));
    assert_eq!(expected.len(), 7);
    assert_eq!(store.recall(&run()).await.unwrap(), expected);
}

pub(crate) async fn the_same_look_twice_changes_nothing(store: &impl Store) {
    let (first, later) = ([seen(0, 200)], [seen(10, 404), of(Subject::OlderRuns, seen(10, 200))]);
    store.remember(&run(), &first, at(0), false).await.unwrap();
    store.remember(&run(), &later, at(10), false).await.unwrap();
    let recalled = store.recall(&run()).await.unwrap();
    store.remember(&run(), &first, at(0), false).await.unwrap();
    store.remember(&run(), &later, at(10), false).await.unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), recalled);
}

pub(crate) async fn runs_attempts_and_commits_do_not_see_each_other(store: &impl Store) {
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
        store
            .remember(key, &[seen(seconds, 200)], at(seconds), false)
            .await
            .unwrap();
    }
    for (seconds, key) in (0..).zip(&keys) {
        assert_eq!(store.recall(key).await.unwrap(), [seen(seconds, 200)], "{key:?}");
    }
}

pub(crate) async fn what_was_seen_comes_back_whole_at_any_length(store: &impl Store) {
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
        store.remember(&run(), &look, at(seconds), false).await.unwrap();
        expected = keep(expected, &look);
        assert!(store.recall(&run()).await.unwrap() == expected, "{length} bytes differ");
    }
    // And short again.
    for number in 1..=5 {
        let look = [with_body(Subject::Jobs(number), 10, 1)];
        store.remember(&run(), &look, at(10), false).await.unwrap();
        expected = keep(expected, &look);
    }
    assert_eq!(store.recall(&run()).await.unwrap(), expected);
}
