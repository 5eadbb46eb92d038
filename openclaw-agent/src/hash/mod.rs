//! The SHA-256 of executables: known at once where the file was seen before, else taken off the hot path by a
//! thread that runs only when nothing else wants to.
//!
//! A file is told from others by what the kernel said of it at exec: inode, device, size and time of change. The
//! kernel lets nobody write to a program while it runs, so what /proc gives as a running process's executable is
//! what was begun. The time of change is no finer than the kernel's tick: what was changed right before it was
//! begun could have been changed once more without a trace. So such a file is neither remembered nor read other
//! than from the process that runs it.

mod file;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use openclaw_common::record::FileVersion;
use openclaw_detect::{ProcessId, Timestamp};

/// Files that are remembered; the oldest makes room.
const REMEMBERED: usize = 16_384;

/// Files that wait to be read.
const QUEUE: usize = 1024;

/// Processes that wait for one file.
const WAITING: usize = 256;

/// How long before an exec a file must have been changed for the last time, to be told by that time:
/// several ticks of the slowest kernels. Nanoseconds.
const SETTLED: i128 = 100_000_000;

/// `FUSE_SUPER_MAGIC`: a file whose reads an unprivileged process answers, or does not.
const FUSE: u64 = 0x6573_5546;

/// Why programs have no hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Misses {
    /// Too many waited.
    pub queue_full: u64,
    /// The file was gone, or another, when it was its turn.
    pub gone: u64,
    /// Left out: larger than the limit, or on a file system of a user's making.
    pub left_out: u64,
}

/// A file that is to be read.
#[derive(Debug)]
struct Request {
    /// Who runs it.
    id: ProcessId,
    version: FileVersion,
    /// Where it was when it was begun.
    path: String,
    /// Whether its time of change tells it from what it may have become since.
    settled: bool,
}

/// What became of a request.
#[derive(Debug)]
struct Answer {
    id: ProcessId,
    version: FileVersion,
    settled: bool,
    /// None where the file was gone, or another.
    sha256: Option<Arc<str>>,
}

/// What is known by now of a program that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// The processes that were begun with it meanwhile.
    pub processes: Vec<ProcessId>,
    /// The file.
    pub version: FileVersion,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: Arc<str>,
}

/// What is known of files, and the way to the thread that reads them. Belongs to one thread, and never waits.
#[derive(Debug)]
pub struct Hashes {
    limit: u64,
    known: HashMap<FileVersion, Arc<str>>,
    /// Those that are known, in the order in which they became so.
    order: VecDeque<FileVersion>,
    /// Who waits for files that are being read.
    waiting: HashMap<FileVersion, Vec<ProcessId>>,
    requests: SyncSender<Request>,
    answers: Receiver<Answer>,
    misses: Misses,
}

