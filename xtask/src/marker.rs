//! A program that does nothing, by a name of its own: a sensor that has found it has seen all that was before.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cgroup::Cgroup;
use crate::process;

/// The program.
pub(crate) struct Marker(PathBuf);

impl Marker {
    /// Makes it in a folder, where it is not there.
    ///
    /// # Errors
    /// There is no `true`, or the link cannot be made.
    pub(crate) fn new(folder: &Path, name: &str) -> Result<Self> {
        Self::of(folder, name, "true")
    }

    /// The same of another program, which does something.
    ///
    /// # Errors
    /// There is no such program, or the link cannot be made.
    pub(crate) fn of(folder: &Path, name: &str, program: &str) -> Result<Self> {
        let marker = folder.join(name);
        let program = process::find(program).with_context(|| format!("there is no program `{program}`"))?;
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
        self.run_by(Command::new(&self.0), arguments)
    }

    /// Runs it to its end, in a control group.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn run_in(&self, group: &Cgroup, arguments: &[&str]) -> Result<()> {
        self.run_by(group.command(&self.0), arguments)
    }

    fn run_by(&self, mut command: Command, arguments: &[&str]) -> Result<()> {
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", self.0.display()))?;
        Ok(())
    }
}
