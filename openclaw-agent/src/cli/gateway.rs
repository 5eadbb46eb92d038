//! `openclaw gateway`: the service that runs the agent.

use std::io::{self, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anstream::println;
use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

use super::context::Context;
use crate::api::protocol::Reloaded;
use crate::api::{ClientError, Request, Response, Status};
use crate::config::units;
use crate::output::style::{BAD, GOOD, WARN};
use crate::output::text::Clean;
use crate::output::{Format, Printer};

/// The unit, as docs/service.md has it installed.
const UNIT: &str = "openclaw.service";

/// How long systemd may take to restart it: as long as the unit lets it stop and start, and some more.
const RESTART: Duration = Duration::from_secs(240);

/// How long the new agent may take to answer, once systemd says that it runs.
const ANSWER: Duration = Duration::from_secs(30);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// The service that runs the agent: restart it, have it read its configuration again, or see whether it runs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw gateway reload      after a change of what is configured of alerts and rules
  sudo openclaw gateway restart     after any other; rule files are read again by themselves
  sudo openclaw gateway status")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Restart the service, and wait until the agent answers: `systemctl restart openclaw.service`
    Restart,
    /// Have the running agent read its configuration and its rules again: all of it, or, where there is a mistake, nothing.
    /// What is configured of alerts and rules holds at once, the rest from the next start on
    Reload {
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Show whether the service runs, and whether the agent answers
    Status {
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match args.command {
        Verb::Restart => restart(context),
        Verb::Reload { output } => reload(context, output),
        Verb::Status { output } => status(context, output),
    }
}

fn restart(context: &Context) -> Result<()> {
    // A mistake in the configuration is told before the agent that runs is ended.
    context.load().context("not restarted")?;
    let before = ask(context).ok().map(|status| status.pid);
    if let Err(reason) = Service::of_systemd() {
        bail!("{}", without_service(&reason, before));
    }
    let bar = ProgressBar::new_spinner().with_message(format!("restarting {UNIT}"));
    bar.enable_steady_tick(LOOK);
    let began = Instant::now();
    let restarted = systemctl(&["restart", "--", UNIT]).and_then(|child| ended(child, RESTART));
    restarted.with_context(|| format!("{UNIT} was not restarted: see `journalctl -u openclaw -n 50`"))?;
    bar.set_message("waiting for the agent to answer");
    let end = Instant::now() + ANSWER;
    let status = loop {
        match ask(context) {
            Ok(status) if Some(status.pid) != before => break status,
            answer if Instant::now() >= end => {
                let why =
                    answer.map_or_else(|error| format!("{error:#}"), |_| "the old one still answers".into());
                bail!("{UNIT} was restarted, but no new agent answers on the control socket: {why}");
            }
            _ => std::thread::sleep(LOOK),
        }
    };
    bar.finish_and_clear();
    let took = units::format_duration(Duration::from_secs(began.elapsed().as_secs().max(1)));
    println!("{GOOD}restarted{GOOD:#} {UNIT} in {took}: {}", sentence(&status));
    Ok(())
}

fn reload(context: &Context, format: Format) -> Result<()> {
    let Response::Reloaded { reloaded } = context.connect()?.ask(&Request::Reload)? else {
        bail!(ClientError::Unexpected);
    };
    if format == Format::Json {
        let mut printer = Printer::stdout(Format::Json);
        printer.line(&serde_json::to_string(&reloaded)?)?;
        return Ok(printer.flush()?);
    }
    let Reloaded { file, rules, changes, channels, later, warnings } = *reloaded;
    let from = if file.is_empty() { "nothing is configured".to_owned() } else { Clean(&file).to_string() };
    let to = if channels.is_empty() { "nowhere".to_owned() } else { format!("to {}", channels.join(", ")) };
    println!("{GOOD}reloaded{GOOD:#} {from}: {rules} rules run ({changes}), alerts go {}", Clean(&to));
    for warning in warnings {
        println!("{WARN}{}{WARN:#}", Clean(&warning));
    }
    for section in later {
        println!("{WARN}{section}{WARN:#} has changed: that holds after `openclaw gateway restart`");
    }
    Ok(())
}

fn status(context: &Context, format: Format) -> Result<()> {
    let (service, agent) = (Service::of_systemd(), ask(context));
    match format {
        Format::Json => {
            let json = serde_json::json!({
                "service": service.as_ref().ok().map(|service| serde_json::json!({
                    "unit": UNIT, "active": service.active, "sub": service.sub, "pid": service.pid,
                })),
                "agent": agent.as_ref().ok().map(|status| serde_json::json!({
                    "version": status.version, "pid": status.pid, "uptime_seconds": status.uptime_seconds,
                    "mode": status.mode, "rules": status.rules,
                })),
            });
            let mut printer = Printer::stdout(Format::Json);
            printer.line(&json.to_string())?;
            printer.flush()?;
        }
        Format::Text => {
            match &service {
                Ok(Service { active, sub, .. }) => {
                    let colour = if active == "active" { GOOD } else { BAD };
                    println!("service  {UNIT}: {colour}{}{colour:#} ({})", Clean(active), Clean(sub));
                }
                Err(reason) => println!("service  {WARN}none{WARN:#}: {}", Clean(reason)),
            }
            if let Ok(status) = &agent {
                println!("agent    {}", sentence(status));
            }
        }
    }
    agent.map(drop)
}

fn sentence(status: &Status) -> String {
    let uptime = units::format_duration(Duration::from_secs(status.uptime_seconds));
    let Status { version, pid, rules, .. } = status;
    format!("version {version}, process {pid}, up {uptime}, mode {}, {rules} rules", status.mode.name())
}

/// How the agent does.
fn ask(context: &Context) -> Result<Box<Status>> {
    match context.connect()?.ask(&Request::Status)? {
        Response::Status { status } => Ok(status),
        _ => bail!(ClientError::Unexpected),
    }
}

/// The unit, as systemd has it.
struct Service {
    active: String,
    sub: String,
    pid: u32,
}

impl Service {
    /// The unit, where systemd runs and knows it.
    ///
    /// # Errors
    /// Why there is none, for a person.
    fn of_systemd() -> Result<Service, String> {
        let properties = "--property=LoadState,ActiveState,SubState,MainPID";
        let shown = systemctl(&["show", properties, "--", UNIT]).and_then(|child| ended(child, ANSWER));
        let shown = shown.map_err(|error| error.to_string())?;
        let property = |name: &str| {
            let value = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        match property("LoadState").as_str() {
            "loaded" => Ok(Service {
                active: property("ActiveState"),
                sub: property("SubState"),
                pid: property("MainPID").parse().unwrap_or(0),
            }),
            "not-found" => Err("it is not installed (docs/service.md says how)".to_owned()),
            state => Err(format!("systemd could not load it ({state})")),
        }
    }
}

/// What to do where there is no service to restart.
fn without_service(reason: &str, agent: Option<u32>) -> String {
    let next = if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        "This is a pod: where you run kubectl, say `kubectl rollout restart daemonset/openclaw`".to_owned()
    } else {
        match agent {
            Some(pid) => format!(
                "The agent is process {pid}: end it with `kill {pid}` and start it again as it was started; in Kubernetes say \
                 `kubectl rollout restart daemonset/openclaw`"
            ),
            None => "No agent answers either: start one with `sudo openclaw run`".to_owned(),
        }
    };
    format!("there is no service {UNIT} to restart: {reason}. {next}")
}

fn systemctl(words: &[&str]) -> io::Result<Child> {
    let mut command = Command::new("systemctl");
    command.arg("--no-ask-password").args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("there is no systemctl on this machine"),
        _ => error,
    })
}

/// What a command printed that ended well, and in time. Both that and its complaints are short.
fn ended(mut child: Child, limit: Duration) -> io::Result<String> {
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= end {
            // It may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            let limit = units::format_duration(limit);
            return Err(io::Error::other(format!("systemctl has not ended within {limit}")));
        }
        std::thread::sleep(LOOK / 10);
    };
    let (mut said, mut complaints) = (String::new(), String::new());
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        stdout.read_to_string(&mut said)?;
        stderr.read_to_string(&mut complaints)?;
    }
    if status.success() {
        return Ok(said);
    }
    match complaints.lines().next() {
        Some(first) => Err(io::Error::other(first.trim_end_matches('.').to_owned())),
        None => Err(io::Error::other(format!("systemctl ended with {status}"))),
    }
}
