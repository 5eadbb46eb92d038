//! The responder: takes findings and commands, keeps the verdicts that live, and ends them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aya::Ebpf;
use openclaw_common::Layout;
use openclaw_common::verdict::{Counter, TICK, Verdict};
use openclaw_detect::{Action, Finding, ProcessId, Scope, Severity};

use super::enforcer::{self, Enforcer};
use super::errand::{self, Errand, Errands};
use super::guard::{NetworkGuard, ProcessGuard};
use super::journal::Journal;
use super::keeper::{self, Keeper};
use super::kept::{Numbers, Subject, decode, encode, id};
use super::pins::{Hold, Pins};
use super::policy::{Permit, Policy};
use super::process::{self, Stat};
use super::stilled::Stilled;
use super::strike::{Strike, Striker};
use super::tree::{Shortfall, Tree};
use super::{
    ActionKind, ActionRecord, Network, Outcome, ProcessLookup, Rail, ResponseSettings, Target, attempt,
    cgroup, clock, stand_in,
};

mod answer;
mod effect;
mod errands;
mod host;
mod programs;
mod strikes;
mod takeover;

use strikes::Struck;
pub use takeover::undo_all;

/// How many past records are kept at hand; the store keeps them for longer.
const RECORDS: usize = 1000;

/// How often the sockets of isolated processes are looked at.
const SWEEP: Duration = Duration::from_millis(200);

/// How often expiries are looked at, at least.
const WATCH: Duration = Duration::from_secs(1);

/// Answers to findings and to what a person asks for.
///
/// Synchronous, and not to be shared: it belongs on a thread of its own, which calls [`Responder::tick`]
/// as often as [`Responder::next_tick`] says.
#[derive(Debug)]
pub struct Responder {
    settings: ResponseSettings,
    layout: Layout,
    policy: Arc<Policy>,
    networks: NetworkGuard,
    processes: ProcessGuard,
    /// Begins what is tried in the place of an answer that had no effect.
    striker: Striker,
    journal: Journal,
    /// Who stands still, and did so before.
    stilled: Stilled,
    keeper: Keeper,
    errands: Errands,
    numbers: Numbers,
    pins: Pins,
    /// Without it the pins are left alone.
    hold: Option<Hold>,
    /// Why there was none at the start.
    kept_out: Option<String>,
    /// Programs that are loaded, but not attached: the first verdict takes effect at once.
    spare: Option<Ebpf>,
    /// There while a verdict lives.
    enforcer: Option<Enforcer>,
    live: BTreeMap<u64, Live>,
    /// What is done to processes, by id.
    struck: BTreeMap<String, Struck>,
    past: VecDeque<ActionRecord>,
    uninherited: u64,
    /// When it is next to be asked which DNS servers isolation leaves open, in nanoseconds since boot.
    exceptions_due: u64,
    /// When it is next to be looked whether the programs are still attached, likewise.
    programs_due: u64,
    /// Whether they were not, and could not be attached anew.
    is_detached: bool,
    /// Whether a verdict failed by that since: it is judged again when they are.
    is_suspect: bool,
    /// Of which verdicts it was tried of late whether they hold, and when, likewise.
    tried: BTreeMap<u64, u64>,
    /// When it was tried of late to attach them anew, likewise.
    attached_anew: VecDeque<u64>,
    /// What somebody did to the programs, which nobody was told yet.
    alarms: Vec<String>,
    notices: Vec<String>,
    /// Records that the next tick returns.
    untold: Vec<ActionRecord>,
    /// Records of verdicts that last longer by now.
    extended: Vec<ActionRecord>,
}

/// A verdict in force.
#[derive(Debug)]
struct Live {
    record: ActionRecord,
    /// Nanoseconds since boot.
    expiry: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Block(Network),
    Isolate { root: ProcessId, tree: Tree, reported: Shortfall },
    IsolateHost,
}

