//! Records a second through decoding, enrichment and the shipped rules, on one core: what the sensor's thread
//! does between the rings and the outlet, for records that match nothing.

#![expect(clippy::expect_used, reason = "a benchmark's set-up fails like the benchmark itself")]

use bytemuck::bytes_of;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_agent::enrich::{HostFacts, Observed};
use openclaw_agent::pipeline::{Outlet, Stage};
use openclaw_common::network::{Endpoints, IPV4, OUTBOUND};
use openclaw_common::record::{
    EXEC, EXIT, ExecRecord, FILE_OPEN, FORK, FileRecord, Header, NET_PROGRESS, NETWORK, NO_ID, NetworkRecord,
    ProcessRecord, Task,
};
use openclaw_common::syscall;
use openclaw_detect::{Engine, Finding, ProcessId, RuleSet, Source};

/// A pid that no process of this machine has.
const SHELL: u32 = 4_100_000;

/// The process whose records are measured.
const PID: u32 = SHELL + 1;

/// Takes findings and watches no events, as the agent does where nobody follows.
struct Nobody;

impl Outlet for Nobody {
    fn finding(&mut self, finding: Finding, _descendants: Vec<ProcessId>) {
        panic!("a record that should match nothing matched {}", finding.rule);
    }

    fn isolates(&self) -> bool {
        false
    }

    fn wants_events(&self) -> bool {
        false
    }

    fn event(&mut self, _event: &Observed<'_>) {}
}

fn task(pid: u32) -> Task {
    Task { start: u64::from(pid), tgid: pid, tid: pid, uid: 1000, euid: 1000, gid: 1000, egid: 1000 }
}

fn header(kind: u32, pid: u32) -> Header {
    Header { kind, flags: 0, time: 1, task: task(pid) }
}

fn record(kind: u32, pid: u32) -> ProcessRecord {
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

fn process(kind: u32, pid: u32) -> Vec<u8> {
    bytes_of(&record(kind, pid)).to_vec()
}

fn exec(pid: u32) -> Vec<u8> {
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

fn file(pid: u32) -> Vec<u8> {
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

fn network(pid: u32) -> Vec<u8> {
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

fn stage() -> Stage {
    let rules = RuleSet::load(&Source::shipped()).expect("the shipped rules load");
    Stage::new(Engine::new(rules), HostFacts::of_this_host())
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records through decoding, enrichment and rules");
    let mut one = |name: &str, records: &[Vec<u8>]| {
        let mut stage = stage();
        stage.handle(&process(FORK, SHELL), &mut Nobody);
        stage.handle(&process(FORK, PID), &mut Nobody);
        group.throughput(Throughput::Elements(records.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| records.iter().for_each(|record| stage.handle(record, &mut Nobody)));
        });
    };
    one("file", &[file(PID)]);
    one("network", &[network(PID)]);
    one("exec", &[exec(PID)]);
    one(
        "fork, exec, five files, connection, exit",
        &[
            process(FORK, PID + 1),
            exec(PID + 1),
            file(PID + 1),
            file(PID + 1),
            file(PID + 1),
            file(PID + 1),
            file(PID + 1),
            network(PID + 1),
            process(EXIT, PID + 1),
        ],
    );
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
