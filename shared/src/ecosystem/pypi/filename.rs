//! What the name of a distribution file says: of which project, of which version, for what.
//!
//! Wheels are named by PEP 427, source distributions by PEP 625; what an index serves is older than either. A name is read
//! as installers read it (`packaging.utils.parse_wheel_filename` and `parse_sdist_filename`), and where that fails, as far as
//! the project that the index lists it under tells where the version begins.

use std::collections::BTreeSet;

use super::version::{Identity, is_same, normalize, parse};

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A wheel.
    Wheel,
    /// A source distribution, `.tar.gz` or `.zip`.
    Sdist,
    /// Eggs, installers for Windows and whatever else PyPI took once. No installer of today takes them.
    Other,
}

/// What the name of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Of what kind the file is.
    pub kind: Kind,
    /// The project, normalised as PEP 503 has it.
    pub project: String,
    /// The version as written in the name. Compared by the rules of PEP 440.
    pub version: String,
}

/// The endings of files that are neither wheels nor source distributions of today: of older source distributions, of eggs,
/// installers and system packages.
const OTHER_ENDINGS: &[&str] = &[
    ".tar.bz2", ".tar.xz", ".tar.Z", ".tgz", ".tar", ".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg",
];

impl Distribution {
    /// Reads the name of a wheel or source distribution whose project is not known; `None` for any other file.
    pub fn parse(filename: &str) -> Option<Self> {
        if let Some(wheel) = Wheel::parse(filename) {
            return Some(Self {
                kind: Kind::Wheel,
                project: wheel.project,
                version: wheel.version,
            });
        }
        // PEP 625: the version has no hyphen, so that it begins after the last one.
        let (stem, _ending) = sdist_stem(filename)?;
        let (project, version) = stem.rsplit_once('-')?;
        parse(version)?;
        Some(Self {
            kind: Kind::Sdist,
            project: normalize(project),
            version: version.to_owned(),
        })
    }

    /// Reads the name of a file that an index lists under a project; `None` if it does not begin with the project's name, or
    /// nothing that could be a version follows.
    ///
    /// What installers read is read as they do. Of any other file, and of those that are named as before PEP 440 and PEP
    /// 625, the version is what follows the project's name, up to what each kind of file puts behind it.
    pub fn of(project: &str, filename: &str) -> Option<Self> {
        let project = normalize(project);
        if let Some(read) = Self::parse(filename)
            && read.project == project
        {
            return Some(read);
        }
        let (kind, stem) = if let Some(stem) = filename.strip_suffix(".whl") {
            (Kind::Wheel, stem)
        } else if let Some((stem, _ending)) = sdist_stem(filename) {
            (Kind::Sdist, stem)
        } else {
            let stem = OTHER_ENDINGS.iter().find_map(|ending| filename.strip_suffix(ending))?;
            (Kind::Other, stem)
        };
        let mut candidates = stem
            .match_indices('-')
            .filter_map(|(at, _hyphen)| stem.split_at_checked(at))
            .filter(|(name, _rest)| normalize(name) == project)
            .filter_map(|(_name, rest)| version_in(kind, rest.strip_prefix('-')?));
        // `a-b-1.0` may be `a` of `b-1.0`, which no index lists `a` as, or `a-b` of `1.0`.
        let version = candidates.next()?;
        Some(Self { kind, project, version })
    }

    /// Whether it is a file of this version.
    pub fn is_of(&self, version: &str) -> bool {
        is_same(&self.version, version)
    }
}

fn sdist_stem(filename: &str) -> Option<(&str, &'static str)> {
    [".tar.gz", ".zip"]
        .into_iter()
        .find_map(|ending| Some((filename.strip_suffix(ending)?, ending)))
}

/// The version at the beginning of what follows a project's name: all of it, or what is left of it without the tags that
/// come behind.
fn version_in(kind: Kind, rest: &str) -> Option<String> {
    let version = match kind {
        // Only a wheel whose version is none that installers take comes here.
        Kind::Wheel => rest.split('-').next()?,
        // A dumb binary distribution (`1.0.linux-x86_64.tar.gz`) has the ending of a source distribution.
        Kind::Sdist | Kind::Other => {
            let tags = [".linux-", ".macosx-", ".win32", ".win-", "-py2", "-py3"];
            let end = tags.iter().filter_map(|tag| rest.find(tag)).min().unwrap_or(rest.len());
            rest.get(..end)?
        }
    };
    version
        .starts_with(|character: char| character.is_ascii_alphanumeric())
        .then(|| version.to_owned())
}

