//! GitHub's documents, reduced to what checks read.
//!
//! Each struct is at once the shape that is parsed and the excerpt that is kept: an excerpt of an excerpt is the excerpt,
//! so that a dossier replays. Ids may come as text. What is optional in GitHub's schema, or was missing in an answer seen
//! in practice, is optional here (<https://docs.github.com/en/rest>, API version 2022-11-28).

use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

/// A numeric id, written as a number or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Id(pub u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(u64),
            Text(String),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Number(number) => Ok(Self(number)),
            Spelling::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    #[serde(default)]
    pub login: Option<String>,
    /// Its id.
    #[serde(default)]
    pub id: Option<Id>,
    /// `User`, `Bot` or `Organization`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// A repository, in full or as part of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The id that survives renames and transfers.
    pub id: Id,
    /// `owner/name`.
    pub full_name: String,
    /// Whether the public cannot see it.
    #[serde(default)]
    pub private: Option<bool>,
    /// Whether it is read-only.
    #[serde(default)]
    pub archived: Option<bool>,
    /// Its default branch; not part of a run's repository.
    #[serde(default)]
    pub default_branch: Option<String>,
    /// Who owns it.
    #[serde(default)]
    pub owner: Option<Account>,
}

/// One attempt of a workflow run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: Id,
    /// The attempt, from 1.
    #[serde(default)]
    pub run_attempt: Option<Id>,
    /// Path of the workflow file, sometimes with `@ref`.
    #[serde(default)]
    pub path: Option<String>,
    /// The event that triggered it.
    #[serde(default)]
    pub event: Option<String>,
    /// `completed`, `in_progress`, `queued` and others.
    pub status: String,
    /// How it ended; nothing before it did.
    #[serde(default)]
    pub conclusion: Option<String>,
    /// Name of the branch or tag.
    #[serde(default)]
    pub head_branch: Option<String>,
    /// The commit.
    #[serde(default)]
    pub head_sha: Option<String>,
    /// When the first attempt was created.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When this attempt began.
    #[serde(default)]
    pub run_started_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Who caused the event.
    #[serde(default)]
    pub actor: Option<Account>,
    /// Who started this attempt.
    #[serde(default)]
    pub triggering_actor: Option<Account>,
    /// The repository that ran it.
    #[serde(default)]
    pub repository: Option<Repository>,
    /// The repository of the head; another one for runs on a fork's code, none once that fork is gone.
    #[serde(default)]
    pub head_repository: Option<Repository>,
}

/// A list of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// How many there are.
    pub total_count: u64,
}

/// One page of a run's jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// How many there are on all pages.
    pub total_count: u64,
    /// Those of this page.
    pub jobs: Vec<Job>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    #[serde(default)]
    pub id: Option<Id>,
    /// The run that it belongs to.
    #[serde(default)]
    pub run_id: Option<Id>,
    /// The attempt that it belongs to.
    #[serde(default)]
    pub run_attempt: Option<Id>,
    /// Its name; for jobs of a reusable workflow `caller / job`.
    #[serde(default)]
    pub name: String,
    /// `completed`, `in_progress`, `queued` and others.
    #[serde(default)]
    pub status: Option<String>,
    /// How it ended.
    #[serde(default)]
    pub conclusion: Option<String>,
    /// Its steps; a job that was skipped has none.
    #[serde(default)]
    pub steps: Option<Vec<Step>>,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name: the one in the workflow, or `Run` with the command or action.
    #[serde(default)]
    pub name: String,
    /// `completed`, `in_progress`, `queued` or `pending`.
    #[serde(default)]
    pub status: Option<String>,
    /// `success`, `failure`, `skipped`, `cancelled`.
    #[serde(default)]
    pub conclusion: Option<String>,
    /// When it began, to the second.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended, to the second.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
}

/// A review of a run by a deployment environment's gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// `approved` or `rejected`.
    #[serde(default)]
    pub state: String,
    /// The environments that it covers.
    #[serde(default)]
    pub environments: Vec<Environment>,
}

/// A deployment environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// A commit with its accounts and changed files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub sha: String,
    /// What git says.
    pub commit: GitCommit,
    /// The account of the author, where GitHub knows one.
    #[serde(default)]
    pub author: Option<Account>,
    /// The account of the committer, where GitHub knows one.
    #[serde(default)]
    pub committer: Option<Account>,
    /// The changed files, at most 300.
    #[serde(default)]
    pub files: Vec<ChangedFile>,
}

/// What git says of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitCommit {
    /// Who wrote it.
    #[serde(default)]
    pub author: Option<Signature>,
    /// Who committed it.
    #[serde(default)]
    pub committer: Option<Signature>,
    /// Whether its signature verified.
    #[serde(default)]
    pub verification: Option<Verification>,
}

/// A name that git carries, which anybody may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// When, by the clock of whoever committed.
    #[serde(default)]
    pub date: Option<Timestamp>,
}

