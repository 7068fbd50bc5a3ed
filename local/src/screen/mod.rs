//! What people see: marks, colours and tables, for the terminal that they have.
//!
//! Everything here is text with styles in it; `anstream` takes them out where the output is no terminal, or where `NO_COLOR`
//! asks for none.

mod chain;
mod report;

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use comfy_table::presets::{ASCII_FULL_CONDENSED, UTF8_FULL_CONDENSED};
use comfy_table::{Cell, ContentArrangement, Table};
use hekate::check::Outcome;
use hekate::verdict::{Status, Verdict};
use serde::Serialize;
use terminal_size::{Width, terminal_size};
use unicode_width::UnicodeWidthStr as _;

pub(crate) use report::short_name;

use crate::cli::Format;

/// How wide a screen is where nobody says, and between which widths what is printed stays readable.
const USUAL_WIDTH: usize = 80;
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=100;

/// What the answer to a link's or a check's question looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// The question does not arise.
    NotApplicable,
    /// As it should be.
    Pass,
    /// Not answered.
    Unknown,
    /// Unusual.
    Warn,
    /// As it must not be.
    Fail,
}

impl From<Outcome> for Mark {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass(_) => Self::Pass,
            Outcome::Fail(_) => Self::Fail,
            Outcome::Warn(_) => Self::Warn,
            Outcome::Unknown(_) => Self::Unknown,
            Outcome::NotApplicable(_) => Self::NotApplicable,
        }
    }
}

impl Mark {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().bold().fg_color(Some(colour.into()));
        match self {
            Self::Pass => colour(AnsiColor::Green),
            Self::Fail => colour(AnsiColor::Red),
            Self::Warn => colour(AnsiColor::Yellow),
            Self::Unknown => colour(AnsiColor::Cyan),
            Self::NotApplicable => FAINT,
        }
    }
}

/// Secondary text.
const FAINT: Style = Style::new().dimmed();
/// Primary text.
const BOLD: Style = Style::new().bold();

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The colour of a status.
fn status_style(status: Status) -> Style {
    match status {
        Status::Mismatch => Mark::Fail.style(),
        Status::Suspicious | Status::Downgraded => Mark::Warn.style(),
        Status::Indeterminate => Mark::Unknown.style(),
        Status::Unattested => BOLD,
        Status::Attested | Status::Verified => Mark::Pass.style(),
    }
}

/// What a status looks like as the answer to a question.
fn status_mark(status: Status) -> Mark {
    match status {
        Status::Mismatch | Status::Suspicious => Mark::Fail,
        Status::Downgraded => Mark::Warn,
        Status::Indeterminate => Mark::Unknown,
        Status::Unattested => Mark::NotApplicable,
        Status::Attested | Status::Verified => Mark::Pass,
    }
}

/// What the place that is written to can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns.
    pub(crate) width: usize,
    /// Whether it shows more than ASCII.
    pub(crate) unicode: bool,
}

impl Screen {
    /// The screen behind standard output, or what a file is written for.
    pub(crate) fn of_standard_output() -> Self {
        let columns = terminal_size().map_or(USUAL_WIDTH, |(Width(columns), _)| usize::from(columns));
        Self {
            width: columns.clamp(*WIDTHS.start(), *WIDTHS.end()),
            unicode: shows_unicode(|name| std::env::var(name).ok()),
        }
    }

