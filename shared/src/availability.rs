//! What became of a question: answered, answered with nothing, or not answered.

use serde::{Deserialize, Serialize};

/// Why a question has no answer. None of these says anything about the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnavailableReason {
    /// No connection, a time-out, a server error, a redirect to another host, or a broken transfer.
    Unreachable,
    /// The upstream asked to come back later (429, or 403 with an exhausted quota).
    RateLimited,
    /// The upstream once had it and does not keep it any more.
    NotRetained,
    /// The upstream hides it from this caller.
    Private,
    /// A mirror or a proxy removed it on the way.
    Stripped,
    /// An answer came, but not one of the documented shape: HTML with status 200, truncated JSON, an empty body,
    /// more redirects than are followed.
    Malformed,
    /// The answer exceeds this verifier's limit for its kind.
    TooLarge,
    /// The answer uses a format or an algorithm that this verifier does not know.
    Unsupported,
}

/// A question that got no answer, with who was asked and why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unavailable {
    /// Where the answer should have come from, for people: a URL or the name of an upstream.
    pub source: String,
    /// The class of trouble.
    pub reason: UnavailableReason,
    /// One sentence for people. Nothing is ever decided on it.
    pub detail: String,
}

/// The three ways a question can end. They never merge on the way from the socket to the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability<T> {
    /// The answer.
    Present(T),
    /// Authoritatively nothing, with how that is known.
    Absent {
        /// One sentence for people: which authority said so, and how.
        because: String,
    },
    /// No answer.
    Unavailable(Unavailable),
}

impl<T> Availability<T> {
    /// The answer, where there is one.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent { .. } | Self::Unavailable(_) => None,
        }
    }

    /// The same state with the answer mapped.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Availability<U> {
        match self {
            Self::Present(value) => Availability::Present(map(value)),
            Self::Absent { because } => Availability::Absent { because },
            Self::Unavailable(trouble) => Availability::Unavailable(trouble),
        }
    }

    /// The same state by reference.
    pub fn as_ref(&self) -> Availability<&T> {
        match self {
            Self::Present(value) => Availability::Present(value),
            Self::Absent { because } => Availability::Absent {
                because: because.clone(),
            },
            Self::Unavailable(trouble) => Availability::Unavailable(trouble.clone()),
        }
    }
}
