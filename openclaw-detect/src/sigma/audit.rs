//! The records of the kernel's audit (`auditd`), and the events of this sensor that tell the same.
//!
//! Which system calls are audited is for the host's audit rules to say; here it is what the sensor tells. Names of records and
//! of their fields are those of the audit documentation project's dictionaries.

use super::source::{Subject, View};
use crate::{EventKind, Field};

const OF_OTHER_RECORDS: Subject =
    Subject::Lacking("the sensor does not tell this field of the audit's records");

/// A program that was begun, with its arguments.
static EXECVE: View = View {
    name: "auditd's EXECVE",
    kind: EventKind::ProcessCreate,
    actions: &[],
    fields: &[
        ("a0", Subject::Argument(0)),
        ("a1", Subject::Argument(1)),
        ("a2", Subject::Argument(2)),
        ("a3", Subject::Argument(3)),
        ("a4", Subject::Argument(4)),
        ("a5", Subject::Argument(5)),
        ("a6", Subject::Argument(6)),
        ("a7", Subject::Argument(7)),
        ("a8", Subject::Argument(8)),
        ("a9", Subject::Argument(9)),
        ("argc", Subject::Field(Field::ProcessArgsCount)),
    ],
    keywords: Field::ProcessCommandLine,
};

/// A path that a system call named.
static PATH: View = View {
    name: "auditd's PATH",
    kind: EventKind::FileAccess,
    actions: &[],
    fields: &[
        ("name", Subject::Field(Field::FilePath)),
        (
            "nametype",
            Subject::Action(&[
                ("CREATE", &["create", "rename", "link", "symlink"]),
                ("DELETE", &["delete"]),
                ("NORMAL", &["read", "write", "truncate", "chmod", "chown", "set_attribute"]),
                ("PARENT", &[]),
            ]),
        ),
        ("mode", OF_OTHER_RECORDS),
        ("inode", Subject::Field(Field::FileInode)),
        ("ouid", Subject::User(Field::FileUid)),
        ("ogid", Subject::Field(Field::FileGid)),
        ("item", OF_OTHER_RECORDS),
        ("dev", OF_OTHER_RECORDS),
        ("rdev", OF_OTHER_RECORDS),
    ],
    keywords: Field::FilePath,
};

/// A system call, and who made it. One that no system call is named for is the beginning of a program, which is told of
/// every program.
static SYSCALL: View = View {
    name: "auditd's SYSCALL",
    kind: EventKind::ProcessCreate,
    actions: &[],
    fields: &[
        ("SYSCALL", Subject::SystemCall),
        ("syscall", Subject::SystemCall),
        ("exe", Subject::Field(Field::ProcessExecutable)),
        ("comm", Subject::Field(Field::ProcessName)),
        ("pid", Subject::Field(Field::ProcessPid)),
        ("ppid", Subject::Field(Field::ProcessParentPid)),
        ("uid", Subject::User(Field::ProcessRealUid)),
        ("euid", Subject::User(Field::ProcessUid)),
        ("gid", Subject::Field(Field::ProcessRealGid)),
        ("egid", Subject::Field(Field::ProcessGid)),
        ("auid", Subject::User(Field::UserAuditId)),
        ("tty", Subject::Field(Field::ProcessTty)),
        ("key", Subject::AuditKey),
        ("a0", Subject::Lacking("arguments of system calls are not told as numbers")),
        ("a1", Subject::Lacking("arguments of system calls are not told as numbers")),
        ("a2", Subject::Lacking("arguments of system calls are not told as numbers")),
        ("a3", Subject::Lacking("arguments of system calls are not told as numbers")),
        ("success", OF_OTHER_RECORDS),
        ("exit", OF_OTHER_RECORDS),
        ("ses", OF_OTHER_RECORDS),
        ("arch", OF_OTHER_RECORDS),
        ("items", OF_OTHER_RECORDS),
    ],
    keywords: Field::ProcessCommandLine,
};

/// The types of records that are told, with how they are seen.
const RECORDS: &[(&str, &View)] = &[("EXECVE", &EXECVE), ("PATH", &PATH), ("SYSCALL", &SYSCALL)];

/// Fields of records that tell nothing here.
pub(super) const OTHER_FIELDS: &[&str] =
    &["unit", "acct", "res", "op", "terminal", "hostname", "addr", "data", "cmd", "id", "grantors", "msg"];

/// How a record of that type is seen; none where the sensor tells nothing like it.
pub(super) fn record(name: &str) -> Option<&'static View> {
    RECORDS.iter().find(|(record, _)| record.eq_ignore_ascii_case(name)).map(|(_, view)| *view)
}

/// How records are seen, of all types that are told.
pub(super) fn views() -> impl Iterator<Item = &'static View> {
    RECORDS.iter().map(|(_, view)| *view)
}

/// The view of a rule whose searches name no type of record, by the fields that they name.
pub(super) fn record_of(fields: &[&str]) -> Option<&'static View> {
    views().find(|view| !fields.is_empty() && has_all(view, fields))
}

