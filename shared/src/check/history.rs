//! The family `hist`: how the version was released, against the package's own past.
//!
//! That earlier releases were attested counts only where it was verified. How a version was published, and by which account,
//! is what the registry says: these values are claims, compared with claims.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::correlate::{Evidence, not_run};
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::authenticate::Authenticated;
use crate::availability::Availability;
use crate::ecosystem::{Metadata, OtherVersion, PublishMode};
use crate::history::{BURST, Crowd, ESTABLISHED, Line, PastRelease, SETTLED, is_ended};

/// How many versions of a package at once are a burst.
const MANY_VERSIONS: usize = 3;
/// How many lines of a package at once are a burst.
const MANY_LINES: usize = 2;
/// How many packages of a publisher at once are a burst.
const MANY_PACKAGES: usize = 5;

/// An earlier version, by what the registry or the memory says of how it was published.
struct Earlier<'a> {
    version: &'a str,
    published_at: Timestamp,
    mode: Option<&'a PublishMode>,
    publisher: Option<&'a str>,
    /// Whether the registry says that it is attested, or it proved to be.
    attested: bool,
    /// Whether it teaches anything: old enough, and not refused by an earlier verdict.
    teaches: bool,
}

impl Evidence<'_> {
    /// Earlier versions of which more than the time is known, newest first.
    fn earlier(&self) -> Vec<Earlier<'_>> {
        let metadata = self.authenticated.release.metadata.present();
        let published = self.published_at();
        let is_old = |at: Timestamp| published.is_none_or(|published| published.duration_since(at) >= SETTLED);
        let past = self.past();
        let remembered: BTreeMap<&str, &PastRelease> = past
            .iter()
            .map(|release| (release.version.as_str(), *release))
            .collect();
        let listed = metadata.into_iter().flat_map(|metadata| &metadata.earlier);
        let mut earlier: BTreeMap<&str, Earlier<'_>> = remembered
            .values()
            .map(|release| Earlier {
                version: &release.version,
                published_at: release.published_at,
                mode: release.declared_publish_mode.as_ref(),
                publisher: release.declared_publisher.as_deref(),
                attested: release.attested,
                teaches: release.accepted && is_old(release.published_at),
            })
            .map(|earlier| (earlier.version, earlier))
            .collect();
        for (other, told) in listed.filter_map(|other| Some((other, other.described.as_ref()?))) {
            let known = remembered.get(other.version.as_str());
            earlier.insert(
                &other.version,
                Earlier {
                    version: &other.version,
                    published_at: other.published_at,
                    mode: told.publish_mode.as_ref(),
                    publisher: told.publisher.as_deref(),
                    attested: told.announces_attestations || known.is_some_and(|known| known.attested),
                    teaches: is_old(other.published_at) && known.is_none_or(|known| known.accepted),
                },
            );
        }
        let mut earlier: Vec<Earlier<'_>> = earlier.into_values().collect();
        earlier.sort_by(|one, other| (other.published_at, other.version).cmp(&(one.published_at, one.version)));
        earlier
    }

    fn own_line(&self) -> Option<Line> {
        self.line(self.authenticated.release.package.version())
    }

    /// Whether a version is on this line, if it is one.
    fn is_on(&self, own: Option<Line>, version: &str) -> bool {
        own.is_some() && self.line(version) == own
    }

    /// Another file of the version that an authentic provenance is about. One that came a day later or more says nothing of
    /// those before it: a wheel for a new interpreter is attested beside files that are older than attestations.
    fn attested_sibling(&self) -> Option<&str> {
        let published = |one: &Authenticated| one.release.metadata.present()?.published_at;
        let own = published(self.authenticated);
        let came_later = |sibling: &Authenticated| {
            own.zip(published(sibling))
                .is_some_and(|(own, theirs)| theirs.duration_since(own) >= SETTLED)
        };
        let is_attested = |sibling: &&&Authenticated| {
            let examination = sibling.examination.present();
            examination.is_some_and(|examination| !examination.authentic_provenances().is_empty())
        };
        let sibling = self
            .siblings
            .iter()
            .find(|sibling| is_attested(sibling) && !came_later(sibling))?;
        Some(&sibling.release.about)
    }

    /// What is remembered of this very version, if every file of it was attested.
    fn was_attested(&self) -> Option<&PastRelease> {
        let own = self.authenticated.release.package.version();
        let mut history = self.memory.history.iter();
        history.find(|past| past.version == own && past.attested && !past.in_part && !past.refused)
    }

    /// Passes the question on if the registry authoritatively has no attestation of the version.
    fn without_attestation(&self, check: CheckId) -> Result<(), Finding> {
        match &self.authenticated.examination {
            Availability::Absent { .. } => Ok(()),
            Availability::Present(examination) if examination.authentic_provenances().is_empty() => {
                Err(not_run(check, "no provenance was authenticated"))
            }
            Availability::Present(_) => Err(Finding::new(
                check,
                Outcome::Pass(None),
                "the release itself has an authentic provenance",
            )),
            Availability::Unavailable(trouble) => Err(Finding::unavailable(check, trouble)),
        }
    }

    /// What the registry says of the version, if it says when it was published.
    fn dated(&self, check: CheckId) -> Result<(&Metadata, Timestamp), Finding> {
        match &self.authenticated.release.metadata {
            Availability::Present(metadata) => match metadata.published_at {
                Some(published_at) => Ok((metadata, published_at)),
                None => Err(Finding::new(
                    check,
                    Outcome::Unknown(UnknownReason::Stripped),
                    "the metadata does not tell when versions were published",
                )),
            },
            Availability::Absent { because } => Err(Finding::new(
                check,
                Outcome::Unknown(UnknownReason::NotRetained),
                because.clone(),
            )),
            Availability::Unavailable(trouble) => Err(Finding::unavailable(check, trouble)),
        }
    }
}

