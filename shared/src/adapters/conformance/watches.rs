//! Facts about the watch list.

use std::sync::Arc;

use super::{at, concurrently, due};
use crate::package::{Ecosystem, PackageName};
use crate::ports::{Due, Store, Task, Watched};

fn name(text: &str) -> PackageName {
    format!("pkg:npm/{text}").parse().unwrap()
}

/// So many names: some scoped, some with capitals, some with characters that a purl escapes.
fn names(count: usize) -> Vec<PackageName> {
    let mut names: Vec<PackageName> = (0..count)
        .map(|number| match number % 4 {
            0 => name(&format!("p{number}")),
            1 => name(&format!("%40scope/P{number}")),
            2 => name(&format!("~p{number}!")),
            _ => name(&format!("p{number}-p.p_p")),
        })
        .collect();
    names.sort_by_key(PackageName::to_purl);
    names
}

pub(crate) async fn a_package_is_watched_from_now_on(store: &impl Store) {
    let name = name("%40scope/name");
    assert_eq!(store.watched(&name).await.unwrap(), None);
    let entry = Watched {
        package: name.clone(),
        since: at(0),
        seen_until: None,
        next_look_at: at(0),
    };
    assert_eq!(store.watch(&name, at(0)).await.unwrap(), entry);
    assert_eq!(store.watched(&name).await.unwrap(), Some(entry));
    assert_eq!(due(store, at(-1)).await, []);
    assert_eq!(due(store, at(0)).await, [Task::Package(name)]);
}

pub(crate) async fn whether_any_package_of_an_ecosystem_is_watched_is_known(store: &impl Store) {
    let any = async |ecosystem| store.watches_any(ecosystem).await.unwrap();
    store.watch(&name("%40scope/name"), at(0)).await.unwrap();
    assert!(any(Ecosystem::Npm).await && !any(Ecosystem::Homebrew).await);
    let formula: PackageName = "pkg:brew/openssl%403".parse().unwrap();
    store.watch(&formula, at(0)).await.unwrap();
    assert!(any(Ecosystem::Homebrew).await && !any(Ecosystem::PyPi).await);
    assert!(store.unwatch(&formula).await.unwrap());
    assert!(!any(Ecosystem::Homebrew).await);
}

pub(crate) async fn watching_again_changes_nothing(store: &impl Store) {
    let name = name("name");
    let entry = store.watch(&name, at(0)).await.unwrap();
    assert!(store.handed_over(&entry, Some(at(5)), at(100)).await.unwrap());
    let entry = store.watched(&name).await.unwrap().unwrap();
    assert_eq!(store.watch(&name, at(50)).await.unwrap(), entry);
    assert_eq!(store.watched(&name).await.unwrap(), Some(entry));
    assert_eq!(due(store, at(99)).await, []);
}

