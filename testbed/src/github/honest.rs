//! What an honest release leaves on GitHub: commits, a ref, a merged pull request, and the run that published it.

use super::{
    Actor, Commit, GitHub, Job, Person, Pull, ReferencedWorkflow, Repository, Run, Step, StoredAttestation, Visibility,
    account_id,
    bend::publish_step_around,
    hash,
    recipe::{Manifest, Recipe},
};
use crate::{
    BASE_TIME, Build, Provider,
    build::number,
    edit::{Edits, apply},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::iter;

/// How long before the base time a run was created whose retention has ended: GitHub keeps logs for 90 days by default.
const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long before its first release a repository was created.
const PREHISTORY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long before its publication a version was committed, and before an attempt the one before it was made.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// How long a run waits for its runner.
const QUEUE: SignedDuration = SignedDuration::from_secs(102);
/// How many failed attempts there are before the one that published, at most.
const FAILED_ATTEMPTS: usize = 9;
/// Where a release comes from.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The build.
    pub(crate) build: Build,
    /// The version.
    pub(crate) version: String,
    /// When the first provenance was signed, if one was.
    pub(crate) at: Timestamp,
    /// When the last one was.
    pub(crate) until: Timestamp,
    /// How the workflow publishes.
    pub(crate) recipe: Recipe,
    /// Changes to the attempt that published.
    pub(crate) run: Edits<Run>,
    /// Changes to the commit that was built.
    pub(crate) commit: Edits<Commit>,
    /// Changes to the repository.
    pub(crate) repository: Edits<Repository>,
    /// What is stored beside the repository, before those changes.
    pub(crate) stored: Vec<StoredAttestation>,
}

impl GitHub {
    /// Adds what a release leaves here, and then bends it. A release from elsewhere, or with a repository number that
    /// is none, leaves nothing.
    pub(crate) fn add(&mut self, origin: &Origin) {
        let build = &origin.build;
        let Ok(id) = build.repository_id.parse() else {
            return;
        };
        match build.provider {
            Provider::GitLab => return,
            Provider::GitHub => {}
        }
        if !self.repositories.iter().any(|repository| repository.id == id) {
            let owner = build.owner_id.parse().unwrap_or_else(|_| account_id(build.owner()));
            let created_at = to_the_second(origin.at) - PREHISTORY;
            self.repositories
                .push(Repository::new(id, &build.repository, owner, created_at));
        }
        if let Some(repository) = self.repositories.iter_mut().find(|repository| repository.id == id) {
            origin.leave_in(repository);
        }
    }
}

impl Origin {
    /// The same without changes to what it leaves.
    pub(crate) fn unbent(self) -> Self {
        Self {
            run: Vec::new(),
            commit: Vec::new(),
            repository: Vec::new(),
            stored: Vec::new(),
            ..self
        }
    }

    /// Puts everything in place, and then applies the changes.
    fn leave_in(&self, repository: &mut Repository) {
        self.describe(repository);
        self.commit(repository);
        self.run(repository);
        let (sha, id, attempt) = (&self.build.commit, self.build.run_id, self.build.run_attempt);
        if let Some(mut commit) = repository.commits.remove(sha) {
            apply(&self.commit, &mut commit);
            repository.commits.insert(commit.sha.clone(), commit);
        }
        let mut runs = repository.runs.iter_mut();
        if let Some(run) = runs.find(|run| run.id == id && run.attempt == attempt) {
            apply(&self.run, run);
        }
        repository.attestations.extend(self.stored.iter().cloned());
        apply(&self.repository, repository);
    }

    /// The repository has the name that it had at the last release.
    fn describe(&self, repository: &mut Repository) {
        let name = &self.build.repository;
        let is_named = repository.full_name.eq_ignore_ascii_case(name);
        if !is_named && !repository.former_names.contains(name) {
            let former = std::mem::replace(&mut repository.full_name, name.clone());
            repository.former_names.push(former);
        }
        if self.build.visibility == "private" {
            repository.visibility = Visibility::Private;
        }
        let (name, event) = (&self.build.workflow_name, &self.build.event);
        let workflow = format!("name: {name}\non: {event}\n{}", self.recipe.workflow());
        let path = self.build.workflow_path.clone();
        repository.files.entry(path).or_insert(workflow);
    }

