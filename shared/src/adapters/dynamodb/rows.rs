//! Attributes: the only place that knows how they are spelled.

use std::collections::{BTreeSet, HashMap};
use std::num::ParseIntError;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob as Binary;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::package::{Digest, PackageName};
use crate::ports::{FirstSeen, StoreFault, Task, TraceKey};
use crate::verdict::Verdict;

use super::blobs::{Blob, PART};
use super::keys;
use super::packing;
use super::update::{Condition, Update};

/// The schema number of every row that is written.
pub const SCHEMA: usize = 2;

/// The oldest schema that is read. What is added to rows without raising the number is optional where it is read, so that
/// rows from before it stay readable; a row whose meaning has changed has another number.
const OLDEST_SCHEMA: usize = 1;

/// The text of a verdict.
pub(super) const VERDICT_TEXT: TextAttributes = TextAttributes {
    here: "verdict",
    size: "verdict_size",
    elsewhere: "verdict_blob",
    // Half of what a row may have: the row of the current verdict also lists the digests of the bodies.
    limit: PART / 2,
};

/// The text of what was seen of a run and its commit.
pub(super) const SEEN_TEXT: TextAttributes = TextAttributes {
    here: "seen",
    size: "seen_size",
    elsewhere: "seen_blob",
    limit: PART,
};

/// What was read from the registry's list of versions.
pub(super) const FILLED_TEXT: TextAttributes = TextAttributes {
    here: "releases",
    size: "releases_size",
    elsewhere: "releases_blob",
    limit: PART,
};

/// A part of the list of a batch.
pub(super) const LIST_TEXT: TextAttributes = TextAttributes {
    here: "packages",
    size: "packages_size",
    elsewhere: "packages_blob",
    limit: PART,
};

/// What was noted of some versions of a batch.
pub(super) const NOTED_TEXT: TextAttributes = TextAttributes {
    here: "noted",
    size: "noted_size",
    elsewhere: "noted_blob",
    limit: PART,
};

/// The document with the signed files from which trust material is made.
pub(super) const TRUST_TEXT: TextAttributes = TextAttributes {
    here: "files",
    size: "files_size",
    elsewhere: "files_blob",
    limit: PART,
};

/// What a release proved.
pub(super) const RELEASE_JSON: JsonAttributes = JsonAttributes {
    here: "release",
    elsewhere: "release_blob",
};

/// What was seen first of a version.
pub(super) const FIRST_SEEN_JSON: JsonAttributes = JsonAttributes {
    here: "first_seen",
    elsewhere: "first_seen_blob",
};

/// Marks the current verdict as one that belongs to the history, and has no row there yet.
const IS_CHANGE: &str = "is_change";

/// The most bytes of a JSON in clear that a row may have. With the text of the verdict and the digests of the bodies the row of
/// the current verdict has less than the 400 KB that DynamoDB takes.
pub(super) const JSON_LIMIT: usize = 64 * 1024;

/// The most digests of bodies in a row, of 71 bytes each. Bodies that it does not vouch for are written once more, which changes
/// nothing.
pub(super) const BODIES: usize = 1200;

/// The attributes of a row.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The keys of a row.
pub(super) fn key(partition: String, sort_key: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort_key))])
}

/// A row with its keys and its schema.
pub(super) fn new_item(partition: String, sort_key: &str) -> Item {
    let mut item = key(partition, sort_key);
    item.insert("schema".to_owned(), number(SCHEMA));
    item
}

