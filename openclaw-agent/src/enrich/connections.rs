//! How much each process has sent to each address: what `network.outbound.bytes` says.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openclaw_common::network::{Endpoints, IPV6};
use openclaw_common::record::{NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NetworkRecord};
use openclaw_detect::ProcessId;

use super::process::id_of;

/// How long a connection that ended is remembered, nanoseconds: a sample of it may come after its end.
const KEEP_ENDED: u64 = 5_000_000_000;

/// Bytes that were last reported of each connection, by the kernel's name for its socket.
#[derive(Debug, Default)]
pub struct Outbound {
    connections: HashMap<u64, Reported>,
}

#[derive(Debug, Clone, Copy)]
struct Reported {
    owner: ProcessId,
    sent: u64,
    /// When it ended, nanoseconds since boot.
    ended: Option<u64>,
}

impl Outbound {
    /// Bytes that the connection has sent since it was last reported.
    pub fn sent_since(&mut self, record: &NetworkRecord) -> u64 {
        let ended = matches!(record.action, NET_CLOSED | NET_FAILED).then_some(record.header.time);
        let owner = id_of(&record.header.task);
        let fresh = Reported { owner, sent: 0, ended: None };
        let known = self.connections.entry(record.socket).or_insert(fresh);
        if record.action == NET_ESTABLISHED && known.ended.is_some() {
            // The kernel uses the name again.
            *known = fresh;
        }
        if known.ended.is_some() {
            return 0;
        }
        let since = record.sent.saturating_sub(known.sent);
        *known = Reported { owner, sent: known.sent.max(record.sent), ended };
        since
    }

    /// Forgets connections that ended some seconds before `now`, nanoseconds since boot.
    pub fn forget_ended(&mut self, now: u64) {
        self.connections.retain(|_, known| known.ended.is_none_or(|at| now.saturating_sub(at) < KEEP_ENDED));
    }

    /// The processes whose connections are open.
    pub fn owners(&self) -> HashSet<ProcessId> {
        self.connections.values().filter(|known| known.ended.is_none()).map(|known| known.owner).collect()
    }
}

/// This side's address and the other's. IPv4 addresses written as IPv6 are IPv4.
pub fn addresses(ends: &Endpoints) -> (IpAddr, IpAddr) {
    (address(ends.local, ends.family), address(ends.remote, ends.family))
}

fn address(bytes: [u8; 16], family: u16) -> IpAddr {
    if family == IPV6 {
        return Ipv6Addr::from(bytes).to_canonical();
    }
    let [a, b, c, d, ..] = bytes;
    Ipv4Addr::new(a, b, c, d).into()
}

#[cfg(test)]
mod tests {
    use openclaw_common::record::NET_PROGRESS;

    use super::*;

    fn record(action: u32, sent: u64) -> NetworkRecord {
        NetworkRecord { socket: 1, action, sent, ..NetworkRecord::default() }
    }

    fn sum(parts: &[(u32, u64)]) -> u64 {
        let mut outbound = Outbound::default();
        parts.iter().map(|(action, sent)| outbound.sent_since(&record(*action, *sent))).sum()
    }

    #[test]
    fn the_parts_of_a_connection_come_to_its_whole() {
        let parts = [(NET_ESTABLISHED, 0), (NET_PROGRESS, 100), (NET_PROGRESS, 250), (NET_CLOSED, 260)];
        assert_eq!(sum(&parts), 260);
    }

    #[test]
    fn a_sample_that_is_lower_than_the_one_before_is_not_counted_twice() {
        assert_eq!(sum(&[(NET_PROGRESS, 100), (NET_PROGRESS, 90), (NET_PROGRESS, 110)]), 110);
    }

    #[test]
    fn a_sample_that_comes_after_the_end_adds_nothing_and_the_next_connection_begins_anew() {
        assert_eq!(sum(&[(NET_PROGRESS, 60), (NET_CLOSED, 60), (NET_PROGRESS, 60)]), 60);
        assert_eq!(sum(&[(NET_CLOSED, 60), (NET_ESTABLISHED, 0), (NET_CLOSED, 40)]), 100);
    }

    #[test]
    fn what_ended_is_forgotten_after_a_while_and_its_owner_is_no_owner() {
        let mut outbound = Outbound::default();
        outbound.sent_since(&record(NET_PROGRESS, 1));
        assert_eq!(outbound.owners().len(), 1);
        outbound.sent_since(&record(NET_CLOSED, 1));
        assert!(outbound.owners().is_empty());
        outbound.forget_ended(KEEP_ENDED);
        assert!(outbound.connections.is_empty());
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_ipv4() {
        let mut ends = Endpoints { family: IPV6, ..Endpoints::default() };
        ends.remote = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets();
        assert_eq!(addresses(&ends).1, IpAddr::from([192, 0, 2, 7]));
    }
}
