//! Facts about trust material that processes leave to each other.

use super::{at, concurrently, noise};
use crate::ports::TrustStore;

pub(crate) async fn no_trust_material_is_known_at_first(store: &impl TrustStore) {
    assert_eq!(store.trust().await.unwrap(), None);
}

pub(crate) async fn trust_material_comes_back_whole(store: &impl TrustStore) {
    // Bytes that no compressor makes shorter, and then fewer of them.
    for (seconds, length) in [(0, 100_000), (1, 1_500_000), (2, 0), (3, 50)] {
        let document = noise(length);
        store.keep_trust(&document, at(seconds)).await.unwrap();
        assert_eq!(store.trust().await.unwrap(), Some(document), "{length} bytes");
    }
}

pub(crate) async fn younger_trust_material_is_never_replaced_by_older(store: &(impl TrustStore + Clone + 'static)) {
    store.keep_trust(b"younger", at(10)).await.unwrap();
    store.keep_trust(b"older", at(9)).await.unwrap();
    assert_eq!(store.trust().await.unwrap().as_deref(), Some(&b"younger"[..]));
    concurrently(10, |number| {
        let store = store.clone();
        async move {
            let document = format!("of {number}");
            store.keep_trust(document.as_bytes(), at(20 + number)).await.unwrap();
        }
    })
    .await;
    assert_eq!(store.trust().await.unwrap().as_deref(), Some(&b"of 9"[..]));
}
