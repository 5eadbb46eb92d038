//! The thread itself: its loop, what it does by the clock, and how it stops.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use openclaw_common::verdict::TICK;
use openclaw_detect::interest::ReadInterest;
use openclaw_detect::{Engine, EngineStats, EventKind, KindSet, ProcessId};
use serde::{Deserialize, Serialize};

use super::priority;
use super::questions::{Bell, Question, Questions};
use super::stage::{Counts, Outlet, Stage};
use super::wait::{Alarm, Found, Promises};
use super::watch;
use crate::capability::Capability;
use crate::config::LogSource;
use crate::enrich::{Clock, Environment, HostFacts, Listing, Resolver};
use crate::hash::{Hashes, Misses};
use crate::kernel::layout::Resolved;
use crate::logs::{LogCounts, Logs, Positions};
use crate::pulse::Pulse;
use crate::sensor::{LoadError, Losses, ProgramCost, RingSizes, Rings, Sensor, Witness};

/// How long the thread copies what rules remember before it looks at the rings again.
const MOMENT: Duration = Duration::from_millis(2);

/// How often the bytes of open connections are sampled.
const SAMPLE: Duration = Duration::from_millis(500);

/// How often they are sampled once the network has been [`QUIET`]: the walk over the kernel's tables is what an idle
/// agent costs most.
const SAMPLE_IN_QUIET: Duration = Duration::from_secs(3);

/// So long without any record of the network, and it is quiet.
const QUIET: Duration = Duration::from_secs(10);

/// How often the snapshot is renewed and old processes are forgotten.
const TIDY: Duration = Duration::from_secs(1);

/// How often watched paths are looked up again: files that were replaced have other inodes.
const WATCH: Duration = Duration::from_secs(5);

/// Snapshots over which rates are taken: ten seconds.
const RATE_SAMPLES: usize = 10;

/// Records of a ring that are taken before something else gets its turn: a storm in one must not keep the
/// thread from the other, from the clock, or from stopping.
const BATCH: usize = 4096;

/// Kinds that the kernel is asked for only where a rule or a follower of events wants them.
const ON_DEMAND: KindSet = KindSet::of(&[
    EventKind::FileAccess,
    EventKind::FileAttempt,
    EventKind::NetworkConnection,
    EventKind::DnsQuery,
    EventKind::MountChange,
    EventKind::ModuleLoad,
    EventKind::ProcessTrace,
    EventKind::NamespaceChange,
    EventKind::BpfLoad,
    EventKind::IoUring,
]);

/// What logs tell that is taken in before the rings get their turn.
const LOG_BATCH: usize = 1024;

/// How long the process table stays unmended while events are lost.
const MEND_AT_LAST: Duration = Duration::from_secs(30);

/// What the thread needs to begin.
#[derive(Debug)]
pub struct Settings {
    /// Where the kernel's fields lie.
    pub layout: Resolved,
    /// How much the rings hold.
    pub rings: RingSizes,
    /// The rules.
    pub engine: Engine,
    /// What is the same in every event.
    pub host: HostFacts,
    /// The variables of environments that are kept.
    pub environment: Environment,
    /// Bytes of the largest executable whose SHA-256 is taken; 0 for none at all.
    pub hash_limit: u64,
    /// How long after a record for which answers wait the kernel does not wake the thread for another.
    pub wake_interval: Duration,
    /// Who asks the runtimes about containers.
    pub containers: Resolver,
    /// The logs that are followed.
    pub logs: LogSettings,
    /// Where the signal that ends the agent is remembered, if anywhere: see [`Witness::path`].
    pub witness: Option<PathBuf>,
    /// Whether every file that is read is of interest, and not those alone that the rules name.
    pub all_reads: bool,
}

/// What is to be known of logs.
#[derive(Debug, Default)]
pub struct LogSettings {
    /// The logs.
    pub sources: Vec<LogSource>,
    /// How far they have been read.
    pub positions: Positions,
    /// Where it is told how it goes.
    pub counts: LogCounts,
}

/// What the thread knows, as of one moment, to go on with after a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Remembered {
    /// What the rules remember.
    pub rules: openclaw_detect::Snapshot,
    /// How far logs have been read: what the rules remember is of all lines before, and of none after.
    #[serde(default)]
    pub logs: Positions,
}

