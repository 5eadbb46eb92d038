//! How often the kernel skipped a run of our programs, which aya does not show.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use aya::programs::Program;
use aya_obj::generated::bpf_prog_info;

/// `BPF_OBJ_GET_INFO_BY_FD` of `bpf(2)`.
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

#[repr(C)]
struct GetInfo {
    object: u32,
    len: u32,
    info: u64,
}

/// Runs that were skipped since the program was running on that CPU already: each is a lost event. Counted by
/// the kernel since 5.12; 0 before.
pub(super) fn missed_runs(program: &Program) -> io::Result<u64> {
    let fd = program.fd().map_err(io::Error::other)?;
    // SAFETY: a struct of plain numbers, of which all zeroes is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let attr = GetInfo {
        object: fd.as_fd().as_raw_fd() as u32,
        len: size_of::<bpf_prog_info>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `attr` is the head of `union bpf_attr` for this command; `info` is as long as it says.
    let failed = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attr, size_of::<GetInfo>())
    };
    if failed < 0 { Err(io::Error::last_os_error()) } else { Ok(info.recursion_misses) }
}
