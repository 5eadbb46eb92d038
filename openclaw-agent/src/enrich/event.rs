//! An event in context, as the rules and the writers see it: it borrows from the process table and from the
//! record, and puts nothing together that nobody asks for.

mod container;
mod dns;
mod error;
mod file;
mod kernel;
mod log;
mod network;
mod tamper;
mod value;

use std::cell::OnceCell;

use openclaw_detect::{Event, EventKind, Field, ProcessId, StrList, Timestamp, Value};

use super::capability;
use super::image::{Exec, Image};
use super::process::{Capabilities, Credentials, Process};
use super::table::ProcessTable;
use crate::logs::Entry;
pub use dns::DnsBody;
pub use file::{FileBody, Other};
pub use kernel::{KernelBody, Traced};
pub use network::NetworkBody;
pub use tamper::TamperBody;
use value::{id, known, number, text};

/// What is the same in every event of this host.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// The machine id.
    pub id: String,
    /// The host's name.
    pub name: String,
    /// What Kubernetes calls the host, where it does.
    pub node: String,
}

impl HostFacts {
    /// Those of this host.
    pub fn of_this_host() -> Self {
        let read =
            |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let node = std::env::var("NODE_NAME").ok().filter(|node| !node.is_empty());
        HostFacts { id: read("/etc/machine-id"), node: node.unwrap_or_else(|| name.clone()), name }
    }
}

/// What happened, beside who did it.
#[derive(Debug)]
pub enum Body<'a> {
    /// A program was begun.
    Exec,
    /// A child was made.
    Fork,
    /// The SHA-256 of what it runs became known.
    Hash,
    /// The process ended, with the status that `wait` gives.
    Exit(u32),
    /// Something was done to a file.
    File(FileBody<'a>),
    /// Something became of a connection.
    Network(NetworkBody),
    /// DNS was asked, or answered.
    Dns(DnsBody),
    /// Credentials changed.
    Privilege(Privilege),
    /// Something acted upon the kernel, or upon another process.
    Kernel(KernelBody<'a>),
    /// Something was done to the sensor itself.
    Tamper(TamperBody),
    /// It is known what the container is: the process is the first in it (`start`), or has been in it by then
    /// (`join`).
    ContainerStart(&'static str),
    /// The process was the last one in its container.
    ContainerStop,
    /// A line of a log tells of something.
    Log(&'a Entry),
}

/// How credentials changed, and from what.
#[derive(Debug, Clone, Copy)]
pub struct Privilege {
    /// The ids before.
    pub before: Credentials,
    /// The capabilities before, where they changed and are known.
    pub capabilities_before: Option<Capabilities>,
    /// The value of `event.action`.
    pub how: &'static str,
}

impl Body<'_> {
    fn kind(&self) -> EventKind {
        match self {
            Body::Exec => EventKind::ProcessCreate,
            Body::Fork => EventKind::ProcessFork,
            Body::Hash => EventKind::ProcessHash,
            Body::Exit(_) => EventKind::ProcessExit,
            Body::File(file) if file.error != 0 => EventKind::FileAttempt,
            Body::File(_) => EventKind::FileAccess,
            Body::Network(_) => EventKind::NetworkConnection,
            Body::Dns(_) => EventKind::DnsQuery,
            Body::Privilege(_) => EventKind::PrivilegeChange,
            Body::Kernel(kernel) => kernel.kind(),
            Body::Tamper(_) => EventKind::SensorTamper,
            Body::ContainerStart(_) => EventKind::ContainerStart,
            Body::ContainerStop => EventKind::ContainerStop,
            Body::Log(entry) => entry.what.kind(),
        }
    }

    fn action(&self) -> &'static str {
        match self {
            Body::Exec => "exec",
            Body::Fork => "fork",
            Body::Hash => "hash",
            Body::Exit(_) => "exit",
            Body::File(file) => file.action,
            Body::Network(network) => network.action(),
            Body::Dns(dns) => dns.action(),
            Body::Privilege(change) => change.how,
            Body::Kernel(kernel) => kernel.action(),
            Body::Tamper(tamper) => tamper.action,
            Body::ContainerStart(how) => how,
            Body::ContainerStop => "stop",
            Body::Log(entry) => log::action(entry),
        }
    }

    /// The value of a field that this kind of event has of its own.
    fn field(&self, field: Field) -> Option<Value<'_>> {
        match self {
            Body::Exec | Body::Fork | Body::Hash | Body::ContainerStart(_) | Body::ContainerStop => None,
            Body::Exit(status) => exit_field(*status, field),
            Body::File(file) => file.field(field),
            Body::Network(network) => network.field(field),
            Body::Dns(dns) => dns.field(field),
            Body::Kernel(kernel) => kernel.field(field),
            Body::Tamper(tamper) => tamper.field(field),
            Body::Log(entry) => log::field(entry, field),
            Body::Privilege(change) => match field {
                Field::ProcessPreviousUid => id(change.before.euid),
                _ => None,
            },
        }
    }
}

