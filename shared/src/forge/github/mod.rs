//! GitHub: the run, the commit and the refs that an authenticated certificate names.
//!
//! Asked over the REST API of version 2022-11-28 (<https://docs.github.com/en/rest>), by the names in the certificate, which
//! GitHub redirects after a rename, and compared by ids, which survive one.

mod ask;
pub mod attestations;
mod read;
pub mod steps;
pub mod wire;

use ask::is_document;
pub use ask::{BUDGET, bare, trace};
pub use read::{Reply, Seen, Sight, Trace};

use jiff::Timestamp;

use crate::attestation::{RepositoryUri, RunInvocation, WorkflowRef};
use crate::authenticate::{Authenticated, AuthenticatedRelease};
use crate::dossier::{Dossier, Observation, Scope};
use crate::package::PackageVersion;
use crate::ports::TraceKey;

/// Whatever an authenticated certificate names on GitHub: where the trace leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// By which name a dossier holds what is asked about it, where the artifacts of a version may come from several runs; empty
    /// where a version has but one artifact.
    pub about: String,
    /// The repository, by the name that it had when the certificate was issued.
    pub repository: RepositoryUri,
    /// Its id, which survives renames and transfers.
    pub repository_id: Option<u64>,
    /// The run.
    pub run: u64,
    /// Its attempt, from 1.
    pub attempt: u64,
    /// The commit.
    pub commit: Option<String>,
    /// The ref that was built.
    pub r#ref: Option<String>,
    /// Path of the workflow that was triggered.
    pub workflow: Option<String>,
    /// The deployment environment.
    pub environment: Option<String>,
    /// When the provenance was signed, by a trusted clock.
    pub signed_at: Timestamp,
    /// When the version was published, as the registry says; when it was signed, where that does not.
    pub published_at: Timestamp,
    /// The version that is traced.
    pub package: PackageVersion,
    /// The repository that the package itself names, if that is on GitHub and not the one above by name.
    pub declared: Option<RepositoryUri>,
    /// The folder of the package in the repository, as the package's own manifest says.
    pub folder: String,
}

/// Why there is nowhere to trace to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDestination {
    /// No provenance was authenticated.
    NothingAuthentic,
    /// No authentic provenance was built on GitHub Actions.
    ElsewhereBuilt,
    /// The certificate is older than the extension that names the run, or names none.
    NoRun,
}

impl Destination {
    /// Where the artifacts of a version lead: every run once, in the order of the artifacts.
    pub fn all_of(authenticated: &AuthenticatedRelease) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for destination in authenticated
            .artifacts
            .iter()
            .filter_map(|artifact| Self::of(artifact).ok())
        {
            if all.iter().all(|known| known.about != destination.about) {
                all.push(destination);
            }
        }
        all
    }

    /// Where the authentic provenance of an artifact leads that [is traced](crate::authenticate::Examination::traced). Others that
    /// name another run stay untraced, and the checks of the run say so.
    pub fn of(authenticated: &Authenticated) -> Result<Self, NoDestination> {
        let examination = authenticated
            .examination
            .present()
            .filter(|examination| !examination.authentic_provenances().is_empty())
            .ok_or(NoDestination::NothingAuthentic)?;
        let provenance = examination.traced().ok_or(NoDestination::ElsewhereBuilt)?;
        let certificate = provenance.certificate;
        let invocation = certificate
            .run_invocation_uri
            .as_deref()
            .and_then(RunInvocation::parse)
            .ok_or(NoDestination::NoRun)?;
        let release = &authenticated.release;
        let signed_at = provenance.attestation.signed_at;
        let metadata = release.metadata.present();
        let manifest = release
            .artifact
            .present()
            .and_then(|artifact| artifact.manifest.present());
        let folder = manifest.and_then(|manifest| manifest.directory.clone());
        let repository_id = certificate.source_repository_identifier.as_deref();
        let about = if release.about.is_empty() {
            String::new()
        } else {
            format!(
                "run {}/{}/{}",
                repository_id.unwrap_or_default(),
                invocation.run,
                invocation.attempt
            )
        };
        let declared = manifest
            .and_then(|manifest| manifest.repository.as_deref())
            .or_else(|| metadata?.declared_repository.as_deref())
            .and_then(RepositoryUri::parse)
            .filter(|declared| *declared != invocation.repository);
        Ok(Self {
            about,
            repository: invocation.repository,
            repository_id: number(repository_id),
            run: invocation.run,
            attempt: invocation.attempt,
            commit: certificate.source_repository_digest.clone().filter(|sha| is_sha(sha)),
            r#ref: certificate.source_repository_ref.clone(),
            workflow: certificate
                .build_config_uri
                .as_deref()
                .and_then(WorkflowRef::parse)
                .map(|workflow| workflow.path),
            environment: certificate.deployment_environment.clone(),
            signed_at,
            published_at: metadata.and_then(|metadata| metadata.published_at).unwrap_or(signed_at),
            package: release.package.clone(),
            declared,
            folder: folder.unwrap_or_default(),
        })
    }

    /// By which key what is seen of the run and of the commit is remembered.
    pub fn trace_key(&self) -> Option<TraceKey> {
        Some(TraceKey {
            repository: self.repository_id?.to_string(),
            run: self.run,
            attempt: self.attempt,
            commit: self.commit.clone(),
        })
    }
}

/// The observations of a dossier, of a look at `at`, that are to be remembered: those that were made then, not those that were
/// carried over from earlier looks. Of no commit that the certificate does not name.
pub fn to_remember(destination: &Destination, dossier: &Dossier, at: Timestamp) -> Vec<Observation> {
    let is_kept = |scope| scope == Scope::Run || destination.commit.is_some();
    dossier
        .part(&destination.about)
        .observations
        .into_iter()
        .filter(|observation| observation.at == at && Scope::of(observation.subject).is_some_and(is_kept))
        // What could not be reduced is no document of its kind, whatever its status.
        .filter(|observation| observation.success().is_none() || is_document(observation))
        .collect()
}

fn number(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

/// Git's ids: forty hexadecimal digits, or sixty-four in repositories with SHA-256.
fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
