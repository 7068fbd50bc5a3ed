//! Workflow runs, their jobs and approvals, as the API tells them.

use super::{
    Job, Repository, Run, Step, hash,
    reply::Resource,
    route::{Look, account, brief, brief_as, node, time},
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};
use std::{borrow::Cow, cmp::Reverse};

/// How many items a page of a list has unless the client says otherwise.
const PAGE: usize = 30;

impl Repository {
    /// An attempt of a run, or the last one. Of attempts that are not stored, those after a stored one repeat it.
    fn attempt(&self, id: u64, attempt: Option<u32>) -> Option<Cow<'_, Run>> {
        let kept = |run: &&Run| run.id == id && !run.purged;
        let latest = self
            .runs
            .iter()
            .filter(kept)
            .map(|run| run.attempts.max(run.attempt))
            .max()?;
        let wanted = attempt.unwrap_or(latest);
        let stored = self.runs.iter().filter(|run| kept(run) && run.attempt <= wanted);
        let run = stored.max_by_key(|run| run.attempt)?;
        if run.attempt == wanted {
            return Some(Cow::Borrowed(run));
        }
        let repeated = Run {
            attempt: wanted,
            ..run.clone()
        };
        (wanted <= latest).then_some(Cow::Owned(repeated))
    }
}

impl Look<'_> {
    /// The attempt that two segments of a path name.
    fn found(&self, id: &str, attempt: Option<&str>) -> Option<Cow<'_, Run>> {
        let attempt = match attempt {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        self.repository.attempt(id.parse().ok()?, attempt)
    }

    /// An attempt of a run, or its last one.
    pub(super) fn run(&self, id: &str, attempt: Option<&str>) -> Resource {
        self.found(id, attempt)
            .map_or_else(Resource::not_found, |run| Resource::document(self.run_document(&run)))
    }

    /// The jobs of an attempt, or of the last one.
    pub(super) fn jobs(&self, id: &str, attempt: Option<&str>) -> Resource {
        let Some(run) = self.found(id, attempt) else {
            return Resource::not_found();
        };
        let (shown, resource) = self.list(PAGE, &run.jobs, |job| self.job_document(&run, job));
        resource.with(json!({"total_count": run.jobs.len(), "jobs": shown}))
    }

    /// The decisions on the deployments of a run.
    pub(super) fn approvals(&self, id: &str) -> Resource {
        let Some(run) = self.found(id, None) else {
            return Resource::not_found();
        };
        let approvals = run.approvals.iter().map(|approval| {
            let id = crate::build::number(&format!("environment {}", approval.environment), 1_000_000_000, 1 << 30);
            json!({
                "state": approval.state,
                "comment": "",
                "environments": [{
                    "id": id,
                    "node_id": node("EN", id),
                    "name": approval.environment,
                    "html_url": self.page("/deployments"),
                }],
                "user": account(&approval.user, false),
            })
        });
        Resource::document(approvals.collect())
    }

    /// The runs of a workflow, which its file name or its number names, newest first.
    pub(super) fn workflow_runs(&self, workflow: &str) -> Resource {
        let created = match self.query.get("created").map(Span::parse) {
            Some(Some(span)) => Some(span),
            Some(None) => return Resource::refusal(422, "Validation Failed"),
            None => None,
        };
        let query = |name| self.query.get(name);
        let is = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted == value);
        let of_workflow = |run: &Run| {
            let file = run.path.rsplit('/').next().unwrap_or_default();
            file == workflow || self.workflow_id(run).to_string() == workflow
        };
        let wanted = |run: &Run| {
            let state = query("status").is_none_or(|wanted| {
                wanted == run.status || run.conclusion.as_deref().is_some_and(|conclusion| conclusion == wanted)
            });
            state
                && is(query("event"), &run.event)
                && is(query("branch"), &run.head_branch)
                && is(query("head_sha"), &run.head_sha)
                && is(query("actor"), &run.actor.login)
                && created.as_ref().is_none_or(|span| span.contains(run.created_at))
        };
        let mut numbers: Vec<_> = self.repository.runs.iter().map(|run| run.id).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let latest = numbers.into_iter().filter_map(|id| self.repository.attempt(id, None));
        let file = format!(".github/workflows/{workflow}");
        let known = self.repository.files.contains_key(&file) || self.repository.runs.iter().any(of_workflow);
        let mut runs: Vec<_> = latest.filter(|run| of_workflow(run) && wanted(run)).collect();
        if !known {
            return Resource::not_found();
        }
        runs.sort_by_key(|run| Reverse((run.created_at, run.id)));
        let (shown, resource) = self.list(PAGE, &runs, |run| self.run_document(run));
        resource.with(json!({"total_count": runs.len(), "workflow_runs": shown}))
    }

    /// The number of the workflow, which depends on its path.
    fn workflow_id(&self, run: &Run) -> u64 {
        let seed = format!("workflow {} {}", self.repository.id, run.path);
        crate::build::number(&seed, 100_000_000, 100_000_000)
    }

    /// An attempt, whole.
    fn run_document(&self, run: &Run) -> Value {
        let below = format!("/actions/runs/{}", run.id);
        let workflow_id = self.workflow_id(run);
        let previous = (run.attempt > 1).then(|| self.address(&format!("{below}/attempts/{}", run.attempt - 1)));
        let referenced: Vec<_> = run
            .referenced_workflows
            .iter()
            .map(|workflow| {
                let mut document = json!({"path": workflow.path, "sha": workflow.sha});
                if let Some(git_ref) = &workflow.git_ref {
                    crate::encoding::insert(&mut document, "ref", json!(git_ref));
                }
                document
            })
            .collect();
        json!({
            "id": run.id,
            "name": run.workflow_name,
            "node_id": node("WFR", run.id),
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
            "path": run.path,
            "display_title": run.workflow_name,
            "run_number": run.run_number,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": workflow_id,
            "url": self.address(&below),
            "html_url": self.page(&below),
            "pull_requests": [],
            "created_at": time(run.created_at),
            "updated_at": time(run.updated_at),
            "actor": account(&run.actor.login, run.actor.is_bot),
            "run_attempt": run.attempt,
            "referenced_workflows": referenced,
            "run_started_at": time(run.run_started_at),
            "triggering_actor": account(&run.triggering_actor.login, run.triggering_actor.is_bot),
            "jobs_url": self.address(&format!("{below}/jobs")),
            "previous_attempt_url": previous,
            "workflow_url": self.address(&format!("/actions/workflows/{workflow_id}")),
            "head_commit": {"id": run.head_sha, "tree_id": hash(&format!("tree {}", run.head_sha))},
            "repository": brief(self.repository),
            "head_repository": run.head_repository.as_ref().map(|(id, name)| self.head_repository(*id, name)),
        })
    }

    /// The repository that the commit came from, under the name that the run has of it.
    fn head_repository(&self, id: u64, full_name: &str) -> Value {
        let mut repositories = self.github.repositories.iter();
        if let Some(found) = repositories.find(|repository| repository.id == id) {
            return brief_as(found, full_name);
        }
        let owner = full_name.split('/').next().unwrap_or_default();
        brief(&Repository::new(
            id,
            full_name,
            super::account_id(owner),
            Timestamp::UNIX_EPOCH,
        ))
    }

    /// A job, whole.
    fn job_document(&self, run: &Run, job: &Job) -> Value {
        let page = format!("/actions/runs/{}/job/{}", run.id, job.id);
        let hosted = job.runner_group_name.as_deref() == Some("GitHub Actions");
        let runner = job
            .started_at
            .map(|_| if hosted { "GitHub Actions 12" } else { "builder-1" });
        let steps: Vec<_> = job.steps.iter().map(step_document).collect();
        json!({
            "id": job.id,
            "run_id": run.id,
            "workflow_name": run.workflow_name,
            "head_branch": run.head_branch,
            "run_url": self.address(&format!("/actions/runs/{}", run.id)),
            "run_attempt": run.attempt,
            "node_id": node("CR", job.id),
            "head_sha": run.head_sha,
            "url": self.address(&format!("/actions/jobs/{}", job.id)),
            "html_url": self.page(&page),
            "status": job.status,
            "conclusion": job.conclusion,
            "created_at": time(run.run_started_at),
            "started_at": job.started_at.map(time),
            "completed_at": job.completed_at.map(time),
            "name": job.name,
            "steps": steps,
            "check_run_url": self.address(&format!("/check-runs/{}", job.id)),
            "labels": job.labels,
            "runner_id": runner.map(|_| 12),
            "runner_name": runner,
            "runner_group_id": runner.map(|_| 0),
            "runner_group_name": job.runner_group_name,
        })
    }
}

