//! The rings, and the counters of what did not get into them.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ktime_get_boot_ns, bpf_ringbuf_output},
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use openclaw_common::record::{Control, loss};

/// Process life and credentials: a flood of other events cannot push these out.
#[map]
pub static PROCESS_RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// What goes on in the network: neither a flood of files nor one of processes pushes it out, nor it them.
#[map]
pub static NETWORK_RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// What is done to files.
#[map]
pub static FILE_RING: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

/// What was not carried, by reason: see [`loss`].
#[map]
static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);

/// What the agent tells the programs.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Unread bytes in the network or the file ring from which on the agent is woken at once. Below it reads by
/// itself, some times a second: wake-ups are what reporting costs most.
const WAKE_AT: u64 = 256 << 10;

/// `BPF_RB_AVAIL_DATA` of the kernel's UAPI.
const AVAILABLE_DATA: u64 = 0;

/// Counts one that was not carried.
#[inline(always)]
pub fn count(reason: u32) {
    if let Some(counter) = LOSSES.get_ptr_mut(reason) {
        // SAFETY: the map's value, of this CPU only.
        unsafe { *counter += 1 };
    }
}

/// What the agent asked for.
#[inline(always)]
pub fn control() -> Control {
    CONTROL.get(0).copied().unwrap_or_default()
}

/// Nanoseconds since boot.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Writes a record into the process ring, and always wakes the agent: answers wait for these.
#[inline(always)]
pub fn to_process_ring(record: *mut u8, len: u64) {
    output(&PROCESS_RING, record, len, 0, loss::PROCESS_RING);
}

/// Writes a record into the file ring.
#[inline(always)]
pub fn to_file_ring(record: *mut u8, len: u64) {
    output(&FILE_RING, record, len, wake_flags(&FILE_RING), loss::FILE_RING);
}

/// Wakes the agent only when much of a ring is unread.
#[inline(always)]
pub fn wake_flags(ring: &RingBuf) -> u64 {
    if ring.query(AVAILABLE_DATA) > WAKE_AT {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

#[inline(always)]
fn output(ring: &RingBuf, record: *mut u8, len: u64, flags: u64, full: u32) {
    // SAFETY: `record` is a map's value, of which the verifier knows that it is at least `len` long.
    let failed =
        unsafe { bpf_ringbuf_output((&raw const *ring).cast_mut().cast(), record.cast(), len, flags) };
    if failed != 0 {
        count(full);
    }
}
