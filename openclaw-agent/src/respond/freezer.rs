//! The freezer of a container's control group: who is frozen stands still unseen, cannot be resumed by a signal, and so does
//! who comes in later.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::cgroup;
use crate::enrich::container_of;

/// The freezer of one folder of cgroup v2 (`cgroup.freeze` in the kernel's cgroup-v2.rst; since 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Freezer(PathBuf);

impl Freezer {
    /// That of a container, which is named by the path of its control group. None where the container's runtime uses
    /// another hierarchy, or the folder is gone.
    pub(super) fn of(container: &str) -> Option<Freezer> {
        let freezer =
            Freezer(cgroup::root().ok()?.join(container.trim_start_matches('/')).join("cgroup.freeze"));
        freezer.0.is_file().then_some(freezer)
    }

    /// Whether others than this container's processes are in it, such as those of containers inside of it.
    pub(super) fn holds_others(&self, container: &str) -> bool {
        let mut folders = vec![self.0.with_file_name("")];
        while let Some(folder) = folders.pop() {
            let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            let is_other = |pid: &str| {
                let other = pid.parse().ok().and_then(container_of);
                other.is_some_and(|other| other != container)
            };
            if procs.lines().any(is_other) {
                return true;
            }
            let inner = fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(
                inner
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path()),
            );
        }
        false
    }

    /// Whether it is switched on.
    pub(super) fn is_on(&self) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|text| text.trim_end() == "1")
    }

    /// Has everybody in it stand still.
    ///
    /// # Errors
    /// The folder is gone, or may not be written.
    pub(super) fn switch_on(&self) -> io::Result<()> {
        fs::write(&self.0, "1")
    }

    /// Lets everybody in it go on. There is nobody in a folder that is gone.
    pub(super) fn switch_off(&self) {
        if let Err(error) = fs::write(&self.0, "0")
            && error.kind() != io::ErrorKind::NotFound
            && error.raw_os_error() != Some(libc::ENODEV)
        {
            tracing::error!("{} cannot be switched off: {error}", self.0.display());
        }
    }
}
