//! So many events, different values, or so much of a number, within a time.

use std::collections::VecDeque;

use super::key::Key;
use super::keyed::{Keyed, Weigh};
use super::{nanoseconds, snapshot};
use crate::rule::{Measure, Threshold};
use crate::{Event, Evidence, Value};

/// Slices that a window's time is counted in: what happened in one slice leaves the window at once.
const SLICES: u64 = 1024;

/// Windows of other keys that ran out, forgotten with each event that is counted.
const TIDY: usize = 2;

/// The time of a window in slices of this many nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Slices(u64);

impl Slices {
    fn of(threshold: &Threshold) -> Self {
        Slices((nanoseconds(threshold.within) / SLICES).max(1))
    }

    /// Whether both times are in one slice.
    const fn are_one(self, a: u64, b: u64) -> bool {
        a / self.0 == b / self.0
    }

    /// Whether a time is no longer in the window that ends at `now`.
    const fn is_over(self, time: u64, now: u64) -> bool {
        (time / self.0).saturating_add(SLICES) <= now / self.0
    }
}

/// What one key has seen within the time. All times are nanoseconds since the epoch.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The time of the newest event.
    newest: u64,
    /// Whether the threshold was reached at the last event.
    is_reached: bool,
    seen: Seen,
}

#[derive(Debug)]
enum Seen {
    /// Amounts by slice, each with the time of the slice's first event, the oldest first; with their sum.
    Amounts(VecDeque<(u64, u64)>, u64),
    /// Different values, each with the time at which it was seen last.
    Values(Keyed<u64>),
}

/// What a window holds that reaches its threshold.
struct Reached {
    amount: u64,
    /// The time of the oldest event in it.
    since: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Seen::Amounts(VecDeque::new(), 0)
    }
}

impl Weigh for Window {
    fn weight(&self) -> usize {
        match &self.seen {
            Seen::Amounts(amounts, _) => amounts.capacity() * size_of::<(u64, u64)>(),
            Seen::Values(values) => values.bytes(),
        }
    }
}

/// Counts the event. Returns evidence where the threshold is reached with it, and was not before.
pub(super) fn see<E: Event + ?Sized>(
    windows: &mut Keyed<Window>,
    threshold: &Threshold,
    event: &E,
    key: &mut Key,
) -> Option<Evidence> {
    key.read(event, &threshold.by)?;
    let len = key.len();
    let slices = Slices::of(threshold);
    let now = event.time().0;
    let amount = match threshold.measure {
        Measure::Count => 1,
        Measure::Sum(field) => match event.get(field)? {
            Value::Int(amount) => u64::try_from(amount).unwrap_or(0),
            _ => return None,
        },
        Measure::Distinct(field) => {
            key.push(event.get(field)?)?;
            1
        }
    };
    // What a clock that was set back has left in the future is over too.
    windows.forget(TIDY, |window| slices.is_over(window.newest, now) || slices.is_over(now, window.newest));
    let (key_bytes, value) = key.bytes().split_at(len);
    let make = || Window::new(threshold.measure);
    let at_least = threshold.at_least;
    let reached = windows.with(key_bytes, make, |window| window.add(slices, now, amount, value, at_least))?;
    let evidence = key.evidence(threshold.by.iter().copied(), reached.since);
    Some(Evidence { count: Some(reached.amount), threshold: Some(at_least), ..evidence })
}

impl Window {
    fn new(measure: Measure) -> Self {
        let seen = match measure {
            Measure::Count | Measure::Sum(_) => Seen::default(),
            // The number of values is bounded by `at_least`.
            Measure::Distinct(_) => Seen::Values(Keyed::new(usize::MAX, usize::MAX)),
        };
        Window { seen, ..Window::default() }
    }

