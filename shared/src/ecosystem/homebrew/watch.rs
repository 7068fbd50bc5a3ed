//! What is new: the version that a formula is at.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::ask::{formula_ask, package_version};
use super::read;
use crate::availability::Availability;
use crate::dossier::Subject;
use crate::ecosystem::answer::{document, response, upstream};
use crate::ecosystem::{Ecosystem, FeedPage, ListedVersion, Listing, Look, LookFault, Upstreams};
use crate::package::PackageName;
use crate::ports::{Keep, REDIRECTS, Request};

/// The largest list that is read, in bytes. The public one has about thirty megabytes.
const LIST_LIMIT: u64 = 128 << 20;
/// How far the clock of whoever serves the list may be behind this one's.
const CLOCKS: SignedDuration = SignedDuration::from_mins(2);

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
            let bottles = formula.bottles().unwrap_or_default();
            let files: Vec<String> = bottles.into_iter().map(|bottle| bottle.filename).collect();
            let served = package.filter(|_| !files.is_empty());
            Ok(Listing {
                latest: served.clone(),
                versions: served
                    .into_iter()
                    .map(|package| ListedVersion {
                        package,
                        changed_at: look.at,
                        is_served: true,
                        files: files.clone(),
                    })
                    .collect(),
            })
        }
        Availability::Absent { because } => Err(LookFault::NotFound(because)),
        Availability::Unavailable(trouble) => Err(upstream(&observed, &trouble.detail)),
    }
}

/// The list of all formulae.
pub(super) fn feed(upstreams: &Upstreams) -> Option<Url> {
    let base = upstreams.homebrew.as_str().trim_end_matches('/');
    Url::parse(&format!("{base}/api/formula.json")).ok()
}

/// The place in the list is the time of the last look at it, in seconds: who asks for what has changed since is told whether
/// there is anything, and not what.
pub(super) fn place(look: &Look<'_>) -> u64 {
    u64::try_from(look.at.as_second()).unwrap_or_default()
}

/// A name in the list.
#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

/// All formulae, if the list has changed since the last look; which of them did, their own documents say.
pub(super) async fn feed_page(feed: &Url, since: u64, look: &Look<'_>) -> Result<FeedPage, LookFault> {
    let reduce = |bytes: &[u8]| serde_json::to_vec(&serde_json::from_slice::<Vec<Named>>(bytes).ok()?).ok();
    let since_then = i64::try_from(since)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .and_then(|at| at.checked_sub(CLOCKS).ok());
    let observed = look
        .fetch
        .fetch(Request {
            subject: Subject::ChangeFeed,
            url: feed.clone(),
            accept: "application/json",
            keep: Keep::Excerpt(Arc::new(reduce)),
            limit: LIST_LIMIT,
            at: look.at,
            previous: None,
            modified_since: since_then,
            post: None,
            uncached: false,
            insist: false,
            redirects: REDIRECTS,
        })
        .await;
    let until = place(look).max(since);
    if response(&observed).is_some_and(|response| response.status == 304) {
        return Ok(FeedPage {
            names: Vec::new(),
            rows: 0,
            until,
        });
    }
    let parse = |bytes: &[u8]| serde_json::from_slice::<Vec<Named>>(bytes).ok();
    let listed = match document(&observed, parse, "a list of formulae") {
        Availability::Present(listed) => listed,
        Availability::Absent { because } => return Err(upstream(&observed, &because)),
        Availability::Unavailable(trouble) => return Err(upstream(&observed, &trouble.detail)),
    };
    let names = listed
        .iter()
        .filter_map(|formula| PackageName::new(Ecosystem::Homebrew, &formula.name).ok());
    Ok(FeedPage {
        rows: listed.len(),
        names: names.collect(),
        until,
    })
}
