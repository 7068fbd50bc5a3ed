//! The journal of everything that happens to projects, by the two XML-RPC methods that mirrors use
//! (<https://docs.pypi.org/api/>; <http://xmlrpc.com/spec.md>).

use crate::answer::{Reply, Request};
use jiff::Timestamp;
use std::fmt::Write as _;

/// The serial number before the first change: nobody may take it for a count.
const BEFORE_THE_FIRST: u64 = 31_000_000;
/// The most rows of one answer.
const LIMIT: usize = 50_000;

/// Something that happened to a project.
#[derive(Debug, Clone)]
struct Row {
    name: String,
    version: Option<String>,
    at: Timestamp,
    action: String,
}

/// Everything that happened, in its order.
#[derive(Debug, Default)]
pub(super) struct Journal {
    rows: Vec<Row>,
}

impl Journal {
    /// Notes what happened to a project, or to a version of it. Where no time is told, it is that of the row before.
    pub(super) fn note(&mut self, name: &str, version: Option<&str>, at: Option<Timestamp>, action: String) {
        let before = self.rows.last().map_or(Timestamp::UNIX_EPOCH, |row| row.at);
        self.rows.push(Row {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            at: at.unwrap_or(before),
            action,
        });
    }

    /// The serial number of the last row.
    pub(super) fn serial(&self) -> u64 {
        BEFORE_THE_FIRST + self.rows.len() as u64
    }

    /// The reply to the call in the body of a request.
    pub(super) fn respond(&self, request: &Request) -> Reply {
        let body = String::from_utf8_lossy(&request.body);
        let number = between(&body, "<int>", "</int>").and_then(|digits| digits.trim().parse::<u64>().ok());
        let value = match (between(&body, "<methodName>", "</methodName>"), number) {
            (Some("changelog_last_serial"), _) => Some(format!("<int>{}</int>", self.serial())),
            (Some("changelog_since_serial"), Some(since)) => Some(self.since(since)),
            (Some(_) | None, _) => None,
        };
        let content = match value {
            Some(value) => format!("<params>\n<param>\n<value>{value}</value>\n</param>\n</params>"),
            None => "<fault><value><struct><member><name>faultCode</name><value><int>-32601</int></value></member>\
                     <member><name>faultString</name><value><string>server error; requested method not found</string></value>\
                     </member></struct></value></fault>"
                .to_owned(),
        };
        let document = format!("<?xml version='1.0'?>\n<methodResponse>\n{content}\n</methodResponse>\n");
        Reply::bytes_of("text/xml; charset=UTF-8", document.into_bytes())
    }

    /// What happened after a row, the oldest first.
    fn since(&self, serial: u64) -> String {
        let first = usize::try_from(serial.saturating_sub(BEFORE_THE_FIRST)).unwrap_or(usize::MAX);
        let mut text = "<array><data>\n".to_owned();
        for (row, number) in self.rows.iter().zip(1..).skip(first).take(LIMIT) {
            let version = row.version.as_deref().map_or_else(|| "<nil/>".to_owned(), string);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "<value><array><data>\n<value>{}</value>\n<value>{version}</value>\n<value><int>{}</int></value>\n<value>{}</value>\n<value><int>{}</int></value>\n</data></array></value>",
                string(&row.name),
                row.at.as_second(),
                string(&row.action),
                BEFORE_THE_FIRST + number,
            );
        }
        text + "</data></array>"
    }
}

fn string(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<string>{escaped}</string>")
}

/// What stands between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end)?.0)
}
