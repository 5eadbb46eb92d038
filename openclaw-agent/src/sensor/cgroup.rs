//! Attaches programs that observe at the root of cgroup v2, where every socket of the machine is below.

use std::fs::File;
use std::io;

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSock, CgroupSockAddr, Program};

use super::hooks::CgroupKind;
use super::sys;
use crate::respond::cgroup_root;

/// The root of cgroup v2, opened.
///
/// # Errors
/// When it is not mounted, or cannot be opened.
pub(super) fn root() -> anyhow::Result<File> {
    Ok(File::open(cgroup_root()?)?)
}

/// A program that is attached. It detaches when this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    /// Its name.
    pub(super) program: &'static str,
    kind: CgroupKind,
    link: FdLink,
}

impl Attached {
    /// Loads a program, unless it is there, and attaches it.
    pub(super) fn new(
        ebpf: &mut Ebpf,
        program: &'static str,
        kind: CgroupKind,
        root: &File,
    ) -> Result<Self, String> {
        let found = ebpf.program_mut(program).ok_or("the object lacks it")?;
        match attach(found, kind, root) {
            Ok(link) => Ok(Attached { program, kind, link }),
            Err(error) => Err(format!("{program}: {error:#}")),
        }
    }

    /// Attaches it again.
    pub(super) fn again(&mut self, ebpf: &mut Ebpf) -> Result<(), String> {
        let root = root().map_err(|error| format!("{error:#}"))?;
        *self = Attached::new(ebpf, self.program, self.kind, &root)?;
        Ok(())
    }

    /// Whether somebody else has detached it.
    pub(super) fn is_detached(&self) -> bool {
        let cgroup =
            self.link.info().map_err(io::Error::other).and_then(|info| sys::cgroup_of_link(info.id()));
        // Whoever cannot be asked is not accused.
        cgroup.is_ok_and(|cgroup| cgroup == 0)
    }
}

fn attach(program: &mut Program, kind: CgroupKind, root: &File) -> anyhow::Result<FdLink> {
    // Links always allow several programs on a cgroup; the kernel refuses the other modes.
    let mode = CgroupAttachMode::Single;
    let is_loaded = program.fd().is_ok();
    Ok(match kind {
        CgroupKind::Packet(direction) => {
            let program: &mut CgroupSkb = program.try_into()?;
            if !is_loaded {
                program.load()?;
            }
            let link = program.attach(root, direction, mode)?;
            program.take_link(link)?.try_into()?
        }
        CgroupKind::Socket => {
            let program: &mut CgroupSock = program.try_into()?;
            if !is_loaded {
                program.load()?;
            }
            let link = program.attach(root, mode)?;
            program.take_link(link)?.try_into()?
        }
        CgroupKind::Address => {
            let program: &mut CgroupSockAddr = program.try_into()?;
            if !is_loaded {
                program.load()?;
            }
            let link = program.attach(root, mode)?;
            program.take_link(link)?.try_into()?
        }
    })
}
