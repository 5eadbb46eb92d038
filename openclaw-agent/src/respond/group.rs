//! The processes that an answer stops or ends: found, held so that none is mistaken for another, stopped, resumed, ended.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use openclaw_common::verdict::TICK;
use openclaw_detect::{ProcessId, Scope};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::freezer::Freezer;
use super::process::{self, Held, Stat};
use super::stilled::Stilled;
use crate::enrich::container_of;

/// Searches until nothing new is found; more than this and somebody forks as fast as we look.
const SEARCHES: usize = 64;

/// A process of a group, as it is kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) pid: u32,
    /// When it began, in clock ticks since boot.
    pub(super) start: u64,
    /// Whether it stood still before, and is to go on standing still after.
    pub(super) was_stopped: bool,
}

impl Member {
    /// What `/proc` says of it, if it is still there.
    fn stat(self) -> Option<Stat> {
        process::stat(self.pid).filter(|stat| stat.start == self.start)
    }
}

/// The processes of one answer.
#[derive(Debug)]
pub(super) struct Group {
    scope: Scope,
    root: ProcessId,
    /// The container, where all of it is meant: the path of its control group.
    container: Option<String>,
    /// The container's freezer, where it is switched on because of this group, and whether it was before.
    frozen: Option<(Freezer, bool)>,
    /// Whether that was refused.
    cannot_freeze: bool,
    /// Where it is noted who stands still because of it.
    stilled: Stilled,
    members: BTreeMap<u32, (Member, Held)>,
    /// How many could not be held, for want of descriptors.
    unheld: usize,
}

impl Group {
    /// Nobody yet. Of a process that is in no container, the tree is meant.
    pub(super) fn new(scope: Scope, root: ProcessId, stilled: Stilled) -> Self {
        let container = (scope == Scope::Container).then(|| container_of(root.pid)).flatten();
        let scope = if scope == Scope::Container && container.is_none() { Scope::Tree } else { scope };
        Group::nobody(scope, root, container, stilled)
    }

    fn nobody(scope: Scope, root: ProcessId, container: Option<String>, stilled: Stilled) -> Self {
        Group {
            scope,
            root,
            container,
            frozen: None,
            cannot_freeze: false,
            stilled,
            members: BTreeMap::new(),
            unheld: 0,
        }
    }

    /// What an earlier agent kept of a group: those of it that still live. `was_frozen` where it switched on the container's
    /// freezer.
    pub(super) fn of(
        scope: Scope,
        root: ProcessId,
        container: Option<String>,
        was_frozen: Option<bool>,
        members: &[Member],
        stilled: Stilled,
    ) -> Self {
        let freezer = container.as_deref().and_then(Freezer::of);
        let frozen = freezer.zip(was_frozen);
        if let Some((freezer, was_frozen)) = &frozen {
            stilled.take_over_container(freezer, *was_frozen);
        }
        let mut group = Group::nobody(scope, root, container, stilled);
        group.frozen = frozen;
        for member in members {
            let Some(held) = Held::process(member.pid, member.start) else { continue };
            group.stilled.take_over(member.pid, member.start, member.was_stopped);
            group.members.insert(member.pid, (*member, held));
        }
        group
    }

    /// Takes a process in, if it is still the one that began then. Whether it is new.
    pub(super) fn take(&mut self, pid: u32, start: u64) -> bool {
        if self.members.get(&pid).is_some_and(|(member, _)| member.start == start) {
            return false;
        }
        let Some(held) = Held::process(pid, start) else {
            let lives = process::stat(pid).is_some_and(|stat| stat.start == start);
            self.unheld += usize::from(lives);
            return false;
        };
        self.take_held(pid, start, held, false)
    }

    /// Takes in a process that is held. Whether it is new. Of one that is `doomed` to end at once it is not asked whether it
    /// stood still before: it is not to go on.
    pub(super) fn take_held(&mut self, pid: u32, start: u64, held: Held, doomed: bool) -> bool {
        // Its parent has not asked for it yet.
        if held.has_ended_within(Duration::ZERO) {
            return false;
        }
        // Another one had the number before.
        if let Some((member, _)) = self.members.remove(&pid) {
            self.stilled.release(pid, member.start, || {});
        }
        let was_stopped = if doomed {
            self.stilled.take_over(pid, start, false);
            false
        } else {
            self.stilled.hold(pid, start)
        };
        self.members.insert(pid, (Member { pid, start, was_stopped }, held));
        true
    }

