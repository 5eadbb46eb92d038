//! `openclaw record`: the sensor and the rules alone, whose events go to a file and whose findings are printed.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use openclaw_detect::{Engine, Finding, ProcessId, Rule};
use tracing::warn;

use super::run::{Stop, require_root};
use super::settings;
use super::stdout::Stdout;
use crate::capture::{self, Destination, Recorder, Totals};
use crate::config::Config;
use crate::config::units::format_duration;
use crate::enrich::{HostFacts, Observed};
use crate::kernel::layout;
use crate::output::{Format, time};
use crate::pipeline;
use crate::rules::{self, Writers};

/// How often it is looked whether the recording is at its end, and shown how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be recorded, where and how long.
#[derive(Debug)]
pub struct RecordOptions {
    /// The configuration.
    pub config: Config,
    /// Rules instead of the shipped and the configured ones, where not empty.
    pub rules: Vec<PathBuf>,
    /// Where the capture is to be; `-` is standard output.
    pub file: PathBuf,
    /// Whether a file that is there is replaced.
    pub force: bool,
    /// Whether every file that is read is recorded, and not those alone that the rules name.
    pub all_reads: bool,
    /// For how long at most.
    pub duration: Option<Duration>,
    /// How many events at most.
    pub events: Option<u64>,
    /// How many bytes of the file, about, at most.
    pub size: Option<u64>,
    /// How findings are printed.
    pub output: Format,
}

/// Records until SIGINT, SIGTERM or a limit.
///
/// # Errors
/// When nothing can be recorded: no root, no BTF, no hook, rules with mistakes, a file that is there; or not written.
pub fn record(options: RecordOptions) -> Result<()> {
    require_root("record")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(record_until_stopped(&options))
}

async fn record_until_stopped(options: &RecordOptions) -> Result<()> {
    let config = &options.config;
    let rules = rules::load(&config.security.rules, &options.rules, Writers::Trusted)?;
    let resolved = layout::of_running_kernel()?;
    let mut stop = Stop::listen()?;
    let file = Destination::open(&options.file, options.force).with_context(|| {
        let path = options.file.display();
        format!("cannot make the capture {path} (one that is there is replaced with --force)")
    })?;
    let header = capture::Header {
        version: capture::VERSION,
        openclaw: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        started: time::rfc3339(time::now()),
    };
    let (recorder, writer, totals) = Recorder::start(file, &header)?;
    // What is read from standard output is the capture alone.
    let prints = options.file.as_os_str() != "-";
    let (stdout, stdout_thread) = Stdout::start(options.output)?;
    let findings = Arc::new(AtomicU64::new(0));
    let outlet = Outlet {
        recorder,
        left: options.events.unwrap_or(u64::MAX),
        stdout: prints.then(|| stdout.clone()),
        findings: Arc::clone(&findings),
    };
    let settings = settings::of(config, resolved, Engine::new(rules), HostFacts::of_this_host())?;
    let settings = pipeline::Settings { all_reads: options.all_reads, ..settings };
    let (_, _, questions) = pipeline::questions().context("cannot make a way to ask the sensor")?;
    let sensor = pipeline::start(settings, questions, outlet)?;
    tracing::info!(file = %options.file.display(), "recording");

    let began = Instant::now();
    let shown = Shown::new();
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = stop.wait() => break,
            _ = look.tick() => {
                shown.show(&totals, findings.load(Relaxed), began.elapsed());
                let over = |limit: Option<u64>, is: u64| limit.is_some_and(|limit| is >= limit);
                if options.duration.is_some_and(|duration| began.elapsed() >= duration)
                    || over(options.events, totals.events.load(Relaxed))
                    || over(options.size, totals.bytes.load(Relaxed))
                    || sensor.has_ended()
                    || writer.has_ended()
                {
                    break;
                }
            }
        }
    }
    shown.end();
    let lost = sensor.snapshot().losses.lost();
    let stopped = tokio::task::spawn_blocking(move || sensor.stop()).await?;
    stdout_thread.finish();
    writer.finish().with_context(|| format!("{} could not be written whole", options.file.display()))?;
    stopped?;
    if lost > 0 {
        warn!(lost, "events were lost in the kernel: they are missing in the capture");
    }
    if totals.lost.load(Relaxed) > 0 {
        warn!(lost = totals.lost.load(Relaxed), "events are missing in the capture: the disk was too slow");
    }
    anstream::eprintln!(
        "recorded {} events ({}) in {}, {} findings: openclaw replay {}",
        HumanCount(totals.events.load(Relaxed)),
        HumanBytes(totals.bytes.load(Relaxed)),
        format_duration(Duration::from_secs(began.elapsed().as_secs())),
        findings.load(Relaxed),
        options.file.display()
    );
    Ok(())
}

/// Events to the file, findings to standard output.
struct Outlet {
    recorder: Recorder,
    /// Events until the limit.
    left: u64,
    stdout: Option<Stdout>,
    findings: Arc<AtomicU64>,
}

impl pipeline::Outlet for Outlet {
    fn answers(&self, _rule: &Rule) -> bool {
        false
    }

    fn finding(&mut self, finding: Finding, _descendants: Vec<ProcessId>) {
        // What an event that is left out would find is left out too.
        if self.left == 0 {
            return;
        }
        self.findings.fetch_add(1, Relaxed);
        if let Some(stdout) = &self.stdout {
            stdout.finding(finding, Vec::new());
        }
    }

    fn wants_events(&self) -> bool {
        true
    }

    fn event(&mut self, event: &Observed<'_>) {
        self.take(event, false);
    }

    fn known(&mut self, event: &Observed<'_>) {
        self.take(event, true);
    }
}

impl Outlet {
    fn take(&mut self, event: &Observed<'_>, known: bool) {
        if self.left > 0 {
            self.left -= u64::from(!known);
            self.recorder.take(event, known);
        }
    }
}

/// How far it is, on a terminal.
struct Shown(Option<ProgressBar>);

impl Shown {
    fn new() -> Self {
        Shown(std::io::stderr().is_terminal().then(ProgressBar::new_spinner))
    }

    fn show(&self, totals: &Totals, findings: u64, time: Duration) {
        if let Some(bar) = &self.0 {
            bar.set_message(format!(
                "recording for {}: {} events, {}, {findings} findings (Ctrl-C ends it)",
                format_duration(Duration::from_secs(time.as_secs())),
                HumanCount(totals.events.load(Relaxed)),
                HumanBytes(totals.bytes.load(Relaxed)),
            ));
            bar.tick();
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
