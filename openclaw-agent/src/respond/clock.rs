//! Time since boot, by which verdicts end, and the time of day, which people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openclaw_detect::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, time asleep included: the clock of the kernel programs.
pub(super) fn since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanoseconds) =
        (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds * 1_000_000_000 + nanoseconds
}

/// The time of day.
pub(super) fn wall() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(nanoseconds(now))
}

/// The time of day when the boot clock will show `expiry`.
pub(super) fn wall_at(expiry: u64) -> Timestamp {
    let (now, wall) = (since_boot(), wall());
    Timestamp(wall.0.saturating_add(expiry).saturating_sub(now))
}

/// A duration as the kernel counts it. Some 580 years at most.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
