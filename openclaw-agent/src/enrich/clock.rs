//! From the kernel's clock, nanoseconds since boot, to the time of day.

use openclaw_detect::Timestamp;

/// The difference between the two clocks, as it was when it was last looked at.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    boot: i128,
}

impl Clock {
    /// Looks at both clocks. To be done again now and then, since the time of day can be set.
    pub fn now() -> Self {
        let since_boot = read(libc::CLOCK_BOOTTIME);
        Clock { boot: read(libc::CLOCK_REALTIME) - since_boot }
    }

    /// The time of day at so many nanoseconds since boot.
    pub fn time_of(&self, since_boot: u64) -> Timestamp {
        Timestamp(u64::try_from(self.boot + i128::from(since_boot)).unwrap_or(0))
    }

    /// Nanoseconds since boot, now.
    pub fn since_boot() -> u64 {
        u64::try_from(read(libc::CLOCK_BOOTTIME)).unwrap_or(0)
    }
}

fn read(clock: libc::clockid_t) -> i128 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`. Both clocks exist on every Linux that runs this.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_by_the_kernels_clock_is_now_by_the_time_of_day() {
        let day = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let Timestamp(kernel) = Clock::now().time_of(Clock::since_boot());
        assert!(day.abs_diff(u128::from(kernel)) < 60_000_000_000, "{day} {kernel}");
    }
}
