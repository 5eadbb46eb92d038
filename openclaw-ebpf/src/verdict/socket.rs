//! What processes ask of sockets: to be made, to connect, to send somewhere.

use aya_ebpf::bindings::{
    bpf_sock, bpf_sock_addr, bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1,
    bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{bpf_sk_lookup_tcp, bpf_sk_release};
use aya_ebpf::macros::{cgroup_sock, cgroup_sock_addr};
use aya_ebpf::programs::{SockAddrContext, SockContext};
use openclaw_common::verdict::{AGENT, Counter, EXCEPTIONS, HOST_LOOPBACK, Isolation, OWN_LOOPBACK, TICK};
use openclaw_ebpf::kernel::current_task;
use openclaw_ebpf::offset;

use crate::maps::{Address, ISOLATED, count, in_force, isolation, mark, now};

/// The caller gets EPERM.
const DENY: i32 = 0;
const ALLOW: i32 = 1;

/// `SOCK_STREAM` and `SOCK_DGRAM`, with the protocols that they have by default: other sockets could send what a program
/// that is told addresses does not see.
const STREAM_OF_TCP: (u32, u32) = (1, 6);
const DATAGRAMS_OF_UDP: (u32, u32) = (2, 17);

/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NAMESPACE: u64 = u64::MAX;

/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// `socket(AF_INET or AF_INET6, …)`. Since 4.10; the id of the process since 5.10.
#[cgroup_sock(sock_create)]
pub fn verdict_socket(ctx: SockContext) -> i32 {
    let Some(verdict) = isolation_of_caller() else { return ALLOW };
    if isolation().is_some_and(|isolation| isolation.open & EXCEPTIONS != 0)
        && is_plain(ctx.sock)
        && mark(ctx.sock, verdict)
    {
        return ALLOW; // Its packets are judged by where they go.
    }
    deny(Counter::IsolatedCalls)
}

/// Whether it is a socket of TCP or UDP.
#[inline(always)]
fn is_plain(socket: *mut bpf_sock) -> bool {
    // SAFETY: the context is the kernel's; the verifier checks the reads.
    let kind = unsafe {
        ((&raw const (*socket).type_).read_volatile(), (&raw const (*socket).protocol).read_volatile())
    };
    kind == STREAM_OF_TCP || kind == DATAGRAMS_OF_UDP
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
    // SAFETY: the context is the kernel's; the verifier checks the read.
    let address = unsafe { (&raw const (*ctx.sock_addr).user_ip4).read_volatile() };
    judge(ctx, Address::v4(address.to_ne_bytes()))
}

#[inline(always)]
fn judge6(ctx: &SockAddrContext) -> i32 {
    judge(
        ctx,
        Address::of_words([
            word(ctx.sock_addr, 0),
            word(ctx.sock_addr, 1),
            word(ctx.sock_addr, 2),
            word(ctx.sock_addr, 3),
        ]),
    )
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, address: Address) -> i32 {
    if isolation_of_caller().is_some() && !may_reach(ctx, address, OWN_LOOPBACK) {
        return deny(Counter::IsolatedCalls);
    }
    if address.is_blocked() {
        return deny(Counter::BlockedCalls);
    }
    if let Some(isolation) = isolation()
        && isolation.host_until > now()
    {
        if is_agent(&isolation) {
            let_out(ctx);
        } else if leads_nowhere(ctx, &isolation, address) {
            return deny(Counter::IsolatedCalls);
        }
    }
    ALLOW
}

/// Whether isolation leaves an address open. `loopback` is what says so of loopback.
#[inline(always)]
fn may_reach(ctx: &SockAddrContext, address: Address, loopback: u32) -> bool {
    let Some(isolation) = isolation() else { return false };
    if isolation.open & loopback != 0 && address.is_loopback() {
        return true;
    }
    match address.allowed() {
        Some(allowed) => allowed.port == 0 || allowed.port == u32::from(u16::from_be(port(ctx))),
        None => false,
    }
}

/// The port, in network order.
#[inline(always)]
fn port(ctx: &SockAddrContext) -> u16 {
    // SAFETY: the context is the kernel's; the verifier checks the read.
    unsafe { (&raw const (*ctx.sock_addr).user_port).read_volatile() as u16 }
}

/// Whether the caller is the agent that isolates the host.
#[inline(always)]
fn is_agent(isolation: &Isolation) -> bool {
    if isolation.agent == 0 || isolation.agent != caller() {
        return false;
    }
    let start = start_of_caller();
    // A process whose start cannot be read might be another one of that number.
    start != 0 && start / TICK == isolation.agent_start
}

/// While the host is isolated, what the agent itself connects to is told from everything else by a mark: alerts go out.
#[inline(always)]
fn let_out(ctx: &SockAddrContext) {
    // SAFETY: the context is the kernel's; the verifier checks the read and what it yields.
    let socket = unsafe { (*ctx.sock_addr).__bindgen_anon_1.sk };
    if !socket.is_null() {
        mark(socket, AGENT);
    }
}

/// Whether a connection of TCP would only run into a timeout, since the isolated host drops its packets. In doubt it is not:
/// the packets are judged in any case.
#[inline(always)]
fn leads_nowhere(ctx: &SockAddrContext, isolation: &Isolation, address: Address) -> bool {
    // SAFETY: the context is the kernel's; the verifier checks the reads.
    let kind = unsafe {
        (
            (&raw const (*ctx.sock_addr).type_).read_volatile(),
            (&raw const (*ctx.sock_addr).protocol).read_volatile(),
        )
    };
    kind == STREAM_OF_TCP
        && !may_reach(ctx, address, HOST_LOOPBACK)
        // Which addresses are this host's own nothing here tells; but to itself it connects where somebody listens.
        && (isolation.open & HOST_LOOPBACK == 0 || !has_listener(ctx, address))
        && !is_kernel_thread()
}

/// Whether somebody of the caller's network namespace listens there, if the address is one of its own. Since 5.0.
#[inline(always)]
fn has_listener(ctx: &SockAddrContext, address: Address) -> bool {
    // SAFETY: plain numbers, of which all zeroes is a value.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let (port, bytes) = (port(ctx), address.bytes());
    let size = if address.is_v4() {
        let [a, b, c, d, ..] = bytes;
        tuple.__bindgen_anon_1.ipv4.daddr = u32::from_ne_bytes([a, b, c, d]);
        tuple.__bindgen_anon_1.ipv4.dport = port;
        size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1>()
    } else {
        // SAFETY: both are sixteen bytes without padding, and every pattern of bits is valid.
        let words = unsafe { core::mem::transmute::<[u8; 16], [u32; 4]>(bytes) };
        tuple.__bindgen_anon_1.ipv6.daddr = words;
        tuple.__bindgen_anon_1.ipv6.dport = port;
        size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2>()
    };
    // SAFETY: the context is the kernel's, and the tuple as large as is said; the verifier sees to it that what is found is
    // released.
    unsafe {
        let found =
            bpf_sk_lookup_tcp(ctx.sock_addr.cast(), &raw mut tuple, size as u32, CURRENT_NAMESPACE, 0);
        if found.is_null() {
            return false;
        }
        bpf_sk_release(found.cast());
    }
    true
}

/// Whether a thread of the kernel calls: the client of NFS of older kernels tries again without a pause what is denied.
#[inline(always)]
fn is_kernel_thread() -> bool {
    current_task().get_or::<u32>(offset!(task_flags), KERNEL_THREAD) & KERNEL_THREAD != 0
}

/// One word of the address. Volatile, since the compiler would otherwise copy the array in ways that the
/// verifier does not take for reads of the context.
#[inline(always)]
fn word(address: *mut bpf_sock_addr, n: usize) -> u32 {
    // SAFETY: the context is the kernel's; the verifier checks the read.
    unsafe { (&raw const (*address).user_ip6).cast::<u32>().add(n).read_volatile() }
}

#[inline(always)]
fn deny(counter: Counter) -> i32 {
    count(counter);
    DENY
}

/// The verdict that isolates the calling process. Its mark counts only while the process is the one that got it.
#[inline(always)]
fn isolation_of_caller() -> Option<u64> {
    // SAFETY: the value is copied at once.
    let mark = (unsafe { ISOLATED.get(caller()) }).copied()?;
    if !in_force(mark.verdict) {
        return None;
    }
    let start = start_of_caller();
    // A start time that cannot be read (0) leaves the mark in force: it is removed when the process ends.
    if start != 0 && start / TICK != mark.start {
        return None;
    }
    Some(mark.verdict)
}

/// The calling process, by its thread group id.
#[inline(always)]
fn caller() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// When the calling process began, in nanoseconds since boot; 0 where that cannot be read.
#[inline(always)]
fn start_of_caller() -> u64 {
    current_task().follow(offset!(task_group_leader)).get(offset!(task_start_boottime))
}
