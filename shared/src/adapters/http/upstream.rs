//! What is particular to one upstream: headers that nobody else gets, and a quota that all questions share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use url::Url;

use super::body::beginning;
use super::refusal::Quota;
use super::{HttpConfigFault, Trouble};
use crate::availability::UnavailableReason;
use crate::config::Secret;

/// The version of GitHub's API whose documents are read here. GitHub keeps a version for two years after its successor.
const GITHUB_API_VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");

/// The least that is left of a quota: as many questions as may be on their way when the first answer says that it is low.
const LEAST_RESERVE: u64 = 8;
/// The part of a quota that is left to whoever shares it.
const RESERVE: u64 = 50;
/// How long to wait where an upstream limits its callers and does not say for how long: what GitHub asks for then
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
const UNSAID: Duration = Duration::from_mins(1);
/// The longest time for which an upstream is not asked, whatever it says. A quota lasts an hour at most.
const LONGEST: Duration = Duration::from_hours(1);

/// An upstream that is asked in a way of its own.
///
/// The headers go to URLs below `base` and nowhere else, wherever redirects lead. A value that is a secret has to be marked
/// as sensitive, as [`github`](Self::github) does, so that no log shows it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// What its URLs begin with.
    pub base: Url,
    /// What is sent to it besides the usual headers.
    pub headers: HeaderMap,
    /// Where its redirects may lead besides its own origin: to the store that it keeps its files in. No header of its own goes there.
    pub storage: Option<Url>,
    /// Whether it counts questions, says so in `x-ratelimit-…`, and is to be left alone before it refuses.
    pub has_quota: bool,
}

