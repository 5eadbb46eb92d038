//! Thresholds, sequences, what is new and what is not told again, against plain models of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use crate::engine::EngineStats;
use crate::{Engine, EventKind, Field, Limits, Match, RecordedEvent, RuleSet, Source, Timestamp};

const SECOND: u64 = 1_000_000_000;

fn engine(rules: &str) -> Engine {
    let source = Source { name: "x.yml".to_owned(), text: rules.to_owned() };
    let rules = RuleSet::load(&[source]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Engine::with_limits(rules, Limits { keys: 100, ..Limits::default() })
}

/// A connection from an address to a port, at so many seconds.
fn connection(seconds: u64, from: u8, port: i64, sent: i64) -> RecordedEvent {
    RecordedEvent::new(EventKind::NetworkConnection, Timestamp(seconds * SECOND))
        .with(Field::SourceIp, std::net::IpAddr::from([192, 0, 2, from]))
        .with(Field::DestinationPort, port)
        .with(Field::NetworkBytesSent, sent)
}

fn fires(engine: &mut Engine, event: &RecordedEvent) -> bool {
    let mut fired = false;
    engine.evaluate(event, |_| fired = true);
    fired
}

#[test]
fn a_scan_of_ports_fires_once_for_each_scanner() {
    let mut engine = engine(
        "rules: [{name: port_scan, event: network_connection, condition: destination.port exists, \
         threshold: {distinct: destination.port, at_least: 20, within: 10s, by: [source.ip]}}]",
    );
    let mut told = Vec::new();
    for port in 1..100 {
        for from in 1..=2 {
            engine.evaluate(&connection(1, from, port, 0), |Match { evidence, .. }| {
                told.push((port, evidence.key[0].field.clone(), evidence.key[0].value.clone()));
            });
        }
    }
    let by = |value: &str| (20, "source.ip".to_owned(), value.to_owned());
    assert_eq!(told, [by("192.0.2.1"), by("192.0.2.2")]);
}

#[test]
fn a_threshold_is_told_again_when_it_is_reached_again_after_a_pause() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port == 22, \
         threshold: {at_least: 3, within: 10s, by: [source.ip]}}]",
    );
    let times = [0, 1, 2, 3, 12, 13, 20, 40, 41, 42];
    let fired: Vec<u64> =
        times.into_iter().filter(|time| fires(&mut engine, &connection(100 + time, 1, 22, 0))).collect();
    // At 12 and 13 there are two or three within ten seconds; at 20 three again.
    assert_eq!(fired, [2, 20, 42]);
}

#[test]
fn a_sum_counts_what_is_sent_and_nothing_that_is_negative() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port == 443, \
         threshold: {sum: network.bytes_sent, at_least: 1MB, within: 1m}}]",
    );
    let sent: Vec<bool> = [600_000, -5, 399_999, 1, 1]
        .into_iter()
        .map(|sent| fires(&mut engine, &connection(1, 1, 443, sent)))
        .collect();
    assert_eq!(sent, [false, false, false, true, false]);
}

#[test]
fn an_event_that_lacks_a_key_counts_nowhere() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port == 22, \
         threshold: {at_least: 2, within: 10s, by: [process]}}]",
    );
    assert!(!(0..5).any(|_| fires(&mut engine, &connection(1, 1, 22, 0))));
    assert_eq!(engine.stats().remembered, 0);
}

#[test]
fn a_flood_of_keys_takes_no_memory_beyond_the_limit_and_is_counted() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         threshold: {at_least: 2, within: 1h, by: [destination.port]}}]",
    );
    for port in 0..10_000 {
        assert!(!fires(&mut engine, &connection(1, 1, port, 0)));
    }
    let EngineStats { remembered, evicted, .. } = engine.stats();
    assert_eq!((remembered, evicted), (100, 9_900));
    assert!(fires(&mut engine, &connection(1, 1, 9_999, 0)), "the newest is there");
}

#[test]
fn windows_that_ran_out_are_forgotten_without_being_missed() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         threshold: {at_least: 2, within: 1s, by: [destination.port]}}]",
    );
    for port in 0..10_000u16 {
        fires(&mut engine, &connection(port.into(), 1, port.into(), 0));
    }
    let EngineStats { remembered, evicted, .. } = engine.stats();
    assert!(remembered <= 2 && evicted == 0, "{remembered} {evicted}");
}

