//! What is done every minute. A sweep verifies nothing: it finds out what is to be looked at, and hands that over.

use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Asking, BATCH_LIMIT, LEASE, Service, ServiceFault};
use crate::ecosystem::{self, Look, LookFault};
use crate::package::Ecosystem;
use crate::ports::{BatchItem, Due, Measurement, Progress, StoreFault, Target, Task, WorkItem, WorkReason};

/// How many due tasks one sweep hands over.
const TASKS: usize = 500;
/// How many rows of a feed one page has at most: what npm allows.
const FEED_ROWS: usize = 10_000;
/// How many pages of a feed one sweep reads.
const FEED_PAGES: usize = 3;
/// How many announcements are delivered at once, and how often a sweep does it.
const ANNOUNCEMENTS: usize = 500;
const DELIVERIES: usize = 10;
/// How many tasks are claimed at once.
const AT_ONCE: usize = 16;
/// After what time a task that was handed over is due again, if nobody has done it: the visibility of a message and a look.
const AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// The same of a batch, whose messages may have to wait for each other.
const BATCH_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// When a package that the feed named is looked for new versions a second time.
const ONCE_MORE: SignedDuration = SignedDuration::from_mins(10);
/// How many versions of batches one sweep hands over, but for the rest of the last batch that is begun.
const BATCH_ITEMS: usize = 10_000;
/// For how long a sweep reads the feeds, all of them at the same time. What was read by then and not noted is read again by
/// the next one.
const FEED_PATIENCE: Duration = Duration::from_secs(20);

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// How far each feed was read.
    pub feeds: Vec<Read>,
    /// How many due tasks were handed over.
    pub tasks: usize,
    /// How many announcements that were still owed were delivered.
    pub announced: usize,
    /// What went wrong. A part that fails keeps no other from its work.
    pub troubles: Vec<String>,
}

/// What was read of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    /// Whose feed.
    pub ecosystem: Ecosystem,
    /// Up to where.
    pub until: u64,
    /// How many packages on the watch list it named.
    pub watched: usize,
}