macro_rules! attempt {
    ($question:expr) => {
        match $question {
            Ok(answer) => answer,
            Err(finding) => return finding,
        }
    };
}

/// Whether a habit of attesting was given up: since the last release that had an attestation, by proof or by what the registry
/// says, there were enough without for long enough.
fn has_given_up(earlier: &[Earlier<'_>]) -> bool {
    let since: Vec<Timestamp> = earlier
        .iter()
        .take_while(|earlier| !earlier.attested)
        .map(|earlier| earlier.published_at)
        .collect();
    is_ended(&since)
}

/// The finding that nothing is lost as far as is known. What could not be asked about may have been.
fn nothing_lost(evidence: &Evidence<'_>, check: CheckId, announced: bool) -> Finding {
    if evidence.history_has_gaps() && announced {
        let summary =
            "the registry says that earlier releases are attested, and their attestations could not be asked for";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Unreachable), summary);
    }
    let summary = "no such release is known to have been attested before";
    Finding::new(check, Outcome::NotApplicable(Some(Shade::NoHabit)), summary)
}

/// Fails if the registry has no attestation of the version while earlier releases of its line were verified to have one, or
/// other files of the version itself have, or the version itself had: whoever publishes with a stolen token has no build to
/// attest. A line that never had any is calm; one that has given it up long ago is a harmless warning.
pub(super) fn downgrade(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::HistDowngrade;
    attempt!(evidence.without_attestation(check));
    if let Some(sibling) = evidence.attested_sibling() {
        let summary = "other files of this version are attested, and this one is not";
        return Finding::new(check, Outcome::Fail(Some(Shade::Downgraded)), summary)
            .observing("attested file", sibling)
            .observing("registry", "no attestation");
    }
    if let Some(before) = evidence.was_attested() {
        let summary = "this version was attested when it was looked at before, and is not any more";
        return Finding::new(check, Outcome::Fail(Some(Shade::Downgraded)), summary)
            .observing("seen before", format!("attested, {}", before.published_at))
            .observing("registry", "no attestation");
    }
    let own = evidence.own_line();
    // Where only the latest version is kept up, every other that is known came before it.
    if own != Some(Line::Only)
        && let Err(finding) = evidence.dated(check)
    {
        if evidence.attested().any(|past| evidence.is_on(own, &past.version)) {
            let summary = "releases of this line are attested, and whether this one is younger is not told";
            return Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary);
        }
        return finding;
    }
    let named = own.map_or_else(|| "(none)".to_owned(), |own| own.to_string());
    let earlier = evidence.earlier();
    let of_line: Vec<Earlier<'_>> = earlier
        .into_iter()
        .filter(|earlier| evidence.is_on(own, earlier.version))
        .collect();
    let Some(last) = evidence.attested().find(|past| evidence.is_on(own, &past.version)) else {
        return nothing_lost(evidence, check, of_line.iter().any(|earlier| earlier.attested))
            .observing("release line", named);
    };
    let (outcome, summary) = if has_given_up(&of_line) {
        (
            Outcome::Warn(Some(Shade::GivenUp)),
            "releases of this line were attested once, and have not been for long",
        )
    } else {
        (
            Outcome::Fail(Some(Shade::Downgraded)),
            "earlier releases of this line are attested, and this one is not",
        )
    };
    Finding::new(check, outcome, summary)
        .observing("release line", named)
        .observing(
            "last attested release",
            format!("{}, {}", last.version, last.published_at),
        )
        .observing("registry", "no attestation")
}

