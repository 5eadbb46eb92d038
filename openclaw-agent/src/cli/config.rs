//! `openclaw config`

use anstream::{print, println};
use anyhow::{Context as _, Result};

use super::context::Context;
use crate::config;
use crate::output::Format;

/// Check the configuration, or show what it amounts to
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw config check --config ./openclaw-config.yml
  openclaw config show")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read the configuration and report every mistake by line and column
    Check,
    /// Show the configuration with all defaults filled in; secrets are masked
    Show {
        /// `text` is YAML
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Check => check(context),
        Command::Show { output } => {
            let config = context.load()?.config;
            match output {
                Format::Json => println!("{}", serde_json::to_string(&config)?),
                Format::Text => print!(
                    "{}",
                    serde_saphyr::to_string(&config).context("cannot write the configuration as YAML")?
                ),
            }
            Ok(())
        }
    }
}

fn check(context: &Context) -> Result<()> {
    let loaded = context.load()?;
    match loaded.path {
        Some(path) => println!("{}: good", path.display()),
        None => {
            let places: Vec<_> = config::candidates().iter().map(|path| path.display().to_string()).collect();
            println!("no configuration file at {}: the defaults apply", places.join(", "));
        }
    }
    Ok(())
}
