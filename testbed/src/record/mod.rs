//! The record: attacks that happened, packages that only looked like one, and ordinary life, each as a supply chain of its
//! own with the releases before it.
//!
//! The expectation of an entry is what the evidence supports: where it cannot be told from the evidence, the entry says so.

mod attacks;
mod controls;
mod life;
mod python;

use crate::{BASE_TIME, Build, PypiRelease, Releasable, Release, Scenario, github::GitHub, npm::registry::Publisher};
use jiff::{SignedDuration, Timestamp};
use std::{fmt, sync::Arc};

/// What an entry tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// An attack that lost the attestations that there used to be.
    LostAttestation,
    /// An attack with valid attestations, from a pipeline that was taken over.
    HijackedPipeline,
    /// An attack on a package that never was attested.
    NeverAttested,
    /// Real maintainers, who only looked suspicious.
    Control,
    /// What happens every day.
    Life,
}

impl Group {
    /// One letter for attacks, as reports classify them, and a word for the rest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LostAttestation => "A",
            Self::HijackedPipeline => "B",
            Self::NeverAttested => "C",
            Self::Control => "control",
            Self::Life => "life",
        }
    }

    /// Whether the entry tells of an attack.
    pub fn is_attack(self) -> bool {
        match self {
            Self::LostAttestation | Self::HijackedPipeline | Self::NeverAttested => true,
            Self::Control | Self::Life => false,
        }
    }
}

/// One look at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The version.
    pub purl: String,
    /// When.
    pub at: Timestamp,
    /// The status that a verifier should give.
    pub expected: &'static str,
}

/// A change of GitHub before the last look.
pub type Change = Arc<dyn Fn(&mut GitHub) + Send + Sync>;

/// One entry of the record.
#[derive(Clone)]
pub struct Entry {
    /// A short name, without blanks.
    pub name: &'static str,
    /// What it tells of.
    pub group: Group,
    /// What was done, in one line.
    pub told: &'static str,
    /// Makes the supply chain. Each call makes a new one.
    pub scenario: Arc<dyn Fn() -> Scenario + Send + Sync>,
    /// The looks before the one that counts, in their order: what a verifier remembers.
    pub before: Vec<Look>,
    /// What changes then.
    pub change: Option<Change>,
    /// The look that counts.
    pub subject: Look,
    /// Every check of at least medium weight that fails or warns, in the order of a verdict.
    pub signs: &'static [&'static str],
    /// How often GitHub may be asked by the look that counts.
    pub calls: usize,
    /// What the evidence cannot tell, or which checks would.
    pub limits: Option<&'static str>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("name", &self.name)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// The whole record.
pub fn record() -> Vec<Entry> {
    let mut entries = [
        attacks::entries(),
        controls::entries(),
        life::entries(),
        python::entries(),
    ]
    .concat();
    // Those that tell of one thing stand together.
    entries.sort_by_key(|entry| entry.group);
    entries
}

/// The time so many days after the base time.
fn day(days: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24 * days)
}

/// How often GitHub may be asked for a fresh verdict.
const CALLS: usize = 8;
/// How long after its publication a version is looked at, unless an entry says otherwise.
const LATER: SignedDuration = SignedDuration::from_hours(2);

/// The beginning of an entry: what is released, and which version is looked at. Versions before the last one are looked at
/// first, and are expected to be verified if they are attested.
struct Telling {
    entry: Entry,
}

/// A release of whatever registry, as far as it is looked at.
trait Told: Releasable {
    /// The package URL.
    fn purl(&self) -> String;
    /// When it is released.
    fn time(&self) -> Timestamp;
    /// Whether it has attestations.
    fn is_attested(&self) -> bool;
}

impl Told for Release {
    fn purl(&self) -> String {
        self.purl()
    }

    fn time(&self) -> Timestamp {
        self.time()
    }

    fn is_attested(&self) -> bool {
        self.is_attested()
    }
}

impl Told for PypiRelease {
    fn purl(&self) -> String {
        self.purl()
    }

    fn time(&self) -> Timestamp {
        self.time()
    }

    fn is_attested(&self) -> bool {
        self.is_attested()
    }
}

/// Tells of these releases, of which the last one is looked at.
fn tell<R: Told>(
    name: &'static str,
    group: Group,
    told: &'static str,
    releases: impl Fn() -> Vec<R> + Send + Sync + 'static,
) -> Telling {
    let looks: Vec<Look> = releases()
        .iter()
        .map(|release| Look {
            purl: release.purl(),
            at: release.time() + LATER,
            expected: if release.is_attested() {
                "verified"
            } else {
                "unattested"
            },
        })
        .collect();
    let (subject, before) = match looks.split_last() {
        Some((subject, before)) => (subject.clone(), before.to_vec()),
        None => (
            Look {
                purl: String::new(),
                at: BASE_TIME,
                expected: "",
            },
            Vec::new(),
        ),
    };
    Telling {
        entry: Entry {
            name,
            group,
            told,
            scenario: Arc::new(move || releases().into_iter().fold(Scenario::new(), Scenario::release)),
            before,
            change: None,
            subject,
            signs: &[],
            calls: CALLS,
            limits: None,
        },
    }
}

