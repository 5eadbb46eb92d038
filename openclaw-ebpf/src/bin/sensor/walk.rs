//! Walks paths from the kernel's own objects, leaf first.
//!
//! One program run walks [`COMPONENTS`] components and then tail calls itself to go on: more in one run is
//! refused by the verifier of older kernels. The kernel allows 33 tail calls, which is 1,056 components and
//! more than `PATH_MAX` bytes in all but made-up cases; a path that is cut all the same is marked.

use aya_ebpf::{macros::map, maps::HashMap};
use openclaw_common::layout::MISSING;
use openclaw_common::record::{Watch, WatchKey, loss};
use openclaw_ebpf::{kernel::Ptr, offset};

use crate::{
    emit,
    scratch::{CAPACITY, Scratch},
};

/// Components that one run walks.
const COMPONENTS: usize = 32;

/// Most bytes of one path: the kernel's `PATH_MAX`.
const PATH_MAX: u64 = 4096;

/// Longest name of a component with its NUL: `NAME_MAX` + 1.
const NAME_MAX: u32 = 256;

/// Directories and files whose reads are of interest.
#[map]
static WATCHES: HashMap<WatchKey, Watch> = HashMap::with_max_entries(8192, 0);

/// The paths of a record that are still to be walked, and how far the first of them has come.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walk {
    /// Where the walk is: dentry and `vfsmount`. 0 where there is no path.
    dentry: u64,
    mnt: u64,
    /// The path to walk after this one.
    next_dentry: u64,
    next_mnt: u64,
    /// Length of the record when the walk over this path began.
    begin: u64,
    /// Lengths that the two paths came to.
    pub lengths: [u32; 2],
    /// Which of the paths lack their beginning: bit 0 the first, bit 1 the second.
    pub cut: u32,
    /// 0 or 1: which path is being walked.
    index: u32,
    /// Components so far of this path.
    depth: u32,
    /// Whether the path is one that is watched: looked for only where [`Walk::look`] is set.
    pub watched: u32,
    /// Whether to look whether the path is watched.
    pub look: u32,
    /// Length of the last component.
    leaf: u32,
}

impl Walk {
    /// No path.
    pub const NONE: Walk = Walk {
        dentry: 0,
        mnt: 0,
        next_dentry: 0,
        next_mnt: 0,
        begin: 0,
        lengths: [0; 2],
        cut: 0,
        index: 0,
        depth: 0,
        watched: 0,
        look: 0,
        leaf: 0,
    };

    /// The path (a `struct path`) to walk first.
    #[inline(always)]
    pub fn first(&mut self, path: Ptr) {
        self.dentry = path.get(offset!(path_dentry));
        self.mnt = path.get(offset!(path_mnt));
    }

    /// Where a mount (a `struct vfsmount`) is, to walk first.
    #[inline(always)]
    pub fn first_of_mount(&mut self, mnt: Ptr) {
        self.dentry = mnt.follow(offset!(vfsmount_root)).0;
        self.mnt = mnt.0;
    }

    /// The entry `dentry` of the directory at `path`, to walk first.
    #[inline(always)]
    pub fn first_in(&mut self, path: Ptr, dentry: Ptr) {
        self.dentry = dentry.0;
        self.mnt = path.get(offset!(path_mnt));
    }

    /// The entry `dentry` of the directory at `path`, to walk after the first path.
    #[inline(always)]
    pub fn second_in(&mut self, path: Ptr, dentry: Ptr) {
        self.next_dentry = dentry.0;
        self.next_mnt = path.get(offset!(path_mnt));
    }

    /// The path to walk after the first.
    #[inline(always)]
    pub fn second(&mut self, path: Ptr) {
        self.next_dentry = path.get(offset!(path_dentry));
        self.next_mnt = path.get(offset!(path_mnt));
    }

    /// Whether it is the second path that is being walked.
    #[inline(always)]
    pub fn is_second(&self) -> bool {
        self.index == 1
    }

    /// Whether this path is part of what is watched, given one of its dentries.
    #[inline(always)]
    fn is_watched_at(&self, dentry: Ptr) -> bool {
        let key = watch_key(dentry.follow(offset!(dentry_inode)));
        // SAFETY: the value is copied at once; it is two words that the agent replaces as a whole.
        let Some(watch) = (unsafe { WATCHES.get(key) }).copied() else { return false };
        let length = if self.leaf < 63 { self.leaf } else { 63 };
        watch.subtree != 0 || (self.depth == 1 && watch.name_lengths & (1 << length) != 0)
    }
}

