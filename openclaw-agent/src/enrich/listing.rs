//! The kernel's own list of processes, by which the table is filled at the start and mended after losses.

use openclaw_common::record::ProcessRecord;

use super::clock::Clock;
use super::image::Image;
use super::path::join;
use super::procfs;
use super::record::Record;

/// How long after a list what it shows may still be on its way into a ring, nanoseconds: exec has the kernel's `mm` changed,
/// which `/proc` tells of, before its tracepoint, and may have to wait for a processor in between.
const ON_ITS_WAY: u64 = 1_000_000_000;

/// How long a list is of use, nanoseconds: well below what the table remembers of those who have ended.
const OLD: u64 = 10_000_000_000;

/// All processes, as the kernel lists them.
#[derive(Debug)]
pub struct Listing {
    /// When the list was begun, nanoseconds since boot.
    pub(super) begun: u64,
    /// When the last of it had been looked at, likewise.
    pub(super) done: u64,
    pub(super) processes: Vec<Listed>,
}

/// A process that is listed.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) record: ProcessRecord,
    /// What it runs, as `/proc` told when the whole list had been read.
    pub(super) image: Image,
}

impl Listing {
    /// Of the records of a list that was begun at that time, nanoseconds since boot. What each process runs is asked of
    /// `/proc` now.
    pub fn read(begun: u64, records: &[u8]) -> Self {
        let mut rest = records;
        let mut processes = Vec::new();
        while let Some((record, len)) = Record::parse(rest) {
            if let Record::Existing(record, cgroup) = record {
                let mut image = procfs::image_of(record.header.task.tgid);
                image.cgroup = join(cgroup, false);
                processes.push(Listed { record, image });
            }
            rest = &rest[len..];
        }
        Self { begun, done: Clock::since_boot(), processes }
    }

    /// Whether all that it shows has been told by the process ring too, unless that was lost: where the ring has been read up
    /// to that time, nanoseconds since boot.
    pub fn is_settled(&self, read_until: u64) -> bool {
        read_until >= self.done + ON_ITS_WAY
    }

    /// Whether it tells too little of what is there now.
    pub fn is_old(&self, now: u64) -> bool {
        now > self.done + OLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_settled_once_the_ring_has_been_read_for_a_while_behind_its_end() {
        let listing = Listing { begun: 5, done: 7, processes: Vec::new() };
        assert!(!listing.is_settled(7 + ON_ITS_WAY - 1));
        assert!(listing.is_settled(7 + ON_ITS_WAY) && !listing.is_old(7 + OLD) && listing.is_old(8 + OLD));
        assert!(Listing::read(0, b"no record").processes.is_empty());
    }
}