impl Service {
    /// One sweep, of bounded work:
    ///
    /// 1. delivers announcements that are still owed;
    /// 2. claims what is due, and hands it over;
    /// 3. reads the feeds from where the last sweep ended, and hands over the watched packages that they name;
    /// 4. has the trust material refreshed.
    ///
    /// Two sweeps at a time do no harm: a place in a feed is moved by one of them, and a task is claimed by one of them. What
    /// a sweep that dies has claimed is due again after a quarter of an hour. The parts do not depend on each other, and the
    /// first trouble of one ends that one; a fault is returned only if nothing at all could be done. Whoever else is asked,
    /// feeds and the source of trust material, is asked last and for a limited time: a host that hangs keeps nothing else waiting.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, ServiceFault> {
        let mut swept = Swept::default();
        let mut faults = Vec::new();
        // 1.
        match self.deliver_what_is_owed(now).await {
            Ok(announced) => swept.announced = announced,
            Err(fault) => faults.push(fault),
        }
        // 2.
        match self.hand_over_what_is_due(now).await {
            Ok(tasks) => swept.tasks = tasks,
            Err(fault) => faults.push(fault),
        }
        // 3.
        let feeds = ecosystem::feeds(&self.upstreams);
        let parts = feeds.len() + 2;
        let readings = feeds
            .iter()
            .map(|(ecosystem, feed)| self.read_if_wanted(*ecosystem, feed, now));
        for read in join_all(readings).await {
            match read {
                Ok(read) => swept.feeds.extend(read),
                Err(fault) => faults.push(fault),
            }
        }
        // 4.
        self.judges.judge(now).await;
        swept.troubles = faults.iter().map(ToString::to_string).collect();
        for trouble in &swept.troubles {
            tracing::error!(event = "sweep.trouble", trouble, "a part of the sweep failed");
        }
        let ended = Measurement::Sweep {
            tasks: swept.tasks,
            troubles: swept.troubles.len(),
        };
        self.meter.measure(&ended, now);
        match faults.pop() {
            Some(fault) if faults.len() + 1 == parts => Err(fault),
            Some(_) | None => Ok(swept),
        }
    }

    async fn read_if_wanted(
        &self,
        ecosystem: Ecosystem,
        feed: &url::Url,
        now: Timestamp,
    ) -> Result<Option<Read>, ServiceFault> {
        if !self.is_feed_wanted(ecosystem).await? {
            return Ok(None);
        }
        tokio::time::timeout(FEED_PATIENCE, self.read_feed(ecosystem, feed, now))
            .await
            .unwrap_or_else(|_elapsed| Err(too_slow(feed).into()))
            .map(Some)
    }

    /// A list of everything is read only for those who watch something in it.
    async fn is_feed_wanted(&self, ecosystem: Ecosystem) -> Result<bool, StoreFault> {
        Ok(!ecosystem.registry().is_feed_a_list() || self.store.watches_any(ecosystem).await?)
    }

    /// Changes of the last minutes are left to the workers that made them. Of each page of what is
    /// owed, what somebody has to act on is delivered first.
    async fn deliver_what_is_owed(&self, now: Timestamp) -> Result<usize, ServiceFault> {
        let until = now.checked_sub(LEASE).unwrap_or(Timestamp::MIN);
        let (mut announced, mut found) = (0, 0);
        for _delivery in 0..DELIVERIES {
            let mut owed = self.store.owed(until, ANNOUNCEMENTS).await?;
            owed.sort_by_key(|owed| !owed.change.status.is_told());
            let told = self.announce(&owed).await;
            announced += told;
            found += owed.len();
            if told < ANNOUNCEMENTS {
                break;
            }
        }
        let handed_over = Measurement::Announcements {
            delivered: announced,
            owed: found - announced,
        };
        self.meter.measure(&handed_over, now);
        Ok(announced)
    }

    /// Reads a feed on from where it was read to.
    ///
    /// 1. A feed that was never read is read from its end on.
    /// 2. Each watched package that a page names is noted to be looked for once more in ten minutes, since the registry's list
    ///    may lag behind its feed and a message may be lost; then it is queued.
    /// 3. The place moves only after that: a sweep that dies in between leaves the page to be read again.
    /// 4. A feed that has nothing new and ends before the place was numbered anew. It is read from its end on, and what it
    ///    told in between is found when each package is looked for, once a day.
    async fn read_feed(&self, ecosystem: Ecosystem, feed: &url::Url, now: Timestamp) -> Result<Read, ServiceFault> {
        let asking = Asking::new(&*self.fetch, self.until);
        let look = self.look_at(&asking, now);
        let name = ecosystem.purl_type();
        let read = |until, watched| Read {
            ecosystem,
            until,
            watched,
        };
        // 1.
        let Some(mut place) = self.store.cursor(name).await? else {
            let until = ecosystem.registry().feed_end(feed, &look).await?;
            self.store.advance_cursor(name, None, until).await?;
            return Ok(read(until, 0));
        };
        let mut watched = 0;
        for number in 0..FEED_PAGES {
            let page = ecosystem.registry().feed_page(feed, place, FEED_ROWS, &look).await?;
            // 2.
            let found = self.store.watched_among(&page.names).await?;
            let once_more = now.checked_add(ONCE_MORE).unwrap_or(Timestamp::MAX);
            let noting = found
                .iter()
                .cloned()
                .map(|name| async move { self.store.look_by(&name, once_more).await });
            futures::stream::iter(noting)
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
            let items: Vec<WorkItem> = found
                .into_iter()
                .map(|name| WorkItem::new(Target::Package(name), WorkReason::Sweep, now))
                .collect();
            self.queue.send(&items).await?;
            // 3. Somebody else has read this page; what it named is queued twice at worst.
            if page.until == place || !self.store.advance_cursor(name, Some(place), page.until).await? {
                // 4.
                if number == 0 && page.rows == 0 {
                    place = self.behind_its_end(ecosystem, feed, place, &look).await?;
                }
                break;
            }
            watched += items.len();
            place = page.until;
            if page.rows < FEED_ROWS {
                break;
            }
        }
        Ok(read(place, watched))
    }

    /// The place from which to go on in a feed that has nothing after this one: the same, or, where that lies beyond its end,
    /// its end.
    async fn behind_its_end(
        &self,
        ecosystem: Ecosystem,
        feed: &url::Url,
        place: u64,
        look: &Look<'_>,
    ) -> Result<u64, ServiceFault> {
        let end = ecosystem.registry().feed_end(feed, look).await?;
        if end >= place {
            return Ok(place);
        }
        let name = ecosystem.purl_type();
        tracing::error!(
            feed = name,
            place,
            end,
            "the feed ends before the place up to which it was read"
        );
        self.store.reset_cursor(name, place, end).await?;
        Ok(end)
    }

    async fn hand_over_what_is_due(&self, now: Timestamp) -> Result<usize, ServiceFault> {
        let due = self.store.due(now, TASKS).await?;
        let age = due.first().map(|most_overdue| now.duration_since(most_overdue.since));
        self.meter
            .measure(&Measurement::OldestDue(age.unwrap_or_default()), now);
        let (batches, others): (Vec<Due>, Vec<Due>) =
            due.into_iter().partition(|due| matches!(due.task, Task::Batch(_)));
        let claims = others.into_iter().map(|due| async move {
            let again = now.checked_add(AGAIN).unwrap_or(Timestamp::MAX);
            let claimed = self.store.claim(&due, again).await?;
            Ok::<_, StoreFault>(claimed.then_some(due))
        });
        let claimed: Vec<Result<Option<Due>, StoreFault>> =
            futures::stream::iter(claims).buffered(AT_ONCE).collect().await;
        let mut trouble: Option<ServiceFault> = None;
        let mut items = Vec::new();
        for claimed in claimed {
            match claimed {
                Ok(Some(due)) => match due.task {
                    Task::Version(package) => {
                        items.push(WorkItem::new(Target::Version(package), WorkReason::Recheck, now));
                    }
                    Task::Package(name) => items.push(WorkItem::new(Target::Package(name), WorkReason::Sweep, now)),
                    Task::Batch(_) => {}
                },
                Ok(None) => {}
                // What could not be claimed is still due.
                Err(fault) => trouble = Some(fault.into()),
            }
        }
        let mut tasks = items.len();
        // What was not accepted is claimed, and due again.
        if let Err(fault) = self.queue.send(&items).await {
            trouble = Some(fault.into());
        }
        // Batches can be large, and wait for whom somebody watches; each is claimed when its turn comes.
        let mut left = BATCH_ITEMS;
        for due in batches {
            let again = now.checked_add(BATCH_AGAIN).unwrap_or(Timestamp::MAX);
            let Task::Batch(id) = &due.task else { continue };
            if left == 0 {
                break;
            }
            if self.store.claim(&due, again).await? {
                let items = self.rest_of_batch(id, now).await?;
                self.queue.send(&items).await?;
                left = left.saturating_sub(items.len());
                tasks += 1;
            }
        }
        trouble.map_or(Ok(tasks), Err)
    }

    /// What of a batch has no verdict yet; a batch that is done, or gone, is not due any more.
    async fn rest_of_batch(&self, id: &str, now: Timestamp) -> Result<Vec<WorkItem>, StoreFault> {
        if self.store.batch(id, now).await?.is_none() {
            self.store.finish_batch(id).await?;
            return Ok(Vec::new());
        }
        let all = self.store.batch_items(id, None, BATCH_LIMIT, now).await?;
        let pending = all.into_iter().filter(is_pending).map(|item| WorkItem {
            batch: Some(id.to_owned()),
            ..WorkItem::new(Target::Version(item.package), WorkReason::Batch, now)
        });
        let items: Vec<WorkItem> = pending.collect();
        if items.is_empty() {
            self.store.finish_batch(id).await?;
        }
        Ok(items)
    }
}

fn too_slow(feed: &url::Url) -> LookFault {
    LookFault::Upstream {
        detail: format!("{feed}: the feed was not read within {} s", FEED_PATIENCE.as_secs()),
        retry_after: None,
    }
}

fn is_pending(item: &BatchItem) -> bool {
    match item.progress {
        Progress::Pending => true,
        Progress::Done { .. } | Progress::Failed { .. } => false,
    }
}
