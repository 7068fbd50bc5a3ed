//! The packument, reduced to what concerns one version.
//!
//! Packuments of busy packages have tens of megabytes, of which a verdict reads a few kilobytes. The reduction is a pure
//! function of the document, and of its own result gives the same result, so a dossier replays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::read::announces_attestations;
use super::rules::line;
use crate::ecosystem::evenly;
use crate::history::SETTLED;
use crate::package::{PackageName, Selector};

/// How many versions before the requested one are kept, by name and time alone: enough to tell a habit.
const EARLIER: usize = 256;
/// How many of them are kept with what the registry says of them.
const DESCRIBED: usize = 32;
/// Of how many of them the attestations are asked for at a first look.
const BACK: usize = 12;
/// How long after the requested version others are kept, by name and time alone: what was published at once.
const SOON: SignedDuration = SignedDuration::from_mins(30);

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

    /// When a version was published.
    pub(super) fn published_at(&self, version: &str) -> Option<Timestamp> {
        time(self.time.get(version)?)
    }

    /// Every version with when it was published, newest first.
    fn published(&self) -> Vec<(Timestamp, &str)> {
        let mut published: Vec<(Timestamp, &str)> = self
            .time
            .iter()
            .filter(|(version, _)| !matches!(version.as_str(), "created" | "modified" | "unpublished"))
            .filter_map(|(version, value)| Some((time(value)?, version.as_str())))
            .collect();
        published.sort_by(|one, other| other.cmp(one));
        published
    }

    /// The versions that were published before this one, newest first: [`EARLIER`] of them, and those that are described.
    pub(super) fn earlier(&self, version: &str) -> Vec<(Timestamp, &str)> {
        let described = self.described(version);
        let mut earlier = self.before(version);
        let mut kept = 0;
        earlier.retain(|(_at, candidate)| {
            kept += 1;
            kept <= EARLIER || described.contains(candidate)
        });
        earlier
    }

    /// Every version that was published before this one, newest first.
    fn before(&self, version: &str) -> Vec<(Timestamp, &str)> {
        let Some(published) = self.published_at(version) else {
            return Vec::new();
        };
        let mut before = self.published();
        before.retain(|(at, candidate)| *at <= published && *candidate != version);
        before
    }

    /// The versions that were published after this one within [`SOON`], oldest first.
    pub(super) fn soon_after(&self, version: &str) -> Vec<(Timestamp, &str)> {
        let Some(published) = self.published_at(version) else {
            return Vec::new();
        };
        let mut after = self.published();
        after.retain(|(at, _)| *at > published && at.duration_since(published) <= SOON);
        after.reverse();
        after
    }

    /// The earlier versions that are described: of each line in turn the newest that is left, the version's own line first,
    /// then the line of the newest version, and so on; at most [`DESCRIBED`]. Those of the last day before this one come after
    /// all others: what is published in a flood of versions is not hidden by them.
    pub(super) fn described(&self, version: &str) -> Vec<&str> {
        let published = self.published_at(version);
        let is_old = |at: Timestamp| published.is_none_or(|published| published.duration_since(at) >= SETTLED);
        let before = self.before(version);
        let served = before
            .into_iter()
            .filter(|(_at, candidate)| self.versions.contains_key(*candidate));
        let (old, recent): (Vec<_>, Vec<_>) = served.partition(|(at, _)| is_old(*at));
        let old = old.into_iter().map(|(_at, candidate)| candidate);
        let recent = recent.into_iter().map(|(_at, candidate)| candidate);
        let mut described = evenly(old, version, DESCRIBED, line);
        let left = DESCRIBED - described.len();
        described.extend(evenly(recent, version, left, line));
        described
    }

    /// The earlier versions whose attestations are asked for, to learn what they prove: at most [`BACK`] of those that are described
    /// and announce attestations, evenly of their lines.
    pub(super) fn back(&self, version: &str) -> Vec<&str> {
        let described = self.described(version);
        let earlier = self.earlier(version).into_iter().map(|(_at, candidate)| candidate);
        let announced = earlier.filter(|candidate| {
            described.contains(candidate)
                && self
                    .manifest(candidate)
                    .is_some_and(|manifest| announces_attestations(&manifest))
        });
        evenly(announced, version, BACK, line)
    }

    /// Whether it has what the attestations of a version are put against.
    pub(super) fn proves(&self, version: &str) -> bool {
        let manifest = self.manifest(version);
        manifest.is_some_and(|manifest| manifest.pointer("/dist/integrity").is_some())
    }

    /// Reduces manifests: those of which it is said whether their digests and signatures stay.
    fn reduce(&mut self, is_proven: impl Fn(&str) -> Option<bool>) {
        for (version, manifest) in &mut self.versions {
            // What cannot be read tells nothing, and stays as it is.
            if let Some(reduced) = is_proven(version).and_then(|is_proven| reduced(manifest, is_proven)) {
                *manifest = reduced;
            }
        }
    }

    /// The manifest of a version.
    pub(super) fn manifest(&self, version: &str) -> Option<Value> {
        serde_json::from_str(self.versions.get(version)?.get()).ok()
    }
}

