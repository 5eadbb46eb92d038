//! Logs that rotation compressed while no agent ran, unpacked to be read on.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use super::position::{Beginning, Position};
use super::tail::{Tail, open_regular};

/// The end of the names of files that can be unpacked.
pub(super) const END: &str = ".gz";

/// Bytes that all of a source may have, unpacked: they are read before the agent watches, in about a second.
pub(super) const MAX_UNPACKED: u64 = 256 << 20;

/// Compressed bytes in which the first ones must be.
const MAX_HEAD: u64 = 64 << 10;

/// A compressed file.
#[derive(Debug)]
pub(super) struct Packed {
    path: PathBuf,
    /// How it begins, unpacked.
    first: Vec<u8>,
    /// When its last line was written, where it keeps the time of the file that it was, as gzip has it.
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
        let file = open_regular(path)?;
        let metadata = file.metadata()?;
        // ISIZE is the last field of the file: its length before, modulo 2^32 (RFC 1952, 2.3.1).
        let mut len = [0; 4];
        file.read_exact_at(&mut len, metadata.len().saturating_sub(4))?;
        let mut first = Vec::new();
        MultiGzDecoder::new((&file).take(MAX_HEAD)).take(Beginning::ENOUGH).read_to_end(&mut first)?;
        let (written, len) = (metadata.modified()?, u32::from_le_bytes(len));
        Ok(Packed { path: path.to_owned(), first, written, len })
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

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Whether it begins as another.
    pub(super) fn is_same_as(&self, other: &Packed) -> bool {
        self.first == other.first
    }

    /// What is in it, to be read from where it was left. Takes its bytes from those that may be unpacked.
    ///
    /// # Errors
    /// It is damaged, is too large, or there is no room for it.
    pub(super) fn unpack(&self, left: &Position, at_most: &mut u64) -> io::Result<Tail> {
        let (file, len) = self.unpacked(*at_most)?;
        *at_most -= len;
        Tail::of(file)?.at(left)
    }

    /// What is in it, in a file without a name, which goes when it is closed; and its length.
    fn unpacked(&self, at_most: u64) -> io::Result<(File, u64)> {
        let mut unpacked = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .mode(0o600)
            .open(std::env::temp_dir())?;
        let packed = MultiGzDecoder::new(open_regular(&self.path)?);
        let len = io::copy(&mut packed.take(at_most + 1), &mut unpacked)?;
        if len > at_most {
            let most = MAX_UNPACKED >> 20;
            return Err(io::Error::other(format!("there are more than {most} MiB to unpack")));
        }
        Ok((unpacked, len))
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
        let (unpacked, len) = packed.unpacked(MAX_UNPACKED).unwrap();
        assert_eq!(len, 70_000);
        let mut read = vec![0; text.len() + 1];
        let len = unpacked.read_at(&mut read, 0).unwrap();
        assert!(read[..len] == *text.as_bytes());

        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let cut = Packed::open(&path).unwrap();
        assert_eq!(cut.unpacked(MAX_UNPACKED).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
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
        let error = Packed::open(&path).unwrap().unpacked(MAX_UNPACKED).unwrap_err();
        assert_eq!(error.to_string(), "there are more than 256 MiB to unpack");
    }
}
