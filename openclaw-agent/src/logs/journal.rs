//! The journal of systemd, as `journalctl` tells it: entries of the facilities `auth` and `authpriv`, as lines of JSON.
//!
//! Its fields are described in `systemd.journal-fields(7)`. Those that begin with an underscore are the journal's own
//! word and not the program's.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use openclaw_detect::Timestamp;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde::Deserialize;

use super::entry::Login;
use super::login::Logins;

/// How long after it has ended the program is started again.
const AGAIN: Duration = Duration::from_secs(5);

/// Bytes that are read in a turn.
const TURN: usize = 1 << 20;

/// Bytes of a line that has no end yet: the program tells no field of more than 4 KiB.
const MAX_LINE: usize = 1 << 20;

/// Bytes that are kept of what the program complains of.
const MAX_COMPLAINT: usize = 512;

/// The journal, and how far it has been read.
#[derive(Debug)]
pub(super) struct Journal {
    directory: Option<PathBuf>,
    /// The last entry that was read.
    cursor: Option<String>,
    /// Where none was: from when on.
    since: Timestamp,
    logins: Logins,
    program: Option<Program>,
    again: Instant,
    /// Why there is nothing to read.
    problem: Option<String>,
}

/// An entry that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) time: Option<Timestamp>,
    pub(super) login: Login,
    pub(super) times: u32,
    pub(super) original: String,
    pub(super) cursor: String,
}

/// What a round came to.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Entries that were read.
    pub(super) lines: u64,
    /// Entries that could not be.
    pub(super) malformed: u64,
    /// Entries that were too long.
    pub(super) cut: u64,
    /// Whether there is more to read at once.
    pub(super) more: bool,
    /// Why there is nothing.
    pub(super) problem: Option<String>,
}

/// An entry, as `journalctl --output=json` writes it.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    /// Microseconds since 1970.
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    time: String,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    program: Text,
    #[serde(rename = "_UID", default)]
    uid: Text,
    #[serde(rename = "MESSAGE", default)]
    message: Text,
}

/// A field: what is no text is told as bytes, what is too long or is not there as nothing, and what is there more than
/// once as a list.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Text {
    #[default]
    None,
    Str(String),
    Bytes(Vec<u8>),
    Other(serde::de::IgnoredAny),
}

impl Text {
    fn read(self) -> Option<String> {
        match self {
            Text::Str(text) => Some(text),
            Text::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Text::None | Text::Other(_) => None,
        }
    }
}

impl Journal {
    /// The journal of this host, or the one whose files are in `directory`, after `cursor`, or else from `since` on.
    pub(super) fn new(
        directory: Option<PathBuf>,
        cursor: Option<String>,
        since: Timestamp,
        logins: Logins,
    ) -> Journal {
        Journal { directory, cursor, since, logins, program: None, again: Instant::now(), problem: None }
    }

    /// The last entry that was read.
    pub(super) fn cursor(&self) -> Option<String> {
        self.cursor.clone()
    }

    /// Connections of which a login was told.
    pub(super) fn connections(&self) -> Vec<SocketAddr> {
        self.logins.connections()
    }

    /// Reads what has come.
    pub(super) fn poll(&mut self, mut told: impl FnMut(Told)) -> Round {
        let mut round = Round::default();
        if self.program.is_none() && Instant::now() >= self.again {
            self.again = Instant::now() + AGAIN;
            match Program::start(self.directory.as_deref(), self.cursor.as_deref(), self.since) {
                Ok(program) => self.program = Some(program),
                Err(error) => {
                    let hint = "install it, or name the files of logs under security.sources";
                    self.problem = Some(format!("journalctl cannot be run: {error} ({hint})"));
                }
            }
        }
        if let Some(mut program) = self.program.take() {
            let ended = program.read(&mut round, |line, round| {
                round.lines += 1;
                match self.entry(line) {
                    Some(entry) => entry.into_iter().for_each(&mut told),
                    None => round.malformed += 1,
                }
            });
            match ended {
                Some(reason) => self.problem = Some(format!("journalctl has ended: {reason}")),
                None => {
                    // It runs, and has for as long as it takes to fail.
                    if round.lines > 0 || Instant::now() >= self.again {
                        self.problem = None;
                    }
                    self.program = Some(program);
                }
            }
        }
        round.problem = self.problem.clone();
        round
    }

    /// What an entry tells, where it does; none where it is no entry.
    fn entry(&mut self, line: &[u8]) -> Option<Option<Told>> {
        let entry: Entry = serde_json::from_slice(line).ok()?;
        // The program begins with the entry that was the last.
        if self.cursor.as_ref() == Some(&entry.cursor) {
            return Some(None);
        }
        self.cursor = Some(entry.cursor.clone());
        let (Some(program), Some(message)) = (entry.program.read(), entry.message.read()) else {
            return Some(None);
        };
        // Any user may write to the journal in sshd's name: its user is the journal's word. What else asks PAM may run as who
        // has begun it, whom nobody has to believe from where he comes.
        let is_of_root = entry.uid.read().as_deref() == Some("0");
        if program.starts_with("sshd") && !is_of_root {
            return Some(None);
        }
        let Some((mut login, times)) = self.logins.parse(&program, &message) else { return Some(None) };
        login.client = login.client.filter(|_| is_of_root);
        let microseconds = entry.time.parse::<u64>().ok();
        Some(Some(Told {
            time: microseconds.and_then(|time| time.checked_mul(1000)).map(Timestamp),
            login,
            times,
            original: message,
            cursor: entry.cursor,
        }))
    }
}

