//! The judge of the moment: fixed where files say so, refreshed through TUF otherwise.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::adapters::http::HttpFetch;
use crate::adapters::tuf::{TrustConfig, refresh_trust};
use crate::attestation::{TrustMaterial, TrustOrigin};
use crate::policy::Policy;
use crate::ports::Judges;
use crate::verdict::VerifierIdentity;
use crate::verifier::Judge;

/// How long after an attempt to refresh the next one is made. The cache decides whether the repository is asked at all.
const BETWEEN_ATTEMPTS: SignedDuration = SignedDuration::from_mins(15);

/// A judge that never changes: trust material from files, or embedded with refreshing switched off.
pub struct FixedJudge(pub Arc<Judge>);

#[async_trait]
impl Judges for FixedJudge {
    async fn judge(&self, _now: Timestamp) -> Arc<Judge> {
        Arc::clone(&self.0)
    }
}

/// A judge whose trust material is refreshed through TUF. Until that succeeds once, it has the embedded material, which
/// calls nothing foreign a forgery.
pub struct RefreshedJudge {
    tuf: TrustConfig,
    http: Arc<HttpFetch>,
    policy: Policy,
    verifier: VerifierIdentity,
    state: Mutex<State>,
}

struct State {
    judge: Arc<Judge>,
    attempted_at: Option<Timestamp>,
}

impl RefreshedJudge {
    /// A judge that starts with `embedded` material.
    pub fn new(tuf: TrustConfig, http: Arc<HttpFetch>, embedded: Judge) -> Self {
        Self {
            tuf,
            http,
            policy: embedded.policy.clone(),
            verifier: embedded.verifier.clone(),
            state: Mutex::new(State {
                judge: Arc::new(embedded),
                attempted_at: None,
            }),
        }
    }

    async fn refreshed(&self, now: Timestamp) -> Option<Judge> {
        let fetched = match refresh_trust(&self.tuf, &self.http, now).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                let source = std::error::Error::source(&fault).map(ToString::to_string);
                tracing::warn!(error = %fault, source, "trust material was not refreshed");
                return None;
            }
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let origin = TrustOrigin::Tuf {
            refreshed_at: fetched.fetched_at,
        };
        match TrustMaterial::new(&text(&fetched.trusted_root), &text(&fetched.npm_keys), origin) {
            Ok(trust) => Some(Judge {
                trust,
                policy: self.policy.clone(),
                verifier: self.verifier.clone(),
            }),
            Err(error) => {
                tracing::error!(%error, "trust material that TUF delivered cannot be used");
                None
            }
        }
    }
}

#[async_trait]
impl Judges for RefreshedJudge {
    async fn judge(&self, now: Timestamp) -> Arc<Judge> {
        // Held while refreshing, so that many requests at a cold start ask the repository once.
        let mut state = self.state.lock().await;
        let due = state
            .attempted_at
            .is_none_or(|attempted| now.duration_since(attempted) >= BETWEEN_ATTEMPTS);
        if due {
            state.attempted_at = Some(now);
            if let Some(judge) = self.refreshed(now).await {
                state.judge = Arc::new(judge);
            }
        }
        Arc::clone(&state.judge)
    }
}
