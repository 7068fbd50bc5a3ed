//! What has changed, and what is owed for it.

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::rows::{self, Item};
use super::{DynamoDbStore, Reading, keys, unreachable};
use crate::package::Digest;
use crate::ports::{Announcement, Change, ChangeStore, Changes, ChangesAfter, StoreFault};
use crate::verdict::Verdict;

/// How many days one call looks through: most of them may be empty, and each is a request.
const DAYS: usize = 31;

/// Whether a first verdict is announced. What is calm and will not be looked at again concerns whoever asked: of the ten
/// thousand packages of a lockfile that is audited nobody else is told.
pub(super) fn is_first_announced(verdict: &Verdict) -> bool {
    verdict.status.is_told() || verdict.next_look_at.is_some()
}

/// What is announced of a verdict that takes the place of another.
pub(super) fn announcement(previous: Option<&Verdict>, verdict: &Verdict) -> Announcement {
    // Neither a purl nor an instant has a line break in it.
    let name = format!(
        "{}\n{}\n{}",
        verdict.package,
        keys::instant(verdict.checked_at),
        verdict.dossier
    );
    Announcement {
        id: Digest::sha256_of(name.as_bytes()).to_hex(),
        change: Change {
            package: verdict.package.clone(),
            status: verdict.status,
            decided_by: verdict.decided_by.clone(),
            previous_status: previous.map(|previous| previous.status),
            previously_decided_by: previous.map(|previous| previous.decided_by.clone()).unwrap_or_default(),
            questions: verdict.questions.clone(),
            checked_at: verdict.checked_at,
            dossier: verdict.dossier.clone(),
            verifier: verdict.verifier.clone(),
        },
    }
}

/// The rows of a change: what is owed until it is delivered, and what stays. Nothing in a change grows with its evidence, so that
/// it always fits into a row.
pub(super) fn items(announcement: &Announcement) -> Result<[Item; 2], StoreFault> {
    let Announcement { id, change } = announcement;
    let json = rows::json(change)?;
    let (partition, sort_key) = keys::owed_key(announcement);
    Ok([
        rows::item_with(partition, &sort_key, [("change", json.clone())]),
        rows::item_with(
            keys::changes_key(keys::day(change.checked_at)),
            &keys::moment_key(change.checked_at, id),
            [("change", json)],
        ),
    ])
}

impl DynamoDbStore {
    /// The `limit` oldest announcements in one partition of what is owed, with their sort keys.
    async fn owed_in(&self, range: keys::Range, limit: usize) -> Result<Vec<(String, Announcement)>, StoreFault> {
        let reading = Reading {
            backwards: false,
            consistent: false,
        };
        let mut owed = Vec::new();
        let mut start = None;
        while owed.len() < limit {
            let (items, next) = self.page(&range, reading, limit - owed.len(), start).await?;
            for item in &items {
                match owed_of(item) {
                    Ok(found) => owed.push(found),
                    // The row stays the oldest one: failing here would stop every other announcement for good.
                    Err(fault) => tracing::error!(%fault, "an announcement that is owed was passed over"),
                }
            }
            start = next;
            if start.is_none() {
                break;
            }
        }
        Ok(owed)
    }
}

#[async_trait]
impl ChangeStore for DynamoDbStore {
    /// One query for each partition, all at once. The reads are eventually consistent: what was written a moment ago is owed
    /// at the next call, and what was delivered a moment ago may be delivered again, which is to be expected of an
    /// announcement anyway.
    async fn owed(&self, until: Timestamp, limit: usize) -> Result<Vec<Announcement>, StoreFault> {
        let asking = keys::owed(until).map(|range| self.owed_in(range, limit));
        let mut owed = try_join_all(asking).await?.concat();
        owed.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(owed
            .into_iter()
            .take(limit)
            .map(|(_, announcement)| announcement)
            .collect())
    }

    async fn delivered(&self, announcement: &Announcement) -> Result<(), StoreFault> {
        let (partition, sort_key) = keys::owed_key(announcement);
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(rows::key(partition, &sort_key)));
        request.send().await.map_err(unreachable)?;
        Ok(())
    }

    /// Looks through one day after the other, at most a month of days. The reads are strongly consistent: what is not seen
    /// now is passed over for good by whoever goes on after it.
    async fn changes(&self, after: &ChangesAfter, until: Timestamp, limit: usize) -> Result<Changes, StoreFault> {
        let reading = Reading {
            backwards: false,
            consistent: true,
        };
        let (from, mut start) = match after {
            ChangesAfter::Instant(instant) => (*instant, None),
            ChangesAfter::Change { checked_at, id } => (*checked_at, Some(keys::moment_key(*checked_at, &id.to_hex()))),
        };
        let mut found = Found::default();
        let mut day = keys::day(from);
        for _ in 0..DAYS {
            let wanted = limit - found.changes.len();
            // Nothing is asked where there is nothing to find.
            if wanted == 0 || from > until {
                return Ok(found.after_the_last(after));
            }
            let range = keys::changes(day, from, until);
            for item in self.rows(&range, reading, start.take().as_deref(), wanted).await? {
                found.push(&item)?;
            }
            if found.changes.len() >= limit {
                return Ok(found.after_the_last(after));
            }
            let Some(next) = start_of_the_day_after(day).filter(|next| *next <= until) else {
                let end = until.checked_add(jiff::SignedDuration::from_nanos(1));
                return Ok(found.and_nothing_before(end.unwrap_or(until)));
            };
            day = keys::day(next);
        }
        Ok(found.and_nothing_before(start_of(day).unwrap_or(until)))
    }
}

/// The changes of a page so far.
#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    last: Option<ChangesAfter>,
}

impl Found {
    fn push(&mut self, item: &Item) -> Result<(), StoreFault> {
        let change = change_of(item)?;
        let id = keys::moment_id(rows::text_of(item, "sk")?)
            .and_then(|id| format!("sha256:{id}").parse().ok())
            .ok_or_else(|| rows::corrupt(item, "sk", "has no id"))?;
        self.last = Some(ChangesAfter::Change {
            checked_at: change.checked_at,
            id,
        });
        self.changes.push(change);
        Ok(())
    }

    /// A page to go on from after its last change, or from where it began.
    fn after_the_last(self, after: &ChangesAfter) -> Changes {
        Changes {
            next: self.last.as_ref().unwrap_or(after).to_string(),
            changes: self.changes,
        }
    }

    /// A page to go on from at an instant.
    fn and_nothing_before(self, instant: Timestamp) -> Changes {
        Changes {
            changes: self.changes,
            next: ChangesAfter::Instant(instant).to_string(),
        }
    }
}

/// The first instant of a day in UTC; `None` at the end of the calendar.
fn start_of(day: Date) -> Option<Timestamp> {
    TimeZone::UTC
        .to_timestamp(day.to_datetime(jiff::civil::Time::midnight()))
        .ok()
}

fn start_of_the_day_after(day: Date) -> Option<Timestamp> {
    day.tomorrow().ok().and_then(start_of)
}

fn change_of(item: &Item) -> Result<Change, StoreFault> {
    rows::check_schema(item)?;
    rows::json_of(item, "change")
}

/// Reads what is owed, with its sort key.
fn owed_of(item: &Item) -> Result<(String, Announcement), StoreFault> {
    let sort_key = rows::text_of(item, "sk")?;
    let id = keys::moment_id(sort_key).ok_or_else(|| rows::corrupt(item, "sk", "has no id"))?;
    let announcement = Announcement {
        id: id.to_owned(),
        change: change_of(item)?,
    };
    Ok((sort_key.to_owned(), announcement))
}