/// Warns if the registry has no attestation of the version, none of its line is known to have had one, and releases of other
/// lines were verified to have one. Old lines are kept up by hand: it is no more than a warning.
pub(super) fn downgrade_crossline(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::HistDowngradeCrossline;
    attempt!(evidence.without_attestation(check));
    attempt!(evidence.dated(check));
    let own = evidence.own_line();
    if evidence.attested().any(|past| evidence.is_on(own, &past.version)) {
        let summary = "the release line itself was attested";
        return Finding::new(check, Outcome::NotApplicable(None), summary);
    }
    let earlier = evidence.earlier();
    let Some(last) = evidence.attested().next() else {
        return nothing_lost(evidence, check, earlier.iter().any(|earlier| earlier.attested));
    };
    let (shade, summary) = if has_given_up(&earlier) {
        (
            Some(Shade::GivenUp),
            "releases of the package were attested once, and have not been for long",
        )
    } else {
        (None, "releases of other lines are attested, and this one is not")
    };
    Finding::new(check, Outcome::Warn(shade), summary)
        .observing(
            "last attested release",
            format!("{}, {}", last.version, last.published_at),
        )
        .observing("registry", "no attestation")
}

/// Warns if the registry says that the version was published in a less guarded way than the newest release before it, of its
/// line or, where that has none and is no older one, of the package: by a token, say, rather than by a trusted publisher.
pub(super) fn publish_mode_changed(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::HistPublishModeChanged;
    let (metadata, _published_at) = attempt!(evidence.dated(check));
    if !evidence.authenticated.release.terms.names_publishers {
        let summary = "the registry does not say who publishes, or how";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    let Some(mode) = &metadata.publish_mode else {
        let summary = "the metadata does not say how the version was published";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Stripped), summary);
    };
    let finding =
        |outcome, summary: &str| Finding::new(check, outcome, summary).observing("metadata claims", mode.as_str());
    let own = evidence.own_line();
    let known: Vec<(Earlier<'_>, &PublishMode)> = evidence
        .earlier()
        .into_iter()
        .filter_map(|earlier| earlier.mode.map(|mode| (earlier, mode)))
        .collect();
    let teaching = || known.iter().filter(|(earlier, _)| earlier.teaches);
    let of_line = |version: &str| evidence.is_on(own, version);
    let on_own_line = teaching().any(|(earlier, _)| of_line(earlier.version));
    let newest_line = teaching()
        .filter_map(|(earlier, _)| evidence.line(earlier.version))
        .map(Line::of_releases)
        .max();
    if !on_own_line && own.map(Line::of_releases) < newest_line {
        let summary = "an older release line, of which no release is known to compare with";
        return finding(Outcome::NotApplicable(Some(Shade::NoHabit)), summary);
    }
    let is_compared = |version: &str| !on_own_line || of_line(version);
    let Some((last, before)) = teaching().find(|(earlier, _)| is_compared(earlier.version)) else {
        let summary = "no earlier release is known to compare with";
        return finding(Outcome::NotApplicable(Some(Shade::FirstSeen)), summary);
    };
    // Since the last that was better guarded, whatever was thought of those.
    let since: Vec<Timestamp> = known
        .iter()
        .filter(|(earlier, _)| is_compared(earlier.version))
        .take_while(|(_, other)| other.rank() <= mode.rank())
        .map(|(earlier, _)| earlier.published_at)
        .collect();
    let (outcome, summary) = if before.rank() <= mode.rank() {
        (Outcome::Pass(None), "published in no less guarded a way than before")
    } else if is_ended(&since) {
        (
            Outcome::Warn(Some(Shade::GivenUp)),
            "releases were published in a more guarded way once, and have not been for long",
        )
    } else {
        (Outcome::Warn(None), "published in a less guarded way than before")
    };
    finding(outcome, summary)
        .observing(format!("metadata claims of {}", last.version), before.as_str())
        .citing([metadata.evidence.clone()])
}