pub(crate) async fn of_concurrent_watchers_one_begins(store: &(impl Store + Clone + 'static)) {
    let entries = concurrently(10, |number| {
        let store = store.clone();
        async move { store.watch(&name("name"), at(number)).await.unwrap() }
    })
    .await;
    let entry = store.watched(&name("name")).await.unwrap().unwrap();
    assert!(entries.iter().all(|other| *other == entry), "{entries:?}");
}

pub(crate) async fn what_is_taken_off_the_list_is_neither_watched_nor_due(store: &impl Store) {
    let name = name("name");
    assert!(!store.unwatch(&name).await.unwrap());
    store.watch(&name, at(0)).await.unwrap();
    assert!(store.unwatch(&name).await.unwrap());
    assert!(!store.unwatch(&name).await.unwrap());
    assert_eq!(store.watched(&name).await.unwrap(), None);
    assert_eq!(store.watched_among(std::slice::from_ref(&name)).await.unwrap(), []);
    assert_eq!(store.watch_list(None, 10).await.unwrap(), []);
    assert_eq!(due(store, at(1_000_000)).await, []);
}

pub(crate) async fn of_any_number_of_names_those_on_the_list_are_found(store: &impl Store) {
    let names = names(450);
    let mut watched: Vec<PackageName> = names.iter().step_by(3).cloned().collect();
    for name in &watched {
        store.watch(name, at(0)).await.unwrap();
    }
    // In another order, and some of them twice.
    let asked: Vec<PackageName> = names.iter().rev().chain(names.iter().take(10)).cloned().collect();
    let mut found = store.watched_among(&asked).await.unwrap();
    found.sort();
    watched.sort();
    assert_eq!(found, watched);
    assert_eq!(store.watched_among(&[]).await.unwrap(), []);
    let others = [name("p1"), name("%40scope/p1")];
    assert_eq!(store.watched_among(&others).await.unwrap(), []);
}

pub(crate) async fn the_watch_list_is_read_in_pages(store: &impl Store) {
    let names = names(60);
    for number in 0..names.len() {
        store.watch(&names[number * 7 % names.len()], at(0)).await.unwrap();
    }
    for size in [1, 7, 60, 1000] {
        let mut listed: Vec<PackageName> = Vec::new();
        loop {
            let page = store.watch_list(listed.last(), size).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= size);
            listed.extend(page.into_iter().map(|entry| entry.package));
        }
        assert_eq!(listed, names, "pages of {size}");
    }
    assert_eq!(store.watch_list(None, 0).await.unwrap(), []);
    store.unwatch(&names[30]).await.unwrap();
    let page = store.watch_list(Some(&names[30]), 1).await.unwrap();
    assert_eq!(page[0].package, names[31], "after one that is not on the list any more");
}

pub(crate) async fn what_was_handed_over_is_noted(store: &impl Store) {
    let name = name("name");
    let mut entry = store.watch(&name, at(0)).await.unwrap();
    for (seconds, seen_until) in [(100, None), (200, Some(at(150))), (300, Some(at(250)))] {
        assert!(store.handed_over(&entry, seen_until, at(seconds)).await.unwrap());
        let expected = Watched {
            seen_until,
            next_look_at: at(seconds),
            ..entry
        };
        entry = store.watched(&name).await.unwrap().unwrap();
        assert_eq!(entry, expected);
        assert_eq!(due(store, at(seconds - 1)).await, []);
        assert_eq!(due(store, at(seconds)).await, [Task::Package(name.clone())]);
    }
    assert_eq!(store.watch_list(None, 10).await.unwrap(), [entry]);
}

pub(crate) async fn what_was_handed_over_from_an_older_entry_is_not_noted(store: &impl Store) {
    let name = name("name");
    let first = store.watch(&name, at(0)).await.unwrap();
    assert!(store.handed_over(&first, None, at(100)).await.unwrap());
    assert!(!store.handed_over(&first, Some(at(50)), at(200)).await.unwrap());
    let second = store.watched(&name).await.unwrap().unwrap();
    assert!(store.handed_over(&second, Some(at(60)), at(100)).await.unwrap());
    assert!(!store.handed_over(&second, Some(at(70)), at(200)).await.unwrap());
    let third = store.watched(&name).await.unwrap().unwrap();
    assert_eq!((third.seen_until, third.next_look_at), (Some(at(60)), at(100)));

    store.unwatch(&name).await.unwrap();
    assert!(!store.handed_over(&third, None, at(300)).await.unwrap());
    assert_eq!(store.watched(&name).await.unwrap(), None, "nothing is put on the list");
    let anew = store.watch(&name, at(100)).await.unwrap();
    assert!(!store.handed_over(&third, None, at(300)).await.unwrap());
    let as_before = Watched {
        since: at(0),
        ..anew.clone()
    };
    assert!(!store.handed_over(&as_before, None, at(300)).await.unwrap());
    assert_eq!(store.watched(&name).await.unwrap(), Some(anew));
}

