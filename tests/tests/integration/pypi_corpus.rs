//! Every recording of PyPI through the whole path: an index with the recorded file, its provenance and its bytes.
//!
//! The runs are not recorded, so that nothing is better than `attested`; of some files the bytes are not recorded either, and
//! then the rest is held to what can be told.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hekate::attestation::{TrustMaterial, TrustOrigin};
use hekate::check::{CheckId, Outcome, UnknownReason};
use hekate::ecosystem::pypi::filename::{Distribution, Kind};
use hekate::package::Digest;
use hekate::ports::Memory;
use hekate::verdict::Status::{self, Attested, Indeterminate, Mismatch, Suspicious};
use hekate_tests::corpus::{Corpus, NPM_KEYS, TRUSTED_ROOT};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, decide, judge, look, no_address};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::{Answer, BASE_TIME, PypiFile, PypiPublished, PypiRelease, Scenario, World};

use crate::corpus::corpus;
use crate::pypi::{STAGING, attestation_of};
use crate::shape::{listed, now, outcome_of};

/// A file of the corpus as PyPI would serve it, with what has to come of it.
pub(crate) struct Recorded {
    /// The recording, relative to the corpus.
    path: &'static str,
    /// The file that it was made for.
    filename: &'static str,
    /// Who published, as PyPI would name it.
    publisher: Value,
    expected: Status,
}

fn github(repository: &str) -> Value {
    json!({"kind": "GitHub", "repository": repository, "workflow": "release.yml", "environment": null})
}

/// Certificates of people are nobody's whom PyPI lets publish: nothing that it could name is true.
fn a_person() -> Value {
    github("trailofbits/rfc8785.py")
}

pub(crate) fn recordings() -> Vec<Recorded> {
    let of = |path, filename, publisher, expected| Recorded {
        path,
        filename,
        publisher,
        expected,
    };
    let gitlab =
        |repository: &str| json!({"kind": "GitLab", "repository": repository, "workflow_filepath": ".gitlab-ci.yml"});
    let google = json!({"kind": "Google", "email": "919436158236-compute@developer.gserviceaccount.com"});
    let (rfc8785, models) = (
        "rfc8785-0.1.2-py3-none-any.whl",
        "pypi_attestation_models-0.0.4a2.tar.gz",
    );
    let sampleproject = "sampleproject-4.0.0.tar.gz";
    let of_models = || github("trailofbits/pypi-attestation-models");
    vec![
        of(
            "pypi/attestations/gitlab_oidc_project-0.0.3.tar.gz.publish.attestation.json",
            "gitlab_oidc_project-0.0.3.tar.gz",
            gitlab("facutuesca/gitlab-oidc-project"),
            Attested,
        ),
        of(
            "pypi/attestations/history-pypi_attestations-0.0.16.tar.gz.attestation.json",
            "pypi_attestations-0.0.16.tar.gz",
            github("trailofbits/pypi-attestations"),
            Indeterminate,
        ),
        of(
            "pypi/attestations/history-rfc8785-0.0.2-py3-none-any.whl.json",
            "rfc8785-0.0.2-py3-none-any.whl",
            github("trailofbits/rfc8785.py"),
            Mismatch,
        ),
        of(
            "pypi/attestations/history-rfc8785-0.1.2-py3-none-any.whl.json",
            rfc8785,
            a_person(),
            Mismatch,
        ),
        of(
            "pypi/attestations/pypi_attestation_models-0.0.4a2.tar.gz.attestation.json",
            models,
            of_models(),
            Attested,
        ),
        of(
            "pypi/attestations/rfc8785-0.1.2-py3-none-any.whl.attestation.json",
            rfc8785,
            a_person(),
            Suspicious,
        ),
        of(
            "pypi/attestations/rfc8785-0.1.2-py3-none-any.whl.publish.attestation.json",
            rfc8785,
            a_person(),
            Suspicious,
        ),
        of(
            "pypi/attestations/sampleproject-3.0.0.tar.gz.publish.attestation.json",
            "sampleproject-3.0.0.tar.gz",
            google,
            Attested,
        ),
        of(
            "pypi/attestations/sampleproject-4.0.0-py3-none-any.whl.publish.attestation.json",
            "sampleproject-4.0.0-py3-none-any.whl",
            github("pypa/sampleproject"),
            Attested,
        ),
        of(
            "pypi/attestations/spt3g-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl.publish.attestation.json",
            "spt3g-1.0-cp310-cp310-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            a_person(),
            Suspicious,
        ),
        of(
            "pypi/bundles/history-rfc8785-0.0.2-py3-none-any.whl.sigstore.json",
            "rfc8785-0.0.2-py3-none-any.whl",
            github("trailofbits/rfc8785.py"),
            Mismatch,
        ),
        of(
            "pypi/bundles/pypi_attestation_models-0.0.4a2.tar.gz.sigstore.json",
            models,
            of_models(),
            Attested,
        ),
        of(
            "pypi/bundles/rfc8785-0.1.2-py3-none-any.whl.sigstore.json",
            rfc8785,
            a_person(),
            Suspicious,
        ),
        of(
            "pypi/provenance/docs-integrity-api-example.provenance.json",
            sampleproject,
            Value::Null,
            Attested,
        ),
        of(
            "pypi/provenance/pep740-sampleproject-1.0.0.tar.gz.provenance.json",
            "pep740_sampleproject-1.0.0.tar.gz",
            Value::Null,
            Indeterminate,
        ),
        of(
            "pypi/provenance/sampleproject-4.0.0.tar.gz.provenance.json",
            sampleproject,
            Value::Null,
            Attested,
        ),
    ]
}

