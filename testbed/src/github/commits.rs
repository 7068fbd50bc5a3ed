//! Commits, comparisons, pull requests and the contents of files, as the API tells them.

use super::{
    Commit, Person, Pull, hash,
    reply::Resource,
    route::{Look, account, node, time},
};
use serde_json::{Value, json};

/// How many commits of a comparison there are on a page unless the client says otherwise.
const COMPARED: usize = 250;
/// How many other items.
const PAGE: usize = 30;
/// The media type of a file's bytes.
const RAW: &str = "application/vnd.github.raw+json; charset=utf-8";

impl Look<'_> {
    /// The commit that a digest or ref leads to, with what it changes.
    pub(super) fn commit(&self, name: &str) -> Resource {
        self.history().resolve(name).map_or_else(
            || Resource::no_commit(name),
            |commit| {
                let mut document = self.commit_document(commit);
                let files = changed_files(commit);
                let stats = json!({"total": 2 * files.len(), "additions": files.len(), "deletions": files.len()});
                crate::encoding::insert(&mut document, "stats", stats);
                crate::encoding::insert(&mut document, "files", files.into());
                Resource::document(document)
            },
        )
    }

    /// The pull requests of this repository that a commit was proposed in or came of.
    pub(super) fn pulls(&self, sha: &str) -> Resource {
        if self.history().resolve(sha).is_none() {
            return Resource::no_commit(sha);
        }
        let contains =
            |pull: &&Pull| pull.commits.iter().any(|commit| commit == sha) || pull.merge_commit.as_deref() == Some(sha);
        let pulls: Vec<_> = self.repository.pulls.iter().filter(contains).collect();
        let (shown, resource) = self.list(PAGE, &pulls, |pull| self.pull_document(pull));
        resource.with(shown.into())
    }

    /// The branches of this repository whose tip the commit is.
    pub(super) fn branches_where_head(&self, sha: &str) -> Resource {
        let history = self.history();
        let Some(commit) = history.resolve(sha) else {
            return Resource::no_commit(sha);
        };
        let branches = self.repository.branches.iter().filter(|(_, tip)| **tip == commit.sha);
        let shown = branches.map(|(name, tip)| {
            json!({
                "name": name,
                "commit": {"sha": tip, "url": self.address(&format!("/commits/{tip}"))},
                "protected": *name == self.repository.default_branch,
            })
        });
        Resource::document(shown.collect())
    }

    /// The comparison of `base...head`.
    pub(super) fn compare(&self, range: &str) -> Resource {
        let history = self.history();
        let Some((base_name, head_name)) = range.split_once("...") else {
            return Resource::not_found();
        };
        let (Some(base), Some(head)) = (history.resolve(base_name), history.resolve(head_name)) else {
            return Resource::not_found();
        };
        let Some(comparison) = history.compare(base, head) else {
            let message = format!("No common ancestor between {base_name} and {head_name}.");
            return Resource::refusal(404, &message);
        };
        let files: Vec<_> = comparison.ahead.iter().copied().flat_map(changed_files).collect();
        let (shown, resource) = self.list(COMPARED, &comparison.ahead, |commit| self.commit_document(commit));
        let address = format!("/compare/{base_name}...{head_name}");
        resource.with(json!({
            "url": self.address(&address),
            "html_url": self.page(&address),
            "base_commit": self.commit_document(base),
            "merge_base_commit": self.commit_document(comparison.merge_base),
            "status": comparison.status(),
            "ahead_by": comparison.ahead.len(),
            "behind_by": comparison.behind,
            "total_commits": comparison.ahead.len(),
            "commits": shown,
            "files": files,
        }))
    }

    /// A file at a commit: its bytes for a client that accepts them raw, a document with base64 for any other.
    pub(super) fn contents(&self, path: &str) -> Resource {
        let name = self.query.get("ref").unwrap_or(&self.repository.default_branch);
        let history = self.history();
        let Some(commit) = history.resolve(name) else {
            return Resource::refusal(404, &format!("No commit found for the ref {name}"));
        };
        let everywhere = || self.repository.files.get(path).cloned();
        let Some(content) = commit.content(path).or_else(everywhere) else {
            return Resource::not_found();
        };
        if self.accept.contains("raw") {
            return Resource::bytes(RAW, content.into_bytes());
        }
        let blob = hash(&format!("blob {}\0{content}", content.len()));
        let address = self.address(&format!("/contents/{path}?ref={name}"));
        Resource::document(json!({
            "name": path.rsplit('/').next(),
            "path": path,
            "sha": blob,
            "size": content.len(),
            "url": address,
            "html_url": self.page(&format!("/blob/{name}/{path}")),
            "git_url": self.address(&format!("/git/blobs/{blob}")),
            "download_url": format!(
                "https://raw.githubusercontent.com/{}/{name}/{path}",
                self.repository.full_name
            ),
            "type": "file",
            "content": lines_of_sixty(&crate::encoding::base64(&content)),
            "encoding": "base64",
            "_links": {"self": address},
        }))
    }

    /// A commit as lists contain it: without what it changes.
    pub(super) fn commit_document(&self, commit: &Commit) -> Value {
        let at = time(commit.at);
        let tree = hash(&format!("tree {}", commit.sha));
        let signature = commit
            .verified
            .then_some("-----BEGIN PGP SIGNATURE-----\n\nwsFcBAABCAAQBQJ\n=abcd\n-----END PGP SIGNATURE-----\n");
        let payload = commit.verified.then(|| {
            let (author, email) = (&commit.author.name, &commit.author.email);
            format!(
                "tree {tree}\nauthor {author} <{email}> {} +0000\n",
                commit.at.as_second()
            )
        });
        let parents: Vec<_> = commit
            .parents
            .iter()
            .map(|sha| {
                json!({
                    "sha": sha,
                    "url": self.address(&format!("/commits/{sha}")),
                    "html_url": self.page(&format!("/commit/{sha}")),
                })
            })
            .collect();
        json!({
            "sha": commit.sha,
            "node_id": node("C", commit.at.as_second().unsigned_abs()),
            "commit": {
                "author": {"name": commit.author.name, "email": commit.author.email, "date": at},
                "committer": {"name": commit.committer.name, "email": commit.committer.email, "date": at},
                "message": commit.message,
                "tree": {"sha": tree, "url": self.address(&format!("/git/trees/{tree}"))},
                "url": self.address(&format!("/git/commits/{}", commit.sha)),
                "comment_count": 0,
                "verification": {
                    "verified": commit.verified,
                    "reason": commit.reason,
                    "signature": signature,
                    "payload": payload,
                    "verified_at": commit.verified.then_some(&at),
                },
            },
            "url": self.address(&format!("/commits/{}", commit.sha)),
            "html_url": self.page(&format!("/commit/{}", commit.sha)),
            "author": person(&commit.author),
            "committer": person(&commit.committer),
            "parents": parents,
        })
    }

    /// A pull request as lists contain it.
    fn pull_document(&self, pull: &Pull) -> Value {
        let merged_at = pull.merged_at.map(time);
        let page = format!("/pull/{}", pull.number);
        json!({
            "number": pull.number,
            "html_url": self.page(&page),
            "url": self.address(&format!("/pulls/{}", pull.number)),
            "state": if merged_at.is_some() { "closed" } else { "open" },
            "closed_at": merged_at,
            "merged_at": merged_at,
            "draft": false,
            "merge_commit_sha": pull.merge_commit,
            "base": {"label": format!("{}:{}", self.repository.owner(), pull.base_ref), "ref": pull.base_ref},
            "head": {"label": pull.head_ref, "ref": pull.head_ref, "sha": pull.head_sha},
        })
    }
}

/// The account that GitHub found for a person's address.
fn person(person: &Person) -> Value {
    let login = person.login.as_ref();
    login.map_or(Value::Null, |login| account(login, person.is_bot))
}

/// The files that a commit changes; each loses a line and gains one.
fn changed_files(commit: &Commit) -> Vec<Value> {
    let files = commit.files.iter().map(|(filename, status)| {
        json!({
            "sha": hash(&format!("{filename} of {}", commit.sha)),
            "filename": filename,
            "status": status,
            "additions": 1,
            "deletions": 1,
            "changes": 2,
        })
    });
    files.collect()
}

/// Base64 as GitHub breaks it.
fn lines_of_sixty(text: &str) -> String {
    let mut broken = String::new();
    for (position, letter) in text.chars().enumerate() {
        if position > 0 && position % 60 == 0 {
            broken.push('\n');
        }
        broken.push(letter);
    }
    broken + "\n"
}
