//! A message of syslog's (RFC 5424 6).

use jiff::Timestamp;
use openclaw_detect::Severity;
use serde_json::{Value, json};

use crate::alert::Alert;
use crate::alert::text::cut;
use crate::config::SyslogFormat;
use crate::output::text::Clean;

/// The structured data's name. 32473 is no organization's: it stands for one in examples (RFC 5612 4), since the project has
/// no number of its own.
const DATA: &str = "openclaw@32473";
/// The longest value in the structured data, in characters.
const LONGEST_VALUE: usize = 128;
/// What of a message is left for its text at least, in bytes, whatever the structured data.
const LEAST_TEXT: usize = 256;
/// The same of JSON, which cannot be cut anywhere: title and message of 16 characters, each of them twelve bytes, and the keys.
const LEAST_JSON: usize = 768;
/// What begins a text in UTF-8 (RFC 5424 6.4).
const BOM: &str = "\u{feff}";

/// The message, of at most so many bytes where there is a limit.
pub(super) fn message(alert: &Alert, facility: u8, format: SyslogFormat, limit: Option<usize>) -> Vec<u8> {
    let limit = limit.unwrap_or(usize::MAX);
    let priority = facility * 8 + severity(alert.severity);
    let timestamp = match alert.timestamp.parse::<Timestamp>() {
        Ok(moment) => format!("{moment:.3}"),
        Err(_) => "-".to_owned(),
    };
    let (host, pid) = (printable(&named(&alert.details["host"]), 255), std::process::id());
    let trigger = named(&json!(alert.trigger));
    let mut head =
        format!("<{priority}>1 {timestamp} {host} openclaw {pid} {} [{DATA}", printable(&trigger, 32));
    let details = &alert.details;
    let least = match format {
        SyslogFormat::Text => LEAST_TEXT,
        SyslogFormat::Json => LEAST_JSON,
    };
    for (name, value) in [
        ("id", alert.id.clone()),
        ("rule", named(&details["rule"])),
        ("severity", named(&json!(alert.severity))),
        ("trigger", trigger),
        ("ip", named(&details["ip"])),
        ("user", named(&details["user"])),
        ("container", named(&details["container"])),
    ] {
        let parameter = format!(" {name}=\"{}\"", value_of(&value));
        if !value.is_empty() && head.len() + parameter.len() < limit.saturating_sub(least) {
            head.push_str(&parameter);
        }
    }
    head.push_str("] ");
    match format {
        SyslogFormat::Json => head.push_str(&super::json::json(alert, limit.saturating_sub(head.len()))),
        SyslogFormat::Text => {
            let text = format!("{BOM}{}", Clean(&format!("{}: {}", alert.title, alert.message)));
            head.push_str(&text[..text.floor_char_boundary(limit.saturating_sub(head.len()))]);
        }
    }
    head.into_bytes()
}

/// RFC 5424, table 2: critical, error, warning, notice, informational.
fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// A name, or that of what has one; nothing where there is none.
fn named(value: &Value) -> String {
    let value = match value {
        Value::Object(map) => map.get("name").or(map.get("id")).unwrap_or(&Value::Null),
        value => value,
    };
    value.as_str().unwrap_or_default().to_owned()
}

/// A field of the header: printable ASCII without spaces, `-` where there is none.
fn printable(text: &str, limit: usize) -> String {
    let text: String = text.chars().take(limit).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// A value in the structured data, in which three characters have a backslash before them (RFC 5424 6.3.3).
fn value_of(text: &str) -> String {
    let text = cut(&Clean(text).to_string(), LONGEST_VALUE);
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::channel::tests::{alert, alert_of};

    fn text(alert: &Alert) -> String {
        String::from_utf8(message(alert, 4, SyslogFormat::Text, None)).unwrap()
    }

    #[test]
    fn a_message_has_the_form_of_the_rfc() {
        let pid = std::process::id();
        assert_eq!(
            text(&alert()),
            format!(
                "<34>1 2026-01-30T22:30:45.123Z web-1 openclaw {pid} intrusion_detected [openclaw@32473 id=\"a1\" \
                 rule=\"brute_force\" severity=\"critical\" trigger=\"intrusion_detected\" ip=\"192.168.1.100\"] \
                 \u{feff}Intrusion Detected: Brute force attack detected from IP 192.168.1.100"
            )
        );
    }

    #[test]
    fn json_follows_without_a_mark_and_the_whole_is_no_longer_than_it_may_be() {
        let alert = alert_of(&"é".repeat(2000));
        let message = String::from_utf8(message(&alert, 4, SyslogFormat::Json, Some(4000))).unwrap();
        assert!(message.len() <= 4000 && message.len() > 3500, "{}", message.len());
        let json: Value = serde_json::from_str(&message[message.find("] {").unwrap() + 2..]).unwrap();
        assert_eq!(json["id"], alert.id);
    }

    /// What a receiver reads: the values of the structured data, and the text.
    fn parse(message: &str) -> Option<(Vec<String>, &str)> {
        let mut rest = message.split_once(" [openclaw@32473")?.1;
        let mut values = Vec::new();
        while let Some(parameter) = rest.strip_prefix(' ') {
            rest = parameter.split_once("=\"")?.1;
            let mut value = String::new();
            loop {
                let c = rest.chars().next()?;
                rest = &rest[c.len_utf8()..];
                match c {
                    '"' => break,
                    ']' => return None,
                    '\\' => {
                        let escaped = rest.chars().next().filter(|c| "\"\\]".contains(*c))?;
                        value.push(escaped);
                        rest = &rest[1..];
                    }
                    c => value.push(c),
                }
            }
            values.push(value);
        }
        Some((values, rest.strip_prefix("] \u{feff}")?))
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place_and_no_datagram_is_too_long(text in "(\\PC|[\"\\\\\\] \n]){0,60}", times in 1usize..60) {
            let alert = alert_of(&text.repeat(times));
            let message = message(&alert, 23, SyslogFormat::Text, Some(1180));
            prop_assert!(message.len() <= 1180);
            let message = String::from_utf8(message).unwrap();
            prop_assert!(!message.contains(|c: char| c.is_control()));
            let (values, text) = parse(&message).ok_or_else(|| TestCaseError::fail(message.clone()))?;
            prop_assert_eq!(&values[0], "a1");
            prop_assert!(values.len() >= 3 && text.len() >= 2, "{}", message);
        }

        #[test]
        fn no_datagram_with_json_is_too_long_and_each_is_json(text in "(\\PC|[\"\\\\\\] \n]){0,60}", times in 1usize..60) {
            let alert = alert_of(&text.repeat(times));
            let message = String::from_utf8(message(&alert, 23, SyslogFormat::Json, Some(1180))).unwrap();
            prop_assert!(message.len() <= 1180, "{}", message.len());
            // The end of the structured data: in its values the bracket has a backslash before it.
            let end = message.match_indices("] {").find(|(at, _)| !message[..*at].ends_with('\\'));
            let json = end.map(|(at, _)| &message[at + 2..]).unwrap_or_default();
            let json: Value = serde_json::from_str(json).map_err(|_| TestCaseError::fail(message.clone()))?;
            prop_assert_eq!(&json["id"], "a1");
        }
    }
}
