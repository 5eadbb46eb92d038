//! How many events a second the whole pipeline carries: files are opened to write at a steady rate, each by a name of its
//! own, with a rule over files loaded, and what the agent says that it saw is compared with what was done.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::loops::Activity;
use super::watcher::{self, Watcher};
use crate::console::Step;
use crate::process;

/// What `bench flood` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Events a second
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rate: u32,
    /// How long it goes on
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) seconds: u32,
}

impl Arguments {
    /// These arguments as they are typed.
    pub(super) fn words(&self) -> Vec<String> {
        vec!["flood".to_owned(), format!("--rate={}", self.rate), format!("--seconds={}", self.seconds)]
    }
}

/// What `bench flood-files` takes: the process that opens files.
#[derive(Debug, clap::Args)]
pub(crate) struct Files {
    folder: PathBuf,
    rate: u32,
    seconds: u32,
}

/// How many processes open files: one alone does not come to the rate.
const PROCESSES: u32 = 2;

/// How often the pace is looked at.
const PACE: Duration = Duration::from_millis(1);

/// Runs the flood, and prints how many events there were a second, and what was lost.
///
/// # Errors
/// Where the agent does not work.
pub(super) fn measure(folder: &Path, arguments: &Arguments) -> Result<()> {
    let Arguments { rate, seconds } = *arguments;
    let step = Step::begin(&format!("{rate} events a second for {seconds} s"));
    // A second's files, and some: an access that the same process repeats within a second is told once.
    let files = folder.join("flood");
    std::fs::create_dir(&files).with_context(|| format!("cannot make {}", files.display()))?;
    let share = rate.div_ceil(PROCESSES);
    for process in 0..PROCESSES {
        let own = files.join(process.to_string());
        std::fs::create_dir(&own).with_context(|| format!("cannot make {}", own.display()))?;
        for file in 0..per_round(share) {
            let file = own.join(file.to_string());
            File::create(&file).with_context(|| format!("cannot make {}", file.display()))?;
        }
    }
    let mut agent = Watcher::OpenClawFiles.start(folder)?;
    std::thread::sleep(watcher::SETTLED);
    let (before, processors) = (agent.seen(Activity::OpenWrite)?, agent.processors()?);
    let (made, time) = run(&files, share, seconds)?;
    let taken = agent.processors()?.saturating_sub(processors);
    std::thread::sleep(watcher::SETTLED);
    let seen = agent.seen(Activity::OpenWrite)?.since(before);
    agent.stop()?;
    step.done("");
    #[expect(clippy::cast_precision_loss, reason = "there are never 2^52 events")]
    let rate = made as f64 / time.as_secs_f64();
    println!(
        "{rate:.0} files opened a second for {:.1} s: {made} opened, {} told, {} told with others, {} lost; the agent \
         took {:.2} of a processor",
        time.as_secs_f64(),
        seen.events,
        seen.merged,
        seen.lost,
        taken.as_secs_f64() / time.as_secs_f64(),
    );
    Ok(())
}

/// Runs the processes. Returns how many files they opened, and how long that took.
fn run(files: &Path, share: u32, seconds: u32) -> Result<(u64, Duration)> {
    let this = std::env::current_exe().context("cannot find the own program")?;
    let started = Instant::now();
    let told = std::thread::scope(|scope| {
        let running: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let mut command = Command::new(&this);
                command.args(["bench", "flood-files"]).arg(files.join(process.to_string()));
                command.args([share.to_string(), seconds.to_string()]).stdin(Stdio::null());
                scope.spawn(move || process::capture(&mut command))
            })
            .collect();
        running.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let time = started.elapsed();
    let mut made = 0;
    for told in told {
        let Ok(told) = told else { bail!("a thread that waits for the flood has panicked") };
        made += told?.trim().parse::<u64>().context("the flood said what is no number")?;
    }
    Ok((made, time))
}

/// How many files are opened in turn.
fn per_round(rate: u32) -> u32 {
    rate + rate / 10
}

/// Opens files at that rate, as long as it can keep it up, and prints how many.
///
/// # Errors
/// Where a file cannot be opened.
pub(super) fn files(arguments: &Files) -> Result<()> {
    let Files { folder, rate, seconds } = arguments;
    let names: Vec<_> = (0..per_round(*rate)).map(|file| folder.join(file.to_string())).collect();
    let mut next = names.iter().cycle();
    let started = Instant::now();
    let mut made = 0_u128;
    let whole = Duration::from_secs(u64::from(*seconds));
    loop {
        let elapsed = started.elapsed().min(whole);
        // What cannot be kept up is said by the figures.
        let due = u128::from(*rate) * elapsed.as_micros() / 1_000_000;
        while made < due && started.elapsed() < whole {
            let Some(name) = next.next() else { bail!("there are no files") };
            File::options()
                .write(true)
                .open(name)
                .with_context(|| format!("cannot open {}", name.display()))?;
            made += 1;
        }
        if elapsed == whole {
            break;
        }
        std::thread::sleep(PACE);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{made}").context("cannot print")
}
