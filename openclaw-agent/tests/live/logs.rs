//! Logs: what stands in them is told, once, whatever becomes of them and of the agent.
//!
//! Real sshd, nginx and Apache write logs in `cargo xtask attack`; here are the lines that they write.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::skip::needs;
use crate::support::{live_once, wait_for};

/// Ten failures from one address, as the rule that ships.
const FAILURES: &str = "rules:
  - name: failures
    event: auth_attempt
    condition: event.outcome == \"failure\"
    threshold: {at_least: 10, within: 10m, by: [source.ip]}
    severity: high
    action: block_and_alert
";

/// What makes the agent tell of requests.
const REQUESTS: &str =
    "rules: [{name: requests, event: http_request, condition: url.path startswith '/evil', severity: low}]";

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// So many failed logins from an address, as sshd and rsyslog write them now.
fn failures(log: &Path, address: &str, count: usize) {
    let time = jiff::Timestamp::now();
    for port in 0..count {
        let port = 40_000 + port;
        append(
            log,
            &format!("{time} host sshd[7]: Failed password for root from {address} port {port} ssh2\n"),
        );
    }
}

/// A request in the combined format.
fn request(client: &str, target: &str) -> String {
    let time = jiff::Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z");
    format!("{client} - - [{time}] \"GET {target} HTTP/1.1\" 200 5 \"-\" \"test\"")
}

fn failed_from<'a>(address: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| event["source"]["ip"] == address
}

/// An agent that follows a log, which is there and empty. `source` says how, by the path of it.
fn following(rules: &str, name: &str, source: impl FnOnce(&str) -> String) -> (Agent, PathBuf) {
    let setup = Setup::new().rules(rules);
    let log = setup.folder().join(name);
    File::create(&log).unwrap();
    let source = source(log.to_str().unwrap());
    (setup.source(&source).start(), log)
}

/// An agent that follows a log of logins.
fn with_logins(rules: &str) -> (Agent, PathBuf) {
    following(rules, "auth.log", |log| format!("sshd: {{type: auth, path: {log}}}"))
}

#[test]
fn ten_failed_logins_are_found_and_their_address_would_be_blocked() {
    live_once!();
    let (agent, log) = with_logins(FAILURES);
    failures(&log, "192.0.2.7", 9);
    failures(&log, "192.0.2.8", 9);
    let ninth = agent.wait_for_event("auth_attempt", |event| {
        event["source"]["ip"] == "192.0.2.8" && event["source"]["port"] == 40_008
    });
    assert_eq!(ninth["event"]["outcome"], "failure");
    assert_eq!(ninth["event"]["action"], "login_failed");
    assert_eq!(ninth["user"]["name"], "root");
    assert_eq!(ninth["service"]["name"], "sshd");
    assert_eq!(ninth["log"]["source"], "sshd");
    assert_eq!(ninth["log"]["file"]["path"], log.to_str().unwrap());
    assert!(ninth["event"]["original"].as_str().unwrap().contains("Failed password"));
    assert!(ninth.get("process").is_none(), "nobody of this host did it: {ninth}");
    assert!(agent.findings("failures", |_| true).is_empty());
    failures(&log, "192.0.2.7", 1);
    let finding = agent.wait_for_finding("failures", failed_from("192.0.2.7"));
    assert_eq!(finding["evidence"]["count"], 10);
    assert_eq!(finding["remote"], "192.0.2.7");
    let answers = finding["answers"].as_array().unwrap();
    assert!(
        answers.iter().any(|answer| answer["kind"] == "block" && answer["outcome"] == "would"),
        "{answers:?}"
    );
    assert!(finding["message"].as_str().unwrap().starts_with("192.0.2.7 failed to log in to sshd as root"));
    let status = agent.json(&["status", "--output", "json"]);
    assert_eq!(status["logs"][0]["lines"], 19);
    assert_eq!(status["logs"][0]["events"], 19);
    let text = String::from_utf8(agent.openclaw(&["status"]).stdout).unwrap();
    assert!(text.contains("19 lines, 19 events"), "{text}");
}

