//! Attestations that the generated registry does not make by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testbed::attestation::PUBLISH;
use testbed::{Published, Release, World};

/// The item whose label is npm's publish attestation, or the other one.
pub(crate) fn item(published: &Published, publish: bool) -> Value {
    let wanted = |item: &&Value| (item["predicateType"] == PUBLISH) == publish;
    published.attestations.iter().find(wanted).unwrap().clone()
}

pub(crate) fn provenance_of(release: &Release) -> Value {
    item(&release.publish(&World::shared()), false)
}

pub(crate) fn publish_attestation_of(release: &Release) -> Value {
    item(&release.publish(&World::shared()), true)
}

/// The signed statement of an item.
pub(crate) fn statement_of(item: &Value) -> Value {
    let payload = item["bundle"]["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&STANDARD.decode(payload).unwrap()).unwrap()
}

/// The item with another label, which nobody signs.
pub(crate) fn labelled(mut item: Value, label: &str) -> Value {
    item["predicateType"] = json!(label);
    item
}

/// A provenance that the registry's key signed, where a build's certificate must.
pub(crate) fn provenance_by_the_registry(release: &Release) -> Value {
    let provenance = provenance_of(release);
    let (statement, label) = (statement_of(&provenance), provenance["predicateType"].clone());
    let signed = publish_attestation_of(
        &release
            .clone()
            .publish_statement(move |value| value.clone_from(&statement)),
    );
    labelled(signed, label.as_str().unwrap())
}

/// A publish attestation that a build's certificate signed, where the registry's key must.
pub(crate) fn publish_attestation_by_a_certificate(release: &Release) -> Value {
    let statement = statement_of(&publish_attestation_of(release));
    let published = release
        .clone()
        .statement(move |value| value.clone_from(&statement))
        .without_publish_attestation()
        .publish(&World::shared());
    published.attestations.first().unwrap().clone()
}

/// A publish attestation whose envelope is of another payload type, signed as such by the registry's current key.
pub(crate) fn publish_attestation_of_type(release: &Release, payload_type: &str) -> Value {
    let mut item = publish_attestation_of(release);
    let envelope = &mut item["bundle"]["dsseEnvelope"];
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    let signature = World::shared().current_registry_key.key().sign(&message);
    envelope["payloadType"] = json!(payload_type);
    envelope["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
    item
}

/// Lets the registry serve these bytes as the tarball, declare their digests, and sign them.
pub(crate) fn serving(release: Release, tarball: Vec<u8>) -> Release {
    let integrity = format!(
        "sha512-{}",
        STANDARD.encode(hekate::package::Digest::sha512_of(&tarball).as_bytes())
    );
    let shasum = hekate_tests::fetch::sha1_of(&tarball).to_hex();
    release
        .metadata(move |manifest| {
            let text = format!(
                "{}@{}:{integrity}",
                manifest["name"].as_str().unwrap(),
                manifest["version"].as_str().unwrap()
            );
            let signature = World::shared().current_registry_key.key().sign(text.as_bytes());
            manifest["dist"]["integrity"] = json!(integrity);
            manifest["dist"]["shasum"] = json!(shasum);
            manifest["dist"]["signatures"][0]["sig"] = json!(STANDARD.encode(signature));
        })
        .tarball(move |bytes| bytes.clone_from(&tarball))
}

/// A gzipped tar archive of one file.
pub(crate) fn archive(path: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, content).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}
