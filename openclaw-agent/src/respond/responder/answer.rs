//! One answer: under the guard rails, carried out, or extended where it is in force already.

use super::*;

impl Responder {
    pub(super) fn answer_block(&mut self, network: Option<Network>, origin: &Origin<'_>) -> ActionRecord {
        self.notice_removal();
        let number = self.next_number();
        let target = network.map_or(Target::None, |network| Target::Network(network.to_string()));
        let record = origin.record(number, ActionKind::Block, target);
        let record = match network {
            None => refused(record, "the event names no address".to_owned()),
            Some(network) => {
                let forbidden = self
                    .no_scope()
                    .or_else(|| self.guard.network(network))
                    .or_else(|| self.too_unsure(origin))
                    .or_else(|| origin.finding.and_then(|_| self.guard.operator(network)));
                if let Some(reason) = forbidden {
                    refused(record, reason)
                } else if self.only_watches(origin) {
                    ActionRecord { outcome: Outcome::Would, ..record }
                } else if let Some(existing) = self.block_of(network) {
                    self.extend(existing, record, origin)
                } else {
                    self.carry_out(number, record, origin, |responder, record, expiry| {
                        responder.do_block(number, network, record, expiry)
                    })
                }
            }
        };
        self.keep(record)
    }

    pub(super) fn answer_isolate(
        &mut self,
        process: Option<ProcessId>,
        origin: &Origin<'_>,
        lookup: &dyn ProcessLookup,
    ) -> ActionRecord {
        self.notice_removal();
        let number = self.next_number();
        let record = origin.record(number, ActionKind::Isolate, Target::None);
        let record = match process {
            None => refused(record, "the event names no process".to_owned()),
            Some(id) => {
                let stat = process::stat(id.pid).filter(|stat| stat.start == id.start / TICK);
                let name = lookup.name(id).or_else(|| Some(stat.as_ref()?.name.clone()));
                let target = Target::Process { id, name: name.unwrap_or_default() };
                let record = ActionRecord { target, ..record };
                self.isolate_known(number, id, stat, record, origin, lookup)
            }
        };
        self.keep(record)
    }

    pub(super) fn isolate_known(
        &mut self,
        number: u64,
        id: ProcessId,
        stat: Option<Stat>,
        record: ActionRecord,
        origin: &Origin<'_>,
        lookup: &dyn ProcessLookup,
    ) -> ActionRecord {
        // Children may live on after the process that the rule matched has ended.
        let mut members: Vec<(u32, Stat)> = lookup
            .descendants(id)
            .into_iter()
            .filter_map(|child| {
                let stat = process::stat(child.pid)?;
                (stat.start == child.start / TICK).then_some((child.pid, stat))
            })
            .collect();
        match stat {
            Some(stat) => members.insert(0, (id.pid, stat)),
            None if members.is_empty() => {
                let what = if id.start == 0 { "there is no process" } else { "it has ended: process" };
                return refused(record, format!("{what} {}", id.pid));
            }
            None => {}
        }
        // It may have left the tree that `/proc` shows, and be known to have come from there all the same.
        if members.iter().any(|(pid, _)| *pid == std::process::id()) {
            return refused(record, format!("this agent descends from process {}", id.pid));
        }
        let (first, stat) = &members[0];
        let forbidden = self
            .guard
            .process(*first, stat)
            .or_else(|| self.guard.descendants(&members))
            .or_else(|| self.too_unsure(origin));
        if let Some(reason) = forbidden {
            return refused(record, reason);
        }
        let reached =
            cgroup::scope(self.settings.cgroup.as_deref()).and_then(|scope| cgroup::reaches(&scope, *first));
        if let Err(error) = reached {
            return refused(record, format!("{error:#}"));
        }
        if self.only_watches(origin) {
            return ActionRecord { outcome: Outcome::Would, ..record };
        }
        if let Some(existing) = self.isolation_of(id) {
            return self.extend(existing, record, origin);
        }
        if let Some(around) = self.isolation_around(*first, stat.start, origin) {
            return in_force_already(record, around);
        }
        self.carry_out(number, record, origin, |responder, record, expiry| {
            responder.do_isolate(number, id, &members, record, expiry)
        })
    }

    /// Runs what makes a verdict, and takes back what it did where it fails.
    pub(super) fn carry_out(
        &mut self,
        number: u64,
        record: ActionRecord,
        origin: &Origin<'_>,
        make: impl FnOnce(&mut Self, ActionRecord, u64) -> Result<ActionRecord>,
    ) -> ActionRecord {
        let expiry = clock::since_boot().saturating_add(clock::nanoseconds(origin.duration));
        let planned =
            ActionRecord { outcome: Outcome::Done, expires: Some(clock::wall_at(expiry)), ..record.clone() };
        let made = self.attach().and_then(|()| make(self, planned, expiry));
        made.unwrap_or_else(|error| {
            self.live.remove(&number);
            if let Some(enforcer) = &mut self.enforcer
                && let Err(error) = enforcer.remove_verdict(number)
            {
                tracing::error!("a verdict that failed could not be cleared away: {error:#}");
            }
            let tidied = self.set_blocked().and_then(|()| self.detach_if_idle());
            if let Err(error) = tidied {
                tracing::error!("a verdict that failed could not be cleared away: {error:#}");
            }
            ActionRecord { outcome: Outcome::Failed, reason: Some(format!("{error:#}")), ..record }
        })
    }

