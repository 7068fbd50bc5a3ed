//! The registry's feed of changes: one row for each publication and each removal, in their order.
//!
//! A row names a package and no version: what changed is found in the packument.

use crate::{
    answer::{Answer, Reply, Request},
    encoding::{percent_decode, sha1},
};
use serde_json::{Value, json};

/// How many rows a page has unless the client says otherwise.
const PAGE: usize = 1_000;
/// The most that it may ask for.
const LARGEST_PAGE: usize = 10_000;
/// The sequence number before the first row: nobody may take numbers for places in a list.
const BEFORE_THE_FIRST: u64 = 41_700_000;
/// What the registry refuses since it serves plain pages only.
const REFUSED: [&str; 3] = ["feed", "timeout", "include_docs"];

/// One change of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Its number. Later rows have larger ones, and there are gaps.
    pub seq: u64,
    /// The package's name.
    pub id: String,
    /// The revision of the package's document.
    pub revision: String,
    /// Whether the whole package is gone.
    pub deleted: bool,
}

/// The feed of one registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed {
    rows: Vec<FeedRow>,
    /// How it answers whatever it is asked.
    pub(crate) answer: Answer,
}

impl Feed {
    /// Appends a change of the package `id`.
    pub(crate) fn append(&mut self, id: &str, deleted: bool) {
        let number = self.rows.len() as u64 + 1;
        // Every third number belongs to a change that is not shown.
        let seq = BEFORE_THE_FIRST + number + number / 3;
        let revision = format!("{number}-{}", hex::encode(sha1(format!("{id} {number}").as_bytes())));
        self.rows.push(FeedRow {
            seq,
            id: id.to_owned(),
            revision,
            deleted,
        });
    }

    /// Every row so far.
    pub(crate) fn rows(&self) -> &[FeedRow] {
        &self.rows
    }

    /// The number of the last row.
    pub(crate) fn end(&self) -> u64 {
        self.rows.last().map_or(BEFORE_THE_FIRST, |row| row.seq)
    }

    /// The reply to a request below the feed's own path.
    pub(crate) fn respond(&self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        self.answer.reply(0, || match path {
            "" | "/" => Reply::json(&json!({"db_name": "registry", "update_seq": self.end()})),
            "/_changes" => match Page::parse(query) {
                Ok(page) => Reply::json(&self.page(&page)),
                Err(reason) => Reply {
                    status: 400,
                    ..Reply::json(&json!({"error": "bad_request", "reason": reason}))
                },
            },
            _ => Reply::not_found(),
        })
    }

    /// The rows of a page, and the number to go on from: of an empty page, the one that was asked for.
    fn page(&self, page: &Page) -> Value {
        let begin = self.rows.partition_point(|row| row.seq <= page.since);
        let rows = self.rows.get(begin..).unwrap_or_default();
        let shown: Vec<&FeedRow> = rows.iter().take(page.limit).collect();
        let last = shown.last().map_or(page.since, |row| row.seq);
        let results: Vec<Value> = shown
            .into_iter()
            .map(|row| {
                let mut shown = json!({"seq": row.seq, "id": row.id, "changes": [{"rev": row.revision}]});
                if row.deleted {
                    crate::encoding::insert(&mut shown, "deleted", json!(true));
                }
                shown
            })
            .collect();
        json!({"results": results, "last_seq": last})
    }
}

/// What a client asks for.
struct Page {
    since: u64,
    limit: usize,
}

impl Page {
    fn parse(query: &str) -> Result<Self, String> {
        let mut page = Self { since: 0, limit: PAGE };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value);
            let refused = || format!("{name}={value} is not supported");
            match name {
                "since" => page.since = value.parse().ok().ok_or_else(refused)?,
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                    page.limit = limit.ok_or_else(refused)?;
                }
                name if REFUSED.contains(&name) => return Err(refused()),
                _ => {}
            }
        }
        Ok(page)
    }
}
