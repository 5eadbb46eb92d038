//! What must stay reachable: networks that nobody blocks, and those from which somebody works on this host.

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::endpoints::Endpoints;
use super::super::{Exceptions, Network, ResponseSettings, operator, process};
use super::process::executable;

/// The guard rails of blocks, as they are configured.
#[derive(Debug)]
pub(in crate::respond) struct NetworkGuard {
    never_block: Vec<Network>,
    exceptions: Exceptions,
    endpoints: Endpoints,
}

impl NetworkGuard {
    pub(in crate::respond) fn new(settings: &ResponseSettings) -> Self {
        NetworkGuard {
            never_block: settings.never_block.clone(),
            exceptions: settings.isolation.clone(),
            endpoints: Endpoints::new(&settings.alert_endpoints),
        }
    }

    /// From now on these are the endpoints.
    pub(in crate::respond) fn spare_endpoints(&mut self, endpoints: &[String]) {
        self.endpoints.replace(endpoints);
    }

    /// Why a network must not be blocked.
    pub(in crate::respond) fn network(&self, network: Network) -> Option<String> {
        let mut never = fixed();
        never.extend(self.never_block.iter().map(|net| (*net, "security.response.never_block")));
        never.extend(own_addresses().into_iter().map(|ip| (ip.into(), "this host's own address")));
        never.extend(gateways().into_iter().map(|ip| (ip.into(), "the default gateway")));
        never.extend(name_servers().into_iter().map(|ip| (ip.into(), "a DNS server of resolv.conf")));
        never.extend(
            self.endpoints.addresses().into_iter().map(|ip| (ip.into(), "where alerts or webhooks go")),
        );
        forbidden(network, &never)
    }

    /// Why no rule may block a network, though a person may: somebody works on this host from there.
    pub(in crate::respond) fn operator(&self, network: Network) -> Option<String> {
        let by_hand = format!("`openclaw blocklist add {network}` blocks it all the same");
        if let Some(soc) = self.exceptions.allow.iter().find(|soc| soc.overlaps(network)) {
            return Some(format!(
                "{soc} is to be reached even by who is isolated (security.response.isolation.allow), so a rule must not \
                 block it; {by_hand}"
            ));
        }
        let peer = self.operators().into_iter().find(|peer| network.contains(*peer))?;
        Some(format!(
            "{peer} has an open session with this host's sshd, which a rule must not cut; {by_hand}"
        ))
    }

    /// Why no rule may isolate the host, though a person may: those who look after it could not reach it any more.
    pub(in crate::respond) fn lockout(&self) -> Option<String> {
        let exceptions = &self.exceptions;
        let by_hand = "`openclaw isolate --host` does it all the same";
        if exceptions.allow.is_empty() {
            return Some(format!(
                "nobody could reach this host any more: name the SOC's networks in security.response.isolation.allow; \
                 {by_hand}"
            ));
        }
        let peer = self.operators().into_iter().find(|peer| !exceptions.allows(Network::from(*peer)))?;
        Some(format!(
            "{peer} has an open session with this host's sshd, which a rule must not cut, and is not in \
             security.response.isolation.allow; {by_hand}"
        ))
    }

    /// From where somebody works on this host.
    fn operators(&self) -> HashSet<IpAddr> {
        let servers: Vec<u32> = process::all()
            .into_iter()
            .filter(|pid| {
                executable(*pid)
                    .is_some_and(|runs| operator::serves_logins(runs.name()) && runs.is_installed())
            })
            .collect();
        operator::peers(&servers)
    }
}

/// Why a network must not be blocked, by what must never be.
fn forbidden(network: Network, never: &[(Network, &str)]) -> Option<String> {
    let (protected, what) = never.iter().find(|(protected, _)| protected.overlaps(network))?;
    Some(if network == *protected {
        format!("{network} is never blocked: {what}")
    } else if network.covers(*protected) {
        format!("{network} contains {protected}, which is never blocked: {what}")
    } else {
        format!("{network} is in {protected}, which is never blocked: {what}")
    })
}

/// Networks that are never blocked on any host.
fn fixed() -> Vec<(Network, &'static str)> {
    let v4 = |a, prefix, what| (Network::new(IpAddr::V4(Ipv4Addr::new(a, 0, 0, 0)), prefix), what);
    let v6 = |address: Ipv6Addr, prefix, what| (Network::new(IpAddr::V6(address), prefix), what);
    [
        v4(127, 8, "loopback"),
        v4(0, 8, "the unspecified address"),
        v4(224, 4, "multicast"),
        (Network::new(IpAddr::V4(Ipv4Addr::BROADCAST), 32), "broadcast"),
        v6(Ipv6Addr::LOCALHOST, 128, "loopback"),
        v6(Ipv6Addr::UNSPECIFIED, 128, "the unspecified address"),
        v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
    ]
    .into_iter()
    .filter_map(|(network, what)| Some((network?, what)))
    .collect()
}

