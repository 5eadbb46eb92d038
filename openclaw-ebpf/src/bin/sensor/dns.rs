//! DNS messages: copied as they are, with who owns the socket. The agent reads them.

use core::arch::asm;

use aya_ebpf::{helpers::generated::bpf_skb_load_bytes, programs::SkBuffContext};
use openclaw_common::{
    network::{INBOUND, OUTBOUND},
    record::{DNS, DNS_MAX, DnsRecord, Header, Task, loss},
};
use openclaw_ebpf::kernel::Ptr;

use crate::packet::{IPPROTO_TCP, IPPROTO_UDP, Packet, socket_of};
use crate::{emit, network, udp};

/// Where servers listen, with UDP and with TCP.
pub const PORT: u16 = 53;

/// Bytes of a DNS message's header: nothing shorter is one.
const HEADER: u32 = 12;

/// Copies the payload of a packet to or from port 53.
#[inline(always)]
pub fn take(ctx: &SkBuffContext, packet: &Packet) {
    let Some(begin) = payload(ctx, packet) else { return };
    let Some(len) = ctx.len().checked_sub(begin) else { return };
    if len < HEADER {
        return;
    }
    let socket = socket_of(ctx);
    let owner = owner(packet, socket);
    if owner.tgid == emit::control().own {
        emit::count(loss::OWN);
        return;
    }
    let Some(mut entry) = emit::NETWORK_RING.reserve::<DnsRecord>(0) else {
        emit::count(loss::NETWORK_RING);
        return;
    };
    let record = entry.as_mut_ptr();
    let taken = at_most_payload(u64::from(len)) as u32;
    // SAFETY: the reserved entry, written field by field since programs have only 512 bytes of stack. No more
    // than the payload's size is loaded into it; what is left of it nobody reads.
    let failed = unsafe {
        let head = &raw mut (*record).head;
        (&raw mut (*head).header).write(Header { kind: DNS, flags: 0, time: emit::now(), task: owner });
        let ends = &raw mut (*head).endpoints;
        ends.write(packet.key.endpoints);
        (*ends).direction = if packet.key.endpoints.remote_port == PORT { OUTBOUND } else { INBOUND };
        (*ends).namespace = network::namespace(socket);
        (*head).protocol = u32::from(packet.protocol);
        (*head).sent = if packet.sent { 1 } else { 0 };
        (*head).len = len;
        (*head).taken = taken;
        bpf_skb_load_bytes(ctx.skb.skb.cast(), begin, (&raw mut (*record).payload).cast(), taken)
    };
    if failed == 0 {
        entry.submit(emit::network_flags());
    } else {
        entry.discard(0);
    }
}

/// `len`, which is not 0, or [`DNS_MAX`] where that is less. Older verifiers want to see, right before bytes are
/// loaded, that their number is neither 0 nor too great; so it is bounded where the compiler cannot know what
/// was asked of it before, and would leave the question out.
#[inline(always)]
fn at_most_payload(len: u64) -> u64 {
    let mut beyond_first = len.wrapping_sub(1);
    // SAFETY: changes nothing at all.
    unsafe { asm!("{0} = {0}", inout(reg) beyond_first, options(nomem, nostack)) };
    let most = DNS_MAX as u64 - 1;
    1 + if beyond_first > most { most } else { beyond_first }
}

/// Where the payload begins.
#[inline(always)]
fn payload(ctx: &SkBuffContext, packet: &Packet) -> Option<u32> {
    if packet.protocol == IPPROTO_UDP {
        return Some(packet.transport + 8);
    }
    // The upper half of the byte is the length of TCP's header in words.
    let words: u8 = ctx.load(packet.transport as usize + 12).ok()?;
    Some(packet.transport + u32::from(words >> 4) * 4)
}

/// Who owns the packet's socket.
#[inline(always)]
fn owner(packet: &Packet, socket: Ptr) -> Task {
    if packet.protocol == IPPROTO_TCP {
        // SAFETY: the value is copied at once.
        return unsafe { network::CONNECTIONS.get(socket.0) }
            .map_or(Task::UNKNOWN, |connection| connection.owner);
    }
    udp::owner(socket)
}