/// What the thread tells of itself, about once a second.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When it was told; none before the thread runs.
    pub told: Option<Instant>,
    /// What went through.
    pub counts: Counts,
    /// What was lost.
    pub losses: Losses,
    /// Why programs have no hash.
    pub hash_misses: Misses,
    /// Events a second by kind, over the last ten seconds.
    pub rates: [f64; EventKind::ALL.len()],
    /// Processes in the table.
    pub processes: usize,
    /// What the rules remember, and what they had to forget.
    pub rules: EngineStats,
    /// The hooks, as they are attached.
    pub hooks: Arc<[Capability]>,
    /// How large the kernel programs are, and what they have cost where the kernel counts it.
    pub programs: Vec<ProgramCost>,
}

/// The running thread.
#[derive(Debug)]
pub struct Handle {
    stop: Arc<AtomicBool>,
    bell: Bell,
    snapshot: Arc<Mutex<Snapshot>>,
    pulse: Pulse,
    thread: JoinHandle<Remembered>,
}

impl Handle {
    /// What the thread told last.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A way to the snapshot that outlives this handle.
    pub fn snapshots(&self) -> Arc<Mutex<Snapshot>> {
        Arc::clone(&self.snapshot)
    }

    /// The thread's pulse.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Whether the thread has ended, which it does by itself only when it panics.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Detaches the programs, takes in what the rings hold, and ends the thread. Returns what is to be remembered.
    ///
    /// # Errors
    /// When the thread has panicked.
    pub fn stop(self) -> io::Result<Remembered> {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
        self.thread.join().map_err(|_| io::Error::other("the sensor's thread has panicked"))
    }
}

/// Loads the sensor, fills the process table, and starts the thread. When this returns, everything from now on
/// is seen.
///
/// # Errors
/// When no hook could be attached.
pub fn start<O>(settings: Settings, questions: Questions, outlet: O) -> Result<Handle, LoadError>
where
    O: Outlet + Send + 'static,
{
    let (sensor, rings) = Sensor::load(&settings.layout, settings.rings, settings.wake_interval)?;
    if let Some(blindness) = sensor.blindness() {
        return Err(blindness);
    }
    let alarm = Alarm::new(
        &[rings.process.as_fd(), rings.network.as_fd(), rings.file.as_fd(), questions.bell.as_fd()],
        settings.containers.bell(),
    );
    let bell = questions.bell.clone();
    let mut pipeline = Pipeline {
        sensor,
        rings,
        wake_interval: settings.wake_interval,
        alarm: alarm
            .map_err(|error| LoadError::NoHook(format!("the rings cannot be waited for: {error}")))?,
        reads: if settings.all_reads { ReadInterest::All } else { settings.engine.interest().reads },
        kinds: settings.engine.interest().kinds,
        stage: Stage::new(settings.engine, settings.host).with_containers(settings.containers),
        outlet,
        questions,
        asked: KindSet::NONE,
        process_seen: 0,
        network_seen: Instant::now(),
        losses: Losses::default(),
        to_mend: None,
        listing: None,
        discovered: None,
        history: VecDeque::from([(Instant::now(), Counts::default())]),
        fields: settings.layout.capability(),
        hooks: Arc::default(),
        witness: None,
        snapshot: Arc::default(),
        keeping: None,
        to_keep: None,
        logs: None,
    };
    pipeline.stage.table_mut().keep_environment(settings.environment);
    if settings.hash_limit > 0 {
        let bell = bell.clone();
        match Hashes::start(settings.hash_limit, move || bell.ring()) {
            Ok(hashes) => pipeline.stage.hash_with(hashes),
            Err(error) => tracing::error!(%error, "no program is hashed: the thread cannot be started"),
        }
    }
    pipeline.begin()?;
    let witness = settings.witness.map(|path| pipeline.remember_the_end(path));
    pipeline.set_hooks(witness);
    let (_, programs) = pipeline.sensor.figures();
    pipeline.tell_snapshot(programs);
    pipeline.follow_logs(settings.logs);
    let (stop, snapshot) = (Arc::new(AtomicBool::new(false)), Arc::clone(&pipeline.snapshot));
    let stopping = Arc::clone(&stop);
    let pulse = Pulse::default();
    let beating = pulse.clone();
    let thread = std::thread::Builder::new()
        .name("openclaw-sensor".into())
        .spawn(move || {
            pipeline.go_first();
            pipeline.run(&stopping, &beating)
        })
        .map_err(|error| LoadError::NoHook(error.to_string()))?;
    Ok(Handle { stop, bell, snapshot, pulse, thread })
}

