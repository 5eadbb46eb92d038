//! What an alert of a finding says beside its sentence.

use openclaw_detect::Finding;
use serde_json::{Map, Value, json};

use super::message::answer;
use crate::respond::action::ActionRecord;

/// The details of a finding and what was answered so far. What is not known is left out.
pub(super) fn of_finding(finding: &Finding, actions: &[ActionRecord], host: &str) -> Value {
    let mut details = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            details.insert(name.to_owned(), value);
        }
    };
    add("rule", finding.rule.clone().into());
    add("confidence", finding.confidence.into());
    add("tags", finding.tags.clone().into());
    add("host", host.into());
    add("ip", finding.remote.map(|address| address.to_string()).into());
    if let Some(evidence) = &finding.evidence
        && evidence.threshold.is_some()
    {
        add("pattern", finding.rule.clone().into());
        add("attempts", evidence.count.into());
        add("threshold", evidence.threshold.into());
    }
    add("process", process(&finding.event["process"]));
    add("user", user(&finding.event));
    add("container", finding.event["container"].clone());
    if !actions.is_empty() {
        let each = |tell: &dyn Fn(&ActionRecord) -> String| actions.iter().map(tell).collect::<Vec<_>>();
        add("action", each(&|action| action.kind.name().to_owned()).join(", ").into());
        add("outcome", each(&|action| action.outcome.name().to_owned()).join(", ").into());
        let reasons: Vec<&str> = actions.iter().filter_map(|action| action.reason.as_deref()).collect();
        add("reason", Some(reasons.join("; ")).filter(|reasons| !reasons.is_empty()).into());
    }
    add("actions", actions.iter().map(answer).collect());
    add("event", finding.event.clone());
    add("more", format!("openclaw findings show {}", finding.id).into());
    Value::Object(details)
}

/// The process with what it comes from, the nearest first.
fn process(process: &Value) -> Value {
    let only = |of: &Value, names: &[&str]| -> Map<String, Value> {
        let known = names.iter().filter(|name| !of[**name].is_null());
        known.map(|name| ((*name).to_owned(), of[*name].clone())).collect()
    };
    let own = ["pid", "name", "executable", "command_line", "working_directory", "start", "hash"];
    let mut told = only(process, &own);
    if told.is_empty() {
        return Value::Null;
    }
    let parent = only(&process["parent"], &["pid", "name", "executable", "command_line"]);
    let names = process["ancestors"].as_array().into_iter().flatten();
    // The first of the names is the parent's.
    let others = names.skip(usize::from(!parent.is_empty())).map(|name| json!({ "name": name }));
    let parent =
        Some(Value::Object(parent)).filter(|parent| parent.as_object().is_some_and(|p| !p.is_empty()));
    told.insert("ancestry".to_owned(), parent.into_iter().chain(others).collect());
    Value::Object(told)
}

/// Who did it: the process's user, or whom a log names.
fn user(event: &Value) -> Value {
    let of_process = &event["process"]["user"];
    let (name, id) = match of_process.is_object() {
        true => (&of_process["name"], &of_process["id"]),
        false => (&event["user"]["name"], &event["user"]["id"]),
    };
    match (name.is_null(), id.is_null()) {
        (true, true) => Value::Null,
        (false, true) => json!({ "name": name }),
        (true, false) => json!({ "id": id }),
        (false, false) => json!({ "id": id, "name": name }),
    }
}
