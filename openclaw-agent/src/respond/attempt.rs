//! Whether a block holds, by an attempt to get around it.
//!
//! A UDP socket is connected to what is blocked. The kernel asks the same programs (`connect4`, `connect6`) as of every
//! connection, before it looks for a route; and nothing is sent, also where it is let: an attacker's machine learns nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::cgroup;

/// The discard service (RFC 863). No packet goes there.
const PORT: u16 = 9;

/// Whether this process can be denied connections by programs at this cgroup, so that an attempt says something.
pub(super) fn is_judged(scope: &Path) -> bool {
    cgroup::reaches(scope, std::process::id()).is_ok()
}

/// Whether this process may connect to an address.
///
/// # Errors
/// It cannot try: it has no socket of that family, or the machine's policy lets it not connect.
pub(super) fn is_let(address: IpAddr) -> io::Result<bool> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &SocketAddr::new(address, PORT)) {
        Err(Errno::PERM) => Ok(false),
        // A security module's, which is asked before the programs are.
        Err(error @ Errno::ACCESS) => Err(error.into()),
        // What else may go wrong does so after they were asked: there may be no route.
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_denies_is_let_whether_or_not_there_is_a_route() {
        for address in ["127.0.0.1", "192.0.2.1"] {
            assert!(is_let(address.parse().unwrap()).unwrap(), "{address}");
        }
    }
}
