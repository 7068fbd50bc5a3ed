//! Files of a release on GitHub, with what attests them in GitHub's store.

use super::{Attesting, Commit, Origin, RELEASE, Recipe, Repository, Run, StoredAttestation};
use crate::{
    BASE_TIME, Build, Claims, Releasable, Scenario, World, archive,
    build::{SLSA_V1, STATEMENT_V1, number},
    edit::Edits,
    encoding::sha256,
    sealing::Sealing,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// How long after the build signed its files the release is published, which GitHub attests if it is immutable.
const PUBLICATION: SignedDuration = SignedDuration::from_secs(108);
/// How old the certificate of GitHub's service for releases is.
const SERVICE_AGE: SignedDuration = SignedDuration::from_hours(20 * 24);

/// A file of a release on GitHub, and others that were built and attested with it.
#[derive(Clone)]
pub struct ReleasedFile {
    repository: String,
    tag: String,
    files: Vec<(String, Vec<u8>)>,
    at: Timestamp,
    build: Build,
    provenance: Option<Attesting>,
    immutable: Option<Attesting>,
    run: Edits<Run>,
    commit: Edits<Commit>,
    repository_edits: Edits<Repository>,
}

/// Released files with everything that was made for them.
#[derive(Clone)]
pub struct FilePublished {
    /// Names and bytes, the one that the release was made for first.
    pub files: Vec<(String, Vec<u8>)>,
    /// What GitHub's store has of them.
    pub stored: Vec<StoredAttestation>,
    /// Where they come from.
    pub(crate) origin: Origin,
}

impl fmt::Debug for ReleasedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReleasedFile")
            .field("repository", &self.repository)
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FilePublished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.files.iter().map(|(name, _)| name).collect();
        formatter
            .debug_struct("FilePublished")
            .field("files", &names)
            .finish_non_exhaustive()
    }
}

