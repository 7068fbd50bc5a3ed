//! The verify API: one router, under Lambda and under the local server alike.

mod batches;
mod changes;
mod size;
mod watch;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout_at;

use super::Deadline;
use crate::check::CheckId;
use crate::network::PeerAgreement;
use crate::package::{Coordinate, CoordinateError, Ecosystem, PackageVersion};
use crate::policy::CHECK_SET;
use crate::ports::{FaultSide, StoreFault};
use crate::service::{Freshness, Looked, RETRY_AFTER, Service, ServiceFault};
use crate::verdict::Verdict;

pub use size::fitting;

/// The description of the routes below.
const OPENAPI: &str = include_str!("openapi.json");

/// The most that is read of a request's body, in bytes: what Lambda hands over is limited to this.
const BODY_LIMIT: usize = 6 << 20;

/// How many earlier verdicts one answer lists, if they are small enough.
const HISTORY_LIMIT: usize = 100;

/// How long an answer may take whose host does not say: the function's time-out in template.yaml.
pub const USUAL: Duration = Duration::from_secs(29);

/// Reads the clock. The only place of the API that does, so that a host decides what time it is.
pub type Clock = fn() -> Timestamp;

/// What the routes share.
#[derive(Clone)]
pub struct Api {
    /// The service.
    pub service: Arc<Service>,
    /// The clock.
    pub clock: Clock,
    /// How old the last look at a version has to be before it is looked at again for whoever asks for a fresh verdict: anybody
    /// can ask, and each look spends what upstreams allow.
    pub fresh_after: SignedDuration,
}

/// The same for one request: where its host says how long there is for it, a look ends in time.
struct InTime(Api);

impl FromRequestParts<Api> for InTime {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let mut api = api.clone();
        if let Some(deadline) = parts.extensions.get::<Deadline>() {
            api.service = Arc::new(api.service.within(deadline.until()));
        }
        Ok(Self(api))
    }
}

/// An answer without a verdict, in the one error envelope.
#[derive(Debug)]
struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: EnvelopeError<'a>,
}

#[derive(Serialize)]
struct EnvelopeError<'a> {
    code: &'a str,
    message: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let envelope = Envelope {
            error: EnvelopeError {
                code: self.code,
                message: &self.message,
            },
        };
        let mut response = (self.status, axum::Json(envelope)).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl ApiError {
    fn caller(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    fn ours(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "internal",
            message: message.into(),
            retry_after: None,
        }
    }

    fn late() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "out_of_time",
            message: "no answer was ready in time; ask again in a moment".to_owned(),
            retry_after: Some(RETRY_AFTER),
        }
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "not_found",
            message: message.into(),
            retry_after: None,
        }
    }
}

/// What a host answers to a request whose handling has failed altogether: the error envelope, and nothing of the reason.
pub fn fault() -> Response {
    ApiError::ours("this verifier failed to answer").into_response()
}

impl From<CoordinateError> for ApiError {
    fn from(error: CoordinateError) -> Self {
        let code = match &error {
            CoordinateError::UnsupportedEcosystem(_) => "unsupported_ecosystem",
            CoordinateError::Syntax(_)
            | CoordinateError::Name { .. }
            | CoordinateError::Version { .. }
            | CoordinateError::File { .. } => "bad_package",
        };
        Self::caller(code, error.to_string())
    }
}

impl From<ServiceFault> for ApiError {
    fn from(fault: ServiceFault) -> Self {
        let status = match fault.side() {
            FaultSide::Caller => StatusCode::NOT_FOUND,
            FaultSide::Upstream | FaultSide::Ours => StatusCode::SERVICE_UNAVAILABLE,
        };
        let message = match fault.side() {
            FaultSide::Caller | FaultSide::Upstream => fault.to_string(),
            // What is wrong on our side concerns our logs, not callers.
            FaultSide::Ours => {
                tracing::error!(error = %fault, source = ?std::error::Error::source(&fault), "no verdict");
                "this verifier is in trouble; ask again in a moment".to_owned()
            }
        };
        Self {
            status,
            code: fault.code(),
            message,
            retry_after: fault.retry_after(),
        }
    }
}

impl From<StoreFault> for ApiError {
    fn from(fault: StoreFault) -> Self {
        ServiceFault::from(fault).into()
    }
}