#[inline(always)]
fn watch_key(inode: Ptr) -> WatchKey {
    let device = inode.follow(offset!(inode_sb)).get(offset!(super_block_dev));
    WatchKey { inode: inode.get(offset!(inode_ino)), device, reserved: 0 }
}

/// What a step upwards comes to.
enum Step {
    /// Another dentry of the same path.
    Up(Ptr, Ptr),
    /// The root: the path is whole.
    Root,
    /// A link of the chain cannot be read.
    Broken,
}

/// Walks on. Returns whether all paths are done; else the program is to be run once more.
#[inline(always)]
pub fn advance(scratch: &mut Scratch) -> bool {
    let mut dentry = Ptr(scratch.walk.dentry);
    let mut mnt = Ptr(scratch.walk.mnt);
    if scratch.walk.begin == 0 {
        scratch.walk.begin = scratch.len;
    }
    let mut ended = dentry.0 == 0;
    for _ in 0..COMPONENTS {
        if ended {
            break;
        }
        if scratch.walk.look != 0 && scratch.walk.watched == 0 && scratch.walk.is_watched_at(dentry) {
            scratch.walk.watched = 1;
        }
        match step(scratch, dentry, mnt) {
            Step::Up(to, on) => (dentry, mnt) = (to, on),
            Step::Root => ended = true,
            Step::Broken => {
                emit::count(loss::WALK);
                mark_cut(scratch);
                ended = true;
            }
        }
    }
    scratch.walk.dentry = dentry.0;
    scratch.walk.mnt = mnt.0;
    if !ended {
        return false;
    }
    finish_path(scratch)
}

/// Ends the walk where no further run is possible. A path that was still to be walked is as good as cut.
#[inline(always)]
pub fn give_up(scratch: &mut Scratch) {
    mark_cut(scratch);
    if scratch.walk.index == 0 && scratch.walk.next_dentry != 0 {
        scratch.walk.cut |= 2;
    }
    emit::count(loss::WALK);
    finish_path(scratch);
}

/// Marks the path that is being walked as one that lacks its beginning.
#[inline(always)]
fn mark_cut(scratch: &mut Scratch) {
    scratch.walk.cut |= if scratch.walk.index == 0 { 1 } else { 2 };
}

/// Writes down how long the path is that was walked last, and turns to the next. Returns whether there is none.
#[inline(always)]
fn finish_path(scratch: &mut Scratch) -> bool {
    let len = (scratch.len - scratch.walk.begin) as u32;
    if scratch.walk.index == 0 {
        scratch.walk.lengths[0] = len;
    } else {
        scratch.walk.lengths[1] = len;
        return true;
    }
    scratch.walk.index = 1;
    scratch.walk.depth = 0;
    scratch.walk.begin = scratch.len;
    scratch.walk.dentry = scratch.walk.next_dentry;
    scratch.walk.mnt = scratch.walk.next_mnt;
    scratch.walk.next_dentry == 0
}

#[inline(always)]
fn step(scratch: &mut Scratch, dentry: Ptr, mnt: Ptr) -> Step {
    if dentry == mnt.follow(offset!(vfsmount_root)) {
        return cross_mount(mnt);
    }
    let parent = dentry.follow(offset!(dentry_parent));
    if parent == dentry && scratch.walk.depth > 0 {
        // A root that is not that of its mount: the path was unmounted.
        mark_cut(scratch);
        return Step::Root;
    }
    if scratch.len - scratch.walk.begin >= PATH_MAX || scratch.len >= CAPACITY {
        mark_cut(scratch);
        return Step::Root;
    }
    let len = scratch.append_kernel_string::<NAME_MAX>(dentry.follow(offset!(dentry_name)).0);
    if len == 0 {
        return Step::Broken;
    }
    if scratch.walk.depth == 0 {
        scratch.walk.leaf = len - 1;
    }
    scratch.walk.depth += 1;
    if parent == dentry {
        // It never was in a tree: a memfd, say. Its name is all there is.
        mark_cut(scratch);
        return Step::Root;
    }
    Step::Up(parent, mnt)
}

/// From the root of a mount to the dentry that it is mounted on.
#[inline(always)]
fn cross_mount(mnt: Ptr) -> Step {
    let embedded = offset!(mount_vfsmount);
    if embedded == MISSING {
        return Step::Broken;
    }
    let embedded = u64::from(embedded);
    let mount = Ptr(mnt.0 - embedded);
    let parent = mount.follow(offset!(mount_parent));
    if parent == mount {
        return Step::Root;
    }
    Step::Up(mount.follow(offset!(mount_mountpoint)), Ptr(parent.0 + embedded))
}
