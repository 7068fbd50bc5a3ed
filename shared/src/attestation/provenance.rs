//! What a SLSA provenance claims about its build, row by row of the correlation map.
//!
//! Every value here was written inside the build job. It is only ever compared with the certificate, never believed.

use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use super::statement::PredicateType;

/// How a provenance describes its build, by the URI of its build type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildType {
    /// SLSA v1 from a GitHub Actions workflow: the npm command line, or GitHub's own attest action.
    GitHubWorkflow,
    /// SLSA v0.2 from the npm command line in GitHub Actions, 2023.
    NpmGitHub,
    /// The SLSA project's generator for Node.js, whose signing workflow is its own.
    SlsaGenerator,
    /// GitLab CI.
    GitLab,
    /// None: a statement that somebody published a file, and nothing of how it was built.
    Publication,
    /// Anything else.
    Unknown(String),
}

impl BuildType {
    fn from_uri(uri: &str) -> Self {
        match uri {
            "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1"
            | "https://actions.github.io/buildtypes/workflow/v1" => Self::GitHubWorkflow,
            "https://github.com/npm/cli/gha/v2"
            | "https://github.com/npm/cli/gha/v1"
            | "https://github.com/npm/cli/gha@v1"
            | "https://github.com/npm/cli/gha@v0" => Self::NpmGitHub,
            "https://github.com/slsa-framework/slsa-github-generator/delegator-generic@v0"
            | "https://github.com/slsa-framework/slsa-github-generator/delegator-lowperms-generic@v0" => {
                Self::SlsaGenerator
            }
            "https://github.com/npm/cli/gitlab/v0alpha1" | "https://github.com/npm/cli/gitlab/v1alpha1" => Self::GitLab,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Whether builds of this type are correlated with a certificate from GitHub.
    pub fn is_github(&self) -> bool {
        match self {
            Self::GitHubWorkflow | Self::NpmGitHub | Self::SlsaGenerator => true,
            Self::GitLab | Self::Publication | Self::Unknown(_) => false,
        }
    }
}

/// Which fact of the certificate a claim is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// The repository that was built.
    Repository,
    /// The commit that was built.
    Commit,
    /// The ref that was built.
    Ref,
    /// The forge's id of the repository.
    RepositoryId,
    /// The forge's id of the owner.
    OwnerId,
    /// The workflow that was triggered, at its ref.
    Workflow,
    /// The path of that workflow.
    WorkflowPath,
    /// The commit that the workflow was taken from.
    WorkflowDigest,
    /// The runner environment.
    Runner,
    /// The event.
    Trigger,
    /// The run and its attempt, as a URL.
    Run,
    /// The run and its attempt, as `run-attempt`.
    RunNumbers,
}

/// One value that a provenance claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The fact that it is compared with.
    pub row: Row,
    /// Where in the predicate it stands.
    pub place: &'static str,
    /// The value.
    pub value: String,
}

/// Why a predicate is not a provenance that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProvenanceError {
    /// Not JSON of the predicate's shape.
    #[error("the provenance predicate is not of its type's shape: {0}")]
    Malformed(String),
}

/// What a provenance claims about its build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenanceClaims {
    /// How the build is described.
    pub build_type: BuildType,
    /// Who says that they ran the build.
    pub builder_id: String,
    /// The claims, in the order of the predicate.
    pub claims: Vec<Claim>,
}

impl ProvenanceClaims {
    /// Reads the claims of a provenance predicate.
    pub fn from_json(predicate_type: &PredicateType, predicate: &RawValue) -> Result<Self, ProvenanceError> {
        let predicate: Value =
            serde_json::from_str(predicate.get()).map_err(|source| ProvenanceError::Malformed(source.to_string()))?;
        match predicate_type {
            PredicateType::SlsaProvenanceV1 => read_v1(&predicate),
            PredicateType::SlsaProvenanceV02 => read_v02(&predicate),
            // The specification has the predicate empty, or null.
            PredicateType::PypiPublishV1 => match &predicate {
                Value::Null => Ok(Self::publication()),
                Value::Object(values) if values.is_empty() => Ok(Self::publication()),
                Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    Err(ProvenanceError::Malformed("it must be empty".to_owned()))
                }
            },
            PredicateType::NpmPublishV01 | PredicateType::GitHubReleaseV02 | PredicateType::Unrecognised(_) => Err(
                ProvenanceError::Malformed("the predicate is not a provenance".to_owned()),
            ),
        }
    }
}

