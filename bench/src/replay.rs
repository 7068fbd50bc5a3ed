//! Signature operations, done again with aws-lc-rs and nothing else.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_lc_rs::digest::{Algorithm, Digest, SHA256, SHA384};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::operations::{Operation, Signed};

/// A scheme that can be replayed.
struct Scheme {
    name: &'static str,
    curve: &'static str,
    verification: &'static dyn VerificationAlgorithm,
    digest: Option<&'static Algorithm>,
}

static SCHEMES: &[Scheme] = &[
    Scheme {
        name: "ECDSA_P256_SHA256",
        curve: "P-256",
        verification: &ECDSA_P256_SHA256_ASN1,
        digest: Some(&SHA256),
    },
    Scheme {
        name: "ECDSA_P256_SHA384",
        curve: "P-256",
        verification: &ECDSA_P256_SHA384_ASN1,
        digest: Some(&SHA384),
    },
    Scheme {
        name: "ECDSA_P384_SHA256",
        curve: "P-384",
        verification: &ECDSA_P384_SHA256_ASN1,
        digest: Some(&SHA256),
    },
    Scheme {
        name: "ECDSA_P384_SHA384",
        curve: "P-384",
        verification: &ECDSA_P384_SHA384_ASN1,
        digest: Some(&SHA384),
    },
    Scheme {
        name: "ED25519",
        curve: "Ed25519",
        verification: &ED25519,
        digest: None,
    },
];

fn scheme(operation: &Operation) -> anyhow::Result<&'static Scheme> {
    SCHEMES
        .iter()
        .find(|scheme| scheme.name == operation.scheme)
        .with_context(|| format!("signature operations of {} cannot be replayed", operation.scheme))
}

/// How many operations there are on each curve.
pub(crate) fn count(operations: &[Operation]) -> anyhow::Result<BTreeMap<&'static str, usize>> {
    let mut counts = BTreeMap::new();
    for operation in operations {
        *counts.entry(scheme(operation)?.curve).or_default() += 1;
    }
    Ok(counts)
}

enum Input {
    Message(Vec<u8>),
    Digest(Digest),
}

struct Step {
    algorithm: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
    input: Input,
    signature: Vec<u8>,
}

/// Signature operations, ready to be done. A key is parsed anew by each, as the verifier does.
pub(crate) struct Replay {
    steps: Vec<Step>,
}

impl Replay {
    /// Prepares operations. All of them must have found the signature valid: an operation that refuses is cheaper.
    pub(crate) fn new(operations: &[Operation]) -> anyhow::Result<Self> {
        let steps = operations
            .iter()
            .map(|operation| {
                anyhow::ensure!(operation.valid, "the verification found a signature invalid");
                let scheme = scheme(operation)?;
                let input = match &operation.signed {
                    Signed::Message(message) => Input::Message(message.clone()),
                    Signed::Digest(digest) => {
                        let algorithm = scheme.digest.context("the scheme takes no digests")?;
                        let digest = Digest::import_less_safe(digest, algorithm)?;
                        Input::Digest(digest)
                    }
                };
                Ok(Step {
                    algorithm: scheme.verification,
                    key: operation.key.clone(),
                    input,
                    signature: operation.signature.clone(),
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { steps })
    }

    /// Does every operation once.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        for step in &self.steps {
            let key = UnparsedPublicKey::new(step.algorithm, &step.key);
            match &step.input {
                Input::Message(message) => key.verify(message, &step.signature),
                Input::Digest(digest) => key.verify_digest(digest, &step.signature),
            }
            .context("a signature is not valid in the replay")?;
        }
        Ok(())
    }
}
