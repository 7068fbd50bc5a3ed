//! What is signed: a verdict, and the verification summary of it.

use std::sync::Arc;

use serde::Serialize;
use sigstore::types::DsseEnvelope;

use super::{Service, ServiceFault};
use crate::package::Digest;
use crate::ports::{Sign, SignFault, StoreFault};
use crate::summary::{Payload, PublicKey};
use crate::verdict::Verdict;

/// With what a deployment signs, and with what it signed before.
#[derive(Clone, Default)]
pub struct Signing {
    /// Signs; `None`, nothing is signed.
    pub signer: Option<Arc<dyn Sign>>,
    /// Keys that do not sign any more, and stay published.
    pub earlier: Vec<PublicKey>,
}

/// A key as the verifier document lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedKey {
    /// The `keyid` of envelopes: SHA-256 of the key's DER form, in hexadecimal.
    pub key_id: String,
    /// The key, as a PEM file.
    pub public_key: String,
    /// Whether it signs now. One that does not has signed before.
    pub signs: bool,
}

impl PublishedKey {
    fn new(key: &PublicKey, signs: bool) -> Self {
        Self {
            key_id: key.id().to_hex(),
            public_key: key.to_pem(),
            signs,
        }
    }
}

impl Service {
    /// The signed summary of a verdict.
    ///
    /// # Errors
    ///
    /// That there is nothing to sign with, or no summary of such a verdict; that the key or the store is in trouble.
    pub async fn attest(&self, verdict: &Verdict) -> Result<DsseEnvelope, ServiceFault> {
        self.signed(|| Ok(Payload::summary(verdict)?)).await
    }

    /// A verdict, signed, whatever it says: what other verifiers compare with theirs.
    ///
    /// # Errors
    ///
    /// That there is nothing to sign with; that the key or the store is in trouble.
    pub async fn testify(&self, verdict: &Verdict) -> Result<DsseEnvelope, ServiceFault> {
        self.signed(|| Ok(Payload::verdict(verdict))).await
    }

    /// The signed form of what follows from a verdict:
    ///
    /// 1. makes it, if there is anything to sign with;
    /// 2. takes the signature that is kept of it, or signs it and keeps that;
    /// 3. hands out what verifies, and nothing else.
    ///
    /// So it is signed once with a key, and whoever asks again spends a read of the table. Those who ask in the moment
    /// before the first signature is kept may each cause one; the first that is kept is everybody's.
    async fn signed(
        &self,
        payload: impl FnOnce() -> Result<Payload, ServiceFault>,
    ) -> Result<DsseEnvelope, ServiceFault> {
        let signer = self.signing.signer.as_ref().ok_or(ServiceFault::NoKey)?;
        // 1.
        let payload = payload()?;
        let message = payload.message();
        let digest = Digest::sha256_of(&message);
        let key = signer.public_key().await?;
        // 2.
        let kept = self.store.signature(&digest, key.id()).await?;
        let signature = if let Some(signature) = kept {
            signature
        } else {
            let signature = signer.sign(&message).await?;
            // What does not verify would be kept for good.
            if !key.verifies(&message, &signature) {
                return Err(SignFault::Unverified.into());
            }
            self.store.keep_signature(&digest, key.id(), &signature).await?
        };
        // 3.
        if key.verifies(&message, &signature) {
            Ok(payload.into_envelope(signature, &key))
        } else {
            let detail = format!("the signature over {digest} by the key {} does not verify", key.id());
            Err(StoreFault::Corrupt(detail).into())
        }
    }

    /// The keys under which others verify what was signed here, the one that signs now first.
    pub async fn keys(&self) -> Result<Vec<PublishedKey>, ServiceFault> {
        let signs_now = self.signing.signer.is_some();
        let keys = self.own_keys().await?;
        let listed = keys.iter().enumerate();
        Ok(listed
            .map(|(place, key)| PublishedKey::new(key, signs_now && place == 0))
            .collect())
    }

    /// The keys that sign or have signed here, the one that signs now first.
    pub(super) async fn own_keys(&self) -> Result<Vec<PublicKey>, ServiceFault> {
        let mut keys = Vec::new();
        if let Some(signer) = &self.signing.signer {
            keys.push(signer.public_key().await?);
        }
        for earlier in &self.signing.earlier {
            if !keys.contains(earlier) {
                keys.push(earlier.clone());
            }
        }
        Ok(keys)
    }
}
