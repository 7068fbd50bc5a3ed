//! The index of a project, reduced to what concerns one version.
//!
//! The index of a busy project has thousands of files and some megabytes. The reduction is a pure function of the document,
//! of its own result it gives the same result, and what it gives is an index: a dossier replays.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::document::{Wire, parse};
use super::index::{Index, IndexFile, IndexedVersion};
use super::version::{Identity, line};
use crate::ecosystem::evenly;
use crate::history::SETTLED;

/// How many versions before the requested one are kept, by name and time alone: enough to tell a habit.
const EARLIER: usize = 256;
/// How many of them are kept with what tells how they were published.
const DESCRIBED: usize = 32;
/// How long after the requested version others are kept, by name and time alone: what was published at once.
const SOON: SignedDuration = SignedDuration::from_mins(30);

/// Which versions surround one, by the time of their first file.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings<'a> {
    /// Versions that were published before it, newest first: the newest of them, and all that are described.
    pub earlier: Vec<(Timestamp, &'a str)>,
    /// The earlier ones that are kept with what tells how they were published: of each line in turn the newest that is left,
    /// the version's own line first, then the line of the newest version, and so on. Those of the last day before the
    /// version come after all others: what is published in a flood of versions is not hidden by them.
    pub described: Vec<&'a str>,
    /// Versions that were published within half an hour after it, oldest first.
    pub soon_after: Vec<(Timestamp, &'a str)>,
}

/// The surroundings of a version among `indexed`; none if the index does not say when it was published.
pub(super) fn surroundings<'a>(indexed: &[IndexedVersion<'a>], version: &str) -> Surroundings<'a> {
    let identity = Identity::of(version);
    let is_it = |candidate: &str| Identity::of(candidate) == identity;
    let own = indexed.iter().find(|candidate| is_it(candidate.version));
    let Some(published) = own.and_then(IndexedVersion::published_at) else {
        return Surroundings::default();
    };
    let mut dated: Vec<(Timestamp, &str)> = indexed
        .iter()
        .filter(|candidate| !is_it(candidate.version))
        .filter_map(|candidate| Some((candidate.published_at()?, candidate.version)))
        .collect();
    dated.sort_by(|one, other| other.cmp(one));
    let (mut earlier, mut soon_after): (Vec<_>, Vec<_>) = dated.into_iter().partition(|(at, _)| *at <= published);
    soon_after.retain(|(at, _)| at.duration_since(published) <= SOON);
    soon_after.reverse();

    let (old, recent): (Vec<_>, Vec<_>) = earlier
        .iter()
        .copied()
        .partition(|(at, _)| published.duration_since(*at) >= SETTLED);
    let names = |versions: Vec<(Timestamp, &'a str)>| versions.into_iter().map(|(_at, candidate)| candidate);
    let mut described = evenly(names(old), version, DESCRIBED, line);
    let left = DESCRIBED - described.len();
    described.extend(evenly(names(recent), version, left, line));

    let is_described: BTreeSet<&str> = described.iter().copied().collect();
    let mut kept = 0;
    earlier.retain(|(_at, candidate)| {
        kept += 1;
        kept <= EARLIER || is_described.contains(candidate)
    });
    Surroundings {
        earlier,
        described,
        soon_after,
    }
}

/// How much of a file is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Its text as it is.
    Whole,
    /// What tells how it was published.
    Described,
    /// Its name and time.
    Dated,
}

/// Reduces an index to the files of one version, whole; of a bounded number of versions before it, and of those right after
/// it, what tells when they were published, and of a few before it, how: whether some and whether every file announces a
/// provenance, and whether they are yanked. `None` if the bytes are no index.
pub(super) fn excerpt(version: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Wire::parse(bytes)?;
    let index = parse(bytes)?;
    let indexed = index.indexed_versions();
    let around = surroundings(&indexed, version);
    let kept = extents(&index, &indexed, version, &around);

    let mut files = Vec::new();
    for text in &wire.files {
        if let Some(file) = wire.file(text)
            && let Some(extent) = kept.get(file.filename.as_str())
        {
            files.push(reduced(text, *extent)?);
        }
    }
    wire.files = files;
    if let Some(versions) = &mut wire.versions {
        let around = around.earlier.iter().chain(&around.soon_after);
        let mut named: BTreeSet<Identity> = around.map(|(_at, candidate)| Identity::of(candidate)).collect();
        named.insert(Identity::of(version));
        versions.retain(|candidate| named.contains(&Identity::of(candidate)));
    }
    serde_json::to_vec(&wire).ok()
}