/// The routes.
///
/// A host that has only so much time for an answer puts a [`Deadline`] into the request's extensions. Whatever is not ready
/// then is answered 503 with `Retry-After`, before the host ends it without an answer.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/", get(index))
        .route(
            "/openapi.json",
            get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI) }),
        )
        .route("/healthz", get(|| async { axum::Json(json!({ "status": "ok" })) }))
        .route("/.well-known/hekate.json", get(well_known))
        .route("/package/{*name}", get(package))
        .route("/v1/verdicts", get(verdict_by_purl))
        .route("/v1/verdicts/{ecosystem}/{*path}", get(verdict_by_path))
        .route(
            "/v1/batches",
            post(batches::create).layer(DefaultBodyLimit::max(BODY_LIMIT)),
        )
        .route("/v1/batches/{id}", get(batches::get))
        .route("/v1/network/{ecosystem}/{*path}", get(network))
        .route("/v1/changes", get(changes::list))
        .route(
            "/v1/watch",
            get(watch::list)
                .post(watch::add)
                .layer(DefaultBodyLimit::max(BODY_LIMIT)),
        )
        .route(
            "/v1/watch/{ecosystem}/{*name}",
            get(watch::get).put(watch::put).delete(watch::delete),
        )
        .fallback(|| async { ApiError::not_found("there is no such route; GET / lists them") })
        .method_not_allowed_fallback(|| async {
            ApiError {
                status: StatusCode::METHOD_NOT_ALLOWED,
                code: "method_not_allowed",
                message: "this route does not answer this method; GET /openapi.json tells which it does".to_owned(),
                retry_after: None,
            }
        })
        .layer(from_fn(in_time))
        .with_state(api)
}

async fn in_time(deadline: Option<Extension<Deadline>>, request: Request, next: Next) -> Response {
    let Some(Extension(deadline)) = deadline else {
        return next.run(request).await;
    };
    let path = request.uri().path().to_owned();
    match timeout_at(deadline.returning(), next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            tracing::error!(path, "no answer was ready in time");
            ApiError::late().into_response()
        }
    }
}

/// What `GET /` lists.
const ROUTES: &[&str] = &[
    "/v1/verdicts/{ecosystem}/{name}/{version}",
    "/v1/verdicts/{ecosystem}/{name}/{version}/dossier",
    "/v1/verdicts/{ecosystem}/{name}/{version}/attestation",
    "/v1/verdicts/{ecosystem}/{name}/{version}/signed",
    "/v1/verdicts/{ecosystem}/{name}/{version}/history",
    "/v1/verdicts?purl={purl}",
    "/v1/network/{ecosystem}/{name}/{version}",
    "/v1/batches",
    "/v1/batches/{id}",
    "/v1/changes?since={instant}",
    "/v1/watch",
    "/v1/watch/{ecosystem}/{name}",
    "/package/{name}",
    "/.well-known/hekate.json",
    "/openapi.json",
    "/healthz",
];

async fn index() -> impl IntoResponse {
    axum::Json(json!({ "name": "hekate", "routes": ROUTES }))
}

/// Who this verifier is. A key that cannot be told now is not left out, which would say that there is none: there is no document.
async fn well_known(State(api): State<Api>) -> Result<Response, ApiError> {
    let judge = api.service.judges.judge((api.clock)()).await;
    let keys = api.service.keys().await?;
    let document = json!({
        "verifier": judge.verifier,
        "checkSet": CHECK_SET,
        "checks": CheckId::ALL,
        "ecosystems": Ecosystem::ALL.iter().map(|ecosystem| ecosystem.purl_type()).collect::<Vec<_>>(),
        "policy": judge.policy.digest(),
        "trust": judge.trust.identity(),
        "keys": keys,
    });
    Ok(axum::Json(document).into_response())
}

#[derive(Deserialize)]
struct VerdictQuery {
    purl: Option<String>,
    fresh: Option<String>,
    file_name: Option<String>,
    until: Option<String>,
}

impl VerdictQuery {
    fn is_fresh(&self) -> Result<bool, ApiError> {
        match self.fresh.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(ApiError::caller(
                "bad_query",
                format!("fresh must be true or false, not {other:?}"),
            )),
        }
    }

    fn until(&self) -> Result<Option<Timestamp>, ApiError> {
        let instant = |text: &str| {
            text.parse().map_err(|_source: jiff::Error| {
                let message = format!("until must be an instant, as the `next` of an answer, not {text:?}");
                ApiError::caller("bad_query", message)
            })
        };
        self.until.as_deref().map(instant).transpose()
    }
}

