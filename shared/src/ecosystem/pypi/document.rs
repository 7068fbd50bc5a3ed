//! The document that an index is: the JSON form of the simple repository API (PEP 691), with sizes and times of upload (PEP
//! 700) and links to provenance (PEP 740)
//! (<https://packaging.python.org/en/latest/specifications/simple-repository-api/>).

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::filename::Distribution;
use super::index::{Index, IndexFile, ProvenanceLink};
use super::version::normalize;
use crate::package::{Digest, DigestAlgorithm};

/// The media type to ask for.
pub(super) const MEDIA_TYPE: &str = "application/vnd.pypi.simple.v1+json";

/// The document as it is served, each file still as text.
#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<Box<RawValue>>,
    name: String,
    #[serde(rename = "project-status", default, skip_serializing_if = "Option::is_none")]
    project_status: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) versions: Option<Vec<String>>,
    pub(super) files: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "api-version")]
    api_version: String,
}

#[derive(Deserialize)]
struct ProjectStatus {
    status: String,
}

#[derive(Deserialize)]
struct WireFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: Value,
    #[serde(default)]
    size: Value,
    #[serde(rename = "upload-time", default)]
    upload_time: Value,
    #[serde(default)]
    yanked: Value,
    /// `None` if the key is missing.
    #[serde(default, deserialize_with = "present")]
    provenance: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Wire {
    /// Parses the document; `None` if it is none, or of a major version of the interface that is not known ("clients MUST
    /// fail"). What says no version is of version 1.0 (PEP 629).
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let wire: Self = serde_json::from_slice(bytes).ok()?;
        (wire.api_version()?.split('.').next() == Some("1")).then_some(wire)
    }

    fn api_version(&self) -> Option<String> {
        match &self.meta {
            Some(meta) => Some(serde_json::from_str::<Meta>(meta.get()).ok()?.api_version),
            None => Some("1.0".to_owned()),
        }
    }

    /// The file of a text; `None` if it names none.
    pub(super) fn file(&self, text: &RawValue) -> Option<IndexFile> {
        let wire: WireFile = serde_json::from_str(text.get()).ok()?;
        let sha256 = wire
            .hashes
            .get("sha256")
            .and_then(Value::as_str)
            .and_then(|digits| Digest::from_hex(DigestAlgorithm::Sha256, digits).ok());
        Some(IndexFile {
            path: path_of(&self.name, &wire.url),
            sha256,
            size: wire.size.as_u64(),
            uploaded_at: wire.upload_time.as_str().and_then(|time| time.parse().ok()),
            // As pip reads it: a reason that is empty is no reason to pass it over.
            yanked: match wire.yanked {
                Value::Bool(true) => Some(None),
                Value::String(reason) if !reason.is_empty() => Some(Some(reason)),
                Value::Null
                | Value::Bool(false)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => None,
            },
            provenance: match wire.provenance {
                Some(Value::Null) => ProvenanceLink::None,
                Some(Value::String(_address)) => ProvenanceLink::Announced,
                Some(_) | None => ProvenanceLink::Unsaid,
            },
            distribution: Distribution::of(&self.name, &wire.filename),
            filename: wire.filename,
        })
    }
}

/// The path of a file's URL. A relative one is meant from where the index of a project is.
fn path_of(name: &str, url: &str) -> Option<String> {
    // Only the path of the base matters; `.invalid` is nobody's (RFC 2606).
    let base = Url::parse(&format!("https://index.invalid/simple/{}/", normalize(name))).ok()?;
    let url = base.join(url).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.path().to_owned())
}

