//! How many instructions the kernel programs execute in a run: counted by an emulated processor that takes a nanosecond
//! of its guest's time for each, so that the kernel's own statistics of time are a count. Unlike a time, it is the same on
//! every machine, but for a few interrupts.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::blocks::Blocked;
use super::loops::{self, Activity};
use super::watcher::{self, Watcher};
use super::written::{Rows, Written};
use crate::console::{self, Step};
use crate::setup::toolchain::Toolchain;
use crate::{process, vm};

/// The table's name, and its columns.
pub(super) const TABLE: (&str, [&str; 2]) = ("runs", ["instructions a run", "runs"]);

/// The kernel under which they are counted: Debian's stable.
const KERNEL: &str = "6.12";

/// What is done, and how often in a batch.
const LOOPS: [(Activity, u32); 5] = [
    (Activity::Exec, 4),
    (Activity::OpenRead, 200),
    (Activity::OpenWrite, 200),
    (Activity::Rename, 40),
    (Activity::Connect, 20),
];

/// The same in the control group of an agent that blocks a network.
const JUDGED: [(Activity, u32); 3] =
    [(Activity::Exec, 4), (Activity::Connect, 20), (Activity::Datagram, 200)];

/// What programs are called that enforce.
const VERDICT: &str = "verdict_";

/// Batches of each. The kernel tells sums alone, into which falls what interrupted a run: of the averages of the batches
/// the least is taken, which is that of one in which nothing did.
const BATCHES: u32 = 10;

/// What marks the status in the guest's output.
const STATUS: &str = "bench-status: ";

/// So much more than what is written down is told: some runs wake the agent, and others do not.
const TOLERANCE: f64 = 1.1;

/// What `bench instructions` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Write down what is found, instead of comparing it
    #[arg(long)]
    pub(super) write: bool,
}

/// Compares the counts with those written down, or writes them down.
///
/// # Errors
/// Where the guest does not work, or a program executes more than what is written down.
pub(super) fn measure(toolchain: &Toolchain, arguments: &Arguments) -> Result<()> {
    let step =
        Step::begin(&format!("instructions of the kernel programs under {KERNEL}, in a virtual machine"));
    let this = std::env::current_exe().context("cannot find the own program")?;
    // The guest's search path has no compiler, which makes the program that is run there.
    let [rustc, this] = [&toolchain.rustc, &this].map(|path| process::quoted(&path.to_string_lossy()));
    let command = format!("RUSTC={rustc} {this} bench in-guest");
    let (release, lines) = vm::count_instructions(KERNEL, &command)?;
    let told = lines.iter().filter_map(|line| line.strip_prefix(STATUS));
    let statuses = told.map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let counts = counts(&statuses.context("the guest's status is no JSON")?)?;
    let now = Written::found(&release, toolchain, counts)?;
    step.done("");
    if arguments.write {
        return now.write(TABLE.0, TABLE.1);
    }
    print!("{}", now.render(TABLE.1));
    let before = Written::read(TABLE.0)?;
    if !now.is_like(&before) {
        console::note(&format!(
            "not compared: what is written down is of {}. --write writes these down instead",
            before.place()
        ));
        return Ok(());
    }
    let risen = risen(&before.rows, &now.rows);
    if !risen.is_empty() {
        bail!(
            "kernel programs execute more:\n    {}\nmake them shorter, or write it down by `cargo xtask bench \
             instructions --write` and say why in the commit",
            risen.join("\n    ")
        );
    }
    before.confirm(now, TABLE.0, TABLE.1)
}

