//! Verdicts, as the kernel programs enforce them: keys and values of the maps of the `verdict` object.
//!
//! These maps outlive the agent, pinned below a folder that carries [`VERSION`]: change the version with any
//! change of a layout here.

#[cfg(feature = "user")]
use bytemuck::{Pod, Zeroable};

/// The version of the layouts below, and the name of the folder of their pins.
pub const VERSION: &str = "v2";

/// Nanoseconds of one clock tick, the unit of start times in `/proc`. `USER_HZ` is 100 on every
/// architecture that the programs are built for.
pub const TICK: u64 = 10_000_000;

/// [`Verdict::kind`] of a blocked network.
pub const BLOCK: u32 = 1;
/// [`Verdict::kind`] of an isolated process tree.
pub const ISOLATE: u32 = 2;
/// [`Verdict::kind`] of an isolated container.
pub const ISOLATE_CONTAINER: u32 = 3;
/// [`Verdict::kind`] of the isolated host.
pub const ISOLATE_HOST: u32 = 4;

/// One verdict: the value of `VERDICTS`, which is keyed by the verdict's number.
///
/// It lets an agent that starts take the verdict over. The programs read the expiry alone, of which `EXPIRIES` has a copy:
/// programs at tracepoints read only maps whose memory is set aside in advance, which for these would be much.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Verdict {
    /// When it ends, in nanoseconds since boot, time asleep included.
    pub expiry: u64,
    /// When it was asked for, in nanoseconds since the Unix epoch.
    pub at: u64,
    /// Start of the isolated process in nanoseconds since boot.
    pub start: u64,
    /// [`BLOCK`], [`ISOLATE`], [`ISOLATE_CONTAINER`] or [`ISOLATE_HOST`].
    pub kind: u32,
    /// The isolated process.
    pub pid: u32,
    /// The blocked network in network order; IPv4 in the first four bytes.
    pub network: [u8; 16],
    /// Length of the network's prefix.
    pub prefix: u32,
    /// 4 or 6.
    pub family: u32,
    /// Name of the isolated process, ended by a zero.
    pub name: [u8; 32],
    /// The finding that asked for it, likewise.
    pub finding: [u8; 64],
    /// The rule that asked for it, likewise.
    pub rule: [u8; 64],
    /// The reason that was given, likewise.
    pub reason: [u8; 128],
}

/// What a network is blocked by: the value of `BLOCKED4` and `BLOCKED6`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Blocked {
    /// The latest expiry among the verdicts that cover the network, in nanoseconds since boot.
    pub expiry: u64,
}

/// Bits of `NEAR` for IPv4: one for all addresses that share the first twenty bits.
pub const NEAR4: u32 = 1 << 20;

/// Bits of `NEAR` for IPv6, after those for IPv4: one for all addresses whose first 32 bits are of one class.
pub const NEAR6: u32 = 1 << 16;

/// How many words of 64 bits `NEAR` has. A bit is set where something is blocked that shares it.
pub const NEAR_WORDS: u32 = (NEAR4 + NEAR6) / 64;

/// The bit of an IPv4 address, in network order.
#[inline(always)]
pub const fn near4(address: [u8; 4]) -> u32 {
    u32::from_be_bytes(address) >> 12
}

/// The bit of an IPv6 address, by its first 32 bits in the processor's order.
#[inline(always)]
pub const fn near6(first: u32) -> u32 {
    NEAR4 + ((first ^ (first >> 16)) & (NEAR6 - 1))
}

/// What isolation leaves open, and whether the host is isolated: the one value of `ISOLATION`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Isolation {
    /// Until when the host is isolated, in nanoseconds since boot; 0 where it is not.
    pub host_until: u64,
    /// Start of the agent in clock ticks since boot.
    pub agent_start: u64,
    /// The agent, by its thread group id, whose own connections an isolated host lets out; 0 for nobody.
    pub agent: u32,
    /// What is left open, a sum of [`EXCEPTIONS`], [`OWN_LOOPBACK`] and [`HOST_LOOPBACK`].
    pub open: u32,
}

/// [`Isolation::open`]: there is something that isolated processes may reach, so they may have sockets for it.
pub const EXCEPTIONS: u32 = 1;
/// [`Isolation::open`]: isolated processes may reach this host over loopback.
pub const OWN_LOOPBACK: u32 = 2;
/// [`Isolation::open`]: an isolated host may reach itself over loopback.
pub const HOST_LOOPBACK: u32 = 4;

/// What an isolated process or host may still reach at a network: the value of `ALLOWED4` and `ALLOWED6`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Allowed {
    /// The one port of TCP and UDP, in the processor's order; 0 for everything.
    pub port: u32,
}

/// The mark of an isolated process: the value of `ISOLATED`, which is keyed by the thread group's id.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct ProcessMark {
    /// The verdict's number.
    pub verdict: u64,
    /// Start of the process in clock ticks since boot: a later process may have the same id.
    pub start: u64,
}

/// The mark of a socket that an isolated process, or the agent, holds: the value of `MARKS`, kept with the socket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct SocketMark {
    /// The verdict's number, or [`AGENT`].
    pub verdict: u64,
}

/// [`SocketMark::verdict`] of a connection that the agent itself makes: the number of no verdict.
pub const AGENT: u64 = 0;

/// A fork that happened while verdicts live: the value of `FORKS`, which is keyed by the child's id.
///
/// Finds children whose parent ended before it was marked: `/proc` shows them below init.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Fork {
    /// Start of the child in clock ticks since boot.
    pub start: u64,
    /// Start of the parent in clock ticks since boot.
    pub parent_start: u64,
    /// Thread group id of the parent.
    pub parent: u32,
    /// No meaning; keeps the size a multiple of eight.
    pub reserved: u32,
}

/// What the programs count: the index into `COUNTERS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Packets to or from a blocked network that were dropped.
    BlockedPackets,
    /// Packets of marked sockets, or of an isolated host, that were dropped.
    IsolatedPackets,
    /// Connects and sends to a blocked network that were denied.
    BlockedCalls,
    /// Sockets, connects and sends of isolated processes, and connects from an isolated host, that were denied.
    IsolatedCalls,
    /// Children of isolated processes that could not be marked, since the map was full.
    Uninherited,
}

impl Counter {
    /// How many there are.
    pub const COUNT: u32 = 5;
}
