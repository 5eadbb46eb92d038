//! Process life: fork, exec, exit, and the processes that were there before.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_seq_write,
    macros::{kprobe, map, raw_tracepoint},
    maps::ProgramArray,
    programs::{ProbeContext, RawTracePointContext},
};
use openclaw_common::record::{
    ARGS_MAX, ENVIRONMENT_MAX, EXEC, EXISTING, EXIT, ExecRecord, FLAG_ARGS_CUT, FLAG_ARGS_UNREADABLE,
    FLAG_ENVIRONMENT_CUT, FLAG_PATH_CUT, FLAG_PATH2_CUT, FLAG_SCRIPT, FORK, Header, ProcessRecord,
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{
    emit, executable,
    scratch::{CAPACITY, Claimed, EXEC_SCRATCHES, FILE_SCRATCHES, STEP, Scratch},
    second::{self, Watch},
    task, walk,
};

/// The program that walks the paths of an exec, which calls itself.
#[map]
static EXEC_WALKER: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The same of a probe: a program calls those of its own kind alone.
#[map]
static EXEC_KPROBE_WALKER: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`, since 2.6.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    fork(Watch::Tracepoint, Ptr(ctx.arg(0)), Ptr(ctx.arg(1)));
    0
}

/// `void wake_up_new_task(struct task_struct *p)`, right behind that tracepoint: see [`second`].
#[kprobe]
pub fn process_fork_kprobe(ctx: ProbeContext) -> u32 {
    fork(Watch::Probe, current_task(), argument(&ctx));
    0
}

/// The pointer that a probed function is given.
#[inline(always)]
fn argument(ctx: &ProbeContext) -> Ptr {
    ctx.arg(0).map_or(Ptr::NULL, Ptr)
}

#[inline(always)]
fn fork(watch: Watch, forker: Ptr, child: Ptr) {
    let who = task::identify(child);
    // A thread is no process; and the kernel has some of its own that it wakes without the tracepoint.
    if who.tid != who.tgid || second::is_told(watch, FORK, child) {
        return;
    }
    let mut record = ProcessRecord {
        header: Header { kind: FORK, flags: 0, time: emit::now(), task: who },
        ..ProcessRecord::default()
    };
    task::describe(child, &mut record);
    (record.forker, record.forker_start) = task::key(forker);
    emit::to_process_ring_later((&raw mut record).cast(), size_of::<ProcessRecord>() as u64);
}

/// `sched_process_exit(struct task_struct *task)`, since 2.6; `group_dead` since 6.15.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(ctx: RawTracePointContext) -> i32 {
    exit(Watch::Tracepoint, Ptr(ctx.arg(0)));
    0
}

/// `void exit_files(struct task_struct *tsk)`, soon behind that tracepoint: see [`second`].
#[kprobe]
pub fn process_exit_kprobe(ctx: ProbeContext) -> u32 {
    let exiting = argument(&ctx);
    // A fork that fails calls it too, for a child that never was.
    if exiting == current_task() {
        exit(Watch::Probe, exiting);
    }
    0
}

#[inline(always)]
fn exit(watch: Watch, exiting: Ptr) {
    if second::is_told(watch, EXIT, exiting) {
        return;
    }
    let signal = exiting.follow(offset!(task_signal));
    // Not when the leader leaves: it can do so before its threads.
    if signal.get_or::<u32>(offset!(signal_live), 1) != 0 {
        return;
    }
    let group: u32 = signal.get(offset!(signal_group_exit_code));
    let own: u32 = exiting.follow(offset!(task_group_leader)).get(offset!(task_exit_code));
    let mut record = ProcessRecord {
        header: Header { kind: EXIT, flags: 0, time: emit::now(), task: task::identify(exiting) },
        exit_status: if group != 0 { group } else { own },
        ..ProcessRecord::default()
    };
    emit::to_process_ring_later((&raw mut record).cast(), size_of::<ProcessRecord>() as u64);
}

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`, since 3.4.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(ctx: RawTracePointContext) -> i32 {
    if let Some(scratch) = exec(Watch::Tracepoint, Ptr(ctx.arg(2))) {
        walk_on(&ctx, scratch, &EXEC_WALKER);
    }
    0
}

/// `void finalize_exec(struct linux_binprm *bprm)`, since 4.17, right before that tracepoint: see [`second`].
#[kprobe]
pub fn process_exec_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(scratch) = exec(Watch::Probe, argument(&ctx)) {
        walk_on(&ctx, scratch, &EXEC_KPROBE_WALKER);
    }
    0
}

/// Begins the record of an exec. `None` where that was told, or cannot be.
#[inline(always)]
fn exec(watch: Watch, bprm: Ptr) -> Option<Claimed> {
    let current = current_task();
    if second::is_told(watch, EXEC, current) {
        return None;
    }
    let mut scratch = EXEC_SCRATCHES.claim()?;
    let header = Header { kind: EXEC, flags: 0, time: emit::now(), task: task::identify(current) };
    let process = ProcessRecord { header, ..ProcessRecord::default() };
    let record = scratch.begin(ExecRecord { process, ..ExecRecord::default() });
    task::describe(current, &mut record.process);
    record.argc = bprm.get(offset!(binprm_argc));
    let file = bprm.follow(offset!(binprm_file));
    record.process.header.flags = executable::describe(file, &mut record.executable);
    for (descriptor, told) in (0..).zip(&mut record.stdio) {
        *told = executable::descriptor(descriptor);
    }
    append_strings(&mut scratch, current, bprm);
    scratch.walk.first(file.member(offset!(file_path)));
    scratch.walk.second(current.follow(offset!(task_fs)).member(offset!(fs_pwd)));
    Some(scratch)
}

