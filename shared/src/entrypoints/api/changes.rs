//! Verdicts that changed, for whoever asks again and again.

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::{Api, ApiError, page_size};
use crate::ports::ChangesAfter;

/// How many changes an answer lists, unless it is asked for another number, and at most.
const PAGE: usize = 500;
/// How long a change waits until it is listed. Changes are listed in the order of the looks that found them, and a look may
/// take as long as its lease: nothing may come in before a place that was given out.
const SETTLED: SignedDuration = SignedDuration::from_mins(3);
/// From when on changes are listed if nobody says.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

#[derive(Deserialize)]
pub(super) struct Asked {
    since: Option<String>,
    limit: Option<usize>,
}

type Asking = Result<Query<Asked>, axum::extract::rejection::QueryRejection>;

/// Changes since an instant, or after the place that an earlier answer gave, oldest first.
pub(super) async fn list(State(api): State<Api>, asked: Asking) -> Result<Response, ApiError> {
    let Query(asked) = asked.map_err(|rejection| ApiError::caller("bad_query", rejection.body_text()))?;
    let now = (api.clock)();
    let after = match asked.since.as_deref() {
        None => ChangesAfter::Instant(now.checked_sub(LATELY).unwrap_or(Timestamp::MIN)),
        Some(text) => ChangesAfter::parse(text).ok_or_else(|| {
            ApiError::caller(
                "bad_query",
                format!(
                    "since must be an instant such as 2026-11-22T10:00:00Z, or the `next` of an answer, not {text:?}"
                ),
            )
        })?,
    };
    let until = now.checked_sub(SETTLED).unwrap_or(Timestamp::MIN);
    let limit = page_size(asked.limit, PAGE, PAGE)?;
    let found = api.service.store.changes(&after, until, limit).await?;
    let body = axum::Json(json!({ "changes": found.changes, "next": found.next }));
    Ok(([(header::CACHE_CONTROL, "no-store")], body).into_response())
}
