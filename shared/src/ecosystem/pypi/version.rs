//! Names of projects (PEP 503) and versions (PEP 440).

use pep440_rs::{PrereleaseKind, Version};

use crate::history::Line;

/// The longest name that is accepted. PyPI sets no limit of its own; the longest public names have about 80 characters,
/// and a longer name than this fits no file system.
const NAME_LIMIT: usize = 214;
/// The longest version that is accepted, in characters. The longest public ones have some dozens.
const VERSION_LIMIT: usize = 128;

/// Checks a name against the rule of the core metadata's `Name`: ASCII letters and digits, with `.`, `_` and `-` between
/// them (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
pub(super) fn check_name(text: &str) -> Result<(), &'static str> {
    let is_edge = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > NAME_LIMIT {
        Err("it is longer than 214 characters")
    } else if !text
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-'))
    {
        Err("it may have ASCII letters, digits, periods, underscores and hyphens only")
    } else if !is_edge(text.chars().next()) || !is_edge(text.chars().next_back()) {
        Err("it must begin and end with a letter or a digit")
    } else {
        Ok(())
    }
}

/// The one spelling of a name by which an index knows a project: lower case, and one hyphen for every run of hyphens,
/// underscores and periods (PEP 503, "Normalized Names").
pub(super) fn normalize(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.extend(other.to_lowercase()),
        }
    }
    normal
}

/// Checks a version against PEP 440, with everything that its appendix B tolerates in writing. Releases from before that
/// rule, such as `2004d-beta`, cannot be asked for by version.
pub(super) fn check_version(text: &str) -> Result<(), &'static str> {
    if text.len() > VERSION_LIMIT {
        Err("it is longer than 128 characters")
    } else if text.trim() != text {
        Err("it begins or ends with white space")
    } else if parse(text).is_none() {
        Err("it is no version as PEP 440 has them")
    } else {
        Ok(())
    }
}

/// A version as PEP 440 has them.
pub(super) fn parse(text: &str) -> Option<Version> {
    if text.len() > VERSION_LIMIT {
        return None;
    }
    text.parse().ok()
}

/// Whether two texts mean the same version: `1.0`, `v1.0` and `1.0.0` do, and `1.0-beta1` is `1.0b1` (PEP 440, "Version
/// specifiers" and "Normalization"). What is no such version is the same only as its own text.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    Identity::of(one) == Identity::of(other)
}

/// What makes two texts the same version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Identity {
    /// A text that is no version.
    Text(String),
    /// A version.
    Version(Version),
}

impl Identity {
    /// That of a text.
    pub(super) fn of(text: &str) -> Self {
        parse(text).map_or_else(|| Self::Text(text.to_owned()), Self::Version)
    }
}

/// The line of a version; `None` if it is none that PEP 440 knows. Developmental releases are prereleases, and
/// post-releases belong to what they come after.
pub(super) fn line(version: &str) -> Option<Line> {
    let version = parse(version)?;
    let mut numbers = version.release().iter().copied();
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    Some(Line::numbered(version.epoch(), major, minor, version.any_prerelease()))
}

