//! DNS: questions and answers over UDP and TCP, and the names that destinations get by them.
//!
//! The server is the test's own, in a network namespace of the test's own.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use serde_json::{Value, json};

use crate::network::deed;
use crate::support::agent::{Agent, Setup};
use crate::support::deed::{Deed, Deeds, hear, say};
use crate::support::network::Cable;
use crate::support::skip::needs;
use crate::support::{live, live_once, wait_for};

pub(crate) const DEEDS: Deeds =
    &[("dns serve", serve), ("dns ask", ask), ("dns ask by tcp", ask_by_tcp), ("dns babble", babble)];

fn address(args: &[OsString]) -> SocketAddr {
    args[0].to_str().unwrap().parse().unwrap()
}

/// A question for the addresses of a name.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len().try_into().unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The answer: the name is an alias, of which the address is given.
fn answer_to(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 2]);
    message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 4]);
    message.extend(b"edge\0");
    let alias = u16::try_from(message.len() - 6).unwrap() | 0xc000;
    message.extend(alias.to_be_bytes());
    message.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    message.extend(address.octets());
    message
}

/// Answers over UDP and TCP, each question with the same address.
fn serve(args: &[OsString]) -> i32 {
    let at = address(args);
    let is_at: Ipv4Addr = args[1].to_str().unwrap().parse().unwrap();
    let (udp, tcp) = (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
    say("ready");
    std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        loop {
            let (len, from) = udp.recv_from(&mut buffer).unwrap();
            // What is no question gets no answer.
            if len > 17 {
                udp.send_to(&answer_to(&buffer[..len], is_at), from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        loop {
            let (mut stream, _) = tcp.accept().unwrap();
            let mut len = [0; 2];
            if stream.read_exact(&mut len).is_err() {
                // It only connects.
                continue;
            }
            let mut asked = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut asked).unwrap();
            stream.write_all(&with_length(&answer_to(&asked, is_at))).unwrap();
        }
    });
    hear();
    0
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).unwrap();
    [&len.to_be_bytes(), message].concat()
}

/// Asks a server for a name over UDP, then connects to an address when it is told, and waits.
fn ask(args: &[OsString]) -> i32 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.send_to(&question(args[1].to_str().unwrap()), address(args)).unwrap();
    socket.recv(&mut [0; 2000]).unwrap();
    say("answered");
    connect_when_told()
}

/// The same over TCP.
fn ask_by_tcp(args: &[OsString]) -> i32 {
    let mut stream = TcpStream::connect(address(args)).unwrap();
    stream.write_all(&with_length(&question(args[1].to_str().unwrap()))).unwrap();
    stream.read_exact(&mut [0; 30]).unwrap();
    say("answered");
    connect_when_told()
}

fn connect_when_told() -> i32 {
    if let Ok(there) = hear().parse::<SocketAddr>() {
        let _stream = TcpStream::connect(there).unwrap();
        say("connected");
        hear();
    }
    0
}

/// Sends to a server of DNS what is no DNS.
fn babble(args: &[OsString]) -> i32 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for length in 0..64u8 {
        // A name that points to itself, and others that run past the end.
        let mut message = vec![0xc0; 13];
        message[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend(vec![length; length.into()]);
        message.truncate(17);
        socket.send_to(&message, address(args)).unwrap();
    }
    0
}

/// A server in a namespace that says of every name that its address is that of the namespace.
struct Server {
    cable: Cable,
    deed: Deed,
}

impl Server {
    fn new() -> Self {
        let cable = Cable::new();
        let args = [cable.far.v4(53).to_string(), cable.far.ipv4.to_string()];
        let mut deed = deed(Some(&cable.far), "dns serve", &[&args[0], &args[1]]);
        deed.hear();
        Server { cable, deed }
    }

    /// A process in the other namespace that has asked for a name.
    fn asked(&self, how: &str, name: &str) -> Deed {
        let mut client = deed(Some(&self.cable.near), how, &[&self.cable.far.v4(53).to_string(), name]);
        client.hear();
        client
    }
}

#[track_caller]
fn message(agent: &Agent, action: &str, pid: u32) -> Value {
    agent.wait_for_event("dns_query", |event| {
        event["event"]["action"] == action && event["process"]["pid"] == pid
    })
}

