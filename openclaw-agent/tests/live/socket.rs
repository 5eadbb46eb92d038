//! Sockets: which listen, which are bound, and which see packets whole.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::net::{AddressFamily, SocketType, ipproto};
use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::live;
use crate::support::network::Cable;
use crate::support::skip::{needs, skip};

/// The first event of that action of this process, at an address.
#[track_caller]
fn mine(agent: &Agent, action: &str, at: SocketAddr) -> Value {
    agent.wait_for(&format!("{action} {at}"), |event| {
        event["event"]["action"] == action
            && event["process"]["pid"] == std::process::id()
            && event["destination"]["port"] == at.port()
    })
}

/// Whether an event tells of something that stands at an address, and of nobody who connects to it.
#[track_caller]
fn stands_at(event: &Value, at: SocketAddr, transport: &str) {
    assert_eq!(event["destination"]["ip"], at.ip().to_string());
    assert_eq!(event["source"], Value::Null);
    assert_eq!(event["network"]["transport"], transport);
    assert_eq!(event["network"]["type"], if at.is_ipv4() { "ipv4" } else { "ipv6" });
    assert_eq!(event["network"]["bytes_sent"], Value::Null);
}

fn a_listener_is_told(at: &str) {
    let agent = Agent::start();
    let listener = TcpListener::bind(at).unwrap();
    let at = listener.local_addr().unwrap();
    let bind = mine(&agent, "bind", at);
    stands_at(&bind, at, "tcp");
    assert_eq!(bind["network"]["direction"], Value::Null);
    let listen = mine(&agent, "listen", at);
    stands_at(&listen, at, "tcp");
    assert_eq!(listen["network"]["direction"], "inbound");
    assert_eq!(listen["network"]["state"], "listen");
}

#[test]
fn a_socket_that_listens_at_an_ipv4_address_is_told_with_the_port_that_the_kernel_chose() {
    live!();
    a_listener_is_told("127.0.0.1:0");
}

#[test]
fn a_socket_that_listens_at_an_ipv6_address_is_told_with_the_port_that_the_kernel_chose() {
    live!();
    if TcpListener::bind("[::1]:0").is_err() {
        skip!("this machine has no IPv6 on its loopback interface");
    }
    a_listener_is_told("[::1]:0");
}

#[test]
fn a_udp_socket_that_is_bound_is_told_with_the_port_that_the_kernel_chose() {
    live!();
    let agent = Agent::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    stands_at(&mine(&agent, "bind", at), at, "udp");
}

#[test]
fn raw_and_packet_sockets_are_told_and_plain_ones_are_not() {
    live!();
    needs!("ip");
    let cable = Cable::new();
    let agent = Agent::start();
    cable.near.inside(|| {
        for (family, kind, protocol) in [
            (AddressFamily::INET, SocketType::STREAM, None),
            (AddressFamily::INET6, SocketType::DGRAM, None),
            (AddressFamily::UNIX, SocketType::STREAM, None),
            (AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)),
            (AddressFamily::INET6, SocketType::RAW, Some(ipproto::TCP)),
            (AddressFamily::PACKET, SocketType::RAW, None),
            (AddressFamily::PACKET, SocketType::DGRAM, None),
        ] {
            rustix::net::socket(family, kind, protocol).unwrap();
        }
    });
    agent.settle();
    let sockets = agent.events("network_connection", |event| {
        event["process"]["pid"] == std::process::id()
            && event["event"]["action"].as_str().unwrap().starts_with("socket_")
    });
    let told: Vec<_> = sockets
        .iter()
        .map(|event| {
            let network = &event["network"];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            (text(&event["event"]["action"]), text(&network["transport"]), network["iana_number"].as_u64())
        })
        .collect();
    let socket =
        |action: &str, transport: &str, number| (Some(action.into()), Some(transport.into()), number);
    assert_eq!(
        told,
        [
            socket("socket_raw", "raw", Some(1)),
            socket("socket_raw", "raw", Some(6)),
            socket("socket_packet", "packet", None),
            socket("socket_packet", "packet", None),
        ]
    );
    let namespace = std::os::unix::fs::MetadataExt::ino(&cable.near.file().metadata().unwrap());
    assert!(sockets.iter().all(|event| event["network"]["namespace"] == namespace), "{sockets:?}");
}
