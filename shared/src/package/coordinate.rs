//! Which package, and which version of it: purls and the short form of the command line.

use std::fmt;
use std::str::FromStr;

use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ecosystem::Ecosystem;

/// Why a text does not name a package.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CoordinateError {
    /// Neither a purl nor the short form.
    #[error("{0:?} is neither a purl such as pkg:npm/%40scope/name@1.2.3 nor the short form npm:@scope/name@1.2.3")]
    Syntax(String),
    /// A well-formed name of something that this verifier does not know how to ask for.
    #[error("packages of type {0:?} are not supported; supported: {supported}", supported = Ecosystem::names())]
    UnsupportedEcosystem(String),
    /// The name breaks the ecosystem's own rules.
    #[error("{name:?} is no name of a package of {ecosystem}: {rule}")]
    Name {
        /// What the ecosystem is called.
        ecosystem: &'static str,
        /// The name as given.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Neither a version nor a tag.
    #[error("{version:?} is neither an exact version nor a tag that leads to one: {rule}")]
    Version {
        /// The version as given.
        version: String,
        /// What is the case.
        rule: &'static str,
    },
    /// A file is named where a version has but one, or it is no file name.
    #[error("{file:?} cannot be the file_name of a package of {ecosystem}: {rule}")]
    File {
        /// What the ecosystem is called.
        ecosystem: &'static str,
        /// The file name as given.
        file: String,
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
    /// A name, checked against the rules of its ecosystem and in the one spelling that the ecosystem gives it.
    pub fn new(ecosystem: Ecosystem, text: &str) -> Result<Self, CoordinateError> {
        let name = ecosystem.registry().name(text);
        let name = name.map_err(|rule| CoordinateError::Name {
            ecosystem: ecosystem.title(),
            name: text.to_owned(),
            rule,
        })?;
        Ok(Self { ecosystem, text: name })
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
                ecosystem: coordinate.name.ecosystem.title(),
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

/// One version of one package, or one file of it. Its text form is the purl, and two are equal exactly if their purls are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageVersion {
    name: PackageName,
    version: String,
    /// The one file of it that is meant, where a version has several.
    file: Option<String>,
}

impl PackageVersion {
    /// A version with all its files, checked against the rules of its ecosystem.
    pub fn new(name: PackageName, version: &str) -> Result<Self, CoordinateError> {
        match Selector::parse(name.ecosystem, version)? {
            Selector::Version(version) => Ok(Self {
                name,
                version,
                file: None,
            }),
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

    /// The one file that is meant; `None` for the version with all its files.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The version with all its files.
    #[must_use]
    pub fn of_all_files(self) -> Self {
        Self { file: None, ..self }
    }

    /// The ecosystem.
    pub fn ecosystem(&self) -> Ecosystem {
        self.name.ecosystem
    }

    /// The canonical purl, as npm's attestation subjects carry it: `pkg:npm/%40scope/name@1.2.3`; of one file with the
    /// qualifier `file_name` (<https://github.com/package-url/purl-spec/blob/main/PURL-TYPES.rst>, "pypi").
    pub fn to_purl(&self) -> String {
        with_file(
            format!("{}@{}", self.name.to_purl(), percent_encode(&self.version)),
            self.file(),
        )
    }

    /// Whether `purl` names this version. Compares parsed values, so that a different but equivalent percent-encoding
    /// is the same name; qualifiers and subpaths are not.
    pub fn is_named_by(&self, purl: &str) -> bool {
        matches!(
            purl.parse::<Coordinate>(),
            Ok(Coordinate { name, selector: Selector::Version(version), file: None })
                if name == self.name && version == self.version
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
        text.parse::<Coordinate>()?.try_into()
    }
}

impl TryFrom<Coordinate> for PackageVersion {
    type Error = CoordinateError;

    fn try_from(coordinate: Coordinate) -> Result<Self, CoordinateError> {
        match coordinate.selector {
            Selector::Version(version) => Ok(Self {
                name: coordinate.name,
                version,
                file: coordinate.file,
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
        ecosystem
            .registry()
            .selector(text)
            .map_err(|rule| CoordinateError::Version {
                version: text.to_owned(),
                rule,
            })
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
    /// The one file that is meant; `None` for all of the version.
    pub file: Option<String>,
}

impl Coordinate {
    /// A coordinate from its parts, as the HTTP API's path carries them.
    pub fn new(ecosystem: Ecosystem, name: &str, selector: &str) -> Result<Self, CoordinateError> {
        Ok(Self {
            name: PackageName::new(ecosystem, name)?,
            selector: Selector::parse(ecosystem, selector)?,
            file: None,
        })
    }

    /// The same, of one file alone. Refused where a version has but one.
    pub fn of_file(self, file: &str) -> Result<Self, CoordinateError> {
        let ecosystem = self.name.ecosystem;
        let rule = if !ecosystem.registry().has_files() {
            "a version of it is one file"
        } else if file.is_empty() || file.len() > 255 {
            "it is empty or has more than 255 characters"
        } else if file.starts_with('.') || !file.chars().all(is_of_file_name) {
            "it has characters that no file of a registry has"
        } else {
            return Ok(Self {
                file: Some(file.to_owned()),
                ..self
            });
        };
        Err(CoordinateError::File {
            ecosystem: ecosystem.title(),
            file: file.to_owned(),
            rule,
        })
    }
}

/// Whether a character may stand in the name of a file: none that would leave its path segment.
fn is_of_file_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.+!~@".contains(character)
}

/// A purl with the qualifier of a file.
fn with_file(purl: String, file: Option<&str>) -> String {
    match file {
        Some(file) => format!("{purl}?file_name={}", percent_encode(file)),
        None => purl,
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purl = format!("{}@{}", self.name.to_purl(), percent_encode(self.selector.as_str()));
        formatter.write_str(&with_file(purl, self.file.as_deref()))
    }
}

impl From<PackageVersion> for Coordinate {
    fn from(package: PackageVersion) -> Self {
        Self {
            name: package.name,
            selector: Selector::Version(package.version),
            file: package.file,
        }
    }
}

impl FromStr for Coordinate {
    type Err = CoordinateError;

    /// Parses `pkg:npm/%40scope/name@version` or `npm:@scope/name@version`; without a version the tag is `latest`. One file of
    /// a version is meant by the qualifier `file_name`, in either form.
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
        if let Some((rest, file)) = rest.split_once("?file_name=") {
            return format!("{kind}:{rest}").parse::<Self>()?.of_file(file);
        }
        // The first character of a scoped name is itself an `@`, and a formula's name may have one in its middle.
        match rest.rsplit_once('@').filter(|(name, _version)| !name.is_empty()) {
            Some((name, version)) => Self::new(ecosystem, name, version),
            None => Self::new(ecosystem, rest, "latest"),
        }
    }
}

fn parse_purl(text: &str) -> Result<Coordinate, CoordinateError> {
    let purl = PackageUrl::from_str(text).map_err(|_source| CoordinateError::Syntax(text.to_owned()))?;
    let ecosystem = Ecosystem::from_purl_type(purl.ty())
        .ok_or_else(|| CoordinateError::UnsupportedEcosystem(purl.ty().to_owned()))?;
    let syntax = || CoordinateError::Syntax(text.to_owned());
    let only_a_file = purl.qualifiers().keys().all(|key| key == "file_name");
    if !only_a_file || purl.subpath().is_some() {
        return Err(syntax());
    }
    let name = name_as_written(text).ok_or_else(syntax)?;
    let coordinate = Coordinate::new(ecosystem, &name, purl.version().unwrap_or("latest"))?;
    match purl.qualifiers().get("file_name") {
        Some(file) => coordinate.of_file(file),
        None => Ok(coordinate),
    }
}

/// The name in a purl that parses, with its capitals. The specification lower-cases npm's names, under which packages that
/// are older than that rule could not be told from others: `JSONStream` and `jsonstream` are two packages.
fn name_as_written(purl: &str) -> Option<String> {
    let (_scheme, rest) = purl.split_once(':')?;
    let (_kind, path) = rest.trim_start_matches('/').split_once('/')?;
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_matches('/');
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    // An `@` that begins a segment belongs to a scope; the last one further on begins the version.
    let version = path.rfind('@').filter(|index| *index > last);
    let (name, _version) = path.split_at_checked(version.unwrap_or(path.len()))?;
    Some(
        percent_encoding::percent_decode_str(name)
            .decode_utf8()
            .ok()?
            .into_owned(),
    )
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
