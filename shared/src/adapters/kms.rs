//! The signing key in AWS KMS: it never leaves there, and whoever signs is written in CloudTrail.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::get_public_key::GetPublicKeyOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::package::Digest;
use crate::ports::{Sign, SignFault};
use crate::summary::PublicKey;

/// How long a caller waits for one answer, the client's own retries included.
const PATIENCE: Duration = Duration::from_secs(5);

/// One asymmetric key of KMS: `ECC_NIST_P256`, for `SIGN_VERIFY`.
#[derive(Debug)]
pub struct KmsSigner {
    client: Client,
    name: String,
    key: OnceCell<Key>,
}

/// The key that a name stands for.
#[derive(Debug)]
struct Key {
    arn: String,
    public: PublicKey,
}

impl KmsSigner {
    /// Signs with the key of this id, ARN or alias. Nobody is asked before the first use.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
            key: OnceCell::new(),
        }
    }

    /// The key, which is asked for once. An alias may be given to another key meanwhile: what is signed with is the key whose
    /// public half was read, for as long as the process lives.
    async fn key(&self) -> Result<&Key, SignFault> {
        self.key
            .get_or_try_init(|| async {
                let output = answer(self.client.get_public_key().key_id(&self.name).send()).await?;
                key_in(&output)
            })
            .await
    }
}

fn key_in(output: &GetPublicKeyOutput) -> Result<Key, SignFault> {
    let unsuitable = |detail: &str| SignFault::Unsuitable(format!("the key in KMS {detail}"));
    let der = output
        .public_key()
        .ok_or_else(|| unsuitable("was answered without its public half"))?;
    let public = PublicKey::from_der(der.as_ref()).map_err(|source| unsuitable(&source.to_string()))?;
    // A key of this kind may be for agreeing on secrets instead.
    if !output.signing_algorithms().contains(&SigningAlgorithmSpec::EcdsaSha256) {
        return Err(unsuitable("is not for signing"));
    }
    let arn = output
        .key_id()
        .ok_or_else(|| unsuitable("was answered without its ARN"))?;
    Ok(Key {
        arn: arn.to_owned(),
        public,
    })
}

#[async_trait]
impl Sign for KmsSigner {
    async fn public_key(&self) -> Result<PublicKey, SignFault> {
        self.key().await.map(|key| key.public.clone())
    }

    /// Sends the digest: a message may have 4,096 bytes at most.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        let request = self
            .client
            .sign()
            .key_id(&self.key().await?.arn)
            .message(Blob::new(Digest::sha256_of(message).as_bytes()))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        let output = answer(request.send()).await?;
        let signature = output
            .signature()
            .ok_or_else(|| SignFault::Unsuitable("KMS answered without a signature".to_owned()))?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The answer of the service, or why there is none.
async fn answer<T, E>(request: impl Future<Output = Result<T, SdkError<E>>>) -> Result<T, SignFault>
where
    E: std::error::Error + Send + Sync + 'static,
{
    timeout(PATIENCE, request)
        .await
        .map_err(|elapsed| SignFault::Unreachable(Box::new(elapsed)))?
        .map_err(|source| SignFault::Unreachable(Box::new(source)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::conformance::wire::{Call, Reply, Wire};
    use crate::adapters::pem::PemSigner;
    use crate::adapters::pem::tests::pem;

    const NAME: &str = "alias/hekate";
    const ARN: &str = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn signer(script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static) -> (KmsSigner, Wire) {
        let wire = Wire::new(None, script);
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(wire.clone())
            .build();
        (KmsSigner::new(Client::from_conf(config), NAME), wire)
    }

    /// A key as KMS describes it.
    async fn described(key: &PemSigner) -> Value {
        let pem = key.public_key().await.unwrap().to_pem();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        json!({
            "KeyId": ARN,
            "KeySpec": "ECC_NIST_P256",
            "KeyUsage": "SIGN_VERIFY",
            "PublicKey": body,
            "SigningAlgorithms": ["ECDSA_SHA_256"],
        })
    }

    #[tokio::test]
    async fn the_public_key_is_asked_for_once_by_name_and_signed_with_by_its_arn() {
        let key = PemSigner::new(&pem()).unwrap();
        let description = described(&key).await;
        let (signer, wire) = signer(move |call, _| {
            Some(match call.operation.as_str() {
                "GetPublicKey" => (200, description.clone()),
                "Sign" => (200, json!({ "KeyId": ARN, "Signature": STANDARD.encode(b"signature") })),
                other => panic!("{other}"),
            })
        });
        for _ in 0..2 {
            assert_eq!(signer.public_key().await.unwrap(), key.public_key().await.unwrap());
            assert_eq!(signer.sign(b"a message").await.unwrap(), b"signature");
        }
        let calls = wire.take_calls();
        let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
        assert_eq!(operations, ["GetPublicKey", "Sign", "Sign"]);
        assert_eq!(calls[0].input, json!({ "KeyId": NAME }));
        assert_eq!(
            calls[1].input,
            json!({
                "KeyId": ARN,
                "Message": STANDARD.encode(digest(&SHA256, b"a message")),
                "MessageType": "DIGEST",
                "SigningAlgorithm": "ECDSA_SHA_256",
            })
        );
    }

    #[tokio::test]
    async fn a_key_that_cannot_sign_so_is_refused() {
        let good = described(&PemSigner::new(&pem()).unwrap()).await;
        for (member, value, says) in [
            ("PublicKey", json!("AAAA"), "SubjectPublicKeyInfo"),
            ("PublicKey", Value::Null, "without its public half"),
            ("SigningAlgorithms", json!([]), "not for signing"),
            ("SigningAlgorithms", json!(["ECDSA_SHA_384"]), "not for signing"),
            ("KeyId", Value::Null, "without its ARN"),
        ] {
            let mut description = good.clone();
            description[member] = value;
            let (signer, _) = signer(move |_, _| Some((200, description.clone())));
            let fault = signer.sign(b"a message").await.unwrap_err();
            assert!(matches!(fault, SignFault::Unsuitable(_)), "{fault:?}");
            assert!(fault.to_string().contains(says), "{fault}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_did_not_answer_is_asked_again_the_next_time() {
        let description = described(&PemSigner::new(&pem()).unwrap()).await;
        let (signer, _) = signer(move |_, before| {
            Some(if before == 0 {
                (400, json!({ "__type": "AccessDeniedException", "message": "no" }))
            } else {
                (200, description.clone())
            })
        });
        assert!(matches!(signer.public_key().await, Err(SignFault::Unreachable(_))));
        assert!(signer.public_key().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_request_is_retried() {
        let description = described(&PemSigner::new(&pem()).unwrap()).await;
        let (signer, wire) = signer(move |call, before| {
            Some(match (call.operation.as_str(), before) {
                ("Sign", 0) => (400, json!({ "__type": "ThrottlingException", "message": "slow down" })),
                ("Sign", _) => (200, json!({ "Signature": STANDARD.encode(b"signature") })),
                _ => (200, description.clone()),
            })
        });
        assert_eq!(signer.sign(b"a message").await.unwrap(), b"signature");
        assert_eq!(wire.take_operations(), ["GetPublicKey", "Sign", "Sign"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long() {
        let began = tokio::time::Instant::now();
        let (signer, _) = signer(|_, _| Some((500, json!({ "__type": "KMSInternalException" }))));
        assert!(matches!(
            signer.sign(b"a message").await,
            Err(SignFault::Unreachable(_))
        ));
        assert!(began.elapsed() <= PATIENCE);
    }
}
