//! The work queue of one process, for local mode.

use std::num::NonZeroUsize;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::ports::{QueueFault, WorkItem, WorkQueue, WorkReason};

/// Hands work to a [`Receiver`] in the same process.
///
/// The queue is bounded: where it is full, [`send`](WorkQueue::send) waits, so that a large batch cannot grow beyond
/// memory. Versions of batches have a place of their own, and are received when there is nothing else, so that nothing waits
/// for ten thousand of them. Nothing is kept on disk: what is queued when the process ends is lost, and found again by the
/// next sweep.
#[derive(Clone, Debug)]
pub struct InProcessQueue {
    sender: mpsc::Sender<WorkItem>,
    of_batches: mpsc::Sender<WorkItem>,
}

/// The other end of an [`InProcessQueue`].
#[derive(Debug)]
pub struct Receiver {
    receiver: mpsc::Receiver<WorkItem>,
    of_batches: mpsc::Receiver<WorkItem>,
}

/// A queue that holds at most `capacity` items of batches and as many others, and its other end.
///
/// Whoever receives must not send on the same task: with a full queue it would wait for itself.
pub fn queue(capacity: NonZeroUsize) -> (InProcessQueue, Receiver) {
    let (sender, receiver) = mpsc::channel(capacity.get());
    let (to_batches, of_batches) = mpsc::channel(capacity.get());
    (
        InProcessQueue {
            sender,
            of_batches: to_batches,
        },
        Receiver { receiver, of_batches },
    )
}

impl Receiver {
    /// The next item, in the order in which they were sent, versions of batches after all others; `None` once every queue is
    /// dropped and nothing is left.
    pub async fn receive(&mut self) -> Option<WorkItem> {
        tokio::select! {
            biased;
            Some(item) = self.receiver.recv() => Some(item),
            Some(item) = self.of_batches.recv() => Some(item),
            else => None,
        }
    }
}

#[async_trait]
impl WorkQueue for InProcessQueue {
    async fn send(&self, items: &[WorkItem]) -> Result<(), QueueFault> {
        for (accepted, item) in items.iter().enumerate() {
            let sender = match item.reason {
                WorkReason::Batch => &self.of_batches,
                WorkReason::Api | WorkReason::Sweep | WorkReason::Recheck => &self.sender,
            };
            if sender.send(item.clone()).await.is_err() {
                return Err(QueueFault::Rejected {
                    sent: items.len(),
                    rejected: items.len() - accepted,
                    detail: "nobody receives any more".to_owned(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::conformance;

    fn new(capacity: usize) -> (InProcessQueue, Receiver) {
        queue(NonZeroUsize::new(capacity).unwrap())
    }

    async fn drain(mut receiver: Receiver) -> Vec<WorkItem> {
        let mut items = Vec::new();
        while let Some(item) = receiver.receive().await {
            items.push(item);
        }
        items
    }

    #[tokio::test]
    async fn every_item_is_handed_over_whole() {
        let (queue, receiver) = new(1000);
        conformance::every_item_is_handed_over_whole(queue, async || drain(receiver).await).await;
    }

    #[tokio::test]
    async fn nothing_to_send_is_no_fault() {
        let (queue, receiver) = new(1);
        conformance::nothing_to_send_is_no_fault(queue, async || drain(receiver).await).await;
    }

    #[tokio::test]
    async fn versions_of_batches_wait_for_everything_else() {
        let (queue, mut receiver) = new(100);
        let of = |reason, items: Vec<WorkItem>| items.into_iter().map(move |item| WorkItem { reason, ..item });
        let batch: Vec<WorkItem> = of(WorkReason::Batch, conformance::work(3)).collect();
        let others: Vec<WorkItem> = of(WorkReason::Recheck, conformance::work(2)).collect();
        queue.send(&batch).await.unwrap();
        assert_eq!(receiver.receive().await.as_ref(), batch.first());
        queue.send(&others).await.unwrap();
        drop(queue);
        assert_eq!(drain(receiver).await, [&others[..], &batch[1..]].concat());
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_sender_wait() {
        let (queue, mut receiver) = new(2);
        let items = conformance::work(5);
        let sent = items.clone();
        let sending = tokio::spawn(async move { queue.send(&sent).await });
        let mut arrived = Vec::new();
        tokio::task::yield_now().await;
        assert!(!sending.is_finished());
        while let Some(item) = receiver.receive().await {
            arrived.push(item);
        }
        sending.await.unwrap().unwrap();
        assert_eq!(arrived, items);
    }

    #[tokio::test]
    async fn work_that_nobody_receives_is_rejected() {
        let (queue, receiver) = new(2);
        drop(receiver);
        let QueueFault::Rejected { sent, rejected, .. } = queue.send(&conformance::work(3)).await.unwrap_err();
        assert_eq!((sent, rejected), (3, 3));
    }
}