/// What was counted before the agent ended counts after it once, however it ended.
#[test]
fn no_line_is_lost_or_counted_twice_when_the_agent_ends() {
    live_once!();
    for signal in [libc::SIGKILL, libc::SIGTERM] {
        let (mut agent, log) = with_logins(FAILURES);
        // How far logs have been read is kept from the start on.
        let kept = agent.folder().join("store.rules.json");
        wait_for("it is kept", || fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("\"sshd\"")));
        failures(&log, "192.0.2.7", 5);
        agent.wait_for_event("auth_attempt", |event| event["source"]["port"] == 40_004);
        agent.end(signal);
        // While no agent runs, and rotated away meanwhile.
        failures(&log, "192.0.2.7", 2);
        fs::rename(&log, log.with_extension("log.1")).unwrap();
        failures(&log, "192.0.2.7", 2);
        agent.start_again();
        failures(&log, "192.0.2.9", 1);
        agent.wait_for_event("auth_attempt", failed_from("192.0.2.9"));
        assert!(agent.findings("failures", |_| true).is_empty(), "nine of ten");
        failures(&log, "192.0.2.7", 1);
        let finding = agent.wait_for_finding("failures", failed_from("192.0.2.7"));
        assert_eq!(finding["evidence"]["count"], 10, "after signal {signal}");
    }
}

/// A finding that was told before a crash is told again, as the lines are read again, and is the same one.
#[test]
fn what_is_found_again_after_a_crash_is_the_same_finding() {
    live_once!();
    let (mut agent, log) = with_logins(FAILURES);
    let kept = agent.folder().join("store.rules.json");
    wait_for("it is kept", || fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("\"sshd\"")));
    failures(&log, "192.0.2.7", 10);
    let before = agent.wait_for_finding("failures", |_| true);
    wait_for("the finding is stored", || {
        !agent.openclaw(&["findings", "--output", "json"]).stdout.is_empty()
    });
    agent.end(libc::SIGKILL);
    agent.start_again();
    let after = agent.wait_for_finding("failures", |_| true);
    assert_eq!(before["id"], after["id"]);
    agent.settle();
    let stored = agent.json_lines(&["findings", "--rule", "failures", "--output", "json"]);
    assert_eq!(stored.len(), 1, "{stored:?}");
}

/// Writes numbered requests until it is dropped, to a file that it opens anew when it is told to.
struct Writer {
    state: Arc<(AtomicBool, AtomicBool)>,
    thread: Option<JoinHandle<u32>>,
}

