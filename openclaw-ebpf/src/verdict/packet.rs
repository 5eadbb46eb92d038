//! Packets of the cgroup's sockets, both ways.

use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::bpf_sk_fullsock;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use openclaw_common::verdict::Counter;

use crate::maps::{count, is_blocked4, is_blocked6, is_marked};

const DROP: i32 = 0;
const PASS: i32 = 1;

/// Where the remote address stands in a packet.
struct Remote {
    ipv4: usize,
    ipv6: usize,
}

/// Packets that a socket sends. Since 4.10; storage of sockets since 5.2.
#[cgroup_skb(egress)]
pub fn verdict_egress(ctx: SkBuffContext) -> i32 {
    judge(&ctx, Remote { ipv4: 16, ipv6: 24 })
}

/// Packets that reach a socket. The kernel has set `sk` to the socket that receives.
#[cgroup_skb(ingress)]
pub fn verdict_ingress(ctx: SkBuffContext) -> i32 {
    judge(&ctx, Remote { ipv4: 12, ipv6: 8 })
}

#[inline(always)]
fn judge(ctx: &SkBuffContext, remote: Remote) -> i32 {
    if let Some(socket) = full_socket(ctx)
        && is_marked(socket)
    {
        count(Counter::IsolatedPackets);
        return DROP;
    }
    if is_blocked(ctx, remote).unwrap_or(false) {
        count(Counter::BlockedPackets);
        return DROP;
    }
    PASS
}

/// The packet begins with its IP header here, in both directions.
#[inline(always)]
fn is_blocked(ctx: &SkBuffContext, remote: Remote) -> Option<bool> {
    match ctx.load::<u8>(0).ok()? >> 4 {
        4 => Some(is_blocked4(ctx.load(remote.ipv4).ok()?)),
        6 => Some(is_blocked6(ctx.load(remote.ipv6).ok()?)),
        _ => None,
    }
}

/// The packet's socket, unless it is a connection that is only being made or buried.
#[inline(always)]
fn full_socket(ctx: &SkBuffContext) -> Option<*mut bpf_sock> {
    // SAFETY: the context is the kernel's; the verifier checks the read and what it yields.
    let socket = unsafe { (*ctx.skb.skb).__bindgen_anon_2.sk };
    if socket.is_null() {
        return None;
    }
    // SAFETY: not null, and typed by the verifier.
    let socket = unsafe { bpf_sk_fullsock(socket) };
    if socket.is_null() { None } else { Some(socket) }
}
