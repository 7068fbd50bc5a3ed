//! Recordings of the public registry, and what their sources made of them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use hekate::adapters::http::{HttpFetch, HttpFetchConfig};
use hekate::attestation::{Refusal, UnverifiedAttestation};
use hekate::check::{CheckId, Outcome};
use hekate::ecosystem::Upstreams;
use hekate::package::Coordinate;
use hekate::ports::Memory;
use hekate::verdict::Status;
use hekate_tests::corpus::{Corpus, Expected, NPM_KEYS, Recording, VARIABLE};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, decide, judge, look, no_address};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use crate::shape::{now, outcome_of};

/// The corpus; without it a test says that it is skipped, and passes.
pub(crate) fn corpus() -> Option<Corpus> {
    let corpus = Corpus::from_environment().unwrap();
    if corpus.is_none() {
        println!("skipped: {VARIABLE} names no corpus");
    }
    corpus
}

pub(crate) async fn judged(corpus: &Corpus, recording: &Recording, npm_keys: &str) -> Judged {
    let fetch = ScenarioFetch::new(Arc::new(recording.scenario()));
    let coordinate = Coordinate::from(recording.package.clone());
    let judge = judge(corpus.trust(npm_keys).unwrap());
    let dossier = look(&judge, &fetch, &no_address(), &coordinate, now()).await.unwrap();
    decide(&judge, dossier, &Memory::default(), now())
}

fn decided_by(judged: &Judged) -> String {
    let checks: Vec<_> = judged.verdict.decided_by.iter().map(|check| check.as_str()).collect();
    checks.join(" ")
}

