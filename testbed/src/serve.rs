//! A scenario on a loopback port.

use crate::{
    Body, Party, Reply, Request, Scenario, SeenRequest,
    stream::{Fuse, FusedListener},
};
use axum::{
    Router,
    body::{Body as HttpBody, Bytes, to_bytes},
    extract::{ConnectInfo, Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use futures::{StreamExt as _, stream};
use std::{
    convert::Infallible,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, sync::watch};

/// Requests with longer bodies are answered as if they had none.
const MAX_REQUEST: usize = 1 << 20;
/// The filling of a huge answer.
static FILLING: [u8; 1 << 16] = [b'a'; 1 << 16];
/// Before and after it: a JSON document with one string.
const HUGE_PREFIX: &[u8] = b"{\"padding\":\"";
const HUGE_SUFFIX: &[u8] = b"\"}";

/// A running scenario. Dropping it stops the server and releases every connection that hangs.
pub struct Served {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

struct Shared {
    scenario: Arc<Scenario>,
    requests: Mutex<Vec<SeenRequest>>,
    stopped: watch::Receiver<bool>,
}

impl Served {
    pub(crate) async fn start(scenario: Arc<Scenario>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            scenario,
            requests: Mutex::default(),
            stopped: stopped.clone(),
        });
        let service = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Fuse>();
        tokio::spawn(async move {
            let server = axum::serve(FusedListener(listener), service);
            // The server's future ends only when it is told to, and has no error to report.
            let _ = server.with_graceful_shutdown(until_stopped(stopped)).await;
        });
        Ok(Self { address, shared, stop })
    }

    /// The scenario that is served.
    pub fn scenario(&self) -> &Scenario {
        &self.shared.scenario
    }

    /// The base address of the npm registry, without a trailing slash.
    pub fn npm_url(&self) -> String {
        self.url(Party::Npm)
    }

    /// The base address of npm's feed of changes, without a trailing slash.
    pub fn npm_feed_url(&self) -> String {
        self.url(Party::NpmFeed)
    }

    /// The base address of both logs: `/api/v1` and `/api/v2` are below it.
    pub fn rekor_url(&self) -> String {
        self.url(Party::Rekor)
    }

    /// The base address of GitHub's API, without a trailing slash.
    pub fn github_url(&self) -> String {
        self.url(Party::GitHub)
    }

    /// The base address of PyPI with its files, without a trailing slash.
    pub fn pypi_url(&self) -> String {
        self.url(Party::Pypi)
    }

    /// The base address of Homebrew's formula API, without a trailing slash.
    pub fn homebrew_url(&self) -> String {
        self.url(Party::Homebrew)
    }

    /// The base address of the registry of Homebrew's bottles, without a trailing slash.
    pub fn bottles_url(&self) -> String {
        self.url(Party::Bottles)
    }

    /// The base address of a party, without a trailing slash.
    pub fn url(&self, party: Party) -> String {
        format!("http://{}/{}", self.address, party.name())
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The paths that were asked of npm, in order of arrival.
    pub fn npm_paths(&self) -> Vec<String> {
        self.paths(Party::Npm)
    }

    /// The paths that were asked of GitHub, in order of arrival.
    pub fn github_paths(&self) -> Vec<String> {
        self.paths(Party::GitHub)
    }

    /// The paths that were asked of a party, in order of arrival.
    pub fn paths(&self, party: Party) -> Vec<String> {
        self.requests()
            .into_iter()
            .filter(|request| request.party == party.name())
            .map(|request| request.path)
            .collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Writes `trusted_root.json`, `trusted_root.github.json` and `npm-keys.json` into `directory`.
    pub fn write_trust(&self, directory: &Path) -> io::Result<()> {
        self.scenario().write_trust(directory)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Served")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Waits until the server is told to stop, or is gone.
async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(fuse): ConnectInfo<Fuse>,
    request: HttpRequest,
) -> Response {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let (party, path) = split_party(target);
    let seen = SeenRequest {
        method: head.method.to_string(),
        party: party.to_owned(),
        path: path.to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect(),
    };
    shared
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seen);
    let request = Request {
        path: path.to_owned(),
        accept: header_text(&head.headers, &header::ACCEPT),
        if_none_match: header_text(&head.headers, &header::IF_NONE_MATCH),
        if_modified_since: header_text(&head.headers, &header::IF_MODIFIED_SINCE),
        authorization: header_text(&head.headers, &header::AUTHORIZATION),
        body: to_bytes(body, MAX_REQUEST).await.unwrap_or_default().to_vec(),
    };
    let reply = Party::named(party).map_or_else(Reply::not_found, |party| shared.scenario.reply(party, &request));
    deliver(reply, &fuse, shared.stopped.clone()).await
}

/// The first segment of the path, and the rest with its slash.
fn split_party(target: &str) -> (&str, &str) {
    let target = target.trim_start_matches('/');
    target
        .find(['/', '?'])
        .map_or((target, "/"), |end| target.split_at(end))
}

async fn deliver(reply: Reply, fuse: &Fuse, stopped: watch::Receiver<bool>) -> Response {
    let mut announced = None;
    let body = match reply.body {
        Body::Bytes(bytes) => HttpBody::from(bytes),
        Body::Huge(length) => huge(length),
        Body::Truncated {
            bytes,
            announced: length,
        } => {
            announced = Some(length);
            let begin = stream::once(async { Ok(Bytes::from(bytes)) });
            // Yielding lets the beginning leave before the connection breaks.
            let end = stream::once(async {
                tokio::task::yield_now().await;
                Err(io::Error::from(io::ErrorKind::ConnectionAborted))
            });
            HttpBody::from_stream(begin.chain(end))
        }
        Body::Hang => {
            until_stopped(stopped).await;
            HttpBody::empty()
        }
        Body::Reset => {
            fuse.blow();
            HttpBody::empty()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        let name = header::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, header::HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    if let Some(length) = announced {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// A JSON document of `length` bytes, written piece by piece and never held.
fn huge(length: u64) -> HttpBody {
    let filling = length.saturating_sub((HUGE_PREFIX.len() + HUGE_SUFFIX.len()) as u64);
    let pieces = stream::unfold((Some(HUGE_PREFIX), Some(filling)), |(prefix, left)| async move {
        if let Some(prefix) = prefix {
            return Some((Bytes::from_static(prefix), (None, left)));
        }
        let left = left?;
        if left == 0 {
            return Some((Bytes::from_static(HUGE_SUFFIX), (None, None)));
        }
        let width = usize::try_from(left).map_or(FILLING.len(), |left| left.min(FILLING.len()));
        let piece = Bytes::from_static(FILLING.get(..width).unwrap_or_default());
        Some((piece, (None, Some(left - width as u64))))
    });
    HttpBody::from_stream(pieces.map(Ok::<_, Infallible>))
}

fn header_text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| text(value.as_bytes()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
