//! `openclaw doctor`: does on this machine what each hook should see, and looks whether it was seen.
//!
//! What is done is done by a process of its own (`openclaw doctor --trigger`), since the sensor leaves out
//! what its own process does.

use std::fs;
use std::time::{Duration, Instant};

use anstream::{print, println};
use anyhow::{Result, bail};
use openclaw_common::network::{INBOUND, OUTBOUND};
use openclaw_common::record::{
    FLAG_RESOLVED, NET_BIND, NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NET_LISTEN, NET_PACKET_SOCKET,
    NET_PROGRESS, NET_RAW_SOCKET, NET_REFUSED, NetworkRecord, UDP,
};
use openclaw_common::syscall;
use openclaw_detect::KindSet;

use super::trigger::{PAYLOAD, Trigger};
use crate::capability::{Capability, State};
use crate::enrich::Record;
use crate::kernel::layout::{self, Resolved};
use crate::output::Format;
use crate::output::style::{BAD, BOLD, DIM, GOOD, WARN};
use crate::respond;
use crate::sensor::{RingSizes, Rings, Sensor};

/// What a hook at the exit of system calls does not see.
const BY_CALLS: &str = "sees system calls, not what io_uring does";

/// How long the doctor waits for events that were triggered.
const PATIENCE: Duration = Duration::from_secs(5);

/// Examines the machine and prints what it found.
///
/// # Errors
/// When a capability is missing, or nothing could be examined.
pub fn doctor(format: Format) -> Result<()> {
    let examined = examine()?;
    match format {
        Format::Json => println!("{}", serde_json::to_string(&examined)?),
        Format::Text => print!("{}", text(&examined)),
    }
    let missing = examined.iter().filter(|capability| capability.state == State::Missing).count();
    match missing {
        0 => Ok(()),
        1 => bail!("a capability is missing on this machine"),
        more => bail!("{more} capabilities are missing on this machine"),
    }
}

fn examine() -> Result<Vec<Capability>> {
    // SAFETY: the call has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        bail!("only root can load the programs that are to be tried: run `sudo openclaw doctor`");
    }
    let resolved = match layout::of_running_kernel() {
        Ok(resolved) => resolved,
        Err(error) => {
            let missing = Capability::new("everything", "btf", State::Missing);
            return Ok(vec![missing.because(format!("{error}: boot a kernel with CONFIG_DEBUG_INFO_BTF"))]);
        }
    };
    let mut found = vec![resolved.capability()];
    match examine_sensor(&resolved) {
        Ok(capabilities) => found.extend(capabilities),
        Err(error) => found.push(
            Capability::new("capture", "sensor", State::Missing)
                .because(format!("{error:#}{}", remedy(&format!("{error:#}")))),
        ),
    }
    found.extend(respond::probe(&resolved.layout).into_iter().map(with_remedy));
    Ok(found)
}

fn examine_sensor(resolved: &Resolved) -> Result<Vec<Capability>> {
    // The trigger sends it.
    // SAFETY: the call has no preconditions, and nothing else in this program uses that signal.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    // Before the sensor is there, so that one of its connections is older.
    let trigger = Trigger::start();
    let (mut sensor, mut rings) = Sensor::load(resolved, RingSizes::default(), Duration::ZERO)?;
    sensor.watch_kinds(KindSet::ALL)?;
    let tried = trigger.and_then(|trigger| try_hooks(&mut sensor, &mut rings, trigger));
    Ok(match tried {
        Ok(seen) => best(sensor.hooks().iter().flat_map(|hook| seen.judge(hook)).collect()),
        Err(error) => sensor
            .hooks()
            .iter()
            .map(|hook| match hook.state {
                State::Attached => hook.clone().because(format!("could not be tried: {error:#}")),
                _ => hook.clone(),
            })
            .collect(),
    })
}

/// Without what system calls would tell of, where a better hook tells of it.
fn best(mut found: Vec<Capability>) -> Vec<Capability> {
    let by_calls = |capability: &Capability| capability.hook == "tp_btf:sys_exit";
    let better: Vec<String> =
        found.iter().filter(|one| !by_calls(one)).map(|one| one.capability.clone()).collect();
    found.retain(|one| !(by_calls(one) && better.contains(&one.capability)));
    found
}

fn try_hooks(sensor: &mut Sensor, rings: &mut Rings, mut trigger: Trigger) -> Result<Seen> {
    let mut seen = Seen::default();
    if let Ok(records) = sensor.list_processes() {
        seen.take_all(&records, trigger.pid());
    }
    // Where it cannot, the connection from before is not seen, which is judged below.
    let _ = sensor.find_connections();
    trigger.go()?;
    seen.watch(sensor, rings, trigger.pid());
    trigger.end()?;
    seen.watch_for(sensor, rings, trigger.pid(), |seen| seen.net_closed);
    seen.fired = sensor.fired();
    Ok(seen)
}

