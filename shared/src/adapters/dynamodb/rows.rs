//! Keys and attributes: the only place that knows how they are spelled.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::primitives::Blob as Binary;
use aws_sdk_dynamodb::types::{AttributeValue, Update as UpdateRequest};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::package::{Digest, PackageName, PackageVersion};
use crate::ports::{FirstSeen, StoreFault, TraceKey};
use crate::verdict::Verdict;

use super::blobs::{self, Blob, PART};
use super::unreachable;

/// The schema number of every row.
pub const SCHEMA: usize = 1;

/// The sort key of the current verdict.
pub(super) const VERDICT: &str = "VERDICT";

/// The sort key of a lease.
pub(super) const LEASE: &str = "LEASE";

/// The sort key of what is kept of a run or a commit.
pub(super) const KEPT: &str = "KEPT";

/// What the sort keys of a package's releases begin with.
pub(super) const RELEASES: &str = "RELEASE#";

/// The text of a verdict.
pub(super) const VERDICT_TEXT: TextAttributes = TextAttributes {
    here: "verdict",
    size: "verdict_size",
    elsewhere: "verdict_blob",
    // Half of what a row may have: the row of the current verdict also lists the digests of the bodies.
    limit: PART / 2,
};

/// The text of what was seen of a run or a commit.
pub(super) const SEEN_TEXT: TextAttributes = TextAttributes {
    here: "seen",
    size: "seen_size",
    elsewhere: "seen_blob",
    limit: PART,
};

/// The number of partitions of the index of due looks. Taking fewer would lose what is due in the others.
const DUE_SHARDS: u8 = 8;

/// The attributes of a row.
pub(super) type Item = HashMap<String, AttributeValue>;

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

fn history_key(verdict: &Verdict) -> String {
    format!("HISTORY#{}#{}", instant(verdict.checked_at), verdict.dossier.to_hex())
}

/// The partition of a run or a commit.
///
/// The forge's ids and the commit come out of certificates. Ids are digits and commits are hexadecimal, which stay as they
/// are; of any other text everything but letters and digits is percent-encoded, so that no text can move the border between
/// two parts and name the partition of something else.
pub(super) fn trace_key(key: &TraceKey) -> String {
    let plain = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    match key {
        TraceKey::Run {
            repository,
            run,
            attempt,
        } => format!("TRACE#RUN#{}#{run}#{attempt}", plain(repository)),
        TraceKey::Commit { repository, commit } => format!("TRACE#COMMIT#{}#{}", plain(repository), plain(commit)),
    }
}

/// The sort key of one look at a run or a commit. It follows from the look, so that writing it again changes nothing.
pub(super) fn look_key(at: Timestamp, text: &PackedText) -> String {
    format!("LOOK#{}#{}", instant(at), text.digest().to_hex())
}

/// The partition of what is known of a package across its versions.
pub(super) fn name_key(name: &PackageName) -> String {
    format!("NAME#{}", name.to_purl())
}

/// The sort key of a release: the order of releases is the order of their publication.
pub(super) fn release_key(published_at: Timestamp, version: &str) -> String {
    format!("{RELEASES}{}#{version}", instant(published_at))
}

/// The sort key of the row that says where the release of a version is.
pub(super) fn version_key(version: &str) -> String {
    format!("VERSION#{version}")
}

/// The first and the last possible sort key of the history up to and including an instant.
pub(super) fn history_range(until: Option<Timestamp>) -> (String, String) {
    // `$` follows `#`, and `~` follows every hexadecimal digit.
    let to = until.map_or_else(
        || "HISTORY$".to_owned(),
        |until| format!("HISTORY#{}#~", instant(until)),
    );
    ("HISTORY#".to_owned(), to)
}

