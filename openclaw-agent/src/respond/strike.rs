//! The first moment of stopping or ending processes, on the thread that reads events: what does harm stands still within
//! microseconds, and what remains to be done is done by the thread that answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_common::verdict::TICK;
use openclaw_detect::{Action, Finding, ProcessId, Scope};
use rustix::process::Signal;

use super::group::Group;
use super::guard::ProcessGuard;
use super::journal::{Entry, Journal};
use super::kept::{Numbers, id};
use super::policy::{Permit, Policy};
use super::process::{self, Held, Stat};
use super::stilled::Stilled;
use super::{ActionKind, ActionRecord, Outcome, Rail, ResponseSettings, Target, cgroup, clock};

/// How long after it was begun somebody else ends what the agent did not live to end.
const UNFINISHED: Duration = Duration::from_secs(10);

/// Stops and ends processes because findings ask for it.
#[derive(Debug)]
pub struct Striker {
    policy: Arc<Policy>,
    guard: ProcessGuard,
    journal: Journal,
    stilled: Stilled,
    numbers: Numbers,
    cgroup: Option<PathBuf>,
    default_duration: Duration,
}

/// An answer that was begun, or that is not to be.
#[derive(Debug)]
pub struct Strike {
    pub(super) record: ActionRecord,
    /// The processes that were stopped or ended so far; none where it was not begun.
    pub(super) group: Option<Group>,
    /// When it ends, in nanoseconds since boot; 0 where it has no end.
    pub(super) expiry: u64,
}

impl Strike {
    /// What became of it so far.
    pub fn record(&self) -> &ActionRecord {
        &self.record
    }

    /// Whether something remains to be done, which must not be lost.
    pub fn has_begun(&self) -> bool {
        self.group.is_some()
    }

    fn not(record: ActionRecord) -> Self {
        Strike { record, group: None, expiry: 0 }
    }
}

/// The answer of a rule that is carried out on the thread that reads events: of two, the one that ends more.
pub(super) fn action_of(finding: &Finding) -> Option<Action> {
    [Action::Kill, Action::Suspend].into_iter().find(|action| finding.actions.contains(action))
}

impl Striker {
    pub(super) fn new(
        settings: &ResponseSettings,
        policy: Arc<Policy>,
        guard: ProcessGuard,
        (journal, stilled, numbers): (Journal, Stilled, Numbers),
    ) -> Self {
        Striker {
            policy,
            guard,
            journal,
            stilled,
            numbers,
            cgroup: settings.cgroup.clone(),
            default_duration: settings.default_duration,
        }
    }

    /// What decides whether answers are carried out.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Begins what a finding asks for, where it is carried out: what is not is recorded by who answers. `descendants` are
    /// those of its process.
    pub fn on_finding(&self, finding: &Finding, descendants: &[ProcessId]) -> Option<Strike> {
        let action = action_of(finding)?;
        self.policy.would_act(finding).then(|| self.strike(finding, action, descendants, None))
    }

    /// Begins one action, in the place of an answer that had no effect, where one is named.
    pub(super) fn strike(
        &self,
        finding: &Finding,
        action: Action,
        descendants: &[ProcessId],
        escalates: Option<&str>,
    ) -> Strike {
        let kind = if action == Action::Kill { ActionKind::Kill } else { ActionKind::Suspend };
        let id = id(kind, self.numbers.next());
        let record = ActionRecord {
            finding: Some(finding.id.clone()),
            rule: Some(finding.rule.clone()),
            scope: Some(finding.response.scope(action)),
            mode: Some(self.policy.mode(finding)),
            escalates: escalates.map(str::to_owned),
            ..ActionRecord::asked(id, kind, Target::None, clock::wall())
        };
        let Some(root) = finding.process else {
            return Strike::not(record.refused(Rail::Target, "the event names no process"));
        };
        let held = Held::with_stat(root.pid, root.start / TICK);
        let name = held.as_ref().map(|(_, stat)| stat.name.clone()).unwrap_or_default();
        let record = ActionRecord { target: Target::Process { id: root, name }, ..record }.past(Rail::Target);
        let Some((held, stat)) = held else {
            let reason = format!("the process {} that is meant has ended, or cannot be held", root.pid);
            return Strike::not(record.refused(Rail::Identity, reason));
        };
        let record = record.past(Rail::Identity);
        let known = if finding.response.scope(action) == Scope::Process { &[] } else { descendants };
        if let Some(reason) = self.forbidden(finding, root.pid, &stat, known) {
            return Strike::not(record.refused(Rail::Protected, reason));
        }
        let record = record.past(Rail::Protected);
        if let Some(scope) = &self.cgroup
            && let Err(error) = cgroup::reaches(scope, root.pid)
        {
            return Strike::not(record.refused(Rail::Reach, format!("{error:#}")));
        }
        let record = record.past(Rail::Reach);
        match self.policy.judge(finding, Some(&record.target)) {
            Permit::Refuse(rail, reason) => Strike::not(record.refused(rail, reason)),
            Permit::Watch(reason) => {
                let record = record.past(Rail::Confidence);
                Strike::not(ActionRecord { outcome: Outcome::Would, reason, ..record })
            }
            Permit::Act => {
                let record = record.past(Rail::Confidence).past(Rail::Breaker);
                self.begin(finding, record, (root, held), known)
            }
        }
    }

    fn forbidden(
        &self,
        finding: &Finding,
        pid: u32,
        stat: &Stat,
        descendants: &[ProcessId],
    ) -> Option<String> {
        self.guard.process(pid, stat).or_else(|| self.guard.container(finding)).or_else(|| {
            descendants.iter().find_map(|child| {
                let stat = process::stat(child.pid).filter(|stat| stat.start == child.start / TICK)?;
                self.guard.descendant(child.pid, &stat)
            })
        })
    }

    fn begin(
        &self,
        finding: &Finding,
        record: ActionRecord,
        (root, held): (ProcessId, Held),
        descendants: &[ProcessId],
    ) -> Strike {
        let scope = record.scope.unwrap_or_default();
        let is_done_at_once = record.kind == ActionKind::Kill && scope == Scope::Process;
        let ends = record.kind == ActionKind::Suspend;
        let mut group = Group::new(scope, root, self.stilled.clone());
        let record = ActionRecord { scope: Some(group.scope()), ..record };
        if !group.take_held(root.pid, root.start / TICK, held, is_done_at_once) {
            let reason = format!("the process {} that is meant has ended", root.pid);
            return Strike::not(record.refused(Rail::Identity, reason));
        }
        group.take_known(descendants, |pid, stat| self.guard.descendant(pid, stat));
        let duration =
            if ends { finding.response.duration().unwrap_or(self.default_duration) } else { UNFINISHED };
        let expiry = clock::since_boot().saturating_add(clock::nanoseconds(duration));
        let record = ActionRecord {
            outcome: Outcome::Begun,
            expires: ends.then(|| clock::wall_at(expiry)),
            processes: Some(group.len()),
            ..record
        };
        if !is_done_at_once && let Err(error) = self.journal.write(&Entry::new(&record, &group, expiry)) {
            let reason = format!("nothing was done, since it could not be noted what is being done: {error}");
            return Strike::not(ActionRecord { expires: None, ..record.failed(reason) });
        }
        // A tree stands still before it is ended: its members make no more of them, and stay in it.
        group.signal(if is_done_at_once { Signal::KILL } else { Signal::STOP });
        let delay_us = Some(clock::wall().0.saturating_sub(finding.timestamp.0) / 1000);
        Strike { record: ActionRecord { delay_us, ..record }, group: Some(group), expiry }
    }
}
