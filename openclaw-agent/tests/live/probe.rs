//! Probes of closed ports: told with the address that they came from, and without a process.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::network::{Cable, Namespace};
use crate::support::skip::{needs, skip};
use crate::support::socket::Socket;
use crate::support::webhook::Webhook;
use crate::support::{is_guest, live, live_once, wait_for};

/// Ports of a scan, at which nobody listens.
const PORTS: std::ops::Range<u16> = 4000..4025;

/// Whether probes are seen: the kernel says why it drops a packet, or lets its functions be watched, as those of guests
/// do.
pub(crate) fn probes_are_seen() -> bool {
    is_guest()
        || std::fs::read("/sys/kernel/btf/vmlinux").is_ok_and(|btf| {
            let name = b"SKB_DROP_REASON_NO_SOCKET\0";
            btf.windows(name.len()).any(|part| part == name)
        })
}

macro_rules! needs_probes {
    () => {
        if !probes_are_seen() {
            skip!("it needs reasons of dropped packets (5.17 on), or fentry where it is allowed");
        }
    };
}

fn refused(agent: &Agent, transport: &str, from: &Namespace) -> Vec<Value> {
    let addresses = [from.ipv4.to_string(), from.ipv6.to_string()];
    agent.events("network_connection", |event| {
        event["event"]["action"] == "connection_refused"
            && event["network"]["transport"] == transport
            && addresses.iter().any(|address| event["source"]["ip"] == *address)
    })
}

/// Scans ports of the far side from the near one, and looks at what is told of it.
fn a_scan_is_told(to: impl Fn(&Namespace, u16) -> SocketAddr + Sync, kind: &str) {
    let cable = Cable::new();
    let agent = Agent::start();
    cable.near.inside(|| {
        for port in PORTS {
            let refused = Socket::connect_tcp(to(&cable.far, port)).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
        }
    });
    agent.settle();
    let told = refused(&agent, "tcp", &cable.near);
    let ports: Vec<u64> = told.iter().map(|event| event["destination"]["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, PORTS.map(u64::from).collect::<Vec<_>>(), "each port once");
    let namespace = std::os::unix::fs::MetadataExt::ino(&cable.far.file().metadata().unwrap());
    for event in told {
        assert_eq!(event["source"]["ip"], to(&cable.near, 0).ip().to_string());
        assert_eq!(event["destination"]["ip"], to(&cable.far, 0).ip().to_string());
        assert_eq!(event["network"]["direction"], "inbound");
        assert_eq!(event["network"]["type"], kind);
        assert_eq!(event["network"]["namespace"], namespace);
        assert_eq!(event["process"], Value::Null);
    }
}

#[test]
fn a_scan_of_closed_ports_over_ipv4_is_told_port_by_port_with_its_sender() {
    live!();
    needs!("ip");
    needs_probes!();
    a_scan_is_told(Namespace::v4, "ipv4");
}

#[test]
fn a_scan_of_closed_ports_over_ipv6_is_told_port_by_port_with_its_sender() {
    live!();
    needs!("ip");
    needs_probes!();
    a_scan_is_told(Namespace::v6, "ipv6");
}

#[test]
fn packets_for_closed_udp_ports_are_told_and_the_same_again_is_counted() {
    live!();
    needs!("ip");
    needs_probes!();
    let cable = Cable::new();
    let agent = Agent::start();
    let counted = agent.lost("repeated_probe");
    for (from, to) in [(cable.near.v4(0), cable.far.v4(4000)), (cable.near.v6(0), cable.far.v6(4001))] {
        cable.near.inside(|| {
            let socket = Socket::udp(from).unwrap();
            for _ in 0..3 {
                // The answer to the packet before makes a send fail only on connected sockets.
                socket.send_to(to, "hello").unwrap();
            }
        });
    }
    agent.settle();
    let told = refused(&agent, "udp", &cable.near);
    let ports: Vec<_> = told.iter().map(|event| event["destination"]["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, [4000, 4001]);
    wait_for("the others are counted", || agent.lost("repeated_probe") >= counted + 4);
}

#[test]
fn a_rule_over_refused_connections_fires_without_a_process_and_its_finding_is_printed_posted_and_kept() {
    live_once!();
    needs!("ip");
    needs_probes!();
    let cable = Cable::new();
    let webhook = Webhook::new();
    let rule = "rules:
  - name: probe
    event: network_connection
    condition: event.action == \"connection_refused\" AND destination.port == 4000
    severity: low
    action: alert
";
    let agent = Setup::new().rules(rule).webhook(&webhook.url).without_events().start();
    cable.near.inside(|| Socket::connect_tcp(cable.far.v4(4000)).unwrap_err());
    let source = cable.near.ipv4.to_string();
    let finding = agent.wait_for_finding("probe", |event| event["source"]["ip"] == source);
    assert_eq!(finding["process"], Value::Null);
    assert_eq!(finding["remote"], source);
    assert_eq!(finding["title"], format!("probe: {source}"));
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.starts_with(&source)
            && message.ends_with("10.211.77.2:4000 over tcp, where nobody listens — rule probe"),
        "{message}"
    );
    let post = webhook.wait_for("probe", |body| body["id"] == finding["id"]);
    assert_eq!(post.body["message"], message);
    assert_eq!(post.body["details"]["event"], finding["event"]);
    let id = finding["id"].as_str().unwrap();
    wait_for("the finding is kept", || agent.openclaw(&["findings", "show", id]).status.success());
    let shown = agent.json(&["findings", "show", id, "--output", "json"]);
    assert_eq!(shown["event"], finding["event"]);
    let listed = agent.openclaw(&["findings"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&source));
}
