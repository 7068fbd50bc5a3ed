//! The family `src`: the commit that was built, and how it lies in its repository.
//!
//! All of these are heuristics: squash merges, force pushes, deleted branches and renamed repositories are ordinary life.
//! None of them fails; a warning says what is unusual.

use jiff::SignedDuration;

use super::correlate::Evidence;
use super::run::{attempt, replied};
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::availability::Availability;
use crate::forge::github::{Seen, Trace, bare, wire};
use crate::history::{ESTABLISHED, SETTLED};
use crate::package::{PackageName, names_version};

/// How long before publication a change of the workflow is fresh.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// How many tags are read.
const FULL_PAGE: usize = 100;
/// For how long after publication a tag may still be on its way.
const TAG_MAY_FOLLOW: SignedDuration = SignedDuration::from_hours(1);

/// Says what became of the repository: visible, renamed, read-only, or gone.
pub(super) fn repo_state(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcRepoState;
    let trace = attempt!(evidence.traced(check));
    let Some(seen) = attempt!(replied(check, trace.repository.as_ref(), "the repository")) else {
        let summary = "the repository is gone or private: GitHub does not tell which";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Private), summary).observing(
            "certificate 1.12 source repository",
            trace.destination.repository.to_string(),
        );
    };
    let repository = &seen.value;
    let renamed = !repository
        .full_name
        .eq_ignore_ascii_case(&trace.destination.repository.path());
    let (outcome, summary) = if repository.private == Some(true) {
        (
            Outcome::Unknown(UnknownReason::Private),
            "the repository is private, and seen with this verifier's token only",
        )
    } else if renamed {
        (
            Outcome::Warn(Some(Shade::Renamed)),
            "the repository has been renamed or transferred since",
        )
    } else if repository.archived == Some(true) {
        (Outcome::Warn(Some(Shade::Archived)), "the repository has been archived")
    } else {
        (Outcome::Pass(None), "the repository is public and has its name")
    };
    Finding::new(check, outcome, summary)
        .observing(
            "certificate 1.12 source repository",
            trace.destination.repository.to_string(),
        )
        .observing("repository full_name", repository.full_name.clone())
        .citing([seen.evidence.clone()])
}

/// The commit, or the finding that nothing can be said of it.
fn commit(check: CheckId, trace: &Trace) -> Result<&Seen<wire::Commit>, Finding> {
    if trace.destination.commit.is_none() {
        let summary = "the certificate names no commit";
        return Err(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::Unsupported),
            summary,
        ));
    }
    replied(check, trace.commit.as_ref(), "the commit")?.ok_or_else(|| {
        Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            "GitHub does not have the commit",
        )
    })
}

/// Passes if the commit of the certificate is in the repository. A commit that is not may have been force-pushed away.
pub(super) fn commit_exists(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcCommitExists;
    let trace = attempt!(evidence.traced(check));
    let named = trace.destination.commit.as_deref().unwrap_or("(none)");
    let finding = match commit(check, trace) {
        Ok(seen) => {
            Finding::new(check, Outcome::Pass(None), "the commit is in the repository").citing([seen.evidence.clone()])
        }
        // Only a repository that is there can lack a commit.
        Err(Finding {
            outcome: Outcome::Unknown(UnknownReason::NotRetained),
            ..
        }) if matches!(&trace.repository, Some(Availability::Present(_))) => Finding::new(
            check,
            Outcome::Warn(None),
            "the repository is there, and the commit is not",
        ),
        Err(unknown) => unknown,
    };
    finding.observing("certificate 1.13 commit", named)
}

/// Whether a ref contains the commit; `None` where that is not known.
fn contained(reply: Option<&Availability<Seen<wire::Comparison>>>) -> Option<bool> {
    match reply? {
        Availability::Present(seen) => Some(seen.value.contains_the_commit()),
        // Histories without a common ancestor, or a ref that is gone.
        Availability::Absent { .. } => Some(false),
        Availability::Unavailable(_) => None,
    }
}