    /// Takes in those of these processes that belong to it and may be acted upon. Whether any is new.
    pub(super) fn take_known(
        &mut self,
        known: &[ProcessId],
        forbidden: impl Fn(u32, &Stat) -> Option<String>,
    ) -> bool {
        let mut grown = false;
        if self.scope != Scope::Process {
            for id in known {
                let stat = process::stat(id.pid).filter(|stat| stat.start == id.start / TICK);
                if stat.is_some_and(|stat| forbidden(id.pid, &stat).is_none()) {
                    grown |= self.take(id.pid, id.start / TICK);
                }
            }
        }
        grown
    }

    /// Who belongs to it by what `/proc` shows now, and was not taken in; but for what is below those that are `spared`.
    fn missing(&self, spared: &[(u32, Stat)]) -> Vec<(u32, Stat)> {
        if self.scope == Scope::Process {
            return Vec::new();
        }
        let roots: Vec<(u32, Stat)> =
            self.members.values().filter_map(|(member, _)| Some((member.pid, member.stat()?))).collect();
        let mut found = process::below(&roots);
        if let Some(container) = &self.container {
            let known: HashSet<u32> = found.iter().map(|(pid, _)| *pid).collect();
            let of_container = process::of_container(container).into_iter();
            found.extend(of_container.filter(|(pid, _)| !known.contains(pid)));
        }
        let below_spared = if spared.is_empty() { Vec::new() } else { process::below(spared) };
        let left_alone: HashSet<u32> = spared.iter().chain(&below_spared).map(|(pid, _)| *pid).collect();
        let is_member = |pid: &u32, stat: &Stat| {
            self.members.get(pid).is_some_and(|(member, _)| member.start == stat.start)
        };
        found.retain(|(pid, stat)| !left_alone.contains(pid) && !is_member(pid, stat));
        found
    }

    /// Takes in all that belong to it and may be acted upon, and stops each, so that it makes no more of them; `note` is
    /// told of them before. Returns why others were left alone.
    pub(super) fn stop_all(
        &mut self,
        forbidden: impl Fn(u32, &Stat) -> Option<String>,
        mut note: impl FnMut(&Group),
    ) -> Vec<String> {
        let mut spared: Vec<(u32, Stat)> = Vec::new();
        let mut reasons = Vec::new();
        self.unheld = 0;
        self.signal(Signal::STOP);
        for _ in 0..SEARCHES {
            let mut new = Vec::new();
            for (pid, stat) in self.missing(&spared) {
                if let Some(reason) = forbidden(pid, &stat) {
                    reasons.push(reason);
                    spared.push((pid, stat));
                } else if self.take(pid, stat.start) {
                    new.push(pid);
                }
            }
            if new.is_empty() {
                break;
            }
            note(self);
            new.into_iter().for_each(|pid| self.signal_one(pid, Signal::STOP));
        }
        if self.unheld > 0 {
            reasons.push(format!("{} processes could not be held: descriptors ran out", self.unheld));
        }
        reasons
    }

    /// Freezes the container, where all of it is meant; `note` is told before, and says whether it took note. What cannot be
    /// frozen is held by signals alone: where others are inside of it, or nobody could be told to let it go on.
    pub(super) fn freeze(&mut self, note: impl FnOnce(&Group) -> bool) {
        let Some(container) = self.container.as_deref().filter(|_| !self.cannot_freeze) else { return };
        let Some(freezer) = Freezer::of(container) else { return };
        if freezer.holds_others(container) {
            return self.thaw();
        }
        if self.frozen.is_none() {
            let was_frozen = self.stilled.hold_container(&freezer);
            self.frozen = Some((freezer.clone(), was_frozen));
            if !note(self) {
                self.stilled.release_container(&freezer, || {});
                self.frozen = None;
                return;
            }
        }
        if !freezer.is_on()
            && let Err(error) = freezer.switch_on()
        {
            tracing::warn!("a suspended container is held by signals alone: it cannot be frozen: {error}");
            self.stilled.release_container(&freezer, || {});
            self.frozen = None;
            self.cannot_freeze = true;
        }
    }

