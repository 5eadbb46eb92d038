//! Stopping and ending processes, after the first moment: the rest of the tree, the effect, the end.

use openclaw_detect::{Scope, Timestamp};
use rustix::process::Signal;

use super::super::group::Group;
use super::super::journal::Entry;
use super::super::strike::{Strike, action_of};
use super::*;

/// How long an effect is waited for before anything else is answered.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How long an effect may take. A process that waits for a disk neither stops nor ends meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often an effect is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// How long what was killed is remembered: the process table is asked once more for who belongs to it.
const AFTERCARE: Duration = Duration::from_secs(5);

/// An answer to processes that is not over.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) record: ActionRecord,
    group: Group,
    /// Nanoseconds since boot.
    expiry: u64,
    phase: Phase,
}

/// How far it has come. Times are nanoseconds since boot.
#[derive(Debug)]
enum Phase {
    /// Its effect is waited for; what asked for it may want more where it does not come.
    Waiting { until: u64, retried: bool, finding: Option<Box<Finding>> },
    /// It stands still, and is looked at next then.
    Still { next: u64 },
    /// It has ended. Who else belonged to it may turn up until then.
    Ended { until: u64 },
}

impl Struck {
    fn is_suspension(&self) -> bool {
        self.record.kind == ActionKind::Suspend
    }

    /// Why its effect is not there within this time; none where it is.
    fn missing_effect(&self, time: Duration) -> Option<String> {
        let (pids, what) = match self.is_suspension() {
            true => (self.group.running_after(time), "still run"),
            false => (self.group.living_after(time), "have not ended"),
        };
        if pids.is_empty() {
            return None;
        }
        let shown: Vec<String> = pids.iter().take(8).map(u32::to_string).collect();
        let more = if pids.len() > shown.len() { ", …" } else { "" };
        Some(format!("{} processes {what}: {}{more}", pids.len(), shown.join(", ")))
    }

    /// When there is next something to look at.
    fn due(&self, now: u64) -> Duration {
        let until = |then: u64| Duration::from_nanos(then.saturating_sub(now));
        match self.phase {
            Phase::Waiting { .. } => LOOK,
            Phase::Still { next } => until(next.min(self.expiry)),
            Phase::Ended { until: end } => until(end),
        }
    }
}

impl Responder {
    /// Carries on with what was begun for a finding, or begins it.
    pub(super) fn answer_strike(
        &mut self,
        finding: &Finding,
        strike: Option<Strike>,
        lookup: &dyn ProcessLookup,
    ) -> Option<ActionRecord> {
        let action = action_of(finding)?;
        let descendants = || finding.process.map(|id| lookup.descendants(id)).unwrap_or_default();
        let strike = strike.unwrap_or_else(|| self.striker.strike(finding, action, &descendants(), None));
        Some(self.follow_up(strike, finding))
    }

    pub(super) fn follow_up(&mut self, strike: Strike, finding: &Finding) -> ActionRecord {
        let Strike { record, group, expiry } = strike;
        match group {
            None => self.keep(record),
            Some(group) => self.finish(record, group, expiry, Some(Box::new(finding.clone()))),
        }
    }

    /// Does to the whole group what was begun, and looks for the effect.
    fn finish(
        &mut self,
        mut record: ActionRecord,
        mut group: Group,
        expiry: u64,
        finding: Option<Box<Finding>>,
    ) -> ActionRecord {
        // One process that is to end has had its signal.
        if group.scope() != Scope::Process || record.kind == ActionKind::Suspend {
            self.watch_suspensions();
            let left_alone = self.take_rest(&record, &mut group, expiry);
            if let Some(first) = left_alone.first() {
                record.reason = Some(format!("{} were left alone: {first}", left_alone.len()));
            }
            record.processes = Some(group.len());
        }
        if record.kind == ActionKind::Kill {
            group.signal(Signal::KILL);
        }
        record.done = Some(clock::wall());
        let until = clock::since_boot() + clock::nanoseconds(PATIENCE);
        let struck =
            Struck { record, group, expiry, phase: Phase::Waiting { until, retried: false, finding } };
        match struck.missing_effect(AT_ONCE) {
            None => self.settle(struck),
            Some(_) => {
                let record = struck.record.clone();
                self.struck.insert(record.id.clone(), struck);
                self.keep(record)
            }
        }
    }

