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
    let mut folders = HashMap::new();
    for prefix in prefixes {
        add(prefix, &mut folders)?;
    }
    let mut watches = HashMap::new();
    for (path, folder) in folders {
        if let Folder::There { metadata, beginnings } = folder {
            watch(path, &metadata, &beginnings, &mut watches)?;
        }
    }
    (watches.len() <= MAX_WATCHES).then(|| watches.into_iter().collect())
}

/// A folder that prefixes name, which is looked for once, however many do.
enum Folder<'a> {
    Missing,
    There {
        metadata: fs::Metadata,
        /// What the names begin with that are looked for in it; the empty one is everything.
        beginnings: Vec<&'a str>,
    },
}

impl Folder<'_> {
    fn look(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(metadata) => Folder::There { metadata, beginnings: Vec::new() },
            Err(_) => Folder::Missing,
        }
    }
}

/// Adds a prefix to the folder in which it is looked for. `None` where it is no path.
fn add<'a>(prefix: &'a str, folders: &mut HashMap<&'a Path, Folder<'a>>) -> Option<()> {
    let (path, beginning) = prefix.rsplit_once('/')?;
    let path = Path::new(if path.is_empty() { "/" } else { path });
    match folders.entry(path).or_insert_with(|| Folder::look(path)) {
        Folder::There { beginnings, .. } => beginnings.push(beginning),
        // It may be made later; whoever makes it does so below a directory that is there now.
        Folder::Missing => add(path.parent()?.to_str()?, folders)?,
    }
    Some(())
}

/// Watches a folder, or what in it begins so. `None` where inodes cannot be told.
fn watch(
    folder: &Path,
    metadata: &fs::Metadata,
    beginnings: &[&str],
    watches: &mut HashMap<WatchKey, Watch>,
) -> Option<()> {
    if UNLIKE_STAT.contains(&file_system(folder)?) {
        return None;
    }
    let watch = watches.entry(key(metadata)).or_default();
    if beginnings.iter().any(|beginning| beginning.is_empty()) {
        watch.subtree = 1;
        return Some(());
    }
    for beginning in beginnings {
        watch.name_lengths |= u64::MAX << beginning.len().min(63);
    }
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name();
        let may_be_folder = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
        if may_be_folder
            && beginnings.iter().any(|beginning| name.as_bytes().starts_with(beginning.as_bytes()))
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
    fn several_names_in_one_folder_are_all_watched_and_what_is_below_them_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("long-name.d")).unwrap();
        std::os::unix::fs::symlink("long-name.d", folder.path().join("ab.link")).unwrap();
        let prefix = |name: &str| format!("{}/{name}", folder.path().display());
        let found = watched(&[prefix("long-name"), prefix("ab")]);
        let watch = found[&key_of(folder.path())];
        assert_eq!((watch.subtree, watch.name_lengths & 0b110), (0, 0b100));
        assert_eq!(found[&key_of(&folder.path().join("long-name.d"))].subtree, 1);
        let whole = watched(&[prefix("ab"), prefix("")]);
        assert_eq!(whole[&key_of(folder.path())].subtree, 1);
        let linked = watched(&[prefix("ab")]);
        assert_eq!(linked[&key_of(&folder.path().join("long-name.d"))].subtree, 1, "by the link");
    }

    #[test]
    fn a_folder_that_is_not_there_is_waited_for_above() {
        let folder = tempfile::tempdir().unwrap();
        let found = watched(&[format!("{}/gone/deeper/x", folder.path().display())]);
        assert!(found.contains_key(&key_of(folder.path())));
    }
}
