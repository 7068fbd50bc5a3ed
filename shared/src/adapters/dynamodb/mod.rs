//! The store on one DynamoDB table.
//!
//! | `pk` | `sk` | what | attributes besides `schema` |
//! |---|---|---|---|
//! | `PKG#<purl>` | `VERDICT` | the current verdict | `verdict`, `verdict_size` or `verdict_blob`; `status`, `checked_at`, `dossier`, `bodies`, `first_seen`, `due_shard`, `due_at` |
//! | `PKG#<purl>` | `HISTORY#<checked_at>#<dossier>` | a verdict that changed something | as above without `bodies`, `first_seen`, `due_shard`, `due_at` |
//! | `PKG#<purl>` | `LEASE` | who verifies the version now | `holder`, `until`, `expires` |
//! | `DOSSIER#<sha256>` | `PART#<n>` | a dossier whose bodies are replaced by their digests | `data`, `size`, `parts` |
//! | `BODY#<sha256>` | `PART#<n>` | a body, once however many dossiers refer to it | `data`, `size`, `parts` |
//! | `TEXT#<sha256>` | `PART#<n>` | a verdict, or what was seen of a run or a commit, too large for its row | `data`, `size`, `parts` |
//! | `TRACE#RUN#<repository id>#<run>#<attempt>` | `KEPT` | what is kept of all looks at a run attempt | `revision`; `seen`, `seen_size` or `seen_blob` |
//! | `TRACE#RUN#<repository id>#<run>#<attempt>` | `LOOK#<at>#<sha256>` | one look at it | `revision`; `seen`, `seen_size` or `seen_blob` |
//! | `TRACE#COMMIT#<repository id>#<sha>` | `KEPT`, `LOOK#<at>#<sha256>` | the same of a commit | as above |
//! | `NAME#<purl without version>` | `RELEASE#<published_at>#<version>` | what a release proved | `release` |
//! | `NAME#<purl without version>` | `VERSION#<version>` | which row is the release of a version | `place`, `revision` |
//!
//! The sparse index `due` (hash `due_shard`, range `due_at`, keys only) holds the current verdicts that have a next look.
//! Its eight shards are a hash of the purl, so that no partition of it takes every write.
//!
//! A package's memory is its newest releases, so their sort keys begin with the time of publication: however many versions
//! there are, one page of a query finds the newest. A version whose time of publication is corrected would leave its earlier row
//! behind; the row of the version says where that is, and one transaction moves both. With the version alone as the sort key
//! no such row would be needed, and every memory of a package of 5,000 versions would read all of them.
//!
//! Parts of a key that come from certificates are percent-encoded.
//!
//! Instants are RFC 3339 in UTC with nine decimals, so that the order of strings is the order of time. Verdicts, what
//! was seen and parts are compressed with zstd. `schema` is [`SCHEMA`]: a row of another schema is a [`StoreFault::Corrupt`], and is never
//! written over. Evidence is written before the verdict that rests on it, and is read back against its digest, so that
//! the table can lose evidence but not replace it unnoticed. Verdict rows carry no digest of their own: whoever can write
//! to the table can replace a verdict.
//!
//! Only leases expire. DynamoDB serves expired items for days, so the time-to-live attribute `expires` only tidies up;
//! whether a lease has expired is decided from `until`, by the condition that takes it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use futures::future::{try_join, try_join_all};
use jiff::Timestamp;

use crate::check::Outcome;
use crate::dossier::{Dossier, Observation};
use crate::history::PastRelease;
use crate::package::{Digest, PackageVersion};
use crate::ports::{FirstSeen, Memory, Recorded, StoreFault, TraceKey, VerdictStore};
use crate::verdict::{Status, Verdict};

mod blobs;
mod evidence;
mod releases;
mod rows;
mod table;
#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests;
mod traces;

pub use rows::SCHEMA;

use blobs::{Blob, Blobs};
use rows::{CurrentRow, Item, StoredText, Update, VERDICT_TEXT};

