//! What was done to files.

use openclaw_common::record::{FILE_OPEN, FLAG_PATH_CUT, FLAG_PATH2_CUT, FileRecord};
use openclaw_common::syscall;
use openclaw_detect::EventKind;

use super::{Occasion, Outlet, Stage};
use crate::enrich::{Body, FileBody};

impl Stage {
    /// Something was done to a file.
    pub(super) fn file(&mut self, record: &FileRecord, sections: [&[u8]; 4], outlet: &mut impl Outlet) {
        let id = self.compare_credentials(&record.header);
        let [passed, passed2, walked, walked2] = sections;
        let (cut, cut2) =
            (record.header.flags & FLAG_PATH_CUT != 0, record.header.flags & FLAG_PATH2_CUT != 0);
        let open = record.header.kind == FILE_OPEN;
        let rename = record.operation == syscall::RENAME;
        if open {
            self.path.set_section(walked, cut);
        } else if rename {
            self.original.set_joined(walked, passed, cut);
            self.path.set_joined(walked2, passed2, cut2);
        } else {
            self.path.set_joined(walked, passed, cut);
        }
        let mode = record.mode & 0o7777;
        let occasion = Occasion::new(id, record.header.time, EventKind::FileAccess).by(&record.header.task);
        self.emit(occasion, outlet, |path, original| {
            Body::File(FileBody {
                action: action_name(record.operation),
                path,
                original: rename.then_some(original),
                resolved: open,
                truncated: cut || cut2,
                inode: open.then_some((record.inode, record.device, record.uid, record.gid)),
                mode: (open || record.operation == syscall::CHMOD).then_some(mode),
            })
        });
    }
}

fn action_name(operation: u32) -> &'static str {
    match operation {
        syscall::READ => "read",
        syscall::WRITE => "write",
        syscall::CREATE => "create",
        syscall::DELETE => "delete",
        syscall::RENAME => "rename",
        syscall::CHMOD => "chmod",
        _ => "access",
    }
}
