//! The keys and authorities of one supply chain.

use crate::{
    certificate::{CertificateAuthority, CtLog, Names},
    keys::{P256Key, npm_key_id},
    log::{RekorV1, RekorV2},
    timestamp::TimestampAuthority,
};
use jiff::Timestamp;
use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

/// A key of the npm registry with its validity.
pub struct RegistryKey {
    key: P256Key,
    key_id: String,
    /// From when it signs version metadata.
    pub signatures_from: Timestamp,
    /// From when it signs publish attestations.
    pub attestations_from: Timestamp,
    /// When it ceased to be valid.
    pub until: Option<Timestamp>,
}

impl RegistryKey {
    fn generate(signatures_from: &str, attestations_from: &str, until: Option<&str>) -> Self {
        let key = P256Key::generate();
        Self {
            key_id: npm_key_id(key.spki()),
            key,
            signatures_from: crate::moment(signatures_from),
            attestations_from: crate::moment(attestations_from),
            until: until.map(crate::moment),
        }
    }

    /// `SHA256:` and the unpadded base64 digest of the key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key pair.
    pub fn key(&self) -> &P256Key {
        &self.key
    }
}

/// A certificate authority with the timestamp authority that goes with it.
pub struct Instance {
    /// Issues signing certificates.
    pub certificate_authority: CertificateAuthority,
    /// Stamps signatures with the time.
    pub timestamp_authority: TimestampAuthority,
}

impl Instance {
    /// GitHub's own instance of Sigstore, which logs nothing.
    fn of_github() -> Self {
        let named = |issuing| Names {
            organization: "GitHub, Inc.",
            root: "Internal Services Root",
            issuing,
        };
        Self {
            certificate_authority: CertificateAuthority::generate(named("Fulcio Intermediate l2")),
            timestamp_authority: TimestampAuthority::generate(named("TSA Timestamping")),
        }
    }
}

/// All parties of one world.
pub struct Authorities {
    /// Issues signing certificates.
    pub certificate_authority: CertificateAuthority,
    /// Records them.
    pub ct_log: CtLog,
    /// The first-generation signature log.
    pub rekor_v1: RekorV1,
    /// The second-generation signature log.
    pub rekor_v2: RekorV2,
    /// Stamps signatures with the time.
    pub timestamp_authority: TimestampAuthority,
    /// GitHub's own instance, for private repositories and for releases.
    pub github: Instance,
    /// The registry's key until 2025.
    pub expired_registry_key: RegistryKey,
    /// The registry's key since 2025.
    pub current_registry_key: RegistryKey,
}

/// One supply chain: every authority with its keys, generated in memory. Clones are the same world.
///
/// Two worlds have the same names and different keys, so what one of them made is a forgery in the other.
#[derive(Clone)]
pub struct World(Arc<Authorities>);

impl World {
    /// A world with fresh keys.
    pub fn generate() -> Self {
        let named = |root, issuing| Names {
            organization: "testbed.example",
            root,
            issuing,
        };
        Self(Arc::new(Authorities {
            certificate_authority: CertificateAuthority::generate(named("testbed", "testbed-intermediate")),
            ct_log: CtLog::generate(),
            rekor_v1: RekorV1::generate("rekor.testbed.example", "4207869677906125913"),
            rekor_v2: RekorV2::generate("log2026-1.rekor.testbed.example"),
            timestamp_authority: TimestampAuthority::generate(named("testbed-tsa-root", "testbed-tsa")),
            github: Instance::of_github(),
            expired_registry_key: RegistryKey::generate(
                "1999-01-01T00:00:00Z",
                "2022-12-01T00:00:00Z",
                Some("2025-01-29T00:00:00Z"),
            ),
            current_registry_key: RegistryKey::generate("2025-01-13T00:00:00Z", "2025-01-13T00:00:00Z", None),
        }))
    }

    /// The world that scenarios share unless they bring their own: its keys are generated once in a process.
    pub fn shared() -> Self {
        static SHARED: OnceLock<World> = OnceLock::new();
        SHARED.get_or_init(Self::generate).clone()
    }

    /// A second shared world, whose material nobody in the first one trusts.
    pub fn foreign() -> Self {
        static FOREIGN: OnceLock<World> = OnceLock::new();
        FOREIGN.get_or_init(Self::generate).clone()
    }

    /// The registry key that was in use at `at`.
    pub fn registry_key_at(&self, at: Timestamp) -> &RegistryKey {
        if at < self.current_registry_key.signatures_from {
            &self.expired_registry_key
        } else {
            &self.current_registry_key
        }
    }
}

impl Deref for World {
    type Target = Authorities;

    fn deref(&self) -> &Authorities {
        &self.0
    }
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("World")
            .field(&self.current_registry_key.key_id)
            .finish()
    }
}