/// GitHub's verdict on a commit's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether it verified.
    pub verified: bool,
    /// Why, or why not.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A file that a commit changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Its path.
    pub filename: String,
}

/// How a commit lies to a ref.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// `identical`, `behind`, `ahead` or `diverged`.
    pub status: String,
}

impl Comparison {
    /// Whether the ref contains the commit: then the commit is behind it, or its tip.
    pub fn contains_the_commit(&self) -> bool {
        matches!(self.status.as_str(), "behind" | "identical")
    }

    /// Whether the ref does not contain the commit.
    pub fn lacks_the_commit(&self) -> bool {
        matches!(self.status.as_str(), "ahead" | "diverged")
    }
}

/// A tag with the commit that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// The commit, through an annotated tag's object.
    pub commit: TagCommit,
}

impl Tag {
    /// Whether it leads to this commit.
    pub fn leads_to(&self, commit: &str) -> bool {
        !commit.is_empty() && self.commit.sha == commit
    }

    /// Where it leads to, for people: what was kept for another package of a commit may not say which other commit it is.
    pub fn target(&self) -> &str {
        Some(self.commit.sha.as_str())
            .filter(|sha| !sha.is_empty())
            .unwrap_or("another commit")
    }
}

/// The commit of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagCommit {
    /// Its id; empty in a list that is kept, where it is another commit than is asked about.
    pub sha: String,
}

/// A pull request that brought a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: Id,
    /// When it was merged, if it was.
    #[serde(default)]
    pub merged_at: Option<Timestamp>,
    /// The branch that it goes to.
    #[serde(default)]
    pub base: Option<Base>,
}

/// The branch that a pull request goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Its bare name.
    #[serde(default)]
    pub r#ref: Option<String>,
}

/// A package's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Version.
    #[serde(default)]
    pub version: Option<String>,
}

/// Reduces a document to its shape here; `None` if it is no such document.
pub(super) fn excerpt<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<Vec<u8>> {
    let document: T = serde_json::from_slice(bytes).ok()?;
    serde_json::to_vec(&document).ok()
}

/// Reduces a list of tags. The commits of those that are not asked about are left out: of a repository with many tags their digits
/// would be most of what is kept, and no check reads more of them than that they are other commits.
pub(super) fn excerpt_of_tags(bytes: &[u8], is_asked_about: impl Fn(&Tag) -> bool) -> Option<Vec<u8>> {
    let mut tags: Vec<Tag> = serde_json::from_slice(bytes).ok()?;
    for tag in &mut tags {
        if !is_asked_about(tag) {
            tag.commit.sha.clear();
        }
    }
    serde_json::to_vec(&tags).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_text() {
        assert_eq!(serde_json::from_str::<Id>("7").unwrap(), Id(7));
        assert_eq!(serde_json::from_str::<Id>("\"7\"").unwrap(), Id(7));
        for bad in ["-1", "\"x\"", "1.5", "null", "\"\""] {
            assert!(serde_json::from_str::<Id>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_excerpt_of_an_excerpt_is_the_excerpt() {
        let run = br#"{"id":"5","run_attempt":1,"status":"completed","conclusion":null,"name":"left out",
            "created_at":"2026-11-02T10:00:00Z","repository":{"id":1,"full_name":"o/r","owner":{"login":"o","id":2}},
            "head_repository":null}"#;
        let once = excerpt::<Run>(run).unwrap();
        assert_eq!(excerpt::<Run>(&once).unwrap(), once);
        assert!(!String::from_utf8(once).unwrap().contains("left out"));
    }

    #[test]
    fn of_tags_that_are_not_asked_about_the_names_are_kept() {
        let tag = |name: &str, sha: &str| serde_json::json!({"name": name, "commit": {"sha": sha, "url": "x"}});
        let tags = serde_json::json!([tag("v2.0.0", "ab12"), tag("v1.0.0", "cd34")]).to_string();
        let is_asked_about = |tag: &Tag| tag.name == "v2.0.0";
        let once = excerpt_of_tags(tags.as_bytes(), is_asked_about).unwrap();
        assert_eq!(excerpt_of_tags(&once, is_asked_about).unwrap(), once);
        let kept: Vec<Tag> = serde_json::from_slice(&once).unwrap();
        let kept: Vec<(&str, &str)> = kept
            .iter()
            .map(|tag| (tag.name.as_str(), tag.commit.sha.as_str()))
            .collect();
        assert_eq!(kept, [("v2.0.0", "ab12"), ("v1.0.0", "")]);
        assert!(excerpt_of_tags(b"{}", is_asked_about).is_none());
    }

    #[test]
    fn html_is_no_document() {
        assert!(excerpt::<Run>(b"<html></html>").is_none());
        assert!(excerpt::<Jobs>(b"{\"total_count\":1,\"jobs\":[{\"steps\":").is_none());
    }
}
