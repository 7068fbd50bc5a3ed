//! The batch verifier: one SQS event, many messages, each on its own.
//!
//! Nothing here outlives an event, so that any number of them are worked on in one process at once.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::Deadline;
use crate::entrypoints::api::Clock;
use crate::ports::{BatchItem, Measurement, Meter, Poison, WorkItem, WorkItemError};
use crate::service::{Note, Service, Until, Worked};

/// How many messages of one event are worked on at once: all of those that template.yaml lets an event have. The limit per
/// upstream host lies in the fetch port.
const AT_ONCE: usize = 10;
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
/// 5. In the end the batches that the messages belong to are told, each once. What one could not be told of is returned, and
///    answered from the table the next time.
pub async fn handle(service: &Service, event: SqsEvent, clock: Clock, deadline: Deadline) -> SqsBatchResponse {
    let (meter, gathered) = (&service.meter, Arc::new(Gathered::default()));
    let service = &Service {
        meter: Arc::clone(&gathered) as _,
        ..service.clone()
    };
    let waiting = AtomicUsize::new(event.records.len());
    let done: Vec<Done> = futures::stream::iter(event.records)
        .map(|record| {
            let message = Message::new(service, record);
            let span = tracing::info_span!("message", messageId = message.id, deliveries = message.deliveries);
            let waiting = &waiting;
            async move {
                let rounds = waiting.fetch_sub(1, Ordering::Relaxed).div_ceil(AT_ONCE);
                let (is_returned, note) = message.work_on(deadline.share(rounds), clock).await;
                Done {
                    message: message.id,
                    is_returned,
                    note,
                }
            }
            .instrument(span)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    // 5.
    let untold = tell_batches(service, &done, clock, deadline).await;
    let is_untold = |note: &Note| untold.contains(&note.batch);
    let failures: Vec<BatchItemFailure> = done
        .into_iter()
        .filter(|done| done.is_returned || done.note.as_ref().is_some_and(is_untold))
        .map(|done| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = done.message;
            failure
        })
        .collect();
    let mut measurements = gathered.take();
    if !failures.is_empty() {
        measurements.push(Measurement::MessagesReturned(failures.len()));
    }
    meter.measure_all(&measurements, clock());
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures;
    response
}

/// Keeps the measurements of an event, so that they are written together: most of what a line of metrics holds is about all of them.
#[derive(Default)]
struct Gathered(Mutex<Vec<Measurement>>);

impl Gathered {
    fn take(&self) -> Vec<Measurement> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Meter for Gathered {
    fn measure_all(&self, measurements: &[Measurement], _at: Timestamp) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.extend_from_slice(measurements);
    }
}

/// What became of a message.
struct Done {
    /// Its id.
    message: String,
    /// Whether it is to be delivered again.
    is_returned: bool,
    /// What its batch is to be told.
    note: Option<Note>,
}

/// Tells batches what became of their versions, each once and all at the same time, and returns the ids of those that could not be
/// told in time.
async fn tell_batches(service: &Service, done: &[Done], clock: Clock, deadline: Deadline) -> BTreeSet<String> {
    let mut said: BTreeMap<&str, Vec<BatchItem>> = BTreeMap::new();
    for note in done.iter().filter_map(|done| done.note.as_ref()) {
        said.entry(&note.batch).or_default().push(note.item.clone());
    }
    let now = clock();
    let telling = said.into_iter().map(|(batch, items)| async move {
        let told = service.store.note_progress(batch, &items, now);
        let why = match timeout_at(deadline.returning(), told).await {
            Ok(Ok(())) => return None,
            Ok(Err(fault)) => fault.to_string(),
            Err(_elapsed) => "there was no time left".to_owned(),
        };
        let versions = items.len();
        tracing::warn!(
            event = "batch.untold",
            batch,
            versions,
            why,
            "a batch was not told, and messages go back to the queue"
        );
        Some(batch.to_owned())
    });
    join_all(telling).await.into_iter().flatten().collect()
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

    /// Works on it. Returns whether it is to be delivered again, and what its batch is to be told.
    async fn work_on(&self, until: Option<Until>, clock: Clock) -> (bool, Option<Note>) {
        let now = clock();
        // 2.
        let item = match WorkItem::from_json(&self.body) {
            Ok(item) => item,
            Err(error) => return (self.is_no_work(&error, now), None),
        };
        // 1.
        let Some(until) = until else {
            goes_back(&item, "there was no time left to begin");
            return (true, None);
        };
        let service = self.service.within(until);
        let working = AssertUnwindSafe(service.work_untold(&item, now)).catch_unwind();
        let worked = match timeout_at(late(until), working).await {
            Ok(Ok(worked)) => worked,
            Ok(Err(panic)) => return (true, self.panicked(&item, &said(panic), now)),
            Err(_elapsed) => Worked::TryAgain("there was no time left to finish".to_owned()),
        };
        let note = Note::of(&item, &worked);
        let is_returned = match worked {
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
        };
        (is_returned, note)
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

    /// A panic is a defect of this version, and would be one again. The message is kept for whoever mends it, the batch is told
    /// and does not wait for that, and the messages beside it are worked on.
    fn panicked(&self, item: &WorkItem, error: &str, now: Timestamp) -> Option<Note> {
        let poison = Poison::Panicked;
        tracing::error!(
            event = "message.poison", poison = poison.as_str(), returned = true, error,
            package = %item.package, reason = item.reason.as_str(), batch = item.batch,
            "a message made the verifier panic"
        );
        self.service.meter.measure(&Measurement::MessagePoison(poison), now);
        Note::failed(item, "internal", "this verifier cannot work on this version")
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
