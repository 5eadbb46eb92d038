//! What was done to files.

use openclaw_common::record::{
    FILE_OPEN, FLAG_PATH_CUT, FLAG_PATH2_CUT, FLAG_RESOLVED, FLAG_TWO_PATHS, FileRecord, NO_ID,
};
use openclaw_common::syscall;
use openclaw_detect::EventKind;

use super::{Occasion, Outlet, Stage};
use crate::enrich::{Body, FileBody, KernelBody, Other};

impl Stage {
    /// Something was done to a file.
    pub(super) fn file(&mut self, record: &FileRecord, sections: [&[u8]; 4], outlet: &mut impl Outlet) {
        let id = self.compare_credentials(&record.header);
        let [passed, passed2, walked, walked2] = sections;
        let (cut, cut2) =
            (record.header.flags & FLAG_PATH_CUT != 0, record.header.flags & FLAG_PATH2_CUT != 0);
        let open = record.header.kind == FILE_OPEN;
        let resolved = open || record.header.flags & FLAG_RESOLVED != 0;
        let two_paths = record.header.flags & FLAG_TWO_PATHS != 0;
        // The name of an attribute, of what is mounted, or of a module.
        let named = !two_paths && !passed2.is_empty();
        if resolved && two_paths {
            self.other.set_section(walked, cut);
            self.path.set_section(walked2, cut2);
        } else if resolved {
            self.path.set_section(walked, cut);
            self.other.set_text(passed);
        } else if two_paths {
            match record.operation {
                // What a link says is no path until somebody follows it.
                syscall::SYMLINK => self.other.set_text(passed),
                _ => self.other.set_joined(walked, passed, cut),
            }
            self.path.set_joined(walked2, passed2, cut2);
        } else {
            self.path.set_joined(walked, passed, cut);
        }
        if named {
            self.other.set_text(passed2);
        }
        // Of what is to come there is neither inode nor owner yet.
        let described = open || record.inode != 0;
        let owner =
            |id: u32| (id != NO_ID && (described || record.operation == syscall::CHOWN)).then_some(id);
        let mode = record.mode & 0o7777;
        let kind = match record.operation {
            syscall::MOUNT | syscall::UNMOUNT => EventKind::MountChange,
            syscall::LOAD_MODULE => EventKind::ModuleLoad,
            _ if record.error != 0 => EventKind::FileAttempt,
            _ => EventKind::FileAccess,
        };
        let occasion = Occasion::new(id, record.header.time, kind).by(&record.header.task);
        self.emit(occasion, outlet, |path, other| match record.operation {
            syscall::MOUNT => {
                let source = (two_paths || named).then_some(other);
                Body::Kernel(KernelBody::Mount { mounted: true, target: path, source })
            }
            syscall::UNMOUNT => {
                Body::Kernel(KernelBody::Mount { mounted: false, target: path, source: None })
            }
            syscall::LOAD_MODULE => Body::Kernel(KernelBody::Module {
                loaded: true,
                name: named.then(|| other.into()),
                path: Some(path),
            }),
            _ => Body::File(FileBody {
                action: match record.error {
                    0 => action_name(record.operation),
                    _ => failed_name(record.operation),
                },
                path,
                other: match record.operation {
                    syscall::RENAME => Some(Other::Original(other)),
                    syscall::LINK | syscall::SYMLINK => Some(Other::Target(other)),
                    _ => named.then_some(Other::Attribute(other)),
                },
                resolved,
                truncated: cut || cut2,
                inode: described.then_some((record.inode, record.device)),
                owner: (owner(record.uid), owner(record.gid)),
                upper_layer: record.header.upper_layer(),
                mode: (described || record.operation == syscall::CHMOD).then_some(mode),
                error: record.error,
            }),
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
        syscall::CHOWN => "chown",
        syscall::LINK => "link",
        syscall::SYMLINK => "symlink",
        syscall::TRUNCATE => "truncate",
        syscall::SET_ATTRIBUTE => "set_attribute",
        syscall::REMOVE_ATTRIBUTE => "remove_attribute",
        _ => "access",
    }
}

/// The value of `event.action` of what was tried in vain.
fn failed_name(operation: u32) -> &'static str {
    match operation {
        syscall::READ => "read_failed",
        syscall::WRITE => "write_failed",
        syscall::CREATE => "create_failed",
        syscall::DELETE => "delete_failed",
        syscall::RENAME => "rename_failed",
        syscall::LINK => "link_failed",
        syscall::SYMLINK => "symlink_failed",
        syscall::TRUNCATE => "truncate_failed",
        syscall::CHMOD => "chmod_failed",
        _ => "chown_failed",
    }
}
