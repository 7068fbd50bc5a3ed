//! Asking GitHub: the stage that follows the certificate to its run and its commit.

use futures::future::join_all;
use jiff::SignedDuration;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use url::Url;

use super::wire::{self, excerpt};
use super::{Destination, is_sha};
use crate::availability::UnavailableReason;
use crate::dossier::{Answer, Body, Dossier, Kept, Observation, Subject};
use crate::ecosystem::Look;
use crate::package::names_version;
use crate::ports::{Keep, Request};

/// The most requests of one look, with the one redirect that a renamed repository takes. Without a token GitHub answers sixty
/// an hour.
pub const BUDGET: usize = 8;
/// The most pages of jobs that are read of one run, a hundred jobs each.
const JOB_PAGES: u8 = 10;
/// The largest document that is read, in bytes. A page of a hundred jobs with many steps has one to two megabytes.
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// How long a tag may follow, or a branch be merged back: an answer that says no is asked again until then.
const SETTLED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is not there this soon after publication may still come.
const STILL_MOVING: SignedDuration = SignedDuration::from_hours(1);

const JSON: &str = "application/vnd.github+json";
const RAW: &str = "application/vnd.github.raw+json";

/// Grows the dossier by what GitHub says of the run and the commit:
///
/// 1. the run itself, always, on condition that it is no longer the one remembered;
/// 2. where the run is not there: the repository by its id, the run under the repository's present name, and whether
///    older runs of the workflow are;
/// 3. its jobs, the commit, how that lies to the default branch, and the tags;
/// 4. as far as the budget reaches, further pages of jobs, the ref, pull requests, reviews and the manifest.
///
/// What was answered before and cannot change is carried over from `remembered` or the earlier dossier and costs no
/// question. If GitHub does not answer the first one, no other is asked; nor is much more if the repository is not visible.
pub async fn trace(
    mut dossier: Dossier,
    destination: &Destination,
    remembered: Vec<Observation>,
    look: &Look<'_>,
) -> Dossier {
    let mut known = remembered;
    for earlier in look.previous.into_iter().flat_map(|dossier| &dossier.observations) {
        if earlier.subject.is_of_the_forge() && !known.iter().any(|known| known.subject == earlier.subject) {
            known.push(earlier.clone());
        }
    }
    let mut tracer = Tracer {
        destination,
        look,
        known,
        repository: destination.repository.path(),
        left: BUDGET,
        seen: Vec::new(),
    };
    // A repository that was renamed before an earlier look is asked about under its present name at once.
    let known_as = tracer.known(Subject::Repository).and_then(parsed::<wire::Repository>);
    tracer.take_name(known_as, 0);
    tracer.walk().await;
    for observation in tracer.seen {
        dossier.observe(observation);
    }
    dossier
}

struct Tracer<'a> {
    destination: &'a Destination,
    look: &'a Look<'a>,
    /// What earlier looks saw.
    known: Vec<Observation>,
    /// `owner/name`, by the latest name that is known.
    repository: String,
    /// How many questions may still be asked.
    left: usize,
    seen: Vec<Observation>,
}

