//! How packages were released before, and the exact answer to each way of going on.
//!
//! Every shape is one test, over the `Fetch` without sockets and over HTTP. The releases before the one that is looked at are
//! on the registry, and nobody has looked at them, unless a shape remembers something.

use std::collections::BTreeSet;

use hekate::availability::UnavailableReason;
use hekate::check::CheckId::*;
use hekate::check::{CheckId, Outcome, Shade, UnknownReason};
use hekate::dossier::{Dossier, Subject};
use hekate::ecosystem::{self, Look};
use hekate::history::PastRelease;
use hekate::ports::{Memory, Sibling};
use hekate::verdict::Status::{Attested, Downgraded, Indeterminate, Mismatch, Suspicious, Unattested, Verified};
use hekate::verdict::{Status, YesNoUnknown};
use hekate::verifier::publisher;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use testbed::npm::registry::Publisher;
use testbed::{Answer, BASE_TIME, Build, Flavour, Release, Scenario, World};

use crate::forge::{habit, minutes};
use crate::shape::{Shape, among, judge, listed, outcome_of, shape};
use crate::theorems::{cases, runs, shuffled};

const PASS: Outcome = Outcome::Pass(None);
const FAIL: Outcome = Outcome::Fail(None);
const WARN: Outcome = Outcome::Warn(None);
const NOT_APPLICABLE: Outcome = Outcome::NotApplicable(None);
const LOST: Outcome = Outcome::Fail(Some(Shade::Downgraded));
const GIVEN_UP: Outcome = Outcome::Warn(Some(Shade::GivenUp));
const ALONE: Outcome = Outcome::Warn(Some(Shade::Alone));
const MOVED: Outcome = Outcome::Warn(Some(Shade::Renamed));
const NO_ATTESTATION: Outcome = Outcome::NotApplicable(Some(Shade::Absent));
const FIRST_SEEN: Outcome = Outcome::NotApplicable(Some(Shade::FirstSeen));
const NO_HABIT: Outcome = Outcome::NotApplicable(Some(Shade::NoHabit));
const A_SERVICE: Outcome = Outcome::NotApplicable(Some(Shade::TrustedPublisher));
const UNREACHABLE: Outcome = Outcome::Unknown(UnknownReason::Unreachable);
const STRIPPED: Outcome = Outcome::Unknown(UnknownReason::Stripped);
const NOT_RUN: Outcome = Outcome::Unknown(UnknownReason::NotRun);
const PRIVATE: Outcome = Outcome::Unknown(UnknownReason::Private);
const MALFORMED: Outcome = Outcome::Unknown(UnknownReason::Malformed);

const NAME: &str = "@acme/widget";
const REPOSITORY: &str = "acme/widget";

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// The release that is looked at.
fn widget() -> Release {
    Release::honest(NAME, "1.2.3")
}

/// A release of it with a token.
fn by_token(version: &str) -> Release {
    Release::honest(NAME, version)
        .unattested()
        .published_by(Publisher::maintainer())
}

/// An attested release of it with a token.
fn attested_by_token(version: &str) -> Release {
    Release::honest(NAME, version).published_by(Publisher::maintainer())
}

/// What an earlier look learnt of the release itself.
fn itself(edit: impl Fn(&mut PastRelease)) -> Vec<PastRelease> {
    habit(1, |before| {
        "1.2.3".clone_into(&mut before.version);
        before.published_at = BASE_TIME;
        edit(before);
    })
}

/// Releases, ten days apart, of which the last is ten days before the base time.
fn before(versions: &[&str], edit: impl Fn(Release) -> Release) -> Vec<Release> {
    let count = i64::try_from(versions.len()).unwrap();
    versions
        .iter()
        .zip(0..)
        .map(|(version, index)| edit(Release::honest(NAME, version).at(BASE_TIME - days(10 * (count - index)))))
        .collect()
}

/// The last of these releases, among them.
fn last_of(releases: Vec<Release>) -> Shape {
    let purl = releases.last().unwrap().purl();
    among(releases.into_iter().fold(Scenario::new(), Scenario::release), &purl)
}

/// This release, after others.
fn after(mut releases: Vec<Release>, last: Release) -> Shape {
    releases.push(last);
    last_of(releases)
}

/// Three attested releases, and then this one.
fn after_attested(last: Release) -> Shape {
    after(before(&["1.0.0", "1.1.0", "1.2.0"], |release| release), last)
}

/// Three releases that are not attested, and then this one.
fn after_unattested(last: Release) -> Shape {
    after(before(&["1.0.0", "1.1.0", "1.2.0"], Release::unattested), last)
}

/// Three attested releases so long ago, as many after them as there are days, and then one more.
fn given_up(since: &[i64]) -> Shape {
    let attested = before(&["1.0.0", "1.0.1", "1.0.2"], |release| {
        release.published_by(Publisher::maintainer()).later(days(-100))
    });
    let mut releases = attested;
    for (index, ago) in since.iter().enumerate() {
        releases.push(by_token(&format!("1.1.{index}")).at(BASE_TIME - days(*ago)));
    }
    after(releases, by_token("1.2.3"))
}

/// Versions of the widget at these minutes before the base time, and one at it.
fn at_once(others: &[(&str, i64)]) -> Vec<Release> {
    let other = |(version, ago): &(&str, i64)| by_token(version).at(BASE_TIME - SignedDuration::from_mins(*ago));
    others.iter().map(other).chain([by_token("1.2.3")]).collect()
}

/// What somebody released, so many minutes before the widget.
fn siblings(of: &[(&str, i64)]) -> Vec<Sibling> {
    of.iter()
        .map(|(package, ago)| Sibling {
            package: package.parse().unwrap(),
            published_at: BASE_TIME - SignedDuration::from_mins(*ago),
        })
        .collect()
}

const A_DAY: i64 = 24 * 60;

