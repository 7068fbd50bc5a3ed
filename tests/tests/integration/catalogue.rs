//! What registries serve, honest and hostile, and the exact answer to each.
//!
//! Every shape is one test. The last test compares all of them with the table of every result of every check.

use std::collections::{BTreeMap, BTreeSet};

use hekate::attestation::TrustOrigin;
use hekate::check::CheckId::*;
use hekate::check::{CheckId, Outcome, Shade, UnknownReason};
use hekate::package::Digest;
use hekate::verdict::Status::{Attested, Indeterminate, Mismatch, Suspicious, Unattested, Verified};
use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::npm::registry::Publisher;
use testbed::{
    Answer, BASE_TIME, Claims, EmbeddedSct, Evidence, Flavour, Format, RegistryKeyChoice, Release, Scenario,
    SignatureEncoding, World, moment,
};

use crate::attestations::{
    archive, labelled, provenance_by_the_registry, provenance_of, publish_attestation_by_a_certificate,
    publish_attestation_of_type, serving,
};
use crate::forge;
use crate::shape::{Shape, among, now, shape};

const PASS: Outcome = Outcome::Pass(None);
const FAIL: Outcome = Outcome::Fail(None);
const WARN: Outcome = Outcome::Warn(None);
const VACUOUS: Outcome = Outcome::Fail(Some(Shade::Vacuous));
const NO_ATTESTATION: Outcome = Outcome::NotApplicable(Some(Shade::Absent));
const SLSA_V1: &str = "https://slsa.dev/provenance/v1";
const SLSA_V02: &str = "https://slsa.dev/provenance/v0.2";

fn unknown(reason: UnknownReason) -> Outcome {
    Outcome::Unknown(reason)
}

/// An honest release of today.
fn widget() -> Release {
    Release::honest("@acme/widget", "1.2.3")
}

/// An honest release of which one value in the certificate differs from the statement.
fn certified(flavour: Flavour, edit: fn(&mut Claims)) -> Shape {
    let release = if flavour == Flavour::SlsaV02 {
        Release::honest_of_2023("contradiction", "1.0.0")
    } else {
        Release::honest("contradiction", "1.0.0").flavour(flavour)
    };
    shape(release.certificate(edit))
        .is(Suspicious)
        .finds(AttStmtVsCert, FAIL)
}

#[expect(clippy::unnecessary_wraps, reason = "every claim of a certificate may be absent")]
fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// A value that a claim of a certificate does not have.
fn other(value: &mut Option<String>, from: &str, to: &str) {
    let text = value.as_deref().unwrap();
    assert!(text.contains(from), "{text}");
    *value = Some(text.replace(from, to));
}

fn entries(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"]
}

