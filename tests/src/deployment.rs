//! A deployment on an AWS inside the process: the service on the product's own adapters, asked through the entry points that
//! functions have.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use hekate::adapters::emf::Unmeasured;
use hekate::adapters::judges::FixedJudge;
use hekate::attestation::TrustOrigin;
use hekate::ecosystem::Upstreams;
use hekate::entrypoints::{Deadline, batch};
use hekate::ports::{Fetch, Judges, WorkItem};
use hekate::service::{Service, Signing};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::World;
use url::Url;

use crate::cloud::{Cloud, Met, Trouble};
use crate::path::{judge, no_address, trust_in};
use crate::year::queue::{Delivery, Queue};

/// The most messages of one event, as the template has it.
const EVENT: usize = 10;
/// For how long a round receives what is visible: longer than a message is held up, and shorter than it stays invisible.
const ROUND: SignedDuration = SignedDuration::from_mins(6);

thread_local! {
    /// What time it is for the entry points of this thread.
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

/// The clock of the entry points. A clock of the product is a plain function, so that the time is the thread's.
pub fn clock() -> Timestamp {
    NOW.get()
}

/// Sets [`clock`].
pub fn set_clock(now: Timestamp) {
    NOW.set(now);
}

/// A judge who trusts the shared world.
pub fn shared_judge() -> Result<Arc<dyn Judges>> {
    let trust = trust_in(&World::shared(), TrustOrigin::Files).context("the keys of the shared world")?;
    Ok(Arc::new(FixedJudge(Arc::new(judge(trust)))))
}

/// A deployment.
pub struct Deployment {
    /// The services that it runs on.
    pub cloud: Arc<Cloud>,
    /// The service.
    pub service: Service,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How many messages there were.
    pub messages: usize,
    /// How many of them come back: all, if the process ended.
    pub returned: usize,
    /// What the requests met.
    pub met: Met,
}

impl Deployment {
    /// A deployment that asks upstreams through `fetch`.
    pub fn new(cloud: Arc<Cloud>, fetch: Arc<dyn Fetch>, judges: Arc<dyn Judges>) -> Result<Self> {
        let service = Service {
            fetch,
            store: Arc::new(cloud.store()),
            queue: Arc::new(cloud.sender()),
            announcer: Arc::new(cloud.announcer()),
            judges,
            upstreams: Upstreams {
                npm_feed: Some(Url::parse("http://feed.npm.testbed.example/")?),
                ..no_address()
            },
            meter: Arc::new(Unmeasured),
            signing: Signing::default(),
            peers: Arc::new([]),
            holder: "deployment".to_owned(),
            until: None,
        };
        Ok(Self { cloud, service })
    }

    /// Puts work on the queue, as of a time.
    pub fn send(&self, items: &[WorkItem], now: Timestamp) -> Result<()> {
        let mut queue = self.cloud.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for item in items {
            queue.send(&serde_json::to_string(item)?, now);
        }
        Ok(())
    }

    /// The same with a queue of their own for the versions of batches, as the template has it.
    #[must_use]
    pub fn with_batches_apart(mut self) -> Self {
        self.service.queue = Arc::new(self.cloud.sender_with_batches_apart());
        self
    }

    /// Hands the next messages of one queue to the batch verifier, those that are visible within a round that begins at `now`; `None` if
    /// there are none. What is not to be delivered again is taken off the queue, unless the process ended.
    pub async fn deliver(&self, now: Timestamp, trouble: Option<Trouble>) -> Result<Option<Delivered>> {
        match self.deliver_from(&self.cloud.queue, now, trouble).await? {
            None => self.deliver_from(&self.cloud.batches, now, trouble).await,
            delivered => Ok(delivered),
        }
    }

    async fn deliver_from(
        &self,
        queue: &Mutex<Queue>,
        now: Timestamp,
        trouble: Option<Trouble>,
    ) -> Result<Option<Delivered>> {
        let mut deliveries: Vec<Delivery> = Vec::new();
        {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            while deliveries.len() < EVENT
                && let Some(delivery) = queue.receive(now, now + ROUND)
            {
                deliveries.push(delivery);
            }
        }
        let Some(last) = deliveries.last() else {
            return Ok(None);
        };
        self.set_now(last.at);
        let record = |delivery: &Delivery| json!({ "messageId": delivery.id.to_string(), "body": delivery.body });
        let event = json!({ "Records": deliveries.iter().map(record).collect::<Vec<_>>() });
        let work = batch::handle(
            &self.service,
            serde_json::from_value(event)?,
            clock,
            Deadline::after(batch::USUAL),
        );
        let (response, met) = self.cloud.live(trouble, work).await;
        let mut returned = deliveries.len();
        if let Some(response) = response {
            let failed = |delivery: &Delivery| {
                let id = delivery.id.to_string();
                response
                    .batch_item_failures
                    .iter()
                    .any(|failure| failure.item_identifier == id)
            };
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            returned = 0;
            for delivery in &deliveries {
                if failed(delivery) {
                    returned += 1;
                } else {
                    queue.delete(delivery);
                }
            }
        }
        Ok(Some(Delivered {
            messages: deliveries.len(),
            returned,
            met,
        }))
    }

    /// Delivers until nothing is visible, and returns how many messages were delivered.
    pub async fn deliver_all(&self, now: Timestamp) -> Result<usize> {
        let mut messages = 0;
        while let Some(delivered) = self.deliver(now, None).await? {
            messages += delivered.messages;
        }
        Ok(messages)
    }

    /// Sets the time of the entry points and of the queue.
    pub fn set_now(&self, now: Timestamp) {
        set_clock(now);
        self.cloud.set_now(now);
    }
}
