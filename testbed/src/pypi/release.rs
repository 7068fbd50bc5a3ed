//! One version of one project, as its maintainers and its build made it, or as somebody bent it.

use super::{CoreMetadata, PypiFile, file::Kind, normalize};
use crate::{
    Answer, BASE_TIME, Build, Claims, Parties, World,
    build::Provider,
    edit::Edits,
    github::{Commit, Recipe, Repository, Run},
    sealing::{Bends, Sealing},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// Who published, as the provenance object tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PypiPublisher {
    /// A workflow of GitHub Actions.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// The file name of the workflow.
        workflow: String,
        /// The deployment environment.
        environment: Option<String>,
    },
    /// A pipeline of GitLab CI.
    GitLab {
        /// `group/name`.
        repository: String,
        /// The path of the pipeline's file.
        workflow_filepath: String,
        /// The deployment environment.
        environment: Option<String>,
    },
    /// A service account of Google Cloud.
    Google {
        /// Its address.
        email: String,
    },
    /// Whatever else, as it stands in the document.
    Other(Value),
}

/// The step in which a workflow signs and uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploader {
    /// `pypa/gh-action-pypi-publish`.
    PypaAction,
    /// `twine upload`.
    Twine,
    /// `uv publish`.
    Uv,
}

/// A release on PyPI: one version of one project, with its files. Made honest, then bent by small methods.
///
/// Nothing is built or signed before [`PypiRelease::publish`]. All files come from one build unless a file says otherwise.
#[derive(Clone)]
pub struct PypiRelease {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) at: Timestamp,
    pub(super) build: Build,
    pub(super) uploader: Uploader,
    pub(super) service_account: Option<String>,
    pub(super) files: Vec<PypiFile>,
    pub(super) yanked: Option<String>,
    pub(super) metadata: Edits<CoreMetadata>,
    pub(super) bends: Bends,
    pub(super) simple: Edits<Value>,
    pub(super) json: Edits<Value>,
    pub(super) run: Edits<Run>,
    pub(super) commit: Edits<Commit>,
    pub(super) repository: Edits<Repository>,
    pub(super) answers: Answers,
}

/// How PyPI answers for the documents of one release.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) simple: Option<Answer>,
    pub(super) json: Answer,
}

impl fmt::Debug for PypiRelease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PypiRelease")
            .field("purl", &self.purl())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl PypiPublisher {
    /// The publisher that a build is.
    pub fn of(build: &Build) -> Self {
        let (repository, environment) = (build.repository.clone(), build.environment.clone());
        match build.provider {
            Provider::GitHub => Self::GitHub {
                repository,
                workflow: build.workflow_path.rsplit('/').next().unwrap_or_default().to_owned(),
                environment,
            },
            Provider::GitLab => Self::GitLab {
                repository,
                workflow_filepath: build.workflow_path.clone(),
                environment,
            },
        }
    }

    /// The block of the provenance object.
    pub fn document(&self) -> Value {
        match self {
            Self::GitHub {
                repository,
                workflow,
                environment,
            } => json!({
                "claims": null,
                "environment": environment,
                "kind": "GitHub",
                "repository": repository,
                "workflow": workflow,
            }),
            Self::GitLab {
                repository,
                workflow_filepath,
                environment,
            } => json!({
                "claims": null,
                "environment": environment,
                "kind": "GitLab",
                "repository": repository,
                "workflow_filepath": workflow_filepath,
            }),
            Self::Google { email } => json!({"claims": null, "email": email, "kind": "Google"}),
            Self::Other(document) => document.clone(),
        }
    }
}

