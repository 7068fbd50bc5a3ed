//! Facts about what is remembered of a package and of a publisher.

use super::{at, package, release, run, seen};
use crate::history::{self, PastRelease};
use crate::ports::{Past, Sibling, Store};

pub(crate) async fn a_remembered_release_is_in_the_memory_of_every_version(store: &impl Store) {
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
            store.past(&package(version), None).await.unwrap().history,
            [newer.clone(), older.clone()]
        );
    }
}

pub(crate) async fn of_many_releases_the_newest_are_remembered(store: &impl Store) {
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
    assert_eq!(store.past(&package("1.0.0"), None).await.unwrap().history, expected);
}

pub(crate) async fn remembered_versions_come_newest_first_and_limited(store: &impl Store) {
    let name = package("1.0.0").name().clone();
    assert_eq!(store.remembered(&name, 10).await.unwrap(), [""; 0]);
    for (version, seconds) in [("1.0.0", 10), ("3.0.0-rc.1", 30), ("2.0.0", 20), ("1.0.0", 15)] {
        let release = release(version, seconds);
        store.remember_release(&package(version), &release).await.unwrap();
    }
    let refused = PastRelease {
        accepted: false,
        refused: true,
        ..release("0.9.0", 5)
    };
    store.fill_timeline(&name, &[refused]).await.unwrap();
    let expected = ["3.0.0-rc.1", "2.0.0", "1.0.0", "0.9.0"];
    assert_eq!(store.remembered(&name, 10).await.unwrap(), expected);
    assert_eq!(store.remembered(&name, 2).await.unwrap(), expected[..2]);
}

pub(crate) async fn the_last_word_on_a_release_stays(store: &impl Store) {
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
        assert_eq!(store.past(&package("1.0.0"), None).await.unwrap().history, expected);
    }
}

