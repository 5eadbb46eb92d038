//! `openclaw isolate`

use std::time::Duration;

use anyhow::Result;
use openclaw_detect::Scope;

use super::context::{Context, act};
use crate::api::Request;
use crate::api::protocol::Isolate;
use crate::config::units;
use crate::output::Format;

/// Cut a process and all its descendants, or the host, off from the network, by hand: in both modes, under the guard rails
///
/// Connections that are open are cut too. What security.response.isolation allows stays open. `openclaw release ID` takes it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw isolate 4711
  sudo openclaw isolate 4711 --container
  sudo openclaw isolate 4711 --reason \"reverse shell\" --for 1d
  sudo openclaw isolate --host --for 4h")]
pub(super) struct Args {
    /// The process, the root of the tree
    #[arg(required_unless_present = "host")]
    pid: Option<u32>,
    /// Cut off all of its container
    #[arg(long)]
    container: bool,
    /// Cut off this host; what this command is given over, such as a session of ssh, too, unless it is allowed
    #[arg(long, conflicts_with_all = ["pid", "container"])]
    host: bool,
    /// Why, for those who read it later
    #[arg(long)]
    reason: Option<String>,
    /// For how long [default: security.response.default_duration, 1h]
    #[arg(long = "for", value_name = "TIME", value_parser = units::parse_duration)]
    duration: Option<Duration>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    let Args { pid, container, host, reason, duration, output } = args;
    let scope = match (host, container) {
        (true, _) => Scope::Host,
        (false, true) => Scope::Container,
        (false, false) => Scope::Tree,
    };
    act(context, &Request::Isolate(Isolate { pid, scope, reason, duration }), output)
}
