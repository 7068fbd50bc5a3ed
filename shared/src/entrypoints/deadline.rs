//! How long an invocation may take.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::service::Until;

/// How long before the end of an invocation its answer has to be ready. A host ends what is late, and with it everything that
/// the invocation was about: of a batch, every message.
const RETURNING: Duration = Duration::from_secs(1);
/// How long before that even recording is given up, so that leases can be given back.
const GIVING_BACK: Duration = Duration::from_secs(1);
/// How long before that upstreams are not asked any more: for judging and recording what they answered.
const RECORDING: Duration = Duration::from_secs(5);
/// The least time for asking with which a look is worth its beginning.
const WORTHWHILE: Duration = Duration::from_secs(3);
/// The longest that any host lets an invocation take (Lambda's limit).
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// By how much the clocks of host and function may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The end of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// The end that the host names, in milliseconds since 1970, as its clock and this one (`now`) agree on it.
    ///
    /// Hosts that have no such end name one in 1970. Whatever no invocation can have is taken for none, and then the
    /// invocation takes as long as is `usual`.
    pub fn from_millis(deadline: u64, now: Timestamp, usual: Duration) -> Self {
        let named = i64::try_from(deadline)
            .ok()
            .and_then(|deadline| Timestamp::from_millisecond(deadline).ok())
            .map(|deadline| deadline.duration_since(now))
            .filter(|left| (-SKEW..=LONGEST + SKEW).contains(left));
        let left = match named {
            // What lies in the past by a little leaves no time.
            Some(left) => Duration::try_from(left).unwrap_or_default(),
            None => usual,
        };
        Self::after(left)
    }

    /// An invocation that ends after so long.
    pub fn after(left: Duration) -> Self {
        Self(Instant::now() + left)
    }

    /// When the answer has to be ready.
    pub(super) fn returning(self) -> Instant {
        before(self.0, RETURNING)
    }

    /// By when the one look of an invocation is made.
    pub(super) fn until(self) -> Until {
        let answering = before(self.returning(), GIVING_BACK);
        Until {
            asking: before(answering, RECORDING),
            answering,
        }
    }

    /// By when one of several looks is made, where the others take turns in `rounds` rounds with it: each may take the same
    /// part of what is left, so that none that is slow takes the time of those that come after it. `None` if that is too
    /// little to begin.
    pub(super) fn share(self, rounds: usize) -> Option<Until> {
        let now = Instant::now();
        let left = self.until().answering.saturating_duration_since(now);
        let rounds = u32::try_from(rounds.max(1)).unwrap_or(u32::MAX);
        let answering = now + left / rounds;
        let asking = before(answering, RECORDING);
        (asking.saturating_duration_since(now) >= WORTHWHILE).then_some(Until { asking, answering })
    }
}

/// So long before an instant; where the machine's clock knows no earlier one, the instant itself.
fn before(instant: Instant, by: Duration) -> Instant {
    instant.checked_sub(by).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(90);

    fn left(deadline: Timestamp, now: Timestamp) -> u64 {
        let deadline = u64::try_from(deadline.as_millisecond()).unwrap();
        let end = Deadline::from_millis(deadline, now, USUAL);
        end.0.saturating_duration_since(Instant::now()).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_ends_when_its_host_says_if_that_can_be() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let seconds = |seconds| now + SignedDuration::from_secs(seconds);
        assert_eq!(left(seconds(29), now), 29);
        assert_eq!(left(seconds(900), now), 900);
        assert_eq!(left(seconds(-2), now), 0, "it is over");
        // What hosts say that know no deadline.
        assert_eq!(left(Timestamp::UNIX_EPOCH, now), 90);
        assert_eq!(left(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(600), now), 90);
        assert_eq!(left(seconds(86_400), now), 90);
        let never = Deadline::from_millis(u64::MAX, now, USUAL);
        assert_eq!(never, Deadline::after(USUAL));
    }

    #[tokio::test(start_paused = true)]
    async fn asking_ends_before_recording_and_recording_before_the_invocation() {
        let now = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(29));
        let until = deadline.until();
        let seconds = |instant: Instant| instant.duration_since(now).as_secs();
        assert_eq!((seconds(until.asking), seconds(until.answering)), (22, 27));
        assert_eq!(seconds(deadline.returning()), 28);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_later_have_their_share_of_the_time() {
        let now = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(90));
        let asking = |rounds| {
            deadline
                .share(rounds)
                .map(|until| until.asking.duration_since(now).as_secs())
        };
        assert_eq!(
            [1, 2, 3, 11, 12].map(asking),
            [Some(83), Some(39), Some(24), Some(3), None]
        );
        assert_eq!(Deadline::after(Duration::ZERO).share(1), None);
    }
}
