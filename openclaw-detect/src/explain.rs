//! Why a rule fires on an event, or does not: its conditions part by part, and where it stands.

use std::fmt::Write as _;

use serde::Serialize;

use crate::ast::Expr;
use crate::check::check;
use crate::definitions::Definitions;
use crate::engine::Engine;
use crate::eval::{Truth, evaluate};
use crate::rule::When;
use crate::ruleset::RuleSet;
use crate::{Event, Evidence, Field, Finding, RecordedEvent, Rule, Timestamp, Value, message, parser};

/// What a rule made of events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The rule's name.
    pub rule: String,
    /// The events on which it fired, from 1.
    pub fired: Vec<usize>,
    /// Its conditions, as they are of the last event; of a sequence one for each step.
    pub conditions: Vec<Explained>,
    /// What else has to do with whether it fires, in sentences.
    pub notes: Vec<String>,
}

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Which one: `condition`, `step 1`, `until`, or the name of an exception.
    pub name: String,
    /// It and its parts.
    pub part: Part,
}

/// A condition or a part of one, on an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// As it may be written; `AND`, `OR` and `NOT` alone where it has parts.
    pub text: String,
    /// Whether it is true; none where it is neither true nor false, for lack of a field.
    pub truth: Option<bool>,
    /// The value of the field that it asks for, of which long ones are cut; none where the event lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
    /// What it is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// Runs the rule of that name over events, and explains what it made of the last one; none where there is no such
/// rule or no event.
pub fn explain(rules: &RuleSet, name: &str, events: &[RecordedEvent]) -> Option<Explanation> {
    let rule = rules.get(name)?;
    let last = events.last()?;
    let mut engine = Engine::new(rules.only(name));
    let mut fired = Vec::new();
    let mut kept_back = false;
    for (number, event) in (1..).zip(events) {
        let before = engine.stats().suppressed;
        engine.evaluate(event, |found| {
            if found.told {
                fired.push(number);
            }
        });
        kept_back = engine.stats().suppressed > before;
    }
    let conditions = conditions(rule)
        .into_iter()
        .filter_map(|(name, text)| {
            let (part, _) = part(&parser::parse(text).ok()?, rules.definitions(), last)?;
            Some(Explained { name, part })
        })
        .collect::<Vec<_>>();
    let mut notes = Vec::new();
    if !rule.kinds.contains(last.kind()) {
        notes.push(format!("it does not run on {}: it runs on {}", last.kind(), rule.kinds));
    } else if kept_back {
        notes.push("it fired, and was not told: `suppress` keeps it back".to_owned());
    } else if rule.when == When::Turns && is_true(&conditions) && fired.last() != Some(&events.len()) {
        notes.push("it was true of the process already: it fires when it turns true".to_owned());
    }
    notes.extend(engine.standing(last));
    Some(Explanation { rule: name.to_owned(), fired, conditions, notes })
}

/// Explains why the rule of that name fired, or did not, on the event of a finding. Of a finding of the rule itself it
/// says what that rests on, for it is not seen from one event alone; none where there is no such rule.
pub fn explain_finding(
    rules: &RuleSet,
    name: &str,
    finding: &Finding,
    event: &RecordedEvent,
) -> Option<Explanation> {
    let mut explanation = explain(rules, name, std::slice::from_ref(event))?;
    if finding.rule == name {
        let rule = rules.get(name)?;
        explanation.fired = vec![1];
        explanation.notes = basis(rule, finding.evidence.clone().unwrap_or_default());
        if matches!(rule.when, When::Turns | When::Each | When::Threshold(_) | When::New(_))
            && !is_true(&explanation.conditions)
        {
            explanation.notes.push("it would not fire on it now: the rule, or a list, is another".to_owned());
        }
    }
    Some(explanation)
}

/// What a finding rests on beside its event, in sentences.
fn basis(rule: &Rule, evidence: Evidence) -> Vec<String> {
    let by: Vec<_> = evidence.key.iter().map(|key| format!("{} {}", key.field, key.value)).collect();
    let by = if by.is_empty() { String::new() } else { format!(", by {}", by.join(" and ")) };
    let since = evidence.since.map(|since| format!(", the first at {}", time(since))).unwrap_or_default();
    let mut notes = Vec::new();
    match (&rule.when, evidence.count) {
        (When::Threshold(threshold), Some(count)) => {
            notes.push(format!("it counted {count} of {}{by}{since}", threshold.at_least));
        }
        (When::Sequence(sequence), _) => {
            notes.push(format!("its {} steps came to pass{by}{since}", sequence.steps.len()));
        }
        (When::New(_), _) => notes.push(format!("it is new{by}")),
        _ => {}
    }
    if evidence.suppressed > 0 {
        notes.push(format!("{} firings before it were not told", evidence.suppressed));
    }
    notes
}

