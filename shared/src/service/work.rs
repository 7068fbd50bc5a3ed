//! What is done about one message of the queue.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Asking, Freshness, Looked, Occasion, Service, ServiceFault, awaits_an_upstream};
use crate::ecosystem::{self, ListedVersion, Listing, LookFault};
use crate::package::{Coordinate, PackageName, PackageVersion};
use crate::ports::{BatchItem, FaultSide, Progress, Target, Watched, WorkItem, WorkReason};
use crate::verdict::Verdict;

/// How long the registry's metadata may lag behind a publication: versions of so long before the newest one that was handed
/// over are looked through once more.
const LAG: SignedDuration = SignedDuration::from_mins(10);
/// How long before it was put on the watch list a version of a package may have been published to be looked at.
const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The most versions that are handed over at once, the oldest first. The others follow ten minutes later.
const VERSIONS: usize = 200;
/// The most characters of the sentence that a batch keeps of a version without a verdict.
const SENTENCE: usize = 1000;
/// For how long a batch waits for a version that cannot be decided.
const AWAITED: SignedDuration = SignedDuration::from_hours(24);
/// After what time a package is asked about again whose registry did not answer, at the soonest and at the latest.
const SOONEST: SignedDuration = SignedDuration::from_mins(15);
const LATEST: SignedDuration = SignedDuration::from_hours(1);
/// When a watched package is looked for new versions, if no feed shows any before.
const LOOK_FOR_VERSIONS: SignedDuration = SignedDuration::from_hours(24);

/// What became of one message of the queue.
#[derive(Debug)]
pub enum Worked {
    /// There is a verdict, and nothing more to do now.
    Done(Box<Verdict>),
    /// New versions were handed over, so many of them.
    HandedOver(usize),
    /// It can never succeed; retrying would not change that.
    Hopeless(ServiceFault),
    /// It might succeed later: the message goes back to the queue. A verdict that says so may have been recorded.
    TryAgain(String),
}

/// What a batch is told of one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The batch.
    pub batch: String,
    /// The version, and how far it is.
    pub item: BatchItem,
}

impl Note {
    /// What became of a message of a batch; `None` if that is not decided, or nobody waits for it.
    pub fn of(item: &WorkItem, worked: &Worked) -> Option<Self> {
        match worked {
            Worked::Done(verdict) => Self::that(
                item,
                Progress::Done {
                    status: verdict.status,
                    decided_by: verdict.decided_by.clone(),
                    checked_at: verdict.checked_at,
                },
            ),
            Worked::Hopeless(fault) => Self::failed(item, fault.code(), &fault.to_string()),
            Worked::HandedOver(_) | Worked::TryAgain(_) => None,
        }
    }

    /// That there never will be a verdict.
    pub fn failed(item: &WorkItem, code: &str, message: &str) -> Option<Self> {
        let progress = Progress::Failed {
            code: code.to_owned(),
            message: message.chars().take(SENTENCE).collect(),
        };
        Self::that(item, progress)
    }

    fn that(item: &WorkItem, progress: Progress) -> Option<Self> {
        match (&item.batch, &item.package) {
            (Some(batch), Target::Version(package)) => Some(Self {
                batch: batch.clone(),
                item: BatchItem {
                    package: package.clone(),
                    progress,
                },
            }),
            (Some(_) | None, _) => None,
        }
    }
}

impl Service {
    /// Does the work of one message, and tells the batch that it belongs to, if it does to any.
    pub async fn work(&self, item: &WorkItem, now: Timestamp) -> Worked {
        let worked = self.work_untold(item, now).await;
        let told = match Note::of(item, &worked) {
            Some(Note { batch, item }) => self.store.note_progress(&batch, &[item], now).await,
            None => Ok(()),
        };
        told.map_or_else(|fault| Worked::TryAgain(fault.to_string()), |()| worked)
    }

    /// Does the work of one message. Whoever calls it tells its batch [what became of it](Note::of), before the message is taken
    /// off the queue.
    pub async fn work_untold(&self, item: &WorkItem, now: Timestamp) -> Worked {
        let worked = match &item.package {
            Target::Version(package) => self.work_on_version(item, package, now).await,
            Target::Package(name) => self.look_for_versions(item, name, now).await.map(Worked::HandedOver),
        };
        worked.unwrap_or_else(|fault| match fault.side() {
            FaultSide::Caller => Worked::Hopeless(fault),
            FaultSide::Upstream | FaultSide::Ours => Worked::TryAgain(fault.to_string()),
        })
    }

