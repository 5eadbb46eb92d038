//! `cargo xtask build`: the agent, with the kernel programs inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::console::{self, Step};
use crate::{kernel, process, setup, workspace};

/// Sets up and builds everything.
///
/// # Errors
/// Where something is missing that cannot be installed, or a build fails.
pub(crate) fn command() -> Result<()> {
    let agent = build()?;
    console::note(&format!("built {}", agent.display()));
    Ok(())
}

/// Sets up, builds the kernel programs and the agent, and returns the agent's path.
///
/// # Errors
/// Where something is missing that cannot be installed, or a build fails.
pub(crate) fn build() -> Result<PathBuf> {
    let toolchain = setup::for_build()?;
    kernel::build(&toolchain)?;
    build_agent()
}

/// Builds the agent around kernel programs that were built already.
///
/// # Errors
/// Where the build fails.
pub(crate) fn build_agent() -> Result<PathBuf> {
    let step = Step::begin("building the agent");
    process::run(process::cargo().args(["build", "--release", "--package", "openclaw-agent"]))?;
    step.done("");
    Ok(workspace::agent())
}
