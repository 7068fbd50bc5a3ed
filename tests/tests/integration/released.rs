//! Released files by their digest, honest and bent, and recordings of GitHub's store.

use std::sync::Arc;

use async_trait::async_trait;
use hekate::attestation::{Refusal, TrustMaterial, TrustOrigin, UnverifiedAttestation};
use hekate::availability::UnavailableReason;
use hekate::check::{CheckId, Outcome, Shade};
use hekate::dossier::{Answer as Answered, Body, Kept, Observation, Response, Subject};
use hekate::ecosystem::LookFault;
use hekate::ecosystem::github::address_of;
use hekate::package::Digest;
use hekate::ports::{Fetch, Keep, Memory, Request};
use hekate::verdict::Status;
use hekate::verifier::Judge;
use hekate_tests::corpus::{Corpus, NPM_KEYS};
use hekate_tests::fetch::{ScenarioFetch, sha1_of};
use hekate_tests::path::{self, Judged, no_address};
use serde_json::json;
use serde_json::value::RawValue;
use testbed::github::Snappy;
use testbed::{Answer, Attesting, ReleasedFile, Scenario, World};

use crate::corpus::corpus;
use crate::shape::{judge, listed, now, outcome_of};

const GITHUB_ROOT: &str = "trust/trusted_root.github.2026-07.json";

/// A complete answer of these bytes.
fn answered(bytes: &[u8], kept: Kept) -> Answered {
    Answered::Answered(Response {
        status: 200,
        content_type: None,
        etag: None,
        size: bytes.len() as u64,
        sha256: Digest::sha256_of(bytes),
        kept,
        redirects: 0,
        last_modified: None,
    })
}

/// Has the bytes of a file, and asks somebody else for everything else.
struct AtHand<F> {
    inner: F,
    bytes: Vec<u8>,
}

#[async_trait]
impl<F: Fetch> Fetch for AtHand<F> {
    async fn fetch(&self, request: Request) -> Observation {
        if request.url.as_str() != address_of(&Digest::sha256_of(&self.bytes)) {
            return self.inner.fetch(request).await;
        }
        let digests = Kept::Digests {
            sha512: Digest::sha512_of(&self.bytes),
            sha1: sha1_of(&self.bytes),
        };
        observed(&request, answered(&self.bytes, digests))
    }
}

fn observed(request: &Request, answer: Answered) -> Observation {
    Observation {
        subject: request.subject,
        about: String::new(),
        url: request.url.to_string(),
        at: request.at,
        answer,
    }
}

fn coordinate(repository: &str, bytes: &[u8]) -> String {
    format!("github:{repository}@{}", Digest::sha256_of(bytes))
}

/// Looks at bytes, as built by a repository; the saved case gives the same verdict again.
async fn look_with(judge: &Judge, fetch: &dyn Fetch, coordinate: &str) -> Result<Judged, LookFault> {
    let coordinate = coordinate.parse().unwrap();
    let dossier = path::look(judge, fetch, &no_address(), &coordinate, now()).await?;
    let judged = path::decide(judge, dossier, &Memory::default(), now());
    assert_eq!(judged.case.replay().unwrap(), judged.verdict);
    Ok(judged)
}

async fn judged(scenario: Scenario, repository: &str, bytes: &[u8]) -> Judged {
    let fetch = AtHand {
        inner: ScenarioFetch::new(Arc::new(scenario)),
        bytes: bytes.to_vec(),
    };
    look_with(&judge(), &fetch, &coordinate(repository, bytes))
        .await
        .unwrap()
}

fn tool() -> ReleasedFile {
    ReleasedFile::honest("acme/tool", "v1.2.3", "tool-linux-amd64.tar.gz").beside("checksums.txt")
}

/// The verdict on every file of a release.
async fn judged_all(file: &ReleasedFile, bend: impl Fn(&Scenario)) -> Vec<Judged> {
    let mut all = Vec::new();
    for (_name, bytes) in file.publish(&World::shared()).files {
        let scenario = Scenario::new().release(file.clone());
        bend(&scenario);
        all.push(judged(scenario, "acme/tool", &bytes).await);
    }
    all
}

#[tokio::test]
async fn every_file_of_an_honest_release_is_verified_by_its_digest() {
    let stored = |snappy| tool().provenance(move |attesting: Attesting| attesting.snappy(snappy));
    for (name, file) in [
        ("public", tool()),
        ("immutable", tool().immutable()),
        ("bundles in the list", tool().provenance(Attesting::inline)),
        ("bundles as they are", stored(Snappy::None)),
        ("bundles in a block", stored(Snappy::Raw)),
        ("bundles in frames", stored(Snappy::Framed)),
    ] {
        for judged in judged_all(&file, |_scenario| {}).await {
            let context = format!("{name}\n{}", listed(&judged));
            assert_eq!(judged.verdict.status, Status::Verified, "{context}");
            assert_eq!(judged.verdict.next_look_at, None, "{context}");
            let expected = Outcome::NotApplicable(Some(Shade::NotOfEcosystem));
            assert_eq!(outcome_of(&judged, CheckId::ArtExists), expected);
        }
    }
}

