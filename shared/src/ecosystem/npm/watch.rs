//! What is new: the versions of a package, and npm's feed of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::ask::{JSON, PACKUMENT_LIMIT, package_path, request};
use crate::availability::Availability;
use crate::dossier::Subject;
use crate::ecosystem::answer::{document, upstream};
use crate::ecosystem::{FeedPage, ListedVersion, Listing, Look, LookFault};
use crate::package::{Ecosystem, PackageName, PackageVersion};
use crate::ports::{Keep, REDIRECTS, Request};

/// The largest page of the feed that is read, in bytes. Ten thousand rows have about a megabyte.
const PAGE_LIMIT: u64 = 16 << 20;

/// What is kept of a packument: which versions there were, and which there are.
#[derive(Serialize, Deserialize)]
#[expect(
    clippy::zero_sized_map_values,
    reason = "a set that is read from the keys of an object, whose values are not kept"
)]
struct Listed {
    name: String,
    #[serde(rename = "dist-tags", default)]
    dist_tags: BTreeMap<String, String>,
    #[serde(default)]
    time: BTreeMap<String, Value>,
    #[serde(default)]
    versions: BTreeMap<String, Ignored>,
}

/// A manifest, of which nothing is read.
#[derive(Deserialize)]
struct Ignored(IgnoredAny);

impl Serialize for Ignored {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

/// Asks which versions of a package there are, and which there were.
pub(super) async fn versions(name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
    let reduce = |bytes: &[u8]| serde_json::to_vec(&serde_json::from_slice::<Listed>(bytes).ok()?).ok();
    let request = Request {
        previous: None,
        uncached: true,
        ..request(
            look,
            Subject::Packument,
            &package_path(name),
            JSON,
            Keep::Excerpt(Arc::new(reduce)),
            PACKUMENT_LIMIT,
        )?
    };
    let observed = look.fetch.fetch(request).await;
    let parse = |bytes: &[u8]| {
        let versions: Listed = serde_json::from_slice(bytes).ok()?;
        (versions.name == name.as_str()).then_some(versions)
    };
    match document(&observed, parse, "a packument of this package") {
        Availability::Present(versions) => Ok(listing(name, &versions)),
        Availability::Absent { because } => Err(LookFault::NotFound(because)),
        Availability::Unavailable(trouble) => Err(upstream(&observed, &trouble.detail)),
    }
}

fn listing(name: &PackageName, found: &Listed) -> Listing {
    let mut versions: Vec<ListedVersion> = found
        .time
        .iter()
        .filter_map(|(version, time)| {
            Some(ListedVersion {
                package: PackageVersion::new(name.clone(), version).ok()?,
                changed_at: time.as_str()?.parse::<Timestamp>().ok()?,
                is_served: found.versions.contains_key(version),
                files: Vec::new(),
            })
        })
        .collect();
    versions.sort_by(|one, other| (other.changed_at, &other.package).cmp(&(one.changed_at, &one.package)));
    Listing {
        latest: found
            .dist_tags
            .get("latest")
            .and_then(|version| PackageVersion::new(name.clone(), version).ok()),
        versions,
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    update_seq: u64,
}

#[derive(Serialize, Deserialize)]
struct Page {
    results: Vec<Value>,
    last_seq: u64,
}

/// Where the feed ends now: from where to read if it never was read.
pub(super) async fn feed_end(feed: &Url, look: &Look<'_>) -> Result<u64, LookFault> {
    let head: Head = ask_feed(feed, "/", look).await?;
    Ok(head.update_seq)
}

/// The packages that changed after a place in the feed, at most `limit` rows of it.
///
/// Rows that name no valid package, such as design documents, or are of another shape, are read over.
pub(super) async fn feed_page(feed: &Url, since: u64, limit: usize, look: &Look<'_>) -> Result<FeedPage, LookFault> {
    let page: Page = ask_feed(feed, &format!("/_changes?since={since}&limit={limit}"), look).await?;
    let names: BTreeSet<PackageName> = page
        .results
        .iter()
        .filter_map(|row| PackageName::new(Ecosystem::Npm, row.get("id")?.as_str()?).ok())
        .collect();
    // A feed that has nothing new repeats what it was asked, and one that lists rows without saying how far it got is
    // believed as far as its rows go.
    let until = page
        .results
        .iter()
        .filter_map(|row| row.get("seq")?.as_u64())
        .max()
        .unwrap_or(page.last_seq);
    Ok(FeedPage {
        names: names.into_iter().collect(),
        rows: page.results.len(),
        until: until.max(since),
    })
}

async fn ask_feed<T: Serialize + for<'de> Deserialize<'de> + 'static>(
    feed: &Url,
    path: &str,
    look: &Look<'_>,
) -> Result<T, LookFault> {
    let base = feed.as_str().trim_end_matches('/');
    let url = Url::parse(&format!("{base}{path}")).map_err(|source| LookFault::Upstream {
        detail: format!("the configured base URL of npm's feed cannot carry {path}: {source}"),
        retry_after: None,
    })?;
    let reduce = |bytes: &[u8]| serde_json::to_vec(&serde_json::from_slice::<T>(bytes).ok()?).ok();
    let observed = look
        .fetch
        .fetch(Request {
            subject: Subject::ChangeFeed,
            url,
            accept: JSON,
            keep: Keep::Excerpt(Arc::new(reduce)),
            limit: PAGE_LIMIT,
            at: look.at,
            previous: None,
            modified_since: None,
            post: None,
            uncached: false,
            insist: true,
            redirects: REDIRECTS,
        })
        .await;
    match document(
        &observed,
        |bytes| serde_json::from_slice(bytes).ok(),
        "a page of the feed",
    ) {
        Availability::Present(found) => Ok(found),
        Availability::Absent { because } => Err(upstream(&observed, &because)),
        Availability::Unavailable(trouble) => Err(upstream(&observed, &trouble.detail)),
    }
}
