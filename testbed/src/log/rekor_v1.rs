//! The first-generation log: signed entry timestamps, integrated times, inclusion proofs.

use super::{merkle::Tree, note};
use crate::{
    bundle::Evidence,
    encoding::{Hash, base64, canonical_json, sha256},
    keys::P256Key,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Entries of the shards before the active one, so that a global index is never a shard index.
const EARLIER_ENTRIES: u64 = 4_096_000;
/// Entries of the active shard before the first that is generated: proofs are as long as those of the public log, which have eleven
/// to thirteen hashes.
const EARLIER_OF_SHARD: u64 = 0b110_1101_1011 << 13;

/// One recorded entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The canonicalised body.
    pub body: Vec<u8>,
    /// When the log says that it integrated the entry.
    pub integrated_time: Timestamp,
}

/// A Rekor v1 log with one active shard.
pub struct RekorV1 {
    host: String,
    tree_id: String,
    key: P256Key,
    log_id: Hash,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    tree: Tree,
    entries: Vec<Entry>,
    /// Shard indexes by what the search index knows them for, such as `sha512:` and a digest.
    index: BTreeMap<String, Vec<u64>>,
}

impl RekorV1 {
    /// A log at `host`, whose checkpoints name `tree_id`.
    pub(crate) fn generate(host: &str, tree_id: &str) -> Self {
        let key = P256Key::generate();
        let log_id = sha256(key.spki());
        Self {
            host: host.to_owned(),
            tree_id: tree_id.to_owned(),
            key,
            log_id,
            contents: Mutex::new(Contents {
                tree: Tree::after(EARLIER_OF_SHARD),
                ..Contents::default()
            }),
        }
    }

    /// The host name that the trusted root gives for this log.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The identifier of the active shard's tree.
    pub fn tree_id(&self) -> &str {
        &self.tree_id
    }

    /// The public key as DER `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    /// The log id: SHA-256 of the `SubjectPublicKeyInfo`.
    pub fn log_id(&self) -> &[u8; 32] {
        &self.log_id
    }

    /// Records `body` and answers with a bundle's `tlogEntries` item of `kind` and `version`.
    ///
    /// The search index finds the entry by each of `keys`.
    pub fn append(
        &self,
        kind: &str,
        version: &str,
        body: &Value,
        integrated_time: Timestamp,
        evidence: Evidence,
        keys: &[String],
    ) -> Value {
        let body = canonical_json(body).into_bytes();
        let (shard_index, proof) = self.record(&body, integrated_time, keys);
        let log_index = EARLIER_ENTRIES + shard_index;
        let mut entry = json!({
            "logIndex": log_index.to_string(),
            "logId": {"keyId": base64(self.log_id)},
            "kindVersion": {"kind": kind, "version": version},
            "integratedTime": integrated_time.as_second().to_string(),
            "inclusionPromise": null,
            "inclusionProof": null,
            "canonicalizedBody": base64(&body),
        });
        if let Some(members) = entry.as_object_mut() {
            let promise = json!({"signedEntryTimestamp": self.promise(&body, integrated_time, log_index)});
            let _ = match evidence {
                Evidence::Promise => members.insert("inclusionPromise".to_owned(), promise),
                Evidence::Proof => {
                    members.remove("inclusionPromise");
                    members.insert("inclusionProof".to_owned(), proof)
                }
                Evidence::Both => {
                    members.insert("inclusionPromise".to_owned(), promise);
                    members.insert("inclusionProof".to_owned(), proof)
                }
            };
        }
        entry
    }

    /// The signed entry timestamp: a signature over the canonical JSON of what the log promises to include.
    fn promise(&self, body: &[u8], integrated_time: Timestamp, log_index: u64) -> String {
        let promised = json!({
            "body": base64(body),
            "integratedTime": integrated_time.as_second(),
            "logID": hex::encode(self.log_id),
            "logIndex": log_index,
        });
        base64(self.key.sign(canonical_json(&promised).as_bytes()))
    }

    /// Appends to the tree and proves the new entry in the tree that it completes.
    fn record(&self, body: &[u8], integrated_time: Timestamp, keys: &[String]) -> (u64, Value) {
        let mut contents = self.contents();
        let Contents {
            tree,
            entries,
            index: by_key,
        } = &mut *contents;
        let index = tree.append(body);
        entries.push(Entry {
            body: body.to_vec(),
            integrated_time,
        });
        for key in keys {
            by_key.entry(key.clone()).or_default().push(index);
        }
        (index, self.proof(tree, index))
    }

