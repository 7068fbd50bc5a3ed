//! One verdict as one screen for people.

use std::fmt::Write as _;

use hekate::check::{CheckId, Finding, Outcome, Shade, UnknownReason};
use hekate::package::{Digest, PackageVersion};
use hekate::verdict::{JudgedArtifact, Status, Verdict, YesNoUnknown};
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::chain::{Link, Said, find, said};
use super::{BOLD, FAINT, Mark, Screen, status_mark, status_style, styled};

/// The most lines of one report: a terminal of the usual height, with a line left for the prompt.
const LINES: usize = 23;
/// Where the text of a link begins: indentation, mark, and the longest name.
const LINK_INDENT: usize = 14;
/// Where compared values begin.
const VALUE_INDENT: usize = 6;
/// How many kinds of files are told apart: those that are alike are one kind.
const KINDS: usize = 4;
/// How much is shown of a digest, with its algorithm.
const DIGEST_WIDTH: usize = 26;
/// How many columns the places of compared values have at least, if they need them.
const PLACE_WIDTH: usize = 24;

/// The report on a verdict, with a line break at its end.
pub(super) fn report(verdict: &Verdict, screen: Screen) -> String {
    let [heading, questions, footer] = [heading(verdict, screen), questions(verdict), footer(verdict, screen)];
    let (files, reasons) = (files(verdict, screen), reasons(verdict, screen));
    let chain = |roomy: bool| -> Vec<String> {
        Link::ALL
            .iter()
            .flat_map(|&link| link_lines(link, &said(link, verdict, screen), roomy, screen))
            .collect()
    };
    let gaps = 3;
    let around = heading.len() + files.len() + questions.len() + footer.len() + gaps;
    let room = |chain: &[String]| LINES.saturating_sub(around + chain.len());
    let chain = Some(chain(true))
        .filter(|chain| reasons.len() <= room(chain))
        .unwrap_or_else(|| chain(false));
    let reasons = limited(reasons, room(&chain));
    let gap = vec![String::new()];
    let lines = [
        heading,
        gap.clone(),
        chain,
        files,
        gap.clone(),
        questions,
        gap,
        reasons,
        footer,
    ]
    .concat();
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

/// A pass shows its fact; trouble shows what is wrong, and where there is room the fact below; what is not known shows what
/// is known besides.
fn link_lines(link: Link, said: &Said, roomy: bool, screen: Screen) -> Vec<String> {
    let Said { mark, fact, reason } = said;
    let room = screen.width.saturating_sub(LINK_INDENT);
    let name = format!("{:<width$}", link.name(), width = LINK_INDENT - 4);
    let lead = format!("{} {name}", styled(mark.style(), screen.mark(*mark)));
    let text: Vec<String> = match (mark, fact, reason) {
        (Mark::Fail | Mark::Warn, fact, Some(reason)) => {
            let fact = fact
                .as_deref()
                .filter(|_| roomy)
                .map(|fact| styled(FAINT, &screen.cut(fact, room)));
            [Some(styled(mark.style(), &screen.cut(reason, room))), fact]
                .into_iter()
                .flatten()
                .collect()
        }
        (Mark::Unknown | Mark::NotApplicable, Some(fact), Some(reason)) => {
            let aside = format!("({reason})");
            let left = room.saturating_sub(aside.width() + 1);
            if left >= room / 2 {
                vec![format!("{} {}", screen.cut(fact, left), styled(FAINT, &aside))]
            } else {
                let reason = Some(styled(FAINT, &screen.cut(reason, room))).filter(|_| roomy);
                [Some(screen.cut(fact, room)), reason].into_iter().flatten().collect()
            }
        }
        (Mark::Unknown | Mark::NotApplicable, None, Some(reason)) => vec![styled(FAINT, &screen.cut(reason, room))],
        (_, Some(fact), _) => vec![screen.cut(fact, room)],
        (_, None, _) => vec![String::new()],
    };
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

/// The files of a version that has several, the worst first: those that are alike in one line.
fn files(verdict: &Verdict, screen: Screen) -> Vec<String> {
    if verdict.artifacts.len() < 2 {
        return Vec::new();
    }
    let mut kinds: Vec<Vec<&JudgedArtifact>> = Vec::new();
    for file in &verdict.artifacts {
        let is_alike = |kind: &&mut Vec<&JudgedArtifact>| {
            kind.iter()
                .all(|other| (other.status, &other.decided_by) == (file.status, &file.decided_by))
        };
        match kinds.iter_mut().find(is_alike) {
            Some(kind) => kind.push(file),
            None => kinds.push(vec![file]),
        }
    }
    kinds.sort_by_key(|kind| kind.first().map(|file| file.status));
    let left_out: usize = kinds.iter().skip(KINDS).map(Vec::len).sum();
    let mut lines = vec![String::new()];
    lines.extend(kinds.iter().take(KINDS).filter_map(|kind| kind_line(kind, screen)));
    if left_out > 0 {
        lines.push(styled(
            FAINT,
            &format!("  and {left_out} more: --format json shows all"),
        ));
    }
    lines
}

fn kind_line(kind: &[&JudgedArtifact], screen: Screen) -> Option<String> {
    let first = kind.first()?;
    let mark = status_mark(first.status);
    let status = format!("{:<14}", first.status.as_str());
    let room = screen.width.saturating_sub(status.len() + 4);
    let text = if let [only] = kind {
        screen.shortened(&only.name, room)
    } else {
        let names: Vec<&str> = kind.iter().map(|file| file.name.as_str()).collect();
        screen.cut(&format!("{} files: {}", kind.len(), names.join(", ")), room)
    };
    Some(format!(
        "  {} {}{text}",
        styled(mark.style(), screen.mark(mark)),
        styled(mark.style(), &status)
    ))
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
        .filter_map(|&check| decisive(verdict, check))
        .collect();
    // What a registry of this kind does not do is not required of it.
    let required = deciding
        .iter()
        .filter(|finding| finding.outcome != Outcome::NotApplicable(Some(Shade::NotOfEcosystem)));
    let required: Vec<&&Finding> = required.collect();
    if required.iter().all(|finding| finding.outcome.is_pass()) {
        return summary_of_passes(verdict, required.len(), screen);
    }
    let mut lines = Vec::new();
    for group in grouped(&deciding) {
        lines.extend(group_lines(&group, screen));
    }
    let mut besides: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|finding| matches!(finding.outcome, Outcome::Fail(_) | Outcome::Warn(_)))
        .filter(|finding| !verdict.decided_by.contains(&finding.check))
        .map(|finding| finding.check.as_str())
        .collect();
    // Of several files one is enough.
    besides.dedup();
    if !besides.is_empty() {
        lines.extend(wrapped(&format!("besides: {}", besides.join(", ")), "  ", screen));
    }
    lines
}

/// The finding by which a check decided: of several files, that on one that makes the verdict what it is.
fn decisive(verdict: &Verdict, check: CheckId) -> Option<&Finding> {
    let is_decided = |file: &&JudgedArtifact| file.status == verdict.status && file.decided_by.contains(&check);
    let Some(file) = verdict.artifacts.iter().find(is_decided) else {
        return find(verdict, check);
    };
    let mut of_check = verdict.findings.iter().filter(|finding| finding.check == check);
    of_check.find(|finding| finding.is_about(&file.name))
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
    let files = match finding.artifacts.as_slice() {
        [] => String::new(),
        [only] => format!(" ({only})"),
        several => format!(" ({} files)", several.len()),
    };
    let text = format!(
        "{} {}{others}: {}{files}",
        screen.mark(mark),
        finding.check,
        finding.summary
    );
    let mut lines: Vec<String> = wrapped(&text, "  ", screen)
        .into_iter()
        .map(|line| styled(mark.style(), &line))
        .collect();
    lines.extend(observed_lines(finding, screen));
    lines
}

/// The compared values, each with where it was observed: places that agree stand together.
fn observed_lines(finding: &Finding, screen: Screen) -> Vec<String> {
    let mut by_value: Vec<(String, String)> = Vec::new();
    for (place, value) in &finding.observed {
        let value = if is_digest(value) {
            screen.shortened(value, DIGEST_WIDTH)
        } else {
            value.clone()
        };
        match by_value.iter_mut().find(|(other, _)| *other == value) {
            Some((_, places)) => {
                places.push_str(", ");
                places.push_str(place);
            }
            None => by_value.push((value, place.clone())),
        }
    }
    if let [(value, places)] = by_value.as_slice() {
        let lead = format!("{:VALUE_INDENT$}{places}: ", "");
        let value = screen.shortened(value, screen.width.saturating_sub(lead.width()));
        return vec![format!("{lead}{value}")];
    }
    let widest =
        |part: fn(&(String, String)) -> &str| by_value.iter().map(|pair| part(pair).width()).max().unwrap_or(0);
    let room = screen.width.saturating_sub(VALUE_INDENT + 2);
    let places = widest(|(_, places)| places).min(room.saturating_sub(widest(|(value, _)| value)).max(PLACE_WIDTH));
    let values = widest(|(value, _)| value).min(room.saturating_sub(places));
    by_value
        .iter()
        .map(|(value, place)| {
            let (value, place) = (screen.shortened(value, values), screen.cut(place, places));
            format!("{:VALUE_INDENT$}{value:<values$}  {}", "", styled(FAINT, &place))
        })
        .collect()
}

/// Whether a value is a digest with its algorithm: both of its ends tell it from others.
fn is_digest(value: &str) -> bool {
    value.parse::<Digest>().is_ok()
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
    let parts = [
        Some(format!("Decided by {deciding} required checks, all passed")),
        (not_run > 0).then(|| format!("{not_run} were not run")),
        (unknown > 0).then(|| format!("{unknown} have no answer")),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ") + ".";
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
        lines.push(styled(FAINT, "  and more: --format json shows all"));
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