/// A query string that does not parse must still be answered in the error envelope.
type Asked = Result<Query<VerdictQuery>, axum::extract::rejection::QueryRejection>;

fn query(asked: Asked) -> Result<VerdictQuery, ApiError> {
    asked
        .map(|Query(query)| query)
        .map_err(|rejection| ApiError::caller("bad_query", rejection.body_text()))
}

/// How many entries a page lists: what was asked for, from 1 to `most`, or `otherwise`. Another number is refused and not cut, so
/// that nobody takes a short page for the last.
fn page_size(asked: Option<usize>, otherwise: usize, most: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(otherwise),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(ApiError::caller(
            "bad_query",
            format!("limit must be a number from 1 to {most}, not {asked}"),
        )),
    }
}

async fn verdict_by_purl(InTime(api): InTime, asked: Asked) -> Result<Response, ApiError> {
    let query = query(asked)?;
    let fresh = query.is_fresh()?;
    let purl = query.purl.ok_or_else(|| {
        ApiError::caller(
            "bad_query",
            "give ?purl=pkg:npm/name@version, or use /v1/verdicts/npm/name/version",
        )
    })?;
    answer(&api, &purl.parse()?, fresh).await
}

async fn verdict_by_path(
    InTime(api): InTime,
    Path((ecosystem, path)): Path<(String, String)>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let query = query(asked)?;
    match Resource::asked(ecosystem, &path, &query)? {
        Resource::Verdict(coordinate) => answer(&api, &coordinate, query.is_fresh()?).await,
        Resource::Signed(package) => signed(&api, package, query.is_fresh()?).await,
        Resource::Dossier(package) => dossier(&api, &package).await,
        Resource::Attestation(package) => attestation(&api, &package).await,
        Resource::History(package) => history(&api, &package, query.until()?).await,
    }
}

/// What a path under `/v1/verdicts/{ecosystem}/` asks for.
#[derive(Debug, PartialEq)]
enum Resource {
    Verdict(Coordinate),
    Dossier(PackageVersion),
    Attestation(PackageVersion),
    Signed(PackageVersion),
    History(PackageVersion),
}

impl Resource {
    /// What a path with a query asks for.
    fn asked(ecosystem: String, path: &str, query: &VerdictQuery) -> Result<Self, CoordinateError> {
        let ecosystem =
            Ecosystem::from_purl_type(&ecosystem).ok_or(CoordinateError::UnsupportedEcosystem(ecosystem))?;
        let resource = Self::parse(ecosystem, path)?;
        match query.file_name.as_deref() {
            Some(file) => resource.of_file(file),
            None => Ok(resource),
        }
    }

    /// The same of one file alone.
    fn of_file(self, file: &str) -> Result<Self, CoordinateError> {
        let version = |package| Coordinate::from(package).of_file(file)?.try_into();
        match self {
            Self::Verdict(coordinate) => coordinate.of_file(file).map(Self::Verdict),
            Self::Dossier(package) => version(package).map(Self::Dossier),
            Self::Attestation(package) => version(package).map(Self::Attestation),
            Self::Signed(package) => version(package).map(Self::Signed),
            Self::History(package) => version(package).map(Self::History),
        }
    }

    /// Parses `name/version`, `@scope/name/version` and their sub-resources; the router has decoded the path, so that a
    /// scoped name may come with or without percent-encoding.
    fn parse(ecosystem: Ecosystem, path: &str) -> Result<Self, CoordinateError> {
        let path = path.trim_end_matches('/');
        let (rest, last) = path.rsplit_once('/').unwrap_or((path, "latest"));
        let version_of = |rest: &str| {
            let (name, version) = rest.rsplit_once('/')?;
            let coordinate = Coordinate::new(ecosystem, name, version).ok()?;
            PackageVersion::new(coordinate.name, version).ok()
        };
        match (last, version_of(rest)) {
            ("dossier", Some(package)) => Ok(Self::Dossier(package)),
            ("attestation", Some(package)) => Ok(Self::Attestation(package)),
            ("signed", Some(package)) => Ok(Self::Signed(package)),
            ("history", Some(package)) => Ok(Self::History(package)),
            (_, _) if rest.starts_with('@') && !rest.contains('/') => {
                Coordinate::new(ecosystem, path, "latest").map(Self::Verdict)
            }
            (_, _) => Coordinate::new(ecosystem, rest, last).map(Self::Verdict),
        }
    }
}

