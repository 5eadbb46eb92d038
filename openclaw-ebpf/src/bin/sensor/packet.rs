//! Packets of the machine's sockets, both ways: those of UDP are counted, those of DNS are looked into.
//!
//! **Every program here returns 1, as a constant, on every path.** To a `cgroup_skb` program 0 means "drop",
//! and it is attached at the root of cgroup v2: a single other way out would cut the machine off. So what
//! looks at the packet is a function without a result, and the programs say `PASS` after it.

use aya_ebpf::bindings::bpf_sock;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use aya_ebpf::macros::cgroup_skb;
use aya_ebpf::programs::SkBuffContext;
use openclaw_common::network::{FlowKey, IPV4, IPV6};
use openclaw_common::record::{PACKETS_DNS, PACKETS_UDP};
use openclaw_ebpf::kernel::Ptr;

use crate::{dns, emit, udp};

/// The packet goes on, as if nobody had looked.
const PASS: i32 = 1;

pub const IPPROTO_TCP: u8 = 6;
pub const IPPROTO_UDP: u8 = 17;

/// Bytes of an IPv6 header.
const IPV6_HEADER: u32 = 40;

/// What the headers of a packet say.
pub struct Packet {
    /// [`IPPROTO_TCP`] or [`IPPROTO_UDP`].
    pub protocol: u8,
    /// Whether this side sends it.
    pub sent: bool,
    /// Where the header of the transport begins.
    pub transport: u32,
    /// The socket's cookie, which is yet to be filled in, and both ends.
    pub key: FlowKey,
}

/// Packets that a socket sends. Since 4.10.
#[cgroup_skb(egress)]
pub fn packet_sent(ctx: SkBuffContext) -> i32 {
    look(&ctx, true);
    PASS
}

/// Packets that reach a socket. Since 4.10.
#[cgroup_skb(ingress)]
pub fn packet_received(ctx: SkBuffContext) -> i32 {
    look(&ctx, false);
    PASS
}

#[inline(always)]
fn look(ctx: &SkBuffContext, sent: bool) {
    let wanted = emit::control().packets;
    if wanted == 0 {
        return;
    }
    let Some(mut packet) = headers(ctx, sent, wanted) else { return };
    if packet.protocol == IPPROTO_UDP && wanted & PACKETS_UDP != 0 {
        udp::count(ctx, &mut packet);
    }
    let ends = &packet.key.endpoints;
    if wanted & PACKETS_DNS != 0 && (ends.local_port == dns::PORT || ends.remote_port == dns::PORT) {
        dns::take(ctx, &packet);
    }
}

/// What the headers say, where it is a packet of UDP, or one of TCP and DNS is wanted. In both directions it
/// begins with its IP header.
#[inline(always)]
fn headers(ctx: &SkBuffContext, sent: bool, wanted: u32) -> Option<Packet> {
    let (first, protocol) = kind(ctx)?;
    if protocol != IPPROTO_UDP && (protocol != IPPROTO_TCP || wanted & PACKETS_DNS == 0) {
        return None;
    }
    let mut packet = match first >> 4 {
        4 => ipv4(ctx, packet(protocol, u32::from(first & 0xf) * 4, sent, IPV4))?,
        6 => ipv6(ctx, packet(protocol, IPV6_HEADER, sent, IPV6))?,
        _ => return None,
    };
    let [from, to]: [[u8; 2]; 2] = ctx.load(packet.transport as usize).ok()?;
    let (from, to) = (u16::from_be_bytes(from), u16::from_be_bytes(to));
    (packet.key.endpoints.local_port, packet.key.endpoints.remote_port) =
        if sent { (from, to) } else { (to, from) };
    Some(packet)
}

/// The first byte of the IP header, and the number of the protocol above it.
///
/// Most packets are of no interest, and all are asked for this: so it is read from the packet itself, where the kernel
/// always has it in one piece, without a helper.
#[inline(always)]
fn kind(ctx: &SkBuffContext) -> Option<(u8, u8)> {
    /// Bytes up to and with the protocol of IPv4, which lies behind that of IPv6.
    const HEAD: usize = 10;
    // SAFETY: the context is the kernel's; the verifier takes both for pointers.
    let (begin, end) = unsafe { ((*ctx.skb.skb).data as usize, (*ctx.skb.skb).data_end as usize) };
    if begin + HEAD > end {
        return None;
    }
    // SAFETY: the bytes lie before the packet's end, as the verifier has seen above.
    let at = |place: usize| unsafe { *((begin + place) as *const u8) };
    let first = at(0);
    Some((first, if first >> 4 == 4 { at(9) } else { at(6) }))
}

#[inline(always)]
fn ipv4(ctx: &SkBuffContext, mut packet: Packet) -> Option<Packet> {
    let sent = packet.sent;
    let [a, b, c, d]: [u8; 4] = ctx.load(if sent { 12 } else { 16 }).ok()?;
    packet.key.endpoints.local = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [a, b, c, d]: [u8; 4] = ctx.load(if sent { 16 } else { 12 }).ok()?;
    packet.key.endpoints.remote = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Some(packet)
}

/// Extension headers are not walked: what has them is passed over.
#[inline(always)]
fn ipv6(ctx: &SkBuffContext, mut packet: Packet) -> Option<Packet> {
    let sent = packet.sent;
    packet.key.endpoints.local = ctx.load(if sent { 8 } else { 24 }).ok()?;
    packet.key.endpoints.remote = ctx.load(if sent { 24 } else { 8 }).ok()?;
    Some(packet)
}

/// A packet whose ends are yet to be filled in.
#[inline(always)]
fn packet(protocol: u8, transport: u32, sent: bool, family: u16) -> Packet {
    let mut key = FlowKey::default();
    key.endpoints.family = family;
    Packet { protocol, sent, transport, key }
}

/// The kernel's address of the packet's socket; null where it has none.
#[inline(always)]
pub fn socket_of(ctx: &SkBuffContext) -> Ptr {
    // SAFETY: the context is the kernel's; the verifier checks the read.
    address_of(unsafe { (*ctx.skb.skb).__bindgen_anon_2.sk })
}

/// A socket's address as a number. The verifier lets nobody calculate with its typed pointer to a socket, so
/// the number is read back from where the pointer was stored.
#[inline(always)]
pub fn address_of(socket: *mut bpf_sock) -> Ptr {
    let mut address = 0u64;
    // SAFETY: both are on this program's stack, and eight bytes long.
    unsafe { bpf_probe_read_kernel((&raw mut address).cast(), 8, (&raw const socket).cast()) };
    Ptr(address)
}
