//! Packets of the cgroup's sockets, both ways.

use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::bpf_sk_fullsock;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use openclaw_common::verdict::{AGENT, Counter, HOST_LOOPBACK, OWN_LOOPBACK};

use crate::maps::{Address, count, in_force, isolation, mark_of, now};

const DROP: i32 = 0;
const PASS: i32 = 1;

/// `LOOPBACK_IFINDEX` of the kernel's `flow.h`: the loopback interface of each network namespace.
const LOOPBACK: u32 = 1;

/// Protocols of IP, by IANA's numbers.
const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Where things of the other side stand in a packet. It begins with its IP header, in both directions.
#[derive(Clone, Copy)]
struct Remote {
    /// The address in an IPv4 header.
    ipv4: usize,
    /// The address in an IPv6 header.
    ipv6: usize,
    /// The port in a header of TCP or UDP.
    port: usize,
    /// Whether the packet goes there.
    is_destination: bool,
}

const DESTINATION: Remote = Remote { ipv4: 16, ipv6: 24, port: 2, is_destination: true };
const SOURCE: Remote = Remote { ipv4: 12, ipv6: 8, port: 0, is_destination: false };

/// Packets that a socket sends. Since 4.10; storage of sockets since 5.2.
#[cgroup_skb(egress)]
pub fn verdict_egress(ctx: SkBuffContext) -> i32 {
    judge(&ctx, DESTINATION)
}

/// Packets that reach a socket. The kernel has set `sk` to the socket that receives.
#[cgroup_skb(ingress)]
pub fn verdict_ingress(ctx: SkBuffContext) -> i32 {
    judge(&ctx, SOURCE)
}

#[inline(always)]
fn judge(ctx: &SkBuffContext, remote: Remote) -> i32 {
    let address = address(ctx, remote).unwrap_or(Address::NONE);
    if is_cut_off(ctx, remote, address) {
        count(Counter::IsolatedPackets);
        return DROP;
    }
    if address.is_blocked() {
        count(Counter::BlockedPackets);
        return DROP;
    }
    PASS
}

/// Whether isolation, of its socket or of the host, stops the packet.
#[inline(always)]
fn is_cut_off(ctx: &SkBuffContext, remote: Remote, address: Address) -> bool {
    let mark = full_socket(ctx).and_then(mark_of);
    if let Some(verdict) = mark
        && verdict != AGENT
        && in_force(verdict)
    {
        return !may_pass(ctx, remote, address, OWN_LOOPBACK);
    }
    let Some(isolation) = isolation() else { return false };
    // What has no address is let pass: an error here must not cut a host off from those who allow themselves in.
    isolation.host_until != 0
        && isolation.host_until > now()
        && !address.is_none()
        && mark != Some(AGENT)
        && !may_pass(ctx, remote, address, HOST_LOOPBACK)
        && !keeps_the_link(ctx, remote, address)
}

/// Whether isolation leaves open where the packet goes to or comes from. `loopback` is what says so of loopback.
#[inline(always)]
fn may_pass(ctx: &SkBuffContext, remote: Remote, address: Address, loopback: u32) -> bool {
    let Some(isolation) = isolation() else { return false };
    // SAFETY: the context is the kernel's; the verifier checks the read.
    if isolation.open & loopback != 0 && unsafe { (*ctx.skb.skb).ifindex } == LOOPBACK {
        return true;
    }
    match address.allowed() {
        Some(allowed) => allowed.port == 0 || port(ctx, remote) == Some(allowed.port),
        None => false,
    }
}

#[inline(always)]
fn address(ctx: &SkBuffContext, remote: Remote) -> Option<Address> {
    match version(ctx)? {
        4 => Some(Address::v4(ctx.load(remote.ipv4).ok()?)),
        6 => Some(Address::of_words(ctx.load(remote.ipv6).ok()?)),
        _ => None,
    }
}

#[inline(always)]
fn version(ctx: &SkBuffContext) -> Option<u8> {
    Some(ctx.load::<u8>(0).ok()? >> 4)
}

/// The other side's port of TCP or UDP; none of fragments but the first, and behind extension headers.
#[inline(always)]
fn port(ctx: &SkBuffContext, remote: Remote) -> Option<u32> {
    let (protocol, at) = transport(ctx)?;
    if protocol != TCP && protocol != UDP {
        return None;
    }
    Some(u32::from(u16::from_be(ctx.load(at + remote.port).ok()?)))
}

/// The protocol above IP, and where its header begins.
#[inline(always)]
fn transport(ctx: &SkBuffContext) -> Option<(u8, usize)> {
    if version(ctx)? == 6 {
        return Some((ctx.load(6).ok()?, 40));
    }
    let words = ctx.load::<u8>(0).ok()? & 0x0f;
    if u16::from_be(ctx.load(6).ok()?) & 0x1fff != 0 {
        return None; // not the beginning of what was cut in pieces
    }
    Some((ctx.load(9).ok()?, usize::from(words) * 4))
}

/// Whether the host would lose its link or its address without it: who is who on the link (RFC 4861), what the link's
/// switches are told of that (RFC 2710, RFC 3810), and the lease of an address (RFC 2131, RFC 8415). A lease is asked for of
/// everybody on the link, and so leads to nobody beyond; what says who is who could be sent further by a raw socket alone.
#[inline(always)]
fn keeps_the_link(ctx: &SkBuffContext, remote: Remote, there: Address) -> bool {
    let keeps = if there.is_v4() { keeps_lease(ctx, remote, there) } else { keeps_link(ctx, there) };
    keeps.unwrap_or(false)
}

#[inline(always)]
fn keeps_lease(ctx: &SkBuffContext, remote: Remote, there: Address) -> Option<bool> {
    let (protocol, at) = transport(ctx)?;
    if protocol != UDP {
        return Some(false);
    }
    let ports = ctx.load::<[u16; 2]>(at).ok()?.map(u16::from_be);
    Some(if remote.is_destination { ports == [68, 67] && there.is_broadcast() } else { ports == [67, 68] })
}

#[inline(always)]
fn keeps_link(ctx: &SkBuffContext, there: Address) -> Option<bool> {
    /// The hop limit of what no router has passed on (RFC 4861, section 7.1).
    const OF_THE_LINK: u8 = 255;
    let (mut protocol, mut at) = transport(ctx)?;
    if protocol == HOP_BY_HOP {
        // Reports of listeners come behind a router alert, which is as short as such a header can be.
        protocol = ctx.load(at).ok()?;
        at += 8;
    }
    match protocol {
        ICMPV6 => match ctx.load::<u8>(at).ok()? {
            133..=137 => Some(ctx.load::<u8>(7).ok()? == OF_THE_LINK),
            130..=132 | 143 => Some(there.is_of_link()),
            _ => Some(false),
        },
        UDP => {
            let ports = ctx.load::<[u16; 2]>(at).ok()?.map(u16::from_be);
            Some(there.is_of_link() && (ports == [546, 547] || ports == [547, 546]))
        }
        _ => Some(false),
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