    /// Has the freezer let the container go on: from here on signals alone hold its processes.
    pub(super) fn thaw(&mut self) {
        if let Err(error) = self.try_thaw() {
            tracing::error!("a container stays frozen in which others are: {error}");
        }
    }

    fn try_thaw(&mut self) -> io::Result<()> {
        let mut thawed = Ok(());
        if let Some((freezer, _)) = self.frozen.take() {
            self.stilled.release_container(&freezer, || thawed = freezer.switch_off());
        }
        thawed
    }

    /// Sends all of them a signal.
    pub(super) fn signal(&self, signal: Signal) {
        self.members.keys().for_each(|pid| self.signal_one(*pid, signal));
    }

    fn signal_one(&self, pid: u32, signal: Signal) {
        if let Some((_, held)) = self.members.get(&pid)
            && let Err(error) = held.signal(signal)
        {
            tracing::warn!("process {pid} cannot be sent signal {}: {error}", signal.as_raw());
        }
    }

    /// Lets go of them: those go on that did before, but for those that another answer holds. Who stood still before goes on
    /// standing still.
    ///
    /// # Errors
    /// The container stays frozen.
    pub(super) fn resume(mut self) -> io::Result<()> {
        let thawed = self.try_thaw();
        for (member, held) in std::mem::take(&mut self.members).into_values() {
            self.stilled.release(member.pid, member.start, || {
                if let Err(error) = held.signal(Signal::CONT) {
                    tracing::error!("process {} cannot be resumed: {error}", member.pid);
                }
            });
        }
        thawed
    }