impl What {
    /// What an earlier agent left.
    fn of(number: u64, subject: Subject, scope: Scope) -> What {
        match subject {
            Subject::Network(network) => What::Block(network),
            Subject::Host => What::IsolateHost,
            Subject::Process(root) => {
                let mut tree = Tree::left(number, scope);
                tree.expect(root.pid, root.start / TICK);
                What::Isolate { root, tree, reported: Shortfall::default() }
            }
        }
    }

    fn subject(&self) -> Subject {
        match self {
            What::Block(network) => Subject::Network(*network),
            What::Isolate { root, .. } => Subject::Process(*root),
            What::IsolateHost => Subject::Host,
        }
    }
}

/// Who asks, and for how long.
struct Origin<'a> {
    finding: Option<&'a Finding>,
    reason: Option<String>,
    duration: Duration,
    /// The id of the answer in whose place it is tried.
    escalates: Option<String>,
}

impl Responder {
    /// A responder, which takes over the verdicts that an earlier agent left and that are still in force.
    ///
    /// Works also where verdicts are impossible: each answer then fails, and says why. What went wrong with
    /// the earlier agent's verdicts is in [`Responder::notices`].
    pub fn new(settings: ResponseSettings, layout: Layout) -> Self {
        let policy = Arc::new(Policy::new(&settings));
        let processes = ProcessGuard::new(&settings);
        let (journal, stilled, numbers) =
            (Journal::new(&settings.state), Stilled::default(), Numbers::default());
        let striker = Striker::new(
            &settings,
            Arc::clone(&policy),
            processes.clone(),
            (journal.clone(), stilled.clone(), numbers.clone()),
        );
        let (networks, errands) = (NetworkGuard::new(&settings), Errands::new(settings.run_limit));
        let pins = Pins::new(&settings.bpffs);
        let mut responder = Responder {
            settings,
            layout,
            policy,
            networks,
            processes,
            striker,
            journal,
            stilled,
            keeper: Keeper::default(),
            errands,
            numbers,
            pins,
            hold: None,
            kept_out: None,
            spare: None,
            enforcer: None,
            live: BTreeMap::new(),
            struck: BTreeMap::new(),
            past: VecDeque::new(),
            uninherited: 0,
            exceptions_due: 0,
            programs_due: 0,
            tried: BTreeMap::new(),
            attached_anew: VecDeque::new(),
            alarms: Vec::new(),
            is_detached: false,
            is_suspect: false,
            notices: Vec::new(),
            untold: Vec::new(),
            extended: Vec::new(),
        };
        // Where nothing is mounted, nothing is pinned: that is made with the first verdict.
        if responder.pins.are_mounted()
            && let Err(error) = responder.take_hold()
        {
            let reason = format!("{error:#}");
            responder.notices.push(format!("verdicts in force are left alone: {reason}"));
            responder.kept_out = Some(reason);
        }
        if let Err(error) = responder.load_ahead() {
            responder.notices.push(format!("{error:#}"));
        }
        responder.take_over_strikes();
        responder
    }

    /// What decides whether answers are carried out.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// Who begins what ends or stops processes, on the thread that reads events.
    pub fn striker(&self) -> Striker {
        Striker::new(
            &self.settings,
            Arc::clone(&self.policy),
            self.processes.clone(),
            (self.journal.clone(), self.stilled.clone(), self.numbers.clone()),
        )
    }

    /// Gets ready for answers that may be carried out by now: the first one takes effect sooner.
    pub fn get_ready(&mut self) {
        if let Err(error) = self.load_ahead() {
            tracing::warn!("the first verdict will take longer to make: {error:#}");
        }
    }

    /// What somebody did to the programs that enforce, since that was asked last.
    pub fn take_alarms(&mut self) -> Vec<String> {
        std::mem::take(&mut self.alarms)
    }

    /// What a person should know about the start, in sentences.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Why no verdict is possible on this machine, where that is so.
    pub fn impediment(&self) -> Option<String> {
        self.no_scope().or_else(|| self.kept_out.clone())
    }

