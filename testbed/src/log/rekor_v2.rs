//! The second-generation log: tiles, no promise, no integrated time.

use super::{merkle::Tree, note};
use crate::{
    encoding::{Hash, base64, canonical_json, sha256},
    keys::Ed25519Key,
};
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Hashes in a full tile, and entries in a full bundle of entries (C2SP `tlog-tiles`).
const TILE_WIDTH: u64 = 256;
/// Levels of the tree that one level of tiles spans.
const TILE_HEIGHT: usize = 8;
const SEED_ENTRIES: u64 = 5;

/// A Rekor v2 log.
pub struct RekorV2 {
    origin: String,
    key: Ed25519Key,
    log_id: Hash,
    contents: Mutex<(Tree, Vec<Vec<u8>>)>,
}

impl RekorV2 {
    /// A log whose origin, and host name, is `origin`.
    pub(crate) fn generate(origin: &str) -> Self {
        let key = Ed25519Key::generate();
        // The key id of a signed note: SHA-256(name || 0x0A || 0x01 || public key).
        let log_id = sha256(&[origin.as_bytes(), &[0x0a, 0x01], key.raw_public_key()].concat());
        let log = Self {
            origin: origin.to_owned(),
            key,
            log_id,
            contents: Mutex::default(),
        };
        for number in 0..SEED_ENTRIES {
            log.record(format!(r#"{{"apiVersion":"0.0.2","kind":"seed","spec":{{"number":{number}}}}}"#).as_bytes());
        }
        log
    }

    /// The origin line of the checkpoints, which is also the host name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public key as DER `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    /// The log id: the note key id in full.
    pub fn log_id(&self) -> &[u8; 32] {
        &self.log_id
    }

    /// Records `body` and answers with a bundle's `tlogEntries` item of kind `hashedrekord` 0.0.2.
    pub fn append(&self, body: &Value) -> Value {
        let body = canonical_json(body).into_bytes();
        let (index, proof) = self.record(&body);
        json!({
            "logIndex": index.to_string(),
            "logId": {"keyId": base64(self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": proof,
            "canonicalizedBody": base64(&body),
        })
    }

    fn record(&self, body: &[u8]) -> (u64, Value) {
        let mut contents = self.contents();
        let (tree, entries) = &mut *contents;
        let index = tree.append(body);
        entries.push(body.to_vec());
        let size = tree.size();
        let hashes: Vec<_> = tree.inclusion(index, size).iter().map(base64).collect();
        let proof = json!({
            "logIndex": index.to_string(),
            "rootHash": base64(tree.root(size)),
            "treeSize": size.to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": self.checkpoint_of(tree)},
        });
        (index, proof)
    }

    fn checkpoint_of(&self, tree: &Tree) -> String {
        let body = note::checkpoint_body(&self.origin, tree.size(), &tree.root(tree.size()));
        note::signed(&body, &self.origin, &self.log_id, &self.key.sign(body.as_bytes()))
    }

    /// The signed checkpoint of the present tree.
    pub fn checkpoint(&self) -> String {
        let contents = self.contents();
        let (tree, _) = &*contents;
        self.checkpoint_of(tree)
    }

    /// The resource at `path` below `/api/v2/`, or nothing when the log has no such tile.
    ///
    /// Paths are `checkpoint`, `tile/{L}/{N}[.p/{W}]` and `tile/entries/{N}[.p/{W}]` of C2SP `tlog-tiles`.
    pub fn resource(&self, path: &str) -> Option<Vec<u8>> {
        if path == "checkpoint" {
            return Some(self.checkpoint().into_bytes());
        }
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (
                tile_index(index)?,
                width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?,
            ),
            None => (tile_index(rest)?, TILE_WIDTH),
        };
        let first = index.checked_mul(TILE_WIDTH)?;
        let contents = self.contents();
        let (tree, entries) = &*contents;
        if level == "entries" {
            let range = usize::try_from(first).ok()?..usize::try_from(first + width).ok()?;
            let mut bundle = Vec::new();
            for entry in entries.get(range)? {
                bundle.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
                bundle.extend_from_slice(entry);
            }
            return Some(bundle);
        }
        let height = level
            .parse::<usize>()
            .ok()
            .filter(|level| *level < 64)?
            .checked_mul(TILE_HEIGHT)?;
        let mut tile = Vec::new();
        for position in first..first + width {
            tile.extend_from_slice(&tree.node(height, position)?);
        }
        Some(tile)
    }

    fn contents(&self) -> MutexGuard<'_, (Tree, Vec<Vec<u8>>)> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tile's number from groups of three digits, all but the last marked with an `x`: `x001/x234/067`.
fn tile_index(path: &str) -> Option<u64> {
    let (leading, last) = path
        .rsplit_once('/')
        .map_or((None, path), |(leading, last)| (Some(leading), last));
    let mut index = 0_u64;
    for group in leading.into_iter().flat_map(|leading| leading.split('/')) {
        index = index
            .checked_mul(1000)?
            .checked_add(three_digits(group.strip_prefix('x')?)?)?;
    }
    index.checked_mul(1000)?.checked_add(three_digits(last)?)
}

fn three_digits(group: &str) -> Option<u64> {
    (group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit())).then(|| group.parse().ok())?
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_number_is_read_in_groups_of_three_digits() {
        assert_eq!(tile_index("x001/x234/067"), Some(1_234_067));
        assert_eq!(tile_index("000"), Some(0));
        assert_eq!(tile_index("1"), None);
        assert_eq!(tile_index("001/067"), None);
    }

    #[test]
    fn full_and_partial_tiles_hold_the_leaf_hashes_in_order() {
        let log = RekorV2::generate("log.example");
        for number in 0..300_u64 {
            log.record(&number.to_be_bytes());
        }
        let full = log.resource("tile/0/000").unwrap();
        assert_eq!(full.len(), 256 * 32);
        assert_eq!(log.resource("tile/0/000.p/3").unwrap(), full[..96]);
        assert_eq!(log.resource("tile/0/001.p/49").unwrap().len(), 49 * 32);
        assert_eq!(log.resource("tile/1/000.p/1").unwrap().len(), 32);
        assert_eq!(log.resource("tile/0/001"), None);
        let last = log.resource("tile/entries/001.p/49").unwrap();
        assert!(last.ends_with(&[&[0, 8], 299_u64.to_be_bytes().as_slice()].concat()));
    }
}
