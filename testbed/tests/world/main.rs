//! What the generated supply chain is worth: an independent verifier accepts what is honest, and refuses what is bent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod bundles;
mod demonstration;
mod feed;
mod github;
mod homebrew;
mod pypi;
mod pypi_attested;
mod registry;
mod serving;
mod speed;
mod stored;
mod waves;

use serde_json::Value;
use sigstore::{
    PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier,
    trust_root::TrustedRoot,
    types::{Artifact, Bundle, DerPublicKey},
};
use testbed::{Published, Release, World};

/// A verifier that trusts the authorities of `world`.
fn verifier(world: &World) -> Verifier {
    Verifier::new(&TrustedRoot::from_json(&world.trusted_root_json()).unwrap()).unwrap()
}

/// The bundle of the provenance attestation.
fn provenance(release: &Published) -> &Value {
    &item(release, false)["bundle"]
}

/// The bundle of the publish attestation.
fn publish(release: &Published) -> &Value {
    &item(release, true)["bundle"]
}

fn item(release: &Published, publish: bool) -> &Value {
    let wanted = |item: &&Value| (item["predicateType"] == testbed::attestation::PUBLISH) == publish;
    release.attestations.iter().find(wanted).unwrap()
}

/// The verifier's opinion on the provenance of `release` in the shared world.
fn check_provenance(release: &Release) -> Result<VerificationResult, String> {
    let published = release.publish(&World::shared());
    let bundle = parse(provenance(&published))?;
    verifier(&World::shared())
        .verify(artifact(&published), &bundle, &VerificationPolicy::any_identity())
        .map_err(|error| error.to_string())
}

/// The verifier's opinion on the publish attestation of `release`, with the key that its hint names.
fn check_publish(release: &Release) -> Result<VerificationResult, String> {
    let world = World::shared();
    let published = release.publish(&world);
    let bundle = publish(&published);
    let hint = &bundle["verificationMaterial"]["publicKey"]["hint"];
    let keys = [&world.current_registry_key, &world.expired_registry_key];
    let key = keys
        .into_iter()
        .find(|key| key.key_id() == hint)
        .ok_or("no key of that id")?;
    let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.key().spki().to_vec()));
    verifier(&world)
        .verify(artifact(&published), &parse(bundle)?, &policy)
        .map_err(|error| error.to_string())
}

fn parse(bundle: &Value) -> Result<Bundle, String> {
    Bundle::from_json(&bundle.to_string()).map_err(|error| error.to_string())
}

/// The served tarball, whose digest the verifier compares with the statement's subject.
fn artifact(release: &Published) -> Artifact<'_> {
    Artifact::from(&release.tarball)
}
