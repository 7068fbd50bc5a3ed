//! One version of one formula with its bottles, as Homebrew's workflows made them, or as somebody bent them.

use super::{BACKFILL, CORE};
use crate::{
    Answer, Attesting, BASE_TIME, Build, archive,
    build::number,
    edit::Edits,
    github::{Commit, Repository, Run},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// The bottles that a formula has unless it says otherwise.
const TAGS: [&str; 4] = ["arm64_tahoe", "arm64_sequoia", "sonoma", "x86_64_linux"];
/// When the bottles of earlier years were attested.
pub(super) const BACKFILLED_AT: &str = "2024-03-02T09:30:00Z";

/// A bottle of a [`Formula`].
#[derive(Clone)]
pub struct Bottle {
    pub(super) tag: String,
    pub(super) poured_for: String,
    pub(super) attested: bool,
    pub(super) bytes: Edits<Vec<u8>>,
    pub(super) listing: Edits<Value>,
    pub(super) answer: Answer,
}

/// A formula at one version. Made honest, then bent by small methods.
///
/// Nothing is built or signed before [`Formula::publish`].
#[derive(Clone)]
pub struct Formula {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) revision: u64,
    pub(super) rebuild: u64,
    pub(super) version_scheme: u64,
    pub(super) at: Timestamp,
    pub(super) build: Build,
    pub(super) bottles: Vec<Bottle>,
    pub(super) attesting: Option<Attesting>,
    pub(super) separately: bool,
    pub(super) backfill: Option<(Attesting, Build)>,
    pub(super) document: Edits<Value>,
    pub(super) run: Edits<Run>,
    pub(super) commit: Edits<Commit>,
    pub(super) repository: Edits<Repository>,
    pub(super) answer: Option<Answer>,
}

impl fmt::Debug for Bottle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bottle")
            .field("tag", &self.tag)
            .field("attested", &self.attested)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Formula")
            .field("name", &self.name)
            .field("version", &self.package_version())
            .finish_non_exhaustive()
    }
}

impl Bottle {
    fn of(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            poured_for: tag.to_owned(),
            attested: true,
            bytes: Vec::new(),
            listing: Vec::new(),
            answer: Answer::Normal,
        }
    }

    /// Builds the very bytes of another system's bottle.
    #[must_use]
    pub fn same_as(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.poured_for);
        self
    }

    /// Leaves it out of every statement.
    #[must_use]
    pub fn unattested(mut self) -> Self {
        self.attested = false;
        self
    }

    /// Changes the bytes that are served, after everything was signed about the honest ones.
    #[must_use]
    pub fn bytes(mut self, edit: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        self.bytes.push(Arc::new(edit));
        self
    }

    /// Serves bytes that differ in exactly one place.
    #[must_use]
    pub fn swapped_by_one_byte(self) -> Self {
        self.bytes(|bytes| archive::swap_one_byte(bytes))
    }

    /// Changes what the formula API lists of it.
    #[must_use]
    pub fn listing(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.listing.push(Arc::new(edit));
        self
    }

    /// How the registry answers for it.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }
}

/// What the commit and the run of a formula follow from.
fn seed(name: &str, version: &str, rebuild: u64) -> String {
    format!("formula {name} {version} {rebuild}")
}

/// A build of a workflow of `repository`, from its main branch.
fn build(repository: &str, workflow: &str, seed: &str) -> Build {
    let (owner, name) = repository.split_once('/').unwrap_or((repository, repository));
    let mut build = Build::named(seed, owner, name, "");
    build.repository_id = number(&format!("repository {repository}"), 700_000_000, 200_000_000).to_string();
    build.from_branch("main");
    "workflow_dispatch".clone_into(&mut build.event);
    build.workflow_path = format!(".github/workflows/{workflow}");
    build
}

