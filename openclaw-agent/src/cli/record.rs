//! `openclaw record`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use crate::agent::RecordOptions;
use crate::config::units;
use crate::output::Format;

/// Record what happens on this host, so that rules can be run over it again, anywhere
///
/// Every event is recorded that the kernel tells of, and the processes that were there before; of the files that are read
/// those that the rules name. What the rules find meanwhile is printed: `openclaw replay` with the same rules prints the
/// same. It runs beside an agent, and needs none.
///
/// A capture holds command lines, paths, addresses and names: treat it like a log of everything that people did here.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw record attack.capture --duration 5m
  sudo openclaw record - | ssh analyst 'cat > attack.capture'
  openclaw replay attack.capture --rules ./my-rules
  zcat attack.capture | jq 'select(.event.dataset == \"process_create\") | .process.command_line'")]
pub(super) struct Args {
    /// The file to make; - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// For how long, such as 30s or 5m [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    duration: Option<Duration>,
    /// How many events at most
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// How large the file may become, such as 100MB, but for what is on its way to it
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    max_size: Option<u64>,
    /// Record every file that is read, not only those that rules name: very many
    #[arg(long)]
    all_reads: bool,
    /// Rules instead of those that ship and those that are configured; may be given more than once
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    crate::agent::record(RecordOptions {
        config: context.load()?.config,
        rules: args.rules,
        file: args.file,
        force: args.force,
        all_reads: args.all_reads,
        duration: args.duration,
        events: args.events,
        size: args.max_size,
        output: args.output,
    })
}
