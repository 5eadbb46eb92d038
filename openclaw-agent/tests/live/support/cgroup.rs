//! A folder of cgroup v2.

use std::path::{Path, PathBuf};

use super::{unique, wait_for};

/// A cgroup that is removed again. Its processes must have ended by then.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    pub(crate) fn new() -> Self {
        let root = openclaw_agent::respond::cgroup_root().unwrap();
        let path = root.join(format!("openclaw-test-{}-{}", std::process::id(), unique()));
        std::fs::create_dir(&path).unwrap();
        Cgroup(path)
    }

    /// How many processes are in it.
    pub(crate) fn processes(&self) -> usize {
        std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap().lines().count()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::fs::remove_dir(&self.0);
        } else {
            wait_for("the cgroup is empty", || std::fs::remove_dir(&self.0).is_ok());
        }
    }
}
