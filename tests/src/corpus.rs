//! The corpus of recordings, as registries that can be asked.
//!
//! The corpus is no part of the repository: the variable `HEKATE_CORPUS` names its folder, and nothing of it is copied.
//! What is expected of a recording stands in the corpus's own index.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hekate::attestation::{TrustMaterial, TrustOrigin};
use hekate::package::{Coordinate, Digest, PackageVersion, Selector};
use hekate::verdict::Status;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::attestation::PUBLISH;
use testbed::{Answer, Published, Release, Scenario, World};

use crate::fetch::{manifest_in, sha1_of};

/// The variable that names the corpus's folder.
pub const VARIABLE: &str = "HEKATE_CORPUS";
/// The trusted root that the npm recordings are judged by, within the corpus.
pub const TRUSTED_ROOT: &str = "trust/trusted_root.public-good.2025-09.json";
/// npm's current keys, within the corpus.
pub const NPM_KEYS: &str = "npm/keys/keys.json";

/// A row of the index.
#[derive(Clone, Debug)]
pub struct Row {
    /// The file, relative to the corpus.
    pub path: String,
    /// What kind of file it is.
    pub kind: String,
    /// The purl that it concerns; without a version where it concerns none.
    pub package: String,
    /// What its source says about it.
    pub expected_verdict: String,
}

/// The corpus.
#[derive(Debug)]
pub struct Corpus {
    root: PathBuf,
    /// The index, without rows of duplicates.
    pub rows: Vec<Row>,
}

/// What has to come of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This status.
    Exactly(Status),
    /// Anything but `attested` and `verified`: the source gives no verdict.
    NotAccepted,
}

/// One recording as a registry.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The file or files, relative to the corpus.
    pub name: String,
    /// The version that it concerns.
    pub package: PackageVersion,
    /// What has to come of it.
    pub expected: Expected,
    /// What the registry serves of the version.
    pub published: Published,
}

impl Expected {
    /// What the index's text amounts to.
    fn of_verdict(text: &str) -> Self {
        if text.starts_with("valid") {
            Self::Exactly(Status::Attested)
        } else if text.starts_with("invalid") || text.starts_with("crypto valid") && text.contains("invalid") {
            Self::Exactly(Status::Mismatch)
        } else {
            Self::NotAccepted
        }
    }

    /// Whether a status is what was expected.
    pub fn is_met_by(self, status: Status) -> bool {
        match self {
            Self::Exactly(expected) => status == expected,
            Self::NotAccepted => !matches!(status, Status::Attested | Status::Verified),
        }
    }

    /// The status, or `not accepted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exactly(status) => status.as_str(),
            Self::NotAccepted => "not accepted",
        }
    }
}

impl Recording {
    /// The recording alone, as a scenario.
    pub fn scenario(&self) -> Scenario {
        Scenario::new().published(self.published.clone())
    }
}

impl Corpus {
    /// The corpus that the environment names, if it names one.
    pub fn from_environment() -> Result<Option<Self>> {
        std::env::var_os(VARIABLE)
            .filter(|path| !path.is_empty())
            .map(|path| Self::open(&path))
            .transpose()
    }

    /// The corpus in a folder.
    pub fn open(root: impl AsRef<OsStr>) -> Result<Self> {
        let root = PathBuf::from(root.as_ref());
        let index = root.join("INDEX.tsv");
        let text = std::fs::read_to_string(&index).with_context(|| format!("{} cannot be read", index.display()))?;
        let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let header = lines.next().unwrap_or_default();
        let column = |name: &str| {
            let position = header.iter().position(|title| *title == name);
            position.with_context(|| format!("the index has no column {name}"))
        };
        let (path, kind, package) = (column("path")?, column("kind")?, column("package")?);
        let (verdict, same_as) = (column("expected_verdict")?, column("same_as")?);
        let rows = lines
            .filter_map(|fields| {
                let field = |index: usize| fields.get(index).map(|text| (*text).to_owned());
                let row = Row {
                    path: field(path)?,
                    kind: field(kind)?,
                    package: field(package)?,
                    expected_verdict: field(verdict)?,
                };
                let is_duplicate = field(same_as).is_some_and(|text| !text.is_empty());
                (!is_duplicate || root.join(&row.path).exists()).then_some(row)
            })
            .collect();
        Ok(Self { root, rows })
    }

