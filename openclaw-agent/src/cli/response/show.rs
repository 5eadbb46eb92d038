//! `openclaw response show`

use anstream::print;
use anyhow::Result;

use super::super::context::{Context, print_actions};
use super::super::table::Table;
use crate::output::style::{BAD, BOLD, GOOD};
use crate::output::text::Clean;
use crate::output::{self, Format, time};
use crate::respond::{ActionRecord, Outcome};

pub(super) fn run(context: &Context, id: &str, output: Format) -> Result<()> {
    let action = context.store()?.action(id)?;
    match output {
        Format::Json => print_actions(std::slice::from_ref(&action), output),
        Format::Text => {
            print!("{}", text(&action));
            Ok(())
        }
    }
}

/// Everything that is known of an answer, for people.
fn text(action: &ActionRecord) -> String {
    let mut table = Table::default();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row([format!("{BOLD}{name}{BOLD:#}"), value]);
        }
    };
    let clean = |text: &Option<String>| text.as_ref().map(|text| Clean(text).to_string());
    let names = |rails: &[crate::respond::Rail]| {
        rails.iter().map(|rail| format!("{GOOD}{}{GOOD:#}", rail.name())).collect::<Vec<_>>().join(", ")
    };
    line("id", Some(Clean(&action.id).to_string()));
    line("what", Some(output::sentence(action)));
    line("scope", action.scope.map(|scope| scope.name().to_owned()));
    line("processes", action.processes.map(|number| number.to_string()));
    line("rule", clean(&action.rule));
    line("finding", clean(&action.finding));
    line("asked by", action.rule.is_none().then(|| "a person".to_owned()));
    line("mode", action.mode.map(|mode| mode.name().to_owned()));
    line("passed", Some(names(&action.passed)).filter(|names| !names.is_empty()));
    line("refused by", action.refused_by.map(|rail| format!("{BAD}{}{BAD:#}", rail.name())));
    line("asked", Some(time::date_and_clock(action.at)));
    line("signal", action.delay_us.map(|delay| format!("{:.3} ms after the event", delay as f64 / 1000.0)));
    line("done", action.done.map(time::date_and_clock));
    line("verified", action.verified.map(time::date_and_clock));
    line("expires", action.expires.map(time::date_and_clock));
    line("ended", action.ended.map(time::date_and_clock));
    line("in place of", clean(&action.escalates));
    line("in force as", clean(&action.verdict));
    let undo = format!("openclaw response undo {}", Clean(&action.id));
    line("take back", (action.outcome == Outcome::Done && action.kind.can_be_undone()).then_some(undo));
    table.text()
}
