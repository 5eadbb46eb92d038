//! Signals that are sent to the agent, the one that ends it included.

use aya_ebpf::{
    helpers::bpf_get_current_comm,
    macros::{map, raw_tracepoint},
    maps::Array,
    programs::RawTracePointContext,
};
use openclaw_common::{
    record::{Header, KERNEL, KernelRecord, Task},
    syscall::SIGNAL,
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{emit, task};

/// The signal that nobody can catch, for who asks when the agent is no more. The agent pins it.
#[map]
static ENDED_BY: Array<KernelRecord> = Array::with_max_entries(1, 0);

/// Signals of `include/uapi/asm-generic/signal.h`.
const SIGKILL: u64 = 9;
const SIGPIPE: u64 = 13;
const SIGCHLD: u64 = 17;
const SIGCONT: u64 = 18;
const SIGURG: u64 = 23;
const SIGWINCH: u64 = 28;

/// `SEND_SIG_NOINFO` and `SEND_SIG_PRIV` of the kernel: from the current process, and from the kernel itself.
const FROM_CURRENT: u64 = 0;
const FROM_KERNEL: u64 = 1;

/// Where `si_code` lies in `siginfo_t` (`include/uapi/asm-generic/siginfo.h`). It is above 0 where the kernel
/// sent the signal.
const SI_CODE: u32 = 8;

/// `signal_generate(int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)`,
/// since 2.6.39.
#[raw_tracepoint(tracepoint = "signal_generate")]
pub fn signalled(ctx: RawTracePointContext) -> i32 {
    let own = emit::control().own;
    let target: u32 = Ptr(ctx.arg(2)).get(offset!(task_tgid));
    if target == own {
        tell(ctx.arg::<i32>(0) as u64, ctx.arg(1), own);
    }
    0
}

#[inline(always)]
fn tell(signal: u64, info: u64, own: u32) {
    // Those that end and stop nothing, and happen all the time.
    if matches!(signal, SIGPIPE | SIGCHLD | SIGCONT | SIGURG | SIGWINCH) {
        return;
    }
    let by_kernel = match info {
        FROM_CURRENT => false,
        FROM_KERNEL => true,
        info => Ptr(info).get::<i32>(SI_CODE) > 0,
    };
    let who = if by_kernel { Task::UNKNOWN } else { task::identify(current_task()) };
    if who.tgid == own {
        return;
    }
    let mut record = KernelRecord {
        header: Header { kind: KERNEL, flags: 0, time: emit::now(), task: who },
        arguments: [signal, u64::from(by_kernel), 0, 0],
        operation: SIGNAL,
        ..KernelRecord::default()
    };
    if !by_kernel && let Ok(name) = bpf_get_current_comm() {
        record.name[..16].copy_from_slice(&name);
    }
    if signal == SIGKILL {
        // An index that is there cannot fail.
        let _ = ENDED_BY.set(0, record, 0);
    }
    emit::to_process_ring((&raw mut record).cast(), size_of::<KernelRecord>() as u64);
}
