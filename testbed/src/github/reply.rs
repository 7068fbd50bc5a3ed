//! Answers of the API before they become replies, and what queries ask of them.

use crate::{
    answer::{Reply, Request},
    encoding::percent_decode,
};
use serde_json::{Value, json};

/// The media type of every document.
const JSON: &str = "application/json; charset=utf-8";

/// What the API has to say.
pub(super) struct Resource {
    /// The status.
    pub(super) status: u16,
    /// The headers besides the content type, names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) content: Content,
}

/// The body.
pub(super) enum Content {
    /// A document.
    Document(Value),
    /// Bytes of this media type.
    Bytes(&'static str, Vec<u8>),
}

impl Resource {
    /// Status 200 with a document.
    pub(super) fn document(document: Value) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content: Content::Document(document),
        }
    }

    /// Status 200 with bytes.
    pub(super) fn bytes(content_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            content: Content::Bytes(content_type, bytes),
            ..Self::document(Value::Null)
        }
    }

    /// A refusal in GitHub's shape.
    pub(super) fn refusal(status: u16, message: &str) -> Self {
        Self {
            status,
            ..Self::document(json!({
                "message": message,
                "documentation_url": "https://docs.github.com/rest",
                "status": status.to_string(),
            }))
        }
    }

    /// Status 404, for what is not there and for what is not shown.
    pub(super) fn not_found() -> Self {
        Self::refusal(404, "Not Found")
    }

    /// Status 422, for a commit that nothing leads to.
    pub(super) fn no_commit(name: &str) -> Self {
        Self::refusal(422, &format!("No commit found for SHA: {name}"))
    }

    /// Status 301 to a path below the party's prefix.
    pub(super) fn moved(path: &str) -> Self {
        let location = format!("{}{path}", super::PREFIX);
        let mut resource = Self::refusal(301, "Moved Permanently");
        if let Content::Document(document) = &mut resource.content {
            crate::encoding::insert(document, "url", json!(location));
        }
        resource.headers.push(("location".to_owned(), location));
        resource
    }

    /// The same with another document.
    pub(super) fn with(self, document: Value) -> Self {
        Self {
            content: Content::Document(document),
            ..self
        }
    }

    /// The reply to a client that may have the very same already.
    pub(super) fn into_reply_to(self, request: &Request) -> Reply {
        let found = self.status == 200;
        let reply = self.into_reply();
        if found { reply.conditional(request) } else { reply }
    }

    /// The reply, with nothing that later requests could refer to.
    pub(super) fn into_reply(self) -> Reply {
        let (content_type, bytes) = match self.content {
            Content::Document(document) => (JSON, document.to_string().into_bytes()),
            Content::Bytes(content_type, bytes) => (content_type, bytes),
        };
        let mut reply = Reply::bytes_of(content_type, bytes);
        reply.status = self.status;
        reply.headers.extend(self.headers);
        reply
    }
}

/// The parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The parameters of what follows the question mark.
    pub(super) fn parse(text: &str) -> Self {
        let decode = |text: &str| percent_decode(&text.replace('+', " "));
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(parameter, _)| parameter == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The page that is asked for.
    pub(super) fn page(&self, usual_size: usize) -> Page {
        let number = |name| self.get(name).and_then(|text| text.parse::<usize>().ok());
        Page {
            size: number("per_page").map_or(usual_size, |size| size.clamp(1, 100)),
            number: number("page").unwrap_or(1).max(1),
        }
    }
}

/// A page of a list.
#[derive(Clone, Copy)]
pub(super) struct Page {
    size: usize,
    number: usize,
}

impl Page {
    /// The items of the page.
    pub(super) fn of<T>(self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        let before = self.size.saturating_mul(self.number - 1);
        items.into_iter().skip(before).take(self.size).collect()
    }

    /// The header that leads to the other pages of a list of `total` items at `path`, which has no query.
    pub(super) fn link(self, path: &str, total: usize) -> Option<(String, String)> {
        let last = total.div_ceil(self.size);
        let (previous, next) = (self.number - 1, self.number + 1);
        let relations = [
            (previous, "prev", self.number > 1),
            (next, "next", self.number < last),
            (last, "last", self.number < last),
            (1, "first", self.number > 1),
        ];
        let links: Vec<_> = relations
            .into_iter()
            .filter(|(.., exists)| *exists)
            .map(|(page, relation, _)| {
                let prefix = super::PREFIX;
                format!(
                    "<{prefix}{path}?per_page={}&page={page}>; rel=\"{relation}\"",
                    self.size
                )
            })
            .collect();
        (!links.is_empty()).then(|| ("link".to_owned(), links.join(", ")))
    }
}
