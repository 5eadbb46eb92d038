//! Whether a file may be believed: nobody but root and the invoking user can have written it.
//!
//! The agent is root, so whoever can write its configuration or its rules commands root.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{self, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::{env, io};

/// Larger files are refused: no configuration or rule file is.
const MAX_BYTES: u64 = 16 << 20;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It could not be read at all.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a directory, a pipe, a device, or too large.
    #[error("{path} is {what}: give a regular file of at most 16 MiB", path = path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// It is no text.
    #[error("{path}: line {line}, column {column} is no UTF-8", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line of the first byte that is not, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
    },
    /// Somebody else could have written it.
    #[error("{path} is refused: {why}. Whoever can write it commands the agent, which is root. To mend it: {mend}", path = path.display())]
    Untrusted {
        /// The file that was to be read.
        path: PathBuf,
        /// Who can write what.
        why: String,
        /// The command that mends it.
        mend: String,
    },
}

/// Reads a file that only root and the invoking user can have written: the file itself and each folder above it
/// belong to them, and no one else may write there. (A folder with the sticky bit, such as `/tmp`, is fine.)
///
/// # Errors
/// [`TrustError`]; its text says how to mend it.
pub fn read_trusted(path: &Path) -> Result<String, TrustError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let users = Users::current();
    for folder in folders_above(path).map_err(unreadable)? {
        let metadata = fs::symlink_metadata(&folder).map_err(unreadable)?;
        check(path, &folder, &metadata, &users)?;
    }
    read(path, |metadata| check(path, path, metadata, &users))
}

/// Reads a file that anybody may have written.
///
/// # Errors
/// [`TrustError`], but for [`TrustError::Untrusted`].
pub fn read_any(path: &Path) -> Result<String, TrustError> {
    read(path, |_| Ok(()))
}

/// Reads a regular file. What is checked is what is read, since it is that of the open file.
fn read(path: &Path, check: impl FnOnce(&Metadata) -> Result<(), TrustError>) -> Result<String, TrustError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    // A pipe would be waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        let what = if metadata.is_dir() { "a directory" } else { "no regular file, or too large" };
        return Err(TrustError::NotAFile { path: path.to_owned(), what });
    }
    check(&metadata)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let since = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = 1 + String::from_utf8_lossy(&good[since..]).chars().count();
        TrustError::NotText { path: path.to_owned(), line, column }
    })
}

/// Checks that only root and the invoking user can put files into a folder.
///
/// # Errors
/// [`TrustError`]; its text says how to mend it.
pub fn check_folder(path: &Path) -> Result<(), TrustError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let users = Users::current();
    let mut folders = folders_above(path).map_err(unreadable)?;
    folders.push(fs::canonicalize(path).map_err(unreadable)?);
    for folder in folders {
        check(path, &folder, &fs::symlink_metadata(&folder).map_err(unreadable)?, &users)?;
    }
    Ok(())
}

/// Every folder through which `path` leads, as it is spelled and as it resolves.
fn folders_above(path: &Path) -> io::Result<Vec<PathBuf>> {
    let spelled = std::path::absolute(path)?;
    let resolved = fs::canonicalize(path)?;
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in spelled.ancestors().skip(1).chain(resolved.ancestors().skip(1)) {
        let folder = fs::canonicalize(folder)?;
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    Ok(folders)
}

/// Whether only trusted users can write what is at `at`, on the way to `path`.
fn check(path: &Path, at: &Path, metadata: &Metadata, users: &Users) -> Result<(), TrustError> {
    let quoted = at.display();
    let untrusted =
        |why: String, mend: String| Err(TrustError::Untrusted { path: path.to_owned(), why, mend });
    if !users.trusted.contains(&metadata.uid()) {
        return untrusted(
            format!("{quoted} belongs to user {}", metadata.uid()),
            format!("`sudo chown root:root '{quoted}'`"),
        );
    }
    let mode = metadata.mode();
    if metadata.is_dir() && mode & libc::S_ISVTX != 0 {
        return Ok(());
    }
    if mode & 0o002 != 0 {
        return untrusted(format!("everybody can write {quoted}"), format!("`chmod o-w '{quoted}'`"));
    }
    // With an access list, the group's bits are the most that anybody on the list may do.
    if mode & 0o020 != 0 && has_access_list(at) {
        return untrusted(
            format!("the access list of {quoted} lets others write"),
            format!("`setfacl -b '{quoted}'` and `chmod g-w '{quoted}'`"),
        );
    }
    if mode & 0o020 != 0 && !users.group_is_private(metadata.gid()) {
        return untrusted(
            format!("group {} can write {quoted} and has other members", metadata.gid()),
            format!("`chmod g-w '{quoted}'`"),
        );
    }
    Ok(())
}

fn has_access_list(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return true };
    // SAFETY: both strings end with NUL and live through the call; a size of 0 asks for the length and writes nothing.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), c"system.posix_acl_access".as_ptr(), std::ptr::null_mut(), 0)
    };
    length > 0
}

