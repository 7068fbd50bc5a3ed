//! The questions of one look: within what time they may be asked, and how many there were.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use crate::availability::UnavailableReason;
use crate::dossier::{Answer, Observation};
use crate::ports::{Fetch, Request};

/// By when whoever asks wants an answer.
///
/// 1. Until `asking` upstreams are asked. What has not answered by then stays unanswered, which is an observation like that of
///    an upstream in trouble: it accuses nobody and passes nothing. What was answered is judged and recorded, so that the next
///    look goes on from there.
/// 2. At `answering` even that is given up, as only a store that hangs makes necessary. Nothing but the lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// The end of asking.
    pub asking: Instant,
    /// The end of everything.
    pub answering: Instant,
}

/// Asks for one look.
pub(super) struct Asking<'a> {
    fetch: &'a dyn Fetch,
    until: Option<Instant>,
    asked: AtomicU32,
}

impl<'a> Asking<'a> {
    pub(super) fn new(fetch: &'a dyn Fetch, until: Option<Until>) -> Self {
        Self {
            fetch,
            until: until.map(|until| until.asking),
            asked: AtomicU32::new(0),
        }
    }

    /// How many requests were sent, each redirect being one. What the transport repeats by itself is not known here.
    pub(super) fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Fetch for Asking<'_> {
    async fn fetch(&self, request: Request) -> Observation {
        let Some(until) = self.until else {
            return self.counted(request).await;
        };
        let unanswered = Observation {
            subject: request.subject,
            about: String::new(),
            url: request.url.to_string(),
            at: request.at,
            answer: Answer::Unanswered {
                reason: UnavailableReason::Unreachable,
                detail: "no answer came before the time for this look was over".to_owned(),
                retry_after: None,
            },
        };
        if Instant::now() >= until {
            return unanswered;
        }
        timeout_at(until, self.counted(request)).await.unwrap_or(unanswered)
    }
}

impl Asking<'_> {
    async fn counted(&self, request: Request) -> Observation {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let observation = self.fetch.fetch(request).await;
        if let Answer::Answered(response) = &observation.answer {
            self.asked.fetch_add(response.redirects.into(), Ordering::Relaxed);
        }
        observation
    }
}
