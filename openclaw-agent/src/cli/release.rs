//! `openclaw release`

use anyhow::Result;

use super::context::{Context, act};
use crate::api::Request;
use crate::output::Format;

/// Let an isolated process tree use the network again
#[derive(Debug, clap::Args)]
#[command(after_help = "`openclaw response list` shows the ids of what is isolated.")]
pub(super) struct Args {
    /// The isolation's id, or the beginning of it
    id: String,
    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    act(context, &Request::Release { id: args.id }, args.output)
}
