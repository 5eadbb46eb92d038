//! `openclaw rules`

use std::fmt::Write as _;
use std::path::PathBuf;

use anstream::{print, println};
use anyhow::{Result, bail};
use openclaw_detect::{Action, Diagnostics, EventKind, Field, KindSet, RuleSet};

use super::context::Context;
use super::table::Table;
use crate::api::{ClientError, Request, Response};
use crate::config;
use crate::output::style::{self, BOLD, DIM};
use crate::output::{Format, Printer};
use crate::rules::{self, RulesError, Writers};

/// Check rules, list and reload those that run, and show what conditions may name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw rules check ./my-rules
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
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
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
    /// List the fields that conditions may name, with their types and the events that carry them
    Fields {
        /// How they are printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Check { paths, output } => check(&context.load()?.config.security.rules, paths, *output),
        Command::List { rules, output } => {
            let rules = rules::load(&context.load()?.config.security.rules, rules, Writers::Any)?;
            list(&rules, *output)
        }
        Command::Reload => reload(context),
        Command::Fields { output } => fields(*output),
    }
}

fn check(config: &config::Rules, paths: &[PathBuf], format: Format) -> Result<()> {
    match rules::load(config, paths, Writers::Any) {
        Ok(rules) => {
            print_diagnostics(rules.warnings(), format)?;
            if format == Format::Text {
                let disabled = if rules.disabled() > 0 {
                    format!(" ({} disabled)", rules.disabled())
                } else {
                    String::new()
                };
                println!("{} rules{disabled} and {} lists: good", rules.len(), rules.lists());
            }
            Ok(())
        }
        Err(RulesError::Mistakes(diagnostics)) => {
            print_diagnostics(&diagnostics, format)?;
            bail!("the rules have {} errors and {} warnings", diagnostics.errors(), diagnostics.warnings());
        }
        Err(error) => bail!(error),
    }
}

fn print_diagnostics(diagnostics: &Diagnostics, format: Format) -> Result<()> {
    let mut printer = Printer::stdout(format);
    for diagnostic in diagnostics.iter() {
        if format == Format::Text {
            printer.line(&format!("{diagnostic}\n"))?;
            continue;
        }
        let line = serde_json::json!({
            "level": diagnostic.level.to_string(),
            "file": diagnostic.file,
            "line": diagnostic.line,
            "column": diagnostic.column,
            "length": diagnostic.length,
            "message": diagnostic.message,
            "help": diagnostic.help,
        });
        printer.line(&line.to_string())?;
    }
    Ok(printer.flush()?)
}

fn reload(context: &Context) -> Result<()> {
    let Response::Rules { rules, changes } = context.connect()?.ask(&Request::ReloadRules)? else {
        bail!(ClientError::Unexpected);
    };
    println!("{rules} rules run: {changes}");
    Ok(())
}

fn list(rules: &RuleSet, format: Format) -> Result<()> {
    let actions = |actions: &[Action]| actions.iter().map(|action| action.name()).collect::<Vec<_>>();
    let kinds = |kinds: KindSet| kinds.iter().map(EventKind::name).collect::<Vec<_>>();
    if format == Format::Json {
        let mut printer = Printer::stdout(format);
        for rule in rules.iter() {
            let line = serde_json::json!({
                "name": rule.name,
                "description": rule.description,
                "severity": rule.severity,
                "confidence": rule.confidence,
                "actions": actions(&rule.actions),
                "tags": rule.tags,
                "condition": rule.condition,
                "events": kinds(rule.kinds),
                "pack": rule.pack,
                "origin": rule.origin,
            });
            printer.line(&line.to_string())?;
        }
        return Ok(printer.flush()?);
    }
    let mut table = Table::default();
    for rule in rules.iter() {
        let colour = style::severity(rule.severity);
        table.row([
            format!("{BOLD}{}{BOLD:#}", rule.name),
            format!("{colour}{}{colour:#}", rule.severity),
            actions(&rule.actions).join(" and "),
            format!("{DIM}{}{DIM:#}", kinds(rule.kinds).join(", ")),
            format!("{DIM}{}{DIM:#}", rule.origin),
        ]);
    }
    print!("{}", table.text());
    Ok(())
}

fn fields(format: Format) -> Result<()> {
    if format == Format::Json {
        let mut printer = Printer::stdout(format);
        for field in Field::ALL {
            let kinds: Vec<_> = field.kinds().iter().map(EventKind::name).collect();
            let line = serde_json::json!({
                "name": field.name(),
                "aliases": field.aliases(),
                "type": type_name(*field),
                "events": kinds,
                "help": field.help(),
            });
            printer.line(&line.to_string())?;
        }
        return Ok(printer.flush()?);
    }
    let mut table = Table::default();
    for field in Field::ALL {
        let mut help = field.help().to_owned();
        if !field.aliases().is_empty() {
            write!(help, " (also {})", field.aliases().join(", "))?;
        }
        let kinds = if field.kinds() == KindSet::ALL {
            "every event".to_owned()
        } else {
            field.kinds().iter().map(EventKind::name).collect::<Vec<_>>().join(", ")
        };
        table.row([
            format!("{BOLD}{}{BOLD:#}", field.name()),
            type_name(*field).to_owned(),
            format!("{DIM}{kinds}{DIM:#}"),
            help,
        ]);
    }
    print!("{}", table.text());
    Ok(())
}

fn type_name(field: Field) -> &'static str {
    use openclaw_detect::field::Type;
    match field.value_type() {
        Type::Str => "text",
        Type::Int => "number",
        Type::Bool => "yes or no",
        Type::Ip => "address",
        Type::List => "list of texts",
    }
}
