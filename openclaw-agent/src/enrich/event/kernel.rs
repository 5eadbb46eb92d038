//! What acted upon the kernel, or upon another process.

use std::borrow::Cow;

use openclaw_common::record::KernelRecord;
use openclaw_common::syscall;
use openclaw_detect::{EventKind, Field, StrList, Value};

use super::value::{number, text};

/// What acted upon the kernel, or upon another process.
#[derive(Debug)]
pub enum KernelBody<'a> {
    /// A file system was mounted or unmounted.
    Mount {
        /// Whether it was mounted.
        mounted: bool,
        /// Where.
        target: &'a str,
        /// What, as the caller named it; of a mount that was moved, where it was.
        source: Option<&'a str>,
    },
    /// A module was loaded or unloaded.
    Module {
        /// Whether it was loaded.
        loaded: bool,
        /// Its own name; none where unknown.
        name: Option<Cow<'a, str>>,
        /// The file that it was loaded from.
        path: Option<&'a str>,
    },
    /// A process took hold of another, or read or wrote its memory.
    Trace {
        /// The value of `event.action`.
        action: &'static str,
        /// The other one, where it is known.
        target: Option<Traced>,
    },
    /// A namespace was entered, or namespaces were made.
    Namespace {
        /// Whether it was entered.
        entered: bool,
        /// Types, each ended by NUL.
        types: String,
    },
    /// A BPF program was loaded, attached or detached.
    Bpf {
        /// The value of `event.action`.
        action: &'static str,
        /// Its name; empty where unknown.
        name: String,
        /// Its type; none where unknown.
        program_type: Option<&'static str>,
    },
    /// An io_uring was set up.
    IoUringSetup,
    /// An io_uring was given something to do.
    IoUringSubmit(Cow<'static, str>),
}

/// The process that another took hold of.
#[derive(Debug)]
pub struct Traced {
    /// Its id in the initial pid namespace.
    pub pid: u32,
    /// What it is called; empty where unknown.
    pub name: String,
    /// What it runs; empty where unknown.
    pub executable: String,
}

impl<'a> KernelBody<'a> {
    /// The name that a record carries; empty where it carries none.
    pub fn name_of(record: &KernelRecord) -> String {
        let bytes = record.name.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// What a record says. `traced` looks for a process by its pid.
    pub fn of(record: &KernelRecord, traced: impl FnOnce(u32) -> Option<Traced>) -> Option<Self> {
        let [first, second, ..] = record.arguments;
        let trace = |action, pid: u64| KernelBody::Trace { action, target: traced(pid as u32) };
        Some(match record.operation {
            syscall::TRACE => trace(trace_name(first), second),
            syscall::READ_MEMORY => trace("memory_read", first),
            syscall::WRITE_MEMORY => trace("memory_write", first),
            syscall::ENTER_NAMESPACE => {
                KernelBody::Namespace { entered: true, types: namespace_types(record.of_type) }
            }
            syscall::LEAVE_NAMESPACE => {
                KernelBody::Namespace { entered: false, types: namespace_types(first as u32) }
            }
            syscall::BPF | syscall::DETACH => KernelBody::Bpf {
                action: bpf_name(first as u32),
                name: Self::name_of(record),
                program_type: program_type(record.of_type),
            },
            syscall::IO_URING => KernelBody::IoUringSetup,
            syscall::SUBMIT => KernelBody::IoUringSubmit(uring_operation(first)),
            syscall::LOAD_MODULE_IMAGE | syscall::UNLOAD_MODULE => {
                let loaded = record.operation == syscall::LOAD_MODULE_IMAGE;
                let name = Some(Self::name_of(record)).filter(|name| !name.is_empty());
                KernelBody::Module { loaded, name: name.map(Cow::Owned), path: None }
            }
            _ => return None,
        })
    }

    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            KernelBody::Mount { .. } => EventKind::MountChange,
            KernelBody::Module { .. } => EventKind::ModuleLoad,
            KernelBody::Trace { .. } => EventKind::ProcessTrace,
            KernelBody::Namespace { .. } => EventKind::NamespaceChange,
            KernelBody::Bpf { .. } => EventKind::BpfLoad,
            KernelBody::IoUringSetup | KernelBody::IoUringSubmit(_) => EventKind::IoUring,
        }
    }

    /// The value of `event.action`.
    pub(super) fn action(&self) -> &'static str {
        match self {
            KernelBody::Mount { mounted: true, .. } => "mount",
            KernelBody::Mount { .. } => "unmount",
            KernelBody::Module { loaded: true, .. } => "load",
            KernelBody::Module { .. } => "unload",
            KernelBody::Bpf { action, .. } | KernelBody::Trace { action, .. } => action,
            KernelBody::Namespace { entered: true, .. } => "setns",
            KernelBody::Namespace { .. } => "unshare",
            KernelBody::IoUringSetup => "setup",
            KernelBody::IoUringSubmit(_) => "submit",
        }
    }

    /// The value of one of its fields.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        match (self, field) {
            (KernelBody::Mount { target, .. }, Field::MountTarget) => text(target),
            (KernelBody::Mount { source, .. }, Field::MountSource) => text((*source)?),
            (KernelBody::Module { name, .. }, Field::ModuleName) => text(name.as_deref()?),
            (KernelBody::Module { path, .. }, Field::ModulePath) => text((*path)?),
            (KernelBody::Trace { target, .. }, Field::TargetPid) => Some(number(target.as_ref()?.pid)),
            (KernelBody::Trace { target, .. }, Field::TargetName) => text(&target.as_ref()?.name),
            (KernelBody::Trace { target, .. }, Field::TargetExecutable) => text(&target.as_ref()?.executable),
            (KernelBody::Namespace { types, .. }, Field::NamespaceTypes) => {
                (!types.is_empty()).then(|| Value::List(StrList::new(types)))
            }
            (KernelBody::IoUringSubmit(operation), Field::IoUringOperation) => text(operation),
            (KernelBody::Bpf { name, .. }, Field::BpfName) => text(name),
            (KernelBody::Bpf { program_type, .. }, Field::BpfType) => program_type.map(Value::Str),
            _ => None,
        }
    }
}

