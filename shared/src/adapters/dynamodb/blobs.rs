//! Bytes of any length under a key, in as many rows as they need.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::primitives::Blob as Binary;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::ports::StoreFault;

use super::bulk::{Bulk, Consistency};
use super::packing;
use super::rows::{self, Item};

/// The most bytes of one row, before compression, which at worst adds less than one part in two hundred. A row may have
/// 400 KB (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
pub(super) const PART: usize = 350 * 1024;

/// Bytes and the partition key that they are kept under.
pub(super) struct Blob<'a> {
    /// The partition key. Same key, same bytes; but for a dossier, which may be there with more or fewer of its bodies. With all of
    /// them it is one part, and without those that are apart it has no more parts than before: whichever of its first parts is
    /// read goes with what follows it.
    pub(super) key: String,
    /// The bytes.
    pub(super) bytes: &'a [u8],
}

/// Reads and writes blobs.
///
/// The bytes are cut into parts before each part is compressed. So a part depends on nothing but the bytes, and a blob of
/// which some parts were written by another version of the compressor, after a write that stopped half-way, is whole.
#[derive(Clone, Debug)]
pub(super) struct Blobs {
    bulk: Bulk,
}

impl Blobs {
    pub(super) fn new(bulk: Bulk) -> Self {
        Self { bulk }
    }

    /// Writes every part of every blob. One request has up to 8 MiB, and one is under way at a time.
    pub(super) async fn write(&self, blobs: Vec<Blob<'_>>) -> Result<(), StoreFault> {
        // Two blobs may be the same.
        let distinct: BTreeMap<String, &[u8]> = blobs.into_iter().map(|blob| (blob.key, blob.bytes)).collect();
        let mut items = Vec::new();
        for (key, bytes) in &distinct {
            items.extend(parts(key, bytes)?);
        }
        self.bulk.write(items, 1).await
    }

    /// The bytes under one key.
    pub(super) async fn read_one(&self, key: &str) -> Result<Option<Vec<u8>>, StoreFault> {
        let keys = [key.to_owned()];
        Ok(self.read(&keys).await?.remove(key))
    }

    /// The bytes under each of the keys that are there. A blob of which a part is missing is corrupt.
    ///
    /// The reads are eventually consistent at first: the bytes under a key never change, so that what is found is right. What is
    /// missed is read once more, strongly consistently: the evidence of a verdict recorded a moment ago would otherwise look
    /// lost.
    pub(super) async fn read(&self, keys: &[String]) -> Result<HashMap<String, Vec<u8>>, StoreFault> {
        let firsts: BTreeMap<(String, usize), Part> = self
            .read_parts(keys.iter().map(|key| (key.clone(), 0)).collect())
            .await?;
        let others = firsts
            .iter()
            .flat_map(|((key, _), part)| (1..part.of).map(|number| (key.clone(), number)))
            .collect();
        let mut found = self.read_parts(others).await?;

        let mut blobs = HashMap::new();
        for ((key, _), first) in firsts {
            let mut bytes = first.bytes;
            for number in 1..first.of {
                let part = found.remove(&(key.clone(), number)).ok_or_else(|| {
                    StoreFault::Corrupt(format!("part {number} of the {} parts of {key} is missing", first.of))
                })?;
                bytes.extend_from_slice(&part.bytes);
            }
            blobs.insert(key, bytes);
        }
        Ok(blobs)
    }

    async fn read_parts(
        &self,
        mut wanted: Vec<(String, usize)>,
    ) -> Result<BTreeMap<(String, usize), Part>, StoreFault> {
        let mut found = BTreeMap::new();
        for consistency in [Consistency::Eventual, Consistency::Strong] {
            let keys = wanted.iter().map(|(key, number)| part_key(key, *number)).collect();
            for item in self.bulk.read(keys, consistency, 1).await? {
                let part = Part::from_item(&item)?;
                found.insert((part.key.clone(), part.number), part);
            }
            wanted.retain(|part| !found.contains_key(part));
        }
        Ok(found)
    }
}

struct Part {
    key: String,
    number: usize,
    of: usize,
    bytes: Vec<u8>,
}

impl Part {
    fn from_item(item: &Item) -> Result<Self, StoreFault> {
        rows::check_schema(item)?;
        let key = rows::text_of(item, "pk")?.to_owned();
        let number = rows::text_of(item, "sk")?
            .strip_prefix("PART#")
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| StoreFault::Corrupt(format!("a row of {key} is not a part")))?;
        let bytes = packing::unpack(rows::binary_of(item, "data")?, rows::number_of(item, "size")?)
            .ok_or_else(|| StoreFault::Corrupt(format!("part {number} of {key} cannot be decompressed")))?;
        Ok(Self {
            number,
            of: rows::number_of(item, "parts")?,
            bytes,
            key,
        })
    }
}

fn part_key(key: &str, number: usize) -> Item {
    rows::key(key.to_owned(), &format!("PART#{number:04}"))
}

fn parts(key: &str, bytes: &[u8]) -> Result<Vec<Item>, StoreFault> {
    let of = bytes.len().div_ceil(PART).max(1);
    (0..of)
        .map(|number| {
            let part = bytes.chunks(PART).nth(number).unwrap_or_default();
            let mut item = part_key(key, number);
            item.insert("schema".to_owned(), rows::number(rows::SCHEMA));
            item.insert("data".to_owned(), AttributeValue::B(Binary::new(packing::pack(part)?)));
            item.insert("size".to_owned(), rows::number(part.len()));
            item.insert("parts".to_owned(), rows::number(of));
            Ok(item)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incompressible_parts_fit_into_rows() {
        let noise = crate::adapters::conformance::noise(3 * PART + 1);
        let items = parts("BODY#x", &noise).unwrap();
        assert_eq!(items.len(), 4);
        for item in &items {
            assert!(rows::binary_of(item, "data").unwrap().len() < 360 * 1024);
        }
        let whole: Vec<u8> = items
            .iter()
            .flat_map(|item| Part::from_item(item).unwrap().bytes)
            .collect();
        assert_eq!(whole, noise);
    }

    #[test]
    fn an_empty_body_has_one_part() {
        let items = parts("BODY#x", b"").unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(Part::from_item(&items[0]).unwrap().bytes, b"");
    }
}
