//! Where rule files are, and by what it is noticed that they have changed.

use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config;

/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 8;

/// What makes up the rules at a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Rule files, each folder's by name, those of its folders after its own.
    pub(super) files: Vec<PathBuf>,
    pub(super) folders: Vec<PathBuf>,
    /// What could not be looked into, and why.
    pub(super) passed_over: Vec<(PathBuf, String)>,
}

/// The file at `path`, or the `*.yml` and `*.yaml` files of the folder and of those in it. What begins with a dot is
/// passed over.
pub(super) fn find(path: &Path) -> Found {
    let mut found = Found::default();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => look_into(path, MAX_DEPTH, &mut found),
        Ok(_) => found.files.push(path.to_owned()),
        Err(error) => found.passed_over.push((path.to_owned(), error.to_string())),
    }
    found
}

fn look_into(folder: &Path, depth: usize, found: &mut Found) {
    found.folders.push(folder.to_owned());
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<DirEntry>, _>>) {
        Ok(entries) => entries,
        Err(error) => return found.passed_over.push((folder.to_owned(), error.to_string())),
    };
    let is_hidden = |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in entries.into_iter().filter(|entry| !is_hidden(entry)) {
        let path = entry.path();
        // What a folder's entries are stands in the folder; where a link leads does not.
        let is_folder = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => path.is_dir(),
        };
        let kind = if is_folder { &mut folders } else { &mut files };
        kind.push(path);
    }
    folders.sort();
    let is_rules = |file: &PathBuf| file.extension().is_some_and(|end| end == "yml" || end == "yaml");
    files.retain(is_rules);
    files.sort();
    found.files.extend(files);
    for folder in folders {
        match depth.checked_sub(1) {
            Some(depth) => look_into(&folder, depth, found),
            None => {
                let why = format!("folders more than {MAX_DEPTH} deep are not looked into");
                found.passed_over.push((folder, why));
            }
        }
    }
}

/// By what it is noticed that rule files have changed: where and what they are, how large, and since when.
///
/// What cannot be read is left out: reading the rules says so.
pub fn stamps(config: &config::Rules, instead: &[PathBuf]) -> Vec<Stamp> {
    let paths = if instead.is_empty() { &config.folders } else { instead };
    let files =
        paths.iter().map(|path| find(path)).flat_map(|found| found.files.into_iter().chain(found.folders));
    files.filter_map(|file| fs::metadata(&file).ok().map(|metadata| Stamp::new(file, &metadata))).collect()
}

/// What tells a file from the same file as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    inode: (u64, u64),
    size: u64,
    /// Modified and changed, seconds and nanoseconds since the epoch.
    times: [i64; 4],
}

impl Stamp {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        Stamp {
            path,
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            times: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
        }
    }
}
