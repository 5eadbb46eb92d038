//! What the kernel remembers of the signal that ended the agent: a map that stays pinned when the agent is killed,
//! for the next one to read.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData};
use openclaw_common::record::{KERNEL, KernelRecord};

use super::Sensor;
use super::load::describe;
use crate::capability::{Capability, State};
use crate::respond::mount_bpffs;

const CAPABILITY: &str = "who killed the agent";

/// The pinned map. Removed when this is dropped, which it is not when the agent is killed.
#[derive(Debug)]
pub struct Witness {
    path: PathBuf,
}

impl Witness {
    /// The path of the pin in the BPF file system `bpffs`, for the agent that listens at `socket`: no two of them
    /// do.
    pub fn path(bpffs: &Path, socket: &Path) -> PathBuf {
        // No dots are allowed, and 255 bytes at most.
        let socket = socket.to_string_lossy();
        let name: String = socket.chars().rev().take(200).collect();
        let name = name.chars().rev().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        bpffs.join(format!("openclaw-ended-by{}", name.collect::<String>()))
    }

    /// What the last agent's map tells of its end, if it was killed; then pins this one's, in a BPF file system
    /// that is mounted where there is none.
    ///
    /// # Errors
    /// When the map cannot be pinned.
    pub fn take_over(path: PathBuf, sensor: &Sensor) -> (Option<KernelRecord>, Result<Witness, String>) {
        let before = read(&path);
        let mounted = path.parent().map_or(Ok(()), mount_bpffs).map_err(|error| format!("{error:#}"));
        let pinned = mounted.and_then(|()| pin(&path, sensor));
        (before, pinned.map(|()| Witness { path }))
    }

    /// What is to be said of it.
    pub fn capability(path: &Path, pinned: &Result<Witness, String>) -> Capability {
        let capability = |state| Capability::new(CAPABILITY, format!("pin:{}", path.display()), state);
        match pinned {
            Ok(_) => capability(State::Attached),
            Err(reason) => capability(State::Missing).because(reason.clone()),
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may have been removed by somebody else.
        let _ = fs::remove_file(&self.path);
    }
}

fn pin(path: &Path, sensor: &Sensor) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    let map = sensor.ended_by().ok_or("the object lacks its map")?;
    map.pin(path).map_err(|error| describe(&error))
}

/// The record in a pinned map. None where there is no map, or another's than root's, or one that tells nothing.
fn read(path: &Path) -> Option<KernelRecord> {
    if fs::symlink_metadata(path).ok()?.uid() != 0 {
        return None;
    }
    let map = Map::Array(MapData::from_pin(path).ok()?);
    let map: Array<_, Told> = Array::try_from(map).ok()?;
    let record = map.get(&0, 0).ok()?.0;
    (record.header.kind == KERNEL).then_some(record)
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Told(KernelRecord);

// SAFETY: `repr(C)` numbers without padding, as `bytemuck::Pod` has checked of the inner type.
unsafe impl aya::Pod for Told {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_pin_whose_name_the_file_system_takes() {
        let path = |socket: &str| Witness::path(Path::new("/sys/fs/bpf"), Path::new(socket));
        assert_eq!(
            path("/run/openclaw/openclaw.sock"),
            Path::new("/sys/fs/bpf/openclaw-ended-by-run-openclaw-openclaw-sock")
        );
        let long = path(&format!("/{}", "é.".repeat(200)));
        assert!(long.file_name().unwrap().len() < 255);
    }
}
