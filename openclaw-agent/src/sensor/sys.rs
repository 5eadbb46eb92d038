//! `bpf(2)`, where aya has no call for it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{bpf_link_info, bpf_prog_info};

/// Commands of `bpf(2)`.
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const LINK_CREATE: libc::c_long = 28;
const LINK_GET_FD_BY_ID: libc::c_long = 30;
const ITER_CREATE: libc::c_long = 33;

/// `BPF_TRACE_ITER` of `enum bpf_attach_type`.
const TRACE_ITER: u32 = 28;

/// Attaches an iterator program, to the entries of `map` where it is one over a map's entries.
pub(super) fn attach_iterator(program: BorrowedFd<'_>, map: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkCreate {
        program: u32,
        target: u32,
        attach_type: u32,
        flags: u32,
        info: u64,
        info_len: u32,
        reserved: u32,
    }
    // `union bpf_iter_link_info`, of which the first member is the map's descriptor.
    let info: [u32; 4] = [map.map_or(0, |map| map.as_raw_fd() as u32), 0, 0, 0];
    let attr = LinkCreate {
        program: program.as_raw_fd() as u32,
        target: 0,
        attach_type: TRACE_ITER,
        flags: 0,
        info: if map.is_some() { (&raw const info) as u64 } else { 0 },
        info_len: if map.is_some() { size_of_val(&info) as u32 } else { 0 },
        reserved: 0,
    };
    bpf(LINK_CREATE, &attr).map(owned)
}

/// The file that runs an attached iterator when it is read.
pub(super) fn iterate(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct IterCreate {
        link: u32,
        flags: u32,
    }
    bpf(ITER_CREATE, &IterCreate { link: link.as_raw_fd() as u32, flags: 0 }).map(owned)
}

/// What the kernel tells of a program.
pub(super) fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: plain numbers, of which all zeroes is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    get_info(program, &mut info)?;
    Ok(info)
}

/// The program of that id, for which it takes CAP_SYS_ADMIN.
pub(super) fn program(id: u32) -> io::Result<OwnedFd> {
    bpf(PROG_GET_FD_BY_ID, &GetById { id, next: 0, flags: 0 }).map(owned)
}

/// Id of the control group that a link of such a program is attached to; 0 where it was detached.
pub(crate) fn cgroup_of_link(id: u32) -> io::Result<u64> {
    let link = bpf(LINK_GET_FD_BY_ID, &GetById { id, next: 0, flags: 0 }).map(owned)?;
    // SAFETY: plain numbers, of which all zeroes is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    get_info(link.as_fd(), &mut info)?;
    // SAFETY: the kernel fills this member of the union for links to control groups; and it is plain numbers.
    Ok(unsafe { info.__bindgen_anon_1.cgroup.cgroup_id })
}

/// Which object is wanted, of the commands that take an id.
#[repr(C)]
struct GetById {
    id: u32,
    next: u32,
    flags: u32,
}

fn get_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    #[repr(C)]
    struct GetInfo {
        object: u32,
        len: u32,
        info: u64,
    }
    let len = size_of::<T>() as u32;
    bpf(
        OBJ_GET_INFO_BY_FD,
        &GetInfo { object: object.as_raw_fd() as u32, len, info: (&raw mut *info) as u64 },
    )
    .map(drop)
}

/// Makes the call. Returns what it returned.
fn bpf<T>(command: libc::c_long, attr: &T) -> io::Result<i32> {
    // SAFETY: `attr` is the head of `union bpf_attr` for this command, and its size is passed.
    let returned = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attr, size_of::<T>()) };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned as i32) }
}

fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
