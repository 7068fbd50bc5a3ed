//! Workflow runs with their jobs and steps.

use super::recipe::PUBLISH_STEPS;
use jiff::{SignedDuration, Timestamp};

/// An account that started something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Its name.
    pub login: String,
    /// Whether it is an app.
    pub is_bot: bool,
}

/// A reusable workflow that a run called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencedWorkflow {
    /// `owner/name/.github/workflows/file.yml@ref`, with the ref as the caller wrote it.
    pub path: String,
    /// The commit that the file was taken from.
    pub sha: String,
    /// The whole ref; none if the caller named a commit.
    pub git_ref: Option<String>,
}

/// A decision on a deployment to a protected environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The environment.
    pub environment: String,
    /// `approved`, `rejected` or `pending`.
    pub state: String,
    /// Who decided.
    pub user: String,
}

/// One attempt of a workflow run.
///
/// Statuses, conclusions and events are text in GitHub's words, so that a scenario can make up new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The number of the run, which all of its attempts share.
    pub id: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// How many attempts the run has had. Those after the last one that is stored are answered as repetitions of it.
    pub attempts: u32,
    /// The number among the runs of its workflow, from 1.
    pub run_number: u64,
    /// The workflow's display name.
    pub workflow_name: String,
    /// The path of the workflow file.
    pub path: String,
    /// The event that triggered it.
    pub event: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, …; none before it is completed.
    pub conclusion: Option<String>,
    /// The bare name of the branch or tag.
    pub head_branch: String,
    /// The commit.
    pub head_sha: String,
    /// When the first attempt was created.
    pub created_at: Timestamp,
    /// When this attempt began.
    pub run_started_at: Timestamp,
    /// The last change.
    pub updated_at: Timestamp,
    /// Who started the first attempt.
    pub actor: Actor,
    /// Who started this one.
    pub triggering_actor: Actor,
    /// Number and name of the repository that the commit came from; none if that was deleted.
    pub head_repository: Option<(u64, String)>,
    /// The reusable workflows that it called.
    pub referenced_workflows: Vec<ReferencedWorkflow>,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// The decisions on its deployments.
    pub approvals: Vec<Approval>,
    /// Whether it is kept no longer.
    pub purged: bool,
}

/// A job of a run attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Its name; below a reusable workflow, that of the calling job, ` / ` and its own.
    pub name: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, …; none before it is completed.
    pub conclusion: Option<String>,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// The labels that it asked a runner for.
    pub labels: Vec<String>,
    /// The group of the runner that took it.
    pub runner_group_name: Option<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A step of a job. GitHub tells times to the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number in the job, from 1.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// `pending`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, `skipped`, …; none before it is completed.
    pub conclusion: Option<String>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Actor {
    /// A person's account.
    pub fn user(login: &str) -> Self {
        Self {
            login: login.to_owned(),
            is_bot: false,
        }
    }

    /// An app's account.
    pub fn bot(login: &str) -> Self {
        Self {
            login: login.to_owned(),
            is_bot: true,
        }
    }
}

impl Run {
    /// The step in which the package is published.
    ///
    /// # Panics
    ///
    /// When no job has it any more.
    pub fn publish_step_mut(&mut self) -> &mut Step {
        self.step_where(Step::publishes)
    }

    /// The first step of that name, in any job.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn step_mut(&mut self, name: &str) -> &mut Step {
        self.step_where(|step| step.name == name)
    }

    /// The first step like that, in any job.
    #[expect(
        clippy::expect_used,
        reason = "for tests: a step that does not exist should stop the test that changes it"
    )]
    fn step_where(&mut self, wanted: impl Fn(&Step) -> bool) -> &mut Step {
        let mut steps = self.jobs.iter_mut().flat_map(|job| &mut job.steps);
        steps.find(|step| wanted(step)).expect("such a step")
    }

    /// Ends the attempt with this conclusion; its jobs stay as they are.
    pub fn conclude(&mut self, conclusion: &str) {
        "completed".clone_into(&mut self.status);
        self.conclusion = Some(conclusion.to_owned());
    }
}

impl Job {
    /// The index of the first step of that name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }

    /// The index of the step that publishes.
    pub(super) fn publish_position(&self) -> Option<usize> {
        self.steps.iter().position(Step::publishes)
    }

    /// Ends the job with this conclusion; its steps stay as they are.
    pub fn conclude(&mut self, conclusion: &str) {
        "completed".clone_into(&mut self.status);
        self.conclusion = Some(conclusion.to_owned());
    }

    /// Puts a step in, and numbers the steps again.
    pub(super) fn insert(&mut self, index: usize, step: Step) {
        self.steps.insert(index.min(self.steps.len()), step);
        for (number, step) in (1..).zip(&mut self.steps) {
            step.number = number;
        }
    }

    /// Shifts the steps behind the one at `index`, and the job's end.
    pub(super) fn shift_after(&mut self, index: usize, by: SignedDuration) {
        self.steps.iter_mut().skip(index + 1).for_each(|step| step.shift(by));
        self.completed_at = self.completed_at.map(|at| at + by);
    }
}

impl Step {
    /// A step that succeeded, with the number 0.
    pub fn successful(name: &str, started_at: Option<Timestamp>, completed_at: Option<Timestamp>) -> Self {
        Self {
            number: 0,
            name: name.to_owned(),
            status: "completed".to_owned(),
            conclusion: Some("success".to_owned()),
            started_at,
            completed_at,
        }
    }

    /// Whether it has the name of a step in which honest releases are published.
    pub(super) fn publishes(&self) -> bool {
        PUBLISH_STEPS.contains(&self.name.as_str())
    }

    /// Ends the step with this conclusion.
    pub fn conclude(&mut self, conclusion: &str) {
        "completed".clone_into(&mut self.status);
        self.conclusion = Some(conclusion.to_owned());
    }

    /// Moves the step.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.started_at = self.started_at.map(|at| at + by);
        self.completed_at = self.completed_at.map(|at| at + by);
    }

    /// How long it takes; nothing before it is completed.
    pub(super) fn takes(&self) -> SignedDuration {
        match (self.started_at, self.completed_at) {
            (Some(started), Some(completed)) => completed.duration_since(started),
            (None, _) | (_, None) => SignedDuration::ZERO,
        }
    }
}
