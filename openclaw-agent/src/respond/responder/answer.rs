//! One answer: under the guard rails, carried out, or extended where it is in force already.

use std::collections::HashSet;
use std::ops::ControlFlow;

use openclaw_detect::Timestamp;

use super::*;

impl Responder {
    pub(super) fn answer_block(&mut self, network: Option<Network>, origin: &Origin<'_>) -> ActionRecord {
        self.notice_removal();
        let number = self.numbers.next();
        let target = network.map_or(Target::None, |network| Target::Network(network.to_string()));
        let record = self.record(origin, number, ActionKind::Block, target);
        let record = match network {
            None => record.refused(Rail::Target, "the event names no address"),
            Some(network) => self.block_known(number, network, record.past(Rail::Target), origin),
        };
        self.keep(record)
    }

    fn block_known(
        &mut self,
        number: u64,
        network: Network,
        record: ActionRecord,
        origin: &Origin<'_>,
    ) -> ActionRecord {
        if let Some(reason) = self.no_scope() {
            return record.refused(Rail::Reach, reason);
        }
        let record = record.past(Rail::Reach);
        if let Some(reason) = self.networks.network(network) {
            return record.refused(Rail::NeverBlock, reason);
        }
        let mut record = record.past(Rail::NeverBlock);
        if origin.finding.is_some() {
            if let Some(reason) = self.networks.operator(network) {
                return record.refused(Rail::Operator, reason);
            }
            record = record.past(Rail::Operator);
        }
        let existing = self.block_of(network);
        match self.permit(origin, record, existing.is_none()) {
            Break(record) => record,
            Continue(record) => match existing {
                Some(existing) => self.extend(existing, record, origin),
                None => self.carry_out(number, record, origin, |responder, record, expiry| {
                    responder.do_block(number, network, record, expiry)
                }),
            },
        }
    }

    pub(super) fn answer_isolate(
        &mut self,
        process: Option<ProcessId>,
        scope: Scope,
        origin: &Origin<'_>,
        lookup: &dyn ProcessLookup,
    ) -> ActionRecord {
        self.notice_removal();
        let number = self.numbers.next();
        let record = self.record(origin, number, ActionKind::Isolate, Target::None);
        let record = ActionRecord { scope: Some(scope), ..record };
        let record = match process {
            None => record.refused(Rail::Target, "the event names no process"),
            Some(id) => {
                let stat = process::stat(id.pid).filter(|stat| stat.start == id.start / TICK);
                let name = lookup.name(id).or_else(|| Some(stat.as_ref()?.name.clone()));
                let target = Target::Process { id, name: name.unwrap_or_default() };
                let record = ActionRecord { target, ..record }.past(Rail::Target);
                self.isolate_known(number, id, stat, record, origin, lookup)
            }
        };
        self.keep(record)
    }

