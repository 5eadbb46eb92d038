//! Alerts by each kind of channel, to real servers on loopback: what arrives is what the service's own documentation
//! asks for.

mod alertmanager;
mod file;
mod http;
mod mail;
mod route;
mod syslog;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::{deed, run, unique, wait_for};

/// An agent whose alerts go to these channels, with a rule that fires on nothing but [`fire`].
#[track_caller]
fn agent(channels: &[&str]) -> Agent {
    let setup = Setup::new();
    let program = program(setup.folder());
    let rule = format!(
        "rules:
  - name: test_alert
    event: process_create
    condition: process.name == \"{program}\"
    severity: critical
    action: alert
    tags: [intrusion]
"
    );
    let channels = format!("channels: {{{}}}", channels.join(", "));
    // Each is told for itself.
    let triggers = "triggers: {intrusion_detected: {throttle: 0s}}";
    setup.rules(&rule).alerting(&[&channels, triggers]).without_events().start()
}

/// The name of a program that fires the rule of one agent, and is markup to most.
fn program(folder: &Path) -> String {
    let folder = folder.to_str().unwrap();
    format!("a-<&>_*{}", &folder[folder.len() - 6..])
}

/// Does what the rule looks for, and returns its finding.
#[track_caller]
fn fire(agent: &Agent) -> Value {
    let folder = agent.folder().join(format!("alert-{}", unique()));
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join(program(agent.folder()));
    symlink(deed::program(), &program).unwrap();
    let mut child = deed::command(&program, "exit").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    agent.wait_for_finding("test_alert", |event| event["process"]["pid"] == pid)
}

/// What an alert of the rule is called.
const TITLE: &str = "Intrusion Detected";

/// A server that a test started, and that ends with it.
struct Server(Child);

impl Server {
    /// Starts a server, and waits until it listens at these addresses.
    #[track_caller]
    fn start(command: &mut Command, listens: &[SocketAddr]) -> Server {
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Server(child);
        wait_for("the server listens", || {
            assert!(server.0.try_wait().unwrap().is_none(), "{command:?} has ended");
            listens.iter().all(|at| TcpStream::connect(at).is_ok())
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address of loopback at which nobody listens.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Makes an authority (`ca.pem`) and a certificate of its own for `localhost` (`server.pem`, `server.key`).
fn certify(folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    run(&format!(
        "openssl req -x509 {key} -subj /CN=Authority -keyout {} -out {}",
        path("ca.key"),
        path("ca.pem")
    ));
    run(&format!(
        "openssl req -x509 {key} -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext \
         basicConstraints=critical,CA:FALSE -CA {} -CAkey {} -keyout {} -out {}",
        path("ca.pem"),
        path("ca.key"),
        path("server.key"),
        path("server.pem")
    ));
}
