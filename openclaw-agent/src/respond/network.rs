//! Addresses and networks, `192.0.2.7` or `192.0.2.0/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IPv4 or IPv6 network, with the bits after the prefix zero. A single address has the full prefix.
///
/// IPv4 written as IPv6 (`::ffff:192.0.2.7`) is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network of `prefix` bits that `address` is in, or `None` where the prefix is longer than the
    /// address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Some(Network { address: IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask)), prefix })
            }
            IpAddr::V6(v6) if prefix <= 128 => match v6.to_ipv4_mapped() {
                Some(v4) if prefix >= 96 => Network::new(IpAddr::V4(v4), prefix - 96),
                _ => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                    Some(Network { address: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)), prefix })
                }
            },
            _ => None,
        }
    }

    /// The first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits all its addresses share.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        self.covers(Network::from(address))
    }

    /// Whether every address of `other` is in it.
    pub fn covers(self, other: Network) -> bool {
        self.prefix <= other.prefix && Network::new(other.address, self.prefix) == Some(self)
    }

    /// Whether some address is in both.
    pub fn overlaps(self, other: Network) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Network {
        let address = address.to_canonical();
        Network { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong =
            || format!("`{text}` is no address or network: write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32");
        match text.split_once('/') {
            None => text.parse::<IpAddr>().map(Network::from).map_err(|_| wrong()),
            Some((address, prefix)) => {
                let address = address.parse().map_err(|_| wrong())?;
                let prefix = prefix.parse().map_err(|_| wrong())?;
                Network::new(address, prefix).ok_or_else(wrong)
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == full {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// As the text that [`Network::from_str`] reads.
impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_covers_what_is_in_it_and_no_other_family() {
        assert!(network("192.0.2.0/24").covers(network("192.0.2.7")));
        assert!(!network("192.0.2.7").covers(network("192.0.2.0/24")));
        assert!(network("192.0.2.7").overlaps(network("192.0.2.0/24")));
        assert!(!network("192.0.2.0/25").overlaps(network("192.0.2.128/25")));
        assert!(network("0.0.0.0/0").covers(network("8.8.8.8")));
        assert!(!network("0.0.0.0/0").overlaps(network("::1")));
        assert!(!network("::/0").overlaps(network("10.0.0.1")));
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
        assert_eq!(network("::ffff:192.0.2.0/120"), network("192.0.2.0/24"));
        assert!(network("192.0.2.0/24").contains("::ffff:192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["", "example.com", "192.0.2.1/33", "192.0.2.1/", "::/129", "/8", "192.0.2"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
