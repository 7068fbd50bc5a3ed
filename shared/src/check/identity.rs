//! The family `id`: who signed, as the certificate says.

use super::correlate::Evidence;
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::attestation::{Issuer, RepositoryUri, WorkflowRef};

/// Passes if GitHub Actions' token issuer vouched for the signer. Another continuous-integration service is recognised
/// and not correlated; anybody else is not a build.
pub(super) fn issuer(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdIssuer;
    evidence.of_each_provenance(check, |provenance| {
        let url = provenance.certificate.issuer_url.as_deref().unwrap_or("(none)");
        let (outcome, summary) = match &provenance.certificate.issuer {
            Some(Issuer::GitHubActions) => (Outcome::Pass(None), "GitHub Actions vouched for the signer".to_owned()),
            Some(Issuer::OtherCi(name)) => (
                Outcome::Unknown(UnknownReason::Unsupported),
                format!("{name} vouched for the signer, and its builds are not correlated"),
            ),
            Some(Issuer::Other(_)) | None => (
                Outcome::Fail(None),
                "no build service that is known here vouched for the signer".to_owned(),
            ),
        };
        Finding::new(check, outcome, summary).observing("certificate 1.8 issuer", url)
    })
}

/// Compares the certificate's source repository with the one that the package itself names, case-insensitively as GitHub
/// does. npm refuses a publication whose provenance is of another repository than its manifest names, so that a later
/// rename cannot part the two.
pub(super) fn source_repo(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdSourceRepo;
    let release = &evidence.authenticated.release;
    let inner = release
        .artifact
        .present()
        .and_then(|artifact| artifact.manifest.present())
        .and_then(|manifest| manifest.repository.clone());
    let declared = release
        .metadata
        .present()
        .and_then(|metadata| metadata.declared_repository.clone());
    // The manifest inside is covered by the attested digest, the metadata by nothing.
    let expected = inner
        .map(|text| ("package.json in the tarball", text))
        .or_else(|| declared.map(|text| ("metadata repository", text)));
    evidence.of_each_provenance(check, |provenance| {
        let Some(proven) = provenance.certificate.source_repository_uri.as_deref() else {
            let summary = "the certificate names no source repository";
            return Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), summary);
        };
        let Some((place, expected)) = &expected else {
            let summary = "the package names no repository to compare with";
            return Finding::new(check, Outcome::NotApplicable(Some(Shade::NoExpectation)), summary)
                .observing("certificate 1.12 source repository", proven);
        };
        let proven_repository = RepositoryUri::parse(proven);
        let same = match (&proven_repository, RepositoryUri::parse(expected)) {
            (Some(proven), Some(expected)) => *proven == expected,
            // Repositories on other forges are compared as written, without what clients add.
            (None, _) => same_elsewhere(proven, expected),
            (Some(_), None) => false,
        };
        let (outcome, summary) = if same {
            (
                Outcome::Pass(None),
                "the certificate's source repository is the one that the package names",
            )
        } else {
            (
                Outcome::Fail(None),
                "the package names another repository than the one that was built",
            )
        };
        Finding::new(check, outcome, summary)
            .observing("certificate 1.12 source repository", proven)
            .observing(*place, expected.clone())
    })
}

fn same_elsewhere(proven: &str, expected: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim().trim_start_matches("git+").trim_end_matches('/');
        text.strip_suffix(".git").unwrap_or(text).to_ascii_lowercase()
    };
    bare(proven) == bare(expected)
}

/// Passes on a runner that the forge hosts, by the certificate alone: labels are the job's own.
pub(super) fn runner_env(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdRunnerEnv;
    evidence.of_each_provenance(check, |provenance| {
        match provenance.certificate.runner_environment.as_deref() {
            Some(environment @ ("github-hosted" | "gitlab-hosted")) => {
                Finding::new(check, Outcome::Pass(None), "a runner hosted by the forge signed")
                    .observing("certificate 1.11 runner environment", environment)
            }
            Some(environment) => Finding::new(
                check,
                Outcome::Warn(Some(Shade::SelfHosted)),
                "a runner signed that somebody else than the forge controls",
            )
            .observing("certificate 1.11 runner environment", environment),
            None => Finding::new(
                check,
                Outcome::NotApplicable(Some(Shade::Absent)),
                "the certificate is older than the extension that names the runner environment",
            ),
        }
    })
}

/// Passes if the triggered workflow signed itself, or if a reusable workflow did whose commit the certificate names.
pub(super) fn signer_workflow(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdSignerWorkflow;
    evidence.of_each_provenance(check, |provenance| {
        let certificate = provenance.certificate;
        let (Some(signer), Some(config)) = (certificate.signer(), certificate.build_config_uri.as_deref()) else {
            let summary = "the certificate is older than the extensions that tell signing and triggered workflow apart";
            return Finding::new(check, Outcome::NotApplicable(Some(Shade::Absent)), summary);
        };
        let same = signer == config
            || matches!((WorkflowRef::parse(signer), WorkflowRef::parse(config)), (Some(a), Some(b)) if a == b);
        let (outcome, summary) = match (same, certificate.build_signer_digest.as_deref()) {
            (true, _) => (Outcome::Pass(None), "the triggered workflow signed"),
            (false, Some(_)) => (
                Outcome::Pass(None),
                "a reusable workflow signed, taken from a commit that is named",
            ),
            (false, None) => (
                Outcome::Warn(None),
                "a reusable workflow signed, and the certificate names no commit of it",
            ),
        };
        Finding::new(check, outcome, summary)
            .observing("certificate 1.9 build signer", signer)
            .observing("certificate 1.18 build config", config)
            .observing(
                "certificate 1.10 build signer digest",
                certificate.build_signer_digest.as_deref().unwrap_or("(none)"),
            )
    })
}
