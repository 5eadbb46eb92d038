//! Thresholds, sequences, what is new and what is not told again, against plain models of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use crate::engine::EngineStats;
use crate::{Engine, EventKind, Field, Limits, Match, RecordedEvent, RuleSet, Snapshot, Source, Timestamp};

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

/// Whether a rule fires, and it is told.
fn fires(engine: &mut Engine, event: &RecordedEvent) -> bool {
    let mut fired = false;
    engine.evaluate(event, |found| fired |= found.told);
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

#[test]
fn what_was_told_of_each_process_and_address_is_kept_back_where_suppress_names_no_key() {
    let mut engine = engine("rules: [{name: a, condition: destination.port == 22, suppress: 1h}]");
    let mut told = |pid: u32, to: u8| {
        let event = RecordedEvent::new(EventKind::NetworkConnection, Timestamp(SECOND))
            .with_process(crate::ProcessId { pid, start: 1 })
            .with(Field::NetworkDirection, "outbound")
            .with(Field::DestinationIp, std::net::IpAddr::from([192, 0, 2, to]));
        fires(&mut engine, &event.clone().with(Field::DestinationPort, 23));
        fires(&mut engine, &event.with(Field::DestinationPort, 22))
    };
    assert!(told(1, 1) && told(2, 1) && told(1, 2), "others are others");
    assert!(!told(1, 1) && !told(2, 1));
}

#[test]
fn what_is_not_told_is_answered_nonetheless() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port == 22, action: block_and_alert, \
         suppress: 1h}]",
    );
    let mut told = Vec::new();
    for time in 0..3 {
        engine.evaluate(&connection(time, 1, 22, 0), |found| told.push(found.told));
    }
    assert_eq!(told, [true, false, false]);
    assert_eq!(engine.stats().suppressed, 2);
}

#[test]
fn what_was_told_long_ago_is_forgotten_without_being_missed() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         suppress: {for: 1s, by: [destination.port]}}]",
    );
    for port in 0..10_000u16 {
        assert!(fires(&mut engine, &connection(10 * u64::from(port), 1, port.into(), 0)));
    }
    let EngineStats { remembered, evicted, .. } = engine.stats();
    assert!(remembered <= 2 && evicted == 0, "{remembered} {evicted}");
}

#[test]
fn a_clock_that_is_set_back_does_not_lengthen_what_is_learnt() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         new: {field: destination.port, learn: 7d}}]",
    );
    let day = 86_400;
    let mut ask = |day_of: u64, port| fires(&mut engine, &connection(1000 * day + day_of * day, 1, port, 0));
    assert!(!ask(0, 1) && !ask(6, 1), "it learns");
    // Set back by five days: one day more is to be learnt.
    assert!(!ask(1, 2));
    assert!(ask(2, 3));
}

#[test]
fn what_a_clock_that_was_set_back_has_left_in_the_future_does_not_keep_windows_from_being_forgotten() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         threshold: {at_least: 2, within: 1s, by: [destination.port]}}]",
    );
    fires(&mut engine, &connection(1_000_000, 1, 65_535, 0));
    for port in 0..1000u16 {
        fires(&mut engine, &connection(port.into(), 1, port.into(), 0));
    }
    let EngineStats { remembered, evicted, .. } = engine.stats();
    assert!(remembered <= 2 && evicted == 0, "{remembered} {evicted}");
}

#[test]
fn a_threshold_says_how_much_it_counted_and_when_the_first_of_it_happened() {
    let mut engine = engine(
        "rules: [{name: a, event: network_connection, condition: destination.port exists, \
         threshold: {at_least: 3, within: 30d}}]",
    );
    let mut evidence = Vec::new();
    for time in [1_790_001_234, 1_790_001_235, 1_790_001_236] {
        engine.evaluate(&connection(time, 1, 22, 0), |found| evidence.push(found.evidence));
    }
    assert_eq!(evidence[0].since, Some(Timestamp(1_790_001_234 * SECOND)));
    assert_eq!(evidence[0].count, Some(3));
}