    /// Where a file is.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The bytes of a file.
    pub fn read(&self, relative: &str) -> Result<Vec<u8>> {
        let path = self.path(relative);
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// A JSON file.
    pub fn json(&self, relative: &str) -> Result<Value> {
        serde_json::from_slice(&self.read(relative)?).with_context(|| format!("{relative} is not JSON"))
    }

    /// The material that the recordings are judged by, with these keys of npm.
    pub fn trust(&self, npm_keys: &str) -> Result<TrustMaterial> {
        let root = String::from_utf8(self.read(TRUSTED_ROOT)?)?;
        let keys = String::from_utf8(self.read(npm_keys)?)?;
        Ok(TrustMaterial::new(&root, &keys, TrustOrigin::Files)?)
    }

    /// The rows of these kinds below a folder.
    pub fn below<'a>(&'a self, folder: &'a str, kinds: &'a [&str]) -> impl Iterator<Item = &'a Row> {
        self.rows
            .iter()
            .filter(move |row| row.path.starts_with(folder) && kinds.contains(&row.kind.as_str()))
    }

    /// Every recorded answer about attestations, genuine and tampered.
    pub fn responses(&self) -> Result<Vec<Recording>> {
        self.below("npm/", &["npm-attestations-response", "npm-attestations-array"])
            .map(|row| {
                let bytes = self.read(&row.path)?;
                let served: Value = serde_json::from_slice(&bytes)?;
                let (served, bytes) = if served.is_array() {
                    let wrapped = json!({"attestations": served});
                    let bytes = wrapped.to_string().into_bytes();
                    (wrapped, bytes)
                } else {
                    (served, bytes)
                };
                self.recording(row, &row.path, &served, bytes)
            })
            .collect()
    }

    /// Answers that are composed of a provenance and a publish attestation of one version that are stored apart.
    pub fn composed(&self) -> Result<Vec<Recording>> {
        let mut by_package: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.below("npm/bundles/", &["sigstore-bundle"]) {
            by_package.entry(&row.package).or_default().push(row);
        }
        let mut recordings = Vec::new();
        for rows in by_package.into_values() {
            let mut items = Vec::new();
            for row in &rows {
                let bundle = self.json(&row.path)?;
                let label = statement_of(&bundle).get("predicateType").cloned().unwrap_or_default();
                items.push(json!({"predicateType": label, "bundle": bundle}));
            }
            let labels: BTreeSet<bool> = items
                .iter()
                .map(|item| item.get("predicateType").and_then(Value::as_str) == Some(PUBLISH))
                .collect();
            if let ([row, ..], 2) = (rows.as_slice(), labels.len()) {
                let names: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
                let served = json!({"attestations": items});
                let bytes = served.to_string().into_bytes();
                recordings.push(self.recording(row, &names.join(" + "), &served, bytes)?);
            }
        }
        Ok(recordings)
    }

    /// Recorded manifests of versions whose attestations were not recorded, so that nothing of them can be decided.
    pub fn manifests(&self) -> Result<Vec<Recording>> {
        self.below("npm/metadata/", &["npm-version-manifest"])
            .map(|row| {
                let package: PackageVersion = row.package.parse()?;
                let expected = Expected::Exactly(Status::Indeterminate);
                self.serve(&row.path, package, expected, None, None)
            })
            .collect()
    }

    fn recording(&self, row: &Row, name: &str, served: &Value, bytes: Vec<u8>) -> Result<Recording> {
        let answer = Answer::Body {
            status: 200,
            content_type: "application/json".to_owned(),
            bytes,
        };
        let package = version_of(&row.package, served)?;
        let expected = Expected::of_verdict(&row.expected_verdict);
        let published_at = log_times(served)
            .max()
            .map(|logged| logged + SignedDuration::from_secs(1));
        self.serve(name, package, expected, Some(answer), published_at)
    }

    /// A version with its tarball and manifest, as far as the corpus has them. Where the time of publication is not known
    /// either, it is served as mirrors do that have no packuments.
    fn serve(
        &self,
        name: &str,
        package: PackageVersion,
        expected: Expected,
        attestations: Option<Answer>,
        published_at: Option<Timestamp>,
    ) -> Result<Recording> {
        let file = |kind: &str| {
            let purl = package.to_purl();
            self.rows.iter().find(|row| row.kind == kind && row.package == purl)
        };
        let tarball = file("npm-tarball").map(|row| self.read(&row.path)).transpose()?;
        let excerpt = file("npm-version-manifest")
            .map(|row| self.json(&row.path))
            .transpose()?;
        let manifest = match excerpt {
            Some(manifest) => manifest,
            None => manifest_of(&package, tarball.as_deref())?,
        };
        let mut release = Release::honest(package.name().as_str(), package.version())
            .unattested()
            .attestation_answer(attestations.unwrap_or(Answer::Status(404, None)));
        if published_at.is_none() {
            release = release.packument_answer(Answer::Status(404, None));
        }
        if tarball.is_none() {
            release = release.tarball_answer(Answer::Status(404, None));
        }
        let mut published = release.publish(&World::shared());
        published.manifest = manifest;
        published.tarball = tarball.unwrap_or_default();
        if let Some(published_at) = published_at {
            published.published_at = published_at;
        }
        Ok(Recording {
            name: name.to_owned(),
            package,
            expected,
            published,
        })
    }
}

