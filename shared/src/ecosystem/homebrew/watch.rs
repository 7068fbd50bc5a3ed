//! What is new: the version that a formula is at.

use url::Url;

use super::ask::{formula_ask, package_version};
use super::read;
use crate::availability::Availability;
use crate::ecosystem::answer::upstream;
use crate::ecosystem::{FeedPage, ListedVersion, Listing, Look, LookFault, Upstreams};
use crate::package::PackageName;
use crate::ports::Request;

/// The one version that is served. Since when it is, is not told: it is listed as of the look.
pub(super) async fn versions(name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
    let request = Request {
        previous: None,
        uncached: true,
        ..formula_ask(name, look).request(look.at)?
    };
    let observed = look.fetch.fetch(request).await;
    match read::formula(name, &observed) {
        Availability::Present(formula) => {
            let package = package_version(name, &formula);
            let has_bottles = formula.bottles().is_some_and(|bottles| !bottles.is_empty());
            let served = package.filter(|_| has_bottles);
            Ok(Listing {
                latest: served.clone(),
                versions: served
                    .into_iter()
                    .map(|package| ListedVersion {
                        package,
                        published_at: look.at,
                        is_served: true,
                    })
                    .collect(),
            })
        }
        Availability::Absent { because } => Err(LookFault::NotFound(because)),
        Availability::Unavailable(trouble) => Err(upstream(&observed, &trouble.detail)),
    }
}

/// There is none that names what changed: a watched formula is looked at once a day.
pub(super) fn feed(_upstreams: &Upstreams) -> Option<Url> {
    None
}

pub(super) async fn feed_end(_feed: &Url, _look: &Look<'_>) -> Result<u64, LookFault> {
    Ok(0)
}

pub(super) async fn feed_page(_feed: &Url, since: u64, _look: &Look<'_>) -> Result<FeedPage, LookFault> {
    Ok(FeedPage {
        names: Vec::new(),
        rows: 0,
        until: since,
    })
}
