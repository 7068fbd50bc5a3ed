//! Facts about what is remembered of runs and commits.

use super::{at, build, build_of, concurrently, noise, of, response, run, run_of, seen};
use crate::dossier::{Answer, Body, Kept, Observation, Subject, keep};
use crate::ports::{Store, TraceKey};

pub(crate) async fn nothing_is_recalled_of_a_run_that_was_never_seen(store: &impl Store) {
    for key in [run(), build()] {
        assert_eq!(store.recall(&key).await.unwrap(), []);
        for is_first in [false, true] {
            store.remember(&key, &[], at(0), is_first).await.unwrap();
        }
        assert_eq!(store.recall(&key).await.unwrap(), []);
    }
}

pub(crate) async fn a_run_seen_is_recalled(store: &impl Store) {
    for (key, seconds) in [(run_of("12", 2, 1), 0), (build(), 10)] {
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
            of(Subject::Repository, seen(seconds, 200)),
            of(Subject::Tags, seen(seconds, 404)),
        ];
        store.remember(&key, &look, at(seconds), false).await.unwrap();
        assert_eq!(store.recall(&key).await.unwrap(), look);
    }
}

pub(crate) async fn a_later_absence_does_not_replace_what_was_seen(store: &impl Store) {
    for (key, is_first) in [(run_of("12", 2, 1), false), (build(), true)] {
        let first = [seen(0, 200), of(Subject::Approvals, seen(0, 404))];
        store.remember(&key, &first, at(0), is_first).await.unwrap();
        let later = [seen(10, 404), of(Subject::Approvals, seen(10, 500))];
        store.remember(&key, &later, at(10), false).await.unwrap();
        let [success, _] = first;
        let [_, latest] = later;
        assert_eq!(store.recall(&key).await.unwrap(), [success, latest]);
    }
}

