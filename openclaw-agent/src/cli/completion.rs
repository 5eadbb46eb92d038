//! `openclaw completion`, and what shells complete words with: commands and options, and within conditions the names
//! of fields.

use std::ffi::OsStr;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use openclaw_detect::Field;

use crate::config;
use crate::rules::{self, Writers};

/// The environment variable by which a shell asks.
const ASKS: &str = "COMPLETE";

/// Print what has a shell complete commands, options, rules and the fields of conditions
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(openclaw completion bash)                     for this shell
  openclaw completion bash > /etc/bash_completion.d/openclaw
  openclaw completion zsh > ~/.zfunc/_openclaw
  openclaw completion fish > ~/.config/fish/completions/openclaw.fish")]
pub(super) struct Args {
    /// The shell
    #[arg(value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).with_context(|| format!("{} is no shell", args.shell))?;
    let mut script = Vec::new();
    shell.write_registration(ASKS, "openclaw", "openclaw", "openclaw", &mut script)?;
    std::io::stdout().write_all(&script)?;
    Ok(())
}

/// Answers the shell that asks, and does not return then.
pub(super) fn answer(command: impl Fn() -> clap::Command) {
    clap_complete::CompleteEnv::with_factory(command).var(ASKS).complete();
}

/// How a condition can go on: its last word as the names of fields, with what they mean.
pub(super) fn condition(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = current.to_str() else { return Vec::new() };
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let (before, word) = text.split_at(text.trim_end_matches(is_of_name).len());
    let fits = |field: &&Field| field.name().starts_with(word);
    let candidate = |field: &Field| {
        CompletionCandidate::new(format!("{before}{}", field.name())).help(Some(field.help().into()))
    };
    Field::ALL.iter().filter(fits).map(candidate).collect()
}

/// The rules that would run by the usual configuration.
pub(super) fn rule(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(text) = current.to_str() else { return Vec::new() };
    let rules = config::load(None).map(|loaded| loaded.config.security.rules).unwrap_or_default();
    let Ok(rules) = rules::load(&rules, &[], Writers::Any) else { return Vec::new() };
    let names = rules.iter().map(|rule| rule.name.clone()).filter(|name| name.starts_with(text));
    names.map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(text: &str) -> Vec<String> {
        let value = |candidate: &CompletionCandidate| candidate.get_value().to_str().unwrap().to_owned();
        condition(OsStr::new(text)).iter().map(value).collect()
    }

    #[test]
    fn the_last_word_of_a_condition_is_completed_to_fields() {
        assert_eq!(completed("destination.po"), ["destination.port"]);
        assert_eq!(completed("process.pid == 1 and (user.aud"), ["process.pid == 1 and (user.audit.id"]);
        assert!(completed("").len() == Field::ALL.len());
        assert!(completed("process.pid == 'x").is_empty());
    }

    #[test]
    fn rules_that_would_run_are_offered_by_name() {
        let offered = rule(OsStr::new("suspicious_"));
        assert!(offered.iter().any(|candidate| candidate.get_value() == "suspicious_process"));
    }
}
