//! How far a log has been read, to go on from there after a restart.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::hash::Hasher as _;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use openclaw_detect::Timestamp;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// How far each source has been read, by its name.
pub type Positions = BTreeMap<String, Progress>;

/// How far a source has been read, and what its reader knows by then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// When that was so. Files that are older and not among these are of no concern.
    pub at: Timestamp,
    /// Its files that are read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Position>,
    /// Files that were rotated away and have been read to their end, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Position>,
    /// Of a journal: its cursor. None where nothing has been read of it: then it is read from `at` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Connections of which a login has been told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<SocketAddr>,
}

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The file.
    #[serde(flatten)]
    pub file: FileId,
    /// Bytes that have been read: a whole number of lines, unless `within_line`.
    pub offset: u64,
    /// Whether the rest of a line is passed over that was too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within_line: bool,
    /// How the file begins, since its number is used again and it may be emptied.
    #[serde(flatten)]
    pub beginning: Beginning,
}

/// A file, for as long as it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode's number.
    pub inode: u64,
}

impl FileId {
    /// Which one it is.
    pub(super) fn of(metadata: &Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The first bytes of a file, of those that have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Beginning {
    /// How many bytes.
    #[serde(rename = "begins_with_bytes")]
    pub len: u64,
    /// What they hash to.
    #[serde(rename = "begins_with")]
    pub hash: u64,
}

impl Beginning {
    /// Bytes that are enough: the time of the first line is among them.
    pub(super) const ENOUGH: u64 = 256;

    /// How the file begins, of which so many bytes are there.
    pub(super) fn of(file: &File, len: u64) -> io::Result<Beginning> {
        let mut bytes = [0; Self::ENOUGH as usize];
        let len = len.min(Self::ENOUGH);
        file.read_exact_at(&mut bytes[..len as usize], 0)?;
        Ok(Beginning::of_bytes(&bytes[..len as usize]))
    }

    /// How a file begins whose first bytes these are, no more than are enough.
    pub(super) fn of_bytes(bytes: &[u8]) -> Beginning {
        Beginning { len: bytes.len() as u64, hash: hash(&[bytes]) }
    }

    /// Whether a file begins so whose first bytes these are; of a beginning without any bytes nobody can say it.
    pub(super) fn is_of_bytes(&self, bytes: &[u8]) -> bool {
        let first = usize::try_from(self.len).ok().and_then(|len| bytes.get(..len));
        self.len > 0 && first.is_some_and(|first| Beginning::of_bytes(first) == *self)
    }

    /// Whether the file begins so; of a beginning without any bytes nobody can say it.
    pub(super) fn is_of(&self, file: &File) -> bool {
        self.len > 0 && Beginning::of(file, self.len).is_ok_and(|beginning| beginning == *self)
    }
}

/// The same for the same parts, on every machine and in every version.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    hasher.finish()
}
