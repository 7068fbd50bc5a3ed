//! Serves every npm recording of the corpus on a loopback port, until its standard input ends.
//!
//! One line of JSON says where: `npmUrl` serves the genuine recordings under their names, and each entry of `packages` has
//! the base address under which it is served, for tampered ones one of their own. `trustedRoot` and `npmKeys` are the
//! files to judge them by. `expected` is a status, or `not accepted` where the source of a recording gives no verdict.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use hekate_tests::corpus::{Corpus, NPM_KEYS, TRUSTED_ROOT, VARIABLE};
use serde_json::json;
use testbed::{Reply, Scenario};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// The genuine recordings in one registry, and every other one in a registry of its own.
struct Registries {
    genuine: Scenario,
    cases: Vec<Scenario>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let corpus = Corpus::from_environment()?.with_context(|| format!("{VARIABLE} names no folder"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let base = format!("http://{}", listener.local_addr()?);
    let mut registries = Registries {
        genuine: Scenario::new(),
        cases: Vec::new(),
    };
    let mut packages = Vec::new();
    for recording in [corpus.responses()?, corpus.manifests()?, corpus.composed()?].concat() {
        let package = &recording.package;
        let is_free = registries
            .genuine
            .npm_release(package.name().as_str(), package.version())
            .is_none();
        let is_genuine = recording.name.starts_with("npm/attestations/")
            || recording.name.starts_with("npm/metadata/")
            || recording.name.starts_with("npm/bundles/");
        let npm_url = if is_genuine && is_free {
            registries.genuine = registries.genuine.published(recording.published.clone());
            base.clone()
        } else {
            registries.cases.push(recording.scenario());
            format!("{base}/case/{}", registries.cases.len() - 1)
        };
        packages.push(json!({
            "purl": package.to_purl(),
            "expected": recording.expected.as_str(),
            "npmUrl": npm_url,
            "recording": recording.name,
        }));
    }
    let line = json!({
        "npmUrl": base,
        "trustedRoot": corpus.path(TRUSTED_ROOT),
        "npmKeys": corpus.path(NPM_KEYS),
        "packages": packages,
    });
    writeln!(std::io::stdout(), "{line}")?;
    let service = Router::new().fallback(answer).with_state(Arc::new(registries));
    let until_input_ends = async {
        // An error of the input is an end of it.
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    };
    axum::serve(listener, service)
        .with_graceful_shutdown(until_input_ends)
        .await?;
    Ok(())
}

async fn answer(State(registries): State<Arc<Registries>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let (scenario, path) = registries.route(path);
    let text = |name: header::HeaderName| {
        let value = request.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    deliver(scenario.npm_reply(&testbed::Request {
        path: path.to_owned(),
        accept: text(header::ACCEPT),
        if_none_match: text(header::IF_NONE_MATCH),
        ..testbed::Request::default()
    }))
}

impl Registries {
    fn route<'a>(&'a self, path: &'a str) -> (&'a Scenario, &'a str) {
        let case = path.strip_prefix("/case/").and_then(|rest| {
            let (number, _) = rest.split_once('/')?;
            let scenario = self.cases.get(number.parse::<usize>().ok()?)?;
            Some((scenario, rest.strip_prefix(number)?))
        });
        case.unwrap_or((&self.genuine, path))
    }
}

/// Recordings have whole bodies; none of the ways in which servers fail is among them.
fn deliver(reply: Reply) -> Response {
    let body = reply.bytes().map(<[u8]>::to_vec).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        let name = header::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, header::HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
