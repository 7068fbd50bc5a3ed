//! How a package was released before: what each earlier release proved about itself.
//!
//! Only authenticated releases are remembered, dated by their publication. A value that comes from elsewhere than the
//! certificate says so in its name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many releases of a package are remembered as an input of the checks: the newest.
pub const LIMIT: usize = 64;

/// What one release proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRelease {
    /// The version.
    pub version: String,
    /// Whether later releases are compared with it: no attack becomes a habit, not even one that is told late, and nothing
    /// is learnt while a question about the run or the source has no answer.
    pub accepted: bool,
    /// When it was published; when it was signed, where the registry does not say.
    pub published_at: Timestamp,
    /// Certificate .15: the forge's id of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// Certificate .17: the forge's id of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Certificate .18: path of the workflow that was triggered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Certificate .14: the ref that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Certificate .20: the event that triggered the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Certificate .23: the deployment environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Certificate .11: the runner environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Certificate .9: the workflow that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The actor of the run, as GitHub showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_actor: Option<String>,
    /// The step that was running when the provenance was signed, in a run that ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_publish_step: Option<String>,
    /// Whether GitHub showed the commit's signature as verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_verified: Option<bool>,
    /// Whether the commit came through a pull request that was merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_through_pull_request: Option<bool>,
    /// Whether a tag for the version led to the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagged: Option<bool>,
}
