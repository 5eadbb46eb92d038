//! Where things are: the paths of the workspace that more than one task uses.

use std::path::{Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The build folder of the workspace. `CARGO_TARGET_DIR` is not followed: the agent's build script, the
/// live tests and the documentation all speak of `target/`.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// What set-up installs for this workspace alone.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// The crate of the kernel programs, a workspace of its own.
pub(crate) fn kernel_programs() -> PathBuf {
    root().join("openclaw-ebpf")
}

/// The build folder of the kernel programs.
pub(crate) fn kernel_target() -> PathBuf {
    target().join("bpf")
}

/// The agent as `cargo xtask build` leaves it.
pub(crate) fn agent() -> PathBuf {
    target().join("release/openclaw")
}
