//! What the releases of a package proved.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::bulk::Consistency;
use super::rows::{self, Item, PackedJson, RELEASE_JSON, ReleasePlace};
use super::{DynamoDbStore, Reading, bulk, contended, keys, unreachable};
use crate::history::{LIMIT, PastRelease};
use crate::package::{Ecosystem, PackageName, PackageVersion};
use crate::ports::StoreFault;

/// The most rows that are read of one package's releases, where those of a kind lie far apart.
const MOST_READ: usize = 1024;

/// The rows of one page: few packages have more.
const PAGE: usize = 128;

/// How many releases are entered at the same time.
const AT_ONCE: usize = 8;

impl DynamoDbStore {
    /// Reads a row of a release.
    async fn release_in(&self, item: &Item) -> Result<PastRelease, StoreFault> {
        rows::check_schema(item)?;
        match rows::stored_json(item, &RELEASE_JSON)? {
            Some(stored) => self.json(&stored).await,
            None => Err(rows::corrupt(item, RELEASE_JSON.here, "missing")),
        }
    }

    /// The releases in these rows.
    async fn releases_in(&self, items: &[Item]) -> Result<Vec<PastRelease>, StoreFault> {
        let mut releases = Vec::new();
        for item in items {
            releases.push(self.release_in(item).await?);
        }
        Ok(releases)
    }

    /// The newest releases of a package that were published until `until`, newest first: as far back as there are [`LIMIT`]
    /// accepted ones of the kind of this version, a prerelease or not, and of the others as many as lie in between.
    ///
    /// The reads are strongly consistent, since the answer is an input of a verdict.
    ///
    /// The two are counted apart, so that a package which publishes a prerelease for every commit is still compared with its
    /// last stable releases.
    pub(super) async fn past_releases(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
    ) -> Result<Vec<PastRelease>, StoreFault> {
        let reading = Reading {
            backwards: true,
            consistent: true,
        };
        let range = keys::releases(package.name(), until);
        let own = package.ecosystem().channel(package.version()).is_stable();
        let mut recent = Recent::of(package.ecosystem());
        let mut start = None;
        let mut left = MOST_READ;
        while left > 0 {
            let (items, next) = self.page(&range, reading, PAGE.min(left), start).await?;
            left = left.saturating_sub(items.len());
            for item in &items {
                recent.push(self.release_in(item).await?);
            }
            start = next;
            if start.is_none() || recent.is_complete(own) {
                break;
            }
        }
        Ok(recent.releases)
    }

