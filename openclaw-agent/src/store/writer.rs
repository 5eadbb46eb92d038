//! The agent's way to the store: a thread of its own, so that a slow disk holds nobody up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use openclaw_detect::Finding;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::outbox::{Ended, Posted};
use super::{Limits, Opened, Pruned, Store, StoreError};
use crate::alert::{Outgoing, Trigger};
use crate::output::time;
use crate::queue::{Receiver, Sender, bounded};
use crate::respond::action::ActionRecord;

/// How many records wait for the disk at most.
const QUEUE: usize = 4096;
/// How many records are written in one transaction at most.
const BATCH: usize = 256;
/// How often the bounds are looked after.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// How long a thread waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// When windows that could not be ended are looked at again.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How often it is said at most that the disk takes nothing.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// After so many alerts the bounds are looked after at once.
const MANY: usize = 4096;

enum Message {
    Write(Box<Record>),
    /// Something to be looked up or changed, in its turn.
    Ask(Box<dyn FnOnce(&Store) + Send>),
    /// To be called once what came before it is on disk.
    Arrive(Box<dyn FnOnce() + Send>),
    /// Write what came before this, then end.
    Finish,
}

enum Record {
    Finding(Finding, Vec<ActionRecord>, Vec<Outgoing>),
    Action(ActionRecord, Option<Outgoing>),
    /// Kept without being told.
    Quiet(Option<Finding>, Vec<ActionRecord>),
    Alert(Outgoing),
    Delivery(Ended),
}

/// Who hears of a record once it is on disk, or when it cannot be brought there. What is not heard is passed over.
pub trait Audience: Send + Sync {
    /// A finding is kept, with what was answered so far.
    fn finding(&self, _finding: Finding, _actions: Vec<ActionRecord>) {}

    /// An action is kept.
    fn action(&self, _action: ActionRecord) {}

    /// An action is on disk, as far as it had come; also one that nobody is told of.
    fn written(&self, _action: &ActionRecord) {}

    /// An alert has come into the outbox.
    fn posted(&self, _alert: &Outgoing, _posted: Posted) {}

    /// The channels by which alerts of a trigger go.
    fn channels(&self, _trigger: Trigger) -> Vec<String> {
        Vec::new()
    }

    /// A delivery that waited has ended.
    fn ended(&self, _channel: &str) {}

    /// An alert could not be written down: it is lost unless it is delivered from memory.
    fn unsaved(&self, _alert: Outgoing) {}

    /// Alerts that waited for these channels were thrown away, one for each name.
    fn thrown_away(&self, _channels: &[String]) {}

    /// The channels that there are; none where that is not known.
    fn all_channels(&self) -> Option<Vec<String>> {
        None
    }

    /// So many deliveries are given up, since their channels are not there any more.
    fn given_up(&self, _count: u64) {}

    /// Bytes of alerts that may wait at most.
    fn outbox_limit(&self) -> u64 {
        u64::MAX
    }

    /// Whether the disk takes what is written.
    fn writable(&self, _problem: Option<&str>) {}
}

/// Nobody.
impl Audience for () {}