#[tokio::test]
async fn a_file_of_a_private_repository_is_attested_by_a_timestamp_alone() {
    // The repository was private when it attested, and is shown now.
    let file = tool().provenance(Attesting::by_github);
    for judged in judged_all(&file, |_scenario| {}).await {
        let context = listed(&judged);
        let log = outcome_of(&judged, CheckId::LogInclusion);
        assert_eq!(log, Outcome::NotApplicable(Some(Shade::Timestamped)), "{context}");
        assert_eq!(judged.verdict.status, Status::Verified, "{context}");
    }
}

#[tokio::test]
async fn a_release_that_github_attests_is_no_build_that_anybody_does() {
    for judged in judged_all(&tool().unattested().immutable(), |_scenario| {}).await {
        let context = listed(&judged);
        assert_eq!(judged.verdict.status, Status::Unattested, "{context}");
        assert_eq!(
            outcome_of(&judged, CheckId::AttPublishSig),
            Outcome::Pass(None),
            "{context}"
        );
    }
}

#[tokio::test]
async fn every_bend_is_told_by_the_check_that_it_concerns() {
    for (name, file, status, check) in [
        (
            "built by another repository",
            tool().provenance(|attesting| {
                attesting.certificate(|claims| {
                    let repository = "https://github.com/mallory/tool";
                    claims.source_repository_uri = Some(repository.to_owned());
                    claims.source_repository_identifier = Some("1".to_owned());
                    claims.run_invocation_uri = Some(format!("{repository}/actions/runs/1/attempts/1"));
                })
            }),
            Status::Suspicious,
            CheckId::IdSourceRepo,
        ),
        (
            "attested of other bytes",
            tool().provenance(|attesting| {
                attesting.statement(|statement| {
                    for subject in statement["subject"].as_array_mut().unwrap() {
                        subject["digest"]["sha256"] = json!("ab".repeat(32));
                    }
                })
            }),
            Status::Mismatch,
            CheckId::AttSubjectDigest,
        ),
        (
            "released with other bytes",
            tool().immutable_as(|attesting| {
                attesting.statement(|statement| {
                    for subject in statement["subject"].as_array_mut().unwrap() {
                        if subject["digest"]["sha256"].is_string() {
                            subject["digest"]["sha256"] = json!("ab".repeat(32));
                        }
                    }
                })
            }),
            Status::Mismatch,
            CheckId::AttPublishSig,
        ),
        (
            "a run that attested nothing",
            tool().run(|run| run.skip_publish_and_sign_in("Run make dist")),
            Status::Suspicious,
            CheckId::RunPublishStep,
        ),
        (
            "a commit that the certificate does not name",
            tool().run(|run| run.head_sha = "0123456789012345678901234567890123456789".to_owned()),
            Status::Mismatch,
            CheckId::RunMatchesCert,
        ),
    ] {
        for judged in judged_all(&file, |_scenario| {}).await {
            let context = format!("{name}: {:?}\n{}", judged.verdict.decided_by, listed(&judged));
            assert_eq!(judged.verdict.status, status, "{context}");
            assert!(judged.verdict.decided_by.contains(&check), "{context}");
        }
    }
}

