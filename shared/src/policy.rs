//! The policy: what a deployment demands and tolerates. Checks stay the same; the policy sets their margins.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::package::Digest;

/// The set of checks that this version runs: year and month. A verdict of another set may differ without contradiction.
pub const CHECK_SET: &str = "2026.11";

/// What a deployment demands and tolerates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// How far clocks of different parties may lie apart, in seconds.
    pub clock_skew: u32,
    /// For how long a settled verdict may be served without another look, in seconds.
    pub settled_for: u32,
    /// After how long an undecided version is looked at again, in seconds.
    pub undecided_for: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            clock_skew: 600,
            settled_for: 86_400,
            undecided_for: 600,
        }
    }
}

/// Why a policy cannot be used.
#[derive(Debug, Error)]
#[error("the policy is not of the documented shape: {0}")]
pub struct PolicyError(#[from] serde_json::Error);

impl Policy {
    /// Parses a policy document; what it leaves out has its default, and what it misspells is refused.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        Ok(serde_json::from_str(text)?)
    }

    /// SHA-256 of the policy's JSON form.
    pub fn digest(&self) -> Digest {
        // Serialising to memory fails only for maps with keys that are not strings, and a policy has no maps.
        Digest::sha256_of(&serde_json::to_vec(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(Policy::from_json(r#"{"clockSkw":1}"#).is_err());
    }

    #[test]
    fn what_a_policy_leaves_out_has_its_default() {
        let policy = Policy::from_json(r#"{"clockSkew":1}"#).unwrap();
        assert_eq!(
            policy,
            Policy {
                clock_skew: 1,
                ..Policy::default()
            }
        );
        assert_ne!(policy.digest(), Policy::default().digest());
    }
}
