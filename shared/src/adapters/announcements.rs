//! Announcements in the log, for local mode.

use async_trait::async_trait;

use crate::ports::{Announce, Announcement};
use crate::verdict::Status;

/// Writes each announcement as one line of the log, and so delivers it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAnnouncer;

#[async_trait]
impl Announce for LogAnnouncer {
    async fn announce(&self, announcements: &[Announcement]) -> Vec<String> {
        for Announcement { id, change } in announcements {
            let decided_by: Vec<&str> = change.decided_by.iter().map(|check| check.as_str()).collect();
            tracing::info!(
                event = "announcement",
                %id,
                package = %change.package,
                status = %change.status,
                previous = change.previous_status.map(Status::as_str),
                decidedBy = decided_by.join(","),
                checkedAt = %change.checked_at,
                dossier = %change.dossier,
                "verdict changed"
            );
        }
        announcements
            .iter()
            .map(|announcement| announcement.id.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::conformance::announcements;

    #[tokio::test]
    async fn every_announcement_is_accepted() {
        let announcements = announcements(12);
        let ids: Vec<String> = announcements
            .iter()
            .map(|announcement| announcement.id.clone())
            .collect();
        assert_eq!(LogAnnouncer.announce(&announcements).await, ids);
        assert_eq!(LogAnnouncer.announce(&[]).await, [""; 0]);
    }
}