struct Pipeline<O> {
    sensor: Sensor,
    rings: Rings,
    alarm: Alarm,
    wake_interval: Duration,
    stage: Stage,
    outlet: O,
    questions: Questions,
    reads: ReadInterest,
    /// Kinds that the rules need.
    kinds: KindSet,
    /// Kinds that the kernel was asked for.
    asked: KindSet,
    /// Up to when the process ring has been read, nanoseconds since boot.
    process_seen: u64,
    /// When the network ring last held something.
    network_seen: Instant,
    losses: Losses,
    /// Since when the process table may be wrong, as events were lost.
    to_mend: Option<Instant>,
    /// By what it is to be mended.
    listing: Option<Listing>,
    /// Who was found when it was mended last, and when that was.
    discovered: Option<(u64, Vec<ProcessId>)>,
    /// Counts of the last seconds.
    history: VecDeque<(Instant, Counts)>,
    /// Whether the kernel's fields are known.
    fields: Capability,
    hooks: Arc<[Capability]>,
    /// Dropped, and so unpinned, when the thread ends.
    witness: Option<Witness>,
    snapshot: Arc<Mutex<Snapshot>>,
    /// What the rules remember, on its way to who asked for it.
    keeping: Option<Keeping>,
    /// Who wants to have that as soon as it is as of one position in each log.
    to_keep: Option<SyncSender<Remembered>>,
    /// The thread that reads logs.
    logs: Option<Logs>,
}

/// A snapshot that is made part by part.
struct Keeping {
    remembered: Remembered,
    /// The number of the next part.
    next: usize,
    answer: SyncSender<Remembered>,
}

impl<O: Outlet> Pipeline<O> {
    fn begin(&mut self) -> Result<(), LoadError> {
        self.ask_for_kinds()?;
        self.ask_for_reads()?;
        let listed = self.list_processes().map(|listing| self.stage.table_mut().take_in(listing));
        self.stage.know_containers();
        // What happened since the hooks were attached is told before what was there is taken as known.
        while self.drain_processes().processes {}
        match listed {
            Ok(ids) => ids.into_iter().for_each(|id| self.stage.discover(id, false, &mut self.outlet)),
            Err(error) => {
                tracing::warn!(%error, "processes that are older than the agent are known from /proc only as they act");
            }
        }
        if let Err(error) = self.sensor.find_connections() {
            tracing::warn!(%error, "connections that are older than the agent are not counted");
        }
        Ok(())
    }

    /// Tells of the signal that ended the last agent, and has the one that ends this agent remembered. Returns whether it is.
    fn remember_the_end(&mut self, path: PathBuf) -> Capability {
        let (before, pinned) = Witness::take_over(path.clone(), &self.sensor);
        if let Some(record) = before {
            self.stage.signalled(&record, &mut self.outlet);
        }
        let capability = Witness::capability(&path, &pinned);
        self.witness = pinned.ok();
        capability
    }

    /// Tells how the hooks are by now, and what is not the sensor's.
    fn set_hooks(&mut self, witness: Option<Capability>) {
        let fields = std::iter::once(&self.fields);
        self.hooks = fields.chain(self.sensor.hooks()).cloned().chain(witness).collect();
    }

    /// Follows logs from now on.
    fn follow_logs(&mut self, LogSettings { sources, positions, counts }: LogSettings) {
        if sources.is_empty() {
            return;
        }
        let bell = self.questions.bell.clone();
        match Logs::start(&sources, &positions, counts, move || bell.ring()) {
            Ok(logs) => self.logs = Some(logs),
            Err(error) => tracing::error!(%error, "no log is read: the thread cannot be started"),
        }
    }

    /// Takes in what logs tell. Whether there may be more. Nothing is taken while what the rules remember is being copied, and
    /// nothing begun when it is to be: the copy is to be as of one position in each log.
    fn take_in_logs(&mut self) -> bool {
        let Some(logs) = self.logs.as_mut().filter(|_| self.keeping.is_none()) else { return false };
        let (stage, outlet) = (&mut self.stage, &mut self.outlet);
        let more = logs.take(LOG_BATCH, self.to_keep.is_none(), |entry| stage.logged(entry, outlet));
        if !logs.is_within_batch()
            && let Some(answer) = self.to_keep.take()
        {
            self.begin_to_keep(answer);
        }
        more
    }

