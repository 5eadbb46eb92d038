//! What the kernel tells of our programs, which aya does not show.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use aya::programs::Program;
use serde::{Deserialize, Serialize};

use super::sys;

/// What a kernel program has cost since it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCost {
    /// The program's name in the object file.
    pub name: String,
    /// How often it ran.
    pub runs: u64,
    /// How long it ran in all.
    pub time: Duration,
}

/// Whether the kernel counts the runs of programs and their time (`sysctl kernel.bpf_stats_enabled`), which costs some
/// nanoseconds a run.
pub(super) fn are_counted() -> bool {
    fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() == "1")
}

/// What a program has cost, since the kernel began to count it.
pub(super) fn cost(name: &str, program: &Program) -> io::Result<ProgramCost> {
    let fd = program.fd().map_err(io::Error::other)?;
    let info = sys::program_info(fd.as_fd())?;
    Ok(ProgramCost {
        name: name.to_owned(),
        runs: info.run_cnt,
        time: Duration::from_nanos(info.run_time_ns),
    })
}

/// Runs that were skipped since the program was running on that CPU already: each is a lost event. Counted by
/// the kernel since 5.12; 0 before.
pub(super) fn missed_runs(program: &Program) -> io::Result<u64> {
    let fd = program.fd().map_err(io::Error::other)?;
    Ok(sys::program_info(fd.as_fd())?.recursion_misses)
}
