//! The signature operations of one verification, taken down where they happen.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use hekate::attestation::{NpmKeyUsage, TrustMaterial};
use hekate::dossier::Dossier;
use hekate::ecosystem;
use hekate::verifier::{Case, Judge};
use serde::{Deserialize, Serialize};
use sigstore::crypto::{
    CryptoProvider, HashContext, Result, SigningScheme, aws_lc_provider, install_default_provider, sha256, sha384,
    sha512,
};
use sigstore::types::HashAlgorithm;

/// What a signature was verified over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Signed {
    /// A message, which the operation hashes.
    Message(Vec<u8>),
    /// A digest that was there already.
    Digest(Vec<u8>),
}

/// One signature operation: everything that is needed to do it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// The signature scheme, as the verifier names it.
    pub(crate) scheme: String,
    /// The public key, in the encoding in which it was given.
    pub(crate) key: Vec<u8>,
    /// What was signed.
    pub(crate) signed: Signed,
    /// The signature.
    pub(crate) signature: Vec<u8>,
    /// Whether it was found valid.
    pub(crate) valid: bool,
    /// The digest of what was signed, by which an operation is the same whether it was given the message or the digest.
    digest: Vec<u8>,
}

/// The signature operations without those that repeat an earlier one.
pub(crate) fn distinct(operations: &[Operation]) -> Vec<Operation> {
    let mut seen = HashSet::new();
    operations
        .iter()
        .filter(|one| seen.insert((&one.scheme, &one.key, &one.digest, &one.signature)))
        .cloned()
        .collect()
}

/// Takes down every signature operation that the Sigstore verifier does, and leaves the work to aws-lc-rs.
#[derive(Debug)]
struct Recorder {
    operations: Mutex<Vec<Operation>>,
}

static RECORDER: Recorder = Recorder {
    operations: Mutex::new(Vec::new()),
};

impl Recorder {
    fn add(&self, scheme: SigningScheme, key: &[u8], signed: Signed, signature: &[u8], valid: bool) {
        let digest = match (&signed, scheme.hash_algorithm()) {
            (Signed::Digest(digest), _) => digest.clone(),
            (Signed::Message(message), Some(HashAlgorithm::Sha2256)) => sha256(message).as_bytes().to_vec(),
            (Signed::Message(message), Some(HashAlgorithm::Sha2384)) => sha384(message).as_bytes().to_vec(),
            (Signed::Message(message), Some(_) | None) => sha512(message).as_bytes().to_vec(),
        };
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Operation {
                scheme: scheme.name().to_owned(),
                key: key.to_vec(),
                signed,
                signature: signature.to_vec(),
                valid,
                digest,
            });
    }

    fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut self.operations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CryptoProvider for Recorder {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        aws_lc_provider().hash(algorithm)
    }

    fn verify_raw(&self, scheme: SigningScheme, key: &[u8], data: &[u8], signature: &[u8]) -> Result<()> {
        let result = aws_lc_provider().verify_raw(scheme, key, data, signature);
        let signed = Signed::Message(data.to_vec());
        self.add(scheme, key, signed, signature, result.is_ok());
        result
    }

    fn verify_prehashed(&self, scheme: SigningScheme, key: &[u8], digest: &[u8], signature: &[u8]) -> Result<()> {
        let result = aws_lc_provider().verify_prehashed(scheme, key, digest, signature);
        let signed = Signed::Digest(digest.to_vec());
        self.add(scheme, key, signed, signature, result.is_ok());
        result
    }
}

/// The signature operations of a case's verification.
///
/// A cryptographic provider is installed for a whole process and for good, so another process takes them down: what is
/// timed in this one is the verifier as it is deployed.
pub(crate) fn observe(case: &Case) -> anyhow::Result<Vec<Operation>> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("operations")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // Dropped at the end of the statement, which ends the other side's input.
    process
        .stdin
        .take()
        .context("the process has no standard input")?
        .write_all(&serde_json::to_vec(case)?)?;
    let output = process.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "the signature operations could not be listed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Verifies a case once and takes its signature operations down. Only for a process of its own.
pub(crate) fn record(case: &Case) -> anyhow::Result<Vec<Operation>> {
    anyhow::ensure!(
        install_default_provider(&RECORDER).is_ok(),
        "another cryptographic provider is installed"
    );
    let judge = judge(case)?;
    // What building the judge took belongs to no verification.
    RECORDER.take();
    judge.judge(&case.dossier, &case.memory, case.decided_at);
    let mut operations = RECORDER.take();
    verify_registry_signatures(&case.dossier, &judge.trust);
    operations.extend(RECORDER.take());
    Ok(operations)
}

/// The judge that a case is to be judged by.
pub(crate) fn judge(case: &Case) -> anyhow::Result<Judge> {
    Ok(Judge {
        trust: TrustMaterial::from_saved(&case.trust)?,
        policy: case.policy.clone(),
        verifier: case.verifier.clone(),
    })
}

/// Takes down npm's registry signatures, which Hekate verifies with aws-lc-rs directly: for every signature in the
/// metadata, one operation with each key of its id up to the first that fits.
fn verify_registry_signatures(dossier: &Dossier, trust: &TrustMaterial) {
    let releases = ecosystem::read(dossier);
    let Some((metadata, text)) = releases
        .first()
        .and_then(|release| release.metadata.present())
        .and_then(|metadata| Some((metadata, metadata.signed_text.as_deref()?)))
    else {
        return;
    };
    for signature in &metadata.signatures {
        let Some(bytes) = &signature.signature else {
            continue;
        };
        for key in trust.npm_keys(&signature.key_id, NpmKeyUsage::Signatures) {
            let valid = key.verifies(text.as_bytes(), bytes);
            let signed = Signed::Message(text.as_bytes().to_vec());
            RECORDER.add(SigningScheme::EcdsaP256Sha256, &key.spki, signed, bytes, valid);
            if valid {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_down(signed: Signed, signature: &[u8]) -> Operation {
        let recorder = Recorder {
            operations: Mutex::new(Vec::new()),
        };
        recorder.add(SigningScheme::EcdsaP256Sha256, b"key", signed, signature, true);
        recorder.take().remove(0)
    }

    #[test]
    fn an_operation_on_a_digest_repeats_the_one_on_the_message() {
        let message = taken_down(Signed::Message(b"text".to_vec()), b"signature");
        let digest = taken_down(Signed::Digest(sha256(b"text").as_bytes().to_vec()), b"signature");
        let other = taken_down(Signed::Message(b"text".to_vec()), b"other");
        assert_eq!(distinct(&[message, digest, other]).len(), 2);
    }
}
