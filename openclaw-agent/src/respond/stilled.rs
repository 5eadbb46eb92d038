//! Who stands still because of answers, and did so before: of two answers that stop the same process the one that ends last
//! lets it go on, and neither takes the other's work for somebody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::freezer::Freezer;
use super::process;

/// The processes and containers that answers hold. Shared by the threads that answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Stilled(Arc<Mutex<HashMap<Key, Still>>>);

/// Who is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Number and start, in clock ticks since boot.
    Process(u32, u64),
    Container(Freezer),
}

#[derive(Debug)]
struct Still {
    was_stopped: bool,
    /// How many answers hold it.
    holders: u32,
}

impl Stilled {
    /// One more answer holds a process. Returns whether it stood still before any did.
    pub(super) fn hold(&self, pid: u32, start: u64) -> bool {
        self.hold_as(Key::Process(pid, start), || process::was_stopped(pid))
    }

    /// The same of what an earlier agent held: whether it stood still before is known from then.
    pub(super) fn take_over(&self, pid: u32, start: u64, was_stopped: bool) {
        self.hold_as(Key::Process(pid, start), || was_stopped);
    }

    /// One more answer holds a container. Returns whether it was frozen before any did.
    pub(super) fn hold_container(&self, freezer: &Freezer) -> bool {
        self.hold_as(Key::Container(freezer.clone()), || freezer.is_on())
    }

    /// The same of what an earlier agent held.
    pub(super) fn take_over_container(&self, freezer: &Freezer, was_frozen: bool) {
        self.hold_as(Key::Container(freezer.clone()), || was_frozen);
    }

    fn hold_as(&self, key: Key, was_stopped: impl FnOnce() -> bool) -> bool {
        let mut held = self.lock();
        let still = held.entry(key).or_insert_with(|| Still { was_stopped: was_stopped(), holders: 0 });
        still.holders += 1;
        still.was_stopped
    }

    /// An answer holds a process no longer; `go_on` lets it go on, where no other one does and it did before.
    pub(super) fn release(&self, pid: u32, start: u64, go_on: impl FnOnce()) {
        self.release_as(Key::Process(pid, start), go_on);
    }

    /// The same of a container.
    pub(super) fn release_container(&self, freezer: &Freezer, go_on: impl FnOnce()) {
        self.release_as(Key::Container(freezer.clone()), go_on);
    }

    fn release_as(&self, key: Key, go_on: impl FnOnce()) {
        let mut held = self.lock();
        let Some(still) = held.get_mut(&key) else { return };
        still.holders -= 1;
        if still.holders == 0 {
            let was_stopped = still.was_stopped;
            held.remove(&key);
            // Before another answer looks at it, which would take it for one that stood still.
            if !was_stopped {
                go_on();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Still>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_that_holds_a_process_lets_it_go_on() {
        let stilled = Stilled::default();
        stilled.take_over(7, 8, false);
        assert!(!stilled.hold(7, 8), "what another answer does is not taken for somebody else's");
        let goes_on = |start| {
            let mut goes_on = false;
            stilled.release(7, start, || goes_on = true);
            goes_on
        };
        assert!(!goes_on(8));
        assert!(goes_on(8));
        assert!(!goes_on(8), "nobody holds it");
        stilled.take_over(7, 9, true);
        assert!(!goes_on(9), "it stood still before");
    }
}
