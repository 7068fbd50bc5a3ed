//! The batch verifier: one SQS event, many messages, each on its own.
//!
//! Nothing here outlives an event, so that any number of them are worked on in one process at once.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::Deadline;
use crate::entrypoints::api::Clock;
use crate::ports::{Measurement, Poison, WorkItem, WorkItemError};
use crate::service::{Service, Until, Worked};

/// How many messages of one event are worked on at once. The limit per upstream host lies in the fetch port.
const AT_ONCE: usize = 5;
/// How long an event may take whose host does not say: the function's time-out in template.yaml.
pub const USUAL: Duration = Duration::from_secs(90);
/// How much of a body that is no work item the log shows, in bytes.
const SHOWN: usize = 1024;
/// How long after its time a message is taken from whatever still holds it, as only a store that hangs does.
const GRACE: Duration = Duration::from_millis(500);

/// Works on every message of an event, each as of when its turn comes and for its share of the time, and returns those that
/// are to be delivered again:
///
/// 1. What cannot be begun in time is returned untouched, and what was not finished in time with what was found so far on
///    record, so that no message is lost to another one that is slow.
/// 2. What nobody can work on is told of in the log and counted. What a newer version wrote is returned: once that version is
///    deployed it can work on it, and until then it is kept in the dead-letter queue. So is what makes this version panic.
/// 3. What can never succeed is told of, too, and taken off the queue; the batch that it belongs to is told as well.
/// 4. What might succeed is returned, so that after its last delivery the queue moves it to the dead-letter queue.
pub async fn handle(service: &Service, event: SqsEvent, clock: Clock, deadline: Deadline) -> SqsBatchResponse {
    let waiting = AtomicUsize::new(event.records.len());
    let failures: Vec<BatchItemFailure> = futures::stream::iter(event.records)
        .map(|record| {
            let message = Message::new(service, record);
            let span = tracing::info_span!("message", messageId = message.id, deliveries = message.deliveries);
            let waiting = &waiting;
            async move {
                let rounds = waiting.fetch_sub(1, Ordering::Relaxed).div_ceil(AT_ONCE);
                let again = message.work_on(deadline.share(rounds), clock).await;
                again.then_some(message.id)
            }
            .instrument(span)
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
    if !failures.is_empty() {
        let returned = Measurement::MessagesReturned(failures.len());
        service.meter.measure(&returned, clock());
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

/// One message, and who works on it.
struct Message<'a> {
    service: &'a Service,
    id: String,
    body: String,
    /// How often it was delivered, this time included, as the queue says.
    deliveries: Option<String>,
}

impl<'a> Message<'a> {
    fn new(service: &'a Service, record: SqsMessage) -> Self {
        Self {
            service,
            id: record.message_id.unwrap_or_default(),
            body: record.body.unwrap_or_default(),
            deliveries: record.attributes.get("ApproximateReceiveCount").cloned(),
        }
    }

    /// Works on it; true if it is to be delivered again.
    async fn work_on(&self, until: Option<Until>, clock: Clock) -> bool {
        let now = clock();
        // 2.
        let item = match WorkItem::from_json(&self.body) {
            Ok(item) => item,
            Err(error) => return self.is_no_work(&error, now),
        };
        // 1.
        let Some(until) = until else {
            goes_back(&item, "there was no time left to begin");
            return true;
        };
        let service = self.service.within(until);
        let working = AssertUnwindSafe(service.work(&item, now)).catch_unwind();
        let worked = match timeout_at(late(until), working).await {
            Ok(Ok(worked)) => worked,
            Ok(Err(panic)) => return self.panicked(&item, &said(panic), now).await,
            Err(_elapsed) => Worked::TryAgain("there was no time left to finish".to_owned()),
        };
        match worked {
            Worked::Done(_) => false,
            Worked::HandedOver(versions) => {
                tracing::info!(event = "message.handedOver", package = %item.package, versions, "versions were handed over");
                false
            }
            // 3.
            Worked::Hopeless(fault) => {
                tracing::warn!(
                    event = "message.hopeless", package = %item.package, reason = item.reason.as_str(),
                    batch = item.batch, code = fault.code(), error = %fault,
                    "a message was taken off the queue: it can never succeed"
                );
                self.service.meter.measure(&Measurement::MessageHopeless, now);
                false
            }
            // 4.
            Worked::TryAgain(why) => {
                goes_back(&item, &why);
                true
            }
        }
    }

    /// A body that is no work item, or none of this version.
    fn is_no_work(&self, error: &WorkItemError, now: Timestamp) -> bool {
        let (poison, returned) = match error {
            WorkItemError::Malformed(_) => (Poison::Malformed, false),
            WorkItemError::NewerSchema(_) => (Poison::NewerSchema, true),
        };
        let shown: String = self.body.chars().take(SHOWN).collect();
        tracing::error!(
            event = "message.poison", poison = poison.as_str(), returned, %error, body = shown,
            "a message cannot be worked on"
        );
        self.service.meter.measure(&Measurement::MessagePoison(poison), now);
        returned
    }

    /// A panic is a defect of this version, and would be one again. The message is kept for whoever mends it, the batch does
    /// not wait for that, and the messages beside it are worked on.
    async fn panicked(&self, item: &WorkItem, error: &str, now: Timestamp) -> bool {
        let poison = Poison::Panicked;
        tracing::error!(
            event = "message.poison", poison = poison.as_str(), returned = true, error,
            package = %item.package, reason = item.reason.as_str(), batch = item.batch,
            "a message made the verifier panic"
        );
        self.service.meter.measure(&Measurement::MessagePoison(poison), now);
        let noted = self
            .service
            .give_up(item, "internal", "this verifier cannot work on this version");
        match timeout_at(Instant::now() + GRACE, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(error = %fault, "a batch was not told of a version that was given up"),
            Err(_elapsed) => tracing::warn!("a batch was not told of a version that was given up in time"),
        }
        true
    }
}

fn goes_back(item: &WorkItem, why: &str) {
    tracing::warn!(
        event = "message.returned", package = %item.package, reason = item.reason.as_str(), batch = item.batch, why,
        "a message goes back to the queue"
    );
}

/// When a message is taken from whoever works on it: what it holds could be given back by then.
fn late(until: Until) -> Instant {
    until.answering + GRACE
}

/// What a panic said of itself.
fn said(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("a panic").to_owned(),
    }
}
