//! The exit of system calls: one look-up for each, and a tail call for those that are of interest.
//!
//! This is the fallback that works on every kernel: it sees what a call came to, though not what io_uring
//! does without calls. It costs every system call of the machine the look-up.

use aya_ebpf::{
    EbpfContext,
    macros::{map, raw_tracepoint},
    maps::{Array, ProgramArray},
    programs::RawTracePointContext,
};
use openclaw_common::{
    record::{FILES_NOTED, loss},
    syscall::{Call, SHAPE_DESCRIPTOR, SHAPE_PATH, SHAPE_TWO_PATHS, SHAPES, TABLE},
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::emit;

/// What each call does: see [`Call`].
#[map]
static CALLS: Array<u64> = Array::with_max_entries(TABLE, 0);

/// The programs by shape of the call; the walker of paths behind them.
#[map]
pub static HANDLERS: ProgramArray = ProgramArray::with_max_entries(SHAPES + 1, 0);

/// `TS_COMPAT` of x86: the call is a 32-bit one.
const COMPAT: u32 = 2;

/// `__X32_SYSCALL_BIT` of x86: the call is one of the x32 ABI, whose numbers are those of 64-bit calls.
const X32: u64 = 0x4000_0000;

/// `sys_exit(struct pt_regs *regs, long ret)`, since 2.6.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn syscall_exit(ctx: RawTracePointContext) -> i32 {
    // A call that failed did nothing, and is of interest only where it was noted before.
    let failed = ctx.arg::<i64>(1) < 0;
    if failed && emit::control().files & FILES_NOTED == 0 {
        return 0;
    }
    if let Some(call) = Returned::of(&ctx)
        && (!failed || matches!(call.what.shape(), SHAPE_PATH | SHAPE_TWO_PATHS | SHAPE_DESCRIPTOR))
    {
        // SAFETY: the array holds programs for this tracepoint only.
        unsafe { HANDLERS.tail_call(&ctx, call.what.shape()) };
    }
    0
}

/// A system call of interest that has returned.
pub struct Returned {
    /// What it does.
    pub what: Call,
    regs: Ptr,
    compat: bool,
}

impl Returned {
    /// The call that returns, if it is of interest.
    #[inline(always)]
    pub fn of(ctx: &RawTracePointContext) -> Option<Returned> {
        let regs = Ptr(ctx.arg(0));
        let number = regs.get_or(offset!(regs_orig_ax), u64::MAX) & !X32;
        if number >= u64::from(TABLE) {
            return None;
        }
        let both = *CALLS.get(number as u32)?;
        if both == 0 {
            return None;
        }
        let compat = current_task().get::<u32>(offset!(task_thread_status)) & COMPAT != 0;
        let what = if compat { Call((both >> 32) as u32) } else { Call(both as u32) };
        if what.0 == 0 {
            return None;
        }
        Some(Returned { what, regs, compat })
    }

    /// The argument of that index, 0 to 4.
    #[inline(always)]
    pub fn argument(&self, index: u32) -> u64 {
        if self.compat {
            self.regs.get::<u64>(match index {
                0 => offset!(regs_bx),
                1 => offset!(regs_cx),
                2 => offset!(regs_dx),
                3 => offset!(regs_si),
                _ => offset!(regs_di),
            }) & 0xffff_ffff
        } else {
            self.regs.get(match index {
                0 => offset!(regs_di),
                1 => offset!(regs_si),
                2 => offset!(regs_dx),
                3 => offset!(regs_r10),
                _ => offset!(regs_r8),
            })
        }
    }
}

/// The open file behind a descriptor of the current process; null where there is none.
#[inline(always)]
pub fn file_of(descriptor: u64) -> Ptr {
    let table = current_task().follow(offset!(task_files)).follow(offset!(files_fdt));
    if descriptor >= u64::from(table.get::<u32>(offset!(fdtable_max_fds))) {
        return Ptr::NULL;
    }
    table.follow(offset!(fdtable_fd)).element(descriptor)
}

/// Whether it is the agent itself that calls: counted, not reported.
#[inline(always)]
pub fn is_own(ctx: &impl EbpfContext) -> bool {
    let own = ctx.tgid() == emit::control().own;
    if own {
        emit::count(loss::OWN);
    }
    own
}
