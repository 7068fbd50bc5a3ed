//! What every adapter of a port has to do: one function for each fact, which each adapter's tests run.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::dossier::{Answer, ArchiveMember, Body, Dossier, Kept, Observation, Response, Subject};
use crate::history::PastRelease;
use crate::package::{Digest, DigestAlgorithm, PackageVersion};
use crate::ports::{
    Announcement, Batch, Change, Recorded, Store, Target, Task, TraceKey, WorkItem, WorkQueue, WorkReason,
};
use crate::verdict::{Status, Verdict, VerifierIdentity};

pub(crate) mod batches;
pub(crate) mod changes;
pub(crate) mod dossiers;
pub(crate) mod leases;
pub(crate) mod schedule;
pub(crate) mod signatures;
pub(crate) mod timeline;
pub(crate) mod traces;
pub(crate) mod trust;
pub(crate) mod verdicts;
pub(crate) mod watches;
pub(crate) mod wire;

/// Runs every fact about a [`Store`] as a test of its own. `$fixture` is an async function; whatever it returns lives as long
/// as the test, and its `store` is tested.
macro_rules! store_conformance {
    ($fixture:path) => {
        crate::adapters::conformance::store_conformance! { $fixture => verdicts
            nothing_is_known_of_a_version_that_was_never_recorded
            a_recorded_verdict_is_current
            a_verdict_never_overwrites_a_newer_one
            a_verdict_that_comes_late_is_still_in_the_history
            a_late_change_makes_the_current_verdict_a_change
            the_same_verdict_can_be_recorded_twice
            indeterminate_never_replaces_a_settled_verdict
            silence_never_replaces_what_was_told
            indeterminate_still_schedules_the_next_look
            a_settled_verdict_replaces_an_indeterminate_one
            only_changes_are_appended_to_the_history
            the_history_is_newest_first_and_limited
            what_was_seen_first_is_never_changed
            what_the_registry_signed_replaces_what_it_had_not
            a_look_is_remembered_whatever_came_of_it
            of_concurrent_verdicts_the_newest_stays
            versions_do_not_see_each_other
            a_removed_version_keeps_its_verdict_marked
            a_removed_version_is_not_due
            the_first_mark_of_a_removal_stays
            a_version_without_a_verdict_is_not_marked
            a_verdict_of_a_later_look_carries_no_mark
            a_mark_outlasts_a_look_that_began_before_it
            silence_takes_no_mark_away
            a_verdict_of_a_later_look_is_not_marked
            of_a_mark_and_concurrent_looks_before_it_the_mark_stays
        }
        crate::adapters::conformance::store_conformance! { $fixture => dossiers
            a_dossier_comes_back_whole
            a_dossier_of_two_megabytes_comes_back_whole
            a_dossier_is_kept_even_if_its_verdict_is_not
            earlier_dossiers_stay
            an_unknown_dossier_is_none
            a_verdict_of_any_length_comes_back_whole
        }
        crate::adapters::conformance::store_conformance! { $fixture => leases
            two_workers_cannot_hold_the_same_lease
            a_lease_is_given_again_to_its_holder_alone
            an_expired_item_that_is_still_served_is_ignored
            only_the_holder_releases_a_lease
            a_released_lease_can_be_taken
            a_lease_ends_with_a_look_that_is_recorded_after_it_was_taken
        }
        crate::adapters::conformance::store_conformance! { $fixture => traces
            nothing_is_recalled_of_a_run_that_was_never_seen
            a_run_seen_is_recalled
            a_later_absence_does_not_replace_what_was_seen
            a_later_success_replaces_what_was_seen
            the_looks_of_two_workers_are_both_kept
            the_same_look_twice_changes_nothing
            what_was_seen_of_a_commit_is_recalled_through_every_run_of_it
            what_was_seen_first_of_a_commit_stays_through_later_runs
            what_was_seen_of_a_commit_is_recalled_however_many_runs_it_has
            what_was_seen_of_a_commit_by_one_of_many_workers_is_recalled
            of_first_looks_at_once_all_are_kept
            runs_attempts_and_commits_do_not_see_each_other
            what_was_seen_comes_back_whole_at_any_length
        }
        crate::adapters::conformance::store_conformance! { $fixture => timeline
            a_remembered_release_is_in_the_memory_of_every_version
            of_many_releases_the_newest_are_remembered
            remembered_versions_come_newest_first_and_limited
            the_last_word_on_a_release_stays
            a_package_is_met_once
            a_package_whose_releases_have_rows_was_met
            of_concurrent_words_on_a_release_one_stays
            packages_do_not_see_each_others_releases
            what_is_remembered_never_expires
            memory_has_the_releases_until_an_instant
            prereleases_do_not_push_stable_releases_out
            releases_that_were_not_accepted_do_not_count
            memory_says_whether_the_package_is_watched
            releases_are_found_by_version_however_many_came_after_them
            what_a_look_has_said_is_not_filled_over
            a_look_has_the_last_word_on_what_was_filled
            of_a_look_and_a_filling_at_once_the_look_has_the_last_word
            what_a_publisher_released_comes_newest_first_and_limited
            publishers_do_not_see_each_other
        }
        crate::adapters::conformance::store_conformance! { $fixture => trust
            no_trust_material_is_known_at_first
            trust_material_comes_back_whole
            younger_trust_material_is_never_replaced_by_older
        }
        crate::adapters::conformance::store_conformance! { $fixture => signatures
            nothing_is_kept_of_what_was_never_signed
            the_first_signature_over_a_message_stays
            messages_and_keys_do_not_see_each_other
            of_concurrent_signatures_everybody_gets_the_same
        }
        crate::adapters::conformance::store_conformance! { $fixture => schedule
            what_is_due_comes_most_overdue_first
            what_is_looked_at_is_no_longer_due
            tasks_of_every_kind_say_since_when_they_are_due
            a_claimed_task_is_due_again_when_the_claim_ends
            of_concurrent_claims_one_succeeds
            a_claim_that_puts_nothing_off_fails
            what_is_done_or_gone_cannot_be_claimed
            a_verdict_recorded_after_a_claim_says_when_to_look_next
            a_feed_has_no_cursor_before_it_was_read
            a_cursor_advances_from_where_it_is_and_never_back
            a_cursor_is_reset_from_where_it_is
            of_sweeps_that_read_from_the_same_place_one_advances_the_cursor
            sweeps_that_overlap_lose_nothing_of_a_feed
            feeds_do_not_see_each_other
        }
        crate::adapters::conformance::store_conformance! { $fixture => watches
            whether_any_package_of_an_ecosystem_is_watched_is_known
            a_package_is_watched_from_now_on
            watching_again_changes_nothing
            of_concurrent_watchers_one_begins
            what_is_taken_off_the_list_is_neither_watched_nor_due
            of_any_number_of_names_those_on_the_list_are_found
            the_watch_list_is_read_in_pages
            what_was_handed_over_is_noted
            what_was_handed_over_from_an_older_entry_is_not_noted
            a_package_is_looked_for_by_a_time_at_the_latest
            a_package_that_is_put_off_keeps_its_entry
            a_claim_leaves_the_entry_as_it_was_read
            of_concurrent_hand_overs_one_is_noted
        }
        crate::adapters::conformance::store_conformance! { $fixture => batches
            a_batch_comes_back_as_it_was_handed_in
            an_empty_batch_is_one
            a_batch_that_can_be_read_is_whole
            a_batch_is_read_in_pages
            a_batch_is_gone_when_it_expires
            progress_is_noted
            the_last_word_on_a_version_of_a_batch_stays
            nothing_is_noted_of_what_is_not_there
            a_finished_batch_is_not_due_any_more
            batches_do_not_see_each_other
        }
        crate::adapters::conformance::store_conformance! { $fixture => changes
            a_first_verdict_is_a_change_that_is_owed
            a_change_tells_what_was_before
            what_changes_nothing_owes_nothing
            what_was_delivered_is_not_owed_and_stays_a_change
            what_is_owed_comes_oldest_first_and_limited
            every_change_has_a_name_of_its_own
            changes_are_read_in_pages_each_once
            changes_begin_and_end_where_they_are_asked_to
            a_quiet_year_is_walked_through_in_few_steps
            of_concurrent_verdicts_what_is_owed_is_what_changed
        }
    };
    ($fixture:path => $facts:ident $($fact:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $fact() {
                let fixture = $fixture().await;
                crate::adapters::conformance::$facts::$fact(fixture.store()).await;
            }
        )+
    };
}
pub(crate) use store_conformance;

