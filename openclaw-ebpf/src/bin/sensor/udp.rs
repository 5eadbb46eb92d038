//! UDP: whose a socket is, and how much passes between it and each address that it speaks with.
//!
//! UDP has no connections. What is told instead is a flow: one socket, one remote address and port, from the
//! first packet until the socket is closed or nothing has passed for a while. Packets are counted where a
//! socket sends or receives them, in no process's context; so the owners of sockets are noted before, in the
//! context of who makes a socket, connects it or sends from it.
//!
//! **The programs of sockets return 1, as a constant, on every path**: 0 would deny the call.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::generated::bpf_get_socket_cookie,
    macros::{cgroup_sock, cgroup_sock_addr, map},
    maps::HashMap,
    programs::{SkBuffContext, SockAddrContext, SockContext},
};
use openclaw_common::{
    network::{Flow, FlowKey, INBOUND, OUTBOUND, UdpSocket},
    record::{Header, NET_CLOSED, NET_ESTABLISHED, NET_PROGRESS, NetworkRecord, Task, UDP, loss},
};
use openclaw_ebpf::kernel::{Ptr, current_task};

use crate::packet::{IPPROTO_UDP, Packet, address_of, socket_of};
use crate::{atomic, emit, network, task};

/// The call goes on, as if nobody had looked.
const ALLOW: i32 = 1;

/// A flow in which nothing has passed for so long is over, nanoseconds.
const IDLE: u64 = 30_000_000_000;

/// UDP sockets, by address. A full table costs the owner of a socket, no more.
#[map]
static UDP_SOCKETS: HashMap<u64, UdpSocket> = HashMap::with_max_entries(32768, 0);

/// A flow that is yet to be filled in: in memory of its own, since programs have only 512 bytes of stack.
static NEW: Flow = Flow {
    owner: Task::UNKNOWN,
    socket: 0,
    first: 0,
    last: 0,
    sent: 0,
    received: 0,
    packets_sent: 0,
    packets_received: 0,
    reported: 0,
    namespace: 0,
    direction: 0,
    known: 0,
};

/// Flows.
#[map]
static UDP_FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(32768, 0);

/// `socket(AF_INET or AF_INET6, …)`. Since 4.10.
#[cgroup_sock(sock_create)]
pub fn udp_socket_made(ctx: SockContext) -> i32 {
    if is_udp(&ctx) {
        let socket = UdpSocket { owner: task::identify(current_task()), born: emit::now() };
        let _ = UDP_SOCKETS.insert(address_of(ctx.as_ptr().cast()).0, socket, u64::from(BPF_ANY));
    }
    ALLOW
}

/// The last descriptor of a socket was closed. Since 5.9.
#[cgroup_sock(sock_release)]
pub fn udp_socket_closed(ctx: SockContext) -> i32 {
    if is_udp(&ctx) {
        let _ = UDP_SOCKETS.remove(address_of(ctx.as_ptr().cast()).0);
    }
    ALLOW
}

/// `connect` to an IPv4 address. Since 4.17.
#[cgroup_sock_addr(connect4)]
pub fn udp_connect4(ctx: SockAddrContext) -> i32 {
    claim(&ctx);
    ALLOW
}

/// `connect` to an IPv6 address.
#[cgroup_sock_addr(connect6)]
pub fn udp_connect6(ctx: SockAddrContext) -> i32 {
    claim(&ctx);
    ALLOW
}

/// `sendto` and `sendmsg` to an IPv4 address. Since 4.18.
#[cgroup_sock_addr(sendmsg4)]
pub fn udp_send4(ctx: SockAddrContext) -> i32 {
    claim(&ctx);
    ALLOW
}

/// `sendto` and `sendmsg` to an IPv6 address.
#[cgroup_sock_addr(sendmsg6)]
pub fn udp_send6(ctx: SockAddrContext) -> i32 {
    claim(&ctx);
    ALLOW
}