impl Writer {
    fn start(log: &Path) -> Writer {
        let state = Arc::new((AtomicBool::new(false), AtomicBool::new(false)));
        let (shared, log) = (Arc::clone(&state), log.to_owned());
        let thread = std::thread::spawn(move || {
            let open = || OpenOptions::new().append(true).create(true).open(&log).unwrap();
            let (stop, reopen) = &*shared;
            let (mut file, mut number) = (open(), 0);
            while !stop.load(Ordering::Acquire) {
                writeln!(file, "{}", request("192.0.2.7", &format!("/{number}"))).unwrap();
                number += 1;
                if reopen.swap(false, Ordering::AcqRel) {
                    file = open();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            number
        });
        Writer { state, thread: Some(thread) }
    }

    fn reopen(&self) {
        self.state.1.store(true, Ordering::Release);
        wait_for("the writer has opened the new file", || !self.state.1.load(Ordering::Acquire));
    }

    /// Ends it, and returns how many it wrote.
    fn stop(mut self) -> u32 {
        self.state.0.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.state.0.store(true, Ordering::Release);
    }
}

/// Each of so many numbered requests was told once.
#[track_caller]
fn each_was_told_once(agent: &Agent, written: u32) {
    let mut told = BTreeMap::new();
    for event in agent.events("http_request", |_| true) {
        *told.entry(event["url"]["path"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let missing: Vec<_> = (0..written).filter(|number| !told.contains_key(&format!("/{number}"))).collect();
    assert!(missing.is_empty(), "{missing:?} of {written}");
    assert!(told.values().all(|times| *times == 1), "{told:?}");
}

/// An agent that follows an access log by a pattern that what rotation makes of it matches too.
fn with_requests() -> (Agent, PathBuf) {
    following(REQUESTS, "access.log", |log| format!("web: {{type: nginx, path: {log}*}}"))
}

#[test]
fn each_line_is_told_once_while_logs_are_renamed_under_their_writer() {
    live_once!();
    let (agent, log) = with_requests();
    let writer = Writer::start(&log);
    for rotation in 0..6 {
        std::thread::sleep(Duration::from_millis(300));
        fs::rename(&log, log.with_extension(format!("log.{rotation}"))).unwrap();
        // As nginx, which goes on with the old file until it is told to open the new one.
        std::thread::sleep(Duration::from_millis(20));
        writer.reopen();
    }
    let written = writer.stop();
    append(&log, &format!("{}\n", request("192.0.2.7", "/last")));
    agent.wait_for_event("http_request", |event| event["url"]["path"] == "/last");
    // Patterns are looked at every second: what is told twice is told by then.
    std::thread::sleep(Duration::from_secs(3));
    each_was_told_once(&agent, written);
}

#[test]
fn each_line_is_told_once_while_logs_are_copied_and_emptied_between_lines() {
    live_once!();
    let (agent, log) = with_requests();
    let mut written = 0;
    for rotation in 0..5 {
        for _ in 0..200 {
            append(&log, &format!("{}\n", request("192.0.2.7", &format!("/{written}"))));
            written += 1;
        }
        // What is in no file that anybody reads is lost: the agent has seen this one before it is copied.
        let last = format!("/{}", written - 1);
        agent.wait_for_event("http_request", |event| event["url"]["path"] == last.as_str());
        append(&log, &format!("{}\n", request("192.0.2.7", &format!("/{written}"))));
        written += 1;
        fs::copy(&log, log.with_extension(format!("log.{rotation}"))).unwrap();
        File::create(&log).unwrap();
    }
    append(&log, &format!("{}\n", request("192.0.2.7", "/last")));
    agent.wait_for_event("http_request", |event| event["url"]["path"] == "/last");
    std::thread::sleep(Duration::from_secs(3));
    each_was_told_once(&agent, written);
}

#[test]
fn behind_a_proxy_the_client_is_meant_and_the_proxy_is_never_blocked() {
    live_once!();
    let rules = "rules: [{name: evil, event: http_request, condition: url.path == '/evil', severity: high, action: block}]";
    let (agent, log) = following(rules, "access.log", |log| {
        format!("web: {{type: nginx, path: {log}, trusted_proxies: [198.51.100.0/24]}}")
    });
    let evil = |forwarded: &str| {
        append(&log, &format!("{} \"{forwarded}\"\n", request("198.51.100.1", "/evil")));
    };
    evil("192.0.2.7");
    let finding = agent.wait_for_finding("evil", failed_from("192.0.2.7"));
    assert_eq!(finding["answers"][0]["outcome"], "would", "{finding}");
    // One that names itself, and one that names nobody.
    evil("198.51.100.9");
    evil("-");
    evil("192.0.2.8");
    agent.wait_for_finding("evil", failed_from("192.0.2.8"));
    let of_nobody = agent.findings("evil", |event| event.get("source").is_none());
    assert_eq!(of_nobody.len(), 2);
    assert!(
        of_nobody.iter().all(|finding| finding.get("remote").is_none_or(Value::is_null)),
        "{of_nobody:?}"
    );
    let block = agent.openclaw(&["blocklist", "add", "198.51.100.1"]);
    let said = String::from_utf8(block.stderr).unwrap();
    assert!(!block.status.success() && said.contains("refused"), "{said}");
}

#[test]
fn lines_that_are_none_of_the_log_are_counted_and_others_are_read() {
    live_once!();
    let setup = Setup::new().rules(REQUESTS);
    let log = setup.folder().join("access.log");
    let source = format!("web: {{type: apache, path: {}}}", setup.folder().join("*.log").display());
    let agent = setup.source(&source).start();
    // A file that comes later, with a line of no text, one that is too long, and one that is of another log.
    let mut text = b"\xff\xfe\0\n".to_vec();
    text.extend_from_slice(format!("{}\n", request("192.0.2.7", &"x".repeat(2 << 20))).as_bytes());
    text.extend_from_slice(b"Jan  1 00:00:00 host sshd[7]: hello\n");
    text.extend_from_slice(format!("{}\n", request("192.0.2.7", "/evil/%2e%2e/x")).as_bytes());
    fs::write(&log, text).unwrap();
    let event = agent.wait_for_event("http_request", |_| true);
    assert_eq!(event["url"]["decoded"], "/evil/../x");
    assert_eq!(event["service"]["name"], "apache");
    let status = agent.json(&["status", "--output", "json"]);
    let of_log = &status["logs"][0];
    assert_eq!(
        (of_log["lines"].as_u64(), of_log["malformed"].as_u64(), of_log["cut"].as_u64()),
        (Some(4), Some(3), Some(1))
    );
    agent.wait_for_log("lines that are none of its type");
}

#[test]
fn lines_of_json_are_read_as_the_configuration_maps_them() {
    live_once!();
    let (agent, log) = following(FAILURES, "app.json", |log| {
        let fields = "{event.outcome: result, source.ip: client.address, user.name: who}";
        format!("app: {{type: json, path: {log}, event: auth_attempt, time: at, fields: {fields}}}")
    });
    let line = r#"{"at":"AT","result":"denied","client":{"address":"192.0.2.7"},"who":"bob"}"#;
    for _ in 0..10 {
        append(&log, &format!("{}\n", line.replace("AT", &jiff::Timestamp::now().to_string())));
    }
    let finding = agent.wait_for_finding("failures", failed_from("192.0.2.7"));
    assert_eq!(finding["event"]["user"]["name"], "bob");
}

/// A journal of the test's own, written by systemd's daemon in a mount namespace of its own.
struct Journal {
    folder: PathBuf,
    daemon: Child,
}

impl Journal {
    fn start(folder: &Path) -> Journal {
        for name in ["journal", "socket"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal && \
                      mount --bind \"$1/journal\" /run/log/journal && \
                      mount --bind \"$1/socket\" /run/systemd/journal && exec /lib/systemd/systemd-journald";
        let daemon = Command::new("unshare")
            .args(["--mount", "--propagation=private", "--", "/bin/sh", "-c", script, "sh"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let journal = Journal { folder: folder.to_owned(), daemon };
        wait_for("the journal listens", || journal.socket().exists());
        journal
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket/dev-log")
    }

    /// Writes as a program does by `syslog(3)`, to the facility `authpriv`.
    fn write(&self, line: &str) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.connect(self.socket()).unwrap();
        socket.send(format!("<86>{line}").as_bytes()).unwrap();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn logins_in_the_journal_are_told_and_none_is_lost_or_told_twice_over_a_restart() {
    live_once!();
    needs!("journalctl");
    if !Path::new("/lib/systemd/systemd-journald").exists() {
        crate::support::skip::skip!("this machine has no journal daemon");
    }
    let setup = Setup::new().rules(FAILURES);
    let folder = setup.folder().to_owned();
    let journal = Journal::start(&folder);
    let failed = |port: u16| format!("sshd[7]: Failed password for root from 192.0.2.7 port {port} ssh2");
    // What was there before is passed over.
    journal.write(&failed(1));
    std::thread::sleep(Duration::from_millis(100));
    let source = format!("journal: {{path: {}}}", folder.join("journal").display());
    let mut agent = setup.source(&source).start();
    let kept = folder.join("store.rules.json");
    wait_for("it is kept", || fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("\"journal\"")));
    (2..=5).for_each(|port| journal.write(&failed(port)));
    let event = agent.wait_for_event("auth_attempt", |event| event["source"]["port"] == 5);
    assert_eq!(event["log"]["source"], "journal");
    assert!(agent.events("auth_attempt", |event| event["source"]["port"] == 1).is_empty());
    agent.end(libc::SIGKILL);
    (6..=9).for_each(|port| journal.write(&failed(port)));
    agent.start_again();
    agent.wait_for_event("auth_attempt", |event| event["source"]["port"] == 9);
    agent.end(libc::SIGTERM);
    agent.start_again();
    journal.write(&failed(10));
    agent.wait_for_event("auth_attempt", |event| event["source"]["port"] == 10);
    assert!(agent.findings("failures", |_| true).is_empty(), "nine of ten");
    journal.write(&failed(11));
    let finding = agent.wait_for_finding("failures", |_| true);
    assert_eq!(finding["evidence"]["count"], 10);
}
