//! Batches.

use async_trait::async_trait;
use jiff::Timestamp;

use super::keys::HEAD;
use super::rows::{self, Item};
use super::update::{Condition, Update};
use super::{DynamoDbStore, Reading, keys};
use crate::package::PackageVersion;
use crate::ports::{Batch, BatchItem, BatchStore, Progress, StoreFault, Task};

/// How many requests write the versions of one batch at the same time.
const AT_ONCE: usize = 4;

#[async_trait]
impl BatchStore for DynamoDbStore {
    /// Writes the versions first and the head last, so that a process that dies between the two leaves nothing but rows that
    /// nobody asks for, and that expire. The id must be a new one: a batch of the same id would begin anew.
    async fn create_batch(
        &self,
        batch: &Batch,
        packages: &[PackageVersion],
        due_at: Timestamp,
    ) -> Result<(), StoreFault> {
        let progress = rows::json(&Progress::Pending)?;
        let items = packages
            .iter()
            .map(|package| {
                let attributes = [
                    ("progress", progress.clone()),
                    ("expires", rows::expiry(batch.expires_at)),
                ];
                rows::item_with(keys::batch_key(&batch.id), &keys::item_key(package), attributes)
            })
            .collect();
        self.bulk.write(items, AT_ONCE).await?;
        self.put(head_item(batch, due_at)).await
    }

    /// The read is strongly consistent: whoever handed the batch in asks about it at once.
    async fn batch(&self, id: &str, now: Timestamp) -> Result<Option<Batch>, StoreFault> {
        let Some(item) = self.row(keys::batch_key(id), HEAD).await? else {
            return Ok(None);
        };
        let batch = Batch {
            id: id.to_owned(),
            total: rows::number_of(&item, "total")?,
            created_at: rows::instant_of(&item, "created_at")?,
            expires_at: rows::instant_of(&item, "expires_at")?,
        };
        Ok(Some(batch).filter(|batch| batch.expires_at > now))
    }

    /// The reads are strongly consistent: right after the head can be read, every version can, and whoever finds none that
    /// is pending may conclude that nothing is left to do.
    async fn batch_items(
        &self,
        id: &str,
        after: Option<&PackageVersion>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<BatchItem>, StoreFault> {
        let reading = Reading {
            backwards: false,
            consistent: true,
        };
        let after = after.map(keys::item_key);
        let items = self.rows(&keys::items(id), reading, after.as_deref(), limit).await?;
        let items = items.iter().map(|item| batch_item(item, now));
        items.filter_map(Result::transpose).collect()
    }

    /// A verdict is noted unless a later one was, so that of two workers the one with the newer verdict has the last word,
    /// whoever comes last. A version that is there is pending or further, so that noting this changes nothing.
    async fn note_progress(&self, id: &str, item: &BatchItem) -> Result<(), StoreFault> {
        let mut conditions = vec![Condition::row()];
        let checked_at = match &item.progress {
            Progress::Pending => return Ok(()),
            Progress::Done { checked_at, .. } => {
                let checked_at = rows::text(keys::instant(*checked_at));
                conditions.push(Condition::IsMissingOrAtMost("checked_at", checked_at.clone()));
                Some(checked_at)
            }
            Progress::Failed { .. } => None,
        };
        let mut update = Update::of(keys::batch_key(id), &keys::item_key(&item.package), conditions);
        update.set("progress", rows::json(&item.progress)?);
        if let Some(checked_at) = checked_at {
            update.set("checked_at", checked_at);
        }
        self.update(update).await.map(drop)
    }

    async fn finish_batch(&self, id: &str) -> Result<(), StoreFault> {
        let mut update = Update::of(keys::batch_key(id), HEAD, [Condition::row()]);
        rows::set_due(&mut update, &Task::Batch(id.to_owned()), None);
        self.update(update).await.map(drop)
    }
}

/// The head of a batch.
fn head_item(batch: &Batch, due_at: Timestamp) -> Item {
    let own = [
        ("total", rows::number(batch.total)),
        ("created_at", rows::text(keys::instant(batch.created_at))),
        ("expires_at", rows::text(keys::instant(batch.expires_at))),
        ("expires", rows::expiry(batch.expires_at)),
    ];
    let due = rows::due_attributes(&Task::Batch(batch.id.clone()), due_at);
    rows::item_with(keys::batch_key(&batch.id), HEAD, own.into_iter().chain(due))
}

/// Reads one version of a batch; `None` if it has expired, and the table only has not got round to removing it.
fn batch_item(item: &Item, now: Timestamp) -> Result<Option<BatchItem>, StoreFault> {
    rows::check_schema(item)?;
    if rows::number_of::<i64>(item, "expires")? <= now.as_second() {
        return Ok(None);
    }
    let package =
        keys::item(rows::text_of(item, "sk")?).ok_or_else(|| rows::corrupt(item, "sk", "names no version"))?;
    Ok(Some(BatchItem {
        package,
        progress: rows::json_of(item, "progress")?,
    }))
}
