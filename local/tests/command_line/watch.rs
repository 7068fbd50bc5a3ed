//! `hekate watch` and `hekate audit`.

use serde_json::{Value, json};

use crate::{Bed, Ran, run, text};

fn hekate(bed: &Bed, arguments: &[&str]) -> Ran {
    run(bed.hekate().args(arguments))
}

fn lockfile(bed: &Bed) -> String {
    let path = bed.path("package-lock.json");
    let lockfile = json!({"lockfileVersion": 3, "packages": {
        "": {"name": "app"},
        "node_modules/@acme/widget": {"version": "1.2.3"},
        "node_modules/left-out": {"version": "1.3.0"},
        "node_modules/one-byte-off": {"version": "1.0.0"},
        "node_modules/from-git": {"version": "1.0.0", "resolved": "git+ssh://git@host/o/r.git#abc"},
    }});
    std::fs::write(&path, lockfile.to_string()).unwrap();
    text(&path).to_owned()
}

fn listed(bed: &Bed) -> Vec<String> {
    let ran = hekate(bed, &["watch", "list", "--format", "json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let entry = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["package"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    ran.out.lines().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_put_on_the_list_by_name_or_by_lockfile_and_taken_off() {
    let bed = Bed::demo().await;
    assert_eq!(listed(&bed), [""; 0]);
    assert_eq!(
        hekate(&bed, &["watch", "add", "npm:left-out", "npm:left-out"]).status,
        0
    );
    let ran = hekate(&bed, &["watch", "add", "--list", &lockfile(&bed)]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.err.contains("2 put on the watch list, 1 on it already"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("from-git is left out"), "{}", ran.err);
    let all = ["pkg:npm/%40acme/widget", "pkg:npm/left-out", "pkg:npm/one-byte-off"];
    assert_eq!(listed(&bed), all);
    assert_eq!(hekate(&bed, &["watch", "remove", "pkg:npm/left-out"]).status, 0);
    assert_eq!(listed(&bed), [all[0], all[2]]);
    let ran = hekate(&bed, &["watch", "remove", "pkg:npm/left-out"]);
    assert_eq!(ran.status, 2, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_package_is_refused_and_nothing_is_put_on_the_list() {
    let bed = Bed::demo().await;
    for arguments in [
        &["watch", "add", "npm:left-out", "npm:left-out@1.3.0"][..],
        &["watch", "add", "left out"],
        &["watch", "add"],
        &["watch", "add", "--list", "/nowhere/package-lock.json"],
    ] {
        let ran = hekate(&bed, arguments);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
    }
    assert_eq!(listed(&bed), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_prints_what_somebody_should_look_at() {
    let bed = Bed::demo().await;
    let ran = hekate(&bed, &["audit", &lockfile(&bed)]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    assert!(
        ran.out.starts_with("mismatch       pkg:npm/one-byte-off@1.0.0  "),
        "{}",
        ran.out
    );
    assert!(
        ran.err.contains("3 looked at: 1 mismatch, 1 unattested, 1 verified"),
        "{}",
        ran.err
    );
    let ran = hekate(&bed, &["audit", &lockfile(&bed), "--format", "json"]);
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_list_is_wrong_input() {
    let bed = Bed::demo().await;
    let path = bed.path("empty.json");
    for content in ["", "{}", r#"{"packages": {}}"#, r#"{"packages": ["pkg:npm/left-out"]}"#] {
        std::fs::write(&path, content).unwrap();
        let ran = hekate(&bed, &["audit", text(&path)]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{content}: {ran:?}");
    }
}