/// Which files are kept, by name, and how much of each.
fn extents<'a>(
    index: &'a Index,
    indexed: &[IndexedVersion<'a>],
    version: &str,
    around: &Surroundings<'a>,
) -> BTreeMap<&'a str, Extent> {
    let mut kept: BTreeMap<&str, Extent> = BTreeMap::new();
    let by_version: BTreeMap<&str, &IndexedVersion<'a>> =
        indexed.iter().map(|candidate| (candidate.version, candidate)).collect();
    for (_at, candidate) in around.earlier.iter().chain(&around.soon_after) {
        let files = by_version.get(candidate).map_or(&[][..], |found| &found.files);
        if let Some(first) = files.iter().min_by_key(|file| order(file)) {
            kept.insert(&first.filename, Extent::Dated);
        }
    }
    for candidate in &around.described {
        // Of files of which the index says the same, the first stands for all.
        let mut standing: BTreeMap<_, &IndexFile> = BTreeMap::new();
        for file in by_version.get(candidate).map_or(&[][..], |found| &found.files) {
            let stands = standing.entry((file.provenance, file.yanked.is_some())).or_insert(file);
            if order(file) < order(stands) {
                *stands = file;
            }
        }
        kept.extend(
            standing
                .values()
                .map(|file| (file.filename.as_str(), Extent::Described)),
        );
    }
    let own = index.files_of(version).into_iter();
    kept.extend(own.map(|file| (file.filename.as_str(), Extent::Whole)));
    kept
}

/// Files by when they were uploaded, those of unknown time last.
fn order(file: &IndexFile) -> (bool, Option<Timestamp>, &str) {
    (file.uploaded_at.is_none(), file.uploaded_at, &file.filename)
}

