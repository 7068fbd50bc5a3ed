//! Homebrew's rules for names and versions, and for the names of bottles.

use super::LATEST;
use crate::package::Selector;

/// The longest name and the longest version, in characters. The longest real ones have some dozens.
const LONGEST: usize = 128;

/// The spelling of a formula's name: lower case, as the formulae of Homebrew's own tap have it
/// (<https://docs.brew.sh/Formula-Cookbook#a-quick-word-on-naming>). Formulae of other taps are in no API.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > LONGEST {
        return Err("it has more than 128 characters");
    }
    if text.contains('/') {
        return Err("it has a slash: formulae of other taps than homebrew/core are not served by the formula API");
    }
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_.+@".contains(character);
    if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) || !text.chars().all(is_allowed) {
        return Err("it has characters that no formula's name has");
    }
    Ok(text.to_ascii_lowercase())
}

/// What stands for a version: `latest`, or a version with its revision, such as `1.2.3_1`.
pub(super) fn selector(text: &str) -> Result<Selector, &'static str> {
    if text == LATEST {
        return Ok(Selector::Tag(text.to_owned()));
    }
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > LONGEST {
        return Err("it has more than 128 characters");
    }
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_.+~".contains(character);
    if !text.starts_with(|first: char| first.is_ascii_alphanumeric()) || !text.chars().all(is_allowed) {
        return Err("it has characters that no formula's version has");
    }
    Ok(Selector::Version(text.to_owned()))
}

/// Whether a text is the tag of a platform: `arm64_sequoia`, `x86_64_linux`, `all`.
pub(super) fn is_tag(text: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    !text.is_empty() && text.len() <= LONGEST && text.chars().all(is_allowed)
}

/// The file name of a bottle. How often it was built anew is part of it, and of no version.
pub(super) fn bottle_name(name: &str, version: &str, tag: &str, rebuild: u64) -> String {
    let rebuild = match rebuild {
        0 => String::new(),
        rebuild => format!(".{rebuild}"),
    };
    format!("{name}--{version}.{tag}.bottle{rebuild}.tar.gz")
}

/// Whether an attestation's subject is one of the bottles that `all`, the bottle for all platforms, was made of: bottles that
/// came out alike are merged into one, and attested under the names that they had before. Formula and version have to be the
/// same, which is what Homebrew's own client demands.
pub(super) fn is_merged_into(subject: &str, all: &str) -> bool {
    let Some((formula, _rebuild)) = all.rsplit_once(".all.bottle") else {
        return false;
    };
    let rest = subject.strip_prefix(formula).and_then(|rest| rest.strip_prefix('.'));
    let rest = rest.and_then(|rest| rest.strip_suffix(".tar.gz")?.split_once(".bottle"));
    rest.is_some_and(|(tag, rebuild)| {
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_tag(tag) && (rebuild.is_empty() || rebuild.strip_prefix('.').is_some_and(is_number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_formulae() {
        for (text, spelled) in [
            ("wget", "wget"),
            ("openssl@3", "openssl@3"),
            ("gtk+3", "gtk+3"),
            ("libsigc++@2", "libsigc++@2"),
            ("python@3.12", "python@3.12"),
            ("SDL2", "sdl2"),
        ] {
            assert_eq!(name(text), Ok(spelled.to_owned()));
        }
        for text in [
            "",
            "@3",
            "../etc",
            "user/tap/name",
            "a b",
            "a?b",
            ".hidden",
            &"a".repeat(129),
        ] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_version_has_its_revision_and_latest_is_none() {
        for text in ["1.2.3_1", "9e", "2026-11-02", "r1234", "0.1.0-beta.2", "1.0+git"] {
            assert_eq!(selector(text), Ok(Selector::Version(text.to_owned())));
        }
        assert_eq!(selector("latest"), Ok(Selector::Tag("latest".to_owned())));
        for text in ["", "_1", "1/2", "1 2", "1@2"] {
            assert!(selector(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rebuild_is_part_of_the_name_of_a_bottle() {
        assert_eq!(
            bottle_name("openssl@3", "3.6.0_1", "arm64_sequoia", 0),
            "openssl@3--3.6.0_1.arm64_sequoia.bottle.tar.gz"
        );
        assert_eq!(bottle_name("tree", "2.1", "all", 2), "tree--2.1.all.bottle.2.tar.gz");
    }

    #[test]
    fn a_bottle_for_all_is_made_of_those_of_its_formula_and_version() {
        let all = "tree--2.1.all.bottle.1.tar.gz";
        for subject in [
            "tree--2.1.arm64_sequoia.bottle.tar.gz",
            "tree--2.1.x86_64_linux.bottle.1.tar.gz",
            all,
        ] {
            assert!(is_merged_into(subject, all), "{subject}");
        }
        for subject in [
            "tree--2.1.1.arm64_sequoia.bottle.tar.gz",
            "tree--2.10.arm64_sequoia.bottle.tar.gz",
            "tree--2.1_1.arm64_sequoia.bottle.tar.gz",
            "tree-sitter--2.1.arm64_sequoia.bottle.tar.gz",
            "tree--2.1.arm64_sequoia.bottle.x.tar.gz",
            "tree--2.1.arm64_sequoia.tar.gz",
            "",
        ] {
            assert!(!is_merged_into(subject, all), "{subject}");
        }
        assert!(!is_merged_into(
            "tree--2.1.sonoma.bottle.tar.gz",
            "tree--2.1.sonoma.bottle.tar.gz"
        ));
    }
}