impl ProvenanceClaims {
    /// The claims of a statement that says nothing of a build.
    fn publication() -> Self {
        Self {
            build_type: BuildType::Publication,
            builder_id: String::new(),
            claims: Vec::new(),
        }
    }
}

struct Reader<'a> {
    predicate: &'a Value,
    claims: Vec<Claim>,
}

impl<'a> Reader<'a> {
    fn text(&self, pointer: &str) -> Option<&'a str> {
        self.predicate.pointer(pointer).and_then(Value::as_str)
    }

    fn required(&self, pointer: &'static str) -> Result<&'a str, ProvenanceError> {
        self.text(pointer)
            .ok_or_else(|| ProvenanceError::Malformed(format!("{pointer} is missing")))
    }

    fn claim(&mut self, row: Row, place: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.claims.push(Claim {
                row,
                place,
                value: value.into(),
            });
        }
    }

    /// Claims the value at a JSON pointer, which is also the place shown to people.
    fn claim_at(&mut self, row: Row, pointer: &'static str) {
        let value = self.text(pointer);
        self.claim(row, pointer, value);
    }

    /// Claims the GitHub environment variables that the npm command line and the SLSA generator copy.
    fn claim_environment(&mut self, base: &str) {
        const VARIABLES: &[(Row, &str)] = &[
            (Row::Repository, "GITHUB_REPOSITORY"),
            (Row::Commit, "GITHUB_SHA"),
            (Row::Ref, "GITHUB_REF"),
            (Row::RepositoryId, "GITHUB_REPOSITORY_ID"),
            (Row::OwnerId, "GITHUB_REPOSITORY_OWNER_ID"),
            (Row::Workflow, "GITHUB_WORKFLOW_REF"),
            (Row::WorkflowDigest, "GITHUB_WORKFLOW_SHA"),
            (Row::Trigger, "GITHUB_EVENT_NAME"),
        ];
        for &(row, name) in VARIABLES {
            let value = self.text(&format!("{base}/{name}"));
            self.claim(row, name, value);
        }
        let run = self.text(&format!("{base}/GITHUB_RUN_ID"));
        let attempt = self.text(&format!("{base}/GITHUB_RUN_ATTEMPT"));
        let numbers = run.zip(attempt).map(|(run, attempt)| format!("{run}-{attempt}"));
        self.claim(Row::RunNumbers, "GITHUB_RUN_ID-GITHUB_RUN_ATTEMPT", numbers);
    }
}

/// SLSA v1, as <https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1> lays it out.
fn read_v1(predicate: &Value) -> Result<ProvenanceClaims, ProvenanceError> {
    let mut reader = Reader {
        predicate,
        claims: Vec::new(),
    };
    let build_type = BuildType::from_uri(reader.required("/buildDefinition/buildType")?);
    let builder_id = reader.required("/runDetails/builder/id")?.to_owned();
    if build_type.is_github() {
        const WORKFLOW: &str = "/buildDefinition/externalParameters/workflow";
        reader.claim_at(
            Row::Repository,
            "/buildDefinition/externalParameters/workflow/repository",
        );
        reader.claim_at(Row::WorkflowPath, "/buildDefinition/externalParameters/workflow/path");
        let workflow = match (
            reader.text(&format!("{WORKFLOW}/repository")),
            reader.text(&format!("{WORKFLOW}/path")),
            reader.text(&format!("{WORKFLOW}/ref")),
        ) {
            (Some(repository), Some(path), Some(git_ref)) => {
                let repository = repository.strip_prefix("git+").unwrap_or(repository);
                Some(format!("{repository}/{path}@{git_ref}"))
            }
            (_, _, _) => None,
        };
        reader.claim(Row::Workflow, "/buildDefinition/externalParameters/workflow", workflow);
        reader.claim_at(Row::Trigger, "/buildDefinition/internalParameters/github/event_name");
        reader.claim_at(
            Row::RepositoryId,
            "/buildDefinition/internalParameters/github/repository_id",
        );
        reader.claim_at(
            Row::OwnerId,
            "/buildDefinition/internalParameters/github/repository_owner_id",
        );
        reader.claim_at(
            Row::Runner,
            "/buildDefinition/internalParameters/github/runner_environment",
        );
        reader.claim_environment("/buildDefinition/internalParameters");
        claim_source(&mut reader, "/buildDefinition/resolvedDependencies/0/uri");
        reader.claim_at(Row::Commit, "/buildDefinition/resolvedDependencies/0/digest/gitCommit");
        reader.claim_at(Row::Commit, "/buildDefinition/resolvedDependencies/0/digest/sha1");
        reader.claim_at(Row::Run, "/runDetails/metadata/invocationId");
        let runner = builder_id.strip_prefix("https://github.com/actions/runner/");
        reader.claim(Row::Runner, "/runDetails/builder/id", runner);
    }
    Ok(ProvenanceClaims {
        build_type,
        builder_id,
        claims: reader.claims,
    })
}

