//! What happened to projects on PyPI, which names neither who publishes nor how: attacks, controls and ordinary life.

use super::{Entry, Group, and, day, line_on_pypi, tell};
use crate::{BASE_TIME, Build, PypiFile, PypiRelease, github::Person};
use jiff::{SignedDuration, Timestamp};

pub(super) fn entries() -> Vec<Entry> {
    [
        lost_attestations(),
        hijacked_pipelines(),
        never_attested(),
        controls(),
        life(),
    ]
    .concat()
}

/// So many minutes after the base time.
fn minutes(minutes: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_mins(minutes)
}

/// A release by a push to the default branch, which the run tags.
fn from_main(release: PypiRelease) -> PypiRelease {
    let (mut commit, mut tag) = (String::new(), String::new());
    let release = release.build(|build| {
        commit.clone_from(&build.commit);
        build.git_ref.trim_start_matches("refs/tags/").clone_into(&mut tag);
        build.from_branch("main");
    });
    release.repository(move |repository| repository.tag(&tag, &commit))
}

fn honest(release: PypiRelease) -> PypiRelease {
    release
}

const ULTRALYTICS: &str = "ultralytics";

fn ultralytics(version: &str) -> PypiRelease {
    from_main(PypiRelease::honest(ULTRALYTICS, version))
}

/// The releases before the second wave: the pipeline had been cleaned.
fn after_the_first_wave() -> Vec<PypiRelease> {
    line_on_pypi(ULTRALYTICS, &["8.3.40", "8.3.43", "8.3.44"], from_main)
}

fn lost_attestations() -> Vec<Entry> {
    let second_wave = || {
        and(
            after_the_first_wave(),
            PypiRelease::honest(ULTRALYTICS, "8.3.45").unattested(),
        )
    };
    let lost: &[&str] = &["hist.downgrade"];
    vec![
        tell(
            "ultralytics-8.3.45",
            Group::LostAttestation,
            "published with a stolen token after the pipeline had been cleaned",
            second_wave,
        )
        .expects("downgraded", lost),
        tell(
            "ultralytics-8.3.46",
            Group::LostAttestation,
            "the same attack, 46 minutes later",
            move || {
                let again = PypiRelease::honest(ULTRALYTICS, "8.3.46").unattested();
                and(second_wave(), again.at(minutes(46)))
            },
        )
        .before_that("pkg:pypi/ultralytics@8.3.45", "downgraded")
        .expects("downgraded", lost),
    ]
}

const POISONED_CACHE: &str =
    "cannot be told without comparing the contents with the commit: every fact of this run is in order";

fn hijacked_pipelines() -> Vec<Entry> {
    let first_wave = || {
        and(
            line_on_pypi(ULTRALYTICS, &["8.3.38", "8.3.39", "8.3.40"], from_main),
            ultralytics("8.3.41"),
        )
    };
    vec![
        tell(
            "ultralytics-8.3.41",
            Group::HijackedPipeline,
            "a poisoned cache put code into an otherwise honest build",
            first_wave,
        )
        .limits(POISONED_CACHE)
        .expects("verified", &[]),
        tell(
            "ultralytics-8.3.42",
            Group::HijackedPipeline,
            "the next release, by which the cache was still poisoned",
            move || and(first_wave(), ultralytics("8.3.42").at(minutes(16 * 60))),
        )
        .limits(POISONED_CACHE)
        .expects("verified", &[]),
        tell(
            "elementary-data",
            Group::HijackedPipeline,
            "a script that a comment injected ran the release workflow",
            || {
                and(
                    line_on_pypi("elementary-data", &["0.23.0", "0.23.1", "0.23.2"], honest),
                    pushed_by_an_attacker(PypiRelease::honest("elementary-data", "0.23.3").build(|build| {
                        build.from_branch("main");
                        "issue_comment".clone_into(&mut build.event);
                    })),
                )
            },
        )
        .expects(
            "suspicious",
            &[
                "id.trigger_novel",
                "id.ref_novel",
                "src.tag_matches_version",
                "src.commit_signature",
            ],
        ),
    ]
}

/// A release whose commit nobody reviewed and nobody signed.
fn pushed_by_an_attacker(release: PypiRelease) -> PypiRelease {
    let mut commit = String::new();
    let release = release.build(|build| commit.clone_from(&build.commit));
    release
        .commit(|commit| {
            commit.unsigned();
            commit.author = Person::account("alice", "alice@example.com");
            commit.committer = Person::account("alice", "alice@example.com");
        })
        .repository(move |repository| super::attacks::without_pull_request(repository, &commit))
}

