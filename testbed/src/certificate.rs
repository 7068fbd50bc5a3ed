//! The certificate authority, Fulcio-shaped, and its certificate transparency log.

use crate::{
    claims::{Claims, EmbeddedSct, Identity, critical, extension},
    der,
    encoding::{Hash, sha256},
    keys::{P256Key, P384Key, random},
};
use jiff::{SignedDuration, Timestamp};

const ECDSA_WITH_SHA384: &[u64] = &[1, 2, 840, 10045, 4, 3, 3];
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const CODE_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 3];
const TIME_STAMPING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 8];
const SCT_LIST: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// When the authorities' own certificates begin and end to be valid.
const AUTHORITY_LIFE: (Timestamp, Timestamp) = (
    Timestamp::constant(1_609_459_200, 0),
    Timestamp::constant(2_240_611_200, 0),
);

/// The names in an authority's certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The organisation.
    pub organization: &'static str,
    /// The common name of the root.
    pub root: &'static str,
    /// The common name of the certificate that signs.
    pub issuing: &'static str,
}

/// A distinguished name of organisation and common name.
pub(crate) fn name(organization: &str, common_name: &str) -> Vec<u8> {
    let part = |kind, text| der::set(&[der::sequence(&[der::oid(kind), der::printable(text)])]);
    der::sequence(&[part(ORGANIZATION, organization), part(COMMON_NAME, common_name)])
}

/// A certificate before it is signed; the fields are those of `TBSCertificate`.
struct Draft<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    not_before: Timestamp,
    not_after: Timestamp,
    spki: &'a [u8],
    serial: [u8; 20],
    extensions: Vec<Vec<u8>>,
}

impl Draft<'_> {
    fn to_be_signed(&self) -> Vec<u8> {
        der::sequence(&[
            der::context(0, &der::integer(&[2])),
            der::integer(&self.serial),
            der::sequence(&[der::oid(ECDSA_WITH_SHA384)]),
            self.issuer.to_vec(),
            der::sequence(&[der::time(self.not_before), der::time(self.not_after)]),
            self.subject.to_vec(),
            self.spki.to_vec(),
            der::context(3, &der::sequence(&self.extensions)),
        ])
    }

    fn sign(&self, key: &P384Key) -> Vec<u8> {
        let tbs = self.to_be_signed();
        let signature = key.sign(&tbs);
        der::sequence(&[
            tbs,
            der::sequence(&[der::oid(ECDSA_WITH_SHA384)]),
            der::bits(&signature),
        ])
    }
}

/// A positive serial number of 160 bits.
fn serial() -> [u8; 20] {
    let mut serial = random::<20>();
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    serial
}

fn key_identifier(spki: &[u8]) -> Vec<u8> {
    crate::encoding::sha1(spki)
}

fn subject_key(spki: &[u8]) -> Vec<u8> {
    extension(SUBJECT_KEY_IDENTIFIER, &der::octets(&key_identifier(spki)))
}

fn authority_key(spki: &[u8]) -> Vec<u8> {
    let identifier = der::context_primitive(0, &key_identifier(spki));
    extension(AUTHORITY_KEY_IDENTIFIER, &der::sequence(&[identifier]))
}

/// Key usage `digitalSignature`.
fn may_sign() -> Vec<u8> {
    critical(KEY_USAGE, &der::named_bits(0x80))
}

/// Extensions of an authority: it may sign certificates, with at most `path_length` authorities below.
fn authority_extensions(spki: &[u8], path_length: u8) -> Vec<Vec<u8>> {
    vec![
        critical(KEY_USAGE, &der::named_bits(0x06)),
        critical(
            BASIC_CONSTRAINTS,
            &der::sequence(&[der::yes(), der::integer(&[path_length])]),
        ),
        subject_key(spki),
    ]
}

/// A self-signed root.
pub(crate) fn root(name: &[u8], key: &P384Key, path_length: u8) -> Vec<u8> {
    Draft {
        issuer: name,
        subject: name,
        not_before: AUTHORITY_LIFE.0,
        not_after: AUTHORITY_LIFE.1,
        spki: key.spki(),
        serial: serial(),
        extensions: authority_extensions(key.spki(), path_length),
    }
    .sign(key)
}

/// A certificate for signing timestamps, and its serial number.
pub(crate) fn time_stamping(issuer: &[u8], issuer_key: &P384Key, subject: &[u8], spki: &[u8]) -> (Vec<u8>, [u8; 20]) {
    let serial = serial();
    let certificate = Draft {
        issuer,
        subject,
        not_before: AUTHORITY_LIFE.0,
        not_after: AUTHORITY_LIFE.1,
        spki,
        serial,
        extensions: vec![
            may_sign(),
            subject_key(spki),
            authority_key(issuer_key.spki()),
            critical(EXTENDED_KEY_USAGE, &der::sequence(&[der::oid(TIME_STAMPING)])),
        ],
    }
    .sign(issuer_key);
    (certificate, serial)
}

/// A certificate authority with a P-384 root and a P-384 intermediate.
pub struct CertificateAuthority {
    names: Names,
    root: Vec<u8>,
    intermediate: Vec<u8>,
    intermediate_name: Vec<u8>,
    key: P384Key,
}

