//! Hosts and addresses of endpoints: which are this host's own, and which no endpoint should have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a host, by its name or address, is this one: what is sent there crosses no network.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether an address is link-local (RFC 3927, RFC 4291 2.5.6), or one of those beside them at which clouds tell a
/// machine about itself, secrets included. What is posted there may be an attack on the machine by a name that somebody
/// else answers for.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_link_local_v4(address),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || METADATA_V6.contains(&address)
                || behind_nat64(address).is_some_and(is_link_local_v4)
        }
    }
}

fn is_link_local_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || METADATA_V4.contains(&address)
}

/// Alibaba Cloud, Azure's wire server, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Amazon's, for machines and for pods, and Google's.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The IPv4 address in one of `64:ff9b::/96`, by which hosts without IPv4 reach it (RFC 6052 2.1).
fn behind_nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_metadata_are_known_in_every_spelling_and_others_are_let_be() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(is_link_local(address.parse().unwrap()), "{address}");
        }
        for address in
            ["127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "fd00::1", "64:ff9b::c000:201"]
        {
            assert!(!is_link_local(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        for (host, right) in [
            ("localhost", true),
            ("127.0.0.2", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("example.com", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(host), right, "{host}");
        }
    }
}
