//! `hekate verify`.

use serde_json::Value;
use testbed::{Answer, PypiFile, PypiRelease, Release, Scenario};

use crate::{Bed, hekate, nowhere, run, text};

const HONEST: &str = "npm:@acme/widget@1.2.3";
const UNATTESTED: &str = "npm:left-out@1.3.0";
const PURGED: &str = "npm:goggles@1.0.5";
const MISMATCH: &str = "npm:one-byte-off@1.0.0";
const SUSPICIOUS: &str = "npm:detour@4.4.0";
const INDETERMINATE: &str = "npm:@acme/unlucky@1.0.0";

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_tells_what_kind_of_verdict_it_is() {
    let bed = Bed::demo().await;
    for (package, status, says) in [
        (HONEST, 0, "VERIFIED"),
        (PURGED, 0, "ATTESTED"),
        (UNATTESTED, 0, "UNATTESTED"),
        (MISMATCH, 1, "MISMATCH"),
        (SUSPICIOUS, 1, "SUSPICIOUS"),
        (INDETERMINATE, 75, "INDETERMINATE"),
    ] {
        let ran = bed.verify(&[package]);
        assert_eq!(ran.status, status, "{ran:?}");
        assert!(ran.out.starts_with(&format!("{says}  {package}\n")), "{}", ran.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requirement_raises_what_is_acceptable() {
    let bed = Bed::demo().await;
    assert_eq!(bed.verify(&[UNATTESTED, "--require", "attested"]).status, 1);
    assert_eq!(bed.verify(&[HONEST, "--require", "attested"]).status, 0);
    assert_eq!(bed.verify(&[HONEST, "--require", "verified"]).status, 0);
    assert_eq!(bed.verify(&[PURGED, "--require", "attested"]).status, 0);
    assert_eq!(bed.verify(&[PURGED, "--require", "verified"]).status, 1);
    assert_eq!(bed.verify(&[INDETERMINATE, "--require", "verified"]).status, 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_wrong_input_and_no_verdict() {
    let bed = Bed::demo().await;
    for package in ["npm:@acme/widget@9.9.9", "npm:nobody-made-this@1.0.0"] {
        let ran = bed.verify(&[package, "--format", "json"]);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.starts_with("error: pkg:npm/"), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none_are_refused_all_at_once_before_anything_is_asked() {
    let bed = Bed::demo().await;
    let ran = bed.verify(&["left-out@1.3.0", HONEST, "pkg:gem/rails@7.0.0", "npm:left-out@^1.0.0"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
    for told in ["pkg:npm/%40scope/name@1.2.3", "\"gem\"", "give an exact version"] {
        assert!(ran.err.contains(told), "{}", ran.err);
    }
    assert_eq!(bed.served.npm_paths(), [""; 0]);
}

#[test]
fn wrong_usage_is_told_from_a_bad_package() {
    for arguments in [
        &["verify"] as &[&str],
        &["verify", HONEST, "--format", "xml"],
        &["frobnicate"],
        &[],
    ] {
        let ran = run(hekate().args(arguments));
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
    }
    let ran = run(hekate().args(["verify", HONEST, UNATTESTED, "--dossier", "case.json"]));
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("give one package"), "{}", ran.err);
}

#[test]
fn a_configuration_that_cannot_be_used_is_wrong_input() {
    let ran = run(hekate().args(["verify", HONEST]).env("HEKATE_NPM_URL", "nonsense"));
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("HEKATE_NPM_URL"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_cannot_be_reached_is_no_accusation() {
    let bed = Bed::demo().await;
    let ran = run(bed
        .hekate()
        .env("HEKATE_NPM_URL", nowhere())
        .args(["verify", HONEST, "npm:left-out"]));
    assert_eq!(ran.status, 75, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_verdict_per_line_in_the_order_given_and_nothing_else() {
    let bed = Bed::demo().await;
    let packages = [INDETERMINATE, HONEST, "npm:no-such-thing@1.0.0", UNATTESTED, MISMATCH];
    let ran = bed.verify(&[&packages[..], &["--format", "json"]].concat());
    assert_eq!(ran.status, 1, "{ran:?}");
    let verdicts: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let statuses: Vec<&Value> = verdicts.iter().map(|verdict| &verdict["status"]).collect();
    assert_eq!(statuses, ["indeterminate", "verified", "unattested", "mismatch"]);
    assert_eq!(verdicts[1]["package"], "pkg:npm/%40acme/widget@1.2.3");
    assert!(ran.err.contains("no-such-thing"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_of_several_exit_statuses_wins() {
    let bed = Bed::demo().await;
    for (packages, status) in [
        (&[HONEST, INDETERMINATE] as &[&str], 75),
        (&[INDETERMINATE, "npm:no-such-thing@1.0.0", HONEST], 2),
        (&["npm:no-such-thing@1.0.0", INDETERMINATE, MISMATCH], 1),
    ] {
        assert_eq!(bed.verify(packages).status, status, "{packages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_is_served_from_the_store_without_a_request() {
    let bed = Bed::demo().await;
    let first = bed.verify(&[HONEST, "--format", "json"]);
    assert!(!bed.served.npm_paths().is_empty());
    bed.served.forget_requests();
    let second = bed.verify(&[HONEST, "--format", "json"]);
    assert_eq!(second.out, first.out);
    assert_eq!(bed.served.npm_paths(), [""; 0]);
    assert!(
        bed.verify(&[HONEST]).err.contains("--fresh"),
        "people are told that it was remembered"
    );
    let third = bed.verify(&[HONEST, "--format", "json", "--fresh"]);
    assert_ne!(third.json()["checkedAt"], first.json()["checkedAt"]);
    assert!(!bed.served.npm_paths().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_told_is_asked_again_at_the_next_run() {
    let release = Release::honest("wobbly", "1.0.0").attestation_answer(Answer::FailTimes(4, 503));
    let bed = Bed::of(Scenario::new().release(release)).await;
    let mut statuses = vec![bed.verify(&["npm:wobbly@1.0.0"]).status];
    while statuses.len() < 5 && statuses.last() != Some(&0) {
        statuses.push(bed.verify(&["npm:wobbly@1.0.0"]).status);
    }
    assert_eq!(
        (statuses.first(), statuses.last()),
        (Some(&75), Some(&0)),
        "{statuses:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_version_the_latest_is_looked_at() {
    let bed = Bed::demo().await;
    let ran = bed.verify(&["pkg:npm/left-out", "--format", "json"]);
    assert_eq!(ran.json()["package"], "pkg:npm/left-out@1.3.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_fits_a_screen_and_shows_what_is_wrong() {
    let bed = Bed::demo().await;
    for case in testbed::demo().cases {
        let ran = bed.verify(&[&case.purl]);
        assert!(ran.out.lines().count() <= 24, "{}", ran.out);
        for line in ran.out.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!ran.out.contains('\u{1b}'), "no colours where there is no terminal");
    }
    let ran = bed.verify(&[MISMATCH]);
    for told in [
        "✗ bytes",
        "✓ log",
        "metadata dist.integrity",
        "downloaded bytes",
        "art.tarball_integrity",
    ] {
        assert!(ran.out.contains(told), "{told}: {}", ran.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_colours_where_there_is_no_terminal_or_where_none_are_wanted() {
    let bed = Bed::demo().await;
    let plain = bed.verify(&[HONEST]).out;
    let unwanted = run(bed
        .hekate()
        .args(["verify", HONEST])
        .env("NO_COLOR", "1")
        .env("CLICOLOR_FORCE", "1"));
    assert_eq!(unwanted.out, plain);
    assert!(!unwanted.err.contains('\u{1b}'), "{}", unwanted.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_without_unicode_gets_ascii() {
    let bed = Bed::demo().await;
    for case in testbed::demo().cases {
        let ran = run(bed.hekate().args(["verify", &case.purl]).env("LC_ALL", "C"));
        assert!(ran.out.is_ascii(), "{}", ran.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_opened_says_what_to_do() {
    let bed = Bed::demo().await;
    let file = bed.path("not-a-store");
    std::fs::write(
        &file,
        "a text, long enough that it is no empty database either".repeat(100),
    )
    .unwrap();
    let ran = run(bed.hekate().args(["verify", HONEST]).env("HEKATE_STORE", text(&file)));
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.err.contains("HEKATE_STORE"), "{}", ran.err);
}

#[test]
fn the_variables_are_listed_with_what_is_set() {
    let ran = run(hekate().arg("config").env("HEKATE_CONTACT", "mailto:a@example.com"));
    assert_eq!(ran.status, 0);
    for (name, _, _) in hekate::config::VARIABLES {
        assert!(ran.out.contains(name), "{}", ran.out);
    }
    assert!(!ran.out.contains("mailto:"), "values stay off the screen");
    assert_eq!(ran.out.matches(" yes ").count(), 1, "{}", ran.out);
}

/// Where a line that has all of these stands.
fn line_with(out: &str, parts: &[&str]) -> usize {
    let has_all = |line: &str| parts.iter().all(|part| line.contains(part));
    let found = out.lines().position(has_all);
    found.unwrap_or_else(|| panic!("no line with {parts:?} in\n{out}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_version_are_told_the_worst_first() {
    let release = PypiRelease::honest("acme-widget", "1.2.3").wheels(PypiFile::swapped_by_one_byte);
    let bed = Bed::of(Scenario::new().release(release)).await;
    let ran = bed.verify(&["pypi:acme-widget@1.2.3"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let worst = line_with(&ran.out, &["✗ mismatch", "acme_widget-1.2.3-py3-none-any.whl"]);
    let best = line_with(&ran.out, &["✓ verified", "acme_widget-1.2.3.tar.gz"]);
    assert_eq!(worst + 1, best, "{}", ran.out);
    // The reason is that of the bad file, and names it.
    line_with(&ran.out, &["✗ art.tarball_integrity", "other bytes"]);
    line_with(&ran.out, &["✓ publish", "attestations of the build are served"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seventy_files_fit_on_one_screen() {
    let tag = |number: usize| format!("cp3{number}-cp3{number}-manylinux_2_17_x86_64");
    let wheels = (0..68).map(|number| PypiFile::wheel(&tag(number)));
    let release = wheels.fold(PypiRelease::honest("acme-widget", "1.2.3"), PypiRelease::with);
    let honest = Bed::of(Scenario::new().release(release.clone())).await;
    let ran = honest.verify(&["pypi:acme-widget@1.2.3"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    line_with(&ran.out, &["✓ verified", "70 files: acme_widget-1.2.3-cp30-"]);
    line_with(&ran.out, &["✓ bytes", "70 files, "]);
    line_with(&ran.out, &["Decided by 14 required checks, all passed"]);
    assert!(ran.out.lines().count() <= 23, "{}", ran.out);

    let by_hand = PypiFile::wheel("cp399-cp399-win_amd64").unattested();
    let empty = PypiFile::wheel("cp398-cp398-win_amd64").empty_bundles();
    let hostile = Bed::of(Scenario::new().release(release.with(by_hand).with(empty))).await;
    let ran = hostile.verify(&["pypi:acme-widget@1.2.3"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let lines = [
        line_with(
            &ran.out,
            &["✗ suspicious", "acme_widget-1.2.3-cp398-cp398-win_amd64.whl"],
        ),
        line_with(
            &ran.out,
            &["! downgraded", "acme_widget-1.2.3-cp399-cp399-win_amd64.whl"],
        ),
        line_with(&ran.out, &["✓ verified", "70 files: "]),
    ];
    assert!(lines.is_sorted(), "{}", ran.out);
    assert!(ran.out.lines().count() <= 23, "{}", ran.out);
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
}
