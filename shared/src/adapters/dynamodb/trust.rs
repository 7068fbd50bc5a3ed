//! The signed files from which trust material is made.

use async_trait::async_trait;
use jiff::Timestamp;

use super::keys::TRUST;
use super::rows::{self, PackedText, TRUST_TEXT};
use super::update::{Condition, Update};
use super::{DynamoDbStore, keys};
use crate::ports::{StoreFault, TrustStore};

#[async_trait]
impl TrustStore for DynamoDbStore {
    /// The read is strongly consistent: it is made once while a process lives, unless the files are old.
    async fn trust(&self) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some(item) = self.row(TRUST.to_owned(), TRUST).await? else {
            return Ok(None);
        };
        let text = rows::stored_text(&item, &TRUST_TEXT)?;
        Ok(Some(self.text(&text).await?.into_owned()))
    }

    /// A row of another schema is written over by nobody: another version of this program reads it.
    async fn keep_trust(&self, document: &[u8], fetched_at: Timestamp) -> Result<(), StoreFault> {
        let packed = PackedText::of_bytes(document, &TRUST_TEXT)?;
        self.blobs.write(packed.elsewhere().into_iter().collect()).await?;
        let at = rows::text(keys::instant(fetched_at));
        let schema = Condition::IsMissingOrAtMost("schema", rows::number(rows::SCHEMA));
        let conditions = [schema, Condition::IsMissingOrAtMost("fetched_at", at.clone())];
        let mut update = Update::of(TRUST.to_owned(), TRUST, conditions);
        update.set("schema", rows::number(rows::SCHEMA));
        update.set("fetched_at", at);
        packed.set(&mut update);
        self.update(update).await.map(drop)
    }
}
