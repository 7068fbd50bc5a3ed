//! An attestation as PEP 740 writes it, as the Sigstore bundle that it is in other clothes: everything that is signed or
//! logged is handed on as the very text that was served.

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::provenance::PUBLISH;
use crate::attestation::UnverifiedAttestation;

/// The bundle format whose members PEP 740 took over.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// PEP 740 does not say the payload type, and all attestations are signed with this one.
const IN_TOTO: &str = "application/vnd.in-toto+json";

#[derive(Deserialize)]
struct WireAttestation<'a> {
    #[serde(borrow, default)]
    verification_material: Option<WireMaterial<'a>>,
    #[serde(borrow, default)]
    envelope: Option<WireEnvelope<'a>>,
}

#[derive(Deserialize)]
struct WireMaterial<'a> {
    #[serde(borrow, default)]
    certificate: Option<&'a RawValue>,
    #[serde(borrow, default)]
    transparency_entries: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireEnvelope<'a> {
    #[serde(borrow, default)]
    statement: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_material: Option<Material<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<Envelope<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Material<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlog_entries: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Certificate<'a> {
    raw_bytes: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    payload_type: &'static str,
    signatures: [Signature<'a>; 1],
}

#[derive(Serialize)]
struct Signature<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<&'a RawValue>,
}

/// One attestation as a Sigstore bundle.
///
/// What is missing in an attestation is missing in the bundle, so that it is refused as what it is: a bundle of a known
/// format that does not parse. An attestation of another version stays as it is, which is a bundle of no known format.
pub(super) fn attestation(served: &RawValue) -> UnverifiedAttestation {
    let label = predicate_type(served).unwrap_or_else(|| PUBLISH.to_owned());
    let bundle = if of_known_version(served) {
        // A text that is no object is an attestation without any of its parts.
        let wire: WireAttestation<'_> = serde_json::from_str(served.get()).unwrap_or(WireAttestation {
            verification_material: None,
            envelope: None,
        });
        serde_json::value::to_raw_value(&bundle(&wire)).ok()
    } else {
        None
    };
    UnverifiedAttestation::new(label, bundle.unwrap_or_else(|| served.to_owned()))
}

fn of_known_version(served: &RawValue) -> bool {
    match serde_json::from_str::<Value>(served.get()) {
        Ok(value) => value.get("version").is_none_or(|version| version.as_u64() == Some(1)),
        Err(_) => true,
    }
}

fn bundle<'a>(wire: &WireAttestation<'a>) -> Bundle<'a> {
    Bundle {
        media_type: BUNDLE,
        verification_material: wire.verification_material.as_ref().map(|material| Material {
            certificate: material.certificate.map(|raw_bytes| Certificate { raw_bytes }),
            tlog_entries: material.transparency_entries,
        }),
        dsse_envelope: wire.envelope.as_ref().map(|envelope| Envelope {
            payload: envelope.statement,
            payload_type: IN_TOTO,
            signatures: [Signature {
                sig: envelope.signature,
            }],
        }),
    }
}

/// The predicate type that the statement inside gives itself, to label it by.
fn predicate_type(served: &RawValue) -> Option<String> {
    let value: Value = serde_json::from_str(served.get()).ok()?;
    let payload = base64::engine::general_purpose::STANDARD
        .decode(value.pointer("/envelope/statement")?.as_str()?)
        .ok()?;
    let statement: Value = serde_json::from_slice(&payload).ok()?;
    statement.get("predicateType")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_has_the_served_texts_in_their_places() {
        let text = r#"{"version":1,"verification_material":{"certificate":"Y2VydA==","transparency_entries":[{"a": 1.50}]},
            "envelope":{"statement":"e30=","signature":"c2ln"}}"#;
        let wire: WireAttestation<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::to_string(&bundle(&wire)).unwrap(),
            r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"certificate":{"rawBytes":"Y2VydA=="},"tlogEntries":[{"a": 1.50}]},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"c2ln"}]}}"#
        );
    }
}