/// Who may write what the agent believes.
struct Users {
    trusted: HashSet<u32>,
}

impl Users {
    /// Root, who runs this, and who called sudo to run it.
    fn current() -> Users {
        // SAFETY: getuid has no preconditions and cannot fail.
        let real = unsafe { libc::getuid() };
        let sudo = env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok()).filter(|_| real == 0);
        Users { trusted: [0, real].into_iter().chain(sudo).collect() }
    }

    /// Whether all members of a group are trusted: root's group, or the group of its own that many systems
    /// give each user. A group that is not in the files is not known, and so not private.
    fn group_is_private(&self, gid: u32) -> bool {
        let (Ok(passwd), Ok(group)) = (fs::read_to_string("/etc/passwd"), fs::read_to_string("/etc/group"))
        else {
            return false;
        };
        group_is_private(gid, &self.trusted, &passwd, &group)
    }
}

fn group_is_private(gid: u32, trusted: &HashSet<u32>, passwd: &str, group: &str) -> bool {
    let users = || {
        passwd.lines().filter_map(|line| {
            let mut parts = line.split(':');
            let name = parts.next()?;
            let uid: u32 = parts.nth(1)?.parse().ok()?;
            let primary: u32 = parts.next()?.parse().ok()?;
            Some((name, uid, primary))
        })
    };
    let Some(line) =
        group.lines().find(|line| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(gid))
    else {
        return false;
    };
    let members = line.split(':').nth(3).unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let is_trusted = |name: &str| users().any(|(user, uid, _)| user == name && trusted.contains(&uid));
    members.into_iter().all(is_trusted)
        && users().filter(|user| user.2 == gid).all(|user| trusted.contains(&user.1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_and_the_error_says_how_to_mend_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("openclaw.yml");
        fs::write(&file, "store:\n").unwrap();
        chmod(&file, 0o644);
        assert_eq!(read_trusted(&file).unwrap(), "store:\n");
        chmod(&file, 0o646);
        let error = read_trusted(&file).unwrap_err().to_string();
        assert!(error.contains("everybody can write") && error.contains("chmod o-w"), "{error}");
    }

    #[test]
    fn a_file_in_a_folder_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        let file = open.join("a.yml");
        fs::write(&file, "").unwrap();
        chmod(&file, 0o600);
        chmod(&open, 0o777);
        assert!(matches!(read_trusted(&file), Err(TrustError::Untrusted { .. })));
        assert!(matches!(check_folder(&open), Err(TrustError::Untrusted { .. })));
        let link = folder.path().join("link.yml");
        symlink(&file, &link).unwrap();
        assert!(matches!(read_trusted(&link), Err(TrustError::Untrusted { .. })), "through a link as well");
        chmod(&open, 0o1777);
        read_trusted(&file).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read_trusted(folder.path()), Err(TrustError::NotAFile { .. })));
        let error = read_trusted(&folder.path().join("none.yml")).unwrap_err().to_string();
        assert!(error.contains("none.yml"), "{error}");
    }

    #[test]
    fn a_group_is_private_only_when_all_its_members_are_trusted() {
        let passwd = "root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/h:/bin/sh\nbob:x:1001:1001::/h:/bin/sh\n";
        let group = "root:x:0:\nana:x:1000:\nbob:x:1001:ana\nstaff:x:50:ana,bob\nempty:x:60:\n";
        let private = |gid| group_is_private(gid, &HashSet::from([0, 1000]), passwd, group);
        assert!(private(0) && private(1000) && private(60));
        assert!(!private(1001) && !private(50) && !private(4242));
    }
}
