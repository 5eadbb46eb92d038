//! Secrets in what leaves this host: passwords, tokens and keys in command lines, addresses, headers and variables are
//! written `***`.
//!
//! Programs are given secrets in their arguments, where every local user can read them for a moment. An alert keeps
//! them for years, in a chat or at a provider's. So what is sent through any channel goes through [`text`] or
//! [`json()`]. What stays on this host (the store, stdout, captures, a rule's command) is as it was seen: who answers an
//! incident needs it, and may read the process itself.
//!
//! A secret is known by one of three things: its own form (`token`), the name it is given to (`assign`, with `name`), or
//! its place in a command (`command`) or an address (`address`). Each finds where secrets are; only this file writes.

mod address;
mod assign;
mod command;
mod name;
mod token;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use openclaw_detect::one_line;
use serde_json::Value;

/// What stands in a secret's place.
const MASK: &str = "***";

/// How often a text is looked through at most: what a mask lays bare is looked at once more.
const ROUNDS: usize = 8;

/// A secret: its bytes in the text.
type Secret = Range<usize>;

/// Masks the secrets in a text: a command line, an address, a message with either. Borrowed where there are none.
///
/// Of a value with spaces and without quotes only the first word is known to belong to it. In [`json()`], where arguments
/// are apart, all of it is.
pub fn text(text: &str) -> Cow<'_, str> {
    if !may_hold(text) {
        return Cow::Borrowed(text);
    }
    let mut masked = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        match without(&masked, secrets(&masked)) {
            Some(next) => masked = Cow::Owned(next),
            None => break,
        }
    }
    masked
}

/// Masks the secrets in all texts of a JSON value, of which the shape stays: objects keep their keys, lists their length,
/// and what is no text stays as it is.
///
/// A text below a key that names a secret (`password`, `botToken`) is one. In lists of arguments (below `args`) the value
/// of a flag may be the next item. A `command_line` beside `args` is written anew from them, wherever it stands.
pub fn json(value: &mut Value) {
    let lines = lines(value);
    walk(value, "", &lines);
}

/// Masks the secrets in what a finding says of its event, in which more of them is known.
pub fn message<'a>(message: &'a str, event: &Value) -> Cow<'a, str> {
    under("", message, &lines(event)).map_or(Cow::Borrowed(message), Cow::Owned)
}

/// A text with secrets in it, such as a command line, and the same without.
type Line = (String, String);

/// The texts whose secrets are known better where they stand than where they are repeated.
fn lines(value: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    command_lines(value, &mut lines);
    let mut told = Vec::new();
    told_lines(value, &lines, &mut told);
    lines.append(&mut told);
    // A line that is part of another must not take its place.
    lines.sort_by_key(|(line, _)| std::cmp::Reverse(line.len()));
    lines
}

