//! A folder of cgroup v2.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

    /// One inside of it that looks like a container's, as runtimes call them.
    pub(crate) fn container(&self) -> Self {
        let path = self.0.join(format!("{:064x}", unique()));
        std::fs::create_dir(&path).unwrap();
        Cgroup(path)
    }

    /// How many processes are in it.
    pub(crate) fn processes(&self) -> usize {
        std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap().lines().count()
    }

    /// A command that runs in it.
    pub(crate) fn inside(&self, mut command: Command) -> Command {
        let procs = std::fs::OpenOptions::new().write(true).open(self.0.join("cgroup.procs")).unwrap();
        // SAFETY: one system call, on a descriptor that was opened before.
        unsafe {
            command.pre_exec(move || rustix::io::write(&procs, b"0").map(drop).map_err(Into::into));
        }
        command
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
