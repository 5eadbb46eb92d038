//! The freezer of a container's control group: who is frozen stands still unseen, cannot be resumed by a signal, and so does
//! who comes in later.

use std::fs;
use std::io::{self, Write as _};
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

    /// Whether others than this container's processes are in it, such as those of containers inside of it, or may be.
    pub(super) fn holds_others(&self, container: &str) -> bool {
        let mut folders = vec![self.0.with_file_name("")];
        while let Some(folder) = folders.pop() {
            let procs = match fs::read_to_string(folder.join("cgroup.procs")) {
                Ok(procs) => procs,
                Err(error) if is_gone(&error) => continue,
                Err(_) => return true,
            };
            let is_other = |pid: &str| {
                let other = pid.parse().ok().and_then(container_of);
                other.is_some_and(|other| other != container)
            };
            if procs.lines().any(is_other) {
                return true;
            }
            let inner = fs::read_dir(&folder).into_iter().flatten().flatten();
            let folders_in_it = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.extend(folders_in_it.map(|entry| entry.path()));
        }
        false
    }

    /// Whether it is switched on.
    pub(super) fn is_on(&self) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|text| text.trim_end() == "1")
    }

    /// Whether everybody in it stands still by now.
    pub(super) fn holds_all(&self) -> bool {
        let events = fs::read_to_string(self.0.with_file_name("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "frozen 1"))
    }

    /// Has everybody in it stand still. There may be nobody: its folder may be gone.
    ///
    /// # Errors
    /// It may not be written.
    pub(super) fn switch_on(&self) -> io::Result<()> {
        self.write("1")
    }

    /// Lets everybody in it go on.
    ///
    /// # Errors
    /// It may not be written.
    pub(super) fn switch_off(&self) -> io::Result<()> {
        self.write("0")
    }

    fn write(&self, text: &str) -> io::Result<()> {
        match fs::OpenOptions::new()
            .write(true)
            .open(&self.0)
            .and_then(|mut file| file.write_all(text.as_bytes()))
        {
            Err(error) if is_gone(&error) => Ok(()),
            written => written,
        }
    }
}

/// Whether the folder has been removed.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}
