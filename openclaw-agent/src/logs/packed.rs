//! Logs that rotation compressed while no agent ran, unpacked to be read on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use super::position::{Beginning, Position};
use super::tail::Tail;

/// The end of the names of files that can be unpacked.
pub(super) const END: &str = ".gz";

/// Bytes that one may have, unpacked: they are read before the agent watches, in about a second.
const MAX_UNPACKED: u64 = 256 << 20;

/// A compressed file.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    /// How it begins, unpacked.
    first: Vec<u8>,
    /// When its last line was written: gzip keeps the time of the file that it compressed.
    pub(super) written: SystemTime,
    /// Bytes that it has unpacked, by what it says itself and without multiples of 4 GiB.
    len: u32,
}

impl Packed {
    /// Looks at a file.
    ///
    /// # Errors
    /// It cannot be read, or is none in the format of gzip (RFC 1952).
    pub(super) fn open(path: &Path) -> io::Result<Packed> {
        let file =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        // ISIZE is the last field of the file: its length before, modulo 2^32 (RFC 1952, 2.3.1).
        let mut len = [0; 4];
        file.read_exact_at(&mut len, metadata.size().saturating_sub(4))?;
        let mut first = Vec::new();
        MultiGzDecoder::new(&file).take(Beginning::ENOUGH).read_to_end(&mut first)?;
        let (written, len) = (metadata.modified()?, u32::from_le_bytes(len));
        Ok(Packed { file, first, written, len })
    }

    /// Whether it is one that was read, by how it begins.
    pub(super) fn begins_as(&self, left: &Position) -> bool {
        left.beginning.is_of_bytes(&self.first)
    }

    /// Whether it is one that is read, compressed or being compressed.
    pub(super) fn is_copy_of(&self, tail: &Tail) -> bool {
        tail.begins_with(&self.first)
    }

    /// Whether there is more in it than was read.
    pub(super) fn has_more_than(&self, left: &Position) -> bool {
        u64::from(self.len) != left.offset % (1 << 32)
    }

    /// What is in it, to be read from where it was left, or from its beginning.
    ///
    /// # Errors
    /// It is damaged, is too large, or there is no room for it.
    pub(super) fn unpack(&self, left: Option<Position>) -> io::Result<Tail> {
        let tail = Tail::of(self.unpacked()?)?;
        let beginning = Beginning::of_bytes(&self.first);
        let at_start = Position { file: tail.id(), offset: 0, within_line: false, beginning };
        tail.at(&left.unwrap_or(at_start))
    }

    /// What is in it, in a file without a name, which goes when it is closed.
    fn unpacked(&self) -> io::Result<File> {
        let mut unpacked = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .mode(0o600)
            .open(std::env::temp_dir())?;
        // Its beginning was read through the same file.
        io::Seek::seek(&mut &self.file, io::SeekFrom::Start(0))?;
        let len = io::copy(&mut MultiGzDecoder::new(&self.file).take(MAX_UNPACKED + 1), &mut unpacked)?;
        if len > MAX_UNPACKED {
            return Err(io::Error::other(format!("it has more than {} MiB, unpacked", MAX_UNPACKED >> 20)));
        }
        Ok(unpacked)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_whole_and_what_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = "a line\n".repeat(10_000);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap();
        let path = folder.path().join("log.gz");
        std::fs::write(&path, &bytes).unwrap();
        let packed = Packed::open(&path).unwrap();
        assert_eq!((packed.len, &packed.first[..]), (70_000, &text.as_bytes()[..256]));
        let unpacked = packed.unpacked().unwrap();
        let mut read = vec![0; text.len() + 1];
        let len = unpacked.read_at(&mut read, 0).unwrap();
        assert!(read[..len] == *text.as_bytes());

        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let cut = Packed::open(&path).unwrap();
        assert_eq!(cut.unpacked().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        std::fs::write(&path, text).unwrap();
        assert!(Packed::open(&path).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(Packed::open(&path).is_err());
    }

    #[test]
    fn what_is_too_large_is_not_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.gz");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..=MAX_UNPACKED >> 20).for_each(|_| encoder.write_all(&zeros).unwrap());
        encoder.finish().unwrap();
        let error = Packed::open(&path).unwrap().unpacked().unwrap_err();
        assert_eq!(error.to_string(), "it has more than 256 MiB, unpacked");
    }
}
