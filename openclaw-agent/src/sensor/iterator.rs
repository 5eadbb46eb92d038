//! BPF iterators: programs that the kernel runs once for each process, open file or map entry when their file
//! is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::sys;

/// An attached iterator.
#[derive(Debug)]
pub(super) struct Iterator {
    link: OwnedFd,
}

impl Iterator {
    /// Attaches an iterator program, to the entries of `map` where it is one over a map's entries. (aya's own
    /// attach takes no map.)
    pub(super) fn attach(program: BorrowedFd<'_>, map: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        Ok(Iterator { link: sys::attach_iterator(program, map)? })
    }

    /// Runs it to its end, and returns what the program wrote.
    pub(super) fn run(&self, output: &mut Vec<u8>) -> io::Result<()> {
        let mut file = File::from(sys::iterate(self.link.as_fd())?);
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