impl Formula {
    /// A formula as it is in 2026: bottles for several systems, all of them subjects of one statement that the workflow
    /// signed which published them.
    pub fn honest(name: &str, version: &str) -> Self {
        let mut build = build(CORE, "publish-commit-bottles.yml", &seed(name, version, 0));
        "Publish and commit bottles".clone_into(&mut build.workflow_name);
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            revision: 0,
            rebuild: 0,
            version_scheme: 0,
            at: BASE_TIME,
            build,
            bottles: TAGS.map(Bottle::of).into(),
            attesting: Some(Attesting::default()),
            separately: false,
            backfill: None,
            document: Vec::new(),
            run: Vec::new(),
            commit: Vec::new(),
            repository: Vec::new(),
            answer: None,
        }
    }

    /// The version with the revision, if it has one.
    pub fn package_version(&self) -> String {
        match self.revision {
            0 => self.version.clone(),
            revision => format!("{}_{revision}", self.version),
        }
    }

    /// The name of the bottle for `tag`, as attestations have it.
    pub fn bottle_name(&self, tag: &str) -> String {
        let rebuild = match self.rebuild {
            0 => String::new(),
            rebuild => format!(".{rebuild}"),
        };
        format!("{}--{}.{tag}.bottle{rebuild}.tar.gz", self.name, self.package_version())
    }

    /// When its bottles are attested; everything else happens a few seconds around it.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Moves it by `duration`, for the next in a history.
    #[must_use]
    pub fn later(mut self, duration: SignedDuration) -> Self {
        self.at += duration;
        self
    }

    /// The revision of the formula, which has a commit and a run of its own.
    #[must_use]
    pub fn revision(mut self, revision: u64) -> Self {
        self.revision = revision;
        self.built_anew()
    }

    /// How often its bottles were built again, each time at a commit and in a run of their own.
    #[must_use]
    pub fn rebuild(mut self, rebuild: u64) -> Self {
        self.rebuild = rebuild;
        self.built_anew()
    }

    /// With the commit and the run that follow from the version.
    fn built_anew(mut self) -> Self {
        let seed = seed(&self.name, &self.package_version(), self.rebuild);
        let Build {
            commit,
            workflow_commit,
            run_id,
            ..
        } = build(CORE, "", &seed);
        (self.build.commit, self.build.workflow_commit, self.build.run_id) = (commit, workflow_commit, run_id);
        self
    }

    /// The scheme that its versions follow.
    #[must_use]
    pub fn version_scheme(mut self, scheme: u64) -> Self {
        self.version_scheme = scheme;
        self
    }

    /// The tags of its bottles.
    #[must_use]
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.bottles = tags.iter().map(|tag| Bottle::of(tag)).collect();
        self
    }

    /// With one bottle for all systems. Nobody attests it under that name: it has the bytes, and the digest, of those that
    /// were built for each of them.
    #[must_use]
    pub fn for_all_systems(self) -> Self {
        self.tags(&["all"])
    }

    /// Changes what the build was. The certificate and the statement follow.
    #[must_use]
    pub fn build(mut self, edit: impl FnOnce(&mut Build)) -> Self {
        edit(&mut self.build);
        self
    }

    /// Lets another workflow of the repository sign, such as `dispatch-build-bottle.yml`.
    #[must_use]
    pub fn workflow(self, file: &str) -> Self {
        let path = format!(".github/workflows/{file}");
        self.build(|build| build.workflow_path = path)
    }

    /// Changes the attestation of its bottles.
    #[must_use]
    pub fn attesting(mut self, change: impl FnOnce(Attesting) -> Attesting) -> Self {
        self.attesting = self.attesting.map(change);
        self
    }

    /// With a statement of its own for every bottle.
    #[must_use]
    pub fn separately(mut self) -> Self {
        self.separately = true;
        self
    }

    /// Without any attestation.
    #[must_use]
    pub fn unattested(mut self) -> Self {
        self.attesting = None;
        self
    }

    /// Of an earlier year: attested in March 2024 from another repository, under names that begin with a hash of the
    /// bottle's address.
    #[must_use]
    pub fn backfilled(self) -> Self {
        self.backfilled_as(|attesting| attesting)
    }

    /// Of an earlier year, with that attestation changed.
    #[must_use]
    pub fn backfilled_as(mut self, change: impl FnOnce(Attesting) -> Attesting) -> Self {
        let attesting = Attesting::default()
            .at(crate::moment(BACKFILLED_AT))
            .certificate(crate::Claims::without_environment_and_subject);
        self.backfill = Some((change(attesting), backfill()));
        self.unattested().at(crate::moment("2024-01-15T10:00:00Z"))
    }

    /// Changes the bottle for `tag`.
    #[must_use]
    pub fn bottle(mut self, tag: &str, change: impl Fn(Bottle) -> Bottle) -> Self {
        let bottles = self.bottles.into_iter();
        self.bottles = bottles
            .map(|bottle| if bottle.tag == tag { change(bottle) } else { bottle })
            .collect();
        self
    }

    /// Changes its document in the formula API.
    #[must_use]
    pub fn document(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.document.push(Arc::new(edit));
        self
    }

    /// Changes the attempt that attested its bottles.
    #[must_use]
    pub fn run(mut self, edit: impl Fn(&mut Run) + Send + Sync + 'static) -> Self {
        self.run.push(Arc::new(edit));
        self
    }

    /// Changes the commit of the formula.
    #[must_use]
    pub fn commit(mut self, edit: impl Fn(&mut Commit) + Send + Sync + 'static) -> Self {
        self.commit.push(Arc::new(edit));
        self
    }

    /// Changes the repository of all formulae, after the commit, the run and the attestations.
    #[must_use]
    pub fn repository(mut self, edit: impl Fn(&mut Repository) + Send + Sync + 'static) -> Self {
        self.repository.push(Arc::new(edit));
        self
    }

    /// How the formula API answers for it.
    #[must_use]
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }
}

/// The build of the run that attested the bottles of earlier years.
pub(super) fn backfill() -> Build {
    let mut backfill = build(BACKFILL, "backfill_signatures.yml", "backfill");
    "Backfill Build Provenance Signatures".clone_into(&mut backfill.workflow_name);
    backfill
}
