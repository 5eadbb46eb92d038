//! `openclaw alerts list`

use anstream::{print, println};
use anyhow::Result;

use crate::cli::context::Context;
use crate::cli::filter::Filter;
use crate::cli::table::Table;
use crate::output::style::{self, BAD, DIM, GOOD, WARN};
use crate::output::text::Clean;
use crate::output::{Format, time};
use crate::store::{ToldAlert, Which};

/// List alerts: delivered, waiting, held back, given up
///
/// Reads the store, so it works without a running agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only those that a channel refused, or has not taken in time
    #[arg(long, group = "which")]
    failed: bool,
    /// Only those that wait for a channel
    #[arg(long, group = "which")]
    waiting: bool,
    /// Only those that were held back since one like them was told, or since their rule was muted
    #[arg(long, group = "which")]
    held: bool,
    #[command(flatten)]
    filter: Filter,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let which = match (args.failed, args.waiting, args.held) {
        (true, ..) => Which::Failed,
        (_, true, _) => Which::Waiting,
        (.., true) => Which::Held,
        _ => Which::All,
    };
    let filter = &args.filter;
    let alerts = context.store()?.alerts(which, &filter.of_store(), filter.limit)?;
    match filter.output {
        Format::Json => {
            for alert in &alerts {
                println!("{}", serde_json::to_string(alert)?);
            }
        }
        Format::Text if alerts.is_empty() => println!("no alerts"),
        Format::Text => print!("{}", table(&alerts)),
    }
    Ok(())
}

fn table(alerts: &[ToldAlert]) -> String {
    let mut table = Table::default();
    for alert in alerts {
        let colour = style::severity(alert.severity);
        let times = match alert.held_back {
            0 => String::new(),
            more => format!(" {WARN}({more} more held back){WARN:#}"),
        };
        table.row([
            format!("{DIM}{}{DIM:#}", time::date_and_clock(alert.at)),
            format!("{colour}{}{colour:#}", alert.severity),
            alert.trigger.clone(),
            Clean(&alert.id).to_string(),
            became(alert),
            format!("{}{times}", Clean(&alert.message)),
        ]);
    }
    table.text()
}

/// What became of an alert, channel by channel.
fn became(alert: &ToldAlert) -> String {
    if alert.muted {
        return format!("{DIM}muted{DIM:#}");
    }
    if let Some(by) = &alert.held_by {
        return format!("{DIM}held back, like {}{DIM:#}", Clean(by));
    }
    let states = alert.deliveries.iter().map(|delivery| {
        let name = Clean(&delivery.channel);
        match (delivery.state, &delivery.error) {
            ("delivered", _) => format!("{GOOD}{name}{GOOD:#}"),
            ("waiting", _) => format!("{WARN}{name} waits{WARN:#}"),
            (_, Some(error)) => format!("{BAD}{name} failed: {}{BAD:#}", Clean(error)),
            (_, None) => format!("{BAD}{name} failed{BAD:#}"),
        }
    });
    states.collect::<Vec<_>>().join(", ")
}
