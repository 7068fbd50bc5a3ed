//! Batches.
//!
//! A batch of ten thousand versions is handed in at once, so that its list is a few rows of many versions each. They are worked on
//! several at a time, so that what is noted of those is one row, too. In batches that an earlier version began each version has a
//! row of its own besides, which is read first.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::keys::HEAD;
use super::rows::{self, Item, LIST_TEXT, NOTED_TEXT, PackedText};
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
            (range.to, most) = (keys::item_key(last), usize::MAX);
        }
        let place = purl.as_deref().map(keys::item_key);
        let items = self.rows(&range, reading, place.as_deref(), most).await?;
        let mut said = Said::default();
        for item in &items {
            if let Some((item, checked_at)) = batch_item(item, now)? {
                said.say(item, checked_at);
            }
        }
        // In batches of schema 1 each version has a row from the beginning.
        let own: Option<BTreeSet<String>> = page.is_none().then(|| said.0.keys().cloned().collect());
        for item in self.rows(&keys::notes(id), reading, None, usize::MAX).await? {
            for noted in self.noted(&item, now).await? {
                said.say(noted, None);
            }
        }
        let mut said: BTreeMap<String, BatchItem> = said
            .0
            .into_iter()
            .map(|(purl, (item, _checked_at))| (purl, item))
            .collect();
        let Some(page) = page else {
            said.retain(|purl, _item| own.as_ref().is_some_and(|own| own.contains(purl)));
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

    /// What is said of one version is in the order of time, so that whoever reads it knows the last word.
    ///
    /// The head is read first, strongly consistently: what is noted expires with it, and of a batch that is gone nothing is.
    async fn note_progress(&self, id: &str, items: &[BatchItem], at: Timestamp) -> Result<(), StoreFault> {
        // A version is pending until something else is noted.
        let items = items.iter().filter(|item| item.progress != Progress::Pending);
        let said: Vec<&BatchItem> = items.collect();
        if said.is_empty() {
            return Ok(());
        }
        let Some(head) = self.row(keys::batch_key(id), HEAD).await? else {
            return Ok(());
        };
        let packed = PackedText::of_json(&said, &NOTED_TEXT)?;
        self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        let mut item = rows::note_item(id, at, &packed);
        item.insert(
            "expires".to_owned(),
            rows::number(rows::number_of::<i64>(&head, "expires")?),
        );
        self.put(item).await
    }

    async fn finish_batch(&self, id: &str) -> Result<(), StoreFault> {
        let mut update = Update::of(keys::batch_key(id), HEAD, [Condition::row()]);
        rows::set_due(&mut update, &Task::Batch(id.to_owned()), None);
        self.update(update).await.map(drop)
    }
}

/// What was said of the versions of a batch, by their purls, with the time of the last verdict among it.
#[derive(Default)]
struct Said(BTreeMap<String, (BatchItem, Option<Timestamp>)>);

impl Said {
    /// Takes the next word on a version. Of two workers the one with the newer verdict has the last one, whoever comes last; and that
    /// there never will be a verdict is not true of a version that has one.
    fn say(&mut self, item: BatchItem, checked_at: Option<Timestamp>) {
        let purl = item.package.to_purl();
        let before = self.0.get(&purl).and_then(|(_item, checked_at)| *checked_at);
        let checked_at = match &item.progress {
            Progress::Done { checked_at, .. } if before.is_some_and(|before| *checked_at < before) => return,
            Progress::Done { checked_at, .. } => Some(*checked_at),
            Progress::Pending | Progress::Failed { .. } if before.is_some() => return,
            Progress::Pending | Progress::Failed { .. } => checked_at,
        };
        self.0.insert(purl, (item, checked_at));
    }
}

impl DynamoDbStore {
    /// What a row says that was noted at once; nothing if it has expired.
    async fn noted(&self, item: &Item, now: Timestamp) -> Result<Vec<BatchItem>, StoreFault> {
        let text = rows::stored_text(item, &NOTED_TEXT)?;
        if rows::number_of::<i64>(item, "expires")? <= now.as_second() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&self.text(&text).await?)
            .map_err(|source| rows::corrupt(item, NOTED_TEXT.here, &source.to_string()))
    }

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

/// Reads the row of a version of a batch, with the time of the last verdict that was noted there; `None` if it has expired, and the
/// table only has not got round to removing it.
fn batch_item(item: &Item, now: Timestamp) -> Result<Option<(BatchItem, Option<Timestamp>)>, StoreFault> {
    rows::check_schema(item)?;
    if rows::number_of::<i64>(item, "expires")? <= now.as_second() {
        return Ok(None);
    }
    let package =
        keys::item(rows::text_of(item, "sk")?).ok_or_else(|| rows::corrupt(item, "sk", "names no version"))?;
    let progress = rows::json_of(item, "progress")?;
    let checked_at = rows::optional_instant_of(item, "checked_at")?;
    Ok(Some((BatchItem { package, progress }, checked_at)))
}
