//! One verdict as one screen for people.

use std::fmt::Write as _;

use hekate::check::{Finding, Outcome, UnknownReason};
use hekate::package::PackageVersion;
use hekate::verdict::{Status, Verdict, YesNoUnknown};
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::chain::{Link, Said, find, said};
use super::{BOLD, FAINT, Mark, Screen, status_style, styled};

/// The most lines of one report: a terminal of the usual height, with a line left for the prompt.
const LINES: usize = 23;
/// Where the text of a link begins: indentation, mark, and the longest name.
const LINK_INDENT: usize = 14;

/// The report on a verdict, with a line break at its end.
pub(super) fn report(verdict: &Verdict, screen: Screen) -> String {
    let mut lines = heading(verdict, screen);
    lines.push(String::new());
    for link in Link::ALL {
        lines.extend(link_lines(link, &said(link, verdict, screen), screen));
    }
    lines.push(String::new());
    lines.extend(questions(verdict));
    let footer = footer(verdict, screen);
    let room = LINES.saturating_sub(lines.len() + footer.len() + 2);
    lines.push(String::new());
    lines.extend(limited(reasons(verdict, screen), room));
    lines.push(String::new());
    lines.extend(footer);
    lines.into_iter().fold(String::new(), |mut text, line| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{}", line.trim_end());
        text
    })
}

fn heading(verdict: &Verdict, screen: Screen) -> Vec<String> {
    let status = styled(status_style(verdict.status), &verdict.status.as_str().to_uppercase());
    let first = format!("{status}  {}", styled(BOLD, &short_name(&verdict.package)));
    let mut lines = vec![first];
    lines.extend(wrapped(in_words(verdict.status), "", screen));
    lines
}

/// The form that the command line takes.
pub(crate) fn short_name(package: &PackageVersion) -> String {
    format!(
        "{}:{}@{}",
        package.ecosystem().purl_type(),
        package.name(),
        package.version()
    )
}

/// What a status means.
fn in_words(status: Status) -> &'static str {
    match status {
        Status::Mismatch => "Proofs contradict each other, or one is forged: do not use this version.",
        Status::Suspicious => "Authentic, but not released as this package should be: look before you use it.",
        Status::Downgraded => "Evidence that earlier releases of this line carried is absent.",
        Status::Indeterminate => "It could not be decided now: try again.",
        Status::Unattested => "Nobody attested how it was built, which is so for most packages.",
        Status::Attested => "An authentic build attested these very bytes; its run was not examined.",
        Status::Verified => "An authentic build made these very bytes, and its run was examined.",
    }
}

/// A pass shows its fact; trouble shows first what is wrong; what is not known shows what is known besides.
fn link_lines(link: Link, said: &Said, screen: Screen) -> Vec<String> {
    let Said { mark, fact, reason } = said;
    let room = screen.width.saturating_sub(LINK_INDENT);
    let name = format!("{:<width$}", link.name(), width = LINK_INDENT - 4);
    let lead = format!("{} {name}", styled(mark.style(), screen.mark(*mark)));
    let mut text: Vec<String> = Vec::new();
    match (mark, fact, reason) {
        (Mark::Fail | Mark::Warn, fact, Some(reason)) => {
            text.extend(
                fill(reason, room, 2, screen)
                    .into_iter()
                    .map(|line| styled(mark.style(), &line)),
            );
            text.extend(fact.as_deref().map(|fact| styled(FAINT, &screen.shortened(fact, room))));
        }
        (Mark::Unknown | Mark::NotApplicable, Some(fact), Some(reason)) => {
            let fact = screen.shortened(fact, room);
            let aside = format!("({reason})");
            if fact.width() + 1 + aside.width() <= room {
                text.push(format!("{fact} {}", styled(FAINT, &aside)));
            } else {
                text.push(fact);
                text.extend(
                    fill(&aside, room, 1, screen)
                        .into_iter()
                        .map(|line| styled(FAINT, &line)),
                );
            }
        }
        (Mark::Unknown | Mark::NotApplicable, None, Some(reason)) => {
            text.extend(
                fill(reason, room, 1, screen)
                    .into_iter()
                    .map(|line| styled(FAINT, &line)),
            );
        }
        (_, Some(fact), _) => text.push(screen.shortened(fact, room)),
        (_, None, _) => text.push(String::new()),
    }
    let indent = " ".repeat(LINK_INDENT);
    text.into_iter()
        .enumerate()
        .map(|(index, line)| {
            if index == 0 {
                format!("  {lead}{line}")
            } else {
                format!("{indent}{line}")
            }
        })
        .collect()
}

fn questions(verdict: &Verdict) -> Vec<String> {
    let questions = &verdict.questions;
    [
        (
            "On the registry, but never built on GitHub Actions?",
            questions.registry_only,
        ),
        (
            "Signed for by a run that GitHub Actions does not have?",
            questions.log_only,
        ),
        ("Published something else than was built?", questions.mismatch),
    ]
    .map(|(question, answer)| {
        let (word, style) = match answer {
            YesNoUnknown::Yes => ("yes", Mark::Fail.style()),
            YesNoUnknown::No => ("no", Mark::Pass.style()),
            YesNoUnknown::Unknown => ("unknown", FAINT),
        };
        format!("  {question:<57}{}", styled(style, word))
    })
    .into()
}