const NEVER_ATTESTED: &str =
    "cannot be told from attestations: the project never had any; two versions are no burst of three";

fn never_attested() -> Vec<Entry> {
    let never =
        |name, told, project: &'static str, before: &'static [&'static str], attacked: &'static [&'static str]| {
            tell(name, Group::NeverAttested, told, move || {
                let stolen = attacked.iter().zip(0..).map(|(version, index)| {
                    PypiRelease::honest(project, version)
                        .unattested()
                        .at(minutes(13 * index))
                });
                line_on_pypi(project, before, PypiRelease::unattested)
                    .into_iter()
                    .chain(stolen)
                    .collect()
            })
            .before("unattested")
            .limits(NEVER_ATTESTED)
            .expects("unattested", &[])
        };
    let (litellm, telnyx): (&[&str], &[&str]) = (&["1.82.4", "1.82.5", "1.82.6"], &["4.86.0", "4.86.1", "4.87.0"]);
    vec![
        never(
            "litellm-1.82.7",
            "published with a token that a poisoned scanner had stolen",
            "litellm",
            litellm,
            &["1.82.7"],
        ),
        never(
            "litellm-1.82.8",
            "the same attack, 13 minutes later",
            "litellm",
            litellm,
            &["1.82.7", "1.82.8"],
        ),
        never("telnyx-4.87.1", "the same campaign", "telnyx", telnyx, &["4.87.1"]),
        never(
            "telnyx-4.87.2",
            "the same campaign, and the next version",
            "telnyx",
            telnyx,
            &["4.87.1", "4.87.2"],
        ),
    ]
}

const GADGET: &str = "acme-gadget";

/// Three honest releases of the gadget.
fn earlier() -> Vec<PypiRelease> {
    line_on_pypi(GADGET, &["1.0.0", "1.1.0", "1.2.0"], honest)
}

fn gadget() -> PypiRelease {
    PypiRelease::honest(GADGET, "1.3.0")
}

/// A wheel for one more platform.
fn one_more_wheel() -> PypiFile {
    PypiFile::wheel("cp314-cp314-win_arm64")
}

fn controls() -> Vec<Entry> {
    vec![
        tell(
            "python-wheel-by-hand",
            Group::Control,
            "a maintainer uploads a wheel by hand that the pipeline cannot build",
            || and(earlier(), gadget().with(one_more_wheel().unattested())),
        )
        .limits("a file without attestation beside attested ones is what a thief with a token adds, too")
        .expects("downgraded", &["hist.downgrade"]),
    ]
}

fn life() -> Vec<Entry> {
    let life = |name, told, releases: fn() -> Vec<PypiRelease>| tell(name, Group::Life, told, releases);
    vec![
        life(
            "python-release",
            "one more version of a project on PyPI, like those before",
            || and(earlier(), gadget()),
        )
        .expects("verified", &[]),
        life(
            "python-many-wheels",
            "forty wheels and a source distribution from one run",
            || {
                let wheels = (0..39).map(|number| PypiFile::wheel(&format!("cp3{number}-cp3{number}-linux_x86_64")));
                and(earlier(), wheels.fold(gadget(), PypiRelease::with))
            },
        )
        .expects("verified", &[]),
        life(
            "python-late-wheel",
            "a run of its own adds a wheel three weeks later",
            || {
                let late = one_more_wheel().signed_at(day(21)).build(|build| build.run_id += 1);
                and(earlier(), gadget().with(late))
            },
        )
        .looked_at_before(day(21) + SignedDuration::from_mins(1), "attested")
        .looked_at(day(21) + SignedDuration::from_mins(11))
        .expects("verified", &[]),
        life("python-yanked", "yanked, since it does not work", || {
            and(earlier(), gadget().yanked("does not start"))
        })
        .expects("verified", &[]),
        life("python-gitlab", "built on GitLab, and published on PyPI", || {
            vec![gadget().build(Build::on_gitlab)]
        })
        .limits("builds on GitLab are authenticated and not correlated")
        .expects("attested", &[]),
        life(
            "python-never-attested",
            "one more version of a project that never was attested",
            || {
                let plain = PypiRelease::unattested;
                and(
                    line_on_pypi(GADGET, &["1.0.0", "1.1.0", "1.2.0"], plain),
                    plain(gadget()),
                )
            },
        )
        .before("unattested")
        .expects("unattested", &[]),
    ]
}
