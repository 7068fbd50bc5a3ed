//! Keys, the instants and shards in them, and what can be read out of them: the only place that knows how they are spelled.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::package::{Digest, Ecosystem, PackageName, PackageVersion};
use crate::ports::{Announcement, Sibling, Task, TraceKey};
use crate::verdict::Verdict;

/// The sort key of the current verdict.
pub(super) const VERDICT: &str = "VERDICT";

/// The sort key of a lease.
pub(super) const LEASE: &str = "LEASE";

/// The sort key of what is kept of a run of which no commit is named; of a commit, apart from its runs; and, as an earlier version
/// wrote it, of any run.
pub(super) const KEPT: &str = "KEPT";

/// What the sort key begins with of what is kept of a run and its commit.
const KEPT_OF_RUN: &str = "KEPT#";

/// The sort key of the head of a batch.
pub(super) const HEAD: &str = "HEAD";

/// The sort key of how far a feed was read.
pub(super) const CURSOR: &str = "CURSOR";

/// Both keys of the signed files from which trust material is made.
pub(super) const TRUST: &str = "TRUST";

/// The number of partitions of the index of what is due. Taking fewer would lose what is due in the others.
const DUE_SHARDS: u8 = 8;

/// The number of partitions of the watch list. Taking fewer would lose the packages in the others.
const WATCH_SHARDS: u8 = 16;

/// The number of partitions of what is owed. Taking fewer would lose what is owed in the others.
const OWED_SHARDS: u8 = 8;

/// The most bytes of a text of somebody else's in a key. A partition key may have 2,048 bytes in all
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const LONGEST_TEXT: usize = 512;

/// Rows of one partition: those between two sort keys, both included.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) partition: String,
    pub(super) from: String,
    pub(super) to: String,
}

impl Range {
    /// The rows whose sort key begins with this, which ends with a `#`.
    fn beginning_with(partition: String, prefix: &str) -> Self {
        Self {
            partition,
            from: prefix.to_owned(),
            to: after_all_of(prefix.trim_end_matches('#')),
        }
    }

    /// The same rows until one that begins with a prefix and an instant, which is included.
    fn until(self, prefix: &str, until: Option<Timestamp>) -> Self {
        match until {
            Some(until) => Self {
                to: after_all_of(&format!("{prefix}{}", instant(until))),
                ..self
            },
            None => self,
        }
    }

    /// The rows whose sort key begins with an instant until this one, which is included.
    fn of_instants(partition: String, from: Timestamp, until: Timestamp) -> Self {
        Self {
            partition,
            from: instant(from),
            to: after_all_of(&instant(until)),
        }
    }
}

/// A text after every one that consists of this, a `#` and more.
fn after_all_of(text: &str) -> String {
    format!("{text}$")
}

/// An instant whose order as a string is its order in time.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// A text of somebody else's as part of a key.
///
/// The forge's ids and the commit come out of certificates, publishers out of the registry's metadata, ids of batches out of
/// requests. Letters and digits stay as they are; everything else is percent-encoded, so that no text can move the border
/// between two parts and name the partition of something else. A text that is too long for a key is replaced by its digest,
/// which the colon tells from every other text.
fn foreign(text: &str) -> String {
    let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    if encoded.len() <= LONGEST_TEXT {
        encoded
    } else {
        Digest::sha256_of(text.as_bytes()).to_string()
    }
}

/// In which of so many partitions something of this name is.
fn shard(name: &str, shards: u8) -> u8 {
    let hash = Digest::sha256_of(name.as_bytes());
    hash.as_bytes().first().copied().unwrap_or_default() % shards
}

pub(super) fn package_key(package: &PackageVersion) -> String {
    format!("PKG#{package}")
}

pub(super) fn dossier_key(digest: &Digest) -> String {
    format!("DOSSIER#{}", digest.to_hex())
}

pub(super) fn body_key(digest: &Digest) -> String {
    format!("BODY#{}", digest.to_hex())
}

pub(super) fn text_key(digest: &Digest) -> String {
    format!("TEXT#{}", digest.to_hex())
}

/// The partition of the signatures over a message.
pub(super) fn signed_key(message: &Digest) -> String {
    format!("SIGNED#{}", message.to_hex())
}

