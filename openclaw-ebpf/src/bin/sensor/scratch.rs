//! Where a record with strings is built, before it is copied into a ring at the size that it came to.
//!
//! The rings give out memory in sizes that the verifier knows beforehand, which for a record with paths and
//! arguments would be the greatest possible. So it is built here, one scratch for each CPU and *each family
//! of hooks*: a program does not run within itself on one CPU (the kernel skips such a run and counts it),
//! and two programs that could interrupt one another never share a scratch.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str};

use crate::walk::Walk;

/// Most bytes of a record, its fixed part included: the strings of an exec come to 28 KiB at most, and the
/// kernel gives out 32 KiB for each CPU.
pub const CAPACITY: u64 = 0x6e00;

/// Longest string that one step appends: the margin behind the capacity, which lets the verifier see that a
/// step that begins below the capacity ends within the scratch.
pub const STEP: u64 = 4096;

/// A record under construction.
#[repr(C)]
pub struct Scratch {
    /// How far the walk over its paths has come.
    pub walk: Walk,
    /// How many bytes of `data` are used.
    pub len: u64,
    /// The record.
    pub data: [u8; (CAPACITY + STEP) as usize],
}

impl Scratch {
    /// Begins a record with its fixed part, and gives that part to be filled in.
    #[inline(always)]
    pub fn begin<T: Copy>(&mut self, fixed: T) -> &mut T {
        self.len = size_of::<T>() as u64;
        self.walk = Walk::NONE;
        let record = self.data.as_mut_ptr().cast::<T>();
        // SAFETY: `data` is 8-byte aligned within the struct, and longer than any fixed part.
        unsafe {
            record.write(fixed);
            &mut *record
        }
    }

    /// The fixed part, of the type that the record was begun with.
    #[inline(always)]
    pub fn fixed<T: Copy>(&mut self) -> &mut T {
        // SAFETY: as in `begin`; every bit pattern is a value of these types.
        unsafe { &mut *self.data.as_mut_ptr().cast::<T>() }
    }

    /// Where the next section begins, if there is room for a step.
    #[inline(always)]
    fn room(&mut self) -> Option<*mut u8> {
        let len = self.len;
        if len >= CAPACITY {
            return None;
        }
        // SAFETY: within `data`, by the check above.
        Some(unsafe { self.data.as_mut_ptr().add(len as usize) })
    }

    /// Appends a string of the caller's memory, with its NUL. Returns the bytes appended.
    #[inline(always)]
    pub fn append_user_string(&mut self, from: u64) -> u32 {
        let Some(to) = self.room() else { return 0 };
        // SAFETY: a whole step fits behind `to`; the helper checks the source.
        let read = unsafe { bpf_probe_read_user_str(to.cast(), STEP as u32, from as *const _) };
        self.advance(read)
    }

    /// Appends a string of kernel memory, with its NUL, of at most `MAX` bytes.
    #[inline(always)]
    pub fn append_kernel_string<const MAX: u32>(&mut self, from: u64) -> u32 {
        let Some(to) = self.room() else { return 0 };
        // SAFETY: `MAX` is no more than a step, which fits behind `to`; the helper checks the source.
        let read = unsafe { bpf_probe_read_kernel_str(to.cast(), MAX, from as *const _) };
        self.advance(read)
    }

    /// Appends `len` bytes of the caller's memory, a step at most. `None` where they cannot be read.
    #[inline(always)]
    pub fn append_user_bytes(&mut self, from: u64, len: u64) -> Option<u32> {
        let to = self.room()?;
        let len = if len > STEP { STEP } else { len };
        // SAFETY: no more than a step, which fits behind `to`; the helper checks the source.
        let failed = unsafe { bpf_probe_read_user(to.cast(), len as u32, from as *const _) };
        if failed != 0 {
            return None;
        }
        Some(self.advance(len as i64))
    }

    #[inline(always)]
    fn advance(&mut self, read: i64) -> u32 {
        if read <= 0 || read > STEP as i64 {
            return 0;
        }
        self.len += read as u64;
        read as u32
    }
}