/// What the first Hekate served: the latest version of an npm package.
async fn package(InTime(api): InTime, Path(name): Path<String>) -> Result<Response, ApiError> {
    answer(
        &api,
        &Coordinate::new(Ecosystem::Npm, name.trim_end_matches('/'), "latest")?,
        false,
    )
    .await
}

async fn answer(api: &Api, coordinate: &Coordinate, fresh: bool) -> Result<Response, ApiError> {
    let now = (api.clock)();
    let text = api
        .service
        .text_as_fresh_as(coordinate, freshness(api, fresh), now)
        .await?;
    let valid_until = text.valid_until();
    let answer = ([(header::CONTENT_TYPE, "application/json")], text.into_json());
    Ok(with_caching(answer.into_response(), valid_until, now))
}

fn freshness(api: &Api, fresh: bool) -> Freshness {
    if fresh {
        Freshness::Within(api.fresh_after)
    } else {
        Freshness::Remembered
    }
}

/// The same verdict, signed: what other verifiers ask for.
async fn signed(api: &Api, package: PackageVersion, fresh: bool) -> Result<Response, ApiError> {
    if api.service.signing.signer.is_none() {
        return Err(ServiceFault::NoKey.into());
    }
    let now = (api.clock)();
    let freshness = freshness(api, fresh);
    let Looked { verdict, .. } = api.service.verdict_as_fresh_as(&package.into(), freshness, now).await?;
    let envelope = api.service.testify(&verdict).await?;
    Ok(with_caching(
        axum::Json(envelope).into_response(),
        verdict.valid_until,
        now,
    ))
}

/// What the peers say. It may be kept for a minute, since each of them is asked for every answer, unless none was heard.
async fn network(
    InTime(api): InTime,
    Path((ecosystem, path)): Path<(String, String)>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let query = query(asked)?;
    if query.fresh.is_some() {
        let message = "fresh has no meaning here: what peers differ about is looked at again where it is old";
        return Err(ApiError::caller("bad_query", message));
    }
    let Resource::Verdict(coordinate) = Resource::asked(ecosystem, &path, &query)? else {
        return Err(ApiError::not_found(
            "peers are asked for a version of a package, and for nothing of it",
        ));
    };
    let report = api
        .service
        .compare_with_peers(&coordinate, api.fresh_after, (api.clock)())
        .await?;
    let caching = match report.result {
        PeerAgreement::Unknown => "no-store",
        PeerAgreement::Agree | PeerAgreement::Skew | PeerAgreement::SplitView => "public, max-age=60",
    };
    let mut response = axum::Json(report).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}

