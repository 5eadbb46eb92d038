//! The last lines, and who is told the next ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Level, Line};

/// How many lines are kept at most.
const LINES: usize = 4096;

/// How much memory they take at most, in bytes.
const BYTES: usize = 1024 * 1024;

/// How many lines wait for a follower at most.
const QUEUE: usize = 1024;

/// The last lines of the log. Who writes one never waits for who reads.
#[derive(Debug, Default)]
pub struct Ring(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    followers: Vec<Follower>,
}

#[derive(Debug)]
struct Follower {
    level: Level,
    lines: mpsc::Sender<Arc<Line>>,
    lost: Arc<AtomicU64>,
}

/// Lines on their way to one follower.
#[derive(Debug)]
pub struct Following {
    /// Those that were there already, the oldest first.
    pub before: Vec<Arc<Line>>,
    /// Those that come. Dropping the receiver ends it.
    pub lines: mpsc::Receiver<Arc<Line>>,
    /// How many were left out since the follower was last told; who tells it takes them out.
    pub lost: Arc<AtomicU64>,
}

impl Ring {
    /// Adds a line, and forgets the oldest where there is no room.
    pub fn push(&self, line: Line) {
        let line = Arc::new(line);
        let mut state = self.state();
        state.followers.retain(|follower| follower.offer(&line));
        state.bytes += line.size();
        state.lines.push_back(line);
        while state.lines.len() > LINES || state.bytes > BYTES {
            let Some(oldest) = state.lines.pop_front() else { return };
            state.bytes -= oldest.size();
        }
    }

    /// The last lines that matter at least so much, the oldest first.
    pub fn last(&self, count: usize, level: Level) -> Vec<Arc<Line>> {
        self.state().last(count, level)
    }

    /// The same, and from there on each that comes: none is told twice, and none is missing between.
    pub fn follow(&self, count: usize, level: Level) -> Following {
        let (sender, lines) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let mut state = self.state();
        state.followers.push(Follower { level, lines: sender, lost: Arc::clone(&lost) });
        Following { before: state.last(count, level), lines, lost }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn last(&self, count: usize, level: Level) -> Vec<Arc<Line>> {
        let mut lines: Vec<_> =
            self.lines.iter().rev().filter(|line| line.level <= level).take(count).cloned().collect();
        lines.reverse();
        lines
    }
}

impl Follower {
    /// Returns whether it is still there.
    fn offer(&self, line: &Arc<Line>) -> bool {
        if line.level > self.level {
            return !self.lines.is_closed();
        }
        match self.lines.try_send(Arc::clone(line)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_detect::Timestamp;

    use super::*;

    fn line(level: Level, message: impl Into<String>) -> Line {
        Line { time: Timestamp(0), level, message: message.into(), fields: Vec::new() }
    }

    fn messages(lines: &[Arc<Line>]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn the_oldest_lines_are_forgotten_by_number_and_by_size() {
        let ring = Ring::default();
        for number in 0..LINES + 5 {
            ring.push(line(Level::Info, number.to_string()));
        }
        let lines = ring.last(usize::MAX, Level::Info);
        assert_eq!((lines.len(), lines[0].message.as_str()), (LINES, "5"));
        for _ in 0..3 {
            ring.push(line(Level::Info, "x".repeat(BYTES / 2)));
        }
        assert_eq!(ring.last(usize::MAX, Level::Info).len(), 1);
        assert!(ring.state().bytes <= BYTES);
    }

    #[test]
    fn the_last_lines_are_those_that_matter_enough() {
        let ring = Ring::default();
        for (level, message) in
            [(Level::Error, "a"), (Level::Info, "b"), (Level::Warn, "c"), (Level::Debug, "d")]
        {
            ring.push(line(level, message));
        }
        assert_eq!(messages(&ring.last(2, Level::Warn)), ["a", "c"]);
        assert_eq!(messages(&ring.last(1, Level::Warn)), ["c"]);
        assert_eq!(messages(&ring.last(9, Level::Trace)), ["a", "b", "c", "d"]);
        assert!(ring.last(0, Level::Trace).is_empty());
    }

    #[test]
    fn a_follower_is_told_what_comes_and_how_much_it_missed() {
        let ring = Ring::default();
        ring.push(line(Level::Info, "before"));
        let mut following = ring.follow(1, Level::Info);
        assert_eq!(messages(&following.before), ["before"]);
        ring.push(line(Level::Debug, "not asked for"));
        for number in 0..QUEUE + 5 {
            ring.push(line(Level::Info, number.to_string()));
        }
        assert_eq!(following.lines.try_recv().unwrap().message, "0");
        assert_eq!(following.lost.load(Relaxed), 5);
        drop(following);
        ring.push(line(Level::Debug, "x"));
        assert!(ring.state().followers.is_empty());
    }
}
