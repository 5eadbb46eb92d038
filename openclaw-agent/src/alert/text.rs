//! What a person reads of an alert: its parts, their order, and how they are shortened.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use openclaw_detect::Severity;
use serde_json::Value;

use super::Alert;
use crate::output::text::Clean;

/// The longest line, in characters.
const LONGEST_LINE: usize = 500;
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 2000;
/// How many of a process's ancestors are shown, nearest first: farther ones say little.
const MOST_ANCESTORS: usize = 12;
/// How many answers are shown.
const MOST_ANSWERS: usize = 10;

/// Keys of an alert's details that a person is shown, in this order.
const SHOWN: [&str; 13] = [
    "pattern",
    "ip",
    "attempts",
    "threshold",
    "action",
    "outcome",
    "reason",
    "expiresAt",
    "source",
    "rule",
    "user",
    "container",
    "host",
];

/// What a person reads. No text in it has a control character, so each is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// How bad it is, and the title.
    pub(crate) head: String,
    /// One sentence that says what happened.
    pub(crate) message: String,
    /// What else is known, by name.
    pub(crate) details: Vec<(&'static str, String)>,
    /// How many alerts like it were not sent.
    held_back: Option<String>,
    /// The process and its ancestors, eldest first, each a step further in.
    tree: Vec<String>,
    /// What was done, and the command that undoes it.
    answers: Vec<(Option<String>, Option<String>)>,
    /// The command that shows more.
    more: Option<String>,
    /// When it happened.
    pub(crate) time: String,
}

/// How a channel writes what is laid out here. Each method gets a text without line breaks, and escapes what it holds.
pub(crate) trait Markup {
    /// A text as it is.
    fn text(&self, text: &str) -> String;

    /// A heading.
    fn strong(&self, text: &str) -> String {
        self.text(text)
    }

    /// A value or a command.
    fn code(&self, text: &str) -> String {
        self.text(text)
    }

    /// Lines of which the indentation is kept.
    fn block(&self, lines: &[String]) -> String {
        lines.iter().map(|line| self.text(line)).collect::<Vec<_>>().join("\n")
    }
}

/// No markup at all.
pub(crate) struct Plain;

impl Markup for Plain {
    fn text(&self, text: &str) -> String {
        text.to_owned()
    }
}

impl Text {
    /// What there is to say of an alert, with the time in `zone`. Whatever is missing in its details is left out.
    pub(crate) fn of(alert: &Alert, zone: &TimeZone) -> Text {
        let details = &alert.details;
        let known = |key: &'static str| {
            let told = value(&details[key]).or_else(|| value(&details[snake(key)]))?;
            // In the zone in which all of it is told.
            Some((key, if key == "expiresAt" { time(&told, zone) } else { told }))
        };
        let held_back = details["held_back"].as_u64().filter(|count| *count > 0);
        let undo = |answer: &Value| line(&answer["undo"]);
        let answers = details["actions"].as_array().into_iter().flatten();
        Text {
            head: clean(&format!("{}: {}", grade(alert.severity), alert.title), LONGEST_LINE),
            message: clean(&alert.message, LONGEST_MESSAGE),
            details: SHOWN.iter().filter_map(|key| known(key)).collect(),
            held_back: held_back.map(|count| format!("{count} more like it were held back")),
            tree: tree(&details["process"]),
            answers: answers
                .map(|answer| (line(&answer["summary"]), undo(answer)))
                .chain([(None, undo(details))])
                .filter(|answer| *answer != (None, None))
                .take(MOST_ANSWERS)
                .collect(),
            more: line(&details["more"]),
            time: time(&alert.timestamp, zone),
        }
    }

    /// All of it, by the markup of a channel.
    pub(crate) fn render(&self, markup: &impl Markup) -> String {
        let parts = [
            markup.strong(&self.head),
            markup.text(&self.message),
            self.body(markup),
            markup.text(&self.time),
        ];
        join(parts)
    }

    /// What stands between the message and the time.
    pub(crate) fn body(&self, markup: &impl Markup) -> String {
        let section = |title: &str, lines: String| match lines.is_empty() {
            true => lines,
            false => format!("{}\n{lines}", markup.strong(title)),
        };
        let details = self
            .details
            .iter()
            .map(|(key, value)| format!("{} {}", markup.text(&format!("• {key}:")), markup.code(value)));
        let held_back = self.held_back.iter().map(|text| markup.text(&format!("• {text}")));
        let answers = self.answers.iter().map(|(summary, undo)| {
            let summary = summary.iter().map(|summary| markup.text(&format!("• {summary}")));
            let undo = undo.iter().map(|undo| format!("{} {}", markup.text("• undo:"), markup.code(undo)));
            summary.chain(undo).collect::<Vec<_>>().join("\n")
        });
        let lines = |lines: Vec<String>| lines.join("\n");
        let tree = if self.tree.is_empty() { String::new() } else { markup.block(&self.tree) };
        let more = self.more.iter().map(|more| format!("{} {}", markup.text("More:"), markup.code(more)));
        join([
            section("Details:", lines(details.chain(held_back).collect())),
            section("Process tree:", tree),
            section("Answers:", lines(answers.collect())),
            lines(more.collect()),
        ])
    }

    /// The same, shortened until `measure` of it is `limit` at most: the longest texts give way first, and the command
    /// that shows more and the time never do.
    pub(crate) fn fit(self, limit: usize, measure: impl Fn(&Text) -> usize) -> Text {
        if measure(&self) <= limit {
            return self;
        }
        // No text is longer than LONGEST_MESSAGE, and one character of each fits everywhere.
        self.cut(largest(1, LONGEST_MESSAGE, |length| measure(&self.cut(length)) <= limit))
    }

    fn cut(&self, limit: usize) -> Text {
        let mut text = self.clone();
        let details = text.details.iter_mut().map(|(_, value)| value);
        let answers = text.answers.iter_mut().flat_map(|(summary, undo)| summary.iter_mut().chain(undo));
        for part in [&mut text.head, &mut text.message]
            .into_iter()
            .chain(details)
            .chain(&mut text.tree)
            .chain(answers)
        {
            *part = cut(part, limit);
        }
        text
    }
}

