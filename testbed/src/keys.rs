//! Key pairs of the parties.

use crate::{
    der,
    encoding::{base64, sha256},
};
use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _,
    },
};
use std::fmt::Debug;

/// Object identifier of a named elliptic curve.
const P256: &[u64] = &[1, 2, 840, 10045, 3, 1, 7];
const P384: &[u64] = &[1, 3, 132, 0, 34];
const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10045, 2, 1];
const ED25519: &[u64] = &[1, 3, 101, 112];

/// The result of an operation of the cryptographic library that fails only when memory or randomness is exhausted.
#[expect(
    clippy::expect_used,
    reason = "without memory or randomness there is no world to build"
)]
fn infallible<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the cryptographic library generates keys and signs")
}

/// Unpredictable bytes, for serial numbers.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    infallible(SystemRandom::new().fill(&mut bytes));
    bytes
}

/// An ECDSA P-256 key that signs SHA-256 digests.
pub struct P256Key {
    asn1: EcdsaKeyPair,
    fixed: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl P256Key {
    /// A fresh key.
    pub fn generate() -> Self {
        let asn1 = infallible(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING));
        let document = infallible(asn1.to_pkcs8v1());
        let fixed = infallible(EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            document.as_ref(),
        ));
        let spki = elliptic_spki(P256, asn1.public_key().as_ref());
        Self { asn1, fixed, spki }
    }

    /// The public key as DER `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The private key as the PEM file of a PKCS#8 key, as programs that sign read it.
    pub fn pkcs8_pem(&self) -> String {
        let document = infallible(self.asn1.to_pkcs8v1());
        let body = base64(document.as_ref());
        let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: Vec<_> = lines.collect();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        )
    }

    /// A DER signature over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        infallible(self.asn1.sign(&SystemRandom::new(), message))
            .as_ref()
            .to_vec()
    }

    /// A signature over `message` as the 64 bytes of IEEE P1363.
    pub fn sign_p1363(&self, message: &[u8]) -> Vec<u8> {
        infallible(self.fixed.sign(&SystemRandom::new(), message))
            .as_ref()
            .to_vec()
    }
}

/// An ECDSA P-384 key that signs SHA-384 digests.
pub struct P384Key {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl P384Key {
    /// A fresh key.
    pub fn generate() -> Self {
        let pair = infallible(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING));
        let spki = elliptic_spki(P384, pair.public_key().as_ref());
        Self { pair, spki }
    }

    /// The public key as DER `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// A DER signature over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        infallible(self.pair.sign(&SystemRandom::new(), message))
            .as_ref()
            .to_vec()
    }
}

/// An Ed25519 key.
pub struct Ed25519Key {
    pair: Ed25519KeyPair,
    spki: Vec<u8>,
}

impl Ed25519Key {
    /// A fresh key.
    pub fn generate() -> Self {
        let pair = infallible(Ed25519KeyPair::generate());
        let spki = der::sequence(&[
            der::sequence(&[der::oid(ED25519)]),
            der::bits(pair.public_key().as_ref()),
        ]);
        Self { pair, spki }
    }

    /// The public key as DER `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The 32 bytes of the public key.
    pub fn raw_public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A signature over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// `SubjectPublicKeyInfo` of a point on a named curve.
fn elliptic_spki(curve: &[u64], point: &[u8]) -> Vec<u8> {
    der::sequence(&[
        der::sequence(&[der::oid(EC_PUBLIC_KEY), der::oid(curve)]),
        der::bits(point),
    ])
}

/// npm's key id: `SHA256:` and the unpadded base64 of the digest of the `SubjectPublicKeyInfo`.
pub fn npm_key_id(spki: &[u8]) -> String {
    format!("SHA256:{}", crate::encoding::base64(sha256(spki)).trim_end_matches('='))
}
