//! The signing key in a PEM file, for local use.
//!
//! It stays in memory as it is; whoever can read the file or the process can sign.

use std::fmt;

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use thiserror::Error;

use crate::ports::{Sign, SignFault};
use crate::summary::{KeyError, PublicKey};

/// Why a text is no signing key. Neither the messages nor their sources hold any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PemError {
    /// No PEM, or PEM of something else.
    #[error("has no PEM block PRIVATE KEY (PKCS#8, not encrypted); {MAKE_ONE}")]
    Form,
    /// A key of another kind, or none.
    #[error("has no private key of ECDSA on the curve P-256; {MAKE_ONE}")]
    Key,
    /// The library cannot tell the public key.
    #[error("has a key whose public half {0}")]
    Public(#[from] KeyError),
}

/// How to come by a key.
pub const MAKE_ONE: &str = "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out hekate.pem` makes one";

/// A private key of ECDSA on P-256, in memory.
pub struct PemSigner {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl PemSigner {
    /// Reads an unencrypted PKCS#8 key (RFC 5958) in PEM (RFC 7468).
    pub fn new(text: &str) -> Result<Self, PemError> {
        let block = pem::parse(text).map_err(|_quoting| PemError::Form)?;
        if block.tag() != "PRIVATE KEY" {
            return Err(PemError::Form);
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, block.contents())
            .map_err(|_rejected| PemError::Key)?;
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_unspecified| PemError::Key)?;
        let public = PublicKey::from_der(der.as_ref())?;
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for PemSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PemSigner({})", self.public.id())
    }
}

#[async_trait]
impl Sign for PemSigner {
    async fn public_key(&self) -> Result<PublicKey, SignFault> {
        Ok(self.public.clone())
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|source| SignFault::Unreachable(Box::new(source)))?;
        Ok(signature.as_ref().to_vec())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaSigningAlgorithm};
    use pem::Pem;

    use super::*;

    fn pem_of(tag: &str, algorithm: &'static EcdsaSigningAlgorithm) -> String {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        pem::encode(&Pem::new(tag, pkcs8.as_ref()))
    }

    /// A fresh key.
    pub(crate) fn pem() -> String {
        pem_of("PRIVATE KEY", &ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    #[tokio::test]
    async fn what_is_signed_verifies_with_the_public_key_and_by_others() {
        use sigstore::crypto::{SigningScheme, verify_signature};
        use sigstore::types::{DerPublicKey, SignatureBytes};

        let signer = PemSigner::new(&pem()).unwrap();
        let key = signer.public_key().await.unwrap();
        let signature = signer.sign(b"message").await.unwrap();
        assert!(key.verifies(b"message", &signature));
        let read = DerPublicKey::from_pem(&key.to_pem()).unwrap();
        let verify = |message: &[u8]| {
            verify_signature(
                &read,
                message,
                &SignatureBytes::from_bytes(&signature),
                SigningScheme::EcdsaP256Sha256,
            )
        };
        assert!(verify(b"message").is_ok());
        assert!(verify(b"another message").is_err());
    }

    #[test]
    fn what_is_no_such_key_is_refused_without_being_shown() {
        let p256 = pem();
        for (text, error) in [
            (String::new(), PemError::Form),
            ("s3cret".to_owned(), PemError::Form),
            (p256.replace("PRIVATE KEY", "PUBLIC KEY"), PemError::Form),
            (p256.replace("PRIVATE KEY", "EC PRIVATE KEY"), PemError::Form),
            (pem_of("PRIVATE KEY", &ECDSA_P384_SHA384_ASN1_SIGNING), PemError::Key),
            (pem::encode(&Pem::new("PRIVATE KEY", "s3cret")), PemError::Key),
        ] {
            let found = PemSigner::new(&text).unwrap_err();
            assert_eq!(found, error);
            assert!(found.to_string().contains("openssl genpkey"), "{found}");
            assert!(!format!("{found} {found:?}").contains("s3cret"));
        }
        let shown = format!("{:?}", PemSigner::new(&p256).unwrap());
        assert!(shown.starts_with("PemSigner(sha256:"), "{shown}");
    }
}