/// What the name of a wheel says (PEP 427, "File name convention").
#[derive(Debug, PartialEq, Eq)]
struct Wheel {
    project: String,
    version: String,
    build: Option<(String, String)>,
    /// The tags of interpreters, of binary interfaces and of platforms, each a set (PEP 425, "Compressed Tag Sets").
    tags: [BTreeSet<String>; 3],
}

impl Wheel {
    fn parse(filename: &str) -> Option<Self> {
        let parts: Vec<&str> = filename.strip_suffix(".whl")?.split('-').collect();
        let (project, version, build, tags) = match parts.as_slice() {
            [project, version, interpreters, interfaces, platforms] => {
                (*project, *version, None, [*interpreters, *interfaces, *platforms])
            }
            [project, version, build, interpreters, interfaces, platforms] => (
                *project,
                *version,
                Some(*build),
                [*interpreters, *interfaces, *platforms],
            ),
            _ => return None,
        };
        // "Each component of the filename is escaped by replacing runs of non-alphanumeric characters with an underscore."
        let is_escaped = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.');
        if project.contains("__") || !project.chars().all(is_escaped) {
            return None;
        }
        parse(version)?;
        Some(Self {
            project: normalize(project),
            version: version.to_owned(),
            build: match build {
                Some(build) => Some(build_number(build)?),
                None => None,
            },
            tags: tags.map(|set| set.split('.').map(str::to_lowercase).collect()),
        })
    }
}

/// A build number: the number without leading zeros, and what follows it. "Must start with a digit."
fn build_number(text: &str) -> Option<(String, String)> {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let number = match digits.trim_start_matches('0') {
        "" if digits.is_empty() => return None,
        "" => "0",
        number => number,
    };
    Some((number.to_owned(), rest.to_owned()))
}

