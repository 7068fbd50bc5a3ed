//! What a verifier has to trust in order to live in a world.

use crate::{World, certificate::Names, encoding::base64, world::RegistryKey};
use serde_json::{Value, json};
use std::{io, path::Path};

/// The media type of trusted roots.
const TRUSTED_ROOT: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
/// The start of validity of what exists since 2021, of GitHub's instance, and of what came in 2025.
const SINCE_2021: &str = "2021-01-12T00:00:00Z";
const SINCE_2023: &str = "2023-10-27T16:30:00Z";
const SINCE_2025: &str = "2025-07-04T00:00:00Z";

impl World {
    /// The trusted root, `application/vnd.dev.sigstore.trustedroot+json;version=0.1`.
    pub fn trusted_root(&self) -> Value {
        json!({
            "mediaType": TRUSTED_ROOT,
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
            "certificateAuthorities": [authority(
                self.certificate_authority.names(),
                "https://fulcio.testbed.example",
                &self.certificate_authority.chain(),
                SINCE_2021,
            )],
            "ctlogs": [log(
                "https://ctfe.testbed.example/2021",
                self.ct_log.spki(),
                "PKIX_ECDSA_P256_SHA_256",
                SINCE_2021,
                self.ct_log.log_id(),
            )],
            "timestampAuthorities": [authority(
                self.timestamp_authority.names(),
                "https://timestamp.testbed.example/api/v1/timestamp",
                &self.timestamp_authority.chain(),
                SINCE_2025,
            )],
        })
    }

    /// The trusted root of GitHub's own instance: authorities and no logs.
    pub fn github_trusted_root(&self) -> Value {
        json!({
            "mediaType": TRUSTED_ROOT,
            "certificateAuthorities": [authority(
                self.github.certificate_authority.names(),
                "fulcio.githubapp.com",
                &self.github.certificate_authority.chain(),
                SINCE_2023,
            )],
            "timestampAuthorities": [authority(
                self.github.timestamp_authority.names(),
                "timestamp.githubapp.com",
                &self.github.timestamp_authority.chain(),
                SINCE_2023,
            )],
        })
    }

    /// [`World::github_trusted_root`] as text.
    pub fn github_trusted_root_json(&self) -> String {
        self.github_trusted_root().to_string()
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

    /// Writes `trusted_root.json`, `trusted_root.github.json` and `npm-keys.json` into the folder `directory`, which must exist.
    pub fn write_trust(&self, directory: &Path) -> io::Result<()> {
        std::fs::write(directory.join("trusted_root.json"), self.trusted_root_json())?;
        std::fs::write(
            directory.join("trusted_root.github.json"),
            self.github_trusted_root_json(),
        )?;
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

fn authority(names: Names, uri: &str, certificates: &[&[u8]], start: &str) -> Value {
    json!({
        "subject": {"organization": names.organization, "commonName": names.root},
        "uri": uri,
        "certChain": chain(certificates),
        "validFor": {"start": start},
    })
}

fn chain(certificates: &[&[u8]]) -> Value {
    let certificates: Vec<_> = certificates
        .iter()
        .map(|der| json!({"rawBytes": base64(der)}))
        .collect();
    json!({"certificates": certificates})
}