/// A verdict, and what follows from it, may be kept by caches for as long as it is valid, at most an hour, so that a change is
/// seen soon.
fn with_caching(mut response: Response, valid_until: Timestamp, now: Timestamp) -> Response {
    let seconds = valid_until.duration_since(now).as_secs().clamp(0, 3600);
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={seconds}")) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}

/// The verdicts of a version at each change, newest first: as many as an answer has room for, and where to go on from.
async fn history(api: &Api, package: &PackageVersion, until: Option<Timestamp>) -> Result<Response, ApiError> {
    let mut verdicts = api.service.store.history(package, until, HISTORY_LIMIT + 1).await?;
    if verdicts.is_empty() {
        return Err(not_verified(package));
    }
    // One that is larger than that has an answer of its own.
    let listed = size::fill(&verdicts, size::FULL)?.clamp(1, HISTORY_LIMIT);
    let next = verdicts.get(listed).map(|verdict| verdict.checked_at);
    verdicts.truncate(listed);
    Ok(axum::Json(json!({ "package": package, "verdicts": verdicts, "next": next })).into_response())
}

async fn dossier(api: &Api, package: &PackageVersion) -> Result<Response, ApiError> {
    let verdict = current(api, package).await?;
    let dossier = api.service.store.dossier(&verdict.dossier).await?;
    let dossier = dossier.ok_or_else(|| not_verified(package))?;
    Ok(axum::Json(dossier).into_response())
}

/// The signed summary of the current verdict. Nothing is looked at for it, and what was signed once is not signed again: anybody
/// can ask.
async fn attestation(api: &Api, package: &PackageVersion) -> Result<Response, ApiError> {
    let verdict = current(api, package).await?;
    let envelope = api.service.attest(&verdict).await?;
    Ok(with_caching(
        axum::Json(envelope).into_response(),
        verdict.valid_until,
        (api.clock)(),
    ))
}

async fn current(api: &Api, package: &PackageVersion) -> Result<Verdict, ApiError> {
    let verdict = api.service.store.current(package).await?;
    verdict.ok_or_else(|| not_verified(package))
}

fn not_verified(package: &PackageVersion) -> ApiError {
    ApiError::not_found(format!("{package} has not been verified here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_of_a_version_is_asked_about_by_its_name() {
        let of = |ecosystem, path: &str| Resource::parse(ecosystem, path).unwrap().of_file("a-1.0.tar.gz");
        assert_eq!(
            of(Ecosystem::PyPi, "a/1.0"),
            "pkg:pypi/a@1.0?file_name=a-1.0.tar.gz".parse().map(Resource::Verdict)
        );
        assert_eq!(
            of(Ecosystem::PyPi, "a/1.0/history"),
            "pkg:pypi/a@1.0?file_name=a-1.0.tar.gz".parse().map(Resource::History)
        );
        assert!(of(Ecosystem::Npm, "a/1.0.0").is_err());
    }

    fn parse(path: &str) -> Result<Resource, CoordinateError> {
        Resource::parse(Ecosystem::Npm, path)
    }

    fn verdict(text: &str) -> Result<Resource, CoordinateError> {
        text.parse().map(Resource::Verdict)
    }

    #[test]
    fn a_path_names_a_version_with_or_without_a_scope() {
        assert_eq!(parse("sigstore/3.0.0"), verdict("npm:sigstore@3.0.0"));
        assert_eq!(parse("@scope/name/1.2.3"), verdict("npm:@scope/name@1.2.3"));
        assert_eq!(parse("@scope/name/latest/"), verdict("npm:@scope/name@latest"));
    }

    #[test]
    fn without_a_version_the_latest_is_meant() {
        assert_eq!(parse("sigstore"), verdict("npm:sigstore@latest"));
        assert_eq!(parse("@scope/name"), verdict("npm:@scope/name@latest"));
    }

    #[test]
    fn a_page_has_as_many_entries_as_were_asked_for_or_the_request_is_refused() {
        assert_eq!(page_size(None, 3, 5).ok(), Some(3));
        for fits in [1, 5] {
            assert_eq!(page_size(Some(fits), 3, 5).ok(), Some(fits));
        }
        for refused in [0, 6] {
            let refusal = page_size(Some(refused), 3, 5).unwrap_err();
            assert_eq!((refusal.status, refusal.code), (StatusCode::BAD_REQUEST, "bad_query"));
        }
    }

    #[test]
    fn sub_resources_need_an_exact_version() {
        assert_eq!(
            parse("a/1.0.0/dossier"),
            "pkg:npm/a@1.0.0".parse().map(Resource::Dossier)
        );
        assert_eq!(
            parse("@s/a/1.0.0/attestation"),
            "pkg:npm/%40s/a@1.0.0".parse().map(Resource::Attestation)
        );
        assert_eq!(
            parse("@s/a/1.0.0/history"),
            "pkg:npm/%40s/a@1.0.0".parse().map(Resource::History)
        );
        assert_eq!(parse("@dossier/history/1.0.0"), verdict("npm:@dossier/history@1.0.0"));
    }

    #[test]
    fn the_index_and_the_openapi_document_list_the_same_routes() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let documented: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        for route in ROUTES.iter().filter(|route| **route != "/openapi.json") {
            let path = route.split('?').next().unwrap();
            assert!(documented.iter().any(|documented| *documented == path), "{route}");
        }
        assert_eq!(documented.len() + 1, ROUTES.len());
    }

    #[test]
    fn a_path_that_names_nothing_is_the_callers_mistake() {
        assert!(parse("../../etc/passwd").is_err());
        assert!(parse("a/^1.0.0").is_err());
    }
}
