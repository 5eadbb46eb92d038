//! `openclaw rules list`

use anstream::print;
use anyhow::Result;
use openclaw_detect::rule::Exception;
use openclaw_detect::{Action, EventKind, KindSet, RuleSet};

use crate::cli::table::Table;
use crate::output::style::{self, BOLD, DIM};
use crate::output::{Format, Printer};

pub(super) fn list(rules: &RuleSet, format: Format) -> Result<()> {
    let actions = |actions: &[Action]| actions.iter().map(|action| action.name()).collect::<Vec<_>>();
    let kinds = |kinds: KindSet| kinds.iter().map(EventKind::name).collect::<Vec<_>>();
    if format == Format::Json {
        let mut printer = Printer::stdout(format);
        for rule in rules.iter() {
            let line = serde_json::json!({
                "name": rule.name,
                "description": rule.description,
                "false_positives": rule.false_positives,
                "triage": rule.triage,
                "severity": rule.severity,
                "confidence": rule.confidence,
                "actions": actions(&rule.actions),
                "tags": rule.tags,
                "condition": rule.condition,
                "exceptions": rule.exceptions.iter().map(exception).collect::<Vec<_>>(),
                "fires": rule.when.to_string(),
                "events": kinds(rule.kinds),
                "pack": rule.pack,
                "origin": rule.origin,
            });
            printer.line(&line.to_string())?;
        }
        return Ok(printer.flush()?);
    }
    let mut table = Table::default();
    for rule in rules.iter() {
        let colour = style::severity(rule.severity);
        table.row([
            format!("{BOLD}{}{BOLD:#}", rule.name),
            format!("{colour}{}{colour:#}", rule.severity),
            actions(&rule.actions).join(" and "),
            format!("{DIM}{}{DIM:#}", kinds(rule.kinds).join(", ")),
            format!("{DIM}{}{DIM:#}", rule.origin),
        ]);
    }
    print!("{}", table.text());
    Ok(())
}

fn exception(exception: &Exception) -> serde_json::Value {
    serde_json::json!({ "name": exception.name, "condition": exception.condition })
}
