//! Other verifiers, and whether they saw what this one saw.
//!
//! Whoever shows one thing to one verifier and another to the next is found by nobody alone. So each verifier signs what it says
//! ([`Payload::verdict`](crate::summary::Payload::verdict)), and compares what its peers say of a version with its own word:
//! the check `peer.agree`. It is no check of a verdict, since it is a function of what others say and not of the evidence: a peer
//! that lies can start no accusation here, and acquit nobody.

mod compare;
mod testimony;

use std::iter;

use jiff::Timestamp;
use serde::Serialize;
use sigstore::types::DsseEnvelope;
use url::Url;

use crate::check::Severity;
use crate::package::{Digest, PackageVersion};
use crate::summary::PublicKey;
use crate::verdict::{Status, VerifierIdentity};

pub use compare::{Comparison, Difference, compare};
pub use testimony::{Heard, Seen, Testimony, Told, Unheard, UnheardReason, hear};

/// The stable spelling of the check.
pub const CHECK: &str = "peer.agree";
/// How much its `split_view` weighs.
pub const SEVERITY: Severity = Severity::High;

/// The most bytes of signed verdicts in one report, as they are written in it: this verifier's own and one of the longest that is
/// read of a peer. With all else it fits into the 6 MB that a function may answer.
const ENVELOPES: usize = 4 << 20;

/// Another verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The base URL of its API.
    pub url: Url,
    /// The keys that its word is believed of: several while it changes from one to the next.
    pub keys: Vec<PublicKey>,
}

impl Peer {
    /// Where it says, signed, what it thinks of a version.
    pub fn address(&self, package: &PackageVersion, fresh: bool) -> Url {
        let mut url = self.url.clone();
        // A base URL of HTTP has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["v1", "verdicts", package.ecosystem().purl_type()])
                .extend(package.name().as_str().split('/'))
                .extend([package.version(), "signed"]);
        }
        if let Some(file) = package.file() {
            url.query_pairs_mut().append_pair("file_name", file);
        }
        if fresh {
            url.query_pairs_mut().append_pair("fresh", "true");
        }
        url
    }
}

/// How what one verifier says compares with what another one says, and with what all others say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerAgreement {
    /// The same verdict on the same evidence.
    Agree,
    /// They differ, as other rules, another time of the look or another memory explains.
    Skew,
    /// They were shown different things.
    SplitView,
    /// Nobody else was heard.
    Unknown,
}

impl PeerAgreement {
    /// The stable spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Skew => "skew",
            Self::SplitView => "split_view",
            Self::Unknown => "unknown",
        }
    }
}

/// What one peer said, or why it was not heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerAnswer {
    /// The base URL of its API.
    pub peer: String,
    /// How what it says compares with what this verifier says.
    pub agreement: PeerAgreement,
    /// Why it was not heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unheard: Option<Unheard>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<Said>,
    /// In what the two differ.
    pub differences: Vec<Difference>,
    /// The key that signed it: SHA-256 of its DER form, in hexadecimal. What a verifier calls itself anybody could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// What it signed, as long as there is room for it: the proof of what it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<DsseEnvelope>,
}

impl PeerAnswer {
    /// What came of asking a peer.
    pub fn of(peer: &Peer, ours: &Testimony, heard: Result<Heard, Unheard>) -> Self {
        let nothing = Self {
            peer: peer.url.to_string(),
            agreement: PeerAgreement::Unknown,
            unheard: None,
            says: None,
            differences: Vec::new(),
            key_id: None,
            envelope: None,
        };
        match heard {
            Ok(heard) => {
                let Comparison { agreement, differences } = compare(ours, &heard.testimony);
                Self {
                    agreement,
                    says: Some(Said::of(&heard.testimony)),
                    differences,
                    key_id: Some(heard.key.to_hex()),
                    envelope: Some(heard.envelope),
                    ..nothing
                }
            }
            Err(unheard) => Self {
                unheard: Some(unheard),
                ..nothing
            },
        }
    }
}

/// What a verifier says of a version, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Who says it, as it calls itself.
    pub verifier: VerifierIdentity,
    /// The status.
    pub status: Status,
    /// Digest of what was seen of the version: equal for two who saw the same.
    pub evidence: Digest,
    /// When the evidence was looked at.
    pub checked_at: Timestamp,
    /// The set of checks.
    pub check_set: String,
    /// Digest of the policy.
    pub policy: String,
}

impl Said {
    fn of(testimony: &Testimony) -> Self {
        Self {
            verifier: testimony.verifier.clone(),
            status: testimony.status,
            evidence: testimony.evidence(),
            checked_at: testimony.checked_at,
            check_set: testimony.check_set.clone(),
            policy: testimony.policy.clone(),
        }
    }
}

