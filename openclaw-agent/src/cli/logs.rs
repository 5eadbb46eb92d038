//! `openclaw security logs`

use std::io;

use anyhow::{Result, bail};
use tracing::warn;

use super::context::Context;
use crate::api::{ClientError, Request, Response};
use crate::output::{Format, Printer};
use crate::own_log::{Level, Line};

/// Show the log of the running agent, wherever else it goes: the journal, a file, a pod's log
///
/// The agent keeps its last 4,096 lines, or the last MiB, in memory. Lines from before it was started are where its
/// standard error went.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw security logs
  sudo openclaw security logs --follow
  sudo openclaw security logs --level warn --lines 1000
  sudo openclaw security logs --follow --output json | jq -r 'select(.fields.alert) | .message'

Of debug and trace there is what OPENCLAW_LOG has the agent write.")]
pub(super) struct Args {
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only lines that matter at least so much
    #[arg(long, value_enum, default_value_t = Level::Trace, hide_default_value = true, value_name = "LEVEL")]
    level: Level,
    /// How many of the last lines
    #[arg(long, short = 'n', default_value_t = 100, value_name = "N")]
    lines: usize,
    /// How lines are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let &Args { follow, level, lines, output } = args;
    let mut printer = Printer::stdout(output);
    let mut print = |line: &Line| match output {
        Format::Text => printer.line(&line.text()).and_then(|()| printer.flush()),
        Format::Json => printer.line(&line.json().to_string()).and_then(|()| printer.flush()),
    };
    let mut client = context.connect()?;
    let request = Request::Log { level, lines, follow };
    if !follow {
        let Response::Log { lines } = client.ask(&request)? else { bail!(ClientError::Unexpected) };
        return Ok(lines.iter().try_for_each(print)?);
    }
    let mut printed: io::Result<()> = Ok(());
    client.follow(&request, |response| {
        match response {
            Response::LogLine { line } => printed = print(&line),
            Response::Lost { count } => {
                warn!(count, "lines left out: this command did not read them fast enough");
            }
            _ => {}
        }
        printed.is_ok()
    })?;
    Ok(printed?)
}