pub(crate) async fn a_later_success_replaces_what_was_seen(store: &impl Store) {
    for key in [run_of("12", 2, 1), build()] {
        for (seconds, expected) in [(10, 10), (20, 20), (5, 20)] {
            let look = [seen(seconds, 200), of(Subject::Commit, seen(seconds, 200))];
            store.remember(&key, &look, at(seconds), seconds == 10).await.unwrap();
            let expected = [seen(expected, 200), of(Subject::Commit, seen(expected, 200))];
            assert_eq!(store.recall(&key).await.unwrap(), expected);
        }
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
    let expected = looks.iter().fold(Vec::new(), |earlier, (_, look)| keep(earlier, look));
    assert_eq!(expected.len(), 7);
    for key in [run_of("12", 2, 1), build()] {
        let workers: Vec<_> = looks
            .iter()
            .cloned()
            .map(|(seconds, look)| {
                let (store, key) = (store.clone(), key.clone());
                tokio::spawn(async move { store.remember(&key, &look, at(seconds), false).await })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap().unwrap();
        }
        assert_eq!(store.recall(&key).await.unwrap(), expected);
    }
}

pub(crate) async fn of_first_looks_at_once_all_are_kept(store: &(impl Store + Clone + 'static)) {
    // Two of each run, which all think that they are the first.
    let look = |number: i64| {
        [
            of(Subject::Run, seen(number, 200)),
            of(Subject::Jobs(u8::try_from(number).unwrap()), seen(number, 200)),
            of(Subject::Commit, seen(number, 200)),
        ]
    };
    let key = |number: i64| build_of("12", u64::try_from(number / 2).unwrap(), 1, "ab34");
    let told = concurrently(6, |number| {
        let store = store.clone();
        async move { store.remember(&key(number), &look(number), at(number), true).await }
    });
    for told in told.await {
        told.unwrap();
    }
    for number in [0, 2, 4] {
        let of_run = keep(look(number).to_vec(), &look(number + 1));
        let expected = keep(of_run, &[of(Subject::Commit, seen(5, 200))]);
        assert_eq!(store.recall(&key(number)).await.unwrap(), expected);
    }
}

pub(crate) async fn what_was_seen_of_a_commit_is_recalled_through_every_run_of_it(store: &impl Store) {
    let of_commit = [
        Subject::Repository,
        Subject::Commit,
        Subject::OnDefaultBranch,
        Subject::OnRef,
        Subject::Tags,
        Subject::PullRequests,
    ];
    let of_run = [
        Subject::Run,
        Subject::RunFirstMissed,
        Subject::OlderRuns,
        Subject::Jobs(1),
        Subject::Approvals,
    ];
    let all = of_commit.into_iter().chain(of_run);
    let look: Vec<Observation> = all.map(|subject| of(subject, seen(0, 200))).collect();
    store.remember(&build(), &look, at(0), true).await.unwrap();
    let expected = keep(Vec::new(), &look[..of_commit.len()]);
    for other in [build_of("12", 3, 2, "ab34"), build_of("12", 31, 1, "ab34")] {
        assert_eq!(store.recall(&other).await.unwrap(), expected);
    }
    // A second package of the run.
    assert_eq!(store.recall(&build()).await.unwrap(), keep(Vec::new(), &look));
}

pub(crate) async fn what_was_seen_first_of_a_commit_stays_through_later_runs(store: &impl Store) {
    let of_run = |number: u64| build_of("12", number, 1, "ab34");
    let first = [seen(0, 200), of(Subject::Commit, seen(0, 200))];
    store.remember(&of_run(20), &first, at(0), true).await.unwrap();
    let [run, commit] = first;
    // Runs before it and after it, which found that it is gone.
    for (number, seconds) in (15..27).filter(|number| *number != 20).zip(1..) {
        let key = of_run(number);
        assert_eq!(store.recall(&key).await.unwrap().last(), Some(&commit));
        let later = [seen(seconds, 200), of(Subject::Commit, seen(seconds, 404))];
        store.remember(&key, &later, at(seconds), false).await.unwrap();
        assert_eq!(store.recall(&key).await.unwrap(), [seen(seconds, 200), commit.clone()]);
    }
    assert_eq!(store.recall(&of_run(20)).await.unwrap(), [run, commit]);
}

/// What a forge is asked about a commit here.
const OF_COMMIT: [Subject; 3] = [Subject::Commit, Subject::OnDefaultBranch, Subject::Tags];

/// What a look at `at(seconds)` sees of a run that is there, and of its commit, of which all is answered like this.
fn whole_look(seconds: i64, status: u16) -> Vec<Observation> {
    let of_commit = OF_COMMIT.map(|subject| of(subject, seen(seconds, status)));
    [seen(seconds, 200)].into_iter().chain(of_commit).collect()
}

/// Recalls what there is, and keeps a look, as whoever looks does.
async fn look_at(store: &impl Store, key: &TraceKey, look: &[Observation]) {
    let recalled = store.recall(key).await.unwrap();
    store
        .remember(key, look, look[0].at, recalled.is_empty())
        .await
        .unwrap();
}

pub(crate) async fn what_was_seen_of_a_commit_is_recalled_however_many_runs_it_has(store: &impl Store) {
    let build = |number: u64, commit: &str| build_of("12", number, 1, commit);
    // The last of the runs by their numbers saw the commit, before all others or after them, at its first look or at a later one.
    for (commit, first, last) in [
        ("ab", Some(200), None),
        ("cd", None, Some(200)),
        ("ef", Some(404), Some(200)),
    ] {
        let (mut seconds, mut seen_at) = (0, 0);
        if let Some(status) = first {
            look_at(store, &build(999, commit), &whole_look(seconds, status)).await;
        }
        for number in 100..170 {
            seconds += 1;
            look_at(store, &build(number, commit), &whole_look(seconds, 404)).await;
        }
        if let Some(status) = last {
            seen_at = seconds + 1;
            look_at(store, &build(999, commit), &whole_look(seen_at, status)).await;
        }
        let expected = &whole_look(seen_at, 200)[1..];
        for number in [1, 165, 500, 1000] {
            let recalled = store.recall(&build(number, commit)).await.unwrap();
            let of_commit = &recalled[usize::from(number == 165)..];
            assert_eq!(of_commit, expected, "{commit} {number}");
        }
        let whole = keep(whole_look(0, first.unwrap_or(404)), &whole_look(seen_at, 200));
        assert_eq!(store.recall(&build(999, commit)).await.unwrap(), whole, "{commit}");
    }
}

pub(crate) async fn what_was_seen_of_a_commit_by_one_of_many_workers_is_recalled(
    store: &(impl Store + Clone + 'static),
) {
    let build = |number: i64| build_of("12", u64::try_from(number).unwrap(), 1, "ab34");
    // Thirty who do not know of each other, beside runs that were seen before; the last by its number saw the commit.
    for number in 100..131 {
        look_at(store, &build(number), &whole_look(number, 404)).await;
    }
    let looks = concurrently(30, |number| {
        let store = store.clone();
        let status = if number == 29 { 200 } else { 404 };
        async move { look_at(&store, &build(900 + number), &whole_look(900 + number, status)).await }
    });
    looks.await;
    for number in 200..240 {
        look_at(store, &build(number), &whole_look(number + 1000, 404)).await;
    }
    let recalled = store.recall(&build(1)).await.unwrap();
    assert_eq!(recalled, &whole_look(929, 200)[1..]);
}

pub(crate) async fn the_same_look_twice_changes_nothing(store: &impl Store) {
    let (first, later) = ([seen(0, 200)], [seen(10, 404), of(Subject::OlderRuns, seen(10, 200))]);
    for (key, is_first) in [(run_of("12", 2, 1), false), (build(), true)] {
        store.remember(&key, &first, at(0), is_first).await.unwrap();
        store.remember(&key, &later, at(10), false).await.unwrap();
        let recalled = store.recall(&key).await.unwrap();
        store.remember(&key, &first, at(0), is_first).await.unwrap();
        store.remember(&key, &later, at(10), is_first).await.unwrap();
        assert_eq!(store.recall(&key).await.unwrap(), recalled);
    }
}

pub(crate) async fn runs_attempts_and_commits_do_not_see_each_other(store: &impl Store) {
    let keys = [
        run_of("12", 3, 1),
        run_of("12", 3, 2),
        run_of("12", 31, 1),
        run_of("1", 23, 1),
        run_of("12#3", 1, 1),
        run_of("12%233", 1, 1),
        build_of("12", 4, 1, "3"),
        build_of("12", 4, 2, "3"),
        build_of("12", 5, 1, "3#1"),
        build_of("12#3", 5, 1, "1"),
        build_of("", 5, 1, "#"),
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
    let commits = [
        build_of("12", 6, 1, "a"),
        build_of("12", 6, 1, "a#1"),
        build_of("12#a", 6, 1, "1"),
        build_of("1", 26, 1, "a"),
    ];
    for (seconds, key) in (0..).zip(&commits) {
        assert_eq!(store.recall(key).await.unwrap(), [], "{key:?}");
        let seen = of(Subject::Commit, seen(seconds, 200));
        store.remember(key, &[seen], at(seconds), false).await.unwrap();
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
    for key in [run_of("12", 2, 1), build()] {
        let mut expected = Vec::new();
        for (number, length) in (1..).zip([0, 1_000, 300_000, 1_500_000, 10]) {
            let seconds = i64::from(number);
            let look = [with_body(Subject::Jobs(number), seconds, length), seen(seconds, 200)];
            store.remember(&key, &look, at(seconds), number == 1).await.unwrap();
            expected = keep(expected, &look);
            assert!(store.recall(&key).await.unwrap() == expected, "{length} bytes differ");
        }
        // And short again.
        for number in 1..=5 {
            let look = [with_body(Subject::Jobs(number), 10, 1)];
            store.remember(&key, &look, at(10), false).await.unwrap();
            expected = keep(expected, &look);
        }
        assert_eq!(store.recall(&key).await.unwrap(), expected);
    }
}
