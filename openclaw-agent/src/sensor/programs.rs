//! How often the kernel skipped a run of our programs, which aya does not show.

use std::io;
use std::os::fd::AsFd;

use aya::programs::Program;

use super::sys;

/// Runs that were skipped since the program was running on that CPU already: each is a lost event. Counted by
/// the kernel since 5.12; 0 before.
pub(super) fn missed_runs(program: &Program) -> io::Result<u64> {
    let fd = program.fd().map_err(io::Error::other)?;
    Ok(sys::program_info(fd.as_fd())?.recursion_misses)
}
