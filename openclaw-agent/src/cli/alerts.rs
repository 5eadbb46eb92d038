//! `openclaw alerts`

mod list;
mod try_out;

use std::collections::BTreeMap;
use std::time::Duration;

use anstream::println;
use anyhow::{Result, bail};
use openclaw_detect::Timestamp;

use super::context::Context;
use crate::api::{ClientError, Request, Response};
use crate::config::units;
use crate::output::style::{BOLD, DIM};
use crate::output::text::Clean;
use crate::output::{Format, time};

/// List what was told, try the channels, deliver again what was given up, and mute rules
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw alerts list --since 1h
  sudo openclaw alerts list --failed
  sudo openclaw alerts retry                     all that was given up
  sudo openclaw alerts test                      a test through every channel
  sudo openclaw alerts test telegram
  sudo openclaw alerts mute port_scan --for 1h")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Test(try_out::Args),
    /// Deliver alerts again that were given up
    Retry {
        /// The alert's id, or the beginning of it [default: all]
        id: Option<String>,
    },
    /// Keep the alerts of a rule back: they are listed and counted, and its findings and answers go on
    Mute {
        /// The rule
        rule: String,
        /// For how long, such as 30m or 8h
        #[arg(long = "for", value_name = "DURATION", value_parser = units::parse_duration, default_value = "1h")]
        duration: Duration,
    },
    /// Let the alerts of a rule through again
    Unmute {
        /// The rule
        rule: String,
    },
    /// List the rules whose alerts are kept back
    Mutes {
        /// How they are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::List(args) => list::run(&args, context),
        Command::Test(args) => try_out::run(&args, context),
        Command::Retry { id } => {
            let Response::Retried { deliveries } = context.connect()?.ask(&Request::RetryAlerts { id })?
            else {
                bail!(ClientError::Unexpected);
            };
            let what = if deliveries == 1 { "delivery waits" } else { "deliveries wait" };
            println!("{deliveries} {what} again: `openclaw alerts list --waiting` shows what is left");
            Ok(())
        }
        Command::Mute { rule, duration } => {
            let mutes = mutes(context, &Request::Mute { rule: rule.clone(), duration: Some(duration) })?;
            let until = mutes.get(&rule).map(|until| time::date_and_clock(*until)).unwrap_or_default();
            println!("{BOLD}{}{BOLD:#} is muted until {until}", Clean(&rule));
            Ok(())
        }
        Command::Unmute { rule } => {
            mutes(context, &Request::Mute { rule: rule.clone(), duration: None })?;
            println!("alerts of {BOLD}{}{BOLD:#} are sent again", Clean(&rule));
            Ok(())
        }
        Command::Mutes { output } => {
            let mutes = mutes(context, &Request::Mutes)?;
            match output {
                Format::Json => {
                    let until = mutes.into_iter().map(|(rule, until)| (rule, time::rfc3339(until)));
                    println!("{}", serde_json::to_string(&until.collect::<BTreeMap<_, _>>())?);
                }
                Format::Text if mutes.is_empty() => println!("no rule is muted"),
                Format::Text => {
                    for (rule, until) in mutes {
                        let until = time::date_and_clock(until);
                        println!("{BOLD}{}{BOLD:#} {DIM}until {until}{DIM:#}", Clean(&rule));
                    }
                }
            }
            Ok(())
        }
    }
}

fn mutes(context: &Context, request: &Request) -> Result<BTreeMap<String, Timestamp>> {
    match context.connect()?.ask(request)? {
        Response::Mutes { mutes } => Ok(mutes),
        _ => bail!(ClientError::Unexpected),
    }
}