    fn no_scope(&self) -> Option<String> {
        cgroup::scope(self.settings.cgroup.as_deref()).err().map(|error| format!("{error:#}"))
    }

    /// Answers a finding: one record for each answer that its rule asks for, and for those that are tried in the place of
    /// one without effect. `strike` is what the thread that reads events has begun of it.
    pub fn on_finding(
        &mut self,
        finding: &Finding,
        strike: Option<Strike>,
        lookup: &dyn ProcessLookup,
    ) -> Vec<ActionRecord> {
        // What stands still, and is to end, comes first.
        let mut records: Vec<ActionRecord> =
            self.answer_strike(finding, strike, lookup).into_iter().collect();
        let isolates = self.settings.isolate_on_critical
            && finding.severity == Severity::Critical
            && finding.process.is_some()
            && !finding.actions.contains(&Action::Isolate);
        for action in finding.actions.iter().chain(isolates.then_some(&Action::Isolate)) {
            records.extend(self.answer(finding, *action, None, lookup));
        }
        // Not what could not even be tried: its reason is no process's doing.
        let has_no_effect =
            |record: &&ActionRecord| record.outcome == Outcome::Failed && record.done.is_some();
        let failed: Vec<ActionRecord> = records.iter().filter(has_no_effect).cloned().collect();
        for record in failed {
            records.extend(self.escalate(finding, &record, lookup));
        }
        records
    }

    /// Does what is not begun elsewhere.
    fn answer(
        &mut self,
        finding: &Finding,
        action: Action,
        escalates: Option<String>,
        lookup: &dyn ProcessLookup,
    ) -> Option<ActionRecord> {
        let duration = finding.response.duration().unwrap_or(self.settings.default_duration);
        let origin = Origin { finding: Some(finding), reason: None, duration, escalates };
        match action {
            Action::Block => Some(self.answer_block(finding.remote.map(Network::from), &origin)),
            Action::Isolate => Some(match finding.response.isolate {
                Scope::Host if finding.actions.contains(&action) || origin.escalates.is_some() => {
                    self.answer_isolate_host(&origin)
                }
                // The rule does not ask for it: `isolate_on_critical` does, of the process.
                Scope::Host => self.answer_isolate(finding.process, Scope::Tree, &origin, lookup),
                scope => self.answer_isolate(finding.process, scope, &origin, lookup),
            }),
            Action::Run => Some(self.answer_run(finding, &origin)),
            Action::Restart => Some(self.answer_restart(finding, &origin)),
            Action::Webhook => Some(self.answer_webhook(finding, &origin)),
            Action::Alert | Action::Suspend | Action::Kill => None,
        }
    }

    /// Tries what the rule allows in the place of an answer that had no effect, until something has.
    fn escalate(
        &mut self,
        finding: &Finding,
        failed: &ActionRecord,
        lookup: &dyn ProcessLookup,
    ) -> Vec<ActionRecord> {
        let mut records = Vec::new();
        let mut last = failed.clone();
        while last.outcome == Outcome::Failed
            && let Some(next) = finding.response.after(last.kind.action())
            && !finding.actions.contains(&next)
        {
            let record = match next {
                Action::Suspend | Action::Kill => {
                    let descendants = finding.process.map(|id| lookup.descendants(id)).unwrap_or_default();
                    let strike = self.striker.strike(finding, next, &descendants, Some(&last.id));
                    self.follow_up(strike, finding)
                }
                _ => match self.answer(finding, next, Some(last.id.clone()), lookup) {
                    Some(record) => record,
                    None => break,
                },
            };
            last = record.clone();
            records.push(record);
        }
        records
    }

    /// Blocks a network because a person asks for it.
    pub fn block(
        &mut self,
        network: Network,
        reason: Option<String>,
        duration: Option<Duration>,
    ) -> ActionRecord {
        let duration = duration.unwrap_or(self.settings.default_duration);
        self.answer_block(Some(network), &Origin { finding: None, reason, duration, escalates: None })
    }