/// Judges every recording, prints the table, and says which of them got another answer than expected.
async fn compare(corpus: &Corpus, recordings: &[Recording]) {
    let mut wrong = Vec::new();
    for recording in recordings {
        let judged = judged(corpus, recording, NPM_KEYS).await;
        let status = judged.verdict.status;
        let row = format!(
            "{:100} {:14} {:14} {}",
            recording.name,
            recording.expected.as_str(),
            status.as_str(),
            decided_by(&judged)
        );
        println!("{row}");
        if !recording.expected.is_met_by(status) {
            wrong.push(format!("{row}\n{:#?}", judged.verdict.findings));
        }
        assert_eq!(judged.case.replay().unwrap(), judged.verdict, "{}", recording.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_recorded_response_gets_the_verdict_of_its_source() {
    let Some(corpus) = corpus() else { return };
    let recordings = corpus.responses().unwrap();
    for status in [Status::Attested, Status::Mismatch] {
        let number = recordings
            .iter()
            .filter(|one| one.expected == Expected::Exactly(status))
            .count();
        assert!(number >= 5, "{number} recordings are expected to be {status}");
    }
    compare(&corpus, &recordings).await;
}

#[tokio::test]
async fn bundles_that_are_stored_apart_are_attested_together() {
    let Some(corpus) = corpus() else { return };
    let recordings = corpus.composed().unwrap();
    assert!(!recordings.is_empty());
    compare(&corpus, &recordings).await;
}

#[tokio::test]
async fn a_version_whose_attestations_were_not_recorded_cannot_be_judged() {
    let Some(corpus) = corpus() else { return };
    compare(&corpus, &corpus.manifests().unwrap()).await;
}

#[tokio::test]
async fn every_recorded_registry_signature_is_valid() {
    let Some(corpus) = corpus() else { return };
    let recordings = corpus.manifests().unwrap();
    assert!(recordings.len() >= 5);
    for recording in recordings {
        let judged = judged(&corpus, &recording, NPM_KEYS).await;
        let outcome = outcome_of(&judged, CheckId::RegSignature);
        println!("{:80} {outcome:?}", recording.name);
        assert_eq!(outcome, Outcome::Pass(None), "{}", recording.name);
    }
}

#[tokio::test]
async fn keys_that_are_older_than_a_signature_accuse_nobody() {
    let Some(corpus) = corpus() else { return };
    let recordings = corpus.responses().unwrap();
    let recent = recordings
        .iter()
        .find(|one| one.name == "npm/attestations/@playwright__cli@0.1.1.json")
        .unwrap();
    let judged = judged(&corpus, recent, "npm/keys/keys.2024-06.json").await;
    assert_eq!(judged.verdict.status, Status::Indeterminate, "{}", decided_by(&judged));
    assert!(judged.verdict.decided_by.contains(&CheckId::AttPublishSig));
}

/// A stored bundle, labelled as its own statement says.
fn unverified(bytes: &[u8]) -> Option<UnverifiedAttestation> {
    use base64::Engine as _;
    let bundle: Box<RawValue> = serde_json::from_slice(bytes).ok()?;
    let value: Value = serde_json::from_str(bundle.get()).ok()?;
    let label = value
        .pointer("/dsseEnvelope/payload")
        .and_then(Value::as_str)
        .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok())
        .and_then(|payload| serde_json::from_slice::<Value>(&payload).ok())
        .and_then(|statement| Some(statement.get("predicateType")?.as_str()?.to_owned()));
    Some(UnverifiedAttestation::new(label.unwrap_or_default(), bundle))
}

#[test]
fn every_valid_bundle_is_authentic_and_no_other_is() {
    let Some(corpus) = corpus() else { return };
    let trust = corpus.trust(NPM_KEYS).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for row in corpus.below("npm/", &["sigstore-bundle", "sigstore-bundle-jsonl"]) {
        let bytes = corpus.read(&row.path).unwrap();
        let stored: Vec<&[u8]> = match row.kind.as_str() {
            "sigstore-bundle" => vec![&bytes],
            _ => bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .collect(),
        };
        let is_valid = row.expected_verdict.starts_with("valid");
        for text in stored {
            let result = unverified(text).map(|attestation| trust.verify(&attestation, now()));
            let got = match &result {
                None => "not JSON".to_owned(),
                Some(Ok(_)) => "authentic".to_owned(),
                Some(Err(refusal)) => refusal.to_string(),
            };
            println!("{:80} {:40.40} {got}", row.path, row.expected_verdict);
            match result {
                Some(Ok(_)) => assert!(is_valid, "{}", row.path),
                Some(Err(Refusal::Forged { .. } | Refusal::Unsupported(_))) | None => {
                    assert!(!is_valid, "{}: {got}", row.path);
                }
                Some(Err(other)) => panic!("{}: {other:?}", row.path),
            }
            if is_valid { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid >= 8 && invalid >= 7, "{valid} and {invalid}");
}

/// Asks the program that serves the corpus, through the adapter that the product uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_served_corpus_gets_the_same_verdicts_over_http() {
    if corpus().is_none() {
        return;
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_corpus-registry"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let served: Value = serde_json::from_str(&line).unwrap();
    let file = |name: &str| std::fs::read_to_string(served[name].as_str().unwrap()).unwrap();
    let (root, keys) = (file("trustedRoot"), file("npmKeys"));
    let origin = hekate::attestation::TrustOrigin::Files;
    let trust = hekate::attestation::TrustMaterial::new(&root, &keys, origin).unwrap();
    let judge = judge(trust);
    let mut config = HttpFetchConfig::new("hekate-tests");
    config.use_proxies = false;
    let fetch = HttpFetch::new(config).unwrap();
    let packages = served["packages"].as_array().unwrap();
    assert!(packages.len() >= 30, "{}", packages.len());
    for package in packages {
        let text = |name: &str| package[name].as_str().unwrap();
        let coordinate: Coordinate = text("purl").parse().unwrap();
        let npm = Url::parse(text("npmUrl")).unwrap();
        let github = Url::parse(&format!("{npm}/github")).unwrap();
        let upstreams = Upstreams {
            npm,
            github,
            ..no_address()
        };
        let dossier = look(&judge, &fetch, &upstreams, &coordinate, now()).await.unwrap();
        let judged = decide(&judge, dossier, &Memory::default(), now());
        let status = judged.verdict.status;
        let is_met = match text("expected") {
            "not accepted" => Expected::NotAccepted.is_met_by(status),
            expected => status.as_str() == expected,
        };
        assert!(is_met, "{package}: {status} by {}", decided_by(&judged));
    }
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
}
