//! Files: the opening of them, and what system calls do to their paths.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_ANY,
    macros::{btf_tracepoint, fexit, map},
    maps::{LruHashMap, ProgramArray},
    programs::{BtfTracePointContext, FExitContext},
};
use openclaw_common::{
    record::{
        FILE_OPEN, FILE_PATH, FILES_DONE, FILES_TRIED, FLAG_PATH_CUT, FLAG_PATH2_CUT, FLAG_TWO_PATHS,
        FileRecord, Header, READS_ALL, READS_NONE, loss,
    },
    syscall::{
        ARGUMENT_DIR, ARGUMENT_DIR2, ARGUMENT_MODE, ARGUMENT_OWNER, ARGUMENT_PATH, ARGUMENT_PATH2, CREATE,
        CWD, LOAD_MODULE, MOUNT, NONE, READ, SHAPE_DESCRIPTOR, SHAPE_TWO_PATHS, SHAPES, TRUNCATE, WRITE,
    },
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{
    attempt, emit, module, overlay,
    scratch::{CAPACITY, Claimed, FILE_SCRATCHES, Scratch},
    syscall::{HANDLERS, Returned, file_of, is_own},
    task, walk,
};

/// When a process last did the same to the same file, nanoseconds since boot.
#[map]
static RECENT: LruHashMap<Access, u64> = LruHashMap::with_max_entries(16384, 0);

/// What a repeated access has in common with the one before it: who does what to which file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Access {
    start: u64,
    inode: u64,
    device: u32,
    operation: u32,
}

impl Access {
    /// That which a record tells.
    #[inline(always)]
    pub fn of(record: &FileRecord) -> Access {
        let who = &record.header.task;
        Access::new((who.tgid, who.start), (record.inode, record.device), record.operation)
    }

    /// The current process's, without a record: most accesses are repeated ones, which need none.
    #[inline(always)]
    fn current(inode: Ptr, operation: u32) -> Access {
        let file =
            (inode.get(offset!(inode_ino)), inode.follow(offset!(inode_sb)).get(offset!(super_block_dev)));
        Access::new(task::key(current_task()), file, operation)
    }

    #[inline(always)]
    fn new((tgid, start): (u32, u64), (inode, device): (u64, u32), operation: u32) -> Access {
        Access { start: start ^ u64::from(tgid) << 40, inode, device, operation }
    }
}

/// How long the same access is counted rather than sent: one second.
const REPEAT_NS: u64 = 1_000_000_000;

/// `FMODE_WRITE`, `FMODE_EXEC`, `FMODE_PATH` and `FMODE_CREATED` of the kernel.
const FMODE_WRITE: u32 = 0x2;
const FMODE_EXEC: u32 = 0x20;
const FMODE_PATH: u32 = 0x4000;
const FMODE_CREATED: u32 = 0x10_0000;

/// `O_PATH` of x86.
const O_PATH: u32 = 0o10_000_000;

/// `S_IFMT` and the types that are told apart.
const TYPE: u16 = 0o170_000;
const FIFO: u16 = 0o010_000;
const CHARACTER_DEVICE: u16 = 0o020_000;
const SOCKET: u16 = 0o140_000;

/// A call has opened a file. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_opened(ctx: BtfTracePointContext) -> i32 {
    if !is_own(&ctx) {
        if let Some(scratch) = opened(file_of(ctx.arg(1))) {
            walk_on(&ctx, scratch, &HANDLERS, SHAPES);
        }
        attempt::settle_by_call(TRUNCATE, 0);
    }
    0
}

