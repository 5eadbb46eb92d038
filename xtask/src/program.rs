//! A program that a task starts beside itself: its log, its end, and that it is never left running.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;

/// Lines of its log that are shown where it fails.
const TAIL: usize = 20;

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// How long it may take until it has stopped.
    patience: Duration,
}

impl Program {
    /// Starts it; what it says on stderr is its log.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: PathBuf,
        patience: Duration,
    ) -> Result<Self> {
        let errors = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        process::forget_outer_cargo(command);
        let child = command
            .stdin(Stdio::null())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::shown(command)))?;
        Ok(Self { name, child, log, patience })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout, where that is a pipe that nobody has taken.
    pub(crate) fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it has ended, if it has.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// How it ends.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Stops it by a signal, such as `-INT`, and waits for its end.
    ///
    /// # Errors
    /// Where it does not stop.
    pub(crate) fn stop(&mut self, signal: &str) -> Result<()> {
        process::run(Command::new("kill").args([signal, &self.id().to_string()]))?;
        let asked = Instant::now();
        while asked.elapsed() < self.patience {
            if self.ended()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{} did not stop within {} s\n{}", self.name, self.patience.as_secs(), self.log_tail());
    }

    /// Ends it at once, where it runs still.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| format!("    | {line}\n")).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing is left running where a measurement was broken off; one that was stopped is gone already.
        self.kill();
    }
}
