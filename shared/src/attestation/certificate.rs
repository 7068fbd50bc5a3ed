//! The identity in a signing certificate: what the forge's token said, through the certificate authority.
//!
//! These are facts about the build, as opposed to what a statement claims. The extensions are those of
//! <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>, arc 1.3.6.1.4.1.57264.1.

use std::fmt;

use jiff::Timestamp;
use sigstore::crypto::{CertificateInfo, SubjectAltName};
use url::Url;

/// Who vouched for the signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// GitHub Actions' token issuer, an enterprise's own path under it included.
    GitHubActions,
    /// Another continuous-integration service whose builds are recognised and not correlated.
    OtherCi(&'static str),
    /// Google, for an account of its own: a person's, or a service's.
    GoogleAccount,
    /// Anybody else: a person's account elsewhere, an unknown issuer.
    Other(String),
}

impl Issuer {
    /// The issuer of a URL.
    pub fn from_url(text: &str) -> Self {
        let Ok(url) = Url::parse(text) else {
            return Self::Other(text.to_owned());
        };
        if url.scheme() != "https" || url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Self::Other(text.to_owned());
        }
        let path = url.path().trim_matches('/');
        match url.host_str() {
            // An enterprise may have a path of its own: one segment, its slug
            // (https://docs.github.com/en/rest/actions/oidc).
            Some("token.actions.githubusercontent.com") if !path.contains('/') => Self::GitHubActions,
            Some("accounts.google.com") if path.is_empty() => Self::GoogleAccount,
            Some("gitlab.com") if path.is_empty() => Self::OtherCi("GitLab CI"),
            Some("oidc.circleci.com") => Self::OtherCi("CircleCI"),
            Some("agent.buildkite.com") if path.is_empty() => Self::OtherCi("Buildkite"),
            Some("oidc.codefresh.io") if path.is_empty() => Self::OtherCi("Codefresh"),
            Some(_) | None => Self::Other(text.to_owned()),
        }
    }
}

/// A workflow file at a ref: `https://github.com/owner/repository/.github/workflows/file.yml@refs/heads/main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRef {
    /// The repository that holds the file.
    pub repository: RepositoryUri,
    /// Path of the file in the repository.
    pub path: String,
    /// The ref that it was taken from.
    pub r#ref: String,
}

impl WorkflowRef {
    /// Parses the URI form, or GitHub's `owner/repository/path@ref`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("https://github.com/").unwrap_or(text);
        let (location, r#ref) = text.split_once('@')?;
        let mut parts = location.splitn(3, '/');
        let (owner, name, path) = (parts.next()?, parts.next()?, parts.next()?);
        let repository = RepositoryUri::new(owner, name)?;
        (!path.is_empty() && !r#ref.is_empty()).then(|| Self {
            repository,
            path: path.to_owned(),
            r#ref: r#ref.to_owned(),
        })
    }
}

impl fmt::Display for WorkflowRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}@{}", self.repository, self.path, self.r#ref)
    }
}

/// A repository on GitHub. Two are equal whatever their capitals: GitHub's names are case-insensitive.
#[derive(Clone, Debug)]
pub struct RepositoryUri {
    owner: String,
    name: String,
}

impl RepositoryUri {
    /// A repository by owner and name.
    pub fn new(owner: &str, name: &str) -> Option<Self> {
        let valid = |text: &str| {
            !text.is_empty()
                && text != "."
                && text != ".."
                && text
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character))
        };
        (valid(owner) && valid(name)).then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Parses `https://github.com/owner/name`, `git+https://github.com/owner/name.git`, `git@github.com:owner/name`,
    /// `github:owner/name`, `owner/name` and the other spellings that a manifest's `repository` has in practice
    /// (<https://docs.npmjs.com/cli/configuring-npm/package-json#repository>).
    ///
    /// `None` for every other host: what is not on GitHub is no GitHub repository.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("git+").unwrap_or(text);
        let path = if let Some(path) = text.strip_prefix("github:") {
            path
        } else if let Some(path) = text.strip_prefix("git@github.com:") {
            path
        } else if let Some((scheme, rest)) = text.split_once("://") {
            if !["https", "http", "git", "ssh"].contains(&scheme) {
                return None;
            }
            // Written as `ssh://git@github.com:owner/name`, which npm's own clients read as a path.
            let rest = rest.replacen("github.com:", "github.com/", 1);
            let (authority, path) = rest.split_once('/')?;
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if !host.eq_ignore_ascii_case("github.com") && !host.eq_ignore_ascii_case("www.github.com") {
                return None;
            }
            return Self::from_path(path);
        } else if text.contains(':') {
            return None;
        } else {
            text
        };
        Self::from_path(path)
    }

    /// `owner/name`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    fn from_path(path: &str) -> Option<Self> {
        let path = path.split(['#', '?']).next().unwrap_or(path);
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let (owner, name) = (segments.next()?, segments.next()?);
        Self::new(owner, name.strip_suffix(".git").unwrap_or(name))
    }
}

