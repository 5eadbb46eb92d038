//! The kernel programs that enforce: loaded, and attached to a cgroup.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::programs::links::FdLink;
use aya::programs::{
    CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, Program, RawTracePoint,
};
use aya::{Ebpf, EbpfLoader};
use openclaw_common::Layout;
use openclaw_common::layout::MISSING;

/// The programs, built from `openclaw-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("OPENCLAW_BPF_VERDICT"));

/// How a program is attached.
#[derive(Debug, Clone, Copy)]
pub(in crate::respond) enum Hook {
    /// Packets, on the cgroup.
    Packet(CgroupSkbAttachType),
    /// New sockets, on the cgroup.
    Socket,
    /// Addresses that are connected or sent to, on the cgroup.
    Address,
    /// A tracepoint of the whole kernel.
    Tracepoint(&'static str),
}

/// Every program, and where it goes.
pub(in crate::respond) const PROGRAMS: &[(&str, Hook)] = &[
    // The tracepoints come first, so that no child is missed between the first mark and them.
    ("verdict_fork", Hook::Tracepoint("sched_process_fork")),
    ("verdict_exit", Hook::Tracepoint("sched_process_exit")),
    ("verdict_egress", Hook::Packet(CgroupSkbAttachType::Egress)),
    ("verdict_ingress", Hook::Packet(CgroupSkbAttachType::Ingress)),
    ("verdict_socket", Hook::Socket),
    ("verdict_connect4", Hook::Address),
    ("verdict_connect6", Hook::Address),
    ("verdict_send4", Hook::Address),
    ("verdict_send6", Hook::Address),
];

/// Opens a folder of cgroup v2.
pub(in crate::respond) fn open_cgroup(cgroup: &Path) -> Result<File> {
    File::open(cgroup).with_context(|| format!("cannot open the cgroup {}", cgroup.display()))
}

/// Creates the maps and relocates the programs; loads none into the kernel yet.
/// `processes` is how many isolated processes there is room for.
pub(in crate::respond) fn load(layout: &Layout, processes: u32) -> Result<Ebpf> {
    for (entry, offset) in [
        ("task_struct.tgid", layout.task_tgid),
        ("task_struct.group_leader", layout.task_group_leader),
        ("task_struct.start_boottime", layout.task_start_boottime),
        ("task_struct.signal", layout.task_signal),
        ("signal_struct.live", layout.signal_live),
    ] {
        if offset == MISSING {
            bail!(
                "this kernel's type information lacks {entry}, so isolation could not be inherited or ended"
            );
        }
    }
    // Kernels before 5.11 count maps against this limit. Where it cannot be raised, newer ones do not mind.
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Memlock, unlimited);

    EbpfLoader::new()
        // As of the sensor's programs.
        .btf(None)
        .override_global("LAYOUT", bytemuck::bytes_of(layout), true)
        .map_max_entries("ISOLATED", processes)
        .load(OBJECT)
        .context("cannot load the verdict programs (root and CONFIG_BPF_SYSCALL are needed)")
}

/// As [`load`], and loads every program into the kernel: what is left to do, attaching, takes no time.
pub(in crate::respond) fn load_ahead(layout: &Layout, processes: u32) -> Result<Ebpf> {
    let mut programs = load(layout, processes)?;
    for (name, _) in PROGRAMS {
        let program =
            programs.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
        load_one(program).with_context(|| format!("cannot load {name} into the kernel"))?;
    }
    Ok(programs)
}

fn load_one(program: &mut Program) -> Result<()> {
    if program.fd().is_ok() {
        return Ok(()); // It is there already.
    }
    match program {
        Program::CgroupSkb(program) => program.load()?,
        Program::CgroupSock(program) => program.load()?,
        Program::CgroupSockAddr(program) => program.load()?,
        Program::RawTracePoint(program) => program.load()?,
        _ => bail!("no verdict is of its type"),
    }
    Ok(())
}

/// Loads one program into the kernel, unless it is there, and attaches it.
pub(in crate::respond) fn attach(
    programs: &mut Ebpf,
    name: &str,
    hook: Hook,
    cgroup: &File,
) -> Result<FdLink> {
    let program = programs.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    let link = try_attach(program, hook, cgroup);
    link.with_context(|| match hook {
        Hook::Tracepoint(tracepoint) => format!("cannot attach {name} to the tracepoint {tracepoint}"),
        _ => format!("cannot attach {name} to the cgroup"),
    })
}

fn try_attach(program: &mut Program, hook: Hook, cgroup: &File) -> Result<FdLink> {
    // Links always allow several programs on a cgroup; the kernel refuses the other modes.
    let mode = CgroupAttachMode::Single;
    load_one(program)?;
    Ok(match hook {
        Hook::Packet(direction) => {
            let program: &mut CgroupSkb = program.try_into()?;
            let link = program.attach(cgroup.as_fd(), direction, mode)?;
            program.take_link(link)?.try_into()?
        }
        Hook::Socket => {
            let program: &mut CgroupSock = program.try_into()?;
            let link = program.attach(cgroup.as_fd(), mode)?;
            program.take_link(link)?.try_into()?
        }
        Hook::Address => {
            let program: &mut CgroupSockAddr = program.try_into()?;
            let link = program.attach(cgroup.as_fd(), mode)?;
            program.take_link(link)?.try_into()?
        }
        Hook::Tracepoint(tracepoint) => {
            let program: &mut RawTracePoint = program.try_into()?;
            let link = program.attach(tracepoint)?;
            program.take_link(link)?.into()
        }
    })
}
