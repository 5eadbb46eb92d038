//! Packets that came in for ports at which nobody listens: what a scan of this host leaves behind.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::{fentry, map, raw_tracepoint},
    maps::LruHashMap,
    programs::{FEntryContext, RawTracePointContext},
};
use openclaw_common::{
    layout::MISSING,
    network::{Endpoints, INBOUND, IPV4, IPV6, TCP, UDP},
    record::{NET_REFUSED, Task, loss},
};
use openclaw_ebpf::{kernel::Ptr, offset};

use crate::{emit, network::send};

/// When the same sender last asked for the same port, nanoseconds since boot.
#[map]
static PROBES: LruHashMap<Probe, u64> = LruHashMap::with_max_entries(16384, 0);

/// Who asks for what. The sender's port is another with each attempt, and does not count.
#[repr(C)]
#[derive(Clone, Copy)]
struct Probe {
    from: [u8; 16],
    to: [u8; 16],
    namespace: u32,
    port: u16,
    protocol: u16,
}

/// How long the same probe is counted rather than sent: one second.
const REPEAT_NS: u64 = 1_000_000_000;

/// `SYN` and `ACK` among the flags of a TCP header, which are its byte 13.
const FLAGS: u32 = 13;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// `kfree_skb(struct sk_buff *skb, void *location, enum skb_drop_reason reason)`, with the reason since 5.17.
///
/// On an older kernel, which has no third argument, it sees nothing: there the functions below tell.
#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn packet_dropped(ctx: RawTracePointContext) -> i32 {
    let nobody_listens = offset!(drop_no_socket);
    if nobody_listens != MISSING && ctx.arg::<u32>(2) == nobody_listens {
        refused(Ptr(ctx.arg(0)), &[TCP, UDP]);
    }
    0
}

/// A function by which the kernel refuses a packet, seen where `kfree_skb` gives no reason: `$refuses` says whether
/// it is for want of a socket, and which argument is the packet.
macro_rules! refuses {
    ($program:ident, $prototype:literal, $protocol:ident, $refuses:expr) => {
        #[doc = concat!("`", $prototype, "`")]
        #[fentry]
        pub fn $program(ctx: FEntryContext) -> i32 {
            let refuses = $refuses;
            if let Some(packet) = refuses(&ctx) {
                refused(Ptr(packet), &[$protocol]);
            }
            0
        }
    };
}

/// The packet that is answered with a reset, where there is no socket that it was for.
#[inline(always)]
fn reset(ctx: &FEntryContext) -> Option<u64> {
    (ctx.arg::<u64>(0) == 0).then(|| ctx.arg(1))
}

/// The packet that is answered with that message of ICMP.
#[inline(always)]
fn answered(ctx: &FEntryContext, message: (u8, u8)) -> Option<u64> {
    ((ctx.arg::<u8>(1), ctx.arg::<u8>(2)) == message).then(|| ctx.arg(0))
}

/// "Destination unreachable" and "port unreachable", of ICMP (RFC 792) and ICMPv6 (RFC 4443).
const PORT_UNREACHABLE: (u8, u8) = (3, 3);
const PORT_UNREACHABLE_V6: (u8, u8) = (1, 4);

refuses!(tcp_v4_send_reset, "tcp_v4_send_reset(const struct sock *sk, struct sk_buff *skb)", TCP, reset);
refuses!(tcp_v6_send_reset, "tcp_v6_send_reset(const struct sock *sk, struct sk_buff *skb)", TCP, reset);
refuses!(
    __icmp_send,
    "__icmp_send(struct sk_buff *skb_in, int type, int code, __be32 info, const struct ip_options *opt)",
    UDP,
    |ctx: &FEntryContext| answered(ctx, PORT_UNREACHABLE)
);
refuses!(icmp6_send, "icmp6_send(struct sk_buff *skb, u8 type, u8 code, …)", UDP, |ctx: &FEntryContext| {
    answered(ctx, PORT_UNREACHABLE_V6)
});

/// Tells of a packet that was refused, where it is of one of these protocols and asks for something.
#[inline(always)]
fn refused(packet: Ptr, protocols: &[u16]) {
    let head = packet.follow(offset!(skb_head));
    let network = header(head, packet.get(offset!(skb_network_header)));
    let transport = header(head, packet.get(offset!(skb_transport_header)));
    let mut ends = Endpoints { direction: INBOUND, ..Endpoints::default() };
    let protocol = addresses(network, &mut ends);
    let asks = protocols.contains(&protocol)
        && match protocol {
            // What belongs to a connection that is gone asks for nothing.
            TCP => transport.get::<u8>(FLAGS) & (SYN | ACK) == SYN,
            UDP => true,
            _ => false,
        };
    if !asks {
        return;
    }
    let [from, to]: [u16; 2] = transport.get(0);
    ends.remote_port = u16::from_be(from);
    ends.local_port = u16::from_be(to);
    ends.namespace = packet.follow(offset!(skb_dev)).follow(offset!(net_device_net)).get(offset!(net_inum));
    if is_repeated(&ends, protocol) {
        emit::count(loss::REPEATED_PROBES);
        return;
    }
    send(Task::UNKNOWN, |record| {
        record.action = NET_REFUSED;
        record.protocol = u32::from(protocol);
        record.endpoints = ends;
    });
}

#[inline(always)]
fn header(head: Ptr, offset: u16) -> Ptr {
    Ptr(head.0 + u64::from(offset))
}

/// Writes down sender and receiver of an IP packet. Returns the protocol that its header names.
#[inline(always)]
fn addresses(header: Ptr, ends: &mut Endpoints) -> u16 {
    if header.get::<u8>(0) >> 4 == 6 {
        ends.family = IPV6;
        ends.remote = header.get(8);
        ends.local = header.get(24);
        return u16::from(header.get::<u8>(6));
    }
    ends.family = IPV4;
    let [a, b, c, d]: [u8; 4] = header.get(12);
    ends.remote = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let [a, b, c, d]: [u8; 4] = header.get(16);
    ends.local = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    u16::from(header.get::<u8>(9))
}

#[inline(always)]
fn is_repeated(ends: &Endpoints, protocol: u16) -> bool {
    let probe = Probe {
        from: ends.remote,
        to: ends.local,
        namespace: ends.namespace,
        port: ends.local_port,
        protocol,
    };
    let now = emit::now();
    // SAFETY: the value is copied at once.
    let last = unsafe { PROBES.get(probe) }.copied();
    if last.is_some_and(|last| now.saturating_sub(last) < REPEAT_NS) {
        return true;
    }
    // A map that cannot take it costs a record that says nothing new, no more.
    let _ = PROBES.insert(probe, now, u64::from(BPF_ANY));
    false
}
