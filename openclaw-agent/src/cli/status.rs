//! `openclaw status`

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstream::print;
use anyhow::{Result, bail};

use super::context::Context;
use super::table::Table;
use crate::api::status::{ActionCount, ChannelStatus, Figures, Loss, RuleMemory, Sampled, Status};
use crate::api::{ClientError, Request, Response};
use crate::capability::State;
use crate::config::{Mode, units};
use crate::logs::LogStatus;
use crate::output::style::{BAD, BOLD, DIM, GOOD, WARN};
use crate::output::text::Clean;
use crate::output::{Format, Printer, time};
use crate::respond::Outcome;
use crate::sensor::{Losses, ProgramCost};

/// Show how the running agent does: hooks, events, losses, rules, findings, alerts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw status
  sudo openclaw status --output json | jq .losses")]
pub(super) struct Args {
    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let Response::Status { status } = context.connect()?.ask(&Request::Status)? else {
        bail!(ClientError::Unexpected);
    };
    match args.output {
        Format::Json => {
            let mut printer = Printer::stdout(Format::Json);
            printer.line(&serde_json::to_string(&status)?)?;
            printer.flush()?;
        }
        Format::Text => print!("{}", text(&status)),
    }
    Ok(())
}

/// The status for people.
fn text(status: &Status) -> String {
    let mut out = String::new();
    let mode = match status.mode {
        Mode::Observe => format!("{WARN}observe{WARN:#} (says what it would do)"),
        Mode::Enforce => format!("{GOOD}enforce{GOOD:#}"),
    };
    let uptime = units::format_duration(std::time::Duration::from_secs(status.uptime_seconds));
    let mut head = Table::default();
    let mut line = |name: &str, value: String| head.row([format!("{BOLD}{name}{BOLD:#}"), value]);
    line("agent", format!("{} on {}, process {}, up {uptime}", status.version, status.host, status.pid));
    line("mode", mode);
    line("rules", status.rules.to_string());
    line("findings", status.findings.to_string());
    let alerts = status.alerts;
    line(
        "alerts",
        format!(
            "{} delivered, {} waiting, {} held back, {}, {}{}",
            alerts.delivered,
            alerts.queued,
            alerts.held,
            bad(alerts.failed, "failed"),
            bad(alerts.lost, "lost"),
            if alerts.retries > 0 { format!(" ({} retries)", alerts.retries) } else { String::new() },
        ),
    );
    line("answers", answers(&status.actions));
    line("in force", format!("{} blocks and isolations", status.active_verdicts));
    line("takes", takes(&status.agent));
    line("knows", knows(&status.agent));
    let queues = status.agent.queues.iter().filter(|(_, waiting)| **waiting > 0);
    let queues: Vec<_> = queues.map(|(name, waiting)| format!("{waiting} {name}")).collect();
    line("queues", if queues.is_empty() { "empty".to_owned() } else { queues.join(", ") });
    out.push_str(&head.text());
    for warning in &status.warnings {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n{BAD}warning{BAD:#}  {warning}");
    }

    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n{BOLD}hooks{BOLD:#}");
    let mut hooks = Table::default();
    for hook in &status.hooks {
        let colour = match hook.state {
            State::Full | State::Attached => GOOD,
            State::Degraded => WARN,
            State::Missing => BAD,
        };
        let state = format!("{colour}{}{colour:#}", hook.state.name());
        let reason = hook.reason.as_ref().map(|reason| format!("{DIM}{}{DIM:#}", Clean(reason)));
        hooks.row([hook.capability.clone(), state, hook.hook.clone(), reason.unwrap_or_default()]);
    }
    out.push_str(&hooks.text());

    let _ = writeln!(out, "\n{BOLD}events{BOLD:#}");
    let mut events = Table::default();
    for (kind, count) in &status.events {
        events.row([
            kind.clone(),
            format!("{:.1}/s", count.per_second),
            format!("{DIM}{} in all{DIM:#}", count.total),
        ]);
    }
    out.push_str(&events.text());

    out.push_str(&channels(&status.channels, &status.muted));
    out.push_str(&logs(&status.logs));
    out.push_str(&programs(&status.agent.programs));

    let _ = writeln!(out, "\n{BOLD}losses{BOLD:#}");
    let (filtered, lost): (Vec<&Loss>, Vec<&Loss>) =
        status.losses.iter().filter(|loss| loss.count > 0).partition(|loss| loss.stage == Losses::FILTER);
    let mut losses = Table::default();
    for loss in lost {
        losses.row([loss.stage.clone(), loss.reason.clone(), bad(loss.count, "")]);
    }
    let losses = losses.text();
    out.push_str(if losses.is_empty() { "  none\n" } else { &losses });
    if !filtered.is_empty() {
        let _ = writeln!(
            out,
            "\n{BOLD}filtered{BOLD:#} {DIM}(no rule asked for it, or told once for many){DIM:#}"
        );
        let mut reasons = Table::default();
        for loss in filtered {
            reasons.row([loss.reason.clone(), loss.count.to_string()]);
        }
        out.push_str(&reasons.text());
    }
    out
}

/// How alerts get out, and the rules of which none do.
fn channels(channels: &[ChannelStatus], muted: &BTreeMap<String, String>) -> String {
    let mut table = Table::default();
    for channel in channels {
        let state = match (&channel.failing_since, &channel.last_success) {
            (Some(since), _) => format!("{BAD}fails{BAD:#} since {}", moment(since)),
            (None, Some(_)) => format!("{GOOD}works{GOOD:#}"),
            (None, None) => format!("{DIM}not used yet{DIM:#}"),
        };
        let success =
            channel.last_success.as_ref().map(|at| format!(", last at {}", moment(at))).unwrap_or_default();
        let error = match (&channel.last_failure, &channel.last_error) {
            (Some(at), Some(error)) => format!("last error at {}: {}", moment(at), Clean(error)),
            _ => String::new(),
        };
        table.row([
            Clean(&channel.name).to_string(),
            format!("{DIM}{} {}{DIM:#}", channel.kind, Clean(&channel.endpoint)),
            state,
            format!("{} waiting, {} delivered{success}", channel.waiting, channel.delivered),
            error,
        ]);
    }
    for (rule, until) in muted {
        let until = format!("until {}", moment(until));
        table.row([
            Clean(rule).to_string(),
            format!("{DIM}rule{DIM:#}"),
            format!("{WARN}muted{WARN:#}"),
            until,
        ]);
    }
    let table = table.text();
    if table.is_empty() { table } else { format!("\n{BOLD}alert channels{BOLD:#}\n{table}") }
}

/// A moment of the status in this host's zone.
fn moment(rfc3339: &str) -> String {
    time::parse_rfc3339(rfc3339).map_or_else(|_| rfc3339.to_owned(), time::date_and_clock)
}

/// The logs that are there, and what is wrong with any.
fn logs(logs: &[LogStatus]) -> String {
    let mut table = Table::default();
    for log in logs.iter().filter(|log| log.is_of_interest()) {
        let place = if log.path.is_empty() { "the journal" } else { &log.path };
        let malformed = (log.malformed > 0).then(|| format!(", {}", bad(log.malformed, "not understood")));
        let behind = (log.behind_bytes > 0).then(|| format!(", {} bytes to read", log.behind_bytes));
        let wrong = log.problem.as_ref().or(log.missing.as_ref());
        let problem = wrong.map(|problem| format!(", {BAD}{}{BAD:#}", Clean(problem)));
        table.row([
            log.source.clone(),
            Clean(place).to_string(),
            format!(
                "{} lines, {} events{}{}{}",
                log.lines,
                log.events,
                malformed.unwrap_or_default(),
                behind.unwrap_or_default(),
                problem.unwrap_or_default()
            ),
        ]);
    }
    let table = table.text();
    if table.is_empty() { table } else { format!("\n{BOLD}logs{BOLD:#}\n{table}") }
}

/// What the kernel programs cost that have run; nothing where the kernel does not count it.
fn programs(programs: &[ProgramCost]) -> String {
    let whole: std::time::Duration = programs.iter().map(|program| program.time).sum();
    let mut table = Table::default();
    for ProgramCost { name, runs, time, .. } in programs.iter().filter(|program| program.runs > 0) {
        let each = time.as_nanos() / u128::from(*runs);
        let share = time.as_secs_f64() * 100.0 / whole.as_secs_f64().max(1e-9);
        table.row([
            name.clone(),
            format!("{runs} runs"),
            format!("{each} ns each"),
            format!("{share:.1} % of their time"),
        ]);
    }
    let table = table.text();
    if table.is_empty() { table } else { format!("\n{BOLD}kernel programs{BOLD:#}\n{table}") }
}

/// What became of answers.
fn answers(actions: &[ActionCount]) -> String {
    let of = |outcome: Outcome| -> u64 {
        actions.iter().filter(|action| action.outcome == outcome).map(|action| action.count).sum()
    };
    let made = Outcome::ALL.into_iter().map(|outcome| (outcome, of(outcome))).filter(|(_, count)| *count > 0);
    let made: Vec<_> = made.map(|(outcome, count)| format!("{count} {}", outcome.name())).collect();
    if made.is_empty() { "none".to_owned() } else { made.join(", ") }
}

/// What the agent remembers.
fn knows(figures: &Figures) -> String {
    let RuleMemory { active, remembered, suppressed } = figures.memory;
    format!(
        "{} processes, {active} rules that are true at present, {remembered} keys and values of rules; {suppressed} \
         firings were held back",
        figures.processes
    )
}

/// What the agent takes of the machine.
fn takes(figures: &Figures) -> String {
    let mebibytes = figures.memory_bytes as f64 / f64::from(1 << 20);
    let mut takes = format!("{mebibytes:.1} MiB of memory, {:.1} s on processors", figures.cpu_seconds);
    let Sampled { samples, seconds } = figures.rule_time;
    if samples > 0 {
        // Writing to a String cannot fail.
        let _ = write!(takes, ", rules take {:.0} ns an event", seconds * 1e9 / samples as f64);
    }
    takes
}

/// A count that should be nought.
fn bad(count: u64, what: &str) -> String {
    let text = format!("{count} {what}");
    let text = text.trim_end();
    if count == 0 { text.to_owned() } else { format!("{BAD}{text}{BAD:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{AlertCounts, EventCount, Figures, Sampled};
    use crate::capability::Capability;

    #[test]
    fn status_says_what_was_lost_and_where() {
        let mut status = Status {
            version: "0.1.0".to_owned(),
            host: "web-1".to_owned(),
            pid: 7,
            uptime_seconds: 3723,
            mode: Mode::Observe,
            hooks: vec![Capability::new("process exec", "none", State::Missing)],
            events: BTreeMap::from([(
                "process_create".to_owned(),
                EventCount { total: 12, per_second: 0.25 },
            )]),
            losses: vec![Loss { stage: "kernel".to_owned(), reason: "ring full".to_owned(), count: 3 }],
            logs: vec![LogStatus {
                source: "auth".to_owned(),
                path: "/var/log/auth.log".to_owned(),
                lines: 7,
                events: 2,
                is_there: true,
                ..LogStatus::default()
            }],
            rules: 5,
            warnings: vec!["the rules on disk are not run".to_owned()],
            findings: 1,
            alerts: AlertCounts { delivered: 1, ..AlertCounts::default() },
            channels: Vec::new(),
            muted: BTreeMap::new(),
            active_verdicts: 0,
            actions: Vec::new(),
            agent: Figures {
                memory_bytes: 12_582_912,
                cpu_seconds: 3.25,
                queues: BTreeMap::from([("store".to_owned(), 4)]),
                rule_time: Sampled { samples: 10, seconds: 0.000_005 },
                ..Figures::default()
            },
        };
        let plain = |status: &Status| anstream::adapter::strip_str(&text(status)).to_string();
        let shown = plain(&status);
        for part in [
            "up 1h2m3s",
            "missing  none",
            "process_create  0.2/s  12 in all",
            "kernel  ring full  3",
            "warning  the rules on disk are not run",
            "takes     12.0 MiB of memory, 3.2 s on processors",
            "queues    4 store",
            ", rules take 500 ns an event",
            "auth  /var/log/auth.log  7 lines, 2 events",
        ] {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        status.losses[0] =
            Loss { stage: Losses::FILTER.to_owned(), reason: "repeated_access".to_owned(), count: 9 };
        assert!(plain(&status).contains("losses\n  none\n"), "{}", plain(&status));
        assert!(plain(&status).ends_with("repeated_access  9\n"), "{}", plain(&status));
        status.losses.clear();
        assert!(plain(&status).ends_with("losses\n  none\n"));
    }
}
