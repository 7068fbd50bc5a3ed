//! Many rows in few requests.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::ports::StoreFault;

use super::rows::Item;
use super::unreachable;

/// The most rows of one BatchWriteItem.
const WRITE_BATCH: usize = 25;

/// The most rows of one BatchGetItem.
const READ_BATCH: usize = 100;

/// Waiting times between attempts: 20 ms, doubling to 1 s, each with up to as much again at random, and at most eight.
pub(super) fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(1))
        .with_factor(2.0)
        .with_max_times(8)
        .with_jitter()
        .build()
}

/// Whether a batch read sees every write that was answered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consistency {
    /// It does.
    Strong,
    /// It may miss what was written a moment ago, and costs half.
    Eventual,
}

/// Reads and writes rows in batches.
///
/// A batch is no transaction. What a request leaves unprocessed is sent again, with growing pauses for as long as nothing
/// at all is processed.
#[derive(Clone, Debug)]
pub(super) struct Bulk {
    client: Client,
    table: String,
}

impl Bulk {
    pub(super) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes rows with different keys, with at most so many requests at once. A request that names a row twice is refused
    /// as a whole.
    pub(super) async fn write(&self, items: Vec<Item>, at_once: usize) -> Result<(), StoreFault> {
        let requests = items
            .into_iter()
            .map(|item| {
                let put = PutRequest::builder()
                    .set_item(Some(item))
                    .build()
                    .map_err(unreachable)?;
                Ok(WriteRequest::builder().put_request(put).build())
            })
            .collect::<Result<Vec<_>, StoreFault>>()?;
        let writing: Vec<_> = requests
            .chunks(WRITE_BATCH)
            .map(|batch| self.write_batch(batch.to_vec()))
            .collect();
        stream::iter(writing).buffer_unordered(at_once).try_collect().await
    }

    async fn write_batch(&self, mut left: Vec<WriteRequest>) -> Result<(), StoreFault> {
        let mut delays = backoff();
        while !left.is_empty() {
            let sent = left.len();
            let result = self
                .client
                .batch_write_item()
                .request_items(&self.table, left.clone())
                .send()
                .await;
            match result {
                Ok(output) => {
                    left = output
                        .unprocessed_items
                        .unwrap_or_default()
                        .into_values()
                        .flatten()
                        .collect();
                }
                // Where not one row could be processed, the answer is a fault instead of a list of them.
                Err(fault) if is_throttled(&fault) => {}
                Err(fault) => return Err(unreachable(fault)),
            }
            pause(&mut delays, sent, left.len()).await?;
        }
        Ok(())
    }

    /// The rows that are there of those with these different keys, in no order, with at most so many requests at once.
    pub(super) async fn read(
        &self,
        keys: Vec<Item>,
        consistency: Consistency,
        at_once: usize,
    ) -> Result<Vec<Item>, StoreFault> {
        let reading: Vec<_> = keys
            .chunks(READ_BATCH)
            .map(|batch| self.read_batch(batch.to_vec(), consistency))
            .collect();
        stream::iter(reading).buffer_unordered(at_once).try_concat().await
    }

    async fn read_batch(&self, mut left: Vec<Item>, consistency: Consistency) -> Result<Vec<Item>, StoreFault> {
        let mut found = Vec::new();
        let mut delays = backoff();
        while !left.is_empty() {
            let sent = left.len();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(left.clone()))
                .consistent_read(consistency == Consistency::Strong)
                .build()
                .map_err(unreachable)?;
            let result = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .send()
                .await;
            match result {
                Ok(output) => {
                    found.extend(output.responses.unwrap_or_default().into_values().flatten());
                    left = output
                        .unprocessed_keys
                        .unwrap_or_default()
                        .into_values()
                        .flat_map(|rest| rest.keys)
                        .collect();
                }
                Err(fault) if is_throttled(&fault) => {}
                Err(fault) => return Err(unreachable(fault)),
            }
            pause(&mut delays, sent, left.len()).await?;
        }
        Ok(found)
    }
}

/// Whether too much was asked for at once.
fn is_throttled<E: ProvideErrorMetadata, R>(fault: &SdkError<E, R>) -> bool {
    let code = fault.as_service_error().and_then(ProvideErrorMetadata::code);
    matches!(
        code,
        Some("ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "ThrottlingException")
    )
}

/// Waits before what is left of a batch is sent again; starts over with short pauses when there was progress.
async fn pause(delays: &mut ExponentialBackoff, sent: usize, left: usize) -> Result<(), StoreFault> {
    if left == 0 {
        return Ok(());
    }
    if left < sent {
        *delays = backoff();
    }
    let delay = delays
        .next()
        .ok_or_else(|| StoreFault::Unreachable(format!("{left} rows of a batch were left unprocessed").into()))?;
    tokio::time::sleep(delay).await;
    Ok(())
}