    /// The commit, where the ref of the build says. One that is there already gains a ref and a manifest; the
    /// manifest at the root stays that of the release that came first.
    fn commit(&self, repository: &mut Repository) {
        let build = &self.build;
        let at = to_the_second(self.at) - HOUR;
        let tag = build.git_ref.strip_prefix("refs/tags/");
        let branch = match (build.git_ref.strip_prefix("refs/heads/"), tag) {
            (Some(branch), _) => Some(branch.to_owned()),
            (None, Some(_)) => Some(repository.default_branch.clone()),
            (None, None) => None,
        };
        if !repository.commits.contains_key(&build.workflow_commit) && build.workflow_commit != build.commit {
            let mut commit = Commit::new(&build.workflow_commit, "Change the workflow", at - HOUR);
            commit.files = vec![(build.workflow_path.clone(), "modified".to_owned())];
            repository.commit(&repository.default_branch.clone(), commit);
        }
        if !repository.commits.contains_key(&build.commit) {
            self.merge(repository, branch.as_deref(), at);
        } else if let Some(branch) = branch {
            repository.branches.entry(branch).or_insert(build.commit.clone());
        }
        if let Some(tag) = tag {
            repository.tag(tag, &build.commit);
        }
        if let Some(commit) = repository.commits.get_mut(&build.commit) {
            self.recipe.manifest.put_in(commit);
        }
    }

    /// Makes the commit by squashing a pull request; without a branch, it is the trial merge of an open one.
    fn merge(&self, repository: &mut Repository, branch: Option<&str>, at: Timestamp) {
        let build = &self.build;
        let named = build.git_ref.strip_prefix("refs/pull/");
        let named = named.and_then(|rest| rest.split('/').next()?.parse().ok());
        let number = named.unwrap_or_else(|| repository.pulls.len() as u64 + 1);
        let title = format!("Release {}", self.version);
        let mut commit = Commit::new(&build.commit, &format!("{title} (#{number})"), at);
        let changes = self.recipe.changes.iter();
        commit.files = changes.map(|name| (name.clone(), "modified".to_owned())).collect();
        let base = branch.unwrap_or(&repository.default_branch).to_owned();
        let tips = &repository.branches;
        let tip = tips
            .get(&base)
            .or_else(|| tips.get(&repository.default_branch))
            .cloned();
        let head = Commit {
            sha: hash(&format!("proposal of {}", build.commit)),
            parents: tip.into_iter().collect(),
            message: title,
            committer: Person::account("alice", "alice@example.com"),
            at: at - HOUR,
            ..commit.clone()
        };
        repository.pulls.push(Pull {
            number,
            merged_at: branch.map(|_| at),
            base_ref: base,
            head_ref: self.head_branch(),
            head_sha: head.sha.clone(),
            merge_commit: Some(build.commit.clone()),
            commits: vec![head.sha.clone()],
        });
        commit.parents.clone_from(&head.parents);
        if branch.is_none() {
            commit.parents.push(head.sha.clone());
        }
        repository.commits.insert(head.sha.clone(), head);
        match branch {
            Some(branch) => repository.commit(branch, commit),
            None => {
                repository.commits.insert(commit.sha.clone(), commit);
            }
        }
    }

    /// The branch that the version was proposed on.
    fn head_branch(&self) -> String {
        format!("release-{}", self.version)
    }

    /// The attempt that published, after failed ones if it was not the first. One that is there already published
    /// several packages, and gets the time for it.
    fn run(&self, repository: &mut Repository) {
        let build = &self.build;
        let same = |run: &Run| run.id == build.run_id && run.attempt == build.run_attempt;
        if let Some(run) = repository.runs.iter_mut().find(|run| same(run)) {
            run.cover(self.at);
            run.cover(self.until);
            return;
        }
        let mut run = self.attempt(repository);
        run.cover(self.until);
        let attempts = (1..run.attempt).rev().take(FAILED_ATTEMPTS);
        let mut made = Vec::new();
        for (attempt, back) in attempts.zip(1..) {
            let stored = |run: &Run| run.id == build.run_id && run.attempt == attempt;
            if !repository.runs.iter().any(stored) {
                let mut failed = run.clone();
                failed.attempt = attempt;
                failed.shift(HOUR * -back);
                failed
                    .jobs
                    .iter_mut()
                    .for_each(|job| job.id = job_id(build.run_id, attempt));
                failed.skip_publish_and_sign_in(self.recipe.last_before());
                made.push(failed);
            }
        }
        repository.runs.extend(made);
        repository.runs.push(run);
        let of_run = || |run: &&mut Run| run.id == build.run_id;
        let attempts = repository.runs.iter().filter(|run| run.id == build.run_id);
        let (last, first) = attempts.fold((0, self.at), |(last, first), run| {
            (run.attempt.max(last), run.run_started_at.min(first))
        });
        for run in repository.runs.iter_mut().filter(of_run()) {
            run.attempts = last;
            run.created_at = first;
            run.purged |= first < BASE_TIME - RETENTION;
        }
    }

