//! What acts upon the kernel or upon other processes, by the system calls that do so.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::generated::bpf_probe_read_user_str,
    macros::{btf_tracepoint, map},
    maps::LruHashMap,
    programs::BtfTracePointContext,
};
use openclaw_common::{
    record::{Header, KERNEL, KernelRecord, loss},
    syscall::{
        ARGUMENT_PID, BPF, DETACH, ENTER_NAMESPACE, LEAVE_NAMESPACE, LOAD_MODULE_IMAGE, NONE, TRACE,
        UNLOAD_MODULE,
    },
};
use openclaw_ebpf::{kernel::current_task, offset};

use crate::{
    emit, module,
    syscall::{Returned, file_of, is_own},
    task,
};

/// When a process last did the same, nanoseconds since boot: a debugger would else fill the process ring.
#[map]
static REPEATED: LruHashMap<Deed, u64> = LruHashMap::with_max_entries(4096, 0);

#[repr(C)]
#[derive(Clone, Copy)]
struct Deed {
    start: u64,
    tgid: u32,
    operation: u32,
    first: u64,
    second: u64,
}

/// How long the same deed is counted rather than sent: one second.
const REPEAT_NS: u64 = 1_000_000_000;

/// Requests of `ptrace` (`include/uapi/linux/ptrace.h`) by which a process takes hold of another or changes it.
const ATTACH: u64 = 16;
const SEIZE: u64 = 0x4206;
const CHANGES: [u64; 6] = [4, 5, 6, 13, 15, 0x4205];

/// The `CLONE_NEW` flags (`include/uapi/linux/sched.h`): `unshare` has others too.
const NAMESPACES: u64 = 0x7e02_0080;

/// Commands of `bpf` (`include/uapi/linux/bpf.h`).
const PROG_LOAD: u64 = 5;
const PROG_ATTACH: u64 = 8;
const PROG_DETACH: u64 = 9;
const RAW_TRACEPOINT_OPEN: u64 = 17;
const LINK_CREATE: u64 = 28;
const LINK_DETACH: u64 = 34;

/// A call has acted upon the kernel or upon another process. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn tampered(ctx: BtfTracePointContext) -> i32 {
    if !is_own(&ctx)
        && let Some(call) = Returned::of(&ctx)
    {
        tell(&call, ctx.arg(1));
    }
    0
}

#[inline(always)]
fn tell(call: &Returned, returned: u64) {
    let operation = call.what.operation_of();
    let pid = call.what.argument(ARGUMENT_PID);
    if pid != NONE && call.argument(pid) as u32 != emit::control().own {
        return;
    }
    let mut record = KernelRecord {
        header: Header { kind: KERNEL, flags: 0, time: emit::now(), task: task::identify(current_task()) },
        arguments: [call.argument(0), call.argument(1), call.argument(2), call.argument(3)],
        operation,
        ..KernelRecord::default()
    };
    let wanted = match operation {
        TRACE => is_of_interest(record.arguments[0]) && is_new(&record),
        BPF => detaches(&record) || describe_program(&mut record, returned),
        DETACH => detaches(&record),
        LOAD_MODULE_IMAGE => {
            module::take_name(|name| record.name = *name);
            true
        }
        UNLOAD_MODULE => {
            read_name(&mut record);
            true
        }
        ENTER_NAMESPACE => {
            describe_namespace(&mut record);
            is_new(&record)
        }
        LEAVE_NAMESPACE => record.arguments[0] & NAMESPACES != 0 && is_new(&record),
        _ => is_new(&record),
    };
    if wanted {
        emit::to_process_ring((&raw mut record).cast(), size_of::<KernelRecord>() as u64);
    }
}

#[inline(always)]
fn is_of_interest(request: u64) -> bool {
    request == ATTACH || request == SEIZE || CHANGES.contains(&request)
}

#[inline(always)]
fn detaches(record: &KernelRecord) -> bool {
    matches!(record.arguments[0] & 0xffff_ffff, PROG_DETACH | LINK_DETACH)
}

/// Whether the process did not do the same within the last second; counted where it did.
#[inline(always)]
pub fn is_new(record: &KernelRecord) -> bool {
    let deed = Deed {
        start: record.header.task.start,
        tgid: record.header.task.tgid,
        operation: record.operation,
        first: record.arguments[0],
        second: record.arguments[1],
    };
    let now = record.header.time;
    // SAFETY: the value is one word.
    if let Some(last) = unsafe { REPEATED.get(deed) }
        && now - *last < REPEAT_NS
    {
        emit::count(loss::REPEATED);
        return false;
    }
    // A map that cannot take it costs a repeated event, no more.
    let _ = REPEATED.insert(deed, now, u64::from(BPF_ANY));
    true
}

/// Reads the program that was loaded or attached from the kernel's objects behind the descriptor that the call
/// returned. Returns whether the command is one that loads or attaches.
#[inline(always)]
fn describe_program(record: &mut KernelRecord, returned: u64) -> bool {
    let object = || file_of(returned).follow(offset!(file_private_data));
    let program = match record.arguments[0] & 0xffff_ffff {
        PROG_LOAD => object(),
        RAW_TRACEPOINT_OPEN | LINK_CREATE => object().follow(offset!(bpf_link_prog)),
        // It returns no descriptor, and what it was given lies in the caller's memory.
        PROG_ATTACH => return true,
        _ => return false,
    };
    record.of_type = program.get(offset!(bpf_prog_type));
    let name: [u8; 16] = program.follow(offset!(bpf_prog_aux)).get(offset!(bpf_prog_aux_name));
    record.name[..16].copy_from_slice(&name);
    true
}

/// Reads the type of the namespace that was entered: what the caller demanded of the descriptor, else what the
/// descriptor stands for.
#[inline(always)]
fn describe_namespace(record: &mut KernelRecord) {
    let demanded = record.arguments[1] as u32;
    let namespace =
        file_of(record.arguments[0] & 0xffff_ffff).follow(offset!(file_inode)).follow(offset!(inode_private));
    let by_operations: u32 = namespace.follow(offset!(ns_ops)).get(offset!(ns_ops_type));
    let own = namespace.get_or(offset!(ns_type), by_operations);
    record.of_type = if demanded != 0 { demanded } else { own };
}

/// Reads the name of the module from the caller's memory, where the kernel read it too.
#[inline(always)]
fn read_name(record: &mut KernelRecord) {
    let from = record.arguments[0];
    // SAFETY: the destination has the size that is passed; the helper checks the source, and the record was all
    // zeroes before.
    unsafe {
        bpf_probe_read_user_str(record.name.as_mut_ptr().cast(), record.name.len() as u32, from as *const _)
    };
}
