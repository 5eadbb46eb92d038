//! Memory that changes while the kernel copies it: the kernel has read the first part when it asks for the second,
//! and gets that only when the first part holds something else.
//!
//! What the kernel does is thereby certain, on any machine and each time, and so is what a sensor says that looks into
//! the caller's memory when the call is over. See userfaultfd(2).

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::thread::JoinHandle;

/// Bytes of a page.
const PAGE: usize = 4096;

/// `UFFD_API` and the requests of `linux/userfaultfd.h`, as `_IOWR` makes them of their sizes.
const API: u64 = 0xaa;
const REQUEST_API: libc::Ioctl = 0xc018_aa3f;
const REQUEST_REGISTER: libc::Ioctl = 0xc020_aa00;
const REQUEST_COPY: libc::Ioctl = 0xc028_aa03;
/// `UFFDIO_REGISTER_MODE_MISSING` and `UFFD_EVENT_PAGEFAULT`.
const MISSING: u64 = 1;
const PAGEFAULT: u8 = 0x12;
/// Bytes of a `struct uffd_msg`, whose first one is the event.
const MESSAGE: usize = 32;

/// Two pages, of which the second is not there yet.
pub(crate) struct Torn {
    begin: *mut u8,
    /// Bytes before the second page.
    first: usize,
    changer: JoinHandle<()>,
}

impl Torn {
    /// Memory that holds `first`, and then `rest`; before the kernel gets the rest, `then` has taken the place of
    /// `first`. `None` where the kernel has no userfaultfd.
    pub(crate) fn new(first: &[u8], then: &[u8], rest: &[u8]) -> Option<Self> {
        assert!(first.len() == then.len() && first.len() <= PAGE && rest.len() <= PAGE);
        // SAFETY: the call has no preconditions.
        let faults = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        if faults < 0 {
            return None;
        }
        // SAFETY: the descriptor is new, and nobody else's.
        let mut faults = unsafe { File::from_raw_fd(faults as i32) };
        // SAFETY: new memory, which nobody else knows of. It is given back when the process ends.
        let pages = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(std::ptr::null_mut(), 2 * PAGE, protection, flags, -1, 0)
        };
        assert_ne!(pages, libc::MAP_FAILED);
        let pages = pages.cast::<u8>();
        // SAFETY: within the first page; the requests get structures of their sizes.
        let begin = unsafe {
            let begin = pages.add(PAGE - first.len());
            begin.copy_from_nonoverlapping(first.as_ptr(), first.len());
            request(&faults, REQUEST_API, &mut [API, 0, 0]);
            request(&faults, REQUEST_REGISTER, &mut [pages as u64 + PAGE as u64, PAGE as u64, MISSING, 0]);
            begin
        };
        let mut second = rest.to_vec();
        second.resize(PAGE, 0);
        let (then, at, missing) = (then.to_vec(), begin as usize, pages as u64 + PAGE as u64);
        let changer = std::thread::spawn(move || {
            let mut message = [0; MESSAGE];
            faults.read_exact(&mut message).unwrap();
            assert_eq!(message[0], PAGEFAULT);
            // SAFETY: the first page stays; that the kernel reads it meanwhile is the point. The second comes whole.
            unsafe {
                (at as *mut u8).copy_from_nonoverlapping(then.as_ptr(), then.len());
                request(&faults, REQUEST_COPY, &mut [missing, second.as_ptr() as u64, PAGE as u64, 0, 0]);
            }
        });
        Some(Torn { begin, first: first.len(), changer })
    }

    /// Where it begins, for one call.
    pub(crate) fn as_ptr<T>(&self) -> *const T {
        self.begin.cast::<T>().cast_const()
    }

    /// What the first part holds now that the call is over, which must have asked for the second.
    #[track_caller]
    pub(crate) fn first(self) -> Vec<u8> {
        self.changer.join().unwrap();
        // SAFETY: the first page holds so many bytes from there on.
        unsafe { std::slice::from_raw_parts(self.begin, self.first) }.to_vec()
    }
}

/// A request to the kernel about page faults.
///
/// # Safety
///
/// The argument has the size that the request has, and addresses in it are the caller's to give.
unsafe fn request<const WORDS: usize>(faults: &File, request: libc::Ioctl, argument: &mut [u64; WORDS]) {
    // SAFETY: the descriptor is open; the rest is the caller's.
    let result = unsafe { libc::ioctl(faults.as_raw_fd(), request, argument.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
