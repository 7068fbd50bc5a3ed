//! The family `id`: what is new about who signed, against the package's earlier releases.
//!
//! Novelty is told only against a habit: with fewer than [`ESTABLISHED`] earlier releases, and with gaps in what is known of
//! them, nothing is new.

use jiff::Timestamp;

use super::correlate::Evidence;
use super::{CheckId, Family, Finding, Outcome, Severity, Shade, UnknownReason, source};
use crate::attestation::RepositoryUri;
use crate::availability::Availability;
use crate::forge::github::Trace;
use crate::history::{ESTABLISHED, PastRelease, is_ended};

impl Evidence<'_> {
    /// That nothing can be said to be new: for want of earlier releases, or of answers about them.
    fn no_habit(&self, check: CheckId) -> Finding {
        if self.history_has_gaps() {
            let summary = "not all earlier releases could be asked about: what is not known of them may have been so";
            Finding::new(check, Outcome::Unknown(UnknownReason::Unreachable), summary)
        } else {
            let summary = "too few earlier releases are known to compare with";
            Finding::new(check, Outcome::NotApplicable(Some(Shade::FirstSeen)), summary)
        }
    }

    /// What a value amounts to that these earlier releases have, or have not: a pass, novelty, or nothing.
    fn compare(&self, check: CheckId, past: &[&str], seen: bool, like: &str, new: impl Fn() -> Finding) -> Finding {
        let finding = if seen {
            Finding::new(check, Outcome::Pass(None), like)
        } else if past.len() < ESTABLISHED || self.history_has_gaps() {
            self.no_habit(check)
        } else {
            new()
        };
        finding.observing("earlier releases", distinct(past))
    }
}

fn absent(check: CheckId, summary: &str) -> Finding {
    Finding::new(check, Outcome::NotApplicable(Some(Shade::Absent)), summary)
}

/// One value of each earlier release that has it.
fn values<'a>(past: &[&'a PastRelease], value: fn(&PastRelease) -> Option<&String>) -> Vec<&'a str> {
    past.iter()
        .filter_map(|release| value(release))
        .map(String::as_str)
        .collect()
}

/// Fails if the repository's name belongs to another owner and another repository than in earlier releases: whoever takes a
/// name that was given up gets its packages' trust with it. The same repository with another owner was transferred, which is
/// a warning; so is one that was transferred since it was built, which is harmless.
pub(super) fn owner_id(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdOwnerId;
    evidence.of_each_provenance(check, |provenance| {
        let certificate = provenance.certificate;
        let Some(owner) = certificate.source_repository_owner_identifier.as_deref() else {
            return absent(check, "the certificate names no owner by id");
        };
        let finding = |outcome, summary: &str| {
            Finding::new(check, outcome, summary).observing("certificate 1.17 owner id", owner)
        };
        let past: Vec<&PastRelease> = evidence.identities().collect();
        let of_repository: Vec<&str> = past
            .iter()
            .filter(|release| release.repository_id.is_some())
            .filter(|release| release.repository_id == certificate.source_repository_identifier)
            .filter_map(|release| release.owner_id.as_deref())
            .collect();
        let name = certificate
            .source_repository_uri
            .as_deref()
            .and_then(RepositoryUri::parse);
        let of_name: Vec<&str> = past
            .iter()
            .filter(|release| release.repository_id.is_some() && name.is_some())
            .filter(|release| release.repository.as_deref().and_then(RepositoryUri::parse) == name)
            .filter_map(|release| release.owner_id.as_deref())
            .collect();
        if of_repository.contains(&owner) {
            return finding(
                Outcome::Pass(None),
                "the repository belongs to whom it belonged to at earlier releases",
            );
        }
        if !of_repository.is_empty() {
            let summary = "the repository belongs to somebody else than at earlier releases: it was transferred";
            return finding(Outcome::Warn(None), summary).observing("earlier releases", distinct(&of_repository));
        }
        if !of_name.is_empty() && !of_name.contains(&owner) {
            let summary =
                "the repository's name belongs to another owner and another repository than at earlier releases";
            return finding(Outcome::Fail(None), summary).observing("earlier releases", distinct(&of_name));
        }
        let shown = evidence.trace.as_ref().ok().map(|trace| trace.repository.as_ref());
        match shown.flatten() {
            Some(Availability::Present(seen)) => {
                let Some(now) = seen.value.owner.as_ref().and_then(|account| account.id) else {
                    let summary = "GitHub does not say to whom the repository belongs";
                    return finding(Outcome::Unknown(UnknownReason::Malformed), summary);
                };
                let (outcome, summary) = if now.0.to_string() == owner {
                    (
                        Outcome::Pass(None),
                        "the repository belongs to whom it belonged to when it was built",
                    )
                } else {
                    (
                        Outcome::Warn(Some(Shade::Renamed)),
                        "the repository has been transferred since it was built",
                    )
                };
                finding(outcome, summary)
                    .observing("repository owner id", now.0.to_string())
                    .citing([seen.evidence.clone()])
            }
            Some(Availability::Unavailable(trouble)) => Finding::unavailable(check, trouble),
            Some(Availability::Absent { .. }) => finding(
                Outcome::Unknown(UnknownReason::Private),
                "the repository is gone or private: GitHub does not tell which",
            ),
            None => finding(
                Outcome::Unknown(UnknownReason::NotRun),
                "to whom the repository belongs was not asked",
            ),
        }
    })
}

