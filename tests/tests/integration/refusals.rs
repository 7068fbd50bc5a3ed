//! Every way in which an attestation is refused, and every reason for which a question has no answer.

use std::collections::BTreeSet;

use hekate::attestation::{Refusal, RefusedPart, TrustMaterial, TrustOrigin, UnverifiedAttestation};
use hekate::check::{CheckId, Outcome, UnknownReason};
use hekate_tests::path::trust_in;
use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::{BASE_TIME, Evidence, Format, RegistryKeyChoice, Release, World};

use crate::attestations::{provenance_of, publish_attestation_of, publish_attestation_of_type};
use crate::shape::{now, outcome_of};
use crate::{catalogue, forge, pypi_cases};

fn trust(origin: TrustOrigin) -> TrustMaterial {
    trust_in(&World::shared(), origin).unwrap()
}

pub(crate) fn unverified(item: &Value) -> UnverifiedAttestation {
    let bundle = serde_json::from_str(&item["bundle"].to_string()).unwrap();
    UnverifiedAttestation::new(item["predicateType"].as_str().unwrap().to_owned(), bundle)
}

fn refusal_of(item: &Value) -> Refusal {
    trust(TrustOrigin::Files).verify(&unverified(item), now()).unwrap_err()
}

fn part(refusal: &Refusal) -> Option<RefusedPart> {
    match refusal {
        Refusal::Forged { part, .. } => Some(*part),
        Refusal::Unsupported(_) | Refusal::UnknownSigner(_) | Refusal::NoTrustedTime(_) => None,
    }
}

fn widget() -> Release {
    Release::honest("@acme/widget", "1.2.3")
}

#[test]
fn an_honest_attestation_is_authentic() {
    for item in [provenance_of(&widget()), publish_attestation_of(&widget())] {
        let verified = trust(TrustOrigin::Files).verify(&unverified(&item), now()).unwrap();
        assert_eq!(verified.statement.subject.name, "pkg:npm/%40acme/widget@1.2.3");
        assert!(verified.signed_at >= BASE_TIME && verified.signed_at < BASE_TIME + SignedDuration::from_secs(5));
        assert!(verified.log.is_some_and(|log| log.proof && log.promise));
    }
}

#[test]
fn a_newer_bundle_format_is_unsupported() {
    let item = provenance_of(&widget().bundle(|bundle| bundle["mediaType"] = json!("x.bundle.v9+json")));
    assert!(matches!(refusal_of(&item), Refusal::Unsupported(detail) if detail.contains("v9")));
}

#[test]
fn another_payload_type_that_was_signed_is_unsupported() {
    let item = publish_attestation_of_type(&widget(), "application/vnd.example+json");
    assert!(matches!(refusal_of(&item), Refusal::Unsupported(detail) if detail.contains("vnd.example")));
}

#[test]
fn a_message_signature_in_place_of_an_envelope_is_unsupported() {
    let item = provenance_of(&widget().bundle(|bundle| {
        bundle.as_object_mut().unwrap().remove("dsseEnvelope");
        bundle["messageSignature"] = json!({
            "messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"},
            "signature": "AAAA",
        });
    }));
    assert!(
        matches!(refusal_of(&item), Refusal::Unsupported(_)),
        "{:?}",
        refusal_of(&item)
    );
}

#[test]
fn a_key_that_is_not_known_is_an_unknown_signer() {
    let item = publish_attestation_of(&widget().publish_attestation(|plan| plan.key = RegistryKeyChoice::Unknown));
    assert!(matches!(refusal_of(&item), Refusal::UnknownSigner(_)));
}

