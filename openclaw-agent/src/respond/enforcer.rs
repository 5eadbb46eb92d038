//! The kernel programs that enforce, by the maps that they read.

mod attach;
mod links;
mod networks;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, SkStorage};
use openclaw_common::verdict::{
    Allowed, BLOCK, Blocked, Counter, Fork, Isolation, NEAR_WORDS, ProcessMark, SocketMark, Verdict,
};

use super::Network;
use super::near::{self, Near};
use super::pins::{self, Pins};
use super::plan::Plan;
pub(super) use attach::{Hook, PROGRAMS, attach, load, load_ahead, open_cgroup};
pub(super) use links::detached;
pub(crate) use links::program_costs;
use networks::Networks;

/// Plain old data, as aya's maps take it.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
struct Plain<T>(T);

// SAFETY: `bytemuck::Pod` promises what `aya::Pod` asks for.
unsafe impl<T: bytemuck::Pod> aya::Pod for Plain<T> {}

/// The maps of programs that are attached.
pub(super) struct Enforcer {
    verdicts: HashMap<MapData, u64, Plain<Verdict>>,
    expiries: HashMap<MapData, u64, u64>,
    /// What `blocked` is to hold.
    plan: Plan,
    blocked: Networks<Blocked>,
    /// What `near_words` are to hold.
    near: Near,
    near_words: Array<MapData, u64>,
    allowed: Networks<Allowed>,
    isolation: Array<MapData, Plain<Isolation>>,
    isolated: HashMap<MapData, u32, Plain<ProcessMark>>,
    forks: HashMap<MapData, u32, Plain<Fork>>,
    counters: PerCpuArray<MapData, u64>,
    marks: SkStorage<MapData, Plain<SocketMark>>,
    attached: HashMap<MapData, u32, u64>,
}

impl Enforcer {
    /// Attaches the programs to the cgroup and pins them in the staging folder.
    pub(super) fn install(mut programs: Ebpf, cgroup: &Path, pins: &Pins) -> Result<Self> {
        let folder = pins.stage()?;
        let target = open_cgroup(cgroup)?;
        for (name, hook) in PROGRAMS {
            let link = attach(&mut programs, name, *hook, &target)?;
            let path = folder.join(pins::link(name));
            link.pin(&path).with_context(|| format!("cannot pin {name} at {}", path.display()))?;
        }
        let mut enforcer = Self::from_maps(|name| {
            let map = programs
                .take_map(name)
                .with_context(|| format!("the verdict programs have no map {name}"))?;
            let path = folder.join(name);
            map.pin(&path).with_context(|| format!("cannot pin {}", path.display()))?;
            Ok(map)
        })?;
        enforcer.attached.insert(0, inode(cgroup)?, 0).context("cannot note the cgroup")?;
        Ok(enforcer)
    }

    /// Takes over what an earlier agent pinned.
    pub(super) fn adopt(pins: &Pins) -> Result<Self> {
        let folder = pins.folder();
        for (name, _) in PROGRAMS {
            let path = folder.join(pins::link(name));
            if !path.exists() {
                bail!("{} is missing", path.display());
            }
        }
        let mut enforcer = Self::from_maps(|name| {
            let path = folder.join(name);
            let map = MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
            Ok(Map::from_map_data(map)?)
        })?;
        // The earlier agent may have been killed between the two.
        for (number, verdict) in enforcer.verdicts() {
            enforcer.set_expiry(number, verdict.expiry)?;
        }
        Ok(enforcer)
    }

    /// The maps by name, wherever they come from.
    pub(super) fn from_maps(mut map: impl FnMut(&str) -> Result<Map>) -> Result<Self> {
        Ok(Enforcer {
            verdicts: map("VERDICTS")?.try_into()?,
            expiries: map("EXPIRIES")?.try_into()?,
            plan: Plan::default(),
            blocked: Networks::new(
                map("BLOCKED4")?.try_into()?,
                map("BLOCKED6")?.try_into()?,
                "blocked networks",
            ),
            near: Near::default(),
            near_words: map("NEAR")?.try_into()?,
            allowed: Networks::new(
                map("ALLOWED4")?.try_into()?,
                map("ALLOWED6")?.try_into()?,
                "networks that isolation leaves open",
            ),
            isolation: map("ISOLATION")?.try_into()?,
            isolated: map("ISOLATED")?.try_into()?,
            forks: map("FORKS")?.try_into()?,
            counters: map("COUNTERS")?.try_into()?,
            marks: map("MARKS")?.try_into()?,
            attached: map("ATTACHED")?.try_into()?,
        })
    }

    /// Whether the programs are attached to this cgroup.
    pub(super) fn is_attached_to(&self, cgroup: &Path) -> bool {
        match (self.attached.get(&0, 0), inode(cgroup)) {
            (Ok(attached), Ok(wanted)) => attached == wanted,
            _ => false,
        }
    }

