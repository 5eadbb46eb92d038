//! For how long an alert has waited, whatever is done to the clock meanwhile.

use std::time::{Duration, Instant};

use openclaw_detect::Timestamp;

use crate::output::time;

/// What the two clocks may differ by before the one of the day counts as set.
const LEAST: Duration = Duration::from_secs(10);

/// How many times the clock was set are remembered.
const MOST: usize = 16;

/// Tells ages by the time of day, which is all that is written down, without what the clock was set forward meanwhile. A
/// host that slept did not wait: the clock beside it stands still then.
#[derive(Debug)]
pub(super) struct Ages {
    /// Both clocks when they were looked at last.
    seen: (Timestamp, Instant),
    /// Before which moments the clock was set forward, and by how much.
    set: Vec<(Timestamp, Duration)>,
}

impl Ages {
    pub(super) fn new() -> Ages {
        Ages { seen: (time::now(), Instant::now()), set: Vec::new() }
    }

    /// How old what waits since then is now.
    pub(super) fn of(&mut self, since: Timestamp) -> Duration {
        self.of_at(since, time::now(), Instant::now())
    }

    fn of_at(&mut self, since: Timestamp, now: Timestamp, instant: Instant) -> Duration {
        let (day, before) = self.seen;
        // What the time of day would be, had nobody set it.
        let unset = time::after(day, instant.saturating_duration_since(before));
        self.seen = (now, instant);
        let (forward, back) = (between(unset, now), between(now, unset));
        if forward > LEAST {
            if self.set.len() == MOST {
                self.set.remove(0);
            }
            self.set.push((unset, forward));
        } else if back > LEAST {
            self.take_back(back);
        }
        let set = self.set.iter().filter(|(moment, _)| since <= *moment).map(|(_, forward)| *forward).sum();
        between(since, now).saturating_sub(set)
    }

    /// The clock was set back by so much: as far as it had been set forward before, that is undone.
    fn take_back(&mut self, mut back: Duration) {
        for (_, forward) in self.set.iter_mut().rev() {
            let undone = back.min(*forward);
            *forward -= undone;
            back -= undone;
        }
        self.set.retain(|(_, forward)| !forward.is_zero());
    }
}

/// From one moment to a later one; nothing where it is none.
fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_nanos(later.0.saturating_sub(earlier.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;

    /// An age at so many seconds after the start, of which the clock is wrong by `off`.
    fn age(ages: &mut Ages, start: (Timestamp, Instant), since: Timestamp, second: u64, off: u64) -> u64 {
        let now = Timestamp(start.0.0 + second * SECOND + off);
        ages.of_at(since, now, start.1 + Duration::from_secs(second)).as_secs()
    }

    #[test]
    fn a_clock_that_is_set_makes_nothing_older_than_it_is() {
        let mut ages = Ages::new();
        let start = ages.seen;
        let before = Timestamp(start.0.0 - 100 * SECOND);
        assert_eq!(age(&mut ages, start, start.0, 50, 0), 50);
        assert_eq!(age(&mut ages, start, start.0, 60, DAY), 60, "set forward");
        assert_eq!(age(&mut ages, start, before, 60, DAY), 160);
        assert_eq!(age(&mut ages, start, start.0, 70, 3 * DAY), 70, "and once more");
        let between = Timestamp(start.0.0 + 62 * SECOND + DAY);
        assert_eq!(age(&mut ages, start, between, 70, 3 * DAY), 8, "what came between the two");
        let after = Timestamp(start.0.0 + 71 * SECOND + 3 * DAY);
        assert_eq!(age(&mut ages, start, after, 80, 3 * DAY), 9, "what came after them");
        assert_eq!(age(&mut ages, start, start.0, 90, 0), 90, "set right again");
        assert_eq!(age(&mut ages, start, after, 90, 0), 0, "what came meanwhile is of the future");
        for day in 1..100 {
            age(&mut ages, start, start.0, 90, day * DAY);
        }
        assert_eq!(ages.set.len(), MOST);
    }

    #[test]
    fn what_waits_is_as_old_as_it_is_where_nobody_sets_the_clock() {
        let mut ages = Ages::new();
        let start = ages.seen;
        for second in [1, 3600, 86_400] {
            // Clocks run a little apart.
            assert_eq!(
                age(&mut ages, start, start.0, second, second * SECOND / 10_000),
                second + second / 10_000
            );
        }
        assert_eq!(ages.set, []);
    }
}