    async fn work_on_version(
        &self,
        item: &WorkItem,
        package: &PackageVersion,
        now: Timestamp,
    ) -> Result<Worked, ServiceFault> {
        let verdict = self.verdict_to_act_on(item, package, now).await?.verdict;
        let is_undecided = awaits_an_upstream(&verdict) && verdict.removed_at.is_none();
        // A verdict that nobody waits for has a next look: a message that came back besides would be one more for each of those.
        if is_undecided && item.reason == WorkReason::Batch && self.is_awaited(item, now).await? {
            return Ok(Worked::TryAgain(format!("{package} could not be decided yet")));
        }
        Ok(Worked::Done(Box::new(verdict)))
    }

    /// A look again is made afresh, unless one has begun since it was asked for: messages are delivered more than once. A
    /// verdict that is remembered as undecided for want of an answer is made again for a batch: a message that comes back asks
    /// anew.
    async fn verdict_to_act_on(
        &self,
        item: &WorkItem,
        package: &PackageVersion,
        now: Timestamp,
    ) -> Result<Looked, ServiceFault> {
        let again = match item.reason {
            WorkReason::Recheck => match (item.asked_at, self.store.last_look(package).await?) {
                (Some(asked_at), Some(looked_at)) => looked_at < asked_at,
                (_, _) => true,
            },
            WorkReason::Api | WorkReason::Batch | WorkReason::Sweep => false,
        };
        let coordinate = Coordinate::from(package.clone());
        let as_fresh_as = |freshness| Occasion {
            reason: item.reason,
            freshness,
            now,
        };
        let freshness = if again { Freshness::Anew } else { Freshness::Remembered };
        let looked = self.verdict_on(&coordinate, as_fresh_as(freshness)).await?;
        let is_asked_anew = match item.reason {
            WorkReason::Api | WorkReason::Batch => looked.case.is_none() && looked.verdict.removed_at.is_none(),
            WorkReason::Sweep | WorkReason::Recheck => false,
        };
        if is_asked_anew && awaits_an_upstream(&looked.verdict) {
            return self.verdict_on(&coordinate, as_fresh_as(Freshness::Anew)).await;
        }
        Ok(looked)
    }

    /// Whether a batch still waits for what could not be decided. After a day it takes what there is, so that every batch comes
    /// to an end; the version is tried on, by the schedule of its verdict.
    async fn is_awaited(&self, item: &WorkItem, now: Timestamp) -> Result<bool, ServiceFault> {
        let Some(id) = &item.batch else { return Ok(true) };
        let batch = self.store.batch(id, now).await?;
        Ok(batch.is_some_and(|batch| now.duration_since(batch.created_at) < AWAITED))
    }

    /// Looks for what is new of a watched package:
    ///
    /// 1. asks the registry for its list of versions, past every cache; if it does not answer, the package is put off, and
    ///    the message is done: one that came back besides would be one more for each time that the package is due;
    /// 2. hands over those that were published since the last time and have no verdict, those whose verdict is to be looked
    ///    after from now on or is about other files than there are by now, and those with a verdict that are served no more,
    ///    or again, or are not even listed;
    /// 3. notes how far that was, unless somebody else has meanwhile.
    ///
    /// A process that dies in between leaves everything to be handed over again.
    async fn look_for_versions(
        &self,
        item: &WorkItem,
        name: &PackageName,
        now: Timestamp,
    ) -> Result<usize, ServiceFault> {
        let Some(entry) = self.store.watched(name).await? else {
            return Ok(0);
        };
        // A message that waited for long, or came twice, asks for what was done since.
        let was_done = |asked_at: Timestamp| entry.next_look_at.duration_since(asked_at) > LOOK_FOR_VERSIONS / 2;
        if item.asked_at.is_some_and(was_done) {
            return Ok(0);
        }
        // 1.
        let asking = Asking::new(&*self.fetch, self.until);
        let listing = match ecosystem::versions(name, &self.look_at(&asking, now)).await {
            Ok(listing) => listing,
            // The package is gone, or was never there.
            Err(LookFault::NotFound(because)) => {
                tracing::info!(package = %name.to_purl(), because, "a watched package is not on the registry");
                Listing::default()
            }
            Err(fault @ LookFault::Upstream { .. }) => {
                let until = now.checked_add(put_off_by(&entry, now)).unwrap_or(Timestamp::MAX);
                tracing::warn!(package = %name.to_purl(), %fault, %until, "a watched package was put off");
                self.store.put_off(&entry, until).await?;
                return Ok(0);
            }
        };
        // 2.
        let mut new = self.new_versions(&entry, &listing, now).await?;
        new.items.extend(self.missing_versions(name, &listing, now).await?);
        self.queue.send(&new.items).await?;
        // 3. A package that the feed has named since is looked for once more, at the time that the sweep has set: the list may
        // show one of two versions, and the other one later.
        let wait = if new.is_all { LOOK_FOR_VERSIONS } else { LAG };
        let next = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        let expected = Some(entry.next_look_at).filter(|expected| *expected > now);
        let next = expected.map_or(next, |expected| expected.min(next));
        let seen_until = new.until.max(entry.seen_until);
        self.store.handed_over(&entry, seen_until, next).await?;
        Ok(new.items.len())
    }

