//! The live tests on this machine's kernel.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::libtest::{self, Tally};
use super::pace::Pace;
use super::programs::Program;
use crate::console::{self, Step};
use crate::{process, setup, workspace};

/// Seconds after which a run of the live tests counts as hung, and those of a full run.
const LIMIT: [u32; 2] = [15 * 60, 90 * 60];

/// What to run, and upon which agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// The test program.
    pub(crate) program: &'a Program,
    /// The agent that it drives.
    pub(crate) agent: &'a Path,
    /// Whether storms are ten times as long.
    pub(crate) full: bool,
    /// Only tests whose name contains one of these; all where empty.
    pub(crate) filter: &'a [String],
}

impl Plan<'_> {
    /// How many tests there are to run, the filter applied.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub(crate) fn tests(&self) -> Result<usize> {
        let list = process::capture(Command::new(&self.program.path).args(["--list"]).args(self.filter))?;
        Ok(libtest::listed(&list))
    }

    /// Notes that none of the tests is run.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub(crate) fn skip(&self, reason: &str, tally: &mut Tally) -> Result<()> {
        let tests = self.tests()?;
        let name = format!("{tests} live tests");
        tally.skipped.push(libtest::Skip { name, reason: reason.to_owned(), tests });
        Ok(())
    }

    /// The arguments of the program: one test at a time, since they share a kernel.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--test-threads=1".to_owned()];
        arguments.extend(self.filter.iter().cloned());
        arguments
    }

    /// Runs the tests as root on this machine.
    ///
    /// # Errors
    /// Where they cannot be started.
    pub(crate) fn run_here(&self, tally: &mut Tally, troubles: &mut Vec<String>) -> Result<()> {
        let step = Step::begin("live tests on this machine's kernel, as root");
        let skips = SkipLog::new()?;
        let tools = setup::promtool::folder();
        let mut environment: Vec<(&str, &OsStr)> = vec![
            ("OPENCLAW_LIVE", "1".as_ref()),
            ("OPENCLAW_BIN", self.agent.as_os_str()),
            ("OPENCLAW_SKIPS", skips.path.as_os_str()),
            ("OPENCLAW_TOOLS", tools.as_os_str()),
            ("CARGO_MANIFEST_DIR", self.program.folder.as_os_str()),
        ];
        if self.full {
            environment.push(("OPENCLAW_FULL", "1".as_ref()));
        }
        let limit = LIMIT[usize::from(self.full)];
        let mut command = process::as_root("timeout", &environment)?;
        command
            // In the foreground, so that the terminal's signals still reach the tests.
            .args(["--foreground", "--signal=INT", "--kill-after=20", &limit.to_string()])
            .arg(&self.program.path)
            .args(self.arguments())
            .current_dir(&self.program.folder);
        let (result, outcome) = streamed(&mut command, &skips)?;
        self.judge("this machine", result, &outcome, tally, troubles)?;
        step.done("");
        Ok(())
    }

    /// Adds a run to the whole, and finds fault with one that ran fewer tests than there are.
    ///
    /// # Errors
    /// Where the program cannot be asked for its list.
    pub(crate) fn judge(
        &self,
        place: &str,
        result: Tally,
        outcome: &str,
        tally: &mut Tally,
        troubles: &mut Vec<String>,
    ) -> Result<()> {
        let expected = self.tests()?;
        let seen = result.ran() + result.skips();
        if result.results == 0 {
            troubles.push(format!("live tests on {place}: no result, the run ended with {outcome}"));
        } else if seen < expected {
            troubles.push(format!("live tests on {place}: {expected} expected, {seen} seen"));
        } else if result.ran() == 0 && self.filter.is_empty() {
            troubles.push(format!("live tests on {place}: none ran"));
        }
        tally.add(result);
        Ok(())
    }
}

/// Runs a command whose output is shown as it comes, and counted.
fn streamed(command: &mut Command, skips: &SkipLog) -> Result<(Tally, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::shown(command)))?;
    let (mut tally, mut pace) = (Tally::default(), Pace::begin());
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("cannot read what the tests print")?;
            let line = String::from_utf8_lossy(&line);
            eprintln!("    {line}");
            tally.read_line(&line);
            pace.read_line(&line);
        }
    }
    let status = child.wait().context("cannot wait for the tests")?;
    pace.told().iter().for_each(|line| console::note(line));
    tally.move_skips(&skips.read());
    Ok((tally, status.to_string()))
}

/// The file in which tests note that they cannot run here.
struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    fn new() -> Result<Self> {
        let folder = workspace::target().join("live");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("skips-{}", std::process::id()));
        // Made by this user, so that the tests, run by root, need not make it.
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }
}

impl Drop for SkipLog {
    fn drop(&mut self) {
        // A file left behind in target/ does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}
