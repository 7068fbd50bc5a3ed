//! Every kind of bundle verifies; every way to bend one is noticed.

use crate::{check_provenance, check_publish};
use serde_json::{Value, json};
use sigstore::VerificationResult;
use testbed::{
    Claims, EmbeddedSct, Evidence, Flavour, Format, Identity, Release, SignatureEncoding, World, moment,
    release::RegistryKeyChoice,
};

fn honest() -> Release {
    Release::honest("@acme/widget", "1.2.3")
}

/// Flips one bit in the middle of a base64 member.
fn corrupt(value: &mut Value) {
    let text = value.as_str().unwrap();
    let mut letters: Vec<char> = text.chars().collect();
    let middle = letters.len() / 2;
    letters[middle] = if letters[middle] == 'A' { 'B' } else { 'A' };
    *value = json!(letters.into_iter().collect::<String>());
}

/// Corrupts the member of the provenance's bundle at `pointer`.
fn corrupted(release: Release, pointer: &'static str) -> Release {
    release.bundle(move |bundle| corrupt(bundle.pointer_mut(pointer).unwrap()))
}

/// Changes something in the text of the checkpoint.
fn with_checkpoint(release: Release, edit: fn(&str) -> String) -> Release {
    release.bundle(move |bundle| {
        let envelope =
            &mut bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]["envelope"];
        *envelope = json!(edit(envelope.as_str().unwrap()));
    })
}

#[test]
fn a_v03_provenance_verifies_against_the_generated_root() {
    let result = check_provenance(&honest()).unwrap();
    assert!(result.certificate_verified() && result.sct_verified() && result.tlog_verified());
    assert_eq!(result.integrated_time(), Some(testbed::BASE_TIME));
    let claims = &result.certificate().unwrap().ci_claims;
    assert_eq!(
        claims.source_repository_uri.as_deref(),
        Some("https://github.com/acme/widget")
    );
    assert_eq!(
        claims.token_subject.as_deref(),
        Some("repo:acme/widget:ref:refs/tags/v1.2.3")
    );
}

#[test]
fn every_format_of_provenance_verifies() {
    for format in [
        Format::v01(),
        Format::v02_intoto(),
        Format::v02(),
        Format::v03(),
        Format::rekor_v2(),
    ] {
        let result = check_provenance(&honest().bundle_format(format.clone()));
        assert!(
            result.as_ref().is_ok_and(VerificationResult::tlog_verified),
            "{format:?}: {result:?}"
        );
    }
}

#[test]
fn every_format_of_publish_attestation_verifies() {
    for format in [
        Format::v01(),
        Format::v02_intoto(),
        Format::v02(),
        Format::v03(),
        Format::rekor_v2(),
    ] {
        let result = check_publish(&honest().publish_format(format.clone()));
        assert!(
            result.as_ref().is_ok_and(VerificationResult::tlog_verified),
            "{format:?}: {result:?}"
        );
    }
}

#[test]
fn every_flavour_of_provenance_verifies() {
    for flavour in [Flavour::SlsaV1, Flavour::SlsaV02, Flavour::NodeBuilder, Flavour::GitLab] {
        let result = check_provenance(&honest().flavour(flavour));
        assert!(result.is_ok(), "{flavour:?}: {result:?}");
    }
}

#[test]
fn releases_of_earlier_years_verify() {
    for release in [
        Release::honest_of_2023("goggles", "1.0.5"),
        Release::honest_of_2024("goggles", "2.0.0"),
    ] {
        check_provenance(&release).unwrap();
        check_publish(&release).unwrap();
    }
}

#[test]
fn a_proof_without_a_promise_needs_a_timestamp() {
    let proof_only = Format {
        evidence: Evidence::Proof,
        ..Format::v03()
    };
    assert!(check_provenance(&honest().bundle_format(proof_only.clone())).is_err());
    let stamped = Format {
        timestamped: true,
        ..proof_only
    };
    let result = check_provenance(&honest().bundle_format(stamped)).unwrap();
    assert_eq!(result.verified_timestamps(), [testbed::BASE_TIME]);
}

#[test]
fn a_promise_alone_is_enough_for_v01_only() {
    let promise_only = |format| Format {
        evidence: Evidence::Promise,
        ..format
    };
    assert!(check_provenance(&honest().bundle_format(promise_only(Format::v01()))).is_ok());
    assert!(check_provenance(&honest().bundle_format(promise_only(Format::v03()))).is_err());
}

