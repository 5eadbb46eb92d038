//! Attaches programs that observe at the root of cgroup v2, where every socket of the machine is below.

use std::fs::File;

use aya::Ebpf;
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSock, CgroupSockAddr, Program, ProgramError};

use super::hooks::CgroupKind;
use super::load::describe;
use crate::respond::cgroup_root;

/// The root of cgroup v2, opened.
///
/// # Errors
/// When it is not mounted, or cannot be opened.
pub(super) fn root() -> anyhow::Result<File> {
    Ok(File::open(cgroup_root()?)?)
}

/// Loads a program and attaches it. It detaches when its object is dropped.
pub(super) fn attach(ebpf: &mut Ebpf, name: &str, kind: CgroupKind, root: &File) -> Result<(), String> {
    let program = ebpf.program_mut(name).ok_or("the object lacks it")?;
    try_attach(program, kind, root).map_err(|error| format!("{name}: {}", describe(&error)))
}

/// Detaches a program.
pub(super) fn detach(ebpf: &mut Ebpf, name: &str, kind: CgroupKind) {
    let Some(program) = ebpf.program_mut(name) else { return };
    // The program closes with its links; one that was never loaded has none.
    let _ = try_detach(program, kind);
}

fn try_detach(program: &mut Program, kind: CgroupKind) -> Result<(), ProgramError> {
    match kind {
        CgroupKind::Packet(_) => <&mut CgroupSkb>::try_from(program)?.unload(),
        CgroupKind::Socket => <&mut CgroupSock>::try_from(program)?.unload(),
        CgroupKind::Address => <&mut CgroupSockAddr>::try_from(program)?.unload(),
    }
}

fn try_attach(program: &mut Program, kind: CgroupKind, root: &File) -> Result<(), ProgramError> {
    // Links always allow several programs on a cgroup; the kernel refuses the other modes.
    let mode = CgroupAttachMode::Single;
    match kind {
        CgroupKind::Packet(direction) => {
            let program: &mut CgroupSkb = program.try_into()?;
            program.load()?;
            program.attach(root, direction, mode).map(drop)
        }
        CgroupKind::Socket => {
            let program: &mut CgroupSock = program.try_into()?;
            program.load()?;
            program.attach(root, mode).map(drop)
        }
        CgroupKind::Address => {
            let program: &mut CgroupSockAddr = program.try_into()?;
            program.load()?;
            program.attach(root, mode).map(drop)
        }
    }
}
