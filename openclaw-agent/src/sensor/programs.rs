//! What the kernel tells of our programs, which aya does not show.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use aya::programs::Program;
use serde::{Deserialize, Serialize};

use super::sys;

/// How large a kernel program is, and what it has cost since it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCost {
    /// The program's name in the object file.
    pub name: String,
    /// Instructions, as the kernel has translated them.
    #[serde(default)]
    pub instructions: u32,
    /// Instructions that the verifier looked at, on all ways through the program; 0 before 5.16, which does not tell.
    #[serde(default)]
    pub verified: u32,
    /// How often it ran; 0 where the kernel does not count it (`sysctl kernel.bpf_stats_enabled`).
    pub runs: u64,
    /// How long it ran in all, likewise.
    pub time: Duration,
    /// Runs that were skipped since the program was running on that processor already; 0 before 5.12, which does not
    /// count them.
    #[serde(default)]
    pub skipped: u64,
}

/// Bytes of an instruction (`struct bpf_insn` of `include/uapi/linux/bpf.h`).
const INSTRUCTION: u32 = 8;

/// What a program has cost, since the kernel began to count it.
pub(super) fn cost(name: &str, program: &Program) -> io::Result<ProgramCost> {
    told(name, program.fd().map_err(io::Error::other)?.as_fd())
}

/// The same of the program of that id, whoever has loaded it.
pub(crate) fn cost_of(name: &str, id: u32) -> io::Result<ProgramCost> {
    told(name, sys::program(id)?.as_fd())
}

fn told(name: &str, program: BorrowedFd<'_>) -> io::Result<ProgramCost> {
    let info = sys::program_info(program)?;
    Ok(ProgramCost {
        name: name.to_owned(),
        instructions: info.xlated_prog_len / INSTRUCTION,
        verified: info.verified_insns,
        runs: info.run_cnt,
        time: Duration::from_nanos(info.run_time_ns),
        skipped: info.recursion_misses,
    })
}
