//! An overlay file system, as containers have one for their root.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use openclaw_agent::kernel::layout::of_running_kernel;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change};

/// Why this kernel cannot tell layers apart, if it cannot.
pub(crate) fn impediment() -> Option<&'static str> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap();
    if !known.lines().any(|line| line.ends_with("\toverlay")) {
        return Some("this kernel has no overlay file system loaded");
    }
    let told = of_running_kernel().unwrap().missing.is_empty();
    (!told).then_some("this kernel does not tell the types of its modules")
}

/// In a deed: an overlay over a folder, in a mount namespace of its own, with its upper layer where there is room.
/// Returns where it is mounted.
pub(crate) fn over(lower: &Path, room: &Path) -> PathBuf {
    // SAFETY: a deed has one thread, which goes on alone in the namespace.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    // An overlay's upper layer cannot be an overlay itself, as a container's root is.
    mount("tmpfs", room, "tmpfs", "");
    let part = |name: &str| {
        let path = room.join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (upper, work, merged) = (part("upper"), part("work"), part("merged"));
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mount("overlay", &merged, "overlay", &options);
    merged
}

fn mount(source: &str, target: &Path, kind: &str, options: &str) {
    let options = CString::new(options).unwrap();
    rustix::mount::mount(source, target, kind, MountFlags::empty(), &*options)
        .unwrap_or_else(|error| panic!("{kind} at {}: {error}", target.display()));
}
