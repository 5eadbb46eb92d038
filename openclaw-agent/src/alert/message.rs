//! What an alert says.

use openclaw_detect::{Action, Finding, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Trigger, details};
use crate::output::{self, time};
use crate::respond::action::{ActionKind, ActionRecord, Outcome, Target};

/// An alert in the shape in which every channel delivers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The same whenever the same alert is sent again, so that a receiver can tell duplicates.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// One sentence that says what happened.
    pub message: String,
    /// When it happened: RFC 3339 in UTC, with milliseconds.
    pub timestamp: String,
    /// Everything else that is known.
    pub details: Value,
    /// Why it is sent.
    pub trigger: Trigger,
    /// What alerts of the same have in common: while one is told, those like it are counted.
    #[serde(skip)]
    pub like: String,
}

/// Rules that recognise an intrusion by their names alone, in words; others say so by the tag `intrusion`.
const INTRUSIONS: [(&str, &str); 4] = [
    ("brute_force", "Brute force attack"),
    ("ssrf", "Server-side request forgery"),
    ("path_traversal", "Path traversal attack"),
    ("port_scan", "Port scan"),
];

impl Alert {
    /// The alert of a finding with what was answered so far, or `None` where it has no reason to be sent: the rule
    /// does not ask for an alert, and neither severity nor kind does, or its `suppress` keeps this one back.
    pub fn of_finding(finding: &Finding, actions: &[ActionRecord], host: &str) -> Option<Alert> {
        if finding.quiet {
            return None;
        }
        let trigger = trigger(finding)?;
        let title = match trigger {
            Trigger::Finding | Trigger::SensorDegraded => finding.title.clone(),
            trigger => trigger.title().to_owned(),
        };
        let known = INTRUSIONS.iter().find(|(rule, _)| *rule == finding.rule);
        let message = match (known, finding.remote) {
            (Some((_, attack)), Some(address)) => format!("{attack} detected from IP {address}"),
            _ => finding.message.clone(),
        };
        Some(Alert {
            id: finding.id.clone(),
            severity: finding.severity,
            title,
            message,
            timestamp: time::rfc3339(finding.timestamp),
            details: details::of_finding(finding, actions, host),
            trigger,
            like: format!("{}\0{}", finding.rule, subject(finding)),
        })
    }

    /// The alert of an action, or `None` where nothing was done and nothing failed (observe mode, an action that
    /// ended).
    pub fn of_action(action: &ActionRecord, host: &str) -> Option<Alert> {
        let (done, noun) = match action.kind {
            ActionKind::Block => ("IP Address Blocked", "Block"),
            ActionKind::Isolate if action.target == Target::Host => ("Host Isolated", "Isolation"),
            ActionKind::Isolate => ("Process Isolated", "Isolation"),
            ActionKind::Suspend => ("Process Suspended", "Suspension"),
            ActionKind::Kill => ("Process Killed", "Kill"),
            ActionKind::Run => ("Command Run", "Command"),
            ActionKind::Restart => ("Service Restarted", "Restart"),
            ActionKind::Webhook => ("Webhook Called", "Webhook"),
        };
        let (trigger, severity, title) = match action.outcome {
            Outcome::Done if action.kind == ActionKind::Block => {
                (Trigger::IpBlocked, Severity::Medium, done.to_owned())
            }
            Outcome::Done => (Trigger::ActionTaken, Severity::Medium, done.to_owned()),
            Outcome::Failed => (Trigger::ActionFailed, Severity::High, format!("{noun} Failed")),
            Outcome::Refused => (Trigger::ActionFailed, Severity::Medium, format!("{noun} Refused")),
            // What was begun is told when it is known what came of it.
            Outcome::Begun | Outcome::Would | Outcome::Expired | Outcome::Undone => return None,
        };
        let target = output::target(&action.target);
        let mut details = answer(action);
        details["host"] = host.into();
        details["source"] = if action.rule.is_some() { "auto" } else { "manual" }.into();
        details["action"] = action.kind.name().into();
        if let Target::Network(network) = &action.target {
            details["ip"] = network.clone().into();
        }
        if let Some(end) = action.expires {
            details["expiresAt"] = time::rfc3339(end).into();
        }
        Some(Alert {
            id: format!("{}-{}", action.id, action.outcome.name()),
            severity,
            title,
            message: capitalised(&output::sentence(action)),
            timestamp: time::rfc3339(action.at),
            details,
            trigger,
            like: format!("{}\0{}\0{target}", action.kind.name(), action.outcome.name()),
        })
    }

    /// The alert by which a person tries a channel. Each is told for itself.
    pub fn of_test(channel: &str, host: &str) -> Alert {
        let now = time::now();
        Alert {
            id: format!("{:x}-test", now.0),
            severity: Severity::Info,
            title: Trigger::Test.title().to_owned(),
            message: format!(
                "This is a test of the channel {channel}, asked for on {host}. Nothing has happened."
            ),
            timestamp: time::rfc3339(now),
            details: json!({ "host": host, "channel": channel, "test": true }),
            trigger: Trigger::Test,
            like: String::new(),
        }
    }

    /// The rule that it is of, where it is of one: what `openclaw alerts mute` names.
    pub fn rule(&self) -> Option<&str> {
        self.details["rule"].as_str()
    }
}