impl Tracer<'_> {
    async fn walk(&mut self) {
        // 1.
        self.ask(Subject::Run).await;
        if self.seen(Subject::Run).is_none_or(may_pass) {
            self.ask(Subject::Run).await;
        }
        if self.seen(Subject::Run).is_none_or(is_silence) {
            self.keep_a_snapshot();
            self.carry_everything();
            return;
        }
        self.follow_the_name();
        // 2.
        self.settle(&[Subject::Repository]).await;
        self.follow_the_name();
        if !self.has(Subject::Run) {
            self.look_for_a_missing_run().await;
            // Of a repository that is private or gone, nothing else is shown either.
            if !self.has(Subject::Repository) {
                self.carry_everything();
                return;
            }
        }
        // 3.
        self.settle(&[
            Subject::Jobs(1),
            Subject::Commit,
            Subject::OnDefaultBranch,
            Subject::Tags,
            Subject::DeclaredRepository,
        ])
        .await;
        // 4.
        let mut further = self.further_pages();
        if !self.is_contained(Subject::OnDefaultBranch) && !self.is_tagged() {
            further.push(Subject::OnRef);
        }
        further.push(Subject::PullRequests);
        if self.destination.environment.is_some() {
            further.push(Subject::Approvals);
        }
        further.push(Subject::ManifestAtCommit);
        self.settle(&further).await;
    }

    /// Carries over what is settled, and asks the rest at once, in order, as far as the budget reaches.
    async fn settle(&mut self, subjects: &[Subject]) {
        let mut requests = Vec::new();
        for &subject in subjects {
            if let Some(known) = self.carried(subject) {
                self.seen.push(known);
            } else if self.left >= cost(subject)
                && let Some(request) = self.request(subject)
            {
                self.left -= cost(subject);
                requests.push(request);
            }
        }
        let fetch = self.look.fetch;
        let answers = join_all(requests.into_iter().map(|request| fetch.fetch(request))).await;
        // Silence takes nothing away from what was answered before.
        let answers = answers
            .into_iter()
            .map(|answer| match self.known_success(answer.subject) {
                Some(known) if is_silence(&answer) && known.url == answer.url => known.clone(),
                Some(_) | None => answer,
            });
        let answers: Vec<Observation> = answers.collect();
        self.seen.extend(answers);
    }

    async fn ask(&mut self, subject: Subject) {
        if self.left == 0 {
            return;
        }
        let Some(request) = self.request(subject) else { return };
        self.left -= 1;
        let answer = self.look.fetch.fetch(request).await;
        self.seen.retain(|seen| seen.subject != subject);
        self.seen.push(answer);
    }

    /// Nobody can be asked: what was seen before stands in.
    fn carry_everything(&mut self) {
        let seen: Vec<Subject> = self.seen.iter().map(|seen| seen.subject).collect();
        let carried = self
            .known
            .iter()
            .filter(|known| !seen.contains(&known.subject))
            .cloned();
        self.seen.extend(carried);
    }

    fn keep_a_snapshot(&mut self) {
        let snapshot = [Subject::Run, Subject::RunSnapshot]
            .into_iter()
            .filter_map(|subject| self.known_success(subject))
            .max_by_key(|known| known.at)
            .cloned();
        self.seen.extend(snapshot.map(|snapshot| Observation {
            subject: Subject::RunSnapshot,
            ..snapshot
        }));
    }

    /// The run is not where the certificate says. Its repository may have been renamed while somebody else took the old
    /// name; otherwise it is kept that, and since when, GitHub has no such run.
    async fn look_for_a_missing_run(&mut self) {
        // Under the present name, if that is another than was asked about; or once more where a run that is missing accuses,
        // which one stale answer must not do.
        let elsewhere = self
            .seen(Subject::Run)
            .is_some_and(|run| !run.url.contains(&format!("/{}/", self.repository)));
        if elsewhere || self.look.at.duration_since(self.destination.signed_at) < STILL_MOVING {
            self.ask(Subject::Run).await;
        }
        if self.seen(Subject::Run).is_some_and(|run| !is_missing(run)) {
            if !self.has(Subject::Run) {
                self.keep_a_snapshot();
            }
            return;
        }
        self.keep_a_snapshot();
        // Of a repository that is not shown, nothing is missed.
        let shown = self
            .seen(Subject::Repository)
            .and_then(parsed::<wire::Repository>)
            .is_some_and(|repository| repository.private != Some(true));
        let first = self
            .known(Subject::RunFirstMissed)
            .or_else(|| self.seen(Subject::Run).filter(|_| shown));
        self.seen.extend(first.cloned().map(|first| Observation {
            subject: Subject::RunFirstMissed,
            ..first
        }));
        if self.has(Subject::Repository) {
            self.settle(&[Subject::OlderRuns]).await;
        }
    }

    /// The earlier answer to a question, if asking again could not change what follows from it.
    fn carried(&self, subject: Subject) -> Option<Observation> {
        let known = self.known(subject)?;
        let reference = self.destination.published_at;
        let answered = !is_silence(known);
        let late = answered && known.at.duration_since(reference) >= STILL_MOVING;
        let for_good = answered && known.at.duration_since(reference) >= SETTLED;
        let same = || {
            self.request(subject)
                .is_some_and(|request| request.url.as_str() == known.url)
        };
        let settled = match subject {
            Subject::Commit => parsed::<wire::Commit>(known).is_some_and(|commit| {
                let date = commit.commit.committer.and_then(|committer| committer.date);
                Some(&commit.sha) == self.destination.commit.as_ref()
                    && date.is_some()
                    && commit.commit.verification.is_some()
            }),
            Subject::ManifestAtCommit => same() && (is_document(known) || late),
            // Once contained, a commit stays so; a force push hides it later, which says nothing about the release.
            Subject::OnDefaultBranch => contains(known) || for_good,
            // Another package may have been built from another ref at the same commit.
            Subject::OnRef => same() && (contains(known) || for_good),
            Subject::Tags => tag_of(known, self.destination) || late && is_document(known),
            Subject::PullRequests => {
                parsed::<Vec<wire::PullRequest>>(known).is_some_and(|found| !found.is_empty()) || late
            }
            Subject::Approvals | Subject::OlderRuns => late,
            Subject::DeclaredRepository => same() && answered,
            // The run names its repository at every look: one that is unchanged there is asked about once.
            Subject::Repository => known.success().is_some() && self.names_the_same_repository(known),
            Subject::Jobs(_) => self.has_ended(known),
            Subject::Packument
            | Subject::VersionManifest
            | Subject::Attestations
            | Subject::Artifact
            | Subject::ArtifactAgain
            | Subject::Run
            | Subject::RunSnapshot
            | Subject::RunFirstMissed
            | Subject::StoredAttestations
            | Subject::StoredBundle(_) => false,
        };
        settled.then(|| known.clone())
    }

    /// Whether a page of jobs was seen after the run had changed for the last time, with every job at its end; or whether the
    /// run is gone, so that nobody can be asked about its jobs any more.
    fn has_ended(&self, page: &Observation) -> bool {
        let Some(jobs) = parsed::<wire::Jobs>(page) else {
            return false;
        };
        let Some(now) = self.seen(Subject::Run).filter(|_| self.has(Subject::Run)) else {
            return true;
        };
        // A job that ended is shown with the times of its steps, unless it was skipped as a whole.
        let is_whole = |job: &wire::Job| {
            let mut steps = job.steps.iter().flatten();
            job.status.as_deref() == Some("completed")
                && (job.conclusion.as_deref() == Some("skipped") || steps.any(|step| step.started_at.is_some()))
        };
        parsed::<wire::Run>(now).is_some_and(|run| {
            run.status == "completed"
                && run.updated_at.is_some_and(|updated| page.at >= updated)
                && !jobs.jobs.is_empty()
                && jobs.jobs.iter().all(is_whole)
        })
    }

    fn names_the_same_repository(&self, known: &Observation) -> bool {
        let Some(run) = self.seen(Subject::Run).and_then(parsed::<wire::Run>) else {
            return false;
        };
        match (run.repository, parsed::<wire::Repository>(known)) {
            (Some(now), Some(before)) => {
                now.id == before.id && now.full_name == before.full_name && now.private == before.private
            }
            (_, _) => false,
        }
    }

    /// Further questions go to the repository's present name: every redirect would be one more request.
    fn follow_the_name(&mut self) {
        let named = self
            .seen(Subject::Repository)
            .and_then(parsed::<wire::Repository>)
            .or_else(|| self.seen(Subject::Run).and_then(parsed::<wire::Run>)?.repository);
        // The question that led here was answered through a redirect.
        self.take_name(named, 1);
    }

    /// Takes another name of the same repository, which has cost so many redirects.
    fn take_name(&mut self, named: Option<wire::Repository>, redirects: usize) {
        let Some(named) = named else { return };
        let same = self.destination.repository_id == Some(named.id.0);
        let path = crate::attestation::RepositoryUri::parse(&named.full_name).map(|repository| repository.path());
        if let Some(path) = path.filter(|path| same && !path.eq_ignore_ascii_case(&self.repository)) {
            self.repository = path;
            self.left = self.left.saturating_sub(redirects);
        }
    }

    /// The pages of jobs after the first, as far as there are any.
    fn further_pages(&self) -> Vec<Subject> {
        let total = self
            .seen(Subject::Jobs(1))
            .and_then(parsed::<wire::Jobs>)
            .map_or(0, |jobs| jobs.total_count);
        (2..=JOB_PAGES)
            .take_while(|page| u64::from(*page - 1) * 100 < total)
            .map(Subject::Jobs)
            .collect()
    }

    fn is_contained(&self, subject: Subject) -> bool {
        self.seen(subject).is_some_and(contains)
    }

    fn is_tagged(&self) -> bool {
        let commit = self.destination.commit.as_deref();
        self.seen(Subject::Tags)
            .and_then(parsed::<Vec<wire::Tag>>)
            .is_some_and(|tags| tags.iter().any(|tag| Some(tag.commit.sha.as_str()) == commit))
    }

    fn seen(&self, subject: Subject) -> Option<&Observation> {
        self.seen.iter().find(|seen| seen.subject == subject)
    }

    fn has(&self, subject: Subject) -> bool {
        self.seen(subject).is_some_and(is_document)
    }

    fn known(&self, subject: Subject) -> Option<&Observation> {
        self.known.iter().find(|known| known.subject == subject)
    }

    fn known_success(&self, subject: Subject) -> Option<&Observation> {
        self.known(subject).filter(|known| is_document(known))
    }

    /// The request for a subject; `None` where the certificate or an earlier answer does not name what it is about.
    fn request(&self, subject: Subject) -> Option<Request> {
        let destination = self.destination;
        let repository = format!("repos/{}", self.repository);
        let attempt = format!(
            "{repository}/actions/runs/{}/attempts/{}",
            destination.run, destination.attempt
        );
        let commit = destination.commit.as_deref();
        let here = || Some(format!("{repository}/commits/{}", commit?));
        let (path, accept, keep) = match subject {
            Subject::Run => (Some(attempt), JSON, reduced::<wire::Run>()),
            Subject::Jobs(page) => (
                Some(format!("{attempt}/jobs?per_page=100&page={page}")),
                JSON,
                reduced::<wire::Jobs>(),
            ),
            Subject::OlderRuns => {
                let file = destination.workflow.as_deref()?.rsplit('/').next()?;
                let before = destination.signed_at.checked_sub(SignedDuration::from_hours(1)).ok()?;
                let path = format!(
                    "{repository}/actions/workflows/{}/runs?per_page=1&status=success&created=%3C{}",
                    segment(file),
                    before.strftime("%Y-%m-%dT%H:%M:%SZ")
                );
                (Some(path), JSON, reduced::<wire::Runs>())
            }
            Subject::Approvals => (
                Some(format!("{repository}/actions/runs/{}/approvals", destination.run)),
                JSON,
                reduced::<Vec<wire::Approval>>(),
            ),
            Subject::Repository => {
                let path = destination
                    .repository_id
                    .map_or_else(|| repository.clone(), |id| format!("repositories/{id}"));
                (Some(path), JSON, reduced::<wire::Repository>())
            }
            Subject::DeclaredRepository => {
                // Where the package gives the present name, the repository by its id has told.
                let declared = destination.declared.as_ref()?;
                if declared.path().eq_ignore_ascii_case(&self.repository) {
                    return None;
                }
                (
                    Some(format!("repos/{}", declared.path())),
                    JSON,
                    reduced::<wire::Repository>(),
                )
            }
            Subject::Commit => (here(), JSON, reduced::<wire::Commit>()),
            Subject::OnDefaultBranch => {
                let branch = self.default_branch()?;
                (
                    commit.map(|commit| comparison(&repository, &branch, commit)),
                    JSON,
                    reduced::<wire::Comparison>(),
                )
            }
            Subject::OnRef => {
                let name = bare(destination.r#ref.as_deref()?)?;
                let is_default = self.default_branch().as_deref() == Some(name);
                (
                    commit
                        .filter(|_| !is_default)
                        .map(|commit| comparison(&repository, name, commit)),
                    JSON,
                    reduced::<wire::Comparison>(),
                )
            }
            Subject::Tags => (
                Some(format!("{repository}/tags?per_page=100")),
                JSON,
                reduced::<Vec<wire::Tag>>(),
            ),
            Subject::PullRequests => (
                here().map(|path| format!("{path}/pulls?per_page=10")),
                JSON,
                reduced::<Vec<wire::PullRequest>>(),
            ),
            Subject::ManifestAtCommit => {
                let file = manifest_path(&destination.folder);
                (
                    commit.map(|commit| format!("{repository}/contents/{file}?ref={commit}")),
                    RAW,
                    reduced::<wire::Manifest>(),
                )
            }
            Subject::Packument
            | Subject::VersionManifest
            | Subject::Attestations
            | Subject::Artifact
            | Subject::ArtifactAgain
            | Subject::RunSnapshot
            | Subject::RunFirstMissed
            | Subject::StoredAttestations
            | Subject::StoredBundle(_) => return None,
        };
        let base = self.look.upstreams.github.as_str().trim_end_matches('/');
        Some(Request {
            subject,
            url: Url::parse(&format!("{base}/{}", path?)).ok()?,
            accept,
            keep,
            limit: DOCUMENT_LIMIT,
            at: self.look.at,
            previous: self.known_success(subject).cloned(),
            uncached: subject == Subject::Run && self.seen(Subject::Run).is_some_and(is_missing),
            // The budget counts every question: what is worth asking again is asked again from here.
            insist: false,
        })
    }

    fn default_branch(&self) -> Option<String> {
        self.seen(Subject::Repository)
            .and_then(parsed::<wire::Repository>)?
            .default_branch
            .filter(|branch| is_ref_name(branch))
    }
}

