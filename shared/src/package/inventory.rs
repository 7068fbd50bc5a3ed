//! Lists of packages as they are handed in: purls, lockfiles, and bills of materials.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use thiserror::Error;
use url::Url;

use super::{Coordinate, CoordinateError, Ecosystem, PackageName, PackageVersion};

/// What a list names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Every version once, in the order of their purls.
    pub packages: Vec<PackageVersion>,
    /// What is named and cannot be looked up at a registry that is known here, with the reason.
    pub skipped: Vec<Skipped>,
}

/// An entry that names no version on a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// The entry, as the list spells it.
    pub entry: String,
    /// Why it is left out.
    pub because: String,
}

/// Why a text is no list of packages.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InventoryError {
    /// It is not JSON.
    #[error(
        "the list is not JSON ({0}); give a package-lock.json, a CycloneDX or SPDX document, or {{\"packages\": [\"pkg:npm/name@1.2.3\"]}}"
    )]
    NotJson(String),
    /// It is JSON of another shape.
    #[error("the list is no package-lock.json, no CycloneDX or SPDX document, and has no array \"packages\" of purls")]
    UnknownShape,
    /// A purl that was handed in as such is none, or names no exact version.
    #[error("{entry:?} is no exact version of a package: {because}")]
    Purl {
        /// The entry.
        entry: String,
        /// Why it is refused.
        because: String,
    },
}

impl Inventory {
    /// Reads a list: `package-lock.json` of any lockfile version
    /// (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>), CycloneDX (<https://cyclonedx.org/docs/latest/json/>),
    /// SPDX 2 (<https://spdx.github.io/spdx-spec/v2.3/>), or an object with an array `packages` of purls.
    ///
    /// A purl that is handed in as such must name an exact version; what a document names besides packages of registries
    /// that are known here is left out, and said.
    pub fn parse(text: &str) -> Result<Self, InventoryError> {
        let document: Value =
            serde_json::from_str(text).map_err(|source| InventoryError::NotJson(source.to_string()))?;
        let mut found = Found::default();
        if let Some(purls) = purls(&document) {
            for entry in purls {
                let refused = |source: CoordinateError| InventoryError::Purl {
                    entry: entry.clone(),
                    because: source.to_string(),
                };
                found.packages.insert(entry.parse().map_err(refused)?);
            }
        } else if document.get("bomFormat").and_then(Value::as_str) == Some("CycloneDX") {
            found.components(&document);
        } else if document.get("spdxVersion").is_some() {
            found.spdx(&document);
        } else if let Some(packages) = document.get("packages").and_then(Value::as_object) {
            for (path, entry) in packages {
                found.installed(path, entry);
            }
        } else if document.get("lockfileVersion").is_some() {
            found.dependencies(&document);
        } else {
            return Err(InventoryError::UnknownShape);
        }
        Ok(found.into())
    }

    /// The packages that a list names, each once, in the order of their names, with what is left out. A list is read as
    /// [`parse`](Self::parse) reads it, except that purls which are handed in as such need no version.
    pub fn parse_names(text: &str) -> Result<(Vec<PackageName>, Vec<Skipped>), InventoryError> {
        let document: Value =
            serde_json::from_str(text).map_err(|source| InventoryError::NotJson(source.to_string()))?;
        let Some(purls) = purls(&document) else {
            let inventory = Self::parse(text)?;
            return Ok((inventory.names(), inventory.skipped));
        };
        let mut names = BTreeSet::new();
        for entry in purls {
            let coordinate: Coordinate = entry.parse().map_err(|source: CoordinateError| InventoryError::Purl {
                entry: entry.clone(),
                because: source.to_string(),
            })?;
            names.insert(coordinate.name);
        }
        Ok((names.into_iter().collect(), Vec::new()))
    }

    /// The packages, each once, in the order of their names.
    pub fn names(&self) -> Vec<PackageName> {
        let names: BTreeSet<&PackageName> = self.packages.iter().map(PackageVersion::name).collect();
        names.into_iter().cloned().collect()
    }
}

