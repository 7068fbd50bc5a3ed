//! npm: <https://github.com/npm/registry/blob/main/docs/REGISTRY-API.md>, with attestations as
//! <https://github.com/npm/attestation> defines them.

mod ask;
mod packument;
mod read;
mod rules;
mod watch;

use std::collections::BTreeSet;

use async_trait::async_trait;
use url::Url;

use super::{FeedPage, Listing, Look, LookFault, Registry, Release, Resolved, Upstreams};
use crate::dossier::Dossier;
use crate::history::{Channel, Line};
use crate::package::{Coordinate, PackageName, Selector};

/// The `registry` that npm's own publish attestations name. It identifies npm, whatever mirror serves the attestation, so
/// it is a constant of the protocol and no address that is ever asked.
const REGISTRY_IDENTITY: &str = "https://registry.npmjs.org";

/// npm.
pub(super) struct Npm;

#[async_trait]
impl Registry for Npm {
    fn purl_type(&self) -> &'static str {
        "npm"
    }

    fn title(&self) -> &'static str {
        "npm"
    }

    /// A version is one tarball.
    fn has_files(&self) -> bool {
        false
    }

    fn name(&self, text: &str) -> Result<String, &'static str> {
        rules::check_name(text).map(|()| text.to_owned())
    }

    fn selector(&self, text: &str) -> Result<Selector, &'static str> {
        rules::selector(text)
    }

    fn is_same_version(&self, inner: &str, requested: &str) -> bool {
        rules::is_same_version(inner, requested)
    }

    fn line(&self, version: &str) -> Option<Line> {
        rules::line(version)
    }

    fn channel(&self, version: &str) -> Channel {
        rules::channel(version)
    }

    fn manifest(&self) -> Option<&'static str> {
        Some("package.json")
    }

    /// The npm client itself attests, while it publishes.
    fn attesting_publishes(&self) -> bool {
        false
    }

    async fn resolve(&self, coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
        ask::resolve(coordinate, look).await
    }

    async fn collect(&self, resolved: Resolved, look: &Look<'_>) -> Dossier {
        ask::collect(resolved, look).await
    }

    async fn look_back(&self, dossier: &Dossier, look: &Look<'_>, known: &BTreeSet<String>) -> Vec<Dossier> {
        ask::look_back(dossier, look, known).await
    }

    fn drop_proofs(&self, dossier: &mut Dossier, known: &BTreeSet<String>) {
        ask::drop_proofs(dossier, known);
    }

    async fn versions(&self, name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
        watch::versions(name, look).await
    }

    fn feed(&self, upstreams: &Upstreams) -> Option<Url> {
        upstreams.npm_feed.clone()
    }

    async fn feed_end(&self, feed: &Url, look: &Look<'_>) -> Result<u64, LookFault> {
        watch::feed_end(feed, look).await
    }

    async fn feed_page(&self, feed: &Url, since: u64, limit: usize, look: &Look<'_>) -> Result<FeedPage, LookFault> {
        watch::feed_page(feed, since, limit, look).await
    }

    fn read(&self, dossier: &Dossier) -> Vec<Release> {
        vec![read::read(dossier)]
    }
}