/// Whether two file names are of the same distribution, as the subject of an attestation and the file that is served must
/// be.
///
/// Whoever signs may write the name in another way than the index does: project and version are compared by what they mean,
/// a build number as a number, and compressed tags as the sets that they are. `pypi-attestations`, by which PyPI accepts
/// attestations, compares names that are normalised the same way, and alone in trailing zeros of versions it is stricter: to
/// it `1.0` and `1.0.0` are two names. The digests are compared in any case. Names that are neither a wheel's nor a source
/// distribution's are compared as they are.
pub fn is_same_distribution(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    if let (Some(one), Some(other)) = (Wheel::parse(one), Wheel::parse(other)) {
        return one.project == other.project
            && Identity::of(&one.version) == Identity::of(&other.version)
            && one.build == other.build
            && one.tags == other.tags;
    }
    let ending = |filename| sdist_stem(filename).map(|(_stem, ending)| ending);
    ending(one).is_some()
        && ending(one) == ending(other)
        && match (Distribution::parse(one), Distribution::parse(other)) {
            (Some(one), Some(other)) => one.project == other.project && one.is_of(&other.version),
            (_, _) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filename: &str) -> (Kind, String, String) {
        let read = Distribution::parse(filename).unwrap();
        (read.kind, read.project, read.version)
    }

    fn of(project: &str, filename: &str) -> Option<(Kind, String)> {
        Distribution::of(project, filename).map(|read| (read.kind, read.version))
    }

    fn is(kind: Kind, project: &str, version: &str) -> (Kind, String, String) {
        (kind, project.to_owned(), version.to_owned())
    }

    #[test]
    fn a_wheel_names_project_and_version() {
        assert_eq!(read("Foo_Bar-1.0-py3-none-any.whl"), is(Kind::Wheel, "foo-bar", "1.0"));
        assert_eq!(
            read("foo.bar-1!1.0+local.1-1abc-cp310.cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
            is(Kind::Wheel, "foo-bar", "1!1.0+local.1")
        );
    }

    #[test]
    fn a_source_distribution_names_project_and_version() {
        assert_eq!(read("foo-bar-1.0b2.tar.gz"), is(Kind::Sdist, "foo-bar", "1.0b2"));
        assert_eq!(read("foo_bar-1.0.zip"), is(Kind::Sdist, "foo-bar", "1.0"));
    }

    #[test]
    fn what_no_installer_reads_is_not_read_without_its_project() {
        for filename in [
            "",
            "foo",
            "foo.tar.gz",
            "foo-1.0.TAR.GZ",
            "foo-1.0-py3-none-any.WHL",
            "foo-bar-1.0-py3-none-any-x.whl",
            "foo__bar-1.0-py3-none-any.whl",
            "fo o-1.0-py3-none-any.whl",
            "foo-1.0-build-py3-none-any.whl",
            "foo-1charmander-py3-none-any.whl",
            "foo-charmander.tar.gz",
            "foo-1.0.linux-x86_64.tar.gz",
            "foo-1.0-py2.7.egg",
            "foo-1.0.exe",
            "-.whl",
        ] {
            assert_eq!(Distribution::parse(filename), None, "{filename:?}");
        }
    }

    #[test]
    fn the_project_tells_where_an_old_version_begins() {
        for (project, filename, expected) in [
            ("foo", "foo-1.0-py3-none-any.whl", Some((Kind::Wheel, "1.0"))),
            ("foo", "foo-1.0.tar.gz", Some((Kind::Sdist, "1.0"))),
            ("foo", "foo-1.0-beta-2.tar.gz", Some((Kind::Sdist, "1.0-beta-2"))),
            ("foo-bar", "Foo.Bar-2004d-x.zip", Some((Kind::Sdist, "2004d-x"))),
            ("foo", "foo-1.0-py2.7.egg", Some((Kind::Other, "1.0"))),
            ("foo", "foo-1.0-py2.7-macosx-10.6-intel.egg", Some((Kind::Other, "1.0"))),
            ("foo", "foo-1.0.win32-py2.7.exe", Some((Kind::Other, "1.0"))),
            ("foo", "foo-1.0.win-amd64.exe", Some((Kind::Other, "1.0"))),
            ("foo", "foo-1.0.tar.bz2", Some((Kind::Other, "1.0"))),
            ("foo", "foo-1.0.linux-x86_64.tar.gz", Some((Kind::Sdist, "1.0"))),
            ("foo", "foo-1.0old-py3-none-any.whl", Some((Kind::Wheel, "1.0old"))),
            ("foo", "bar-1.0.tar.gz", None),
            ("foo", "foobar-1.0.tar.gz", None),
            ("foo", "foo-.tar.gz", None),
            ("foo", "foo.tar.gz", None),
            ("foo", "foo-1.0.txt", None),
        ] {
            let expected = expected.map(|(kind, version)| (kind, version.to_owned()));
            assert_eq!(of(project, filename), expected, "{filename}");
        }
    }

    #[test]
    fn the_same_wheel_is_named_in_several_ways() {
        let wheel = "foo_bar-1.0b1-1-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        for other in [
            "foo_bar-1.0b1-1-cp311.cp310-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "Foo.Bar-1.0b1-1-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0beta1-01-cp310.cp311.cp310-NONE-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0.0b1-1-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        ] {
            assert!(is_same_distribution(wheel, other), "{other}");
            assert!(is_same_distribution(other, wheel), "{other}");
        }
        for other in [
            "foo_baz-1.0b1-1-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0b2-1-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0b1-2-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0b1-1a-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0b1-cp310.cp311-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0b1-1-cp310-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo_bar-1.0b1-1-cp310.cp311-none-manylinux2014_x86_64.whl",
            "foo_bar-1.0b1.tar.gz",
            "",
        ] {
            assert!(!is_same_distribution(wheel, other), "{other}");
            assert!(!is_same_distribution(other, wheel), "{other}");
        }
    }

    #[test]
    fn the_same_source_distribution_is_named_in_several_ways() {
        for (one, other) in [
            ("Foo-1.0.tar.gz", "foo-1.0.tar.gz"),
            ("foo-bar-baz-1.0.tar.gz", "foo_bar_baz-1.0.tar.gz"),
            ("foo..bar-1.0.zip", "foo_bar-1.0.zip"),
            ("foo-01.0beta1.tar.gz", "foo-1.0b1.tar.gz"),
        ] {
            assert!(is_same_distribution(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("foo-1.0.tar.gz", "foo-1.0.zip"),
            ("foo-1.0.tar.gz", "foo-1.0.1.tar.gz"),
            ("foo-1.0.tar.gz", "foo-bar-1.0.tar.gz"),
            ("foo-1.0.tar.gz", "foo-1.0-py3-none-any.whl"),
        ] {
            assert!(!is_same_distribution(one, other), "{one} {other}");
        }
    }

    #[test]
    fn any_other_name_is_the_same_as_itself_alone() {
        assert!(is_same_distribution("foo-1.0-py2.7.egg", "foo-1.0-py2.7.egg"));
        assert!(!is_same_distribution("foo-1.0-py2.7.egg", "Foo-1.0-py2.7.egg"));
        assert!(!is_same_distribution("foo-charmander.tar.gz", "Foo-charmander.tar.gz"));
        assert!(!is_same_distribution("foo-1.0.exe", "foo-1.0.0.exe"));
    }
}
