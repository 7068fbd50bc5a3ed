//! How often GitHub is asked: at most eight requests for one look, every redirect counted, whatever it answers; and one for a
//! repeated look.

use std::fmt::Write as _;

use hekate::ecosystem::Upstreams;
use hekate::forge::github::BUDGET;
use hekate::verdict::Status;
use hekate_tests::path::{Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::github::{Approval, Job, Run};
use testbed::{Answer, BASE_TIME, Build, GitHub, Release, Scenario};
use url::Url;

use crate::forge::{minutes, seconds, widget};
use crate::record::Walk;
use crate::shape::{judge, listed, over_http};

const WIDGET: &str = "npm:@acme/widget@1.2.3";
const REPOSITORY: &str = "acme/widget";

fn build() -> Build {
    Build::for_package("@acme/widget", "1.2.3")
}

fn purge(github: &mut GitHub) {
    github.purge_run(build().run_id);
}

/// A widget whose package names the repository by another name.
fn declared_as(name: &'static str) -> Release {
    widget().package_json(move |package| package["repository"] = json!(format!("github:{name}")))
}

fn gated() -> Release {
    widget().build(|build| build.environment = Some("npm".to_owned()))
}

/// What of GitHub's answers is redirected, with the texts that tell it from others.
const PARTS: [&str; 11] = [
    "/attempts/1",
    "/jobs?",
    "/repositories/",
    "/repos/",
    "/commits/",
    "/compare/",
    "/tags?",
    "/pulls?",
    "/contents/",
    "/approvals",
    "/workflows/",
];

/// Where a redirect leads: through so many hops to nothing, or round and round where there are none.
fn redirect(github: &mut GitHub, part: &str, hops: Option<u8>) {
    let hop = |number: u8| Answer::RedirectTo(format!("/github/hop/{number}"));
    match hops {
        Some(hops) => {
            for number in 1..hops {
                github.answer_for(&format!("/hop/{number}"), hop(number + 1));
            }
            github.answer_for("/hop/", Answer::Status(404, None));
        }
        None => github.answer_for("/hop/", hop(1)),
    }
    github.answer_for(part, hop(1));
}

type Change = Box<dyn Fn(&mut GitHub)>;

/// What GitHub does, by name.
fn troubles() -> Vec<(String, Change)> {
    let mut troubles: Vec<(String, Change)> = vec![
        (
            "renamed".to_owned(),
            Box::new(|github| github.rename(REPOSITORY, "acme/gadget")),
        ),
        (
            "renamed twice".to_owned(),
            Box::new(|github| {
                github.rename(REPOSITORY, "acme/gadget");
                github.rename("acme/gadget", "acme/gizmo");
            }),
        ),
        (
            "renamed and purged".to_owned(),
            Box::new(|github| {
                github.rename(REPOSITORY, "acme/gadget");
                purge(github);
            }),
        ),
        (
            "renamed, purged, and the old name taken".to_owned(),
            Box::new(|github| {
                github.rename(REPOSITORY, "acme/gadget");
                github
                    .repositories
                    .push(testbed::Repository::new(1, REPOSITORY, 2, BASE_TIME));
                purge(github);
            }),
        ),
        ("purged".to_owned(), Box::new(purge)),
    ];
    for hops in [Some(1), Some(2), Some(3), Some(6), None] {
        let where_to = hops.map_or("in a loop".to_owned(), |hops| format!("to nothing in {hops} hops"));
        for part in PARTS {
            let renamed = format!("renamed, and {part} {where_to}");
            troubles.push((
                format!("{part} {where_to}"),
                Box::new(move |github| redirect(github, part, hops)),
            ));
            troubles.push((
                renamed,
                Box::new(move |github| {
                    github.rename(REPOSITORY, "acme/gadget");
                    redirect(github, part, hops);
                }),
            ));
        }
        troubles.push((
            format!("everything {where_to}"),
            Box::new(move |github| redirect(github, "/", hops)),
        ));
    }
    troubles
}

/// Looks over HTTP, and says how many requests came to GitHub for each look.
async fn looks_over_http(release: Release, change: &Change, looks: &[Timestamp]) -> Vec<(Judged, usize)> {
    let scenario = Scenario::new().release(release);
    {
        let mut github = scenario.github();
        let repository = github.repository_mut(REPOSITORY);
        repository.former_names.push("acme/former".to_owned());
        change(&mut github);
    }
    let served = scenario.serve().await.unwrap();
    let upstreams = Upstreams {
        npm_feed: None,
        npm: Url::parse(&served.npm_url()).unwrap(),
        github: Url::parse(&served.github_url()).unwrap(),
        ..no_address()
    };
    let (judge, fetch, mut recollection) = (judge(), over_http(), Recollection::default());
    let mut looked = Vec::new();
    for at in looks {
        served.forget_requests();
        let coordinate = WIDGET.parse().unwrap();
        let judged = recollection.look(&judge, &fetch, &upstreams, &coordinate, *at).await;
        looked.push((judged.unwrap(), served.github_paths().len()));
    }
    looked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_makes_a_look_ask_more_often_than_the_budget_says() {
    let mut surprises = String::new();
    for (name, change) in troubles() {
        for release in [widget(), gated(), declared_as("acme/former")] {
            for looks in [
                [minutes(20), minutes(21), minutes(75)],
                [minutes(120), minutes(121), minutes(900)],
            ] {
                for (judged, calls) in looks_over_http(release.clone(), &change, &looks).await {
                    if calls > BUDGET {
                        writeln!(surprises, "{name}: {calls} requests").unwrap();
                    }
                    let status = judged.verdict.status;
                    let accused = !matches!(status, Status::Verified | Status::Attested | Status::Indeterminate);
                    // Within an hour a run that is missing accuses.
                    if accused && looks[0] >= minutes(60) {
                        let decided_by = &judged.verdict.decided_by;
                        writeln!(surprises, "{name}: {status} by {decided_by:?}").unwrap();
                    }
                }
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_that_do_not_end_are_not_followed_again() {
    let change: Change = Box::new(|github| redirect(github, "/", None));
    let looked = looks_over_http(widget(), &change, &[minutes(120)]).await;
    // The run, and the one redirect that it may take.
    assert_eq!(looked[0].1, 2);
    assert_eq!(looked[0].0.verdict.status, Status::Attested);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_name_costs_one_request_and_the_rest_is_asked_by_the_present_one() {
    let change: Change = Box::new(|github| github.rename(REPOSITORY, "acme/gadget"));
    let looked = looks_over_http(widget(), &change, &[minutes(120), minutes(121), minutes(122)]).await;
    let calls: Vec<_> = looked.iter().map(|(_, calls)| *calls).collect();
    assert_eq!(calls, [8, 2, 1], "the second look asks what the first one left");
    assert!(
        looked
            .iter()
            .all(|(judged, _)| judged.verdict.status == Status::Verified)
    );
}

/// Looks without sockets, and says how often GitHub was asked for each look.
async fn calls_of(release: Release, change: impl Fn(&mut GitHub), looks: &[Timestamp]) -> Vec<u32> {
    let mut walk = Walk::in_scenario(Scenario::new().release(release));
    change(&mut walk.scenario.github());
    let mut calls = Vec::new();
    for at in looks {
        calls.push(walk.look(WIDGET, *at).await.unwrap().1);
    }
    calls
}

/// A release, by name, with what GitHub does.
type Named = (&'static str, Release, fn(&mut GitHub));

/// Every way in which a question stays open.
fn open() -> Vec<Named> {
    fn nothing(_github: &mut GitHub) {}
    fn private(release: Release) -> Release {
        release.build(|build| "private".clone_into(&mut build.visibility))
    }
    let untagged = || widget().repository(|repository| repository.tags.clear());
    let on_a_branch = || {
        widget()
            .build(|build| build.from_branch("next"))
            .repository(|repository| repository.pulls.clear())
            .package_json(|package| {
                package.as_object_mut().unwrap().remove("repository");
            })
    };
    vec![
        ("purged", widget(), purge),
        ("purged, with a gate", gated(), purge),
        ("untagged", untagged(), nothing),
        ("untagged and purged", untagged(), purge),
        (
            "without a pull request",
            widget().repository(|repository| repository.pulls.clear()),
            nothing,
        ),
        ("on a branch alone", on_a_branch(), |github| {
            github.answer_for("/contents/", Answer::Status(404, None));
        }),
        (
            "unfinished",
            widget().run(|run: &mut Run| run.in_progress_at(seconds(1))),
            nothing,
        ),
        ("private", private(widget()), nothing),
        ("deleted", widget(), |github| {
            github.repository_mut(REPOSITORY).deleted = true;
        }),
        ("a commit that is gone", widget(), |github| {
            github.repository_mut(REPOSITORY).withdraw(&build().commit);
        }),
    ]
}

#[tokio::test]
async fn a_look_that_is_repeated_soon_asks_once() {
    for first in [2, 30, 58, 61, 300, 60 * 24 * 30] {
        for (name, release, change) in open() {
            let looks = [0, 1, 2, 3].map(|later| seconds(60 * first + 20 * later));
            let calls = calls_of(release, change, &looks).await;
            assert!(calls[0] as usize <= BUDGET, "{name} after {first} min: {calls:?}");
            assert_eq!(calls[2..], [1, 1], "{name} after {first} min: {calls:?}");
            let reads_on = ["on a branch alone", "a commit that is gone"].contains(&name);
            // Of nine questions the second look asks the last one.
            assert!(
                calls[1] == 1 || reads_on && calls[1] == 2,
                "{name} after {first} min: {calls:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_no_of_the_first_hour_is_asked_again_at_every_scheduled_look() {
    let untagged = || widget().repository(|repository| repository.tags.clear());
    let day = 24 * 60;
    let looks = [0, 4, 10, 14, 59, 60, 64, day, day + 60, 7 * day, 7 * day + 60].map(|at| seconds(60 * at + 30));
    let calls = calls_of(untagged(), |_github| {}, &looks).await;
    // After four minutes nothing is asked but the run. What the tags said after the first hour stands for good; how the commit
    // lies to the branch settles on its own day.
    assert_eq!(calls, [8, 1, 2, 1, 2, 2, 1, 1, 1, 1, 1], "{calls:?}");
}

#[tokio::test]
async fn a_commit_that_is_on_no_branch_is_asked_about_at_every_scheduled_look() {
    let lonely = widget().build(|build| build.from_branch("next"));
    let day = 24 * 60;
    let looks = [0, 1, 10, 70, 71, 60 * 6, day, day + 60, 7 * day + 2, 7 * day + 60 * 13];
    let calls = calls_of(
        lonely,
        |github| github.delete_branch(REPOSITORY, "next"),
        &looks.map(|at| seconds(60 * at)),
    )
    .await;
    assert!(calls[2] > 1 && calls[3] > 1, "{calls:?}");
    assert_eq!((calls[4], calls[5]), (1, 1), "{calls:?}");
    assert!(calls[6] > 1, "{calls:?}");
    assert_eq!(calls[7], 1, "{calls:?}");
    assert!(calls[8] > 1, "{calls:?}");
    assert_eq!(
        calls[9], 1,
        "what no branch contains after a week is settled: {calls:?}"
    );
}

#[tokio::test]
async fn what_is_asked_of_a_missing_run_is_the_run_and_what_lies_in_the_repository() {
    let mut walk = Walk::in_scenario(Scenario::new().release(gated().run(|run| {
        run.approvals.push(Approval {
            environment: "npm".to_owned(),
            state: "approved".to_owned(),
            user: "alice".to_owned(),
        });
    })));
    purge(&mut walk.scenario.github());
    walk.look(WIDGET, minutes(120)).await.unwrap();
    let asked: Vec<String> = walk.scenario.github().attempts.keys().cloned().collect();
    assert!(
        asked
            .iter()
            .all(|path| !path.contains("/jobs") && !path.contains("/approvals")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_run_that_was_shown_in_between_is_looked_for_once_more() {
    let mut walk = Walk::in_scenario(Scenario::new().release(widget()));
    purge(&mut walk.scenario.github());
    walk.look(WIDGET, minutes(120)).await.unwrap();
    walk.scenario.github().run_mut(build().run_id).purged = false;
    walk.look(WIDGET, minutes(180)).await.unwrap();
    // The run is not gone, but elsewhere: somebody took the old name.
    {
        let mut github = walk.scenario.github();
        github.rename(REPOSITORY, "acme/gadget");
        github
            .repositories
            .push(testbed::Repository::new(1, REPOSITORY, 2, BASE_TIME));
    }
    let (judged, _) = walk.look(WIDGET, minutes(181)).await.unwrap();
    assert_eq!(judged.verdict.status, Status::Verified, "{}", listed(&judged));
    assert!(
        judged
            .case
            .dossier
            .observation(hekate::dossier::Subject::RunSnapshot)
            .is_none()
    );
}

#[tokio::test]
async fn silence_is_asked_again_at_once() {
    let mut walk = Walk::in_scenario(Scenario::new().release(widget()));
    walk.scenario.github().answer_for("/tags?", Answer::Status(503, None));
    walk.look(WIDGET, minutes(120)).await.unwrap();
    walk.scenario.github().answers.clear();
    let (judged, calls) = walk.look(WIDGET, minutes(121)).await.unwrap();
    assert_eq!((judged.verdict.status, calls), (Status::Verified, 2));
}

/// A job beside the one that publishes, which ended like this and has these steps.
fn with_another_job(conclusion: &'static str) -> Release {
    widget().run(move |run: &mut Run| {
        let publishing = run.jobs.last().cloned().unwrap();
        run.jobs.push(Job {
            id: publishing.id + 1,
            name: "notify".to_owned(),
            conclusion: Some(conclusion.to_owned()),
            steps: Vec::new(),
            ..publishing
        });
    })
}

#[tokio::test]
async fn a_job_that_was_cancelled_before_it_began_is_whole() {
    let without_steps = |github: &mut GitHub| {
        github.edit("/jobs?", |page| {
            for job in page["jobs"].as_array_mut().unwrap() {
                if job["name"] == "notify" {
                    job.as_object_mut().unwrap().remove("steps");
                }
            }
        });
    };
    let looks = [
        minutes(120),
        minutes(121),
        minutes(120) + SignedDuration::from_hours(24),
    ];
    let cancelled = calls_of(with_another_job("cancelled"), |_github| {}, &looks).await;
    assert_eq!(cancelled, [8, 1, 1]);
    let cut_short = calls_of(with_another_job("cancelled"), without_steps, &looks).await;
    assert_eq!(cut_short, [8, 2, 2], "steps that are left out may be shown yet");
    let succeeded = calls_of(with_another_job("success"), |_github| {}, &looks).await;
    assert_eq!(succeeded, [8, 2, 2], "a job that ran has steps");
}