    pub(super) fn do_block(
        &mut self,
        number: u64,
        network: Network,
        record: ActionRecord,
        expiry: u64,
    ) -> Result<ActionRecord> {
        self.enforcer()?.set_verdict(number, encode(&record, Subject::Network(network), expiry))?;
        self.live.insert(number, Live { record: record.clone(), expiry, what: What::Block(network) });
        self.set_blocked()?;
        if self.enforcer()?.blocked_until(network) < expiry {
            bail!("the kernel's table of blocked networks did not keep {network}");
        }
        Ok(record)
    }

    pub(super) fn do_isolate(
        &mut self,
        number: u64,
        root: ProcessId,
        members: &[(u32, Stat)],
        mut record: ActionRecord,
        expiry: u64,
    ) -> Result<ActionRecord> {
        let enforcer = self.enforcer.as_mut().context("the verdict programs are not attached")?;
        let mut tree = Tree::new(number);
        enforcer.set_verdict(number, encode(&record, Subject::Process(root), expiry))?;
        let (first, stat) = &members[0];
        tree.mark(enforcer, *first, stat.start)?;
        for (pid, stat) in &members[1..] {
            let _ = tree.mark(enforcer, *pid, stat.start); // In the shortfall, where it fails.
        }
        let shortfall = tree.mark_all(enforcer);
        let marked = enforcer.process_mark(*first).is_some_and(|mark| mark.start == stat.start);
        // A process that ended meanwhile has lost its mark, and needs none.
        if !marked && process::stat(*first).is_some_and(|now| now.start == stat.start) {
            bail!("the kernel's table of isolated processes did not keep process {first}");
        }
        if let Some(sentence) = shortfall.sentence() {
            // What could be cut stays cut.
            record.outcome = Outcome::Failed;
            record.reason =
                Some(format!("{sentence}; the rest is cut off until `openclaw release {}`", record.id));
        }
        let what = What::Isolate { root, tree, reported: shortfall };
        self.live.insert(number, Live { record: record.clone(), expiry, what });
        Ok(record)
    }

    /// A second verdict on the same target makes the first one last longer, and has a record of its own.
    pub(super) fn extend(&mut self, number: u64, record: ActionRecord, origin: &Origin<'_>) -> ActionRecord {
        let expiry = clock::since_boot().saturating_add(clock::nanoseconds(origin.duration));
        match self.try_extend(number, expiry) {
            Ok(Some(extended)) => in_force_already(record, &extended),
            Ok(None) => record,
            Err(error) => {
                ActionRecord { outcome: Outcome::Failed, reason: Some(format!("{error:#}")), ..record }
            }
        }
    }

    pub(super) fn try_extend(&mut self, number: u64, expiry: u64) -> Result<Option<ActionRecord>> {
        let Some(live) = self.live.get_mut(&number) else { return Ok(None) };
        if expiry > live.expiry {
            live.expiry = expiry;
            live.record.expires = Some(clock::wall_at(expiry));
            let verdict = encode(&live.record, live.what.subject(), expiry);
            self.enforcer
                .as_mut()
                .context("the verdict programs are not attached")?
                .set_verdict(number, verdict)?;
            self.extended.push(live.record.clone());
            self.set_blocked()?;
            self.mark_anew();
        }
        Ok(self.live.get(&number).map(|live| live.record.clone()))
    }

    /// Ends one verdict; with the last one the programs go too.
    pub(super) fn end(&mut self, number: u64, outcome: Outcome) -> Result<ActionRecord> {
        self.enforcer()?.remove_verdict(number)?;
        let live = self.live.remove(&number).context("the verdict has ended already")?;
        let record = self.keep(ActionRecord { outcome, ..live.record });
        self.set_blocked()?;
        self.mark_anew();
        self.detach_if_idle()?;
        Ok(record)
    }

    /// Gives up verdicts whose pins were removed from outside: what was undone is not to come back with the
    /// next verdict.
    pub(super) fn notice_removal(&mut self) {
        if self.enforcer.is_some() && !(self.has_hold() && a_link(&self.pins).exists()) {
            self.enforcer = None;
            let reason = "its pins were removed from outside of this agent";
            let ended = self.give_up(Outcome::Undone, Some(reason));
            self.untold.extend(ended);
        }
    }

    pub(super) fn give_up(&mut self, outcome: Outcome, reason: Option<&str>) -> Vec<ActionRecord> {
        let live = std::mem::take(&mut self.live);
        let ended: Vec<ActionRecord> = live
            .into_values()
            .map(|live| {
                let reason = reason.map(str::to_owned).or(live.record.reason);
                ActionRecord { outcome, reason, ..live.record }
            })
            .collect();
        ended.into_iter().map(|record| self.keep(record)).collect()
    }

    // Guard rails that depend on who asks.

    pub(super) fn too_unsure(&self, origin: &Origin<'_>) -> Option<String> {
        let confidence = origin.finding?.confidence;
        let least = self.settings.min_confidence;
        // A confidence that is no number is not above anything.
        let sure = confidence.partial_cmp(&least) == Some(Ordering::Greater);
        (!sure).then(|| {
            format!(
                "the rule's confidence {confidence} is not above security.response.min_confidence {least}"
            )
        })
    }

    pub(super) fn only_watches(&self, origin: &Origin<'_>) -> bool {
        origin.finding.is_some() && !self.settings.enforce
    }

    // The verdicts in force.
}
