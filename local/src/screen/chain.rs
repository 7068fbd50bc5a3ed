//! The chain from the source to the bytes: which link each check speaks of, and what is to be said of each link.

use hekate::check::{CheckId, Finding, Outcome, Shade, UnknownReason};
use hekate::verdict::Verdict;
use jiff::Timestamp;

use super::{Mark, Screen};

/// A link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The commit that was built.
    Source,
    /// The run that built it, and signed for it.
    Build,
    /// The record in the transparency log.
    Log,
    /// What the registry attested when it took the package.
    Publish,
    /// What the registry's metadata says now.
    Registry,
    /// What the registry serves now.
    Bytes,
}

impl Link {
    /// From the source to the bytes.
    pub(super) const ALL: [Self; 6] = [
        Self::Source,
        Self::Build,
        Self::Log,
        Self::Publish,
        Self::Registry,
        Self::Bytes,
    ];

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Build => "build",
            Self::Log => "log",
            Self::Publish => "publish",
            Self::Registry => "registry",
            Self::Bytes => "bytes",
        }
    }

    /// The link that a check speaks of.
    fn of(check: CheckId) -> Self {
        match check {
            CheckId::IdSourceRepo
            | CheckId::IdOwnerId
            | CheckId::IdRepoChanged
            | CheckId::SrcRepoState
            | CheckId::SrcCommitExists
            | CheckId::SrcCommitReachable
            | CheckId::SrcRefExists
            | CheckId::SrcTagMatchesVersion
            | CheckId::SrcGitHeadMatches
            | CheckId::SrcCommitSignature
            | CheckId::SrcAuthorCommitterSpoof
            | CheckId::SrcPrAssociated
            | CheckId::SrcCommitToPublishAge
            | CheckId::SrcVersionInCommit => Self::Source,

            CheckId::AttNonempty
            | CheckId::AttUnique
            | CheckId::AttProvenanceSig
            | CheckId::AttPredicateKnown
            | CheckId::AttStmtVsCert
            | CheckId::IdIssuer
            | CheckId::IdRunnerEnv
            | CheckId::IdSignerWorkflow
            | CheckId::IdWorkflowChanged
            | CheckId::IdTriggerNovel
            | CheckId::IdRefNovel
            | CheckId::IdRefDisttagMismatch
            | CheckId::IdEnvironmentMissing
            | CheckId::RunExists
            | CheckId::RunDisappeared
            | CheckId::RunMatchesCert
            | CheckId::RunConclusion
            | CheckId::RunPublishStep
            | CheckId::RunSigningStep
            | CheckId::RunAttemptSane
            | CheckId::RunActor
            | CheckId::RunForkHead
            | CheckId::RunEnvironmentGate => Self::Build,

            CheckId::LogInclusion | CheckId::LogTimeOrder => Self::Log,

            CheckId::AttPresent
            | CheckId::AttPublishSig
            | CheckId::AttSubjectName
            | CheckId::HistDowngrade
            | CheckId::HistDowngradeCrossline => Self::Publish,

            CheckId::ArtExists
            | CheckId::RegSignature
            | CheckId::RegIntegrityStable
            | CheckId::RegPublishMode
            | CheckId::HistPublishModeChanged
            | CheckId::HistPublisherChanged
            | CheckId::HistBurst => Self::Registry,

            CheckId::ArtTarballIntegrity | CheckId::ArtTarballManifest | CheckId::AttSubjectDigest => Self::Bytes,
        }
    }
}

/// What is to be said of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The worst of its checks.
    pub(super) mark: Mark,
    /// Its decisive fact.
    pub(super) fact: Option<String>,
    /// Why its mark is not a pass.
    pub(super) reason: Option<String>,
}

/// What is to be said of a link.
///
/// Its mark is the worst of its checks, and a pass only if one of them passed. Checks that were not run count as unknown
/// where others of the link have an answer; beside nothing but checks that do not apply, they do not apply either.
pub(super) fn said(link: Link, verdict: &Verdict, screen: Screen) -> Said {
    let findings: Vec<&Finding> = verdict
        .findings
        .iter()
        .filter(|finding| Link::of(finding.check) == link)
        .collect();
    let (mark, telling) = judge(&findings);
    let reason = telling
        .filter(|_| mark != Mark::Pass)
        .map(|finding| match finding.outcome {
            Outcome::NotApplicable(_) => "not attested".to_owned(),
            Outcome::Unknown(UnknownReason::NotRun) if !findings.iter().all(|finding| is_silent(finding)) => {
                "not examined".to_owned()
            }
            Outcome::Pass(_) | Outcome::Fail(_) | Outcome::Warn(_) | Outcome::Unknown(_) => finding.summary.clone(),
        });
    Said {
        mark,
        fact: fact(link, verdict, screen),
        reason,
    }
}

