//! The index of a project's files.
//!
//! An index lists files, and a version is the files that are named as its. It has no record of what was removed: a version
//! that was deleted looks like one that never was.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::filename::{Distribution, Kind};
use super::version::{Identity, normalize, parse as parse_version};
use crate::package::Digest;

/// What an index says of the provenance of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ProvenanceLink {
    /// Nothing: the index is older than PEP 740, or a mirror left it out on the way.
    Unsaid,
    /// That there is none.
    None,
    /// Where it is. The address itself is never asked: addresses do not come from metadata.
    Announced,
}

/// A file that an index lists. Claims, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexFile {
    /// Its name.
    pub filename: String,
    /// The path of its URL, as it is written there; the host is thrown away. `None` if it is no HTTP URL.
    pub path: Option<String>,
    /// Its SHA-256.
    pub sha256: Option<Digest>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// When it was uploaded.
    pub uploaded_at: Option<Timestamp>,
    /// Whether installers are to pass it over (PEP 592), and the reason that was given.
    #[expect(
        clippy::option_option,
        reason = "not yanked, yanked, and yanked for a reason are three things"
    )]
    pub yanked: Option<Option<String>>,
    /// Whether it announces a provenance.
    pub provenance: ProvenanceLink,
    /// What its name says, read with the project's name; `None` if it says no version.
    pub distribution: Option<Distribution>,
}

impl IndexFile {
    /// Whether an installer would take it without being asked for it: a wheel or a source distribution that is not yanked.
    fn is_installable(&self) -> bool {
        self.yanked.is_none()
            && self
                .distribution
                .as_ref()
                .is_some_and(|read| matches!(read.kind, Kind::Wheel | Kind::Sdist))
    }
}

/// The index of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// The project's name as the index writes it.
    pub name: String,
    /// The version of the interface, `1.` and a number.
    pub api_version: String,
    /// The project's status where it is not said to be active: `archived`, `deprecated` or `quarantined` (PEP 792). Of a
    /// project in quarantine PyPI lists no files.
    pub status: Option<String>,
    /// The versions that the index lists; empty before version 1.1 of the interface. Some may have no files.
    pub versions: Vec<String>,
    /// The files.
    pub files: Vec<IndexFile>,
}

/// The files of one version.
#[derive(Clone, Debug)]
pub(super) struct IndexedVersion<'a> {
    /// The version, as the index writes it; where it lists none, as its first file does.
    pub version: &'a str,
    /// The files, in the order of the index.
    pub files: Vec<&'a IndexFile>,
}

impl IndexedVersion<'_> {
    /// When the first of its files was uploaded, which is when PyPI makes the release.
    pub(super) fn published_at(&self) -> Option<Timestamp> {
        self.files.iter().filter_map(|file| file.uploaded_at).min()
    }

    /// When the last of its files was uploaded.
    pub(super) fn changed_at(&self) -> Option<Timestamp> {
        self.files.iter().filter_map(|file| file.uploaded_at).max()
    }

    /// Whether a file announces a provenance.
    pub(super) fn announces_any(&self) -> bool {
        let mut files = self.files.iter();
        files.any(|file| file.provenance == ProvenanceLink::Announced)
    }
}

impl Index {
    /// Whether it is the index of this project, whatever the spelling.
    pub(super) fn is_of(&self, project: &str) -> bool {
        normalize(&self.name) == normalize(project)
    }

    /// The files of a version.
    pub(super) fn files_of(&self, version: &str) -> Vec<&IndexFile> {
        self.files
            .iter()
            .filter(|file| file.distribution.as_ref().is_some_and(|read| read.is_of(version)))
            .collect()
    }

    /// The text by which the index knows a version; `None` if it lists neither the version nor a file of it.
    pub(super) fn spelling_of<'a>(&'a self, version: &str) -> Option<&'a str> {
        let identity = Identity::of(version);
        let named = self.files.iter().filter_map(|file| file.distribution.as_ref());
        self.versions
            .iter()
            .chain(named.map(|read| &read.version))
            .find(|candidate| Identity::of(candidate) == identity)
            .map(String::as_str)
    }

    /// Every version that has files, in the order of versions, those that are none in the order of their texts before.
    pub(super) fn indexed_versions(&self) -> Vec<IndexedVersion<'_>> {
        let mut listed: BTreeMap<Identity, IndexedVersion<'_>> = BTreeMap::new();
        for file in &self.files {
            if let Some(read) = &file.distribution {
                listed
                    .entry(Identity::of(&read.version))
                    .or_insert_with(|| IndexedVersion {
                        version: &read.version,
                        files: Vec::new(),
                    })
                    .files
                    .push(file);
            }
        }
        for version in &self.versions {
            if let Some(indexed) = listed.get_mut(&Identity::of(version)) {
                indexed.version = version;
            }
        }
        listed.into_values().collect()
    }
}

