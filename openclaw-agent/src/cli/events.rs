//! `openclaw events`

use std::io;

use anyhow::{Result, ensure};
use clap_complete::engine::ArgValueCompleter;
use tracing::warn;

use super::completion;
use super::context::Context;
use crate::api::{Request, Response};
use crate::output::{Format, Printer};

/// Show what happens, live
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw events --follow
  sudo openclaw events --follow --where 'process.name == \"curl\" OR destination.port == 22'
  sudo openclaw events --follow --output json | jq .process.command_line

`openclaw rules fields` lists the fields that a condition may name.")]
pub(super) struct Args {
    /// Show events from now on, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only events for which this condition of the rule language is true
    #[arg(long, value_name = "CONDITION", add = ArgValueCompleter::new(completion::condition))]
    r#where: Option<String>,
    /// How events are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    ensure!(
        args.follow,
        "events are not kept, only shown as they happen: add --follow (findings are kept: `openclaw findings`)"
    );
    let mut printer = Printer::stdout(args.output);
    let mut printed: io::Result<()> = Ok(());
    let request = Request::Events { condition: args.r#where, format: args.output };
    context.connect()?.follow(&request, |response| {
        match response {
            Response::Event { line } => printed = printer.line(&line).and_then(|()| printer.flush()),
            Response::Lost { count } => {
                warn!(count, "events left out: this command did not read them fast enough; narrow them down with --where");
            }
            _ => {}
        }
        printed.is_ok()
    })?;
    Ok(printed?)
}
