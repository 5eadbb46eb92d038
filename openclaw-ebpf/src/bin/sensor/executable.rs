//! What is read of the file that a process runs, and of the descriptors that it begins with.

use openclaw_common::record::{CLOSED, Descriptor, FLAG_DELETED, FLAG_TREELESS, FileVersion};
use openclaw_ebpf::{kernel::Ptr, offset};

use crate::{overlay, syscall::file_of};

/// `I_CTIME_QUERIED` of the kernel, since 6.13: a mark within the nanoseconds, not part of the time.
const QUERIED: u32 = 1 << 31;

/// `S_IFMT` and the types that have a detail worth telling.
const TYPE: u32 = 0o170_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const SOCKET: u32 = 0o140_000;

/// Fills in which file it is. Returns flags about it.
#[inline(always)]
pub fn describe(file: Ptr, version: &mut FileVersion) -> u32 {
    let inode = file.follow(offset!(file_inode));
    let super_block = inode.follow(offset!(inode_sb));
    version.inode = inode.get(offset!(inode_ino));
    version.size = inode.get(offset!(inode_size));
    version.changed = inode.get(offset!(inode_ctime));
    version.changed_nanoseconds = inode.get::<u32>(offset!(inode_ctime_nsec)) & !QUERIED;
    version.device = super_block.get(offset!(super_block_dev));
    version.file_system = super_block.get(offset!(super_block_magic));
    place(file.member(offset!(file_path)), inode) | overlay::layer(inode, version.file_system)
}

/// Whether the file is still where it was, as the kernel's `d_unlinked` has it.
#[inline(always)]
fn place(path: Ptr, inode: Ptr) -> u32 {
    let dentry = path.follow(offset!(path_dentry));
    if dentry.follow(offset!(dentry_parent)) == dentry {
        // The root of a mount is a directory, so that this never had a place.
        return FLAG_TREELESS;
    }
    let links: u32 = inode.get_or(offset!(inode_nlink), 1);
    let hashed: u64 = dentry.get_or(offset!(dentry_hash), 1);
    if links == 0 || hashed == 0 { FLAG_DELETED } else { 0 }
}

/// What a descriptor of the current process stands for.
#[inline(always)]
pub fn descriptor(number: u64) -> Descriptor {
    let file = file_of(number);
    if file.is_null() {
        return Descriptor { mode: CLOSED, detail: 0 };
    }
    let inode = file.follow(offset!(file_inode));
    let mode = u32::from(inode.get::<u16>(offset!(inode_mode)));
    let detail = match mode & TYPE {
        SOCKET => {
            let sock = file.follow(offset!(file_private_data)).follow(offset!(socket_sk));
            u32::from(sock.get::<u16>(offset!(sock_family)))
        }
        CHARACTER_DEVICE => inode.get(offset!(inode_rdev)),
        _ => 0,
    };
    Descriptor { mode, detail }
}
