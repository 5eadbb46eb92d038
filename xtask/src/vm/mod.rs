//! `cargo xtask vm`: the live tests on Debian's kernels, in virtual machines.
//!
//! QEMU runs them by software emulation, which every machine can. A guest sees this machine's files,
//! read-only with a layer in memory for what it writes, so that it runs the same agent, the same tests and the
//! same tools under another kernel. [`kernels`] fetches the kernels, [`initramfs`] and [`guest`] make what a
//! guest boots into, [`qemu`] runs it.

mod guest;
mod initramfs;
mod kernels;
mod qemu;
mod table;

use std::num::NonZeroUsize;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::console::{self, Step};
use crate::setup::apt;
use crate::setup::distribution::Distribution;
use crate::setup::packages::{self, Purpose};
use crate::test::libtest::Tally;
use crate::test::live::Plan;
use crate::test::pace::Pace;
use crate::test::programs;
use crate::{agent, kernel, process, setup};
use guest::{Init, Share, Task};
use kernels::Kernel;
use qemu::Machine;
use table::Column;

/// The kernels of every run of the tests: the oldest supported, and the one of Debian's stable release.
const USUAL: [&str; 2] = ["5.10", "6.12"];

/// The kernels of a full run.
const ALL: [&str; 4] = ["5.10", "6.1", "6.12", kernels::NEWEST];

/// What `vm` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Kernels: a series such as 5.10, `newest`, or a folder of target/vm/kernels [default: 5.10 6.1 6.12 newest]
    kernels: Vec<String>,
    /// Run this shell command in the guest instead of the live tests
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// Without the BPF LSM among the active ones
    #[arg(long)]
    no_bpf_lsm: bool,
    /// The guest's first process [default: systemd, but a script under the oldest kernel]
    #[arg(long)]
    init: Option<Init>,
    /// Storms ten times as long
    #[arg(long)]
    full: bool,
    /// Memory of a guest in MiB
    #[arg(long, default_value_t = qemu::MEMORY)]
    memory: u32,
    /// Seconds that a guest may take
    #[arg(long, default_value_t = qemu::LIMIT)]
    limit: u32,
    /// Write what was found on each kernel into docs/kernels.md, and on this machine's where no kernel is named
    #[arg(long, conflicts_with = "run")]
    table: bool,
    /// Show the guest kernel's console
    #[arg(long)]
    console: bool,
    /// Only tests whose name contains one of these
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Boots each kernel and runs the live tests, or a command, inside.
///
/// # Errors
/// Where the set-up fails, a kernel cannot be had, or what ran in a guest failed.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    ensure()?;
    let kernels: Vec<&str> = if arguments.kernels.is_empty() {
        ALL.to_vec()
    } else {
        arguments.kernels.iter().map(String::as_str).collect()
    };
    let settings = Settings {
        memory: arguments.memory,
        limit: arguments.limit,
        bpf_lsm: if arguments.no_bpf_lsm { |_| false } else { Kernel::has_bpf_lsm },
        init: match arguments.init {
            Some(Init::Script) => |_| Init::Script,
            Some(Init::Systemd) => |_| Init::Systemd,
            None => usual_init,
        },
        console: arguments.console,
        counting: false,
        shared: false,
    };
    if let Some(command) = &arguments.run {
        return run_command(&kernels, command, &settings);
    }
    kernel::build(&setup::for_tests()?)?;
    let programs = programs::build()?;
    let agent = agent::build_agent()?;
    let program = programs
        .iter()
        .find(|program| program.is_live())
        .context("there is no live test program: openclaw-agent/tests/live")?;
    let plan = Plan { program, agent: &agent, full: arguments.full, filter: &arguments.filter };
    let (mut tally, mut troubles) = (Tally::default(), Vec::new());
    let mut fetched = Vec::new();
    for name in kernels {
        match kernels::fetch(name) {
            Ok(kernel) => fetched.push(kernel),
            Err(error) => troubles.push(format!("kernel {name}: {error:#}")),
        }
    }
    let mut columns = live_in(&fetched, &plan, &settings, &mut tally, &mut troubles)?;
    if arguments.table {
        if arguments.kernels.is_empty() {
            columns.push(this_machine(&plan, &mut tally, &mut troubles)?);
        }
        if tally.failed == 0 && troubles.is_empty() {
            table::write(&columns, &arguments.filter, !arguments.kernels.is_empty())?;
        }
    }
    if tally.ran() == 0 && troubles.is_empty() {
        troubles.push("no test ran".to_owned());
    }
    crate::test::conclude(&tally, &troubles)
}

