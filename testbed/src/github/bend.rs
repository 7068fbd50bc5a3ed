//! The ways in which runs are bent, and how several releases fit into one.

use super::{Job, Run, Step};
use jiff::{SignedDuration, Timestamp};

/// How long before the signing time the publish step begins.
const LEAD: SignedDuration = SignedDuration::from_secs(6);
/// And how long after it the step ends.
const TAIL: SignedDuration = SignedDuration::from_secs(4);
/// How long a step takes that fails after the publication.
const FAILURE: SignedDuration = SignedDuration::from_secs(3);

impl Run {
    /// Lets a later step of the publishing job fail, and the run with it.
    pub fn fail_after_publish(&mut self) {
        self.conclude("failure");
        self.updated_at += FAILURE;
        for job in &mut self.jobs {
            let Some(publish) = job.publish_position() else {
                continue;
            };
            job.conclude("failure");
            let begin = job.steps.get(publish).and_then(|step| step.completed_at);
            let mut step = Step::successful("Run ./notify.sh", begin, begin.map(|begin| begin + FAILURE));
            step.conclude("failure");
            job.insert(publish + 1, step);
            job.shift_after(publish + 1, FAILURE);
        }
    }

    /// Skips the publish step of a run that fails, and lets the signing time fall into the step of the given name.
    ///
    /// A step before the publish step lasts until after the signing, and fails. A step behind it begins before the
    /// signing, and it is the step before the publish step that fails. A step that the job does not have is put before
    /// the publish step.
    pub fn skip_publish_and_sign_in(&mut self, name: &str) {
        self.conclude("failure");
        for job in &mut self.jobs {
            if let Some(publish) = job.publish_position() {
                job.conclude("failure");
                job.skip_publish_and_sign_in(publish, name);
            }
        }
    }

    /// Shows the run as it was at `at`, in the middle of its work.
    pub fn in_progress_at(&mut self, at: Timestamp) {
        "in_progress".clone_into(&mut self.status);
        self.conclusion = None;
        self.updated_at = at;
        for job in &mut self.jobs {
            let (started, completed) = (&mut job.started_at, &mut job.completed_at);
            rewind(at, "queued", &mut job.status, &mut job.conclusion, started, completed);
            for step in &mut job.steps {
                let (started, completed) = (&mut step.started_at, &mut step.completed_at);
                rewind(
                    at,
                    "pending",
                    &mut step.status,
                    &mut step.conclusion,
                    started,
                    completed,
                );
            }
        }
    }

    /// Widens the publish step until it covers a signing at `at`, and shifts what comes before and after it.
    pub(super) fn cover(&mut self, at: Timestamp) {
        let (begin, end) = publish_step_around(at);
        for job in &mut self.jobs {
            let Some(publish) = job.publish_position() else {
                continue;
            };
            let Some(step) = job.steps.get_mut(publish) else {
                continue;
            };
            let earlier = step
                .started_at
                .map_or(SignedDuration::ZERO, |started| started.duration_since(begin));
            let later = step
                .completed_at
                .map_or(SignedDuration::ZERO, |completed| end.duration_since(completed));
            if earlier.is_positive() {
                step.started_at = Some(begin);
                job.started_at = job.started_at.map(|at| at - earlier);
                self.created_at -= earlier;
                self.run_started_at -= earlier;
                job.steps.iter_mut().take(publish).for_each(|step| step.shift(-earlier));
            }
            if later.is_positive() {
                if let Some(step) = job.steps.get_mut(publish) {
                    step.completed_at = Some(end);
                }
                job.shift_after(publish, later);
                self.updated_at += later;
            }
        }
    }

    /// Moves the attempt; the run was created when it was.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.run_started_at += by;
        self.updated_at += by;
        for job in &mut self.jobs {
            job.started_at = job.started_at.map(|at| at + by);
            job.completed_at = job.completed_at.map(|at| at + by);
            job.steps.iter_mut().for_each(|step| step.shift(by));
        }
    }
}

impl Job {
    /// The part of [`Run::skip_publish_and_sign_in`] that concerns the job, whose publish step has that index.
    fn skip_publish_and_sign_in(&mut self, publish: usize, name: &str) {
        let Some(step) = self.steps.get(publish) else {
            return;
        };
        let (begin, end) = (step.started_at, step.completed_at);
        let (publish, signing) = if let Some(signing) = self.position(name) {
            (publish, signing)
        } else {
            self.insert(publish, Step::successful(name, begin, end));
            (publish + 1, publish)
        };
        if signing < publish {
            for (index, step) in self.steps.iter_mut().enumerate().take(publish + 1).skip(signing) {
                if index == signing {
                    step.completed_at = end;
                    step.conclude("failure");
                } else {
                    (step.started_at, step.completed_at) = (end, end);
                    step.conclude("skipped");
                }
            }
        } else {
            let mut clock = begin;
            for (index, step) in self.steps.iter_mut().enumerate().take(signing + 1) {
                if index + 1 == publish {
                    step.conclude("failure");
                } else if index == publish {
                    (step.started_at, step.completed_at) = (begin, begin);
                    step.conclude("skipped");
                } else if index == signing {
                    step.started_at = clock;
                } else if index > publish {
                    let takes = step.takes();
                    step.started_at = clock;
                    clock = clock.map(|clock| clock + takes);
                    step.completed_at = clock;
                }
            }
        }
    }
}

/// The beginning and end of a publish step that signs at `at`, to the second.
pub(super) fn publish_step_around(at: Timestamp) -> (Timestamp, Timestamp) {
    let second = Timestamp::from_second(at.as_second()).unwrap_or(at);
    (second - LEAD, second + TAIL)
}

/// Undoes what happened to a job or step after `at`.
fn rewind(
    at: Timestamp,
    waiting: &str,
    status: &mut String,
    conclusion: &mut Option<String>,
    started_at: &mut Option<Timestamp>,
    completed_at: &mut Option<Timestamp>,
) {
    if completed_at.is_some_and(|completed| completed <= at) {
        return;
    }
    *conclusion = None;
    *completed_at = None;
    if started_at.is_some_and(|started| started <= at) {
        "in_progress".clone_into(status);
    } else {
        *started_at = None;
        waiting.clone_into(status);
    }
}
