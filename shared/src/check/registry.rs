//! The family `reg`: the registry's metadata.

use super::correlate::Evidence;
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::attestation::{Issuer, NpmKey, NpmKeyUsage, TrustMaterial};
use crate::availability::Availability;
use crate::ecosystem::{Metadata, PublishMode, RegistrySignature};
use crate::package::Digest;
use crate::ports::FirstSeen;

fn metadata<'a>(check: CheckId, evidence: &'a Evidence<'_>) -> Result<&'a Metadata, Finding> {
    match &evidence.authenticated.release.metadata {
        Availability::Present(metadata) => Ok(metadata),
        Availability::Absent { because } => Err(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            because.clone(),
        )),
        Availability::Unavailable(trouble) => Err(Finding::unavailable(check, trouble)),
    }
}

/// Verifies the registry's signatures over `name@version:integrity`
/// (<https://docs.npmjs.com/about-registry-signatures>).
///
/// Every signature by a known key must be valid, and there must be one. A key that had ended when the version was
/// published may not sign for it; the publication time is the registry's own. The begin of a key's window does not bind:
/// a registry signs old versions again with a new key.
pub(super) fn signature(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RegSignature;
    match metadata(check, evidence) {
        Ok(_metadata) if !evidence.authenticated.release.terms.registry_signs => {
            let summary = "the registry does not sign its metadata";
            Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary)
        }
        Ok(metadata) => signature_of(metadata, evidence.trust),
        Err(finding) => finding,
    }
}

/// Whether the registry's signature over name, version and digest is valid, by the rules of the check `reg.signature`. Of
/// anything else in the metadata it says nothing.
pub fn is_signed_by_registry(metadata: &Metadata, trust: &TrustMaterial) -> bool {
    signature_of(metadata, trust).outcome.is_pass()
}

fn signature_of(metadata: &Metadata, trust: &TrustMaterial) -> Finding {
    let check = CheckId::RegSignature;
    let cite = |finding: Finding| finding.citing([metadata.evidence.clone()]);
    let Some(text) = metadata
        .signed_text
        .as_deref()
        .filter(|_| !metadata.signatures.is_empty())
    else {
        let summary = "the metadata carries no registry signature, as behind mirrors that strip it";
        return cite(Finding::new(check, Outcome::Unknown(UnknownReason::Stripped), summary));
    };
    let mut valid = 0_usize;
    for RegistrySignature { key_id, signature } in &metadata.signatures {
        let keys: Vec<&NpmKey> = trust.npm_keys(key_id, NpmKeyUsage::Signatures).collect();
        if keys.is_empty() {
            continue;
        }
        let fail = |summary: &str| {
            cite(Finding::new(check, Outcome::Fail(None), summary))
                .observing("signed text", text)
                .observing("metadata dist.signatures keyid", key_id.clone())
        };
        let verifies = |key: &&NpmKey| {
            signature
                .as_ref()
                .is_some_and(|signature| key.verifies(text.as_bytes(), signature))
        };
        if !keys.iter().any(verifies) {
            return fail("the registry's signature is not valid for this name, version and integrity");
        }
        if let Some(published) = metadata.published_at
            && keys.iter().all(|key| key.end.is_some_and(|end| end <= published))
        {
            return fail("the registry's key had ended before the version was published")
                .observing("metadata time", published.to_string());
        }
        valid += 1;
    }
    if valid == 0 {
        let summary = "none of the registry's signatures is by a key that is known here";
        let ids: Vec<&str> = metadata
            .signatures
            .iter()
            .map(|signature| signature.key_id.as_str())
            .collect();
        return cite(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::Unsupported),
            summary,
        ))
        .observing("metadata dist.signatures keyid", ids.join(", "));
    }
    cite(Finding::new(
        check,
        Outcome::Pass(None),
        "the registry's signature over name, version and integrity is valid",
    ))
}

