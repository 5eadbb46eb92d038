//! `openclaw rules import`

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anstream::{eprintln, print, println};
use anyhow::{Context as _, Result, bail};
use openclaw_detect::sigma::{self, Imported, Outcome};
use openclaw_detect::{Engine, RuleSet, Source};

use crate::capture::Reader;
use crate::cli::replay::{Shown, tell_gaps};
use crate::cli::table::Table;
use crate::output::style::{BAD, BOLD, DIM, GOOD, WARN};
use crate::output::{Format, Printer};
use crate::rules;

/// Make rules of ours of Sigma rules, or report what becomes of each
///
/// Sigma files in a folder of rules run as they are: this shows, or writes, what they become. What a rule asks for that the
/// sensor does not tell is left out of it.
///
/// A report says of each rule: fired (on events of --events), mapped (all that it asks for is told, and no event of --events
/// matched), in part (what is missing is named), not run (it is deprecated, or part of a correlation), or never (why).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw rules import ./sigma/rules/linux --report
  openclaw rules import ./sigma/rules/linux --report --events attack.capture
  openclaw rules import proc_creation_lnx_base64_decode.yml
  openclaw rules import ./sigma/rules/linux --to /etc/openclaw/rules/sigma")]
pub(super) struct Args {
    /// Sigma files, and folders of them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Write a file for each rule into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "report")]
    to: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long, requires = "to")]
    force: bool,
    /// Say of each rule whether it can fire, and write nothing
    #[arg(long)]
    report: bool,
    /// A capture of `openclaw record`, or events as JSON lines: which rules match one; may be given more than once
    #[arg(long, value_name = "FILE", requires = "report")]
    events: Vec<PathBuf>,
    /// How a report is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", requires = "report")]
    output: Format,
}

pub(super) fn import(args: &Args) -> Result<()> {
    let sources = rules::sources(&args.paths)?;
    let (imported, mistakes) = sigma::import(&sources);
    for mistake in mistakes.iter() {
        eprintln!("{mistake}\n");
    }
    if imported.is_empty() && mistakes.errors() == 0 {
        bail!("there is no Sigma rule: a file of one has the keys `logsource` and `detection`");
    }
    if args.report {
        let fired = fired(&sources, &args.events)?;
        report(&imported, &fired, args.output)?;
    } else {
        match &args.to {
            Some(folder) => write(&imported, folder, args.force)?,
            None => texts(&imported).for_each(|(_, text)| print!("{text}")),
        }
        left_out(&imported);
    }
    match mistakes.errors() {
        0 => Ok(()),
        errors => bail!("{errors} mistakes in Sigma rules, of which nothing was made"),
    }
}

/// The rules that were made, with their names.
fn texts(imported: &[Imported]) -> impl Iterator<Item = (&str, &str)> {
    imported.iter().filter_map(|rule| match &rule.outcome {
        Outcome::Rule { text, .. } => Some((rule.name.as_str(), text.as_str())),
        Outcome::Never(_) | Outcome::Mistaken => None,
    })
}

/// Writes a file for each rule.
fn write(imported: &[Imported], folder: &Path, force: bool) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut written = 0;
    for (name, text) in texts(imported) {
        let path = folder.join(format!("{name}.yml"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).create_new(!force);
        match options.open(&path).and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => written += 1,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} is there: `--force` replaces it", path.display());
            }
            Err(error) => bail!("{} cannot be written: {error}", path.display()),
        }
    }
    eprintln!("{written} rules in {}", folder.display());
    Ok(())
}

/// Says which rules were not made, or only in part.
fn left_out(imported: &[Imported]) {
    for rule in imported {
        match &rule.outcome {
            Outcome::Never(why) => eprintln!("{BAD}never{BAD:#}   {}: {}", rule.title, why.join("; ")),
            Outcome::Rule { lacks, .. } if !lacks.is_empty() => {
                eprintln!("{WARN}in part{WARN:#} {}: what is missing: {}", rule.title, lacks.join("; "));
            }
            Outcome::Rule { .. } | Outcome::Mistaken => {}
        }
    }
}

