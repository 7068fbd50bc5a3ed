//! Digests that carry their algorithm.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use thiserror::Error;

/// A hash algorithm that registries and attestations use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// SHA-1, 20 bytes. Known for the sake of old packages; never strong enough to satisfy a check.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl DigestAlgorithm {
    /// The name that in-toto digest sets and Subresource Integrity use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the digest, in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Whether equality of digests proves equality of bytes against somebody who chooses both.
    pub fn is_collision_resistant(self) -> bool {
        match self {
            Self::Sha1 => false,
            Self::Sha256 | Self::Sha512 => true,
        }
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// Neither `sha1`, `sha256` nor `sha512`.
    #[error("the digest algorithm {0:?} is not known")]
    UnknownAlgorithm(String),
    /// Not hexadecimal, or not base64.
    #[error("the digest is not {0}")]
    Encoding(&'static str),
    /// The length does not fit the algorithm.
    #[error("a {algorithm} digest has {expected} bytes, not {actual}")]
    Length {
        /// The algorithm that was named.
        algorithm: &'static str,
        /// Its length in bytes.
        expected: usize,
        /// The length in bytes that was given.
        actual: usize,
    },
}

/// A digest with its algorithm; the length always fits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// A digest from its raw bytes.
    pub fn new(algorithm: DigestAlgorithm, bytes: impl Into<Vec<u8>>) -> Result<Self, DigestError> {
        let bytes = bytes.into();
        if bytes.len() == algorithm.length() {
            Ok(Self { algorithm, bytes })
        } else {
            Err(DigestError::Length {
                algorithm: algorithm.name(),
                expected: algorithm.length(),
                actual: bytes.len(),
            })
        }
    }

    /// A digest from hexadecimal, in either case.
    pub fn from_hex(algorithm: DigestAlgorithm, text: &str) -> Result<Self, DigestError> {
        // `hex` decodes faster into a slice than into a new vector.
        let mut bytes = vec![0; text.len() / 2];
        hex::decode_to_slice(text, &mut bytes).map_err(|_source| DigestError::Encoding("hexadecimal"))?;
        Self::new(algorithm, bytes)
    }

    /// The SHA-256 of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self {
            algorithm: DigestAlgorithm::Sha256,
            bytes: sha2::Sha256::digest(bytes).to_vec(),
        }
    }

    /// The SHA-512 of `bytes`.
    pub fn sha512_of(bytes: &[u8]) -> Self {
        Self {
            algorithm: DigestAlgorithm::Sha512,
            bytes: sha2::Sha512::digest(bytes).to_vec(),
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest in lower-case hexadecimal, without the algorithm.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.name(), self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Parses `algorithm:hex`.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, digits) = text.split_once(':').unwrap_or((text, ""));
        Self::from_hex(algorithm_named(name)?, digits)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn algorithm_named(name: &str) -> Result<DigestAlgorithm, DigestError> {
    match name {
        "sha1" => Ok(DigestAlgorithm::Sha1),
        "sha256" => Ok(DigestAlgorithm::Sha256),
        "sha512" => Ok(DigestAlgorithm::Sha512),
        _ => Err(DigestError::UnknownAlgorithm(name.to_owned())),
    }
}

/// A Subresource Integrity value, as `dist.integrity` carries it: one or more `algorithm-base64` tokens, where a
/// token's options after `?` carry no meaning (<https://www.w3.org/TR/SRI/>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integrity {
    digests: Vec<Digest>,
}

impl Integrity {
    /// The digest of the strongest algorithm present, as the specification's "get the strongest metadata" does.
    ///
    /// Several digests of that algorithm are alternatives there; a registry that names alternatives does not say which
    /// bytes it serves, so `None` is returned for more than one distinct value.
    pub fn strongest(&self) -> Option<&Digest> {
        let algorithm = self.digests.iter().map(Digest::algorithm).max()?;
        let mut candidates = self.digests.iter().filter(|digest| digest.algorithm == algorithm);
        let first = candidates.next()?;
        candidates.all(|other| other == first).then_some(first)
    }
}

impl FromStr for Integrity {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut digests = Vec::new();
        for token in text.split_ascii_whitespace() {
            let value = token.split('?').next().unwrap_or(token);
            let (name, encoded) = value
                .split_once('-')
                .ok_or(DigestError::Encoding("a Subresource Integrity value"))?;
            // The specification tells user agents to ignore what they do not know; SHA-384 is such a token here.
            let Ok(algorithm) = algorithm_named(name) else { continue };
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .map_err(|_source| DigestError::Encoding("base64"))?;
            digests.push(Digest::new(algorithm, bytes)?);
        }
        if digests.is_empty() {
            return Err(DigestError::UnknownAlgorithm(text.chars().take(16).collect()));
        }
        Ok(Self { digests })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_the_wrong_length_is_refused() {
        assert_eq!(
            Digest::from_hex(DigestAlgorithm::Sha256, "00ff"),
            Err(DigestError::Length {
                algorithm: "sha256",
                expected: 32,
                actual: 2
            })
        );
    }

    #[test]
    fn text_and_digest_round_trip() {
        let digest = Digest::sha512_of(b"hekate");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn an_unknown_algorithm_is_refused() {
        assert_eq!(
            "md5:00".parse::<Digest>(),
            Err(DigestError::UnknownAlgorithm("md5".to_owned()))
        );
    }

    #[test]
    fn digits_that_are_not_hexadecimal_are_refused() {
        assert_eq!("sha1:zz".parse::<Digest>(), Err(DigestError::Encoding("hexadecimal")));
    }

    #[test]
    fn the_strongest_digest_of_an_integrity_value_wins() {
        let sha1 = base64::engine::general_purpose::STANDARD.encode([7_u8; 20]);
        let sha512 = base64::engine::general_purpose::STANDARD.encode([9_u8; 64]);
        let integrity: Integrity = format!("sha1-{sha1} sha512-{sha512}?x=1").parse().unwrap();
        assert_eq!(
            integrity.strongest(),
            Digest::new(DigestAlgorithm::Sha512, [9; 64]).ok().as_ref()
        );
    }

    #[test]
    fn two_different_digests_of_one_algorithm_name_no_bytes() {
        let one = base64::engine::general_purpose::STANDARD.encode([1_u8; 64]);
        let two = base64::engine::general_purpose::STANDARD.encode([2_u8; 64]);
        let integrity: Integrity = format!("sha512-{one} sha512-{two}").parse().unwrap();
        assert_eq!(integrity.strongest(), None);
    }

    #[test]
    fn an_integrity_value_without_a_known_algorithm_is_refused() {
        assert!("md5-AAAA".parse::<Integrity>().is_err());
        assert!("".parse::<Integrity>().is_err());
    }
}
