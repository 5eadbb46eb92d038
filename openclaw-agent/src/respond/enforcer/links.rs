//! What the pinned links tell of the programs: whether they are still attached, since whoever is root can detach one, whose pin
//! stays, or remove its pin; and what they cost.

use std::path::Path;

use aya::programs::links::{FdLink, LinkInfo, PinnedLink};

use super::super::pins::{Pins, link};
use super::attach::{Hook, PROGRAMS};
use crate::sensor::{ProgramCost, cgroup_of_link, cost_of};

/// The programs that are attached no more, by name.
pub(in crate::respond) fn detached(pins: &Pins) -> Vec<&'static str> {
    let folder = pins.folder();
    let is_detached = |(name, hook): &&(&'static str, Hook)| !is_attached(&folder.join(link(name)), *hook);
    PROGRAMS.iter().filter(is_detached).map(|(name, _)| *name).collect()
}

/// What cannot be asked is taken for attached.
fn is_attached(pin: &Path, hook: Hook) -> bool {
    if !pin.try_exists().unwrap_or(true) {
        return false;
    }
    match hook {
        // As long as it is pinned.
        Hook::Tracepoint(_) => true,
        Hook::Packet(_) | Hook::Socket | Hook::Address => cgroup_of(pin).is_none_or(|cgroup| cgroup != 0),
    }
}

fn cgroup_of(pin: &Path) -> Option<u64> {
    cgroup_of_link(told_of(pin)?.id()).ok()
}

fn told_of(pin: &Path) -> Option<LinkInfo> {
    FdLink::from(PinnedLink::from_pin(pin).ok()?).info().ok()
}

/// How large the programs are that are pinned in this BPF file system, and what they have cost; none where no verdict lives.
pub(crate) fn program_costs(bpffs: &Path) -> Vec<ProgramCost> {
    let pins = Pins::new(bpffs);
    if !pins.exist() {
        return Vec::new();
    }
    let folder = pins.folder();
    let cost = |(name, _): &(&'static str, Hook)| {
        cost_of(name, told_of(&folder.join(link(name)))?.program_id()).ok()
    };
    PROGRAMS.iter().filter_map(cost).collect()
}