/// How many requests a question takes: the name that a package gives may be one that leads elsewhere.
fn cost(subject: Subject) -> usize {
    if subject == Subject::DeclaredRepository { 2 } else { 1 }
}

/// Whether an observation holds a document of its kind: one that could be reduced.
pub(super) fn is_document(observation: &Observation) -> bool {
    observation
        .success()
        .is_some_and(|response| matches!(response.kept, Kept::Excerpt { .. }))
}

/// Whether an observation says nothing of what was asked about: no answer, another document, or a status that neither shows
/// it nor says that it is not there.
fn is_silence(observation: &Observation) -> bool {
    match &observation.answer {
        Answer::Unanswered { .. } => true,
        Answer::Answered(_) if observation.success().is_some() => !is_document(observation),
        Answer::Answered(response) => !matches!(response.status, 404 | 409 | 410 | 422),
    }
}

/// Whether an observation says that what was asked about is not there.
fn is_missing(observation: &Observation) -> bool {
    matches!(&observation.answer, Answer::Answered(response) if matches!(response.status, 404 | 410))
}

/// Whether there was no answer for a reason that may have passed by now.
fn may_pass(observation: &Observation) -> bool {
    matches!(
        observation.answer,
        Answer::Unanswered {
            reason: UnavailableReason::Unreachable,
            ..
        }
    )
}

