//! The predicates that builds state about what they built.

use super::{Build, Flavour, GENERATOR, SLSA_V1, SLSA_V02, STATEMENT_V1};
use serde_json::{Value, json};

impl Build {
    /// The provenance statement of `flavour` about `subject` with `sha512`, in hexadecimal.
    pub fn provenance_statement(&self, flavour: Flavour, subject: &str, sha512: &str) -> Value {
        let (statement_type, predicate_type, predicate) = match flavour {
            Flavour::SlsaV1 => (STATEMENT_V1, SLSA_V1, self.slsa_v1()),
            Flavour::SlsaV02 => ("https://in-toto.io/Statement/v0.1", SLSA_V02, self.slsa_v02()),
            Flavour::NodeBuilder => ("https://in-toto.io/Statement/v0.1", SLSA_V02, self.slsa_node_builder()),
            Flavour::GitLab => ("https://in-toto.io/Statement/v0.1", SLSA_V02, self.slsa_gitlab()),
        };
        json!({
            "_type": statement_type,
            "subject": [{"name": subject, "digest": {"sha512": sha512}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        })
    }

    fn source_uri(&self) -> String {
        format!("git+{}@{}", self.repository_uri(), self.git_ref)
    }

    /// `https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1`, as the npm command line fills it.
    pub(crate) fn slsa_v1(&self) -> Value {
        json!({
            "buildDefinition": {
                "buildType": "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
                "externalParameters": {"workflow": {
                    "ref": self.workflow_ref,
                    "repository": self.repository_uri(),
                    "path": self.workflow_path,
                }},
                "internalParameters": {"github": {
                    "event_name": self.event,
                    "repository_id": self.repository_id,
                    "repository_owner_id": self.owner_id,
                }},
                "resolvedDependencies": [{"uri": self.source_uri(), "digest": {"gitCommit": self.commit}}],
            },
            "runDetails": {
                "builder": {"id": format!("https://github.com/actions/runner/{}", self.runner_environment)},
                "metadata": {"invocationId": self.invocation_uri()},
            },
        })
    }

    /// SLSA v1 of `actions/attest-build-provenance`: `https://actions.github.io/buildtypes/workflow/v1`.
    ///
    /// The builder is the workflow that signs, and the runner's environment stands beside what GitHub knows of the run.
    pub(crate) fn slsa_of_actions(&self) -> Value {
        let mut predicate = self.slsa_v1();
        let mut replace = |pointer: &str, value: Value| {
            if let Some(member) = predicate.pointer_mut(pointer) {
                *member = value;
            }
        };
        replace(
            "/buildDefinition/buildType",
            json!("https://actions.github.io/buildtypes/workflow/v1"),
        );
        replace("/runDetails/builder/id", json!(self.signer_uri()));
        replace(
            "/buildDefinition/internalParameters/github",
            json!({
                "event_name": self.event,
                "repository_id": self.repository_id,
                "repository_owner_id": self.owner_id,
                "runner_environment": self.runner_environment,
            }),
        );
        predicate
    }

    fn workflow_ref_claim(&self) -> String {
        format!("{}/{}@{}", self.repository, self.workflow_path, self.workflow_ref)
    }

    fn slsa_v02(&self) -> Value {
        json!({
            "buildType": "https://github.com/npm/cli/gha/v2",
            "builder": {"id": "https://github.com/actions/runner"},
            "invocation": {
                "configSource": {
                    "uri": self.source_uri(),
                    "digest": {"sha1": self.commit},
                    "entryPoint": self.workflow_path,
                },
                "parameters": {},
                "environment": {
                    "GITHUB_EVENT_NAME": self.event,
                    "GITHUB_REF": self.git_ref,
                    "GITHUB_REPOSITORY": self.repository,
                    "GITHUB_REPOSITORY_ID": self.repository_id,
                    "GITHUB_REPOSITORY_OWNER_ID": self.owner_id,
                    "GITHUB_RUN_ATTEMPT": self.run_attempt.to_string(),
                    "GITHUB_RUN_ID": self.run_id.to_string(),
                    "GITHUB_SHA": self.commit,
                    "GITHUB_WORKFLOW_REF": self.workflow_ref_claim(),
                    "GITHUB_WORKFLOW_SHA": self.workflow_commit,
                },
            },
            "metadata": {
                "buildInvocationId": format!("{}-{}", self.run_id, self.run_attempt),
                "completeness": {"parameters": false, "environment": false, "materials": false},
                "reproducible": false,
            },
            "materials": [{"uri": self.source_uri(), "digest": {"sha1": self.commit}}],
        })
    }

    fn slsa_node_builder(&self) -> Value {
        let mut predicate = self.slsa_v02();
        if let Some(members) = predicate.as_object_mut() {
            members.insert(
                "buildType".to_owned(),
                json!("https://github.com/slsa-framework/slsa-github-generator/delegator-generic@v0"),
            );
            members.insert(
                "builder".to_owned(),
                json!({"id": format!("{GENERATOR}/builder_nodejs_slsa3.yml@refs/tags/v1.10.0")}),
            );
            members.insert(
                "metadata".to_owned(),
                json!({
                    "buildInvocationId": format!("{}-{}", self.run_id, self.run_attempt),
                    "completeness": {"parameters": true},
                }),
            );
        }
        let environment = predicate
            .pointer_mut("/invocation/environment")
            .and_then(Value::as_object_mut);
        if let Some(environment) = environment {
            let kind = if self.git_ref.starts_with("refs/tags/") {
                "tag"
            } else {
                "branch"
            };
            environment.insert("GITHUB_ACTOR_ID".to_owned(), json!(self.owner_id));
            environment.insert("GITHUB_TRIGGERING_ACTOR_ID".to_owned(), json!(self.owner_id));
            environment.insert("GITHUB_REF_TYPE".to_owned(), json!(kind));
            environment.insert("GITHUB_RUN_NUMBER".to_owned(), json!("22"));
        }
        if let Some(parameters) = predicate.pointer_mut("/invocation/parameters") {
            *parameters = json!({"inputs": {
                "directory": ".",
                "node-version": "",
                "node-version-file": "",
                "rekor-log-public": false,
                "run-scripts": "ci, build",
            }});
        }
        predicate
    }

    fn slsa_gitlab(&self) -> Value {
        let reference = self.git_ref.rsplit('/').next().unwrap_or_default();
        json!({
            "buildType": "https://github.com/npm/cli/gitlab/v0alpha1",
            "builder": {"id": format!("{}/-/runners/12270831", self.repository_uri())},
            "invocation": {
                "configSource": {
                    "uri": format!("git+{}", self.repository_uri()),
                    "digest": {"sha1": self.commit},
                    "entryPoint": "publish",
                },
                "parameters": {
                    "CI": "true",
                    "CI_PROJECT_ID": self.repository_id,
                    "CI_PROJECT_NAMESPACE": self.owner(),
                    "CI_PROJECT_PATH": self.repository,
                    "CI_COMMIT_SHA": self.commit,
                    "CI_JOB_ID": self.run_id.to_string(),
                },
                "environment": {
                    "name": "12-blue.shared.runners-manager.gitlab.com/default",
                    "architecture": "linux/amd64",
                    "server": self.provider.server(),
                    "project": self.repository,
                    "job": {"id": self.run_id.to_string()},
                    "pipeline": {"id": (self.run_id / 2).to_string(), "ref": reference},
                },
            },
            "metadata": {
                "buildInvocationId": self.invocation_uri(),
                "completeness": {"parameters": true, "environment": true, "materials": false},
                "reproducible": false,
            },
            "materials": [{"uri": format!("git+{}", self.repository_uri()), "digest": {"sha1": self.commit}}],
        })
    }
}
