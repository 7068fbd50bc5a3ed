//! What publishers released.

use jiff::Timestamp;

use super::rows;
use super::{DynamoDbStore, Reading, keys};
use crate::ports::{Sibling, StoreFault};

impl DynamoDbStore {
    /// Notes that a publisher released a version. The whole row follows from that.
    pub(super) async fn keep_publication(&self, publisher: &str, sibling: &Sibling) -> Result<(), StoreFault> {
        self.put(rows::item_with(
            keys::publisher_key(publisher),
            &keys::sibling_key(sibling),
            [],
        ))
        .await
    }

    /// The newest releases of a publisher until `until`.
    ///
    /// The reads are strongly consistent, since the answer is an input of a verdict: of many versions that are published at
    /// once, the one that is judged last counts all of them.
    pub(super) async fn publications(
        &self,
        publisher: &str,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Sibling>, StoreFault> {
        let reading = Reading {
            backwards: true,
            consistent: true,
        };
        let range = keys::siblings(publisher, until);
        let mut siblings = Vec::new();
        for item in self.rows(&range, reading, None, limit).await? {
            rows::check_schema(&item)?;
            let sort_key = rows::text_of(&item, "sk")?;
            siblings.push(keys::sibling(sort_key).ok_or_else(|| rows::corrupt(&item, "sk", "names no release"))?);
        }
        Ok(siblings)
    }
}