/// Other packages of the publisher, released on days of their own and then with the widget.
fn five_at_once() -> Vec<Sibling> {
    siblings(&[
        ("pkg:npm/a@1.0.0", 2 * A_DAY),
        ("pkg:npm/b@1.0.0", 3 * A_DAY),
        ("pkg:npm/c@1.0.0", 4 * A_DAY),
        ("pkg:npm/d@1.0.0", 5 * A_DAY),
        ("pkg:npm/a@1.0.1", 20),
        ("pkg:npm/b@1.0.1", 15),
        ("pkg:npm/c@1.0.1", 10),
        ("pkg:npm/d@1.0.1", 5),
    ])
}

/// The history of a name that somebody else had.
fn of_a_former_owner(past: &mut PastRelease) {
    past.repository_id = Some("1".to_owned());
    past.owner_id = Some("2".to_owned());
}

shapes! {
    // What the line had.
    attested_as_before => after_attested(widget()).is(Verified).finds(HistDowngrade, PASS)
        .finds(HistDowngradeCrossline, PASS).finds(HistPublishModeChanged, PASS)
        .finds(HistPublisherChanged, A_SERVICE).finds(HistBurst, PASS).finds(IdOwnerId, PASS)
        .finds(IdRepoChanged, PASS).finds(IdWorkflowChanged, PASS).finds(IdTriggerNovel, PASS).finds(IdRefNovel, PASS)
        .finds(IdRefDisttagMismatch, PASS);
    attested_for_the_first_time => after_unattested(widget()).is(Verified).finds(HistDowngrade, PASS)
        .finds(HistPublishModeChanged, PASS).finds(IdRepoChanged, FIRST_SEEN).finds(IdWorkflowChanged, FIRST_SEEN);
    never_attested => after_unattested(by_token("1.2.3")).is(Unattested).finds(HistDowngrade, NO_HABIT)
        .finds(HistDowngradeCrossline, NO_HABIT).finds(HistPublishModeChanged, PASS).finds(HistPublisherChanged, PASS)
        .finds(HistBurst, PASS).finds(IdOwnerId, NO_ATTESTATION);
    a_first_version => shape(by_token("1.2.3")).is(Unattested).finds(HistDowngrade, NO_HABIT)
        .finds(HistPublishModeChanged, FIRST_SEEN).finds(HistPublisherChanged, FIRST_SEEN)
        .finds(HistBurst, FIRST_SEEN);
    lost => after_attested(by_token("1.2.3")).is(Downgraded).finds(HistDowngrade, LOST)
        .finds(HistDowngradeCrossline, NOT_APPLICABLE).finds(HistPublishModeChanged, WARN)
        .decided_by(&[HistDowngrade]);
    lost_after_one_attested_release => after(vec![attested_by_token("1.2.2").at(BASE_TIME - days(2))],
        by_token("1.2.3")).is(Downgraded).finds(HistDowngrade, LOST).finds(HistPublishModeChanged, PASS);
    lost_after_a_build_on_gitlab => after(before(&["1.0.0", "1.1.0"], |release| release.flavour(Flavour::GitLab)),
        by_token("1.2.3")).is(Downgraded).finds(HistDowngrade, LOST);
    lost_before_a_minor_version => after(before(&["0.3.0", "0.3.1"], |release| release), by_token("0.3.2"))
        .is(Downgraded).finds(HistDowngrade, LOST);
    attested_lately_alone => after(vec![widget().at(BASE_TIME - SignedDuration::from_hours(23))], by_token("1.2.4"))
        .is(Unattested).finds(HistDowngrade, NO_HABIT).finds(HistPublishModeChanged, FIRST_SEEN);
    lost_and_the_tarball_too => after_attested(by_token("1.2.3").tarball_answer(Answer::Status(503, None)))
        .is(Downgraded).finds(HistDowngrade, LOST);
    lost_and_forged => after_attested(by_token("1.2.3").tarball_swapped_by_one_byte()).is(Mismatch)
        .finds(HistDowngrade, LOST).decided_by(&[ArtTarballIntegrity]);
    given_up_for_long => given_up(&[60, 50, 40, 30, 20]).is(Unattested).finds(HistDowngrade, GIVEN_UP)
        .finds(HistDowngradeCrossline, NOT_APPLICABLE);
    given_up_not_long_ago => given_up(&[28, 21, 14, 7, 2]).is(Downgraded).finds(HistDowngrade, LOST);
    given_up_with_few_releases => given_up(&[60, 50, 40, 30]).is(Downgraded).finds(HistDowngrade, LOST);
    given_up_on_another_line => after([before(&["1.0.0", "1.0.1", "1.0.2"], |release| release.later(days(-100))),
        before(&["2.0.0", "2.0.1", "2.0.2", "2.0.3", "2.0.4"], Release::unattested)].concat(), by_token("3.0.0"))
        .is(Unattested).finds(HistDowngrade, NO_HABIT).finds(HistDowngradeCrossline, GIVEN_UP);
    without_an_answer_about_attestations => after_attested(by_token("1.2.3")
        .attestation_answer(Answer::Status(503, None))).is(Indeterminate).finds(HistDowngrade, UNREACHABLE)
        .finds(HistDowngradeCrossline, UNREACHABLE);
    with_nothing_authentic => after_attested(widget().forged_by(&World::foreign())).is(Mismatch)
        .finds(HistDowngrade, NOT_RUN).finds(HistDowngradeCrossline, NOT_RUN).finds(IdOwnerId, NOT_RUN)
        .finds(IdRepoChanged, NOT_RUN).finds(IdWorkflowChanged, NOT_RUN).finds(IdRefDisttagMismatch, NOT_RUN);
    on_a_mirror_without_packuments => after_attested(by_token("1.2.3").packument_answer(Answer::Status(404, None)))
        .is(Unattested).finds(HistDowngrade, STRIPPED).finds(HistDowngradeCrossline, STRIPPED)
        .finds(HistPublishModeChanged, STRIPPED).finds(HistPublisherChanged, STRIPPED).finds(HistBurst, STRIPPED);
    remembered_as_attested_on_a_mirror_without_packuments => shape(
        by_token("1.2.3").packument_answer(Answer::Status(404, None))
    ).after(habit(2, |_| {})).is(Indeterminate).finds(HistDowngrade, MALFORMED).decided_by(&[HistDowngrade]);
    that_was_attested_itself => shape(by_token("1.2.3")).after(itself(|_| {})).is(Downgraded)
        .finds(HistDowngrade, LOST).decided_by(&[HistDowngrade]);
    of_which_some_file_was_attested => shape(by_token("1.2.3")).after(itself(|before| before.in_part = true)).is(Unattested)
        .finds(HistDowngrade, NO_HABIT);
    that_was_attested_itself_and_refused => shape(by_token("1.2.3")).after(itself(|before| before.refused = true))
        .is(Unattested).finds(HistDowngrade, NO_HABIT);
    attested_on_a_mirror_without_packuments => after_attested(widget().packument_answer(Answer::Status(404, None)))
        .is(Verified).finds(IdTriggerNovel, FIRST_SEEN);

    // What other lines had.
    a_backport_to_a_line_by_hand => after([before(&["1.0.0", "1.0.1"], |release| release.unattested().later(days(-50))),
        before(&["2.0.0", "2.0.1"], |release| release)].concat(), by_token("1.0.2")).is(Unattested)
        .finds(HistDowngrade, NO_HABIT).finds(HistDowngradeCrossline, WARN).finds(HistPublishModeChanged, PASS);
    a_backport_to_a_line_of_which_nothing_is_known => after(before(&["2.0.0", "2.0.1"], |release| release),
        by_token("1.0.2")).is(Unattested).finds(HistDowngradeCrossline, WARN).finds(HistPublishModeChanged, NO_HABIT);
    a_new_line_by_hand => after(before(&["1.0.0", "1.0.1"], |release| release), by_token("2.0.0")).is(Downgraded)
        .finds(HistDowngrade, NO_HABIT).finds(HistDowngradeCrossline, WARN).finds(HistPublishModeChanged, WARN)
        .decided_by(&[HistDowngradeCrossline, HistPublishModeChanged]);
    a_new_line_with_a_token_as_before => after(before(&["1.0.0", "1.0.1"], |release|
        release.published_by(Publisher::maintainer())), by_token("2.0.0")).is(Unattested)
        .finds(HistDowngradeCrossline, WARN).finds(HistPublishModeChanged, PASS);
    a_prerelease_by_hand => after(before(&["1.0.0", "1.0.1"], |release| release), by_token("1.1.0-dev.1").tag("dev"))
        .is(Downgraded).finds(HistDowngradeCrossline, WARN).finds(HistPublishModeChanged, WARN);

    // Releases of which attestations were announced.
    announced_and_not_answered => after(before(&["1.0.0", "1.1.0"], |release|
        release.attestation_answer(Answer::Status(503, None))), by_token("1.2.3")).is(Indeterminate)
        .finds(HistDowngrade, UNREACHABLE).finds(HistDowngradeCrossline, UNREACHABLE).decided_by(&[HistDowngrade]);
    announced_elsewhere_and_not_answered => after(before(&["1.0.0", "1.1.0"], |release|
        release.attestation_answer(Answer::Status(503, None))), by_token("2.0.0")).is(Indeterminate)
        .finds(HistDowngrade, NO_HABIT).finds(HistDowngradeCrossline, UNREACHABLE)
        .decided_by(&[HistDowngradeCrossline]);
    announced_elsewhere_and_not_answered_with_a_token => after(before(&["1.0.0", "1.1.0"], |release|
        release.published_by(Publisher::maintainer()).attestation_answer(Answer::Status(503, None))), by_token("2.0.0"))
        .is(Unattested).finds(HistDowngradeCrossline, UNREACHABLE);
    announced_and_answered_in_part => after([before(&["1.0.0", "1.1.0"], |release| release.later(days(-30))),
        before(&["1.2.0"], |release| release.attestation_answer(Answer::Status(503, None)))].concat(),
        by_token("1.2.3")).is(Downgraded).finds(HistDowngrade, LOST);
    announced_and_gone => after(before(&["1.0.0", "1.1.0"], |release|
        release.attestation_answer(Answer::Status(404, None))), by_token("1.2.3")).is(Unattested)
        .finds(HistDowngrade, NO_HABIT);
    announced_and_forged => after(before(&["1.0.0", "1.1.0"], |release| release.forged_by(&World::foreign())
        .published_by(Publisher::maintainer())), by_token("1.2.3")).is(Unattested).finds(HistDowngrade, NO_HABIT);
    announced_and_about_something_else => {
        let other = Release::honest("other", "1.0.0").publish(&World::shared());
        after(before(&["1.0.0", "1.1.0"], |release| release.attestations_of(&other)
            .published_by(Publisher::maintainer())), by_token("1.2.3")).is(Unattested).finds(HistDowngrade, NO_HABIT)
    };
    announced_and_about_other_bytes => {
        let other = Release::honest(NAME, "1.1.0").package_json(|package| package["main"] = json!("other.js"))
            .publish(&World::shared());
        after(before(&["1.1.0"], |release| release.attestations_of(&other).published_by(Publisher::maintainer())),
            by_token("1.2.3")).is(Unattested).finds(HistDowngrade, NO_HABIT)
    };
    attested_after_releases_that_do_not_answer => after(before(&["1.0.0", "1.1.0", "1.2.0"], |release|
        release.attestation_answer(Answer::Status(503, None))), widget()).is(Attested).finds(IdTriggerNovel, UNREACHABLE)
        .finds(IdRefNovel, UNREACHABLE).finds(IdRepoChanged, UNREACHABLE).finds(IdWorkflowChanged, UNREACHABLE)
        .finds(IdEnvironmentMissing, UNREACHABLE).finds(IdOwnerId, PASS).finds(HistDowngrade, PASS);
    a_new_trigger_after_releases_of_which_some_do_not_answer => after([
        before(&["1.0.0"], |release| release.later(days(-90)).attestation_answer(Answer::Status(503, None))),
        before(&["1.1.0", "1.1.1", "1.2.0"], |release| release)].concat(),
        widget().build(|build| "workflow_dispatch".clone_into(&mut build.event))).is(Attested)
        .finds(IdTriggerNovel, UNREACHABLE).finds(IdRefNovel, PASS);
    from_a_lone_branch_for_latest_after_releases_that_do_not_answer => after(before(&["1.0.0", "1.1.0", "1.2.0"],
        |release| release.attestation_answer(Answer::Status(503, None))),
        widget().build(|build| build.from_branch("alpha"))).is(Attested).finds(IdRefDisttagMismatch, UNREACHABLE);

    // How it was published, as the registry says.
    in_a_less_guarded_way => after_attested(widget().published_by(Publisher::maintainer())).is(Verified)
        .finds(HistPublishModeChanged, WARN).finds(HistPublisherChanged, FIRST_SEEN);
    without_approval => after(before(&["1.0.0", "1.1.0"], |release| release.published_by(Publisher::trusted("github")
        .approved_by("alice", "alice@example.com"))), widget()).is(Verified).finds(HistPublishModeChanged, WARN);
    with_approval_for_the_first_time => after_attested(widget().published_by(Publisher::trusted("github")
        .approved_by("alice", "alice@example.com"))).is(Verified).finds(HistPublishModeChanged, PASS);
    in_a_less_guarded_way_for_long => after([before(&["1.0.0"], |release| release.later(days(-100))),
        before(&["1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.1.4"], |release| release.published_by(Publisher::maintainer()))]
        .concat(), attested_by_token("1.2.3")).after(habit(5, |past| {
            past.version = format!("1.1.{}", past.version.trim_start_matches("1.0."));
            past.accepted = false;
        })).is(Verified).finds(HistPublishModeChanged, GIVEN_UP);
    without_a_word_on_who_published => after_attested(widget().metadata(|manifest| {
        manifest.as_object_mut().unwrap().remove("_npmUser");
    })).is(Verified).finds(HistPublishModeChanged, STRIPPED).finds(HistPublisherChanged, STRIPPED);
    by_another_account => after_unattested(by_token("1.2.3").published_by(Publisher::account("mallory")))
        .is(Unattested).finds(HistPublisherChanged, WARN);
    by_another_account_after_two => after(before(&["1.0.0", "1.1.0"], Release::unattested),
        by_token("1.2.3").published_by(Publisher::account("bob"))).is(Unattested)
        .finds(HistPublisherChanged, FIRST_SEEN);
    by_another_account_of_the_last_day => after([before(&["1.0.0", "1.1.0", "1.2.0"], Release::unattested), vec![
        by_token("1.2.2").published_by(Publisher::account("mallory")).at(BASE_TIME - SignedDuration::from_hours(20))]]
        .concat(), by_token("1.2.3").published_by(Publisher::account("mallory"))).is(Unattested)
        .finds(HistPublisherChanged, WARN);

    // How much at once.
    three_versions_at_once => last_of([before(&["1.0.0", "1.1.0", "1.2.0"], Release::unattested),
        at_once(&[("1.2.1", 30), ("1.2.2", 10)])].concat()).is(Unattested).finds(HistBurst, WARN);
    three_versions_in_an_hour => last_of([before(&["1.0.0", "1.1.0", "1.2.0"], Release::unattested),
        at_once(&[("1.2.1", 31), ("1.2.2", 10)])].concat()).is(Unattested).finds(HistBurst, PASS);
    three_versions_of_which_two_follow => among(before(&["1.0.0", "1.1.0", "1.2.0"], Release::unattested).into_iter()
        .chain([by_token("1.2.3"), by_token("1.2.4").at(minutes(10)), by_token("1.2.5").at(minutes(29))])
        .fold(Scenario::new(), Scenario::release), "npm:@acme/widget@1.2.3").is(Unattested).finds(HistBurst, WARN);
    two_lines_at_once => last_of([before(&["0.9.0", "1.1.0", "1.2.0"], Release::unattested),
        at_once(&[("0.9.1", 10)])].concat()).is(Unattested).finds(HistBurst, WARN);
    two_lines_at_once_as_before => last_of([before(&["0.9.0", "1.1.0", "1.2.0"], Release::unattested),
        vec![by_token("0.9.1").at(BASE_TIME - days(3)), by_token("1.2.1").at(BASE_TIME - days(3))],
        at_once(&[("0.9.2", 10)])].concat()).is(Unattested).finds(HistBurst, PASS);
    many_more_lines_than_before => last_of([before(&["0.9.0", "1.1.0", "1.2.0"], Release::unattested),
        vec![by_token("0.9.1").at(BASE_TIME - days(3)), by_token("1.2.1").at(BASE_TIME - days(3))],
        at_once(&[("0.9.2", 20), ("2.0.1", 16), ("3.0.1", 12), ("4.0.1", 8), ("5.0.1", 4)])].concat()).is(Unattested)
        .finds(HistBurst, WARN);
    a_burst_of_the_last_day => last_of([before(&["0.9.0", "1.1.0", "1.2.0"], Release::unattested),
        vec![by_token("0.9.1").at(BASE_TIME - SignedDuration::from_hours(20)),
            by_token("1.2.1").at(BASE_TIME - SignedDuration::from_hours(20))],
        at_once(&[("0.9.2", 10)])].concat()).is(Unattested).finds(HistBurst, WARN);
    canaries_beside_a_release => last_of([before(&["1.0.0", "1.1.0", "1.2.0"], Release::unattested),
        at_once(&[("1.2.3-canary.1", 10), ("1.2.3-canary.2", 5)])].concat()).is(Unattested).finds(HistBurst, PASS);
    five_packages_at_once => after_unattested(by_token("1.2.3")).beside(five_at_once()).is(Unattested)
        .finds(HistBurst, WARN);
    four_packages_at_once => after_unattested(by_token("1.2.3")).beside(five_at_once().into_iter().take(7).collect())
        .is(Unattested).finds(HistBurst, PASS);
    five_packages_at_once_of_which_one_is_new => after_unattested(by_token("1.2.3"))
        .beside(five_at_once().into_iter().skip(1).collect()).is(Unattested).finds(HistBurst, PASS);
    five_packages_at_once_as_before => after_unattested(by_token("1.2.3")).beside([five_at_once(), siblings(&[
        ("pkg:npm/a@0.9.0", 9 * A_DAY), ("pkg:npm/b@0.9.0", 9 * A_DAY), ("pkg:npm/c@0.9.0", 9 * A_DAY),
        ("pkg:npm/d@0.9.0", 9 * A_DAY), ("pkg:npm/e@0.9.0", 9 * A_DAY)])].concat()).is(Unattested)
        .finds(HistBurst, PASS);
    a_burst_of_attested_releases => after_attested(widget()).beside(five_at_once()).is(Verified)
        .finds(HistBurst, WARN);
    a_burst_with_an_unsigned_commit => after_attested(widget().commit(testbed::github::Commit::unsigned))
        .after(habit(3, |_| {})).beside(five_at_once()).is(Suspicious).finds(HistBurst, WARN)
        .finds(SrcCommitSignature, WARN).decided_by(&[HistBurst, SrcCommitSignature]);

    // Who signed.
    from_another_repository => after_attested(widget().build(|build| {
        "mallory/widget".clone_into(&mut build.repository);
        "1".clone_into(&mut build.repository_id);
        "2".clone_into(&mut build.owner_id);
    })).is(Verified).finds(IdRepoChanged, WARN).finds(IdOwnerId, PASS);
    from_another_repository_of_the_owner => after_attested(widget().build(|build| {
        "acme/everything".clone_into(&mut build.repository);
        "1".clone_into(&mut build.repository_id);
    })).is(Verified).finds(IdRepoChanged, MOVED).finds(IdOwnerId, PASS);
    from_a_repository_that_took_the_name => shape(widget()).after(habit(1, of_a_former_owner)).is(Suspicious)
        .finds(IdOwnerId, FAIL).finds(IdRepoChanged, FIRST_SEEN).decided_by(&[IdOwnerId]);
    from_a_repository_that_was_transferred => after_attested(widget().build(|build| {
        "umbrella/widget".clone_into(&mut build.repository);
        "2".clone_into(&mut build.owner_id);
    })).is(Verified).finds(IdOwnerId, WARN).finds(IdRepoChanged, PASS);
    from_a_repository_that_was_transferred_since => shape(widget())
        .where_github(|github| github.repository_mut(REPOSITORY).owner_id = 2).is(Verified).finds(IdOwnerId, MOVED);
    from_a_repository_whose_owner_is_not_told => shape(widget())
        .where_github(|github| github.edit("/repositories/", |document| document["owner"] = json!(null))).is(Verified)
        .finds(IdOwnerId, MALFORMED);
    from_a_repository_that_is_gone => shape(widget())
        .where_github(|github| github.answer_for("/repositories/", Answer::Status(404, None))).is(Verified)
        .finds(IdOwnerId, PRIVATE);
    from_a_repository_that_cannot_be_asked_for => shape(widget())
        .where_github(|github| github.answer_for("/repositories/", Answer::Status(503, None))).is(Attested)
        .finds(IdOwnerId, UNREACHABLE);
    without_ids_in_the_certificate => shape(Release::honest_of_2023("pioneer", "0.4.0")
        .certificate(testbed::Claims::as_of_early_2023)).is(Attested).finds(IdOwnerId, NO_ATTESTATION)
        .finds(IdRepoChanged, NO_ATTESTATION).finds(IdWorkflowChanged, NO_ATTESTATION);
    by_another_workflow => after_attested(widget().build(|build|
        ".github/workflows/other.yml".clone_into(&mut build.workflow_path))).is(Verified)
        .finds(IdWorkflowChanged, ALONE);
    by_another_workflow_from_an_unsigned_commit => after_attested(widget().build(|build|
        ".github/workflows/other.yml".clone_into(&mut build.workflow_path))
        .commit(testbed::github::Commit::unsigned)).after(habit(3, |_| {})).is(Suspicious)
        .finds(IdWorkflowChanged, WARN).decided_by(&[IdWorkflowChanged, SrcCommitSignature]);
    by_another_workflow_and_trigger => after_attested(widget().build(|build| {
        ".github/workflows/other.yml".clone_into(&mut build.workflow_path);
        "workflow_dispatch".clone_into(&mut build.event);
    })).is(Verified).finds(IdWorkflowChanged, WARN).finds(IdTriggerNovel, WARN);
    from_a_branch_that_was_thrown_away => after_attested(widget().build(|build| build.from_branch("topic"))
        .repository(|repository| repository.pulls.clear()))
        .where_github(|github| github.delete_branch(REPOSITORY, "topic")).is(Suspicious).finds(IdRefNovel, FAIL)
        .finds(SrcCommitReachable, WARN).decided_by(&[IdRefNovel]);
    from_a_branch_with_a_name_by_chance => after_attested(widget().build(|build| build.from_branch("oidc-7a1f"))
        .repository(|repository| repository.pulls.clear())).is(Suspicious).finds(IdRefNovel, FAIL)
        .finds(SrcCommitReachable, WARN).decided_by(&[IdRefNovel]);
    from_a_branch_that_was_merged_and_deleted => after_attested(widget().build(|build| build.from_branch("topic"))
        .repository(crate::forge::into_main)).where_github(|github| github.delete_branch(REPOSITORY, "topic"))
        .is(Suspicious).finds(IdRefNovel, WARN).finds(SrcCommitReachable, Outcome::Warn(Some(Shade::SquashMerged)));
    from_a_branch_that_was_thrown_away_as_always => after(before(&["1.0.0", "1.1.0", "1.2.0"], |release|
        release.build(|build| build.from_branch("topic"))), widget().build(|build| build.from_branch("topic"))
        .repository(|repository| repository.pulls.clear()))
        .where_github(|github| github.delete_branch(REPOSITORY, "topic")).is(Verified).finds(IdRefNovel, PASS);
    for_latest_from_a_branch_of_prereleases => after_attested(widget().build(|build| build.from_branch("alpha")))
        .is(Suspicious).finds(IdRefDisttagMismatch, WARN).finds(IdRefNovel, WARN);
    for_latest_from_a_branch_of_prereleases_as_always => after(before(&["1.0.0", "1.1.0", "1.2.0"], |release|
        release.build(|build| build.from_branch("next"))), widget().build(|build| build.from_branch("next")))
        .is(Verified).finds(IdRefDisttagMismatch, PASS);
    for_latest_from_a_branch_of_another_name => after_attested(widget().build(|build| build.from_branch("production"))
        .repository(|repository| repository.tag("v1.2.3", &Build::for_package(NAME, "1.2.3").commit))).is(Verified)
        .finds(IdRefDisttagMismatch, PASS).finds(IdRefNovel, WARN);
    for_latest_from_a_branch_of_prereleases_at_first => shape(widget().build(|build| build.from_branch("alpha"))
        .repository(|repository| repository.tag("v1.2.3", &Build::for_package(NAME, "1.2.3").commit))).is(Verified)
        .finds(IdRefDisttagMismatch, FIRST_SEEN);
    for_a_channel_from_its_branch => after(before(&["1.0.0", "1.1.0", "1.2.0"], |release| release),
        Release::honest(NAME, "2.0.0-alpha.1").tag("alpha").build(|build| build.from_branch("alpha"))).is(Verified)
        .finds(IdRefDisttagMismatch, NOT_APPLICABLE).finds(IdRefNovel, FIRST_SEEN).finds(IdTriggerNovel, FIRST_SEEN);
    a_prerelease_for_everybody => after(before(&["1.0.0", "1.1.0", "1.2.0"], |release| release),
        Release::honest(NAME, "2.0.0-rc.1").tag("latest")
            .build(|build| "workflow_dispatch".clone_into(&mut build.event))).is(Verified).finds(IdTriggerNovel, WARN);
    another_channel_than_before => after(before(&["2.0.0-next.1", "2.0.0-next.2", "2.0.0-next.3"], |release|
        release.tag("next")), Release::honest(NAME, "2.0.0-nightly.1").tag("nightly").build(|build| {
            build.from_branch("main");
            "schedule".clone_into(&mut build.event);
        })).is(Verified).finds(IdTriggerNovel, FIRST_SEEN).finds(IdRefNovel, FIRST_SEEN);
}

