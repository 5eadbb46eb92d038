//! The addresses where alerts go. Names are resolved on a thread of its own, since a name server that does
//! not answer must not hold up an answer to a finding.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::lock::lock;

/// How long resolved names are good.
const RESOLVED_FOR: Duration = Duration::from_secs(300);

/// The latest addresses of each `host:port`.
type Known = BTreeMap<String, Vec<IpAddr>>;

/// The endpoints, as they are configured, and what is known of them.
#[derive(Debug)]
pub(super) struct Endpoints {
    known: Arc<Mutex<Known>>,
    /// The thread ends when this is dropped.
    _resolver: Option<Sender<()>>,
}

impl Endpoints {
    /// Addresses are known at once, names soon, and again every five minutes.
    pub(super) fn new(endpoints: &[String]) -> Self {
        Self::with(endpoints, Known::new())
    }

    /// These take the place of those before. What is known of a name that stays is good until it is known anew.
    pub(super) fn replace(&mut self, endpoints: &[String]) {
        let mut known = lock(&self.known).clone();
        known.retain(|name, _| endpoints.contains(name));
        *self = Self::with(endpoints, known);
    }

    fn with(endpoints: &[String], mut known: Known) -> Self {
        let mut names = Vec::new();
        for endpoint in endpoints {
            match endpoint.parse::<SocketAddr>() {
                Ok(address) => drop(known.insert(endpoint.clone(), vec![address.ip()])),
                Err(_) => names.push(endpoint.clone()),
            }
        }
        let known = Arc::new(Mutex::new(known));
        let resolver = if names.is_empty() { None } else { spawn(Arc::clone(&known), names) };
        Endpoints { known, _resolver: resolver }
    }

    /// All addresses that are known now.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        lock(&self.known).values().flatten().copied().collect()
    }
}

fn spawn(known: Arc<Mutex<Known>>, names: Vec<String>) -> Option<Sender<()>> {
    let (alive, ended) = mpsc::channel();
    let resolve_all = move || {
        loop {
            refresh(&known, &names, resolve);
            if ended.recv_timeout(RESOLVED_FOR) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    };
    match thread::Builder::new().name("endpoints".to_owned()).spawn(resolve_all) {
        Ok(_) => Some(alive),
        Err(error) => {
            tracing::warn!(
                "no thread could be started to resolve where alerts go, so rules may block it: {error}"
            );
            None
        }
    }
}

/// Takes in what the names mean now. One that cannot be resolved keeps the addresses that it last had.
fn refresh(known: &Mutex<Known>, names: &[String], resolve: impl Fn(&str) -> Vec<IpAddr>) {
    for name in names {
        let fresh = resolve(name);
        if !fresh.is_empty() {
            lock(known).insert(name.clone(), fresh);
        }
    }
}

fn resolve(endpoint: &str) -> Vec<IpAddr> {
    endpoint.to_socket_addrs().into_iter().flatten().map(|address| address.ip()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_known_at_once() {
        let endpoints = Endpoints::new(&["203.0.113.9:443".to_owned(), "[2001:db8::9]:443".to_owned()]);
        let known: [IpAddr; 2] = ["203.0.113.9".parse().unwrap(), "2001:db8::9".parse().unwrap()];
        assert_eq!(endpoints.addresses(), known);
    }

    #[test]
    fn what_is_known_of_an_endpoint_that_stays_is_not_forgotten() {
        let mut endpoints = Endpoints::new(&["203.0.113.9:443".to_owned()]);
        let stays: IpAddr = "203.0.113.10".parse().unwrap();
        lock(&endpoints.known).insert("stays.invalid:443".to_owned(), vec![stays]);
        endpoints.replace(&["stays.invalid:443".to_owned(), "203.0.113.11:443".to_owned()]);
        let now: [IpAddr; 2] = ["203.0.113.11".parse().unwrap(), stays];
        assert_eq!(endpoints.addresses(), now);
    }

    #[test]
    fn a_name_that_cannot_be_resolved_any_more_keeps_its_addresses() {
        let names = ["a:443".to_owned(), "b:443".to_owned()];
        let known = Mutex::new(Known::new());
        let [first, second]: [IpAddr; 2] = [[192, 0, 2, 1].into(), [192, 0, 2, 2].into()];
        refresh(&known, &names, |_| vec![first]);
        refresh(&known, &names, |name| if name == "a:443" { vec![second] } else { Vec::new() });
        let known = known.into_inner().unwrap();
        assert_eq!(known.into_values().collect::<Vec<_>>(), [[second], [first]]);
    }
}