/// The mark that a link's findings amount to, and the finding that tells most.
fn judge<'a>(findings: &[&'a Finding]) -> (Mark, Option<&'a Finding>) {
    let absent = findings
        .iter()
        .find(|finding| matches!(finding.outcome, Outcome::NotApplicable(Some(Shade::Absent))));
    match (findings.iter().max_by_key(|finding| weight(finding)), absent) {
        (Some(_), Some(absent)) if findings.iter().all(|finding| is_silent(finding)) => {
            (Mark::NotApplicable, Some(absent))
        }
        (Some(worst), _) => (Mark::from(worst.outcome), Some(worst)),
        (None, _) => (Mark::Unknown, None),
    }
}

/// What stands out first: among equal marks the graver check.
fn weight(finding: &Finding) -> (Mark, bool, hekate::check::Severity) {
    let ran = finding.outcome != Outcome::Unknown(UnknownReason::NotRun);
    (Mark::from(finding.outcome), ran, finding.check.severity())
}

/// Whether a check neither ran nor had to.
fn is_silent(finding: &Finding) -> bool {
    match finding.outcome {
        Outcome::NotApplicable(_) | Outcome::Unknown(UnknownReason::NotRun) => true,
        Outcome::Pass(_) | Outcome::Fail(_) | Outcome::Warn(_) | Outcome::Unknown(_) => false,
    }
}

fn fact(link: Link, verdict: &Verdict, screen: Screen) -> Option<String> {
    let build = verdict.build.as_ref();
    match link {
        Link::Source => {
            let build = build?;
            let repository = without_host(build.repository.as_deref()?);
            let commit = build.commit.as_deref().map(|commit| format!(" @ {}", head(commit, 7)));
            let r#ref = build.r#ref.as_deref().map(|r#ref| format!(", {}", short_ref(r#ref)));
            Some(
                [Some(repository.to_owned()), commit, r#ref]
                    .into_iter()
                    .flatten()
                    .collect(),
            )
        }
        Link::Build => {
            let build = build?;
            let run = build.run.as_deref().and_then(run_number);
            let facts = [
                build
                    .workflow
                    .as_deref()
                    .map(|path| path.trim_start_matches(".github/workflows/").to_owned()),
                run,
                build.runner.clone(),
            ];
            list(facts)
        }
        Link::Log => {
            let build = build?;
            let index = build.log_index.as_deref().map(|index| format!("entry {index}"));
            list([index, build.signed_at.map(|at| format!("signed {}", to_the_second(at)))])
        }
        Link::Publish if !signs(verdict) => passed(verdict, CheckId::AttPresent),
        Link::Registry if !signs(verdict) => passed(verdict, CheckId::ArtExists),
        Link::Publish => {
            let finding = find(verdict, CheckId::AttPublishSig).filter(|finding| finding.outcome.is_pass())?;
            let key = finding.observed.get("bundle publicKey.hint");
            let time = finding
                .observed
                .get("trusted time")
                .and_then(|time| time.parse::<Timestamp>().ok());
            list([
                time.map(|time| format!("attested {}", to_the_second(time))),
                key.map(|key| format!("key {}", screen.shortened(key.trim_start_matches("SHA256:"), 12))),
            ])
        }
        Link::Registry => {
            let signed = find(verdict, CheckId::RegSignature)
                .filter(|finding| finding.outcome.is_pass())
                .map(|_| "signed metadata".to_owned());
            let mode = find(verdict, CheckId::RegPublishMode).and_then(|finding| match finding.outcome {
                Outcome::Pass(Some(shade)) | Outcome::Warn(Some(shade)) => publish_mode(shade),
                Outcome::Pass(None)
                | Outcome::Fail(_)
                | Outcome::Warn(None)
                | Outcome::Unknown(_)
                | Outcome::NotApplicable(_) => None,
            });
            list([signed, mode.map(str::to_owned)])
        }
        Link::Bytes => {
            if verdict.artifacts.len() > 1 {
                let seen = verdict.artifacts.iter().filter_map(|file| file.artifact.as_ref());
                let total: u64 = seen.map(|artifact| artifact.size).sum();
                return Some(format!("{} files, {}", verdict.artifacts.len(), size(total)));
            }
            let only = verdict.artifacts.first().and_then(|file| file.artifact.as_ref());
            let artifact = verdict.artifact.as_ref().or(only)?;
            Some(format!(
                "sha512 {}{}, {}",
                head(&artifact.sha512, 16),
                screen.ellipsis(),
                size(artifact.size)
            ))
        }
    }
}

fn publish_mode(shade: Shade) -> Option<&'static str> {
    match shade {
        Shade::Token => Some("which claims: published with a token"),
        Shade::TrustedPublisher => Some("which claims: published by a trusted publisher"),
        Shade::StagedPublish => Some("which claims: staged, and approved by a person"),
        Shade::Vacuous
        | Shade::WeakDigest
        | Shade::Absent
        | Shade::FirstSeen
        | Shade::NoExpectation
        | Shade::SelfHosted
        | Shade::Ambiguous
        | Shade::Staged
        | Shade::Snapshot
        | Shade::AfterPublish
        | Shade::UnknownStep
        | Shade::Renamed
        | Shade::Archived
        | Shade::SquashMerged
        | Shade::Missing
        | Shade::NoHabit
        | Shade::Downgraded
        | Shade::GivenUp
        | Shade::Alone
        | Shade::NotOfEcosystem
        | Shade::Timestamped => None,
    }
}