    /// Isolates a process tree, or all of its container, because a person asks for it.
    pub fn isolate(
        &mut self,
        pid: u32,
        scope: Scope,
        reason: Option<String>,
        duration: Option<Duration>,
        lookup: &dyn ProcessLookup,
    ) -> ActionRecord {
        let duration = duration.unwrap_or(self.settings.default_duration);
        // Only clock ticks are known here; as nanoseconds they stand for the beginning of the tick.
        let start = process::stat(pid).map_or(0, |stat| stat.start * TICK);
        self.answer_isolate(
            Some(ProcessId { pid, start }),
            scope,
            &Origin { finding: None, reason, duration, escalates: None },
            lookup,
        )
    }

    /// Isolates the host because a person asks for it.
    pub fn isolate_host(&mut self, reason: Option<String>, duration: Option<Duration>) -> ActionRecord {
        let duration = duration.unwrap_or(self.settings.default_duration);
        self.answer_isolate_host(&Origin { finding: None, reason, duration, escalates: None })
    }

    /// Takes the living descendants that `lookup` knows by now into the trees that are isolated.
    ///
    /// The kernel takes note of forks from the first verdict on. Who was forked between the question to the
    /// process table and that moment, and lost its parent in between, is found by asking once more.
    pub fn look_again(&mut self, lookup: &dyn ProcessLookup) {
        self.look_again_at_strikes(lookup);
        let Some(enforcer) = &mut self.enforcer else { return };
        for live in self.live.values_mut() {
            let What::Isolate { root, tree, .. } = &mut live.what else { continue };
            for child in lookup.descendants(*root) {
                let start = child.start / TICK;
                let lives = process::stat(child.pid).is_some_and(|stat| stat.start == start);
                if lives && child.pid != std::process::id() && !tree.has(child.pid, start) {
                    let _ = tree.mark(enforcer, child.pid, start); // In the next tick's shortfall.
                }
            }
            tree.mark_all(enforcer);
        }
    }

    /// Ends an isolation.
    ///
    /// # Errors
    /// When no isolation of that id is in force, or the kernel refuses.
    pub fn release(&mut self, id: &str) -> Result<ActionRecord> {
        match self.number_of(id, ActionKind::Isolate) {
            Some(number) => self.end(number, Outcome::Undone),
            None => bail!("no isolation {id} is in force: `openclaw response list` shows those that are"),
        }
    }

    /// From now on these are where alerts and webhooks go, which nobody blocks.
    pub fn spare_endpoints(&mut self, endpoints: &[String]) {
        self.networks.spare_endpoints(endpoints);
    }

    /// Ends the block of exactly this network.
    ///
    /// # Errors
    /// When it is not blocked, or the kernel refuses.
    pub fn unblock(&mut self, network: Network) -> Result<ActionRecord> {
        match self.block_of(network) {
            Some(number) => self.end(number, Outcome::Undone),
            None => bail!("{network} is not blocked: `openclaw blocklist list` shows the networks that are"),
        }
    }

    /// Takes an answer back.
    ///
    /// # Errors
    /// When none of that id is in force, it cannot be taken back, or the kernel refuses.
    pub fn undo(&mut self, id: &str) -> Result<ActionRecord> {
        let number = self.live.iter().find(|(_, live)| live.record.id == id).map(|(number, _)| *number);
        match number {
            Some(number) => self.end(number, Outcome::Undone),
            None => self.undo_strike(id),
        }
    }

    /// Takes every answer back.
    ///
    /// # Errors
    /// When the pins cannot be removed.
    pub fn undo_all(&mut self) -> Result<Vec<ActionRecord>> {
        let mut ended = self.undo_strikes();
        ended.extend(self.give_up(Outcome::Undone, None));
        // The kernel takes its time to detach programs whose pins are gone: their maps are emptied first.
        let emptied = self.enforcer.take().map_or(Ok(()), |mut enforcer| enforcer.clear());
        let removed = if self.has_hold() { self.pins.remove() } else { Ok(()) };
        if let Err(error) = removed.and(emptied) {
            // What was taken back is told with the next tick.
            self.untold.extend(ended);
            return Err(error);
        }
        Ok(ended)
    }

