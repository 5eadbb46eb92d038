//! Whose files the agent sees.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Inode number of the mount namespace whose files the agent sees; none where it cannot be told.
///
/// That is the host's, also where a service manager gives the agent a namespace of its own, in which parts of the same
/// files are read-only: a path leads to the same inode in both. Elsewhere it is the agent's own.
pub fn namespace() -> Option<u64> {
    let file = |path: &str| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let first_sees_the_same = file("/proc/1/root/").is_some_and(|root| Some(root) == file("/"));
    let of = if first_sees_the_same { "1" } else { "self" };
    file(&format!("/proc/{of}/ns/mnt")).map(|(_, inode)| inode)
}

/// Whether a process is in that namespace.
pub fn are_those_of(pid: u32) -> bool {
    let its = fs::metadata(format!("/proc/{pid}/ns/mnt")).ok().map(|namespace| namespace.ino());
    its.is_some() && its == namespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_sees_the_same_files_is_in_the_namespace() {
        assert!(namespace().is_some());
        assert!(are_those_of(std::process::id()));
        assert!(!are_those_of(u32::MAX));
    }
}
