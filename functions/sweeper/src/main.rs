//! The sweeper as a Lambda function behind EventBridge Scheduler. It verifies nothing: it hands over what is due.

use std::sync::Arc;

use hekate::entrypoints::{Deadline, sweep};
use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    wiring::init_function_logs();
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    // The payload says nothing that the clock and the store do not, so that any schedule's shape will do.
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<Value>| {
        let service = Arc::clone(&service);
        async move {
            let now = wiring::now();
            let deadline = Deadline::from_millis(event.context.deadline, now, sweep::USUAL);
            let swept = sweep::handle(&service, now, deadline).await?;
            Ok::<_, Error>(serde_json::to_value(swept)?)
        }
    }))
    .await
}