impl PartialEq for RepositoryUri {
    fn eq(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for RepositoryUri {}

impl fmt::Display for RepositoryUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "https://github.com/{}/{}", self.owner, self.name)
    }
}

/// One attempt of one workflow run: `https://github.com/owner/repository/actions/runs/1/attempts/1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInvocation {
    /// The repository that ran it.
    pub repository: RepositoryUri,
    /// Id of the run.
    pub run: u64,
    /// Number of the attempt, from 1.
    pub attempt: u64,
}

impl RunInvocation {
    /// Parses the URI form.
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.strip_prefix("https://github.com/")?;
        match path.split('/').collect::<Vec<_>>().as_slice() {
            [owner, name, "actions", "runs", run, "attempts", attempt] => Some(Self {
                repository: RepositoryUri::new(owner, name)?,
                run: run.parse().ok()?,
                attempt: attempt.parse().ok()?,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for RunInvocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/actions/runs/{}/attempts/{}",
            self.repository, self.run, self.attempt
        )
    }
}

/// Everything that a signing certificate says, from the extensions .1 to .24 and the subject alternative name.
///
/// A certificate of early 2023 carries only .1 to .6, one from before November 2025 no .23, one from before April 2026 no
/// .24. The value of a deprecated extension stands in for its successor only where that is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// The subject alternative name.
    pub subject_alternative_name: Option<String>,
    /// .8, else .1: who vouched for the signer.
    pub issuer: Option<Issuer>,
    /// The issuer's URL as written.
    pub issuer_url: Option<String>,
    /// .9: the workflow that signed.
    pub build_signer_uri: Option<String>,
    /// .10: the commit that the signing workflow was taken from.
    pub build_signer_digest: Option<String>,
    /// .11: `github-hosted` or `self-hosted`.
    pub runner_environment: Option<String>,
    /// .12, else .5: the repository that was built.
    pub source_repository_uri: Option<String>,
    /// .13, else .3: the commit that was built.
    pub source_repository_digest: Option<String>,
    /// .14, else .6: the ref that was built.
    pub source_repository_ref: Option<String>,
    /// .15: the forge's immutable id of the repository.
    pub source_repository_identifier: Option<String>,
    /// .16: the repository's owner.
    pub source_repository_owner_uri: Option<String>,
    /// .17: the forge's immutable id of the owner.
    pub source_repository_owner_identifier: Option<String>,
    /// .18: the workflow that was triggered.
    pub build_config_uri: Option<String>,
    /// .19: the commit that the triggered workflow was taken from.
    pub build_config_digest: Option<String>,
    /// .20, else .2: the event that triggered the run.
    pub build_trigger: Option<String>,
    /// .21: the run and its attempt.
    pub run_invocation_uri: Option<String>,
    /// .22: whether the repository was public when the certificate was issued.
    pub source_repository_visibility: Option<String>,
    /// .23: the deployment environment.
    pub deployment_environment: Option<String>,
    /// .24: the token's subject, in either of its two forms; the ids in .15 and .17 are what to rely on.
    pub token_subject: Option<String>,
    /// .4: the workflow's display name.
    pub workflow_name: Option<String>,
    /// Begin of the certificate's validity.
    pub not_before: Timestamp,
    /// End of the certificate's validity.
    pub not_after: Timestamp,
}

