//! What GitHub keeps of repositories: the commits, what points at them, and what was stored beside them.

use super::{Run, hash};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Who may see a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Its members: everybody else is told that nothing is there.
    Private,
}

/// A repository with its runs.
///
/// Nothing keeps the fields consistent: a branch may point at a commit that does not exist.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The number that stays through every renaming.
    pub id: u64,
    /// `owner/name`.
    pub full_name: String,
    /// Names that it had before: they are answered with a redirection to its number.
    pub former_names: Vec<String>,
    /// The owner's number.
    pub owner_id: u64,
    /// The name of the default branch.
    pub default_branch: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// Whether it takes no more changes.
    pub archived: bool,
    /// Whether it was deleted: it is answered like one that never was.
    pub deleted: bool,
    /// The number of the repository that it was forked from.
    pub fork_of: Option<u64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The last push.
    pub pushed_at: Timestamp,
    /// The tip of each branch.
    pub branches: BTreeMap<String, String>,
    /// The tags.
    pub tags: Vec<Tag>,
    /// The commits by their digests. Those of the whole network of forks are visible in each of its repositories.
    pub commits: BTreeMap<String, Commit>,
    /// The pull requests.
    pub pulls: Vec<Pull>,
    /// Files that every commit contains, unless it has its own: path and content.
    pub files: BTreeMap<String, String>,
    /// The workflow runs, one item for each attempt.
    pub runs: Vec<Run>,
    /// The attestation store.
    pub attestations: Vec<StoredAttestation>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name, without `refs/tags/`.
    pub name: String,
    /// The commit that it leads to.
    pub commit: String,
    /// Whether a tag object stands between the ref and the commit.
    pub annotated: bool,
}

/// Who wrote or recorded a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name in the commit, which nobody checks.
    pub name: String,
    /// The address in the commit, which nobody checks.
    pub email: String,
    /// The account that GitHub found for the address.
    pub login: Option<String>,
    /// Whether that account is an app.
    pub is_bot: bool,
}

/// A commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The digest.
    pub sha: String,
    /// The digests of its parents.
    pub parents: Vec<String>,
    /// The message.
    pub message: String,
    /// Who wrote it.
    pub author: Person,
    /// Who recorded it.
    pub committer: Person,
    /// Both of its dates.
    pub at: Timestamp,
    /// Whether GitHub found its signature good.
    pub verified: bool,
    /// Why, in GitHub's words: `valid`, `unsigned`, `unknown_key`, …
    pub reason: String,
    /// The files that it changes, each with `added`, `modified` or `removed`.
    pub files: Vec<(String, String)>,
    /// Every `package.json` in its tree by path: the document, or a string for one that holds only that version.
    pub package_jsons: BTreeMap<String, Value>,
    /// Other files in its tree: path and content.
    pub texts: BTreeMap<String, String>,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number in the repository.
    pub number: u64,
    /// When it was merged, if it was; one that was not is open.
    pub merged_at: Option<Timestamp>,
    /// The branch that it goes to.
    pub base_ref: String,
    /// The branch that it comes from.
    pub head_ref: String,
    /// The tip of that branch.
    pub head_sha: String,
    /// The commit on the base branch that came of it.
    pub merge_commit: Option<String>,
    /// The commits that it proposes.
    pub commits: Vec<String>,
}

/// How a stored bundle is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snappy {
    /// Not at all.
    None,
    /// One block without a frame, as GitHub stores bundles.
    #[default]
    Raw,
    /// Snappy's framing format.
    Framed,
}

/// One item of the attestation store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAttestation {
    /// The subject's digest: `sha256:` and hexadecimal.
    pub digest: String,
    /// The bundle.
    pub bundle: Value,
    /// Whether the list of attestations holds the bundle itself besides its address.
    pub inline: bool,
    /// How the bundle is compressed behind its address.
    pub snappy: Snappy,
}

