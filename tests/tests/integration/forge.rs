//! What GitHub shows of runs and sources, honest and hostile, and the exact answer to each.
//!
//! Every shape is one test, over the `Fetch` without sockets and over HTTP.

use hekate::attestation::TrustOrigin;
use hekate::availability::UnavailableReason;
use hekate::check::CheckId::*;
use hekate::check::{Outcome, Shade, UnknownReason};
use hekate::dossier::Subject;
use hekate::history::PastRelease;
use hekate::verdict::Status::{Attested, Indeterminate, Mismatch, Suspicious, Verified};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{look, look_again, no_address};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::github::{Actor, Approval, Job, Person, Repository, Run, Step};
use testbed::{Answer, BASE_TIME, Build, Flavour, GitHub, Release, Scenario, World};

use crate::attestations::provenance_of;
use crate::shape::{Shape, among, judge, shape};

const PASS: Outcome = Outcome::Pass(None);
const FAIL: Outcome = Outcome::Fail(None);
const WARN: Outcome = Outcome::Warn(None);
const NOT_APPLICABLE: Outcome = Outcome::NotApplicable(None);
const SEEN_BEFORE: Outcome = Outcome::Pass(Some(Shade::Snapshot));
const NO_ATTESTATION: Outcome = Outcome::NotApplicable(Some(Shade::Absent));
const FIRST_SEEN: Outcome = Outcome::NotApplicable(Some(Shade::FirstSeen));
const NO_HABIT: Outcome = Outcome::NotApplicable(Some(Shade::NoHabit));
const UNKNOWN_STEP: Outcome = Outcome::Warn(Some(Shade::UnknownStep));
const NOT_RUN: Outcome = Outcome::Unknown(UnknownReason::NotRun);
const UNREACHABLE: Outcome = Outcome::Unknown(UnknownReason::Unreachable);
const RATE_LIMITED: Outcome = Outcome::Unknown(UnknownReason::RateLimited);
const MALFORMED: Outcome = Outcome::Unknown(UnknownReason::Malformed);
const NOT_RETAINED: Outcome = Outcome::Unknown(UnknownReason::NotRetained);
const PENDING: Outcome = Outcome::Unknown(UnknownReason::Pending);
const PRIVATE: Outcome = Outcome::Unknown(UnknownReason::Private);
const UNSUPPORTED: Outcome = Outcome::Unknown(UnknownReason::Unsupported);

const NAME: &str = "@acme/widget";
const REPOSITORY: &str = "acme/widget";

/// So many minutes after the provenance was logged.
pub(crate) fn minutes(minutes: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_mins(minutes)
}

pub(crate) fn seconds(seconds: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_secs(seconds)
}

pub(crate) fn widget() -> Release {
    Release::honest(NAME, "1.2.3")
}

fn build() -> Build {
    Build::for_package(NAME, "1.2.3")
}

/// A release by a push to a branch.
fn from_branch(branch: &str) -> Release {
    widget().build(|build| build.from_branch(branch))
}

/// A release from a branch that is not the default one, whose commit no pull request brought.
fn from_a_lonely_branch(branch: &str) -> Release {
    from_branch(branch).repository(|repository| repository.pulls.clear())
}

/// Every pull request goes to the default branch.
pub(crate) fn into_main(repository: &mut Repository) {
    for pull in &mut repository.pulls {
        "main".clone_into(&mut pull.base_ref);
    }
}

fn gated() -> Release {
    widget().build(|build| build.environment = Some("npm".to_owned()))
}

/// The widget after an older version, both from the same workflow.
fn with_an_older_version() -> Shape {
    let older = Release::honest(NAME, "1.2.2").at(BASE_TIME - SignedDuration::from_hours(240));
    among(
        Scenario::new().release(older).release(widget()),
        "npm:@acme/widget@1.2.3",
    )
}

/// Four versions, of which the first three have tags, and the last one what `edit` leaves of its own.
fn with_tagged_versions(edit: impl Fn(Release) -> Release) -> Shape {
    let mut scenario = Scenario::new();
    for (version, days) in [("1.0.0", 40), ("1.1.0", 30), ("1.2.0", 20)] {
        scenario =
            scenario.release(Release::honest(NAME, version).at(BASE_TIME - SignedDuration::from_hours(24 * days)));
    }
    among(scenario.release(edit(widget())), "npm:@acme/widget@1.2.3")
}

/// So many earlier releases, all alike.
pub(crate) fn habit(number: i64, edit: impl Fn(&mut PastRelease)) -> Vec<PastRelease> {
    let release = |index: i64| {
        let version = format!("1.0.{}", number - index);
        let mut release = PastRelease {
            attested: true,
            in_part: false,
            declared_publish_mode: None,
            declared_publisher: None,
            accepted: true,
            refused: false,
            published_at: BASE_TIME - SignedDuration::from_hours(240 * index),
            repository: Some(build().repository_uri()),
            repository_id: Some(build().repository_id),
            owner_id: Some(build().owner_id),
            workflow: Some(build().workflow_path),
            r#ref: Some(format!("refs/tags/v{version}")),
            trigger: Some("release".to_owned()),
            environment: None,
            runner: Some("github-hosted".to_owned()),
            signer: None,
            run_actor: Some("alice".to_owned()),
            run_publish_step: Some("Run npm publish".to_owned()),
            commit_verified: Some(true),
            commit_through_pull_request: Some(true),
            tagged: Some(true),
            version,
        };
        edit(&mut release);
        release
    };
    (1..=number).map(release).collect()
}

fn purge(github: &mut GitHub) {
    github.purge_run(build().run_id);
}

/// Answers the question about the run itself, and no other below its path, in this way.
pub(crate) fn answer_for_the_run(github: &mut GitHub, answer: Answer) {
    github.answer_for("/jobs?", Answer::Normal);
    github.answer_for("/attempts/", answer);
}

/// Changes what GitHub tells of the run itself.
fn tell_of_the_run(github: &mut GitHub, edit: fn(&mut Value)) {
    github.edit("/attempts/", move |document| {
        if document.get("head_sha").is_some() {
            edit(document);
        }
    });
}

/// Takes the times of every step away.
fn without_times(run: &mut Run) {
    for step in run.jobs.iter_mut().flat_map(|job| &mut job.steps) {
        step.started_at = None;
        step.completed_at = None;
    }
}

/// Lets another step be under way when the provenance was signed, and the publish step begin after that.
pub(crate) fn sign_in(run: &mut Run, name: &str) {
    let step = run.publish_step_mut();
    let began = step.started_at.replace(seconds(20));
    step.completed_at = Some(seconds(30));
    let job = run
        .jobs
        .iter_mut()
        .find(|job| job.steps.iter().any(|step| step.name == "Run npm publish"));
    let job = job.unwrap();
    let place = job
        .steps
        .iter()
        .position(|step| step.name == "Run npm publish")
        .unwrap();
    if let Some(step) = job.steps.iter_mut().find(|step| step.name == name) {
        step.completed_at = Some(seconds(10));
    } else {
        job.steps
            .insert(place, Step::successful(name, began, Some(seconds(10))));
    }
    for step in job
        .steps
        .iter_mut()
        .filter(|step| step.name.starts_with("Post") || step.name == "Complete job")
    {
        step.started_at = Some(seconds(31));
        step.completed_at = Some(seconds(31));
    }
}