    /// Stops the rest of a group, each of which is noted before. Returns why some were left alone.
    fn take_rest(&self, record: &ActionRecord, group: &mut Group, expiry: u64) -> Vec<String> {
        let forbidden = |pid: u32, stat: &Stat| self.processes.descendant(pid, stat);
        let left_alone = group.stop_all(forbidden, |group| {
            self.note(record, group, expiry);
        });
        match record.kind {
            ActionKind::Suspend if left_alone.is_empty() => {
                group.freeze(|group| self.note(record, group, expiry))
            }
            // The freezer spares nobody.
            _ => group.thaw(),
        }
        left_alone
    }

    /// Its effect is there.
    fn settle(&mut self, mut struck: Struck) -> ActionRecord {
        struck.record.outcome = Outcome::Done;
        struck.record.verified = Some(clock::wall());
        self.leave(struck)
    }

    /// Keeps it for as long as there is something to do about it.
    fn leave(&mut self, mut struck: Struck) -> ActionRecord {
        let now = clock::since_boot();
        let record = struck.record.clone();
        if struck.is_suspension() {
            self.note(&record, &struck.group, struck.expiry);
            struck.phase = Phase::Still { next: now + clock::nanoseconds(WATCH) };
        } else {
            self.forget(&record.id);
            struck.phase = Phase::Ended { until: now + clock::nanoseconds(AFTERCARE) };
        }
        self.struck.insert(record.id.clone(), struck);
        self.keep(record)
    }