/// SLSA v0.2, as npm's command line wrote it in 2023 and the SLSA generator did.
fn read_v02(predicate: &Value) -> Result<ProvenanceClaims, ProvenanceError> {
    let mut reader = Reader {
        predicate,
        claims: Vec::new(),
    };
    let build_type = BuildType::from_uri(reader.required("/buildType")?);
    let builder_id = reader.required("/builder/id")?.to_owned();
    if build_type.is_github() {
        claim_source(&mut reader, "/invocation/configSource/uri");
        reader.claim_at(Row::Commit, "/invocation/configSource/digest/sha1");
        let entry_point = reader.text("/invocation/configSource/entryPoint");
        // Version 0 of npm's build type wrote the whole workflow ref there, later ones the path alone.
        let row = if entry_point.is_some_and(|text| text.contains('@')) {
            Row::Workflow
        } else {
            Row::WorkflowPath
        };
        reader.claim(row, "/invocation/configSource/entryPoint", entry_point);
        claim_source(&mut reader, "/materials/0/uri");
        reader.claim_at(Row::Commit, "/materials/0/digest/sha1");
        reader.claim_environment("/invocation/environment");
        reader.claim_at(Row::RunNumbers, "/metadata/buildInvocationId");
    }
    Ok(ProvenanceClaims {
        build_type,
        builder_id,
        claims: reader.claims,
    })
}

/// A source URI is `git+https://github.com/owner/name@refs/…`; the ref may be left out.
fn claim_source(reader: &mut Reader<'_>, pointer: &'static str) {
    let Some(uri) = reader.text(pointer) else { return };
    match uri.split_once("@refs/") {
        Some((repository, rest)) => {
            reader.claim(Row::Repository, pointer, Some(repository));
            reader.claim(Row::Ref, pointer, Some(format!("refs/{rest}")));
        }
        None => reader.claim(Row::Repository, pointer, Some(uri)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &PredicateType, text: &str) -> Result<ProvenanceClaims, ProvenanceError> {
        ProvenanceClaims::from_json(kind, &RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_provenance_without_a_builder_is_malformed() {
        let text = r#"{"buildDefinition":{"buildType":"x"},"runDetails":{}}"#;
        assert!(matches!(
            read(&PredicateType::SlsaProvenanceV1, text),
            Err(ProvenanceError::Malformed(_))
        ));
    }

    #[test]
    fn an_unknown_build_type_makes_no_claims() {
        let text =
            r#"{"buildDefinition":{"buildType":"https://example.com/build"},"runDetails":{"builder":{"id":"b"}}}"#;
        let claims = read(&PredicateType::SlsaProvenanceV1, text).unwrap();
        assert_eq!(
            claims.build_type,
            BuildType::Unknown("https://example.com/build".to_owned())
        );
        assert!(claims.claims.is_empty());
    }

    #[test]
    fn a_source_uri_claims_repository_and_ref() {
        let text = r#"{"buildType":"https://github.com/npm/cli/gha/v2","builder":{"id":"b"},
            "invocation":{"configSource":{"uri":"git+https://github.com/o/r@refs/heads/a@b"}}}"#;
        let claims = read(&PredicateType::SlsaProvenanceV02, text).unwrap().claims;
        assert!(
            claims
                .iter()
                .any(|claim| claim.row == Row::Ref && claim.value == "refs/heads/a@b")
        );
        assert!(
            claims
                .iter()
                .any(|claim| claim.row == Row::Repository && claim.value == "git+https://github.com/o/r")
        );
    }
}
