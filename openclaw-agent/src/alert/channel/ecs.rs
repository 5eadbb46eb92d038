//! An alert as a document of the Elastic Common Schema (<https://www.elastic.co/docs/reference/ecs>).

use openclaw_detect::Severity;
use serde_json::{Value, json};

use crate::alert::Alert;

/// The version of the schema whose fields are used.
const VERSION: &str = "8.17.0";

/// The document: the fields of the event, with what the alert says of it. What the schema has no field for stands under
/// `openclaw`.
pub(super) fn document(alert: &Alert) -> Value {
    let details = &alert.details;
    let mut document = match &details["event"] {
        event @ Value::Object(_) => event.clone(),
        _ => json!({}),
    };
    let fields = json!({
        "@timestamp": alert.timestamp,
        "message": alert.message,
        "ecs": {"version": VERSION},
        "event": {
            "kind": "alert",
            "id": alert.id,
            "severity": severity(alert.severity),
            "provider": "openclaw",
        },
        "rule": {"name": details["rule"], "description": alert.title},
        "tags": details["tags"],
        "host": {"name": details["host"]},
        "openclaw": {"severity": alert.severity, "trigger": alert.trigger, "title": alert.title, "details": rest(details)},
    });
    merge(&mut document, fields);
    document
}

/// Details that have no field of their own.
fn rest(details: &Value) -> Value {
    let mut rest = details.clone();
    if let Value::Object(map) = &mut rest {
        for key in ["event", "rule", "tags", "host"] {
            map.remove(key);
        }
    }
    rest
}

/// Numbers by which Elastic's own rules tell severities apart.
fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 99,
        Severity::High => 73,
        Severity::Medium => 47,
        Severity::Low => 21,
        Severity::Info => 1,
    }
}

/// Puts fields into a document, object by object. What is not known changes nothing.
fn merge(document: &mut Value, fields: Value) {
    match (document, fields) {
        (Value::Object(document), Value::Object(fields)) => {
            for (key, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
                merge(document.entry(key).or_insert(Value::Null), value);
            }
        }
        (document, value) => *document = value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::channel::tests::alert;

    #[test]
    fn the_fields_of_the_event_stay_and_those_of_the_alert_come_to_them() {
        let mut alert = alert();
        alert.details["event"] = json!({
            "@timestamp": "2026-01-30T22:30:44Z", "event": {"kind": "event", "category": ["process"]}, "tags": ["old"],
            "process": {"pid": 7}, "host": {"name": "old", "os": {"type": "linux"}},
        });
        let document = document(&alert);
        assert_eq!(document["@timestamp"], "2026-01-30T22:30:45.123Z");
        assert_eq!(document["event"]["kind"], "alert");
        assert_eq!(document["event"]["category"], json!(["process"]));
        assert_eq!((&document["event"]["id"], &document["event"]["severity"]), (&json!("a1"), &json!(99)));
        assert_eq!(document["host"], json!({"name": "web-1", "os": {"type": "linux"}}));
        assert_eq!(
            (&document["process"]["pid"], &document["rule"]["name"]),
            (&json!(7), &json!("brute_force"))
        );
        assert_eq!(document["openclaw"]["details"]["ip"], "192.168.1.100");
        assert!(document["openclaw"]["details"].get("event").is_none());
    }

    #[test]
    fn an_alert_of_no_event_is_a_document_too() {
        let mut alert = alert();
        alert.details = json!({"target": "192.0.2.7"});
        let document = document(&alert);
        assert_eq!(
            (&document["event"]["kind"], &document["message"]),
            (&json!("alert"), &json!(alert.message))
        );
        assert!(document["rule"].get("name").is_none_or(Value::is_null));
    }
}
