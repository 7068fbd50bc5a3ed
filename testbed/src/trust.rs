//! What a verifier has to trust in order to live in a world.

use crate::{
    World, certificate::CertificateAuthority, encoding::base64, timestamp::TimestampAuthority, world::RegistryKey,
};
use serde_json::{Value, json};
use std::{io, path::Path};

/// The start of validity of what exists since 2021, and of what came in 2025.
const SINCE_2021: &str = "2021-01-12T00:00:00Z";
const SINCE_2025: &str = "2025-07-04T00:00:00Z";

impl World {
    /// The trusted root, `application/vnd.dev.sigstore.trustedroot+json;version=0.1`.
    pub fn trusted_root(&self) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(
                    &format!("https://{}", self.rekor_v1.host()),
                    self.rekor_v1.spki(),
                    "PKIX_ECDSA_P256_SHA_256",
                    SINCE_2021,
                    self.rekor_v1.log_id(),
                ),
                log(
                    &format!("https://{}", self.rekor_v2.origin()),
                    self.rekor_v2.spki(),
                    "PKIX_ED25519",
                    SINCE_2025,
                    self.rekor_v2.log_id(),
                ),
            ],
            "certificateAuthorities": [{
                "subject": {
                    "organization": CertificateAuthority::ORGANIZATION,
                    "commonName": CertificateAuthority::COMMON_NAME,
                },
                "uri": "https://fulcio.testbed.example",
                "certChain": chain(&self.certificate_authority.chain()),
                "validFor": {"start": SINCE_2021},
            }],
            "ctlogs": [log(
                "https://ctfe.testbed.example/2021",
                self.ct_log.spki(),
                "PKIX_ECDSA_P256_SHA_256",
                SINCE_2021,
                self.ct_log.log_id(),
            )],
            "timestampAuthorities": [{
                "subject": {
                    "organization": TimestampAuthority::ORGANIZATION,
                    "commonName": TimestampAuthority::COMMON_NAME,
                },
                "uri": "https://timestamp.testbed.example/api/v1/timestamp",
                "certChain": chain(&self.timestamp_authority.chain()),
                "validFor": {"start": SINCE_2025},
            }],
        })
    }

    /// [`World::trusted_root`] as text.
    pub fn trusted_root_json(&self) -> String {
        self.trusted_root().to_string()
    }

    /// The registry's keys in the shape of the TUF target: one item for each key and usage, with validity.
    pub fn npm_keys(&self) -> Value {
        let keys: Vec<_> = self
            .registry_keys()
            .into_iter()
            .flat_map(|key| {
                [
                    ("npm:signatures", key.signatures_from),
                    ("npm:attestations", key.attestations_from),
                ]
                .map(|(usage, start)| {
                    let valid = match key.until {
                        Some(end) => json!({"start": start.to_string(), "end": end.to_string()}),
                        None => json!({"start": start.to_string()}),
                    };
                    json!({
                        "keyId": key.key_id(),
                        "keyUsage": usage,
                        "publicKey": {
                            "rawBytes": base64(key.key().spki()),
                            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                            "validFor": valid,
                        },
                    })
                })
            })
            .collect();
        json!({"keys": keys})
    }

    /// [`World::npm_keys`] as text.
    pub fn npm_keys_json(&self) -> String {
        self.npm_keys().to_string()
    }

    /// The registry's keys as its own endpoint `/-/npm/v1/keys` gives them: without usage and start.
    pub fn npm_keys_endpoint(&self) -> Value {
        let keys: Vec<_> = self
            .registry_keys()
            .into_iter()
            .map(|key| {
                json!({
                    "expires": key.until.map(|until| until.to_string()),
                    "keyid": key.key_id(),
                    "keytype": "ecdsa-sha2-nistp256",
                    "scheme": "ecdsa-sha2-nistp256",
                    "key": base64(key.key().spki()),
                })
            })
            .collect();
        json!({"keys": keys})
    }

    /// Writes `trusted_root.json` and `npm-keys.json` into the folder `directory`, which must exist.
    pub fn write_trust(&self, directory: &Path) -> io::Result<()> {
        std::fs::write(directory.join("trusted_root.json"), self.trusted_root_json())?;
        std::fs::write(directory.join("npm-keys.json"), self.npm_keys_json())
    }

    fn registry_keys(&self) -> [&RegistryKey; 2] {
        [&self.expired_registry_key, &self.current_registry_key]
    }
}

fn log(base_url: &str, spki: &[u8], key_details: &str, start: &str, log_id: &[u8; 32]) -> Value {
    json!({
        "baseUrl": base_url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": base64(spki), "keyDetails": key_details, "validFor": {"start": start}},
        "logId": {"keyId": base64(log_id)},
    })
}

fn chain(certificates: &[&[u8]]) -> Value {
    let certificates: Vec<_> = certificates
        .iter()
        .map(|der| json!({"rawBytes": base64(der)}))
        .collect();
    json!({"certificates": certificates})
}
