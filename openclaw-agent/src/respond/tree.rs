//! An isolated process tree: finds its processes and their sockets, and marks them.
//!
//! The root is marked first. From then on the kernel marks every child at its fork; what was forked before
//! is found here, by sweeps that go on until one finds nothing new.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;

use anyhow::Result;
use openclaw_common::verdict::ProcessMark;
use openclaw_detect::Scope;

use super::enforcer::Enforcer;
use super::process::{self, Held};
use crate::enrich::container_of;

/// Sweeps until nothing changes; more than this and somebody forks as fast as we look. The kernel's own
/// marks at fork hold then all the same.
const SWEEPS: usize = 64;

/// The processes and sockets of one isolation.
#[derive(Debug)]
pub(super) struct Tree {
    verdict: u64,
    /// The path of the container's control group, where all of it is meant. Its runtime puts others into it, and it may be
    /// started again.
    container: Option<String>,
    /// Whether that is still to be read off one of its processes, by what an earlier agent left.
    seeks_container: bool,
    /// Members by id, with their start in clock ticks; those that have ended too, since their children
    /// are known by them.
    members: HashMap<u32, u64>,
    /// Members that could not be marked, with the error. Tried again at each sweep.
    unmarked: BTreeMap<u32, String>,
    /// Inode numbers of the sockets that were looked at.
    seen: HashSet<u64>,
}

/// What a sweep could not do.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Shortfall {
    /// Processes that could not be marked.
    pub(super) processes: usize,
    /// Sockets that could not be marked.
    pub(super) sockets: usize,
    /// The first error.
    pub(super) error: Option<String>,
}

impl Shortfall {
    fn socket(&mut self, error: impl ToString) {
        self.sockets += 1;
        self.error.get_or_insert_with(|| error.to_string());
    }

    /// One clause, or `None` where nothing is missing.
    pub(super) fn sentence(&self) -> Option<String> {
        let error = self.error.as_deref()?;
        Some(format!(
            "{} processes and {} sockets of the tree could not be cut off: {error}",
            self.processes, self.sockets
        ))
    }
}

impl Tree {
    /// A tree, or with a path of control groups all of that container.
    pub(super) fn new(verdict: u64, container: Option<String>) -> Self {
        Tree {
            verdict,
            container,
            seeks_container: false,
            members: HashMap::new(),
            unmarked: BTreeMap::new(),
            seen: HashSet::new(),
        }
    }

    /// What an earlier agent left: of a container, only that it is one.
    pub(super) fn left(verdict: u64, scope: Scope) -> Self {
        Tree { seeks_container: scope == Scope::Container, ..Self::new(verdict, None) }
    }

    /// Whether it is of this container.
    pub(super) fn is_of(&self, container: Option<&str>) -> bool {
        container.is_none() || self.container.as_deref() == container
    }

    /// Whether the process is of this tree.
    pub(super) fn has(&self, pid: u32, start: u64) -> bool {
        self.members.get(&pid) == Some(&start)
    }

    /// Takes a process for a member that was marked before, or has ended.
    pub(super) fn expect(&mut self, pid: u32, start: u64) {
        self.members.insert(pid, start);
    }

    /// Marks every member and socket again: another verdict that they were marked with may have ended.
    pub(super) fn mark_anew(&mut self, enforcer: &mut Enforcer) -> Shortfall {
        self.inherit(enforcer);
        // What was forked under another isolation's mark is known by its parents alone.
        self.find_children(enforcer);
        self.forget_ended(enforcer);
        self.seen.clear();
        for (pid, start) in self.members.clone() {
            let _ = self.mark(enforcer, pid, start); // In the next tick's shortfall.
        }
        self.mark_all(enforcer)
    }

    /// Marks a process as a member. Where that fails it stays one, and is tried again.
    ///
    /// # Errors
    /// When the kernel's table is full.
    pub(super) fn mark(&mut self, enforcer: &mut Enforcer, pid: u32, start: u64) -> Result<()> {
        self.members.insert(pid, start);
        let marked = enforcer.mark_process(pid, ProcessMark { verdict: self.verdict, start });
        match &marked {
            Ok(()) => self.unmarked.remove(&pid),
            Err(error) => self.unmarked.insert(pid, format!("{error:#}")),
        };
        marked
    }

    /// Marks everything: sweeps until nothing new is found.
    pub(super) fn mark_all(&mut self, enforcer: &mut Enforcer) -> Shortfall {
        let mut shortfall = Shortfall::default();
        for _ in 0..SWEEPS {
            let known = (self.members.len(), self.seen.len());
            self.inherit(enforcer);
            self.find_children(enforcer);
            self.find_in_container(enforcer);
            shortfall = self.mark_sockets(enforcer);
            if (self.members.len(), self.seen.len()) == known {
                break;
            }
        }
        shortfall
    }

    /// Finds what has come since: children that the kernel marked, and sockets that were passed in.
    pub(super) fn refresh(&mut self, enforcer: &mut Enforcer) -> Shortfall {
        self.inherit(enforcer);
        self.find_in_container(enforcer);
        self.forget_ended(enforcer);
        for pid in self.unmarked.clone().into_keys() {
            if let Some(start) = self.members.get(&pid).copied() {
                let _ = self.mark(enforcer, pid, start);
            }
        }
        self.mark_sockets(enforcer)
    }

    fn forget_ended(&mut self, enforcer: &mut Enforcer) {
        self.members.retain(|pid, start| {
            let lives = process::stat(*pid).is_some_and(|stat| stat.start == *start);
            if !lives {
                // Only there if the process ended between being found and being marked.
                enforcer.unmark_process(*pid, ProcessMark { verdict: self.verdict, start: *start });
            }
            lives
        });
        self.unmarked.retain(|pid, _| self.members.contains_key(pid));
    }

