//! An event in context, as the rules and the writers see it: it borrows from the process table and from the
//! record, and puts nothing together that nobody asks for.

use std::cell::OnceCell;
use std::net::IpAddr;

use openclaw_common::network::{IPV6, OUTBOUND};
use openclaw_common::record::{NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NET_PROGRESS, NO_ID, NetworkRecord};
use openclaw_detect::{Event, EventKind, Field, ProcessId, StrList, Timestamp, Value};

use super::connections;
use super::process::{Credentials, Image, Process};
use super::procfs::last_part;
use super::table::ProcessTable;

/// What is the same in every event of this host.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// The machine id.
    pub id: String,
    /// The host's name.
    pub name: String,
}

impl HostFacts {
    /// Those of this host.
    pub fn of_this_host() -> Self {
        let read =
            |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        HostFacts { id: read("/etc/machine-id"), name: read("/proc/sys/kernel/hostname") }
    }
}

/// What happened, beside who did it.
#[derive(Debug)]
pub enum Body<'a> {
    /// A program was begun.
    Exec,
    /// A child was made.
    Fork,
    /// The process ended, with the status that `wait` gives.
    Exit(u32),
    /// Something was done to a file.
    File(FileBody<'a>),
    /// Something became of a connection.
    Network(NetworkBody),
    /// Credentials changed from these; the name of how.
    Privilege(Credentials, &'static str),
}

/// What was done to which file.
#[derive(Debug, Clone, Copy)]
pub struct FileBody<'a> {
    /// The value of `event.action`.
    pub action: &'static str,
    /// The path; of a rename, the new one.
    pub path: &'a str,
    /// Of a rename: the old one.
    pub original: Option<&'a str>,
    /// Whether the path is the kernel's own.
    pub resolved: bool,
    /// Whether the path lacks its beginning.
    pub truncated: bool,
    /// Inode and device number, owner and group, where an open file told them.
    pub inode: Option<(u64, u32, u32, u32)>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// What became of which connection.
#[derive(Debug, Clone, Copy)]
pub struct NetworkBody {
    /// The kernel's record.
    pub record: NetworkRecord,
    /// Bytes that the process has sent to this address over connections that it initiated; none of inbound
    /// connections.
    pub outbound: Option<u64>,
}

/// An event of this host.
#[derive(Debug)]
pub struct Observed<'a> {
    time: Timestamp,
    process: &'a Process,
    /// What the process ran at the time of the event.
    image: &'a Image,
    /// Its credentials at the time of the event.
    credentials: Credentials,
    table: &'a ProcessTable,
    host: &'a HostFacts,
    body: Body<'a>,
    ancestors: OnceCell<String>,
    parent_id: OnceCell<String>,
}

/// When an event happened, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Time of day.
    pub time: Timestamp,
    /// Nanoseconds since boot.
    pub since_boot: u64,
}

impl<'a> Observed<'a> {
    /// An event of the process `id`, with the credentials that it had, where the record tells them. `None`
    /// where the table does not hold the process.
    pub fn new(
        table: &'a ProcessTable,
        host: &'a HostFacts,
        id: ProcessId,
        at: Moment,
        credentials: Option<Credentials>,
        body: Body<'a>,
    ) -> Option<Self> {
        let process = table.get(id)?;
        Some(Observed {
            time: at.time,
            process,
            image: process.image_at(at.since_boot),
            credentials: credentials.unwrap_or(process.credentials),
            table,
            host,
            body,
            ancestors: OnceCell::new(),
            parent_id: OnceCell::new(),
        })
    }

