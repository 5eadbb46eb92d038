//! `openclaw rules`

mod check;
mod explain;
mod fields;
mod import;
mod list;
mod test;

use std::path::PathBuf;

use anstream::println;
use anyhow::{Result, bail};

use self::check::CheckFormat;
use super::context::Context;
use crate::api::{ClientError, Request, Response};
use crate::output::Format;
use crate::rules::{self, Writers};

/// Check and test rules, list, explain and reload those that run, and show what conditions may name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw rules check ./my-rules
  openclaw rules test ./my-rules
  openclaw rules explain suspicious_process --event events.jsonl
  openclaw rules import ./sigma/rules/linux --report
  openclaw rules list
  openclaw rules fields")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read rules and report every mistake by file, line and column; fails where there is one
    Check {
        /// Folders and files with rules [default: what would run: the shipped and the configured rules]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// How mistakes are printed
        #[arg(long, visible_alias = "format", value_enum, default_value_t, value_name = "FORMAT")]
        output: CheckFormat,
    },
    /// Run the tests that rules carry; fails where one does
    Test {
        /// Folders and files with rules [default: what would run: the shipped and the configured rules]
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Fail as well where a rule has no test that fires, or none that does not
        #[arg(long)]
        strict: bool,
        /// How results are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    Explain(explain::Args),
    Import(import::Args),
    /// List the rules that would run
    List {
        /// Rules instead of those that ship and those that are configured; may be given more than once
        #[arg(long, value_name = "DIR")]
        rules: Vec<PathBuf>,
        /// How they are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Have the running agent read its rules again: all of them, or, where there is a mistake, none
    Reload,
    /// Print a JSON Schema of rule files, with which editors check and complete them
    Schema,
    /// List the fields that conditions may name, with their types and the events that carry them
    Fields {
        /// How they are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let config = || context.load().map(|loaded| loaded.config.security.rules);
    match &args.command {
        Command::Check { paths, output } => check::check(&config()?, paths, *output),
        Command::Test { paths, strict, output } => test::test(&config()?, paths, *strict, *output),
        Command::Explain(args) => explain::explain(args, context),
        Command::Import(args) => import::import(args),
        Command::List { rules, output } => {
            list::list(&rules::load(&config()?, rules, Writers::Any)?, *output)
        }
        Command::Reload => reload(context),
        Command::Schema => {
            println!("{:#}", openclaw_detect::schema::rule_file());
            Ok(())
        }
        Command::Fields { output } => fields::fields(*output),
    }
}

fn reload(context: &Context) -> Result<()> {
    let Response::Rules { rules, changes } = context.connect()?.ask(&Request::ReloadRules)? else {
        bail!(ClientError::Unexpected);
    };
    println!("{rules} rules run: {changes}");
    Ok(())
}
