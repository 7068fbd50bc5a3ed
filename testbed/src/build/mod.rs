//! What a build knows about itself: the one source of the certificate's claims and of the provenance statement.

mod predicates;

/// The continuous-integration service that ran a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI on gitlab.com.
    GitLab,
}

impl Provider {
    /// Where the provider's repositories are.
    pub fn server(self) -> &'static str {
        match self {
            Self::GitHub => "https://github.com",
            Self::GitLab => "https://gitlab.com",
        }
    }

    /// The issuer of the provider's identity tokens.
    pub fn issuer(self) -> &'static str {
        match self {
            Self::GitHub => "https://token.actions.githubusercontent.com",
            Self::GitLab => "https://gitlab.com",
        }
    }

    /// The name under which npm records the provider as a trusted publisher.
    pub fn trusted_publisher(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
        }
    }
}

/// The shape of a provenance statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// SLSA v1 of the npm command line on GitHub Actions, since 2023.
    SlsaV1,
    /// SLSA v0.2 of the npm command line on GitHub Actions, build type `gha/v2`, of 2023.
    SlsaV02,
    /// SLSA v0.2 of slsa-github-generator's Node builder: signed by the generator's reusable workflow.
    NodeBuilder,
    /// SLSA v0.2 of the npm command line on GitLab CI, build type `gitlab/v0alpha1`.
    GitLab,
}

/// A reusable workflow that signs in the place of the calling workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The workflow's URI with its ref: the certificate's subject alternative name and build signer URI.
    pub uri: String,
    /// The commit of the reusable workflow.
    pub digest: String,
}

/// One build run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Who ran it.
    pub provider: Provider,
    /// `owner/name`.
    pub repository: String,
    /// The provider's number of the repository.
    pub repository_id: String,
    /// The provider's number of the owner.
    pub owner_id: String,
    /// The commit that was built.
    pub commit: String,
    /// The ref that triggered the run, such as `refs/tags/v1.2.3`.
    pub git_ref: String,
    /// Path of the workflow file in the repository.
    pub workflow_path: String,
    /// The workflow's display name.
    pub workflow_name: String,
    /// The ref that the workflow file was taken from.
    pub workflow_ref: String,
    /// The commit that the workflow file was taken from.
    pub workflow_commit: String,
    /// A reusable workflow that signs instead of the calling one.
    pub signer: Option<Signer>,
    /// The event that triggered the run.
    pub event: String,
    /// The run's number: a workflow run on GitHub, a job on GitLab.
    pub run_id: u64,
    /// The attempt, from 1.
    pub run_attempt: u32,
    /// `github-hosted`, `gitlab-hosted` or `self-hosted`.
    pub runner_environment: String,
    /// The deployment environment of the job.
    pub environment: Option<String>,
    /// The repository's visibility at that time.
    pub visibility: String,
}

impl Build {
    /// A release of `version` of the npm package `name` from a repository named after it.
    ///
    /// Ids, commit and run are derived from name and version, so that two packages never share them by accident.
    pub fn for_package(name: &str, version: &str) -> Self {
        let (owner, repository) = match name.strip_prefix('@').and_then(|name| name.split_once('/')) {
            Some((scope, name)) => (scope.to_owned(), name.to_owned()),
            None => (format!("{name}-project"), name.to_owned()),
        };
        Self::named(name, &owner, &repository, version)
    }

    /// A release of `version` of the Python project `name`, in its normalised form.
    pub fn for_project(name: &str, version: &str) -> Self {
        Self::named(&format!("pypi {name}"), &format!("{name}-py"), name, version)
    }

    /// A release of `version` of what `owner` and `repository` are named after.
    ///
    /// Ids, commit and run are derived from `seed` and version.
    pub(crate) fn named(seed: &str, owner: &str, repository: &str, version: &str) -> Self {
        let commit = hex::encode(crate::encoding::sha1(format!("{seed}@{version}").as_bytes()));
        let git_ref = format!("refs/tags/v{version}");
        Self {
            provider: Provider::GitHub,
            repository_id: number(&format!("repository {seed}"), 700_000_000, 200_000_000).to_string(),
            owner_id: number(&format!("owner {owner}"), 9_000_000, 90_000_000).to_string(),
            repository: format!("{owner}/{repository}"),
            workflow_path: ".github/workflows/publish.yml".to_owned(),
            workflow_name: "Publish".to_owned(),
            workflow_ref: git_ref.clone(),
            workflow_commit: commit.clone(),
            signer: None,
            event: "release".to_owned(),
            run_id: number(&format!("run {seed}@{version}"), 20_000_000_000, 1_000_000_000),
            run_attempt: 1,
            runner_environment: "github-hosted".to_owned(),
            environment: None,
            visibility: "public".to_owned(),
            commit,
            git_ref,
        }
    }

