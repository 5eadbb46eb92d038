//! `cargo xtask fuzz`: what strangers write, tried with whatever bytes.
//!
//! libFuzzer with the coverage that any rustc can compile in, so that neither a nightly nor cargo-fuzz is needed.
//! What it finds worth keeping stays in `target/fuzz`, from which the next run goes on; what breaks a target is kept
//! there too, and named.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::console::Step;
use crate::setup::packages::{self, Purpose};
use crate::{kernel, process, setup, workspace};

/// What can be tried.
const TARGETS: [&str; 7] = ["rules", "condition", "configuration", "capture", "log", "record", "mask"];

/// Seconds that each target is tried where nothing else is said.
const SECONDS: u32 = 60;

/// Inputs in a run of all checks, the same ones each time: enough to notice that a target breaks at once, and that it
/// still runs. What only luck finds is for who asks for longer.
const INPUTS_IN_CI: u32 = 10_000;

/// Mebibytes that a target may take: what is read must not cost more.
const MEMORY: u32 = 1024;

/// Seconds that one input may take.
const TIMEOUT: u32 = 10;

/// What `fuzz` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to try [default: everything]: rules, condition, configuration, capture, log, record, mask
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long, default_value_t = SECONDS, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

/// Builds the targets and tries them, one after another.
///
/// # Errors
/// Where one breaks, with the input that breaks it, or they do not build.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let targets: Vec<&str> = match &arguments.targets[..] {
        [] => TARGETS.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    let toolchain = setup::for_build()?;
    kernel::build(&toolchain)?;
    run(&targets, Bound::Seconds(arguments.seconds))
}

/// How long a target is tried.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Seconds(u32),
    /// So many inputs, made by the same numbers each time.
    Inputs(u32),
}

/// Every target for some inputs. The kernel programs must have been built.
///
/// # Errors
/// As [`command`].
pub(crate) fn run_shortly() -> Result<()> {
    run(&TARGETS, Bound::Inputs(INPUTS_IN_CI))
}

fn run(targets: &[&str], bound: Bound) -> Result<()> {
    packages::ensure(&[Purpose::Fuzzing])?;
    let program = build()?;
    for target in targets {
        let step = Step::begin(&match bound {
            Bound::Seconds(seconds) => format!("fuzzing {target} for {seconds} s"),
            Bound::Inputs(_) => format!("fuzzing {target}"),
        });
        let runs = fuzz(&program, target, bound)?;
        step.done(&format!("{runs} inputs"));
    }
    Ok(())
}

/// The crate of the targets.
fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

/// The folder that keeps what was found.
fn kept() -> PathBuf {
    workspace::target().join("fuzz")
}

fn build() -> Result<PathBuf> {
    let step = Step::begin("building the fuzz targets");
    process::run(
        process::cargo()
            .args(["build", "--release", "--locked", "--package", "openclaw-fuzz"])
            .env("RUSTC_WORKSPACE_WRAPPER", folder().join("rustc")),
    )?;
    step.done("");
    Ok(workspace::target().join("release/fuzz"))
}

/// Tries one target. Returns how many inputs it was given.
fn fuzz(program: &Path, target: &str, bound: Bound) -> Result<u64> {
    let corpus = kept().join(target);
    let seeds = folder().join("seeds").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let broken = format!("{}/broken-{target}-", kept().display());
    let mut command = Command::new(program);
    command
        .arg(&corpus)
        .arg(&seeds)
        .args(match bound {
            Bound::Seconds(seconds) => vec![format!("-max_total_time={seconds}")],
            Bound::Inputs(inputs) => vec![format!("-runs={inputs}"), "-seed=1".to_owned()],
        })
        .args([
            &format!("-rss_limit_mb={MEMORY}"),
            &format!("-timeout={TIMEOUT}"),
            &format!("-artifact_prefix={broken}"),
            "-print_final_stats=1",
        ])
        .env("OPENCLAW_FUZZ", target);
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let from = said.lines().count().saturating_sub(40);
        let tail: Vec<&str> = said.lines().skip(from).collect();
        bail!("{target} breaks; the input is below {broken}…\n{}", tail.join("\n"));
    }
    let runs = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs =
        runs.and_then(|runs| runs.trim().parse().ok()).context("the fuzzer does not tell what it did")?;
    // A target that reads nothing tries nothing.
    anyhow::ensure!(runs > 100, "{target} was given {runs} inputs only");
    Ok(runs)
}