    /// Keeps what a release proved:
    ///
    /// 1. reads where the release of this version is, and what it holds; if that is the same, there is nothing to do;
    /// 2. in one step, on the condition that this is still so, writes the release, says where it is, and removes it from
    ///    where it was if its time of publication is another one now; or starts again.
    pub(super) async fn keep_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault> {
        let (place, packed) = placed(package.version(), release)?;
        let mut delays = bulk::backoff();
        loop {
            // 1.
            let before = self.release_place(package.name(), package.version()).await?;
            // 2.
            let is_kept = before.as_ref() == Some(&place)
                || self
                    .move_release(package.name(), package.version(), before.as_ref(), &place, &packed)
                    .await?;
            if is_kept {
                return Ok(());
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the release {package}")))?;
            tokio::time::sleep(delay).await;
        }
    }

    /// What is kept of these versions: first where each is, then what is there. A release that is moved in between is missed,
    /// and found at the next look.
    ///
    /// The reads are eventually consistent: they are about old lines of the package, and what they miss is read from the
    /// registry.
    pub(super) async fn releases_of(
        &self,
        name: &PackageName,
        versions: &[String],
    ) -> Result<Vec<PastRelease>, StoreFault> {
        let versions: BTreeSet<&String> = versions.iter().collect();
        let wanted = versions
            .into_iter()
            .map(|version| rows::key(keys::name_key(name), &keys::version_key(version)))
            .collect();
        let places = self.bulk.read(wanted, Consistency::Eventual, AT_ONCE).await?;
        let wanted = places
            .iter()
            .map(|item| {
                Ok(rows::key(
                    keys::name_key(name),
                    &ReleasePlace::from_item(item)?.sort_key,
                ))
            })
            .collect::<Result<_, StoreFault>>()?;
        let found = self.bulk.read(wanted, Consistency::Eventual, AT_ONCE).await?;
        self.releases_in(&found).await
    }

    /// The versions in the newest `limit` rows of a package's releases. The reads are eventually consistent: what is missed is
    /// found the next time.
    pub(super) async fn remembered_versions(
        &self,
        name: &PackageName,
        limit: usize,
    ) -> Result<Vec<String>, StoreFault> {
        let reading = Reading {
            backwards: true,
            consistent: false,
        };
        let rows = self.rows(&keys::releases(name, None), reading, None, limit).await?;
        let releases = self.releases_in(&rows).await?;
        Ok(releases.into_iter().map(|release| release.version).collect())
    }

    /// Enters releases, several at a time, each unless there is a word on its version already.
    pub(super) async fn fill(&self, name: &PackageName, releases: &[PastRelease]) -> Result<(), StoreFault> {
        let entering: Vec<_> = releases.iter().map(|release| self.enter(name, release)).collect();
        stream::iter(entering)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// Enters one release, unless there is a word on its version already.
    async fn enter(&self, name: &PackageName, release: &PastRelease) -> Result<(), StoreFault> {
        let (place, packed) = placed(&release.version, release)?;
        let mut delays = bulk::backoff();
        loop {
            let is_entered = self.move_release(name, &release.version, None, &place, &packed).await?
                || self.release_place(name, &release.version).await?.is_some();
            if is_entered {
                return Ok(());
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the release {} of {name}", release.version)))?;
            tokio::time::sleep(delay).await;
        }
    }

    /// Where the release of a version is. The read is strongly consistent: the write is on the condition that the row is still
    /// what was read, and would only fail beside an older one.
    async fn release_place(&self, name: &PackageName, version: &str) -> Result<Option<ReleasePlace>, StoreFault> {
        match self.row(keys::name_key(name), &keys::version_key(version)).await? {
            Some(item) => ReleasePlace::from_item(&item).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a release and where it is; false if that is no longer what was read. What does not fit into its row is written
    /// before the row that refers to it.
    async fn move_release(
        &self,
        name: &PackageName,
        version: &str,
        before: Option<&ReleasePlace>,
        place: &ReleasePlace,
        release: &PackedJson,
    ) -> Result<bool, StoreFault> {
        self.blobs.write(release.elsewhere().into_iter().collect()).await?;
        let row = Put::builder()
            .table_name(&self.table)
            .set_item(Some(rows::version_item(name, version, place)));
        let row = match before {
            None => row.condition_expression("attribute_not_exists(pk)"),
            Some(before) => row
                .condition_expression("#place = :place AND #revision = :revision")
                .expression_attribute_names("#place", "place")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":place", rows::text(&before.sort_key))
                .expression_attribute_values(":revision", rows::text(&before.revision)),
        };
        let row = row.build().map_err(unreachable)?;
        let mut transaction = vec![
            TransactWriteItem::builder().put(row).build(),
            self.put_in_transaction(rows::release_item(name, &place.sort_key, release))?,
        ];
        if let Some(before) = before.filter(|before| before.sort_key != place.sort_key) {
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(rows::key(keys::name_key(name), &before.sort_key)))
                .build()
                .map_err(unreachable)?;
            transaction.push(TransactWriteItem::builder().delete(delete).build());
        }
        self.transact(transaction).await
    }
}

/// Where a release belongs, and how it is written.
fn placed(version: &str, release: &PastRelease) -> Result<(ReleasePlace, PackedJson), StoreFault> {
    let packed = PackedJson::of(release, &RELEASE_JSON)?;
    let place = ReleasePlace {
        sort_key: keys::release_key(release.published_at, version),
        revision: packed.digest().to_string(),
    };
    Ok((place, packed))
}

/// Releases as they are read, newest first.
struct Recent {
    ecosystem: Ecosystem,
    releases: Vec<PastRelease>,
    accepted_stable: usize,
    accepted_prereleases: usize,
}

impl Recent {
    fn of(ecosystem: Ecosystem) -> Self {
        Self {
            ecosystem,
            releases: Vec::new(),
            accepted_stable: 0,
            accepted_prereleases: 0,
        }
    }

    /// Takes the next older release, unless enough newer ones of its kind were accepted.
    fn push(&mut self, release: PastRelease) {
        let accepted = if self.ecosystem.channel(&release.version).is_stable() {
            &mut self.accepted_stable
        } else {
            &mut self.accepted_prereleases
        };
        if *accepted < LIMIT {
            *accepted += usize::from(release.accepted);
            self.releases.push(release);
        }
    }

    /// Whether enough releases of the kind that is judged were accepted.
    fn is_complete(&self, stable: bool) -> bool {
        let accepted = if stable {
            self.accepted_stable
        } else {
            self.accepted_prereleases
        };
        accepted >= LIMIT
    }
}