    /// Begins with a copy of what the rules remember.
    fn begin_to_keep(&mut self, answer: SyncSender<Remembered>) {
        let logs = self.logs.as_ref().map(|logs| logs.positions().clone()).unwrap_or_default();
        let remembered = Remembered { rules: Default::default(), logs };
        self.keeping = Some(Keeping { remembered, next: 0, answer });
    }

    /// Where answers wait for this thread, it goes before others.
    fn go_first(&self) {
        if self.wake_interval.is_zero()
            && let Err(error) = priority::go_first()
        {
            tracing::warn!("answers take longer while the machine is busy: {error}");
        }
    }

    fn run(mut self, stop: &AtomicBool, pulse: &Pulse) -> Remembered {
        let mut due = Due::new();
        let mut promises = Promises::new(self.wake_interval, Instant::now());
        while !stop.load(Ordering::Acquire) {
            pulse.beat();
            let found = self.drain();
            promises.renew(found, Instant::now());
            self.stage.follow_containers(&mut self.outlet);
            self.answer_questions();
            self.keep_on();
            let logged = self.take_in_logs();
            self.stage.take_hashes(&mut self.outlet);
            let quiet = self.network_seen.elapsed() >= QUIET;
            if due.sample.is_due(if quiet { SAMPLE_IN_QUIET } else { SAMPLE })
                && let Err(error) = self.sensor.sample_connections()
            {
                tracing::debug!(%error, "open connections could not be sampled");
            }
            if due.tidy.is_due(TIDY) {
                self.tidy();
            }
            if due.watch.is_due(WATCH) {
                self.report(|this| this.ask_for_reads());
            }
            self.report(|this| this.ask_for_kinds());
            if !found.more && !logged && self.keeping.is_none() {
                self.wait(promises.at_most(Instant::now()));
            }
        }
        // Detached first, so that the rings end somewhere.
        self.sensor.detach();
        while self.drain().anything() {}
        self.tidy();
        let (stage, outlet) = (&mut self.stage, &mut self.outlet);
        let logs = self.logs.take().map(|logs| logs.stop(|entry| stage.logged(entry, outlet)));
        let logs = logs.unwrap_or_default();
        Remembered { rules: self.stage.engine().snapshot(), logs }
    }

    fn wait(&self, at_most: Duration) {
        if self.alarm.wait(at_most)
            && let Some(containers) = self.stage.containers()
        {
            containers.hush();
        }
    }

    fn answer_questions(&mut self) {
        // Who asked may not wait any more: an answer that nobody takes is dropped.
        while let Some(question) = self.questions.next() {
            match question {
                Question::Descendants { of, answer } => {
                    let table = self.stage.table();
                    let same = |id: &ProcessId| id.start / TICK == of.start / TICK;
                    let known = table.get(of).map(|process| process.id);
                    let known = known.or_else(|| table.alive(of.pid).filter(same));
                    let descendants = known.map(|id| table.descendants(id)).unwrap_or_default();
                    let _ = answer.try_send(descendants);
                }
                Question::Replace { engine, wanted, answer } => {
                    if wanted.decide() {
                        self.keeping = None;
                        let before = self.replace_rules(*engine);
                        let _ = answer.try_send(Box::new(before));
                    }
                }
                Question::Remembered { answer } => {
                    match self.logs.as_ref().is_some_and(Logs::is_within_batch) {
                        true => self.to_keep = Some(answer),
                        false => self.begin_to_keep(answer),
                    }
                }
            }
        }
    }

    /// Goes on with a snapshot of what rules remember, for a moment: the rings fill meanwhile.
    fn keep_on(&mut self) {
        let Some(keeping) = &mut self.keeping else { return };
        let engine = self.stage.engine();
        let begun = Instant::now();
        while keeping.next < engine.snapshot_parts() {
            engine.add_to_snapshot(&mut keeping.remembered.rules, keeping.next);
            keeping.next += 1;
            if begun.elapsed() >= MOMENT {
                return;
            }
        }
        if let Some(Keeping { remembered, answer, .. }) = self.keeping.take() {
            let _ = answer.try_send(remembered);
        }
    }

