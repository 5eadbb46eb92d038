//! `openclaw blocklist`

use std::time::Duration;

use anyhow::{Result, bail};

use super::context::{Context, act, print_actions};
use crate::api::protocol::Block;
use crate::api::{ClientError, Request, Response};
use crate::config::units;
use crate::output::Format;
use crate::respond::Network;
use crate::respond::action::ActionKind;

/// Cut addresses off, by hand: in both directions, in both modes, under the guard rails
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw blocklist add 192.0.2.7 --reason \"scans us\" --for 1d
  sudo openclaw blocklist add 2001:db8::/32
  sudo openclaw blocklist remove 192.0.2.7")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Block an address or a network
    Add {
        /// 192.0.2.7, 192.0.2.0/24, 2001:db8::1, …
        #[arg(value_name = "IP")]
        network: Network,
        /// Why, for those who read it later
        #[arg(long)]
        reason: Option<String>,
        /// For how long [default: security.response.default_duration, 1h]
        #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration)]
        duration: Option<Duration>,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Take a block back
    Remove {
        /// As it was blocked
        #[arg(value_name = "IP")]
        network: Network,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// List what is blocked
    List {
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::Add { network, reason, duration, output } => {
            act(context, &Request::Block(Block { network, reason, duration }), output)
        }
        Command::Remove { network, output } => act(context, &Request::Unblock { network }, output),
        Command::List { output } => {
            let Response::Actions { mut actions } =
                context.connect()?.ask(&Request::Actions { all: false })?
            else {
                bail!(ClientError::Unexpected);
            };
            actions.retain(|action| action.kind == ActionKind::Block);
            print_actions(&actions, output)
        }
    }
}
