//! The path, from a coordinate to a verdict.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestation::{SavedTrust, TrustError, TrustMaterial};
use crate::authenticate::{Authenticated, authenticate};
use crate::check::{Evidence, correlate, past_release};
use crate::dossier::Dossier;
use crate::ecosystem;
use crate::forge::github::{Destination, Trace};
use crate::history::PastRelease;
use crate::package::Digest;
use crate::policy::Policy;
use crate::ports::{FirstSeen, Memory};
use crate::verdict::{Inputs, Verdict, VerifierIdentity, decide, declared_integrity};

/// What a deployment judges by: built once, used for every version.
#[derive(Debug)]
pub struct Judge {
    /// The trust material.
    pub trust: TrustMaterial,
    /// The policy.
    pub policy: Policy,
    /// Who decides.
    pub verifier: VerifierIdentity,
}

/// A verdict with what is to be remembered of the version.
#[derive(Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The integrity that the registry's metadata names now.
    pub integrity: Option<Digest>,
    /// What the release proved about itself, if it is to be remembered.
    pub release: Option<PastRelease>,
}

impl Judge {
    /// Derives the verdict on a dossier that has been traced: authenticate, correlate, decide.
    ///
    /// A function of its arguments alone: the same dossier, memory, judge and time give the same verdict on any machine,
    /// years later.
    pub fn judge(&self, dossier: &Dossier, memory: &Memory, now: Timestamp) -> Judgement {
        self.conclude(&self.authenticate(dossier, now), dossier, memory, now)
    }

    /// The first stage: what of a dossier is authentic. It reads what the registry served, and nothing of the forge.
    pub fn authenticate(&self, dossier: &Dossier, now: Timestamp) -> Authenticated {
        authenticate(ecosystem::read(dossier), &self.trust, now)
    }

    /// The stages after the trace, which has grown the dossier since it was authenticated: correlate, decide.
    pub fn conclude(
        &self,
        authenticated: &Authenticated,
        dossier: &Dossier,
        memory: &Memory,
        now: Timestamp,
    ) -> Judgement {
        let trace = Destination::of(authenticated).map(|destination| Trace::read(destination, dossier));
        let evidence = Evidence {
            authenticated,
            trace: &trace,
            memory,
            policy: &self.policy,
            trust: &self.trust,
        };
        let findings = correlate(&evidence);
        let inputs = Inputs {
            dossier,
            authenticated,
            memory,
            policy: &self.policy,
            trust: self.trust.identity(),
            verifier: &self.verifier,
            now,
        };
        let verdict = decide(findings, &inputs);
        Judgement {
            integrity: declared_integrity(authenticated),
            release: past_release(&verdict, &evidence),
            verdict,
        }
    }
}

/// The media type of a saved case, as `schema` carries it.
pub const CASE_SCHEMA: &str = "urn:hekate:case:1";

/// Everything that one verdict is a function of, in one document: what `--dossier` saves and `replay` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The media type: [`CASE_SCHEMA`].
    pub schema: String,
    /// When the verdict was made.
    pub decided_at: Timestamp,
    /// What was observed.
    pub dossier: Dossier,
    /// What was remembered of the version.
    pub memory: Memory,
    /// The policy.
    pub policy: Policy,
    /// The trust material.
    pub trust: SavedTrust,
    /// Who decided.
    pub verifier: VerifierIdentity,
}

impl Case {
    /// The case of a verdict that `judge` makes at `now`.
    pub fn new(judge: &Judge, dossier: Dossier, memory: Memory, now: Timestamp) -> Self {
        Self {
            schema: CASE_SCHEMA.to_owned(),
            decided_at: now,
            dossier,
            memory,
            policy: judge.policy.clone(),
            trust: judge.trust.to_saved(),
            verifier: judge.verifier.clone(),
        }
    }

    /// Derives the verdict again, from this document alone.
    pub fn replay(&self) -> Result<Verdict, TrustError> {
        let judge = Judge {
            trust: TrustMaterial::from_saved(&self.trust)?,
            policy: self.policy.clone(),
            verifier: self.verifier.clone(),
        };
        Ok(judge.judge(&self.dossier, &self.memory, self.decided_at).verdict)
    }
}

/// What to remember of a version that was first seen with this integrity at this time.
pub fn first_seen(judgement: &Judgement, memory: &Memory, now: Timestamp) -> Option<FirstSeen> {
    match (&memory.first_seen, &judgement.integrity) {
        (None, Some(integrity)) => Some(FirstSeen {
            integrity: integrity.clone(),
            at: now,
        }),
        (Some(_), _) | (None, None) => None,
    }
}
