//! BPF iterators: programs that the kernel runs once for each process, open file or map entry when their file
//! is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `bpf(2)` commands.
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_ITER_CREATE: libc::c_long = 33;
/// `BPF_TRACE_ITER` of `enum bpf_attach_type`.
const BPF_TRACE_ITER: u32 = 28;

/// An attached iterator.
#[derive(Debug)]
pub(super) struct Iterator {
    link: OwnedFd,
}

/// The head of `union bpf_attr` for `BPF_LINK_CREATE`.
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

/// The head of `union bpf_attr` for `BPF_ITER_CREATE`.
#[repr(C)]
struct IterCreate {
    link: u32,
    flags: u32,
}

impl Iterator {
    /// Attaches an iterator program, to the entries of `map` where it is one over a map's entries. (aya's own
    /// attach takes no map.)
    pub(super) fn attach(program: BorrowedFd<'_>, map: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        // `union bpf_iter_link_info`, of which the first member is the map's descriptor.
        let info: [u32; 4] = [map.map_or(0, |map| map.as_raw_fd() as u32), 0, 0, 0];
        let attr = LinkCreate {
            program: program.as_raw_fd() as u32,
            target: 0,
            attach_type: BPF_TRACE_ITER,
            flags: 0,
            info: if map.is_some() { (&raw const info) as u64 } else { 0 },
            info_len: if map.is_some() { size_of_val(&info) as u32 } else { 0 },
            reserved: 0,
        };
        Ok(Iterator { link: bpf(BPF_LINK_CREATE, &attr)? })
    }

    /// Runs it to its end, and returns what the program wrote.
    pub(super) fn run(&self, output: &mut Vec<u8>) -> io::Result<()> {
        let attr = IterCreate { link: self.link.as_raw_fd() as u32, flags: 0 };
        let mut file = File::from(bpf(BPF_ITER_CREATE, &attr)?);
        let mut chunk = [0; 65536];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => output.extend_from_slice(&chunk[..read]),
                // The kernel asks to be called again after it has walked a great many objects.
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn bpf<T>(command: libc::c_long, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attr` is the head of `union bpf_attr` for this command, and its size is passed.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attr, size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
