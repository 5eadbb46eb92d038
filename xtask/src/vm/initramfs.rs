//! What a guest's kernel unpacks and starts: busybox, the modules that lead to this machine's files, and the
//! scripts of [`super::guest`].

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::guest::{self, Init, Task};
use super::kernels::Kernel;
use super::tool;
use crate::process;

/// The modules that are needed before this machine's files can be seen. One that a kernel lacks is built in,
/// or its absence shows at once.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_console", "virtiofs", "overlay"];

/// The initramfs of one run.
///
/// # Errors
/// Where a module or busybox cannot be read.
pub(crate) fn make(kernel: &Kernel, task: &Task, init: Init) -> Result<Vec<u8>> {
    let busybox = tool("busybox", "busybox-static")?;
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "new", "proc", "sys", "guest", "guest/units"] {
        archive.add(folder, 0o040_755, b"");
    }
    archive.add("bin/busybox", 0o100_755, &read(&busybox)?);
    let mut order = String::new();
    for module in modules(kernel)? {
        let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.split(".ko").next().unwrap_or_default().to_owned();
        archive.add(&format!("modules/{name}.ko"), 0o100_644, &unpacked(&module)?);
        order.push_str(&name);
        order.push('\n');
    }
    archive.add("modules/order", 0o100_644, order.as_bytes());
    archive.add("init", 0o100_755, guest::FIRST.as_bytes());
    archive.add("guest/second", 0o100_755, guest::SECOND.as_bytes());
    archive.add("guest/work", 0o100_755, guest::WORK.as_bytes());
    for (name, unit) in guest::UNITS {
        archive.add(&format!("guest/units/{name}"), 0o100_644, unit.as_bytes());
    }
    archive.add("guest/settings", 0o100_644, task.settings(kernel, init).as_bytes());
    archive.add("guest/task", 0o100_755, task.script().as_bytes());
    Ok(archive.finish())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The files of the needed modules, each after those that it depends on.
fn modules(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let modprobe = tool("modprobe", "kmod")?;
    let mut files = Vec::new();
    for module in MODULES {
        let output = process::output(Command::new(&modprobe).arg("-d").arg(&kernel.folder).args([
            "-S",
            &kernel.release,
            "--show-depends",
            module,
        ]))?;
        for file in dependencies(&String::from_utf8_lossy(&output.stdout)) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The files that `modprobe --show-depends` would load, in its order: lines of `insmod FILE`.
fn dependencies(listing: &str) -> Vec<PathBuf> {
    listing.lines().filter_map(|line| line.strip_prefix("insmod ")).map(|file| file.trim().into()).collect()
}

/// A module's content, decompressed: busybox cannot load every compression.
fn unpacked(module: &Path) -> Result<Vec<u8>> {
    let program = match module.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => tool("xz", "xz-utils")?,
        Some("zst") => tool("zstd", "zstd")?,
        _ => return read(module),
    };
    let output = process::output(Command::new(program).arg("-dc").arg(module))?;
    if !output.status.success() {
        bail!("cannot unpack {}: {}", module.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// A cpio archive in the `newc` form (the kernel's Documentation/driver-api/early-userspace/buffer-format).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = if mode & 0o040_000 != 0 { 2 } else { 1 };
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, owner, group, links, time, size, device (2), special device (2), name's size, sum
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, b"");
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_padded_headers_names_and_contents() {
        let mut archive = Archive::default();
        archive.add("init", 0o100_755, b"#!/bin/sh");
        let bytes = archive.finish();
        let text = String::from_utf8(bytes).expect("all of it is ASCII here");
        // 6 of magic, 13 fields of 8, the name with its end: 115, padded to 116.
        assert_eq!(&text[..14], "07070100000001");
        assert_eq!(&text[14..22], "000081ed", "the mode");
        assert_eq!(&text[54..62], "00000009", "the size");
        assert_eq!(&text[110..116], "init\0\0");
        assert_eq!(&text[116..128], "#!/bin/sh\0\0\0");
        assert!(text[128..].starts_with("070701") && text.contains("TRAILER!!!\0"));
        assert_eq!(text.len() % 4, 0);
    }

    #[test]
    fn modules_keep_the_order_in_which_they_are_loaded() {
        let listing = "insmod /k/virtio.ko.xz \ninsmod /k/virtio_ring.ko\nbuiltin virtio_pci\n";
        assert_eq!(
            dependencies(listing),
            [PathBuf::from("/k/virtio.ko.xz"), PathBuf::from("/k/virtio_ring.ko")]
        );
    }
}
