//! The lines of findings and actions.

use std::fmt::Write as _;

use openclaw_detect::{Finding, Scope};

use super::style::{self, BOLD, DIM};
use super::text::Clean;
use super::{Format, time};
use crate::respond::action::{ActionKind, ActionRecord, Outcome, Target};

/// Appends the line of a finding, without its end. JSON is the finding with `timestamp` in RFC 3339 and `answers`.
pub fn write_finding(finding: &Finding, actions: &[ActionRecord], format: Format, out: &mut String) {
    if format == Format::Json {
        let mut json = serde_json::to_value(finding).unwrap_or_default();
        json["type"] = "finding".into();
        json["timestamp"] = time::rfc3339(finding.timestamp).into();
        json["answers"] = actions.iter().map(action_json).collect();
        out.push_str(&json.to_string());
        return;
    }
    let colour = style::severity(finding.severity);
    let severity = finding.severity.name().to_uppercase();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{DIM}{}{DIM:#} {colour}{severity:<8}{colour:#} {BOLD}{}{BOLD:#}: {} {DIM}[{}]{DIM:#}",
        time::clock(finding.timestamp),
        Clean(&finding.rule),
        Clean(&finding.message),
        Clean(&finding.id),
    );
    for action in actions {
        out.push_str(" — ");
        out.push_str(&sentence(action));
    }
}

/// Appends the line of an action, without its end.
pub fn write_action(action: &ActionRecord, format: Format, out: &mut String) {
    if format == Format::Json {
        let mut json = action_json(action);
        json["type"] = "action".into();
        out.push_str(&json.to_string());
        return;
    }
    let colour = match action.outcome {
        Outcome::Begun | Outcome::Done => style::WARN,
        Outcome::Failed => style::BAD,
        Outcome::Refused | Outcome::Would | Outcome::Expired | Outcome::Undone => DIM,
    };
    let _ = write!(
        out,
        "{DIM}{}{DIM:#} {colour}{:<8}{colour:#} {} {DIM}[{}]{DIM:#}",
        time::clock(action.at),
        "ACTION",
        sentence(action),
        Clean(&action.id),
    );
}

/// An action as JSON with its moments in RFC 3339.
pub fn action_json(action: &ActionRecord) -> serde_json::Value {
    let mut json = serde_json::to_value(action).unwrap_or_default();
    json["at"] = time::rfc3339(action.at).into();
    json["expires"] = action.expires.map(time::rfc3339).into();
    for (name, moment) in [("done", action.done), ("verified", action.verified), ("ended", action.ended)] {
        if let Some(moment) = moment {
            json[name] = time::rfc3339(moment).into();
        }
    }
    json
}

/// What became of an action, in words that claim no more than was done.
pub fn sentence(action: &ActionRecord) -> String {
    let target = whole_target(action);
    let (done, doing) = match action.kind {
        ActionKind::Block => ("blocked", "block"),
        ActionKind::Isolate => ("isolated", "isolate"),
        ActionKind::Suspend => ("suspended", "suspend"),
        ActionKind::Kill => ("killed", "kill"),
        ActionKind::Run => ("ran", "run"),
        ActionKind::Restart => ("restarted", "restart"),
        ActionKind::Webhook => ("called", "call"),
    };
    let why = action.reason.as_deref().map(|reason| format!(": {}", Clean(reason))).unwrap_or_default();
    match action.outcome {
        Outcome::Begun => format!("began to {doing} {target}, effect not seen yet{why}"),
        Outcome::Done => {
            let until =
                action.expires.map(|end| format!(" until {}", time::date_and_clock(end))).unwrap_or_default();
            format!("{done} {target}{until}{why}")
        }
        Outcome::Would if action.reason.is_none() => format!("would {doing} {target} (observe mode)"),
        Outcome::Would => format!("would {doing} {target}{why}"),
        Outcome::Refused => format!("refused to {doing} {target}{why}"),
        Outcome::Failed => format!("failed to {doing} {target}{why}"),
        Outcome::Expired | Outcome::Undone => {
            let end =
                if action.outcome == Outcome::Expired { "its time is over" } else { "it was taken back" };
            let why = if action.kind == ActionKind::Suspend { why } else { String::new() };
            format!("{target} is no longer {done}: {end}{why}")
        }
    }
}

/// The target in words, with what else is meant by it.
fn whole_target(action: &ActionRecord) -> String {
    let target = target(&action.target);
    match (action.kind, action.scope) {
        (_, None | Some(Scope::Process | Scope::Host)) | (ActionKind::Isolate, Some(Scope::Tree)) => target,
        (_, Some(Scope::Tree)) => format!("{target} and its descendants"),
        (_, Some(Scope::Container)) => format!("{target} and all of its container"),
    }
}

/// The target in words.
pub fn target(target: &Target) -> String {
    match target {
        Target::Network(network) => Clean(network).to_string(),
        Target::Process { id, name } => format!("process {} ({})", id.pid, Clean(name)),
        Target::Host => "this host".to_owned(),
        Target::Command(command) => Clean(command).to_string(),
        Target::Service(unit) => Clean(unit).to_string(),
        Target::Webhook(name) => format!("webhook {}", Clean(name)),
        Target::None => "nothing (the event names no target)".to_owned(),
    }
}