/// Whether a branch's name is of a kind that projects release this version from: a channel for prereleases, or the line that
/// the version belongs to. A name is no more than a hint: that no release came from there before is another check's to say.
fn is_long_lived(branch: &str, version: &str) -> bool {
    let name = branch.to_ascii_lowercase();
    let channels = ["next", "alpha", "beta", "canary", "rc", "dev", "develop", "nightly"];
    if version.contains('-') && channels.contains(&name.as_str()) {
        return true;
    }
    let line = [
        "release/",
        "releases/",
        "release-",
        "stable/",
        "maintenance/",
        "support/",
        "hotfix/",
    ]
    .iter()
    .find_map(|prefix| name.strip_prefix(prefix))
    .unwrap_or(&name);
    let line = line
        .trim_start_matches('v')
        .trim_end_matches(".x")
        .trim_end_matches("-x");
    let parts: Vec<&str> = line.split(['.', '-']).collect();
    let of_version: Vec<&str> = version.split(['.', '-', '+']).collect();
    !line.is_empty()
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        && of_version.starts_with(&parts)
}

/// Passes if the commit is on the default branch, is a tag, or is on a long-lived branch.
///
/// GitHub shows the commits of forks as if they were the repository's own, so that a commit on none of these may be one
/// that somebody without any right pushed to a fork. It is never proof: branches are deleted and squashed.
pub(super) fn commit_reachable(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcCommitReachable;
    let trace = attempt!(evidence.traced(check));
    let seen = attempt!(commit(check, trace));
    let sha = &seen.value.sha;
    let finding = |outcome, summary: &str| {
        Finding::new(check, outcome, summary)
            .observing("certificate 1.13 commit", sha.clone())
            .observing(
                "certificate 1.14 ref",
                trace.destination.r#ref.as_deref().unwrap_or("(none)"),
            )
            .citing([seen.evidence.clone()])
    };
    let on_default = contained(trace.on_default_branch.as_ref());
    if on_default == Some(true) {
        return finding(Outcome::Pass(None), "the commit is on the default branch");
    }
    let tags = trace.tags.as_ref().and_then(Availability::present);
    if tags.is_some_and(|tags| tags.value.iter().any(|tag| tag.leads_to(sha))) {
        return finding(Outcome::Pass(None), "a tag leads to the commit");
    }
    let on_ref = contained(trace.on_ref.as_ref());
    let full = trace.destination.r#ref.as_deref().unwrap_or_default();
    if on_ref == Some(true) {
        let kept = full.starts_with("refs/tags/")
            || full
                .strip_prefix("refs/heads/")
                .is_some_and(|branch| is_long_lived(branch, trace.destination.package.version()));
        let released_before = evidence.history().any(|release| release.r#ref.as_deref() == Some(full));
        return if kept || released_before {
            finding(
                Outcome::Pass(None),
                "the ref that was built is there and contains the commit",
            )
        } else {
            finding(
                Outcome::Warn(None),
                "the commit is only on a branch that nothing shows to be long-lived",
            )
        };
    }
    let merged = trace.came_through_a_pull_request() == Some(true);
    if merged {
        let summary = "the commit is on no branch that was looked at, and came with a pull request that was merged";
        return finding(Outcome::Warn(Some(Shade::SquashMerged)), summary);
    }
    // A ref that is the default branch, or is neither a branch nor a tag, leaves nothing else to ask.
    let default = trace.default_branch();
    let comparable = bare(full).is_some_and(|name| Some(name) != default);
    match (on_default, on_ref) {
        (Some(false), Some(false)) => finding(
            Outcome::Warn(None),
            "the commit is neither on the default branch, nor on the ref that was built, nor a tag: it may be a fork's",
        ),
        (Some(false), None) if !comparable => finding(
            Outcome::Warn(None),
            "the commit is neither on the default branch nor a tag: it may be a fork's",
        ),
        (Some(false), None) if trace.on_ref.is_none() => finding(
            Outcome::Unknown(UnknownReason::Pending),
            "the ref that was built is left to the next look, to stay within the questions of one",
        ),
        (_, _) => finding(
            Outcome::Unknown(UnknownReason::Unreachable),
            "how the commit lies to the branches could not be asked",
        ),
    }
}

/// Passes if the ref that was built is still there and contains the commit. Release branches are deleted routinely.
pub(super) fn ref_exists(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcRefExists;
    let trace = attempt!(evidence.traced(check));
    let Some(full) = trace.destination.r#ref.as_deref() else {
        let summary = "the certificate names no ref";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), summary);
    };
    let finding =
        |outcome, summary: &str| Finding::new(check, outcome, summary).observing("certificate 1.14 ref", full);
    let sha = trace.destination.commit.as_deref();
    if let Some(name) = full.strip_prefix("refs/tags/")
        && let Some(tags) = trace.tags.as_ref().and_then(Availability::present)
        && let Some(tag) = tags.value.iter().find(|tag| tag.name == name)
    {
        let (outcome, summary) = if sha.is_some_and(|sha| tag.leads_to(sha)) {
            (Outcome::Pass(None), "the tag is there and leads to the commit")
        } else {
            (Outcome::Warn(None), "the tag leads to another commit by now")
        };
        return finding(outcome, summary).observing("tag", tag.target());
    }
    let default = trace.default_branch();
    let comparison = if full.strip_prefix("refs/heads/") == default && default.is_some() {
        trace.on_default_branch.as_ref()
    } else {
        trace.on_ref.as_ref()
    };
    match attempt!(replied(check, comparison, "the ref that was built")) {
        Some(seen) if seen.value.contains_the_commit() => {
            finding(Outcome::Pass(None), "the ref is there and contains the commit").citing([seen.evidence.clone()])
        }
        Some(seen) => finding(Outcome::Warn(None), "the ref is there and does not contain the commit")
            .observing("comparison", seen.value.status.clone())
            .citing([seen.evidence.clone()]),
        None => finding(
            Outcome::Warn(None),
            "the ref is gone, or shares no history with the commit",
        ),
    }
}

