//! From where lines are written to where they are kept.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::{Level, Line, Ring};
use crate::output::time;

/// The longest text of a line that is kept whole, in bytes.
const LONGEST: usize = 16 * 1024;

/// Keeps each line in a ring, beside whatever else is done with it.
#[derive(Debug)]
pub struct RingLayer(Arc<Ring>);

impl RingLayer {
    /// Into this ring.
    pub fn new(ring: Arc<Ring>) -> RingLayer {
        RingLayer(ring)
    }
}

impl<S: Subscriber> Layer<S> for RingLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line {
            time: time::now(),
            level: (*event.metadata().level()).into(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut Told(&mut line));
        self.0.push(line);
    }
}

impl From<tracing::Level> for Level {
    fn from(level: tracing::Level) -> Level {
        match level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }
}

/// What an event says, on its way into a line.
struct Told<'a>(&'a mut Line);

impl Told<'_> {
    fn field(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.fields.push((field.name().to_owned(), value.into()));
    }

    fn text(&mut self, field: &Field, text: String) {
        let text = cut(text);
        match field.name() {
            "message" => self.0.message = text,
            _ => self.field(field, text),
        }
    }
}

impl Visit for Told<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(text, "{value:?}");
        self.text(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value);
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn what_is_logged_is_kept_with_its_level_and_fields() {
        let ring = Arc::new(Ring::default());
        let subscriber = tracing_subscriber::registry().with(RingLayer::new(Arc::clone(&ring)));
        tracing::subscriber::with_default(subscriber, || {
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            tracing::warn!(%error, count = 5, ok = true, names = ?["a"], path = "/x", "it {}", "failed");
            tracing::info!("{}", "é".repeat(LONGEST));
        });
        let lines = ring.last(9, Level::Info);
        assert_eq!((lines[0].level, lines[0].message.as_str()), (Level::Warn, "it failed"));
        let fields: Vec<(&str, Value)> =
            lines[0].fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let expected: [(&str, Value); 5] = [
            ("error", "entity not found".into()),
            ("count", 5.into()),
            ("ok", true.into()),
            ("names", "[\"a\"]".into()),
            ("path", "/x".into()),
        ];
        assert_eq!(fields, expected);
        assert!(lines[1].message.len() <= LONGEST + 3 && lines[1].message.ends_with('…'));
    }
}
