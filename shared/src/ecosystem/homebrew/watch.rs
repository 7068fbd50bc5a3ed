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

/// A place in the list is a time, in seconds: who asks for what has changed since is told whether there is anything, and not
/// what. Before the first look it is the present.
pub(super) fn end(look: &Look<'_>) -> u64 {
    place(look.at.checked_sub(CLOCKS).unwrap_or(Timestamp::MIN))
}

fn place(time: Timestamp) -> u64 {
    u64::try_from(time.as_second()).unwrap_or_default()
}

/// A name in the list.
#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

/// All formulae, if the list has changed since; which of them did, their own documents say.
///
/// The next place is when the list says that it was changed, and not when it was seen: a cache on the way may show the list
/// of before for as long as it likes, and what it shows then is still newer than the place.
pub(super) async fn feed_page(feed: &Url, since: u64, look: &Look<'_>) -> Result<FeedPage, LookFault> {
    let reduce = |bytes: &[u8]| serde_json::to_vec(&serde_json::from_slice::<Vec<Named>>(bytes).ok()?).ok();
    let since_then = i64::try_from(since)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
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
    let response = response(&observed);
    let changed_at = response.and_then(|response| response.last_modified).map(place);
    // Not every server heeds the condition.
    let is_known = changed_at.is_some_and(|changed_at| changed_at <= since);
    if is_known || response.is_some_and(|response| response.status == 304) {
        return Ok(FeedPage {
            names: Vec::new(),
            rows: 0,
            until: since,
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
        until: changed_at.unwrap_or_else(|| end(look)).max(since),
    })
}
