//! The verify API as a Lambda function behind API Gateway.

use std::sync::Arc;

use hekate::entrypoints::api::{Api, router};
use hekate::wiring;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    wiring::init_logs(true, "info");
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    let api = Api { service, clock: wiring::now };
    lambda_http::run_concurrent(router(api)).await
}
