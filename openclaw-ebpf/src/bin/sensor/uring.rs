//! What io_uring is asked to do, which no system call shows.

use core::arch::asm;

use aya_ebpf::{EbpfContext, macros::raw_tracepoint, programs::RawTracePointContext};
use openclaw_common::{
    layout::BYTE_ARGUMENT,
    record::{Header, KERNEL, KernelRecord},
    syscall::SUBMIT,
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{emit, tamper, task};

/// `io_uring_submit_req(struct io_kiocb *req)` since 6.4, before that `io_uring_submit_sqe`, whose arguments
/// have changed several times: the layout says which one to look at.
#[raw_tracepoint(tracepoint = "io_uring_submit_req")]
pub fn uring_submitted(ctx: RawTracePointContext) -> i32 {
    let control = emit::control();
    let who = task::identify(current_task());
    if control.uring == 0 || who.tgid == control.own {
        return 0;
    }
    let mut record = KernelRecord {
        header: Header { kind: KERNEL, flags: 0, time: emit::now(), task: who },
        arguments: [operation(&ctx), 0, 0, 0],
        operation: SUBMIT,
        ..KernelRecord::default()
    };
    if tamper::is_new(&record) {
        emit::to_process_ring((&raw mut record).cast(), size_of::<KernelRecord>() as u64);
    }
    0
}

/// One of `enum io_uring_op`.
#[inline(always)]
fn operation(ctx: &RawTracePointContext) -> u64 {
    let index = offset!(io_uring_argument);
    let argument = match index % BYTE_ARGUMENT {
        0 => argument::<0>(ctx),
        1 => argument::<1>(ctx),
        2 => argument::<2>(ctx),
        _ => argument::<3>(ctx),
    };
    if index >= BYTE_ARGUMENT {
        argument & 0xff
    } else {
        u64::from(Ptr(argument).get::<u8>(offset!(io_kiocb_opcode)))
    }
}

/// An argument of the tracepoint. In words of its own, since the compiler would make one load of several, at an
/// offset that is computed, which the verifier refuses; and a kernel refuses a program that could read arguments
/// which its tracepoint does not have.
#[inline(always)]
fn argument<const INDEX: usize>(ctx: &RawTracePointContext) -> u64 {
    let value: u64;
    // SAFETY: reads the context, where the verifier checks the place.
    unsafe {
        asm!(
            "{value} = *(u64 *)({ctx} + {offset})",
            value = lateout(reg) value,
            ctx = in(reg) ctx.as_ptr(),
            offset = const INDEX * 8,
            options(nostack, pure, readonly),
        );
    }
    value
}