/// What all peers say of a version.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version.
    pub package: PackageVersion,
    /// The check.
    pub check: &'static str,
    /// What it found.
    pub result: PeerAgreement,
    /// How much a `split_view` weighs.
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
    /// How many peers agree.
    pub agreeing: usize,
    /// What this verifier says.
    pub ours: Said,
    /// What this verifier signed of it, where a peer was shown something else and there is a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<DsseEnvelope>,
    /// What each peer says.
    pub peers: Vec<PeerAnswer>,
}

impl Report {
    /// Sums up: one split view is one, whoever else agrees; one that agrees outweighs those that could not be compared.
    pub fn new(ours: &Testimony, peers: Vec<PeerAnswer>) -> Self {
        let count = |wanted| peers.iter().filter(|peer| peer.agreement == wanted).count();
        let (agreeing, split) = (count(PeerAgreement::Agree), count(PeerAgreement::SplitView));
        let (skewed, all) = (count(PeerAgreement::Skew), peers.len());
        let agree = format!("{agreeing} of {all} peers report {} for the same evidence", ours.status);
        let (result, summary) = if split > 0 {
            let summary = format!("{split} of {all} peers were shown something else than this verifier; {agree}");
            (PeerAgreement::SplitView, summary)
        } else if agreeing > 0 {
            (PeerAgreement::Agree, agree)
        } else if skewed > 0 {
            let summary =
                format!("{skewed} of {all} peers differ, by other rules, time or memory, or nothing is decided");
            (PeerAgreement::Skew, summary)
        } else {
            (PeerAgreement::Unknown, format!("none of {all} peers was heard"))
        };
        Self {
            package: ours.package.clone(),
            check: CHECK,
            result,
            severity: SEVERITY,
            summary,
            agreeing,
            ours: Said::of(ours),
            envelope: None,
            peers,
        }
    }

    /// Without the envelopes for which there is no room. This verifier's own goes first, and those of split views before others: what is
    /// to be proved.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let mut by_weight: Vec<&mut PeerAnswer> = self.peers.iter_mut().collect();
        by_weight.sort_by_key(|peer| peer.agreement != PeerAgreement::SplitView);
        let mut room = ENVELOPES;
        for envelope in iter::once(&mut self.envelope).chain(by_weight.into_iter().map(|peer| &mut peer.envelope)) {
            match room.checked_sub(envelope.as_ref().map_or(0, written)) {
                Some(left) => room = left,
                None => *envelope = None,
            }
        }
        self
    }
}

/// How many bytes an envelope takes as it is written.
fn written(envelope: &DsseEnvelope) -> usize {
    // What cannot be written takes no room that there is.
    serde_json::to_vec(envelope).map_or(usize::MAX, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sigstore::types::{DsseSignature, KeyId, PayloadBytes, SignatureBytes};

    use super::*;

    fn envelope(payload: usize) -> DsseEnvelope {
        let signature = DsseSignature::new(SignatureBytes::new(vec![0; 72]), KeyId::new("0".repeat(64)));
        DsseEnvelope::new("type", PayloadBytes::new(vec![0; payload]), signature)
    }

    fn answer(agreement: PeerAgreement, payload: usize) -> PeerAnswer {
        PeerAnswer {
            peer: String::new(),
            agreement,
            unheard: None,
            says: None,
            differences: Vec::new(),
            key_id: None,
            envelope: Some(envelope(payload)),
        }
    }

    #[test]
    fn a_report_has_room_for_what_is_to_be_proved_first() {
        let ours: Testimony = serde_json::from_value(json!({
            "schema": crate::verdict::SCHEMA,
            "package": "pkg:npm/a@1.0.0",
            "status": "verified",
            "findings": [],
            "checkedAt": "2026-11-22T10:00:00Z",
            "checkSet": "2026.11",
            "policy": "sha256:00",
            "trust": { "trustedRoot": "sha256:01", "npmKeys": "sha256:02" },
            "verifier": { "id": "urn:one", "version": "1.0.0" },
        }))
        .unwrap();
        // Two of these fit, as they are written.
        let payload = 1 << 20;
        let kept = |of_its_own: bool, agreements: &[PeerAgreement]| -> Vec<bool> {
            let answers = agreements.iter().map(|agreement| answer(*agreement, payload));
            let mut report = Report::new(&ours, answers.collect());
            report.envelope = of_its_own.then(|| envelope(payload));
            let report = report.bounded();
            assert!(serde_json::to_vec(&report).unwrap().len() < 5 << 20);
            assert_eq!(report.envelope.is_some(), of_its_own);
            report.peers.iter().map(|peer| peer.envelope.is_some()).collect()
        };
        let (agree, split) = (PeerAgreement::Agree, PeerAgreement::SplitView);
        assert_eq!(kept(false, &[agree, agree]), [true, true]);
        assert_eq!(kept(false, &[agree, agree, split]), [true, false, true]);
        assert_eq!(kept(true, &[agree, split]), [false, true]);
        assert_eq!(kept(true, &[split, split]), [true, false]);
    }
}
