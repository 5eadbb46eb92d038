//! What a packet costs while networks are blocked: with the verdict programs not attached, with one network blocked, and
//! with thousands.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::loops;
use crate::cgroup::Cgroup;
use crate::console::Step;
use crate::process;
use crate::program::Program;
use crate::statistics::{Sample, Shuffle};
use crate::workspace;

/// How long the agent may take to begin, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Datagrams of one run. Each is judged three times: by the call, where it is sent, and where it is received.
const DATAGRAMS: u32 = 300_000;

/// The most networks that there are here.
const MOST: u32 = 16_000;

/// What `bench blocks` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds, each of which runs the loop once with each number of blocked networks
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Networks that are blocked where many are
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(MOST)))]
    networks: u32,
}

impl Arguments {
    /// These arguments as they are typed.
    pub(super) fn words(&self) -> Vec<String> {
        vec![
            "blocks".to_owned(),
            format!("--rounds={}", self.rounds),
            format!("--networks={}", self.networks),
        ]
    }
}

/// Sends datagrams over loopback in three control groups, in which no network, one, and many are blocked, to an address that
/// is amid these and to one that is elsewhere; in rounds, in an order that is drawn. Prints what one datagram took of a
/// processor.
///
/// # Errors
/// Where an agent does not work, or does not block.
pub(super) fn measure(folder: &Path, arguments: &Arguments) -> Result<()> {
    let step = Step::begin_silent(&format!("{} networks blocked", arguments.networks));
    let namespace = Namespace::new()?;
    let none = Cgroup::new("bench", "none")?;
    let mut blocked = Vec::new();
    for (name, count) in [("one", 1), ("many", arguments.networks)] {
        blocked.push(Blocked::begin(&folder.join(name), name, count)?);
    }
    let added = blocked[1].added;
    step.done(&format!("in {:.1} s", added.as_secs_f64()));

    let step = Step::begin_silent(&format!("{} rounds of {DATAGRAMS} datagrams", arguments.rounds));
    let groups = [&none, &blocked[0].group, &blocked[1].group];
    let mut taken = [const { [const { Vec::new() }; 3] }; 2];
    let mut shuffle = Shuffle(u64::from(std::process::id()));
    for _ in 0..arguments.rounds {
        for draw in shuffle.order(groups.len() * PLACES.len()) {
            let (place, group) = (draw / groups.len(), draw % groups.len());
            let (_, address) = PLACES[place];
            let run = loops::run_at(&groups[group].inner("loop")?, &namespace.enter(), address, DATAGRAMS)?;
            taken[place][group].push(run.processors.as_secs_f64() / f64::from(DATAGRAMS));
        }
    }
    for agent in blocked {
        agent.end()?;
    }
    step.done("");
    let names = ["no verdict".to_owned(), "1 blocked".to_owned(), format!("{} blocked", arguments.networks)];
    for ((place, address), taken) in PLACES.iter().zip(&taken) {
        println!("a datagram to {address}, {place}, of the processors' time");
        for (name, taken) in names.iter().zip(taken) {
            println!("  {name:<16} {}", spread(taken, 1e9, "ns")?);
        }
        for (more, less) in [(1, 0), (2, 1)] {
            let ratios: Vec<f64> =
                taken[more].iter().zip(&taken[less]).map(|(more, less)| more / less).collect();
            println!("  {:<16} {} of that with {}", names[more], spread(&ratios, 1.0, "")?, names[less]);
        }
    }
    Ok(())
}

/// Median and range.
fn spread(values: &[f64], scale: f64, unit: &str) -> Result<String> {
    let sample = Sample::new(values.to_vec()).context("nothing was run")?;
    let digits = if scale == 1.0 { 3 } else { 0 };
    let show = |share| format!("{:.digits$}", sample.quantile(share) * scale);
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    Ok(format!("{}{unit} ({} to {})", show(0.5), show(0.0), show(1.0)))
}

/// An agent that blocks networks for who is in its control group.
pub(super) struct Blocked {
    program: Program,
    folder: PathBuf,
    pub(super) group: Cgroup,
    /// How long it took to block them.
    added: Duration,
}

