//! Sockets, by the system calls that make and bind them. What is told is read from the kernel's socket, never
//! from the caller's memory, which another thread could change meanwhile.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use openclaw_common::{
    network::{IPV4, IPV6, PACKET, TCP, UDP},
    record::{NET_BIND, NET_PACKET_SOCKET, NET_RAW_SOCKET},
};
use openclaw_ebpf::{
    kernel::{Ptr, current_task},
    offset,
};

use crate::{
    network::{fill, namespace, send, sock_of},
    syscall::{Returned, file_of},
    task,
};

/// `SOCK_RAW` of `enum sock_type`.
const SOCK_RAW: u16 = 3;

/// No direction: [`openclaw_common::network::Endpoints::direction`].
const NO_DIRECTION: u16 = 0;

/// `bind` has returned without an error. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn socket_bound(ctx: BtfTracePointContext) -> i32 {
    if let Some(call) = Returned::of(&ctx) {
        // A descriptor is an `int`: what else the register holds is not the kernel's concern.
        bound(sock_of(file_of(call.argument(0) & 0xffff_ffff)));
    }
    0
}

#[inline(always)]
fn bound(sock: Ptr) {
    let family: u16 = sock.get(offset!(sock_family));
    let protocol: u16 = sock.get(offset!(sock_protocol));
    let raw = sock.get::<u16>(offset!(sock_type)) == SOCK_RAW;
    if raw || !matches!(family, IPV4 | IPV6) || !matches!(protocol, TCP | UDP) {
        return;
    }
    send(task::identify(current_task()), |record| {
        record.action = NET_BIND;
        record.protocol = u32::from(protocol);
        fill(&mut record.endpoints, sock, NO_DIRECTION);
    });
}

/// `socket` has returned without an error. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn socket_made(ctx: BtfTracePointContext) -> i32 {
    made(sock_of(file_of(ctx.arg(1))));
    0
}

#[inline(always)]
fn made(sock: Ptr) {
    let family: u16 = sock.get(offset!(sock_family));
    let raw = sock.get::<u16>(offset!(sock_type)) == SOCK_RAW;
    let action = match family {
        PACKET => NET_PACKET_SOCKET,
        IPV4 | IPV6 if raw => NET_RAW_SOCKET,
        _ => return,
    };
    send(task::identify(current_task()), |record| {
        record.action = action;
        record.protocol = u32::from(sock.get::<u16>(offset!(sock_protocol)));
        record.endpoints.family = family;
        record.endpoints.namespace = namespace(sock);
    });
}
