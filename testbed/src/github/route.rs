//! From the path of a request to what it asks for.

use super::{
    GitHub, Repository, Visibility, account_id,
    history::History,
    reply::{Content, Query, Resource},
};
use crate::{answer::Request, encoding::percent_decode};
use serde_json::{Value, json};

/// What a request asks of a repository.
pub(super) struct Look<'a> {
    /// Where the repository is.
    pub(super) github: &'a GitHub,
    /// The repository.
    pub(super) repository: &'a Repository,
    /// The parameters.
    pub(super) query: Query,
    /// The `Accept` header.
    pub(super) accept: &'a str,
    /// The path below the repository, as sent.
    pub(super) below: &'a str,
}

impl GitHub {
    /// What the API says to `request`, after all edits.
    pub(super) fn resource(&self, request: &Request) -> Resource {
        let mut resource = self.find(request);
        if let (200, Content::Document(document)) = (resource.status, &mut resource.content) {
            for (part, edit) in &self.edits {
                if request.path.contains(part) {
                    edit(document);
                }
            }
            if self.ids_as_strings {
                ids_to_strings(document);
            }
        }
        resource
    }

    /// What the API says before any edit.
    fn find(&self, request: &Request) -> Resource {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path = path.trim_start_matches('/');
        let (repository, below, name) = if let Some(path) = path.strip_prefix("repositories/") {
            let (id, below) = split(path);
            let mut repositories = self.repositories.iter();
            let found = repositories.find(|repository| repository.id.to_string() == id);
            (found, below, None)
        } else if let Some(path) = path.strip_prefix("repos/") {
            let (owner, path) = split(path);
            let (name, below) = split(path);
            let full_name = format!("{}/{}", percent_decode(owner), percent_decode(name));
            (self.named(&full_name), below, Some(full_name))
        } else {
            return self.of_an_owner(path, query);
        };
        let Some(repository) = repository.filter(|repository| repository.is_shown()) else {
            return Resource::not_found();
        };
        if name.is_some_and(|name| !repository.full_name.eq_ignore_ascii_case(&name)) {
            let slash = if below.is_empty() { "" } else { "/" };
            let question = if query.is_empty() { "" } else { "?" };
            return Resource::moved(&format!(
                "/repositories/{}{slash}{below}{question}{query}",
                repository.id
            ));
        }
        Look {
            github: self,
            repository,
            query: Query::parse(query),
            accept: request.accept.as_deref().unwrap_or_default(),
            below,
        }
        .answer()
    }

    /// What the API says of an organisation or of a person: the attestations in their repositories, and nothing else.
    fn of_an_owner(&self, path: &str, query: &str) -> Resource {
        let decoded = percent_decode(path);
        match decoded.split('/').collect::<Vec<_>>().as_slice() {
            ["orgs" | "users", owner, "attestations", digest] => {
                self.attestations_of_owner(owner, digest, &Query::parse(query), &format!("/{path}"))
            }
            _ => Resource::not_found(),
        }
    }

    /// The repository that has that name, or had it while no other has it.
    fn named(&self, full_name: &str) -> Option<&Repository> {
        let had = |repository: &&Repository| {
            let mut names = repository.former_names.iter();
            names.any(|name| name.eq_ignore_ascii_case(full_name)) && !repository.deleted
        };
        let current = self.repository(full_name).filter(|repository| !repository.deleted);
        current.or_else(|| self.repositories.iter().find(had))
    }
}

