//! What was told lately is not told again.

use std::time::Duration;

use super::key::Key;
use super::keyed::{Keyed, Weigh};
use crate::Event;
use crate::rule::Suppress;

/// What was told of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// When, nanoseconds since the epoch.
    pub(super) last: u64,
    /// How many firings were not told since.
    pub(super) kept_back: u64,
}

impl Told {
    /// How long nothing more is told, and how many firings were not; none where the next one is.
    pub(super) fn quiet_for(&self, now: u64, time: Duration) -> Option<(Duration, u64)> {
        let left = time.checked_sub(Duration::from_nanos(now.abs_diff(self.last)))?;
        (!left.is_zero() && self.kept_back > 0).then_some((left, self.kept_back))
    }
}

impl Weigh for Told {
    fn weight(&self) -> usize {
        0
    }
}

/// Whether a firing is told: how many were kept back since the last one that was.
pub(super) fn tell<E: Event + ?Sized>(
    told: &mut Keyed<Told>,
    suppress: &Suppress,
    event: &E,
    key: &mut Key,
) -> Option<u64> {
    key.read_all(event, &suppress.by);
    let now = event.time().0;
    let time = u64::try_from(suppress.time.as_nanos()).unwrap_or(u64::MAX);
    let Some(before) = told.get(key.bytes()).copied() else {
        told.with(key.bytes(), || Told { last: now, kept_back: 0 }, |_| ());
        return Some(0);
    };
    // A clock that was set back by more than the time ends it.
    let is_over = now.abs_diff(before.last) >= time;
    let after = match is_over {
        true => Told { last: now, kept_back: 0 },
        false => Told { kept_back: before.kept_back.saturating_add(1), ..before },
    };
    told.with(key.bytes(), || after, |told| *told = after);
    is_over.then_some(before.kept_back)
}
