//! A folder that lies deep.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, Mode, OFlags};
use tempfile::TempDir;

/// What each level is called.
const LEVEL: &str = "d";

/// A folder below a temporary one. Removed from its end, since what removes trees keeps each level open.
pub(crate) struct Deep {
    top: TempDir,
    path: PathBuf,
    innermost: OwnedFd,
}

fn open(at: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

impl Deep {
    /// One that many components deep: too many for any path that a call would take, where it must be.
    pub(crate) fn new(components: usize) -> Self {
        let top = tempfile::tempdir().unwrap();
        let mut path = top.path().to_str().unwrap().to_owned();
        let mut innermost = OwnedFd::from(File::open(top.path()).unwrap());
        for _ in 0..components {
            path.push('/');
            path.push_str(LEVEL);
            rustix::fs::mkdirat(&innermost, LEVEL, Mode::RWXU).unwrap();
            innermost = open(&innermost, LEVEL).unwrap();
        }
        Deep { path: path.into(), top, innermost }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Has a command begin there.
    pub(crate) fn begin_here<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let here = self.innermost.as_raw_fd();
        // SAFETY: the call may be made between fork and exec, on a descriptor that is open until the child has begun.
        unsafe {
            command.pre_exec(move || match libc::fchdir(here) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            })
        }
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        let top = rustix::fs::stat(self.top.path()).map(|stat| stat.st_ino);
        let Ok(mut level) = open(&self.innermost, ".") else { return };
        while rustix::fs::fstat(&level).map(|stat| stat.st_ino) != top {
            let Ok(above) = open(&level, "..") else { return };
            for file in rustix::fs::Dir::read_from(&level).into_iter().flatten().flatten() {
                let _ = rustix::fs::unlinkat(&level, file.file_name(), AtFlags::empty());
            }
            if rustix::fs::unlinkat(&above, LEVEL, AtFlags::REMOVEDIR).is_err() {
                return;
            }
            level = above;
        }
    }
}