impl CertificateIdentity {
    /// The identity in a certificate that the Sigstore verifier has accepted.
    pub(super) fn from_verified(info: &CertificateInfo) -> Self {
        let claims = &info.ci_claims;
        let old = &claims.deprecated_github;
        let subject_alternative_name = info.identity.as_ref().map(SubjectAltName::as_str).map(str::to_owned);
        Self {
            subject_alternative_name,
            issuer: info.issuer.as_deref().map(Issuer::from_url),
            issuer_url: info.issuer.clone(),
            build_signer_uri: claims.build_signer_uri.clone(),
            build_signer_digest: claims.build_signer_digest.clone(),
            runner_environment: claims.runner_environment.clone(),
            source_repository_uri: claims.source_repository_uri.clone().or_else(|| {
                old.workflow_repository
                    .as_ref()
                    .map(|repository| format!("https://github.com/{repository}"))
            }),
            source_repository_digest: claims
                .source_repository_digest
                .clone()
                .or_else(|| old.workflow_sha.clone()),
            source_repository_ref: claims
                .source_repository_ref
                .clone()
                .or_else(|| old.workflow_ref.clone()),
            source_repository_identifier: claims.source_repository_identifier.clone(),
            source_repository_owner_uri: claims.source_repository_owner_uri.clone(),
            source_repository_owner_identifier: claims.source_repository_owner_identifier.clone(),
            build_config_uri: claims.build_config_uri.clone(),
            build_config_digest: claims.build_config_digest.clone(),
            build_trigger: claims.build_trigger.clone().or_else(|| old.workflow_trigger.clone()),
            run_invocation_uri: claims.run_invocation_uri.clone(),
            source_repository_visibility: claims.source_repository_visibility_at_signing.clone(),
            deployment_environment: claims.deployment_environment.clone(),
            token_subject: claims.token_subject.clone(),
            workflow_name: old.workflow_name.clone(),
            not_before: info.not_before,
            not_after: info.not_after,
        }
    }

    /// The workflow that signed: .9, which is the subject alternative name; certificates without .9 have only the latter.
    pub fn signer(&self) -> Option<&str> {
        self.build_signer_uri
            .as_deref()
            .or(self.subject_alternative_name.as_deref())
    }

    /// Path of the workflow that was triggered: .18.
    pub fn workflow_path(&self) -> Option<String> {
        let workflow = WorkflowRef::parse(self.build_config_uri.as_deref()?)?;
        Some(workflow.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_repository_is_the_same_repository() {
        let expected = RepositoryUri::new("Owner", "Name");
        for text in [
            "https://github.com/owner/name",
            "git+https://github.com/owner/name.git",
            "git://github.com/Owner/name.git",
            "git+ssh://git@github.com/owner/NAME.git",
            "git@github.com:owner/name.git",
            "git+ssh://git@github.com:owner/name.git",
            "github:owner/name",
            "owner/name",
            "http://www.github.com/owner/name/tree/main/packages/x",
            "https://github.com/owner/name#readme",
        ] {
            assert_eq!(RepositoryUri::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_repository_elsewhere_is_no_github_repository() {
        for text in [
            "https://gitlab.com/owner/name",
            "https://github.com.evil.example/owner/name",
            "https://evil.example/github.com/owner/name",
            "gitlab:owner/name",
            "https://github.com/owner",
            "ftp://github.com/owner/name",
            "",
        ] {
            assert_eq!(RepositoryUri::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_exact_host_is_githubs_issuer() {
        assert_eq!(
            Issuer::from_url("https://token.actions.githubusercontent.com"),
            Issuer::GitHubActions
        );
        assert_eq!(
            Issuer::from_url("https://token.actions.githubusercontent.com/octo"),
            Issuer::GitHubActions
        );
        for text in [
            "https://token.actions.githubusercontent.com.evil.example",
            "http://token.actions.githubusercontent.com",
            "https://token.actions.githubusercontent.com:8443",
            "https://accounts.google.com.evil.example",
            "https://github.com/login/oauth",
            "nonsense",
        ] {
            assert!(matches!(Issuer::from_url(text), Issuer::Other(_)), "{text}");
        }
        assert!(matches!(Issuer::from_url("https://gitlab.com"), Issuer::OtherCi(_)));
        assert_eq!(Issuer::from_url("https://accounts.google.com"), Issuer::GoogleAccount);
    }

    #[test]
    fn a_workflow_ref_parses_with_and_without_the_forge() {
        let uri = WorkflowRef::parse("https://github.com/o/r/.github/workflows/x.yml@refs/tags/v1@2");
        assert_eq!(uri, WorkflowRef::parse("o/r/.github/workflows/x.yml@refs/tags/v1@2"));
        assert_eq!(uri.map(|workflow| workflow.r#ref), Some("refs/tags/v1@2".to_owned()));
        assert_eq!(WorkflowRef::parse("o/r@refs/heads/main"), None);
    }

    #[test]
    fn a_run_invocation_without_an_attempt_is_refused() {
        assert!(RunInvocation::parse("https://github.com/o/r/actions/runs/1/attempts/2").is_some());
        assert_eq!(RunInvocation::parse("https://github.com/o/r/actions/runs/1"), None);
        assert_eq!(
            RunInvocation::parse("https://evil.example/o/r/actions/runs/1/attempts/2"),
            None
        );
    }
}
