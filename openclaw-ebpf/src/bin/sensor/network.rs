//! TCP connections: who made them, between whom, and how many bytes they carried.
//!
//! A connection is told by the address of its socket from its first state until CLOSE. The table of open
//! connections is keyed by it, and an iterator over that table samples the byte counters of all network
//! namespaces. A CLOSE that was missed (the kernel skips a program that would interrupt itself) leaves an
//! entry behind, which the iterator finds: its socket is another by then, or closed. It tells the end of such a
//! connection with what was last reported of it.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    macros::{btf_tracepoint, map, raw_tracepoint},
    maps::HashMap,
    programs::{BtfTracePointContext, RawTracePointContext},
};
use openclaw_common::{
    network::{Connection, Endpoints, INBOUND, IPV4, IPV6, Listener, OUTBOUND, TCP, UDP},
    record::{
        Header, NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NET_LISTEN, NET_PROGRESS, NETWORK, NetworkRecord,
        Task, loss,
    },
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{emit, syscall::file_of, task, udp};

/// Open connections, by the address of the socket.
#[map]
pub static CONNECTIONS: HashMap<u64, Connection> = HashMap::with_max_entries(65536, 0);

/// Who listens at a port.
#[map]
static LISTENERS: HashMap<Listener, Task> = HashMap::with_max_entries(16384, 0);

/// States of `include/net/tcp_states.h`.
const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;
const NEW_SYN_RECV: u32 = 12;

/// At so many samples in a row its socket has to be another, or closed, until an entry is taken for stale. At
/// one it may be: a state is told before the socket has it, so that one which begins to connect is closed yet.
const STALE_AT: u32 = 2;

/// `SOCK_DONE` of `enum sock_flags`: the other side's FIN was received.
const SOCK_DONE: u64 = 1 << 1;

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`, since 4.16.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn tcp_state(ctx: RawTracePointContext) -> i32 {
    let (sock, to) = (Ptr(ctx.arg(0)), ctx.arg(2));
    // Half of the changes lead to states that tell nothing.
    if matches!(to, ESTABLISHED | SYN_SENT | SYN_RECV | CLOSE | LISTEN)
        && sock.get::<u16>(offset!(sock_protocol)) == TCP
    {
        changed(sock, ctx.arg(1), to);
    }
    0
}

#[inline(always)]
fn changed(sock: Ptr, from: u32, to: u32) {
    match to {
        SYN_SENT => {
            // The one state besides LISTEN in which the current process is sure to be the socket's.
            remember(sock, task::identify(current_task()), OUTBOUND);
        }
        LISTEN => listen(sock),
        ESTABLISHED if from == SYN_SENT => connected(sock),
        ESTABLISHED => arrived(sock),
        CLOSE if from == LISTEN => deaf(sock),
        SYN_RECV if from == LISTEN => {
            // A new socket, whatever was at this address before.
            let _ = CONNECTIONS.remove(sock.0);
        }
        CLOSE => closed(sock, from),
        _ => {}
    }
}

#[inline(always)]
fn listen(sock: Ptr) {
    let owner = task::identify(current_task());
    // A full table costs the owner of a connection that nobody accepts by a call, no more.
    let _ = LISTENERS.insert(listener(sock), owner, u64::from(BPF_ANY));
    send(owner, |record| {
        record.action = NET_LISTEN;
        record.state = LISTEN;
        fill(&mut record.endpoints, sock, INBOUND);
    });
}

/// A socket listens no more. Another process that listens at the same port keeps its entry.
#[inline(always)]
fn deaf(sock: Ptr) {
    let key = listener(sock);
    let (tgid, _) = task::key(current_task());
    // SAFETY: the value is copied at once.
    if unsafe { LISTENERS.get(key) }.copied().is_some_and(|owner| owner.tgid == tgid) {
        let _ = LISTENERS.remove(key);
    }
}

/// The connection that this side asked for is there: both ports are known now.
#[inline(always)]
fn connected(sock: Ptr) {
    let Some(connection) = CONNECTIONS.get_ptr_mut(sock.0) else { return };
    // SAFETY: the map's value; the socket's states follow one another.
    let connection = unsafe { &mut *connection };
    fill(&mut connection.endpoints, sock, OUTBOUND);
    report(sock, connection, NET_ESTABLISHED, ESTABLISHED);
}

/// A connection that the other side asked for is there. Who runs now has nothing to do with it: until it is
/// accepted it belongs to who listens.
#[inline(always)]
fn arrived(sock: Ptr) {
    if let Some(known) = CONNECTIONS.get_ptr(sock.0) {
        // Both sides connected at once, or it was accepted before the handshake ended: it has its owner.
        // SAFETY: the map's value.
        if unsafe { (*known).endpoints.direction } == OUTBOUND {
            connected(sock);
        }
        return;
    }
    // SAFETY: the value is copied at once.
    let owner = unsafe { LISTENERS.get(listener(sock)) }.copied().unwrap_or(Task::UNKNOWN);
    remember(sock, owner, INBOUND);
}

#[inline(always)]
fn closed(sock: Ptr, from: u32) {
    let Some(connection) = CONNECTIONS.get_ptr_mut(sock.0) else { return };
    // SAFETY: the map's value; this is the socket's last state.
    let connection = unsafe { &mut *connection };
    if from == SYN_SENT {
        fill(&mut connection.endpoints, sock, OUTBOUND);
        report(sock, connection, NET_FAILED, CLOSE);
    } else {
        report(sock, connection, NET_CLOSED, CLOSE);
    }
    let _ = CONNECTIONS.remove(sock.0);
}

/// A call has accepted a connection. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn accepted(ctx: BtfTracePointContext) -> i32 {
    let sock = sock_of(file_of(ctx.arg(1)));
    if speaks(TCP, sock) {
        accept(sock);
    }
    0
}

#[inline(always)]
fn accept(sock: Ptr) {
    let owner = task::identify(current_task());
    let state = u32::from(sock.get::<u8>(offset!(sock_state)));
    if CONNECTIONS.get_ptr(sock.0).is_none() {
        if state == CLOSE {
            // It was reset while it waited, and its end is told.
            return;
        }
        // Established before the sensor was there.
        remember(sock, owner, INBOUND);
    }
    let Some(connection) = CONNECTIONS.get_ptr_mut(sock.0) else { return };
    // SAFETY: the map's value. A sample or CLOSE at the same time reads one owner or the other.
    let connection = unsafe { &mut *connection };
    connection.owner = owner;
    report(sock, connection, NET_ESTABLISHED, state);
}

/// The socket behind an open file; null where it is no socket.
#[inline(always)]
pub fn sock_of(file: Ptr) -> Ptr {
    const TYPE: u16 = 0o170_000;
    const SOCKET: u16 = 0o140_000;
    let mode: u16 = file.follow(offset!(file_inode)).get(offset!(inode_mode));
    if mode & TYPE != SOCKET {
        return Ptr::NULL;
    }
    file.follow(offset!(file_private_data)).follow(offset!(socket_sk))
}

/// Whether a socket speaks that protocol, over IPv4 or IPv6.
#[inline(always)]
fn speaks(protocol: u16, sock: Ptr) -> bool {
    let family: u16 = sock.get(offset!(sock_family));
    sock.get::<u16>(offset!(sock_protocol)) == protocol && matches!(family, IPV4 | IPV6)
}

/// Enters a connection into the table.
#[inline(always)]
fn remember(sock: Ptr, owner: Task, direction: u16) {
    let connection = Connection { owner, ..Connection::default() };
    if CONNECTIONS.insert(sock.0, connection, u64::from(BPF_ANY)).is_err() {
        emit::count(loss::CONNECTIONS);
        return;
    }
    if let Some(connection) = CONNECTIONS.get_ptr_mut(sock.0) {
        // SAFETY: the map's value; filled in there since programs have only 512 bytes of stack.
        fill(unsafe { &mut (*connection).endpoints }, sock, direction);
    }
}

#[inline(always)]
fn listener(sock: Ptr) -> Listener {
    Listener { namespace: namespace(sock), port: u32::from(sock.get::<u16>(offset!(sock_num))) }
}

#[inline(always)]
pub fn namespace(sock: Ptr) -> u32 {
    sock.follow(offset!(sock_net)).get(offset!(net_inum))
}

/// The port of this side. One that failed to connect has given its number back by then, but not the copy of it
/// that goes into headers.
#[inline(always)]
fn local_port(sock: Ptr) -> u16 {
    match sock.get(offset!(sock_num)) {
        0 => u16::from_be(sock.get(offset!(inet_sport))),
        port => port,
    }
}

/// Writes down both ends of a connection.
#[inline(always)]
pub fn fill(ends: &mut Endpoints, sock: Ptr, direction: u16) {
    let family = sock.get(offset!(sock_family));
    ends.family = family;
    ends.direction = direction;
    ends.local_port = local_port(sock);
    ends.remote_port = u16::from_be(sock.get(offset!(sock_dport)));
    ends.namespace = namespace(sock);
    if family == IPV6 {
        ends.local = sock.get(offset!(sock_v6_saddr));
        ends.remote = sock.get(offset!(sock_v6_daddr));
    } else {
        let [a, b, c, d]: [u8; 4] = sock.get(offset!(sock_saddr));
        ends.local = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let [a, b, c, d]: [u8; 4] = sock.get(offset!(sock_daddr));
        ends.remote = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    }
}

/// Payload bytes sent and received. `bytes_acked` counts SYN and FIN, `bytes_sent` counts retransmissions,
/// `bytes_received` counts the other side's FIN.
#[inline(always)]
fn bytes(sock: Ptr) -> (u64, u64) {
    let sent: u64 = sock.get(offset!(tcp_bytes_sent));
    let again: u64 = sock.get(offset!(tcp_bytes_retrans));
    let received: u64 = sock.get(offset!(tcp_bytes_received));
    let flags: u64 = sock.get(offset!(sock_flags));
    let fin = if flags & SOCK_DONE != 0 && received > 0 { 1 } else { 0 };
    (sent - again, received - fin)
}

#[inline(always)]
fn report(sock: Ptr, connection: &mut Connection, action: u32, state: u32) {
    let (sent, received) = bytes(sock);
    connection.sent = sent;
    connection.received = received;
    connection.packets_sent = sock.get(offset!(tcp_segs_out));
    connection.packets_received = sock.get(offset!(tcp_segs_in));
    connection.told = 1;
    let error = if action == NET_FAILED || action == NET_CLOSED { sock.get(offset!(sock_err)) } else { 0 };
    tell(sock, connection, action, state, error);
}

/// Tells of a connection what its entry in the table has.
#[inline(always)]
fn tell(sock: Ptr, connection: &Connection, action: u32, state: u32, error: u32) {
    send(connection.owner, |record| {
        record.socket = sock.0;
        record.sent = connection.sent;
        record.received = connection.received;
        record.packets_sent = u64::from(connection.packets_sent);
        record.packets_received = u64::from(connection.packets_received);
        record.endpoints = connection.endpoints;
        record.action = action;
        record.state = state;
        record.error = error;
    });
}

/// Sends a record of that owner, of TCP unless `describe` says otherwise. What is the agent's own is counted.
#[inline(always)]
pub fn send(owner: Task, describe: impl FnOnce(&mut NetworkRecord)) {
    if owner.tgid == emit::control().own {
        emit::count(loss::OWN);
        return;
    }
    let Some(mut entry) = emit::NETWORK_RING.reserve::<NetworkRecord>(0) else {
        emit::count(loss::NETWORK_RING);
        return;
    };
    // Written in the ring, since programs have only 512 bytes of stack.
    let record = entry.write(NetworkRecord {
        header: Header { kind: NETWORK, flags: 0, time: emit::now(), task: owner },
        protocol: u32::from(TCP),
        ..NetworkRecord::default()
    });
    describe(record);
    entry.submit(emit::network_flags());
}

/// `iter/bpf_map_elem` over the table of open connections, since 5.9: reports those that carried data.
///
/// A socket's entry is removed at CLOSE, before its memory is freed, and TCP sockets' memory is given back
/// only a grace period later, within which this runs. What CLOSE was missed of is told by its ends.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub extern "C" fn sample_connections(ctx: *const [u64; 4]) -> i32 {
    // SAFETY: `struct bpf_iter__bpf_map_elem` is four pointers: `meta`, `map`, `key` and `value`.
    let (key, value) = unsafe { ((*ctx)[2] as *const u64, (*ctx)[3] as *mut Connection) };
    if key.is_null() || value.is_null() {
        return 0;
    }
    // SAFETY: not null, and of the map's types.
    sample(unsafe { Ptr(*key) }, unsafe { &mut *value });
    0
}

#[inline(always)]
fn sample(sock: Ptr, connection: &mut Connection) {
    let state = sock.get::<u8>(offset!(sock_state));
    if !is_the_same(sock, &connection.endpoints) {
        connection.missed += 1;
        if connection.missed >= STALE_AT {
            forget(sock, connection);
        }
        return;
    }
    connection.missed = 0;
    let (sent, received) = bytes(sock);
    let idle = sent == connection.sent && received == connection.received;
    if idle || u32::from(state) == SYN_SENT || u32::from(state) == CLOSE {
        return;
    }
    report(sock, connection, NET_PROGRESS, u32::from(state));
}

/// Removes the entry of a connection whose CLOSE was missed. Its end is told where anything was, with what was
/// last reported of it: what its socket has is another's by now.
#[inline(always)]
fn forget(sock: Ptr, connection: &Connection) {
    emit::count(loss::STALE);
    if connection.told != 0 {
        tell(sock, connection, NET_CLOSED, CLOSE, 0);
    }
    let _ = CONNECTIONS.remove(sock.0);
}

/// Whether the socket still is the one that the entry was made for. One that has not connected yet has no
/// ports to compare.
#[inline(always)]
fn is_the_same(sock: Ptr, ends: &Endpoints) -> bool {
    let state = u32::from(sock.get::<u8>(offset!(sock_state)));
    let remote_port = u16::from_be(sock.get(offset!(sock_dport)));
    let family: u16 = sock.get(offset!(sock_family));
    let local_port: u16 = sock.get(offset!(sock_num));
    state == SYN_SENT
        || (state != CLOSE
            && family == ends.family
            && local_port == ends.local_port
            && remote_port == ends.remote_port)
}

/// `iter/task_file`, since 5.8: sockets that are older than the sensor. Listening sockets in a first pass,
/// connections in a second, when it is known who of both sides listens.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn list_sockets(ctx: *const [u64; 4]) -> i32 {
    // SAFETY: `struct bpf_iter__task_file` is `meta`, `task`, `fd` (padded to eight bytes) and `file`.
    let [listed, file] = unsafe { [(*ctx)[1], (*ctx)[3]] };
    if listed == 0 || file == 0 {
        return 0;
    }
    let sock = sock_of(Ptr(file));
    if speaks(TCP, sock) {
        list(Ptr(listed), sock);
    } else if speaks(UDP, sock) {
        udp::list(Ptr(listed), sock);
    }
    0
}

#[inline(always)]
fn list(listed: Ptr, sock: Ptr) {
    let state = u32::from(sock.get::<u8>(offset!(sock_state)));
    let key = listener(sock);
    if emit::control().connections == 0 {
        if state == LISTEN {
            let owner = task::identify(listed);
            // Whoever is listed first keeps it: of a server and its workers, the server.
            let _ = LISTENERS.insert(key, owner, u64::from(BPF_NOEXIST));
        }
    } else if !matches!(state, LISTEN | CLOSE | NEW_SYN_RECV | SYN_SENT) {
        let inbound = LISTENERS.get_ptr(key).is_some();
        let direction = if inbound { INBOUND } else { OUTBOUND };
        if CONNECTIONS.get_ptr(sock.0).is_none() {
            remember(sock, task::identify(listed), direction);
        }
    }
}
