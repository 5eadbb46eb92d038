//! The time from exec to finding, as whoever reads the agent's output sees it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use super::agent::Agent;
use crate::console::Step;
use crate::statistics::{Sample, milliseconds};

/// How long one finding is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `bench latency` and `bench kill` take.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Programs that are run, each time
    #[arg(long, default_value_t = Arguments::default().executions, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) executions: u32,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { executions: 500 }
    }
}

impl Arguments {
    /// These arguments as they are typed, of the part that takes them.
    pub(super) fn words(&self, part: &str) -> Vec<String> {
        vec![part.to_owned(), format!("--executions={}", self.executions)]
    }
}

/// Pauses before each execution: none, and one after which the kernel wakes the agent for it at once.
const PAUSES: [(&str, Duration); 2] =
    [("one right after the other", Duration::ZERO), ("after a quiet moment", Duration::from_millis(50))];

/// Starts the agent, runs the program that its rule looks for `executions` times, and prints how long each took to be
/// found; once one right after the other, once with pauses in between.
///
/// # Errors
/// Where the agent does not work.
pub(super) fn measure(folder: &Path, executions: u32) -> Result<()> {
    let step = Step::begin_silent(&format!("time from exec to finding, twice {executions} times"));
    let agent = Agent::start(folder)?;
    let mut lines = Vec::new();
    for (name, pause) in PAUSES {
        lines.push(format!("exec to finding, {name:<26} {}", run(&agent, executions, pause)?));
    }
    agent.stop()?;
    step.done("");
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn run(agent: &Agent, executions: u32, pause: Duration) -> Result<String> {
    let mut times = Vec::new();
    let mut lost = 0;
    for _ in 0..executions {
        std::thread::sleep(pause);
        match agent.time_to_finding(PATIENCE)? {
            Some(time) => times.push(time.as_secs_f64()),
            None => lost += 1,
        }
    }
    let Some(sample) = Sample::new(times) else {
        bail!("not one of {executions} executions was found");
    };
    Ok(format!(
        "p50 {}   p99 {}   least {}   most {}   ({} found, {lost} not within {} s)",
        milliseconds(sample.quantile(0.5)),
        milliseconds(sample.quantile(0.99)),
        milliseconds(sample.quantile(0.0)),
        milliseconds(sample.quantile(1.0)),
        sample.len(),
        PATIENCE.as_secs(),
    ))
}
