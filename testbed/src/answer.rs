//! How a party answers a request: as it should, or in one of the ways in which servers fail.

use serde_json::Value;

/// What a party does when it is asked for a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// Answers as it should.
    #[default]
    Normal,
    /// A bare status, with `Retry-After` in seconds if given.
    Status(u16, Option<u64>),
    /// These bytes.
    Body {
        /// The status.
        status: u16,
        /// The content type.
        content_type: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Status 200 with a page of HTML, as a challenge in front of a registry does.
    Html200,
    /// Status 200, the usual content type, and nothing.
    EmptyBody,
    /// Status 302 to this address.
    RedirectTo(String),
    /// Takes the request and says nothing until the server stops.
    Hang,
    /// A valid JSON document of this many bytes, never held in memory.
    Huge(u64),
    /// Announces the whole answer and breaks off in the middle.
    Truncated,
    /// Resets the connection without an answer.
    Reset,
    /// This status for so many requests of the resource, then as it should.
    FailTimes(u32, u16),
}

/// A request, as far as answers depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Path and query within the party.
    pub path: String,
    /// The `Accept` header.
    pub accept: Option<String>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<String>,
    /// The `If-Modified-Since` header.
    pub if_modified_since: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A plain request for `path`.
    pub fn get(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }
}

/// The body of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A JSON document of this length that is written piece by piece.
    Huge(u64),
    /// These bytes of an announced length, then the end of the connection.
    Truncated {
        /// What is sent.
        bytes: Vec<u8>,
        /// What `Content-Length` says.
        announced: usize,
    },
    /// No reply before the server stops.
    Hang,
    /// No reply but a reset.
    Reset,
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status; without meaning for [`Body::Hang`] and [`Body::Reset`].
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Reply {
    /// Status 200 with a JSON document.
    pub(crate) fn json(document: &Value) -> Self {
        Self::bytes_of("application/json", document.to_string().into_bytes())
    }

    /// Status 200 with bytes.
    pub(crate) fn bytes_of(content_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: Body::Bytes(bytes),
        }
    }

    /// The registry's JSON for what is not there.
    pub(crate) fn not_found() -> Self {
        Self {
            status: 404,
            ..Self::json(&serde_json::json!({"error": "Not found"}))
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// The bytes, when the reply has a whole body that fits into memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes),
            Body::Huge(_) | Body::Truncated { .. } | Body::Hang | Body::Reset => None,
        }
    }

    /// The body as JSON.
    pub fn as_json(&self) -> Option<Value> {
        serde_json::from_slice(self.bytes()?).ok()
    }

    /// Adds an entity tag, and becomes 304 when the client has this very answer. The tag is as long as GitHub's, and like those no
    /// digest of the body that anybody could compute.
    pub(crate) fn conditional(mut self, request: &Request) -> Self {
        let Some(bytes) = self.bytes() else {
            return self;
        };
        let tagged = [b"the tag of ", bytes].concat();
        let tag = format!("W/\"{}\"", hex::encode(crate::encoding::sha256(&tagged)));
        self.headers.push(("etag".to_owned(), tag));
        if self.is_known_to(request) {
            self = self.not_modified();
        }
        self
    }

    /// Whether the client has this very answer, by the entity tag.
    pub fn is_known_to(&self, request: &Request) -> bool {
        let tag = self.headers.iter().find(|(name, _)| name == "etag");
        let tags = request.if_none_match.as_deref().unwrap_or_default();
        self.status == 200 && tag.is_some_and(|(_, tag)| tags.split(',').any(|one| one.trim() == tag))
    }

    /// The answer to a client that has this one.
    #[must_use]
    pub fn not_modified(&self) -> Self {
        Self {
            status: 304,
            headers: self.headers.clone(),
            body: Body::Bytes(Vec::new()),
        }
    }

    fn nothing(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }
}

impl Answer {
    /// The reply to the request number `attempt`, from 0, of a resource whose proper reply is `normal`.
    pub(crate) fn reply(&self, attempt: u32, normal: impl FnOnce() -> Reply) -> Reply {
        match self {
            Self::FailTimes(times, status) if attempt < *times => Self::Status(*status, None).reply(attempt, normal),
            Self::Normal | Self::FailTimes(..) => normal(),
            Self::Status(status, retry_after) => {
                let mut reply = Reply::bytes_of("text/plain", Vec::new());
                reply.status = *status;
                if let Some(seconds) = retry_after {
                    reply.headers.push(("retry-after".to_owned(), seconds.to_string()));
                }
                reply
            }
            Self::Body {
                status,
                content_type,
                bytes,
            } => Reply {
                status: *status,
                ..Reply::bytes_of(content_type, bytes.clone())
            },
            Self::Html200 => Reply::bytes_of(
                "text/html; charset=utf-8",
                b"<!doctype html><title>Just a moment...</title><p>Checking your browser.".to_vec(),
            ),
            Self::EmptyBody => Reply {
                body: Body::Bytes(Vec::new()),
                ..normal()
            },
            Self::RedirectTo(address) => Reply {
                status: 302,
                headers: vec![("location".to_owned(), address.clone())],
                body: Body::Bytes(Vec::new()),
            },
            Self::Hang => Reply::nothing(503, Body::Hang),
            Self::Reset => Reply::nothing(503, Body::Reset),
            Self::Huge(length) => Reply {
                body: Body::Huge(*length),
                ..Reply::bytes_of("application/json", Vec::new())
            },
            Self::Truncated => {
                let mut reply = normal();
                if let Body::Bytes(bytes) = &reply.body {
                    let announced = bytes.len();
                    let bytes = bytes.iter().copied().take(announced / 2).collect();
                    reply.body = Body::Truncated { bytes, announced };
                }
                reply
            }
        }
    }
}
