//! The store on one DynamoDB table.
//!
//! | `pk` | `sk` | what | attributes besides `schema` |
//! |---|---|---|---|
//! | `PKG#<purl>` | `VERDICT` | the current verdict | `verdict`, `verdict_size` or `verdict_blob`; `status`, `checked_at`, `dossier`, `bodies`, `is_change`, `first_seen` or `first_seen_blob`, `removed_at`, `looked_at`, `due_shard`, `due_at` |
//! | `PKG#<purl>` | `HISTORY#<checked_at>#<dossier>` | a verdict that changed something, once another has taken its place | `verdict`, `verdict_size` or `verdict_blob`; `status`, `checked_at`, `dossier` |
//! | `PKG#<purl>` | `LEASE` | who verifies the version now, after which look | `holder`, `after`, `until`, `expires` |
//! | `DOSSIER#<sha256>` | `PART#<n>` | a dossier; unless it is the only one of its version, with digests in the place of large bodies | `data`, `size`, `parts` |
//! | `BODY#<sha256>` | `PART#<n>` | a large body, once however many dossiers refer to it | `data`, `size`, `parts` |
//! | `TEXT#<sha256>` | `PART#<n>` | a verdict, what was seen first, of a run and its commit, or what releases proved, too large for its row | `data`, `size`, `parts` |
//! | `TRACE#COMMIT#<repository id>#<sha>` | `KEPT#<run>#<attempt>` | what is kept of all looks at a run attempt, and through it at its commit | `revision`, `looked_at`; `seen`, `seen_size` or `seen_blob` |
//! | `TRACE#COMMIT#<repository id>#<sha>` | `LOOK#<run>#<attempt>#<at>#<sha256>` | one look at a run attempt that is not what is kept | `revision`; `seen`, `seen_size` or `seen_blob` |
//! | `TRACE#COMMIT#<repository id>#<sha>` | `KEPT` | what is kept of a commit apart from its runs: by an earlier version, and once it has many | as above |
//! | `TRACE#COMMIT#<repository id>#<sha>` | `LOOK#<at>#<sha256>` | a look of an earlier version at a commit apart from its runs | as above |
//! | `TRACE#RUN#<repository id>#<run>#<attempt>` | `KEPT`, `LOOK#<at>#<sha256>` | the same of a run attempt of which no commit is named; not written any more of others | as above |
//! | `NAME#<purl without version>` | `RELEASE#<published_at>#<version>` | what a release proved, by time | `release` or `release_blob`; `revision` |
//! | `NAME#<purl without version>` | `VERSION#<version>` | the same by version, and which row is its release | `release` or `release_blob`; `place`, `revision` |
//! | `NAME#<purl without version>` | `FILLED` | the releases that were there when the package was met: its own, and those of the registry's list of versions | `revision`; `releases`, `releases_size` or `releases_blob` |
//! | `PUBLISHER#<publisher>` | `<published_at>#<purl>` | what a publisher released | – |
//! | `WATCH#<0 to 15>` | `<purl without version>` | a package on the watch list | `since`, `seen_until`, `next_look_at`, `due_shard`, `due_at` |
//! | `BATCH#<id>` | `HEAD` | a batch | `total`, `created_at`, `expires_at`, `expires`, `due_shard`, `due_at` |
//! | `BATCH#<id>` | `LIST#<n>` | a part of its list | `packages`, `packages_size`, `expires` |
//! | `BATCH#<id>` | `NOTE#<at>#<sha256>` | how far some versions of it are, as it was noted at once | `noted`, `noted_size`, `expires` |
//! | `BATCH#<id>` | `ITEM#<purl>` | how far one version of it is; not written any more | `progress`, `checked_at`, `expires` |
//! | `CURSOR#<feed>` | `CURSOR` | how far a feed was read | `position` |
//! | `SIGNED#<sha256 of what was signed>` | `<sha256 of the key>` | a signature | `signature` |
//! | `TRUST` | `TRUST` | the signed files from which trust material is made | `fetched_at`; `files`, `files_size` or `files_blob` |
//! | `OWED#<0 to 7>` | `<checked_at>#<id>` | an announcement that is owed | `change` |
//! | `CHANGES#<day>` | `<checked_at>#<id>` | a change, for good | `change` |
//!
//! The sparse index `due` (hash `due_shard`, range `due_at`, keys only) holds what is to be done at a time: current verdicts
//! that have a next look, packages on the watch list, and batches of which something is left to hand over. Its eight shards
//! are a hash of the purl or the id, so that no partition of it takes every write. A claim moves `due_at` alone. What decides whether
//! a verdict or an entry of the watch list is still the one that was read are other attributes, so that a claim never
//! makes anybody's work void, and whoever writes those sets `due_at` anew.
//!
//! The watch list and what is owed are spread over partitions by the same hash, and are read from all of them. Changes
//! have one partition a day: they are few, and are read in order. The versions of a batch share one, which takes a thousand
//! writes a second, more than its workers make.
//!
//! A package's memory is its newest releases, so their sort keys begin with the time of publication: however many versions
//! there are, a few pages of a query find the newest. A version whose time of publication is corrected would leave its
//! earlier row behind; the row of the version says where that is, and one transaction moves both. With the version alone as
//! the sort key no such row would be needed, and every memory of a package of 5,000 versions would read all of them. What
//! the first look at a package taught is one row: what its own release proved, and what the registry's list says of a dozen
//! that nobody has looked at. A later word on one of them gets rows, and is removed there.
//!
//! A write is charged by the kilobyte, in a transaction twice, so that little is written twice. A verdict that changed
//! something is the current one, and gets its row of the history before another takes its place; the look at a run that is
//! all that is kept of it gets its own in the same way. Whoever reads the history or the looks puts the two together. What a look
//! saw of a run and of its commit is one row, in the partition of the commit: another run of it finds there what was seen of the
//! commit, and most have one run. Of a commit with so many that not all of their rows are read, what was seen of it is also kept in
//! a row of its own.
//!
//! Parts of a key that come from certificates, registries or requests are percent-encoded; of long ones the SHA-256 stands for
//! them.
//!
//! Instants are RFC 3339 in UTC with nine decimals, so that the order of strings is the order of time. Verdicts, what
//! was seen, what was read from lists, those of batches, trust material and parts are folded and compressed (`packing`). `schema` is [`SCHEMA`], and older ones are read as they
//! were written. A row of a newer version is a [`StoreFault::Corrupt`], and is never written over, unless its content follows
//! from its keys. Everything that grows with what others publish is cut into parts, kept elsewhere or left out before its row
//! comes near the 400 KB that DynamoDB takes. Evidence is written before the verdict that rests on it, and is read back against its digest, so that
//! the table can lose evidence but not replace it unnoticed. Verdict rows carry no digest of their own: whoever can write
//! to the table can replace a verdict. A verdict that becomes current and is announced, its
//! change and the announcement that is owed are one transaction.
//!
//! Only leases and batches expire. DynamoDB serves expired items for days, so the time-to-live attribute `expires` only
//! tidies up; whether a lease has expired is decided from `until`, by the condition that takes it, and whether a batch has,
//! from `expires_at`.

