//! npm's own rules for names and versions.

use nodejs_semver::{Identifier, Version};

use crate::history::{Channel, Line};
use crate::package::Selector;

/// npm's rules for names: at most 214 characters, one optional `@scope/`, URL-safe characters, no leading dot. Capital letters
/// are accepted since old packages have them (<https://github.com/npm/validate-npm-package-name>, "legacy names").
pub(super) fn check_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 214 {
        return Err("it has more than 214 characters");
    }
    let parts: Vec<&str> = text.split('/').collect();
    let bare = match parts.as_slice() {
        [bare] if !bare.starts_with('@') => *bare,
        [scope, bare] => match scope.strip_prefix('@') {
            Some(scope) if is_segment(scope) => *bare,
            Some(_) => return Err("its scope has characters that are not URL-safe"),
            None => return Err("only a scope, which starts with an @, may stand before a slash"),
        },
        [] | [_] | [_, _, ..] => return Err("it must be name or @scope/name"),
    };
    if bare.starts_with('.') {
        return Err("it starts with a dot");
    }
    if is_segment(bare) {
        Ok(())
    } else {
        Err("it has characters that are not URL-safe")
    }
}

/// Whether a text is one URL-safe segment.
fn is_segment(text: &str) -> bool {
    // The characters that `encodeURIComponent` leaves alone, which is the rule of npm's own validator.
    !text.is_empty()
        && text != ".."
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.!~*'()".contains(character))
}

/// Parses what stands after the `@`: an exact version (SemVer 2.0), or a dist-tag.
pub(super) fn selector(text: &str) -> Result<Selector, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 256 {
        return Err("it has more than 256 characters");
    }
    // The parser also takes a leading `v` or blanks, which no published version has: only the canonical text is exact.
    if let Ok(version) = nodejs_semver::Version::parse(text)
        && version.to_string() == text
    {
        return Ok(Selector::Version(text.to_owned()));
    }
    // npm refuses a tag that could be read as a range (https://docs.npmjs.com/cli/commands/npm-dist-tag).
    if nodejs_semver::Range::parse(text).is_ok() {
        return Err("ranges are not resolved; give an exact version or a dist-tag");
    }
    if is_segment(text) {
        Ok(Selector::Tag(text.to_owned()))
    } else {
        Err("it has characters that are not URL-safe")
    }
}

/// The line of a version; `None` if it is no semantic version.
pub(super) fn line(version: &str) -> Option<Line> {
    let version = Version::parse(version).ok()?.into_parts();
    let prerelease = !version.pre_release.is_empty();
    Some(Line::numbered(0, version.major, version.minor, prerelease))
}

/// The channel of a version: that of its first prerelease identifier that is no number. What is no semantic version counts
/// as a prerelease if it has a hyphen.
pub(super) fn channel(version: &str) -> Channel {
    let Ok(version) = Version::parse(version) else {
        return if version.contains('-') {
            Channel::Prerelease(String::new())
        } else {
            Channel::Stable
        };
    };
    if !version.is_prerelease() {
        return Channel::Stable;
    }
    let named = version
        .into_parts()
        .pre_release
        .iter()
        .find_map(|identifier| match identifier {
            Identifier::AlphaNumeric(text) => Some(text.to_ascii_lowercase()),
            Identifier::Numeric(_) => None,
        });
    Channel::Prerelease(named.unwrap_or_default())
}

/// Whether a manifest's version is the one that was asked for. Build metadata is no part of a version's identity
/// (<https://semver.org/#spec-item-10>), and npm publishes without it.
pub(super) fn is_same_version(inner: &str, requested: &str) -> bool {
    let without_build = |text: &str| {
        let text = text.trim().trim_start_matches(['v', '=']).trim();
        let mut version = Version::parse(text).ok()?.into_parts();
        version.build.clear();
        Some((version.major, version.minor, version.patch, version.pre_release))
    };
    inner == requested || without_build(inner).is_some_and(|inner| Some(inner) == without_build(requested))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(version: &str) -> String {
        line(version).unwrap().to_string()
    }

    #[test]
    fn a_line_is_a_major_version_or_a_minor_one_before_the_first() {
        assert_eq!(text("1.14.1"), "1.x");
        assert_eq!(text("0.30.4"), "0.30.x");
        assert_eq!(text("10.0.0+build-1.2"), "10.x");
        assert_eq!(text("2.0.0-next.0"), "2.x (prereleases)");
        assert_eq!(text("0.0.0-20261102"), "0.0.x (prereleases)");
        assert_eq!(line("1.14.1"), line("1.9.0"));
        assert_ne!(line("0.30.4"), line("0.29.4"));
        assert_ne!(line("2.0.0"), line("2.0.0-rc.1"));
        assert_eq!(line("2.0.0-rc.1").map(Line::of_releases), line("2.0.0"));
        assert_eq!(line("latest"), None);
    }

    #[test]
    fn lines_are_in_the_order_of_their_versions() {
        assert!(line("0.9.0") < line("0.10.0"));
        assert!(line("0.10.0") < line("1.0.0"));
        assert!(line("9.0.0") < line("10.0.0-rc.1"));
    }

    #[test]
    fn a_channel_has_the_name_of_its_prereleases() {
        let named = |name: &str| Channel::Prerelease(name.to_owned());
        assert_eq!(channel("1.2.3"), Channel::Stable);
        assert_eq!(channel("1.2.3+build-5"), Channel::Stable);
        assert_eq!(channel("2.0.0-Next.0"), named("next"));
        assert_eq!(channel("2.0.0-next-4f2a.0"), named("next-4f2a"));
        assert_eq!(channel("2.0.0-0"), named(""));
        assert_eq!(channel("2.0.0-20261102.canary"), named("canary"));
        assert_eq!(channel("1.2"), Channel::Stable);
        assert_eq!(channel("1.2-beta"), named(""));
    }

    #[test]
    fn versions_are_compared_as_the_registry_normalises_them() {
        assert!(is_same_version("v1.2.3", "1.2.3"));
        assert!(is_same_version("1.2.3+build.5", "1.2.3"));
        assert!(is_same_version("1.2.3-rc.1", "1.2.3-rc.1"));
        assert!(!is_same_version("1.2.3-rc.1", "1.2.3"));
        assert!(!is_same_version("1.2.30", "1.2.3"));
        assert!(!is_same_version("", "1.2.3"));
    }
}
