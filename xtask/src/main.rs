//! `cargo xtask`: every developer task.
//!
//! Each subcommand is a file or a folder. All of them stand on [`setup`], which brings what is missing on
//! this machine, [`kernel`], which builds the kernel programs, and [`agent`], which builds the agent.

mod agent;
mod attack;
mod bench;
mod cgroup;
mod ci;
mod console;
mod fuzz;
mod kernel;
mod marker;
mod page;
mod pages;
mod process;
mod program;
mod run;
mod setup;
mod statistics;
mod test;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Every developer task of OpenClaw.
///
/// `cargo xtask run` and `cargo xtask test` do all the set-up on a fresh machine by themselves.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing for a build: a C compiler, the kernel programs' toolchain and linker
    ///
    /// On Debian and Ubuntu packages are installed by apt-get (as root or through sudo). Elsewhere the exact
    /// commands for the distribution are printed, and nothing is installed.
    Setup {
        /// Also what the tests, the live tests and the virtual machines use
        #[arg(long)]
        tests: bool,
    },
    /// Set up, build the kernel programs and the agent: target/release/openclaw
    Build,
    /// Check the format, run clippy and every test, as .ci/run does
    Ci(ci::Arguments),
    /// Build, then start the agent with the shipped rules and no configuration file
    ///
    /// Asks for root (sudo) only to start the agent. What follows `--` goes to `openclaw run`.
    Run(run::Arguments),
    /// Set up, build, and run every test there is, those that need root or another kernel included
    ///
    /// The last line is `N passed, N failed, N skipped`; what was skipped is named with the reason.
    Test(test::Arguments),
    /// Do for real what the rules that ship are to find, and what they are not to find, and show what was found
    ///
    /// As root. Each deed of `attacks/` is done on a root file system, a network and processes of its own, and is gone
    /// when it is over.
    Attack(attack::Arguments),
    /// Write the handbook's page of each rule that ships
    Pages(pages::Arguments),
    /// Run the live tests on Debian's kernels, in virtual machines
    Vm(vm::Arguments),
    /// Try what strangers write (rules, conditions, captures, configurations, records) with whatever bytes
    Fuzz(fuzz::Arguments),
    /// Measure: rules on one core, the time from exec to finding, what the agent costs others
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup { tests } => setup::command(tests),
        Task::Build => agent::command(),
        Task::Ci(arguments) => ci::command(&arguments),
        Task::Run(arguments) => run::command(&arguments),
        Task::Test(arguments) => test::command(&arguments),
        Task::Attack(arguments) => attack::command(&arguments),
        Task::Pages(arguments) => pages::command(&arguments),
        Task::Fuzz(arguments) => fuzz::command(&arguments),
        Task::Bench(arguments) => bench::command(&arguments),
        Task::Vm(arguments) => vm::command(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}
