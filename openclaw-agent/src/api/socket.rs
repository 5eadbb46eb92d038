//! Where the control socket is, and that only one agent has it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::{env, process};

/// The socket of an agent that root runs.
pub const SYSTEM_SOCKET: &str = "/run/openclaw/openclaw.sock";

/// The socket that is used when none is configured: root's, or the user's own.
pub fn default_path() -> PathBuf {
    // SAFETY: geteuid has no preconditions and cannot fail.
    let uid = unsafe { libc::geteuid() };
    if uid == 0 {
        return PathBuf::from(SYSTEM_SOCKET);
    }
    let folder = env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    folder
        .map_or_else(|| PathBuf::from(format!("/run/user/{uid}")), PathBuf::from)
        .join("openclaw/openclaw.sock")
}

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another agent has it.
    #[error("an agent is running already{}: stop it first, or give this one another `api.socket` (the lock is {lock})",
        pid.map(|pid| format!(", process {pid}")).unwrap_or_default(), lock = lock.display())]
    AlreadyRunning {
        /// The other agent.
        pid: Option<u32>,
        /// The file that it holds locked.
        lock: PathBuf,
    },
    /// Something that is no socket is in its place.
    #[error("{} is no socket: remove it, or set `api.socket` to another path", .0.display())]
    InTheWay(PathBuf),
    /// The system does not allow it.
    #[error("cannot make the control socket {path}: {source}. Set `api.socket` to a path in a folder that you can write", path = path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The socket, bound, and the lock that no other agent can have meanwhile.
#[derive(Debug)]
pub struct BoundSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    // Held for its lock.
    _lock: File,
}

impl BoundSocket {
    /// Takes the lock beside the socket, removes what a dead agent left, and binds. Only the owner can connect.
    ///
    /// # Errors
    /// [`SocketError`]
    pub fn bind(path: &Path) -> Result<BoundSocket, SocketError> {
        let io = |source| SocketError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        let lock = take_lock(path)?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path).map_err(io)?,
            Ok(_) => return Err(SocketError::InTheWay(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        Ok(BoundSocket { listener, path: path.to_owned(), _lock: lock })
    }

    /// Where it is bound.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        // The lock is still held, so this is our socket. A file that is gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks the file beside the socket for as long as the returned file is open, and writes our pid into it.
fn take_lock(socket: &Path) -> Result<File, SocketError> {
    let io = |source| SocketError::Io { path: socket.to_owned(), source };
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            return Err(SocketError::AlreadyRunning { pid, lock: path });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", process::id()))
        .map_err(io)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_agent_can_have_the_socket_and_the_other_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/openclaw.sock");
        let first = BoundSocket::bind(&path).unwrap();
        let error = BoundSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", process::id())), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(first);
        assert!(!path.exists());
        BoundSocket::bind(&path).unwrap();
    }

    #[test]
    fn a_socket_that_a_dead_agent_left_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let stale = folder.path().join("stale.sock");
        drop(UnixListener::bind(&stale).unwrap());
        assert!(stale.exists());
        BoundSocket::bind(&stale).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(BoundSocket::bind(&file), Err(SocketError::InTheWay(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
