//! `cargo xtask bench`: the numbers that the README states, measured.
//!
//! Three parts: what one core does with rules and with records (Criterion), the time from exec to finding
//! ([`latency`]), and what the agent costs those it watches ([`overhead`]). There is no pass mark: a number
//! depends on the machine, and this prints it with its spread.

mod agent;
mod latency;
mod overhead;
mod statistics;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::console::{self, Step};
use crate::{agent as build, process};

/// What `bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave out what one core does with rules and with records (Criterion)
    #[arg(long)]
    no_rules: bool,
    /// Leave out what drives the agent and needs root
    #[arg(long)]
    no_live: bool,
    /// Programs whose finding is waited for
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    executions: u32,
    /// Pairs of runs, with the agent on and off
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Only measure with the agent that is built, as root: what `bench` starts through sudo
    #[arg(long, hide = true)]
    measure: bool,
}

/// Builds and measures.
///
/// # Errors
/// Where a build fails, or the agent does not work.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    if arguments.measure {
        return measure(arguments);
    }
    build::build()?;
    if !arguments.no_rules {
        let step = Step::begin("rules and records on one core (Criterion)");
        let packages = ["--package", "openclaw-detect", "--package", "openclaw-agent"];
        process::run(
            process::cargo()
                .arg("bench")
                .args(packages)
                .args(["--bench", "evaluate", "--bench", "capture", "--bench", "pipeline"]),
        )?;
        step.done("");
    }
    if arguments.no_live {
        return Ok(());
    }
    if process::is_root() {
        return measure(arguments);
    }
    console::note("the rest needs root to load the kernel programs: sudo may ask for your password");
    let this = std::env::current_exe().context("cannot find the own program")?;
    let mut command: Command = process::as_root(this, &[])?;
    command
        .args(["bench", "--measure"])
        .arg(format!("--executions={}", arguments.executions))
        .arg(format!("--pairs={}", arguments.pairs));
    process::run(&mut command)
}

/// What drives the agent.
fn measure(arguments: &Arguments) -> Result<()> {
    let folder = Folder::new()?;
    latency::measure(&folder.path, arguments.executions)?;
    overhead::measure(&folder.path, arguments.pairs)
}

/// A folder of this run's own, removed with it. Not in the workspace: a socket's address is short, and the
/// agent reads no rules that others may write.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/run/openclaw-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // /run is emptied at the next start at the latest.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
