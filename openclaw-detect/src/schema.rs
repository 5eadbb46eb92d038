//! What a rule file may look like, as a JSON Schema: for editors, which check and complete with it.

use serde_json::{Value, json};

use crate::ast::Operator;
use crate::field::Type;
use crate::rule_file::stateful::MAX_STEPS;
use crate::rule_test::MAX_REPEAT;
use crate::{Action, EventKind, Field, Mode, Severity};

/// The schema (draft 2020-12).
pub fn rule_file() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "OpenClaw rule file",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "pack": pack(),
            "lists": {
                "description": "Lists of values by name, for the rules of all files.",
                "type": "object",
                "additionalProperties": { "anyOf": [
                    { "type": "array", "items": { "$ref": "#/$defs/value" } },
                    object(&[("append", json!({ "type": "array", "items": { "$ref": "#/$defs/value" } }))], &["append"]),
                ] },
            },
            "macros": {
                "description": "Conditions by name, for the rules of all files.",
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/condition" },
            },
            "rules": { "type": "array", "items": { "$ref": "#/$defs/rule" } },
            "overrides": { "type": "array", "items": over_ride() },
        },
        "$defs": {
            "value": { "type": ["string", "number", "boolean"] },
            "texts": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
            "time": {
                "description": "Such as 500ms, 10s, 5m, 1h30m or 7d.",
                "type": "string",
                "pattern": "^([0-9]+(ms|s|m|h|d))+$",
            },
            "condition": {
                "description": format!("Comparisons of fields, joined with AND, OR and NOT. The operators are {}.", Operator::NAMES.join(" ")),
                "type": "string",
            },
            "kinds": {
                "anyOf": [{ "$ref": "#/$defs/kind" }, { "type": "array", "items": { "$ref": "#/$defs/kind" } }],
            },
            "kind": { "enum": EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>() },
            "field": { "enum": fields(|_| true) },
            "plain_field": { "enum": fields(|value_type| value_type != Type::List) },
            "number_field": { "enum": fields(|value_type| value_type == Type::Int) },
            "by": {
                "description": "Fields by whose values events belong together.",
                "anyOf": [
                    { "$ref": "#/$defs/plain_field" },
                    { "type": "array", "items": { "$ref": "#/$defs/plain_field" } },
                ],
            },
            "severity": {
                "enum": Severity::ALL.iter().map(|severity| severity.name()).chain(["warning"]).collect::<Vec<_>>(),
            },
            "action": {
                "description": format!("{}, quarantine, joined with _and_.", Action::ALL.iter().map(|action| action.name()).collect::<Vec<_>>().join(", ")),
                "$ref": "#/$defs/texts",
            },
            "response": response(),
            "suppress": { "anyOf": [time(), object(&[("for", time()), ("by", by())], &["for"])] },
            "exceptions": {
                "type": "array",
                "items": object(
                    &[("name", json!({ "type": "string" })), ("condition", condition())],
                    &["name", "condition"],
                ),
            },
            "step": { "anyOf": [
                condition(),
                object(
                    &[("condition", condition()), ("event", json!({ "$ref": "#/$defs/kinds" })), ("by", by())],
                    &["condition"],
                ),
            ] },
            "test": test(),
            "rule": rule(),
        },
    })
}

fn fields(has: impl Fn(Type) -> bool) -> Vec<&'static str> {
    let fields = Field::ALL.iter().filter(|field| has(field.value_type()));
    fields.flat_map(|field| std::iter::once(field.name()).chain(field.aliases().iter().copied())).collect()
}

fn condition() -> Value {
    json!({ "$ref": "#/$defs/condition" })
}

fn time() -> Value {
    json!({ "$ref": "#/$defs/time" })
}

fn by() -> Value {
    json!({ "$ref": "#/$defs/by" })
}

/// An object with these keys and no others.
fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn response() -> Value {
    let scope = |action: Action| json!({ "enum": action.scopes().iter().map(|scope| scope.name()).collect::<Vec<_>>() });
    let escalation = [Action::Isolate, Action::Suspend, Action::Kill].map(Action::name);
    object(
        &[
            ("for", time()),
            ("isolate", scope(Action::Isolate)),
            ("suspend", scope(Action::Suspend)),
            ("kill", scope(Action::Kill)),
            ("run", json!({ "type": "array", "minItems": 1, "items": { "type": "string" } })),
            ("restart", json!({ "type": "string" })),
            ("webhook", json!({ "type": "string" })),
            ("mode", json!({ "enum": Mode::ALL.iter().map(|mode| mode.name()).collect::<Vec<_>>() })),
            (
                "escalate",
                json!({ "anyOf": [
                { "enum": escalation },
                { "type": "array", "items": { "enum": escalation } },
            ] }),
            ),
        ],
        &[],
    )
}

fn pack() -> Value {
    let text = json!({ "type": "string" });
    let requires = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let version = json!({ "type": ["string", "number"] });
    object(&[("name", text), ("version", version), ("requires", requires)], &["name", "version"])
}

