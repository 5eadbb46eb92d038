//! The agent's own log, the last of it in memory: `openclaw security logs` shows it wherever stderr goes, be that the
//! journal, a pod's log or a file.

mod layer;
mod ring;

use std::fmt::{self, Write as _};

use openclaw_detect::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::output::style::{self, DIM};
use crate::output::text::Clean;
use crate::output::time;

pub use layer::RingLayer;
pub use ring::{Following, Ring};

/// How much a line matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Data is lost, or something asked for was not done.
    Error,
    /// It works, but less than it should.
    Warn,
    /// Findings, actions, start and stop.
    Info,
    /// For those who work on OpenClaw.
    Debug,
    /// The same, in every detail.
    Trace,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When it was written.
    pub time: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// To what, in the order in which it was said.
    pub fields: Vec<(String, Value)>,
}

impl Level {
    /// As it stands in a line.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }

    const fn style(self) -> anstyle::Style {
        match self {
            Level::Error => style::BAD,
            Level::Warn => style::WARN,
            Level::Info => style::GOOD,
            Level::Debug => style::KIND,
            Level::Trace => DIM,
        }
    }
}

impl Line {
    /// For people, without its end and with colours. What others wrote cannot steer the terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        let (colour, time) = (self.level.style(), time::rfc3339(self.time));
        write!(out, "{DIM}{time}{DIM:#} {colour}{:>5}{colour:#}", self.level.name())?;
        if !self.message.is_empty() {
            write!(out, " {}", Clean(&self.message))?;
        }
        for (name, value) in &self.fields {
            match value {
                Value::String(text) if is_word(text) => write!(out, " {}={}", Clean(name), Clean(text))?,
                // As JSON, which escapes what must be.
                value => write!(out, " {}={}", Clean(name), Clean(&value.to_string()))?,
            }
        }
        Ok(())
    }

    /// For programs: `time` (RFC 3339 in UTC, milliseconds), `level`, `message`, `fields`.
    pub fn json(&self) -> Value {
        serde_json::json!({
            "time": time::rfc3339(self.time),
            "level": self.level,
            "message": self.message,
            "fields": self.fields.iter().cloned().collect::<Map<_, _>>(),
        })
    }

    /// About how much memory it takes, in bytes.
    fn size(&self) -> usize {
        let of_value = |value: &Value| value.as_str().map_or(0, str::len);
        let fields = self.fields.iter().map(|(name, value)| 64 + name.len() + of_value(value));
        size_of::<Line>() + self.message.len() + fields.sum::<usize>()
    }
}

/// Whether a text needs no quotes to be seen as one.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            time: Timestamp(1_769_812_245_123_456_789),
            level: Level::Warn,
            message: "said\x1b[2J\nso".to_owned(),
            fields: vec![
                ("path".to_owned(), "/x".into()),
                ("error".to_owned(), "no such\x1b file".into()),
                ("count".to_owned(), 5.into()),
                ("empty".to_owned(), "".into()),
            ],
        }
    }

    #[test]
    fn a_line_cannot_steer_the_terminal_and_its_fields_can_be_told_apart() {
        let text = anstream::adapter::strip_str(&line().text()).to_string();
        let expected = "2026-01-30T22:30:45.123Z  WARN said\\u{1b}[2J\\nso path=/x error=\"no such\\u001b file\" \
                        count=5 empty=\"\"";
        assert_eq!(text, expected);
    }

    #[test]
    fn programs_are_told_the_same_by_names() {
        let json = line().json();
        assert_eq!(json["time"], "2026-01-30T22:30:45.123Z");
        assert_eq!((&json["level"], &json["fields"]["count"]), (&"warn".into(), &5.into()));
        let sent = serde_json::to_string(&line()).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&sent).unwrap(), line());
    }
}
