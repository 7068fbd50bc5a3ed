//! The graph of commits that a repository shares with its forks.

use super::{Commit, GitHub, Repository};
use std::collections::{BTreeMap, BTreeSet};

/// The commits that are visible in a repository: all of those of its network of forks.
///
/// GitHub keeps the objects of a network in one place. A commit that exists in a fork alone can be asked for by its
/// digest in every other repository of the network, which proves nothing about the repository that was asked.
pub(super) struct History<'a> {
    repository: &'a Repository,
    network: Vec<&'a Repository>,
    commits: BTreeMap<&'a str, &'a Commit>,
}

/// How two commits lie to each other.
pub(super) struct Comparison<'a> {
    /// What the head has and the base has not, oldest first.
    pub(super) ahead: Vec<&'a Commit>,
    /// How many the base has and the head has not.
    pub(super) behind: usize,
    /// The best common ancestor.
    pub(super) merge_base: &'a Commit,
}

impl Comparison<'_> {
    /// GitHub's word for it.
    pub(super) fn status(&self) -> &'static str {
        match (self.ahead.is_empty(), self.behind) {
            (true, 0) => "identical",
            (true, _) => "behind",
            (false, 0) => "ahead",
            (false, _) => "diverged",
        }
    }
}

impl<'a> History<'a> {
    /// What is visible in `repository`.
    pub(super) fn of(github: &'a GitHub, repository: &'a Repository) -> Self {
        let root = root(github, repository);
        let network: Vec<_> = github
            .repositories
            .iter()
            .filter(|other| root_is(github, other, root))
            .collect();
        let commits = network.iter().flat_map(|repository| &repository.commits);
        Self {
            repository,
            commits: commits.map(|(sha, commit)| (sha.as_str(), commit)).collect(),
            network,
        }
    }

    /// The commit that a digest, the name of a branch or tag, or a ref with or without `refs/` leads to. A name after
    /// `owner:` is one of that owner's fork.
    pub(super) fn resolve(&self, name: &str) -> Option<&'a Commit> {
        if let Some(commit) = self.commits.get(name) {
            return Some(commit);
        }
        if let Some((owner, name)) = name.split_once(':') {
            let mut network = self.network.iter();
            let fork = network.find(|repository| repository.owner().eq_ignore_ascii_case(owner))?;
            return self.resolve_in(fork, name);
        }
        self.resolve_in(self.repository, name)
    }

    /// The commit that a branch, tag or ref of `repository` leads to.
    fn resolve_in(&self, repository: &Repository, name: &str) -> Option<&'a Commit> {
        let branch = |name: &str| repository.branches.get(name);
        let tag = |name: &str| {
            let mut tags = repository.tags.iter();
            tags.find(|tag| tag.name == name).map(|tag| &tag.commit)
        };
        let bare = name.strip_prefix("refs/").unwrap_or(name);
        let sha = if let Some(name) = bare.strip_prefix("heads/") {
            branch(name)
        } else if let Some(name) = bare.strip_prefix("tags/") {
            tag(name)
        } else {
            branch(name).or_else(|| tag(name))
        };
        self.commits.get(sha?.as_str()).copied()
    }

    /// Compares two commits; `None` if they have no ancestor in common.
    pub(super) fn compare(&self, base: &'a Commit, head: &'a Commit) -> Option<Comparison<'a>> {
        let (of_base, of_head) = (self.ancestors(base), self.ancestors(head));
        let common: BTreeSet<_> = of_base.intersection(&of_head).copied().collect();
        let passed: BTreeSet<_> = self.commits_of(&common).flat_map(|commit| &commit.parents).collect();
        let merge_base = self
            .commits_of(&common)
            .filter(|commit| !passed.contains(&commit.sha))
            .max_by_key(|commit| commit.at)?;
        let only_head: BTreeSet<_> = of_head.difference(&common).copied().collect();
        let mut ahead: Vec<_> = self.commits_of(&only_head).collect();
        ahead.sort_by_key(|commit| commit.at);
        Some(Comparison {
            ahead,
            behind: of_base.difference(&common).count(),
            merge_base,
        })
    }

    /// The commits of these digests, as far as there are any.
    fn commits_of<'b>(&'b self, digests: &'b BTreeSet<&'a str>) -> impl Iterator<Item = &'a Commit> {
        digests.iter().filter_map(|sha| self.commits.get(sha).copied())
    }

    /// The digests of a commit and of everything that its parents lead to.
    fn ancestors(&self, commit: &'a Commit) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![commit];
        while let Some(commit) = waiting.pop() {
            if found.insert(commit.sha.as_str()) {
                let parents = commit.parents.iter();
                waiting.extend(parents.filter_map(|sha| self.commits.get(sha.as_str()).copied()));
            }
        }
        found
    }
}

/// The repository at the top of a network of forks.
fn root(github: &GitHub, repository: &Repository) -> u64 {
    let mut root = repository;
    // A network is no deeper than there are repositories, which also ends a circle.
    for _ in &github.repositories {
        let above = |other: &&Repository| Some(other.id) == root.fork_of;
        match github.repositories.iter().find(above) {
            Some(above) => root = above,
            None => break,
        }
    }
    root.id
}

/// Whether the network of `repository` is that of the repository with this number.
fn root_is(github: &GitHub, repository: &Repository, id: u64) -> bool {
    root(github, repository) == id
}