impl PypiRelease {
    /// A release as they are made in 2026: built on GitHub Actions and uploaded by a trusted publisher, a source
    /// distribution and a wheel, each with a publish attestation.
    pub fn honest(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            at: BASE_TIME,
            build: Build::for_project(&normalize(name), version),
            uploader: Uploader::PypaAction,
            service_account: None,
            files: vec![PypiFile::wheel("py3-none-any"), PypiFile::sdist()],
            yanked: None,
            metadata: Vec::new(),
            bends: Bends::default(),
            simple: Vec::new(),
            json: Vec::new(),
            run: Vec::new(),
            commit: Vec::new(),
            repository: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// The package URL.
    pub fn purl(&self) -> String {
        super::purl(&self.name, &self.version)
    }

    /// Whether any file has an attestation.
    pub fn is_attested(&self) -> bool {
        self.files.iter().any(|file| !file.predicates.is_empty())
    }

    /// When the attestations of the first file are logged.
    pub fn time(&self) -> Timestamp {
        self.at
    }

    /// When the attestations of the first file are logged; everything else happens a few seconds around it.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Moves the release by `duration`, for the next in a history.
    #[must_use]
    pub fn later(mut self, duration: SignedDuration) -> Self {
        self.at += duration;
        self
    }

    /// Changes what the build was. Certificates, statements, publishers and metadata all follow.
    #[must_use]
    pub fn build(mut self, edit: impl FnOnce(&mut Build)) -> Self {
        edit(&mut self.build);
        self
    }

    /// The step that signs and uploads.
    #[must_use]
    pub fn uploaded_with(mut self, uploader: Uploader) -> Self {
        self.uploader = uploader;
        self
    }

    /// Lets a service account of Google Cloud publish, from no repository that anybody sees.
    #[must_use]
    pub fn by_service_account(mut self, email: &str) -> Self {
        self.service_account = Some(email.to_owned());
        self
    }

    /// Without any attestation, uploaded with a token: how most releases are.
    #[must_use]
    pub fn unattested(self) -> Self {
        self.files(PypiFile::unattested)
    }

    /// Changes every file.
    #[must_use]
    pub fn files(mut self, change: impl Fn(PypiFile) -> PypiFile) -> Self {
        self.files = self.files.into_iter().map(change).collect();
        self
    }

    /// Changes the source distribution.
    #[must_use]
    pub fn sdist(self, change: impl Fn(PypiFile) -> PypiFile) -> Self {
        self.files(|file| if file.is_sdist() { change(file) } else { file })
    }

    /// Changes the wheels.
    #[must_use]
    pub fn wheels(self, change: impl Fn(PypiFile) -> PypiFile) -> Self {
        self.files(|file| if file.is_sdist() { file } else { change(file) })
    }

    /// With one more file.
    #[must_use]
    pub fn with(mut self, file: PypiFile) -> Self {
        self.files.push(file);
        self
    }

    /// With the source distribution alone.
    #[must_use]
    pub fn only_sdist(mut self) -> Self {
        self.files.retain(PypiFile::is_sdist);
        self
    }

    /// With wheels alone.
    #[must_use]
    pub fn only_wheels(mut self) -> Self {
        self.files.retain(|file| !file.is_sdist());
        self
    }

    /// Yanked, with a reason unless it is empty.
    #[must_use]
    pub fn yanked(mut self, reason: &str) -> Self {
        self.yanked = Some(reason.to_owned());
        self
    }

    /// Changes what every file says about itself, and the JSON API with it.
    #[must_use]
    pub fn metadata(mut self, edit: impl Fn(&mut CoreMetadata) + Send + Sync + 'static) -> Self {
        self.metadata.push(Arc::new(edit));
        self
    }

    /// Changes what the certificates claim, and nothing else.
    #[must_use]
    pub fn certificate(mut self, edit: impl Fn(&mut Claims) + Send + Sync + 'static) -> Self {
        self.bends.certificate.push(Arc::new(edit));
        self
    }

    /// Changes how the attestations are signed.
    #[must_use]
    pub fn sealing(mut self, edit: impl Fn(&mut Sealing) + Send + Sync + 'static) -> Self {
        self.bends.sealing.push(Arc::new(edit));
        self
    }

    /// Lets an attacker make every attestation with the authorities of another world.
    #[must_use]
    pub fn forged_by(self, world: &World) -> Self {
        let parties = Parties::of(world);
        self.sealing(move |sealing| sealing.parties = parties.clone())
    }

    /// Changes the statements before they are signed, and nothing else.
    #[must_use]
    pub fn statement(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.statement.push(Arc::new(edit));
        self
    }

    /// Changes each attestation after it was signed.
    #[must_use]
    pub fn attestation(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.signed.push(Arc::new(edit));
        self
    }

    /// Changes the simple index's document of the whole project.
    #[must_use]
    pub fn simple(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.simple.push(Arc::new(edit));
        self
    }

    /// Changes the document of the JSON API about this release.
    #[must_use]
    pub fn json(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.json.push(Arc::new(edit));
        self
    }

    /// Changes the attempt that published, when everything of the release is on GitHub.
    #[must_use]
    pub fn run(mut self, edit: impl Fn(&mut Run) + Send + Sync + 'static) -> Self {
        self.run.push(Arc::new(edit));
        self
    }

    /// Changes the commit that was built, when everything of the release is on GitHub.
    #[must_use]
    pub fn commit(mut self, edit: impl Fn(&mut Commit) + Send + Sync + 'static) -> Self {
        self.commit.push(Arc::new(edit));
        self
    }

    /// Changes the repository, after its commit and its run.
    #[must_use]
    pub fn repository(mut self, edit: impl Fn(&mut Repository) + Send + Sync + 'static) -> Self {
        self.repository.push(Arc::new(edit));
        self
    }

    /// How PyPI answers for the whole project in the simple index.
    #[must_use]
    pub fn simple_answer(mut self, answer: Answer) -> Self {
        self.answers.simple = Some(answer);
        self
    }

    /// How PyPI answers for this release in the JSON API.
    #[must_use]
    pub fn json_answer(mut self, answer: Answer) -> Self {
        self.answers.json = answer;
        self
    }

    /// What the release says about itself.
    pub(super) fn honest_metadata(&self) -> CoreMetadata {
        CoreMetadata {
            name: self.name.clone(),
            version: self.version.clone(),
            home_page: None,
            project_urls: vec![("Repository".to_owned(), self.build.repository_uri())],
            requires_python: Some(">=3.10".to_owned()),
        }
    }

    /// How its workflow publishes.
    pub(super) fn recipe(&self, metadata: &CoreMetadata) -> Recipe {
        let pyproject = metadata.pyproject();
        match self.uploader {
            Uploader::PypaAction => Recipe::pypa_action(pyproject),
            Uploader::Twine => Recipe::twine(pyproject),
            Uploader::Uv => Recipe::uv(pyproject),
        }
    }
}

impl Kind {
    /// The name of such a file.
    pub(super) fn file_name(&self, stem: &str) -> String {
        match self {
            Self::Sdist => format!("{stem}.tar.gz"),
            Self::Wheel(tag) => format!("{stem}-{tag}.whl"),
        }
    }

    /// Such a file.
    pub(super) fn pack(&self, metadata: &CoreMetadata, stem: &str, has_metadata: bool) -> Vec<u8> {
        match self {
            Self::Sdist => metadata.sdist(stem, has_metadata),
            Self::Wheel(tag) => metadata.wheel(stem, tag),
        }
    }
}
