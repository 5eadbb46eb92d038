//! Attaches what sees files by the kernel's own objects, and so what io_uring does too: programs of the BPF LSM,
//! where that is not active at the entries of the functions that ask the LSM, and at the returns of functions.
//!
//! Where the kernel has neither, the exit of system calls tells of files, as it does for each hook that is
//! refused.

use std::fs;

use anyhow::Context;
use aya::maps::ProgramArray;
use aya::programs::{FEntry, FExit, Lsm, Program};
use aya::{Btf, Ebpf};

use super::hooks::{OPEN_FUNCTIONS, PATH_CALLERS, PATH_HOOKS, PATH_RESULTS};
use super::load::describe;
use crate::capability::{Capability, State};

/// What could be attached.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Whether opens are seen at the return of a function.
    pub(super) opens: bool,
    /// Whether acts upon paths are noted before they are done.
    pub(super) paths: bool,
    /// Why opens, or acts upon paths, are left to system calls; none where they are not.
    pub(super) refused: Option<String>,
}

/// Why the hooks of the LSM are not taken.
const INACTIVE: &str = "the BPF LSM is not active, so the functions before it are watched: to have it, add `bpf` to `lsm=` on the \
                        kernel's command line (/sys/kernel/security/lsm tells the modules)";

/// Names the active modules.
const ACTIVE: &str = "/sys/kernel/security/lsm";

/// Attaches what can be attached, and says so in `hooks`.
pub(super) fn attach(ebpf: &mut Ebpf, hooks: &mut Vec<Capability>, btf: &Btf) -> Objects {
    let mut objects = Objects::default();
    match attach_open(ebpf, btf) {
        Ok(function) => {
            objects.opens = true;
            hooks.push(Capability::new("files opened", format!("fexit:{function}"), State::Attached));
        }
        Err(error) => objects.refused = Some(describe(&*error)),
    }
    match attach_paths(ebpf, hooks, btf) {
        Ok(()) => objects.paths = true,
        Err(error) => objects.refused = Some(describe(&*error)),
    }
    objects
}

/// Attaches the hooks that paths pass.
///
/// # Errors
/// Why the first was refused, where all were.
fn attach_paths(ebpf: &mut Ebpf, hooks: &mut Vec<Capability>, btf: &Btf) -> anyhow::Result<()> {
    let is_lsm_active = is_lsm_active();
    let mechanisms: &[Mechanism] =
        if is_lsm_active { &[Mechanism::Lsm, Mechanism::Entry] } else { &[Mechanism::Entry] };
    let (mut by, mut by_calls, mut refused) = ([Vec::new(), Vec::new()], Vec::new(), None);
    for name in PATH_HOOKS.iter().copied() {
        let attach = |one: &Mechanism| match attach_path_hook(ebpf, name, *one, btf) {
            Ok(place) => Some((*one, place)),
            Err(error) => {
                refused.get_or_insert(error);
                None
            }
        };
        match mechanisms.iter().find_map(attach) {
            Some((mechanism, place)) => by[mechanism as usize].push(place),
            None => by_calls.push(name),
        }
    }
    let refused = match refused {
        Some(error) if by_calls.len() == PATH_HOOKS.len() => return Err(error),
        refused => refused.map(|error| format!("the kernel refused another hook: {}", describe(&*error))),
    };
    let mut unseen = by_calls;
    for (name, later) in PATH_RESULTS {
        if attach_exit(ebpf, name, name, btf).or_else(|_| attach_exit(ebpf, name, later, btf)).is_err() {
            unseen.push(name);
        }
    }
    for (mechanism, names) in [Mechanism::Lsm, Mechanism::Entry].into_iter().zip(by) {
        if names.is_empty() {
            continue;
        }
        let hook = format!("{}:{}", mechanism.name(), names.join(","));
        let second_best = match mechanism {
            Mechanism::Lsm => None,
            Mechanism::Entry if is_lsm_active => refused.clone(),
            Mechanism::Entry => Some(INACTIVE.to_owned()),
        };
        let unseen = (!unseen.is_empty())
            .then(|| format!("by system calls alone, and not of io_uring: {}", unseen.join(", ")));
        let reasons: Vec<String> = second_best.into_iter().chain(unseen).collect();
        let capability = Capability::new("paths changed", hook, State::Attached);
        hooks.push(if reasons.is_empty() { capability } else { capability.because(reasons.join("; ")) });
    }
    Ok(())
}

/// How a hook of the LSM is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Lsm,
    Entry,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Mechanism::Lsm => "lsm",
            Mechanism::Entry => "fentry",
        }
    }
}

/// Whether programs of the BPF LSM are run: where it is not active they attach all the same, and never run.
fn is_lsm_active() -> bool {
    fs::read_to_string(ACTIVE).is_ok_and(|active| active.trim().split(',').any(|module| module == "bpf"))
}

/// Attaches to a hook. Returns the name of the place.
fn attach_path_hook(ebpf: &mut Ebpf, name: &str, mechanism: Mechanism, btf: &Btf) -> anyhow::Result<String> {
    match mechanism {
        Mechanism::Lsm => {
            let program: &mut Lsm = program(ebpf, &format!("lsm_{name}"))?.try_into()?;
            program.load(name, btf)?;
            program.attach()?;
            Ok(name.to_owned())
        }
        Mechanism::Entry => {
            let program: &mut FEntry = program(ebpf, &format!("fentry_{name}"))?.try_into()?;
            let mut function = format!("security_{name}");
            if let Err(error) = program.load(&function, btf) {
                let (_, caller) = PATH_CALLERS.iter().find(|(hook, _)| *hook == name).ok_or(error)?;
                function = (*caller).to_owned();
                program.load(&function, btf)?;
            }
            program.attach()?;
            Ok(function)
        }
    }
}

fn attach_exit(ebpf: &mut Ebpf, name: &str, function: &str, btf: &Btf) -> anyhow::Result<()> {
    let program: &mut FExit = program(ebpf, name)?.try_into()?;
    program.load(function, btf)?;
    program.attach()?;
    Ok(())
}

/// The program that sees opens, with the walker of paths behind it, which is never attached itself. Returns the function.
fn attach_open(ebpf: &mut Ebpf, btf: &Btf) -> anyhow::Result<&'static str> {
    let walker: &mut FExit = program(ebpf, "file_returned_walk")?.try_into()?;
    let loads = |function: &&str| walker.load(function, btf).is_ok();
    let function = OPEN_FUNCTIONS.iter().copied().find(loads).context("no function that opens files")?;
    let walker = walker.fd()?.try_clone()?;
    let array = ebpf.map_mut("RETURNED_WALKER").context("the object lacks its array of programs")?;
    ProgramArray::try_from(array)?.set(0, &walker, 0)?;
    attach_exit(ebpf, "file_returned", function, btf)?;
    Ok(function)
}

pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Program> {
    ebpf.program_mut(name).with_context(|| format!("the object lacks {name}"))
}

/// Whether it is one of these programs, which see nothing but files and mounts.
pub(super) fn sees_files(name: &str, program: &Program) -> bool {
    matches!(program, Program::Lsm(_) | Program::FEntry(_) | Program::FExit(_))
        && !super::refusals::FUNCTIONS.contains(&name)
}

/// Detaches everything.
pub(super) fn detach(ebpf: &mut Ebpf) {
    for (_, program) in ebpf.programs_mut() {
        // A program that was never loaded has nothing to give up.
        let _ = match program {
            Program::Lsm(program) => program.unload(),
            Program::FEntry(program) => program.unload(),
            Program::FExit(program) => program.unload(),
            _ => Ok(()),
        };
    }
}
