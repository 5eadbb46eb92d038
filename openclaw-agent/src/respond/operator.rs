//! Who is connected to this host's sshd: a finding does not lock its operator out.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use super::process;

/// `TCP_ESTABLISHED` and `TCP_LISTEN` of the kernel's `tcp_states.h`.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// Whether an executable of this name serves logins from afar.
pub(super) fn serves_logins(name: &str) -> bool {
    name.starts_with("sshd") || name == "dropbear"
}

/// The remote addresses of connections that these servers have accepted, in this network namespace.
pub(super) fn peers(servers: &[u32]) -> HashSet<IpAddr> {
    if servers.is_empty() {
        return HashSet::new();
    }
    let held = sockets(servers);
    // Where init listens for sshd, sshd holds but the connections.
    let listeners = held.union(&sockets(&[1])).copied().collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let lines: Vec<Line> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|text| text.lines().filter_map(Line::parse).collect::<Vec<_>>())
        .collect();
    inbound(&lines, &held, &listeners)
}

fn sockets(processes: &[u32]) -> HashSet<u64> {
    processes.iter().flat_map(|pid| process::sockets(*pid, *pid)).map(|(_, inode)| inode).collect()
}

/// The remote addresses of the `held` connections whose local port is one that `listeners` listen on. A
/// session that sshd opened for somebody who forwards ports through it is none of these.
fn inbound(lines: &[Line], held: &HashSet<u64>, listeners: &HashSet<u64>) -> HashSet<IpAddr> {
    let ports: HashSet<u16> = lines
        .iter()
        .filter(|line| line.state == LISTEN && listeners.contains(&line.inode))
        .map(|line| line.local_port)
        .collect();
    lines
        .iter()
        .filter(|line| {
            line.state == ESTABLISHED && held.contains(&line.inode) && ports.contains(&line.local_port)
        })
        .map(|line| line.remote)
        .collect()
}

/// A line of `/proc/net/tcp` or `/proc/net/tcp6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    local_port: u16,
    remote: IpAddr,
    state: u8,
    inode: u64,
}

impl Line {
    /// `0: 0100007F:0016 0200007F:C001 01 …`: number, local, remote, state, and the inode as the tenth.
    fn parse(line: &str) -> Option<Line> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (_, local_port) = fields.next()?.split_once(':')?;
        let (remote, _) = fields.next()?.split_once(':')?;
        let state = u8::from_str_radix(fields.next()?, 16).ok()?;
        let inode = fields.nth(5)?.parse().ok()?;
        let local_port = u16::from_str_radix(local_port, 16).ok()?;
        Some(Line { local_port, remote: address(remote)?, state, inode })
    }
}

/// One word, or four, each in this machine's order. IPv4 in IPv6 is IPv4.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (n, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(8 * n)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written as the kernel writes it on this machine.
    fn word(bytes: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(bytes))
    }

    fn line(local_port: u16, remote: &str, state: u8, inode: u64) -> String {
        format!(
            "   0: {}:{local_port:04X} {remote}:C001 {state:02X} 00000000:00000000 00:00000000 00000000     \
             0        0 {inode} 1 0000000000000000 100 0 0 10 0",
            if remote.len() == 8 { word([192, 0, 2, 1]) } else { "0".repeat(32) }
        )
    }

    #[test]
    fn a_line_is_read_as_the_kernel_writes_it() {
        let mapped = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0xff, 0xff], [203, 0, 113, 5]].map(word).concat();
        let v6 = [[0x20, 1, 0xd, 0xb8], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 7]].map(word).concat();
        for (remote, is) in
            [(word([203, 0, 113, 5]), "203.0.113.5"), (mapped, "203.0.113.5"), (v6, "2001:db8::7")]
        {
            let wanted = Line { local_port: 22, remote: is.parse().unwrap(), state: ESTABLISHED, inode: 77 };
            assert_eq!(Line::parse(&line(22, &remote, ESTABLISHED, 77)), Some(wanted));
        }
        assert_eq!(Line::parse("  sl  local_address rem_address   st tx_queue rx_queue tr"), None);
    }

    #[test]
    fn only_open_connections_to_a_port_that_sshd_listens_on_are_an_operators() {
        let remote = |last| word([203, 0, 113, last]);
        let lines: Vec<Line> = [
            line(22, &word([0; 4]), LISTEN, 1),
            line(80, &word([0; 4]), LISTEN, 2),
            line(22, &remote(1), ESTABLISHED, 3),
            // Of another process, such as a server that took the port over.
            line(22, &remote(2), ESTABLISHED, 4),
            // Forwarded by sshd to somewhere else.
            line(40_000, &remote(3), ESTABLISHED, 5),
            line(80, &remote(4), ESTABLISHED, 6),
            // Closing.
            line(22, &remote(5), 8, 7),
        ]
        .iter()
        .filter_map(|line| Line::parse(line))
        .collect();
        assert_eq!(lines.len(), 7);
        let found = inbound(&lines, &HashSet::from([1, 3, 5, 6, 7]), &HashSet::from([1]));
        assert_eq!(found, HashSet::from(["203.0.113.1".parse().unwrap()]));
    }

    #[test]
    fn connections_of_a_server_are_found_on_the_running_kernel() {
        // This process stands for sshd.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _accepted = listener.accept().unwrap();
        assert!(peers(&[std::process::id()]).contains(&"127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn servers_are_told_by_the_name_of_their_executable() {
        assert!(serves_logins("sshd") && serves_logins("sshd-session") && serves_logins("dropbear"));
        assert!(!serves_logins("ssh"));
    }
}
