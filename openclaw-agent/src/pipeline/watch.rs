//! From the paths that rules name to the inodes that the kernel programs look for.
//!
//! The programs walk a path from its leaf and cannot compare its letters with a prefix; they look up each
//! directory's inode on the way. So a prefix is turned into the inodes of what exists below it, and of the
//! directory in which a name that begins with it may yet appear. What the kernel lets through too much, the
//! rules do not match.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use openclaw_common::record::{Watch, WatchKey};
use openclaw_detect::interest::ReadInterest;

/// Most inodes that are watched; where more would be needed, every read is reported instead.
const MAX_WATCHES: usize = 8192;

/// File systems on which `stat` tells other numbers than the kernel's inodes have: `OVERLAYFS_SUPER_MAGIC`,
/// `BTRFS_SUPER_MAGIC`.
const UNLIKE_STAT: [i64; 2] = [0x794c_7630, 0x9123_683e];

/// The inodes to watch; `None` where every read has to be reported.
pub(super) fn watches(reads: &ReadInterest) -> Option<Vec<(WatchKey, Watch)>> {
    let prefixes = match reads {
        ReadInterest::None => return Some(Vec::new()),
        ReadInterest::All => return None,
        ReadInterest::Prefixes(prefixes) => prefixes,
    };
    let mut watches = HashMap::new();
    for prefix in prefixes {
        add(prefix, &mut watches)?;
    }
    (watches.len() <= MAX_WATCHES).then(|| watches.into_iter().collect())
}

/// Adds what a prefix needs. `None` where inodes cannot be told.
fn add(prefix: &str, watches: &mut HashMap<WatchKey, Watch>) -> Option<()> {
    let (folder, beginning) = prefix.rsplit_once('/')?;
    let folder = Path::new(if folder.is_empty() { "/" } else { folder });
    let Ok(metadata) = fs::metadata(folder) else {
        // It may be made later; whoever makes it does so below a directory that is there now.
        return add(folder.parent()?.to_str()?, watches);
    };
    if UNLIKE_STAT.contains(&file_system(folder)?) {
        return None;
    }
    let watch = watches.entry(key(&metadata)).or_default();
    if beginning.is_empty() {
        watch.subtree = 1;
        return Some(());
    }
    let shortest = beginning.len().min(63);
    watch.name_lengths |= u64::MAX << shortest;
    for entry in fs::read_dir(folder).ok()?.flatten() {
        if entry.file_name().as_bytes().starts_with(beginning.as_bytes())
            && let Ok(metadata) = fs::metadata(entry.path())
            && metadata.is_dir()
        {
            watches.entry(key(&metadata)).or_default().subtree = 1;
        }
    }
    Some(())
}

fn key(metadata: &fs::Metadata) -> WatchKey {
    let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
    WatchKey { inode: metadata.ino(), device: major << 20 | minor, reserved: 0 }
}

fn file_system(path: &Path) -> Option<i64> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is ended by NUL, and the kernel writes one `statfs`.
    if unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: written, since the call did not fail.
    #[allow(clippy::unnecessary_cast, reason = "the type of the field differs among C libraries")]
    Some(unsafe { found.assume_init() }.f_type as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(prefixes: &[String]) -> HashMap<WatchKey, Watch> {
        watches(&ReadInterest::Prefixes(prefixes.to_vec())).unwrap().into_iter().collect()
    }

    fn key_of(path: &Path) -> WatchKey {
        key(&fs::metadata(path).unwrap())
    }

    #[test]
    fn a_folder_is_watched_whole() {
        let folder = tempfile::tempdir().unwrap();
        let found = watched(&[format!("{}/", folder.path().display())]);
        assert_eq!(found[&key_of(folder.path())].subtree, 1);
    }

    #[test]
    fn a_file_is_watched_by_its_folder_and_the_length_of_its_name_or_more() {
        let folder = tempfile::tempdir().unwrap();
        let found = watched(&[format!("{}/shadow", folder.path().display())]);
        let watch = found[&key_of(folder.path())];
        assert_eq!(watch.subtree, 0);
        assert_eq!(watch.name_lengths & (1 << 6), 1 << 6);
        assert_eq!(watch.name_lengths & (1 << 5), 0);
        assert_ne!(watch.name_lengths & (1 << 63), 0);
    }

    #[test]
    fn what_lies_below_a_folder_that_begins_so_is_watched_too() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("secrets.d");
        fs::create_dir(&inner).unwrap();
        let found = watched(&[format!("{}/secret", folder.path().display())]);
        assert_eq!(found[&key_of(&inner)].subtree, 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_waited_for_above() {
        let folder = tempfile::tempdir().unwrap();
        let found = watched(&[format!("{}/gone/deeper/x", folder.path().display())]);
        assert!(found.contains_key(&key_of(folder.path())));
    }
}
