//! The agent's way to the store: a thread of its own, so that a slow disk holds nobody up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openclaw_detect::Finding;
use tracing::{error, info, warn};

use super::{Limits, Opened, Store, StoreError};
use crate::output::time;
use crate::queue::{Receiver, Sender, bounded};
use crate::respond::action::ActionRecord;

/// How many records wait for the disk at most.
const QUEUE: usize = 4096;
/// How many records are written in one transaction at most.
const BATCH: usize = 256;
/// How often the bounds are looked after.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

enum Message {
    Write(Record),
    /// Write what came before this, then end.
    Finish,
}

enum Record {
    Finding(Box<Finding>),
    Action(Box<ActionRecord>),
}

/// Writes findings and actions in the background. Cheap to clone: each clone feeds the same thread.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: Sender<Message>,
    lost: Arc<AtomicU64>,
}

/// The thread behind a [`Writer`].
#[derive(Debug)]
pub struct WriterThread {
    thread: JoinHandle<()>,
    queue: Sender<Message>,
    /// Where a damaged database went when this one was opened.
    pub moved_aside: Option<PathBuf>,
}

impl Writer {
    /// Opens the database, brings it within its bounds, and starts the thread.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn start(path: &Path, limits: Limits) -> Result<(Writer, WriterThread), StoreError> {
        let Opened { store, moved_aside } = Store::open(path)?;
        let lost = Arc::new(AtomicU64::new(0));
        let (queue, messages) = bounded(QUEUE);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let lost = Arc::clone(&lost);
                move || write_all(&store, &messages, limits, &lost)
            })
            .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        let writer = Writer { queue: queue.clone(), lost };
        Ok((writer, WriterThread { thread, queue, moved_aside }))
    }

    /// Queues a finding. Never waits; what does not fit is counted as lost.
    pub fn finding(&self, finding: Finding) {
        self.queue(Record::Finding(Box::new(finding)));
    }

    /// Queues an action, or its next state. Never waits; what does not fit is counted as lost.
    pub fn action(&self, action: ActionRecord) {
        self.queue(Record::Action(Box::new(action)));
    }

    /// Waits while half of the queue is taken, but no longer than until `end`: for who has many to hand over.
    pub fn wait_for_room(&self, end: Instant) {
        while self.waiting() >= QUEUE as u64 / 2 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// How many records wait for the disk.
    pub fn waiting(&self) -> u64 {
        self.queue.waiting()
    }

    /// How many records could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    fn queue(&self, record: Record) {
        let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            self.queue.try_send(Message::Write(record))
        else {
            return;
        };
        self.lost.fetch_add(1, Relaxed);
        error!(id = message.id(), "record lost: the disk is too slow, or the store has stopped");
    }
}

impl WriterThread {
    /// Waits until everything that was queued so far is written, and ends. What is queued later is lost, and counted.
    pub fn finish(self) {
        // An error says that the thread has ended already, which joining shows.
        let _ = self.queue.send(Message::Finish);
        if self.thread.join().is_err() {
            error!("the store stopped in the middle: its last findings may be lost");
        }
    }
}

impl Message {
    fn id(&self) -> &str {
        match self {
            Message::Write(record) => record.id(),
            Message::Finish => "",
        }
    }
}

impl Record {
    fn id(&self) -> &str {
        match self {
            Record::Finding(finding) => &finding.id,
            Record::Action(action) => &action.id,
        }
    }

    fn write(&self, store: &Store) -> Result<(), StoreError> {
        match self {
            Record::Finding(finding) => store.insert_finding(finding),
            Record::Action(action) => store.upsert_action(action),
        }
    }
}

fn write_all(store: &Store, messages: &Receiver<Message>, limits: Limits, lost: &AtomicU64) {
    prune(store, limits);
    let mut next_prune = Instant::now() + PRUNE_EVERY;
    let mut finished = false;
    while !finished {
        let mut batch = Vec::new();
        let mut message = match messages.recv_timeout(next_prune.saturating_duration_since(Instant::now())) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        while let Some(next) = message {
            match next {
                Message::Write(record) => batch.push(record),
                Message::Finish => finished = true,
            }
            message = if finished || batch.len() >= BATCH { None } else { messages.try_recv().ok() };
        }
        if let Err(error) = write_batch(store, &batch) {
            // Singly, so that one bad record does not take the others with it.
            warn!(%error, "records are written one by one");
            write_singly(store, &batch, lost);
        }
        if Instant::now() >= next_prune {
            prune(store, limits);
            next_prune = Instant::now() + PRUNE_EVERY;
        }
    }
    let late = std::iter::from_fn(|| messages.try_recv().ok())
        .filter(|message| matches!(message, Message::Write(_)))
        .count();
    lost.fetch_add(late as u64, Relaxed);
}

fn write_batch(store: &Store, batch: &[Record]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let transaction = store.db.unchecked_transaction().map_err(|source| store.failed(source))?;
    for record in batch {
        record.write(store)?;
    }
    transaction.commit().map_err(|source| store.failed(source))
}

fn write_singly(store: &Store, batch: &[Record], lost: &AtomicU64) {
    for record in batch {
        if let Err(error) = record.write(store) {
            lost.fetch_add(1, Relaxed);
            error!(id = record.id(), %error, "record lost");
        }
    }
}

fn prune(store: &Store, limits: Limits) {
    match store.prune(time::now(), limits) {
        Ok(pruned) if pruned.by_size > 0 => {
            warn!(
                count = pruned.by_size,
                "the oldest findings and actions were deleted to keep within `store.max_size`"
            );
        }
        Ok(pruned) if pruned.by_age > 0 => {
            info!(count = pruned.by_age, "findings and actions older than `store.max_age` were deleted");
        }
        Ok(_) => {}
        Err(error) => error!(%error, "the database cannot be kept within its bounds"),
    }
}
