//! Several artifacts of one version: what each of them shows, in one list of findings.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::YesNoUnknown;
use crate::authenticate::Authenticated;
use crate::check::{Finding, Outcome};

/// An artifact with what every check found of it.
pub struct Judged<'a> {
    /// The artifact, with its attestations examined.
    pub authenticated: &'a Authenticated,
    /// One finding per check, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Judged<'_> {
    /// The name of the file; empty where the version has but one.
    pub fn about(&self) -> &str {
        &self.authenticated.release.about
    }

    /// When it was published, as the registry says.
    pub(super) fn published_at(&self) -> Option<Timestamp> {
        let metadata = self.authenticated.release.metadata.present()?;
        metadata.published_at
    }

    /// Whether the registry's metadata could be read.
    pub(super) fn is_described(&self) -> bool {
        self.authenticated.release.metadata.present().is_some()
    }
}

/// The names that findings tell apart; none where all are about every artifact.
pub(super) fn artifact_names(findings: &[Finding]) -> BTreeSet<&str> {
    findings
        .iter()
        .flat_map(|finding| &finding.artifacts)
        .map(String::as_str)
        .collect()
}

/// The findings on all artifacts, check by check. What is found of several in the same words is told once: as it is if the
/// values are the same, too, and otherwise with those values that are. A failure keeps its own values: it is told with another
/// only if nothing differs.
pub(super) fn merged(judged: &[Judged<'_>]) -> Vec<Finding> {
    let checks = judged.first().map_or(0, |artifact| artifact.findings.len());
    let mut merged = Vec::new();
    for index in 0..checks {
        let of_check = judged
            .iter()
            .filter_map(|artifact| Some((artifact.about(), artifact.findings.get(index)?)));
        let mut groups: Vec<Finding> = Vec::new();
        for (about, finding) in of_check {
            match groups.iter_mut().find(|group| is_like(group, finding)) {
                Some(group) => join(group, about, finding),
                None => groups.push(Finding {
                    artifacts: vec![about.to_owned()],
                    ..finding.clone()
                }),
            }
        }
        if let [only] = groups.as_mut_slice() {
            only.artifacts.clear();
        }
        merged.extend(groups);
    }
    merged
}

/// Whether two findings of one check can be told as one.
fn is_like(group: &Finding, finding: &Finding) -> bool {
    let same = group.outcome == finding.outcome && group.summary == finding.summary;
    let keeps_values = match finding.outcome {
        Outcome::Fail(_) | Outcome::Warn(_) => true,
        Outcome::Pass(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => false,
    };
    same && (!keeps_values || group.observed == finding.observed)
}

fn join(group: &mut Finding, about: &str, finding: &Finding) {
    group
        .observed
        .retain(|place, value| finding.observed.get(place) == Some(value));
    for digest in &finding.evidence {
        if !group.evidence.contains(digest) {
            group.evidence.push(digest.clone());
        }
    }
    group.artifacts.push(about.to_owned());
}

/// The answer for all artifacts: yes if it is yes for any, no if it is no for all.
pub(super) fn worst_answer(answers: impl IntoIterator<Item = YesNoUnknown>) -> YesNoUnknown {
    answers
        .into_iter()
        .reduce(|one, other| match (one, other) {
            (YesNoUnknown::Yes, _) | (_, YesNoUnknown::Yes) => YesNoUnknown::Yes,
            (YesNoUnknown::Unknown, _) | (_, YesNoUnknown::Unknown) => YesNoUnknown::Unknown,
            (YesNoUnknown::No, YesNoUnknown::No) => YesNoUnknown::No,
        })
        .unwrap_or(YesNoUnknown::Unknown)
}
