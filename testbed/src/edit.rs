//! Changes to what was made, between its making and its use.

use std::sync::Arc;

/// A change to something between its making and its use.
pub(crate) type Edit<T> = Arc<dyn Fn(&mut T) + Send + Sync>;
/// Such changes, in their order.
pub(crate) type Edits<T> = Vec<Edit<T>>;

/// Applies the edits in their order.
pub(crate) fn apply<T>(edits: &[Edit<T>], target: &mut T) {
    for edit in edits {
        edit(target);
    }
}
