//! Which package, and which version of it: purls and the short form of the command line.

use std::fmt;
use std::str::FromStr;

use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A package registry that Hekate knows how to ask. Adding one is one variant here and one module under `ecosystem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ecosystem {
    /// npm.
    Npm,
}

impl Serialize for Ecosystem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.purl_type())
    }
}

impl Ecosystem {
    /// Every ecosystem.
    pub const ALL: &[Self] = &[Self::Npm];

    /// The purl type (<https://github.com/package-url/purl-spec>), which is also the path segment of the HTTP API.
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Npm => "npm",
        }
    }

    /// The ecosystem of a purl type, in any case.
    pub fn from_purl_type(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|ecosystem| ecosystem.purl_type().eq_ignore_ascii_case(text))
    }
}

/// Why a text does not name a package.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CoordinateError {
    /// Neither a purl nor the short form.
    #[error("{0:?} is neither a purl such as pkg:npm/%40scope/name@1.2.3 nor the short form npm:@scope/name@1.2.3")]
    Syntax(String),
    /// A well-formed name of something that this verifier does not know how to ask for.
    #[error("packages of type {0:?} are not supported; supported: npm")]
    UnsupportedEcosystem(String),
    /// The name breaks the ecosystem's own rules.
    #[error("{name:?} is not an npm package name: {rule}")]
    Name {
        /// The name as given.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Neither a version nor a tag.
    #[error("{version:?} is neither an exact version nor a dist-tag: {rule}")]
    Version {
        /// The version as given.
        version: String,
        /// What is the case.
        rule: &'static str,
    },
}

/// A package's name, valid in its ecosystem.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName {
    ecosystem: Ecosystem,
    text: String,
}

impl PackageName {
    /// A name, checked against the rules of its ecosystem.
    ///
    /// npm: at most 214 characters, one optional `@scope/`, URL-safe characters, no leading dot. Capital letters are
    /// accepted since old packages have them (<https://github.com/npm/validate-npm-package-name>, "legacy names").
    pub fn new(ecosystem: Ecosystem, text: &str) -> Result<Self, CoordinateError> {
        match ecosystem {
            Ecosystem::Npm => check_npm_name(text)
                .map_err(|rule| CoordinateError::Name {
                    name: text.to_owned(),
                    rule,
                })
                .map(|()| Self {
                    ecosystem,
                    text: text.to_owned(),
                }),
        }
    }

    /// The ecosystem that the name belongs to.
    pub fn ecosystem(&self) -> Ecosystem {
        self.ecosystem
    }

    /// The name as the ecosystem writes it: `@scope/name`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scope (with `@`) and bare name.
    pub fn scope_and_name(&self) -> (Option<&str>, &str) {
        match self.text.split_once('/') {
            Some((scope, name)) => (Some(scope), name),
            None => (None, &self.text),
        }
    }

    /// The purl without a version.
    pub fn to_purl(&self) -> String {
        let (scope, name) = self.scope_and_name();
        let kind = self.ecosystem.purl_type();
        match scope {
            Some(scope) => format!("pkg:{kind}/{}/{}", percent_encode(scope), percent_encode(name)),
            None => format!("pkg:{kind}/{}", percent_encode(name)),
        }
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.ecosystem.purl_type(), self.text)
    }
}

impl FromStr for PackageName {
    type Err = CoordinateError;

    /// Parses a purl without a version, or the short form `npm:name`.
    fn from_str(text: &str) -> Result<Self, CoordinateError> {
        let coordinate: Coordinate = text.parse()?;
        match coordinate.selector {
            Selector::Tag(tag) if tag == "latest" => Ok(coordinate.name),
            Selector::Tag(_) | Selector::Version(_) => Err(CoordinateError::Name {
                name: text.to_owned(),
                rule: "a name without a version is needed here",
            }),
        }
    }
}

impl Serialize for PackageName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.to_purl())
    }
}

impl<'de> Deserialize<'de> for PackageName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// One version of one package. Its text form is the purl, and two are equal exactly if their purls are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageVersion {
    name: PackageName,
    version: String,
}

impl PackageVersion {
    /// A version, checked against the rules of its ecosystem (npm: SemVer 2.0).
    pub fn new(name: PackageName, version: &str) -> Result<Self, CoordinateError> {
        match Selector::parse(name.ecosystem, version)? {
            Selector::Version(version) => Ok(Self { name, version }),
            Selector::Tag(_) => Err(CoordinateError::Version {
                version: version.to_owned(),
                rule: "an exact version is needed here",
            }),
        }
    }

    /// The package.
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// The version as the registry writes it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The ecosystem.
    pub fn ecosystem(&self) -> Ecosystem {
        self.name.ecosystem
    }

    /// The canonical purl, as attestation subjects carry it: `pkg:npm/%40scope/name@1.2.3`.
    pub fn to_purl(&self) -> String {
        format!("{}@{}", self.name.to_purl(), percent_encode(&self.version))
    }

    /// Whether `purl` names this version. Compares parsed values, so that a different but equivalent percent-encoding
    /// is the same name; qualifiers and subpaths are not.
    pub fn is_named_by(&self, purl: &str) -> bool {
        matches!(
            purl.parse::<Coordinate>(),
            Ok(Coordinate { name, selector: Selector::Version(version) }) if name == self.name && version == self.version
        )
    }
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_purl())
    }
}

impl fmt::Debug for PackageVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for PackageVersion {
    type Err = CoordinateError;

    fn from_str(text: &str) -> Result<Self, CoordinateError> {
        let coordinate: Coordinate = text.parse()?;
        match coordinate.selector {
            Selector::Version(version) => Ok(Self {
                name: coordinate.name,
                version,
            }),
            Selector::Tag(tag) => Err(CoordinateError::Version {
                version: tag,
                rule: "an exact version is needed here",
            }),
        }
    }
}

impl Serialize for PackageVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PackageVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What stands after the `@`: an exact version, or a tag that the registry resolves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// An exact version.
    Version(String),
    /// A dist-tag; `latest` where none was given.
    Tag(String),
}

impl Selector {
    /// Parses what stands after the `@`.
    pub fn parse(ecosystem: Ecosystem, text: &str) -> Result<Self, CoordinateError> {
        match ecosystem {
            Ecosystem::Npm => parse_npm_selector(text).map_err(|rule| CoordinateError::Version {
                version: text.to_owned(),
                rule,
            }),
        }
    }

    /// The version or the tag, as written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Version(text) | Self::Tag(text) => text,
        }
    }
}

/// What a caller asks about: a package, and a version or a tag of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinate {
    /// The package.
    pub name: PackageName,
    /// The version, or the tag that leads to one.
    pub selector: Selector,
}

impl Coordinate {
    /// A coordinate from its parts, as the HTTP API's path carries them.
    pub fn new(ecosystem: Ecosystem, name: &str, selector: &str) -> Result<Self, CoordinateError> {
        Ok(Self {
            name: PackageName::new(ecosystem, name)?,
            selector: Selector::parse(ecosystem, selector)?,
        })
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}@{}",
            self.name.to_purl(),
            percent_encode(self.selector.as_str())
        )
    }
}

impl From<PackageVersion> for Coordinate {
    fn from(package: PackageVersion) -> Self {
        Self {
            name: package.name,
            selector: Selector::Version(package.version),
        }
    }
}

impl FromStr for Coordinate {
    type Err = CoordinateError;

    /// Parses `pkg:npm/%40scope/name@version` or `npm:@scope/name@version`; without a version the tag is `latest`.
    fn from_str(text: &str) -> Result<Self, CoordinateError> {
        let text = text.trim();
        if text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkg:")) {
            return parse_purl(text);
        }
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| CoordinateError::Syntax(text.to_owned()))?;
        let ecosystem =
            Ecosystem::from_purl_type(kind).ok_or_else(|| CoordinateError::UnsupportedEcosystem(kind.to_owned()))?;
        // The first character of a scoped name is itself an `@`.
        let version_at = rest
            .char_indices()
            .skip(1)
            .find(|&(_, character)| character == '@')
            .map(|(index, _)| index);
        match version_at.and_then(|index| rest.split_at_checked(index)) {
            Some((name, version)) => Self::new(ecosystem, name, version.trim_start_matches('@')),
            None => Self::new(ecosystem, rest, "latest"),
        }
    }
}

fn parse_purl(text: &str) -> Result<Coordinate, CoordinateError> {
    let purl = PackageUrl::from_str(text).map_err(|_source| CoordinateError::Syntax(text.to_owned()))?;
    let ecosystem = Ecosystem::from_purl_type(purl.ty())
        .ok_or_else(|| CoordinateError::UnsupportedEcosystem(purl.ty().to_owned()))?;
    if !purl.qualifiers().is_empty() || purl.subpath().is_some() {
        return Err(CoordinateError::Syntax(text.to_owned()));
    }
    let name = name_as_written(text).ok_or_else(|| CoordinateError::Syntax(text.to_owned()))?;
    Coordinate::new(ecosystem, &name, purl.version().unwrap_or("latest"))
}

/// The name in a purl that parses, with its capitals. The specification lower-cases npm's names, under which packages that
/// are older than that rule could not be told from others: `JSONStream` and `jsonstream` are two packages.
fn name_as_written(purl: &str) -> Option<String> {
    let (_scheme, rest) = purl.split_once(':')?;
    let (_kind, path) = rest.trim_start_matches('/').split_once('/')?;
    let path = path.trim_matches('/');
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    // An `@` that begins a segment belongs to a scope; one further on begins the version.
    let version = path
        .char_indices()
        .find(|&(index, character)| character == '@' && index > last);
    let (name, _version) = path.split_at_checked(version.map_or(path.len(), |(index, _)| index))?;
    Some(
        percent_encoding::percent_decode_str(name)
            .decode_utf8()
            .ok()?
            .into_owned(),
    )
}

fn check_npm_name(text: &str) -> Result<(), &'static str> {
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
            Some(scope) if is_npm_segment(scope) => *bare,
            Some(_) => return Err("its scope has characters that are not URL-safe"),
            None => return Err("only a scope, which starts with an @, may stand before a slash"),
        },
        [] | [_] | [_, _, ..] => return Err("it must be name or @scope/name"),
    };
    if bare.starts_with('.') {
        return Err("it starts with a dot");
    }
    if is_npm_segment(bare) {
        Ok(())
    } else {
        Err("it has characters that are not URL-safe")
    }
}

fn is_npm_segment(text: &str) -> bool {
    // The characters that `encodeURIComponent` leaves alone, which is the rule of npm's own validator.
    !text.is_empty()
        && text != ".."
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_.!~*'()".contains(character))
}

fn parse_npm_selector(text: &str) -> Result<Selector, &'static str> {
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
    if is_npm_segment(text) {
        Ok(Selector::Tag(text.to_owned()))
    } else {
        Err("it has characters that are not URL-safe")
    }
}

/// Percent-encoding as the purl specification's canonical form has it: unreserved characters stay.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinate(text: &str) -> Coordinate {
        text.parse().unwrap()
    }

    #[test]
    fn a_purl_and_the_short_form_name_the_same_version() {
        assert_eq!(
            coordinate("pkg:npm/%40scope/name@1.2.3"),
            coordinate("npm:@scope/name@1.2.3")
        );
        assert_eq!(coordinate("pkg:npm/sigstore@3.0.0"), coordinate("npm:sigstore@3.0.0"));
    }

    #[test]
    fn the_canonical_purl_round_trips() {
        for text in [
            "pkg:npm/%40scope/name@1.2.3",
            "pkg:npm/sigstore@3.0.0-rc.1",
            "pkg:npm/a@1.0.0%2Bbuild",
        ] {
            assert_eq!(text.parse::<PackageVersion>().unwrap().to_purl(), text);
        }
    }

    #[test]
    fn without_a_version_the_tag_is_latest() {
        assert_eq!(
            coordinate("npm:@scope/name").selector,
            Selector::Tag("latest".to_owned())
        );
        assert_eq!(coordinate("pkg:npm/name").selector, Selector::Tag("latest".to_owned()));
    }

    #[test]
    fn a_dist_tag_is_not_a_version() {
        assert_eq!(
            coordinate("npm:name@next-11").selector,
            Selector::Tag("next-11".to_owned())
        );
        assert!("npm:name@next".parse::<PackageVersion>().is_err());
    }

    #[test]
    fn a_range_is_refused_with_what_to_do() {
        for range in ["npm:name@^1.2.3", "npm:name@1.x", "npm:name@>=2", "npm:name@v1.2.3"] {
            assert!(
                matches!(range.parse::<Coordinate>(), Err(CoordinateError::Version { .. })),
                "{range}"
            );
        }
    }

    #[test]
    fn names_that_would_leave_their_path_segment_are_refused() {
        for name in [
            "npm:../etc",
            "npm:@a/b/c",
            "npm:a b",
            "npm:",
            "npm:@/x@1.0.0",
            "npm:.hidden",
            "npm:@a",
            "npm:a/b",
        ] {
            assert!(name.parse::<Coordinate>().is_err(), "{name}");
        }
    }

    #[test]
    fn another_ecosystem_is_unsupported_rather_than_a_syntax_error() {
        assert_eq!(
            "pkg:gem/rails@7.0.0".parse::<Coordinate>(),
            Err(CoordinateError::UnsupportedEcosystem("gem".to_owned()))
        );
        assert!(matches!(
            "cargo:serde@1.0.0".parse::<Coordinate>(),
            Err(CoordinateError::UnsupportedEcosystem(_))
        ));
    }

    #[test]
    fn text_without_a_scheme_is_a_syntax_error() {
        assert!(matches!(
            "sigstore@1.0.0".parse::<Coordinate>(),
            Err(CoordinateError::Syntax(_))
        ));
    }

    #[test]
    fn capitals_are_part_of_a_name() {
        for text in ["pkg:npm/JSONStream@1.0.0", "pkg:npm/%40Scope/Name@1.0.0-RC.1"] {
            let package: PackageVersion = text.parse().unwrap();
            assert_eq!(package.to_purl(), text);
            assert!(package.is_named_by(text));
            assert!(!package.is_named_by(&text.to_lowercase()));
        }
        assert_eq!(
            coordinate("pkg:npm/JSONStream@1.0.0"),
            coordinate("npm:JSONStream@1.0.0")
        );
        assert_eq!(coordinate("pkg:npm/@a/B"), coordinate("npm:@a/B"));
        assert_eq!(coordinate("pkg://npm/@a/B@1.0.0"), coordinate("npm:@a/B@1.0.0"));
    }

    #[test]
    fn a_subject_in_another_encoding_names_the_same_version() {
        let package: PackageVersion = "pkg:npm/%40scope/name@1.2.3".parse().unwrap();
        assert!(package.is_named_by("pkg:npm/@scope/name@1.2.3"));
        assert!(!package.is_named_by("pkg:npm/%40scope/name@1.2.4"));
        assert!(!package.is_named_by("pkg:npm/name@1.2.3"));
        assert!(!package.is_named_by("pkg:npm/%40scope/name@1.2.3?arch=x"));
    }
}