/// The manifest of an attested version of which only the tarball is known.
fn manifest_of(package: &PackageVersion, tarball: Option<&[u8]>) -> Result<Value> {
    let (name, version) = (package.name().as_str(), package.version());
    let base = package.name().scope_and_name().1;
    let mut dist = json!({
        "tarball": format!("{}/{name}/-/{base}-{version}.tgz", testbed::npm::REGISTRY),
        "attestations": {"provenance": {}},
    });
    let mut manifest = json!({"name": name, "version": version});
    if let Some(bytes) = tarball {
        let integrity = STANDARD.encode(Digest::sha512_of(bytes).as_bytes());
        insert(&mut dist, "integrity", json!(format!("sha512-{integrity}")));
        insert(&mut dist, "shasum", json!(sha1_of(bytes).to_hex()));
        let inner = manifest_in(bytes)?.ok_or_else(|| io::Error::other("a tarball without a manifest"))?;
        let inner: Value = serde_json::from_slice(&inner)?;
        if let Some(repository) = inner.get("repository") {
            insert(&mut manifest, "repository", repository.clone());
        }
    }
    insert(&mut manifest, "dist", dist);
    Ok(manifest)
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// The statement inside a bundle, unverified; null where there is none.
fn statement_of(bundle: &Value) -> Value {
    bundle
        .pointer("/dsseEnvelope/payload")
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|payload| serde_json::from_slice(&payload).ok())
        .unwrap_or_default()
}

fn bundles(served: &Value) -> impl Iterator<Item = &Value> {
    let items = served
        .get("attestations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items.filter_map(|item| item.get("bundle"))
}

fn log_times(served: &Value) -> impl Iterator<Item = Timestamp> {
    bundles(served).filter_map(|bundle| {
        let text = bundle.pointer("/verificationMaterial/tlogEntries/0/integratedTime")?;
        Timestamp::from_second(text.as_str()?.parse().ok()?).ok()
    })
}

/// The version of a row; of one that names none, the version that its attestations name.
fn version_of(purl: &str, served: &Value) -> Result<PackageVersion> {
    let coordinate: Coordinate = purl.parse()?;
    if let Selector::Version(version) = &coordinate.selector {
        return Ok(PackageVersion::new(coordinate.name.clone(), version)?);
    }
    let statements: Vec<Value> = bundles(served).map(statement_of).collect();
    let subjects = statements.iter().filter_map(|statement| {
        let named: PackageVersion = statement.pointer("/subject/0/name")?.as_str()?.parse().ok()?;
        (*named.name() == coordinate.name).then_some(named)
    });
    match subjects.into_iter().next() {
        Some(package) => Ok(package),
        None => bail!("neither {purl} nor its attestations name a version"),
    }
}
