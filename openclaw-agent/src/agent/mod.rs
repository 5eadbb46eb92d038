//! The running agent: its threads, put together and taken apart again.
//!
//! The sensor's thread has the events and finds; the answers' thread acts on findings and on what people ask
//! for; one thread writes to stdout, one to the store; alerts and the control socket are tokio's.

mod answers;
mod audience;
mod blind;
mod control;
mod counts;
mod doctor;
mod dump;
mod loss_watch;
mod losses;
mod notices;
mod notify;
mod options;
mod outlet;
mod own;
mod record;
mod reload;
mod rules;
mod run;
mod settings;
mod stdout;
mod trigger;

pub use doctor::doctor;
pub use dump::keep_memory_private;
pub use options::RunOptions;
pub use record::{RecordOptions, record};
pub use run::run;
pub use trigger::trigger;
