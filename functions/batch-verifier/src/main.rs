//! The batch verifier as a Lambda function behind SQS.

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use hekate::entrypoints::batch;
use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    wiring::init_logs(true, "info");
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Error>(batch::handle(&service, event.payload, wiring::now).await) }
    }))
    .await
}