impl Repository {
    /// A public repository with one commit on `main`.
    pub fn new(id: u64, full_name: &str, owner_id: u64, created_at: Timestamp) -> Self {
        let mut repository = Self {
            id,
            full_name: full_name.to_owned(),
            former_names: Vec::new(),
            owner_id,
            default_branch: "main".to_owned(),
            visibility: Visibility::Public,
            archived: false,
            deleted: false,
            fork_of: None,
            created_at,
            pushed_at: created_at,
            branches: BTreeMap::new(),
            tags: Vec::new(),
            commits: BTreeMap::new(),
            pulls: Vec::new(),
            files: BTreeMap::new(),
            runs: Vec::new(),
            attestations: Vec::new(),
        };
        let first = Commit::new(&hash(&format!("first commit of {id}")), "Initial commit", created_at);
        repository.commit("main", first);
        repository
    }

    /// The part of the name before the slash.
    pub fn owner(&self) -> &str {
        self.full_name.split('/').next().unwrap_or_default()
    }

    /// The part of the name after the slash.
    pub fn name(&self) -> &str {
        self.full_name.split('/').nth(1).unwrap_or_default()
    }

    /// Puts a commit on a branch, which is made if there is none. A commit without parents gets the branch's tip as its
    /// parent, or that of the default branch.
    pub fn commit(&mut self, branch: &str, mut commit: Commit) {
        if commit.parents.is_empty() {
            let tip = self
                .branches
                .get(branch)
                .or_else(|| self.branches.get(&self.default_branch));
            commit.parents.extend(tip.cloned());
        }
        self.pushed_at = self.pushed_at.max(commit.at);
        self.branches.insert(branch.to_owned(), commit.sha.clone());
        self.commits.insert(commit.sha.clone(), commit);
    }

    /// Lets a lightweight tag lead to `commit`, whether or not there was one of that name.
    pub fn tag(&mut self, name: &str, commit: &str) {
        self.tags.retain(|tag| tag.name != name);
        self.tags.push(Tag {
            name: name.to_owned(),
            commit: commit.to_owned(),
            annotated: false,
        });
    }

    /// Takes a commit away with the tags that lead to it. Branches go back to its first parent.
    pub fn withdraw(&mut self, sha: &str) -> Option<Commit> {
        let commit = self.commits.remove(sha)?;
        self.tags.retain(|tag| tag.commit != sha);
        for tip in self.branches.values_mut().filter(|tip| *tip == sha) {
            *tip = commit.parents.first().cloned().unwrap_or_default();
        }
        Some(commit)
    }
}

impl Tag {
    /// What the ref points at: the tag object of an annotated tag, the commit of any other.
    pub fn object(&self) -> String {
        if self.annotated {
            hash(&format!("tag {} of {}", self.name, self.commit))
        } else {
            self.commit.clone()
        }
    }
}

impl Person {
    /// A person with an account.
    pub fn account(login: &str, email: &str) -> Self {
        Self {
            name: login.to_owned(),
            email: email.to_owned(),
            login: Some(login.to_owned()),
            is_bot: false,
        }
    }

    /// GitHub itself, which records and signs what is merged or edited on its pages.
    pub fn web_flow() -> Self {
        Self {
            name: "GitHub".to_owned(),
            ..Self::account("web-flow", "noreply@github.com")
        }
    }
}

impl Commit {
    /// A commit without parents that alice wrote and GitHub recorded and signed.
    pub fn new(sha: &str, message: &str, at: Timestamp) -> Self {
        Self {
            sha: sha.to_owned(),
            parents: Vec::new(),
            message: message.to_owned(),
            author: Person::account("alice", "alice@example.com"),
            committer: Person::web_flow(),
            at,
            verified: true,
            reason: "valid".to_owned(),
            files: Vec::new(),
            package_jsons: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Takes the signature away.
    pub fn unsigned(&mut self) {
        self.verified = false;
        "unsigned".clone_into(&mut self.reason);
    }

    /// The content of the file at `path`, if the commit has its own.
    pub(super) fn content(&self, path: &str) -> Option<String> {
        let Some(document) = self.package_jsons.get(path) else {
            return self.texts.get(path).cloned();
        };
        Some(match document.as_str() {
            Some(version) => format!("{:#}\n", json!({"version": version})),
            None => format!("{document:#}\n"),
        })
    }
}
