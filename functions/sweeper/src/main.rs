//! The sweeper as a Lambda function behind EventBridge Scheduler. It verifies nothing: it hands over what is due.

use std::sync::Arc;

use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    wiring::init_logs(true, "info");
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    // The payload says nothing that the clock and the store do not, so that any schedule's shape will do.
    lambda_runtime::run_concurrent(service_fn(move |_event: LambdaEvent<Value>| {
        let service = Arc::clone(&service);
        async move {
            let enqueued = service.sweep(wiring::now()).await?;
            Ok::<_, Error>(json!({ "enqueued": enqueued }))
        }
    }))
    .await
}