/// The walker of paths behind [`file_returned`].
#[map]
static RETURNED_WALKER: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// `struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op)`, since 2.6.38, later (on 7.2)
/// `do_file_open`: by it calls and io_uring open files, and the kernel itself.
#[fexit]
pub fn file_returned(ctx: FExitContext) -> i32 {
    /// `MAX_ERRNO` of the kernel: the last addresses stand for errors.
    const MAX_ERRNO: u64 = 4095;
    let file: u64 = ctx.arg(3);
    if emit::control().files & (FILES_DONE | FILES_TRIED) == 0 || is_own(&ctx) {
        return 0;
    }
    if file >= MAX_ERRNO.wrapping_neg() {
        // The verifier takes what the function returns for a pointer, with which nothing may be computed; read from
        // the context's memory it is a number.
        let error = Ptr(ctx.as_ptr() as u64).element(3).0.wrapping_neg() as u32;
        if let Some(scratch) = refused(&ctx, error) {
            walk_on(&ctx, scratch, &RETURNED_WALKER, 0);
        }
        return 0;
    }
    let file = Ptr(file);
    attempt::settle_by_function(TRUNCATE, 0);
    // What is opened to be run is told as that.
    if file.get::<u32>(offset!(file_flags)) & FMODE_EXEC == 0
        && let Some(scratch) = opened(file)
    {
        walk_on(&ctx, scratch, &RETURNED_WALKER, 0);
    }
    0
}

/// Walks on for [`file_returned`]. Run by it.
#[fexit]
pub fn file_returned_walk(ctx: FExitContext) -> i32 {
    advance(&ctx, &RETURNED_WALKER, 0);
    0
}

/// A file was not opened for want of a right to. Its path is the kernel's copy of the caller's: links in it were
/// followed as far as the caller may.
#[inline(always)]
fn refused(ctx: &FExitContext, error: u32) -> Option<Claimed> {
    /// `EPERM`, `EACCES`, `ETXTBSY` and `EROFS`.
    const REFUSALS: [u32; 4] = [1, 13, 26, 30];
    /// `O_ACCMODE`, any of whose bits is for writing.
    const WRITES: u32 = 3;
    let (name, flags) = (Ptr(ctx.arg(1)), Ptr(ctx.arg(2)));
    let flags: u32 = flags.get(offset!(open_flags_flags));
    if emit::control().files & FILES_TRIED == 0
        || !REFUSALS.contains(&error)
        || flags & (FMODE_EXEC | O_PATH) != 0
    {
        return None;
    }
    let operation = if flags & WRITES == 0 { READ } else { WRITE };
    let mut scratch = FILE_SCRATCHES.claim()?;
    begin(&mut scratch, FILE_PATH, operation, task::identify(current_task())).error = error;
    let passed = scratch.append_kernel_string::<4096>(name.follow(offset!(filename_name)).0);
    scratch.fixed::<FileRecord>().sections[0] = passed;
    scratch.walk.first(directory_of(ctx.arg::<i32>(0)));
    Some(scratch)
}

#[inline(always)]
fn opened(file: Ptr) -> Option<Claimed> {
    let open_mode: u32 = file.get(offset!(file_mode));
    let reads = emit::control().reads;
    let operation = if open_mode & FMODE_CREATED != 0 {
        CREATE
    } else if open_mode & FMODE_WRITE != 0 {
        WRITE
    } else {
        READ
    };
    if open_mode & FMODE_PATH != 0 || (operation == READ && reads == READS_NONE) {
        return None;
    }
    let inode = file.follow(offset!(file_inode));
    let mode: u16 = inode.get(offset!(inode_mode));
    // 0: there is no such file.
    if matches!(mode & TYPE, FIFO | SOCKET | 0) || (mode & TYPE == CHARACTER_DEVICE && is_everyday(inode)) {
        return None;
    }
    // A file that was created is never the same one again, though it may get a number that was just given up.
    if operation != CREATE && is_repeated(&Access::current(inode, operation), emit::now()) {
        emit::count(loss::REPEATED);
        return None;
    }
    let who = task::identify(current_task());
    let mut scratch = FILE_SCRATCHES.claim()?;
    let record = begin(&mut scratch, FILE_OPEN, operation, who);
    record.open_mode = open_mode;
    describe_inode(record, inode);
    scratch.walk.first(file.member(offset!(file_path)));
    let selective = operation == READ && reads != READS_ALL;
    scratch.walk.look = u32::from(selective && is_in_agents_namespace());
    Some(scratch)
}

