//! What an alert says.

use openclaw_detect::{Action, Finding, Severity};
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::{self, time};
use crate::respond::action::{ActionKind, ActionRecord, Outcome, Target};

/// An alert in the shape in which every channel delivers it.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
}

/// Why an alert is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A finding of a rule that recognises an intrusion over the network.
    IntrusionDetected,
    /// A finding of severity critical.
    CriticalEvent,
    /// Any other finding whose rule asks for an alert.
    Finding,
    /// An address was blocked.
    IpBlocked,
    /// Another answer was carried out.
    ActionTaken,
    /// An answer was refused or failed.
    ActionFailed,
}

/// Rules that recognise an intrusion by their names alone; others say so by the tag `intrusion`.
const INTRUSION_RULES: [&str; 4] = ["brute_force", "ssrf", "path_traversal", "port_scan"];

impl Alert {
    /// The alert of a finding with what was answered so far, or `None` where it has no reason to be sent: the rule
    /// does not ask for an alert, and neither severity nor kind does, or its `suppress` keeps this one back.
    pub fn of_finding(finding: &Finding, actions: &[ActionRecord], host: &str) -> Option<Alert> {
        if finding.quiet {
            return None;
        }
        let intrusion = INTRUSION_RULES.contains(&finding.rule.as_str())
            || finding.tags.iter().any(|tag| tag == "intrusion" || tag.starts_with("intrusion."));
        let trigger = if intrusion {
            Trigger::IntrusionDetected
        } else if finding.severity == Severity::Critical {
            Trigger::CriticalEvent
        } else if finding.actions.contains(&Action::Alert) {
            Trigger::Finding
        } else {
            return None;
        };
        Some(Alert {
            id: finding.id.clone(),
            severity: finding.severity,
            title: finding.title.clone(),
            message: finding.message.clone(),
            timestamp: time::rfc3339(finding.timestamp),
            details: json!({
                "rule": finding.rule,
                "confidence": finding.confidence,
                "tags": finding.tags,
                "host": host,
                "event": finding.event,
                "actions": actions.iter().map(answer).collect::<Vec<_>>(),
                "more": format!("openclaw findings show {}", finding.id),
            }),
            trigger,
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
        let mut details = answer(action);
        details["host"] = host.into();
        details["source"] = if action.rule.is_some() { "auto" } else { "manual" }.into();
        if action.outcome == Outcome::Done && action.kind.can_be_undone() {
            details["undo"] = format!("openclaw response undo {}", action.id).into();
        }
        Some(Alert {
            id: format!("{}-{}", action.id, action.outcome.name()),
            severity,
            title,
            message: capitalised(&output::sentence(action)),
            timestamp: time::rfc3339(action.at),
            details,
            trigger,
        })
    }
}

/// An action as alerts show it.
fn answer(action: &ActionRecord) -> Value {
    let mut json = output::action_json(action);
    json["target"] = output::target(&action.target).into();
    json["summary"] = output::sentence(action).into();
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
