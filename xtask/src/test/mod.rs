//! `cargo xtask test`: every test there is, the ones that need root or another kernel included.
//!
//! Unprivileged tests run as the user who typed the command. The live tests, gathered in one program
//! (`openclaw-agent/tests/live`), drive the built agent as root on this machine's kernel, and then once more
//! in virtual machines on others. They are told by the environment:
//!
//! - `OPENCLAW_LIVE=1`: they may run;
//! - `OPENCLAW_BIN`: the agent to drive;
//! - `OPENCLAW_SKIPS`: a file to which a test that this kernel cannot run adds a line `NAME: REASON`;
//! - `OPENCLAW_TOOLS`: a folder with programs that set-up has put into the workspace;
//! - `OPENCLAW_FULL=1`: storms ten times as long;
//! - `OPENCLAW_SHARE`: of what need not be done on every kernel, the `oldest` one's share alone, or that of the `newer` ones.

pub(crate) mod libtest;
pub(crate) mod live;
pub(crate) mod pace;
pub(crate) mod programs;

use std::process::Command;

use anyhow::{Result, bail};

use crate::console::{self, Look, Step, paint};
use crate::setup::toolchain::Toolchain;
use crate::{agent, attack, bench, kernel, pages, process, setup, vm};
use libtest::Tally;
use programs::Program;

/// What `test` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Storms ten times as long, and every kernel in virtual machines
    #[arg(long)]
    full: bool,
    /// Leave out the live tests, which need root
    #[arg(long)]
    no_live: bool,
    /// Fail where virtual machines cannot run, instead of skipping them
    #[arg(long, conflicts_with_all = ["no_vm", "no_live"])]
    vm: bool,
    /// Leave out the virtual machines
    #[arg(long)]
    no_vm: bool,
    /// Only tests whose name contains one of these
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Sets up, builds, runs all tests and counts them.
///
/// # Errors
/// Where something does not build, a test fails, or fewer tests ran than there are.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let toolchain = if arguments.no_live { setup::for_build()? } else { setup::for_tests()? };
    kernel::build(&toolchain)?;
    run(arguments, &toolchain)
}

impl Arguments {
    /// Everything, virtual machines required.
    pub(crate) fn for_ci() -> Self {
        Self { vm: true, ..Self::default() }
    }
}

/// Runs all tests around kernel programs that were built already.
///
/// # Errors
/// As [`command`].
pub(crate) fn run(arguments: &Arguments, toolchain: &Toolchain) -> Result<()> {
    let step = Step::begin("building the tests");
    let programs = programs::build()?;
    step.done(&format!("{} test programs", programs.len()));
    // After the tests: what they drive is the agent as it is shipped, without the tests' features.
    let agent = agent::build_agent()?;

    let mut tally = Tally::default();
    let mut troubles = Vec::new();
    if let Err(error) = pages::check(&agent) {
        troubles.push(format!("{error:#}"));
    }
    if arguments.filter.is_empty() {
        match bench::outdated_figures(toolchain) {
            Ok(outdated) => troubles.extend(outdated),
            Err(error) => troubles.push(format!("the figures of the kernel programs: {error:#}")),
        }
    }
    unprivileged(&programs, arguments, &mut tally, &mut troubles)?;

    let live: Vec<&Program> = programs.iter().filter(|program| program.is_live()).collect();
    for program in &live {
        let plan = live::Plan { program, agent: &agent, full: arguments.full, filter: &arguments.filter };
        if arguments.no_live {
            plan.skip("--no-live", &mut tally)?;
            continue;
        }
        plan.run_here(&mut tally, &mut troubles)?;
        if arguments.filter.is_empty() && process::is_root() {
            match bench::grown_programs(toolchain) {
                Ok(grown) => {
                    grown
                        .iter()
                        .for_each(|line| console::note(&format!("a kernel program has grown: {line}")));
                }
                Err(error) => console::note(&format!("the kernel programs' sizes are not known: {error:#}")),
            }
        }
        if arguments.filter.is_empty()
            && let Err(error) = attack::in_tests(arguments.full, &mut tally)
        {
            troubles.push(format!("the attacks: {error:#}"));
        }
        if arguments.no_vm {
            plan.skip("virtual machines: --no-vm", &mut tally)?;
        } else {
            vm::run_live(&plan, arguments.vm, &mut tally, &mut troubles)?;
        }
    }
    if live.is_empty() && !arguments.no_live {
        troubles.push("there is no live test program: openclaw-agent/tests/live".to_owned());
    }
    if tally.ran() == 0 && troubles.is_empty() {
        troubles.push("no test ran".to_owned());
    }
    conclude(&tally, &troubles)
}

/// The tests that need nothing but their own program, and those in documentation.
fn unprivileged(
    programs: &[Program],
    arguments: &Arguments,
    tally: &mut Tally,
    troubles: &mut Vec<String>,
) -> Result<()> {
    let step = Step::begin("unprivileged tests");
    for program in programs.iter().filter(|program| !program.is_live()) {
        let name = format!("{} ({})", program.name, program.kind);
        let mut command = Command::new(&program.path);
        command
            .current_dir(&program.folder)
            .env("CARGO_MANIFEST_DIR", &program.folder)
            .args(&arguments.filter);
        if arguments.full {
            command.env("OPENCLAW_FULL", "1");
        }
        one(&name, &mut command, tally, troubles)?;
    }
    let mut documentation = process::cargo();
    documentation.arg("test").args(programs::TESTED).args(["--doc", "--"]);
    documentation.args(&arguments.filter);
    one("documentation", &mut documentation, tally, troubles)?;
    step.done("");
    Ok(())
}

/// Runs one program silently; what it printed is shown where something failed.
fn one(name: &str, command: &mut Command, tally: &mut Tally, troubles: &mut Vec<String>) -> Result<()> {
    let output = process::output(command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = Tally::read(&text);
    // A program without a test prints a result too: one that prints none has died, or did not build.
    if !output.status.success() || result.results == 0 {
        eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
        if result.failed == 0 {
            troubles.push(format!("{name} ended with {} and no count of failed tests", output.status));
        }
    }
    if result != (Tally { results: result.results, ..Tally::default() }) {
        console::note(&format!("{name}: {}", result.summary()));
    }
    tally.add(result);
    Ok(())
}

/// Prints what was skipped and why, what went wrong beside failed tests, and the count as the last line.
///
/// # Errors
/// Where a test failed or there was trouble.
pub(crate) fn conclude(tally: &Tally, troubles: &[String]) -> Result<()> {
    if !tally.skipped.is_empty() {
        eprintln!("{}", paint(Look::Head, "skipped:"));
        for skip in &tally.skipped {
            console::note(&format!("{}: {}", skip.name, skip.reason));
        }
    }
    for trouble in troubles {
        eprintln!("{} {trouble}", paint(Look::Bad, "trouble:"));
    }
    let failed = tally.failed > 0 || !troubles.is_empty();
    if failed {
        // A trouble is a failure too, and the count must not say otherwise.
        let shown = Tally { failed: tally.failed + troubles.len(), ..tally.clone() };
        println!("{}", shown.summary());
        bail!("not every test passed");
    }
    println!("{}", tally.summary());
    Ok(())
}
