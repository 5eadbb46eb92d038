//! Sets of addresses and networks, asked in logarithmic time.

use std::net::{IpAddr, Ipv6Addr};

/// An address with how many of its first bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
    /// Whether bits are set behind the prefix, which are ignored.
    pub(crate) host_bits: bool,
}

impl Network {
    /// `192.0.2.7`, `10.0.0.0/8`, `fe80::/10`; an IPv4 address in IPv6 clothes is the IPv4 address.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(prefix)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let mut prefix = match prefix {
            Some(p) if !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) => p.parse().ok()?,
            Some(_) => return None,
            None => bits,
        };
        if prefix > bits {
            return None;
        }
        let mut canonical = address;
        if let (IpAddr::V6(_), IpAddr::V4(_)) = (address, address.to_canonical())
            && prefix >= 96
        {
            canonical = address.to_canonical();
            prefix -= 96;
        }
        let mut network = Network { address: canonical, prefix, host_bits: false };
        network.host_bits = match (network.address, network.range()) {
            (IpAddr::V4(a), (first, _)) => u128::from(u32::from(a)) != first,
            (IpAddr::V6(a), (first, _)) => u128::from(a) != first,
        };
        Some(network)
    }

    /// Whether it is a single address.
    pub(crate) fn is_address(self) -> bool {
        self.prefix == if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The first and the last address as numbers.
    fn range(self) -> (u128, u128) {
        let (address, bits) = match self.address {
            IpAddr::V4(a) => (u128::from(u32::from(a)), 32),
            IpAddr::V6(a) => (u128::from(a), 128),
        };
        let host = bits - u32::from(self.prefix);
        let mask = if host == 128 { u128::MAX } else { (1u128 << host) - 1 };
        (address & !mask, address | mask)
    }
}

/// Addresses, as ranges that do not touch, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressSet {
    /// All addresses of these networks.
    pub(crate) fn new(networks: &[Network]) -> Self {
        let v4 = networks.iter().filter(|n| n.address.is_ipv4()).map(|n| n.range()).collect();
        let v6 = networks.iter().filter(|n| n.address.is_ipv6()).map(|n| n.range()).collect();
        let narrow = |(a, b): (u128, u128)| (a as u32, b as u32);
        AddressSet { v4: merge(v4).into_iter().map(narrow).collect(), v6: merge(v6).into() }
    }

    /// The addresses one by one, where there are at most so many.
    pub(crate) fn singles(&self, at_most: usize) -> Option<impl Iterator<Item = IpAddr>> {
        let v4 = self.v4.iter().map(|(first, last)| u128::from(last - first));
        let v6 = self.v6.iter().map(|(first, last)| last - first);
        let count = v4.chain(v6).fold(0, |count: u128, more| count.saturating_add(more).saturating_add(1));
        (count <= at_most as u128).then(|| {
            let v4 = self.v4.iter().flat_map(|(first, last)| *first..=*last);
            let v6 = self.v6.iter().flat_map(|(first, last)| *first..=*last);
            v4.map(|address| IpAddr::V4(address.into())).chain(v6.map(|address| IpAddr::V6(address.into())))
        })
    }

    /// Whether all addresses of the set are in the other.
    pub(crate) fn is_within(&self, other: &AddressSet) -> bool {
        // The ranges of a set do not touch, so that each of these is within one of those.
        let v4 = self.v4.iter().all(|(first, last)| holds_range(&other.v4, *first, *last));
        v4 && self.v6.iter().all(|(first, last)| holds_range(&other.v6, *first, *last))
    }

    /// Whether the address is in the set.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => holds(&self.v4, a.into()),
            IpAddr::V6(a) => match Ipv6Addr::to_canonical(&a) {
                IpAddr::V4(a) => holds(&self.v4, a.into()),
                IpAddr::V6(a) => holds(&self.v6, a.into()),
            },
        }
    }
}

/// Whether one of the ranges, which are in order, holds `x`.
fn holds<T: Copy + PartialOrd>(ranges: &[(T, T)], x: T) -> bool {
    holds_range(ranges, x, x)
}

/// Whether one of the ranges, which are in order, holds all from `first` to `last`.
fn holds_range<T: Copy + PartialOrd>(ranges: &[(T, T)], first: T, last: T) -> bool {
    let after = ranges.partition_point(|(begin, _)| *begin <= first);
    after > 0 && last <= ranges[after - 1].1
}

/// The same addresses in ranges that are in order and apart.
fn merge(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_network_is_an_address_and_a_prefix_that_fits_it() {
        for (text, valid) in [
            ("10.0.0.0/8", true),
            ("192.0.2.7", true),
            ("::1", true),
            ("fe80::/10", true),
            ("::ffff:10.0.0.1", true),
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("10.0.0.0/33", false),
            ("::/129", false),
            ("10.0.0/8", false),
            ("10.0.0.0/", false),
            ("10.0.0.0/+8", false),
            ("nc", false),
        ] {
            assert_eq!(Network::parse(text).is_some(), valid, "{text}");
        }
        assert!(Network::parse("10.0.0.1/8").unwrap().host_bits);
    }

    #[test]
    fn a_set_holds_the_edges_of_its_networks_and_not_their_neighbours() {
        let networks: Vec<_> =
            ["10.0.0.0/8", "192.0.2.7", "10.5.0.0/16", "fe80::/10", "::ffff:198.51.100.0/120"]
                .iter()
                .map(|n| Network::parse(n).unwrap())
                .collect();
        let set = AddressSet::new(&networks);
        for (address, inside) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("198.51.100.9", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("::1", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!AddressSet::new(&[]).contains("::1".parse().unwrap()));
    }

    #[test]
    fn every_ipv6_network_holds_no_ipv4_address() {
        let set = AddressSet::new(&[Network::parse("::/0").unwrap()]);
        assert!(set.contains("2001:db8::1".parse().unwrap()));
        assert!(!set.contains("10.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_networks_holds(
            networks in prop::collection::vec((any::<u32>(), 0u8..=32), 0..8),
            address: u32,
        ) {
            let parsed: Vec<_> = networks
                .iter()
                .map(|(a, p)| Network::parse(&format!("{}/{p}", std::net::Ipv4Addr::from(*a))).unwrap())
                .collect();
            let expected = networks
                .iter()
                .any(|(a, p)| *p == 0 || (a >> (32 - u32::from(*p))) == (address >> (32 - u32::from(*p))));
            prop_assert_eq!(AddressSet::new(&parsed).contains(IpAddr::V4(address.into())), expected);
        }
    }
}
