//! The rings, and the counters of what did not get into them.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ktime_get_boot_ns, bpf_ringbuf_output},
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use openclaw_common::record::{ATTENTIVE, Control, loss};

use crate::atomic;

/// Process life and credentials: a flood of other events cannot push these out.
#[map]
pub static PROCESS_RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// What goes on in the network: neither a flood of files nor one of processes pushes it out, nor it them.
#[map]
pub static NETWORK_RING: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// What is done to files.
#[map]
pub static FILE_RING: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// What was not carried, by reason: see [`loss`].
#[map]
static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);

/// What the agent tells the programs.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// When the agent was last woken by each sort of records ([`URGENT`] and so on), nanoseconds since boot.
#[map]
static WOKEN: Array<u64> = Array::with_max_entries(4, 0);

/// Records for which answers wait.
const URGENT: u32 = 0;
/// Other records of the process ring.
const PROCESS: u32 = 1;
/// Those of the network ring.
const NETWORK: u32 = 2;
/// Those of the file ring.
const FILE: u32 = 3;

/// Unread bytes in a ring from which on the agent is woken sooner.
const WAKE_AT: u64 = 256 << 10;

/// How long it is not woken even then, in nanoseconds: it is at work.
const PAUSE: u64 = 3_000_000;

/// `BPF_RB_AVAIL_DATA` of the kernel's UAPI.
const AVAILABLE_DATA: u64 = 0;

/// Counts one that was not carried.
#[inline(always)]
pub fn count(reason: u32) {
    if let Some(counter) = LOSSES.get_ptr_mut(reason) {
        // SAFETY: the map's value, an aligned number. Atomically, since the program of another task may come in
        // between and count too.
        unsafe { atomic::add(counter, 1) };
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

/// Writes a record into the process ring for which an answer waits.
#[inline(always)]
pub fn to_process_ring(record: *mut u8, len: u64) {
    let interval = u64::from(control().wake_interval);
    output(&PROCESS_RING, record, len, wake_flags(&PROCESS_RING, URGENT, interval), loss::PROCESS_RING);
}

/// Writes a record into the process ring that no answer waits for: forks and exits, which are two thirds of what
/// this ring carries.
#[inline(always)]
pub fn to_process_ring_later(record: *mut u8, len: u64) {
    output(&PROCESS_RING, record, len, wake_flags(&PROCESS_RING, PROCESS, ATTENTIVE), loss::PROCESS_RING);
}

/// Writes a record into the file ring.
#[inline(always)]
pub fn to_file_ring(record: *mut u8, len: u64) {
    output(&FILE_RING, record, len, wake_flags(&FILE_RING, FILE, ATTENTIVE), loss::FILE_RING);
}

/// How a record of the network ring is submitted.
#[inline(always)]
pub fn network_flags() -> u64 {
    wake_flags(&NETWORK_RING, NETWORK, ATTENTIVE)
}

/// Wakes the agent unless that was done within `awake` nanoseconds for the same sort, so that it looks again by itself; or,
/// when much of the ring is unread, within [`PAUSE`]. Wake-ups are what reporting costs most. Processors that ask at once may
/// both wake it.
#[inline(always)]
fn wake_flags(ring: &RingBuf, sort: u32, awake: u64) -> u64 {
    let Some(woken) = WOKEN.get_ptr_mut(sort) else { return u64::from(BPF_RB_FORCE_WAKEUP) };
    let now = now();
    // SAFETY: the map's value, an aligned number: what another processor writes meanwhile is read before or after.
    let since = now.wrapping_sub(unsafe { *woken });
    if since < awake && (since < PAUSE || ring.query(AVAILABLE_DATA) <= WAKE_AT) {
        return u64::from(BPF_RB_NO_WAKEUP);
    }
    // SAFETY: likewise.
    unsafe { *woken = now };
    u64::from(BPF_RB_FORCE_WAKEUP)
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
