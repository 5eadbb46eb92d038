//! Bodies of webhooks that a template makes.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value as Any};
use minijinja::{Environment, UndefinedBehavior, context};
use openclaw_detect::Severity;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::text::{Plain, Text};
use super::{Alert, Trigger};
use crate::config::Secret;

/// How much a template may do: enough for 4 MB of JSON, and the end of one that would never end.
const FUEL: u64 = 1_000_000;

/// A template in the language of Jinja, which has been tried on an example. It knows the keys of an alert, and as `text`
/// what a person reads.
#[derive(Clone)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    // A template may hold what its endpoint demands in the body.
    source: Secret,
}

impl PartialEq for Template {
    fn eq(&self, other: &Template) -> bool {
        self.source == other.source
    }
}

/// What a template made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) content_type: &'static str,
    pub(crate) text: String,
}

impl Template {
    /// Reads a template, and tries it.
    ///
    /// # Errors
    /// What is wrong with it and where, as a clause. It fails on the example; or what it makes is JSON by luck, which the
    /// text of an alert could break out of.
    pub fn new(source: &str) -> Result<Template, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // Details differ by rule: what is not there is empty, at any depth.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| format!("this is no template: {}", explain(&error)))?;
        let template = Template { environment: Arc::new(environment), source: Secret::new(source) };
        let try_on = |text: &str| {
            let alert = example(text);
            template.render(&alert, &TimeZone::UTC).map_err(|reason| format!("this template fails: {reason}"))
        };
        if try_on("example")?.content_type == JSON && try_on("\"},\\\n")?.content_type != JSON {
            return Err(
                "the text of an alert would break this JSON: write each value without quotes and with its \
                        filter, such as {{ title|tojson }}"
                    .to_owned(),
            );
        }
        Ok(template)
    }

    /// What the template makes of an alert: JSON where it is JSON, else text.
    ///
    /// # Errors
    /// Why it makes nothing, as a clause.
    pub(crate) fn render(&self, alert: &Alert, zone: &TimeZone) -> Result<Body, String> {
        let text = Text::of(alert, zone).render(&Plain);
        let context = context! { text, ..Any::from(Serde(alert)) };
        let text = self
            .environment
            .get_template(NAME)
            .and_then(|template| template.render(context))
            .map_err(|error| explain(&error))?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        Ok(Body { content_type: if is_json { JSON } else { TEXT }, text })
    }
}

const NAME: &str = "template";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is wrong, and on which line of the template.
fn explain(error: &minijinja::Error) -> String {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    error.line().map_or_else(|| what.clone(), |line| format!("{what} (its line {line})"))
}

/// An alert of which every text is `text`, with all details that rules and answers give.
fn example(text: &str) -> Alert {
    let process = json!({
        "pid": 1234, "name": text, "executable": text, "command_line": text, "args": [text], "working_directory": text,
        "ancestry": [{"pid": 1, "name": text, "executable": text, "command_line": text}],
        "parent": {"pid": 1, "name": text, "executable": text, "command_line": text},
    });
    let (user, container) =
        (json!({"id": text, "name": text}), json!({"id": text, "name": text, "image": {"name": text}}));
    let event = json!({
        "process": process, "user": user, "container": container, "host": {"name": text}, "file": {"path": text},
        "source": {"ip": text}, "destination": {"ip": text}, "event": {"dataset": text, "action": text},
    });
    let mut details = json!({
        "tags": [text], "process": process, "user": user, "container": container, "event": event, "attempts": 10,
        "threshold": 10, "confidence": 0.9, "held_back": 2, "actions": [{"summary": text, "undo": text, "outcome": text}],
    });
    for key in [
        "rule",
        "host",
        "pattern",
        "ip",
        "action",
        "outcome",
        "reason",
        "expiresAt",
        "source",
        "more",
        "undo",
    ] {
        details[key] = Value::from(text);
    }
    let owned = || text.to_owned();
    Alert {
        id: owned(),
        severity: Severity::Critical,
        title: owned(),
        message: owned(),
        timestamp: "2026-01-30T22:30:45.123Z".to_owned(),
        details,
        trigger: Trigger::CriticalEvent,
        like: String::new(),
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Body {
        Template::new(source).unwrap().render(&example("a \"b\""), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn json_is_sent_as_json_and_everything_else_as_text() {
        let body = render("{\"content\": {{ title|tojson }}, \"missing\": {{ details.a.b.c|tojson }}}");
        assert_eq!(body.content_type, JSON);
        assert_eq!(
            serde_json::from_str::<Value>(&body.text).unwrap(),
            json!({"content": "a \"b\"", "missing": null})
        );
        let body = render(
            "{% for tag in details.tags %}[{{ tag }}]{% endfor %} {{ severity }} <{{ details.none.at.all }}>",
        );
        assert_eq!((body.content_type, body.text.as_str()), (TEXT, "[a \"b\"] critical <>"));
        assert!(render("{{ text }}").text.starts_with("🚨 CRITICAL: a"));
    }

    #[test]
    fn a_template_with_a_mistake_is_refused_with_its_line() {
        for (source, reason) in [
            ("a\n{{ title ", "line 2"),
            ("a\n{{ title|nosuch }}", "line 2"),
            ("{\"a\": \"{{ title }}\"}", "tojson"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "fuel"),
        ] {
            let error = Template::new(source).unwrap_err();
            assert!(error.contains(reason), "{source}: {error}");
        }
    }

    #[test]
    fn what_a_template_holds_is_not_shown() {
        let template = Template::new("{\"key\": \"s3cr3t\"}").unwrap();
        let shown = format!("{template:?} {}", serde_json::to_string(&template).unwrap());
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}