/// Passes if a tag of this version leads to the commit, where the package's earlier versions have tags.
pub(super) fn tag_matches_version(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcTagMatchesVersion;
    let trace = attempt!(evidence.traced(check));
    if !evidence.registry().is_versioned_by_its_source() {
        let summary = "versions are not those of the repository, and have no tags there";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    let Some(tags) = attempt!(replied(check, trace.tags.as_ref(), "tags")) else {
        let summary = "GitHub shows no tags";
        return Finding::new(check, Outcome::Unknown(UnknownReason::NotRetained), summary);
    };
    let package = &trace.destination.package;
    let finding = |outcome, summary: &str| Finding::new(check, outcome, summary).citing([tags.evidence.clone()]);
    let sha = trace.destination.commit.as_deref().unwrap_or("(none)");
    let named: Vec<&wire::Tag> = tags
        .value
        .iter()
        .filter(|tag| names_version(&tag.name, package.name(), package.version()))
        .collect();
    if let Some(tag) = named.iter().find(|tag| tag.leads_to(sha)).or(named.first()) {
        // Projects whose run itself commits and tags have their tags beside what was built.
        let before: Vec<bool> = evidence
            .history()
            .filter_map(|release| release.tagged)
            .take(ESTABLISHED)
            .collect();
        let (outcome, summary) = if tag.leads_to(sha) {
            (
                Outcome::Pass(None),
                "the version's tag leads to the commit that was built",
            )
        } else if before.len() >= ESTABLISHED && before.iter().all(|tagged| *tagged) {
            (
                Outcome::Warn(None),
                "the version's tag leads to another commit than was built, unlike those before",
            )
        } else {
            (
                Outcome::NotApplicable(Some(Shade::NoHabit)),
                "the version's tag leads to another commit than was built, and no habit is known that it should not",
            )
        };
        return finding(outcome, summary)
            .observing(format!("tag {}", tag.name), tag.target())
            .observing("certificate 1.13 commit", sha);
    }
    // Prereleases have tags of their own, or none.
    let is_prerelease = |version: &str| version.contains('-');
    let metadata = evidence.authenticated.release.metadata.present();
    // The releases of one attack teach nothing about each other.
    let published_at = trace.destination.published_at;
    let earlier: Vec<&str> = metadata
        .iter()
        .flat_map(|metadata| &metadata.earlier)
        .filter(|earlier| published_at.duration_since(earlier.published_at) >= SETTLED)
        .map(|earlier| earlier.version.as_str())
        .filter(|earlier| is_prerelease(earlier) == is_prerelease(package.version()))
        .collect();
    match habit(package.name(), &earlier, &tags.value) {
        Habit::Tagged if tags.at.duration_since(trace.destination.published_at) < TAG_MAY_FOLLOW => finding(
            Outcome::Unknown(UnknownReason::Pending),
            "earlier versions have tags; this one's may still come",
        ),
        Habit::Tagged => finding(
            Outcome::Warn(None),
            "earlier versions of the package have tags, and this one has none",
        ),
        Habit::Untagged => finding(
            Outcome::NotApplicable(Some(Shade::NoHabit)),
            "the package's versions do not have tags as a rule",
        ),
        Habit::Unknown => finding(
            Outcome::Unknown(UnknownReason::NotRun),
            "the repository has more tags than are read, and none of those that were names this version",
        ),
    }
}

enum Habit {
    Tagged,
    Untagged,
    Unknown,
}

/// Whether most of the last few versions have a tag. A full page of tags may not be all of them.
fn habit(package: &PackageName, earlier: &[&str], tags: &[wire::Tag]) -> Habit {
    let recent: Vec<bool> = earlier
        .iter()
        .take(5)
        .map(|version| tags.iter().any(|tag| names_version(&tag.name, package, version)))
        .collect();
    let tagged = recent.iter().filter(|tagged| **tagged).count();
    if tags.len() >= FULL_PAGE {
        // GitHub promises no order: what is missing here may be on another page.
        Habit::Unknown
    } else if tagged >= 2 && tagged * 2 > recent.len() {
        Habit::Tagged
    } else {
        Habit::Untagged
    }
}

/// Compares the commit that the publisher's client noted with the certificate's. Release tools rewrite it.
pub(super) fn git_head_matches(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcGitHeadMatches;
    let trace = attempt!(evidence.traced(check));
    let metadata = evidence.authenticated.release.metadata.present();
    let (Some(noted), Some(built)) = (
        metadata.and_then(|metadata| metadata.declared_commit.as_deref()),
        trace.destination.commit.as_deref(),
    ) else {
        return Finding::new(
            check,
            Outcome::NotApplicable(Some(Shade::Absent)),
            "the metadata notes no commit",
        );
    };
    let (outcome, summary) = if noted.eq_ignore_ascii_case(built) {
        (Outcome::Pass(None), "the metadata notes the commit that was built")
    } else {
        (Outcome::Warn(None), "the metadata notes another commit than was built")
    };
    Finding::new(check, outcome, summary)
        .observing("metadata gitHead", noted)
        .observing("certificate 1.13 commit", built)
}

/// Warns if the commit's signature did not verify, while those of the last releases did.
pub(super) fn commit_signature(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcCommitSignature;
    let trace = attempt!(evidence.traced(check));
    let seen = attempt!(commit(check, trace));
    let Some(verification) = &seen.value.commit.verification else {
        let summary = "GitHub says nothing of the commit's signature";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary);
    };
    let recent: Vec<bool> = evidence
        .history()
        .filter_map(|release| release.commit_verified)
        .take(ESTABLISHED)
        .collect();
    let (outcome, summary) = if verification.verified {
        (Outcome::Pass(None), "the commit's signature verifies")
    } else if recent.len() >= ESTABLISHED && recent.iter().all(|verified| *verified) {
        (
            Outcome::Warn(None),
            "the commit is not signed as the commits of the last releases were",
        )
    } else {
        (
            Outcome::NotApplicable(Some(Shade::NoHabit)),
            "the commit is not signed, and the project has no such habit that is known",
        )
    };
    Finding::new(check, outcome, summary)
        .observing(
            "commit verification",
            verification.reason.as_deref().unwrap_or("(none)"),
        )
        .citing([seen.evidence.clone()])
}

