//! Which program goes to which hook of the kernel, and what it is good for.

use aya::programs::CgroupSkbAttachType;
use openclaw_common::record::{EXEC, EXIT, FORK};
use openclaw_common::syscall::{
    SHAPE_ACCEPT, SHAPE_BIND, SHAPE_CREDENTIALS, SHAPE_DESCRIPTOR, SHAPE_KERNEL, SHAPE_OPEN, SHAPE_PATH,
    SHAPE_SOCKET, SHAPE_TWO_PATHS, SHAPES,
};

/// A program of a tracepoint, and the capability that it gives.
pub(super) struct Tracepoint {
    pub(super) program: &'static str,
    /// Names of the tracepoint, the newest kernel's first.
    pub(super) tracepoints: &'static [&'static str],
    pub(super) capability: &'static str,
}

/// The program that sees packets as they are dropped, for which there are others where the kernel gives no reason.
pub(super) const DROPPED: &str = "packet_dropped";

/// The program that looks at each system call as it returns.
pub(super) const SYSCALL_EXIT: &str = "syscall_exit";

pub(super) const TRACEPOINTS: &[Tracepoint] = &[
    Tracepoint { program: "process_fork", tracepoints: &["sched_process_fork"], capability: "process fork" },
    Tracepoint { program: "process_exec", tracepoints: &["sched_process_exec"], capability: "process exec" },
    Tracepoint { program: "process_exit", tracepoints: &["sched_process_exit"], capability: "process exit" },
    Tracepoint { program: "tcp_state", tracepoints: &["inet_sock_set_state"], capability: "tcp connections" },
    Tracepoint { program: DROPPED, tracepoints: &["kfree_skb"], capability: "connections refused" },
    Tracepoint {
        program: "signalled",
        tracepoints: &["signal_generate"],
        capability: "signals to the agent",
    },
    Tracepoint {
        program: "uring_submitted",
        tracepoints: &["io_uring_submit_req", "io_uring_submit_sqe"],
        capability: "io_uring operations",
    },
    Tracepoint {
        program: SYSCALL_EXIT,
        tracepoints: &["sys_exit"],
        capability: "files, sockets, credentials",
    },
];

/// The same, of a kernel that loads modules at all: where there is no `/proc/modules`, there is nothing to see.
pub(super) const MODULE_TRACEPOINTS: &[Tracepoint] = &[Tracepoint {
    program: "module_loading",
    tracepoints: &["module_load"],
    capability: "names of modules",
}];

/// A probe at a function right beside a tracepoint, which tells what the tracepoint's program was skipped for.
pub(super) struct Second {
    pub(super) program: &'static str,
    pub(super) function: &'static str,
    pub(super) capability: &'static str,
    /// What it tells.
    pub(super) kind: u32,
    /// Whether it needs the walker.
    pub(super) walks: bool,
}

/// For kernels whose tracepoints can be preempted.
pub(super) const SECOND: &[Second] = &[
    Second {
        program: "process_fork_kprobe",
        function: "wake_up_new_task",
        capability: "second look at forks",
        kind: FORK,
        walks: false,
    },
    Second {
        program: "process_exec_kprobe",
        function: "finalize_exec",
        capability: "second look at execs",
        kind: EXEC,
        walks: true,
    },
    Second {
        program: "process_exit_kprobe",
        function: "exit_files",
        capability: "second look at exits",
        kind: EXIT,
        walks: false,
    },
];

/// The array of the walker behind the probe that sees execs, and the walker.
pub(super) const EXEC_KPROBE_WALKER: (&str, &str) = ("EXEC_KPROBE_WALKER", "process_exec_kprobe_walk");

/// Hooks of the LSM that paths pass before something is done to them, or mounted there. For each there are programs
/// `lsm_…`, and `fentry_…` for the kernel's function `security_…`.
pub(super) const PATH_HOOKS: &[&str] = &[
    "path_unlink",
    "path_rmdir",
    "path_mkdir",
    "path_mknod",
    "path_symlink",
    "path_link",
    "path_rename",
    "path_chmod",
    "path_chown",
    "path_truncate",
    "sb_mount",
    "sb_umount",
    "move_mount",
];

/// Functions that call those of hooks, with arguments that mean the same: for kernels, those before 6.1, which attach
/// to none that takes a structure by value, as `security_path_chown` takes `kuid_t`. The caller's ids are those of the
/// process's user namespace.
pub(super) const PATH_CALLERS: &[(&str, &str)] = &[("path_chown", "chown_common")];

/// Programs at whose function's return it is known whether something was done to a path. They are called as the function is
/// on 6.18; what it is called later (on 7.2), with the same arguments, stands beside.
pub(super) const PATH_RESULTS: &[(&str, &str)] = &[
    ("do_unlinkat", "filename_unlinkat"),
    ("do_rmdir", "filename_rmdir"),
    ("do_mkdirat", "filename_mkdirat"),
    ("do_symlinkat", "filename_symlinkat"),
    ("do_linkat", "filename_linkat"),
    ("do_renameat2", "filename_renameat2"),
];

/// The function of the kernel that opens files, whoever asks for it: what it is called (on 6.18), and what later (on 7.2).
pub(super) const OPEN_FUNCTIONS: &[&str] = &["do_filp_open", "do_file_open"];

/// Programs that others call at their end: array, index, program.
pub(super) const TAIL_CALLS: &[(&str, u32, &str)] = &[
    ("EXEC_WALKER", 0, "process_exec_walk"),
    ("HANDLERS", SHAPE_OPEN, "file_opened"),
    ("HANDLERS", SHAPE_PATH, "path_changed"),
    ("HANDLERS", SHAPE_TWO_PATHS, "path_changed"),
    ("HANDLERS", SHAPE_DESCRIPTOR, "path_changed"),
    ("HANDLERS", SHAPE_ACCEPT, "accepted"),
    ("HANDLERS", SHAPE_CREDENTIALS, "credentials_changed"),
    ("HANDLERS", SHAPE_KERNEL, "tampered"),
    ("HANDLERS", SHAPE_BIND, "socket_bound"),
    ("HANDLERS", SHAPE_SOCKET, "socket_made"),
    ("HANDLERS", SHAPES, "file_walk"),
];

/// Programs that are attached at the root of cgroup v2, and the capability that they give together.
pub(super) struct CgroupHook {
    pub(super) programs: &'static [(&'static str, CgroupKind)],
    pub(super) hook: &'static str,
    pub(super) capability: &'static str,
}

/// How a program is attached to a cgroup.
#[derive(Debug, Clone, Copy)]
pub(super) enum CgroupKind {
    Packet(CgroupSkbAttachType),
    Socket,
    Address,
}

/// In this order: owners are noted before packets are counted.
pub(super) const CGROUP_HOOKS: &[CgroupHook] = &[
    CgroupHook {
        programs: &[
            ("udp_socket_made", CgroupKind::Socket),
            ("udp_socket_closed", CgroupKind::Socket),
            ("udp_connect4", CgroupKind::Address),
            ("udp_connect6", CgroupKind::Address),
            ("udp_send4", CgroupKind::Address),
            ("udp_send6", CgroupKind::Address),
        ],
        hook: "cgroup:sock,connect,sendmsg",
        capability: "owners of udp sockets",
    },
    CgroupHook {
        programs: &[
            ("packet_sent", CgroupKind::Packet(CgroupSkbAttachType::Egress)),
            ("packet_received", CgroupKind::Packet(CgroupSkbAttachType::Ingress)),
        ],
        hook: "cgroup_skb:egress,ingress",
        capability: "udp flows, dns",
    },
];