impl Look<'_> {
    /// The answer to the look.
    fn answer(&self) -> Resource {
        let below = percent_decode(self.below);
        let segments: Vec<_> = below.split('/').collect();
        match segments.as_slice() {
            [""] => Resource::document(self.repository()),
            ["actions", "runs", id] => self.run(id, None),
            ["actions", "runs", id, "attempts", attempt] => self.run(id, Some(attempt)),
            ["actions", "runs", id, "jobs"] => self.jobs(id, None),
            ["actions", "runs", id, "attempts", attempt, "jobs"] => self.jobs(id, Some(attempt)),
            ["actions", "runs", id, "approvals"] => self.approvals(id),
            ["actions", "workflows", workflow, "runs"] => self.workflow_runs(workflow),
            ["commits", name @ .., "pulls"] => self.pulls(&name.join("/")),
            ["commits", name @ .., "branches-where-head"] => self.branches_where_head(&name.join("/")),
            ["commits", name @ ..] => self.commit(&name.join("/")),
            ["compare", range @ ..] => self.compare(&range.join("/")),
            ["contents", path @ ..] => self.contents(&path.join("/")),
            ["branches"] => self.branches(),
            ["branches", name @ ..] => self.branch(&name.join("/")),
            ["tags"] => self.tags(),
            ["git", "ref", name @ ..] => self.reference(&name.join("/")),
            ["git", "matching-refs", prefix @ ..] => self.matching_refs(&prefix.join("/")),
            ["git", "tags", sha] => self.tag_object(sha),
            ["attestations", digest] => self.attestations(digest),
            _ => Resource::not_found(),
        }
    }

    /// The commits that are visible in the repository.
    pub(super) fn history(&self) -> History<'_> {
        History::of(self.github, self.repository)
    }

    /// The address of something in the repository on the web pages.
    pub(super) fn page(&self, rest: &str) -> String {
        format!("https://github.com/{}{rest}", self.repository.full_name)
    }

    /// The address of something in the repository in the API, as GitHub prints it. It is never served.
    pub(super) fn address(&self, rest: &str) -> String {
        format!("https://api.github.com/repos/{}{rest}", self.repository.full_name)
    }

    /// The document of a list, of which `show` makes each item of the page that is asked for.
    pub(super) fn list<T>(&self, usual_size: usize, items: &[T], show: impl Fn(&T) -> Value) -> (Vec<Value>, Resource) {
        let page = self.query.page(usual_size);
        let shown = page.of(items).into_iter().map(show).collect();
        let path = format!("/repositories/{}/{}", self.repository.id, self.below);
        let mut resource = Resource::document(Value::Null);
        resource.headers.extend(page.link(&path, items.len()));
        (shown, resource)
    }

    /// The repository, whole.
    fn repository(&self) -> Value {
        let Repository {
            default_branch,
            archived,
            ..
        } = self.repository;
        let above = self.repository.fork_of.and_then(|id| {
            let mut repositories = self.github.repositories.iter();
            repositories.find(|repository| repository.id == id)
        });
        let mut document = brief(self.repository);
        let more = json!({
            "description": null,
            "archived": archived,
            "disabled": false,
            "default_branch": default_branch,
            "created_at": time(self.repository.created_at),
            "updated_at": time(self.repository.pushed_at),
            "pushed_at": time(self.repository.pushed_at),
            "parent": above.map(brief),
            "source": above.map(brief),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            let absent = value.is_null() && name != "description";
            if !absent {
                crate::encoding::insert(&mut document, name, value.clone());
            }
        }
        document
    }
}

impl Repository {
    /// Whether a client without membership sees it.
    pub(super) fn is_shown(&self) -> bool {
        match self.visibility {
            Visibility::Public => !self.deleted,
            Visibility::Private => false,
        }
    }
}

/// A repository as other documents contain it.
pub(super) fn brief(repository: &Repository) -> Value {
    brief_as(repository, &repository.full_name)
}

/// A repository under another name than its present one.
pub(super) fn brief_as(repository: &Repository, full_name: &str) -> Value {
    let (login, name) = full_name.split_once('/').unwrap_or((full_name, ""));
    let visibility = match repository.visibility {
        Visibility::Public => "public",
        Visibility::Private => "private",
    };
    json!({
        "id": repository.id,
        "node_id": node("R", repository.id),
        "name": name,
        "full_name": full_name,
        "private": repository.visibility == Visibility::Private,
        "visibility": visibility,
        "owner": {
            "login": login,
            "id": repository.owner_id,
            "node_id": node("O", repository.owner_id),
            "type": "Organization",
            "site_admin": false,
        },
        "html_url": format!("https://github.com/{full_name}"),
        "url": format!("https://api.github.com/repos/{full_name}"),
        "fork": repository.fork_of.is_some(),
    })
}

/// An account as other documents contain it.
pub(super) fn account(login: &str, is_bot: bool) -> Value {
    let id = if login == "web-flow" {
        19_864_447
    } else {
        account_id(login)
    };
    json!({
        "login": login,
        "id": id,
        "node_id": node(if is_bot { "BOT" } else { "U" }, id),
        "html_url": format!("https://github.com/{login}"),
        "type": if is_bot { "Bot" } else { "User" },
        "site_admin": false,
    })
}

/// The identifier of the GraphQL API: opaque to clients.
pub(super) fn node(kind: &str, id: u64) -> String {
    format!(
        "{kind}_kgDO{}",
        crate::encoding::base64(id.to_be_bytes()).trim_end_matches('=')
    )
}

/// A time as GitHub writes it: to the second.
pub(super) fn time(at: jiff::Timestamp) -> String {
    format!("{at:.0}")
}

/// The first segment of a path and what follows its slash.
fn split(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

/// Makes strings of all numbers that are called `id` or end in `_id`.
fn ids_to_strings(document: &mut Value) {
    match document {
        Value::Object(members) => {
            for (name, member) in members {
                if let (true, Value::Number(number)) = (name == "id" || name.ends_with("_id"), &*member) {
                    *member = Value::String(number.to_string());
                }
                ids_to_strings(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(ids_to_strings),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
