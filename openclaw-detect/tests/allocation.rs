//! What rules take of memory: nothing for an event that matches nothing, and never more than a bound.

mod counting;
mod generated;

use counting::{allocations, held};
use openclaw_detect::{
    Engine, Event, EventKind, Field, ProcessId, RecordedEvent, RuleSet, Source, Timestamp, Value, json,
};

fn event(kind: EventKind, pid: u32, name: &str) -> RecordedEvent {
    RecordedEvent::new(kind, Timestamp(1))
        .with_process(ProcessId { pid, start: 1 })
        .with(Field::ProcessName, name)
        .with(Field::ProcessParentName, "bash")
        .with(Field::ProcessUid, 1000)
        .with(Field::UserNormalUid, 1000)
        .with(Field::NetworkOutboundBytes, 5)
}

#[test]
fn an_event_that_matches_nothing_takes_no_memory() {
    let mut engine = Engine::new(RuleSet::load(&Source::shipped()).unwrap());
    let quiet: Vec<_> = EventKind::ALL.iter().map(|kind| event(*kind, 1, "ls")).collect();
    let evaluate = |engine: &mut Engine, events: &[RecordedEvent]| {
        allocations(|| {
            for event in events {
                engine.evaluate(event, |found| panic!("{} fired", found.rule.name));
            }
        })
    };
    assert_eq!(evaluate(&mut engine, &quiet), 0);
    let netcat = [event(EventKind::ProcessCreate, 2, "nc")];
    engine.evaluate(&netcat[0], |_| {});
    assert_eq!(engine.stats().active, 1);
    assert_eq!(evaluate(&mut engine, &quiet), 0, "with a rule that is true of another process");
    assert_eq!(evaluate(&mut engine, &netcat), 0, "of what was true already");
}

/// Rules of every kind that remembers.
const REMEMBERING: &str = "rules:
- {name: count, event: process_create, condition: process.name startswith 'c', threshold: {at_least: 1000, within: 1h, by: [process]}}
- {name: distinct, event: process_create, condition: process.name startswith 'c', threshold: {distinct: process.name, at_least: 100, within: 1h}}
- {name: new, event: process_create, condition: process.name startswith 'c', new: {field: process.name, by: [process.parent], learn: 7d}}
- name: sequence
  sequence:
    within: 1h
    by: [process]
    steps: [process.name == 'c', process.name == 'd']
";

#[test]
fn rules_that_remember_take_no_memory_for_what_they_do_not_match_or_know_already() {
    let source = Source { name: "x.yml".to_owned(), text: REMEMBERING.to_owned() };
    let mut engine = Engine::new(RuleSet::load(&[source]).unwrap());
    let other = event(EventKind::ProcessCreate, 1, "ls");
    let counted = event(EventKind::ProcessCreate, 2, "c");
    let evaluate = |engine: &mut Engine, event: &RecordedEvent| {
        allocations(|| engine.evaluate(event, |found| panic!("{} fired", found.rule.name)))
    };
    assert_eq!(evaluate(&mut engine, &other), 0);
    assert!(evaluate(&mut engine, &counted) > 0, "what is remembered is somewhere");
    assert_eq!(evaluate(&mut engine, &counted), 0);
    assert_eq!(evaluate(&mut engine, &other), 0);
}

#[test]
fn writing_an_event_takes_no_memory_but_the_buffers() {
    let event = event(EventKind::NetworkConnection, 1, "ls");
    let mut out = Vec::with_capacity(4096);
    json::write(&event, &mut out);
    out.clear();
    assert_eq!(allocations(|| json::write(&event, &mut out)), 0);
}

#[test]
fn an_event_that_matches_none_of_a_thousand_rules_takes_no_memory_though_many_of_them_remember() {
    let mut engine = Engine::new(generated::load(&generated::rules(1000)));
    let events = generated::events();
    let evaluate = |engine: &mut Engine| {
        allocations(|| {
            for event in &events {
                engine.evaluate(event, |found| panic!("{} fired", found.rule.name));
            }
        })
    };
    assert_eq!(evaluate(&mut engine), 0);
}

#[test]
fn a_thousand_rules_take_less_than_twenty_mebibytes() {
    let (engine, bytes) = held(|| Engine::new(generated::load(&generated::rules(1000))));
    assert!(bytes < 20 << 20, "{bytes} bytes");
    assert_eq!(engine.stats().rules, 1000);
}

/// Rules that remember something of each connection.
const FLOODED: &str = "rules:
- {name: count, event: network_connection, condition: source.ip exists, threshold: {at_least: 1000000, within: 1h, by: [source.ip]}}
- {name: new, event: network_connection, condition: source.ip exists, new: {field: source.ip, learn: 7d}}
";

#[test]
fn a_flood_of_ten_million_keys_takes_no_more_memory_than_one_of_a_million() {
    let source = Source { name: "x.yml".to_owned(), text: FLOODED.to_owned() };
    let mut engine = Engine::new(RuleSet::load(&[source]).unwrap());
    let mut flood = |numbers: std::ops::Range<u32>| {
        held(|| {
            for number in numbers {
                let event = Connection(number);
                engine.evaluate(&event, |found| panic!("{} fired", found.rule.name));
            }
        })
        .1
    };
    let first = flood(0..1_000_000);
    let rest = flood(1_000_000..10_000_000);
    assert!(first > 0 && rest <= 0, "{first} bytes, and then {rest}");
    let stats = engine.stats();
    assert!(stats.remembered < 100_000 && stats.evicted > 19_000_000, "{stats:?}");
}

/// A connection from an address of that number, which takes no memory of its own.
struct Connection(u32);

impl Event for Connection {
    fn kind(&self) -> EventKind {
        EventKind::NetworkConnection
    }

    fn time(&self) -> Timestamp {
        Timestamp(1_790_000_000_000_000_000)
    }

    fn process(&self) -> Option<ProcessId> {
        None
    }

    fn get(&self, field: Field) -> Option<Value<'_>> {
        (field == Field::SourceIp).then(|| Value::Ip(std::net::Ipv4Addr::from_bits(self.0).into()))
    }
}