impl Recorded {
    /// The provenance object, as it was recorded, or around the recorded attestation.
    fn provenance(&self, corpus: &Corpus) -> Value {
        let recorded = corpus.json(self.path).unwrap();
        if recorded.get("attestation_bundles").is_some() {
            return recorded;
        }
        let is_bundle = recorded.get("mediaType").is_some();
        let attestation = if is_bundle { attestation_of(&recorded) } else { recorded };
        json!({"version": 1, "attestation_bundles": [{"publisher": self.publisher, "attestations": [attestation]}]})
    }

    pub(crate) fn bytes(&self, corpus: &Corpus) -> Option<Vec<u8>> {
        corpus.read(&format!("pypi/dists/{}", self.filename)).ok()
    }

    /// The name of the recording.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn is_staged(&self, corpus: &Corpus) -> bool {
        self.provenance(corpus).to_string().contains("sigstage")
    }

    fn purl(&self) -> String {
        let named = Distribution::parse(self.filename).unwrap();
        format!("pkg:pypi/{}@{}", named.project, named.version)
    }

    /// What PyPI serves of it. Bytes that were not recorded are not there, and the index lists the digest that was attested.
    pub(crate) fn publish(&self, corpus: &Corpus, edit: fn(&mut Vec<u8>)) -> PypiPublished {
        let named = Distribution::parse(self.filename).unwrap();
        let release = PypiRelease::honest(&named.project, &named.version);
        let release = match named.kind {
            Kind::Wheel => release.only_wheels(),
            Kind::Sdist | Kind::Other => release.only_sdist(),
        };
        let provenance = self.provenance(corpus);
        let attestation = &provenance["attestation_bundles"][0]["attestations"][0];
        let statement = attestation["envelope"]["statement"]
            .as_str()
            .map(|text| STANDARD.decode(text).unwrap());
        let statement: Value = statement.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        let bytes = self.bytes(corpus);
        let size = bytes.as_ref().map(Vec::len);
        let is_recorded = bytes.is_some();
        let name = self.filename;
        let bend = move |file: PypiFile| {
            let file = file.named(name).listing(move |listing| listing["size"] = json!(size));
            if is_recorded {
                file
            } else {
                file.bytes_answer(Answer::Status(404, None))
            }
        };
        let mut published = release.files(bend).publish(&World::shared());
        let file = &mut published.files[0];
        let attested = statement["subject"][0]["digest"]["sha256"].as_str().map(str::to_owned);
        file.sha256 = match &bytes {
            Some(bytes) => Digest::sha256_of(bytes).to_hex(),
            None => attested.unwrap_or_else(|| "0".repeat(64)),
        };
        file.bytes = bytes.unwrap_or_default();
        edit(&mut file.bytes);
        let logged = &attestation["verification_material"]["transparency_entries"][0]["integratedTime"];
        let logged = logged
            .as_str()
            .and_then(|text| Timestamp::from_second(text.parse().ok()?).ok());
        file.uploaded_at = logged.unwrap_or(BASE_TIME) + SignedDuration::from_secs(1);
        file.provenance = Some(provenance);
        published
    }

    pub(crate) async fn judged(&self, corpus: &Corpus, root: &str, edit: fn(&mut Vec<u8>)) -> Judged {
        let keys = String::from_utf8(corpus.read(NPM_KEYS).unwrap()).unwrap();
        let root = String::from_utf8(corpus.read(root).unwrap()).unwrap();
        let judge = judge(TrustMaterial::new(&root, &keys, TrustOrigin::Files).unwrap());
        let scenario = Scenario::new().published(self.publish(corpus, edit));
        let fetch = ScenarioFetch::new(Arc::new(scenario));
        let dossier = look(&judge, &fetch, &no_address(), &self.purl().parse().unwrap(), now())
            .await
            .unwrap();
        decide(&judge, dossier, &Memory::default(), now())
    }

    /// The root of the instance that signed it.
    pub(crate) fn root(&self, corpus: &Corpus) -> &'static str {
        if self.is_staged(corpus) { STAGING } else { TRUSTED_ROOT }
    }
}