/// Warns if the author is a bot by name only, or is nobody: git carries any name, and a bot's commits are signed by the
/// forge.
pub(super) fn author_committer_spoof(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcAuthorCommitterSpoof;
    let trace = attempt!(evidence.traced(check));
    let seen = attempt!(commit(check, trace));
    let document = &seen.value;
    let verified = document
        .commit
        .verification
        .as_ref()
        .is_some_and(|verification| verification.verified);
    let written = |signature: &Option<wire::Signature>| {
        let signature = signature.as_ref();
        let part = |text: Option<&String>| text.cloned().unwrap_or_default();
        (
            part(signature.and_then(|signature| signature.name.as_ref())),
            part(signature.and_then(|signature| signature.email.as_ref())),
        )
    };
    let (author, author_email) = written(&document.commit.author);
    let (committer, committer_email) = written(&document.commit.committer);
    let is_bot = |name: &str, email: &str| name.ends_with("[bot]") || email.contains("[bot]@");
    let placeholder = [&author_email, &committer_email]
        .iter()
        .any(|email| is_placeholder(email));
    let spoofed = is_bot(&author, &author_email) && !verified && !is_bot(&committer, &committer_email);
    let (outcome, summary) = if placeholder {
        (
            Outcome::Warn(None),
            "the commit was made by nobody: its address is a placeholder",
        )
    } else if spoofed {
        (
            Outcome::Warn(None),
            "the author is a bot by name, the committer is not, and nothing is signed",
        )
    } else {
        (Outcome::Pass(None), "author and committer fit together")
    };
    Finding::new(check, outcome, summary)
        .observing("commit author", format!("{author} <{author_email}>"))
        .observing("commit committer", format!("{committer} <{committer_email}>"))
        .citing([seen.evidence.clone()])
}