/// What decided the status.
fn reasons(verdict: &Verdict, screen: Screen) -> Vec<String> {
    let deciding: Vec<&Finding> = verdict
        .decided_by
        .iter()
        .filter_map(|&check| find(verdict, check))
        .collect();
    if deciding.iter().all(|finding| finding.outcome.is_pass()) {
        return summary_of_passes(verdict, deciding.len(), screen);
    }
    let mut lines = vec!["  Decided by".to_owned()];
    for group in grouped(&deciding) {
        lines.extend(group_lines(&group, screen));
    }
    let besides: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|finding| matches!(finding.outcome, Outcome::Fail(_) | Outcome::Warn(_)))
        .filter(|finding| !verdict.decided_by.contains(&finding.check))
        .map(|finding| finding.check.as_str())
        .collect();
    if !besides.is_empty() {
        lines.extend(wrapped(&format!("besides: {}", besides.join(", ")), "    ", screen));
    }
    lines
}

/// Findings that say the same.
struct Group<'a> {
    first: &'a Finding,
    others: usize,
}

fn grouped<'a>(findings: &[&'a Finding]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for finding in findings {
        let same = |group: &&mut Group<'_>| {
            group.first.outcome == finding.outcome
                && group.first.summary == finding.summary
                && group.first.observed == finding.observed
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.others += 1,
            None => groups.push(Group {
                first: finding,
                others: 0,
            }),
        }
    }
    groups
}

fn group_lines(group: &Group<'_>, screen: Screen) -> Vec<String> {
    let finding = group.first;
    let mark = Mark::from(finding.outcome);
    let others = if group.others == 0 {
        String::new()
    } else {
        format!(" and {} more", group.others)
    };
    let text = format!("{} {}{others}: {}", screen.mark(mark), finding.check, finding.summary);
    let mut lines: Vec<String> = wrapped(&text, "    ", screen)
        .into_iter()
        .map(|line| styled(mark.style(), &line))
        .collect();
    let places = finding
        .observed
        .keys()
        .map(|place| place.width())
        .max()
        .unwrap_or_default();
    for (place, value) in &finding.observed {
        let lead = format!("      {place:<places$}  ");
        let value = screen.shortened(value, screen.width.saturating_sub(lead.width()));
        lines.push(format!("{lead}{value}"));
    }
    lines
}

fn summary_of_passes(verdict: &Verdict, deciding: usize, screen: Screen) -> Vec<String> {
    let unanswered = |reason: fn(UnknownReason) -> bool| {
        verdict
            .findings
            .iter()
            .filter(|finding| matches!(finding.outcome, Outcome::Unknown(why) if reason(why)))
            .count()
    };
    let not_run = unanswered(|why| why == UnknownReason::NotRun);
    let unknown = unanswered(|why| why != UnknownReason::NotRun);
    let mut text = format!("Decided by {deciding} required checks, all passed");
    if not_run > 0 {
        text.push_str(&format!("; {not_run} were not run"));
    }
    if unknown > 0 {
        text.push_str(&format!("; {unknown} have no answer"));
    }
    text.push('.');
    wrapped(&text, "  ", screen)
}

fn footer(verdict: &Verdict, screen: Screen) -> Vec<String> {
    let looked = to_the_minute(verdict.checked_at);
    let again = match verdict.next_look_at {
        Some(at) => format!("look again after {}", to_the_minute(at)),
        None => format!("remembered until {}", to_the_minute(verdict.valid_until)),
    };
    wrapped(&format!("Looked at {looked}, {again}."), "  ", screen)
        .into_iter()
        .map(|line| styled(FAINT, &line))
        .collect()
}

fn to_the_minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// At most so many lines; what is left out is said.
fn limited(mut lines: Vec<String>, room: usize) -> Vec<String> {
    if lines.len() > room {
        lines.truncate(room.saturating_sub(1));
        lines.push(styled(FAINT, "    and more: --format json shows all"));
    }
    lines
}

/// The text in lines of the screen's width, the second and later ones two columns further in.
fn wrapped(text: &str, indent: &str, screen: Screen) -> Vec<String> {
    let deeper = format!("{indent}  ");
    let deeper = if indent.is_empty() { indent } else { &deeper };
    let options = textwrap::Options::new(screen.width)
        .initial_indent(indent)
        .subsequent_indent(deeper);
    textwrap::wrap(text, options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

/// The text in at most `lines` lines of `room` columns.
fn fill(text: &str, room: usize, lines: usize, screen: Screen) -> Vec<String> {
    let mut filled: Vec<String> = textwrap::wrap(text, room)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect();
    if filled.len() > lines {
        filled.truncate(lines);
        if let Some(last) = filled.last_mut() {
            let cut: String = last
                .chars()
                .take(room.saturating_sub(screen.ellipsis().width()))
                .collect();
            *last = format!("{cut}{}", screen.ellipsis());
        }
    }
    filled
}