/// The purls that are handed in as such; `None` if the document is of another kind.
fn purls(document: &Value) -> Option<Vec<String>> {
    let purls = document.get("packages")?.as_array()?;
    let text = |purl: &Value| purl.as_str().map_or_else(|| purl.to_string(), str::to_owned);
    document
        .get("spdxVersion")
        .is_none()
        .then(|| purls.iter().map(text).collect())
}

#[derive(Default)]
struct Found {
    packages: BTreeSet<PackageVersion>,
    skipped: BTreeSet<Skipped>,
}

impl From<Found> for Inventory {
    fn from(found: Found) -> Self {
        Self {
            packages: found.packages.into_iter().collect(),
            skipped: found.skipped.into_iter().collect(),
        }
    }
}

impl Found {
    fn skip(&mut self, entry: impl Into<String>, because: impl Into<String>) {
        self.skipped.insert(Skipped {
            entry: entry.into(),
            because: because.into(),
        });
    }

    /// An entry of `packages` of a lockfile of version 2 or 3: its key is a path below the project.
    fn installed(&mut self, path: &str, entry: &Value) {
        // What lies outside every node_modules is the project itself or a part of it.
        let Some((_parent, folder)) = path.rsplit_once("node_modules/") else {
            return;
        };
        if entry.get("link") == Some(&Value::Bool(true)) || entry.get("inBundle") == Some(&Value::Bool(true)) {
            self.skip(path, "it is part of the project, or comes inside another package");
            return;
        }
        // An alias is installed under another name than its own.
        let name = entry.get("name").and_then(Value::as_str).unwrap_or(folder);
        self.resolved(path, name, entry);
    }

    /// The `dependencies` of a lockfile of version 1. The parser of JSON refuses what is nested more than 128 levels deep.
    fn dependencies(&mut self, parent: &Value) {
        for (name, entry) in parent
            .get("dependencies")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if entry.get("bundled") == Some(&Value::Bool(true)) {
                self.skip(name, "it comes inside another package");
            } else {
                self.resolved(name, name, entry);
            }
            self.dependencies(entry);
        }
    }

    fn resolved(&mut self, entry_name: &str, name: &str, entry: &Value) {
        let Some(version) = entry.get("version").and_then(Value::as_str) else {
            self.skip(entry_name, "the lockfile gives no version of it");
            return;
        };
        let aliased = version.strip_prefix("npm:").and_then(|alias| alias.rsplit_once('@'));
        let (name, version) = aliased.unwrap_or((name, version));
        let resolved = entry.get("resolved").and_then(Value::as_str);
        match PackageName::new(Ecosystem::Npm, name).and_then(|name| PackageVersion::new(name, version)) {
            Ok(package) if resolved.is_none_or(|place| is_on_a_registry(place, &package)) => {
                self.packages.insert(package);
            }
            Ok(_) => self.skip(entry_name, format!("it comes from {}", resolved.unwrap_or_default())),
            Err(error) => self.skip(entry_name, error.to_string()),
        }
    }

    /// The components of a CycloneDX document, and theirs.
    fn components(&mut self, parent: &Value) {
        for component in parent.get("components").and_then(Value::as_array).into_iter().flatten() {
            self.named(component, component.get("purl").and_then(Value::as_str));
            self.components(component);
        }
    }

    /// The packages of an SPDX document, by their references of the type `purl`.
    fn spdx(&mut self, document: &Value) {
        for package in document.get("packages").and_then(Value::as_array).into_iter().flatten() {
            let references = package.get("externalRefs").and_then(Value::as_array);
            let purl = references.into_iter().flatten().find_map(|reference| {
                let is_purl = reference.get("referenceType").and_then(Value::as_str) == Some("purl");
                reference.get("referenceLocator")?.as_str().filter(|_| is_purl)
            });
            self.named(package, purl);
        }
    }

    /// An entry of a document, by its purl.
    fn named(&mut self, entry: &Value, purl: Option<&str>) {
        if let Some(purl) = purl {
            self.purl(purl);
        } else {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or("(unnamed)");
            self.skip(name, "the document gives no purl of it");
        }
    }

    /// A purl of a document. Qualifiers that say where a copy came from are not asked; one that names a file is.
    fn purl(&mut self, purl: &str) {
        let bare = purl.split(['?', '#']).next().unwrap_or(purl);
        let coordinate = purl.parse::<Coordinate>().or_else(|_qualified| bare.parse());
        match coordinate.and_then(PackageVersion::try_from) {
            Ok(package) => {
                self.packages.insert(package);
            }
            Err(error) => self.skip(purl, error.to_string()),
        }
    }
}

