//! What the kernel's table of blocked networks must hold.
//!
//! The table answers with the longest prefix that matches, so an entry that is over would hide a wider one
//! that is in force. Hence each entry bears the latest expiry among the verdicts that cover it.

use std::collections::BTreeMap;

use super::Network;

/// The entries, with their expiries, that enforce these verdicts.
pub(super) fn entries(verdicts: &[(Network, u64)]) -> BTreeMap<Network, u64> {
    verdicts
        .iter()
        .map(|(network, _)| {
            let covering = verdicts.iter().filter(|(wider, _)| wider.covers(*network));
            (*network, covering.map(|(_, expiry)| *expiry).max().unwrap_or(0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(verdicts: &[(&str, u64)]) -> Vec<(String, u64)> {
        let verdicts: Vec<_> = verdicts.iter().map(|(net, at)| (net.parse().unwrap(), *at)).collect();
        let mut plan: Vec<_> =
            entries(&verdicts).into_iter().map(|(network, at)| (network.to_string(), at)).collect();
        plan.sort();
        plan
    }

    /// Whether the kernel, by longest prefix, would drop at a time.
    fn blocked(verdicts: &[(Network, u64)], address: &str, now: u64) -> bool {
        let address = Network::from(address.parse::<std::net::IpAddr>().unwrap());
        entries(verdicts)
            .into_iter()
            .filter(|(network, _)| network.covers(address))
            .max_by_key(|(network, _)| network.prefix())
            .is_some_and(|(_, expiry)| expiry > now)
    }

    #[test]
    fn an_address_lives_as_long_as_the_network_around_it() {
        assert_eq!(
            plan(&[("10.0.0.0/24", 100), ("10.0.0.7", 10)]),
            [("10.0.0.0/24".to_owned(), 100), ("10.0.0.7".to_owned(), 100)]
        );
    }

    #[test]
    fn a_network_does_not_live_longer_for_an_address_in_it() {
        assert_eq!(
            plan(&[("10.0.0.0/24", 10), ("10.0.0.7", 100)]),
            [("10.0.0.0/24".to_owned(), 10), ("10.0.0.7".to_owned(), 100)]
        );
    }

    #[test]
    fn an_address_is_blocked_exactly_while_a_verdict_that_covers_it_is_in_force() {
        let networks =
            ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "2001:db8::/32", "2001:db8::1"];
        let addresses =
            ["10.1.2.3", "10.1.2.4", "10.1.3.1", "10.2.0.1", "11.0.0.1", "2001:db8::1", "2001:db8::2"];
        // Every assignment of three expiries, or no verdict, to the six networks.
        for case in 0..4_u32.pow(6) {
            let verdicts: Vec<(Network, u64)> = networks
                .iter()
                .enumerate()
                .filter_map(|(i, network)| {
                    let expiry = u64::from(case / 4_u32.pow(i as u32) % 4);
                    (expiry > 0).then(|| (network.parse().unwrap(), expiry * 10))
                })
                .collect();
            for address in addresses {
                for now in [0, 10, 20, 30] {
                    let ip = address.parse().unwrap();
                    let truth =
                        verdicts.iter().any(|(network, expiry)| network.contains(ip) && *expiry > now);
                    assert_eq!(
                        blocked(&verdicts, address, now),
                        truth,
                        "{address} at {now} under {verdicts:?}"
                    );
                }
            }
        }
    }
}
