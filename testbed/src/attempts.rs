//! How often each resource of a party was asked for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Counts of requests by path, for [`crate::Answer::FailTimes`].
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<String, u32>>);

impl Attempts {
    /// Counts the request, and says how many there were before it of the same resource.
    pub(crate) fn count(&self, path: &str) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(path.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}
