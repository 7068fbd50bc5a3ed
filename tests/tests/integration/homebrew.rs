//! Bottles of Homebrew, honest and bent, over generated supply chains.

use std::collections::BTreeSet;
use std::sync::Arc;

use hekate::adapters::http::{HttpFetch, HttpFetchConfig, Upstream};
use hekate::check::{CheckId, Outcome, Shade};
use hekate::ecosystem::{LookFault, Upstreams};
use hekate::ports::Memory;
use hekate::verdict::Status;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{self, Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::github::{Run, Snappy};
use testbed::{Answer, Attesting, Bottle, Claims, Formula, Scenario, moment};
use url::Url;

use crate::shape::{judge, listed, now};

const WGET: &str = "pkg:brew/wget@1.25.0";

fn wget() -> Formula {
    Formula::honest("wget", "1.25.0")
}

/// Looks at a coordinate for the first time; the saved case gives the same verdict again.
async fn first_look(scenario: Scenario, coordinate: &str) -> Result<Judged, LookFault> {
    let judge = judge();
    let fetch = ScenarioFetch::new(Arc::new(scenario));
    let coordinate = coordinate.parse().unwrap();
    let dossier = path::look(&judge, &fetch, &no_address(), &coordinate, now()).await?;
    let judged = path::decide(&judge, dossier, &Memory::default(), now());
    assert_eq!(judged.case.replay().unwrap(), judged.verdict);
    Ok(judged)
}

async fn judged(scenario: Scenario, coordinate: &str) -> Judged {
    first_look(scenario, coordinate).await.unwrap()
}

async fn judged_alone(formula: Formula) -> Judged {
    judged(Scenario::new().release(formula), WGET).await
}

/// Lets a certificate say that a repository of somebody else was built.
fn of_mallory(claims: &mut Claims, name: &str) {
    let repository = format!("https://github.com/mallory/{name}");
    claims.run_invocation_uri = Some(format!("{repository}/actions/runs/1/attempts/1"));
    claims.source_repository_uri = Some(repository);
    claims.source_repository_identifier = Some("1".to_owned());
}

fn statuses(judged: &Judged) -> Vec<(&str, Status)> {
    let artifacts = judged.verdict.artifacts.iter();
    artifacts
        .map(|artifact| (artifact.name.as_str(), artifact.status))
        .collect()
}

/// What a check found of one bottle.
fn outcome(judged: &Judged, check: CheckId, bottle: &str) -> Outcome {
    let mut found = judged
        .verdict
        .findings
        .iter()
        .filter(|finding| finding.check == check && finding.is_about(bottle));
    found.next().expect("every check has a finding on every bottle").outcome
}

fn told(name: &str, judged: &Judged) -> String {
    format!("{name}: {:?}\n{}", statuses(judged), listed(judged))
}

#[tokio::test]
async fn every_bottle_of_an_honest_formula_is_verified_for_itself() {
    let judged = judged_alone(wget()).await;
    assert_eq!(judged.verdict.status, Status::Verified, "{}", told("honest", &judged));
    assert_eq!(
        statuses(&judged),
        [
            ("wget--1.25.0.arm64_sequoia.bottle.tar.gz", Status::Verified),
            ("wget--1.25.0.arm64_tahoe.bottle.tar.gz", Status::Verified),
            ("wget--1.25.0.sonoma.bottle.tar.gz", Status::Verified),
            ("wget--1.25.0.x86_64_linux.bottle.tar.gz", Status::Verified),
        ]
    );
    let bottle = "wget--1.25.0.sonoma.bottle.tar.gz";
    for check in [CheckId::RunPublishStep, CheckId::RunSigningStep, CheckId::IdSourceRepo] {
        assert_eq!(outcome(&judged, check, bottle), Outcome::Pass(None), "{check}");
    }
    for check in [
        CheckId::ArtTarballManifest,
        CheckId::SrcTagMatchesVersion,
        CheckId::SrcVersionInCommit,
        CheckId::RegSignature,
    ] {
        let expected = Outcome::NotApplicable(Some(Shade::NotOfEcosystem));
        assert_eq!(outcome(&judged, check, bottle), expected, "{check}");
    }
}

#[tokio::test]
async fn honest_formulae_of_every_kind_are_verified() {
    let stored = |snappy| wget().attesting(move |attesting: Attesting| attesting.snappy(snappy));
    for (name, formula) in [
        ("another workflow", wget().workflow("dispatch-build-bottle.yml")),
        ("a statement for each bottle", wget().separately()),
        ("a revision", wget().revision(2)),
        ("a rebuild", wget().rebuild(1)),
        ("one bottle for all", wget().for_all_systems()),
        ("one rebuilt bottle for all", wget().for_all_systems().rebuild(3)),
        ("bundles in the list", wget().attesting(Attesting::inline)),
        ("bundles as they are", stored(Snappy::None)),
        ("bundles in a block", stored(Snappy::Raw)),
        ("bundles in frames", stored(Snappy::Framed)),
        ("a run that failed later", wget().run(Run::fail_after_publish)),
    ] {
        let coordinate = format!("pkg:brew/wget@{}", formula.package_version());
        let judged = judged(Scenario::new().release(formula), &coordinate).await;
        assert_eq!(judged.verdict.status, Status::Verified, "{}", told(name, &judged));
    }
}

#[tokio::test]
async fn a_formula_whose_name_has_an_at_is_told_from_a_version() {
    let scenario = || Scenario::new().release(Formula::honest("openssl@3", "3.6.0"));
    for coordinate in [
        "pkg:brew/openssl%403@3.6.0",
        "pkg:brew/openssl@3@3.6.0",
        "brew:openssl@3@3.6.0",
        "brew:openssl@3@latest",
    ] {
        let judged = judged(scenario(), coordinate).await;
        assert_eq!(judged.verdict.package.to_purl(), "pkg:brew/openssl%403@3.6.0");
        assert_eq!(judged.verdict.status, Status::Verified, "{}", told(coordinate, &judged));
    }
    let Err(LookFault::NotFound(detail)) = first_look(scenario(), "brew:openssl@3").await else {
        panic!("there is no formula openssl");
    };
    assert!(detail.contains("brew:openssl@3@latest"), "{detail}");
}

#[tokio::test]
async fn every_bend_is_told_by_the_check_that_it_concerns() {
    let statement =
        |edit: fn(&mut serde_json::Value)| wget().attesting(move |attesting: Attesting| attesting.statement(edit));
    for (name, formula, status, check) in [
        (
            "other bytes on the registry",
            wget().bottle("sonoma", Bottle::swapped_by_one_byte),
            Status::Mismatch,
            CheckId::ArtTarballIntegrity,
        ),
        (
            "attested under the names of another formula",
            statement(|statement| {
                for subject in statement["subject"].as_array_mut().unwrap() {
                    subject["name"] = json!(subject["name"].as_str().unwrap().replace("wget", "curl"));
                }
            }),
            Status::Mismatch,
            CheckId::AttSubjectName,
        ),
        (
            "attested of other bytes",
            statement(|statement| {
                for subject in statement["subject"].as_array_mut().unwrap() {
                    subject["digest"]["sha256"] = json!("ab".repeat(32));
                }
            }),
            Status::Mismatch,
            CheckId::AttSubjectDigest,
        ),
        (
            "built in another repository",
            wget()
                .attesting(|attesting: Attesting| attesting.certificate(|claims| of_mallory(claims, "homebrew-core"))),
            Status::Suspicious,
            CheckId::IdSourceRepo,
        ),
        (
            "signed while nothing was attested",
            wget().run(|run| run.skip_publish_and_sign_in("Pull bottles")),
            Status::Suspicious,
            CheckId::RunPublishStep,
        ),
        (
            "signed by nobody's build",
            wget().attesting(|attesting: Attesting| {
                attesting.certificate(|claims: &mut Claims| claims.issuer = Some("https://ci.example".to_owned()))
            }),
            Status::Suspicious,
            CheckId::IdIssuer,
        ),
    ] {
        let judged = judged_alone(formula).await;
        let context = told(name, &judged);
        assert_eq!(judged.verdict.status, status, "{context}");
        assert!(judged.verdict.decided_by.contains(&check), "{context}");
    }
}

/// As where a formula is of a language whose compiler makes the same of the same source for several systems.
#[tokio::test]
async fn bottles_with_the_same_bytes_are_told_apart_by_their_names() {
    let alike = || wget().bottle("arm64_tahoe", |bottle| bottle.same_as("arm64_sequoia"));
    for (name, formula) in [
        ("in one statement", alike()),
        ("in statements of their own", alike().separately()),
    ] {
        let judged = judged_alone(formula).await;
        let context = told(name, &judged);
        assert_eq!(judged.verdict.status, Status::Verified, "{context}");
        let bottles: BTreeSet<&str> = judged
            .verdict
            .artifacts
            .iter()
            .filter_map(|file| file.artifact.as_ref().map(|artifact| artifact.sha256.as_str()))
            .collect();
        assert_eq!(bottles.len() + 1, judged.verdict.artifacts.len(), "{context}");
    }
    // One that nobody named is a bottle of another system in its place.
    let unnamed = alike().bottle("arm64_tahoe", Bottle::unattested);
    let judged = judged_alone(unnamed).await;
    let context = told("not named", &judged);
    assert_eq!(judged.verdict.status, Status::Mismatch, "{context}");
    assert_eq!(judged.verdict.decided_by, [CheckId::AttSubjectName], "{context}");
}

#[tokio::test]
async fn one_bottle_without_attestation_among_others_that_have_one_is_told() {
    let judged = judged_alone(wget().bottle("sonoma", Bottle::unattested)).await;
    let context = told("one unattested", &judged);
    assert_eq!(judged.verdict.status, Status::Downgraded, "{context}");
    assert_eq!(judged.verdict.decided_by, [CheckId::HistDowngrade], "{context}");
    let others = statuses(&judged);
    let verified = others.iter().filter(|(_, status)| *status == Status::Verified);
    assert_eq!(verified.count(), 3, "{context}");
}

#[tokio::test]
async fn a_formula_without_any_attestation_is_unattested_unless_it_had_some_before() {
    let judged = judged_alone(wget().unattested()).await;
    assert_eq!(judged.verdict.status, Status::Unattested, "{}", told("none", &judged));

    let mut recollection = Recollection::default();
    let judge = judge();
    let scenario = Arc::new(Scenario::new().release(Formula::honest("wget", "1.24.5")));
    let fetch = ScenarioFetch::new(Arc::clone(&scenario));
    let coordinate = "brew:wget".parse().unwrap();
    let upstreams = no_address();
    let before = recollection
        .look(&judge, &fetch, &upstreams, &coordinate, now())
        .await
        .unwrap();
    assert_eq!(before.verdict.status, Status::Verified, "{}", told("before", &before));
    let next = wget().unattested().later(SignedDuration::from_hours(24 * 3));
    scenario.publish(&next);
    let later = now() + SignedDuration::from_hours(24 * 4);
    let after = recollection
        .look(&judge, &fetch, &upstreams, &coordinate, later)
        .await
        .unwrap();
    let context = told("after", &after);
    assert_eq!(after.verdict.status, Status::Downgraded, "{context}");
    assert_eq!(after.verdict.decided_by, [CheckId::HistDowngrade], "{context}");
}

#[tokio::test]
async fn a_backfilled_bottle_is_accepted_until_the_backfill_ended() {
    let at = |text: &str| {
        let at = moment(text);
        wget().backfilled_as(move |attesting| attesting.at(at))
    };
    for (name, formula) in [
        ("in time", wget().backfilled()),
        ("at the last instant", at("2024-03-14T00:00:00Z")),
        ("for all systems", wget().for_all_systems().backfilled()),
    ] {
        let judged = judged_alone(formula).await;
        let context = told(name, &judged);
        assert!(
            matches!(judged.verdict.status, Status::Verified | Status::Attested),
            "{context}"
        );
    }
    for text in ["2024-03-14T00:00:01Z", "2026-11-02T10:00:00Z"] {
        let judged = judged_alone(at(text)).await;
        let context = told(text, &judged);
        assert_eq!(judged.verdict.status, Status::Mismatch, "{context}");
        assert_eq!(judged.verdict.decided_by, [CheckId::AttProvenanceSig], "{context}");
    }
}

#[tokio::test]
async fn a_backfilled_bottle_is_accepted_behind_a_mirror_with_addresses_of_its_own() {
    for mirror in ["https://mirror.example", "https://mirror.example/artifacts/bottles"] {
        let mirrored = wget().backfilled().document(move |document| {
            let files = document.pointer_mut("/bottle/stable/files").unwrap();
            for file in files.as_object_mut().unwrap().values_mut() {
                file["url"] = json!(file["url"].as_str().unwrap().replace("https://ghcr.io", mirror));
            }
        });
        let judged = judged_alone(mirrored).await;
        let context = told(mirror, &judged);
        let named = judged
            .verdict
            .findings
            .iter()
            .find(|finding| finding.check == CheckId::AttSubjectName);
        assert!(named.is_some_and(|finding| finding.outcome.is_pass()), "{context}");
        assert_ne!(judged.verdict.status, Status::Mismatch, "{context}");
    }
}

#[tokio::test]
async fn a_backfilled_bottle_has_to_be_named_with_its_address_and_by_that_repository() {
    let without_address = wget().backfilled_as(|attesting| {
        attesting.statement(|statement| {
            let name = statement["subject"][0]["name"].as_str().unwrap();
            let bare = name.split_once("--").unwrap().1.to_owned();
            statement["subject"][0]["name"] = json!(bare);
        })
    });
    let judged = judged_alone(without_address).await;
    assert_eq!(judged.verdict.status, Status::Mismatch, "{}", told("bare", &judged));
    assert!(judged.verdict.decided_by.contains(&CheckId::AttSubjectName));
    let by_another =
        wget().backfilled_as(|attesting| attesting.certificate(|claims| of_mallory(claims, "homebrew-brew-verify")));
    let judged = judged_alone(by_another).await;
    assert_eq!(
        judged.verdict.status,
        Status::Suspicious,
        "{}",
        told("another", &judged)
    );
    assert!(judged.verdict.decided_by.contains(&CheckId::IdSourceRepo));
}

/// How GitHub's store may answer, and what that amounts to where the formulae's own repository has nothing.
fn empty_answers() -> Vec<(&'static str, Answer, Status)> {
    let body = |text: &str| Answer::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    vec![
        ("an empty list", body(r#"{"attestations":[]}"#), Status::Unattested),
        ("404", Answer::Status(404, None), Status::Unattested),
        ("403", Answer::Status(403, None), Status::Indeterminate),
        ("401", Answer::Status(401, None), Status::Indeterminate),
        ("429", Answer::Status(429, Some(60)), Status::Indeterminate),
        ("500", Answer::Status(500, None), Status::Indeterminate),
        ("nothing", Answer::EmptyBody, Status::Indeterminate),
        ("a page", Answer::Html200, Status::Indeterminate),
        ("no list", body("{}"), Status::Indeterminate),
        ("null", body(r#"{"attestations":null}"#), Status::Indeterminate),
        ("an empty item", body(r#"{"attestations":[{}]}"#), Status::Indeterminate),
        (
            "an empty bundle",
            body(r#"{"attestations":[{"bundle":{}}]}"#),
            Status::Indeterminate,
        ),
        (
            "an empty address",
            body(r#"{"attestations":[{"bundle":null,"bundle_url":""}]}"#),
            Status::Indeterminate,
        ),
        (
            "a bundle without anything signed",
            body(
                r#"{"attestations":[{"bundle":{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{},"dsseEnvelope":{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}}}]}"#,
            ),
            Status::Indeterminate,
        ),
    ]
}

#[tokio::test]
async fn nothing_empty_is_ever_attested_and_only_an_authoritative_absence_is_one() {
    for (name, answer, expected) in empty_answers() {
        // Whatever a bottle really has, the store says this of it.
        let scenario = Scenario::new().release(wget());
        scenario.github().answer_for("/attestations/", answer.clone());
        let attested = judged(scenario, WGET).await;
        assert_eq!(attested.verdict.status, expected, "{}", told(name, &attested));

        // The formulae's own repository has nothing, and of the backfill's the store says this.
        let scenario = Scenario::new()
            .release(wget().unattested())
            .release(Formula::honest("curl", "8.0.0").backfilled());
        scenario
            .github()
            .answer_for("/homebrew-brew-verify/attestations/", answer);
        let unattested = judged(scenario, WGET).await;
        assert_eq!(unattested.verdict.status, expected, "{}", told(name, &unattested));
    }
}

#[tokio::test]
async fn a_github_that_has_nothing_at_all_is_no_absence() {
    let scenario = Scenario::new().release(wget());
    scenario.github().answer_for("/repos/", Answer::Status(404, None));
    let judged = judged(scenario, WGET).await;
    assert_eq!(judged.verdict.status, Status::Indeterminate, "{}", told("404", &judged));
}

#[tokio::test]
async fn a_formula_is_looked_at_again_within_its_first_week() {
    let judged = judged(Scenario::new().release(wget()), WGET).await;
    assert_eq!(judged.verdict.status, Status::Verified);
    let next = judged.verdict.next_look_at.unwrap();
    assert!(next.duration_since(judged.verdict.checked_at) <= SignedDuration::from_mins(15));
}

#[tokio::test]
async fn bundles_that_cannot_be_had_are_no_absence() {
    for answer in [
        Answer::Status(404, None),
        Answer::Status(403, None),
        Answer::EmptyBody,
        Answer::Html200,
        Answer::Body {
            status: 200,
            content_type: "application/x-snappy".to_owned(),
            bytes: vec![0xff; 64],
        },
    ] {
        let scenario = Scenario::new().release(wget());
        scenario.github().answer_for("/blobs/", answer.clone());
        let judged = judged(scenario, WGET).await;
        let context = told(&format!("{answer:?}"), &judged);
        assert_eq!(judged.verdict.status, Status::Indeterminate, "{context}");
    }
}

#[tokio::test]
async fn what_is_not_served_is_said_with_what_is() {
    let bottleless = wget().tags(&[]);
    for (formula, coordinate, because) in [
        (wget(), "brew:wget@1.24.5", "is at 1.25.0"),
        (wget(), "brew:curl", "no formula curl"),
        (bottleless, "brew:wget", "has no bottle"),
        (
            wget(),
            "pkg:brew/wget@1.25.0?file_name=wget--1.25.0.big_sur.bottle.tar.gz",
            "wget--1.25.0.sonoma.bottle.tar.gz",
        ),
    ] {
        match first_look(Scenario::new().release(formula), coordinate).await {
            Err(LookFault::NotFound(detail)) => assert!(detail.contains(because), "{detail}"),
            other => panic!("{coordinate}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_formula_api_is_no_accusation() {
    let down = || {
        let scenario = Scenario::new().release(wget());
        scenario.homebrew().answer = Answer::Status(503, None);
        scenario
    };
    let exact = judged(down(), WGET).await;
    assert_eq!(exact.verdict.status, Status::Indeterminate);
    assert!(matches!(
        first_look(down(), "brew:wget").await,
        Err(LookFault::Upstream { .. })
    ));
}

#[tokio::test]
async fn one_bottle_is_asked_about_alone() {
    let coordinate = "pkg:brew/wget@1.25.0?file_name=wget--1.25.0.sonoma.bottle.tar.gz";
    let scenario = Scenario::new().release(wget().bottle("arm64_tahoe", Bottle::unattested));
    let judged = judged(scenario, coordinate).await;
    assert_eq!(judged.verdict.status, Status::Verified, "{}", told("alone", &judged));
    assert_eq!(judged.verdict.package.to_purl(), coordinate);
    assert_eq!(judged.verdict.artifacts.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_look_asks_github_for_no_attestation_that_was_read() {
    let scenario = Scenario::new().release(wget());
    scenario.homebrew().bottles_redirected = true;
    let served = scenario.serve().await.unwrap();
    let upstreams = Upstreams {
        homebrew: Url::parse(&served.homebrew_url()).unwrap(),
        bottles: Url::parse(&served.bottles_url()).unwrap(),
        github: Url::parse(&served.github_url()).unwrap(),
        ..no_address()
    };
    let fetch = HttpFetch::new(HttpFetchConfig {
        use_proxies: false,
        upstreams: vec![Upstream::bottles(upstreams.bottles.clone(), None)],
        ..HttpFetchConfig::new("hekate-tests")
    })
    .unwrap();
    let (judge, coordinate) = (judge(), WGET.parse().unwrap());
    let mut recollection = Recollection::default();
    let mut asked = async |at: Timestamp| {
        served.forget_requests();
        let judged = recollection
            .look(&judge, &fetch, &upstreams, &coordinate, at)
            .await
            .unwrap();
        assert_eq!(
            judged.verdict.status,
            Status::Verified,
            "{}",
            told("over HTTP", &judged)
        );
        let paths = served.github_paths();
        let about = |part: &str| paths.iter().filter(|path| path.contains(part)).count();
        (about("/attestations/"), about("/blobs/"), paths.len())
    };
    let (lists, bundles, all) = asked(now()).await;
    assert_eq!((lists, bundles), (4, 4));
    assert!(all <= 16, "{all}");
    let (lists, bundles, all) = asked(now() + SignedDuration::from_mins(10)).await;
    assert_eq!((lists, bundles, all), (0, 0, 1));
    let (lists, bundles, _) = asked(now() + SignedDuration::from_hours(24)).await;
    assert_eq!((lists, bundles), (4, 0));
}
