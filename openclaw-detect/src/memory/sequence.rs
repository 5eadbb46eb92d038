//! Steps that follow one another within a time.

use super::key::Key;
use super::keyed::{Keyed, Weigh};
use super::{nanoseconds, snapshot};
use crate::compiled::Part;
use crate::rule::Sequence;
use crate::{Event, Evidence};

/// Sequences of other keys that ran out, forgotten with each event that is a step.
const TIDY: usize = 2;

/// How far one key has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// The time of the newest step.
    newest: u64,
    /// Of an ordered sequence, for each step the latest time at which one began that has come to this step; of an
    /// unordered one, the time at which each step was seen last. Nanoseconds since the epoch.
    times: Box<[Option<u64>]>,
}

impl Weigh for Progress {
    fn weight(&self) -> usize {
        size_of_val(&*self.times)
    }
}

/// A step or the end of the sequence is true of the event. Returns evidence where the sequence is complete with it.
///
/// Of one event the last step is to be asked first, so that no event is two steps of an ordered sequence.
pub(super) fn see<E: Event + ?Sized>(
    all: &mut Keyed<Progress>,
    sequence: &Sequence,
    part: Part,
    event: &E,
    key: &mut Key,
) -> Option<Evidence> {
    let now = event.time().0;
    let within = nanoseconds(sequence.within);
    // What a clock that was set back has left in the future is over too.
    all.forget(TIDY, |progress| progress.newest.abs_diff(now) > within);
    let step = match part {
        Part::Step(number) => usize::from(number),
        _ => {
            key.read(event, sequence.until.as_ref().map_or(&[][..], |until| &until.by))?;
            all.remove(key.bytes());
            return None;
        }
    };
    let by = &sequence.steps.get(step)?.by;
    key.read(event, by)?;
    // A step that nothing came before takes no memory.
    if sequence.ordered && step > 0 && !all.contains(key.bytes()) {
        return None;
    }
    let steps = sequence.steps.len();
    let make = || Progress { newest: now, times: vec![None; steps].into() };
    let since = all.with(key.bytes(), make, |progress| progress.step(step, now, within, sequence.ordered))?;
    let evidence = key.evidence(by.iter().copied(), since);
    all.remove(key.bytes());
    Some(evidence)
}

impl Progress {
    /// Of an ordered sequence the last step, from 1, that was reached, of an unordered one how many steps were seen, as
    /// far as the rest can still come in time.
    pub(super) fn reached(&self, now: u64, sequence: &Sequence) -> usize {
        let within = nanoseconds(sequence.within);
        let in_time = |time: &Option<u64>| time.is_some_and(|time| now.saturating_sub(time) <= within);
        match sequence.ordered {
            true => self.times.iter().rposition(in_time).map_or(0, |step| step + 1),
            false => self.times.iter().filter(|time| in_time(time)).count(),
        }
    }

    /// To be kept.
    pub(super) fn keep(&self) -> snapshot::Progress {
        snapshot::Progress { newest: self.newest, times: self.times.to_vec() }
    }

    pub(super) fn take_back(kept: &snapshot::Progress) -> Self {
        Progress { newest: kept.newest, times: kept.times.clone().into() }
    }

    /// Takes a step. Returns when the sequence began, where it is complete with it.
    fn step(&mut self, step: usize, now: u64, within: u64, ordered: bool) -> Option<u64> {
        // No step goes back in time; where the clock was set back by more than the sequence may take, what came
        // before is of another time.
        if now.saturating_add(within) < self.newest {
            self.times.fill(None);
            self.newest = now;
        }
        let now = self.newest.max(now);
        self.newest = now;
        let in_time = |time: &u64| now.saturating_sub(*time) <= within;
        if ordered {
            let began = match step.checked_sub(1) {
                None => now,
                Some(before) => self.times[before].filter(in_time)?,
            };
            self.times[step] = self.times[step].max(Some(began));
            return (step + 1 == self.times.len()).then_some(began);
        }
        self.times[step] = Some(now);
        // A step that is missing, or too long ago, is less than any.
        self.times.iter().map(|time| time.filter(in_time)).min().flatten()
    }
}
