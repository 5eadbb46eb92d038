//! Tests that a rule carries: events, and how often it is to fire on them.

use std::net::IpAddr;
use std::time::Duration;

use crate::diagnostic::Span;
use crate::engine::Engine;
use crate::field::Type;
use crate::reader::Reader;
use crate::ruleset::RuleSet;
use crate::yaml::{Key, Node, Tree};
use crate::{EventKind, Field, RecordedEvent, StrList, Timestamp, literal};

/// The keys of a test.
pub(crate) const KEYS: &[&str] = &["name", "events", "expect", "on"];

/// When the first event of a test happens: 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600_000_000_000;

/// From one event to the next where nothing else is said.
const STEP: Duration = Duration::from_millis(1);

/// Times that an event may be repeated.
pub(crate) const MAX_REPEAT: u64 = 100_000;

/// Events, and what a rule is to do on them.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleTest {
    /// What it shows.
    pub name: Option<String>,
    /// What happens.
    pub events: TestEvents,
    /// How often the rule is to fire.
    pub expect: usize,
    /// On which events, from 1; on any, where nothing is said.
    pub on: Option<Vec<usize>>,
    /// Where it is written: the source's name, and the line.
    pub place: (String, usize),
    /// In the source.
    pub(crate) span: Span,
}

/// What happens in a test.
#[derive(Debug, Clone, PartialEq)]
pub enum TestEvents {
    /// Events as they are written beside the rule.
    Inline(Inline),
    /// A file of events, one in JSON on each line, as `openclaw events --output json` prints them; beside the rule's.
    File(String),
}

/// Events as they are written beside a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Inline(Vec<Written>);

/// One event, or several that are alike.
#[derive(Debug, Clone, PartialEq)]
struct Written {
    kind: EventKind,
    /// The time since the event before.
    after: Duration,
    repeat: u64,
    /// Values as they are written; `{n}` in them is the number of the repetition.
    fields: Vec<(Field, Vec<String>)>,
}

/// What a rule did in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The events on which it fired, from 1.
    pub fired: Vec<usize>,
    /// Whether that is what was expected.
    pub passed: bool,
}

impl RuleTest {
    /// Runs the rule of that name over events: alone, and with nothing that it remembers.
    pub fn run(
        &self,
        rules: &RuleSet,
        rule: &str,
        events: impl IntoIterator<Item = RecordedEvent>,
    ) -> TestResult {
        let fired = fired(rules, rule, events);
        let as_said = self.on.as_ref().is_none_or(|on| *on == fired);
        TestResult { passed: fired.len() == self.expect && as_said, fired }
    }
}

/// The events, from 1, on which the rule of that name fires, alone and with nothing that it remembers.
fn fired(rules: &RuleSet, rule: &str, events: impl IntoIterator<Item = RecordedEvent>) -> Vec<usize> {
    let mut engine = Engine::new(rules.only(rule));
    let mut fired = Vec::new();
    for (number, event) in (1..).zip(events) {
        engine.evaluate(&event, |found| {
            if found.told {
                fired.push(number);
            }
        });
    }
    fired
}

impl Inline {
    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = RecordedEvent> {
        let mut now = START;
        let each = self.0.iter().flat_map(|written| (1..=written.repeat).map(move |n| (written, n)));
        each.filter_map(move |(written, n)| {
            now = now.saturating_add(u64::try_from(written.after.as_nanos()).unwrap_or(u64::MAX));
            // What does not fit was a mistake when the rules were read.
            written.event(n, Timestamp(now)).ok()
        })
    }
}

impl Written {
    /// The event of that repetition.
    fn event(&self, n: u64, time: Timestamp) -> Result<RecordedEvent, (Field, String)> {
        let mut event = RecordedEvent::new(self.kind, time);
        if let [action] = self.kind.actions() {
            event = event.with(Field::EventAction, *action);
        }
        for (field, texts) in &self.fields {
            let texts: Vec<String> = texts.iter().map(|text| text.replace("{n}", &n.to_string())).collect();
            event = with(event, *field, &texts).map_err(|message| (*field, message))?;
        }
        Ok(event)
    }
}

/// The event with a field that is written so.
fn with(event: RecordedEvent, field: Field, texts: &[String]) -> Result<RecordedEvent, String> {
    if field.value_type() == Type::List {
        let items: String = texts.iter().flat_map(|text| [text.as_str(), "\0"]).collect();
        return Ok(event.with(field, StrList::new(&items)));
    }
    let [text] = texts else { return Err("is one value, not a list".to_owned()) };
    match field.value_type() {
        Type::Int => match literal::number(text) {
            Ok(number) => Ok(event.with(field, number)),
            Err(message) => Err(format!("is a number: {message}")),
        },
        Type::Bool => match text.as_str() {
            "true" => Ok(event.with(field, true)),
            "false" => Ok(event.with(field, false)),
            _ => Err(format!("is true or false, not `{text}`")),
        },
        Type::Ip => match text.parse::<IpAddr>() {
            Ok(address) => Ok(event.with(field, address)),
            Err(_) => Err(format!("is an address, which `{text}` is not")),
        },
        Type::Str | Type::List => Ok(event.with(field, text.as_str())),
    }
}

