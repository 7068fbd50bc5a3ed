//! A supply chain of many packages, of which a question costs as much as of one.

use crate::{
    FilePublished, FormulaPublished, GitHub, Homebrew, Npm, Published, Pypi, PypiPublished, Quota, Reply, Request,
    World,
    encoding::percent_decode,
    github::{Origin, Run},
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The registries, and a GitHub in which every repository is looked up by its name or number: a scenario's searches through
/// all of them. Repositories know nothing of each other, so that there are no forks.
#[derive(Debug)]
pub struct Universe {
    npm: Npm,
    pypi: Pypi,
    homebrew: Homebrew,
    /// What there is at each repository's number: a GitHub with that repository alone.
    forges: BTreeMap<u64, GitHub>,
    /// The numbers by every name that a repository has or had, in lower case.
    names: BTreeMap<String, u64>,
    /// How many requests GitHub's clients may still make, all together.
    pub quota: Option<Quota>,
}

impl Universe {
    /// A universe without packages, whose npm registry has the keys of `world`.
    pub fn in_world(world: &World) -> Self {
        Self {
            npm: Npm::new(world.npm_keys_endpoint()),
            pypi: Pypi::default(),
            homebrew: Homebrew::default(),
            forges: BTreeMap::new(),
            names: BTreeMap::new(),
            quota: None,
        }
    }

    /// npm.
    pub fn npm(&mut self) -> &mut Npm {
        &mut self.npm
    }

    /// PyPI.
    pub fn pypi(&mut self) -> &mut Pypi {
        &mut self.pypi
    }

    /// Homebrew.
    pub fn homebrew(&mut self) -> &mut Homebrew {
        &mut self.homebrew
    }

    /// Publishes a release, and leaves on GitHub what it comes from. GitHub keeps its run until a retention is ended here:
    /// that which a scenario ends by itself is undone.
    pub fn publish(&mut self, release: Published) {
        self.leave(&release.origin);
        self.npm.publish(release);
    }

    /// The same on PyPI.
    pub fn publish_on_pypi(&mut self, release: PypiPublished) {
        for origin in &release.origins {
            self.leave(origin);
        }
        self.pypi.publish(release);
    }

    /// The same in Homebrew.
    pub fn publish_in_homebrew(&mut self, formula: FormulaPublished) {
        for origin in &formula.origins {
            self.leave(origin);
        }
        self.homebrew.publish(formula);
    }

    /// Leaves on GitHub what released files come from, and what attests them.
    pub fn publish_files(&mut self, files: &FilePublished) {
        self.leave(&files.origin);
    }

    fn leave(&mut self, origin: &Origin) {
        let Ok(id) = origin.build.repository_id.parse() else {
            return;
        };
        let forge = self.forges.entry(id).or_default();
        let purged: Vec<(u64, u32)> = runs(forge)
            .filter(|run| run.purged)
            .map(|run| (run.id, run.attempt))
            .collect();
        forge.add(origin);
        for run in runs(forge) {
            run.purged = purged.contains(&(run.id, run.attempt));
        }
        for repository in &forge.repositories {
            self.names.insert(repository.full_name.to_lowercase(), id);
        }
    }

    /// The GitHub that has the repository with that number alone.
    pub fn forge(&mut self, repository: u64) -> Option<&mut GitHub> {
        self.forges.get_mut(&repository)
    }

    /// Renames or transfers a repository. False if there is none with that number.
    pub fn rename(&mut self, repository: u64, to: &str) -> bool {
        let Some(forge) = self.forges.get_mut(&repository) else {
            return false;
        };
        let Some(from) = forge
            .repositories
            .first()
            .map(|repository| repository.full_name.clone())
        else {
            return false;
        };
        forge.rename(&from, to);
        self.names.insert(to.to_lowercase(), repository);
        true
    }

    /// Ends the retention of a repository's runs that were created before `at`.
    pub fn purge_runs_before(&mut self, repository: u64, at: Timestamp) {
        if let Some(forge) = self.forges.get_mut(&repository) {
            forge.purge_runs_before(at);
        }
    }

    /// npm's reply to `request`.
    pub fn npm_reply(&self, request: &Request) -> Reply {
        self.npm.respond(request)
    }

    /// The reply of npm's feed of changes to `request`, whose path is below the feed's own.
    pub fn npm_feed_reply(&self, request: &Request) -> Reply {
        self.npm.respond_feed(request)
    }

    /// PyPI's reply to `request`.
    pub fn pypi_reply(&self, request: &Request) -> Reply {
        self.pypi.respond(request)
    }

    /// The reply of Homebrew's formula API to `request`.
    pub fn homebrew_reply(&self, request: &Request) -> Reply {
        self.homebrew.respond(request)
    }

    /// The reply of the registry of Homebrew's bottles to `request`.
    pub fn bottles_reply(&self, request: &Request) -> Reply {
        self.homebrew.respond_bottles(request)
    }

    /// GitHub's reply to `request`, which counts against the quota of all.
    pub fn github_reply(&mut self, request: &Request) -> Reply {
        let mut nowhere = GitHub::default();
        let found = self.repository_of(&request.path);
        let forge = found.and_then(|id| self.forges.get_mut(&id)).unwrap_or(&mut nowhere);
        forge.quota = self.quota;
        let reply = forge.respond(request);
        self.quota = forge.quota;
        reply
    }

    /// The number of the repository that a path is about. Those of an owner are about several, and are not looked up.
    fn repository_of(&self, path: &str) -> Option<u64> {
        let path = path.split('?').next().unwrap_or_default().trim_start_matches('/');
        if let Some(rest) = path.strip_prefix("repositories/") {
            return rest.split('/').next()?.parse().ok();
        }
        if let Some(rest) = path.strip_prefix("blobs/") {
            return rest.split('-').next()?.parse().ok();
        }
        let mut segments = path.strip_prefix("repos/")?.split('/').map(percent_decode);
        let name = format!("{}/{}", segments.next()?, segments.next()?);
        self.names.get(&name.to_lowercase()).copied()
    }
}

/// Every attempt of every run.
fn runs(forge: &mut GitHub) -> impl Iterator<Item = &mut Run> {
    let repositories = forge.repositories.iter_mut();
    repositories.flat_map(|repository| &mut repository.runs)
}