impl Upstream {
    /// GitHub's REST API at this base URL, asked with this token.
    pub fn github(base: Url, token: Option<&Secret>) -> Result<Self, HttpConfigFault> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-github-api-version"), GITHUB_API_VERSION);
        if let Some(token) = token {
            let mut authorization =
                HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(HttpConfigFault::Token)?;
            authorization.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, authorization);
        }
        Ok(Self {
            base,
            headers,
            storage: None,
            has_quota: true,
        })
    }

    /// The container registry that serves Homebrew's bottles: it wants a token, and takes the one that everybody may have
    /// (<https://github.com/Homebrew/brew/blob/main/Library/Homebrew/download_strategy.rb>, `QQ==`). It leads to where it stores
    /// its blobs.
    pub fn bottles(base: Url, storage: Option<Url>) -> Self {
        let anybody = HeaderValue::from_static("Bearer QQ==");
        Self {
            base,
            headers: HeaderMap::from_iter([(header::AUTHORIZATION, anybody)]),
            storage,
            has_quota: false,
        }
    }

    /// Whether a URL lies below the base: the same origin, and the base's path or one that goes on after it with a slash.
    fn covers(&self, url: &Url) -> bool {
        let path = self.base.path().trim_end_matches('/');
        url.origin() == self.base.origin()
            && url
                .path()
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The configured upstreams and what is known of their quotas.
pub(super) struct Upstreams(Vec<Guarded>);

impl Upstreams {
    pub(super) fn new(upstreams: Vec<Upstream>) -> Self {
        let guarded = |upstream| Guarded {
            upstream,
            closed: Mutex::default(),
        };
        Self(upstreams.into_iter().map(guarded).collect())
    }

    /// The upstream that a URL belongs to; of several, the one with the longest base.
    pub(super) fn of(&self, url: &Url) -> Option<&Guarded> {
        self.0
            .iter()
            .filter(|guarded| guarded.upstream.covers(url))
            .max_by_key(|guarded| guarded.upstream.base.path().len())
    }
}

/// An upstream with a gate before it.
pub(super) struct Guarded {
    upstream: Upstream,
    /// `None` while the gate is open.
    closed: Mutex<Option<Closed>>,
}

/// Why and until when no question is sent.
#[derive(Clone, Copy, Debug)]
struct Closed {
    until: Instant,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    /// What is left of the quota is the reserve.
    Reserve,
    /// A question was refused.
    Refusal,
}

impl Guarded {
    /// What is sent besides the usual headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.upstream.headers
    }

    /// Whether a redirect of this upstream may lead to a URL on another host.
    pub(super) fn may_lead_to(&self, url: &Url) -> bool {
        let storage = self.upstream.storage.as_ref();
        storage.is_some_and(|storage| storage.origin() == url.origin())
    }

    /// Refuses a question that must not be sent now. Asked immediately before sending, so that questions that waited for
    /// their turn do not follow the one that was refused.
    pub(super) fn admit(&self) -> Result<(), Trouble> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Closed { until, why }) = *closed else {
            return Ok(());
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            *closed = None;
            return Ok(());
        }
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let (again, detail) = match why {
            // Nothing but the next window renews a quota: waiting for it would hold up everything else.
            Why::Reserve => (false, "what is left of this caller's quota is kept in reserve"),
            Why::Refusal => (true, "the upstream has asked to wait"),
        };
        Err(Trouble {
            reason: UnavailableReason::RateLimited,
            detail: format!("{detail}: it was not asked, and will be in {seconds} s"),
            retry_after: Some(seconds),
            again,
        })
    }

    /// Takes note of what an answer, whatever its status, says about the quota.
    ///
    /// `at` is when the look began: the window's end is counted from it, so it comes out a little late.
    pub(super) fn heed(&self, headers: &HeaderMap, at: Timestamp) {
        if !self.upstream.has_quota {
            return;
        }
        let quota = Quota::of(headers);
        let reserve = LEAST_RESERVE.max(quota.limit.unwrap_or(0) / RESERVE);
        if let (Some(remaining), Some(wait)) = (quota.remaining, quota.renewed_in(at))
            && remaining <= reserve
        {
            self.close(Duration::from_secs(wait), Why::Reserve);
        }
    }

    /// What a refusal by this upstream means, and for how long it is not asked.
    ///
    /// GitHub's secondary limits answer 403 and may name them in the message alone.
    pub(super) async fn refused(&self, trouble: Trouble, response: reqwest::Response) -> Trouble {
        if !self.upstream.has_quota {
            return trouble;
        }
        let mut trouble = trouble;
        // Whoever is not known here sent a token that has ended or is none: that is this verifier's trouble, and says
        // nothing about what was asked for.
        if response.status() == StatusCode::UNAUTHORIZED {
            return Trouble {
                reason: UnavailableReason::Unreachable,
                detail: "the upstream refused this verifier's token (401)".to_owned(),
                ..trouble
            };
        }
        if trouble.reason != UnavailableReason::RateLimited {
            if response.status() != StatusCode::FORBIDDEN || !speaks_of_a_rate_limit(response).await {
                return trouble;
            }
            trouble = Trouble {
                reason: UnavailableReason::RateLimited,
                detail: "the upstream spoke of a rate limit (403)".to_owned(),
                retry_after: None,
                again: true,
            };
        }
        let wait = trouble.retry_after.map_or(UNSAID, Duration::from_secs);
        self.close(wait, Why::Refusal);
        trouble.retry_after = Some(wait.as_secs());
        trouble
    }

    /// Closes the gate. An earlier end never replaces a later one: answers arrive in any order.
    fn close(&self, wait: Duration, why: Why) {
        let Some(until) = Instant::now().checked_add(wait.min(LONGEST)) else {
            return;
        };
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none_or(|closed| closed.until < until) {
            *closed = Some(Closed { until, why });
        }
    }
}