#[tokio::test]
async fn nothing_empty_is_ever_attested() {
    let body = |text: &str| Answer::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    for (name, answer, expected) in [
        ("an empty list", body(r#"{"attestations":[]}"#), Status::Unattested),
        ("404", Answer::Status(404, None), Status::Unattested),
        ("403", Answer::Status(403, None), Status::Indeterminate),
        ("500", Answer::Status(500, None), Status::Indeterminate),
        ("no list", body("{}"), Status::Indeterminate),
        ("an empty item", body(r#"{"attestations":[{}]}"#), Status::Indeterminate),
        (
            "an empty bundle",
            body(r#"{"attestations":[{"bundle":{}}]}"#),
            Status::Indeterminate,
        ),
        ("an empty body", Answer::EmptyBody, Status::Indeterminate),
        ("a page", Answer::Html200, Status::Indeterminate),
    ] {
        let bend = |scenario: &Scenario| scenario.github().answer_for("/attestations/", answer.clone());
        for judged in judged_all(&tool(), bend).await {
            assert_eq!(judged.verdict.status, expected, "{name}\n{}", listed(&judged));
        }
    }
}

#[tokio::test]
async fn a_file_that_nobody_attested_is_unattested_and_one_that_is_not_at_hand_is_refused() {
    let other = judged(Scenario::new().release(tool()), "acme/tool", b"something else").await;
    assert_eq!(other.verdict.status, Status::Unattested, "{}", listed(&other));

    let fetch = ScenarioFetch::new(Arc::new(Scenario::new().release(tool())));
    match look_with(&judge(), &fetch, &coordinate("acme/tool", b"absent")).await {
        Err(LookFault::NotFound(detail)) => assert!(detail.contains("hekate verify --file"), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_repository_that_github_does_not_show_may_have_attestations() {
    let judged = judged(Scenario::new().release(tool()), "acme/elsewhere", b"bytes of nobody").await;
    assert_eq!(judged.verdict.status, Status::Indeterminate, "{}", listed(&judged));
    let nonempty = outcome_of(&judged, CheckId::AttNonempty);
    assert_eq!(nonempty, Outcome::Unknown(hekate::check::UnknownReason::Private));
}

#[tokio::test]
async fn an_authority_of_githubs_own_that_the_embedded_root_does_not_know_may_be_a_newer_one() {
    let world = World::shared();
    let (root, keys) = (world.trusted_root_json(), world.npm_keys_json());
    let embedded = || TrustMaterial::new(&root, &keys, TrustOrigin::Files).unwrap();
    let other = World::foreign().github_trusted_root_json();
    for (trust, expected) in [
        (embedded(), Status::Indeterminate),
        (embedded().with_github_root(&other).unwrap(), Status::Mismatch),
    ] {
        let tool = tool().provenance(Attesting::by_github);
        let (_, bytes) = tool.publish(&world).files.swap_remove(0);
        let fetch = AtHand {
            inner: ScenarioFetch::new(Arc::new(Scenario::new().release(tool))),
            bytes: bytes.clone(),
        };
        let judged = look_with(&path::judge(trust), &fetch, &coordinate("acme/tool", &bytes))
            .await
            .unwrap();
        assert_eq!(judged.verdict.status, expected, "{}", listed(&judged));
    }
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_found_under_either_name() {
    for name in ["acme/tool", "acme/gadget"] {
        let (_, bytes) = tool().publish(&World::shared()).files.swap_remove(0);
        let scenario = Scenario::new().release(tool());
        scenario.github().rename("acme/tool", "acme/gadget");
        let judged = judged(scenario, name, &bytes).await;
        assert_eq!(judged.verdict.status, Status::Verified, "{name}\n{}", listed(&judged));
    }
}

/// The material that recordings of GitHub's store are judged by.
fn trust(corpus: &Corpus) -> TrustMaterial {
    let github = String::from_utf8(corpus.read(GITHUB_ROOT).unwrap()).unwrap();
    corpus.trust(NPM_KEYS).unwrap().with_github_root(&github).unwrap()
}

/// The bundles of a file.
fn bundles(corpus: &Corpus, path: &str, kind: &str) -> Vec<String> {
    let text = String::from_utf8(corpus.read(path).unwrap()).unwrap();
    match kind {
        "sigstore-bundle-jsonl" => text
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => vec![text],
    }
}

#[test]
fn every_recorded_bundle_is_authentic_exactly_if_its_source_says_so() {
    let Some(corpus) = corpus() else { return };
    let trust = trust(&corpus);
    let (mut valid, mut invalid) = (0, 0);
    for row in corpus.below("github/", &["sigstore-bundle", "sigstore-bundle-jsonl"]) {
        for text in bundles(&corpus, &row.path, &row.kind) {
            let bundle = RawValue::from_string(text.trim().to_owned()).unwrap();
            let attestation = UnverifiedAttestation::unlabelled(bundle)
                .about_one_of_many(Digest::sha256_of(b""))
                .of_github_too();
            let result = trust.verify(&attestation, now());
            println!(
                "{:70} {:40.40} {:?}",
                row.path,
                row.expected_verdict,
                result.as_ref().err()
            );
            match result {
                Ok(_) => assert!(row.expected_verdict.starts_with("valid"), "{}", row.path),
                Err(Refusal::Forged { .. } | Refusal::Unsupported(_)) => {
                    assert!(row.expected_verdict.starts_with("invalid"), "{}", row.path);
                }
                Err(other) => panic!("{}: {other:?}", row.path),
            }
            if row.expected_verdict.starts_with("valid") {
                valid += 1;
            } else {
                invalid += 1;
            }
        }
    }
    assert!(valid >= 6 && invalid >= 3, "{valid} and {invalid}");
}

#[test]
fn a_bundle_of_githubs_own_instance_is_refused_where_only_the_public_one_may_have_signed() {
    let Some(corpus) = corpus() else { return };
    let trust = trust(&corpus);
    let path = "github/bundles/github_provenance_demo-0.0.12.github-tsa.jsonl";
    for text in bundles(&corpus, path, "sigstore-bundle-jsonl") {
        let attestation = UnverifiedAttestation::unlabelled(RawValue::from_string(text).unwrap());
        assert!(matches!(trust.verify(&attestation, now()), Err(Refusal::Forged { .. })));
    }
}

/// GitHub's store with these bundles in its list; nobody else answers.
struct Recorded(String);

#[async_trait]
impl Fetch for Recorded {
    async fn fetch(&self, request: Request) -> Observation {
        let answer = match (&request.subject, &request.keep) {
            (Subject::StoredAttestations, Keep::Excerpt(select)) => {
                let bytes = self.0.as_bytes();
                answered(
                    bytes,
                    Kept::Excerpt {
                        body: Body(select(bytes).unwrap()),
                    },
                )
            }
            (_, _) => Answered::Unanswered {
                reason: UnavailableReason::Unreachable,
                detail: "only the store was recorded".to_owned(),
                retry_after: None,
            },
        };
        observed(&request, answer)
    }
}

#[tokio::test]
async fn every_recorded_file_gets_the_verdict_of_its_source() {
    let Some(corpus) = corpus() else { return };
    let judge = path::judge(trust(&corpus));
    let wheel = "github/artifacts/github_provenance_demo-0.0.12-py3-none-any.whl";
    let checksums = "github/gh-cli-v2.96.0/gh_2.96.0_checksums.txt";
    let (demo, cli) = ("actions/attest-demo", "cli/cli");
    for (path, kind, artifact, repository, expected) in [
        (
            "github/bundles/reusable-workflow.sigstore.json",
            "sigstore-bundle",
            "github/artifacts/reusable-workflow-artifact.bin",
            "malancas/attest-demo",
            &[Status::Attested] as &[Status],
        ),
        // GitHub's token issuer for one enterprise vouched for the signer, which is GitHub's as well.
        (
            "github/bundles/custom-issuer.sigstore.json",
            "sigstore-bundle",
            "github/artifacts/custom-issuer-artifact.txt",
            "too-legit/attest",
            &[Status::Attested],
        ),
        (
            "github/bundles/github_provenance_demo-0.0.12.github-tsa.jsonl",
            "sigstore-bundle-jsonl",
            wheel,
            demo,
            &[Status::Attested],
        ),
        (
            "github/bundles/github_provenance_demo-0.0.12.missing-cert.jsonl",
            "sigstore-bundle-jsonl",
            wheel,
            demo,
            &[Status::Mismatch, Status::Indeterminate],
        ),
        (
            "github/bundles/github_provenance_demo-0.0.12.missing-verification-material.jsonl",
            "sigstore-bundle-jsonl",
            wheel,
            demo,
            &[Status::Mismatch, Status::Indeterminate],
        ),
        (
            "github/gh-cli-v2.96.0/checksums-gh-download.jsonl",
            "sigstore-bundle-jsonl",
            checksums,
            cli,
            &[Status::Unattested],
        ),
        // Authentic, and not about this file.
        (
            "github/gh-cli-v2.96.0/checksums-gh-download.jsonl",
            "sigstore-bundle-jsonl",
            wheel,
            cli,
            &[Status::Mismatch],
        ),
        (
            "github/bundles/reusable-workflow.sigstore.json",
            "sigstore-bundle",
            wheel,
            "malancas/attest-demo",
            &[Status::Mismatch],
        ),
        // Authentic, and of a repository of another name: GitHub would tell whether it is the same.
        (
            "github/bundles/github_provenance_demo-0.0.12.github-tsa.jsonl",
            "sigstore-bundle-jsonl",
            wheel,
            cli,
            &[Status::Indeterminate],
        ),
    ] {
        let items: Vec<String> = bundles(&corpus, path, kind)
            .into_iter()
            .map(|bundle| format!("{{\"bundle\":{bundle}}}"))
            .collect();
        let fetch = AtHand {
            inner: Recorded(format!("{{\"attestations\":[{}]}}", items.join(","))),
            bytes: corpus.read(artifact).unwrap(),
        };
        let judged = look_with(&judge, &fetch, &coordinate(repository, &fetch.bytes))
            .await
            .unwrap();
        println!("{path} of {artifact}, {repository}: {}", judged.verdict.status);
        assert!(
            expected.contains(&judged.verdict.status),
            "{path}: {:?}\n{}",
            judged.verdict.decided_by,
            listed(&judged)
        );
    }
}