/// Compares the digest with the one that was first seen.
///
/// An integrity that the registry had not signed may be a mirror's invention, so that it accuses no later one that the
/// registry has signed, and one that it has not signed either is a warning. What it had signed stands against all others.
pub(super) fn integrity_stable(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RegIntegrityStable;
    let place = evidence.authenticated.release.terms.digest_place;
    let metadata = match metadata(check, evidence) {
        Ok(metadata) => metadata,
        Err(finding) => return finding,
    };
    let first = evidence.memory.first_seen.as_ref();
    let first = first.and_then(|first| Some((first, first.digest_of(&evidence.authenticated.release.about)?)));
    let now = match (&metadata.declared_digest, first) {
        (Some(now), _) => now,
        (None, None) => {
            let summary = "the metadata names no digest that is strong enough to compare";
            return Finding::new(check, Outcome::NotApplicable(Some(Shade::WeakDigest)), summary);
        }
        (None, Some((first, digest))) => return not_comparable(check, first, digest),
    };
    let Some((first, digest)) = first else {
        let summary = "the version is seen for the first time";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::FirstSeen)), summary)
            .observing(place, now.to_string());
    };
    if digest.algorithm() != now.algorithm() {
        return not_comparable(check, first, digest).observing(place, now.to_string());
    }
    let (outcome, summary) = if digest == now {
        (Outcome::Pass(None), "the integrity is the one that was first seen")
    } else if first.signed {
        (
            Outcome::Fail(None),
            "the registry named another integrity for this version before",
        )
    } else if is_signed_by_registry(metadata, evidence.trust) {
        (
            Outcome::NotApplicable(Some(Shade::FirstSeen)),
            "what was seen before names another integrity, and the registry had not signed that",
        )
    } else {
        (
            Outcome::Warn(None),
            "another integrity was named for this version before, and the registry has signed neither",
        )
    };
    Finding::new(check, outcome, summary)
        .observing(place, now.to_string())
        .observing(format!("first seen {}", first.at), digest.to_string())
        .citing([metadata.evidence.clone()])
}

/// The digest that was first seen is not in the metadata any more, and nothing that could contradict it.
fn not_comparable(check: CheckId, first: &FirstSeen, digest: &Digest) -> Finding {
    let summary = "the registry named a digest before that its metadata does not name any more";
    Finding::new(check, Outcome::Unknown(UnknownReason::Stripped), summary)
        .observing(format!("first seen {}", first.at), digest.to_string())
}

/// Records how the version was published, and whether the trusted publisher that the metadata claims is the one that the
/// certificate proves.
pub(super) fn publish_mode(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::RegPublishMode;
    let metadata = match metadata(check, evidence) {
        Ok(metadata) => metadata,
        Err(finding) => return finding,
    };
    if !evidence.authenticated.release.terms.names_publishers {
        let summary = "the registry does not say who publishes, or how";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    let Some(mode) = &metadata.publish_mode else {
        return Finding::new(
            check,
            Outcome::Unknown(UnknownReason::Stripped),
            "the metadata does not say who published",
        );
    };
    let recorded = |shade, summary: &str| {
        Finding::new(
            check,
            Outcome::Pass(Some(shade)),
            format!("the metadata claims: {summary}"),
        )
        .citing([metadata.evidence.clone()])
    };
    match mode {
        PublishMode::Token => recorded(Shade::Token, "published with a token"),
        PublishMode::Staged => recorded(Shade::StagedPublish, "staged, and approved by a person"),
        PublishMode::TrustedPublisher(id) => {
            let finding = recorded(Shade::TrustedPublisher, "published by a trusted publisher")
                .observing("metadata _npmUser.trustedPublisher", id.clone());
            match proven_publisher(evidence) {
                Some(proven) if proven != id => Finding {
                    outcome: Outcome::Warn(Some(Shade::TrustedPublisher)),
                    ..finding
                }
                .observing("certificate issuer", proven),
                Some(_) | None => finding,
            }
        }
    }
}

/// The name that npm gives to the publisher whose issuer signed the provenance.
fn proven_publisher<'a>(evidence: &'a Evidence<'_>) -> Option<&'a str> {
    let examination = evidence.authenticated.examination.present()?;
    let provenances = examination.authentic_provenances();
    match provenances.first()?.certificate.issuer.as_ref()? {
        Issuer::GitHubActions => Some("github"),
        Issuer::OtherCi("GitLab CI") => Some("gitlab"),
        Issuer::OtherCi("CircleCI") => Some("circleci"),
        Issuer::OtherCi(other) => Some(other),
        Issuer::GoogleAccount => Some("google"),
        Issuer::Other(url) => Some(url),
    }
}
