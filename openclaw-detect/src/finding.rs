//! A rule that fired on an event: what the SOC hears of, and what is answered.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::engine::remote;
use crate::literal::Time;
use crate::rule::{KeyValue, Match, When};
use crate::{
    Action, Event, EventKind, Evidence, Field, KindSet, ProcessId, Response, Rule, Severity, Timestamp,
    Value, json, message,
};

/// A match of a rule, with everything that an answer or a reader needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Unique, and in the order of time.
    pub id: String,
    /// The rule's name.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// One line: what was found.
    pub title: String,
    /// One sentence that says what happened, to be read without the event.
    pub message: String,
    /// When the event happened.
    pub timestamp: Timestamp,
    /// What the rule asks for.
    pub actions: Vec<Action>,
    /// How that is done.
    #[serde(default, skip_serializing_if = "Response::is_default")]
    pub response: Response,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// The process that did it.
    pub process: Option<ProcessId>,
    /// The other side of the connection, where there is one: what `block` would cut off.
    pub remote: Option<IpAddr>,
    /// Whether it is kept from being told, as the rule's `suppress` has it, and is there to be answered alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
    /// What it rests on beside the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The event as ECS JSON.
    pub event: serde_json::Value,
}

impl Finding {
    /// The finding of a rule that fired on an event. `id` must be unique, and in the order of time.
    pub fn new(
        id: String,
        Match { rule, evidence, told }: Match<'_>,
        event: &(impl Event + ?Sized),
    ) -> Finding {
        let evidence = Some(evidence).filter(|evidence| *evidence != Evidence::default());
        let basis = basis(rule, evidence.as_ref());
        Finding {
            id,
            rule: rule.name.clone(),
            severity: rule.severity,
            confidence: rule.confidence,
            title: format!("{}: {}", rule.name, headline(event)),
            message: format!("{} — rule {}{basis}", message::describe(event), rule.name),
            timestamp: event.time(),
            actions: rule.actions.clone(),
            response: rule.response.clone(),
            tags: rule.tags.clone(),
            process: event.process(),
            remote: remote(event),
            quiet: !told,
            evidence,
            event: json::to_json(event),
        }
    }
}

impl Finding {
    /// A finding of the sensor about itself, of no rule: `name` stands in the place of the rule's. `facts` is told as its
    /// event.
    pub fn of_sensor(
        id: String,
        name: &str,
        timestamp: Timestamp,
        message: &str,
        facts: &impl Serialize,
    ) -> Finding {
        Finding {
            id,
            rule: name.to_owned(),
            severity: Severity::High,
            confidence: 1.0,
            title: format!("{name}: {message}"),
            message: message.to_owned(),
            timestamp,
            actions: vec![Action::Alert],
            response: Response::default(),
            tags: Vec::new(),
            process: None,
            remote: None,
            quiet: false,
            evidence: None,
            event: serde_json::json!({
                "event": { "kind": "state", "module": "openclaw", "dataset": name },
                "openclaw": { name: facts },
            }),
        }
    }
}

/// What the finding rests on beside the event: `: 20 different destination.port within 10s by source.ip 192.0.2.7`.
fn basis(rule: &Rule, evidence: Option<&Evidence>) -> String {
    let mut basis = match &rule.when {
        When::Turns | When::Each => String::new(),
        When::Threshold(threshold) => format!(": {threshold}"),
        When::Sequence(sequence) => {
            format!(": {} steps within {}", sequence.steps.len(), Time(sequence.within))
        }
        When::New(new) => format!(": {} is new", new.field.name()),
    };
    let Some(evidence) = evidence else { return basis };
    for (i, KeyValue { field, value }) in evidence.key.iter().enumerate() {
        let word = if i == 0 { " by" } else { " and" };
        basis.push_str(&format!("{word} {field} {}", message::one_line(value)));
    }
    if evidence.suppressed > 0 {
        basis.push_str(&format!("; {} more like it were not told", evidence.suppressed));
    }
    basis
}

/// What the finding is about, in a few words.
fn headline(event: &(impl Event + ?Sized)) -> String {
    let named = |field, unnamed: &str| match event.get(field) {
        Some(Value::Str(name)) => message::one_line(name),
        _ => unnamed.to_owned(),
    };
    let who = named(Field::ProcessName, "an unknown process");
    match (event.kind(), remote(event), event.get(Field::FilePath)) {
        (kind, address, _) if KindSet::LOGS.contains(kind) => {
            let service = named(Field::ServiceName, "a log");
            address.map_or_else(|| service.clone(), |address| format!("{address} at {service}"))
        }
        (EventKind::NetworkConnection, Some(address), _) if event.process().is_none() => address.to_string(),
        (EventKind::NetworkConnection, Some(address), _) => format!("{who} and {address}"),
        (EventKind::FileAccess, _, Some(Value::Str(path))) => format!("{who} on {}", message::one_line(path)),
        _ => who,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RecordedEvent, RuleSet, Source};

    #[test]
    fn a_finding_says_enough_to_act_on() {
        let rules = RuleSet::load(&Source::shipped()).unwrap();
        let event = RecordedEvent::new(EventKind::ProcessCreate, Timestamp(5))
            .with_process(ProcessId { pid: 4242, start: 1 })
            .with(Field::ProcessName, "nc")
            .with(Field::ProcessUid, 1000)
            .with(Field::ProcessParentName, "bash")
            .with(Field::ProcessCommandLine, "nc -lvp 4444");
        let finding = Finding::new(
            "1".to_owned(),
            Match {
                rule: rules.get("suspicious_process").unwrap(),
                evidence: Evidence::default(),
                told: true,
            },
            &event,
        );
        assert_eq!(finding.title, "suspicious_process: nc");
        assert_eq!(
            finding.message,
            "nc (pid 4242, user 1000, parent bash) ran: nc -lvp 4444 — rule suspicious_process"
        );
        assert_eq!(finding.process, Some(ProcessId { pid: 4242, start: 1 }));
        assert_eq!(finding.actions, [Action::Alert, Action::Isolate]);
        assert_eq!(finding.event["process"]["parent"]["name"], "bash");
        let json = serde_json::to_string(&finding).unwrap();
        assert_eq!(serde_json::from_str::<Finding>(&json).unwrap(), finding);
    }
}
