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
use crate::dossier::{Answer, Dossier, Kept, Observation, Subject};
use crate::ecosystem::{Look, Registry};
use crate::package::names_version;
use crate::ports::{Keep, Request};

/// The most requests of one look, every redirect counted as one more. Without a token GitHub answers sixty an hour.
pub const BUDGET: usize = 8;
/// The most pages of jobs that are read of one run, a hundred jobs each.
const JOB_PAGES: u8 = 10;
/// The largest document that is read, in bytes. A page of a hundred jobs with many steps has one to two megabytes.
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// How long a tag may follow, or a branch be merged back: an answer that says no is asked again until then.
const SETTLED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What is not there this soon after publication may still come.
const STILL_MOVING: SignedDuration = SignedDuration::from_hours(1);
/// For how long an answer stands that may still change: less than the ten minutes to the first scheduled look.
const JUST_ANSWERED: SignedDuration = SignedDuration::from_mins(5);
/// For how long an answer that says no stands once the first hour is over: less than the day to the next scheduled look.
const LATELY_ANSWERED: SignedDuration = SignedDuration::from_hours(12);

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
/// What was answered before and cannot change is carried over from `remembered` or the earlier dossier and costs no request.
/// So is what may still change but was answered a moment ago, so that a repeated look costs the one request for the run:
///
/// - an answer of the first hour after publication for five minutes, and never beyond that hour;
/// - later, an answer that says no (a commit that is not on a branch, the jobs of a run that has not ended) for twelve hours,
///   and one that something is not there for five minutes: the scheduled looks, ten minutes, an hour, a day and a week after
///   publication, ask again;
/// - of a run that is missing once more, the repository, unless the run was shown since it was asked for; the jobs and
///   approvals of a run that is not shown are never asked for.
///
/// What the budget did not reach is asked at the next look. Silence is never carried over as an answer. If GitHub does not
/// answer the first question, no other is asked; nor is much more if the repository is not visible.
///
/// Never more than `left` requests are made, which are [`BUDGET`] for all destinations of a look, whatever GitHub answers: the
/// redirects that a question may take are set aside before it is asked, and given back as far as its answer did not take them.
pub async fn trace(
    mut dossier: Dossier,
    destination: &Destination,
    remembered: Vec<Observation>,
    look: &Look<'_>,
    left: &mut usize,
) -> Dossier {
    // What was seen of another run, and of its commit, says nothing of this one.
    let previous = look.previous.map(|dossier| dossier.part(&destination.about));
    let previous = previous.filter(|previous| is_of_run(previous, destination));
    let look = &Look {
        previous: previous.as_ref(),
        ..*look
    };
    let mut known = remembered;
    for earlier in look.previous.into_iter().flat_map(|dossier| &dossier.observations) {
        if earlier.subject.is_of_the_trace() && !known.iter().any(|known| known.subject == earlier.subject) {
            known.push(earlier.clone());
        }
    }
    let mut tracer = Tracer {
        destination,
        look,
        known,
        repository: destination.repository.path(),
        left: *left,
        seen: Vec::new(),
    };
    // A repository that was renamed before an earlier look is asked about under its present name at once.
    let known_as = tracer.known(Subject::Repository).and_then(parsed::<wire::Repository>);
    tracer.take_name(known_as);
    tracer.walk().await;
    tracer.drop_tags();
    *left = tracer.left;
    dossier.observe_part(&destination.about, tracer.seen);
    dossier
}

/// Whether what an earlier look saw was of the run attempt that is to be traced.
fn is_of_run(previous: &Dossier, destination: &Destination) -> bool {
    let attempt = format!("/actions/runs/{}/attempts/{}", destination.run, destination.attempt);
    [Subject::Run, Subject::RunSnapshot]
        .into_iter()
        .filter_map(|subject| previous.observation(subject))
        .any(|seen| seen.url.ends_with(&attempt))
}

