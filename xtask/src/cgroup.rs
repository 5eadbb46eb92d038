//! Control groups of version 2, which tell apart what tasks start and count its processors' time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;

/// A control group of its own; removed with this, once it is empty.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes one below the root of version 2, whose name tells the task and this process.
    ///
    /// # Errors
    /// Where version 2 is not mounted, or it cannot be made.
    pub(crate) fn new(task: &str, name: &str) -> Result<Self> {
        Self::make(root()?.join(format!("openclaw-{task}-{}-{name}", std::process::id())))
    }

    /// Makes one inside of this one.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn inner(&self, name: &str) -> Result<Self> {
        Self::make(self.folder.join(name))
    }

    fn make(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make the control group {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends all its processes, and those of the groups in it.
    ///
    /// # Errors
    /// It cannot be read who they are, or one cannot be ended.
    pub(crate) fn end_all(&self) -> Result<()> {
        // cgroup-v2.rst of the kernel: since 5.14.
        if std::fs::write(self.folder.join("cgroup.kill"), "1").is_ok() {
            return Ok(());
        }
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            let procs = folder.join("cgroup.procs");
            let pids = std::fs::read_to_string(&procs)
                .with_context(|| format!("cannot read {}", procs.display()))?;
            for pid in pids.lines() {
                // One that has ended meanwhile is what is wanted.
                let _ = process::output(Command::new("kill").args(["-KILL", pid]))?;
            }
            let inner =
                std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
            folders.extend(inner.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()));
        }
        Ok(())
    }

    /// A command whose process, and all that come of it, belong to this group.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        // The shell enters the group and becomes the program.
        command
            .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
            .arg(self.folder.join("cgroup.procs"))
            .arg(program);
        process::forget_outer_cargo(&mut command);
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Those who are gone leave it a moment later; what is left of an empty group costs nothing.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Processors' time of a group's processes, those that have ended included.
///
/// # Errors
/// Where the group cannot be read.
pub(crate) fn usage(folder: &Path) -> Result<Duration> {
    let file = folder.join("cpu.stat");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    // cgroup-v2.rst of the kernel: "usage_usec", there without any controller.
    let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
    let micros = usage.and_then(|value| value.parse().ok());
    micros.map(Duration::from_micros).with_context(|| format!("{} tells no usage_usec", file.display()))
}

/// Where version 2 is mounted.
fn root() -> Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    let words = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = words
        .filter(|words| words.get(2) == Some(&"cgroup2"))
        .find_map(|words| words.get(1).map(PathBuf::from));
    found.context("no cgroup v2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
}
