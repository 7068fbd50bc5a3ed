//! One item of the registry's list of attestations, and the parties that make it.

use crate::World;
use serde_json::{Value, json};

/// The predicate type of npm's publish attestation.
pub const PUBLISH: &str = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1";

/// Whose authorities take part in making an attestation.
///
/// All of them are of one world unless a forger replaces some: a certificate by a foreign authority, say, in a log that
/// everybody trusts.
#[derive(Debug, Clone)]
pub struct Parties {
    /// Issues the signing certificate.
    pub certificate_authority: World,
    /// Signs the certificate's timestamp.
    pub ct_log: World,
    /// Logs the signature.
    pub log: World,
    /// Stamps the signature.
    pub timestamp_authority: World,
    /// Holds the registry's keys.
    pub registry: World,
}

impl Parties {
    /// Every party of `world`.
    pub fn of(world: &World) -> Self {
        Self {
            certificate_authority: world.clone(),
            ct_log: world.clone(),
            log: world.clone(),
            timestamp_authority: world.clone(),
            registry: world.clone(),
        }
    }
}

/// A bundle with the label that the registry gives it, which nobody signs.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// The label.
    pub predicate_type: String,
    /// The bundle.
    pub bundle: Value,
}

impl Attestation {
    /// The item of the registry's list.
    pub fn into_item(self) -> Value {
        json!({"predicateType": self.predicate_type, "bundle": self.bundle, "signedAccessSignatureUrl": ""})
    }
}
