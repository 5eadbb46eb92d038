//! `openclaw replay`

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anstream::eprintln;
use anyhow::Result;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use openclaw_detect::{Engine, Finding, RecordedEvent, RuleSet};
use tracing::warn;

use super::context::Context;
use crate::capture::{CaptureError, Reader};
use crate::output::style::{BAD, GOOD, WARN};
use crate::output::{Format, Printer, write_finding};
use crate::pipeline::find;
use crate::rules::{self, Writers};

/// Run rules over a capture of `openclaw record`: what they find, without privilege and on any machine
///
/// The same capture and the same rules give the same findings, byte for byte as JSON: those that `openclaw record`
/// printed, too. With `--against` other rules are run beside, and what only one of the two finds is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  openclaw replay attack.capture
  openclaw replay attack.capture --rules ./my-rules --output json | jq .message
  openclaw replay busy-day.capture --rules ./new-rules --against ./old-rules

Lines of --against begin with + (only the rules of --rules find it), - (only those of --against) or ~ (both do, and
say another severity, confidence or answer). Events as `openclaw events --output json` prints them are read too.")]
pub(super) struct Args {
    /// The capture; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Rules instead of those that ship and those that are configured; may be given more than once
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Rules to compare with; may be given more than once
    #[arg(long, value_name = "DIR")]
    against: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let config = context.load()?.config.security.rules;
    let load = |paths: &[PathBuf]| rules::load(&config, paths, Writers::Any);
    let mut rules = Side::new(load(&args.rules)?);
    let mut against = if args.against.is_empty() { None } else { Some(Side::new(load(&args.against)?)) };
    let mut printer = Printer::stdout(args.output);
    let mut reader = Reader::open(&args.file)?;
    let shown = Shown::new(&args.file, reader.progress());
    let (mut events, mut found, mut differences) = (0_u64, 0_u64, 0_u64);
    for entry in &mut reader {
        let entry = entry?;
        if entry.known {
            rules.engine.learn(&entry.event);
            if let Some(against) = &mut against {
                against.engine.learn(&entry.event);
            }
            continue;
        }
        events += 1;
        shown.show(events);
        let now = rules.ask(&entry.event);
        found += now.len() as u64;
        match &mut against {
            None => now.iter().try_for_each(|finding| printer.finding(finding, &[]))?,
            Some(against) => {
                for (change, finding) in differences_of(now, against.ask(&entry.event)) {
                    differences += 1;
                    printer.line(&line(change, &finding, args.output))?;
                }
            }
        }
    }
    printer.flush()?;
    shown.end();
    tell_gaps(&reader);
    match against {
        None => eprintln!("{found} findings in {} events", HumanCount(events)),
        Some(_) => eprintln!("{found} findings in {} events, {differences} differences", HumanCount(events)),
    }
    Ok(())
}

/// One set of rules at work.
struct Side {
    engine: Engine,
    found: u64,
}

impl Side {
    fn new(rules: RuleSet) -> Self {
        Side { engine: Engine::new(rules), found: 0 }
    }

    fn ask(&mut self, event: &RecordedEvent) -> Vec<Finding> {
        let mut findings = Vec::new();
        find(&mut self.engine, &mut self.found, event, |_| false, |_, finding| findings.push(finding));
        findings
    }
}

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Removed,
    Changed,
}

/// What two sets of rules find otherwise on one event. A rule fires once on an event.
fn differences_of(now: Vec<Finding>, before: Vec<Finding>) -> Vec<(Change, Finding)> {
    let same_rule = |a: &Finding, b: &Finding| a.rule == b.rule;
    let judged = |finding: &Finding| {
        (finding.severity, finding.confidence.to_bits(), finding.actions.clone(), finding.response.clone())
    };
    let mut changes = Vec::new();
    for finding in &before {
        if !now.iter().any(|other| same_rule(other, finding)) {
            changes.push((Change::Removed, finding.clone()));
        }
    }
    for finding in now {
        match before.iter().find(|other| same_rule(other, &finding)) {
            None => changes.push((Change::Added, finding)),
            Some(other) if judged(other) != judged(&finding) => changes.push((Change::Changed, finding)),
            Some(_) => {}
        }
    }
    changes
}

fn line(change: Change, finding: &Finding, format: Format) -> String {
    let mut text = String::new();
    write_finding(finding, &[], format, &mut text);
    let (style, sign, word) = match change {
        Change::Added => (GOOD, '+', "added"),
        Change::Removed => (BAD, '-', "removed"),
        Change::Changed => (WARN, '~', "changed"),
    };
    match format {
        Format::Text => format!("{style}{sign}{style:#} {text}"),
        Format::Json => format!("{{\"change\":\"{word}\",\"finding\":{text}}}"),
    }
}

/// Says what the capture lacks.
pub(super) fn tell_gaps(reader: &Reader) {
    if reader.is_cut() {
        warn!("the capture was cut short: what came after its last whole part is missing");
    }
    if reader.unknown() > 0 {
        warn!(
            events = reader.unknown(),
            "events of kinds that this version does not know were passed over: a newer openclaw wrote them"
        );
    }
    if let Some(end) = reader.end().filter(|end| end.lost > 0) {
        warn!(lost = end.lost, "events are missing: they could not be written fast enough");
    }
}

/// How far it is, on a terminal.
pub(super) struct Shown(Option<(ProgressBar, Arc<AtomicU64>)>);

impl Shown {
    /// Events between two looks.
    const STEP: u64 = 4096;

    pub(super) fn new(file: &Path, read: Arc<AtomicU64>) -> Self {
        let Ok(size) = std::fs::metadata(file).map(|metadata| metadata.len()) else { return Shown(None) };
        Shown(std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(size);
            if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent}% {msg}") {
                bar.set_style(style);
            }
            (bar, read)
        }))
    }

    pub(super) fn show(&self, events: u64) {
        if let Some((bar, read)) = self.0.as_ref().filter(|_| events.is_multiple_of(Self::STEP)) {
            bar.set_message(format!("{} events", HumanCount(events)));
            bar.set_position(read.load(Relaxed));
        }
    }

    pub(super) fn end(&self) {
        if let Some((bar, _)) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// The events of a file that happened, without those that were so before.
pub(super) fn read_events(path: &Path) -> Result<Vec<RecordedEvent>, CaptureError> {
    happened(Reader::open(path)?)
}

/// The events that did not merely hold when the recording began.
pub(super) fn happened(reader: Reader) -> Result<Vec<RecordedEvent>, CaptureError> {
    let happened = |entry: Result<crate::capture::Entry, CaptureError>| match entry {
        Ok(entry) => (!entry.known).then_some(Ok(entry.event)),
        Err(error) => Some(Err(error)),
    };
    reader.filter_map(happened).collect()
}