/// What would mend a refusal, where that is known.
fn remedy(reason: &str) -> &'static str {
    if reason.contains("os error 1)") || reason.contains("os error 13)") {
        ". The kernel forbids it: run as root with all capabilities; in a container, a privileged one"
    } else if reason.contains("os error 2)") {
        ". This kernel has no such hook: a newer one may"
    } else {
        ""
    }
}

/// The capability with what would mend it, where that is known.
fn with_remedy(capability: Capability) -> Capability {
    let reason = capability.reason.map(|reason| format!("{reason}{}", remedy(&reason)));
    Capability { reason, ..capability }
}

/// What was seen of what the trigger did.
#[derive(Debug, Default)]
struct Seen {
    /// The child that the trigger made; 0 until then.
    child: u32,
    fork: bool,
    exec: bool,
    exit: bool,
    existing: bool,
    file_open: bool,
    file_path: bool,
    /// The path of a deletion was the kernel's own.
    resolved: bool,
    credentials: bool,
    namespaces: bool,
    signal: bool,
    uring: bool,
    connected: bool,
    accepted: bool,
    progress: bool,
    old_connection: bool,
    net_closed: bool,
    listening: bool,
    bound: bool,
    raw_socket: bool,
    packet_socket: bool,
    /// Ports of the connection that failed: this side's and the other's.
    failed: Option<(u16, u16)>,
    /// Ports of what was refused: the sender's and the one that it wanted.
    refused: Vec<(u16, u16)>,
    udp_sent: bool,
    udp_received: bool,
    udp_closed: bool,
    dns: bool,
    /// The capabilities of probes that look where others have looked.
    fired: Vec<&'static str>,
}

impl Seen {
    fn whole(&self) -> bool {
        let Seen { fork, exec, exit, file_open, file_path, credentials, .. } = *self;
        let Seen { connected, accepted, progress, old_connection, .. } = *self;
        let Seen { listening, bound, raw_socket, packet_socket, .. } = *self;
        let Seen { udp_sent, udp_received, udp_closed, dns, namespaces, signal, uring, .. } = *self;
        [fork, exec, exit, file_open, file_path, credentials].iter().all(|seen| *seen)
            && [connected, accepted, progress, old_connection].iter().all(|seen| *seen)
            && [listening, bound, raw_socket, packet_socket].iter().all(|seen| *seen)
            && [udp_sent, udp_received, udp_closed, dns, namespaces, signal, uring].iter().all(|seen| *seen)
            && self.refusal()
    }

    /// Whether the connection that failed was seen to be refused.
    fn refusal(&self) -> bool {
        self.failed.is_some_and(|ports| self.refused.contains(&ports))
    }

    fn watch(&mut self, sensor: &Sensor, rings: &mut Rings, pid: u32) {
        self.watch_for(sensor, rings, pid, Seen::whole);
    }

