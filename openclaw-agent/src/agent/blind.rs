//! When this host was not watched, which the next agent tells.
//!
//! While the agent runs it moves the time of an empty file beside its database on, once a second. From what time that file
//! is of, the next agent knows since when nobody has watched, even where the last one was killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use openclaw_detect::{Finding, Severity, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tracing::warn;

use crate::output::time;

/// What stands in the place of a rule's name.
const SENSOR_BLIND: &str = "sensor_blind";

/// What the file holds when the agent was stopped in order.
const STOPPED: &str = "stopped\n";

/// The file, held by the agent that runs.
#[derive(Debug)]
pub(super) struct Alive {
    path: PathBuf,
    file: Option<File>,
    /// The last moment of which it is known that what was under way then is on disk; none before the agent watches.
    settled: Option<Timestamp>,
    /// The last such moment that has arrived since, in nanoseconds since 1970; 0 for none.
    arrived: Arc<AtomicU64>,
}

/// A time in which nobody watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    since: Timestamp,
    stopped: bool,
}

/// What is told of it.
#[derive(Debug, Serialize)]
struct Told {
    since: String,
    until: String,
    seconds: f64,
    reason: &'static str,
}

impl Alive {
    /// Takes the file beside a database over. Returns since when nobody has watched, where any agent has before.
    pub(super) fn begin(store: &Path) -> (Alive, Option<Gap>) {
        let mut path = store.as_os_str().to_owned();
        path.push(".alive");
        let path = PathBuf::from(path);
        let gap = Gap::read(&path).unwrap_or_else(|error| {
            warn!(file = %path.display(), %error, "whether this host was watched before cannot be told");
            None
        });
        // As it is: a start that comes to nothing must not hide for how long nobody watched.
        let open = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open().map_err(|error| {
            warn!(file = %path.display(), %error, "the next agent will not know since when nobody watches");
        });
        (Alive { file: file.ok(), path, settled: None, arrived: Arc::default() }, gap)
    }

    /// Says that the agent watches. `follow` has what it is given called once all that is under way by now is on disk; what
    /// was still to be read then is by the time that the next one is called: from the one before on the next agent
    /// cannot be sure. The first says nothing yet, since what is told of the time before may not be on disk.
    pub(super) fn beat(&mut self, follow: impl FnOnce(Box<dyn FnOnce() + Send>)) {
        let arrived = self.arrived.swap(0, Relaxed);
        if arrived > 0
            && let Some(settled) = self.settled.replace(Timestamp(arrived))
        {
            self.empty();
            self.set(SystemTime::UNIX_EPOCH + Duration::from_nanos(settled.0));
        }
        let (now, arrived) = (time::now(), Arc::clone(&self.arrived));
        follow(Box::new(move || arrived.store(now.0, Relaxed)));
    }

    fn empty(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.set_len(0)
        {
            warn!(file = %self.path.display(), %error, "the next agent may take this one for stopped in order");
        }
    }

    /// Says that the agent has ended in order, and saw everything until then.
    pub(super) fn stopped(mut self, last: SystemTime) {
        self.empty();
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(STOPPED.as_bytes())
        {
            warn!(file = %self.path.display(), %error, "the next agent will take this one for killed");
        }
        self.set(last);
    }

    fn set(&self, moment: SystemTime) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.set_modified(moment) {
            warn!(file = %self.path.display(), %error, "the next agent will not know since when nobody watches");
        }
    }
}

impl Gap {
    fn read(path: &Path) -> io::Result<Option<Gap>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let since = file.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut text = String::new();
        io::Read::by_ref(&mut file).take(64).read_to_string(&mut text)?;
        let since = Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Ok(Some(Gap { since, stopped: text == STOPPED }))
    }

    /// What is told of it by an agent that watches since `until`, on a host that runs since `boot`.
    pub(super) fn finding(&self, until: Timestamp, boot: Timestamp) -> Finding {
        let seconds = Duration::from_nanos(until.0.saturating_sub(self.since.0)).as_secs_f64();
        let (reason, severity) = match (self.stopped, boot > self.since) {
            (true, false) => ("the agent had been stopped", Severity::Low),
            (true, true) => ("the agent had been stopped, and the host was started anew", Severity::Low),
            (false, true) => ("the host had gone down", Severity::Medium),
            (false, false) => ("the agent had been killed, or had crashed", Severity::High),
        };
        let message = format!(
            "nobody watched this host for {seconds:.1} s, from {} to {}: {reason}",
            time::date_and_clock(self.since),
            time::date_and_clock(until)
        );
        let (since, end) = (time::rfc3339(self.since), time::rfc3339(until));
        let told = Told { since, until: end, seconds, reason };
        // An agent that lived for a moment leaves the time before it to be told with its own.
        let id = format!("{:x}-{:x}-blind", self.since.0, until.0);
        Finding { severity, ..Finding::of_sensor(id, SENSOR_BLIND, until, &message, &told) }
    }
}

/// When this host was started, by its clock.
pub(super) fn boot() -> Timestamp {
    let up = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
    Timestamp(time::now().0.saturating_sub(u64::try_from(up.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_agent_knows_since_when_nobody_watches() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("s.db");
        let (mut first, gap) = Alive::begin(&store);
        assert_eq!(gap, None, "nobody was there before");
        let mut waits = None;
        for arrives in [true, true, true, false] {
            first.beat(|arrive| if arrives { arrive() } else { waits = Some(arrive) });
        }
        let settled = first.settled.unwrap();
        // What is under way for longer is not counted as seen, nor what came right before.
        for _ in 0..3 {
            first.beat(|_| ());
        }
        drop(first);
        let (second, gap) = Alive::begin(&store);
        let gap = gap.unwrap();
        assert!(gap.since < settled && gap.since > Timestamp(settled.0 - 1_000_000_000), "{gap:?}");
        waits.unwrap()();
        let (_, again) = Alive::begin(&store);
        assert_eq!(again.as_ref(), Some(&gap), "a start that came to nothing changes nothing");
        let finding = gap.finding(Timestamp(gap.since.0 + 2_500_000_000), Timestamp(0));
        assert_eq!(finding.severity, Severity::High);
        assert!(finding.message.contains("for 2.5 s") && finding.message.contains("killed"));
        let after_boot = gap.finding(Timestamp(gap.since.0 + 1), Timestamp(gap.since.0 + 1));
        assert!(after_boot.message.ends_with("the host had gone down"));
        second.stopped(SystemTime::now());
        let (mut third, gap) = Alive::begin(&store);
        assert!(gap.unwrap().stopped);
        for _ in 0..3 {
            third.beat(|arrive| arrive());
        }
        assert!(!Alive::begin(&store).1.unwrap().stopped);
    }
}
