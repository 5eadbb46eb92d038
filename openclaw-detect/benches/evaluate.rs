//! Events per second through the rules on one core: with the shipped rules, and with 100, 1000 and 10000 rules; and
//! through the JSON writer. None of the events matches: that is the path that most events take.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_detect::{
    Engine, EventKind, Field, ProcessId, RecordedEvent, RuleSet, Source, StrList, Timestamp, json,
};

/// One event of each kind, as a quiet host has them: nobody lays hands on the sensor.
fn events() -> Vec<RecordedEvent> {
    EventKind::ALL
        .iter()
        .filter(|kind| **kind != EventKind::SensorTamper)
        .map(|kind| {
            let event = RecordedEvent::new(*kind, Timestamp(1_790_000_000_000_000_000))
                .with_process(ProcessId { pid: 4242, start: 123_456_789 })
                .with_parent(ProcessId { pid: 4000, start: 123_000_000 })
                .with(Field::EventAction, kind.actions().first().copied().unwrap_or_default())
                .with(Field::ProcessName, "cargo")
                .with(Field::ProcessExecutable, "/usr/bin/cargo")
                .with(Field::ProcessCommandLine, "cargo build --release --workspace")
                .with(Field::ProcessArgs, StrList::new("cargo\0build\0--release\0--workspace\0"))
                .with(Field::ProcessUid, 1000)
                .with(Field::UserNormalUid, 1000)
                .with(Field::ProcessParentName, "bash");
            match kind {
                EventKind::FileAccess => {
                    event.with(Field::FilePath, "/home/user/project/target/release/deps/libproject.rlib")
                }
                EventKind::NetworkConnection => event
                    .with(Field::NetworkDirection, "outbound")
                    .with(Field::DestinationIp, IpAddr::from([192, 0, 2, 7]))
                    .with(Field::DestinationPort, 443)
                    .with(Field::NetworkOutboundBytes, 12_345),
                _ => event,
            }
        })
        .collect()
}

/// Rules like those that people write, in equal parts.
fn rules(count: usize) -> Engine {
    let mut text = String::from("rules:\n");
    for n in 0..count {
        let condition = match n % 5 {
            0 => format!(
                "process.name in [\"tool{n}\", \"other{n}\"] and process.parent not in [\"authorized_processes\"]"
            ),
            1 => format!("file.path startswith \"/etc/service{n}/\" and event.action == \"write\""),
            2 => format!("destination.port == {} and destination not in [\"trusted_ips\"]", 1024 + n),
            3 => format!(
                "process.command_line contains \"--secret{n}\" or process.executable glob \"/tmp/{n}/**\""
            ),
            _ => format!("process.uid == 0 and process.args matches \"^payload{n}[0-9a-f]+$\""),
        };
        text.push_str(&format!("  - name: rule{n}\n    condition: '{condition}'\n"));
    }
    engine(&[Source::shipped_lists(), Source { name: "bench.yml".to_owned(), text }])
}

fn engine(sources: &[Source]) -> Engine {
    match RuleSet::load(sources) {
        Ok(rules) => Engine::new(rules),
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

fn evaluate(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(events.len() as u64));
    let engines = [
        ("shipped rules", engine(&Source::shipped())),
        ("100 rules", rules(100)),
        ("1000 rules", rules(1000)),
        ("10000 rules", rules(10_000)),
    ];
    for (name, mut engine) in engines {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for event in &events {
                    engine.evaluate(black_box(event), |found| panic!("{} fired", found.rule.name));
                }
            });
        });
    }
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("json");
    group.throughput(Throughput::Elements(events.len() as u64));
    let mut out = Vec::with_capacity(4096);
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            for event in &events {
                out.clear();
                json::write(black_box(event), &mut out);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default();
    targets = evaluate, write
}
criterion_main!(benches);
