//! What the path once got wrong: each test is named by what is right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hekate::attestation::TrustOrigin;
use hekate::check::CheckId::{RunExists, SrcCommitReachable};
use hekate::check::{Outcome, Shade};
use hekate::verdict::Status::{Attested, Indeterminate, Mismatch, Suspicious, Verified};
use jiff::SignedDuration;
use serde_json::json;
use testbed::github::Run;
use testbed::{Answer, BASE_TIME, Build, Format, GitHub, Release, World};

use crate::forge::{answer_for_the_run, habit, minutes, seconds, sign_in, with_test_jobs};
use crate::shape::{Shape, shape};

fn widget() -> Release {
    Release::honest("@acme/widget", "1.2.3")
}

async fn holds(name: &str, shape: Shape) {
    shape.meets(name, &shape.judged_without_sockets().await);
}

/// A log that came after the material was compiled in is no forgery: its promise is refused under another error of the
/// Sigstore verifier than an unknown log has.
#[tokio::test]
async fn a_promise_of_a_log_that_embedded_material_lacks_cannot_be_judged() {
    let release = widget().provenance(|plan| plan.parties.log = World::foreign());
    holds(
        "promise",
        shape(release).trusting(TrustOrigin::Embedded).is(Indeterminate),
    )
    .await;
}

/// The same for the second generation of the log, of which there is a new one every year.
#[tokio::test]
async fn a_proof_of_a_log_that_embedded_material_lacks_cannot_be_judged() {
    let release = widget()
        .bundle_format(Format::rekor_v2())
        .provenance(|plan| plan.parties.log = World::foreign());
    holds(
        "proof",
        shape(release).trusting(TrustOrigin::Embedded).is(Indeterminate),
    )
    .await;
}

/// The same for a certificate transparency log.
#[tokio::test]
async fn a_certificate_log_that_embedded_material_lacks_cannot_be_judged() {
    let release = widget().provenance(|plan| plan.parties.ct_log = World::foreign());
    holds(
        "certificate log",
        shape(release).trusting(TrustOrigin::Embedded).is(Indeterminate),
    )
    .await;
}

/// A clock that is behind by less than the policy's skew accuses nobody. A look also begins before the answers come, so
/// that a version may be logged in between.
#[tokio::test]
async fn a_clock_that_is_a_little_behind_accuses_nobody() {
    let behind = BASE_TIME - SignedDuration::from_secs(5);
    let shape = shape(widget()).looked_at(behind);
    let judged = shape.judged_without_sockets().await.unwrap();
    assert!(
        matches!(judged.verdict.status, Verified | Attested | Indeterminate),
        "{} by {:?}",
        judged.verdict.status,
        judged.verdict.decided_by
    );
}

/// Unrecognised attestations are listed and ignored, whatever their shape.
#[tokio::test]
async fn an_unrecognised_item_without_a_bundle_changes_nothing() {
    let release = widget().attestations(|list| {
        list.push(json!({"predicateType": "https://example.com/review/v1", "bundleUrl": "https://example.com/1"}));
    });
    holds("item", shape(release).is(Verified)).await;
}

/// A forgery is told by its signature, whatever the statement says that it does not cover.
#[tokio::test]
async fn a_payload_that_is_not_signed_is_forged_even_if_it_is_not_understood() {
    let release = widget().publish_bundle(|bundle| {
        let payload = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"name": "pkg:npm/%40acme/widget@1.2.3", "digest": "00"}],
            "predicateType": testbed::attestation::PUBLISH,
            "predicate": {},
        });
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(payload.to_string()));
    });
    holds("payload", shape(release).is(Mismatch)).await;
}

/// The same, recorded.
#[tokio::test]
async fn every_recorded_forgery_is_a_mismatch() {
    let Some(corpus) = crate::corpus::corpus() else { return };
    for recording in corpus.responses().unwrap() {
        let judged = crate::corpus::judged(&corpus, &recording, hekate_tests::corpus::NPM_KEYS).await;
        assert!(
            recording.expected.is_met_by(judged.verdict.status),
            "{}",
            recording.name
        );
    }
}