/// Warns if no earlier release was built from this repository, by its id. Another repository of the same owner is where
/// packages move to when repositories are merged, and is harmless. One of somebody else becomes a habit when it has released
/// for as long as ends one, and nothing was told against it.
pub(super) fn repo_changed(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdRepoChanged;
    evidence.of_each_provenance(check, |provenance| {
        let certificate = provenance.certificate;
        let Some(repository) = certificate.source_repository_identifier.as_deref() else {
            return absent(check, "the certificate names no repository by id");
        };
        let releases: Vec<&PastRelease> = evidence.identities().collect();
        let past = values(&releases, |release| release.repository_id.as_ref());
        let owners = values(&releases, |release| release.owner_id.as_ref());
        let like = "earlier releases were built from this repository";
        let from_here = evidence.past().into_iter().filter(|release| {
            release.attested && !release.refused && release.repository_id.as_deref() == Some(repository)
        });
        let since: Vec<Timestamp> = from_here.map(|release| release.published_at).collect();
        let is_known = past.contains(&repository) || is_ended(&since);
        let finding = evidence.compare(check, &past, is_known, like, || {
            let moved = certificate
                .source_repository_owner_identifier
                .as_deref()
                .is_some_and(|owner| owners.contains(&owner));
            let (shade, summary) = if moved {
                (
                    Some(Shade::Renamed),
                    "the package has moved to another repository of its owner",
                )
            } else {
                (
                    None,
                    "no earlier release was built from this repository, nor from one of its owner",
                )
            };
            Finding::new(check, Outcome::Warn(shade), summary)
        });
        finding.observing("certificate 1.15 repository id", repository)
    })
}

/// Warns if no earlier release was made by this workflow. Pipelines are rebuilt all the time: by itself it is harmless, and
/// [`in_company`] makes it weigh where something else is unusual.
pub(super) fn workflow_changed(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdWorkflowChanged;
    evidence.of_each_provenance(check, |provenance| {
        let Some(workflow) = provenance.certificate.workflow_path() else {
            return absent(
                check,
                "the certificate is older than the extension that names the workflow",
            );
        };
        let releases: Vec<&PastRelease> = evidence.identities().collect();
        let past = values(&releases, |release| release.workflow.as_ref());
        let like = "this workflow made earlier releases";
        let finding = evidence.compare(check, &past, past.contains(&workflow.as_str()), like, || {
            let summary = "no earlier release was made by this workflow";
            Finding::new(check, Outcome::Warn(Some(Shade::Alone)), summary)
        });
        finding.observing("certificate 1.18 workflow", workflow)
    })
}

