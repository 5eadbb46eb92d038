//! What is about to be done to paths, where the kernel asks its security modules: by its own objects, and before it
//! is known whether it is done.
//!
//! It is noted by thread, and told when the function or the call that does it returns. The hooks are those of the
//! BPF LSM, or where that is not active the entries of the functions that ask the modules, whose arguments are
//! the same. None of them changes what the kernel does: a program of the LSM returns 0, which is "no objection";
//! after another one's objection the kernel runs none.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_kernel},
    macros::{fentry, fexit, lsm, map},
    maps::LruHashMap,
    programs::{FEntryContext, FExitContext, LsmContext},
};
use openclaw_common::{
    record::{
        FILE_PATH, FILES_DONE, FILES_MOUNTED, FILES_NOTED, FILES_TRIED, FLAG_RESOLVED, FLAG_TWO_PATHS,
        FileRecord, NO_ID, loss,
    },
    syscall::{CHMOD, CHOWN, CREATE, DELETE, LINK, MOUNT, RENAME, SYMLINK, TRUNCATE, UNMOUNT},
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{
    emit,
    file::{Access, begin, describe_inode, is_repeated, seal},
    scratch::{FILE_SCRATCHES, Scratch},
    task, walk,
};

/// Most bytes of a record that is noted: its fixed part and two paths of `PATH_MAX`.
const ROOM: usize = 0x2400;

/// A record that is noted: the tail of a [`Scratch`], as far as there is room.
#[repr(C)]
struct Attempt {
    len: u64,
    /// A record whose kind is 0 has been told.
    data: [u8; ROOM],
}

/// By thread. One that has to go because there are too many is told by its call, as where there are no hooks.
#[map]
static ATTEMPTS: LruHashMap<u64, Attempt> = LruHashMap::with_max_entries(512, 0);

/// Tells how what this thread was about to do has ended, now that its call returns. Returns whether it had been
/// noted.
#[inline(always)]
pub fn settle_by_call(operation: u32, returned: i64) -> bool {
    // Where no hook notes anything, two look-ups for each call of interest are saved.
    if emit::control().files & FILES_NOTED == 0 {
        return false;
    }
    let noted = settle_by_function(operation, returned as i32);
    forget();
    noted
}

/// Tells how what this thread was about to do has ended, now that the function returns by which calls and io_uring
/// do it. What it told is remembered, so that a call behind it does not tell it again.
#[inline(always)]
pub fn settle_by_function(operation: u32, returned: i32) -> bool {
    /// What io_uring gets where it would have to wait: it tries again.
    const EAGAIN: i32 = 11;
    let Some(attempt) = ATTEMPTS.get_ptr_mut(bpf_get_current_pid_tgid()) else { return false };
    // SAFETY: the map's value, of this thread only.
    let attempt = unsafe { &mut *attempt };
    // SAFETY: every bit pattern is a value of the type, and `data` is 8-byte aligned within the struct.
    let record = unsafe { &mut *attempt.data.as_mut_ptr().cast::<FileRecord>() };
    if record.operation != operation {
        return false;
    }
    let untold = record.header.kind != 0;
    let done = returned >= 0;
    let wanted = emit::control().files & if done { interest(operation) } else { FILES_TRIED } != 0;
    let len = attempt.len;
    if untold && wanted && returned != -EAGAIN && len <= ROOM as u64 && !tell(attempt, len, returned) {
        return false;
    }
    record.header.kind = 0;
    true
}

/// Tells what was noted, from a copy: where too many are noted, the kernel gives the oldest one's memory to another thread,
/// also while this one reads it. Returns whether it was still this thread's when it had been copied; if not, it is
/// told by its call.
#[inline(always)]
fn tell(noted: &Attempt, len: u64, returned: i32) -> bool {
    let Some(mut scratch) = FILE_SCRATCHES.claim() else { return false };
    // SAFETY: `len` is no more than an attempt's room, and a scratch has more.
    unsafe {
        bpf_probe_read_kernel(scratch.data.as_mut_ptr().cast(), len as u32, noted.data.as_ptr().cast())
    };
    // Only this thread puts it there.
    if ATTEMPTS.get_ptr(bpf_get_current_pid_tgid()).is_none() {
        return false;
    }
    let done = returned >= 0;
    let record = scratch.fixed::<FileRecord>();
    record.error = if done { 0 } else { returned.unsigned_abs() };
    let of_file = record.operation < MOUNT;
    let record = scratch.data.as_mut_ptr();
    if of_file {
        emit::to_file_ring(record, len);
    } else if done {
        // What changes the kernel's own view is not to be lost among files.
        emit::to_process_ring(record, len);
    }
    true
}

/// The bit of interest in what was done.
#[inline(always)]
fn interest(operation: u32) -> u32 {
    if operation < MOUNT { FILES_DONE } else { FILES_MOUNTED }
}

/// Forgets what was noted of this thread.
#[inline(always)]
fn forget() {
    let _ = ATTEMPTS.remove(bpf_get_current_pid_tgid());
}

/// Notes what this thread is about to do: `describe` begins the walks, and says whether it is of interest.
#[inline(always)]
fn note(operation: u32, describe: impl FnOnce(&mut Scratch) -> bool) {
    let control = emit::control();
    let tried = if operation < MOUNT { FILES_TRIED } else { 0 };
    if control.files & (interest(operation) | tried) == 0 {
        return;
    }
    let who = task::identify(current_task());
    if who.tgid == control.own {
        return;
    }
    let Some(mut scratch) = FILE_SCRATCHES.claim() else { return forget() };
    begin(&mut scratch, FILE_PATH, operation, who).header.flags = FLAG_RESOLVED;
    // What is nested deeper than one run can walk is told by its call, whose walk is longer.
    let whole = describe(&mut scratch) && walk::advance(&mut scratch) && scratch.len <= ROOM as u64;
    if !whole {
        return forget();
    }
    seal(&mut scratch);
    // SAFETY: an `Attempt` is what a scratch is from its length on, and is shorter.
    let attempt = unsafe { &*(&raw const scratch.len).cast::<Attempt>() };
    // A map that cannot take it leaves the telling to the call.
    let _ = ATTEMPTS.insert(bpf_get_current_pid_tgid(), attempt, u64::from(BPF_ANY));
}

/// The same with two paths.
#[inline(always)]
fn note_two(operation: u32, describe: impl FnOnce(&mut Scratch)) {
    note(operation, |scratch| {
        describe(scratch);
        scratch.fixed::<FileRecord>().header.flags |= FLAG_TWO_PATHS;
        // The other path is what is left to walk.
        !walk::advance(scratch) && scratch.walk.is_second()
    });
}

fn inode_of(dentry: Ptr) -> Ptr {
    dentry.follow(offset!(dentry_inode))
}

/// An entry of a directory that is there is about to go.
#[inline(always)]
fn removes(dir: u64, dentry: u64) {
    note(DELETE, |scratch| {
        describe_inode(scratch.fixed(), inode_of(Ptr(dentry)));
        scratch.walk.first_in(Ptr(dir), Ptr(dentry));
        true
    });
}

/// `path_unlink(const struct path *dir, struct dentry *dentry)`
#[inline(always)]
fn unlink(dir: u64, dentry: u64) {
    removes(dir, dentry);
}

/// `path_rmdir(const struct path *dir, struct dentry *dentry)`
#[inline(always)]
fn rmdir(dir: u64, dentry: u64) {
    removes(dir, dentry);
}

/// `path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)`
#[inline(always)]
fn mkdir(dir: u64, dentry: u64, mode: u64) {
    note(CREATE, |scratch| {
        scratch.fixed::<FileRecord>().mode = mode as u32;
        scratch.walk.first_in(Ptr(dir), Ptr(dentry));
        true
    });
}

/// `path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
#[inline(always)]
fn mknod(dir: u64, dentry: u64, mode: u64) {
    /// `S_IFMT`, `S_IFREG` and `S_IFSOCK`: files are made by opens, sockets by `bind`, which tell of them.
    const TYPE: u64 = 0o170_000;
    const REGULAR: u64 = 0o100_000;
    const SOCKET: u64 = 0o140_000;
    note(CREATE, |scratch| {
        scratch.fixed::<FileRecord>().mode = mode as u32;
        scratch.walk.first_in(Ptr(dir), Ptr(dentry));
        !matches!(mode & TYPE, REGULAR | SOCKET | 0)
    });
}

/// `path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)`
#[inline(always)]
fn symlink(dir: u64, dentry: u64, target: u64) {
    note(SYMLINK, |scratch| {
        let passed = scratch.append_kernel_string::<4096>(target);
        scratch.fixed::<FileRecord>().sections[0] = passed;
        scratch.walk.first_in(Ptr(dir), Ptr(dentry));
        true
    });
}

/// `path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)`: both lie on one
/// mount.
#[inline(always)]
fn link(old: u64, dir: u64, new: u64) {
    note_two(LINK, |scratch| {
        describe_inode(scratch.fixed(), inode_of(Ptr(old)));
        scratch.walk.first_in(Ptr(dir), Ptr(old));
        scratch.walk.second_in(Ptr(dir), Ptr(new));
    });
}

/// `path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir, struct dentry
/// *new_dentry)`
#[inline(always)]
fn rename(old_dir: u64, old: u64, new_dir: u64, new: u64) {
    note_two(RENAME, |scratch| {
        describe_inode(scratch.fixed(), inode_of(Ptr(old)));
        scratch.walk.first_in(Ptr(old_dir), Ptr(old));
        scratch.walk.second_in(Ptr(new_dir), Ptr(new));
    });
}

/// What has a `struct path` of its own.
#[inline(always)]
fn changes(operation: u32, path: u64, describe: impl FnOnce(&mut FileRecord)) {
    note(operation, |scratch| {
        let record = scratch.fixed::<FileRecord>();
        describe_inode(record, inode_of(Ptr(path).follow(offset!(path_dentry))));
        describe(record);
        if operation == TRUNCATE && is_repeated(&Access::of(record), record.header.time) {
            emit::count(loss::REPEATED);
            return false;
        }
        scratch.walk.first(Ptr(path));
        true
    });
}

/// `path_chmod(const struct path *path, umode_t mode)`
#[inline(always)]
fn chmod(path: u64, mode: u64) {
    changes(CHMOD, path, |record| record.mode = mode as u32);
}

/// `path_chown(const struct path *path, kuid_t uid, kgid_t gid)`
#[inline(always)]
fn chown(path: u64, uid: u64, gid: u64) {
    changes(CHOWN, path, |record| {
        // An id that is none stays what it is.
        if uid as u32 != NO_ID {
            record.uid = uid as u32;
        }
        if gid as u32 != NO_ID {
            record.gid = gid as u32;
        }
    });
}

/// `path_truncate(const struct path *path)`
#[inline(always)]
fn truncate(path: u64) {
    changes(TRUNCATE, path, |_| ());
}

/// `sb_mount(const char *dev_name, const struct path *path, const char *type, unsigned long flags, void *data)`
#[inline(always)]
fn mount(source: u64, target: u64) {
    note(MOUNT, |scratch| {
        let source = scratch.append_kernel_string::<4096>(source);
        scratch.fixed::<FileRecord>().sections[1] = source;
        scratch.walk.first(Ptr(target));
        true
    });
}

/// `sb_umount(struct vfsmount *mnt, int flags)`
#[inline(always)]
fn unmount(mnt: u64) {
    note(UNMOUNT, |scratch| {
        scratch.walk.first_of_mount(Ptr(mnt));
        true
    });
}

/// `move_mount(const struct path *from_path, const struct path *to_path)`
#[inline(always)]
fn move_mount(from: u64, to: u64) {
    note_two(MOUNT, |scratch| {
        scratch.walk.first(Ptr(from));
        scratch.walk.second(Ptr(to));
    });
}

/// The two programs of a hook: that of the LSM, and the one at the entry of the function that asks it.
macro_rules! hook {
    ($lsm:ident, $fentry:ident, $note:ident($($argument:literal),*)) => {
        #[doc = concat!("The LSM asks whether it may be done: see `", stringify!($note), "`.")]
        #[lsm]
        pub fn $lsm(ctx: LsmContext) -> i32 {
            $note($(ctx.arg($argument)),*);
            0
        }

        #[doc = concat!("It is about to be asked whether it may be done: see `", stringify!($note), "`.")]
        #[fentry]
        pub fn $fentry(ctx: FEntryContext) -> i32 {
            $note($(ctx.arg($argument)),*);
            0
        }
    };
}

hook!(lsm_path_unlink, fentry_path_unlink, unlink(0, 1));
hook!(lsm_path_rmdir, fentry_path_rmdir, rmdir(0, 1));
hook!(lsm_path_mkdir, fentry_path_mkdir, mkdir(0, 1, 2));
hook!(lsm_path_mknod, fentry_path_mknod, mknod(0, 1, 2));
hook!(lsm_path_symlink, fentry_path_symlink, symlink(0, 1, 2));
hook!(lsm_path_link, fentry_path_link, link(0, 1, 2));
hook!(lsm_path_rename, fentry_path_rename, rename(0, 1, 2, 3));
hook!(lsm_path_chmod, fentry_path_chmod, chmod(0, 1));
hook!(lsm_path_chown, fentry_path_chown, chown(0, 1, 2));
hook!(lsm_path_truncate, fentry_path_truncate, truncate(0));
hook!(lsm_sb_mount, fentry_sb_mount, mount(0, 1));
hook!(lsm_sb_umount, fentry_sb_umount, unmount(0));
hook!(lsm_move_mount, fentry_move_mount, move_mount(0, 1));

/// The return of a function of `fs/namei.c` by which both calls and io_uring do something to a path: its operation,
/// and at which index behind its arguments the result lies. On 7.2 they are called `filename_unlinkat` and so on.
macro_rules! returns {
    ($program:ident, $operation:ident, $result:literal) => {
        #[doc = concat!("It was done, or was not: see [`", stringify!($operation), "`].")]
        #[fexit]
        pub fn $program(ctx: FExitContext) -> i32 {
            settle_by_function($operation, ctx.arg($result));
            0
        }
    };
}

returns!(do_unlinkat, DELETE, 2);
returns!(do_rmdir, DELETE, 2);
returns!(do_mkdirat, CREATE, 3);
returns!(do_symlinkat, SYMLINK, 3);
returns!(do_linkat, LINK, 5);
returns!(do_renameat2, RENAME, 5);