impl Blocked {
    /// Starts it and has it block so many networks, with what it keeps in a folder that is made.
    ///
    /// # Errors
    /// Where it does not work, or does not block.
    pub(super) fn begin(folder: &Path, name: &str, count: u32) -> Result<Self> {
        let group = Cgroup::new("bench", name)?;
        for made in [folder.to_owned(), folder.join("bpf")] {
            std::fs::create_dir(&made).with_context(|| format!("cannot make {}", made.display()))?;
        }
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        let response = format!("security:\n  response: {{cgroup: {}}}\n", group.folder().display());
        write("openclaw.yml", &format!("{}{response}", super::agent::CONFIGURATION))?;
        write("rules.yml", "rules: []\n")?;
        let networks: String = networks(count).map(|network| format!("{network}\n")).collect();
        write("networks.txt", &networks)?;
        let mut run = openclaw(folder, &["run"]);
        run.arg("--rules").arg(folder.join("rules.yml")).stdout(Stdio::null());
        let program = Program::start("the agent", &mut run, folder.join("log"), PATIENCE)?;
        let mut blocked = Self { program, folder: folder.to_owned(), group, added: Duration::ZERO };
        blocked.wait_until_it_answers()?;
        let begun = Instant::now();
        let list = folder.join("networks.txt");
        let added =
            process::output(openclaw(folder, &["blocklist", "add", "--for", "1d", "--from"]).arg(&list))?;
        blocked.added = begun.elapsed();
        ensure!(
            added.status.success(),
            "not all networks were blocked: {}",
            String::from_utf8_lossy(&added.stderr)
        );
        Ok(blocked)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if process::output(&mut openclaw(&self.folder, &["status"]))?.status.success() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the agent did not answer within {} s\n{}", PATIENCE.as_secs(), self.program.log_tail())
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// Where it does not answer.
    pub(super) fn status(&self) -> Result<Value> {
        let status = process::capture(&mut openclaw(&self.folder, &["status", "--output", "json"]))?;
        serde_json::from_str(&status).context("the status is no JSON")
    }

    /// Has it undo what it blocks, and ends it.
    ///
    /// # Errors
    /// Where it does not.
    pub(super) fn end(mut self) -> Result<()> {
        self.undo()?;
        self.program.stop("-INT")
    }

    fn undo(&self) -> Result<()> {
        process::capture(&mut openclaw(&self.folder, &["response", "undo", "--all"])).map(drop)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // Once more where something failed before; mounted by the agent, inside of what is removed.
        let _ = self.undo();
        let _ = process::output(Command::new("umount").arg("--lazy").arg(self.folder.join("bpf")));
    }
}

/// A network namespace whose loopback has the address that datagrams go to; removed with this.
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self> {
        let namespace = Namespace(format!("openclaw-bench-{}", std::process::id()));
        let name = namespace.0.as_str();
        let ip = |words: &[&str]| process::run(Command::new("ip").args(words));
        ip(&["netns", "add", name])?;
        for (_, address) in PLACES {
            ip(&["-n", name, "address", "add", &format!("{address}/32"), "dev", "lo"])?;
        }
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The words before a command that runs in it. Not by `ip netns exec`, which hides control groups.
    fn enter(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net=/run/netns/{}", self.0)]
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = process::output(Command::new("ip").args(["netns", "del", &self.0]));
    }
}

/// The agent's program, with what it keeps in this folder.
fn openclaw(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(workspace::agent());
    command.arg("--config").arg(folder.join("openclaw.yml")).args(words);
    command.env("OPENCLAW_BPFFS", folder.join("bpf"));
    command
}

/// Where the datagrams go.
const PLACES: [(&str, Ipv4Addr); 2] =
    [("elsewhere than what is blocked", Ipv4Addr::new(198, 51, 100, 5)), ("amid what is blocked", AMID)];

/// Amid what is blocked: the kernel looks as deep as it ever does before it finds nothing.
const AMID: Ipv4Addr = Ipv4Addr::new(50, 32, 1, 5);

/// So many networks, each other than the others: the neighbours of [`AMID`], and networks and addresses all over
/// 50.0.0.0/10.
fn networks(count: u32) -> impl Iterator<Item = String> {
    let near = [4, 6, 7, 1, 13, 21, 37, 69, 133].map(|last| Ipv4Addr::new(50, 32, 1, last).to_string());
    let own = AMID.to_bits() >> 8;
    let far = (0..1 << 14_u32).filter_map(move |number: u32| {
        // An odd factor takes each number of 14 bits to another one.
        let place = (50 << 16) + (number.wrapping_mul(2_654_435_761) & 0x3fff);
        let is_narrow = number.is_multiple_of(2);
        (place != own).then(|| match is_narrow {
            true => Ipv4Addr::from_bits((place << 8) + 7).to_string(),
            false => format!("{}/24", Ipv4Addr::from_bits(place << 8)),
        })
    });
    near.into_iter().chain(far).take(count as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_network_is_another_one_and_none_holds_where_the_datagrams_go() {
        let all: BTreeSet<String> = networks(MOST).collect();
        assert_eq!(all.len(), MOST as usize);
        assert!(!all.contains("50.32.1.5") && !all.contains("50.32.1.0/24"));
    }
}
