//! The `Fetch` port over HTTP.
//!
//! What a package or a registry says never chooses a host: a redirect leaves the asked origin only as far as its path.
//! Whatever the upstream does (hang, lie about lengths, send a bomb) ends within a budget of time and memory as an
//! observation that says nothing about the package.
//!
//! An [`Upstream`] that is configured as such gets headers that nobody else gets, and is left alone before its quota is spent.
//! What is known of quotas lives in the process: each one learns it anew from its first answer.

mod body;
mod npm_manifest;
mod python_metadata;
mod refusal;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod upstream;

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use thiserror::Error;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

pub use self::npm_manifest::read_npm_manifest;
pub use self::python_metadata::read_core_metadata;
use self::refusal::refusal;
pub use self::upstream::Upstream;
use self::upstream::{Guarded, Upstreams};
use crate::availability::UnavailableReason;
use crate::dossier::{Answer, Kept, Observation, Response};
use crate::package::Digest;
use crate::ports::{Fetch, Keep, Post, REDIRECTS, Request};

/// Longer header values are not recorded.
const HEADER_LIMIT: usize = 1024;
/// Connections that were idle for longer are not trusted to be alive; a suspended function wakes up with dead ones.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(20);

/// Which certificate authorities an upstream may be certified by.
#[derive(Clone, Debug)]
pub enum TlsRoots {
    /// Mozilla's, compiled in, and those in `extra_pem`, for example a proxy's. Loads in a tenth of the time of the system's.
    Bundled {
        /// Further certificates in PEM; may be empty.
        extra_pem: Vec<u8>,
    },
    /// What the operating system trusts, including what its administrator added.
    System,
}

/// How to ask.
///
/// The defaults suit a function that has to answer through an HTTP API within 30 seconds and asks in two rounds: what the
/// registry says, then what it serves. A large file may take longer than such a caller waits.
#[derive(Clone, Debug)]
pub struct HttpFetchConfig {
    /// `User-Agent`: who asks, and where to complain.
    pub user_agent: String,
    /// Which certificate authorities are trusted; the compiled-in ones by default.
    pub tls_roots: TlsRoots,
    /// Whether `HTTPS_PROXY` and the like apply; true by default.
    pub use_proxies: bool,
    /// Time for a connection to come about; 3 s by default.
    pub connect_timeout: Duration,
    /// Time without a byte after which a transfer is given up; 5 s by default.
    pub read_timeout: Duration,
    /// Time for one attempt, from the request to the last byte; 10 s by default.
    pub attempt_timeout: Duration,
    /// How much longer an attempt may take, and the question with it, whose answer is a file to be digested; 30 s by default.
    /// The largest files have some hundred megabytes, and whoever waits for the verdict has a deadline of its own.
    pub longer_for_files: Duration,
    /// How often a question is asked at most; 3 by default.
    pub attempts: u32,
    /// The longest wait before the second attempt, doubled for each further one; 250 ms by default.
    /// The actual wait is drawn evenly from zero to that, so that callers that failed together do not return together.
    pub backoff_base: Duration,
    /// Where the doubling ends; 2 s by default.
    pub backoff_cap: Duration,
    /// The longest wait that an upstream may ask for; beyond it the question stays unanswered; 3 s by default.
    pub max_retry_after: Duration,
    /// How many transfers from one origin run at once; 16 by default, so that the ten looks of an event hardly wait for each other.
    pub per_host_concurrency: usize,
    /// Time for one question with all its attempts and waits; 13 s by default.
    pub budget: Duration,
    /// Upstreams with headers or a quota of their own; none by default.
    pub upstreams: Vec<Upstream>,
}