/// Whether a record has all of these fields, beside its type.
pub(super) fn has_all(view: &View, fields: &[&str]) -> bool {
    let has = |field: &&str| *field == "type" || view.fields.iter().any(|(name, _)| name == field);
    fields.iter().all(has)
}

/// What a system call did: the kind of event, and its actions. None where the sensor does not tell it.
pub(super) fn system_call(name: &str) -> Option<(EventKind, &'static [&'static str])> {
    use EventKind::{
        BpfLoad, FileAccess, IoUring, ModuleLoad, MountChange, NamespaceChange, NetworkConnection,
        PrivilegeChange, ProcessCreate, ProcessFork, ProcessTrace,
    };
    Some(match name {
        "execve" | "execveat" => (ProcessCreate, &["exec"]),
        "fork" | "vfork" | "clone" | "clone3" => (ProcessFork, &["fork"]),
        "open" | "openat" | "openat2" => (FileAccess, &["read", "write", "create"]),
        "creat" => (FileAccess, &["create", "write"]),
        "unlink" | "unlinkat" | "rmdir" => (FileAccess, &["delete"]),
        "rename" | "renameat" | "renameat2" => (FileAccess, &["rename"]),
        "link" | "linkat" => (FileAccess, &["link"]),
        "symlink" | "symlinkat" => (FileAccess, &["symlink"]),
        "truncate" => (FileAccess, &["truncate"]),
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" => (FileAccess, &["chmod"]),
        "chown" | "fchown" | "fchownat" | "lchown" => (FileAccess, &["chown"]),
        "setxattr" | "fsetxattr" | "lsetxattr" => (FileAccess, &["set_attribute"]),
        "removexattr" | "fremovexattr" | "lremovexattr" => (FileAccess, &["remove_attribute"]),
        "connect" => (NetworkConnection, &["connection_established", "connection_failed"]),
        "bind" => (NetworkConnection, &["bind"]),
        "listen" => (NetworkConnection, &["listen"]),
        "setuid" | "setreuid" | "setresuid" => (PrivilegeChange, &["setuid"]),
        "setgid" | "setregid" | "setresgid" => (PrivilegeChange, &["setgid"]),
        "capset" => (PrivilegeChange, &["capset"]),
        "mount" | "move_mount" => (MountChange, &["mount"]),
        "umount" | "umount2" => (MountChange, &["unmount"]),
        "init_module" | "finit_module" => (ModuleLoad, &["load"]),
        "delete_module" => (ModuleLoad, &["unload"]),
        "bpf" => (BpfLoad, &["load", "attach", "detach"]),
        "ptrace" => (ProcessTrace, &["ptrace_attach", "ptrace_seize", "ptrace_write"]),
        "process_vm_readv" => (ProcessTrace, &["memory_read"]),
        "process_vm_writev" => (ProcessTrace, &["memory_write"]),
        "setns" => (NamespaceChange, &["setns"]),
        "unshare" => (NamespaceChange, &["unshare"]),
        "io_uring_setup" => (IoUring, &["setup"]),
        _ => return None,
    })
}

/// What keys of the audit rules that Sigma's rules are written for stand for, as conditions: those of Florian Roth's best
/// practice configuration of auditd, as the rules themselves cite it.
pub(super) fn key(name: &str) -> Option<(EventKind, &'static str)> {
    Some(match name {
        // -S connect -F a2=16 -F success=1: an IPv4 address has 16 bytes with its family and port.
        "network_connect_4" => (
            EventKind::NetworkConnection,
            r#"event.action == "connection_established" AND network.direction == "outbound" AND network.type == "ipv4""#,
        ),
        "network_connect_6" => (
            EventKind::NetworkConnection,
            r#"event.action == "connection_established" AND network.direction == "outbound" AND network.type == "ipv6""#,
        ),
        // -w /usr/bin/wget -p x and the like.
        "susp_activity" => (
            EventKind::ProcessCreate,
            r#"process.name in ["wget", "curl", "base64", "nc", "netcat", "ncat", "ss", "netstat", "ssh", "scp", "sftp", "ftp", "socat", "wireshark", "tshark", "rawshark", "rdesktop", "wlfreerdp", "xfreerdp", "nmap"]"#,
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_those_of_their_kinds() {
        for name in
            ["execve", "openat", "connect", "finit_module", "bpf", "ptrace", "setns", "umount2", "capset"]
        {
            let (kind, actions) = system_call(name).unwrap();
            assert!(actions.iter().all(|action| kind.actions().contains(action)), "{name}");
        }
        for (_, view) in RECORDS {
            assert!(view.actions.iter().all(|action| view.kind.actions().contains(action)), "{}", view.name);
        }
    }

    #[test]
    fn what_keys_stand_for_are_conditions() {
        for name in ["network_connect_4", "network_connect_6", "susp_activity"] {
            crate::parser::parse(key(name).unwrap().1).unwrap();
        }
    }
}
