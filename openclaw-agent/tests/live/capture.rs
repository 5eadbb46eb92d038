//! Captures: what is recorded gives, replayed, what was found when it happened.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::support::agent::Setup;
use crate::support::deed::{self, Deed, command, link};
use crate::support::{live_once, wait_for};

/// Rules that fire on one event, on several, on what is new, and on what a process that is older would be.
const RULES: &str = "rules:
  - {name: begun, event: process_create, condition: process.name == \"openclaw-recorded\", severity: low}
  - {name: turned, condition: process.name == \"openclaw-recorded\", severity: low}
  - {name: older, condition: process.args contains \"openclaw-older\", severity: low}
  - {name: made, event: file_access, condition: event.action == \"create\" and file.name == \"recorded\", severity: medium}
  - name: often
    event: network_connection
    condition: event.action == \"connection_established\" and network.direction == \"outbound\"
    threshold: {at_least: 3, within: 1m, by: [process]}
    severity: high
  - name: then
    sequence:
      within: 1m
      by: [process]
      steps: [process.name == \"openclaw-recorded\", 'event.action == \"exit\"']
    severity: critical
";

/// A recording that runs. Killed when it is dropped.
struct Recording {
    child: Child,
    /// What it has printed so far.
    printed: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Recording {
    /// Begins one, and waits until it watches.
    fn new(setup: &Setup, args: &[&str]) -> Self {
        setup.configure();
        let mut command = setup.openclaw(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("recording") {
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it has ended: {line}");
        }
        // What else it logs is read, so that it is never held up.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let printed = Arc::new(Mutex::new(String::new()));
        let (mut out, into) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&printed));
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).unwrap() > 0 {
                into.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Recording { child, printed, reader: Some(reader) }
    }

    /// The rules that have fired so far.
    fn fired(&self) -> Vec<String> {
        let printed = self.printed.lock().unwrap();
        let rule =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["rule"].as_str().unwrap().to_owned();
        printed.lines().map(rule).collect()
    }

    /// Ends it as Ctrl-C does, and returns what it printed.
    fn end(mut self) -> String {
        // SAFETY: the child was not waited for, so that the pid is its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        assert!(self.child.wait().unwrap().success());
        self.reader.take().unwrap().join().unwrap();
        self.printed.lock().unwrap().clone()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command as a user who may do nothing.
fn as_nobody(mut command: Command) -> Output {
    command.uid(65534).gid(65534).output().unwrap()
}

fn read_by_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_recording_gives_replayed_byte_for_byte_the_findings_that_it_gave_when_it_happened() {
    live_once!();
    let setup = Setup::new();
    let folder = setup.folder().to_path_buf();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(path("my.yml"), RULES).unwrap();
    // What is there before, is true of a rule, and is no news.
    let mut older = Deed::new("wait", &["openclaw-older"]);
    older.hear();
    let recording = Recording::new(
        &setup,
        &["record", &path("a.capture"), "--rules", &path("my.yml"), "--output", "json"],
    );
    let program = link(&folder, "openclaw-recorded");
    assert!(command(&program, "exit").status().unwrap().success());
    fs::write(path("recorded"), "").unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        drop(TcpStream::connect(server.local_addr().unwrap()).unwrap());
    }
    for rule in ["begun", "turned", "made", "often", "then"] {
        wait_for(&format!("{rule} has fired"), || recording.fired().iter().any(|fired| fired == rule));
    }
    assert!(!recording.fired().iter().any(|rule| rule == "older"), "{:?}", recording.fired());
    let found = recording.end();
    drop(older);

    // By a user who may do nothing, in another time zone.
    [folder.clone(), folder.join("my.yml"), folder.join("a.capture"), folder.join("openclaw.yml")]
        .iter()
        .for_each(|path| {
            if path.exists() {
                read_by_all(path)
            }
        });
    let mut replay =
        setup.openclaw(&["replay", &path("a.capture"), "--rules", &path("my.yml"), "--output", "json"]);
    replay.env("TZ", "Asia/Tokyo");
    let replayed = as_nobody(replay);
    assert!(replayed.status.success(), "{replayed:?}");
    assert_eq!(String::from_utf8_lossy(&replayed.stdout), found);
}

#[test]
fn a_recording_ends_by_itself_at_its_limit_and_leaves_a_file_that_is_there_alone() {
    live_once!();
    let setup = Setup::new();
    let file = setup.folder().join("few.capture");
    let file = file.to_str().unwrap();
    let mut recording = Recording::new(&setup, &["record", file, "--events", "5"]);
    while recording.child.try_wait().unwrap().is_none() {
        command(deed::program(), "nothing").status().unwrap();
    }
    assert!(recording.child.wait().unwrap().success());
    let output = setup.openclaw(&["replay", file]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("in 5 events"), "{told}");
    assert!(!told.contains("cut short"), "{told}");
    let refused = setup.openclaw(&["record", file]).output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && told.contains("--force"), "{told}");
}
