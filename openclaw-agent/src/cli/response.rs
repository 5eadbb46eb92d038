//! `openclaw response`

use anstream::eprintln;
use anyhow::{Result, bail};
use tracing::warn;

use super::context::{Context, act, print_actions, store_path};
use crate::api::{ClientError, Request, Response};
use crate::output::{Format, time};
use crate::respond::{self, ActionRecord};
use crate::store::Store;

/// How many actions are read from the store at most.
const LIMIT: u32 = 1000;

/// List what was answered, and take it back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo openclaw response list --all
  sudo openclaw response undo 0199f3a2
  sudo openclaw response undo --all      works without a running agent too")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the blocks and isolations that are in force
    List {
        /// Also those that are over, were refused or failed
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

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::List { all, output } => list(context, all, output),
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
            let undone = respond::undo_all(&respond::default_bpffs())?;
            if let Err(error) = record(context, &undone) {
                warn!("the store does not know yet that these are over: {error:#}");
            }
            print_actions(&undone, output)?;
            eprintln!(
                "no agent is running: {} blocks and isolations were taken out of the kernel",
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
    // The store knows more of an action than the kernel keeps.
    let known = store.actions(u32::MAX)?;
    for action in undone {
        let full = known.iter().find(|known| known.id == action.id).unwrap_or(action);
        store.upsert_action(&ActionRecord { outcome: action.outcome, ..full.clone() })?;
    }
    Ok(())
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
