//! How a package was released before: what each earlier release proved about itself.
//!
//! Dated by publication. What a release proved comes from its authenticated certificate; a value that comes from elsewhere
//! says so in its name. Releases without an attestation are part of it: that there was none is remembered, too.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::attestation::CertificateIdentity;
use crate::ecosystem::PublishMode;

/// How many accepted releases of a package are an input of the checks: the newest, of stable and of prereleases each.
pub const LIMIT: usize = 64;

/// How many other releases of the same publisher are an input of the checks: the newest.
pub const SIBLINGS: usize = 200;

/// How many earlier releases make a habit whose absence is telling.
pub const ESTABLISHED: usize = 3;

/// How much older a release has to be than the one that is judged before it teaches anything that nobody has judged: the
/// releases of one attack teach nothing about each other.
pub const SETTLED: SignedDuration = SignedDuration::from_hours(24);

/// Releases of one package or publisher within this time are one burst.
pub const BURST: SignedDuration = SignedDuration::from_mins(30);

/// How many releases in a row, over how long, end a habit.
pub const ENDED: (usize, SignedDuration) = (5, SignedDuration::from_hours(30 * 24));

/// A line of releases that is kept up for itself. Which one a version is on is a rule of its ecosystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Line {
    /// A major version, or a minor one of those before the first; prereleases apart from both.
    Numbered {
        /// What outranks the major version, where the ecosystem has such (PEP 440, "version epochs"); otherwise 0.
        epoch: u64,
        /// The major version.
        major: u64,
        /// The minor version, where that makes the line; otherwise 0.
        minor: u64,
        /// Whether these are prereleases.
        prerelease: bool,
    },
    /// The one line of a package of which only the latest version is kept up.
    Only,
}

impl Line {
    /// The line of a version with these numbers.
    pub fn numbered(epoch: u64, major: u64, minor: u64, prerelease: bool) -> Self {
        Self::Numbered {
            epoch,
            major,
            minor: if major == 0 { minor } else { 0 },
            prerelease,
        }
    }

    /// The line of releases that this line leads to or is: the same without regard to prereleases.
    #[must_use]
    pub fn of_releases(self) -> Self {
        match self {
            Self::Numbered {
                epoch, major, minor, ..
            } => Self::Numbered {
                epoch,
                major,
                minor,
                prerelease: false,
            },
            Self::Only => Self::Only,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Numbered {
            epoch,
            major,
            minor,
            prerelease,
        } = *self
        else {
            return formatter.write_str("all versions");
        };
        if epoch > 0 {
            write!(formatter, "{epoch}!")?;
        }
        match major {
            0 => write!(formatter, "0.{minor}.x")?,
            major => write!(formatter, "{major}.x")?,
        }
        formatter.write_str(if prerelease { " (prereleases)" } else { "" })
    }
}

/// What releases are made for: everybody, or whoever asks for the prereleases of one name, such as `next` or `canary`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Everybody.
    Stable,
    /// Prereleases of this name; empty for those that have numbers alone.
    Prerelease(String),
}

impl Channel {
    /// Whether it is the channel of everybody.
    pub fn is_stable(&self) -> bool {
        match self {
            Self::Stable => true,
            Self::Prerelease(_) => false,
        }
    }
}

/// Whether these times, in any order, hold so many at the end of a habit as end it: `count` of the newest, over `over`.
pub fn is_ended(times: &[Timestamp]) -> bool {
    let (count, over) = ENDED;
    match (times.iter().max(), times.iter().min()) {
        (Some(newest), Some(oldest)) => times.len() >= count && newest.duration_since(*oldest) >= over,
        (_, _) => false,
    }
}

/// How much was released within a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// How many releases.
    pub releases: usize,
    /// Of how many different kinds: lines, or packages.
    pub kinds: usize,
}

impl Crowd {
    /// The most of both that any span of this length holds, of those that `is_counted` accepts by their ends.
    ///
    /// The items are releases with what kind each is of, in any order; a span begins with a release.
    pub fn densest<K: Ord + Clone>(
        items: &[(Timestamp, K)],
        span: SignedDuration,
        is_counted: impl Fn(Timestamp, Timestamp) -> bool,
    ) -> Self {
        let mut sorted: Vec<&(Timestamp, K)> = items.iter().collect();
        sorted.sort();
        let mut densest = Self::default();
        for (index, (begin, _)) in sorted.iter().enumerate() {
            let within: Vec<_> = sorted
                .iter()
                .skip(index)
                .take_while(|(at, _)| at.duration_since(*begin) <= span)
                .collect();
            let end = within.last().map_or(*begin, |(at, _)| *at);
            if is_counted(*begin, end) {
                let kinds: BTreeSet<&K> = within.iter().map(|(_, kind)| kind).collect();
                densest.releases = densest.releases.max(within.len());
                densest.kinds = densest.kinds.max(kinds.len());
            }
        }
        densest
    }
}

