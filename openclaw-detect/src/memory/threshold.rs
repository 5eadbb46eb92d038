//! So many events, different values, or so much of a number, within a time.

use std::collections::VecDeque;

use super::key::Key;
use super::keyed::{Keyed, Weigh};
use super::snapshot;
use crate::rule::{Measure, Threshold};
use crate::{Event, Evidence, Value};

/// Slices that a window's time is counted in: what happened in one slice leaves the window at once.
const SLICES: u64 = 1024;

/// Windows of other keys that ran out, forgotten with each event that is counted.
const TIDY: usize = 2;

/// What one key has seen within the time.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The slice of the newest event.
    newest: u64,
    /// Whether the threshold was reached at the last event.
    is_reached: bool,
    seen: Seen,
}

#[derive(Debug)]
enum Seen {
    /// Amounts by slice, the oldest first, with their sum.
    Amounts(VecDeque<(u64, u64)>, u64),
    /// Different values, each with the slice in which it was seen last.
    Values(Keyed<u64>),
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
    let slice_length = slice_length(threshold);
    let slice = event.time().0 / slice_length;
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
    windows.forget(TIDY, |window| is_over(window.newest, slice));
    let (key_bytes, value) = key.bytes().split_at(len);
    let at_least = threshold.at_least;
    let make = || Window::new(threshold.measure);
    let reached = windows.with(key_bytes, make, |window| window.add(slice, amount, value, at_least));
    reached.map(|since| key.evidence(threshold.by.iter().copied(), since.saturating_mul(slice_length)))
}

/// Whether a slice is no longer in the window that ends at `now`.
const fn is_over(slice: u64, now: u64) -> bool {
    slice.saturating_add(SLICES) <= now
}

/// Nanoseconds of a slice.
fn slice_length(threshold: &Threshold) -> u64 {
    (u64::try_from(threshold.within.as_nanos()).unwrap_or(u64::MAX) / SLICES).max(1)
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

    /// What it holds, which is no more than is enough.
    pub(super) fn amount(&self) -> u64 {
        match &self.seen {
            Seen::Amounts(_, sum) => *sum,
            Seen::Values(values) => values.len() as u64,
        }
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

    /// Adds an event. Returns the slice of the oldest that counts where the threshold is reached now, and was not
    /// before.
    fn add(&mut self, slice: u64, amount: u64, value: &[u8], at_least: u64) -> Option<u64> {
        let slice = self.begin(slice);
        let oldest = match &mut self.seen {
            Seen::Amounts(amounts, sum) => {
                while let Some((time, amount)) = amounts.front().copied()
                    && is_over(time, slice)
                {
                    amounts.pop_front();
                    *sum = sum.saturating_sub(amount);
                }
                self.is_reached &= !amounts.is_empty();
                match amounts.back_mut() {
                    Some((time, before)) if *time == slice => *before = before.saturating_add(amount),
                    _ => amounts.push_back((slice, amount)),
                }
                *sum = sum.saturating_add(amount);
                // What is more than enough is older than what is enough, and goes first anyway.
                while let Some((_, amount)) = amounts.front().copied()
                    && sum.saturating_sub(amount) >= at_least
                {
                    amounts.pop_front();
                    *sum = sum.saturating_sub(amount);
                }
                (*sum >= at_least).then(|| amounts.front().map_or(slice, |(time, _)| *time))
            }
            Seen::Values(values) => {
                values.forget(usize::MAX, |time| is_over(*time, slice));
                self.is_reached &= values.len() > 0;
                values.with(value, || slice, |time| *time = slice);
                if values.len() as u64 > at_least {
                    values.drop_oldest();
                }
                let oldest = values.iter().next().map_or(slice, |(_, time)| *time);
                (values.len() as u64 >= at_least).then_some(oldest)
            }
        };
        let was_reached = std::mem::replace(&mut self.is_reached, oldest.is_some());
        oldest.filter(|_| !was_reached)
    }

    /// The slice in which an event counts: none goes back in time. Where the clock was set back by more than the
    /// window, everything in it is of another time.
    fn begin(&mut self, slice: u64) -> u64 {
        if is_over(slice, self.newest) {
            self.is_reached = false;
            match &mut self.seen {
                Seen::Amounts(amounts, sum) => {
                    amounts.clear();
                    *sum = 0;
                }
                Seen::Values(values) => values.clear(),
            }
            self.newest = slice;
        }
        self.newest = self.newest.max(slice);
        self.newest
    }
}