    /// Every verdict that the kernel holds, expired ones too.
    pub(super) fn verdicts(&self) -> BTreeMap<u64, Verdict> {
        self.verdicts
            .iter()
            .filter_map(|entry| entry.ok().map(|(number, Plain(value))| (number, value)))
            .collect()
    }

    /// Sets or replaces a verdict.
    pub(super) fn set_verdict(&mut self, number: u64, verdict: Verdict) -> Result<()> {
        self.verdicts
            .insert(number, Plain(verdict), 0)
            .context("the kernel's table of verdicts takes no more")?;
        self.set_expiry(number, verdict.expiry)
    }

    fn set_expiry(&mut self, number: u64, expiry: u64) -> Result<()> {
        self.expiries.insert(number, expiry, 0).context("the kernel's table of verdicts takes no more")
    }

    /// Ends a verdict at once. The marks that name it lose their force.
    pub(super) fn remove_verdict(&mut self, number: u64) -> Result<()> {
        let gone = "cannot remove the verdict from the kernel";
        // What a block is on bears no marks, and looking through those of a large machine takes its time.
        let may_have_marks = self.verdicts.get(&number, 0).is_ok_and(|Plain(verdict)| verdict.kind != BLOCK);
        absent_is_fine(self.expiries.remove(&number)).context(gone)?;
        absent_is_fine(self.verdicts.remove(&number)).context(gone)?;
        for (pid, mark) in if may_have_marks { self.marked_processes() } else { Vec::new() } {
            if mark.verdict == number {
                absent_is_fine(self.isolated.remove(&pid)).context("cannot unmark a process")?;
            }
        }
        Ok(())
    }

    /// Ends every verdict at once.
    pub(super) fn clear(&mut self) -> Result<()> {
        let opened = self.set_isolation(Isolation::default());
        let unblocked = self.block_only(&[]);
        let removed =
            self.verdicts().into_keys().map(|number| self.remove_verdict(number)).fold(Ok(()), Result::and);
        opened.and(unblocked).and(removed)
    }

    /// When a verdict ends, in nanoseconds since boot; 0 where there is none.
    fn expiry(&self, number: u64) -> u64 {
        self.expiries.get(&number, 0).unwrap_or(0)
    }

    /// Has the kernel drop what goes to a network and what comes from it, until then, in nanoseconds since boot.
    pub(super) fn block(&mut self, network: Network, expiry: u64) -> Result<()> {
        if !self.plan.has(network) {
            let words = self.near.add(network);
            self.write_near(words)?;
        }
        let changed = self.plan.block(network, expiry);
        self.write_blocked(changed)
    }

    /// Has it let pass again what nothing else blocks.
    pub(super) fn unblock(&mut self, network: Network) -> Result<()> {
        // What is in it first, so that nothing that stays blocked passes in between.
        let was_blocked = self.plan.has(network);
        let changed = self.plan.unblock(network);
        self.write_blocked(changed)?;
        self.blocked.remove(network)?;
        let words = if was_blocked { self.near.remove(network) } else { Vec::new() };
        self.write_near(words)
    }

    /// Has it block exactly these.
    pub(super) fn block_only(&mut self, blocks: &[(Network, u64)]) -> Result<()> {
        (self.plan, self.near) = (Plan::default(), Near::default());
        for (network, _) in blocks {
            self.near.add(*network);
        }
        // What is blocked already stays near until it is known what is not to be.
        self.write_near_words(|before, now| before | now)?;
        // The wide ones first: what is in them never gets an earlier end than it has.
        let mut ordered = blocks.to_vec();
        ordered.sort_by_key(|(network, _)| network.prefix());
        for (network, expiry) in ordered {
            let changed = self.plan.block(network, expiry);
            self.write_blocked(changed)?;
        }
        let mut others = self.blocked.all();
        for (network, _) in blocks {
            others.remove(network);
        }
        others.into_iter().try_for_each(|network| self.blocked.remove(network))?;
        self.write_near_words(|_, now| now)
    }

    /// Writes each word by what it was and what it is to be.
    fn write_near_words(&mut self, wanted: impl Fn(u64, u64) -> u64) -> Result<()> {
        let word = |place| {
            let before = self.near_words.get(&place, 0).unwrap_or(0);
            let wanted = wanted(before, self.near.word(place));
            (wanted != before).then_some((place, wanted))
        };
        let changed = (0..NEAR_WORDS).filter_map(word).collect();
        self.write_near(changed)
    }

    fn write_near(&mut self, words: Vec<near::Word>) -> Result<()> {
        words.into_iter().try_for_each(|(place, word)| {
            self.near_words
                .set(place, word, 0)
                .context("cannot tell the kernel near which addresses something is blocked")
        })
    }

    fn write_blocked(&mut self, entries: Vec<(Network, u64)>) -> Result<()> {
        entries.into_iter().try_for_each(|(network, expiry)| self.blocked.set(network, Blocked { expiry }))
    }

    /// Until when the kernel drops a network's first address, in nanoseconds since boot.
    pub(super) fn blocked_until(&self, network: Network) -> u64 {
        self.blocked.first(network).map_or(0, |blocked| blocked.expiry)
    }

