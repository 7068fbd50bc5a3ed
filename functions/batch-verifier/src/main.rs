//! The batch verifier as a Lambda function behind SQS.

use std::sync::Arc;

use aws_lambda_events::event::sqs::SqsEvent;
use hekate::entrypoints::{Deadline, batch, of_invocation};
use hekate::wiring;
use lambda_runtime::{Error, LambdaEvent, service_fn};

fn main() -> Result<(), Error> {
    wiring::function_runtime()?.block_on(serve())
}

async fn serve() -> Result<(), Error> {
    wiring::init_function_logs();
    let config = wiring::config_from_environment()?;
    let service = Arc::new(wiring::aws(&config).await?);
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let service = Arc::clone(&service);
        async move {
            let LambdaEvent { payload, context } = event;
            let deadline = Deadline::from_millis(context.deadline, wiring::now(), batch::USUAL);
            let work = batch::handle(&service, payload, wiring::now, deadline);
            Ok::<_, Error>(of_invocation(&context.request_id, context.xray_trace_id.as_deref(), work).await)
        }
    }))
    .await
}