#[test]
fn a_clock_that_is_set_back_begins_windows_anew() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port == 22, \
         threshold: {at_least: 3, within: 10s}}]",
    );
    let fired: Vec<bool> = [1000, 1000, 500, 501, 502, 502]
        .into_iter()
        .map(|time| fires(&mut engine, &connection(time, 1, 22, 0)))
        .collect();
    assert_eq!(fired, [false, false, false, false, true, false]);
}

const SEQUENCE: &str = "rules: [{name: a, sequence: {within: 10s, by: [source.ip], steps: [\
     {event: network_connection, condition: destination.port == 1}, \
     {event: network_connection, condition: destination.port == 2}, \
     {event: network_connection, condition: 'destination.port in [2, 3]'}], \
     until: {event: network_connection, condition: destination.port == 9}}}]";

#[test]
fn steps_in_their_order_fire_and_others_do_not() {
    for (steps, expected) in [
        (&[(0, 1), (1, 2), (2, 3)][..], &[false, false, true][..]),
        (&[(0, 1), (1, 2), (2, 2)], &[false, false, true]),
        (&[(0, 2), (1, 1), (2, 3)], &[false, false, false]),
        (&[(0, 1), (1, 2), (11, 3)], &[false, false, false]),
        (&[(0, 1), (5, 1), (6, 2), (14, 3)], &[false, false, false, true]),
        (&[(0, 1), (1, 2), (2, 9), (3, 3)], &[false, false, false, false]),
        (&[(0, 1), (1, 2), (2, 3), (3, 3)], &[false, false, true, false]),
    ] {
        let mut engine = engine(SEQUENCE);
        let fired: Vec<bool> = steps
            .iter()
            .map(|(time, port)| fires(&mut engine, &connection(100 + time, 1, *port, 0)))
            .collect();
        assert_eq!(fired, expected, "{steps:?}");
    }
    let mut engine = engine(SEQUENCE);
    for (from, port) in [(1, 1), (2, 2), (3, 3)] {
        assert!(!fires(&mut engine, &connection(1, from, port, 0)), "of another source each");
    }
}

#[test]
fn steps_may_call_what_they_have_in_common_by_other_names() {
    let mut engine = engine(
        "rules: [{name: a, sequence: {within: 1m, steps: [\
         {event: file_access, condition: event.action == 'create', by: [file.path]}, \
         {event: process_create, condition: process.name exists, by: [process.executable]}]}}]",
    );
    let create = RecordedEvent::new(EventKind::FileAccess, Timestamp(SECOND))
        .with(Field::EventAction, "create")
        .with(Field::FilePath, "/tmp/x");
    let exec = |path: &str| {
        RecordedEvent::new(EventKind::ProcessCreate, Timestamp(2 * SECOND))
            .with(Field::ProcessName, "x")
            .with(Field::ProcessExecutable, path)
    };
    assert!(!fires(&mut engine, &create) && !fires(&mut engine, &exec("/tmp/y")));
    assert!(fires(&mut engine, &exec("/tmp/x")));
}

#[test]
fn what_is_new_after_the_time_to_learn_is_told_once() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         new: {field: destination.port, by: [source.ip], learn: 10s}}]",
    );
    let mut ask = |time: u64, from, port| fires(&mut engine, &connection(100 + time, from, port, 0));
    assert!(!ask(0, 1, 80) && !ask(5, 1, 443), "it learns");
    assert!(!ask(11, 1, 80), "that is known");
    assert!(ask(12, 1, 22) && !ask(13, 1, 22));
    assert!(!ask(14, 2, 22), "another source is yet to be learnt");
    engine.learn(&connection(130, 1, 25, 0));
    assert!(!fires(&mut engine, &connection(131, 1, 25, 0)), "it was there before");
}

#[test]
fn what_was_told_is_kept_back_for_a_time_and_counted() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port == 22, \
         suppress: {for: 10s, by: [source.ip, process.name]}}]",
    );
    let mut told = Vec::new();
    for time in [0, 1, 9, 10, 11, 25] {
        engine.evaluate(&connection(100 + time, 1, 22, 0), |found| {
            told.push((time, found.evidence.suppressed))
        });
    }
    assert_eq!(told, [(0, 0), (10, 2), (25, 1)]);
    assert_eq!(engine.stats().suppressed, 3);
    assert!(fires(&mut engine, &connection(126, 2, 22, 0)), "another source");
}

