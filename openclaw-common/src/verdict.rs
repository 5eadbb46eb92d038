//! Verdicts, as the kernel programs enforce them: keys and values of the maps of the `verdict` object.
//!
//! These maps outlive the agent, pinned below a folder that carries [`VERSION`]: change the version with any
//! change of a layout here.

#[cfg(feature = "user")]
use bytemuck::{Pod, Zeroable};

/// The version of the layouts below, and the name of the folder of their pins.
pub const VERSION: &str = "v1";

/// Nanoseconds of one clock tick, the unit of start times in `/proc`. `USER_HZ` is 100 on every
/// architecture that the programs are built for.
pub const TICK: u64 = 10_000_000;

/// [`Verdict::kind`] of a blocked network.
pub const BLOCK: u32 = 1;
/// [`Verdict::kind`] of an isolated process tree.
pub const ISOLATE: u32 = 2;
/// [`Verdict::kind`] of an isolated container.
pub const ISOLATE_CONTAINER: u32 = 3;

/// One verdict: the value of `VERDICTS`, which is keyed by the verdict's number.
///
/// The programs read the expiry alone. The rest lets an agent that starts take the verdict over.
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
    /// [`BLOCK`], [`ISOLATE`] or [`ISOLATE_CONTAINER`].
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

/// The mark of a socket that an isolated process holds: the value of `MARKS`, kept with the socket.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct SocketMark {
    /// The verdict's number.
    pub verdict: u64,
}

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
    /// Packets of marked sockets that were dropped.
    IsolatedPackets,
    /// Connects and sends to a blocked network that were denied.
    BlockedCalls,
    /// Sockets, connects and sends of isolated processes that were denied.
    IsolatedCalls,
    /// Children of isolated processes that could not be marked, since the map was full.
    Uninherited,
}

impl Counter {
    /// How many there are.
    pub const COUNT: u32 = 5;
}