#[test]
fn an_authority_that_old_material_lacks_is_an_unknown_signer_and_one_that_fresh_material_lacks_is_a_forger() {
    let item = provenance_of(&widget().certificate_by(&World::foreign()));
    let hours = |hours| TrustOrigin::Tuf {
        refreshed_at: now() - SignedDuration::from_hours(hours),
    };
    for origin in [TrustOrigin::Embedded, hours(24 * 7 + 1)] {
        let refusal = trust(origin).verify(&unverified(&item), now()).unwrap_err();
        assert!(matches!(refusal, Refusal::UnknownSigner(_)), "{origin}: {refusal:?}");
    }
    for origin in [TrustOrigin::Files, hours(24 * 7 - 1)] {
        let refusal = trust(origin).verify(&unverified(&item), now()).unwrap_err();
        assert_eq!(part(&refusal), Some(RefusedPart::Signature), "{origin}: {refusal:?}");
    }
}

#[test]
fn a_proof_alone_tells_no_trusted_time() {
    let format = Format {
        evidence: Evidence::Proof,
        ..Format::v03()
    };
    for item in [
        provenance_of(&widget().bundle_format(format.clone())),
        publish_attestation_of(&widget().publish_format(format)),
    ] {
        assert!(
            matches!(refusal_of(&item), Refusal::NoTrustedTime(_)),
            "{:?}",
            refusal_of(&item)
        );
    }
}

#[test]
fn another_statement_under_the_same_signature_is_a_forgery_of_the_signature_or_its_log_entry() {
    let item = provenance_of(&widget().bundle(|bundle| {
        let other = provenance_of(&Release::honest("@acme/other", "1.0.0"));
        bundle["dsseEnvelope"]["payload"] = other["bundle"]["dsseEnvelope"]["payload"].clone();
    }));
    assert!(part(&refusal_of(&item)).is_some());
}

#[test]
fn a_missing_log_entry_is_a_forgery_of_the_log() {
    let item = provenance_of(&widget().bundle(|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([])));
    assert_eq!(part(&refusal_of(&item)), Some(RefusedPart::Log));
}

#[test]
fn a_log_that_files_do_not_know_is_a_forgery_of_the_log() {
    let item = provenance_of(&widget().provenance(|plan| plan.parties.log = World::foreign()));
    assert_eq!(part(&refusal_of(&item)), Some(RefusedPart::Log));
}

#[test]
fn a_certificate_that_had_ended_is_a_forgery_of_the_signature() {
    let late = widget().provenance(|plan| plan.logged_at += SignedDuration::from_mins(30));
    assert_eq!(part(&refusal_of(&provenance_of(&late))), Some(RefusedPart::Signature));
}

#[test]
fn bundles_that_do_not_parse_are_forged_where_their_format_is_known() {
    for (bundle, supported) in [
        (json!({}), false),
        (json!("text"), false),
        (
            json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}),
            true,
        ),
    ] {
        let item = json!({"predicateType": "https://slsa.dev/provenance/v1", "bundle": bundle});
        let refusal = refusal_of(&item);
        assert_eq!(part(&refusal).is_some(), supported, "{item}: {refusal:?}");
    }
}

/// `Unsupported` stands for `UnavailableReason::TooLarge`, which findings do not tell from a format that is not known.
#[tokio::test]
async fn every_reason_for_silence_reaches_a_finding() {
    let mut reasons = BTreeSet::new();
    for (_name, shape) in [catalogue::all(), forge::all(), pypi_cases::all()]
        .into_iter()
        .flatten()
    {
        if let Ok(judged) = shape.judged_without_sockets().await {
            reasons.extend(
                CheckId::ALL
                    .iter()
                    .filter_map(|check| match outcome_of(&judged, *check) {
                        Outcome::Unknown(reason) => Some(format!("{reason:?}")),
                        Outcome::Pass(_) | Outcome::Fail(_) | Outcome::Warn(_) | Outcome::NotApplicable(_) => None,
                    }),
            );
        }
    }
    let expected = [
        UnknownReason::Unreachable,
        UnknownReason::RateLimited,
        UnknownReason::NotRetained,
        UnknownReason::Private,
        UnknownReason::Stripped,
        UnknownReason::Unsupported,
        UnknownReason::Pending,
        UnknownReason::Malformed,
        UnknownReason::NotRun,
    ];
    assert_eq!(reasons, expected.iter().map(|reason| format!("{reason:?}")).collect());
}
