//! TCP connections: who opened them, who accepted them, how much they carry.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openclaw_agent::output::time::parse_rfc3339;
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::deed::{Deed, Deeds, command, hear, program, say};
use crate::support::network::{Cable, Namespace, inside};
use crate::support::skip::{needs, skip};
use crate::support::{is_guest, live, wait_for};

pub(crate) const DEEDS: Deeds = &[
    ("connect", connect),
    ("connect without waiting", connect_without_waiting),
    ("serve", serve),
    ("exfiltrate", exfiltrate),
];

/// A megabyte.
const MB: usize = 1_000_000;

fn address(args: &[OsString]) -> SocketAddr {
    args[0].to_str().unwrap().parse().unwrap()
}

/// A number among the arguments, 0 where it is not given.
fn count(args: &[OsString], at: usize) -> usize {
    args.get(at).map_or(0, |count| count.to_str().unwrap().parse().unwrap())
}

/// Connects to an address; then sends as many bytes as it is told, a megabyte in 20 ms at most, until it is
/// told nothing more. Then reads as many bytes as its second argument says.
fn connect(args: &[OsString]) -> i32 {
    let mut stream = match TcpStream::connect(address(args)) {
        Ok(stream) => stream,
        Err(error) => {
            say(&format!("{:?}", error.kind()));
            hear();
            return 1;
        }
    };
    say(&stream.local_addr().unwrap().to_string());
    while let Ok(count) = hear().parse::<usize>() {
        let data = vec![b'x'; count.min(MB)];
        let mut left = count;
        while left > 0 {
            let now = left.min(MB);
            stream.write_all(&data[..now]).unwrap();
            left -= now;
            if left > 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        say("sent");
    }
    let mut reply = vec![0; count(args, 1)];
    stream.read_exact(&mut reply).unwrap();
    0
}

/// Connects as programs with an event loop do: the call returns before the connection is there.
fn connect_without_waiting(args: &[OsString]) -> i32 {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let family = if address(args).is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
    assert_eq!(rustix::net::connect(&socket, &address(args)), Err(rustix::io::Errno::INPROGRESS));
    let mut ready = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry is passed.
    assert_eq!(unsafe { libc::poll(&raw mut ready, 1, -1) }, 1);
    let stream = TcpStream::from(socket);
    assert!(stream.take_error().unwrap().is_none());
    say(&stream.local_addr().unwrap().to_string());
    hear();
    0
}

/// Listens, and has one connection accepted by itself, a thread or a child, who sends as many bytes as the
/// third argument says, reads to the end, says how much that was, and closes when told.
fn serve(args: &[OsString]) -> i32 {
    let listener = TcpListener::bind(address(args)).unwrap();
    let reply = vec![b'y'; count(args, 2)];
    say(&listener.local_addr().unwrap().to_string());
    let work = move || {
        let (mut stream, _) = listener.accept().unwrap();
        say(&std::process::id().to_string());
        stream.write_all(&reply).unwrap();
        let mut sum = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                len => sum += len,
            }
        }
        say(&sum.to_string());
        hear();
    };
    match args[1].to_str().unwrap() {
        "thread" => std::thread::spawn(work).join().unwrap(),
        "child" => {
            // SAFETY: there is one thread.
            match unsafe { libc::fork() } {
                0 => work(),
                // SAFETY: the call may be given no place for the status.
                child => drop(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }),
            }
        }
        _ => work(),
    }
    0
}

