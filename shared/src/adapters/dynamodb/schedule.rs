//! What is due when, and how far feeds were read.

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::keys::CURSOR;
use super::rows::{self, Item};
use super::update::{Condition, Update};
use super::{DynamoDbStore, keys, page_size, unreachable};
use crate::ports::{Due, ScheduleStore, StoreFault};

impl DynamoDbStore {
    /// The `limit` most overdue rows of one shard of the index.
    async fn due_in_shard(&self, shard: String, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreFault> {
        let mut due = Vec::new();
        let mut start: Option<Item> = None;
        while due.len() < limit {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("due")
                .key_condition_expression("due_shard = :shard AND due_at <= :now")
                .expression_attribute_values(":shard", rows::text(&shard))
                .expression_attribute_values(":now", rows::text(keys::instant(now)))
                .limit(page_size(limit - due.len()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(unreachable)?;
            for item in output.items() {
                match DueRow::from_item(item) {
                    Ok(found) => due.push(found),
                    // The row stays the most overdue one: failing here would stop everything else for good.
                    Err(fault) => tracing::error!(%fault, "a row of the index of what is due was passed over"),
                }
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(due)
    }
}

#[async_trait]
impl ScheduleStore for DynamoDbStore {
    /// One query for each shard, all at once. The index is eventually consistent: a task may be named once more after it
    /// was done or claimed, and then its claim fails.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreFault> {
        let asking = keys::due_shards().map(|shard| self.due_in_shard(shard, now, limit));
        let mut found = try_join_all(asking).await?.concat();
        found.sort_by(|one, other| (one.due.since, &one.name).cmp(&(other.due.since, &other.name)));
        Ok(found.into_iter().take(limit).map(|row| row.due).collect())
    }

    /// Moves `due_at` from what it was to `until`, and nothing else. A verdict that is recorded meanwhile has moved it
    /// itself, and wins; a version that was marked as removed has none any more.
    ///
    /// A client that repeats a claim whose answer was lost finds that it fails: the task is then left alone until `until`,
    /// and is due again.
    async fn claim(&self, due: &Due, until: Timestamp) -> Result<bool, StoreFault> {
        // What does not move would be claimed by everybody.
        if until <= due.since {
            return Ok(false);
        }
        let (partition, sort_key) = keys::task_key(&due.task);
        let conditions = [
            Condition::row(),
            Condition::Is("due_at", rows::text(keys::instant(due.since))),
        ];
        let mut update = Update::of(partition, &sort_key, conditions);
        update.set("due_at", rows::text(keys::instant(until)));
        self.update(update).await
    }

    /// The read is strongly consistent: with an older position everything since would be read again, and in vain, since the
    /// cursor does not move from there.
    async fn cursor(&self, feed: &str) -> Result<Option<u64>, StoreFault> {
        match self.row(keys::cursor_key(feed), CURSOR).await? {
            Some(item) => rows::number_of(&item, "position").map(Some),
            None => Ok(None),
        }
    }

    async fn advance_cursor(&self, feed: &str, from: Option<u64>, to: u64) -> Result<bool, StoreFault> {
        let Some(from) = from else {
            let attributes = [("position", rows::number(to))];
            return self
                .put_new(rows::item_with(keys::cursor_key(feed), CURSOR, attributes))
                .await;
        };
        if to < from {
            return Ok(false);
        }
        self.move_cursor(feed, from, to).await
    }

    async fn reset_cursor(&self, feed: &str, from: u64, to: u64) -> Result<bool, StoreFault> {
        self.move_cursor(feed, from, to).await
    }
}

impl DynamoDbStore {
    /// Moves a place from where it was, wherever to.
    async fn move_cursor(&self, feed: &str, from: u64, to: u64) -> Result<bool, StoreFault> {
        let conditions = [Condition::row(), Condition::Is("position", rows::number(from))];
        let mut update = Update::of(keys::cursor_key(feed), CURSOR, conditions);
        update.set("position", rows::number(to));
        self.update(update).await
    }
}

/// What is read of a row of the index.
#[derive(Clone, Debug)]
struct DueRow {
    due: Due,
    /// Puts what is due at the same instant in an order.
    name: String,
}

impl DueRow {
    fn from_item(item: &Item) -> Result<Self, StoreFault> {
        let (partition, sort_key) = (rows::text_of(item, "pk")?, rows::text_of(item, "sk")?);
        let task = keys::task(partition, sort_key).ok_or_else(|| rows::corrupt(item, "pk", "names no task"))?;
        Ok(Self {
            due: Due {
                task,
                since: rows::instant_of(item, "due_at")?,
            },
            name: format!("{partition} {sort_key}"),
        })
    }
}