fn reduced(text: &RawValue, extent: Extent) -> Option<Box<RawValue>> {
    let is_kept = |name: &str| match extent {
        Extent::Whole => true,
        Extent::Described => matches!(
            name,
            "filename" | "url" | "hashes" | "upload-time" | "yanked" | "provenance"
        ),
        Extent::Dated => matches!(name, "filename" | "url" | "hashes" | "upload-time"),
    };
    if extent == Extent::Whole {
        return Some(text.to_owned());
    }
    let mut members: Map<String, Value> = serde_json::from_str(text.get()).ok()?;
    members.retain(|name, _value| is_kept(name));
    // An index demands these members; what is in them tells nothing that is asked of another version.
    if extent == Extent::Dated {
        members.insert("hashes".to_owned(), Value::Object(Map::new()));
    }
    members.insert("url".to_owned(), Value::String(String::new()));
    RawValue::from_string(Value::Object(members).to_string()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::index::{ProvenanceLink, latest};
    use super::*;

    fn at(minute: i64) -> String {
        (Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)).to_string()
    }

    /// A file with everything that an index says.
    fn file(filename: &str, minute: i64, provenance: &Value) -> Value {
        json!({"filename": filename, "url": format!("https://files.example/packages/{filename}"),
            "hashes": {"sha256": "ab".repeat(32)}, "size": 1, "upload-time": at(minute), "yanked": false,
            "provenance": provenance, "requires-python": ">=3", "core-metadata": false})
    }

    fn document(files: &[Value], versions: &[&str]) -> Vec<u8> {
        let meta = json!({"api-version": "1.4", "_last-serial": 7});
        json!({"meta": meta, "name": "foo", "versions": versions, "files": files, "alternate-locations": []})
            .to_string()
            .into_bytes()
    }

    fn reduce(version: &str, bytes: &[u8]) -> Index {
        let once = excerpt(version, bytes).unwrap();
        assert_eq!(
            excerpt(version, &once).unwrap(),
            once,
            "an excerpt of an excerpt is the excerpt"
        );
        parse(&once).unwrap()
    }

    #[test]
    fn the_files_of_the_version_stay_as_they_are() {
        let bytes = br#"{"name":"foo","x":1,"files":[{"filename":"foo-1.0.tar.gz","url":"u","hashes":{},"size":1.50,
            "other": [1]},{"filename":"foo-2.0.tar.gz","url":"u","hashes":{}}]}"#;
        let kept = String::from_utf8(excerpt("1.0.0", bytes).unwrap()).unwrap();
        assert!(kept.contains("1.50") && kept.contains("\"other\": [1]") && !kept.contains("2.0"));
        assert_eq!(excerpt("1.0", kept.as_bytes()).unwrap(), kept.as_bytes());
    }

    #[test]
    fn of_an_earlier_version_only_how_it_was_published_is_kept() {
        let files = [
            file("foo-1.0.tar.gz", 0, &json!(null)),
            file("foo-1.0-py3-none-any.whl", 1, &json!("x")),
            file("foo-1.0-cp310-none-any.whl", 2, &json!("x")),
            file("foo-2.0.tar.gz", 9000, &json!("x")),
            file("foo-3.0.tar.gz", 9999, &json!("x")),
        ];
        let index = reduce("2.0", &document(&files, &["1.0", "2.0", "3.0"]));
        assert_eq!(index.versions, ["1.0", "2.0"]);
        let names: Vec<&str> = index.files.iter().map(|file| file.filename.as_str()).collect();
        assert_eq!(names, ["foo-1.0.tar.gz", "foo-1.0-py3-none-any.whl", "foo-2.0.tar.gz"]);
        let sizes: Vec<Option<u64>> = index.files.iter().map(|file| file.size).collect();
        assert_eq!(sizes, [None, None, Some(1)]);
        let indexed = index.indexed_versions();
        let earlier = indexed.first().unwrap();
        assert_eq!(earlier.published_at(), at(0).parse().ok());
        assert!(earlier.announces_any());
    }

    #[test]
    fn what_is_said_of_every_file_of_an_earlier_version_outlives_the_reduction() {
        let mut yanked = file("foo-1.0.tar.gz", 0, &json!("x"));
        yanked["yanked"] = json!("broken");
        let mut unsaid = file("foo-0.9.tar.gz", 0, &json!(null));
        unsaid.as_object_mut().unwrap().remove("provenance");
        let files = [yanked, unsaid, file("foo-2.0.tar.gz", 9000, &json!("x"))];
        let index = reduce("2.0", &document(&files, &[]));
        let indexed = index.indexed_versions();
        let [silent, attested, _own] = indexed.as_slice() else {
            panic!("three versions")
        };
        assert!(!silent.announces_any());
        assert!(attested.announces_any());
    }

    #[test]
    fn what_was_published_soon_after_is_kept_by_its_time() {
        let files = [
            file("foo-1.0.tar.gz", 0, &json!("x")),
            file("foo-0.9.1.tar.gz", 30, &json!("x")),
            file("foo-1.0.1.tar.gz", 31, &json!("x")),
        ];
        let index = reduce("1.0", &document(&files, &["0.9.1", "1.0", "1.0.1"]));
        assert_eq!(index.versions, ["0.9.1", "1.0"]);
        let indexed = index.indexed_versions();
        let around = surroundings(&indexed, "1.0");
        assert_eq!(around.soon_after, [(at(30).parse().unwrap(), "0.9.1")]);
        let provenance: Vec<ProvenanceLink> = index.files.iter().map(|file| file.provenance).collect();
        assert_eq!(provenance, [ProvenanceLink::Announced, ProvenanceLink::Unsaid]);
    }

    #[test]
    fn of_many_earlier_versions_the_newest_are_kept_and_few_are_described() {
        let files: Vec<Value> = (0..400)
            .flat_map(|day| {
                let wheel = file(&format!("foo-1.{day}-py3-none-any.whl"), day * 1440 + 1, &json!("x"));
                [file(&format!("foo-1.{day}.tar.gz"), day * 1440, &json!(null)), wheel]
            })
            .collect();
        let versions: Vec<String> = (0..400).map(|day| format!("1.{day}")).collect();
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        let bytes = document(&files, &versions);
        let index = reduce("1.350", &bytes);
        let indexed = index.indexed_versions();
        let around = surroundings(&indexed, "1.350");
        assert_eq!(around.earlier.len(), EARLIER);
        assert_eq!(around.earlier.first().map(|(_, version)| *version), Some("1.349"));
        assert_eq!(around.described.len(), DESCRIBED);
        assert_eq!(index.files.len(), EARLIER + DESCRIBED + 2);
        assert_eq!(index.versions.len(), EARLIER + 1);
        assert!(excerpt("1.350", &bytes).unwrap().len() < 40_000);
    }

    #[test]
    fn described_versions_are_taken_from_every_line() {
        let mut files: Vec<Value> = (0..100)
            .map(|day| file(&format!("foo-2.{day}.tar.gz"), (day + 10) * 1440, &json!("x")))
            .collect();
        files.push(file("foo-1.0.tar.gz", 0, &json!("x")));
        files.push(file("foo-1.0.1.tar.gz", 200 * 1440, &json!("x")));
        let index = reduce("1.0.1", &document(&files, &[]));
        let indexed = index.indexed_versions();
        let around = surroundings(&indexed, "1.0.1");
        assert_eq!(around.described.get(..3), Some(&["1.0", "2.99", "2.98"][..]));
    }

    #[test]
    fn a_flood_of_versions_does_not_hide_what_was_before() {
        let mut files: Vec<Value> = (0..300)
            .map(|minute| file(&format!("foo-1.0.{minute}.tar.gz"), 10_000 + minute, &json!("x")))
            .collect();
        files.push(file("foo-0.1.tar.gz", 0, &json!("x")));
        let index = reduce("1.0.299", &document(&files, &[]));
        let indexed = index.indexed_versions();
        assert_eq!(surroundings(&indexed, "1.0.299").described.first(), Some(&"0.1"));
    }

    #[test]
    fn without_times_the_files_of_the_version_alone_are_kept() {
        let mut files = [
            file("foo-1.0.tar.gz", 0, &json!("x")),
            file("foo-2.0.tar.gz", 1, &json!("x")),
        ];
        for file in &mut files {
            file.as_object_mut().unwrap().remove("upload-time");
        }
        let index = reduce("2.0", &document(&files, &["1.0", "2.0"]));
        assert_eq!((index.files.len(), index.versions.len()), (1, 1));
    }

    #[test]
    fn a_version_that_is_not_listed_leaves_an_empty_index() {
        let bytes = document(&[file("foo-1.0.tar.gz", 0, &json!("x"))], &["1.0"]);
        let index = reduce("3.0", &bytes);
        assert!(index.files.is_empty() && index.versions.is_empty());
        assert_eq!(index.name, "foo");
    }

    #[test]
    fn the_latest_version_is_the_latest_of_its_excerpt() {
        let files = [
            file("foo-1.0.tar.gz", 0, &json!("x")),
            file("foo-3.0rc1.tar.gz", 1, &json!("x")),
            file("foo-2.0.tar.gz", 2, &json!("x")),
        ];
        let bytes = document(&files, &[]);
        let version = latest(&parse(&bytes).unwrap()).unwrap().to_owned();
        assert_eq!(version, "2.0");
        assert_eq!(latest(&reduce(&version, &bytes)), Some("2.0"));
    }

    #[test]
    fn what_is_no_index_has_no_excerpt() {
        assert_eq!(excerpt("1.0", b"<html></html>"), None);
        assert_eq!(excerpt("1.0", b""), None);
    }
}