use std::borrow::Cow;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::de::DeserializeOwned;

use crate::package::Digest;
use crate::ports::StoreFault;

mod batches;
mod blobs;
mod bulk;
mod changes;
mod evidence;
mod keys;
mod packing;
mod publishers;
mod record;
mod releases;
mod rows;
mod schedule;
mod signatures;
mod table;
#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests;
mod traces;
mod trust;
mod update;
mod verdicts;
mod watch;

pub use packing::folded;
pub use rows::SCHEMA;

use blobs::Blobs;
use bulk::Bulk;
use rows::{Item, StoredJson, StoredText};
use update::Update;

/// The store on one DynamoDB table, which [`create_table`](Self::create_table) describes.
#[derive(Clone, Debug)]
pub struct DynamoDbStore {
    client: Client,
    table: String,
    bulk: Bulk,
    blobs: Blobs,
}

/// In which order rows are read, and which.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// From the last sort key to the first.
    backwards: bool,
    /// Whether every write that was answered before is seen. Otherwise what was written a moment ago may be missed, at half
    /// the price.
    consistent: bool,
}

/// What a row that has a revision was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum AsRead {
    /// It was not there.
    #[default]
    Absent,
    /// It named no revision: rows of releases of schema 1 do not.
    Unnamed,
    /// It named this one.
    Revision(String),
}

