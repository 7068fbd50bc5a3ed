//! What is new: the versions of a project, and PyPI's journal of changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::ask::index_ask;
use super::changes::{JournalError, MEDIA_TYPE, last_serial, last_serial_request, rows, since_serial_request};
use super::index::latest;
use super::read;
use crate::availability::Availability;
use crate::dossier::Subject;
use crate::ecosystem::answer::{document, upstream};
use crate::ecosystem::{Ecosystem, FeedPage, ListedVersion, Listing, Look, LookFault};
use crate::package::{PackageName, PackageVersion};
use crate::ports::{Keep, Post, REDIRECTS, Request};

/// The largest answer of the journal that is read, in bytes: fifty thousand rows have about twenty megabytes as XML.
const JOURNAL_LIMIT: u64 = 64 << 20;

/// Asks which versions of a project there are. PyPI keeps no list of those that were: what was removed is told by
/// what is remembered.
pub(super) async fn versions(name: &PackageName, look: &Look<'_>) -> Result<Listing, LookFault> {
    let request = Request {
        uncached: true,
        ..index_ask(name, look, Keep::Whole, None).request(look.at)?
    };
    let observed = look.fetch.fetch(request).await;
    let index = match read::index(name, &observed) {
        Availability::Present(index) => index,
        Availability::Absent { because } => return Err(LookFault::NotFound(because)),
        Availability::Unavailable(trouble) => return Err(upstream(&observed, &trouble.detail)),
    };
    let indexed = index.indexed_versions();
    if !indexed.is_empty() && indexed.iter().all(|version| version.changed_at().is_none()) {
        let detail =
            "the index does not tell when files were uploaded (PEP 700), so that nothing new can be told by it";
        return Err(upstream(&observed, detail));
    }
    let version = |text: &str| PackageVersion::new(name.clone(), text).ok();
    let mut versions: Vec<ListedVersion> = indexed
        .iter()
        .filter_map(|indexed| {
            Some(ListedVersion {
                package: version(indexed.version)?,
                changed_at: indexed.changed_at()?,
                is_served: true,
                files: indexed.files.iter().map(|file| file.filename.clone()).collect(),
            })
        })
        .collect();
    versions.sort_by(|one, other| (other.changed_at, &other.package).cmp(&(one.changed_at, &one.package)));
    Ok(Listing {
        latest: latest(&index).and_then(version),
        versions,
    })
}

/// An answer of the journal, reduced to what is read of it.
#[derive(Serialize, Deserialize)]
struct Page {
    names: BTreeSet<String>,
    rows: usize,
    until: Option<u64>,
}

/// The serial of the last event.
pub(super) async fn feed_end(feed: &Url, look: &Look<'_>) -> Result<u64, LookFault> {
    let read = |bytes: &[u8]| {
        last_serial(bytes).map(|serial| Page {
            names: BTreeSet::new(),
            rows: 0,
            until: Some(serial),
        })
    };
    let page = ask(feed, last_serial_request(), read, look).await?;
    Ok(page.until.unwrap_or_default())
}

/// What happened after an event. PyPI gives up to fifty thousand rows at once, whatever is asked for.
pub(super) async fn feed_page(feed: &Url, since: u64, _limit: usize, look: &Look<'_>) -> Result<FeedPage, LookFault> {
    let read = |bytes: &[u8]| {
        rows(bytes).map(|rows| Page {
            rows: rows.len(),
            until: rows.iter().map(|row| row.serial).max(),
            names: rows.into_iter().map(|row| row.name).collect(),
        })
    };
    let page = ask(feed, since_serial_request(since), read, look).await?;
    let names: BTreeSet<PackageName> = page
        .names
        .iter()
        .filter_map(|name| PackageName::new(Ecosystem::PyPi, name).ok())
        .collect();
    Ok(FeedPage {
        names: names.into_iter().collect(),
        rows: page.rows,
        until: page.until.unwrap_or(since).max(since),
    })
}

async fn ask(
    journal: &Url,
    question: String,
    read: fn(&[u8]) -> Result<Page, JournalError>,
    look: &Look<'_>,
) -> Result<Page, LookFault> {
    let reduce = move |bytes: &[u8]| serde_json::to_vec(&read(bytes).ok()?).ok();
    let observed = look
        .fetch
        .fetch(Request {
            subject: Subject::ChangeFeed,
            url: journal.clone(),
            accept: MEDIA_TYPE,
            keep: Keep::Excerpt(Arc::new(reduce)),
            limit: JOURNAL_LIMIT,
            at: look.at,
            previous: None,
            modified_since: None,
            post: Some(Post {
                content_type: MEDIA_TYPE,
                body: question,
            }),
            uncached: false,
            insist: false,
            redirects: REDIRECTS,
        })
        .await;
    match document(
        &observed,
        |bytes| serde_json::from_slice(bytes).ok(),
        "an answer of the journal",
    ) {
        Availability::Present(found) => Ok(found),
        Availability::Absent { because } => Err(upstream(&observed, &because)),
        Availability::Unavailable(trouble) => Err(upstream(&observed, &trouble.detail)),
    }
}