    /// What it holds by now, which is no more than is enough.
    pub(super) fn amount(&self, now: u64, threshold: &Threshold) -> u64 {
        let slices = Slices::of(threshold);
        let counts = |time: u64| !slices.is_over(time, self.newest.max(now));
        match &self.seen {
            Seen::Amounts(amounts, _) => {
                let amounts = amounts.iter().filter(|(time, _)| counts(*time));
                amounts.fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
            }
            Seen::Values(values) => values.iter().filter(|(_, time)| counts(**time)).count() as u64,
        }
    }

    /// The rule asks something else of the same events: it may fire, though it did.
    pub(super) fn begin_to_fire_anew(&mut self) {
        self.is_reached = false;
    }

    /// To be kept.
    pub(super) fn keep(&self) -> snapshot::Window {
        let (mut amounts, mut values) = (Vec::new(), Vec::new());
        match &self.seen {
            Seen::Amounts(seen, _) => amounts = seen.iter().copied().collect(),
            Seen::Values(seen) => values = seen.iter().map(|(value, time)| (value.into(), *time)).collect(),
        }
        snapshot::Window { newest: self.newest, is_reached: self.is_reached, amounts, values }
    }

    pub(super) fn take_back(kept: &snapshot::Window, measure: Measure) -> Self {
        let mut window = Window { newest: kept.newest, is_reached: kept.is_reached, ..Window::new(measure) };
        match &mut window.seen {
            Seen::Amounts(amounts, sum) => {
                amounts.extend(&kept.amounts);
                *sum = kept.amounts.iter().fold(0, |sum, (_, amount)| sum.saturating_add(*amount));
            }
            Seen::Values(values) => {
                for (value, time) in &kept.values {
                    values.with(&value.0, || *time, |_| ());
                }
            }
        }
        window
    }

    /// Adds an event. Returns what there is where the threshold is reached now, and was not before.
    fn add(&mut self, slices: Slices, now: u64, amount: u64, value: &[u8], at_least: u64) -> Option<Reached> {
        let now = self.begin(slices, now);
        let reached = match &mut self.seen {
            Seen::Amounts(amounts, sum) => {
                while let Some((time, amount)) = amounts.front().copied()
                    && slices.is_over(time, now)
                {
                    amounts.pop_front();
                    *sum = sum.saturating_sub(amount);
                }
                self.is_reached &= !amounts.is_empty();
                match amounts.back_mut() {
                    Some((time, before)) if slices.are_one(*time, now) => {
                        *before = before.saturating_add(amount);
                    }
                    _ => amounts.push_back((now, amount)),
                }
                *sum = sum.saturating_add(amount);
                // What is more than enough is older than what is enough, and goes first anyway.
                while let Some((_, amount)) = amounts.front().copied()
                    && sum.saturating_sub(amount) >= at_least
                {
                    amounts.pop_front();
                    *sum = sum.saturating_sub(amount);
                }
                let since = amounts.front().map_or(now, |(time, _)| *time);
                (*sum >= at_least).then_some(Reached { amount: *sum, since })
            }
            Seen::Values(values) => {
                values.forget(usize::MAX, |time| slices.is_over(*time, now));
                self.is_reached &= values.len() > 0;
                values.with(value, || now, |time| *time = now);
                if values.len() as u64 > at_least {
                    values.drop_oldest();
                }
                let since = values.iter().next().map_or(now, |(_, time)| *time);
                let amount = values.len() as u64;
                (amount >= at_least).then_some(Reached { amount, since })
            }
        };
        let was_reached = std::mem::replace(&mut self.is_reached, reached.is_some());
        reached.filter(|_| !was_reached)
    }

    /// The time at which an event counts: none goes back in time. Where the clock was set back by more than the
    /// window, everything in it is of another time.
    fn begin(&mut self, slices: Slices, now: u64) -> u64 {
        if slices.is_over(now, self.newest) {
            self.is_reached = false;
            match &mut self.seen {
                Seen::Amounts(amounts, sum) => {
                    amounts.clear();
                    *sum = 0;
                }
                Seen::Values(values) => values.clear(),
            }
            self.newest = now;
        }
        self.newest = self.newest.max(now);
        self.newest
    }
}
