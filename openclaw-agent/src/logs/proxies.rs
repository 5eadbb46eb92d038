//! Who a client is, where proxies stand before a server.

use std::net::IpAddr;

use crate::respond::Network;

/// Who has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Somebody over the network.
    Address(IpAddr),
    /// A program of this host, over a Unix socket: the proxy, where there is any.
    Local,
}

/// The proxies that are trusted to say for whom they ask.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies(Vec<Network>);

impl Proxies {
    pub(super) fn new(networks: Vec<Network>) -> Proxies {
        Proxies(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client: the peer, unless it is a trusted proxy; then the nearest address that is none, of those in the header
    /// (`X-Forwarded-For`: each proxy adds whom it was asked by, so that what stands before was the client's own word).
    /// None where the proxies name nobody.
    pub(super) fn client(&self, peer: Peer, header: &str) -> Option<IpAddr> {
        match peer {
            Peer::Address(peer) if !self.trusts(peer) => return Some(peer),
            Peer::Local if self.0.is_empty() => return None,
            Peer::Address(_) | Peer::Local => {}
        }
        header.rsplit(',').map_while(address).find(|address| !self.trusts(*address))
    }
}

/// An address as proxies write it: `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::1]:4711`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|address| address.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_nearest_that_no_trusted_proxy_is() {
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let client = |peer: &str, header: &str| {
            let peer = peer.parse().map_or(Peer::Local, Peer::Address);
            proxies.client(peer, header).map(|client| client.to_string())
        };
        for (peer, header, expected) in [
            ("192.0.2.7", "8.8.8.8", Some("192.0.2.7")),
            ("10.0.0.1", "8.8.8.8", Some("8.8.8.8")),
            ("10.0.0.1", "1.1.1.1, 8.8.8.8, 10.0.0.2", Some("8.8.8.8")),
            ("2001:db8::1", "[2001:db9::1]:80", Some("2001:db9::1")),
            ("10.0.0.1", "8.8.8.8:4711", Some("8.8.8.8")),
            ("10.0.0.1", "unknown", None),
            ("10.0.0.1", "10.0.0.2", None),
            ("10.0.0.1", "'; drop table, 8.8.8.8, 10.0.0.2", Some("8.8.8.8")),
            ("10.0.0.1", "8.8.8.8, unknown, 10.0.0.2", None),
            ("10.0.0.1", "", None),
            ("unix:", "1.1.1.1, 8.8.8.8, 10.0.0.2", Some("8.8.8.8")),
        ] {
            assert_eq!(client(peer, header).as_deref(), expected, "{peer} {header}");
        }
    }
}