/// Sends a megabyte in 10 ms at most; says when the hundredth was sent, and goes on until it is told to end.
fn exfiltrate(args: &[OsString]) -> i32 {
    static END: AtomicBool = AtomicBool::new(false);
    let mut stream = TcpStream::connect(address(args)).unwrap();
    let data = vec![b'x'; MB];
    for _ in 0..100 {
        stream.write_all(&data).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    say(&SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string());
    std::thread::spawn(|| {
        hear();
        END.store(true, Ordering::Relaxed);
    });
    while !END.load(Ordering::Relaxed) {
        stream.write_all(&data[..MB / 10]).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    0
}

pub(crate) fn deed(namespace: Option<&Namespace>, deed: &str, args: &[&str]) -> Deed {
    let mut command = command(program(), deed);
    command.args(args);
    Deed::of(match namespace {
        Some(namespace) => inside(namespace, command),
        None => command,
    })
}

/// A server that has said where it listens.
pub(crate) struct Server {
    pub(crate) deed: Deed,
    pub(crate) at: SocketAddr,
}

impl Server {
    pub(crate) fn new(namespace: Option<&Namespace>, at: SocketAddr, who: &str) -> Self {
        Self::replying(namespace, at, who, 0)
    }

    /// One that sends bytes of its own.
    fn replying(namespace: Option<&Namespace>, at: SocketAddr, who: &str, reply: usize) -> Self {
        let mut deed = deed(namespace, "serve", &[&at.to_string(), who, &reply.to_string()]);
        let at = deed.hear().parse().unwrap();
        Server { deed, at }
    }

    /// Who has accepted the connection.
    #[track_caller]
    fn worker(&mut self) -> u32 {
        self.deed.hear().parse().unwrap()
    }
}

/// The event of that action on the connection between `source` and `destination`, of the process that opened
/// it or of the one that accepted it.
#[track_caller]
fn event(agent: &Agent, action: &str, direction: &str, source: SocketAddr, destination: SocketAddr) -> Value {
    agent.wait_for(&format!("{direction} {action} {source} -> {destination}"), |event| {
        event["event"]["action"] == action
            && event["network"]["direction"] == direction
            && ends(event) == (Some(source), Some(destination))
    })
}

pub(crate) fn ends(event: &Value) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let end = |name: &str| {
        let ip = event[name]["ip"].as_str()?.parse().ok()?;
        Some(SocketAddr::new(ip, event[name]["port"].as_u64()?.try_into().ok()?))
    };
    (end("source"), end("destination"))
}

/// Connects, sends, closes, and looks at both sides of it.
fn both_sides_are_told(at: SocketAddr, kind: &str) {
    let agent = Agent::start();
    let mut server = Server::new(None, at, "itself");
    let mut client = deed(None, "connect", &[&server.at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    server.worker();
    client.tell("12345");
    client.hear();
    let client_pid = client.pid();
    client.end();
    assert_eq!(server.deed.hear(), "12345");
    let (destination, server_pid) = (server.at, server.deed.pid());
    server.deed.end();

    for (direction, pid, sent, received) in
        [("outbound", client_pid, 12345, 0), ("inbound", server_pid, 0, 12345)]
    {
        let established = event(&agent, "connection_established", direction, source, destination);
        assert_eq!(established["process"]["pid"], pid, "{direction}");
        assert_eq!(established["process"]["executable"], program().to_str().unwrap());
        assert_eq!(established["network"]["type"], kind);
        assert_eq!(established["network"]["transport"], "tcp");
        assert_eq!(established["network"]["state"], "established");
        let closed = event(&agent, "connection_closed", direction, source, destination);
        assert_eq!(closed["process"]["entity_id"], established["process"]["entity_id"]);
        let network = &closed["network"];
        assert_eq!((&network["bytes_sent"], &network["bytes_received"]), (&json!(sent), &json!(received)));
        // An acknowledgement and a FIN at least; what accepts has not yet a socket for the first two segments.
        for counter in ["packets_sent", "packets_received"] {
            let count = network[counter].as_u64().unwrap();
            assert!((2..100).contains(&count), "{counter} {direction}: {count}");
        }
        assert_eq!(closed["error"]["code"], Value::Null);
    }
}

#[test]
fn both_sides_of_an_ipv4_connection_are_told_with_their_processes_and_bytes() {
    live!();
    both_sides_are_told("127.0.0.1:0".parse().unwrap(), "ipv4");
}

#[test]
fn both_sides_of_an_ipv6_connection_are_told_with_their_processes_and_bytes() {
    live!();
    if TcpListener::bind("[::1]:0").is_err() {
        skip!("this machine has no IPv6 on its loopback interface");
    }
    both_sides_are_told("[::1]:0".parse().unwrap(), "ipv6");
}

/// Has `who` accept a connection, and returns the process that it is told of.
fn owner_of_accepted(who: &str) -> (Deed, u32, Value, Value) {
    let agent = Agent::start();
    let mut server = Server::new(None, "127.0.0.1:0".parse().unwrap(), who);
    let mut client = deed(None, "connect", &[&server.at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    let worker = server.worker();
    client.tell("10");
    client.hear();
    let established = event(&agent, "connection_established", "inbound", source, server.at);
    client.end();
    server.deed.hear();
    server.deed.tell("close");
    let closed = event(&agent, "connection_closed", "inbound", source, server.at);
    (server.deed, worker, established, closed)
}

#[test]
fn a_connection_belongs_to_the_child_that_accepted_it_and_not_to_who_listens() {
    live!();
    let (server, worker, established, closed) = owner_of_accepted("child");
    assert_ne!(worker, server.pid());
    assert_eq!(established["process"]["pid"], worker);
    assert_eq!(closed["process"]["pid"], worker);
    assert_eq!(established["process"]["parent"]["pid"], server.pid());
}

#[test]
fn a_connection_that_a_thread_accepted_belongs_to_its_process() {
    live!();
    let (server, worker, established, closed) = owner_of_accepted("thread");
    assert_eq!(worker, server.pid());
    assert_eq!(established["process"]["pid"], worker);
    assert_eq!(closed["process"]["pid"], worker);
}

#[test]
fn a_connection_that_nobody_waits_for_belongs_to_who_asked_for_it() {
    live!();
    needs!("ip");
    let cable = Cable::new();
    let agent = Agent::start();
    let mut server = Server::new(Some(&cable.far), cable.far.v4(0), "itself");
    let mut client = deed(Some(&cable.near), "connect without waiting", &[&server.at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    server.worker();
    let established = event(&agent, "connection_established", "outbound", source, server.at);
    assert_eq!(established["process"]["pid"], client.pid());
}

#[test]
fn an_ipv4_connection_to_an_ipv6_socket_is_told_as_ipv4() {
    live!();
    let agent = Agent::start();
    let Ok(listener) = TcpListener::bind("[::]:0") else { skip!("this machine has no IPv6") };
    let at = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    let client = TcpStream::connect(at).unwrap();
    let _accepted = listener.accept().unwrap();
    let source = client.local_addr().unwrap();
    for direction in ["inbound", "outbound"] {
        let established = event(&agent, "connection_established", direction, source, at);
        assert_eq!(established["network"]["type"], "ipv4");
        assert_eq!(established["process"]["pid"], std::process::id());
    }
}

#[test]
fn a_connection_that_waits_to_be_accepted_belongs_to_who_accepts_it_then() {
    live!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let agent = Agent::start();
    let mut client = deed(None, "connect", &[&at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    event(&agent, "connection_established", "outbound", source, at);
    let _accepted = listener.accept().unwrap();
    let inbound = event(&agent, "connection_established", "inbound", source, at);
    assert_eq!(inbound["process"]["pid"], std::process::id());
}

#[test]
fn a_connection_that_is_reset_before_it_is_accepted_is_told_as_closed_and_never_as_established() {
    live!();
    let agent = Agent::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let client = TcpStream::connect(at).unwrap();
    let source = client.local_addr().unwrap();
    // Without a time to linger, what closes resets.
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    let closed = event(&agent, "connection_closed", "inbound", source, at);
    assert_eq!(closed["error"]["code"], "ECONNRESET");
    let (_accepted, from) = listener.accept().unwrap();
    assert_eq!(from, source);
    agent.settle();
    let told = agent.events("network_connection", |event| {
        event["network"]["direction"] == "inbound" && ends(event) == (Some(source), Some(at))
    });
    let actions: Vec<_> = told.iter().map(|event| event["event"]["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["connection_closed"]);
}

#[test]
fn a_connection_that_is_refused_is_told_as_failed() {
    live!();
    let agent = Agent::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = deed(None, "connect", &[&nobody.to_string()]);
    assert_eq!(client.hear(), "ConnectionRefused");
    let failed = agent.wait_for_event("network_connection", |event| {
        event["process"]["pid"] == client.pid() && event["destination"]["port"] == nobody.port()
    });
    assert_eq!(failed["event"]["action"], "connection_failed");
    assert_eq!(failed["network"]["direction"], "outbound");
    assert_eq!(failed["error"]["code"], "ECONNREFUSED");
    assert_ne!(failed["source"]["port"], 0);
    assert_eq!(failed["destination"]["ip"], "127.0.0.1");
}

#[test]
fn bytes_of_a_connection_that_is_older_than_the_agent_are_counted_from_its_beginning() {
    live!();
    let mut server = Server::new(None, "127.0.0.1:0".parse().unwrap(), "itself");
    let mut client = deed(None, "connect", &[&server.at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    server.worker();
    client.tell("1000");
    client.hear();
    let agent = Agent::start();
    client.tell("500");
    client.hear();
    let progress = agent.wait_for("the connection's progress", |event| {
        event["network"]["direction"] == "outbound"
            && ends(event).0 == Some(source)
            && event["network"]["bytes_sent"] == 1500
    });
    assert_eq!(progress["process"]["pid"], client.pid());
    assert_eq!(progress["network"]["outbound"]["bytes"], 1500);
    let received = agent.wait_for("the connection's progress on the other side", |event| {
        event["network"]["direction"] == "inbound"
            && ends(event).0 == Some(source)
            && event["network"]["bytes_received"] == 1500
    });
    assert_eq!(received["process"]["pid"], server.deed.pid());
    client.end();
    server.deed.hear();
    server.deed.tell("close");
    let closed = event(&agent, "connection_closed", "outbound", source, server.at);
    assert_eq!(closed["network"]["bytes_sent"], 1500);
}

#[test]
fn a_connection_that_outlives_its_process_is_still_told_as_that_processs() {
    live!();
    let agent = Agent::start();
    let mut server = Server::new(None, "127.0.0.1:0".parse().unwrap(), "itself");
    let mut client = deed(None, "connect", &[&server.at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    let pid = client.pid();
    server.worker();
    client.tell("777");
    client.hear();
    client.end();
    let exit = agent.wait_for_event("process_exit", |event| event["process"]["pid"] == pid);
    assert_eq!(server.deed.hear(), "777");
    server.deed.tell("close");
    let closed = event(&agent, "connection_closed", "outbound", source, server.at);
    assert_eq!(closed["process"]["entity_id"], exit["process"]["entity_id"]);
    assert_eq!(closed["process"]["name"], exit["process"]["name"]);
    assert_eq!(closed["network"]["bytes_sent"], 777);
}

#[test]
fn bytes_that_a_process_sends_to_one_address_add_up_over_its_connections() {
    live!();
    let agent = Agent::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    // One process opens both: this one.
    let before = agent.events("network_connection", |event| {
        event["process"]["pid"] == std::process::id() && ends(event).0.is_some()
    });
    assert!(before.is_empty(), "{before:?}");
    for _ in 0..2 {
        let mut client = TcpStream::connect(at).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        client.write_all(&[0; 400]).unwrap();
        drop(client);
        accepted.read_to_end(&mut Vec::new()).unwrap();
    }
    wait_for("both connections are told as closed", || {
        let closed = agent.events("network_connection", |event| {
            event["event"]["action"] == "connection_closed"
                && event["destination"]["port"] == at.port()
                && event["network"]["direction"] == "outbound"
        });
        closed.len() == 2
            && closed.iter().any(|event| event["network"]["outbound"]["bytes"].as_u64() >= Some(800))
    });
}

/// The longest time between two events that follow one another.
fn greatest_gap(events: &[Value]) -> Duration {
    let time = |event: &Value| parse_rfc3339(event["@timestamp"].as_str().unwrap()).unwrap().0;
    let gaps = events.windows(2).map(|two| time(&two[1]).saturating_sub(time(&two[0])));
    Duration::from_nanos(gaps.max().unwrap())
}

#[test]
fn a_transfer_of_200_megabytes_is_told_while_it_runs_and_exactly_when_it_ends() {
    const REPLY: usize = 12_345;
    live!();
    needs!("ip");
    let cable = Cable::new();
    let agent = Agent::start();
    for at in [cable.far.v4(0), cable.far.v6(0)] {
        let mut server = Server::replying(Some(&cable.far), at, "child", REPLY);
        let args = [server.at.to_string(), REPLY.to_string()];
        let mut client = deed(Some(&cable.near), "connect", &[&args[0], &args[1]]);
        let source: SocketAddr = client.hear().parse().unwrap();
        let worker = server.worker();
        client.tell("200000000");
        client.hear();
        let client_pid = client.pid();
        client.end();
        assert_eq!(server.deed.hear(), "200000000");
        server.deed.tell("close");

        for (direction, pid, counter, other) in [
            ("outbound", client_pid, "bytes_sent", "bytes_received"),
            ("inbound", worker, "bytes_received", "bytes_sent"),
        ] {
            let end = event(&agent, "connection_closed", direction, source, server.at);
            assert_eq!(end["network"][counter], 200_000_000, "{direction}");
            assert_eq!(end["network"][other], REPLY, "{direction}");
            let all = agent.events("network_connection", |event| {
                event["network"]["direction"] == direction && ends(event) == (Some(source), Some(server.at))
            });
            assert!(all.iter().all(|event| event["process"]["pid"] == pid), "{direction}");
            let counts: Vec<u64> =
                all.iter().map(|event| event["network"][counter].as_u64().unwrap()).collect();
            assert!(counts.is_sorted(), "{counts:?}");
            assert_eq!(all[0]["event"]["action"], "connection_established");
            // Sampled twice a second; an emulated processor may do so late.
            let most = Duration::from_secs(if is_guest() { 5 } else { 1 });
            let gap = greatest_gap(&all);
            assert!(all.len() > 2 && gap <= most, "{counts:?} with {gap:?} between two of them");
        }
        let closed = event(&agent, "connection_closed", "outbound", source, server.at);
        assert_eq!(closed["network"]["outbound"]["bytes"], 200_000_000);
    }
}

#[test]
fn each_sides_network_namespace_is_told() {
    live!();
    needs!("ip");
    let cable = Cable::new();
    let agent = Agent::start();
    let mut server = Server::new(Some(&cable.far), cable.far.v4(0), "itself");
    let mut client = deed(Some(&cable.near), "connect", &[&server.at.to_string()]);
    let source: SocketAddr = client.hear().parse().unwrap();
    server.worker();
    let inode =
        |namespace: &Namespace| std::os::unix::fs::MetadataExt::ino(&namespace.file().metadata().unwrap());
    let outbound = event(&agent, "connection_established", "outbound", source, server.at);
    let inbound = event(&agent, "connection_established", "inbound", source, server.at);
    assert_eq!(outbound["process"]["namespace"]["network"], inode(&cable.near));
    assert_eq!(inbound["process"]["namespace"]["network"], inode(&cable.far));
}
