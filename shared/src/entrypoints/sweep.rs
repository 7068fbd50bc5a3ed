//! The sweeper: one sweep for each event, whatever the event says. The clock and the store say everything else.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::time::timeout_at;

use super::Deadline;
use crate::service::{Service, ServiceFault, Swept};

/// How long a sweep may take whose host does not say: the function's time-out in template.yaml.
pub const USUAL: Duration = Duration::from_secs(50);

/// Why a sweep counts as failed, so that the function's errors show it. Whatever else could be done was done.
#[derive(Debug, Error)]
pub enum SweepFault {
    /// Nothing at all could be done.
    #[error(transparent)]
    Service(#[from] ServiceFault),
    /// Parts of it failed.
    #[error("{}", .0.join("; "))]
    Parts(Vec<String>),
    /// It did not end in time. What it has claimed is due again after a quarter of an hour.
    #[error("the sweep did not end in time")]
    OutOfTime,
}

/// Sweeps once.
pub async fn handle(service: &Service, now: Timestamp, deadline: Deadline) -> Result<Swept, SweepFault> {
    let service = service.within(deadline.until());
    let swept = timeout_at(deadline.returning(), service.sweep(now))
        .await
        .map_err(|_elapsed| SweepFault::OutOfTime)??;
    tracing::info!(
        event = "sweep",
        tasks = swept.tasks,
        announced = swept.announced,
        troubles = swept.troubles.len(),
        "swept"
    );
    if swept.troubles.is_empty() {
        Ok(swept)
    } else {
        Err(SweepFault::Parts(swept.troubles))
    }
}