/// An instant whose order as a string is its order in time.
pub(super) fn instant(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// The names of all shards of the index of due looks.
pub(super) fn due_shards() -> Vec<String> {
    (0..DUE_SHARDS).map(|shard| shard.to_string()).collect()
}

fn due_shard(package: &PackageVersion) -> String {
    let hash = Digest::sha256_of(package.to_purl().as_bytes());
    let first = hash.as_bytes().first().copied().unwrap_or_default();
    (first % DUE_SHARDS).to_string()
}

/// When a row of the index is due, and the package that it is about.
pub(super) fn due(item: &Item) -> Result<(String, PackageVersion), StoreFault> {
    let key = text_of(item, "pk")?;
    let package = key
        .strip_prefix("PKG#")
        .and_then(|purl| purl.parse().ok())
        .ok_or_else(|| StoreFault::Corrupt(format!("{key:?} does not name a package version")))?;
    Ok((text_of(item, "due_at")?.to_owned(), package))
}

/// A lease; it may be forgotten once it has expired.
pub(super) fn lease(package: &PackageVersion, holder: &str, until: Timestamp) -> Item {
    HashMap::from([
        ("pk".to_owned(), text(package_key(package))),
        ("sk".to_owned(), text(LEASE)),
        ("schema".to_owned(), number(SCHEMA)),
        ("holder".to_owned(), text(holder)),
        ("until".to_owned(), text(instant(until))),
        (
            "expires".to_owned(),
            AttributeValue::N(until.as_second().saturating_add(1).to_string()),
        ),
    ])
}

/// Which attributes of a row hold a text, or say where it is.
pub(super) struct TextAttributes {
    /// The compressed text.
    pub(super) here: &'static str,
    /// Its length before compression.
    pub(super) size: &'static str,
    /// The digest under which it is kept if it does not fit into the row.
    pub(super) elsewhere: &'static str,
    /// The most bytes of it that the row may have, after compression.
    pub(super) limit: usize,
}

/// Where a text is.
pub(super) enum StoredText {
    /// In its row; decompressed.
    Here(Vec<u8>),
    /// Under [`text_key`].
    Elsewhere(Digest),
}

/// Finds a text in a row.
pub(super) fn stored_text(item: &Item, attributes: &TextAttributes) -> Result<StoredText, StoreFault> {
    check_schema(item)?;
    if item.contains_key(attributes.elsewhere) {
        return digest_of(item, attributes.elsewhere).map(StoredText::Elsewhere);
    }
    blobs::decompress(binary_of(item, attributes.here)?, number_of(item, attributes.size)?)
        .map(StoredText::Here)
        .ok_or_else(|| corrupt(item, attributes.here, "cannot be decompressed"))
}

/// A text as it is written.
pub(super) struct PackedText {
    text: Vec<u8>,
    /// The compressed text, if it fits into a row.
    data: Option<Vec<u8>>,
    attributes: &'static TextAttributes,
}

impl PackedText {
    /// The JSON of a value.
    pub(super) fn of_json(value: &impl Serialize, attributes: &'static TextAttributes) -> Result<Self, StoreFault> {
        let text = serde_json::to_vec(value).map_err(|source| StoreFault::Corrupt(source.to_string()))?;
        let data = Some(blobs::compress(&text)?).filter(|data| data.len() <= attributes.limit);
        Ok(Self { text, data, attributes })
    }

    /// The text's digest.
    pub(super) fn digest(&self) -> Digest {
        Digest::sha256_of(&self.text)
    }

    /// The text, if it has to be kept elsewhere.
    pub(super) fn elsewhere(&self) -> Option<Blob<'_>> {
        match self.data {
            Some(_) => None,
            None => Some(Blob {
                key: text_key(&self.digest()),
                bytes: &self.text,
            }),
        }
    }

    /// The attributes that hold it, or say where it is.
    fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        match &self.data {
            Some(data) => vec![
                (self.attributes.here, AttributeValue::B(Binary::new(data.clone()))),
                (self.attributes.size, number(self.text.len())),
            ],
            None => vec![(self.attributes.elsewhere, text(self.digest().to_string()))],
        }
    }
}

/// Reads the text of a verdict.
pub(super) fn verdict_from_json(text: &[u8]) -> Result<Verdict, StoreFault> {
    serde_json::from_slice(text).map_err(|source| StoreFault::Corrupt(format!("a verdict: {source}")))
}

/// What is read of the row of a current verdict.
pub(super) struct CurrentRow {
    /// The verdict.
    pub(super) verdict: StoredText,
    /// What was seen first of the version.
    pub(super) first_seen: Option<FirstSeen>,
    /// The digest of the verdict's dossier.
    pub(super) dossier: Digest,
    /// The bodies of that dossier, all of which are in the table.
    pub(super) bodies: BTreeSet<Digest>,
    /// The verdict's `checked_at`, as spelled in the row.
    checked_at: String,
}

