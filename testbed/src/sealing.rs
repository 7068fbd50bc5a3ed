//! Signing a statement with a short-lived certificate, as builds do.

use crate::{
    Claims, EmbeddedSct, Format, Parties, SignatureEncoding, World,
    bundle::{Seal, Signer},
    edit::{Edits, apply},
    keys::P256Key,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Whose certificate authority and timestamp authority take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// The public instance of Sigstore.
    PublicGood,
    /// GitHub's own, which logs nothing: neither signatures nor certificates.
    GitHub,
}

/// How a statement is signed by the holder of a short-lived certificate.
#[derive(Debug, Clone)]
pub struct Sealing {
    /// The shape of the bundle.
    pub format: Format,
    /// The encoding of the signature.
    pub encoding: SignatureEncoding,
    /// The envelope's `keyid`, if it has one.
    pub keyid: Option<String>,
    /// Which of their instances.
    pub instance: Instance,
    /// The parties.
    pub parties: Parties,
    /// The start of the certificate's validity.
    pub certified_at: Timestamp,
    /// When the log integrated the entry, or when the timestamp authority stamped the signature.
    pub logged_at: Timestamp,
}

impl Sealing {
    /// By the parties of `world`, logged at `at` with a certificate of three seconds before.
    pub(crate) fn at(world: &World, format: Format, at: Timestamp) -> Self {
        Self {
            format,
            encoding: SignatureEncoding::Der,
            keyid: None,
            instance: Instance::PublicGood,
            parties: Parties::of(world),
            certified_at: at - SignedDuration::from_secs(3),
            logged_at: at,
        }
    }

    /// Lets GitHub's own instance certify and stamp.
    pub fn by_github(&mut self) {
        self.instance = Instance::GitHub;
        self.format = Format::github();
    }

    /// Certifies a fresh key, signs, and logs or stamps: the bundle.
    fn seal(&self, claims: &Claims, statement: &Value) -> Value {
        let key = P256Key::generate();
        let Parties {
            certificate_authority,
            timestamp_authority,
            ..
        } = &self.parties;
        let (authority, timestamp_authority) = match self.instance {
            Instance::PublicGood => (
                &certificate_authority.certificate_authority,
                &timestamp_authority.timestamp_authority,
            ),
            Instance::GitHub => (
                &certificate_authority.github.certificate_authority,
                &timestamp_authority.github.timestamp_authority,
            ),
        };
        let certificate = authority.issue(claims, key.spki(), self.certified_at, &self.parties.ct_log.ct_log);
        Seal {
            signer: Signer::Certificate {
                key: &key,
                certificate: &certificate,
                authorities: authority.chain(),
            },
            keyid: self.keyid.as_deref(),
            encoding: self.encoding,
            format: &self.format,
            log: &self.parties.log,
            timestamp_authority,
            at: self.logged_at,
        }
        .bundle(statement.to_string().as_bytes())
    }
}

/// What bends an attestation, in the order in which it is made.
#[derive(Clone, Default)]
pub(crate) struct Bends {
    /// Changes to what the certificate claims.
    pub(crate) certificate: Edits<Claims>,
    /// Changes to how it is signed.
    pub(crate) sealing: Edits<Sealing>,
    /// Changes to the statement before it is signed.
    pub(crate) statement: Edits<Value>,
    /// Changes to what came of it.
    pub(crate) signed: Edits<Value>,
}

impl Bends {
    /// The bundle of a statement, which is bent in place; everything but the last is applied.
    pub(crate) fn seal(&self, mut sealing: Sealing, mut claims: Claims, statement: &mut Value) -> Value {
        apply(&self.sealing, &mut sealing);
        match sealing.instance {
            Instance::PublicGood => {}
            Instance::GitHub => claims.sct = EmbeddedSct::Absent,
        }
        apply(&self.certificate, &mut claims);
        apply(&self.statement, statement);
        sealing.seal(&claims, statement)
    }

    /// Both, these before those of `other`.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.certificate.extend(other.certificate.iter().cloned());
        both.sealing.extend(other.sealing.iter().cloned());
        both.statement.extend(other.statement.iter().cloned());
        both.signed.extend(other.signed.iter().cloned());
        both
    }
}
