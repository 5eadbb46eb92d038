//! What happened: the one shape in which every source speaks to the rules.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Field, Value};

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// A process, told from every other that had or will have its pid on this host.
///
/// `start` is the kernel's `task_struct.start_boottime` of the thread group leader, in nanoseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ProcessId {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Start time in nanoseconds since boot.
    pub start: u64,
}

/// `PID-START`: the text that `process.entity_id` holds.
impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.start)
    }
}

/// The text is no `PID-START`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseProcessIdError;

impl fmt::Display for ParseProcessIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a process entity id, PID-START, such as 4242-1234567890")
    }
}

impl std::error::Error for ParseProcessIdError {}

impl FromStr for ProcessId {
    type Err = ParseProcessIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pid, start) = text.split_once('-').ok_or(ParseProcessIdError)?;
        match (pid.parse(), start.parse()) {
            (Ok(pid), Ok(start)) => Ok(ProcessId { pid, start }),
            _ => Err(ParseProcessIdError),
        }
    }
}

/// An event as the rules see it: a kind, a time, and fields that are read only when a rule asks for them.
///
/// `get` must not allocate for fields that it answers often: it runs on the hot thread.
pub trait Event {
    /// What kind of event this is.
    fn kind(&self) -> EventKind;
    /// When it happened.
    fn time(&self) -> Timestamp;
    /// The process that did it, where there is one.
    fn process(&self) -> Option<ProcessId>;
    /// The parent of that process, where it is known; of a fork, the process that forked. A forked child takes
    /// over from it which rules are already true.
    fn parent(&self) -> Option<ProcessId> {
        None
    }
    /// The value of a field, or `None` where this event does not have it.
    fn get(&self, field: Field) -> Option<Value<'_>>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kinds of event, by the names that rules and JSON use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum EventKind { $($(#[$doc])* $variant,)* }

        impl EventKind {
            /// Every kind, in the order of declaration.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$variant,)*];

            /// The name that rules and JSON use.
            pub const fn name(self) -> &'static str {
                match self { $(EventKind::$variant => $name,)* }
            }

