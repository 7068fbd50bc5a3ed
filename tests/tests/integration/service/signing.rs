//! What is signed of a verdict, and how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hekate::ports::{FaultSide, Sign, SignFault, SignatureStore as _, StoreFault, VerdictStore as _};
use hekate::service::{ServiceFault, Signing};
use hekate::summary::{NoSummary, PublicKey};
use hekate::verdict::{Status, Verdict};
use serde_json::Value;
use testbed::keys::P256Key;
use testbed::{Release, Scenario};

use super::{Deployment, WIDGET, at, day, minutes, version};

/// Counts what it signs.
struct Counting {
    key: P256Key,
    signed: AtomicUsize,
    answer: Answer,
}

/// What comes of signing.
enum Answer {
    Signature,
    OfSomethingElse,
    Nothing,
}

impl Counting {
    fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            key: P256Key::generate(),
            signed: AtomicUsize::new(0),
            answer,
        })
    }

    fn signed(&self) -> usize {
        self.signed.load(Ordering::SeqCst)
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_der(self.key.spki()).unwrap()
    }
}

#[async_trait]
impl Sign for Counting {
    async fn public_key(&self) -> Result<PublicKey, SignFault> {
        Ok(self.public())
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        self.signed.fetch_add(1, Ordering::SeqCst);
        // Somebody else gets a turn, as while a key far away is asked.
        tokio::task::yield_now().await;
        match self.answer {
            Answer::Signature => Ok(self.key.sign(message)),
            Answer::OfSomethingElse => Ok(self.key.sign(b"something else")),
            Answer::Nothing => Err(SignFault::Unreachable("out of order".into())),
        }
    }
}

impl Deployment {
    /// A deployment with one version and its verdict.
    async fn signing(signer: &Arc<Counting>) -> (Self, Verdict) {
        let mut deployment = Self::of(Scenario::new().release(at("1.0.0").at(day(-1)))).await;
        deployment.sign_with(signer);
        let verdict = deployment.verdict(&format!("{WIDGET}@1.0.0")).await;
        assert_eq!(verdict.status, Status::Verified);
        (deployment, verdict)
    }

    fn sign_with(&mut self, signer: &Arc<Counting>) {
        self.service.signing = Signing {
            signer: Some(signer.clone()),
            earlier: Vec::new(),
        };
    }

    async fn verdict(&self, purl: &str) -> Verdict {
        let looked = self.service.verdict(&purl.parse().unwrap(), false, day(0)).await;
        looked.unwrap().verdict
    }