impl Hashes {
    /// Starts the thread, for files of at most `limit` bytes, which calls `ring` whenever it has read one.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(limit: u64, ring: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (requests, answers) = worker::start(QUEUE, ring)?;
        Ok(Self::new(limit, requests, answers))
    }

    fn new(limit: u64, requests: SyncSender<Request>, answers: Receiver<Answer>) -> Self {
        Hashes {
            limit,
            known: HashMap::new(),
            order: VecDeque::new(),
            waiting: HashMap::new(),
            requests,
            answers,
            misses: Misses::default(),
        }
    }

    /// Why programs have no hash, so far.
    pub fn misses(&self) -> Misses {
        self.misses
    }

    /// The SHA-256 of what `id` has begun to run at that time, where it is known; else it is asked for.
    pub fn look_up(
        &mut self,
        id: ProcessId,
        version: FileVersion,
        begun: Timestamp,
        path: &str,
    ) -> Option<Arc<str>> {
        let settled = is_settled(&version, begun);
        if settled && let Some(known) = self.known.get(&version) {
            return Some(Arc::clone(known));
        }
        if version.size > self.limit || version.file_system == FUSE {
            self.misses.left_out += 1;
            return None;
        }
        if settled && let Some(waiting) = self.waiting.get_mut(&version) {
            if waiting.len() < WAITING {
                waiting.push(id);
            } else {
                self.misses.queue_full += 1;
            }
            return None;
        }
        match self.requests.try_send(Request { id, version, path: path.to_owned(), settled }) {
            Ok(()) if settled => drop(self.waiting.insert(version, vec![id])),
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.misses.queue_full += 1,
        }
        None
    }

    /// The next file that has been read since.
    pub fn next_read(&mut self) -> Option<Hashed> {
        while let Ok(Answer { id, version, settled, sha256 }) = self.answers.try_recv() {
            let processes = match settled {
                true => self.waiting.remove(&version).unwrap_or_default(),
                false => vec![id],
            };
            let Some(sha256) = sha256 else {
                self.misses.gone += processes.len() as u64;
                continue;
            };
            if settled {
                self.remember(version, Arc::clone(&sha256));
            }
            return Some(Hashed { processes, version, sha256 });
        }
        None
    }

    fn remember(&mut self, version: FileVersion, sha256: Arc<str>) {
        if self.known.insert(version, sha256).is_none() {
            self.order.push_back(version);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Whether a file had been left alone for long enough when it was begun.
fn is_settled(version: &FileVersion, begun: Timestamp) -> bool {
    let changed = i128::from(version.changed) * 1_000_000_000 + i128::from(version.changed_nanoseconds);
    changed + SETTLED <= i128::from(begun.0)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    fn version(inode: u64) -> FileVersion {
        FileVersion { inode, size: 10, changed: 1, ..FileVersion::default() }
    }

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid, start: 1 }
    }

    const BEGUN: Timestamp = Timestamp(2_000_000_000);

    struct Bench {
        hashes: Hashes,
        asked: Receiver<Request>,
        answer: std::sync::mpsc::Sender<Answer>,
    }

    impl Bench {
        fn new(queue: usize) -> Self {
            let (requests, asked) = sync_channel(queue);
            let (answer, answers) = channel();
            Bench { hashes: Hashes::new(100, requests, answers), asked, answer }
        }

        fn look_up(&mut self, pid: u32, version: FileVersion, begun: Timestamp) -> Option<Arc<str>> {
            self.hashes.look_up(process(pid), version, begun, "/bin/x")
        }

        fn answer(&self, sha256: Option<&str>) {
            let Request { id, version, settled, .. } = self.asked.try_recv().unwrap();
            self.answer.send(Answer { id, version, settled, sha256: sha256.map(Arc::from) }).unwrap();
        }
    }

    #[test]
    fn a_file_is_read_once_for_all_who_wait_and_known_from_then_on() {
        let mut bench = Bench::new(8);
        assert_eq!(bench.look_up(1, version(7), BEGUN), None);
        assert_eq!(bench.look_up(2, version(7), BEGUN), None);
        bench.answer(Some("ab"));
        assert!(bench.asked.try_recv().is_err(), "asked once");
        let read = bench.hashes.next_read().unwrap();
        assert_eq!(read.processes, [process(1), process(2)]);
        assert_eq!(bench.look_up(3, version(7), BEGUN).as_deref(), Some("ab"));
        assert_eq!(bench.look_up(3, version(8), BEGUN), None, "another file");
    }

    #[test]
    fn a_file_that_was_changed_right_before_it_was_begun_is_not_remembered() {
        let mut bench = Bench::new(8);
        let fresh = Timestamp(1_050_000_000);
        bench.look_up(1, version(7), fresh);
        bench.look_up(2, version(7), fresh);
        bench.answer(Some("ab"));
        bench.answer(Some("cd"));
        assert_eq!(bench.hashes.next_read().unwrap().processes, [process(1)]);
        assert_eq!(bench.hashes.next_read().unwrap().processes, [process(2)]);
        assert_eq!(bench.look_up(3, version(7), BEGUN), None);
        assert_eq!(bench.look_up(4, version(7), Timestamp(0)), None, "the clock was set back");
    }

    #[test]
    fn what_is_too_large_is_left_out_and_what_finds_no_room_is_counted() {
        let mut bench = Bench::new(1);
        bench.look_up(1, FileVersion { size: 101, ..version(1) }, BEGUN);
        bench.look_up(1, FileVersion { file_system: FUSE, ..version(1) }, BEGUN);
        bench.look_up(1, version(2), BEGUN);
        bench.look_up(1, version(3), BEGUN);
        assert_eq!(bench.hashes.misses(), Misses { queue_full: 1, gone: 0, left_out: 2 });
    }

    #[test]
    fn a_file_that_is_gone_is_counted_for_each_who_waits_and_asked_for_anew() {
        let mut bench = Bench::new(8);
        bench.look_up(1, version(7), BEGUN);
        bench.look_up(2, version(7), BEGUN);
        bench.answer(None);
        assert_eq!(bench.hashes.next_read(), None);
        assert_eq!(bench.hashes.misses().gone, 2);
        bench.look_up(3, version(7), BEGUN);
        assert_eq!(bench.asked.try_recv().unwrap().id, process(3));
    }

    #[test]
    fn no_more_files_are_remembered_than_there_is_room_for() {
        let mut bench = Bench::new(1);
        for inode in 0..REMEMBERED as u64 + 10 {
            bench.hashes.remember(version(inode), "ab".into());
        }
        assert_eq!((bench.hashes.known.len(), bench.hashes.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!bench.hashes.known.contains_key(&version(0)));
    }
}
