//! The `openclaw` command: one file for each subcommand.

mod alerts;
mod blocklist;
mod completion;
mod config;
mod context;
mod doctor;
mod events;
mod filter;
mod findings;
mod gateway;
mod isolate;
mod log;
mod logs;
mod record;
mod release;
mod replay;
mod response;
mod rules;
mod run;
mod security;
mod status;
mod table;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anstream::eprintln;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::output::style;
use crate::respond;
use context::Context;

/// A security sensor for Linux hosts.
///
/// Watches processes, files and connections through eBPF, matches them against rules, and answers: it alerts, blocks
/// addresses and cuts process trees off from the network.
#[derive(Debug, Parser)]
#[command(
    name = "openclaw",
    version,
    after_help = "\
Examples:
  sudo openclaw run                     watch, with the rules that ship
  sudo openclaw run --rules ./my-rules  watch, with your rules instead
  sudo openclaw status                  what runs, and what it lost
  sudo openclaw findings --since 1h     what was found

Exit codes: 0 it worked, 1 it did not (the reason is on stderr), 2 the command line is wrong.
The log goes to stderr; OPENCLAW_LOG sets its level (error, warn, info, debug, trace)."
)]
struct Cli {
    /// The configuration file [default: the first of ./openclaw-config.yml, /etc/openclaw/openclaw.yml,
    /// ~/.openclaw/config.yml, ~/.openclaw/config.json that exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Status(status::Args),
    Doctor(doctor::Args),
    Events(events::Args),
    Findings(findings::Args),
    Alerts(alerts::Args),
    Rules(rules::Args),
    Record(record::Args),
    Replay(replay::Args),
    Blocklist(blocklist::Args),
    Isolate(isolate::Args),
    Release(release::Args),
    Response(response::Args),
    Config(config::Args),
    Security(security::Args),
    Gateway(gateway::Args),
    Completion(completion::Args),
    /// What an agent begins for itself
    #[command(name = respond::KEEPER_COMMAND, hide = true)]
    KeepSuspended {
        /// The folder in which it is noted what is suspended
        folder: PathBuf,
    },
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    completion::answer(Cli::command);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are such errors too, and exit with 0.
        Err(error) => error.exit(),
    };
    let log = log::start(matches!(cli.command, Command::Run(_) | Command::Record(_)));
    let context = Context::new(cli.config);
    let result = match cli.command {
        Command::Run(args) => run::run(args, &context, Arc::clone(&log.last)),
        Command::Status(args) => status::run(&args, &context),
        Command::Doctor(args) => doctor::run(&args, &context),
        Command::Events(args) => events::run(args, &context),
        Command::Findings(args) => findings::run(&args, &context),
        Command::Alerts(args) => alerts::run(args, &context),
        Command::Rules(args) => rules::run(&args, &context),
        Command::Record(args) => record::run(args, &context),
        Command::Replay(args) => replay::run(&args, &context),
        Command::Blocklist(args) => blocklist::run(args, &context),
        Command::Isolate(args) => isolate::run(args, &context),
        Command::Release(args) => release::run(args, &context),
        Command::Response(args) => response::run(args, &context),
        Command::Config(args) => config::run(&args, &context),
        Command::Security(args) => security::run(&args, &context),
        Command::Gateway(args) => gateway::run(&args, &context),
        Command::Completion(args) => completion::run(&args),
        Command::KeepSuspended { folder } => respond::keep_suspended(&folder).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let bad = style::BAD.bold();
            eprintln!("{bad}error:{bad:#} {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, but for those that are told already: some errors' texts have them inside.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whether the reader of our output had enough, as in `openclaw findings | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_commands_are_understood() {
        for line in [
            "run --rules a --rules b --events --output json --release-on-exit",
            "status --output json",
            "security status",
            "security logs --follow --level warn --lines 20 --output json",
            "gateway restart",
            "gateway reload --output json",
            "gateway status --output json",
            "doctor",
            "events --follow --where x",
            "findings --severity warning --rule r --since 1h --limit 5",
            "findings show abc --output json",
            "alerts list --failed --since 1h --rule r --output json",
            "alerts test telegram",
            "alerts retry",
            "alerts mute r --for 1h",
            "alerts unmute r",
            "alerts mutes",
            "rules check rules more.yml",
            "rules check --format sarif",
            "rules test rules --strict",
            "rules explain a --finding b",
            "rules explain a --event b.jsonl --rules c",
            "rules reload",
            "rules schema",
            "rules list --output json",
            "rules fields",
            "record x.capture --force --duration 5m --events 10 --max-size 1MB --all-reads --rules a --output json",
            "replay x.capture --rules a --against b --output json",
            "blocklist add 192.0.2.0/24 --reason r --for 1h",
            "blocklist remove 192.0.2.1",
            "blocklist list",
            "isolate 4711 --for 10m",
            "release abc",
            "response list",
            "response undo abc",
            "response undo --all",
            "completion bash",
            "config check",
            "config show --config x.yml",
        ] {
            Cli::try_parse_from(["openclaw"].into_iter().chain(line.split(' ')))
                .unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }

    #[test]
    fn a_wrong_command_line_is_an_error() {
        for line in [
            "",
            "isolate",
            "isolate x",
            "blocklist add example.com",
            "findings --since soon",
            "findings --severity bad",
            "alerts list --failed --held",
            "alerts mute",
            "response undo",
            "response undo --all abc",
            "blocklist add 192.0.2.1 --for 5",
            "findings --limit 5 show a",
            "record",
            "record x --events 0",
            "replay",
        ] {
            let words = ["openclaw"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