/// The program that tells the journal.
#[derive(Debug)]
struct Program {
    child: Child,
    out: ChildStdout,
    complaints: ChildStderr,
    /// A line that has no end yet.
    half: Vec<u8>,
    /// Whether the rest of a line is passed over that was too long.
    within_line: bool,
    complaint: Vec<u8>,
}

impl Program {
    fn start(directory: Option<&Path>, cursor: Option<&str>, since: Timestamp) -> io::Result<Program> {
        let mut command = Command::new("journalctl");
        command.args(["--follow", "--output=json", "--no-pager", "--quiet", "--no-tail"]);
        command.arg("--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_UID");
        match cursor {
            // After it, versions up to 252 pass over one more where it is not there any more.
            Some(cursor) => command.arg(format!("--cursor={cursor}")),
            None => {
                let (seconds, rest) = (since.0 / 1_000_000_000, since.0 % 1_000_000_000);
                command.arg(format!("--since=@{seconds}.{:06}", rest / 1000))
            }
        };
        if let Some(directory) = directory {
            command.arg("--directory").arg(directory);
        }
        // auth and authpriv
        command.args(["SYSLOG_FACILITY=4", "+", "SYSLOG_FACILITY=10"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(out), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("it has no output"));
        };
        let program =
            Program { child, out, complaints, half: Vec::new(), within_line: false, complaint: Vec::new() };
        for end in [rustix::fd::AsFd::as_fd(&program.out), rustix::fd::AsFd::as_fd(&program.complaints)] {
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(program)
    }

    /// Reads the lines that there are. Why there will be no more, where that is so.
    fn read(&mut self, round: &mut Round, mut line: impl FnMut(&[u8], &mut Round)) -> Option<String> {
        let mut buffer = vec![0; 64 << 10];
        let mut taken = 0;
        let ended = loop {
            match self.out.read(&mut buffer) {
                Ok(0) => break Some(self.why_it_ended()),
                Ok(len) => {
                    self.half.extend_from_slice(&buffer[..len]);
                    taken += len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error.to_string()),
            }
            self.take_lines(round, &mut line);
            round.more = taken >= TURN;
            if round.more {
                break None;
            }
        };
        self.listen_to_complaints();
        ended
    }

    fn take_lines(&mut self, round: &mut Round, line: &mut impl FnMut(&[u8], &mut Round)) {
        if let Some(end) = self.half.iter().rposition(|byte| *byte == b'\n') {
            for one in self.half[..end].split(|byte| *byte == b'\n') {
                if !std::mem::take(&mut self.within_line) {
                    line(one, round);
                }
            }
            self.half.drain(..=end);
        }
        // Anybody can write an entry with so many fields.
        if self.half.len() > MAX_LINE {
            round.cut += u64::from(!self.within_line);
            self.within_line = true;
            self.half.clear();
        }
    }

    /// Keeps the last of what it complains of, so that it never waits for who reads that.
    fn listen_to_complaints(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = self.complaints.read(&mut buffer) {
            self.complaint.extend_from_slice(&buffer[..len]);
            let before = self.complaint.len().saturating_sub(MAX_COMPLAINT);
            self.complaint.drain(..before);
        }
    }

    fn why_it_ended(&mut self) -> String {
        self.listen_to_complaints();
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let complaint = String::from_utf8_lossy(&self.complaint);
        match complaint.trim().lines().last() {
            Some(complaint) => format!("{status}: {complaint}"),
            None => status,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal::new(None, None, Timestamp(0), Logins::default())
    }

    fn entry(program: &str, uid: &str, message: &str) -> String {
        format!(
            r#"{{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795753149000001","SYSLOG_IDENTIFIER":"{program}","_UID":"{uid}","MESSAGE":{message}}}"#
        )
    }

    #[test]
    fn an_entry_is_read_whatever_its_message_is_made_of() {
        let mut journal = journal();
        let failed = "Failed password for root from 192.0.2.7 port 1 ssh2";
        let bytes = serde_json::to_string(failed.as_bytes()).unwrap();
        for message in [format!("\"{failed}\""), bytes] {
            journal.cursor = None;
            let told = journal.entry(entry("sshd", "0", &message).as_bytes()).unwrap().unwrap();
            assert_eq!(
                journal.entry(entry("sshd", "0", &message).as_bytes()),
                Some(None),
                "it is the last one"
            );
            assert_eq!(told.time, Some(Timestamp(1_795_753_149_000_001_000)));
            assert_eq!((told.login.user.as_deref(), told.times), (Some("root"), 1));
            assert_eq!((told.original.as_str(), told.cursor.as_str()), (failed, "s=1;i=2"));
        }
        journal.cursor = None;
        for message in ["null", "\"hello\"", "[\"a\",\"b\"]", "{}"] {
            assert_eq!(journal.entry(entry("sshd", "0", message).as_bytes()), Some(None), "{message}");
        }
        assert_eq!(journal.cursor().as_deref(), Some("s=1;i=2"));
        assert_eq!(journal.entry(b"{"), None);
    }

    #[test]
    fn what_a_user_writes_in_the_name_of_sshd_is_not_believed() {
        let forged = entry("sshd", "1000", "\"Failed password for root from 192.0.2.7 port 1 ssh2\"");
        assert_eq!(journal().entry(forged.as_bytes()), Some(None));
        let failure = "\"pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.7  user=bob\"";
        let client = |uid| {
            let told = journal().entry(entry("vsftpd", uid, failure).as_bytes()).unwrap().unwrap();
            told.login.client
        };
        assert_eq!((client("0"), client("1000")), (Some([192, 0, 2, 7].into()), None));
    }
}
