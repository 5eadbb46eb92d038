//! Events of a capture a second through the rules, on one core: the shipped ones with so many more that are like
//! people's, over what really happened. `OPENCLAW_CAPTURE` names the capture, which `openclaw record` makes; without it
//! the small one of the tests is taken, over and over.

#![expect(clippy::expect_used, reason = "a benchmark's set-up fails like the benchmark itself")]

#[path = "../../openclaw-detect/tests/generated/mod.rs"]
#[expect(dead_code, reason = "the events that it makes are for another benchmark")]
mod generated;

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_agent::capture::Reader;
use openclaw_detect::{Engine, RecordedEvent, RuleSet, Source};

/// Events that are measured at least.
const EVENTS: usize = 1_000_000;

fn events() -> Vec<RecordedEvent> {
    let named = std::env::var_os("OPENCLAW_CAPTURE").map(PathBuf::from);
    let small = || {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../openclaw-agent/tests/data/guest-v1.capture"))
    };
    let reader = Reader::open(&named.unwrap_or_else(small)).expect("the capture can be opened");
    let events: Result<Vec<_>, _> = reader.filter(|entry| entry.as_ref().is_ok_and(|e| !e.known)).collect();
    events.expect("the capture can be read").into_iter().map(|entry| entry.event).collect()
}

fn rules(count: usize) -> RuleSet {
    let mut sources = Source::shipped();
    // The lists that these have too come first.
    sources.extend(generated::rules(count).into_iter().skip(1));
    generated::load(&sources)
}

fn bench(criterion: &mut Criterion) {
    let events = events();
    let rounds = EVENTS.div_ceil(events.len().max(1));
    let mut group = criterion.benchmark_group("capture");
    group.sample_size(10);
    group.throughput(Throughput::Elements((rounds * events.len()) as u64));
    for count in [100, 1000, 10_000] {
        let mut engine = Engine::new(rules(count));
        group.bench_function(format!("{count} rules and the shipped ones"), |bencher| {
            bencher.iter(|| {
                for event in (0..rounds).flat_map(|_| &events) {
                    engine.evaluate(black_box(event), |found| {
                        black_box(found.rule.severity);
                    });
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