/// How much a text is for services that count as UTF-16 does, which is never less than its characters.
pub(crate) fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A text of at most so many characters, with `…` where it was cut.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

/// The largest number below `most` that fits, where `least` does.
pub(crate) fn largest(least: usize, most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut fitting, mut too_large) = (least, most);
    while too_large - fitting > 1 {
        let middle = fitting.midpoint(too_large);
        if fits(middle) { fitting = middle } else { too_large = middle }
    }
    fitting
}

/// Parts with an empty line between them.
fn join<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn grade(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "🚨 CRITICAL",
        Severity::High | Severity::Medium => "⚠️ WARN",
        Severity::Low | Severity::Info => "ℹ️ INFO",
    }
}

fn clean(text: &str, limit: usize) -> String {
    cut(&Clean(text.trim()).to_string(), limit)
}

/// A text that is there, as a line.
fn line(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(|text| clean(text, LONGEST_LINE))
}

/// A value as a person reads it: of what has a name or a number, this one; of a list its members.
fn value(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(_) => line(value),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(members) => {
            let members: Vec<_> = members.iter().filter_map(self::value).collect();
            (!members.is_empty()).then(|| clean(&members.join(", "), LONGEST_LINE))
        }
        Value::Object(map) => {
            let named = |key| map.get(key).filter(|value| !value.is_object() && !value.is_array());
            named("name").and_then(self::value).or_else(|| named("id").and_then(self::value))
        }
    }
}

/// `expiresAt` as `expires_at`.
fn snake(key: &str) -> &str {
    if key == "expiresAt" { "expires_at" } else { key }
}

/// A process below its ancestors.
fn tree(process: &Value) -> Vec<String> {
    let ancestors = process["ancestry"].as_array().map_or(&[][..], Vec::as_slice);
    let shown = &ancestors[..ancestors.len().min(MOST_ANCESTORS)];
    let above = (shown.len() < ancestors.len()).then(|| "…".to_owned());
    let processes = shown.iter().rev().chain([process]).filter_map(describe);
    above
        .into_iter()
        .chain(processes)
        .enumerate()
        .map(|(depth, text)| match depth {
            0 => text,
            depth => format!("{}└ {text}", "  ".repeat(depth - 1)),
        })
        .collect()
}

/// Name, number and command line of a process, as far as they are known.
fn describe(process: &Value) -> Option<String> {
    let (name, pid) = (line(&process["name"]), process["pid"].as_u64());
    let who = match (name, pid) {
        (Some(name), Some(pid)) => format!("{name} ({pid})"),
        (Some(name), None) => name,
        (None, Some(pid)) => format!("({pid})"),
        (None, None) => return None,
    };
    let command = value(&process["command_line"]).or_else(|| line(&process["executable"]));
    Some(command.map_or_else(|| who.clone(), |command| cut(&format!("{who}: {command}"), LONGEST_LINE)))
}

fn time(timestamp: &str, zone: &TimeZone) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %I:%M:%S %p").to_string(),
        Err(_) => clean(timestamp, 40),
    }
}

#[cfg(test)]
mod tests;