    /// How many answers are in force.
    pub fn in_force(&self) -> u64 {
        (self.live.len() + self.suspensions().count()) as u64
    }

    /// The answers in force, in the order in which they were asked for.
    pub fn live(&self) -> Vec<ActionRecord> {
        let mut live: Vec<ActionRecord> =
            self.live.values().map(|live| &live.record).chain(self.suspensions()).cloned().collect();
        live.sort_by_key(|record| record.at);
        live
    }

    /// The records of verdicts that last longer than they did when this was asked before.
    pub fn take_extended(&mut self) -> Vec<ActionRecord> {
        std::mem::take(&mut self.extended)
    }

    /// The latest records, those of verdicts in force included, the newest last.
    pub fn actions(&self) -> impl Iterator<Item = &ActionRecord> {
        self.past.iter()
    }

    /// Packets that were dropped and calls that were denied since the first verdict that lives.
    pub fn enforced(&self) -> (u64, u64) {
        let count = |a, b| self.enforcer.as_ref().map_or(0, |enforcer| enforcer.count(a) + enforcer.count(b));
        (
            count(Counter::BlockedPackets, Counter::IsolatedPackets),
            count(Counter::BlockedCalls, Counter::IsolatedCalls),
        )
    }

    /// When [`Responder::tick`] should be called next; `None` while nothing is in force.
    pub fn next_tick(&self) -> Option<Duration> {
        if !self.untold.is_empty() {
            return Some(Duration::ZERO);
        }
        self.next_verdict().into_iter().chain(self.next_strike()).chain(self.errands.due()).min()
    }

    fn next_verdict(&self) -> Option<Duration> {
        let now = clock::since_boot();
        let expiry = self.live.values().map(|live| live.expiry).min()?;
        let isolates = self.live.values().any(|live| matches!(live.what, What::Isolate { .. }));
        let most = if isolates { SWEEP } else { WATCH };
        Some(most.min(Duration::from_nanos(expiry.saturating_sub(now))))
    }

    /// Ends what is over, and marks what has come into isolated trees. Returns what there is to tell.
    pub fn tick(&mut self) -> Vec<ActionRecord> {
        self.notice_removal();
        let mut records = std::mem::take(&mut self.untold);
        records.extend(self.tick_strikes());
        let ended = self.errands.take_ended();
        records.extend(ended.into_iter().map(|record| self.keep(record)));
        if self.enforcer.is_none() {
            return records;
        }
        let now = clock::since_boot();
        let over: Vec<u64> =
            self.live.iter().filter(|(_, live)| live.expiry <= now).map(|(number, _)| *number).collect();
        for number in over {
            match self.end(number, Outcome::Expired) {
                Ok(record) => records.push(record),
                Err(error) => {
                    // The kernel has ended it by its clock; what is left over is without effect.
                    tracing::error!("a verdict that is over could not be cleared away: {error:#}");
                    if let Some(live) = self.live.remove(&number) {
                        let ended = Some(clock::wall());
                        let record = ActionRecord { outcome: Outcome::Expired, ended, ..live.record };
                        records.push(self.keep(record));
                    }
                }
            }
        }
        self.renew_exceptions(now);
        records.extend(self.look_after_programs(now));
        records.extend(self.sweep());
        records
    }

    /// What to do when the agent stops. Verdicts stay until they expire, unless `release` says otherwise.
    ///
    /// # Errors
    /// When the pins cannot be removed.
    pub fn shutdown(&mut self, release: bool) -> Result<Vec<ActionRecord>> {
        let ended = if release { self.undo_all()? } else { Vec::new() };
        if self.has_hold() && self.live.is_empty() {
            self.pins.tidy();
        }
        Ok(ended)
    }

    // How an answer is come to.