pub(crate) async fn of_concurrent_words_on_a_release_one_stays(store: &(impl Store + Clone + 'static)) {
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
    assert_eq!(store.past(&package("1.0.0"), None).await.unwrap().history.len(), 1);
}

pub(crate) async fn packages_do_not_see_each_others_releases(store: &impl Store) {
    store
        .remember_release(&package("1.0.0"), &release("1.0.0", 0))
        .await
        .unwrap();
    for other in [
        "pkg:npm/name@1.0.0",
        "pkg:npm/%40scope/names@1.0.0",
        "pkg:npm/%40scope/nam@1.0.0",
    ] {
        assert_eq!(
            store.past(&other.parse().unwrap(), None).await.unwrap(),
            Past::default()
        );
    }
}

/// Whether a row expires shows in time alone; what can be shown is that an instant long past is no reason to forget.
pub(crate) async fn what_is_remembered_never_expires(store: &impl Store) {
    let long_ago = -100 * 365 * 24 * 60 * 60;
    store
        .remember(&run(), &[seen(long_ago, 200)], at(long_ago), false)
        .await
        .unwrap();
    store
        .remember_release(&package("1.0.0"), &release("1.0.0", long_ago))
        .await
        .unwrap();
    assert_eq!(store.recall(&run()).await.unwrap(), [seen(long_ago, 200)]);
    assert_eq!(
        store.past(&package("1.0.0"), None).await.unwrap().history,
        [release("1.0.0", long_ago)]
    );
}

pub(crate) async fn memory_has_the_releases_until_an_instant(store: &impl Store) {
    let releases = ["1.0.0", "1.1.0", "1.2.0"].map(|version| release(version, 0));
    for (seconds, release) in (0..).step_by(10).zip(releases) {
        let release = PastRelease {
            published_at: at(seconds),
            ..release
        };
        store
            .remember_release(&package(&release.version), &release)
            .await
            .unwrap();
    }
    let versions = async |until| {
        let memory = store.past(&package("1.1.0"), until).await.unwrap();
        memory
            .history
            .into_iter()
            .map(|release| release.version)
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(None).await, ["1.2.0", "1.1.0", "1.0.0"]);
    assert_eq!(
        versions(Some(at(10))).await,
        ["1.1.0", "1.0.0"],
        "the instant itself included"
    );
    let just_before = at(10) - jiff::SignedDuration::from_nanos(1);
    assert_eq!(versions(Some(just_before)).await, ["1.0.0"]);
    assert_eq!(versions(Some(at(-1))).await, [""; 0]);
}

/// Enters releases all at once, which is faster than one by one.
async fn enter(store: &impl Store, releases: &[PastRelease]) {
    store.fill_timeline(package("1.0.0").name(), releases).await.unwrap();
}

async fn remembered(store: &impl Store) -> Vec<PastRelease> {
    store.past(&package("1.0.0"), None).await.unwrap().history
}

pub(crate) async fn prereleases_do_not_push_stable_releases_out(store: &impl Store) {
    let canaries: Vec<PastRelease> = (0..200)
        .map(|number| release(&format!("2.0.0-canary.{number}"), 1000 + number))
        .collect();
    let stable: Vec<PastRelease> = (0..70)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    enter(store, &[canaries.clone(), stable.clone()].concat()).await;
    let newest = |releases: &[PastRelease]| releases.iter().rev().take(history::LIMIT).cloned().collect::<Vec<_>>();
    assert_eq!(remembered(store).await, [newest(&canaries), newest(&stable)].concat());
}

pub(crate) async fn releases_that_were_not_accepted_do_not_count(store: &impl Store) {
    let count = i64::try_from(history::LIMIT).unwrap();
    // Of the stable releases every other one is accepted; one release is older than the last that counts.
    let releases: Vec<PastRelease> = (0..2 * count + 2)
        .map(|number| PastRelease {
            accepted: number % 2 == 0,
            ..release(&format!("1.{number}.0"), number)
        })
        .collect();
    enter(store, &releases).await;
    let mut expected = releases[2..].to_vec();
    expected.reverse();
    let remembered = remembered(store).await;
    assert_eq!(remembered, expected, "those in between are part of it");
    assert_eq!(
        remembered.iter().filter(|release| release.accepted).count(),
        history::LIMIT
    );
}

pub(crate) async fn memory_says_whether_the_package_is_watched(store: &impl Store) {
    let package = package("1.0.0");
    for watched in [true, false] {
        assert_eq!(store.past(&package, None).await.unwrap().watched, !watched);
        if watched {
            store.watch(package.name(), at(0)).await.unwrap();
        } else {
            assert!(store.unwatch(package.name()).await.unwrap());
        }
        assert_eq!(store.past(&package, None).await.unwrap().watched, watched);
    }
}

pub(crate) async fn releases_are_found_by_version_however_many_came_after_them(store: &impl Store) {
    let releases: Vec<PastRelease> = (0..150)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    enter(store, &releases).await;
    let name = package("1.0.0").name().clone();
    let versions = |versions: &[&str]| versions.iter().map(|&version| version.to_owned()).collect::<Vec<_>>();
    let wanted = versions(&["1.0.0", "1.149.0", "9.9.9", "1.0.0"]);
    let mut found = store.releases(&name, &wanted).await.unwrap();
    found.sort_by_key(|release| release.published_at);
    assert_eq!(found, [releases[0].clone(), releases[149].clone()]);
    assert_eq!(store.releases(&name, &[]).await.unwrap(), []);
    let other = "pkg:npm/name".parse().unwrap();
    assert_eq!(store.releases(&other, &wanted).await.unwrap(), []);
    // One whose time of publication was corrected is found where it is now.
    let moved = release("1.0.0", 1000);
    store.remember_release(&package("1.0.0"), &moved).await.unwrap();
    assert_eq!(store.releases(&name, &versions(&["1.0.0"])).await.unwrap(), [moved]);
}

pub(crate) async fn what_a_look_has_said_is_not_filled_over(store: &impl Store) {
    let said = PastRelease {
        accepted: false,
        ..release("1.1.0", 15)
    };
    store.remember_release(&package("1.1.0"), &said).await.unwrap();
    let list = [release("1.0.0", 0), release("1.1.0", 10), release("1.2.0", 20)];
    let [oldest, _, newest] = list.clone();
    for _ in 0..2 {
        enter(store, &list).await;
        assert_eq!(
            remembered(store).await,
            [newest.clone(), said.clone(), oldest.clone()],
            "filling again changes nothing"
        );
    }
}

pub(crate) async fn a_look_has_the_last_word_on_what_was_filled(store: &impl Store) {
    enter(store, &[release("1.0.0", 0), release("1.1.0", 10)]).await;
    let said = release("1.0.0", 5);
    store.remember_release(&package("1.0.0"), &said).await.unwrap();
    assert_eq!(remembered(store).await, [release("1.1.0", 10), said]);
}

pub(crate) async fn of_a_look_and_a_filling_at_once_the_look_has_the_last_word(store: &(impl Store + Clone + 'static)) {
    let list: Vec<PastRelease> = (0..10)
        .map(|number| release(&format!("1.{number}.0"), number))
        .collect();
    let said: Vec<PastRelease> = list
        .iter()
        .map(|release| PastRelease {
            published_at: at(100),
            ..release.clone()
        })
        .collect();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let (store, list) = (store.clone(), list.clone());
        tasks.push(tokio::spawn(async move { enter(&store, &list).await }));
    }
    for release in said.clone() {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let package = package(&release.version);
            store.remember_release(&package, &release).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut remembered = remembered(store).await;
    remembered.sort_by(|one, other| one.version.cmp(&other.version));
    assert_eq!(remembered, said);
}

fn sibling(name: &str, seconds: i64) -> Sibling {
    Sibling {
        package: format!("pkg:npm/{name}@1.0.0").parse().unwrap(),
        published_at: at(seconds),
    }
}

pub(crate) async fn what_a_publisher_released_comes_newest_first_and_limited(store: &impl Store) {
    let released = [sibling("c", 0), sibling("a", 10), sibling("%40scope/b", 20)];
    for number in [1, 0, 2, 0] {
        store.remember_publication("alice", &released[number]).await.unwrap();
    }
    let [oldest, middle, newest] = released;
    let by = async |until, limit| store.published_by("alice", until, limit).await.unwrap();
    assert_eq!(by(at(1000), 10).await, [newest.clone(), middle.clone(), oldest.clone()]);
    assert_eq!(by(at(1000), 2).await, [newest, middle.clone()]);
    assert_eq!(by(at(1000), 0).await, []);
    assert_eq!(by(at(10), 10).await, [middle, oldest], "the instant itself included");
    assert_eq!(by(at(-1), 10).await, []);
}

pub(crate) async fn publishers_do_not_see_each_other(store: &impl Store) {
    let long = "x".repeat(3000);
    let publishers = [
        "alice",
        "Alice",
        "alic",
        "alice#1",
        "alice%231",
        "github:o/r",
        "ä",
        "",
        &long,
    ];
    for (number, publisher) in publishers.iter().enumerate() {
        let sibling = sibling(&format!("p{number}"), 0);
        store.remember_publication(publisher, &sibling).await.unwrap();
    }
    for (number, publisher) in publishers.iter().enumerate() {
        let released = store.published_by(publisher, at(0), 10).await.unwrap();
        assert_eq!(released, [sibling(&format!("p{number}"), 0)], "{publisher:?}");
    }
}

pub(crate) async fn a_package_is_met_once(store: &impl Store) {
    let past = async || store.past(&package("2.0.0"), None).await.unwrap();
    let (own, listed) = (release("2.0.0", 20), [release("1.0.0", 10), release("2.0.0", 20)]);
    assert!(store.meet(&package("2.0.0"), None, &[]).await.unwrap());
    assert!(!past().await.met, "nothing was learnt");
    assert!(store.meet(&package("2.0.0"), Some(&own), &listed).await.unwrap());
    let expected = [own.clone(), release("1.0.0", 10)];
    assert_eq!((past().await.history, past().await.met), (expected.to_vec(), true));
    assert!(
        !store
            .meet(&package("3.0.0"), Some(&release("3.0.0", 30)), &[])
            .await
            .unwrap()
    );
    assert_eq!(past().await.history, expected, "it was met before");
    // The same word changes nothing, and another one stays.
    store.remember_release(&package("2.0.0"), &own).await.unwrap();
    assert_eq!(past().await.history, expected);
    let refused = PastRelease {
        accepted: false,
        refused: true,
        ..own
    };
    store.remember_release(&package("2.0.0"), &refused).await.unwrap();
    assert_eq!(past().await.history, [refused.clone(), release("1.0.0", 10)]);
    let name = package("2.0.0").name().clone();
    store.fill_timeline(&name, &listed).await.unwrap();
    assert_eq!(past().await.history, [refused, release("1.0.0", 10)]);
}

pub(crate) async fn a_package_whose_releases_have_rows_was_met(store: &impl Store) {
    store
        .remember_release(&package("1.0.0"), &release("1.0.0", 0))
        .await
        .unwrap();
    assert!(store.past(&package("1.0.0"), None).await.unwrap().met);
    assert!(
        !store
            .past(&"pkg:npm/other@1.0.0".parse().unwrap(), None)
            .await
            .unwrap()
            .met
    );
}