#[test]
fn all_rules_together_take_no_more_than_their_bound_and_the_largest_makes_room() {
    let rule = |name: &str| {
        format!(
            "- {{name: {name}, event: network_connection, condition: destination.port exists, \
             threshold: {{at_least: 2, within: 1h, by: [destination.port]}}}}\n"
        )
    };
    let small = "- {name: small, event: network_connection, condition: destination.port == 0, new: {field: destination.port, learn: 1h}}\n";
    let rules = format!("rules:\n{}{}{}{small}", rule("a"), rule("b"), rule("c"));
    let source = Source { name: "x.yml".to_owned(), text: rules };
    let limits = Limits { all_bytes: 100_000, ..Limits::default() };
    let mut engine = Engine::with_limits(RuleSet::load(&[source]).unwrap(), limits);
    for port in 0..5_000 {
        fires(&mut engine, &connection(1, 1, port, 0));
    }
    let EngineStats { remembered, evicted, .. } = engine.stats();
    assert!(remembered > 300 && remembered < 1_200 && evicted > 13_000, "{remembered} {evicted}");
    let kept = serde_json::to_value(engine.snapshot()).unwrap();
    assert!(kept["rules"]["small"].is_object(), "what takes little stays");
}

/// An engine of other rules that goes on where `before` is: after a reload, and after a restart.
fn both_ways(before: &mut Engine, rules: &str) -> [Engine; 2] {
    let kept = serde_json::to_string(&before.snapshot()).unwrap();
    let (mut reloaded, mut restarted) = (engine(rules), engine(rules));
    restarted.restore(&serde_json::from_str(&kept).unwrap());
    reloaded.take_over(before);
    [reloaded, restarted]
}

fn exec(seconds: u64, name: &str) -> RecordedEvent {
    RecordedEvent::new(EventKind::ProcessCreate, Timestamp(seconds * SECOND))
        .with_process(crate::ProcessId { pid: 1, start: 1 })
        .with(Field::ProcessName, name)
}

#[test]
fn a_rule_whose_steps_are_others_begins_its_sequences_anew() {
    let rules = |first: &str, list: &str, within: &str| {
        format!(
            "lists: {{l: [{list}]}}\nmacros: {{first: process.name == '{first}' or process.name in l}}\n\
             rules: [{{name: a, sequence: {{within: {within}, by: [process], steps: [{{event: process_create, condition: first}}, \
             {{event: process_create, condition: process.name == 'z'}}]}}}}]"
        )
    };
    for (after, goes_on) in [
        (rules("harmless", "x", "1h"), true),
        (rules("harmless", "x", "2h"), true),
        (rules("harmless", "x, y", "1h"), true),
        (rules("evil", "x", "1h"), false),
    ] {
        let mut before = engine(&rules("harmless", "x", "1h"));
        fires(&mut before, &exec(1, "harmless"));
        for mut engine in both_ways(&mut before, &after) {
            assert_eq!(fires(&mut engine, &exec(2, "z")), goes_on, "{after}");
        }
    }
}

#[test]
fn a_threshold_that_was_reached_is_reached_anew_where_its_rule_asks_for_something_else() {
    let rules = |condition: &str, list: &str| {
        format!(
            "lists: {{bad: [{list}]}}\nrules: [{{name: a, event: process_create, condition: {condition}, \
             threshold: {{at_least: 3, within: 1h}}}}]"
        )
    };
    // What was counted stays where a list is another; where the condition is, nothing is counted yet.
    for (after, expected) in [
        (rules("process.name in bad", "noise"), [false; 4]),
        (rules("process.name in bad", "noise, evil"), [true, false, false, false]),
        (rules("process.name == 'evil'", "noise"), [false, false, true, false]),
    ] {
        let mut before = engine(&rules("process.name in bad", "noise"));
        for time in 0..10 {
            fires(&mut before, &exec(time, "noise"));
        }
        for mut engine in both_ways(&mut before, &after) {
            let fired = [20, 21, 22, 23].map(|time| fires(&mut engine, &exec(time, "evil")));
            assert_eq!(fired, expected, "{after}");
        }
    }
}

#[test]
fn what_is_learnt_stays_when_a_rule_is_changed_or_disabled_for_a_while() {
    let rule = |more: &str| {
        format!(
            "rules: [{{name: a, event: process_create, condition: process.name exists, \
             new: {{field: process.name, learn: 1h}}{more}}}, {{name: other, condition: process.pid == 99}}]"
        )
    };
    for changed in
        [", suppress: 1h", ", severity: low", ", exceptions: [{name: e, condition: process.uid == 7}]"]
    {
        let mut before = engine(&rule(""));
        fires(&mut before, &exec(1, "known"));
        for mut engine in both_ways(&mut before, &rule(changed)) {
            assert!(!fires(&mut engine, &exec(7200, "known")), "{changed}");
            assert!(fires(&mut engine, &exec(7200, "evil")), "{changed}");
        }
    }
    let mut before = engine(&rule(""));
    fires(&mut before, &exec(1, "known"));
    for mut without in both_ways(&mut before, &rule(", enabled: false")) {
        fires(&mut without, &exec(2, "known"));
        for mut again in both_ways(&mut without, &rule("")) {
            assert!(!fires(&mut again, &exec(7200, "known")) && fires(&mut again, &exec(7200, "evil")));
        }
    }
}

