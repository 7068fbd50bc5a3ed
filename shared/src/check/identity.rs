//! The family `id`: who signed, as the certificate says.

use super::correlate::Evidence;
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::attestation::{Issuer, RepositoryUri, WorkflowRef};
use crate::availability::Availability;

/// Passes if GitHub Actions' token issuer vouched for the signer. Another continuous-integration service is recognised
/// and not correlated; anybody else is not a build.
pub(super) fn issuer(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdIssuer;
    let accounts_sign = evidence.authenticated.release.terms.accounts_sign;
    evidence.of_each_provenance(check, |provenance| {
        let url = provenance.certificate.issuer_url.as_deref().unwrap_or("(none)");
        let (outcome, summary) = match &provenance.certificate.issuer {
            Some(Issuer::GitHubActions) => (Outcome::Pass(None), "GitHub Actions vouched for the signer".to_owned()),
            Some(Issuer::OtherCi(name)) => (
                Outcome::Unknown(UnknownReason::Unsupported),
                format!("{name} vouched for the signer, and its builds are not correlated"),
            ),
            // An account that the registry knows for a publisher; no build can be found by it.
            Some(Issuer::GoogleAccount) if accounts_sign => (
                Outcome::Unknown(UnknownReason::Unsupported),
                "Google vouched for an account, which is correlated with no build".to_owned(),
            ),
            Some(Issuer::GoogleAccount | Issuer::Other(_)) | None => (
                Outcome::Fail(None),
                "no build service that is known here vouched for the signer".to_owned(),
            ),
        };
        Finding::new(check, outcome, summary).observing("certificate 1.8 issuer", url)
    })
}

/// Compares the certificate's source repository with the one that the package itself names, case-insensitively as GitHub
/// does. Two names of one repository, by the forge's id, are a warning.
pub(super) fn source_repo(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdSourceRepo;
    let release = &evidence.authenticated.release;
    let inner = release
        .artifact
        .present()
        .and_then(|artifact| artifact.manifest.present())
        .and_then(|manifest| Some((manifest.place, manifest.repository.clone()?)));
    let declared = release
        .metadata
        .present()
        .and_then(|metadata| metadata.declared_repository.clone());
    // The manifest inside is covered by the attested digest, the metadata by nothing.
    let expected = inner.or_else(|| declared.map(|text| ("metadata repository", text)));
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
        let (outcome, summary) = match (same, &proven_repository) {
            (true, _) => (
                Outcome::Pass(None),
                "the certificate's source repository is the one that the package names",
            ),
            (false, Some(_)) => other_name(evidence, expected),
            (false, None) => (Outcome::Fail(None), ANOTHER_REPOSITORY),
        };
        // Where nobody demands it, releases may be built in a repository of their own.
        let outcome = if outcome.is_fail() && !release.terms.binds_repository {
            Outcome::Warn(None)
        } else {
            outcome
        };
        Finding::new(check, outcome, summary)
            .observing("certificate 1.12 source repository", proven)
            .observing(*place, expected.clone())
    })
}

const NOT_TOLD: &str =
    "the package names another repository than was built, and whether both are one could not be asked";
const ANOTHER_REPOSITORY: &str = "the package names another repository than the one that was built";

/// Two names may be one repository: the forge's id tells, where the forge can be asked for its present name.
fn other_name(evidence: &Evidence<'_>, expected: &str) -> (Outcome, &'static str) {
    let trace = evidence.trace.as_ref().ok();
    let declared = trace
        .and_then(|trace| trace.declared_repository.as_ref())
        .and_then(Availability::present);
    if let (Some(declared), Some(id)) = (declared, trace.and_then(|trace| trace.destination.repository_id))
        && declared.value.id.0 == id
    {
        let summary = "the package gives the repository that was built another of its names";
        return (Outcome::Warn(Some(Shade::Renamed)), summary);
    }
    // Whoever expects a repository by rule expects the one that has its name: another id is another repository, whatever became
    // of that one. A package may have named a repository that has since lost its name to another.
    if !evidence.registry().has_inner_manifest() && declared.is_some() {
        return (Outcome::Fail(None), ANOTHER_REPOSITORY);
    }
    let present = trace
        .and_then(|trace| trace.repository.as_ref())
        .and_then(Availability::present)
        .and_then(|seen| RepositoryUri::parse(&seen.value.full_name));
    if present.is_some() && present == RepositoryUri::parse(expected) {
        let summary = "the repository that was built has since taken the name that the package gives";
        return (Outcome::Warn(Some(Shade::Renamed)), summary);
    }
    match trace.and_then(|trace| trace.declared_repository.as_ref()) {
        Some(Availability::Unavailable(trouble)) => return (Outcome::Unknown(trouble.reason.into()), NOT_TOLD),
        None if trace.is_some_and(|trace| trace.repository.is_some() && trace.destination.declared.is_some()) => {
            return (Outcome::Unknown(UnknownReason::Pending), NOT_TOLD);
        }
        Some(Availability::Present(_) | Availability::Absent { .. }) | None => {}
    }
    match trace.and_then(|trace| trace.repository.as_ref()) {
        Some(Availability::Absent { .. }) => (Outcome::Unknown(UnknownReason::Private), NOT_TOLD),
        Some(Availability::Unavailable(trouble)) => (Outcome::Unknown(trouble.reason.into()), NOT_TOLD),
        None if evidence.trace.is_ok() => (Outcome::Unknown(UnknownReason::Unreachable), NOT_TOLD),
        // Both names were asked about; or a certificate that names no run leaves nothing to ask.
        Some(Availability::Present(_)) | None => (Outcome::Fail(None), ANOTHER_REPOSITORY),
    }
}

fn same_elsewhere(proven: &str, expected: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim().trim_start_matches("git+").trim_end_matches('/');
        text.strip_suffix(".git").unwrap_or(text).to_ascii_lowercase()
    };
    bare(proven) == bare(expected)
}

/// Passes on a runner that the forge hosts, by the certificate alone: labels are the job's own. A runner of the project's
/// own is its policy; only the change to one is weighed.
pub(super) fn runner_env(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdRunnerEnv;
    evidence.of_each_provenance(check, |provenance| {
        match provenance.certificate.runner_environment.as_deref() {
            Some(environment @ ("github-hosted" | "gitlab-hosted")) => {
                Finding::new(check, Outcome::Pass(None), "a runner hosted by the forge signed")
                    .observing("certificate 1.11 runner environment", environment)
            }
            Some(environment) => {
                let mut past = evidence
                    .history()
                    .filter_map(|release| release.runner.as_deref())
                    .peekable();
                let (outcome, summary) = if past.peek().is_some() && past.all(|runner| runner == "github-hosted") {
                    (
                        Outcome::Warn(None),
                        "a runner signed that the forge does not host, unlike those of all earlier releases",
                    )
                } else {
                    (
                        Outcome::Warn(Some(Shade::SelfHosted)),
                        "a runner signed that somebody else than the forge controls",
                    )
                };
                Finding::new(check, outcome, summary).observing("certificate 1.11 runner environment", environment)
            }
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
