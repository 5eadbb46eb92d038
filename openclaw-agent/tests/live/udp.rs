//! UDP: whose flows they are, and how much they carry.

use std::ffi::OsString;
use std::net::{SocketAddr, UdpSocket};

use serde_json::Value;

use crate::network::{deed, ends};
use crate::support::agent::{Agent, Setup};
use crate::support::deed::{Deed, Deeds, hear, say};
use crate::support::network::{Cable, Namespace};
use crate::support::skip::{needs, skip};
use crate::support::{live, live_once, wait_for};

pub(crate) const DEEDS: Deeds = &[
    ("udp send", send),
    ("udp send connected", send_connected),
    ("udp answer", answer),
    ("udp hear", only_hear),
];

/// Bytes of an answer.
const ANSWER: usize = 10;

fn address(args: &[OsString]) -> SocketAddr {
    args[0].to_str().unwrap().parse().unwrap()
}

/// A socket on any port of an address, or of any address of that family.
fn socket_for(there: SocketAddr) -> UdpSocket {
    UdpSocket::bind(if there.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap()
}

/// Sends, whenever it is told a size, a datagram of so many bytes, and waits for its answer; ends, with its
/// socket closed, when it is told nothing more.
fn send(args: &[OsString]) -> i32 {
    let (there, socket) = (address(args), socket_for(address(args)));
    exchange(&socket, |data| socket.send_to(data, there).unwrap())
}

/// The same over a connected socket.
fn send_connected(args: &[OsString]) -> i32 {
    let socket = socket_for(address(args));
    socket.connect(address(args)).unwrap();
    exchange(&socket, |data| socket.send(data).unwrap())
}

fn exchange(socket: &UdpSocket, send: impl Fn(&[u8]) -> usize) -> i32 {
    say(&socket.local_addr().unwrap().port().to_string());
    while let Ok(size) = hear().parse::<usize>() {
        assert_eq!(send(&vec![b'x'; size]), size);
        assert_eq!(socket.recv(&mut [0; 100]).unwrap(), ANSWER);
        say("answered");
    }
    0
}

/// Answers every datagram.
fn answer(args: &[OsString]) -> i32 {
    serve(args, |socket, from| {
        socket.send_to(&[b'y'; ANSWER], from).unwrap();
    })
}

/// Hears every datagram, and sends none.
fn only_hear(args: &[OsString]) -> i32 {
    serve(args, |_, _| say("heard"))
}

fn serve(args: &[OsString], each: impl Fn(&UdpSocket, SocketAddr) + Send + 'static) -> i32 {
    let socket = UdpSocket::bind(address(args)).unwrap();
    say(&socket.local_addr().unwrap().to_string());
    std::thread::spawn(move || {
        loop {
            let (_, from) = socket.recv_from(&mut [0; 1 << 16]).unwrap();
            each(&socket, from);
        }
    });
    hear();
    0
}

/// A deed that serves, and where.
fn server(namespace: Option<&Namespace>, kind: &str, at: SocketAddr) -> (Deed, SocketAddr) {
    let mut server = deed(namespace, kind, &[&at.to_string()]);
    let at = server.hear().parse().unwrap();
    (server, at)
}

/// The event of that action on the flow from `port` to `there`.
#[track_caller]
fn event(agent: &Agent, action: &str, direction: &str, port: u16, there: SocketAddr) -> Value {
    agent.wait_for(&format!("{direction} {action} of udp from port {port} to {there}"), |event| {
        is_of_flow(event, direction, port, there) && event["event"]["action"] == action
    })
}

fn is_of_flow(event: &Value, direction: &str, port: u16, there: SocketAddr) -> bool {
    let (source, destination) = ends(event);
    event["network"]["transport"] == "udp"
        && event["network"]["direction"] == direction
        && source.is_some_and(|source| source.port() == port)
        && destination == Some(there)
}

/// Payload bytes and packets, both ways.
fn carried(event: &Value) -> [u64; 4] {
    ["bytes_sent", "packets_sent", "bytes_received", "packets_received"]
        .map(|counter| event["network"][counter].as_u64().unwrap())
}

/// Exchanges three datagrams each way, and looks at both sides.
fn both_sides_are_told(cable: Option<&Cable>, at: SocketAddr, how: &str) {
    let agent = Agent::start();
    let (server, there) = server(cable.map(|cable| &cable.far), "udp answer", at);
    let mut client = deed(cable.map(|cable| &cable.near), how, &[&there.to_string()]);
    let port = client.hear().parse().unwrap();
    for size in ["100", "0", "1300"] {
        client.tell(size);
        client.hear();
    }
    let (client_pid, server_pid) = (client.pid(), server.pid());
    client.end();
    server.end();

    let ten = ANSWER as u64;
    for (direction, pid, counts) in
        [("outbound", client_pid, [1400, 3, 3 * ten, 3]), ("inbound", server_pid, [3 * ten, 3, 1400, 3])]
    {
        let begin = event(&agent, "connection_established", direction, port, there);
        assert_eq!(begin["process"]["pid"], pid, "{direction}");
        assert_eq!(begin["network"]["type"], if there.is_ipv4() { "ipv4" } else { "ipv6" });
        let end = event(&agent, "connection_closed", direction, port, there);
        assert_eq!(end["process"]["entity_id"], begin["process"]["entity_id"], "{direction}");
        assert_eq!(carried(&end), counts, "{direction}");
    }
    let end = event(&agent, "connection_closed", "outbound", port, there);
    assert_eq!(end["network"]["outbound"]["bytes"], 1400);
}

#[test]
fn both_sides_of_an_ipv4_flow_are_told_with_their_processes_bytes_and_packets() {
    live!();
    both_sides_are_told(None, "127.0.0.1:0".parse().unwrap(), "udp send");
}

#[test]
fn both_sides_of_an_ipv6_flow_are_told_with_their_processes_bytes_and_packets() {
    live!();
    if UdpSocket::bind("[::1]:0").is_err() {
        skip!("this machine has no IPv6 on its loopback interface");
    }
    both_sides_are_told(None, "[::1]:0".parse().unwrap(), "udp send");
}

#[test]
fn flows_of_connected_sockets_between_namespaces_are_told() {
    live!();
    needs!("ip");
    let cable = Cable::new();
    for at in [cable.far.v4(0), cable.far.v6(0)] {
        both_sides_are_told(Some(&cable), at, "udp send connected");
    }
}

#[test]
fn a_flow_is_told_while_it_is_open() {
    live!();
    let agent = Agent::start();
    let (_server, there) = server(None, "udp answer", "127.0.0.1:0".parse().unwrap());
    let mut client = deed(None, "udp send", &[&there.to_string()]);
    let port = client.hear().parse().unwrap();
    for (size, sent) in [("700", 700), ("70", 770)] {
        client.tell(size);
        client.hear();
        agent.wait_for("the flow's progress", |event| {
            is_of_flow(event, "outbound", port, there)
                && event["event"]["action"] == "connection_progress"
                && event["network"]["bytes_sent"] == sent
        });
    }
    let closed = agent.count("network_connection", |event| {
        is_of_flow(event, "outbound", port, there) && event["event"]["action"] == "connection_closed"
    });
    assert_eq!(closed, 0, "its socket is open");
}

#[test]
fn a_socket_that_only_receives_belongs_to_who_made_it() {
    live!();
    let agent = Agent::start();
    let (mut server, there) = server(None, "udp hear", "127.0.0.1:0".parse().unwrap());
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    here.send_to(&[0; 33], there).unwrap();
    server.hear();
    let begin = event(&agent, "connection_established", "inbound", here.local_addr().unwrap().port(), there);
    assert_eq!(begin["process"]["pid"], server.pid());
    assert_eq!(carried(&begin), [0, 0, 33, 1]);
}

#[test]
fn sockets_that_are_older_than_the_agent_have_their_owners() {
    live!();
    let (server, there) = server(None, "udp answer", "127.0.0.1:0".parse().unwrap());
    let mut client = deed(None, "udp send connected", &[&there.to_string()]);
    let port = client.hear().parse().unwrap();
    let agent = Agent::start();
    client.tell("50");
    client.hear();
    for (direction, pid) in [("outbound", client.pid()), ("inbound", server.pid())] {
        let begin = event(&agent, "connection_established", direction, port, there);
        assert_eq!(begin["process"]["pid"], pid, "{direction}");
    }
    client.end();
    assert_eq!(carried(&event(&agent, "connection_closed", "outbound", port, there)), [50, 1, 10, 1]);
}

#[test]
fn what_is_sent_over_udp_counts_for_rules_over_outbound_bytes() {
    live_once!();
    let agent = Setup::new().watch("network.outbound.bytes >= 150 and network.transport == 'udp'").start();
    let (_server, there) = server(None, "udp answer", "127.0.0.1:0".parse().unwrap());
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = deed(None, "udp send", &[&there.to_string()]);
        client.hear();
        client.tell("100");
        client.hear();
        clients.push(client);
    }
    let pid = clients[0].pid();
    clients[0].tell("60");
    clients[0].hear();
    let found = |pid: u32| {
        agent.lines(|line| line["type"] == "finding" && line["event"]["process"]["pid"] == pid).len()
    };
    wait_for("who sent more than 150 bytes is found", || found(pid) == 1);
    assert_eq!(found(clients[1].pid()), 0);
}