    /// Versions with a verdict that the registry does not list at all any more, not even as ones that were: a package that is
    /// taken away, or whose place something else has taken.
    async fn missing_versions(
        &self,
        name: &PackageName,
        listing: &Listing,
        now: Timestamp,
    ) -> Result<Vec<WorkItem>, ServiceFault> {
        let listed: BTreeSet<&str> = listing.versions.iter().map(|listed| listed.package.version()).collect();
        let mut missing = Vec::new();
        for version in self.store.remembered(name, VERSIONS).await? {
            let Some(package) = PackageVersion::new(name.clone(), &version)
                .ok()
                .filter(|package| !listed.contains(package.version()))
            else {
                continue;
            };
            let current = self.store.current(&package).await?;
            if current.is_some_and(|verdict| verdict.removed_at.is_none()) {
                missing.push(WorkItem::new(Target::Version(package), WorkReason::Recheck, now));
            }
        }
        Ok(missing)
    }

    /// What of a listing is to be handed over, the oldest first. The version that is installed by default is always among
    /// what is considered; so are, once a day, all of the last week, so that none is missed for good.
    async fn new_versions(&self, entry: &Watched, listing: &Listing, now: Timestamp) -> Result<New, ServiceFault> {
        let a_week_ago = now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
        let since = match entry.seen_until.and_then(|seen| seen.checked_sub(LAG).ok()) {
            Some(since) if entry.next_look_at > now => since,
            Some(since) => since.min(a_week_ago),
            None => a_week_ago,
        };
        let mut new = New {
            items: Vec::new(),
            until: None,
            is_all: true,
        };
        let is_latest = |listed: &ListedVersion| listing.latest.as_ref() == Some(&listed.package);
        let mut unserved = 0;
        let mut considered: Vec<&ListedVersion> = Vec::new();
        for listed in &listing.versions {
            unserved += usize::from(!listed.is_served);
            let is_gone = !listed.is_served && unserved <= VERSIONS;
            if is_gone || listed.is_served && (listed.changed_at > since || is_latest(listed)) {
                considered.push(listed);
            }
        }
        for listed in considered.into_iter().rev() {
            if new.items.len() == VERSIONS {
                new.is_all = false;
                break;
            }
            let current = self.store.current(&listed.package).await?;
            let reason = match (&current, listed.is_served) {
                (None, true) => Some(WorkReason::Sweep),
                (Some(verdict), true)
                    if verdict.removed_at.is_some()
                        || verdict.next_look_at.is_none()
                        || has_other_files(listed, verdict) =>
                {
                    Some(WorkReason::Recheck)
                }
                (Some(verdict), false) if verdict.removed_at.is_none() => Some(WorkReason::Recheck),
                (None | Some(_), _) => None,
            };
            if let Some(reason) = reason {
                let target = Target::Version(listed.package.clone());
                new.items.push(WorkItem::new(target, reason, now));
            }
            new.until = new.until.max(Some(listed.changed_at.min(now)));
        }
        Ok(new)
    }
}

/// By how much a package is put off that could not be asked about: half of the time that it has been overdue, between a
/// quarter of an hour and one hour. An outage of the registry costs one question an hour for each package, and no version
/// waits for longer than that once it is over.
fn put_off_by(entry: &Watched, now: Timestamp) -> SignedDuration {
    let overdue = now.duration_since(entry.next_look_at);
    (overdue / 2).clamp(SOONEST, LATEST)
}

/// Whether a version has other files by now than its verdict is about. The time of a look does not tell: what it was shown may
/// have been older than the file.
fn has_other_files(listed: &ListedVersion, verdict: &Verdict) -> bool {
    let judged: BTreeSet<&str> = verdict.artifacts.iter().map(|file| file.name.as_str()).collect();
    let files: BTreeSet<&str> = listed.files.iter().map(String::as_str).collect();
    !files.is_empty() && files != judged
}

/// What is handed over of a package.
struct New {
    items: Vec<WorkItem>,
    /// When the newest version that was considered was published, or changed last.
    until: Option<Timestamp>,
    /// Whether that was all.
    is_all: bool,
}
