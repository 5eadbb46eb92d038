//! `openclaw findings`

use std::fmt::Write as _;

use anstream::print;
use anyhow::Result;
use openclaw_detect::Finding;

use super::context::Context;
use super::filter::Filter;
use super::table::Table;
use crate::output::style::{self, BOLD, DIM};
use crate::output::text::Clean;
use crate::output::{self, Format, Printer, time};
use crate::respond::action::ActionRecord;

/// List what was found, or show one finding with everything that is known of it
///
/// Reads the store, so it works without a running agent.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sudo openclaw findings --severity high --since 1d
  sudo openclaw findings --rule suspicious_process --output json
  sudo openclaw findings show 0199f3a2"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: Filter,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one finding
    Show {
        /// Its id, or the beginning of it
        id: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let store = context.store()?;
    match &args.command {
        Some(Command::Show { id, output }) => {
            let finding = store.finding(id)?;
            let actions = store.actions_of(&finding.id)?;
            show(&finding, &actions, *output)
        }
        None => {
            let list = &args.list;
            let findings = store.findings(&list.of_store(), list.limit)?;
            match list.output {
                Format::Text => print!("{}", table(&findings)),
                Format::Json => {
                    let mut printer = Printer::stdout(Format::Json);
                    for finding in &findings {
                        printer.finding(finding, &store.actions_of(&finding.id)?)?;
                    }
                    printer.flush()?;
                }
            }
            Ok(())
        }
    }
}

fn table(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no findings\n".to_owned();
    }
    let mut table = Table::default();
    for finding in findings {
        let colour = style::severity(finding.severity);
        table.row([
            format!("{DIM}{}{DIM:#}", time::date_and_clock(finding.timestamp)),
            format!("{colour}{}{colour:#}", finding.severity),
            format!("{BOLD}{}{BOLD:#}", Clean(&finding.rule)),
            Clean(&finding.id).to_string(),
            Clean(&finding.message).to_string(),
        ]);
    }
    table.text()
}

fn show(finding: &Finding, actions: &[ActionRecord], format: Format) -> Result<()> {
    if format == Format::Json {
        let mut printer = Printer::stdout(format);
        printer.finding(finding, actions)?;
        return Ok(printer.flush()?);
    }
    let colour = style::severity(finding.severity);
    let mut out = String::new();
    writeln!(
        out,
        "{colour}{}{colour:#} {BOLD}{}{BOLD:#}",
        finding.severity.name().to_uppercase(),
        Clean(&finding.title)
    )?;
    writeln!(out, "{}\n", Clean(&finding.message))?;
    let mut table = Table::default();
    let mut line = |name: &str, value: String| table.row([format!("{DIM}{name}{DIM:#}"), value]);
    line("id", Clean(&finding.id).to_string());
    line("time", time::date_and_clock(finding.timestamp));
    line("rule", Clean(&finding.rule).to_string());
    line("confidence", finding.confidence.to_string());
    if !finding.tags.is_empty() {
        line("tags", Clean(&finding.tags.join(", ")).to_string());
    }
    for action in actions {
        line("answer", format!("{} {DIM}[{}]{DIM:#}", output::sentence(action), Clean(&action.id)));
    }
    out.push_str(&table.text());
    // JSON escapes control characters; the others are cleaned line by line.
    writeln!(out, "\n{DIM}event{DIM:#}")?;
    for line in serde_json::to_string_pretty(&finding.event)?.lines() {
        writeln!(out, "  {}", Clean(line))?;
    }
    print!("{out}");
    Ok(())
}
