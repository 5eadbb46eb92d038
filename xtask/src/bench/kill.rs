//! The time from exec to the signal that ends the program, as the agent's own record has it: by the kernel's clock at both
//! ends, so that neither the start of the program nor the reading of the agent's output counts.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::loops::{self, Activity};
use crate::cgroup::Cgroup;
use crate::console::Step;
use crate::marker::Marker;
use crate::program::Program;
use crate::statistics::{Sample, milliseconds};
use crate::workspace;

/// The name of the rule, and of the program that it ends.
const MARKER: &str = "openclaw-bench-kill";

/// How long one program may live, and the agent may take to begin and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts an agent whose rule ends a program, and runs that program `executions` times: on the machine as it is, then
/// while small crates are compiled. The agent answers in a control group of the benchmark's own, and nowhere else.
///
/// # Errors
/// Where the agent does not work.
pub(super) fn measure(folder: &Path, executions: u32) -> Result<()> {
    let step = Step::begin_silent(&format!("time from exec to the end, twice {executions} times"));
    let group = Cgroup::new("bench", "kill")?;
    let mut agent = Agent::start(folder, &group)?;
    let idle = agent.run(&group, executions)?;
    loops::prepare(folder)?;
    let load = Load::begin(folder);
    let loaded = agent.run(&group, executions);
    load.end()?;
    let loaded = loaded?;
    agent.program.stop("-INT")?;
    step.done("");
    println!("exec to signal, machine as it is        {idle}");
    println!("exec to signal, while a crate compiles  {loaded}");
    Ok(())
}

/// A running agent, and what it did.
struct Agent {
    program: Program,
    /// Microseconds from exec to the signal, of each that was ended.
    delays: Receiver<u64>,
    marker: Marker,
}

impl Agent {
    fn start(folder: &Path, group: &Cgroup) -> Result<Self> {
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        // More than are run: the breaker is none of this measurement's.
        let most = 100_000;
        let breaker =
            format!("actions: {most}, targets: {most}, actions_in_all: {most}, targets_in_all: {most}");
        write(
            "kill.yml",
            &format!(
                "{}security:\n  response: {{mode: enforce, warm_up: 0s, cgroup: {}, breaker: {{{breaker}}}}}\n",
                super::agent::CONFIGURATION,
                group.folder().display()
            ),
        )?;
        let rules = folder.join("kill-rules.yml");
        write(
            "kill-rules.yml",
            &format!(
                "rules:\n  - name: {MARKER}\n    event: process_create\n    condition: process.name == \"{MARKER}\"\n    \
                 severity: low\n    action: kill_and_alert\n    response: {{kill: process}}\n"
            ),
        )?;
        let mut command = Command::new(workspace::agent());
        command.arg("run").arg("--config").arg(folder.join("kill.yml")).arg("--rules").arg(rules);
        command.args(["--output", "json"]).stdout(Stdio::piped());
        let mut program = Program::start("the agent", &mut command, folder.join("kill-log"), PATIENCE)?;
        let output = program.take_output().context("the agent has no stdout")?;
        let (sender, delays) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(delay) = delay_of(&line)
                    && sender.send(delay).is_err()
                {
                    return;
                }
            }
        });
        let marker = Marker::of(folder, MARKER, "sleep")?;
        let agent = Self { program, delays, marker };
        agent.wait_until_it_answers(group)?;
        Ok(agent)
    }

    fn wait_until_it_answers(&self, group: &Cgroup) -> Result<()> {
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            // Until the agent watches, each of these ends by itself.
            self.marker.run_in(group, &["0.2"])?;
            if self.delays.recv_timeout(Duration::from_millis(200)).is_ok() {
                while self.delays.recv_timeout(Duration::from_millis(500)).is_ok() {}
                return Ok(());
            }
        }
        bail!("the agent ended no program within {} s\n{}", PATIENCE.as_secs(), self.program.log_tail())
    }

    /// Runs programs that are ended, and says how long that took.
    fn run(&mut self, group: &Cgroup, executions: u32) -> Result<String> {
        let mut times = Vec::new();
        for _ in 0..executions {
            self.marker.run_in(group, &[&PATIENCE.as_secs().to_string()])?;
            let delay = self
                .delays
                .recv_timeout(PATIENCE)
                .with_context(|| format!("the agent did not end {MARKER}\n{}", self.program.log_tail()))?;
            times.push(Duration::from_micros(delay).as_secs_f64());
        }
        let sample = Sample::new(times).context("nothing was run")?;
        Ok(format!(
            "p50 {}   p99 {}   least {}   most {}   ({} ended)",
            milliseconds(sample.quantile(0.5)),
            milliseconds(sample.quantile(0.99)),
            milliseconds(sample.quantile(0.0)),
            milliseconds(sample.quantile(1.0)),
            sample.len(),
        ))
    }
}

/// Microseconds until the signal, by a finding whose program was ended.
fn delay_of(line: &str) -> Option<u64> {
    let line: Value = serde_json::from_str(line).ok()?;
    let answer = (line["type"] == "finding" && line["rule"] == MARKER).then(|| &line["answers"][0])?;
    (answer["kind"] == "kill").then(|| answer["delay_us"].as_u64())?
}

/// Small crates that are compiled, one after another.
struct Load {
    goes_on: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Load {
    fn begin(folder: &Path) -> Self {
        let (goes_on, folder) = (Arc::new(AtomicBool::new(true)), folder.to_owned());
        let still = Arc::clone(&goes_on);
        let thread = std::thread::spawn(move || {
            while still.load(Ordering::Relaxed) {
                loops::run(Activity::Compile, &folder, 1)?;
            }
            Ok(())
        });
        Load { goes_on, thread }
    }

    fn end(self) -> Result<()> {
        self.goes_on.store(false, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the load ended with a panic"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_ended_by_the_own_rule_counts() {
        let line = |rule: &str, kind: &str| {
            format!(r#"{{"type":"finding","rule":"{rule}","answers":[{{"kind":"{kind}","delay_us":7}}]}}"#)
        };
        assert_eq!(delay_of(&line(MARKER, "kill")), Some(7));
        assert_eq!(delay_of(&line(MARKER, "isolate")), None);
        assert_eq!(delay_of(&line("other", "kill")), None);
        assert_eq!(delay_of("no JSON"), None);
    }
}
