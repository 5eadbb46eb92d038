//! The agent under measurement: started with one rule of the benchmark's own, heard on its stdout.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::marker::Marker;
use crate::program::Program;
use crate::workspace;

/// The name of the rule, and of the program that it looks for.
const MARKER: &str = "openclaw-bench-marker";

/// The configuration of an agent that keeps what it has in the folder of its configuration.
pub(super) const CONFIGURATION: &str = "store: { path: findings.db }\napi: { socket: control.sock }\n";

/// How long an agent may take until its first finding, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent.
pub(super) struct Agent {
    program: Program,
    findings: Receiver<Instant>,
    marker: Marker,
}

impl Agent {
    /// Starts it and waits until it finds.
    ///
    /// # Errors
    /// Where it cannot be started, ends, or does not find within [`PATIENCE`].
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let marker = prepare(folder)?;
        let mut command = Command::new(workspace::agent());
        command
            .arg("run")
            .arg("--config")
            .arg(folder.join("openclaw.yml"))
            .arg("--rules")
            .arg(folder.join("rules"))
            .args(["--output", "json"])
            .stdout(Stdio::piped());
        let mut program = Program::start("the agent", &mut command, folder.join("log"), PATIENCE)?;
        let output = program.take_output().context("the agent has no stdout")?;
        let (sender, findings) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let now = Instant::now();
                if is_finding(&line) && sender.send(now).is_err() {
                    return;
                }
            }
        });
        let mut agent = Self { program, findings, marker };
        agent.wait_until_it_finds()?;
        Ok(agent)
    }

    fn wait_until_it_finds(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.marker.run(&[])?;
            match self.findings.recv_timeout(Duration::from_millis(200)) {
                Ok(_) => {
                    // Executions before this one may be reported still: they are none of the measurement's.
                    while self.findings.recv_timeout(Duration::from_millis(500)).is_ok() {}
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.program.end()?;
                    bail!(
                        "the agent ended with {status} before it found anything\n{}",
                        self.program.log_tail()
                    );
                }
            }
        }
        bail!(
            "the agent did not report {MARKER} within {} s\n{}",
            PATIENCE.as_secs(),
            self.program.log_tail()
        );
    }

    /// Runs the program and returns the time from just before its start until the finding was read; none
    /// where there was no finding within `patience`.
    ///
    /// # Errors
    /// Where the program cannot be started, or the agent has ended.
    pub(super) fn time_to_finding(&self, patience: Duration) -> Result<Option<Duration>> {
        let before = Instant::now();
        self.marker.run(&[])?;
        match self.findings.recv_timeout(patience) {
            Ok(found) => Ok(Some(found.saturating_duration_since(before))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                bail!("the agent ended while it was measured\n{}", self.program.log_tail())
            }
        }
    }

    /// Stops it as Ctrl-C would, and waits for its end.
    ///
    /// # Errors
    /// Where it does not stop.
    pub(super) fn stop(mut self) -> Result<()> {
        self.program.stop("-INT")
    }
}

/// Writes configuration, rule and program, and returns the program.
fn prepare(folder: &Path) -> Result<Marker> {
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    let rules = folder.join("rules");
    std::fs::create_dir_all(&rules).with_context(|| format!("cannot create {}", rules.display()))?;
    write("openclaw.yml", CONFIGURATION)?;
    write(
        "rules/bench.yml",
        &format!(
            "rules:\n  - name: {MARKER}\n    event: process_create\n    \
             condition: process.name == \"{MARKER}\"\n    severity: low\n    action: alert\n"
        ),
    )?;
    Marker::new(folder, MARKER)
}

/// Whether a line of the agent's output is a finding of the benchmark's rule.
fn is_finding(line: &str) -> bool {
    line.contains(r#""type":"finding""#) && line.contains(MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_findings_of_the_own_rule_count() {
        assert!(is_finding(r#"{"rule":"openclaw-bench-marker","type":"finding"}"#));
        assert!(!is_finding(r#"{"rule":"openclaw-bench-marker","type":"action"}"#));
        assert!(!is_finding(r#"{"rule":"suspicious_process","type":"finding"}"#));
    }
}