impl CurrentRow {
    pub(super) fn from_item(item: &Item) -> Result<Self, StoreFault> {
        let verdict = stored_text(item, &VERDICT_TEXT)?;
        let first_seen = match item.get("first_seen") {
            Some(_) => {
                let text = text_of(item, "first_seen")?;
                Some(serde_json::from_str(text).map_err(|source| corrupt(item, "first_seen", &source.to_string()))?)
            }
            None => None,
        };
        let bodies = match item.get("bodies") {
            Some(AttributeValue::Ss(texts)) => texts
                .iter()
                .map(|text| text.parse::<Digest>())
                .collect::<Result<_, _>>()
                .map_err(|source| corrupt(item, "bodies", &source.to_string()))?,
            Some(_) => return Err(corrupt(item, "bodies", "not a set of strings")),
            None => BTreeSet::new(),
        };
        Ok(Self {
            verdict,
            first_seen,
            dossier: digest_of(item, "dossier")?,
            bodies,
            checked_at: text_of(item, "checked_at")?.to_owned(),
        })
    }
}

/// A verdict as it is written.
pub(super) struct PackedVerdict {
    text: PackedText,
    attributes: Vec<(&'static str, AttributeValue)>,
}

impl PackedVerdict {
    pub(super) fn new(verdict: &Verdict) -> Result<Self, StoreFault> {
        let attributes = vec![
            ("schema", number(SCHEMA)),
            ("status", self::text(verdict.status.as_str())),
            ("checked_at", self::text(instant(verdict.checked_at))),
            ("dossier", self::text(verdict.dossier.to_string())),
        ];
        Ok(Self {
            text: PackedText::of_json(verdict, &VERDICT_TEXT)?,
            attributes,
        })
    }

    /// The text, if it has to be kept elsewhere.
    pub(super) fn elsewhere(&self) -> Option<Blob<'_>> {
        self.text.elsewhere()
    }

    fn attributes(&self) -> impl Iterator<Item = (&'static str, AttributeValue)> {
        self.attributes.iter().cloned().chain(self.text.attributes())
    }

    /// Makes this the verdict of the row.
    pub(super) fn set(&self, update: &mut Update) {
        for attribute in [VERDICT_TEXT.here, VERDICT_TEXT.size, VERDICT_TEXT.elsewhere] {
            update.remove(attribute);
        }
        for (attribute, value) in self.attributes() {
            update.set(attribute, value);
        }
    }

    /// The row of the history.
    pub(super) fn history_item(&self, verdict: &Verdict) -> Item {
        let keys = [
            ("pk", text(package_key(&verdict.package))),
            ("sk", text(history_key(verdict))),
        ];
        keys.into_iter()
            .chain(self.attributes())
            .map(|(attribute, value)| (attribute.to_owned(), value))
            .collect()
    }
}

/// A row of a trace: one look, or what is kept of all. `revision` is the digest of the text: as long as it is the same,
/// whoever read the row read the same observations, whichever way they came there.
pub(super) fn trace_item(key: &TraceKey, sort_key: &str, seen: &PackedText) -> Item {
    let mut item = new_item(trace_key(key), sort_key);
    item.insert("revision".to_owned(), text(seen.digest().to_string()));
    item.extend(
        seen.attributes()
            .into_iter()
            .map(|(attribute, value)| (attribute.to_owned(), value)),
    );
    item
}

/// A row of a release, in clear.
pub(super) fn release_item(name: &PackageName, sort_key: &str, json: &str) -> Item {
    let mut item = new_item(name_key(name), sort_key);
    item.insert("release".to_owned(), text(json));
    item
}

/// The row that says which row is the release of a version, and what it holds.
pub(super) fn version_item(name: &PackageName, version: &str, place: &ReleasePlace) -> Item {
    let mut item = new_item(name_key(name), &version_key(version));
    item.insert("place".to_owned(), text(&place.sort_key));
    item.insert("revision".to_owned(), text(&place.revision));
    item
}

/// Where the release of a version is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleasePlace {
    /// The sort key of its row.
    pub(super) sort_key: String,
    /// The digest of its JSON.
    pub(super) revision: String,
}

impl ReleasePlace {
    pub(super) fn from_item(item: &Item) -> Result<Self, StoreFault> {
        check_schema(item)?;
        Ok(Self {
            sort_key: text_of(item, "place")?.to_owned(),
            revision: text_of(item, "revision")?.to_owned(),
        })
    }
}