/// Why a finding is told: exactly one reason, the first that fits.
fn trigger(finding: &Finding) -> Option<Trigger> {
    let is_of_sensor =
        finding.event["event"]["kind"] == "state" && finding.event["event"]["module"] == "openclaw";
    let is_intrusion = INTRUSIONS.iter().any(|(rule, _)| *rule == finding.rule)
        || finding.tags.iter().any(|tag| tag == "intrusion" || tag.starts_with("intrusion."));
    if is_of_sensor {
        Some(Trigger::SensorDegraded)
    } else if finding.rule == Trigger::FailedAuthSpike.name() {
        Some(Trigger::FailedAuthSpike)
    } else if is_intrusion {
        Some(Trigger::IntrusionDetected)
    } else if finding.severity == Severity::Critical {
        Some(Trigger::CriticalEvent)
    } else if finding.actions.contains(&Action::Alert) {
        Some(Trigger::Finding)
    } else {
        None
    }
}

/// Whom a finding is about, so that one storm is told once and another beside it too: what its events were counted by,
/// the other side of the connection, or program, user and container.
fn subject(finding: &Finding) -> String {
    let key = finding.evidence.iter().flat_map(|evidence| &evidence.key);
    let counted_by: Vec<String> = key.map(|key| format!("{}={}", key.field, key.value)).collect();
    if !counted_by.is_empty() {
        return counted_by.join("\0");
    }
    if let Some(address) = finding.remote {
        return address.to_string();
    }
    let event = &finding.event;
    // What the sensor says of itself is of one rule, one channel, one of its programs, or of all.
    let told = &event["openclaw"][&finding.rule];
    if told.is_object() {
        return ["rule", "channel", "program"].map(|of| told[of].to_string()).join("\0");
    }
    let of = [&event["process"]["executable"], &event["process"]["user"]["id"], &event["container"]["id"]];
    of.map(ToString::to_string).join("\0")
}

/// An action as alerts show it.
pub(super) fn answer(action: &ActionRecord) -> Value {
    let mut json = output::action_json(action);
    json["target"] = output::target(&action.target).into();
    json["summary"] = output::sentence(action).into();
    if action.outcome == Outcome::Done && action.kind.can_be_undone() {
        json["undo"] = format!("openclaw response undo {}", action.id).into();
    }
    json
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use openclaw_detect::Timestamp;

    use super::*;

    fn finding(rule: &str, severity: Severity, actions: Vec<Action>, tags: &[&str]) -> Finding {
        Finding {
            id: "f1".to_owned(),
            rule: rule.to_owned(),
            severity,
            confidence: 0.9,
            title: "Title".to_owned(),
            message: "Message".to_owned(),
            timestamp: Timestamp(1_769_812_245_123_456_789),
            actions,
            response: openclaw_detect::Response::default(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            process: None,
            remote: None,
            quiet: false,
            evidence: None,
            event: json!({"process": {"name": "nc"}}),
        }
    }

    fn action(kind: ActionKind, outcome: Outcome) -> ActionRecord {
        let target = Target::Network("192.0.2.7".to_owned());
        let at = Timestamp(1_769_812_245_000_000_000);
        let reason = (outcome != Outcome::Would).then(|| "test".to_owned());
        ActionRecord { outcome, reason, ..ActionRecord::asked("a1".to_owned(), kind, target, at) }
    }

    fn trigger(finding: &Finding) -> Option<Trigger> {
        Alert::of_finding(finding, &[], "host").map(|alert| alert.trigger)
    }

    #[test]
    fn a_finding_takes_one_trigger_and_intrusion_comes_before_critical() {
        let alert = || vec![Action::Alert];
        assert_eq!(trigger(&finding("x", Severity::High, alert(), &[])), Some(Trigger::Finding));
        assert_eq!(
            trigger(&finding("x", Severity::Critical, vec![Action::Block], &[])),
            Some(Trigger::CriticalEvent)
        );
        assert_eq!(
            trigger(&finding("port_scan", Severity::Critical, alert(), &[])),
            Some(Trigger::IntrusionDetected)
        );
        assert_eq!(
            trigger(&finding("x", Severity::Low, alert(), &["intrusion"])),
            Some(Trigger::IntrusionDetected)
        );
        assert_eq!(trigger(&finding("x", Severity::High, vec![Action::Block], &[])), None);
    }

    #[test]
    fn the_body_has_exactly_the_documented_keys() {
        let finding = finding("x", Severity::High, vec![Action::Alert], &["attack.t1059"]);
        let would = action(ActionKind::Isolate, Outcome::Would);
        let body = serde_json::to_value(Alert::of_finding(&finding, &[would], "web-1")).unwrap();
        let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["details", "id", "message", "severity", "timestamp", "title", "trigger"]);
        assert_eq!(body["timestamp"], "2026-01-30T22:30:45.123Z");
        assert_eq!(body["severity"], "high");
        assert_eq!(body["trigger"], "finding");
        assert_eq!(body["details"]["event"]["process"]["name"], "nc");
        let summary = body["details"]["actions"][0]["summary"].as_str().unwrap();
        assert!(summary.starts_with("would isolate"), "no claim of what was not done: {summary}");
    }

    #[test]
    fn only_what_was_done_is_called_done() {
        let alert = |kind, outcome| Alert::of_action(&action(kind, outcome), "host");
        let blocked = alert(ActionKind::Block, Outcome::Done).unwrap();
        assert_eq!(
            (blocked.trigger, blocked.message.as_str()),
            (Trigger::IpBlocked, "Blocked 192.0.2.7: test")
        );
        let failed = alert(ActionKind::Isolate, Outcome::Failed).unwrap();
        assert_eq!(failed.trigger, Trigger::ActionFailed);
        assert!(failed.message.starts_with("Failed to isolate"));
        assert_eq!(alert(ActionKind::Block, Outcome::Would), None);
        assert_ne!(blocked.id, alert(ActionKind::Block, Outcome::Failed).unwrap().id);
    }
}
