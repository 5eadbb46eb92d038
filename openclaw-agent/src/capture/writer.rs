//! Writes captures: lines are put together by who has the events, and compressed and written by a thread.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use openclaw_detect::{Event, EventKind, Field, ProcessId, Value, json};

use super::{END, End, HEADER, Header, MARK, Mark};

/// Bytes of lines that go to the thread together.
const CHUNK: usize = 256 << 10;

/// How long a line waits for others.
const PATIENCE: Duration = Duration::from_millis(500);

/// Chunks that wait for the disk, at most: 32 MiB.
const QUEUE: usize = 128;

/// Bytes of lines in one member of gzip, and the time after which one ends all the same: what a crash can take.
const MEMBER: u64 = 4 << 20;
const MEMBER_TIME: Duration = Duration::from_secs(5);

/// How far a recording has come.
#[derive(Debug, Default)]
pub struct Totals {
    /// Events that were taken in, without those that were so before.
    pub events: AtomicU64,
    /// Events that were left out, since the disk was too slow.
    pub lost: AtomicU64,
    /// Bytes that were written.
    pub bytes: AtomicU64,
}

/// Takes events in. Never waits: what does not fit is counted.
#[derive(Debug)]
pub struct Recorder {
    chunk: Vec<u8>,
    /// Events in it, without those that were so before.
    in_chunk: u64,
    /// When its first line was taken in.
    since: Instant,
    chunks: SyncSender<Vec<u8>>,
    totals: Arc<Totals>,
}

/// Where a capture goes.
pub struct Destination {
    sink: Box<dyn Write + Send>,
}

impl Destination {
    /// What takes the bytes.
    pub fn of(sink: impl Write + Send + 'static) -> Destination {
        Destination { sink: Box::new(sink) }
    }

    /// A new file that its owner alone can read, or standard output for `-`. An old file is replaced by `force`.
    ///
    /// # Errors
    /// There is a file already, or none can be made there.
    pub fn open(path: &Path, force: bool) -> io::Result<Destination> {
        if path == Path::new("-") {
            return Ok(Destination::of(io::stdout()));
        }
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = if force {
            options.create(true).truncate(true).open(path)
        } else {
            options.create_new(true).open(path)
        };
        Ok(Destination::of(file?))
    }
}

/// The thread that compresses and writes.
#[derive(Debug)]
pub struct WriterThread {
    thread: JoinHandle<io::Result<()>>,
}

impl WriterThread {
    /// Whether it has ended before it was asked to: it could not write.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until everything is written. The recorder must have been dropped.
    ///
    /// # Errors
    /// What kept it from writing.
    pub fn finish(self) -> io::Result<()> {
        self.thread.join().map_err(|_| io::Error::other("the thread that writes the capture has panicked"))?
    }
}

impl Recorder {
    /// Begins a capture.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(to: Destination, header: &Header) -> io::Result<(Recorder, WriterThread, Arc<Totals>)> {
        let totals = Arc::new(Totals::default());
        let (chunks, queue) = sync_channel(QUEUE);
        let mut chunk = Vec::with_capacity(CHUNK);
        line(&mut chunk, HEADER, header)?;
        let of_thread = Arc::clone(&totals);
        let thread = std::thread::Builder::new()
            .name("openclaw-record".into())
            .spawn(move || write_all(to.sink, &queue, &of_thread))?;
        let recorder =
            Recorder { chunk, in_chunk: 0, since: Instant::now(), chunks, totals: Arc::clone(&totals) };
        Ok((recorder, WriterThread { thread }, totals))
    }

    /// Takes an event in. `known` says that it did not happen now, but is so.
    pub fn take(&mut self, event: &(impl Event + ?Sized), known: bool) {
        let mark = Mark { known, forker: forker(event).map(|forker| forker.to_string()) };
        let begin = self.chunk.len();
        json::write(event, &mut self.chunk);
        if mark != Mark::default()
            && let Ok(mark) = serde_json::to_string(&mark)
        {
            let mark = format!("\"{MARK}\":{mark},");
            self.chunk.splice(begin + 1..begin + 1, mark.bytes());
        }
        self.chunk.push(b'\n');
        if !known {
            self.in_chunk += 1;
            self.totals.events.fetch_add(1, Relaxed);
        }
        if self.chunk.len() >= CHUNK || self.since.elapsed() >= PATIENCE {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        let events = std::mem::take(&mut self.in_chunk);
        self.since = Instant::now();
        if self.chunks.try_send(chunk).is_err() {
            self.totals.lost.fetch_add(events, Relaxed);
            self.totals.events.fetch_sub(events, Relaxed);
        }
    }
}

impl Drop for Recorder {
    /// Ends the capture.
    fn drop(&mut self) {
        let totals = &self.totals;
        let end = End { events: totals.events.load(Relaxed), lost: totals.lost.load(Relaxed) };
        // A structure of numbers is always written.
        let _ = line(&mut self.chunk, END, &end);
        // There is time to wait now. Where nobody takes it, the thread has an error to tell.
        let _ = self.chunks.send(std::mem::take(&mut self.chunk));
    }
}

/// Of a fork, the process that forked, where the event's parent is another.
fn forker(event: &(impl Event + ?Sized)) -> Option<ProcessId> {
    let forker = event.parent().filter(|_| event.kind() == EventKind::ProcessFork)?;
    match event.get(Field::ProcessParentEntityId) {
        Some(Value::Str(parent)) if parent == forker.to_string() => None,
        _ => Some(forker),
    }
}

fn line(out: &mut Vec<u8>, key: &str, value: &impl serde::Serialize) -> io::Result<()> {
    write!(out, "{{\"{key}\":")?;
    serde_json::to_writer(&mut *out, value)?;
    out.extend_from_slice(b"}\n");
    Ok(())
}

/// Counts what is written through it.
struct Counted<'a> {
    sink: Box<dyn Write + Send>,
    totals: &'a Totals,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.totals.bytes.fetch_add(written as u64, Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

fn write_all(sink: Box<dyn Write + Send>, chunks: &Receiver<Vec<u8>>, totals: &Totals) -> io::Result<()> {
    let mut out = Counted { sink, totals };
    while let Ok(first) = chunks.recv() {
        let began = Instant::now();
        let mut member = GzEncoder::new(&mut out, Compression::fast());
        let mut len = first.len() as u64;
        member.write_all(&first)?;
        while len < MEMBER
            && let Some(left) = MEMBER_TIME.checked_sub(began.elapsed())
            && let Ok(chunk) = chunks.recv_timeout(left)
        {
            len += chunk.len() as u64;
            member.write_all(&chunk)?;
        }
        member.finish()?;
        out.flush()?;
    }
    Ok(())
}
