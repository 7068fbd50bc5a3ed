//! Other verifiers, and whether they saw what this one saw.
//!
//! Whoever shows one thing to one verifier and another to the next is found by nobody alone. So each verifier signs what it says
//! ([`Payload::verdict`](crate::summary::Payload::verdict)), and compares what its peers say of a version with its own word:
//! the check `peer.agree`. It is no check of a verdict, since it is a function of what others say and not of the evidence: a peer
//! that lies can start no accusation here, and acquit nobody.

mod compare;
mod testimony;

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sigstore::types::DsseEnvelope;
use url::Url;

use crate::check::Severity;
use crate::package::{Digest, PackageVersion};
use crate::summary::PublicKey;
use crate::verdict::{Status, VerifierIdentity};

pub use compare::{AT_ONCE, Comparison, Difference, compare};
pub use testimony::{Testimony, Unheard, hear};

/// The stable spelling of the check.
pub const CHECK: &str = "peer.agree";
/// How much its `split_view` weighs.
pub const SEVERITY: Severity = Severity::High;

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
pub enum Agreement {
    /// The same verdict on the same evidence.
    Agree,
    /// They differ, as another version of the checks, another time of the look or another memory explains.
    Skew,
    /// They were shown different things.
    SplitView,
    /// Nobody else was heard.
    Unknown,
}

impl Agreement {
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

impl fmt::Display for Agreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What one peer said, or why it was not heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The base URL of its API.
    pub peer: String,
    /// How its word lies to ours.
    pub agreement: Agreement,
    /// Why it was not heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unheard: Option<Unheard>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub says: Option<Word>,
    /// In what the two differ.
    pub differences: Vec<Difference>,
    /// What it signed: the proof of what it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<DsseEnvelope>,
}

impl Answer {
    /// Of a peer that was not heard.
    pub fn unheard(peer: &Peer, unheard: Unheard) -> Self {
        Self {
            peer: peer.url.to_string(),
            agreement: Agreement::Unknown,
            unheard: Some(unheard),
            says: None,
            differences: Vec::new(),
            envelope: None,
        }
    }

    /// Of a peer that was heard.
    pub fn heard(peer: &Peer, ours: &Testimony, theirs: &Testimony, envelope: DsseEnvelope) -> Self {
        let Comparison { agreement, differences } = compare(ours, theirs);
        Self {
            peer: peer.url.to_string(),
            agreement,
            unheard: None,
            says: Some(Word::of(theirs)),
            differences,
            envelope: Some(envelope),
        }
    }
}

/// What a verifier says of a version, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Word {
    /// Who says it.
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

impl Word {
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
    pub result: Agreement,
    /// How much a `split_view` weighs.
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
    /// How many peers agree.
    pub agreeing: usize,
    /// What this verifier says.
    pub ours: Word,
    /// What each peer says.
    pub peers: Vec<Answer>,
}

impl Report {
    /// Sums up: one split view is one, whoever else agrees; one that agrees outweighs those that could not be compared.
    pub fn new(package: PackageVersion, ours: &Testimony, peers: Vec<Answer>) -> Self {
        let count = |agreement| peers.iter().filter(|peer| peer.agreement == agreement).count();
        let (agreeing, split, skewed) = (
            count(Agreement::Agree),
            count(Agreement::SplitView),
            count(Agreement::Skew),
        );
        let all = peers.len();
        let status = ours.status;
        let (result, summary) = if split > 0 {
            let summary = format!("{split} of {all} peers were shown something else than this verifier");
            (Agreement::SplitView, summary)
        } else if agreeing > 0 {
            let summary = format!("{agreeing} of {all} peers report {status} for the same evidence");
            (Agreement::Agree, summary)
        } else if skewed > 0 {
            let summary = format!(
                "{skewed} of {all} peers differ, and looked with other checks, at another time or with another memory"
            );
            (Agreement::Skew, summary)
        } else {
            (Agreement::Unknown, format!("none of {all} peers was heard"))
        };
        Self {
            package,
            check: CHECK,
            result,
            severity: SEVERITY,
            summary,
            agreeing,
            ours: Word::of(ours),
            peers,
        }
    }
}