/// Whether this is where a registry, or a mirror of it, has the tarball of this version. Packages also come from repositories
/// and from any other place, under names that on the registry may be somebody else's.
fn is_on_a_registry(place: &str, package: &PackageVersion) -> bool {
    let Ok(place) = Url::parse(place) else {
        return false;
    };
    let (_scope, bare) = package.name().scope_and_name();
    let file = format!("/{}/-/{bare}-{}.tgz", package.name(), package.version());
    let path = percent_decode_str(place.path()).decode_utf8_lossy();
    matches!(place.scheme(), "https" | "http") && path.ends_with(&file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purls(text: &str) -> Vec<String> {
        let inventory = Inventory::parse(text).unwrap();
        inventory.packages.iter().map(PackageVersion::to_purl).collect()
    }

    #[test]
    fn a_list_of_purls_names_each_version_once() {
        let list = r#"{"packages":["pkg:npm/b@1.0.0","npm:@s/a@2.0.0","pkg:npm/b@1.0.0"]}"#;
        assert_eq!(purls(list), ["pkg:npm/%40s/a@2.0.0", "pkg:npm/b@1.0.0"]);
    }

    #[test]
    fn a_purl_without_a_version_is_refused_by_name() {
        let error = Inventory::parse(r#"{"packages":["pkg:npm/b"]}"#).unwrap_err();
        assert!(error.to_string().contains("pkg:npm/b"), "{error}");
        assert!(Inventory::parse(r#"{"packages":[7]}"#).is_err());
    }

    #[test]
    fn names_of_packages_need_no_version() {
        let names = |text: &str| {
            let (names, skipped) = Inventory::parse_names(text).unwrap();
            let names: Vec<String> = names.iter().map(PackageName::to_purl).collect();
            (names, skipped.len())
        };
        let purls = r#"{"packages":["npm:b","pkg:npm/b@1.0.0","npm:@s/a@2.0.0","npm:b@latest"]}"#;
        let expected = vec!["pkg:npm/%40s/a".to_owned(), "pkg:npm/b".to_owned()];
        assert_eq!(names(purls), (expected, 0));
        let lockfile = r#"{"lockfileVersion":3,"packages":{
            "node_modules/a":{"version":"1.0.0"},"node_modules/x/node_modules/a":{"version":"2.0.0"},
            "node_modules/git":{"version":"1.0.0","resolved":"git+ssh://git@host/o/r.git#abc"}}}"#;
        assert_eq!(names(lockfile), (vec!["pkg:npm/a".to_owned()], 1));
        assert!(Inventory::parse_names(r#"{"packages":["cargo:b"]}"#).is_err());
        assert!(Inventory::parse_names("[").is_err());
    }

    #[test]
    fn a_lockfile_names_what_is_installed() {
        let lockfile = r#"{"lockfileVersion":3,"packages":{
            "":{"name":"app","version":"0.0.0"},
            "packages/part":{"version":"1.0.0"},
            "node_modules/part":{"resolved":"packages/part","link":true},
            "node_modules/a":{"version":"1.0.0","resolved":"https://r/a/-/a-1.0.0.tgz"},
            "node_modules/a/node_modules/@s/b":{"version":"2.0.0"},
            "node_modules/alias":{"name":"real","version":"3.0.0"},
            "node_modules/git":{"version":"1.0.0","resolved":"git+ssh://git@host/o/r.git#abc"}}}"#;
        let inventory = Inventory::parse(lockfile).unwrap();
        assert_eq!(
            purls(lockfile),
            ["pkg:npm/%40s/b@2.0.0", "pkg:npm/a@1.0.0", "pkg:npm/real@3.0.0"]
        );
        assert_eq!(inventory.skipped.len(), 2);
        assert_eq!(inventory.names().len(), 3);
    }

    #[test]
    fn what_comes_from_elsewhere_is_not_taken_for_what_the_registry_has_under_the_name() {
        let lockfile = |resolved: &str| {
            format!(
                r#"{{"lockfileVersion":3,"packages":{{"node_modules/x":{{"name":"@s/a","version":"1.0.0","resolved":"{resolved}"}}}}}}"#
            )
        };
        for place in [
            "https://registry/@s/a/-/a-1.0.0.tgz",
            "https://registry/@s%2fa/-/a-1.0.0.tgz",
            "http://mirror:8080/api/npm/@s/a/-/a-1.0.0.tgz?cache=1#0123",
        ] {
            assert_eq!(purls(&lockfile(place)), ["pkg:npm/%40s/a@1.0.0"], "{place}");
        }
        for place in [
            "https://codeload.host/s/a/tar.gz/abc",
            "https://host/a-1.0.0.tgz",
            "https://registry/@s/a/-/a-1.0.1.tgz",
            "https://registry/@other/a/-/a-1.0.0.tgz",
            "git+https://host/@s/a/-/a-1.0.0.tgz",
            "file:../@s/a/-/a-1.0.0.tgz",
            "packages/a",
        ] {
            let inventory = Inventory::parse(&lockfile(place)).unwrap();
            assert_eq!(inventory.packages, [], "{place}");
            assert_eq!(inventory.skipped.len(), 1);
            assert!(inventory.skipped[0].because.contains(place));
        }
    }

    #[test]
    fn a_lockfile_of_version_one_is_a_tree() {
        let lockfile = r#"{"lockfileVersion":1,"dependencies":{
            "a":{"version":"1.0.0","dependencies":{"b":{"version":"2.0.0"}}},
            "alias":{"version":"npm:@s/real@3.0.0"},
            "git":{"version":"git+https://host/o/r.git#abc"},
            "inside":{"version":"1.0.0","bundled":true}}}"#;
        assert_eq!(
            purls(lockfile),
            ["pkg:npm/%40s/real@3.0.0", "pkg:npm/a@1.0.0", "pkg:npm/b@2.0.0"]
        );
        assert_eq!(Inventory::parse(lockfile).unwrap().skipped.len(), 2);
    }

    #[test]
    fn bills_of_materials_name_purls() {
        let cyclone = r#"{"bomFormat":"CycloneDX","components":[
            {"name":"a","purl":"pkg:npm/a@1.0.0?x=y","components":[{"name":"b","purl":"pkg:npm/b@2.0.0"}]},
            {"name":"c","purl":"pkg:cargo/c@1.0.0"},{"name":"d"}]}"#;
        assert_eq!(purls(cyclone), ["pkg:npm/a@1.0.0", "pkg:npm/b@2.0.0"]);
        assert_eq!(Inventory::parse(cyclone).unwrap().skipped.len(), 2);
        let spdx = r#"{"spdxVersion":"SPDX-2.3","packages":[{"name":"a","externalRefs":[
            {"referenceType":"cpe23Type","referenceLocator":"x"},{"referenceType":"purl","referenceLocator":"pkg:npm/a@1.0.0"}]},
            {"name":"b"}]}"#;
        assert_eq!(purls(spdx), ["pkg:npm/a@1.0.0"]);
    }

    #[test]
    fn what_is_no_list_says_what_is() {
        assert!(
            Inventory::parse("lockfileVersion: '9.0'")
                .unwrap_err()
                .to_string()
                .contains("package-lock.json")
        );
        assert_eq!(Inventory::parse("{}"), Err(InventoryError::UnknownShape));
        assert_eq!(Inventory::parse("[]"), Err(InventoryError::UnknownShape));
        assert_eq!(Inventory::parse(r#"{"lockfileVersion":1}"#), Ok(Inventory::default()));
    }

    #[test]
    fn a_list_that_is_nested_without_end_is_refused() {
        let deep = (0..10_000).fold(String::new(), |text, _| text + r#"{"dependencies":{"a":"#);
        assert!(matches!(Inventory::parse(&deep), Err(InventoryError::NotJson(_))));
    }
}
