//! PyPI: <https://docs.pypi.org/api/>, with attestations as PEP 740 defines them (<https://peps.python.org/pep-0740/>).
//!
//! A version has several files, and files are added to it at any time, so that each is judged for itself. What is asked:
//! the index of the project, and of each file its provenance and its bytes.

mod ask;
mod bundle;
mod changes;
mod document;
mod excerpt;
pub mod filename;
mod index;
pub mod metadata;
pub mod provenance;
mod read;
mod version;
mod watch;
mod xml_rpc;

use std::collections::BTreeSet;

use async_trait::async_trait;
use url::Url;

use super::{FeedPage, Listing, Look, LookFault, Registry, Release, Resolved, Upstreams};
use crate::dossier::Dossier;
use crate::history::{Channel, Line};
use crate::package::{Coordinate, PackageName, Selector};

/// PyPI.
pub(super) struct PyPi;

#[async_trait]
impl Registry for PyPi {
    fn purl_type(&self) -> &'static str {
        "pypi"
    }

    fn title(&self) -> &'static str {
        "PyPI"
    }

    fn has_files(&self) -> bool {
        true
    }

    fn name(&self, text: &str) -> Result<String, &'static str> {
        version::check_name(text).map(|()| version::normalize(text))
    }

    fn selector(&self, text: &str) -> Result<Selector, &'static str> {
        if text == LATEST {
            return Ok(Selector::Tag(text.to_owned()));
        }
        version::check_version(text).map(|()| Selector::Version(text.to_owned()))
    }

    fn is_same_version(&self, inner: &str, requested: &str) -> bool {
        version::is_same(inner, requested)
    }

    fn line(&self, version: &str) -> Option<Line> {
        version::line(version)
    }

    fn channel(&self, version: &str) -> Channel {
        version::channel(version).map_or(Channel::Stable, Channel::Prerelease)
    }

    /// Versions are stamped while distributions are built, more often than not.
    fn manifest(&self) -> Option<&'static str> {
        None
    }

    /// Attestations are made by the client that uploads, or by a step of their own right before.
    fn attesting_publishes(&self) -> bool {
        true
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

    async fn versions(&self, name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
        watch::versions(name, look).await
    }

    fn feed(&self, upstreams: &Upstreams) -> Option<Url> {
        upstreams.pypi_feed.clone()
    }

    async fn feed_end(&self, feed: &Url, look: &Look<'_>) -> Result<u64, LookFault> {
        watch::feed_end(feed, look).await
    }

    async fn feed_page(&self, feed: &Url, since: u64, limit: usize, look: &Look<'_>) -> Result<FeedPage, LookFault> {
        watch::feed_page(feed, since, limit, look).await
    }

    fn read(&self, dossier: &Dossier) -> Vec<Release> {
        read::read(dossier)
    }
}

/// What stands for the version that an installer takes when it is asked for none.
const LATEST: &str = "latest";
