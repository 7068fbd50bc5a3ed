//! The watch list.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::bulk::Consistency;
use super::rows::{self, Item};
use super::update::{Condition, Update};
use super::{DynamoDbStore, Reading, bulk, contended, keys, lost_delete, unreachable};
use crate::package::{Ecosystem, PackageName};
use crate::ports::{StoreFault, Task, WatchStore, Watched};

/// How many requests about many packages are under way at the same time.
const AT_ONCE: usize = 8;

impl DynamoDbStore {
    /// The row of a package on the watch list.
    pub(super) async fn watch_row(&self, name: &PackageName) -> Result<Option<Item>, StoreFault> {
        let (partition, sort_key) = keys::watch(name);
        self.row(partition, &sort_key).await
    }
}

#[async_trait]
impl WatchStore for DynamoDbStore {
    async fn watch(&self, name: &PackageName, now: Timestamp) -> Result<Watched, StoreFault> {
        let entry = Watched {
            package: name.clone(),
            since: now,
            seen_until: None,
            next_look_at: now,
        };
        let mut delays = bulk::backoff();
        loop {
            if self.put_new(entry_item(&entry)).await? {
                return Ok(entry);
            }
            // Somebody may have taken it off between the two.
            if let Some(entry) = self.watched(name).await? {
                return Ok(entry);
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the entry of {name}")))?;
            tokio::time::sleep(delay).await;
        }
    }

    async fn unwatch(&self, name: &PackageName) -> Result<bool, StoreFault> {
        let (partition, sort_key) = keys::watch(name);
        let result = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(rows::key(partition, &sort_key)))
            .condition_expression("attribute_exists(pk)")
            .send()
            .await;
        match result {
            Ok(_output) => Ok(true),
            Err(fault) if lost_delete(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// The read is strongly consistent: what is handed over is noted on the condition that the entry is still the same, and would
    /// be handed over for nothing beside an older one.
    async fn watched(&self, name: &PackageName) -> Result<Option<Watched>, StoreFault> {
        match self.watch_row(name).await? {
            Some(item) => entry(&item).map(Some),
            None => Ok(None),
        }
    }

    /// The reads are eventually consistent. A package that was put on the list a moment ago is due at once, so that what is
    /// missed here is found by its own look; one that was taken off is handed over once more, for nothing.
    ///
    /// What an entry says is not read, only that it is there: one that cannot be read does not stop the others.
    async fn watched_among(&self, names: &[PackageName]) -> Result<Vec<PackageName>, StoreFault> {
        let names: BTreeMap<String, &PackageName> = names.iter().map(|name| (name.to_purl(), name)).collect();
        let wanted = names
            .values()
            .map(|name| {
                let (partition, sort_key) = keys::watch(name);
                rows::key(partition, &sort_key)
            })
            .collect();
        let found = self.bulk.read(wanted, Consistency::Eventual, AT_ONCE).await?;
        let found = found
            .iter()
            .map(|item| rows::text_of(item, "sk"))
            .collect::<Result<BTreeSet<&str>, _>>()?;
        Ok(names
            .into_iter()
            .filter(|(purl, _)| found.contains(purl.as_str()))
            .map(|(_, name)| name.clone())
            .collect())
    }

    /// The reads are eventually consistent: what was put on the list a moment ago is due at once anyway.
    async fn watches_any(&self, ecosystem: Ecosystem) -> Result<bool, StoreFault> {
        let reading = Reading {
            backwards: false,
            consistent: false,
        };
        let ranges: Vec<keys::Range> = keys::watch_list_of(ecosystem).collect();
        let asking = ranges.iter().map(|range| self.rows(range, reading, None, 1));
        Ok(try_join_all(asking).await?.iter().any(|found| !found.is_empty()))
    }

    /// Asks every partition for as much as is wanted in all, since one may have all of it. The reads are eventually
    /// consistent: the list is shown, and nothing is decided on it.
    async fn watch_list(&self, after: Option<&PackageName>, limit: usize) -> Result<Vec<Watched>, StoreFault> {
        let after = after.map(PackageName::to_purl);
        let reading = Reading {
            backwards: false,
            consistent: false,
        };
        let ranges: Vec<keys::Range> = keys::watch_list().collect();
        let asking = ranges
            .iter()
            .map(|range| self.rows(range, reading, after.as_deref(), limit));
        let mut list: Vec<(String, Watched)> = Vec::new();
        for item in try_join_all(asking).await?.concat() {
            let entry = entry(&item)?;
            list.push((entry.package.to_purl(), entry));
        }
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(list.into_iter().take(limit).map(|(_, entry)| entry).collect())
    }

    /// One write, on no condition about what was read: a worker that hands versions over at the same moment finds its entry
    /// changed, or is found by the comparison.
    async fn look_by(&self, name: &PackageName, at: Timestamp) -> Result<(), StoreFault> {
        let (partition, sort_key) = keys::watch(name);
        let text = rows::text(keys::instant(at));
        let conditions = [Condition::row(), Condition::IsAfter("due_at", text.clone())];
        let mut update = Update::of(partition, &sort_key, conditions);
        update.set("next_look_at", text);
        rows::set_due(&mut update, &Task::Package(name.clone()), Some(at));
        self.update(update).await.map(drop)
    }

    async fn put_off(&self, before: &Watched, until: Timestamp) -> Result<bool, StoreFault> {
        let mut update = update_of(before);
        rows::set_due(&mut update, &Task::Package(before.package.clone()), Some(until));
        self.update(update).await
    }

    /// A claim moves `due_at` alone, and so leaves the entry as it was read.
    ///
    /// A client that repeats the request because its answer was lost is told that the entry has changed: whoever hands versions
    /// over twice for that does nothing wrong.
    async fn handed_over(
        &self,
        before: &Watched,
        seen_until: Option<Timestamp>,
        next_look_at: Timestamp,
    ) -> Result<bool, StoreFault> {
        let text = |at| rows::text(keys::instant(at));
        let mut update = update_of(before);
        update.set_or_remove("seen_until", seen_until.map(text));
        update.set("next_look_at", text(next_look_at));
        rows::set_due(&mut update, &Task::Package(before.package.clone()), Some(next_look_at));
        self.update(update).await
    }
}

/// An update of an entry, on the condition that it is still the one that was read.
fn update_of(before: &Watched) -> Update {
    let text = |at| rows::text(keys::instant(at));
    let (partition, sort_key) = keys::watch(&before.package);
    let conditions = [
        Condition::row(),
        Condition::Is("since", text(before.since)),
        Condition::is_as_read("seen_until", before.seen_until.map(text)),
        Condition::Is("next_look_at", text(before.next_look_at)),
    ];
    Update::of(partition, &sort_key, conditions)
}

/// The row of an entry, due at its next look.
fn entry_item(entry: &Watched) -> Item {
    let (partition, sort_key) = keys::watch(&entry.package);
    let text = |at| rows::text(keys::instant(at));
    let own = [("since", text(entry.since)), ("next_look_at", text(entry.next_look_at))];
    let attributes = own
        .into_iter()
        .chain(entry.seen_until.map(|at| ("seen_until", text(at))))
        .chain(rows::due_attributes(
            &Task::Package(entry.package.clone()),
            entry.next_look_at,
        ));
    rows::item_with(partition, &sort_key, attributes)
}

/// Reads [`entry_item`].
fn entry(item: &Item) -> Result<Watched, StoreFault> {
    rows::check_schema(item)?;
    Ok(Watched {
        package: rows::text_of(item, "sk")?
            .parse()
            .map_err(|source: crate::package::CoordinateError| rows::corrupt(item, "sk", &source.to_string()))?,
        since: rows::instant_of(item, "since")?,
        seen_until: rows::optional_instant_of(item, "seen_until")?,
        next_look_at: rows::instant_of(item, "next_look_at")?,
    })
}