    /// Goes on with other rules. What they are true of by now is taken as known, as at the start.
    fn replace_rules(&mut self, engine: Engine) -> Engine {
        let before = self.stage.replace_engine(engine);
        for id in self.stage.table().running_processes() {
            self.stage.discover(id, false, &mut self.outlet);
        }
        let interest = self.stage.engine().interest();
        (self.reads, self.kinds) = (interest.reads, interest.kinds);
        self.report(|this| this.ask_for_kinds());
        self.report(|this| this.ask_for_reads());
        before
    }

    fn report(&mut self, mut ask: impl FnMut(&mut Self) -> Result<(), LoadError>) {
        if let Err(error) = ask(self) {
            tracing::error!(%error, "the kernel programs could not be told what to watch");
        }
    }

    /// Takes in what the rings hold, up to a batch of each.
    fn drain(&mut self) -> Found {
        let mut found = self.drain_processes();
        let Rings { process, network, file } = &mut self.rings;
        for (ring, is_network) in [(network, true), (file, false)] {
            for taken in 1..=BATCH {
                let Some(record) = ring.next() else { break };
                if is_network && taken == 1 {
                    self.network_seen = Instant::now();
                }
                found.others = true;
                found.more |= taken == BATCH;
                // What happened to the process before this event comes first, from the process ring.
                if Stage::time_of(&record).is_some_and(|time| time > self.process_seen) {
                    let (until, processes) = catch_up(process, &mut self.stage, &mut self.outlet);
                    self.process_seen = until;
                    found.processes |= processes;
                }
                self.stage.handle(&record, &mut self.outlet);
            }
        }
        found
    }

    /// Takes in the process ring, up to a batch.
    fn drain_processes(&mut self) -> Found {
        let now = Clock::since_boot();
        let found = drain_ring(&mut self.rings.process, &mut self.stage, &mut self.outlet);
        // Less than a batch was all that there was, as nothing is.
        if !found.more {
            self.process_seen = now;
        }
        found
    }

    fn tidy(&mut self) {
        self.stage.tidy();
        let (losses, programs) = self.sensor.figures();
        let lost = losses.lost().saturating_sub(self.losses.lost());
        if lost > 0 {
            tracing::error!(lost, reasons = ?losses.named(), "events were lost");
        }
        // Lost files leave nothing to be mended.
        let unsettled = losses.unsettling() > self.losses.unsettling();
        let is_being_mended = self.to_mend.is_some() || self.listing.is_some();
        self.stage.settle_suspects(unsettled || is_being_mended, &mut self.outlet);
        if unsettled {
            self.to_mend.get_or_insert_with(Instant::now);
        }
        self.go_on_mending(unsettled);
        self.losses = losses;
        self.restore_hooks();
        self.tell_snapshot(programs);
    }

    /// Attaches again what somebody has detached, and tells of it.
    fn restore_hooks(&mut self) {
        let found = self.sensor.restore();
        for (program, failed) in &found {
            match failed {
                None => tracing::warn!(program, "somebody has detached a program: it is attached again"),
                Some(reason) => {
                    tracing::error!(
                        program,
                        reason,
                        "somebody has detached a program, and it cannot be attached again"
                    );
                    self.stage.tell_of_blindness(program, reason, &mut self.outlet);
                }
            }
        }
        if found.iter().any(|(_, failed)| failed.is_some()) {
            let witness = self.hooks.get(1 + self.sensor.hooks().len()).cloned();
            self.set_hooks(witness);
        }
        self.stage.detached(found.into_iter().map(|(program, _)| program), &mut self.outlet);
    }

    fn tell_snapshot(&mut self, programs: Vec<ProgramCost>) {
        let losses = self.losses;
        let counts = self.stage.counts();
        let rates = self.rates(counts);
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Snapshot {
            told: Some(Instant::now()),
            counts,
            losses,
            hash_misses: self.stage.hash_misses(),
            rates,
            processes: self.stage.table().len(),
            rules: self.stage.engine().stats(),
            hooks: Arc::clone(&self.hooks),
            programs,
        };
    }

    fn rates(&mut self, counts: Counts) -> [f64; EventKind::ALL.len()] {
        self.history.push_back((Instant::now(), counts));
        while self.history.len() > RATE_SAMPLES {
            self.history.pop_front();
        }
        let mut rates = [0.0; EventKind::ALL.len()];
        if let Some((since, before)) = self.history.front() {
            let seconds = since.elapsed().as_secs_f64().max(0.001);
            for (rate, (now, before)) in rates.iter_mut().zip(counts.events.iter().zip(before.events)) {
                *rate = now.saturating_sub(before) as f64 / seconds;
            }
        }
        rates
    }

