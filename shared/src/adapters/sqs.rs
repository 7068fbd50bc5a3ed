//! The work queue on Amazon SQS.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::StreamExt as _;
use futures::stream;

use crate::ports::{QueueFault, WorkItem, WorkQueue, WorkReason};

/// The most messages of one request
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
const BATCH: usize = 10;

/// The most bytes of one request, all bodies together. SQS takes 1 MiB, queues with an older quota and emulators 256 KiB.
const BATCH_BYTES: usize = 256 * 1024;

/// How many requests are under way at the same time.
const CONCURRENCY: usize = 8;

/// Hands work to an SQS queue, and the versions of batches to another one, if there is one: ten thousand of them would keep
/// what is watched waiting.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    batches: Option<String>,
}

impl SqsQueue {
    /// The queue with this URL.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
            batches: None,
        }
    }

    /// The same, with a queue of their own for the versions of batches.
    #[must_use]
    pub fn with_batches_apart(self, url: impl Into<String>) -> Self {
        Self {
            batches: Some(url.into()),
            ..self
        }
    }

    /// The queue for an item.
    fn url_of(&self, item: &WorkItem) -> &str {
        match item.reason {
            WorkReason::Batch => self.batches.as_ref().unwrap_or(&self.url),
            WorkReason::Api | WorkReason::Sweep | WorkReason::Recheck => &self.url,
        }
    }

    /// Sends one batch; what SQS refuses through no fault of the sender is sent again a few times.
    async fn send_batch(&self, url: &str, bodies: &[String]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut left: Vec<(String, &String)> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| (number.to_string(), body))
            .collect();
        let mut delays = backoff();
        while !left.is_empty() {
            let mut request = self.client.send_message_batch().queue_url(url);
            for (id, body) in &left {
                match SendMessageBatchRequestEntry::builder()
                    .id(id)
                    .message_body(*body)
                    .build()
                {
                    Ok(entry) => request = request.entries(entry),
                    Err(fault) => return outcome.and_rejected(left.len(), &fault.to_string()),
                }
            }
            let output = match request.send().await {
                Ok(output) => output,
                Err(fault) => return outcome.and_rejected(left.len(), &DisplayErrorContext(&fault).to_string()),
            };
            let mut again = Vec::new();
            let mut reason = String::new();
            for failed in output.failed() {
                reason = format!("{}: {}", failed.code(), failed.message().unwrap_or("no message"));
                if failed.sender_fault() {
                    outcome = outcome.and_rejected(1, &reason);
                } else {
                    again.extend(left.iter().find(|(id, _)| id == failed.id()).cloned());
                }
            }
            left = again;
            if !left.is_empty() {
                match delays.next() {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return outcome.and_rejected(left.len(), &reason),
                }
            }
        }
        outcome
    }
}

#[async_trait]
impl WorkQueue for SqsQueue {
    /// Sends the items in batches, several at a time. A batch that fails does not keep the others back.
    async fn send(&self, items: &[WorkItem]) -> Result<(), QueueFault> {
        let rejected = |rejected, detail| QueueFault::Rejected {
            sent: items.len(),
            rejected,
            detail,
        };
        let mut bodies: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for item in items {
            let body = serde_json::to_string(item).map_err(|source| rejected(items.len(), source.to_string()))?;
            bodies.entry(self.url_of(item)).or_default().push(body);
        }
        let sending: Vec<_> = bodies
            .iter()
            .flat_map(|(url, bodies)| batches(bodies).into_iter().map(|batch| self.send_batch(url, batch)))
            .collect();
        let outcome = stream::iter(sending)
            .buffer_unordered(CONCURRENCY)
            .fold(Outcome::default(), async |one, other| {
                one.and_rejected(other.rejected, &other.detail)
            })
            .await;
        match outcome.rejected {
            0 => Ok(()),
            count => Err(rejected(count, outcome.detail)),
        }
    }
}