    fn file(&self) -> Option<&FileBody<'a>> {
        match &self.body {
            Body::File(file) => Some(file),
            _ => None,
        }
    }

    fn network(&self) -> Option<&NetworkBody> {
        match &self.body {
            Body::Network(network) => Some(network),
            _ => None,
        }
    }

    /// Source and destination: who connected, and to whom.
    fn ends(&self) -> Option<Ends> {
        let ends = self.network()?.record.endpoints;
        let (local, remote) = connections::addresses(&ends);
        let (local, remote) = ((local, ends.local_port), (remote, ends.remote_port));
        Some(if ends.direction == OUTBOUND {
            Ends { source: local, destination: remote }
        } else {
            Ends { source: remote, destination: local }
        })
    }

    fn ancestors(&self) -> &str {
        self.ancestors.get_or_init(|| {
            let mut names = String::new();
            for ancestor in self.table.ancestors(self.process.id) {
                names.push_str(&ancestor.image.name);
                names.push('\0');
            }
            names
        })
    }

    fn parent_image(&self) -> Option<&'a Image> {
        self.process.parent_image.as_deref()
    }

    fn action(&self) -> &'static str {
        match &self.body {
            Body::Exec => "exec",
            Body::Fork => "fork",
            Body::Exit(_) => "exit",
            Body::File(file) => file.action,
            Body::Network(network) => match network.record.action {
                NET_ESTABLISHED => "connection_established",
                NET_PROGRESS => "connection_progress",
                NET_CLOSED => "connection_closed",
                NET_FAILED => "connection_failed",
                _ => "connection",
            },
            Body::Privilege(_, how) => how,
        }
    }

    fn file_field(&self, field: Field) -> Option<Value<'_>> {
        let file = self.file()?;
        match field {
            Field::FilePath => Some(Value::Str(file.path)),
            Field::FileName => Some(Value::Str(last_part(file.path))),
            Field::FileDirectory => Some(Value::Str(directory(file.path)?)),
            Field::FileExtension => Some(Value::Str(extension(last_part(file.path))?)),
            Field::FileOriginalPath => file.original.map(Value::Str),
            Field::FileResolved => Some(Value::Bool(file.resolved)),
            Field::FileTruncated => Some(Value::Bool(file.truncated)),
            Field::FileInode => Some(Value::Int(file.inode?.0.cast_signed())),
            Field::FileDevice => Some(number(file.inode?.1)),
            Field::FileUid => Some(number(file.inode?.2)),
            Field::FileGid => Some(number(file.inode?.3)),
            Field::FileMode => file.mode.map(number),
            _ => None,
        }
    }

    fn network_field(&self, field: Field) -> Option<Value<'_>> {
        let network = self.network()?;
        let record = &network.record;
        match field {
            Field::SourceIp => Some(Value::Ip(self.ends()?.source.0)),
            Field::SourcePort => Some(number(self.ends()?.source.1)),
            Field::DestinationIp => Some(Value::Ip(self.ends()?.destination.0)),
            Field::DestinationPort => Some(number(self.ends()?.destination.1)),
            Field::NetworkType => {
                let ipv6 = record.endpoints.family == IPV6 && self.ends()?.destination.0.is_ipv6();
                Some(Value::Str(if ipv6 { "ipv6" } else { "ipv4" }))
            }
            Field::NetworkTransport => Some(Value::Str("tcp")),
            Field::NetworkDirection => {
                Some(Value::Str(if record.endpoints.direction == OUTBOUND { "outbound" } else { "inbound" }))
            }
            Field::NetworkState => Some(Value::Str(state_name(record.state)?)),
            Field::NetworkBytesSent => Some(Value::Int(record.sent.cast_signed())),
            Field::NetworkBytesReceived => Some(Value::Int(record.received.cast_signed())),
            Field::NetworkOutboundBytes => network.outbound.map(|bytes| Value::Int(bytes.cast_signed())),
            _ => None,
        }
    }

    fn process_field(&self, field: Field) -> Option<Value<'_>> {
        let process = self.process;
        let image = self.image;
        match field {
            Field::ProcessPid => Some(number(process.id.pid)),
            Field::ProcessEntityId => Some(Value::Str(&process.entity_id)),
            Field::ProcessStart => Some(Value::Int(process.started.0.cast_signed())),
            Field::ProcessName => text(&image.name),
            Field::ProcessExecutable => text(&image.executable),
            Field::ProcessScript => image.script.as_deref().map(Value::Str),
            Field::ProcessCommandLine => text(&image.command_line),
            Field::ProcessArgs => (!image.args.is_empty()).then(|| Value::List(StrList::new(&image.args))),
            Field::ProcessArgsCount => Some(number(image.args_count)),
            Field::ProcessArgsTruncated => Some(Value::Bool(image.args_truncated)),
            Field::ProcessWorkingDirectory => text(&image.working_directory),
            Field::ProcessUid => id(self.credentials.euid),
            Field::ProcessRealUid => id(self.credentials.uid),
            Field::ProcessGid => id(self.credentials.egid),
            Field::ProcessRealGid => id(self.credentials.gid),
            Field::UserNormalUid => Some(number(process.normal_user())),
            Field::UserAuditId => id(process.login_user),
            Field::ProcessSessionId => known(process.session),
            Field::ProcessTty => text(&process.tty),
            Field::ProcessCgroup => text(&image.cgroup),
            Field::ProcessPidNamespace => known(process.namespaces[0]),
            Field::ProcessMountNamespace => known(process.namespaces[1]),
            Field::ProcessNetworkNamespace => known(process.namespaces[2]),
            Field::ProcessAncestors => {
                let names = self.ancestors();
                (!names.is_empty()).then(|| Value::List(StrList::new(names)))
            }
            _ => self.parent_field(field),
        }
    }

    fn parent_field(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::ProcessParentPid => self.process.parent.map(|parent| number(parent.pid)),
            Field::ProcessParentEntityId => {
                let parent = self.process.parent?;
                Some(Value::Str(self.parent_id.get_or_init(|| parent.to_string())))
            }
            Field::ProcessParentName => text(&self.parent_image()?.name),
            Field::ProcessParentExecutable => text(&self.parent_image()?.executable),
            Field::ProcessParentCommandLine => text(&self.parent_image()?.command_line),
            _ => None,
        }
    }
}

