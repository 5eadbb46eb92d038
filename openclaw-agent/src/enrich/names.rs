//! Which name an address was asked for by: what `destination.domain` says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Most addresses that are remembered.
const CAPACITY: usize = 16_384;

/// Shortest and longest time that a name is remembered for, nanoseconds. Programs keep an answer for longer
/// than it is good, and connect then.
const KEEP: (u64, u64) = (600_000_000_000, 86_400_000_000_000);

const SECOND: u64 = 1_000_000_000;

/// Names by network namespace and address, as answers told them.
#[derive(Debug, Default)]
pub struct Names {
    names: HashMap<(u32, IpAddr), Name>,
}

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    /// Until when it is remembered, nanoseconds since boot.
    until: u64,
}

impl Names {
    /// Remembers that `addresses` are those of `name`, from `now` (nanoseconds since boot) for `ttl` seconds,
    /// within ten minutes and a day. Where there are too many, the half that would be forgotten first is.
    pub fn learn(&mut self, namespace: u32, name: &str, addresses: &[IpAddr], ttl: u32, now: u64) {
        let text: Arc<str> = name.into();
        let until = now.saturating_add((u64::from(ttl) * SECOND).clamp(KEEP.0, KEEP.1));
        for address in addresses {
            if self.names.len() >= CAPACITY {
                self.make_room();
            }
            self.names.insert((namespace, *address), Name { text: Arc::clone(&text), until });
        }
    }

    /// The name of an address at `now`.
    pub fn of(&self, namespace: u32, address: IpAddr, now: u64) -> Option<Arc<str>> {
        if self.names.is_empty() {
            return None;
        }
        let name = self.names.get(&(namespace, address))?;
        (name.until > now).then(|| Arc::clone(&name.text))
    }

    fn make_room(&mut self) {
        let mut ends: Vec<u64> = self.names.values().map(|name| name.until).collect();
        let middle = ends.len() / 2;
        let (_, median, _) = ends.select_nth_unstable(middle);
        let median = *median;
        self.names.retain(|_, name| name.until > median);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    #[test]
    fn the_last_name_of_an_address_counts_in_the_namespace_in_which_it_was_asked() {
        let mut names = Names::default();
        names.learn(1, "old.test", &[IP], 5, 0);
        names.learn(1, "new.test", &[IP], 5, 1);
        assert_eq!(names.of(1, IP, 2).as_deref(), Some("new.test"));
        assert_eq!(names.of(2, IP, 2), None);
    }

    #[test]
    fn a_name_is_remembered_for_ten_minutes_at_least_and_a_day_at_most() {
        let mut names = Names::default();
        names.learn(0, "short.test", &[IP], 0, 7);
        assert!(names.of(0, IP, KEEP.0 + 6).is_some());
        assert!(names.of(0, IP, KEEP.0 + 7).is_none());
        names.learn(0, "long.test", &[IP], u32::MAX, 7);
        assert!(names.of(0, IP, KEEP.1 + 6).is_some());
        assert!(names.of(0, IP, KEEP.1 + 7).is_none());
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for() {
        let mut names = Names::default();
        for number in 0..40_000u32 {
            let address = [IpAddr::from(Ipv4Addr::from(number))];
            names.learn(0, "x.test", &address, 0, u64::from(number / 1000));
            assert!(names.names.len() <= CAPACITY);
        }
        assert!(names.of(0, IpAddr::from(Ipv4Addr::from(39_999)), 40).is_some());
    }
}
