//! The exit of system calls: one look-up for each, and a tail call for those that are of interest.
//!
//! This is the fallback that works on every kernel: it sees what a call came to, though not what io_uring
//! does without calls. It costs every system call of the machine the look-up.

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, map},
    maps::{Array, ProgramArray},
    programs::BtfTracePointContext,
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

/// Where `orig_ax`, the call's number, lies in `struct pt_regs` of x86-64 (`arch/x86/include/uapi/asm/ptrace.h`), in
/// words of eight bytes.
const ORIG_AX: usize = 15;

/// `sys_exit(struct pt_regs *regs, long ret)`, since 2.6; with types, since 5.5.
///
/// By its type the number is read without a helper, which every call of the machine would pay for.
#[btf_tracepoint(function = "sys_exit")]
pub fn syscall_exit(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the kernel's own registers, at a place that no kernel may change; the verifier checks the read.
    let number = unsafe { core::ptr::read_volatile(ctx.arg::<*const u64>(0).add(ORIG_AX)) };
    let Some(both) = asked(number) else { return 0 };
    // A call that failed did nothing, and is of interest only where it was noted before.
    let failed = ctx.arg::<i64>(1) < 0;
    if failed && emit::control().files & FILES_NOTED == 0 {
        return 0;
    }
    if let Some((what, _)) = of_this_width(both)
        && (!failed || matches!(what.shape(), SHAPE_PATH | SHAPE_TWO_PATHS | SHAPE_DESCRIPTOR))
    {
        // SAFETY: the array holds programs for this tracepoint only.
        unsafe { HANDLERS.tail_call(&ctx, what.shape()) };
    }
    0
}

/// What the calls of that number do, both of 64 and of 32 bits; none where neither is of interest.
#[inline(always)]
fn asked(number: u64) -> Option<u64> {
    let number = number & !X32;
    if number >= u64::from(TABLE) {
        return None;
    }
    CALLS.get(number as u32).copied().filter(|both| *both != 0)
}

/// What the current call does, if it is of interest, and whether it is one of 32 bits.
#[inline(always)]
fn of_this_width(both: u64) -> Option<(Call, bool)> {
    let compat = current_task().get::<u32>(offset!(task_thread_status)) & COMPAT != 0;
    let what = if compat { Call((both >> 32) as u32) } else { Call(both as u32) };
    (what.0 != 0).then_some((what, compat))
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
    pub fn of(ctx: &BtfTracePointContext) -> Option<Returned> {
        // With a typed pointer nothing may be computed; read from the context's memory it is a number.
        let regs = Ptr(ctx.as_ptr() as u64).element(0);
        let (what, compat) = of_this_width(asked(regs.get_or(offset!(regs_orig_ax), u64::MAX))?)?;
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
