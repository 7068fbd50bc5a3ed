//! Batches: many versions that are handed in at once and looked at one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Service, ServiceFault};
use crate::package::PackageVersion;
use crate::ports::{Batch, BatchItem, Progress, StoreFault, Target, WorkItem, WorkReason};

/// The most versions of one batch.
pub const BATCH_LIMIT: usize = 10_000;
/// For how long a batch can be asked about.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long a caller waits until the work is queued. What is not queued by then is left to the next sweep.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a sweep hands over what is pending.
const SWEPT_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// How far a batch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchState {
    /// The batch.
    #[serde(flatten)]
    pub batch: Batch,
    /// Whether every version has a verdict, or never will.
    pub done: bool,
    /// How many versions there are of each status, and `pending` and `failed` ones.
    pub counts: BTreeMap<String, usize>,
    /// A part of its versions, in the order of their purls.
    pub packages: Vec<BatchItem>,
    /// Where to go on from, as long as there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<PackageVersion>,
}

impl Service {
    /// Keeps a batch, then hands its versions over. What cannot be handed over now is by a sweep: a batch that was kept is
    /// worked on, whatever happens to this process.
    ///
    /// `id` must be hard to guess: whoever knows it can read the batch.
    pub async fn create_batch(
        &self,
        id: String,
        packages: &[PackageVersion],
        now: Timestamp,
    ) -> Result<Batch, ServiceFault> {
        let batch = Batch {
            id,
            total: packages.len(),
            created_at: now,
            expires_at: now.checked_add(KEPT_FOR).unwrap_or(Timestamp::MAX),
        };
        let due_at = now.checked_add(SWEPT_AFTER).unwrap_or(Timestamp::MAX);
        self.store.create_batch(&batch, packages, due_at).await?;
        let items: Vec<WorkItem> = packages
            .iter()
            .map(|package| WorkItem {
                batch: Some(batch.id.clone()),
                ..WorkItem::new(Target::Version(package.clone()), WorkReason::Batch, now)
            })
            .collect();
        match tokio::time::timeout(PATIENCE, self.queue.send(&items)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(batch = batch.id, error = %fault, "the rest is left to the next sweep"),
            Err(_elapsed) => tracing::info!(batch = batch.id, "the rest is left to the next sweep"),
        }
        Ok(batch)
    }

    /// How far a batch is, with at most `limit` of its versions after `after`; `None` if there is none, or none any more.
    ///
    /// The counts are made of the versions themselves at every question, so that no repetition of a message counts twice.
    pub async fn batch(
        &self,
        id: &str,
        after: Option<&PackageVersion>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Option<BatchState>, StoreFault> {
        let Some(batch) = self.store.batch(id, now).await? else {
            return Ok(None);
        };
        let mut counts = BTreeMap::new();
        let mut packages = Vec::new();
        let mut more = false;
        for item in self.store.batch_items(id, None, BATCH_LIMIT, now).await? {
            *counts.entry(name_of(&item.progress).to_owned()).or_default() += 1;
            if after.is_none_or(|after| item.package.to_purl() > after.to_purl()) {
                if packages.len() < limit {
                    packages.push(item);
                } else {
                    more = true;
                }
            }
        }
        Ok(Some(BatchState {
            done: !counts.contains_key(PENDING),
            batch,
            counts,
            next: packages.last().filter(|_| more).map(|item| item.package.clone()),
            packages,
        }))
    }
}

const PENDING: &str = "pending";

fn name_of(progress: &Progress) -> &'static str {
    match progress {
        Progress::Pending => PENDING,
        Progress::Done { status, .. } => status.as_str(),
        Progress::Failed { .. } => "failed",
    }
}