#[test]
fn the_signature_of_the_statement_is_checked() {
    assert!(check_provenance(&corrupted(honest(), "/dsseEnvelope/signatures/0/sig")).is_err());
    assert!(check_provenance(&corrupted(honest(), "/dsseEnvelope/payload")).is_err());
    let forged = honest().publish_bundle(|bundle| corrupt(&mut bundle["dsseEnvelope"]["signatures"][0]["sig"]));
    assert!(check_publish(&forged).is_err());
}

#[test]
fn the_promise_is_checked() {
    let pointer = "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp";
    for format in [Format::v01(), Format::v02(), Format::v03()] {
        assert!(check_provenance(&corrupted(honest().bundle_format(format), pointer)).is_err());
    }
    let backdated = honest()
        .bundle(|bundle| bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!("1793613601"));
    assert!(check_provenance(&backdated).is_err());
}

#[test]
fn the_inclusion_proof_is_checked() {
    for format in [Format::v02_intoto(), Format::v03(), Format::rekor_v2()] {
        let broken = honest().bundle_format(format.clone()).bundle(|bundle| {
            let hashes = &mut bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"];
            corrupt(&mut hashes[0]);
        });
        assert!(check_provenance(&broken).is_err(), "{format:?}");
        let other_body = corrupted(
            honest().bundle_format(format.clone()),
            "/verificationMaterial/tlogEntries/0/canonicalizedBody",
        );
        assert!(check_provenance(&other_body).is_err(), "{format:?}");
    }
}

#[test]
fn the_checkpoint_is_checked() {
    for format in [Format::v03(), Format::rekor_v2()] {
        let release = || honest().bundle_format(format.clone());
        assert!(check_provenance(&with_checkpoint(release(), str::to_owned)).is_ok());
        let other_origin = |text: &str| text.replacen("testbed.example", "testbed.invalid", 1);
        assert!(
            check_provenance(&with_checkpoint(release(), other_origin)).is_err(),
            "{format:?}"
        );
        let unsigned = |text: &str| text.split("\n\n").next().unwrap().to_owned() + "\n\n";
        assert!(
            check_provenance(&with_checkpoint(release(), unsigned)).is_err(),
            "{format:?}"
        );
    }
}

#[test]
fn the_certificates_timestamp_is_checked() {
    for sct in [EmbeddedSct::Absent, EmbeddedSct::Forged] {
        assert!(
            check_provenance(&honest().certificate(move |claims| claims.sct = sct)).is_err(),
            "{sct:?}"
        );
    }
    let foreign_log = honest().provenance(|plan| plan.parties.ct_log = World::foreign());
    assert!(check_provenance(&foreign_log).unwrap_err().contains("SCT"));
}

#[test]
fn the_rfc_3161_timestamp_is_checked() {
    let stamped = || honest().rekor_v2();
    let pointer = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    assert!(check_provenance(&stamped()).is_ok());
    assert!(check_provenance(&corrupted(stamped(), pointer)).is_err());
    let foreign = stamped().provenance(|plan| plan.parties.timestamp_authority = World::foreign());
    assert!(check_provenance(&foreign).is_err());
    let late = stamped().provenance(|plan| plan.logged_at = moment("2026-11-02T10:20:00Z"));
    assert!(check_provenance(&late).is_err());
    let none = Format {
        timestamped: false,
        ..Format::rekor_v2()
    };
    assert!(check_provenance(&honest().bundle_format(none)).is_err());
}

#[test]
fn a_certificate_of_a_foreign_authority_is_refused() {
    for format in [Format::v01(), Format::v02(), Format::v03(), Format::rekor_v2()] {
        let forged = honest().bundle_format(format.clone()).certificate_by(&World::foreign());
        assert!(check_provenance(&forged).is_err(), "{format:?}");
    }
}

#[test]
fn an_entry_of_a_foreign_log_is_refused() {
    for format in [Format::v01(), Format::v02(), Format::v03(), Format::rekor_v2()] {
        let forged = honest()
            .bundle_format(format.clone())
            .provenance(|plan| plan.parties.log = World::foreign());
        assert!(check_provenance(&forged).is_err(), "{format:?}");
    }
}

