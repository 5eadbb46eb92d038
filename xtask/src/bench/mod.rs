//! `cargo xtask bench`: the numbers that the README states, measured.
//!
//! What one core does with rules and with records (Criterion), the time from exec to finding ([`latency`]) and to the program's end ([`kill`]), what the
//! agent costs those it watches, beside what others cost ([`overhead`]), what a packet costs while networks are blocked
//! ([`blocks`]), what it carries ([`flood`]). There is no pass
//! mark: a number depends on the machine, and this prints it with its spread. How large the kernel programs are ([`size`])
//! and how much they execute ([`instructions`]) depends on kernel and compiler alone, and is compared with what is written
//! down.

mod agent;
mod blocks;
mod flood;
mod instructions;
mod kill;
mod latency;
mod loops;
mod overhead;
mod size;
mod watcher;
mod written;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use self::written::Written;
use crate::console::{self, Step};
use crate::setup::packages::{self, Purpose};
use crate::setup::toolchain::Toolchain;
use crate::{agent as build, kernel, process, setup};

/// What `bench` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask bench                                    # all three, without the others
  cargo xtask bench overhead --peers                   # beside auditd, bpftrace and execsnoop
  cargo xtask bench overhead --only exec --rounds 20   # one loop, closer")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What is measured.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// What one core does with rules and with records (Criterion)
    Rules,
    /// The time from exec to the finding on the agent's stdout (needs root)
    Latency(latency::Arguments),
    /// The time from exec to the signal that ends the program (needs root)
    ///
    /// Once on the machine as it is, once while small crates are compiled; in a control group of its own.
    Kill(latency::Arguments),
    /// What the agent costs those it watches, in time and on processors (needs root)
    ///
    /// Each round runs loops of one activity each without a watcher and with each of them, in an order that is drawn.
    /// The processors' time is that of the loop and of the watcher, the kernel's work for both included.
    Overhead(overhead::Arguments),
    /// What a packet costs while one network is blocked, and while thousands are (needs root)
    Blocks(blocks::Arguments),
    /// How many events a second the whole pipeline carries without a loss (needs root)
    Flood(flood::Arguments),
    /// How large the kernel programs are, beside what docs/programs.md says (as root)
    Size(size::Arguments),
    /// How many instructions each kernel program executes in a run, beside what docs/programs.md says
    ///
    /// Counted in a virtual machine, by an emulated processor.
    Instructions(instructions::Arguments),
    /// Run what `instructions` counts: in the guest
    #[command(hide = true)]
    InGuest,
    /// Run a loop in this process: what `overhead` starts
    #[command(hide = true)]
    Loop(loops::Arguments),
    /// Run a flood in this process: what `flood` starts
    #[command(hide = true)]
    FloodFiles(flood::Files),
    /// Measure with the agent that is built, as root: what the parts above start through sudo
    #[command(hide = true)]
    Measure {
        #[command(subcommand)]
        part: Live,
    },
}

/// What drives the agent.
#[derive(Debug, Clone, clap::Subcommand)]
enum Live {
    Latency(latency::Arguments),
    Kill(latency::Arguments),
    Overhead(overhead::Arguments),
    Blocks(blocks::Arguments),
    Flood(flood::Arguments),
}

/// Builds and measures.
///
/// # Errors
/// Where a build fails, or the agent does not work.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    match &arguments.part {
        None => {
            build::build()?;
            rules()?;
            live(&Live::Latency(latency::Arguments::default()))?;
            live(&Live::Overhead(overhead::Arguments::default()))
        }
        Some(Part::Rules) => {
            build::build()?;
            rules()
        }
        Some(Part::Latency(arguments)) => {
            build::build()?;
            live(&Live::Latency(arguments.clone()))
        }
        Some(Part::Kill(arguments)) => {
            build::build()?;
            live(&Live::Kill(arguments.clone()))
        }
        Some(Part::Overhead(arguments)) => {
            build::build()?;
            if arguments.peers {
                packages::ensure(&[Purpose::Peers])?;
            }
            live(&Live::Overhead(arguments.clone()))
        }
        Some(Part::Blocks(arguments)) => {
            build::build()?;
            live(&Live::Blocks(arguments.clone()))
        }
        Some(Part::Flood(arguments)) => {
            build::build()?;
            live(&Live::Flood(arguments.clone()))
        }
        Some(Part::Size(arguments)) => {
            ensure!(process::is_root(), "this needs root to load the kernel programs: run it as root");
            let toolchain = setup::for_build()?;
            kernel::build(&toolchain)?;
            build::build_agent()?;
            size::measure(&Folder::new()?.path, &toolchain, arguments)
        }
        Some(Part::Instructions(arguments)) => {
            let toolchain = setup::for_build()?;
            kernel::build(&toolchain)?;
            build::build_agent()?;
            instructions::measure(&toolchain, arguments)
        }
        Some(Part::InGuest) => instructions::in_guest(&Folder::new()?.path),
        Some(Part::Loop(arguments)) => loops::command(arguments),
        Some(Part::FloodFiles(arguments)) => flood::files(arguments),
        Some(Part::Measure { part }) => measure(part),
    }
}

