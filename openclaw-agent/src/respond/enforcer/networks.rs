//! A table of networks in the kernel: one trie for each family, each of which answers with the longest prefix.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use aya::maps::MapData;
use aya::maps::lpm_trie::{Key, LpmTrie};

use super::super::Network;
use super::{Plain, absent_is_fine};

/// What is said of networks.
pub(super) struct Networks<V: bytemuck::Pod> {
    v4: LpmTrie<MapData, [u8; 4], Plain<V>>,
    v6: LpmTrie<MapData, [u8; 16], Plain<V>>,
    /// What it is for, in errors.
    what: &'static str,
}

impl<V: bytemuck::Pod> Networks<V> {
    pub(super) fn new(
        v4: LpmTrie<MapData, [u8; 4], Plain<V>>,
        v6: LpmTrie<MapData, [u8; 16], Plain<V>>,
        what: &'static str,
    ) -> Self {
        Networks { v4, v6, what }
    }

    /// Says this of a network.
    pub(super) fn set(&mut self, network: Network, value: V) -> Result<()> {
        let prefix = u32::from(network.prefix());
        match network.address() {
            IpAddr::V4(v4) => self.v4.insert(&Key::new(prefix, v4.octets()), Plain(value), 0),
            IpAddr::V6(v6) => self.v6.insert(&Key::new(prefix, v6.octets()), Plain(value), 0),
        }
        .with_context(|| format!("the kernel's table of {} takes no more", self.what))
    }

    /// Says nothing of a network any more.
    pub(super) fn remove(&mut self, network: Network) -> Result<()> {
        let prefix = u32::from(network.prefix());
        let removed = match network.address() {
            IpAddr::V4(v4) => self.v4.remove(&Key::new(prefix, v4.octets())),
            IpAddr::V6(v6) => self.v6.remove(&Key::new(prefix, v6.octets())),
        };
        absent_is_fine(removed)
            .with_context(|| format!("the kernel's table of {} does not let {network} go", self.what))
    }

    /// What holds for a network's first address.
    pub(super) fn first(&self, network: Network) -> Option<V> {
        let found = match network.address() {
            IpAddr::V4(v4) => self.v4.get(&Key::new(32, v4.octets()), 0),
            IpAddr::V6(v6) => self.v6.get(&Key::new(128, v6.octets()), 0),
        };
        found.ok().map(|Plain(value)| value)
    }

    /// The networks of which something is said.
    pub(super) fn all(&self) -> BTreeSet<Network> {
        let v4 = self.v4.keys().filter_map(|key| {
            let key = key.ok()?;
            Network::new(IpAddr::V4(Ipv4Addr::from(key.data())), u8::try_from(key.prefix_len()).ok()?)
        });
        let v6 = self.v6.keys().filter_map(|key| {
            let key = key.ok()?;
            Network::new(IpAddr::V6(Ipv6Addr::from(key.data())), u8::try_from(key.prefix_len()).ok()?)
        });
        v4.chain(v6).collect()
    }
}
