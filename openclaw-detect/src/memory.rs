//! What rules remember of events: windows, sequences, what was seen before, what was told lately. All of it is
//! bounded; the oldest makes room, and that is counted.

mod key;
mod keyed;
mod novelty;
mod sequence;
mod shape;
mod snapshot;
mod suppress;
mod threshold;

use std::time::Duration;

pub(crate) use self::key::Key;
use self::keyed::Keyed;
use self::novelty::Novelty;
use self::sequence::Progress;
use self::shape::Shape;
pub(crate) use self::snapshot::Remembered;
pub use self::snapshot::Snapshot;
use self::suppress::Told;
use self::threshold::Window;
use crate::compiled::{Compiled, Part};
use crate::literal::Time;
use crate::rule::When;
use crate::{Event, Evidence, Rule};

/// How much an engine may remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many rules may be true of processes and addresses at once.
    pub truths: usize,
    /// Keys of each rule with a threshold, a sequence or `suppress`.
    pub keys: usize,
    /// Values that a rule with `new` knows, those of all its keys together.
    pub values: usize,
    /// Bytes of each of these, about: keys and values may be long.
    pub bytes: usize,
    /// Bytes of all rules together, about, what is true at present apart.
    pub all_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { truths: 65_536, keys: 16_384, values: 65_536, bytes: 8 << 20, all_bytes: 64 << 20 }
    }
}

/// What one rule remembers.
#[derive(Debug)]
pub(crate) struct Memory {
    shape: Shape,
    of: Of,
    told: Option<Keyed<Told>>,
}

/// What is kept of that which a rule was true of, when it is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All: it asks what it asked.
    All,
    /// What it was true of processes with addresses: its exceptions or lists are others. What it is true of processes is
    /// found anew from these; connections are asked about with their next event.
    Connections,
    /// It asks something else.
    Nothing,
}

#[derive(Debug)]
enum Of {
    Nothing,
    Threshold(Keyed<Window>),
    Sequence(Keyed<Progress>),
    New(Novelty),
}

impl Memory {
    /// Of a rule that has seen nothing.
    pub(crate) fn new(compiled: &Compiled, limits: &Limits) -> Self {
        let rule = &compiled.rule;
        let of = match &rule.when {
            When::Turns | When::Each => Of::Nothing,
            When::Threshold(_) => Of::Threshold(Keyed::new(limits.keys, limits.bytes)),
            When::Sequence(_) => Of::Sequence(Keyed::new(limits.keys, limits.bytes)),
            When::New(_) => Of::New(Novelty::new(limits)),
        };
        let told = rule.suppress.as_ref().map(|_| Keyed::new(limits.keys, limits.bytes));
        Memory { shape: Shape::of(compiled), of, told }
    }

    /// How many keys and values had to make room for others.
    pub(crate) fn evicted(&self) -> u64 {
        let of = match &self.of {
            Of::Nothing => 0,
            Of::Threshold(windows) => windows.evicted(),
            Of::Sequence(progress) => progress.evicted(),
            Of::New(novelty) => novelty.evicted(),
        };
        of + self.told.as_ref().map_or(0, Keyed::evicted)
    }

    /// How many keys and values it holds.
    pub(crate) fn len(&self) -> usize {
        let of = match &self.of {
            Of::Nothing => 0,
            Of::Threshold(windows) => windows.len(),
            Of::Sequence(progress) => progress.len(),
            Of::New(novelty) => novelty.len(),
        };
        of + self.told.as_ref().map_or(0, Keyed::len)
    }

