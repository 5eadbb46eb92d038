//! What people ask of the running agent over its socket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openclaw_detect::{Changes, EngineStats, EventKind, Mode, Timestamp};

use super::answers::{Answers, Message};
use super::counts::ActionCounts;
use super::losses::LossCounters;
use super::own;
use super::reload::Reload;
use super::rules::Rules;
use super::stdout::Stdout;
use crate::alert::Alerts;
use crate::api::protocol::{Block, Isolate, Reloaded};
use crate::api::status::{EventCount, Figures, RuleMemory, Sampled, Status};
use crate::api::{self, Refusal, Subscribers, Subscription};
use crate::logs::LogCounts;
use crate::output::{Format, time};
use crate::own_log::Ring;
use crate::pipeline::Snapshot;
use crate::queue::Sender;
use crate::respond::{self, ActionRecord, Modes, Network, Policy, default_bpffs, program_costs};
use crate::store::{Store, StoreError, Writer};

/// How long a request may wait for the thread that answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The sensor's thread says how it does about once a second: after so long it stands still.
const STALLED: Duration = Duration::from_secs(30);

/// Most actions that are listed from the store.
const LIMIT: u32 = 1000;

/// The agent, as its socket sees it.
pub(super) struct Control {
    pub(super) started: Instant,
    pub(super) host: String,
    pub(super) policy: Arc<Policy>,
    pub(super) rules: Arc<Rules>,
    pub(super) reload: Arc<Reload>,
    pub(super) snapshot: Arc<Mutex<Snapshot>>,
    pub(super) answers: Sender<Message>,
    pub(super) losses: Arc<LossCounters>,
    pub(super) logs: LogCounts,
    pub(super) own_log: Arc<Ring>,
    pub(super) in_force: Arc<AtomicU64>,
    pub(super) counts: Arc<ActionCounts>,
    pub(super) alerts: Alerts,
    pub(super) store: Writer,
    pub(super) store_path: PathBuf,
    pub(super) stdout: Stdout,
    pub(super) subscribers: Arc<Subscribers>,
}

impl Control {
    /// Has the thread that answers do something, and waits for what comes of it.
    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Answers) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, answer) = sync_channel(1);
        let message = Message::Request(Box::new(move |answers| {
            // Nobody waits any more: the request was carried out all the same.
            let _ = reply.send(request(answers));
        }));
        self.answers
            .try_send(message)
            .map_err(|_| Refusal("the agent has too much to answer: try again in a moment".into()))?;
        answer
            .recv_timeout(PATIENCE)
            .map_err(|_| Refusal("the agent did not answer in time: see its log".into()))
    }

    /// As `ask`, for what ends in an action that is to be told.
    fn act(
        &self,
        request: impl FnOnce(&mut Answers) -> anyhow::Result<ActionRecord> + Send + 'static,
    ) -> Result<ActionRecord, Refusal> {
        self.act_and(Answers::tell, request)
    }

    /// As `act`, and tells of the action so.
    fn act_and(
        &self,
        tell: fn(&mut Answers, ActionRecord),
        request: impl FnOnce(&mut Answers) -> anyhow::Result<ActionRecord> + Send + 'static,
    ) -> Result<ActionRecord, Refusal> {
        self.ask(move |answers| {
            let record = request(answers)?;
            tell(answers, record.clone());
            Ok(record)
        })?
        .map_err(refusal)
    }

    /// Has the store's thread do something, and waits for what comes of it.
    fn ask_store<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let answer = self.store.ask_and_wait(question);
        answer
            .ok_or_else(|| Refusal("the store has too much to write: try again in a moment".to_owned()))?
            .map_err(|error| Refusal(error.to_string()))
    }

    /// The rules whose alerts are muted, and until when; none where the store has no time to say it.
    fn muted(&self) -> BTreeMap<String, String> {
        let mutes = api::Control::mutes(self).unwrap_or_default().into_iter();
        mutes.map(|(rule, until)| (rule, time::rfc3339(until))).collect()
    }

    fn figures(&self, snapshot: &Snapshot) -> Figures {
        let queues = [
            ("findings", self.answers.waiting()),
            ("store", self.store.waiting()),
            ("stdout", self.stdout.waiting()),
            ("alerts", self.alerts.counts().queued),
        ];
        let EngineStats { active, remembered, suppressed, .. } = snapshot.rules;
        let counts = snapshot.counts;
        Figures {
            memory_bytes: own::resident_memory(),
            cpu_seconds: own::processor_time().as_secs_f64(),
            processes: snapshot.processes as u64,
            queues: queues.into_iter().map(|(name, waiting)| (name.to_owned(), waiting)).collect(),
            memory: RuleMemory { active: active as u64, remembered: remembered as u64, suppressed },
            rule_time: Sampled {
                samples: counts.sampled,
                seconds: Duration::from_nanos(counts.sampled_nanoseconds).as_secs_f64(),
            },
            programs: [snapshot.programs.clone(), program_costs(&default_bpffs())].concat(),
        }
    }
}