/// The channel of a version that an installer picks only if it is asked to: `a`, `b`, `rc` or `dev`, and `dev` of all that
/// is a developmental release of something. `None` for what everybody gets, post-releases among it, and for what is no
/// version.
pub(super) fn channel(version: &str) -> Option<String> {
    let version = parse(version)?;
    if version.is_dev() {
        return Some("dev".to_owned());
    }
    let name = match version.pre()?.kind {
        PrereleaseKind::Alpha => "a",
        PrereleaseKind::Beta => "b",
        PrereleaseKind::Rc => "rc",
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_and_separators_are_one() {
        for text in ["friendly-bard", "Friendly_Bard", "FRIENDLY.bard", "friendly-._bard"] {
            assert_eq!(normalize(text), "friendly-bard");
        }
        assert_eq!(normalize("zope.interface"), "zope-interface");
        assert_eq!(normalize("a"), "a");
    }

    #[test]
    fn a_normal_name_stays_as_it_is() {
        for text in ["a", "0", "a-b", "a-._b", "A__B"] {
            assert_eq!(normalize(&normalize(text)), normalize(text));
        }
    }

    #[test]
    fn a_name_is_refused_by_the_rule_that_it_breaks() {
        for text in ["a", "A", "0", "a-b", "a.b_c", "z--y", &"a".repeat(214)] {
            assert_eq!(check_name(text), Ok(()), "{text:?}");
        }
        for (text, rule) in [
            ("", "empty"),
            ("-a", "begin"),
            ("a.", "begin"),
            ("_", "begin"),
            ("a b", "ASCII"),
            ("a/b", "ASCII"),
            ("ä", "ASCII"),
            ("@a", "ASCII"),
            (&"a".repeat(215), "214"),
        ] {
            assert!(check_name(text).unwrap_err().contains(rule), "{text:?}");
        }
    }

    #[test]
    fn a_version_is_refused_by_the_rule_that_it_breaks() {
        for text in [
            "1",
            "1.0",
            "v1.0",
            "1!2.0",
            "1.0.post1",
            "1.0b2",
            "1.0+cu118",
            "1.0-1",
            "2024.1.1.dev0",
        ] {
            assert_eq!(check_version(text), Ok(()), "{text:?}");
        }
        for (text, rule) in [
            ("", "PEP 440"),
            ("latest", "PEP 440"),
            ("1.0/../2", "PEP 440"),
            ("2004d-beta", "PEP 440"),
            (" 1.0", "white space"),
            ("99999999999999999999999", "PEP 440"),
            (&"1.".repeat(65), "128"),
        ] {
            assert!(check_version(text).unwrap_err().contains(rule), "{text:?}");
        }
    }

    #[test]
    fn one_version_is_written_in_several_ways() {
        for (one, other) in [
            ("1.0", "1.0.0"),
            ("1.0", "v1.0"),
            ("1.0-beta1", "1.0b1"),
            ("1.0.Alpha.1", "1.0a1"),
            ("1.0-1", "1.0.post1"),
            ("0!1", "1"),
            ("1.0+ubuntu-1", "1.0+ubuntu.1"),
            ("01.2", "1.2"),
            ("old-style", "old-style"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1.0", "1.0.1"),
            ("1.0", "1.0+local"),
            ("1.0", "1!1.0"),
            ("1.0", "1.0.post0"),
            ("old-style", "Old-style"),
            ("1.0", "old-style"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_line_is_a_major_version_or_a_minor_one_before_the_first() {
        let line_of = |text| line(text).unwrap();
        assert_eq!(line_of("1.2.3"), line_of("1.9"));
        assert_eq!(line_of("1.2.post1"), line_of("1"));
        assert_ne!(line_of("0.1.0"), line_of("0.2.0"));
        assert_ne!(line_of("1.0"), line_of("1!1.0"));
        assert_ne!(line_of("1.0"), line_of("1.1rc1"));
        assert_eq!(line_of("1.1rc1"), line_of("1.0.dev3"));
        assert_eq!(line("old-style"), None);
        assert_eq!(line_of("0.2.1").to_string(), "0.2.x");
        assert_eq!(line_of("1!2024.1rc1").to_string(), "1!2024.x (prereleases)");
    }

    #[test]
    fn a_channel_is_named_by_what_comes_after_the_release() {
        for (version, expected) in [
            ("1.0", None),
            ("1.0.post1", None),
            ("1.0+local", None),
            ("1.0a1", Some("a")),
            ("1.0beta2", Some("b")),
            ("1.0c3", Some("rc")),
            ("1.0.dev4", Some("dev")),
            ("1.0a1.dev4", Some("dev")),
            ("1.0.post1.dev4", Some("dev")),
            ("old-style", None),
        ] {
            assert_eq!(channel(version).as_deref(), expected, "{version}");
        }
    }
}
