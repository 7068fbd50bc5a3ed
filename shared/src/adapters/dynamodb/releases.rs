//! What the releases of a package proved.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures::future::try_join;
use jiff::Timestamp;

use super::bulk::Consistency;
use super::keys::FILLED;
use super::rows::{self, FILLED_TEXT, Item, PackedJson, PackedText, RELEASE_JSON, ReleasePlace};
use super::{AsRead, DynamoDbStore, Reading, bulk, contended, keys, lost_delete, unreachable};
use crate::history::{LIMIT, PastRelease};
use crate::package::{Ecosystem, PackageName, PackageVersion};
use crate::ports::StoreFault;

/// The most rows that are read of one package's releases, where those of a kind lie far apart.
const MOST_READ: usize = 1024;

/// The rows of one page: few packages have more.
const PAGE: usize = 128;

/// How many requests for rows of versions are under way at the same time.
const AT_ONCE: usize = 8;

/// The most releases that are kept in the row of those that were there when the package was met: what is there already, and of
/// what is added the latest. What is left out is read again.
const FILLED_LIMIT: usize = 1024;

/// What is kept of a version, as it was read.
#[derive(Default)]
struct Known {
    /// Where the release is, by the row of the version.
    place: Option<ReleasePlace>,
    /// What the row at the place in question holds, by its revision.
    release: AsRead,
    filled: Filled,
}