    fn watch_for(&mut self, sensor: &Sensor, rings: &mut Rings, pid: u32, enough: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) && Instant::now() < deadline {
            let _ = sensor.sample_connections();
            for ring in [&mut rings.process, &mut rings.network, &mut rings.file] {
                while let Some(bytes) = ring.next() {
                    self.take_all(&bytes, pid);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn take_all(&mut self, mut bytes: &[u8], pid: u32) {
        while let Some((record, len)) = Record::parse(bytes) {
            self.take(&record, pid);
            bytes = bytes.get(len..).unwrap_or_default();
        }
    }

    fn take(&mut self, record: &Record<'_>, pid: u32) {
        match record {
            Record::Fork(record) if record.forker == pid => {
                self.fork = true;
                self.child = record.header.task.tgid;
            }
            Record::Fork(_) => {}
            Record::Exec(record, _) => self.exec |= record.process.parent == pid,
            Record::Exit(record) => self.exit |= record.header.task.tgid == self.child,
            Record::Existing(record, _) => self.existing |= record.header.task.tgid == pid,
            Record::Credentials(record) => self.credentials |= record.header.task.tgid == pid,
            Record::File(record, _) if record.header.task.tgid == pid => {
                self.file_open |= record.operation == syscall::CREATE;
                self.file_path |= record.operation == syscall::DELETE;
                self.resolved |=
                    record.operation == syscall::DELETE && record.header.flags & FLAG_RESOLVED != 0;
            }
            Record::Network(record) if record.action == NET_REFUSED => {
                self.refused.push((record.endpoints.remote_port, record.endpoints.local_port));
            }
            Record::Network(record) if record.header.kind == UDP && record.header.task.tgid == pid => {
                let bytes = PAYLOAD as u64;
                self.udp_sent |= record.endpoints.direction == OUTBOUND && record.sent == bytes;
                self.udp_received |= record.endpoints.direction == INBOUND && record.received == bytes;
                self.udp_closed |= record.action == NET_CLOSED;
            }
            Record::Dns(head, _) => self.dns |= head.header.task.tgid == pid,
            Record::Network(record) if record.header.task.tgid == pid => self.take_network(record),
            Record::Kernel(record) if record.header.task.tgid == pid => {
                self.namespaces |= record.operation == syscall::LEAVE_NAMESPACE;
                self.signal |= record.operation == syscall::SIGNAL;
                self.uring |= record.operation == syscall::SUBMIT;
            }
            Record::File(..) | Record::Network(_) | Record::Kernel(_) => {}
        }
    }

    fn take_network(&mut self, record: &NetworkRecord) {
        match (record.action, record.endpoints.direction) {
            (NET_ESTABLISHED, OUTBOUND) => self.connected = true,
            (NET_ESTABLISHED, INBOUND) => self.accepted = true,
            (NET_PROGRESS, _) => {
                self.progress |= record.sent == PAYLOAD as u64;
                // The connection that is older than the sensor has sent a payload before.
                self.old_connection |= record.sent == 2 * PAYLOAD as u64;
            }
            (NET_CLOSED, _) => self.net_closed = true,
            (NET_FAILED, _) => {
                self.failed = Some((record.endpoints.local_port, record.endpoints.remote_port));
            }
            (NET_LISTEN, _) => self.listening = true,
            (NET_BIND, _) => self.bound = true,
            (NET_RAW_SOCKET, _) => self.raw_socket = true,
            (NET_PACKET_SOCKET, _) => self.packet_socket = true,
            _ => {}
        }
    }

    /// What is to be said of a hook, now that it was tried.
    fn judge(&self, hook: &Capability) -> Vec<Capability> {
        let parts: Vec<(&str, bool)> = match hook.capability.as_str() {
            "process fork" => vec![("process fork", self.fork)],
            "process exec" => vec![("process exec", self.exec)],
            "process exit" => vec![("process exit", self.exit)],
            "processes from before" => vec![("processes from before", self.existing)],
            "tcp connections" => vec![
                ("tcp connections", self.connected && self.net_closed && self.failed.is_some()),
                ("tcp listeners", self.listening),
            ],
            "files opened" => vec![("files opened", self.file_open)],
            "paths changed" => vec![("paths changed", self.resolved)],
            "io_uring operations" => vec![("io_uring operations", self.uring)],
            "signals to the agent" => vec![("signals to the agent", self.signal)],
            "connections refused" => vec![("connections refused", self.refusal())],
            "connections from before" => vec![("connections from before", self.old_connection)],
            "bytes of open connections" => vec![("bytes of open connections", self.progress)],
            "owners of udp sockets" => vec![("owners of udp sockets", self.udp_sent && self.udp_received)],
            "udp flows, dns" => vec![("udp flows", self.udp_sent && self.udp_received), ("dns", self.dns)],
            "bytes of udp flows" => vec![("bytes of udp flows", self.udp_closed)],
            "files, sockets, credentials" => vec![
                ("files opened", self.file_open),
                ("paths changed", self.file_path),
                ("connections accepted", self.accepted),
                ("sockets bound", self.bound),
                ("raw sockets", self.raw_socket),
                ("packet sockets", self.packet_socket),
                ("credentials changed", self.credentials),
                ("acts upon the kernel", self.namespaces),
            ],
            name if name.starts_with("second look") => vec![(name, self.fired.contains(&name))],
            _ => return vec![hook.clone()],
        };
        parts.into_iter().map(|(name, seen)| verdict(hook, name, seen)).collect()
    }
}

fn verdict(hook: &Capability, name: &str, seen: bool) -> Capability {
    match (hook.state, seen) {
        (State::Attached, true) => {
            let by_calls = hook.hook.ends_with("sys_exit").then_some(BY_CALLS);
            let reasons: Vec<&str> = by_calls.into_iter().chain(hook.reason.as_deref()).collect();
            let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
            Capability { reason, ..Capability::new(name, &*hook.hook, State::Full) }
        }
        (State::Attached, false) => Capability::new(name, &*hook.hook, State::Missing)
            .because("the kernel attached it, but it did not fire when it was triggered"),
        _ => with_remedy(Capability { capability: name.into(), ..hook.clone() }),
    }
}

fn text(found: &[Capability]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cgroup =
        respond::cgroup_root().map_or_else(|error| format!("{error:#}"), |path| path.display().to_string());
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{BOLD}kernel{BOLD:#}     {}", release.trim());
    let _ = writeln!(out, "{BOLD}cgroup v2{BOLD:#}  {cgroup}\n");
    let width = |of: fn(&Capability) -> &str| found.iter().map(|c| of(c).len()).max().unwrap_or(0);
    let (names, hooks) = (width(|c| &c.capability), width(|c| &c.hook));
    for Capability { capability, hook, state, reason } in found {
        let colour = match state {
            State::Full => GOOD,
            State::Attached => BOLD,
            State::Degraded => WARN,
            State::Missing => BAD,
        };
        let _ = write!(
            out,
            "{capability:names$}  {colour}{:8}{colour:#}  {DIM}{hook:hooks$}{DIM:#}",
            state.name()
        );
        if let Some(reason) = reason {
            let _ = write!(out, "  {reason}");
        }
        out.push('\n');
    }
    out
}
