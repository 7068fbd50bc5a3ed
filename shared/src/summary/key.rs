//! Public keys under which others verify what is signed here.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pem::{EncodeConfig, LineEnding, Pem};
use thiserror::Error;
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::package::Digest;

/// Why bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not base64.
    #[error("is not base64")]
    Base64,
    /// Not a `SubjectPublicKeyInfo` in DER.
    #[error("is not the DER form of a public key (SubjectPublicKeyInfo)")]
    Form,
    /// Of another algorithm, of another curve, or no point of it.
    #[error("is not a key of ECDSA on the curve P-256")]
    Algorithm,
}

/// A public key of ECDSA on P-256, which signs SHA-256 digests.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    der: Vec<u8>,
    id: Digest,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` in DER (RFC 5280, section 4.1.2.7).
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        SubjectPublicKeyInfoRef::from_der(der).map_err(|_source| KeyError::Form)?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der).map_err(|_source| KeyError::Algorithm)?;
        Ok(Self {
            der: der.to_vec(),
            id: Digest::sha256_of(der),
        })
    }

    /// Reads the base64 of the same, which is what stands between the first and the last line of a PEM file.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let der = STANDARD.decode(text).map_err(|_source| KeyError::Base64)?;
        Self::from_der(&der)
    }

    /// By what it is told from other keys: the SHA-256 of its DER form. Envelopes carry the hexadecimal digits.
    pub fn id(&self) -> &Digest {
        &self.id
    }

    /// The key as a PEM file.
    pub fn to_pem(&self) -> String {
        let pem = Pem::new("PUBLIC KEY", self.der.as_slice());
        pem::encode_config(&pem, EncodeConfig::new().set_line_ending(LineEnding::LF))
    }

    /// Whether a signature in DER is this key's over a message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.der)
            .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _,
    };

    use super::*;

    fn pair(algorithm: &'static EcdsaSigningAlgorithm) -> (EcdsaKeyPair, Vec<u8>) {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let der = der.as_ref().to_vec();
        (pair, der)
    }

    #[test]
    fn a_key_is_the_same_in_each_of_its_forms() {
        let (_, der) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let key = PublicKey::from_der(&der).unwrap();
        assert_eq!(key.id(), &Digest::sha256_of(&der));
        let pem = key.to_pem();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\nMFkw"), "{pem}");
        assert!(pem.ends_with("\n-----END PUBLIC KEY-----\n"), "{pem}");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        assert_eq!(PublicKey::from_base64(&body), Ok(key));
    }

    #[test]
    fn a_signature_is_of_one_key_over_one_message() {
        let (signer, der) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let (_, other) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let signature = signer.sign(&SystemRandom::new(), b"message").unwrap();
        let key = PublicKey::from_der(&der).unwrap();
        assert!(key.verifies(b"message", signature.as_ref()));
        assert!(!key.verifies(b"Message", signature.as_ref()));
        assert!(!key.verifies(b"message", b""));
        assert!(
            !PublicKey::from_der(&other)
                .unwrap()
                .verifies(b"message", signature.as_ref())
        );
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let (signer, der) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let (_, of_other_curve) = pair(&ECDSA_P384_SHA384_ASN1_SIGNING);
        assert_eq!(PublicKey::from_der(&of_other_curve), Err(KeyError::Algorithm));
        // The point alone is a key to the library, but it has no id that others could compute.
        assert_eq!(PublicKey::from_der(signer.public_key().as_ref()), Err(KeyError::Form));
        assert_eq!(PublicKey::from_der(&der[1..]), Err(KeyError::Form));
        assert_eq!(PublicKey::from_der(&[]), Err(KeyError::Form));
        assert_eq!(PublicKey::from_base64("no base64"), Err(KeyError::Base64));
    }
}
