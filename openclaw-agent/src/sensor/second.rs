//! Attaches the second watch over forks, execs and exits, where the tracepoints' programs can be preempted, and so are
//! skipped for other tasks: probes at functions right beside the tracepoints.
//!
//! Who comes first tells; so each of them may be refused, or its function be one that the compiler has put into its
//! caller, and everything is told as by the tracepoints alone.

use anyhow::Context;
use aya::Ebpf;
use aya::maps::{PerCpuArray, ProgramArray};
use aya::programs::KProbe;
use openclaw_common::layout::Layout;

use super::hooks::{EXEC_KPROBE_WALKER, SECOND};
use super::objects::program;
use crate::capability::{Capability, State};

/// Whether this kernel needs it.
pub(super) fn is_needed(layout: &Layout) -> bool {
    layout.preemptible_tracepoints == 1
}

/// Attaches what can be attached, and says so in `hooks`.
pub(super) fn attach(ebpf: &mut Ebpf, hooks: &mut Vec<Capability>) {
    let walker = set_walker(ebpf);
    for second in SECOND {
        let hook = format!("kprobe:{}", second.function);
        let attached = match &walker {
            Err(error) if second.walks => Err(anyhow::anyhow!("{error:#}")),
            _ => attach_one(ebpf, second.program, second.function),
        };
        hooks.push(match attached {
            Ok(()) => Capability::new(second.capability, hook, State::Attached),
            Err(error) => Capability::new(second.capability, hook, State::Degraded).because(format!(
                "some can be missed while another task is preempted in the tracepoint's program: {error:#}"
            )),
        });
    }
}

fn attach_one(ebpf: &mut Ebpf, name: &str, function: &str) -> anyhow::Result<()> {
    let program: &mut KProbe = program(ebpf, name)?.try_into()?;
    program.load()?;
    program.attach(function, 0)?;
    Ok(())
}

/// Loads the walker of paths behind the probe that sees execs, which is never attached itself.
fn set_walker(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    let (array, walker) = EXEC_KPROBE_WALKER;
    let walker: &mut KProbe = program(ebpf, walker)?.try_into()?;
    walker.load()?;
    let walker = walker.fd()?.try_clone()?;
    let array = ebpf.map_mut(array).context("the object lacks its array of programs")?;
    Ok(ProgramArray::try_from(array)?.set(0, &walker, 0)?)
}

/// How often a probe told what its tracepoint's program was skipped for.
pub(super) fn made_good(ebpf: &Ebpf) -> u64 {
    looks(ebpf, 0)
}

/// The capabilities whose probes have fired.
pub(super) fn fired(ebpf: &Ebpf) -> Vec<&'static str> {
    SECOND.iter().filter(|second| looks(ebpf, second.kind) > 0).map(|second| second.capability).collect()
}

/// A counter of `LOOKS`: see `second.rs` of the programs.
fn looks(ebpf: &Ebpf, index: u32) -> u64 {
    let counters = ebpf.map("LOOKS").and_then(|map| PerCpuArray::<_, u64>::try_from(map).ok());
    let each = counters.and_then(|counters| counters.get(&index, 0).ok());
    // One processor may have taken away what another has added.
    each.map_or(0, |each| each.iter().fold(0, |sum: u64, one| sum.wrapping_add(*one)))
}

/// Whether the program is a probe, which being skipped loses nothing that its tracepoint's program tells.
pub(super) fn is_second(name: &str) -> bool {
    SECOND.iter().any(|second| second.program == name)
}

/// Detaches everything.
pub(super) fn detach(ebpf: &mut Ebpf) {
    for second in SECOND {
        if let Ok(one) = program(ebpf, second.program)
            && let Ok(one) = <&mut KProbe>::try_from(one)
        {
            // One that was never loaded has nothing to give up.
            let _ = one.unload();
        }
    }
}
