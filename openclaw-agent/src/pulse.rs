//! Signs of life of the threads without which the agent is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The pulse of a thread, which beats each time that the thread's loop goes round.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The loop goes round. One addition, which waits for nobody.
    pub fn beat(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Pulses, and how far each had beaten when it was last felt.
#[derive(Debug)]
pub struct Pulses(Vec<(Pulse, u64)>);

impl Pulses {
    /// Those of these threads.
    pub fn new(pulses: impl IntoIterator<Item = Pulse>) -> Self {
        Pulses(pulses.into_iter().map(|pulse| (pulse, 0)).collect())
    }

    /// Whether every one has beaten since this was last true.
    pub fn all_beat(&mut self) -> bool {
        let all = self.0.iter().all(|(pulse, felt)| pulse.0.load(Relaxed) != *felt);
        if all {
            self.0.iter_mut().for_each(|(pulse, felt)| *felt = pulse.0.load(Relaxed));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_threads_that_live_every_one_has_beaten_again() {
        let (one, other) = (Pulse::default(), Pulse::default());
        let mut pulses = Pulses::new([one.clone(), other.clone()]);
        one.beat();
        assert!(!pulses.all_beat(), "one of them has not begun");
        other.beat();
        assert!(pulses.all_beat());
        assert!(!pulses.all_beat(), "none has beaten since");
        other.beat();
        other.beat();
        assert!(!pulses.all_beat(), "one of them stands still");
        one.beat();
        assert!(pulses.all_beat());
    }
}