impl From<Option<&str>> for AsRead {
    /// Of a row that names a revision wherever it is.
    fn from(revision: Option<&str>) -> Self {
        revision.map_or(Self::Absent, |revision| Self::Revision(revision.to_owned()))
    }
}

impl DynamoDbStore {
    /// The store in the table of this name.
    ///
    /// The client's own retries are what answers throttling of single requests; what a batch leaves unprocessed is sent
    /// again here.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        let bulk = Bulk::new(client.clone(), table.clone());
        Self {
            client,
            table,
            blobs: Blobs::new(bulk.clone()),
            bulk,
        }
    }

    /// Creates the table if it is not there, and waits until it can be used. For local mode: a deployment declares its
    /// table in the template.
    ///
    /// A table of the same name with other keys is not noticed here; its first use fails.
    pub async fn create_table(client: &Client, name: &str) -> Result<(), StoreFault> {
        table::create(client, name).await
    }

    /// Reads a text, wherever it is.
    async fn text<'a>(&self, stored: &'a StoredText) -> Result<Cow<'a, [u8]>, StoreFault> {
        match stored {
            StoredText::Here(text) => Ok(text.into()),
            StoredText::Elsewhere(digest) => self.text_of(digest).await.map(Cow::from),
        }
    }

    /// Reads the text of this digest.
    async fn text_of(&self, digest: &Digest) -> Result<Vec<u8>, StoreFault> {
        let text = self.blobs.read_one(&keys::text_key(digest)).await?;
        let text = text.ok_or_else(|| StoreFault::Corrupt(format!("the text {digest} of a row is missing")))?;
        if Digest::sha256_of(&text) != *digest {
            return Err(StoreFault::Corrupt(format!(
                "the text {digest} of a row has another digest"
            )));
        }
        Ok(text)
    }

    /// Reads a value, wherever it is.
    async fn json<T: DeserializeOwned + Clone>(&self, stored: &StoredJson<T>) -> Result<T, StoreFault> {
        match stored {
            StoredJson::Here(value) => Ok(value.clone()),
            StoredJson::Elsewhere(digest) => serde_json::from_slice(&self.text_of(digest).await?)
                .map_err(|source| StoreFault::Corrupt(format!("the text {digest} of a row: {source}"))),
        }
    }

    /// The row under these keys, if it is of a schema that this version can read. The read is strongly consistent, since
    /// whoever reads a single row decides on it, or writes it on the condition that it is still the same; why an older one would
    /// not do stands where it is asked for.
    async fn row(&self, partition: String, sort_key: &str) -> Result<Option<Item>, StoreFault> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(rows::key(partition, sort_key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(unreachable)?;
        if let Some(item) = &output.item {
            rows::check_schema(item)?;
        }
        Ok(output.item)
    }

    /// One page of the rows in a range, at most `limit`, after the row with the keys `start`; with the keys of the last row
    /// that was looked at, unless it was the last one.
    async fn page(
        &self,
        range: &keys::Range,
        reading: Reading,
        limit: usize,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreFault> {
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", rows::text(&range.partition))
            .expression_attribute_values(":from", rows::text(&range.from))
            .expression_attribute_values(":to", rows::text(&range.to))
            .scan_index_forward(!reading.backwards)
            .consistent_read(reading.consistent)
            .limit(page_size(limit))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(unreachable)?;
        Ok((output.items.unwrap_or_default(), output.last_evaluated_key))
    }

    /// The first `limit` rows in a range, after the one with the sort key `after`, which need not be there.
    async fn rows(
        &self,
        range: &keys::Range,
        reading: Reading,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Item>, StoreFault> {
        let mut rows = Vec::new();
        let mut start = after.map(|sort_key| rows::key(range.partition.clone(), sort_key));
        while rows.len() < limit {
            let (page, next) = self.page(range, reading, limit - rows.len(), start).await?;
            rows.extend(page);
            start = next;
            if start.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// Writes a row over any other under its keys: for rows whose keys follow from their content, so that writing one again
    /// changes nothing.
    async fn put(&self, item: Item) -> Result<(), StoreFault> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map_err(unreachable)?;
        Ok(())
    }

    /// Writes a row where there is none; false if there is one.
    async fn put_new(&self, item: Item) -> Result<bool, StoreFault> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match result {
            Ok(_output) => Ok(true),
            Err(fault) if lost_put(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// Writes a row that has a revision, on the condition that the row is still what was read, or still not there. What names no
    /// revision may be a row of a newer version, and is written over only where it was read as one that is not.
    async fn put_revision(&self, item: Item, before: &AsRead) -> Result<bool, StoreFault> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = match before {
            AsRead::Absent => request.condition_expression("attribute_not_exists(pk)"),
            AsRead::Unnamed => request
                .condition_expression("attribute_not_exists(#revision) AND #schema <= :schema")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_names("#schema", "schema")
                .expression_attribute_values(":schema", rows::number(SCHEMA)),
            AsRead::Revision(before) => request
                .condition_expression("#revision = :revision")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":revision", rows::text(before)),
        };
        match request.send().await {
            Ok(_output) => Ok(true),
            Err(fault) if lost_put(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// Changes a row under the update's conditions; false if they do not hold.
    async fn update(&self, update: Update) -> Result<bool, StoreFault> {
        match update.send(&self.client, &self.table).await {
            Ok(_output) => Ok(true),
            Err(fault) if lost_update(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// A write as a part of a transaction.
    fn put_in_transaction(&self, item: Item) -> Result<TransactWriteItem, StoreFault> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        Ok(TransactWriteItem::builder()
            .put(put.build().map_err(unreachable)?)
            .build())
    }

    /// Makes all of these changes, or none; false if a condition does not hold or somebody else writes one of the rows.
    async fn transact(&self, changes: Vec<TransactWriteItem>) -> Result<bool, StoreFault> {
        let request = self.client.transact_write_items().set_transact_items(Some(changes));
        match request.send().await {
            Ok(_output) => Ok(true),
            Err(fault) if lost_transaction(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }
}

/// Whether a transaction was cancelled for a reason that a new attempt can settle: somebody else wrote, or too much was
/// written.
fn lost_transaction(fault: &SdkError<TransactWriteItemsError>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = fault.as_service_error() else {
        return false;
    };
    let mut codes = cancelled
        .cancellation_reasons()
        .iter()
        .filter_map(|reason| reason.code())
        .peekable();
    codes.peek().is_some()
        && codes.all(|code| {
            matches!(
                code,
                "None"
                    | "ConditionalCheckFailed"
                    | "TransactionConflict"
                    | "ProvisionedThroughputExceeded"
                    | "ThrottlingError"
            )
        })
}

/// Whether an update did not happen because somebody else wrote, or is writing, the row.
fn lost_update(fault: &SdkError<UpdateItemError>) -> bool {
    fault
        .as_service_error()
        .is_some_and(|fault| fault.is_conditional_check_failed_exception() || fault.is_transaction_conflict_exception())
}

/// Whether a row was not written because of its condition, or because somebody else is writing it.
fn lost_put(fault: &SdkError<PutItemError>) -> bool {
    fault
        .as_service_error()
        .is_some_and(|fault| fault.is_conditional_check_failed_exception() || fault.is_transaction_conflict_exception())
}

/// Whether a row was not deleted because of its condition.
fn lost_delete(fault: &SdkError<DeleteItemError>) -> bool {
    fault
        .as_service_error()
        .is_some_and(DeleteItemError::is_conditional_check_failed_exception)
}

/// A request that has no answer after the client's retries.
fn unreachable(source: impl std::error::Error + Send + Sync + 'static) -> StoreFault {
    StoreFault::Unreachable(Box::new(source))
}

/// The fault of a row that is never what it was a moment ago.
fn contended(what: impl std::fmt::Display) -> StoreFault {
    StoreFault::Unreachable(format!("{what} changed at every attempt to write it").into())
}

/// As many rows as are wanted, within what one request may ask for.
fn page_size(wanted: usize) -> i32 {
    i32::try_from(wanted.clamp(1, 1000)).unwrap_or(1000)
}
