//! What was told lately is not told again.

use std::time::Duration;

use super::key::Key;
use super::keyed::{Keyed, Weigh};
use super::nanoseconds;
use crate::Event;
use crate::rule::Suppress;

/// What was told of other keys long ago, forgotten with each firing.
const TIDY: usize = 2;

/// What was told of a key. The one that was told last is the newest.
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
    let time = nanoseconds(suppress.time);
    // What was kept back is told of for as long again.
    told.forget(TIDY, |told| {
        now.abs_diff(told.last) >= if told.kept_back > 0 { time.saturating_mul(2) } else { time }
    });
    // A clock that was set back by more than the time ends it.
    let before = told.get(key.bytes()).copied();
    if before.is_some_and(|before| now.abs_diff(before.last) < time) {
        told.change(key.bytes(), |told| told.kept_back = told.kept_back.saturating_add(1));
        return None;
    }
    let after = Told { last: now, kept_back: 0 };
    told.with(key.bytes(), || after, |told| *told = after);
    Some(before.map_or(0, |before| before.kept_back))
}