    fn isolate_known(
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
                return record.refused(Rail::Identity, format!("{what} {}", id.pid));
            }
            None => {}
        }
        let record = record.past(Rail::Identity);
        // That of the process which is meant; of one in none, its tree is meant.
        let whole = record.scope == Some(Scope::Container);
        let container = whole.then(|| crate::enrich::container_of(members[0].0)).flatten();
        let scope = if container.is_some() { Scope::Container } else { Scope::Tree };
        let record = ActionRecord { scope: Some(scope), ..record };
        if let Some(container) = &container {
            let others = process::of_container(container).into_iter();
            let known: HashSet<u32> = members.iter().map(|(pid, _)| *pid).collect();
            members.extend(others.filter(|(pid, _)| !known.contains(pid)));
        }
        // It may have left the tree that `/proc` shows, and be known to have come from there all the same.
        if members.iter().any(|(pid, _)| *pid == std::process::id()) {
            let reason = format!("this agent descends from process {}", id.pid);
            return record.refused(Rail::Protected, reason);
        }
        let (first, stat) = &members[0];
        let forbidden = self
            .processes
            .process(*first, stat)
            .or_else(|| self.processes.container(origin.finding?))
            .or_else(|| self.processes.descendants(&members));
        if let Some(reason) = forbidden {
            return record.refused(Rail::Protected, reason);
        }
        let record = record.past(Rail::Protected);
        let reached =
            cgroup::scope(self.settings.cgroup.as_deref()).and_then(|scope| cgroup::reaches(&scope, *first));
        if let Err(error) = reached {
            return record.refused(Rail::Reach, format!("{error:#}"));
        }
        let existing = self.isolation_of(id, container.as_deref());
        let record = match self.permit(origin, record.past(Rail::Reach), existing.is_none()) {
            Break(record) => return record,
            Continue(record) => record,
        };
        if let Some(existing) = existing {
            return self.extend(existing, record, origin);
        }
        if container.is_none()
            && let Some(around) = self.isolation_around(*first, stat.start, origin)
        {
            return in_force_already(record, around);
        }
        self.carry_out(number, record, origin, |responder, record, expiry| {
            responder.do_isolate(number, id, (&members, container), record, expiry)
        })
    }

    /// What a person asks for, or the policy allows; else what becomes of it. What is in force already `is_news` no more.
    pub(super) fn permit(
        &self,
        origin: &Origin<'_>,
        record: ActionRecord,
        is_news: bool,
    ) -> ControlFlow<ActionRecord, ActionRecord> {
        let Some(finding) = origin.finding else { return Continue(record) };
        match self.policy.judge(finding, is_news.then_some(&record.target)) {
            Permit::Act => Continue(record.past(Rail::Confidence).past(Rail::Breaker)),
            Permit::Watch(reason) => {
                let record = record.past(Rail::Confidence);
                Break(ActionRecord { outcome: Outcome::Would, reason, ..record })
            }
            Permit::Refuse(rail, reason) => Break(record.refused(rail, reason)),
        }
    }

    pub(super) fn record(
        &self,
        origin: &Origin<'_>,
        number: u64,
        kind: ActionKind,
        target: Target,
    ) -> ActionRecord {
        ActionRecord {
            finding: origin.finding.map(|finding| finding.id.clone()),
            rule: origin.finding.map(|finding| finding.rule.clone()),
            mode: origin.finding.map(|finding| self.policy.mode(finding)),
            reason: origin.reason.clone(),
            escalates: origin.escalates.clone(),
            ..ActionRecord::asked(id(kind, number), kind, target, clock::wall())
        }
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
            let begun = self.live.remove(&number);
            if let Some(enforcer) = &mut self.enforcer
                && let Err(error) = enforcer.remove_verdict(number)
            {
                tracing::error!("a verdict that failed could not be cleared away: {error:#}");
            }
            let taken_back = begun.map_or(Ok(()), |live| self.enforce_no_more(&live.what));
            if let Err(error) = taken_back.and_then(|()| self.detach_if_idle()) {
                tracing::error!("a verdict that failed could not be cleared away: {error:#}");
            }
            record.failed(format!("{error:#}"))
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
        let done = clock::wall();
        self.enforcer()?.block(network, expiry)?;
        if self.enforcer()?.blocked_until(network) < expiry {
            bail!("the kernel's table of blocked networks did not keep {network}");
        }
        self.done(number, done)
    }

    /// A verdict is told to the kernel; its record says whether it has its effect.
    pub(super) fn done(&mut self, number: u64, done: Timestamp) -> Result<ActionRecord> {
        if let Some(live) = self.live.get_mut(&number) {
            live.record.done = Some(done);
        }
        self.verify(number).context("the verdict has ended already")
    }

    pub(super) fn do_isolate(
        &mut self,
        number: u64,
        root: ProcessId,
        (members, container): (&[(u32, Stat)], Option<String>),
        mut record: ActionRecord,
        expiry: u64,
    ) -> Result<ActionRecord> {
        // While nothing was isolated, nobody looked which DNS servers this host asks.
        self.tell_of_isolation()?;
        let enforcer = self.enforcer.as_mut().context("the verdict programs are not attached")?;
        let mut tree = Tree::new(number, container);
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
        let done = clock::wall();
        record.processes = Some(members.len() as u32);
        if let Some(sentence) = shortfall.sentence() {
            // What could be cut stays cut.
            let rest = format!("{sentence}; the rest is cut off until `openclaw release {}`", record.id);
            record = record.failed(rest);
        }
        let what = What::Isolate { root, tree, reported: shortfall };
        self.live.insert(number, Live { record, expiry, what });
        self.done(number, done)
    }

    /// A second verdict on the same target makes the first one last longer, and has a record of its own.
    pub(super) fn extend(&mut self, number: u64, record: ActionRecord, origin: &Origin<'_>) -> ActionRecord {
        let expiry = clock::since_boot().saturating_add(clock::nanoseconds(origin.duration));
        match self.try_extend(number, expiry) {
            Ok(Some(first)) => self.verify_again(number, &first, record),
            Ok(None) => record,
            Err(error) => record.failed(format!("{error:#}")),
        }
    }

    /// A verdict that is asked for again is judged again: it may have its effect no more, or by now. Not each time, where a
    /// rule fires again and again.
    fn verify_again(&mut self, number: u64, first: &ActionRecord, record: ActionRecord) -> ActionRecord {
        let is_known =
            first.kind == ActionKind::Isolate && self.was_tried(number) && self.detached().is_none();
        let verdict = if is_known { Some(first.clone()) } else { self.verify(number) };
        let Some(verdict) = verdict else { return record };
        if verdict.outcome != first.outcome {
            let told = self.keep(verdict.clone());
            self.untold.push(told);
        }
        let now = Some(clock::wall());
        let record = in_force_already(record, &verdict);
        let verified = now.filter(|_| record.outcome == Outcome::Done);
        ActionRecord { done: now, verified, ..record }
    }

    pub(super) fn try_extend(&mut self, number: u64, expiry: u64) -> Result<Option<ActionRecord>> {
        let Some(live) = self.live.get_mut(&number) else { return Ok(None) };
        if expiry > live.expiry {
            let record = ActionRecord { expires: Some(clock::wall_at(expiry)), ..live.record.clone() };
            let verdict = encode(&record, live.what.subject(), expiry);
            self.enforcer
                .as_mut()
                .context("the verdict programs are not attached")?
                .set_verdict(number, verdict)?;
            (live.expiry, live.record) = (expiry, record);
            self.extended.push(live.record.clone());
            match live.what {
                What::Block(network) => self.enforcer()?.block(network, expiry)?,
                What::Isolate { .. } => self.mark_anew(),
                What::IsolateHost => self.tell_of_isolation()?,
            }
        }
        Ok(self.live.get(&number).map(|live| live.record.clone()))
    }

    /// Ends one verdict; with the last one the programs go too.
    pub(super) fn end(&mut self, number: u64, outcome: Outcome) -> Result<ActionRecord> {
        self.enforcer()?.remove_verdict(number)?;
        let live = self.live.remove(&number).context("the verdict has ended already")?;
        if let Err(error) = self.enforce_no_more(&live.what) {
            self.live.insert(number, live);
            return Err(error);
        }
        let record = self.keep(ActionRecord { outcome, ended: Some(clock::wall()), ..live.record });
        if let Err(error) = self.detach_if_idle() {
            tracing::error!("programs that are without effect by now could not be removed: {error:#}");
        }
        Ok(record)
    }

    /// Has the kernel let go of what no other verdict holds.
    fn enforce_no_more(&mut self, what: &What) -> Result<()> {
        match what {
            What::Block(network) => {
                self.enforcer.as_mut().map_or(Ok(()), |enforcer| enforcer.unblock(*network))
            }
            What::Isolate { .. } => {
                self.mark_anew();
                Ok(())
            }
            What::IsolateHost => self.tell_of_isolation(),
        }
    }

    /// Gives up verdicts whose pins were removed from outside: what was undone is not to come back with the
    /// next verdict.
    pub(super) fn notice_removal(&mut self) {
        if self.enforcer.is_some() && !(self.has_hold() && enforcer::is_pinned(&self.pins)) {
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
                ActionRecord { outcome, reason, ended: Some(clock::wall()), ..live.record }
            })
            .collect();
        ended.into_iter().map(|record| self.keep(record)).collect()
    }
}
