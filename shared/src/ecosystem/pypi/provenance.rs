//! The provenance of a file, as PyPI's integrity API serves it: attestations, grouped by who published (PEP 740,
//! <https://docs.pypi.org/api/integrity/>).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::bundle::attestation;
use super::version::normalize;
use crate::attestation::{DeclaredPublisher, UnverifiedAttestation};

/// The media type to ask for.
pub const MEDIA_TYPE: &str = "application/vnd.pypi.integrity.v1+json";

/// The predicate type of the attestation that a trusted publisher makes of a file by uploading it
/// (<https://docs.pypi.org/attestations/publish/v1/>). Its predicate is empty: that it was signed is all that it says.
pub const PUBLISH: &str = "https://docs.pypi.org/attestations/publish/v1";

/// The most attestations that are evaluated of one file. Real files have one or two.
const LIMIT: usize = 64;

/// What stays as it is in a segment of a path (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the provenance of a file is, on PyPI and whoever does as it does. The version must be spelled as the index spells
/// it.
pub fn path(project: &str, version: &str, filename: &str) -> String {
    let encode = |text| utf8_percent_encode(text, SEGMENT);
    let project = normalize(project);
    format!(
        "/integrity/{}/{}/{}/provenance",
        encode(&project),
        encode(version),
        encode(filename)
    )
}

/// What a provenance object holds. These never merge: that nothing is attested, that an object holds nothing where there
/// should be something, and that it says nothing that can be read are different things. Whether there is an object at all
/// is told by the status of the answer: 404 if there is none, 403 while PyPI serves none of anybody.
#[derive(Clone, Debug)]
pub enum Provenance {
    /// At least one attestation; some may be malformed, each by itself.
    Listed(Vec<UnverifiedAttestation>),
    /// No publisher, where PEP 740 demands one.
    NoBundles,
    /// Publishers, and no attestation of any.
    NoAttestations,
    /// An object of another version than 1.
    Unsupported(u64),
    /// No object of that shape, with what is wrong.
    Malformed(String),
}

#[derive(Deserialize)]
struct Head {
    #[serde(default = "first_version")]
    version: u64,
}

/// `pypi-attestations` takes an object that does not say its version for one of the first.
fn first_version() -> u64 {
    1
}

#[derive(Deserialize)]
struct Wire {
    attestation_bundles: Vec<WireBundle>,
}

#[derive(Deserialize)]
struct WireBundle {
    #[serde(default)]
    publisher: Value,
    attestations: Vec<Box<RawValue>>,
}

/// Reads a provenance object.
pub fn parse(bytes: &[u8]) -> Provenance {
    let malformed = |source: serde_json::Error| Provenance::Malformed(source.to_string());
    match serde_json::from_slice::<Head>(bytes) {
        Ok(Head { version: 1 }) => {}
        Ok(Head { version }) => return Provenance::Unsupported(version),
        Err(source) => return malformed(source),
    }
    let wire: Wire = match serde_json::from_slice(bytes) {
        Ok(wire) => wire,
        Err(source) => return malformed(source),
    };
    if wire.attestation_bundles.is_empty() {
        return Provenance::NoBundles;
    }
    let count: usize = wire
        .attestation_bundles
        .iter()
        .map(|bundle| bundle.attestations.len())
        .sum();
    if count > LIMIT {
        return Provenance::Malformed(format!("it holds {count} attestations, and at most {LIMIT} are read"));
    }
    let listed: Vec<UnverifiedAttestation> = wire
        .attestation_bundles
        .iter()
        .flat_map(|bundle| {
            let publisher = publisher(&bundle.publisher);
            let served = bundle.attestations.iter();
            served.map(move |served| attestation(served).published_by(publisher.clone()))
        })
        .collect();
    if listed.is_empty() {
        Provenance::NoAttestations
    } else {
        Provenance::Listed(listed)
    }
}