/// The code where the process ended by itself, else the signal that ended it.
fn exit_field(status: u32, field: Field) -> Option<Value<'static>> {
    match (field, status & 0x7f) {
        (Field::ProcessExitCode, 0) => Some(number((status >> 8) & 0xff)),
        (Field::ProcessExitSignal, signal @ 1..) => Some(number(signal)),
        _ => None,
    }
}

/// Who did it, as it was at the time of the event.
#[derive(Debug)]
struct Actor<'a> {
    process: &'a Process,
    /// What the process ran then.
    image: &'a Image,
    /// The credentials that it had then.
    credentials: Credentials,
}

/// An event of this host.
#[derive(Debug)]
pub struct Observed<'a> {
    time: Timestamp,
    /// `None` where no process of this host did it, or none that is known.
    actor: Option<Actor<'a>>,
    table: &'a ProcessTable,
    host: &'a HostFacts,
    body: Body<'a>,
    ancestors: OnceCell<String>,
    parent_id: OnceCell<String>,
    /// Names of capabilities: effective, permitted, and effective before the event.
    effective: OnceCell<String>,
    permitted: OnceCell<String>,
    previous: OnceCell<String>,
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
        let actor = Actor {
            process,
            image: process.image_at(at.since_boot),
            credentials: credentials.unwrap_or(process.credentials),
        };
        Some(Observed { actor: Some(actor), ..Observed::without_process(table, host, at, body) })
    }

    /// An event that no process of this host did, or none that is known, such as a packet that came in.
    pub fn without_process(table: &'a ProcessTable, host: &'a HostFacts, at: Moment, body: Body<'a>) -> Self {
        Observed {
            time: at.time,
            actor: None,
            table,
            host,
            body,
            ancestors: OnceCell::new(),
            parent_id: OnceCell::new(),
            effective: OnceCell::new(),
            permitted: OnceCell::new(),
            previous: OnceCell::new(),
        }
    }

    fn ancestors(&self, of: ProcessId) -> &str {
        self.ancestors.get_or_init(|| {
            let mut names = String::new();
            for ancestor in self.table.ancestors(of) {
                names.push_str(&ancestor.image.name);
                names.push('\0');
            }
            names
        })
    }

    fn process_field(&self, field: Field) -> Option<Value<'_>> {
        let Actor { process, image, credentials } = self.actor.as_ref()?;
        match field {
            Field::ProcessPid => Some(number(process.id.pid)),
            Field::ProcessEntityId => Some(Value::Str(&process.entity_id)),
            Field::ProcessTree => Some(Value::Str(process.tree_id())),
            Field::ProcessStart => Some(Value::Int(process.started.0.cast_signed())),
            Field::ProcessName => text(&image.name),
            Field::ProcessExecutable => text(&image.executable),
            Field::ProcessScript => image.script.as_deref().map(Value::Str),
            Field::ProcessCommandLine => text(&image.command_line),
            Field::ProcessArgs => (!image.args.is_empty()).then(|| Value::List(StrList::new(&image.args))),
            Field::ProcessArgsCount => Some(number(image.args_count)),
            Field::ProcessArgsTruncated => Some(Value::Bool(image.args_truncated)),
            Field::ProcessWorkingDirectory => text(&image.working_directory),
            Field::ProcessUid => id(credentials.euid),
            Field::ProcessRealUid => id(credentials.uid),
            Field::ProcessGid => id(credentials.egid),
            Field::ProcessRealGid => id(credentials.gid),
            Field::UserNormalUid => Some(number(process.normal_user())),
            Field::UserAuditId => id(process.login_user),
            Field::ProcessSessionId => known(process.session),
            Field::ProcessTty => text(&process.tty),
            Field::ProcessCgroup => text(&image.cgroup),
            Field::ProcessPidNamespace => known(process.namespaces[0]),
            Field::ProcessMountNamespace => known(process.namespaces[1]),
            Field::ProcessNetworkNamespace => known(process.namespaces[2]),
            Field::ProcessAncestors => {
                let names = self.ancestors(process.id);
                (!names.is_empty()).then(|| Value::List(StrList::new(names)))
            }
            Field::ProcessNoNewPrivileges => process.no_new_privileges.map(Value::Bool),
            Field::ProcessCapabilitiesEffective => {
                capabilities(process.capabilities?.effective, &self.effective)
            }
            Field::ProcessCapabilitiesPermitted => {
                capabilities(process.capabilities?.permitted, &self.permitted)
            }
            Field::ProcessInterpreter => text(&image.interpreter),
            Field::ProcessExecObserved => Some(Value::Bool(image.exec.is_some())),
            _ => image
                .exec
                .as_ref()
                .and_then(|exec| exec_field(exec, field))
                .or_else(|| self.parent_field(process, field)),
        }
    }

    fn previous_capabilities(&self) -> Option<Value<'_>> {
        match self.body {
            Body::Privilege(change) => capabilities(change.capabilities_before?.effective, &self.previous),
            _ => None,
        }
    }

    fn parent_field(&self, process: &'a Process, field: Field) -> Option<Value<'_>> {
        let image = || process.parent_image.as_deref();
        match field {
            Field::ProcessParentPid => process.parent.map(|parent| number(parent.pid)),
            Field::ProcessParentEntityId => {
                let parent = process.parent?;
                Some(Value::Str(self.parent_id.get_or_init(|| parent.to_string())))
            }
            Field::ProcessParentName => text(&image()?.name),
            Field::ProcessParentExecutable => text(&image()?.executable),
            Field::ProcessParentCommandLine => text(&image()?.command_line),
            _ => container::field(process.container.as_deref(), self.host, field),
        }
    }
}

