//! What isolation leaves open.

use std::collections::BTreeMap;

use openclaw_common::verdict::{Allowed, EXCEPTIONS, HOST_LOOPBACK, OWN_LOOPBACK};

use super::Network;
use super::guard::name_servers;

/// The port of DNS, over UDP and TCP (RFC 1035).
const DNS: u32 = 53;

/// `security.response.isolation`: what isolated processes, or an isolated host, may still reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exceptions {
    /// Networks, so that the SOC can still reach what is isolated, and be reached.
    pub allow: Vec<Network>,
    /// Whether the DNS servers of this host are.
    pub dns: bool,
    /// Whether this host is, over loopback; where nothing is said, by an isolated host alone.
    pub loopback: Option<bool>,
}

impl Exceptions {
    /// The networks that stay open, and what of them.
    pub(super) fn networks(&self) -> BTreeMap<Network, Allowed> {
        let servers = if self.dns { name_servers() } else { Vec::new() };
        let dns = servers.into_iter().map(|server| (Network::from(server), Allowed { port: DNS }));
        // The kernel asks for the narrowest: one that is in a wider one is as open as that.
        let dns = dns.filter(|(server, _)| !self.allows(*server));
        dns.chain(self.allow.iter().map(|network| (*network, Allowed { port: 0 }))).collect()
    }

    /// Whether all of a network stays open.
    pub(super) fn allows(&self, network: Network) -> bool {
        self.allow.iter().any(|allowed| allowed.covers(network))
    }

    /// What stays open beside networks, as the kernel is told.
    pub(super) fn open(&self) -> u32 {
        let flag = |is_open, flag| if is_open { flag } else { 0 };
        let own_loopback = self.loopback == Some(true);
        flag(own_loopback || self.dns || !self.allow.is_empty(), EXCEPTIONS)
            | flag(own_loopback, OWN_LOOPBACK)
            | flag(self.loopback != Some(false), HOST_LOOPBACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_open_that_nobody_names_but_an_isolated_hosts_loopback() {
        let none = Exceptions::default();
        assert_eq!((none.networks(), none.open()), (BTreeMap::new(), HOST_LOOPBACK));
        let closed = Exceptions { loopback: Some(false), ..Exceptions::default() };
        assert_eq!(closed.open(), 0);
        let open = Exceptions { loopback: Some(true), ..Exceptions::default() };
        assert_eq!(open.open(), EXCEPTIONS | OWN_LOOPBACK | HOST_LOOPBACK);
    }

    #[test]
    fn a_network_that_is_named_is_open_for_everything() {
        let network: Network = "192.0.2.0/24".parse().unwrap();
        let exceptions = Exceptions { allow: vec![network], ..Exceptions::default() };
        assert_eq!(exceptions.networks(), BTreeMap::from([(network, Allowed { port: 0 })]));
        assert_eq!(exceptions.open() & EXCEPTIONS, EXCEPTIONS);
        assert!(exceptions.allows("192.0.2.7".parse().unwrap()));
        assert!(!exceptions.allows("192.0.0.0/16".parse().unwrap()));
    }
}
