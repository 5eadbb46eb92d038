//! Sockets with deadlines, as the tests and their helpers use them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketType, ipproto};

/// Long enough for a packet in a machine, short enough to find out that none comes.
pub(crate) const MOMENT: Duration = Duration::from_millis(500);

/// A socket of TCP, UDP or ICMP.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) OwnedFd);

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// A machine that pauses, as virtual ones do, interrupts calls that have a time limit.
fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(&mut call)
}

impl Socket {
    /// An unconnected TCP socket.
    pub(crate) fn tcp(of: SocketAddr) -> io::Result<Self> {
        Ok(Socket(rustix::net::socket(family(of), SocketType::STREAM, None)?))
    }

    /// A TCP connection to `to`.
    pub(crate) fn connect_tcp(to: SocketAddr) -> io::Result<Self> {
        let socket = Self::tcp(to)?;
        socket.connect(to)?;
        Ok(socket)
    }

    /// A TCP socket that has an address, and does nothing yet.
    pub(crate) fn bind_tcp(at: SocketAddr) -> io::Result<Self> {
        let socket = Self::tcp(at)?;
        rustix::net::bind(&socket.0, &at)?;
        Ok(socket)
    }

    /// A TCP connection from an address.
    pub(crate) fn connect_tcp_from(at: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = Self::bind_tcp(at)?;
        socket.connect(to)?;
        Ok(socket)
    }

    /// A TCP socket that listens.
    pub(crate) fn listen(at: SocketAddr) -> io::Result<Self> {
        let socket = Self::bind_tcp(at)?;
        rustix::net::listen(&socket.0, 8)?;
        Ok(socket)
    }

    /// A UDP socket.
    pub(crate) fn udp(at: SocketAddr) -> io::Result<Self> {
        let socket = rustix::net::socket(family(at), SocketType::DGRAM, None)?;
        rustix::net::sockopt::set_socket_broadcast(&socket, true)?;
        rustix::net::bind(&socket, &at)?;
        Ok(Socket(socket))
    }

    /// A raw socket of ICMP.
    pub(crate) fn icmp() -> io::Result<Self> {
        Ok(Socket(rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?))
    }

    pub(crate) fn connect(&self, to: SocketAddr) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Send, Some(MOMENT))?;
        Ok(rustix::net::connect(&self.0, &to)?)
    }

    /// The next connection. `WouldBlock` when none comes in time.
    pub(crate) fn accept(&self, patience: Duration) -> io::Result<Self> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(patience))?;
        Ok(Socket(uninterrupted(|| rustix::net::accept(&self.0))?))
    }

    pub(crate) fn send(&self, text: &str) -> io::Result<()> {
        rustix::net::send(&self.0, text.as_bytes(), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    pub(crate) fn send_to(&self, to: SocketAddr, text: &str) -> io::Result<()> {
        rustix::net::sendto(&self.0, text.as_bytes(), SendFlags::NOSIGNAL, &to)?;
        Ok(())
    }

    /// What has come. `WouldBlock` when nothing comes in time.
    pub(crate) fn receive(&self, patience: Duration) -> io::Result<String> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(patience))?;
        let mut buffer = [0; 2048];
        let (len, _) = uninterrupted(|| rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()))?;
        Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }

    /// An echo request, and its reply. `WouldBlock` when none comes in time.
    pub(crate) fn ping(&self, to: IpAddr, number: u16, patience: Duration) -> io::Result<()> {
        let mut packet = [8, 0, 0, 0, 0x0c, 0x1a, 0, 0];
        packet[6..].copy_from_slice(&number.to_be_bytes());
        let sum: u32 = packet.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
        rustix::net::sendto(&self.0, &packet, SendFlags::empty(), &SocketAddr::new(to, 0))?;
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            set_socket_timeout(&self.0, Timeout::Recv, Some(left))?;
            let mut buffer = [0_u8; 256];
            let (len, _) = uninterrupted(|| rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()))?;
            // The IP header comes first; type 0 is an echo reply.
            if len >= 28 && buffer[20] == 0 && buffer[26..28] == number.to_be_bytes() {
                return Ok(());
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let any: SocketAddrAny = rustix::net::getsockname(&self.0).unwrap();
        any.try_into().unwrap()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
