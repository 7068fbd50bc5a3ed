//! Signing, and what is kept of it.

use async_trait::async_trait;
use thiserror::Error;

use super::{FaultSide, StoreFault};
use crate::package::Digest;
use crate::summary::PublicKey;

/// Why nothing was signed.
#[derive(Debug, Error)]
pub enum SignFault {
    /// Whoever has the key could not be reached, is throttling, or refused.
    #[error("the signing key did not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was answered is not what such a key answers.
    #[error("the signing key cannot be used: {0}")]
    Unsuitable(String),
    /// What was answered is no signature of this key.
    #[error("what the signing key answered does not verify with its public key")]
    Unverified,
}

impl SignFault {
    /// Whose doing it is: a key is the deployment's own.
    pub fn side(&self) -> FaultSide {
        match self {
            Self::Unreachable(_) | Self::Unsuitable(_) | Self::Unverified => FaultSide::Ours,
        }
    }
}

/// Signs with the one key of a deployment.
#[async_trait]
pub trait Sign: Send + Sync {
    /// The key that others verify with. It stays the same for as long as a process lives.
    async fn public_key(&self) -> Result<PublicKey, SignFault>;

    /// The signature over a message, in DER: ECDSA on P-256 of its SHA-256. Another call makes another one.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault>;
}

/// Keeps signatures, so that what was signed once is not signed again for whoever asks.
#[async_trait]
pub trait SignatureStore: Send + Sync {
    /// The signature by the key of this id over the message of this SHA-256.
    async fn signature(&self, message: &Digest, key: &Digest) -> Result<Option<Vec<u8>>, StoreFault>;

    /// Keeps a signature, and returns the one that is kept from now on: the first, however many come at once.
    async fn keep_signature(&self, message: &Digest, key: &Digest, signature: &[u8]) -> Result<Vec<u8>, StoreFault>;
}
