//! What is kept of runs and their commits: every look at one, and what all of them come to.

use jiff::Timestamp;

use super::keys::KEPT;
use super::rows::{self, Item, PackedText, SEEN_TEXT, StoredText};
use super::{DynamoDbStore, Reading, bulk, contended, keys};
use crate::dossier::{Observation, Scope, keep};
use crate::ports::{StoreFault, TraceKey};

/// How many rows of a commit are read: more than there are where each package of a repository is released by a run of its own.
const ROWS: usize = 64;

/// From how many rows on a commit has [a row of its own](DynamoDbStore::fold). As many more may be written by workers that found
/// less at the same moment, and are read as well.
const CROWD: usize = ROWS / 2;

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

/// Whether something was seen of the commit.
fn is_of_commit(observation: &Observation) -> bool {
    Scope::of(observation.subject) == Some(Scope::Commit)
}

impl DynamoDbStore {
    /// What is kept of a run and of its commit:
    ///
    /// 1. where a commit is named, what is kept in its partition: of the commit apart from its runs, which comes first, and through
    ///    this run and others, of which that of this one is read in any case;
    /// 2. what an earlier version kept of the run, and may go on keeping for as long as it runs beside this one;
    /// 3. where the commit has so many rows that soon not all of them will be read, what is known of it is folded into its own row,
    ///    which is read before all others. It is done here, where the rows have been read: whoever keeps a look has recalled what
    ///    there was, so that the commit has that row before there are too many. What a run whose row is beyond those that are read
    ///    tells later is folded in with its look, and once more here whenever that run is recalled: with a first look only if
    ///    something was known of the commit before.
    ///
    /// The reads are strongly consistent: what another worker saw a moment ago may be all that is left of a run. Of a commit with
    /// many runs [`ROWS`] rows and that of this one are held at once, and merged one by one; of other runs nothing is taken but what
    /// is of the commit.
    pub(super) async fn kept(&self, key: &TraceKey) -> Result<Vec<Observation>, StoreFault> {
        if key.commit.is_none() {
            return match self.kept_row(key, KEPT).await? {
                Some(row) => self.seen_in(&row).await,
                None => Ok(Vec::new()),
            };
        }
        // 1.
        let reading = Reading {
            backwards: false,
            consistent: true,
        };
        let mut items = self.rows(&keys::kept(key), reading, None, ROWS).await?;
        let is_crowd = items.len() >= CROWD;
        if items.len() == ROWS {
            let own = self.row(keys::trace_key(key), &keys::kept_key(key)).await?;
            items.extend(own);
        }
        let (mut kept, mut of_commit) = (Vec::new(), None);
        for item in items {
            let row = KeptRow::from_item(&item)?;
            let mut seen = self.seen_in(&row).await?;
            let sort_key = rows::text_of(&item, "sk")?;
            if keys::is_of_another_run(sort_key, key) {
                seen.retain(is_of_commit);
            }
            kept = keep(kept, &seen);
            if sort_key == KEPT {
                of_commit = Some((row, seen));
            }
        }
        // 2.
        if let Some(item) = self.row(keys::lone_run_key(key), KEPT).await? {
            kept = keep(kept, &self.seen_in(&KeptRow::from_item(&item)?).await?);
        }
        // 3.
        let known: Vec<Observation> = kept.iter().filter(|seen| is_of_commit(seen)).cloned().collect();
        if is_crowd && !known.is_empty() {
            // Where others wrote that row each time, nothing is lost: the next who recalls the run folds it in.
            let _is_folded = self.fold(key, of_commit, &known).await?;
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
    ///    worker's observations are lost to another's;
    /// 5. folds what it tells of the commit for the first time into the commit's own row, if that has one: the row of this run may
    ///    be beyond those that are read through others. Newer answers of the same kind are folded in when the run is recalled, and
    ///    so is all of it if this fails.
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
        let sort_key = keys::kept_key(key);
        let mut is_appended = false;
        let mut is_absent = is_first;
        let mut delays = bulk::backoff();
        loop {
            // 1.
            let row = if std::mem::take(&mut is_absent) {
                None
            } else {
                self.kept_row(key, &sort_key).await?
            };
            let earlier = match &row {
                Some(row) => self.seen_in(row).await?,
                None => Vec::new(),
            };
            let kept = keep(earlier.clone(), &seen);
            // 2.
            if kept != seen && !is_appended {
                self.append_look(key, &sort_key, &seen, at).await?;
                is_appended = true;
            }
            // 3.
            if kept != earlier
                && let Some(looked_at) = row.as_ref().and_then(|row| row.looked_at)
            {
                self.append_look(key, &sort_key, &earlier, looked_at).await?;
            }
            // 4.
            let looked_at = (kept == seen && !is_appended).then_some(at);
            if kept == earlier {
                return Ok(());
            }
            if self
                .replace_kept(key, &sort_key, row.as_ref(), &kept, looked_at)
                .await?
            {
                // 5.
                let is_known = is_first && row.is_none();
                return if is_known {
                    Ok(())
                } else {
                    self.fold_news(key, &earlier, kept).await
                };
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the row of {key:?}")))?;
            tokio::time::sleep(delay).await;
        }
    }

    /// Folds what was seen of a commit into the row that it has apart from its runs, which was read as this: with what that holds
    /// by now if another worker wrote it, and only if it tells something else from then on; false if others wrote it at every
    /// attempt. It is read before all others and by earlier versions too. A look that is all it holds, as an earlier version left
    /// it, gets a row of its own before.
    async fn fold(
        &self,
        key: &TraceKey,
        mut before: Option<(KeptRow, Vec<Observation>)>,
        seen: &[Observation],
    ) -> Result<bool, StoreFault> {
        let mut delays = bulk::backoff();
        loop {
            let (row, earlier) = before.unzip();
            let kept = keep(earlier.clone().unwrap_or_default(), seen);
            if earlier.as_ref() == Some(&kept) {
                return Ok(true);
            }
            if let (Some(earlier), Some(looked_at)) = (&earlier, row.as_ref().and_then(|row| row.looked_at)) {
                self.append_look(key, KEPT, earlier, looked_at).await?;
            }
            if self.replace_kept(key, KEPT, row.as_ref(), &kept, None).await? {
                return Ok(true);
            }
            let Some(delay) = delays.next() else {
                return Ok(false);
            };
            tokio::time::sleep(delay).await;
            before = self.commit_row(key).await?;
        }
    }

    /// [Folds](Self::fold) what is kept of a run, and was not of this kind before, into the commit's own row, if that has one.
    async fn fold_news(
        &self,
        key: &TraceKey,
        earlier: &[Observation],
        mut kept: Vec<Observation>,
    ) -> Result<(), StoreFault> {
        kept.retain(|new| {
            let is_alike =
                |old: &Observation| old.subject == new.subject && old.success().is_some() == new.success().is_some();
            is_of_commit(new) && !earlier.iter().any(is_alike)
        });
        if key.commit.is_none() || kept.is_empty() {
            return Ok(());
        }
        let Some(row) = self.commit_row(key).await? else {
            return Ok(());
        };
        if self.fold(key, Some(row), &kept).await? {
            Ok(())
        } else {
            Err(contended(format_args!("the row of the commit of {key:?}")))
        }
    }

    /// The row of a commit apart from its runs, and what it holds.
    async fn commit_row(&self, key: &TraceKey) -> Result<Option<(KeptRow, Vec<Observation>)>, StoreFault> {
        let Some(row) = self.kept_row(key, KEPT).await? else {
            return Ok(None);
        };
        let seen = self.seen_in(&row).await?;
        Ok(Some((row, seen)))
    }

    /// Writes the row of a look, at what is kept under a sort key. Its keys follow from its content.
    async fn append_look(
        &self,
        key: &TraceKey,
        kept: &str,
        look: &[Observation],
        at: Timestamp,
    ) -> Result<(), StoreFault> {
        let look = PackedText::of_json(&look, &SEEN_TEXT)?;
        self.blobs.write(look.elsewhere().into_iter().collect()).await?;
        let sort_key = keys::look_key(kept, at, &look.digest());
        self.put(rows::trace_item(key, &sort_key, &look)).await
    }

    async fn kept_row(&self, key: &TraceKey, sort_key: &str) -> Result<Option<KeptRow>, StoreFault> {
        let item = self.row(keys::trace_key(key), sort_key).await?;
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
        sort_key: &str,
        before: Option<&KeptRow>,
        kept: &[Observation],
        looked_at: Option<Timestamp>,
    ) -> Result<bool, StoreFault> {
        let kept = PackedText::of_json(&kept, &SEEN_TEXT)?;
        self.blobs.write(kept.elsewhere().into_iter().collect()).await?;
        let mut item = rows::trace_item(key, sort_key, &kept);
        if let Some(looked_at) = looked_at {
            item.insert("looked_at".to_owned(), rows::text(keys::instant(looked_at)));
        }
        let before = before.map(|before| before.revision.as_str()).into();
        self.put_revision(item, &before).await
    }
}