impl api::Control for Control {
    fn status(&self) -> Status {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let modes = self.policy.modes();
        let counts = snapshot.counts.events.into_iter().zip(snapshot.rates);
        let events: BTreeMap<String, EventCount> = EventKind::ALL
            .iter()
            .zip(counts)
            .map(|(kind, (total, per_second))| (kind.name().to_owned(), EventCount { total, per_second }))
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            host: self.host.clone(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            mode: modes.mode,
            hooks: snapshot.hooks.to_vec(),
            events,
            losses: self.losses.all(),
            logs: self.logs.get(),
            rules: self.rules.count(),
            warnings: self
                .rules
                .problem()
                .into_iter()
                .chain(self.reload.problem())
                .chain(self.alerts.problem())
                .chain(modes.warnings())
                .collect(),
            findings: snapshot.counts.findings,
            alerts: self.alerts.counts(),
            channels: self.alerts.channels(),
            muted: self.muted(),
            active_verdicts: self.in_force.load(Relaxed),
            actions: self.counts.read(),
            agent: self.figures(&snapshot),
        }
    }

    fn health(&self) -> Result<(), Refusal> {
        let told = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).told;
        match told {
            Some(told) if told.elapsed() < STALLED => Ok(()),
            Some(told) => {
                let seconds = told.elapsed().as_secs();
                Err(Refusal(format!("the sensor's thread has said nothing for {seconds} s")))
            }
            None => Err(Refusal("the sensor's thread has not begun".into())),
        }
    }

    fn block(&self, request: Block) -> Result<ActionRecord, Refusal> {
        let Block { network, reason, duration, among_many } = request;
        let tell = if among_many { Answers::note } else { Answers::tell };
        self.act_and(tell, move |answers| Ok(answers.responder.block(network, reason, duration)))
    }

    fn unblock(&self, network: Network) -> Result<ActionRecord, Refusal> {
        self.act(move |answers| answers.responder.unblock(network))
    }

    fn isolate(&self, request: Isolate) -> Result<ActionRecord, Refusal> {
        self.act(move |answers| answers.isolate(request))
    }

    fn release(&self, id: &str) -> Result<ActionRecord, Refusal> {
        let id = id.to_owned();
        self.act(move |answers| {
            let id = whole_id(&answers.responder, &id)?;
            answers.responder.release(&id)
        })
    }

    fn actions(&self, all: bool) -> Result<Vec<ActionRecord>, Refusal> {
        if !all {
            return self.ask(|answers| answers.responder.live().into_iter().rev().collect());
        }
        let store = Store::open_read_only(&self.store_path).map_err(|error| Refusal(error.to_string()))?;
        store.actions(LIMIT).map_err(|error| Refusal(error.to_string()))
    }

    fn undo(&self, id: &str) -> Result<ActionRecord, Refusal> {
        let id = id.to_owned();
        self.act(move |answers| {
            let id = whole_id(&answers.responder, &id)?;
            answers.responder.undo(&id)
        })
    }

    fn undo_all(&self) -> Result<Vec<ActionRecord>, Refusal> {
        self.ask(|answers| {
            let ended = answers.responder.undo_all()?;
            answers.tell_all(ended.clone());
            Ok(ended)
        })?
        .map_err(refusal)
    }

    fn modes(&self) -> Modes {
        self.policy.modes()
    }

    fn switch_mode(&self, rule: Option<&str>, mode: Mode) -> Result<Modes, Refusal> {
        if let Some(rule) = rule
            && !self.rules.has(rule)
        {
            return Err(Refusal(format!("no rule {rule} runs: `openclaw rules list` shows those that do")));
        }
        self.policy.switch(rule, mode);
        tracing::warn!(rule, mode = mode.name(), "the mode of answers was switched by hand");
        if mode == Mode::Enforce && self.ask(|answers| answers.responder.get_ready()).is_err() {
            tracing::warn!("the first verdict will take longer to make: there is much to answer");
        }
        Ok(self.policy.modes())
    }

    fn switch_back(&self) -> Modes {
        self.policy.switch_back();
        tracing::warn!("the modes of answers are as they are configured again");
        self.policy.modes()
    }

    fn rearm(&self, rule: Option<&str>) -> Result<Modes, Refusal> {
        if self.policy.rearm(rule) == 0 {
            let what = rule.map_or("no rule".to_owned(), |rule| format!("not the rule {rule}"));
            let modes = "`openclaw response mode` shows what it has cut off";
            return Err(Refusal(format!("the breaker has cut off {what}: {modes}")));
        }
        tracing::warn!(rule, "answers that the breaker had cut off are carried out again");
        Ok(self.policy.modes())
    }

    fn reload_rules(&self) -> Result<(u64, Changes), Refusal> {
        self.rules.reload().map_err(refusal)
    }

    fn reload(&self) -> Result<Reloaded, Refusal> {
        self.reload.run().map_err(refusal)
    }

    fn retry_alerts(&self, id: Option<&str>) -> Result<u64, Refusal> {
        let what = id.map_or("no alert".to_owned(), |id| format!("no alert {id}"));
        let (id, known) = (id.map(str::to_owned), self.alerts.names());
        let channels = self.ask_store(move |store| store.retry(id.as_deref(), &known, time::now()))?;
        if channels.is_empty() {
            return Err(Refusal(format!(
                "{what} was given up: `openclaw alerts list --failed` shows those that were"
            )));
        }
        self.alerts.look_again(&channels);
        Ok(channels.len() as u64)
    }

    fn mute(&self, rule: &str, duration: Option<Duration>) -> Result<BTreeMap<String, Timestamp>, Refusal> {
        let name = rule.to_owned();
        let Some(duration) = duration else {
            if !self.ask_store(move |store| store.unmute(&name))? {
                return Err(Refusal(format!(
                    "the rule {rule} is not muted: `openclaw alerts mutes` shows those that are"
                )));
            }
            tracing::info!(rule, "alerts are sent again");
            return self.mutes();
        };
        if !self.rules.has(rule) {
            return Err(Refusal(format!("no rule {rule} runs: `openclaw rules list` shows those that do")));
        }
        let until = time::after(time::now(), duration);
        self.ask_store(move |store| store.mute(&name, until))?;
        tracing::warn!(rule, until = time::rfc3339(until), "alerts are muted by hand");
        self.mutes()
    }

    fn mutes(&self) -> Result<BTreeMap<String, Timestamp>, Refusal> {
        self.ask_store(|store| store.mutes(time::now()))
    }

    fn subscribe(&self, condition: Option<&str>, format: Format) -> Result<Subscription, Refusal> {
        self.subscribers.subscribe(condition, format)
    }

    fn own_log(&self) -> &Ring {
        &self.own_log
    }
}

/// The id of the one verdict in force whose id begins so.
fn whole_id(responder: &respond::Responder, beginning: &str) -> anyhow::Result<String> {
    let live: BTreeSet<String> = responder.live().into_iter().map(|record| record.id).collect();
    // A later answer on the same target stands for the verdict that does what it asks for.
    let by_answer = responder.actions().filter(|record| record.id.starts_with(beginning));
    let by_answer = by_answer.filter_map(|record| record.verdict.clone()).filter(|id| live.contains(id));
    let by_verdict = live.iter().filter(|id| id.starts_with(beginning)).cloned();
    let ids: BTreeSet<String> = by_verdict.chain(by_answer).collect();
    let mut ids = ids.into_iter();
    match (ids.next(), ids.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => {
            anyhow::bail!("more than one answer's id begins with {beginning}: write more of it")
        }
        (None, _) => {
            anyhow::bail!("no answer {beginning} is in force: `openclaw response list` shows those that are")
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be named in `map_err`")]
fn refusal(error: anyhow::Error) -> Refusal {
    Refusal(format!("{error:#}"))
}