pub(super) fn history_key(verdict: &Verdict) -> String {
    format!("HISTORY#{}#{}", instant(verdict.checked_at), verdict.dossier.to_hex())
}

/// The history of a version up to and including an instant.
pub(super) fn history(package: &PackageVersion, until: Option<Timestamp>) -> Range {
    Range::beginning_with(package_key(package), "HISTORY#").until("HISTORY#", until)
}

/// The partition of a run: of the commit that it was of, where one is named, and its own otherwise.
pub(super) fn trace_key(key: &TraceKey) -> String {
    match &key.commit {
        Some(commit) => format!("TRACE#COMMIT#{}#{}", foreign(&key.repository), foreign(commit)),
        None => lone_run_key(key),
    }
}

/// The partition of a run of which no commit is named; an earlier version kept every run there.
pub(super) fn lone_run_key(key: &TraceKey) -> String {
    let TraceKey {
        repository,
        run,
        attempt,
        ..
    } = key;
    format!("TRACE#RUN#{}#{run}#{attempt}", foreign(repository))
}

/// The sort key of what is kept of a run and of its commit.
pub(super) fn kept_key(key: &TraceKey) -> String {
    match &key.commit {
        Some(_) => format!("{KEPT_OF_RUN}{}#{}", key.run, key.attempt),
        None => KEPT.to_owned(),
    }
}

/// Whether a sort key is [that](kept_key) of another run of the commit.
pub(super) fn is_of_another_run(sort_key: &str, key: &TraceKey) -> bool {
    sort_key.starts_with(KEPT_OF_RUN) && sort_key != kept_key(key)
}

/// What is kept of a run and of the commit that it was of, and through other runs; what is kept of the commit apart from its runs
/// comes first.
pub(super) fn kept(key: &TraceKey) -> Range {
    Range {
        partition: trace_key(key),
        from: KEPT.to_owned(),
        to: after_all_of(KEPT),
    }
}

/// The sort key of one look, by that of the row in which all of its kind are kept: those at one run of a commit stand together. It
/// follows from the look, so that writing it again changes nothing.
pub(super) fn look_key(kept: &str, at: Timestamp, seen: &Digest) -> String {
    let run = kept.strip_prefix(KEPT).unwrap_or_default();
    format!("LOOK{run}#{}#{}", instant(at), seen.to_hex())
}

/// The partition of what is known of a package across its versions.
pub(super) fn name_key(name: &PackageName) -> String {
    format!("NAME#{}", name.to_purl())
}

/// The sort key of a release: the order of releases is the order of their publication.
pub(super) fn release_key(published_at: Timestamp, version: &str) -> String {
    format!("RELEASE#{}#{version}", instant(published_at))
}

/// The releases of a package up to and including an instant.
pub(super) fn releases(name: &PackageName, until: Option<Timestamp>) -> Range {
    Range::beginning_with(name_key(name), "RELEASE#").until("RELEASE#", until)
}

/// The sort key of what was read from the registry's list of versions.
pub(super) const FILLED: &str = "FILLED";

/// The sort key of the row that says where the release of a version is.
pub(super) fn version_key(version: &str) -> String {
    format!("VERSION#{version}")
}

/// The partition of a publisher.
pub(super) fn publisher_key(publisher: &str) -> String {
    format!("PUBLISHER#{}", foreign(publisher))
}

/// The sort key of what a publisher released.
pub(super) fn sibling_key(sibling: &Sibling) -> String {
    format!("{}#{}", instant(sibling.published_at), sibling.package)
}

/// What a publisher released up to and including an instant.
pub(super) fn siblings(publisher: &str, until: Timestamp) -> Range {
    Range::of_instants(publisher_key(publisher), Timestamp::MIN, until)
}

/// Reads [`sibling_key`].
pub(super) fn sibling(sort_key: &str) -> Option<Sibling> {
    let (published_at, package) = sort_key.split_once('#')?;
    Some(Sibling {
        package: package.parse().ok()?,
        published_at: published_at.parse().ok()?,
    })
}

fn watch_partition(shard: u8) -> String {
    format!("WATCH#{shard}")
}

