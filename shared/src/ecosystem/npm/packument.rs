//! The packument, reduced to what concerns one version.
//!
//! Packuments of busy packages have tens of megabytes, of which a verdict reads a few kilobytes. The reduction is a pure
//! function of the document, and of its own result gives the same result, so a dossier replays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::package::{PackageName, Selector};

/// What is kept of a packument.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packument {
    /// The package's name.
    pub(super) name: String,
    /// Tags and the versions that they lead to.
    #[serde(rename = "dist-tags", default)]
    pub(super) dist_tags: BTreeMap<String, String>,
    /// When each version was published; unpublished versions stay listed. Values that are no text are other records.
    #[serde(default)]
    pub(super) time: BTreeMap<String, Value>,
    /// The manifests; all of them in the original, the requested one in the excerpt.
    #[serde(default)]
    pub(super) versions: BTreeMap<String, Box<RawValue>>,
}

impl Packument {
    /// Parses a packument of `name`; `None` if the bytes are no such document.
    pub(super) fn parse(name: &PackageName, bytes: &[u8]) -> Option<Self> {
        let packument: Self = serde_json::from_slice(bytes).ok()?;
        (packument.name == name.as_str()).then_some(packument)
    }

    /// The version that a selector leads to, whether or not it is served.
    pub(super) fn resolve<'a>(&'a self, selector: &'a Selector) -> Option<&'a str> {
        match selector {
            Selector::Version(version) => Some(version),
            Selector::Tag(tag) => self.dist_tags.get(tag).map(String::as_str),
        }
    }

    /// The manifest of a version.
    pub(super) fn manifest(&self, version: &str) -> Option<Value> {
        serde_json::from_str(self.versions.get(version)?.get()).ok()
    }
}

/// Reduces a packument to the one version that `selector` leads to.
pub(super) fn excerpt(name: &PackageName, selector: &Selector, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packument = Packument::parse(name, bytes)?;
    let version = packument.resolve(selector).map(str::to_owned);
    let version = version.as_deref();
    packument
        .versions
        .retain(|candidate, _manifest| Some(candidate.as_str()) == version);
    packument
        .time
        .retain(|candidate, _time| Some(candidate.as_str()) == version);
    packument
        .dist_tags
        .retain(|_tag, target| Some(target.as_str()) == version);
    serde_json::to_vec(&packument).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Ecosystem;

    const PACKUMENT: &[u8] = br#"{"name":"a","readme":"long","dist-tags":{"latest":"2.0.0"},
        "time":{"created":"x","1.0.0":"2020-01-01T00:00:00Z","2.0.0":"2021-01-01T00:00:00Z"},
        "versions":{"1.0.0":{"name":"a","version":"1.0.0"},"2.0.0":{"name":"a","version":"2.0.0","x":1.50}}}"#;

    fn name(text: &str) -> PackageName {
        PackageName::new(Ecosystem::Npm, text).unwrap()
    }

    #[test]
    fn an_excerpt_of_an_excerpt_is_the_excerpt() {
        let selector = Selector::Tag("latest".to_owned());
        let once = excerpt(&name("a"), &selector, PACKUMENT).unwrap();
        assert_eq!(excerpt(&name("a"), &selector, &once).unwrap(), once);
        let text = String::from_utf8(once).unwrap();
        assert!(text.contains("1.50") && text.contains("latest") && text.contains("2021"));
        assert!(!text.contains("1.0.0"));
    }

    #[test]
    fn an_excerpt_keeps_that_a_version_was_unpublished() {
        let packument = br#"{"name":"a","time":{"1.0.0":"2020-01-01T00:00:00Z","2.0.0":"x"},"versions":{}}"#;
        let kept = excerpt(&name("a"), &Selector::Version("1.0.0".to_owned()), packument).unwrap();
        let kept = Packument::parse(&name("a"), &kept).unwrap();
        assert!(kept.time.contains_key("1.0.0") && !kept.time.contains_key("2.0.0"));
    }

    #[test]
    fn a_packument_of_another_package_is_no_answer() {
        assert!(excerpt(&name("b"), &Selector::Version("1.0.0".to_owned()), PACKUMENT).is_none());
    }

    #[test]
    fn html_is_no_packument() {
        assert!(Packument::parse(&name("a"), b"<html></html>").is_none());
        assert!(Packument::parse(&name("a"), b"").is_none());
    }
}
