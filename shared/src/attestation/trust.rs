//! Trust material: the authorities, logs and keys that a verdict rests on.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sigstore::Verifier;
use sigstore::trust_root::TrustedRoot;
use thiserror::Error;

use crate::package::Digest;
use crate::verdict::TrustIdentity;

/// npm's keys as of 2025-01-13, in the shape of the Sigstore TUF target that carries them.
const EMBEDDED_NPM_KEYS: &str = include_str!("npm_keys.json");

/// For how long material that TUF delivered counts as current. The delegation that carries npm's keys is short-lived and
/// TUF's timestamp lasts seven days.
const CURRENT_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);

/// Where trust material came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum TrustOrigin {
    /// Built into the program, and not refreshed since.
    Embedded,
    /// Files that the operator named.
    Files,
    /// Delivered by TUF.
    #[serde(rename_all = "camelCase")]
    Tuf {
        /// When the repository was last asked with success.
        refreshed_at: Timestamp,
    },
}

impl fmt::Display for TrustOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => formatter.write_str("embedded"),
            Self::Files => formatter.write_str("files"),
            Self::Tuf { refreshed_at } => write!(formatter, "tuf {refreshed_at}"),
        }
    }
}

/// Why trust material cannot be used.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The trusted root does not parse, or holds material that cannot be used.
    #[error("the Sigstore trusted root cannot be used: {0}")]
    TrustedRoot(String),
    /// npm's keys do not parse.
    #[error("npm's keys cannot be used: {0}")]
    NpmKeys(String),
    /// The trusted root of GitHub's own instance cannot be used.
    #[error("the trusted root of GitHub's own instance cannot be used: {0}")]
    GitHubRoot(String),
    /// There is no key of a usage, so nothing of that usage could ever be verified.
    #[error("npm's keys have no key for {0}")]
    NoNpmKey(&'static str),
}

/// What one of npm's keys may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NpmKeyUsage {
    /// `npm:signatures`: registry signatures in `dist.signatures`.
    Signatures,
    /// `npm:attestations`: publish attestations.
    Attestations,
}

/// One of npm's keys for one usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpmKey {
    /// `SHA256:` and the base64 digest of the key.
    pub id: String,
    /// What it may sign.
    pub usage: NpmKeyUsage,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Begin of its validity.
    pub start: Timestamp,
    /// End of its validity, exclusive.
    pub end: Option<Timestamp>,
}

impl NpmKey {
    /// Whether the key was valid at `time`.
    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        self.start <= time && self.end.is_none_or(|end| time < end)
    }

    /// Whether `signature` over `message` is this key's: ECDSA P-256 with SHA-256, as DER or as IEEE P1363.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.spki)
            .verify(message, signature)
            .is_ok()
            || self.verifies_p1363(message, signature)
    }

    /// The same for IEEE P1363 alone: the two numbers of 32 bytes one after the other.
    pub(super) fn verifies_p1363(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == 64
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.spki)
                .verify(message, signature)
                .is_ok()
    }
}

/// The authorities, logs and keys that a verdict rests on, parsed and checked once.
pub struct TrustMaterial {
    pub(super) verifier: Verifier,
    pub(super) github: GitHubInstance,
    log_ids: Vec<Vec<u8>>,
    npm_keys: Vec<NpmKey>,
    origin: TrustOrigin,
    trusted_root_json: String,
    npm_keys_json: String,
    identity: TrustIdentity,
}

/// GitHub's own Sigstore instance.
pub(super) struct GitHubInstance {
    pub(super) verifier: Verifier,
    json: String,
    /// Whether an operator gave its root. Nothing refreshes the one that is built into the program.
    is_given: bool,
}

impl GitHubInstance {
    fn new(json: &str, is_given: bool) -> Result<Self, TrustError> {
        let unusable = |detail: String| TrustError::GitHubRoot(detail);
        let root = TrustedRoot::from_json(json).map_err(|source| unusable(source.to_string()))?;
        if root.certificate_authorities.is_empty() || root.timestamp_authorities.is_empty() {
            return Err(unusable(
                "it lacks certificate authorities or timestamp authorities".to_owned(),
            ));
        }
        Ok(Self {
            verifier: Verifier::new(&root).map_err(|source| unusable(source.to_string()))?,
            json: json.to_owned(),
            is_given,
        })
    }
}

impl fmt::Debug for TrustMaterial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TrustMaterial")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Trust material as it is saved beside a dossier, so that a verdict can be derived again with the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedTrust {
    /// Where it came from.
    pub origin: TrustOrigin,
    /// The trusted root, as text.
    pub trusted_root: String,
    /// npm's keys, as text.
    pub npm_keys: String,
    /// The trusted root of GitHub's own instance, as text; without one, the embedded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_root: Option<String>,
    /// Whether an operator gave that root: the embedded one cannot tell a forgery from a rotation.
    #[serde(default)]
    pub is_github_root_given: bool,
}