/// The version that an installer picks for whoever asks for none: the highest that is no prerelease; where there are
/// prereleases alone, the highest of them (PEP 440, "Handling of pre-releases"). Yanked files, files that no installer takes
/// and what is no version do not count.
pub(super) fn latest(index: &Index) -> Option<&str> {
    index
        .indexed_versions()
        .into_iter()
        .filter(|indexed| indexed.files.iter().any(|file| file.is_installable()))
        .filter_map(|indexed| {
            let version = parse_version(indexed.version)?;
            Some(((!version.any_prerelease(), version), indexed.version))
        })
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_order, version)| version)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::document::parse;
    use super::*;

    fn index(document: &Value) -> Index {
        parse(document.to_string().as_bytes()).unwrap()
    }

    fn of_files(files: &Value) -> Index {
        index(&json!({"meta": {"api-version": "1.4"}, "name": "foo-bar", "files": files}))
    }

    fn file(filename: &str) -> Value {
        json!({"filename": filename, "url": format!("https://files.example/packages/{filename}"), "hashes": {}})
    }

    fn with(filename: &str, key: &str, value: Value) -> Value {
        let mut file = file(filename);
        file[key] = value;
        file
    }

    #[test]
    fn the_files_of_a_version_are_those_that_are_named_as_its() {
        let mut index = of_files(&json!([
            file("foo_bar-1.0-py3-none-any.whl"),
            file("foo-bar-1.0.0.tar.gz"),
            file("foo-bar-1.0-py2.7.egg"),
            file("foo_bar-1.0.1.tar.gz"),
            file("foo_bar-1.0rc1.tar.gz"),
            file("foo-1.0.tar.gz"),
            file("README")
        ]));
        let names: Vec<&str> = index.files_of("1").iter().map(|file| file.filename.as_str()).collect();
        assert_eq!(
            names,
            [
                "foo_bar-1.0-py3-none-any.whl",
                "foo-bar-1.0.0.tar.gz",
                "foo-bar-1.0-py2.7.egg"
            ]
        );
        index.versions = vec!["1.0.0".to_owned(), "3".to_owned()];
        let versions: Vec<(&str, usize)> = index
            .indexed_versions()
            .iter()
            .map(|indexed| (indexed.version, indexed.files.len()))
            .collect();
        assert_eq!(versions, [("1.0rc1", 1), ("1.0.0", 3), ("1.0.1", 1)]);
        assert_eq!(index.spelling_of("1"), Some("1.0.0"));
        assert_eq!(index.spelling_of("1.0.1.0"), Some("1.0.1"));
        assert_eq!(index.spelling_of("3.0"), Some("3"));
        assert_eq!(index.spelling_of("2.0"), None);
    }

    #[test]
    fn a_version_is_summed_up_over_its_files() {
        let mut early = with("foo_bar-1.0.tar.gz", "upload-time", json!("2026-01-01T00:00:00Z"));
        let mut late = with(
            "foo_bar-1.0-py3-none-any.whl",
            "upload-time",
            json!("2026-01-02T00:00:00Z"),
        );
        late["provenance"] = json!("x");
        late["yanked"] = json!(true);
        let summary = |files: Value| {
            let index = of_files(&files);
            let listed = index.indexed_versions();
            let version = listed.first().unwrap();
            assert_eq!(version.published_at(), "2026-01-01T00:00:00Z".parse().ok());
            version.announces_any()
        };
        assert!(summary(json!([late, early])));
        assert!(!summary(json!([early])));
        early["provenance"] = json!(null);
        assert!(!summary(json!([early])));
        early["provenance"] = json!("y");
        early["yanked"] = json!("z");
        assert!(summary(json!([early, late])));
    }

    #[test]
    fn an_installer_gets_the_highest_version_that_is_for_everybody() {
        let latest_of = |files: Value| latest(&of_files(&files)).map(str::to_owned);
        let yanked = with("foo_bar-10.0.tar.gz", "yanked", json!(true));
        let some = json!([
            file("foo_bar-9.0.tar.gz"),
            file("foo_bar-9.1.tar.gz"),
            file("foo_bar-8.10.tar.gz"),
            yanked,
            file("foo_bar-11.0rc1.tar.gz"),
            file("foo_bar-12.0.dev1.tar.gz"),
            file("foo_bar-13.0-py2.7.egg"),
            file("foo_bar-99old.tar.gz")
        ]);
        assert_eq!(latest_of(some).as_deref(), Some("9.1"));
        let prereleases = json!([file("foo_bar-1.0a1.tar.gz"), file("foo_bar-1.0.dev9.tar.gz"), yanked]);
        assert_eq!(latest_of(prereleases).as_deref(), Some("1.0a1"));
        assert_eq!(latest_of(json!([yanked])), None);
        assert_eq!(latest_of(json!([])), None);
        assert_eq!(
            latest_of(json!([file("foo_bar-1!1.0.tar.gz"), file("foo_bar-2.0.tar.gz")])).as_deref(),
            Some("1!1.0")
        );
    }
}
