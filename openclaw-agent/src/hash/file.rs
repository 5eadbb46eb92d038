//! One file: found, checked to be the one that is meant, and read.

use std::fmt::Write as _;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use openclaw_common::record::FileVersion;
use ring::digest::{Context, SHA256};

use super::Request;
use crate::enrich::is_alive;

/// File systems on which `stat` tells other numbers than the kernel's inodes have: `OVERLAYFS_SUPER_MAGIC`,
/// `BTRFS_SUPER_MAGIC`.
const UNLIKE_STAT: [u64; 2] = [0x794c_7630, 0x9123_683e];

/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;

/// The SHA-256 of the file that is meant, in lower-case hexadecimal. `None` where it is gone, or no longer what
/// it was.
pub(super) fn sha256_of(request: &Request) -> Option<String> {
    let running = format!("/proc/{}/exe", request.id.pid);
    if let Some(file) = open(&running).filter(|file| is(file, &request.version)) {
        let sha256 = read(file, &request.version)?;
        let runs_still =
            || open(&running).is_some_and(|file| is(&file, &request.version)) && is_alive(request.id);
        return (request.settled || runs_still()).then_some(sha256);
    }
    // The process has ended, or runs something else by now. Its file may be where it was.
    let trusted = request.settled && !UNLIKE_STAT.contains(&request.version.file_system);
    let file = open(&request.path).filter(|file| trusted && is(file, &request.version))?;
    read(file, &request.version)
}

/// Opens a file so that nothing that may have taken its place makes the thread wait.
fn open(path: &str) -> Option<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

fn is(file: &File, version: &FileVersion) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && is_version(&found, version))
}

fn is_version(found: &Metadata, version: &FileVersion) -> bool {
    let device = libc::major(found.dev()) << 20 | libc::minor(found.dev());
    let same_inode = (found.ino(), device) == (version.inode, version.device);
    (same_inode || UNLIKE_STAT.contains(&version.file_system))
        && found.size() == version.size
        && (found.ctime(), found.ctime_nsec()) == (version.changed, i64::from(version.changed_nanoseconds))
}

/// Reads a file to its end, and no further than it was long.
fn read(file: File, version: &FileVersion) -> Option<String> {
    let mut digest = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    let mut rest = (&file).take(version.size);
    loop {
        match rest.read(&mut chunk).ok()? {
            0 => break,
            read => digest.update(&chunk[..read]),
        }
    }
    // What was changed meanwhile was not what was begun.
    if rest.limit() != 0 || !is(&file, version) {
        return None;
    }
    Some(hexadecimal(digest.finish().as_ref()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use openclaw_detect::ProcessId;

    use super::*;

    fn version_of(path: &Path) -> FileVersion {
        let found = std::fs::metadata(path).unwrap();
        FileVersion {
            inode: found.ino(),
            size: found.size(),
            changed: found.ctime(),
            changed_nanoseconds: found.ctime_nsec() as u32,
            device: libc::major(found.dev()) << 20 | libc::minor(found.dev()),
            file_system: 0,
        }
    }

    /// Of a process that is gone.
    fn request(path: &Path) -> Request {
        Request {
            id: ProcessId { pid: u32::MAX, start: 1 },
            version: version_of(path),
            path: path.to_str().unwrap().to_owned(),
            settled: true,
        }
    }

    #[test]
    fn a_file_that_is_what_it_was_has_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        // The example of FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(&request(&path)).as_deref(), Some(expected));
    }

    #[test]
    fn a_file_that_is_another_or_was_changed_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let was = request(&path);
        for wrong in [
            FileVersion { inode: was.version.inode + 1, ..was.version },
            FileVersion { device: was.version.device + 1, ..was.version },
            FileVersion { size: 2, ..was.version },
            FileVersion { changed_nanoseconds: was.version.changed_nanoseconds ^ 1, ..was.version },
        ] {
            assert_eq!(sha256_of(&Request { version: wrong, ..request(&path) }), None, "{wrong:?}");
        }
        assert_eq!(
            sha256_of(&Request { settled: false, ..request(&path) }),
            None,
            "it may have changed since"
        );
        std::fs::remove_file(&path).unwrap();
        assert_eq!(sha256_of(&was), None);
    }

    #[test]
    fn our_own_program_is_read_from_the_process_that_runs_it() {
        let version = version_of(&std::env::current_exe().unwrap());
        let id = ProcessId { pid: std::process::id(), start: 1 };
        let own = |settled| Request { id, version, path: "/nowhere".to_owned(), settled };
        assert_eq!(sha256_of(&own(true)).map(|text| text.len()), Some(64));
        assert_eq!(sha256_of(&own(false)), None, "no process of that start");
    }
}
