//! A source at work: its files or its journal, and what their lines are read with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_detect::Timestamp;
use tracing::{info, warn};

use super::counts::LogStatus;
use super::entry::{Entry, MAX_ORIGINAL, Origin, What};
use super::follow::Followed;
use super::format::{Format, Read};
use super::journal::{self, Journal};
use super::login::Logins;
use super::position::{Positions, Progress, hash};
use super::thread::Batch;
use crate::config::{LogKind, LogSource};
use crate::output::time::now;

/// Where hosts have the logs of logins.
const AUTH: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];

/// Where packages of nginx have its access log.
const NGINX: [&str; 1] = ["/var/log/nginx/access.log"];

/// Where packages of Apache have its access logs.
const APACHE: [&str; 3] =
    ["/var/log/apache2/access.log", "/var/log/apache2/other_vhosts_access.log", "/var/log/httpd/access_log"];

/// Where the journal is, on disk or in memory.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// A log of logins that nobody has written for so long is one of a daemon that is gone.
const STALE: Duration = Duration::from_secs(7 * 86_400);

/// How much earlier than what was told last of a source something is told to have happened: what is told later than that,
/// such as a request that took long, happened then, so that nobody can have his own doings forgotten by it.
const LATE: u64 = 60_000_000_000;

/// A source.
#[derive(Debug)]
pub(super) struct Source {
    reader: Reader,
    head: Head,
}

#[derive(Debug)]
enum Reader {
    Files(Followed, Format, BTreeMap<PathBuf, Arc<Origin>>),
    Journal(Journal, Arc<Origin>),
}

/// How the reading goes.
#[derive(Debug)]
struct Head {
    name: String,
    status: LogStatus,
    /// When the last that was told happened.
    latest: Timestamp,
    /// What was told last of how far it has been read.
    told: Progress,
}

impl Source {
    /// Begins: with what was left, or from now on. None where there is nothing that could be read.
    pub(super) fn begin(config: &LogSource, left: &Positions) -> Option<Source> {
        let left = left.get(&config.name);
        let connections = left.map(|left| left.connections.clone()).unwrap_or_default();
        let mut head = Head {
            name: config.name.clone(),
            status: LogStatus { source: config.name.clone(), ..LogStatus::default() },
            latest: Timestamp::default(),
            told: Progress { at: now(), ..Progress::default() },
        };
        let reader = if is_of_journal(config) {
            // Until something was read of it, that is from when on it is read.
            let since = left.map_or(head.told.at, |left| left.at);
            head.told.at = since;
            let cursor = left.and_then(|left| left.cursor.clone());
            let origin = Arc::new(Origin { source: config.name.clone(), path: None });
            let journal =
                Journal::new(config.paths.first().cloned(), cursor, since, Logins::resumed(connections));
            Reader::Journal(journal, origin)
        } else {
            let paths = paths(config);
            head.status.path = paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(", ");
            let (followed, round) = Followed::begin(paths, left);
            head.complain(round.problem);
            head.miss(round.missing);
            Reader::Files(followed, Format::of(config, connections)?, BTreeMap::new())
        };
        let mut source = Source { reader, head };
        source.head.told = source.progress(source.head.told.at);
        Some(source)
    }

    /// How far it has been read.
    fn progress(&self, at: Timestamp) -> Progress {
        match &self.reader {
            Reader::Files(followed, format, _) => {
                let ((files, closed), connections) = (followed.positions(), format.connections());
                Progress { at, files, closed, cursor: None, connections }
            }
            Reader::Journal(journal, _) => {
                let (cursor, connections) = (journal.cursor(), journal.connections());
                Progress { at, cursor, connections, ..Progress::default() }
            }
        }
    }

    /// Its name, and how far it has been read by what was told last.
    pub(super) fn told(&self) -> (String, Progress) {
        (self.head.name.clone(), self.head.told.clone())
    }

    /// How the reading goes.
    pub(super) fn status(&self) -> LogStatus {
        self.head.status.clone()
    }

    /// Reads what has come: whether there is more to read at once, and what is to be taken in, where that is anything.
    pub(super) fn poll(&mut self, buffer: &mut Vec<u8>) -> (bool, Option<Batch>) {
        let now = now();
        let mut entries = Vec::new();
        let Source { reader, head } = self;
        let more = match reader {
            Reader::Files(followed, format, origins) => {
                let round = followed.poll(buffer, &mut |path, line| {
                    head.status.lines += 1;
                    head.status.cut += u64::from(line.is_cut);
                    let text = String::from_utf8_lossy(line.bytes);
                    match format.read(text.trim_end_matches('\r'), now) {
                        Read::Malformed if !text.trim().is_empty() => head.malformed(path),
                        Read::Nothing | Read::Malformed => {}
                        Read::Told { time, what, times } => {
                            let origin = origin(origins, &head.name, path);
                            let id = hash(&[
                                head.name.as_bytes(),
                                path.as_os_str().as_encoded_bytes(),
                                &line.offset.to_ne_bytes(),
                                line.bytes,
                            ]);
                            let time = head.time(time, now);
                            entries.push(entry(time, origin, id, &text, what, times));
                            head.status.events += u64::from(times);
                        }
                    }
                });
                head.status.behind_bytes = followed.behind();
                head.status.is_there = followed.is_there();
                head.complain(round.problem);
                head.miss(round.missing);
                round.more
            }
            Reader::Journal(journal, origin) => {
                let round = journal.poll(|told| {
                    let journal::Told { time, login, times, original, cursor } = told;
                    let id = hash(&[head.name.as_bytes(), cursor.as_bytes()]);
                    let time = head.time(time, now);
                    entries.push(entry(time, Arc::clone(origin), id, &original, What::Login(login), times));
                    head.status.events += u64::from(times);
                });
                head.status.lines += round.lines;
                head.status.malformed += round.malformed;
                head.status.cut += round.cut;
                head.status.is_there = round.problem.is_none();
                head.complain(round.problem);
                round.more
            }
        };
        (more, self.batch(entries, now))
    }