    /// The envelope, as everybody gets it.
    async fn envelope(&self, verdict: &Verdict) -> Value {
        serde_json::to_value(self.service.attest(verdict).await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_verdict_is_signed_once_however_often_it_is_asked_for() {
    let signer = Counting::new(Answer::Signature);
    let (deployment, verdict) = Deployment::signing(&signer).await;
    let first = deployment.envelope(&verdict).await;
    // What the store gives back is the same verdict, and has the same summary.
    let stored = deployment
        .embedded
        .store()
        .current(&verdict.package)
        .await
        .unwrap()
        .unwrap();
    for verdict in [&verdict, &stored, &verdict] {
        assert_eq!(deployment.envelope(verdict).await, first);
    }
    assert_eq!(signer.signed(), 1);
    let looked = deployment
        .service
        .verdict(&verdict.package.clone().into(), true, day(0) + minutes(30))
        .await;
    let later = looked.unwrap().verdict;
    assert_ne!(deployment.envelope(&later).await, first);
    assert_eq!(signer.signed(), 2);
    assert_eq!(
        deployment.envelope(&verdict).await,
        first,
        "the earlier one is still there"
    );
    assert_eq!(signer.signed(), 2);
}

#[tokio::test]
async fn whoever_asks_at_the_same_moment_gets_the_same_envelope() {
    let signer = Counting::new(Answer::Signature);
    let (deployment, verdict) = Deployment::signing(&signer).await;
    let envelopes = futures::future::join_all((0..8).map(|_| deployment.envelope(&verdict))).await;
    assert!(envelopes.iter().all(|envelope| *envelope == envelopes[0]));
    let at_once = signer.signed();
    assert!((1..=8).contains(&at_once), "{at_once}");
    assert_eq!(deployment.envelope(&verdict).await, envelopes[0]);
    assert_eq!(signer.signed(), at_once);
}

#[tokio::test]
async fn another_key_signs_anew_and_what_the_earlier_one_signed_stays() {
    let (earlier, current) = (Counting::new(Answer::Signature), Counting::new(Answer::Signature));
    let (mut deployment, verdict) = Deployment::signing(&earlier).await;
    let by_earlier = deployment.envelope(&verdict).await;
    deployment.service.signing = Signing {
        signer: Some(current.clone()),
        // An operator may leave the current key in the list.
        earlier: vec![earlier.public(), current.public()],
    };
    let by_current = deployment.envelope(&verdict).await;
    assert_eq!(by_current["payload"], by_earlier["payload"]);
    assert_ne!(by_current["signatures"], by_earlier["signatures"]);
    let keys = deployment.service.keys().await.unwrap();
    let listed: Vec<_> = keys.iter().map(|key| (key.key_id.as_str(), key.signs)).collect();
    let key_id = |envelope: &Value| envelope["signatures"][0]["keyid"].as_str().unwrap().to_owned();
    assert_eq!(listed, [(&*key_id(&by_current), true), (&*key_id(&by_earlier), false)]);
    deployment.sign_with(&earlier);
    assert_eq!(deployment.envelope(&verdict).await, by_earlier);
    assert_eq!((earlier.signed(), current.signed()), (1, 1));
}

#[tokio::test]
async fn an_envelope_that_is_bent_anywhere_does_not_verify() {
    let signer = Counting::new(Answer::Signature);
    let (deployment, verdict) = Deployment::signing(&signer).await;
    let envelope = deployment.service.attest(&verdict).await.unwrap();
    let signature = envelope.signature.sig.as_bytes();
    // Written out, so that it is not the product's own encoding that is believed.
    let message = |kind: &str, payload: &[u8]| {
        let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        bytes.extend(payload);
        bytes
    };
    let payload = envelope.payload.as_bytes();
    let key = signer.public();
    assert_eq!(envelope.payload_type, "application/vnd.in-toto+json");
    assert!(key.verifies(&message(&envelope.payload_type, payload), signature));
    for index in 0..payload.len() {
        let mut bent = payload.to_vec();
        bent[index] ^= 1;
        assert!(
            !key.verifies(&message(&envelope.payload_type, &bent), signature),
            "byte {index}"
        );
    }
    for index in 0..signature.len() {
        let mut bent = signature.to_vec();
        bent[index] ^= 1;
        assert!(
            !key.verifies(&message(&envelope.payload_type, payload), &bent),
            "byte {index}"
        );
    }
    assert!(!key.verifies(&message("application/json", payload), signature));
    assert!(!key.verifies(payload, signature));
}

#[tokio::test]
async fn what_does_not_verify_is_neither_kept_nor_handed_out() {
    let signer = Counting::new(Answer::OfSomethingElse);
    let (mut deployment, verdict) = Deployment::signing(&signer).await;
    let fault = deployment.service.attest(&verdict).await.unwrap_err();
    assert!(matches!(fault, ServiceFault::Sign(SignFault::Unverified)), "{fault:?}");
    assert_eq!((fault.side(), fault.code()), (FaultSide::Ours, "signing_unavailable"));
    // What somebody has written into the table instead of a signature is told from one, too.
    let good = Counting::new(Answer::Signature);
    deployment.sign_with(&good);
    let envelope = deployment.service.attest(&verdict).await.unwrap();
    let digest = hekate::package::Digest::sha256_of(&envelope.pae());
    let store = deployment.embedded.store();
    let stolen = Counting::new(Answer::Signature);
    deployment.sign_with(&stolen);
    let kept = store
        .keep_signature(&digest, stolen.public().id(), envelope.signature.sig.as_bytes())
        .await;
    assert_eq!(kept.unwrap(), envelope.signature.sig.as_bytes());
    let fault = deployment.service.attest(&verdict).await.unwrap_err();
    assert!(
        matches!(fault, ServiceFault::Store(StoreFault::Corrupt(_))),
        "{fault:?}"
    );
    assert_eq!(stolen.signed(), 0);
}

#[tokio::test]
async fn a_key_in_trouble_is_our_trouble_and_passes() {
    let signer = Counting::new(Answer::Nothing);
    let (deployment, verdict) = Deployment::signing(&signer).await;
    let fault = deployment.service.attest(&verdict).await.unwrap_err();
    assert_eq!((fault.side(), fault.code()), (FaultSide::Ours, "signing_unavailable"));
    assert!(fault.retry_after().is_some());
}

#[tokio::test]
async fn without_a_key_or_a_decision_there_is_nothing_to_sign() {
    let signer = Counting::new(Answer::Signature);
    let scenario = Scenario::new().release(
        Release::honest("unlucky", "1.0.0")
            .at(day(-1))
            .attestation_answer(testbed::Answer::Status(503, None)),
    );
    let mut deployment = Deployment::of(scenario).await;
    let verdict = deployment.verdict("pkg:npm/unlucky@1.0.0").await;
    assert_eq!(verdict.status, Status::Indeterminate);
    let fault = deployment.service.attest(&verdict).await.unwrap_err();
    assert!(matches!(fault, ServiceFault::NoKey), "{fault:?}");
    assert_eq!((fault.side(), fault.retry_after()), (FaultSide::Caller, None));
    assert_eq!(deployment.service.keys().await.unwrap(), []);

    deployment.sign_with(&signer);
    let fault = deployment.service.attest(&verdict).await.unwrap_err();
    let undecided = NoSummary::Undecided(version("pkg:npm/unlucky@1.0.0"));
    assert!(
        matches!(&fault, ServiceFault::NoSummary(told) if *told == undecided),
        "{fault:?}"
    );
    assert_eq!((fault.side(), fault.retry_after()), (FaultSide::Caller, None));
    assert_eq!(signer.signed(), 0);
}
