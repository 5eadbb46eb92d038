//! What `openclaw run` is told.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::output::Format;
use crate::own_log::Ring;

/// What the agent is asked to do.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The configuration, as it is written.
    pub config: Config,
    /// The configuration's file, where there is one.
    pub config_path: Option<PathBuf>,
    /// `--rules`: where not empty, they take the place of the shipped and the configured rules.
    pub rules: Vec<PathBuf>,
    /// `--release-on-exit`: a stopping agent takes its answers back, whatever is configured.
    pub release_on_exit: bool,
    /// Whether every event is printed.
    pub events: bool,
    /// How findings, actions and events are printed.
    pub output: Format,
    /// Where the control socket is to be.
    pub socket: PathBuf,
    /// Where the database is to be.
    pub store: PathBuf,
    /// Where the last lines of the agent's own log are kept.
    pub log: Arc<Ring>,
}