/// The build type that npm's command line wrote between `gha@v0` and `gha/v2`, as in a recording of March 2023.
#[tokio::test]
async fn the_build_type_of_early_2023_is_known() {
    let release = Release::honest_of_2023("pioneer", "1.0.0")
        .statement(|statement| statement["predicate"]["buildType"] = json!("https://github.com/npm/cli/gha@v1"));
    holds("build type", shape(release).is(Attested)).await;
}

/// An entry without evidence must not ride along beside one that has it, nor lend its index to the verdict.
#[tokio::test]
async fn a_log_entry_without_proof_or_promise_is_refused_beside_a_good_one() {
    let release = widget().bundle(|bundle| {
        let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
        let mut bare = entries[0].clone();
        bare.as_object_mut().unwrap().remove("inclusionProof");
        bare.as_object_mut().unwrap().remove("inclusionPromise");
        bare["logIndex"] = json!("424242");
        entries.insert(0, bare);
    });
    holds("bare entry", shape(release).is(Mismatch)).await;
}

/// Capitals are part of a name: an old package is not judged under another's.
#[tokio::test]
async fn a_package_with_capitals_is_attested_under_its_own_name() {
    holds("capitals", shape(Release::honest("JSONStream", "1.0.0")).is(Verified)).await;
}

/// Junk in the place of the registry's signature does not make metadata that of the registry.
#[tokio::test]
async fn absence_beside_a_signature_by_an_unknown_key_is_not_proved() {
    let release = widget().unattested().metadata(|manifest| {
        manifest["dist"]["signatures"] = json!([{ "keyid": "SHA256:x", "sig": "AAAA" }]);
    });
    holds("junk signature", shape(release).is(Indeterminate)).await;
}

fn run_id() -> u64 {
    Build::for_package("@acme/widget", "1.2.3").run_id
}

fn document(bytes: &[u8]) -> Answer {
    Answer::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        bytes: bytes.to_vec(),
    }
}

/// What GitHub says of the first hundred jobs of an attempt.
fn jobs_of_attempt(shape: &Shape, attempt: u32) -> Answer {
    let path = format!(
        "/repos/acme/widget/actions/runs/{}/attempts/{attempt}/jobs?per_page=100",
        run_id()
    );
    document(shape.scenario().github_response(&path).bytes().unwrap())
}

fn well_again(github: &mut GitHub) {
    github.answer = Answer::Normal;
    github.answers.clear();
}

async fn accuses_nobody(name: &str, shape: Shape) {
    let judged = shape.judged_without_sockets().await.unwrap();
    assert!(
        matches!(judged.verdict.status, Verified | Attested),
        "{name}: {} by {:?}",
        judged.verdict.status,
        judged.verdict.decided_by
    );
}

/// Two names that are one repository stay two names while nobody can be asked.
#[tokio::test]
async fn an_outage_does_not_make_two_repositories_of_a_renamed_one() {
    let release = widget().package_json(|package| package["repository"] = json!("github:acme/gadget"));
    let shape = shape(release).where_github(|github| {
        github.rename("acme/widget", "acme/gadget");
        github.answer = Answer::Status(503, None);
    });
    accuses_nobody("outage", shape).await;
}

/// A manifest keeps the name that its repository had before it was renamed, and GitHub leads from there to the same id.
#[tokio::test]
async fn a_manifest_with_a_former_name_of_the_repository_accuses_nobody() {
    let release = widget().package_json(|package| package["repository"] = json!("github:acme/former"));
    let shape = shape(release).where_github(|github| {
        let repository = github.repository_mut("acme/widget");
        repository.former_names.push("acme/former".to_owned());
    });
    accuses_nobody("former name", shape).await;
}

/// Only a 404 says that there is no such run; a later one does not become earlier by another refusal before it.
#[tokio::test]
async fn a_strange_status_is_not_the_first_time_that_a_run_was_missed() {
    for status in [400, 418, 451] {
        let shape = shape(widget())
            .where_github(|github| answer_for_the_run(github, Answer::Status(status, None)))
            .seen_at(minutes(20))
            .then(|github| {
                well_again(github);
                github.purge_run(run_id());
            });
        accuses_nobody(&status.to_string(), shape).await;
    }
}

/// The jobs of another attempt, which a cache on the way may serve, are not those of this one.
#[tokio::test]
async fn the_jobs_of_another_attempt_accuse_nobody() {
    let shape = shape(widget().build(|build| build.run_attempt = 2));
    let others = jobs_of_attempt(&shape, 1);
    let shape = shape.where_github(|github| github.answer_for("/jobs?", others));
    accuses_nobody("another attempt", shape).await;
}