/// A time as RFC 3339 has it.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into()).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}

/// Whether the condition is true, and no exception.
fn is_true(conditions: &[Explained]) -> bool {
    let is_exception = |explained: &Explained| explained.name.starts_with("exception");
    conditions.iter().all(|explained| (explained.part.truth == Some(true)) != is_exception(explained))
}

/// The conditions of a rule with their names, as they are written.
fn conditions(rule: &Rule) -> Vec<(String, &str)> {
    let mut all = Vec::new();
    match &rule.when {
        When::Sequence(sequence) => {
            let steps = sequence.steps.iter().enumerate();
            all.extend(steps.map(|(i, step)| (format!("step {}", i + 1), step.condition.as_str())));
            all.extend(sequence.until.iter().map(|until| ("until".to_owned(), until.condition.as_str())));
        }
        _ => all.push(("condition".to_owned(), rule.condition.as_str())),
    }
    let exceptions = rule.exceptions.iter();
    all.extend(
        exceptions.map(|exception| (format!("exception: {}", exception.name), exception.condition.as_str())),
    );
    all
}

/// What is made of a condition on an event; none where it has a mistake, which no rule that was loaded has.
fn part(expr: &Expr, definitions: &Definitions, event: &RecordedEvent) -> Option<(Part, Truth)> {
    let all = |parts: &[Expr]| -> Option<(Vec<Part>, Vec<Truth>)> {
        let parts = parts.iter().map(|inner| part(inner, definitions, event));
        Some(parts.collect::<Option<Vec<_>>>()?.into_iter().unzip())
    };
    let mut saw = None;
    let (text, parts, truth) = match expr {
        Expr::And(parts) => {
            let (parts, truths) = all(parts)?;
            ("AND".to_owned(), parts, truths.into_iter().min()?)
        }
        Expr::Or(parts) => {
            let (parts, truths) = all(parts)?;
            ("OR".to_owned(), parts, truths.into_iter().max()?)
        }
        Expr::Not(inner) => {
            let (inner, truth) = part(inner, definitions, event)?;
            ("NOT".to_owned(), vec![inner], truth.not())
        }
        Expr::Test(test) => {
            saw = Field::from_name(test.subject().0).and_then(|field| event.get(field)).map(shown);
            (expr.to_string(), Vec::new(), evaluate(&check(expr, definitions).0?, event))
        }
        Expr::Macro(name) => {
            let inner = parser::parse(definitions.get_macro(&name.text)?.text()).ok()?;
            let (inner, truth) = part(&inner, definitions, event)?;
            (name.text.clone(), vec![inner], truth)
        }
    };
    let is_true = match truth {
        Truth::True => Some(true),
        Truth::False => Some(false),
        Truth::Unknown => None,
    };
    Some((Part { text, truth: is_true, saw, parts }, truth))
}

