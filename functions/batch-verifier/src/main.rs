//! The batch verifier as a Lambda function behind SQS.

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use hekate::entrypoints::{Deadline, batch};
use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    wiring::init_function_logs();
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let service = Arc::clone(&service);
        async move {
            let deadline = Deadline::from_millis(event.context.deadline, wiring::now(), batch::USUAL);
            Ok::<_, Error>(batch::handle(&service, event.payload, wiring::now, deadline).await)
        }
    }))
    .await
}