/// What one release proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and rows hold them by these names"
)]
pub struct PastRelease {
    /// The version.
    pub version: String,
    /// Whether later releases are compared with it: no attack becomes a habit, not even one that is told late, and nothing
    /// is learnt while a question about the run or the source has no answer.
    pub accepted: bool,
    /// Whether its verdict kept everybody from using it. Such a release is no evidence of anything, while one that is merely
    /// not learnt from was attested all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// When it was published; when it was signed, where the registry does not say.
    pub published_at: Timestamp,
    /// Whether a provenance was authenticated of any of its files. Where it was not, every value from a certificate is missing.
    #[serde(default = "yes")]
    pub attested: bool,
    /// Whether that is so of some of its files alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_part: bool,
    /// How it was published, as the registry's metadata claims: nobody signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_publish_mode: Option<PublishMode>,
    /// Who published it, as the registry's metadata claims: nobody signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_publisher: Option<String>,
    /// Certificate .12: the repository, by the name that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Certificate .15: the forge's id of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// Certificate .17: the forge's id of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Certificate .18: path of the workflow that was triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Certificate .14: the ref that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Certificate .20: the event that triggered the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Certificate .23: the deployment environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Certificate .11: the runner environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Certificate .9: the workflow that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The actor of the run, as GitHub showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_actor: Option<String>,
    /// The step that was running when the provenance was signed, in a run that ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_publish_step: Option<String>,
    /// Whether GitHub showed the commit's signature as verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_verified: Option<bool>,
    /// Whether the commit came through a pull request that was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_through_pull_request: Option<bool>,
    /// Whether a tag for the version led to the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagged: Option<bool>,
}

impl PastRelease {
    /// A release of which nothing is known but that it was published, and that nothing attests it.
    pub fn unattested(version: impl Into<String>, published_at: Timestamp) -> Self {
        Self {
            version: version.into(),
            accepted: true,
            refused: false,
            published_at,
            attested: false,
            in_part: false,
            declared_publish_mode: None,
            declared_publisher: None,
            repository: None,
            repository_id: None,
            owner_id: None,
            workflow: None,
            r#ref: None,
            trigger: None,
            environment: None,
            runner: None,
            signer: None,
            run_actor: None,
            run_publish_step: None,
            commit_verified: None,
            commit_through_pull_request: None,
            tagged: None,
        }
    }

    /// The same release, attested by an authentic certificate.
    #[must_use]
    pub fn attested_by(self, certificate: &CertificateIdentity) -> Self {
        Self {
            attested: true,
            repository: certificate.source_repository_uri.clone(),
            repository_id: certificate.source_repository_identifier.clone(),
            owner_id: certificate.source_repository_owner_identifier.clone(),
            workflow: certificate.workflow_path(),
            r#ref: certificate.source_repository_ref.clone(),
            trigger: certificate.build_trigger.clone(),
            environment: certificate.deployment_environment.clone(),
            runner: certificate.runner_environment.clone(),
            signer: certificate.signer().map(str::to_owned),
            ..self
        }
    }
}

/// Rows without the word are of authenticated releases: no others were kept when they were written.
fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn five_releases_over_thirty_days_end_a_habit() {
        let days = |days: &[i64]| -> Vec<Timestamp> { days.iter().map(|day| at(day * 24 * 60)).collect() };
        assert!(is_ended(&days(&[0, 7, 15, 22, 30])));
        assert!(!is_ended(&days(&[0, 7, 15, 22, 29])));
        assert!(!is_ended(&days(&[0, 10, 20, 40])));
        assert!(!is_ended(&[]));
    }

    #[test]
    fn a_crowd_is_as_large_as_the_densest_span() {
        let items = [
            (at(0), "a"),
            (at(10), "b"),
            (at(29), "a"),
            (at(31), "c"),
            (at(100), "d"),
        ];
        let span = SignedDuration::from_mins(30);
        let any = Crowd::densest(&items, span, |_, _| true);
        assert_eq!(any, Crowd { releases: 3, kinds: 3 });
        let early = Crowd::densest(&items, span, |_, end| end < at(30));
        assert_eq!(early, Crowd { releases: 3, kinds: 2 });
        assert_eq!(Crowd::densest(&items[..0], span, |_, _| true), Crowd::default());
    }
}