    /// The attempt that published.
    fn attempt(&self, repository: &Repository) -> Run {
        let build = &self.build;
        let job = self.job();
        let begin = job.started_at.unwrap_or(self.at) - QUEUE;
        let mut others = repository.runs.iter().filter(|run| run.path == build.workflow_path);
        let last = others.clone().map(|run| run.run_number).max().unwrap_or_default();
        let same = others.find(|run| run.id == build.run_id);
        let refs = ["refs/tags/", "refs/heads/"];
        let bare = refs.into_iter().find_map(|prefix| build.git_ref.strip_prefix(prefix));
        Run {
            id: build.run_id,
            attempt: build.run_attempt,
            attempts: build.run_attempt,
            run_number: same.map_or(last + 1, |run| run.run_number),
            workflow_name: build.workflow_name.clone(),
            path: build.workflow_path.clone(),
            event: build.event.clone(),
            status: "completed".to_owned(),
            conclusion: Some("success".to_owned()),
            head_branch: bare.map_or_else(|| self.head_branch(), str::to_owned),
            head_sha: build.commit.clone(),
            created_at: begin,
            run_started_at: begin,
            updated_at: job.completed_at.unwrap_or(self.at),
            actor: Actor::user("alice"),
            triggering_actor: Actor::user("alice"),
            head_repository: Some((repository.id, repository.full_name.clone())),
            referenced_workflows: self.referenced_workflow().into_iter().collect(),
            jobs: vec![job],
            approvals: Vec::new(),
            purged: false,
        }
    }

    /// The reusable workflow that signs, with its ref as callers write it.
    fn referenced_workflow(&self) -> Option<ReferencedWorkflow> {
        let signer = self.build.signer.as_ref()?;
        let uri = signer.uri.strip_prefix("https://github.com/").unwrap_or(&signer.uri);
        let (path, git_ref) = uri.rsplit_once('@')?;
        let refs = ["refs/tags/", "refs/heads/"];
        let bare = refs.into_iter().find_map(|prefix| git_ref.strip_prefix(prefix));
        Some(ReferencedWorkflow {
            path: format!("{path}@{}", bare.unwrap_or(git_ref)),
            sha: signer.digest.clone(),
            git_ref: git_ref.starts_with("refs/").then(|| git_ref.to_owned()),
        })
    }

    /// The only job, whose publish step contains the signing time.
    fn job(&self) -> Job {
        let build = &self.build;
        let (begin, end) = publish_step_around(self.at);
        let Recipe { before, after, .. } = &self.recipe;
        let total = before.iter().map(|(_, seconds)| seconds).sum();
        let mut clock = begin - SignedDuration::from_secs(total);
        let started_at = clock;
        let publish = (self.recipe.publish, end.duration_since(begin).as_secs());
        let mut steps = Vec::new();
        let all = before.iter().copied().chain([publish]).chain(after.iter().copied());
        for ((name, seconds), number) in all.zip(1..) {
            let begin = clock;
            clock += SignedDuration::from_secs(seconds);
            steps.push(Step {
                number,
                ..Step::successful(name, Some(begin), Some(clock))
            });
        }
        let (labels, group): (&[&str], _) = match build.runner_environment.as_str() {
            "self-hosted" => (&["self-hosted", "Linux", "X64"], "Default"),
            _ => (&["ubuntu-latest"], "GitHub Actions"),
        };
        let name = if build.signer.is_some() {
            "publish / publish"
        } else {
            "publish"
        };
        Job {
            id: job_id(build.run_id, build.run_attempt),
            name: name.to_owned(),
            status: "completed".to_owned(),
            conclusion: Some("success".to_owned()),
            started_at: Some(started_at),
            completed_at: Some(clock),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            runner_group_name: Some(group.to_owned()),
            steps,
        }
    }
}

impl Manifest {
    /// Puts it into the tree of a commit; what is there already stays.
    fn put_in(&self, commit: &mut Commit) {
        match self {
            Self::PackageJson(document) => {
                let directory = document.pointer("/repository/directory").and_then(Value::as_str);
                let inner = directory.map(|directory| format!("{}/package.json", directory.trim_matches('/')));
                for path in iter::once("package.json".to_owned()).chain(inner) {
                    commit.package_jsons.entry(path).or_insert(document.clone());
                }
            }
            Self::Text(path, content) => {
                commit.texts.entry(path.clone()).or_insert(content.clone());
            }
            Self::Absent => {}
        }
    }
}

/// The number of the only job of an attempt.
fn job_id(run: u64, attempt: u32) -> u64 {
    number(
        &format!("job of {run} attempt {attempt}"),
        50_000_000_000,
        1_000_000_000,
    )
}

/// The beginning of the second.
fn to_the_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