/// A value, for people.
fn shown(value: Value<'_>) -> String {
    let text = |text: &str| format!("\"{}\"", message::one_line(text));
    match value {
        Value::Str(value) => text(value),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Ip(address) => address.to_string(),
        Value::List(list) => {
            let mut shown = String::from("[");
            for (i, item) in list.iter().enumerate() {
                let _ = write!(shown, "{}{}", if i > 0 { ", " } else { "" }, text(item));
            }
            shown + "]"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventKind, ProcessId, Source};

    fn load(text: &str) -> RuleSet {
        RuleSet::load(&[Source { name: "x.yml".to_owned(), text: text.to_owned() }]).unwrap()
    }

    fn exec(name: &str) -> RecordedEvent {
        RecordedEvent::new(EventKind::ProcessCreate, Timestamp(1))
            .with_process(ProcessId { pid: 7, start: 1 })
            .with(Field::ProcessName, name)
            .with(Field::ProcessUid, 0)
    }

    /// The parts of a condition, one a line, those of a part behind it.
    fn lines(part: &Part, depth: usize, out: &mut String) {
        let truth = part.truth.map_or("neither", |truth| if truth { "true" } else { "false" });
        let saw = part.saw.as_ref().map(|saw| format!(" ({saw})")).unwrap_or_default();
        out.push_str(&format!("{}{truth}: {}{saw}\n", "  ".repeat(depth), part.text));
        part.parts.iter().for_each(|part| lines(part, depth + 1, out));
    }

    #[test]
    fn each_part_of_a_condition_says_what_it_is_and_what_it_saw() {
        let rules = load(
            "macros: {shell: process.name startswith 'sh'}\nrules:\n- name: a\n  condition: (shell or process.tty exists) and not process.uid == 7 and process.exit_code == 1\n",
        );
        let explanation = explain(&rules, "a", &[exec("sh")]).unwrap();
        let mut shown = String::new();
        lines(&explanation.conditions[0].part, 0, &mut shown);
        let expected = "neither: AND\n  true: OR\n    true: shell\n      true: process.name startswith \"sh\" (\"sh\")\n    false: process.tty exists\n  true: NOT\n    false: process.uid == 7 (0)\n  neither: process.exit_code == 1\n";
        assert_eq!(shown, expected);
        assert!(explanation.fired.is_empty());
        assert_eq!(explanation.notes, ["it does not run on process_create: it runs on process_exit"]);
    }

    #[test]
    fn what_keeps_a_rule_from_firing_is_told() {
        let rules = load(
            "rules:\n- name: turns\n  condition: process.name == 'x'\n- name: excepted\n  condition: process.name == 'x'\n  exceptions: [{name: root, condition: process.uid == 0}]\n- name: counts\n  event: process_create\n  condition: process.name == 'x'\n  threshold: {at_least: 5, within: 1m, by: [process.pid]}\n- name: follows\n  sequence:\n    within: 1m\n    by: [process]\n    steps: [process.name == 'x', process.name == 'y', process.name == 'z']\n- name: learns\n  event: process_create\n  condition: process.name exists\n  new: {field: process.name, learn: 1h}\n- name: quiet\n  event: process_create\n  condition: process.name exists\n  suppress: 1h\n",
        );
        let notes = |rule: &str, names: &[&str]| {
            let events: Vec<_> = names.iter().map(|name| exec(name)).collect();
            explain(&rules, rule, &events).unwrap().notes.join("; ")
        };
        assert_eq!(
            notes("turns", &["x", "x"]),
            "it was true of the process already: it fires when it turns true"
        );
        let other = RecordedEvent::new(EventKind::ProcessCreate, Timestamp(3_600_000_000_000))
            .with_process(ProcessId { pid: 7, start: 1 })
            .with(Field::ProcessName, "other")
            .with(Field::ProcessPid, 7);
        let later = explain(&rules, "counts", &[exec("x"), exec("x"), other]).unwrap();
        assert_eq!(later.notes, ["it counts 0 of 5, by process.pid 7"], "an hour later");
        assert_eq!(notes("excepted", &["x"]), "");
        assert_eq!(notes("counts", &["x", "x"]), "it counts 2 of 5, by process.pid 7");
        assert_eq!(notes("follows", &["x", "y"]), "step 2 of 3 was reached, by process.entity_id 7-1");
        assert_eq!(notes("follows", &["z"]), "no step was reached, by process.entity_id 7-1");
        assert_eq!(notes("learns", &["x"]), "it learns for another 1h");
        assert_eq!(
            notes("quiet", &["x", "x", "x"]),
            "it fired, and was not told: `suppress` keeps it back; it keeps quiet for another 1h: 2 firings were not told"
        );
    }

    #[test]
    fn a_finding_of_the_rule_says_what_it_counted() {
        let rules = load(
            "rules:\n- {name: counts, event: process_create, condition: process.name == 'x', threshold: {at_least: 3, within: 1m, by: [process.pid]}}\n- {name: other, condition: process.name == 'y'}\n",
        );
        let mut engine = Engine::new(rules.clone());
        let mut findings = Vec::new();
        for _ in 0..3 {
            let event = exec("x");
            engine.evaluate(&event, |found| findings.push(Finding::new("1".to_owned(), found, &event)));
        }
        let explained = |rule, event| explain_finding(&rules, rule, &findings[0], &event).unwrap();
        let of_itself = explained("counts", exec("x"));
        assert_eq!(of_itself.fired, [1]);
        let counted = "it counted 3 of 3, by process.pid 7, the first at 1970-01-01T00:00:00.000000001Z";
        assert_eq!(of_itself.notes, [counted]);
        assert!(explained("counts", exec("z")).notes[1].starts_with("it would not fire on it now"));
        assert!(explained("other", exec("x")).fired.is_empty());
    }
}