/// Whether the beginning of a body speaks of a rate limit. A body that cannot be read speaks of nothing.
async fn speaks_of_a_rate_limit(response: reqwest::Response) -> bool {
    match beginning(response).await {
        Ok(body) => String::from_utf8_lossy(&body)
            .to_ascii_lowercase()
            .contains("rate limit"),
        Err(_trouble) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(base: &str, url: &str) -> bool {
        let base = base.parse().unwrap();
        Upstream::github(base, None).unwrap().covers(&url.parse().unwrap())
    }

    #[test]
    fn a_url_below_the_base_has_its_origin_and_its_path_up_to_a_slash() {
        for (base, url) in [
            ("https://forge.example", "https://forge.example/"),
            ("https://forge.example", "https://forge.example/repos?page=2"),
            ("https://forge.example/api", "https://forge.example/api"),
            ("https://forge.example/api", "https://FORGE.example:443/api/repos"),
            ("https://forge.example/api/", "https://forge.example/api/x/../repos"),
        ] {
            assert!(covers(base, url), "{url} is not below {base}");
        }
        for (base, url) in [
            ("https://forge.example", "http://forge.example/"),
            ("https://forge.example", "https://forge.example:444/"),
            ("https://forge.example", "https://forge.example.evil.example/"),
            ("https://forge.example", "https://api.forge.example/"),
            ("https://forge.example", "https://forge.example@evil.example/"),
            ("https://forge.example/api", "https://forge.example/"),
            ("https://forge.example/api", "https://forge.example/apis"),
            ("https://forge.example/api", "https://forge.example/api/../repos"),
            ("https://forge.example/api", "https://forge.example/api/%2e%2e/repos"),
            ("https://forge.example/api", "https://forge.example/api%2frepos"),
            ("https://forge.example/api", "https://forge.example/API/repos"),
        ] {
            assert!(!covers(base, url), "{url} is below {base}");
        }
    }

    #[test]
    fn of_nested_upstreams_the_inner_one_is_meant() {
        let upstream = |base: &str| Upstream::github(base.parse().unwrap(), None).unwrap();
        let upstreams = Upstreams::new(vec![
            upstream("https://forge.example/a/b"),
            upstream("https://forge.example/"),
            upstream("https://forge.example/a"),
        ]);
        let path = |url: &str| {
            let url = url.parse().unwrap();
            upstreams
                .of(&url)
                .map(|guarded| guarded.upstream.base.path().to_owned())
        };
        assert_eq!(path("https://forge.example/a/b/c").as_deref(), Some("/a/b"));
        assert_eq!(path("https://forge.example/a/bc").as_deref(), Some("/a"));
        assert_eq!(path("https://forge.example/x").as_deref(), Some("/"));
        assert_eq!(path("https://other.example/x"), None);
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Secret::new("t0p-s3cret").unwrap();
        let upstream = Upstream::github("https://forge.example".parse().unwrap(), Some(&token)).unwrap();
        let value = upstream.headers.get(header::AUTHORIZATION).unwrap();
        assert_eq!(value.as_bytes(), b"Bearer t0p-s3cret");
        assert!(value.is_sensitive());
        assert!(!format!("{upstream:?}").contains("t0p-s3cret"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_stays_closed_for_as_long_as_was_asked_but_never_beyond_an_hour() {
        let upstream = Upstream::github("https://forge.example".parse().unwrap(), None).unwrap();
        let upstreams = Upstreams::new(vec![upstream]);
        let gate = upstreams.of(&"https://forge.example/x".parse().unwrap()).unwrap();
        let wait = || gate.admit().err().and_then(|trouble| trouble.retry_after);
        assert_eq!(wait(), None);
        gate.close(Duration::from_millis(2500), Why::Refusal);
        gate.close(Duration::from_secs(1), Why::Refusal);
        assert_eq!(wait(), Some(3), "an earlier end does not replace a later one");
        tokio::time::advance(Duration::from_millis(2499)).await;
        assert_eq!(wait(), Some(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(wait(), None);
        gate.close(Duration::MAX, Why::Refusal);
        assert_eq!(wait(), Some(3600));
        tokio::time::advance(LONGEST).await;
        assert_eq!(wait(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_a_fiftieth_and_at_least_eight() {
        let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let reset = at.as_second() + 600;
        for (remaining, limit, closes) in [
            ("9", Some("60"), false),
            ("8", Some("60"), true),
            ("0", Some("60"), true),
            ("101", Some("5000"), false),
            ("100", Some("5000"), true),
            ("9", None, false),
            ("8", None, true),
            ("few", Some("60"), false),
        ] {
            let upstream = Upstream::github("https://forge.example".parse().unwrap(), None).unwrap();
            let upstreams = Upstreams::new(vec![upstream]);
            let gate = upstreams.of(&"https://forge.example/".parse().unwrap()).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", remaining.parse().unwrap());
            headers.insert("x-ratelimit-reset", reset.into());
            if let Some(limit) = limit {
                headers.insert("x-ratelimit-limit", limit.parse().unwrap());
            }
            gate.heed(&headers, at);
            let refused = gate.admit().err();
            assert_eq!(refused.is_some(), closes, "{remaining} of {limit:?}");
            if let Some(trouble) = refused {
                assert_eq!((trouble.retry_after, trouble.again), (Some(600), false));
            }
        }
    }
}
