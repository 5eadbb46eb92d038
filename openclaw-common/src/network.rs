//! Addresses of connections, as both sides of the kernel boundary hold them.

#[cfg(feature = "user")]
use bytemuck::{Pod, Zeroable};

use crate::record::Task;

/// `AF_INET`.
pub const IPV4: u16 = 2;
/// `AF_INET6`.
pub const IPV6: u16 = 10;

/// `AF_PACKET`.
pub const PACKET: u16 = 17;

/// `IPPROTO_TCP`.
pub const TCP: u16 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u16 = 17;

/// The process connected.
pub const OUTBOUND: u16 = 1;
/// The process accepted.
pub const INBOUND: u16 = 2;

/// The two ends of a connection.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Endpoints {
    /// This side's address in network order; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// The other side's address, likewise.
    pub remote: [u8; 16],
    /// This side's port.
    pub local_port: u16,
    /// The other side's port.
    pub remote_port: u16,
    /// [`IPV4`] or [`IPV6`].
    pub family: u16,
    /// [`OUTBOUND`], [`INBOUND`], or 0 where there is no direction.
    pub direction: u16,
    /// Inode number of the network namespace.
    pub namespace: u32,
    /// No meaning; keeps the size a multiple of eight.
    pub reserved: u32,
}

/// An open connection: the value of the kernel's table, which is keyed by the socket's address.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Connection {
    /// Who connected or accepted; of an inbound connection that nobody accepted yet, who listens.
    pub owner: Task,
    /// Both ends.
    pub endpoints: Endpoints,
    /// Bytes sent when it was last reported.
    pub sent: u64,
    /// Bytes received when it was last reported.
    pub received: u64,
    /// Segments sent when it was last reported.
    pub packets_sent: u32,
    /// Segments received when it was last reported.
    pub packets_received: u32,
    /// Not 0: it was reported.
    pub told: u32,
    /// At how many samples in a row its socket was another, or closed.
    pub missed: u32,
}

/// Key of the table of listening sockets.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Listener {
    /// Inode number of the network namespace.
    pub namespace: u32,
    /// Port.
    pub port: u32,
}

/// A UDP socket: the value of the table that is keyed by the socket's address.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct UdpSocket {
    /// Who used it last to connect or to send somewhere; else who made it.
    pub owner: Task,
    /// When it was made, nanoseconds since boot; 0 where it is older than the sensor.
    pub born: u64,
}

/// Key of the table of UDP flows.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct FlowKey {
    /// The socket's cookie, which no other socket ever has.
    pub cookie: u64,
    /// Both ends, as the packets have them; direction and namespace are 0.
    pub endpoints: Endpoints,
}

/// A UDP flow: the value of the table of flows.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Flow {
    /// Who owned the socket at the first packet.
    pub owner: Task,
    /// Address of the socket.
    pub socket: u64,
    /// When the first packet passed, nanoseconds since boot.
    pub first: u64,
    /// When the last one passed.
    pub last: u64,
    /// Payload bytes sent.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Packets both ways when it was last reported.
    pub reported: u64,
    /// Inode number of the network namespace.
    pub namespace: u32,
    /// [`OUTBOUND`] where this side sent the first packet, else [`INBOUND`].
    pub direction: u16,
    /// Not 0: the socket was in the table of sockets, so that its end will be seen.
    pub known: u16,
}