    /// Says whether the host is isolated, and leaves exactly these networks open to the isolated.
    pub(super) fn isolate(
        &mut self,
        isolation: Isolation,
        allowed: &BTreeMap<Network, Allowed>,
    ) -> Result<()> {
        if isolation.host_until == 0 {
            // Whatever becomes of the rest.
            self.set_isolation(isolation)?;
        }
        self.allow_only(allowed)?;
        self.set_isolation(isolation)
    }

    fn set_isolation(&mut self, isolation: Isolation) -> Result<()> {
        self.isolation
            .set(0, Plain(isolation), 0)
            .context("cannot tell the kernel what isolation leaves open")
    }

    /// What the kernel was told of it.
    pub(super) fn isolation(&self) -> Isolation {
        self.isolation.get(&0, 0).map(|Plain(isolation)| isolation).unwrap_or_default()
    }

    /// Leaves exactly these networks open to the isolated.
    pub(super) fn allow_only(&mut self, allowed: &BTreeMap<Network, Allowed>) -> Result<()> {
        for (network, what) in allowed {
            self.allowed.set(*network, *what)?;
        }
        let others = self.allowed.all().into_iter().filter(|network| !allowed.contains_key(network));
        others.collect::<Vec<_>>().into_iter().try_for_each(|network| self.allowed.remove(network))
    }

    /// The marked processes by id.
    pub(super) fn marked_processes(&self) -> Vec<(u32, ProcessMark)> {
        self.isolated.iter().filter_map(|entry| entry.ok().map(|(pid, Plain(mark))| (pid, mark))).collect()
    }

    /// The mark of one process.
    pub(super) fn process_mark(&self, pid: u32) -> Option<ProcessMark> {
        self.isolated.get(&pid, 0).ok().map(|Plain(mark)| mark)
    }

    /// Marks a process, unless it bears a mark of its own that lasts as long.
    pub(super) fn mark_process(&mut self, pid: u32, mark: ProcessMark) -> Result<()> {
        if let Some(current) = self.process_mark(pid)
            && current.start == mark.start
            && (current.verdict == mark.verdict || self.expiry(current.verdict) >= self.expiry(mark.verdict))
        {
            return Ok(());
        }
        self.isolated
            .insert(pid, Plain(mark), 0)
            .with_context(|| format!("the kernel's table of isolated processes takes no more: process {pid}"))
    }

    /// Removes this mark, where the process bears it.
    pub(super) fn unmark_process(&mut self, pid: u32, mark: ProcessMark) {
        if self.process_mark(pid) == Some(mark) {
            let _ = self.isolated.remove(&pid); // It may go by itself at the same moment.
        }
    }

    /// Copies a mark as it is.
    pub(super) fn copy_mark(&mut self, pid: u32, mark: ProcessMark) -> Result<()> {
        self.isolated
            .insert(pid, Plain(mark), 0)
            .context("the kernel's table of isolated processes takes no more")
    }

    /// Marks a socket, unless it bears a mark that lasts as long, and looks whether it bears one now.
    pub(super) fn mark_socket(&mut self, socket: BorrowedFd<'_>, verdict: u64) -> Result<()> {
        let socket = Descriptor(socket);
        let current = self.marks.get(&socket, 0).ok().map(|Plain(mark)| mark.verdict);
        if current.is_some_and(|other| other == verdict || self.expiry(other) >= self.expiry(verdict)) {
            return Ok(());
        }
        self.marks.insert(&socket, Plain(SocketMark { verdict }), 0).context("cannot mark a socket")?;
        let now = self.marks.get(&socket, 0).context("a socket did not keep its mark")?;
        if now.0.verdict != verdict {
            bail!("a socket did not keep its mark");
        }
        Ok(())
    }

    /// The forks since the programs were attached, as far as the kernel kept them.
    pub(super) fn forks(&self) -> Vec<(u32, Fork)> {
        self.forks.iter().filter_map(|entry| entry.ok().map(|(child, Plain(fork))| (child, fork))).collect()
    }

    /// What the programs counted.
    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.counters.get(&(counter as u32), 0).map_or(0, |values| values.iter().sum())
    }
}

impl std::fmt::Debug for Enforcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enforcer").finish_non_exhaustive()
    }
}

/// A borrowed descriptor, as aya's socket map takes it.
struct Descriptor<'a>(BorrowedFd<'a>);

impl AsRawFd for Descriptor<'_> {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

fn absent_is_fine(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

fn inode(path: &Path) -> Result<u64> {
    Ok(path.metadata().with_context(|| format!("cannot look at {}", path.display()))?.ino())
}

/// Whether any program is still attached by its pin: whoever takes verdicts back by hand removes all of them.
pub(super) fn is_pinned(pins: &Pins) -> bool {
    let folder = pins.folder();
    PROGRAMS.iter().any(|(name, _)| folder.join(pins::link(name)).exists())
}