/// Reads an index; `None` if the bytes are none. A file that cannot be read is passed over, like by an installer.
pub(super) fn parse(bytes: &[u8]) -> Option<Index> {
    let wire = Wire::parse(bytes)?;
    let status = wire
        .project_status
        .as_ref()
        .and_then(|status| serde_json::from_str::<ProjectStatus>(status.get()).ok())
        .map(|status| status.status)
        .filter(|status| status != "active");
    Some(Index {
        api_version: wire.api_version()?,
        status,
        files: wire.files.iter().filter_map(|file| wire.file(file)).collect(),
        versions: wire.versions.unwrap_or_default(),
        name: wire.name,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    fn a_file_is_read_with_everything_that_the_index_says_of_it() {
        let index = index(&json!({
            "meta": {"api-version": "1.4", "_last-serial": 7}, "name": "foo-bar", "versions": ["1.0"],
            "project-status": {"status": "archived", "reason": "old"},
            "files": [{"filename": "foo_bar-1.0-py3-none-any.whl", "url": "https://files.example/packages/a%20b/f.whl#x=1",
                "hashes": {"sha256": "ab".repeat(32), "md5": "00"}, "size": 12, "upload-time": "2026-01-02T03:04:05.5Z",
                "yanked": "broken", "provenance": "https://pypi.example/integrity", "requires-python": null,
                "core-metadata": false}]
        }));
        assert!(index.is_of("Foo.Bar") && !index.is_of("foo"));
        assert_eq!(
            (index.api_version.as_str(), index.status.as_deref()),
            ("1.4", Some("archived"))
        );
        assert_eq!(index.versions, ["1.0"]);
        let [file] = index.files.as_slice() else {
            panic!("one file")
        };
        assert_eq!(file.path.as_deref(), Some("/packages/a%20b/f.whl"));
        assert_eq!(file.sha256, Digest::new(DigestAlgorithm::Sha256, [0xab; 32]).ok());
        assert_eq!(
            (file.size, file.yanked.clone()),
            (Some(12), Some(Some("broken".to_owned())))
        );
        assert_eq!(file.uploaded_at, "2026-01-02T03:04:05.5Z".parse().ok());
        assert_eq!(file.provenance, ProvenanceLink::Announced);
        assert!(file.distribution.as_ref().unwrap().is_of("1.0.0"));
    }

    #[test]
    fn an_index_that_says_little_is_read_as_far_as_it_goes() {
        let index = index(&json!({"name": "foo-bar", "files": [file("foo_bar-1.0.tar.gz")]}));
        assert_eq!((index.api_version.as_str(), index.status.as_deref()), ("1.0", None));
        let file = index.files.first().unwrap();
        assert_eq!((file.size, file.uploaded_at, file.sha256.clone()), (None, None, None));
        assert_eq!((file.yanked.clone(), file.provenance), (None, ProvenanceLink::Unsaid));
    }

    #[test]
    fn what_is_no_index_is_not_read() {
        for text in [
            "",
            "<html></html>",
            "{}",
            r#"{"name":"a"}"#,
            r#"{"meta":{"api-version":"2.0"},"name":"a","files":[]}"#,
            r#"{"meta":{"api-version":"10.0"},"name":"a","files":[]}"#,
            r#"{"meta":{},"name":"a","files":[]}"#,
            r#"{"name":1,"files":[]}"#,
            r#"{"name":"a","files":{}}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_hides_no_other() {
        let index = of_files(&json!([1, {"filename": "foo_bar-1.0.tar.gz"}, file("foo_bar-1.0.zip")]));
        assert_eq!(index.files.len(), 1);
    }

    #[test]
    fn provenance_that_is_not_mentioned_is_told_from_provenance_that_is_not_there() {
        for (value, expected) in [
            (json!(null), ProvenanceLink::None),
            (json!("https://pypi.example/x"), ProvenanceLink::Announced),
            (json!(false), ProvenanceLink::Unsaid),
            (json!(7), ProvenanceLink::Unsaid),
        ] {
            let index = of_files(&json!([with("foo_bar-1.0.tar.gz", "provenance", value)]));
            assert_eq!(index.files.first().unwrap().provenance, expected);
        }
    }

    #[test]
    fn a_file_is_yanked_with_or_without_a_reason() {
        for (value, expected) in [
            (json!(false), None),
            (json!(null), None),
            (json!(""), None),
            (json!(true), Some(None)),
            (json!("bad"), Some(Some("bad".to_owned()))),
        ] {
            let index = of_files(&json!([with("foo_bar-1.0.tar.gz", "yanked", value)]));
            assert_eq!(index.files.first().unwrap().yanked, expected);
        }
    }

    #[test]
    fn only_the_path_of_an_address_is_kept() {
        for (url, expected) in [
            (
                "https://evil.example/packages/f.whl?x=1#sha256=0",
                Some("/packages/f.whl"),
            ),
            ("../../packages/f.whl", Some("/packages/f.whl")),
            ("f.whl", Some("/simple/foo-bar/f.whl")),
            ("//evil.example/../../etc", Some("/etc")),
            ("data:text/plain,x", None),
            ("file:///etc/passwd", None),
            ("https://", None),
        ] {
            let index = of_files(&json!([with("foo_bar-1.0.tar.gz", "url", json!(url))]));
            assert_eq!(index.files.first().unwrap().path.as_deref(), expected, "{url}");
        }
    }
}
