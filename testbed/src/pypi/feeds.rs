//! The RSS feeds: the newest projects, the latest releases of all projects, and those of one.

use super::{INDEX_HOST, PypiPublished, documents::Project, normalize};
use crate::answer::{Reply, Request};
use jiff::{Timestamp, fmt::rfc2822};
use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

/// How many items the feed of all releases has at most.
const UPDATES: usize = 100;
/// How many each of the others has.
const OTHERS: usize = 40;

/// One item: when, title and link.
type Item = (Timestamp, String, String);

/// The feed at `path` below `/rss/`, if there is one.
pub(super) fn feed(projects: &BTreeMap<String, Project>, path: &[&str], request: &Request) -> Option<Reply> {
    let listed = || projects.values().filter(|project| !project.quarantined);
    let releases = |project: &'_ Project| -> Vec<(String, Item)> {
        let name = normalize(&project.name);
        let releases = project.releases.iter().map(|release| {
            let link = format!("{INDEX_HOST}/project/{name}/{}/", release.version);
            let title = release.version.clone();
            (project.name.clone(), (release.uploaded_at(), title, link))
        });
        releases.collect()
    };
    let (title, limit, items): (_, _, Vec<Item>) = match path {
        ["updates.xml"] => {
            let items = listed().flat_map(releases);
            let named = items.map(|(name, (at, version, link))| (at, format!("{name} {version}"), link));
            ("PyPI recent updates".to_owned(), UPDATES, named.collect())
        }
        ["packages.xml"] => {
            let items = listed().filter_map(|project| {
                let first = project.releases.iter().map(|release| release.uploaded_at()).min()?;
                let link = format!("{INDEX_HOST}/project/{}/", normalize(&project.name));
                Some((first, format!("{} added to PyPI", project.name), link))
            });
            ("PyPI newest packages".to_owned(), OTHERS, items.collect())
        }
        ["project", name, "releases.xml"] => {
            let project = projects.get(&normalize(name))?;
            let items = releases(project).into_iter().map(|(_, item)| item);
            let title = format!("PyPI recent updates for {}", project.name);
            (title, OTHERS, items.collect())
        }
        _ => return None,
    };
    let reply = Reply::bytes_of("text/xml; charset=UTF-8", written(&title, limit, items).into_bytes());
    Some(reply.conditional(request))
}

/// The document, with the latest item first.
fn written(title: &str, limit: usize, mut items: Vec<Item>) -> String {
    items.sort_by_key(|(at, ..)| Reverse(*at));
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\">\n  <channel>\n    <title>{title}</title>\n    <link>{INDEX_HOST}/</link>\n    <language>en</language>\n"
    );
    for (at, title, link) in items.iter().take(limit) {
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(at);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "    <item>\n      <title>{title}</title>\n      <link>{link}</link>\n      <pubDate>{}</pubDate>\n    </item>\n",
            date.unwrap_or_default()
        );
    }
    text + "  </channel>\n</rss>\n"
}

impl PypiPublished {
    /// When its first file was uploaded.
    fn uploaded_at(&self) -> Timestamp {
        let times = self.files.iter().map(|file| file.uploaded_at);
        times.min().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
