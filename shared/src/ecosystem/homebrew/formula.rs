//! A formula as the API serves it (<https://formulae.brew.sh/docs/api/#get-formula-metadata-for-a-core-formula>), reduced to
//! what is read of it. The reduction is a pure function of the document, and of its own result gives the same result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{bottle_name, is_tag};
use crate::package::{Digest, DigestAlgorithm, PackageName};

/// The most bottles that a formula may have. Real ones have at most two dozen.
const BOTTLES: usize = 48;

/// A formula.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Formula {
    /// Its name.
    pub(super) name: String,
    versions: Versions,
    #[serde(default)]
    revision: u64,
    #[serde(default)]
    bottle: Bottled,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Versions {
    #[serde(default)]
    stable: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Bottled {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stable: Option<Stable>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stable {
    #[serde(default)]
    rebuild: u64,
    #[serde(default)]
    files: BTreeMap<String, File>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct File {
    url: String,
    sha256: String,
}

/// A bottle as a formula lists it. Claims, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bottle {
    /// The file name, which is also by which a dossier knows it.
    pub(super) filename: String,
    /// Whether it is the one for all platforms.
    pub(super) is_for_all: bool,
    /// Where it is: of the address only the path is asked.
    pub(super) url: String,
    /// The SHA-256 that is named.
    pub(super) digest: Digest,
}

impl Formula {
    /// Parses the formula of this name; `None` if the bytes are no such document.
    pub(super) fn parse(name: &PackageName, bytes: &[u8]) -> Option<Self> {
        let formula: Self = serde_json::from_slice(bytes).ok()?;
        (formula.name == name.as_str() && formula.bottles().is_some()).then_some(formula)
    }

    /// The version with its revision; `None` of a formula that was never released.
    pub(super) fn version(&self) -> Option<String> {
        let stable = self.versions.stable.as_deref()?;
        Some(match self.revision {
            0 => stable.to_owned(),
            revision => format!("{stable}_{revision}"),
        })
    }

    /// The bottles, in the order of their names; `None` if what the formula lists cannot be bottles.
    pub(super) fn bottles(&self) -> Option<Vec<Bottle>> {
        let Some((stable, version)) = self.bottle.stable.as_ref().zip(self.version()) else {
            return Some(Vec::new());
        };
        if stable.files.len() > BOTTLES {
            return None;
        }
        let bottle = |(tag, file): (&String, &File)| {
            let filename = bottle_name(&self.name, &version, tag, stable.rebuild);
            Some(Bottle {
                filename,
                is_for_all: tag == "all",
                url: file.url.clone(),
                digest: Digest::from_hex(DigestAlgorithm::Sha256, &file.sha256).ok()?,
            })
            .filter(|_| is_tag(tag))
        };
        stable.files.iter().map(bottle).collect()
    }
}

/// What is kept of a document; `None` if it is no formula of this name.
pub(super) fn excerpt(name: &PackageName, bytes: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&Formula::parse(name, bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Ecosystem;

    fn name(text: &str) -> PackageName {
        PackageName::new(Ecosystem::Homebrew, text).unwrap()
    }

    fn document(files: &str) -> String {
        format!(
            r#"{{"name":"tree","desc":"x","versions":{{"stable":"2.1","head":null,"bottle":true}},"revision":1,
                "bottle":{{"stable":{{"rebuild":2,"root_url":"https://r.example/v2","files":{files}}}}}}}"#
        )
    }

    fn file(sha256: &str) -> String {
        format!(r#"{{"cellar":":any","url":"https://r.example/v2/tree/blobs/sha256:x","sha256":"{sha256}"}}"#)
    }

    #[test]
    fn an_excerpt_of_an_excerpt_is_the_excerpt() {
        let text = document(&format!(r#"{{"sonoma":{}}}"#, file(&"ab".repeat(32))));
        let once = excerpt(&name("tree"), text.as_bytes()).unwrap();
        assert_eq!(excerpt(&name("tree"), &once).unwrap(), once);
        assert!(once.len() < text.len());
    }

    #[test]
    fn a_bottle_has_version_revision_and_rebuild_in_its_name() {
        let text = document(&format!(r#"{{"sonoma":{}}}"#, file(&"ab".repeat(32))));
        let formula = Formula::parse(&name("tree"), text.as_bytes()).unwrap();
        assert_eq!(formula.version().as_deref(), Some("2.1_1"));
        let bottles = formula.bottles().unwrap();
        let names: Vec<_> = bottles.iter().map(|bottle| bottle.filename.as_str()).collect();
        assert_eq!(names, ["tree--2.1_1.sonoma.bottle.2.tar.gz"]);
    }

    #[test]
    fn a_formula_without_bottles_has_none() {
        for bottle in ["{}", r#"{"stable":{"files":{}}}"#] {
            let text = format!(r#"{{"name":"tree","versions":{{"stable":"2.1"}},"bottle":{bottle}}}"#);
            let formula = Formula::parse(&name("tree"), text.as_bytes()).unwrap();
            assert_eq!(formula.bottles(), Some(Vec::new()));
        }
    }

    #[test]
    fn what_lists_no_bottles_is_no_formula() {
        let many: Vec<String> = (0..=BOTTLES)
            .map(|number| format!(r#""t{number}":{}"#, file(&"ab".repeat(32))))
            .collect();
        for files in [
            format!(r#"{{"sonoma":{}}}"#, file("ab")),
            format!(r#"{{"../sonoma":{}}}"#, file(&"ab".repeat(32))),
            format!("{{{}}}", many.join(",")),
        ] {
            assert!(Formula::parse(&name("tree"), document(&files).as_bytes()).is_none());
        }
        let other = document(&format!(r#"{{"sonoma":{}}}"#, file(&"ab".repeat(32))));
        assert!(Formula::parse(&name("wget"), other.as_bytes()).is_none());
    }
}
