//! What a dossier holds of GitHub's answers.

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::ask::parsed;
use super::{Destination, wire};
use crate::availability::{Availability, Unavailable, UnavailableReason};
use crate::dossier::{Answer, Dossier, Observation, Subject};
use crate::package::Digest;

/// A document of GitHub, with when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The document.
    pub value: T,
    /// The look that saw it.
    pub at: Timestamp,
    /// Digest of the document.
    pub evidence: Digest,
}

/// What became of a question to GitHub; `None` if it was not asked.
pub type Reply<T> = Option<Availability<Seen<T>>>;

/// How the run is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// GitHub shows it.
    Live(Seen<wire::Run>),
    /// GitHub showed it at an earlier look, and does not now.
    Snapshot {
        /// What it showed.
        seen: Seen<wire::Run>,
        /// Why it does not now: nothing if it says that there is no such run.
        now: Option<Unavailable>,
    },
    /// GitHub says that there is no such run, and nobody saw it before.
    Missing {
        /// The first look to which it said so.
        first: Timestamp,
    },
    /// GitHub did not say.
    Unavailable(Unavailable),
}

/// Everything that GitHub said of the run and the commit that a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What was asked about.
    pub destination: Destination,
    /// The run; `None` if nobody was asked about it.
    pub run: Option<Sight>,
    /// Its jobs, of all pages that were read.
    pub jobs: Reply<Vec<wire::Job>>,
    /// Whether these are all jobs of the run.
    pub all_jobs: bool,
    /// Older runs of the same workflow that succeeded.
    pub older_runs: Reply<wire::Runs>,
    /// Reviews by the environment's gate.
    pub approvals: Reply<Vec<wire::Approval>>,
    /// The repository.
    pub repository: Reply<wire::Repository>,
    /// The repository that the package names, where that is another name than the certificate's.
    pub declared_repository: Reply<wire::Repository>,
    /// The commit.
    pub commit: Reply<wire::Commit>,
    /// The commit against the default branch.
    pub on_default_branch: Reply<wire::Comparison>,
    /// The commit against the ref that was built.
    pub on_ref: Reply<wire::Comparison>,
    /// Tags, a hundred at most.
    pub tags: Reply<Vec<wire::Tag>>,
    /// Pull requests that brought the commit.
    pub pull_requests: Reply<Vec<wire::PullRequest>>,
    /// The package's manifest at the commit.
    pub manifest: Reply<wire::Manifest>,
}

impl Trace {
    /// Reads what a dossier holds of a destination.
    pub fn read(destination: Destination, dossier: &Dossier) -> Self {
        let dossier = &dossier.part(&destination.about);
        let (jobs, all_jobs) = jobs(&destination, dossier);
        let run = sight(&destination, dossier);
        let commit = reply::<wire::Commit>(dossier, Subject::Commit).map(|reply| {
            // An answer about another commit is no answer.
            match reply {
                Availability::Present(seen) if Some(&seen.value.sha) != destination.commit.as_ref() => {
                    malformed(dossier, Subject::Commit, "the answer is about another commit")
                }
                reply @ (Availability::Present(_) | Availability::Absent { .. } | Availability::Unavailable(_)) => {
                    reply
                }
            }
        });
        let repository = reply::<wire::Repository>(dossier, Subject::Repository).map(|reply| match reply {
            Availability::Present(seen) if destination.repository_id.is_some_and(|id| id != seen.value.id.0) => {
                malformed(dossier, Subject::Repository, "the answer is about another repository")
            }
            reply @ (Availability::Present(_) | Availability::Absent { .. } | Availability::Unavailable(_)) => reply,
        });
        Self {
            run,
            jobs,
            all_jobs,
            older_runs: reply(dossier, Subject::OlderRuns),
            approvals: reply(dossier, Subject::Approvals),
            repository,
            declared_repository: reply(dossier, Subject::DeclaredRepository),
            commit,
            on_default_branch: reply(dossier, Subject::OnDefaultBranch),
            on_ref: reply(dossier, Subject::OnRef),
            tags: reply(dossier, Subject::Tags),
            pull_requests: reply(dossier, Subject::PullRequests),
            manifest: reply(dossier, Subject::ManifestAtCommit),
            destination,
        }
    }
}

impl Trace {
    /// The repository's default branch, where it is known.
    pub fn default_branch(&self) -> Option<&str> {
        let repository = self.repository.as_ref().and_then(Availability::present)?;
        repository.value.default_branch.as_deref()
    }

    /// Whether a pull request brought the commit that was merged into the default branch; `None` if that is not known.
    /// Whoever can push a branch can merge into it, so that any other base shows nothing.
    pub fn came_through_a_pull_request(&self) -> Option<bool> {
        let default = self.default_branch()?;
        let merged = |pull: &wire::PullRequest| {
            let base = pull.base.as_ref().and_then(|base| base.r#ref.as_deref());
            pull.merged_at.is_some() && base == Some(default)
        };
        match self.pull_requests.as_ref()? {
            Availability::Present(found) => Some(found.value.iter().any(merged)),
            Availability::Absent { .. } => Some(false),
            Availability::Unavailable(_) => None,
        }
    }
}

impl Sight {
    /// The run, live or from a snapshot.
    pub fn run(&self) -> Option<&Seen<wire::Run>> {
        match self {
            Self::Live(seen) | Self::Snapshot { seen, .. } => Some(seen),
            Self::Missing { .. } | Self::Unavailable(_) => None,
        }
    }