/// A page that is served twice does not stand for the one that is missing.
#[tokio::test]
async fn a_page_of_jobs_that_comes_twice_accuses_nobody() {
    let shape = shape(widget().run(|run| with_test_jobs(run, 100)));
    let first = jobs_of_attempt(&shape, 1);
    let shape = shape.where_github(|github| github.answer_for("page=2", first));
    accuses_nobody("page", shape).await;
}

/// A list of no jobs, or a job without its steps, is what GitHub has forgotten, and not what did not happen.
#[tokio::test]
async fn jobs_that_are_not_shown_accuse_nobody() {
    let nothing = || document(br#"{"total_count":0,"jobs":[]}"#);
    let without = shape(widget())
        .after(habit(3, |_| {}))
        .where_github(|github| github.answer_for("/jobs?", nothing()));
    accuses_nobody("no jobs", without).await;
    let failed =
        shape(widget().run(Run::fail_after_publish)).where_github(|github| github.answer_for("/jobs?", nothing()));
    accuses_nobody("no jobs of a run that failed", failed).await;
    let bare = widget().run(|run| {
        "build".clone_into(&mut run.jobs[0].name);
        run.jobs[0].steps.clear();
    });
    accuses_nobody("no steps", shape(bare).after(habit(3, |_| {}))).await;
}

/// A run that was under way is looked at again, even if nobody answers just then.
#[tokio::test]
async fn a_run_that_was_under_way_is_looked_at_again_after_an_outage() {
    let shape = shape(widget().run(|run| run.in_progress_at(seconds(4))))
        .seen_at(seconds(30))
        .looked_at(minutes(15))
        .then(|github| github.answer = Answer::Status(503, None));
    let verdict = shape.judged_without_sockets().await.unwrap().verdict;
    assert_eq!(verdict.status, Attested);
    assert!(verdict.next_look_at.is_some());
}

/// A page for people in the place of the run is an outage like any other.
#[tokio::test]
async fn a_snapshot_stands_in_for_an_answer_that_is_no_run() {
    let shape = shape(widget())
        .seen_at(minutes(120))
        .then(|github| github.answer = Answer::Html200)
        .is(Verified)
        .finds(RunExists, Outcome::Pass(Some(Shade::Snapshot)));
    holds("page for people", shape).await;
}

/// What was seen of a run is kept, whatever GitHub says later.
#[tokio::test]
async fn a_snapshot_outlives_an_answer_that_is_no_run() {
    let shape = shape(widget());
    let scenario = shape.scenario();
    let (judge, coordinate) = (shape.judge(), shape.coordinate());
    let fetch = hekate_tests::fetch::ScenarioFetch::new(shape.scenario());
    let mut recollection = hekate_tests::recollection::Recollection::default();
    let mut statuses = Vec::new();
    for (minute, answer) in [(120, Answer::Normal), (180, Answer::Html200), (240, Answer::Normal)] {
        scenario.github().answer = answer;
        let upstreams = hekate_tests::path::no_address();
        let looked = recollection
            .look(&judge, &fetch, &upstreams, &coordinate, minutes(minute))
            .await;
        statuses.push(looked.unwrap().verdict.status);
        if minute == 180 {
            scenario.github().purge_run(run_id());
        }
    }
    assert_eq!(statuses.last(), Some(&Verified), "{statuses:?}");
}

/// What this verifier did not ask for lack of questions is not unusual.
#[tokio::test]
async fn a_ref_that_was_not_asked_about_is_no_warning() {
    let release = widget()
        .build(|build| build.from_branch("1.x"))
        .repository(|repository| repository.pulls.clear())
        .run(|run| with_test_jobs(run, 250));
    let judged = shape(release).judged_without_sockets().await.unwrap();
    let outcome = crate::shape::outcome_of(&judged, SrcCommitReachable);
    assert!(!matches!(outcome, Outcome::Warn(_)), "{outcome:?}");
}

/// A release from a squashed branch stays harmless if it has a deployment environment besides.
#[tokio::test]
async fn a_deployment_does_not_hide_the_pull_request_that_was_squashed() {
    let release = widget().build(|build| {
        build.from_branch("topic");
        build.environment = Some("npm".to_owned());
    });
    let release = release.repository(crate::forge::into_main);
    let shape = shape(release)
        .where_github(|github| github.delete_branch("acme/widget", "topic"))
        .is(Verified)
        .finds(SrcCommitReachable, Outcome::Warn(Some(Shade::SquashMerged)));
    holds("squashed", shape).await;
}

/// A throw-away branch is one, whether or not GitHub can be kept from saying so.
#[tokio::test]
async fn silence_about_a_ref_does_not_make_a_release_verified() {
    let release = || widget().build(|build| build.from_branch("snapshot-1"));
    let loud = shape(release()).after(habit(3, |_| {}));
    assert_eq!(loud.judged_without_sockets().await.unwrap().verdict.status, Suspicious);
    let silent = shape(release())
        .after(habit(3, |_| {}))
        .where_github(|github| github.answer_for("/compare/snapshot", Answer::Status(503, None)));
    let verdict = silent.judged_without_sockets().await.unwrap().verdict;
    assert_ne!(verdict.status, Verified, "{:?}", verdict.decided_by);
}

/// A package that names another repository than was built is no better for a repository that may not be seen.
#[tokio::test]
async fn a_repository_that_may_not_be_seen_does_not_make_an_impostor_verified() {
    let impostor = || widget().package_json(|package| package["repository"] = json!("github:well-known/widget"));
    let loud = shape(impostor());
    assert_eq!(loud.judged_without_sockets().await.unwrap().verdict.status, Suspicious);
    for status in [403, 451] {
        let refused = move |github: &mut GitHub| github.answer_for("/repositories/", Answer::Status(status, None));
        let silent = shape(impostor()).where_github(refused);
        let verdict = silent.judged_without_sockets().await.unwrap().verdict;
        assert_ne!(verdict.status, Verified, "{status}: {:?}", verdict.decided_by);
    }
}

/// A tag that is missed is not excused by whoever may not see the tags.
#[tokio::test]
async fn tags_that_may_not_be_seen_do_not_make_a_release_verified() {
    let elsewhere = || {
        let release = widget()
            .published_at(BASE_TIME - SignedDuration::from_hours(24))
            .repository(|repository| repository.tag("v1.2.3", &"0".repeat(40)));
        shape(release).after(habit(3, |past| past.published_at -= SignedDuration::from_hours(48)))
    };
    let loud = elsewhere();
    assert_eq!(loud.judged_without_sockets().await.unwrap().verdict.status, Suspicious);
    let silent = elsewhere().where_github(|github| github.answer_for("/tags?", Answer::Status(403, None)));
    let verdict = silent.judged_without_sockets().await.unwrap().verdict;
    assert_ne!(verdict.status, Verified, "{:?}", verdict.decided_by);
}

/// A pull request that was merged into a branch of its own makes that branch no better: whoever can push can merge.
#[tokio::test]
async fn a_pull_request_that_was_merged_into_a_throw_away_branch_excuses_nothing() {
    let shape = shape(widget().build(|build| build.from_branch("snapshot-1")))
        .after(habit(3, |_| {}))
        .where_github(|github| github.delete_branch("acme/widget", "snapshot-1"))
        .is(Suspicious);
    holds("throw-away branch", shape).await;
}

/// Where the step that publishes is known, and every release was signed in it, a signature in another step is not how
/// this package is released.
#[tokio::test]
async fn a_signature_in_a_build_step_is_not_verified_where_all_were_made_in_the_publish_step() {
    let shape = shape(widget().run(|run| sign_in(run, "Build"))).after(habit(5, |_| {}));
    let verdict = shape.judged_without_sockets().await.unwrap().verdict;
    assert_ne!(verdict.status, Verified);
}

/// No name that GitHub gives leads a question out of the repository.
#[tokio::test]
async fn a_branch_with_parents_in_its_name_does_not_lead_out_of_the_repository() {
    let shape = shape(widget()).where_github(|github| {
        github.edit("/repositories/", |document| {
            document["default_branch"] = json!("../../../user");
        });
    });
    shape.judged_without_sockets().await.unwrap();
    for path in shape.scenario().github().attempts.keys() {
        let is_inside = path.starts_with("/repos/acme/widget/") || path.starts_with("/repositories/");
        assert!(is_inside, "{path}");
    }
}