/// Addresses of the domains that are reserved for examples (RFC 2606), and of a machine that nobody configured.
fn is_placeholder(email: &str) -> bool {
    let domain = email.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let local = email.split('@').next().unwrap_or_default();
    ["example.com", "example.org", "example.net"].contains(&domain.as_str())
        && ["you", "user", "name", "test"].contains(&local)
        || ["localhost", "localhost.localdomain"].contains(&domain.as_str())
}

/// Warns if the commit came without a merged pull request, while those of earlier releases came with one.
pub(super) fn pr_associated(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcPrAssociated;
    let trace = attempt!(evidence.traced(check));
    let found = attempt!(replied(
        check,
        trace.pull_requests.as_ref(),
        "pull requests of the commit"
    ));
    let Some(merged) = trace.came_through_a_pull_request() else {
        let summary = "to which branch pull requests go is not known";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary);
    };
    let recent: Vec<bool> = evidence
        .history()
        .filter_map(|release| release.commit_through_pull_request)
        .take(ESTABLISHED)
        .collect();
    let (outcome, summary) = if merged {
        (
            Outcome::Pass(None),
            "the commit came with a pull request that was merged",
        )
    } else if recent.len() >= ESTABLISHED && recent.iter().all(|through| *through) {
        (
            Outcome::Warn(None),
            "the commit came without a pull request, unlike those of the last releases",
        )
    } else {
        (
            Outcome::NotApplicable(Some(Shade::NoHabit)),
            "the commit came without a pull request, and the project has no such habit that is known",
        )
    };
    Finding::new(check, outcome, summary).citing(found.map(|found| found.evidence.clone()))
}

