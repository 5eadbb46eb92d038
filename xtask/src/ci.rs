//! `cargo xtask ci`: the checks that every change must pass, as `.ci/run` runs them.

use anyhow::{Context, Result};

use crate::console::Step;
use crate::setup::packages::{self, Purpose};
use crate::setup::{self, toolchain::Toolchain};
use crate::{fuzz, kernel, process, test, workspace};

/// What `ci` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Format and clippy only
    #[arg(long)]
    no_tests: bool,
    /// Mend what rustfmt and clippy can mend by themselves, instead of failing for it
    #[arg(long)]
    fix: bool,
}

/// Format, clippy, some inputs of fuzzing, tests.
///
/// # Errors
/// At the first check that fails.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    format(arguments.fix)?;
    let toolchain = if arguments.no_tests { setup::for_build()? } else { setup::for_tests()? };
    toolchain.ensure_clippy()?;
    packages::ensure(&[Purpose::Fuzzing])?;
    // Before clippy: the agent's build script wants the kernel programs.
    kernel::build(&toolchain)?;
    clippy(&toolchain, arguments.fix)?;
    if arguments.no_tests {
        return Ok(());
    }
    fuzz::run_shortly()?;
    test::run(&test::Arguments::for_ci(), &toolchain)
}

fn format(fix: bool) -> Result<()> {
    let step = Step::begin("checking the format");
    for folder in [workspace::root().to_owned(), workspace::kernel_programs()] {
        let mut command = process::cargo();
        command.current_dir(&folder).args(["fmt", "--all"]);
        if !fix {
            command.arg("--check");
        }
        process::run(&mut command).with_context(|| {
            format!("{} is not in rustfmt's format: `cargo xtask ci --fix` mends it", folder.display())
        })?;
    }
    step.done("");
    Ok(())
}

fn clippy(toolchain: &Toolchain, fix: bool) -> Result<()> {
    if fix {
        let step = Step::begin("mending what clippy can mend");
        let mend = ["--fix", "--allow-dirty", "--allow-staged"];
        kernel::clippy(toolchain, &mend)?;
        everything_else(&mend)?;
        step.done("");
    }
    let step = Step::begin("clippy on the kernel programs");
    kernel::clippy(toolchain, &[])?;
    step.done("");
    let step = Step::begin("clippy on everything else");
    everything_else(&[])?;
    step.done("");
    Ok(())
}

/// In the release profile, whose build scripts (SQLite among them) the build shares.
fn everything_else(arguments: &[&str]) -> Result<()> {
    process::run(
        process::cargo()
            .args(["clippy", "--release", "--workspace", "--all-targets", "--locked"])
            .args(arguments)
            .args(["--", "--deny", "warnings"]),
    )
}
