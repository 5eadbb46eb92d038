//! What people and programs read on stdout: one line for each event, finding and action.

mod event;
mod finding;
mod printer;
pub mod style;
pub mod text;
pub mod time;

use serde::{Deserialize, Serialize};

pub use event::write_event;
pub use finding::{action_json, sentence, target, write_action, write_finding};
pub use printer::Printer;

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A readable line, coloured on a terminal.
    #[default]
    Text,
    /// A JSON object on one line; events in the Elastic Common Schema.
    Json,
}