/// Reads what is under `tests:`. The source's name and the line are filled in by who knows them.
pub(crate) fn read(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Vec<RuleTest> {
    let Tree::Sequence(items) = &value.value else {
        let message = format!("expected a list of tests, found {}", value.describe());
        reader.error_with_help(key.span, message, "begin each test with `- events:`");
        return Vec::new();
    };
    items.iter().filter_map(|item| test(reader, key, item)).collect()
}

fn test(reader: &mut Reader<'_>, key: &Key, item: &Node) -> Option<RuleTest> {
    let entries = reader.item(key, item, "write {events: [{event: KIND, FIELD: VALUE}], expect: 1}")?;
    let (mut name, mut events, mut expect, mut on) = (None, None, None, None);
    for (key, value) in entries {
        match key.name.as_str() {
            "name" => name = reader.text(key, value),
            "events" => events = self::events(reader, key, value),
            "expect" => expect = number(reader, key, value),
            "on" => {
                let numbers = reader.one_or_more(key, value).into_iter();
                let numbers: Vec<_> = numbers.map(|(text, span)| parsed(reader, text, span)).collect();
                on = numbers.into_iter().collect::<Option<Vec<usize>>>();
            }
            _ => reader.unknown_key(key, "a test", KEYS),
        }
    }
    reader.need(item.span, "this test", entries, &["events", "expect"]);
    let (events, expect) = (events?, expect?);
    if let Some(on) = on.as_ref().filter(|on| on.len() != expect) {
        reader.error(item.span, format!("`on` names {} events, and `expect` is {expect}", on.len()));
    }
    Some(RuleTest { name, events, expect, on, place: (String::new(), 0), span: item.span })
}

fn number(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<usize> {
    let text = reader.scalar(key, value)?;
    parsed(reader, text, value.span)
}

fn parsed(reader: &mut Reader<'_>, text: &str, span: Span) -> Option<usize> {
    let number = text.parse().ok();
    if number.is_none() {
        reader.error_with_help(span, format!("`{text}` is no count"), "write 0, 1, 2 …");
    }
    number
}

fn events(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<TestEvents> {
    match &value.value {
        Tree::Scalar(file) => Some(TestEvents::File(file.trim().to_owned())),
        Tree::Sequence(items) if items.is_empty() => {
            let help = "write [{event: KIND, FIELD: VALUE}], or FILE.jsonl";
            reader.error_with_help(value.span, "a test without events shows nothing", help);
            None
        }
        Tree::Sequence(items) => {
            let written: Vec<_> = items.iter().map(|item| written(reader, key, item)).collect();
            written.into_iter().collect::<Option<_>>().map(|written| TestEvents::Inline(Inline(written)))
        }
        _ => {
            let message = format!("expected events, or a file of events, found {}", value.describe());
            reader.error_with_help(key.span, message, "write [{event: KIND, FIELD: VALUE}], or FILE.jsonl");
            None
        }
    }
}

fn written(reader: &mut Reader<'_>, key: &Key, item: &Node) -> Option<Written> {
    let entries = reader.item(key, item, "write {event: process_create, process.name: nc}")?;
    let mut kind = None;
    let mut written = Written { kind: EventKind::ProcessCreate, after: STEP, repeat: 1, fields: Vec::new() };
    let mut places = Vec::new();
    let before = reader.problems.len();
    for (key, value) in entries {
        match key.name.as_str() {
            "event" => kind = reader.event(key, value).map(|kinds| (kinds, value.span)),
            "after" => {
                written.after = reader.duration(key, value, Duration::ZERO, "write 500ms, 10s or 1h")?;
            }
            "repeat" => written.repeat = repeat(reader, key, value)?,
            name => match Field::from_name(name) {
                Some(field) => {
                    places.push((field, key.span, value.span));
                    written.fields.push((field, reader.texts(key, value)));
                }
                None => reader.problems.push(crate::check::unknown_field(name, key.span)),
            },
        }
    }
    if !entries.iter().any(|(key, _)| key.name == "event") {
        reader.error_with_help(item.span, "this event has no `event`", "write event: KIND");
    }
    let (kinds, span) = kind?;
    let mut kinds = kinds.iter();
    written.kind = kinds.next()?;
    if kinds.next().is_some() {
        reader.error_with_help(span, "an event is of one kind", "write one event for each kind");
        return None;
    }
    for (field, span, _) in &places {
        if !field.kinds().contains(written.kind) {
            reader.error(*span, format!("{} has no `{}`", written.kind, field.name()));
        }
    }
    // If the first and the last are in order, so are those between.
    for n in [1, written.repeat] {
        if let Err((field, message)) = written.event(n, Timestamp(START))
            && let Some((.., span)) = places.iter().find(|(of, ..)| *of == field)
        {
            reader.error(*span, format!("`{}` {message}", field.name()));
            break;
        }
    }
    (reader.problems.len() == before).then_some(written)
}

fn repeat(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<u64> {
    let text = reader.scalar(key, value)?;
    let times = text.parse().ok().filter(|times| (1..=MAX_REPEAT).contains(times));
    if times.is_none() {
        reader.error(value.span, format!("`repeat` is a number from 1 to {MAX_REPEAT}"));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event as _, Source, Value};

    const SCAN: &str = r#"rules:
  - name: scan
    event: network_connection
    condition: network.direction == "inbound"
    threshold: {distinct: destination.port, at_least: 20, within: 10s, by: [source.ip]}
    tests:
      - name: twenty ports
        events:
          - {event: network_connection, repeat: 25, network.direction: inbound, source.ip: 192.0.2.1, destination.port: "10{n}"}
        expect: 1
        on: [20]
      - name: slowly
        events:
          - {event: network_connection, repeat: 25, after: 1s, network.direction: inbound, source.ip: 192.0.2.1, destination.port: "{n}"}
        expect: 0
      - name: from here and there
        events:
          - {event: network_connection, repeat: 25, network.direction: inbound, source.ip: "192.0.2.{n}", destination.port: "{n}"}
        expect: 1
"#;

    fn load(text: &str) -> RuleSet {
        RuleSet::load(&[Source { name: "x.yml".to_owned(), text: text.to_owned() }]).unwrap()
    }

    #[test]
    fn a_rules_tests_say_how_often_it_fires_and_on_what() {
        let rules = load(SCAN);
        let results: Vec<_> = rules
            .tests()
            .map(|(rule, test)| {
                let TestEvents::Inline(events) = &test.events else { panic!() };
                test.run(&rules, &rule.name, events.events())
            })
            .collect();
        let result = |fired: &[usize], passed| TestResult { fired: fired.to_vec(), passed };
        assert_eq!(results, [result(&[20], true), result(&[], true), result(&[], false)]);
        let (_, test) = rules.tests().next().unwrap();
        assert_eq!(test.place, ("x.yml".to_owned(), 7));
    }

    #[test]
    fn an_event_has_the_values_that_are_written_and_the_action_of_its_kind() {
        let rules = load(
            "rules:\n- name: a\n  condition: process.pid == 1\n  tests:\n  - expect: 0\n    events:\n    - {event: process_create, process.args: [a, b], process.memfd: true, process.uid: 7, process: 1-2}\n",
        );
        let (_, test) = rules.tests().next().unwrap();
        let TestEvents::Inline(events) = &test.events else { panic!() };
        let event = events.events().next().unwrap();
        assert_eq!(event.get(Field::EventAction), Some(Value::Str("exec")));
        assert_eq!(event.get(Field::ProcessArgs), Some(Value::List(StrList::new("a\0b\0"))));
        assert_eq!(event.get(Field::ProcessMemfd), Some(Value::Bool(true)));
        assert_eq!(event.process().unwrap().start, 2);
    }

    /// The events of a recording that ships.
    fn recorded(name: &str) -> Vec<RecordedEvent> {
        let text = Source::shipped_recording(&format!("rules/{name}")).unwrap_or_else(|| panic!("no {name}"));
        text.lines().map(|line| RecordedEvent::from_json(line.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn every_rule_that_ships_has_tests_of_which_some_fire_and_some_do_not_and_all_pass() {
        let rules = RuleSet::load(&Source::shipped()).unwrap();
        for rule in rules.iter() {
            let of_rule: Vec<_> = rules.tests().filter(|(of, _)| of.name == rule.name).collect();
            for wanted in [true, false] {
                let there = of_rule.iter().any(|(_, test)| (test.expect > 0) == wanted);
                assert!(there, "{} has no test that fires or does not", rule.name);
            }
            for (_, test) in of_rule {
                let events = match &test.events {
                    TestEvents::Inline(events) => events.events().collect(),
                    TestEvents::File(name) => recorded(name),
                };
                let result = test.run(&rules, &rule.name, events);
                assert!(result.passed, "{} {:?}: {result:?}", rule.name, test.name);
            }
        }
    }
}
