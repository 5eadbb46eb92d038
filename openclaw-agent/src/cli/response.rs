//! `openclaw response`

mod mode;
mod show;

use anstream::eprintln;
use anyhow::{Result, bail};
use tracing::warn;

use openclaw_detect::Mode;

use super::context::{Context, act, print_actions, socket_path, store_path};
use crate::api::{ClientError, Request, Response};
use crate::output::{Format, time};
use crate::respond::{self, ActionRecord};
use crate::store::Store;

/// How many actions are read from the store at most.
const LIMIT: u32 = 1000;

/// List what was answered, take it back, and say whether answers are carried out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw response list --all
  sudo openclaw response undo 0199f3a2
  sudo openclaw response undo --all      works without a running agent too
  sudo openclaw response mode observe    nothing is carried out from now on
  sudo openclaw response mode enforce --rule crypto_miner
  sudo openclaw response rearm port_scan after the breaker has cut it off")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the answers that are in force
    List {
        /// Also those that are over, were refused or failed
        #[arg(long)]
        all: bool,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Show one answer: the guard rails that it passed, what was done, when it was verified and ended
    Show {
        /// Its id, or the beginning of it
        id: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Show whether answers are carried out, or switch that until the agent ends
    ///
    /// `observe` holds for every rule, whatever is said of it elsewhere; `enforce` for those of which nothing else is said.
    Mode {
        /// observe (only say what would be done), enforce, or configured (as the configuration has it)
        mode: Option<Switch>,
        /// Only for this rule
        #[arg(long, requires = "mode")]
        rule: Option<String>,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Let a rule answer again that the breaker has cut off
    Rearm {
        /// The rule
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        rule: Option<String>,
        /// All that it has cut off
        #[arg(long)]
        all: bool,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
    /// Take an answer back
    Undo {
        /// The action's id, or the beginning of it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// Take everything back; works without a running agent too
        #[arg(long)]
        all: bool,
        /// How it is printed
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        output: Format,
    },
}

/// What the modes are switched to.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Switch {
    /// Nothing that a finding asks for is carried out
    Observe,
    /// It is, where nothing else is said of a rule
    Enforce,
    /// As the configuration has it
    Configured,
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::List { all, output } => list(context, all, output),
        Command::Show { id, output } => show::run(context, &id, output),
        Command::Mode { mode: None, output, .. } => mode::ask(context, &Request::Modes, output),
        Command::Mode { mode: Some(switch), rule, output } => {
            let request = match switch {
                Switch::Observe => Request::SwitchMode { rule, mode: Mode::Observe },
                Switch::Enforce => Request::SwitchMode { rule, mode: Mode::Enforce },
                Switch::Configured if rule.is_some() => {
                    bail!("what is switched goes back as a whole: leave `--rule` out")
                }
                Switch::Configured => Request::SwitchBack,
            };
            mode::ask(context, &request, output)
        }
        Command::Rearm { rule, output, .. } => mode::ask(context, &Request::Rearm { rule }, output),
        Command::Undo { id: Some(id), output, .. } => act(context, &Request::Undo { id }, output),
        Command::Undo { id: None, output, .. } => undo_all(context, output),
    }
}

fn list(context: &Context, all: bool, output: Format) -> Result<()> {
    let actions = match ask(context, &Request::Actions { all })? {
        Some(actions) => actions,
        None => {
            eprintln!("no agent is running: this is what the last one recorded");
            let store = context.store()?;
            if all { store.actions(LIMIT)? } else { store.actions_in_force(time::now())? }
        }
    };
    print_actions(&actions, output)
}

fn undo_all(context: &Context, output: Format) -> Result<()> {
    match ask(context, &Request::UndoAll)? {
        Some(actions) => print_actions(&actions, output),
        None => {
            let state = respond::state_folder(&socket_path(&context.load()?.config));
            let undone = respond::undo_all(&respond::default_bpffs(), &state)?;
            if let Err(error) = record(context, &undone) {
                warn!("the store does not know yet that these are over: {error:#}");
            }
            print_actions(&undone, output)?;
            eprintln!(
                "no agent is running: {} blocks, isolations and suspensions were taken back",
                undone.len()
            );
            Ok(())
        }
    }
}

/// Writes what was undone into the store of the agent that did it, where there is one.
fn record(context: &Context, undone: &[ActionRecord]) -> Result<()> {
    let path = store_path(&context.load()?.config);
    if undone.is_empty() || !path.exists() {
        return Ok(());
    }
    let store = Store::open(&path)?.store;
    Ok(undone.iter().try_for_each(|action| store.upsert_action(action))?)
}

/// The actions that the agent answers with; none where no agent runs.
fn ask(context: &Context, request: &Request) -> Result<Option<Vec<ActionRecord>>> {
    let mut client = match context.connect() {
        Ok(client) => client,
        Err(error) if matches!(error.downcast_ref(), Some(ClientError::NotRunning(_))) => return Ok(None),
        Err(error) => return Err(error),
    };
    match client.ask(request)? {
        Response::Actions { actions } => Ok(Some(actions)),
        _ => bail!(ClientError::Unexpected),
    }
}
