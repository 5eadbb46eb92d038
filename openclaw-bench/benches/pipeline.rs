//! Records a second through decoding, enrichment and the shipped rules, on one core: what the sensor's thread
//! does between the rings and the outlet, for records that match nothing.

#![expect(clippy::expect_used, reason = "a benchmark's set-up fails like the benchmark itself")]

#[path = "../../openclaw-agent/tests/records/mod.rs"]
mod records;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_agent::enrich::HostFacts;
use openclaw_agent::pipeline::Stage;
use openclaw_common::record::{EXIT, FORK};
use openclaw_detect::{Engine, RuleSet, Source};
use records::{Nobody, PID, SHELL, exec, file, network, process};

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