/// How many events each rule fired on. The rules run over each file by itself.
fn fired(sources: &[Source], files: &[PathBuf]) -> Result<BTreeMap<String, u64>> {
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sources: Vec<_> =
        [Source::shipped_definitions()].into_iter().chain(sources.iter().cloned()).collect();
    let rules = RuleSet::load(&sources)?;
    let mut fired = BTreeMap::new();
    for file in files {
        let mut engine = Engine::new(rules.clone());
        let mut reader = Reader::open(file)?;
        let shown = Shown::new(file, reader.progress());
        let mut events = 0_u64;
        for entry in &mut reader {
            let entry = entry?;
            if entry.known {
                engine.learn(&entry.event);
                continue;
            }
            events += 1;
            shown.show(events);
            engine.evaluate(&entry.event, |found| *fired.entry(found.rule.name.clone()).or_default() += 1);
        }
        shown.end();
        tell_gaps(&reader);
    }
    Ok(fired)
}

/// What became of a rule, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Fired,
    Mapped,
    InPart,
    NotRun,
    Never,
    Mistaken,
}

impl Status {
    const ALL: [Status; 6] =
        [Status::Fired, Status::Mapped, Status::InPart, Status::NotRun, Status::Never, Status::Mistaken];

    fn of(rule: &Imported, fired: u64) -> Status {
        match &rule.outcome {
            Outcome::Rule { enabled: false, .. } => Status::NotRun,
            Outcome::Rule { lacks, .. } if !lacks.is_empty() => Status::InPart,
            Outcome::Rule { .. } if fired > 0 => Status::Fired,
            Outcome::Rule { .. } => Status::Mapped,
            Outcome::Never(_) => Status::Never,
            Outcome::Mistaken => Status::Mistaken,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Status::Fired => "fired",
            Status::Mapped => "mapped, not shown",
            Status::InPart => "in part",
            Status::NotRun => "not run",
            Status::Never => "never",
            Status::Mistaken => "mistaken",
        }
    }
}

fn report(imported: &[Imported], fired: &BTreeMap<String, u64>, format: Format) -> Result<()> {
    let count = |rule: &Imported| fired.get(&rule.name).copied().unwrap_or_default();
    let why = |rule: &Imported| match &rule.outcome {
        Outcome::Rule { lacks, .. } => lacks.clone(),
        Outcome::Never(why) => why.clone(),
        Outcome::Mistaken => Vec::new(),
    };
    if format == Format::Json {
        let mut printer = Printer::stdout(format);
        for rule in imported {
            let line = serde_json::json!({
                "status": Status::of(rule, count(rule)).name(),
                "name": rule.name,
                "title": rule.title,
                "id": rule.id,
                "origin": rule.origin,
                "fired": count(rule),
                "missing": why(rule),
            });
            printer.line(&line.to_string())?;
        }
        return Ok(printer.flush()?);
    }
    let mut table = Table::default();
    for rule in imported {
        let status = Status::of(rule, count(rule));
        let colour = match status {
            Status::Fired => GOOD,
            Status::Mapped => BOLD,
            Status::InPart | Status::NotRun => WARN,
            Status::Never | Status::Mistaken => BAD,
        };
        let events = match count(rule) {
            0 => String::new(),
            events => format!("{events} events"),
        };
        table.row([
            format!("{colour}{}{colour:#}", status.name()),
            format!("{BOLD}{}{BOLD:#}", rule.title),
            events,
            format!("{DIM}{}{DIM:#}", why(rule).join("; ")),
        ]);
    }
    print!("{}", table.text());
    let numbers = Status::ALL.iter().filter_map(|status| {
        let number = imported.iter().filter(|rule| Status::of(rule, count(rule)) == *status).count();
        (number > 0).then(|| format!("{number} {}", status.name()))
    });
    println!("{} rules: {}", imported.len(), numbers.collect::<Vec<_>>().join("; "));
    Ok(())
}