    /// Takes in the children that the kernel marked, but not this agent, nor what it descends from.
    fn inherit(&mut self, enforcer: &Enforcer) {
        let own = process::lineage();
        for (pid, mark) in enforcer.marked_processes() {
            if mark.verdict == self.verdict && !own.contains(&(pid, mark.start)) {
                self.members.insert(pid, mark.start);
            }
        }
        self.members.retain(|pid, start| !own.contains(&(*pid, *start)));
        self.unmarked.retain(|pid, _| self.members.contains_key(pid));
    }

    /// Marks children that were forked before their parent was marked.
    fn find_children(&mut self, enforcer: &mut Enforcer) {
        // Forks first: a child that was forked by now and is not seen after that has ended.
        let forks = enforcer.forks();
        let processes: HashMap<u32, process::Stat> =
            process::all().into_iter().filter_map(|pid| Some((pid, process::stat(pid)?))).collect();
        let lives = |pid: u32, start: u64| processes.get(&pid).is_some_and(|stat| stat.start == start);
        let own = process::lineage();
        loop {
            let by_parent = processes.iter().filter_map(|(pid, stat)| {
                let parent = processes.get(&stat.parent)?;
                self.has(stat.parent, parent.start).then_some((*pid, stat.start))
            });
            // Those that have ended too: their children live below init by now.
            let by_fork = forks
                .iter()
                .filter(|(_, fork)| self.has(fork.parent, fork.parent_start))
                .map(|(child, fork)| (*child, fork.start));
            let new: Vec<(u32, u64)> = by_parent
                .chain(by_fork)
                .filter(|(pid, start)| !self.has(*pid, *start) && !own.contains(&(*pid, *start)))
                .collect();
            if new.is_empty() {
                break;
            }
            for (pid, start) in new {
                if lives(pid, start) {
                    let _ = self.mark(enforcer, pid, start); // Noted, and tried again.
                } else {
                    self.expect(pid, start);
                }
            }
        }
    }

    /// Marks what has come into the container, other than by fork.
    fn find_in_container(&mut self, enforcer: &mut Enforcer) {
        if self.seeks_container {
            let lives =
                |(pid, start): &(&u32, &u64)| process::stat(**pid).is_some_and(|stat| stat.start == **start);
            self.container = self.members.iter().filter(lives).find_map(|(pid, _)| container_of(*pid));
            self.seeks_container = self.container.is_none();
        }
        let Some(container) = &self.container else { return };
        let own = process::lineage();
        for (pid, stat) in process::of_container(container) {
            if !self.has(pid, stat.start) && !own.contains(&(pid, stat.start)) {
                let _ = self.mark(enforcer, pid, stat.start); // Noted, and tried again.
            }
        }
    }

    /// Marks the sockets that were not looked at yet. Returns what is missing, unmarked processes included.
    fn mark_sockets(&mut self, enforcer: &mut Enforcer) -> Shortfall {
        let mut shortfall = Shortfall {
            processes: self.unmarked.len(),
            sockets: 0,
            error: self.unmarked.values().next().cloned(),
        };
        let members: Vec<(u32, u64)> = self.members.iter().map(|(pid, start)| (*pid, *start)).collect();
        for (pid, start) in members {
            let Some(held) = Held::process(pid, start) else { continue };
            for thread in process::threads(pid) {
                if thread == pid {
                    self.mark_sockets_of(enforcer, &held, pid, pid, &mut shortfall);
                } else if !process::share_descriptors(pid, thread) {
                    self.mark_sockets_of_thread(enforcer, pid, thread, &mut shortfall);
                }
            }
        }
        shortfall
    }

    /// A thread with a table of its own: after `unshare(CLONE_FILES)`, or when the first thread has ended.
    fn mark_sockets_of_thread(
        &mut self,
        enforcer: &mut Enforcer,
        pid: u32,
        thread: u32,
        shortfall: &mut Shortfall,
    ) {
        if process::sockets(pid, thread).iter().all(|(_, inode)| self.seen.contains(inode)) {
            return;
        }
        match Held::thread(thread) {
            Ok(held) => self.mark_sockets_of(enforcer, &held, pid, thread, shortfall),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => shortfall.socket(format!(
                "thread {thread} of process {pid} has descriptors of its own, which kernels before 6.9 do not \
                 lend; ending the process cuts them"
            )),
            Err(_) => {} // It has ended.
        }
    }

    fn mark_sockets_of(
        &mut self,
        enforcer: &mut Enforcer,
        held: &Held,
        pid: u32,
        thread: u32,
        shortfall: &mut Shortfall,
    ) {
        for (number, inode) in process::sockets(pid, thread) {
            if self.seen.contains(&inode) {
                continue;
            }
            let socket = match held.descriptor(number) {
                Ok(socket) => socket,
                Err(error) if is_gone(&error) => continue,
                Err(error) => {
                    shortfall.socket(format!("descriptor {number} of process {pid}: {error}"));
                    continue;
                }
            };
            if process::is_internet(socket.as_fd())
                && let Err(error) = enforcer.mark_socket(socket.as_fd(), self.verdict)
            {
                shortfall.socket(format!("descriptor {number} of process {pid}: {error:#}"));
                continue;
            }
            // The number may have been given to another socket since it was listed: that one is looked at
            // in the next sweep, under its own inode number.
            if rustix::fs::fstat(&socket).is_ok_and(|stat| stat.st_ino == inode) {
                self.seen.insert(inode);
            }
        }
    }
}

/// Whether the descriptor or its process has gone meanwhile.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADF | libc::ESRCH))
}
