//! The thread that answers: findings first in the kernel, then in the store, and from there on stdout and to the SOC; what
//! people ask for; and what ends by itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use openclaw_detect::{Finding, ProcessId, Scope, Severity};

use super::counts::ActionCounts;
use crate::alert::{Alerts, Outgoing};
use crate::api::protocol::Isolate;
use crate::mask;
use crate::output::time;
use crate::pipeline::Processes;
use crate::pulse::Pulse;
use crate::queue::{Receiver, Sender, bounded};
use crate::respond::{ActionKind, ActionRecord, Outcome, ProcessLookup, Responder, Strike};
use crate::store::Writer;

/// How many findings and requests wait at most.
const QUEUE: usize = 8192;

/// How long after an isolation the process table is asked again: who was forked while the programs were being
/// attached is in it by then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long many records together may keep this thread, so that the disk comes after.
const WRITING: Duration = Duration::from_secs(2);

/// What stands in the place of a rule's name where the breaker has cut something off.
const BREAKER: &str = "response_breaker";

/// The same where somebody has detached what enforces.
const DETACHED: &str = "verdicts_detached";

/// How long the thread sleeps at most.
const IDLE: Duration = Duration::from_secs(1);

/// Something to do for the thread.
pub(super) enum Message {
    /// A rule fired.
    Finding(Box<Found>),
    /// A person asks for something.
    Request(Box<dyn FnOnce(&mut Answers) + Send>),
    /// End, and take the verdicts back where that is said.
    Finish {
        /// Whether verdicts are taken back rather than left to run out.
        release: bool,
    },
}

/// A finding on its way to be answered.
pub(super) struct Found {
    pub(super) finding: Finding,
    /// The descendants of its process.
    pub(super) descendants: Vec<ProcessId>,
    /// What was begun for it on the thread that reads events.
    pub(super) strike: Option<Strike>,
}

/// What the thread works with.
pub(super) struct Answers {
    pub(super) responder: Responder,
    pub(super) store: Writer,
    pub(super) alerts: Alerts,
    /// The process table.
    pub(super) processes: Processes,
    /// How many verdicts are in force, for the status.
    pub(super) in_force: Arc<AtomicU64>,
    /// What became of answers, for the status.
    pub(super) counts: Arc<ActionCounts>,
    /// Beats while the thread goes round.
    pub(super) pulse: Pulse,
    /// When to ask the process table again for descendants of isolated processes.
    pub(super) look_again: Option<Instant>,
}

/// The thread, and the way to it.
pub(super) struct AnswersThread {
    thread: JoinHandle<()>,
    messages: Sender<Message>,
}

impl Answers {
    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<(Sender<Message>, AnswersThread)> {
        let (messages, queue) = bounded(QUEUE);
        let thread =
            std::thread::Builder::new().name("openclaw-answers".into()).spawn(move || self.run(&queue))?;
        Ok((messages.clone(), AnswersThread { thread, messages }))
    }