/// A time as the registry writes it.
fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// Of a manifest what tells how the version was published: by whom, and whether attestations are announced; and the digest and the
/// registry's signatures, where those attestations are asked for.
fn reduced(manifest: &RawValue, is_proven: bool) -> Option<Box<RawValue>> {
    let mut manifest: Value = serde_json::from_str(manifest.get()).ok()?;
    let members = manifest.as_object_mut()?;
    members.retain(|name, _| matches!(name.as_str(), "version" | "dist" | "_npmUser" | "approver"));
    if let Some(dist) = members.get_mut("dist").and_then(Value::as_object_mut) {
        dist.retain(|name, _| match name.as_str() {
            "attestations" => true,
            "integrity" | "signatures" => is_proven,
            _ => false,
        });
    }
    RawValue::from_string(manifest.to_string()).ok()
}

/// Reduces a packument to the one version that `selector` leads to, with the times of those around it, and of a few before
/// it how they were published.
pub(super) fn excerpt(name: &PackageName, selector: &Selector, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut packument = Packument::parse(name, bytes)?;
    let version = packument.resolve(selector).map(str::to_owned);
    let Some(version) = version.as_deref() else {
        packument.versions.clear();
        packument.time.clear();
        packument.dist_tags.clear();
        return serde_json::to_vec(&packument).ok();
    };
    let owned = |versions: Vec<&str>| -> BTreeSet<String> { versions.into_iter().map(str::to_owned).collect() };
    let described = owned(packument.described(version));
    let around = [packument.earlier(version), packument.soon_after(version)].concat();
    let timed = owned(around.into_iter().map(|(_at, candidate)| candidate).collect());
    let back = owned(packument.back(version));
    packument
        .versions
        .retain(|candidate, _manifest| candidate == version || described.contains(candidate));
    packument.reduce(|candidate| (candidate != version).then(|| back.contains(candidate)));
    packument
        .time
        .retain(|candidate, _time| candidate == version || timed.contains(candidate));
    packument.dist_tags.retain(|_tag, target| target == version);
    serde_json::to_vec(&packument).ok()
}

