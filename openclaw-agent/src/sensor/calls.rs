//! Which system calls the sensor's programs look at, for the event kinds that are of interest.
//!
//! Numbers of x86-64 from `arch/x86/entry/syscalls/syscall_64.tbl`, of 32-bit calls from `syscall_32.tbl`.

use openclaw_common::syscall::{
    BPF, CHMOD, CHOWN, CREATE, CWD, Call, DELETE, DETACH, ENTER_NAMESPACE, IO_URING, LEAVE_NAMESPACE, LINK,
    LOAD_MODULE, LOAD_MODULE_IMAGE, MOUNT, READ_MEMORY, REMOVE_ATTRIBUTE, RENAME, SET_ATTRIBUTE,
    SHAPE_ACCEPT, SHAPE_BIND, SHAPE_CREDENTIALS, SHAPE_DESCRIPTOR, SHAPE_KERNEL, SHAPE_OPEN, SHAPE_SOCKET,
    SYMLINK, TABLE, TRACE, TRUNCATE, UNLOAD_MODULE, UNMOUNT, WRITE_MEMORY,
};
use openclaw_detect::{EventKind, KindSet};

/// A system call: its number as a 64-bit call and as a 32-bit call, and what it does.
struct Entry(Option<u32>, &'static [u32], Call);

const OPEN: Call = Call::plain(SHAPE_OPEN);
const ACCEPT: Call = Call::plain(SHAPE_ACCEPT);
const UPON_OPEN_FILE: Call = Call::plain(SHAPE_DESCRIPTOR);
const UPON_KERNEL: Call = Call::plain(SHAPE_KERNEL);
const CREDENTIALS: Call = Call::plain(SHAPE_CREDENTIALS);

/// Calls by which files are opened, through a function at whose return they can be seen too.
const OPENS: &[Entry] = &[
    Entry(Some(2), &[5], OPEN),     // open
    Entry(Some(85), &[8], OPEN),    // creat
    Entry(Some(257), &[295], OPEN), // openat
    Entry(Some(437), &[437], OPEN), // openat2
];

/// Other calls by which files are opened, and those by which paths are changed.
const FILES: &[Entry] = &[
    Entry(Some(304), &[342], OPEN),                     // open_by_handle_at
    Entry(Some(87), &[10], Call::path(DELETE, CWD, 0)), // unlink
    Entry(Some(263), &[301], Call::path(DELETE, 0, 1)), // unlinkat
    Entry(Some(84), &[40], Call::path(DELETE, CWD, 0)), // rmdir
    Entry(Some(82), &[38], Call::two_paths(RENAME, CWD, 0, CWD, 1)), // rename
    Entry(Some(264), &[302], Call::two_paths(RENAME, 0, 1, 2, 3)), // renameat
    Entry(Some(316), &[353], Call::two_paths(RENAME, 0, 1, 2, 3)), // renameat2
    Entry(Some(90), &[15], Call::path(CHMOD, CWD, 0).mode(1)), // chmod
    Entry(Some(91), &[94], UPON_OPEN_FILE.operation(CHMOD)), // fchmod
    Entry(Some(268), &[306], Call::path(CHMOD, 0, 1).mode(2)), // fchmodat
    Entry(Some(452), &[452], Call::path(CHMOD, 0, 1).mode(2)), // fchmodat2
    Entry(Some(83), &[39], Call::path(CREATE, CWD, 0).mode(1)), // mkdir
    Entry(Some(258), &[296], Call::path(CREATE, 0, 1).mode(2)), // mkdirat
    Entry(Some(133), &[14], Call::path(CREATE, CWD, 0).mode(1)), // mknod
    Entry(Some(259), &[297], Call::path(CREATE, 0, 1).mode(2)), // mknodat
    Entry(Some(88), &[83], Call::two_paths(SYMLINK, CWD, 0, CWD, 1)), // symlink
    Entry(Some(266), &[304], Call::two_paths(SYMLINK, CWD, 0, 1, 2)), // symlinkat
    Entry(Some(86), &[9], Call::two_paths(LINK, CWD, 0, CWD, 1)), // link
    Entry(Some(265), &[303], Call::two_paths(LINK, 0, 1, 2, 3)), // linkat
    Entry(Some(92), &[212, 182], Call::path(CHOWN, CWD, 0).owner(1)), // chown
    Entry(Some(94), &[198, 16], Call::path(CHOWN, CWD, 0).owner(1)), // lchown
    Entry(Some(93), &[207, 95], UPON_OPEN_FILE.operation(CHOWN)), // fchown
    Entry(Some(260), &[298], Call::path(CHOWN, 0, 1).owner(2)), // fchownat
    Entry(Some(76), &[92, 193], Call::path(TRUNCATE, CWD, 0)), // truncate
    Entry(Some(77), &[93, 194], UPON_OPEN_FILE.operation(TRUNCATE)), // ftruncate
    Entry(Some(188), &[226], Call::path(SET_ATTRIBUTE, CWD, 0).attribute(1)), // setxattr
    Entry(Some(189), &[227], Call::path(SET_ATTRIBUTE, CWD, 0).attribute(1)), // lsetxattr
    Entry(Some(190), &[228], UPON_OPEN_FILE.operation(SET_ATTRIBUTE).attribute(1)), // fsetxattr
    Entry(Some(463), &[463], Call::path(SET_ATTRIBUTE, 0, 1).attribute(3)), // setxattrat
    Entry(Some(197), &[235], Call::path(REMOVE_ATTRIBUTE, CWD, 0).attribute(1)), // removexattr
    Entry(Some(198), &[236], Call::path(REMOVE_ATTRIBUTE, CWD, 0).attribute(1)), // lremovexattr
    Entry(Some(199), &[237], UPON_OPEN_FILE.operation(REMOVE_ATTRIBUTE).attribute(1)), // fremovexattr
    Entry(Some(466), &[466], Call::path(REMOVE_ATTRIBUTE, 0, 1).attribute(3)), // removexattrat
];

/// Calls by which connections are accepted.
const CONNECTIONS: &[Entry] = &[
    Entry(Some(43), &[], ACCEPT),     // accept
    Entry(Some(288), &[364], ACCEPT), // accept4
];

/// Calls by which sockets are made and bound.
const SOCKETS: &[Entry] = &[
    Entry(Some(41), &[359], Call::plain(SHAPE_SOCKET)), // socket
    Entry(Some(49), &[361], Call::plain(SHAPE_BIND)),   // bind
];

/// Calls by which user ids, group ids and capabilities change. 32-bit programs have those with 16-bit ids too.
const IDS: &[Entry] = &[
    Entry(Some(105), &[213, 23], CREDENTIALS),  // setuid
    Entry(Some(106), &[214, 46], CREDENTIALS),  // setgid
    Entry(Some(113), &[203, 70], CREDENTIALS),  // setreuid
    Entry(Some(114), &[204, 71], CREDENTIALS),  // setregid
    Entry(Some(117), &[208, 164], CREDENTIALS), // setresuid
    Entry(Some(119), &[210, 170], CREDENTIALS), // setresgid
    Entry(Some(126), &[185], CREDENTIALS),      // capset
];

/// Calls that act upon the kernel or upon other processes, by the kind of event that they make.
const TAMPERING: &[(EventKind, &[Entry])] = &[
    (
        EventKind::MountChange,
        &[
            Entry(Some(165), &[21], Call::path(MOUNT, CWD, 1).attribute(0)), // mount
            Entry(Some(429), &[429], Call::two_paths(MOUNT, 0, 1, 2, 3)),    // move_mount
            Entry(Some(166), &[52, 22], Call::path(UNMOUNT, CWD, 0)),        // umount2
        ],
    ),
    (
        EventKind::ModuleLoad,
        &[
            Entry(Some(175), &[128], UPON_KERNEL.operation(LOAD_MODULE_IMAGE)), // init_module
            Entry(Some(313), &[350], UPON_OPEN_FILE.operation(LOAD_MODULE)),    // finit_module
            Entry(Some(176), &[129], UPON_KERNEL.operation(UNLOAD_MODULE)),     // delete_module
        ],
    ),
    (
        EventKind::ProcessTrace,
        &[
            Entry(Some(101), &[26], UPON_KERNEL.operation(TRACE)), // ptrace
            Entry(Some(310), &[347], UPON_KERNEL.operation(READ_MEMORY)), // process_vm_readv
            Entry(Some(311), &[348], UPON_KERNEL.operation(WRITE_MEMORY)), // process_vm_writev
        ],
    ),
    (
        EventKind::NamespaceChange,
        &[
            Entry(Some(308), &[346], UPON_KERNEL.operation(ENTER_NAMESPACE)), // setns
            Entry(Some(272), &[310], UPON_KERNEL.operation(LEAVE_NAMESPACE)), // unshare
        ],
    ),
    (EventKind::BpfLoad, &[Entry(Some(321), &[357], UPON_KERNEL.operation(BPF))]), // bpf
    (EventKind::IoUring, &[Entry(Some(425), &[425], UPON_KERNEL.operation(IO_URING))]), // io_uring_setup
];

/// Calls that may be aimed at the agent, by the kind of event that tells of those that are aimed at others too.
const AIMED_AT_AGENT: &[(EventKind, &[Entry])] = &[
    (
        EventKind::ProcessTrace,
        &[
            Entry(Some(101), &[26], UPON_KERNEL.operation(TRACE).upon_agent(1)), // ptrace
            Entry(Some(310), &[347], UPON_KERNEL.operation(READ_MEMORY).upon_agent(0)), // process_vm_readv
            Entry(Some(311), &[348], UPON_KERNEL.operation(WRITE_MEMORY).upon_agent(0)), // process_vm_writev
        ],
    ),
    (EventKind::BpfLoad, &[Entry(Some(321), &[357], UPON_KERNEL.operation(DETACH))]), // bpf
];

/// The table for the programs: by number, the 64-bit call's word below, the 32-bit call's above. `opens` says
/// whether opens are to be seen by their calls.
pub(super) fn table(kinds: KindSet, opens: bool) -> [u64; TABLE as usize] {
    let mut table = [0; TABLE as usize];
    // Without these two the owners of connections and the users of processes would be wrong.
    let always = [CONNECTIONS, IDS];
    let wants_files = kinds.contains(EventKind::FileAccess) || kinds.contains(EventKind::FileAttempt);
    let files = wants_files.then_some(FILES);
    let opens = (wants_files && opens).then_some(OPENS);
    let sockets = kinds.contains(EventKind::NetworkConnection).then_some(SOCKETS);
    let of_kinds =
        |(kind, entries): &(EventKind, &'static [Entry])| kinds.contains(*kind).then_some(*entries);
    let tampering = TAMPERING.iter().filter_map(of_kinds);
    let of_others =
        |(kind, entries): &(EventKind, &'static [Entry])| (!kinds.contains(*kind)).then_some(*entries);
    let aimed = AIMED_AT_AGENT.iter().filter_map(of_others);
    let all = always.into_iter().chain(files).chain(opens).chain(sockets).chain(tampering).chain(aimed);
    for Entry(wide, narrow, call) in all.flatten() {
        for number in wide.iter() {
            table[*number as usize] |= u64::from(call.0);
        }
        for number in *narrow {
            table[*number as usize] |= u64::from(call.0) << 32;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use openclaw_common::syscall::ARGUMENT_PID;

    use super::*;

    #[test]
    fn files_and_sockets_are_looked_at_only_where_they_are_of_interest() {
        let (openat, bind) = (257, 49);
        assert_eq!(table(KindSet::NONE, true)[bind], 0);
        assert_eq!(table(KindSet::of(&[EventKind::FileAccess]), true)[bind], 0);
        assert_eq!(table(KindSet::of(&[EventKind::NetworkConnection]), true)[bind] as u32 & 0xf, SHAPE_BIND);
        assert_eq!(table(KindSet::NONE, true)[openat], 0);
        assert_eq!(table(KindSet::of(&[EventKind::FileAccess]), true)[openat] as u32, OPEN.0);
        assert_eq!(table(KindSet::of(&[EventKind::FileAccess]), false)[openat], 0, "seen otherwise");
    }

    #[test]
    fn a_number_that_both_tables_use_keeps_its_two_meanings() {
        // 91 is fchmod among the 64-bit calls and munmap among the 32-bit ones; 94 is lchown and fchmod.
        let table = table(KindSet::ALL, true);
        assert_eq!(table[91] >> 32, 0);
        assert_eq!(Call(table[91] as u32), UPON_OPEN_FILE.operation(CHMOD));
        assert_eq!(Call((table[94] >> 32) as u32), UPON_OPEN_FILE.operation(CHMOD));
        assert_eq!(Call(table[94] as u32).operation_of(), CHOWN);
    }

    #[test]
    fn what_is_aimed_at_the_agent_is_looked_at_whatever_is_of_interest() {
        let (ptrace, bpf) = (101, 321);
        let none = table(KindSet::NONE, true);
        assert_eq!(Call(none[ptrace] as u32).argument(ARGUMENT_PID), 1);
        assert_eq!(Call(none[bpf] as u32).operation_of(), DETACH);
        let all = table(KindSet::ALL, true);
        assert_eq!(Call(all[ptrace] as u32), UPON_KERNEL.operation(TRACE));
        assert_eq!(Call(all[bpf] as u32), UPON_KERNEL.operation(BPF));
    }

    #[test]
    fn no_number_is_given_two_calls() {
        let tampering = TAMPERING.iter().map(|(_, entries)| *entries);
        let all: Vec<&Entry> =
            [OPENS, FILES, CONNECTIONS, SOCKETS, IDS].into_iter().chain(tampering).flatten().collect();
        let mut numbers: Vec<u32> = all.iter().filter_map(|entry| entry.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all.len());
    }
}
