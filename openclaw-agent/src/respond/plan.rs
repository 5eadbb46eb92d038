//! What the kernel's table of blocked networks must hold.
//!
//! The table answers with the longest prefix that matches, so an entry that is over would hide a wider one
//! that is in force. Hence each entry bears the latest expiry among the verdicts that cover it.

use std::collections::BTreeMap;

use super::Network;

/// The blocks in force, and what they make of each entry.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    /// When the block of each network ends, in nanoseconds since boot.
    blocks: BTreeMap<Network, u64>,
}

impl Plan {
    /// Blocks a network until then, or changes until when. Returns the entries, with their expiries, that are other than
    /// before, or may be.
    pub(super) fn block(&mut self, network: Network, expiry: u64) -> Vec<(Network, u64)> {
        self.blocks.insert(network, expiry);
        self.entries_in(network)
    }

    /// Whether a network is blocked, and not merely one around it.
    pub(super) fn has(&self, network: Network) -> bool {
        self.blocks.contains_key(&network)
    }

    /// Ends the block of a network, which has no entry any more. Returns those that are other than before, or may be.
    pub(super) fn unblock(&mut self, network: Network) -> Vec<(Network, u64)> {
        self.blocks.remove(&network);
        self.entries_in(network)
    }

    /// The entries of a network and of all that are in it.
    fn entries_in(&self, network: Network) -> Vec<(Network, u64)> {
        let inside = self.blocks.range(network..).take_while(|(other, _)| network.covers(**other));
        inside.map(|(network, _)| (*network, self.expiry(*network))).collect()
    }

    /// The latest expiry among the blocks that cover a network.
    fn expiry(&self, network: Network) -> u64 {
        let around = (0..=network.prefix()).filter_map(|prefix| Network::new(network.address(), prefix));
        around.filter_map(|network| self.blocks.get(&network)).copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel's table, as the plan has it changed.
    #[derive(Default)]
    struct Table {
        plan: Plan,
        entries: BTreeMap<Network, u64>,
    }

    impl Table {
        fn block(&mut self, network: &str, expiry: u64) {
            self.entries.extend(self.plan.block(network.parse().unwrap(), expiry));
        }

        fn unblock(&mut self, network: &str) {
            let network = network.parse().unwrap();
            self.entries.extend(self.plan.unblock(network));
            self.entries.remove(&network);
        }

        /// Whether the kernel, by longest prefix, would drop at a time.
        fn drops(&self, address: std::net::IpAddr, now: u64) -> bool {
            let matching = self.entries.iter().filter(|(network, _)| network.contains(address));
            matching.max_by_key(|(network, _)| network.prefix()).is_some_and(|(_, expiry)| *expiry > now)
        }

        fn of(&self, network: &str) -> Option<u64> {
            self.entries.get(&network.parse().unwrap()).copied()
        }
    }

    #[test]
    fn an_address_lives_as_long_as_the_network_around_it() {
        for narrow_first in [true, false] {
            let mut table = Table::default();
            if narrow_first {
                table.block("10.0.0.7", 10);
            }
            table.block("10.0.0.0/24", 100);
            table.block("10.0.0.7", 10);
            assert_eq!((table.of("10.0.0.0/24"), table.of("10.0.0.7")), (Some(100), Some(100)));
            table.unblock("10.0.0.0/24");
            assert_eq!((table.of("10.0.0.0/24"), table.of("10.0.0.7")), (None, Some(10)));
        }
    }

    #[test]
    fn a_network_does_not_live_longer_for_an_address_in_it() {
        let mut table = Table::default();
        table.block("10.0.0.0/24", 10);
        table.block("10.0.0.7", 100);
        assert_eq!((table.of("10.0.0.0/24"), table.of("10.0.0.7")), (Some(10), Some(100)));
    }

    #[test]
    fn an_address_is_blocked_exactly_while_a_verdict_that_covers_it_is_in_force() {
        let networks =
            ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "2001:db8::/32", "2001:db8::1"];
        let addresses =
            ["10.1.2.3", "10.1.2.4", "10.1.3.1", "10.2.0.1", "11.0.0.1", "2001:db8::1", "2001:db8::2"];
        // Every assignment of three expiries, or no verdict, to the six networks; come to from everything blocked, in an
        // order of its own.
        for case in 0..4_u32.pow(6) {
            let mut table = Table::default();
            networks.iter().for_each(|network| table.block(network, 25));
            let mut order: Vec<usize> = (0..networks.len()).collect();
            order.rotate_left(case as usize % networks.len());
            let mut blocks = Vec::new();
            for at in order {
                match u64::from(case / 4_u32.pow(at as u32) % 4) * 10 {
                    0 => table.unblock(networks[at]),
                    expiry => {
                        table.block(networks[at], expiry);
                        blocks.push((networks[at].parse::<Network>().unwrap(), expiry));
                    }
                }
            }
            for address in addresses {
                for now in [0, 10, 20, 30] {
                    let ip = address.parse().unwrap();
                    let truth = blocks.iter().any(|(network, expiry)| network.contains(ip) && *expiry > now);
                    assert_eq!(table.drops(ip, now), truth, "{address} at {now} under {blocks:?}");
                }
            }
        }
    }
}
