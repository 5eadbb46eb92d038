//! What the agent costs those it watches: loops of one activity each, with the agent on against off.

use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use super::agent::Agent;
use super::statistics::{Sample, Shuffle};
use crate::console::{self, Step, elapsed};
use crate::process;

/// How long one run of a loop takes, roughly, without the agent.
const SECONDS: f64 = 0.5;

/// One activity, repeated.
struct Loop {
    name: &'static str,
    run: fn(&Path, u32) -> Result<()>,
}

const LOOPS: [Loop; 4] = [
    Loop { name: "exec and exit of a program", run: executions },
    Loop { name: "open and close, to read", run: reads },
    Loop { name: "open and close, to write", run: writes },
    Loop { name: "TCP connect and close, loopback", run: connections },
];

/// Runs each loop in pairs, once with the agent and once without, in an order that a coin decides, and prints
/// the median and the range of the ratios.
///
/// # Errors
/// Where the agent does not work, or an activity fails.
pub(super) fn measure(folder: &Path, pairs: u32) -> Result<()> {
    let step = Step::begin(&format!("slow-down of four loops, agent on against off, {pairs} pairs"));
    let counts = LOOPS.iter().map(|activity| calibrate(activity, folder)).collect::<Result<Vec<u32>>>()?;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let mut shuffle = Shuffle(seed);
    let mut ratios = vec![Vec::new(); LOOPS.len()];
    let mut off = vec![Vec::new(); LOOPS.len()];
    let started = Instant::now();
    for pair in 1..=pairs {
        let (with, without) = if shuffle.coin() {
            let with = with_agent(folder, &counts)?;
            (with, run(folder, &counts)?)
        } else {
            let without = run(folder, &counts)?;
            (with_agent(folder, &counts)?, without)
        };
        for (index, (with, without)) in with.iter().zip(&without).enumerate() {
            ratios[index].push(with / without);
            off[index].push(without / f64::from(counts[index]));
        }
        console::note(&format!("pair {pair} of {pairs} after {}", elapsed(started.elapsed())));
    }
    step.done("");
    for (index, activity) in LOOPS.iter().enumerate() {
        let (Some(ratio), Some(off)) =
            (Sample::new(std::mem::take(&mut ratios[index])), Sample::new(std::mem::take(&mut off[index])))
        else {
            bail!("nothing was measured");
        };
        println!(
            "{:<33} x{:.3} (x{:.3} to x{:.3} over {} pairs; {:.1} µs each without the agent)",
            activity.name,
            ratio.quantile(0.5),
            ratio.quantile(0.0),
            ratio.quantile(1.0),
            ratio.len(),
            off.quantile(0.5) * 1e6,
        );
    }
    Ok(())
}

/// How often an activity fits into [`SECONDS`].
fn calibrate(activity: &Loop, folder: &Path) -> Result<u32> {
    let mut count = 50;
    loop {
        let started = Instant::now();
        (activity.run)(folder, count)?;
        let seconds = started.elapsed().as_secs_f64();
        if seconds > SECONDS / 10.0 || count > 1_000_000 {
            let fitting = (f64::from(count) * SECONDS / seconds).clamp(50.0, 1e6);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
            return Ok(fitting as u32);
        }
        count *= 4;
    }
}

fn with_agent(folder: &Path, counts: &[u32]) -> Result<Vec<f64>> {
    let agent = Agent::start(folder)?;
    let times = run(folder, counts)?;
    agent.stop()?;
    Ok(times)
}

/// The seconds that each loop takes.
fn run(folder: &Path, counts: &[u32]) -> Result<Vec<f64>> {
    LOOPS
        .iter()
        .zip(counts)
        .map(|(activity, count)| {
            let started = Instant::now();
            (activity.run)(folder, *count)?;
            Ok(started.elapsed().as_secs_f64())
        })
        .collect()
}

fn executions(_folder: &Path, count: u32) -> Result<()> {
    let program = process::find("true").context("there is no program `true`")?;
    for _ in 0..count {
        let mut command = Command::new(&program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().with_context(|| format!("cannot start {}", program.display()))?;
    }
    Ok(())
}

fn reads(folder: &Path, count: u32) -> Result<()> {
    let file = folder.join("read");
    std::fs::write(&file, "content").with_context(|| format!("cannot write {}", file.display()))?;
    for _ in 0..count {
        File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
    }
    Ok(())
}

fn writes(folder: &Path, count: u32) -> Result<()> {
    let file = folder.join("written");
    for _ in 0..count {
        File::create(&file).with_context(|| format!("cannot open {}", file.display()))?;
    }
    Ok(())
}

/// To a listener of its own at each call: a closed connection keeps its pair of ports busy for a minute.
fn connections(_folder: &Path, count: u32) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let server = std::thread::spawn(move || {
        for _ in 0..count {
            // A connection that fails here fails at its other end too, where it is reported.
            drop(listener.accept());
        }
    });
    for _ in 0..count {
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        // Until the other end has closed it: a listener that falls behind would drop the next one, and the
        // wait for the second try would be all that is measured.
        stream.read_to_end(&mut Vec::new()).with_context(|| format!("cannot read from {address}"))?;
    }
    if server.join().is_err() {
        bail!("the listener on {address} ended with a panic");
    }
    Ok(())
}