/// How many messages were not accepted, and why the last of them was not.
#[derive(Default)]
struct Outcome {
    rejected: usize,
    detail: String,
}

impl Outcome {
    fn and_rejected(mut self, count: usize, detail: &str) -> Self {
        if count > 0 {
            self.rejected += count;
            detail.clone_into(&mut self.detail);
        }
        self
    }
}

/// Waiting times between attempts: 50 ms, doubling, each with up to as much again at random, and at most five.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_factor(2.0)
        .with_max_times(5)
        .with_jitter()
        .build()
}

/// Cuts the bodies into runs that fit into one request each. A body that fits into none is a run of its own, for SQS to
/// refuse.
fn batches(bodies: &[String]) -> Vec<&[String]> {
    let mut batches = Vec::new();
    let mut rest = bodies;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(BATCH)
            .take_while(|body| {
                bytes += body.len();
                bytes <= BATCH_BYTES
            })
            .count()
            .max(1);
        let (batch, others) = rest.split_at_checked(fitting).unwrap_or((rest, &[]));
        batches.push(batch);
        rest = others;
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::conformance;
    use crate::adapters::conformance::wire::{Call, Reply, Wire};

    fn queue(script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static) -> (SqsQueue, Wire) {
        let wire = Wire::new(None, script);
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(wire.clone())
            .build();
        (
            SqsQueue::new(Client::from_conf(config), "https://sqs.example/1/work"),
            wire,
        )
    }

    fn entries(call: &Call) -> &Vec<Value> {
        call.input["Entries"].as_array().unwrap()
    }

    /// Accepts every message but those that `refuse` gives a reason for, `true` for the sender's fault.
    fn reply(call: &Call, refuse: impl Fn(&str) -> Option<bool>) -> Reply {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries(call) {
            match refuse(entry["MessageBody"].as_str().unwrap()) {
                None => successful.push(json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" })),
                Some(sender) => {
                    failed
                        .push(json!({ "Id": entry["Id"], "SenderFault": sender, "Code": "Refused", "Message": "no" }));
                }
            }
        }
        (200, json!({ "Successful": successful, "Failed": failed }))
    }

    fn accepting() -> (SqsQueue, Arc<Mutex<Vec<WorkItem>>>) {
        let received: Arc<Mutex<Vec<WorkItem>>> = Arc::default();
        let messages = Arc::clone(&received);
        let (queue, _) = queue(move |call, _| {
            let bodies = entries(call).iter().map(|entry| entry["MessageBody"].as_str().unwrap());
            messages
                .lock()
                .unwrap()
                .extend(bodies.map(|body| WorkItem::from_json(body).unwrap()));
            Some(reply(call, |_| None))
        });
        (queue, received)
    }

    #[tokio::test]
    async fn every_item_is_handed_over_whole() {
        let (queue, received) = accepting();
        conformance::every_item_is_handed_over_whole(queue, async || received.lock().unwrap().clone()).await;
    }

    #[tokio::test]
    async fn versions_of_batches_go_to_their_own_queue() {
        let of_batches = |item: WorkItem| WorkItem {
            reason: WorkReason::Batch,
            ..item
        };
        let others = |item: WorkItem| WorkItem {
            reason: WorkReason::Recheck,
            ..item
        };
        let items: Vec<WorkItem> = conformance::work(3)
            .into_iter()
            .map(others)
            .chain(conformance::work(12).into_iter().map(of_batches))
            .collect();
        let sent = async |queue: SqsQueue, wire: Wire| {
            queue.send(&items).await.unwrap();
            let mut sent: Vec<(String, usize)> = wire
                .take_calls()
                .iter()
                .map(|call| (call.input["QueueUrl"].as_str().unwrap().to_owned(), entries(call).len()))
                .collect();
            sent.sort();
            sent
        };
        let (work, batches) = ("https://sqs.example/1/work", "https://sqs.example/1/batches");
        let (one, wire) = queue(|call, _| Some(reply(call, |_| None)));
        assert_eq!(sent(one, wire).await, [(work.to_owned(), 5), (work.to_owned(), 10)]);
        let (one, wire) = queue(|call, _| Some(reply(call, |_| None)));
        assert_eq!(
            sent(one.with_batches_apart(batches), wire).await,
            [(batches.to_owned(), 2), (batches.to_owned(), 10), (work.to_owned(), 3)]
        );
    }

    #[tokio::test]
    async fn nothing_to_send_is_no_fault() {
        let (queue, received) = accepting();
        conformance::nothing_to_send_is_no_fault(queue, async || received.lock().unwrap().clone()).await;
    }

    #[tokio::test]
    async fn messages_go_in_batches_of_ten() {
        let (queue, wire) = queue(|call, _| Some(reply(call, |_| None)));
        queue.send(&conformance::work(25)).await.unwrap();
        let mut sizes: Vec<_> = wire.take_calls().iter().map(|call| entries(call).len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [5, 10, 10]);
    }

    #[test]
    fn a_batch_stays_below_the_size_of_a_request() {
        let body = |bytes| "x".repeat(bytes);
        let lengths = |bodies: &[String]| batches(bodies).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[body(100_000), body(100_000), body(100_000)]), [2, 1]);
        assert_eq!(lengths(&[body(BATCH_BYTES), body(1), body(1)]), [1, 2]);
        assert_eq!(lengths(&[body(1), body(BATCH_BYTES + 1), body(1)]), [1, 1, 1]);
        assert_eq!(lengths(&[]), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_queue_could_not_take_is_sent_again() {
        let (queue, wire) = queue(|call, before| {
            Some(reply(call, |body| {
                (before < 2 && body.contains("@3.0.0")).then_some(false)
            }))
        });
        queue.send(&conformance::work(10)).await.unwrap();
        let sizes: Vec<_> = wire.take_calls().iter().map(|call| entries(call).len()).collect();
        assert_eq!(sizes, [10, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_queue_never_takes_is_rejected() {
        let (queue, wire) = queue(|call, _| Some(reply(call, |body| body.contains("@3.0.0").then_some(false))));
        let QueueFault::Rejected { sent, rejected, detail } = queue.send(&conformance::work(20)).await.unwrap_err();
        assert_eq!((sent, rejected, detail.as_str()), (20, 1, "Refused: no"));
        assert_eq!(wire.take_calls().len(), 2 + 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_with_a_message_is_not_tried_again() {
        let (queue, wire) = queue(|call, _| Some(reply(call, |body| body.contains("@3.0.0").then_some(true))));
        let QueueFault::Rejected { sent, rejected, .. } = queue.send(&conformance::work(10)).await.unwrap_err();
        assert_eq!((sent, rejected), (10, 1));
        assert_eq!(wire.take_calls().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_fails_does_not_keep_the_others_back() {
        let (queue, _) = queue(|call, _| {
            let refused = entries(call)
                .iter()
                .any(|entry| entry["MessageBody"].as_str().unwrap().contains("@3.0.0"));
            Some(if refused {
                (403, json!({ "__type": "AccessDenied", "message": "no" }))
            } else {
                reply(call, |_| None)
            })
        });
        let QueueFault::Rejected { sent, rejected, detail } = queue.send(&conformance::work(30)).await.unwrap_err();
        assert_eq!((sent, rejected), (30, 10));
        assert!(detail.contains("AccessDenied"), "{detail}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_request_is_retried() {
        let (queue, wire) = queue(|call, before| {
            Some(if before == 0 {
                (
                    400,
                    json!({ "__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow down" }),
                )
            } else {
                reply(call, |_| None)
            })
        });
        queue.send(&conformance::work(1)).await.unwrap();
        assert_eq!(wire.take_calls().len(), 2);
    }
}