    fn run(mut self, queue: &Receiver<Message>) {
        let mut due = Instant::now();
        loop {
            self.pulse.beat();
            self.in_force.store(self.responder.in_force(), Relaxed);
            match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Message::Finding(found)) => self.answer(*found),
                Ok(Message::Request(request)) => request(&mut self),
                Ok(Message::Finish { release }) => return self.finish(release),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(false),
            }
            let extended = self.responder.take_extended();
            if !extended.is_empty() {
                self.store.quietly(None, extended);
            }
            let soonest = Instant::now() + self.responder.next_tick().unwrap_or(IDLE).min(IDLE);
            // A burst of findings must not make it look through the isolated trees after each of them.
            if Instant::now() >= due {
                self.look_after_verdicts();
                due = Instant::now() + self.responder.next_tick().unwrap_or(IDLE).min(IDLE);
            } else {
                due = due.min(soonest);
            }
        }
    }

    fn look_after_verdicts(&mut self) {
        let records = self.responder.tick();
        self.tell_all(records);
        self.tell_of_trips();
        for message in self.responder.take_alarms() {
            let now = time::now();
            let id = format!("{:x}-{DETACHED}", now.0);
            let facts = serde_json::json!({ "reason": message });
            self.tell_finding(Finding::of_sensor(id, DETACHED, now, &message, &facts), Vec::new());
        }
        if self.look_again.take_if(|at| Instant::now() >= *at).is_some() {
            self.responder.look_again(&Asked(&self.processes, &self.pulse));
        }
    }

    /// Isolates a process tree, a container or the host because a person asks for it.
    ///
    /// # Errors
    /// What is asked for is neither a process nor the host.
    pub(super) fn isolate(&mut self, request: Isolate) -> Result<ActionRecord> {
        let Isolate { pid, scope, reason, duration } = request;
        match (scope, pid) {
            (Scope::Host, None) => Ok(self.responder.isolate_host(reason, duration)),
            (Scope::Tree | Scope::Container, Some(pid)) => {
                self.look_again = Some(Instant::now() + LOOK_AGAIN);
                Ok(self.responder.isolate(pid, scope, reason, duration, &Asked(&self.processes, &self.pulse)))
            }
            (Scope::Host, Some(_)) => {
                bail!("a process was named where the host is to be isolated: name one of both")
            }
            (_, None) => bail!("nothing was named that is to be isolated: name a process, or the host"),
            (Scope::Process, Some(pid)) => {
                bail!("process {pid} cannot be isolated without its descendants: ask for its tree")
            }
        }
    }

    fn answer(&mut self, Found { finding, descendants, strike }: Found) {
        let actions = self.responder.on_finding(&finding, strike, &Tree { descendants });
        self.tell_of_trips();
        actions.iter().for_each(|action| self.counts.count(action));
        let reaches_trees = |action: &ActionRecord| {
            matches!(action.kind, ActionKind::Isolate | ActionKind::Suspend | ActionKind::Kill)
                && matches!(action.outcome, Outcome::Begun | Outcome::Done)
        };
        if actions.iter().any(reaches_trees) {
            self.look_again.get_or_insert_with(|| Instant::now() + LOOK_AGAIN);
        }
        if finding.quiet {
            return self.answer_quietly(finding, actions);
        }
        self.tell_finding(finding, actions);
    }

    fn tell_finding(&mut self, finding: Finding, actions: Vec<ActionRecord>) {
        tracing::info!(
            id = finding.id,
            rule = finding.rule,
            severity = finding.severity.name(),
            "{}",
            mask::message(&finding.message, &finding.event)
        );
        // In one, so that none is kept without the others. What was refused is told with the finding, and what was done
        // before was told then.
        let of_finding = self.alerts.of_finding(&finding, &actions);
        let news = actions.iter().filter(|action| is_news(action));
        let of_actions = news.filter_map(|action| self.alerts.of_action(action));
        let alerts = of_finding.into_iter().chain(of_actions).collect();
        self.store.finding(finding, actions, alerts);
    }

    /// Says it loudly when the breaker has cut something off.
    fn tell_of_trips(&mut self) {
        for trip in self.responder.policy().take_trips() {
            let of = trip.rule.as_ref().map_or("every rule".to_owned(), |rule| format!("the rule {rule}"));
            let message = format!(
                "the breaker has cut off the answers of {of}: {}; look at what it answered, then run `{}`",
                trip.reason,
                trip.rearm()
            );
            let id = format!("{:x}-breaker", trip.at.0);
            let finding = Finding::of_sensor(id, BREAKER, trip.at, &message, &trip);
            self.tell_finding(Finding { severity: Severity::Critical, ..finding }, Vec::new());
        }
    }

    /// Keeps a finding that is not to be told, where something was done for it, which is told by itself: what an earlier
    /// answer does already was told with that one, and that nothing can be done was told with the finding before.
    fn answer_quietly(&mut self, finding: Finding, actions: Vec<ActionRecord>) {
        if !actions.iter().any(is_news) {
            return;
        }
        let (news, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(is_news);
        self.store.quietly(Some(finding), others);
        news.into_iter().for_each(|action| self.announce(action));
    }

    /// Tells of an action that no finding tells of: a person's, or one that has ended.
    pub(super) fn tell(&mut self, record: ActionRecord) {
        self.counts.count(&record);
        self.announce(record);
    }

    /// Tells of many, and gives the disk the time that it takes to write them.
    pub(super) fn tell_all(&mut self, records: Vec<ActionRecord>) {
        let end = Instant::now() + WRITING;
        for record in records {
            self.store.wait_for_room(end);
            self.tell(record);
        }
    }

    /// Tells of one among many that a person asks for: no alert each.
    pub(super) fn note(&mut self, record: ActionRecord) {
        self.counts.count(&record);
        self.write_down(record, None);
    }

    fn announce(&mut self, record: ActionRecord) {
        let alert = self.alerts.of_action(&record);
        self.write_down(record, alert);
    }

    fn write_down(&mut self, record: ActionRecord, alert: Option<Outgoing>) {
        tracing::info!(id = record.id, "{}", mask::text(&crate::output::sentence(&record)));
        self.store.action(record, alert);
    }

    fn finish(mut self, release: bool) {
        match self.responder.shutdown(release) {
            Ok(ended) => ended.into_iter().for_each(|record| self.tell(record)),
            Err(error) => tracing::error!("verdicts could not be taken back: {error:#}"),
        }
    }
}

impl AnswersThread {
    /// Whether the thread has ended, which it does by itself only when it panics.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Answers what is queued, and ends.
    ///
    /// # Errors
    /// When the thread has panicked. Verdicts in force end by themselves.
    pub(super) fn finish(self, release: bool) -> Result<()> {
        // An error says that the thread has ended already, which joining shows.
        let _ = self.messages.send(Message::Finish { release });
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread that answers has panicked: see the log"))
    }
}

/// Whether something was done or tried that was not in force before.
fn is_news(action: &ActionRecord) -> bool {
    matches!(action.outcome, Outcome::Begun | Outcome::Done | Outcome::Failed) && action.verdict.is_none()
}

/// The process table, asked when it is needed. Each question may take its time, and is a sign of life.
struct Asked<'a>(&'a Processes, &'a Pulse);

impl ProcessLookup for Asked<'_> {
    fn descendants(&self, of: ProcessId) -> Vec<ProcessId> {
        self.1.beat();
        self.0.descendants(of)
    }

    fn name(&self, _of: ProcessId) -> Option<String> {
        None
    }
}

/// The process tree as the sensor's thread knew it when the rule fired.
struct Tree {
    descendants: Vec<ProcessId>,
}

impl ProcessLookup for Tree {
    fn descendants(&self, _of: ProcessId) -> Vec<ProcessId> {
        self.descendants.clone()
    }

    fn name(&self, _of: ProcessId) -> Option<String> {
        None
    }
}