/// The finding of a check.
pub(super) fn find(verdict: &Verdict, check: CheckId) -> Option<&Finding> {
    verdict.findings.iter().find(|finding| finding.check == check)
}

/// Whether the registry signs what it takes; others attest nothing of their own.
fn signs(verdict: &Verdict) -> bool {
    let of_ecosystem = find(verdict, CheckId::RegSignature);
    !of_ecosystem.is_some_and(|finding| finding.outcome == Outcome::NotApplicable(Some(Shade::NotOfEcosystem)))
}

/// What a check that passed found.
fn passed(verdict: &Verdict, check: CheckId) -> Option<String> {
    let finding = find(verdict, check).filter(|finding| finding.outcome.is_pass())?;
    Some(finding.summary.clone())
}

fn list(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn head(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// The repository as people write it: on GitHub without the host.
fn without_host(uri: &str) -> &str {
    let address = uri.trim_start_matches("https://");
    address.strip_prefix("github.com/").unwrap_or(address)
}

fn short_ref(r#ref: &str) -> String {
    let of = |prefix: &str, word: &str| r#ref.strip_prefix(prefix).map(|name| format!("{word} {name}"));
    of("refs/tags/", "tag")
        .or_else(|| of("refs/heads/", "branch"))
        .unwrap_or_else(|| r#ref.to_owned())
}

/// The run's number, with its attempt if it is not the first.
fn run_number(invocation: &str) -> Option<String> {
    let (_, rest) = invocation.split_once("/actions/runs/")?;
    let (run, attempt) = rest.split_once("/attempts/").unwrap_or((rest, "1"));
    Some(if attempt == "1" {
        format!("run {run}")
    } else {
        format!("run {run}, attempt {attempt}")
    })
}

fn to_the_second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A number of bytes, in a unit that keeps it short.
fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_has_a_check() {
        for link in Link::ALL {
            assert!(CheckId::ALL.iter().any(|&check| Link::of(check) == link), "{link:?}");
        }
    }

    /// Every list of at most three findings with any outcomes.
    fn lists() -> Vec<Vec<Finding>> {
        let outcomes = [
            Outcome::Pass(None),
            Outcome::Fail(None),
            Outcome::Warn(None),
            Outcome::Unknown(UnknownReason::Unreachable),
            Outcome::Unknown(UnknownReason::NotRun),
            Outcome::NotApplicable(None),
            Outcome::NotApplicable(Some(Shade::Absent)),
        ];
        let mut lists = vec![Vec::new()];
        for length in 0..3 {
            let longer: Vec<Vec<Finding>> = lists
                .iter()
                .filter(|list| list.len() == length)
                .flat_map(|list| {
                    outcomes.map(|outcome| {
                        let mut list = list.clone();
                        list.push(Finding::new(CheckId::RunExists, outcome, ""));
                        list
                    })
                })
                .collect();
            lists.extend(longer);
        }
        lists
    }

    fn mark(list: &[Finding]) -> Mark {
        judge(&list.iter().collect::<Vec<_>>()).0
    }

    #[test]
    fn a_link_passes_only_if_one_of_its_checks_passed_and_none_has_worse() {
        for list in lists() {
            let passed = list.iter().any(|finding| finding.outcome.is_pass());
            let worse = list.iter().any(|finding| Mark::from(finding.outcome) > Mark::Pass);
            assert_eq!(mark(&list) == Mark::Pass, passed && !worse, "{list:?}");
        }
    }

    #[test]
    fn a_failed_check_is_never_hidden() {
        for list in lists() {
            assert_eq!(
                mark(&list) == Mark::Fail,
                list.iter().any(|finding| finding.outcome.is_fail()),
                "{list:?}"
            );
        }
    }

    #[test]
    fn a_run_is_named_by_its_number_and_a_later_attempt() {
        let run = |attempt: u32| format!("https://github.com/o/r/actions/runs/12/attempts/{attempt}");
        assert_eq!(run_number(&run(1)).as_deref(), Some("run 12"));
        assert_eq!(run_number(&run(3)).as_deref(), Some("run 12, attempt 3"));
        assert_eq!(run_number("https://gitlab.com/o/r/-/jobs/7"), None);
    }

    #[test]
    fn refs_are_named_as_people_do() {
        assert_eq!(short_ref("refs/tags/v1"), "tag v1");
        assert_eq!(short_ref("refs/heads/main"), "branch main");
        assert_eq!(short_ref("refs/pull/1/merge"), "refs/pull/1/merge");
    }
}
