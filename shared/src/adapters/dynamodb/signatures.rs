//! What was signed, so that it is signed once.

use async_trait::async_trait;

use super::{DynamoDbStore, keys, rows};
use crate::package::Digest;
use crate::ports::{SignatureStore, StoreFault};

#[async_trait]
impl SignatureStore for DynamoDbStore {
    async fn signature(&self, message: &Digest, key: &Digest) -> Result<Option<Vec<u8>>, StoreFault> {
        let Some(item) = self.row(keys::signed_key(message), &key.to_hex()).await? else {
            return Ok(None);
        };
        rows::binary_of(&item, "signature").map(|signature| Some(signature.to_vec()))
    }

    async fn keep_signature(&self, message: &Digest, key: &Digest, signature: &[u8]) -> Result<Vec<u8>, StoreFault> {
        let item = rows::item_with(
            keys::signed_key(message),
            &key.to_hex(),
            [("signature", rows::binary(signature))],
        );
        if self.put_new(item).await? {
            return Ok(signature.to_vec());
        }
        let first = self.signature(message, key).await?;
        first.ok_or_else(|| StoreFault::Corrupt(format!("the signature over {message} was there and is not")))
    }
}
