//! The Merkle tree of RFC 6962, section 2.1.

use crate::encoding::{Hash, sha256};

/// An append-only tree that keeps every hash of every complete subtree.
#[derive(Debug, Default)]
pub struct Tree {
    /// `levels[0]` are leaf hashes; entry `i` of level `k` covers the leaves `i·2ᵏ .. (i+1)·2ᵏ`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Appends an entry and returns its index.
    pub fn append(&mut self, entry: &[u8]) -> u64 {
        let index = self.size();
        let mut hash = leaf_hash(entry);
        for level in 0.. {
            if self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                break;
            };
            hashes.push(hash);
            match hashes.as_slice() {
                [.., left, right] if hashes.len() % 2 == 0 => hash = node_hash(left, right),
                _ => break,
            }
        }
        index
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The root of the tree of the first `size` entries.
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

    /// The proof that the tree of `old` entries is a prefix of the tree of `new` entries (RFC 6962, 2.1.2).
    pub fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        if old == 0 || old >= new {
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
    pub fn node(&self, height: usize, index: usize) -> Option<&Hash> {
        self.levels.get(height)?.get(index)
    }

    /// The hash over the leaves `low..high`, where `low` is a multiple of the smallest power of two not below the width.
    fn range(&self, low: u64, high: u64) -> Hash {
        let width = high - low;
        if width.is_power_of_two() {
            let height = usize::try_from(width.trailing_zeros()).unwrap_or(usize::MAX);
            let index = usize::try_from(low / width).unwrap_or(usize::MAX);
            return self.node(height, index).copied().unwrap_or_default();
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
        let tree = tree(23);
        for size in 1..=23_u64 {
            for index in 0..size {
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
        let tree = tree(23);
        for new in 1..=23_u64 {
            for old in 1..new {
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
