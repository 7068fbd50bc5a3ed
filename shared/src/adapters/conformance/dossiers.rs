//! Facts about evidence.

use super::{at, dossier, noise, package, previous, record, verdict};
use crate::check::{CheckId, Finding, Outcome};
use crate::dossier::{Answer, Observation, Subject};
use crate::package::Digest;
use crate::ports::{Recorded, Store};
use crate::verdict::Status;

pub(crate) async fn a_dossier_comes_back_whole(store: &impl Store) {
    for (seconds, body) in [
        (0, &b"{\"attestations\":[]}"[..]),
        (10, b""),
        (20, b"\xff\xfe"),
        (30, b"sha256:00"),
    ] {
        let mut dossier = dossier(&package("1.0.0"), seconds, body);
        dossier.observe(Observation {
            subject: Subject::VersionManifest,
            about: String::new(),
            url: "https://registry.example/".to_owned(),
            at: at(seconds),
            answer: Answer::Unanswered {
                reason: crate::availability::UnavailableReason::Unreachable,
                detail: "no connection".to_owned(),
                retry_after: Some(7),
            },
        });
        let verdict = verdict(&dossier, Status::Verified, &[], seconds);
        store.record(&verdict, &dossier, None, false).await.unwrap();
        assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(dossier));
    }
}

pub(crate) async fn a_dossier_of_two_megabytes_comes_back_whole(store: &impl Store) {
    let dossier = dossier(&package("1.0.0"), 0, &noise(2 * 1024 * 1024));
    let verdict = verdict(&dossier, Status::Verified, &[], 0);
    store.record(&verdict, &dossier, None, false).await.unwrap();
    let read = store.dossier(&verdict.dossier).await.unwrap();
    assert!(read == Some(dossier), "the dossier differs");
}

pub(crate) async fn a_dossier_is_kept_even_if_its_verdict_is_not(store: &impl Store) {
    record(store, Status::Verified, &[], 100).await;
    for (status, seconds) in [(Status::Mismatch, 50), (Status::Indeterminate, 150)] {
        let dossier = dossier(&package("1.0.0"), seconds, b"[1]");
        let verdict = verdict(&dossier, status, &[], seconds);
        let recorded = store.record(&verdict, &dossier, None, false).await.unwrap();
        assert!(matches!(recorded, Recorded::KeptExisting { .. }));
        assert_eq!(store.dossier(&verdict.dossier).await.unwrap(), Some(dossier));
    }
}

pub(crate) async fn earlier_dossiers_stay(store: &impl Store) {
    let dossiers: Vec<_> = [(0, b"[1]"), (10, b"[1]"), (20, b"[2]"), (30, b"[1]")]
        .map(|(seconds, body)| (seconds, dossier(&package("1.0.0"), seconds, body)))
        .into();
    for (seconds, dossier) in &dossiers {
        let verdict = verdict(dossier, Status::Verified, &[], *seconds);
        store.record(&verdict, dossier, None, false).await.unwrap();
    }
    for (_, dossier) in dossiers {
        assert_eq!(store.dossier(&dossier.digest()).await.unwrap(), Some(dossier));
    }
}

pub(crate) async fn an_unknown_dossier_is_none(store: &impl Store) {
    assert_eq!(store.dossier(&Digest::sha256_of(b"unknown")).await.unwrap(), None);
}

pub(crate) async fn a_verdict_of_any_length_comes_back_whole(store: &impl Store) {
    let dossier = dossier(&package("1.0.0"), 0, b"[]");
    let mut long = verdict(&dossier, Status::Verified, &[], 0);
    let summary = hex::encode(noise(700_000));
    long.findings
        .push(Finding::new(CheckId::RunConclusion, Outcome::Pass(None), summary));
    store.record(&long, &dossier, None, false).await.unwrap();
    assert!(
        store.current(&long.package).await.unwrap().as_ref() == Some(&long),
        "the current verdict differs"
    );
    let text = store.current_text(&long.package).await.unwrap().unwrap();
    assert!(
        text.into_json() == serde_json::to_string(&long).unwrap(),
        "its text differs"
    );
    assert!(
        store.history(&long.package, None, 1).await.unwrap().first() == Some(&long),
        "the history differs"
    );

    let (short, recorded) = record(store, Status::Verified, &[], 10).await;
    assert!(previous(recorded) == Some(long), "the previous verdict differs");
    assert_eq!(store.current(&short.package).await.unwrap(), Some(short));
}
