//! GitHub: its repositories with their forks, commits and workflow runs, and the REST API over them.
//!
//! The shapes are those of <https://docs.github.com/rest>; what a verifier never reads is left out. Addresses within
//! the answers that a client follows, of redirections and stored bundles, are absolute paths below [`PREFIX`].

mod attesting;
mod bend;
mod commits;
mod history;
mod honest;
mod model;
mod recipe;
mod refs;
mod released;
mod reply;
mod route;
mod run;
mod runs;
mod snappy;
mod store;

pub use attesting::Attesting;
pub use model::{Commit, Person, Pull, Repository, Snappy, StoredAttestation, Tag, Visibility};
pub use recipe::PUBLISH_STEP;
pub use released::{FilePublished, ReleasedFile};
pub use run::{Actor, Approval, Job, ReferencedWorkflow, Run, Step};
pub use store::RELEASE;

pub(crate) use honest::Origin;
pub(crate) use recipe::Recipe;

use crate::{
    answer::{Answer, Body, Reply, Request},
    encoding::sha1,
};
use jiff::Timestamp;
use reply::Resource;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The path below which the party is served.
pub const PREFIX: &str = "/github";

/// A change to an answer before it is sent.
pub type AnswerEdit = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// How many requests a client may still make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How many there are in an hour.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// When there are as many as the limit again. No clock does that: a test sets `remaining` when it wants to.
    pub reset: Timestamp,
}

