//! What is verified: recorded cases, each of which is everything that its verdict is a function of.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hekate::attestation::{SavedTrust, TrustMaterial, TrustOrigin};
use hekate::dossier::Dossier;
use hekate::package::Digest;
use hekate::policy::Policy;
use hekate::ports::Memory;
use hekate::verdict::VerifierIdentity;
use hekate::verifier::{Case, Judge};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::{BASE_TIME, Release, Scenario};

use crate::registry::{collect, package_json};

/// A case with a name for people.
pub(crate) struct Specimen {
    /// What it is, in a few words.
    pub(crate) name: String,
    /// The case.
    pub(crate) case: Case,
}

/// When all verdicts are made: a day after the newest generated release.
fn now() -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24)
}

/// One generated release for each shape in which npm's responses come.
pub(crate) fn generated() -> anyhow::Result<Vec<Specimen>> {
    [
        ("generated, 2026", Release::honest("@acme/widget", "1.2.3")),
        ("generated, 2023", Release::honest_of_2023("goggles", "1.0.5")),
        (
            "generated, Rekor v2",
            Release::honest("@acme/tiles", "2.0.0").rekor_v2(),
        ),
    ]
    .into_iter()
    .map(|(name, release)| released(name, release))
    .collect()
}

/// The case of a generated release.
pub(crate) fn released(name: &str, release: Release) -> anyhow::Result<Specimen> {
    let purl = release.purl();
    let scenario = Scenario::new().release(release);
    let trust = SavedTrust {
        github_root: None,
        is_github_root_given: false,
        origin: TrustOrigin::Files,
        trusted_root: scenario.world().trusted_root().to_string(),
        npm_keys: scenario.world().npm_keys().to_string(),
    };
    let dossier = collect(&purl, now(), move |path| {
        let reply = scenario.npm_response(path);
        (reply.status, reply.bytes().unwrap_or_default().to_vec())
    })?;
    specimen(name, dossier, &trust)
}

/// Real npm packages, from a folder of recorded responses.
///
/// Attestations and tarball are as npm served them. Their packuments were not recorded, so they are made from the
/// tarball's own manifest and digest: without a registry signature, which nobody but npm could make.
pub(crate) fn recorded(corpus: &Path) -> anyhow::Result<Vec<Specimen>> {
    let trust = SavedTrust {
        github_root: None,
        is_github_root_given: false,
        origin: TrustOrigin::Files,
        trusted_root: text(&corpus.join("trust/trusted_root.public-good.2026-07.json"))?,
        npm_keys: text(&corpus.join("npm/keys/keys.json"))?,
    };
    [("@playwright/cli", "0.1.1"), ("sigstore", "2.3.1")]
        .into_iter()
        .map(|(name, version)| {
            let file = format!("{}@{version}", name.replace('/', "__"));
            let attestations = bytes(&corpus.join(format!("npm/attestations/{file}.json")))?;
            let tarball = bytes(&corpus.join(format!("npm/tarballs/{file}.tgz")))?;
            let packument = packument(name, version, &tarball)?.to_string().into_bytes();
            let dossier = collect(&format!("npm:{name}@{version}"), now(), move |path| {
                let document = if path.starts_with("/-/npm/v1/attestations/") {
                    &attestations
                } else if path.contains("/-/") {
                    &tarball
                } else {
                    &packument
                };
                (200, document.clone())
            })?;
            specimen(&format!("{name}@{version}"), dossier, &trust)
        })
        .collect()
}

fn specimen(name: &str, dossier: Dossier, trust: &SavedTrust) -> anyhow::Result<Specimen> {
    let judge = Judge {
        trust: TrustMaterial::from_saved(trust)?,
        policy: Policy::default(),
        verifier: VerifierIdentity {
            id: "benchmark".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    };
    Ok(Specimen {
        name: name.to_owned(),
        case: Case::new(&judge, dossier, Memory::default(), now()),
    })
}

fn packument(name: &str, version: &str, tarball: &[u8]) -> anyhow::Result<Value> {
    let manifest = package_json(tarball)?.context("the tarball has no package.json")?;
    let mut manifest: Value = serde_json::from_slice(&manifest)?;
    let members = manifest.as_object_mut().context("package.json is not an object")?;
    let integrity = format!("sha512-{}", STANDARD.encode(Digest::sha512_of(tarball).as_bytes()));
    members.insert(
        "dist".to_owned(),
        json!({"integrity": integrity, "attestations": {"provenance": {"predicateType": "https://slsa.dev/provenance/v1"}}}),
    );
    Ok(json!({"name": name, "dist-tags": {"latest": version}, "versions": {version: manifest}}))
}

fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