#[tokio::test]
async fn every_recording_of_pypi_gets_the_verdict_of_its_source_through_the_whole_path() {
    let Some(corpus) = corpus() else { return };
    let mut surprises = Vec::new();
    for recorded in recordings() {
        let judged = recorded.judged(&corpus, recorded.root(&corpus), |_bytes| {}).await;
        let decided_by: Vec<&str> = judged.verdict.decided_by.iter().map(|check| check.as_str()).collect();
        let status = judged.verdict.status;
        println!(
            "{:104} {:14} {status:14} {}",
            recorded.path,
            recorded.expected,
            decided_by.join(" ")
        );
        if status != recorded.expected {
            surprises.push(format!("{}: {status}\n{}", recorded.path, listed(&judged)));
        }
        assert_eq!(judged.case.replay().unwrap(), judged.verdict, "{}", recorded.path);
        // What is refused for its signer alone, or not decided for want of bytes, is authentic all the same.
        if status != Mismatch {
            for check in [
                CheckId::AttProvenanceSig,
                CheckId::LogInclusion,
                CheckId::AttSubjectName,
                CheckId::AttNonempty,
            ] {
                assert_eq!(
                    outcome_of(&judged, check),
                    Outcome::Pass(None),
                    "{}: {check}",
                    recorded.path
                );
            }
            let integrity = match recorded.bytes(&corpus) {
                Some(_) => Outcome::Pass(None),
                None => Outcome::Unknown(UnknownReason::NotRetained),
            };
            assert_eq!(
                outcome_of(&judged, CheckId::ArtTarballIntegrity),
                integrity,
                "{}",
                recorded.path
            );
        }
        if status == Suspicious {
            assert!(
                judged.verdict.decided_by.contains(&CheckId::IdIssuer),
                "{}",
                recorded.path
            );
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn no_recording_of_an_attestation_on_pypi_is_left_out() {
    let Some(corpus) = corpus() else { return };
    let walked: Vec<&str> = recordings().iter().map(|recorded| recorded.path).collect();
    for row in corpus.below("pypi/", &["pypi-attestation", "pypi-provenance", "sigstore-bundle"]) {
        assert!(walked.contains(&row.path.as_str()), "{} is left out", row.path);
    }
}

#[tokio::test]
async fn a_recording_is_refused_with_the_root_of_another_instance_and_with_other_bytes() {
    let Some(corpus) = corpus() else { return };
    let mut tried = 0;
    for recorded in recordings() {
        let foreign = if recorded.is_staged(&corpus) {
            TRUSTED_ROOT
        } else {
            STAGING
        };
        let judged = recorded.judged(&corpus, foreign, |_bytes| {}).await;
        assert_eq!(judged.verdict.status, Mismatch, "{} with {foreign}", recorded.path);
        if recorded.bytes(&corpus).is_some() {
            let swap = |bytes: &mut Vec<u8>| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            };
            let judged = recorded.judged(&corpus, recorded.root(&corpus), swap).await;
            assert_eq!(judged.verdict.status, Mismatch, "{} with other bytes", recorded.path);
            tried += 1;
        }
    }
    assert!(tried >= 8, "{tried}");
}

/// Both files of one version, as they were recorded.
#[tokio::test]
async fn a_version_of_two_recorded_files_is_attested_as_both_are() {
    let Some(corpus) = corpus() else { return };
    let all = recordings();
    let files = [
        "attestations/sampleproject-4.0.0-py3",
        "provenance/sampleproject-4.0.0.tar.gz",
    ]
    .map(|part| all.iter().find(|recorded| recorded.path.contains(part)).unwrap());
    let mut published = files[0].publish(&corpus, |_bytes| {});
    published.files.extend(files[1].publish(&corpus, |_bytes| {}).files);
    let judge = judge(corpus.trust(NPM_KEYS).unwrap());
    let fetch = ScenarioFetch::new(Arc::new(Scenario::new().published(published)));
    let coordinate = files[0].purl().parse().unwrap();
    let dossier = look(&judge, &fetch, &no_address(), &coordinate, now()).await.unwrap();
    let verdict = decide(&judge, dossier, &Memory::default(), now()).verdict;
    let told: Vec<(&str, Status)> = verdict
        .artifacts
        .iter()
        .map(|file| (file.name.as_str(), file.status))
        .collect();
    let expected = [
        ("sampleproject-4.0.0-py3-none-any.whl", Attested),
        ("sampleproject-4.0.0.tar.gz", Attested),
    ];
    assert_eq!((verdict.status, told), (Attested, expected.to_vec()));
}