/// Lets a changed workflow weigh where something else of who signed, or of the source, is unusual.
pub(super) fn in_company(findings: &mut [Finding]) {
    let is_unusual = |finding: &Finding| {
        matches!(finding.check.family(), Family::Identity | Family::Source)
            && finding.check.severity() >= Severity::Medium
            && match finding.outcome {
                Outcome::Fail(_) => true,
                Outcome::Warn(shade) => !shade.is_some_and(Shade::is_harmless),
                Outcome::Pass(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => false,
            }
    };
    if !findings.iter().any(is_unusual) {
        return;
    }
    for finding in findings {
        if finding.outcome == Outcome::Warn(Some(Shade::Alone)) {
            finding.outcome = Outcome::Warn(None);
        }
    }
}

/// Whether anybody with an account can cause this event.
fn is_anybodys(trigger: &str) -> bool {
    matches!(
        trigger,
        "issue_comment"
            | "commit_comment"
            | "pull_request"
            | "pull_request_target"
            | "pull_request_review"
            | "pull_request_review_comment"
            | "issues"
            | "discussion"
            | "discussion_comment"
            | "fork"
            | "watch"
    )
}

/// Warns if this event triggered none of the channel's earlier releases. Events that anybody with an account can cause fail,
/// unless the package is released by them.
pub(super) fn trigger_novel(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdTriggerNovel;
    evidence.of_each_provenance(check, |provenance| {
        let Some(trigger) = provenance.certificate.build_trigger.as_deref() else {
            return absent(check, "the certificate names no trigger");
        };
        let releases: Vec<&PastRelease> = evidence.of_channel().collect();
        let past = values(&releases, |release| release.trigger.as_ref());
        let like = "this event triggered earlier releases";
        let finding = evidence.compare(check, &past, past.contains(&trigger), like, || {
            let (outcome, summary) = if is_anybodys(trigger) {
                (
                    Outcome::Fail(None),
                    "an event triggered the release that anybody can cause, and that never triggered one before",
                )
            } else {
                (Outcome::Warn(None), "this event triggered none of the earlier releases")
            };
            Finding::new(check, outcome, summary)
        });
        finding.observing("certificate 1.20 trigger", trigger)
    })
}

/// What kind of ref a release was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefClass<'a> {
    Tag,
    /// The default branch.
    Default,
    /// A branch of one release line, such as `release/2.x` or `v2`.
    Line,
    /// Another branch.
    Branch(&'a str),
    /// Anything else: the refs of pull requests, say.
    Other,
}

impl<'a> RefClass<'a> {
    fn of(full: &'a str, default: Option<&str>) -> Self {
        if full.starts_with("refs/tags/") {
            return Self::Tag;
        }
        let Some(branch) = full.strip_prefix("refs/heads/") else {
            return Self::Other;
        };
        let is_default = default.map_or(matches!(branch, "main" | "master"), |default| default == branch);
        let line = branch
            .strip_prefix("release/")
            .or_else(|| branch.strip_prefix("release-"))
            .unwrap_or(branch);
        let line = line.strip_prefix('v').unwrap_or(line);
        if is_default {
            Self::Default
        } else if line.starts_with(|first: char| first.is_ascii_digit())
            && line
                .chars()
                .all(|character| character.is_ascii_digit() || ".x-".contains(character))
        {
            Self::Line
        } else {
            Self::Branch(branch)
        }
    }
}

/// Whether part of a name looks like chosen by a machine: four or more hexadecimal digits, letters and figures mixed.
fn looks_random(name: &str) -> bool {
    name.split(|character: char| !character.is_ascii_alphanumeric())
        .any(|part| {
            part.len() >= 4
                && part.bytes().all(|byte| byte.is_ascii_hexdigit())
                && part.bytes().any(|byte| byte.is_ascii_digit())
                && part.bytes().any(|byte| byte.is_ascii_alphabetic())
        })
}

/// Warns if releases of the channel were never built from a ref of this kind. It fails for a throw-away branch where releases
/// come from tags or the default branch: one that is gone or has a name by chance, with a commit that lies nowhere else.
pub(super) fn ref_novel(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdRefNovel;
    let trace = evidence.trace.as_ref().ok();
    let default = trace.and_then(Trace::default_branch);
    evidence.of_each_provenance(check, |provenance| {
        let Some(full) = provenance.certificate.source_repository_ref.as_deref() else {
            return absent(check, "the certificate names no ref");
        };
        let releases: Vec<&PastRelease> = evidence.of_channel().collect();
        let past = values(&releases, |release| release.r#ref.as_ref());
        let class = RefClass::of(full, default);
        // A default branch that was given its present name had another one before.
        let renamed = |past: RefClass<'_>| {
            class == RefClass::Default && matches!(past, RefClass::Branch("main" | "master" | "trunk" | "develop"))
        };
        let classes: Vec<RefClass<'_>> = past.iter().map(|past| RefClass::of(past, default)).collect();
        let seen = classes.iter().any(|past| *past == class || renamed(*past));
        let like = "earlier releases were built from refs of this kind";
        let finding = evidence.compare(check, &past, seen, like, || {
            let gone = matches!(trace.map(|trace| &trace.on_ref), Some(Some(Availability::Absent { .. })));
            let thrown_away = matches!(class, RefClass::Branch(name) if gone || looks_random(name));
            let from_tags = classes.iter().all(|past| matches!(past, RefClass::Tag | RefClass::Default));
            let is_nowhere_else = || source::commit_reachable(evidence).outcome == Outcome::Warn(None);
            let (outcome, summary) = if thrown_away && from_tags && default.is_some() && is_nowhere_else() {
                (
                    Outcome::Fail(None),
                    "built from a branch that was thrown away, with a commit that lies nowhere else; releases come from \
                     tags or the default branch",
                )
            } else {
                (Outcome::Warn(None), "no earlier release was built from a ref of this kind")
            };
            Finding::new(check, outcome, summary)
        });
        finding.observing("certificate 1.14 ref", full)
    })
}

/// Warns if everybody gets by default, as `latest`, what was built from a branch of prereleases or of a feature, unlike
/// earlier releases.
pub(super) fn ref_disttag_mismatch(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdRefDisttagMismatch;
    let default = evidence.trace.as_ref().ok().and_then(Trace::default_branch);
    let metadata = evidence.authenticated.release.metadata.present();
    let is_latest = metadata.is_some_and(|metadata| metadata.tags.iter().any(|tag| tag == "latest"));
    evidence.of_each_provenance(check, |provenance| {
        let Some(full) = provenance.certificate.source_repository_ref.as_deref() else {
            return absent(check, "the certificate names no ref");
        };
        if !is_latest {
            let summary = "the dist-tag latest does not lead to this version";
            return Finding::new(check, Outcome::NotApplicable(None), summary);
        }
        let RefClass::Branch(branch) = RefClass::of(full, default) else {
            let summary = "what is latest was built from a tag, the default branch, or the branch of a release line";
            return Finding::new(check, Outcome::Pass(None), summary).observing("certificate 1.14 ref", full);
        };
        let releases: Vec<&PastRelease> = evidence.of_channel().collect();
        let past = values(&releases, |release| release.r#ref.as_ref());
        let like = "earlier releases were built from this branch";
        let finding = evidence.compare(check, &past, past.contains(&full), like, || {
            if is_of_prereleases_or_features(branch) {
                let summary =
                    "the dist-tag latest leads to what was built from a branch of prereleases or of a feature";
                Finding::new(check, Outcome::Warn(None), summary)
            } else {
                let summary = "the branch has no name of prereleases or features";
                Finding::new(check, Outcome::Pass(None), summary)
            }
        });
        finding
            .observing("certificate 1.14 ref", full)
            .observing("metadata dist-tags", "latest")
    })
}

/// Whether a branch has a name that projects give to those of prereleases or features.
fn is_of_prereleases_or_features(branch: &str) -> bool {
    let name = branch.to_ascii_lowercase();
    let first = name.split(['/', '-', '_', '.']).next().unwrap_or_default();
    matches!(
        first,
        "next"
            | "alpha"
            | "beta"
            | "canary"
            | "rc"
            | "dev"
            | "nightly"
            | "experimental"
            | "insiders"
            | "preview"
            | "snapshot"
            | "feature"
            | "features"
            | "feat"
            | "fix"
            | "bugfix"
            | "topic"
            | "wip"
            | "test"
    )
}

/// Warns if the last releases named a deployment environment and this one names none.
pub(super) fn environment_missing(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::IdEnvironmentMissing;
    evidence.of_each_provenance(check, |provenance| {
        let recent: Vec<Option<&str>> = evidence
            .history()
            .take(ESTABLISHED)
            .map(|release| release.environment.as_deref())
            .collect();
        let always = recent.len() >= ESTABLISHED && recent.iter().all(Option::is_some);
        let is_short = recent.len() < ESTABLISHED;
        let past: Vec<&str> = recent.into_iter().flatten().collect();
        let environment = provenance.certificate.deployment_environment.as_deref();
        let finding = match (environment, always) {
            (Some(_), _) => Finding::new(
                check,
                Outcome::Pass(None),
                "the release names its deployment environment",
            ),
            (None, _) if evidence.history_has_gaps() && (is_short || always) => evidence.no_habit(check),
            (None, true) => {
                let summary = "the last releases named a deployment environment, and this one names none";
                Finding::new(check, Outcome::Warn(None), summary)
            }
            (None, false) => {
                let summary = "the package's releases name no deployment environment as a rule";
                Finding::new(check, Outcome::NotApplicable(Some(Shade::NoHabit)), summary)
            }
        };
        finding
            .observing("certificate 1.23 environment", environment.unwrap_or("(none)"))
            .observing("earlier releases", distinct(&past))
    })
}

/// The distinct values, in the order of the alphabet.
fn distinct(values: &[&str]) -> String {
    let distinct: std::collections::BTreeSet<&str> = values.iter().copied().collect();
    if distinct.is_empty() {
        return "(none known)".to_owned();
    }
    distinct.into_iter().take(6).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_by_chance_mixes_figures_and_letters() {
        for name in ["snapshot-4f2a", "oidc-7a1f", "x/deadbeef01", "9c6d"] {
            assert!(looks_random(name), "{name}");
        }
        for name in [
            "release/2026",
            "next",
            "feature",
            "facade",
            "v2-beta",
            "node20",
            "2.x",
            "main",
        ] {
            assert!(!looks_random(name), "{name}");
        }
    }

    #[test]
    fn a_branch_of_prereleases_or_features_says_so() {
        for branch in ["alpha", "next", "feature/login", "snapshot-4f2a", "Beta", "rc-2"] {
            assert!(is_of_prereleases_or_features(branch), "{branch}");
        }
        for branch in [
            "main",
            "production",
            "release",
            "changeset-release/main",
            "stable",
            "development",
        ] {
            assert!(!is_of_prereleases_or_features(branch), "{branch}");
        }
    }
}