impl Event for Observed<'_> {
    fn kind(&self) -> EventKind {
        match self.body {
            Body::Exec => EventKind::ProcessCreate,
            Body::Fork => EventKind::ProcessFork,
            Body::Exit(_) => EventKind::ProcessExit,
            Body::File(_) => EventKind::FileAccess,
            Body::Network(_) => EventKind::NetworkConnection,
            Body::Privilege(..) => EventKind::PrivilegeChange,
        }
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn process(&self) -> Option<ProcessId> {
        Some(self.process.id)
    }

    fn parent(&self) -> Option<ProcessId> {
        // Of a fork, whose state the child takes over: the process that forked.
        self.process.forked_from.or(self.process.parent)
    }

    fn get(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::EventAction => Some(Value::Str(self.action())),
            Field::HostId => text(&self.host.id),
            Field::HostName => text(&self.host.name),
            Field::ProcessExitCode => match self.body {
                Body::Exit(status) if status & 0x7f == 0 => Some(number((status >> 8) & 0xff)),
                _ => None,
            },
            Field::ProcessExitSignal => match self.body {
                Body::Exit(status) if status & 0x7f != 0 => Some(number(status & 0x7f)),
                _ => None,
            },
            Field::ProcessPreviousUid => match self.body {
                Body::Privilege(before, _) => id(before.euid),
                _ => None,
            },
            _ => self
                .process_field(field)
                .or_else(|| self.file_field(field))
                .or_else(|| self.network_field(field)),
        }
    }
}

struct Ends {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

fn number(value: impl Into<i64>) -> Value<'static> {
    Value::Int(value.into())
}

/// An id, absent where the kernel has none.
fn id(value: u32) -> Option<Value<'static>> {
    (value != NO_ID).then(|| number(value))
}

/// A number of which 0 says that it is unknown.
fn known(value: u32) -> Option<Value<'static>> {
    (value != 0).then(|| number(value))
}

fn text(value: &str) -> Option<Value<'_>> {
    (!value.is_empty()).then_some(Value::Str(value))
}

/// A path without its last part; `/` for what lies directly below the root.
fn directory(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

/// What follows the last dot of a name that does not begin with it.
fn extension(name: &str) -> Option<&str> {
    match name.rfind('.')? {
        0 => None,
        at => Some(&name[at + 1..]).filter(|extension| !extension.is_empty()),
    }
}

/// Names of the states that `include/net/tcp_states.h` numbers.
fn state_name(state: u32) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "established",
        "syn_sent",
        "syn_recv",
        "fin_wait1",
        "fin_wait2",
        "time_wait",
        "close",
        "close_wait",
        "last_ack",
        "listen",
        "closing",
        "new_syn_recv",
    ];
    NAMES.get(usize::try_from(state).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_into_directory_and_extension() {
        assert_eq!(directory("/etc/passwd"), Some("/etc"));
        assert_eq!(directory("/passwd"), Some("/"));
        assert_eq!(directory("cut"), None);
        assert_eq!(extension("a.tar.gz"), Some("gz"));
        assert_eq!(extension(".bashrc"), None);
        assert_eq!(extension("a."), None);
    }

    #[test]
    fn states_have_the_names_of_their_numbers() {
        assert_eq!(state_name(1), Some("established"));
        assert_eq!(state_name(7), Some("close"));
        assert_eq!(state_name(0), None);
        assert_eq!(state_name(13), None);
    }
}