#[test]
fn what_was_told_is_told_again_where_its_rule_asks_for_something_else() {
    let rule = |name: &str, time: &str| {
        format!(
            "rules: [{{name: a, event: process_create, condition: process.name == '{name}', suppress: {time}}}]"
        )
    };
    for (after, is_told) in [(rule("x", "2h"), false), (rule("y", "1h"), true)] {
        let mut before = engine(&rule("x", "1h"));
        assert!(fires(&mut before, &exec(1, "x")));
        for mut engine in both_ways(&mut before, &after) {
            let fired = fires(&mut engine, &exec(2, "x")) || fires(&mut engine, &exec(2, "y"));
            assert_eq!(fired, is_told, "{after}");
        }
    }
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
    let other = serde_json::from_str::<Snapshot>("{\"version\":1,\"rules\":{\"a\":{\"shape\":\"new\"}}}");
    assert!(other.unwrap_err().to_string().starts_with(Snapshot::OTHER_VERSION));
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
    fn an_event_that_comes_late_counts_at_the_time_of_the_newest_and_a_clock_set_back_begins_anew(
        events in prop::collection::vec((-20..5i64, 1..4i64), 0..80), rule in 0..RULES_OF_TIME.len()
    ) {
        let (rule, begins_anew_after, ports) = RULES_OF_TIME[rule];
        let rules = format!("rules: [{{name: a, {rule}}}]");
        let (mut raw, mut mended) = (engine(&rules), engine(&rules));
        let (mut now, mut newest) = (1000, 0);
        for (later, port) in events {
            now = (now + later).max(0);
            if !ports.contains(&port) {
                continue;
            }
            if now + begins_anew_after < newest {
                mended = engine(&rules);
                newest = now;
            }
            newest = newest.max(now);
            let ask = |engine: &mut Engine, time: i64| fires(engine, &connection(time.unsigned_abs(), 1, port, 0));
            let fired = ask(&mut raw, now);
            prop_assert_eq!(fired, ask(&mut mended, newest), "at {}", now);
            if fired && rules.contains("sequence") {
                // Its key begins anew.
                newest = 0;
            }
        }
    }

    #[test]
    fn no_snapshot_makes_an_engine_panic(numbers in prop::collection::vec(any::<u64>(), 1..40), events in events()) {
        let mut engine = engine(ALL_KINDS);
        for (from, port) in [(1, 1), (1, 3), (2, 1), (2, 4)] {
            fires(&mut engine, &connection(1000, from, port, 0));
        }
        let mut json = serde_json::to_value(engine.snapshot()).unwrap();
        let mut numbers = numbers.iter().cycle();
        let mut altered = 0;
        json["rules"].as_object_mut().unwrap().values_mut().for_each(|rule| alter(rule, &mut numbers, &mut altered));
        prop_assert!(altered >= 20, "{}", json);
        engine = self::engine(ALL_KINDS);
        engine.restore(&serde_json::from_value(json).unwrap());
        for (time, from, port, sent) in events {
            fires(&mut engine, &connection(time, from, port, sent));
        }
        engine.snapshot();
    }
}

/// Rules that have to do with time, each with by how many seconds a clock must be set back for it to begin anew, and the
/// ports that have to do with it.
const RULES_OF_TIME: [(&str, i64, &[i64]); 3] = [
    (
        "event: network_connection, condition: destination.port == 1, threshold: {at_least: 3, within: 8s}",
        7,
        &[1],
    ),
    (
        "event: network_connection, condition: destination.port exists, \
         threshold: {distinct: destination.port, at_least: 3, within: 8s}",
        7,
        &[1, 2, 3],
    ),
    (
        "sequence: {within: 6s, ordered: false, steps: [{event: network_connection, condition: destination.port == 1}, \
         {event: network_connection, condition: destination.port == 2}]}",
        6,
        &[1, 2],
    ),
];

/// Puts another number in the place of each.
fn alter<'a>(json: &mut serde_json::Value, numbers: &mut impl Iterator<Item = &'a u64>, altered: &mut usize) {
    match json {
        serde_json::Value::Number(number) => {
            *number = (*numbers.next().unwrap()).into();
            *altered += 1;
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| alter(item, numbers, altered)),
        serde_json::Value::Object(entries) => {
            entries.values_mut().for_each(|entry| alter(entry, numbers, altered));
        }
        _ => {}
    }
}