/// GitHub.
#[derive(Clone, Default)]
pub struct GitHub {
    /// The repositories. A name belongs to the first that has it and was not deleted.
    pub repositories: Vec<Repository>,
    /// How every request is answered that `answers` says nothing about.
    pub answer: Answer,
    /// How requests are answered whose path and query, as sent, contain a text: the first such text decides.
    pub answers: Vec<(String, Answer)>,
    /// The quota. Without one, requests are not counted, and no header tells.
    pub quota: Option<Quota>,
    /// The token that every request has to show.
    pub token: Option<String>,
    /// Whether every id is a string where GitHub's is a number.
    pub ids_as_strings: bool,
    /// Whether a subject without attestations is answered with 404, instead of an empty list.
    pub no_attestations_are_404: bool,
    /// Changes to the JSON of answers with status 200 whose path and query contain a text, in their order.
    pub edits: Vec<(String, AnswerEdit)>,
    /// How often each path was asked for, for [`Answer::FailTimes`].
    pub attempts: BTreeMap<String, u32>,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GitHub")
            .field("repositories", &self.repositories)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl GitHub {
    /// The repository of that name, in any case.
    pub fn repository(&self, full_name: &str) -> Option<&Repository> {
        let wanted = |repository: &&Repository| repository.full_name.eq_ignore_ascii_case(full_name);
        let mut named = self.repositories.iter().filter(wanted);
        named
            .clone()
            .find(|repository| !repository.deleted)
            .or_else(|| named.next())
    }

    /// The repository of that name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(
        clippy::expect_used,
        reason = "for tests: a name that no repository has should stop the test that says it"
    )]
    pub fn repository_mut(&mut self, full_name: &str) -> &mut Repository {
        let id = self.repository(full_name).map(|repository| repository.id);
        let mut repositories = self.repositories.iter_mut();
        repositories
            .find(|repository| Some(repository.id) == id)
            .expect("a repository of that name")
    }

    /// The last stored attempt of the run with that number, in whatever repository.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[expect(
        clippy::expect_used,
        reason = "for tests: a number that no run has should stop the test that says it"
    )]
    pub fn run_mut(&mut self, id: u64) -> &mut Run {
        let runs = self.runs_mut().filter(|run| run.id == id);
        runs.max_by_key(|run| run.attempt).expect("a run of that number")
    }

    /// Adds a fork without commits of its own: those of `of` are visible in it, its branches stand where those do.
    ///
    /// # Panics
    ///
    /// When there is no repository of the name `of`.
    pub fn fork(&mut self, of: &str, full_name: &str) -> &mut Repository {
        let origin = self.repository_mut(of).clone();
        let owner = full_name.split('/').next().unwrap_or_default();
        let fork = Repository {
            default_branch: origin.default_branch,
            fork_of: Some(origin.id),
            branches: origin.branches,
            commits: BTreeMap::new(),
            ..Repository::new(repository_id(full_name), full_name, account_id(owner), origin.pushed_at)
        };
        self.repositories.push(fork);
        self.repository_mut(full_name)
    }

    /// Renames or transfers a repository; the owner's number stays.
    ///
    /// # Panics
    ///
    /// When there is no repository of the name `from`.
    pub fn rename(&mut self, from: &str, to: &str) {
        let repository = self.repository_mut(from);
        let former = std::mem::replace(&mut repository.full_name, to.to_owned());
        repository.former_names.push(former);
    }

    /// Deletes a branch. Its commits stay.
    ///
    /// # Panics
    ///
    /// When there is no repository of that name.
    pub fn delete_branch(&mut self, full_name: &str, branch: &str) {
        self.repository_mut(full_name).branches.remove(branch);
    }

    /// Ends the retention of every run that was created before `at`.
    pub fn purge_runs_before(&mut self, at: Timestamp) {
        for run in self.runs_mut().filter(|run| run.created_at < at) {
            run.purged = true;
        }
    }

    /// Deletes a run with all its attempts.
    pub fn purge_run(&mut self, id: u64) {
        for run in self.runs_mut().filter(|run| run.id == id) {
            run.purged = true;
        }
    }

    /// Answers requests whose path or query contains `part` in another way than the rest.
    pub fn answer_for(&mut self, part: &str, answer: Answer) {
        self.answers.push((part.to_owned(), answer));
    }

    /// Changes the answers to requests whose path or query contains `part`.
    pub fn edit(&mut self, part: &str, edit: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.edits.push((part.to_owned(), Arc::new(edit)));
    }

    /// All attempts of all runs.
    fn runs_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        self.repositories.iter_mut().flat_map(|repository| &mut repository.runs)
    }

    /// The reply to `request`.
    ///
    /// 1. Stored bundles are on another host in truth: they cost nothing and ask for no token.
    /// 2. Without a request left, the quota is all there is to hear.
    /// 3. A request without the token is refused.
    /// 4. An answer that a scenario prescribes takes the place of the proper one.
    /// 5. An answered request counts, except 304 to a client that showed a token.
    pub(crate) fn respond(&mut self, request: &Request) -> Reply {
        let attempt = self.attempts.entry(request.path.clone()).or_default();
        *attempt += 1;
        let attempt = *attempt - 1;
        let prescribed = self.answers.iter().find(|(part, _)| request.path.contains(part));
        let answer = prescribed.map_or(&self.answer, |(_, answer)| answer);
        if let Some(name) = request.path.strip_prefix("/blobs/") {
            return answer.reply(attempt, || self.blob(name).into_reply_to(request));
        }
        if let Some(quota) = self.quota.filter(|quota| quota.remaining == 0) {
            let mut reply = Resource::refusal(403, "API rate limit exceeded for 203.0.113.7.").into_reply();
            reply.headers.extend(quota.headers());
            return reply;
        }
        let mut reply = if let Some(refusal) = self.unauthorised(request) {
            refusal.into_reply()
        } else {
            answer.reply(attempt, || self.resource(request).into_reply_to(request))
        };
        let answered = !matches!(reply.body, Body::Hang | Body::Reset);
        let free = reply.status == 304 && request.authorization.is_some();
        if let Some(quota) = &mut self.quota {
            if answered && !free {
                quota.remaining -= 1;
            }
            reply.headers.extend(quota.headers());
        }
        reply
    }

    /// The refusal of a request that does not show the token.
    fn unauthorised(&self, request: &Request) -> Option<Resource> {
        let token = self.token.as_ref()?;
        match &request.authorization {
            None => Some(Resource::refusal(401, "Requires authentication")),
            Some(shown) if *shown != format!("Bearer {token}") => Some(Resource::refusal(401, "Bad credentials")),
            Some(_) => None,
        }
    }
}

impl Quota {
    /// The headers that tell of it.
    fn headers(&self) -> Vec<(String, String)> {
        let used = self.limit.saturating_sub(self.remaining);
        let numbers = [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-used", used.to_string()),
            ("x-ratelimit-reset", self.reset.as_second().to_string()),
            ("x-ratelimit-resource", "core".to_owned()),
        ];
        numbers.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Forty hexadecimal digits that depend on `seed` alone.
fn hash(seed: &str) -> String {
    hex::encode(sha1(seed.as_bytes()))
}

/// The number of the account `login`.
fn account_id(login: &str) -> u64 {
    crate::build::number(&format!("owner {login}"), 9_000_000, 90_000_000)
}

/// The number of a repository that nobody else gives one.
fn repository_id(full_name: &str) -> u64 {
    crate::build::number(&format!("repository {full_name}"), 700_000_000, 200_000_000)
}
