//! How soon the thread that reads events gets a processor.

use std::io;

/// Of -20 to 19, as nice(2) has it.
const NICENESS: i32 = -10;

/// For how long it asks to run at a time, in nanoseconds; the least that the kernel takes (`sched_setattr` in the kernel's
/// `syscalls.c`). Whoever asks for less is let in sooner, also while another has not run for as long as it asked (since
/// 6.12; kernels before do not mind).
const SLICE: u64 = 100_000;

/// Has this thread go before others: the sooner it is at work, the less is done by what is to stand still or to end.
///
/// # Errors
/// The kernel refuses: without CAP_SYS_NICE nobody goes before others.
pub(super) fn go_first() -> io::Result<()> {
    // SAFETY: the call has no preconditions; 0 is this thread.
    if unsafe { libc::sched_getscheduler(0) } != libc::SCHED_OTHER {
        return Ok(()); // Somebody has decided otherwise, as by CPUSchedulingPolicy of a service.
    }
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        // What this thread begins does not.
        sched_flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
        sched_nice: NICENESS,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads as many bytes as `size` says, which are there; 0 is this thread.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_root_goes_first() {
        // Of a thread of its own: the test's harness is not to go before others.
        let outcome = std::thread::spawn(|| {
            // SAFETY: the call has no preconditions; 0 is this thread, as Linux has it.
            let niceness = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            let before = niceness();
            (before, go_first().is_ok(), niceness())
        });
        let (before, gone, niceness) = outcome.join().unwrap();
        assert_eq!(niceness, if gone { NICENESS } else { before });
    }
}
