//! The packument, reduced to what concerns one version.
//!
//! Packuments of busy packages have tens of megabytes, of which a verdict reads a few kilobytes. The reduction is a pure
//! function of the document, and of its own result gives the same result, so a dossier replays.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::package::{PackageName, Selector};

/// How many versions before the requested one are kept, by name and time alone: enough to tell a habit.
const EARLIER: usize = 32;

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

    /// The versions that were published before this one, newest first; at most [`EARLIER`].
    pub(super) fn earlier_versions(&self, version: &str) -> Vec<String> {
        let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
        let Some(published) = self.time.get(version).and_then(time) else {
            return Vec::new();
        };
        let mut earlier: Vec<(Timestamp, &String)> = self
            .time
            .iter()
            .filter(|(candidate, _)| !matches!(candidate.as_str(), "created" | "modified" | "unpublished"))
            .filter_map(|(candidate, value)| Some((time(value)?, candidate)))
            .filter(|(at, candidate)| *at <= published && candidate.as_str() != version)
            .collect();
        earlier.sort_by(|one, other| other.cmp(one));
        earlier
            .into_iter()
            .take(EARLIER)
            .map(|(_at, candidate)| candidate.clone())
            .collect()
    }

    /// The manifest of a version.
    pub(super) fn manifest(&self, version: &str) -> Option<Value> {
        serde_json::from_str(self.versions.get(version)?.get()).ok()
    }
}

/// Reduces a packument to the one version that `selector` leads to, with the times of a few before it.
pub(super) fn excerpt(name: &PackageName, selector: &Selector, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packument = Packument::parse(name, bytes)?;
    let version = packument.resolve(selector).map(str::to_owned);
    let version = version.as_deref();
    packument
        .versions
        .retain(|candidate, _manifest| Some(candidate.as_str()) == version);
    let earlier = version
        .map(|version| packument.earlier_versions(version))
        .unwrap_or_default();
    packument
        .time
        .retain(|candidate, _time| Some(candidate.as_str()) == version || earlier.contains(candidate));
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
        assert!(text.contains("2020") && !text.contains(r#""version":"1.0.0""#) && !text.contains("created"));
    }

    #[test]
    fn an_excerpt_keeps_that_a_version_was_unpublished() {
        let packument = br#"{"name":"a","time":{"1.0.0":"2020-01-01T00:00:00Z","2.0.0":"x"},"versions":{}}"#;
        let kept = excerpt(&name("a"), &Selector::Version("1.0.0".to_owned()), packument).unwrap();
        let kept = Packument::parse(&name("a"), &kept).unwrap();
        assert!(kept.time.contains_key("1.0.0") && !kept.time.contains_key("2.0.0"));
    }

    #[test]
    fn of_many_earlier_versions_the_newest_are_kept() {
        let times: Vec<String> = (10..90)
            .map(|minute| {
                format!(
                    r#""1.0.{minute}":"2026-01-01T{:02}:{:02}:00Z""#,
                    minute / 60,
                    minute % 60
                )
            })
            .collect();
        let packument = format!(r#"{{"name":"a","time":{{{}}},"versions":{{}}}}"#, times.join(","));
        let selector = Selector::Version("1.0.80".to_owned());
        let kept = excerpt(&name("a"), &selector, packument.as_bytes()).unwrap();
        let earlier = Packument::parse(&name("a"), &kept).unwrap().earlier_versions("1.0.80");
        assert_eq!(earlier.len(), EARLIER);
        assert_eq!(earlier.first().map(String::as_str), Some("1.0.79"));
        assert_eq!(excerpt(&name("a"), &selector, &kept).unwrap(), kept);
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