#[inline(always)]
fn is_udp(ctx: &SockContext) -> bool {
    // SAFETY: the context is the kernel's; the verifier checks the read.
    unsafe { (&raw const (*ctx.sock).protocol).read_volatile() == u32::from(IPPROTO_UDP) }
}

/// A socket belongs to who connects it or sends from it, whoever made it.
#[inline(always)]
fn claim(ctx: &SockAddrContext) {
    // SAFETY: the context is the kernel's; the verifier checks the reads.
    let (protocol, socket) = unsafe {
        let address = ctx.sock_addr;
        ((&raw const (*address).protocol).read_volatile(), (*address).__bindgen_anon_1.sk)
    };
    if protocol != u32::from(IPPROTO_UDP) {
        return;
    }
    let caller = current_task();
    let (tgid, start) = task::key(caller);
    let socket = address_of(socket).0;
    match UDP_SOCKETS.get_ptr_mut(socket) {
        Some(known) => {
            // SAFETY: the map's value. Who looks at the same time sees one owner or the other.
            let owner = unsafe { &mut (*known).owner };
            if owner.tgid != tgid || owner.start != start {
                *owner = task::identify(caller);
            }
        }
        None => {
            let socket_of_old = UdpSocket { owner: task::identify(caller), born: 0 };
            let _ = UDP_SOCKETS.insert(socket, socket_of_old, u64::from(BPF_ANY));
        }
    }
}

/// Takes in a socket that is older than the sensor. Run by `list_sockets`.
#[inline(always)]
pub fn list(listed: Ptr, sock: Ptr) {
    if UDP_SOCKETS.get_ptr(sock.0).is_none() {
        let socket = UdpSocket { owner: task::identify(listed), born: 0 };
        let _ = UDP_SOCKETS.insert(sock.0, socket, u64::from(BPF_NOEXIST));
    }
}

/// Who owns the socket; nobody where that is not known.
#[inline(always)]
pub fn owner(socket: Ptr) -> Task {
    // SAFETY: the value is copied at once.
    unsafe { UDP_SOCKETS.get(socket.0) }.map_or(Task::UNKNOWN, |socket| socket.owner)
}

/// Counts a packet in its flow.
#[inline(always)]
pub fn count(ctx: &SkBuffContext, packet: &mut Packet) {
    // The header's own length counts the header.
    let Ok(len) = ctx.load::<[u8; 2]>(packet.transport as usize + 4) else { return };
    let bytes = u64::from(u16::from_be_bytes(len)).saturating_sub(8);
    // What the kernel hands over in one piece may be several packets on the wire.
    // SAFETY: the context is the kernel's; the verifier checks the read.
    let segments = u64::from(unsafe { (&raw const (*ctx.skb.skb).gso_segs).read_volatile() });
    let packets = if segments == 0 { 1 } else { segments };
    // SAFETY: the context is the kernel's.
    packet.key.cookie = unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) };
    let key = &packet.key;
    if let Some(flow) = UDP_FLOWS.get_ptr_mut(key) {
        add(flow, packet.sent, packets, bytes);
        return;
    }
    // Where another processor is faster, its entry is as good, and it tells of it.
    let new: &Flow = &NEW;
    let is_new = UDP_FLOWS.insert(key, new, u64::from(BPF_NOEXIST)).is_ok();
    let Some(flow) = UDP_FLOWS.get_ptr_mut(key) else {
        emit::count(loss::FLOWS);
        return;
    };
    if is_new {
        // SAFETY: the map's value, of which no other processor reads what is filled in here.
        begin(unsafe { &mut *flow }, socket_of(ctx), packet.sent);
    }
    add(flow, packet.sent, packets, bytes);
    if is_new {
        report(key, flow, NET_ESTABLISHED);
    }
}

/// Fills in a new flow.
#[inline(always)]
fn begin(flow: &mut Flow, socket: Ptr, sent: bool) {
    flow.socket = socket.0;
    flow.first = emit::now();
    flow.namespace = network::namespace(socket);
    flow.direction = if sent { OUTBOUND } else { INBOUND };
    adopt(flow);
}

