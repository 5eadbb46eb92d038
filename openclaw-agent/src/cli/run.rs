//! `openclaw run`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::context::{self, Context};
use crate::agent::RunOptions;
use crate::config::Loaded;
use crate::output::Format;
use crate::own_log::Ring;

/// Run the agent in the foreground, until it is told to stop by Ctrl-C or SIGTERM
///
/// Without a configuration file it watches with the rules that ship, and only says what it would do
/// (`security.response.mode: observe`).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw run --events                     show every event
  sudo openclaw run --output json | jq .         findings as JSON lines
  sudo openclaw run --config ./openclaw.yml --rules ./rules --rules ./more-rules")]
pub(super) struct Args {
    /// Rules to run instead of those that ship and those that are configured: a folder or a file; may be given more
    /// than once
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Print every event, not only findings and actions
    #[arg(long)]
    events: bool,
    /// How findings, actions and events are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Take blocks and isolations back when the agent stops, instead of letting them run out
    #[arg(long)]
    release_on_exit: bool,
}

fn options(args: Args, loaded: Loaded, log: Arc<Ring>) -> RunOptions {
    let config = loaded.config;
    RunOptions {
        socket: context::socket_path(&config),
        store: context::store_path(&config),
        config,
        config_path: loaded.path,
        rules: args.rules,
        release_on_exit: args.release_on_exit,
        events: args.events,
        output: args.output,
        log,
    }
}

pub(super) fn run(args: Args, context: &Context, log: Arc<Ring>) -> Result<()> {
    // Before any secret is read.
    crate::agent::keep_memory_private();
    let options = options(args, context.load()?, log);
    crate::agent::run(options)
}
