//! `openclaw blocklist`

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

use super::context::{Context, act, print_actions};
use crate::api::protocol::Block;
use crate::api::{ClientError, Request, Response};
use crate::config::units;
use crate::output::{Format, Printer};
use crate::respond::Network;
use crate::respond::action::ActionKind;
use crate::respond::action::Outcome;

/// Cut addresses off, by hand: in both directions, in both modes, under the guard rails
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw blocklist add 192.0.2.7 --reason \"scans us\" --for 1d
  sudo openclaw blocklist add 2001:db8::/32 198.51.100.0/24
  sudo openclaw blocklist add --from feed.txt --reason \"known scanners\" --for 1d
  sudo openclaw blocklist remove 192.0.2.7")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Block addresses and networks
    Add {
        /// 192.0.2.7, 192.0.2.0/24, 2001:db8::1, …
        #[arg(value_name = "IP", required_unless_present = "from")]
        networks: Vec<Network>,
        /// Those in a file too, one in each line, `#` before a remark; `-` for standard input
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
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

/// Blocks one network after the other, also after one was refused, and fails where one was.
fn add(context: &Context, networks: &[Network], like: &Block, format: Format) -> Result<()> {
    if networks.len() == 1 {
        return act(context, &Request::Block(like.clone()), format);
    }
    let mut agent = context.connect()?;
    // Lines on the same terminal show well enough how far it is.
    let shows = std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
    let bar = if shows { ProgressBar::new(networks.len() as u64) } else { ProgressBar::hidden() };
    let mut printer = Printer::stdout(format);
    let mut missed = 0;
    for (at, network) in networks.iter().enumerate() {
        let request = Request::Block(Block { network: *network, among_many: true, ..like.clone() });
        let answer = agent
            .ask(&request)
            .with_context(|| format!("{at} of {} networks were asked for", networks.len()))?;
        let Response::Action { action } = answer else { bail!(ClientError::Unexpected) };
        missed += u64::from(action.outcome != Outcome::Done);
        printer.action(&action)?;
        bar.inc(1);
    }
    printer.flush()?;
    bar.finish_and_clear();
    if missed > 0 {
        bail!("{missed} of {} networks are not blocked: the lines above say why", networks.len());
    }
    Ok(())
}

/// The networks in a file. Nothing is blocked where there is a mistake in it.
fn read(file: &Path) -> Result<Vec<Network>> {
    let shown = file.display();
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let networks = parse(&text.with_context(|| format!("cannot read {shown}"))?);
    let networks = networks.map_err(|mistake| anyhow::anyhow!("{shown}:{mistake}"))?;
    if networks.is_empty() {
        bail!("{shown} names no network: write one in each line, such as 192.0.2.7");
    }
    Ok(networks)
}

fn parse(text: &str) -> Result<Vec<Network>, String> {
    let lines =
        text.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or("").trim()));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| line.parse().map_err(|error: String| format!("{at}: {error}")))
        .collect()
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::Add { mut networks, from, reason, duration, output } => {
            networks.extend(from.as_deref().map_or(Ok(Vec::new()), read)?);
            add(
                context,
                &networks,
                &Block { network: networks[0], reason, duration, among_many: false },
                output,
            )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_network_in_each_line_and_remarks() {
        let networks = parse("# scanners\n192.0.2.7 # seen twice\n\n  2001:db8::/32\r\n").unwrap();
        assert_eq!(networks, ["192.0.2.7".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let mistake = parse("192.0.2.7\nexample.com\n").unwrap_err();
        assert!(mistake.starts_with("2: `example.com` is no address"), "{mistake}");
    }
}
