//! The watch list.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::json;

use super::{Api, ApiError, batches, page_size};
use crate::package::{CoordinateError, Ecosystem, Inventory, PackageName};
use crate::ports::Watched;

/// How many packages an answer lists, unless it is asked for another number, and at most.
const PAGE: usize = 1000;
/// How many packages are put on the list at the same time.
const AT_ONCE: usize = 32;

fn name(ecosystem: &str, name: &str) -> Result<PackageName, CoordinateError> {
    let ecosystem = Ecosystem::from_purl_type(ecosystem)
        .ok_or_else(|| CoordinateError::UnsupportedEcosystem(ecosystem.to_owned()))?;
    PackageName::new(ecosystem, name.trim_end_matches('/'))
}

type Named = Path<(String, String)>;

/// The entry of a package.
pub(super) async fn get(State(api): State<Api>, Path((ecosystem, path)): Named) -> Result<Response, ApiError> {
    let name = name(&ecosystem, &path)?;
    let entry = api.service.store.watched(&name).await?;
    let entry = entry.ok_or_else(|| ApiError::not_found(format!("{} is not on the watch list", name.to_purl())))?;
    Ok(fresh(StatusCode::OK, axum::Json(entry)))
}

/// Puts a package on the list; one that is on it stays as it is.
pub(super) async fn put(State(api): State<Api>, Path((ecosystem, path)): Named) -> Result<Response, ApiError> {
    let name = name(&ecosystem, &path)?;
    let entry = api.service.store.watch(&name, (api.clock)()).await?;
    Ok(fresh(StatusCode::OK, axum::Json(entry)))
}

/// Puts every package of a list on the watch list: of purls, of a lockfile, or of a bill of materials. What was put on it
/// before trouble stays; the request can be repeated.
pub(super) async fn add(State(api): State<Api>, body: Bytes) -> Result<Response, ApiError> {
    let (names, skipped) = Inventory::parse_names(batches::text(&body)?)
        .map_err(|error| ApiError::caller("bad_list", error.to_string()))?;
    batches::within_bounds(names.len(), "package", &skipped)?;
    let (skipped, unlisted) = batches::listed(&skipped)?;
    let now = (api.clock)();
    let total = names.len();
    let store = &api.service.store;
    let watching = names
        .into_iter()
        .map(|name| async move { store.watch(&name, now).await });
    let entries: Vec<Watched> = futures::stream::iter(watching)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let new = entries.iter().filter(|entry| entry.since == now).count();
    let answer = json!({ "total": total, "new": new, "skipped": skipped, "unlisted": unlisted });
    Ok(fresh(StatusCode::OK, axum::Json(answer)))
}

/// Takes a package off the list. Its verdicts stay.
pub(super) async fn delete(State(api): State<Api>, Path((ecosystem, path)): Named) -> Result<Response, ApiError> {
    let name = name(&ecosystem, &path)?;
    if api.service.store.unwatch(&name).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(ApiError::not_found(format!(
            "{} is not on the watch list",
            name.to_purl()
        )))
    }
}

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<PackageName>,
    limit: Option<usize>,
}

type Asked = Result<Query<Page>, axum::extract::rejection::QueryRejection>;

/// The list, in the order of names.
pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Result<Response, ApiError> {
    let Query(page) = asked.map_err(|rejection| ApiError::caller("bad_query", rejection.body_text()))?;
    let limit = page_size(page.limit, PAGE, PAGE)?;
    let packages = api.service.store.watch_list(page.after.as_ref(), limit).await?;
    let next = packages
        .last()
        .filter(|_| packages.len() == limit)
        .map(|entry| entry.package.to_purl());
    Ok(fresh(
        StatusCode::OK,
        axum::Json(json!({ "packages": packages, "next": next })),
    ))
}

/// The list belongs to whoever may see it: no cache on the way keeps it.
fn fresh(status: StatusCode, body: impl IntoResponse) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], body).into_response()
}
