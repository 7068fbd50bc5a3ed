//! The timestamp authority (RFC 3161, with CMS signatures of RFC 5652).

use crate::{
    certificate::{Names, name, root, time_stamping},
    der,
    encoding::sha256,
    keys::{P256Key, P384Key, random},
};
use jiff::Timestamp;

const SIGNED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 2];
const TST_INFO: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 3];
const MESSAGE_DIGEST: &[u64] = &[1, 2, 840, 113_549, 1, 9, 4];
const SIGNING_TIME: &[u64] = &[1, 2, 840, 113_549, 1, 9, 5];
const SIGNING_CERTIFICATE_V2: &[u64] = &[1, 2, 840, 113_549, 1, 9, 16, 2, 47];
const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
/// Fulcio's policy arc for timestamps.
const POLICY: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 2];

/// A timestamp authority with a P-384 root and a P-256 signing certificate.
pub struct TimestampAuthority {
    names: Names,
    root: Vec<u8>,
    root_name: Vec<u8>,
    certificate: Vec<u8>,
    serial: [u8; 20],
    key: P256Key,
}

impl TimestampAuthority {
    /// A fresh authority.
    pub(crate) fn generate(names: Names) -> Self {
        let root_key = P384Key::generate();
        let root_name = name(names.organization, names.root);
        let key = P256Key::generate();
        let (certificate, serial) = time_stamping(
            &root_name,
            &root_key,
            &name(names.organization, names.issuing),
            key.spki(),
        );
        Self {
            names,
            root: root(&root_name, &root_key, 0),
            root_name,
            certificate,
            serial,
            key,
        }
    }

    /// The names of its certificates.
    pub fn names(&self) -> Names {
        self.names
    }

    /// The signing certificate and the root, as DER.
    pub fn chain(&self) -> [&[u8]; 2] {
        [&self.certificate, &self.root]
    }

    /// A granted `TimeStampResp` over `message`, which for a bundle is the signature.
    pub fn stamp(&self, message: &[u8], at: Timestamp) -> Vec<u8> {
        let info = der::sequence(&[
            der::integer(&[1]),
            der::oid(POLICY),
            der::sequence(&[sha256_algorithm(true), der::octets(&sha256(message))]),
            der::integer(&random::<16>()),
            der::generalized_time(at),
            der::sequence(&[der::integer(&[1])]),
        ]);
        let attributes = [
            attribute(CONTENT_TYPE, der::oid(TST_INFO)),
            attribute(SIGNING_TIME, der::time(at)),
            attribute(MESSAGE_DIGEST, der::octets(&sha256(&info))),
            attribute(
                SIGNING_CERTIFICATE_V2,
                der::sequence(&[der::sequence(&[der::sequence(&[der::octets(&sha256(
                    &self.certificate,
                ))])])]),
            ),
        ];
        // The signature is over the attributes as a SET; the token carries them under the implicit tag [0] (RFC 5652, 5.4).
        let signature = self.key.sign(&der::set(&attributes));
        let signer = der::sequence(&[
            der::integer(&[1]),
            der::sequence(&[self.root_name.clone(), der::integer(&self.serial)]),
            sha256_algorithm(false),
            der::context(0, &der::sorted(&attributes)),
            der::sequence(&[der::oid(ECDSA_WITH_SHA256)]),
            der::octets(&signature),
        ]);
        let signed_data = der::sequence(&[
            der::integer(&[3]),
            der::set(&[sha256_algorithm(false)]),
            der::sequence(&[der::oid(TST_INFO), der::context(0, &der::octets(&info))]),
            der::set(&[signer]),
        ]);
        der::sequence(&[
            der::sequence(&[der::integer(&[0])]),
            der::sequence(&[der::oid(SIGNED_DATA), der::context(0, &signed_data)]),
        ])
    }
}

/// The algorithm identifier of SHA-256, with the explicit `NULL` that message imprints usually have.
fn sha256_algorithm(with_null: bool) -> Vec<u8> {
    let mut parts = vec![der::oid(SHA256)];
    if with_null {
        parts.push(der::element(0x05, &[]));
    }
    der::sequence(&parts)
}

fn attribute(kind: &[u64], value: Vec<u8>) -> Vec<u8> {
    der::sequence(&[der::oid(kind), der::set(&[value])])
}
