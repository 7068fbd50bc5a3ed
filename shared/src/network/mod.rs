//! Other verifiers, and whether they saw what this one saw.
//!
//! Whoever shows one thing to one verifier and another to the next is found by nobody alone. So each verifier signs what it says
//! ([`Payload::verdict`](crate::summary::Payload::verdict)), and compares what its peers say of a version with its own word:
//! the check `peer.agree`. It is no check of a verdict, since it is a function of what others say and not of the evidence: a peer
//! that lies can start no accusation here, and acquit nobody.

mod compare;
mod testimony;

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

/// The most bytes of signed verdicts in one report: with base64 and all else it fits into what a function may answer.
const ENVELOPES: usize = 2 << 20;

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

/// How what two verifiers say lies to each other, and how what all of them say does.
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
    /// How what it says lies to what this verifier says.
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
    pub fn new(ours: &Testimony, mut peers: Vec<PeerAnswer>) -> Self {
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
        let mut room = ENVELOPES;
        let mut by_weight: Vec<&mut PeerAnswer> = peers.iter_mut().collect();
        by_weight.sort_by_key(|peer| peer.agreement != PeerAgreement::SplitView);
        for peer in by_weight {
            let size = peer
                .envelope
                .as_ref()
                .map_or(0, |envelope| envelope.payload.as_bytes().len());
            match room.checked_sub(size) {
                Some(left) => room = left,
                None => peer.envelope = None,
            }
        }
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
}