impl TrustMaterial {
    /// Parses and checks trust material.
    ///
    /// `trusted_root` is a Sigstore `trusted_root.json`, `npm_keys` npm's `keys.json` in the shape of the TUF target.
    pub fn new(trusted_root: &str, npm_keys: &str, origin: TrustOrigin) -> Result<Self, TrustError> {
        let root =
            TrustedRoot::from_json(trusted_root).map_err(|source| TrustError::TrustedRoot(source.to_string()))?;
        if root.certificate_authorities.is_empty() || root.tlogs.is_empty() || root.ctlogs.is_empty() {
            return Err(TrustError::TrustedRoot(
                "it lacks certificate authorities, transparency logs or certificate transparency logs".to_owned(),
            ));
        }
        let verifier = Verifier::new(&root).map_err(|source| TrustError::TrustedRoot(source.to_string()))?;
        let github = GitHubInstance::new(sigstore::trust_root::SIGSTORE_GITHUB_TRUSTED_ROOT, false)?;
        let identity = TrustIdentity {
            trusted_root: Digest::sha256_of(trusted_root.as_bytes()),
            npm_keys: Digest::sha256_of(npm_keys.as_bytes()),
            github_root: Some(Digest::sha256_of(github.json.as_bytes())),
            origin: origin.to_string(),
        };
        Ok(Self {
            verifier,
            github,
            log_ids: root
                .tlogs
                .iter()
                .map(|log| log.log_id.key_id.as_bytes().to_vec())
                .collect(),
            npm_keys: parse_npm_keys(npm_keys)?,
            origin,
            trusted_root_json: trusted_root.to_owned(),
            npm_keys_json: npm_keys.to_owned(),
            identity,
        })
    }

    /// The material built into the program: the public-good instance of Sigstore, and npm's public registry.
    pub fn embedded() -> Result<Self, TrustError> {
        let (trusted_root, npm_keys) = Self::embedded_json();
        Self::new(trusted_root, npm_keys, TrustOrigin::Embedded)
    }

    /// The same with another trusted root for GitHub's own instance than the one built into the program.
    pub fn with_github_root(self, json: &str) -> Result<Self, TrustError> {
        Ok(self.with_github(GitHubInstance::new(json, true)?))
    }

    fn with_github(self, github: GitHubInstance) -> Self {
        let identity = TrustIdentity {
            github_root: Some(Digest::sha256_of(github.json.as_bytes())),
            ..self.identity
        };
        Self {
            github,
            identity,
            ..self
        }
    }

    /// The texts of the embedded trusted root and npm keys, for operators who replace one of them.
    pub fn embedded_json() -> (&'static str, &'static str) {
        (
            sigstore::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT,
            EMBEDDED_NPM_KEYS,
        )
    }

    /// The material that was saved beside a dossier.
    pub fn from_saved(saved: &SavedTrust) -> Result<Self, TrustError> {
        let material = Self::new(&saved.trusted_root, &saved.npm_keys, saved.origin)?;
        match &saved.github_root {
            Some(root) => {
                let github = GitHubInstance::new(root, saved.is_github_root_given)?;
                Ok(material.with_github(github))
            }
            None => Ok(material),
        }
    }

    /// The material in the form that is saved beside a dossier.
    pub fn to_saved(&self) -> SavedTrust {
        SavedTrust {
            origin: self.origin,
            trusted_root: self.trusted_root_json.clone(),
            npm_keys: self.npm_keys_json.clone(),
            github_root: Some(self.github.json.clone()),
            is_github_root_given: self.github.is_given,
        }
    }

    /// Which material this is.
    pub fn identity(&self) -> &TrustIdentity {
        &self.identity
    }

    /// Where it came from.
    pub fn origin(&self) -> TrustOrigin {
        self.origin
    }

    /// Whether an authority or log that this material does not know is to be taken for a foreign one. Material that may be
    /// out of date cannot tell a forgery from a rotation.
    pub fn is_current(&self, now: Timestamp) -> bool {
        match self.origin {
            TrustOrigin::Embedded => false,
            TrustOrigin::Files => true,
            TrustOrigin::Tuf { refreshed_at } => now.duration_since(refreshed_at) <= CURRENT_FOR,
        }
    }

    /// The same for GitHub's own instance, whose root nothing refreshes: only one that an operator gives is current.
    pub(super) fn is_github_current(&self) -> bool {
        self.github.is_given
    }

    /// Whether a transparency log of this id is in the trusted root.
    pub(super) fn has_log(&self, id: &[u8]) -> bool {
        self.log_ids.iter().any(|known| known == id)
    }

