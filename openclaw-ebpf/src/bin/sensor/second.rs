//! The second watch over forks, execs and exits, on kernels whose tracepoints can be preempted (7.2).
//!
//! The kernel does not run a tracepoint's program that runs on that CPU already. So a task that is preempted within
//! one keeps the forks, execs or exits of other tasks on that CPU from being told until it goes on. Therefore probes look
//! at functions right beside the tracepoints. A probe's program runs with preemption off, and is skipped only where a
//! system call that reads or writes some map of BPF is preempted on that CPU (`bpf_disable_instrumentation`).
//!
//! Both come in the same thread, one behind the other: the first tells, and the second finds that it did.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use openclaw_ebpf::{kernel::Ptr, offset};

use crate::atomic;

/// What was looked at. The oldest goes where there are too many, long after both have looked: if it were not, that would
/// be told twice. The agent makes room for one where nobody looks twice.
#[map]
static LOOKED_AT: LruHashMap<Deed, u8> = LruHashMap::with_max_entries(16384, 0);

/// By kind of record: how often the probe looked. At 0: how often a probe looked at what its tracepoint's program was
/// skipped for; execs that are between both count too.
#[map]
static LOOKS: PerCpuArray<u64> = PerCpuArray::with_max_entries(4, 0);

/// The index in [`LOOKS`] that is no kind's.
const MADE_GOOD: u32 = 0;

/// What happens once.
#[repr(C)]
#[derive(Clone, Copy)]
struct Deed {
    /// When the thread began.
    start: u64,
    /// How many programs its process has run by then: a thread that calls exec takes the leader's place, its number and
    /// its beginning included, after the leader has ended.
    exec: u64,
    /// The thread.
    tid: u32,
    /// The kind of record.
    kind: u32,
}

/// Who looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    Tracepoint,
    Probe,
}

/// Whether the other watch has looked at this deed of a task, and told it if there was something to tell. If not, this
/// one has now.
#[inline(always)]
pub fn is_told(watch: Watch, kind: u32, task: Ptr) -> bool {
    /// `EEXIST`.
    const EXISTS: i32 = -17;
    // The verifier removes what is behind it where it is not so.
    if offset!(preemptible_tracepoints) != 1 {
        return false;
    }
    let deed = Deed {
        start: task.get(offset!(task_start_boottime)),
        exec: task.get(offset!(task_self_exec_id)),
        tid: task.get(offset!(task_pid)),
        kind,
    };
    if watch == Watch::Probe {
        count(kind, 1);
    }
    match LOOKED_AT.insert(deed, 0, u64::from(BPF_NOEXIST)) {
        Ok(()) => {
            if watch == Watch::Probe {
                count(MADE_GOOD, 1);
            }
            false
        }
        Err(EXISTS) => {
            if watch == Watch::Tracepoint {
                count(MADE_GOOD, 1u64.wrapping_neg());
            }
            true
        }
        // A map that cannot take it has it told twice rather than never.
        Err(_) => false,
    }
}

#[inline(always)]
fn count(index: u32, by: u64) {
    if let Some(counter) = LOOKS.get_ptr_mut(index) {
        // SAFETY: the map's value, an aligned number.
        unsafe { atomic::add(counter, by) };
    }
}
