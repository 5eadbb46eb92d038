//! `cargo xtask run`: from nothing to a sensor at work.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{agent, console, process};

/// What `run` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Arguments for `openclaw run`
    #[arg(last = true, value_name = "ARGUMENT")]
    agent: Vec<OsString>,
}

/// Builds, then becomes the agent.
///
/// # Errors
/// Where the build fails, or the agent cannot be started as root.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let agent = agent::build()?;
    if !process::is_root() {
        console::note("the agent needs root to load its kernel programs: sudo may ask for your password");
    }
    let mut command = process::as_root(&agent, &[])?;
    command.arg("run").args(&arguments.agent);
    process::forget_outer_cargo(&mut command);
    console::note(&format!("starting {}", process::shown(&command)));
    // Becoming the agent, not waiting for it: signals and the terminal are its own then.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", process::shown(&command)))
}
