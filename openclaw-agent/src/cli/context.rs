//! What the subcommands share: the configuration, the agent, the store.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tracing::warn;

use crate::api::{Client, Request, Response, socket};
use crate::config::{self, ConfigError, Loaded};
use crate::respond::action::{ActionRecord, Outcome};
use crate::store::{self, SYSTEM_FOLDER, Store, StoreError};
use crate::{config::Config, output};

/// The configuration that the command line names, read when it is needed.
#[derive(Debug)]
pub(super) struct Context {
    config: Option<PathBuf>,
}

impl Context {
    pub(super) fn new(config: Option<PathBuf>) -> Context {
        Context { config }
    }

    /// The configuration; what has no effect in it is logged.
    pub(super) fn load(&self) -> Result<Loaded> {
        let loaded = config::load(self.config.as_deref())?;
        for warning in &loaded.warnings {
            let file = loaded.path.as_deref().unwrap_or(Path::new("")).display();
            warn!("{file}:{warning}");
        }
        Ok(loaded)
    }

    /// A connection to the running agent.
    pub(super) fn connect(&self) -> Result<Client> {
        let socket = match config::load(self.config.as_deref()) {
            Ok(loaded) => socket_path(&loaded.config),
            // The agent goes on with the configuration before, and is to be reached all the same.
            Err(error) => {
                let ConfigError::Mistakes { path, .. } = &error else { return Err(error.into()) };
                warn!("{error}");
                config::socket(path)?.unwrap_or_else(socket::default_path)
            }
        };
        Ok(Client::connect(&socket)?)
    }

    /// The store, to read.
    pub(super) fn store(&self) -> Result<Store> {
        let config = self.load()?.config;
        match Store::open_read_only(&store_path(&config)) {
            // A user's own agent has none, but root's has: then only sudo is missing.
            Err(StoreError::Absent(_))
                if config.store.path.is_none()
                    && !store::default_path().starts_with(SYSTEM_FOLDER)
                    && Path::new(SYSTEM_FOLDER).exists() =>
            {
                Err(StoreError::NotAllowed(SYSTEM_FOLDER.into()).into())
            }
            store => Ok(store?),
        }
    }
}

/// The control socket that a configuration means.
pub(super) fn socket_path(config: &Config) -> PathBuf {
    config.api.socket.clone().unwrap_or_else(socket::default_path)
}

/// The database that a configuration means.
pub(super) fn store_path(config: &Config) -> PathBuf {
    config.store.path.clone().unwrap_or_else(store::default_path)
}

/// Asks the agent for something that ends in one action, prints it, and fails where it was not done.
pub(super) fn act(context: &Context, request: &Request, format: output::Format) -> Result<()> {
    let Response::Action { action } = context.connect()?.ask(request)? else {
        bail!(crate::api::ClientError::Unexpected);
    };
    print_actions(std::slice::from_ref(&*action), format)?;
    match action.outcome {
        Outcome::Begun | Outcome::Done | Outcome::Undone | Outcome::Expired => Ok(()),
        Outcome::Would | Outcome::Refused | Outcome::Failed => bail!("{}", output::sentence(&action)),
    }
}

/// Prints one line for each action.
pub(super) fn print_actions(actions: &[ActionRecord], format: output::Format) -> Result<()> {
    let mut printer = output::Printer::stdout(format);
    for action in actions {
        printer.action(action)?;
    }
    Ok(printer.flush()?)
}
