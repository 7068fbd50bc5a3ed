//! Batches.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, ApiError, page_size, size};
use crate::package::{Inventory, PackageVersion, Skipped};
use crate::service::BATCH_LIMIT;

/// How many versions an answer lists, unless it is asked for another number.
const PAGE: usize = 1000;

/// The most bytes of what was left out of a list that an answer has.
const LEFT_OUT: usize = 1 << 20;

/// Takes a list of purls, a lockfile or a bill of materials; the type of its content is told from the document itself.
pub(super) async fn create(State(api): State<Api>, body: Bytes) -> Result<Response, ApiError> {
    let text = text(&body)?;
    let inventory = Inventory::parse(text).map_err(|error| ApiError::caller("bad_list", error.to_string()))?;
    let found = inventory.packages.len();
    within_bounds(found, "version", &inventory.skipped)?;
    let (skipped, unlisted) = listed(&inventory.skipped)?;
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|_no_entropy| ApiError::ours("no randomness for the name of a batch"))?;
    let id = u128::from_be_bytes(random);
    let batch = api
        .service
        .create_batch(format!("{id:032x}"), &inventory.packages, (api.clock)())
        .await?;
    let place = format!("/v1/batches/{}", batch.id);
    let answer = json!({
        "id": batch.id,
        "total": batch.total,
        "createdAt": batch.created_at,
        "expiresAt": batch.expires_at,
        "skipped": skipped,
        "unlisted": unlisted,
        "url": place,
    });
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, place)], axum::Json(answer)).into_response())
}

/// The text of a list.
pub(super) fn text(body: &Bytes) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|source| ApiError::caller("bad_list", format!("the list is not UTF-8: {source}")))
}

/// Refuses a list that names nothing, or too much.
pub(super) fn within_bounds(found: usize, of: &str, skipped: &[Skipped]) -> Result<(), ApiError> {
    match found {
        0 => Err(ApiError::caller(
            "empty_list",
            format!(
                "the list names no {of} of a registry ({} entries were left out)",
                skipped.len()
            ),
        )),
        1..=BATCH_LIMIT => Ok(()),
        _ => Err(ApiError::caller(
            "list_too_long",
            format!("the list names {found} {of}s; hand in at most {BATCH_LIMIT} at once"),
        )),
    }
}

/// What was left out of a list, as answers show it, and how much more of it they have no room for: it may be larger than the list.
pub(super) fn listed(skipped: &[Skipped]) -> Result<(Vec<Value>, usize), ApiError> {
    let mut listed: Vec<Value> = skipped
        .iter()
        .map(|skipped| json!({ "entry": skipped.entry, "because": skipped.because }))
        .collect();
    listed.truncate(size::fill(&listed, LEFT_OUT)?);
    let unlisted = skipped.len().saturating_sub(listed.len());
    Ok((listed, unlisted))
}

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<PackageVersion>,
    limit: Option<usize>,
}

type Asked = Result<Query<Page>, axum::extract::rejection::QueryRejection>;

/// Counts and verdicts of a batch as they are now.
pub(super) async fn get(State(api): State<Api>, Path(id): Path<String>, asked: Asked) -> Result<Response, ApiError> {
    let Query(page) = asked.map_err(|rejection| ApiError::caller("bad_query", rejection.body_text()))?;
    let limit = page_size(page.limit, PAGE, BATCH_LIMIT)?;
    let unknown = || ApiError::not_found(format!("there is no batch {id:?}, or it has expired"));
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    let state = api
        .service
        .batch(&id, page.after.as_ref(), limit, (api.clock)())
        .await?
        .ok_or_else(unknown)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(state)).into_response())
}
