//! The family `art`: the bytes that the registry serves.

use super::correlate::Evidence;
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::availability::Availability;
use crate::ecosystem::{Downloaded, InnerManifest};

/// Passes if the registry's metadata has the version. A version that it does not have gets no verdict at all.
pub(super) fn exists(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::ArtExists;
    let release = &evidence.authenticated.release;
    if !evidence.registry().is_served() {
        let summary = "no registry serves it: whoever asks brings the bytes";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    match &release.metadata {
        Availability::Present(metadata) => Finding::new(check, Outcome::Pass(None), "the registry lists the version")
            .citing([metadata.evidence.clone()]),
        Availability::Absent { because } => {
            Finding::new(check, Outcome::Unknown(UnknownReason::NotRetained), because.clone())
        }
        Availability::Unavailable(trouble) => Finding::unavailable(check, trouble),
    }
}

/// The artifact, or the finding that it could not be had.
fn downloaded<'a>(check: CheckId, evidence: &'a Evidence<'_>) -> Result<&'a Downloaded, Finding> {
    match &evidence.authenticated.release.artifact {
        Availability::Present(artifact) => Ok(artifact),
        Availability::Absent { because } => Err(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            because.clone(),
        )),
        Availability::Unavailable(trouble) => Err(Finding::unavailable(check, trouble)),
    }
}

/// Compares the bytes with the digest in the metadata. Where they differed at first, the download past every cache is
/// compared, and nothing is said if that one failed.
pub(super) fn tarball_integrity(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::ArtTarballIntegrity;
    let artifact = match downloaded(check, evidence) {
        Ok(artifact) => artifact,
        Err(finding) => return finding,
    };
    let Some(metadata) = evidence.authenticated.release.metadata.present() else {
        return Finding::new(
            check,
            Outcome::Unknown(UnknownReason::Unreachable),
            "there is no metadata to compare with",
        );
    };
    let algorithm = evidence.authenticated.release.terms.digest;
    let finding = |outcome, summary: &str| {
        Finding::new(check, outcome, summary)
            .observing("downloaded bytes", artifact.digest(algorithm).to_string())
            .citing([metadata.evidence.clone(), artifact.sha256.clone()])
    };
    if let Some(declared) = &metadata.declared_digest {
        let weak_contradicts = metadata
            .declared_sha1
            .as_ref()
            .is_some_and(|weak| artifact.sha1 != *weak);
        let agrees = artifact.has_digest(declared) && !weak_contradicts;
        let (outcome, summary) = if agrees {
            (
                Outcome::Pass(None),
                "the bytes have the digest that the registry's metadata names",
            )
        } else {
            (
                Outcome::Fail(None),
                "the registry serves other bytes than its metadata names",
            )
        };
        let finding = finding(outcome, summary)
            .observing(evidence.authenticated.release.terms.digest_place, declared.to_string());
        return match &metadata.declared_sha1 {
            Some(weak) if weak_contradicts => finding
                .observing("metadata dist.shasum", weak.to_string())
                .observing("downloaded bytes, sha1", artifact.sha1.to_string()),
            Some(_) | None => finding,
        };
    }
    match &metadata.declared_sha1 {
        Some(declared) if artifact.sha1 == *declared => finding(
            Outcome::Warn(Some(Shade::WeakDigest)),
            "the bytes have the SHA-1 that the metadata names; there is no stronger digest",
        )
        .observing("metadata dist.shasum", declared.to_string()),
        Some(declared) => finding(
            Outcome::Fail(None),
            "the registry serves other bytes than its metadata names",
        )
        .observing("metadata dist.shasum", declared.to_string())
        .observing("downloaded bytes, sha1", artifact.sha1.to_string()),
        None => finding(
            Outcome::Unknown(UnknownReason::Stripped),
            "the metadata names no digest",
        ),
    }
}

/// Compares name and version of the manifest inside with the version that was asked for.
///
/// A manifest may rename the package on publication, as npm's `publishConfig.name` does.
pub(super) fn tarball_manifest(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::ArtTarballManifest;
    if !evidence.registry().has_inner_manifest() {
        let summary = "what is served has no manifest of its own";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    let artifact = match downloaded(check, evidence) {
        Ok(artifact) => artifact,
        Err(finding) => return finding,
    };
    let manifest = match &artifact.manifest {
        Availability::Present(manifest) => manifest,
        Availability::Absent { because } => {
            return Finding::new(check, Outcome::Fail(None), because.clone()).citing([artifact.sha256.clone()]);
        }
        Availability::Unavailable(trouble) => return Finding::unavailable(check, trouble),
    };
    compare_manifest(evidence, artifact, manifest)
}

fn compare_manifest(evidence: &Evidence<'_>, artifact: &Downloaded, manifest: &InnerManifest) -> Finding {
    let package = &evidence.authenticated.release.package;
    let name = package.name().as_str();
    let registry = package.ecosystem().registry();
    let named = [&manifest.name, &manifest.published_name]
        .into_iter()
        .flatten()
        .any(|candidate| registry.name(candidate).is_ok_and(|candidate| candidate == name));
    let versioned = manifest
        .version
        .as_deref()
        .is_some_and(|version| registry.is_same_version(version, package.version()));
    let outcome = if named && versioned {
        Outcome::Pass(None)
    } else {
        Outcome::Fail(None)
    };
    let summary = if outcome.is_pass() {
        "the manifest inside names this package and version"
    } else {
        "the manifest inside names another package or version"
    };
    Finding::new(CheckId::ArtTarballManifest, outcome, summary)
        .observing("requested", format!("{name}@{}", package.version()))
        .observing(
            manifest.place,
            format!(
                "{}@{}",
                manifest.name.as_deref().unwrap_or("(no name)"),
                manifest.version.as_deref().unwrap_or("(no version)")
            ),
        )
        .citing([artifact.sha256.clone()])
}