#[tokio::test]
async fn a_publisher_is_the_repository_that_is_proved_or_else_the_account_that_is_claimed() {
    let by_the_service = Release::honest(NAME, "1.2.3")
        .unattested()
        .published_by(Publisher::trusted("github"));
    let forged = attested_by_token("1.2.3").forged_by(&World::foreign());
    for (release, expected) in [
        (
            widget(),
            Some(format!("github:{}", Build::for_package(NAME, "1.2.3").repository_id)),
        ),
        (by_token("1.2.3"), Some("npm:alice".to_owned())),
        (forged, Some("npm:alice".to_owned())),
        (by_the_service, None),
        (widget().flavour(Flavour::GitLab), None),
    ] {
        let judged = shape(release).judged_without_sockets().await.unwrap();
        let authenticated = judge().authenticate(&judged.case.dossier, minutes(61));
        assert_eq!(publisher(&authenticated), expected);
    }
}

/// The checks that compare with what is remembered.
const OF_MEMORY: [CheckId; 9] = [
    IdOwnerId,
    IdRepoChanged,
    IdWorkflowChanged,
    IdTriggerNovel,
    IdRefNovel,
    IdRefDisttagMismatch,
    IdEnvironmentMissing,
    HistDowngrade,
    HistDowngradeCrossline,
];

