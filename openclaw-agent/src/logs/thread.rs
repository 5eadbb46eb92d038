//! The thread that reads logs, and the way from it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::counts::LogCounts;
use super::entry::Entry;
use super::position::{Positions, Progress};
use super::source::Source;
use crate::config::LogSource;

/// How often it is looked whether logs have grown.
const LOOK: Duration = Duration::from_millis(250);

/// How often it is looked once none has for [`QUIET`].
const LOOK_IN_QUIET: Duration = Duration::from_secs(1);

/// So long without a line, and the logs are quiet.
const QUIET: Duration = Duration::from_secs(10);

/// Batches that wait to be taken. Logs wait on disk: what does not fit is read later.
const QUEUE: usize = 4;

/// What was read of a source, and how far it has been read with it.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) source: String,
    /// What its lines tell.
    pub(super) entries: Vec<Entry>,
    /// How far it has been read.
    pub(super) progress: Progress,
}

/// The thread, as who takes what it has read has it.
#[derive(Debug)]
pub struct Logs {
    batches: Receiver<Batch>,
    /// The batch that is being taken in: its number of entries, and how often the next was.
    current: Option<(Batch, usize, u32)>,
    /// How far the logs have been read, of what was taken in.
    positions: Positions,
    counts: LogCounts,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Logs {
    /// Starts the thread: each log goes on where it was `left`, or begins now. `ring` is called when there is something.
    ///
    /// # Errors
    /// When the system has no room for a thread.
    pub fn start(
        sources: &[LogSource],
        left: &Positions,
        counts: LogCounts,
        ring: impl Fn() + Send + 'static,
    ) -> io::Result<Logs> {
        let (hand_on, batches) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        // Here, so that what is written from now on is read.
        let sources: Vec<_> = sources.iter().filter_map(|source| Source::begin(source, left)).collect();
        let positions = sources.iter().map(Source::told).collect();
        let worker = Worker { sources, counts: counts.clone(), hand_on, stop: Arc::clone(&stop) };
        let thread =
            std::thread::Builder::new().name("openclaw-logs".into()).spawn(move || worker.run(ring))?;
        Ok(Logs { batches, current: None, positions, counts, stop, thread })
    }

    /// Takes in so many events that logs tell, at most. Whether there may be more. Where not to `begin` another batch, only what
    /// is left of the last.
    pub fn take(&mut self, at_most: usize, begin: bool, mut event: impl FnMut(&Entry)) -> bool {
        for _ in 0..at_most {
            if self.current.is_none() && !(begin && self.next_batch()) {
                return false;
            }
            let Some((batch, number, times)) = &mut self.current else { return false };
            let Some(entry) = batch.entries.get(*number) else {
                // Taken in whole: from here on the next agent goes on.
                if let Some((batch, ..)) = self.current.take() {
                    self.positions.insert(batch.source, batch.progress);
                }
                continue;
            };
            match *times {
                0 => event(entry),
                again => event(&entry.again(again)),
            }
            *times += 1;
            if *times >= entry.times {
                (*number, *times) = (*number + 1, 0);
            }
        }
        true
    }

    fn next_batch(&mut self) -> bool {
        match self.batches.try_recv() {
            Ok(batch) => {
                self.current = Some((batch, 0, 0));
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                if self.counts.fail("the thread that reads logs has ended: restart the agent") {
                    tracing::error!("the thread that reads logs has ended: no log is read any more");
                }
                false
            }
        }
    }

    /// Whether a batch has been taken in in part, so that the positions do not say what was.
    pub fn is_within_batch(&self) -> bool {
        self.current.is_some()
    }

    /// How far the logs have been read, of what was taken in.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Ends the thread. What it has read and nobody has taken in is read again by the next.
    pub fn stop(mut self, event: impl FnMut(&Entry)) -> Positions {
        self.take(usize::MAX, false, event);
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        drop(self.batches);
        if self.thread.join().is_err() {
            tracing::error!(
                "the thread that reads logs has panicked: lines since then are read by the next agent"
            );
        }
        self.positions
    }
}

/// The thread's side.
struct Worker {
    sources: Vec<Source>,
    counts: LogCounts,
    hand_on: SyncSender<Batch>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, ring: impl Fn()) {
        let (mut buffer, mut heard) = (Vec::new(), Instant::now());
        while !self.stop.load(Ordering::Acquire) {
            let mut more = false;
            for source in &mut self.sources {
                let (further, batch) = source.poll(&mut buffer);
                more |= further;
                if let Some(batch) = batch {
                    heard = Instant::now();
                    // An error says that the agent is stopping.
                    if self.hand_on.send(batch).is_err() {
                        return;
                    }
                    ring();
                }
            }
            self.counts.set(self.sources.iter().map(Source::status).collect());
            if !more {
                std::thread::park_timeout(if heard.elapsed() >= QUIET { LOOK_IN_QUIET } else { LOOK });
            }
        }
    }
}