/// The store on one DynamoDB table, which [`create_table`](Self::create_table) describes.
#[derive(Clone, Debug)]
pub struct DynamoDbStore {
    client: Client,
    table: String,
    blobs: Blobs,
}

impl DynamoDbStore {
    /// The store in the table of this name.
    ///
    /// The client's own retries are what answers throttling of single requests; what a batch leaves unprocessed is sent
    /// again here.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        Self {
            blobs: Blobs::new(client.clone(), table.clone()),
            client,
            table,
        }
    }

    /// Creates the table if it is not there, and waits until it can be used. For local mode: a deployment declares its
    /// table in the template.
    ///
    /// A table of the same name with other keys is not noticed here; its first use fails.
    pub async fn create_table(client: &Client, name: &str) -> Result<(), StoreFault> {
        table::create(client, name).await
    }

    /// The row of the current verdict.
    ///
    /// The read is strongly consistent. With a stale row the second of two workers would repeat what the first has just
    /// recorded, and a digest first seen a moment ago would be unknown to the check that compares it.
    async fn current_row(&self, package: &PackageVersion) -> Result<Option<CurrentRow>, StoreFault> {
        match self.row(rows::package_key(package), rows::VERDICT).await? {
            Some(item) => CurrentRow::from_item(&item).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a text, wherever it is.
    async fn text<'a>(&self, stored: &'a StoredText) -> Result<Cow<'a, [u8]>, StoreFault> {
        match stored {
            StoredText::Here(text) => Ok(text.into()),
            StoredText::Elsewhere(digest) => {
                let text = self.blobs.read_one(&rows::text_key(digest)).await?;
                let text = text.ok_or_else(|| StoreFault::Corrupt(format!("the text {digest} of a row is missing")))?;
                if Digest::sha256_of(&text) != *digest {
                    return Err(StoreFault::Corrupt(format!(
                        "the text {digest} of a row has another digest"
                    )));
                }
                Ok(text.into())
            }
        }
    }

    /// Reads the verdict of a row.
    async fn verdict_of(&self, stored: &StoredText) -> Result<Verdict, StoreFault> {
        rows::verdict_from_json(&self.text(stored).await?)
    }

    /// The row under these keys, read strongly consistently.
    async fn row(&self, partition: String, sort_key: &str) -> Result<Option<Item>, StoreFault> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", rows::text(partition))
            .key("sk", rows::text(sort_key))
            .consistent_read(true)
            .send()
            .await
            .map_err(unreachable)?;
        Ok(output.item)
    }

    /// Writes the dossier and those of its bodies that the current row does not vouch for, and the verdict's text if that
    /// does not fit into a row.
    async fn keep_evidence(
        &self,
        row: Option<&CurrentRow>,
        verdict: &rows::PackedVerdict,
        dossier: &evidence::Packed,
    ) -> Result<(), StoreFault> {
        let mut blobs = Vec::new();
        // What the row names was written before the row, and evidence is never deleted.
        if row.is_none_or(|row| row.dossier != dossier.digest) {
            blobs.push(Blob {
                key: rows::dossier_key(&dossier.digest),
                bytes: &dossier.outline,
            });
            for (digest, bytes) in &dossier.bodies {
                if row.is_none_or(|row| !row.bodies.contains(digest)) {
                    blobs.push(Blob {
                        key: rows::body_key(digest),
                        bytes,
                    });
                }
            }
        }
        blobs.extend(verdict.elsewhere());
        self.blobs.write(blobs).await
    }

    /// Makes a verdict the current one, and appends it to the history if it changes something, in one step.
    /// False if the row is no longer what was read.
    async fn replace(
        &self,
        seen: Option<&CurrentRow>,
        verdict: &Verdict,
        packed: &rows::PackedVerdict,
        bodies: &BTreeSet<Digest>,
        first_seen: Option<&FirstSeen>,
        changed: bool,
    ) -> Result<bool, StoreFault> {
        let mut update = Update::of_row(&verdict.package, seen);
        packed.set(&mut update);
        update.set_bodies(bodies);
        update.set_first_seen(first_seen)?;
        update.set_next_look(&verdict.package, verdict.next_look_at);
        if !changed {
            return self.update(update).await;
        }
        let history = Put::builder()
            .table_name(&self.table)
            .set_item(Some(packed.history_item(verdict)))
            .build()
            .map_err(unreachable)?;
        let result = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update.build(&self.table)?).build())
            .transact_items(TransactWriteItem::builder().put(history).build())
            .send()
            .await;
        match result {
            Ok(_output) => Ok(true),
            Err(fault) if lost_transaction(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// Changes a row under the update's condition; false if the condition does not hold.
    async fn update(&self, update: Update) -> Result<bool, StoreFault> {
        match update.send(&self.client, &self.table).await {
            Ok(_output) => Ok(true),
            Err(fault) if lost_update(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// Leaves the current verdict, but keeps what the later one says besides: when to look again, and what was seen
    /// first. False if the row is no longer what was read.
    async fn keep(
        &self,
        seen: &CurrentRow,
        verdict: &Verdict,
        first_seen: Option<&FirstSeen>,
        reschedule: bool,
    ) -> Result<bool, StoreFault> {
        let mut update = Update::of_row(&verdict.package, Some(seen));
        let next_look = verdict.next_look_at.filter(|_| reschedule);
        if next_look.is_some() {
            update.set_next_look(&verdict.package, next_look);
        }
        if seen.first_seen.is_none() {
            update.set_first_seen(first_seen)?;
        }
        if update.is_empty() {
            return Ok(true);
        }
        self.update(update).await
    }

    /// Appends a verdict that arrives after a newer one, if it differs from the one that was current at its time: what a
    /// slow look found out must not be lost because a faster one overtook it. Then the newer one is a change, too.
    async fn append_late(
        &self,
        verdict: &Verdict,
        packed: &rows::PackedVerdict,
        current: &Verdict,
    ) -> Result<(), StoreFault> {
        let earlier = self.history_page(&verdict.package, Some(verdict.checked_at), 1).await?;
        if earlier.first().is_some_and(|earlier| !changes(earlier, verdict)) {
            return Ok(());
        }
        if changes(verdict, current) {
            self.append(rows::PackedVerdict::new(current)?.history_item(current))
                .await?;
        }
        self.append(packed.history_item(verdict)).await
    }

    /// Writes a row of the history. Its key follows from its content, so that writing it again changes nothing.
    async fn append(&self, item: Item) -> Result<(), StoreFault> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map_err(unreachable)?;
        Ok(())
    }

    /// The newest `limit` verdicts of the history, of those not later than `until`.
    async fn history_page(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Verdict>, StoreFault> {
        let (from, to) = rows::history_range(until);
        let mut verdicts = Vec::new();
        let mut start: Option<Item> = None;
        while verdicts.len() < limit {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", rows::text(rows::package_key(package)))
                .expression_attribute_values(":from", rows::text(&from))
                .expression_attribute_values(":to", rows::text(&to))
                .scan_index_forward(false)
                .limit(page_size(limit - verdicts.len()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(unreachable)?;
            for item in output.items() {
                verdicts.push(self.verdict_of(&rows::stored_text(item, &VERDICT_TEXT)?).await?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(verdicts)
    }

    /// The `limit` most overdue rows of one shard: when each was due, and its package.
    async fn due_in_shard(
        &self,
        shard: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(String, PackageVersion)>, StoreFault> {
        let mut due = Vec::new();
        let mut start: Option<Item> = None;
        while due.len() < limit {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("due")
                .key_condition_expression("due_shard = :shard AND due_at <= :now")
                .expression_attribute_values(":shard", rows::text(shard))
                .expression_attribute_values(":now", rows::text(rows::instant(now)))
                .limit(page_size(limit - due.len()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(unreachable)?;
            for item in output.items() {
                match rows::due(item) {
                    Ok(found) => due.push(found),
                    // The row stays the most overdue one: failing here would stop every other look for good.
                    Err(fault) => tracing::error!(%fault, "a row of the index of due looks was passed over"),
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
impl VerdictStore for DynamoDbStore {
    async fn current(&self, package: &PackageVersion) -> Result<Option<Verdict>, StoreFault> {
        match self.current_row(package).await? {
            Some(row) => self.verdict_of(&row.verdict).await.map(Some),
            None => Ok(None),
        }
    }

    /// Both questions are strongly consistent, since the answers are an input of a verdict: of two versions that are published
    /// and judged within a second, the later one is compared with what the earlier one has just proved.
    async fn memory(&self, package: &PackageVersion) -> Result<Memory, StoreFault> {
        let (row, history) = try_join(self.current_row(package), self.past_releases(package.name())).await?;
        Ok(Memory {
            first_seen: row.and_then(|row| row.first_seen),
            history,
        })
    }

    /// Records a verdict with its dossier:
    ///
    /// 1. reads the current row, strongly consistent: a stale one would only make step 4 fail;
    /// 2. writes the evidence, before anything refers to it;
    /// 3. decides what becomes of the verdict;
    /// 4. writes that, on the condition that the row is still the one that was decided on, or starts again.
    ///
    /// An `indeterminate` verdict that does not replace a settled one schedules the next look all the same. It is not
    /// appended to the history: the version's status did not change. A settled verdict older than the current one
    /// is, if it differs from its own predecessor.
    async fn record(
        &self,
        verdict: &Verdict,
        dossier: &Dossier,
        first_seen: Option<&FirstSeen>,
    ) -> Result<Recorded, StoreFault> {
        let packed = rows::PackedVerdict::new(verdict)?;
        let evidence = evidence::Packed::new(dossier)?;
        let bodies = evidence.bodies.keys().cloned().collect();
        let mut evidence_is_kept = false;
        let mut delays = blobs::backoff();
        loop {
            // 1.
            let seen = self.current_row(&verdict.package).await?;
            // 2.
            if !evidence_is_kept {
                self.keep_evidence(seen.as_ref(), &packed, &evidence).await?;
                evidence_is_kept = true;
            }
            // 3.
            let current = match &seen {
                Some(row) => Some(Box::new(self.verdict_of(&row.verdict).await?)),
                None => None,
            };
            let place = Place::of(current.as_deref(), verdict);
            // 4.
            let written = match (&seen, place) {
                (seen, Place::Replaces { changed }) => {
                    self.replace(seen.as_ref(), verdict, &packed, &bodies, first_seen, changed)
                        .await?
                }
                (Some(seen), Place::Unsettled) => self.keep(seen, verdict, first_seen, true).await?,
                (Some(seen), Place::Late) => {
                    if verdict.status.is_settled()
                        && let Some(current) = &current
                    {
                        self.append_late(verdict, &packed, current).await?;
                    }
                    self.keep(seen, verdict, first_seen, false).await?
                }
                (None, Place::Unsettled | Place::Late) => false,
            };
            match (written, place, current) {
                (true, Place::Unsettled | Place::Late, Some(current)) => return Ok(Recorded::KeptExisting { current }),
                (true, _, previous) => return Ok(Recorded::Current { previous }),
                (false, _, _) => {
                    let delay = delays.next().ok_or_else(|| {
                        StoreFault::Unreachable(
                            format!("the row of {} changed at every attempt to write it", verdict.package).into(),
                        )
                    })?;
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    /// The read is eventually consistent: the history is shown, and nothing is decided on it.
    async fn history(&self, package: &PackageVersion, limit: usize) -> Result<Vec<Verdict>, StoreFault> {
        self.history_page(package, None, limit).await
    }

    async fn dossier(&self, digest: &Digest) -> Result<Option<Dossier>, StoreFault> {
        let Some(outline) = self.blobs.read_one(&rows::dossier_key(digest)).await? else {
            return Ok(None);
        };
        let outline = evidence::Outline::from_json(digest, &outline)?;
        let keys: Vec<String> = outline.bodies().map(rows::body_key).collect();
        let bodies = self.blobs.read(&keys).await?;
        outline.into_dossier(|body| bodies.get(&rows::body_key(body))).map(Some)
    }

    async fn recall(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault> {
        self.kept(key).await
    }

    async fn remember(&self, key: &TraceKey, seen: &[Observation], at: Timestamp) -> Result<(), StoreFault> {
        self.keep_look(key, seen, at).await
    }

    async fn remember_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault> {
        self.keep_release(package, release).await
    }

    /// Whoever holds the lease cannot take it again: one process may look at several versions, or be asked twice for the
    /// same, under one name. The price is that a request which is repeated by the client because its answer was lost
    /// finds its own lease, and the version is left alone until that expires.
    async fn acquire_lease(
        &self,
        package: &PackageVersion,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreFault> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(rows::lease(package, holder, until)))
            .condition_expression("attribute_not_exists(pk) OR #until <= :now")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", rows::text(rows::instant(now)))
            .send()
            .await;
        match result {
            Ok(_output) => Ok(true),
            Err(SdkError::ServiceError(fault)) if fault.err().is_conditional_check_failed_exception() => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    async fn release_lease(&self, package: &PackageVersion, holder: &str) -> Result<(), StoreFault> {
        let result = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", rows::text(rows::package_key(package)))
            .key("sk", rows::text(rows::LEASE))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", rows::text(holder))
            .send()
            .await;
        match result {
            Ok(_output) => Ok(()),
            Err(SdkError::ServiceError(fault)) if fault.err().is_conditional_check_failed_exception() => Ok(()),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    /// One query for each shard, all at once. The index is eventually consistent: a version may be named once more after
    /// its look, which its lease and its current verdict put right.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<PackageVersion>, StoreFault> {
        let shards = rows::due_shards();
        let found = try_join_all(shards.iter().map(|shard| self.due_in_shard(shard, now, limit))).await?;
        let mut due: Vec<_> = found.into_iter().flatten().collect();
        due.sort();
        Ok(due.into_iter().take(limit).map(|(_due_at, package)| package).collect())
    }
}

/// What becomes of a verdict, given the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It becomes the current one.
    Replaces {
        /// Whether the status or the deciding checks are others than before.
        changed: bool,
    },
    /// It is `indeterminate`, or left open by the forge's silence what the current one tells; that one stays.
    Unsettled,
    /// The current one is newer and stays.
    Late,
}

impl Place {
    fn of(current: Option<&Verdict>, verdict: &Verdict) -> Self {
        match current {
            None => Self::Replaces { changed: true },
            Some(current) if current.checked_at > verdict.checked_at => Self::Late,
            Some(current) if current.status.is_settled() && !verdict.status.is_settled() => Self::Unsettled,
            // Silence of the forge is no acquittal.
            Some(current)
                if is_told(current) && verdict.status == Status::Attested && is_unanswered(current, verdict) =>
            {
                Self::Unsettled
            }
            Some(current) => Self::Replaces {
                changed: changes(current, verdict),
            },
        }
    }
}

/// Whether a verdict says what should keep anybody from using the version.
fn is_told(verdict: &Verdict) -> bool {
    match verdict.status {
        Status::Mismatch | Status::Suspicious | Status::Downgraded => true,
        Status::Indeterminate | Status::Unattested | Status::Attested | Status::Verified => false,
    }
}

/// Whether a check that decided the earlier verdict has no answer in the later one.
fn is_unanswered(before: &Verdict, after: &Verdict) -> bool {
    after
        .findings
        .iter()
        .any(|finding| before.decided_by.contains(&finding.check) && matches!(finding.outcome, Outcome::Unknown(_)))
}

/// Whether status or deciding checks differ.
fn changes(before: &Verdict, after: &Verdict) -> bool {
    before.status != after.status || before.decided_by != after.decided_by
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

/// A request that has no answer after the client's retries.
fn unreachable(source: impl std::error::Error + Send + Sync + 'static) -> StoreFault {
    StoreFault::Unreachable(Box::new(source))
}

/// As many rows as are wanted, within what one request may ask for.
fn page_size(wanted: usize) -> i32 {
    i32::try_from(wanted.min(1000)).unwrap_or(1000)
}
