//! What a watcher costs those it watches: loops of one activity each, with it and without.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::loops::{self, Activity, Taken};
use super::watcher::{self, Seen, Watcher};
use crate::console::{self, Step, elapsed};
use crate::statistics::{Sample, Shuffle};

/// How long an idle agent is looked at.
const IDLE: Duration = Duration::from_secs(20);

/// What `bench overhead` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds: in each, every loop runs without a watcher and with each of them
    #[arg(long, default_value_t = Arguments::default().rounds, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// Also what auditd, bpftrace and execsnoop cost, which are installed where they are missing
    #[arg(long)]
    pub(super) peers: bool,
    /// Only these loops
    #[arg(long, value_enum, value_name = "LOOP")]
    pub(super) only: Vec<Activity>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { rounds: 10, peers: false, only: Vec::new() }
    }
}

impl Arguments {
    /// These arguments as they are typed.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec!["overhead".to_owned(), format!("--rounds={}", self.rounds)];
        words.extend(self.peers.then(|| "--peers".to_owned()));
        words.extend(self.only.iter().map(|one| format!("--only={}", one.word())));
        words
    }
}

/// What was measured of one watcher and one activity.
#[derive(Debug, Default)]
struct Measured {
    rate: Vec<f64>,
    processors: Vec<f64>,
    seen: Seen,
    operations: u64,
}

/// What OpenClaw takes by itself.
#[derive(Debug, Default)]
struct Own {
    ready: Vec<f64>,
    memory: (u64, u64),
}

/// Runs each loop in each round without a watcher and with each, in an order that is drawn, and prints the median and
/// the range of the ratios.
///
/// # Errors
/// Where a watcher does not work, or an activity fails.
pub(super) fn measure(folder: &Path, arguments: &Arguments) -> Result<()> {
    let mut watchers: Vec<_> = std::iter::once(Watcher::Nobody).chain(Watcher::OWN).collect();
    if arguments.peers {
        watcher::ensure_peers_can_run()?;
        watchers.extend(Watcher::PEERS);
    }
    let activities: Vec<_> = Activity::ALL
        .into_iter()
        .filter(|one| arguments.only.is_empty() || arguments.only.contains(one))
        .collect();
    let step = Step::begin(&format!("what watching costs, {} rounds", arguments.rounds));
    loops::prepare(folder)?;
    let counts = activities.iter().map(|one| loops::calibrate(*one, folder)).collect::<Result<Vec<u32>>>()?;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let mut shuffle = Shuffle(seed);
    let mut table: Vec<Vec<Measured>> =
        watchers.iter().map(|_| activities.iter().map(|_| Measured::default()).collect()).collect();
    let (mut own, mut times) = (Own::default(), vec![Vec::new(); activities.len()]);
    let started = Instant::now();
    for round in 1..=arguments.rounds {
        let mut taken: Vec<Vec<Option<Taken>>> = vec![vec![None; activities.len()]; watchers.len()];
        for which in shuffle.order(watchers.len()) {
            let watcher = watchers[which];
            let mut running = watcher.start(folder)?;
            for index in shuffle.order(activities.len()) {
                if !watcher.is_for(activities[index]) {
                    continue;
                }
                let (cost, seen) = run(&mut running, activities[index], folder, counts[index])?;
                taken[which][index] = Some(cost);
                let measured = &mut table[which][index];
                measured.operations += u64::from(counts[index]);
                measured.seen.events += seen.events;
                measured.seen.merged += seen.merged;
                measured.seen.lost += seen.lost;
            }
            if watcher == Watcher::OpenClaw {
                own.ready.push(running.ready().as_secs_f64());
                let (resident, proportional) = running.memory()?;
                own.memory = (own.memory.0.max(resident), own.memory.1.max(proportional));
            }
            running.stop()?;
        }
        for (index, count) in counts.iter().enumerate() {
            let without = taken[0][index].context("the loop did not run without a watcher")?;
            times[index].push(without.time.as_secs_f64() / f64::from(*count));
            for (measured, taken) in table.iter_mut().zip(&taken).skip(1) {
                if let Some(with) = taken[index] {
                    measured[index].rate.push(without.time.as_secs_f64() / with.time.as_secs_f64());
                    let ratio = with.processors.as_secs_f64() / without.processors.as_secs_f64();
                    measured[index].processors.push(ratio);
                }
            }
        }
        console::note(&format!("round {round} of {} after {}", arguments.rounds, elapsed(started.elapsed())));
    }
    let idle = idle(folder)?;
    step.done("");
    for (index, activity) in activities.iter().enumerate() {
        let alone = Sample::new(std::mem::take(&mut times[index])).context("nothing was measured")?;
        println!("\n{} ({:.1} µs each without a watcher)", activity.name(), alone.quantile(0.5) * 1e6);
        for (watcher, measured) in watchers.iter().zip(&mut table).skip(1) {
            show(*watcher, std::mem::take(&mut measured[index]));
        }
    }
    let ready = Sample::new(own.ready).context("nothing was measured")?;
    println!(
        "\nOpenClaw: ready after {:.2} s, {:.1} MiB resident after the loops ({:.1} MiB where the rings, which are mapped \
         twice, count once), {:.2} % of a processor while the machine is idle",
        ready.quantile(0.5),
        own.memory.0 as f64 / f64::from(1 << 20),
        own.memory.1 as f64 / f64::from(1 << 20),
        idle * 100.0
    );
    Ok(())
}

/// Runs a loop under a watcher. Returns what both took, and what the watcher saw.
fn run(
    running: &mut watcher::Running,
    activity: Activity,
    folder: &Path,
    count: u32,
) -> Result<(Taken, Seen)> {
    let (seen, processors) = (running.seen(activity)?, running.processors()?);
    // Those who write lines have told what was there before; those who count say it again.
    let before = if running.counts() { seen } else { Seen { lost: seen.lost, ..Seen::default() } };
    let mut taken = loops::run(activity, folder, count)?;
    std::thread::sleep(watcher::SETTLED);
    taken.processors += running.processors()?.saturating_sub(processors);
    Ok((taken, running.seen(activity)?.since(before)))
}

/// The share of one processor that OpenClaw takes while nothing happens.
fn idle(folder: &Path) -> Result<f64> {
    /// So long after the last connection it takes the network for quiet.
    const QUIET: Duration = Duration::from_secs(12);
    let running = Watcher::OpenClaw.start(folder)?;
    std::thread::sleep(QUIET);
    let before = running.processors()?;
    std::thread::sleep(IDLE);
    let taken = running.processors()?.saturating_sub(before);
    running.stop()?;
    Ok(taken.as_secs_f64() / IDLE.as_secs_f64())
}

fn show(watcher: Watcher, measured: Measured) {
    let (Some(rate), Some(processors)) = (Sample::new(measured.rate), Sample::new(measured.processors))
    else {
        return;
    };
    let ratio = |sample: &Sample| {
        format!("x{:.3} (x{:.3} to x{:.3})", sample.quantile(0.5), sample.quantile(0.0), sample.quantile(1.0))
    };
    let each = |count: u64| count as f64 / measured.operations as f64;
    let merged = if measured.seen.merged > 0 {
        format!(" and {:.2} told with others", each(measured.seen.merged))
    } else {
        String::new()
    };
    println!(
        "  {:<17} processors {}  operations a second {}  {:.2} events each{merged}, {} lost",
        watcher.name(),
        ratio(&processors),
        ratio(&rate),
        each(measured.seen.events),
        measured.seen.lost,
    );
}