    /// Looks for effects, ends what is over, and sees to it that what is to stand still does.
    pub(super) fn tick_strikes(&mut self) -> Vec<ActionRecord> {
        let mut records = Vec::new();
        let now = clock::since_boot();
        let due: Vec<String> = self
            .struck
            .iter()
            .filter(|(_, struck)| matches!(struck.phase, Phase::Waiting { .. }) || struck.due(now).is_zero())
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let Some(struck) = self.struck.remove(&id) else { continue };
            if struck.is_suspension() && struck.expiry <= now {
                records.push(self.resume(struck, Outcome::Expired, None));
            } else if struck.is_suspension() && !self.journal.has(&id) {
                // The keeper may have been faster.
                let is_over = struck.expiry <= clock::since_boot();
                let outcome = if is_over { Outcome::Expired } else { Outcome::Undone };
                let reason = "the note on it was removed from outside of this agent".to_owned();
                records.push(self.resume(struck, outcome, (!is_over).then_some(reason)));
            } else {
                match struck.phase {
                    Phase::Waiting { .. } => records.extend(self.look_for_effect(struck, now)),
                    Phase::Still { .. } => records.extend(self.keep_still(struck, now)),
                    Phase::Ended { .. } => {}
                }
            }
        }
        records
    }

    fn look_for_effect(&mut self, mut struck: Struck, now: u64) -> Vec<ActionRecord> {
        let Some(why) = struck.missing_effect(Duration::ZERO) else { return vec![self.settle(struck)] };
        let signal = if struck.is_suspension() { Signal::STOP } else { Signal::KILL };
        let Phase::Waiting { until, retried, finding } = &mut struck.phase else { return Vec::new() };
        if *until > now {
            if !*retried && *until - now < clock::nanoseconds(PATIENCE) / 2 {
                *retried = true;
                struck.group.signal(signal);
            }
            self.struck.insert(struck.record.id.clone(), struck);
            return Vec::new();
        }
        // What stands still goes on doing so; nothing more is done about the rest, but what the rule allows.
        let finding = finding.take();
        let members = struck.group.members();
        struck.record = struck.record.failed(why);
        let record = self.leave(struck);
        let mut records = vec![record.clone()];
        if let Some(finding) = finding {
            let known =
                members.iter().map(|member| ProcessId { pid: member.pid, start: member.start * TICK });
            records.extend(self.escalate(&finding, &record, &Known(known.collect())));
        }
        records
    }

    /// Stops what has come to a suspended group, and what somebody else has resumed.
    fn keep_still(&mut self, mut struck: Struck, now: u64) -> Option<ActionRecord> {
        // First: a container may have been started again, with none of those that were in it before.
        self.take_rest(&struck.record, &mut struck.group, struck.expiry);
        struck.group.forget_ended();
        if struck.group.is_empty() {
            let reason = "all of its processes have ended".to_owned();
            return Some(self.resume(struck, Outcome::Expired, Some(reason)));
        }
        struck.record.processes = Some(struck.group.len());
        struck.phase = Phase::Still { next: now + clock::nanoseconds(WATCH) };
        self.struck.insert(struck.record.id.clone(), struck);
        self.watch_suspensions();
        None
    }

    /// Takes in who belongs to these groups by what the process table knows by now: who was forked twice while the rule
    /// fired has lost its parent, and is found by nothing else.
    pub(super) fn look_again_at_strikes(&mut self, lookup: &dyn ProcessLookup) {
        let guard = &self.processes;
        let forbidden = |pid: u32, stat: &Stat| guard.descendant(pid, stat);
        let mut grown = Vec::new();
        // Not of those of long ago, which have nobody on his way: each is a question to a thread that may be busy.
        let earliest = clock::wall().0.saturating_sub(clock::nanoseconds(AFTERCARE));
        for (id, struck) in &mut self.struck {
            if struck.group.scope() != Scope::Process
                && struck.record.at.0 >= earliest
                && struck.group.take_known(&lookup.descendants(struck.group.root()), forbidden)
            {
                grown.push(id.clone());
            }
        }
        for id in grown {
            let Some(mut struck) = self.struck.remove(&id) else { continue };
            self.note(&struck.record, &struck.group, struck.expiry);
            self.take_rest(&struck.record, &mut struck.group, struck.expiry);
            struck.record.processes = Some(struck.group.len());
            if !struck.is_suspension() {
                struck.group.signal(Signal::KILL);
                self.forget(&id);
            }
            self.extended.push(struck.record.clone());
            self.struck.insert(id, struck);
        }
    }

    /// Ends a suspension: who went on before goes on.
    fn resume(&mut self, struck: Struck, outcome: Outcome, reason: Option<String>) -> ActionRecord {
        if let Err(error) = struck.group.resume() {
            // The note stays: who comes after tries again.
            let ended = Some(clock::wall());
            let reason = format!("the container stays frozen: {error}");
            return self.keep(ActionRecord { ended, ..struck.record.failed(reason) });
        }
        self.forget(&struck.record.id);
        let reason = reason.or(struck.record.reason);
        self.keep(ActionRecord { outcome, reason, ended: Some(clock::wall()), ..struck.record })
    }

    /// Takes a suspension back.
    ///
    /// # Errors
    /// It is none, or is over.
    pub(super) fn undo_strike(&mut self, id: &str) -> Result<ActionRecord> {
        match self.struck.remove(id) {
            Some(struck) if struck.is_suspension() => Ok(self.resume(struck, Outcome::Undone, None)),
            Some(struck) => {
                self.struck.insert(id.to_owned(), struck);
                bail!("{id} has ended processes, which cannot be taken back")
            }
            None => bail!("no answer {id} is in force: `openclaw response list` shows those that are"),
        }
    }

    /// Takes every suspension back.
    pub(super) fn undo_strikes(&mut self) -> Vec<ActionRecord> {
        let suspensions = self.struck.iter().filter(|(_, struck)| struck.is_suspension());
        let ids: Vec<String> = suspensions.map(|(id, _)| id.clone()).collect();
        ids.into_iter().filter_map(|id| self.undo_strike(&id).ok()).collect()
    }

    /// The suspensions in force.
    pub(super) fn suspensions(&self) -> impl Iterator<Item = &ActionRecord> {
        self.struck.values().filter(|struck| struck.is_suspension()).map(|struck| &struck.record)
    }

    /// When there is next something to look at.
    pub(super) fn next_strike(&self) -> Option<Duration> {
        let now = clock::since_boot();
        self.struck.values().map(|struck| struck.due(now)).min()
    }

    /// Carries on with what an earlier agent had begun.
    pub(super) fn take_over_strikes(&mut self) {
        let left = self.journal.ended().and_then(|ended| Ok((ended, self.journal.read()?)));
        let (ended, entries) = match left {
            Ok(left) => left,
            Err(error) => {
                self.notices
                    .push(format!("what an earlier agent did to processes is left as it is: {error}"));
                return;
            }
        };
        // Their notes stay until it is on record: this agent may be killed before.
        for (record, at) in ended {
            self.tell_later(ended_without_agent(record, at));
        }
        // All are held before one of them is ended: who is in two goes on when both are over.
        let held: Vec<(Entry, Option<Group>)> = entries
            .into_iter()
            .map(|entry| {
                let group = entry.group(&self.stilled);
                (entry, group)
            })
            .collect();
        for (entry, group) in held {
            let Some(group) = group else { continue };
            let record = self.take_over_strike(entry, group);
            self.untold.push(record);
        }
    }

    fn take_over_strike(&mut self, entry: Entry, group: Group) -> ActionRecord {
        let Entry { record, expiry, .. } = entry;
        let is_suspension = record.kind == ActionKind::Suspend;
        let phase = Phase::Still { next: 0 };
        if group.is_empty() {
            let outcome = if is_suspension { Outcome::Expired } else { Outcome::Done };
            // Who has come into its container since may be frozen.
            self.resume(Struck { record, group, expiry, phase }, outcome, None)
        } else if is_suspension && expiry <= clock::since_boot() {
            self.resume(Struck { record, group, expiry, phase }, Outcome::Expired, None)
        } else if !is_suspension && !self.policy.expects_answers() {
            let reason =
                "it was not brought to its end: the agent was started again in observe mode".to_owned();
            self.resume(Struck { record, group, expiry, phase }, Outcome::Undone, Some(reason))
        } else {
            // It may have been killed in the midst of it.
            self.finish(record, group, expiry, None)
        }
    }

    /// Has a process of its own bring to its end what is noted, should this agent not live to do it.
    fn watch_suspensions(&mut self) {
        if let Err(error) = self.keeper.ensure(self.journal.folder()) {
            tracing::error!("should this agent end, what it has suspended is not resumed on time: {error}");
        }
    }

    /// Whether it is noted.
    fn note(&self, record: &ActionRecord, group: &Group, expiry: u64) -> bool {
        let noted = self.journal.write(&Entry::new(record, group, expiry));
        if let Err(error) = &noted {
            let id = &record.id;
            tracing::error!("should this agent end, it is not known of {id} what it was done to: {error}");
        }
        noted.is_ok()
    }

    pub(super) fn forget(&self, id: &str) {
        if let Err(error) = self.journal.remove(id) {
            tracing::error!("the note on {id}, which is over, cannot be removed: {error}");
        }
    }
}

/// What has become of an answer that a keeper ended.
fn ended_without_agent(record: ActionRecord, at: Timestamp) -> ActionRecord {
    let ended = Some(at);
    match record.kind {
        ActionKind::Kill => {
            let reason = Some("its keeper ended it, since the agent did not live to".to_owned());
            ActionRecord { outcome: Outcome::Done, reason, done: ended, ended, ..record }
        }
        _ => ActionRecord { outcome: Outcome::Expired, ended, ..record },
    }
}

/// The processes that an answer was done to.
struct Known(Vec<ProcessId>);

impl ProcessLookup for Known {
    fn descendants(&self, of: ProcessId) -> Vec<ProcessId> {
        self.0.iter().filter(|id| id.pid != of.pid).copied().collect()
    }

    fn name(&self, _of: ProcessId) -> Option<String> {
        None
    }
}
