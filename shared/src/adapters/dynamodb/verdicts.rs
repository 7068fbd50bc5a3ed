//! Verdicts, evidence, memory and leases, as the port has them.

use async_trait::async_trait;
use futures::future::try_join;
use jiff::Timestamp;

use super::keys::{LEASE, VERDICT};
use super::rows::{self, CurrentRow, Item, StoredText};
use super::{DynamoDbStore, evidence, keys, lost_delete, lost_put, unreachable};
use crate::dossier::{Dossier, Observation};
use crate::history::PastRelease;
use crate::package::{Digest, PackageName, PackageVersion};
use crate::ports::{FirstSeen, Past, Recorded, Sibling, StoreFault, TraceKey, VerdictStore, VerdictText};
use crate::verdict::Verdict;

impl DynamoDbStore {
    /// The row of the current verdict.
    ///
    /// The read is strongly consistent. With a stale row the second of two workers would repeat what the first has just
    /// recorded, and a digest first seen a moment ago would be unknown to the check that compares it.
    pub(super) async fn current_row(&self, package: &PackageVersion) -> Result<Option<CurrentRow>, StoreFault> {
        match self.row(keys::package_key(package), VERDICT).await? {
            Some(item) => CurrentRow::from_item(&item).map(Some),
            None => Ok(None),
        }
    }

    /// What was seen first of the version of a row.
    pub(super) async fn first_seen_in(&self, row: &CurrentRow) -> Result<Option<FirstSeen>, StoreFault> {
        match &row.first_seen {
            Some(stored) => self.json(stored).await.map(Some),
            None => Ok(None),
        }
    }

    /// The verdict of the row of the current one, with the mark of the row.
    pub(super) async fn current_verdict(&self, row: &CurrentRow) -> Result<Verdict, StoreFault> {
        self.verdict_text(&row.verdict, row.removed_at).await?.verdict()
    }

    /// The text of a verdict that is in a row, with the mark of that.
    pub(super) async fn verdict_text(
        &self,
        stored: &StoredText,
        removed_at: Option<Timestamp>,
    ) -> Result<VerdictText, StoreFault> {
        VerdictText::recorded(self.text(stored).await?.into_owned(), removed_at)
    }
}

#[async_trait]
impl VerdictStore for DynamoDbStore {
    /// The read is strongly consistent: whoever waits for a look, or repeats a message, asks whether one has just ended.
    async fn last_look(&self, package: &PackageVersion) -> Result<Option<Timestamp>, StoreFault> {
        let row = self.current_row(package).await?;
        row.map(|row| row.last_look()).transpose()
    }

    /// The read is strongly consistent: what was told a moment ago is not untold, and nobody looks at a version for want of a
    /// verdict that is there. Where the verdict fits into its row, as nearly all do, this is one request.
    async fn current_text(&self, package: &PackageVersion) -> Result<Option<VerdictText>, StoreFault> {
        match self.current_row(package).await? {
            Some(row) => self.verdict_text(&row.verdict, row.removed_at).await.map(Some),
            None => Ok(None),
        }
    }

    /// The read is strongly consistent: a digest first seen a moment ago would be unknown to the check that compares it.
    async fn first_seen(&self, package: &PackageVersion) -> Result<Option<FirstSeen>, StoreFault> {
        match self.current_row(package).await? {
            Some(row) => self.first_seen_in(&row).await,
            None => Ok(None),
        }
    }

    /// All questions are strongly consistent, since the answers are an input of a verdict: of two versions that are published
    /// and judged within a second, the later one is compared with what the earlier one has just proved. Of a package that has
    /// just been put on the watch list the verdict would otherwise have no next look.
    async fn past(&self, package: &PackageVersion, until: Option<Timestamp>) -> Result<Past, StoreFault> {
        let (watched, (history, met)) = Box::pin(try_join(
            self.watch_row(package.name()),
            self.past_releases(package, until),
        ))
        .await?;
        Ok(Past {
            history,
            watched: watched.is_some(),
            met,
        })
    }

    async fn mark_removed(&self, package: &PackageVersion, at: Timestamp) -> Result<Option<Verdict>, StoreFault> {
        self.keep_mark(package, at).await
    }

    async fn record(
        &self,
        verdict: &Verdict,
        dossier: &Dossier,
        first_seen: Option<&FirstSeen>,
        is_first: bool,
    ) -> Result<Recorded, StoreFault> {
        self.keep_verdict(verdict, dossier, first_seen, is_first).await
    }

