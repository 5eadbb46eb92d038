//! What was seen before, and what was not.

use std::time::Duration;

use super::Limits;
use super::keyed::Keyed;
use super::snapshot::{Bytes, Times};

/// The values that each key is known to have.
#[derive(Debug)]
pub(super) struct Novelty {
    /// When each key was seen first, nanoseconds since the epoch.
    keys: Keyed<u64>,
    /// Keys with values behind them, and when each was seen first.
    values: Keyed<u64>,
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

    pub(super) const fn evicted(&self) -> u64 {
        self.keys.evicted() + self.values.evicted()
    }

    /// Sees a key, with the value that begins at `value_at`. Whether the value is new, and the key is known for
    /// longer than its time to learn.
    pub(super) fn see(&mut self, key_and_value: &[u8], value_at: usize, now: u64, learn: Duration) -> bool {
        let (key, _) = key_and_value.split_at(value_at);
        let learn = u64::try_from(learn.as_nanos()).unwrap_or(u64::MAX);
        // A clock that was set back does not make the learning longer.
        let since = self.keys.with(key, || now, |since| std::mem::replace(since, now.min(*since)));
        let is_new = !self.values.contains(key_and_value);
        self.values.with(key_and_value, || now, |_| ());
        is_new && now.saturating_sub(since) >= learn
    }

    /// How long a key's values are only learnt; none where it has learnt enough.
    pub(super) fn learns_for(&self, key: &[u8], now: u64, learn: Duration) -> Option<Duration> {
        let since = Duration::from_nanos(now.saturating_sub(*self.keys.get(key)?));
        learn.checked_sub(since).filter(|left| !left.is_zero())
    }

    /// The keys and the values, to be kept.
    pub(super) fn keep(&self) -> (Times, Times) {
        let keep = |of: &Keyed<u64>| of.iter().map(|(key, time)| (key.into(), *time)).collect();
        (keep(&self.keys), keep(&self.values))
    }

    pub(super) fn take_back(&mut self, keys: &[(Bytes, u64)], values: &[(Bytes, u64)]) {
        for (kept, into) in [(keys, &mut self.keys), (values, &mut self.values)] {
            for (key, time) in kept {
                into.with(&key.0, || *time, |_| ());
            }
        }
    }
}