/// What a command of `bpf` that loads, attaches or detaches is told as: `BPF_PROG_LOAD`, `BPF_PROG_DETACH`,
/// `BPF_LINK_DETACH` of `include/uapi/linux/bpf.h`, or one that attaches.
fn bpf_name(command: u32) -> &'static str {
    match command {
        5 => "load",
        9 | 34 => "detach",
        _ => "attach",
    }
}

/// What a request of `ptrace` is told as: `PTRACE_ATTACH`, `PTRACE_SEIZE`, or one that changes the other process.
fn trace_name(request: u64) -> &'static str {
    match request {
        16 => "ptrace_attach",
        0x4206 => "ptrace_seize",
        _ => "ptrace_write",
    }
}

/// Names of `enum io_uring_op` (`include/uapi/linux/io_uring.h`), without what all begin with; of one that is newer
/// than this table, its number.
fn uring_operation(number: u64) -> Cow<'static, str> {
    const NAMES: [&str; 62] = [
        "nop",
        "readv",
        "writev",
        "fsync",
        "read_fixed",
        "write_fixed",
        "poll_add",
        "poll_remove",
        "sync_file_range",
        "sendmsg",
        "recvmsg",
        "timeout",
        "timeout_remove",
        "accept",
        "async_cancel",
        "link_timeout",
        "connect",
        "fallocate",
        "openat",
        "close",
        "files_update",
        "statx",
        "read",
        "write",
        "fadvise",
        "madvise",
        "send",
        "recv",
        "openat2",
        "epoll_ctl",
        "splice",
        "provide_buffers",
        "remove_buffers",
        "tee",
        "shutdown",
        "renameat",
        "unlinkat",
        "mkdirat",
        "symlinkat",
        "linkat",
        "msg_ring",
        "fsetxattr",
        "setxattr",
        "fgetxattr",
        "getxattr",
        "socket",
        "uring_cmd",
        "send_zc",
        "sendmsg_zc",
        "read_multishot",
        "waitid",
        "futex_wait",
        "futex_wake",
        "futex_waitv",
        "fixed_fd_install",
        "ftruncate",
        "bind",
        "listen",
        "recv_zc",
        "epoll_wait",
        "readv_fixed",
        "writev_fixed",
    ];
    match usize::try_from(number).ok().and_then(|number| NAMES.get(number)) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(number.to_string()),
    }
}

