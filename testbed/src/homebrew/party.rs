//! The formula API and the registry of bottles: what was published, and how a request is answered.

use super::{ANONYMOUS, BottleServed, FormulaPublished, PREFIX, image_name};
use crate::{
    answer::{Answer, Reply, Request},
    attempts::Attempts,
    encoding::{insert, percent_decode},
};
use jiff::{Timestamp, fmt::rfc2822};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Homebrew.
#[derive(Debug, Default)]
pub struct Homebrew {
    formulae: BTreeMap<String, Vec<Arc<FormulaPublished>>>,
    /// How the formula API answers whatever it is asked.
    pub answer: Answer,
    /// How the registry of bottles answers whatever it is asked.
    pub bottles_answer: Answer,
    /// Whether the registry sends its clients on to a store that asks for no authorisation.
    pub bottles_redirected: bool,
    attempts: Attempts,
}

impl Homebrew {
    /// Publishes a formula. The API tells of the last version alone; the bottles of all of them stay.
    pub fn publish(&mut self, formula: FormulaPublished) {
        self.formulae
            .entry(formula.name.clone())
            .or_default()
            .push(Arc::new(formula));
    }

    /// Takes the last version of a formula back. False if there is none.
    pub fn withdraw(&mut self, name: &str) -> bool {
        let versions = self.formulae.get_mut(name);
        versions.is_some_and(|versions| versions.pop().is_some())
    }

    /// Serves other bytes than were published for `tag`, and tells nobody. False if there is no such bottle.
    pub fn replace_bottle(&mut self, name: &str, tag: &str, edit: impl FnOnce(&mut Vec<u8>)) -> bool {
        let last = self.formulae.get_mut(name).and_then(|versions| versions.last_mut());
        let bottles = last.map(|formula| &mut Arc::make_mut(formula).bottles);
        let bottle = bottles.into_iter().flatten().find(|bottle| bottle.tag == tag);
        bottle.map(|bottle| edit(&mut bottle.bytes)).is_some()
    }

    /// What was published last as `name`.
    pub fn published(&self, name: &str) -> Option<&Arc<FormulaPublished>> {
        self.formulae.get(name)?.last()
    }

    /// The reply of the formula API.
    pub(crate) fn respond(&self, request: &Request) -> Reply {
        let path = percent_decode(request.path.split('?').next().unwrap_or_default());
        let attempt = self.attempts.count(&path);
        self.answer.reply(attempt, || self.document(request, &path, attempt))
    }

    fn document(&self, request: &Request, path: &str, attempt: u32) -> Reply {
        if path == "/api/formula.json" {
            let last = self.formulae.values().filter_map(|versions| versions.last());
            let changed = last.clone().map(|formula| formula.published_at).max();
            let documents: Vec<&Value> = last.map(|formula| &formula.document).collect();
            return dated(Reply::json(&json!(documents)), changed, request);
        }
        let name = path
            .strip_prefix("/api/formula/")
            .and_then(|path| path.strip_suffix(".json"));
        let Some(formula) = name.and_then(|name| self.published(name)) else {
            return not_found();
        };
        formula.answer.as_ref().unwrap_or(&Answer::Normal).reply(attempt, || {
            let mut document = formula.document.clone();
            let date = formula.published_at.strftime("%Y-%m-%d").to_string();
            insert(&mut document, "generated_date", json!(date));
            dated(Reply::json(&document), Some(formula.published_at), request)
        })
    }

    /// The reply of the registry of bottles.
    pub(crate) fn respond_bottles(&self, request: &Request) -> Reply {
        let path = percent_decode(request.path.split('?').next().unwrap_or_default());
        let attempt = self.attempts.count(&path);
        self.bottles_answer
            .reply(attempt, || self.blob(request, &path, attempt))
    }

    fn blob(&self, request: &Request, path: &str, attempt: u32) -> Reply {
        if let Some(digest) = path.strip_prefix("/storage/sha256:") {
            let mut bottles = self.bottles().map(|(_, bottle)| bottle);
            let bottle = bottles.find(|bottle| bottle.sha256 == digest);
            return bottle.map_or_else(not_found, |bottle| bottle.reply(attempt));
        }
        let Some((image, digest)) = path
            .strip_prefix("/v2/homebrew/core/")
            .and_then(|path| path.split_once("/blobs/sha256:"))
        else {
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
        };
        if request.authorization.as_deref() != Some(ANONYMOUS) {
            let mut reply = refusal(401, "UNAUTHORIZED", "authentication required");
            let realm = format!(
                "Bearer realm=\"https://ghcr.io/token\",service=\"ghcr.io\",scope=\"repository:homebrew/core/{image}:pull\""
            );
            reply.headers.push(("www-authenticate".to_owned(), realm));
            return reply;
        }
        let mut bottles = self.bottles();
        let found = bottles.find(|(formula, bottle)| image_name(formula) == image && bottle.sha256 == digest);
        match found {
            None => refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            Some(_) if self.bottles_redirected => {
                let mut reply = Reply::bytes_of("text/html", Vec::new());
                reply.status = 307;
                let location = format!("{PREFIX}/storage/sha256:{digest}");
                reply.headers.push(("location".to_owned(), location));
                reply
            }
            Some((_, bottle)) => bottle.reply(attempt),
        }
    }

    /// The bottles of all versions, with the names of their formulae.
    fn bottles(&self) -> impl Iterator<Item = (&str, &BottleServed)> {
        let formulae = self.formulae.values().flatten();
        formulae.flat_map(|formula| formula.bottles.iter().map(|bottle| (formula.name.as_str(), bottle)))
    }
}

impl BottleServed {
    /// The path of its address.
    pub fn path(&self) -> &str {
        self.url.strip_prefix("https://ghcr.io").unwrap_or(&self.url)
    }

    fn reply(&self, attempt: u32) -> Reply {
        self.answer.reply(attempt, || {
            let mut reply = Reply::bytes_of("application/octet-stream", self.bytes.clone());
            let digest = format!("sha256:{}", self.sha256);
            reply.headers.push(("docker-content-digest".to_owned(), digest));
            reply
        })
    }
}

/// With an entity tag and the time of the last change; 304 for a client that has this very answer. The time counts only
/// where the client shows no tag (RFC 9110, 13.2.2).
fn dated(reply: Reply, changed: Option<Timestamp>, request: &Request) -> Reply {
    let mut reply = reply.conditional(request);
    let Some(changed) = changed.and_then(|changed| Timestamp::from_second(changed.as_second()).ok()) else {
        return reply;
    };
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&changed);
    if let Ok(date) = date {
        reply.headers.push(("last-modified".to_owned(), date));
    }
    let since = request.if_modified_since.as_deref();
    let since = since.and_then(|since| rfc2822::DateTimeParser::new().parse_timestamp(since).ok());
    if request.if_none_match.is_none() && since.is_some_and(|since| changed <= since) {
        reply.status = 304;
        reply.body = crate::Body::Bytes(Vec::new());
    }
    reply
}

/// The page for what is not there.
fn not_found() -> Reply {
    let page = b"<!DOCTYPE html><title>404</title>".to_vec();
    Reply {
        status: 404,
        ..Reply::bytes_of("text/html; charset=utf-8", page)
    }
}

/// A refusal of the registry (OCI distribution specification, error codes).
fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply {
        status,
        ..Reply::json(&json!({"errors": [{"code": code, "message": message}]}))
    }
}
