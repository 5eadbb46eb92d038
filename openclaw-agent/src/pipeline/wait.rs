//! How the thread waits: until the kernel wakes it for a ring, another thread rings, or it has promised to look again.
//!
//! The kernel wakes the thread for few records only, and counts on it to look again by itself after those: within
//! `Control::wake_interval` where answers wait, within [`ATTENTIVE`] else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use openclaw_common::record::ATTENTIVE;
use rustix::event::{Timespec, epoll};

/// How much longer than the kernel does not wake it for them the thread waits after records of processes: what was made
/// within that time is there then.
const MARGIN: Duration = Duration::from_millis(1);

/// How long after any records the thread looks again: longer than the kernel does not wake it for them.
const AGAIN: Duration = Duration::from_nanos(2 * ATTENTIVE);

/// How long it sleeps when nothing was there: what it does by the clock it does in between.
const NAP: Duration = Duration::from_millis(100);

/// What a look at the rings came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// Records of processes.
    pub(super) processes: bool,
    /// Records of networks or files.
    pub(super) others: bool,
    /// A whole batch of one ring: there is more.
    pub(super) more: bool,
}

impl Found {
    /// Whether there was anything.
    pub(super) fn anything(self) -> bool {
        self.processes || self.others
    }
}

/// Until when the thread has promised to look again.
#[derive(Debug)]
pub(super) struct Promises {
    interval: Duration,
    soon: Instant,
    again: Instant,
}

impl Promises {
    /// Those of a thread that has just taken in what there was, and that the kernel does not wake within that time
    /// again for records for which answers wait.
    pub(super) fn new(wake_interval: Duration, now: Instant) -> Self {
        let interval = if wake_interval.is_zero() { wake_interval } else { wake_interval + MARGIN };
        Promises { interval, soon: now + interval, again: now + AGAIN }
    }

    /// Makes those that follow from what was found.
    pub(super) fn renew(&mut self, found: Found, now: Instant) {
        if found.processes {
            self.soon = now + self.interval;
        }
        if found.anything() {
            self.again = now + AGAIN;
        }
    }

    /// How long the thread may wait.
    pub(super) fn at_most(&self, now: Instant) -> Duration {
        let left = |until: Instant| Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero());
        left(self.soon).or_else(|| left(self.again)).unwrap_or(NAP)
    }
}

/// What wakes the thread.
#[derive(Debug)]
pub(super) struct Alarm {
    epoll: OwnedFd,
}

/// Marks the bell among what was polled.
const BELL: u64 = 1;

impl Alarm {
    /// Made of what wakes it once at each time, and of a bell that rings until it is silent.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(super) fn new(once: &[BorrowedFd<'_>], bell: BorrowedFd<'_>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // By its edge: a ring tells when the kernel wakes for it, not that it holds what it was not to wake for.
        let woken = epoll::EventFlags::IN | epoll::EventFlags::ET;
        for one in once {
            epoll::add(&epoll, one, epoll::EventData::new_u64(0), woken)?;
        }
        epoll::add(&epoll, bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        Ok(Alarm { epoll })
    }

    /// Waits. Returns whether the bell rings.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 8];
        // A time that a number of seconds cannot hold is no time at which the thread waits.
        let timeout = Timespec::try_from(at_most).ok();
        // An interrupted wait is a short one.
        let count = epoll::wait(self.epoll.as_fd(), &mut events, timeout.as_ref()).unwrap_or(0);
        events.iter().take(count).any(|event| event.data.u64() == BELL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESSES: Found = Found { processes: true, others: false, more: false };
    const OTHERS: Found = Found { processes: false, others: true, more: true };

    #[test]
    fn what_the_kernel_counts_on_is_kept_whatever_is_found_meanwhile() {
        let begun = Instant::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let interval = Duration::from_millis(3);
        let soon = interval + MARGIN;
        let mut promises = Promises::new(interval, begun);
        assert_eq!(promises.at_most(begun), soon, "what was there at the start may have been urgent");
        promises.renew(PROCESSES, begun);
        // A whole batch of files in between takes nothing from it.
        promises.renew(OTHERS, after(1));
        assert_eq!(promises.at_most(after(1)), soon - Duration::from_millis(1));
        promises.renew(Found::default(), after(4));
        assert_eq!(promises.at_most(after(4)), AGAIN - Duration::from_millis(3));
        assert_eq!(promises.at_most(after(100)), NAP);
        assert!(AGAIN.as_nanos() > u128::from(ATTENTIVE));
        // Where the kernel always wakes, there is nothing to look for before.
        let mut promises = Promises::new(Duration::ZERO, begun);
        promises.renew(PROCESSES, begun);
        assert_eq!(promises.at_most(begun), AGAIN);
    }

    #[test]
    fn the_bell_ends_a_wait_and_is_told_from_the_rings() {
        let bell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let rings =
            [(); 3].map(|()| rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap());
        let [a, b, c] = &rings;
        let alarm = Alarm::new(&[a.as_fd(), b.as_fd(), c.as_fd()], bell.as_fd()).unwrap();
        assert!(!alarm.wait(Duration::from_millis(1)));
        rustix::io::write(b, &1u64.to_ne_bytes()).unwrap();
        assert!(!alarm.wait(Duration::from_secs(60)), "a ring, at once");
        let waited = Instant::now();
        assert!(!alarm.wait(Duration::from_millis(20)), "what it holds wakes once");
        assert!(waited.elapsed() >= Duration::from_millis(20));
        rustix::io::write(&bell, &1u64.to_ne_bytes()).unwrap();
        assert!(
            alarm.wait(Duration::from_secs(60)) && alarm.wait(Duration::from_secs(60)),
            "until it is silent"
        );
    }
}
