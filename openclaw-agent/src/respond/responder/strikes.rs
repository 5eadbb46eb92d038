//! Stopping and ending processes, after the first moment: the rest of the tree, the effect, the end.

use openclaw_detect::Scope;
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

/// An answer to processes that is not over.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) record: ActionRecord,
    group: Group,
    /// Nanoseconds since boot; 0 where it has no end.
    expiry: u64,
    /// Until when its effect is waited for, in nanoseconds since boot; none where it was seen, or never was.
    deadline: Option<u64>,
    /// Whether it was tried again.
    retried: bool,
    /// What asked for it, which may want more where it has no effect.
    finding: Option<Finding>,
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

    fn entry(&self) -> Entry {
        Entry { record: self.record.clone(), members: self.group.members(), expiry: self.expiry }
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
        Some(self.follow_up(strike, finding, lookup))
    }

    pub(super) fn follow_up(
        &mut self,
        strike: Strike,
        finding: &Finding,
        lookup: &dyn ProcessLookup,
    ) -> ActionRecord {
        let Strike { record, group, expiry } = strike;
        let Some(mut group) = group else { return self.keep(record) };
        // Who was forked since the rule fired, and has lost its parent.
        group.take_known(&lookup.descendants(group.root()));
        self.finish(Struck {
            record,
            group,
            expiry,
            deadline: None,
            retried: false,
            finding: Some(finding.clone()),
        })
    }

    /// Does to the whole group what was begun, and looks for the effect.
    fn finish(&mut self, mut struck: Struck) -> ActionRecord {
        if struck.group.scope() != Scope::Process || struck.is_suspension() {
            let guard = &self.processes;
            let spared = struck.group.stop_all(|pid, stat| guard.descendant(pid, stat));
            if let Some(first) = spared.first() {
                struck.record.reason = Some(format!("{} were left alone: {first}", spared.len()));
            }
            struck.record.processes = Some(struck.group.len());
            self.note(&struck);
        }
        if !struck.is_suspension() {
            struck.group.signal(Signal::KILL);
        }
        match struck.missing_effect(AT_ONCE) {
            None => self.settle(struck),
            Some(_) => {
                struck.deadline = Some(clock::since_boot() + clock::nanoseconds(PATIENCE));
                let record = struck.record.clone();
                self.struck.insert(record.id.clone(), struck);
                self.keep(record)
            }
        }
    }

    /// Its effect is there.
    fn settle(&mut self, mut struck: Struck) -> ActionRecord {
        struck.deadline = None;
        struck.record.outcome = Outcome::Done;
        struck.record.verified = Some(clock::wall());
        let record = struck.record.clone();
        if struck.is_suspension() {
            self.note(&struck);
            self.struck.insert(record.id.clone(), struck);
            self.watch_suspensions();
        } else {
            self.forget(&record.id);
        }
        self.keep(record)
    }

    /// Its effect did not come. What stands still goes on doing so; nothing more is done about the rest.
    fn give_up_on(&mut self, mut struck: Struck, why: String) -> ActionRecord {
        struck.deadline = None;
        let record = struck.record.clone().failed(why);
        if struck.is_suspension() {
            struck.record = record.clone();
            self.note(&struck);
            self.struck.insert(record.id.clone(), struck);
            self.watch_suspensions();
        } else {
            self.forget(&record.id);
        }
        self.keep(record)
    }

    /// Looks for effects, ends what is over, and sees to it that what is to stand still does.
    pub(super) fn tick_strikes(&mut self) -> Vec<ActionRecord> {
        let mut records = Vec::new();
        let now = clock::since_boot();
        let ids: Vec<String> = self.struck.keys().cloned().collect();
        for id in ids {
            let Some(mut struck) = self.struck.remove(&id) else { continue };
            if struck.is_suspension() && struck.expiry <= now {
                records.push(self.resume(struck, Outcome::Expired, None));
            } else if struck.is_suspension() && !self.journal.has(&id) {
                let reason = "the note on it was removed from outside of this agent".to_owned();
                records.push(self.resume(struck, Outcome::Undone, Some(reason)));
            } else if let Some(deadline) = struck.deadline {
                match struck.missing_effect(Duration::ZERO) {
                    None => records.push(self.settle(struck)),
                    Some(why) if deadline <= now => {
                        let finding = struck.finding.clone();
                        let record = self.give_up_on(struck, why);
                        records.push(record.clone());
                        if let Some(finding) = finding {
                            records.extend(self.escalate(&finding, &record, &NoLookup));
                        }
                    }
                    Some(_) => {
                        let half = clock::nanoseconds(PATIENCE) / 2;
                        if !struck.retried && deadline.saturating_sub(now) < half {
                            struck.retried = true;
                            struck.group.signal(match struck.is_suspension() {
                                true => Signal::STOP,
                                false => Signal::KILL,
                            });
                        }
                        self.struck.insert(id, struck);
                    }
                }
            } else {
                records.extend(self.keep_still(struck));
            }
        }
        records
    }

    /// Stops what has come to a suspended group, and what somebody else has resumed.
    fn keep_still(&mut self, mut struck: Struck) -> Option<ActionRecord> {
        let before = struck.group.members();
        struck.group.forget_ended();
        if struck.group.is_empty() {
            return Some(self.resume(
                struck,
                Outcome::Expired,
                Some("all of its processes have ended".to_owned()),
            ));
        }
        let guard = &self.processes;
        struck.group.stop_all(|pid, stat| guard.descendant(pid, stat));
        if struck.group.members() != before {
            struck.record.processes = Some(struck.group.len());
            self.note(&struck);
        }
        self.struck.insert(struck.record.id.clone(), struck);
        self.watch_suspensions();
        None
    }

    /// Ends a suspension: who went on before goes on.
    fn resume(&mut self, struck: Struck, outcome: Outcome, reason: Option<String>) -> ActionRecord {
        struck.group.resume();
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
        let ids: Vec<String> = self
            .struck
            .iter()
            .filter(|(_, struck)| struck.is_suspension())
            .map(|(id, _)| id.clone())
            .collect();
        ids.into_iter().filter_map(|id| self.undo_strike(&id).ok()).collect()
    }

    /// The suspensions in force.
    pub(super) fn suspensions(&self) -> impl Iterator<Item = &ActionRecord> {
        self.struck.values().filter(|struck| struck.is_suspension()).map(|struck| &struck.record)
    }

    /// When there is next something to look at.
    pub(super) fn next_strike(&self) -> Option<Duration> {
        let now = clock::since_boot();
        let due = |struck: &Struck| match struck.deadline {
            Some(_) => LOOK,
            None => WATCH.min(Duration::from_nanos(struck.expiry.saturating_sub(now))),
        };
        self.struck.values().map(due).min()
    }

    /// Carries on with what an earlier agent had begun.
    pub(super) fn take_over_strikes(&mut self) {
        let entries = match self.journal.read() {
            Ok(entries) => entries,
            Err(error) => {
                self.notices
                    .push(format!("what an earlier agent did to processes is left as it is: {error}"));
                return;
            }
        };
        let now = clock::since_boot();
        for Entry { record, members, expiry } in entries {
            let Target::Process { id: root, .. } = record.target else { continue };
            let group = Group::of(record.scope.unwrap_or_default(), root, &members);
            let struck = Struck { record, group, expiry, deadline: None, retried: false, finding: None };
            let record = if struck.group.is_empty() {
                self.forget(&struck.record.id);
                let ended = Some(clock::wall());
                let outcome = if struck.is_suspension() { Outcome::Expired } else { Outcome::Done };
                self.keep(ActionRecord { outcome, ended, ..struck.record })
            } else if struck.is_suspension() && expiry <= now {
                self.resume(struck, Outcome::Expired, None)
            } else {
                // It may have been killed in the midst of it.
                self.finish(struck)
            };
            self.untold.push(record);
        }
    }

    /// Has a process of its own resume what is suspended on time, should this agent not live to do it.
    fn watch_suspensions(&mut self) {
        if let Err(error) = self.keeper.ensure(self.journal.folder()) {
            tracing::error!("should this agent end, what it has suspended is not resumed on time: {error}");
        }
    }

    fn note(&self, struck: &Struck) {
        if let Err(error) = self.journal.write(&struck.entry()) {
            let id = &struck.record.id;
            tracing::error!("should this agent end, it is not known of {id} what it was done to: {error}");
        }
    }

    fn forget(&self, id: &str) {
        if let Err(error) = self.journal.remove(id) {
            tracing::error!("the note on {id}, which is over, cannot be removed: {error}");
        }
    }
}