/// What rules and overrides have in common.
fn changeable() -> Vec<(&'static str, Value)> {
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    vec![
        ("severity", reference("severity")),
        ("confidence", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        ("action", reference("action")),
        ("response", reference("response")),
        ("suppress", reference("suppress")),
        ("exceptions", reference("exceptions")),
        ("enabled", boolean()),
    ]
}

fn over_ride() -> Value {
    let threshold = object(&[("at_least", amount()), ("within", time())], &[]);
    let mut keys = vec![("rule", json!({ "type": "string" })), ("threshold", threshold)];
    keys.extend(changeable());
    object(&keys, &["rule"])
}

/// A number, or a size with its unit.
fn amount() -> Value {
    json!({ "type": ["integer", "string"] })
}

/// YAML 1.1 spells them in more ways, and the reader takes all of these.
fn boolean() -> Value {
    json!({ "enum": [true, false, "yes", "no", "on", "off"] })
}

fn rule() -> Value {
    let text = || json!({ "type": "string" });
    let plain = || json!({ "$ref": "#/$defs/plain_field" });
    let step = || json!({ "$ref": "#/$defs/step" });
    let threshold = [
        ("distinct", plain()),
        ("sum", json!({ "$ref": "#/$defs/number_field" })),
        ("at_least", amount()),
        ("within", time()),
        ("by", by()),
    ];
    let steps = json!({ "type": "array", "minItems": 2, "maxItems": MAX_STEPS, "items": step() });
    let sequence =
        [("steps", steps), ("ordered", boolean()), ("within", time()), ("by", by()), ("until", step())];
    let new = [("field", plain()), ("by", by()), ("learn", time())];
    let mut keys = vec![
        ("name", text()),
        ("description", text()),
        ("false_positives", text()),
        ("triage", text()),
        ("condition", condition()),
        ("event", json!({ "$ref": "#/$defs/kinds" })),
        ("threshold", object(&threshold, &["at_least", "within"])),
        ("sequence", object(&sequence, &["steps", "within"])),
        ("new", object(&new, &["field", "learn"])),
        ("tags", json!({ "$ref": "#/$defs/texts" })),
        ("tests", json!({ "type": "array", "items": { "$ref": "#/$defs/test" } })),
    ];
    keys.extend(changeable());
    object(&keys, &["name"])
}

fn test() -> Value {
    let mut event: serde_json::Map<String, Value> = Field::ALL
        .iter()
        .flat_map(|field| std::iter::once(field.name()).chain(field.aliases().iter().copied()))
        .map(|name| (name.to_owned(), json!({})))
        .collect();
    event.insert("event".to_owned(), json!({ "$ref": "#/$defs/kind" }));
    event.insert("after".to_owned(), time());
    event.insert("repeat".to_owned(), json!({ "type": "integer", "minimum": 1, "maximum": MAX_REPEAT }));
    let event = json!({
        "type": "object", "additionalProperties": false, "properties": event, "required": ["event"],
    });
    let count = || json!({ "type": "integer", "minimum": 0 });
    object(
        &[
            ("name", json!({ "type": "string" })),
            ("events", json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": event }] })),
            ("expect", count()),
            ("on", json!({ "anyOf": [count(), { "type": "array", "items": count() }] })),
        ],
        &["events", "expect"],
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rule_file::{self, stateful};
    use crate::{loader, pack, rule_test};

    fn keys(of: &Value) -> BTreeSet<String> {
        of["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_the_reader_has() {
        let schema = rule_file();
        let defs = &schema["$defs"];
        let rule = &defs["rule"];
        for (of, expected) in [
            (&schema, loader::FILE_KEYS),
            (rule, rule_file::KEYS),
            (&schema["properties"]["overrides"]["items"], rule_file::OVERRIDE_KEYS),
            (
                &schema["properties"]["overrides"]["items"]["properties"]["threshold"],
                stateful::OTHER_THRESHOLD_KEYS,
            ),
            (&schema["properties"]["pack"], pack::KEYS),
            (&rule["properties"]["threshold"], stateful::THRESHOLD_KEYS),
            (&rule["properties"]["sequence"], stateful::SEQUENCE_KEYS),
            (&rule["properties"]["new"], stateful::NEW_KEYS),
            (&defs["step"]["anyOf"][1], stateful::STEP_KEYS),
            (&defs["suppress"]["anyOf"][1], stateful::SUPPRESS_KEYS),
            (&defs["test"], rule_test::KEYS),
        ] {
            assert_eq!(keys(of), expected.iter().map(|key| (*key).to_owned()).collect(), "{expected:?}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = rule_file();
        let mut values = vec![&schema];
        while let Some(value) = values.pop() {
            if let Some(Value::String(to)) = value.get("$ref") {
                let name = to.strip_prefix("#/$defs/").unwrap();
                assert!(schema["$defs"].get(name).is_some(), "{to}");
            }
            values.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            values.extend(value.as_array().into_iter().flatten());
        }
    }
}
