//! What a rule says under `response`.

use std::time::Duration;

use crate::diagnostic::{Problem, Span};
use crate::reader::Reader;
use crate::suggest::did_you_mean;
use crate::yaml::{Key, Node};
use crate::{Action, Mode, Response, Scope};

/// The keys of `response`.
const KEYS: &[&str] = &["for", "isolate", "suspend", "kill", "run", "restart", "webhook", "mode", "escalate"];

/// Reads `response` into what is said of it already: an override changes what it names alone.
pub(super) fn read(reader: &mut Reader<'_>, key: &Key, value: &Node, response: &mut Response) {
    let Some(entries) = reader.mapping(key, value, "write response: {for: 1h}") else { return };
    for (key, value) in entries {
        match key.name.as_str() {
            "for" => {
                let time = reader.duration(key, value, Duration::from_secs(1), "write 30m, 1h or 7d");
                response.seconds = time.map(|time| time.as_secs()).or(response.seconds);
            }
            "isolate" => scope(reader, key, value, Action::Isolate, &mut response.isolate),
            "suspend" => scope(reader, key, value, Action::Suspend, &mut response.suspend),
            "kill" => scope(reader, key, value, Action::Kill, &mut response.kill),
            "run" => command(reader, key, value, &mut response.run),
            "restart" => response.restart = unit(reader, key, value).or(response.restart.take()),
            "webhook" => response.webhook = endpoint(reader, key, value).or(response.webhook.take()),
            "mode" => response.mode = mode(reader, key, value).or(response.mode),
            "escalate" => response.escalate = escalation(reader, key, value),
            _ => reader.unknown_key(key, "`response`", KEYS),
        }
    }
}

fn scope(reader: &mut Reader<'_>, key: &Key, value: &Node, action: Action, scope: &mut Scope) {
    let Some(text) = reader.scalar(key, value) else { return };
    match Scope::from_name(text).filter(|scope| action.scopes().contains(scope)) {
        Some(named) => *scope = named,
        None => {
            let names: Vec<_> = action.scopes().iter().map(|scope| scope.name()).collect();
            let last_of = names.len().saturating_sub(1);
            let (first, last) = names.split_at(last_of);
            let problem = Problem::error(value.span, format!("`{action}` is done on no `{text}`"))
                .help(format!("write {} or {}", first.join(", "), last.concat()));
            reader.problems.push(problem);
        }
    }
}

fn command(reader: &mut Reader<'_>, key: &Key, value: &Node, command: &mut Vec<String>) {
    let words = reader.texts(key, value);
    if words.first().is_some_and(|program| program.starts_with('/')) {
        *command = words;
    } else {
        let message = "a command begins with the whole path of its program";
        reader.error_with_help(
            value.span,
            message,
            "write run: [/usr/local/bin/collect, --short]: no shell reads it",
        );
    }
}

/// The name of a service's unit; `nginx` is `nginx.service`.
fn unit(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<String> {
    let text = reader.scalar(key, value)?;
    // As systemd.unit(5) has it.
    let is_named = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let name = if text.ends_with(".service") { text.to_owned() } else { format!("{text}.service") };
    if text.is_empty() || text.starts_with('-') || name.len() > 255 || !name.chars().all(is_named) {
        let message = format!("`{text}` is no service");
        reader.error_with_help(value.span, message, "write the name of its unit, such as nginx.service");
        return None;
    }
    Some(name)
}

/// The name of an endpoint. Its address, and what it is called with, are the agent's: rules are no place for secrets.
fn endpoint(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<String> {
    let text = reader.scalar(key, value)?;
    if text.is_empty() || text.contains("://") {
        let help = "write the name that security.response.webhooks gives it, such as contain: address and secrets stand there";
        reader.error_with_help(value.span, "`webhook` is the name of an endpoint, not its address", help);
        return None;
    }
    Some(text.to_owned())
}

fn mode(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<Mode> {
    let text = reader.scalar(key, value)?;
    let mode = Mode::from_name(text);
    if mode.is_none() {
        let help = "write observe (only say what would be done) or enforce";
        reader.error_with_help(value.span, format!("`{text}` is no mode"), help);
    }
    mode
}

fn escalation(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for (text, span) in reader.one_or_more(key, value) {
        match Action::from_name(text).filter(|action| *action > Action::Block) {
            Some(action) if actions.last().is_some_and(|last| *last >= action) => {
                let message = format!("`{action}` is not stronger than what comes before it");
                reader.error_with_help(span, message, "write them in the order isolate, suspend, kill");
            }
            Some(action) => actions.push(action),
            None => reader.problems.push(
                Problem::error(span, format!("nothing escalates to `{text}`"))
                    .help("write isolate, suspend or kill, in this order")
                    .maybe_help(did_you_mean(text, ["isolate", "suspend", "kill"])),
            ),
        }
    }
    actions
}

/// Complains of an action that lacks what it is to do; `at` is where the rule says its actions.
pub(super) fn lacking(response: &Response, actions: &[Action], at: Span) -> Option<Problem> {
    let (message, help) = if actions.contains(&Action::Run) && response.run.is_empty() {
        ("`run` has no command to run", "write response: {run: [/usr/local/bin/collect]}")
    } else if actions.contains(&Action::Restart) && response.restart.is_none() {
        ("`restart` has no service to restart", "write response: {restart: nginx.service}")
    } else if actions.contains(&Action::Webhook) && response.webhook.is_none() {
        (
            "`webhook` has no endpoint to call",
            "write response: {webhook: contain}, and its address into the configuration",
        )
    } else {
        return None;
    };
    Some(Problem::error(at, message).help(help))
}

/// Warns of what a rule says in vain, for what it asks for has no such part; `at` is where it says its actions.
pub(super) fn in_vain(response: &Response, actions: &[Action], at: Span) -> Option<Problem> {
    let is_said = |action: Action| match action {
        Action::Run => !response.run.is_empty(),
        Action::Restart => response.restart.is_some(),
        Action::Webhook => response.webhook.is_some(),
        Action::Isolate | Action::Suspend | Action::Kill => response.scope(action) != Scope::default(),
        Action::Alert | Action::Block => false,
    };
    let is_asked = |action: &Action| actions.contains(action) || response.escalate.contains(action);
    let unasked = Action::ALL.iter().find(|action| !is_asked(action) && is_said(**action))?;
    let message = format!("`response.{unasked}` has no effect: the rule does not ask for `{unasked}`");
    Some(Problem::warning(at, message).help(format!("write action: {unasked}_and_alert")))
}