/// A step, whole.
fn step_document(step: &Step) -> Value {
    json!({
        "name": step.name,
        "status": step.status,
        "conclusion": step.conclusion,
        "number": step.number,
        "started_at": step.started_at.map(time),
        "completed_at": step.completed_at.map(time),
    })
}

/// The times that a search such as `>=2026-11-01` allows, both ends included.
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Span {
    /// Reads `<T`, `<=T`, `>T`, `>=T`, `A..B` or `T`, with dates or times to the second.
    fn parse(text: &str) -> Option<Self> {
        let second = SignedDuration::from_secs(1);
        let until = |to| Self {
            from: Timestamp::MIN,
            to,
        };
        let since = |from| Self {
            from,
            to: Timestamp::MAX,
        };
        if let Some(text) = text.strip_prefix("<=") {
            Self::moment(text).map(|moment| until(moment.to))
        } else if let Some(text) = text.strip_prefix(">=") {
            Self::moment(text).map(|moment| since(moment.from))
        } else if let Some(text) = text.strip_prefix('<') {
            Self::moment(text).map(|moment| until(moment.from - second))
        } else if let Some(text) = text.strip_prefix('>') {
            Self::moment(text).map(|moment| since(moment.to + second))
        } else if let Some((from, to)) = text.split_once("..") {
            Some(Self {
                from: Self::moment(from)?.from,
                to: Self::moment(to)?.to,
            })
        } else {
            Self::moment(text)
        }
    }

    /// The second of a time, or the whole of a date.
    fn moment(text: &str) -> Option<Self> {
        if let Ok(date) = text.parse::<Date>()
            && !text.contains('T')
        {
            let from = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
            let to = from + SignedDuration::from_secs(86_399);
            return Some(Self { from, to });
        }
        let at = text.parse().ok()?;
        Some(Self { from: at, to: at })
    }

    /// Whether `at` is allowed, to the second.
    fn contains(&self, at: Timestamp) -> bool {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        self.from <= at && at <= self.to
    }
}