    /// What is to be taken in, where that is anything.
    fn batch(&mut self, entries: Vec<Entry>, now: Timestamp) -> Option<Batch> {
        let mut progress = self.progress(self.head.told.at);
        if entries.is_empty() && progress == self.head.told {
            return None;
        }
        // As of before it was looked for files: what was made since may not have been seen.
        progress.at = match &self.reader {
            Reader::Files(followed, ..) => followed.looked_at().min(now),
            Reader::Journal(..) => now,
        };
        self.head.told = progress;
        Some(Batch { source: self.head.name.clone(), entries, progress: self.head.told.clone() })
    }
}

/// Whether it is the journal that is read: where it is asked for, or logins are and no file of them is written.
fn is_of_journal(config: &LogSource) -> bool {
    let is_written = |path: &&str| {
        let age =
            Path::new(path).metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        // One of the future is young.
        age.is_ok_and(|age| age.map_or(true, |age| age < STALE))
    };
    let has_journal = || JOURNALS.iter().any(|path| Path::new(path).exists());
    match config.kind {
        LogKind::Journal => true,
        LogKind::Auth => config.paths.is_empty() && has_journal() && !AUTH.iter().any(is_written),
        _ => false,
    }
}

/// The paths of its files: those that are named, or where hosts have them.
fn paths(config: &LogSource) -> Vec<PathBuf> {
    let of_host: &[&str] = match config.kind {
        LogKind::Auth => &AUTH,
        LogKind::Nginx => &NGINX,
        LogKind::Apache => &APACHE,
        LogKind::Journal | LogKind::Json(_) => &[],
    };
    if config.paths.is_empty() { of_host.iter().map(PathBuf::from).collect() } else { config.paths.clone() }
}

/// Where a line stands. One of each path is kept, of which a pattern can bring many.
fn origin(origins: &mut BTreeMap<PathBuf, Arc<Origin>>, source: &str, path: &Path) -> Arc<Origin> {
    const MOST: usize = 1024;
    if let Some(origin) = origins.get(path) {
        return Arc::clone(origin);
    }
    if origins.len() == MOST {
        origins.clear();
    }
    let origin =
        Arc::new(Origin { source: source.to_owned(), path: Some(path.to_string_lossy().into_owned()) });
    Arc::clone(origins.entry(path.to_owned()).or_insert(origin))
}

/// What a line tells, as it is handed on.
fn entry(time: Timestamp, origin: Arc<Origin>, id: u64, line: &str, what: What, times: u32) -> Entry {
    let original = &line[..line.floor_char_boundary(MAX_ORIGINAL)];
    Entry { time, origin, id: format!("{id:016x}"), original: original.into(), what, times }
}

impl Head {
    /// When something happened that a line tells of: not in the future, and not long before what the lines before it tell.
    fn time(&mut self, told: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let earliest = Timestamp(self.latest.0.saturating_sub(LATE));
        let time = told.unwrap_or(now).max(earliest).min(now);
        self.latest = self.latest.max(time);
        time
    }

    fn malformed(&mut self, path: &Path) {
        self.status.malformed += 1;
        if self.status.malformed == 1 {
            warn!(
                source = self.name,
                path = %path.display(),
                "the log has lines that are none of its type: see security.sources.{}.type",
                self.name
            );
        }
    }

    /// Tells what is wrong with the log, once, and that it is well again.
    fn complain(&mut self, problem: Option<String>) {
        if let Some(problem) =
            problem.as_ref().filter(|problem| self.status.problem.as_ref() != Some(problem))
        {
            warn!(source = self.name, "{problem}");
        }
        if problem.is_none() && self.status.problem.is_some() {
            info!(source = self.name, "the log is read again");
        }
        self.status.problem = problem;
    }

    /// Tells that lines are missing, which stays true.
    fn miss(&mut self, missing: Option<String>) {
        if let Some(missing) = missing {
            warn!(source = self.name, "{missing}");
            self.status.missing = Some(missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_late_is_not_told_of_long_ago() {
        let mut head = Head {
            name: "web".to_owned(),
            status: LogStatus::default(),
            latest: Timestamp(0),
            told: Progress::default(),
        };
        let second = 1_000_000_000;
        let now = Timestamp(1000 * second);
        let mut time = |seconds: u64| head.time(Some(Timestamp(seconds * second)), now).0 / second;
        assert_eq!([time(500), time(490), time(100), time(2000), time(990)], [500, 490, 440, 1000, 990]);
        assert_eq!(head.time(None, now), now);
    }
}
