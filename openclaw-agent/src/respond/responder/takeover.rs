//! What an earlier agent left: taken over, moved, or taken back without any agent.

use super::super::process::Held;
use super::*;

impl Responder {
    /// Has the pins for this agent alone, and takes over what an earlier one left in them.
    pub(super) fn take_hold(&mut self) -> Result<()> {
        if self.has_hold() {
            return Ok(());
        }
        self.hold = None;
        self.hold = Some(self.pins.hold()?);
        self.kept_out = None;
        if let Ok(scope) = cgroup::scope(self.settings.cgroup.as_deref()) {
            stand_in::clear_away(&scope);
        }
        match self.pins.remove_others() {
            Ok(others) if others.is_empty() => {}
            Ok(others) => self.notices.push(format!(
                "verdicts of another version of OpenClaw were ended, since this one cannot read them: {}",
                others.join(", ")
            )),
            Err(error) => {
                self.notices.push(format!("verdicts of another version of OpenClaw stay: {error:#}"))
            }
        }
        if let Err(error) = self.take_over() {
            self.notices.push(format!("verdicts of an earlier agent were given up: {error:#}"));
            self.live.clear();
            self.enforcer = None;
            if let Err(error) = self.pins.remove() {
                self.notices.push(format!("and could not be removed: {error:#}"));
            }
        }
        Ok(())
    }

    /// Says what became of answers that an earlier agent had begun and that nobody goes on with: `unended` are such of which
    /// no end is on record. What `has_ended` by what is on record is not told again.
    pub fn conclude(&mut self, unended: Vec<ActionRecord>, has_ended: impl Fn(&str) -> bool) {
        let (told, untold): (Vec<_>, Vec<_>) = std::mem::take(&mut self.untold)
            .into_iter()
            .partition(|record| record.ended.is_some() && has_ended(&record.id));
        self.untold = untold;
        // An agent told of them that was killed before it had removed its notes.
        told.iter().for_each(|record| self.forget(&record.id));
        for record in unended {
            let is_told = self.untold.iter().any(|told| told.id == record.id);
            let is_in_force = self.live.values().any(|live| live.record.id == record.id);
            // What is noted and cannot be read is somebody else's to end.
            if is_told || is_in_force || self.struck.contains_key(&record.id) || self.journal.has(&record.id)
            {
                continue;
            }
            let now = Some(clock::wall());
            let record = if record.outcome != Outcome::Begun {
                // Its end was not on record yet when that agent was killed.
                ActionRecord { outcome: Outcome::Expired, ended: record.expires, ..record }
            } else if record.kind == ActionKind::Kill && is_gone(&record.target) {
                ActionRecord { outcome: Outcome::Done, verified: now, ended: now, ..record }
            } else {
                let reason = "the agent ended while it ran; whether it was done is not known";
                ActionRecord { ended: now, ..record.failed(reason) }
            };
            self.tell_later(record);
        }
    }

    /// Tells with the next tick what has ended without this agent.
    pub(super) fn tell_later(&mut self, record: ActionRecord) {
        let record = self.keep(record);
        self.untold.push(record);
    }

    /// Takes over what an earlier agent left in force, and removes what is over.
    pub(super) fn take_over(&mut self) -> Result<()> {
        self.pins.recover()?;
        if !self.pins.exist() {
            return Ok(());
        }
        let mut enforcer = Enforcer::adopt(&self.pins)?;
        let now = clock::since_boot();
        let left = enforcer.verdicts();
        left.keys().for_each(|number| self.numbers.skip(*number));
        for (number, verdict) in &left {
            match decode(*number, verdict) {
                Some((record, subject)) if verdict.expiry > now => {
                    let what = What::of(*number, subject, record.scope.unwrap_or_default());
                    self.live.insert(*number, Live { record, expiry: verdict.expiry, what });
                }
                over => {
                    enforcer.remove_verdict(*number)?;
                    if let Some((record, _)) = over {
                        let ended = record.expires;
                        self.tell_later(ActionRecord { outcome: Outcome::Expired, ended, ..record });
                    }
                }
            }
        }
        for (pid, start) in process::lineage() {
            let Some(mark) = enforcer.process_mark(pid).filter(|mark| mark.start == start) else { continue };
            enforcer.remove_verdict(mark.verdict)?;
            if let Some(live) = self.live.remove(&mark.verdict) {
                let reason = format!("it held process {pid}, which this agent is or descends from");
                self.notices.push(format!("isolation {} was ended: {reason}", live.record.id));
                let (outcome, reason) = (Outcome::Undone, Some(reason));
                self.tell_later(ActionRecord { outcome, reason, ended: Some(clock::wall()), ..live.record });
            }
        }
        if self.live.is_empty() {
            return self.pins.remove();
        }
        match self.follow(&enforcer, &left) {
            Ok(Some(moved)) => enforcer = moved,
            Ok(None) => {}
            // What the earlier agent attached is still in force, and better than nothing.
            Err(error) if enforcer::is_pinned(&self.pins) => {
                self.pins.remove_staging()?;
                self.notices.push(format!("earlier verdicts stay at the cgroup where they were: {error:#}"));
            }
            Err(error) => {
                let _ = self.pins.remove_staging();
                return Err(error);
            }
        }
        self.uninherited = enforcer.count(Counter::Uninherited);
        self.past.extend(self.live.values().map(|live| live.record.clone()));
        // The earlier agent may have been killed in the midst of marking.
        for live in self.live.values_mut() {
            if let What::Isolate { tree, .. } = &mut live.what {
                tree.mark_anew(&mut enforcer);
            }
        }
        self.tell_anew(&mut enforcer)?;
        self.enforcer = Some(enforcer);
        Ok(())
    }

