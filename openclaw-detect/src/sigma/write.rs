//! The text of a rule of ours that was made of one of Sigma's.

use std::fmt::Write as _;

use super::correlation::{Correlation, Kind, Part};
use super::document::{Content, Document};
use crate::ast::{Expr, Operand, Test};
use crate::{EventKind, Field, KindSet};

/// How wide lines of a condition are, where they can be broken.
const WIDTH: usize = 100;

/// A rule file with the rule of that name.
pub(super) fn rule(document: &Document, name: &str) -> String {
    let mut out = String::from("rules:\n");
    let mut key = |key: &str, value: &str| {
        // To a text nothing is added that cannot be.
        let blank = if value.starts_with('\n') { "" } else { " " };
        let _ = writeln!(out, "  {} {key}:{blank}{value}", if key == "name" { "-" } else { " " });
    };
    key("name", &quoted(name));
    key("description", &block(&description(document), 6));
    if !document.false_positives.is_empty() {
        key("false_positives", &block(&document.false_positives.join("\n"), 6));
    }
    match &document.content {
        Content::Detection(_, detection) => {
            key("event", &kinds(detection.kinds));
            if let Some(condition) = &detection.condition {
                key("condition", &block(&broken(condition, 0), 6));
            }
            if !detection.exceptions.is_empty() {
                let each = detection.exceptions.iter().map(|(name, expr)| {
                    let condition = block(&broken(expr, 0), 10);
                    format!("\n      - name: {}\n        condition: {condition}", quoted(name))
                });
                key("exceptions", &each.collect::<String>());
            }
        }
        Content::Correlation(correlation) => {
            for (name, value) in of_correlation(correlation) {
                key(name, &value);
            }
        }
        Content::Filter(_) | Content::Nothing(_) => {}
    }
    key("severity", document.severity.name());
    key("confidence", &document.confidence().to_string());
    if !document.tags.is_empty() {
        let tags: Vec<_> = document.tags.iter().map(|tag| quoted(tag)).collect();
        key("tags", &format!("[{}]", tags.join(", ")));
    }
    if !document.is_enabled() {
        key("enabled", "false");
    }
    out
}

/// What the rule finds, and whose rule it is.
fn description(document: &Document) -> String {
    let mut text = document.title.clone();
    if let Some(description) = &document.description {
        let _ = write!(text, "\n{description}");
    }
    let _ = write!(text, "\nSigma rule");
    if let Some(id) = &document.id {
        let _ = write!(text, " {id}");
    }
    if let Some(author) = &document.author {
        let _ = write!(text, " by {author}");
    }
    for reference in &document.references {
        let _ = write!(text, "\n{reference}");
    }
    text
}

/// The keys of a rule that was made of a correlation.
fn of_correlation(correlation: &Correlation) -> Vec<(&'static str, String)> {
    let by = |by: &[Field]| by.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
    let (parts, timespan) = (&correlation.parts, &correlation.timespan);
    if let Kind::All | Kind::Ordered = correlation.kind {
        let step = |part: &Part| {
            let condition = block(&broken(&part.condition, 0), 12);
            let (event, by) = (kinds(part.kinds), by(&part.by));
            format!("\n        - event: {event}\n          by: [{by}]\n          condition: {condition}")
        };
        let ordered = correlation.kind == Kind::Ordered;
        let steps: String = parts.iter().map(step).collect();
        let sequence = format!("\n      within: {timespan}\n      ordered: {ordered}\n      steps:{steps}");
        return vec![("sequence", sequence)];
    }
    let condition = match &parts[..] {
        [part] => Expr::clone(&part.condition),
        parts => Expr::Or(parts.iter().map(|part| Expr::clone(&part.condition)).collect()),
    };
    let all = parts.iter().fold(KindSet::NONE, |all, part| all.union(part.kinds));
    let mut keys = vec![("event", kinds(all)), ("condition", block(&broken(&condition, 0), 6))];
    let measure = correlation.measured().map_or(String::new(), |field| {
        let how = if correlation.kind == Kind::Sum { "sum" } else { "distinct" };
        format!("{how}: {}, ", field.name())
    });
    // One event is enough of itself.
    if correlation.at_least > 1 {
        let by = parts.first().map(|part| by(&part.by)).unwrap_or_default();
        let at_least = correlation.at_least;
        keys.push((
            "threshold",
            format!("{{{measure}at_least: {at_least}, within: {timespan}, by: [{by}]}}"),
        ));
    }
    keys
}

fn kinds(kinds: KindSet) -> String {
    format!("[{}]", kinds.iter().map(EventKind::name).collect::<Vec<_>>().join(", "))
}

/// A text in double quotes: JSON's are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A text as a block, where YAML can hold it in one, each line behind so many spaces.
fn block(text: &str, indent: usize) -> String {
    let text: Vec<_> = text.trim().lines().map(str::trim_end).collect();
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{feff}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    if !text.iter().all(|line| line.chars().all(is_plain)) {
        return quoted(&text.join("\n"));
    }
    let line = |line: &&str| {
        if line.is_empty() { "\n".to_owned() } else { format!("\n{}{line}", " ".repeat(indent)) }
    };
    format!("|-{}", text.iter().map(line).collect::<String>())
}

/// A condition, in several lines where it is long.
fn broken(expr: &Expr, indent: usize) -> String {
    let whole = expr.to_string();
    if whole.chars().count() + indent <= WIDTH {
        return whole;
    }
    let margin = " ".repeat(indent);
    match expr {
        Expr::And(parts) | Expr::Or(parts) => {
            let word = if matches!(expr, Expr::And(_)) { "AND" } else { "OR" };
            let part = |part: &Expr| match part {
                Expr::And(_) | Expr::Or(_) => format!("({})", broken(part, indent + 2)),
                _ => broken(part, indent),
            };
            parts.iter().map(part).collect::<Vec<_>>().join(&format!("\n{margin}{word} "))
        }
        Expr::Test(Test { operand: Operand::Many(values, _), .. }) => {
            let head = whole.split_once(" [").map_or(whole.as_str(), |(head, _)| head);
            let values: String = values.iter().map(|value| format!("\n{margin}  {value},")).collect();
            // The last has none behind it.
            format!("{head} [{}\n{margin}]", values.trim_end_matches(','))
        }
        _ => whole,
    }
}
