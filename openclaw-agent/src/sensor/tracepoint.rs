//! Programs of tracepoints: raw ones, and those that know the types of what they are given.

use aya::programs::{Program, ProgramError};
use aya::{Btf, Ebpf};

use super::load::{LoadError, describe};

/// The tracepoint of all programs that are called by others and know types.
const OF_CALLS: &str = "sys_exit";

/// Loads a program that others call, where it is not loaded yet: the same stands for several things.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn load_for_tail_call(program: &mut Program, btf: Option<&Btf>) -> Result<(), String> {
    if program.fd().is_ok() {
        return Ok(());
    }
    load(program, OF_CALLS, btf)
}

/// Loads a program and attaches it to the first tracepoint that takes it. Returns the hook's name: that of the one, or
/// that of the first with why it does not.
pub(super) fn attach_first(
    program: &mut Program,
    tracepoints: &[&str],
    btf: Option<&Btf>,
) -> (String, Result<(), String>) {
    let mut refused = None;
    for tracepoint in tracepoints {
        let hook = name(program, tracepoint);
        match attach(program, tracepoint, btf) {
            Ok(()) => return (hook, Ok(())),
            Err(error) => refused = refused.or(Some((hook, Err(error)))),
        }
    }
    refused.unwrap_or_else(|| (String::new(), Err("it has no tracepoint".to_owned())))
}

/// Detaches a program and gives it up; one that was never loaded has nothing to give.
pub(super) fn detach(ebpf: &mut Ebpf, name: &'static str) {
    let _ = match ebpf.program_mut(name) {
        Some(Program::RawTracePoint(program)) => program.unload(),
        Some(Program::BtfTracePoint(program)) => program.unload(),
        _ => Ok(()),
    };
}

/// The program of that name.
///
/// # Errors
/// Where the object lacks it.
pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Program, LoadError> {
    ebpf.program_mut(name).ok_or(LoadError::Incomplete(name))
}

/// The name of the hook.
fn name(program: &Program, tracepoint: &str) -> String {
    match program {
        Program::BtfTracePoint(_) => format!("tp_btf:{tracepoint}"),
        _ => format!("raw_tracepoint:{tracepoint}"),
    }
}

fn load(program: &mut Program, tracepoint: &str, btf: Option<&Btf>) -> Result<(), String> {
    let loaded = match program {
        Program::RawTracePoint(program) if program.fd().is_ok() => Ok(()),
        Program::RawTracePoint(program) => program.load(),
        Program::BtfTracePoint(program) => {
            program.load(tracepoint, btf.ok_or("this kernel tells no types (BTF)")?)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    loaded.map_err(|error| describe(&error))
}

fn attach(program: &mut Program, tracepoint: &str, btf: Option<&Btf>) -> Result<(), String> {
    load(program, tracepoint, btf)?;
    let attached = match program {
        Program::RawTracePoint(program) => program.attach(tracepoint).map(drop),
        Program::BtfTracePoint(program) => program.attach().map(drop),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    attached.map_err(|error| describe(&error))
}