impl ReleasedFile {
    /// The file `name` of the release `tag` of `repository`, built from that tag and attested by the action that GitHub
    /// offers for it.
    pub fn honest(repository: &str, tag: &str, name: &str) -> Self {
        let (owner, short) = repository.split_once('/').unwrap_or((repository, repository));
        let mut build = Build::named(&format!("files {repository}"), owner, short, tag);
        build.git_ref = format!("refs/tags/{tag}");
        build.workflow_ref.clone_from(&build.git_ref);
        ".github/workflows/release.yml".clone_into(&mut build.workflow_path);
        "Release".clone_into(&mut build.workflow_name);
        "push".clone_into(&mut build.event);
        Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            files: Vec::new(),
            at: BASE_TIME,
            build,
            provenance: Some(Attesting::default()),
            immutable: None,
            run: Vec::new(),
            commit: Vec::new(),
            repository_edits: Vec::new(),
        }
        .beside(name)
    }

    /// With another file, which the same statements attest.
    #[must_use]
    pub fn beside(mut self, name: &str) -> Self {
        let content = format!("{name} of {} {}\n", self.repository, self.tag);
        let bytes = archive::tar_gz(&[("README".to_owned(), content)], 0);
        self.files.push((name.to_owned(), bytes));
        self
    }

    /// The bytes of the first file.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        if let Some((_, content)) = self.files.first_mut() {
            *content = bytes.to_vec();
        }
        self
    }

    /// When the build signed.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Changes what the build was. Certificates and statements follow.
    #[must_use]
    pub fn build(mut self, edit: impl FnOnce(&mut Build)) -> Self {
        edit(&mut self.build);
        self
    }

    /// From a private repository, for which GitHub's own instance of Sigstore certifies and stamps.
    #[must_use]
    pub fn private(self) -> Self {
        self.build(|build| "private".clone_into(&mut build.visibility))
            .provenance(Attesting::by_github)
    }

    /// Changes the build's attestation.
    #[must_use]
    pub fn provenance(mut self, change: impl FnOnce(Attesting) -> Attesting) -> Self {
        self.provenance = self.provenance.map(change);
        self
    }

    /// Without an attestation by the build.
    #[must_use]
    pub fn unattested(mut self) -> Self {
        self.provenance = None;
        self
    }

    /// Of an immutable release, which GitHub itself attests.
    #[must_use]
    pub fn immutable(self) -> Self {
        self.immutable_as(|attesting| attesting)
    }

    /// Of an immutable release, whose attestation is changed.
    #[must_use]
    pub fn immutable_as(mut self, change: impl FnOnce(Attesting) -> Attesting) -> Self {
        let attesting = Attesting::default().sealing(|sealing: &mut Sealing| {
            sealing.by_github();
            sealing.certified_at = sealing.logged_at - SERVICE_AGE;
        });
        self.immutable = Some(change(attesting));
        self
    }

    /// Changes the attempt that built it.
    #[must_use]
    pub fn run(mut self, edit: impl Fn(&mut Run) + Send + Sync + 'static) -> Self {
        self.run.push(Arc::new(edit));
        self
    }

    /// Changes the commit that was built.
    #[must_use]
    pub fn commit(mut self, edit: impl Fn(&mut Commit) + Send + Sync + 'static) -> Self {
        self.commit.push(Arc::new(edit));
        self
    }

    /// Changes the repository, after its commit, its run and its attestations.
    #[must_use]
    pub fn repository(mut self, edit: impl Fn(&mut Repository) + Send + Sync + 'static) -> Self {
        self.repository_edits.push(Arc::new(edit));
        self
    }

    /// Builds, signs and stores, in `world`.
    pub fn publish(&self, world: &World) -> FilePublished {
        let mut stored = Vec::new();
        if let Some(provenance) = &self.provenance {
            let claims = Claims::of(&self.build);
            stored.extend(provenance.store(world, self.at, claims, self.statement()));
        }
        if let Some(immutable) = &self.immutable {
            let claims = Claims::of_github_releases();
            stored.extend(immutable.store(world, self.at + PUBLICATION, claims, self.release_statement()));
        }
        FilePublished {
            files: self.files.clone(),
            stored: stored.clone(),
            origin: Origin {
                build: self.build.clone(),
                version: self.tag.clone(),
                at: self.at,
                until: self.at,
                recipe: Recipe::attest(),
                run: self.run.clone(),
                commit: self.commit.clone(),
                repository: self.repository_edits.clone(),
                stored,
            },
        }
    }

    /// The files as subjects.
    fn subjects(&self) -> Vec<Value> {
        let files = self.files.iter();
        files
            .map(|(name, bytes)| json!({"name": name, "digest": {"sha256": hex::encode(sha256(bytes))}}))
            .collect()
    }

    /// What the build states.
    fn statement(&self) -> Value {
        json!({
            "_type": STATEMENT_V1,
            "subject": self.subjects(),
            "predicateType": SLSA_V1,
            "predicate": self.build.slsa_of_actions(),
        })
    }

    /// What GitHub states of an immutable release: the commit first, which has an address and no name.
    fn release_statement(&self) -> Value {
        let purl = format!("pkg:github/{}@{}", self.repository, self.tag);
        let commit = json!({"uri": purl, "digest": {"sha1": self.build.commit}});
        let subjects: Vec<_> = std::iter::once(commit).chain(self.subjects()).collect();
        json!({
            "_type": STATEMENT_V1,
            "subject": subjects,
            "predicateType": RELEASE,
            "predicate": {
                "databaseId": number(&format!("release {purl}"), 300_000_000, 50_000_000).to_string(),
                "ownerId": self.build.owner_id,
                "packageId": self.build.repository_id,
                "purl": purl,
                "repository": self.repository,
                "repositoryId": self.build.repository_id,
                "tag": self.tag,
            },
        })
    }
}

impl Releasable for ReleasedFile {
    fn release_in(&self, scenario: &Scenario) {
        self.publish(scenario.world()).release_in(scenario);
    }
}

impl Releasable for FilePublished {
    fn release_in(&self, scenario: &Scenario) {
        scenario.leave(std::slice::from_ref(&self.origin));
    }
}
