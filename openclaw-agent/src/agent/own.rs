//! What this process takes of the machine.

use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// Memory that is resident, in bytes; 0 where `/proc` does not say.
pub(super) fn resident_memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    // How large a page is, kernels before 6.4 tell by /proc alone: where it is not there, to ask is a panic.
    pages.map_or(0, |pages| pages * rustix::param::page_size() as u64)
}

/// Memory that is given back to the system where much of it is free, which the allocator would keep for ever: the kernel's
/// types, which are read to load the programs, take some 40 MiB for a moment, and processes that have ended are remembered for
/// a while.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What was resident after the last time.
    resident: u64,
    /// Whether that was one look before: what was in use then may be free by now.
    is_fresh: bool,
}

impl Memory {
    /// Gives back what is free, where more has become resident since the last time than is worth the milliseconds for which
    /// other threads may wait to allocate.
    pub(super) fn tidy(&mut self) {
        const WORTH: u64 = 8 << 20;
        let has_grown = resident_memory() >= self.resident + WORTH;
        if !has_grown && !self.is_fresh {
            return;
        }
        self.is_fresh = has_grown;
        // SAFETY: it has no preconditions; what is in use stays.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0);
        }
        self.resident = resident_memory();
    }
}

/// Time on processors since the start, of all threads.
pub(super) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Lets this process have as many descriptors as it may: an answer to a tree holds each of its processes by one.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it fails, what could not be held is said of the answer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Whether somebody has this process in the foreground of a terminal.
pub(super) fn is_in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    // SAFETY: the calls have no preconditions; the descriptor is open.
    unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) == libc::getpgrp() }
}

/// Whether whoever started this process, such as `nohup`, has it ignore a signal.
pub(super) fn ignores(signal: i32) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is changed, and the kernel writes one `sigaction`.
    let is_known = unsafe { libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) == 0 };
    // SAFETY: all zeroes are a `sigaction` too.
    is_known && unsafe { found.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_memory_and_time() {
        assert!(resident_memory() > 100_000);
        let before = processor_time();
        while processor_time() == before {}
        assert!(processor_time() > before);
    }
}