fn is_accusation(status: Status) -> bool {
    match status {
        Mismatch | Suspicious | Downgraded => true,
        Indeterminate | Unattested | Attested | Verified => false,
    }
}

#[test]
fn an_empty_memory_finds_nothing_new_and_nothing_lost() {
    let mut tried = 0;
    for (name, judged) in cases() {
        if judged.case.memory == Memory::default() {
            continue;
        }
        let mut case = judged.case.clone();
        case.memory = Memory::default();
        let without = Judged {
            verdict: case.replay().unwrap(),
            case,
        };
        for check in OF_MEMORY {
            let is_calm = match outcome_of(&without, check) {
                Outcome::Fail(_) => false,
                // What GitHub shows of the repository now needs no memory, and is harmless.
                Outcome::Warn(shade) => shade == Some(Shade::Renamed),
                Outcome::Pass(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => true,
            };
            assert!(is_calm, "{name}: {check}\n{}", listed(&without));
        }
        let (before, after) = (judged.verdict.status, without.verdict.status);
        assert!(
            !is_accusation(after) || is_accusation(before),
            "{name}: {before} became {after}"
        );
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

proptest! {
    #![proptest_config(runs(256))]

    #[test]
    fn the_order_of_what_is_remembered_changes_nothing(shape in any::<Index>(), seed in any::<u64>()) {
        let (name, judged) = shape.get(cases());
        let mut case = judged.case.clone();
        shuffled(&mut case.memory.history, seed);
        shuffled(&mut case.memory.siblings, seed);
        prop_assert_eq!(&case.replay().unwrap(), &judged.verdict, "{}", name);
    }
}

/// What silence about earlier releases may make of a verdict.
fn is_allowed(before: Status, after: Status) -> bool {
    let accuses_nobody_new = !is_accusation(after) || is_accusation(before);
    let verifies_nothing_new = after != Verified || before == Verified;
    // What was lost is not forgiven, and what was decided without a doubt is not doubted.
    let forgives_nothing = match before {
        Downgraded => matches!(after, Downgraded | Indeterminate),
        Mismatch => after == Mismatch,
        Suspicious | Indeterminate | Unattested | Attested | Verified => true,
    };
    accuses_nobody_new && verifies_nothing_new && forgives_nothing
}

#[tokio::test]
async fn silence_about_earlier_releases_neither_accuses_nor_forgives() {
    let reasons = [
        UnavailableReason::Unreachable,
        UnavailableReason::RateLimited,
        UnavailableReason::Malformed,
    ];
    let mut tried = 0;
    for (name, shape) in all() {
        let judged = shape.judged_without_sockets().await.unwrap();
        let versions: Vec<&str> = judged
            .case
            .memory
            .history
            .iter()
            .filter(|past| past.attested)
            .map(|past| past.version.as_str())
            .collect();
        for silent in 1_usize..(1 << versions.len().min(4)) {
            let reason = reasons[silent % reasons.len()];
            let mut fetch = ScenarioFetch::new(shape.scenario());
            for (index, version) in versions.iter().enumerate() {
                if silent & (1 << index) != 0 {
                    fetch = fetch.silencing_path(&format!("@{version}"), reason);
                }
            }
            let now = shape.judged(&shape.scenario(), &fetch, &no_address()).await.unwrap();
            let (before, after) = (judged.verdict.status, now.verdict.status);
            assert!(
                is_allowed(before, after),
                "{name} without {silent:b}: {before} became {after}"
            );
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[tokio::test]
async fn what_could_not_be_asked_about_is_asked_about_again() {
    let releases = || {
        before(&["1.0.0", "1.1.0"], |release| release)
            .into_iter()
            .chain([by_token("1.2.3")])
    };
    let scenario = std::sync::Arc::new(releases().fold(Scenario::new(), Scenario::release));
    let fetch = ScenarioFetch::new(scenario);
    let silent = fetch
        .clone()
        .silencing_path("@1.0.0", UnavailableReason::Unreachable)
        .silencing_path("@1.1.0", UnavailableReason::Unreachable);
    let mut recollection = Recollection::default();
    let coordinate = "npm:@acme/widget@1.2.3".parse().unwrap();
    let mut look = async |fetch: &ScenarioFetch, at: Timestamp| {
        recollection
            .look(&judge(), fetch, &no_address(), &coordinate, at)
            .await
            .unwrap()
            .verdict
    };
    let first = look(&silent, minutes(61)).await;
    assert_eq!(first.status, Indeterminate);
    let next = first.next_look_at.unwrap();
    assert!(next <= minutes(61 + 20), "{next}");
    let second = look(&fetch, next).await;
    assert_eq!(second.status, Downgraded);
    assert_eq!(second.questions.registry_only, YesNoUnknown::Yes);
    assert_eq!(second.question_checks["registryOnly"], [AttPresent, HistDowngrade]);
    // From then on it is remembered.
    let third = look(&silent, next + days(1)).await;
    assert_eq!(third.status, Downgraded);
}

#[tokio::test]
async fn what_was_known_once_and_is_not_any_more_is_learnt_anew() {
    let versions = ["1.0.0", "1.1.0"];
    let releases = before(&versions, |release| release)
        .into_iter()
        .chain([by_token("1.2.3")]);
    let scenario = std::sync::Arc::new(releases.fold(Scenario::new(), Scenario::release));
    let fetch = ScenarioFetch::new(scenario);
    let silent = fetch
        .clone()
        .silencing(Subject::Packument, UnavailableReason::Unreachable);
    let (judge, upstreams, at) = (judge(), no_address(), minutes(61));
    let coordinate = "npm:@acme/widget@1.2.3".parse().unwrap();
    let look = Look {
        fetch: &fetch,
        upstreams: &upstreams,
        at,
        previous: None,
    };
    let whole = ecosystem::look(&coordinate, &look).await.unwrap();
    let mut kept = whole.clone();
    ecosystem::drop_proofs(&mut kept, &versions.map(str::to_owned).into());
    assert_ne!(kept.digest(), whole.digest());
    let learnt = async |dossier: &Dossier, fetch: &ScenarioFetch, known: &BTreeSet<String>| {
        let back = ecosystem::look_back(dossier, &Look { fetch, ..look }, known).await;
        judge.timeline(&judge.authenticate(dossier, at), &back, at)
    };
    let nothing = BTreeSet::new();
    let (releases, is_complete) = learnt(&whole, &silent, &nothing).await;
    assert!(is_complete);
    assert_eq!(releases.len(), 2);
    assert!(releases.iter().all(|past| past.attested && past.accepted));
    assert_eq!(learnt(&kept, &fetch, &nothing).await, (releases, true));
    // Where the list cannot be had, nothing is known for certain, and nothing is made of that.
    assert_eq!(learnt(&kept, &silent, &nothing).await, (Vec::new(), false));
    let known = versions.map(str::to_owned).into();
    assert_eq!(learnt(&kept, &silent, &known).await, (Vec::new(), true));
}

#[tokio::test]
async fn a_look_back_asks_for_a_bounded_number_of_versions_from_every_line() {
    let versions: Vec<String> = (0..60).map(|index| format!("{}.{}.0", index % 3, index / 3)).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let releases = before(&versions, |release| release);
    let scenario = releases.into_iter().chain([Release::honest(NAME, "2.30.0")]);
    let scenario = std::sync::Arc::new(scenario.fold(Scenario::new(), Scenario::release));
    let fetch = ScenarioFetch::new(scenario);
    let mut recollection = Recollection::default();
    let coordinate = "npm:@acme/widget@2.30.0".parse().unwrap();
    let judged = recollection
        .look(&judge(), &fetch, &no_address(), &coordinate, minutes(61))
        .await
        .unwrap();
    let known: Vec<&str> = judged
        .case
        .memory
        .history
        .iter()
        .map(|past| past.version.as_str())
        .collect();
    // Minor versions before the first are lines of their own.
    assert_eq!(
        known,
        [
            "2.19.0", "1.19.0", "0.19.0", "0.18.0", "0.17.0", "0.16.0", "0.15.0", "0.14.0", "0.13.0", "0.12.0",
            "0.11.0", "0.10.0"
        ]
    );
    assert!(
        judged
            .case
            .memory
            .history
            .iter()
            .all(|past| past.attested && past.accepted)
    );
}

#[tokio::test]
async fn a_young_version_is_looked_at_again_whatever_is_said_of_it_and_a_watched_one_every_month() {
    let at_least = |minutes: i64| SignedDuration::from_mins(minutes);
    let slack = SignedDuration::from_mins(5);
    for release in [widget(), by_token("1.2.3"), widget().tarball_swapped_by_one_byte()] {
        let shape = shape(release);
        let fetch = ScenarioFetch::new(shape.scenario());
        let mut recollection = Recollection::default();
        let mut now = minutes(2);
        for after in [10, 60, A_DAY, 7 * A_DAY] {
            let looked = recollection
                .look(&shape.judge(), &fetch, &no_address(), &shape.coordinate(), now)
                .await;
            let verdict = looked.unwrap().verdict;
            let due = minutes(2) + at_least(after);
            let next = verdict.next_look_at.unwrap();
            assert!(
                (due..=due + slack).contains(&next),
                "{}: {next} and not {due}",
                verdict.status
            );
            assert!(verdict.valid_until <= next);
            now = next;
        }
        let last = recollection
            .look(&shape.judge(), &fetch, &no_address(), &shape.coordinate(), now)
            .await
            .unwrap();
        assert_eq!(last.verdict.next_look_at, None, "{}", last.verdict.status);
        let mut case = last.case;
        case.memory.watched = true;
        let next = case.replay().unwrap().next_look_at.unwrap();
        assert!((now + days(29)..=now + days(31)).contains(&next), "{next}");
    }
}

#[tokio::test]
async fn what_an_attack_released_is_not_learnt_from() {
    let releases = before(&["1.0.0", "1.1.0"], |release| release);
    let attacked = [("1.1.1", -50), ("1.1.2", -40)]
        .map(|(version, hours)| by_token(version).at(BASE_TIME + SignedDuration::from_hours(hours)));
    let scenario = releases
        .into_iter()
        .chain(attacked)
        .fold(Scenario::new(), Scenario::release);
    let fetch = ScenarioFetch::new(std::sync::Arc::new(scenario));
    let mut recollection = Recollection::default();
    for version in ["1.1.1", "1.1.2"] {
        let coordinate = format!("npm:@acme/widget@{version}").parse().unwrap();
        let judged = recollection
            .look(&judge(), &fetch, &no_address(), &coordinate, minutes(0))
            .await
            .unwrap();
        assert_eq!(judged.verdict.status, Downgraded, "{version}");
        assert!(
            judged
                .case
                .memory
                .history
                .iter()
                .all(|past| past.accepted == past.attested)
        );
    }
}

/// What is learnt of the release of a shape.
async fn learnt(shape: Shape) -> PastRelease {
    let judged = shape.judged_without_sockets().await.unwrap();
    let case = &judged.case;
    let judgement = shape.judge().judge(&case.dossier, &case.memory, case.decided_at);
    judgement.release.unwrap()
}

fn by_mallory(version: &str) -> Release {
    Release::honest(NAME, version).build(|build| {
        "mallory/widget".clone_into(&mut build.repository);
        "1".clone_into(&mut build.repository_id);
        "2".clone_into(&mut build.owner_id);
    })
}

#[tokio::test]
async fn a_repository_of_somebody_new_is_learnt_from_once_it_has_released_for_long() {
    let owners = habit(4, |_| {});
    let new = learnt(shape(by_mallory("1.2.3")).after(owners.clone())).await;
    assert!(new.attested && !new.accepted, "{new:?}");
    let since = |days_apart: i64| -> Vec<PastRelease> {
        let releases = (1..=5).map(|number| PastRelease {
            version: format!("1.1.{}", 9 - number),
            accepted: false,
            published_at: BASE_TIME - days(days_apart * number),
            ..new.clone()
        });
        releases.chain(owners.clone()).collect()
    };
    for (days_apart, accepted) in [(2, false), (8, true)] {
        let learnt = learnt(shape(by_mallory("1.2.3")).after(since(days_apart))).await;
        assert_eq!(learnt.accepted, accepted, "{days_apart}");
    }
}

#[tokio::test]
async fn attestations_that_vanish_are_not_unlearnt() {
    let (judge, mut recollection) = (judge(), Recollection::default());
    let coordinate = format!("npm:{NAME}@1.2.3").parse().unwrap();
    let releases = [widget(), by_token("1.2.3"), by_token("1.2.3")];
    for (release, status) in releases.into_iter().zip([Verified, Downgraded, Downgraded]) {
        let fetch = ScenarioFetch::new(std::sync::Arc::new(Scenario::new().release(release)));
        let at = BASE_TIME + SignedDuration::from_mins(30);
        let judged = recollection
            .look(&judge, &fetch, &no_address(), &coordinate, at)
            .await
            .unwrap();
        assert_eq!(judged.verdict.status, status, "{}", listed(&judged));
    }
}
