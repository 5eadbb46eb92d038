//! What processes ask of sockets: to be made, to connect, to send somewhere.

use aya_ebpf::bindings::bpf_sock_addr;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{cgroup_sock, cgroup_sock_addr};
use aya_ebpf::programs::{SockAddrContext, SockContext};
use openclaw_common::verdict::{Counter, TICK};
use openclaw_ebpf::kernel::current_task;
use openclaw_ebpf::offset;

use crate::maps::{ISOLATED, count, in_force, is_blocked4, is_blocked6};

/// The caller gets EPERM.
const DENY: i32 = 0;
const ALLOW: i32 = 1;

/// `socket(AF_INET or AF_INET6, …)`. Since 4.10; the id of the process since 5.10.
#[cgroup_sock(sock_create)]
pub fn verdict_socket(_ctx: SockContext) -> i32 {
    if caller_is_isolated() { DENY } else { ALLOW }
}

/// `connect` to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn verdict_connect4(ctx: SockAddrContext) -> i32 {
    judge4(&ctx)
}

/// `connect` to an IPv6 address, which may stand for an IPv4 one.
#[cgroup_sock_addr(connect6)]
pub fn verdict_connect6(ctx: SockAddrContext) -> i32 {
    judge6(&ctx)
}

/// `sendto` and `sendmsg` of UDP to an IPv4 address.
#[cgroup_sock_addr(sendmsg4)]
pub fn verdict_send4(ctx: SockAddrContext) -> i32 {
    judge4(&ctx)
}

/// `sendto` and `sendmsg` of UDP to an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn verdict_send6(ctx: SockAddrContext) -> i32 {
    judge6(&ctx)
}

#[inline(always)]
fn judge4(ctx: &SockAddrContext) -> i32 {
    if caller_is_isolated() {
        return DENY;
    }
    // SAFETY: the context is the kernel's; the verifier checks the read.
    let address = unsafe { (&raw const (*ctx.sock_addr).user_ip4).read_volatile() };
    deny_if(is_blocked4(address.to_ne_bytes()))
}

#[inline(always)]
fn judge6(ctx: &SockAddrContext) -> i32 {
    if caller_is_isolated() {
        return DENY;
    }
    deny_if(is_blocked6([
        word(ctx.sock_addr, 0),
        word(ctx.sock_addr, 1),
        word(ctx.sock_addr, 2),
        word(ctx.sock_addr, 3),
    ]))
}

/// One word of the address. Volatile, since the compiler would otherwise copy the array in ways that the
/// verifier does not take for reads of the context.
#[inline(always)]
fn word(address: *mut bpf_sock_addr, n: usize) -> u32 {
    // SAFETY: the context is the kernel's; the verifier checks the read.
    unsafe { (&raw const (*address).user_ip6).cast::<u32>().add(n).read_volatile() }
}

#[inline(always)]
fn deny_if(blocked: bool) -> i32 {
    if blocked {
        count(Counter::BlockedCalls);
        DENY
    } else {
        ALLOW
    }
}

/// Whether the calling process is isolated. Its mark counts only while the process is the one that got it.
#[inline(always)]
fn caller_is_isolated() -> bool {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the value is copied at once.
    let Some(mark) = (unsafe { ISOLATED.get(tgid) }).copied() else { return false };
    if !in_force(mark.verdict) {
        return false;
    }
    let start: u64 = current_task().follow(offset!(task_group_leader)).get(offset!(task_start_boottime));
    // A start time that cannot be read (0) leaves the mark in force: it is removed when the process ends.
    if start != 0 && start / TICK != mark.start {
        return false;
    }
    count(Counter::IsolatedCalls);
    true
}