    /// Enforces at the configured cgroup, where that is another one.
    pub(super) fn follow(&self, old: &Enforcer, left: &BTreeMap<u64, Verdict>) -> Result<Option<Enforcer>> {
        let scope = cgroup::scope(self.settings.cgroup.as_deref())?;
        if old.is_attached_to(&scope) {
            return Ok(None);
        }
        let new = self.move_to(&scope, old, left)?;
        self.pins.commit()?;
        Ok(Some(new))
    }

    /// Has other programs enforce at a cgroup what these do, but for the marks of sockets. They are staged alone.
    pub(super) fn move_to(
        &self,
        scope: &Path,
        old: &Enforcer,
        left: &BTreeMap<u64, Verdict>,
    ) -> Result<Enforcer> {
        let programs = enforcer::load(&self.layout, self.room())?;
        let mut new = Enforcer::install(programs, scope, &self.pins)?;
        for (number, verdict) in left.iter().filter(|(number, _)| self.live.contains_key(number)) {
            new.set_verdict(*number, *verdict)?;
        }
        for (pid, mark) in old.marked_processes() {
            new.copy_mark(pid, mark)?;
        }
        self.tell_anew(&mut new)?;
        Ok(new)
    }
}

/// Whether a process that was to end has, though its parent may not have asked for it yet.
fn is_gone(target: &Target) -> bool {
    let Target::Process { id, .. } = target else { return false };
    Held::process(id.pid, id.start / TICK).is_none_or(|held| held.has_ended_within(Duration::ZERO))
}

/// Takes everything back where no agent runs: removes every verdict, of this version and others, and resumes what is
/// suspended by what `state` says. Returns what was in force, as far as it could be read.
///
/// # Errors
/// When the pins cannot be removed, or the state not be read.
pub fn undo_all(bpffs: &Path, state: &Path) -> Result<Vec<ActionRecord>> {
    // Each is tried, whatever becomes of the other.
    let (verdicts, resumed) = (undo_verdicts(bpffs), keeper::resume_all(state));
    let mut undone =
        resumed.with_context(|| format!("cannot resume what is suspended by {}", state.display()))?;
    undone.extend(verdicts?);
    Ok(undone)
}

fn undo_verdicts(bpffs: &Path) -> Result<Vec<ActionRecord>> {
    let pins = Pins::new(bpffs);
    // What cannot be brought to its end is removed below.
    let _ = pins.recover();
    let now = clock::since_boot();
    let mut left = BTreeMap::new();
    // What cannot be read, such as the pins of another version, is removed all the same.
    if pins.exist()
        && pins.trust().is_ok()
        && let Ok(mut enforcer) = Enforcer::adopt(&pins)
    {
        left = enforcer.verdicts();
        let _ = enforcer.clear();
    }
    pins.remove_all().map_err(|error| anyhow!("{error:#}: try again as root"))?;
    Ok(left
        .into_iter()
        .filter(|(_, verdict)| verdict.expiry > now)
        .filter_map(|(number, verdict)| decode(number, &verdict))
        .map(|(record, _)| ActionRecord { outcome: Outcome::Undone, ended: Some(clock::wall()), ..record })
        .collect())
}