impl HttpFetchConfig {
    /// The defaults, asking under this name.
    pub fn new(user_agent: impl Into<String>) -> Self {
        Self {
            user_agent: user_agent.into(),
            tls_roots: TlsRoots::Bundled { extra_pem: Vec::new() },
            use_proxies: true,
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(10),
            longer_for_files: Duration::from_secs(30),
            attempts: 3,
            backoff_base: Duration::from_millis(250),
            backoff_cap: Duration::from_secs(2),
            max_retry_after: Duration::from_secs(3),
            per_host_concurrency: 16,
            budget: Duration::from_secs(13),
            upstreams: Vec::new(),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum HttpConfigFault {
    /// The name to ask under is not a header value.
    #[error("the user agent cannot be sent in a header")]
    UserAgent(#[source] header::InvalidHeaderValue),
    /// The further certificates are not PEM.
    #[error("the further certificate authorities are not certificates in PEM")]
    ExtraRoots(#[source] reqwest::Error),
    /// Further certificates were given, and none is in them.
    #[error("the further certificate authorities hold no certificate in PEM")]
    NoExtraRoots,
    /// A token is not a header value.
    #[error("the token of an upstream cannot be sent in a header")]
    Token(#[source] header::InvalidHeaderValue),
    /// No attempt, or no transfer at once, is allowed.
    #[error("at least one attempt and one transfer at once must be allowed")]
    Nothing,
}

/// Asks over HTTP. One instance serves a process; its client is built on the first question.
pub struct HttpFetch {
    config: HttpFetchConfig,
    user_agent: HeaderValue,
    extra_roots: Vec<reqwest::Certificate>,
    upstreams: Upstreams,
    client: OnceCell<reqwest::Client>,
    /// Turns by origin. The origins are those of the configured upstreams, so their number is small.
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Why an attempt brought no answer.
#[derive(Debug)]
struct Trouble {
    reason: UnavailableReason,
    detail: String,
    /// In seconds.
    retry_after: Option<u64>,
    /// Whether another attempt may bring an answer.
    again: bool,
}

impl Trouble {
    fn unreachable(detail: impl Into<String>, again: bool) -> Self {
        Self {
            reason: UnavailableReason::Unreachable,
            detail: detail.into(),
            retry_after: None,
            again,
        }
    }

    fn malformed(detail: impl Into<String>) -> Self {
        Self {
            reason: UnavailableReason::Malformed,
            detail: detail.into(),
            retry_after: None,
            again: false,
        }
    }
}

/// Whether an answer is a file that is digested as it comes. It is compressed already, and its digests are of the bytes as the
/// registry holds them.
fn is_file(keep: &Keep) -> bool {
    match keep {
        Keep::NpmTarball | Keep::Distribution | Keep::Digests => true,
        Keep::Whole | Keep::Excerpt(_) => false,
    }
}

/// One question without its subject.
struct Question<'a> {
    url: &'a Url,
    accept: &'a str,
    keep: &'a Keep,
    limit: u64,
    at: Timestamp,
    /// An earlier answer with the entity tag that makes the request conditional on it.
    previous: Option<(&'a Response, HeaderValue)>,
    modified_since: Option<Timestamp>,
    post: Option<&'a Post>,
    uncached: bool,
    insist: bool,
    redirects: u8,
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn fetch(&self, request: Request) -> Observation {
        // Past every cache means: the bytes, not the word of a cache that they are unchanged.
        let previous = request.previous.as_ref().filter(|_previous| !request.uncached);
        let question = Question {
            url: &request.url,
            accept: request.accept,
            keep: &request.keep,
            limit: request.limit,
            at: request.at,
            previous: previous.and_then(|previous| condition(previous, &request)),
            modified_since: request.modified_since,
            post: request.post.as_ref(),
            uncached: request.uncached,
            insist: request.insist,
            redirects: request.redirects,
        };
        let answer = self.answer(&question).await;
        Observation {
            subject: request.subject,
            about: String::new(),
            url: request.url.to_string(),
            at: request.at,
            answer,
        }
    }
}

/// The earlier answer that a request may be conditional on: a 200 to the same question, with an entity tag.
fn condition<'a>(previous: &'a Observation, request: &Request) -> Option<(&'a Response, HeaderValue)> {
    if previous.subject != request.subject || previous.url != request.url.as_str() {
        return None;
    }
    match &previous.answer {
        Answer::Answered(response) if response.status == 200 => {
            let etag = HeaderValue::from_str(response.etag.as_deref()?).ok()?;
            Some((response, etag))
        }
        Answer::Answered(_) | Answer::Unanswered { .. } => None,
    }
}

impl HttpFetch {
    /// Checks the configuration; nothing is loaded or connected yet.
    pub fn new(mut config: HttpFetchConfig) -> Result<Self, HttpConfigFault> {
        if config.attempts == 0 || config.per_host_concurrency == 0 {
            return Err(HttpConfigFault::Nothing);
        }
        let user_agent = HeaderValue::from_str(&config.user_agent).map_err(HttpConfigFault::UserAgent)?;
        let extra_roots = match &config.tls_roots {
            TlsRoots::Bundled { extra_pem } => {
                let roots = reqwest::Certificate::from_pem_bundle(extra_pem).map_err(HttpConfigFault::ExtraRoots)?;
                if roots.is_empty() && !extra_pem.is_empty() {
                    return Err(HttpConfigFault::NoExtraRoots);
                }
                roots
            }
            TlsRoots::System => Vec::new(),
        };
        let upstreams = Upstreams::new(std::mem::take(&mut config.upstreams));
        Ok(Self {
            config,
            upstreams,
            user_agent,
            extra_roots,
            client: OnceCell::new(),
            turns: Mutex::default(),
        })
    }

    /// The body at `url`, with what [`Fetch::fetch`] promises about limits, times, redirects and retries.
    pub(super) async fn get(&self, url: &Url, limit: u64, at: Timestamp) -> Answer {
        let question = Question {
            url,
            accept: "*/*",
            keep: &Keep::Whole,
            limit,
            at,
            previous: None,
            modified_since: None,
            post: None,
            uncached: false,
            insist: true,
            redirects: REDIRECTS,
        };
        self.answer(&question).await
    }

    async fn answer(&self, question: &Question<'_>) -> Answer {
        let budget = self.config.budget + self.longer_for(question);
        let deadline = Instant::now() + budget;
        let mut attempt = 1;
        loop {
            let outcome = timeout_at(deadline, self.attempt(question))
                .await
                .unwrap_or_else(|_elapsed| {
                    let budget = budget.as_secs_f64();
                    Err(Trouble::unreachable(
                        format!("no complete answer came within {budget} s"),
                        false,
                    ))
                });
            let trouble = match outcome {
                Ok(response) => return Answer::Answered(response),
                Err(trouble) => trouble,
            };
            let asked = Duration::from_secs(trouble.retry_after.unwrap_or(0));
            let wait = asked.max(self.backoff(attempt));
            let in_time = asked <= self.config.max_retry_after
                && Instant::now().checked_add(wait).is_some_and(|next| next < deadline);
            if !trouble.again || !question.insist || attempt >= self.config.attempts || !in_time {
                let Trouble {
                    reason,
                    detail,
                    retry_after,
                    again: _,
                } = trouble;
                return Answer::Unanswered {
                    reason,
                    detail,
                    retry_after,
                };
            }
            tracing::debug!(url = %question.url, attempt, ?wait, detail = trouble.detail, "asking again");
            sleep(wait).await;
            attempt += 1;
        }
    }

    fn longer_for(&self, question: &Question<'_>) -> Duration {
        if is_file(question.keep) {
            self.config.longer_for_files
        } else {
            Duration::ZERO
        }
    }

    /// Exponential backoff with full jitter.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self
            .config
            .backoff_base
            .saturating_mul(2_u32.saturating_pow(attempt - 1));
        doubled.min(self.config.backoff_cap).mul_f64(fastrand::f64())
    }

    async fn attempt(&self, question: &Question<'_>) -> Result<Response, Trouble> {
        let turns = self.turns(question.url);
        let _turn = turns
            .acquire()
            .await
            .map_err(|_closed| Trouble::unreachable("this verifier is shutting down", false))?;
        let limit = self.config.attempt_timeout + self.longer_for(question);
        timeout(limit, self.transfer(question))
            .await
            .unwrap_or_else(|_elapsed| {
                let limit = limit.as_secs_f64();
                Err(Trouble::unreachable(
                    format!("the transfer took longer than {limit} s"),
                    true,
                ))
            })
    }

    fn turns(&self, url: &Url) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(url.origin().ascii_serialization()).or_insert_with(|| {
            Arc::new(Semaphore::new(
                self.config.per_host_concurrency.min(Semaphore::MAX_PERMITS),
            ))
        });
        Arc::clone(turn)
    }

    async fn transfer(&self, question: &Question<'_>) -> Result<Response, Trouble> {
        let mut url = question.url.clone();
        for redirects in 0..=question.redirects {
            let upstream = self.upstreams.of(&url);
            let response = self.send(&url, question, upstream).await?;
            let status = response.status();
            if status == reqwest::StatusCode::NOT_MODIFIED {
                return match &question.previous {
                    Some((previous, _etag)) => Ok(Response {
                        redirects,
                        ..(*previous).clone()
                    }),
                    None if question.modified_since.is_some() => Ok(Response {
                        status: status.as_u16(),
                        content_type: None,
                        etag: None,
                        last_modified: None,
                        size: 0,
                        sha256: Digest::sha256_of(b""),
                        kept: Kept::Nothing,
                        redirects,
                    }),
                    None => Err(Trouble::malformed("an unconditional request was answered with 304")),
                };
            }
            if !status.is_redirection() {
                let response = read(response, question, upstream).await?;
                return Ok(Response { redirects, ..response });
            }
            url = target(&url, &response, upstream)?;
        }
        Err(Trouble::malformed(format!(
            "more redirects than are followed ({})",
            question.redirects
        )))
    }

    /// Sends the question to one URL. Every redirect leads here again, so that what is particular to an upstream is decided
    /// from the URL that is really asked.
    async fn send(
        &self,
        url: &Url,
        question: &Question<'_>,
        upstream: Option<&Guarded>,
    ) -> Result<reqwest::Response, Trouble> {
        let client = self
            .client
            .get_or_try_init(|| async { self.build() })
            .await
            .map_err(|error| broken(&error))?;
        let request = match question.post {
            Some(post) => client
                .post(url.clone())
                .header(header::CONTENT_TYPE, post.content_type)
                .body(post.body.clone()),
            None => client.get(url.clone()),
        };
        let mut request = request.header(header::ACCEPT, question.accept);
        if let Some((_previous, etag)) = &question.previous {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(since) = question.modified_since {
            let since = httpdate::fmt_http_date(since.into());
            request = request.header(header::IF_MODIFIED_SINCE, since);
        }
        if question.uncached {
            request = request
                .header(header::CACHE_CONTROL, "no-cache")
                .header(header::PRAGMA, "no-cache");
        }
        if is_file(question.keep) {
            request = request.header(header::ACCEPT_ENCODING, "identity");
        }
        let Some(upstream) = upstream else {
            return request.send().await.map_err(|error| broken(&error));
        };
        upstream.admit()?;
        let response = request
            .headers(upstream.headers().clone())
            .send()
            .await
            .map_err(|error| broken(&error))?;
        upstream.heed(response.headers(), question.at);
        Ok(response)
    }

    fn build(&self) -> Result<reqwest::Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(self.user_agent.clone())
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.config.connect_timeout)
            .read_timeout(self.config.read_timeout)
            .pool_idle_timeout(POOL_IDLE);
        if !self.config.use_proxies {
            builder = builder.no_proxy();
        }
        if let TlsRoots::Bundled { .. } = self.config.tls_roots {
            let mut roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
                .iter()
                .map(|der| reqwest::Certificate::from_der(der))
                .collect::<Result<Vec<_>, _>>()?;
            roots.extend(self.extra_roots.iter().cloned());
            builder = builder.tls_certs_only(roots);
        }
        builder.build()
    }
}

async fn read(
    response: reqwest::Response,
    question: &Question<'_>,
    upstream: Option<&Guarded>,
) -> Result<Response, Trouble> {
    let status = response.status();
    if let Some(trouble) = refusal(status, response.headers(), question.accept, question.at) {
        return Err(match upstream {
            Some(upstream) => upstream.refused(trouble, response).await,
            None => trouble,
        });
    }
    let content_type = recorded(response.headers(), &header::CONTENT_TYPE);
    let etag = recorded(response.headers(), &header::ETAG);
    let last_modified = question
        .modified_since
        .and_then(|_since| recorded(response.headers(), &header::LAST_MODIFIED))
        .and_then(|text| httpdate::parse_http_date(&text).ok())
        .and_then(|time| Timestamp::try_from(time).ok());
    let body::ReadBody { size, sha256, kept } = if status.is_success() {
        body::read(response, question.keep, question.limit).await?
    } else {
        body::glance(response).await?
    };
    Ok(Response {
        status: status.as_u16(),
        content_type,
        etag,
        last_modified,
        size,
        sha256,
        kept,
        redirects: 0,
    })
}

fn recorded(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= HEADER_LIMIT).then(|| text.to_owned())
}

/// Where a redirect leads, if that is within the asked origin, or where the upstream is configured to store its files.
///
/// An upstream, or whoever can answer in its place, must not make this verifier ask hosts of its choice: internal ones,
/// or one that serves another truth.
fn target(from: &Url, response: &reqwest::Response, upstream: Option<&Guarded>) -> Result<Url, Trouble> {
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| Trouble::malformed(format!("a redirect without a usable location ({})", response.status())))?;
    if location.origin() == from.origin() || upstream.is_some_and(|upstream| upstream.may_lead_to(&location)) {
        Ok(location)
    } else {
        let host = location.origin().ascii_serialization();
        Err(Trouble::unreachable(
            format!("a redirect to another host ({host}) was refused"),
            false,
        ))
    }
}

/// The trouble of a connection that did not come about or broke.
fn broken(error: &reqwest::Error) -> Trouble {
    // The outermost message repeats the URL, which the observation carries already.
    let what = if error.is_timeout() {
        "timed out"
    } else {
        "the transfer failed"
    };
    let detail = match error.source() {
        Some(cause) => format!("{what}: {}", chain(cause)),
        None => what.to_owned(),
    };
    Trouble::unreachable(detail, !error.is_builder())
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