    /// What is due of it, one step at a time: a list, the table made right by it, and the end of those of whom nothing more
    /// was told.
    fn go_on_mending(&mut self, unsettled: bool) {
        if let Some((_, ids)) = self.discovered.take_if(|(since, _)| self.process_seen > *since) {
            self.stage.table_mut().end_gone(&ids);
        }
        if let Some(listing) = self.listing.take_if(|listing| listing.is_settled(self.process_seen)) {
            self.mend(listing);
        }
        if self.listing.take_if(|listing| listing.is_old(Clock::since_boot())).is_some() {
            self.to_mend.get_or_insert_with(Instant::now);
        }
        // Not while events are being lost, since that would lose more; but not never either.
        let is_due = |since: Instant| !unsettled || since.elapsed() >= MEND_AT_LAST;
        if self.listing.is_none() && self.to_mend.is_some_and(is_due) {
            self.to_mend = None;
            self.begin_to_mend();
        }
    }

    /// Has the kernel list its processes, to mend the table after forks, execs or exits were lost. What the list shows may
    /// still be in the ring, and would be told twice: so it is compared with the table when the ring has been read.
    fn begin_to_mend(&mut self) {
        match self.list_processes() {
            Ok(listing) => self.listing = Some(listing),
            Err(error) => tracing::warn!(%error, "the process table could not be mended after a loss"),
        }
    }

    /// Makes the process table right again, and tells the rules of what they missed.
    fn mend(&mut self, listing: Listing) {
        let discovered = self.stage.table_mut().take_in(listing);
        tracing::info!(found = discovered.len(), "the process table was mended after a loss");
        discovered.iter().for_each(|id| self.stage.discover(*id, true, &mut self.outlet));
        self.discovered = Some((Clock::since_boot(), discovered));
        if let Err(error) = self.sensor.find_connections() {
            tracing::warn!(%error, "the table of connections could not be mended after a loss");
        }
    }

    /// The kernel's list of processes.
    fn list_processes(&mut self) -> io::Result<Listing> {
        let begun = Clock::since_boot();
        Ok(Listing::read(begun, &self.sensor.list_processes()?))
    }

    fn ask_for_kinds(&mut self) -> Result<(), LoadError> {
        let kinds = if self.outlet.wants_events() { KindSet::ALL } else { self.kinds };
        let needed = kinds.intersection(ON_DEMAND);
        if needed != self.asked {
            self.sensor.watch_kinds(needed)?;
            self.asked = needed;
        }
        Ok(())
    }

    fn ask_for_reads(&mut self) -> Result<(), LoadError> {
        self.sensor.watch_reads(watch::watches(&self.reads).as_deref())
    }
}

/// Takes in the process ring, up to a batch.
fn drain_ring(ring: &mut RingBuf<MapData>, stage: &mut Stage, outlet: &mut impl Outlet) -> Found {
    let mut found = Found::default();
    for taken in 1..=BATCH {
        let Some(record) = ring.next() else { break };
        (found.processes, found.more) = (true, taken == BATCH);
        stage.handle(&record, outlet);
    }
    found
}

/// Takes in what has come to the process ring until now, and returns when that is, in nanoseconds since boot, and
/// whether there was anything. What comes meanwhile is left there: a storm would keep this from ending.
fn catch_up(ring: &mut RingBuf<MapData>, stage: &mut Stage, outlet: &mut impl Outlet) -> (u64, bool) {
    let now = Clock::since_boot();
    let mut found = false;
    while let Some(record) = ring.next() {
        found = true;
        let is_new = Stage::time_of(&record).is_some_and(|time| time >= now);
        stage.handle(&record, outlet);
        if is_new {
            break;
        }
    }
    (now, found)
}

/// What the loop does by the clock.
struct Due {
    sample: Timer,
    tidy: Timer,
    watch: Timer,
}

impl Due {
    fn new() -> Self {
        let timer = || Timer(Instant::now());
        Due { sample: timer(), tidy: timer(), watch: timer() }
    }
}

struct Timer(Instant);

impl Timer {
    fn is_due(&mut self, every: Duration) -> bool {
        let due = self.0.elapsed() >= every;
        if due {
            self.0 = Instant::now();
        }
        due
    }
}
