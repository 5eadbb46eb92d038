//! `openclaw security`: how the agent does, and what it says.

use anyhow::Result;

use super::{context::Context, logs, status};

/// How the agent does, and its log: `security status` is `status`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(status::Args),
    Logs(logs::Args),
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Status(args) => status::run(args, context),
        Command::Logs(args) => logs::run(args, context),
    }
}