shapes! {
    // Honest releases of every age.
    of_2026 => shape(widget()).is(Verified).finds(ArtExists, PASS).finds(ArtTarballIntegrity, PASS)
        .finds(ArtTarballManifest, PASS).finds(RegSignature, PASS).finds(AttPresent, PASS).finds(AttNonempty, PASS)
        .finds(AttUnique, PASS).finds(AttPublishSig, PASS).finds(AttProvenanceSig, PASS).finds(AttSubjectDigest, PASS)
        .finds(AttSubjectName, PASS).finds(AttPredicateKnown, PASS).finds(AttStmtVsCert, PASS).finds(LogInclusion, PASS)
        .finds(LogTimeOrder, PASS).finds(IdIssuer, PASS).finds(IdSourceRepo, PASS).finds(IdRunnerEnv, PASS)
        .finds(IdSignerWorkflow, PASS)
        .finds(RegIntegrityStable, Outcome::NotApplicable(Some(Shade::FirstSeen)))
        .finds(RegPublishMode, Outcome::Pass(Some(Shade::TrustedPublisher)))
        .decided_by(&[ArtTarballIntegrity, AttNonempty, AttPublishSig, AttProvenanceSig, AttSubjectDigest,
            AttSubjectName, AttStmtVsCert, LogInclusion, IdIssuer, RunExists, RunMatchesCert, RunConclusion,
            RunPublishStep, RunSigningStep, SrcCommitExists]);
    while_github_does_not_answer => shape(widget())
        .where_github(|github| github.answer = Answer::Status(503, None)).is(Attested)
        .finds(RunExists, unknown(UnknownReason::Unreachable)).finds(SrcCommitExists, unknown(UnknownReason::NotRun))
        .decided_by(&[ArtTarballIntegrity, AttNonempty, AttPublishSig, AttProvenanceSig, AttSubjectDigest,
            AttSubjectName, AttStmtVsCert, LogInclusion, IdIssuer]);
    of_2023 => shape(Release::honest_of_2023("goggles", "1.0.5")).is(Attested)
        .finds(RegPublishMode, Outcome::Pass(Some(Shade::Token))).finds(AttStmtVsCert, PASS)
        .finds(RunExists, unknown(UnknownReason::NotRetained));
    of_2024 => shape(Release::honest_of_2024("goggles", "2.0.0")).is(Attested).finds(AttStmtVsCert, PASS)
        .finds(RunExists, unknown(UnknownReason::NotRetained));
    with_a_certificate_of_early_2023 => shape(Release::honest_of_2023("pioneer", "0.4.0")
        .at(moment("2023-01-24T10:00:00Z")).certificate(Claims::as_of_early_2023)).is(Attested)
        .finds(IdRunnerEnv, NO_ATTESTATION).finds(IdSignerWorkflow, NO_ATTESTATION).finds(IdIssuer, PASS)
        .finds(AttStmtVsCert, PASS).finds(RunExists, unknown(UnknownReason::Unsupported));
    in_rekor_v2 => shape(Release::honest("@acme/tiles", "2.0.0").rekor_v2()).is(Verified)
        .finds(LogInclusion, PASS).finds(LogTimeOrder, PASS);
    with_the_promise_alone => shape(widget().bundle_format(Format { material: testbed::Material::Certificate,
        ..Format::v01() }).publish_format(Format::v01())).is(Verified).finds(LogInclusion, PASS);
    with_the_promise_alone_where_the_format_demands_a_proof => shape(widget()
        .bundle_format(Format { evidence: Evidence::Promise, ..Format::v02() })).is(Mismatch).finds(LogInclusion, FAIL);
    with_promise_and_proof => shape(widget().bundle_format(Format::v02_intoto()).publish_format(Format::v02_intoto()))
        .is(Verified).finds(LogInclusion, PASS);
    with_a_proof_and_a_timestamp => shape(widget()
        .bundle_format(Format { evidence: Evidence::Proof, timestamped: true, ..Format::v03() })).is(Verified)
        .finds(LogInclusion, PASS);
    in_a_v03_bundle_with_the_older_media_type => shape(widget().bundle_format(Format {
        media_type: "application/vnd.dev.sigstore.bundle+json;version=0.3".to_owned(), ..Format::v03()
    })).is(Verified);
    by_the_slsa_generator => shape(Release::honest("generated", "1.0.0").flavour(Flavour::NodeBuilder)).is(Verified)
        .finds(IdSignerWorkflow, PASS).finds(AttStmtVsCert, PASS);
    by_a_reusable_workflow_of_no_named_commit => shape(Release::honest("generated", "1.0.1")
        .flavour(Flavour::NodeBuilder).certificate(|claims| claims.build_signer_digest = None)).is(Verified)
        .finds(IdSignerWorkflow, WARN);
    on_gitlab => shape(Release::honest("fox", "1.0.0").flavour(Flavour::GitLab)).is(Attested)
        .finds(IdIssuer, unknown(UnknownReason::Unsupported)).finds(AttStmtVsCert, unknown(UnknownReason::Unsupported))
        .finds(IdSourceRepo, PASS);
    on_a_self_hosted_runner => shape(widget().build(|build| "self-hosted".clone_into(&mut build.runner_environment)))
        .is(Verified).finds(IdRunnerEnv, Outcome::Warn(Some(Shade::SelfHosted)));
    with_a_p1363_publish_signature => shape(widget()
        .publish_attestation(|plan| plan.encoding = SignatureEncoding::P1363)).is(Verified)
        .finds(AttPublishSig, PASS).finds(LogInclusion, PASS);
    with_a_p1363_publish_signature_in_an_old_bundle => shape(Release::honest_of_2023("goggles", "1.0.6")
        .publish_attestation(|plan| plan.encoding = SignatureEncoding::P1363)).is(Attested).finds(AttPublishSig, PASS);
    staged => shape(widget().published_at(BASE_TIME + SignedDuration::from_hours(72))
        .published_by(Publisher::trusted("github").approved_by("alice", "alice@example.com"))).is(Verified)
        .finds(LogTimeOrder, Outcome::Pass(Some(Shade::Staged)))
        .finds(RegPublishMode, Outcome::Pass(Some(Shade::StagedPublish)));
    a_prerelease => shape(Release::honest("rising", "2.0.0-rc.1")).is(Verified).finds(ArtTarballManifest, PASS);
    a_version_with_build_metadata => shape(Release::honest("rising", "2.0.0+build.5")).is(Verified)
        .finds(AttSubjectName, PASS).finds(ArtTarballManifest, PASS);
    a_manifest_with_build_metadata_that_the_registry_dropped => shape(Release::honest("rising", "2.0.1")
        .package_json(|package| package["version"] = json!("2.0.1+build.5"))
        .metadata(|manifest| manifest["version"] = json!("2.0.1"))).is(Verified).finds(ArtTarballManifest, PASS);
    renamed_on_publication => shape(Release::honest("@acme/renamed", "1.0.0").package_json(|package| {
        package["name"] = json!("inner");
        package["publishConfig"] = json!({"name": "@acme/renamed"});
    }).metadata(|manifest| manifest["name"] = json!("@acme/renamed"))).is(Verified).finds(ArtTarballManifest, PASS);
    the_same_attestation_twice => shape(widget().attestations(|list| list.extend(list.clone()))).is(Verified)
        .finds(AttUnique, PASS);
    with_an_attestation_of_an_unknown_kind => shape(widget().attestations(|list| {
        list.push(json!({"predicateType": "https://example.com/review/v1", "bundle": {"mediaType": "x"}}));
    })).is(Verified);
    seen_before => shape(widget()).remembering(declared(&widget())).is(Verified).finds(RegIntegrityStable, PASS);
    without_a_repository_in_the_manifest => shape(widget().package_json(|package| {
        package.as_object_mut().unwrap().remove("repository");
    })).is(Verified).finds(IdSourceRepo, Outcome::NotApplicable(Some(Shade::NoExpectation)));
    with_a_repository_in_other_capitals => shape(widget().package_json(|package| {
        package["repository"] = json!("github:ACME/Widget");
    })).is(Verified).finds(IdSourceRepo, PASS);
    behind_a_mirror_with_manifests_only => shape(widget().packument_answer(Answer::Status(404, None))).is(Verified)
        .finds(LogTimeOrder, PASS);
    claiming_another_trusted_publisher => shape(widget().published_by(Publisher::trusted("gitlab"))).is(Verified)
        .finds(RegPublishMode, Outcome::Warn(Some(Shade::TrustedPublisher)));
    published_before_it_was_signed => shape(widget().published_at(BASE_TIME - SignedDuration::from_hours(24)))
        .is(Verified).finds(LogTimeOrder, WARN);
    two_provenances_of_different_runs => shape(widget().attestations(|list| {
        list.push(provenance_of(&widget().later(SignedDuration::from_mins(1)).build(|build| build.run_id += 1)));
    })).is(Attested).finds(AttUnique, Outcome::Warn(Some(Shade::Ambiguous)))
        .finds(RunExists, unknown(UnknownReason::NotRun));
    by_a_registry_key_that_is_not_known => shape(widget().registry_key(RegistryKeyChoice::Unknown)).is(Verified)
        .finds(RegSignature, unknown(UnknownReason::Unsupported));
    whose_metadata_lost_its_registry_signature => shape(widget().metadata(|manifest| {
        manifest["dist"].as_object_mut().unwrap().remove("signatures");
    })).is(Verified).finds(RegSignature, unknown(UnknownReason::Stripped));
    after_one_server_error => shape(widget().attestation_answer(Answer::FailTimes(1, 503))).is(Verified);

    // Which version is meant.
    the_latest_version => among(history(), "pkg:npm/%40acme/history").is(Verified).finds(ArtExists, PASS);
    the_version_under_a_tag => among(history(), "npm:@acme/history@next").is(Verified);
    an_older_version => among(history(), "npm:@acme/history@1.0.0").is(Verified);
    a_tag_that_leads_nowhere => among(history(), "npm:@acme/history@beta").not_found("has no dist-tag");
    a_version_that_never_was => among(history(), "npm:@acme/history@9.9.9").not_found("has no version 9.9.9");
    a_version_that_was_unpublished => among(history(), "npm:@acme/history@1.0.1").not_found("was unpublished");
    a_package_that_never_was => among(history(), "npm:@acme/nothing@1.0.0").not_found("is not on the registry");
    a_tag_of_a_registry_that_asks_to_slow_down => among(
        Scenario::new().release(widget()).npm_answer(Answer::Status(429, Some(90))), "npm:@acme/widget@latest")
        .not_resolved(Some(90));
    a_tag_of_a_registry_in_trouble => among(
        Scenario::new().release(widget()).npm_answer(Answer::Status(500, None)), "npm:@acme/widget")
        .not_resolved(None);
    a_tag_of_a_registry_that_serves_html => among(
        Scenario::new().release(widget()).npm_answer(Answer::Html200), "npm:@acme/widget").not_resolved(None);

    // Without attestations.
    unattested => shape(plain()).is(Unattested).finds(AttPresent, NO_ATTESTATION).finds(AttNonempty, NO_ATTESTATION)
        .finds(LogInclusion, NO_ATTESTATION).finds(IdIssuer, NO_ATTESTATION).decided_by(&[AttPresent]);
    unattested_and_older_than_sha512 => shape(plain().metadata(|manifest| {
        manifest["dist"].as_object_mut().unwrap().remove("integrity");
    })).is(Unattested).finds(ArtTarballIntegrity, Outcome::Warn(Some(Shade::WeakDigest)))
        .finds(RegIntegrityStable, Outcome::NotApplicable(Some(Shade::WeakDigest)))
        .finds(RegSignature, unknown(UnknownReason::Stripped));
    unattested_with_another_sha1 => shape(plain().metadata(|manifest| {
        manifest["dist"].as_object_mut().unwrap().remove("integrity");
        manifest["dist"]["shasum"] = json!("00".repeat(20));
    })).is(Mismatch).finds(ArtTarballIntegrity, FAIL).decided_by(&[ArtTarballIntegrity]);
    unattested_without_any_digest => shape(plain().metadata(|manifest| {
        let dist = manifest["dist"].as_object_mut().unwrap();
        dist.remove("integrity");
        dist.remove("shasum");
    })).is(Indeterminate).finds(ArtTarballIntegrity, unknown(UnknownReason::Stripped))
        .decided_by(&[ArtTarballIntegrity]);
    unattested_and_not_downloadable => shape(plain().tarball_answer(Answer::Status(503, None))).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Unreachable)).decided_by(&[ArtTarballIntegrity]);
    unattested_with_another_package_inside => shape(plain()
        .package_json(|package| package["name"] = json!("impostor"))
        .metadata(|manifest| manifest["name"] = json!("plain"))).is(Suspicious).finds(ArtTarballManifest, FAIL)
        .decided_by(&[ArtTarballManifest]);
    unattested_with_another_version_inside => shape(plain()
        .package_json(|package| package["version"] = json!("1.0.1"))
        .metadata(|manifest| manifest["version"] = json!("1.0.0"))).is(Suspicious).finds(ArtTarballManifest, FAIL);
    unattested_without_a_manifest_inside => shape(serving(plain(), archive("package/index.js", b"0"))).is(Suspicious)
        .finds(ArtTarballIntegrity, PASS).finds(ArtTarballManifest, FAIL);
    unattested_with_a_manifest_that_is_not_json => shape(serving(plain(), archive("package/package.json", b"{")))
        .is(Unattested).finds(ArtTarballManifest, unknown(UnknownReason::Malformed));
    unattested_and_not_an_archive => shape(serving(plain(), b"not an archive".to_vec())).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Malformed));
    unattested_and_a_broken_archive => shape(serving(plain(), vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 2, 3]))
        .is(Unattested).finds(ArtTarballIntegrity, PASS)
        .finds(ArtTarballManifest, unknown(UnknownReason::Malformed));
    unattested_and_empty => shape(serving(plain(), Vec::new())).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Malformed));

    // Mirrors that lose things on the way.
    stripped_metadata => shape(plain().metadata(|manifest| {
        manifest["dist"].as_object_mut().unwrap().remove("signatures");
        manifest.as_object_mut().unwrap().remove("_npmUser");
    })).is(Indeterminate).finds(AttPresent, unknown(UnknownReason::Stripped))
        .finds(RegSignature, unknown(UnknownReason::Stripped)).finds(RegPublishMode, unknown(UnknownReason::Stripped));
    stripped_metadata_of_an_attested_version => shape(widget().attestation_answer(Answer::Status(404, None))
        .metadata(|manifest| {
            let dist = manifest["dist"].as_object_mut().unwrap();
            dist.remove("signatures");
            dist.remove("attestations");
        })).is(Indeterminate).finds(AttPresent, unknown(UnknownReason::Stripped));
    announced_and_not_served => shape(widget().attestation_answer(Answer::Status(404, None))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::NotRetained));
    not_announced_and_not_served => shape(plain().attestation_answer(Answer::Status(404, None))).is(Unattested)
        .finds(AttPresent, NO_ATTESTATION);
    announced_and_an_empty_list => shape(widget().attestation_answer(json_body(r#"{"attestations":[]}"#)))
        .is(Suspicious).finds(AttPresent, WARN).finds(AttNonempty, VACUOUS)
        .finds(AttProvenanceSig, unknown(UnknownReason::NotRun)).finds(AttPublishSig, unknown(UnknownReason::NotRun))
        .finds(LogInclusion, unknown(UnknownReason::NotRun)).decided_by(&[AttNonempty]);
    not_announced_and_an_empty_list => shape(plain().attestation_answer(json_body(r#"{"attestations":[]}"#)))
        .is(Indeterminate).finds(AttPresent, unknown(UnknownReason::Malformed));
    not_announced_and_only_unknown_kinds => shape(plain().attestation_answer(json_body(
        r#"{"attestations":[{"predicateType":"https://example.com/review/v1","bundle":{}}]}"#))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Malformed));
    a_provenance_alone => shape(widget().without_publish_attestation()).is(Suspicious).finds(AttPresent, WARN)
        .finds(AttNonempty, VACUOUS).finds(AttPublishSig, unknown(UnknownReason::NotRun))
        .finds(AttSubjectDigest, unknown(UnknownReason::NotRun)).finds(AttSubjectName, unknown(UnknownReason::NotRun))
        .finds(AttProvenanceSig, PASS);
    a_publish_attestation_alone => shape(widget().without_provenance()).is(Suspicious).finds(AttPresent, WARN)
        .finds(AttNonempty, VACUOUS).finds(AttPublishSig, PASS)
        .finds(AttProvenanceSig, unknown(UnknownReason::NotRun)).finds(IdIssuer, unknown(UnknownReason::NotRun))
        .finds(AttStmtVsCert, unknown(UnknownReason::NotRun)).finds(LogTimeOrder, unknown(UnknownReason::NotRun));

    // Answers that say nothing about the package.
    attestations_with_an_empty_body => shape(widget().attestation_answer(Answer::EmptyBody)).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Malformed));
    attestations_that_are_html => shape(widget().attestation_answer(Answer::Html200)).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Malformed));
    attestations_that_break_off => shape(widget().attestation_answer(Answer::Truncated)).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    attestations_that_redirect_elsewhere => shape(widget()
        .attestation_answer(Answer::RedirectTo("https://evil.example/attestations".to_owned()))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    attestations_rate_limited => shape(widget().attestation_answer(Answer::Status(429, Some(120)))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::RateLimited)).finds(AttNonempty, unknown(UnknownReason::RateLimited))
        .finds(ArtTarballIntegrity, PASS);
    attestations_with_a_server_error => shape(widget().attestation_answer(Answer::Status(500, None))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    attestations_that_hang => shape(widget().attestation_answer(Answer::Hang)).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    attestations_after_a_reset => shape(widget().attestation_answer(Answer::Reset)).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    attestations_of_200_megabytes => shape(widget().attestation_answer(Answer::Huge(200 << 20))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Unsupported));
    attestations_behind_a_login => shape(widget().attestation_answer(Answer::Status(401, None))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Private));
    attestations_with_a_strange_status => shape(widget().attestation_answer(Answer::Status(418, None)))
        .is(Indeterminate).finds(AttPresent, unknown(UnknownReason::Malformed));
    attestations_of_another_shape => shape(widget().attestation_answer(json_body("[]"))).is(Indeterminate)
        .finds(AttPresent, unknown(UnknownReason::Malformed));
    more_attestations_than_are_evaluated => shape(widget().attestations(|list| {
        list.extend(vec![json!({"predicateType": "https://example.com/review/v1", "bundle": {}}); 63]);
    })).is(Indeterminate).finds(AttPresent, unknown(UnknownReason::Malformed));
    a_packument_that_is_html => shape(widget().packument_answer(Answer::Html200)).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Malformed)).finds(RegSignature, unknown(UnknownReason::Malformed))
        .finds(AttPresent, unknown(UnknownReason::Unreachable));
    a_packument_with_an_empty_body => shape(widget().packument_answer(Answer::EmptyBody)).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Malformed));
    a_packument_rate_limited => shape(widget().packument_answer(Answer::Status(429, Some(5)))).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::RateLimited));
    a_packument_with_a_server_error => shape(widget().packument_answer(Answer::Status(502, None))).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Unreachable));
    a_packument_that_hangs => shape(widget().packument_answer(Answer::Hang)).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Unreachable));
    a_packument_of_200_megabytes => shape(widget().packument_answer(Answer::Huge(200 << 20))).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Unsupported));
    a_packument_behind_a_login => shape(widget().packument_answer(Answer::Status(403, None))).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Private)).finds(RegIntegrityStable, unknown(UnknownReason::Private));
    a_packument_that_redirects_elsewhere => shape(widget()
        .packument_answer(Answer::RedirectTo("https://evil.example/".to_owned()))).is(Indeterminate)
        .finds(ArtExists, unknown(UnknownReason::Unreachable));
    a_packument_of_another_package => shape(widget().packument(|packument| packument["name"] = json!("other")))
        .is(Indeterminate).finds(ArtExists, unknown(UnknownReason::Malformed));
    a_tarball_that_is_gone => shape(widget().tarball_answer(Answer::Status(404, None))).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::NotRetained))
        .finds(ArtTarballManifest, unknown(UnknownReason::NotRetained))
        .finds(AttSubjectDigest, unknown(UnknownReason::NotRetained));
    a_tarball_with_a_server_error => shape(widget().tarball_answer(Answer::Status(500, None))).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Unreachable));
    a_tarball_rate_limited => shape(widget().tarball_answer(Answer::Status(429, None))).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::RateLimited));
    a_tarball_that_hangs => shape(widget().tarball_answer(Answer::Hang)).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Unreachable));
    a_tarball_that_breaks_off => shape(widget().tarball_answer(Answer::Truncated)).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Unreachable));
    a_tarball_that_redirects_elsewhere => shape(widget()
        .tarball_answer(Answer::RedirectTo("https://evil.example/x.tgz".to_owned()))).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Unreachable));
    a_tarball_that_is_html => shape(widget().tarball_answer(Answer::Html200)).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Malformed))
        .finds(AttSubjectDigest, unknown(UnknownReason::Malformed));
    a_tarball_with_an_empty_body => shape(widget().tarball_answer(Answer::EmptyBody)).is(Indeterminate)
        .finds(ArtTarballIntegrity, unknown(UnknownReason::Malformed));

    // What cannot be judged, and is no forgery.
    with_a_proof_and_no_trusted_time => shape(widget()
        .bundle_format(Format { evidence: Evidence::Proof, ..Format::v03() })).is(Indeterminate)
        .finds(AttProvenanceSig, unknown(UnknownReason::Unsupported))
        .finds(LogInclusion, unknown(UnknownReason::Unsupported))
        .finds(AttNonempty, unknown(UnknownReason::Unsupported));
    in_a_newer_bundle_format => shape(widget().bundle(|bundle| {
        bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.9+json");
    })).is(Indeterminate).finds(AttProvenanceSig, unknown(UnknownReason::Unsupported));
    in_a_bundle_without_a_format => shape(widget().bundle(|bundle| {
        bundle.as_object_mut().unwrap().remove("mediaType");
    })).is(Indeterminate).finds(AttProvenanceSig, unknown(UnknownReason::Unsupported));
    in_a_log_entry_of_an_unknown_kind => shape(widget().bundle(|bundle| {
        entries(bundle)[0]["kindVersion"] = json!({"kind": "dsse", "version": "0.0.9"});
    })).is(Indeterminate).finds(LogInclusion, unknown(UnknownReason::Unsupported));
    of_another_payload_type => shape(widget().attestations(|list| {
        let other = publish_attestation_of_type(&widget(), "application/vnd.example+json");
        list.retain(|item| item["predicateType"] == SLSA_V1);
        list.push(other);
    })).is(Indeterminate).finds(AttPublishSig, unknown(UnknownReason::Unsupported));
    by_a_publish_key_that_is_not_known => shape(widget()
        .publish_attestation(|plan| plan.key = RegistryKeyChoice::Unknown)).is(Indeterminate)
        .finds(AttPublishSig, unknown(UnknownReason::Unsupported))
        .finds(AttNonempty, unknown(UnknownReason::Unsupported));
    with_the_time_of_signing_alone => shape(widget().packument_answer(Answer::Status(404, None))
        .publish_attestation(|plan| plan.key = RegistryKeyChoice::Unknown)).is(Indeterminate)
        .finds(LogTimeOrder, Outcome::NotApplicable(None));
    by_an_authority_that_embedded_material_lacks => shape(widget().certificate_by(&World::foreign()))
        .trusting(TrustOrigin::Embedded).is(Indeterminate)
        .finds(AttProvenanceSig, unknown(UnknownReason::Unsupported));
    by_an_authority_that_stale_material_lacks => shape(widget().certificate_by(&World::foreign()))
        .trusting(TrustOrigin::Tuf { refreshed_at: now() - SignedDuration::from_hours(24 * 8) }).is(Indeterminate)
        .finds(AttProvenanceSig, unknown(UnknownReason::Unsupported));
    stamped_by_an_authority_that_embedded_material_lacks => shape(widget().rekor_v2()
        .provenance(|plan| plan.parties.timestamp_authority = World::foreign())).trusting(TrustOrigin::Embedded)
        .is(Indeterminate).finds(AttProvenanceSig, unknown(UnknownReason::Unsupported));
    of_an_unknown_build_type => shape(widget().statement(|statement| {
        statement["predicate"]["buildDefinition"]["buildType"] = json!("https://example.com/build/v1");
    })).is(Indeterminate).finds(AttPredicateKnown, unknown(UnknownReason::Unsupported))
        .finds(AttStmtVsCert, unknown(UnknownReason::Unsupported));
    without_a_sha512_subject => shape(widget().statement(|statement| {
        statement["subject"][0]["digest"] = json!({"sha256": "00".repeat(32)});
    })).is(Indeterminate).finds(AttSubjectDigest, unknown(UnknownReason::Unsupported));
    with_a_certificate_that_names_no_source => shape(widget().certificate(|claims| {
        claims.source_repository_uri = None;
        claims.source_repository_digest = None;
        claims.repository_raw = None;
        claims.commit_raw = None;
    })).is(Indeterminate).finds(AttStmtVsCert, unknown(UnknownReason::Unsupported))
        .finds(IdSourceRepo, unknown(UnknownReason::Unsupported));
    attested_and_older_than_sha512 => shape(widget().metadata(|manifest| {
        manifest["dist"].as_object_mut().unwrap().remove("integrity");
    })).is(Indeterminate).finds(ArtTarballIntegrity, Outcome::Warn(Some(Shade::WeakDigest)))
        .finds(AttSubjectDigest, PASS);

    // Other bytes than were attested.
    one_byte_off => shape(widget().tarball_swapped_by_one_byte()).is(Mismatch).finds(ArtTarballIntegrity, FAIL)
        .finds(AttSubjectDigest, FAIL).decided_by(&[ArtTarballIntegrity, AttSubjectDigest]);
    other_bytes_that_the_registry_signed => shape(serving(widget(),
        archive("package/package.json", br#"{"name":"@acme/widget","version":"1.2.3"}"#))).is(Mismatch)
        .finds(ArtTarballIntegrity, PASS).finds(RegSignature, PASS).finds(AttSubjectDigest, FAIL)
        .decided_by(&[AttSubjectDigest]);
    an_integrity_that_is_not_named_any_more => shape(plain().metadata(|manifest| {
        manifest["dist"].as_object_mut().unwrap().remove("integrity");
    })).remembering(declared(&plain())).is(Unattested).finds(RegIntegrityStable, unknown(UnknownReason::Stripped));
    an_integrity_of_another_algorithm_than_before => shape(widget()).remembering(Digest::sha256_of(b"earlier"))
        .is(Verified).finds(RegIntegrityStable, unknown(UnknownReason::Stripped));
    another_integrity_than_was_first_seen => shape(widget()).remembering(Digest::sha512_of(b"earlier")).is(Mismatch)
        .finds(RegIntegrityStable, FAIL).decided_by(&[RegIntegrityStable]);
    another_integrity_than_was_first_seen_unsigned => shape(widget())
        .remembering_unsigned(Digest::sha512_of(b"a mirror's")).is(Verified)
        .finds(RegIntegrityStable, Outcome::NotApplicable(Some(Shade::FirstSeen)));
    the_integrity_that_was_first_seen_unsigned => shape(widget()).remembering_unsigned(declared(&widget())).is(Verified)
        .finds(RegIntegrityStable, PASS);
    unsigned_another_integrity_than_was_first_seen_unsigned => shape(widget().metadata(unsigned))
        .remembering_unsigned(Digest::sha512_of(b"a mirror's")).is(Verified).finds(RegIntegrityStable, WARN);
    unsigned_another_integrity_than_the_registry_had_signed => shape(widget().metadata(unsigned))
        .remembering(Digest::sha512_of(b"earlier")).is(Mismatch).finds(RegIntegrityStable, FAIL);
    with_an_invalid_registry_signature => shape(widget().registry_signature_by(&World::foreign())
        .metadata(|manifest| {
            manifest["dist"]["signatures"][0]["keyid"] = json!(World::shared().current_registry_key.key_id());
        })).is(Mismatch).finds(RegSignature, FAIL).decided_by(&[RegSignature]);
    with_a_registry_signature_that_does_not_decode => shape(widget().metadata(|manifest| {
        manifest["dist"]["signatures"][0]["sig"] = json!("?");
    })).is(Mismatch).finds(RegSignature, FAIL);
    with_a_registry_signature_by_a_key_that_had_ended => shape(widget().registry_key(RegistryKeyChoice::Expired))
        .is(Mismatch).finds(RegSignature, FAIL);

    // Attestations of something else.
    of_another_package => shape(Release::honest("@acme/borrower", "2.0.0")
        .attestations_of(&Release::honest("@acme/borrowed", "2.0.0").publish(&World::shared()))).is(Mismatch)
        .finds(AttSubjectDigest, FAIL).finds(AttSubjectName, FAIL).decided_by(&[AttSubjectDigest, AttSubjectName]);
    of_another_version => shape(Release::honest("@acme/widget", "1.2.4").attestations_of(
        &widget().publish(&World::shared()))).is(Mismatch).finds(AttSubjectName, FAIL);
    of_another_version_with_these_bytes => shape(widget()
        .statement(|statement| statement["subject"][0]["name"] = json!("pkg:npm/%40acme/widget@1.2.4"))).is(Mismatch)
        .finds(AttSubjectDigest, PASS).finds(AttSubjectName, FAIL).decided_by(&[AttSubjectName]);
    of_another_registry => shape(widget().publish_statement(|statement| {
        statement["predicate"]["registry"] = json!("https://registry.example");
    })).is(Mismatch).finds(AttSubjectName, FAIL);
    with_a_publish_predicate_of_another_shape => shape(widget().publish_statement(|statement| {
        statement["predicate"] = json!({});
    })).is(Mismatch).finds(AttSubjectName, FAIL);

    // Forgeries.
    a_forged_provenance_before_the_genuine_one => shape(widget().attestations(|list| {
        list.insert(0, provenance_of(&widget().certificate_by(&World::foreign())));
    })).is(Mismatch).finds(AttProvenanceSig, FAIL).decided_by(&[AttProvenanceSig]);
    a_forged_provenance_after_the_genuine_one => shape(widget().attestations(|list| {
        list.push(provenance_of(&widget().certificate_by(&World::foreign())));
    })).is(Mismatch).finds(AttProvenanceSig, FAIL).decided_by(&[AttProvenanceSig]);
    by_an_authority_that_nobody_trusts => shape(widget().certificate_by(&World::foreign())).is(Mismatch)
        .finds(AttProvenanceSig, FAIL).finds(AttNonempty, VACUOUS);
    by_an_authority_that_fresh_material_lacks => shape(widget().certificate_by(&World::foreign()))
        .trusting(TrustOrigin::Tuf { refreshed_at: now() - SignedDuration::from_hours(1) }).is(Mismatch)
        .finds(AttProvenanceSig, FAIL);
    in_a_log_that_nobody_trusts => shape(widget().provenance(|plan| plan.parties.log = World::foreign())).is(Mismatch)
        .finds(LogInclusion, FAIL).finds(AttProvenanceSig, unknown(UnknownReason::NotRun));
    by_a_publish_key_that_had_ended => shape(widget()
        .publish_attestation(|plan| plan.key = RegistryKeyChoice::Expired)).is(Mismatch).finds(AttPublishSig, FAIL)
        .decided_by(&[AttPublishSig]);
    by_a_publish_key_before_its_time => shape(Release::honest_of_2023("goggles", "1.0.7")
        .publish_attestation(|plan| plan.key = RegistryKeyChoice::Current)).is(Mismatch).finds(AttPublishSig, FAIL);
    by_a_key_of_another_registry => shape(widget()
        .publish_attestation(|plan| {
            plan.parties.registry = World::foreign();
            plan.hint = text(World::shared().current_registry_key.key_id());
            plan.keyid.clone_from(&plan.hint);
        })).is(Mismatch).finds(AttPublishSig, FAIL);
    with_a_key_id_that_is_not_the_hint => shape(widget()
        .publish_attestation(|plan| plan.keyid = text("SHA256:other"))).is(Mismatch).finds(AttPublishSig, FAIL);
    a_provenance_that_names_a_key => shape(widget().provenance(|plan| plan.keyid = text("SHA256:other")))
        .is(Mismatch).finds(AttProvenanceSig, FAIL);
    a_provenance_by_the_registrys_key => shape(widget().attestations(|list| {
        list.retain(|item| item["predicateType"] != SLSA_V1);
        list.push(provenance_by_the_registry(&widget()));
    })).is(Mismatch).finds(AttProvenanceSig, FAIL).finds(AttNonempty, VACUOUS);
    a_publish_attestation_by_a_certificate => shape(widget().attestations(|list| {
        list.retain(|item| item["predicateType"] == SLSA_V1);
        list.push(publish_attestation_by_a_certificate(&widget()));
    })).is(Mismatch).finds(AttPublishSig, FAIL).finds(AttNonempty, VACUOUS);
    labelled_as_another_version_of_provenance => shape(widget().attestations(|list| relabel(list, SLSA_V02)))
        .is(Mismatch).finds(AttProvenanceSig, FAIL);
    labelled_as_something_unknown => shape(widget().attestations(|list| relabel(list, "https://example.com/x")))
        .is(Mismatch).finds(AttProvenanceSig, FAIL);
    labelled_as_the_other_kind => shape(widget()
        .attestations(|list| relabel(list, testbed::attestation::PUBLISH))).is(Mismatch).finds(AttPublishSig, FAIL);
    with_a_payload_type_that_is_not_signed => shape(widget().bundle(|bundle| {
        bundle["dsseEnvelope"]["payloadType"] = json!("application/vnd.example+json");
    })).is(Mismatch).finds(AttProvenanceSig, FAIL);
    with_a_publish_payload_type_that_is_not_signed => shape(widget().publish_bundle(|bundle| {
        bundle["dsseEnvelope"]["payloadType"] = json!("application/vnd.example+json");
    })).is(Mismatch).finds(AttPublishSig, FAIL);
    in_a_bundle_without_log_entries => shape(widget().bundle(|bundle| *entries(bundle) = json!([]))).is(Mismatch)
        .finds(LogInclusion, FAIL).finds(AttProvenanceSig, unknown(UnknownReason::NotRun));
    with_the_log_entry_of_another_attestation => shape(widget().bundle(|bundle| {
        *entries(bundle) = entries(&mut provenance_of(&Release::honest("@acme/other", "1.0.0"))["bundle"]).clone();
    })).is(Mismatch);
    logged_after_its_certificate_had_ended => shape(widget()
        .provenance(|plan| plan.logged_at += SignedDuration::from_mins(30))).is(Mismatch).finds(AttProvenanceSig, FAIL);
    with_two_subjects => shape(widget().statement(|statement| {
        let subjects = statement["subject"].as_array_mut().unwrap();
        subjects.push(json!({"name": "pkg:npm/other@1.0.0", "digest": {"sha512": "00".repeat(64)}}));
    })).is(Mismatch).finds(AttProvenanceSig, FAIL);
    without_subjects => shape(widget().statement(|statement| statement["subject"] = json!([]))).is(Mismatch)
        .finds(AttProvenanceSig, FAIL);
    with_a_certificate_that_was_not_logged => shape(widget().certificate(|claims| claims.sct = EmbeddedSct::Absent))
        .is(Mismatch).finds(AttProvenanceSig, FAIL);
    with_a_forged_certificate_timestamp => shape(widget().certificate(|claims| claims.sct = EmbeddedSct::Forged))
        .is(Mismatch).finds(AttProvenanceSig, FAIL);
    with_a_certificate_that_may_not_sign_code => shape(widget().certificate(|claims| claims.code_signing = false))
        .is(Mismatch).finds(AttProvenanceSig, FAIL);
    everything_forged => shape(widget().forged_by(&World::foreign())).is(Mismatch).finds(LogInclusion, FAIL)
        .finds(RegSignature, unknown(UnknownReason::Unsupported));

    // Authentic, and not how packages are released.
    by_a_person => shape(widget().certificate(|claims| {
        *claims = Claims::of_person("alice@example.com", "https://accounts.google.com");
    })).is(Suspicious).finds(IdIssuer, FAIL).finds(AttStmtVsCert, FAIL)
        .finds(IdSourceRepo, unknown(UnknownReason::Unsupported)).finds(IdRunnerEnv, NO_ATTESTATION);
    from_another_repository_than_the_manifest_names => shape(widget().package_json(|package| {
        package["repository"] = json!("https://github.com/well-known/widget");
    })).is(Suspicious).finds(IdSourceRepo, FAIL).decided_by(&[IdSourceRepo]);
    another_package_inside => shape(widget().package_json(|package| package["name"] = json!("impostor"))
        .metadata(|manifest| manifest["name"] = json!("@acme/widget"))).is(Suspicious).finds(ArtTarballManifest, FAIL);
    self_hosted_and_published_before_it_was_signed => shape(widget()
        .build(|build| "self-hosted".clone_into(&mut build.runner_environment))
        .published_at(BASE_TIME - SignedDuration::from_hours(24))).is(Verified).finds(LogTimeOrder, WARN)
        .finds(IdRunnerEnv, Outcome::Warn(Some(Shade::SelfHosted)));
    two_provenances_of_different_runs_published_before_they_were_made => shape(widget().attestations(|list| {
        list.push(provenance_of(&widget().build(|build| build.run_attempt = 2)));
    }).published_at(BASE_TIME - SignedDuration::from_hours(24))).is(Suspicious)
        .decided_by(&[AttUnique, LogTimeOrder]);
    a_statement_that_is_no_provenance => shape(widget().statement(|statement| statement["predicate"] = json!({})))
        .is(Suspicious).finds(AttPredicateKnown, WARN).finds(AttStmtVsCert, FAIL);
    a_statement_that_claims_no_run => shape(widget().statement(|statement| {
        statement["predicate"]["runDetails"].as_object_mut().unwrap().remove("metadata");
    })).is(Suspicious).finds(AttStmtVsCert, FAIL);
    a_statement_that_claims_no_source => shape(widget().statement(|statement| {
        statement["predicate"]["buildDefinition"]["resolvedDependencies"] = json!([]);
    })).is(Suspicious).finds(AttStmtVsCert, FAIL);
    a_gitlab_statement_by_github => shape(Release::honest("fox", "1.0.1").flavour(Flavour::GitLab)
        .certificate(|claims| claims.issuer = text("https://token.actions.githubusercontent.com"))).is(Suspicious)
        .finds(AttStmtVsCert, FAIL);
    a_github_statement_by_gitlab => shape(widget().certificate(|claims| claims.issuer = text("https://gitlab.com")))
        .is(Suspicious).finds(AttStmtVsCert, FAIL).finds(IdIssuer, unknown(UnknownReason::Unsupported));
    a_foreign_builder => shape(Release::honest("generated", "1.0.2").flavour(Flavour::NodeBuilder)
        .statement(|statement| statement["predicate"]["builder"]["id"] =
            json!("https://github.com/evil/generator/.github/workflows/build.yml@refs/tags/v1"))).is(Suspicious)
        .finds(AttStmtVsCert, FAIL);

    // A certificate that contradicts the statement, value by value. What GitHub's run shows of it besides weighs more;
    // a name that has another repository's number is that of a renamed one.
    another_repository => certified(Flavour::SlsaV1, |claims|
        other(&mut claims.source_repository_uri, "contradiction-project", "elsewhere"))
        .finds(IdSourceRepo, Outcome::Warn(Some(Shade::Renamed)));
    another_commit => certified(Flavour::SlsaV1, |claims| claims.source_repository_digest = text(&"0".repeat(40)))
        .is(Mismatch).finds(SrcCommitExists, WARN).decided_by(&[RunMatchesCert]);
    another_ref => certified(Flavour::SlsaV1, |claims| other(&mut claims.source_repository_ref, "tags", "heads"));
    another_repository_id => certified(Flavour::SlsaV1, |claims| claims.source_repository_identifier = text("1"))
        .is(Mismatch).decided_by(&[RunMatchesCert]);
    another_owner_id => certified(Flavour::SlsaV1, |claims| claims.source_repository_owner_identifier = text("1"));
    another_workflow => certified(Flavour::SlsaV1, |claims|
        other(&mut claims.build_config_uri, "publish.yml", "other.yml")).is(Mismatch).decided_by(&[RunMatchesCert]);
    another_workflow_ref => certified(Flavour::SlsaV1, |claims|
        other(&mut claims.build_config_uri, "@refs/tags", "@refs/heads"));
    another_runner => certified(Flavour::SlsaV1, |claims| claims.runner_environment = text("self-hosted"));
    another_trigger => certified(Flavour::SlsaV1, |claims| claims.build_trigger = text("issue_comment"))
        .is(Mismatch).decided_by(&[RunMatchesCert]);
    another_run => certified(Flavour::SlsaV1, |claims| other(&mut claims.run_invocation_uri, "/runs/2", "/runs/3"))
        .finds(RunExists, unknown(UnknownReason::NotRetained)).decided_by(&[AttStmtVsCert]);
    another_attempt => certified(Flavour::SlsaV1, |claims|
        other(&mut claims.run_invocation_uri, "/attempts/1", "/attempts/2"))
        .finds(RunExists, unknown(UnknownReason::NotRetained)).decided_by(&[AttStmtVsCert]);
    another_commit_while_github_does_not_answer => certified(Flavour::SlsaV1, |claims|
        claims.source_repository_digest = text(&"0".repeat(40)))
        .where_github(|github| github.answer = Answer::Status(503, None)).decided_by(&[AttStmtVsCert]);
    another_repository_in_2023 => certified(Flavour::SlsaV02, |claims|
        other(&mut claims.source_repository_uri, "contradiction-project", "elsewhere"));
    another_commit_in_2023 => certified(Flavour::SlsaV02, |claims|
        claims.source_repository_digest = text(&"0".repeat(40)));
    another_ref_in_2023 => certified(Flavour::SlsaV02, |claims|
        other(&mut claims.source_repository_ref, "tags", "heads"));
    another_repository_id_in_2023 => certified(Flavour::SlsaV02, |claims|
        claims.source_repository_identifier = text("1"));
    another_owner_id_in_2023 => certified(Flavour::SlsaV02, |claims|
        claims.source_repository_owner_identifier = text("1"));
    another_workflow_in_2023 => certified(Flavour::SlsaV02, |claims|
        other(&mut claims.build_config_uri, "publish.yml", "other.yml"));
    another_workflow_digest_in_2023 => certified(Flavour::SlsaV02, |claims|
        claims.build_config_digest = text(&"0".repeat(40)));
    another_trigger_in_2023 => certified(Flavour::SlsaV02, |claims| claims.build_trigger = text("issue_comment"));
    another_run_in_2023 => certified(Flavour::SlsaV02, |claims|
        other(&mut claims.run_invocation_uri, "/runs/2", "/runs/3"));
    another_attempt_in_2023 => certified(Flavour::SlsaV02, |claims|
        other(&mut claims.run_invocation_uri, "/attempts/1", "/attempts/2"));
    another_commit_in_early_2023 => certified(Flavour::SlsaV02, |claims| {
        claims.as_of_early_2023();
        claims.commit_raw = text(&"0".repeat(40));
    });
}

/// A package without attestations.
fn plain() -> Release {
    Release::honest("plain", "1.0.0").unattested()
}

/// The integrity that the registry names for a release.
fn unsigned(manifest: &mut Value) {
    manifest["dist"].as_object_mut().unwrap().remove("signatures");
}

fn declared(release: &Release) -> Digest {
    Digest::sha512_of(&release.publish(&World::shared()).tarball)
}

/// Three versions of one package, of which one was taken back.
fn history() -> Scenario {
    let release = |version| Release::honest("@acme/history", version);
    Scenario::new()
        .release(release("1.0.0"))
        .release(release("1.0.1").unpublished())
        .release(release("2.0.0-rc.1").tag("next"))
        .release(release("1.1.0"))
}

fn json_body(text: &str) -> Answer {
    Answer::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        bytes: text.as_bytes().to_vec(),
    }
}

/// Gives the provenance another label, which nobody signs.
fn relabel(list: &mut [Value], label: &str) {
    for item in list {
        if item["predicateType"] == SLSA_V1 {
            *item = labelled(item.clone(), label);
        }
    }
}

/// Every result of every check, as the catalogues produce them.
#[tokio::test]
async fn every_result_of_every_check_is_produced() {
    let mut produced: BTreeMap<CheckId, BTreeSet<String>> = BTreeMap::new();
    let shapes = [all(), forge::all(), crate::history::all(), crate::pypi_cases::all()];
    for (_name, shape) in shapes.into_iter().flatten() {
        let Ok(judged) = shape.judged_without_sockets().await else {
            continue;
        };
        for finding in &judged.verdict.findings {
            let outcome = format!("{:?}", finding.outcome);
            produced.entry(finding.check).or_default().insert(outcome);
        }
    }
    let table: Vec<_> = produced
        .iter()
        .map(|(check, outcomes)| {
            let outcomes: Vec<_> = outcomes.iter().map(String::as_str).collect();
            format!("{check}\n    {}", outcomes.join("\n    "))
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}