    /// Moves the build to GitLab CI.
    pub fn on_gitlab(&mut self) {
        self.provider = Provider::GitLab;
        ".gitlab-ci.yml".clone_into(&mut self.workflow_path);
        "push".clone_into(&mut self.event);
        "gitlab-hosted".clone_into(&mut self.runner_environment);
    }

    /// Lets slsa-github-generator's reusable workflow sign.
    pub fn with_node_builder(&mut self) {
        self.signer = Some(Signer {
            uri: format!("{GENERATOR}/delegator_lowperms-generic_slsa3.yml@refs/tags/v1.10.0"),
            digest: hex::encode(crate::encoding::sha1(GENERATOR.as_bytes())),
        });
        "workflow_dispatch".clone_into(&mut self.event);
    }

    /// Runs the build from the tip of a branch.
    pub fn from_branch(&mut self, branch: &str) {
        self.git_ref = format!("refs/heads/{branch}");
        self.workflow_ref.clone_from(&self.git_ref);
        "push".clone_into(&mut self.event);
    }

    /// The owner part of the repository.
    pub fn owner(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// The repository's address.
    pub fn repository_uri(&self) -> String {
        format!("{}/{}", self.provider.server(), self.repository)
    }

    /// The owner's address.
    pub fn owner_uri(&self) -> String {
        format!("{}/{}", self.provider.server(), self.owner())
    }

    /// The top-level workflow with its ref.
    pub fn config_uri(&self) -> String {
        let separator = match self.provider {
            Provider::GitHub => "/",
            Provider::GitLab => "//",
        };
        format!(
            "{}{separator}{}@{}",
            self.repository_uri(),
            self.workflow_path,
            self.workflow_ref
        )
    }

    /// The workflow that signs, with its ref.
    pub fn signer_uri(&self) -> String {
        self.signer
            .as_ref()
            .map_or_else(|| self.config_uri(), |signer| signer.uri.clone())
    }

    /// The commit of the workflow that signs.
    pub fn signer_digest(&self) -> String {
        self.signer
            .as_ref()
            .map_or_else(|| self.workflow_commit.clone(), |signer| signer.digest.clone())
    }

    /// The address of the run attempt.
    pub fn invocation_uri(&self) -> String {
        match self.provider {
            Provider::GitHub => {
                format!(
                    "{}/actions/runs/{}/attempts/{}",
                    self.repository_uri(),
                    self.run_id,
                    self.run_attempt
                )
            }
            Provider::GitLab => format!("{}/-/jobs/{}", self.repository_uri(), self.run_id),
        }
    }

    /// The subject of the run's identity token.
    pub fn token_subject(&self) -> String {
        match (self.provider, &self.environment) {
            (Provider::GitHub, Some(environment)) => {
                format!("repo:{}:environment:{environment}", self.repository)
            }
            (Provider::GitHub, None) => format!("repo:{}:ref:{}", self.repository, self.git_ref),
            (Provider::GitLab, _) => {
                let kind = if self.git_ref.starts_with("refs/tags/") {
                    "tag"
                } else {
                    "branch"
                };
                let name = self.git_ref.rsplit('/').next().unwrap_or_default();
                format!("project_path:{}:ref_type:{kind}:ref:{name}", self.repository)
            }
        }
    }
}

/// The type of in-toto statements, v1.
pub(crate) const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// SLSA provenance, v1.
pub(crate) const SLSA_V1: &str = "https://slsa.dev/provenance/v1";
/// SLSA provenance, v0.2.
pub(crate) const SLSA_V02: &str = "https://slsa.dev/provenance/v0.2";

const GENERATOR: &str = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows";

/// A number in `from .. from + span` that depends on `seed` alone.
pub(crate) fn number(seed: &str, from: u64, span: u64) -> u64 {
    let folded = crate::encoding::sha256(seed.as_bytes())
        .into_iter()
        .take(7)
        .fold(0_u64, |folded, byte| folded << 8 | u64::from(byte));
    from + folded % span
}
