//! Records as the kernel programs write them, of a process that a shell has begun.

use bytemuck::bytes_of;
use openclaw_agent::enrich::Observed;
use openclaw_agent::pipeline::Outlet;
use openclaw_common::network::{Endpoints, IPV4, OUTBOUND};
use openclaw_common::record::{
    EXEC, ExecRecord, FILE_OPEN, FileRecord, Header, NET_PROGRESS, NETWORK, NO_ID, NetworkRecord,
    ProcessRecord, Task,
};
use openclaw_common::syscall;
use openclaw_detect::{Finding, ProcessId, Rule};

/// A pid that no process of this machine has.
pub(crate) const SHELL: u32 = 4_100_000;

/// The process whose records are measured.
pub(crate) const PID: u32 = SHELL + 1;

/// Takes findings and watches no events, as the agent does where nobody follows.
pub(crate) struct Nobody;

impl Outlet for Nobody {
    fn finding(&mut self, finding: Finding, _descendants: Vec<ProcessId>) {
        panic!("a record that should match nothing matched {}", finding.rule);
    }

    fn answers(&self, _rule: &Rule) -> bool {
        false
    }

    fn wants_events(&self) -> bool {
        false
    }

    fn event(&mut self, _event: &Observed<'_>) {}
}

pub(crate) fn task(pid: u32) -> Task {
    Task { start: u64::from(pid), tgid: pid, tid: pid, uid: 1000, euid: 1000, gid: 1000, egid: 1000 }
}

pub(crate) fn header(kind: u32, pid: u32) -> Header {
    Header { kind, flags: 0, time: 1, task: task(pid) }
}

pub(crate) fn record(kind: u32, pid: u32) -> ProcessRecord {
    ProcessRecord {
        header: header(kind, pid),
        // Known, as on a real host: one that is not would be looked up in /proc.
        parent: SHELL,
        parent_start: u64::from(SHELL),
        forker: SHELL,
        forker_start: u64::from(SHELL),
        loginuid: NO_ID,
        ..ProcessRecord::default()
    }
}

pub(crate) fn process(kind: u32, pid: u32) -> Vec<u8> {
    bytes_of(&record(kind, pid)).to_vec()
}

pub(crate) fn exec(pid: u32) -> Vec<u8> {
    let environment = b"PATH=/usr/bin:/bin\0HOME=/home/user\0LANG=C.UTF-8\0TERM=xterm\0".repeat(16);
    let strings: [&[u8]; 7] = [
        b"user.slice\0",
        b"/usr/bin/cc\0",
        b"cc\0-c\0main.c\0-o\0main.o\0",
        b"",
        &environment,
        b"cc\0bin\0usr\0",
        b"project\0user\0home\0",
    ];
    let record = ExecRecord {
        process: record(EXEC, pid),
        sections: strings.map(|section| section.len() as u32),
        ..ExecRecord::default()
    };
    [bytes_of(&record), &strings.concat()].concat()
}

pub(crate) fn file(pid: u32) -> Vec<u8> {
    let path = b"libfoo.so\0deps\0debug\0target\0project\0user\0home\0";
    let record = FileRecord {
        header: header(FILE_OPEN, pid),
        operation: syscall::WRITE,
        mode: 0o100_644,
        sections: [0, 0, path.len() as u32, 0],
        ..FileRecord::default()
    };
    [bytes_of(&record), path].concat()
}

pub(crate) fn network(pid: u32) -> Vec<u8> {
    let mut endpoints = Endpoints { family: IPV4, direction: OUTBOUND, ..Endpoints::default() };
    endpoints.remote[..4].copy_from_slice(&[192, 0, 2, 7]);
    let record = NetworkRecord {
        header: header(NETWORK, pid),
        action: NET_PROGRESS,
        endpoints,
        ..NetworkRecord::default()
    };
    bytes_of(&record).to_vec()
}