/// Jobs that test, before the one that publishes.
pub(crate) fn with_test_jobs(run: &mut Run, number: u64) {
    let publishing = run.jobs.pop().unwrap();
    let test = |index| Job {
        id: index + 1,
        name: format!("test ({index})"),
        steps: vec![Step::successful(
            "Run npm test",
            publishing.started_at,
            publishing.completed_at,
        )],
        ..publishing.clone()
    };
    run.jobs = (0..number).map(test).collect();
    run.jobs.push(publishing);
}

fn approve(run: &mut Run) {
    run.approvals.push(Approval {
        environment: "npm".to_owned(),
        state: "approved".to_owned(),
        user: "alice".to_owned(),
    });
}

fn somebody(name: &str, email: &str) -> Person {
    Person {
        name: name.to_owned(),
        email: email.to_owned(),
        login: None,
        is_bot: false,
    }
}

shapes! {
    // The run is there, or was, or is not.
    a_run => shape(widget()).is(Verified).finds(RunExists, PASS).finds(RunDisappeared, NOT_APPLICABLE)
        .finds(RunMatchesCert, PASS).finds(RunConclusion, PASS).finds(RunPublishStep, PASS).finds(RunSigningStep, PASS)
        .finds(RunAttemptSane, PASS).finds(RunActor, FIRST_SEEN).finds(RunForkHead, PASS)
        .finds(RunEnvironmentGate, NOT_APPLICABLE).finds(SrcRepoState, PASS).finds(SrcCommitExists, PASS)
        .finds(SrcCommitReachable, PASS).finds(SrcRefExists, PASS).finds(SrcTagMatchesVersion, PASS)
        .finds(SrcGitHeadMatches, PASS).finds(SrcCommitSignature, PASS).finds(SrcAuthorCommitterSpoof, PASS)
        .finds(SrcPrAssociated, PASS).finds(SrcCommitToPublishAge, PASS).finds(SrcVersionInCommit, PASS)
        .finds(IdTriggerNovel, FIRST_SEEN).finds(IdRefNovel, FIRST_SEEN).finds(IdEnvironmentMissing, NO_HABIT);
    a_run_like_those_before => shape(widget()).after(habit(3, |_| {})).is(Verified).finds(RunActor, PASS)
        .finds(IdTriggerNovel, PASS).finds(IdRefNovel, PASS).finds(IdEnvironmentMissing, NO_HABIT);
    a_run_that_is_purged => shape(widget()).where_github(purge).is(Attested).finds(RunExists, NOT_RETAINED)
        .finds(RunDisappeared, NOT_APPLICABLE).finds(RunMatchesCert, NOT_RETAINED).finds(RunConclusion, NOT_RETAINED)
        .finds(RunPublishStep, NOT_RETAINED).finds(RunSigningStep, NOT_RETAINED).finds(RunAttemptSane, NOT_RETAINED)
        .finds(RunActor, NOT_RETAINED).finds(RunForkHead, NOT_RETAINED).finds(SrcCommitExists, PASS);
    a_run_that_is_missing_within_an_hour => shape(widget()).where_github(purge).looked_at(minutes(20)).is(Suspicious)
        .finds(RunExists, FAIL).decided_by(&[RunExists]);
    a_run_that_is_missing_after_an_hour => shape(widget()).where_github(purge).looked_at(minutes(61)).is(Attested)
        .finds(RunExists, NOT_RETAINED);
    a_run_that_was_missing_within_an_hour_and_is_there => shape(widget()).where_github(purge).seen_at(minutes(20))
        .then(|github| github.run_mut(build().run_id).purged = false).is(Verified).finds(RunExists, PASS);
    a_run_that_was_missing_within_an_hour_and_still_is => shape(widget()).where_github(purge).seen_at(minutes(20))
        .is(Suspicious).finds(RunExists, FAIL);
    a_run_that_is_missing_while_older_ones_are_there => with_an_older_version().where_github(purge).is(Attested)
        .finds(RunExists, Outcome::Warn(Some(Shade::Missing))).finds(RunDisappeared, NOT_APPLICABLE);
    a_run_that_is_missing_while_older_ones_cannot_be_asked_for => with_an_older_version().where_github(|github| {
        purge(github);
        github.answer_for("/workflows/", Answer::Status(503, None));
    }).is(Attested).finds(RunExists, NOT_RETAINED);
    a_run_of_a_private_repository => shape(widget().build(|build| "private".clone_into(&mut build.visibility)))
        .looked_at(minutes(20)).is(Attested).finds(RunExists, PRIVATE).finds(SrcRepoState, PRIVATE)
        .finds(SrcCommitExists, NOT_RUN).finds(SrcTagMatchesVersion, NOT_RUN);
    a_commit_of_a_repository_that_was_deleted_in_between => shape(widget()).where_github(|github| {
        github.answer_for("/commits/", Answer::Status(404, None));
        github.answer_for("/repositories/", Answer::Status(404, None));
    }).is(Attested).finds(SrcRepoState, PRIVATE).finds(SrcCommitExists, NOT_RETAINED);
    a_run_of_a_deleted_repository => shape(widget())
        .where_github(|github| github.repository_mut(REPOSITORY).deleted = true).looked_at(minutes(20)).is(Attested)
        .finds(RunExists, PRIVATE);
    a_run_that_is_seen_by_its_members_only => shape(widget())
        .where_github(|github| github.edit("/repositories/", |document| document["private"] = json!(true)))
        .is(Verified).finds(SrcRepoState, PRIVATE);
    a_run_that_was_purged_since => shape(widget()).seen_at(minutes(120)).then(purge).is(Verified)
        .finds(RunExists, SEEN_BEFORE).finds(RunDisappeared, NOT_RETAINED).finds(RunMatchesCert, SEEN_BEFORE)
        .finds(RunConclusion, SEEN_BEFORE).finds(RunPublishStep, SEEN_BEFORE).finds(RunSigningStep, SEEN_BEFORE)
        .finds(RunAttemptSane, SEEN_BEFORE).finds(RunActor, FIRST_SEEN).finds(RunForkHead, SEEN_BEFORE);
    a_run_that_was_deleted_since => with_an_older_version().seen_at(minutes(120)).then(purge).is(Verified)
        .finds(RunExists, SEEN_BEFORE).finds(RunDisappeared, WARN);
    a_run_that_was_deleted_since_while_older_ones_cannot_be_asked_for => with_an_older_version().seen_at(minutes(120))
        .then(|github| {
            purge(github);
            github.answer_for("/workflows/", Answer::Status(503, None));
        }).is(Attested).finds(RunDisappeared, UNREACHABLE);
    a_run_that_was_deleted_since_while_older_ones_may_not_be_asked_for => with_an_older_version().seen_at(minutes(120))
        .then(|github| {
            purge(github);
            github.answer_for("/workflows/", Answer::Status(429, None));
        }).is(Attested).finds(RunDisappeared, RATE_LIMITED);
    a_run_that_was_seen_before_an_outage => shape(widget()).seen_at(minutes(120))
        .then(|github| github.answer = Answer::Status(503, None)).is(Verified).finds(RunExists, SEEN_BEFORE)
        .finds(RunDisappeared, NOT_APPLICABLE).finds(SrcCommitExists, PASS).finds(SrcTagMatchesVersion, PASS);
    a_run_by_a_bot_that_was_purged_since => shape(widget()
        .run(|run| run.triggering_actor = Actor::bot("github-actions[bot]"))).seen_at(minutes(120)).then(purge)
        .is(Verified).finds(RunActor, SEEN_BEFORE);
    a_run_without_an_answer => shape(widget()).where_github(|github| github.answer = Answer::Status(503, None))
        .is(Attested).finds(RunExists, UNREACHABLE).finds(RunDisappeared, NOT_APPLICABLE)
        .finds(RunMatchesCert, UNREACHABLE).finds(SrcRepoState, NOT_RUN).finds(SrcCommitReachable, NOT_RUN);
    a_run_behind_a_limit => shape(widget()).where_github(|github| github.answer = Answer::Status(429, Some(60)))
        .is(Attested).finds(RunExists, RATE_LIMITED);
    a_run_that_may_not_be_seen => shape(widget()).where_github(|github| github.answer = Answer::Status(403, None))
        .is(Attested).finds(RunExists, PRIVATE);
    a_run_behind_a_page_for_people => shape(widget()).where_github(|github| github.answer = Answer::Html200)
        .is(Attested).finds(RunExists, MALFORMED).finds(SrcCommitExists, NOT_RUN);
    a_run_of_a_hundred_megabytes => shape(widget())
        .where_github(|github| answer_for_the_run(github, Answer::Huge(100 << 20))).is(Attested)
        .finds(RunExists, UNSUPPORTED);
    a_build_on_gitlab => shape(Release::honest("fox", "1.0.0").flavour(Flavour::GitLab)).is(Attested)
        .finds(RunExists, UNSUPPORTED).finds(RunConclusion, UNSUPPORTED).finds(SrcCommitExists, UNSUPPORTED);
    a_build_of_an_earlier_certificate => shape(Release::honest_of_2023("pioneer", "0.4.0")
        .certificate(testbed::Claims::as_of_early_2023)).is(Attested).finds(RunExists, UNSUPPORTED);
    a_certificate_that_is_not_known => shape(widget().certificate_by(&World::foreign()))
        .trusting(TrustOrigin::Embedded).is(Indeterminate).finds(RunExists, NOT_RUN).finds(RunDisappeared, NOT_RUN)
        .finds(IdTriggerNovel, NOT_RUN).finds(IdRefNovel, NOT_RUN).finds(IdEnvironmentMissing, NOT_RUN);
    provenances_of_two_attempts => shape(widget().attestations(|list| {
        list.push(provenance_of(&widget().build(|build| build.run_attempt = 2)));
    })).is(Attested).finds(RunExists, NOT_RETAINED).finds(SrcCommitExists, NOT_RUN);
    provenances_of_two_runs => shape(widget().attestations(|list| {
        list.push(provenance_of(&widget().later(SignedDuration::from_mins(1)).build(|build| build.run_id += 1)));
    })).is(Attested).finds(RunExists, NOT_RUN).finds(SrcCommitExists, NOT_RUN);
    a_stolen_identity_beside_the_provenance_of_another_run => shape(
        widget().run(|run| run.skip_publish_and_sign_in("Run npm test")).attestations(|list| {
            list.push(provenance_of(&widget().later(SignedDuration::from_mins(1)).build(|build| build.run_id += 1)));
        })
    ).is(Suspicious).finds(RunExists, NOT_RUN).finds(RunPublishStep, FAIL).finds(RunSigningStep, FAIL);
    no_attestation => shape(Release::honest("plain", "1.0.0").unattested()).is(hekate::verdict::Status::Unattested)
        .finds(RunExists, NO_ATTESTATION).finds(SrcCommitExists, NO_ATTESTATION).finds(IdTriggerNovel, NO_ATTESTATION);

    // The run and the certificate.
    a_run_of_another_commit => shape(widget().run(|run| run.head_sha = "b".repeat(40))).is(Mismatch)
        .finds(RunMatchesCert, FAIL).decided_by(&[RunMatchesCert]);
    a_run_by_hand_of_another_commit => shape(widget().build(|build| {
        "workflow_dispatch".clone_into(&mut build.event);
    }).run(|run| run.head_sha = "b".repeat(40))).is(Attested).finds(RunMatchesCert, WARN);
    a_run_after_another_one_of_another_commit => shape(widget().build(|build| {
        "workflow_run".clone_into(&mut build.event);
    }).run(|run| run.head_sha = "b".repeat(40))).is(Verified).finds(RunMatchesCert, PASS);
    a_run_by_another_event => shape(widget().run(|run| "issue_comment".clone_into(&mut run.event))).is(Mismatch)
        .finds(RunMatchesCert, FAIL).decided_by(&[RunMatchesCert]);
    a_run_by_an_event_that_nobody_knows => shape(widget().build(|build| "moon_phase".clone_into(&mut build.event)))
        .is(Verified).finds(RunMatchesCert, PASS);
    a_run_of_another_workflow => shape(widget().run(|run| ".github/workflows/x.yml".clone_into(&mut run.path)))
        .is(Mismatch).finds(RunMatchesCert, FAIL).decided_by(&[RunMatchesCert]);
    a_run_of_a_workflow_with_its_ref => shape(widget().run(|run| run.path.push_str("@refs/tags/v1.2.3"))).is(Verified)
        .finds(RunMatchesCert, PASS);
    a_run_in_another_repository => shape(widget()).where_github(|github| {
        tell_of_the_run(github, |run| run["repository"]["id"] = json!(1));
    }).is(Mismatch).finds(RunMatchesCert, FAIL).decided_by(&[RunMatchesCert]);
    a_run_of_which_nothing_is_told => shape(widget()).where_github(|github| tell_of_the_run(github, |run| {
        *run = json!({"id": run["id"], "status": "completed", "conclusion": "success"});
    })).is(Attested).finds(RunMatchesCert, MALFORMED).finds(RunAttemptSane, MALFORMED).finds(RunActor, MALFORMED)
        .finds(RunForkHead, MALFORMED);
    another_run_in_the_answer => shape(widget()).where_github(|github| tell_of_the_run(github, |run| {
        run["id"] = json!(1);
    })).is(Attested).finds(RunExists, MALFORMED).finds(RunMatchesCert, MALFORMED);
    another_attempt_in_the_answer => shape(widget()).where_github(|github| tell_of_the_run(github, |run| {
        run["run_attempt"] = json!(2);
    })).is(Attested).finds(RunExists, MALFORMED).finds(RunMatchesCert, MALFORMED);
    a_run_whose_ids_are_text => shape(widget()).where_github(|github| github.ids_as_strings = true).is(Verified)
        .finds(RunMatchesCert, PASS);

    // How the run ended.
    a_run_that_failed_after_publication => shape(widget().run(Run::fail_after_publish)).is(Verified)
        .finds(RunConclusion, Outcome::Warn(Some(Shade::AfterPublish))).finds(RunPublishStep, PASS);
    a_run_that_was_cancelled_after_publication => shape(widget().run(|run| run.conclude("cancelled"))).is(Verified)
        .finds(RunConclusion, Outcome::Warn(Some(Shade::AfterPublish)));
    a_run_whose_publish_step_failed_after_signing => shape(widget().run(|run| {
        run.publish_step_mut().conclude("failure");
        run.conclude("failure");
    })).is(Attested).finds(RunConclusion, Outcome::Warn(Some(Shade::AfterPublish))).finds(RunPublishStep, UNKNOWN_STEP)
        .finds(RunSigningStep, PASS);
    a_run_that_signed_in_a_test => shape(widget().run(|run| run.skip_publish_and_sign_in("Run npm test")))
        .is(Suspicious).finds(RunConclusion, FAIL).finds(RunPublishStep, FAIL).finds(RunSigningStep, FAIL)
        .decided_by(&[RunConclusion, RunPublishStep, RunSigningStep]);
    a_run_that_signed_in_cleaning_up => shape(widget()
        .run(|run| run.skip_publish_and_sign_in("Post Run actions/checkout@v6"))).is(Suspicious)
        .finds(RunSigningStep, FAIL);
    a_run_that_signed_in_a_step_of_its_own => shape(widget().run(|run| run.skip_publish_and_sign_in("Ship it")))
        .is(Suspicious).finds(RunConclusion, FAIL).finds(RunPublishStep, FAIL).finds(RunSigningStep, FAIL);
    a_run_that_failed_with_an_unknown_step => shape(widget().run(|run| {
        "Ship it".clone_into(&mut run.publish_step_mut().name);
        run.conclude("failure");
    })).is(Attested).finds(RunConclusion, UNKNOWN_STEP).finds(RunPublishStep, UNKNOWN_STEP);
    a_run_that_failed_without_a_step => shape(widget().run(|run| {
        "Run npm audit".clone_into(&mut run.publish_step_mut().name);
        run.conclude("failure");
    })).is(Suspicious).finds(RunConclusion, FAIL).finds(RunSigningStep, UNKNOWN_STEP).finds(RunPublishStep, UNKNOWN_STEP);
    a_run_that_failed_and_whose_jobs_cannot_be_asked_for => shape(widget().run(Run::fail_after_publish))
        .where_github(|github| github.answer_for("/jobs?", Answer::Status(503, None))).is(Attested)
        .finds(RunConclusion, UNREACHABLE).finds(RunPublishStep, UNREACHABLE).finds(RunSigningStep, UNREACHABLE);
    a_run_that_failed_and_whose_jobs_may_not_be_asked_for => shape(widget().run(Run::fail_after_publish))
        .where_github(|github| github.answer_for("/jobs?", Answer::Status(429, None))).is(Attested)
        .finds(RunConclusion, RATE_LIMITED).finds(RunPublishStep, RATE_LIMITED).finds(RunSigningStep, RATE_LIMITED);
    a_run_that_failed_and_whose_jobs_are_malformed => shape(widget().run(Run::fail_after_publish))
        .where_github(|github| github.answer_for("/jobs?", Answer::Html200)).is(Attested)
        .finds(RunConclusion, MALFORMED).finds(RunPublishStep, MALFORMED).finds(RunSigningStep, MALFORMED);
    a_run_that_failed_and_whose_jobs_are_gone => shape(widget().run(Run::fail_after_publish))
        .where_github(|github| github.answer_for("/jobs?", Answer::Status(404, None))).is(Attested)
        .finds(RunConclusion, NOT_RETAINED).finds(RunPublishStep, NOT_RETAINED).finds(RunSigningStep, NOT_RETAINED);
    a_run_that_failed_and_of_whose_jobs_some_are_not_read => shape(widget().run(|run| {
        with_test_jobs(run, 999);
        run.conclude("failure");
    })).is(Attested).finds(RunConclusion, PENDING).finds(RunPublishStep, PENDING).finds(RunSigningStep, PENDING);
    a_run_in_its_publish_step => shape(widget().run(|run| run.in_progress_at(seconds(1)))).looked_at(seconds(30))
        .is(Attested).finds(RunExists, PASS).finds(RunConclusion, PENDING).finds(RunPublishStep, PENDING)
        .finds(RunSigningStep, PASS);
    a_run_after_its_publish_step => shape(widget().run(|run| run.in_progress_at(seconds(4)))).looked_at(seconds(30))
        .is(Attested).finds(RunConclusion, PENDING).finds(RunPublishStep, PASS).finds(RunSigningStep, PASS);
    a_run_before_its_publish_step => shape(widget().run(|run| run.in_progress_at(seconds(-20)))).looked_at(seconds(30))
        .is(Attested).finds(RunConclusion, PENDING).finds(RunPublishStep, PENDING).finds(RunSigningStep, PENDING);
    a_run_that_had_not_ended_when_it_was_seen_last => shape(widget().run(|run| run.in_progress_at(seconds(4))))
        .seen_at(seconds(30)).then(purge).is(Attested).finds(RunExists, SEEN_BEFORE)
        .finds(RunConclusion, NOT_RETAINED).finds(RunPublishStep, SEEN_BEFORE);
    a_run_that_has_ended_since => shape(widget().run(|run| run.in_progress_at(seconds(1)))).seen_at(seconds(30))
        .then(|github| {
            let run = github.run_mut(build().run_id);
            run.conclude("success");
            run.updated_at = seconds(10);
            for step in run.jobs.iter_mut().flat_map(|job| &mut job.steps) {
                step.conclude("success");
                step.started_at.get_or_insert(seconds(5));
                step.completed_at.get_or_insert(seconds(6));
            }
        }).is(Verified).finds(RunExists, PASS).finds(RunConclusion, PASS);
    a_run_with_a_conclusion_that_nobody_knows => shape(widget().run(|run| run.conclude("moon"))).is(Attested)
        .finds(RunConclusion, MALFORMED).finds(RunPublishStep, PASS);
    a_run_with_a_status_that_nobody_knows => shape(widget().run(|run| "moon".clone_into(&mut run.status)))
        .is(Attested).finds(RunConclusion, PENDING);

    // Which step published, and which signed.
    a_step_of_its_own => shape(widget().run(|run| "Ship it".clone_into(&mut run.publish_step_mut().name)))
        .is(Attested).finds(RunConclusion, PASS).finds(RunPublishStep, UNKNOWN_STEP)
        .finds(RunSigningStep, UNKNOWN_STEP);
    a_step_of_its_own_that_was_learnt => shape(widget()
        .run(|run| "Ship it".clone_into(&mut run.publish_step_mut().name)))
        .after(habit(2, |past| past.run_publish_step = Some("Ship it".to_owned()))).is(Verified)
        .finds(RunPublishStep, PASS).finds(RunSigningStep, PASS);
    a_step_of_its_own_where_others_were_learnt => shape(widget()
        .run(|run| "Ship it".clone_into(&mut run.publish_step_mut().name))).after(habit(3, |_| {})).is(Attested)
        .finds(RunPublishStep, UNKNOWN_STEP).finds(RunSigningStep, UNKNOWN_STEP);
    no_step_that_publishes_where_there_always_was_one => shape(widget()
        .run(|run| "Run npm audit".clone_into(&mut run.publish_step_mut().name))).after(habit(3, |_| {}))
        .is(Suspicious).finds(RunPublishStep, FAIL).finds(RunSigningStep, UNKNOWN_STEP);
    signed_in_a_test_before_publication => shape(widget().run(|run| sign_in(run, "Run npm test"))).is(Suspicious)
        .finds(RunPublishStep, PASS).finds(RunSigningStep, FAIL).decided_by(&[RunSigningStep]);
    signed_in_another_step_before_publication => shape(widget().run(|run| sign_in(run, "Ship it"))).is(Attested)
        .finds(RunPublishStep, PASS).finds(RunSigningStep, WARN);
    signed_in_no_step_by_the_clock_of_a_runner_of_their_own => shape(widget().build(|build| {
        "self-hosted".clone_into(&mut build.runner_environment);
    }).run(|run| {
        for step in run.jobs.iter_mut().flat_map(|job| &mut job.steps) {
            step.started_at = step.started_at.map(|at| at + SignedDuration::from_hours(1));
            step.completed_at = step.completed_at.map(|at| at + SignedDuration::from_hours(1));
        }
    })).is(Attested).finds(RunPublishStep, PASS).finds(RunSigningStep, WARN);
    signed_outside_of_every_step => shape(widget().run(|run| {
        run.publish_step_mut().started_at = Some(seconds(60));
        run.publish_step_mut().completed_at = Some(seconds(70));
        for step in run.jobs.iter_mut().flat_map(|job| &mut job.steps) {
            if step.name.starts_with("Post") || step.name == "Complete job" {
                step.started_at = Some(seconds(70));
                step.completed_at = Some(seconds(70));
            } else if step.name != "Run npm publish" {
                step.started_at = Some(seconds(-60));
                step.completed_at = Some(seconds(-50));
            }
        }
    })).is(Suspicious).finds(RunPublishStep, PASS).finds(RunSigningStep, FAIL).decided_by(&[RunSigningStep]);
    signed_by_a_generator_in_a_job_of_its_own => shape(Release::honest("generated", "1.0.0")
        .flavour(Flavour::NodeBuilder).run(|run| sign_in(run, "Run actions/download-artifact@v5"))).is(Verified)
        .finds(RunPublishStep, PASS).finds(RunSigningStep, UNKNOWN_STEP);
    signed_at_the_very_edge_of_the_step => shape(widget().run(|run| {
        run.publish_step_mut().started_at = Some(seconds(5));
    })).is(Verified).finds(RunSigningStep, PASS);
    steps_without_times => shape(widget().run(without_times)).is(Attested).finds(RunPublishStep, PASS)
        .finds(RunSigningStep, NOT_RETAINED);
    steps_of_which_there_are_none => shape(widget().run(|run| run.jobs[0].steps.clear())).is(Attested)
        .finds(RunPublishStep, NOT_RETAINED).finds(RunSigningStep, NOT_RETAINED);
    two_hundred_jobs => shape(widget().run(|run| with_test_jobs(run, 199))).is(Verified).finds(RunPublishStep, PASS)
        .finds(RunSigningStep, PASS);
    a_thousand_jobs => shape(widget().run(|run| with_test_jobs(run, 999))).is(Attested).finds(RunConclusion, PASS)
        .finds(RunPublishStep, PENDING).finds(RunSigningStep, PENDING).finds(SrcPrAssociated, NOT_RUN)
        .finds(SrcVersionInCommit, NOT_RUN);
    a_thousand_jobs_seen_twice => shape(widget().run(|run| with_test_jobs(run, 999))).seen_at(minutes(120))
        .is(Verified).finds(RunPublishStep, PASS);
    a_thousand_jobs_of_which_a_page_fails => shape(widget().run(|run| with_test_jobs(run, 999)))
        .where_github(|github| github.answer_for("page=3", Answer::Status(502, None))).seen_at(minutes(120))
        .is(Attested).finds(RunPublishStep, PENDING);
    a_thousand_jobs_of_which_a_page_fails_seen_thrice => shape(widget().run(|run| with_test_jobs(run, 999)))
        .where_github(|github| github.answer_for("page=3", Answer::Status(502, None))).seen_at(minutes(120))
        .seen_at(minutes(180)).is(Verified).finds(RunPublishStep, PASS).finds(RunSigningStep, PASS);
    two_hundred_jobs_of_which_the_last_page_fails => shape(widget().run(|run| with_test_jobs(run, 199)))
        .where_github(|github| github.answer_for("page=2", Answer::Status(502, None))).is(Attested)
        .finds(RunPublishStep, PENDING).finds(RunSigningStep, PENDING);

    // Attempt, actor, fork and gate.
    a_second_attempt => shape(widget().build(|build| build.run_attempt = 2)).is(Verified).finds(RunAttemptSane, PASS);
    a_late_attempt => shape(widget().build(|build| build.run_attempt = 2)
        .run(|run| run.created_at = BASE_TIME - SignedDuration::from_hours(100))).is(Verified)
        .finds(RunAttemptSane, WARN);
    an_attempt_without_a_beginning => shape(widget())
        .where_github(|github| tell_of_the_run(github, |run| run["run_started_at"] = Value::Null)).is(Verified)
        .finds(RunAttemptSane, MALFORMED);
    an_actor_that_is_a_bot => shape(widget().run(|run| run.triggering_actor = Actor::bot("renovate[bot]")))
        .after(habit(3, |_| {})).is(Verified).finds(RunActor, PASS);
    an_actor_that_is_new => shape(widget().run(|run| run.triggering_actor = Actor::user("mallory")))
        .after(habit(1, |_| {})).is(Verified).finds(RunActor, WARN);
    an_actor_that_is_not_named => shape(widget()).where_github(|github| tell_of_the_run(github, |run| {
        run["actor"] = Value::Null;
        run["triggering_actor"] = Value::Null;
    })).is(Verified).finds(RunActor, MALFORMED);
    the_head_of_a_fork => shape(widget().run(|run| run.head_repository = Some((99, "mallory/widget".to_owned()))))
        .is(Suspicious).finds(RunForkHead, FAIL).decided_by(&[RunForkHead]);
    the_head_of_a_fork_that_is_gone => shape(widget().run(|run| run.head_repository = None)).is(Attested)
        .finds(RunForkHead, NOT_RETAINED);
    a_run_whose_repository_is_not_named => shape(widget())
        .where_github(|github| tell_of_the_run(github, |run| run["repository"] = Value::Null)).is(Attested)
        .finds(RunMatchesCert, PASS).finds(RunForkHead, MALFORMED);
    an_approved_deployment => shape(gated().run(approve)).is(Verified).finds(RunEnvironmentGate, PASS)
        .finds(IdEnvironmentMissing, PASS);
    a_rejected_deployment => shape(gated().run(|run| {
        approve(run);
        "rejected".clone_into(&mut run.approvals[0].state);
    })).is(Verified).finds(RunEnvironmentGate, WARN);
    a_deployment_that_nobody_approved => shape(gated()).is(Verified).finds(RunEnvironmentGate, WARN);
    a_deployment_whose_approvals_cannot_be_asked_for => shape(gated().run(approve))
        .where_github(|github| github.answer_for("/approvals", Answer::Status(503, None))).is(Verified)
        .finds(RunEnvironmentGate, UNREACHABLE);
    a_deployment_whose_approvals_may_not_be_asked_for => shape(gated().run(approve))
        .where_github(|github| github.answer_for("/approvals", Answer::Status(429, None))).is(Verified)
        .finds(RunEnvironmentGate, RATE_LIMITED);
    a_deployment_whose_approvals_may_not_be_seen => shape(gated().run(approve))
        .where_github(|github| github.answer_for("/approvals", Answer::Status(403, None))).is(Verified)
        .finds(RunEnvironmentGate, PRIVATE);
    a_deployment_whose_approvals_are_malformed => shape(gated().run(approve))
        .where_github(|github| github.answer_for("/approvals", Answer::Html200)).is(Verified)
        .finds(RunEnvironmentGate, MALFORMED);
    a_deployment_whose_approvals_are_not_asked_for => shape(gated().run(|run| {
        approve(run);
        with_test_jobs(run, 250);
    })).is(Verified).finds(RunEnvironmentGate, NOT_RUN);

    // The repository.
    a_renamed_repository => shape(widget()).where_github(|github| github.rename(REPOSITORY, "acme/gadget")).is(Verified)
        .finds(SrcRepoState, Outcome::Warn(Some(Shade::Renamed))).finds(IdSourceRepo, PASS).finds(SrcCommitExists, PASS);
    a_renamed_repository_whose_old_name_somebody_took => shape(widget()).where_github(|github| {
        github.rename(REPOSITORY, "acme/gadget");
        github.repositories.push(testbed::Repository::new(1, REPOSITORY, 2, BASE_TIME));
    }).is(Verified).finds(RunExists, PASS).finds(SrcRepoState, Outcome::Warn(Some(Shade::Renamed)));
    a_repository_that_has_since_taken_the_name_in_the_manifest => shape(widget()
        .package_json(|package| package["repository"] = json!("github:acme/gadget")))
        .where_github(|github| github.rename(REPOSITORY, "acme/gadget")).is(Verified)
        .finds(IdSourceRepo, Outcome::Warn(Some(Shade::Renamed)));
    an_archived_repository => shape(widget())
        .where_github(|github| github.repository_mut(REPOSITORY).archived = true).is(Verified)
        .finds(SrcRepoState, Outcome::Warn(Some(Shade::Archived)));
    a_repository_that_cannot_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/repositories/", Answer::Status(503, None))).is(Attested)
        .finds(SrcRepoState, UNREACHABLE).finds(RunExists, PASS);
    a_repository_that_may_not_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/repositories/", Answer::Status(429, None))).is(Attested)
        .finds(SrcRepoState, RATE_LIMITED);
    another_repository_in_the_answer => shape(widget())
        .where_github(|github| github.edit("/repositories/", |document| document["id"] = json!(1))).is(Attested)
        .finds(SrcRepoState, MALFORMED);

    // The commit, and how it lies in the repository.
    a_commit_that_was_pushed_away => shape(from_branch("main")).where_github(|github| {
        github.repository_mut(REPOSITORY).withdraw(&build().commit);
    }).is(Attested).finds(SrcCommitExists, WARN).finds(SrcCommitReachable, NOT_RETAINED)
        .finds(SrcCommitSignature, NOT_RETAINED).finds(SrcAuthorCommitterSpoof, NOT_RETAINED)
        .finds(SrcCommitToPublishAge, NOT_RETAINED);
    a_commit_that_cannot_be_asked_for => shape(widget()).where_github(|github| {
        github.answer_for("/pulls", Answer::Normal);
        github.answer_for("/commits/", Answer::Status(503, None));
    }).is(Attested).finds(SrcCommitExists, UNREACHABLE).finds(SrcCommitReachable, UNREACHABLE)
        .finds(SrcCommitSignature, UNREACHABLE).finds(SrcAuthorCommitterSpoof, UNREACHABLE)
        .finds(SrcCommitToPublishAge, UNREACHABLE);
    a_commit_that_may_not_be_asked_for => shape(widget()).where_github(|github| {
        github.answer_for("/commits/", Answer::Status(429, None));
    }).is(Attested).finds(SrcCommitExists, RATE_LIMITED).finds(SrcPrAssociated, RATE_LIMITED);
    another_commit_in_the_answer => shape(widget()).where_github(|github| {
        github.edit("/commits/", |document| {
            if document.get("sha").is_some() {
                document["sha"] = json!("0".repeat(40));
            }
        });
    }).is(Attested).finds(SrcCommitExists, MALFORMED).finds(SrcCommitReachable, MALFORMED);
    a_certificate_that_names_no_commit => shape(widget().certificate(|claims| {
        claims.source_repository_digest = None;
        claims.commit_raw = None;
    })).is(Indeterminate).finds(SrcCommitExists, UNSUPPORTED).finds(SrcGitHeadMatches, NO_ATTESTATION)
        .finds(SrcCommitSignature, UNSUPPORTED).finds(SrcPrAssociated, NOT_RUN);
    a_certificate_that_names_no_ref => shape(widget().certificate(|claims| {
        claims.source_repository_ref = None;
        claims.ref_raw = None;
    })).is(Verified).finds(SrcRefExists, UNSUPPORTED).finds(IdRefNovel, NO_ATTESTATION);
    a_certificate_that_names_no_trigger => shape(widget().certificate(|claims| {
        claims.build_trigger = None;
        claims.trigger_raw = None;
    })).is(Verified).finds(IdTriggerNovel, NO_ATTESTATION).finds(RunMatchesCert, PASS);
    a_commit_on_the_default_branch => shape(from_branch("main")).is(Verified).finds(SrcCommitReachable, PASS)
        .finds(SrcRefExists, PASS).finds(SrcTagMatchesVersion, NO_HABIT);
    a_commit_on_a_default_branch_of_another_name => shape(from_branch("trunk").repository(|repository| {
        "trunk".clone_into(&mut repository.default_branch);
    })).is(Verified).finds(SrcCommitReachable, PASS).finds(SrcRefExists, PASS);
    a_commit_that_a_tag_alone_leads_to => shape(from_a_lonely_branch("release-1.2.3").repository(|repository| {
        repository.tag("v1.2.3", &build().commit);
        repository.branches.remove("release-1.2.3");
    })).is(Verified).finds(SrcCommitReachable, PASS).finds(SrcRefExists, NOT_RUN).finds(SrcTagMatchesVersion, PASS);
    a_commit_on_a_branch_of_a_release_line => shape(from_a_lonely_branch("1.x")).is(Verified)
        .finds(SrcCommitReachable, PASS).finds(SrcRefExists, PASS);
    a_commit_on_a_branch_that_was_released_from => shape(from_a_lonely_branch("ship"))
        .after(habit(1, |past| past.r#ref = Some("refs/heads/ship".to_owned()))).is(Verified)
        .finds(SrcCommitReachable, PASS);
    a_commit_on_a_branch_of_a_moment => shape(from_a_lonely_branch("snapshot-1")).is(Verified)
        .finds(SrcCommitReachable, WARN).finds(SrcRefExists, PASS);
    a_commit_on_a_branch_that_is_gone => shape(from_a_lonely_branch("snapshot-1"))
        .where_github(|github| github.delete_branch(REPOSITORY, "snapshot-1")).is(Verified)
        .finds(SrcCommitReachable, WARN).finds(SrcRefExists, WARN);
    a_commit_of_a_branch_that_went_elsewhere => shape(from_a_lonely_branch("next").repository(|repository| {
        let first = repository.branches["main"].clone();
        repository.branches.insert("next".to_owned(), first);
    })).is(Verified).finds(SrcCommitReachable, WARN).finds(SrcRefExists, WARN);
    a_commit_that_was_squashed => shape(from_branch("topic").repository(into_main))
        .where_github(|github| github.delete_branch(REPOSITORY, "topic")).is(Verified)
        .finds(SrcCommitReachable, Outcome::Warn(Some(Shade::SquashMerged))).finds(SrcPrAssociated, PASS);
    a_commit_of_a_fork => shape(from_a_lonely_branch("main").repository(|repository| {
        let commit = repository.withdraw(&build().commit).unwrap();
        repository.commits.insert(commit.sha.clone(), commit);
    })).is(Verified).finds(SrcCommitExists, PASS).finds(SrcCommitReachable, WARN);
    a_commit_of_a_pull_request => shape(widget().build(|build| {
        "refs/pull/7/merge".clone_into(&mut build.git_ref);
        build.workflow_ref.clone_from(&build.git_ref);
        "pull_request".clone_into(&mut build.event);
    })).is(Verified).finds(SrcCommitReachable, WARN).finds(SrcRefExists, NOT_RUN).finds(IdTriggerNovel, FIRST_SEEN);
    a_commit_whose_place_cannot_be_asked_for => shape(from_a_lonely_branch("main"))
        .where_github(|github| github.answer_for("/compare/", Answer::Status(503, None))).is(Attested)
        .finds(SrcCommitReachable, UNREACHABLE).finds(SrcRefExists, UNREACHABLE);
    a_ref_that_may_not_be_asked_for => shape(from_a_lonely_branch("snapshot-1"))
        .where_github(|github| github.answer_for("/compare/snapshot", Answer::Status(429, None))).is(Attested)
        .finds(SrcCommitReachable, UNREACHABLE).finds(SrcRefExists, RATE_LIMITED);
    a_ref_that_is_malformed => shape(from_a_lonely_branch("snapshot-1"))
        .where_github(|github| github.answer_for("/compare/snapshot", Answer::Html200)).is(Attested)
        .finds(SrcRefExists, MALFORMED);

    // Tags.
    a_tag_that_leads_elsewhere => shape(widget().repository(|repository| {
        repository.tag("v1.2.3", &"0".repeat(40));
    })).is(Verified).finds(SrcTagMatchesVersion, NO_HABIT).finds(SrcRefExists, WARN).finds(SrcCommitReachable, PASS);
    a_tag_that_leads_elsewhere_unlike_those_before => shape(widget().repository(|repository| {
        repository.tag("v1.2.3", &"0".repeat(40));
    })).after(habit(3, |_| {})).is(Verified).finds(SrcTagMatchesVersion, WARN).finds(SrcRefExists, WARN);
    a_missing_tag_where_there_always_was_one => with_tagged_versions(|release| {
        release.repository(|repository| repository.tags.retain(|tag| tag.name != "v1.2.3"))
    }).is(Verified).finds(SrcTagMatchesVersion, WARN);
    a_missing_tag_that_may_still_come => with_tagged_versions(|release| {
        release.repository(|repository| repository.tags.retain(|tag| tag.name != "v1.2.3"))
    }).looked_at(minutes(5)).is(Attested).finds(SrcTagMatchesVersion, PENDING);
    a_hundred_tags_of_something_else => shape(from_branch("main").repository(|repository| {
        for index in 0..100 {
            repository.tag(&format!("other@1.0.{index}"), &build().commit);
        }
    })).is(Verified).finds(SrcTagMatchesVersion, NOT_RUN);
    tags_that_are_gone => shape(widget()).where_github(|github| github.answer_for("/tags?", Answer::Status(404, None)))
        .is(Attested).finds(SrcTagMatchesVersion, NOT_RETAINED);
    tags_that_cannot_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/tags?", Answer::Status(503, None))).is(Attested)
        .finds(SrcTagMatchesVersion, UNREACHABLE);
    tags_that_may_not_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/tags?", Answer::Status(429, None))).is(Attested)
        .finds(SrcTagMatchesVersion, RATE_LIMITED);
    tags_that_may_not_be_seen => shape(widget())
        .where_github(|github| github.answer_for("/tags?", Answer::Status(403, None))).is(Attested)
        .finds(SrcTagMatchesVersion, PRIVATE);
    tags_that_are_malformed => shape(widget()).where_github(|github| github.answer_for("/tags?", Answer::Html200))
        .is(Attested).finds(SrcTagMatchesVersion, MALFORMED);

    // Who made the commit, and when.
    a_head_of_another_commit_in_the_metadata => shape(widget()
        .metadata(|manifest| manifest["gitHead"] = json!("0".repeat(40)))).is(Verified).finds(SrcGitHeadMatches, WARN);
    no_head_in_the_metadata => shape(widget().metadata(|manifest| {
        manifest.as_object_mut().unwrap().remove("gitHead");
    })).is(Verified).finds(SrcGitHeadMatches, NO_ATTESTATION);
    an_unsigned_commit => shape(widget().commit(testbed::github::Commit::unsigned)).is(Verified)
        .finds(SrcCommitSignature, NO_HABIT);
    an_unsigned_commit_where_all_were_signed => shape(widget().commit(testbed::github::Commit::unsigned))
        .after(habit(3, |_| {})).is(Verified).finds(SrcCommitSignature, WARN);
    an_unsigned_commit_where_one_was_not_signed => shape(widget().commit(testbed::github::Commit::unsigned))
        .after(habit(3, |past| past.commit_verified = Some(past.version != "1.0.1"))).is(Verified)
        .finds(SrcCommitSignature, NO_HABIT);
    a_commit_without_a_verification => shape(widget()).where_github(|github| github.edit("/commits/", |document| {
        if let Some(commit) = document.get_mut("commit") {
            commit["verification"] = Value::Null;
        }
    })).is(Attested).finds(SrcCommitSignature, MALFORMED);
    a_commit_of_an_unconfigured_machine => shape(widget()
        .commit(|commit| commit.committer = somebody("root", "root@localhost"))).is(Verified)
        .finds(SrcAuthorCommitterSpoof, WARN);
    a_commit_by_a_bots_name => shape(widget().commit(|commit| {
        commit.unsigned();
        commit.author = somebody("dependabot[bot]", "49699333+dependabot[bot]@users.noreply.github.com");
        commit.committer = somebody("mallory", "mallory@corp.example");
    })).is(Verified).finds(SrcAuthorCommitterSpoof, WARN);
    a_commit_without_a_pull_request => shape(widget().repository(|repository| repository.pulls.clear())).is(Verified)
        .finds(SrcPrAssociated, NO_HABIT);
    a_commit_without_a_pull_request_where_all_had_one => shape(widget()
        .repository(|repository| repository.pulls.clear())).after(habit(3, |_| {})).is(Verified)
        .finds(SrcPrAssociated, WARN);
    a_commit_whose_pull_requests_cannot_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/pulls?", Answer::Status(503, None))).is(Verified)
        .finds(SrcPrAssociated, UNREACHABLE);
    a_commit_whose_pull_requests_are_malformed => shape(widget())
        .where_github(|github| github.answer_for("/pulls?", Answer::Html200)).is(Verified)
        .finds(SrcPrAssociated, MALFORMED);
    a_workflow_changed_minutes_before => shape(widget().commit(|commit| {
        commit.at = minutes(-4);
        commit.files.push((build().workflow_path, "modified".to_owned()));
    })).is(Verified).finds(SrcCommitToPublishAge, WARN);
    a_workflow_changed_in_time => shape(widget().commit(|commit| {
        commit.at = minutes(-6);
        commit.files.push((build().workflow_path, "modified".to_owned()));
    })).is(Verified).finds(SrcCommitToPublishAge, PASS);
    a_commit_minutes_before => shape(widget().commit(|commit| commit.at = minutes(-1))).is(Verified)
        .finds(SrcCommitToPublishAge, PASS);
    a_commit_without_a_time => shape(widget()).where_github(|github| github.edit("/commits/", |document| {
        if let Some(commit) = document.get_mut("commit") {
            commit["committer"]["date"] = Value::Null;
        }
    })).is(Attested).finds(SrcCommitToPublishAge, MALFORMED);
    a_commit_of_another_version => shape(widget().commit(|commit| {
        commit.package_jsons.insert("package.json".to_owned(), json!({"name": NAME, "version": "1.2.2"}));
    })).is(Verified).finds(SrcVersionInCommit, WARN);
    a_commit_with_a_placeholder => shape(widget().commit(|commit| {
        commit.package_jsons.insert("package.json".to_owned(), json!({"name": NAME, "version": "0.0.0-development"}));
    })).is(Verified).finds(SrcVersionInCommit, NO_HABIT);
    a_commit_of_another_package => shape(widget().commit(|commit| {
        commit.package_jsons.insert("package.json".to_owned(), json!({"name": "root", "version": "1.0.0"}));
    })).is(Verified).finds(SrcVersionInCommit, NO_ATTESTATION);
    a_commit_without_a_manifest => shape(widget().commit(|commit| commit.package_jsons.clear())).is(Verified)
        .finds(SrcVersionInCommit, NO_ATTESTATION);
    a_manifest_in_the_packages_folder => shape(widget().package_json(|package| {
        package["repository"] = json!({"type": "git", "url": "git+https://github.com/acme/widget.git",
            "directory": "packages/widget/"});
    })).is(Verified).finds(SrcVersionInCommit, PASS).finds(IdSourceRepo, PASS);
    a_manifest_outside_of_the_repository => shape(widget().package_json(|package| {
        package["repository"] = json!({"type": "git", "url": "git+https://github.com/acme/widget.git",
            "directory": "../../../user?x=#y"});
    })).is(Verified).finds(SrcVersionInCommit, NO_ATTESTATION);
    a_manifest_that_cannot_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/contents/", Answer::Status(503, None))).is(Verified)
        .finds(SrcVersionInCommit, UNREACHABLE);
    a_manifest_that_is_malformed => shape(widget())
        .where_github(|github| github.answer_for("/contents/", Answer::Html200)).is(Verified)
        .finds(SrcVersionInCommit, MALFORMED);

    // Unlike earlier releases.
    a_trigger_that_is_new => shape(from_branch("main")).after(habit(3, |_| {})).is(Verified)
        .finds(IdTriggerNovel, WARN).finds(IdRefNovel, WARN);
    a_trigger_that_is_new_after_two => shape(from_branch("main")).after(habit(2, |_| {})).is(Verified)
        .finds(IdTriggerNovel, FIRST_SEEN).finds(IdRefNovel, FIRST_SEEN);
    a_comment_that_never_released => shape(widget().build(|build| "issue_comment".clone_into(&mut build.event)))
        .after(habit(3, |_| {})).is(Suspicious).finds(IdTriggerNovel, FAIL).decided_by(&[IdTriggerNovel]);
    a_comment_as_always => shape(widget().build(|build| "issue_comment".clone_into(&mut build.event)))
        .after(habit(3, |past| past.trigger = Some("issue_comment".to_owned()))).is(Verified)
        .finds(IdTriggerNovel, PASS);
    a_ref_of_a_first_line => shape(from_a_lonely_branch("release/1.x"))
        .after(habit(3, |past| past.trigger = Some("push".to_owned()))).is(Verified).finds(IdTriggerNovel, PASS)
        .finds(IdRefNovel, WARN);
    a_ref_of_another_line => shape(from_a_lonely_branch("release/1.x")).after(habit(3, |past| {
        past.trigger = Some("push".to_owned());
        past.r#ref = Some("refs/heads/2.x".to_owned());
    })).is(Verified).finds(IdTriggerNovel, PASS).finds(IdRefNovel, PASS);
    a_default_branch_of_another_name => shape(from_branch("main")).after(habit(3, |past| {
        past.trigger = Some("push".to_owned());
        past.r#ref = Some("refs/heads/master".to_owned());
    })).is(Verified).finds(IdRefNovel, PASS);
    a_prerelease_after_releases => shape(Release::honest(NAME, "2.0.0-next.0")
        .build(|build| build.from_branch("next"))).after(habit(3, |past| past.trigger = Some("push".to_owned())))
        .is(Verified).finds(IdRefNovel, FIRST_SEEN);
    a_branch_of_a_moment_with_a_new_trigger => shape(from_a_lonely_branch("snapshot-1")).after(habit(3, |_| {}))
        .is(Suspicious).finds(SrcCommitReachable, WARN)
        .decided_by(&[IdTriggerNovel, IdRefNovel, IdRefDisttagMismatch, SrcCommitReachable]);
    an_environment_that_is_missing => shape(widget()).after(habit(3, |past| past.environment = Some("npm".to_owned())))
        .is(Verified).finds(IdEnvironmentMissing, WARN);
    an_environment_that_was_there_twice => shape(widget())
        .after(habit(2, |past| past.environment = Some("npm".to_owned()))).is(Verified)
        .finds(IdEnvironmentMissing, NO_HABIT);
    a_history_of_releases_that_nobody_accepted => shape(from_branch("main"))
        .after(habit(3, |past| past.accepted = false)).is(Verified).finds(IdTriggerNovel, FIRST_SEEN)
        .finds(IdRefNovel, FIRST_SEEN).finds(RunActor, FIRST_SEEN);
    a_history_of_later_releases => shape(from_branch("main"))
        .after(habit(3, |past| past.published_at = minutes(10))).is(Verified).finds(IdTriggerNovel, FIRST_SEEN);
}

#[tokio::test]
async fn what_was_seen_of_another_run_is_not_carried_over() {
    let fetch = ScenarioFetch::new(std::sync::Arc::new(Scenario::new().release(widget())));
    let silent = fetch
        .clone()
        .silencing(Subject::OnDefaultBranch, UnavailableReason::Unreachable)
        .silencing(Subject::Tags, UnavailableReason::Unreachable);
    let (judge, upstreams) = (judge(), no_address());
    let coordinate = "npm:@acme/widget@1.2.3".parse().unwrap();
    let first = look(&judge, &fetch, &upstreams, &coordinate, minutes(2)).await.unwrap();
    let mut of_another = first.clone();
    let run = of_another
        .observations
        .iter_mut()
        .find(|seen| seen.subject == Subject::Run);
    run.unwrap().url.push('1');
    for (previous, is_carried) in [(first, true), (of_another, false)] {
        let previous = Some(&previous);
        let again = look_again(&judge, &silent, &upstreams, &coordinate, minutes(20), previous, |_| {
            Vec::new()
        });
        let again = again.await.unwrap();
        for subject in [Subject::OnDefaultBranch, Subject::Tags] {
            let seen = again.observation(subject).unwrap();
            assert_eq!(seen.success().is_some(), is_carried, "{subject:?}");
        }
    }
}
