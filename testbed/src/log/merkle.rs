//! The Merkle tree of RFC 6962, section 2.1.

use crate::encoding::{Hash, sha256};

/// An append-only tree that keeps every hash of every complete subtree; of the entries that were there before it begins, hashes of
/// whole subtrees that nobody has seen the inside of.
#[derive(Debug, Default)]
pub struct Tree {
    earlier: u64,
    /// `levels[0]` are leaf hashes; entry `i` of level `k` covers the leaves `j·2ᵏ .. (j+1)·2ᵏ`, where `j = i + earlier/2ᵏ`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree that has so many entries already. Nothing can be proved of those.
    pub fn after(earlier: u64) -> Self {
        Self {
            earlier,
            levels: Vec::new(),
        }
    }

    /// Appends an entry and returns its index.
    pub fn append(&mut self, entry: &[u8]) -> u64 {
        let index = self.size();
        let (mut hash, mut position) = (leaf_hash(entry), index);
        for height in 0.. {
            match self.levels.get_mut(height) {
                Some(hashes) => hashes.push(hash),
                None => self.levels.push(vec![hash]),
            }
            let left = (position % 2 == 1).then(|| self.node(height, position - 1)).flatten();
            let Some(left) = left else { break };
            (hash, position) = (node_hash(&left, &hash), position / 2);
        }
        index
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.earlier + self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root of the tree of the first `size` entries, which are at least those that were there before.
    pub fn root(&self, size: u64) -> Hash {
        if size == 0 { sha256(&[]) } else { self.range(0, size) }
    }

    /// The audit path of entry `index` in the tree of the first `size` entries, leaf first.
    pub fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        let (mut low, mut high) = (0, size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.range(middle, high));
                high = middle;
            } else {
                path.push(self.range(low, middle));
                low = middle;
            }
        }
        path.reverse();
        path
    }

    /// The proof that the tree of `old` entries is a prefix of the tree of `new` entries (RFC 6962, 2.1.2); nothing where `old` is
    /// before what is known.
    pub fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        if old == 0 || old < self.earlier || old >= new {
            return Vec::new();
        }
        let (mut low, mut high) = (0, new);
        let mut path = Vec::new();
        // The old root itself is known to the caller for as long as the range begins at the tree's start.
        loop {
            if old == high {
                if low != 0 {
                    path.push(self.range(low, high));
                }
                break;
            }
            let middle = low + split(high - low);
            if old <= middle {
                path.push(self.range(middle, high));
                high = middle;
            } else {
                path.push(self.range(low, middle));
                low = middle;
            }
        }
        path.reverse();
        path
    }

    /// Hash `index` of the complete subtrees of height `height`.
    pub fn node(&self, height: usize, index: u64) -> Option<Hash> {
        let earlier = self.earlier.checked_shr(u32::try_from(height).ok()?).unwrap_or(0);
        match index.checked_sub(earlier) {
            Some(own) => self.levels.get(height)?.get(usize::try_from(own).ok()?).copied(),
            None => Some(sha256(format!("earlier {height} {index}").as_bytes())),
        }
    }

    /// The hash over the leaves `low..high`, where `low` is a multiple of the smallest power of two not below the width.
    fn range(&self, low: u64, high: u64) -> Hash {
        let width = high - low;
        if width.is_power_of_two() {
            let height = usize::try_from(width.trailing_zeros()).unwrap_or(usize::MAX);
            return self.node(height, low / width).unwrap_or_default();
        }
        let middle = low + split(width);
        node_hash(&self.range(low, middle), &self.range(middle, high))
    }
}

/// The largest power of two below `width`, which is at least two.
fn split(width: u64) -> u64 {
    width.next_power_of_two() / 2
}

fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry].concat())
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left.as_slice(), right.as_slice()].concat())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]
mod tests {
    use super::*;

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        for index in 0..size {
            tree.append(&index.to_be_bytes());
        }
        tree
    }

    /// The definition of RFC 6962, without the cache.
    fn root_by_definition(entries: &[[u8; 8]]) -> Hash {
        match entries {
            [] => sha256(&[]),
            [only] => leaf_hash(only),
            _ => {
                let (left, right) = entries.split_at((entries.len() as u64).next_power_of_two() as usize / 2);
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_cached_root_is_the_root_of_the_definition_at_every_earlier_size() {
        let tree = tree(40);
        let entries: Vec<_> = (0..40_u64).map(u64::to_be_bytes).collect();
        for size in 0..=40 {
            assert_eq!(tree.root(size), root_by_definition(&entries[..size as usize]));
        }
    }

    #[test]
    fn every_audit_path_leads_to_the_root() {
        assert_every_audit_path_leads_to_the_root(&tree(23), 0);
    }

    #[test]
    fn audit_paths_are_as_long_as_the_entries_before_make_them() {
        for earlier in [1, 6, 7, 8, 1755 << 13] {
            let mut tree = Tree::after(earlier);
            for index in earlier..earlier + 23 {
                assert_eq!(tree.append(&index.to_be_bytes()), index);
            }
            assert_every_audit_path_leads_to_the_root(&tree, earlier);
        }
        let mut tree = Tree::after(1755 << 13);
        let index = tree.append(b"entry");
        assert_eq!(tree.inclusion(index, tree.size()).len(), 8);
    }

    fn assert_every_audit_path_leads_to_the_root(tree: &Tree, earlier: u64) {
        for size in earlier + 1..=earlier + 23 {
            for index in earlier..size {
                let mut hash = leaf_hash(&index.to_be_bytes());
                // RFC 9162, section 2.1.3.2.
                let (mut node, mut last) = (index, size - 1);
                for sibling in tree.inclusion(index, size) {
                    if node % 2 == 1 || node == last {
                        hash = node_hash(&sibling, &hash);
                        while node % 2 == 0 && node != 0 {
                            (node, last) = (node >> 1, last >> 1);
                        }
                    } else {
                        hash = node_hash(&hash, &sibling);
                    }
                    (node, last) = (node >> 1, last >> 1);
                }
                assert_eq!(last, 0);
                assert_eq!(hash, tree.root(size), "index {index} of {size}");
            }
        }
    }

    #[test]
    fn every_consistency_proof_joins_both_roots() {
        for earlier in [0, 1, 6, 7, 8, 1755 << 13] {
            let mut tree = Tree::after(earlier);
            for index in earlier..earlier + 23 {
                tree.append(&index.to_be_bytes());
            }
            assert_every_consistency_proof_joins_both_roots(&tree, earlier);
        }
    }

    fn assert_every_consistency_proof_joins_both_roots(tree: &Tree, earlier: u64) {
        for new in earlier + 1..=earlier + 23 {
            for old in earlier.max(1)..new {
                // RFC 9162, section 2.1.4.2.
                let mut proof = tree.consistency(old, new).into_iter();
                let first = if old.is_power_of_two() {
                    tree.root(old)
                } else {
                    proof.next().unwrap()
                };
                let (mut node, mut last) = (old - 1, new - 1);
                while node % 2 == 1 {
                    (node, last) = (node >> 1, last >> 1);
                }
                let (mut old_root, mut new_root) = (first, first);
                for sibling in proof {
                    if node % 2 == 1 || node == last {
                        old_root = node_hash(&sibling, &old_root);
                        new_root = node_hash(&sibling, &new_root);
                        while node % 2 == 0 && node != 0 {
                            (node, last) = (node >> 1, last >> 1);
                        }
                    } else {
                        new_root = node_hash(&new_root, &sibling);
                    }
                    (node, last) = (node >> 1, last >> 1);
                }
                assert_eq!((old_root, new_root), (tree.root(old), tree.root(new)), "{old} to {new}");
            }
        }
    }
}