/// Appends the sections that are no paths of files.
#[inline(always)]
fn append_strings(scratch: &mut Scratch, current: Ptr, bprm: Ptr) {
    let mm = current.follow(offset!(task_mm));
    let filename = bprm.follow(offset!(binprm_filename));
    let interpreter = bprm.follow(offset!(binprm_interp));
    let cgroup = task::append_cgroup(current, scratch);
    let passed = scratch.append_kernel_string::<4096>(filename.0);
    let (args, mut flags) = append_args(scratch, mm);
    let mut named = 0;
    if interpreter != filename {
        flags |= FLAG_SCRIPT;
        // `BINPRM_BUF_SIZE` of the kernel, which is all that it reads of a script.
        named = scratch.append_kernel_string::<256>(interpreter.0);
    }
    let (environment, cut) = append_environment(scratch, mm);
    let record = scratch.fixed::<ExecRecord>();
    record.sections = [cgroup, passed, args, named, environment, 0, 0];
    record.process.header.flags |= flags | cut;
}

/// Appends the arguments. Returns how many bytes, and flags about them.
#[inline(always)]
fn append_args(scratch: &mut Scratch, mm: Ptr) -> (u32, u32) {
    let begin: u64 = mm.get(offset!(mm_arg_start));
    let end: u64 = mm.get(offset!(mm_arg_end));
    let len = end - begin;
    let cut = if len > ARGS_MAX as u64 { FLAG_ARGS_CUT } else { 0 };
    match scratch.append_user_bytes(begin, len) {
        Some(read) => (read, cut),
        None => (0, FLAG_ARGS_UNREADABLE),
    }
}

/// Appends the beginning of the environment. Returns how many bytes, and flags about them.
#[inline(always)]
fn append_environment(scratch: &mut Scratch, mm: Ptr) -> (u32, u32) {
    let begin: u64 = mm.get(offset!(mm_env_start));
    let end: u64 = mm.get(offset!(mm_env_end));
    let len = end - begin;
    let cut = if len > ENVIRONMENT_MAX as u64 { FLAG_ENVIRONMENT_CUT } else { 0 };
    let Some(first) = scratch.append_user_bytes(begin, len) else { return (0, FLAG_ENVIRONMENT_CUT) };
    if len <= STEP {
        return (first, 0);
    }
    match scratch.append_user_bytes(begin + STEP, len - STEP) {
        Some(second) => (first + second, cut),
        None => (first, FLAG_ENVIRONMENT_CUT),
    }
}

/// Walks the paths of an exec, and goes on with that.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec_walk(ctx: RawTracePointContext) -> i32 {
    advance(&ctx, &EXEC_WALKER);
    0
}

/// The same of a probe.
#[kprobe]
pub fn process_exec_kprobe_walk(ctx: ProbeContext) -> u32 {
    advance(&ctx, &EXEC_KPROBE_WALKER);
    0
}

#[inline(always)]
fn advance(ctx: &impl EbpfContext, walker: &ProgramArray) {
    let Some(mut scratch) = EXEC_SCRATCHES.claimed() else { return };
    if walk::advance(&mut scratch) {
        finish_exec(scratch);
    } else {
        walk_on(ctx, scratch, walker);
    }
}

/// Runs the walker. When that cannot be, since it ran too often, the record is sent with what there is.
#[inline(always)]
fn walk_on(ctx: &impl EbpfContext, mut scratch: Claimed, walker: &ProgramArray) {
    // SAFETY: the array holds programs of this kind only.
    unsafe { walker.tail_call(ctx, 0) };
    walk::give_up(&mut scratch);
    finish_exec(scratch);
}

#[inline(always)]
fn finish_exec(mut scratch: Claimed) {
    let (lengths, cut) = (scratch.walk.lengths, scratch.walk.cut);
    let record = scratch.fixed::<ExecRecord>();
    record.sections[5] = lengths[0];
    record.sections[6] = lengths[1];
    if cut & 1 != 0 {
        record.process.header.flags |= FLAG_PATH_CUT;
    }
    if cut & 2 != 0 {
        record.process.header.flags |= FLAG_PATH2_CUT;
    }
    let len = scratch.len;
    if len <= CAPACITY {
        emit::to_process_ring(scratch.data.as_mut_ptr(), len);
    }
}

/// `iter/task`, since 5.8: one record for each process, read by the agent at start and after losses. What
/// lies in the process's own memory and paths the agent takes from /proc.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn list_processes(ctx: *const [u64; 2]) -> i32 {
    // SAFETY: `struct bpf_iter__task` is two pointers: `meta` and `task`.
    let [meta, listed] = unsafe { [(*ctx)[0], (*ctx)[1]] };
    if meta == 0 || listed == 0 {
        return 0;
    }
    list(meta, Ptr(listed));
    0
}

#[inline(always)]
fn list(meta: u64, listed: Ptr) {
    let who = task::identify(listed);
    if who.tid != who.tgid {
        return;
    }
    let Some(mut scratch) = FILE_SCRATCHES.claim() else { return };
    let record = scratch.begin(ProcessRecord {
        header: Header { kind: EXISTING, flags: 0, time: emit::now(), task: who },
        ..ProcessRecord::default()
    });
    task::describe(listed, record);
    let cgroup = task::append_cgroup(listed, &mut scratch);
    scratch.fixed::<ProcessRecord>().cgroup = cgroup;
    let len = scratch.len;
    if len > CAPACITY {
        return;
    }
    // SAFETY: `struct bpf_iter_meta` begins with the `seq_file`; the verifier checks its type, and that the
    // record is at least `len` long.
    unsafe { bpf_seq_write(*(meta as *const *mut _), scratch.data.as_ptr().cast(), len as u32) };
}
