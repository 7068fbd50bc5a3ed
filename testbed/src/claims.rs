//! What a signing certificate says about its holder.

use crate::{
    build::{Build, Provider},
    der,
};
use jiff::SignedDuration;

/// The arc of the claims of a Fulcio certificate.
const ARC: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];

/// The subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A workflow.
    Uri(String),
    /// A person.
    Email(String),
}

/// The signed certificate timestamp inside a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedSct {
    /// Over the certificate, as it should be.
    Valid,
    /// None at all.
    Absent,
    /// With a signature over something else.
    Forged,
}

/// Everything that a certificate authority puts into a certificate besides the key.
///
/// Each field is one extension of the arc 1.3.6.1.4.1.57264.1 and is left out when it is `None`; the numbers are those of
/// Fulcio's `oid-info.md`. Nothing keeps them consistent: a test may contradict the statement, or the claims each other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are Fulcio's own; the number of each stands in `extensions`"
)]
pub struct Claims {
    /// The subject's organisation and common name; certificates of builds have an empty one.
    pub subject: Option<[&'static str; 2]>,
    pub identity: Option<Identity>,
    pub issuer_raw: Option<String>,
    pub trigger_raw: Option<String>,
    pub commit_raw: Option<String>,
    pub workflow_name_raw: Option<String>,
    pub repository_raw: Option<String>,
    pub ref_raw: Option<String>,
    pub issuer: Option<String>,
    pub build_signer_uri: Option<String>,
    pub build_signer_digest: Option<String>,
    pub runner_environment: Option<String>,
    pub source_repository_uri: Option<String>,
    pub source_repository_digest: Option<String>,
    pub source_repository_ref: Option<String>,
    pub source_repository_identifier: Option<String>,
    pub source_repository_owner_uri: Option<String>,
    pub source_repository_owner_identifier: Option<String>,
    pub build_config_uri: Option<String>,
    pub build_config_digest: Option<String>,
    pub build_trigger: Option<String>,
    pub run_invocation_uri: Option<String>,
    pub source_repository_visibility: Option<String>,
    pub deployment_environment: Option<String>,
    pub token_subject: Option<String>,
    /// Extensions besides these: the arcs of the identifier, and the content of the extension value.
    pub other_extensions: Vec<(Vec<u64>, Vec<u8>)>,
    /// How long the certificate is valid.
    pub life: SignedDuration,
    /// Whether it says that it may sign code.
    pub code_signing: bool,
    /// Its signed certificate timestamp.
    pub sct: EmbeddedSct,
}

impl Claims {
    /// No claim at all: only a key, a validity of ten minutes, and the permission to sign code.
    pub fn none() -> Self {
        Self {
            subject: None,
            identity: None,
            issuer_raw: None,
            trigger_raw: None,
            commit_raw: None,
            workflow_name_raw: None,
            repository_raw: None,
            ref_raw: None,
            issuer: None,
            build_signer_uri: None,
            build_signer_digest: None,
            runner_environment: None,
            source_repository_uri: None,
            source_repository_digest: None,
            source_repository_ref: None,
            source_repository_identifier: None,
            source_repository_owner_uri: None,
            source_repository_owner_identifier: None,
            build_config_uri: None,
            build_config_digest: None,
            build_trigger: None,
            run_invocation_uri: None,
            source_repository_visibility: None,
            deployment_environment: None,
            token_subject: None,
            other_extensions: Vec::new(),
            life: SignedDuration::from_mins(10),
            code_signing: true,
            sct: EmbeddedSct::Valid,
        }
    }

    /// What a certificate of 2026 says about `build`.
    pub fn of(build: &Build) -> Self {
        let github = build.provider == Provider::GitHub;
        Self {
            identity: Some(Identity::Uri(build.signer_uri())),
            issuer_raw: Some(build.provider.issuer().to_owned()),
            trigger_raw: github.then(|| build.event.clone()),
            commit_raw: github.then(|| build.commit.clone()),
            workflow_name_raw: github.then(|| build.workflow_name.clone()),
            repository_raw: github.then(|| build.repository.clone()),
            ref_raw: github.then(|| build.git_ref.clone()),
            issuer: Some(build.provider.issuer().to_owned()),
            build_signer_uri: Some(build.signer_uri()),
            build_signer_digest: Some(build.signer_digest()),
            runner_environment: Some(build.runner_environment.clone()),
            source_repository_uri: Some(build.repository_uri()),
            source_repository_digest: Some(build.commit.clone()),
            source_repository_ref: Some(build.git_ref.clone()),
            source_repository_identifier: Some(build.repository_id.clone()),
            source_repository_owner_uri: Some(build.owner_uri()),
            source_repository_owner_identifier: Some(build.owner_id.clone()),
            build_config_uri: Some(build.config_uri()),
            build_config_digest: Some(build.workflow_commit.clone()),
            build_trigger: Some(build.event.clone()),
            run_invocation_uri: Some(build.invocation_uri()),
            source_repository_visibility: Some(build.visibility.clone()),
            deployment_environment: build.environment.clone(),
            token_subject: Some(build.token_subject()),
            ..Self::none()
        }
    }