    fn mark(self, mark: Mark) -> &'static str {
        match (mark, self.unicode) {
            (Mark::Pass, true) => "✓",
            (Mark::Pass, false) => "+",
            (Mark::Fail, true) => "✗",
            (Mark::Fail, false) => "X",
            (Mark::Warn, _) => "!",
            (Mark::Unknown, _) => "?",
            (Mark::NotApplicable, true) => "·",
            (Mark::NotApplicable, false) => "-",
        }
    }

    /// What came of something, marked by whether it was expected.
    pub(crate) fn outcome(self, got: &str, expected: &str) -> String {
        format!(
            "{} {got}",
            self.mark(if got == expected { Mark::Pass } else { Mark::Fail })
        )
    }

    fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }

    /// The text with its end left out where it is wider than `width`.
    fn cut(self, text: &str, width: usize) -> String {
        if text.width() <= width {
            return text.to_owned();
        }
        let kept: String = text
            .chars()
            .take(width.saturating_sub(self.ellipsis().width()))
            .collect();
        format!("{}{}", kept.trim_end(), self.ellipsis())
    }

    /// The text with its middle left out where it is wider than `width`: ends tell digests and addresses apart.
    fn shortened(self, text: &str, width: usize) -> String {
        let characters: Vec<char> = text.chars().collect();
        if characters.len() <= width {
            return text.to_owned();
        }
        let left = width.saturating_sub(self.ellipsis().chars().count());
        let tail = left / 3;
        let head: String = characters.iter().take(left - tail).collect();
        let tail: String = characters.iter().skip(characters.len() - tail).collect();
        format!("{head}{}{tail}", self.ellipsis())
    }
}

/// Whether the locale's characters are those of Unicode, by the variables in the order that POSIX gives them. Windows'
/// consoles have no such variables, and show Unicode.
fn shows_unicode(lookup: impl Fn(&str) -> Option<String>) -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(lookup)
        .find(|value| !value.is_empty())
        .map(|value| value.to_ascii_lowercase());
    named.map_or(cfg!(windows), |value| value.contains("utf-8") || value.contains("utf8"))
}

/// A table with this header, for this screen.
pub(crate) fn table<const COLUMNS: usize>(screen: &Screen, header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table
        .load_style(if screen.unicode {
            UTF8_FULL_CONDENSED
        } else {
            ASCII_FULL_CONDENSED
        })
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(screen.width).unwrap_or(u16::MAX))
        .set_header(header.map(Cell::new));
    table
}

/// An error message.
pub(crate) fn error(message: &str) -> String {
    format!("{} {message}", styled(Mark::Fail.style(), "error:"))
}

/// Something that is good to know besides.
pub(crate) fn note(message: &str) -> String {
    styled(FAINT, &format!("note: {message}"))
}

/// Prints verdicts on standard output.
pub(crate) struct Printer {
    format: Format,
    screen: Screen,
    printed: bool,
}

impl Printer {
    /// Nothing is printed yet.
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            screen: Screen::of_standard_output(),
            printed: false,
        }
    }

    /// Prints a verdict: a screen for people, or one line.
    pub(crate) fn print(&mut self, verdict: &Verdict) -> io::Result<()> {
        match self.format {
            Format::Text => {
                let mut output = anstream::stdout().lock();
                if self.printed {
                    writeln!(output)?;
                }
                self.printed = true;
                write!(output, "{}", report::report(verdict, self.screen))?;
                output.flush()
            }
            Format::Json => print_line(verdict),
        }
    }
}

/// Prints a document on standard output, in one line.
pub(crate) fn print_line(document: &impl Serialize) -> io::Result<()> {
    let mut output = anstream::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(document)?)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unicode(pairs: &[(&str, &str)]) -> bool {
        shows_unicode(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert!(unicode(&[("LANG", "en_GB.UTF-8")]));
        assert!(unicode(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(unicode(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]));
        assert!(!unicode(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
        assert!(!unicode(&[("LC_CTYPE", "POSIX")]));
    }

    #[test]
    fn what_is_shortened_keeps_both_ends_and_the_width() {
        let screen = Screen {
            width: 80,
            unicode: true,
        };
        assert_eq!(screen.shortened("abcdefghij", 10), "abcdefghij");
        assert_eq!(screen.shortened("abcdefghijkl", 10), "abcdef…jkl");
        let ascii = Screen {
            unicode: false,
            ..screen
        };
        assert_eq!(ascii.shortened("abcdefghijkl", 10), "abcde...kl");
    }
}