/// Warns if the workflow that published was changed by the very commit, minutes before publication.
///
/// The commit's time is its committer's claim; where the push of it triggered the run, that came no earlier than the push.
/// Only a change of the workflow makes a short distance unusual, since continuous releases publish within minutes.
pub(super) fn commit_to_publish_age(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcCommitToPublishAge;
    let trace = attempt!(evidence.traced(check));
    let seen = attempt!(commit(check, trace));
    let made = seen
        .value
        .commit
        .committer
        .as_ref()
        .and_then(|committer| committer.date);
    let (Some(made), Some(workflow)) = (made, trace.destination.workflow.as_deref()) else {
        let summary = "the time of the commit or the workflow is not known";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Malformed), summary);
    };
    let run = trace.run.as_ref().and_then(crate::forge::github::Sight::run);
    let pushed = run
        .filter(|run| run.value.event.as_deref() == Some("push"))
        .and_then(|run| run.value.created_at);
    let made = pushed.map_or(made, |pushed| made.max(pushed));
    let changed = seen.value.files.iter().any(|file| file.filename == workflow);
    let age = trace.destination.signed_at.duration_since(made);
    let (outcome, summary) = if changed && age < FRESH {
        (
            Outcome::Warn(None),
            "the commit changed the workflow that published it, minutes before",
        )
    } else {
        (
            Outcome::Pass(None),
            "the workflow was not changed in the last minutes before publication",
        )
    };
    Finding::new(check, outcome, summary)
        .observing("committed or pushed", made.to_string())
        .observing("signed", trace.destination.signed_at.to_string())
        .observing("the commit changed the workflow", changed.to_string())
        .citing([seen.evidence.clone()])
}

/// Compares the version in the package's manifest at the commit. Many projects stamp versions while they publish.
pub(super) fn version_in_commit(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::SrcVersionInCommit;
    let trace = attempt!(evidence.traced(check));
    if evidence.registry().manifest().is_none() {
        let summary = "no file of the source names the version, as a rule";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary);
    }
    let package = &trace.destination.package;
    let stamped = |version: &str| version.is_empty() || version.starts_with("0.0.0");
    let found = attempt!(replied(check, trace.manifest.as_ref(), "the manifest at the commit"))
        .filter(|seen| seen.value.name.as_deref() == Some(package.name().as_str()));
    let Some((seen, version)) = found.and_then(|seen| Some((seen, seen.value.version.as_deref()?))) else {
        let summary = "no manifest of the package is at the place where one is expected";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::Absent)), summary);
    };
    let (outcome, summary) = if version == package.version() {
        (Outcome::Pass(None), "the manifest at the commit says this version")
    } else if stamped(version) {
        (
            Outcome::NotApplicable(Some(Shade::NoHabit)),
            "the manifest at the commit holds a placeholder: versions are stamped when publishing",
        )
    } else {
        (Outcome::Warn(None), "the manifest at the commit says another version")
    };
    Finding::new(check, outcome, summary)
        .observing("manifest at the commit", version)
        .observing("package", package.version())
        .citing([seen.evidence.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_of_the_versions_own_line_or_channel_is_kept() {
        for (branch, version) in [
            ("release/1.x", "1.9.1"),
            ("v2.x", "2.0.3"),
            ("2.x", "2.0.3"),
            ("1.8", "1.8.4"),
            ("release-1.8.4", "1.8.4"),
            ("next", "2.0.0-next.1"),
        ] {
            assert!(is_long_lived(branch, version), "{branch} {version}");
        }
        for (branch, version) in [
            ("snapshot-4f2a", "1.0.0"),
            ("next", "2.0.0"),
            ("release/9.9", "1.0.0"),
            ("master", "1.0.0"),
            ("1", "11.0.0"),
            ("", "1.0.0"),
        ] {
            assert!(!is_long_lived(branch, version), "{branch} {version}");
        }
    }

    #[test]
    fn placeholders_are_addresses_of_nobody() {
        assert!(is_placeholder("you@example.com"));
        assert!(is_placeholder("root@localhost"));
        assert!(!is_placeholder("alice@example.com"));
        assert!(!is_placeholder("noreply@github.com"));
    }
}