/// A row with its keys and its schema.
fn new_item(partition: String, sort_key: &str) -> Item {
    HashMap::from([
        ("pk".to_owned(), text(partition)),
        ("sk".to_owned(), text(sort_key)),
        ("schema".to_owned(), number(SCHEMA)),
    ])
}

/// What is to be changed in the row of a current verdict, on the condition that it is still the one that was read.
///
/// Every name in it is a placeholder: DynamoDB reserves `status`, `schema` and five hundred other words.
pub(super) struct Update {
    key: Item,
    set: HashMap<&'static str, AttributeValue>,
    set_once: HashMap<&'static str, AttributeValue>,
    removed: BTreeSet<&'static str>,
    condition: Option<[(&'static str, AttributeValue); 2]>,
}

impl Update {
    /// An update of the row that was read as `seen`.
    pub(super) fn of_row(package: &PackageVersion, seen: Option<&CurrentRow>) -> Self {
        Self {
            key: HashMap::from([
                ("pk".to_owned(), text(package_key(package))),
                ("sk".to_owned(), text(VERDICT)),
            ]),
            set: HashMap::new(),
            set_once: HashMap::new(),
            removed: BTreeSet::new(),
            condition: seen.map(|seen| {
                [
                    ("checked_at", text(&seen.checked_at)),
                    ("dossier", text(seen.dossier.to_string())),
                ]
            }),
        }
    }

    fn set(&mut self, attribute: &'static str, value: AttributeValue) {
        self.removed.remove(attribute);
        self.set.insert(attribute, value);
    }

    fn remove(&mut self, attribute: &'static str) {
        self.set.remove(attribute);
        self.removed.insert(attribute);
    }

    /// The bodies that are known to be in the table.
    pub(super) fn set_bodies(&mut self, bodies: &BTreeSet<Digest>) {
        if bodies.is_empty() {
            // A set cannot be empty.
            self.remove("bodies");
        } else {
            self.set(
                "bodies",
                AttributeValue::Ss(bodies.iter().map(Digest::to_string).collect()),
            );
        }
    }

    /// What was seen first, unless the row says that already.
    pub(super) fn set_first_seen(&mut self, first_seen: Option<&FirstSeen>) -> Result<(), StoreFault> {
        if let Some(first_seen) = first_seen {
            let json = serde_json::to_string(first_seen).map_err(|source| StoreFault::Corrupt(source.to_string()))?;
            self.set_once.insert("first_seen", text(json));
        }
        Ok(())
    }

    /// When to look again, or that there is no need to.
    pub(super) fn set_next_look(&mut self, package: &PackageVersion, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.set("due_shard", text(due_shard(package)));
            self.set("due_at", text(instant(at)));
        } else {
            self.remove("due_shard");
            self.remove("due_at");
        }
    }

    /// Whether there is nothing to change.
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.set_once.is_empty() && self.removed.is_empty()
    }

    fn into_expressions(self) -> Expressions {
        let mut names = HashMap::new();
        let mut values = HashMap::new();
        let mut assignments = Vec::new();
        for (attribute, value) in self.set {
            assignments.push(format!("#{attribute} = :{attribute}"));
            names.insert(format!("#{attribute}"), attribute.to_owned());
            values.insert(format!(":{attribute}"), value);
        }
        for (attribute, value) in self.set_once {
            assignments.push(format!("#{attribute} = if_not_exists(#{attribute}, :{attribute})"));
            names.insert(format!("#{attribute}"), attribute.to_owned());
            values.insert(format!(":{attribute}"), value);
        }
        let removals: Vec<String> = self.removed.iter().map(|attribute| format!("#{attribute}")).collect();
        names.extend(
            self.removed
                .iter()
                .map(|attribute| (format!("#{attribute}"), (*attribute).to_owned())),
        );

        let update: Vec<String> = [("SET", assignments), ("REMOVE", removals)]
            .into_iter()
            .filter(|(_, terms)| !terms.is_empty())
            .map(|(clause, terms)| format!("{clause} {}", terms.join(", ")))
            .collect();
        let condition = match self.condition {
            None => "attribute_not_exists(pk)".to_owned(),
            Some(seen) => {
                let mut terms = Vec::new();
                for (attribute, value) in seen {
                    terms.push(format!("#{attribute} = :seen_{attribute}"));
                    names.insert(format!("#{attribute}"), attribute.to_owned());
                    values.insert(format!(":seen_{attribute}"), value);
                }
                terms.join(" AND ")
            }
        };
        Expressions {
            key: self.key,
            update: update.join(" "),
            condition,
            names,
            values,
        }
    }

