//! What is kept of runs and their commits: every look at one, and what all of them come to.

use jiff::Timestamp;

use super::bulk::Consistency;
use super::keys::KEPT;
use super::rows::{self, Item, PackedText, SEEN_TEXT, StoredText};
use super::{DynamoDbStore, Reading, bulk, keys};
use crate::dossier::{Observation, Scope, keep};
use crate::ports::{StoreFault, TraceKey};

/// Through how many runs of a commit it is looked for what was seen of that: more than there are where each package of a repository
/// is released by a run of its own. Through others it is asked for again.
const RUNS: usize = 64;

/// What is read of the row of what is kept.
struct KeptRow {
    seen: StoredText,
    /// Names the content of the row, so that a write can demand that it is still what was read.
    revision: String,
    /// When the look was that saw just this, if no row of its own says so.
    looked_at: Option<Timestamp>,
}

impl KeptRow {
    fn from_item(item: &Item) -> Result<Self, StoreFault> {
        Ok(Self {
            seen: rows::stored_text(item, &SEEN_TEXT)?,
            revision: rows::text_of(item, "revision")?.to_owned(),
            looked_at: rows::optional_instant_of(item, "looked_at")?,
        })
    }
}

impl DynamoDbStore {
    /// What is kept of a run and of its commit:
    ///
    /// 1. where a commit is named, what is kept in its partition: by an earlier version of the commit, and through this run and
    ///    others, of which that of this one is read in any case. The reads are strongly consistent: what another worker saw a moment
    ///    ago may be all that is left of a run;
    /// 2. what an earlier version kept of the run, to which nothing is added any more.
    ///
    /// What is read is merged row by row, and of other runs nothing but what is of the commit: however many there are, little is
    /// held at once.
    pub(super) async fn kept(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault> {
        if key.commit.is_none() {
            return match self.kept_row(key).await? {
                Some(row) => self.seen_in(&row).await,
                None => Ok(Vec::new()),
            };
        }
        // 1.
        let reading = Reading {
            backwards: false,
            consistent: true,
        };
        let mut items = self.rows(&keys::kept(key), reading, None, RUNS).await?;
        if items.len() == RUNS {
            let own = self.row(keys::trace_key(key), &keys::kept_key(key)).await?;
            items.extend(own);
        }
        // 2.
        let earlier = rows::key(keys::lone_run_key(key), KEPT);
        items.extend(self.bulk.read(vec![earlier], Consistency::Eventual, 1).await?);
        let mut kept = Vec::new();
        for item in items {
            let mut seen = self.seen_in(&KeptRow::from_item(&item)?).await?;
            if keys::is_of_another_run(rows::text_of(&item, "sk")?, key) {
                seen.retain(|observation| Scope::of(observation.subject) == Some(Scope::Commit));
            }
            kept = keep(kept, &seen);
        }
        Ok(kept)
    }

    /// Keeps a look:
    ///
    /// 1. reads what is kept so far, and merges the look with it. Where nothing was recalled a moment ago, it is not read at first;
    /// 2. appends the look, before anything is made of it, unless it is just what is kept from then on: whatever fails
    ///    afterwards, it is not lost;
    /// 3. if something else is kept from then on, appends what was kept, where that is a look which has no row of its own;
    /// 4. and writes what is kept, on the condition that the row is still the one that was read, or starts again. So no
    ///    worker's observations are lost to another's.
    ///
    /// So each look is what is kept, or has a row; only the first one of most runs is written, and once. A look that saw
    /// nothing leaves no trace.
    pub(super) async fn keep_look(
        &self,
        key: &TraceKey,
        seen: &[Observation],
        at: Timestamp,
        is_first: bool,
    ) -> Result<(), StoreFault> {
        if seen.is_empty() {
            return Ok(());
        }
        let mut seen = seen.to_vec();
        // The order of a look carries no meaning, and must not make two looks of one.
        seen.sort_by_key(|observation| observation.subject);
        let mut is_appended = false;
        let mut is_absent = is_first;
        let mut delays = bulk::backoff();
        loop {
            // 1.
            let row = if std::mem::take(&mut is_absent) {
                None
            } else {
                self.kept_row(key).await?
            };
            let earlier = match &row {
                Some(row) => self.seen_in(row).await?,
                None => Vec::new(),
            };
            let kept = keep(earlier.clone(), &seen);
            // 2.
            if kept != seen && !is_appended {
                self.append_look(key, &seen, at).await?;
                is_appended = true;
            }
            // 3.
            if kept != earlier
                && let Some(looked_at) = row.as_ref().and_then(|row| row.looked_at)
            {
                self.append_look(key, &earlier, looked_at).await?;
            }
            // 4.
            let looked_at = (kept == seen && !is_appended).then_some(at);
            if kept == earlier || self.replace_kept(key, row.as_ref(), &kept, looked_at).await? {
                return Ok(());
            }
            let delay = delays.next().ok_or_else(|| {
                StoreFault::Unreachable(format!("the row of {key:?} changed at every attempt to write it").into())
            })?;
            tokio::time::sleep(delay).await;
        }
    }

    /// Writes the row of a look. Its keys follow from its content.
    async fn append_look(&self, key: &TraceKey, look: &[Observation], at: Timestamp) -> Result<(), StoreFault> {
        let look = PackedText::of_json(&look, &SEEN_TEXT)?;
        self.blobs.write(look.elsewhere().into_iter().collect()).await?;
        let sort_key = keys::look_key(at, &look.digest());
        self.put(rows::trace_item(key, &sort_key, &look)).await
    }

    async fn kept_row(&self, key: &TraceKey) -> Result<Option<KeptRow>, StoreFault> {
        let item = self.row(keys::trace_key(key), &keys::kept_key(key)).await?;
        item.as_ref().map(KeptRow::from_item).transpose()
    }

    async fn seen_in(&self, row: &KeptRow) -> Result<Vec<Observation>, StoreFault> {
        serde_json::from_slice(&self.text(&row.seen).await?)
            .map_err(|source| StoreFault::Corrupt(format!("what was seen of a run and its commit: {source}")))
    }

    /// Writes what is kept; false if the row is no longer what was read.
    async fn replace_kept(
        &self,
        key: &TraceKey,
        before: Option<&KeptRow>,
        kept: &[Observation],
        looked_at: Option<Timestamp>,
    ) -> Result<bool, StoreFault> {
        let kept = PackedText::of_json(&kept, &SEEN_TEXT)?;
        self.blobs.write(kept.elsewhere().into_iter().collect()).await?;
        let mut item = rows::trace_item(key, &keys::kept_key(key), &kept);
        if let Some(looked_at) = looked_at {
            item.insert("looked_at".to_owned(), rows::text(keys::instant(looked_at)));
        }
        let before = before.map(|before| before.revision.as_str()).into();
        self.put_revision(item, &before).await
    }
}