/// A row with attributes of its own.
pub(super) fn item_with(
    partition: String,
    sort_key: &str,
    attributes: impl IntoIterator<Item = (&'static str, AttributeValue)>,
) -> Item {
    let mut item = new_item(partition, sort_key);
    item.extend(
        attributes
            .into_iter()
            .map(|(attribute, value)| (attribute.to_owned(), value)),
    );
    item
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
    /// Under [`keys::text_key`].
    Elsewhere(Digest),
}

/// Finds a text in a row.
pub(super) fn stored_text(item: &Item, attributes: &TextAttributes) -> Result<StoredText, StoreFault> {
    check_schema(item)?;
    if item.contains_key(attributes.elsewhere) {
        return digest_of(item, attributes.elsewhere).map(StoredText::Elsewhere);
    }
    packing::unpack(binary_of(item, attributes.here)?, number_of(item, attributes.size)?)
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
        Self::of_bytes(&text, attributes)
    }

    /// A text as it is.
    pub(super) fn of_bytes(text: &[u8], attributes: &'static TextAttributes) -> Result<Self, StoreFault> {
        let data = Some(packing::pack(text)?).filter(|data| data.len() <= attributes.limit);
        Ok(Self {
            text: text.to_vec(),
            data,
            attributes,
        })
    }

    /// Sets these attributes and no others of the text.
    pub(super) fn set(&self, update: &mut Update) {
        for attribute in [self.attributes.here, self.attributes.size, self.attributes.elsewhere] {
            update.remove(attribute);
        }
        for (attribute, value) in self.attributes() {
            update.set(attribute, value);
        }
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
                key: keys::text_key(&self.digest()),
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

/// Which attributes of a row hold a JSON in clear, or say where it is.
pub(super) struct JsonAttributes {
    /// The JSON.
    pub(super) here: &'static str,
    /// The digest under which it is kept if it is longer than [`JSON_LIMIT`].
    pub(super) elsewhere: &'static str,
}

/// Where a value in JSON is.
pub(super) enum StoredJson<T> {
    /// In its row.
    Here(T),
    /// Under [`keys::text_key`].
    Elsewhere(Digest),
}

/// Finds a value in a row; `None` if the row has none.
pub(super) fn stored_json<T: DeserializeOwned>(
    item: &Item,
    attributes: &JsonAttributes,
) -> Result<Option<StoredJson<T>>, StoreFault> {
    if item.contains_key(attributes.elsewhere) {
        return digest_of(item, attributes.elsewhere).map(|digest| Some(StoredJson::Elsewhere(digest)));
    }
    match item.get(attributes.here) {
        Some(_) => json_of(item, attributes.here).map(|value| Some(StoredJson::Here(value))),
        None => Ok(None),
    }
}

/// A value in JSON as it is written.
pub(super) struct PackedJson {
    json: String,
    attributes: &'static JsonAttributes,
}

impl PackedJson {
    pub(super) fn of(value: &impl Serialize, attributes: &'static JsonAttributes) -> Result<Self, StoreFault> {
        let json = serde_json::to_string(value).map_err(|source| StoreFault::Corrupt(source.to_string()))?;
        Ok(Self { json, attributes })
    }

    /// The JSON's digest.
    pub(super) fn digest(&self) -> Digest {
        Digest::sha256_of(self.json.as_bytes())
    }

    /// The JSON, if it has to be kept elsewhere.
    pub(super) fn elsewhere(&self) -> Option<Blob<'_>> {
        (self.json.len() > JSON_LIMIT).then(|| Blob {
            key: keys::text_key(&self.digest()),
            bytes: self.json.as_bytes(),
        })
    }

    /// The attribute that holds it, or says where it is.
    pub(super) fn attribute(&self) -> (&'static str, AttributeValue) {
        if self.json.len() > JSON_LIMIT {
            (self.attributes.elsewhere, text(self.digest().to_string()))
        } else {
            (self.attributes.here, text(&self.json))
        }
    }

    /// Sets this attribute and not the other one.
    pub(super) fn set(&self, update: &mut Update) {
        update.remove(self.attributes.here);
        update.remove(self.attributes.elsewhere);
        let (attribute, value) = self.attribute();
        update.set(attribute, value);
    }
}

/// What is read of the row of a current verdict.
pub(super) struct CurrentRow {
    /// The verdict.
    pub(super) verdict: StoredText,
    /// What was seen first of the version.
    pub(super) first_seen: Option<StoredJson<FirstSeen>>,
    /// The attributes that hold it, as they were read.
    first_seen_as_read: [(&'static str, Option<AttributeValue>); 2],
    /// The digest of the verdict's dossier.
    pub(super) dossier: Digest,
    /// Large bodies of that dossier which are in the table: all of them, unless there are more than [`BODIES`].
    pub(super) bodies: BTreeSet<Digest>,
    /// Since when the registry does not serve the version any more.
    pub(super) removed_at: Option<Timestamp>,
    /// When a look began that left the verdict.
    looked_at: Option<Timestamp>,
    /// Whether the verdict belongs to the history, and has no row there yet.
    pub(super) is_change: bool,
    /// The verdict's `checked_at`, as spelled in the row.
    checked_at: String,
}

impl CurrentRow {
    pub(super) fn from_item(item: &Item) -> Result<Self, StoreFault> {
        let verdict = stored_text(item, &VERDICT_TEXT)?;
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
            first_seen: stored_json(item, &FIRST_SEEN_JSON)?,
            first_seen_as_read: [FIRST_SEEN_JSON.here, FIRST_SEEN_JSON.elsewhere]
                .map(|attribute| (attribute, item.get(attribute).cloned())),
            dossier: digest_of(item, "dossier")?,
            bodies,
            removed_at: optional_instant_of(item, "removed_at")?,
            looked_at: optional_instant_of(item, "looked_at")?,
            is_change: item.contains_key(IS_CHANGE),
            checked_at: text_of(item, "checked_at")?.to_owned(),
        })
    }

    /// When the last look at the version began.
    pub(super) fn last_look(&self) -> Result<Timestamp, StoreFault> {
        let checked_at: Timestamp = self
            .checked_at
            .parse()
            .map_err(|source: jiff::Error| StoreFault::Corrupt(format!("a row has checked_at {source}")))?;
        Ok(self.looked_at.map_or(checked_at, |looked_at| looked_at.max(checked_at)))
    }

    /// That what was seen first is still what was read.
    pub(super) fn first_seen_is_unchanged(&self) -> impl Iterator<Item = Condition> {
        let as_read = self.first_seen_as_read.iter().cloned();
        as_read.map(|(attribute, value)| Condition::is_as_read(attribute, value))
    }

    /// That the row is still the one that was read. When its version is looked at next is not part of it: a look that is
    /// put off does not make the verdict of a look that is under way wait.
    pub(super) fn is_unchanged(&self) -> Vec<Condition> {
        vec![
            Condition::Is("checked_at", text(&self.checked_at)),
            Condition::Is("dossier", text(self.dossier.to_string())),
            Condition::is_as_read("removed_at", self.removed_at.map(|at| text(keys::instant(at)))),
        ]
    }
}

/// A verdict as it is written.
pub(super) struct PackedVerdict {
    text: PackedText,
    attributes: Vec<(&'static str, AttributeValue)>,
}

impl PackedVerdict {
    pub(super) fn new(verdict: &Verdict) -> Result<Self, StoreFault> {
        let text = serde_json::to_vec(verdict).map_err(|source| StoreFault::Corrupt(source.to_string()))?;
        Self::of_text(verdict, &text)
    }

    /// A verdict whose text is there already.
    pub(super) fn of_text(verdict: &Verdict, text: &[u8]) -> Result<Self, StoreFault> {
        let attributes = vec![
            ("schema", number(SCHEMA)),
            ("status", self::text(verdict.status.as_str())),
            ("checked_at", self::text(keys::instant(verdict.checked_at))),
            ("dossier", self::text(verdict.dossier.to_string())),
        ];
        Ok(Self {
            text: PackedText::of_bytes(text, &VERDICT_TEXT)?,
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
        item_with(
            keys::package_key(&verdict.package),
            &keys::history_key(verdict),
            self.attributes(),
        )
    }
}

/// Says whether the verdict of a row belongs to the history, and has no row there yet.
pub(super) fn set_change(update: &mut Update, is_change: bool) {
    update.set_or_remove(IS_CHANGE, is_change.then(|| number(1)));
}

/// The bodies that are known to be in the table, at most [`BODIES`].
pub(super) fn set_bodies(update: &mut Update, bodies: &BTreeSet<Digest>) {
    let digests = bodies.iter().take(BODIES).map(Digest::to_string).collect();
    // A set cannot be empty.
    let bodies = (!bodies.is_empty()).then_some(AttributeValue::Ss(digests));
    update.set_or_remove("bodies", bodies);
}

/// When a task is due, or that it is not due any more.
pub(super) fn set_due(update: &mut Update, task: &Task, at: Option<Timestamp>) {
    update.set_or_remove("due_shard", at.map(|_| text(keys::due_shard(task))));
    update.set_or_remove("due_at", at.map(|at| text(keys::instant(at))));
}

/// When the task of a new row is due.
pub(super) fn due_attributes(task: &Task, at: Timestamp) -> [(&'static str, AttributeValue); 2] {
    [
        ("due_shard", text(keys::due_shard(task))),
        ("due_at", text(keys::instant(at))),
    ]
}

/// A row of a trace: one look, or what is kept of all. `revision` is the beginning of the digest of the text, since the row has
/// hardly more than a kilobyte: as long as it is the same, whoever read the row read the same observations, whichever way they came
/// there.
pub(super) fn trace_item(key: &TraceKey, sort_key: &str, seen: &PackedText) -> Item {
    let digest = seen.digest().to_hex();
    let revision = ("revision", text(digest.get(..16).unwrap_or(&digest)));
    let attributes = seen.attributes().into_iter().chain([revision]);
    item_with(keys::trace_key(key), sort_key, attributes)
}

/// A row of a release, in clear.
pub(super) fn release_item(name: &PackageName, place: &ReleasePlace, release: &PackedJson) -> Item {
    let revision = ("revision", text(&place.revision));
    item_with(keys::name_key(name), &place.sort_key, [release.attribute(), revision])
}

/// The row that says which row is the release of a version, and what it holds.
pub(super) fn version_item(name: &PackageName, version: &str, place: &ReleasePlace, release: &PackedJson) -> Item {
    let attributes = [
        release.attribute(),
        ("place", text(&place.sort_key)),
        ("revision", text(&place.revision)),
    ];
    item_with(keys::name_key(name), &keys::version_key(version), attributes)
}

/// The row of what was read from the registry's list of versions.
pub(super) fn filled_item(name: &PackageName, releases: &PackedText) -> Item {
    let revision = ("revision", text(releases.digest().to_string()));
    let attributes = releases.attributes().into_iter().chain([revision]);
    item_with(keys::name_key(name), keys::FILLED, attributes)
}

/// A row of the list of a batch.
pub(super) fn list_item(id: &str, number: usize, purls: &PackedText) -> Item {
    item_with(keys::batch_key(id), &keys::list_key(number), purls.attributes())
}

/// A row of what was noted of some versions of a batch.
pub(super) fn note_item(id: &str, at: Timestamp, noted: &PackedText) -> Item {
    let sort_key = keys::note_key(at, &noted.digest());
    item_with(keys::batch_key(id), &sort_key, noted.attributes())
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

/// Refuses a row of a schema that this version cannot read.
pub(super) fn check_schema(item: &Item) -> Result<(), StoreFault> {
    match number_of::<usize>(item, "schema")? {
        OLDEST_SCHEMA..=SCHEMA => Ok(()),
        newer if newer > SCHEMA => Err(corrupt(
            item,
            "schema",
            &format!("{newer}, written by a newer version: this one reads {SCHEMA}, and leaves the row as it is"),
        )),
        unknown => Err(corrupt(item, "schema", &format!("{unknown}, which never was one"))),
    }
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn binary(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Binary::new(value))
}

/// When the table may forget a row, in the unit of its time-to-live attribute: whole seconds, rounded up.
pub(super) fn expiry(at: Timestamp) -> AttributeValue {
    number(at.as_second().saturating_add(1))
}

/// A value as its JSON.
pub(super) fn json(value: &impl Serialize) -> Result<AttributeValue, StoreFault> {
    serde_json::to_string(value)
        .map(text)
        .map_err(|source| StoreFault::Corrupt(source.to_string()))
}

pub(super) fn text_of<'a>(item: &'a Item, attribute: &str) -> Result<&'a str, StoreFault> {
    match item.get(attribute) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(corrupt(item, attribute, "not a string")),
    }
}

/// Reads what [`json`] wrote.
pub(super) fn json_of<T: DeserializeOwned>(item: &Item, attribute: &str) -> Result<T, StoreFault> {
    serde_json::from_str(text_of(item, attribute)?).map_err(|source| corrupt(item, attribute, &source.to_string()))
}

pub(super) fn instant_of(item: &Item, attribute: &str) -> Result<Timestamp, StoreFault> {
    text_of(item, attribute)?
        .parse()
        .map_err(|source: jiff::Error| corrupt(item, attribute, &source.to_string()))
}

pub(super) fn optional_instant_of(item: &Item, attribute: &str) -> Result<Option<Timestamp>, StoreFault> {
    match item.get(attribute) {
        Some(_) => instant_of(item, attribute).map(Some),
        None => Ok(None),
    }
}

pub(super) fn number_of<T>(item: &Item, attribute: &str) -> Result<T, StoreFault>
where
    T: FromStr<Err = ParseIntError>,
{
    match item.get(attribute) {
        Some(AttributeValue::N(text)) => text
            .parse()
            .map_err(|source: ParseIntError| corrupt(item, attribute, &source.to_string())),
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
    fn a_row_of_another_schema_is_corrupt() {
        let mut item = Item::from([("schema".to_owned(), number(SCHEMA))]);
        assert!(check_schema(&item).is_ok());
        for other in [number(SCHEMA + 1), number(OLDEST_SCHEMA - 1), text("1")] {
            item.insert("schema".to_owned(), other);
            assert!(matches!(check_schema(&item), Err(StoreFault::Corrupt(_))));
        }
        item.remove("schema");
        assert!(matches!(check_schema(&item), Err(StoreFault::Corrupt(_))));
    }
}