/// Reads a publisher. Kinds and members that are not known are no error.
fn publisher(value: &Value) -> DeclaredPublisher {
    let member = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = |name: &str| member(name).map(str::to_owned);
    let kind = text("kind").unwrap_or_default();
    let read = match kind.as_str() {
        "GitHub" => text("repository")
            .zip(text("workflow"))
            .map(|(repository, workflow)| DeclaredPublisher::GitHub {
                repository,
                workflow,
                environment: text("environment"),
            }),
        "GitLab" => text("repository")
            .zip(text("workflow_filepath"))
            .map(|(repository, workflow_file)| DeclaredPublisher::GitLab {
                repository,
                workflow_file,
                environment: text("environment"),
            }),
        "Google" => text("email").map(|email| DeclaredPublisher::Google { email }),
        _ => None,
    };
    read.unwrap_or(DeclaredPublisher::Other { kind })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;

    fn statement(predicate_type: &str) -> String {
        let statement = json!({"predicateType": predicate_type});
        base64::engine::general_purpose::STANDARD.encode(statement.to_string())
    }

    fn served(predicate_type: &str) -> Value {
        json!({"version": 1, "envelope": {"statement": statement(predicate_type), "signature": "c2ln"},
            "verification_material": {"certificate": "Y2VydA==", "transparency_entries": [{"logIndex": "1"}]}})
    }

    fn other(kind: &str) -> DeclaredPublisher {
        DeclaredPublisher::Other { kind: kind.to_owned() }
    }

    fn github() -> Value {
        json!({"kind": "GitHub", "repository": "o/r", "workflow": "release.yml", "environment": ""})
    }

    fn provenance(bundles: &Value) -> Provenance {
        parse(
            json!({"version": 1, "attestation_bundles": bundles})
                .to_string()
                .as_bytes(),
        )
    }

    fn listed(bundles: &Value) -> Vec<UnverifiedAttestation> {
        match provenance(bundles) {
            Provenance::Listed(listed) => listed,
            other @ (Provenance::NoBundles
            | Provenance::NoAttestations
            | Provenance::Unsupported(_)
            | Provenance::Malformed(_)) => panic!("{other:?}"),
        }
    }

    fn labels(bundles: &Value) -> Vec<String> {
        let listed = listed(bundles).into_iter();
        listed.filter_map(|item| item.declared_predicate_type).collect()
    }

    #[test]
    fn a_file_has_its_provenance_under_its_name() {
        assert_eq!(
            path("Foo.Bar", "1!1.0+a", "foo_bar-1!1.0+a-py3-none-any.whl"),
            "/integrity/foo-bar/1%211.0%2Ba/foo_bar-1%211.0%2Ba-py3-none-any.whl/provenance"
        );
        assert_eq!(path("a", "1", "../b/c?d"), "/integrity/a/1/..%2Fb%2Fc%3Fd/provenance");
    }

    #[test]
    fn every_attestation_is_listed_with_its_publisher_and_the_label_that_it_gives_itself() {
        let gitlab = json!({"kind": "GitLab", "repository": "g/s/p", "workflow_filepath": "ci.yml",
            "environment": "production", "claims": {"x": 1}});
        let bundles = json!([
            {"publisher": github(), "attestations": [served(PUBLISH), served("https://slsa.dev/provenance/v1")]},
            {"publisher": gitlab, "attestations": [served("urn:other")]}
        ]);
        assert_eq!(
            labels(&bundles),
            [PUBLISH, "https://slsa.dev/provenance/v1", "urn:other"]
        );
        let publishers: Vec<DeclaredPublisher> = listed(&bundles)
            .into_iter()
            .filter_map(|item| item.declared_publisher)
            .collect();
        let github = DeclaredPublisher::GitHub {
            repository: "o/r".to_owned(),
            workflow: "release.yml".to_owned(),
            environment: None,
        };
        let gitlab = DeclaredPublisher::GitLab {
            repository: "g/s/p".to_owned(),
            workflow_file: "ci.yml".to_owned(),
            environment: Some("production".to_owned()),
        };
        assert_eq!(publishers, [github.clone(), github, gitlab]);
    }

    #[test]
    fn a_publisher_of_any_kind_is_taken() {
        for (value, expected) in [
            (
                json!({"kind": "Google", "email": "a@b", "sub": "1"}),
                DeclaredPublisher::Google {
                    email: "a@b".to_owned(),
                },
            ),
            (json!({"kind": "CircleCI", "project_id": "1"}), other("CircleCI")),
            (json!({"kind": "GitHub", "repository": "o/r"}), other("GitHub")),
            (json!({"kind": 7}), other("")),
            (json!(null), other("")),
            (json!([]), other("")),
        ] {
            assert_eq!(publisher(&value), expected);
        }
    }

    #[test]
    fn an_empty_object_is_told_from_empty_bundles_and_from_no_object() {
        assert!(matches!(provenance(&json!([])), Provenance::NoBundles));
        let empty = json!({"publisher": github(), "attestations": []});
        assert!(matches!(provenance(&json!([empty, empty])), Provenance::NoAttestations));
        for text in [
            "",
            "<html></html>",
            "[]",
            "{}",
            r#"{"message":"No provenance available"}"#,
            r#"{"version":1,"attestation_bundles":null}"#,
            r#"{"version":1,"attestation_bundles":{}}"#,
            r#"{"version":1,"attestation_bundles":[{}]}"#,
            r#"{"version":1,"attestation_bundles":[{"attestations":7}]}"#,
            r#"{"version":"1","attestation_bundles":[]}"#,
        ] {
            assert!(matches!(parse(text.as_bytes()), Provenance::Malformed(_)), "{text}");
        }
    }

    #[test]
    fn an_object_of_another_version_is_not_supported() {
        let text = br#"{"version":2,"attestation_bundles":"of another shape"}"#;
        assert!(matches!(parse(text), Provenance::Unsupported(2)));
        let silent = json!({"attestation_bundles": [{"attestations": [served(PUBLISH)]}]});
        assert!(matches!(parse(silent.to_string().as_bytes()), Provenance::Listed(_)));
    }

    #[test]
    fn a_malformed_attestation_hides_none_beside_it() {
        let mut draft = served(PUBLISH);
        draft.as_object_mut().unwrap().remove("envelope");
        let bundles = json!([{"publisher": github(), "attestations": [7, draft, served("urn:other"), null]}]);
        assert_eq!(labels(&bundles), [PUBLISH, PUBLISH, "urn:other", PUBLISH]);
    }

    #[test]
    fn more_attestations_than_are_evaluated_are_none() {
        let of = |count: usize| {
            let half = vec![served(PUBLISH); count / 2];
            provenance(&json!([{"attestations": half}, {"attestations": vec![served(PUBLISH); count - count / 2]}]))
        };
        assert!(matches!(of(LIMIT), Provenance::Listed(listed) if listed.len() == LIMIT));
        assert!(matches!(of(LIMIT + 1), Provenance::Malformed(_)));
    }
}
