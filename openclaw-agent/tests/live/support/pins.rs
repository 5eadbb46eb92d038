//! A BPF file system of the test's own.

use std::path::{Path, PathBuf};

use openclaw_common::verdict::VERSION;
use tempfile::TempDir;

/// A folder on which the responder mounts a BPF file system; unmounted again, with whatever it pins.
pub(crate) struct Bpffs(TempDir);

impl Bpffs {
    pub(crate) fn new() -> Self {
        Bpffs(tempfile::Builder::new().prefix("openclaw-bpffs-").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where verdict programs and their maps are pinned.
    pub(crate) fn pins(&self) -> PathBuf {
        self.path().join("openclaw").join(VERSION)
    }

    /// Whether verdict programs are pinned.
    pub(crate) fn has_pins(&self) -> bool {
        self.pins().exists()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // No process is suspended by what it says.
        let _ = openclaw_agent::respond::undo_all(self.path(), Path::new("/nonexistent"));
        let _ = rustix::mount::unmount(self.path(), rustix::mount::UnmountFlags::DETACH);
    }
}
