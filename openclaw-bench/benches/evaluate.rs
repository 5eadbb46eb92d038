//! Events per second through the rules on one core: with the shipped rules, and with 100, 1000 and 10000 rules, of
//! which none matches, since that is the path that most events take; through windows that count each event; how long
//! rules take to load; and events through the JSON writer.

#[path = "../../openclaw-detect/tests/generated/mod.rs"]
mod generated;

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_detect::{Engine, EventKind, Field, RecordedEvent, Source, Timestamp, json};

use generated::{events, load, rules};

fn evaluate(criterion: &mut Criterion) {
    let events = events();
    let mut group = criterion.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(events.len() as u64));
    let sets = [
        ("shipped rules", Source::shipped()),
        ("100 rules", rules(100)),
        ("1000 rules", rules(1000)),
        ("10000 rules", rules(10_000)),
    ];
    for (name, sources) in sets {
        let mut engine = Engine::new(load(&sources));
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

/// Rules that count or learn each connection.
const COUNTING: &str = "rules:
- {name: count, event: network_connection, condition: destination.port exists, threshold: {at_least: 1000000, within: 10s, by: [source.ip]}}
- {name: distinct, event: network_connection, condition: destination.port exists, threshold: {distinct: destination.port, at_least: 1000, within: 10s, by: [source.ip]}}
- {name: sum, event: network_connection, condition: destination.port exists, threshold: {sum: destination.port, at_least: 1TB, within: 10s, by: [source.ip]}}
- {name: new, event: network_connection, condition: destination.port exists, new: {field: destination.port, by: [source.ip], learn: 7d}}
";

/// Connections of one second from so many addresses, to the same port each.
fn connections(addresses: u32) -> Vec<RecordedEvent> {
    (0..addresses)
        .map(|n| {
            let time = 1_790_000_000_000_000_000 + u64::from(n) * 1_000_000_000 / u64::from(addresses);
            RecordedEvent::new(EventKind::NetworkConnection, Timestamp(time))
                .with(Field::SourceIp, IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)))
                .with(Field::DestinationPort, i64::from(n % 7))
        })
        .collect()
}

fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("count each event in four windows");
    let sources = [Source { name: "counting.yml".to_owned(), text: COUNTING.to_owned() }];
    for (name, addresses) in [("of 1000 keys", 1000), ("a flood of 100000 keys", 100_000)] {
        let events = connections(addresses);
        let mut engine = Engine::new(load(&sources));
        group.throughput(Throughput::Elements(events.len() as u64));
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

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for count in [1000, 10_000] {
        let sources = rules(count);
        group.bench_function(format!("{count} rules"), |bencher| {
            bencher.iter(|| Engine::new(load(black_box(&sources))));
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
    targets = evaluate, count, compile, write
}
criterion_main!(benches);