fn both_sides_are_told(transport: &str, how: &str) {
    let agent = Agent::start();
    let server = Server::new();
    let client = server.asked(how, "Service.Example.test");
    for (pid, direction) in [(client.pid(), "outbound"), (server.deed.pid(), "inbound")] {
        let asked = message(&agent, "dns_question", pid);
        assert_eq!(asked["dns"]["type"], "query");
        assert_eq!(asked["dns"]["question"], json!({"name": "service.example.test", "type": "A"}));
        assert_eq!(asked["dns"]["response_code"], Value::Null);
        let answered = message(&agent, "dns_answer", pid);
        assert_eq!(answered["dns"]["type"], "answer");
        assert_eq!(answered["dns"]["id"], 0x1234);
        assert_eq!(answered["dns"]["question"]["name"], "service.example.test");
        assert_eq!(answered["dns"]["response_code"], "NOERROR");
        assert_eq!(answered["dns"]["resolved_ip"], json!([server.cable.far.ipv4.to_string()]));
        assert_eq!(answered["dns"]["truncated"], false);
        for event in [asked, answered] {
            assert_eq!(event["network"]["transport"], transport);
            assert_eq!(event["network"]["direction"], direction);
            assert_eq!(event["source"]["ip"], server.cable.near.ipv4.to_string());
            assert_eq!(event["destination"]["ip"], server.cable.far.ipv4.to_string());
            assert_eq!(event["destination"]["port"], 53);
        }
    }
}

#[test]
fn question_and_answer_over_udp_are_told_of_both_sides() {
    live!();
    needs!("ip");
    both_sides_are_told("udp", "dns ask");
}

#[test]
fn question_and_answer_over_tcp_are_told_of_both_sides() {
    live!();
    needs!("ip");
    both_sides_are_told("tcp", "dns ask by tcp");
}

#[test]
fn a_destination_has_the_name_that_was_asked_for() {
    live_once!();
    needs!("ip");
    let agent = Agent::start();
    let server = Server::new();
    let mut client = server.asked("dns ask", "Www.Example.test");
    client.tell(&server.cable.far.v4(53).to_string());
    client.hear();
    let connected = agent.wait_for_event("network_connection", |event| {
        event["process"]["pid"] == client.pid()
            && event["network"]["transport"] == "tcp"
            && event["network"]["direction"] == "outbound"
    });
    assert_eq!(connected["destination"]["domain"], "www.example.test");
    let unnamed = agent.wait_for_event("network_connection", |event| {
        event["process"]["pid"] == server.deed.pid() && event["network"]["direction"] == "inbound"
    });
    assert_eq!(unnamed["destination"]["domain"], Value::Null);
}

#[test]
fn rules_over_names_fire_though_nobody_follows_events() {
    live_once!();
    needs!("ip");
    let rules = "rules:\n  - name: asked\n    condition: dns.question.name endswith \".evil.test\"\n    severity: \
                 info\n    action: alert\n  - name: connected\n    condition: destination.domain == \
                 \"c2.evil.test\"\n    severity: info\n    action: alert\n";
    let agent = Setup::new().rules(rules).without_events().start();
    let server = Server::new();
    let mut client = server.asked("dns ask", "c2.Evil.test");
    agent.wait_for_finding("asked", |event| event["process"]["pid"] == client.pid());
    client.tell(&server.cable.far.v4(53).to_string());
    client.hear();
    agent.wait_for_finding("connected", |event| event["process"]["pid"] == client.pid());
}

#[test]
fn what_is_no_dns_is_counted_and_the_next_question_is_told() {
    live_once!();
    needs!("ip");
    let agent = Agent::start();
    let server = Server::new();
    let babble = deed(Some(&server.cable.near), "dns babble", &[&server.cable.far.v4(53).to_string()]);
    babble.end();
    // Each is sent by one side and received by the other.
    wait_for("what could not be read is counted", || agent.lost("malformed_dns") >= 2 * 64);
    let client = server.asked("dns ask", "after.test");
    assert_eq!(message(&agent, "dns_answer", client.pid())["dns"]["question"]["name"], "after.test");
}
