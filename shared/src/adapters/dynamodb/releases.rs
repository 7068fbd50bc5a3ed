//! What the releases of a package proved.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};

use super::rows::{self, Item, RELEASES, ReleasePlace};
use super::{DynamoDbStore, blobs, lost_transaction, page_size, unreachable};
use crate::history::{LIMIT, PastRelease};
use crate::package::{Digest, PackageName, PackageVersion};
use crate::ports::StoreFault;

impl DynamoDbStore {
    /// The newest releases of a package, newest first, at most [`LIMIT`].
    pub(super) async fn past_releases(&self, name: &PackageName) -> Result<Vec<PastRelease>, StoreFault> {
        let mut releases = Vec::new();
        let mut start: Option<Item> = None;
        while releases.len() < LIMIT {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND begins_with(sk, :releases)")
                .expression_attribute_values(":pk", rows::text(rows::name_key(name)))
                .expression_attribute_values(":releases", rows::text(RELEASES))
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(page_size(LIMIT - releases.len()))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(unreachable)?;
            for item in output.items() {
                rows::check_schema(item)?;
                let release = serde_json::from_str(rows::text_of(item, "release")?);
                releases.push(release.map_err(|source| rows::corrupt(item, "release", &source.to_string()))?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(releases)
    }

    /// Keeps what a release proved:
    ///
    /// 1. reads where the release of this version is, and what it holds; if that is the same, there is nothing to do;
    /// 2. in one step, on the condition that this is still so, writes the release, says where it is, and removes it from
    ///    where it was if its time of publication is another one now; or starts again.
    pub(super) async fn keep_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault> {
        let json = serde_json::to_string(release).map_err(|source| StoreFault::Corrupt(source.to_string()))?;
        let place = ReleasePlace {
            sort_key: rows::release_key(release.published_at, package.version()),
            revision: Digest::sha256_of(json.as_bytes()).to_string(),
        };
        let mut delays = blobs::backoff();
        loop {
            // 1.
            let version = rows::version_key(package.version());
            let before = match self.row(rows::name_key(package.name()), &version).await? {
                Some(item) => Some(ReleasePlace::from_item(&item)?),
                None => None,
            };
            // 2.
            if before.as_ref() == Some(&place) || self.move_release(package, before.as_ref(), &place, &json).await? {
                return Ok(());
            }
            let delay = delays.next().ok_or_else(|| {
                StoreFault::Unreachable(format!("the release {package} changed at every attempt to write it").into())
            })?;
            tokio::time::sleep(delay).await;
        }
    }

    /// Writes a release and where it is; false if that is no longer what was read.
    async fn move_release(
        &self,
        package: &PackageVersion,
        before: Option<&ReleasePlace>,
        place: &ReleasePlace,
        json: &str,
    ) -> Result<bool, StoreFault> {
        let name = package.name();
        let put = |item| Put::builder().table_name(&self.table).set_item(Some(item));
        let version = put(rows::version_item(name, package.version(), place));
        let version = match before {
            None => version.condition_expression("attribute_not_exists(pk)"),
            Some(before) => version
                .condition_expression("#place = :place AND #revision = :revision")
                .expression_attribute_names("#place", "place")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":place", rows::text(&before.sort_key))
                .expression_attribute_values(":revision", rows::text(&before.revision)),
        };
        let version = version.build().map_err(unreachable)?;
        let release = put(rows::release_item(name, &place.sort_key, json))
            .build()
            .map_err(unreachable)?;
        let mut transaction = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(version).build())
            .transact_items(TransactWriteItem::builder().put(release).build());
        if let Some(before) = before.filter(|before| before.sort_key != place.sort_key) {
            let delete = Delete::builder()
                .table_name(&self.table)
                .key("pk", rows::text(rows::name_key(name)))
                .key("sk", rows::text(&before.sort_key))
                .build()
                .map_err(unreachable)?;
            transaction = transaction.transact_items(TransactWriteItem::builder().delete(delete).build());
        }
        match transaction.send().await {
            Ok(_output) => Ok(true),
            Err(fault) if lost_transaction(&fault) => Ok(false),
            Err(fault) => Err(unreachable(fault)),
        }
    }
}