/// Whether a character device is one that is opened all the time and tells nothing: terminals, `/dev/null` and
/// its kin. Numbers of `Documentation/admin-guide/devices.txt`.
#[inline(always)]
fn is_everyday(inode: Ptr) -> bool {
    let device: u32 = inode.get(offset!(inode_rdev));
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    matches!((major, minor), (1, 3 | 5 | 7 | 8 | 9) | (4 | 5 | 136..=143, _))
}

/// Whether the process sees the files that the agent sees. In another mount namespace the same path leads to
/// another inode, so there every read is reported, and the agent looks at its path.
#[inline(always)]
fn is_in_agents_namespace() -> bool {
    let namespace: u32 = current_task()
        .follow(offset!(task_nsproxy))
        .follow(offset!(nsproxy_mnt_ns))
        .get(offset!(mnt_namespace_inum));
    namespace == emit::control().mnt_ns
}

/// A call has acted upon one or two paths, or upon an open file. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn path_changed(ctx: BtfTracePointContext) -> i32 {
    if !is_own(&ctx)
        && let Some(scratch) = changed(&ctx)
    {
        walk_on(&ctx, scratch, &HANDLERS, SHAPES);
    }
    0
}

#[inline(always)]
fn changed(ctx: &BtfTracePointContext) -> Option<Claimed> {
    let call = Returned::of(ctx)?;
    let returned: i64 = ctx.arg(1);
    // What was noted by the kernel's own objects needs no second look.
    if attempt::settle_by_call(call.what.operation_of(), returned) || returned < 0 {
        return None;
    }
    let who = task::identify(current_task());
    let open = call.what.shape() == SHAPE_DESCRIPTOR;
    let kind = if open { FILE_OPEN } else { FILE_PATH };
    let mut scratch = FILE_SCRATCHES.claim()?;
    let record = begin(&mut scratch, kind, call.what.operation_of(), who);
    if open {
        let file = file_of(call.argument(0));
        describe_inode(record, file.follow(offset!(file_inode)));
        if call.what.operation_of() == TRUNCATE && is_repeated(&Access::of(record), record.header.time) {
            emit::count(loss::REPEATED);
            return None;
        }
        if call.what.operation_of() == LOAD_MODULE {
            module::take_name(|name| {
                let appended = scratch.append_kernel_string::<64>(name.as_ptr() as u64);
                scratch.fixed::<FileRecord>().sections[1] = appended;
            });
        } else {
            append_attribute(&mut scratch, &call);
        }
        scratch.walk.first(file.member(offset!(file_path)));
    } else {
        let mode = call.what.argument(ARGUMENT_MODE);
        if mode != NONE {
            record.mode = call.argument(mode) as u32;
        }
        let owner = call.what.argument(ARGUMENT_OWNER);
        if owner != NONE {
            record.uid = call.argument(owner) as u32;
            record.gid = call.argument(owner + 1) as u32;
        }
        let passed = scratch.append_user_string(call.argument(call.what.argument(ARGUMENT_PATH)));
        scratch.fixed::<FileRecord>().sections[0] = passed;
        let base = base_of(&call, ARGUMENT_DIR);
        scratch.walk.first(base);
        if call.what.shape() == SHAPE_TWO_PATHS {
            let passed = scratch.append_user_string(call.argument(call.what.argument(ARGUMENT_PATH2)));
            scratch.fixed::<FileRecord>().sections[1] = passed;
            let base = base_of(&call, ARGUMENT_DIR2);
            scratch.walk.second(base);
            scratch.fixed::<FileRecord>().header.flags |= FLAG_TWO_PATHS;
        } else {
            append_attribute(&mut scratch, &call);
        }
    }
    Some(scratch)
}

/// Appends the name of the extended attribute that a call upon one file is about, where it is about one.
#[inline(always)]
fn append_attribute(scratch: &mut Scratch, call: &Returned) {
    let name = call.what.argument(ARGUMENT_PATH2);
    if name != NONE {
        let passed = scratch.append_user_string(call.argument(name));
        scratch.fixed::<FileRecord>().sections[1] = passed;
    }
}

/// The `struct path` of the directory at which a path of the call begins.
#[inline(always)]
fn base_of(call: &Returned, field: u32) -> Ptr {
    let index = call.what.argument(field);
    directory_of(if index == CWD { AT_CWD } else { call.argument(index) as i32 })
}