    /// What it takes, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        let of = match &self.of {
            Of::Nothing => 0,
            Of::Threshold(windows) => windows.bytes(),
            Of::Sequence(progress) => progress.bytes(),
            Of::New(novelty) => novelty.bytes(),
        };
        of + self.told.as_ref().map_or(0, Keyed::bytes)
    }

    /// The oldest of it makes room for what other rules remember, until it takes so many bytes less.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        let goal = self.bytes().saturating_sub(bytes);
        while self.bytes() > goal && self.len() > 0 {
            match &mut self.of {
                Of::Threshold(windows) if windows.len() > 0 => windows.evict_oldest(),
                Of::Sequence(progress) if progress.len() > 0 => progress.evict_oldest(),
                Of::New(novelty) if novelty.len() > 0 => novelty.evict_oldest(),
                _ => self.told.iter_mut().for_each(Keyed::evict_oldest),
            }
        }
    }

    /// Of what the rule is true that it was true of before.
    pub(crate) fn keeps_truths_of(&self, before: &Memory) -> Kept {
        if self.shape.asks_as(&before.shape) {
            Kept::All
        } else if self.shape.continues(&before.shape, false) {
            Kept::Connections
        } else {
            Kept::Nothing
        }
    }

    /// What it remembers, to be kept; none where that is nothing.
    pub(crate) fn remembered(&self) -> Option<Remembered> {
        let mut kept = Remembered { shape: self.shape.clone(), ..Remembered::default() };
        match &self.of {
            Of::Nothing => {}
            Of::Threshold(windows) => {
                kept.windows = windows.iter().map(|(key, window)| (key.into(), window.keep())).collect();
            }
            Of::Sequence(progress) => {
                kept.sequences =
                    progress.iter().map(|(key, progress)| (key.into(), progress.keep())).collect();
            }
            Of::New(novelty) => (kept.learners, kept.values) = novelty.keep(),
        }
        let told = self.told.iter().flat_map(Keyed::iter);
        kept.told = told.map(|(key, told)| (key.into(), (told.last, told.kept_back))).collect();
        (!kept.is_empty()).then_some(kept)
    }

    /// Takes back what was kept of the rule, as far as it means the same.
    pub(crate) fn take_back(&mut self, rule: &Rule, kept: &Remembered) {
        if self.shape.continues(&kept.shape, matches!(self.of, Of::New(_))) {
            match (&mut self.of, &rule.when) {
                (Of::Threshold(windows), When::Threshold(threshold)) => {
                    for (key, window) in &kept.windows {
                        windows.with(&key.0, || Window::take_back(window, threshold.measure), |_| ());
                    }
                }
                (Of::Sequence(progress), When::Sequence(sequence)) => {
                    let steps = sequence.steps.len();
                    for (key, kept) in kept.sequences.iter().filter(|(_, kept)| kept.times.len() == steps) {
                        progress.with(&key.0, || Progress::take_back(kept), |_| ());
                    }
                }
                (Of::New(novelty), When::New(_)) => novelty.take_back(&kept.learners, &kept.values),
                _ => {}
            }
            self.settle(&kept.shape);
        }
        if let Some(told) = &mut self.told
            && self.shape.tells_as(&kept.shape)
        {
            for (key, (last, kept_back)) in &kept.told {
                told.with(&key.0, || Told { last: *last, kept_back: *kept_back }, |_| ());
            }
        }
    }

    /// Goes on with what the rule remembered before it was changed, as far as it means the same.
    pub(crate) fn take_over(&mut self, before: Memory) {
        let Memory { shape, of, told } = before;
        if self.shape.continues(&shape, matches!(self.of, Of::New(_))) {
            self.of = of;
            self.settle(&shape);
        }
        if self.shape.tells_as(&shape) {
            self.told = told;
        }
    }

    /// What was counted of events that are no longer asked for, or by other lists, is still counted. Who has reached
    /// the threshold with it may reach it with what is asked now.
    fn settle(&mut self, before: &Shape) {
        if let Of::Threshold(windows) = &mut self.of
            && !self.shape.asks_as(before)
        {
            windows.change_all(Window::begin_to_fire_anew);
        }
    }

    /// A part of the rule is true of the event: whether the rule fires with that, and on what evidence.
    pub(crate) fn see<E: Event + ?Sized>(
        &mut self,
        rule: &Rule,
        part: Part,
        event: &E,
        key: &mut Key,
    ) -> Option<Evidence> {
        let now = event.time().0;
        match (&mut self.of, &rule.when) {
            (Of::Threshold(windows), When::Threshold(threshold)) => {
                threshold::see(windows, threshold, event, key)
            }
            (Of::Sequence(progress), When::Sequence(sequence)) => {
                sequence::see(progress, sequence, part, event, key)
            }
            (Of::New(novelty), When::New(new)) => {
                key.read(event, &new.by)?;
                let value_at = key.len();
                key.push(event.get(new.field)?)?;
                let fields = new.by.iter().copied().chain([new.field]);
                novelty.see(key.bytes(), value_at, now, new.learn).then(|| key.evidence(fields, now))
            }
            _ => Some(Evidence::default()),
        }
    }

    /// Where it stands after this event, in sentences.
    pub(crate) fn standing<E: Event + ?Sized>(&self, rule: &Rule, event: &E, key: &mut Key) -> Vec<String> {
        let now = event.time().0;
        let mut all = Vec::new();
        if key.read(event, rule.when.by()).is_none() {
            all.push("the event lacks a field that the rule counts by, and does not count".to_owned());
            return all;
        }
        let by = key.described(rule.when.by());
        match (&self.of, &rule.when) {
            (Of::Threshold(windows), When::Threshold(threshold)) => {
                let count = windows.get(key.bytes()).map_or(0, |window| window.amount(now, threshold));
                all.push(format!("it counts {count} of {}{by}", threshold.at_least));
            }
            (Of::Sequence(progress), When::Sequence(sequence)) => {
                let reached = progress.get(key.bytes()).map_or(0, |of| of.reached(now, sequence));
                let steps = sequence.steps.len();
                all.push(match (reached, sequence.ordered) {
                    (0, _) => format!("no step was reached{by}"),
                    (_, true) => format!("step {reached} of {steps} was reached{by}"),
                    (_, false) => format!("{reached} of {steps} steps were seen{by}"),
                });
            }
            (Of::New(novelty), When::New(new)) => {
                let left = novelty.learns_for(key.bytes(), now, new.learn);
                all.extend(left.map(|left| format!("it learns for another {}{by}", Time(left))));
            }
            _ => {}
        }
        if let (Some(told), Some(suppress)) = (&self.told, &rule.suppress) {
            key.read_all(event, &suppress.by);
            let quiet = told.get(key.bytes()).and_then(|told| told.quiet_for(now, suppress.time));
            all.extend(quiet.map(|(left, kept_back)| {
                format!("it keeps quiet for another {}: {kept_back} firings were not told", Time(left))
            }));
        }
        all
    }

    /// Takes the event as seen before the rule ran: what is new is no news.
    pub(crate) fn learn<E: Event + ?Sized>(&mut self, rule: &Rule, event: &E, key: &mut Key) {
        if let (Of::New(_), When::New(_)) = (&self.of, &rule.when) {
            let _ = self.see(rule, Part::Condition, event, key);
        }
    }

    /// Whether the firing is to be told: how many were not since the last one that was.
    pub(crate) fn tell<E: Event + ?Sized>(&mut self, rule: &Rule, event: &E, key: &mut Key) -> Option<u64> {
        let (Some(told), Some(suppress)) = (&mut self.told, &rule.suppress) else { return Some(0) };
        suppress::tell(told, suppress, event, key)
    }
}

/// Nanoseconds, as the times of events are.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