impl Telling {
    /// The status that the last look should give, with every check of at least medium weight that fails or warns.
    fn expects(mut self, status: &'static str, signs: &'static [&'static str]) -> Entry {
        self.entry.subject.expected = status;
        self.entry.signs = signs;
        self.entry
    }

    /// Every look before the last one is expected to give this status.
    fn before(mut self, status: &'static str) -> Self {
        for look in &mut self.entry.before {
            look.expected = status;
        }
        self
    }

    /// The look at this version is expected to give this status.
    fn before_that(mut self, purl: &str, status: &'static str) -> Self {
        for look in self.entry.before.iter_mut().filter(|look| look.purl == purl) {
            look.expected = status;
        }
        self
    }

    /// Nobody looks at the versions that are published this soon before the last one.
    fn not_looked_at_within(mut self, span: SignedDuration) -> Self {
        let last = self.entry.subject.at;
        self.entry.before.retain(|look| last.duration_since(look.at) > span);
        self
    }

    /// When the last look is made.
    fn looked_at(mut self, at: Timestamp) -> Self {
        self.entry.subject.at = at;
        self
    }

    /// A look at the last version, before the one that counts.
    fn looked_at_before(mut self, at: Timestamp, expected: &'static str) -> Self {
        self.entry.before.push(Look {
            purl: self.entry.subject.purl.clone(),
            at,
            expected,
        });
        self
    }

    /// GitHub, before the last look.
    fn then(mut self, change: impl Fn(&mut GitHub) + Send + Sync + 'static) -> Self {
        self.entry.change = Some(Arc::new(change));
        self
    }

    /// How often GitHub may be asked.
    fn calls(mut self, calls: usize) -> Self {
        self.entry.calls = calls;
        self
    }

    /// What the evidence cannot tell.
    fn limits(mut self, limits: &'static str) -> Self {
        self.entry.limits = Some(limits);
        self
    }
}

/// Releases of a package, ten days apart, that end ten days before the base time: built by a push to the default branch
/// that a tag names, or as `edit` says.
fn line(name: &str, versions: &[&str], edit: impl Fn(Release) -> Release) -> Vec<Release> {
    dated(versions)
        .map(|(version, at)| edit(Release::honest(name, version).at(at)))
        .collect()
}

/// The same of a project on PyPI.
fn line_on_pypi(name: &str, versions: &[&str], edit: impl Fn(PypiRelease) -> PypiRelease) -> Vec<PypiRelease> {
    dated(versions)
        .map(|(version, at)| edit(PypiRelease::honest(name, version).at(at)))
        .collect()
}

/// Versions, ten days apart, the last ten days before the base time.
fn dated<'a>(versions: &'a [&'a str]) -> impl Iterator<Item = (&'a str, Timestamp)> {
    let count = i64::try_from(versions.len()).unwrap_or_default();
    versions
        .iter()
        .zip(0..)
        .map(move |(version, index)| (*version, day(10 * (index - count))))
}

/// Releases of a package by hand, a hundred days before those of [`line`].
fn by_hand(name: &str, versions: &[&str], tag: &str) -> Vec<Release> {
    let by_hand = |release: Release| {
        release
            .unattested()
            .published_by(Publisher::maintainer())
            .tag(tag)
            .later(SignedDuration::from_hours(-24 * 100))
    };
    line(name, versions, by_hand)
}

/// A release of a package from the repository of another one, in a run of its own.
fn from_the_repository_of(other: &str, name: &str, version: &str) -> Release {
    Release::honest(name, version).build(|build| {
        let shared = Build::for_package(other, version);
        build.repository = shared.repository;
        build.repository_id = shared.repository_id;
        build.owner_id = shared.owner_id;
        build.git_ref = format!("refs/tags/{name}@{version}");
        build.workflow_ref.clone_from(&build.git_ref);
    })
}

/// The releases, and one more.
fn and<R>(mut releases: Vec<R>, last: R) -> Vec<R> {
    releases.push(last);
    releases
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_entry_has_a_name_of_its_own_a_version_and_an_expectation() {
        let entries = record();
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), entries.len());
        for entry in entries {
            let registries = ["pkg:npm/", "pkg:pypi/"];
            let is_of_one = registries
                .iter()
                .any(|registry| entry.subject.purl.starts_with(registry));
            assert!(is_of_one, "{}", entry.name);
            assert!(!entry.subject.expected.is_empty(), "{}", entry.name);
        }
    }
}
