//! Attaches what sees packets for closed ports where the kernel does not say why it drops them, before 5.17: the entries
//! of the functions by which it answers them.

use anyhow::Context;
use aya::programs::FEntry;
use aya::{Btf, Ebpf};

use super::objects::program;

/// Functions of the kernel, and the programs of the same names: resets of TCP, and "port unreachable" for UDP.
pub(super) const FUNCTIONS: [&str; 4] =
    ["tcp_v4_send_reset", "tcp_v6_send_reset", "__icmp_send", "icmp6_send"];

/// Attaches to all of them. Returns the hook's name.
///
/// # Errors
/// Where one is refused; then none is attached.
pub(super) fn attach(ebpf: &mut Ebpf, btf: Option<&Btf>) -> anyhow::Result<String> {
    let btf = btf.context("this kernel tells no types (BTF)")?;
    let attached = FUNCTIONS.iter().try_for_each(|name| {
        let program: &mut FEntry = program(ebpf, name)?.try_into()?;
        program.load(name, btf)?;
        program.attach()?;
        anyhow::Ok(())
    });
    if let Err(error) = attached {
        for name in FUNCTIONS {
            if let Ok(one) = program(ebpf, name)
                && let Ok(one) = <&mut FEntry>::try_from(one)
            {
                // One that was never loaded has nothing to give up.
                let _ = one.unload();
            }
        }
        return Err(error);
    }
    Ok(format!("fentry:{}", FUNCTIONS.join(",")))
}