/// The keys of an entry of the watch list.
pub(super) fn watch(name: &PackageName) -> (String, String) {
    let purl = name.to_purl();
    (watch_partition(shard(&purl, WATCH_SHARDS)), purl)
}

/// The watch list, one range for each of its partitions.
pub(super) fn watch_list() -> impl Iterator<Item = Range> {
    // Every purl begins with `pkg:` and a type, which is a lower-case word.
    (0..WATCH_SHARDS).map(|shard| Range {
        partition: watch_partition(shard),
        from: "pkg:".to_owned(),
        to: "pkg:~".to_owned(),
    })
}

/// The packages of one ecosystem on the watch list, one range for each of its partitions.
pub(super) fn watch_list_of(ecosystem: Ecosystem) -> impl Iterator<Item = Range> {
    let kind = ecosystem.purl_type();
    watch_list().map(move |range| Range {
        from: format!("pkg:{kind}/"),
        to: format!("pkg:{kind}/~"),
        ..range
    })
}

/// The partition of a batch.
pub(super) fn batch_key(id: &str) -> String {
    format!("BATCH#{}", foreign(id))
}

/// The sort key of the row that a version of a batch has, by its purl, where an earlier version wrote one.
pub(super) fn item_key(purl: &str) -> String {
    format!("ITEM#{purl}")
}

/// The sort key of a part of the list of a batch.
pub(super) fn list_key(number: usize) -> String {
    format!("LIST#{number:04}")
}

/// The list of a batch.
pub(super) fn lists(id: &str) -> Range {
    Range::beginning_with(batch_key(id), "LIST#")
}

/// The sort key of what was noted of some versions of a batch. It follows from what was noted, so that writing it again changes
/// nothing.
pub(super) fn note_key(at: Timestamp, noted: &Digest) -> String {
    format!("NOTE#{}#{}", instant(at), noted.to_hex())
}

/// What was noted of the versions of a batch, in the order of time.
pub(super) fn notes(id: &str) -> Range {
    Range::beginning_with(batch_key(id), "NOTE#")
}

/// The versions of a batch that have rows of their own, as earlier versions wrote them.
pub(super) fn items(id: &str) -> Range {
    Range::beginning_with(batch_key(id), "ITEM#")
}

/// Reads [`item_key`].
pub(super) fn item(sort_key: &str) -> Option<PackageVersion> {
    sort_key.strip_prefix("ITEM#")?.parse().ok()
}

/// The partition of how far a feed was read.
pub(super) fn cursor_key(feed: &str) -> String {
    format!("CURSOR#{}", foreign(feed))
}

/// The sort key of a change, and of the announcement of it that is owed.
pub(super) fn moment_key(checked_at: Timestamp, id: &str) -> String {
    format!("{}#{id}", instant(checked_at))
}

/// Reads the id in [`moment_key`].
pub(super) fn moment_id(sort_key: &str) -> Option<&str> {
    sort_key.split_once('#').map(|(_, id)| id)
}

fn owed_partition(shard: u8) -> String {
    format!("OWED#{shard}")
}

/// The keys of an announcement that is owed.
pub(super) fn owed_key(announcement: &Announcement) -> (String, String) {
    let change = &announcement.change;
    (
        owed_partition(shard(&change.package.to_purl(), OWED_SHARDS)),
        moment_key(change.checked_at, &announcement.id),
    )
}

/// What is owed up to and including an instant, one range for each partition.
pub(super) fn owed(until: Timestamp) -> impl Iterator<Item = Range> {
    (0..OWED_SHARDS).map(move |shard| Range::of_instants(owed_partition(shard), Timestamp::MIN, until))
}

