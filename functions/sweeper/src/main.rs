//! The sweeper as a Lambda function behind EventBridge Scheduler. It verifies nothing: it hands over what is due.

use std::sync::Arc;

use hekate::entrypoints::{Deadline, of_invocation, sweep};
use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

fn main() -> Result<(), Error> {
    wiring::function_runtime()?.block_on(serve())
}

async fn serve() -> Result<(), Error> {
    wiring::init_function_logs();
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    // The payload says nothing that the clock and the store do not, so that any schedule's shape will do.
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<Value>| {
        let service = Arc::clone(&service);
        async move {
            let (context, now) = (event.context, wiring::now());
            let deadline = Deadline::from_millis(context.deadline, now, sweep::USUAL);
            let work = sweep::handle(&service, now, deadline);
            let swept = of_invocation(&context.request_id, context.xray_trace_id.as_deref(), work).await?;
            Ok::<_, Error>(serde_json::to_value(swept)?)
        }
    }))
    .await
}
