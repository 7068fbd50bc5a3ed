//! `hekate demo`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::Value;

use crate::{hekate, run};

#[test]
fn every_package_gets_the_verdict_that_is_expected() {
    let ran = run(hekate().arg("demo"));
    assert_eq!(ran.status, 0, "{}", ran.out);
    assert!(ran.out.contains("All 10 verdicts are as expected."), "{}", ran.out);
    assert_eq!(ran.out.matches('✓').count(), 10, "{}", ran.out);
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(ran.err, "");
}

#[test]
fn the_record_is_told_as_it_is_expected() {
    let ran = run(hekate().args(["demo", "--record"]));
    assert_eq!(ran.status, 0, "{}", ran.out);
    let entries = testbed::record::record();
    let last = format!("All {} entries are as expected.", entries.len());
    assert!(ran.out.ends_with(&format!("{last}\n")), "{}", ran.out);
    for line in ran.out.lines().filter(|line| line.starts_with('│')) {
        assert_eq!(line.chars().count(), 80, "{line}");
    }
}

/// The lines of the record that have this member.
fn told(member: &str) -> Vec<Value> {
    let ran = run(hekate().args(["demo", "--record", "--format", "json"]));
    ran.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line.get(member).is_some())
        .collect()
}

#[test]
fn no_honest_entry_of_the_record_is_accused_without_a_word_on_why() {
    let entries = told("name");
    let honest: Vec<&Value> = entries
        .iter()
        .filter(|entry| matches!(entry["group"].as_str(), Some("control" | "life")))
        .collect();
    let suspicious: Vec<&&Value> = honest.iter().filter(|entry| entry["got"] == "suspicious").collect();
    assert!(honest.iter().all(|entry| entry["got"] != "mismatch"));
    assert!(suspicious.len() * 20 <= honest.len(), "{}", suspicious.len());
    assert!(suspicious.iter().all(|entry| entry["limits"].is_string()));
}

#[test]
fn its_json_has_a_line_for_each_package() {
    let ran = run(hekate().args(["demo", "--format", "json"]));
    let cases = testbed::demo().cases;
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), cases.len());
    for (line, case) in lines.iter().zip(cases) {
        assert_eq!(line["package"], case.purl);
        assert_eq!(line["got"], case.expected);
        assert_eq!(line["verdict"]["status"], case.expected);
    }
}

#[test]
fn the_environment_does_not_lead_it_elsewhere() {
    let ran = run(hekate()
        .arg("demo")
        .env("HEKATE_NPM_URL", "nonsense")
        .env("HEKATE_STORE", "/dev/null/nowhere"));
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn the_registry_alone_says_in_one_line_where_it_is_and_ends_with_its_input() {
    let mut registry = hekate()
        .args(["demo", "--registry"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(registry.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let packages = line["packages"].as_array().unwrap();
    let of = |expected: &str| packages.iter().find(|package| package["expected"] == expected).unwrap()["purl"].as_str();

    let folder = tempfile::tempdir().unwrap();
    let verify = |purl: &str| {
        run(hekate()
            .env("HEKATE_NPM_URL", line["npmUrl"].as_str().unwrap())
            .env("HEKATE_GITHUB_URL", line["githubUrl"].as_str().unwrap())
            .env("HEKATE_TRUSTED_ROOT", line["trustedRoot"].as_str().unwrap())
            .env("HEKATE_NPM_KEYS", line["npmKeys"].as_str().unwrap())
            .env("HEKATE_STORE", folder.path().join("store.db"))
            .args(["verify", "--format", "json", purl]))
    };
    for expected in [
        "verified",
        "attested",
        "unattested",
        "mismatch",
        "suspicious",
        "indeterminate",
    ] {
        assert_eq!(verify(of(expected).unwrap()).json()["status"], expected);
    }
    assert_eq!(verify(of("absent").unwrap()).status, 2);
    assert_eq!(verify(of("unavailable").unwrap()).status, 75);

    drop(registry.stdin.take());
    assert!(registry.wait().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(
        !std::path::Path::new(line["trustedRoot"].as_str().unwrap()).exists(),
        "nothing is left behind"
    );
}

#[test]
fn the_readme_shows_what_came_of_the_record() {
    let readme = include_str!("../../../README.md");
    for entry in told("name") {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let signs: Vec<String> = entry["signs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sign| format!("`{}`", sign.as_str().unwrap()))
            .collect();
        let note = [text("done"), text("limits")]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>();
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            text("name"),
            note.join("; "),
            text("expected"),
            text("got"),
            signs.join(", "),
            entry["calls"]
        );
        assert!(readme.contains(&row), "the README lacks: {row}");
    }
}

#[test]
fn the_readme_shows_how_often_honest_packages_are_spoken_of() {
    let readme = include_str!("../../../README.md");
    let rates = told("check");
    assert!(rates.len() > 20, "{}", rates.len());
    for rate in rates {
        let row = format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            rate["check"].as_str().unwrap(),
            rate["fails"],
            rate["warns"],
            rate["harmless"],
            rate["suspicious"],
            rate["downgraded"]
        );
        assert!(readme.contains(&row), "the README lacks: {row}");
        assert!(readme.contains(&format!("of {} honest entries", rate["honest"])));
    }
}