const ALL_KINDS: &str = "rules:\n\
    - {name: count, event: network_connection, condition: destination.port exists, threshold: {at_least: 4, within: 8s, by: [source.ip]}}\n\
    - {name: distinct, event: network_connection, condition: destination.port exists, threshold: {distinct: destination.port, at_least: 3, within: 8s}}\n\
    - {name: new, event: network_connection, condition: destination.port exists, new: {field: destination.port, by: [source.ip], learn: 4s}}\n\
    - {name: quiet, event: network_connection, condition: destination.port == 3, suppress: {for: 7s, by: [source.ip]}}\n\
    - name: sequence\n  sequence:\n    within: 6s\n    by: [source.ip]\n    steps:\n\
    \x20   - {event: network_connection, condition: destination.port == 1}\n\
    \x20   - {event: network_connection, condition: destination.port == 2}\n";

#[test]
fn a_snapshot_of_another_version_or_shape_is_not_taken_back() {
    let mut before = engine(ALL_KINDS);
    fires(&mut before, &connection(100, 1, 3, 0));
    let snapshot = before.snapshot();
    let mut other = serde_json::to_value(&snapshot).unwrap();
    other["version"] = 99.into();
    let mut after = engine(ALL_KINDS);
    after.restore(&serde_json::from_value(other).unwrap());
    assert_eq!(after.stats().remembered, 0);
    let mut after = engine(&ALL_KINDS.replace("by: [source.ip]", "by: [destination.port]"));
    after.restore(&snapshot);
    assert_eq!(after.stats().remembered, 1, "that of `distinct`, which has no key");
}

/// Events of one rule over connections: seconds, source, port, bytes.
fn events() -> impl Strategy<Value = Vec<(u64, u8, i64, i64)>> {
    prop::collection::vec((0..4u64, 0..3u8, 0..5i64, 0..4i64), 0..80).prop_map(|steps| {
        let mut now = 1000;
        steps
            .into_iter()
            .map(|(later, from, port, sent)| {
                now += later;
                (now, from, port, sent)
            })
            .collect()
    })
}