/// A set of capabilities as a list of names, put together once.
fn capabilities(set: u64, cell: &OnceCell<String>) -> Option<Value<'_>> {
    Some(Value::List(StrList::new(cell.get_or_init(|| capability::names(set)))))
}

/// What only the record of an exec tells.
fn exec_field(exec: &Exec, field: Field) -> Option<Value<'_>> {
    match field {
        Field::ProcessEnvironment => {
            (!exec.environment.is_empty()).then(|| Value::List(StrList::new(&exec.environment)))
        }
        Field::ProcessEnvironmentTruncated => Some(Value::Bool(exec.environment_truncated)),
        Field::ProcessStdin => Some(Value::Str(exec.stdio[0].name())),
        Field::ProcessStdout => Some(Value::Str(exec.stdio[1].name())),
        Field::ProcessStderr => Some(Value::Str(exec.stdio[2].name())),
        Field::ProcessExecutableDeleted => Some(Value::Bool(exec.deleted)),
        Field::ProcessMemfd => Some(Value::Bool(exec.memfd)),
        Field::ProcessSha256 => exec.sha256.get().map(|sha256| Value::Str(sha256)),
        Field::ProcessUpperLayer => exec.upper_layer.map(Value::Bool),
        _ => None,
    }
}

impl Event for Observed<'_> {
    fn kind(&self) -> EventKind {
        self.body.kind()
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn process(&self) -> Option<ProcessId> {
        Some(self.actor.as_ref()?.process.id)
    }

    fn parent(&self) -> Option<ProcessId> {
        // Of a fork, whose state the child takes over: the process that forked.
        let process = self.actor.as_ref()?.process;
        process.forked_from.or(process.parent)
    }

    fn get(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::EventAction => Some(Value::Str(self.body.action())),
            Field::HostId => text(&self.host.id),
            Field::HostName => text(&self.host.name),
            Field::ProcessPreviousCapabilities => self.previous_capabilities(),
            _ => self.process_field(field).or_else(|| self.body.field(field)),
        }
    }
}
