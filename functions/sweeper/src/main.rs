//! The sweeper as a Lambda function behind EventBridge Scheduler. It verifies nothing: it hands over what is due.

use std::sync::Arc;

use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    wiring::init_logs(true, "info");
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    // The payload says nothing that the clock and the store do not, so that any schedule's shape will do.
    lambda_runtime::run_concurrent(service_fn(move |_event: LambdaEvent<Value>| {
        let service = Arc::clone(&service);
        async move {
            let swept = service.sweep(wiring::now()).await?;
            // Whatever else could be done was done; a failed invocation is what the alarm sees.
            if !swept.troubles.is_empty() {
                return Err(Error::from(swept.troubles.join("; ")));
            }
            Ok::<_, Error>(serde_json::to_value(swept)?)
        }
    }))
    .await
}