/// What runs in the guest: the loops under the agent, with the kernel's statistics on.
///
/// # Errors
/// Where the agent does not work, or an activity fails.
pub(super) fn in_guest(folder: &Path) -> Result<()> {
    const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";
    loops::prepare(folder)?;
    std::fs::write(STATISTICS, "1").with_context(|| format!("cannot write {STATISTICS}"))?;
    let agent = Watcher::OpenClawFiles.start(folder)?;
    for (activity, count) in LOOPS {
        for _ in 0..BATCHES {
            loops::run(activity, folder, count)?;
            // The guest's clock goes on at once where nothing is done.
            std::thread::sleep(watcher::SETTLED);
            println!("{STATUS}{}", agent.status()?);
        }
    }
    agent.stop()?;
    let agent = Blocked::begin(&folder.join("blocked"), "blocked", 1)?;
    for (activity, count) in JUDGED {
        for _ in 0..BATCHES {
            loops::run_in(agent.group.inner("loop")?, activity, folder, count)?;
            // What else this agent has loaded looks for less than the one above.
            let mut status = agent.status()?;
            if let Some(programs) = status["agent"]["programs"].as_array_mut() {
                programs
                    .retain(|program| program["name"].as_str().is_some_and(|name| name.starts_with(VERDICT)));
            }
            println!("{STATUS}{status}");
        }
    }
    agent.end()
}

/// Instructions of a run, by program, and how many runs there were, of what the kernel had counted after each batch. Of the
/// averages the least is taken, of those batches in which the program ran more than half as often as it ever did: in the others
/// it ran by chance, as for what the agent itself does, and mostly on another path.
fn counts(statuses: &[Value]) -> Result<Rows> {
    let (mut before, mut batches) = (Rows::new(), BTreeMap::<String, Vec<(u64, u64)>>::new());
    for status in statuses {
        let programs = status["agent"]["programs"].as_array().context("the status tells of no programs")?;
        for program in programs {
            let (name, time) = (program["name"].as_str().unwrap_or_default(), &program["time"]);
            let nanos =
                time["secs"].as_u64().unwrap_or(0) * 1_000_000_000 + time["nanos"].as_u64().unwrap_or(0);
            let now = (nanos, program["runs"].as_u64().unwrap_or(0));
            let (old_nanos, old_runs) = before.insert(name.to_owned(), now).unwrap_or_default();
            let runs = now.1.saturating_sub(old_runs);
            if let Some(each) = nanos.saturating_sub(old_nanos).checked_div(runs) {
                batches.entry(name.to_owned()).or_default().push((each, runs));
            }
        }
    }
    if batches.is_empty() {
        bail!("no program has run");
    }
    let counts = batches.into_iter().map(|(name, batches)| {
        let most = batches.iter().map(|(_, runs)| *runs).max().unwrap_or(0);
        let usual = batches.iter().filter(|(_, runs)| runs * 2 > most);
        let least = usual.map(|(each, _)| *each).min().unwrap_or(0);
        (name, (least, batches.iter().map(|(_, runs)| runs).sum()))
    });
    Ok(counts.collect())
}

fn risen(before: &Rows, now: &Rows) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "no program has 2^52 instructions")]
    let more = |old: u64, new: u64| new as f64 > old as f64 * TOLERANCE;
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let risen = now.iter().filter_map(|(name, (each, _))| match before.get(name) {
        Some((old, _)) => more(*old, *each).then(|| format!("{name}: {old} to {each} instructions a run")),
        None => Some(format!("{name} is new: {each} instructions a run")),
    });
    risen.chain(gone.map(|name| format!("{name} did not run"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_that_nothing_interrupted_is_told_and_a_rise_beyond_chance_is_seen() {
        let status = |runs: u64, nanos: u64| {
            serde_json::json!({"agent": {"programs": [
                {"name": "exit", "runs": runs, "time": {"secs": 0, "nanos": nanos}},
                {"name": "idle", "runs": 0, "time": {"secs": 0, "nanos": 0}},
            ]}})
        };
        let counted = counts(&[
            status(10, 9_000),
            status(20, 13_000),
            status(20, 13_000),
            status(30, 18_000),
            // By chance, and short.
            status(31, 18_050),
        ]);
        let counted = counted.expect("good");
        assert_eq!(counted, Rows::from([("exit".to_owned(), (400, 31))]));
        assert!(risen(&counted, &Rows::from([("exit".to_owned(), (440, 9))])).is_empty());
        assert_eq!(risen(&Rows::new(), &counted), ["exit is new: 400 instructions a run"]);
        assert_eq!(risen(&counted, &Rows::new()), ["exit did not run"]);
        assert_eq!(
            risen(&counted, &Rows::from([("exit".to_owned(), (441, 9))])),
            ["exit: 400 to 441 instructions a run"]
        );
        assert!(counts(&[]).is_err());
    }
}
