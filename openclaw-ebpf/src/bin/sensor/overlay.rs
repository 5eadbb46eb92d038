//! Layers of overlay file systems, of which containers are made.

use openclaw_common::layout::MISSING;
use openclaw_common::record::{FLAG_LAYER_KNOWN, FLAG_UPPER_LAYER};
use openclaw_ebpf::{kernel::Ptr, offset};

/// `OVERLAYFS_SUPER_MAGIC` of `linux/magic.h`.
const OVERLAY: u64 = 0x794c_7630;

/// In which layer of an overlay the file lies, as flags of its record: one that was changed or made there has a
/// dentry in the upper.
#[inline(always)]
pub fn layer(inode: Ptr, file_system: u64) -> u32 {
    let embedded = offset!(ovl_inode_vfs_inode);
    let upper = offset!(ovl_inode_upper);
    if file_system != OVERLAY || embedded == MISSING || upper == MISSING {
        return 0;
    }
    let of_overlay = Ptr(inode.0 - u64::from(embedded));
    if of_overlay.follow(upper).is_null() { FLAG_LAYER_KNOWN } else { FLAG_LAYER_KNOWN | FLAG_UPPER_LAYER }
}