/// A version to test with.
pub(crate) fn package(version: &str) -> PackageVersion {
    format!("pkg:npm/%40scope/name@{version}").parse().unwrap()
}

/// An instant, so many seconds after the first one of the tests.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// A verdict as it would be decided at `at(seconds)` on this dossier.
pub(crate) fn verdict(dossier: &Dossier, status: Status, decided_by: &[&str], seconds: i64) -> Verdict {
    serde_json::from_value(json!({
        "schema": crate::verdict::SCHEMA,
        "package": dossier.package,
        "status": status,
        "questions": { "registryOnly": "no", "logOnly": "no", "mismatch": "unknown", "decidedBy": {} },
        "findings": [],
        "decidedBy": decided_by,
        "coverage": { "run": 13.0 / 14.0, "source": 1.0 / 3.0 },
        "checkedAt": at(seconds),
        "validUntil": at(seconds + 600),
        "nextLookAt": at(seconds + 600),
        "checkSet": "2026.11",
        "policy": Digest::sha256_of(b"policy"),
        "trust": {
            "trustedRoot": Digest::sha256_of(b"root"),
            "npmKeys": Digest::sha256_of(b"keys"),
            "origin": "test",
        },
        "dossier": dossier.digest(),
        "verifier": { "id": "test", "version": "0" },
    }))
    .unwrap()
}