struct Tracer<'a> {
    destination: &'a Destination,
    look: &'a Look<'a>,
    /// What earlier looks saw.
    known: Vec<Observation>,
    /// `owner/name`, by the latest name that is known.
    repository: String,
    /// How many requests may still be made.
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
                // Where nothing but the name that is expected ties it to a repository, that one may still tell that it is another.
                if !self.registry().has_inner_manifest() {
                    self.settle(&[Subject::DeclaredRepository]).await;
                }
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

    /// Drops the entity tags of settled answers: of this package nobody asks for those again, and a tag is as long as a digest. Another
    /// package of the commit, published later, may ask once more whether it is on the default branch and which pull requests it has,
    /// and gets whole answers. Lists of tags grow, and keep theirs.
    fn drop_tags(&mut self) {
        let settled = self
            .seen
            .iter()
            .map(|seen| seen.subject != Subject::Tags && self.is_settled(seen));
        let settled: Vec<bool> = settled.collect();
        for (seen, is_settled) in self.seen.iter_mut().zip(settled) {
            if let (Answer::Answered(response), true) = (&mut seen.answer, is_settled) {
                response.etag = None;
            }
        }
    }

    /// Carries over what need not be asked, and asks the rest at once, in order, as far as the budget reaches.
    async fn settle(&mut self, subjects: &[Subject]) {
        let mut requests = Vec::new();
        for &subject in subjects {
            if let Some(known) = self.carried(subject) {
                self.seen.push(known);
            } else if may_be_asked(subject, self.has(Subject::Run)) {
                requests.extend(self.reserve(subject));
            }
        }
        let allowed: Vec<u8> = requests.iter().map(|request| request.redirects).collect();
        let fetch = self.look.fetch;
        let answers = join_all(requests.into_iter().map(|request| fetch.fetch(request))).await;
        for (allowed, answer) in allowed.into_iter().zip(&answers) {
            self.give_back(allowed, answer);
        }
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

    /// The request for a subject, if as many requests are left as it may take. They are set aside until it is answered.
    fn reserve(&mut self, subject: Subject) -> Option<Request> {
        let request = self.request(subject)?;
        self.left = self.left.checked_sub(1 + usize::from(request.redirects))?;
        Some(request)
    }

    /// Gives back the redirects that were set aside and not taken. What a question took that got no answer is not known.
    fn give_back(&mut self, allowed: u8, answer: &Observation) {
        let taken = match &answer.answer {
            Answer::Answered(response) => response.redirects,
            Answer::Unanswered { .. } => allowed,
        };
        self.left += usize::from(allowed.saturating_sub(taken));
    }

    async fn ask(&mut self, subject: Subject) {
        let Some(request) = self.reserve(subject) else { return };
        let allowed = request.redirects;
        let answer = self.look.fetch.fetch(request).await;
        self.give_back(allowed, &answer);
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
        // Of a repository that is not shown, nothing is missed.
        let shown = self.seen(Subject::Repository).is_some_and(is_public);
        // Under the present name, if that is another than was asked about; or once more where a run that is missing accuses
        // for the first time, which one stale answer must not do.
        let elsewhere = self
            .seen(Subject::Run)
            .is_some_and(|run| !run.url.contains(&format!("/{}/", self.repository)));
        let accuses = shown
            && self.known(Subject::RunFirstMissed).is_none()
            && self.look.at.duration_since(self.destination.signed_at) < STILL_MOVING;
        if elsewhere || accuses {
            self.ask(Subject::Run).await;
        }
        if self.seen(Subject::Run).is_some_and(|run| !is_missing(run)) {
            if !self.has(Subject::Run) {
                self.keep_a_snapshot();
            }
            return;
        }
        self.keep_a_snapshot();
        let first = self
            .known(Subject::RunFirstMissed)
            .or_else(|| self.seen(Subject::Run).filter(|_| shown));
        let at_once =
            first.is_some_and(|first| first.at.duration_since(self.destination.signed_at).abs() < STILL_MOVING);
        self.seen.extend(first.cloned().map(|first| Observation {
            subject: Subject::RunFirstMissed,
            ..first
        }));
        // A run that was missing at once was not purged, whatever became of older ones.
        let may_be_purged = !at_once || self.seen(Subject::RunSnapshot).is_some();
        if may_be_purged && self.has(Subject::Repository) {
            self.settle(&[Subject::OlderRuns]).await;
        }
    }

    /// The earlier answer to a question that need not be asked: because asking again could not change what follows from it,
    /// or because it was asked a moment ago.
    fn carried(&self, subject: Subject) -> Option<Observation> {
        let is_of_the_run = matches!(subject, Subject::Jobs(_) | Subject::Approvals);
        let carried = if is_of_the_run && !self.has(Subject::Run) {
            self.known_success(subject).or_else(|| self.latest(subject))
        } else if subject == Subject::Repository && self.seen(Subject::Run).is_some_and(is_missing) {
            self.latest(subject).filter(|known| self.still_stands(known))
        } else {
            let settled = self.known(subject).filter(|known| self.is_settled(known));
            settled.or_else(|| self.latest(subject).filter(|known| self.was_just_answered(known)))
        };
        carried.cloned()
    }

    /// Whether what was answered of the repository still stands for a run that is missing: it was asked for when the run was
    /// missing already, or was not shown once it had to be.
    fn still_stands(&self, repository: &Observation) -> bool {
        let shown_last = [Subject::Run, Subject::RunSnapshot]
            .into_iter()
            .filter_map(|subject| self.known_success(subject))
            .map(|run| run.at)
            .max();
        let hidden = !is_public(repository);
        let late = repository.at.duration_since(self.destination.published_at) >= STILL_MOVING;
        let missed = self
            .known(Subject::RunFirstMissed)
            .is_some_and(|first| repository.at >= first.at);
        shown_last.is_none_or(|shown| shown < repository.at)
            && (missed || hidden && (late || self.was_just_answered(repository)))
    }

    /// Whether an answer that may still change was given so lately that it stands.
    fn was_just_answered(&self, known: &Observation) -> bool {
        let subject = known.subject;
        let published = self.destination.published_at;
        let is_early = |at: jiff::Timestamp| at.duration_since(published) < STILL_MOVING;
        let early = is_early(self.look.at);
        if is_early(known.at) != early {
            return false;
        }
        let comparison = || parsed::<wire::Comparison>(known);
        let says_no = match subject {
            // What a run that has ended shows of its jobs is settled, or was read too early.
            Subject::Jobs(_) if self.run_has_ended() && is_document(known) => return false,
            // One that is shown is compared with what the run names.
            Subject::Repository if is_document(known) && is_public(known) => return false,
            Subject::OnDefaultBranch => comparison().is_some_and(|shown| shown.lacks_the_commit()),
            // A branch that is not there any more contains nothing.
            Subject::OnRef => is_missing(known) || comparison().is_some_and(|shown| shown.lacks_the_commit()),
            Subject::Jobs(_) => is_document(known),
            Subject::Packument
            | Subject::VersionManifest
            | Subject::Attestations
            | Subject::Artifact
            | Subject::ArtifactAgain
            | Subject::Run
            | Subject::RunSnapshot
            | Subject::RunFirstMissed
            | Subject::OlderRuns
            | Subject::Approvals
            | Subject::Repository
            | Subject::DeclaredRepository
            | Subject::Commit
            | Subject::Tags
            | Subject::PullRequests
            | Subject::ManifestAtCommit
            | Subject::StoredAttestations
            | Subject::StoredBundle(_)
            | Subject::ListingRepository
            | Subject::ChangeFeed
            | Subject::PeerVerdict
            | Subject::PackageIndex => false,
        };
        let age = self.look.at.duration_since(known.at);
        let limit = if early || !says_no {
            JUST_ANSWERED
        } else {
            LATELY_ANSWERED
        };
        let is_young = !age.is_negative() && age < limit;
        is_young
            && self
                .request(subject)
                .is_some_and(|request| request.url.as_str() == known.url)
    }

    /// Whether asking again could not change what follows from an answer.
    fn is_settled(&self, known: &Observation) -> bool {
        let subject = known.subject;
        let reference = self.destination.published_at;
        let answered = !is_silence(known);
        let late = answered && known.at.duration_since(reference) >= STILL_MOVING;
        let for_good = answered && known.at.duration_since(reference) >= SETTLED;
        let same = || {
            self.request(subject)
                .is_some_and(|request| request.url.as_str() == known.url)
        };
        match subject {
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
            | Subject::StoredBundle(_)
            | Subject::ListingRepository
            | Subject::ChangeFeed
            | Subject::PeerVerdict
            | Subject::PackageIndex => false,
        }
    }

    /// Whether a page of jobs was seen after the run had changed for the last time, with every job at its end.
    fn has_ended(&self, page: &Observation) -> bool {
        let Some(jobs) = parsed::<wire::Jobs>(page) else {
            return false;
        };
        self.run_has_ended()
            && self
                .seen(Subject::Run)
                .and_then(parsed::<wire::Run>)
                .and_then(|run| run.updated_at)
                .is_some_and(|updated| page.at >= updated)
            && !jobs.jobs.is_empty()
            && jobs.jobs.iter().all(is_whole)
    }

    fn run_has_ended(&self) -> bool {
        self.seen(Subject::Run)
            .and_then(parsed::<wire::Run>)
            .is_some_and(|run| run.status == "completed")
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

    /// Further questions go to the repository's present name: none of them may be redirected.
    fn follow_the_name(&mut self) {
        let named = self
            .seen(Subject::Repository)
            .and_then(parsed::<wire::Repository>)
            .or_else(|| self.seen(Subject::Run).and_then(parsed::<wire::Run>)?.repository);
        self.take_name(named);
    }

    /// Takes another name of the same repository.
    fn take_name(&mut self, named: Option<wire::Repository>) {
        let Some(named) = named else { return };
        let same = self.destination.repository_id == Some(named.id.0);
        let path = crate::attestation::RepositoryUri::parse(&named.full_name).map(|repository| repository.path());
        if let Some(path) = path.filter(|path| same && !path.eq_ignore_ascii_case(&self.repository)) {
            self.repository = path;
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
        let tags = self.seen(Subject::Tags).and_then(parsed::<Vec<wire::Tag>>);
        let commit = self.destination.commit.as_deref();
        tags.zip(commit)
            .is_some_and(|(tags, commit)| tags.iter().any(|tag| tag.leads_to(commit)))
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

    /// The latest answer to a question, where an earlier one may have said more.
    fn latest(&self, subject: Subject) -> Option<&Observation> {
        let previous = self.look.previous.and_then(|dossier| dossier.observation(subject));
        [self.known(subject), previous]
            .into_iter()
            .flatten()
            .filter(|known| !is_silence(known))
            .max_by_key(|known| known.at)
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
                self.registry()
                    .is_versioned_by_its_source()
                    .then(|| format!("{repository}/tags?per_page=100")),
                JSON,
                reduced_tags(destination),
            ),
            Subject::PullRequests => (
                here().map(|path| format!("{path}/pulls?per_page=10")),
                JSON,
                reduced::<Vec<wire::PullRequest>>(),
            ),
            Subject::ManifestAtCommit => {
                let file = manifest_path(&destination.folder, self.registry().manifest()?);
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
            | Subject::StoredBundle(_)
            | Subject::ListingRepository
            | Subject::ChangeFeed
            | Subject::PeerVerdict
            | Subject::PackageIndex => return None,
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
            modified_since: None,
            post: None,
            uncached: subject == Subject::Run && self.seen(Subject::Run).is_some_and(is_missing),
            // The budget counts every request: what is worth asking again is asked again from here.
            insist: false,
            redirects: redirects(subject),
        })
    }

    /// The rules of the ecosystem that is traced.
    fn registry(&self) -> &'static dyn Registry {
        self.destination.package.ecosystem().registry()
    }

    fn default_branch(&self) -> Option<String> {
        self.seen(Subject::Repository)
            .and_then(parsed::<wire::Repository>)?
            .default_branch
            .filter(|branch| is_ref_name(branch))
    }
}

