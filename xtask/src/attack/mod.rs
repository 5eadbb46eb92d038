//! `cargo xtask attack`: what the rules that ship are to find is done for real, and what they are not to find.
//!
//! `attacks/*.sh` holds the deeds ([`deed`]), each of which is done alone ([`stage`]) on a root file system with the
//! tools that it needs ([`root`]), while the sensor watches ([`watch`]). From the same run are cut the events of the
//! rules' own tests ([`recording`], [`cut`]).

mod cut;
mod deed;
mod outcome;
mod recording;
mod report;
mod root;
mod stage;
mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::console::{self, Step};
use crate::setup::distribution::Distribution;
use crate::test::libtest::{Skip, Tally};
use crate::{agent, process, workspace};
use deed::{Deed, Purpose};
pub(crate) use deed::{Shown, shown};
use outcome::Outcome;
use recording::Recording;
use report::Report;
use stage::{Done, Stage};
use watch::{Found, Watch};

/// What `attack` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Write what was recorded of each deed into rules/recordings, cut to what its rule's test needs
    #[arg(long)]
    write: bool,
    /// Show what each deed wrote
    #[arg(long)]
    show: bool,
    /// The rules that watch, folders or files; may be given more than once
    #[arg(long, value_name = "PATH", default_value = "rules")]
    rules: Vec<PathBuf>,
    /// Do not build, but use the agent that was built before
    #[arg(long)]
    no_build: bool,
    /// Also work on a root file system with compilers and the like, which takes minutes and needs the network
    #[arg(long)]
    all: bool,
    /// Write what it came to into docs/quality.md
    #[arg(long, conflicts_with = "filter")]
    report: bool,
    /// Do what rules in Sigma's format ask for, and report which of the rules in this folder fired
    #[arg(long, value_name = "DIR", conflicts_with_all = ["write", "report", "all", "rules"])]
    sigma: Option<PathBuf>,
    /// Only deeds whose name (RULE/TOOL) contains one of these
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

/// Builds, does the deeds, and shows the table.
///
/// # Errors
/// A deed cannot be done, an attack was not found, or what is harmless was.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let mut deeds = deed::load(&arguments.filter, arguments.all)?;
    deeds.retain(|deed| (deed.purpose == Purpose::Sigma) == arguments.sigma.is_some());
    if !process::is_root() {
        bail!(
            "attacks are done as root: build with `cargo xtask build`, then `sudo target/release/xtask attack --no-build`"
        );
    }
    if !arguments.no_build {
        agent::build()?;
    }
    let outcomes = perform(deeds, arguments)?;
    print!("{}", outcome::tables(&outcomes));
    if arguments.sigma.is_some() {
        return Ok(());
    }
    let wrong = outcomes.iter().filter(|outcome| !outcome.is_right()).count();
    let report = Report::of(&outcomes);
    report.lines().iter().for_each(|line| println!("{line}"));
    println!("{} deeds as they are to be, {wrong} not", outcomes.len() - wrong);
    if arguments.report {
        report.write()?;
    }
    if wrong > 0 {
        bail!(
            "{wrong} deeds are not as they are to be: `cargo xtask attack --show DEED` shows one by itself"
        );
    }
    Ok(())
}

/// The deeds of a run of the tests, each of which counts as a test; the agent is built. But for a `full` run these are the
/// first attack of each rule, of the others the recordings are tested, and work that needs no network.
///
/// # Errors
/// They cannot be done.
pub(crate) fn in_tests(full: bool, tally: &mut Tally) -> Result<()> {
    let mut deeds = deed::load(&[], full)?;
    deeds.retain(|deed| deed.purpose != Purpose::Sigma);
    if !full {
        let mut done = BTreeSet::new();
        deeds.retain(|deed| match deed.purpose {
            Purpose::Attack => done.insert(deed.rule.clone()),
            Purpose::Harmless | Purpose::Sigma => false,
            Purpose::Work => !deed.with_network,
        });
    }
    if !process::is_root() || Distribution::of_this_machine() != Distribution::Debian {
        let (name, tests) = (format!("{} deeds", deeds.len()), deeds.len());
        let reason =
            "they need root, and Debian's debootstrap: `sudo target/release/xtask attack --no-build`"
                .to_owned();
        tally.skipped.push(Skip { name, reason, tests });
        return Ok(());
    }
    let outcomes = perform(deeds, &Arguments { rules: vec!["rules".into()], ..Arguments::default() })?;
    eprint!("{}", outcome::tables(&outcomes));
    let right = outcomes.iter().filter(|outcome| outcome.is_right()).count();
    tally.add(Tally { passed: right, failed: outcomes.len() - right, results: 1, ..Tally::default() });
    Ok(())
}

