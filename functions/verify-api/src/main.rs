//! The verify API as a Lambda function behind API Gateway.

use std::sync::Arc;

use hekate::entrypoints::api::{self, Api, router};
use hekate::entrypoints::{Deadline, of_invocation};
use hekate::wiring;
use lambda_http::http::Uri;
use lambda_http::{Body, Error, Request, RequestExt as _, service_fn};
use mimalloc::MiMalloc;
use tower::ServiceExt as _;

/// A verdict that is read and handed on is a thousand small pieces of memory, which this allocator is faster with than glibc's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The most that one answer may have, in bytes: what Lambda returns to API Gateway is limited to 6 MiB, of which so much is left to
/// the status and the headers, where the body is a string of JSON.
const ANSWER_LIMIT: usize = (6 << 20) - (16 << 10);

fn main() -> Result<(), Error> {
    wiring::function_runtime()?.block_on(serve())
}

async fn serve() -> Result<(), Error> {
    wiring::init_function_logs();
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    let router = router(Api {
        service,
        clock: wiring::now,
        fresh_after: config.fresh_after,
    });
    lambda_http::run_concurrent(service_fn(move |request: Request| {
        let router = router.clone();
        async move {
            let context = request.lambda_context_ref().cloned().unwrap_or_default();
            let deadline = Deadline::from_millis(context.deadline, wiring::now(), api::USUAL);
            let mut request = without_stage(request);
            request.extensions_mut().insert(deadline);
            let answer = router.oneshot(request);
            let answer = of_invocation(&context.request_id, context.xray_trace_id.as_deref(), answer);
            let answer = api::fitting(answer.await?, ANSWER_LIMIT).await;
            // Concurrent hosting wants answers that can be shared between threads, which a streamed body cannot.
            Ok::<_, Error>(answer.map(|body| Body::from(Vec::from(body))))
        }
    }))
    .await
}

/// The request with the path that the caller sent: a REST API puts the name of its stage before it.
fn without_stage(mut request: Request) -> Request {
    let path = request.raw_http_path().to_owned();
    let path_and_query = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    // Where the path is no URI, the router says so of the path with the stage.
    if let Ok(uri) = path_and_query.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}
