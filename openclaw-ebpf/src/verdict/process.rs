//! Isolation is inherited at fork and ends with the process, whether the agent runs or not.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use openclaw_common::verdict::{Counter, Fork, ProcessMark, TICK};
use openclaw_ebpf::kernel::Ptr;
use openclaw_ebpf::offset;

use crate::maps::{FORKS, ISOLATED, count, in_force};

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`. Since 4.17.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn verdict_fork(ctx: RawTracePointContext) -> i32 {
    inherit(Ptr(ctx.arg::<u64>(0)), Ptr(ctx.arg::<u64>(1)));
    0
}

/// `sched_process_exit(struct task_struct *task)`; newer kernels pass more. Since 4.17.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn verdict_exit(ctx: RawTracePointContext) -> i32 {
    forget(Ptr(ctx.arg::<u64>(0)));
    0
}

#[inline(always)]
fn inherit(parent: Ptr, child: Ptr) -> Option<()> {
    let tgid: u32 = parent.get(offset!(task_tgid));
    let child_tgid: u32 = child.get(offset!(task_tgid));
    if child_tgid == tgid || child_tgid == 0 {
        return None; // a thread, or what cannot be read
    }
    let start = child.get::<u64>(offset!(task_start_boottime)) / TICK;
    let parent_start =
        parent.follow(offset!(task_group_leader)).get::<u64>(offset!(task_start_boottime)) / TICK;
    let _ = FORKS.insert(child_tgid, Fork { start, parent_start, parent: tgid, reserved: 0 }, 0);

    // SAFETY: the value is copied at once.
    let mark = unsafe { ISOLATED.get(tgid) }.copied()?;
    if mark.start != parent_start || !in_force(mark.verdict) {
        return None;
    }
    if ISOLATED.insert(child_tgid, ProcessMark { verdict: mark.verdict, start }, 0).is_err() {
        count(Counter::Uninherited);
    }
    Some(())
}

/// A process ends with its last thread, which need not be the one that it is named after.
#[inline(always)]
fn forget(task: Ptr) -> Option<()> {
    let tgid: u32 = task.get(offset!(task_tgid));
    ISOLATED.get_ptr(tgid)?;
    if task.follow(offset!(task_signal)).get_or::<u32>(offset!(signal_live), 1) == 0 {
        let _ = ISOLATED.remove(tgid);
    }
    Some(())
}