#[test]
fn what_one_world_forged_is_genuine_in_that_world() {
    let foreign = World::foreign();
    let published = honest().forged_by(&foreign).publish(&World::shared());
    let bundle = crate::parse(crate::provenance(&published)).unwrap();
    let policy = sigstore::VerificationPolicy::any_identity();
    let verify = |world| crate::verifier(world).verify(crate::artifact(&published), &bundle, &policy);
    assert!(verify(&foreign).is_ok());
    assert!(verify(&World::shared()).is_err());
}

#[test]
fn a_certificate_that_may_not_sign_code_or_is_too_old_is_refused() {
    assert!(check_provenance(&honest().certificate(|claims| claims.code_signing = false)).is_err());
    let expired = honest().provenance(|plan| plan.certified_at = moment("2026-11-02T09:00:00Z"));
    assert!(check_provenance(&expired).is_err());
}

#[test]
fn certificates_of_early_2023_carry_the_old_claims_only() {
    let release = Release::honest_of_2023("goggles", "1.0.0").certificate(Claims::as_of_early_2023);
    let result = check_provenance(&release).unwrap();
    let certificate = result.certificate().unwrap();
    assert_eq!(
        certificate.issuer.as_deref(),
        Some("https://token.actions.githubusercontent.com")
    );
    assert_eq!(certificate.ci_claims.source_repository_uri, None);
    assert_eq!(certificate.ci_claims.run_invocation_uri, None);
}

#[test]
fn any_claim_can_contradict_the_statement() {
    let release = honest().certificate(|claims| {
        claims.source_repository_uri = Some("https://github.com/mallory/widget".to_owned());
        claims.deployment_environment = Some("npm".to_owned());
        claims.runner_environment = None;
    });
    let result = check_provenance(&release).unwrap();
    let claims = &result.certificate().unwrap().ci_claims;
    assert_eq!(
        claims.source_repository_uri.as_deref(),
        Some("https://github.com/mallory/widget")
    );
    assert_eq!(claims.deployment_environment.as_deref(), Some("npm"));
    assert_eq!(claims.runner_environment, None);
}

#[test]
fn a_person_can_hold_a_certificate() {
    let release = honest().certificate(|claims| {
        *claims = Claims::of_person("mallory@example.com", "https://accounts.google.com");
    });
    let result = check_provenance(&release).unwrap();
    assert_eq!(result.identity().unwrap().as_str(), "mallory@example.com");
    let nameless = honest().certificate(|claims| claims.identity = None::<Identity>);
    let _ = check_provenance(&nameless);
}

#[test]
fn a_reusable_workflow_is_the_identity_and_not_the_caller() {
    let result = check_provenance(&honest().flavour(Flavour::NodeBuilder)).unwrap();
    assert!(result.identity().unwrap().as_str().contains("/slsa-github-generator/"));
    let claims = &result.certificate().unwrap().ci_claims;
    assert!(
        claims
            .build_config_uri
            .as_deref()
            .unwrap()
            .starts_with("https://github.com/acme/widget/")
    );
}

#[test]
fn hint_and_keyid_are_set_apart_from_the_key() {
    let current = World::shared().current_registry_key.key_id().to_owned();
    let release = honest().publish_attestation(move |plan| {
        plan.key = RegistryKeyChoice::Expired;
        plan.hint = Some(current.clone());
        plan.keyid = Some("SHA256:nobody".to_owned());
    });
    let published = release.publish(&World::shared());
    let bundle = crate::publish(&published);
    assert_eq!(bundle["dsseEnvelope"]["signatures"][0]["keyid"], "SHA256:nobody");
    assert!(check_publish(&release).is_err());
}

#[test]
fn a_p1363_signature_verifies_as_one() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let world = World::shared();
    let published = honest()
        .publish_attestation(|plan| plan.encoding = SignatureEncoding::P1363)
        .publish(&world);
    let envelope = &crate::publish(&published)["dsseEnvelope"];
    let field = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let payload = field(&envelope["payload"]);
    let mut signed = format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    let spki = world.current_registry_key.key().spki();
    // The uncompressed point is the last 65 bytes of the SubjectPublicKeyInfo.
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &spki[spki.len() - 65..])
        .verify(&signed, &field(&envelope["signatures"][0]["sig"]))
        .unwrap();
}