/// Gives a flow the owner of its socket, where that is known.
#[inline(always)]
fn adopt(flow: &mut Flow) {
    // SAFETY: the value is copied at once.
    if let Some(socket) = unsafe { UDP_SOCKETS.get(flow.socket) }
        && socket.born <= flow.first
    {
        flow.owner = socket.owner;
        flow.known = 1;
    }
}

/// Adds to a flow. Packets of one flow can be on several processors at once.
#[inline(always)]
fn add(flow: *mut Flow, sent: bool, packets: u64, bytes: u64) {
    // SAFETY: the map's value, whose counters are aligned and changed by atomic additions alone.
    unsafe {
        (*flow).last = emit::now();
        if sent {
            atomic::add(&raw mut (*flow).sent, bytes);
            atomic::add(&raw mut (*flow).packets_sent, packets);
        } else {
            atomic::add(&raw mut (*flow).received, bytes);
            atomic::add(&raw mut (*flow).packets_received, packets);
        }
    }
}

#[inline(always)]
fn report(key: &FlowKey, flow: *mut Flow, action: u32) {
    // SAFETY: the map's value. The counters are read while other processors may add to them.
    let flow = unsafe { &mut *flow };
    flow.reported = flow.packets_sent + flow.packets_received;
    if flow.owner.tgid == emit::control().own {
        emit::count(loss::OWN);
        return;
    }
    let Some(mut entry) = emit::NETWORK_RING.reserve::<NetworkRecord>(0) else {
        emit::count(loss::NETWORK_RING);
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the reserved entry, written field by field since programs have only 512 bytes of stack. Every
    // field is written.
    unsafe {
        (&raw mut (*record).header).write(Header {
            kind: UDP,
            flags: 0,
            time: emit::now(),
            task: flow.owner,
        });
        (*record).socket = (&raw const *flow) as u64;
        (*record).sent = flow.sent;
        (*record).received = flow.received;
        (*record).packets_sent = flow.packets_sent;
        (*record).packets_received = flow.packets_received;
        (&raw mut (*record).endpoints).write(key.endpoints);
        (*record).endpoints.direction = flow.direction;
        (*record).endpoints.namespace = flow.namespace;
        (*record).action = action;
        (*record).state = 0;
        (*record).protocol = u32::from(IPPROTO_UDP);
        (*record).error = 0;
    }
    entry.submit(emit::network_flags());
}

/// `iter/bpf_map_elem` over the table of flows, since 5.9: reports those in which something has passed, and
/// ends those whose socket is closed or in which nothing passes any more.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub extern "C" fn sample_flows(ctx: *const [u64; 4]) -> i32 {
    // SAFETY: `struct bpf_iter__bpf_map_elem` is four pointers: `meta`, `map`, `key` and `value`.
    let (key, value) = unsafe { ((*ctx)[2] as *const FlowKey, (*ctx)[3] as *mut Flow) };
    if key.is_null() || value.is_null() {
        return 0;
    }
    // SAFETY: not null, and of the map's types.
    let (key, flow) = unsafe { (*key, &mut *value) };
    if flow.last == 0 {
        // Another processor has just entered it, and fills it in.
        return 0;
    }
    if flow.known == 0 {
        // The flow may have begun before the sockets that are older than the sensor were listed.
        adopt(flow);
    }
    if is_closed(flow) || emit::now().saturating_sub(flow.last) > IDLE {
        report(&key, flow, NET_CLOSED);
        let _ = UDP_FLOWS.remove(key);
    } else if flow.packets_sent + flow.packets_received != flow.reported {
        report(&key, flow, NET_PROGRESS);
    }
    0
}

/// Whether the flow's socket is closed: it has left the table of sockets, or another is at its address.
#[inline(always)]
fn is_closed(flow: &Flow) -> bool {
    if flow.known == 0 {
        return false;
    }
    // SAFETY: the value is copied at once.
    match unsafe { UDP_SOCKETS.get(flow.socket) } {
        Some(socket) => socket.born > flow.first,
        None => true,
    }
}
