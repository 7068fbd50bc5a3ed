//! Signed notes and checkpoints (C2SP `signed-note` and `tlog-checkpoint`).

use crate::encoding::{Hash, base64};

/// The text that a log signs: origin, size and root, one a line.
pub(super) fn checkpoint_body(origin: &str, size: u64, root: &Hash) -> String {
    format!("{origin}\n{size}\n{}\n", base64(root))
}

/// A note: the text, an empty line, and one signature line that begins with the first four bytes of the key id.
pub(super) fn signed(body: &str, name: &str, key_id: &Hash, signature: &[u8]) -> String {
    let [first, second, third, fourth, ..] = *key_id;
    let blob = [&[first, second, third, fourth], signature].concat();
    format!("{body}\n\u{2014} {name} {}\n", base64(blob))
}
