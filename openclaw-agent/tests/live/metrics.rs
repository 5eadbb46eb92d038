//! What the agent tells of itself over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::support::agent::Setup;
use crate::support::skip::needs;
use crate::support::{live_once, wait_for};

/// An address of loopback at which nobody listens.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What is served: the status line, and the body.
fn get(at: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// The value of a metric of which the line begins so.
fn value(text: &str, begin: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(begin));
    let line = line.unwrap_or_else(|| panic!("there is no {begin} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The kernel counts the runs of its programs, and no longer when this ends.
struct Statistics(String);

impl Statistics {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

    fn begin() -> Self {
        let before = std::fs::read_to_string(Self::SWITCH).unwrap();
        std::fs::write(Self::SWITCH, "1").unwrap();
        Statistics(before)
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::SWITCH, &self.0);
    }
}

#[test]
fn metrics_are_those_of_the_running_agent_and_prometheus_finds_no_fault_with_them() {
    live_once!();
    let promtool = needs!("promtool");
    let _statistics = Statistics::begin();
    let at = free();
    let agent = Setup::new().metrics(at).start();
    assert_eq!(get(at, "/healthz"), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    assert_eq!(get(at, "/readyz").0, "HTTP/1.1 200 OK");
    let execs = "openclaw_events_total{kind=\"process_create\"}";
    let before = value(&get(at, "/metrics").1, execs);
    for _ in 0..10 {
        assert!(Command::new("true").status().unwrap().success());
    }
    wait_for("the programs are counted", || value(&get(at, "/metrics").1, execs) >= before + 10.0);
    let text = get(at, "/metrics").1;
    assert!(
        value(&text, "process_resident_memory_bytes") > 1e6
            && value(&text, "process_cpu_seconds_total") > 0.0
    );
    assert_eq!(value(&text, "openclaw_rules "), 1.0);
    let of_exec =
        |metric: &str| format!("openclaw_kernel_program_{metric}_total{{program=\"process_exec\"}}");
    assert!(value(&text, &of_exec("runs")) >= 10.0 && value(&text, &of_exec("seconds")) > 0.0, "{text}");

    let mut check = Command::new(promtool);
    let mut check = check
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = check.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{complaints}\n{text}");
    assert_eq!(complaints, "", "{text}");
    drop(agent);
    assert!(TcpStream::connect(at).is_err(), "it ends with the agent");
}