/// Of each event, whether a threshold is reached with it: by counting anew over all events before.
fn reached(
    events: &[(u64, u8, i64, i64)],
    within: u64,
    at_least: u64,
    measure: impl Fn(&[(u64, u8, i64, i64)]) -> u64,
) -> Vec<bool> {
    let mut was_reached = BTreeMap::new();
    let each = events.iter().enumerate().map(|(number, &(now, from, ..))| {
        let is_in = |(time, by, ..): &&(u64, u8, i64, i64)| *by == from && now - time < within;
        let before: Vec<_> = events[..number].iter().filter(is_in).copied().collect();
        let window: Vec<_> = events[..=number].iter().filter(is_in).copied().collect();
        let is_reached = measure(&window) >= at_least;
        let was = was_reached.insert(from, is_reached).unwrap_or(false) && !before.is_empty();
        is_reached && !was
    });
    each.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    // 1024 divides 1024 s, and so do the slices whole seconds: the windows are exact.
    #[test]
    fn a_threshold_is_reached_when_counting_anew_says_so(events in events(), at_least in 2..6u64, what in 0..3usize) {
        let within = 8;
        let measure = ["", "distinct: destination.port, ", "sum: network.bytes_sent, "][what];
        let mut engine = engine(&format!(
            "rules: [{{name: a, event: network_connection, condition: destination.port exists, \
             threshold: {{{measure}at_least: {at_least}, within: 8s, by: [source.ip]}}}}]"
        ));
        let fired: Vec<bool> = events.iter().map(|(time, from, port, sent)| fires(&mut engine, &connection(*time, *from, *port, *sent))).collect();
        let expected = reached(&events, within, at_least, |window| match what {
            0 => window.len() as u64,
            1 => window.iter().map(|(_, _, port, _)| port).collect::<BTreeSet<_>>().len() as u64,
            _ => window.iter().map(|(_, _, _, sent)| sent.unsigned_abs()).sum(),
        });
        prop_assert_eq!(fired, expected);
    }

    #[test]
    fn an_ordered_sequence_is_complete_when_there_are_such_events(events in events()) {
        let within = 6;
        let mut engine = engine(
            "rules: [{name: a, sequence: {within: 6s, by: [source.ip], steps: [\
             {event: network_connection, condition: 'destination.port in [1, 2]'}, \
             {event: network_connection, condition: 'destination.port in [2, 3]'}, \
             {event: network_connection, condition: 'destination.port in [3, 1]'}], \
             until: {event: network_connection, condition: destination.port == 4}}}]",
        );
        let steps: [&[i64]; 3] = [&[1, 2], &[2, 3], &[3, 1]];
        // Since the last completion or end, by source.
        let mut before: BTreeMap<u8, Vec<(u64, i64)>> = BTreeMap::new();
        for (time, from, port, _) in events {
            let before = before.entry(from).or_default();
            let is_end = port == 4;
            before.push((time, port));
            let chains = || {
                let begins = before.iter().enumerate().filter(|(_, (begun, port))| steps[0].contains(port) && time - begun <= within);
                begins.map(|(number, _)| number)
            };
            let middle = |after: usize| before.len() >= 2 && before[after + 1..before.len() - 1].iter().any(|(_, port)| steps[1].contains(port));
            let complete = !is_end && steps[2].contains(&port) && chains().any(|first| first + 1 < before.len() && middle(first));
            prop_assert_eq!(fires(&mut engine, &connection(time, from, port, 0)), complete);
            if is_end || complete {
                before.clear();
            }
            if complete {
                // What completes a sequence may begin the next.
                before.push((time, port));
            }
        }
    }

    #[test]
    fn an_unordered_sequence_is_complete_when_all_steps_were_seen_in_time(events in events()) {
        let mut engine = engine(
            "rules: [{name: a, sequence: {within: 6s, ordered: false, by: [source.ip], steps: [\
             {event: network_connection, condition: destination.port == 1}, \
             {event: network_connection, condition: destination.port == 2}, \
             {event: network_connection, condition: destination.port == 3}]}}]",
        );
        let mut seen: BTreeMap<u8, VecDeque<(u64, i64)>> = BTreeMap::new();
        for (time, from, port, _) in events {
            let seen = seen.entry(from).or_default();
            seen.push_back((time, port));
            seen.retain(|(before, _)| time - before <= 6);
            let complete = [1, 2, 3].iter().all(|step| seen.iter().any(|(_, port)| port == step)) && (1..=3).contains(&port);
            prop_assert_eq!(fires(&mut engine, &connection(time, from, port, 0)), complete);
            if complete {
                seen.clear();
            }
        }
    }

    #[test]
    fn an_engine_that_goes_on_from_a_snapshot_fires_as_the_one_that_it_was_taken_of(events in events(), at in 0..80usize) {
        let names = |engine: &mut Engine, (time, from, port, sent): (u64, u8, i64, i64)| {
            let mut names = Vec::new();
            engine.evaluate(&connection(time, from, port, sent), |found| names.push((found.rule.name.clone(), found.evidence.clone())));
            names
        };
        let mut whole = engine(ALL_KINDS);
        let (before, after) = events.split_at(at.min(events.len()));
        for event in before {
            names(&mut whole, *event);
        }
        let kept = serde_json::to_string(&whole.snapshot()).unwrap();
        let mut restored = engine(ALL_KINDS);
        restored.restore(&serde_json::from_str(&kept).unwrap());
        for event in after {
            prop_assert_eq!(names(&mut restored, *event), names(&mut whole, *event));
        }
    }

    #[test]
    fn no_snapshot_makes_an_engine_panic(times in prop::collection::vec(any::<u64>(), 8), events in events()) {
        let mut snapshot = engine(ALL_KINDS);
        fires(&mut snapshot, &connection(1000, 1, 1, 0));
        fires(&mut snapshot, &connection(1000, 1, 3, 0));
        let mut json = serde_json::to_string(&snapshot.snapshot()).unwrap();
        // Every number that is a time, another one.
        for (number, time) in times.iter().enumerate() {
            if let Some(at) = json.match_indices("1000000000000").map(|(at, _)| at).nth(number) {
                json.replace_range(at..at + 13, &time.to_string());
            }
        }
        if let Ok(kept) = serde_json::from_str(&json) {
            let mut engine = engine(ALL_KINDS);
            engine.restore(&kept);
            for (time, from, port, sent) in events {
                fires(&mut engine, &connection(time, from, port, sent));
            }
        }
    }
}
