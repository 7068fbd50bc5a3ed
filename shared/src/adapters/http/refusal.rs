//! What a status other than an answer means, and how long the upstream asks to wait.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};

use super::Trouble;
use crate::availability::UnavailableReason;

/// The trouble that a response stands for, or `None` where it is an answer.
///
/// `at` is when the look began: waits that are given as a time are counted from it, so they come out a little long.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, accept: &str, at: Timestamp) -> Option<Trouble> {
    let wait = retry_after(headers, at);
    let trouble = |reason, again, detail: String| {
        Some(Trouble {
            reason,
            detail,
            retry_after: wait,
            again,
        })
    };
    match status.as_u16() {
        429 => trouble(
            UnavailableReason::RateLimited,
            true,
            "the upstream asked to slow down (429)".to_owned(),
        ),
        403 if headers.contains_key(header::RETRY_AFTER) || Quota::of(headers).is_exhausted() => trouble(
            UnavailableReason::RateLimited,
            true,
            "the quota of this caller is exhausted (403)".to_owned(),
        ),
        // Whoever stands before the upstream wants to see a browser. That says nothing about the package.
        403 if is_challenge(headers, accept) => trouble(
            UnavailableReason::Unreachable,
            false,
            "a page for people came instead of an answer (403)".to_owned(),
        ),
        401 | 403 => trouble(
            UnavailableReason::Private,
            false,
            format!("the upstream refused access ({status})"),
        ),
        407 => trouble(
            UnavailableReason::Unreachable,
            false,
            "a proxy on the way refused access (407)".to_owned(),
        ),
        408 | 425 | 500..=599 => trouble(
            UnavailableReason::Unreachable,
            true,
            format!("the upstream is in trouble ({status})"),
        ),
        _ => None,
    }
}

/// `Retry-After` in seconds, as a number or a date (RFC 9110, section 10.2.3); otherwise the time until an exhausted quota
/// is renewed, as GitHub sends it.
fn retry_after(headers: &HeaderMap, at: Timestamp) -> Option<u64> {
    let until = |second: i64| u64::try_from(second.saturating_sub(at.as_second())).unwrap_or(0);
    if let Some(text) = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()) {
        if let Ok(seconds) = text.trim().parse::<u64>() {
            return Some(seconds);
        }
        let date = httpdate::parse_http_date(text.trim()).ok()?;
        return Timestamp::try_from(date).ok().map(|date| until(date.as_second()));
    }
    let quota = Quota::of(headers);
    if quota.is_exhausted() {
        quota.renewed_in(at)
    } else {
        None
    }
}

/// What the headers of an answer say about the caller's quota, as GitHub sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// How many questions are left.
    pub(super) remaining: Option<u64>,
    /// Of how many.
    pub(super) limit: Option<u64>,
    /// When it is renewed, in seconds since 1970.
    reset: Option<u64>,
}

impl Quota {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        Self {
            remaining: number("x-ratelimit-remaining"),
            limit: number("x-ratelimit-limit"),
            reset: number("x-ratelimit-reset"),
        }
    }

    fn is_exhausted(&self) -> bool {
        self.remaining == Some(0)
    }

    /// In how many seconds it is renewed, counted from `at`.
    pub(super) fn renewed_in(&self, at: Timestamp) -> Option<u64> {
        let now = u64::try_from(at.as_second()).unwrap_or(0);
        self.reset.map(|reset| reset.saturating_sub(now))
    }
}

fn is_challenge(headers: &HeaderMap, accept: &str) -> bool {
    let is_html = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"));
    headers.contains_key("cf-mitigated") || (is_html && !accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(status: u16, headers: &[(&'static str, &str)]) -> Option<Trouble> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect::<HeaderMap>();
        let at = "1994-11-06T08:49:00Z".parse().unwrap();
        refusal(StatusCode::from_u16(status).unwrap(), &headers, "application/json", at)
    }

    fn reason(trouble: Option<&Trouble>) -> Option<UnavailableReason> {
        trouble.map(|trouble| trouble.reason)
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        for (text, seconds) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(
                asked(429, &[("retry-after", text)]).unwrap().retry_after,
                seconds,
                "{text}"
            );
        }
    }

    #[test]
    fn an_exhausted_quota_names_when_it_is_renewed() {
        let trouble = asked(
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111800")],
        );
        assert_eq!(reason(trouble.as_ref()), Some(UnavailableReason::RateLimited));
        assert_eq!(trouble.unwrap().retry_after, Some(60));
    }

    #[test]
    fn a_forbidden_answer_with_quota_left_is_private() {
        assert_eq!(
            reason(asked(403, &[("x-ratelimit-remaining", "10")]).as_ref()),
            Some(UnavailableReason::Private)
        );
        assert_eq!(reason(asked(401, &[]).as_ref()), Some(UnavailableReason::Private));
    }

    #[test]
    fn a_page_for_people_is_not_a_refusal() {
        let page = [("content-type", "text/html; charset=UTF-8")];
        assert_eq!(reason(asked(403, &page).as_ref()), Some(UnavailableReason::Unreachable));
        assert_eq!(reason(asked(503, &page).as_ref()), Some(UnavailableReason::Unreachable));
        assert_eq!(
            reason(asked(403, &[("cf-mitigated", "challenge")]).as_ref()),
            Some(UnavailableReason::Unreachable)
        );
    }

    #[test]
    fn trouble_that_may_pass_is_asked_again() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(asked(status, &[]).unwrap().again, "{status}");
        }
        for status in [401, 403, 407] {
            assert!(!asked(status, &[]).unwrap().again, "{status}");
        }
    }

    #[test]
    fn other_statuses_are_answers() {
        for status in [200, 201, 204, 400, 404, 405, 410, 418, 422, 451] {
            assert!(asked(status, &[]).is_none(), "{status}");
        }
    }
}