impl CertificateAuthority {
    /// A fresh authority. Its names may be those of another one: only the keys tell authorities apart.
    pub(crate) fn generate(names: Names) -> Self {
        let root_key = P384Key::generate();
        let root_name = name(names.organization, names.root);
        let key = P384Key::generate();
        let intermediate_name = name(names.organization, names.issuing);
        let mut extensions = authority_extensions(key.spki(), 0);
        extensions.push(authority_key(root_key.spki()));
        extensions.push(extension(EXTENDED_KEY_USAGE, &der::sequence(&[der::oid(CODE_SIGNING)])));
        let intermediate = Draft {
            issuer: &root_name,
            subject: &intermediate_name,
            not_before: AUTHORITY_LIFE.0,
            not_after: AUTHORITY_LIFE.1,
            spki: key.spki(),
            serial: serial(),
            extensions,
        }
        .sign(&root_key);
        Self {
            names,
            root: root(&root_name, &root_key, 1),
            intermediate,
            intermediate_name,
            key,
        }
    }

    /// The names of its certificates.
    pub fn names(&self) -> Names {
        self.names
    }

    /// The intermediate and the root, as DER.
    pub fn chain(&self) -> [&[u8]; 2] {
        [&self.intermediate, &self.root]
    }

    /// A certificate for the key `spki` from `not_before` on, recorded in `log`.
    pub fn issue(&self, claims: &Claims, spki: &[u8], not_before: Timestamp, log: &CtLog) -> Vec<u8> {
        let mut extensions = vec![may_sign()];
        if claims.code_signing {
            extensions.push(extension(EXTENDED_KEY_USAGE, &der::sequence(&[der::oid(CODE_SIGNING)])));
        }
        extensions.push(subject_key(spki));
        extensions.push(authority_key(self.key.spki()));
        if let Some(identity) = &claims.identity {
            let general_name = match identity {
                Identity::Uri(uri) => der::context_primitive(6, uri.as_bytes()),
                Identity::Email(email) => der::context_primitive(1, email.as_bytes()),
            };
            // Critical where there is no other name (RFC 5280, 4.2.1.6).
            let mark = if claims.subject.is_some() { extension } else { critical };
            extensions.push(mark(SUBJECT_ALTERNATIVE_NAME, &der::sequence(&[general_name])));
        }
        extensions.extend(claims.extensions());
        let subject = claims.subject.map_or_else(
            || der::sequence(&[]),
            |[organization, common_name]| name(organization, common_name),
        );
        let mut draft = Draft {
            issuer: &self.intermediate_name,
            subject: &subject,
            not_before,
            not_after: not_before + claims.life,
            spki,
            serial: serial(),
            extensions,
        };
        let precertificate = match claims.sct {
            EmbeddedSct::Valid => Some(draft.to_be_signed()),
            EmbeddedSct::Absent => None,
            EmbeddedSct::Forged => Some(b"another certificate".to_vec()),
        };
        if let Some(precertificate) = precertificate {
            let issued = not_before + SignedDuration::from_millis(318);
            let list = log.timestamp(&precertificate, &sha256(self.key.spki()), issued);
            draft.extensions.push(extension(SCT_LIST, &der::octets(&list)));
        }
        draft.sign(&self.key)
    }
}

/// A certificate transparency log that promises to include precertificates (RFC 6962).
pub struct CtLog {
    key: P256Key,
    log_id: Hash,
}

impl CtLog {
    /// A fresh log.
    pub(crate) fn generate() -> Self {
        let key = P256Key::generate();
        let log_id = sha256(key.spki());
        Self { key, log_id }
    }

    /// The public key as DER `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    /// The log id: SHA-256 of the `SubjectPublicKeyInfo`.
    pub fn log_id(&self) -> &[u8; 32] {
        &self.log_id
    }

    /// A `SignedCertificateTimestampList` with one timestamp over the precertificate (RFC 6962, sections 3.2 and 3.3).
    fn timestamp(&self, to_be_signed: &[u8], issuer_key_hash: &Hash, at: Timestamp) -> Vec<u8> {
        let time = at.as_millisecond().to_be_bytes();
        let no_extensions = [0, 0];
        let signed = [
            &[0, 0],
            time.as_slice(),
            &[0, 1],
            issuer_key_hash,
            &length::<3>(to_be_signed),
            to_be_signed,
            &no_extensions,
        ]
        .concat();
        let signature = self.key.sign(&signed);
        // Hash algorithm SHA-256 (4), signature algorithm ECDSA (3), as TLS 1.2 numbers them.
        let sct = [
            &[0],
            self.log_id.as_slice(),
            &time,
            &no_extensions,
            &[4, 3],
            &length::<2>(&signature),
            &signature,
        ]
        .concat();
        let item = [&length::<2>(&sct), sct.as_slice()].concat();
        [&length::<2>(&item), item.as_slice()].concat()
    }
}

/// The length of `bytes` as a big-endian number of `N` bytes.
fn length<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().rev().zip(bytes.len().to_le_bytes()) {
        *to = from;
    }
    out
}