/// The names of `CLONE_NEW` flags (`include/uapi/linux/sched.h`), each ended by NUL.
fn namespace_types(flags: u32) -> String {
    const TYPES: [(u32, &str); 8] = [
        (0x80, "time\0"),
        (0x0002_0000, "mount\0"),
        (0x0200_0000, "cgroup\0"),
        (0x0400_0000, "uts\0"),
        (0x0800_0000, "ipc\0"),
        (0x1000_0000, "user\0"),
        (0x2000_0000, "pid\0"),
        (0x4000_0000, "network\0"),
    ];
    TYPES.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect()
}

/// Names of `enum bpf_prog_type` (`include/uapi/linux/bpf.h`), without what all begin with; none of 0, which is no
/// type.
fn program_type(number: u32) -> Option<&'static str> {
    const NAMES: [&str; 32] = [
        "socket_filter",
        "kprobe",
        "sched_cls",
        "sched_act",
        "tracepoint",
        "xdp",
        "perf_event",
        "cgroup_skb",
        "cgroup_sock",
        "lwt_in",
        "lwt_out",
        "lwt_xmit",
        "sock_ops",
        "sk_skb",
        "cgroup_device",
        "sk_msg",
        "raw_tracepoint",
        "cgroup_sock_addr",
        "lwt_seg6local",
        "lirc_mode2",
        "sk_reuseport",
        "flow_dissector",
        "cgroup_sysctl",
        "raw_tracepoint_writable",
        "cgroup_sockopt",
        "tracing",
        "struct_ops",
        "ext",
        "lsm",
        "sk_lookup",
        "syscall",
        "netfilter",
    ];
    NAMES.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(operation: u32, arguments: [u64; 4]) -> KernelBody<'static> {
        let mut record = KernelRecord { operation, arguments, ..KernelRecord::default() };
        record.name[..5].copy_from_slice(b"probe");
        record.of_type = 17;
        KernelBody::of(&record, |pid| {
            Some(Traced { pid, name: "sshd".to_owned(), executable: String::new() })
        })
        .unwrap()
    }

    #[test]
    fn each_operation_is_told_as_what_it_is() {
        let attach = body(syscall::TRACE, [16, 42, 0, 0]);
        assert_eq!((attach.kind(), attach.action()), (EventKind::ProcessTrace, "ptrace_attach"));
        assert_eq!(attach.field(Field::TargetPid), Some(Value::Int(42)));
        assert_eq!(attach.field(Field::TargetExecutable), None);
        assert_eq!(body(syscall::TRACE, [5, 42, 0, 0]).action(), "ptrace_write");
        let unshare = body(syscall::LEAVE_NAMESPACE, [0x4002_0000, 0, 0, 0]);
        assert_eq!(unshare.field(Field::NamespaceTypes), Some(Value::List(StrList::new("mount\0network\0"))));
        let load = body(syscall::BPF, [5, 0, 0, 0]);
        assert_eq!((load.action(), load.field(Field::BpfType)), ("load", Some(Value::Str("raw_tracepoint"))));
        assert_eq!(body(syscall::BPF, [28, 0, 0, 0]).action(), "attach");
        assert_eq!(body(syscall::DETACH, [34, 0, 0, 0]).action(), "detach");
        assert_eq!(body(syscall::UNLOAD_MODULE, [0; 4]).field(Field::ModuleName), Some(Value::Str("probe")));
    }

    #[test]
    fn what_io_uring_does_has_its_name_where_it_is_known() {
        // `IORING_OP_OPENAT`, `IORING_OP_BIND`, and the one behind the last.
        assert_eq!([18, 56, 62].map(uring_operation), ["openat", "bind", "62"]);
    }

    #[test]
    fn an_operation_of_another_version_is_none() {
        let record = KernelRecord { operation: 15, ..KernelRecord::default() };
        assert!(KernelBody::of(&record, |_| None).is_none());
    }

    #[test]
    fn the_last_type_of_a_program_is_where_the_kernel_has_it() {
        assert_eq!((program_type(0), program_type(32), program_type(33)), (None, Some("netfilter"), None));
    }
}