    /// The reads are strongly consistent: a verdict that has just been archived is in neither place for one that is not.
    async fn history(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Verdict>, StoreFault> {
        self.history_until(package, until, limit).await
    }

    /// The reads are eventually consistent at first, since evidence never changes; what is missed is asked for once more, strongly
    /// consistently.
    async fn dossier(&self, digest: &Digest) -> Result<Option<Dossier>, StoreFault> {
        let Some(outline) = self.blobs.read_one(&keys::dossier_key(digest)).await? else {
            return Ok(None);
        };
        let outline = evidence::Outline::from_json(digest, &outline)?;
        let wanted: Vec<String> = outline.bodies().map(keys::body_key).collect();
        let bodies = self.blobs.read(&wanted).await?;
        outline.into_dossier(|body| bodies.get(&keys::body_key(body))).map(Some)
    }

    async fn recall(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault> {
        self.kept(key).await
    }

    async fn remember(
        &self,
        key: &TraceKey,
        seen: &[Observation],
        at: Timestamp,
        is_first: bool,
    ) -> Result<(), StoreFault> {
        self.keep_look(key, seen, at, is_first).await
    }

    async fn remember_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault> {
        self.keep_release(package, release).await
    }

    async fn meet(
        &self,
        package: &PackageVersion,
        own: Option<&PastRelease>,
        listed: &[PastRelease],
    ) -> Result<bool, StoreFault> {
        self.keep_first_meeting(package, own, listed).await
    }

    async fn releases(&self, name: &PackageName, versions: &[String]) -> Result<Vec<PastRelease>, StoreFault> {
        self.releases_of(name, versions).await
    }

    async fn remembered(&self, name: &PackageName, limit: usize) -> Result<Vec<String>, StoreFault> {
        self.remembered_versions(name, limit).await
    }

    async fn fill_timeline(&self, name: &PackageName, releases: &[PastRelease]) -> Result<(), StoreFault> {
        self.fill(name, releases).await
    }

    async fn remember_publication(&self, publisher: &str, sibling: &Sibling) -> Result<(), StoreFault> {
        self.keep_publication(publisher, sibling).await
    }

    async fn published_by(&self, publisher: &str, until: Timestamp, limit: usize) -> Result<Vec<Sibling>, StoreFault> {
        self.publications(publisher, until, limit).await
    }

    /// Whoever holds the lease takes it again, since a request whose answer was lost is repeated by the client: otherwise it would
    /// find its own lease, and the version were left alone until that expires.
    ///
    /// A lease of a version without a verdict was taken after no look: any that is recorded is later.
    async fn acquire_lease(
        &self,
        package: &PackageVersion,
        holder: &str,
        after: Option<Timestamp>,
        outlasts_looks: bool,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreFault> {
        let after = after.unwrap_or(Timestamp::MIN);
        // No look is later than the end of time.
        let ends_after = keys::instant(if outlasts_looks { Timestamp::MAX } else { after });
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(lease(package, holder, &ends_after, until)))
            .condition_expression("attribute_not_exists(pk) OR #until <= :now OR #after < :after OR #holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_names("#until", "until")
            .expression_attribute_names("#after", "after")
            .expression_attribute_values(":now", rows::text(keys::instant(now)))
            .expression_attribute_values(":after", rows::text(keys::instant(after)))
            .expression_attribute_values(":holder", rows::text(holder))
            .send()
            .await;
        match result {
            Ok(_output) => Ok(true),
            Err(fault) if lost_put(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }

    async fn release_lease(&self, package: &PackageVersion, holder: &str) -> Result<(), StoreFault> {
        let result = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(rows::key(keys::package_key(package), LEASE)))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", rows::text(holder))
            .send()
            .await;
        match result {
            Ok(_output) => Ok(()),
            Err(fault) if lost_delete(&fault) => Ok(()),
            Err(fault) => Err(unreachable(fault)),
        }
    }
}

/// A lease; it may be forgotten once it has expired.
fn lease(package: &PackageVersion, holder: &str, after: &str, until: Timestamp) -> Item {
    rows::item_with(
        keys::package_key(package),
        LEASE,
        [
            ("holder", rows::text(holder)),
            ("after", rows::text(after)),
            ("until", rows::text(keys::instant(until))),
            ("expires", rows::expiry(until)),
        ],
    )
}