/// What was read from the registry's list of versions, and what the release proved with which the package was met.
#[derive(Default)]
struct Filled {
    releases: Vec<PastRelease>,
    /// Names the content of the row.
    revision: Option<String>,
}

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
    /// Besides, whether anything is kept of a release until then, or of those that were there when the package was met.
    ///
    /// The reads are strongly consistent, since the answer is an input of a verdict.
    ///
    /// The two are counted apart, so that a package which publishes a prerelease for every commit is still compared with its
    /// last stable releases. What was read from the registry's list counts where there is no other word on the version.
    pub(super) async fn past_releases(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
    ) -> Result<(Vec<PastRelease>, bool), StoreFault> {
        let reading = Reading {
            backwards: true,
            consistent: true,
        };
        let range = keys::releases(package.name(), until);
        let own = package.ecosystem().channel(package.version()).is_stable();
        let mut recent = Recent::of(package.ecosystem());
        // First, since what is removed from it meanwhile has a release by then.
        let Filled { releases, revision } = self.filled(package.name(), true).await?;
        let mut filled = releases;
        let mut page = self.page(&range, reading, PAGE, None).await?;
        let met = revision.is_some() || !page.0.is_empty();
        filled.retain(|release| until.is_none_or(|until| release.published_at <= until));
        filled.sort_by_key(|release| Reverse(release.published_at));
        let mut filled = filled.into_iter().peekable();
        let mut left = MOST_READ;
        loop {
            left = left.saturating_sub(page.0.len());
            for release in self.releases_in(&page.0).await? {
                while let Some(earlier) = filled.next_if(|filled| filled.published_at > release.published_at) {
                    recent.push(earlier);
                }
                recent.push(release);
            }
            let start = page.1;
            if start.is_none() {
                filled.for_each(|release| recent.push(release));
                break;
            }
            if left == 0 || recent.is_complete(own) {
                break;
            }
            page = self.page(&range, reading, PAGE.min(left), start).await?;
        }
        Ok((recent.releases, met))
    }

    /// Keeps what a release proved:
    ///
    /// 1. reads the row of the version and that of the release; if both hold just that, there is nothing to do. Nor is there if
    ///    it has no rows, and that is what was kept of it when the package was met;
    /// 2. writes the version and then the release, each on the condition that it is still what was read, or starts again. A
    ///    process that dies in between leaves a version without its release, which the next word on it finds at 1. Where the
    ///    time of publication is another one now, one step writes both and removes the release from where it was; a worker whose
    ///    lease has expired, and who writes at that very moment, can leave one there;
    /// 3. removes the version from what was kept when the package was met.
    pub(super) async fn keep_release(&self, package: &PackageVersion, release: &PastRelease) -> Result<(), StoreFault> {
        let (name, version) = (package.name(), package.version());
        let (place, packed) = placed(version, release)?;
        self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        let mut delays = bulk::backoff();
        loop {
            // 1.
            let known = self.known(name, version, &place).await?;
            if known.place.is_none() && known.filled.releases.contains(release) {
                return Ok(());
            }
            // 2.
            let is_kept = match &known.place {
                Some(before) if before.sort_key != place.sort_key => {
                    self.move_release(name, version, before, &place, &packed).await?
                }
                before => {
                    let is_noted = before.as_ref() == Some(&place)
                        || self
                            .put_version(name, version, before.as_ref(), &place, &packed)
                            .await?;
                    is_noted
                        && (known.release == AsRead::Revision(place.revision.clone())
                            || self.put_release(name, &known.release, &place, &packed).await?)
                }
            };
            // 3.
            let mut others = known.filled.releases.clone();
            others.retain(|filled| filled.version != version);
            let is_alone = others.len() == known.filled.releases.len();
            if is_kept && (is_alone || self.put_filled(name, &known.filled, others).await?) {
                return Ok(());
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the release {package}")))?;
            tokio::time::sleep(delay).await;
        }
    }

    /// What is kept of these versions.
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
            .iter()
            .map(|version| rows::key(keys::name_key(name), &keys::version_key(version)))
            .collect();
        let reading = self.bulk.read(wanted, Consistency::Eventual, AT_ONCE);
        let (items, filled) = try_join(reading, self.filled(name, false)).await?;
        let (mut found, mut elsewhere) = (Vec::new(), Vec::new());
        for item in &items {
            rows::check_schema(item)?;
            match rows::stored_json(item, &RELEASE_JSON)? {
                Some(stored) => found.push(self.json(&stored).await?),
                // Rows of schema 1 say only where the release is.
                None => elsewhere.push(rows::key(
                    keys::name_key(name),
                    &ReleasePlace::from_item(item)?.sort_key,
                )),
            }
        }
        let items = self.bulk.read(elsewhere, Consistency::Eventual, AT_ONCE).await?;
        found.extend(self.releases_in(&items).await?);
        let known: BTreeSet<String> = found.iter().map(|release| release.version.clone()).collect();
        let is_wanted =
            |release: &PastRelease| versions.contains(&release.version) && !known.contains(&release.version);
        found.extend(filled.releases.into_iter().filter(is_wanted));
        Ok(found)
    }

    /// The newest `limit` versions of a package of which something is kept. The reads are eventually consistent: what is missed
    /// is found the next time.
    pub(super) async fn remembered_versions(
        &self,
        name: &PackageName,
        limit: usize,
    ) -> Result<Vec<String>, StoreFault> {
        let reading = Reading {
            backwards: true,
            consistent: false,
        };
        let range = keys::releases(name, None);
        let reading = self.rows(&range, reading, None, limit);
        let (rows, filled) = try_join(reading, self.filled(name, false)).await?;
        let mut releases = self.releases_in(&rows).await?;
        releases.extend(filled.releases);
        releases.sort_by_key(|release| Reverse(release.published_at));
        let mut seen = BTreeSet::new();
        let versions = releases.into_iter().map(|release| release.version);
        Ok(versions
            .filter(|version| seen.insert(version.clone()))
            .take(limit)
            .collect())
    }

    /// Keeps what the first look at a package taught of its releases, in one row; false if there is one. A word of one's own
    /// counts like any other there: those that come later have rows of their own.
    pub(super) async fn keep_first_meeting(
        &self,
        package: &PackageVersion,
        own: Option<&PastRelease>,
        listed: &[PastRelease],
    ) -> Result<bool, StoreFault> {
        let mut releases: Vec<PastRelease> = own.cloned().into_iter().collect();
        releases.extend(latest_of(listed, |release| release.version != package.version()));
        if releases.is_empty() {
            return Ok(true);
        }
        self.put_filled(package.name(), &Filled::default(), releases).await
    }

    /// Adds releases to those that were read from the registry's list, each unless there is one of its version: one row for all
    /// of them, since a package that is met for the first time has a dozen. A word of one's own that is said of one at the same
    /// moment may end up beside it, and counts where both are read.
    pub(super) async fn fill(&self, name: &PackageName, releases: &[PastRelease]) -> Result<(), StoreFault> {
        let mut delays = bulk::backoff();
        let mut is_sure = false;
        loop {
            // Where a read that may be old finds another row, the condition of the write does.
            let before = self.filled(name, is_sure).await?;
            is_sure = true;
            let mut filled = before.releases.clone();
            let known: BTreeSet<&String> = before.releases.iter().map(|release| &release.version).collect();
            filled.extend(latest_of(releases, |release| !known.contains(&release.version)));
            if filled.len() == before.releases.len() || self.put_filled(name, &before, filled).await? {
                return Ok(());
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("what was read of {name}")))?;
            tokio::time::sleep(delay).await;
        }
    }

    /// What was read from the registry's list of versions. Whoever decides on it, or writes it on the condition that it is
    /// still the same, reads strongly consistently.
    async fn filled(&self, name: &PackageName, consistent: bool) -> Result<Filled, StoreFault> {
        let consistency = if consistent {
            Consistency::Strong
        } else {
            Consistency::Eventual
        };
        let key = rows::key(keys::name_key(name), FILLED);
        match self.bulk.read(vec![key], consistency, 1).await?.first() {
            Some(item) => self.filled_in(item).await,
            None => Ok(Filled::default()),
        }
    }

    async fn filled_in(&self, item: &Item) -> Result<Filled, StoreFault> {
        let text = rows::stored_text(item, &FILLED_TEXT)?;
        let releases = serde_json::from_slice(&self.text(&text).await?)
            .map_err(|source| rows::corrupt(item, FILLED_TEXT.here, &source.to_string()))?;
        Ok(Filled {
            releases,
            revision: Some(rows::text_of(item, "revision")?.to_owned()),
        })
    }

    /// Writes what was read from the registry's list, or removes the row if nothing is left of it; false if it is no longer what
    /// was read.
    async fn put_filled(
        &self,
        name: &PackageName,
        before: &Filled,
        mut releases: Vec<PastRelease>,
    ) -> Result<bool, StoreFault> {
        releases.truncate(FILLED_LIMIT);
        releases.sort_by_key(|release| Reverse(release.published_at));
        if let (Some(revision), true) = (&before.revision, releases.is_empty()) {
            let request = self.client.delete_item().table_name(&self.table);
            let result = request
                .set_key(Some(rows::key(keys::name_key(name), FILLED)))
                .condition_expression("#revision = :revision")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":revision", rows::text(revision))
                .send()
                .await;
            return match result {
                Ok(_output) => Ok(true),
                Err(fault) if lost_delete(&fault) => Ok(false),
                Err(fault) => Err(unreachable(fault)),
            };
        }
        let packed = PackedText::of_json(&releases, &FILLED_TEXT)?;
        self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        let item = rows::filled_item(name, &packed);
        self.put_revision(item, &before.revision.as_deref().into()).await
    }

    /// What is kept of a version, of which the release would be at this place. The reads are strongly consistent: the writes
    /// are on the condition that the rows are still what was read, and would only fail beside older ones. A release without
    /// a row of its version was never written.
    async fn known(&self, name: &PackageName, version: &str, place: &ReleasePlace) -> Result<Known, StoreFault> {
        let version_key = keys::version_key(version);
        let wanted = [version_key.as_str(), FILLED].map(|key| rows::key(keys::name_key(name), key));
        let mut known = Known::default();
        for item in self.bulk.read(wanted.to_vec(), Consistency::Strong, 1).await? {
            if rows::text_of(&item, "sk")? == FILLED {
                known.filled = self.filled_in(&item).await?;
            } else {
                known.place = Some(ReleasePlace::from_item(&item)?);
            }
        }
        if known.place.is_some() {
            known.release = match self.row(keys::name_key(name), &place.sort_key).await? {
                None => AsRead::Absent,
                Some(item) => match rows::text_of(&item, "revision") {
                    Ok(revision) => AsRead::Revision(revision.to_owned()),
                    // Rows of schema 1 have none, and are written once more.
                    Err(_unnamed) => AsRead::Unnamed,
                },
            };
        }
        Ok(known)
    }

    /// Writes the row of a version; false if that is no longer what was read.
    async fn put_version(
        &self,
        name: &PackageName,
        version: &str,
        before: Option<&ReleasePlace>,
        place: &ReleasePlace,
        release: &PackedJson,
    ) -> Result<bool, StoreFault> {
        let item = rows::version_item(name, version, place, release);
        let before = before.map(|before| before.revision.as_str()).into();
        self.put_revision(item, &before).await
    }

    /// Writes the row of a release; false if that is no longer what was read.
    async fn put_release(
        &self,
        name: &PackageName,
        before: &AsRead,
        place: &ReleasePlace,
        release: &PackedJson,
    ) -> Result<bool, StoreFault> {
        self.put_revision(rows::release_item(name, place, release), before)
            .await
    }

    /// Writes a release whose time of publication is another one now, where it belongs, says so in the row of the version, and
    /// removes the release from where it was; false if that is no longer what was read.
    async fn move_release(
        &self,
        name: &PackageName,
        version: &str,
        before: &ReleasePlace,
        place: &ReleasePlace,
        release: &PackedJson,
    ) -> Result<bool, StoreFault> {
        let row = Put::builder()
            .table_name(&self.table)
            .set_item(Some(rows::version_item(name, version, place, release)))
            .condition_expression("#place = :place AND #revision = :revision")
            .expression_attribute_names("#place", "place")
            .expression_attribute_names("#revision", "revision")
            .expression_attribute_values(":place", rows::text(&before.sort_key))
            .expression_attribute_values(":revision", rows::text(&before.revision));
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(rows::key(keys::name_key(name), &before.sort_key)));
        let transaction = vec![
            TransactWriteItem::builder()
                .put(row.build().map_err(unreachable)?)
                .build(),
            self.put_in_transaction(rows::release_item(name, place, release))?,
            TransactWriteItem::builder()
                .delete(delete.build().map_err(unreachable)?)
                .build(),
        ];
        self.transact(transaction).await
    }
}

/// Some of the releases, the latest first.
fn latest_of(releases: &[PastRelease], wanted: impl Fn(&PastRelease) -> bool) -> Vec<PastRelease> {
    let mut latest: Vec<PastRelease> = releases.iter().filter(|release| wanted(release)).cloned().collect();
    latest.sort_by_key(|release| Reverse(release.published_at));
    latest
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
    versions: BTreeSet<String>,
    accepted_stable: usize,
    accepted_prereleases: usize,
}

impl Recent {
    fn of(ecosystem: Ecosystem) -> Self {
        Self {
            ecosystem,
            releases: Vec::new(),
            versions: BTreeSet::new(),
            accepted_stable: 0,
            accepted_prereleases: 0,
        }
    }

    /// Takes the next older release, unless enough newer ones of its kind were accepted, or there was one of its version.
    fn push(&mut self, release: PastRelease) {
        if !self.versions.insert(release.version.clone()) {
            return;
        }
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
