//! The publisher that a registry names beside the attestations it serves.
//!
//! Nobody signs it: it is compared with the certificate, never believed.

use super::certificate::{CertificateIdentity, Issuer, RepositoryUri, WorkflowRef};

/// The publisher that a registry names (<https://docs.pypi.org/api/integrity/>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredPublisher {
    /// A workflow on GitHub Actions.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// File name of the workflow.
        workflow: String,
        /// The deployment environment, if the project demands one.
        environment: Option<String>,
    },
    /// A pipeline on GitLab.
    GitLab {
        /// Path of the project.
        repository: String,
        /// Path of the pipeline's file.
        workflow_file: String,
        /// The environment, if the project demands one.
        environment: Option<String>,
    },
    /// A Google account.
    Google {
        /// Its address.
        email: String,
    },
    /// Another kind.
    Other {
        /// As the registry calls it.
        kind: String,
    },
}

/// What comparing a publisher with a certificate shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Every value that both have is the same.
    Agrees,
    /// A value differs: what it is, as the registry names it, and as the certificate has it.
    Contradicts {
        /// What differs.
        what: &'static str,
        /// What the registry names.
        declared: String,
        /// What the certificate says.
        proven: String,
    },
    /// A kind of publisher that is not known here.
    Unsupported,
}

impl DeclaredPublisher {
    /// What the registry calls its kind.
    pub fn kind(&self) -> &str {
        match self {
            Self::GitHub { .. } => "GitHub",
            Self::GitLab { .. } => "GitLab",
            Self::Google { .. } => "Google",
            Self::Other { kind } => kind,
        }
    }

    /// Compares with what a certificate proves, value by value, as PEP 740 and PyPI's own verifier demand: issuer, repository,
    /// workflow, and the environment where both name one.
    pub fn against(&self, certificate: &CertificateIdentity) -> Agreement {
        let shown = |value: Option<&str>| value.unwrap_or("(none)").to_owned();
        let contradicts = |what, declared: &str, proven: Option<&str>| Agreement::Contradicts {
            what,
            declared: declared.to_owned(),
            proven: shown(proven),
        };
        let wrong_issuer = |service| contradicts("issuer", service, certificate.issuer_url.as_deref());
        let source = certificate.source_repository_uri.as_deref();
        let config = certificate.build_config_uri.as_deref();
        let proven_environment = certificate.deployment_environment.as_deref();
        let environment_differs = |declared: &Option<String>| {
            declared
                .as_deref()
                .zip(proven_environment)
                .filter(|(declared, proven)| !declared.eq_ignore_ascii_case(proven))
                .map(|(declared, proven)| contradicts("environment", declared, Some(proven)))
        };
        match self {
            Self::GitHub {
                repository,
                workflow,
                environment,
            } => {
                if certificate.issuer != Some(Issuer::GitHubActions) {
                    return wrong_issuer("GitHub");
                }
                let declared = repository
                    .split_once('/')
                    .and_then(|(owner, name)| RepositoryUri::new(owner, name));
                let proven = source.and_then(RepositoryUri::parse);
                if declared.is_none() || declared != proven {
                    return contradicts("repository", repository, source);
                }
                // The triggered workflow, in the repository itself, at the ref or the commit that was built.
                let is_the_workflow = config.and_then(WorkflowRef::parse).is_some_and(|config| {
                    let at = Some(config.r#ref.as_str());
                    Some(config.repository) == declared
                        && config.path == format!(".github/workflows/{workflow}")
                        && (at == certificate.source_repository_ref.as_deref()
                            || at == certificate.source_repository_digest.as_deref())
                });
                if !is_the_workflow {
                    return contradicts("workflow", workflow, config);
                }
                environment_differs(environment).unwrap_or(Agreement::Agrees)
            }
            Self::GitLab {
                repository,
                workflow_file,
                environment,
            } => {
                if certificate.issuer != Some(Issuer::OtherCi("GitLab CI")) {
                    return wrong_issuer("GitLab");
                }
                let declared = format!("https://gitlab.com/{repository}");
                if !source.is_some_and(|source| source.eq_ignore_ascii_case(&declared)) {
                    return contradicts("repository", repository, source);
                }
                // Two slashes stand between a project and a path in it.
                let file = config.and_then(|config| config.split_once("//")?.1.split_once("//"));
                let of_project =
                    file.filter(|(project, _path)| project.eq_ignore_ascii_case(&format!("gitlab.com/{repository}")));
                let path = of_project.and_then(|(_project, path)| path.rsplit_once('@'));
                if path.map(|(path, _at)| path) != Some(workflow_file.as_str()) {
                    return contradicts("workflow", workflow_file, config);
                }
                environment_differs(environment).unwrap_or(Agreement::Agrees)
            }
            Self::Google { email } => {
                if certificate.issuer != Some(Issuer::GoogleAccount) {
                    return wrong_issuer("Google");
                }
                let name = certificate.subject_alternative_name.as_deref();
                if name.is_some_and(|name| name.eq_ignore_ascii_case(email)) {
                    Agreement::Agrees
                } else {
                    contradicts("account", email, name)
                }
            }
            Self::Other { .. } => Agreement::Unsupported,
        }
    }
}