fn reduced<T: DeserializeOwned + Serialize + 'static>() -> Keep {
    Keep::Excerpt(Arc::new(excerpt::<T>))
}

/// One comparison shows a page of commits and up to 300 files; one commit of them is the least that can be asked for.
fn comparison(repository: &str, base: &str, commit: &str) -> String {
    format!("{repository}/compare/{}...{commit}?per_page=1", path(base))
}

/// `package.json` in a folder of the repository. Parents and empty segments are left out: the folder is a claim.
fn manifest_path(folder: &str) -> String {
    let mut segments: Vec<String> = folder
        .split('/')
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .map(segment)
        .collect();
    segments.push("package.json".to_owned());
    segments.join("/")
}

fn path(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
        .replace("%5F", "_")
}

/// The name of a branch or tag without `refs/heads/` or `refs/tags/`. Other refs, such as those of pull requests, cannot be
/// compared with.
pub fn bare(full: &str) -> Option<&str> {
    full.strip_prefix("refs/heads/")
        .or_else(|| full.strip_prefix("refs/tags/"))
        .filter(|name| is_ref_name(name))
}

/// Whether a name can be one of a branch or tag, and stays one in a URL (`git help check-ref-format`).
fn is_ref_name(name: &str) -> bool {
    !name.is_empty()
        && !is_sha(name)
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && !name.contains("..")
}

/// Whether a comparison shows that the ref contains the commit: then the commit is behind it, or its tip.
fn contains(observation: &Observation) -> bool {
    parsed::<wire::Comparison>(observation).is_some_and(|comparison| comparison.contains_the_commit())
}

fn tag_of(observation: &Observation, destination: &Destination) -> bool {
    parsed::<Vec<wire::Tag>>(observation).is_some_and(|tags| {
        tags.iter()
            .any(|tag| names_version(&tag.name, destination.package.name(), destination.package.version()))
    })
}

/// The document of an answer that said what was asked for.
pub(super) fn parsed<T: DeserializeOwned>(observation: &Observation) -> Option<T> {
    match &observation.success()?.kept {
        Kept::Whole { body: Body(bytes) } | Kept::Excerpt { body: Body(bytes) } => serde_json::from_slice(bytes).ok(),
        Kept::Archive { .. } | Kept::Nothing => None,
    }
}