/// The day of an instant, in UTC.
pub(super) fn day(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// The partition of a day's changes.
pub(super) fn changes_key(day: Date) -> String {
    format!("CHANGES#{day}")
}

/// The changes of one day between two instants, both included.
pub(super) fn changes(day: Date, from: Timestamp, until: Timestamp) -> Range {
    Range::of_instants(changes_key(day), from, until)
}

/// The keys of the row that says when a task is due.
pub(super) fn task_key(task: &Task) -> (String, String) {
    match task {
        Task::Version(package) => (package_key(package), VERDICT.to_owned()),
        Task::Package(name) => watch(name),
        Task::Batch(id) => (batch_key(id), HEAD.to_owned()),
    }
}

/// Reads [`task_key`].
pub(super) fn task(partition: &str, sort_key: &str) -> Option<Task> {
    let (kind, name) = partition.split_once('#')?;
    match (kind, sort_key) {
        ("PKG", VERDICT) => name.parse().ok().map(Task::Version),
        ("WATCH", purl) => purl.parse().ok().map(Task::Package),
        // A digest stands for an id that nobody knows any more.
        ("BATCH", HEAD) if !name.contains(':') => {
            let id = percent_decode_str(name).decode_utf8().ok()?;
            Some(Task::Batch(id.into_owned()))
        }
        _ => None,
    }
}

/// The partition of the index in which a task is, however often it is due: a hash of its name, so that no partition takes
/// every write.
pub(super) fn due_shard(task: &Task) -> String {
    let shard = match task {
        Task::Version(package) => shard(&package.to_purl(), DUE_SHARDS),
        Task::Package(name) => shard(&name.to_purl(), DUE_SHARDS),
        Task::Batch(id) => shard(id, DUE_SHARDS),
    };
    shard.to_string()
}

/// The partitions of the index.
pub(super) fn due_shards() -> impl Iterator<Item = String> {
    (0..DUE_SHARDS).map(|shard| shard.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The most bytes of a partition key and of a sort key
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
    const LONGEST: (usize, usize) = (2048, 1024);

    #[test]
    fn the_order_of_instants_is_the_order_of_their_strings() {
        let texts = [
            "2026-11-22T09:59:59.999999999Z",
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.5Z",
        ];
        let spelled: Vec<String> = texts
            .iter()
            .map(|text| instant(text.parse::<Timestamp>().unwrap()))
            .collect();
        assert!(spelled.is_sorted());
        assert!(
            spelled
                .iter()
                .all(|text| text.len() == "2026-11-22T10:00:00.000000000Z".len())
        );
    }

    #[test]
    fn no_text_of_a_certificate_names_the_partition_of_something_else() {
        let key = |repository: &str, run, attempt, commit: Option<&str>| TraceKey {
            repository: repository.to_owned(),
            run,
            attempt,
            commit: commit.map(str::to_owned),
        };
        let run = |repository: &str, run, attempt| trace_key(&key(repository, run, attempt, None));
        let commit = |repository: &str, commit: &str| trace_key(&key(repository, 3, 1, Some(commit)));
        assert_eq!(run("12", 3, 1), "TRACE#RUN#12#3#1");
        assert_eq!(commit("12", "ab34"), "TRACE#COMMIT#12#ab34");
        let keys = [
            run("1", 2, 3),
            run("1#2", 2, 3),
            run("1%232", 2, 3),
            run("1%2", 2, 3),
            run("", 12, 3),
            run("1", 1, 23),
            commit("1", "2#3"),
            commit("1#2", "3"),
            commit("1%232", "3"),
            commit("", "1"),
            commit("1", ""),
            commit("ä", "\n"),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        let (one, other) = (key("12", 3, 1, Some("ab34")), key("12", 31, 1, Some("ab34")));
        let range = kept(&one);
        for sort_key in [KEPT, &kept_key(&one), &kept_key(&other)] {
            assert!(*range.from <= *sort_key && *sort_key <= *range.to, "{sort_key}");
            assert_eq!(is_of_another_run(sort_key, &one), sort_key == kept_key(&other));
        }
        let look = |kept: &str| look_key(kept, Timestamp::UNIX_EPOCH, &Digest::sha256_of(b""));
        assert!(look(&kept_key(&one)).starts_with("LOOK#3#1#1970-01-01T00:00:00.000000000Z#"));
        assert!(look(KEPT).starts_with("LOOK#1970-01-01T00:00:00.000000000Z#"));
        for sort_key in [KEPT, &kept_key(&one), &kept_key(&other)] {
            let of_one = Range::beginning_with(range.partition.clone(), "LOOK#3#1#");
            let look = look(sort_key);
            assert!(range.to < look, "{sort_key}");
            assert_eq!(of_one.from <= look && look <= of_one.to, sort_key == kept_key(&one));
        }
        assert!(
            keys.iter()
                .all(|key| key.matches('#').count() == if key.contains("RUN") { 4 } else { 3 })
        );
    }

    #[test]
    fn every_task_falls_into_a_shard_that_is_asked_and_can_be_read_from_its_keys() {
        let shards: Vec<String> = due_shards().collect();
        let lists: Vec<String> = watch_list().map(|range| range.partition).collect();
        let mut used = BTreeSet::new();
        for number in 0..200 {
            let package: PackageVersion = format!("pkg:npm/%40Scope/p{number}@1.0.0%2Bb.1").parse().unwrap();
            for task in [
                Task::Package(package.name().clone()),
                Task::Version(package),
                Task::Batch(format!("a#batch/{number}")),
            ] {
                let (partition, sort_key) = task_key(&task);
                assert!(shards.contains(&due_shard(&task)));
                assert!(!matches!(task, Task::Package(_)) || lists.contains(&partition));
                used.insert(due_shard(&task));
                assert_eq!(super::task(&partition, &sort_key), Some(task));
            }
        }
        assert_eq!(used.len(), shards.len());
    }

    #[test]
    fn what_is_no_task_is_not_read_as_one() {
        let long = batch_key(&"x".repeat(LONGEST_TEXT + 1));
        for (partition, sort_key) in [
            ("PKG#pkg:unheard-of/name@1.0.0", VERDICT),
            ("PKG#pkg:npm/name@1.0.0", LEASE),
            ("PKG", VERDICT),
            ("WATCH#1", "name"),
            ("BATCH#1", "ITEM#pkg:npm/name@1.0.0"),
            (long.as_str(), HEAD),
            ("TASK#1", HEAD),
        ] {
            assert_eq!(task(partition, sort_key), None, "{partition} {sort_key}");
        }
    }

    #[test]
    fn the_longest_keys_fit() {
        // Every character that npm allows beyond those that a purl leaves as they are.
        let name = format!("@{}/{}", "!".repeat(106), "*".repeat(106));
        let version = format!("1.0.0-{}+{}", "a".repeat(200), "b".repeat(49));
        assert_eq!((name.len(), version.len()), (214, 256));
        let name = PackageName::new(crate::package::Ecosystem::Npm, &name).unwrap();
        let package = PackageVersion::new(name.clone(), &version).unwrap();
        let foreign = "ä".repeat(5000);
        let sibling = Sibling {
            package: package.clone(),
            published_at: Timestamp::UNIX_EPOCH,
        };
        let (watch_partition, watch_key) = watch(&name);
        let run = TraceKey {
            repository: foreign.clone(),
            run: u64::MAX,
            attempt: u64::MAX,
            commit: Some(foreign.clone()),
        };
        for partition in [
            package_key(&package),
            name_key(&name),
            publisher_key(&foreign),
            batch_key(&foreign),
            cursor_key(&foreign),
            trace_key(&run),
            watch_partition,
        ] {
            assert!(partition.len() <= LONGEST.0, "{partition}");
        }
        for sort_key in [
            release_key(Timestamp::UNIX_EPOCH, package.version()),
            version_key(package.version()),
            sibling_key(&sibling),
            item_key(&package.to_purl()),
            look_key(&kept_key(&run), Timestamp::UNIX_EPOCH, &Digest::sha256_of(b"")),
            watch_key,
        ] {
            assert!(sort_key.len() <= LONGEST.1, "{sort_key}");
        }
        assert_eq!(super::sibling(&sibling_key(&sibling)), Some(sibling));
        assert_eq!(item(&item_key(&package.to_purl())), Some(package));
    }

    #[test]
    fn texts_too_long_for_a_key_are_told_apart() {
        let texts = [
            "a".repeat(LONGEST_TEXT),
            "a".repeat(LONGEST_TEXT + 1),
            "a".repeat(LONGEST_TEXT + 2),
        ];
        let mut keys: BTreeSet<String> = texts.iter().map(|text| publisher_key(text)).collect();
        keys.extend(texts.iter().map(|text| publisher_key(&foreign(text))));
        assert_eq!(keys.len(), 5, "only the first is its own spelling");
    }
}
