//! Several looks at one version on PyPI: what each of them downloads, and what it keeps of the ones before.

use std::collections::BTreeSet;
use std::sync::Arc;

use hekate::check::CheckId;
use hekate::dossier::{Dossier, Subject};
use hekate::ecosystem::{self, Look, LookFault};
use hekate::ports::Memory;
use hekate::verdict::{Status, Verdict};
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{decide, look_again, no_address};
use hekate_tests::recollection::Recollection;
use jiff::SignedDuration;
use serde_json::json;
use testbed::{PypiFile, PypiRelease, Scenario};

use crate::shape::{judge, listed, now};

const WIDGET: &str = "pypi:acme-widget@1.2.3";

/// A release of two files that are too large, as the index says, to be downloaded in one look.
fn large() -> PypiRelease {
    PypiRelease::honest("Acme.Widget", "1.2.3")
        .files(|file| file.listing(|listing| listing["size"] = json!(3_u64 << 29)))
}

/// Looks at a version, of which there may be an earlier dossier.
async fn look(release: PypiRelease, previous: Option<&Dossier>, number: i64) -> (Dossier, Verdict) {
    let fetch = ScenarioFetch::new(Arc::new(Scenario::new().release(release)));
    let at = now() + SignedDuration::from_mins(10 * number);
    let coordinate = WIDGET.parse().unwrap();
    let judge = judge();
    let dossier = look_again(&judge, &fetch, &no_address(), &coordinate, at, previous, |_| Vec::new())
        .await
        .unwrap();
    let verdict = decide(&judge, dossier.clone(), &Memory::default(), at).verdict;
    (dossier, verdict)
}

/// The files whose bytes a dossier has.
fn downloaded(dossier: &Dossier) -> BTreeSet<String> {
    let bytes = dossier
        .observations
        .iter()
        .filter(|seen| seen.subject == Subject::Artifact);
    let arrived = bytes.filter(|seen| seen.success().is_some());
    arrived.map(|seen| seen.about.clone()).collect()
}

#[tokio::test]
async fn what_one_look_cannot_download_the_next_ones_do() {
    let (first, verdict) = look(large(), None, 0).await;
    assert_eq!((downloaded(&first).len(), verdict.status), (1, Status::Indeterminate));
    let (second, _) = look(large(), Some(&first), 1).await;
    assert_eq!(downloaded(&second).len(), 2);
    assert!(downloaded(&second).is_superset(&downloaded(&first)));
}

#[tokio::test]
async fn a_file_that_is_new_is_downloaded_before_those_that_are_known() {
    let (first, _) = look(large().only_sdist(), None, 0).await;
    assert_eq!(downloaded(&first).len(), 1);
    let (second, _) = look(large(), Some(&first), 1).await;
    assert_eq!(downloaded(&second).len(), 2);
}

#[tokio::test]
async fn bytes_that_contradict_the_index_stand_in_for_nothing_at_the_next_look() {
    let (first, verdict) = look(large().files(PypiFile::swapped_by_one_byte), None, 0).await;
    assert_eq!(verdict.status, Status::Mismatch);
    // The next look downloads the same file again, and not the other one.
    let (second, verdict) = look(large(), Some(&first), 1).await;
    assert_eq!(downloaded(&second), downloaded(&first));
    let contradicted = verdict
        .findings
        .iter()
        .any(|finding| finding.check == CheckId::ArtTarballIntegrity && finding.outcome.is_fail());
    assert!(!contradicted, "{:?}", verdict.decided_by);
}

#[tokio::test]
async fn a_release_without_attestations_after_some_that_had_one_in_part_is_told() {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let mixed = |version: &str, ago: i64| {
        PypiRelease::honest("Acme.Widget", version)
            .wheels(PypiFile::unattested)
            .later(days(-ago))
    };
    let scenario = Scenario::new()
        .release(mixed("1.2.0", 40))
        .release(mixed("1.2.1", 20))
        .release(PypiRelease::honest("Acme.Widget", "1.2.3").unattested());
    let fetch = ScenarioFetch::new(Arc::new(scenario));
    let judged = Recollection::default()
        .look(&judge(), &fetch, &no_address(), &WIDGET.parse().unwrap(), now())
        .await
        .unwrap();
    assert_eq!(judged.verdict.status, Status::Downgraded, "{}", listed(&judged));
}

#[tokio::test]
async fn an_index_that_does_not_tell_when_files_were_uploaded_tells_nothing_new() {
    let release = PypiRelease::honest("Acme.Widget", "1.2.3").files(|file| {
        file.listing(|listing| {
            listing.as_object_mut().unwrap().remove("upload-time");
        })
    });
    let fetch = ScenarioFetch::new(Arc::new(Scenario::new().release(release)));
    let look = Look {
        fetch: &fetch,
        upstreams: &no_address(),
        at: now(),
        previous: None,
    };
    match ecosystem::versions(&"pkg:pypi/acme-widget".parse().unwrap(), &look).await {
        Err(LookFault::Upstream { detail, .. }) => assert!(detail.contains("PEP 700"), "{detail}"),
        other => panic!("{other:?}"),
    }
}
