//! The sensor that watches deeds: `openclaw record` with the rules of the workspace, heard on its stdout.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use super::stage::LOGS;
use crate::marker::Marker;
use crate::program::Program;
use crate::workspace;

/// The rule that marks the time, and the program that it finds.
const MARKER: &str = "openclaw-attack-marker";

/// How long the sensor may take to begin, to tell of a mark, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long after a mark something may still be told that was before it: connections that are looked at only every half
/// second, and what another ring carried.
const LATE: Duration = Duration::from_millis(700);

/// The same where logs were written, of which new ones are looked for every second.
const LATE_LOGS: Duration = Duration::from_secs(2);

/// A finding as it was told.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The rule.
    pub(super) rule: String,
    /// Its severity.
    pub(super) severity: String,
    /// The control group of the process, or the log that tells of it, where there is one: the path of either names the deed.
    pub(super) group: Option<String>,
    /// The network that it came to, where there is one.
    pub(super) network: Option<u64>,
    /// From the event to the line that told of it.
    pub(super) after: Duration,
    /// The arguments of the process, which tell marks apart.
    pub(super) arguments: Vec<Value>,
}

/// A sensor at work.
pub(super) struct Watch {
    program: Program,
    findings: Receiver<Found>,
    marker: Marker,
    marks: usize,
    /// The capture that it writes.
    pub(super) capture: PathBuf,
}

impl Watch {
    /// Starts it, with these rules, and waits until it finds.
    ///
    /// # Errors
    /// It cannot be started, or does not find within [`PATIENCE`].
    pub(super) fn start(folder: &Path, rules: &[PathBuf]) -> Result<Self> {
        let own = folder.join("marker.yml");
        let rule = format!(
            "rules: [{{name: {MARKER}, event: process_create, condition: 'process.name == \"{MARKER}\"', severity: info}}]\n"
        );
        std::fs::write(&own, rule).with_context(|| format!("cannot write {}", own.display()))?;
        let marker = Marker::new(folder, MARKER)?;
        let configuration = folder.join("openclaw.yml");
        // None of this machine's.
        std::fs::write(&configuration, self::configuration(folder))
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let capture = folder.join("deeds.capture");
        let mut command = Command::new(workspace::agent());
        command.arg("--config").arg(configuration).arg("record").arg(&capture);
        command.args(["--force", "--output", "json", "--rules"]).arg(own);
        rules.iter().for_each(|path| {
            command.arg("--rules").arg(path);
        });
        command.stdout(Stdio::piped());
        let mut program = Program::start("the sensor", &mut command, folder.join("sensor.log"), PATIENCE)?;
        let output = program.take_output().context("the sensor has no stdout")?;
        let (sender, findings) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(found) = read(&line, Timestamp::now())
                    && sender.send(found).is_err()
                {
                    return;
                }
            }
        });
        let mut watch = Self { program, findings, marker, marks: 0, capture };
        let begun = Instant::now();
        while watch.mark(Duration::from_millis(300))?.is_none() {
            if begun.elapsed() > PATIENCE {
                bail!(
                    "the sensor found nothing within {} s\n{}",
                    PATIENCE.as_secs(),
                    watch.program.log_tail()
                );
            }
        }
        Ok(watch)
    }

    /// Runs the program that the rule looks for, and returns what was found until then; none where that was not told
    /// within `patience`.
    fn mark(&mut self, patience: Duration) -> Result<Option<Vec<Found>>> {
        self.marks += 1;
        let number = self.marks.to_string();
        self.marker.run(&[&number])?;
        let (begun, mut found) = (Instant::now(), Vec::new());
        loop {
            match self.next(patience.saturating_sub(begun.elapsed()))? {
                Some(next) if next.rule != MARKER => found.push(next),
                Some(next) if next.arguments.last().and_then(Value::as_str) == Some(&number) => {
                    return Ok(Some(found));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next finding, waited for so long.
    fn next(&mut self, patience: Duration) -> Result<Option<Found>> {
        match self.findings.recv_timeout(patience) {
            Ok(found) => Ok(Some(found)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.program.end()?;
                bail!("the sensor ended with {status}\n{}", self.program.log_tail());
            }
        }
    }

    /// All that was found until now, by logs too where such were written (`logged`). Where `rule` is not among it, it is waited
    /// for as long as `patience`.
    ///
    /// # Errors
    /// The sensor has ended, or no longer tells of anything.
    pub(super) fn findings(&mut self, rule: Option<(&str, Duration)>, logged: bool) -> Result<Vec<Found>> {
        let Some(mut found) = self.mark(PATIENCE)? else {
            bail!("the sensor tells of nothing any more\n{}", self.program.log_tail());
        };
        let late = if logged { LATE_LOGS } else { LATE };
        let patience = rule.map_or(late, |(_, patience)| patience);
        let is_there = |found: &[Found]| {
            rule.is_some_and(|(rule, _)| found.iter().any(|found: &Found| found.rule == rule))
        };
        let begun = Instant::now();
        while !is_there(&found)
            && let Some(next) = self.next(patience.saturating_sub(begun.elapsed()))?
        {
            if next.rule != MARKER {
                found.push(next);
            }
        }
        Ok(found)
    }

    /// Ends the recording, whole.
    ///
    /// # Errors
    /// It does not stop.
    pub(super) fn stop(mut self) -> Result<PathBuf> {
        self.program.stop("-INT")?;
        Ok(self.capture)
    }
}

/// The configuration of the sensor: it follows the logs of the deeds.
fn configuration(folder: &Path) -> String {
    let logs = folder.join(LOGS);
    let source = |file: &str| serde_json::json!({ "path": logs.join("*").join(file) });
    let sources = serde_json::json!({
        "auth": source("auth.log"), "nginx": source("nginx.log"), "apache": source("apache.log"),
    });
    // YAML holds JSON.
    serde_json::json!({ "security": { "sources": sources } }).to_string()
}

/// A line of the sensor's output that is a finding.
fn read(line: &str, now: Timestamp) -> Option<Found> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let happened: Timestamp = text("/event/@timestamp")?.parse().ok()?;
    Some(Found {
        rule: text("/rule")?,
        severity: text("/severity")?,
        group: text("/event/process/cgroup").or_else(|| text("/event/log/file/path")),
        network: line.pointer("/event/network/namespace").and_then(Value::as_u64),
        after: now.duration_since(happened).unsigned_abs(),
        arguments: line.pointer("/event/process/args").and_then(Value::as_array).cloned().unwrap_or_default(),
    })
}
