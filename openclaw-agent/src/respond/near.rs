//! Near which addresses something is blocked: so few bits that the kernel looks them up at once, and asks for the network itself
//! only where they say so. What a packet costs then does not grow with what is blocked elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;

use openclaw_common::verdict::{NEAR4, NEAR6, near4, near6};

use super::Network;

/// A word of the kernel's table: its place, and its 64 bits.
pub(super) type Word = (u32, u64);

/// How many networks make each bit what it is, and the words of those bits.
#[derive(Debug, Clone, Default)]
pub(super) struct Near {
    networks: HashMap<u32, u32>,
    words: HashMap<u32, u64>,
}

impl Near {
    /// A network is blocked that was not. Returns the words that are other than before.
    pub(super) fn add(&mut self, network: Network) -> Vec<Word> {
        self.change(network, |networks| *networks += 1)
    }

    /// A network is blocked no longer. Returns the words that are other than before.
    pub(super) fn remove(&mut self, network: Network) -> Vec<Word> {
        self.change(network, |networks| *networks = networks.saturating_sub(1))
    }

    /// A word that is not zero.
    pub(super) fn word(&self, place: u32) -> u64 {
        self.words.get(&place).copied().unwrap_or(0)
    }

    fn change(&mut self, network: Network, count: impl Fn(&mut u32)) -> Vec<Word> {
        let mut changed = Vec::new();
        for bit in bits(network) {
            let networks = self.networks.entry(bit).or_default();
            let was_near = *networks > 0;
            count(networks);
            if was_near == (*networks > 0) {
                continue;
            }
            if was_near {
                self.networks.remove(&bit);
            }
            let place = bit / u64::BITS;
            let word = self.words.entry(place).or_default();
            *word ^= 1 << (bit % u64::BITS);
            match changed.last_mut() {
                Some((last, value)) if *last == place => *value = *word,
                _ => changed.push((place, *word)),
            }
            if *word == 0 {
                self.words.remove(&place);
            }
        }
        changed
    }
}

/// The bits of the addresses in a network.
fn bits(network: Network) -> Box<dyn Iterator<Item = u32>> {
    let free = |of: u32| 1_u32 << of.saturating_sub(u32::from(network.prefix()));
    match network.address() {
        IpAddr::V4(address) => {
            let first = near4(address.octets());
            Box::new(first..first + free(20))
        }
        IpAddr::V6(address) => {
            let first = (address.to_bits() >> 96) as u32;
            let all: Range<u32> = 0..NEAR6;
            if network.prefix() <= 16 {
                Box::new(all.map(|class| NEAR4 + class))
            } else {
                Box::new((0..free(32)).map(move |last| near6(first + last)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn is_near(near: &Near, address: IpAddr) -> bool {
        let bit = match address {
            IpAddr::V4(address) => near4(address.octets()),
            IpAddr::V6(address) => near6((address.to_bits() >> 96) as u32),
        };
        near.word(bit / 64) >> (bit % 64) & 1 == 1
    }

    fn networks() -> impl Strategy<Value = Vec<Network>> {
        let v4 = (any::<u32>(), 4..=32_u8)
            .prop_map(|(bits, prefix)| (IpAddr::V4(Ipv4Addr::from_bits(bits)), prefix));
        let v6 = (any::<u128>(), 12..=128_u8)
            .prop_map(|(bits, prefix)| (IpAddr::V6(Ipv6Addr::from_bits(bits)), prefix));
        let network =
            prop_oneof![v4, v6].prop_map(|(address, prefix)| Network::new(address, prefix).unwrap());
        prop::collection::btree_set(network, 1..6).prop_map(|networks| networks.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_address_of_what_is_blocked_is_near_and_nothing_is_when_nothing_is_blocked(
            networks in networks(),
            inside in any::<u128>(),
        ) {
            let mut near = Near::default();
            let mut table: HashMap<u32, u64> = HashMap::new();
            for network in &networks {
                table.extend(near.add(*network));
            }
            for (at, network) in networks.iter().enumerate() {
                let address = match network.address() {
                    IpAddr::V4(first) => {
                        let mask = u32::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                        IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() | (inside as u32 & mask)))
                    }
                    IpAddr::V6(first) => {
                        let mask = u128::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                        IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | (inside & mask)))
                    }
                };
                prop_assert!(network.contains(address) && is_near(&near, address), "{network} {address}");
                // The others stay near when one has gone.
                table.extend(near.remove(*network));
                for other in &networks[at + 1..] {
                    prop_assert!(is_near(&near, other.address()), "{other} without {network}");
                }
                prop_assert!(table.iter().all(|(place, word)| near.word(*place) == *word), "the table follows");
            }
            prop_assert!(table.values().all(|word| *word == 0));
        }
    }

    #[test]
    fn what_is_far_is_not_near() {
        let mut near = Near::default();
        near.add("192.0.2.0/24".parse().unwrap());
        near.add("2001:db8::7".parse().unwrap());
        for far in ["192.1.2.1", "10.0.0.1", "2001:db9::7", "::1"] {
            assert!(!is_near(&near, far.parse().unwrap()), "{far}");
        }
    }
}