/// Does the deeds, one after another, while a sensor watches.
fn perform(deeds: Vec<Deed>, arguments: &Arguments) -> Result<Vec<Outcome>> {
    // Of its own, so that several can be at work at once.
    let folder = workspace::target().join(format!("attack/run-{}", std::process::id()));
    let packages = deeds.iter().any(|deed| deed.with_packages).then(root::with_packages).transpose()?;
    let stage = Stage::new(root::for_deeds()?, packages, folder.clone())?;
    let step = Step::begin_silent(&format!("{} deeds", deeds.len()));
    // With the rules of the folder, so that the sensor tells of the files that they name.
    let rules = arguments.sigma.as_ref().map_or(&arguments.rules[..], std::slice::from_ref);
    let mut watch = Watch::start(&folder, rules)?;
    let begun = Instant::now();
    let (mut done, mut found) = (Vec::new(), Vec::new());
    for (number, deed) in deeds.into_iter().enumerate() {
        let how = stage.perform(number, &deed)?;
        let awaited = (deed.purpose == Purpose::Attack).then_some((deed.rule.as_str(), deed.patience));
        found.extend(watch.findings(awaited, how.logged)?.into_iter().map(|found| (number, found)));
        done.push((deed, how));
    }
    let capture = watch.stop()?;
    let each = begun.elapsed() / u32::try_from(done.len()).unwrap_or(1);
    step.done(&format!("{} a deed", console::elapsed(each)));
    let mut recording = Recording::read(&capture, &stage.group(), arguments.write)?;
    let (mut outcomes, mut uncut) = (Vec::new(), 0);
    for (number, (deed, Done { group: own, said, well, logged })) in done.into_iter().enumerate() {
        let events = recording.of(&own);
        // Whenever it was told: what comes late is no other deed's.
        let is_of_deed = |(told, found): &&(usize, Found)| match &found.group {
            Some(group) => group.split('/').any(|part| part == own),
            None => {
                *told == number && found.network.is_some_and(|network| events.networks.contains(&network))
            }
        };
        let found = found.iter().filter(is_of_deed).map(|(_, found)| found.clone()).collect();
        let outcome = Outcome { deed, found, said, well, logged, events: events.kinds };
        if arguments.show || !outcome.is_right() {
            console::note(&format!("{} ({})", outcome.deed.title(), outcome.deed.place));
            outcome.said.lines().for_each(|line| console::note(&format!("| {line}")));
            console::note(&format!("{:?}", outcome.events));
        }
        if arguments.write && outcome.is_right() && outcome.deed.purpose != Purpose::Work {
            match cut::write(&outcome.deed, &events.lines, &arguments.rules, &folder) {
                Ok(file) => console::note(&format!("wrote rules/{}", file.display())),
                Err(error) => {
                    console::error(&error);
                    uncut += 1;
                }
            }
        }
        outcomes.push(outcome);
    }
    if let Some(sigma) = &arguments.sigma {
        let mut report = Command::new(workspace::agent());
        report.args(["rules", "import", "--report", "--events"]).arg(&capture).arg(sigma);
        report.status().context("the agent cannot be run")?;
    }
    if arguments.show {
        console::note(&format!("the recording is {}", capture.display()));
    } else {
        // What is left behind in target/ does no harm.
        let _ = std::fs::remove_dir_all(&folder);
    }
    if uncut > 0 {
        bail!("{uncut} recordings could not be cut: those that were there are as they were");
    }
    Ok(outcomes)
}
