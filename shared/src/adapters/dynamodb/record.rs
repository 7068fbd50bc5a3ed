//! What becomes of a verdict.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::TransactWriteItem;
use jiff::Timestamp;

use super::blobs::Blob;
use super::keys::VERDICT;
use super::rows::{self, CurrentRow, FIRST_SEEN_JSON, PackedJson, PackedVerdict, VERDICT_TEXT};
use super::update::{Condition, Update};
use super::{DynamoDbStore, Reading, bulk, changes, contended, evidence, keys};
use crate::check::Outcome;
use crate::dossier::Dossier;
use crate::package::{Digest, PackageVersion};
use crate::ports::{Announcement, FirstSeen, Recorded, StoreFault, Task};
use crate::verdict::{Status, Verdict};

/// A verdict that was handed over, with what comes with it.
struct Handed<'a> {
    verdict: &'a Verdict,
    packed: PackedVerdict,
    bodies: BTreeSet<Digest>,
    first_seen: Option<&'a FirstSeen>,
}

impl DynamoDbStore {
    /// Records a verdict with its dossier:
    ///
    /// 1. reads the current row, strongly consistent: a stale one would only make step 4 fail. Where whoever holds the lease found
    ///    none, it is not read at first;
    /// 2. writes the evidence, before anything refers to it;
    /// 3. decides what becomes of the verdict;
    /// 4. writes that, on the condition that the row is still the one that was decided on, or starts again.
    ///
    /// A verdict that changes something belongs to the history. It gets its row there when another takes its place, and before
    /// that: until then it is the current one. So most verdicts are written once.
    ///
    /// An `indeterminate` verdict that does not replace a settled one schedules the next look all the same. It is not
    /// appended to the history: the version's status did not change. A settled verdict older than the current one
    /// is, if it differs from its own predecessor; nothing is owed for it, since nothing became current.
    ///
    /// A mark that the registry does not serve the version any more goes with the verdict that it was on, unless it was set
    /// after the look of the one that comes.
    pub(super) async fn keep_verdict(
        &self,
        verdict: &Verdict,
        dossier: &Dossier,
        first_seen: Option<&FirstSeen>,
        is_first: bool,
    ) -> Result<Recorded, StoreFault> {
        let evidence = evidence::Packed::new(dossier, is_first && verdict.next_look_at.is_none())?;
        let handed = Handed {
            verdict,
            packed: PackedVerdict::new(verdict)?,
            bodies: evidence.bodies.keys().cloned().collect(),
            first_seen,
        };
        let mut evidence_is_kept = false;
        let mut is_absent = is_first;
        let mut delays = bulk::backoff();
        loop {
            // 1.
            let seen = if std::mem::take(&mut is_absent) {
                None
            } else {
                self.current_row(&verdict.package).await?
            };
            // 2.
            if !evidence_is_kept {
                self.keep_evidence(seen.as_ref(), &handed.packed, &evidence).await?;
                evidence_is_kept = true;
            }
            // 3. and 4.
            let recorded = match &seen {
                None => {
                    let is_announced = changes::is_first_announced(verdict);
                    let announcement = is_announced.then(|| Box::new(changes::announcement(None, verdict)));
                    let replaced = self.replace(None, &handed, true, announcement.as_deref()).await?;
                    replaced.then_some(Recorded::Current {
                        previous: None,
                        announcement,
                    })
                }
                Some(row) => self.keep_beside(row, &handed).await?,
            };
            if let Some(recorded) = recorded {
                return Ok(recorded);
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the row of {}", verdict.package)))?;
            tokio::time::sleep(delay).await;
        }
    }

    /// Steps 3 and 4 of [`keep_verdict`](Self::keep_verdict) where there is a current verdict; `None` if its row is no longer
    /// what was read.
    async fn keep_beside(&self, row: &CurrentRow, handed: &Handed<'_>) -> Result<Option<Recorded>, StoreFault> {
        let verdict = handed.verdict;
        let current = Box::new(self.current_verdict(row).await?);
        match Place::of(&current, verdict) {
            Place::Replaces { changed } => {
                let announcement = changed.then(|| Box::new(changes::announcement(Some(&current), verdict)));
                // What is recorded once more, since the answer was lost, is still the same entry of the history.
                let is_same = keys::history_key(&current) == keys::history_key(verdict);
                if row.is_change && !is_same {
                    // As it was written, whoever wrote it.
                    let text = self.text(&row.verdict).await?;
                    self.append_to_history(&current, PackedVerdict::of_text(&current, &text)?)
                        .await?;
                }
                let is_change = changed || (row.is_change && is_same);
                let replaced = self
                    .replace(Some(row), handed, is_change, announcement.as_deref())
                    .await?;
                Ok(replaced.then_some(Recorded::Current {
                    previous: Some(current),
                    announcement,
                }))
            }
            Place::Unsettled => {
                let kept = self.keep(row, handed, true).await?;
                Ok(kept.then_some(Recorded::KeptExisting { current }))
            }
            Place::Late => {
                if verdict.status.is_settled() {
                    self.append_late(handed, &current).await?;
                }
                let kept = self.keep(row, handed, false).await?;
                Ok(kept.then_some(Recorded::KeptExisting { current }))
            }
        }
    }

    /// Writes the dossier and those of its bodies that the current row does not vouch for, and the verdict's text if that
    /// does not fit into a row.
    async fn keep_evidence(
        &self,
        row: Option<&CurrentRow>,
        verdict: &PackedVerdict,
        dossier: &evidence::Packed,
    ) -> Result<(), StoreFault> {
        let mut blobs = Vec::new();
        // What the row names was written before the row, and evidence is never deleted.
        if row.is_none_or(|row| row.dossier != dossier.digest) {
            blobs.push(Blob {
                key: keys::dossier_key(&dossier.digest),
                bytes: &dossier.outline,
            });
            for (digest, bytes) in &dossier.bodies {
                if row.is_none_or(|row| !row.bodies.contains(digest)) {
                    blobs.push(Blob {
                        key: keys::body_key(digest),
                        bytes,
                    });
                }
            }
        }
        blobs.extend(verdict.elsewhere());
        self.blobs.write(blobs).await
    }

    /// Makes a verdict the current one. A change and the announcement of it are written in the same step: a process that dies
    /// can lose neither. False if the row is no longer what was read.
    async fn replace(
        &self,
        seen: Option<&CurrentRow>,
        handed: &Handed<'_>,
        is_change: bool,
        announcement: Option<&Announcement>,
    ) -> Result<bool, StoreFault> {
        let Handed {
            verdict,
            packed,
            bodies,
            first_seen,
        } = handed;
        let is_removed = is_removed_since(seen, verdict);
        // What is there already was not written again, and stays as it is.
        let same = seen.filter(|row| row.dossier == verdict.dossier);
        let bodies = same.map_or(bodies, |row| &row.bodies);
        let mut update = update_of(&verdict.package, seen);
        packed.set(&mut update);
        rows::set_change(&mut update, is_change);
        rows::set_bodies(&mut update, bodies);
        self.set_first_seen(&mut update, seen, *first_seen).await?;
        let next_look = verdict.next_look_at.filter(|_| !is_removed);
        rows::set_due(&mut update, &Task::Version(verdict.package.clone()), next_look);
        if !is_removed {
            update.remove("removed_at");
        }
        let Some(announcement) = announcement else {
            return self.update(update).await;
        };
        let mut transaction = vec![TransactWriteItem::builder().update(update.build(&self.table)?).build()];
        for item in changes::items(announcement)? {
            transaction.push(self.put_in_transaction(item)?);
        }
        self.transact(transaction).await
    }

    /// Leaves the current verdict, but keeps what the later one says besides: that there was a look, when to look again, and
    /// what was seen first. False if the row is no longer what was read.
    async fn keep(&self, seen: &CurrentRow, handed: &Handed<'_>, reschedule: bool) -> Result<bool, StoreFault> {
        let verdict = handed.verdict;
        let mut update = update_of(&verdict.package, Some(seen));
        // That nothing is left to look for is said, too: the task that led here was put off, and would come back without end.
        if reschedule && !is_removed_since(Some(seen), verdict) {
            rows::set_due(
                &mut update,
                &Task::Version(verdict.package.clone()),
                verdict.next_look_at,
            );
        }
        self.set_first_seen(&mut update, Some(seen), handed.first_seen).await?;
        if seen.last_look()? < verdict.checked_at {
            update.set("looked_at", rows::text(keys::instant(verdict.checked_at)));
        }
        if update.is_empty() {
            return Ok(true);
        }
        self.update(update).await
    }

    /// Sets what stays of what was seen first, if that is not what is kept already, and demands that nobody has changed it since it was
    /// read: what two workers add is not lost to either.
    async fn set_first_seen(
        &self,
        update: &mut Update,
        row: Option<&CurrentRow>,
        seen: Option<&FirstSeen>,
    ) -> Result<(), StoreFault> {
        let Some(seen) = seen else { return Ok(()) };
        let kept = match row {
            Some(row) => self.first_seen_in(row).await?,
            None => None,
        };
        let stays = seen.clone().after(kept.as_ref());
        if kept.as_ref() == Some(&stays) {
            return Ok(());
        }
        let packed = PackedJson::of(&stays, &FIRST_SEEN_JSON)?;
        self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        packed.set(update);
        for condition in row.into_iter().flat_map(CurrentRow::first_seen_is_unchanged) {
            update.demand(condition);
        }
        Ok(())
    }

    /// Appends a verdict that arrives after a newer one, if it differs from the one that was current at its time: what a
    /// slow look found out must not be lost because a faster one overtook it. Then the newer one is a change, too.
    async fn append_late(&self, handed: &Handed<'_>, current: &Verdict) -> Result<(), StoreFault> {
        let verdict = handed.verdict;
        let earlier = self
            .history_until(&verdict.package, Some(verdict.checked_at), 1)
            .await?;
        if earlier.first().is_some_and(|earlier| !differs(earlier, verdict)) {
            return Ok(());
        }
        if differs(verdict, current) {
            self.append_to_history(current, PackedVerdict::new(current)?).await?;
        }
        self.put(handed.packed.history_item(verdict)).await
    }

    /// Writes the row of the history of a verdict.
    async fn append_to_history(&self, verdict: &Verdict, packed: PackedVerdict) -> Result<(), StoreFault> {
        self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        self.put(packed.history_item(verdict)).await
    }

    /// The newest `limit` verdicts of the history, of those not later than `until`.
    ///
    /// The current one is among them where it has no row of the history yet. It is read first, since it has one by the time
    /// that another takes its place, and the reads are strongly consistent, so that this one is seen.
    pub(super) async fn history_until(
        &self,
        package: &PackageVersion,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Verdict>, StoreFault> {
        let reading = Reading {
            backwards: true,
            consistent: true,
        };
        let mut verdicts = BTreeMap::new();
        if let Some(row) = self.current_row(package).await?.filter(|row| row.is_change) {
            let verdict = self.verdict_text(&row.verdict, None).await?.verdict()?;
            if until.is_none_or(|until| verdict.checked_at <= until) {
                verdicts.insert(keys::history_key(&verdict), verdict);
            }
        }
        for item in self.rows(&keys::history(package, until), reading, None, limit).await? {
            let text = rows::stored_text(&item, &VERDICT_TEXT)?;
            let verdict = self.verdict_text(&text, None).await?.verdict()?;
            verdicts.insert(keys::history_key(&verdict), verdict);
        }
        Ok(verdicts.into_values().rev().take(limit).collect())
    }

    /// Marks the current verdict, unless its look was later, and takes it out of the index of what is due.
    pub(super) async fn keep_mark(
        &self,
        package: &PackageVersion,
        at: Timestamp,
    ) -> Result<Option<Verdict>, StoreFault> {
        let mut delays = bulk::backoff();
        loop {
            let Some(row) = self.current_row(package).await? else {
                return Ok(None);
            };
            let mut verdict = self.current_verdict(&row).await?;
            if verdict.checked_at > at {
                return Ok(Some(verdict));
            }
            let mut update = update_of(package, Some(&row));
            update.set_once("removed_at", rows::text(keys::instant(at)));
            update.set("looked_at", rows::text(keys::instant(at)));
            rows::set_due(&mut update, &Task::Version(package.clone()), None);
            if self.update(update).await? {
                verdict.removed_at.get_or_insert(at);
                return Ok(Some(verdict));
            }
            let delay = delays
                .next()
                .ok_or_else(|| contended(format_args!("the row of {package}")))?;
            tokio::time::sleep(delay).await;
        }
    }
}

/// An update of the row of a current verdict, on the condition that it is still the one that was read.
fn update_of(package: &PackageVersion, seen: Option<&CurrentRow>) -> Update {
    let conditions = seen.map_or_else(|| vec![Condition::no_row()], CurrentRow::is_unchanged);
    Update::of(keys::package_key(package), VERDICT, conditions)
}

/// Whether the registry was found not to serve the version any more after the look that came to this verdict.
fn is_removed_since(row: Option<&CurrentRow>, verdict: &Verdict) -> bool {
    row.and_then(|row| row.removed_at)
        .is_some_and(|removed_at| removed_at > verdict.checked_at)
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
    fn of(current: &Verdict, verdict: &Verdict) -> Self {
        if current.checked_at > verdict.checked_at {
            return Self::Late;
        }
        // What passed says nothing of files that were added, or changed, since.
        let passed = matches!(current.status, Status::Attested | Status::Verified);
        let is_outgrown = passed && !current.is_about_all_of(verdict);
        let is_unsettled = current.status.is_settled() && !verdict.status.is_settled() && !is_outgrown;
        // Silence of the forge is no acquittal.
        let is_silent =
            current.status.is_told() && verdict.status == Status::Attested && is_unanswered(current, verdict);
        if is_unsettled || is_silent {
            return Self::Unsettled;
        }
        Self::Replaces {
            changed: differs(current, verdict),
        }
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
fn differs(before: &Verdict, after: &Verdict) -> bool {
    before.status != after.status || before.decided_by != after.decided_by
}
