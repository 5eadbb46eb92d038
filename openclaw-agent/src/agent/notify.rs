//! What the agent tells the service manager that has started it: that it is ready, what it does, that it lives, that it
//! ends. In the words of sd_notify(3), one datagram each.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::pulse::Pulses;

/// The service manager, where there is one.
#[derive(Debug, Default)]
pub(super) struct ServiceManager {
    way: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    /// What was told last of what the agent does.
    status: String,
}

/// Who ends the agent unless it hears from it.
#[derive(Debug)]
struct Watchdog {
    every: Duration,
    told: Instant,
}

impl ServiceManager {
    /// The one that the environment names.
    pub(super) fn of_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return ServiceManager::default();
        };
        let text = |name| env::var(name).ok();
        match way_to(&name) {
            Ok(way) => ServiceManager {
                way: Some(way),
                watchdog: limit(text("WATCHDOG_USEC"), text("WATCHDOG_PID"), std::process::id())
                    .map(Watchdog::new),
                status: String::new(),
            },
            Err(error) => {
                warn!(?name, %error, "the service manager cannot be told how the agent does");
                ServiceManager::default()
            }
        }
    }

    /// From now on everything is seen.
    pub(super) fn ready(&mut self, status: String) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
        self.status = status;
    }

    /// The agent goes on, and does this. That it lives is told only where the threads do.
    pub(super) fn go_on(&mut self, status: String, pulses: &mut Pulses, now: Instant) {
        if status != self.status {
            self.tell(&format!("STATUS={status}"));
            self.status = status;
        }
        if let Some(watchdog) = &mut self.watchdog
            && now.saturating_duration_since(watchdog.told) >= watchdog.every
            && pulses.all_beat()
        {
            watchdog.told = now;
            self.tell("WATCHDOG=1");
        }
    }

    /// The agent ends.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    fn tell(&self, text: &str) {
        if let Some((socket, manager)) = &self.way
            && let Err(error) = socket.send_to_addr(text.as_bytes(), manager)
        {
            warn!(%error, "the service manager could not be told: {}", text.replace('\n', ", "));
        }
    }
}

impl Watchdog {
    /// Told four times within the limit: a thread may then stand still for three quarters of it, while with the usual half it
    /// would be ended, where it happens at the wrong moment, after half of it.
    fn new(limit: Duration) -> Self {
        Watchdog { every: limit / 4, told: Instant::now() }
    }
}

/// A socket, and the manager's address: a path, or an abstract name after `@`.
fn way_to(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold the agent up.
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}

/// How long the manager waits to hear from this process: microseconds, for the process that is named, if one is.
fn limit(microseconds: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let limit = Duration::from_micros(microseconds?.parse().ok()?);
    (!limit.is_zero()).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulse::Pulse;

    #[test]
    fn the_manager_hears_what_the_agent_does_and_that_it_lives_only_while_its_threads_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let heard = || {
            let mut text = [0; 256];
            manager.recv(&mut text).ok().map(|len| String::from_utf8_lossy(&text[..len]).into_owned())
        };
        let mut service = ServiceManager {
            way: Some(way_to(path.as_os_str()).unwrap()),
            watchdog: Some(Watchdog::new(Duration::from_secs(60))),
            status: String::new(),
        };
        service.ready("watching".to_owned());
        assert_eq!(heard().as_deref(), Some("READY=1\nSTATUS=watching"));

        let pulse = Pulse::default();
        let mut pulses = Pulses::new([pulse.clone()]);
        let mut go_on = |status: &str, seconds| {
            let now = Instant::now() + Duration::from_secs(seconds);
            service.go_on(status.to_owned(), &mut pulses, now);
        };
        pulse.beat();
        go_on("watching", 1);
        assert_eq!(heard(), None, "it is not time yet");
        go_on("answering", 1);
        assert_eq!(heard().as_deref(), Some("STATUS=answering"));
        go_on("answering", 16);
        assert_eq!(heard().as_deref(), Some("WATCHDOG=1"));
        go_on("answering", 50);
        assert_eq!(heard(), None, "the thread stands still");
        pulse.beat();
        go_on("answering", 51);
        assert_eq!(heard().as_deref(), Some("WATCHDOG=1"));
        service.stopping();
        assert_eq!(heard().as_deref(), Some("STOPPING=1\nSTATUS=stopping"));
    }

    #[test]
    fn a_manager_is_named_by_a_path_or_an_abstract_name() {
        let name = format!("openclaw-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let (socket, address) = way_to(OsStr::new(&format!("@{name}"))).unwrap();
        socket.send_to_addr(b"x", &address).unwrap();
        assert_eq!(manager.recv(&mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn a_limit_counts_for_the_process_that_it_is_set_for() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(limit(text("60000000"), text("7"), 7), Some(Duration::from_secs(60)));
        assert_eq!(limit(text("60000000"), None, 7), Some(Duration::from_secs(60)));
        assert_eq!(limit(text("60000000"), text("8"), 7), None);
        assert_eq!(limit(text("0"), None, 7), None);
        assert_eq!(limit(None, None, 7), None);
    }
}