fn response(body: &[u8], kept: Kept) -> Answer {
    answered(200, body, kept)
}

fn answered(status: u16, body: &[u8], kept: Kept) -> Answer {
    Answer::Answered(Response {
        status,
        content_type: Some("application/json".to_owned()),
        etag: None,
        size: body.len().try_into().unwrap(),
        sha256: Digest::sha256_of(body),
        redirects: 0,
        last_modified: None,
        kept,
    })
}

/// A dossier of an npm package with every way to keep a body, observed at `at(seconds)`.
pub(crate) fn dossier(package: &PackageVersion, seconds: i64, attestations: &[u8]) -> Dossier {
    let observation = |subject, answer| Observation {
        subject,
        about: String::new(),
        url: format!("https://registry.example/{subject:?}"),
        at: at(seconds),
        answer,
    };
    let packument = br#"{"name":"@scope/name"}"#;
    let tarball = |manifest| Kept::Archive {
        sha512: Digest::sha512_of(b"tarball"),
        sha1: Digest::new(DigestAlgorithm::Sha1, [7; 20]).unwrap(),
        manifest,
    };
    let manifest = || Body(br#"{"name":"@scope/name","version":"1.0.0"}"#.to_vec());
    Dossier::new(
        package.clone(),
        vec![
            observation(
                Subject::Artifact,
                response(b"tarball", tarball(ArchiveMember::Found { body: manifest() })),
            ),
            observation(
                Subject::ArtifactAgain,
                response(b"tarball", tarball(ArchiveMember::Found { body: manifest() })),
            ),
            observation(
                Subject::Packument,
                response(
                    packument,
                    Kept::Excerpt {
                        body: Body(packument.to_vec()),
                    },
                ),
            ),
            observation(
                Subject::Attestations,
                response(
                    attestations,
                    Kept::Whole {
                        body: Body(attestations.to_vec()),
                    },
                ),
            ),
            observation(Subject::VersionManifest, response(b"", Kept::Nothing)),
        ],
    )
}

/// Bytes that zstd cannot make shorter.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}

pub(crate) async fn record(
    store: &impl Store,
    status: Status,
    decided_by: &[&str],
    seconds: i64,
) -> (Verdict, Recorded) {
    let dossier = dossier(&package("1.0.0"), seconds, b"[]");
    let verdict = verdict(&dossier, status, decided_by, seconds);
    let recorded = store.record(&verdict, &dossier, None, false).await.unwrap();
    (verdict, recorded)
}

/// An attempt of a run of which no commit is named.
pub(crate) fn run() -> TraceKey {
    run_of("12", 3, 1)
}

/// The same attempt, and the commit that it was of.
pub(crate) fn build() -> TraceKey {
    build_of("12", 3, 1, "ab34")
}

fn run_of(repository: &str, run: u64, attempt: u64) -> TraceKey {
    TraceKey {
        repository: repository.to_owned(),
        run,
        attempt,
        commit: None,
    }
}

pub(crate) fn build_of(repository: &str, run: u64, attempt: u64, commit: &str) -> TraceKey {
    TraceKey {
        commit: Some(commit.to_owned()),
        ..run_of(repository, run, attempt)
    }
}

/// What a forge answered about a run at `at(seconds)`.
pub(crate) fn seen(seconds: i64, status: u16) -> Observation {
    let body = format!("{{\"seen\":{seconds}}}").into_bytes();
    let kept = match status {
        200 => Kept::Whole {
            body: Body(body.clone()),
        },
        _ => Kept::Nothing,
    };
    Observation {
        subject: Subject::Run,
        about: String::new(),
        url: "https://forge.example/run".to_owned(),
        at: at(seconds),
        answer: answered(status, &body, kept),
    }
}

/// The same of another question.
pub(crate) fn of(subject: Subject, observation: Observation) -> Observation {
    Observation { subject, ..observation }
}

/// A release of `@scope/name`, published at `at(seconds)`.
pub(crate) fn release(version: &str, seconds: i64) -> PastRelease {
    serde_json::from_value(json!({
        "version": version,
        "accepted": true,
        "publishedAt": at(seconds),
        "repositoryId": "12",
        "trigger": "release",
    }))
    .unwrap()
}

/// The releases in the memory of a version.
pub(crate) async fn releases_in_memory(store: &impl Store, package: &PackageVersion) -> Vec<PastRelease> {
    store.past(package, None).await.unwrap().history
}

/// The task of looking at `@scope/name` 1.0.0.
pub(crate) fn version() -> Task {
    Task::Version(package("1.0.0"))
}

/// Everything that is due, most overdue first.
pub(crate) async fn due(store: &impl Store, now: Timestamp) -> Vec<Task> {
    let due = store.due(now, 100).await.unwrap();
    due.into_iter().map(|due| due.task).collect()
}

/// The verdict that was replaced by one that became current.
pub(crate) fn previous(recorded: Recorded) -> Option<Verdict> {
    match recorded {
        Recorded::Current { previous, .. } => previous.map(|previous| *previous),
        Recorded::KeptExisting { current } => panic!("{} of {} stayed", current.status, current.checked_at),
    }
}

/// A batch of so many versions that was handed in at `at(0)`.
pub(crate) fn batch(id: &str, total: usize) -> Batch {
    Batch {
        id: id.to_owned(),
        total,
        created_at: at(0),
        expires_at: at(7 * 24 * 60 * 60),
    }
}

/// Announcements of so many first verdicts.
pub(crate) fn announcements(count: i64) -> Vec<Announcement> {
    (0..count)
        .map(|number| {
            let dossier = dossier(&package(&format!("{number}.0.0")), number, b"[]");
            let verdict = verdict(&dossier, Status::Mismatch, &["run.conclusion"], number);
            Announcement {
                id: Digest::sha256_of(number.to_string().as_bytes()).to_hex(),
                change: Change {
                    package: verdict.package,
                    status: verdict.status,
                    decided_by: verdict.decided_by,
                    previous_status: Some(Status::Verified),
                    previously_decided_by: Vec::new(),
                    questions: verdict.questions,
                    checked_at: verdict.checked_at,
                    dossier: verdict.dossier,
                    verifier: VerifierIdentity {
                        id: "urn:hekate:verifier:test".to_owned(),
                        ..verdict.verifier
                    },
                },
            }
        })
        .collect()
}

/// Runs so many tasks that begin at the same moment, and returns what came of each.
async fn concurrently<F>(count: usize, task: impl Fn(i64) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let barrier = Arc::new(tokio::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..)
        .take(count)
        .map(|number| {
            let (barrier, task) = (Arc::clone(&barrier), task(number));
            tokio::spawn(async move {
                barrier.wait().await;
                task.await
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// So many different work items.
pub(crate) fn work(count: usize) -> Vec<WorkItem> {
    (0..count)
        .map(|number| WorkItem {
            batch: (number % 2 == 0).then(|| format!("batch \"{number}\" ✓")),
            ..WorkItem::new(
                Target::Version(package(&format!("{number}.0.0"))),
                WorkReason::Batch,
                at(0),
            )
        })
        .collect()
}

/// `received` returns what the other end got, once `queue` is dropped.
pub(crate) async fn every_item_is_handed_over_whole(
    queue: impl WorkQueue,
    received: impl AsyncFnOnce() -> Vec<WorkItem>,
) {
    let items = work(123);
    queue.send(&items[..1]).await.unwrap();
    queue.send(&items[1..]).await.unwrap();
    drop(queue);
    let received = received().await;
    assert_eq!(received.len(), items.len());
    let purls = |items: &[WorkItem]| items.iter().map(|item| format!("{item:?}")).collect::<BTreeSet<_>>();
    assert_eq!(purls(&received), purls(&items));
}

/// `received` returns what the other end got, once `queue` is dropped.
pub(crate) async fn nothing_to_send_is_no_fault(queue: impl WorkQueue, received: impl AsyncFnOnce() -> Vec<WorkItem>) {
    queue.send(&[]).await.unwrap();
    drop(queue);
    assert_eq!(received().await, []);
}