/// Writes findings, actions and alerts in the background. Cheap to clone: each clone feeds the same thread.
#[derive(Clone)]
pub struct Writer {
    queue: Sender<Message>,
    lost: Arc<AtomicU64>,
    audience: Arc<dyn Audience>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("queue", &self.queue).finish_non_exhaustive()
    }
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
    /// Opens the database, brings it within its bounds, and starts the thread. `host` is what this host is called in the
    /// alerts that the store makes itself.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn start(
        path: &Path,
        limits: Limits,
        host: String,
        audience: Arc<dyn Audience>,
    ) -> Result<(Writer, WriterThread), StoreError> {
        let Opened { store, moved_aside } = Store::open(path)?;
        let lost = Arc::new(AtomicU64::new(0));
        let (queue, messages) = bounded(QUEUE);
        let mut work = Work {
            store,
            limits,
            host,
            audience: Arc::clone(&audience),
            lost: Arc::clone(&lost),
            refused: None,
            posted: 0,
            pruned: Pruned::default(),
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || work.run(&messages))
            .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        let writer = Writer { queue: queue.clone(), lost, audience };
        Ok((writer, WriterThread { thread, queue, moved_aside }))
    }

    /// Queues a finding with what was answered, and their alerts. Never waits; what does not fit is counted as lost.
    pub fn finding(&self, finding: Finding, actions: Vec<ActionRecord>, alerts: Vec<Outgoing>) {
        self.queue(Record::Finding(finding, actions, alerts));
    }

    /// Queues an action, or its next state, and its alert. Never waits; what does not fit is counted as lost.
    pub fn action(&self, action: ActionRecord, alert: Option<Outgoing>) {
        self.queue(Record::Action(action, alert));
    }

    /// Queues what nobody is told of. Never waits; what does not fit is counted as lost.
    pub fn quietly(&self, finding: Option<Finding>, actions: Vec<ActionRecord>) {
        self.queue(Record::Quiet(finding, actions));
    }

    /// Queues an alert of neither. Never waits; what does not fit is counted as lost.
    pub fn alert(&self, alert: Outgoing) {
        self.queue(Record::Alert(alert));
    }

    /// Queues how a delivery ended. Where the queue is full that is asked for again, and delivered twice.
    pub fn delivery(&self, ended: Ended) {
        self.queue(Record::Delivery(ended));
    }

    /// Asks the store, after what was queued before. `None` where the queue is full or the thread has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        // An error says that nobody waits for it any more: it was carried out all the same.
        self.put(move |store| drop(reply.send(question(store))))?;
        answer.await.ok()
    }

    /// As [`Writer::ask`], for a thread that may wait; a few seconds at most, as the disk may hang.
    pub fn ask_and_wait<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.put(move |store| drop(reply.send(question(store))))?;
        answer.recv_timeout(PATIENCE).ok()
    }

    /// Calls this when what was queued before is on disk; never, where that is full, or the queue is.
    pub fn when_written(&self, then: impl FnOnce() + Send + 'static) {
        let _ = self.queue.try_send(Message::Arrive(Box::new(then)));
    }

    /// Queues a question. `None` where there is no room.
    fn put(&self, question: impl FnOnce(&Store) + Send + 'static) -> Option<()> {
        self.queue.try_send(Message::Ask(Box::new(question))).ok()
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
            self.queue.try_send(Message::Write(Box::new(record)))
        else {
            return;
        };
        let Message::Write(record) = message else { return };
        if record.can_be_lost() {
            self.lost.fetch_add(1, Relaxed);
            error!(id = record.id(), "record lost: the disk is too slow, or the store has stopped");
        }
        record.tell_unsaved(self.audience.as_ref());
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

impl Record {
    fn id(&self) -> &str {
        match self {
            Record::Finding(finding, ..) => &finding.id,
            Record::Action(action, _) => &action.id,
            Record::Quiet(Some(finding), _) => &finding.id,
            Record::Quiet(None, actions) => actions.first().map_or("", |action| &action.id),
            Record::Alert(outgoing) => &outgoing.alert.id,
            Record::Delivery(ended) => &ended.channel,
        }
    }

    /// Writes it, and returns what became of its alerts, or whether its delivery waited until then.
    fn write(&self, store: &Store) -> Result<Written, StoreError> {
        let mut posted = Vec::new();
        match self {
            Record::Finding(finding, actions, _) => {
                store.insert_finding(finding)?;
                actions.iter().try_for_each(|action| store.upsert_action(action))?;
            }
            Record::Quiet(finding, actions) => {
                finding.iter().try_for_each(|finding| store.insert_finding(finding))?;
                actions.iter().try_for_each(|action| store.upsert_action(action))?;
            }
            Record::Action(action, _) => store.upsert_action(action)?,
            Record::Alert(_) => {}
            Record::Delivery(ended) => return store.end_delivery(ended).map(Written::Ended),
        }
        for outgoing in self.alerts() {
            posted.push(store.post(outgoing, time::now())?);
        }
        Ok(Written::Posted(posted))
    }

    fn actions(&self) -> &[ActionRecord] {
        match self {
            Record::Finding(_, actions, _) | Record::Quiet(_, actions) => actions,
            Record::Action(action, _) => std::slice::from_ref(action),
            Record::Alert(_) | Record::Delivery(_) => &[],
        }
    }

    fn alerts(&self) -> &[Outgoing] {
        match self {
            Record::Finding(.., alerts) => alerts,
            Record::Action(_, alert) => alert.as_slice(),
            Record::Alert(outgoing) => std::slice::from_ref(outgoing),
            Record::Quiet(..) | Record::Delivery(_) => &[],
        }
    }

    /// Tells of it, now that it is on disk.
    fn tell(self, written: Written, audience: &dyn Audience) {
        match (&self, written) {
            (Record::Delivery(ended), Written::Ended(true)) => audience.ended(&ended.channel),
            (_, Written::Ended(_)) => {}
            (record, Written::Posted(posted)) => {
                record.actions().iter().for_each(|action| audience.written(action));
                let alerts = self.tell_itself(audience);
                alerts.iter().zip(posted).for_each(|(outgoing, posted)| audience.posted(outgoing, posted));
            }
        }
    }

    /// Tells of it, though it is on no disk.
    fn tell_unsaved(self, audience: &dyn Audience) {
        self.tell_itself(audience).into_iter().for_each(|outgoing| audience.unsaved(outgoing));
    }

    /// Tells of all but its alerts, which are returned.
    fn tell_itself(self, audience: &dyn Audience) -> Vec<Outgoing> {
        match self {
            Record::Finding(finding, actions, alerts) => {
                audience.finding(finding, actions);
                alerts
            }
            Record::Action(action, alert) => {
                audience.action(action);
                alert.into_iter().collect()
            }
            Record::Alert(outgoing) => vec![outgoing],
            Record::Quiet(..) | Record::Delivery(_) => Vec::new(),
        }
    }

    /// Whether something is lost when it is not written: a delivery that ended is told again.
    const fn can_be_lost(&self) -> bool {
        !matches!(self, Record::Delivery(_))
    }
}

/// What became of a record.
enum Written {
    /// Of its alerts, in their order.
    Posted(Vec<Posted>),
    /// Whether its delivery waited until then.
    Ended(bool),
}

/// What the thread works with.
struct Work {
    store: Store,
    limits: Limits,
    host: String,
    audience: Arc<dyn Audience>,
    lost: Arc<AtomicU64>,
    /// When it was said last that the disk takes nothing, while it does not.
    refused: Option<Instant>,
    /// Alerts that were posted since the outbox was looked after.
    posted: usize,
    /// What was deleted of what is to be deleted.
    pruned: Pruned,
}

impl Work {
    fn run(&mut self, messages: &Receiver<Message>) {
        self.bound_outbox();
        self.prune();
        let mut next_prune = Instant::now() + PRUNE_EVERY;
        let mut window_end = self.next_window_end();
        let mut finished = false;
        while !finished {
            let next = if self.pruned.more { Instant::now() } else { next_prune };
            let due = window_end.map_or(next, |end| next.min(end));
            let mut batch = Vec::new();
            let (mut questions, mut arrivals) = (Vec::new(), Vec::new());
            let mut message = match messages.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(next) = message {
                match next {
                    Message::Write(record) => batch.push(*record),
                    // After what came before it, and before what comes after.
                    Message::Ask(question) => questions.push(question),
                    Message::Arrive(then) => arrivals.push(then),
                    Message::Finish => finished = true,
                }
                let is_asked = !questions.is_empty() || !arrivals.is_empty();
                let is_whole = finished || batch.len() >= BATCH || is_asked;
                message = if is_whole { None } else { messages.try_recv().ok() };
            }
            let posts = batch.iter().any(|record| !matches!(record, Record::Delivery(_)));
            self.write(batch);
            questions.into_iter().for_each(|question| question(&self.store));
            if !arrivals.is_empty() && self.refused.is_some() && self.in_one(Store::try_write).is_ok() {
                self.is_writable();
            }
            if self.refused.is_none() {
                arrivals.into_iter().for_each(|then: Box<dyn FnOnce() + Send>| then());
            }
            if window_end.is_some_and(|end| Instant::now() >= end) {
                window_end = match self.end_windows() {
                    true => self.next_window_end(),
                    false => Some(Instant::now() + TRY_AGAIN),
                };
            } else if posts {
                window_end = self.next_window_end();
            }
            if self.pruned.more {
                self.prune();
            } else if Instant::now() >= next_prune || self.posted >= MANY {
                self.bound_outbox();
                self.prune();
                next_prune = Instant::now() + PRUNE_EVERY;
            }
        }
        let late = std::iter::from_fn(|| messages.try_recv().ok())
            .filter(|message| matches!(message, Message::Write(_)))
            .count();
        self.lost.fetch_add(late as u64, Relaxed);
    }

    fn write(&mut self, batch: Vec<Record>) {
        if batch.is_empty() {
            return;
        }
        match self
            .in_one(|store| batch.iter().map(|record| record.write(store)).collect::<Result<Vec<_>, _>>())
        {
            Ok(posted) => {
                self.posted += batch.iter().map(|record| record.alerts().len()).sum::<usize>();
                for (record, posted) in batch.into_iter().zip(posted) {
                    record.tell(posted, self.audience.as_ref());
                }
                self.is_writable();
            }
            // Singly, so that one bad record does not take the others with it.
            Err(_) => batch.into_iter().for_each(|record| self.write_singly(record)),
        }
    }

    fn write_singly(&mut self, record: Record) {
        match self.in_one(|store| record.write(store)) {
            Ok(posted) => {
                record.tell(posted, self.audience.as_ref());
                self.is_writable();
            }
            Err(error) => {
                self.lost.fetch_add(u64::from(record.can_be_lost()), Relaxed);
                self.complain(&error, record.id());
                record.tell_unsaved(self.audience.as_ref());
            }
        }
    }

    /// Does all or nothing of it.
    fn in_one<T>(&self, work: impl FnOnce(&Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let store = &self.store;
        let transaction = store.db.unchecked_transaction().map_err(|source| store.failed(source))?;
        let done = work(store)?;
        transaction.commit().map_err(|source| store.failed(source))?;
        Ok(done)
    }

    /// Says once a minute that records are lost, however many they are.
    fn complain(&mut self, error: &StoreError, id: &str) {
        if self.refused.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            error!(id, %error, "records are lost: alerts are delivered from memory, findings only printed");
            self.audience.writable(Some(&error.to_string()));
            self.refused = Some(Instant::now());
        }
    }

    fn is_writable(&mut self) {
        if self.refused.take().is_some() {
            info!("the database takes what is written again");
            self.audience.writable(None);
        }
    }

    fn next_window_end(&self) -> Option<Instant> {
        let end = self.store.next_window_end(time::now()).ok().flatten()?;
        Some(Instant::now() + Duration::from_nanos(end.0.saturating_sub(time::now().0)))
    }

    /// Whether the windows that are over could be ended.
    fn end_windows(&mut self) -> bool {
        let host = self.host.clone();
        let audience = Arc::clone(&self.audience);
        match self.in_one(|store| store.end_windows(time::now(), &host, |trigger| audience.channels(trigger)))
        {
            Ok(told) => {
                told.iter().for_each(|outgoing| self.audience.posted(outgoing, Posted::Waits));
                self.is_writable();
                true
            }
            Err(error) => {
                self.complain(&error, "held back");
                false
            }
        }
    }

    /// Throws alerts away where too many wait, and gives up what waits for channels that are gone.
    fn bound_outbox(&mut self) {
        self.posted = 0;
        let limit = self.audience.outbox_limit();
        match self.in_one(|store| store.bound_outbox(limit, time::now())) {
            Ok(channels) if !channels.is_empty() => {
                error!(
                    count = channels.len(),
                    "alerts lost: the outbox was full (security.alerting.max_size), the oldest were thrown away"
                );
                self.audience.thrown_away(&channels);
            }
            Ok(_) => {}
            Err(error) => error!(%error, "the outbox cannot be kept within its bounds"),
        }
        // What was on its way when a channel was left comes after it.
        if let Some(channels) = self.audience.all_channels() {
            match self.in_one(|store| store.leave_channels(&channels, time::now())) {
                Ok(count) => self.audience.given_up(count),
                Err(error) => error!(%error, "what waits for channels that are gone cannot be given up"),
            }
        }
    }

    /// Deletes some of what is too old or too much, and says how much it was when there is no more.
    fn prune(&mut self) {
        match self.in_one(|store| store.prune(time::now(), self.limits)) {
            Ok(pruned) => self.pruned += pruned,
            Err(error) => {
                error!(%error, "the database cannot be kept within its bounds");
                self.pruned.more = false;
            }
        }
        if self.pruned.more {
            return;
        }
        let pruned = std::mem::take(&mut self.pruned);
        if pruned.by_size > 0 {
            warn!(
                count = pruned.by_size,
                "the oldest findings and actions were deleted to keep within `store.max_size`"
            );
        } else if pruned.by_age > 0 {
            info!(count = pruned.by_age, "findings and actions older than `store.max_age` were deleted");
        }
    }
}
