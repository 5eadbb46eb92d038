//! Which files belong to a log: those at its paths, and those beside them that rotation has made of it.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::packed;
use super::tail::Tail;
use crate::config::is_pattern;

/// Ends of names of files that are compressed, and so no logs.
const COMPRESSED: [&str; 7] = [".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzma", ".Z"];

/// The paths of which a file may be there.
pub(super) fn expanded(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let is_compressed = |path: &PathBuf| {
        COMPRESSED.iter().any(|end| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes()))
    };
    let mut paths = Vec::new();
    for path in patterns {
        let text = path.to_string_lossy();
        if is_pattern(path) {
            // The configuration was refused with a pattern that is none. What cannot be read is not there.
            let found = glob::glob(&text).into_iter().flatten().flatten();
            paths.extend(found.filter(|path| !is_compressed(path)));
        } else {
            paths.push(path.clone());
        }
    }
    paths
}

/// The paths that match a pattern and from which rotation has moved files away, whether or not anything is there by now.
pub(super) fn rotated_from(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths = BTreeSet::new();
    for path in patterns.iter().filter(|path| is_pattern(path)) {
        let Ok(pattern) = glob::Pattern::new(&path.to_string_lossy()) else { continue };
        let rotated = format!("{}[-._]*", path.to_string_lossy());
        for file in glob::glob(&rotated).into_iter().flatten().flatten() {
            let name = file.to_string_lossy();
            let name = name.strip_suffix(packed::END).unwrap_or(&name);
            let folder = name.rfind('/').map_or(0, |at| at + 1);
            let marks = name[folder..].match_indices(['.', '-', '_']).map(|(at, _)| folder + at);
            let before = marks.filter(|at| is_rotated(&name[*at..])).map(|at| Path::new(&name[..at]));
            paths.extend(before.filter(|before| pattern.matches_path(before)).map(Path::to_owned));
        }
    }
    paths.into_iter().collect()
}

/// The files beside a log whose names begin with its own and go on as `is_named` has it, in the order in which they were
/// changed: beside its path and, where that is a link, beside what it leads to, as the logs of containers have it.
pub(super) fn siblings(path: &Path, is_named: impl Fn(&str) -> bool) -> Vec<(PathBuf, Metadata)> {
    let target = target(path);
    let paths = [Some(path), target.as_deref()];
    let mut files: Vec<_> = paths.into_iter().flatten().flat_map(|path| beside(path, &is_named)).collect();
    files.sort_by_key(|(_, metadata)| metadata.modified().ok());
    files
}

/// What a link leads to, also where nothing is there at present.
pub(super) fn target(path: &Path) -> Option<PathBuf> {
    let beside = |to: PathBuf| path.parent().map_or(to.clone(), |folder| folder.join(to));
    let first = fs::read_link(path).ok()?;
    Some(fs::canonicalize(path).unwrap_or_else(|_| beside(first)))
}

/// The files beside a log that rotation has moved there and not compressed.
pub(super) fn beside_uncompressed(path: &Path) -> impl Iterator<Item = Tail> {
    siblings(path, is_rotated).into_iter().filter_map(|(sibling, _)| Tail::open(&sibling).ok())
}

/// Those beside one path.
fn beside(path: &Path, is_named: impl Fn(&str) -> bool) -> Vec<(PathBuf, Metadata)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A folder that cannot be read has none.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        let sibling = entry.file_name();
        sibling.to_string_lossy().strip_prefix(&*name).is_some_and(|rest| !rest.is_empty() && is_named(rest))
    });
    let files = named.filter_map(|entry| {
        let metadata = fs::symlink_metadata(entry.path()).ok().filter(Metadata::is_file)?;
        Some((folder.join(entry.file_name()), metadata))
    });
    files.collect()
}

/// Whether a name goes on as rotation has it, with a number or a date: `.1`, `-20261127`. What is compressed is no log.
pub(super) fn is_rotated(rest: &str) -> bool {
    rest.starts_with(['.', '-', '_'])
        && rest.contains(|c: char| c.is_ascii_digit())
        && rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | ':' | 'T' | 'Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rotation_makes_are_told_from_others() {
        for rest in [".1", "-20261127", ".2026-11-27T04:19:09Z", "_1", ".1.2"] {
            assert!(is_rotated(rest), "{rest}");
        }
        for rest in ["", ".gz", ".1.gz", ".bak", "1", "-", "_other.json", ".1~"] {
            assert!(!is_rotated(rest), "{rest}");
        }
    }
}
