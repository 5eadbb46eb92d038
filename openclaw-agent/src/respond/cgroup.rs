//! The folders of cgroup v2: where its root is, and which one a process is in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use super::process;

/// `CGROUP2_SUPER_MAGIC` of the kernel's `magic.h`.
const MAGIC: u64 = 0x6367_7270;

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a machine that uses v1 too.
///
/// # Errors
/// When it is not mounted at all.
pub fn root() -> Result<PathBuf> {
    // It does not move while an agent runs, and is asked for before a process is stopped.
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found.clone());
    }
    let root = find_root()?;
    Ok(FOUND.get_or_init(|| root).clone())
}

fn find_root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    root_in(&mounts).context(
        "cgroup v2 is not mounted, so nothing can be blocked or isolated on this machine; mount it with \
         `mount -t cgroup2 none /sys/fs/cgroup/unified`",
    )
}

fn root_in(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let folder = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(folder))
    })
}

/// The folder that verdicts are bounded by: the given one, which must be of cgroup v2, or its root.
pub(super) fn scope(configured: Option<&Path>) -> Result<PathBuf> {
    let Some(folder) = configured else { return root() };
    let shown = folder.display();
    let found = rustix::fs::statfs(folder).with_context(|| {
        format!("security.response.cgroup: cannot open {shown}: make the folder or name another")
    })?;
    if u64::try_from(found.f_type).unwrap_or(0) != MAGIC {
        bail!("security.response.cgroup: {shown} is not a folder of cgroup v2");
    }
    Ok(folder.to_owned())
}

/// Whether verdicts at `scope` reach a process that is now in the cgroup it is in.
pub(super) fn reaches(scope: &Path, pid: u32) -> Result<()> {
    let root = root()?;
    let text = process::read(&format!("/proc/{pid}/cgroup"))
        .with_context(|| format!("cannot read the cgroup of process {pid}"))?;
    let text = String::from_utf8(text)?;
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::/")) else {
        bail!("process {pid} is in no folder of cgroup v2");
    };
    let folder = root.join(path.trim_end_matches(" (deleted)"));
    if !folder.starts_with(scope) {
        bail!(
            "process {pid} is in {}, outside of security.response.cgroup ({}), so verdicts do not reach it",
            folder.display(),
            scope.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_v2_is_found_beside_v1() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\nnone /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(root_in(mounts), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(root_in("proc /proc proc rw 0 0\n"), None);
    }
}
