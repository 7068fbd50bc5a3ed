//! Chance that depends on nothing but a seed and a name.

use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

/// A source of chance. What is drawn under one name does not depend on what is drawn under others, so that a part of the
/// simulation can change without changing the rest.
#[derive(Clone, Debug)]
pub struct Chance {
    seed: u64,
    numbers: fastrand::Rng,
}

impl Chance {
    /// The source of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            numbers: fastrand::Rng::with_seed(seed),
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(name.as_bytes())
            .finalize();
        let seed = hash
            .iter()
            .take(8)
            .fold(0, |folded, byte| folded << 8 | u64::from(*byte));
        Self::new(seed)
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.numbers.f64() < probability
    }

    /// A number from 0 to below 1.
    pub fn part(&mut self) -> f64 {
        self.numbers.f64()
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        self.numbers.i64(from..=to.max(from))
    }

    /// An index below `length`; 0 if there is none.
    pub fn index(&mut self, length: usize) -> usize {
        self.numbers.usize(0..length.max(1))
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// A duration between two, to the second.
    pub fn duration(&mut self, from: SignedDuration, to: SignedDuration) -> SignedDuration {
        SignedDuration::from_secs(self.between(from.as_secs(), to.as_secs()))
    }

    /// A number above zero whose logarithm is distributed like the sum of some dice: most are around one, a few are ten
    /// times as large.
    pub fn weight(&mut self) -> f64 {
        let dice: f64 = (0..6).map(|_| self.numbers.f64() - 0.5).sum();
        (dice * 1.6).exp()
    }

    /// Puts the items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.numbers.shuffle(items);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same() {
        let draw = |seed, name| Chance::new(seed).of(name).between(0, i64::MAX);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn what_was_drawn_before_does_not_change_what_another_name_gives() {
        let mut chance = Chance::new(1);
        let before = chance.of("a").index(1000);
        chance.happens(0.5);
        assert_eq!(chance.of("a").index(1000), before);
    }
}
