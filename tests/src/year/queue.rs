//! A queue with SQS's promises and no better ones: every message at least once, in any order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::chance::Chance;
use super::{MINUTE, SECOND};

/// For how long nobody else gets a message that was delivered.
pub const VISIBILITY: SignedDuration = SignedDuration::from_mins(10);
/// How often a message is delivered before it is put aside.
pub const RECEIVES: u32 = 5;
/// How often a message is delivered twice; and how often it is held up.
pub const DUPLICATED: f64 = 0.02;
const HELD_UP: f64 = 0.02;

/// A message that was delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which message.
    pub id: u64,
    /// Its body.
    pub body: String,
    /// When.
    pub at: Timestamp,
    /// The how manieth delivery of this message it is, from 1.
    pub receives: u32,
}

#[derive(Debug)]
struct Message {
    body: String,
    receives: u32,
    visible_at: Timestamp,
}

/// The queue with its dead-letter list.
#[derive(Debug)]
pub struct Queue {
    chance: Chance,
    duplicated: f64,
    messages: BTreeMap<u64, Message>,
    /// Who is delivered next: when, and then in no order.
    line: BTreeSet<(Timestamp, u64, u64)>,
    sent: u64,
    /// How many deliveries there were.
    pub deliveries: u64,
    /// How many messages were delivered twice because the queue may.
    pub duplicates: u64,
    /// The messages that were put aside.
    pub dead: Vec<String>,
}

impl Queue {
    /// An empty queue that delivers a message twice with this probability.
    pub fn new(chance: Chance, duplicated: f64) -> Self {
        Self {
            chance,
            duplicated,
            messages: BTreeMap::new(),
            line: BTreeSet::new(),
            sent: 0,
            deliveries: 0,
            duplicates: 0,
            dead: Vec::new(),
        }
    }

    /// Takes a message.
    pub fn send(&mut self, body: &str, now: Timestamp) {
        // What becomes of a message depends on what it says and when, so that the order in which simultaneous senders come
        // changes nothing.
        let mut chance = self.chance.of(&format!("{now} {body}"));
        let mut copies = 1;
        if chance.happens(self.duplicated) {
            self.duplicates += 1;
            copies = 2;
        }
        for _copy in 0..copies {
            let delay = if chance.happens(HELD_UP) {
                chance.duration(SECOND, MINUTE * 5)
            } else {
                chance.duration(SignedDuration::ZERO, SECOND * 20)
            };
            self.sent += 1;
            self.messages.insert(
                self.sent,
                Message {
                    body: body.to_owned(),
                    receives: 0,
                    visible_at: now + delay,
                },
            );
            let tie = chance.between(0, i64::MAX).unsigned_abs();
            self.line.insert((now + delay, tie, self.sent));
        }
    }

    /// When the next message can be delivered.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.line.first().map(|(at, ..)| *at)
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Loses every message.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.line.clear();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What the messages say, in no order.
    pub fn bodies(&self) -> impl Iterator<Item = &str> {
        self.messages.values().map(|message| message.body.as_str())
    }

    /// Delivers a message that is visible before `before`, not earlier than `not_before`.
    pub fn receive(&mut self, not_before: Timestamp, before: Timestamp) -> Option<Delivery> {
        loop {
            let &(visible_at, tie, id) = self.line.first()?;
            let at = visible_at.max(not_before);
            if at >= before {
                return None;
            }
            self.line.pop_first();
            let Some(message) = self.messages.get_mut(&id) else {
                continue;
            };
            if message.receives >= RECEIVES {
                if let Some(message) = self.messages.remove(&id) {
                    self.dead.push(message.body);
                }
                continue;
            }
            message.receives += 1;
            message.visible_at = at + VISIBILITY;
            self.deliveries += 1;
            self.line.insert((message.visible_at, tie, id));
            return Some(Delivery {
                id,
                body: message.body.clone(),
                at,
                receives: message.receives,
            });
        }
    }

    /// Takes a message off, unless it has been delivered again since `delivery`.
    pub fn delete(&mut self, delivery: &Delivery) {
        let is_latest = |message: &Message| message.receives == delivery.receives;
        if self.messages.get(&delivery.id).is_some_and(is_latest) {
            self.messages.remove(&delivery.id);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn queue() -> Queue {
        Queue::new(Chance::new(1), DUPLICATED)
    }

    #[test]
    fn every_message_is_delivered_and_some_are_twice() {
        let mut queue = queue();
        for number in 0..1000 {
            queue.send(&number.to_string(), at(0));
        }
        let mut seen = BTreeMap::new();
        while let Some(delivery) = queue.receive(at(0), at(10)) {
            *seen.entry(delivery.body.clone()).or_insert(0) += 1;
            queue.delete(&delivery);
        }
        assert_eq!(seen.len(), 1000);
        assert!(seen.values().any(|count| *count == 2));
        assert!(queue.is_empty());
    }

    #[test]
    fn messages_are_delivered_in_another_order_than_they_were_sent() {
        let mut queue = queue();
        for number in 0..100 {
            queue.send(&format!("{number:03}"), at(0));
        }
        let bodies: Vec<_> = std::iter::from_fn(|| queue.receive(at(0), at(10)))
            .map(|delivery| delivery.body)
            .collect();
        assert!(!bodies.is_sorted());
    }

    #[test]
    fn what_is_not_deleted_comes_back_after_ten_minutes_and_is_put_aside_in_the_end() {
        let mut queue = queue();
        queue.send("one", at(0));
        let mut times = Vec::new();
        while let Some(delivery) = queue.receive(at(0), at(1000)) {
            times.push(delivery.at);
        }
        assert_eq!(times.len(), usize::try_from(RECEIVES).unwrap());
        assert!(
            times
                .windows(2)
                .all(|pair| matches!(pair, [one, next] if next.duration_since(*one) == VISIBILITY))
        );
        assert_eq!(queue.dead, ["one"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_late_deletion_leaves_a_later_delivery_alone() {
        let mut queue = queue();
        queue.send("one", at(0));
        let first = queue.receive(at(0), at(1)).unwrap();
        let second = queue.receive(at(0), at(20)).unwrap();
        queue.delete(&first);
        assert_eq!(queue.len(), 1);
        queue.delete(&second);
        assert!(queue.is_empty());
    }
}