/// An [`excerpt`] without what proves the releases of other versions that are known: nobody asks for their attestations again, and
/// digests and signatures are most of what cannot be compressed.
pub(super) fn without_proofs(
    name: &PackageName,
    version: &str,
    known: &BTreeSet<String>,
    bytes: &[u8],
) -> Option<Vec<u8>> {
    let mut packument = Packument::parse(name, bytes)?;
    packument.reduce(|candidate| (candidate != version && known.contains(candidate)).then_some(false));
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
        assert!(text.contains("2020") && text.contains(r#""version":"1.0.0""#) && !text.contains("created"));
    }

    /// A packument with a version that announces attestations and one that does not, before version 3.0.0.
    const PUBLISHED: &[u8] = br#"{"name":"a","time":{"1.0.0":"2020-01-01T00:00:00Z","2.0.0":"2021-01-01T00:00:00Z",
        "3.0.0":"2022-01-01T00:00:00Z"},"versions":{"3.0.0":{"version":"3.0.0","scripts":{"test":"x"},"dist":{"shasum":"e"}},
        "2.0.0":{"version":"2.0.0","gitHead":"b","_npmUser":{"name":"c"},"approver":{},"dist":{"integrity":"d","shasum":"e",
        "signatures":[],"tarball":"g"}},"1.0.0":{"name":"a","version":"1.0.0","scripts":{"test":"x"},"_npmUser":{"name":"c"},
        "dist":{"integrity":"d","shasum":"e","signatures":[],"attestations":{"url":"f"},"fileCount":1}}}}"#;

    #[test]
    fn of_an_earlier_version_how_it_was_published_is_kept_and_what_proves_what_it_announces() {
        let selector = Selector::Version("3.0.0".to_owned());
        let bytes = excerpt(&name("a"), &selector, PUBLISHED).unwrap();
        assert_eq!(excerpt(&name("a"), &selector, &bytes).unwrap(), bytes);
        let kept = Packument::parse(&name("a"), &bytes).unwrap();
        assert_eq!(kept.back("3.0.0"), ["1.0.0"]);
        assert!(kept.proves("1.0.0"));
        assert_eq!(
            kept.manifest("1.0.0").unwrap(),
            serde_json::json!({"version": "1.0.0", "_npmUser": {"name": "c"}, "dist":
                {"integrity": "d", "signatures": [], "attestations": {"url": "f"}}})
        );
        assert_eq!(
            kept.manifest("2.0.0").unwrap(),
            serde_json::json!({"version": "2.0.0", "_npmUser": {"name": "c"}, "approver": {}, "dist": {}})
        );
        assert!(kept.manifest("3.0.0").unwrap().get("scripts").is_some());
    }

    #[test]
    fn what_proves_an_earlier_version_is_left_out_once_that_is_known() {
        let selector = Selector::Version("3.0.0".to_owned());
        let whole = excerpt(&name("a"), &selector, PUBLISHED).unwrap();
        let known = |versions: &[&str]| versions.iter().map(|version| (*version).to_owned()).collect();
        let none = without_proofs(&name("a"), "3.0.0", &known(&["2.0.0"]), &whole).unwrap();
        assert_eq!(none, whole);
        let bytes = without_proofs(&name("a"), "3.0.0", &known(&["1.0.0", "3.0.0"]), &whole).unwrap();
        assert_eq!(excerpt(&name("a"), &selector, &bytes).unwrap(), bytes);
        let kept = Packument::parse(&name("a"), &bytes).unwrap();
        assert_eq!(
            kept.manifest("1.0.0").unwrap()["dist"],
            serde_json::json!({"attestations": {"url": "f"}})
        );
        assert_eq!(
            kept.manifest("3.0.0").unwrap()["dist"],
            serde_json::json!({"shasum": "e"})
        );
    }

    #[test]
    fn described_versions_are_taken_from_each_line_in_turn_and_from_the_own_line_first() {
        let versions = ["3.1.0", "2.5.0", "3.0.0", "2.4.0", "1.9.0", "3.1.0-rc.1", "2.3.0"];
        assert_eq!(
            evenly(versions, "2.5.1", 6, line),
            ["2.5.0", "3.1.0", "1.9.0", "3.1.0-rc.1", "2.4.0", "3.0.0"]
        );
        assert_eq!(evenly(versions, "4.0.0", 2, line), ["3.1.0", "2.5.0"]);
        assert!(evenly([], "1.0.0", 2, line).is_empty());
    }

    #[test]
    fn what_was_published_soon_after_is_kept_by_its_time() {
        let packument = br#"{"name":"a","time":{"1.0.0":"2020-01-01T00:00:00Z","0.9.1":"2020-01-01T00:30:00Z",
            "1.0.1":"2020-01-01T00:30:01Z"},"versions":{"1.0.0":{},"0.9.1":{},"1.0.1":{}}}"#;
        let selector = Selector::Version("1.0.0".to_owned());
        let kept = excerpt(&name("a"), &selector, packument).unwrap();
        assert_eq!(excerpt(&name("a"), &selector, &kept).unwrap(), kept);
        let kept = Packument::parse(&name("a"), &kept).unwrap();
        let after: Vec<&str> = kept
            .soon_after("1.0.0")
            .into_iter()
            .map(|(_, version)| version)
            .collect();
        assert_eq!(after, ["0.9.1"]);
        assert_eq!(kept.versions.len(), 1);
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
        let at = |minute: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
        let times: Vec<String> = (0..400)
            .map(|minute| format!(r#""1.0.{minute}":"{}""#, at(minute)))
            .collect();
        let versions: Vec<String> = (0..400).map(|minute| format!(r#""1.0.{minute}":{{}}"#)).collect();
        let packument = format!(
            r#"{{"name":"a","time":{{{}}},"versions":{{{}}}}}"#,
            times.join(","),
            versions.join(",")
        );
        let selector = Selector::Version("1.0.350".to_owned());
        let kept = excerpt(&name("a"), &selector, packument.as_bytes()).unwrap();
        let once = Packument::parse(&name("a"), &kept).unwrap();
        let earlier = once.earlier("1.0.350");
        assert_eq!(earlier.len(), EARLIER);
        assert_eq!(earlier.first().map(|(_, version)| *version), Some("1.0.349"));
        assert_eq!(once.described("1.0.350").len(), DESCRIBED);
        assert_eq!(once.versions.len(), DESCRIBED + 1);
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