    /// A person who signed in with `issuer`.
    pub fn of_person(email: &str, issuer: &str) -> Self {
        Self {
            identity: Some(Identity::Email(email.to_owned())),
            issuer_raw: Some(issuer.to_owned()),
            issuer: Some(issuer.to_owned()),
            ..Self::none()
        }
    }

    /// GitHub's service that attests immutable releases: for a year, and without any claim of a build.
    pub fn of_github_releases() -> Self {
        Self {
            subject: Some(["GitHub, Inc.", "Attester"]),
            identity: Some(Identity::Uri("https://dotcom.releases.github.com".to_owned())),
            life: SignedDuration::from_hours(365 * 24),
            ..Self::none()
        }
    }

    /// Keeps only .1 to .6, as certificates of January and February 2023 did.
    pub fn as_of_early_2023(&mut self) {
        let old = self.clone();
        *self = Self {
            subject: old.subject,
            identity: old.identity,
            issuer_raw: old.issuer_raw,
            trigger_raw: old.trigger_raw,
            commit_raw: old.commit_raw,
            workflow_name_raw: old.workflow_name_raw,
            repository_raw: old.repository_raw,
            ref_raw: old.ref_raw,
            other_extensions: old.other_extensions,
            life: old.life,
            code_signing: old.code_signing,
            sct: old.sct,
            ..Self::none()
        };
    }

    /// Leaves out .22 to .24, as certificates from April 2023 did.
    pub fn as_of_mid_2023(&mut self) {
        self.source_repository_visibility = None;
        self.without_environment_and_subject();
    }

    /// Leaves out .23 and .24, as certificates before November 2025 did.
    pub fn without_environment_and_subject(&mut self) {
        self.deployment_environment = None;
        self.token_subject = None;
    }

    /// The extensions of the arc, in the order of their numbers.
    pub(crate) fn extensions(&self) -> Vec<Vec<u8>> {
        let raw = [
            (1, &self.issuer_raw),
            (2, &self.trigger_raw),
            (3, &self.commit_raw),
            (4, &self.workflow_name_raw),
            (5, &self.repository_raw),
            (6, &self.ref_raw),
        ];
        let typed = [
            (8, &self.issuer),
            (9, &self.build_signer_uri),
            (10, &self.build_signer_digest),
            (11, &self.runner_environment),
            (12, &self.source_repository_uri),
            (13, &self.source_repository_digest),
            (14, &self.source_repository_ref),
            (15, &self.source_repository_identifier),
            (16, &self.source_repository_owner_uri),
            (17, &self.source_repository_owner_identifier),
            (18, &self.build_config_uri),
            (19, &self.build_config_digest),
            (20, &self.build_trigger),
            (21, &self.run_invocation_uri),
            (22, &self.source_repository_visibility),
            (23, &self.deployment_environment),
            (24, &self.token_subject),
        ];
        let raw = raw
            .into_iter()
            .filter_map(|(number, value)| Some(extension(&claim(number), value.as_ref()?.as_bytes())));
        let typed = typed
            .into_iter()
            .filter_map(|(number, value)| Some(extension(&claim(number), &der::utf8(value.as_ref()?))));
        let others = self
            .other_extensions
            .iter()
            .map(|(arcs, content)| extension(arcs, content));
        raw.chain(typed).chain(others).collect()
    }
}

/// The identifier of claim `number`.
fn claim(number: u64) -> Vec<u64> {
    ARC.into_iter().chain([number]).collect()
}

/// A non-critical extension.
pub(crate) fn extension(arcs: &[u64], content: &[u8]) -> Vec<u8> {
    der::sequence(&[der::oid(arcs), der::octets(content)])
}

/// A critical extension.
pub(crate) fn critical(arcs: &[u64], content: &[u8]) -> Vec<u8> {
    der::sequence(&[der::oid(arcs), der::yes(), der::octets(content)])
}
