//! The processes that an answer stops or ends: found, held so that none is mistaken for another, stopped, resumed, ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use openclaw_common::verdict::TICK;
use openclaw_detect::{ProcessId, Scope};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::process::{self, Held, Stat};

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

/// The processes of one answer.
#[derive(Debug)]
pub(super) struct Group {
    scope: Scope,
    root: ProcessId,
    members: BTreeMap<u32, (Member, Held)>,
}

impl Group {
    /// Nobody yet.
    pub(super) fn new(scope: Scope, root: ProcessId) -> Self {
        Group { scope, root, members: BTreeMap::new() }
    }

    /// What an earlier agent kept of a group: those of it that still live.
    pub(super) fn of(scope: Scope, root: ProcessId, members: &[Member]) -> Self {
        let held = |member: &Member| Some((member.pid, (*member, Held::process(member.pid, member.start)?)));
        Group { scope, root, members: members.iter().filter_map(held).collect() }
    }

    /// Takes a process in, if it is still the one that began then. Whether it is new.
    pub(super) fn take(&mut self, pid: u32, start: u64) -> bool {
        if self.members.get(&pid).is_some_and(|(member, _)| member.start == start) {
            return false;
        }
        let Some(held) = Held::process(pid, start) else { return false };
        let was_stopped = process::stands_still(pid);
        self.members.insert(pid, (Member { pid, start, was_stopped }, held));
        true
    }

    /// Takes in those of these processes that belong to it.
    pub(super) fn take_known(&mut self, known: &[ProcessId]) {
        if self.scope != Scope::Process {
            for id in known.iter().filter(|id| id.pid != std::process::id()) {
                self.take(id.pid, id.start / TICK);
            }
        }
    }

    /// Who belongs to it by what `/proc` shows now, and was not taken in.
    pub(super) fn missing(&self) -> Vec<(u32, Stat)> {
        let container = match self.scope {
            Scope::Process => return Vec::new(),
            Scope::Tree => None,
            // Its first process may have ended; the others are in it all the same.
            Scope::Container => self.members.keys().find_map(|pid| crate::enrich::container_of(*pid)),
        };
        let roots: Vec<(u32, Stat)> =
            self.members.keys().filter_map(|pid| Some((*pid, process::stat(*pid)?))).collect();
        let mut found = process::below(&roots);
        if let Some(container) = container {
            let known =
                |pid: u32| self.members.contains_key(&pid) || found.iter().any(|(other, _)| *other == pid);
            let others: Vec<(u32, Stat)> = process::all()
                .into_iter()
                .filter(|pid| !known(*pid) && crate::enrich::container_of(*pid).as_ref() == Some(&container))
                .filter_map(|pid| Some((pid, process::stat(pid)?)))
                .collect();
            found.extend(others);
        }
        found
            .retain(|(pid, stat)| self.members.get(pid).is_none_or(|(member, _)| member.start != stat.start));
        found
    }

    /// Takes in all that belong to it and may be acted upon, and stops each at once, so that it makes no more of them.
    /// Returns why others were left alone.
    pub(super) fn stop_all(&mut self, forbidden: impl Fn(u32, &Stat) -> Option<String>) -> Vec<String> {
        let mut spared = BTreeMap::new();
        self.signal(Signal::STOP);
        for _ in 0..SEARCHES {
            let mut grown = false;
            for (pid, stat) in self.missing() {
                if let Some(reason) = forbidden(pid, &stat) {
                    spared.insert(pid, reason);
                } else if self.take(pid, stat.start) {
                    grown = true;
                    self.signal_one(pid, Signal::STOP);
                }
            }
            if !grown {
                break;
            }
        }
        spared.into_values().collect()
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

    /// Lets those go on that did before. Who stood still before goes on standing still.
    pub(super) fn resume(&self) {
        for (member, held) in self.members.values().filter(|(member, _)| !member.was_stopped) {
            if let Err(error) = held.signal(Signal::CONT) {
                tracing::error!("process {} cannot be resumed: {error}", member.pid);
            }
        }
    }

    /// Those that do not stand still within this time.
    pub(super) fn running_after(&self, time: Duration) -> Vec<u32> {
        let end = Instant::now() + time;
        loop {
            let running: Vec<u32> = self
                .members
                .iter()
                .filter(|(pid, (member, held))| {
                    process::stat(**pid).is_some_and(|stat| stat.start == member.start)
                        && !process::stands_still(**pid)
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

    /// Those that have not ended within this time.
    pub(super) fn living_after(&self, time: Duration) -> Vec<u32> {
        let end = Instant::now() + time;
        let lives = |held: &Held| !held.has_ended_within(end.saturating_duration_since(Instant::now()));
        self.members.iter().filter(|(_, (_, held))| lives(held)).map(|(pid, _)| *pid).collect()
    }

    /// Forgets those that have ended.
    pub(super) fn forget_ended(&mut self) {
        self.members.retain(|_, (_, held)| !held.has_ended_within(Duration::ZERO));
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
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let start = process::stat(child.id()).unwrap().start * TICK;
        let id = ProcessId { pid: child.id(), start };
        (child, id)
    }

    fn group(scope: Scope, root: ProcessId) -> Group {
        let mut group = Group::new(scope, root);
        assert!(group.take(root.pid, root.start / TICK));
        group
    }

    #[test]
    fn a_tree_is_stopped_resumed_and_ended_as_a_whole() {
        let (mut child, root) = tree();
        let mut group = group(Scope::Tree, root);
        assert!(group.stop_all(|_, _| None).is_empty());
        assert_eq!(group.len(), 2);
        assert!(group.running_after(Duration::from_secs(10)).is_empty());
        group.resume();
        assert!(group.members().iter().all(|member| !member.was_stopped));
        let end = Instant::now() + Duration::from_secs(10);
        while process::stands_still(root.pid) {
            assert!(Instant::now() < end, "it resumes");
        }
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
        let mut group = group(Scope::Tree, root);
        group.stop_all(|_, _| None);
        assert!(group.running_after(Duration::from_secs(10)).is_empty());
        group.resume();
        std::thread::sleep(Duration::from_millis(50));
        assert!(process::stands_still(root.pid), "it was stopped by somebody else");
        let others: Vec<_> = group.members().into_iter().filter(|member| member.pid != root.pid).collect();
        assert!(!process::stands_still(others[0].pid));
        group.signal(Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_may_not_be_acted_upon_is_left_alone_and_named() {
        let (mut child, root) = tree();
        let mut group = group(Scope::Tree, root);
        let spared = group.stop_all(|pid, _| Some(format!("process {pid} is dear")));
        assert_eq!((spared.len(), group.len()), (1, 1));
        let others = group.missing();
        assert!(!process::stands_still(others[0].0));
        group.take(others[0].0, others[0].1.start);
        group.signal(Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn another_process_of_the_same_number_is_not_taken() {
        let (mut child, root) = tree();
        let mut group = Group::new(Scope::Process, root);
        assert!(!group.take(root.pid, root.start / TICK + 1));
        assert!(group.take(root.pid, root.start / TICK) && !group.take(root.pid, root.start / TICK));
        assert!(group.missing().is_empty(), "one process has nobody with it");
        group.signal(Signal::KILL);
        child.wait().unwrap();
    }
}
