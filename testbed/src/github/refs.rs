//! Branches, tags and refs, as the API tells them.

use super::{
    Tag,
    reply::Resource,
    route::{Look, node, time},
};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// How many items a page of a list has unless the client says otherwise.
const PAGE: usize = 30;

impl Look<'_> {
    /// A branch with its tip, whole.
    pub(super) fn branch(&self, name: &str) -> Resource {
        let tip = self.repository.branches.get(name);
        let Some(commit) = tip.and_then(|tip| self.history().resolve(tip)) else {
            return Resource::refusal(404, "Branch not found");
        };
        let mut document = self.branch_document(name, &commit.sha);
        crate::encoding::insert(&mut document, "commit", self.commit_document(commit));
        Resource::document(document)
    }

    /// The branches by name.
    pub(super) fn branches(&self) -> Resource {
        let branches: Vec<_> = self.repository.branches.iter().collect();
        let (shown, resource) = self.list(PAGE, &branches, |(name, tip)| self.branch_document(name, tip));
        resource.with(shown.into())
    }

    /// A branch as lists contain it.
    fn branch_document(&self, name: &str, tip: &str) -> Value {
        json!({
            "name": name,
            "commit": {"sha": tip, "url": self.address(&format!("/commits/{tip}"))},
            "protected": *name == self.repository.default_branch,
        })
    }

    /// The tags with the commits that they lead to, by name from the last to the first.
    pub(super) fn tags(&self) -> Resource {
        let mut tags: Vec<_> = self.repository.tags.iter().collect();
        tags.sort_by_key(|tag| Reverse(&tag.name));
        let (shown, resource) = self.list(PAGE, &tags, |tag| {
            json!({
                "name": tag.name,
                "commit": {"sha": tag.commit, "url": self.address(&format!("/commits/{}", tag.commit))},
                "zipball_url": self.address(&format!("/zipball/refs/tags/{}", tag.name)),
                "tarball_url": self.address(&format!("/tarball/refs/tags/{}", tag.name)),
                "node_id": node("REF", self.repository.id),
            })
        });
        resource.with(shown.into())
    }

    /// The ref `heads/…` or `tags/…`.
    pub(super) fn reference(&self, name: &str) -> Resource {
        let mut references = self.references();
        let wanted = |(found, ..): &(String, String, bool)| found == name;
        references.find(wanted).map_or_else(Resource::not_found, |found| {
            Resource::document(self.ref_document(&found))
        })
    }

    /// The refs that begin like that.
    pub(super) fn matching_refs(&self, prefix: &str) -> Resource {
        let mut found: Vec<_> = self
            .references()
            .filter(|(name, ..)| name.starts_with(prefix))
            .collect();
        found.sort();
        Resource::document(found.iter().map(|found| self.ref_document(found)).collect())
    }

    /// The object of an annotated tag.
    pub(super) fn tag_object(&self, sha: &str) -> Resource {
        let wanted = |tag: &&Tag| tag.annotated && tag.object() == sha;
        let Some(tag) = self.repository.tags.iter().find(wanted) else {
            return Resource::not_found();
        };
        let at = self.history().resolve(&tag.commit).map(|commit| time(commit.at));
        Resource::document(json!({
            "node_id": node("TA", self.repository.id),
            "sha": sha,
            "url": self.address(&format!("/git/tags/{sha}")),
            "tag": tag.name,
            "message": tag.name,
            "tagger": {"name": "alice", "email": "alice@example.com", "date": at},
            "object": self.object(&tag.commit, false),
            "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null},
        }))
    }

    /// Every ref without `refs/`, what it points at, and whether that is a tag object.
    fn references(&self) -> impl Iterator<Item = (String, String, bool)> {
        let branches = self.repository.branches.iter();
        let branches = branches.map(|(name, tip)| (format!("heads/{name}"), tip.clone(), false));
        let tags = self.repository.tags.iter();
        let tags = tags.map(|tag| (format!("tags/{}", tag.name), tag.object(), tag.annotated));
        branches.chain(tags)
    }

    /// A ref with what it points at.
    fn ref_document(&self, (name, sha, annotated): &(String, String, bool)) -> Value {
        json!({
            "ref": format!("refs/{name}"),
            "node_id": node("REF", self.repository.id),
            "url": self.address(&format!("/git/refs/{name}")),
            "object": self.object(sha, *annotated),
        })
    }

    /// What a ref or tag object points at.
    fn object(&self, sha: &str, annotated: bool) -> Value {
        let (kind, folder) = if annotated {
            ("tag", "tags")
        } else {
            ("commit", "commits")
        };
        json!({"sha": sha, "type": kind, "url": self.address(&format!("/git/{folder}/{sha}"))})
    }
}