/// Warns if the registry says that an account published the version that published none of the earlier ones.
///
/// Builds publish as the account of their service, which is everybody's: a project that adopts trusted publishing, or falls
/// back from it, changes no account.
pub(super) fn publisher_changed(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::HistPublisherChanged;
    let (metadata, _published_at) = attempt!(evidence.dated(check));
    if !evidence.authenticated.release.terms.names_publishers {
        let summary = "the registry does not say who publishes, or how";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    let publisher = match (&metadata.publish_mode, &metadata.publisher) {
        (_, Some(publisher)) => publisher.as_str(),
        (Some(_), None) => {
            let summary = "a build service published, under an account that is everybody's";
            return Finding::new(check, Outcome::NotApplicable(Some(Shade::TrustedPublisher)), summary);
        }
        (None, None) => {
            let summary = "the metadata does not say who published";
            return Finding::new(check, Outcome::Unknown(UnknownReason::Stripped), summary);
        }
    };
    let earlier = evidence.earlier();
    let by_accounts: Vec<&Earlier<'_>> = earlier.iter().filter(|earlier| earlier.publisher.is_some()).collect();
    let taught: Vec<&str> = by_accounts
        .iter()
        .filter(|earlier| earlier.teaches)
        .filter_map(|earlier| earlier.publisher)
        .collect();
    let own: Vec<Timestamp> = by_accounts
        .iter()
        .filter(|earlier| earlier.publisher == Some(publisher))
        .map(|earlier| earlier.published_at)
        .collect();
    let (outcome, summary) = if taught.contains(&publisher) || is_ended(&own) {
        (Outcome::Pass(None), "the account published earlier releases")
    } else if taught.len() >= ESTABLISHED {
        (
            Outcome::Warn(None),
            "the account published none of the earlier releases",
        )
    } else {
        (
            Outcome::NotApplicable(Some(Shade::FirstSeen)),
            "too few earlier releases by accounts are known to compare with",
        )
    };
    Finding::new(check, outcome, summary)
        .observing("metadata _npmUser", publisher)
        .citing([metadata.evidence.clone()])
}

/// Warns if more was published at once than usual: several versions or lines of the package, or several packages of its
/// publisher, within half an hour. Stolen tokens are used before they are noticed.
///
/// Many projects do so for good reasons, so that it is compared with what this package and this publisher did at once before,
/// at least half as large. Without enough of a past it is nothing; and of the publisher's packages only those count that were
/// known before, since whoever begins to look at a publisher sees many at once.
pub(super) fn burst(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::HistBurst;
    let (metadata, at) = attempt!(evidence.dated(check));
    let (versions, usual_versions) = of_package(evidence, metadata, at);
    let (packages, usual_packages) = of_publisher(evidence, at);
    let many = |crowd: Crowd| crowd.releases >= MANY_VERSIONS || crowd.kinds >= MANY_LINES;
    let is_usual = |now: usize, usual: usize| usual * 2 >= now;
    let unusual_versions = many(versions)
        && usual_versions.is_some_and(|usual| {
            let as_large = is_usual(versions.releases, usual.releases) && is_usual(versions.kinds, usual.kinds);
            !(many(usual) && as_large)
        });
    let unusual_packages = packages.kinds >= MANY_PACKAGES
        && usual_packages.is_some_and(|usual| !(usual.kinds >= MANY_PACKAGES && is_usual(packages.kinds, usual.kinds)));
    let (outcome, summary) = match (unusual_versions, unusual_packages) {
        (true, _) => (
            Outcome::Warn(None),
            "more versions of the package were published within half an hour than ever before",
        ),
        (false, true) => (
            Outcome::Warn(None),
            "more packages of the publisher were released within half an hour than ever before",
        ),
        (false, false) if usual_versions.is_none() && usual_packages.is_none() => (
            Outcome::NotApplicable(Some(Shade::FirstSeen)),
            "too few earlier releases are known to compare with",
        ),
        (false, false) => (Outcome::Pass(None), "no more was published at once than is usual"),
    };
    let usual = |usual: Option<Crowd>, of: fn(Crowd) -> usize| {
        usual.map_or_else(|| "not known".to_owned(), |crowd| of(crowd).to_string())
    };
    Finding::new(check, outcome, summary)
        .observing("versions within half an hour", versions.releases.to_string())
        .observing(
            "versions, at most before",
            usual(usual_versions, |crowd| crowd.releases),
        )
        .observing("release lines within half an hour", versions.kinds.to_string())
        .observing("packages within half an hour", packages.kinds.to_string())
        .observing("packages, at most before", usual(usual_packages, |crowd| crowd.kinds))
        .citing([metadata.evidence.clone()])
}

/// How many versions and lines of the package were published at once now, and at most before; prereleases with prereleases,
/// since their channels go by clocks of their own.
fn of_package(evidence: &Evidence<'_>, metadata: &Metadata, at: Timestamp) -> (Crowd, Option<Crowd>) {
    let version = evidence.authenticated.release.package.version();
    let is_stable = evidence.own_channel().is_stable();
    let dated = |other: &OtherVersion| (other.published_at, evidence.line(&other.version));
    let listed: Vec<(Timestamp, Option<Line>)> = metadata
        .earlier
        .iter()
        .chain(&metadata.soon_after)
        .filter(|other| evidence.channel(&other.version).is_stable() == is_stable)
        .map(dated)
        .collect();
    at_once(listed, (at, evidence.line(version)), at)
}

/// How many packages of the publisher were released at once now, and at most before.
fn of_publisher(evidence: &Evidence<'_>, at: Timestamp) -> (Crowd, Option<Crowd>) {
    let own = evidence.authenticated.release.package.name();
    let others = || {
        evidence
            .memory
            .siblings
            .iter()
            .filter(|sibling| sibling.package.name() != own)
    };
    let is_known =
        |name| others().any(|sibling| sibling.package.name() == name && is_settled(sibling.published_at, at));
    let listed: Vec<_> = others()
        .filter(|sibling| is_known(sibling.package.name()))
        .map(|sibling| (sibling.published_at, sibling.package.name().clone()))
        .collect();
    at_once(listed, (at, own.clone()), at)
}

fn is_settled(published_at: Timestamp, at: Timestamp) -> bool {
    at.duration_since(published_at) >= SETTLED
}

/// The crowd around a release, and the largest among those that are old enough to teach; `None` if those are too few.
fn at_once<K: Ord + Clone>(others: Vec<(Timestamp, K)>, this: (Timestamp, K), at: Timestamp) -> (Crowd, Option<Crowd>) {
    let settled: Vec<(Timestamp, K)> = others
        .iter()
        .filter(|(published_at, _)| is_settled(*published_at, at))
        .cloned()
        .collect();
    let usual = (settled.len() >= ESTABLISHED).then(|| Crowd::densest(&settled, BURST, |_, _| true));
    let mut all = others;
    all.push(this);
    (
        Crowd::densest(&all, BURST, |begin, end| begin <= at && at <= end),
        usual,
    )
}