    fn number_of(&self, id: &str, kind: ActionKind) -> Option<u64> {
        self.live
            .iter()
            .find(|(_, live)| live.record.id == id && live.record.kind == kind)
            .map(|(number, _)| *number)
    }

    fn block_of(&self, network: Network) -> Option<u64> {
        self.live
            .iter()
            .find(|(_, live)| matches!(live.what, What::Block(blocked) if blocked == network))
            .map(|(number, _)| *number)
    }

    /// The isolation of a process, or of this container.
    fn isolation_of(&self, id: ProcessId, container: Option<&str>) -> Option<u64> {
        let same = |root: &ProcessId| root.pid == id.pid && root.start / TICK == id.start / TICK;
        self.live
            .iter()
            .find(|(_, live)| match &live.what {
                What::Isolate { root, tree, .. } => {
                    tree.is_of(container) && (container.is_some() || same(root))
                }
                What::Block(_) | What::IsolateHost => false,
            })
            .map(|(number, _)| *number)
    }

    /// The record of an isolation that the process is in already, and that lasts as long.
    fn isolation_around(&self, pid: u32, start: u64, origin: &Origin<'_>) -> Option<&ActionRecord> {
        let expiry = clock::since_boot().saturating_add(clock::nanoseconds(origin.duration));
        let around = self.live.values().find(|live| {
            live.expiry >= expiry && matches!(&live.what, What::Isolate { tree, .. } if tree.has(pid, start))
        })?;
        Some(&around.record)
    }

    fn keep(&mut self, record: ActionRecord) -> ActionRecord {
        self.past.push_back(record.clone());
        while self.past.len() > RECORDS {
            self.past.pop_front();
        }
        record
    }

    // The kernel's side.
}

/// The answer where a verdict does already what is asked for.
fn in_force_already(record: ActionRecord, verdict: &ActionRecord) -> ActionRecord {
    let given = record.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    // What was seen to have no effect is not called done when it is asked for again.
    let (outcome, given) = match (verdict.outcome, &verdict.reason) {
        (Outcome::Failed, Some(failure)) => (Outcome::Failed, format!(": {failure}")),
        _ => (Outcome::Done, given),
    };
    ActionRecord {
        outcome,
        reason: Some(format!("in force already as {}{given}", verdict.id)),
        expires: verdict.expires,
        verdict: Some(verdict.id.clone()),
        ..record
    }
}

#[cfg(test)]
mod tests {
    use super::super::NoLookup;
    use super::*;

    #[test]
    fn a_responder_can_be_moved_to_a_thread_of_its_own() {
        fn is_send<T: Send>() {}
        is_send::<Responder>();
    }

    #[test]
    fn a_finding_that_names_nothing_to_act_on_is_refused() {
        let nowhere = std::path::PathBuf::from("/nonexistent");
        let settings =
            ResponseSettings { bpffs: nowhere.clone(), state: nowhere, ..ResponseSettings::default() };
        let mut responder = Responder::new(settings, Layout::UNKNOWN);
        let finding = Finding {
            id: "f-1".to_owned(),
            rule: "rule".to_owned(),
            severity: Severity::High,
            confidence: 0.9,
            title: String::new(),
            message: String::new(),
            timestamp: openclaw_detect::Timestamp(0),
            actions: vec![Action::Alert, Action::Block, Action::Isolate],
            response: openclaw_detect::Response::default(),
            tags: Vec::new(),
            process: None,
            remote: None,
            quiet: false,
            evidence: None,
            event: Default::default(),
        };
        let records = responder.on_finding(&finding, None, &NoLookup);
        let outcomes: Vec<_> = records.iter().map(|record| (record.kind, record.outcome)).collect();
        assert_eq!(
            outcomes,
            [(ActionKind::Block, Outcome::Refused), (ActionKind::Isolate, Outcome::Refused)]
        );
        assert_ne!(records[0].id, records[1].id);
        assert_eq!(responder.actions().count(), 2);
        assert_eq!(responder.next_tick(), None);
    }
}