/// The addresses of this host's interfaces, in this network namespace.
fn own_addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut addresses = local_ipv4(&v4);
    addresses.extend(v6.lines().filter_map(|line| hex_ipv6(line.split(' ').next()?)));
    addresses
}

/// `|-- 192.0.2.7` followed by `/32 host LOCAL`.
fn local_ipv4(trie: &str) -> Vec<IpAddr> {
    let mut address = None;
    let mut found = Vec::new();
    for line in trie.lines() {
        if let Some((_, text)) = line.split_once("|-- ") {
            address = text.trim().parse().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = address
        {
            found.push(address);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The gateways of default routes.
fn gateways() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let mut found: Vec<IpAddr> = v4.lines().filter_map(default_route4).collect();
    found.extend(v6.lines().filter_map(default_route6));
    found.retain(|address| !address.is_unspecified());
    found
}

/// `eth0 00000000 0102A8C0 …`: interface, destination, gateway, each word in this machine's order.
fn default_route4(line: &str) -> Option<IpAddr> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (destination, gateway) = (fields.next()?, fields.next()?);
    let mask = fields.nth(4)?;
    (destination == "00000000" && mask == "00000000").then_some(())?;
    let word = u32::from_str_radix(gateway, 16).ok()?;
    Some(IpAddr::from(word.to_ne_bytes()))
}

/// Destination, prefix length, source, its prefix length, next hop, …
fn default_route6(line: &str) -> Option<IpAddr> {
    let mut fields = line.split_ascii_whitespace();
    let (destination, prefix) = (fields.next()?, fields.next()?);
    let gateway = fields.nth(2)?;
    (prefix == "00" && destination.bytes().all(|digit| digit == b'0')).then_some(())?;
    hex_ipv6(gateway)
}

fn hex_ipv6(text: &str) -> Option<IpAddr> {
    (text.len() == 32).then_some(())?;
    Some(IpAddr::V6(Ipv6Addr::from_bits(u128::from_str_radix(text, 16).ok()?)))
}

/// The DNS servers that this host asks.
pub(in crate::respond) fn name_servers() -> Vec<IpAddr> {
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| name_servers_in(&text))
        .collect()
}

fn name_servers_in(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let address = line.trim().strip_prefix("nameserver")?.trim();
            address.split('%').next()?.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> NetworkGuard {
        let settings = ResponseSettings {
            never_block: vec!["198.51.100.0/24".parse().unwrap()],
            alert_endpoints: vec!["203.0.113.9:443".to_owned()],
            ..ResponseSettings::default()
        };
        NetworkGuard::new(&settings)
    }

    #[test]
    fn loopback_multicast_and_the_operators_networks_are_never_blocked() {
        let guard = guard();
        for never in [
            "127.0.0.1",
            "127.8.0.0/16",
            "0.0.0.0",
            "0.0.0.0/0",
            "224.0.0.251",
            "255.255.255.255",
            "::1",
            "::",
            "::/0",
            "ff02::1",
            "::ffff:127.0.0.1",
            "198.51.100.7",
            "198.51.0.0/16",
            "203.0.113.9",
            "203.0.113.0/24",
        ] {
            assert!(guard.network(never.parse().unwrap()).is_some(), "{never}");
        }
        assert_eq!(guard.network("192.0.2.7".parse().unwrap()), None);
        assert_eq!(guard.network("2001:db8::/48".parse().unwrap()), None);
    }

    #[test]
    fn a_refusal_says_which_network_is_in_the_way() {
        assert_eq!(
            guard().network("198.51.0.0/16".parse().unwrap()).unwrap(),
            "198.51.0.0/16 contains 198.51.100.0/24, which is never blocked: security.response.never_block"
        );
    }

    #[test]
    fn routes_and_addresses_are_read_as_the_kernel_writes_them() {
        let route = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        assert_eq!(default_route4(route), Some("192.0.2.1".parse().unwrap()));
        let local = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
        assert_eq!(default_route4(local), None);
        let zero = "0".repeat(32);
        let line = format!("{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 1 0 3 eth0");
        assert_eq!(default_route6(&line), Some("fe80::1".parse().unwrap()));
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.7\n        /32 host LOCAL\n     \
                    |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(local_ipv4(trie), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(name_servers_in("# a\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\n").len(), 2);
    }
}
