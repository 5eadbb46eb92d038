//! `openclaw rules explain`

use std::fmt::Write as _;
use std::path::PathBuf;

use anstream::print;
use anyhow::{Context as _, Result, bail};
use clap_complete::engine::ArgValueCompleter;
use openclaw_detect::explain::{Explanation, Part, explain as explain_rule, explain_finding};
use openclaw_detect::{EventKind, RecordedEvent, Rule};

use crate::cli::completion;
use crate::cli::context::Context;
use crate::cli::replay::read_events;
use crate::output::Format;
use crate::output::style::{BAD, BOLD, DIM, GOOD, WARN};
use crate::output::text::Clean;
use crate::rules::{self, Writers};

/// Show a rule as it is understood, and what it makes of events, part by part
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw rules explain suspicious_process
  openclaw rules explain suspicious_process --event events.jsonl
  sudo openclaw rules explain suspicious_process --finding 0199f3a2")]
pub(super) struct Args {
    /// The rule's name
    #[arg(add = ArgValueCompleter::new(completion::rule))]
    rule: String,
    /// A capture, or a file of events as `openclaw events --output json` prints them: what the rule makes of them all,
    /// and its parts on the last
    #[arg(long, value_name = "FILE", conflicts_with = "finding")]
    event: Option<PathBuf>,
    /// The event of this finding, of any rule
    #[arg(long, value_name = "ID")]
    finding: Option<String>,
    /// Rules instead of those that ship and those that are configured; may be given more than once
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn explain(args: &Args, context: &Context) -> Result<()> {
    let rules = rules::load(&context.load()?.config.security.rules, &args.rules, Writers::Any)?;
    let Some(rule) = rules.get(&args.rule) else {
        bail!("there is no rule {}: `openclaw rules list` shows those that there are", args.rule);
    };
    let (explanation, events) = match (&args.event, &args.finding) {
        (Some(file), _) => {
            let events = read_events(file)?;
            (explain_rule(&rules, &rule.name, &events), events.len())
        }
        (_, Some(id)) => {
            let finding = context.store()?.finding(id)?;
            let event =
                RecordedEvent::from_value(&finding.event).context("the finding's event cannot be read")?;
            (explain_finding(&rules, &rule.name, &finding, &event), 1)
        }
        _ => (None, 0),
    };
    match (args.output, explanation) {
        (Format::Json, explanation) => {
            let about = serde_json::json!({
                "rule": rule.name,
                "condition": rule.condition,
                "events": rule.kinds.iter().map(EventKind::name).collect::<Vec<_>>(),
                "explanation": explanation,
            });
            print!("{about}\n");
        }
        (Format::Text, None) => print!("{}", about(rule)),
        (Format::Text, Some(explanation)) => print!("{}", text(&explanation, events)),
    }
    Ok(())
}

/// The rule for people.
fn about(rule: &Rule) -> String {
    let mut out = format!("{BOLD}{}{BOLD:#} {DIM}{}{DIM:#}\n", rule.name, rule.origin);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  fires    {}", rule.when);
    let _ = writeln!(out, "  runs on  {}", rule.kinds);
    for line in rule.condition.lines() {
        let _ = writeln!(out, "  {line}");
    }
    for exception in &rule.exceptions {
        let _ = writeln!(out, "  unless   {} ({})", exception.condition, exception.name);
    }
    for (about, text) in [
        ("What it finds", &rule.description),
        ("What else it may be", &rule.false_positives),
        ("What to do first", &rule.triage),
    ] {
        if let Some(text) = text {
            let _ = writeln!(out, "{BOLD}{about}:{BOLD:#} {}", Clean(text.trim()));
        }
    }
    out
}

/// What the rule made of events, for people.
fn text(explanation: &Explanation, events: usize) -> String {
    let fired: Vec<_> = explanation.fired.iter().map(ToString::to_string).collect();
    let outcome = match (&fired[..], events) {
        ([], _) => format!("{BAD}did not fire{BAD:#}"),
        (_, 1) => format!("{GOOD}fired{GOOD:#}"),
        (fired, _) => format!("{GOOD}fired{GOOD:#} on events {} of {events}", fired.join(", ")),
    };
    let mut out = format!("{BOLD}{}{BOLD:#} {outcome}\n", explanation.rule);
    for condition in &explanation.conditions {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{DIM}{}{DIM:#}", Clean(&condition.name));
        lines(&condition.part, 1, &mut out);
    }
    for note in &explanation.notes {
        let _ = writeln!(out, "{WARN}note{WARN:#} {}", Clean(note));
    }
    out
}

fn lines(part: &Part, depth: usize, out: &mut String) {
    let (colour, word) = match part.truth {
        Some(true) => (GOOD, "true   "),
        Some(false) => (BAD, "false  "),
        None => (WARN, "neither"),
    };
    let saw = match (&part.saw, part.parts.is_empty()) {
        (Some(saw), _) => format!("  {DIM}it is {saw}{DIM:#}"),
        (None, true) => format!("  {DIM}the event has none{DIM:#}"),
        (None, false) => String::new(),
    };
    let indent = "  ".repeat(depth);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{indent}{colour}{word}{colour:#} {}{saw}", Clean(&part.text));
    part.parts.iter().for_each(|part| lines(part, depth + 1, out));
}
