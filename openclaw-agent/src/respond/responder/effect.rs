//! Whether verdicts hold: tried, tried once more with the programs attached anew, and looked after as long as they live.

use super::*;

/// When it is tried again to attach programs that could not be: the kernel has all of them to look through.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// How often that is tried in such a time at most: it would be a race with who detaches them.
const MOST: usize = 8;

/// For how long it is known whether an isolation has its effect, once it was tried: a process is begun to try it.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(2);

impl Responder {
    /// Why a verdict has no effect; none where it has, or where that cannot be tried. What is detached is attached anew first.
    pub(super) fn missing_effect(&mut self, number: u64) -> Option<String> {
        let why = self.detached().or_else(|| self.is_let_through(number))?;
        match self.restore(&why) {
            Ok(()) => self.is_let_through(number),
            Err(error) => {
                self.is_suspect = true;
                Some(format!("{why}, and the programs could not be attached anew ({error:#})"))
            }
        }
    }

    /// Attaches the programs anew, unless that was tried too often of late, and raises the alarm.
    fn restore(&mut self, why: &str) -> Result<()> {
        let now = clock::since_boot();
        let earliest = now.saturating_sub(clock::nanoseconds(TRY_AGAIN));
        self.attached_anew.retain(|at| *at > earliest);
        if self.attached_anew.len() >= MOST {
            bail!("that was tried {MOST} times within {} s", TRY_AGAIN.as_secs());
        }
        self.attached_anew.push_back(now);
        let restored = self.attach_anew();
        let done = match restored {
            Ok(()) => "they were attached anew",
            Err(_) => "they cannot be attached anew",
        };
        let alarm = format!("{why}, of the programs that enforce verdicts: {done}");
        tracing::warn!("{alarm}");
        self.alarms.push(alarm);
        restored
    }

    /// Judges a verdict that is in force by its effect. Returns its record.
    pub(super) fn verify(&mut self, number: u64) -> Option<ActionRecord> {
        let missing = self.missing_effect(number);
        let earliest = clock::since_boot().saturating_sub(clock::nanoseconds(GOOD_FOR));
        self.tried.retain(|_, at| *at > earliest);
        self.tried.insert(number, clock::since_boot());
        let live = self.live.get_mut(&number)?;
        let record = live.record.clone();
        let lacks = matches!(&live.what, What::Isolate { reported, .. } if reported.sentence().is_some());
        live.record = match missing {
            Some(why) => {
                let until = format!("openclaw response undo {}", record.id);
                record.failed(format!("{why}; what is cut off all the same stays so until `{until}`"))
            }
            None if lacks || record.verified.is_some() && record.outcome == Outcome::Done => record,
            None => {
                let reason = if record.outcome == Outcome::Done { record.reason } else { None };
                ActionRecord { outcome: Outcome::Done, verified: Some(clock::wall()), reason, ..record }
            }
        };
        Some(live.record.clone())
    }

    /// Whether it was tried a moment ago whether a verdict holds.
    pub(super) fn was_tried(&self, number: u64) -> bool {
        let earliest = clock::since_boot().saturating_sub(clock::nanoseconds(GOOD_FOR));
        self.tried.get(&number).is_some_and(|at| *at > earliest)
    }

    /// What a verdict lets through that it forbids, where an attempt is let.
    fn is_let_through(&mut self, number: u64) -> Option<String> {
        let found = self.try_it(number)?;
        // One that is over by then is to let all through.
        self.live.get(&number).filter(|live| live.expiry > clock::since_boot()).map(|_| found)
    }

    fn try_it(&mut self, number: u64) -> Option<String> {
        let scope = cgroup::scope(self.settings.cgroup.as_deref()).ok()?;
        match &self.live.get(&number)?.what {
            // Where this agent cannot try, the kernel's tables have to do.
            What::Block(network) => {
                let address = network.address();
                (attempt::is_judged(&scope) && attempt::is_let(address).unwrap_or(false))
                    .then(|| format!("connections to {address} are let through all the same"))
            }
            What::Isolate { .. } => {
                let enforcer = self.enforcer.as_mut()?;
                match stand_in::way_out(enforcer, number, &scope, &self.settings.isolation) {
                    Ok(found) => found.map(|what| format!("{what} all the same")),
                    Err(error) => {
                        tracing::warn!(
                            "that an isolation holds is known by the kernel's tables alone, since a process that stands in \
                             for the isolated cannot try: {error:#}"
                        );
                        None
                    }
                }
            }
            What::IsolateHost => None,
        }
    }

    /// What is attached no more.
    pub(super) fn detached(&self) -> Option<String> {
        let names = enforcer::detached(&self.pins);
        (!names.is_empty()).then(|| format!("somebody else has detached {}", names.join(", ")))
    }

    /// Attaches the programs once more, with all that they were told. The old ones go when the new ones know it.
    fn attach_anew(&mut self) -> Result<()> {
        let scope = cgroup::scope(self.settings.cgroup.as_deref())?;
        let old = self.enforcer.as_ref().context("the verdict programs are not attached")?;
        let left = old.verdicts();
        // Whoever takes all of them back empties the tables before he removes the pins.
        if !self.live.keys().all(|number| left.contains_key(number)) {
            bail!("verdicts were taken back from outside of this agent");
        }
        let mut new = self.move_to(&scope, old, &left).inspect_err(|_| {
            let _ = self.pins.remove_staging(); // The error before it is the one to be told.
        })?;
        for live in self.live.values_mut() {
            if let What::Isolate { tree, .. } = &mut live.what {
                tree.mark_anew(&mut new); // What is missing is in the next tick's shortfall.
            }
        }
        // Nor does one who removes the pins alone want to have them back.
        let put_in_force = match enforcer::is_pinned(&self.pins) {
            true => self.pins.commit(),
            false => Err(anyhow::anyhow!("all pins were removed from outside of this agent")),
        };
        put_in_force.inspect_err(|_| {
            let _ = self.pins.remove_staging(); // As above.
        })?;
        self.uninherited = 0;
        self.enforcer = Some(new);
        Ok(())
    }

    /// Sees to it that the programs stay attached. Returns the records of verdicts that have no effect any more, or have it
    /// again.
    pub(super) fn look_after_programs(&mut self, now: u64) -> Vec<ActionRecord> {
        if now < self.programs_due {
            return Vec::new();
        }
        self.programs_due = now + clock::nanoseconds(WATCH);
        let problem = self.detached().and_then(|why| Some(format!("{why}: {:#}", self.restore(&why).err()?)));
        if problem.is_some() {
            self.programs_due = now + clock::nanoseconds(TRY_AGAIN);
        }
        let holds_again = problem.is_none() && self.is_suspect;
        if problem.is_some() == self.is_detached && !holds_again {
            return Vec::new();
        }
        (self.is_detached, self.is_suspect) = (problem.is_some(), false);
        let numbers: Vec<u64> = self.live.keys().copied().collect();
        let mut records = Vec::new();
        for number in numbers {
            let Some(live) = self.live.get_mut(&number) else { continue };
            match &problem {
                Some(problem) => {
                    live.record = live.record.clone().failed(problem);
                    records.push(live.record.clone());
                }
                None if live.record.outcome == Outcome::Failed => records.extend(self.verify(number)),
                None => {}
            }
        }
        records.into_iter().map(|record| self.keep(record)).collect()
    }
}