pub(crate) async fn a_package_is_looked_for_by_a_time_at_the_latest(store: &impl Store) {
    let name = name("name");
    store.look_by(&name, at(50)).await.unwrap();
    assert_eq!(store.watched(&name).await.unwrap(), None, "nothing is put on the list");
    let entry = store.watch(&name, at(0)).await.unwrap();
    assert!(store.handed_over(&entry, Some(at(5)), at(100)).await.unwrap());
    for (by, expected) in [(200, 100), (50, 50), (60, 50)] {
        store.look_by(&name, at(by)).await.unwrap();
        let entry = store.watched(&name).await.unwrap().unwrap();
        assert_eq!((entry.next_look_at, entry.seen_until), (at(expected), Some(at(5))));
        assert_eq!(due(store, at(expected - 1)).await, []);
        assert_eq!(due(store, at(expected)).await, [Task::Package(name.clone())]);
    }
    // Whoever has the package in hand finds its entry changed, even if the package was claimed for long.
    let before = store.watched(&name).await.unwrap().unwrap();
    let claimed = Due {
        task: Task::Package(name.clone()),
        since: at(50),
    };
    assert!(store.claim(&claimed, at(1000)).await.unwrap());
    store.look_by(&name, at(70)).await.unwrap();
    assert!(!store.handed_over(&before, Some(at(6)), at(2000)).await.unwrap());
    assert_eq!(due(store, at(70)).await, [Task::Package(name)]);
}

pub(crate) async fn a_package_that_is_put_off_keeps_its_entry(store: &impl Store) {
    let name = name("name");
    let entry = store.watch(&name, at(0)).await.unwrap();
    for until in [100, 200] {
        assert!(store.put_off(&entry, at(until)).await.unwrap());
        assert_eq!(store.watched(&name).await.unwrap().as_ref(), Some(&entry));
        assert_eq!(due(store, at(until - 1)).await, []);
        assert_eq!(due(store, at(until)).await, [Task::Package(name.clone())]);
    }
    assert!(store.handed_over(&entry, None, at(50)).await.unwrap());
    assert!(!store.put_off(&entry, at(300)).await.unwrap());
    assert_eq!(due(store, at(50)).await, [Task::Package(name.clone())]);
    store.unwatch(&name).await.unwrap();
    assert!(!store.put_off(&entry, at(300)).await.unwrap());
    assert_eq!(store.watched(&name).await.unwrap(), None);
}

pub(crate) async fn a_claim_leaves_the_entry_as_it_was_read(store: &impl Store) {
    let name = name("name");
    let before = store.watch(&name, at(0)).await.unwrap();
    let due_since = Due {
        task: Task::Package(name.clone()),
        since: at(0),
    };
    assert!(store.claim(&due_since, at(1000)).await.unwrap());
    assert_eq!(store.watched(&name).await.unwrap().as_ref(), Some(&before));
    assert!(store.handed_over(&before, Some(at(5)), at(100)).await.unwrap());
    assert_eq!(due(store, at(99)).await, []);
    assert_eq!(due(store, at(100)).await, [Task::Package(name)], "the claim is over");
}

pub(crate) async fn of_concurrent_hand_overs_one_is_noted(store: &(impl Store + Clone + 'static)) {
    let before = Arc::new(store.watch(&name("name"), at(0)).await.unwrap());
    let noted = concurrently(10, |number| {
        let (store, before) = (store.clone(), Arc::clone(&before));
        async move {
            let noted = store.handed_over(&before, Some(at(number)), at(100 + number)).await;
            noted.unwrap().then_some((at(number), at(100 + number)))
        }
    })
    .await;
    let noted: Vec<_> = noted.into_iter().flatten().collect();
    let entry = store.watched(&name("name")).await.unwrap().unwrap();
    assert_eq!(noted, [(entry.seen_until.unwrap(), entry.next_look_at)]);
}
