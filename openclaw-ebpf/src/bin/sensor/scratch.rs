//! Where a record with strings is built, before it is copied into a ring at the size that it came to.
//!
//! The rings give out memory in sizes that the verifier knows beforehand, which for a record with paths and
//! arguments would be the greatest possible. So it is built in a scratch, of which each CPU has a few.
//!
//! **One run at a time has a scratch.** A program stays on its CPU, but it is not alone there: where it can be
//! preempted (at trampolines since 5.11, at tracepoints on 7.2), another task may run it, or another one, in
//! its midst, and programs of the LSM are not even kept from running within themselves. So a run *claims* a
//! scratch: it adds one to the scratch's count of claims, and has it where it then reads one; where it reads
//! more, it takes its own away again and tries the next. Two never have the same: whichever of them read last
//! read its own claim and that of the other, who had not taken it away. One may come between another's
//! addition and reading, so that both pass over the scratch: that wastes it for a moment, and mixes nothing.
//! What must be atomic for that is the addition, which kernels have had before they had exchanges (5.12).
//!
//! **Each is released.** A run that has claimed one releases it where its [`Claimed`] ends, whichever way the run
//! takes; or it is left by a tail call, whose program finds the scratch by its thread ([`Pool::claimed`]) and
//! ends likewise. A tail call that fails returns. A thread has one at most: none of these programs runs in an
//! interrupt, nor makes another one run. And none ends before its end: the kernel stops no program, and keeps
//! a CPU as long as a task is bound to it.

use core::ops::{Deref, DerefMut};

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid,
        generated::{bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str},
    },
    macros::map,
    maps::PerCpuArray,
};
use openclaw_common::record::loss;

use crate::{atomic, emit, walk::Walk};

/// Those of execs, which nothing else can use up: one for each of the two programs that see an exec. Neither runs
/// twice at once on a CPU. Where there is but one, the agent makes room for one.
#[map]
pub static EXEC_SCRATCHES: Pool<2> = Pool::new();

/// Those of files, and of the list of processes. There is one run at a time of the exit of calls, of the return of opens
/// and of the list; any number of runs of the LSM.
#[map]
pub static FILE_SCRATCHES: Pool<4> = Pool::new();

/// The scratches of each CPU, at most `SLOTS`.
#[repr(transparent)]
pub struct Pool<const SLOTS: u32>(PerCpuArray<Slot>);

/// A scratch, and who has it.
#[repr(C)]
struct Slot {
    /// How many have it or want it.
    claims: u64,
    /// The thread that has it; 0, which is none that runs these programs, where nobody has.
    owner: u64,
    scratch: Scratch,
}

/// A scratch of which this run alone knows. It is released when this ends.
pub struct Claimed(*mut Slot);

impl<const SLOTS: u32> Pool<SLOTS> {
    const fn new() -> Self {
        Pool(PerCpuArray::with_max_entries(SLOTS, 0))
    }

    /// Claims a scratch. `None`, which is counted as a loss, where all are taken.
    #[inline(always)]
    pub fn claim(&self) -> Option<Claimed> {
        for slot in 0..SLOTS {
            if let Some(slot) = self.0.get_ptr_mut(slot)
                // SAFETY: the map's value, of this CPU.
                && unsafe { claim(slot) }
            {
                return Some(Claimed(slot));
            }
        }
        emit::count(loss::SCRATCHES);
        None
    }

    /// The scratch that was claimed by the program which has called this one.
    #[inline(always)]
    pub fn claimed(&self) -> Option<Claimed> {
        let thread = bpf_get_current_pid_tgid();
        for slot in 0..SLOTS {
            if let Some(slot) = self.0.get_ptr_mut(slot)
                // SAFETY: the map's value, of this CPU. Volatile, since others may write it.
                && unsafe { (&raw const (*slot).owner).read_volatile() } == thread
            {
                return Some(Claimed(slot));
            }
        }
        None
    }
}

/// Claims a slot. Returns whether it was free.
///
/// # Safety
/// `slot` is a map's value, of this CPU.
#[inline(always)]
unsafe fn claim(slot: *mut Slot) -> bool {
    // SAFETY: the caller's promise. What others write is read as volatile, and no reference is made to it.
    unsafe {
        let claims = &raw mut (*slot).claims;
        if claims.read_volatile() != 0 {
            return false;
        }
        atomic::add(claims, 1);
        if claims.read_volatile() != 1 {
            atomic::subtract(claims, 1);
            return false;
        }
        (&raw mut (*slot).owner).write_volatile(bpf_get_current_pid_tgid());
    }
    true
}

impl Drop for Claimed {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the map's value, and this run's until its claim is taken away, which is done last.
        unsafe {
            (&raw mut (*self.0).owner).write_volatile(0);
            atomic::subtract(&raw mut (*self.0).claims, 1);
        }
    }
}

impl Deref for Claimed {
    type Target = Scratch;

    #[inline(always)]
    fn deref(&self) -> &Scratch {
        // SAFETY: the map's value, which was claimed: nobody else has it.
        unsafe { &(*self.0).scratch }
    }
}

impl DerefMut for Claimed {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Scratch {
        // SAFETY: the map's value, which was claimed: nobody else has it.
        unsafe { &mut (*self.0).scratch }
    }
}

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
