//! Batches.
//!
//! A batch of ten thousand versions is handed in at once, so that its list is a few rows of many versions each. A version gets
//! a row of its own when there is something to say of it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::keys::HEAD;
use super::rows::{self, Item, LIST_TEXT, PackedText};
use super::update::{Condition, Update};
use super::{DynamoDbStore, Reading, keys};
use crate::package::PackageVersion;
use crate::ports::{Batch, BatchItem, BatchStore, Progress, StoreFault, Task};

/// How many requests write the list of one batch at the same time.
const AT_ONCE: usize = 4;

/// How many versions of the list are in one row.
const IN_A_ROW: usize = 500;

#[async_trait]
impl BatchStore for DynamoDbStore {
    /// Writes the list first and the head last, so that a process that dies between the two leaves nothing but rows that
    /// nobody asks for, and that expire. The id must be a new one: a batch of the same id would begin anew.
    async fn create_batch(
        &self,
        batch: &Batch,
        packages: &[PackageVersion],
        due_at: Timestamp,
    ) -> Result<(), StoreFault> {
        let purls: BTreeSet<String> = packages.iter().map(PackageVersion::to_purl).collect();
        let purls: Vec<String> = purls.into_iter().collect();
        let mut items = Vec::new();
        for (number, part) in purls.chunks(IN_A_ROW).enumerate() {
            let packed = PackedText::of_json(&part, &LIST_TEXT)?;
            let mut item = rows::list_item(&batch.id, number, &packed);
            item.insert("expires".to_owned(), rows::expiry(batch.expires_at));
            items.push(item);
            self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        }
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
        let (mut range, mut most) = (keys::items(id), limit);
        let purl = after.map(PackageVersion::to_purl);
        let page: Option<Vec<String>> = self.listed(id, now).await?.map(|listed| {
            let rest = listed.into_iter();
            let rest = rest.filter(|listed| purl.as_ref().is_none_or(|after| listed > after));
            rest.take(limit).collect()
        });
        if let Some(page) = &page {
            let Some(last) = page.last() else {
                return Ok(Vec::new());
            };
            (range.to, most) = (keys::item_key_of(last), usize::MAX);
        }
        let place = after.map(keys::item_key);
        let items = self.rows(&range, reading, place.as_deref(), most).await?;
        let mut said = BTreeMap::new();
        for item in &items {
            if let Some(item) = batch_item(item, now)? {
                said.insert(item.package.to_purl(), item);
            }
        }
        // In batches of schema 1 each version has a row from the beginning.
        let Some(page) = page else {
            return Ok(said.into_values().collect());
        };
        page.into_iter()
            .map(|purl| {
                let pending = || {
                    let package = purl.parse().map_err(|source| {
                        StoreFault::Corrupt(format!("the list of batch {id} has {purl:?}: {source}"))
                    })?;
                    let progress = Progress::Pending;
                    Ok(BatchItem { package, progress })
                };
                said.remove(&purl).map_or_else(pending, Ok)
            })
            .collect()
    }

    /// A verdict is noted unless a later one was, so that of two workers the one with the newer verdict has the last word,
    /// whoever comes last. A version is pending until something else is noted.
    ///
    /// The head is read first, strongly consistently: what is noted expires with it, and of a batch that is gone nothing is. In
    /// batches of schema 1 each version has a row from the beginning, and one that has none is not part of it.
    async fn note_progress(&self, id: &str, item: &BatchItem) -> Result<(), StoreFault> {
        let Some(head) = self.row(keys::batch_key(id), HEAD).await? else {
            return Ok(());
        };
        let schema = rows::number(rows::SCHEMA);
        let mut conditions = if rows::number_of::<usize>(&head, "schema")? == 1 {
            vec![Condition::row()]
        } else {
            vec![Condition::IsMissingOrAtMost("schema", schema.clone())]
        };
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
        update.set("schema", schema);
        update.set("expires", rows::number(rows::number_of::<i64>(&head, "expires")?));
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

impl DynamoDbStore {
    /// The purls of a batch, in their order; `None` if it has no list, or one that has expired.
    async fn listed(&self, id: &str, now: Timestamp) -> Result<Option<Vec<String>>, StoreFault> {
        let reading = Reading {
            backwards: false,
            consistent: true,
        };
        let mut listed = None;
        for item in self.rows(&keys::lists(id), reading, None, usize::MAX).await? {
            let text = rows::stored_text(&item, &LIST_TEXT)?;
            if rows::number_of::<i64>(&item, "expires")? > now.as_second() {
                let purls: Vec<String> = serde_json::from_slice(&self.text(&text).await?)
                    .map_err(|source| rows::corrupt(&item, LIST_TEXT.here, &source.to_string()))?;
                listed.get_or_insert_with(Vec::new).extend(purls);
            }
        }
        Ok(listed)
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
