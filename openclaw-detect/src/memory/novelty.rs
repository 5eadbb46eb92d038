//! What was seen before, and what was not.

use std::time::Duration;

use super::keyed::{Keyed, Weigh};
use super::snapshot::{self, Times};
use super::{Limits, nanoseconds};

/// How long an event may come after one that is newer, nanoseconds: what comes later still is of another clock.
const LATE: u64 = 60_000_000_000;

/// The values that each key is known to have.
#[derive(Debug)]
pub(super) struct Novelty {
    keys: Keyed<Learner>,
    /// Keys with values behind them, and when each was seen first, nanoseconds since the epoch.
    values: Keyed<u64>,
}

/// How much a key has learnt.
#[derive(Debug, Clone, Copy)]
struct Learner {
    /// For how long it has, nanoseconds. A clock that is set back makes that neither longer nor shorter.
    learnt: u64,
    /// When it was seen last, nanoseconds since the epoch.
    last: u64,
}

impl Weigh for Learner {
    fn weight(&self) -> usize {
        0
    }
}

impl Learner {
    /// How long it has learnt by now.
    fn by(self, now: u64) -> u64 {
        self.learnt.saturating_add(now.saturating_sub(self.last))
    }

    /// It is seen. An event that comes late is of the time of the newest.
    fn seen(self, now: u64) -> Self {
        let is_late = now < self.last && self.last - now < LATE;
        Learner { learnt: self.by(now), last: if is_late { self.last } else { now } }
    }
}

impl Novelty {
    pub(super) fn new(limits: &Limits) -> Self {
        Novelty {
            keys: Keyed::new(limits.keys, limits.bytes),
            values: Keyed::new(limits.values, limits.bytes),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.values.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }

    pub(super) const fn evicted(&self) -> u64 {
        self.keys.evicted() + self.values.evicted()
    }

    /// The oldest makes room for what other rules remember: a value, for keys without values know nothing.
    pub(super) fn evict_oldest(&mut self) {
        match self.values.len() {
            0 => self.keys.evict_oldest(),
            _ => self.values.evict_oldest(),
        }
    }

    /// Sees a key, with the value that begins at `value_at`. Whether the value is new, and the key has learnt for its
    /// time.
    pub(super) fn see(&mut self, key_and_value: &[u8], value_at: usize, now: u64, learn: Duration) -> bool {
        let (key, _) = key_and_value.split_at(value_at);
        let learnt = self.keys.with(
            key,
            || Learner { learnt: 0, last: now },
            |learner| {
                *learner = learner.seen(now);
                learner.learnt
            },
        );
        let is_new = !self.values.contains(key_and_value);
        self.values.with(key_and_value, || now, |_| ());
        is_new && learnt >= nanoseconds(learn)
    }

    /// How long a key's values are only learnt; none where it has learnt enough.
    pub(super) fn learns_for(&self, key: &[u8], now: u64, learn: Duration) -> Option<Duration> {
        let learnt = Duration::from_nanos(self.keys.get(key)?.by(now));
        learn.checked_sub(learnt).filter(|left| !left.is_zero())
    }

    /// The keys and the values, to be kept.
    pub(super) fn keep(&self) -> (Vec<snapshot::Learner>, Times) {
        let learner = |(key, learner): (&[u8], &Learner)| (key.into(), (learner.learnt, learner.last));
        let value = |(key, time): (&[u8], &u64)| (key.into(), *time);
        (self.keys.iter().map(learner).collect(), self.values.iter().map(value).collect())
    }

    pub(super) fn take_back(&mut self, keys: &[snapshot::Learner], values: &Times) {
        for (key, (learnt, last)) in keys {
            self.keys.with(&key.0, || Learner { learnt: *learnt, last: *last }, |_| ());
        }
        for (value, time) in values {
            self.values.with(&value.0, || *time, |_| ());
        }
    }
}