    fn proof(&self, tree: &Tree, index: u64) -> Value {
        let size = tree.size();
        let hashes: Vec<_> = tree.inclusion(index, size).iter().map(base64).collect();
        json!({
            "logIndex": index.to_string(),
            "rootHash": base64(tree.root(size)),
            "treeSize": size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": self.checkpoint_of(tree)},
        })
    }

    fn checkpoint_of(&self, tree: &Tree) -> String {
        let origin = format!("{} - {}", self.host, self.tree_id);
        let body = note::checkpoint_body(&origin, tree.size(), &tree.root(tree.size()));
        note::signed(&body, &self.host, &self.log_id, &self.key.sign(body.as_bytes()))
    }

    /// `GET /api/v1/log`: the state of the active shard.
    pub(crate) fn info(&self) -> Value {
        let contents = self.contents();
        let tree = &contents.tree;
        json!({
            "rootHash": hex::encode(tree.root(tree.size())),
            "treeSize": tree.size(),
            "signedTreeHead": self.checkpoint_of(tree),
            "treeID": self.tree_id,
            "inactiveShards": [],
        })
    }

    /// `GET /api/v1/log/proof`: a consistency proof, or nothing when the sizes are out of range.
    pub(crate) fn consistency(&self, old: u64, new: u64) -> Option<Value> {
        let contents = self.contents();
        let tree = &contents.tree;
        (old >= EARLIER_OF_SHARD && old <= new && new <= tree.size()).then(|| {
            let hashes: Vec<_> = tree.consistency(old, new).iter().map(hex::encode).collect();
            json!({"rootHash": hex::encode(tree.root(new)), "hashes": hashes})
        })
    }

    /// `GET /api/v1/log/entries?logIndex=`: the entry with its proof in the present tree.
    pub(crate) fn entry(&self, log_index: u64) -> Option<Value> {
        let contents = self.contents();
        let Contents { tree, entries, .. } = &*contents;
        let index = log_index.checked_sub(EARLIER_ENTRIES)?;
        let entry = entries.get(position(index)?)?;
        let size = tree.size();
        let hashes: Vec<_> = tree.inclusion(index, size).iter().map(hex::encode).collect();
        let mut answer = serde_json::Map::new();
        answer.insert(
            self.uuid(entry),
            json!({
                "body": base64(&entry.body),
                "integratedTime": entry.integrated_time.as_second(),
                "logID": hex::encode(self.log_id),
                "logIndex": log_index,
                "verification": {
                    "inclusionProof": {
                        "checkpoint": self.checkpoint_of(tree),
                        "hashes": hashes,
                        "logIndex": index,
                        "rootHash": hex::encode(tree.root(size)),
                        "treeSize": size,
                    },
                    "signedEntryTimestamp": self.promise(&entry.body, entry.integrated_time, log_index),
                },
            }),
        );
        Some(Value::Object(answer))
    }

    /// `GET /api/v1/log/entries/{uuid}`: the entry by 80 hexadecimal digits, or by the last 64 of them.
    pub(crate) fn entry_by_uuid(&self, uuid: &str) -> Option<Value> {
        let is_wanted = |entry: &Entry| {
            let known = self.uuid(entry);
            known == uuid || known.get(16..) == Some(uuid)
        };
        let position = self.contents().entries.iter().position(is_wanted)?;
        self.entry(EARLIER_ENTRIES + EARLIER_OF_SHARD + u64::try_from(position).ok()?)
    }

    /// `POST /api/v1/index/retrieve`: the entries that the search index has for `key`.
    pub(crate) fn search(&self, key: &str) -> Vec<String> {
        let contents = self.contents();
        let indexes = contents.index.get(key).into_iter().flatten();
        indexes
            .filter_map(|index| Some(self.uuid(contents.entries.get(position(*index)?)?)))
            .collect()
    }

    /// The tree's number and the leaf hash, in hexadecimal.
    fn uuid(&self, entry: &Entry) -> String {
        let tree_id: u64 = self.tree_id.parse().unwrap_or_default();
        let leaf = sha256(&[&[0], entry.body.as_slice()].concat());
        format!("{tree_id:016x}{}", hex::encode(leaf))
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the entry of a shard index is among those that were generated.
fn position(index: u64) -> Option<usize> {
    usize::try_from(index.checked_sub(EARLIER_OF_SHARD)?).ok()
}
