//! `openclaw security`: other names for the same things.

use anyhow::Result;

use super::{context::Context, status};

/// Other names: `security status` is `status`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(status::Args),
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Status(args) => status::run(args, context),
    }
}