            /// The kind of that name.
            pub fn from_name(name: &str) -> Option<EventKind> {
                match name { $($name => Some(EventKind::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A process began to run another program (exec).
    ProcessCreate = "process_create",
    /// A process made a child (fork, clone), which still runs its parent's program.
    ProcessFork = "process_fork",
    /// The SHA-256 of what a process runs became known, after it began.
    ProcessHash = "process_hash",
    /// A process ended.
    ProcessExit = "process_exit",
    /// A file was opened, created, deleted, renamed, or its permissions changed.
    FileAccess = "file_access",
    /// Something was about to be done to a file, and then was not.
    FileAttempt = "file_attempt",
    /// A connection was made, carried data, ended or was refused; a socket was made or bound, or listens.
    NetworkConnection = "network_connection",
    /// A DNS question or answer was sent or received.
    DnsQuery = "dns_query",
    /// The credentials of a process changed.
    PrivilegeChange = "privilege_change",
    /// A file system was mounted or unmounted.
    MountChange = "mount_change",
    /// A kernel module was loaded or unloaded.
    ModuleLoad = "module_load",
    /// A BPF program was loaded or attached.
    BpfLoad = "bpf_load",
    /// A process took hold of another, or read or wrote its memory.
    ProcessTrace = "process_trace",
    /// A process entered a namespace, or made some of its own.
    NamespaceChange = "namespace_change",
    /// A process set up an io_uring, or gave it something to do.
    IoUring = "io_uring",
    /// Somebody laid hands on the sensor itself.
    SensorTamper = "sensor_tamper",
    /// It became known what a container is, or a process was in it by then.
    ContainerStart = "container_start",
    /// The last known process of a container ended.
    ContainerStop = "container_stop",
    /// A log tells that somebody logged in, or tried to.
    AuthAttempt = "auth_attempt",
    /// A log tells of a request to a web server.
    HttpRequest = "http_request",
}

impl EventKind {
    /// The values that `event.action` has on events of this kind. Rules are not asked of events whose action
    /// they cannot be true of, so that a source that has a new one declares it here.
    pub const fn actions(self) -> &'static [&'static str] {
        match self {
            EventKind::ProcessCreate => &["exec"],
            EventKind::ProcessFork => &["fork"],
            EventKind::ProcessHash => &["hash"],
            EventKind::ProcessExit => &["exit"],
            EventKind::FileAccess => &[
                "read",
                "write",
                "create",
                "delete",
                "rename",
                "link",
                "symlink",
                "truncate",
                "chmod",
                "chown",
                "set_attribute",
                "remove_attribute",
            ],
            // Other names, so that what asks for an act does not find the attempt.
            EventKind::FileAttempt => &[
                "read_failed",
                "write_failed",
                "create_failed",
                "delete_failed",
                "rename_failed",
                "link_failed",
                "symlink_failed",
                "truncate_failed",
                "chmod_failed",
                "chown_failed",
            ],
            EventKind::NetworkConnection => &[
                "connection_established",
                "connection_progress",
                "connection_closed",
                "connection_failed",
                "connection_refused",
                "listen",
                "bind",
                "socket_raw",
                "socket_packet",
            ],
            EventKind::DnsQuery => &["dns_question", "dns_answer"],
            EventKind::PrivilegeChange => &["setuid", "setgid", "capset", "unexplained"],
            EventKind::MountChange => &["mount", "unmount"],
            EventKind::ModuleLoad => &["load", "unload"],
            EventKind::BpfLoad => &["load", "attach", "detach"],
            EventKind::ProcessTrace => {
                &["ptrace_attach", "ptrace_seize", "ptrace_write", "memory_read", "memory_write"]
            }
            EventKind::NamespaceChange => &["setns", "unshare"],
            EventKind::IoUring => &["setup", "submit"],
            EventKind::SensorTamper => &[
                "signal",
                "detach",
                "ptrace_attach",
                "ptrace_seize",
                "ptrace_write",
                "memory_read",
                "memory_write",
            ],
            EventKind::ContainerStart => &["start", "join"],
            EventKind::ContainerStop => &["stop"],
            EventKind::AuthAttempt => &["login_failed", "login_succeeded"],
            EventKind::HttpRequest => &["request"],
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KindSet(u64);

/// The names of the kinds, joined by commas.
impl fmt::Display for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        self.iter().try_for_each(|kind| {
            f.write_str(std::mem::replace(&mut separator, ", "))?;
            f.write_str(kind.name())
        })
    }
}

impl KindSet {
    /// No kind.
    pub const NONE: KindSet = KindSet(0);
    /// Every kind.
    pub const ALL: KindSet = KindSet((1 << EventKind::ALL.len()) - 1);

    /// The kinds that logs tell: no process of this host did them, and their source is who did.
    pub const LOGS: KindSet = KindSet::of(&[EventKind::AuthAttempt, EventKind::HttpRequest]);

    /// The set of these kinds.
    pub const fn of(kinds: &[EventKind]) -> KindSet {
        let mut bits = 0;
        let mut i = 0;
        while i < kinds.len() {
            bits |= 1 << kinds[i] as u8;
            i += 1;
        }
        KindSet(bits)
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The kinds that are in either.
    #[must_use]
    pub const fn union(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }

    /// The kinds that are in this one alone.
    #[must_use]
    pub const fn without(self, other: KindSet) -> KindSet {
        KindSet(self.0 & !other.0)
    }

    /// The kinds that are in both.
    #[must_use]
    pub const fn intersection(self, other: KindSet) -> KindSet {
        KindSet(self.0 & other.0)
    }

    /// Whether there is no kind in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds of the set, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.iter().copied().filter(move |k| self.contains(*k))
    }
}
