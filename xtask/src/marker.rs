//! A program that does nothing, by a name of its own: a sensor that has found it has seen all that was before.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// The program.
pub(crate) struct Marker(PathBuf);

impl Marker {
    /// Makes it in a folder, where it is not there.
    ///
    /// # Errors
    /// There is no `true`, or the link cannot be made.
    pub(crate) fn new(folder: &Path, name: &str) -> Result<Self> {
        let marker = folder.join(name);
        let program = process::find("true").context("there is no program `true`")?;
        // By a link: the name that counts is the one that was called.
        if !marker.exists() {
            std::os::unix::fs::symlink(&program, &marker)
                .with_context(|| format!("cannot create the link {}", marker.display()))?;
        }
        Ok(Self(marker))
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        Command::new(&self.0)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", self.0.display()))?;
        Ok(())
    }
}
