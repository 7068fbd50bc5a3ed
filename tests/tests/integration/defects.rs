//! What the path once got wrong: each test is named by what is right.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hekate::attestation::TrustOrigin;
use hekate::verdict::Status::{Attested, Indeterminate, Mismatch};
use jiff::SignedDuration;
use serde_json::json;
use testbed::{BASE_TIME, Format, Release, World};

use crate::shape::{Shape, shape};

fn widget() -> Release {
    Release::honest("@acme/widget", "1.2.3")
}

async fn holds(name: &str, shape: Shape) {
    shape.meets(name, &shape.judged_without_sockets().await);
}

/// A log that came after the material was compiled in is no forgery: its promise is refused under another error of the
/// Sigstore verifier than an unknown log has.
#[tokio::test]
async fn a_promise_of_a_log_that_embedded_material_lacks_cannot_be_judged() {
    let release = widget().provenance(|plan| plan.parties.log = World::foreign());
    holds(
        "promise",
        shape(release).trusting(TrustOrigin::Embedded).is(Indeterminate),
    )
    .await;
}

/// The same for the second generation of the log, of which there is a new one every year.
#[tokio::test]
async fn a_proof_of_a_log_that_embedded_material_lacks_cannot_be_judged() {
    let release = widget()
        .bundle_format(Format::rekor_v2())
        .provenance(|plan| plan.parties.log = World::foreign());
    holds(
        "proof",
        shape(release).trusting(TrustOrigin::Embedded).is(Indeterminate),
    )
    .await;
}

/// The same for a certificate transparency log.
#[tokio::test]
async fn a_certificate_log_that_embedded_material_lacks_cannot_be_judged() {
    let release = widget().provenance(|plan| plan.parties.ct_log = World::foreign());
    holds(
        "certificate log",
        shape(release).trusting(TrustOrigin::Embedded).is(Indeterminate),
    )
    .await;
}

/// A clock that is behind by less than the policy's skew accuses nobody. A look also begins before the answers come, so
/// that a version may be logged in between.
#[tokio::test]
async fn a_clock_that_is_a_little_behind_accuses_nobody() {
    let behind = BASE_TIME - SignedDuration::from_secs(5);
    let shape = shape(widget()).looked_at(behind).is(Attested);
    let judged = shape.judged_without_sockets().await.unwrap();
    assert!(
        matches!(judged.verdict.status, Attested | Indeterminate),
        "{} by {:?}",
        judged.verdict.status,
        judged.verdict.decided_by
    );
}

/// Unrecognised attestations are listed and ignored, whatever their shape.
#[tokio::test]
async fn an_unrecognised_item_without_a_bundle_changes_nothing() {
    let release = widget().attestations(|list| {
        list.push(json!({"predicateType": "https://example.com/review/v1", "bundleUrl": "https://example.com/1"}));
    });
    holds("item", shape(release).is(Attested)).await;
}

/// A forgery is told by its signature, whatever the statement says that it does not cover.
#[tokio::test]
async fn a_payload_that_is_not_signed_is_forged_even_if_it_is_not_understood() {
    let release = widget().publish_bundle(|bundle| {
        let payload = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"name": "pkg:npm/%40acme/widget@1.2.3", "digest": "00"}],
            "predicateType": testbed::attestation::PUBLISH,
            "predicate": {},
        });
        bundle["dsseEnvelope"]["payload"] = json!(STANDARD.encode(payload.to_string()));
    });
    holds("payload", shape(release).is(Mismatch)).await;
}

/// The same, recorded.
#[tokio::test]
async fn every_recorded_forgery_is_a_mismatch() {
    let Some(corpus) = crate::corpus::corpus() else { return };
    for recording in corpus.responses().unwrap() {
        let judged = crate::corpus::judged(&corpus, &recording, hekate_tests::corpus::NPM_KEYS).await;
        assert!(
            recording.expected.is_met_by(judged.verdict.status),
            "{}",
            recording.name
        );
    }
}

/// The build type that npm's command line wrote between `gha@v0` and `gha/v2`, as in a recording of March 2023.
#[tokio::test]
async fn the_build_type_of_early_2023_is_known() {
    let release = Release::honest_of_2023("pioneer", "1.0.0")
        .statement(|statement| statement["predicate"]["buildType"] = json!("https://github.com/npm/cli/gha@v1"));
    holds("build type", shape(release).is(Attested)).await;
}

/// An entry without evidence must not ride along beside one that has it, nor lend its index to the verdict.
#[tokio::test]
async fn a_log_entry_without_proof_or_promise_is_refused_beside_a_good_one() {
    let release = widget().bundle(|bundle| {
        let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
        let mut bare = entries[0].clone();
        bare.as_object_mut().unwrap().remove("inclusionProof");
        bare.as_object_mut().unwrap().remove("inclusionPromise");
        bare["logIndex"] = json!("424242");
        entries.insert(0, bare);
    });
    holds("bare entry", shape(release).is(Mismatch)).await;
}

/// Capitals are part of a name: an old package is not judged under another's.
#[tokio::test]
async fn a_package_with_capitals_is_attested_under_its_own_name() {
    holds("capitals", shape(Release::honest("JSONStream", "1.0.0")).is(Attested)).await;
}

/// Junk in the place of the registry's signature does not make metadata that of the registry.
#[tokio::test]
async fn absence_beside_a_signature_by_an_unknown_key_is_not_proved() {
    let release = widget().unattested().metadata(|manifest| {
        manifest["dist"]["signatures"] = json!([{ "keyid": "SHA256:x", "sig": "AAAA" }]);
    });
    holds("junk signature", shape(release).is(Indeterminate)).await;
}
