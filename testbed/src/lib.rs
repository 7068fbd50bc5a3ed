//! A generated software supply chain with real cryptography.
//!
//! A [`World`] holds every party's keys: a certificate authority and its certificate transparency log, both generations
//! of the signature log, a timestamp authority, GitHub's own instance of those, and the npm registry. A [`Scenario`] says
//! what was released in that world, honestly or not, and [`Scenario::serve`] puts it on a loopback port: a [`Release`] on
//! npm, a [`PypiRelease`], a [`Formula`] of Homebrew, a [`ReleasedFile`] of GitHub.
//! [`Scenario::github`] is where releases come from: repositories, commits, workflow runs and stored attestations behind
//! the REST API.
//!
//! The crate is an oracle: it shares no code with what it tests, and nothing in it verifies anything. Keys are generated
//! in memory for each process and protect nothing.
//!
//! ```
//! use testbed::{Answer, Release, Scenario};
//!
//! let scenario = Scenario::new()
//!     .release(Release::honest("@acme/widget", "1.2.3"))
//!     .release(Release::honest("@acme/widget", "1.2.4").unattested())
//!     .release(Release::honest("left-out", "1.0.0").attestation_answer(Answer::Status(503, None)));
//! assert_eq!(scenario.npm_response("/@acme%2fwidget/1.2.3").status, 200);
//! ```

pub mod answer;
mod archive;
mod attempts;
pub mod attestation;
pub mod build;
pub mod bundle;
pub mod certificate;
pub mod claims;
pub mod demo;
mod der;
mod edit;
mod encoding;
pub mod github;
pub mod homebrew;
pub mod keys;
pub mod log;
pub mod npm;
pub mod party;
pub mod pypi;
pub mod record;
pub mod release;
pub mod request_log;
pub mod scenario;
pub mod sealing;
pub mod serve;
mod stream;
pub mod timestamp;
mod trust;
pub mod universe;
pub mod world;

pub use answer::{Answer, Body, Reply, Request};
pub use attestation::{Attestation, Parties};
pub use build::{Build, Flavour, Provider};
pub use bundle::{Evidence, Format, LogEntryKind, Material, SignatureEncoding};
pub use claims::{Claims, EmbeddedSct, Identity};
pub use demo::{Demo, DemoCase, demo, dependency};
pub use github::{Attesting, FilePublished, GitHub, Quota, ReleasedFile, Repository};
pub use homebrew::{Bottle, BottleServed, Formula, FormulaPublished, Homebrew};
pub use npm::{Npm, feed::FeedRow, registry::Publisher};
pub use party::Party;
pub use pypi::{CoreMetadata, Pypi, PypiFile, PypiPredicate, PypiPublished, PypiPublisher, PypiRelease, Uploader};
pub use release::{PublishAttestation, Published, RegistryKeyChoice, Release};
pub use request_log::SeenRequest;
pub use scenario::{Releasable, Scenario};
pub use sealing::{Instance, Sealing};
pub use serve::Served;
pub use universe::Universe;
pub use world::World;

use jiff::Timestamp;

/// The time at which a release happens unless it says otherwise: 2026-11-02T10:00:00Z.
///
/// It lies in the past, because verifiers refuse log entries from the future.
pub const BASE_TIME: Timestamp = Timestamp::constant(1_793_613_600, 0);

/// Parses an RFC 3339 time, for literals in tests.
///
/// # Panics
///
/// When `text` is not an RFC 3339 time.
#[expect(
    clippy::expect_used,
    reason = "for literals: a typing error should stop the test that contains it"
)]
pub fn moment(text: &str) -> Timestamp {
    text.parse().expect("an RFC 3339 time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_time_is_the_second_of_november() {
        assert_eq!(BASE_TIME, moment("2026-11-02T10:00:00Z"));
    }
}
