//! `openclaw alerts test`

use anstream::println;
use anyhow::{Context as _, Result, bail};

use crate::alert::{self, Alert};
use crate::cli::context::Context;
use crate::config::{Channel, nearest};
use crate::enrich::HostFacts;
use crate::output::style::{BAD, BOLD, DIM, GOOD};
use crate::output::text::Clean;

/// Send a marked test through the channels, and print what each endpoint said
///
/// The channels are those of the configuration file, so that it can be tried before the agent is started. Fails where a
/// channel does not take the test.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The channel [default: all]
    channel: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    // Before any secret is read.
    crate::agent::keep_memory_private();
    let alerting = context.load()?.config.security.alerting;
    if !alerting.enabled {
        bail!("alerting is switched off: set `security.alerting.enabled: true`");
    }
    let channels = chosen(&alerting.channels, args.channel.as_deref())?;
    let host = HostFacts::of_this_host().name;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start what sends alerts")?;
    let mut failed = 0;
    for channel in channels {
        let name = Clean(&channel.name);
        let test = Alert::of_test(&channel.name, &host);
        let endpoint = channel.endpoint();
        match runtime.block_on(alert::try_channel(&alerting, channel, &test)) {
            Ok(said) => println!(
                "{GOOD}ok{GOOD:#}      {BOLD}{name}{BOLD:#} {DIM}{endpoint}{DIM:#}: {}",
                Clean(&said)
            ),
            Err(reason) => {
                failed += 1;
                println!(
                    "{BAD}failed{BAD:#}  {BOLD}{name}{BOLD:#} {DIM}{endpoint}{DIM:#}: {}",
                    Clean(&reason)
                );
            }
        }
    }
    match failed {
        0 => Ok(()),
        1 => {
            bail!("a channel did not take the test: look at its settings under `security.alerting.channels`")
        }
        _ => bail!(
            "{failed} channels did not take the test: look at their settings under `security.alerting.channels`"
        ),
    }
}

fn chosen<'a>(channels: &'a [Channel], name: Option<&str>) -> Result<Vec<&'a Channel>> {
    if channels.is_empty() {
        bail!("no channel is configured and switched on: write one under `security.alerting.channels`");
    }
    let Some(name) = name else { return Ok(channels.iter().collect()) };
    let names = || channels.iter().map(|channel| channel.name.as_str());
    match channels.iter().find(|channel| channel.name == name) {
        Some(channel) => Ok(vec![channel]),
        None => match nearest(name, names()) {
            Some(right) => bail!("no channel {name} is switched on: did you mean {right}?"),
            None => {
                bail!(
                    "no channel {name} is switched on: those are {}",
                    names().collect::<Vec<_>>().join(", ")
                )
            }
        },
    }
}