    /// npm's keys with this id for this usage. An id may stand for several windows of one key.
    pub fn npm_keys(&self, id: &str, usage: NpmKeyUsage) -> impl Iterator<Item = &NpmKey> {
        self.npm_keys
            .iter()
            .filter(move |key| key.id == id && key.usage == usage)
    }
}

#[derive(Deserialize)]
struct KeysWire {
    keys: Vec<KeyWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyWire {
    key_id: String,
    key_usage: String,
    public_key: PublicKeyWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyWire {
    raw_bytes: String,
    key_details: String,
    valid_for: ValidForWire,
}

#[derive(Deserialize)]
struct ValidForWire {
    start: Timestamp,
    end: Option<Timestamp>,
}

fn parse_npm_keys(text: &str) -> Result<Vec<NpmKey>, TrustError> {
    let wire: KeysWire = serde_json::from_str(text).map_err(|source| {
        TrustError::NpmKeys(format!(
            "{source}; expected the shape of the Sigstore TUF target, {{\"keys\":[{{\"keyId\",\"keyUsage\",\"publicKey\"}}]}}"
        ))
    })?;
    let mut keys = Vec::new();
    for key in wire.keys {
        // A usage or an algorithm of the future concerns nothing that this version verifies.
        let usage = match key.key_usage.as_str() {
            "npm:signatures" => NpmKeyUsage::Signatures,
            "npm:attestations" => NpmKeyUsage::Attestations,
            _ => continue,
        };
        if key.public_key.key_details != "PKIX_ECDSA_P256_SHA_256" {
            continue;
        }
        let spki = base64::engine::general_purpose::STANDARD
            .decode(&key.public_key.raw_bytes)
            .map_err(|source| TrustError::NpmKeys(format!("key {}: {source}", key.key_id)))?;
        keys.push(NpmKey {
            id: key.key_id,
            usage,
            spki,
            start: key.public_key.valid_for.start,
            end: key.public_key.valid_for.end,
        });
    }
    for (usage, name) in [
        (NpmKeyUsage::Signatures, "npm:signatures"),
        (NpmKeyUsage::Attestations, "npm:attestations"),
    ] {
        if !keys.iter().any(|key| key.usage == usage) {
            return Err(TrustError::NoNpmKey(name));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_material_is_usable_and_not_current() {
        let trust = TrustMaterial::embedded().unwrap();
        assert!(!trust.is_current(Timestamp::MIN));
        let old = "SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA";
        assert_eq!(trust.npm_keys(old, NpmKeyUsage::Attestations).count(), 1);
    }

    #[test]
    fn saved_material_names_the_root_of_githubs_instance_and_whose_it_is() {
        let embedded = TrustMaterial::embedded().unwrap();
        let given = TrustMaterial::embedded()
            .unwrap()
            .with_github_root(sigstore::trust_root::SIGSTORE_GITHUB_TRUSTED_ROOT)
            .unwrap();
        for (material, is_given) in [(embedded, false), (given, true)] {
            let saved = material.to_saved();
            assert!(saved.github_root.is_some());
            let again = TrustMaterial::from_saved(&saved).unwrap();
            assert_eq!(again.is_github_current(), is_given);
            assert_eq!(again.identity(), material.identity());
            assert_eq!(again.to_saved(), saved);
        }
    }

    #[test]
    fn a_key_is_not_valid_at_the_end_of_its_window() {
        let keys = parse_npm_keys(EMBEDDED_NPM_KEYS).unwrap();
        let ended = keys.iter().find(|key| key.end.is_some()).unwrap();
        let end = ended.end.unwrap();
        assert!(!ended.is_valid_at(end));
        assert!(ended.is_valid_at(end - jiff::SignedDuration::from_secs(1)));
        assert!(!ended.is_valid_at(ended.start - jiff::SignedDuration::from_secs(1)));
    }

    #[test]
    fn keys_in_the_registrys_own_shape_are_refused_with_what_is_expected() {
        let text = r#"{"keys":[{"keyid":"SHA256:x","key":"AA==","expires":null}]}"#;
        assert!(matches!(parse_npm_keys(text), Err(TrustError::NpmKeys(detail)) if detail.contains("TUF target")));
    }

    #[test]
    fn keys_without_one_for_attestations_are_refused() {
        assert!(matches!(
            parse_npm_keys(r#"{"keys":[]}"#),
            Err(TrustError::NoNpmKey("npm:signatures"))
        ));
    }

    #[test]
    fn a_trusted_root_without_authorities_is_refused() {
        let root = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
        assert!(matches!(
            TrustMaterial::new(root, EMBEDDED_NPM_KEYS, TrustOrigin::Files),
            Err(TrustError::TrustedRoot(_))
        ));
    }
}