    /// Whether GitHub shows the run now.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Live(_) => true,
            Self::Snapshot { .. } | Self::Missing { .. } | Self::Unavailable(_) => false,
        }
    }
}

fn sight(destination: &Destination, dossier: &Dossier) -> Option<Sight> {
    let right = |reply: Availability<Seen<wire::Run>>, subject| match reply {
        Availability::Present(seen)
            if seen.value.id.0 != destination.run
                || seen
                    .value
                    .run_attempt
                    .is_some_and(|attempt| attempt.0 != destination.attempt) =>
        {
            malformed(dossier, subject, "the answer is about another run or attempt")
        }
        reply @ (Availability::Present(_) | Availability::Absent { .. } | Availability::Unavailable(_)) => reply,
    };
    let now = right(reply(dossier, Subject::Run)?, Subject::Run);
    let snapshot = reply(dossier, Subject::RunSnapshot).map(|reply| right(reply, Subject::RunSnapshot));
    let now = match now {
        Availability::Present(seen) => return Some(Sight::Live(seen)),
        Availability::Absent { .. } => None,
        Availability::Unavailable(trouble) => Some(trouble),
    };
    Some(match (snapshot, now) {
        (Some(Availability::Present(seen)), now) => Sight::Snapshot { seen, now },
        (_, Some(trouble)) => Sight::Unavailable(trouble),
        (_, None) => {
            let first = dossier
                .observation(Subject::RunFirstMissed)
                .or_else(|| dossier.observation(Subject::Run))?;
            Sight::Missing { first: first.at }
        }
    })
}

/// The jobs of all pages; one page that is in trouble leaves the others.
/// Jobs of another run are no answer.
fn jobs(destination: &Destination, dossier: &Dossier) -> (Reply<Vec<wire::Job>>, bool) {
    let first = match reply::<wire::Jobs>(dossier, Subject::Jobs(1)) {
        None => return (None, false),
        Some(Availability::Present(first)) => first,
        Some(other) => return (Some(other.map(|seen| seen.map(|page| page.jobs))), false),
    };
    let total = first.value.total_count;
    let mut all = first.map(|page| page.jobs);
    // By their numbers: the order of observations carries no meaning.
    let mut further: Vec<&Observation> = dossier
        .observations
        .iter()
        .filter(|observation| matches!(observation.subject, Subject::Jobs(number) if number > 1))
        .collect();
    further.sort_by_key(|observation| observation.subject);
    for page in further.into_iter().filter_map(parsed::<wire::Jobs>) {
        all.value.extend(page.jobs);
    }
    // A page that came twice shows nothing new.
    let mut ids = std::collections::BTreeSet::new();
    all.value.retain(|job| job.id.is_none_or(|id| ids.insert(id.0)));
    let complete = u64::try_from(all.value.len()).is_ok_and(|count| count >= total);
    if !all
        .value
        .iter()
        .all(|job| job.run_id.is_none_or(|run| run.0 == destination.run))
    {
        let detail = "the answer holds jobs of another run";
        return (Some(malformed(dossier, Subject::Jobs(1), detail)), false);
    }
    // Jobs that an attempt did not repeat may be listed with it as those of the attempt that they ran in.
    all.value
        .retain(|job| job.run_attempt.is_none_or(|attempt| attempt.0 == destination.attempt));
    (Some(Availability::Present(all)), complete)
}

impl<T> Seen<T> {
    fn map<U>(self, map: impl FnOnce(T) -> U) -> Seen<U> {
        Seen {
            value: map(self.value),
            at: self.at,
            evidence: self.evidence,
        }
    }
}

fn reply<T: DeserializeOwned>(dossier: &Dossier, subject: Subject) -> Reply<T> {
    let observation = dossier.observation(subject)?;
    Some(match &observation.answer {
        Answer::Unanswered { reason, detail, .. } => trouble(observation, *reason, detail.clone()),
        Answer::Answered(response) => match (response.status, parsed(observation)) {
            (200..=299, Some(value)) => Availability::Present(Seen {
                value,
                at: observation.at,
                evidence: response.sha256.clone(),
            }),
            (200..=299, None) => trouble(
                observation,
                UnavailableReason::Malformed,
                "GitHub's answer is not of the documented shape".to_owned(),
            ),
            // A former name leads to a repository: that it is not shown does not say which one it is.
            (404 | 410, _) if subject == Subject::DeclaredRepository && response.redirects > 0 => trouble(
                observation,
                UnavailableReason::Private,
                "the name leads to a repository that GitHub does not show".to_owned(),
            ),
            // 422 is the answer to a commit that is not there, 409 that of an empty repository.
            (404 | 409 | 410 | 422, _) => Availability::Absent {
                because: format!("GitHub answered {}", response.status),
            },
            (401 | 403 | 451, _) => trouble(
                observation,
                UnavailableReason::Private,
                format!("GitHub answered {}", response.status),
            ),
            (status, _) => trouble(
                observation,
                UnavailableReason::Malformed,
                format!("GitHub answered {status}"),
            ),
        },
    })
}

fn trouble<T>(observation: &Observation, reason: UnavailableReason, detail: String) -> Availability<T> {
    Availability::Unavailable(Unavailable {
        source: observation.url.clone(),
        reason,
        detail,
    })
}

fn malformed<T>(dossier: &Dossier, subject: Subject, detail: &str) -> Availability<T> {
    let source = dossier.observation(subject).map(|observation| observation.url.clone());
    Availability::Unavailable(Unavailable {
        source: source.unwrap_or_default(),
        reason: UnavailableReason::Malformed,
        detail: detail.to_owned(),
    })
}