    /// The update as a part of a transaction.
    pub(super) fn build(self, table: &str) -> Result<UpdateRequest, StoreFault> {
        let expressions = self.into_expressions();
        UpdateRequest::builder()
            .table_name(table)
            .set_key(Some(expressions.key))
            .update_expression(expressions.update)
            .condition_expression(expressions.condition)
            .set_expression_attribute_names(Some(expressions.names))
            .set_expression_attribute_values(Some(expressions.values))
            .build()
            .map_err(unreachable)
    }

    /// The update on its own.
    pub(super) async fn send(
        self,
        client: &Client,
        table: &str,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let expressions = self.into_expressions();
        client
            .update_item()
            .table_name(table)
            .set_key(Some(expressions.key))
            .update_expression(expressions.update)
            .condition_expression(expressions.condition)
            .set_expression_attribute_names(Some(expressions.names))
            .set_expression_attribute_values(Some(expressions.values))
            .send()
            .await
    }
}

struct Expressions {
    key: Item,
    update: String,
    condition: String,
    names: HashMap<String, String>,
    values: Item,
}

/// Refuses a row of another schema.
pub(super) fn check_schema(item: &Item) -> Result<(), StoreFault> {
    match number_of(item, "schema")? {
        SCHEMA => Ok(()),
        other => Err(corrupt(
            item,
            "schema",
            &format!("{other}, and this version reads {SCHEMA}"),
        )),
    }
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: usize) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn text_of<'a>(item: &'a Item, attribute: &str) -> Result<&'a str, StoreFault> {
    match item.get(attribute) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(corrupt(item, attribute, "not a string")),
    }
}

pub(super) fn number_of(item: &Item, attribute: &str) -> Result<usize, StoreFault> {
    match item.get(attribute) {
        Some(AttributeValue::N(text)) => text
            .parse()
            .map_err(|source| corrupt(item, attribute, &format!("{source}"))),
        _ => Err(corrupt(item, attribute, "not a number")),
    }
}

pub(super) fn binary_of<'a>(item: &'a Item, attribute: &str) -> Result<&'a [u8], StoreFault> {
    match item.get(attribute) {
        Some(AttributeValue::B(binary)) => Ok(binary.as_ref()),
        _ => Err(corrupt(item, attribute, "not binary")),
    }
}

fn digest_of(item: &Item, attribute: &str) -> Result<Digest, StoreFault> {
    text_of(item, attribute)?
        .parse()
        .map_err(|source: crate::package::DigestError| corrupt(item, attribute, &source.to_string()))
}

pub(super) fn corrupt(item: &Item, attribute: &str, detail: &str) -> StoreFault {
    StoreFault::Corrupt(format!("{attribute:?} of {}: {detail}", name(item)))
}

/// The keys of a row, for people.
fn name(item: &Item) -> String {
    let part = |attribute| match item.get(attribute) {
        Some(AttributeValue::S(text)) => text.as_str(),
        _ => "?",
    };
    format!("{} {}", part("pk"), part("sk"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let run = |repository: &str, run, attempt| {
            trace_key(&TraceKey::Run {
                repository: repository.to_owned(),
                run,
                attempt,
            })
        };
        let commit = |repository: &str, commit: &str| {
            trace_key(&TraceKey::Commit {
                repository: repository.to_owned(),
                commit: commit.to_owned(),
            })
        };
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
        assert!(
            keys.iter()
                .all(|key| key.matches('#').count() == if key.contains("RUN") { 4 } else { 3 })
        );
    }

    #[test]
    fn every_package_falls_into_a_shard_that_is_asked() {
        let shards = due_shards();
        for number in 0..200 {
            let package: PackageVersion = format!("pkg:npm/p{number}@1.0.0").parse().unwrap();
            assert!(shards.contains(&due_shard(&package)));
        }
    }

    #[test]
    fn a_row_of_another_schema_is_corrupt() {
        let mut item = Item::from([("schema".to_owned(), number(SCHEMA))]);
        assert!(check_schema(&item).is_ok());
        item.insert("schema".to_owned(), number(SCHEMA + 1));
        assert!(matches!(check_schema(&item), Err(StoreFault::Corrupt(_))));
        item.remove("schema");
        assert!(matches!(check_schema(&item), Err(StoreFault::Corrupt(_))));
    }
}