    /// Those that do not stand still within this time.
    pub(super) fn running_after(&self, time: Duration) -> Vec<u32> {
        let end = Instant::now() + time;
        loop {
            let running: Vec<u32> = self
                .members
                .iter()
                .filter(|(pid, (member, held))| {
                    member.stat().is_some()
                        && !process::stands_still(**pid)
                        && !self.is_frozen(**pid)
                        && !held.has_ended_within(Duration::ZERO)
                })
                .map(|(pid, _)| *pid)
                .collect();
            if running.is_empty() || Instant::now() >= end {
                return running;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether the container's freezer holds a process, which then bears no sign of it: it may have been frozen before it came to
    /// take its signal.
    fn is_frozen(&self, pid: u32) -> bool {
        let Some((freezer, _)) = &self.frozen else { return false };
        freezer.holds_all() && container_of(pid) == self.container
    }

    /// Those that have not ended within this time.
    pub(super) fn living_after(&self, time: Duration) -> Vec<u32> {
        let end = Instant::now() + time;
        let lives = |held: &Held| !held.has_ended_within(end.saturating_duration_since(Instant::now()));
        self.members.iter().filter(|(_, (_, held))| lives(held)).map(|(pid, _)| *pid).collect()
    }

    /// Forgets those that have ended.
    pub(super) fn forget_ended(&mut self) {
        self.members.retain(|_, (member, held)| {
            let has_ended = held.has_ended_within(Duration::ZERO);
            if has_ended {
                self.stilled.release(member.pid, member.start, || {});
            }
            !has_ended
        });
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.members.values().map(|(member, _)| *member).collect()
    }

    pub(super) fn len(&self) -> u32 {
        self.members.len() as u32
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn root(&self) -> ProcessId {
        self.root
    }

    /// Whether the container was frozen before, where it is because of this group.
    pub(super) fn was_frozen(&self) -> Option<bool> {
        self.frozen.as_ref().map(|(_, was_frozen)| *was_frozen)
    }

    pub(super) fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }
}

/// A group that is over, or was never begun, holds nobody: it lets nobody go on either.
impl Drop for Group {
    fn drop(&mut self) {
        if let Some((freezer, _)) = &self.frozen {
            self.stilled.release_container(freezer, || {});
        }
        for (member, _) in self.members.values() {
            self.stilled.release(member.pid, member.start, || {});
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell with a child, both of which wait.
    fn tree() -> (Child, ProcessId) {
        let child = Command::new("sh")
            .args(["-c", "sleep 60 & echo ready; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = child;
        let mut ready = [0; 6];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let start = process::stat(child.id()).unwrap().start * TICK;
        let id = ProcessId { pid: child.id(), start };
        (child, id)
    }

    fn grouped(scope: Scope, root: ProcessId) -> Group {
        let mut group = Group::new(scope, root, Stilled::default());
        assert!(group.take(root.pid, root.start / TICK));
        group
    }

    #[test]
    fn a_tree_is_stopped_resumed_and_ended_as_a_whole() {
        let (mut child, root) = tree();
        let mut group = grouped(Scope::Tree, root);
        assert!(group.stop_all(|_, _| None, |_| {}).is_empty());
        assert_eq!(group.len(), 2);
        assert!(group.running_after(Duration::from_secs(10)).is_empty());
        let members = group.members();
        assert!(members.iter().all(|member| !member.was_stopped));
        group.resume().unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while process::stands_still(root.pid) {
            assert!(Instant::now() < end, "it resumes");
        }
        let mut group = grouped(Scope::Tree, root);
        group.stop_all(|_, _| None, |_| {});
        group.signal(Signal::KILL);
        child.wait().unwrap();
        assert!(group.living_after(Duration::from_secs(10)).is_empty());
        group.forget_ended();
        assert!(group.is_empty());
    }

    #[test]
    fn who_stood_still_before_is_not_resumed() {
        let (mut child, root) = tree();
        let held = Held::process(root.pid, root.start / TICK).unwrap();
        held.signal(Signal::STOP).unwrap();
        while !process::stands_still(root.pid) {
            std::thread::yield_now();
        }
        let mut group = grouped(Scope::Tree, root);
        group.stop_all(|_, _| None, |_| {});
        assert!(group.running_after(Duration::from_secs(10)).is_empty());
        let others: Vec<_> = group.members().into_iter().filter(|member| member.pid != root.pid).collect();
        group.resume().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(process::stands_still(root.pid), "it was stopped by somebody else");
        assert!(!process::stands_still(others[0].pid));
        let mut group = grouped(Scope::Tree, root);
        group.stop_all(|_, _| None, |_| {});
        group.signal(Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_may_not_be_acted_upon_is_left_alone_and_named() {
        let (mut child, root) = tree();
        let mut group = grouped(Scope::Tree, root);
        let spared = group.stop_all(|pid, _| Some(format!("process {pid} is dear")), |_| {});
        assert_eq!((spared.len(), group.len()), (1, 1));
        let others = group.missing(&[]);
        assert!(!process::stands_still(others[0].0));
        group.take(others[0].0, others[0].1.start);
        group.signal(Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn another_process_of_the_same_number_is_not_taken() {
        let (mut child, root) = tree();
        let mut group = Group::new(Scope::Process, root, Stilled::default());
        assert!(!group.take(root.pid, root.start / TICK + 1));
        assert!(group.take(root.pid, root.start / TICK) && !group.take(root.pid, root.start / TICK));
        assert!(group.missing(&[]).is_empty(), "one process has nobody with it");
        group.signal(Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn of_two_groups_that_stop_the_same_process_the_last_one_lets_it_go_on() {
        let (mut child, root) = tree();
        let stilled = Stilled::default();
        let of = |scope| {
            let mut group = Group::new(scope, root, stilled.clone());
            group.take(root.pid, root.start / TICK);
            group.stop_all(|_, _| None, |_| {});
            assert!(group.running_after(Duration::from_secs(10)).is_empty());
            group
        };
        let (first, second) = (of(Scope::Tree), of(Scope::Process));
        assert!(second.members().iter().all(|member| !member.was_stopped));
        first.resume().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(process::stands_still(root.pid), "the other one holds it");
        second.resume().unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while process::stands_still(root.pid) {
            assert!(Instant::now() < end, "it goes on");
        }
        of(Scope::Tree).signal(Signal::KILL);
        child.wait().unwrap();
    }
}
