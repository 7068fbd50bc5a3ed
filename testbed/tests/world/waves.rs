//! Attacks on PyPI that happened can be told: who had a token, who got into the build, and who never attested.

use serde_json::{Value, json};
use testbed::{Build, PypiRelease, Scenario, github::Run, moment};

/// The events of the run that a release comes from, as GitHub tells them: event, branch or tag, conclusion.
fn run(scenario: &Scenario, build: &Build) -> [Value; 3] {
    let path = format!("/repos/{}/actions/runs/{}", build.repository, build.run_id);
    let run = scenario.github_response(&path).as_json().unwrap_or_default();
    ["event", "head_branch", "conclusion"].map(|member| run[member].clone())
}

/// Whether the Integrity API has a provenance of the source distribution.
fn is_attested(scenario: &Scenario, name: &str, version: &str) -> bool {
    let published = scenario.pypi().published(name, version).unwrap().clone();
    let [file] = published
        .files
        .iter()
        .filter(|file| file.filename.ends_with(".tar.gz"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one source distribution")
    };
    let path = format!("/integrity/{name}/{version}/{}/provenance", file.filename);
    scenario.pypi_response(&path).status == 200
}

#[test]
fn a_poisoned_cache_leaves_valid_provenance_and_a_token_leaves_none() {
    let release = |version: &str, at: &str| PypiRelease::honest("ultralytics", version).at(moment(at));
    let scenario = Scenario::new()
        .release(release("8.3.40", "2024-12-01T12:00:00Z"))
        .release(release("8.3.41", "2024-12-04T20:51:12Z").build(|build| build.from_branch("main")))
        .release(release("8.3.42", "2024-12-05T12:47:30Z").build(|build| build.from_branch("main")))
        .release(release("8.3.45", "2024-12-07T01:41:00Z").unattested())
        .release(release("8.3.46", "2024-12-07T02:27:00Z").unattested());
    for (version, attested) in [
        ("8.3.40", true),
        ("8.3.41", true),
        ("8.3.42", true),
        ("8.3.45", false),
        ("8.3.46", false),
    ] {
        assert_eq!(is_attested(&scenario, "ultralytics", version), attested, "{version}");
    }
    assert!(scenario.pypi().remove("ultralytics", "8.3.41"));
    assert_eq!(scenario.pypi_response("/pypi/ultralytics/8.3.41/json").status, 404);
}

#[test]
fn a_token_needs_no_run_and_some_projects_never_attested() {
    let elsewhere = |build: &mut Build| "elsewhere".clone_into(&mut build.repository_id);
    let stolen = |version: &str| PypiRelease::honest("litellm", version).unattested().build(elsewhere);
    let scenario = Scenario::new()
        .release(PypiRelease::honest("litellm", "1.82.6").at(moment("2026-03-20T10:00:00Z")))
        .release(stolen("1.82.7").at(moment("2026-03-24T10:00:00Z")))
        .release(stolen("1.82.8").at(moment("2026-03-24T11:00:00Z")))
        .release(PypiRelease::honest("telnyx", "4.87.0").unattested())
        .release(PypiRelease::honest("telnyx", "4.87.1").unattested().build(elsewhere));
    assert!(is_attested(&scenario, "litellm", "1.82.6"));
    for (name, version) in [
        ("litellm", "1.82.7"),
        ("litellm", "1.82.8"),
        ("telnyx", "4.87.0"),
        ("telnyx", "4.87.1"),
    ] {
        assert!(!is_attested(&scenario, name, version), "{name} {version}");
    }
    let build = Build::for_project("litellm", "1.82.7");
    assert_eq!(run(&scenario, &build), [Value::Null, Value::Null, Value::Null]);
    let ordinary = Build::for_project("telnyx", "4.87.0");
    assert_eq!(run(&scenario, &ordinary)[2], "success");
}

#[test]
fn a_comment_that_was_executed_is_the_event_of_the_run() {
    let injected = |build: &mut Build| {
        build.from_branch("main");
        "issue_comment".clone_into(&mut build.event);
        ".github/workflows/triage.yml".clone_into(&mut build.workflow_path);
    };
    let mut build = Build::for_project("elementary-data", "0.23.3");
    injected(&mut build);
    let scenario = Scenario::new()
        .release(PypiRelease::honest("elementary-data", "0.23.2"))
        .release(
            PypiRelease::honest("elementary-data", "0.23.3")
                .build(injected)
                .run(|run: &mut Run| run.publish_step_mut().name = "Run make report".to_owned()),
        );
    assert!(is_attested(&scenario, "elementary-data", "0.23.3"));
    assert_eq!(
        run(&scenario, &build),
        [json!("issue_comment"), json!("main"), json!("success")]
    );
    let published = scenario.pypi().published("elementary-data", "0.23.3").unwrap().clone();
    let bundles = &published.files[0].provenance.as_ref().unwrap()["attestation_bundles"];
    assert_eq!(bundles[0]["publisher"]["workflow"], "triage.yml");
}