/// The kernel programs that are larger than what is written down, as lines.
///
/// # Errors
/// Where the agent that is built does not work.
pub(crate) fn grown_programs(toolchain: &Toolchain) -> Result<Vec<String>> {
    size::grown(&Folder::new()?.path, toolchain)
}

/// What is written down of other kernel programs than those that are built, as lines: whether they have grown, or execute more,
/// nobody has looked.
///
/// # Errors
/// Where nothing is written down, or the programs are not built.
pub(crate) fn outdated_figures(toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut outdated = Vec::new();
    for (table, part) in [(size::TABLE.0, "size"), (instructions::TABLE.0, "instructions")] {
        let written = Written::read(table)?;
        match written.is_of_what_is_built(toolchain)? {
            Some(true) => {}
            Some(false) => outdated.push(format!(
                "docs/programs.md has the {table} of other kernel programs than those that are built: compare them by \
                 `cargo xtask bench {part}`, as root, and commit what that writes (on another kernel than {}: \
                 by --write)",
                written.place()
            )),
            None => console::note(&format!(
                "whether docs/programs.md has the {table} of what is built is not known: they are of {}",
                written.place()
            )),
        }
    }
    Ok(outdated)
}

fn rules() -> Result<()> {
    let step = Step::begin("rules and records on one core (Criterion)");
    process::run(
        process::cargo()
            .args(["bench", "--package", "openclaw-bench"])
            .args(["--bench", "evaluate", "--bench", "capture", "--bench", "pipeline"]),
    )?;
    step.done("");
    Ok(())
}

/// Measures as root: in this process where it is root, else in one that sudo starts.
fn live(part: &Live) -> Result<()> {
    if process::is_root() {
        return measure(part);
    }
    console::note("this needs root to load the kernel programs: sudo may ask for your password");
    let this = std::env::current_exe().context("cannot find the own program")?;
    let mut command: Command = process::as_root(this, &[])?;
    command.args(["bench", "measure"]);
    match part {
        Live::Latency(arguments) => command.args(arguments.words("latency")),
        Live::Kill(arguments) => command.args(arguments.words("kill")),
        Live::Overhead(arguments) => command.args(arguments.words()),
        Live::Blocks(arguments) => command.args(arguments.words()),
        Live::Flood(arguments) => command.args(arguments.words()),
    };
    process::run(&mut command)
}

fn measure(part: &Live) -> Result<()> {
    let folder = Folder::new()?;
    match part {
        Live::Latency(arguments) => latency::measure(&folder.path, arguments.executions),
        Live::Kill(arguments) => kill::measure(&folder.path, arguments.executions),
        Live::Overhead(arguments) => overhead::measure(&folder.path, arguments),
        Live::Blocks(arguments) => blocks::measure(&folder.path, arguments),
        Live::Flood(arguments) => flood::measure(&folder.path, arguments),
    }
}

/// A folder of this run's own, in memory, so that no disk is measured; removed with it. Not in the workspace: a
/// socket's address is short, and the agent reads no rules that others may write.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/run/openclaw-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let folder = Self { path };
        let mount = ["-t", "tmpfs", "-o", "mode=0755,nr_inodes=0", "openclaw-bench"];
        process::run(Command::new("mount").args(mount).arg(&folder.path))?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Memory is given back with the last who uses it, and /run is emptied at the next start at the latest.
        let _ = process::output(Command::new("umount").arg("--lazy").arg(&self.path));
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
