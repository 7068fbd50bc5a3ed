//! Homebrew: <https://formulae.brew.sh/docs/api/>, with attestations in GitHub's store as Homebrew's own client reads them
//! (<https://github.com/Homebrew/brew/blob/main/Library/Homebrew/attestation.rb>).
//!
//! A version is a formula at a version with its revision, and its files are the bottles, one for each platform. The formula API
//! serves the present version alone. Each bottle is asked for in the container registry that the formula names, of which only
//! the path counts, and its attestations in GitHub's store by the digest that the formula names.

mod ask;
mod formula;
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

/// The tag that stands for the version that the formula API serves.
const LATEST: &str = "latest";

/// The repository of the formulae, any of whose workflows may attest a bottle: several do.
const CORE: (&str, &str) = ("Homebrew", "homebrew-core");
/// The registry whose addresses the backfill hashed into the names of what it attested. It is never asked for being this.
const REGISTRY: &str = "https://ghcr.io";
/// The repository whose workflow attested, in the spring of 2024, the bottles that were there already.
const BACKFILL: (&str, &str) = ("trailofbits", "homebrew-brew-verify");
/// Until when it did: the first instant of 14 March 2024. What it signed later is no such attestation, so that whoever takes
/// over that workflow can attest nothing.
const BACKFILLED_UNTIL: jiff::Timestamp = jiff::Timestamp::constant(1_710_374_400, 0);

/// Homebrew.
pub(super) struct Homebrew;

#[async_trait]
impl Registry for Homebrew {
    fn purl_type(&self) -> &'static str {
        "brew"
    }

    fn title(&self) -> &'static str {
        "Homebrew"
    }

    /// A version has a bottle for each platform, or one for all.
    fn has_files(&self) -> bool {
        true
    }

    fn name(&self, text: &str) -> Result<String, &'static str> {
        rules::name(text)
    }

    fn selector(&self, text: &str) -> Result<Selector, &'static str> {
        rules::selector(text)
    }

    fn is_same_version(&self, inner: &str, requested: &str) -> bool {
        inner == requested
    }

    /// A formula has one line: what is kept up in a line of its own is a formula of its own, such as `openssl@3`.
    fn line(&self, _version: &str) -> Option<Line> {
        Some(Line::Only)
    }

    fn channel(&self, _version: &str) -> Channel {
        Channel::Stable
    }

    /// A formula is a program that names neither itself nor, always, its version.
    fn manifest(&self) -> Option<&'static str> {
        None
    }

    fn has_inner_manifest(&self) -> bool {
        false
    }

    /// One repository holds all formulae, and has no tags for their versions.
    fn is_versioned_by_its_source(&self) -> bool {
        false
    }

    fn keeps_attestations(&self) -> bool {
        false
    }

    /// Bottles are attested by a step of their own right before they are uploaded.
    fn attesting_publishes(&self) -> bool {
        true
    }

    async fn resolve(&self, coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
        ask::resolve(coordinate, look).await
    }

    async fn collect(&self, resolved: Resolved, look: &Look<'_>) -> Dossier {
        ask::collect(resolved, look).await
    }

    /// Earlier versions are not served.
    async fn look_back(&self, _dossier: &Dossier, _look: &Look<'_>, _known: &BTreeSet<String>) -> Vec<Dossier> {
        Vec::new()
    }

    async fn versions(&self, name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
        watch::versions(name, look).await
    }

    fn feed(&self, upstreams: &Upstreams) -> Option<Url> {
        watch::feed(upstreams)
    }

    fn is_feed_a_list(&self) -> bool {
        true
    }

    async fn feed_end(&self, _feed: &Url, look: &Look<'_>) -> Result<u64, LookFault> {
        Ok(watch::end(look))
    }

    async fn feed_page(&self, feed: &Url, since: u64, _limit: usize, look: &Look<'_>) -> Result<FeedPage, LookFault> {
        watch::feed_page(feed, since, look).await
    }

    fn read(&self, dossier: &Dossier) -> Vec<Release> {
        read::read(dossier)
    }
}