/// The live tests on this machine's kernel.
fn this_machine(plan: &Plan<'_>, tally: &mut Tally, troubles: &mut Vec<String>) -> Result<Column> {
    let mut own = Tally::default();
    plan.run_here(&mut own, troubles)?;
    let (passed, skipped) = (own.passed, own.skips());
    tally.add(own);
    let release = process::capture(Command::new("uname").arg("-r"))?.trim().to_owned();
    let doctor = process::output(process::as_root(plan.agent, &[])?.args(["doctor", "--output", "json"]))?;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    Ok(Column { release: format!("{release}{}", table::THIS_MACHINE), passed, skipped, doctor })
}

/// The live tests of a test run, on the kernels of such a run.
///
/// Where virtual machines cannot run and are not `required`, the tests are counted as skipped.
///
/// # Errors
/// Where the test program cannot be started.
pub(crate) fn run_live(
    plan: &Plan<'_>,
    required: bool,
    tally: &mut Tally,
    troubles: &mut Vec<String>,
) -> Result<()> {
    let settings = Settings { shared: !plan.full, ..Settings::USUAL };
    let kernels: &[&str] = if plan.full { &ALL } else { &USUAL };
    let available = ensure();
    let mut fetched = Vec::new();
    for name in kernels {
        let attempt = match &available {
            Ok(()) => kernels::fetch(name),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        match attempt {
            Ok(kernel) => fetched.push(kernel),
            Err(error) if required => troubles.push(format!("kernel {name}: {error:#}")),
            Err(error) => plan.skip(&format!("kernel {name}: {error:#}"), tally)?,
        }
    }
    live_in(&fetched, plan, &settings, tally, troubles).map(drop)
}

/// How guests are run.
#[derive(Debug)]
struct Settings {
    memory: u32,
    limit: u32,
    /// Whether the BPF LSM is to be active under a kernel.
    bpf_lsm: fn(&Kernel) -> bool,
    /// The first process under a kernel.
    init: fn(&Kernel) -> Init,
    console: bool,
    /// Whether an instruction takes a nanosecond of the guest's time.
    counting: bool,
    /// Whether the guests share what need not be done on every kernel.
    shared: bool,
}

impl Settings {
    /// Those of a run of the tests.
    const USUAL: Settings = Settings {
        memory: qemu::MEMORY,
        limit: qemu::LIMIT,
        bpf_lsm: Kernel::has_bpf_lsm,
        init: usual_init,
        console: false,
        counting: false,
        shared: false,
    };

    fn machine<'a>(&self, kernel: &'a Kernel) -> Machine<'a> {
        Machine {
            kernel,
            memory: self.memory,
            limit: self.limit,
            bpf_lsm: (self.bpf_lsm)(kernel),
            init: (self.init)(kernel),
            console: self.console,
            counting: self.counting,
        }
    }
}

/// systemd, so that what takes a service manager is shown too; but under the oldest kernel none, so that it is also shown
/// that nothing else takes one.
fn usual_init(kernel: &Kernel) -> Init {
    if kernel.is_oldest() { Init::Script } else { Init::Systemd }
}

/// Runs a command in a guest in which an instruction takes a nanosecond of the guest's time, and returns the kernel's
/// release and the lines that it printed.
///
/// # Errors
/// Where the set-up fails, the kernel cannot be had, or the command fails.
pub(crate) fn count_instructions(kernel: &str, command: &str) -> Result<(String, Vec<String>)> {
    ensure()?;
    let kernel = kernels::fetch(kernel)?;
    // Nobody else's instructions are to be counted.
    let settings = Settings { counting: true, init: |_| Init::Script, ..Settings::USUAL };
    let mut lines = Vec::new();
    let status =
        settings.machine(&kernel).run(&Task::command(command), &mut |line| lines.push(line.to_owned()))?;
    if status != 0 {
        bail!(
            "`{command}` ended with status {status} on kernel {}\n    {}",
            kernel.release,
            lines.join("\n    ")
        );
    }
    Ok((kernel.release, lines))
}

/// Sees to it that virtual machines can run here.
fn ensure() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("virtual machines are made for x86_64, and this machine is {}", std::env::consts::ARCH);
    }
    if Distribution::of_this_machine() != Distribution::Debian {
        bail!("the kernels of virtual machines are fetched by apt, which only Debian and Ubuntu have");
    }
    packages::ensure(&[Purpose::LiveTest, Purpose::VirtualMachine])?;
    if qemu::virtiofsd().is_none() {
        // A part of qemu-system-common until Debian 12, a package of its own since.
        apt::install(&["virtiofsd"])?;
    }
    Ok(())
}

