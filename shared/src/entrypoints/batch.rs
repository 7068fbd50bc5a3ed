//! The batch verifier: one SQS event, many messages, each on its own.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use futures::StreamExt;
use jiff::Timestamp;

use crate::entrypoints::api::Clock;
use crate::ports::WorkItem;
use crate::service::{Service, Worked};

/// How many messages of one event are worked on at once. The limit per upstream host lies in the fetch port.
const AT_ONCE: usize = 5;

/// Works on every message of an event, each as of when its turn comes, and returns those that are to be delivered again.
///
/// What can never succeed is logged and taken off the queue; what might is returned, so that after its last delivery the
/// queue moves it to the dead-letter queue.
pub async fn handle(service: &Service, event: SqsEvent, clock: Clock) -> SqsBatchResponse {
    let failures = futures::stream::iter(event.records)
        .map(|record| async move {
            let id = record.message_id.unwrap_or_default();
            let again = work_on(service, record.body.as_deref().unwrap_or_default(), &id, clock()).await;
            again.then_some(id)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .map(|item_identifier| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = item_identifier;
            failure
        })
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

/// Works on one body; true if it is to be delivered again.
async fn work_on(service: &Service, body: &str, id: &str, now: Timestamp) -> bool {
    let item = match WorkItem::from_json(body) {
        Ok(item) => item,
        Err(error) => {
            tracing::error!(message = id, %error, "a message was dropped: it can never be worked on");
            return false;
        }
    };
    match service.work(&item, now).await {
        Worked::Done(_) => false,
        Worked::HandedOver(versions) => {
            tracing::info!(message = id, package = %item.package, versions, "versions were handed over");
            false
        }
        Worked::Hopeless(fault) => {
            tracing::error!(message = id, package = %item.package, error = %fault, "a message was dropped: it can never succeed");
            false
        }
        Worked::TryAgain(why) => {
            tracing::warn!(message = id, package = %item.package, %why, "a message goes back to the queue");
            true
        }
    }
}
