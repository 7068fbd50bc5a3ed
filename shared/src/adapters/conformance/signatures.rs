//! Facts about what was signed.

use super::concurrently;
use crate::package::Digest;
use crate::ports::SignatureStore;

fn digest(of: &str) -> Digest {
    Digest::sha256_of(of.as_bytes())
}

pub(crate) async fn nothing_is_kept_of_what_was_never_signed(store: &impl SignatureStore) {
    assert_eq!(store.signature(&digest("message"), &digest("key")).await.unwrap(), None);
}

pub(crate) async fn the_first_signature_over_a_message_stays(store: &impl SignatureStore) {
    let (message, key) = (digest("message"), digest("key"));
    assert_eq!(store.keep_signature(&message, &key, b"first").await.unwrap(), b"first");
    assert_eq!(store.keep_signature(&message, &key, b"second").await.unwrap(), b"first");
    assert_eq!(
        store.signature(&message, &key).await.unwrap().as_deref(),
        Some(&b"first"[..])
    );
}

pub(crate) async fn messages_and_keys_do_not_see_each_other(store: &impl SignatureStore) {
    for (message, key) in [("a", "a"), ("a", "b"), ("b", "a")] {
        let signature = format!("{message} by {key}");
        let kept = store
            .keep_signature(&digest(message), &digest(key), signature.as_bytes())
            .await;
        assert_eq!(kept.unwrap(), signature.as_bytes());
    }
    assert_eq!(store.signature(&digest("b"), &digest("b")).await.unwrap(), None);
}

pub(crate) async fn of_concurrent_signatures_everybody_gets_the_same(store: &(impl SignatureStore + Clone + 'static)) {
    let kept = concurrently(10, |number| {
        let store = store.clone();
        async move {
            let signature = format!("of {number}");
            let kept = store
                .keep_signature(&digest("message"), &digest("key"), signature.as_bytes())
                .await;
            kept.unwrap()
        }
    })
    .await;
    assert!(kept.iter().all(|signature| *signature == kept[0]), "{kept:?}");
    let stays = store.signature(&digest("message"), &digest("key")).await.unwrap();
    assert_eq!(stays.as_ref(), kept.first());
}