/// `AT_FDCWD`.
const AT_CWD: i32 = -100;

/// The `struct path` of a directory that is named by descriptor.
#[inline(always)]
fn directory_of(descriptor: i32) -> Ptr {
    if descriptor == AT_CWD {
        return current_task().follow(offset!(task_fs)).member(offset!(fs_pwd));
    }
    file_of(descriptor as u32 as u64).member(offset!(file_path))
}

#[inline(always)]
pub fn begin(
    scratch: &mut Scratch,
    kind: u32,
    operation: u32,
    who: openclaw_common::record::Task,
) -> &mut FileRecord {
    scratch.begin(FileRecord {
        header: Header { kind, flags: 0, time: emit::now(), task: who },
        operation,
        ..FileRecord::default()
    })
}

#[inline(always)]
pub fn describe_inode(record: &mut FileRecord, inode: Ptr) {
    record.inode = inode.get(offset!(inode_ino));
    record.mode = u32::from(inode.get::<u16>(offset!(inode_mode)));
    record.uid = inode.get(offset!(inode_uid));
    record.gid = inode.get(offset!(inode_gid));
    let super_block = inode.follow(offset!(inode_sb));
    record.device = super_block.get(offset!(super_block_dev));
    record.header.flags |= overlay::layer(inode, super_block.get(offset!(super_block_magic)));
}

/// Whether the process did the same to this file within the last second.
#[inline(always)]
pub fn is_repeated(access: &Access, now: u64) -> bool {
    // SAFETY: the value is one word.
    if let Some(last) = unsafe { RECENT.get(access) }
        && now - *last < REPEAT_NS
    {
        return true;
    }
    // A map that cannot take it costs a repeated event, no more.
    let _ = RECENT.insert(access, now, u64::from(BPF_ANY));
    false
}

/// Walks the paths of a file record, and goes on with that. Run by the programs above.
#[btf_tracepoint(function = "sys_exit")]
pub fn file_walk(ctx: BtfTracePointContext) -> i32 {
    advance(&ctx, &HANDLERS, SHAPES);
    0
}

#[inline(always)]
fn advance(ctx: &impl EbpfContext, walkers: &ProgramArray, index: u32) {
    let Some(mut scratch) = FILE_SCRATCHES.claimed() else { return };
    if walk::advance(&mut scratch) {
        finish(scratch);
    } else {
        walk_on(ctx, scratch, walkers, index);
    }
}

/// Runs the walker. When that cannot be, since it ran too often, the record is sent with what there is.
#[inline(always)]
fn walk_on(ctx: &impl EbpfContext, mut scratch: Claimed, walkers: &ProgramArray, index: u32) {
    // SAFETY: the array holds programs for this hook only.
    unsafe { walkers.tail_call(ctx, index) };
    walk::give_up(&mut scratch);
    finish(scratch);
}

#[inline(always)]
fn finish(mut scratch: Claimed) {
    // A path that lacks its beginning is never filtered away: else nesting would evade the rules.
    if scratch.walk.look != 0 && scratch.walk.watched == 0 && scratch.walk.cut == 0 {
        emit::count(loss::UNWATCHED);
        return;
    }
    let operation = seal(&mut scratch);
    let len = scratch.len;
    if len > CAPACITY {
        return;
    }
    // What changes the kernel's own view is not to be lost among files.
    if operation >= MOUNT {
        emit::to_process_ring(scratch.data.as_mut_ptr(), len);
    } else {
        emit::to_file_ring(scratch.data.as_mut_ptr(), len);
    }
}

/// Writes down what the walks came to. Returns the record's operation.
#[inline(always)]
pub fn seal(scratch: &mut Scratch) -> u32 {
    let (lengths, cut) = (scratch.walk.lengths, scratch.walk.cut);
    let record = scratch.fixed::<FileRecord>();
    record.sections[2] = lengths[0];
    record.sections[3] = lengths[1];
    if cut & 1 != 0 {
        record.header.flags |= FLAG_PATH_CUT;
    }
    if cut & 2 != 0 {
        record.header.flags |= FLAG_PATH2_CUT;
    }
    record.operation
}