/// The live tests under each kernel, in as many guests at a time as this machine has processors: a guest
/// keeps one of them busy.
fn live_in(
    kernels: &[Kernel],
    plan: &Plan<'_>,
    settings: &Settings,
    tally: &mut Tally,
    troubles: &mut Vec<String>,
) -> Result<Vec<Column>> {
    // What one leaves out another one does.
    let is_shared = settings.shared
        && kernels.iter().any(Kernel::is_oldest)
        && kernels.iter().any(|kernel| !kernel.is_oldest());
    let share = |share| Task::live(plan, is_shared.then_some(share));
    let (oldest, newer) = (share(Share::Oldest), share(Share::Newer));
    let task = |kernel: &Kernel| if kernel.is_oldest() { &oldest } else { &newer };
    let mut columns = Vec::new();
    let at_once = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for group in kernels.chunks(at_once) {
        let releases: Vec<&str> = group.iter().map(|kernel| kernel.release.as_str()).collect();
        let step =
            Step::begin(&format!("live tests on kernel {}, in virtual machines", releases.join(" and ")));
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let guests: Vec<_> = group
                .iter()
                .map(|kernel| scope.spawn(|| live_once(&settings.machine(kernel), task(kernel))))
                .collect();
            guests.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for (kernel, outcome) in group.iter().zip(outcomes) {
            let lacks_lsm = kernel.has_bpf_lsm() && !(settings.bpf_lsm)(kernel);
            let release = format!("{}{}", kernel.release, if lacks_lsm { table::WITHOUT_LSM } else { "" });
            let place = format!("kernel {release}");
            let Ok(outcome) = outcome else {
                troubles.push(format!("{place}: what ran the guest panicked"));
                continue;
            };
            let Run { tally: mut result, status, doctor } = outcome?;
            let (passed, skipped) = (result.passed, result.skips());
            columns.push(Column { release, passed, skipped, doctor });
            for skip in &mut result.skipped {
                skip.name = format!("{} ({place})", skip.name);
            }
            plan.judge(&place, result, &format!("status {status}"), tally, troubles)?;
        }
        step.done("");
    }
    Ok(columns)
}

/// What became of the live tests in one guest.
struct Run {
    /// What they say of themselves.
    tally: Tally,
    /// The guest's.
    status: u32,
    /// What the doctor said after them.
    doctor: String,
}

/// The live tests in one guest.
///
/// A guest that died before its tests ended is run once more, and that is told: emulation can lose a guest.
/// What fails in a guest that lives is never repeated.
fn live_once(machine: &Machine<'_>, task: &Task) -> Result<Run> {
    let release = &machine.kernel.release;
    let first = live(machine, task)?;
    if first.status != qemu::NO_RESULT || first.tally.results > 0 {
        return Ok(first);
    }
    console::note(&format!("{release}: the guest died before its tests ended; once more"));
    live(machine, task)
}

fn live(machine: &Machine<'_>, task: &Task) -> Result<Run> {
    let (mut tally, mut pace) = (Tally::default(), Pace::begin());
    let (mut skips, mut doctor) = (String::new(), String::new());
    let status = machine.run(task, &mut |line| {
        if let Some(skip) = line.strip_prefix(guest::SKIP) {
            skips.push_str(skip);
            skips.push('\n');
        } else if let Some(said) = line.strip_prefix(guest::DOCTOR) {
            doctor.push_str(said);
        } else {
            console::note(&format!("{} | {line}", machine.kernel.release));
            tally.read_line(line);
            pace.read_line(line);
        }
    })?;
    for line in pace.told() {
        console::note(&format!("{} | {line}", machine.kernel.release));
    }
    tally.move_skips(&skips);
    Ok(Run { tally, status, doctor })
}

fn run_command(kernels: &[&str], command: &str, settings: &Settings) -> Result<()> {
    for name in kernels {
        let kernel = kernels::fetch(name)?;
        let step = Step::begin(&format!("kernel {}: {command}", kernel.release));
        let status =
            settings.machine(&kernel).run(&Task::command(command), &mut |line| println!("{line}"))?;
        step.done(&format!("status {status}"));
        if status != 0 {
            bail!("`{command}` ended with status {status} on kernel {}", kernel.release);
        }
    }
    Ok(())
}

/// The paths of this machine that a guest needs in other words: what `program` is called on the search path.
fn tool(program: &str, package: &str) -> Result<std::path::PathBuf> {
    process::find(program).with_context(|| format!("{program} is missing (Debian's package {package})"))
}