/// How many redirects a question may take: only the names in the certificate and in the package may be former ones, and GitHub
/// leads from any of those to the repository's id at once.
fn redirects(subject: Subject) -> u8 {
    u8::from(matches!(subject, Subject::Run | Subject::DeclaredRepository))
}

/// Whether there is anybody to ask: with a run that is not shown, its jobs and approvals are not, either.
fn may_be_asked(subject: Subject, run_is_shown: bool) -> bool {
    run_is_shown || !matches!(subject, Subject::Jobs(_) | Subject::Approvals)
}

/// Whether a job that ended is shown as it will stay: with the times of its steps, unless it was skipped as a whole or
/// cancelled before it began. Steps that are left out may be shown yet.
fn is_whole(job: &wire::Job) -> bool {
    let timed = |step: &wire::Step| step.started_at.is_some();
    job.status.as_deref() == Some("completed")
        && match (job.conclusion.as_deref(), job.steps.as_deref()) {
            (Some("skipped"), _) | (Some("cancelled"), Some([])) => true,
            (_, steps) => steps.is_some_and(|steps| steps.iter().any(timed)),
        }
}

/// Whether an answer shows a repository that everybody may see.
fn is_public(repository: &Observation) -> bool {
    parsed::<wire::Repository>(repository).is_some_and(|repository| repository.private != Some(true))
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

/// Keeps tags with the commits that they lead to: whole of those that lead to the commit, name the version, or are the ref that was
/// built.
fn reduced_tags(destination: &Destination) -> Keep {
    let (commit, package) = (destination.commit.clone(), destination.package.clone());
    let built = destination.r#ref.as_deref();
    let built = built
        .and_then(|built| built.strip_prefix("refs/tags/"))
        .map(str::to_owned);
    Keep::Excerpt(Arc::new(move |bytes: &[u8]| {
        wire::excerpt_of_tags(bytes, |tag| {
            commit.as_deref().is_some_and(|commit| tag.leads_to(commit))
                || built.as_ref() == Some(&tag.name)
                || names_version(&tag.name, package.name(), package.version())
        })
    }))
}

/// One comparison shows a page of commits and up to 300 files; one commit of them is the least that can be asked for.
fn comparison(repository: &str, base: &str, commit: &str) -> String {
    format!("{repository}/compare/{}...{commit}?per_page=1", path(base))
}

/// The manifest in a folder of the repository. Parents and empty segments are left out: the folder is a claim.
fn manifest_path(folder: &str, manifest: &str) -> String {
    let mut segments: Vec<String> = folder
        .split('/')
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .map(segment)
        .collect();
    segments.push(segment(manifest));
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
    serde_json::from_slice(observation.success()?.kept.document()?).ok()
}