/// Gathers texts as messages tell them, where that is not as they are: what is cut in the middle of a secret, or escaped, may
/// not be known for one any more. So they are masked first, and cut then.
fn told_lines(value: &Value, lines: &[Line], told: &mut Vec<Line>) {
    match value {
        Value::String(text) => {
            let line = one_line(text);
            if line != *text
                && let Some(masked) = under("", text, lines)
            {
                told.push((line, one_line(&masked)));
            }
        }
        Value::Array(values) => values.iter().for_each(|value| told_lines(value, lines, told)),
        Value::Object(object) => object.values().for_each(|value| told_lines(value, lines, told)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Gathers the command lines that stand beside their arguments.
fn command_lines(value: &Value, lines: &mut Vec<Line>) {
    match value {
        Value::Object(object) => {
            if let (Some(Value::String(line)), Some(Value::Array(args))) =
                (object.get("command_line"), object.get("args"))
                && let Some(args) = strings(args)
                && args.join(" ") == *line
                && let Some(masked) = arguments(&args)
            {
                lines.push((line.clone(), masked.join(" ")));
            }
            object.values().for_each(|value| command_lines(value, lines));
        }
        Value::Array(values) => values.iter().for_each(|value| command_lines(value, lines)),
        _ => {}
    }
}

fn walk(value: &mut Value, key: &str, lines: &[Line]) {
    match value {
        Value::String(string) => {
            if let Some(masked) = under(key, string, lines) {
                *string = masked;
            }
        }
        Value::Array(values) => {
            let masked = match key {
                "args" => strings(values).and_then(|args| arguments(&args)),
                "env_vars" => {
                    strings(values).map(|variables| variables.iter().map(|v| variable(v)).collect())
                }
                _ => return values.iter_mut().for_each(|value| walk(value, key, lines)),
            };
            match masked {
                Some(masked) => *values = masked.into_iter().map(Value::String).collect(),
                // Not a list of texts: nothing is known of its order.
                None => values.iter_mut().for_each(|value| walk(value, "", lines)),
            }
        }
        Value::Object(object) => object.iter_mut().for_each(|(key, value)| walk(value, key, lines)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text below a key, where it is to be another one.
fn under(key: &str, string: &str, lines: &[Line]) -> Option<String> {
    if name::is_secret(key) && !(name::may_name_a_file(key) && name::is_path(string)) {
        return (!string.is_empty()).then(|| MASK.to_owned());
    }
    let mut known = Cow::Borrowed(string);
    for (line, masked) in lines {
        if known.contains(line.as_str()) {
            known = Cow::Owned(known.replace(line.as_str(), masked));
        }
    }
    let masked = text(&known);
    (masked != string).then(|| masked.into_owned())
}

/// A list of texts, where it is one.
fn strings(values: &[Value]) -> Option<Vec<&str>> {
    values.iter().map(Value::as_str).collect()
}

/// The arguments of a program without secrets, where there were any.
fn arguments(args: &[&str]) -> Option<Vec<String>> {
    if !args.iter().any(|arg| may_hold(arg)) {
        return None;
    }
    let mut masked: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let mut any = false;
    for _ in 0..ROUNDS {
        let mut found: Vec<Vec<Secret>> = masked.iter().map(|arg| secrets(arg)).collect();
        let words: Vec<&str> = masked.iter().map(String::as_str).collect();
        let apart = command::secrets(&words).into_iter().chain(assign::whole_words(&words));
        apart.for_each(|(word, secret)| found[word].push(secret));
        let changed: Vec<Option<String>> =
            masked.iter().zip(found).map(|(arg, secrets)| without(arg, secrets)).collect();
        if changed.iter().all(Option::is_none) {
            break;
        }
        any = true;
        masked = masked.into_iter().zip(changed).map(|(arg, changed)| changed.unwrap_or(arg)).collect();
    }
    any.then_some(masked)
}

/// A variable of an environment, `NAME=value`: all that follows belongs to it.
fn variable(variable: &str) -> String {
    match variable.split_once('=') {
        Some((name, value)) if name::is_secret(name) && !value.is_empty() => format!("{name}={MASK}"),
        _ => text(variable).into_owned(),
    }
}

/// Whether there is anything at all in a text by which secrets are known. Most texts end here.
fn may_hold(text: &str) -> bool {
    #[expect(clippy::expect_used, reason = "the parts are constants, as the tests show")]
    static PARTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        let parts = token::PARTS.iter().chain(&name::PARTS).chain(&address::PARTS).copied();
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostFirst)
            .build(parts.chain(command::parts()))
            .expect("the parts of secrets make an automaton")
    });
    PARTS.is_match(text)
}

/// Where secrets are in a text.
fn secrets(text: &str) -> Vec<Secret> {
    let mut found = token::secrets(text);
    found.extend(address::secrets(text));
    found.extend(assign::secrets(text));
    found.extend(command::secrets_in_text(text));
    found
}

/// The text with these secrets masked; none where they all are already.
fn without(text: &str, mut secrets: Vec<Secret>) -> Option<String> {
    secrets.retain(|secret| !secret.is_empty());
    secrets.sort_by_key(|secret| secret.start);
    let mut merged: Vec<Secret> = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let secret = with_stars(text, secret);
        match merged.last_mut() {
            Some(last) if secret.start <= last.end => last.end = last.end.max(secret.end),
            _ => merged.push(secret),
        }
    }
    merged.retain(|secret| &text[secret.clone()] != MASK);
    if merged.is_empty() {
        return None;
    }
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for secret in merged {
        masked.push_str(&text[end..secret.start]);
        masked.push_str(MASK);
        end = secret.end;
    }
    masked.push_str(&text[end..]);
    Some(masked)
}

/// The secret with the stars beside it, so that a mask beside a mask is one.
fn with_stars(text: &str, secret: Secret) -> Secret {
    let stars = |text: &str| text.len() - text.trim_end_matches('*').len();
    let before = stars(&text[..secret.start]);
    let after = text[secret.end..].len() - text[secret.end..].trim_start_matches('*').len();
    secret.start - before..secret.end + after
}

#[cfg(test)]
mod tests;
